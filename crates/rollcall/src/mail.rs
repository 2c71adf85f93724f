//! The mail server of the command line, with the files that it names.
//!
//! Not here: sending (identity-service).

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use identity_service::{Mailing, Smtp, SmtpConfig};

use crate::settings::Settings;

/// `None`: no mail is sent.
pub(crate) fn smtp(settings: &Settings) -> anyhow::Result<Option<Smtp>> {
    let Some(mail) = &settings.mail else { return Ok(None) };
    let password = mail.password_file.as_deref().map(password).transpose()?;
    let ca_pem = mail.ca_file.as_deref().map(|file| {
        fs::read(file).with_context(|| format!("--smtp-ca {} cannot be read; give a PEM file", file.display()))
    });
    let config = SmtpConfig { url: mail.url.clone(), password, ca_pem: ca_pem.transpose()?, from: mail.from.clone() };
    let smtp = Smtp::new(&config)
        .context("mail cannot be sent as --smtp-url, --smtp-password-file, --smtp-ca and --mail-from say");
    Ok(Some(smtp?))
}

/// The same for a server, whose mail has links.
pub(crate) fn mailing(settings: &Settings, public_url: Option<&str>) -> anyhow::Result<Option<Mailing>> {
    let Some(smtp) = smtp(settings)? else { return Ok(None) };
    let public_url = public_url.context(
        "mail has links to the console: give --public-url, that of `rollcall serve gateway`, to this process, too",
    )?;
    Ok(Some(Mailing { smtp, public_url: public_url.to_owned() }))
}

fn password(file: &Path) -> anyhow::Result<secrecy::SecretString> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .with_context(|| format!("--smtp-password-file {shown} cannot be read; give a file with the password"))?;
    let password = text.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "--smtp-password-file {shown} is empty; write the password into it");
    Ok(password.to_owned().into())
}
