//! Accounts: sign-in and sessions of members, their keys, and the organization key.

use account_keys::Stretching;
use tonic::Request;
use uuid::Uuid;
use wire::{
    Refusal,
    identity::{self as proto, account_service_server::AccountService},
    received,
};

use super::{
    Reply, agents,
    convert::{instant, invalid, known_user, org_id, scope, user_id},
    reply,
};
use crate::{
    domain::{
        OrgId, UserId,
        account::{AccountSession, KeyId, Link, Member, Named, Policy, PublicKey, State},
        keys::{ChainLink, LoginId, MemberGrant, NewKeys, NewPassword, ShownOrgKey, Waiting, Wrap, exactly, key_id},
        parse_id,
        secret::Hash,
        session::Browser,
    },
    operations::{AT_ONCE, By, Core, Granted, LISTED, NewOrgKey, Unlocked},
};

/// `rollcall.identity.v1.AccountService`.
pub(crate) struct Accounts(pub(crate) Core);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn finish_account_sign_in(
        &self,
        request: Request<proto::FinishAccountSignInRequest>,
    ) -> Reply<proto::NewAccountSession> {
        reply(sign_in(&self.0, request.into_inner()).await)
    }

    async fn verify_account_session(
        &self,
        request: Request<proto::AccountSessionRequest>,
    ) -> Reply<proto::AccountSession> {
        reply(verify(&self.0, request.into_inner()).await)
    }

    async fn end_account_session(
        &self,
        request: Request<proto::AccountSessionRequest>,
    ) -> Reply<proto::EndAccountSessionResponse> {
        reply(end(&self.0, request.into_inner()).await)
    }

    async fn begin_key_set_up(
        &self,
        request: Request<proto::BeginKeySetUpRequest>,
    ) -> Reply<proto::BeginKeySetUpResponse> {
        reply(begin_set_up(&self.0, request.into_inner()).await)
    }

    async fn finish_key_set_up(&self, request: Request<proto::FinishKeySetUpRequest>) -> Reply<proto::Account> {
        reply(finish_set_up(&self.0, request.into_inner()).await)
    }

    async fn begin_unlock(&self, request: Request<proto::BeginUnlockRequest>) -> Reply<proto::BeginUnlockResponse> {
        reply(begin_unlock(&self.0, request.into_inner()).await)
    }

    async fn finish_unlock(&self, request: Request<proto::FinishUnlockRequest>) -> Reply<proto::Unlocked> {
        reply(finish_unlock(&self.0, request.into_inner()).await)
    }

    async fn recover_account(&self, request: Request<proto::RecoverAccountRequest>) -> Reply<proto::Unlocked> {
        reply(recover(&self.0, request.into_inner()).await)
    }

    async fn begin_password_change(
        &self,
        request: Request<proto::BeginPasswordChangeRequest>,
    ) -> Reply<proto::BeginPasswordChangeResponse> {
        reply(begin_password(&self.0, request.into_inner()).await)
    }

    async fn finish_password_change(
        &self,
        request: Request<proto::FinishPasswordChangeRequest>,
    ) -> Reply<proto::Account> {
        reply(finish_password(&self.0, request.into_inner()).await)
    }

    async fn get_organization_key(
        &self,
        request: Request<proto::AccountSessionRequest>,
    ) -> Reply<proto::OrganizationKey> {
        let shown = request.into_inner().secret_sha256;
        reply(get_key(&self.0, &shown, By::Member).await)
    }

    async fn create_organization_key(
        &self,
        request: Request<proto::CreateOrganizationKeyRequest>,
    ) -> Reply<proto::OrganizationKey> {
        reply(create_key(&self.0, request.into_inner()).await)
    }

    async fn rotate_organization_key(
        &self,
        request: Request<proto::RotateOrganizationKeyRequest>,
    ) -> Reply<proto::OrganizationKey> {
        reply(rotate_key(&self.0, request.into_inner(), By::Member).await)
    }

    async fn recover_organization_key(
        &self,
        request: Request<proto::RecoverOrganizationKeyRequest>,
    ) -> Reply<proto::OrganizationKey> {
        reply(recover_key(&self.0, request.into_inner()).await)
    }

    async fn list_members_to_confirm(
        &self,
        request: Request<proto::ListMembersToConfirmRequest>,
    ) -> Reply<proto::ListMembersToConfirmResponse> {
        reply(list_to_confirm(&self.0, request.into_inner()).await)
    }

    async fn confirm_members(
        &self,
        request: Request<proto::ConfirmMembersRequest>,
    ) -> Reply<proto::ConfirmMembersResponse> {
        reply(confirm(&self.0, request.into_inner(), By::Member).await)
    }

    async fn get_account(&self, request: Request<proto::GetAccountRequest>) -> Reply<proto::Account> {
        reply(get(&self.0, request.into_inner()).await)
    }

    async fn list_accounts(&self, request: Request<proto::ListAccountsRequest>) -> Reply<proto::ListAccountsResponse> {
        reply(list(&self.0, request.into_inner()).await)
    }

    async fn count_accounts(
        &self,
        request: Request<proto::CountAccountsRequest>,
    ) -> Reply<proto::CountAccountsResponse> {
        reply(count(&self.0, request.into_inner()).await)
    }

    async fn get_account_policy(
        &self,
        request: Request<proto::GetAccountPolicyRequest>,
    ) -> Reply<proto::AccountPolicy> {
        reply(get_policy(&self.0, request.into_inner()).await)
    }

    async fn set_account_policy(
        &self,
        request: Request<proto::SetAccountPolicyRequest>,
    ) -> Reply<proto::AccountPolicy> {
        reply(set_policy(&self.0, received(request)?).await)
    }

    async fn unlink_account(&self, request: Request<proto::UnlinkAccountRequest>) -> Reply<proto::Account> {
        reply(unlink(&self.0, received(request)?).await)
    }

    async fn invite_to_set_up(
        &self,
        request: Request<proto::InviteToSetUpRequest>,
    ) -> Reply<proto::InviteToSetUpResponse> {
        reply(invite(&self.0, received(request)?).await)
    }

    async fn create_confirm_agent(
        &self,
        request: Request<proto::CreateConfirmAgentRequest>,
    ) -> Reply<proto::NewConfirmAgent> {
        reply(agents::create(&self.0, received(request)?).await)
    }

    async fn list_confirm_agents(
        &self,
        request: Request<proto::ListConfirmAgentsRequest>,
    ) -> Reply<proto::ListConfirmAgentsResponse> {
        reply(agents::list(&self.0, request.into_inner()).await)
    }

    async fn revoke_confirm_agent(
        &self,
        request: Request<proto::RevokeConfirmAgentRequest>,
    ) -> Reply<proto::ConfirmAgent> {
        reply(agents::revoke(&self.0, received(request)?).await)
    }

    async fn get_confirm_agent(
        &self,
        request: Request<proto::ConfirmAgentRequest>,
    ) -> Reply<proto::EnrolledConfirmAgent> {
        reply(agents::get(&self.0, request.into_inner()).await)
    }

    async fn enroll_confirm_agent(
        &self,
        request: Request<proto::EnrollConfirmAgentRequest>,
    ) -> Reply<proto::EnrolledConfirmAgent> {
        reply(agents::enroll(&self.0, request.into_inner()).await)
    }

    async fn get_organization_key_as_agent(
        &self,
        request: Request<proto::ConfirmAgentRequest>,
    ) -> Reply<proto::OrganizationKey> {
        let shown = request.into_inner().secret_sha256;
        reply(get_key(&self.0, &shown, By::Agent).await)
    }

    async fn list_members_to_confirm_as_agent(
        &self,
        request: Request<proto::ListMembersToConfirmAsAgentRequest>,
    ) -> Reply<proto::ListMembersToConfirmResponse> {
        reply(agents::list_to_confirm(&self.0, request.into_inner()).await)
    }

    async fn confirm_members_as_agent(
        &self,
        request: Request<proto::ConfirmMembersRequest>,
    ) -> Reply<proto::ConfirmMembersResponse> {
        reply(confirm(&self.0, request.into_inner(), By::Agent).await)
    }

    async fn rotate_organization_key_as_agent(
        &self,
        request: Request<proto::RotateOrganizationKeyRequest>,
    ) -> Reply<proto::OrganizationKey> {
        reply(rotate_key(&self.0, request.into_inner(), By::Agent).await)
    }
}

