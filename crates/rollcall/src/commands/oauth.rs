//! `rollcall oauth`.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Reason, Transport,
    identity::Organization,
    token::{
        CreateOAuthApprovalRequest, CreateOAuthClientRequest, ListOAuthClientsRequest, ListOAuthGrantsRequest,
        OAuthClient, OAuthGrant, OAuthGrantType, OAuthTrust, RetireOAuthSecretRequest, RevokeOAuthClientRequest,
        RevokeOAuthGrantRequest, RotateOAuthSecretRequest, o_auth_service_client::OAuthServiceClient,
    },
};

use super::{caller, instant, organization, refused, renewal, token::later};
use crate::{
    cli::{GrantType, NewOAuthClient, OAuthClientCommand, OAuthCommand, OAuthGrantCommand, Scope},
    connect::Connection,
    output,
    settings::Settings,
};

type Client = OAuthServiceClient<Transport>;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: OAuthCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: OAuthCommand) -> anyhow::Result<(Value, String)> {
    let (OAuthCommand::Client(
        OAuthClientCommand::Create { org, .. }
        | OAuthClientCommand::List { org }
        | OAuthClientCommand::Show { org, .. }
        | OAuthClientCommand::Revoke { org, .. }
        | OAuthClientCommand::RotateSecret { org, .. }
        | OAuthClientCommand::RetireSecret { org, .. },
    )
    | OAuthCommand::Approve { org, .. }
    | OAuthCommand::Grant(OAuthGrantCommand::List { org } | OAuthGrantCommand::Revoke { org, .. })) = &command;
    let settings = connection.settings;
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(settings, &mut organizations, org).await?;
    let mut client = connection.oauth().await?;
    match command {
        OAuthCommand::Client(OAuthClientCommand::Create { new, .. }) => {
            create(connection, &mut client, &organization, *new).await
        }
        OAuthCommand::Client(command) => of_clients(connection, &mut client, &organization, command).await,
        OAuthCommand::Approve { client: id, .. } => approve(settings, &mut client, &organization, id).await,
        OAuthCommand::Grant(OAuthGrantCommand::List { .. }) => {
            let request = ListOAuthGrantsRequest { organization_id: organization.id };
            let listed = client.list_o_auth_grants(request).await.map_err(|status| refused(&status))?.into_inner();
            let json = json!({ "grants": listed.grants.iter().map(grant_json).collect::<Vec<_>>() });
            if listed.grants.is_empty() {
                return Ok((
                    json,
                    "Nothing was granted yet. The identity provider begins at the authorize URL.".to_owned(),
                ));
            }
            Ok((json, grant_table(&listed.grants)))
        }
        OAuthCommand::Grant(OAuthGrantCommand::Revoke { id, .. }) => {
            let (organization_id, slug) = (organization.id, organization.slug);
            let request = RevokeOAuthGrantRequest { organization_id, caller: caller()?, id: id.to_string() };
            let revoked = client.revoke_o_auth_grant(request).await;
            let revoked = revoked.map_err(|status| about(settings, &slug, "grant", id, &status))?.into_inner();
            let text = format!("Grant {id} is revoked. Within a second its tokens are refused everywhere.");
            Ok((grant_json(&revoked.grant.unwrap_or_default()), text))
        }
    }
}

async fn create(
    connection: &Connection<'_>,
    client: &mut Client,
    organization: &Organization,
    new: NewOAuthClient,
) -> anyhow::Result<(Value, String)> {
    let urls = Urls::of(connection);
    let grant_types: Vec<i32> = new.grant.iter().map(|grant| grant_type(*grant).into()).collect();
    let request = CreateOAuthClientRequest {
        organization_id: organization.id.clone(),
        caller: caller()?,
        trust: trust(&new)?,
        name: new.name,
        grant_types,
        redirect_uris: new.redirect_uri,
        scopes: new.scope.into_iter().map(Scope::as_str).map(str::to_owned).collect(),
        allowed_cidrs: new.allow_cidr.iter().map(ToString::to_string).collect(),
        oauth_entitled: organization.oauth_entitled,
    };
    let settings = connection.settings;
    let created = client.create_o_auth_client(request).await;
    let created = created.map_err(|status| by_plan(settings, &organization.slug, &status))?.into_inner();
    let made = created.client.unwrap_or_default();
    let mut text = pasted(&made, &created.secret, &urls);
    if has(&made, OAuthGrantType::AuthorizationCode) {
        let approve = settings.command(&format!("oauth approve {} {}", organization.slug, made.id));
        let _ = write!(
            text,
            "\nWhen you press Authenticate in the identity provider, it opens a page that asks for an approval code. Make \
             one:\n{approve}\n"
        );
    }
    if !organization.scim_enabled {
        let enable = settings.command(&format!("scim enable {}", organization.slug));
        let _ = write!(text, "\nSCIM is disabled for {}: {enable}", organization.slug);
    }
    Ok((with_secret(client_json(&made), &created.secret, &urls), text))
}

