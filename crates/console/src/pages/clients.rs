//! OAuth clients and their grants: list, create, approve, rotate, retire, revoke.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use wire::token::{
    CreateOAuthApprovalRequest, CreateOAuthClientRequest, ListOAuthClientsRequest, ListOAuthGrantsRequest, OAuthClient,
    OAuthGrant, OAuthGrantType, OAuthTrust, RetireOAuthSecretRequest, RevokeOAuthClientRequest,
    RevokeOAuthGrantRequest, RotateOAuthSecretRequest,
};

use super::{
    Confirm, Line, Secret, made_before, said, scim_shell, see, status,
    tokens::{ScopeBox, chosen_scopes, deadline, may, scope_boxes},
    who::administrator,
};
use crate::{
    form::Form,
    page::{self, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

const BACK: (&str, &str) = ("scim/clients", "OAuth clients");

/// How a client gets its tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) means: &'static str,
    /// What to call one.
    pub(super) naming: &'static str,
    wire: OAuthGrantType,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "authorization_code",
        title: "Authorization code",
        means: "An administrator approves once in the browser, then it refreshes its tokens. Okta.",
        naming: "Such as \"Okta\". Whoever approves it sees this name.",
        wire: OAuthGrantType::AuthorizationCode,
    },
    Kind {
        name: "client_credentials",
        title: "Client credentials",
        means: "It shows its id and secret. Entra ID, PingOne, scripts of your own.",
        naming: "Such as \"Entra ID\" or \"nightly script\". The log and histories call it so.",
        wire: OAuthGrantType::ClientCredentials,
    },
    Kind {
        name: "jwt_bearer",
        title: "Signed assertions",
        means: "It has no secret here and signs with its own key. Entra ID's workload identities.",
        naming: "Such as \"Entra ID workload\". The log and histories call it so.",
        wire: OAuthGrantType::JwtBearer,
    },
];

struct ClientRow {
    id: String,
    name: String,
    state: &'static str,
    tone: &'static str,
    valid: bool,
    kinds: String,
    approvable: bool,
    /// It gets tokens without an approval.
    by_itself: bool,
    redirect_uris: Vec<String>,
    scopes: String,
    cidrs: String,
    issuer: String,
    has_secret: bool,
    old_secret: bool,
    secret_used: bool,
    last_issued: Option<When>,
    created: Option<When>,
    created_by: String,
}

impl ClientRow {
    fn new(client: OAuthClient, now: Timestamp) -> Self {
        let kinds = client.grant_types().filter_map(|kind| KINDS.into_iter().find(|known| known.wire == kind));
        let kinds: Vec<_> = kinds.collect();
        let valid = client.revoked_at.is_none();
        let (state, tone) = match (valid, client.old_secret_valid) {
            (false, _) => ("revoked", "plain"),
            (true, true) => ("two secrets", "warn"),
            (true, false) => ("valid", "good"),
        };
        Self {
            by_itself: kinds.iter().any(|kind| kind.wire != OAuthGrantType::AuthorizationCode),
            approvable: valid && kinds.iter().any(|kind| kind.wire == OAuthGrantType::AuthorizationCode),
            kinds: kinds.iter().map(|kind| kind.title).collect::<Vec<_>>().join(", "),
            state,
            tone,
            valid,
            last_issued: When::of(client.last_issued_at.as_ref(), now),
            created: When::of(client.created_at.as_ref(), now),
            id: client.id,
            name: client.name,
            redirect_uris: client.redirect_uris,
            scopes: may(&client.scopes),
            cidrs: client.allowed_cidrs.join(", "),
            issuer: client.trust.map(|trust| trust.issuer).unwrap_or_default(),
            has_secret: client.has_secret,
            old_secret: client.old_secret_valid,
            secret_used: client.secret_used,
            created_by: administrator(client.created_by),
        }
    }
}

struct GrantRow {
    id: String,
    client: String,
    valid: bool,
    state: String,
    approved_by: String,
    created: Option<When>,
    used: Option<When>,
    address: String,
}

