//! Tells gateways of revoked tokens, and all listeners of revoked service credentials: one task asks the database a few times a second and passes on what it finds.
//!
//! Nothing depends on which replica revoked the token, or on a session of the database's: a stream that breaks off is taken
//! up at its position by any replica.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use store::{AnyConnection, Db, Failure};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use wire::token::Revocations;

use crate::{
    error::refusal,
    store::revocation::{self, Ended},
};

/// How often the database is asked.
const INTERVAL: Duration = Duration::from_millis(200);

/// A message goes out at least this often: silence means that the database does not answer.
const BEAT: Duration = Duration::from_millis(800);

/// Rows in one message.
const BATCH: i64 = 1000;

/// Messages that a slow stream may be behind; then it has to begin again.
const BEHIND: usize = 64;

/// Where each stands in the order of revocations.
type Revoked = Vec<(i64, Ended)>;

/// What the task knows. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    position: AtomicI64,
    batches: broadcast::Sender<Arc<Revoked>>,
    poked: Notify,
    /// Ends the streams, so that a server that stops need not wait for them.
    end: CancellationToken,
}

impl Feed {
    pub(crate) async fn open(db: &Db) -> Result<Self, store::Error> {
        let position =
            db.across().read(|connection| Ok(revocation::revocation_last(connection)?)).await.map_err(only)?;
        Ok(Self(Arc::new(Shared {
            position: AtomicI64::new(position),
            batches: broadcast::Sender::new(BEHIND),
            poked: Notify::new(),
            end: CancellationToken::new(),
        })))
    }

    /// Tells that something was revoked here.
    pub(crate) fn poke(&self) {
        self.0.poked.notify_one();
    }

    pub(crate) fn end_streams(&self) {
        self.0.end.cancel();
    }

    pub(crate) async fn keep(self, db: Db, stop: CancellationToken) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Instant::now();
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.poked.notified() => {}
                _ = interval.tick() => {}
            }
            let looked = self.look(&db).await;
            match looked {
                Ok(revoked) if revoked.is_empty() && told.elapsed() < BEAT => {}
                Ok(revoked) => {
                    if let Some((position, _)) = revoked.last() {
                        self.0.position.store(*position, Ordering::Relaxed);
                    }
                    // Without a receiver there is nobody to tell.
                    let _ = self.0.batches.send(Arc::new(revoked));
                    told = Instant::now();
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "revocations cannot be read, gateways ask for each token again meanwhile");
                    }
                    failing = true;
                }
            }
        }
    }

    async fn look(&self, db: &Db) -> Result<Revoked, store::Error> {
        let position = self.0.position.load(Ordering::Relaxed);
        let read = move |connection: &mut AnyConnection| {
            let unnumbered = revocation::revocations_unnumbered(connection)?;
            Ok((unnumbered, revocation::revocations_after(connection, position, BATCH)?))
        };
        let (unnumbered, revoked) = db.across().read(read).await.map_err(only)?;
        if !unnumbered {
            return Ok(revoked);
        }
        db.across().write(|connection| Ok(revocation::revocations_number(connection, BATCH)?)).await.map_err(only)?;
        Ok(db.across().read(read).await.map_err(only)?.1)
    }

    /// What came after a position, and then what comes. Without a position: from now on.
    pub(crate) fn stream(&self, db: Db, after: Option<i64>) -> impl Stream<Item = Result<Revocations, Status>> + use<> {
        // First the receiver, so that nothing falls between it and the first reading.
        let receiver = self.0.batches.subscribe();
        let here = self.0.position.load(Ordering::Relaxed);
        // A position that lies ahead was given by a replica that is ahead, or before the database was restored: twice is
        // better than never.
        let sent = after.map_or(here, |after| after.min(here));
        let watch = Watch { db, receiver, sent, behind: true, end: self.0.end.clone() };
        stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(message) => message.map(|message| (Ok(message), Some(watch))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }
}

struct Watch {
    db: Db,
    receiver: broadcast::Receiver<Arc<Revoked>>,
    sent: i64,
    /// The database may have more than the receiver will get.
    behind: bool,
    end: CancellationToken,
}

impl Watch {
    /// `None`: the stream is over, because the server stops or it was too far behind; whoever reads it calls again.
    async fn next(&mut self) -> Result<Option<Revocations>, Status> {
        if self.end.is_cancelled() {
            return Ok(None);
        }
        if self.behind {
            let after = self.sent;
            let read =
                self.db.across().read(move |connection| Ok(revocation::revocations_after(connection, after, BATCH)?));
            let revoked = read.await.map_err(|failure| Status::from(refusal(failure)))?;
            self.behind = i64::try_from(revoked.len()).unwrap_or(BATCH) >= BATCH;
            return Ok(Some(self.message(&revoked)));
        }
        tokio::select! {
            () = self.end.cancelled() => Ok(None),
            batch = self.receiver.recv() => Ok(batch.ok().map(|revoked| self.message(&revoked))),
        }
    }

    fn message(&mut self, revoked: &[(i64, Ended)]) -> Revocations {
        let (mut token_ids, mut service_credential_ids) = (Vec::new(), Vec::new());
        for (_, ended) in revoked.iter().filter(|(position, _)| *position > self.sent) {
            match ended {
                Ended::Token(id) => token_ids.push(id.to_string()),
                Ended::Credential(id) => service_credential_ids.push(id.to_string()),
            }
        }
        self.sent = revoked.last().map_or(self.sent, |(position, _)| self.sent.max(*position));
        Revocations { position: self.sent, token_ids, service_credential_ids }
    }
}

fn only(failure: Failure<std::convert::Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}
