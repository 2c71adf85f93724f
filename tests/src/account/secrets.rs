//! What was secret in the browsers, from what is known of them: passwords and kits open what the browsers sent, and each thing that opens
//! gives the next. Nothing is asked of the product for it, so no product has a way to tell.
//!
//! Whatever was sent has to open, or something would not be looked for.

use std::collections::BTreeMap;

use account_keys::{
    AccountKey, AccountSecret, ChainLink, Grant, GrantOf, KitSecret, Member, MemberKeys, OrganizationKey,
    OrganizationKitSecret, PublicKeys, Recipient, Stretching, Wrap, canonical,
    opaque::{
        client::{ExportKey, Login, Password},
        server::{self, Setup},
    },
};
use anyhow::{Context as _, Result, anyhow, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::Value;
use sha2::Sha256;
use testkit::{process::Deployment, relay::Exchange};
use uuid::Uuid;

use super::search::Secret;

/// What is before an X25519 or Ed25519 private key in PKCS #8.
const PKCS8: [[u8; 16]; 2] = [
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20],
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
];

/// The OPAQUE set-up of a deployment, from its file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn set_up_of(deployment: &Deployment) -> Result<Setup> {
    let text = std::fs::read_to_string(deployment.data_dir().join("opaque.key"))?;
    let key = text.trim().strip_prefix("rc_opaque_").context("the OPAQUE key has another form")?;
    Ok(Setup::from_bytes(&URL_SAFE_NO_PAD.decode(key)?)?)
}

pub(crate) fn random(bytes: &mut [u8]) {
    // A test without randomness has to stop.
    getrandom::fill(bytes).unwrap_or_else(|_| std::process::abort());
}

/// What the password gives with this record at this server; `None`: it is another one. Both sides are played here.
pub(crate) fn log_in(
    set_up: &Setup,
    of: &AccountKey,
    record: &[u8; 192],
    stretching: &Stretching,
    password: &str,
) -> Result<Option<ExportKey>> {
    let (login, ke1) = Login::begin(Password::new(password)?, &mut random)?;
    let (ke2, _) = server::begin_login(set_up, &of.member, of.key_id, Some(record), &ke1, &mut random)?;
    match login.finish(&of.member, &ke2, stretching, &mut random) {
        Ok(done) => Ok(Some(done.export_key)),
        Err(account_keys::Error::WrongPassword) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All that was found out.
#[derive(Default)]
pub(crate) struct Derived {
    pub(crate) secrets: Vec<Secret>,
    /// Of those that the server took. Everybody may see them: where one is not found, nothing else would be.
    pub(crate) public_keys: Vec<[u8; 32]>,
    /// Of the organization, how many.
    pub(crate) organization_keys: usize,
}

/// One of the account page.
struct Call {
    taken: bool,
    body: Value,
    answer: Value,
}

impl Call {
    /// What was refused was sent, too, but need not open.
    fn opened<T>(&self, opened: Result<T>) -> Result<Option<T>> {
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(_) if !self.taken => Ok(None),
            Err(error) => Err(error.context(format!("what was sent: {}", self.body))),
        }
    }
}

struct Account {
    of: AccountKey,
    secret: AccountSecret,
    public: PublicKeys,
}

struct Sent<'a> {
    told: &'a [String],
    set_up: &'a Setup,
    organization: Uuid,
    users: Vec<Uuid>,
    /// By key id.
    versions: BTreeMap<Uuid, u32>,
    accounts: Vec<Account>,
    derived: Derived,
}

