//! `rollcall token`.

use anyhow::Context as _;
use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Reason, Transport,
    token::{
        CreateScimTokenRequest, GetTokenPolicyRequest, ListScimTokensRequest, RetireScimTokenRequest,
        RevokeScimTokenRequest, RotateScimTokenRequest, ScimToken, SetTokenPolicyRequest, TokenPolicy,
        token_service_client::TokenServiceClient,
    },
};

use super::{URL_UNKNOWN, caller, instant, now, organization, refused, renewal};
use crate::{
    cli::{Scope, TokenCommand},
    connect::Connection,
    output,
    settings::Settings,
};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: TokenCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: TokenCommand) -> anyhow::Result<(Value, String)> {
    let (TokenCommand::Create { org, .. }
    | TokenCommand::List { org }
    | TokenCommand::Revoke { org, .. }
    | TokenCommand::Rotate { org, .. }
    | TokenCommand::Retire { org, .. }
    | TokenCommand::Policy { org, .. }) = &command;
    let settings = connection.settings;
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(settings, &mut organizations, org).await?;
    let (organization_id, slug) = (organization.id, organization.slug);
    let mut client = connection.tokens().await?;
    let by_id = |status: &Status, id: uuid::Uuid| about(settings, &slug, id, status);
    match command {
        TokenCommand::Create { description, ttl_days, scope, allow_cidr, .. } => {
            let request = CreateScimTokenRequest {
                organization_id,
                caller: caller()?,
                description,
                ttl_days,
                scopes: scope.into_iter().map(Scope::as_str).map(str::to_owned).collect(),
                allowed_cidrs: allow_cidr.iter().map(ToString::to_string).collect(),
            };
            let created = client.create_scim_token(request).await.map_err(|status| refused(&status))?.into_inner();
            let (json, mut text) = made(connection, created.token.unwrap_or_default(), &created.secret);
            if !organization.scim_entitled {
                let renewal = renewal(settings, &slug, organization.max_users);
                text.push_str(&format!("\nThe plan of {slug} does not include SCIM now. {renewal}"));
            }
            if !organization.scim_enabled {
                let enable = settings.command(&format!("scim enable {slug}"));
                text.push_str(&format!("\nSCIM is disabled for {slug}: {enable}"));
            }
            Ok((json, text))
        }
        TokenCommand::List { .. } => {
            let request = ListScimTokensRequest { organization_id };
            let listed = client.list_scim_tokens(request).await.map_err(|status| refused(&status))?.into_inner();
            let now = now();
            let json =
                json!({ "tokens": listed.tokens.iter().map(|token| token_json(token, now)).collect::<Vec<_>>() });
            if listed.tokens.is_empty() {
                let create = settings.command(&format!("token create {slug} --description TEXT"));
                return Ok((json, format!("There is no token yet. Create one: {create}")));
            }
            Ok((json, token_table(&listed.tokens, now)))
        }
        TokenCommand::Revoke { id, .. } => {
            let request = RevokeScimTokenRequest { organization_id, caller: caller()?, id: id.to_string() };
            let revoked = client.revoke_scim_token(request).await.map_err(|status| by_id(&status, id))?.into_inner();
            let json = token_json(&revoked.token.unwrap_or_default(), now());
            Ok((json, format!("Token {id} is revoked. Within a second it is refused everywhere.")))
        }
        TokenCommand::Rotate { id, retire_after, deadline, ttl_days, .. } => {
            let deadline = match retire_after {
                Some(after) => Some(later(after)?),
                None => deadline,
            };
            let request = RotateScimTokenRequest {
                organization_id,
                caller: caller()?,
                id: id.to_string(),
                ttl_days,
                deadline: deadline.map(|at| wire::to_timestamp(at.as_microsecond())),
            };
            let rotated = client.rotate_scim_token(request).await.map_err(|status| by_id(&status, id))?.into_inner();
            let old = rotated.token.unwrap_or_default();
            let (mut json, mut text) = made(connection, rotated.successor.unwrap_or_default(), &rotated.secret);
            let retire = settings.command(&format!("token retire {slug} {id}"));
            let until = instant(old.expires_at.as_ref());
            let stays = until.as_ref().map_or_else(|| "until it is retired".to_owned(), |at| format!("until {at}"));
            text.push_str(&format!(
                "\nThe old token {id} stays valid {stays}. Put the new one into the identity provider, test the \
                 connection there, then: {retire}"
            ));
            if let Some(json) = json.as_object_mut() {
                json.insert("replaces".to_owned(), token_json(&old, now()));
            }
            Ok((json, text))
        }
        TokenCommand::Retire { id, force, .. } => {
            let request = RetireScimTokenRequest { organization_id, caller: caller()?, id: id.to_string(), force };
            let retired = client.retire_scim_token(request).await.map_err(|status| by_id(&status, id))?.into_inner();
            let json = token_json(&retired.token.unwrap_or_default(), now());
            Ok((json, format!("Token {id} is retired. Within a second it is refused everywhere.")))
        }
        TokenCommand::Policy { max_ttl_days, allow_never, .. } => {
            let policy = policy(&mut client, organization_id, max_ttl_days, allow_never).await?;
            let json = json!({ "max_ttl_days": policy.max_ttl_days, "allow_never": policy.allow_never });
            let longest = policy.max_ttl_days.map_or_else(|| "no maximum".to_owned(), |days| format!("{days} days"));
            let never = if policy.allow_never { "allowed" } else { "not allowed" };
            let text = format!(
                "Longest life   {longest}\nNever expires  {never}\n\nTokens that are there already stay as they are."
            );
            Ok((json, text))
        }
    }
}

