//! No token, secret or key, and no personal data, where it does not belong: canaries are sent by every way in, through
//! every kind of answer, at the most talkative log level; then all that the processes wrote, exported, answered, told and
//! stored is searched for them.
//!
//! Not here: memory and core files.

mod drive;
pub(crate) mod encodings;
mod grants;
mod list;
mod scan;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use testkit::{
    otlp::Sink,
    process::{Deployment, Program},
};

pub use self::{
    list::{Canaries, Canary, Kind},
    scan::{Place, Scanner, What},
};
use crate::{
    forms::{Form, Options, Remains, Running},
    transcript::Transcript,
};

/// Everything that is to be searched, by place.
#[derive(Default)]
pub(crate) struct Evidence(pub(crate) Vec<(String, Place, Vec<u8>)>);

impl Evidence {
    pub(crate) fn add(&mut self, name: &str, place: Place, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), place, bytes.into()));
    }
}

/// Starts a form of its own, plays, stops it and searches.
///
/// # Errors
/// If an answer is not as expected, or a canary is where it may not be.
pub async fn run(program: &Program, form: Form, transcript: &Transcript) -> Result<()> {
    let canaries = Canaries::default();
    let sink = Sink::start().await;
    let collector = canaries.make(Kind::Secret, "the collector's credential")?;
    let program =
        program.clone().with_variable("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer {collector}"));
    // Each format of the log in one form.
    let format = if form == Form::AllInOne { "json" } else { "text" };
    let arguments = ["--otlp-endpoint", &sink.endpoint(), "--log-filter", "trace", "--log-format", format];
    let options = Options {
        arguments: arguments.map(str::to_owned).into(),
        database_password: Some(canaries.make(Kind::Secret, "the database's password")?),
        ..Options::default()
    };
    let running = Running::start_with(&program, form, options).await?;
    let admin = running.deployment.admin_credential()?;
    canaries.keep(Kind::Secret, "the admin credential", &admin);

    let databases = running.databases();
    let mut evidence = Evidence::default();
    let played = drive::play(&program, &running.deployment, &databases, &canaries, &mut evidence, transcript).await;
    let token = match played {
        Ok(token) => token,
        Err(error) => {
            let output = running.deployment.output();
            let last = output.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
            return Err(error.context(format!("the last fault in the logs: {last}")));
        }
    };

    let dumped = gather(running, &mut evidence, transcript)?;
    evidence.add("the export, printed", Place::Telemetry, sink.text());
    evidence.add("the export, encoded", Place::Telemetry, sink.bytes());
    for metric in ["http.server.request.duration", "rpc.server.call.duration"] {
        transcript.that(&format!("{metric} was exported"), sink.metrics().iter().any(|name| name == metric))?;
    }
    transcript.that("spans and logs were exported", !sink.spans().is_empty() && !sink.logs().is_empty())?;
    search(&canaries, &evidence, transcript)?;
    let digest = encodings::hex(&Sha256::digest(&token));
    let stored = String::from_utf8_lossy(&dumped).to_lowercase().contains(&digest);
    transcript.that("of a token the SHA-256 is stored, and the dump shows it", stored)
}

/// What is to be had of processes and databases, running and stopped. Gives the last dump.
pub(crate) fn gather(running: Running, evidence: &mut Evidence, transcript: &Transcript) -> Result<Vec<u8>> {
    transcript.step("What can be seen of the processes from outside");
    outside(&running.deployment, evidence)?;
    dumps(&running.databases(), "running", evidence)?;
    let roles: Vec<&str> = running.deployment.servers.iter().rev().map(|server| server.role()).collect();
    let (outputs, remains) = running.stop_and_keep()?;
    ensure!(roles.len() == outputs.len(), "an output for each process");
    for (role, output) in roles.iter().zip(outputs) {
        evidence.add(&format!("the log of {role}"), Place::Telemetry, output);
    }
    let dumped = remains.urls.iter().map(|url| testkit::dump(url)).collect::<Result<Vec<_>>>()?.concat();
    evidence.add("the dump of both databases, stopped", Place::Database, dumped.clone());
    if let Some(log) = testkit::server_log(&remains.urls[0])? {
        evidence.add("the log of PostgreSQL", Place::DatabaseLog, log);
    }
    files(&remains, evidence)?;
    Ok(dumped)
}

fn search(canaries: &Canaries, evidence: &Evidence, transcript: &Transcript) -> Result<()> {
    transcript.step("The search");
    let scanner = Scanner::new(canaries.all())?;
    let mut wrong = Vec::new();
    for (name, place, bytes) in &evidence.0 {
        match scanner.check(name, *place, bytes) {
            Ok(()) => transcript.held(&format!("{name}: {} bytes", bytes.len())),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn dumps(urls: &[String; 2], when: &str, evidence: &mut Evidence) -> Result<()> {
    let both = |read: fn(&str) -> Result<Vec<u8>>| Ok::<_, anyhow::Error>([read(&urls[0])?, read(&urls[1])?].concat());
    evidence.add(&format!("the dump of both databases, {when}"), Place::Database, both(testkit::dump)?);
    evidence.add(&format!("the files of both databases, {when}"), Place::Database, both(testkit::files)?);
    Ok(())
}

/// Runtime files, and arguments, which everyone on the machine can read.
fn outside(deployment: &Deployment, evidence: &mut Evidence) -> Result<()> {
    for entry in fs::read_dir(deployment.data_dir().join("run"))? {
        let path = entry?.path();
        evidence.add(&path.display().to_string(), Place::Outside, fs::read(&path)?);
    }
    for server in &deployment.servers {
        let arguments = fs::read(format!("/proc/{}/cmdline", server.id())).context("the arguments of a process")?;
        ensure!(arguments.windows(5).any(|word| word == b"trace"), "these are not the arguments");
        evidence.add(&format!("the arguments of {}", server.role()), Place::Outside, arguments);
    }
    Ok(())
}

/// What is in the data directory beside databases, the credential itself and the keys.
fn files(remains: &Remains, evidence: &mut Evidence) -> Result<()> {
    fn walk(directory: &Path, evidence: &mut Evidence) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, evidence)?;
            } else if !["admin-credential", "sealing.key", "opaque.key"].contains(&&*name) && !name.contains(".db") {
                evidence.add(&format!("the file {name}"), Place::Outside, fs::read(&path)?);
            }
        }
        Ok(())
    }
    walk(remains.directory.path(), evidence)
}
