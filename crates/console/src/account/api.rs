//! The calls of the account page: each is one rpc, its fields by the same names in camelCase.

use axum::{Router, body::Body, routing::post};
use serde::{Deserialize, Serialize};
use wire::identity::{
    self as proto, AccountState, BeginKeySetUpRequest, BeginPasswordChangeRequest, BeginUnlockRequest,
    ConfirmMembersRequest, CreateOrganizationKeyRequest, FinishKeySetUpRequest, FinishPasswordChangeRequest,
    FinishUnlockRequest, GetAccountPolicyRequest, ListMembersToConfirmRequest, RecoverAccountRequest,
    RotateOrganizationKeyRequest,
};

use super::{
    json::{Base64, Json, Refused, read},
    session::Member,
};
use crate::console::Console;

type Answer<T> = Result<Json<T>, Refused>;

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
    confirm_automatically: bool,
    key: Option<Key>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: String,
    version: u32,
    enc_pub: Base64,
    sig_pub: Base64,
}

impl From<proto::AccountKey> for Key {
    fn from(key: proto::AccountKey) -> Self {
        Self { id: key.id, version: key.version, enc_pub: key.enc_pub.into(), sig_pub: key.sig_pub.into() }
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

#[derive(Serialize)]
struct Stretching {
    memory: u32,
    iterations: u32,
    parallelism: u32,
}

impl From<proto::Stretching> for Stretching {
    fn from(this: proto::Stretching) -> Self {
        Self { memory: this.memory, iterations: this.iterations, parallelism: this.parallelism }
    }
}

#[derive(Deserialize, Serialize)]
struct Wrap {
    nonce: Base64,
    ciphertext: Base64,
}

impl From<Wrap> for proto::Wrap {
    fn from(wrap: Wrap) -> Self {
        Self { nonce: wrap.nonce.into(), ciphertext: wrap.ciphertext.into() }
    }
}

impl From<proto::Wrap> for Wrap {
    fn from(wrap: proto::Wrap) -> Self {
        Self { nonce: wrap.nonce.into(), ciphertext: wrap.ciphertext.into() }
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
    enc_pub: Base64,
    sig_pub: Base64,
    proof_of_possession: Base64,
    password_wrap: Wrap,
    recovery_wrap: Wrap,
    recovery_sha256: Base64,
}

async fn finish_set_up(member: Member, body: Body) -> Answer<State> {
    let given: FinishSetUp = read(body).await?;
    let request = FinishKeySetUpRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        key_id: given.key_id,
        record: given.record.into(),
        enc_pub: given.enc_pub.into(),
        sig_pub: given.sig_pub.into(),
        proof_of_possession: given.proof_of_possession.into(),
        password_wrap: Some(given.password_wrap.into()),
        recovery_wrap: Some(given.recovery_wrap.into()),
        recovery_sha256: given.recovery_sha256.into(),
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
    password_wrap: Wrap,
    recovery_wrap: Option<Wrap>,
    recovery_sha256: Option<Base64>,
}

async fn finish_password(member: Member, body: Body) -> Answer<State> {
    let given: FinishPassword = read(body).await?;
    let request = FinishPasswordChangeRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        record: given.record.into(),
        password_wrap: Some(given.password_wrap.into()),
        recovery_wrap: given.recovery_wrap.map(Into::into),
        recovery_sha256: given.recovery_sha256.unwrap_or_default().into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.finish_password_change(member.visit.call(request)).await?.into_inner().into()))
}

// ---- the organization key

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    version: u32,
    user: String,
    recipient_key_id: String,
    enc: Base64,
    ciphertext: Base64,
    signature: Base64,
    granter_key_id: String,
}

impl From<proto::Grant> for Grant {
    fn from(grant: proto::Grant) -> Self {
        Self {
            version: grant.version,
            user: grant.user_id,
            recipient_key_id: grant.recipient_key_id,
            enc: grant.enc.into(),
            ciphertext: grant.ciphertext.into(),
            signature: grant.signature.into(),
            granter_key_id: grant.granter_key_id,
        }
    }
}

impl From<Grant> for proto::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            version: grant.version,
            user_id: grant.user,
            recipient_key_id: grant.recipient_key_id,
            enc: grant.enc.into(),
            ciphertext: grant.ciphertext.into(),
            signature: grant.signature.into(),
            granter_key_id: grant.granter_key_id,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct ChainLink {
    version: u32,
    nonce: Base64,
    ciphertext: Base64,
}