async fn sign_in(core: &Core, request: proto::FinishAccountSignInRequest) -> Result<proto::NewAccountSession, Refusal> {
    let named = Named {
        issuer: request.issuer,
        subject: request.subject,
        email: request.email,
        email_verified: request.email_verified,
        user_name: request.user_name,
        name: request.name,
    };
    let org = org_id(&request.organization_id)?;
    let made = core.account_sign_in(org, named, browser(request.browser), request.request_id);
    let (session, secret) = made.await?;
    Ok(proto::NewAccountSession { session: Some(shown(session)), secret })
}

async fn verify(core: &Core, request: proto::AccountSessionRequest) -> Result<proto::AccountSession, Refusal> {
    Ok(shown(core.account_session_verify(secret(&request.secret_sha256)?, browser(request.browser)).await?))
}

async fn end(core: &Core, request: proto::AccountSessionRequest) -> Result<proto::EndAccountSessionResponse, Refusal> {
    core.account_session_end(secret(&request.secret_sha256)?).await?;
    Ok(proto::EndAccountSessionResponse {})
}

async fn begin_set_up(
    core: &Core,
    request: proto::BeginKeySetUpRequest,
) -> Result<proto::BeginKeySetUpResponse, Refusal> {
    let begun = core.key_set_up_begin(secret(&request.secret_sha256)?, &request.registration_request, request.reset);
    let begun = begun.await?;
    Ok(proto::BeginKeySetUpResponse {
        registration_response: begun.response.to_vec().into(),
        stretching: Some(stretching(crate::domain::keys::STRETCHING)),
        key_id: begun.registration.key.to_string(),
        version: begun.registration.version,
        challenge: begun.registration.challenge.to_vec().into(),
    })
}