impl GrantRow {
    fn new(grant: OAuthGrant, clients: &[ClientRow], now: Timestamp) -> Self {
        let valid = grant.revoked_at.is_none();
        let state = match &*grant.revoked_for {
            _ if valid => "in force".to_owned(),
            "revoked" => "ended by an administrator".to_owned(),
            "client_revoked" => "ended with its client".to_owned(),
            "refresh_reused" => "ended: a refresh token was used twice, so somebody else may have it".to_owned(),
            "code_reused" => "ended: its code was used twice".to_owned(),
            other => format!("ended: {other}"),
        };
        let client = clients.iter().find(|client| client.id == grant.client_id);
        Self {
            client: client.map(|client| client.name.clone()).unwrap_or_default(),
            valid,
            state,
            created: When::of(grant.created_at.as_ref(), now),
            used: When::of(grant.last_used_at.as_ref(), now),
            id: grant.id,
            approved_by: administrator(grant.approved_by),
            address: grant.last_used_address,
        }
    }
}

async fn clients(signed_in: &SignedIn) -> Result<Vec<ClientRow>> {
    let request = ListOAuthClientsRequest { organization_id: signed_in.organization_id() };
    let mut client = signed_in.visit.console.clients.oauth.clone();
    let listed = client.list_o_auth_clients(signed_in.call(request)).await?.into_inner();
    let now = signed_in.visit.console.now();
    Ok(listed.clients.into_iter().map(|client| ClientRow::new(client, now)).collect())
}

/// How many clients could get a token now: who signs or shows a secret needs no approval.
pub(super) async fn in_force(signed_in: &SignedIn) -> Result<usize> {
    let request = ListOAuthGrantsRequest { organization_id: signed_in.organization_id() };
    let mut oauth = signed_in.visit.console.clients.oauth.clone();
    let (clients, grants) = futures::join!(clients(signed_in), oauth.list_o_auth_grants(signed_in.call(request)));
    let by_themselves = clients?.iter().filter(|client| client.valid && client.by_itself).count();
    let approved = grants?.into_inner().grants.iter().filter(|grant| grant.revoked_at.is_none()).count();
    Ok(by_themselves + approved)
}

async fn one(signed_in: &SignedIn, id: &str) -> Result<ClientRow> {
    clients(signed_in).await?.into_iter().find(|client| client.id == id).ok_or_else(Problem::not_found)
}

#[derive(Template)]
#[template(path = "clients.html")]
struct Clients {
    shell: Shell,
    clients: Vec<ClientRow>,
    grants: Vec<GrantRow>,
    may_change: bool,
    entitled: bool,
    kinds: [Kind; 3],
}

