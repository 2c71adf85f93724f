//! The background task that tells organizations of their plan, by events: that it has ended, that its days of grace are
//! over, and what was refused because of it.
//!
//! A client that is refused sends the same again for days. So of each organization and entitlement one refusal is
//! an event at once, and the others of the hour after it are one event with their number. Each process counts for
//! itself; one that is killed loses what it has counted since.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use store::{AnyConnection, Clock, Db, Failure, Ids, Instant};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use wire::Entitlement;

use crate::{
    domain::{
        OrgId,
        actor::{Actor, ActorKind},
        event::{Kind, NewEvent},
        plan::Standing,
    },
    operations::plan_delta,
    sequencer::Sequencer,
    store::{
        event::{Author, events_append},
        organization,
    },
};

/// How often to look whether a plan has ended.
const EVERY: Duration = Duration::from_secs(60);
/// Refusals of this long are one event.
const GATHER_MICROS: i64 = 60 * 60 * 1_000_000;
/// Organizations of one round.
const ORGANIZATIONS: i64 = 100;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct PlanNotices {
    refusals: Refusals,
    poke: Arc<Notify>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl PlanNotices {
    pub(crate) fn start(db: Db, clock: Clock, ids: Ids, sequencer: Sequencer) -> Self {
        let (poke, stop, refusals) = (Arc::new(Notify::new()), CancellationToken::new(), Refusals::default());
        let task = Task { db, clock, ids, sequencer, refusals: refusals.clone() };
        let task = tokio::spawn(task.run(Arc::clone(&poke), stop.clone()));
        Self { refusals, poke, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, org: OrgId, entitlement: Entitlement, now: Instant) {
        if self.refusals.count(org, entitlement, now) {
            self.poke();
        }
    }

    /// Has plans looked at now.
    pub(crate) fn poke(&self) {
        self.poke.notify_one();
    }

    /// Ends the task, after what was counted is written.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            // Its text would be the panic's, see the panic hook.
            tracing::error!(panicked = error.is_panic(), "telling of plans ended badly");
        }
    }
}

/// Refusals that are not yet an event.
#[derive(Clone, Default)]
struct Refusals(Arc<Mutex<HashMap<(OrgId, Entitlement), Tally>>>);

#[derive(Clone, Copy)]
struct Tally {
    count: u64,
    /// No event before it.
    not_before: Instant,
}

impl Refusals {
    /// Whether an event is due.
    fn count(&self, org: OrgId, entitlement: Entitlement, now: Instant) -> bool {
        let mut tallies = self.lock();
        let tally = tallies.entry((org, entitlement)).or_insert(Tally { count: 0, not_before: now });
        tally.count += 1;
        tally.not_before <= now
    }

    /// Takes what an event is due of; with `all` everything. What is quiet for an hour is forgotten.
    fn take(&self, now: Instant, all: bool) -> Vec<(OrgId, Entitlement, u64)> {
        let mut tallies = self.lock();
        tallies.retain(|_, tally| tally.count > 0 || now < tally.not_before);
        let due = tallies.iter_mut().filter(|(_, tally)| tally.count > 0 && (all || tally.not_before <= now));
        due.map(|((org, entitlement), tally)| {
            tally.not_before = now.saturating_add_micros(GATHER_MICROS);
            (*org, *entitlement, std::mem::take(&mut tally.count))
        })
        .collect()
    }

