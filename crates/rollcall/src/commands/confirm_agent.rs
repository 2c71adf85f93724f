//! `rollcall confirm-agent`: the agent as a process. What it does is the crate `confirm-agent`.

use std::time::Duration;

use anyhow::bail;
use confirm_agent::{Enrolling, Line, Running};
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{ConfirmAgentCommand, Output},
    output,
    settings::Settings,
};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: ConfirmAgentCommand) -> anyhow::Result<()> {
    // Before any of it is used: from then on there is some.
    getrandom::fill(&mut [0; 32])?;
    let mut random = fill;
    match command {
        ConfirmAgentCommand::Enroll { server, files } => {
            let enrolling = Enrolling {
                url: server.url,
                organization: server.organization,
                credential: server.credential_file,
                state: files.state,
                ca: given(files.ca),
            };
            print(settings.output, &confirm_agent::enroll(&enrolling, &mut random).await?)
        }
        ConfirmAgentCommand::Run { server, files, interval, once, granter_phrase, only_email_domain } => {
            let ca = given(files.ca);
            if !files.state.exists() {
                let (Some(url), Some(organization), Some(credential)) =
                    (server.url, server.organization, server.credential_file)
                else {
                    bail!(
                        "there is no state file {}: enroll first (rollcall confirm-agent enroll --help), or give --url, --organization \
                         and --credential-file, too",
                        files.state.display()
                    );
                };
                let enrolling = Enrolling { url, organization, credential, state: files.state.clone(), ca: ca.clone() };
                print(settings.output, &confirm_agent::enroll(&enrolling, &mut random).await?)?;
            }
            let running = Running {
                state: files.state,
                ca,
                interval: Duration::from_secs(interval),
                once,
                granter_phrase: granter_phrase.filter(|words| !words.trim().is_empty()),
                only_email_domains: only_email_domain.into_iter().filter(|domain| !domain.is_empty()).collect(),
            };
            let mut failed = None;
            let mut say = |line: Line| {
                if let Err(error) = print(settings.output, &line) {
                    failed.get_or_insert(error);
                }
            };
            let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            // A grant that was sent is taken or not; nothing else is half done.
            tokio::select! {
                ended = confirm_agent::run(&running, &mut random, &mut say) => ended?,
                _ = end.recv() => {}
                _ = interrupt.recv() => {}
            }
            failed.map_or(Ok(()), Err)
        }
        ConfirmAgentCommand::Show { state } => print(settings.output, &confirm_agent::show(&state)?),
    }
}

/// Absent and empty are the same, as compose files pass variables that are not set.
fn given(path: Option<std::path::PathBuf>) -> Option<std::path::PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        // Keys without randomness would be worse than none.
        tracing::error!(%error, "the operating system gives no randomness");
        std::process::abort();
    }
}

/// One line for programs has what happened first.
fn print(form: Output, line: &Line) -> anyhow::Result<()> {
    let mut json = Map::from_iter([("what".to_owned(), Value::from(line.what))]);
    if let Value::Object(parts) = &line.json {
        json.extend(parts.clone());
    }
    Ok(output::print(form, &Value::Object(json), &line.text)?)
}