/// `GET scim/clients`
pub(crate) async fn list(signed_in: SignedIn) -> Result<Response> {
    let mut clients = clients(&signed_in).await?;
    clients.sort_by_key(|client| !client.valid);
    let request = ListOAuthGrantsRequest { organization_id: signed_in.organization_id() };
    let mut oauth = signed_in.visit.console.clients.oauth.clone();
    let grants = oauth.list_o_auth_grants(signed_in.call(request)).await?.into_inner().grants;
    let now = signed_in.visit.console.now();
    let page = Clients {
        shell: scim_shell(&signed_in, "OAuth clients"),
        grants: grants.into_iter().map(|grant| GrantRow::new(grant, &clients, now)).collect(),
        clients,
        may_change: signed_in.role >= Role::Admin,
        entitled: signed_in.organization.oauth_entitled,
        kinds: KINDS,
    };
    page::html(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    kind: String,
}

#[derive(Template)]
#[template(path = "client_new.html")]
struct New {
    shell: Shell,
    error: Option<String>,
    kind: Kind,
    token_url: String,
    name: String,
    redirect_uris: String,
    scopes: Vec<ScopeBox>,
    cidrs: String,
    issuer: String,
    subject: String,
    audience: String,
    jwks_uri: String,
    jwks: String,
}

fn token_url(signed_in: &SignedIn) -> String {
    format!("{}/oauth/token", signed_in.visit.console.site.public_url)
}

fn new_page(signed_in: &SignedIn, kind: Kind, form: Option<&Form>, error: Option<String>) -> Result<Response> {
    let given = |name: &str| form.map(|form| form.get(name).to_owned()).unwrap_or_default();
    let page = New {
        shell: scim_shell(signed_in, format!("Create an OAuth client: {}", kind.title.to_lowercase())),
        kind,
        token_url: token_url(signed_in),
        name: given("name"),
        redirect_uris: given("redirect_uris"),
        scopes: scope_boxes(form.map(|form| form.all("scope")).as_deref()),
        cidrs: given("cidrs"),
        issuer: given("issuer"),
        subject: given("subject"),
        audience: given("audience"),
        jwks_uri: given("jwks_uri"),
        jwks: given("jwks"),
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

fn kind(name: &str) -> Result<Kind> {
    KINDS.into_iter().find(|kind| kind.name == name).ok_or_else(Problem::not_found)
}

/// `GET scim/clients/new`
pub(crate) async fn new(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    new_page(&signed_in, kind(&asked.kind)?, None, None)
}

/// `POST scim/clients`
pub(crate) async fn create(signed_in: SignedIn, form: Form) -> Result<Response> {
    let kind = kind(form.get("kind"))?;
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let scopes = match chosen_scopes(&form) {
        Ok(scopes) => scopes,
        Err(wrong) => return new_page(&signed_in, kind, Some(&form), Some(wrong)),
    };
    let trust = (kind.wire == OAuthGrantType::JwtBearer).then(|| OAuthTrust {
        issuer: form.get("issuer").to_owned(),
        subject: form.get("subject").to_owned(),
        audience: form.get("audience").to_owned(),
        jwks_json: form.get("jwks").to_owned(),
        jwks_uri: form.get("jwks_uri").to_owned(),
    });
    let request = CreateOAuthClientRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        name: form.get("name").to_owned(),
        grant_types: vec![kind.wire.into()],
        redirect_uris: form.lines("redirect_uris"),
        scopes,
        allowed_cidrs: form.lines("cidrs"),
        trust,
        oauth_entitled: signed_in.organization.oauth_entitled,
    };
    let mut client = signed_in.visit.console.clients.oauth.clone();
    let created = match client.create_o_auth_client(signed_in.call(request)).await {
        Ok(created) => created.into_inner(),
        Err(status) => return new_page(&signed_in, kind, Some(&form), Some(said(status.into())?)),
    };
    if created.secret.is_empty() {
        return see(&signed_in, BACK.0, "client-made");
    }
    let id = created.client.map(|client| client.id).unwrap_or_default();
    let mut steps = vec!["Enter the client id, the secret and the URLs at the identity provider.".to_owned()];
    if kind.wire == OAuthGrantType::AuthorizationCode {
        steps.push(
            "When it opens the page that asks for an approval code: come back to the OAuth clients, press Approve, and type the code \
             in."
            .to_owned(),
        );
    }
    steps.push("Test the connection there.".to_owned());
    secret(&signed_in, "Your new OAuth client", &id, kind.wire, created.secret, steps).answer(&signed_in, &form)
}

fn secret(
    signed_in: &SignedIn,
    title: &str,
    id: &str,
    kind: OAuthGrantType,
    secret: String,
    steps: Vec<String>,
) -> Secret {
    let public_url = &signed_in.visit.console.site.public_url;
    let mut beside = vec![
        Line { id: "client-id", label: "Client id", value: id.to_owned() },
        Line { id: "token-url", label: "Token URL", value: token_url(signed_in) },
        Line { id: "scim-url", label: "SCIM URL", value: signed_in.visit.console.site.scim_url() },
    ];
    if kind == OAuthGrantType::AuthorizationCode {
        beside.push(Line {
            id: "authorize-url",
            label: "Authorize URL",
            value: format!("{public_url}/oauth/authorize"),
        });
    }
    Secret { shell: scim_shell(signed_in, title), back: BACK, what: "Client secret", secret, beside, steps }
}

/// `POST scim/clients/{id}/approve`
pub(crate) async fn approve(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let request = CreateOAuthApprovalRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        client_id: id,
        oauth_entitled: signed_in.organization.oauth_entitled,
    };
    let mut client = signed_in.visit.console.clients.oauth.clone();
    let approval = client.create_o_auth_approval(signed_in.call(request)).await?.into_inner();
    let name = approval.client.map(|client| client.name).unwrap_or_default();
    let secret = Secret {
        shell: scim_shell(&signed_in, "Approval code"),
        back: BACK,
        what: "Approval code",
        secret: approval.code,
        beside: Vec::new(),
        steps: vec![
            format!(
                "Type it into the page that asks whether {name} may have access. It is good once, for ten minutes."
            ),
            "Check there that the page is this server's and that it goes back to the identity provider you know."
                .to_owned(),
        ],
    };
    secret.answer(&signed_in, &form)
}

#[derive(Template)]
#[template(path = "client_rotate.html")]
struct Rotate {
    shell: Shell,
    error: Option<String>,
    client: ClientRow,
}

async fn rotate_page(signed_in: &SignedIn, id: &str, error: Option<String>) -> Result<Response> {
    let client = one(signed_in, id).await?;
    let page = Rotate { shell: scim_shell(signed_in, "Rotate a client secret"), client, error };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET scim/clients/{id}/rotate`
pub(crate) async fn rotating(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    rotate_page(&signed_in, &id, None).await
}

/// `POST scim/clients/{id}/rotate`
pub(crate) async fn rotate(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let request = RotateOAuthSecretRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        deadline: deadline(&signed_in, &form),
    };
    let mut client = signed_in.visit.console.clients.oauth.clone();
    match client.rotate_o_auth_secret(signed_in.call(request)).await {
        Ok(rotated) => {
            let rotated = rotated.into_inner();
            let kind = rotated.client.as_ref().and_then(|client| client.grant_types().next()).unwrap_or_default();
            let steps = vec![
                "Paste the new secret into your identity provider, in place of the old one.".to_owned(),
                "Test the connection there. The old secret is valid meanwhile.".to_owned(),
                "Come back to the OAuth clients and retire the old secret.".to_owned(),
            ];
            secret(&signed_in, "The new client secret", &id, kind, rotated.secret, steps).answer(&signed_in, &form)
        }
        Err(status) => rotate_page(&signed_in, &id, Some(said(status.into())?)).await,
    }
}

async fn retire_page(signed_in: &SignedIn, id: &str, error: Option<String>) -> Result<Response> {
    let client = one(signed_in, id).await?;
    let page = Confirm {
        shell: scim_shell(signed_in, "Retire the old client secret"),
        back: BACK,
        action: format!("scim/clients/{id}/retire"),
        subject: format!("Client: {}", client.name),
        consequence: "Whoever still shows the secret before the last is refused. Access tokens that were given for it stay.",
        button: "Retire secret",
        force: (!client.secret_used).then_some("Retire it although the new secret has not been used yet"),
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET scim/clients/{id}/retire`
pub(crate) async fn retiring(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    retire_page(&signed_in, &id, None).await
}

/// `POST scim/clients/{id}/retire`
pub(crate) async fn retire(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    let request = RetireOAuthSecretRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        force: form.get("force") == "true",
    };
    let mut client = signed_in.visit.console.clients.oauth.clone();
    match client.retire_o_auth_secret(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "secret-retired"),
        Err(status) => retire_page(&signed_in, &id, Some(said(status.into())?)).await,
    }
}

