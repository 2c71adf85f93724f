//! Signing in by an OpenID provider.

use ::store::AnyConnection;
use serde_json::{Value, json};
use wire::{Reason, Refusal};

use super::{Core, Scope, admins::lock, organization_of, organizations::not_a_client, sessions::NewSession};
use crate::{
    domain::{
        OrgId,
        actor::{Actor, ActorKind},
        admin::{Admin, Pin, shown_name},
        event::{Kind, NewEvent},
        sealing::ClientSecretOf,
        secret::Hash,
        session::{Browser, Session},
        sign_in::{
            ATTEMPT_MICROS, Attempt, Claims, NotAdmitted, Provider, attempt_invalid, check_client_id,
            check_client_secret, check_issuer, no_provider,
        },
    },
    error::{Refused, refusal, refused},
    store::{admin, sign_in},
};

/// A provider as an administrator gives it.
#[derive(Clone)]
pub(crate) struct NewProvider {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// Absent: as it is. Empty: none.
    pub(crate) client_secret: Option<String>,
}

impl Core {
    pub(crate) async fn provider_set(&self, scope: Scope, new: NewProvider) -> Result<Provider, Refusal> {
        not_a_client(&scope.actor)?;
        let NewProvider { issuer, client_id, client_secret } = new;
        check_issuer(&issuer)?;
        check_client_id(&client_id)?;
        let given = match client_secret.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(secret) => {
                check_client_secret(secret)?;
                let of = ClientSecretOf { org: scope.org, issuer: &issuer, client_id: &client_id };
                Some(Some(self.sealing_key.seal(self.random.bytes(), &of, secret)?))
            }
        };
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            lock(conn, scope.org)?;
            let before = sign_in::provider_get(conn, scope.org)?;
            let same = before.as_ref().filter(|before| before.issuer == issuer && before.client_id == client_id);
            let kept = same.and_then(|before| before.sealed_secret.clone());
            let after = Provider {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
                sealed_secret: given.clone().unwrap_or(kept),
                modified: now,
            };
            if let Some(before) = same.filter(|before| before.sealed_secret == after.sealed_secret) {
                return Ok(before.clone());
            }
            sign_in::provider_set(conn, scope.org, &after)?;
            let delta = json!({
                "before": before.as_ref().map(provider_delta),
                "after": provider_delta(&after),
                "client_secret_set": matches!(given, Some(Some(_))),
            });
            let event = NewEvent { kind: Kind::SignInProviderSet, subject: scope.org.0, delta };
            core.record(conn, &scope, now, &[event])?;
            Ok(after)
        })
        .await
    }

    pub(crate) async fn provider_get(&self, org: OrgId) -> Result<Provider, Refusal> {
        self.seek(org, move |conn| provider_of(conn, org)).await
    }

    /// The client secret in the clear; empty where there is none.
    pub(crate) fn client_secret(&self, org: OrgId, provider: &Provider) -> Result<String, Refusal> {
        let of = ClientSecretOf { org, issuer: &provider.issuer, client_id: &provider.client_id };
        provider.sealed_secret.as_ref().map_or(Ok(String::new()), |sealed| self.sealing_key.open(&of, sealed))
    }

    pub(crate) async fn provider_remove(&self, scope: Scope) -> Result<(), Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            lock(conn, scope.org)?;
            let Some(before) = sign_in::provider_get(conn, scope.org)? else { return Ok(()) };
            sign_in::provider_delete(conn, scope.org)?;
            let delta = json!({ "before": provider_delta(&before) });
            let event = NewEvent { kind: Kind::SignInProviderRemoved, subject: scope.org.0, delta };
            core.record(conn, &scope, now, &[event])
        })
        .await
    }

    pub(crate) async fn sign_in_begin(&self, org: OrgId, attempt: Attempt) -> Result<(), Refusal> {
        attempt.check()?;
        let now = self.clock.now();
        let attempt = Attempt { expires: now.saturating_add_micros(ATTEMPT_MICROS), ..attempt };
        let begun = self.db.of(org).write(move |conn| {
            if provider_of(conn, org)?.issuer != attempt.issuer {
                return Err(Refused::Refused(attempt_invalid()));
            }
            if !sign_in::attempt_insert(conn, org, &attempt)? {
                return Err(refused(Reason::InvalidArgument, "state_sha256 was used before. Draw another state."));
            }
            Ok(())
        });
        begun.await.map_err(refusal)
    }

    /// What was remembered for a state, once.
    pub(crate) async fn sign_in_take(&self, state: Hash) -> Result<(OrgId, Attempt), Refusal> {
        let now = self.clock.now();
        let found = self.db.across().seek(move |conn| Ok(sign_in::attempt_by_state(conn, state)?)).await;
        let (org, attempt) = found.map_err(refusal)?.ok_or_else(attempt_invalid)?;
        let taken = self.db.of(org).write(move |conn| Ok(sign_in::attempt_delete(conn, org, state)?)).await;
        if !taken.map_err(refusal)? || now >= attempt.expires {
            return Err(attempt_invalid());
        }
        Ok((org, attempt))
    }

    /// A session for whom the provider named. A refusal is an event.
    pub(crate) async fn sign_in_finish(
        &self,
        org: OrgId,
        claims: Claims,
        browser: Browser,
        request_id: String,
    ) -> Result<(Session, String), Refusal> {
        claims.check()?;
        let (core, now) = (self.clone(), self.clock.now());
        let (session, text) = NewSession::draw(self, browser);
        let made = self.write(org, move |conn| {
            lock(conn, org)?;
            let actor = |kind| Actor { kind, request_id: request_id.clone() };
            match admitted(conn, org, &claims)? {
                Ok(admin) => {
                    let kind = ActorKind::Administrator { name: admin.email.text.clone() };
                    let scope = Scope { org, actor: actor(kind) };
                    Ok(Ok(core.session_begin(conn, &scope, admin, &session, "provider", now)?))
                }
                Err(why) => {
                    let kind = ActorKind::InternalService { name: "console".to_owned() };
                    let scope = Scope { org, actor: actor(kind) };
                    let event = refused_event(org, &claims, why);
                    core.record(conn, &scope, now, &[event])?;
                    Ok(Err(why.refusal()))
                }
            }
        });
        Ok((made.await??, text))
    }
}

