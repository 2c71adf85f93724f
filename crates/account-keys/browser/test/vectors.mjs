// Every structure of the protocol once, as JSON: made by one implementation, opened by the other. The counterpart of
// tests/keys/vectors.rs.

import assert from 'node:assert/strict'

import { ready, server } from '@serenity-kit/opaque'

import { canonical, fromBase64url, random, toBase64url as text } from '../bytes.mjs'
import * as keys from '../keys.mjs'
import * as opaque from '../opaque.mjs'

const PASSWORD = 'Zw\u00f6lf Boxk\u00e4mpfer'
const STRETCHING = { memoryKib: 19_456, passes: 2, lanes: 1 }
const uuid = (number) => `0198a000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`

const read = (value, length) => fromBase64url(value, length, 'a vector')
const readSealed = ({ nonce, ct }) => ({ nonce: read(nonce, 12), ct: read(ct, 48) })
const readPublic = ({ enc, sig }) => ({ enc: read(enc, 32), sig: read(sig, 32) })
const readGrant = ({ enc, ct, signature }) => ({ enc: read(enc, 32), ct: read(ct, 48), signature: read(signature, 64) })
const written = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, text(value)]))

const sample = () => canonical('label/v1', '', 'z\u00fcrich', new Uint8Array(3))

export function grantsOf(accountKey, publicKeys, kitPublicKey, granterKeyId) {
  const { organization, user, keyId } = accountKey
  const toMember = { organization, version: 2, granterKeyId, recipient: { user, keyId, publicKeys } }
  return { toMember, toKit: { ...toMember, recipient: { kit: kitPublicKey } } }
}

/** What the server derives the OPRF key with. */
const credentialOf = ({ organization, user, keyId }) => `${organization}/${user}/${keyId}`

/** The package has the server's side, too. */
export async function registered(accountKey, typed, stretching = STRETCHING) {
  await ready
  const setup = server.createSetup()
  const registration = await opaque.beginRegistration(typed)
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: setup,
    userIdentifier: credentialOf(accountKey),
    registrationRequest: registration.registrationRequest,
  })
  return { setup, ...(await opaque.finishRegistration(registration, accountKey, registrationResponse, stretching)) }
}

/** The export key, after the server believed the login. */
export async function logIn(accountKey, { setup, record }, typed, stretching = STRETCHING, member = accountKey) {
  const login = await opaque.beginLogin(typed)
  const name = `${accountKey.organization}/${accountKey.user}`
  const identifiers = { client: name, server: 'rollcall' }
  const { serverLoginState, loginResponse } = server.startLogin({
    serverSetup: setup,
    userIdentifier: credentialOf(accountKey),
    registrationRecord: record,
    startLoginRequest: login.ke1,
    identifiers,
  })
  const { ke3, exportKey } = await opaque.finishLogin(login, member, loginResponse, stretching)
  server.finishLogin({ serverLoginState, finishLoginRequest: ke3, identifiers })
  return exportKey
}

