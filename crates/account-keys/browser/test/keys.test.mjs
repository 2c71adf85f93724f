import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { canonical, fromBase64url, toBase64url } from '../bytes.mjs'
import * as keys from '../keys.mjs'
import { strength } from '../strength.mjs'
import { STRETCHING, grantsOf, logIn, make, open, registered, uuid } from './vectors.mjs'

const OF = { organization: uuid(1), user: uuid(10), keyId: uuid(11), version: 1 }
const OTHERS = [
  { ...OF, organization: uuid(99) },
  { ...OF, user: uuid(99) },
  { ...OF, keyId: uuid(99) },
  { ...OF, version: 2 },
]
const filled = (value, length = 32) => new Uint8Array(length).fill(value)
const code = (expected) => (error) => error.code === expected || assert.fail(`${error.code}: ${error.message}`)

/** Each byte changed by one bit. */
function flipped(bytes) {
  return Array.from(bytes, (_, index) => bytes.map((byte, at) => (at === index ? byte ^ 1 : byte)))
}

test('what Rust made opens here', async () => {
  // A file that this run made, or the one in the repository.
  const file = process.env.ACCOUNT_KEYS_VECTORS ?? new URL('../../vectors/rust.json', import.meta.url)
  await open(JSON.parse(readFileSync(file, 'utf8')))
})

test('what was made here opens here', async () => {
  await open(JSON.parse(readFileSync(new URL('../../vectors/browser.json', import.meta.url), 'utf8')))
  await open(await make())
})

test('a wrap opens with its own secret, member, key, version and kind alone', async () => {
  for (const [kind, secret] of [['password', filled(6, 64)], ['recovery', filled(7)]]) {
    const wrapped = await keys.wrap(OF, kind, secret, filled(5))
    assert.deepEqual(await keys.unwrap(OF, kind, secret, wrapped), filled(5))
    for (const other of OTHERS) await assert.rejects(keys.unwrap(other, kind, secret, wrapped), code('wrap'))
    const wrong = kind === 'password' ? 'recovery' : 'password'
    await assert.rejects(keys.unwrap(OF, wrong, secret, wrapped), code('wrap'))
    for (const other of flipped(secret)) await assert.rejects(keys.unwrap(OF, kind, other, wrapped), code('wrap'))
    for (const ct of flipped(wrapped.ct)) {
      await assert.rejects(keys.unwrap(OF, kind, secret, { ...wrapped, ct }), code('wrap'))
    }
    for (const nonce of flipped(wrapped.nonce)) {
      await assert.rejects(keys.unwrap(OF, kind, secret, { ...wrapped, nonce }), code('wrap'))
    }
  }
})

test('possession is proven for one key and challenge', async () => {
  const member = await keys.memberKeys(filled(1))
  const proof = await keys.provePossession(OF, member, filled(4))
  await keys.verifyPossession(OF, member.publicKeys, filled(4), proof)
  for (const other of OTHERS) {
    await assert.rejects(keys.verifyPossession(other, member.publicKeys, filled(4), proof), code('possession'))
  }
  await assert.rejects(keys.verifyPossession(OF, member.publicKeys, filled(5), proof), code('possession'))
  for (const signature of flipped(proof)) {
    await assert.rejects(keys.verifyPossession(OF, member.publicKeys, filled(4), signature), code('possession'))
  }
})

test('a grant opens for its recipient, and nothing in it can be changed', async () => {
  const [granter, member, third] = await Promise.all([1, 2, 3].map((seed) => keys.memberKeys(filled(seed))))
  const { toMember: of, toKit } = grantsOf(OF, member.publicKeys, member.publicKeys.enc, uuid(21))
  const { sig } = granter.publicKeys
  const grant = await keys.sealGrant(of, filled(9), granter)
  assert.deepEqual(await keys.openGrant(of, grant, member.opening, sig), filled(9))
  const recipient = (change) => ({ ...of, recipient: { ...of.recipient, ...change } })
  for (const other of [
    { ...of, organization: uuid(99) },
    { ...of, version: 3 },
    { ...of, granterKeyId: uuid(99) },
    recipient({ user: uuid(99) }),
    recipient({ keyId: uuid(99) }),
    recipient({ publicKeys: { ...member.publicKeys, sig: third.publicKeys.sig } }),
    toKit,
  ]) {
    await assert.rejects(keys.openGrant(other, grant, member.opening, sig), code('grant_signature'))
  }
  for (const part of ['enc', 'ct', 'signature']) {
    for (const changed of flipped(grant[part])) {
      const other = { ...grant, [part]: changed }
      await assert.rejects(keys.openGrant(of, other, member.opening, sig), code('grant_signature'))
    }
  }
  await assert.rejects(keys.openGrant(of, grant, third.opening, sig), code('grant_recipient'))
  await assert.rejects(keys.openGrant(of, grant, member.opening, third.publicKeys.sig), code('grant_signature'))
  // Sealed to the same key for somebody else, and signed by somebody who may: the additional data tells.
  const elsewhere = await keys.sealGrant(recipient({ user: uuid(99) }), filled(9), granter)
  const { signature } = await keys.sealGrant(of, filled(9), granter)
  await assert.rejects(keys.openGrant(of, { ...elsewhere, signature }, member.opening, sig), code('grant_signature'))
  const weak = recipient({ publicKeys: { ...member.publicKeys, enc: filled(0) } })
  await assert.rejects(keys.sealGrant(weak, filled(9), granter), code('public_key'))
})

