//! Many users at once that lose their access: noticed behind the writers, from the events, and decided about by an
//! administrator.
//!
//! Not here: when it is looked (`deletions`). No request counts anything for it.

use std::sync::Arc;

use ::store::{AnyConnection, Error, Instant};
use scim::{
    patch::{Op, Operation},
    schema::Types,
};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::Refusal;

use super::{
    Core, Scope,
    deleted_users::{Attempt, Restoring, leave_some, restore},
    mails::mail_admins,
    organizations::not_a_client,
};
use crate::{
    domain::{
        OrgId, UserId,
        deletion::not_restorable,
        event::{Kind, NewEvent},
        hold::{
            Counts, Failed, Held, Hold, HoldId, Loss, Lost, State, WINDOW_MICROS, hold_not_found, not_open, too_many,
        },
        list::Target,
        mail::Notice,
        user::{Notes, User, UserContent, delta, email_keys, parse_stored},
    },
    error::{Refused, from_scim},
    store::{
        account_session, deleted_user,
        event::{Author, events_append},
        hold, org_key, organization, rank,
        statement::Lock,
        subject::{self, Named},
        user::{self, UserChange},
    },
};

/// Events read in one transaction.
const EVENTS: i64 = 500;
/// Events further apart are not judged as one.
const STEP_MICROS: i64 = WINDOW_MICROS / 12;
/// Holds of a list, and failures of a hold, that are shown.
const SHOWN: i64 = 100;

/// A hold as it stands, with the first who could not be restored.
pub(crate) type ShownHold = (Hold, Vec<Failed>);

impl Core {
    /// The latest first.
    pub(crate) async fn hold_list(&self, scope: Scope) -> Result<Vec<ShownHold>, Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| {
            scope.enter(conn, now)?;
            let holds = hold::holds(conn, scope.org, SHOWN)?;
            holds.into_iter().map(|hold| Ok(shown(conn, scope.org, hold)?)).collect()
        })
        .await
    }

    /// Whom a hold is about, those after a place; and the place after which there are more.
    pub(crate) async fn hold_users(
        &self,
        scope: Scope,
        id: HoldId,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Held>, Option<i64>), Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| {
            scope.enter(conn, now)?;
            let found = hold::hold_get(conn, scope.org, id)?.ok_or_else(|| Refused::Refused(hold_not_found()))?;
            let mut lost = hold::hold_losses(conn, scope.org, &found, after, i64::from(limit) + 1)?;
            let more = lost.len() > limit as usize;
            lost.truncate(limit as usize);
            let last = lost.last().filter(|_| more).map(|lost| lost.seq);
            let ids: Vec<Uuid> = lost.iter().map(|lost| lost.user.0).collect();
            let mut names = subject::names(conn, scope.org, &ids)?;
            let held = lost.into_iter().map(|lost| {
                let Named { name: user_name, display_name } = names.remove(&lost.user.0).unwrap_or_default();
                Held { lost, user_name, display_name }
            });
            Ok((held.collect(), last))
        })
        .await
    }

    /// Lets what is held go on, or has all of it undone in the background.
    pub(crate) async fn hold_decide(&self, scope: Scope, id: HoldId, decision: State) -> Result<ShownHold, Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        let decided = self.write(scope.org, move |conn| {
            scope.enter(conn, now)?;
            let held = hold::hold_lock(conn, scope.org, id)?.filter(|hold| hold.state == State::Open);
            let mut held = held.ok_or_else(|| Refused::Refused(not_open()))?;
            held.counts = hold::hold_counts(conn, scope.org, &held)?;
            if decision == State::Restoring {
                hold::losses_over_delete(conn, scope.org, &held)?;
            }
            (held.state, held.decided, held.decided_by) = (decision, Some(now), Some(scope.actor.to_json()));
            hold::hold_write(conn, scope.org, &held)?;
            let kind = if decision == State::Approved { Kind::HoldApproved } else { Kind::HoldRestoring };
            core.record(conn, &scope, now, &[NewEvent { kind, subject: id.0, delta: summary(&held) }])?;
            Ok((held, Vec::new()))
        });
        let decided = decided.await?;
        self.deletions.poke();
        Ok(decided)
    }
}

