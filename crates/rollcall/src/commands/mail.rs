//! `rollcall mail`: whether mail gets out.

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::now;
use crate::{cli::MailCommand, mail, output, settings::Settings};

pub(crate) async fn run(settings: &Settings, command: MailCommand) -> anyhow::Result<()> {
    let MailCommand::Test { address } = command;
    let smtp = mail::smtp(settings)?.context("no mail server is configured; give --smtp-url and --mail-from")?;
    let sent = smtp.send_test(&address, now()).await;
    sent.map_err(|error| anyhow!("no mail was sent to {address}: {error}"))?;
    let text = format!("The mail server took a mail to {address}.\n");
    Ok(output::print(settings.output, &json!({"sent": true, "to": address}), &text)?)
}
