//! Service credentials: rows of the installation, so that none has an organization.

use diesel::prelude::*;
use store::{AnyConnection, Instant};

use super::{
    EventId,
    schema::{service_credential, service_credential_event},
};
use crate::caller::Caller;

/// To be numbered, see [`super::revocation`].
const TO_TELL: Option<i64> = Some(0);

store::typed_id! {
    /// A service credential.
    pub(crate) struct CredentialId;
}

/// A service credential. Its secret is not here, the SHA-256 of it is.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = service_credential)]
pub(crate) struct Credential {
    pub(crate) id: CredentialId,
    pub(crate) name: String,
    pub(crate) scopes: String,
    pub(crate) secret_sha256: Option<Vec<u8>>,
    pub(crate) previous_expires: Option<Instant>,
    pub(crate) tls_identity: Option<String>,
    pub(crate) created: Instant,
    pub(crate) created_by: String,
    pub(crate) expires: Option<Instant>,
    pub(crate) revoked: Option<Instant>,
    pub(crate) last_used: Option<Instant>,
    pub(crate) secret_used: Option<Instant>,
}

impl Credential {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// Until when the secret before the last rotation is valid.
    pub(crate) fn overlaps(&self, now: Instant) -> Option<Instant> {
        self.previous_expires.filter(|expires| self.is_live(now) && now < *expires)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    Created,
    Rotated,
    Retired,
    Revoked,
}

impl CredentialKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rotated => "rotated",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

pub(crate) fn credential_insert(connection: &mut AnyConnection, new: &Credential) -> QueryResult<()> {
    let values = (
        service_credential::id.eq(new.id),
        service_credential::name.eq(&new.name),
        service_credential::scopes.eq(&new.scopes),
        service_credential::secret_sha256.eq(&new.secret_sha256),
        service_credential::tls_identity.eq(&new.tls_identity),
        service_credential::created.eq(new.created),
        service_credential::created_by.eq(&new.created_by),
        service_credential::expires.eq(new.expires),
    );
    diesel::insert_into(service_credential::table).values(values).execute(connection).map(|_| ())
}

pub(crate) fn credential_get(connection: &mut AnyConnection, id: CredentialId) -> QueryResult<Option<Credential>> {
    service_credential::table.find(id).select(Credential::as_select()).first(connection).optional()
}

/// Newest first: ids ascend with time.
pub(crate) fn credential_list(connection: &mut AnyConnection) -> QueryResult<Vec<Credential>> {
    service_credential::table.order(service_credential::id.desc()).select(Credential::as_select()).load(connection)
}

/// By its secret, or the one before.
pub(crate) fn credential_by_hash(
    connection: &mut AnyConnection,
    secret_sha256: &[u8; 32],
) -> QueryResult<Option<Credential>> {
    let hash = &secret_sha256[..];
    let shown = service_credential::secret_sha256.eq(hash).or(service_credential::previous_sha256.eq(hash));
    service_credential::table.filter(shown).select(Credential::as_select()).first(connection).optional()
}

pub(crate) fn credential_by_tls_identity(
    connection: &mut AnyConnection,
    identity: &str,
) -> QueryResult<Option<Credential>> {
    let found = service_credential::table.filter(service_credential::tls_identity.eq(identity));
    let live = found.filter(service_credential::revoked.is_null());
    live.select(Credential::as_select()).first(connection).optional()
}

/// Whether this call revoked it.
pub(crate) fn credential_revoke(connection: &mut AnyConnection, id: CredentialId, at: Instant) -> QueryResult<bool> {
    let live = service_credential::table.find(id).filter(service_credential::revoked.is_null());
    let values = (service_credential::revoked.eq(at), service_credential::revocation.eq(TO_TELL));
    Ok(diesel::update(live).set(values).execute(connection)? == 1)
}

/// Puts another secret in the place of `old`, which stays valid until `old_expires`; of two calls at once one wins. Whether
/// this one did.
pub(crate) fn credential_rotate(
    connection: &mut AnyConnection,
    id: CredentialId,
    old: &[u8],
    old_expires: Instant,
    new: &[u8; 32],
    expires: Option<Instant>,
) -> QueryResult<bool> {
    let live = service_credential::table.find(id).filter(service_credential::revoked.is_null());
    let live = live.filter(service_credential::secret_sha256.eq(old));
    let values = (
        service_credential::secret_sha256.eq(&new[..]),
        service_credential::previous_sha256.eq(old),
        service_credential::previous_expires.eq(old_expires),
        service_credential::secret_used.eq(None::<Instant>),
        service_credential::expires.eq(expires),
        service_credential::revocation.eq(TO_TELL),
    );
    Ok(diesel::update(live).set(values).execute(connection)? == 1)
}

/// Forgets the secret before. Whether there was one.
pub(crate) fn credential_retire(connection: &mut AnyConnection, id: CredentialId) -> QueryResult<bool> {
    let rotated = service_credential::table.find(id).filter(service_credential::previous_sha256.is_not_null());
    let values = (
        service_credential::previous_sha256.eq(None::<Vec<u8>>),
        service_credential::previous_expires.eq(None::<Instant>),
        service_credential::revocation.eq(TO_TELL),
    );
    Ok(diesel::update(rotated).set(values).execute(connection)? == 1)
}

/// `secret_sha256`: of what was shown, if that was a secret. Never moves back.
pub(crate) fn credential_used(
    connection: &mut AnyConnection,
    id: CredentialId,
    secret_sha256: Option<&[u8; 32]>,
    at: Instant,
) -> QueryResult<()> {
    let used = service_credential::last_used;
    let earlier = service_credential::table.find(id).filter(used.is_null().or(used.lt(at)));
    diesel::update(earlier).set(used.eq(at)).execute(connection)?;
    let Some(hash) = secret_sha256 else { return Ok(()) };
    let used = service_credential::secret_used;
    // Not that of the secret before.
    let current = service_credential::table.find(id).filter(service_credential::secret_sha256.eq(&hash[..]));
    let earlier = current.filter(used.is_null().or(used.lt(at)));
    diesel::update(earlier).set(used.eq(at)).execute(connection).map(|_| ())
}

pub(crate) fn credential_event_insert(
    connection: &mut AnyConnection,
    id: EventId,
    credential: CredentialId,
    kind: CredentialKind,
    caller: &Caller,
    occurred: Instant,
) -> QueryResult<()> {
    let (actor_kind, actor) = (caller.actor.kind(), caller.name());
    let values = (
        service_credential_event::id.eq(id),
        service_credential_event::credential.eq(credential),
        service_credential_event::kind.eq(kind.as_str()),
        service_credential_event::actor_kind.eq(actor_kind),
        service_credential_event::actor.eq(actor),
        service_credential_event::request_id.eq(&caller.request_id),
        service_credential_event::occurred.eq(occurred),
    );
    diesel::insert_into(service_credential_event::table).values(values).execute(connection).map(|_| ())
}
