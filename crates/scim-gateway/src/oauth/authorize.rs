//! The authorization endpoint, RFC 6749 section 3.1: a page that says who wants what, and where an administrator's approval
//! code says yes.
//!
//! Until the client and its redirect URI are known to belong together nothing is redirected: what is wrong stands on the
//! page.

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{Method, StatusCode, request::Parts};
use sha2::{Digest as _, Sha256};
use wire::{
    Reason,
    identity::{GetOrganizationRequest, Organization, get_organization_request::Key},
    token::{ApproveOAuthAuthorizationRequest, GetOAuthClientRequest, OAuthClient, OAuthGrantType},
};

use super::{
    CALL, SCOPES, admit,
    answer::{Code, Refused, ascii},
    form::Form,
    page,
    token::{address, request_id},
};
use crate::gateway::Gateway;

/// What travels back and forth unread.
const LONGEST_STATE: usize = 4096;

/// Shows what is asked for.
pub(crate) async fn authorize(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    answer(&gateway, &parts, body).await
}

/// The same by POST, and the answer of whoever read the page.
pub(crate) async fn decide(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    answer(&gateway, &parts, body).await
}

/// A request whose client and redirect URI belong together.
struct Asked {
    client: OAuthClient,
    organization: Organization,
    redirect_uri: String,
    state: Option<String>,
    /// Of the client's; all of them where none were asked for.
    scopes: Vec<String>,
    code_challenge: Option<String>,
}

async fn answer(gateway: &Gateway, parts: &Parts, body: Body) -> Response {
    let form = match form(parts, body).await {
        Ok(form) => form,
        Err(refused) => return page::refused(&refused),
    };
    let (client, organization, redirect_uri) = match known(gateway, parts, &form).await {
        Ok(known) => known,
        Err(refused) => return page::refused(&refused),
    };
    let state = form.get("state").map(str::to_owned);
    let asked = match read(&form, client, organization, &redirect_uri) {
        Ok(asked) => asked,
        Err(refused) => return back(gateway, parts, &redirect_uri, state.as_deref(), &error(&refused)),
    };
    match form.get("decision").filter(|_| parts.method == Method::POST) {
        Some("deny") => {
            let denied = Refused::new(Code::AccessDenied, "The request was denied on the consent page.");
            back(gateway, parts, &redirect_uri, state.as_deref(), &error(&denied))
        }
        Some(_) => approve(gateway, parts, &form, asked).await,
        None => show(gateway, &asked, &form, None, StatusCode::OK),
    }
}

