//! The token endpoint (RFC 6749 section 3.2) and the revocation endpoint (RFC 7009).

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, PRAGMA},
    request::Parts,
};
use serde_json::json;
use wire::token::{
    IssueOAuthTokenRequest, OAuthCode, OAuthGrantType, RevokeOAuthTokenRequest, issue_o_auth_token_request::Grant,
};

use super::{
    CALL, JWT_BEARER,
    answer::{Code, Refused},
    credential::{Credential, sha256},
    form::Form,
};
use crate::{
    client_address::ClientAddress,
    gateway::{Gateway, RequestId},
    negotiate::JSON,
};

pub(crate) async fn token(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    issue(&gateway, &parts, body).await.unwrap_or_else(Refused::into_response)
}

pub(crate) async fn revoke(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    give_back(&gateway, &parts, body).await.unwrap_or_else(Refused::into_response)
}

async fn issue(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let (form, query) = read(parts, body).await?;
    let own = |grant_type: OAuthGrantType| Grant::Own(grant_type.into());
    let by_assertion = form.get("grant_type") == Some(JWT_BEARER);
    let grant = match form.require("grant_type")? {
        "authorization_code" => Grant::Code(OAuthCode {
            code_sha256: sha256(form.require("code")?).to_vec().into(),
            redirect_uri: form.require("redirect_uri")?.to_owned(),
            code_challenge: form.get("code_verifier").map(challenge).transpose()?,
        }),
        "refresh_token" => Grant::RefreshSha256(sha256(form.require("refresh_token")?).to_vec().into()),
        "client_credentials" => own(OAuthGrantType::ClientCredentials),
        JWT_BEARER => own(OAuthGrantType::JwtBearer),
        _ => {
            return Err(Refused::new(
                Code::UnsupportedGrantType,
                format!(
                    "There is no such grant type. There are authorization_code, refresh_token, client_credentials and \
                     {JWT_BEARER}."
                ),
            ));
        }
    };
    let credential = if by_assertion {
        if form.get("client_secret").is_some() || form.get("client_assertion").is_some() {
            return Err(Refused::request("The assertion is the client's credential. Leave the other one out."));
        }
        Credential::assertion(form.require("assertion")?, &form, &query)?
    } else {
        Credential::read(&parts.headers, &form, &query)?
    };
    let wrong = if by_assertion { Refused::assertion } else { Refused::client };
    // Okta's administrators write scopes into the URL.
    let scopes = Form::scopes(form.get("scope").or(query.get("scope")));
    let request_id = request_id(parts)?;
    let (digest, place) = (credential.digest(), !credential.is_assertion());
    let ask = async {
        let (credential, _place) = credential.prove(gateway, address(parts), &request_id, wrong).await?;
        let credential = Some(credential);
        let request = IssueOAuthTokenRequest { credential, request_id: request_id.clone(), scopes, grant: Some(grant) };
        let mut client = gateway.clients.oauth.clone();
        let issued = client.issue_o_auth_token(Gateway::call(request, &request_id, CALL)).await;
        issued.map_err(|status| Refused::of(&status, wrong))
    };
    let refused = |refused: &Refused| *refused == wrong();
    let issued = gateway.verifier.guarded_in(digest, address(parts), place, ask, refused).await;
    let issued = issued.map_err(|guarded| Refused::guarded(guarded, wrong))?.into_inner();
    let mut document = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scopes.join(" "),
    });
    if !issued.refresh_token.is_empty() {
        document["refresh_token"] = issued.refresh_token.into();
    }
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(JSON)), (PRAGMA, HeaderValue::from_static("no-cache"))];
    Ok((headers, document.to_string()).into_response())
}

async fn give_back(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let (form, query) = read(parts, body).await?;
    let token_sha256 = sha256(form.require("token")?).to_vec().into();
    let credential = Credential::read(&parts.headers, &form, &query)?;
    let request_id = request_id(parts)?;
    let (digest, place) = (credential.digest(), !credential.is_assertion());
    let ask = async {
        let (credential, _place) = credential.prove(gateway, address(parts), &request_id, Refused::client).await?;
        let credential = Some(credential);
        let request = RevokeOAuthTokenRequest { credential, request_id: request_id.clone(), token_sha256 };
        let mut client = gateway.clients.oauth.clone();
        let done = client.revoke_o_auth_token(Gateway::call(request, &request_id, CALL)).await;
        done.map_err(|status| Refused::of(&status, Refused::client))
    };
    let refused = |refused: &Refused| *refused == Refused::client();
    let done = gateway.verifier.guarded_in(digest, address(parts), place, ask, refused).await;
    done.map_err(|guarded| Refused::guarded(guarded, Refused::client))?;
    Ok(StatusCode::OK.into_response())
}

async fn read(parts: &Parts, body: Body) -> Result<(Form, Form), Refused> {
    let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
    Ok((Form::read(&parts.headers, body).await?, query))
}

/// RFC 7636 sections 4.1 and 4.6.
fn challenge(verifier: &str) -> Result<String, Refused> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(Refused::request("code_verifier must be 43 to 128 of A-Z, a-z, 0-9, -, ., _ and ~ (RFC 7636)."));
    }
    Ok(URL_SAFE_NO_PAD.encode(sha256(verifier)))
}

pub(super) fn request_id(parts: &Parts) -> Result<String, Refused> {
    // Absent only outside of `edge`.
    let id = parts.extensions.get::<RequestId>().map(|id| id.0.to_string());
    id.ok_or_else(|| Refused::new(Code::ServerError, crate::error::INTERNAL))
}

pub(super) fn address(parts: &Parts) -> Option<std::net::IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|address| address.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_gives_the_challenge_of_the_rfc() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier).expect("challenge"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        for wrong in ["short", &"x".repeat(129), &"é".repeat(43)] {
            assert!(challenge(wrong).is_err(), "{wrong}");
        }
    }
}
