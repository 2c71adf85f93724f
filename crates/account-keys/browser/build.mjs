// Copies what a browser loads into dist/: our modules, and of the packages in node_modules the files that these import.
// Bare specifiers become relative paths; where one would be left, this fails. `node build.mjs`

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

import { init, parse } from 'es-module-lexer'

const HERE = dirname(fileURLToPath(import.meta.url))
const DIST = join(HERE, 'dist')
// What pages and workers ask for by name; the rest is what these import.
const ENTRIES = ['session.mjs', 'strength.mjs', 'worker.mjs']
// In branches for Node, which no browser takes.
const FOR_NODE = new Set(['@hpke/common crypto'])
const MEDIA_TYPE = 'text/javascript; charset=utf-8'

/** `@scope/name/rest` as name of the package and rest. */
function split(specifier) {
  const parts = specifier.split('/')
  const length = specifier.startsWith('@') ? 2 : 1
  return [parts.slice(0, length).join('/'), parts.slice(length).join('/')]
}

function manifestOf(name) {
  return JSON.parse(readFileSync(join(HERE, 'node_modules', name, 'package.json'), 'utf8'))
}

/** The file that `import` of this specifier means for a browser, below node_modules. */
function packageFile(specifier) {
  const [name, rest] = split(specifier)
  const { exports, module, main } = manifestOf(name)
  const pick = (target) => (typeof target === 'object' ? pick(target.import ?? target.default) : target)
  const target = exports ? pick(exports[rest ? `./${rest}` : '.']) : rest || module || main
  if (!target) throw new Error(`${name} exports no ${rest || '.'}`)
  return posix.join(name, target)
}

/** Where a file stands in dist/: ours as it is, those of packages below vendor/NAME@VERSION/. */
function placeOf(file) {
  if (!file.startsWith('node_modules/')) return file
  const [name, rest] = split(file.slice('node_modules/'.length))
  return posix.join('vendor', `${name}@${manifestOf(name).version}`, rest)
}

/** The file that a specifier in another file means, both from here. */
function resolve(specifier, from) {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(from), specifier)
  return posix.join('node_modules', packageFile(specifier))
}

/** The text with other specifiers, and the files that it imports. */
function rewritten(file) {
  const source = readFileSync(join(HERE, file), 'utf8')
  const owner = file.startsWith('node_modules/') ? split(file.slice('node_modules/'.length))[0] : ''
  const imported = []
  let text = ''
  let at = 0
  for (const { type, specifier, start, end } of parse(source)[0]) {
    if (type === 'import-meta' || (type === 'dynamic' && FOR_NODE.has(`${owner} ${specifier}`))) continue
    if (!specifier) throw new Error(`${file} imports what it computes`)
    const target = resolve(specifier, file)
    const path = posix.relative(posix.dirname(placeOf(file)), placeOf(target))
    const relative = path.startsWith('.') ? path : `./${path}`
    // The place of a dynamic import's specifier includes its quotes.
    text += source.slice(at, start) + (type === 'dynamic' ? JSON.stringify(relative) : relative)
    at = end
    imported.push(target)
  }
  text += source.slice(at)
  // Maps of the sources are not served.
  return { text: text.replace(/^\/\/# sourceMappingURL=.*\n?/gm, ''), imported }
}

/** Each file that is reached from the entries, by its place in dist/. */
function modules() {
  const files = new Map()
  const waiting = [...ENTRIES]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(placeOf(file))) continue
    const { text, imported } = rewritten(file)
    files.set(placeOf(file), text)
    waiting.push(...imported)
  }
  return files
}

/** Complaints about specifiers that a browser could not follow. */
function leftOver(files) {
  const complaints = []
  for (const [place, text] of files) {
    for (const { type, specifier } of parse(text)[0]) {
      const owner = /^vendor\/((@[^/]+\/)?[^@/]+)@/.exec(place)?.[1] ?? ''
      if (type === 'import-meta' || (type === 'dynamic' && FOR_NODE.has(`${owner} ${specifier}`))) continue
      const target = specifier?.startsWith('.') && posix.join(posix.dirname(place), specifier)
      if (!target || !files.has(target)) complaints.push(`${place} imports ${specifier}`)
    }
  }
  return complaints
}

/** The licence of each package that a file is of: it goes where the package goes. */
function licences(files) {
  const texts = new Map()
  for (const place of files.keys()) {
    const [, folder, name] = /^(vendor\/((?:@[^/]+\/)?[^@/]+)@[^/]+)\//.exec(place) ?? []
    if (!folder || texts.has(`${folder}/LICENSE`)) continue
    const found = readdirSync(join(HERE, 'node_modules', name)).find((file) => /^licen[cs]e(\.(md|txt))?$/i.test(file))
    if (!found) throw new Error(`${name} comes without the text of its licence`)
    texts.set(`${folder}/LICENSE`, readFileSync(join(HERE, 'node_modules', name, found), 'utf8'))
  }
  return texts
}

/** Lines of SHA-256, media type and path, with tabs between them, in the order of the paths. */
function manifest(files) {
  // As Rust compares text: by its bytes.
  const paths = [...files.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const line = (path) => {
    const digest = createHash('sha256').update(files.get(path)).digest('hex')
    return `${digest}\t${path.endsWith('/LICENSE') ? 'text/plain; charset=utf-8' : MEDIA_TYPE}\t${path}\n`
  }
  return paths.map(line).join('')
}

/** Removes what is no longer built, and directories that are left empty. */
function clean(directory, keep) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      clean(path, keep)
      if (readdirSync(path).length === 0) rmdirSync(path)
    } else if (!keep.has(path)) {
      rmSync(path)
    }
  }
}

await init()
const built = modules()
const complaints = leftOver(built)
if (complaints.length > 0) throw new Error(`a browser could not follow these:\n${complaints.join('\n')}`)
for (const [path, text] of licences(built)) built.set(path, text)
built.set('manifest.tsv', manifest(built))
mkdirSync(DIST, { recursive: true })
clean(DIST, new Set(['.gitignore', ...built.keys()].map((path) => join(DIST, path))))
for (const [path, text] of built) {
  const file = join(DIST, path)
  // One that is the same keeps its time, so that cargo has nothing to do.
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
const size = [...built.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
console.log(`${built.size} files, ${Math.round(size / 1024)} KiB in dist/`)
