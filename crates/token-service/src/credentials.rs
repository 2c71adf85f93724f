//! `rollcall.token.v1.ServiceCredentialService`: what other services show to call the gRPC ports, made, rotated, revoked and
//! verified.
//!
//! Not here: which rpc needs which scope, and the callers' connections (the `rollcall` crate).

use std::str::FromStr as _;

use store::{Error, Failure, Instant};
use tonic::{Request, Response, Status};
use wire::{
    Reason, Refusal, received, to_timestamp,
    token::{
        CreateServiceCredentialRequest, CreateServiceCredentialResponse, ListServiceCredentialsRequest,
        ListServiceCredentialsResponse, RetireServiceSecretRequest, RevokeServiceCredentialRequest,
        RotateServiceCredentialRequest, RotateServiceCredentialResponse, ServiceCredential,
        VerifyServiceCredentialRequest, VerifyServiceCredentialResponse,
        service_credential_service_server::ServiceCredentialService,
    },
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    expiry::DAY_MICROS,
    restrictions::split,
    secret::{SERVICE_CREDENTIAL, Secret},
    store::{
        EventId,
        credential::{self as credentials, Credential, CredentialId, CredentialKind as Kind},
    },
};

/// Every scope, in the order in which they are kept.
const SCOPES: [&str; 3] = ["identities:read", "identities:watch", "administer"];

/// What Rollcall's own parts are called in events.
const RESERVED: [&str; 4] = ["rollcall", "scim-gateway", "identity-service", "token-service"];

const DEFAULT_TTL_DAYS: u32 = 365;
const LONGEST_TTL_DAYS: u32 = 3650;
const DEFAULT_OVERLAP: u32 = 24 * 60 * 60;
const LONGEST_OVERLAP: u32 = 30 * 24 * 60 * 60;
const LONGEST_NAME: usize = 63;
const LONGEST_IDENTITY: usize = 500;
/// A certificate with more names is nobody's.
const MOST_NAMES: usize = 32;

#[tonic::async_trait]
impl ServiceCredentialService for Service {
    async fn create_service_credential(
        &self,
        request: Request<CreateServiceCredentialRequest>,
    ) -> Result<Response<CreateServiceCredentialResponse>, Status> {
        Ok(Response::new(self.credential_create(received(request)?).await?))
    }

    async fn list_service_credentials(
        &self,
        _: Request<ListServiceCredentialsRequest>,
    ) -> Result<Response<ListServiceCredentialsResponse>, Status> {
        let listed = self.inner.db.read(|connection| Ok(credentials::credential_list(connection)?));
        let now = self.inner.clock.now();
        let listed = listed.await.map_err(refusal)?.into_iter().map(|credential| to_wire(credential, now)).collect();
        Ok(Response::new(ListServiceCredentialsResponse { credentials: listed }))
    }

    async fn revoke_service_credential(
        &self,
        request: Request<RevokeServiceCredentialRequest>,
    ) -> Result<Response<ServiceCredential>, Status> {
        Ok(Response::new(self.credential_revoke(received(request)?).await?))
    }

    async fn rotate_service_credential(
        &self,
        request: Request<RotateServiceCredentialRequest>,
    ) -> Result<Response<RotateServiceCredentialResponse>, Status> {
        Ok(Response::new(self.credential_rotate(received(request)?).await?))
    }

    async fn retire_service_secret(
        &self,
        request: Request<RetireServiceSecretRequest>,
    ) -> Result<Response<ServiceCredential>, Status> {
        Ok(Response::new(self.credential_retire(received(request)?).await?))
    }

    async fn verify_service_credential(
        &self,
        request: Request<VerifyServiceCredentialRequest>,
    ) -> Result<Response<VerifyServiceCredentialResponse>, Status> {
        Ok(Response::new(self.credential_verify(request.into_inner()).await?))
    }
}

impl Service {
    async fn credential_create(
        &self,
        request: CreateServiceCredentialRequest,
    ) -> Result<CreateServiceCredentialResponse, Refusal> {
        let caller = Caller::from_wire(request.caller)?;
        let name = name(&request.name)?;
        let scopes = scopes(&request.scopes)?;
        let tls_identity = match request.tls_identity.as_str() {
            "" => None,
            text => Some(tls_identity(text)?),
        };
        let now = self.inner.clock.now();
        let secret = (tls_identity.is_none() || request.with_secret)
            .then(|| Secret::generate(SERVICE_CREDENTIAL, &self.inner.random));
        let new = Credential {
            id: CredentialId(self.inner.ids.next()),
            name,
            scopes,
            secret_sha256: secret.as_ref().map(|secret| secret.sha256().to_vec()),
            previous_expires: None,
            tls_identity,
            created: now,
            created_by: caller.name().to_owned(),
            expires: expiry(request.ttl_days, secret.is_some(), now)?,
            revoked: None,
            last_used: None,
            secret_used: None,
        };
        let event = EventId(self.inner.ids.next());
        let row = new.clone();
        let written = self.inner.db.write(move |connection| {
            credentials::credential_insert(connection, &row)?;
            credentials::credential_event_insert(connection, event, row.id, Kind::Created, &caller, now)?;
            Ok(())
        });
        written.await.map_err(|failure| taken(failure, &new))?;
        Ok(CreateServiceCredentialResponse {
            credential: Some(to_wire(new, now)),
            secret: secret.map(Secret::into_answer).unwrap_or_default(),
        })
    }

