//! OAuth 2.0 over HTTP for SCIM clients: the token, revocation and authorization endpoints (RFC 6749, 7009) and what they
//! are (RFC 8414). Errors have the form of RFC 6749 and not that of SCIM.
//!
//! Not here: what clients, codes and tokens are good for (token-service), and who may use SCIM with a token (`auth`).

mod answer;
mod authorize;
mod credential;
mod form;
mod jwks;
mod jwt;
mod page;
mod token;

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header::CONTENT_TYPE;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::answer::Refused;
pub(crate) use self::{
    authorize::{authorize, decide},
    jwks::KeySets,
    token::{revoke, token},
};
use crate::{
    gateway::Gateway,
    limits::{self, Lane, Place},
};

/// In the order in which token-service keeps them, and what they mean to a person.
const SCOPES: [(&str, &str); 4] = [
    ("users:read", "See users"),
    ("users:write", "Create, change and delete users"),
    ("groups:read", "See groups and their members"),
    ("groups:write", "Create, change and delete groups, and their members"),
];

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The time for one call to a service.
const CALL: Duration = Duration::from_secs(10);

/// Of one client, where its tokens live for an hour.
pub(crate) const REQUESTS_PER_SECOND: u32 = 10;

/// Takes one request from the budget of whoever `who` is, and a place for it. Nobody can spend the budget of a client whose
/// credential he does not have.
async fn admit(gateway: &Gateway, who: &[u8]) -> Result<Place, Refused> {
    let who = URL_SAFE_NO_PAD.encode(Sha256::digest(who)).into();
    gateway.oauth_limiter.admit(&who, None, Lane::Main).await.map_err(|refused| match refused {
        limits::Refused::Spent(seconds) => Refused::too_often(seconds),
        limits::Refused::Crowded => Refused::too_often(1),
    })
}

/// Authorization server metadata, RFC 8414.
pub(crate) async fn metadata(State(gateway): State<Gateway>) -> Response {
    let at = |path: &str| format!("{}{path}", gateway.public_url);
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let document = json!({
        "issuer": gateway.public_url,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "revocation_endpoint": at("/oauth/revoke"),
        "scopes_supported": SCOPES.map(|(name, _)| name),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", JWT_BEARER],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": jwt::ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": jwt::ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    ([(CONTENT_TYPE, crate::negotiate::JSON)], document.to_string()).into_response()
}
