//! The calls of the account page: each is one rpc, its fields by the same names in camelCase.

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::identity::{
    self as proto, AccountState, BeginKeySetUpRequest, BeginPasswordChangeRequest, BeginUnlockRequest,
    ConfirmMembersRequest, CreateOrganizationKeyRequest, FinishKeySetUpRequest, FinishPasswordChangeRequest,
    FinishUnlockRequest, GetAccountPolicyRequest, ListMembersToConfirmRequest, RecoverAccountRequest,
    RecoverOrganizationKeyRequest, RotateOrganizationKeyRequest,
};

use super::{
    json::{Base64, Json, Refused, read},
    session::Member,
};
use crate::console::Console;

pub(super) type Answer<T> = Result<Json<T>, Refused>;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/account/api/session", post(session))
        .route("/account/api/set-up/begin", post(begin_set_up))
        .route("/account/api/set-up/finish", post(finish_set_up))
        .route("/account/api/unlock/begin", post(begin_unlock))
        .route("/account/api/unlock/finish", post(finish_unlock))
        .route("/account/api/recover", post(recover))
        .route("/account/api/password/begin", post(begin_password))
        .route("/account/api/password/finish", post(finish_password))
        .route("/account/api/organization-key", post(organization_key))
        .route("/account/api/organization-key/create", post(create_organization_key))
        .route("/account/api/organization-key/rotate", post(rotate_organization_key))
        .route("/account/api/organization-key/recover", post(recover_organization_key))
        .route("/account/api/members", post(members))
        .route("/account/api/members/confirm", post(confirm))
}

// ---- whose session it is

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    organization: String,
    user: String,
    state: &'static str,
    unlocked: bool,
    may_confirm: bool,
    /// An administrator whom the console has not seen sign in by the provider.
    invited_to_console: bool,
    confirm_automatically: bool,
    key: Option<Key>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    key_id: String,
    version: u32,
    public_keys: PublicKeys,
}

#[derive(Deserialize, Serialize)]
pub(super) struct PublicKeys {
    pub(super) enc: Base64,
    pub(super) sig: Base64,
}

impl From<proto::AccountKey> for Key {
    fn from(key: proto::AccountKey) -> Self {
        let public_keys = PublicKeys { enc: key.enc_pub.into(), sig: key.sig_pub.into() };
        Self { key_id: key.id, version: key.version, public_keys }
    }
}

fn state(state: AccountState) -> &'static str {
    match state {
        AccountState::Provisioned | AccountState::SetupRequired | AccountState::Unspecified => "setup_required",
        AccountState::Accepted => "accepted",
        AccountState::Confirmed => "confirmed",
        AccountState::Suspended => "suspended",
        AccountState::Deleted => "deleted",
    }
}

async fn session(member: Member) -> Answer<Session> {
    let account = &member.account;
    let may_confirm = member.session.may_confirm;
    // Others have nothing to confirm.
    let confirm_automatically = if may_confirm {
        let request = GetAccountPolicyRequest { organization_id: account.organization_id.clone() };
        let mut accounts = member.visit.console.clients.accounts.clone();
        accounts.get_account_policy(member.visit.call(request)).await?.into_inner().confirm_automatically
    } else {
        false
    };
    Ok(Json(Session {
        organization: account.organization_id.clone(),
        user: account.user_id.clone(),
        state: state(account.state()),
        unlocked: member.session.unlocked,
        may_confirm,
        invited_to_console: member.session.invited_to_console,
        confirm_automatically,
        key: account.key.clone().map(Into::into),
    }))
}

#[derive(Serialize)]
struct State {
    state: &'static str,
}

impl From<proto::Account> for State {
    fn from(account: proto::Account) -> Self {
        Self { state: state(account.state()) }
    }
}

// ---- set-up

/// Of Argon2id.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stretching {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl From<proto::Stretching> for Stretching {
    fn from(this: proto::Stretching) -> Self {
        Self { memory_kib: this.memory, passes: this.iterations, lanes: this.parallelism }
    }
}

#[derive(Deserialize, Serialize)]
struct Wrap {
    nonce: Base64,
    ct: Base64,
}

impl From<Wrap> for proto::Wrap {
    fn from(wrap: Wrap) -> Self {
        Self { nonce: wrap.nonce.into(), ciphertext: wrap.ct.into() }
    }
}