/// From everything that browsers sent to a deployment with this set-up, and the passwords and kits that people know.
///
/// # Errors
/// If something that was sent does not open.
pub(crate) fn derive(exchanges: &[Exchange], told: &[String], set_up: &Setup) -> Result<Derived> {
    let calls = |by: &str, call: &str| -> Vec<Call> {
        let path = format!("/account/{by}/{call}");
        let own = exchanges.iter().filter(|one| one.method == "POST" && one.path.split('?').next() == Some(&path));
        let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_default();
        own.map(|one| Call { taken: one.status == 200, body: json(&one.body), answer: json(&one.answer) }).collect()
    };
    let (of, of_agents) = (|call: &str| calls("api", call), |call: &str| calls("agent", call));
    let sessions = of("session");
    let organization = sessions.iter().find_map(|call| uuid(&call.answer["organization"]).ok());
    let mut users: Vec<Uuid> = sessions.iter().filter_map(|call| uuid(&call.answer["user"]).ok()).collect();
    users.sort_unstable();
    users.dedup();
    let begun = of("set-up/begin");
    let version =
        |answer: &Value| Some((uuid(&answer["keyId"]).ok()?, u32::try_from(answer["version"].as_u64()?).ok()?));
    let mut sent = Sent {
        told,
        set_up,
        organization: organization.context("nobody had a session")?,
        users,
        versions: begun.iter().filter_map(|call| version(&call.answer)).collect(),
        accounts: Vec::new(),
        derived: Derived::default(),
    };
    for text in told {
        let secret = match kit(text) {
            Some(_) => Secret::words(format!("the words of the kit that begins with {:.12}", text), text),
            None => Secret::text(format!("the password {text:?}"), text),
        };
        sent.derived.secrets.push(secret);
    }
    for call in of("set-up/finish") {
        let public = call.opened(sent.set_up(&call.body))?;
        if let Some(PublicKeys { enc, sig }) = public.filter(|_| call.taken) {
            sent.derived.public_keys.extend([enc, sig]);
        }
    }
    for call in of("password/finish") {
        call.opened(sent.password_changed(&call.body))?;
    }
    for call in of_agents("self").iter().chain(&of_agents("enroll")) {
        sent.agent(&call.answer);
    }
    let together = |own: &str| of(own).into_iter().chain(of_agents(own)).collect::<Vec<_>>();
    let (created, rotated) = (of("organization-key/create"), together("organization-key/rotate"));
    let (recovered, confirmed) = (of("organization-key/recover"), together("members/confirm"));
    let mut keys: BTreeMap<u64, OrganizationKey> = BTreeMap::new();
    for call in created.iter().chain(&rotated).chain(&recovered).chain(&confirmed) {
        let own = call.body["grant"].is_object().then(|| call.body["grant"].clone());
        for grant in call.body["grants"].as_array().into_iter().flatten().chain(&own) {
            let Some((version, key)) = call.opened(sent.granted(grant))? else { continue };
            let known = keys.entry(version).or_insert_with(|| key.clone());
            call.opened(if *known == key { Ok(()) } else { Err(anyhow!("another key of version {version}")) })?;
        }
    }
    for call in created.iter().chain(&rotated) {
        call.opened(sent.kept_for_kit(&call.body, &keys))?;
    }
    for call in &rotated {
        call.opened(sent.chained(&call.body, &keys))?;
    }
    sent.derived.organization_keys = keys.len();
    for (version, key) in &keys {
        sent.keep(format!("the organization key, version {version}"), key.expose());
        sent.keep("what encrypts the organization key before", &hkdf(key.expose(), "", "org-key/previous/v1")?);
    }
    Ok(sent.derived)
}