/// With what is counted of it while that changes.
fn shown(conn: &mut AnyConnection, org: OrgId, mut held: Hold) -> Result<ShownHold, Error> {
    if matches!(held.state, State::Open | State::Restoring) {
        held.counts = hold::hold_counts(conn, org, &held)?;
    }
    let failed = if held.counts.failed > 0 { hold::losses_failed(conn, org, &held, SHOWN)? } else { Vec::new() };
    Ok((held, failed))
}

fn summary(held: &Hold) -> Value {
    json!({
        "since": held.first.to_string(),
        "until": held.last.to_string(),
        "deactivated": held.counts.deactivated,
        "deleted": held.counts.deleted,
        "users": held.users,
    })
}

/// What events were read on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Nothing,
    Events,
    /// And a hold was opened.
    Held,
}

/// Reads events on. `mail`: whether administrators are told so of a hold.
pub(crate) fn watch_some(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    mail: bool,
) -> Result<Watched, Error> {
    let seq = hold::watch_lock(conn, org)?;
    let events = hold::events_after(conn, org, seq, EVENTS)?;
    let Some(first) = events.first() else { return Ok(Watched::Nothing) };
    let until = first.occurred.saturating_add_micros(STEP_MICROS);
    let (mut last, mut span) = (seq, None::<(Instant, Instant)>);
    for event in events.into_iter().take_while(|event| event.occurred <= until) {
        last = event.seq;
        // What cannot tell of a loss comes without its delta.
        let Some(loss) = Loss::told(&event.kind, &event.delta) else { continue };
        let lost = Lost { seq: event.seq, user: UserId(event.subject.0), loss, occurred: event.occurred };
        hold::loss_insert(conn, org, &lost, &who(&event.actor))?;
        // Sessions hold no longer since then; here they end for good, also for who is active again by now.
        account_session::account_sessions_end_of(conn, org, lost.user, lost.occurred)?;
        if loss == Loss::Deleted {
            org_key::rotation_note(conn, org, lost.user, lost.occurred)?;
        }
        let (from, to) = span.unwrap_or((event.occurred, event.occurred));
        span = Some((from.min(event.occurred), to.max(event.occurred)));
    }
    hold::watch_write(conn, org, last)?;
    let Some((from, to)) = span else { return Ok(Watched::Events) };
    let Some(held) = judge(conn, org, author, from, to)? else { return Ok(Watched::Events) };
    if mail {
        mail_admins(conn, org, author.ids, author.now, &notice(&held))?;
    }
    Ok(Watched::Held)
}

/// The actor of an event, less what differs between requests.
fn who(actor: &str) -> String {
    let mut actor: Value = serde_json::from_str(actor).unwrap_or_default();
    if let Some(actor) = actor.as_object_mut() {
        actor.remove("request_id");
        actor.remove("entry_id");
    }
    actor.to_string()
}

fn notice(held: &Hold) -> Notice {
    Notice::HoldOpened {
        hold: held.id.0,
        since: held.first.to_string(),
        until: held.last.to_string(),
        deactivated: held.counts.deactivated,
        deleted: held.counts.deleted,
        users: held.users,
    }
}

/// The hold that is opened, if too many lost their access around these instants.
fn judge(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    from: Instant,
    to: Instant,
) -> Result<Option<Hold>, Error> {
    if let Some(open) = hold::hold_in(conn, org, State::Open)?
        && from <= open.last.saturating_add_micros(WINDOW_MICROS)
        && let Some(mut open) = hold::hold_lock(conn, org, open.id)?.filter(|hold| hold.state == State::Open)
    {
        // It goes on.
        open.last = open.last.max(to);
        hold::hold_write(conn, org, &open)?;
        return Ok(None);
    }
    let Some(organization) = organization::organization_get(conn, org)? else { return Ok(None) };
    // Those that were decided about do not count again.
    let begin = from.saturating_add_micros(-WINDOW_MICROS);
    let decided = hold::decided_until(conn, org)?.map(|until| until.saturating_add_micros(1));
    let begin = decided.map_or(begin, |decided| begin.max(decided));
    let lost = hold::lost_between(conn, org, begin, to)?;
    let users = rank::rank_total(conn, org, Target::User)? + hold::deleted_between(conn, org, begin, to)?;
    let percent = organization.hold_percent;
    // Who has its access again is looked up one by one, so only where it decides.
    if !too_many(lost, users, percent) || !too_many(hold::still_lost_between(conn, org, begin, to)?, users, percent) {
        return Ok(None);
    }
    let first = hold::first_loss(conn, org, begin)?.unwrap_or(from);
    let mut held = Hold {
        id: HoldId(author.ids.next()),
        state: State::Open,
        opened: author.now,
        first,
        last: to,
        users,
        counts: Counts::default(),
        decided: None,
        decided_by: None,
    };
    hold::hold_insert(conn, org, &held)?;
    held.counts = hold::hold_counts(conn, org, &held)?;
    let by = hold::losses_by(conn, org, first, to)?.into_iter().map(|(actor, n)| {
        let actor: Value = serde_json::from_str(&actor).unwrap_or_default();
        json!({"actor": actor, "losses": n})
    });
    let mut delta = summary(&held);
    delta["by"] = by.collect();
    events_append(conn, org, author, &[NewEvent { kind: Kind::HoldOpened, subject: held.id.0, delta }])?;
    Ok(Some(held))
}

