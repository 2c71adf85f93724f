//! `rollcall service`.

use anyhow::Context as _;
use serde_json::{Value, json};
use wire::{
    Transport,
    token::{
        CreateServiceCredentialRequest, ListServiceCredentialsRequest, RetireServiceSecretRequest,
        RevokeServiceCredentialRequest, RotateServiceCredentialRequest, ServiceCredential,
        service_credential_service_client::ServiceCredentialServiceClient,
    },
};

use super::{caller, instant, now, refused};
use crate::{callers::Scope, cli::ServiceCommand, connect::Connection, output, settings::Settings};

type Client = ServiceCredentialServiceClient<Transport>;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: ServiceCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        let mut client = connection.service_credentials().await?;
        answer(settings, &mut client, command).await
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(settings: &Settings, client: &mut Client, command: ServiceCommand) -> anyhow::Result<(Value, String)> {
    match command {
        ServiceCommand::Create { name, scope, ttl_days, tls_identity, with_secret } => {
            let request = CreateServiceCredentialRequest {
                caller: caller()?,
                name,
                scopes: scope.into_iter().map(Scope::as_str).map(str::to_owned).collect(),
                ttl_days,
                tls_identity: tls_identity.unwrap_or_default(),
                with_secret,
            };
            let created = client.create_service_credential(request).await;
            let created = created.map_err(|status| refused(&status))?.into_inner();
            Ok(made(&created.credential.unwrap_or_default(), &created.secret))
        }
        ServiceCommand::List => {
            let listed = list(client).await?;
            let now = now();
            let json = json!({ "services": listed.iter().map(|this| to_json(this, now)).collect::<Vec<_>>() });
            if listed.is_empty() {
                let create = settings.command("service create NAME --scope identities:read");
                return Ok((json, format!("There is no service credential yet. Create one: {create}")));
            }
            Ok((json, table(&listed, now)))
        }
        ServiceCommand::Revoke { service } => {
            let credential = find(settings, client, &service).await?;
            let request = RevokeServiceCredentialRequest { caller: caller()?, id: credential.id };
            let revoked = client.revoke_service_credential(request).await;
            let revoked = revoked.map_err(|status| refused(&status))?.into_inner();
            let text = format!(
                "Service credential {} is revoked. Within a second it is refused everywhere, and what it has open ends.",
                revoked.name
            );
            Ok((to_json(&revoked, now()), text))
        }
        ServiceCommand::Rotate { service, retire_after, ttl_days } => {
            let overlap_seconds = retire_after.map(seconds).transpose()?;
            let credential = find(settings, client, &service).await?;
            let request =
                RotateServiceCredentialRequest { caller: caller()?, id: credential.id, overlap_seconds, ttl_days };
            let rotated = client.rotate_service_credential(request).await;
            let rotated = rotated.map_err(|status| refused(&status))?.into_inner();
            let credential = rotated.credential.unwrap_or_default();
            let (json, mut text) = made(&credential, &rotated.secret);
            if let Some(until) = instant(credential.previous_secret_expires_at.as_ref()) {
                let retire = settings.command(&format!("service retire {}", credential.name));
                text.push_str(&format!(
                    "The secret before stays valid until {until}. Put the new one into the service, then: {retire}"
                ));
            }
            Ok((json, text))
        }
        ServiceCommand::Retire { service, force } => {
            let credential = find(settings, client, &service).await?;
            let request = RetireServiceSecretRequest { caller: caller()?, id: credential.id, force };
            let retired = client.retire_service_secret(request).await;
            let retired = retired.map_err(|status| refused(&status))?.into_inner();
            let text = format!(
                "The secret before the last rotation of {} is retired. Within a second it is refused everywhere.",
                retired.name
            );
            Ok((to_json(&retired, now()), text))
        }
    }
}

async fn list(client: &mut Client) -> anyhow::Result<Vec<ServiceCredential>> {
    let listed = client.list_service_credentials(ListServiceCredentialsRequest {}).await;
    Ok(listed.map_err(|status| refused(&status))?.into_inner().credentials)
}

/// By id; or by name, that of one that is not revoked before any that is.
async fn find(settings: &Settings, client: &mut Client, name_or_id: &str) -> anyhow::Result<ServiceCredential> {
    let mut listed = list(client).await?;
    listed.retain(|credential| credential.id == name_or_id || credential.name == name_or_id);
    listed.sort_by_key(|credential| (credential.id != name_or_id, credential.revoked_at.is_some()));
    listed.into_iter().next().with_context(|| {
        format!("there is no service credential {name_or_id:?}; `{}` shows all", settings.command("service list"))
    })
}

