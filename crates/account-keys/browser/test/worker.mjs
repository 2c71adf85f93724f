// The worker, over lines: a call on standard input, its answer on standard output.

import { createInterface } from 'node:readline'

let deliver
Object.assign(globalThis, {
  self: globalThis,
  addEventListener: (_, listener) => (deliver = listener),
  postMessage: (message) => console.log(JSON.stringify(message)),
})
await import('../worker.mjs')
for await (const line of createInterface({ input: process.stdin })) deliver({ data: JSON.parse(line) })
