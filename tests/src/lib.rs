//! Black-box suites: real processes, spoken to over HTTP and gRPC as identity providers and internal services do.
//!
//! Not here: any crate of the product but `wire`, which is the published gRPC contract, and `account-keys`, by which members and those who
//! attack them open what is sealed.

pub mod account;
pub mod adversary;
pub mod canary;
pub mod conformance;
pub mod console;
pub mod contract;
pub mod entra;
pub mod forms;
pub mod internal;
pub mod oauth;
pub mod okta;
pub mod rpc;
pub mod services;
pub mod transcript;
