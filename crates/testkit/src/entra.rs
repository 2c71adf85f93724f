//! What Microsoft Entra ID sends by default (dialect A): capital operations, booleans as text, removal by value.
//!
//! Not here: what a server must answer.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{client::Client, okta};

/// A client with Entra's headers: the user agent is empty.
///
/// # Errors
/// If the token cannot stand in a header.
pub fn client(base: &str, token: &str) -> Result<Client> {
    Client::new(base)
        .with_header("user-agent", "")?
        .with_header("accept", "application/scim+json")?
        .with_header("adscimversion", "1.0")?
        .with_header("content-type", "application/scim+json; charset=utf-8")?
        .with_token(token)
}

/// A user as Entra creates it.
pub fn create_user(user_name: &str, external_id: &str) -> Value {
    json!({
        "schemas": [okta::USER, okta::ENTERPRISE],
        "externalId": external_id,
        "userName": user_name,
        "active": true,
        "emails": [{"primary": true, "type": "work", "value": user_name}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Ana Moor", "familyName": "Moor", "givenName": "Ana"},
        "roles": [],
    })
}

/// A group as Entra creates it: with a URN of its own, without members.
pub fn create_group(display_name: &str, external_id: &str) -> Value {
    json!({
        "schemas": [okta::GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": external_id,
        "displayName": display_name,
        "meta": {"resourceType": "Group"},
    })
}

/// One operation with its capital letter.
pub fn operation(op: &str, path: &str, value: Value) -> Value {
    json!({"op": op, "path": path, "value": value})
}
