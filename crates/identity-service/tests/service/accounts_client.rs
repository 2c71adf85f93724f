//! A member as its browser is: it signs in, makes keys, and does what `account-keys` says a client does.

use account_keys::{
    AccountKey, AccountSecret, ChainLink, Grant, GrantOf, KitSecret, Member, MemberKeys, OrganizationKey,
    OrganizationKitSecret, Possession, PublicKeys, Recipient, Stretching, Wrap,
    opaque::client::{ExportKey, LoggedIn, Login, Password, Registration},
};
use store::Random;
use tonic::Status;
use uuid::Uuid;
use wire::identity::{self as proto, AdminRole};

use crate::{
    admins::{browser, sha256},
    world::{World, administrator},
};

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Stretches as little as a client does. What the server says is looked at where it is the point.
const QUICK: Stretching = Stretching::FLOOR;

pub(crate) fn fill(bytes: &mut [u8]) {
    Random::system().fill(bytes);
}

pub(crate) fn uuid(text: &str) -> Uuid {
    text.parse().expect("an id")
}

/// A session of a member.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) org: String,
    pub(crate) user: String,
    pub(crate) secret: String,
}

impl Signed {
    pub(crate) fn hash(&self) -> Vec<u8> {
        sha256(&self.secret)
    }

    pub(crate) fn member(&self) -> Member {
        Member { organization: uuid(&self.org), user: uuid(&self.user) }
    }

    pub(crate) fn request(&self) -> proto::AccountSessionRequest {
        proto::AccountSessionRequest {
            secret_sha256: self.hash().into(),
            browser: browser(),
            request_id: "req-5".to_owned(),
        }
    }
}

/// What a member has in its head, on paper and in memory.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) of: AccountKey,
    pub(crate) secret: AccountSecret,
    pub(crate) kit: KitSecret,
}

impl Made {
    pub(crate) fn keys(&self) -> MemberKeys {
        MemberKeys::derive(&self.secret)
    }
}

/// A member that has set its keys up, in an unlocked session.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) signed: Signed,
    pub(crate) made: Made,
}

/// Whom the provider names: verified address, with subject and user name made of it.
pub(crate) fn named(org: &str, email: &str) -> proto::FinishAccountSignInRequest {
    proto::FinishAccountSignInRequest {
        organization_id: org.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: format!("subject of {email}"),
        email: email.to_owned(),
        email_verified: true,
        user_name: email.to_owned(),
        name: "Kit\u{7} Moor".to_owned(),
        browser: browser(),
        request_id: "req-5".to_owned(),
    }
}

fn wrapped(wrap: &Wrap) -> Option<proto::Wrap> {
    Some(proto::Wrap { nonce: wrap.nonce.to_vec().into(), ciphertext: wrap.ct.to_vec().into() })
}

/// As the server gives it.
pub(crate) fn wrap_of(given: &proto::Wrap) -> Wrap {
    Wrap {
        nonce: given.nonce[..].try_into().expect("12 bytes"),
        ct: given.ciphertext[..].try_into().expect("48 bytes"),
    }
}

pub(crate) fn public_of(key: &proto::AccountKey) -> PublicKeys {
    PublicKeys {
        enc: key.enc_pub[..].try_into().expect("32 bytes"),
        sig: key.sig_pub[..].try_into().expect("32 bytes"),
    }
}

/// An organization key for the keys of a member.
pub(crate) fn granted(
    by: &Ready,
    key: &OrganizationKey,
    version: u32,
    user: &str,
    to: &proto::AccountKey,
) -> proto::Grant {
    let recipient = Recipient::Member { user: uuid(user), key_id: uuid(&to.id), public: public_of(to) };
    let of = grant_of(&by.signed.org, version, recipient, by.made.of.key_id);
    let grant = Grant::seal(&of, key, &by.made.keys(), &mut fill).expect("sealed");
    proto::Grant {
        version,
        user_id: user.to_owned(),
        recipient_key_id: to.id.clone(),
        enc: grant.enc.to_vec().into(),
        ciphertext: grant.ct.to_vec().into(),
        signature: grant.signature.to_vec().into(),
        granter_key_id: by.made.of.key_id.to_string(),
    }
}

fn grant_of(org: &str, version: u32, recipient: Recipient, granter_key_id: Uuid) -> GrantOf {
    GrantOf { organization: uuid(org), version, recipient, granter_key_id }
}