    /// Puts back what could not be written.
    fn put_back(&self, org: OrgId, entitlement: Entitlement, count: u64, now: Instant) {
        let mut tallies = self.lock();
        let tally = tallies.entry((org, entitlement)).or_insert(Tally { count: 0, not_before: now });
        *tally = Tally { count: tally.count + count, not_before: now };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(OrgId, Entitlement), Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    db: Db,
    clock: Clock,
    ids: Ids,
    sequencer: Sequencer,
    refusals: Refusals,
}

impl Task {
    async fn run(self, poke: Arc<Notify>, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let told = async {
                self.tell_of_refusals(now, stop.is_cancelled()).await?;
                self.tell_of_ends(now).await
            };
            if let Err(error) = told.await {
                tracing::warn!(%error, "organizations could not be told of their plan, that is tried again later");
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = poke.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn tell_of_refusals(&self, now: Instant, all: bool) -> Result<(), store::Error> {
        for (org, entitlement, count) in self.refusals.take(now, all) {
            let event = NewEvent {
                kind: Kind::PlanRefused,
                subject: org.0,
                delta: json!({"entitlement": entitlement.as_str(), "refused": count}),
            };
            let ids = self.ids.clone();
            let written = self.db.of(org).write(move |conn| Ok(record(conn, org, &ids, now, &event)?));
            if let Err(failure) = written.await {
                self.refusals.put_back(org, entitlement, count, now);
                return Err(only(failure));
            }
            self.sequencer.poke(org);
        }
        Ok(())
    }

    /// Once for each end, whichever process does it.
    async fn tell_of_ends(&self, now: Instant) -> Result<(), store::Error> {
        loop {
            let due =
                self.db.across().read(move |conn| Ok(organization::organizations_to_tell(conn, now, ORGANIZATIONS)?));
            let due = due.await.map_err(only)?;
            if due.is_empty() {
                return Ok(());
            }
            for org in due {
                let ids = self.ids.clone();
                self.db.of(org).write(move |conn| Ok(tell(conn, org, &ids, now)?)).await.map_err(only)?;
                self.sequencer.poke(org);
            }
        }
    }
}

fn tell(conn: &mut AnyConnection, org: OrgId, ids: &Ids, now: Instant) -> Result<(), store::Error> {
    organization::organization_lock(conn, org)?;
    let Some(mut organization) = organization::organization_get(conn, org)? else { return Ok(()) };
    let terms = organization.terms;
    let (kind, end) = match terms.standing(now) {
        Standing::Current => return Ok(()),
        Standing::InGrace => (Kind::PlanLapsed, terms.expires_at),
        Standing::Ended => (Kind::PlanEnded, terms.grace_ends_at()),
    };
    if organization.plan_told >= end {
        return Ok(());
    }
    organization.plan_told = end;
    organization::organization_settings(conn, &organization)?;
    let event = NewEvent { kind, subject: org.0, delta: plan_delta(&organization) };
    record(conn, org, ids, now, &event)
}

fn record(conn: &mut AnyConnection, org: OrgId, ids: &Ids, now: Instant, event: &NewEvent) -> Result<(), store::Error> {
    let kind = ActorKind::InternalService { name: "identity-service".to_owned() };
    let actor = Actor { kind, request_id: String::new() };
    events_append(conn, org, &Author { actor: &actor, now, ids }, std::slice::from_ref(event))
}

fn only(failure: Failure<Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ORG: OrgId = OrgId(Uuid::from_u128(1));

    #[test]
    fn the_first_refusal_is_told_at_once_and_those_of_the_hour_after_it_as_one() {
        let refusals = Refusals::default();
        let at = |minutes: i64| Instant::from_micros(minutes * 60_000_000);
        assert!(refusals.count(ORG, Entitlement::Scim, at(0)));
        assert_eq!(refusals.take(at(0), false), [(ORG, Entitlement::Scim, 1)]);
        for minute in 1..60 {
            assert!(!refusals.count(ORG, Entitlement::Scim, at(minute)));
            assert_eq!(refusals.take(at(minute), false), []);
        }
        // Another kind has its own.
        assert!(refusals.count(ORG, Entitlement::MaxUsers, at(59)));
        assert_eq!(refusals.take(at(59), false), [(ORG, Entitlement::MaxUsers, 1)]);
        assert_eq!(refusals.take(at(60), false), [(ORG, Entitlement::Scim, 59)]);
        assert!(!refusals.count(ORG, Entitlement::Scim, at(61)));
        assert_eq!(refusals.take(at(61), true), [(ORG, Entitlement::Scim, 1)]);
    }

    #[test]
    fn what_is_quiet_is_forgotten_and_what_was_not_written_is_not() {
        let refusals = Refusals::default();
        refusals.count(ORG, Entitlement::Scim, Instant::from_micros(0));
        assert_eq!(refusals.take(Instant::from_micros(0), false).len(), 1);
        refusals.put_back(ORG, Entitlement::Scim, 1, Instant::from_micros(0));
        assert_eq!(refusals.take(Instant::from_micros(0), false), [(ORG, Entitlement::Scim, 1)]);
        assert_eq!(refusals.take(Instant::from_micros(GATHER_MICROS), false), []);
        assert!(refusals.lock().is_empty());
    }
}