async fn form(parts: &Parts, body: Body) -> Result<Form, Refused> {
    if parts.method == Method::POST {
        return Form::read(&parts.headers, body).await;
    }
    Form::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

async fn known(gateway: &Gateway, parts: &Parts, form: &Form) -> Result<(OAuthClient, Organization, String), Refused> {
    let unknown = || Refused::request("There is no OAuth client with this client_id, or it was revoked.");
    let client_id = form.require("client_id")?.to_owned();
    let redirect_uri = form.require("redirect_uri")?.to_owned();
    let request_id = request_id(parts)?;
    // Who knows the client's id is no more than somebody at an address.
    let who = format!("{client_id}\0{:?}", address(parts));
    let _place = admit(gateway, who.as_bytes()).await?;
    let digest: [u8; 32] = Sha256::digest(format!("oauth client\0{client_id}")).into();
    let look_up = async {
        let request = Gateway::call(GetOAuthClientRequest { client_id }, &request_id, CALL);
        gateway.clients.oauth.clone().get_o_auth_client(request).await
    };
    let nobody = |status: &tonic::Status| wire::refusal(status).reason == Reason::ClientInvalid;
    let client = gateway.verifier.guarded(digest, address(parts), look_up, nobody).await;
    let client = client.map_err(|guarded| match guarded {
        crate::auth::Guarded::Unknown => unknown(),
        crate::auth::Guarded::Crowded => Refused::crowded(),
        crate::auth::Guarded::Failed(status) => Refused::of(&status, unknown),
    })?;
    let client = client.into_inner();
    if !client.redirect_uris.contains(&redirect_uri) {
        let received: String = redirect_uri.chars().take(500).collect();
        return Err(Refused::request(format!(
            "The redirect_uri {received} is none of those that the client was made with; it must be the same, character by \
             character. An administrator of this server sees them with: rollcall oauth client show ORG {}. If this one is \
             the identity provider's, make a client with --redirect-uri {received}",
            client.id
        )));
    }
    let request = GetOrganizationRequest { key: Some(Key::Id(client.organization_id.clone())) };
    let mut organizations = gateway.clients.organizations.clone();
    let organization = organizations.get_organization(Gateway::call(request, &request_id, CALL)).await;
    let organization = organization.map_err(|status| Refused::of(&status, unknown))?.into_inner();
    Ok((client, organization, redirect_uri))
}

/// What can be told to the client, since it is one.
fn read(form: &Form, client: OAuthClient, organization: Organization, redirect_uri: &str) -> Result<Asked, Refused> {
    if form.require("response_type")? != "code" {
        return Err(Refused::new(Code::UnsupportedResponseType, "The only response_type is code."));
    }
    if !client.grant_types().any(|grant_type| grant_type == OAuthGrantType::AuthorizationCode) {
        return Err(Refused::new(Code::UnauthorizedClient, "The client was not made for authorization codes."));
    }
    let state = form.get("state").map(str::to_owned);
    if state.as_ref().is_some_and(|state| state.len() > LONGEST_STATE) {
        return Err(Refused::request("state has more than 4096 bytes. Send a shorter one."));
    }
    let code_challenge = form.get("code_challenge").map(str::to_owned);
    match (&code_challenge, form.get("code_challenge_method")) {
        (None, None) => {}
        (Some(challenge), Some("S256")) if is_digest(challenge) => {}
        _ => {
            return Err(Refused::request(
                "code_challenge must be the base64url of a SHA-256, with code_challenge_method S256 (RFC 7636).",
            ));
        }
    }
    let wanted = Form::scopes(form.get("scope"));
    if let Some(missing) = wanted.iter().find(|scope| !client.scopes.contains(scope)) {
        let (missing, scopes) = (missing.chars().take(60).collect::<String>(), client.scopes.join(" "));
        let text =
            format!("The scope {missing} cannot be had here. Ask for some of: {scopes}; or for none, to get all.");
        return Err(Refused::new(Code::InvalidScope, text));
    }
    let all = client.scopes.iter().filter(|scope| wanted.is_empty() || wanted.contains(scope));
    let scopes = all.cloned().collect();
    Ok(Asked { client, organization, redirect_uri: redirect_uri.to_owned(), state, scopes, code_challenge })
}

fn is_digest(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

async fn approve(gateway: &Gateway, parts: &Parts, form: &Form, asked: Asked) -> Response {
    let code = typed(form.get("approval_code").unwrap_or_default());
    if code.is_empty() {
        let missing = "Enter the approval code, or deny the request.";
        return show(gateway, &asked, form, Some(missing), StatusCode::BAD_REQUEST);
    }
    let request_id = match request_id(parts) {
        Ok(id) => id,
        Err(refused) => return page::refused(&refused),
    };
    let approval: [u8; 32] = Sha256::digest(&code).into();
    let digest = Sha256::digest([b"oauth approval\0", asked.client.id.as_bytes(), &approval].concat()).into();
    let ask = async {
        let request = ApproveOAuthAuthorizationRequest {
            client_id: asked.client.id.clone(),
            request_id: request_id.clone(),
            approval_sha256: approval.to_vec().into(),
            redirect_uri: asked.redirect_uri.clone(),
            scopes: asked.scopes.clone(),
            code_challenge: asked.code_challenge.clone(),
            oauth_entitled: asked.organization.oauth_entitled,
        };
        let mut client = gateway.clients.oauth.clone();
        client.approve_o_auth_authorization(Gateway::call(request, &request_id, CALL)).await
    };
    let wrong = |status: &tonic::Status| wire::refusal(status).reason == Reason::ApprovalInvalid;
    let invalid = "This approval code is not valid: it is wrong, was used, is older than ten minutes, or is for another \
                   client. Make a new one with the command below.";
    match gateway.verifier.guarded(digest, address(parts), ask, wrong).await {
        Ok(approved) => {
            let code = approved.into_inner().code;
            back(gateway, parts, &asked.redirect_uri, asked.state.as_deref(), &[("code", code)])
        }
        Err(crate::auth::Guarded::Unknown) => show(gateway, &asked, form, Some(invalid), StatusCode::BAD_REQUEST),
        Err(crate::auth::Guarded::Crowded) => page::refused(&Refused::crowded()),
        Err(crate::auth::Guarded::Failed(status)) => match wire::refusal(&status).reason {
            Reason::ApprovalInvalid => show(gateway, &asked, form, Some(invalid), StatusCode::BAD_REQUEST),
            Reason::PlanLapsed => page::refused(&not_in_plan(&asked.organization)),
            _ => page::refused(&Refused::of(&status, Refused::client)),
        },
    }
}

/// As its letters are hashed: capitals, and what is easily mistaken as what it is.
fn typed(text: &str) -> String {
    let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64);
    letters
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
}

/// Before anybody fetches an approval code that cannot be used.
fn not_in_plan(organization: &Organization) -> Refused {
    let (name, slug) = (&organization.name, &organization.slug);
    Refused::new(
        Code::AccessDenied,
        format!(
            "The plan of {name} does not include OAuth now, so nothing can be approved. An administrator of this server can \
             change it (rollcall org plan {slug} --plan enterprise); then connect again. An approval code stays good until \
             it expires."
        ),
    )
}

fn show(gateway: &Gateway, asked: &Asked, form: &Form, problem: Option<&str>, status: StatusCode) -> Response {
    if !asked.organization.oauth_entitled {
        return page::refused(&not_in_plan(&asked.organization));
    }
    let again =
        ["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"];
    let hidden: Vec<(&str, &str)> = again.iter().filter_map(|name| Some((*name, form.get(name)?))).collect();
    let created = asked.client.created_at.as_ref().map(wire::from_timestamp);
    let created = created.and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    let created = created.map(|at| at.to_string()).unwrap_or_default();
    let may = |scope: &String| SCOPES.iter().find(|(name, _)| name == scope).map(|(_, text)| *text);
    let consent = page::Consent {
        organization: &asked.organization.name,
        slug: &asked.organization.slug,
        client: &asked.client.name,
        client_id: &asked.client.id,
        created: created.get(..10).unwrap_or_default(),
        public_url: &gateway.public_url,
        redirect_uri: &asked.redirect_uri,
        purpose: &purpose(&asked.scopes),
        may: asked.scopes.iter().filter_map(may).collect(),
        hidden,
        problem,
    };
    page::consent(&consent, status)
}

/// The scopes in a few words.
fn purpose(scopes: &[String]) -> String {
    let verb = |of: &str| {
        let mut actions = scopes.iter().filter_map(|scope| scope.strip_prefix(of)).peekable();
        actions.peek()?;
        Some(if actions.any(|action| action == "write") { "manage" } else { "see" })
    };
    match (verb("users:"), verb("groups:")) {
        (Some(users), Some(groups)) if users == groups => format!("{users} the users and groups"),
        (Some(users), Some(groups)) => format!("{users} the users and {groups} the groups"),
        (Some(users), None) => format!("{users} the users"),
        (None, groups) => format!("{} the groups", groups.unwrap_or("see")),
    }
}

fn error(refused: &Refused) -> [(&'static str, String); 2] {
    [("error", refused.code.as_str().to_owned()), ("error_description", ascii(&refused.description))]
}

/// To the client, with its state and with who answers (RFC 9207).
fn back(
    gateway: &Gateway,
    parts: &Parts,
    redirect_uri: &str,
    state: Option<&str>,
    parameters: &[(&str, String)],
) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &gateway.public_url);
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    let location = format!("{redirect_uri}{joint}{}", query.finish());
    if parts.method == Method::POST {
        return page::onward(&location);
    }
    let redirect = page::redirect(&location);
    redirect.unwrap_or_else(|| page::refused(&Refused::new(Code::ServerError, crate::error::INTERNAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_code_is_read_as_it_was_meant() {
        assert_eq!(typed(" abcd-efgh 1OIl-\u{a0}zz"), "ABCDEFGH1011ZZ");
        assert_eq!(typed("- -"), "");
    }

    #[test]
    fn the_headline_claims_no_more_than_the_scopes() {
        for (scopes, expected) in [
            ("users:read", "see the users"),
            ("users:read groups:read", "see the users and groups"),
            ("groups:read groups:write", "manage the groups"),
            ("users:write groups:read", "manage the users and see the groups"),
        ] {
            assert_eq!(purpose(&scopes.split(' ').map(str::to_owned).collect::<Vec<_>>()), expected);
        }
    }
}