impl From<proto::Wrap> for Wrap {
    fn from(wrap: proto::Wrap) -> Self {
        Self { nonce: wrap.nonce.into(), ct: wrap.ciphertext.into() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeginSetUp {
    registration_request: Base64,
    #[serde(default)]
    reset: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SetUpBegun {
    registration_response: Base64,
    stretching: Option<Stretching>,
    key_id: String,
    version: u32,
    challenge: Base64,
}

async fn begin_set_up(member: Member, body: Body) -> Answer<SetUpBegun> {
    let given: BeginSetUp = read(body).await?;
    let request = BeginKeySetUpRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        registration_request: given.registration_request.into(),
        reset: given.reset,
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    let begun = accounts.begin_key_set_up(member.visit.call(request)).await?.into_inner();
    Ok(Json(SetUpBegun {
        registration_response: begun.registration_response.into(),
        stretching: begun.stretching.map(Into::into),
        key_id: begun.key_id,
        version: begun.version,
        challenge: begun.challenge.into(),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FinishSetUp {
    key_id: String,
    record: Base64,
    public_keys: PublicKeys,
    possession: Base64,
    wraps: Wraps,
    recovery_verifier: Base64,
}

#[derive(Deserialize)]
struct Wraps {
    password: Wrap,
    recovery: Wrap,
}

async fn finish_set_up(member: Member, body: Body) -> Answer<State> {
    let given: FinishSetUp = read(body).await?;
    let request = FinishKeySetUpRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        key_id: given.key_id,
        record: given.record.into(),
        enc_pub: given.public_keys.enc.into(),
        sig_pub: given.public_keys.sig.into(),
        proof_of_possession: given.possession.into(),
        password_wrap: Some(given.wraps.password.into()),
        recovery_wrap: Some(given.wraps.recovery.into()),
        recovery_sha256: given.recovery_verifier.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.finish_key_set_up(member.visit.call(request)).await?.into_inner().into()))
}

// ---- unlock

#[derive(Deserialize)]
struct BeginUnlock {
    ke1: Base64,
}

#[derive(Serialize)]
struct UnlockBegun {
    id: String,
    ke2: Base64,
    stretching: Option<Stretching>,
}

async fn begin_unlock(member: Member, body: Body) -> Answer<UnlockBegun> {
    let given: BeginUnlock = read(body).await?;
    let request = BeginUnlockRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        ke1: given.ke1.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    let begun = accounts.begin_unlock(member.visit.call(request)).await?.into_inner();
    Ok(Json(UnlockBegun { id: begun.id, ke2: begun.ke2.into(), stretching: begun.stretching.map(Into::into) }))
}

#[derive(Deserialize)]
struct FinishUnlock {
    id: String,
    ke3: Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unlocked {
    key: Option<Key>,
    wrap: Option<Wrap>,
    organization_key: Option<OrganizationKey>,
}

impl From<proto::Unlocked> for Unlocked {
    fn from(this: proto::Unlocked) -> Self {
        Self {
            key: this.key.map(Into::into),
            wrap: this.wrap.map(Into::into),
            organization_key: this.organization_key.map(Into::into),
        }
    }
}

async fn finish_unlock(member: Member, body: Body) -> Answer<Unlocked> {
    let given: FinishUnlock = read(body).await?;
    let request = FinishUnlockRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        id: given.id,
        ke3: given.ke3.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.finish_unlock(member.visit.call(request)).await?.into_inner().into()))
}

#[derive(Deserialize)]
struct Recover {
    proof: Base64,
}

async fn recover(member: Member, body: Body) -> Answer<Unlocked> {
    let given: Recover = read(body).await?;
    let request = RecoverAccountRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        proof: given.proof.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.recover_account(member.visit.call(request)).await?.into_inner().into()))
}

// ---- another password

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeginPassword {
    registration_request: Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PasswordBegun {
    registration_response: Base64,
    stretching: Option<Stretching>,
}

async fn begin_password(member: Member, body: Body) -> Answer<PasswordBegun> {
    let given: BeginPassword = read(body).await?;
    let request = BeginPasswordChangeRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        registration_request: given.registration_request.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    let begun = accounts.begin_password_change(member.visit.call(request)).await?.into_inner();
    Ok(Json(PasswordBegun {
        registration_response: begun.registration_response.into(),
        stretching: begun.stretching.map(Into::into),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FinishPassword {
    record: Base64,
    wrap: Wrap,
    kit: Option<NewKit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewKit {
    wrap: Wrap,
    recovery_verifier: Base64,
}

async fn finish_password(member: Member, body: Body) -> Answer<State> {
    let given: FinishPassword = read(body).await?;
    let (recovery_wrap, recovery) = given.kit.map(|kit| (kit.wrap.into(), kit.recovery_verifier)).unzip();
    let request = FinishPasswordChangeRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        record: given.record.into(),
        password_wrap: Some(given.wrap.into()),
        recovery_wrap,
        recovery_sha256: recovery.unwrap_or_default().into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.finish_password_change(member.visit.call(request)).await?.into_inner().into()))
}

// ---- the organization key

/// The organization key of a version, sealed and signed.
#[derive(Deserialize, Serialize)]
struct Sealed {
    enc: Base64,
    ct: Base64,
    signature: Base64,
}

/// What a member grants another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewGrant {
    version: u32,
    user: String,
    key_id: String,
    grant: Sealed,
    granter_key_id: String,
}

impl From<NewGrant> for proto::Grant {
    fn from(this: NewGrant) -> Self {
        Self {
            version: this.version,
            user_id: this.user,
            recipient_key_id: this.key_id,
            enc: this.grant.enc.into(),
            ciphertext: this.grant.ct.into(),
            signature: this.grant.signature.into(),
            granter_key_id: this.granter_key_id,
        }
    }
}

/// Somebody and a key of theirs.
#[derive(Serialize)]
struct Holder {
    user: String,
    /// The name of an agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    agent: String,
    #[serde(flatten)]
    key: Key,
}

/// What was granted, with who did.
#[derive(Serialize)]
struct Granted {
    version: u32,
    grant: Sealed,
    granter: Holder,
}

/// The version before another one, encrypted under it.
#[derive(Serialize)]
struct Link {
    version: u32,
    link: Wrap,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationKey {
    /// 0: there is none.
    version: u32,
    granted: Option<Granted>,
    chain: Vec<Link>,
    rotation_due: bool,
    kit: Option<Kit>,
}

/// Of the organization.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kit {
    /// Else it opens, and cannot be shown to this server: a new one is to be made.
    recovers: bool,
    public_key: Base64,
    #[serde(flatten)]
    granted: Granted,
}

/// `agent`: its name, if it is one.
fn granted(grant: proto::Grant, by: String, agent: String, key: proto::AccountKey) -> Granted {
    Granted {
        version: grant.version,
        grant: Sealed { enc: grant.enc.into(), ct: grant.ciphertext.into(), signature: grant.signature.into() },
        granter: Holder { user: by, agent, key: key.into() },
    }
}

impl From<proto::OrganizationKey> for OrganizationKey {
    fn from(this: proto::OrganizationKey) -> Self {
        let granted = this
            .grant
            .zip(this.granter)
            .map(|(grant, key)| granted(grant, this.granter_user_id, this.granter_agent, key));
        let kit = this.kit_granter.map(|key| Kit {
            recovers: this.kit_recovers,
            public_key: this.kit_pub.into(),
            granted: Granted {
                version: this.version,
                grant: Sealed {
                    enc: this.kit_enc.into(),
                    ct: this.kit_ciphertext.into(),
                    signature: this.kit_signature.into(),
                },
                granter: Holder { user: this.kit_granter_user_id, agent: this.kit_granter_agent, key: key.into() },
            },
        });
        let link = |link: proto::ChainLink| Link {
            version: link.version,
            link: Wrap { nonce: link.nonce.into(), ct: link.ciphertext.into() },
        };
        Self {
            version: this.version,
            granted,
            chain: this.chain.into_iter().map(link).collect(),
            rotation_due: this.rotation_due,
            kit,
        }
    }
}

async fn organization_key(member: Member) -> Answer<OrganizationKey> {
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.get_organization_key(member.visit.call(member.shown())).await?.into_inner().into()))
}

#[derive(Deserialize)]
struct CreateKey {
    grant: NewGrant,
    kit: NewOrganizationKit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrganizationKit {
    public_key: Base64,
    /// Only of a new one.
    #[serde(default)]
    verifier: Base64,
    grant: Sealed,
}

async fn create_organization_key(member: Member, body: Body) -> Answer<OrganizationKey> {
    let CreateKey { grant, kit } = read(body).await?;
    let request = CreateOrganizationKeyRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        grant: Some(grant.into()),
        kit_pub: kit.public_key.into(),
        kit_enc: kit.grant.enc.into(),
        kit_ciphertext: kit.grant.ct.into(),
        kit_signature: kit.grant.signature.into(),
        kit_sha256: kit.verifier.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.create_organization_key(member.visit.call(request)).await?.into_inner().into()))
}

#[derive(Deserialize)]
pub(super) struct RotateKey {
    grant: NewGrant,
    link: Wrap,
    kit: NewOrganizationKit,
}

impl RotateKey {
    /// For whoever shows this.
    pub(super) fn request(self, secret_sha256: Bytes, request_id: String) -> RotateOrganizationKeyRequest {
        let Self { grant, link, kit } = self;
        let link = proto::ChainLink { version: grant.version, nonce: link.nonce.into(), ciphertext: link.ct.into() };
        RotateOrganizationKeyRequest {
            secret_sha256,
            request_id,
            grant: Some(grant.into()),
            link: Some(link),
            kit_pub: kit.public_key.into(),
            kit_enc: kit.grant.enc.into(),
            kit_ciphertext: kit.grant.ct.into(),
            kit_signature: kit.grant.signature.into(),
            kit_sha256: kit.verifier.into(),
        }
    }
}

async fn rotate_organization_key(member: Member, body: Body) -> Answer<OrganizationKey> {
    let given: RotateKey = read(body).await?;
    let request = given.request(member.secret_sha256(), member.request_id());
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.rotate_organization_key(member.visit.call(request)).await?.into_inner().into()))
}

#[derive(Deserialize)]
struct RecoverKey {
    proof: Base64,
    grant: NewGrant,
}

async fn recover_organization_key(member: Member, body: Body) -> Answer<OrganizationKey> {
    let RecoverKey { proof, grant } = read(body).await?;
    let request = RecoverOrganizationKeyRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        proof: proof.into(),
        grant: Some(grant.into()),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.recover_organization_key(member.visit.call(request)).await?.into_inner().into()))
}

