// How many guesses a password would take, for who chooses one. Loaded by the page when somebody does: it is large.

import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })

/**
 * `{ score, guessesLog10 }`: 0 (a few guesses) to 4 (more than anybody can pay for), and the power of ten. `known` are
 * texts that everybody would try: the member's name and address, the organization's name.
 */
export function strength(password, known = []) {
  const { score, guessesLog10 } = estimator.check(password.normalize('NFKC'), known)
  return { score, guessesLog10 }
}
