//! The one thread that writes to SQLite. What has queued while it worked shares the next COMMIT, and with it the fsync.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use diesel::{
    connection::{AnsiTransactionManager, TransactionManager as _},
    r2d2::R2D2Connection as _,
};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::{AnyConnection, Error, Failure, pool::PATIENCE, urgency::is_urgent};

/// How many closures share one COMMIT.
const BATCH: usize = 64;

/// How many of each kind may wait before callers are told that the database is busy.
const QUEUE: usize = 1024;

/// The handle; the thread ends with the last one, after the queue is empty.
#[derive(Clone)]
pub(crate) struct Writer {
    /// `None` only wakes the thread, which looks at the urgent ones first.
    queue: mpsc::Sender<Option<Box<dyn Job>>>,
    urgent: Urgent,
}

/// What goes before the queue.
type Urgent = Arc<Mutex<VecDeque<Box<dyn Job>>>>;

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("free", &self.queue.capacity()).finish_non_exhaustive()
    }
}

impl Writer {
    /// `connect` replaces the connection after a failure that ended its transaction.
    pub(crate) fn start(
        connection: AnyConnection,
        connect: impl Fn() -> Result<AnyConnection, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let urgent = Urgent::default();
        let first = Arc::clone(&urgent);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || serve(connection, connect, receiver, &first))
            .map_err(|error| Error::Other(format!("The thread that writes to SQLite cannot be started: {error}")))?;
        Ok(Self { queue, urgent })
    }

    pub(crate) async fn run<T, E, F>(&self, f: F) -> Result<T, Failure<E>>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Closure { f, span: Span::current(), result: None, answer };
        if is_urgent() {
            self.first(Box::new(job))?;
        } else {
            self.queue.send_timeout(Some(Box::new(job)), PATIENCE).await.map_err(|_| Error::Busy)?;
        }
        answered.await.map_err(|_| Error::Other("the thread that writes to SQLite has ended".to_owned()))?
    }
}

impl Writer {
    fn first(&self, job: Box<dyn Job>) -> Result<(), Error> {
        let mut urgent = self.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        if urgent.len() >= QUEUE {
            return Err(Error::Busy);
        }
        urgent.push_back(job);
        // A full queue means that the thread does not sleep.
        let _ = self.queue.try_send(None);
        Ok(())
    }
}

trait Job: Send {
    /// Whether somebody still waits for the answer.
    fn wanted(&self) -> bool;
    /// Runs the closure; `Ok` if its savepoint is to be kept.
    fn run(&mut self, connection: &mut AnyConnection) -> Result<(), ()>;
    /// Answers, after COMMIT, or with the error that kept the batch from being committed.
    fn finish(self: Box<Self>, batch: Result<(), Error>);
}

struct Closure<T, E, F> {
    f: F,
    span: Span,
    result: Option<Result<T, Failure<E>>>,
    answer: oneshot::Sender<Result<T, Failure<E>>>,
}

