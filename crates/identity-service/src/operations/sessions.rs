//! Sessions of the console.

use ::store::{AnyConnection, Instant};
use serde_json::json;
use wire::{Reason, Refusal};

use super::{Core, Scope, admins::admin_not_found, organization_of, organizations::not_a_client};
use crate::{
    domain::{
        AdminId, OrgId, SessionId,
        admin::Admin,
        event::{Kind, NewEvent},
        secret::{Hash, SESSION, Secret},
        session::{Browser, LONGEST_MICROS, OVERLAP_MICROS, Session, session_invalid, session_not_found},
    },
    error::{Refused, refusal},
    store::{admin, session},
};

/// Sessions of one answer.
const LISTED: i64 = 1000;

/// What is drawn before the transaction, which may run more than once.
#[derive(Clone, Debug)]
pub(super) struct NewSession {
    id: SessionId,
    secret: Hash,
    browser: Browser,
}

impl NewSession {
    /// With the text of its secret.
    pub(super) fn draw(core: &Core, browser: Browser) -> (Self, String) {
        let secret = Secret::generate(SESSION, &core.random);
        let new = Self { id: SessionId(core.ids.next()), secret: secret.hash(), browser };
        (new, secret.into_answer())
    }
}

impl Core {
    /// Signs an administrator in, in the caller's transaction. `by`: an invitation or the provider.
    pub(super) fn session_begin(
        &self,
        conn: &mut AnyConnection,
        scope: &Scope,
        admin: Admin,
        new: &NewSession,
        by: &str,
        now: Instant,
    ) -> Result<Session, Refused> {
        admin::admin_signed_in(conn, scope.org, &admin, now)?;
        let session = Session {
            org: scope.org,
            id: new.id,
            secret: new.secret,
            rotated: now,
            previous: None,
            created: now,
            last_used: now,
            expires: now.saturating_add_micros(LONGEST_MICROS),
            revoked: false,
            browser: new.browser.clone(),
            admin: Admin { last_signed_in: Some(now), ..admin },
        };
        session::session_insert(conn, scope.org, &session)?;
        let delta = json!({
            "by": by,
            "session": session.id.to_string(),
            "email": session.admin.email.text,
            "address": session.browser.address,
            "user_agent": session.browser.user_agent,
        });
        let event = NewEvent { kind: Kind::AdminSignedIn, subject: session.admin.id.0, delta };
        self.record(conn, scope, now, &[event])?;
        Ok(session)
    }

    /// By the hash of its secret. Counts as a use, where there is a browser: a page that asks by itself is none.
    pub(crate) async fn session_verify(
        &self,
        shown: Hash,
        browser: Option<Browser>,
    ) -> Result<(Session, Instant), Refusal> {
        let now = self.clock.now();
        let mut found = self.session_by_hash(shown, now).await?;
        if let Some(browser) = browser.filter(|_| found.use_due(now)) {
            found.last_used = now;
            found.browser = browser;
            let (org, id, browser) = (found.org, found.id, found.browser.clone());
            let used = move |conn: &mut AnyConnection| Ok(session::session_used(conn, org, id, &browser, now)?);
            self.db.of(org).write(used).await.map_err(refusal)?;
        }
        Ok((found, now))
    }

    /// Another secret for a session. Of several requests at once one gets it.
    pub(crate) async fn session_rotate(&self, shown: Hash) -> Result<(Session, Instant, String), Refusal> {
        let now = self.clock.now();
        let found = self.session_by_hash(shown, now).await?;
        if found.secret != shown {
            return Err(rotated_already());
        }
        let (org, secret, old) = (found.org, Secret::generate(SESSION, &self.random), found.clone());
        let (hash, until) = (secret.hash(), now.saturating_add_micros(OVERLAP_MICROS));
        let rotate = move |conn: &mut AnyConnection| Ok(session::session_rotate(conn, org, &old, hash, now, until)?);
        if !self.db.of(org).write(rotate).await.map_err(refusal)? {
            // Rotated meanwhile, or ended.
            self.session_by_hash(shown, now).await?;
            return Err(rotated_already());
        }
        let rotated = Session { secret: hash, rotated: now, previous: Some((shown, until)), ..found };
        Ok((rotated, now, secret.into_answer()))
    }

    async fn session_by_hash(&self, shown: Hash, now: Instant) -> Result<Session, Refusal> {
        let found = self.db.across().seek(move |conn| Ok(session::session_by_hash(conn, shown)?)).await;
        found.map_err(refusal)?.filter(|session| session.admits(shown, now)).ok_or_else(session_invalid)
    }

    /// Those that hold, the newest first.
    pub(crate) async fn session_list(
        &self,
        org: OrgId,
        of: Option<AdminId>,
    ) -> Result<(Vec<Session>, Instant), Refusal> {
        let now = self.clock.now();
        self.read(org, move |conn| {
            organization_of(conn, org)?;
            if let Some(id) = of
                && admin::admin_get(conn, org, id)?.is_none()
            {
                return Err(Refused::Refused(admin_not_found()));
            }
            Ok((session::sessions(conn, org, of, now, LISTED)?, now))
        })
        .await
    }

    pub(crate) async fn session_revoke(&self, scope: Scope, id: SessionId) -> Result<(), Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            organization_of(conn, scope.org)?;
            let found = session::session_get(conn, scope.org, id)?;
            let found = found.ok_or_else(|| Refused::Refused(session_not_found()))?;
            // One that has ended by itself is not told of.
            if !session::session_revoke(conn, scope.org, id, now)? || !found.is_live(now) {
                return Ok(());
            }
            let delta = json!({"session": id.to_string(), "email": found.admin.email.text});
            let event = NewEvent { kind: Kind::AdminSessionRevoked, subject: found.admin.id.0, delta };
            core.record(conn, &scope, now, &[event])
        })
        .await
    }
}

/// Not an end of the session: the secret that was shown is good for the rest of its minute.
fn rotated_already() -> Refusal {
    Refusal::new(
        Reason::Contended,
        "Another request has rotated this session a moment ago; its answer carries the new secret. Go on with that.",
    )
}