/** A structure of each kind, of new secrets. */
export async function make() {
  const accountKey = { organization: uuid(1), user: uuid(10), keyId: uuid(11), version: 3 }
  const { organization, user } = accountKey
  const [accountSecret, kit, challenge] = [random(32), random(32), random(32)]
  const member = await keys.memberKeys(accountSecret)
  const proof = await keys.recoveryProof(kit, user)
  const { setup, record, exportKey } = await registered(accountKey, PASSWORD)

  const [granterSecret, first, second, kitSecret] = [random(32), random(32), random(32), random(32)]
  const granter = await keys.memberKeys(granterSecret)
  const kitKey = await keys.organizationKitKey(kitSecret, organization)
  const kitProof = await keys.organizationKitProof(kitSecret, organization)
  const { toMember, toKit } = grantsOf(accountKey, member.publicKeys, kitKey.publicBytes, uuid(21))
  return {
    canonical: text(sample()),
    accountKey,
    accountSecret: text(accountSecret),
    publicKeys: written(member.publicKeys),
    fingerprint: await keys.fingerprint(accountKey, member.publicKeys),
    challenge: text(challenge),
    possession: text(await keys.provePossession(accountKey, member, challenge)),
    opaque: { setup, password: PASSWORD, stretching: STRETCHING, record, exportKey: text(exportKey) },
    passwordWrap: written(await keys.wrap(accountKey, 'password', exportKey, accountSecret)),
    kit: {
      secret: text(kit),
      words: keys.kitWords(kit),
      proof: text(proof),
      verifier: text(await keys.recoveryVerifier(proof)),
    },
    recoveryWrap: written(await keys.wrap(accountKey, 'recovery', kit, accountSecret)),
    granter: {
      user: uuid(20),
      keyId: uuid(21),
      accountSecret: text(granterSecret),
      publicKeys: written(granter.publicKeys),
    },
    organizationKeys: [text(first), text(second)],
    grant: written(await keys.sealGrant(toMember, second, granter)),
    link: written(await keys.sealPrevious(organization, 2, second, first)),
    organizationKit: {
      secret: text(kitSecret),
      words: keys.kitWords(kitSecret),
      publicKey: text(kitKey.publicBytes),
      proof: text(kitProof),
      verifier: text(await keys.recoveryVerifier(kitProof)),
      grant: written(await keys.sealGrant(toKit, second, granter)),
    },
  }
}

/** Throws unless each structure is derived and opens as the protocol says. */
export async function open(made) {
  const { accountKey } = made
  assert.equal(made.canonical, text(sample()))
  const accountSecret = read(made.accountSecret, 32)
  const member = await keys.memberKeys(accountSecret)
  assert.deepEqual(made.publicKeys, written(member.publicKeys))
  assert.equal(made.fingerprint, await keys.fingerprint(accountKey, member.publicKeys))
  await keys.verifyPossession(accountKey, member.publicKeys, read(made.challenge, 32), read(made.possession, 64))

  const exportKey = await logIn(accountKey, made.opaque, made.opaque.password.normalize('NFD'), made.opaque.stretching)
  assert.equal(text(exportKey), made.opaque.exportKey)
  const opened = await keys.unwrap(accountKey, 'password', exportKey, readSealed(made.passwordWrap))
  assert.deepEqual(opened, accountSecret)

  const kit = keys.kitSecret(made.kit.words)
  assert.equal(text(kit), made.kit.secret)
  assert.equal(keys.kitWords(kit), made.kit.words)
  const proof = await keys.recoveryProof(kit, accountKey.user)
  assert.equal(text(proof), made.kit.proof)
  assert.equal(text(await keys.recoveryVerifier(proof)), made.kit.verifier)
  assert.deepEqual(await keys.unwrap(accountKey, 'recovery', kit, readSealed(made.recoveryWrap)), accountSecret)

  const granter = readPublic(made.granter.publicKeys)
  const [first, second] = made.organizationKeys.map((key) => read(key, 32))
  const kitSecret = keys.kitSecret(made.organizationKit.words)
  assert.equal(text(kitSecret), made.organizationKit.secret)
  const kitKey = await keys.organizationKitKey(kitSecret, accountKey.organization)
  assert.equal(text(kitKey.publicBytes), made.organizationKit.publicKey)
  const kitProof = await keys.organizationKitProof(kitSecret, accountKey.organization)
  assert.equal(text(kitProof), made.organizationKit.proof)
  assert.equal(text(await keys.recoveryVerifier(kitProof)), made.organizationKit.verifier)
  const { toMember, toKit } = grantsOf(accountKey, member.publicKeys, kitKey.publicBytes, made.granter.keyId)
  assert.deepEqual(await keys.openGrant(toMember, readGrant(made.grant), member.opening, granter.sig), second)
  assert.deepEqual(await keys.openGrant(toKit, readGrant(made.organizationKit.grant), kitKey, granter.sig), second)
  assert.deepEqual(await keys.openPrevious(accountKey.organization, 2, second, readSealed(made.link)), first)
}

export { STRETCHING, uuid }