    async fn credential_revoke(&self, request: RevokeServiceCredentialRequest) -> Result<ServiceCredential, Refusal> {
        let caller = Caller::from_wire(request.caller)?;
        let id = CredentialId::from_str(&request.id).map_err(|_| not_found())?;
        let (event, at) = (EventId(self.inner.ids.next()), self.inner.clock.now());
        let written = self.inner.db.write(move |connection| {
            if credentials::credential_revoke(connection, id, at)? {
                credentials::credential_event_insert(connection, event, id, Kind::Revoked, &caller, at)?;
            }
            credentials::credential_get(connection, id)?.ok_or_else(|| Failure::Refused(not_found()))
        });
        let revoked = written.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(to_wire(revoked, at))
    }

    async fn credential_rotate(
        &self,
        request: RotateServiceCredentialRequest,
    ) -> Result<RotateServiceCredentialResponse, Refusal> {
        let caller = Caller::from_wire(request.caller)?;
        let id = CredentialId::from_str(&request.id).map_err(|_| not_found())?;
        let overlap = request.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
        if overlap > LONGEST_OVERLAP {
            let detail = format!(
                "The secret before cannot stay valid for {overlap} seconds more. Choose at most {LONGEST_OVERLAP} (30 \
                 days)."
            );
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
        let now = self.inner.clock.now();
        let expires = expiry(request.ttl_days, true, now)?;
        let secret = Secret::generate(SERVICE_CREDENTIAL, &self.inner.random);
        let (hash, event) = (secret.sha256(), EventId(self.inner.ids.next()));
        let written = self.inner.db.write(move |connection| {
            let Some(credential) = credentials::credential_get(connection, id)? else {
                return Err(Failure::Refused(not_found()));
            };
            if !credential.is_live(now) {
                return Err(state("The credential is no longer valid, so there is nothing to rotate. Make a new one."));
            }
            let Some(old) = &credential.secret_sha256 else {
                return Err(state(
                    "The credential has no secret: it is known by its certificate. Give the service a new certificate \
                     with the same name.",
                ));
            };
            if credential.overlaps(now).is_some() {
                return Err(state(&format!(
                    "The credential was rotated before, and the secret of before is still valid. Retire that one first: \
                     rollcall service retire {} (with --force if the new one was not used yet).",
                    credential.name
                )));
            }
            let old_expires = now.saturating_add_micros(i64::from(overlap) * 1_000_000);
            if !credentials::credential_rotate(connection, id, old, old_expires, &hash, expires)? {
                return Err(state("The credential was rotated or revoked just now. List them to see which."));
            }
            credentials::credential_event_insert(connection, event, id, Kind::Rotated, &caller, now)?;
            credentials::credential_get(connection, id)?.ok_or_else(|| Failure::Refused(not_found()))
        });
        let rotated = written.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(RotateServiceCredentialResponse { credential: Some(to_wire(rotated, now)), secret: secret.into_answer() })
    }

    async fn credential_retire(&self, request: RetireServiceSecretRequest) -> Result<ServiceCredential, Refusal> {
        let caller = Caller::from_wire(request.caller)?;
        let id = CredentialId::from_str(&request.id).map_err(|_| not_found())?;
        // The use that is waited for may be noted here and not be written.
        self.inner.usage.flush(&self.inner.db).await;
        let (event, at, force) = (EventId(self.inner.ids.next()), self.inner.clock.now(), request.force);
        let written = self.inner.db.write(move |connection| {
            let Some(credential) = credentials::credential_get(connection, id)? else {
                return Err(Failure::Refused(not_found()));
            };
            if credential.overlaps(at).is_some() && credential.secret_used.is_none() && !force {
                return Err(state(
                    "The new secret has not been used yet. Put it into the service first; or retire the one before with \
                     --force, and what still uses it is refused.",
                ));
            }
            if !credentials::credential_retire(connection, id)? {
                return Err(state(
                    "There is no old secret: it was retired before, or the secret was never rotated (rollcall service \
                     rotate).",
                ));
            }
            credentials::credential_event_insert(connection, event, id, Kind::Retired, &caller, at)?;
            credentials::credential_get(connection, id)?.ok_or_else(|| Failure::Refused(not_found()))
        });
        let retired = written.await.map_err(refusal)?;
        self.inner.feed.poke();
        Ok(to_wire(retired, at))
    }

    async fn credential_verify(
        &self,
        request: VerifyServiceCredentialRequest,
    ) -> Result<VerifyServiceCredentialResponse, Refusal> {
        let now = self.inner.clock.now();
        let (credential, shown) = if request.secret_sha256.is_empty() {
            (self.by_certificate(request.tls_identities, now).await?, None)
        } else {
            let hash: [u8; 32] = request.secret_sha256.as_ref().try_into().map_err(|_| {
                Refusal::new(Reason::InvalidArgument, "secret_sha256 must have the 32 bytes of a SHA-256.")
            })?;
            let found = self.inner.db.seek(move |connection| Ok(credentials::credential_by_hash(connection, &hash)?));
            (found.await.map_err(refusal)?, Some(hash))
        };
        let live = credential.filter(|credential| credential.is_live(now)).and_then(|credential| {
            let current = shown.is_none_or(|hash| credential.secret_sha256.as_deref() == Some(&hash[..]));
            let previous = credential.overlaps(now);
            let ends =
                if current { credential.expires } else { Some(previous?.min(credential.expires.unwrap_or(previous?))) };
            Some((credential, ends))
        });
        let (credential, ends) =
            live.ok_or_else(|| Refusal::new(Reason::TokenInvalid, "The service credential is not valid."))?;
        self.inner.usage.note_credential(credential.id, shown, now);
        Ok(VerifyServiceCredentialResponse {
            id: credential.id.to_string(),
            name: credential.name,
            scopes: split(&credential.scopes),
            expires_at: ends.map(|ends| to_timestamp(ends.as_micros())),
        })
    }

    /// None where the certificate's names are those of several: nobody could say whose rights the call has.
    async fn by_certificate(&self, names: Vec<String>, now: Instant) -> Result<Option<Credential>, Refusal> {
        if names.is_empty() || names.len() > MOST_NAMES {
            let detail = format!("Give secret_sha256, or 1 to {MOST_NAMES} tls_identities.");
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
        let found = self.inner.db.seek(move |connection| {
            let mut found: Vec<Credential> = Vec::new();
            for name in &names {
                // As kept. What cannot be kept is nobody's.
                let Ok(name) = tls_identity(name) else { continue };
                found.extend(credentials::credential_by_tls_identity(connection, &name)?);
            }
            Ok(found)
        });
        let mut found = found.await.map_err(refusal)?;
        found.retain(|credential| credential.is_live(now));
        found.dedup_by_key(|credential| credential.id);
        Ok(if found.len() == 1 { found.pop() } else { None })
    }
}

fn not_found() -> Refusal {
    Refusal::new(Reason::CredentialNotFound, "There is no service credential with this id.")
}

fn state(message: &str) -> Failure<Refusal> {
    Failure::Refused(Refusal::new(Reason::CredentialState, message))
}

/// Which of the unique values another one has.
fn taken(failure: Failure<Refusal>, new: &Credential) -> Refusal {
    let what = match &failure {
        Failure::Store(Error::Unique { constraint }) if constraint == "service_credential_name_key" => {
            format!("the name {:?}", new.name)
        }
        Failure::Store(Error::Unique { constraint }) if constraint == "service_credential_tls_identity_key" => {
            format!("the TLS identity {:?}", new.tls_identity.as_deref().unwrap_or_default())
        }
        _ => return refusal(failure),
    };
    let detail = format!(
        "Another service credential has {what}, and is not revoked. Choose another, rotate that one, or revoke it first: \
         rollcall service list."
    );
    Refusal::new(Reason::Uniqueness, detail)
}

fn name(text: &str) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if !sound {
        let detail = "The name of a service credential has 1 to 63 of a-z, 0-9 and inner hyphens, such as mail-sender.";
        return Err(Refusal::new(Reason::InvalidArgument, detail));
    }
    if RESERVED.contains(&text) {
        let detail = format!("{text} is what Rollcall calls a part of its own in events. Choose another name.");
        return Err(Refusal::new(Reason::InvalidArgument, detail));
    }
    Ok(text.to_owned())
}

/// As kept: each once, with spaces between. None is not all here.
fn scopes(given: &[String]) -> Result<String, Refusal> {
    let all = SCOPES.join(", ");
    if let Some(unknown) = given.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Refusal::new(Reason::InvalidArgument, format!("There is no scope {unknown:?}. There are {all}.")));
    }
    if given.is_empty() {
        let detail = format!("The credential has no scope, so it could do nothing. Give one or several of {all}.");
        return Err(Refusal::new(Reason::InvalidArgument, detail));
    }
    let wanted = |scope: &&str| given.iter().any(|given| given == scope);
    Ok(SCOPES.into_iter().filter(wanted).collect::<Vec<_>>().join(" "))
}