impl Sent<'_> {
    fn keep(&mut self, name: impl Into<String>, bytes: &[u8]) {
        self.derived.secrets.push(Secret::bytes(name, bytes));
    }

    /// Its keys, which were sent, and its secret, which stands in its own file.
    fn agent(&mut self, itself: &Value) {
        let ids = (uuid(&itself["agent"]), uuid(&itself["keyId"]), itself["version"].as_u64());
        let (Ok(user), Ok(key_id), Some(version)) = ids else { return };
        let public = &itself["key"]["publicKeys"];
        let (Ok(enc), Ok(sig)) = (bytes(&public["enc"]), bytes(&public["sig"])) else { return };
        let known = self.accounts.iter().any(|account| account.of.key_id == key_id);
        let secret = self.told.iter().filter_map(|text| bytes::<32>(&Value::from(text.as_str())).ok());
        let secret =
            secret.map(AccountSecret::from_bytes).find(|secret| MemberKeys::derive(secret).public().sig == sig);
        let (false, Some(secret), Ok(version)) = (known, secret, u32::try_from(version)) else { return };
        self.keep("the account secret of an agent", secret.expose());
        let of = AccountKey { member: Member { organization: self.organization, user }, key_id, version };
        self.accounts.push(Account { of, secret, public: PublicKeys { enc, sig } });
    }

    /// Keys, and both wraps of their secret.
    fn set_up(&mut self, body: &Value) -> Result<PublicKeys> {
        let key_id = uuid(&body["keyId"])?;
        let version = *self.versions.get(&key_id).context("nobody was told of this key id")?;
        let wrap = wrap(&body["wraps"]["recovery"])?;
        let candidates = self.users.iter().map(|&user| AccountKey {
            member: Member { organization: self.organization, user },
            key_id,
            version,
        });
        let opened = candidates.flat_map(|of| self.told.iter().filter_map(move |text| Some((of, kit(text)?))));
        let opened = opened.map(|(of, kit)| (of, wrap.open_with_kit(&of, &kit), kit));
        let (of, secret, kit) =
            { opened }.find_map(|(of, secret, kit)| Some((of, secret.ok()?, kit))).context("no kit opens it")?;
        let keys = MemberKeys::derive(&secret);
        let public = PublicKeys { enc: bytes(&body["publicKeys"]["enc"])?, sig: bytes(&body["publicKeys"]["sig"])? };
        ensure!(keys.public() == public, "its public keys are others");
        self.kept_by_kit(&of, &kit, &wrap, &secret)?;
        let password = self.kept_by_password(&of, &body["record"], &body["wraps"]["password"], &secret)?;
        let [enc, sig] = [hkdf(secret.expose(), "", "enc/v1")?, hkdf(secret.expose(), "", "sig/v1")?];
        let pair = Ed25519KeyPair::from_seed_unchecked(&sig).map_err(|_| anyhow!("no Ed25519 seed"))?;
        ensure!(pair.public_key().as_ref() == public.sig, "the Ed25519 seed is another");
        let point = curve25519_dalek::MontgomeryPoint::mul_base_clamped(enc);
        ensure!(point.0 == public.enc, "the X25519 scalar is another");
        self.keep(format!("the account secret behind {password:?}"), secret.expose());
        for (name, private, before) in [("X25519 scalar", enc, PKCS8[0]), ("Ed25519 seed", sig, PKCS8[1])] {
            self.keep(format!("the {name} behind {password:?}"), &private);
            // Not the beginning, which is the same for all.
            let pkcs8 = [&before[..], &private].concat();
            self.keep(format!("the PKCS #8 of the {name} behind {password:?}"), &pkcs8[before.len() - 7..]);
        }
        self.accounts.push(Account { of, secret, public });
        Ok(public)
    }

    fn password_changed(&mut self, body: &Value) -> Result<()> {
        let accounts: Vec<_> = self.accounts.iter().map(|account| (account.of, account.secret.clone())).collect();
        let opened = accounts
            .into_iter()
            .find(|(of, secret)| self.kept_by_password(of, &body["record"], &body["wrap"], secret).is_ok());
        let (of, secret) = opened.context("no password opens it")?;
        if body["kit"].is_object() {
            let wrap = wrap(&body["kit"]["wrap"])?;
            let kit = self.told.iter().filter_map(|text| kit(text)).find(|kit| wrap.open_with_kit(&of, kit).is_ok());
            self.kept_by_kit(&of, &kit.context("no kit opens it")?, &wrap, &secret)?;
        }
        Ok(())
    }

    fn kept_by_kit(&mut self, of: &AccountKey, kit: &KitSecret, wrapped: &Wrap, secret: &AccountSecret) -> Result<()> {
        let kek = hkdf(kit.expose(), &of.member.user.to_string(), "kek/recovery/v1")?;
        opens(&kek, of, "recovery", wrapped, secret)?;
        self.keep("the bytes of a kit", kit.expose());
        self.keep("what the recovery wrap opens with", &kek);
        Ok(())
    }

    /// The password.
    fn kept_by_password(
        &mut self,
        of: &AccountKey,
        record: &Value,
        wrapped: &Value,
        secret: &AccountSecret,
    ) -> Result<String> {
        let (record, wrapped) = (bytes::<192>(record)?, wrap(wrapped)?);
        for password in self.told.iter().filter(|text| kit(text).is_none()) {
            let Some(export_key) = log_in(self.set_up, of, &record, &Stretching::RECOMMENDED, password)? else {
                continue;
            };
            ensure!(wrapped.open_with_password(of, &export_key)? == *secret, "the wrap is of another secret");
            let kek = hkdf(export_key.expose(), &of.member.user.to_string(), "kek/password/v1")?;
            opens(&kek, of, "password", &wrapped, secret)?;
            self.keep(format!("the export key of {password:?}"), export_key.expose());
            self.keep(format!("what the wrap of {password:?} opens with"), &kek);
            return Ok(password.clone());
        }
        Err(anyhow!("no password opens it"))
    }

    fn grant_of(&self, grant: &Value, recipient: Recipient) -> Result<(GrantOf, [u8; 32])> {
        let granter_key_id = uuid(&grant["granterKeyId"])?;
        let granter = self.accounts.iter().find(|account| account.of.key_id == granter_key_id);
        let version = u32::try_from(grant["version"].as_u64().context("no version")?)?;
        let of = GrantOf { organization: self.organization, version, recipient, granter_key_id };
        Ok((of, granter.context("nobody granted it")?.public.sig))
    }

    fn granted(&self, grant: &Value) -> Result<(u64, OrganizationKey)> {
        let key_id = uuid(&grant["keyId"])?;
        let recipient = self.accounts.iter().find(|account| account.of.key_id == key_id);
        let Account { of, secret, public } = recipient.context("nobody has these keys")?;
        let to = Recipient::Member { user: of.member.user, key_id, public: *public };
        let (of, granter) = self.grant_of(grant, to)?;
        let (grant, keys) = (sealed(&grant["grant"])?, MemberKeys::derive(secret));
        let key = grant.open(&of, keys.opening(), &granter)?;
        // Nobody else's, of no other version, by nobody else.
        for version in [of.version - 1, of.version + 1] {
            ensure!(
                grant.open(&GrantOf { version, ..of }, keys.opening(), &granter).is_err(),
                "it is of {version}, too"
            );
        }
        for other in &self.accounts {
            let by_other = other.public.sig != granter && grant.open(&of, keys.opening(), &other.public.sig).is_ok();
            ensure!(!by_other, "somebody else may have made it");
            if other.of.key_id != key_id {
                let to =
                    Recipient::Member { user: other.of.member.user, key_id: other.of.key_id, public: other.public };
                let (others, to) = (MemberKeys::derive(&other.secret), GrantOf { recipient: to, ..of });
                let opened = [of, to].iter().any(|of| grant.open(of, others.opening(), &granter).is_ok());
                ensure!(!opened, "somebody else opens it");
            }
        }
        Ok((u64::from(of.version), key))
    }

    fn kept_for_kit(&mut self, body: &Value, keys: &BTreeMap<u64, OrganizationKey>) -> Result<()> {
        let public: [u8; 32] = bytes(&body["kit"]["publicKey"])?;
        let kits = self.told.iter().filter_map(|text| OrganizationKitSecret::from_words(text).ok());
        let kit =
            { kits }.find(|kit| kit.opening(self.organization).public() == public).context("nobody has this kit")?;
        let (of, granter) = self.grant_of(&body["grant"], Recipient::Kit { enc: public })?;
        let key = sealed(&body["kit"]["grant"])?.open(&of, &kit.opening(self.organization), &granter)?;
        ensure!(keys.get(&u64::from(of.version)) == Some(&key), "the kit has another key");
        // No kit of before.
        for other in self.told.iter().filter_map(|text| OrganizationKitSecret::from_words(text).ok()) {
            let opening = other.opening(self.organization);
            let to = GrantOf { recipient: Recipient::Kit { enc: opening.public() }, ..of };
            let opened = [of, to]
                .iter()
                .any(|of| sealed(&body["kit"]["grant"]).is_ok_and(|grant| grant.open(of, &opening, &granter).is_ok()));
            ensure!(opening.public() == public || !opened, "another kit opens it");
        }
        let private = hkdf(kit.expose(), &self.organization.to_string(), "org-kit/v1")?;
        ensure!(curve25519_dalek::MontgomeryPoint::mul_base_clamped(private).0 == public, "the kit's key is another");
        self.keep("the bytes of the organization kit", kit.expose());
        self.keep("the private key of the organization kit", &private);
        Ok(())
    }

    fn chained(&self, body: &Value, keys: &BTreeMap<u64, OrganizationKey>) -> Result<()> {
        let version = u32::try_from(body["grant"]["version"].as_u64().context("no version")?)?;
        let [key, before] = [version, version - 1].map(|version| keys.get(&u64::from(version)));
        let link = ChainLink { nonce: bytes(&body["link"]["nonce"])?, ct: bytes(&body["link"]["ct"])? };
        let opened = link.open(self.organization, version, key.context("no key")?)?;
        ensure!(Some(&opened) == before, "the chain leads to another key");
        // Who has the version before, and was removed since, does not get on by it.
        ensure!(link.open(self.organization, version, &opened).is_err(), "the chain leads forward");
        Ok(())
    }
}

