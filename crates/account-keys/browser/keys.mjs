// The keys of members and of organizations, by the protocol of docs/account-keys.md, over WebCrypto. Bytes are
// Uint8Arrays; ids and versions are as in JSON. Nothing here is sent or stored.
//
//   member     { organization, user }
//   accountKey { organization, user, keyId, version }
//   publicKeys { enc, sig }                             32 bytes each
//   grantOf    { organization, version, granterKeyId, recipient }
//   recipient  { user, keyId, publicKeys } or { kit: enc }

import { Chacha20Poly1305 } from '@hpke/chacha20poly1305'
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'

import { KeyError, bytes, canonical, concat, decimal, fromBase64url, id, random, wipe } from './bytes.mjs'

const subtle = crypto.subtle
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
})

/** HKDF-SHA256, 32 bytes. An empty salt is no salt. */
export async function hkdf(key, salt, info) {
  const material = await subtle.importKey('raw', key, 'HKDF', false, ['deriveBits'])
  const parameters = { name: 'HKDF', hash: 'SHA-256', salt: bytes(salt), info: bytes(info) }
  return new Uint8Array(await subtle.deriveBits(parameters, material, 256))
}

async function sha256(data) {
  return new Uint8Array(await subtle.digest('SHA-256', data))
}

// --- Keys of a member

// A private key of 32 bytes is imported as PKCS #8: this, then the bytes (RFC 8410).
const PKCS8 = {
  X25519: [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20],
  Ed25519: [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
}

async function privateKey(algorithm, seed, extractable, usages) {
  const pkcs8 = concat(Uint8Array.from(PKCS8[algorithm]), seed)
  const key = await subtle.importKey('pkcs8', pkcs8, algorithm, extractable, usages)
  wipe(pkcs8)
  return key
}

/** X25519: `{ privateKey, publicKey, publicBytes }`. Not every browser exports a key that came without its public half. */
async function openingKey(seed) {
  const key = await privateKey('X25519', seed, false, ['deriveBits'])
  wipe(seed)
  const basePoint = await subtle.importKey('raw', Uint8Array.of(9, ...new Uint8Array(31)), 'X25519', true, [])
  const publicBytes = new Uint8Array(await subtle.deriveBits({ name: 'X25519', public: basePoint }, key, 256))
  return { privateKey: key, publicKey: await suite.kem.deserializePublicKey(publicBytes), publicBytes }
}

/** Ed25519: `{ privateKey, publicBytes }` */
async function signingKey(seed) {
  const { x } = await subtle.exportKey('jwk', await privateKey('Ed25519', seed, true, ['sign']))
  const key = await privateKey('Ed25519', seed, false, ['sign'])
  wipe(seed)
  return { privateKey: key, publicBytes: fromBase64url(x, 32, 'the public key') }
}

/** What a member opens and signs with: `{ opening, signing, publicKeys }`. */
export async function memberKeys(accountSecret) {
  const opening = await openingKey(await hkdf(accountSecret, '', 'enc/v1'))
  const signing = await signingKey(await hkdf(accountSecret, '', 'sig/v1'))
  return {
    opening,
    signing: signing.privateKey,
    publicKeys: { enc: opening.publicBytes, sig: signing.publicBytes },
  }
}

async function sign(keys, message) {
  return new Uint8Array(await subtle.sign('Ed25519', keys.signing, message))
}

async function verify(publicKey, message, signature) {
  try {
    const key = await subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify'])
    return await subtle.verify('Ed25519', key, signature, message)
  } catch {
    return false
  }
}

// --- Proof of possession

function possessionMessage(of, publicKeys, challenge) {
  return canonical('account-key/v1', ...accountKeyFields(of), challenge, publicKeys.enc, publicKeys.sig)
}

function accountKeyFields(of) {
  return [
    id(of.organization, 'the organization'),
    id(of.user, 'the user'),
    id(of.keyId, 'the key id'),
    decimal(of.version),
  ]
}

export async function provePossession(of, keys, challenge) {
  return sign(keys, possessionMessage(of, keys.publicKeys, challenge))
}

export async function verifyPossession(of, publicKeys, challenge, signature) {
  if (await verify(publicKeys.sig, possessionMessage(of, publicKeys, challenge), signature)) return
  throw new KeyError('possession', 'The proof of possession was not made by this key for this account key and challenge.')
}

// --- Fingerprint phrase

/** Eight words: two people who see the same ones see the same keys. */
export async function fingerprint(member, publicKeys) {
  const ids = [id(member.organization, 'the organization'), id(member.user, 'the user')]
  const digest = await sha256(canonical('fingerprint/v1', ...ids, publicKeys.enc, publicKeys.sig))
  // The first 88 bits, most significant first, are eight numbers of 11.
  let bits = 0n
  for (const byte of digest.subarray(0, 11)) bits = (bits << 8n) | BigInt(byte)
  const words = []
  for (let place = 7n; place >= 0n; place--) words.push(wordlist[Number((bits >> (11n * place)) & 0x7ffn)])
  return words.join(' ')
}

// --- AES-256-GCM

async function seal(key, additionalData, secret) {
  const nonce = random(12)
  const aes = await subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt'])
  const ct = await subtle.encrypt({ name: 'AES-GCM', iv: nonce, additionalData }, aes, secret)
  wipe(key)
  return { nonce, ct: new Uint8Array(ct) }
}

async function open(key, additionalData, { nonce, ct }, wrong) {
  const aes = await subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt'])
  wipe(key)
  try {
    return new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv: nonce, additionalData }, aes, ct))
  } catch {
    throw wrong
  }
}

