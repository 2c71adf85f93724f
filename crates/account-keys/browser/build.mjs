// Copies what a browser loads into dist/: our modules, and of the packages in node_modules the files that these import.
// Bare specifiers become relative paths; where one would be left, this fails. `node build.mjs`

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
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
  const imported = []
  let text = ''
  let at = 0
  for (const { specifier, specifierStart, specifierEnd, type } of parse(source)[0].map(fields)) {
    if (type === 'meta') continue
    const owner = file.startsWith('node_modules/') ? split(file.slice('node_modules/'.length))[0] : ''
    if (type === 'dynamic' && FOR_NODE.has(`${owner} ${specifier}`)) continue
    if (specifier === undefined) throw new Error(`${file} imports what it computes`)
    const target = resolve(specifier, file)
    let path = posix.relative(posix.dirname(placeOf(file)), placeOf(target))
    if (!path.startsWith('.')) path = `./${path}`
    const quoted = /^['"]/.test(source.slice(specifierStart, specifierEnd))
    text += source.slice(at, specifierStart) + (quoted ? JSON.stringify(path) : path)
    at = specifierEnd
    imported.push(target)
  }
  text += source.slice(at)
  // Maps of the sources are not served.
  return { text: text.replace(/^\/\/# sourceMappingURL=.*\n?/gm, ''), imported }
}

await init()
console.log(JSON.stringify(parse("import a from 'b'; import('c'); import.meta.url; export * from 'd'")[0], null, 1))