impl<T, E, F> Job for Closure<T, E, F>
where
    F: Fn(&mut AnyConnection) -> Result<T, Failure<E>> + Send,
    T: Send,
    E: Send,
{
    fn wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(&mut self, connection: &mut AnyConnection) -> Result<(), ()> {
        let f = &self.f;
        let result = self
            .span
            .in_scope(|| catch_unwind(AssertUnwindSafe(|| f(connection))))
            .unwrap_or_else(|_| Err(Error::Other("a database closure panicked, see the log".to_owned()).into()));
        let keep = result.as_ref().map(|_| ()).map_err(|_| ());
        self.result = Some(result);
        keep
    }

    fn finish(self: Box<Self>, batch: Result<(), Error>) {
        let result = match (self.result, batch) {
            // Refused or failed by itself, whatever became of the others.
            (Some(Err(failure)), _) => Err(failure),
            (_, Err(error)) => Err(error.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(Error::Other("a database closure was not run".to_owned()).into()),
        };
        // Nobody may be waiting any more; the change stands all the same.
        let _ = self.answer.send(result);
    }
}

fn serve(
    mut connection: AnyConnection,
    connect: impl Fn() -> Result<AnyConnection, Error>,
    mut queue: mpsc::Receiver<Option<Box<dyn Job>>>,
    urgent: &Urgent,
) {
    let mut queued = Vec::with_capacity(BATCH);
    let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut queued, BATCH) > 0 {
        batch.extend(urgent.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
        batch.extend(queued.drain(..).flatten());
        batch.retain(|job| job.wanted());
        if batch.is_empty() {
            continue;
        }
        let committed = whole(&mut connection, &connect).and_then(|()| commit_together(&mut connection, &mut batch));
        if let Err(error) = &committed {
            tracing::error!(%error, writes = batch.len(), "a batch of writes was not committed");
        }
        for job in batch.drain(..) {
            job.finish(committed.clone());
        }
    }
}

/// SQLite ends a transaction by itself when the disk is full or fails. Diesel does not see that, and uses the connection no
/// more.
fn whole(connection: &mut AnyConnection, connect: &impl Fn() -> Result<AnyConnection, Error>) -> Result<(), Error> {
    if connection.is_broken() {
        *connection = connect()?;
    }
    Ok(())
}

/// An error here means that nothing of the batch was kept.
fn commit_together(connection: &mut AnyConnection, batch: &mut [Box<dyn Job>]) -> Result<(), Error> {
    begin_immediate(connection)?;
    for job in batch {
        if let Err(error) = in_savepoint(connection, job.as_mut()) {
            // Its savepoint is gone, and the transaction with it.
            abandon(connection);
            return Err(error);
        }
    }
    AnyConnection::commit_transaction(connection).map_err(|error| {
        abandon(connection);
        Error::from(error)
    })
}

fn in_savepoint(connection: &mut AnyConnection, job: &mut dyn Job) -> Result<(), Error> {
    AnyConnection::begin_transaction(connection)?;
    match job.run(connection) {
        Ok(()) => AnyConnection::commit_transaction(connection)?,
        Err(()) => AnyConnection::rollback_transaction(connection)?,
    }
    Ok(())
}

fn begin_immediate(connection: &mut AnyConnection) -> Result<(), Error> {
    match connection {
        AnyConnection::Sqlite(inner) => Ok(AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN IMMEDIATE")?),
        AnyConnection::Postgres(_) => Err(Error::Other("the writer thread is for SQLite only".to_owned())),
    }
}

fn abandon(connection: &mut AnyConnection) {
    while AnyConnection::rollback_transaction(connection).is_ok() {}
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc, Barrier,
            atomic::{AtomicU32, Ordering},
        },
    };

    use diesel::{
        Connection as _, SqliteConnection,
        connection::{InstrumentationEvent, SimpleConnection as _},
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_queued_meanwhile_shares_a_commit() {
        let mut connection = SqliteConnection::establish(":memory:").expect("open");
        connection.batch_execute("CREATE TABLE t (n INTEGER)").expect("create");
        let commits = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&commits);
        connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CommitTransaction { depth, .. } if depth.get() == 1) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let no_other = || Err(Error::Other("no other connection".to_owned()));
        let writer = Writer::start(AnyConnection::Sqlite(connection), no_other).expect("start");
        let barrier = Arc::new(Barrier::new(2));
        let (first, held) = (writer.clone(), Arc::clone(&barrier));
        let first = tokio::spawn(async move {
            let waited = first.run(move |_| {
                held.wait();
                held.wait();
                Ok::<(), Failure<Infallible>>(())
            });
            waited.await
        });
        // It runs, and so has left the queue.
        barrier.wait();
        let insert = |connection: &mut AnyConnection| {
            Ok::<(), Failure<Infallible>>(connection.batch_execute("INSERT INTO t VALUES (1)")?)
        };
        let rest: Vec<_> = (0..100)
            .map(|_| {
                let writer = writer.clone();
                tokio::spawn(async move { writer.run(insert).await })
            })
            .collect();
        while writer.queue.capacity() > QUEUE - 100 {
            tokio::task::yield_now().await;
        }
        barrier.wait();
        assert_eq!(first.await.expect("task"), Ok(()));
        for write in rest {
            assert_eq!(write.await.expect("task"), Ok(()));
        }
        // The first alone, then 64, then 36.
        assert_eq!(commits.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_urgent_goes_before_all_that_waits() {
        let mut connection = SqliteConnection::establish(":memory:").expect("open");
        connection.batch_execute("CREATE TABLE t (n INTEGER)").expect("create");
        let no_other = || Err(Error::Other("no other connection".to_owned()));
        let writer = Writer::start(AnyConnection::Sqlite(connection), no_other).expect("start");
        let barrier = Arc::new(Barrier::new(2));
        let (first, held) = (writer.clone(), Arc::clone(&barrier));
        let first = tokio::spawn(async move {
            let waited = first.run(move |_| {
                held.wait();
                held.wait();
                Ok::<(), Failure<Infallible>>(())
            });
            waited.await
        });
        barrier.wait();
        let done = Arc::new(AtomicU32::new(0));
        let count = |done: &Arc<AtomicU32>| {
            let done = Arc::clone(done);
            move |_: &mut AnyConnection| Ok::<u32, Failure<Infallible>>(done.fetch_add(1, Ordering::Relaxed))
        };
        // The queue is full, and urgent work is taken all the same.
        let rest: Vec<_> = (0..QUEUE)
            .map(|_| {
                let (writer, job) = (writer.clone(), count(&done));
                tokio::spawn(async move { writer.run(job).await })
            })
            .collect();
        while writer.queue.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        let (last, job) = (writer.clone(), count(&done));
        let urgent = tokio::spawn(crate::urgently_if(true, async move { last.run(job).await }));
        while writer.urgent.lock().expect("whole").is_empty() {
            tokio::task::yield_now().await;
        }
        barrier.wait();
        assert_eq!(urgent.await.expect("task"), Ok(0));
        assert_eq!(first.await.expect("task"), Ok(()));
        for write in rest {
            assert!(write.await.expect("task").is_ok());
        }
        // And where nothing waits, it wakes the thread.
        let (writer, job) = (writer.clone(), count(&done));
        assert!(crate::urgently_if(true, async move { writer.run(job).await }).await.is_ok());
    }
}