// --- Wraps. `kind` is password or recovery; `secret` is the export key or the kit secret.

function wrapData(of, kind) {
  return canonical('wrap/v1', ...accountKeyFields(of), kind)
}

/** `{ nonce, ct }` */
export async function wrap(of, kind, secret, accountSecret) {
  return seal(await hkdf(secret, of.user, `kek/${kind}/v1`), wrapData(of, kind), accountSecret)
}

/** The account secret. */
export async function unwrap(of, kind, secret, wrapped) {
  const wrong = new KeyError(
    'wrap',
    `The ${kind} wrap does not open: it is of another secret or member, of another key or version, or damaged.`,
  )
  return open(await hkdf(secret, of.user, `kek/${kind}/v1`), wrapData(of, kind), wrapped, wrong)
}

// --- Kits

/** 24 words, with single spaces between them. */
export function kitWords(secret) {
  return entropyToMnemonic(secret, wordlist)
}

/** The 32 bytes of 24 words, typed in any case and with any white space. */
export function kitSecret(typed) {
  const words = typed.toLowerCase().split(/\s+/u).filter(Boolean)
  if (words.length !== 24) throw new KeyError('word_count', `The kit has 24 words, and here are ${words.length}.`)
  const unknown = words.findIndex((word) => !wordlist.includes(word))
  if (unknown >= 0) {
    // The word itself is not told: it may be nearly right.
    throw new KeyError('unknown_word', `Word ${unknown + 1} is not in the list of words.`)
  }
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch {
    throw new KeyError(
      'words_checksum',
      'The words do not belong together: one of them is another than in the kit, or their order is.',
    )
  }
}

/** What the server releases the recovery wrap for. */
export async function recoveryProof(kit, user) {
  return hkdf(kit, id(user, 'the user'), 'auth/recovery/v1')
}

/** What the server keeps of a proof. */
export async function recoveryVerifier(proof) {
  return sha256(proof)
}

/** What opens copies that are sealed to an organization's kit. */
export async function organizationKitKey(kit, organization) {
  return openingKey(await hkdf(kit, id(organization, 'the organization'), 'org-kit/v1'))
}