/// Opens what the server says is a member's, as its browser does.
pub(crate) fn opened(by: &Ready, key: &proto::OrganizationKey) -> account_keys::Result<OrganizationKey> {
    let (grant, granter) = (key.grant.as_ref().expect("a grant"), key.granter.as_ref().expect("a granter"));
    let recipient =
        Recipient::Member { user: by.made.of.member.user, key_id: by.made.of.key_id, public: by.made.keys().public() };
    let of = grant_of(&by.signed.org, grant.version, recipient, uuid(&grant.granter_key_id));
    let sealed = Grant {
        enc: grant.enc[..].try_into().expect("32 bytes"),
        ct: grant.ciphertext[..].try_into().expect("48 bytes"),
        signature: grant.signature[..].try_into().expect("64 bytes"),
    };
    sealed.open(&of, by.made.keys().opening(), &public_of(granter).sig)
}

/// With the organization's kit.
pub(crate) fn opened_by_kit(org: &str, kit: &OrganizationKitSecret, key: &proto::OrganizationKey) -> OrganizationKey {
    let granter = key.kit_granter.as_ref().expect("a granter");
    let opening = kit.opening(uuid(org));
    let of = grant_of(org, key.version, Recipient::Kit { enc: opening.public() }, uuid(&granter.id));
    let sealed = Grant {
        enc: key.kit_enc[..].try_into().expect("32 bytes"),
        ct: key.kit_ciphertext[..].try_into().expect("48 bytes"),
        signature: key.kit_signature[..].try_into().expect("64 bytes"),
    };
    assert_eq!(key.kit_pub, opening.public().to_vec());
    sealed.open(&of, &opening, &public_of(granter).sig).expect("opened")
}

fn sealed_to_kit(by: &Ready, key: &OrganizationKey, version: u32, kit: &OrganizationKitSecret) -> Grant {
    let recipient = Recipient::Kit { enc: kit.opening(uuid(&by.signed.org)).public() };
    let of = grant_of(&by.signed.org, version, recipient, by.made.of.key_id);
    Grant::seal(&of, key, &by.made.keys(), &mut fill).expect("sealed")
}

/// The first organization key, for the server.
pub(crate) fn creation(
    by: &Ready,
    key: &OrganizationKey,
    kit: &OrganizationKitSecret,
) -> proto::CreateOrganizationKeyRequest {
    let sealed = sealed_to_kit(by, key, 1, kit);
    proto::CreateOrganizationKeyRequest {
        secret_sha256: by.signed.hash().into(),
        request_id: "req-6".to_owned(),
        grant: Some(granted(by, key, 1, &by.signed.user, &own(by))),
        kit_pub: kit.opening(uuid(&by.signed.org)).public().to_vec().into(),
        kit_enc: sealed.enc.to_vec().into(),
        kit_ciphertext: sealed.ct.to_vec().into(),
        kit_signature: sealed.signature.to_vec().into(),
        kit_sha256: kit.proof(uuid(&by.signed.org)).verifier().0.to_vec().into(),
    }
}

/// The next one.
pub(crate) fn rotation(
    by: &Ready,
    key: &OrganizationKey,
    previous: &OrganizationKey,
    version: u32,
    kit: &OrganizationKitSecret,
) -> proto::RotateOrganizationKeyRequest {
    let sealed = sealed_to_kit(by, key, version, kit);
    let link = ChainLink::seal(uuid(&by.signed.org), version, key, previous, &mut fill).expect("sealed");
    proto::RotateOrganizationKeyRequest {
        secret_sha256: by.signed.hash().into(),
        request_id: "req-6".to_owned(),
        grant: Some(granted(by, key, version, &by.signed.user, &own(by))),
        link: Some(proto::ChainLink {
            version,
            nonce: link.nonce.to_vec().into(),
            ciphertext: link.ct.to_vec().into(),
        }),
        kit_enc: sealed.enc.to_vec().into(),
        kit_ciphertext: sealed.ct.to_vec().into(),
        kit_signature: sealed.signature.to_vec().into(),
        kit_pub: Vec::new().into(),
        kit_sha256: Vec::new().into(),
    }
}

/// The key before, by the chain.
pub(crate) fn previous(org: &str, key: &OrganizationKey, link: &proto::ChainLink) -> OrganizationKey {
    let sealed = ChainLink {
        nonce: link.nonce[..].try_into().expect("12 bytes"),
        ct: link.ciphertext[..].try_into().expect("48 bytes"),
    };
    sealed.open(uuid(org), link.version, key).expect("opened")
}

