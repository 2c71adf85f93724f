//! Tokens, policies and their events in the database. The organization comes first everywhere, but where it is what is
//! looked for: by [`token_by_hash`] and [`tokens_by_hash`], since the hash is how an unknown caller shows which organization
//! it belongs to, and in [`revocation`] and [`warning`], which find the tokens of all organizations that something has to be
//! done about. So it is in [`oauth`] with a client's id, which comes before its credential. Those of [`credential`] have none.

pub(crate) mod credential;
mod event;
pub(crate) mod oauth;
mod policy;
pub(crate) mod revocation;
#[cfg(test)]
mod row_security;
mod schema;
pub(crate) mod warning;

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use store::{AnyConnection, Instant};

use self::schema::token;
pub(crate) use self::{
    event::{Kind, event_insert, oauth_event_insert},
    policy::{Policy, policy_get, policy_put},
};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
pub(crate) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

store::typed_id! {
    /// An organization.
    pub(crate) struct OrgId;
}

store::typed_id! {
    /// A token of an organization.
    pub(crate) struct TokenId;
}

store::typed_id! {
    /// An OAuth client of an organization.
    pub(crate) struct ClientId;
}

store::typed_id! {
    /// What an administrator granted an OAuth client.
    pub(crate) struct GrantId;
}

store::typed_id! {
    /// An event of an organization.
    pub(crate) struct EventId;
}

/// A token; its secret is not here.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = token)]
pub(crate) struct Token {
    pub(crate) org: OrgId,
    pub(crate) id: TokenId,
    pub(crate) description: String,
    pub(crate) created: Instant,
    pub(crate) expires: Option<Instant>,
    pub(crate) revoked: Option<Instant>,
    pub(crate) last_used: Option<Instant>,
    /// With spaces between.
    pub(crate) scopes: String,
    /// With spaces between; empty: from anywhere.
    pub(crate) allowed_cidrs: String,
    pub(crate) created_by: Option<String>,
    pub(crate) last_used_address: Option<String>,
    pub(crate) last_used_user_agent: Option<String>,
    pub(crate) successor: Option<TokenId>,
}

/// What a verification needs to know.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = token)]
pub(crate) struct Grant {
    pub(crate) org: OrgId,
    pub(crate) id: TokenId,
    pub(crate) expires: Option<Instant>,
    pub(crate) revoked: Option<Instant>,
    pub(crate) scopes: String,
    pub(crate) allowed_cidrs: String,
    pub(crate) oauth_client: Option<ClientId>,
    pub(crate) oauth_grant: Option<GrantId>,
}

impl Grant {
    /// Neither revoked nor expired.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

/// The last use of a token, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) at: Instant,
    pub(crate) address: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// `warn_at`: when the first warning of its expiry is due.
pub(crate) fn token_insert(
    connection: &mut AnyConnection,
    org: OrgId,
    new: &Token,
    secret_sha256: &[u8; 32],
    warn_at: Option<Instant>,
) -> QueryResult<()> {
    let values = (
        token::org.eq(org),
        token::id.eq(new.id),
        token::description.eq(&new.description),
        token::secret_sha256.eq(&secret_sha256[..]),
        token::created.eq(new.created),
        token::expires.eq(new.expires),
        token::scopes.eq(&new.scopes),
        token::allowed_cidrs.eq(&new.allowed_cidrs),
        token::created_by.eq(&new.created_by),
        token::warn_at.eq(warn_at),
    );
    diesel::insert_into(token::table).values(values).execute(connection).map(|_| ())
}

pub(crate) fn token_get(connection: &mut AnyConnection, org: OrgId, id: TokenId) -> QueryResult<Option<Token>> {
    let scim = token::table.find((org, id)).filter(token::oauth_client.is_null());
    scim.select(Token::as_select()).first(connection).optional()
}

/// Newest first: ids ascend with time.
pub(crate) fn token_list(connection: &mut AnyConnection, org: OrgId) -> QueryResult<Vec<Token>> {
    let scim = token::table.filter(token::org.eq(org)).filter(token::oauth_client.is_null());
    scim.order(token::id.desc()).select(Token::as_select()).load(connection)
}

/// Whether this call revoked it; not for one that is unknown or was revoked before.
pub(crate) fn token_revoke(connection: &mut AnyConnection, org: OrgId, id: TokenId, at: Instant) -> QueryResult<bool> {
    let live = token::table.find((org, id)).filter(token::revoked.is_null().and(token::oauth_client.is_null()));
    let values = (token::revoked.eq(at), token::warn_at.eq(None::<Instant>));
    let changed = diesel::update(live).set(values).execute(connection)?;
    Ok(changed == 1)
}

/// Gives a token its successor and its last moment. Not one that has a successor or was revoked: of two calls at once one
/// wins. Whether this one did.
pub(crate) fn token_rotate(
    connection: &mut AnyConnection,
    org: OrgId,
    id: TokenId,
    successor: TokenId,
    expires: Option<Instant>,
) -> QueryResult<bool> {
    let live = token::table.find((org, id)).filter(token::revoked.is_null().and(token::successor.is_null()));
    let values = (token::successor.eq(successor), token::expires.eq(expires), token::warn_at.eq(None::<Instant>));
    let changed = diesel::update(live).set(values).execute(connection)?;
    Ok(changed == 1)
}

pub(crate) fn token_by_hash(connection: &mut AnyConnection, secret_sha256: &[u8; 32]) -> QueryResult<Option<Grant>> {
    let found = token::table.filter(token::secret_sha256.eq(&secret_sha256[..]));
    found.select(Grant::as_select()).first(connection).optional()
}

/// Those that are known, each with its hash.
pub(crate) fn tokens_by_hash(
    connection: &mut AnyConnection,
    secrets_sha256: &[[u8; 32]],
) -> QueryResult<Vec<(Vec<u8>, Grant)>> {
    let found = token::table.filter(token::secret_sha256.eq_any(secrets_sha256.iter().map(|hash| &hash[..])));
    found.select((token::secret_sha256, Grant::as_select())).load(connection)
}

/// Never moves back: another process may have seen a later use.
pub(crate) fn token_used(connection: &mut AnyConnection, org: OrgId, id: TokenId, last: &Use) -> QueryResult<()> {
    let earlier = token::table.find((org, id)).filter(token::last_used.is_null().or(token::last_used.lt(last.at)));
    let values = (
        token::last_used.eq(last.at),
        token::last_used_address.eq(&last.address),
        token::last_used_user_agent.eq(&last.user_agent),
    );
    diesel::update(earlier).set(values).execute(connection).map(|_| ())
}