/// As kept: a URI as it is, a DNS name in lower case. A colon is in every URI and in no DNS name.
fn tls_identity(text: &str) -> Result<String, Refusal> {
    let refused = || {
        Refusal::new(
            Reason::InvalidArgument,
            "The TLS identity must be a URI or a DNS name as it stands in the certificate, such as \
             spiffe://example.com/mail or mail.internal. A wildcard is none.",
        )
    };
    if text.is_empty() || text.len() > LONGEST_IDENTITY || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused());
    }
    if let Some((scheme, rest)) = text.split_once(':') {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(plain);
        return if sound && !rest.is_empty() { Ok(text.to_owned()) } else { Err(refused()) };
    }
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.bytes().all(plain)
    };
    if text.split('.').all(label) { Ok(text.to_ascii_lowercase()) } else { Err(refused()) }
}

/// A certificate ends by itself; a secret has to be made to.
fn expiry(ttl_days: Option<u32>, has_secret: bool, now: Instant) -> Result<Option<Instant>, Refusal> {
    let days = match ttl_days.unwrap_or(DEFAULT_TTL_DAYS) {
        0 if !has_secret => return Ok(None),
        0 => {
            let detail = format!(
                "A credential with a secret has to expire. Choose 1 to {LONGEST_TTL_DAYS} days; one that has only a TLS \
                 identity may last for ever."
            );
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
        days if days <= LONGEST_TTL_DAYS => days,
        days => {
            let detail = format!("A credential cannot live for {days} days. Choose 1 to {LONGEST_TTL_DAYS}.");
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
    };
    Ok(Some(now.saturating_add_micros(i64::from(days) * DAY_MICROS)))
}

fn to_wire(credential: Credential, now: Instant) -> ServiceCredential {
    let timestamp = |instant: Instant| to_timestamp(instant.as_micros());
    ServiceCredential {
        id: credential.id.to_string(),
        scopes: split(&credential.scopes),
        has_secret: credential.secret_sha256.is_some(),
        created_at: Some(timestamp(credential.created)),
        expires_at: credential.expires.map(timestamp),
        revoked_at: credential.revoked.map(timestamp),
        last_used_at: credential.last_used.map(timestamp),
        previous_secret_expires_at: credential.overlaps(now).map(timestamp),
        secret_used: credential.secret_used.is_some(),
        name: credential.name,
        tls_identity: credential.tls_identity.unwrap_or_default(),
        created_by: credential.created_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_identity_is_a_uri_or_a_dns_name() {
        for (given, kept) in [
            ("spiffe://example.com/Mail", "spiffe://example.com/Mail"),
            ("urn:example:mail", "urn:example:mail"),
            ("Mail.Internal", "mail.internal"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(tls_identity(given).expect("kept"), kept);
        }
        for wrong in
            ["", "*.internal", "a b", "mail..internal", "mail.", ":x", "1x:y", "spiffe:", "ü.internal", "a\u{0}"]
        {
            let refused = tls_identity(wrong).expect_err(wrong);
            assert!(refused.message.contains("spiffe://example.com/mail"), "{}", refused.message);
        }
    }

    #[test]
    fn names_are_short_words_and_not_those_of_our_parts() {
        for sound in ["a", "mail-sender", "x1", &"a".repeat(63)] {
            assert_eq!(name(sound).expect("kept"), sound);
        }
        for wrong in ["", "-a", "a-", "Mail", "mail sender", "mail_sender", "token-service", &"a".repeat(64)] {
            assert_eq!(name(wrong).expect_err(wrong).reason, Reason::InvalidArgument);
        }
    }

    #[test]
    fn scopes_are_kept_once_and_in_order_and_none_is_refused() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let given = words(&["administer", "identities:read", "administer"]);
        assert_eq!(scopes(&given).expect("known"), "identities:read administer");
        for wrong in [words(&[]), words(&["users:read"])] {
            let refused = scopes(&wrong).expect_err("refused");
            assert!(refused.message.contains("identities:watch"), "{}", refused.message);
        }
    }

    #[test]
    fn only_what_has_no_secret_may_last_for_ever() {
        let now = Instant::from_micros(0);
        assert_eq!(expiry(None, true, now).expect("default"), Some(Instant::from_micros(365 * DAY_MICROS)));
        assert_eq!(expiry(Some(0), false, now).expect("never"), None);
        assert!(expiry(Some(0), true, now).is_err() && expiry(Some(3651), false, now).is_err());
    }
}
