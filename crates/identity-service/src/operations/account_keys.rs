//! Keys of members: set-up, unlock, recovery and passwords. What decrypts is made in a browser and stays there.

use ::store::{AnyConnection, Instant};
use account_keys::{
    RecoveryProof, RecoveryVerifier,
    opaque::{self, server},
};
use serde_json::json;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::{
    Core,
    accounts::{member_scope, session_in, unlocked_in},
    mails::mail_admins,
    org_keys::shown_org_key,
};
use crate::{
    domain::{
        OrgId,
        account::{Account, AccountSession, KeyId, Member, PublicKey, Stage, account_state},
        event::{Kind, NewEvent},
        keys::{
            Login, LoginId, NewKeys, NewPassword, Record, RecordId, Registration, RegistrationKind, STRETCHING,
            ShownOrgKey, Wrap, WrapKind, exactly, key_invalid, member, record,
        },
        list::Target,
        mail::Notice,
        secret::Hash,
        unlock::{LOGIN_MICROS, RESETS, RESETS_MICROS, With, too_many_resets, unlock_failed},
    },
    error::{Refused, refusal},
    store::{account, account_key, account_session, org_key, rank},
};

/// What a registration that has begun is answered with.
pub(crate) struct Begun {
    pub(crate) response: [u8; opaque::REGISTRATION_RESPONSE],
    pub(crate) registration: Registration,
}

/// What an unlock that has begun is answered with.
pub(crate) struct LoginBegun {
    pub(crate) id: LoginId,
    pub(crate) ke2: [u8; opaque::KE2],
    pub(crate) stretching: account_keys::Stretching,
}

/// What an unlocked session is given.
pub(crate) struct Unlocked {
    pub(crate) key: PublicKey,
    pub(crate) wrap: Wrap,
    pub(crate) organization_key: ShownOrgKey,
}

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registering {
    Keys { reset: bool },
    Password,
}

impl Core {
    pub(crate) async fn key_set_up_begin(&self, shown: Hash, request: &[u8], reset: bool) -> Result<Begun, Refusal> {
        self.registration_begin(shown, request, Registering::Keys { reset }).await
    }

