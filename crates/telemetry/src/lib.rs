//! Traces, metrics and logs: one [`init()`], W3C propagation in both directions, and the names everybody uses.
//!
//! Not here: what is worth a span. The gateway, the services and the store open their own; this crate only sees that
//! they join one trace and leave the process. DB spans are opened in `store`.

mod filter;
mod grpc;
mod init;
mod metrics;
pub mod names;
mod propagation;
mod redact;

pub use grpc::{GrpcServerLayer, GrpcServerService, Unrouted};
pub use init::{Config, Error, Guard, init};
pub use metrics::{record_http, record_rpc};
pub use propagation::{inject, request_id, set_parent};
pub use redact::Redacted;
