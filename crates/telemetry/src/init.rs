//! Start and end of telemetry in a process.

use std::io::IsTerminal as _;

use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource, logs::SdkLoggerProvider, metrics::SdkMeterProvider, propagation::TraceContextPropagator,
    trace::SdkTracerProvider,
};
use tracing_subscriber::{
    Layer as _, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::filter;

/// Where telemetry goes.
#[derive(Clone, Debug)]
pub struct Config {
    /// `service.name` of the resource, such as `rollcall` or `rollcall-gateway`.
    pub service_name: String,
    /// `http://host:4317`: an OTLP collector over gRPC. `None`: `OTEL_EXPORTER_OTLP_ENDPOINT` if set, else no export.
    /// Empty: no export at all.
    pub otlp_endpoint: Option<String>,
    /// For the console and for exported logs, such as `info` or `info,scim_gateway=debug`. Traces do not depend on it.
    pub log_filter: String,
    /// One JSON object a line on standard error, instead of text.
    pub json_logs: bool,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter does not parse.
    #[error(
        "the log filter {filter:?} is not understood ({reason}); use a level or a list such as info,scim_gateway=debug"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What the parser said.
        reason: tracing_subscriber::filter::ParseError,
    },
    /// The endpoint can't be an OTLP collector.
    #[error("the OTLP endpoint {0:?} is not usable; give http://HOST:PORT of a collector's gRPC port, usually 4317")]
    Endpoint(String),
    /// The exporter could not be made.
    #[error("OTLP export could not start: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Something else in this process has already installed a subscriber.
    #[error("telemetry was already started in this process")]
    AlreadyStarted,
}

struct Providers {
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    logger: SdkLoggerProvider,
}

/// Ends telemetry. Dropping it ends nothing, and what was not exported yet is lost.
#[must_use = "call shutdown at the end, or the last spans are lost"]
pub struct Guard(Option<Providers>);

impl Guard {
    /// Exports what is left and stops. Blocks for up to some seconds: call it in `spawn_blocking`.
    pub fn shutdown(self) {
        let Some(providers) = self.0 else { return };
        // The logger last, so that what the others complain about still leaves.
        let results = [providers.tracer.shutdown(), providers.meter.shutdown(), providers.logger.shutdown()];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "the last telemetry was not delivered");
        }
    }
}

/// Starts logging to standard error and, with an endpoint, the export of traces, metrics and logs. Must be called
/// inside a tokio runtime when an endpoint is given; the collector is connected to in the background, so that it may
/// come up later or never.
pub fn init(config: &Config) -> Result<Guard, Error> {
    let bad_filter = |reason| Error::Filter { filter: config.log_filter.clone(), reason };
    let console_filter = filter_fn(filter::context_span)
        .or(filter::parse(&config.log_filter).map_err(bad_filter)?.and(filter_fn(filter::printable)));
    let console = fmt::layer().with_writer(std::io::stderr);
    let console = if config.json_logs {
        console.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed()
    } else {
        console.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    let subscriber = Registry::default().with(console.with_filter(console_filter));

    let from_environment = || std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok();
    let endpoint = config.otlp_endpoint.clone().or_else(from_environment).filter(|e| !e.trim().is_empty());
    let Some(endpoint) = endpoint else {
        subscriber.try_init().map_err(|_| Error::AlreadyStarted)?;
        return Ok(Guard(None));
    };

    let providers = providers(config, &endpoint)?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(providers.tracer.tracer("rollcall"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(filter::exportable_span));
    let logs_filter = filter::parse(&config.log_filter).map_err(bad_filter)?.and(filter_fn(filter::exportable));
    let logs = OpenTelemetryTracingBridge::new(&providers.logger).with_filter(logs_filter);
    subscriber.with(traces).with(logs).try_init().map_err(|_| Error::AlreadyStarted)?;

    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(providers.tracer.clone());
    global::set_meter_provider(providers.meter.clone());
    Ok(Guard(Some(providers)))
}

fn providers(config: &Config, endpoint: &str) -> Result<Providers, Error> {
    let usable =
        endpoint.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    if !usable {
        return Err(Error::Endpoint(endpoint.to_owned()));
    }
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let logs = LogExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(Providers {
        tracer: SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans).build(),
        meter: SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(metrics).build(),
        logger: SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(logs).build(),
    })
}