    /// Counts as a guess: it is answered under the key of the record that there is.
    pub(crate) async fn password_change_begin(
        &self,
        shown: Hash,
        request_id: String,
        request: &[u8],
    ) -> Result<Begun, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        self.seek(session.org, move |conn| unlocked_in(conn, shown, now).map(drop)).await?;
        self.guess(&session, With::Password, request_id, now).await?;
        self.registration_begin(shown, request, Registering::Password).await
    }

    async fn registration_begin(&self, shown: Hash, request: &[u8], what: Registering) -> Result<Begun, Refusal> {
        exactly::<{ opaque::REGISTRATION_REQUEST }>("registration_request", request)?;
        let (session, now) = self.account_session(shown).await?;
        let (org, user) = (session.org, session.account.user);
        let set_up = self.opaque_set_ups.newest()?;
        let (new, challenge, named) = (KeyId(self.ids.next()), self.random.bytes(), set_up.id());
        let registered =
            |key: KeyId| server::register(&set_up, &member(org, user), key.0, request).map_err(key_invalid);
        // One that is no message replaces none that was begun before.
        registered(new)?;
        let registration = self.write(org, move |conn| {
            let session = match what {
                Registering::Keys { .. } => session_in(conn, shown, now)?,
                Registering::Password => unlocked_in(conn, shown, now)?,
            };
            let account = locked(conn, &session)?;
            let (kind, key, version) = match (what, account.key) {
                (Registering::Keys { .. }, None) => (RegistrationKind::First, new, 1),
                (Registering::Keys { reset: true }, Some(_)) => {
                    let day = now.saturating_add_micros(-RESETS_MICROS);
                    let resets = account_key::resets_since(conn, org, user, day, RESETS)?;
                    if let (Some(oldest), Ok(RESETS)) = (resets.last(), i64::try_from(resets.len())) {
                        return Err(Refused::Refused(too_many_resets(*oldest)));
                    }
                    let version = account_key::key_version(conn, org, user)?;
                    (RegistrationKind::Reset, new, version.saturating_add(1))
                }
                (Registering::Keys { reset: false }, Some(_)) => return Err(Refused::Refused(has_keys())),
                (Registering::Password, Some(key)) => (RegistrationKind::PasswordChange, key, 1),
                (Registering::Password, None) => return Err(Refused::Refused(no_keys())),
            };
            let registration = Registration { user, session: session.id, kind, key, version, challenge, set_up: named };
            account_key::registration_set(conn, org, &registration, now)?;
            Ok(registration)
        });
        let registration = registration.await?;
        Ok(Begun { response: registered(registration.key)?, registration })
    }

    /// The account has these keys from now on. Sent again for the keys that it has, it changes nothing.
    pub(crate) async fn key_set_up_finish(
        &self,
        shown: Hash,
        request_id: String,
        new: NewKeys,
    ) -> Result<(OrgId, Member), Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (core, org, user) = (self.clone(), session.org, session.account.user);
        let record_id = RecordId(self.ids.next());
        let done = self.write(org, move |conn| {
            let session = session_in(conn, shown, now)?;
            let account = locked(conn, &session)?;
            if account.key == Some(new.key) {
                let key = account_key::key_get(conn, org, new.key)?;
                let same = key.is_some_and(|key| key.enc_pub == new.enc_pub && key.sig_pub == new.sig_pub);
                return if same { Ok((org, member_now(conn, &session)?)) } else { Err(Refused::Refused(begun_anew())) };
            }
            let begun = account_key::registration_get(conn, org, user)?.filter(|begun| {
                let kind = match begun.kind {
                    RegistrationKind::First => account.key.is_none(),
                    RegistrationKind::Reset => account.key.is_some(),
                    RegistrationKind::PasswordChange => false,
                };
                kind && begun.key == new.key && begun.session == session.id
            });
            let begun = begun.ok_or_else(|| Refused::Refused(begun_anew()))?;
            new.check(org, &begun).map_err(Refused::Refused)?;
            if begun.kind == RegistrationKind::Reset {
                // Whoever had the former keys has the organization key.
                org_key::rotation_note(conn, org, user, now)?;
                org_key::grants_delete(conn, org, user)?;
                account_session::account_sessions_end_others(conn, org, user, session.id, now)?;
                account_key::guesses_forget(conn, org, user)?;
            }
            account_key::keys_set(conn, org, &begun, &new, now)?;
            account_key::wrap_set(conn, org, user, new.key, (WrapKind::Password, &new.password_wrap), now)?;
            account_key::wrap_set(conn, org, user, new.key, (WrapKind::Recovery, &new.recovery_wrap), now)?;
            let stored = Record { id: record_id, record: new.record, set_up: begun.set_up, stretching: STRETCHING };
            account_key::record_set(conn, org, user, &stored, now)?;
            account_key::verifier_set(conn, org, user, new.recovery_sha256, now)?;
            account_key::registration_delete(conn, org, user)?;
            account::account_accepted(conn, org, user, new.key, now)?;
            // It is the browser that has just made them.
            account_session::account_session_unlock(conn, org, session.id, now)?;
            let reset = begun.kind == RegistrationKind::Reset;
            let kind = if reset { Kind::AccountKeysReset } else { Kind::AccountKeysSetUp };
            let mut delta = json!({ "key": new.key.to_string(), "version": begun.version });
            if reset {
                delta["was_confirmed"] = json!(account.stage == Stage::Confirmed);
            }
            let event = NewEvent { kind, subject: user.0, delta };
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            let member = member_now(conn, &session)?;
            // Before there is a key nobody can confirm, and where pages confirm by themselves nobody has to.
            let asked = core.mailer.is_on() && !account::account_policy(conn, org)?.confirm_automatically;
            if asked && org_key::org_key_newest(conn, org)?.is_some() {
                let day = now.to_string().chars().take(10).collect();
                mail_admins(conn, org, &core.ids, now, &Notice::MembersWaiting { day })?;
            }
            Ok((org, member))
        });
        let done = done.await?;
        self.mailer.poke();
        Ok(done)
    }

    /// Counts as a guess, whether it is finished or not.
    pub(crate) async fn unlock_begin(
        &self,
        shown: Hash,
        request_id: String,
        ke1: &[u8],
    ) -> Result<LoginBegun, Refusal> {
        exactly::<{ opaque::KE1 }>("ke1", ke1)?;
        let (session, now) = self.account_session(shown).await?;
        let (org, user) = (session.org, session.account.user);
        let stored = self.seek(org, move |conn| Ok(account_key::record_get(conn, org, user)?)).await?;
        // Who has no keys is answered alike.
        let set_up = match &stored {
            Some(stored) => self.opaque_set_ups.named(&stored.set_up)?,
            None => self.opaque_set_ups.newest()?,
        };
        self.guess(&session, With::Password, request_id, now).await?;
        let (of, key) =
            (stored.as_ref().map(|stored| &stored.record), session.account.key.unwrap_or(KeyId(Uuid::nil())));
        let mut random = |bytes: &mut [u8]| self.random.fill(bytes);
        let begun = server::begin_login(&set_up, &member(org, user), key.0, of, ke1, &mut random);
        let (ke2, state) = begun.map_err(key_invalid)?;
        let login = Login {
            id: LoginId(self.ids.next()),
            user,
            session: session.id,
            record: stored.as_ref().map(|stored| stored.id),
            state: state.expose().to_vec(),
            expires: now.saturating_add_micros(LOGIN_MICROS),
        };
        let id = login.id;
        let keep = move |conn: &mut AnyConnection| Ok(account_key::login_insert(conn, org, &login)?);
        self.db.of(org).write(keep).await.map_err(refusal)?;
        Ok(LoginBegun { id, ke2, stretching: stored.map_or(STRETCHING, |stored| stored.stretching) })
    }

    pub(crate) async fn unlock_finish(
        &self,
        shown: Hash,
        id: Option<LoginId>,
        ke3: &[u8],
    ) -> Result<Unlocked, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (org, user) = (session.org, session.account.user);
        let id = id.ok_or_else(unlock_failed)?;
        let of = (user, session.id);
        // By itself: what was not good is used up, too.
        let take = move |conn: &mut AnyConnection| Ok(account_key::login_take(conn, org, of, id)?);
        let taken = self.db.of(org).write(take).await.map_err(refusal)?;
        let taken = taken.filter(|taken| now < taken.expires).ok_or_else(unlock_failed)?;
        let state = server::LoginState::from_bytes(&taken.state).map_err(|error| crate::error::internal(&error))?;
        server::finish_login(&member(org, user), &state, ke3).map_err(|_| unlock_failed())?;
        let record = taken.record.ok_or_else(unlock_failed)?;
        self.write(org, move |conn| {
            let session = session_in(conn, shown, now)?;
            locked(conn, &session)?;
            // Another password since, or other keys.
            let same = account_key::record_get(conn, org, user)?.is_some_and(|stored| stored.id == record);
            if !same {
                return Err(Refused::Refused(unlock_failed()));
            }
            unlocked(conn, session, WrapKind::Password, now)
        })
        .await
    }

    /// By the kit; counts as a guess.
    pub(crate) async fn account_recover(
        &self,
        shown: Hash,
        request_id: String,
        proof: [u8; 32],
    ) -> Result<Unlocked, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        self.guess(&session, With::Kit, request_id.clone(), now).await?;
        let (core, org, user) = (self.clone(), session.org, session.account.user);
        self.write(org, move |conn| {
            let session = session_in(conn, shown, now)?;
            locked(conn, &session)?;
            let stored = account_key::verifier_get(conn, org, user)?;
            // Nobody has the proof of nothing.
            let verifier = RecoveryVerifier(stored.unwrap_or_default());
            let good = verifier.verify(&RecoveryProof(proof)).is_ok();
            if !good || stored.is_none() {
                return Err(Refused::Refused(unlock_failed()));
            }
            let given = unlocked(conn, session, WrapKind::Recovery, now)?;
            let delta = json!({ "key": given.key.id.to_string() });
            let event = NewEvent { kind: Kind::AccountRecovered, subject: user.0, delta };
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            Ok(given)
        })
        .await
    }

    pub(crate) async fn password_change_finish(
        &self,
        shown: Hash,
        request_id: String,
        new: NewPassword,
    ) -> Result<(OrgId, Member), Refusal> {
        record(&new.record)?;
        let (session, now) = self.account_session(shown).await?;
        let (core, org, user) = (self.clone(), session.org, session.account.user);
        let record_id = RecordId(self.ids.next());
        self.write(org, move |conn| {
            let session = unlocked_in(conn, shown, now)?;
            let account = locked(conn, &session)?;
            let key = account.key.ok_or_else(|| Refused::Refused(no_keys()))?;
            let begun = account_key::registration_get(conn, org, user)?.filter(|begun| {
                begun.kind == RegistrationKind::PasswordChange && begun.key == key && begun.session == session.id
            });
            let begun = begun.ok_or_else(|| Refused::Refused(begun_anew()))?;
            let stored = Record { id: record_id, record: new.record, set_up: begun.set_up, stretching: STRETCHING };
            account_key::record_set(conn, org, user, &stored, now)?;
            account_key::guesses_forget(conn, org, user)?;
            account_key::budget_give_back(conn, org)?;
            account_key::wrap_set(conn, org, user, key, (WrapKind::Password, &new.password_wrap), now)?;
            if let Some((wrap, proof_sha256)) = &new.kit {
                account_key::wrap_set(conn, org, user, key, (WrapKind::Recovery, wrap), now)?;
                account_key::verifier_set(conn, org, user, *proof_sha256, now)?;
            }
            account_key::registration_delete(conn, org, user)?;
            account_session::account_sessions_end_others(conn, org, user, session.id, now)?;
            let delta = json!({ "key": key.to_string(), "new_kit": new.kit.is_some() });
            let event = NewEvent { kind: Kind::AccountPasswordChanged, subject: user.0, delta };
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            Ok((org, member_now(conn, &session)?))
        })
        .await
    }

    /// Counts a guess before anything is answered, in a transaction of its own: nothing takes it back but a finished unlock. Of
    /// several at once each waits for the one before it.
    async fn guess(
        &self,
        session: &AccountSession,
        with: With,
        request_id: String,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (core, org, user) = (self.clone(), session.org, session.account.user);
        let counted = self.write(org, move |conn| {
            let users = rank::rank_total(conn, org, Target::User)?;
            let mut guesses = account_key::guesses_lock(conn, org, user, now)?;
            let (limited, tells) = match guesses.guess(with, now) {
                Ok(counted) => {
                    let mut budget = account_key::budget_lock(conn, org, now)?;
                    match budget.guess(users, now) {
                        Ok(spent) => {
                            account_key::guesses_write(conn, org, user, &counted)?;
                            account_key::budget_write(conn, org, &spent)?;
                            return Ok(Ok(()));
                        }
                        Err(limited) => {
                            let tells = budget.tells(now);
                            if tells {
                                budget.told = Some(now);
                                account_key::budget_write(conn, org, &budget)?;
                            }
                            (limited, tells)
                        }
                    }
                }
                Err(limited) => {
                    let tells = guesses.tells(now);
                    if tells {
                        guesses.told = Some(now);
                        account_key::guesses_write(conn, org, user, &guesses)?;
                    }
                    (limited, tells)
                }
            };
            if tells {
                let until = limited.until().map(|until| until.to_string());
                let delta = json!({ "why": limited.as_str(), "until": until, "unfinished": guesses.unfinished });
                let event = NewEvent { kind: Kind::AccountUnlockRefused, subject: user.0, delta };
                core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            }
            Ok(Err(limited.refusal()))
        });
        counted.await?
    }
}

