//! What Okta's SCIM client sends: its headers, its paths and its bodies, for both kinds of app.
//!
//! The wizard app (App Integration Wizard) writes whole objects with PUT. The catalogue app (OIN) writes PATCH.
//! Not here: what a server must answer.

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::{Client, form_encode};

/// The core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise extension.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The PATCH envelope.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The error body.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The list envelope.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// A client with the headers of `Okta SCIM Client 1.0.0`. In "HTTP Header" mode Okta puts `Bearer` before the token.
///
/// # Errors
/// If the token cannot stand in a header.
pub fn client(base: &str, token: &str) -> Result<Client> {
    Client::new(base)
        .with_header("user-agent", "Okta SCIM Client 1.0.0")?
        .with_header("accept", "application/scim+json")?
        .with_header("accept-charset", "utf-8")?
        .with_header("accept-encoding", "gzip,deflate")?
        .with_header("connection", "close")?
        .with_header("content-type", "application/scim+json; charset=utf-8")?
        .with_token(token)
}

/// The one request behind "Test Connector Configuration".
pub const PROBE: &str = "/Users?startIndex=1&count=2";

/// The look-up before any create.
pub fn find_user(user_name: &str) -> String {
    format!("/Users?filter={}&startIndex=1&count=100", form_encode(&format!("userName eq \"{user_name}\"")))
}

/// The look-up before a group is pushed.
pub fn find_group(display_name: &str) -> String {
    format!("/Groups?filter={}&startIndex=1&count=100", form_encode(&format!("displayName eq \"{display_name}\"")))
}

/// One page of an import.
pub fn page(endpoint: &str, start_index: u64) -> String {
    format!("/{endpoint}?startIndex={start_index}&count=100")
}

/// A person as the directory has them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Also the e-mail address.
    pub user_name: String,
    /// `name.givenName`.
    pub given_name: String,
    /// `name.familyName`.
    pub family_name: String,
    /// Okta's id of the user.
    pub external_id: String,
}

impl Person {
    /// `kit.moor@DOMAIN` for Kit Moor.
    pub fn new(given_name: &str, family_name: &str, domain: &str) -> Self {
        let user_name = format!("{given_name}.{family_name}@{domain}").to_lowercase();
        Self {
            external_id: format!("00u{:0>17}", user_name.len() * 7919 + given_name.len()),
            user_name,
            given_name: given_name.to_owned(),
            family_name: family_name.to_owned(),
        }
    }

    /// The POST body: a random password and an empty `groups` are always there.
    pub fn create(&self) -> Value {
        json!({
            "schemas": [USER],
            "userName": self.user_name,
            "name": {"givenName": self.given_name, "familyName": self.family_name},
            "emails": [{"primary": true, "value": self.user_name, "type": "work"}],
            "displayName": format!("{} {}", self.given_name, self.family_name),
            "locale": "en-US",
            "externalId": self.external_id,
            "groups": [],
            "password": "Wf4-nothing-keeps-this",
            "active": true,
        })
    }

    /// The POST body of an app whose mapping has enterprise attributes.
    pub fn create_with_enterprise(&self, department: &str) -> Value {
        let mut body = self.create();
        body["schemas"] = json!([USER, ENTERPRISE]);
        body[ENTERPRISE] = json!({"department": department, "employeeNumber": "701984"});
        body
    }

    /// The wizard app's PUT: what the last GET returned, with the mapped values over it. Its `id`, `meta` and `groups` are
    /// the server's own, and stale.
    pub fn overlay(&self, found: &Value) -> Value {
        let mut body = found.clone();
        body["userName"] = json!(self.user_name);
        body["name"]["givenName"] = json!(self.given_name);
        body["name"]["familyName"] = json!(self.family_name);
        body["emails"] = json!([{"primary": true, "value": self.user_name, "type": "work"}]);
        body["displayName"] = json!(format!("{} {}", self.given_name, self.family_name));
        body["password"] = json!("Wf4-nothing-keeps-this");
        body
    }
}

/// A PATCH envelope.
pub fn patch(operations: Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

/// The catalogue app's deactivation and reactivation: no path.
pub fn set_active(active: bool) -> Value {
    patch(json!([{"op": "replace", "value": {"active": active}}]))
}

/// The name operation that goes along with every membership change: no path, and with the readOnly id.
pub fn name_operation(id: &str, display_name: &str) -> Value {
    json!({"op": "replace", "value": {"id": id, "displayName": display_name}})
}

/// The body that creates a group. No externalId is ever sent.
pub fn create_group(display_name: &str, members: &[&Value]) -> Value {
    json!({"schemas": [GROUP], "displayName": display_name, "members": members})
}

/// A member as Okta writes it: `display` is an e-mail address, and there is no `type`.
pub fn member(id: &str, display: &str) -> Value {
    json!({"value": id, "display": display})
}
