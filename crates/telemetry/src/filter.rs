//! Which events and spans go where.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{ParseError, Targets};

/// Crates that the export itself runs on: exporting what they say about the export would feed it for ever
/// (opentelemetry-rust #2877). Nobody promises what their details hold, and they see every header.
const TRANSPORT: &[&str] = &["h2", "hyper", "hyper_util", "tonic", "tower", "reqwest", "tracing_opentelemetry"];

fn is_transport(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    root.starts_with("opentelemetry") || TRANSPORT.contains(&root)
}

/// For every OpenTelemetry layer, whatever the log filter says.
pub(crate) fn exportable(metadata: &Metadata<'_>) -> bool {
    !is_transport(metadata.target())
}

/// For traces: spans only; events are exported as log records, which carry the trace id.
pub(crate) fn exportable_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::DEBUG && exportable(metadata)
}

/// For the console: the transport's warnings are worth reading, its details never.
pub(crate) fn printable(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !is_transport(metadata.target())
}

/// Spans are kept even where the log filter hides info, so that a lone warning still shows its request id.
pub(crate) fn context_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && exportable(metadata)
}

/// The operator's filter, such as `info` or `info,scim_gateway=debug`.
pub(crate) fn parse(text: &str) -> Result<Targets, ParseError> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::is_transport;

    #[test]
    fn transport_crates_are_told_from_ours() {
        for target in
            ["h2", "h2::codec", "hyper_util::client", "opentelemetry-otlp", "opentelemetry_sdk", "tower::buffer"]
        {
            assert!(is_transport(target), "{target}");
        }
        for target in ["telemetry", "rollcall::serve", "scim_gateway", "tower_http::trace", "h2o", "store::query"] {
            assert!(!is_transport(target), "{target}");
        }
    }
}
