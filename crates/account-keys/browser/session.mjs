// What one member's browser holds and does: account secret, organization keys, and the methods that the page calls.
// Parameters and results are JSON: bytes are base64url. No secret is in a result, but for the words of a new kit.

import { KeyError, decimal, fromBase64url, id, random, toBase64url, wipe } from './bytes.mjs'
import * as keys from './keys.mjs'
import * as opaque from './opaque.mjs'

// --- JSON to bytes and back

function publicKeysOf(json, what = 'the public keys') {
  return { enc: fromBase64url(json?.enc, 32, `${what}: enc`), sig: fromBase64url(json?.sig, 32, `${what}: sig`) }
}

function sealedOf(json, what) {
  return { nonce: fromBase64url(json?.nonce, 12, `${what}: nonce`), ct: fromBase64url(json?.ct, 48, `${what}: ct`) }
}

function grantOf(json) {
  return {
    enc: fromBase64url(json?.enc, 32, 'the grant: enc'),
    ct: fromBase64url(json?.ct, 48, 'the grant: ct'),
    signature: fromBase64url(json?.signature, 64, 'the grant: signature'),
  }
}

/** `{ user, keyId, publicKeys }` */
function holderOf(json, what) {
  return {
    user: id(json?.user, `${what}: user`),
    keyId: id(json?.keyId, `${what}: keyId`),
    publicKeys: publicKeysOf(json?.publicKeys, what),
  }
}

/** Each field that is bytes as base64url. */
function json(object) {
  const text = (value) => (value instanceof Uint8Array ? toBase64url(value) : value)
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, text(value)]))
}

function accountKeyOf({ organization, user, keyId, version }) {
  decimal(version)
  return {
    organization: id(organization, 'the organization'),
    user: id(user, 'the user'),
    keyId: id(keyId, 'the key id'),
    version,
  }
}

/** One key of this holder, for the list of those that are known. */
function known({ user, keyId, publicKeys }) {
  return [user, keyId, toBase64url(publicKeys.enc), toBase64url(publicKeys.sig)].join(' ')
}

const METHODS = [
  'setUpBegin', 'setUpFinish', 'unlockBegin', 'unlockFinish', 'open', 'recoverBegin', 'recoverOpen',
  'changePasswordBegin', 'changePasswordFinish', 'newKit', 'fingerprint', 'createOrganizationKey', 'openGrant',
  'openPrevious', 'confirm', 'checkGrant', 'checkPossession', 'grantTo', 'rotate', 'newOrganizationKit', 'grantToKit', 'openOrganizationKit',
  'status', 'lock',
]

export class Session {
  /** What has begun and waits for the server: a registration, a login, or a kit. */
  #pending
  /** AS of the account key, and what is derived from it. */
  #accountSecret
  #accountKey
  #keys
  /** OK by version. */
  #organizationKeys = new Map()
  /** Holders whose keys this member vouches for, or whom one of these granted to. Opening a grant makes nobody one. */
  #confirmed = new Set()

  /** The result of a method that the page may call, by its name. */
  call(method, params) {
    if (!METHODS.includes(method)) throw new KeyError('method', `There is no method ${method}.`)
    return this[method](params ?? {})
  }

  // --- Set-up

  /** `{ password }` -> `{ registrationRequest }` */
  async setUpBegin({ password }) {
    const registration = await opaque.beginRegistration(password)
    this.#wait('setUp', registration)
    return { registrationRequest: registration.registrationRequest }
  }