/// Its own public keys.
pub(crate) fn own(by: &Ready) -> proto::AccountKey {
    let public = by.made.keys().public();
    proto::AccountKey {
        id: by.made.of.key_id.to_string(),
        version: by.made.of.version,
        enc_pub: public.enc.to_vec().into(),
        sig_pub: public.sig.to_vec().into(),
    }
}

impl World {
    /// An organization that signs in with the provider.
    pub(crate) async fn linked(&self, slug: &str) -> String {
        let org = self.organization(slug).await;
        self.provider(&org, ISSUER, None).await.expect("provider");
        org
    }

    pub(crate) async fn finish_account_sign_in(
        &self,
        request: proto::FinishAccountSignInRequest,
    ) -> Result<Signed, Status> {
        let org = request.organization_id.clone();
        let made = self.accounts.clone().finish_account_sign_in(request).await?.into_inner();
        let user = made.session.expect("a session").account.expect("an account").user_id;
        Ok(Signed { org, user, secret: made.secret })
    }

    /// Whoever has this address.
    pub(crate) async fn account_signed_in(&self, org: &str, email: &str) -> Signed {
        self.finish_account_sign_in(named(org, email)).await.expect("signed in")
    }

    pub(crate) async fn verified(&self, signed: &Signed) -> Result<proto::AccountSession, Status> {
        Ok(self.accounts.clone().verify_account_session(signed.request()).await?.into_inner())
    }

    pub(crate) async fn account(&self, org: &str, user: &str) -> Result<proto::Account, Status> {
        let request = proto::GetAccountRequest { organization_id: org.to_owned(), user_id: user.to_owned() };
        Ok(self.accounts.clone().get_account(request).await?.into_inner())
    }

    pub(crate) async fn state(&self, org: &str, user: &str) -> (proto::AccountState, proto::AccountState) {
        let account = self.account(org, user).await.expect("account");
        (account.state(), account.before())
    }

