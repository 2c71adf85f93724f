//! `rollcall token`.

use serde_json::{Value, json};
use wire::token::{CreateScimTokenRequest, ListScimTokensRequest, RevokeScimTokenRequest, ScimToken};

use super::{caller, instant, organization, refused};
use crate::{cli::TokenCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: TokenCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: TokenCommand) -> anyhow::Result<(Value, String)> {
    let (TokenCommand::Create { org, .. } | TokenCommand::List { org } | TokenCommand::Revoke { org, .. }) = &command;
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(&mut organizations, org).await?;
    let organization_id = organization.id;
    let mut client = connection.tokens().await?;
    match command {
        TokenCommand::Create { description, ttl_days, .. } => {
            let request = CreateScimTokenRequest { organization_id, caller: caller()?, description, ttl_days };
            let created = client.create_scim_token(request).await.map_err(|status| refused(&status))?.into_inner();
            let token = created.token.unwrap_or_default();
            let scim_url = connection.scim_url();
            let expires_at = instant(token.expires_at.as_ref());
            let json = json!({
                "id": token.id,
                "token": created.secret,
                "scim_url": scim_url,
                "expires_at": expires_at,
            });
            let mut text = format!(
                "SCIM URL  {scim_url}\nToken     {}\nId        {}\nExpires   {}\n\n\
                 The token is shown this once and is not stored. Keep it like a password.",
                created.secret,
                token.id,
                expires_at.as_deref().unwrap_or("never"),
            );
            if !organization.scim_enabled {
                text.push_str(&format!("\nSCIM is disabled for {0}: rollcall scim enable {0}", organization.slug));
            }
            Ok((json, text))
        }
        TokenCommand::List { .. } => {
            let request = ListScimTokensRequest { organization_id };
            let listed = client.list_scim_tokens(request).await.map_err(|status| refused(&status))?.into_inner();
            let now = now();
            let json =
                json!({ "tokens": listed.tokens.iter().map(|token| token_json(token, now)).collect::<Vec<_>>() });
            Ok((json, token_table(&listed.tokens, now)))
        }
        TokenCommand::Revoke { id, .. } => {
            let request = RevokeScimTokenRequest { organization_id, caller: caller()?, id: id.to_string() };
            let revoked = client.revoke_scim_token(request).await.map_err(|status| refused(&status))?.into_inner();
            let json = token_json(&revoked.token.unwrap_or_default(), now());
            Ok((json, format!("Token {id} is revoked. Within a second it is refused everywhere.")))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tells a person which tokens have expired by now")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn state(token: &ScimToken, now: jiff::Timestamp) -> &'static str {
    let expired = token.expires_at.as_ref().is_some_and(|at| wire::from_timestamp(at) <= now.as_microsecond());
    match (token.revoked_at.is_some(), expired) {
        (true, _) => "revoked",
        (false, true) => "expired",
        (false, false) => "active",
    }
}

fn token_json(token: &ScimToken, now: jiff::Timestamp) -> Value {
    json!({
        "id": token.id,
        "description": token.description,
        "created_at": instant(token.created_at.as_ref()),
        "expires_at": instant(token.expires_at.as_ref()),
        "last_used_at": instant(token.last_used_at.as_ref()),
        "revoked_at": instant(token.revoked_at.as_ref()),
        "state": state(token, now),
    })
}

fn token_table(tokens: &[ScimToken], now: jiff::Timestamp) -> String {
    if tokens.is_empty() {
        return "There is no token yet. Create one: rollcall token create ORG --description TEXT".to_owned();
    }
    let never = || "never".to_owned();
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                token.id.clone(),
                token.description.clone(),
                instant(token.created_at.as_ref()).unwrap_or_default(),
                instant(token.expires_at.as_ref()).unwrap_or_else(never),
                instant(token.last_used_at.as_ref()).unwrap_or_else(never),
                state(token, now).to_owned(),
            ]
        })
        .collect();
    output::table(&["ID", "DESCRIPTION", "CREATED", "EXPIRES", "LAST USED", "STATE"], &rows)
}