fn trust(new: &NewOAuthClient) -> anyhow::Result<Option<OAuthTrust>> {
    let Some(issuer) = &new.issuer else { return Ok(None) };
    let jwks_json = match &new.jwks_file {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("--jwks-file {} cannot be read; give a file with a JWK Set", file.display()))?,
        None => String::new(),
    };
    Ok(Some(OAuthTrust {
        issuer: issuer.clone(),
        subject: new.subject.clone().unwrap_or_default(),
        // None given: the gateway's token URL, wherever that will be. A guess made here would be kept for good.
        audience: new.audience.clone().unwrap_or_default(),
        jwks_json,
        jwks_uri: new.jwks_uri.clone().unwrap_or_default(),
    }))
}

async fn of_clients(
    connection: &Connection<'_>,
    client: &mut Client,
    organization: &Organization,
    command: OAuthClientCommand,
) -> anyhow::Result<(Value, String)> {
    let settings = connection.settings;
    let (organization_id, slug) = (organization.id.clone(), organization.slug.as_str());
    let failed = |status: Status, id: uuid::Uuid| about(settings, slug, "client", id, &status);
    match command {
        OAuthClientCommand::List { .. } | OAuthClientCommand::Create { .. } => {
            let request = ListOAuthClientsRequest { organization_id };
            let listed = client.list_o_auth_clients(request).await.map_err(|status| refused(&status))?.into_inner();
            let json = json!({ "clients": listed.clients.iter().map(client_json).collect::<Vec<_>>() });
            if listed.clients.is_empty() {
                let create = settings.command(&format!("oauth client create {slug} --name TEXT --grant TYPE"));
                return Ok((json, format!("There is no OAuth client yet. Create one: {create}")));
            }
            let show = settings.command(&format!("oauth client show {slug} CLIENT"));
            let text = format!("{}\nRedirect URIs, networks and issuer of one: {show}", client_table(&listed.clients));
            Ok((json, text))
        }
        OAuthClientCommand::Show { client: id, .. } => {
            let request = ListOAuthClientsRequest { organization_id };
            let listed = client.list_o_auth_clients(request).await.map_err(|status| refused(&status))?.into_inner();
            let found = listed.clients.into_iter().find(|client| client.id == id.to_string());
            let found = found.with_context(|| nothing(settings, slug, "client", id))?;
            let urls = Urls::of(connection);
            Ok((with_urls(client_json(&found), &urls), shown(&found, &urls)))
        }
        OAuthClientCommand::Revoke { client: id, .. } => {
            let request = RevokeOAuthClientRequest { organization_id, caller: caller()?, id: id.to_string() };
            let revoked = client.revoke_o_auth_client(request).await.map_err(|status| failed(status, id))?.into_inner();
            let text = format!("Client {id} is revoked. Within a second its tokens are refused everywhere.");
            Ok((client_json(&revoked.client.unwrap_or_default()), text))
        }
        OAuthClientCommand::RotateSecret { client: id, retire_after, deadline, .. } => {
            let deadline = match retire_after {
                Some(after) => Some(later(after)?),
                None => deadline,
            };
            let request = RotateOAuthSecretRequest {
                organization_id,
                caller: caller()?,
                id: id.to_string(),
                deadline: deadline.map(|at| wire::to_timestamp(at.as_microsecond())),
            };
            let rotated = client.rotate_o_auth_secret(request).await.map_err(|status| failed(status, id))?.into_inner();
            let (made, urls) = (rotated.client.unwrap_or_default(), Urls::of(connection));
            let until = instant(made.old_secret_expires_at.as_ref())
                .map_or_else(|| "until you retire it".to_owned(), |at| format!("until {at}, or until you retire it"));
            let retire = settings.command(&format!("oauth client retire-secret {slug} {id}"));
            let text = format!(
                "{}\nThe old secret stays valid {until}. Once the identity provider has fetched a token with the new \
                 one:\n{retire}",
                pasted(&made, &rotated.secret, &urls)
            );
            Ok((with_secret(client_json(&made), &rotated.secret, &urls), text))
        }
        OAuthClientCommand::RetireSecret { client: id, force, .. } => {
            let request = RetireOAuthSecretRequest { organization_id, caller: caller()?, id: id.to_string(), force };
            let retired = client.retire_o_auth_secret(request).await.map_err(|status| failed(status, id))?.into_inner();
            let text = format!("The old secret of client {id} is retired. Its tokens live on, for an hour at most.");
            Ok((client_json(&retired.client.unwrap_or_default()), text))
        }
    }
}

