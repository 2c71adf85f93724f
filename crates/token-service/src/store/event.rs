//! What happened to tokens, policies and OAuth clients, and who did it.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{ClientId, EventId, GrantId, OrgId, TokenId, schema::token_event};
use crate::caller::Caller;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    Revoked,
    Rotated,
    Retired,
    PolicySet,
    ExpiresIn30Days,
    ExpiresIn7Days,
    ExpiresIn1Day,
    OAuthClientCreated,
    OAuthClientRevoked,
    OAuthSecretRotated,
    OAuthSecretRetired,
    OAuthApprovalCreated,
    OAuthAuthorized,
    OAuthGrantCreated,
    OAuthGrantRevoked,
    OAuthCodeReused,
    OAuthRefreshReused,
    OAuthPlanRefused,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Revoked => "revoked",
            Self::Rotated => "rotated",
            Self::Retired => "retired",
            Self::PolicySet => "policy_set",
            Self::ExpiresIn30Days => "expires_in_30_days",
            Self::ExpiresIn7Days => "expires_in_7_days",
            Self::ExpiresIn1Day => "expires_in_1_day",
            Self::OAuthClientCreated => "oauth_client_created",
            Self::OAuthClientRevoked => "oauth_client_revoked",
            Self::OAuthSecretRotated => "oauth_secret_rotated",
            Self::OAuthSecretRetired => "oauth_secret_retired",
            Self::OAuthApprovalCreated => "oauth_approval_created",
            Self::OAuthAuthorized => "oauth_authorized",
            Self::OAuthGrantCreated => "oauth_grant_created",
            Self::OAuthGrantRevoked => "oauth_grant_revoked",
            Self::OAuthCodeReused => "oauth_code_reused",
            Self::OAuthRefreshReused => "oauth_refresh_reused",
            Self::OAuthPlanRefused => "oauth_plan_refused",
        }
    }
}

/// `token`: none where the event is about the organization's policy.
pub(crate) fn event_insert(
    connection: &mut AnyConnection,
    org: OrgId,
    id: EventId,
    token: Option<TokenId>,
    kind: Kind,
    caller: &Caller,
    occurred: Instant,
) -> QueryResult<()> {
    insert(connection, org, (id, occurred), (token, None, None), kind, caller)
}

/// What happened to a client, or to what it was granted.
#[expect(clippy::too_many_arguments, reason = "the columns")]
pub(crate) fn oauth_event_insert(
    connection: &mut AnyConnection,
    org: OrgId,
    id: EventId,
    client: Option<ClientId>,
    grant: Option<GrantId>,
    kind: Kind,
    caller: &Caller,
    occurred: Instant,
) -> QueryResult<()> {
    insert(connection, org, (id, occurred), (None, client, grant), kind, caller)
}

type Subject = (Option<TokenId>, Option<ClientId>, Option<GrantId>);

fn insert(
    connection: &mut AnyConnection,
    org: OrgId,
    (id, occurred): (EventId, Instant),
    (token, client, grant): Subject,
    kind: Kind,
    caller: &Caller,
) -> QueryResult<()> {
    let (actor_kind, actor) = (caller.actor.kind(), caller.name());
    let values = (
        token_event::org.eq(org),
        token_event::id.eq(id),
        token_event::token.eq(token),
        token_event::oauth_client.eq(client),
        token_event::oauth_grant.eq(grant),
        token_event::kind.eq(kind.as_str()),
        token_event::actor_kind.eq(actor_kind),
        token_event::actor.eq(actor),
        token_event::request_id.eq(&caller.request_id),
        token_event::occurred.eq(occurred),
    );
    diesel::insert_into(token_event::table).values(values).execute(connection).map(|_| ())
}
