//! Requirements of the RFCs over HTTP, one test for each requirement or a few of one kind. docs/conformance.md names
//! them. What clients really send, races and limits are tested in `tests/scim`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod bulk;
mod cursor;
mod discovery;
mod examples;
#[path = "../scim/harness.rs"]
#[expect(dead_code, reason = "the other suite uses the rest")]
mod harness;
mod modify;
mod protocol;
mod query;
mod schema;
mod search;
mod security;

use scim::schema::{ENTERPRISE_USER, USER};
use serde_json::{Value, json};

use crate::harness::{Server, text};

/// A user with something of everything.
fn kit() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE_USER],
        "userName": "Kit@Example.com",
        "externalId": "Ext-1",
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "displayName": "Kit Moor",
        "title": "Keeper",
        "active": true,
        "emails": [
            {"value": "kit@example.com", "type": "work", "primary": true},
            {"value": "kit@home.example", "type": "home"},
        ],
        "phoneNumbers": [{"value": "+1 555 0100", "type": "work"}],
        "x509Certificates": [{"value": "TWFu"}],
        ENTERPRISE_USER: {"department": "Pier"},
    })
}

/// A server with that user, and the user's path.
async fn with_kit() -> (Server, String) {
    let server = Server::start().await;
    let id = text(&server.post("/Users", &kit()).await.is(201).json()["id"]);
    (server, format!("/Users/{id}"))
}

/// The user names of a list, in its order.
#[track_caller]
fn names(list: &Value) -> Vec<String> {
    list["Resources"].as_array().into_iter().flatten().map(|user| text(&user["userName"])).collect()
}

/// A query value as form data.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
