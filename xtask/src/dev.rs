//! `cargo xtask dev`: Rollcall on this machine, with a demo organization and a token, and what to type into Okta.
//!
//! Not here: any knowledge of the product's insides. Everything goes through its command line.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::tools::{Workspace, say};

const ORGANIZATION: &str = "demo";
const START: Duration = Duration::from_secs(60);

/// Where it listens and what links say.
#[derive(Args)]
pub(crate) struct Options {
    /// Where HTTP listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: String,
    /// Where gRPC listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    grpc: String,
    /// What links are built from: where Okta reaches it, https and its name
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the data stays
    #[arg(long, value_name = "DIR", default_value = ".rollcall/dev")]
    data_dir: PathBuf,
    /// Build with optimizations (takes minutes)
    #[arg(long)]
    release: bool,
    /// Wait for this process, set up and explain; `dev` starts itself so
    #[arg(long, hide = true)]
    explain_process: Option<u32>,
}

/// Builds, then becomes the server. Another process waits for it, sets up and explains, so that signals and the exit
/// code are the server's own.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let data_dir = workspace.root.join(&options.data_dir);
    if let Some(process) = options.explain_process {
        let program = profile_dir(workspace, options).join("rollcall");
        let done = explain_when_ready(&Cli { program, data_dir }, process);
        if done.is_err() {
            signal("-TERM", process);
        }
        return done;
    }
    crate::browser::build_if_possible(workspace);
    let program = workspace.build_rollcall(options.release)?;
    // By way of a shell that ends at once: the server has no children to wait for.
    let mut words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    words.extend(["--explain-process".into(), std::process::id().to_string().into()]);
    let mut explainer = Command::new("sh");
    explainer.args(["-c", "\"$@\" &", "sh"]).arg(std::env::current_exe()?).args(words);
    let started = explainer.status().context("starting sh")?;
    ensure!(started.success(), "sh failed: {started}");
    let mut serve = Command::new(&program);
    serve.args(["serve", "--http", &options.http, "--grpc", &options.grpc]).arg("--data-dir").arg(&data_dir);
    if let Some(url) = &options.public_url {
        serve.args(["--public-url", url]);
    }
    // What it prints itself would come twice; its log goes to standard error.
    let error = serve.stdin(Stdio::null()).stdout(Stdio::null()).exec();
    Err(error).context("starting rollcall serve")
}

fn profile_dir(workspace: &Workspace, options: &Options) -> PathBuf {
    workspace.target.join(if options.release { "release" } else { "debug" })
}

fn explain_when_ready(cli: &Cli, process: u32) -> Result<()> {
    let Some(running) = wait_until_ready(process, &cli.data_dir)? else {
        // The server has said why it ended.
        return Ok(());
    };
    say(&explain(&set_up(cli, &running)?));
    Ok(())
}

