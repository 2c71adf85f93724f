// A module worker around one session: `{ id, method, params }` comes in, `{ id, result }` or `{ id, error: { code,
// message } }` goes out. One call at a time, in order. It has no network; the page sends what is for the server.

import { KeyError } from './bytes.mjs'
import { Session } from './session.mjs'

const session = new Session()
let last = Promise.resolve()

async function answer({ id, method, params }) {
  try {
    self.postMessage({ id, result: await session.call(method, params) })
  } catch (error) {
    // Anything else is a mistake in here, and its text might hold what it was about.
    const { code, message } = error instanceof KeyError ? error : { code: 'internal', message: error.name }
    self.postMessage({ id, error: { code, message } })
  }
}

self.addEventListener('message', ({ data }) => {
  last = last.then(() => answer(data))
})
