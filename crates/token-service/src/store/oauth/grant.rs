//! Authorization codes, grants, and the tokens issued for them.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use crate::store::{
    ClientId, GrantId, OrgId, TokenId, Use,
    schema::{oauth_code, oauth_grant, oauth_refresh, token},
};

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_code)]
pub(crate) struct Code {
    pub(crate) org: OrgId,
    pub(crate) code_sha256: Vec<u8>,
    pub(crate) client: ClientId,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: Option<String>,
    pub(crate) scopes: String,
    pub(crate) approved_by: String,
    pub(crate) expires: Instant,
    pub(crate) used: Option<Instant>,
    /// What it was exchanged for.
    pub(crate) grant_id: Option<GrantId>,
}

pub(crate) fn code_insert(connection: &mut AnyConnection, org: OrgId, new: &Code) -> QueryResult<()> {
    debug_assert_eq!(org, new.org);
    diesel::insert_into(oauth_code::table).values(new).execute(connection).map(|_| ())
}

/// That of another client is not there.
pub(crate) fn code_get(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    code_sha256: &[u8; 32],
) -> QueryResult<Option<Code>> {
    let found = oauth_code::table.find((org, code_sha256.to_vec())).filter(oauth_code::client.eq(client));
    found.select(Code::as_select()).first(connection).optional()
}

/// Whether this call was the first.
pub(crate) fn code_use(
    connection: &mut AnyConnection,
    org: OrgId,
    code_sha256: &[u8; 32],
    grant: GrantId,
    now: Instant,
) -> QueryResult<bool> {
    let unused = oauth_code::table.find((org, code_sha256.to_vec())).filter(oauth_code::used.is_null());
    let values = (oauth_code::used.eq(now), oauth_code::grant_id.eq(grant));
    Ok(diesel::update(unused).set(values).execute(connection)? == 1)
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = oauth_grant)]
pub(crate) struct Grant {
    pub(crate) org: OrgId,
    pub(crate) id: GrantId,
    pub(crate) client: ClientId,
    pub(crate) scopes: String,
    pub(crate) created: Instant,
    pub(crate) approved_by: String,
    /// When its last refresh token does, or when it was revoked.
    pub(crate) expires: Instant,
    pub(crate) revoked: Option<Instant>,
    pub(crate) revoked_for: Option<String>,
    pub(crate) last_issued: Instant,
    pub(crate) last_used: Option<Instant>,
    pub(crate) last_used_address: Option<String>,
    pub(crate) last_used_user_agent: Option<String>,
}

pub(crate) fn grant_insert(connection: &mut AnyConnection, org: OrgId, new: &Grant) -> QueryResult<()> {
    let values = (
        oauth_grant::org.eq(org),
        oauth_grant::id.eq(new.id),
        oauth_grant::client.eq(new.client),
        oauth_grant::scopes.eq(&new.scopes),
        oauth_grant::created.eq(new.created),
        oauth_grant::approved_by.eq(&new.approved_by),
        oauth_grant::expires.eq(new.expires),
        oauth_grant::last_issued.eq(new.last_issued),
    );
    diesel::insert_into(oauth_grant::table).values(values).execute(connection).map(|_| ())
}

pub(crate) fn grant_get(connection: &mut AnyConnection, org: OrgId, id: GrantId) -> QueryResult<Option<Grant>> {
    oauth_grant::table.find((org, id)).select(Grant::as_select()).first(connection).optional()
}

/// Newest first: ids ascend with time.
pub(crate) fn grant_list(connection: &mut AnyConnection, org: OrgId) -> QueryResult<Vec<Grant>> {
    let all = oauth_grant::table.filter(oauth_grant::org.eq(org));
    all.order(oauth_grant::id.desc()).select(Grant::as_select()).load(connection)
}