/// A day has 24 hours here.
fn seconds(after: jiff::Span) -> anyhow::Result<u32> {
    let wrong = || format!("--retire-after {after} is not usable; give up to 30 days, such as 0s, 36h or 7d");
    let duration = after.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).with_context(wrong)?;
    u32::try_from(duration.as_secs()).with_context(wrong)
}

/// With the secret, which is shown this once.
fn made(credential: &ServiceCredential, secret: &str) -> (Value, String) {
    let mut json = to_json(credential, now());
    if let Some(json) = json.as_object_mut() {
        json.insert("secret".to_owned(), json!(Some(secret).filter(|secret| !secret.is_empty())));
    }
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:14}{value}\n"));
        }
    };
    line("Service", &credential.name);
    line("Secret", secret);
    line("TLS identity", &credential.tls_identity);
    line("Id", &credential.id);
    line("Scopes", &credential.scopes.join(" "));
    line("Expires", instant(credential.expires_at.as_ref()).as_deref().unwrap_or("never"));
    text.push('\n');
    if !secret.is_empty() {
        text.push_str(
            "The secret is shown this once and is not stored. The service sends it with each call, as the metadata\n\
             authorization: Bearer SECRET\n",
        );
    }
    if !credential.tls_identity.is_empty() {
        let who = if secret.is_empty() { "The service" } else { "Or it" };
        text.push_str(&format!(
            "{who} shows a client certificate with this name, of the CA that the servers have as --grpc-client-ca.\n"
        ));
    }
    (json, text)
}

fn state(credential: &ServiceCredential, now: jiff::Timestamp) -> &'static str {
    let past =
        |at: Option<&prost_types::Timestamp>| at.is_some_and(|at| wire::from_timestamp(at) <= now.as_microsecond());
    if credential.revoked_at.is_some() {
        "revoked"
    } else if past(credential.expires_at.as_ref()) {
        "expired"
    } else if credential.previous_secret_expires_at.is_some() {
        "rotated"
    } else {
        "active"
    }
}

/// What there is to do, too.
fn state_text(credential: &ServiceCredential, now: jiff::Timestamp) -> String {
    match state(credential, now) {
        "rotated" if credential.secret_used => "rotated, new secret in use: retire the one before".to_owned(),
        "rotated" => "rotated, new secret not used yet".to_owned(),
        state => state.to_owned(),
    }
}

fn to_json(credential: &ServiceCredential, now: jiff::Timestamp) -> Value {
    let given = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
    json!({
        "id": credential.id,
        "name": credential.name,
        "scopes": credential.scopes,
        "has_secret": credential.has_secret,
        "tls_identity": given(&credential.tls_identity),
        "created_at": instant(credential.created_at.as_ref()),
        "created_by": given(&credential.created_by),
        "expires_at": instant(credential.expires_at.as_ref()),
        "revoked_at": instant(credential.revoked_at.as_ref()),
        "last_used_at": instant(credential.last_used_at.as_ref()),
        "previous_secret_expires_at": instant(credential.previous_secret_expires_at.as_ref()),
        "secret_used": credential.secret_used,
        "state": state(credential, now),
    })
}

fn table(credentials: &[ServiceCredential], now: jiff::Timestamp) -> String {
    let never = || "never".to_owned();
    let rows: Vec<Vec<String>> = credentials
        .iter()
        .map(|credential| {
            let known_by = match (credential.has_secret, credential.tls_identity.as_str()) {
                (true, "") => "secret".to_owned(),
                (true, identity) => format!("secret, {identity}"),
                (false, identity) => identity.to_owned(),
            };
            vec![
                credential.name.clone(),
                credential.id.clone(),
                credential.scopes.join(" "),
                known_by,
                instant(credential.created_at.as_ref()).unwrap_or_default(),
                instant(credential.expires_at.as_ref()).unwrap_or_else(never),
                instant(credential.last_used_at.as_ref()).unwrap_or_else(never),
                state_text(credential, now),
            ]
        })
        .collect();
    output::table(&["NAME", "ID", "SCOPES", "KNOWN BY", "CREATED", "EXPIRES", "LAST USED", "STATE"], &rows)
}
