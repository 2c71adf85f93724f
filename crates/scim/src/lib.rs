//! SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) as values and pure functions.
//!
//! Not here: IO, async, clocks, randomness, SQL and gRPC. Ids and instants come in as arguments.

pub mod attr;
pub mod bulk;
pub mod deactivation;
pub mod dialect;
pub mod discovery;
pub mod error;
pub mod etag;
pub mod filter;
pub mod fold;
pub mod group;
pub mod json;
pub mod list;
mod numbers;
pub mod patch;
pub mod project;
pub mod render;
pub mod resource;
pub mod schema;
pub mod search;
pub mod user_name;

pub use error::{Error, ErrorKind};
pub use fold::fold;
pub use schema::ResourceType;

/// A JSON object that keeps the order of its members.
pub type Object = serde_json::Map<String, serde_json::Value>;