/// Holds the grant's row until the transaction ends: of several who refresh at once each sees what the one before did. Not
/// for one that is revoked.
pub(crate) fn grant_issue(
    connection: &mut AnyConnection,
    org: OrgId,
    id: GrantId,
    expires: Instant,
    now: Instant,
) -> QueryResult<bool> {
    let live = oauth_grant::table.find((org, id)).filter(oauth_grant::revoked.is_null());
    let values = (oauth_grant::last_issued.eq(now), oauth_grant::expires.eq(expires));
    Ok(diesel::update(live).set(values).execute(connection)? == 1)
}

/// Ends it and its tokens. Whether this call did; not for one that is unknown or was revoked before.
pub(crate) fn grant_revoke(
    connection: &mut AnyConnection,
    org: OrgId,
    id: GrantId,
    reason: &str,
    at: Instant,
) -> QueryResult<bool> {
    let live = oauth_grant::table.find((org, id)).filter(oauth_grant::revoked.is_null());
    let ended = (oauth_grant::revoked.eq(at), oauth_grant::revoked_for.eq(reason), oauth_grant::expires.eq(at));
    if diesel::update(live).set(ended).execute(connection)? != 1 {
        return Ok(false);
    }
    let refresh = oauth_refresh::table.filter(oauth_refresh::org.eq(org)).filter(oauth_refresh::grant_id.eq(id));
    diesel::delete(refresh).execute(connection)?;
    let tokens = token::table.filter(token::org.eq(org)).filter(token::oauth_grant.eq(id));
    let tokens = tokens.filter(token::revoked.is_null()).filter(token::expires.gt(at));
    diesel::update(tokens).set(token::revoked.eq(at)).execute(connection)?;
    Ok(true)
}

/// The grant of an access token was used, too. Never moves back.
pub(crate) fn grant_used(connection: &mut AnyConnection, org: OrgId, access: TokenId, last: &Use) -> QueryResult<()> {
    let of_token = token::table.find((org, access)).select(token::oauth_grant);
    let grants = oauth_grant::table.filter(oauth_grant::org.eq(org));
    let grants = grants.filter(oauth_grant::id.nullable().eq_any(of_token));
    let earlier = grants.filter(oauth_grant::last_used.is_null().or(oauth_grant::last_used.lt(last.at)));
    let values = (
        oauth_grant::last_used.eq(last.at),
        oauth_grant::last_used_address.eq(&last.address),
        oauth_grant::last_used_user_agent.eq(&last.user_agent),
    );
    diesel::update(earlier).set(values).execute(connection).map(|_| ())
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_refresh)]
pub(crate) struct Refresh {
    pub(crate) org: OrgId,
    pub(crate) refresh_sha256: Vec<u8>,
    pub(crate) grant_id: GrantId,
    /// The one that was shown for it; none for the first.
    pub(crate) parent: Option<Vec<u8>>,
    pub(crate) expires: Instant,
    /// When it was first used.
    pub(crate) used: Option<Instant>,
}

pub(crate) fn refresh_insert(connection: &mut AnyConnection, org: OrgId, new: &Refresh) -> QueryResult<()> {
    debug_assert_eq!(org, new.org);
    diesel::insert_into(oauth_refresh::table).values(new).execute(connection).map(|_| ())
}

/// With the client that it belongs to; that of a grant that was revoked is gone.
pub(crate) fn refresh_get(
    connection: &mut AnyConnection,
    org: OrgId,
    refresh_sha256: &[u8; 32],
) -> QueryResult<Option<(Refresh, Grant)>> {
    let Some(found) = oauth_refresh::table
        .find((org, refresh_sha256.to_vec()))
        .select(Refresh::as_select())
        .first(connection)
        .optional()?
    else {
        return Ok(None);
    };
    Ok(grant_get(connection, org, found.grant_id)?.map(|grant| (found, grant)))
}

/// Marks it as used; it is kept until `kept`, so that a second use is known as one.
pub(crate) fn refresh_use(
    connection: &mut AnyConnection,
    org: OrgId,
    refresh_sha256: &[u8; 32],
    kept: Instant,
    now: Instant,
) -> QueryResult<()> {
    let unused = oauth_refresh::table.find((org, refresh_sha256.to_vec())).filter(oauth_refresh::used.is_null());
    let values = (oauth_refresh::used.eq(now), oauth_refresh::expires.eq(kept));
    diesel::update(unused).set(values).execute(connection).map(|_| ())
}