/// `GET scim/clients/{id}/revoke`
pub(crate) async fn revoking(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let client = one(&signed_in, &id).await?;
    let page = Confirm {
        shell: scim_shell(&signed_in, "Revoke an OAuth client"),
        back: BACK,
        action: format!("scim/clients/{id}/revoke"),
        subject: format!("Client: {}", client.name),
        consequence: "Its grants and tokens end with it, within a second. This cannot be taken back.",
        button: "Revoke client",
        force: None,
        error: None,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST scim/clients/{id}/revoke`
pub(crate) async fn revoke(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request =
        RevokeOAuthClientRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id };
    signed_in.visit.console.clients.oauth.clone().revoke_o_auth_client(signed_in.call(request)).await?;
    see(&signed_in, BACK.0, "client-revoked")
}

/// `GET scim/grants/{id}/end`
pub(crate) async fn ending(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request = ListOAuthGrantsRequest { organization_id: signed_in.organization_id() };
    let grants = signed_in.visit.console.clients.oauth.clone().list_o_auth_grants(signed_in.call(request)).await?;
    if !grants.into_inner().grants.iter().any(|grant| grant.id == id) {
        return Err(Problem::not_found());
    }
    let page = Confirm {
        shell: scim_shell(&signed_in, "End an OAuth grant"),
        back: BACK,
        action: format!("scim/grants/{id}/end"),
        subject: format!("Grant: {id}"),
        consequence: "Its tokens end with it, within a second. The client has to be connected and approved anew.",
        button: "End grant",
        force: None,
        error: None,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST scim/grants/{id}/end`
pub(crate) async fn end(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request =
        RevokeOAuthGrantRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id };
    signed_in.visit.console.clients.oauth.clone().revoke_o_auth_grant(signed_in.call(request)).await?;
    see(&signed_in, BACK.0, "grant-ended")
}
