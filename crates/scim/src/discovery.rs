//! `/ServiceProviderConfig`, `/Schemas`, `/ResourceTypes`: RFC 7643 sections 5 to 7, RFC 7644 section 4.

use serde_json::Value;

use crate::schema::{ResourceType, Schema};

/// What this server can do; the document is derived from it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Capabilities {
    pub patch: bool,
    pub bulk: bool,
    pub filter: bool,
    pub change_password: bool,
    pub sort: bool,
    pub etag: bool,
    pub cursor: bool,
}

/// The ServiceProviderConfig document.
pub fn service_provider_config(_capabilities: &Capabilities, _base_url: &str) -> Value {
    todo!()
}
/// One schema as a resource.
pub fn schema(_schema: &Schema, _base_url: &str) -> Value {
    todo!()
}
/// One resource type as a resource.
pub fn resource_type(_rt: &ResourceType, _base_url: &str) -> Value {
    todo!()
}
