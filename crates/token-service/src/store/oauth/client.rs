//! Clients, approvals of theirs, and assertions that were used.

use diesel::{prelude::*, sql_query, sql_types::Binary};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantSql},
};

use crate::store::{
    ClientId, OrgId,
    schema::{oauth_approval, oauth_client, oauth_grant, oauth_refresh, token},
};

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = oauth_client)]
pub(crate) struct Client {
    pub(crate) org: OrgId,
    pub(crate) id: ClientId,
    pub(crate) name: String,
    /// None: it is known by assertions alone.
    pub(crate) secret_sha256: Option<Vec<u8>>,
    /// When a token was first issued for this secret.
    pub(crate) secret_used: Option<Instant>,
    /// The secret before, as long as it is not retired.
    pub(crate) old_secret_sha256: Option<Vec<u8>>,
    /// Until when it is valid; none: until it is retired.
    pub(crate) old_secret_expires: Option<Instant>,
    /// These lists have spaces between.
    pub(crate) grant_types: String,
    pub(crate) redirect_uris: String,
    pub(crate) scopes: String,
    pub(crate) allowed_cidrs: String,
    #[diesel(embed)]
    pub(crate) trust: Trust,
    pub(crate) created: Instant,
    pub(crate) created_by: String,
    pub(crate) revoked: Option<Instant>,
    pub(crate) last_issued: Option<Instant>,
}

/// Without an issuer: no assertion stands for the client.
#[derive(Clone, Debug, Default, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_client)]
pub(crate) struct Trust {
    #[diesel(column_name = trust_issuer)]
    pub(crate) issuer: Option<String>,
    #[diesel(column_name = trust_subject)]
    pub(crate) subject: Option<String>,
    #[diesel(column_name = trust_audience)]
    pub(crate) audience: Option<String>,
    #[diesel(column_name = trust_jwks)]
    pub(crate) jwks: Option<String>,
    #[diesel(column_name = trust_jwks_uri)]
    pub(crate) jwks_uri: Option<String>,
}

impl Client {
    pub(crate) fn old_secret_valid(&self, now: Instant) -> bool {
        self.old_secret_sha256.is_some() && self.old_secret_expires.is_none_or(|expires| now < expires)
    }
}

pub(crate) fn client_insert(connection: &mut AnyConnection, org: OrgId, new: &Client) -> QueryResult<()> {
    let values = (
        oauth_client::org.eq(org),
        oauth_client::id.eq(new.id),
        oauth_client::name.eq(&new.name),
        oauth_client::secret_sha256.eq(&new.secret_sha256),
        oauth_client::grant_types.eq(&new.grant_types),
        oauth_client::redirect_uris.eq(&new.redirect_uris),
        oauth_client::scopes.eq(&new.scopes),
        oauth_client::allowed_cidrs.eq(&new.allowed_cidrs),
        new.trust.clone(),
        oauth_client::created.eq(new.created),
        oauth_client::created_by.eq(&new.created_by),
    );
    diesel::insert_into(oauth_client::table).values(values).execute(connection).map(|_| ())
}

pub(crate) fn client_get(connection: &mut AnyConnection, org: OrgId, id: ClientId) -> QueryResult<Option<Client>> {
    oauth_client::table.find((org, id)).select(Client::as_select()).first(connection).optional()
}

/// Finds the organization.
pub(crate) fn client_by_id(connection: &mut AnyConnection, id: ClientId) -> QueryResult<Option<Client>> {
    let found = oauth_client::table.filter(oauth_client::id.eq(id));
    found.select(Client::as_select()).first(connection).optional()
}

/// Newest first: ids ascend with time.
pub(crate) fn client_list(connection: &mut AnyConnection, org: OrgId) -> QueryResult<Vec<Client>> {
    let all = oauth_client::table.filter(oauth_client::org.eq(org));
    all.order(oauth_client::id.desc()).select(Client::as_select()).load(connection)
}

