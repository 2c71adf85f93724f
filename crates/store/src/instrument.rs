//! One span per statement, and whether one failed.

use std::{
    fmt::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use tracing::{Level, Span, field::Empty};

use crate::Backend;

/// The longest statement text a span carries, bytes.
const LONGEST: usize = 2000;

/// Whether a statement failed since the connection's transaction, or the savepoint in it, was last rolled back.
///
/// PostgreSQL answers COMMIT with success after it rolled back a transaction in which a statement failed, and Diesel passes
/// that on; a closure that ignores such an error must not be told that its changes were kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failed(Arc<AtomicBool>);

impl Failed {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, failed: bool) {
        self.0.store(failed, Ordering::Relaxed);
    }
}

pub(crate) struct Statements {
    backend: Backend,
    span: Option<Span>,
    failed: Failed,
}

impl Statements {
    pub(crate) fn new(backend: Backend, failed: Failed) -> Self {
        Self { backend, span: None, failed }
    }
}

impl Instrumentation for Statements {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } if tracing::span_enabled!(Level::DEBUG, "db.query") => {
                let mut text = WithoutBinds(String::new());
                // Stops with an error where the binds begin: that is the end wanted.
                let _ = write!(text, "{query}");
                // Debug: of use where traces are exported, and not for log lines, whose context it would be otherwise.
                let span = tracing::debug_span!(
                    "db.query",
                    otel.kind = "client",
                    db.system.name = self.backend.system_name(),
                    db.query.text = text.0,
                    error.type = Empty,
                );
                self.span = Some(span);
            }
            InstrumentationEvent::FinishQuery { error, .. } => {
                let span = self.span.take();
                if let Some(error) = error {
                    self.failed.set(true);
                    span.inspect(|span| {
                        span.record("error.type", kind(error));
                    });
                }
            }
            InstrumentationEvent::RollbackTransaction { .. } => self.failed.set(false),
            _ => {}
        }
    }
}

/// The text of the error may hold values; its kind does not.
fn kind(error: &diesel::result::Error) -> String {
    match error {
        diesel::result::Error::DatabaseError(kind, _) => format!("{kind:?}"),
        diesel::result::Error::NotFound => "NotFound".to_owned(),
        _ => "Other".to_owned(),
    }
}

/// Diesel shows a query as `SQL -- binds: [VALUES]`, and values are personal data.
struct WithoutBinds(String);

impl Write for WithoutBinds {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = part.find("-- binds:").unwrap_or(part.len());
        let room = LONGEST.saturating_sub(self.0.len());
        let keep = part.floor_char_boundary(end.min(room));
        self.0.push_str(&part[..keep]);
        if keep < part.len() {
            self.0.truncate(self.0.trim_end().len());
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_cut_off_wherever_the_text_is_split() {
        let mut text = WithoutBinds(String::new());
        let sql = "SELECT 1 WHERE a = $1";
        assert!(write!(text, "{sql} -- binds: {:?}", ["secret"]).is_err());
        assert_eq!(text.0, "SELECT 1 WHERE a = $1");
        let mut text = WithoutBinds(String::new());
        assert!(text.write_str("SELECT $1 -- binds: [\"secret\"]").is_err());
        assert_eq!(text.0, "SELECT $1");
        let mut text = WithoutBinds(String::new());
        assert!(write!(text, "{}", "ä".repeat(LONGEST)).is_err());
        assert!(text.0.len() <= LONGEST);
    }
}