/** What the server takes a grant to oneself for. Its verifier is `recoveryVerifier`. */
export async function organizationKitProof(kit, organization) {
  return hkdf(kit, id(organization, 'the organization'), 'auth/org-kit/v1')
}

// --- Grants

const INFO = bytes('org-key/v1')

/** Organization, user, version, key id, and the public keys that it is for. */
function grantFields(of) {
  const { recipient } = of
  const kit = recipient.kit !== undefined
  return {
    ids: [
      id(of.organization, 'the organization'),
      kit ? 'kit' : id(recipient.user, 'the user'),
      decimal(of.version),
      kit ? 'kit' : id(recipient.keyId, 'the key id'),
    ],
    enc: kit ? recipient.kit : recipient.publicKeys.enc,
    sig: kit ? new Uint8Array() : recipient.publicKeys.sig,
  }
}

function grantMessage(of, { enc, ct }) {
  const fields = grantFields(of)
  const granter = id(of.granterKeyId, "the granter's key id")
  return canonical('grant/v1', ...fields.ids, fields.enc, fields.sig, enc, ct, granter)
}

/** `{ enc, ct, signature }`: the key sealed to the recipient, and signed by the granter. */
export async function sealGrant(of, organizationKey, granter) {
  const fields = grantFields(of)
  let sealed
  try {
    const recipientPublicKey = await suite.kem.deserializePublicKey(fields.enc)
    sealed = await suite.seal({ recipientPublicKey, info: INFO }, organizationKey, canonical('org-key/v1', ...fields.ids))
  } catch {
    throw new KeyError('public_key', "The recipient's encryption key is not a usable public key.")
  }
  const grant = { enc: new Uint8Array(sealed.enc), ct: new Uint8Array(sealed.ct) }
  return { ...grant, signature: await sign(granter, grantMessage(of, grant)) }
}

/** Whether the granter made it, for exactly this. */
export async function verifyGrant(of, grant, granterSig) {
  if (await verify(granterSig, grantMessage(of, grant), grant.signature)) return
  throw new KeyError('grant_signature', 'The grant was not signed by this granter for this recipient, key and version.')
}

/** The organization key, after the granter's signature has verified. */
export async function openGrant(of, grant, recipientKey, granterSig) {
  const fields = grantFields(of)
  if (!same(recipientKey.publicBytes, fields.enc)) {
    throw new KeyError('grant_recipient', 'The grant was made for another public key than this one.')
  }
  await verifyGrant(of, grant, granterSig)
  try {
    const opener = { recipientKey, enc: grant.enc, info: INFO }
    const key = new Uint8Array(await suite.open(opener, grant.ct, canonical('org-key/v1', ...fields.ids)))
    if (key.length === 32) return key
  } catch {
    // The same as another length.
  }
  throw new KeyError(
    'grant_sealed',
    'The grant does not open with this key: it was sealed for another recipient, organization or version.',
  )
}

/** Takes no constant time: for values that nobody can try others against. */
export function same(a, b) {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

// --- The chain of organization keys

const CHAIN = 'org-key/previous/v1'

function chainData(organization, version) {
  if (version < 2) {
    throw new KeyError('no_previous', `Version ${version} of an organization key has no previous version.`)
  }
  return canonical(CHAIN, id(organization, 'the organization'), decimal(version))
}

/** `{ nonce, ct }`: `previous` for who has `organizationKey`, which is of this version. */
export async function sealPrevious(organization, version, organizationKey, previous) {
  const data = chainData(organization, version)
  return seal(await hkdf(organizationKey, '', CHAIN), data, previous)
}

/** The key of the version before. */
export async function openPrevious(organization, version, organizationKey, link) {
  const wrong = new KeyError(
    'chain',
    'The chain does not open: it is of another organization key, organization or version, or damaged.',
  )
  const data = chainData(organization, version)
  return open(await hkdf(organizationKey, '', CHAIN), data, link, wrong)
}