test('the chain leads back one version at a time', async () => {
  const link = await keys.sealPrevious(uuid(1), 3, filled(3), filled(2))
  assert.deepEqual(await keys.openPrevious(uuid(1), 3, filled(3), link), filled(2))
  await assert.rejects(keys.openPrevious(uuid(1), 3, filled(2), link), code('chain'))
  await assert.rejects(keys.openPrevious(uuid(1), 4, filled(3), link), code('chain'))
  await assert.rejects(keys.openPrevious(uuid(2), 3, filled(3), link), code('chain'))
  await assert.rejects(keys.sealPrevious(uuid(1), 1, filled(3), filled(2)), code('no_previous'))
})

test('kit words come back however they are typed, or it is said what is wrong', () => {
  const words = keys.kitWords(filled(0x5a)).split(' ')
  for (const typed of [words.join(' ').toUpperCase(), `\n\t ${words.join('\r\n  ')}\u00a0`]) {
    assert.deepEqual(keys.kitSecret(typed), filled(0x5a))
  }
  assert.throws(() => keys.kitSecret(words.slice(1).join(' ')), code('word_count'))
  const unknown = words.with?.(6, 'rollcall') ?? words.map((word, at) => (at === 6 ? 'rollcall' : word))
  assert.throws(() => keys.kitSecret(unknown.join(' ')), { message: 'Word 7 is not in the list of words.' })
  const swapped = [words[1], words[0], ...words.slice(2)]
  assert.throws(() => keys.kitSecret(swapped.join(' ')), code('words_checksum'))
})

test('the right password alone gives the export key', async () => {
  const with_ = await registered(OF, 'caf\u00e9 \ufb01ve')
  for (const typed of ['caf\u00e9 \ufb01ve', 'cafe\u0301 five']) {
    assert.deepEqual(await logIn(OF, with_, typed), with_.exportKey)
  }
  await assert.rejects(logIn(OF, with_, 'cafe five'), code('wrong_password'))
  const twin = { ...OF, organization: uuid(99) }
  await assert.rejects(logIn(OF, with_, 'caf\u00e9 five', STRETCHING, twin), code('wrong_password'))
  await assert.rejects(logIn(OF, with_, 'caf\u00e9 five', { ...STRETCHING, passes: 3 }), code('wrong_password'))
})

test('nothing is computed outside the bounds of the stretching', async () => {
  for (const change of [{ memoryKib: 19_455 }, { memoryKib: 1_048_577 }, { passes: 1 }, { lanes: 0 }, { passes: 2.5 }]) {
    await assert.rejects(registered(OF, 'a', { ...STRETCHING, ...change }), code('stretching'))
  }
  const with_ = await registered(OF, 'a')
  await assert.rejects(logIn(OF, with_, 'a', { ...STRETCHING, passes: 1 }), code('stretching'))
  await assert.rejects(logIn(OF, with_, 'a', {}), code('stretching'))
})

test('a password has something in it and an end', async () => {
  for (const typed of ['', 'x'.repeat(1025)]) await assert.rejects(registered(OF, typed), code('password_length'))
})

test('base64url is read strictly', () => {
  assert.equal(toBase64url(Uint8Array.of(0xfb, 0xff)), '-_8')
  assert.deepEqual(fromBase64url('-_8', 2, 'it'), Uint8Array.of(0xfb, 0xff))
  for (const text of ['-_8=', '+/8', '-_8\n', 'A', undefined, 7]) {
    assert.throws(() => fromBase64url(text, 2, 'it'), code('malformed'))
  }
  assert.throws(() => fromBase64url('-_8', 3, 'it'), { message: 'it has 2 bytes, and must have 3' })
  assert.deepEqual(canonical('a', 'b'), Uint8Array.of(0, 0, 0, 1, 97, 0, 0, 0, 1, 98))
})

test('strength counts what everybody would try', () => {
  assert.equal(strength('password1').score, 0)
  assert.equal(strength('wrestle-quorum-mellow-antler').score, 4)
  const name = strength('Ottilie Abendroth')
  assert.ok(strength('Ottilie Abendroth', ['Ottilie Abendroth', 'ottilie@example.com']).guessesLog10 < name.guessesLog10)
})
