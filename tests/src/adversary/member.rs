//! A member whose browser is this program: the calls of the account page, by `account-keys`.

use account_keys::{
    AccountKey, AccountSecret, Grant, GrantOf, KitSecret, Member as Of, MemberKeys, OrganizationKey,
    OrganizationKitSecret, Possession, PublicKeys, Recipient, Stretching, Wrap,
    opaque::client::{Login, Password, Registration},
};
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};

use super::visitor::{Door, Visitor, between, text};
use crate::account::secrets::{bytes, random, sealed, uuid, wrap};

/// Somebody who has signed in.
pub(crate) struct Member {
    pub(crate) visitor: Visitor,
    base: String,
    /// The page's token.
    form: String,
    pub(crate) of: Of,
}

/// What is in a browser that has been unlocked.
pub(crate) struct Keys {
    pub(crate) of: AccountKey,
    pub(crate) secret: AccountSecret,
    /// Where they have just been made.
    pub(crate) kit: Option<KitSecret>,
    /// Of who has made it.
    pub(crate) organization_key: Option<OrganizationKey>,
}

impl Keys {
    pub(crate) fn pair(&self) -> MemberKeys {
        MemberKeys::derive(&self.secret)
    }

    pub(crate) fn public(&self) -> PublicKeys {
        self.pair().public()
    }

    fn recipient(&self) -> Recipient {
        Recipient::Member { user: self.of.member.user, key_id: self.of.key_id, public: self.public() }
    }

    /// The organization key, as an answer shows it.
    pub(crate) fn opened(&self, granted: &Value) -> Result<OrganizationKey> {
        let granter = &granted["granter"];
        let of = GrantOf {
            organization: self.of.member.organization,
            version: u32::try_from(granted["version"].as_u64().context("no version")?)?,
            recipient: self.recipient(),
            granter_key_id: uuid(&granter["keyId"])?,
        };
        Ok(sealed(&granted["grant"])?.open(&of, self.pair().opening(), &bytes(&granter["publicKeys"]["sig"])?)?)
    }

    fn grant(&self, version: u32, to: Recipient, key: &OrganizationKey) -> Result<Value> {
        let (organization, granter_key_id) = (self.of.member.organization, self.of.key_id);
        let of = GrantOf { organization, version, recipient: to, granter_key_id };
        let Grant { enc, ct, signature } = Grant::seal(&of, key, &self.pair(), &mut random)?;
        Ok(json!({ "enc": digits(&enc), "ct": digits(&ct), "signature": digits(&signature) }))
    }
}

