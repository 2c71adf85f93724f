// Bytes and text, and the errors that say which of them was wrong.

/** What was wrong: `code` for programs, `message` for people. Neither holds a secret. */
export class KeyError extends Error {
  constructor(code, message) {
    super(message)
    this.name = 'KeyError'
    this.code = code
  }
}

const encoder = new TextEncoder()

/** UTF-8 of a text; bytes stay what they are. */
export function bytes(value) {
  return typeof value === 'string' ? encoder.encode(value) : value
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function random(length) {
  return crypto.getRandomValues(new Uint8Array(length))
}

/** Overwrites secrets that are not needed any more, as far as the engine has not copied them. */
export function wipe(...arrays) {
  for (const array of arrays) array?.fill(0)
}

/** base64url without padding (RFC 4648 section 5). */
export function toBase64url(array) {
  let binary = ''
  for (const byte of array) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** So many bytes, or an error that says what they should have been. */
export function fromBase64url(text, length, what) {
  const wrong = (detail) => new KeyError('malformed', `${what} ${detail}`)
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]*$/.test(text)) throw wrong('is not base64url')
  let binary
  try {
    binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    throw wrong('is not base64url')
  }
  if (binary.length !== length) throw wrong(`has ${binary.length} bytes, and must have ${length}`)
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

/** An id as the protocol writes it: 36 lower-case characters. */
export function id(text, what) {
  if (typeof text !== 'string' || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) {
    throw new KeyError('malformed', `${what} is not a UUID in lower case`)
  }
  return text
}

/** A version as the protocol writes it: decimal, from 1. */
export function decimal(version, what = 'the version') {
  if (!Number.isInteger(version) || version < 1 || version > 0xffffffff) {
    throw new KeyError('malformed', `${what} is not a whole number from 1`)
  }
  return String(version)
}

/** For the label and each field its length as 4 bytes, big-endian, then its bytes. */
export function canonical(label, ...fields) {
  const parts = []
  for (const field of [label, ...fields].map(bytes)) {
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, field.length)
    parts.push(length, field)
  }
  return concat(...parts)
}
