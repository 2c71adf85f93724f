//! `rollcall sign-in`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Reason,
    identity::{GetSignInProviderRequest, RemoveSignInProviderRequest, SetSignInProviderRequest, SignInProvider},
};

use super::{caller, instant, organization, refused};
use crate::{cli::SignInCommand, connect::Connection, output, settings::Settings};

/// A file that is longer holds something else.
const LONGEST_FILE: u64 = 64 * 1024;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: SignInCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: SignInCommand) -> anyhow::Result<(Value, String)> {
    let (SignInCommand::Set { org, .. } | SignInCommand::Show { org } | SignInCommand::Remove { org }) = &command;
    let settings = connection.settings;
    // Before anything is asked for: standard input may be a person's.
    let secret = match &command {
        SignInCommand::Set { client_secret_file: Some(file), .. } => Some(client_secret(file)?),
        _ => None,
    };
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(settings, &mut organizations, org).await?;
    let mut client = connection.console().await?;
    let (organization_id, slug) = (organization.id, organization.slug);
    match command {
        SignInCommand::Set { issuer, client_id, .. } => {
            let request = SetSignInProviderRequest {
                organization_id,
                caller: caller()?,
                issuer,
                client_id,
                client_secret: secret,
            };
            let set = client.set_sign_in_provider(request).await.map_err(|status| refused(&status))?.into_inner();
            let (json, mut text) = shown(connection, &set);
            text.push_str(
                "\nRegister the redirect URI at the provider. An administrator is found by the verified e-mail address the \
                 first time, and by the provider's subject from then on.\n",
            );
            if !set.has_client_secret {
                text.push_str(
                    "There is no client secret: the provider has to know this application as a public client (PKCE). Else \
                     give --client-secret-file.\n",
                );
            }
            Ok((json, text))
        }
        SignInCommand::Show { .. } => {
            let request = GetSignInProviderRequest { organization_id, with_client_secret: false };
            let found = client.get_sign_in_provider(request).await;
            let found = found.map_err(|status| none(settings, &slug, &status))?.into_inner();
            Ok(shown(connection, &found))
        }
        SignInCommand::Remove { .. } => {
            let request = RemoveSignInProviderRequest { organization_id, caller: caller()? };
            client.remove_sign_in_provider(request).await.map_err(|status| refused(&status))?;
            let invite = settings.command(&format!("admin invite {slug} --email ADDRESS"));
            let text = format!(
                "{slug} has no sign-in provider now. Who is signed in stays so; others get in by an invitation: {invite}"
            );
            Ok((json!({"organization": slug, "removed": true}), text))
        }
    }
}

/// Of a file, or of standard input. Never on the command line, where other users of the machine see it.
fn client_secret(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST_FILE)
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
    } else {
        let shown = file.display();
        let opened = std::fs::File::open(file).with_context(|| {
            format!("--client-secret-file {shown} cannot be read; give a file with the client secret")
        })?;
        opened
            .take(LONGEST_FILE)
            .read_to_string(&mut text)
            .with_context(|| format!("{shown} cannot be read as text"))?;
    }
    let secret = text.trim();
    ensure!(!secret.is_empty(), "the client secret is empty; leave --client-secret-file out where there is none");
    Ok(secret.to_owned())
}

fn none(settings: &Settings, slug: &str, status: &Status) -> anyhow::Error {
    match wire::refusal(status).reason {
        Reason::SignInNotFound => {
            let set = settings.command(&format!("sign-in set {slug} --issuer URL --client-id ID"));
            anyhow::anyhow!("{slug} has no sign-in provider; set one: {set}")
        }
        _ => refused(status),
    }
}

fn shown(connection: &Connection<'_>, provider: &SignInProvider) -> (Value, String) {
    let path = format!("/console/sign-in/callback/{}", provider.organization_id);
    let redirect = connection.public_url().map(|url| format!("{url}{path}"));
    let modified_at = instant(provider.modified_at.as_ref());
    let json = json!({
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "has_client_secret": provider.has_client_secret,
        "redirect_uri": redirect,
        "modified_at": modified_at,
    });
    let redirect = redirect.unwrap_or_else(|| {
        format!("(the gateway's --public-url, then {path}; with --public-url this command shows it)")
    });
    let secret = if provider.has_client_secret { "stored, sealed" } else { "none" };
    let text = format!(
        "Issuer         {}\nClient id      {}\nClient secret  {secret}\nRedirect URI   {redirect}\nChanged        {}\n",
        provider.issuer,
        provider.client_id,
        modified_at.unwrap_or_default()
    );
    (json, text)
}