/// If these are words of one.
fn kit(text: &str) -> Option<KitSecret> {
    KitSecret::from_words(text).ok()
}

/// As the protocol says, without the product.
fn hkdf(key: &[u8], salt: &str, info: &str) -> Result<[u8; 32]> {
    let mut derived = [0; 32];
    let expanded = Hkdf::<Sha256>::new(Some(salt.as_bytes()), key).expand(info.as_bytes(), &mut derived);
    expanded.map_err(|_| anyhow!("no HKDF of this length"))?;
    Ok(derived)
}

/// A wrapping key that opens nothing would be looked for in vain.
fn opens(kek: &[u8; 32], of: &AccountKey, kind: &str, wrapped: &Wrap, secret: &AccountSecret) -> Result<()> {
    let AccountKey { member, key_id, version } = of;
    let ids = [member.organization, member.user, *key_id].map(|id| id.to_string());
    let version = version.to_string();
    let fields = [ids[0].as_bytes(), ids[1].as_bytes(), ids[2].as_bytes(), version.as_bytes(), kind.as_bytes()];
    let key = UnboundKey::new(&AES_256_GCM, kek).map_err(|_| anyhow!("no key"))?;
    let mut opened = wrapped.ct;
    let opened = LessSafeKey::new(key).open_in_place(
        Nonce::assume_unique_for_key(wrapped.nonce),
        Aad::from(canonical("wrap/v1", &fields)),
        &mut opened,
    );
    let opened = opened.map_err(|_| anyhow!("the {kind} wrap does not open with its key"))?;
    ensure!(opened == secret.expose(), "the {kind} wrap holds another secret");
    Ok(())
}

pub(crate) fn uuid(value: &Value) -> Result<Uuid> {
    value.as_str().and_then(|text| text.parse().ok()).with_context(|| format!("{value} is no id"))
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> Result<[u8; N]> {
    let decoded = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    decoded.and_then(|bytes| bytes.try_into().ok()).with_context(|| format!("{value} is not {N} bytes"))
}

pub(crate) fn wrap(value: &Value) -> Result<Wrap> {
    Ok(Wrap { nonce: bytes(&value["nonce"])?, ct: bytes(&value["ct"])? })
}

pub(crate) fn sealed(value: &Value) -> Result<Grant> {
    Ok(Grant { enc: bytes(&value["enc"])?, ct: bytes(&value["ct"])?, signature: bytes(&value["signature"])? })
}