/// Ends it and all that it was given. Whether this call did; not for one that is unknown or was revoked before.
pub(crate) fn client_revoke(
    connection: &mut AnyConnection,
    org: OrgId,
    id: ClientId,
    at: Instant,
) -> QueryResult<bool> {
    // First: whoever issues a token holds this row until it is there.
    let live = oauth_client::table.find((org, id)).filter(oauth_client::revoked.is_null());
    if diesel::update(live).set(oauth_client::revoked.eq(at)).execute(connection)? != 1 {
        return Ok(false);
    }
    let grants = oauth_grant::table.filter(oauth_grant::org.eq(org)).filter(oauth_grant::client.eq(id));
    let grants = grants.filter(oauth_grant::revoked.is_null());
    let ended =
        (oauth_grant::revoked.eq(at), oauth_grant::revoked_for.eq("client_revoked"), oauth_grant::expires.eq(at));
    diesel::update(grants).set(ended).execute(connection)?;
    let of_client = oauth_grant::table.filter(oauth_grant::org.eq(org)).filter(oauth_grant::client.eq(id));
    let refresh = oauth_refresh::table.filter(oauth_refresh::org.eq(org));
    let refresh = refresh.filter(oauth_refresh::grant_id.eq_any(of_client.select(oauth_grant::id)));
    diesel::delete(refresh).execute(connection)?;
    let tokens = token::table.filter(token::org.eq(org)).filter(token::oauth_client.eq(id));
    let tokens = tokens.filter(token::revoked.is_null()).filter(token::expires.gt(at));
    diesel::update(tokens).set(token::revoked.eq(at)).execute(connection)?;
    Ok(true)
}

/// Whether this call did: not if another one changed the secret first.
pub(crate) fn client_rotate(
    connection: &mut AnyConnection,
    org: OrgId,
    old: &Client,
    secret_sha256: &[u8; 32],
    old_expires: Option<Instant>,
) -> QueryResult<bool> {
    let same = oauth_client::table.find((org, old.id)).filter(oauth_client::revoked.is_null());
    let same = same.filter(oauth_client::secret_sha256.eq(&old.secret_sha256));
    let values = (
        oauth_client::secret_sha256.eq(&secret_sha256[..]),
        oauth_client::secret_used.eq(None::<Instant>),
        oauth_client::old_secret_sha256.eq(&old.secret_sha256),
        oauth_client::old_secret_expires.eq(old_expires),
    );
    Ok(diesel::update(same).set(values).execute(connection)? == 1)
}

pub(crate) fn client_retire_secret(connection: &mut AnyConnection, org: OrgId, id: ClientId) -> QueryResult<bool> {
    let two = oauth_client::table.find((org, id)).filter(oauth_client::old_secret_sha256.is_not_null());
    let values =
        (oauth_client::old_secret_sha256.eq(None::<Vec<u8>>), oauth_client::old_secret_expires.eq(None::<Instant>));
    Ok(diesel::update(two).set(values).execute(connection)? == 1)
}

/// Holds the client's row until the transaction ends, so that a revocation comes before or after what is issued. Not for one
/// that is revoked, or whose secret of this hash has ended meanwhile; `None`: it has shown an assertion.
pub(crate) fn client_issue(
    connection: &mut AnyConnection,
    org: OrgId,
    id: ClientId,
    secret_sha256: Option<&[u8; 32]>,
    now: Instant,
) -> QueryResult<bool> {
    let live = oauth_client::table.find((org, id)).filter(oauth_client::revoked.is_null());
    let issued = oauth_client::last_issued.eq(now);
    let changed = match secret_sha256 {
        None => diesel::update(live).set(issued).execute(connection)?,
        Some(hash) => {
            let hash = hash.to_vec();
            let still = oauth_client::old_secret_expires.is_null().or(oauth_client::old_secret_expires.gt(now));
            let old = oauth_client::old_secret_sha256.eq(hash.clone()).and(still);
            let shown = oauth_client::secret_sha256.eq(hash).or(old);
            // NULL counts as no.
            diesel::update(live.filter(shown.assume_not_null())).set(issued).execute(connection)?
        }
    };
    Ok(changed == 1)
}

