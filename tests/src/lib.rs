//! Black-box suites: real processes, spoken to over HTTP and gRPC as identity providers and internal services do.
//!
//! Not here: any crate of the product but `wire`, which is the published gRPC contract.

pub mod conformance;
pub mod contract;
pub mod entra;
pub mod forms;
pub mod internal;
pub mod okta;
pub mod transcript;