/// When it was first used; none, too, if it is gone.
pub(crate) fn refresh_used(
    connection: &mut AnyConnection,
    org: OrgId,
    refresh_sha256: &[u8],
) -> QueryResult<Option<Instant>> {
    let used = oauth_refresh::table.find((org, refresh_sha256)).select(oauth_refresh::used);
    Ok(used.first::<Option<Instant>>(connection).optional()?.flatten())
}

/// Of each that was given for this one, when it was first used.
pub(crate) fn refresh_children(
    connection: &mut AnyConnection,
    org: OrgId,
    grant: GrantId,
    parent: &[u8],
) -> QueryResult<Vec<Option<Instant>>> {
    let children = oauth_refresh::table.filter(oauth_refresh::org.eq(org)).filter(oauth_refresh::grant_id.eq(grant));
    children.filter(oauth_refresh::parent.eq(parent)).select(oauth_refresh::used).load(connection)
}

/// Whether one of the grant's access tokens that were issued then or later was used.
pub(crate) fn access_used_since(
    connection: &mut AnyConnection,
    org: OrgId,
    grant: GrantId,
    since: Instant,
) -> QueryResult<bool> {
    let issued = token::table.filter(token::org.eq(org)).filter(token::oauth_grant.eq(grant));
    let used = issued.filter(token::created.ge(since)).filter(token::last_used.is_not_null());
    let found: Option<TokenId> = used.select(token::id).first(connection).optional()?;
    Ok(found.is_some())
}

/// Ends the grant's access tokens that were issued then or later. Whether there were any.
pub(crate) fn access_revoke_since(
    connection: &mut AnyConnection,
    org: OrgId,
    grant: GrantId,
    since: Instant,
    at: Instant,
) -> QueryResult<bool> {
    let issued = token::table.filter(token::org.eq(org)).filter(token::oauth_grant.eq(grant));
    let live = issued.filter(token::created.ge(since)).filter(token::revoked.is_null()).filter(token::expires.gt(at));
    Ok(diesel::update(live).set(token::revoked.eq(at)).execute(connection)? > 0)
}

/// An access token, among all tokens.
#[derive(Clone, Debug)]
pub(crate) struct Access<'a> {
    pub(crate) id: TokenId,
    pub(crate) client: ClientId,
    pub(crate) grant: Option<GrantId>,
    pub(crate) secret_sha256: &'a [u8; 32],
    pub(crate) scopes: &'a str,
    pub(crate) allowed_cidrs: &'a str,
    pub(crate) created: Instant,
    pub(crate) expires: Instant,
}

pub(crate) fn access_insert(connection: &mut AnyConnection, org: OrgId, new: &Access<'_>) -> QueryResult<()> {
    let values = (
        token::org.eq(org),
        token::id.eq(new.id),
        token::description.eq("OAuth access token"),
        token::secret_sha256.eq(&new.secret_sha256[..]),
        token::created.eq(new.created),
        token::expires.eq(new.expires),
        token::scopes.eq(new.scopes),
        token::allowed_cidrs.eq(new.allowed_cidrs),
        token::oauth_client.eq(new.client),
        token::oauth_grant.eq(new.grant),
    );
    diesel::insert_into(token::table).values(values).execute(connection).map(|_| ())
}

/// Whether this call revoked an access token of the client's.
pub(crate) fn access_revoke(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    secret_sha256: &[u8; 32],
    at: Instant,
) -> QueryResult<bool> {
    let this = token::table.filter(token::org.eq(org)).filter(token::secret_sha256.eq(&secret_sha256[..]));
    let live = this.filter(token::oauth_client.eq(client)).filter(token::revoked.is_null());
    Ok(diesel::update(live).set(token::revoked.eq(at)).execute(connection)? == 1)
}