/// As bytes are written in calls.
pub(crate) fn digits(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sealed_json(wrap: &Wrap) -> Value {
    json!({ "nonce": digits(&wrap.nonce), "ct": digits(&wrap.ct) })
}

fn stretching(value: &Value) -> Result<Stretching> {
    let number = |name: &str| anyhow::Ok(u32::try_from(value[name].as_u64().with_context(|| format!("no {name}"))?)?);
    Ok(Stretching { memory_kib: number("memoryKib")?, passes: number("passes")?, lanes: number("lanes")? })
}

impl Member {
    /// Signs in as whoever is named, and loads the page.
    pub(crate) async fn sign_in(visitor: Visitor, base: &str, email: &str) -> Result<Self> {
        let (url, page) = visitor.sign_in(base, Door::Account, email).await?;
        ensure!(url == format!("{base}/account"), "{email} was sent to {url}: {}", text(&page));
        let page = text(&page);
        let form =
            between(&page, "name=\"rollcall-form\" content=\"", "\"").context("no token in the page")?.to_owned();
        let nobody = Of { organization: uuid::Uuid::nil(), user: uuid::Uuid::nil() };
        let mut member = Self { visitor, base: base.to_owned(), form, of: nobody };
        let session = member.done("session", &json!({})).await?;
        member.of = Of { organization: uuid(&session["organization"])?, user: uuid(&session["user"])? };
        Ok(member)
    }

    /// A call, whatever comes of it.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let headers = [("content-type", "application/json"), ("x-rollcall-form", &*self.form), ("origin", &*self.base)];
        let url = format!("{}/account/api/{path}", self.base);
        let reply = self.visitor.send(Method::POST, &url, &headers, Some(body.to_string().into())).await?;
        let answer = reply.json().with_context(|| format!("{path}: {}", reply.status))?;
        Ok((reply.status, answer))
    }

    /// A call that is to be taken.
    pub(crate) async fn done(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.call(path, body).await?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }

    pub(crate) async fn state(&self) -> Result<String> {
        let session = self.done("session", &json!({})).await?;
        Ok(session["state"].as_str().context("no state")?.to_owned())
    }

    pub(crate) async fn set_up(&self, password: &str, reset: bool) -> Result<Keys> {
        let (registration, request) = Registration::begin(Password::new(password)?, &mut random)?;
        let request = json!({ "registrationRequest": digits(&request), "reset": reset });
        let begun = self.done("set-up/begin", &request).await?;
        let response = bytes::<64>(&begun["registrationResponse"])?;
        let stretching = stretching(&begun["stretching"])?;
        let registered = registration.finish(&self.of, &response, &stretching, &mut random)?;
        let version = u32::try_from(begun["version"].as_u64().context("no version")?)?;
        let of = AccountKey { member: self.of, key_id: uuid(&begun["keyId"])?, version };
        let (secret, kit) = (AccountSecret::generate(&mut random), KitSecret::generate(&mut random));
        let mut keys = Keys { of, secret, kit: None, organization_key: None };
        let PublicKeys { enc, sig } = keys.public();
        let possession = Possession::make(&of, &keys.pair(), &bytes(&begun["challenge"])?);
        let finish = json!({
            "keyId": of.key_id,
            "record": digits(&registered.record),
            "publicKeys": { "enc": digits(&enc), "sig": digits(&sig) },
            "possession": digits(&possession.0),
            "wraps": {
                "password": sealed_json(&Wrap::with_password(&of, &keys.secret, &registered.export_key, &mut random)?),
                "recovery": sealed_json(&Wrap::with_kit(&of, &keys.secret, &kit, &mut random)?),
            },
            "recoveryVerifier": digits(&kit.recovery_proof(self.of.user).verifier().0),
        });
        self.done("set-up/finish", &finish).await?;
        keys.kit = Some(kit);
        Ok(keys)
    }

    /// A login that has begun: what goes on with it, and the answer.
    pub(crate) async fn begin(&self, password: &str) -> Result<(Login, [u8; 96], u16, Value)> {
        let (login, ke1) = Login::begin(Password::new(password)?, &mut random)?;
        let (status, begun) = self.call("unlock/begin", &json!({ "ke1": digits(&ke1) })).await?;
        Ok((login, ke1, status, begun))
    }

    /// With what the server released.
    pub(crate) async fn unlock(&self, password: &str) -> Result<(Keys, Value)> {
        let (login, _, status, begun) = self.begin(password).await?;
        ensure!(status == 200, "{begun}");
        let stretching = stretching(&begun["stretching"])?;
        let done = login.finish(&self.of, &bytes::<320>(&begun["ke2"])?, &stretching, &mut random)?;
        let released = self.done("unlock/finish", &json!({ "id": begun["id"], "ke3": digits(&done.ke3) })).await?;
        let key = &released["key"];
        let version = u32::try_from(key["version"].as_u64().context("no version")?)?;
        let of = AccountKey { member: self.of, key_id: uuid(&key["keyId"])?, version };
        let secret = wrap(&released["wrap"])?.open_with_password(&of, &done.export_key)?;
        Ok((Keys { of, secret, kit: None, organization_key: None }, released))
    }

    /// The first version, for who makes it and for a kit.
    pub(crate) async fn create_organization_key(
        &self,
        keys: &Keys,
        key: &OrganizationKey,
        kit: &OrganizationKitSecret,
    ) -> Result<(u16, Value)> {
        let verifier = digits(&kit.proof(self.of.organization).verifier().0);
        let kit = kit.opening(self.of.organization).public();
        let own = keys.grant(1, keys.recipient(), key)?;
        let request = json!({
            "grant": self.new_grant(keys, 1, &keys.of, &own),
            "kit": { "publicKey": digits(&kit), "verifier": verifier, "grant": keys.grant(1, Recipient::Kit { enc: kit }, key)? },
        });
        self.call("organization-key/create", &request).await
    }

    fn new_grant(&self, by: &Keys, version: u32, to: &AccountKey, grant: &Value) -> Value {
        json!({
            "version": version, "user": to.member.user, "keyId": to.key_id, "grant": grant,
            "granterKeyId": by.of.key_id,
        })
    }

    /// Everybody who waits for version 1.
    pub(crate) async fn confirm_all(&self, keys: &Keys, key: &OrganizationKey) -> Result<usize> {
        let found = self.done("members", &json!({})).await?;
        let mut grants = Vec::new();
        for member in found["members"].as_array().context("no members")? {
            let public = &member["publicKeys"];
            let public = PublicKeys { enc: bytes(&public["enc"])?, sig: bytes(&public["sig"])? };
            let of = Of { user: uuid(&member["user"])?, ..self.of };
            let to = AccountKey { member: of, key_id: uuid(&member["keyId"])?, version: 1 };
            let recipient = Recipient::Member { user: of.user, key_id: to.key_id, public };
            grants.push(self.new_grant(keys, 1, &to, &keys.grant(1, recipient, key)?));
        }
        let confirmed = self.done("members/confirm", &json!({ "grants": grants })).await?;
        let taken = confirmed["confirmed"].as_array().context("nobody")?.iter();
        Ok(taken.filter(|one| one["refused"] == "").count())
    }

    /// A grant of one's own making, as a call has it.
    pub(crate) fn forged(&self, keys: &Keys, version: u32, key: &OrganizationKey) -> Result<Value> {
        Ok(self.new_grant(keys, version, &keys.of, &keys.grant(version, keys.recipient(), key)?))
    }
}