// ---- members

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
pub(super) struct MembersFound {
    members: Vec<Unconfirmed>,
    more: bool,
}

impl From<proto::ListMembersToConfirmResponse> for MembersFound {
    fn from(found: proto::ListMembersToConfirmResponse) -> Self {
        Self { members: found.members.into_iter().filter_map(Unconfirmed::of).collect(), more: found.more }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unconfirmed {
    #[serde(flatten)]
    holder: Holder,
    user_name: String,
    display_name: String,
    email: String,
    possession: Base64,
    challenge: Base64,
    was_confirmed: bool,
    administrator: bool,
    /// What it was given before, for these keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<Granted>,
}

impl Unconfirmed {
    fn of(this: proto::UnconfirmedMember) -> Option<Self> {
        let granted =
            this.grant.zip(this.granter).map(|(grant, key)| granted(grant, this.granter_user_id, String::new(), key));
        let agent = if this.agent { this.user_name.clone() } else { String::new() };
        Some(Self {
            holder: Holder { user: this.user_id, agent, key: this.key?.into() },
            user_name: this.user_name,
            display_name: this.display_name,
            email: this.email,
            possession: this.proof_of_possession.into(),
            challenge: this.challenge.into(),
            was_confirmed: this.was_confirmed,
            administrator: this.administrator,
            granted,
        })
    }
}

async fn members(member: Member, body: Body) -> Answer<MembersFound> {
    let given: Members = read(body).await?;
    let request = ListMembersToConfirmRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        after: given.after,
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.list_members_to_confirm(member.visit.call(request)).await?.into_inner().into()))
}

#[derive(Deserialize)]
pub(super) struct Confirm {
    pub(super) grants: Vec<NewGrant>,
    /// Nobody looked at them.
    #[serde(default)]
    automatic: bool,
}

#[derive(Serialize)]
pub(super) struct ConfirmedMembers {
    confirmed: Vec<ConfirmedMember>,
}

impl From<proto::ConfirmMembersResponse> for ConfirmedMembers {
    fn from(answer: proto::ConfirmMembersResponse) -> Self {
        let one = |this: proto::Confirmed| ConfirmedMember { user: this.user_id, refused: this.refused };
        Self { confirmed: answer.confirmed.into_iter().map(one).collect() }
    }
}

#[derive(Serialize)]
struct ConfirmedMember {
    user: String,
    /// Empty: done.
    refused: String,
}

async fn confirm(member: Member, body: Body) -> Answer<ConfirmedMembers> {
    let given: Confirm = read(body).await?;
    let request = ConfirmMembersRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        grants: given.grants.into_iter().map(Into::into).collect(),
        automatic: given.automatic,
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.confirm_members(member.visit.call(request)).await?.into_inner().into()))
}