pub(crate) fn client_secret_used(
    connection: &mut AnyConnection,
    org: OrgId,
    id: ClientId,
    secret_sha256: &[u8; 32],
    now: Instant,
) -> QueryResult<()> {
    let first = oauth_client::table.find((org, id)).filter(oauth_client::secret_used.is_null());
    let first = first.filter(oauth_client::secret_sha256.eq(&secret_sha256[..]));
    diesel::update(first).set(oauth_client::secret_used.eq(now)).execute(connection).map(|_| ())
}

/// What an administrator made, for whoever stands before the consent page.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = oauth_approval)]
pub(crate) struct Approval {
    pub(crate) org: OrgId,
    pub(crate) client: ClientId,
    pub(crate) code_sha256: Vec<u8>,
    pub(crate) created_by: String,
    pub(crate) expires: Instant,
    /// Wrong codes that were tried while this one was good.
    pub(crate) guesses: i64,
}

pub(crate) fn approval_insert(connection: &mut AnyConnection, org: OrgId, new: &Approval) -> QueryResult<()> {
    debug_assert_eq!(org, new.org);
    diesel::insert_into(oauth_approval::table).values(new).execute(connection).map(|_| ())
}

/// Whether `approval_take` would take it.
pub(crate) fn approval_good(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    code_sha256: &[u8; 32],
    most_guesses: i64,
    now: Instant,
) -> QueryResult<bool> {
    let this = oauth_approval::table.find((org, client, code_sha256.to_vec()));
    let good = this.filter(oauth_approval::used.is_null()).filter(oauth_approval::expires.gt(now));
    let good = good.filter(oauth_approval::guesses.lt(most_guesses));
    Ok(good.count().get_result::<i64>(connection)? == 1)
}

/// Uses it up. Who made it; `None` where it is not good, or no longer.
pub(crate) fn approval_take(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    code_sha256: &[u8; 32],
    most_guesses: i64,
    now: Instant,
) -> QueryResult<Option<String>> {
    let this = oauth_approval::table.find((org, client, code_sha256.to_vec()));
    let good = this.filter(oauth_approval::used.is_null()).filter(oauth_approval::expires.gt(now));
    let good = good.filter(oauth_approval::guesses.lt(most_guesses));
    if diesel::update(good).set(oauth_approval::used.eq(now)).execute(connection)? != 1 {
        return Ok(None);
    }
    let this = oauth_approval::table.find((org, client, code_sha256.to_vec()));
    this.select(oauth_approval::created_by).first(connection).optional()
}

/// Counts a wrong code against those that it could have been.
pub(crate) fn approval_guess(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    most_guesses: i64,
    now: Instant,
) -> QueryResult<()> {
    let open = oauth_approval::table.filter(oauth_approval::org.eq(org)).filter(oauth_approval::client.eq(client));
    let open = open.filter(oauth_approval::used.is_null()).filter(oauth_approval::expires.gt(now));
    let open = open.filter(oauth_approval::guesses.lt(most_guesses));
    let one_more = oauth_approval::guesses.eq(oauth_approval::guesses + 1);
    diesel::update(open).set(one_more).execute(connection).map(|_| ())
}

/// Whether it was not used before.
pub(crate) fn assertion_use(
    connection: &mut AnyConnection,
    org: OrgId,
    client: ClientId,
    jti_sha256: &[u8; 32],
    expires: Instant,
) -> QueryResult<bool> {
    let put = "INSERT INTO oauth_assertion (org, client, jti_sha256, expires) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    let put = sql_query(put).bind::<Id, _>(org).bind::<Id, _>(client).bind::<Binary, _>(jti_sha256.to_vec());
    Ok(put.bind::<InstantSql, _>(expires).execute(connection)? == 1)
}
