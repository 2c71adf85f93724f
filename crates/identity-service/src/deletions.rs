//! The background task for deleted users: it finishes moving the memberships of those whose call broke off, looks whether many
//! users lose their access at once, ends the sessions of who did, restores those of whom an administrator decided so, and erases those whose days of grace
//! are over and who are not held.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use store::{AnyConnection, Clock, Db, Failure, Ids, Instant};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::{
        OrgId,
        actor::{Actor, ActorKind},
        deletion::Direction,
        event::{Kind, NewEvent},
        hold::{Lost, State, WINDOW_MICROS},
    },
    error::Refused,
    mailer::Mailer,
    operations::{Given, Watched, give_back, hold_end, leave_some, return_some, watch_some},
    sequencer::Sequencer,
    store::{
        account, deleted_user,
        event::{Author, events_append},
        hold,
    },
};

/// How often to look for what calls have left, and for who is to be erased.
const EVERY: Duration = Duration::from_secs(30);
/// Users erased in one transaction.
const USERS: i64 = 100;
/// Memberships forgotten in one transaction, and losses of access.
const GROUPS: i64 = 1000;
/// Organizations, and users of a hold, that are read at a time.
const PAGE: i64 = 500;

/// A handle on the task. Clones share it.
#[derive(Clone)]
pub(crate) struct Deletions {
    poke: Arc<Notify>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Deletions {
    pub(crate) fn start(db: Db, clock: Clock, ids: Ids, sequencer: Sequencer, mailer: Mailer) -> Self {
        let (poke, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = Task { db, clock, ids, sequencer, mailer, stop: stop.clone() };
        let task = tokio::spawn(task.run(Arc::clone(&poke)));
        Self { poke, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Has it look now.
    pub(crate) fn poke(&self) {
        self.poke.notify_one();
    }

    /// Ends the task after the transaction it is at.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            // Its text would be the panic's, see the panic hook.
            tracing::error!(panicked = error.is_panic(), "looking after deleted users ended badly");
        }
    }
}

struct Task {
    db: Db,
    clock: Clock,
    ids: Ids,
    sequencer: Sequencer,
    mailer: Mailer,
    stop: CancellationToken,
}

impl Task {
    async fn run(self, poke: Arc<Notify>) {
        loop {
            let looked = async {
                self.move_on().await?;
                self.watch().await?;
                self.give_back().await?;
                // Who is on the move since.
                self.move_on().await?;
                self.purge().await
            };
            if let Err(error) = looked.await {
                tracing::warn!(%error, "deleted users could not be looked after, that is tried again later");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = poke.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Finishes taking users out of their groups, and bringing them back.
    async fn move_on(&self) -> Result<(), store::Error> {
        while !self.stop.is_cancelled() {
            let next = self.db.across().read(|conn| Ok(deleted_user::move_next(conn)?)).await.map_err(only)?;
            let Some((org, user, direction)) = next else { return Ok(()) };
            let (ids, now) = (self.ids.clone(), self.clock.now());
            let step = move |conn: &mut AnyConnection| {
                let actor = actor();
                let author = Author { actor: &actor, now, ids: &ids };
                match direction {
                    Direction::Out => leave_some(conn, org, &author, user)?,
                    Direction::Back => return_some(conn, org, &author, user)?.1,
                };
                Ok(())
            };
            self.write(org, step).await?;
        }
        Ok(())
    }

    /// Reads the events of each organization that were not read yet.
    async fn watch(&self) -> Result<(), store::Error> {
        let mut after = OrgId(Uuid::nil());
        loop {
            let read = move |conn: &mut AnyConnection| {
                let heads = hold::heads_page(conn, after, PAGE)?;
                let Some((last, _)) = heads.last() else { return Ok(None) };
                let watched = hold::watched_between(conn, after, *last)?;
                Ok(Some((heads, watched)))
            };
            let Some((heads, watched)) = self.db.across().read(read).await.map_err(only)? else { return Ok(()) };
            let watched: HashMap<OrgId, i64> = watched.into_iter().collect();
            for (org, last) in heads {
                after = org;
                if watched.get(&org).is_some_and(|seq| *seq >= last) {
                    continue;
                }
                let mut more = true;
                while more && !self.stop.is_cancelled() {
                    let (ids, now, mail) = (self.ids.clone(), self.clock.now(), self.mailer.is_on());
                    let step = move |conn: &mut AnyConnection| {
                        let actor = actor();
                        Ok(watch_some(conn, org, &Author { actor: &actor, now, ids: &ids }, mail)?)
                    };
                    let watched = self.write(org, step).await?;
                    if watched == Watched::Held {
                        self.mailer.poke();
                    }
                    more = watched != Watched::Nothing;
                }
                self.forget(org).await?;
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Forgets losses that are of no use any more.
    async fn forget(&self, org: OrgId) -> Result<(), store::Error> {
        let before = self.clock.now().saturating_add_micros(-2 * WINDOW_MICROS);
        let mut more = true;
        while more && !self.stop.is_cancelled() {
            let forgotten = self.write(org, move |conn| Ok(hold::losses_purge(conn, org, before, GROUPS)?)).await?;
            more = i64::try_from(forgotten).is_ok_and(|forgotten| forgotten == GROUPS);
        }
        Ok(())
    }

    /// Restores all that holds are about of which an administrator decided so.
    async fn give_back(&self) -> Result<(), store::Error> {
        let mut after = OrgId(Uuid::nil());
        loop {
            let from = after;
            let next =
                self.db.across().read(move |conn| Ok(hold::hold_organization_after(conn, from, State::Restoring)?));
            let Some(org) = next.await.map_err(only)? else { return Ok(()) };
            after = org;
            while !self.stop.is_cancelled() {
                let pending = self.db.of(org).read(move |conn| {
                    let Some(held) = hold::hold_in(conn, org, State::Restoring)? else { return Ok(None) };
                    let lost = hold::losses_pending(conn, org, &held, PAGE)?;
                    Ok(Some((held.id, held.decided_by, lost)))
                });
                let Some((id, decided_by, lost)) = pending.await.map_err(only)? else { break };
                if lost.is_empty() {
                    let (ids, now) = (self.ids.clone(), self.clock.now());
                    let end = move |conn: &mut AnyConnection| {
                        let actor = actor();
                        Ok(hold_end(conn, org, &Author { actor: &actor, now, ids: &ids }, id)?)
                    };
                    self.write(org, end).await?;
                    continue;
                }
                // It is the doing of who decided, as each user's history says.
                let decider = decided_by.as_deref().and_then(Actor::parse).unwrap_or_else(actor);
                for lost in lost {
                    if self.stop.is_cancelled() {
                        return Ok(());
                    }
                    self.give_one_back(org, &decider, lost).await?;
                }
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn give_one_back(&self, org: OrgId, decider: &Actor, lost: Lost) -> Result<(), store::Error> {
        let mut given = Given::More;
        while given == Given::More {
            let (ids, now, lost, actor) = (self.ids.clone(), self.clock.now(), lost.clone(), decider.clone());
            let seq = lost.seq;
            let step = move |conn: &mut AnyConnection| -> Result<Given, Refused> {
                give_back(conn, org, &Author { actor: &actor, now, ids: &ids }, &lost)
            };
            given = match self.db.of(org).write(step).await {
                Ok(given) => given,
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Refused(refusal)) => {
                    self.write(org, move |conn| Ok(hold::loss_done(conn, org, seq, Some(&refusal.message))?)).await?;
                    Given::Done
                }
            };
            self.sequencer.poke(org);
        }
        Ok(())
    }

    /// Erases who can be restored no more.
    async fn purge(&self) -> Result<(), store::Error> {
        let (mut org, now) = (OrgId(Uuid::nil()), self.clock.now());
        loop {
            let after = org;
            let next = self.db.across().read(move |conn| Ok(deleted_user::deleted_organization_after(conn, after)?));
            let Some(next) = next.await.map_err(only)? else { return Ok(()) };
            org = next;
            // Before it is known who is held nobody is erased.
            let until = now.saturating_add_micros(-WINDOW_MICROS);
            let watched = self.db.of(org).read(move |conn| Ok(hold::watched_until(conn, org, until)?));
            let mut more = watched.await.map_err(only)?;
            while more && !self.stop.is_cancelled() {
                let ids = self.ids.clone();
                more = self.write(org, move |conn| Ok(purge_some(conn, org, &ids, now)?)).await?;
            }
        }
    }

    async fn write<T, F>(&self, org: OrgId, f: F) -> Result<T, store::Error>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<Infallible>> + Send + 'static,
        T: Send + 'static,
    {
        let done = self.db.of(org).write(f).await.map_err(only)?;
        self.sequencer.poke(org);
        Ok(done)
    }
}

/// Whether there may be more.
fn purge_some(conn: &mut AnyConnection, org: OrgId, ids: &Ids, now: Instant) -> Result<bool, store::Error> {
    let users = deleted_user::purgeable_lock(conn, org, now, USERS)?;
    if users.is_empty() {
        return Ok(false);
    }
    let groups = deleted_user::saved_groups_purge(conn, org, &users, GROUPS)?;
    if i64::try_from(groups).is_ok_and(|groups| groups < GROUPS) {
        account::accounts_purge(conn, org, &users)?;
        deleted_user::deleted_purge(conn, org, &users)?;
        let purged = |user: &Uuid| NewEvent { kind: Kind::UserPurged, subject: *user, delta: json!({}) };
        let events: Vec<NewEvent> = users.iter().map(purged).collect();
        let actor = actor();
        events_append(conn, org, &Author { actor: &actor, now, ids }, &events)?;
    }
    Ok(true)
}

fn actor() -> Actor {
    let kind = ActorKind::InternalService { name: "identity-service".to_owned() };
    Actor { kind, request_id: String::new() }
}

fn only(failure: Failure<Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}