async fn approve(
    settings: &Settings,
    client: &mut Client,
    organization: &Organization,
    id: uuid::Uuid,
) -> anyhow::Result<(Value, String)> {
    let request = CreateOAuthApprovalRequest {
        organization_id: organization.id.clone(),
        caller: caller()?,
        client_id: id.to_string(),
        oauth_entitled: organization.oauth_entitled,
    };
    let slug = &organization.slug;
    let made = client.create_o_auth_approval(request).await;
    let made = made.map_err(|status| about(settings, slug, "client", id, &status))?.into_inner();
    let of = made.client.unwrap_or_default();
    let expires_at = instant(made.expires_at.as_ref());
    let json = json!({
        "client_id": of.id,
        "name": of.name,
        "organization": organization.slug,
        "scopes": of.scopes,
        "redirect_uris": of.redirect_uris,
        "approval_code": made.code,
        "expires_at": expires_at,
    });
    let clean = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let mut text = format!("Approval code  {}\nExpires        {}\n\n", made.code, expires_at.unwrap_or_default());
    let _ = write!(
        text,
        "Whoever types it into the consent page allows this client, once:\n\nClient         {}\nOrganization   {}\nIt may         \
         {}\nReturns to     {}",
        clean(&of.name),
        clean(&organization.name),
        of.scopes.join(" "),
        of.redirect_uris.join("\n               "),
    );
    Ok((json, text))
}

/// Of the gateway; none where it is not known here.
struct Urls {
    scim: Option<String>,
    authorize: Option<String>,
    token: Option<String>,
}

impl Urls {
    fn of(connection: &Connection<'_>) -> Self {
        let public_url = connection.public_url();
        let at = |path: &str| public_url.as_ref().map(|url| format!("{url}{path}"));
        Self { scim: connection.scim_url(), authorize: at("/oauth/authorize"), token: at("/oauth/token") }
    }
}

/// What an identity provider has to know.
fn lines(client: &OAuthClient, secret: &str, urls: &Urls) -> String {
    let url = |url: &Option<String>, path: &str| {
        url.clone()
            .unwrap_or_else(|| format!("(the gateway's --public-url, then {path}; with --public-url shown here)"))
    };
    let (scim, authorize) = (url(&urls.scim, "/scim/v2"), url(&urls.authorize, "/oauth/authorize"));
    let token = url(&urls.token, "/oauth/token");
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:22}{value}");
    };
    line("SCIM URL", &scim);
    if has(client, OAuthGrantType::AuthorizationCode) {
        line("Authorize URL", &authorize);
    }
    line("Token URL", &token);
    line("Client id", &client.id);
    if !secret.is_empty() {
        line("Client secret", secret);
    }
    line("Scopes", &client.scopes.join(" "));
    if !client.allowed_cidrs.is_empty() {
        line("From", &client.allowed_cidrs.join(" "));
    }
    if let Some(trust) = &client.trust {
        line("Issuer", &trust.issuer);
        line("Subject", &trust.subject);
        line("Audience", if trust.audience.is_empty() { "the Token URL" } else { &trust.audience });
    }
    text
}

