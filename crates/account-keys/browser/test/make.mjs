// Writes a structure of each kind, made here, to standard output. `node test/make.mjs > ../vectors/browser.json`

import { make } from './vectors.mjs'

console.log(JSON.stringify(await make(), null, 2))
