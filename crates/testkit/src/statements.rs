//! The statements that a call sends to its databases, as their `db.query` spans tell.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::{
    Id, Instrument as _, Subscriber,
    field::{Field, Visit},
    span::Attributes,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, Layered, SubscriberExt as _},
    registry::LookupSpan,
};

/// The name of the span whose statements are recorded.
const RECORDED: &str = "recorded";

/// One of many recordings that may go on at the same time.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<String>>>);

struct Recorder;

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "db.query.text" {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.query.text" {
            value.clone_into(&mut self.0);
        }
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        match attributes.metadata().name() {
            RECORDED => span.extensions_mut().insert(Recording::default()),
            "db.query" => {
                let recording = span.scope().find_map(|span| span.extensions().get::<Recording>().cloned());
                let mut text = Text::default();
                attributes.record(&mut text);
                if let Some(Recording(statements)) = recording {
                    statements.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
                }
            }
            _ => {}
        }
    }
}

/// What a call answers, and the statements it sent, those that begin and end transactions included. Installs the
/// program's subscriber.
///
/// # Panics
/// If the program has another subscriber.
#[expect(clippy::expect_used, reason = "a test that cannot record must fail with the reason")]
pub async fn recorded<T>(call: impl Future<Output = T>) -> (T, Vec<String>) {
    static INSTALLED: OnceLock<tracing::Dispatch> = OnceLock::new();
    let dispatch = INSTALLED.get_or_init(|| {
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(Recorder));
        tracing::dispatcher::set_global_default(dispatch.clone()).expect("the only subscriber of this program");
        dispatch
    });
    let span = tracing::info_span!(parent: None, RECORDED);
    let answer = call.instrument(span.clone()).await;
    let id = span.id().expect("an enabled span");
    let recording = dispatch
        .downcast_ref::<Layered<Recorder, Registry>>()
        .and_then(|registry| LookupSpan::span(registry, &id))
        .and_then(|span| span.extensions().get::<Recording>().cloned())
        .expect("the recording");
    let statements = std::mem::take(&mut *recording.0.lock().unwrap_or_else(PoisonError::into_inner));
    (answer, statements)
}
