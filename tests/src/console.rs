//! The console in a real browser, with a real OpenID provider: `tests/browser` does what an administrator does and prints what
//! it checked.
//!
//! Not here: which pages there are and what must be on them (tests/browser/console.mjs).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use testkit::process::Deployment;
use tokio::runtime::Handle;

use crate::{
    okta,
    transcript::{Talk, Transcript},
};

const SLUG: &str = "acme";
pub(crate) const CLIENT_ID: &str = "rollcall";
/// Of a provider that lives as long as the suite.
pub(crate) const CLIENT_SECRET: &str = "browser-tests-client-secret-0123456789";
/// One whose address the provider does not vouch for.
const UNVERIFIED: &str = "unverified@acme.example";

/// Runs the suite. `scripts`: tests/browser, with its modules installed. `screenshots`: where pictures of each page go.
///
/// # Errors
/// If a check does not hold, or there is no Chromium or Node.
pub fn run(deployment: &Deployment, transcript: &Transcript, scripts: &Path, screenshots: Option<&Path>) -> Result<()> {
    let base = deployment.http();
    let plan = ["org", "create", SLUG, "--name", "Acme & Sons <Ltd>", "--plan", "enterprise"];
    let created = deployment.cli_json(&plan)?;
    let id = created["id"].as_str().with_context(|| format!("no id in {created}"))?;
    let invite = deployment.cli_json(&["admin", "invite", SLUG, "--email", "owner@acme.example"])?;
    let link = invite["link"].as_str().with_context(|| format!("no link in {invite}"))?;
    if let Some(secret) = link.rsplit('/').next() {
        transcript.hide(secret);
    }
    let settings = json!({
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [format!("{base}/console/sign-in/callback/{id}")],
        "unverified": [UNVERIFIED],
    });
    let mut provider = Provider::start(scripts, &settings)?;
    let config = json!({
        "base": base,
        "slug": SLUG,
        "invite": link,
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "unverified": UNVERIFIED,
        "chromium": chromium()?,
        "screenshots": screenshots,
    });
    let client = |token: &str| testkit::okta::client(&format!("{base}/scim/v2"), token);
    // The browser watches meanwhile.
    let replay = |token: &str| {
        let talk = Talk { client: client(token)?, transcript: transcript.clone() };
        tokio::task::block_in_place(|| Handle::current().block_on(okta::connect(&talk)))
    };
    let result = drive_and_replay(scripts, "console.mjs", &config, transcript, &replay);
    provider.stop();
    result.map(drop)
}

/// Runs a script of browser tests. Gives what it says must be nowhere.
pub(crate) fn drive(scripts: &Path, script: &str, config: &Value, transcript: &Transcript) -> Result<Vec<String>> {
    drive_and_replay(scripts, script, config, transcript, &|_| bail!("{script} has nothing to replay"))
}

/// As [`drive`]; `replay` plays an identity provider with the token that the script gives, which then goes on.
fn drive_and_replay(
    scripts: &Path,
    script: &str,
    config: &Value,
    transcript: &Transcript,
    replay: &dyn Fn(&str) -> Result<()>,
) -> Result<Vec<String>> {
    let mut child = node(scripts, script)?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    writeln!(stdin, "{config}").context("telling the browser what to do")?;
    let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let (mut failed, mut sweep) = (None, Vec::new());
    for line in lines {
        let line = line.context("reading what the browser saw")?;
        let said: Value = serde_json::from_str(&line).with_context(|| format!("the browser tests wrote {line}"))?;
        if let Some(secrets) = said["sweep"].as_array() {
            sweep.extend(secrets.iter().filter_map(Value::as_str).map(str::to_owned));
            continue;
        }
        let text = |name: &str| said[name].as_str();
        if let Some(token) = text("replay") {
            transcript.hide(token);
            replay(token)?;
            writeln!(stdin, "{{}}").context("telling the browser that the replay is over")?;
            continue;
        }
        match (text("held"), text("step"), text("secret"), text("failed")) {
            (Some(what), ..) => transcript.held(what),
            (_, Some(title), ..) => transcript.step(title),
            (_, _, Some(secret), _) => transcript.hide(secret),
            (.., Some(why)) => failed = Some(why.to_owned()),
            _ => bail!("the browser tests wrote {line}"),
        }
    }
    drop(stdin);
    let status = child.wait().context("waiting for the browser tests")?;
    match failed {
        Some(why) => bail!("{why}"),
        None if status.success() => Ok(sweep),
        None => bail!("the browser tests ended with {status}, see above"),
    }
}

fn node(scripts: &Path, script: &str) -> Result<Child> {
    let mut command = Command::new("node");
    // The servers are on this machine, whatever proxy the environment names.
    command.arg(script).current_dir(scripts).env("NO_PROXY", "*").stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().context("Node.js 20 or newer is needed for the browser tests (Debian: nodejs)")
}

/// Debian's name first.
pub(crate) fn chromium() -> Result<PathBuf> {
    let paths = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    let found = paths.into_iter().find(|path| path.exists());
    found.context("Chromium is needed for the browser tests (Debian: chromium)")
}

pub(crate) struct Provider {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) issuer: String,
}

impl Provider {
    pub(crate) fn start(scripts: &Path, settings: &Value) -> Result<Self> {
        let mut child = node(scripts, "provider.mjs")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        writeln!(stdin, "{settings}").context("telling the provider its settings")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("the OpenID provider did not start, see above")?;
        let issuer = told["issuer"].as_str().context("no issuer")?.to_owned();
        Ok(Self { child, stdin: Some(stdin), issuer })
    }

    pub(crate) fn stop(&mut self) {
        // It ends with its standard input.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if self.stdin.is_some() {
            let _ = self.child.kill();
            self.stop();
        }
    }
}