/// All of a client that is no secret.
fn shown(client: &OAuthClient, urls: &Urls) -> String {
    let clean = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let mut text = lines(client, "", urls);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:22}{value}");
    };
    for uri in &client.redirect_uris {
        line("Redirect URI", uri);
    }
    if let Some(trust) = &client.trust {
        line("Keys", if trust.jwks_uri.is_empty() { "given as a file" } else { &trust.jwks_uri });
    }
    line("Name", &clean(&client.name));
    line("Grant types", &grant_names(client).join(" "));
    let created = instant(client.created_at.as_ref()).unwrap_or_default();
    line("Created", &format!("{created} by {}", clean(&client.created_by)));
    line("Last token", instant(client.last_issued_at.as_ref()).as_deref().unwrap_or("never"));
    line("State", client_state_text(client));
    text
}

/// What goes where, in the words of the identity providers' pages.
fn pasted(client: &OAuthClient, secret: &str, urls: &Urls) -> String {
    let mut text = lines(client, secret, urls);
    if has(client, OAuthGrantType::AuthorizationCode) {
        text.push_str(
            "\nOkta: Provisioning > Integration > Authentication mode OAuth 2. SCIM URL is its \"SCIM connector base URL\", \
             Authorize URL its \"Authorization endpoint URI\", Token URL its \"Access token endpoint URI\".\n",
        );
    }
    if has(client, OAuthGrantType::ClientCredentials) && client.has_secret {
        text.push_str(
            "\nEntra ID: Provisioning > Admin credentials, authentication method OAuth2 client credentials grant. SCIM URL is \
             its \"Tenant URL\", Token URL its \"Token endpoint\", Client id and secret its \"Client identifier\" and \
             \"Client secret\".\n",
        );
    }
    if client.trust.is_some() {
        text.push_str(
            "\nEntra ID with a workload identity: Provisioning > Admin credentials. SCIM URL is its \"Tenant URL\", Token URL its \
             \"Token endpoint\", Client id its \"Client identifier\"; there is no secret. Where it does not send the client id, \
             use the Token URL with ?client_id= and the id behind it.\n",
        );
    }
    if !secret.is_empty() {
        text.push_str("\nThe secret is shown this once and is not stored. Keep it like a password.\n");
    }
    text
}

fn grant_type(grant: GrantType) -> OAuthGrantType {
    match grant {
        GrantType::AuthorizationCode => OAuthGrantType::AuthorizationCode,
        GrantType::ClientCredentials => OAuthGrantType::ClientCredentials,
        GrantType::JwtBearer => OAuthGrantType::JwtBearer,
    }
}

fn has(client: &OAuthClient, wanted: OAuthGrantType) -> bool {
    client.grant_types().any(|grant_type| grant_type == wanted)
}

fn grant_names(client: &OAuthClient) -> Vec<&'static str> {
    let name = |grant_type| match grant_type {
        OAuthGrantType::AuthorizationCode => "authorization_code",
        OAuthGrantType::ClientCredentials => "client_credentials",
        OAuthGrantType::JwtBearer => "jwt-bearer",
        OAuthGrantType::Unspecified => "unknown",
    };
    client.grant_types().map(name).collect()
}

fn by_plan(settings: &Settings, slug: &str, status: &Status) -> anyhow::Error {
    match wire::refusal(status).reason {
        Reason::PlanLapsed => anyhow::anyhow!(
            "the plan of {slug} does not include OAuth now. A SCIM token (rollcall token create) needs no OAuth. {}",
            renewal(settings, slug, None)
        ),
        _ => refused(status),
    }
}

fn about(settings: &Settings, slug: &str, what: &str, id: uuid::Uuid, status: &Status) -> anyhow::Error {
    match wire::refusal(status).reason {
        Reason::OAuthNotFound => {
            anyhow::anyhow!(nothing(settings, slug, what, id))
        }
        _ => by_plan(settings, slug, status),
    }
}

fn nothing(settings: &Settings, slug: &str, what: &str, id: uuid::Uuid) -> String {
    let list = settings.command(&format!("oauth {what} list {slug}"));
    format!("{slug} has no OAuth {what} {id}; `{list}` shows all")
}

fn with_secret(mut client: Value, secret: &str, urls: &Urls) -> Value {
    client["client_secret"] = Some(secret).filter(|secret| !secret.is_empty()).into();
    with_urls(client, urls)
}

fn with_urls(mut client: Value, urls: &Urls) -> Value {
    client["scim_url"] = urls.scim.clone().into();
    client["authorize_url"] = urls.authorize.clone().into();
    client["token_url"] = urls.token.clone().into();
    client
}