async fn finish_set_up(core: &Core, request: proto::FinishKeySetUpRequest) -> Result<proto::Account, Refusal> {
    let shown = secret(&request.secret_sha256)?;
    let new = NewKeys {
        key: key_id(&request.key_id).ok_or_else(|| invalid("key_id must be the one that the set-up began with."))?,
        record: exactly("record", &request.record)?,
        enc_pub: exactly("enc_pub", &request.enc_pub)?,
        sig_pub: exactly("sig_pub", &request.sig_pub)?,
        possession: exactly("proof_of_possession", &request.proof_of_possession)?,
        password_wrap: wrap("password_wrap", request.password_wrap)?,
        recovery_wrap: wrap("recovery_wrap", request.recovery_wrap)?,
        recovery_sha256: exactly("recovery_sha256", &request.recovery_sha256)?,
    };
    let (org, member) = core.key_set_up_finish(shown, request.request_id, new).await?;
    Ok(account(org, member))
}

async fn begin_unlock(core: &Core, request: proto::BeginUnlockRequest) -> Result<proto::BeginUnlockResponse, Refusal> {
    let begun = core.unlock_begin(secret(&request.secret_sha256)?, request.request_id, &request.ke1).await?;
    Ok(proto::BeginUnlockResponse {
        id: begun.id.to_string(),
        ke2: begun.ke2.to_vec().into(),
        stretching: Some(stretching(begun.stretching)),
    })
}

async fn finish_unlock(core: &Core, request: proto::FinishUnlockRequest) -> Result<proto::Unlocked, Refusal> {
    let id = parse_id::<Uuid>(&request.id).map(LoginId);
    Ok(unlocked(core.unlock_finish(secret(&request.secret_sha256)?, id, &request.ke3).await?))
}

async fn recover(core: &Core, request: proto::RecoverAccountRequest) -> Result<proto::Unlocked, Refusal> {
    let (shown, proof) = (secret(&request.secret_sha256)?, exactly("proof", &request.proof)?);
    Ok(unlocked(core.account_recover(shown, request.request_id, proof).await?))
}