/// How far a user has come that is to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Done,
    /// There is more to do in another transaction.
    More,
}

/// Gives one user back what it lost. Refused: it cannot be restored.
pub(crate) fn give_back(
    conn: &mut AnyConnection,
    org: OrgId,
    author: &Author<'_>,
    lost: &Lost,
) -> Result<Given, Refused> {
    if let Some(seen) = user::user_lock(conn, org, lost.user, Lock::Change)? {
        if lost.loss == Loss::Deactivated && seen.active != Some(true) {
            activate(conn, org, author, seen)?;
        }
        hold::loss_done(conn, org, lost.seq, None)?;
        return Ok(Given::Done);
    }
    // Who was deleted later, by itself, stays so.
    if !deleted_user::is_held(conn, org, lost.user)? {
        return Err(Refused::Refused(not_restorable()));
    }
    let gate = organization::organization_gate(conn, org)?.ok_or_else(|| Refused::Refused(not_restorable()))?;
    let types = Types::with([]);
    let restoring = Restoring { types: &types, gate: &gate, id: lost.user, user_name: None };
    match restore(conn, org, author, restoring)? {
        Attempt::Restored { .. } if lost.loss == Loss::Deleted => {
            hold::loss_done(conn, org, lost.seq, None)?;
            Ok(Given::Done)
        }
        Attempt::Restored { .. } => Ok(Given::More),
        Attempt::Leaving => {
            leave_some(conn, org, author, lost.user)?;
            Ok(Given::More)
        }
    }
}

fn activate(conn: &mut AnyConnection, org: OrgId, author: &Author<'_>, seen: User) -> Result<(), Refused> {
    let before = parse_stored(&seen.resource).map_err(Refused::Refused)?;
    let types: Arc<Types> = Core::types_for(conn, org, &Types::with([]), |types| &types.user, &before)?;
    let mut after = before.clone();
    let active = Operation { op: Op::Replace, path: Some("active".to_owned()), value: Some(json!(true)) };
    scim::patch::apply(&types.user, &mut after, &[active]).map_err(|error| Refused::Refused(from_scim(error)))?;
    let content = UserContent::new(&types.user, after).map_err(Refused::Refused)?;
    let delta = delta(Some(&before), Some(&content.resource), &Notes::default());
    let change = UserChange {
        seen: &seen,
        content: &content,
        emails_before: &email_keys(&before),
        needs_plan: content.needs_plan(),
        event: &NewEvent { kind: Kind::UserUpdated, subject: seen.id.0, delta },
    };
    user::user_update(conn, org, author, &change)?.map(drop).ok_or_else(|| Error::Serialization.into())
}

/// Ends a hold whose users are restored.
pub(crate) fn hold_end(conn: &mut AnyConnection, org: OrgId, author: &Author<'_>, id: HoldId) -> Result<(), Error> {
    let held = hold::hold_lock(conn, org, id)?.filter(|hold| hold.state == State::Restoring);
    let Some(mut held) = held else { return Ok(()) };
    held.counts = hold::hold_counts(conn, org, &held)?;
    held.state = State::Restored;
    hold::hold_write(conn, org, &held)?;
    let failed = hold::losses_failed(conn, org, &held, SHOWN)?.into_iter();
    let mut delta = summary(&held);
    delta["failed"] = held.counts.failed.into();
    delta["failures"] = failed.map(|failed| json!({"user": failed.user, "why": failed.why})).collect();
    events_append(conn, org, author, &[NewEvent { kind: Kind::HoldRestored, subject: id.0, delta }])
}