/// The account, which nobody else changes until the transaction ends.
pub(super) fn locked(conn: &mut AnyConnection, session: &AccountSession) -> Result<Account, Refused> {
    let account = account::account_lock(conn, session.org, session.account.user)?;
    account.ok_or_else(|| Refused::Refused(crate::domain::session::session_invalid()))
}

pub(super) fn member_now(conn: &mut AnyConnection, session: &AccountSession) -> Result<Member, Refused> {
    let member = account::member_get(conn, session.org, session.account.user)?;
    member.ok_or_else(|| Refused::Refused(crate::domain::session::session_invalid()))
}

/// Whoever has shown the password or the kit: the session is unlocked, and the guesses before do not count any more.
fn unlocked(
    conn: &mut AnyConnection,
    session: AccountSession,
    kind: WrapKind,
    now: Instant,
) -> Result<Unlocked, Refused> {
    let (org, user) = (session.org, session.account.user);
    if !account_session::account_session_unlock(conn, org, session.id, now)? {
        return Err(Refused::Refused(crate::domain::session::session_invalid()));
    }
    account_key::guesses_forget(conn, org, user)?;
    account_key::budget_give_back(conn, org)?;
    let member = member_now(conn, &session)?;
    let wrap = account_key::wrap_get(conn, org, user, kind)?;
    let (key, wrap) = member.key.clone().zip(wrap).ok_or_else(|| Refused::Refused(unlock_failed()))?;
    let account = member.account.clone().unwrap_or_else(|| session.account.clone());
    let session = AccountSession { account, member, unlocked: true, ..session };
    let organization_key = shown_org_key(conn, org, &session)?;
    Ok(Unlocked { key, wrap, organization_key })
}

fn has_keys() -> Refusal {
    account_state("The account has keys. Unlock it; or say that new ones are to take their place.")
}

pub(super) fn no_keys() -> Refusal {
    account_state("The account has no keys yet. Set them up first.")
}

fn begun_anew() -> Refusal {
    Refusal::new(
        Reason::AccountState,
        "This was not begun, or was begun again since, here or in another window. Begin again.",
    )
}