async fn begin_password(
    core: &Core,
    request: proto::BeginPasswordChangeRequest,
) -> Result<proto::BeginPasswordChangeResponse, Refusal> {
    let shown = secret(&request.secret_sha256)?;
    let begun = core.password_change_begin(shown, request.request_id, &request.registration_request).await?;
    Ok(proto::BeginPasswordChangeResponse {
        registration_response: begun.response.to_vec().into(),
        stretching: Some(stretching(crate::domain::keys::STRETCHING)),
    })
}

async fn finish_password(core: &Core, request: proto::FinishPasswordChangeRequest) -> Result<proto::Account, Refusal> {
    let shown = secret(&request.secret_sha256)?;
    let kit = match (request.recovery_wrap, request.recovery_sha256.is_empty()) {
        (None, true) => None,
        (Some(kit), false) => {
            Some((wrap("recovery_wrap", Some(kit))?, exactly("recovery_sha256", &request.recovery_sha256)?))
        }
        _ => {
            return Err(invalid(
                "recovery_wrap and recovery_sha256 belong together: send both for a new kit, or neither.",
            ));
        }
    };
    let new = NewPassword {
        record: exactly("record", &request.record)?,
        password_wrap: wrap("password_wrap", request.password_wrap)?,
        kit,
    };
    let (org, member) = core.password_change_finish(shown, request.request_id, new).await?;
    Ok(account(org, member))
}

async fn get_key(core: &Core, shown: &[u8], by: fn(Hash) -> By) -> Result<proto::OrganizationKey, Refusal> {
    Ok(organization_key(core.org_key_get(by(secret(shown)?)).await?))
}

async fn create_key(
    core: &Core,
    request: proto::CreateOrganizationKeyRequest,
) -> Result<proto::OrganizationKey, Refusal> {
    let shown = secret(&request.secret_sha256)?;
    let new = NewOrgKey {
        grant: grant(request.grant.as_ref())?,
        link: None,
        kit_pub: Some(exactly("kit_pub", &request.kit_pub)?),
        kit_enc: exactly("kit_enc", &request.kit_enc)?,
        kit_ciphertext: exactly("kit_ciphertext", &request.kit_ciphertext)?,
        kit_signature: exactly("kit_signature", &request.kit_signature)?,
        kit_verifier: Some(exactly("kit_sha256", &request.kit_sha256)?),
    };
    Ok(organization_key(core.org_key_create(shown, request.request_id, new).await?))
}

async fn rotate_key(
    core: &Core,
    request: proto::RotateOrganizationKeyRequest,
    by: fn(Hash) -> By,
) -> Result<proto::OrganizationKey, Refusal> {
    let by = by(secret(&request.secret_sha256)?);
    let link = request.link.unwrap_or_default();
    let chain = ChainLink {
        nonce: exactly("link.nonce", &link.nonce)?,
        ciphertext: exactly("link.ciphertext", &link.ciphertext)?,
    };
    let new = NewOrgKey {
        grant: grant(request.grant.as_ref())?,
        link: Some((link.version, chain)),
        kit_pub: if_given("kit_pub", &request.kit_pub)?,
        kit_enc: exactly("kit_enc", &request.kit_enc)?,
        kit_ciphertext: exactly("kit_ciphertext", &request.kit_ciphertext)?,
        kit_signature: exactly("kit_signature", &request.kit_signature)?,
        kit_verifier: if_given("kit_sha256", &request.kit_sha256)?,
    };
    Ok(organization_key(core.org_key_rotate(by, request.request_id, new).await?))
}

async fn recover_key(
    core: &Core,
    request: proto::RecoverOrganizationKeyRequest,
) -> Result<proto::OrganizationKey, Refusal> {
    let shown = secret(&request.secret_sha256)?;
    let proof = exactly("proof", &request.proof)?;
    let grant = grant(request.grant.as_ref())?;
    Ok(organization_key(core.org_key_recover(shown, request.request_id, proof, grant).await?))
}

fn if_given<const N: usize>(name: &str, bytes: &[u8]) -> Result<Option<[u8; N]>, Refusal> {
    if bytes.is_empty() { Ok(None) } else { exactly(name, bytes).map(Some) }
}