/// Whether the process was there.
fn signal(signal: &str, process: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([signal, &process.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}

/// What the server wrote into the data directory, once `/readyz` answers 200; nothing if it ended before.
fn wait_until_ready(process: u32, data_dir: &Path) -> Result<Option<Value>> {
    let begin = Instant::now();
    loop {
        if let Some(running) = addresses(data_dir, process)
            && running["http"].as_str().is_some_and(|http| ready(http).unwrap_or(false))
        {
            return Ok(Some(running));
        }
        if !signal("-0", process) {
            return Ok(None);
        }
        ensure!(begin.elapsed() < START, "rollcall serve is not ready after {} s", START.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Of this very process; a file that another one left is not taken.
fn addresses(data_dir: &Path, process: u32) -> Option<Value> {
    let text = std::fs::read(data_dir.join("run/all.json")).ok()?;
    let running: Value = serde_json::from_slice(&text).ok()?;
    (running["pid"].as_u64() == Some(u64::from(process))).then_some(running)
}

fn ready(address: &str) -> Result<bool> {
    let address = address.to_socket_addrs()?.next().context("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1) == Some("200"))
}

struct Cli {
    program: PathBuf,
    data_dir: PathBuf,
}

impl Cli {
    fn json(&self, words: &[&str]) -> Result<Value> {
        let output = Command::new(&self.program)
            .args(words)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(["--output", "json"])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running rollcall {}", words.join(" ")))?;
        ensure!(
            output.status.success(),
            "rollcall {} failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("rollcall {} did not print JSON", words.join(" ")))
    }
}

/// What the administrator needs to know.
struct Demo {
    scim_url: String,
    /// Only when it was made just now: it is not stored.
    token: Option<String>,
    data_dir: PathBuf,
    program: PathBuf,
}

fn set_up(cli: &Cli, running: &Value) -> Result<Demo> {
    let organizations = cli.json(&["org", "list"])?;
    let known = items(&organizations).iter().any(|organization| organization["slug"] == ORGANIZATION);
    if !known {
        cli.json(&["org", "create", ORGANIZATION, "--name", "Demo", "--plan", "enterprise"])?;
        cli.json(&["scim", "enable", ORGANIZATION])?;
    }
    let tokens = cli.json(&["token", "list", ORGANIZATION])?;
    // Whether one still works is the administrator's business: a revoked one was revoked on purpose.
    let created = if items(&tokens).is_empty() {
        Some(cli.json(&["token", "create", ORGANIZATION, "--description", "Created by cargo xtask dev"])?)
    } else {
        None
    };
    let base = running["public_url"].as_str().context("rollcall serve did not say its public URL")?;
    Ok(Demo {
        scim_url: format!("{}/scim/v2", base.trim_end_matches('/')),
        token: created.and_then(|token| token["token"].as_str().map(str::to_owned)),
        data_dir: cli.data_dir.clone(),
        program: cli.program.clone(),
    })
}

/// The list in a document that is one, or holds one.
fn items(document: &Value) -> &[Value] {
    let list = document.as_array().or_else(|| document.as_object()?.values().find_map(Value::as_array));
    list.map(Vec::as_slice).unwrap_or_default()
}

fn explain(demo: &Demo) -> String {
    let Demo { scim_url, token, data_dir, program } = demo;
    let (data_dir, program) = (data_dir.display(), program.display());
    let (token_line, authorization) = match token {
        Some(token) => (format!("{token}   (shown this once)"), token.clone()),
        None => (
            format!(
                "made at an earlier start and shown then. Another one:\n                 \
                 {program} token create {ORGANIZATION} --description TEXT --data-dir {data_dir}"
            ),
            "<the token>".to_owned(),
        ),
    };
    let https = if scim_url.starts_with("https://") {
        "Okta must be able to reach that URL: let your reverse proxy or tunnel lead it to this process."
    } else {
        "Okta itself must reach the URL over HTTPS: point a tunnel or a reverse proxy that ends TLS at this process,\n  \
         and start again with --public-url https://<its name>."
    };
    format!(
        "
Rollcall is running. Organization `{ORGANIZATION}`, enterprise plan, SCIM switched on. Data: {data_dir}

  SCIM URL       {scim_url}
  Token          {token_line}

What to type into Okta (your app > Provisioning > Integration > Configure API Integration / SCIM Connection):

  SCIM connector base URL             {scim_url}
  Unique identifier field for users   email
  Supported provisioning actions      Push New Users, Push Profile Updates, Push Groups
  Authentication Mode                 HTTP Header
  Authorization                       {authorization}
                                      (the token alone: Okta writes `Bearer` in front of it)

  then press Test Connector Configuration, and Save.
  Provisioning > To App > Edit        Create Users, Update User Attributes, Deactivate Users: Enable, Save.
  Then assign people on Assignments, and choose groups on Push Groups.

  {https}

Try it:  curl -H 'Authorization: Bearer {authorization}' '{scim_url}/Users?startIndex=1&count=2'
Stop with Ctrl-C; the data stays.
"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn demo(token: Option<&str>, scim_url: &str) -> String {
        explain(&Demo {
            scim_url: scim_url.to_owned(),
            token: token.map(str::to_owned),
            data_dir: PathBuf::from("data"),
            program: PathBuf::from("rollcall"),
        })
    }

    #[test]
    fn a_new_token_is_shown_and_an_old_one_cannot_be() {
        let first = demo(Some("rc_scim_x"), "http://127.0.0.1:8080/scim/v2");
        assert!(
            first.contains("Bearer rc_scim_x")
                && first.contains("   rc_scim_x\n")
                && first.contains("--public-url https://"),
            "{first}"
        );
        let second = demo(None, "https://scim.example.com/scim/v2");
        assert!(!second.contains("rc_scim_") && second.contains("rollcall token create demo"), "{second}");
        assert!(!second.contains("start again with --public-url"), "{second}");
    }

    #[test]
    fn a_list_is_found_bare_or_wrapped() {
        assert_eq!(items(&json!([1, 2])).len(), 2);
        assert_eq!(items(&json!({"tokens": [1]})).len(), 1);
        assert!(items(&json!({"a": 1})).is_empty());
    }
}