/// The administrator whom the provider named, as the sign-in leaves it. The first time one is found by its e-mail address,
/// from then on by issuer and subject alone: an address may become somebody else's.
fn admitted(conn: &mut AnyConnection, org: OrgId, claims: &Claims) -> Result<Result<Admin, NotAdmitted>, Refused> {
    if provider_of(conn, org)?.issuer != claims.issuer {
        return Ok(Err(NotAdmitted::OtherProvider));
    }
    let pin = Pin { issuer: claims.issuer.clone(), subject: claims.subject.clone() };
    let found = match admin::admin_by_pin(conn, org, &pin)? {
        Some(admin) => admin,
        None => {
            let email = match claims.found_by() {
                Ok(email) => email,
                Err(why) => return Ok(Err(why)),
            };
            match admin::admin_by_email(conn, org, &email)? {
                None => return Ok(Err(NotAdmitted::Unknown)),
                Some(Admin { pin: Some(_), .. }) => return Ok(Err(NotAdmitted::PinnedElsewhere)),
                Some(admin) => admin,
            }
        }
    };
    let name = Some(shown_name(&claims.name)).filter(|name| !name.is_empty());
    Ok(Ok(Admin { name: name.unwrap_or_else(|| found.name.clone()), pin: Some(pin), ..found }))
}

fn refused_event(org: OrgId, claims: &Claims, why: NotAdmitted) -> NewEvent {
    // What the provider says is bounded by nobody else.
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let delta = json!({
        "why": why.as_str(),
        "issuer": short(&claims.issuer),
        "subject": short(&claims.subject),
        "email": short(&claims.email),
        "email_verified": claims.email_verified,
    });
    NewEvent { kind: Kind::AdminSignInRefused, subject: org.0, delta }
}

fn provider_of(conn: &mut AnyConnection, org: OrgId) -> Result<Provider, Refused> {
    organization_of(conn, org)?;
    sign_in::provider_get(conn, org)?.ok_or_else(|| Refused::Refused(no_provider()))
}

fn provider_delta(this: &Provider) -> Value {
    json!({
        "issuer": this.issuer,
        "client_id": this.client_id,
        "has_client_secret": this.sealed_secret.is_some(),
    })
}
