//! Tokens and their events in the database. The organization comes first everywhere, but for [`token_by_hash`]: the hash is
//! how an unknown caller shows which organization it belongs to.

mod schema;

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use store::{AnyConnection, Instant};

use crate::caller::{Actor, Caller};

use self::schema::{token, token_event};

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
}

/// What a verification needs to know.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = token)]
pub(crate) struct Grant {
    pub(crate) org: OrgId,
    pub(crate) id: TokenId,
    pub(crate) expires: Option<Instant>,
    pub(crate) revoked: Option<Instant>,
}

/// What happened to a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Created,
    Revoked,
}

pub(crate) fn token_insert(
    connection: &mut AnyConnection,
    org: OrgId,
    new: &Token,
    secret_sha256: &[u8; 32],
) -> QueryResult<()> {
    let values = (
        token::org.eq(org),
        token::id.eq(new.id),
        token::description.eq(&new.description),
        token::secret_sha256.eq(&secret_sha256[..]),
        token::created.eq(new.created),
        token::expires.eq(new.expires),
    );
    diesel::insert_into(token::table).values(values).execute(connection).map(|_| ())
}

pub(crate) fn token_get(connection: &mut AnyConnection, org: OrgId, id: TokenId) -> QueryResult<Option<Token>> {
    token::table.find((org, id)).select(Token::as_select()).first(connection).optional()
}

/// Newest first: ids ascend with time.
pub(crate) fn token_list(connection: &mut AnyConnection, org: OrgId) -> QueryResult<Vec<Token>> {
    token::table.filter(token::org.eq(org)).order(token::id.desc()).select(Token::as_select()).load(connection)
}

/// Whether this call revoked it; not for one that is unknown or was revoked before.
pub(crate) fn token_revoke(connection: &mut AnyConnection, org: OrgId, id: TokenId, at: Instant) -> QueryResult<bool> {
    let live = token::table.find((org, id)).filter(token::revoked.is_null());
    let changed = diesel::update(live).set(token::revoked.eq(at)).execute(connection)?;
    Ok(changed == 1)
}

pub(crate) fn token_by_hash(connection: &mut AnyConnection, secret_sha256: &[u8; 32]) -> QueryResult<Option<Grant>> {
    let found = token::table.filter(token::secret_sha256.eq(&secret_sha256[..]));
    found.select(Grant::as_select()).first(connection).optional()
}

/// Never moves back: another process may have seen a later use.
pub(crate) fn token_used(connection: &mut AnyConnection, org: OrgId, id: TokenId, at: Instant) -> QueryResult<()> {
    let earlier = token::table.find((org, id)).filter(token::last_used.is_null().or(token::last_used.lt(at)));
    diesel::update(earlier).set(token::last_used.eq(at)).execute(connection).map(|_| ())
}

pub(crate) fn event_insert(
    connection: &mut AnyConnection,
    org: OrgId,
    id: EventId,
    token: TokenId,
    kind: Kind,
    caller: &Caller,
    occurred: Instant,
) -> QueryResult<()> {
    let (actor_kind, actor) = match &caller.actor {
        Actor::Administrator(name) => ("administrator", name),
        Actor::InternalService(name) => ("internal_service", name),
    };
    let kind = match kind {
        Kind::Created => "created",
        Kind::Revoked => "revoked",
    };
    let values = (
        token_event::org.eq(org),
        token_event::id.eq(id),
        token_event::token.eq(token),
        token_event::kind.eq(kind),
        token_event::actor_kind.eq(actor_kind),
        token_event::actor.eq(actor),
        token_event::request_id.eq(&caller.request_id),
        token_event::occurred.eq(occurred),
    );
    diesel::insert_into(token_event::table).values(values).execute(connection).map(|_| ())
}