    /// What a browser sends at the end of a set-up, and what it keeps.
    pub(crate) async fn set_up_request(
        &self,
        signed: &Signed,
        password: &str,
        reset: bool,
    ) -> Result<(proto::FinishKeySetUpRequest, Made), Status> {
        let password = Password::new(password).expect("a password");
        let (registration, request) = Registration::begin(password, &mut fill).expect("begun");
        let begin = proto::BeginKeySetUpRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-6".to_owned(),
            registration_request: request.to_vec().into(),
            reset,
        };
        let begun = self.accounts.clone().begin_key_set_up(begin).await?.into_inner();
        let stretching = begun.stretching.expect("stretching");
        assert_eq!((stretching.memory, stretching.iterations, stretching.parallelism), (65_536, 3, 1));
        let registered = registration.finish(&signed.member(), &begun.registration_response, &QUICK, &mut fill);
        let registered = registered.expect("registered");
        let of = AccountKey { member: signed.member(), key_id: uuid(&begun.key_id), version: begun.version };
        let made = Made { of, secret: AccountSecret::generate(&mut fill), kit: KitSecret::generate(&mut fill) };
        let challenge = begun.challenge[..].try_into().expect("32 bytes");
        let with_password = Wrap::with_password(&of, &made.secret, &registered.export_key, &mut fill).expect("wrapped");
        let with_kit = Wrap::with_kit(&of, &made.secret, &made.kit, &mut fill).expect("wrapped");
        let public = made.keys().public();
        let request = proto::FinishKeySetUpRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-6".to_owned(),
            key_id: begun.key_id,
            record: registered.record.to_vec().into(),
            enc_pub: public.enc.to_vec().into(),
            sig_pub: public.sig.to_vec().into(),
            proof_of_possession: Possession::make(&of, &made.keys(), &challenge).0.to_vec().into(),
            password_wrap: wrapped(&with_password),
            recovery_wrap: wrapped(&with_kit),
            recovery_sha256: made.kit.recovery_proof(uuid(&signed.user)).verifier().0.to_vec().into(),
        };
        Ok((request, made))
    }

    pub(crate) async fn finish_set_up(&self, request: proto::FinishKeySetUpRequest) -> Result<proto::Account, Status> {
        Ok(self.accounts.clone().finish_key_set_up(request).await?.into_inner())
    }

    pub(crate) async fn set_up(&self, signed: &Signed, reset: bool) -> Made {
        let (request, made) = self.set_up_request(signed, PASSWORD, reset).await.expect("begun");
        self.finish_set_up(request).await.expect("set up");
        made
    }

    /// Provisioned by SCIM, signed in, and with keys.
    pub(crate) async fn ready(&self, org: &str, email: &str) -> Ready {
        self.user(org, email).await;
        let signed = self.account_signed_in(org, email).await;
        let made = self.set_up(&signed, false).await;
        Ready { signed, made }
    }

    /// The same, and an administrator of the console by the same subject.
    pub(crate) async fn ready_admin(&self, org: &str, email: &str, role: AdminRole) -> Ready {
        let ready = self.ready(org, email).await;
        self.administers(org, email, role).await;
        ready
    }

    pub(crate) async fn administers(&self, org: &str, email: &str, role: AdminRole) {
        self.joined(org, email, role).await;
        self.signed_in_at_console(org, email).await;
    }

    pub(crate) async fn signed_in_at_console(&self, org: &str, email: &str) {
        let named = named(org, email);
        let request = proto::FinishSignInRequest {
            organization_id: named.organization_id,
            issuer: named.issuer,
            subject: named.subject,
            email: named.email,
            email_verified: true,
            ..Default::default()
        };
        self.console.clone().finish_sign_in(request).await.expect("signed in");
    }

    /// A login that has begun.
    pub(crate) async fn begin_unlock(
        &self,
        signed: &Signed,
        password: &str,
    ) -> Result<(Login, proto::BeginUnlockResponse), Status> {
        let password = Password::new(password).expect("a password");
        let (login, ke1) = Login::begin(password, &mut fill).expect("begun");
        let request = proto::BeginUnlockRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-7".to_owned(),
            ke1: ke1.to_vec().into(),
        };
        let begun = self.accounts.clone().begin_unlock(request).await?.into_inner();
        Ok((login, begun))
    }

    pub(crate) async fn finish_unlock(&self, signed: &Signed, id: &str, ke3: &[u8]) -> Result<proto::Unlocked, Status> {
        let request = proto::FinishUnlockRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-7".to_owned(),
            id: id.to_owned(),
            ke3: ke3.to_vec().into(),
        };
        Ok(self.accounts.clone().finish_unlock(request).await?.into_inner())
    }

    /// With a password that is right.
    pub(crate) async fn unlock(&self, signed: &Signed, password: &str) -> Result<(proto::Unlocked, ExportKey), Status> {
        let (login, begun) = self.begin_unlock(signed, password).await?;
        let LoggedIn { ke3, export_key } = logged_in(login, signed, &begun).expect("the right password");
        Ok((self.finish_unlock(signed, &begun.id, &ke3).await?, export_key))
    }

    pub(crate) async fn recover(&self, signed: &Signed, proof: [u8; 32]) -> Result<proto::Unlocked, Status> {
        let request = proto::RecoverAccountRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-8".to_owned(),
            proof: proof.to_vec().into(),
        };
        Ok(self.accounts.clone().recover_account(request).await?.into_inner())
    }

    /// What a browser sends for a new password, with a new kit or without.
    pub(crate) async fn password_request(
        &self,
        ready: &Ready,
        password: &str,
        kit: Option<&KitSecret>,
    ) -> Result<proto::FinishPasswordChangeRequest, Status> {
        let signed = &ready.signed;
        let password = Password::new(password).expect("a password");
        let (registration, request) = Registration::begin(password, &mut fill).expect("begun");
        let begin = proto::BeginPasswordChangeRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-9".to_owned(),
            registration_request: request.to_vec().into(),
        };
        let begun = self.accounts.clone().begin_password_change(begin).await?.into_inner();
        let registered = registration.finish(&signed.member(), &begun.registration_response, &QUICK, &mut fill);
        let registered = registered.expect("registered");
        let Made { of, secret, .. } = &ready.made;
        let with_password = Wrap::with_password(of, secret, &registered.export_key, &mut fill).expect("wrapped");
        let with_kit = kit.map(|kit| Wrap::with_kit(of, secret, kit, &mut fill).expect("wrapped"));
        let proof = kit.map(|kit| kit.recovery_proof(uuid(&signed.user)).verifier().0.to_vec());
        Ok(proto::FinishPasswordChangeRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-9".to_owned(),
            record: registered.record.to_vec().into(),
            password_wrap: wrapped(&with_password),
            recovery_wrap: with_kit.as_ref().and_then(wrapped),
            recovery_sha256: proof.unwrap_or_default().into(),
        })
    }

    pub(crate) async fn finish_password_change(
        &self,
        request: proto::FinishPasswordChangeRequest,
    ) -> Result<proto::Account, Status> {
        Ok(self.accounts.clone().finish_password_change(request).await?.into_inner())
    }

    pub(crate) async fn organization_key(&self, signed: &Signed) -> Result<proto::OrganizationKey, Status> {
        Ok(self.accounts.clone().get_organization_key(signed.request()).await?.into_inner())
    }

    pub(crate) async fn create_key(
        &self,
        request: proto::CreateOrganizationKeyRequest,
    ) -> Result<proto::OrganizationKey, Status> {
        Ok(self.accounts.clone().create_organization_key(request).await?.into_inner())
    }

    pub(crate) async fn rotate_key(
        &self,
        request: proto::RotateOrganizationKeyRequest,
    ) -> Result<proto::OrganizationKey, Status> {
        Ok(self.accounts.clone().rotate_organization_key(request).await?.into_inner())
    }

    /// By the kit.
    pub(crate) async fn recover_key(
        &self,
        by: &Ready,
        kit: &OrganizationKitSecret,
        grant: proto::Grant,
    ) -> Result<proto::OrganizationKey, Status> {
        let request = proto::RecoverOrganizationKeyRequest {
            secret_sha256: by.signed.hash().into(),
            request_id: "req-6".to_owned(),
            proof: kit.proof(uuid(&by.signed.org)).0.to_vec().into(),
            grant: Some(grant),
        };
        Ok(self.accounts.clone().recover_organization_key(request).await?.into_inner())
    }

    pub(crate) async fn to_confirm(
        &self,
        signed: &Signed,
        after: &str,
    ) -> Result<proto::ListMembersToConfirmResponse, Status> {
        let request = proto::ListMembersToConfirmRequest {
            secret_sha256: signed.hash().into(),
            request_id: "req-6".to_owned(),
            after: after.to_owned(),
        };
        Ok(self.accounts.clone().list_members_to_confirm(request).await?.into_inner())
    }

    /// Why each was refused; empty: done.
    pub(crate) async fn confirm(&self, by: &Signed, grants: Vec<proto::Grant>) -> Result<Vec<String>, Status> {
        self.confirm_as(by, grants, false).await
    }

    pub(crate) async fn confirm_automatically(&self, org: &str, on: bool) -> Result<proto::AccountPolicy, Status> {
        let request = proto::SetAccountPolicyRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            link: proto::LinkClaim::Email.into(),
            just_in_time: false,
            confirm_automatically: on,
        };
        Ok(self.accounts.clone().set_account_policy(request).await?.into_inner())
    }

    /// `automatic`: nobody looked at them.
    pub(crate) async fn confirm_as(
        &self,
        by: &Signed,
        grants: Vec<proto::Grant>,
        automatic: bool,
    ) -> Result<Vec<String>, Status> {
        let request = proto::ConfirmMembersRequest {
            secret_sha256: by.hash().into(),
            request_id: "req-6".to_owned(),
            grants,
            automatic,
        };
        let confirmed = self.accounts.clone().confirm_members(request).await?.into_inner().confirmed;
        Ok(confirmed.into_iter().map(|one| one.refused).collect())
    }

    /// Creates the organization key, and confirms the others.
    pub(crate) async fn confirmed(&self, owner: &Ready, others: &[&Ready]) -> (OrganizationKey, OrganizationKitSecret) {
        let key = OrganizationKey::generate(&mut fill);
        let kit = OrganizationKitSecret::generate(&mut fill);
        self.create_key(creation(owner, &key, &kit)).await.expect("created");
        let grants: Vec<proto::Grant> =
            others.iter().map(|other| granted(owner, &key, 1, &other.signed.user, &own(other))).collect();
        let refused = self.confirm(&owner.signed, grants).await.expect("confirmed");
        assert!(refused.iter().all(String::is_empty), "{refused:?}");
        (key, kit)
    }
}

/// The client's end of a login.
pub(crate) fn logged_in(
    login: Login,
    signed: &Signed,
    begun: &proto::BeginUnlockResponse,
) -> account_keys::Result<LoggedIn> {
    login.finish(&signed.member(), &begun.ke2, &QUICK, &mut fill)
}