  /**
   * `{ organization, user, keyId, version, challenge, registrationResponse, stretching }` -> `{ record, publicKeys,
   * possession, wraps: { password, recovery }, recoveryVerifier }` for the server, and `{ kitWords, fingerprint }`.
   * Unlocked from then on.
   */
  async setUpFinish({ challenge, registrationResponse, stretching, ...params }) {
    const of = accountKeyOf(params)
    const nonce = fromBase64url(challenge, 32, 'the challenge')
    const { registration } = this.#waiting('setUp')
    const { record, exportKey } = await opaque.finishRegistration(registration, of, registrationResponse, stretching)
    const accountSecret = random(32)
    await this.#unlock(of, accountSecret)
    const password = json(await keys.wrap(of, 'password', exportKey, accountSecret))
    wipe(exportKey)
    const { wrap: recovery, ...kit } = await this.newKit()
    return {
      record,
      publicKeys: json(this.#keys.publicKeys),
      possession: toBase64url(await keys.provePossession(of, this.#keys, nonce)),
      wraps: { password, recovery },
      ...kit,
      fingerprint: await keys.fingerprint(of, this.#keys.publicKeys),
    }
  }

  // --- Unlocking

  /** `{ password }` -> `{ ke1 }` */
  async unlockBegin({ password }) {
    const login = await opaque.beginLogin(password)
    this.#wait('unlock', login)
    return { ke1: login.ke1 }
  }

  /** `{ organization, user, ke2, stretching }` -> `{ ke3 }`, or the error `wrong_password`. */
  async unlockFinish({ organization, user, ke2, stretching }) {
    const { registration: login } = this.#waiting('unlock')
    const { ke3, exportKey } = await opaque.finishLogin(login, { organization, user }, ke2, stretching)
    this.#pending = { what: 'open', secret: exportKey }
    return { ke3 }
  }

  /**
   * `{ organization, user, keyId, version, wrap, publicKeys }` -> `{ publicKeys, fingerprint }`, after `unlockFinish`.
   * The error `public_keys`: the server shows others keys that are not this member's.
   */
  async open(params) {
    return this.#openWrap('password', 'open', params)
  }

  /** `{ words, user }` -> `{ proof }` */
  async recoverBegin({ words, user }) {
    const secret = keys.kitSecret(String(words))
    this.#forget()
    this.#pending = { what: 'recover', secret }
    return { proof: toBase64url(await keys.recoveryProof(secret, user)) }
  }

  /** `{ organization, user, keyId, version, wrap, publicKeys }` -> `{ publicKeys, fingerprint }`, after `recoverBegin`. */
  async recoverOpen(params) {
    return this.#openWrap('recovery', 'recover', params)
  }

  async #openWrap(kind, what, { wrap, publicKeys, ...params }) {
    const of = accountKeyOf(params)
    const wrapped = sealedOf(wrap, 'the wrap')
    const shown = publicKeysOf(publicKeys)
    const { secret } = this.#waiting(what)
    const accountSecret = await keys.unwrap(of, kind, secret, wrapped)
    wipe(secret)
    const { publicKeys: own } = await keys.memberKeys(accountSecret)
    if (!keys.same(own.enc, shown.enc) || !keys.same(own.sig, shown.sig)) {
      wipe(accountSecret)
      throw new KeyError('public_keys', 'The server has other public keys of this member than the account secret gives.')
    }
    await this.#unlock(of, accountSecret)
    return { publicKeys: json(own), fingerprint: await keys.fingerprint(of, own) }
  }

  // --- Another password, another kit

  /** `{ password }` -> `{ registrationRequest }` */
  async changePasswordBegin({ password }) {
    this.#unlocked()
    const registration = await opaque.beginRegistration(password)
    this.#wait('changePassword', registration)
    return { registrationRequest: registration.registrationRequest }
  }

  /** `{ registrationResponse, stretching }` -> `{ record, wrap }`, which take the place of the old ones. */
  async changePasswordFinish({ registrationResponse, stretching }) {
    const of = this.#unlocked()
    const { registration } = this.#waiting('changePassword')
    const { record, exportKey } = await opaque.finishRegistration(registration, of, registrationResponse, stretching)
    const wrap = json(await keys.wrap(of, 'password', exportKey, this.#accountSecret))
    wipe(exportKey)
    return { record, wrap }
  }

  /** -> `{ wrap, recoveryVerifier }`, which take the place of the old ones, and `{ kitWords }` */
  async newKit() {
    const of = this.#unlocked()
    const kit = random(32)
    const result = {
      wrap: json(await keys.wrap(of, 'recovery', kit, this.#accountSecret)),
      recoveryVerifier: toBase64url(await keys.recoveryVerifier(await keys.recoveryProof(kit, of.user))),
      kitWords: keys.kitWords(kit),
    }
    wipe(kit)
    return result
  }

  // --- Organization keys

  /** `{ organization, user, publicKeys }` -> `{ words }` */
  async fingerprint({ organization, user, publicKeys }) {
    return { words: await keys.fingerprint({ organization, user }, publicKeysOf(publicKeys)) }
  }

  /** -> `{ version: 1, grant, kit: { publicKey, verifier, grant } }` for the server, and `{ kitWords }` */
  async createOrganizationKey() {
    this.#unlocked()
    if (this.#organizationKeys.size > 0) throw new KeyError('exists', 'The organization has a key already.')
    this.#organizationKeys.set(1, random(32))
    const { kitWords, ...kit } = await this.newOrganizationKit()
    return { version: 1, grant: await this.#seal(1, this.#self()), kit, kitWords }
  }

  /** -> `{ version, publicKey, verifier, grant }`, which take the place of the old ones, and `{ kitWords }` */
  async newOrganizationKit() {
    const { organization } = this.#unlocked()
    const version = this.#newest()
    const secret = random(32)
    const kitWords = keys.kitWords(secret)
    const { publicBytes } = await keys.organizationKitKey(secret, organization)
    const verifier = await keys.recoveryVerifier(await keys.organizationKitProof(secret, organization))
    wipe(secret)
    const grant = await this.#seal(version, { kit: publicBytes })
    return { version, publicKey: toBase64url(publicBytes), verifier: toBase64url(verifier), grant, kitWords }
  }

  /**
   * `{ version, grant, granter: { user, keyId, publicKeys } }` -> `{ version, granterFingerprint, confirmed }`, the last
   * as in `grantTo`. The error `organization_key`: this version is open already, and is another key.
   */
  async openGrant({ version, grant, granter }) {
    const { organization } = this.#unlocked()
    const by = holderOf(granter, 'the granter')
    const of = { organization, version, granterKeyId: by.keyId, recipient: this.#self() }
    const key = await keys.openGrant(of, grantOf(grant), this.#keys.opening, by.publicKeys.sig)
    return this.#opened(version, key, by)
  }

  /** `{ version, link }` -> `{ version }`, one less: the key before one that is open. */
  async openPrevious({ version, link }) {
    const { organization } = this.#unlocked()
    const key = this.#organizationKey(version)
    const previous = await keys.openPrevious(organization, version, key, sealedOf(link, 'the chain'))
    this.#hold(version - 1, previous)
    return { version: version - 1 }
  }

  /** `{ member: { user, keyId, publicKeys } }` -> `{ fingerprint }`, after people have compared it. */
  async confirm({ member }) {
    const { organization } = this.#unlocked()
    const holder = holderOf(member, 'the member')
    this.#confirmed.add(known(holder))
    return { fingerprint: await keys.fingerprint({ organization, user: holder.user }, holder.publicKeys) }
  }

  /**
   * `{ version, grant, granter, member }`, the last two `{ user, keyId, publicKeys }` -> `{ confirmed }`: whether who
   * granted is confirmed. Then the member is, too: with these keys, which the grant's signature names.
   */
  async checkGrant({ version, grant, granter, member }) {
    const { organization } = this.#unlocked()
    const [by, recipient] = [holderOf(granter, 'the granter'), holderOf(member, 'the member')]
    const of = { organization, version, granterKeyId: by.keyId, recipient }
    await keys.verifyGrant(of, grantOf(grant), by.publicKeys.sig)
    const confirmed = this.#confirmed.has(known(by))
    if (confirmed) this.#confirmed.add(known(recipient))
    return { confirmed }
  }

  /**
   * `{ member: { user, keyId, version, publicKeys }, challenge, possession }` -> `{}`. The error `possession`: whoever
   * sent these keys has not got them.
   */
  async checkPossession({ member, challenge, possession }) {
    const { organization } = this.#unlocked()
    const of = accountKeyOf({ organization, ...member })
    const [asked, proof] = [fromBase64url(challenge, 32, 'the challenge'), fromBase64url(possession, 64, 'the proof')]
    await keys.verifyPossession(of, publicKeysOf(member?.publicKeys), asked, proof)
    return {}
  }

  /**
   * `{ member: { user, keyId, publicKeys }, version? }` -> `{ version, grant, fingerprint, confirmed }`. Unless
   * `confirmed`, nobody has vouched for these keys: the fingerprint is to be compared before the grant is sent.
   */
  async grantTo({ member, version = this.#newest() }) {
    const { organization } = this.#unlocked()
    const recipient = holderOf(member, 'the member')
    const confirmed = this.#confirmed.has(known(recipient))
    return {
      version,
      grant: await this.#seal(version, recipient),
      fingerprint: await keys.fingerprint({ organization, user: recipient.user }, recipient.publicKeys),
      confirmed,
    }
  }

  /** -> `{ version, link, grant }`: the next version, the chain to the one before, and the grant to oneself. */
  async rotate() {
    const { organization } = this.#unlocked()
    const before = this.#newest()
    const [version, key] = [before + 1, random(32)]
    const link = json(await keys.sealPrevious(organization, version, key, this.#organizationKey(before)))
    this.#organizationKeys.set(version, key)
    return { version, link, grant: await this.#seal(version, this.#self()) }
  }

  /**
   * `{ publicKey, previous: { version, grant, granter } }` -> `{ version, grant }`: the newest key for the kit that
   * there is, by whose last copy its public key is known. The error `not_confirmed`: it is not, a new kit is needed.
   */
  async grantToKit({ publicKey, previous }) {
    const { organization } = this.#unlocked()
    const version = this.#newest()
    const recipient = { kit: fromBase64url(publicKey, 32, "the kit's public key") }
    const by = holderOf(previous?.granter, 'the granter')
    const of = { organization, version: previous.version, granterKeyId: by.keyId, recipient }
    await keys.verifyGrant(of, grantOf(previous.grant), by.publicKeys.sig)
    if (!this.#confirmed.has(known(by))) {
      throw new KeyError('not_confirmed', 'Nobody known vouches for the public key of the organization kit: make a new kit.')
    }
    return { version, grant: await this.#seal(version, recipient) }
  }

  /**
   * `{ words, publicKey, version, grant, granter }` -> as `openGrant`, with `{ proof }` of having the kit and `{ ownGrant }` to
   * oneself: where no administrator is left who has the key. The error `another_kit`.
   */
  async openOrganizationKit({ words, publicKey, version, grant, granter }) {
    const { organization } = this.#unlocked()
    const by = holderOf(granter, 'the granter')
    const secret = keys.kitSecret(String(words))
    const opening = await keys.organizationKitKey(secret, organization)
    const proof = await keys.organizationKitProof(secret, organization)
    wipe(secret)
    if (!keys.same(opening.publicBytes, fromBase64url(publicKey, 32, "the kit's public key"))) {
      throw new KeyError('another_kit', "These are not the words of the organization's newest kit. Your own kit does not open it.")
    }
    const of = { organization, version, granterKeyId: by.keyId, recipient: { kit: opening.publicBytes } }
    const key = await keys.openGrant(of, grantOf(grant), opening, by.publicKeys.sig)
    const opened = await this.#opened(version, key, by)
    return { ...opened, proof: toBase64url(proof), ownGrant: await this.#seal(version, this.#self()) }
  }

  async #opened(version, key, granter) {
    const { organization } = this.#accountKey
    this.#hold(version, key)
    return {
      version,
      granterFingerprint: await keys.fingerprint({ organization, user: granter.user }, granter.publicKeys),
      confirmed: this.#confirmed.has(known(granter)),
    }
  }

  #hold(version, key) {
    const held = this.#organizationKeys.get(version)
    if (held && !keys.same(held, key)) {
      throw new KeyError('organization_key', `Version ${version} of the organization key is another than the one that is open.`)
    }
    this.#organizationKeys.set(version, key)
  }

  // --- What is held

  /** -> `{ unlocked, versions }`: of the organization keys that are open, in order. */
  async status() {
    const versions = [...this.#organizationKeys.keys()].sort((a, b) => a - b)
    return { unlocked: this.#accountKey !== undefined, versions }
  }

  /** -> `{}`. Nothing is held from then on. */
  async lock() {
    this.#forget()
    wipe(this.#accountSecret, ...this.#organizationKeys.values())
    this.#accountSecret = this.#accountKey = this.#keys = undefined
    this.#organizationKeys.clear()
    this.#confirmed.clear()
    return {}
  }

  async #unlock(of, accountSecret) {
    const derived = await keys.memberKeys(accountSecret)
    await this.lock()
    this.#accountSecret = accountSecret
    this.#accountKey = of
    this.#keys = derived
    this.#confirmed.add(known(this.#self()))
  }

  /** The account key; an error if it is not open. */
  #unlocked() {
    if (!this.#accountKey) throw new KeyError('locked', 'The account is locked: unlock it first.')
    return this.#accountKey
  }

  #self() {
    const { user, keyId } = this.#accountKey
    return { user, keyId, publicKeys: this.#keys.publicKeys }
  }

  #organizationKey(version) {
    const key = this.#organizationKeys.get(version)
    if (!key) throw new KeyError('no_organization_key', `Version ${version} of the organization key is not open.`)
    return key
  }

  #newest() {
    if (this.#organizationKeys.size > 0) return Math.max(...this.#organizationKeys.keys())
    throw new KeyError('no_organization_key', 'No version of the organization key is open.')
  }

  async #seal(version, recipient) {
    const { organization, keyId: granterKeyId } = this.#accountKey
    const of = { organization, version, granterKeyId, recipient }
    return json(await keys.sealGrant(of, this.#organizationKey(version), this.#keys))
  }

  #wait(what, registration) {
    this.#forget()
    this.#pending = { what, registration }
  }

  /** What was begun by this name, once. */
  #waiting(what) {
    const pending = this.#pending
    if (pending?.what !== what) throw new KeyError('order', 'This was not begun, or something else was begun since.')
    this.#pending = undefined
    return pending
  }

  #forget() {
    wipe(this.#pending?.secret)
    this.#pending = undefined
  }
}