fn client_json(client: &OAuthClient) -> Value {
    let trust = client.trust.as_ref().map(|trust| {
        let given = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
        json!({
            "issuer": trust.issuer,
            "subject": trust.subject,
            // Null: the token URL.
            "audience": given(&trust.audience),
            "jwks_uri": given(&trust.jwks_uri),
        })
    });
    json!({
        "client_id": client.id,
        "name": client.name,
        "grant_types": grant_names(client),
        "redirect_uris": client.redirect_uris,
        "scopes": client.scopes,
        "allowed_cidrs": client.allowed_cidrs,
        "trust": trust,
        "created_at": instant(client.created_at.as_ref()),
        "created_by": client.created_by,
        "revoked_at": instant(client.revoked_at.as_ref()),
        "last_issued_at": instant(client.last_issued_at.as_ref()),
        "secret_used": client.secret_used,
        "old_secret_valid": client.old_secret_valid,
        "old_secret_expires_at": instant(client.old_secret_expires_at.as_ref()),
        "state": client_state(client),
    })
}

fn client_state(client: &OAuthClient) -> &'static str {
    match (client.revoked_at.is_some(), client.old_secret_valid) {
        (true, _) => "revoked",
        (false, false) => "active",
        (false, true) => "rotated",
    }
}

/// What there is to do, too.
fn client_state_text(client: &OAuthClient) -> &'static str {
    match client_state(client) {
        "rotated" if client.secret_used => "rotated, new secret in use: retire the old one",
        "rotated" => "rotated, new secret not used yet",
        state => state,
    }
}

fn client_table(clients: &[OAuthClient]) -> String {
    let rows: Vec<Vec<String>> = clients
        .iter()
        .map(|client| {
            vec![
                client.id.clone(),
                client.name.clone(),
                grant_names(client).join(" "),
                if client.scopes.len() == 4 { "all".to_owned() } else { client.scopes.join(" ") },
                instant(client.created_at.as_ref()).unwrap_or_default(),
                instant(client.last_issued_at.as_ref()).unwrap_or_else(|| "never".to_owned()),
                client_state_text(client).to_owned(),
            ]
        })
        .collect();
    output::table(&["CLIENT ID", "NAME", "GRANT TYPES", "SCOPES", "CREATED", "LAST TOKEN", "STATE"], &rows)
}

fn grant_json(grant: &OAuthGrant) -> Value {
    let given = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
    json!({
        "id": grant.id,
        "client_id": grant.client_id,
        "scopes": grant.scopes,
        "created_at": instant(grant.created_at.as_ref()),
        "approved_by": grant.approved_by,
        "last_issued_at": instant(grant.last_issued_at.as_ref()),
        "last_used_at": instant(grant.last_used_at.as_ref()),
        "last_used_address": given(&grant.last_used_address),
        "last_used_user_agent": given(&grant.last_used_user_agent),
        "revoked_at": instant(grant.revoked_at.as_ref()),
        "revoked_for": given(&grant.revoked_for),
        "state": if grant.revoked_at.is_some() { "ended" } else { "active" },
    })
}

fn grant_table(grants: &[OAuthGrant]) -> String {
    let state = |grant: &OAuthGrant| match grant.revoked_for.as_str() {
        "" => "active".to_owned(),
        "refresh_reused" => "ended: a refresh token was used again, so somebody else may have it".to_owned(),
        "code_reused" => "ended: its code was used again, so somebody else may have it".to_owned(),
        "client_revoked" => "ended with its client".to_owned(),
        _ => "ended: revoked".to_owned(),
    };
    let rows: Vec<Vec<String>> = grants
        .iter()
        .map(|grant| {
            let last_used = instant(grant.last_used_at.as_ref()).map(|at| match grant.last_used_address.as_str() {
                "" => at,
                address => format!("{at} from {address}"),
            });
            vec![
                grant.id.clone(),
                grant.client_id.clone(),
                instant(grant.created_at.as_ref()).unwrap_or_default(),
                grant.approved_by.clone(),
                last_used.unwrap_or_else(|| "never".to_owned()),
                state(grant),
            ]
        })
        .collect();
    output::table(&["ID", "CLIENT ID", "CREATED", "APPROVED BY", "LAST USED", "STATE"], &rows)
}