async fn list_to_confirm(
    core: &Core,
    request: proto::ListMembersToConfirmRequest,
) -> Result<proto::ListMembersToConfirmResponse, Refusal> {
    let by = By::Member(secret(&request.secret_sha256)?);
    Ok(member_list(core.members_to_confirm(by, agents::after(&request.after)?, false).await?))
}

pub(super) fn member_list((waiting, more): (Vec<Waiting>, bool)) -> proto::ListMembersToConfirmResponse {
    let member = |waiting: Waiting| proto::UnconfirmedMember {
        user_id: waiting.user.to_string(),
        user_name: waiting.user_name,
        display_name: waiting.display_name,
        email: waiting.email,
        key: Some(key(waiting.key)),
        proof_of_possession: waiting.possession.to_vec().into(),
        challenge: waiting.challenge.to_vec().into(),
        was_confirmed: waiting.was_confirmed,
        administrator: waiting.administrator,
        agent: waiting.agent,
        granter_user_id: waiting.grant.as_ref().map(|(_, by)| by.user.to_string()).unwrap_or_default(),
        granter: waiting.grant.as_ref().map(|(_, by)| key(by.clone())),
        grant: waiting.grant.map(|(grant, _)| shown_grant(grant)),
    };
    proto::ListMembersToConfirmResponse { members: waiting.into_iter().map(member).collect(), more }
}

async fn confirm(
    core: &Core,
    request: proto::ConfirmMembersRequest,
    by: fn(Hash) -> By,
) -> Result<proto::ConfirmMembersResponse, Refusal> {
    if request.grants.len() > AT_ONCE {
        return Err(invalid("grants may have 100 at once. Send the others in further calls."));
    }
    let one = |given: &proto::Grant| -> Result<MemberGrant, Granted> {
        grant(Some(given)).map_err(|refusal| (given.user_id.clone(), Some(refusal.message)))
    };
    let grants = request.grants.iter().map(one).collect();
    let by = by(secret(&request.secret_sha256)?);
    let done = core.members_confirm(by, request.request_id, (grants, request.automatic)).await?;
    let confirmed = |(user_id, refused): Granted| proto::Confirmed { user_id, refused: refused.unwrap_or_default() };
    Ok(proto::ConfirmMembersResponse { confirmed: done.into_iter().map(confirmed).collect() })
}

async fn get(core: &Core, request: proto::GetAccountRequest) -> Result<proto::Account, Refusal> {
    let org = org_id(&request.organization_id)?;
    Ok(account(org, core.account_get(org, known_user(user_id(&request.user_id))?).await?))
}

async fn list(core: &Core, request: proto::ListAccountsRequest) -> Result<proto::ListAccountsResponse, Refusal> {
    let org = org_id(&request.organization_id)?;
    let states: Option<Vec<State>> = request.states().map(state).collect();
    let states = states.ok_or_else(|| invalid("states may name states of accounts."))?;
    let after = match &*request.after {
        "" => UserId(Uuid::nil()),
        after => {
            user_id(after).ok_or_else(|| invalid("after must be the id of a user, as an earlier answer has it."))?
        }
    };
    let limit = match usize::try_from(request.limit) {
        Ok(0) => LISTED,
        Ok(limit) if limit <= LISTED => limit,
        _ => return Err(invalid("limit must be 1 to 100.")),
    };
    let listed = core.account_list(org, states, after, limit).await?;
    Ok(proto::ListAccountsResponse {
        accounts: listed.members.into_iter().map(|member| account(org, member)).collect(),
        more: listed.next.is_some(),
        next: listed.next.map(|next| next.to_string()).unwrap_or_default(),
    })
}

async fn count(core: &Core, request: proto::CountAccountsRequest) -> Result<proto::CountAccountsResponse, Refusal> {
    let counts = core.account_count(org_id(&request.organization_id)?).await?;
    let all =
        [State::Provisioned, State::SetUpRequired, State::Accepted, State::Confirmed, State::Suspended, State::Deleted];
    let count = |state: State| proto::AccountCount {
        state: state_of(state).into(),
        users: counts.get(&state).copied().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
    };
    Ok(proto::CountAccountsResponse { counts: all.into_iter().map(count).collect() })
}