impl From<proto::ChainLink> for ChainLink {
    fn from(link: proto::ChainLink) -> Self {
        Self { version: link.version, nonce: link.nonce.into(), ciphertext: link.ciphertext.into() }
    }
}

impl From<ChainLink> for proto::ChainLink {
    fn from(link: ChainLink) -> Self {
        Self { version: link.version, nonce: link.nonce.into(), ciphertext: link.ciphertext.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationKey {
    version: u32,
    grant: Option<Grant>,
    granter: Option<Key>,
    granter_user: String,
    chain: Vec<ChainLink>,
    rotation_due: bool,
    kit_pub: Base64,
    kit_enc: Base64,
    kit_ciphertext: Base64,
}

impl From<proto::OrganizationKey> for OrganizationKey {
    fn from(this: proto::OrganizationKey) -> Self {
        Self {
            version: this.version,
            grant: this.grant.map(Into::into),
            granter: this.granter.map(Into::into),
            granter_user: this.granter_user_id,
            chain: this.chain.into_iter().map(Into::into).collect(),
            rotation_due: this.rotation_due,
            kit_pub: this.kit_pub.into(),
            kit_enc: this.kit_enc.into(),
            kit_ciphertext: this.kit_ciphertext.into(),
        }
    }
}

async fn organization_key(member: Member) -> Answer<OrganizationKey> {
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.get_organization_key(member.visit.call(member.shown())).await?.into_inner().into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateKey {
    grant: Grant,
    kit_pub: Base64,
    kit_enc: Base64,
    kit_ciphertext: Base64,
}

async fn create_organization_key(member: Member, body: Body) -> Answer<OrganizationKey> {
    let given: CreateKey = read(body).await?;
    let request = CreateOrganizationKeyRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        grant: Some(given.grant.into()),
        kit_pub: given.kit_pub.into(),
        kit_enc: given.kit_enc.into(),
        kit_ciphertext: given.kit_ciphertext.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.create_organization_key(member.visit.call(request)).await?.into_inner().into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RotateKey {
    grant: Grant,
    link: ChainLink,
    kit_enc: Base64,
    kit_ciphertext: Base64,
}

async fn rotate_organization_key(member: Member, body: Body) -> Answer<OrganizationKey> {
    let given: RotateKey = read(body).await?;
    let request = RotateOrganizationKeyRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        grant: Some(given.grant.into()),
        link: Some(given.link.into()),
        kit_enc: given.kit_enc.into(),
        kit_ciphertext: given.kit_ciphertext.into(),
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    Ok(Json(accounts.rotate_organization_key(member.visit.call(request)).await?.into_inner().into()))
}

// ---- members

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
struct MembersFound {
    members: Vec<Unconfirmed>,
    more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unconfirmed {
    user: String,
    user_name: String,
    display_name: String,
    email: String,
    key: Option<Key>,
    proof_of_possession: Base64,
    challenge: Base64,
    was_confirmed: bool,
}

async fn members(member: Member, body: Body) -> Answer<MembersFound> {
    let given: Members = read(body).await?;
    let request = ListMembersToConfirmRequest {
        secret_sha256: member.secret_sha256(),
        request_id: member.request_id(),
        after: given.after,
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    let found = accounts.list_members_to_confirm(member.visit.call(request)).await?.into_inner();
    let members = found.members.into_iter().map(|this| Unconfirmed {
        user: this.user_id,
        user_name: this.user_name,
        display_name: this.display_name,
        email: this.email,
        key: this.key.map(Into::into),
        proof_of_possession: this.proof_of_possession.into(),
        challenge: this.challenge.into(),
        was_confirmed: this.was_confirmed,
    });
    Ok(Json(MembersFound { members: members.collect(), more: found.more }))
}

#[derive(Deserialize)]
struct Confirm {
    grants: Vec<Grant>,
}

#[derive(Serialize)]
struct ConfirmedMembers {
    confirmed: Vec<ConfirmedMember>,
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
    };
    let mut accounts = member.visit.console.clients.accounts.clone();
    let answer = accounts.confirm_members(member.visit.call(request)).await?.into_inner();
    let confirmed = answer.confirmed.into_iter().map(|this| ConfirmedMember { user: this.user_id, refused: this.refused });
    Ok(Json(ConfirmedMembers { confirmed: confirmed.collect() }))
}
