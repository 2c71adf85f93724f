// The client's side of OPAQUE (RFC 9807), with the bounds of docs/account-keys.md. Messages are base64url.

import { client, ready } from '@serenity-kit/opaque'

import { KeyError, bytes, fromBase64url, id } from './bytes.mjs'

const LONGEST = 1024
const FLOOR = { memoryKib: 19_456, passes: 2, lanes: 1 }
const CEILING = { memoryKib: 1_048_576, passes: 16, lanes: 4 }

/** What was typed, NFKC: the same for whoever's keyboard composes and whoever's does not. */
export function normalPassword(typed) {
  const password = String(typed).normalize('NFKC')
  const { length } = bytes(password)
  if (length === 0 || length > LONGEST) {
    throw new KeyError('password_length', `The password has ${length} bytes, and must have 1 to ${LONGEST}.`)
  }
  return password
}

/** Below the floor, whoever sends the parameters wants guesses to be cheap. */
function keyStretching(stretching) {
  const within = Object.keys(FLOOR).every((name) => {
    const value = stretching?.[name]
    return Number.isInteger(value) && value >= FLOOR[name] && value <= CEILING[name]
  })
  if (!within) {
    throw new KeyError(
      'stretching',
      'The key stretching is out of bounds: 19456 to 1048576 KiB, 2 to 16 passes and 1 to 4 lanes.',
    )
  }
  const { memoryKib, passes, lanes } = stretching
  return { 'argon2id-custom': { memory: memoryKib, iterations: passes, parallelism: lanes } }
}

function identifiers({ organization, user }) {
  return { client: `${id(organization, 'the organization')}/${id(user, 'the user')}`, server: 'rollcall' }
}

/** `{ password, state, registrationRequest }` */
export async function beginRegistration(typed) {
  const password = normalPassword(typed)
  await ready
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password })
  return { password, state: clientRegistrationState, registrationRequest }
}

/** `{ record, exportKey }`, the second in 64 bytes. */
export async function finishRegistration({ password, state }, member, registrationResponse, stretching) {
  const parameters = { keyStretching: keyStretching(stretching), identifiers: identifiers(member) }
  fromBase64url(registrationResponse, 64, 'the registration response')
  let finished
  try {
    const messages = { clientRegistrationState: state, registrationResponse }
    finished = client.finishRegistration({ password, ...messages, ...parameters })
  } catch {
    throw new KeyError('opaque', 'The registration response is not a message of OPAQUE, or not of this exchange.')
  }
  return { record: finished.registrationRecord, exportKey: fromBase64url(finished.exportKey, 64, 'the export key') }
}

/** `{ password, state, ke1 }` */
export async function beginLogin(typed) {
  const password = normalPassword(typed)
  await ready
  const { clientLoginState, startLoginRequest } = client.startLogin({ password })
  return { password, state: clientLoginState, ke1: startLoginRequest }
}

/** `{ ke3, exportKey }`, the second in 64 bytes. */
export async function finishLogin({ password, state }, member, ke2, stretching) {
  const parameters = { keyStretching: keyStretching(stretching), identifiers: identifiers(member) }
  fromBase64url(ke2, 320, "the login's second message")
  let finished
  try {
    finished = client.finishLogin({ password, clientLoginState: state, loginResponse: ke2, ...parameters })
  } catch {
    throw new KeyError('opaque', "The login's second message is not a message of OPAQUE, or not of this exchange.")
  }
  if (!finished) throw new KeyError('wrong_password', 'The password is wrong.')
  return { ke3: finished.finishLoginRequest, exportKey: fromBase64url(finished.exportKey, 64, 'the export key') }
}