async fn get_policy(core: &Core, request: proto::GetAccountPolicyRequest) -> Result<proto::AccountPolicy, Refusal> {
    let org = org_id(&request.organization_id)?;
    Ok(policy(org, core.account_policy(org).await?))
}

async fn set_policy(core: &Core, request: proto::SetAccountPolicyRequest) -> Result<proto::AccountPolicy, Refusal> {
    let link = match request.link() {
        proto::LinkClaim::Email => Link::Email,
        proto::LinkClaim::UserName => Link::UserName,
        proto::LinkClaim::ExternalId => Link::ExternalId,
        proto::LinkClaim::Unspecified => {
            return Err(invalid("link must be a claim: e-mail, user name or external id."));
        }
    };
    let scope = scope(&request.organization_id, request.caller)?;
    let org = scope.org;
    let wanted =
        Policy { link, just_in_time: request.just_in_time, confirm_automatically: request.confirm_automatically };
    Ok(policy(org, core.account_policy_set(scope, wanted).await?))
}

async fn unlink(core: &Core, request: proto::UnlinkAccountRequest) -> Result<proto::Account, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let org = scope.org;
    Ok(account(org, core.account_unlink(scope, known_user(user_id(&request.user_id))?).await?))
}

async fn invite(core: &Core, request: proto::InviteToSetUpRequest) -> Result<proto::InviteToSetUpResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    // An id that is none is one that no user has.
    let users = request.user_ids.iter().map(|id| user_id(id)).collect();
    let (sent, left_out) = core.account_invite(scope, users, request.url).await?;
    Ok(proto::InviteToSetUpResponse { sent, left_out })
}

pub(super) fn secret(bytes: &[u8]) -> Result<Hash, Refusal> {
    Hash::shown("secret_sha256", bytes)
}

fn browser(given: Option<proto::Browser>) -> Browser {
    let given = given.unwrap_or_default();
    Browser::new(&given.address, &given.user_agent)
}

fn wrap(field: &str, given: Option<proto::Wrap>) -> Result<Wrap, Refusal> {
    let given = given.ok_or_else(|| invalid(&format!("{field} is missing.")))?;
    Ok(Wrap {
        nonce: exactly(&format!("{field}.nonce"), &given.nonce)?,
        ciphertext: exactly(&format!("{field}.ciphertext"), &given.ciphertext)?,
    })
}

/// Ids that are none are those of nobody.
fn grant(given: Option<&proto::Grant>) -> Result<MemberGrant, Refusal> {
    let given = given.ok_or_else(|| invalid("grant is missing."))?;
    let key = |text: &str| key_id(text).unwrap_or(KeyId(Uuid::nil()));
    Ok(MemberGrant {
        version: given.version,
        user: user_id(&given.user_id).unwrap_or(UserId(Uuid::nil())),
        recipient: key(&given.recipient_key_id),
        granter: key(&given.granter_key_id),
        enc: exactly("grant.enc", &given.enc)?,
        ciphertext: exactly("grant.ciphertext", &given.ciphertext)?,
        signature: exactly("grant.signature", &given.signature)?,
    })
}

fn state(given: proto::AccountState) -> Option<State> {
    match given {
        proto::AccountState::Unspecified => None,
        proto::AccountState::Provisioned => Some(State::Provisioned),
        proto::AccountState::SetupRequired => Some(State::SetUpRequired),
        proto::AccountState::Accepted => Some(State::Accepted),
        proto::AccountState::Confirmed => Some(State::Confirmed),
        proto::AccountState::Suspended => Some(State::Suspended),
        proto::AccountState::Deleted => Some(State::Deleted),
    }
}

fn state_of(this: State) -> proto::AccountState {
    match this {
        State::Provisioned => proto::AccountState::Provisioned,
        State::SetUpRequired => proto::AccountState::SetupRequired,
        State::Accepted => proto::AccountState::Accepted,
        State::Confirmed => proto::AccountState::Confirmed,
        State::Suspended => proto::AccountState::Suspended,
        State::Deleted => proto::AccountState::Deleted,
    }
}