async fn policy(
    client: &mut TokenServiceClient<Transport>,
    organization_id: String,
    max_ttl_days: Option<u32>,
    allow_never: Option<bool>,
) -> anyhow::Result<TokenPolicy> {
    let answer = if max_ttl_days.is_none() && allow_never.is_none() {
        client.get_token_policy(GetTokenPolicyRequest { organization_id }).await
    } else {
        let request = SetTokenPolicyRequest { organization_id, caller: caller()?, max_ttl_days, allow_never };
        client.set_token_policy(request).await
    };
    Ok(answer.map_err(|status| refused(&status))?.into_inner())
}

/// What a call about one token was refused for.
fn about(settings: &Settings, slug: &str, id: uuid::Uuid, status: &Status) -> anyhow::Error {
    match wire::refusal(status).reason {
        Reason::TokenNotFound => {
            let list = settings.command(&format!("token list {slug}"));
            anyhow::anyhow!("{slug} has no token {id}; `{list}` shows all")
        }
        _ => refused(status),
    }
}

/// A day has 24 hours here.
pub(super) fn later(after: jiff::Span) -> anyhow::Result<jiff::Timestamp> {
    let wrong = || format!("--retire-after {after} is not usable; give hours or days, such as 36h or 7d");
    let duration = after.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).with_context(wrong)?;
    now().checked_add(duration).with_context(wrong)
}

/// A new token, shown this once.
fn made(connection: &Connection<'_>, token: ScimToken, secret: &str) -> (Value, String) {
    let scim_url = connection.scim_url();
    let expires_at = instant(token.expires_at.as_ref());
    let json = json!({
        "id": token.id,
        "token": secret,
        "scim_url": scim_url,
        "expires_at": expires_at,
    });
    let mut text = format!(
        "SCIM URL  {}\nToken     {secret}\nId        {}\nExpires   {}\n",
        scim_url.as_deref().unwrap_or(URL_UNKNOWN),
        token.id,
        expires_at.as_deref().unwrap_or("never"),
    );
    if token.scopes.len() < 4 {
        text.push_str(&format!("Scopes    {}\n", token.scopes.join(" ")));
    }
    if !token.allowed_cidrs.is_empty() {
        text.push_str(&format!("From      {}\n", token.allowed_cidrs.join(" ")));
    }
    text.push_str("\nThe token is shown this once and is not stored. Keep it like a password.");
    (json, text)
}

fn state(token: &ScimToken, now: jiff::Timestamp) -> &'static str {
    let expired = token.expires_at.as_ref().is_some_and(|at| wire::from_timestamp(at) <= now.as_microsecond());
    match (token.revoked_at.is_some(), expired, token.successor_id.is_empty()) {
        (true, ..) => "revoked",
        (false, true, _) => "expired",
        (false, false, false) => "rotated",
        (false, false, true) => "active",
    }
}

/// What there is to do, too.
fn state_text(token: &ScimToken, now: jiff::Timestamp) -> String {
    match state(token, now) {
        "rotated" if token.successor_used => "rotated, successor in use: retire it".to_owned(),
        "rotated" => "rotated, successor not used yet".to_owned(),
        state => state.to_owned(),
    }
}

fn token_json(token: &ScimToken, now: jiff::Timestamp) -> Value {
    let given = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
    json!({
        "id": token.id,
        "description": token.description,
        "created_at": instant(token.created_at.as_ref()),
        "created_by": given(&token.created_by),
        "expires_at": instant(token.expires_at.as_ref()),
        "last_used_at": instant(token.last_used_at.as_ref()),
        "last_used_address": given(&token.last_used_address),
        "last_used_user_agent": given(&token.last_used_user_agent),
        "revoked_at": instant(token.revoked_at.as_ref()),
        "scopes": token.scopes,
        "allowed_cidrs": token.allowed_cidrs,
        "successor_id": given(&token.successor_id),
        "successor_used": token.successor_used,
        "state": state(token, now),
    })
}

fn token_table(tokens: &[ScimToken], now: jiff::Timestamp) -> String {
    let never = || "never".to_owned();
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            let last_used = instant(token.last_used_at.as_ref()).map(|at| match token.last_used_address.as_str() {
                "" => at,
                address => format!("{at} from {address}"),
            });
            let all = token.scopes.is_empty() || token.scopes.len() == 4;
            let anywhere = token.allowed_cidrs.is_empty();
            vec![
                token.id.clone(),
                token.description.clone(),
                instant(token.created_at.as_ref()).unwrap_or_default(),
                instant(token.expires_at.as_ref()).unwrap_or_else(never),
                last_used.unwrap_or_else(never),
                if all { "all".to_owned() } else { token.scopes.join(" ") },
                if anywhere { "anywhere".to_owned() } else { token.allowed_cidrs.join(" ") },
                state_text(token, now),
            ]
        })
        .collect();
    output::table(&["ID", "DESCRIPTION", "CREATED", "EXPIRES", "LAST USED", "SCOPES", "FROM", "STATE"], &rows)
}