fn account(org: OrgId, this: Member) -> proto::Account {
    let (state, before) = this.state();
    let of = this.account.as_ref();
    proto::Account {
        organization_id: org.to_string(),
        user_id: this.user.to_string(),
        state: state_of(state).into(),
        before: before.map_or(proto::AccountState::Unspecified, state_of).into(),
        last_signed_in_at: of.map(|account| instant(account.last_signed_in)),
        set_up_at: of.and_then(|account| account.set_up).map(instant),
        confirmed_at: of.and_then(|account| account.confirmed).map(instant),
        key: this.key.map(key),
        user_name: this.user_name,
        display_name: this.display_name,
        email: this.email,
    }
}

pub(super) fn key(this: PublicKey) -> proto::AccountKey {
    proto::AccountKey {
        id: this.id.to_string(),
        version: this.version,
        enc_pub: this.enc_pub.to_vec().into(),
        sig_pub: this.sig_pub.to_vec().into(),
    }
}

fn shown(this: AccountSession) -> proto::AccountSession {
    proto::AccountSession {
        id: this.id.to_string(),
        created_at: Some(instant(this.created)),
        expires_at: Some(instant(this.expires)),
        unlocked: this.unlocked,
        may_confirm: this.may_confirm,
        invited_to_console: this.invited_to_console,
        account: Some(account(this.org, this.member)),
    }
}

fn stretching(this: Stretching) -> proto::Stretching {
    proto::Stretching { memory: this.memory_kib, iterations: this.passes, parallelism: this.lanes }
}

fn unlocked(this: Unlocked) -> proto::Unlocked {
    proto::Unlocked {
        key: Some(key(this.key)),
        wrap: Some(proto::Wrap {
            nonce: this.wrap.nonce.to_vec().into(),
            ciphertext: this.wrap.ciphertext.to_vec().into(),
        }),
        organization_key: Some(organization_key(this.organization_key)),
    }
}

fn shown_grant(this: MemberGrant) -> proto::Grant {
    proto::Grant {
        version: this.version,
        user_id: this.user.to_string(),
        recipient_key_id: this.recipient.to_string(),
        enc: this.enc.to_vec().into(),
        ciphertext: this.ciphertext.to_vec().into(),
        signature: this.signature.to_vec().into(),
        granter_key_id: this.granter.to_string(),
    }
}

fn organization_key(this: ShownOrgKey) -> proto::OrganizationKey {
    let Some(newest) = this.newest else { return proto::OrganizationKey::default() };
    let of_kit = |bytes: &[u8]| if this.with_kit { bytes.to_vec() } else { Vec::new() };
    let link = |(version, link): (u32, ChainLink)| proto::ChainLink {
        version,
        nonce: link.nonce.to_vec().into(),
        ciphertext: link.ciphertext.to_vec().into(),
    };
    proto::OrganizationKey {
        version: newest.version,
        grant: this.grant.map(shown_grant),
        granter_user_id: this.granter.as_ref().map(|granter| granter.user.to_string()).unwrap_or_default(),
        granter: this.granter.map(key),
        chain: this.chain.into_iter().map(link).collect(),
        rotation_due: newest.rotation_due.is_some(),
        kit_pub: of_kit(&newest.kit.kit_pub).into(),
        kit_enc: of_kit(&newest.kit.enc).into(),
        kit_ciphertext: of_kit(&newest.kit.ciphertext).into(),
        kit_signature: of_kit(&newest.kit.signature).into(),
        kit_recovers: this.with_kit && newest.kit_verifier.is_some(),
        kit_granter_user_id: this.kit_granter.as_ref().map(|granter| granter.user.to_string()).unwrap_or_default(),
        kit_granter: this.kit_granter.map(key),
        granter_agent: this.granter_agent.unwrap_or_default(),
        kit_granter_agent: this.kit_granter_agent.unwrap_or_default(),
    }
}

fn policy(org: OrgId, this: Policy) -> proto::AccountPolicy {
    let link = match this.link {
        Link::Email => proto::LinkClaim::Email,
        Link::UserName => proto::LinkClaim::UserName,
        Link::ExternalId => proto::LinkClaim::ExternalId,
    };
    proto::AccountPolicy {
        organization_id: org.to_string(),
        link: link.into(),
        just_in_time: this.just_in_time,
        confirm_automatically: this.confirm_automatically,
    }
}
