//! `cargo xtask dev`: Rollcall on this machine, with a demo organization and a token, and what to type into Okta.
//!
//! Not here: any knowledge of the product's insides. Everything goes through its command line.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
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
    /// Where Okta reaches it, such as https://scim.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the data stays
    #[arg(long, value_name = "DIR", default_value = ".rollcall/dev")]
    data_dir: PathBuf,
    /// Build with optimizations (takes minutes)
    #[arg(long)]
    release: bool,
}

/// Builds, starts, sets up, explains, and stays until Ctrl-C.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = workspace.build_rollcall(options.release)?;
    let data_dir = workspace.root.join(&options.data_dir);
    let mut serve = Command::new(&program);
    serve.args(["serve", "--http", &options.http, "--grpc", &options.grpc]).arg("--data-dir").arg(&data_dir);
    if let Some(url) = &options.public_url {
        serve.args(["--public-url", url]);
    }
    // What it prints itself would come twice; its log goes to standard error.
    serve.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Running(serve.spawn().context("starting rollcall serve")?);
    if let Some(pipe) = server.0.stdout.take() {
        // Read on, or the server would block on a full pipe.
        thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).for_each(drop));
    }
    let ready = wait_until_ready(&mut server.0, &data_dir)?;
    say(&explain(&set_up(&Cli { program, data_dir }, &ready)?));
    // Ctrl-C reaches the whole group: the server ends by itself, and so does this wait.
    let status = server.0.wait()?;
    ensure!(status.success(), "rollcall serve ended with {status}");
    Ok(())
}

/// Killed when this task fails before its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the server wrote into the data directory, once `/readyz` answers 200.
fn wait_until_ready(server: &mut Child, data_dir: &Path) -> Result<Value> {
    let begin = Instant::now();
    loop {
        if let Some(status) = server.try_wait()? {
            bail!("rollcall serve ended with {status}, see above");
        }
        if let Some(running) = addresses(data_dir, server.id())
            && running["http"].as_str().is_some_and(|http| ready(http).unwrap_or(false))
        {
            return Ok(running);
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
    })
}

/// The list in a document that is one, or holds one.
fn items(document: &Value) -> &[Value] {
    let list = document.as_array().or_else(|| document.as_object()?.values().find_map(Value::as_array));
    list.map(Vec::as_slice).unwrap_or_default()
}

fn explain(demo: &Demo) -> String {
    let Demo { scim_url, token, data_dir } = demo;
    let data_dir = data_dir.display();
    let (token_line, authorization) = match token {
        Some(token) => (format!("{token}   (shown this once)"), format!("Bearer {token}")),
        None => (
            format!(
                "made at an earlier start and shown then. Another one:\n                 \
                 rollcall token create {ORGANIZATION} --description TEXT --data-dir {data_dir}"
            ),
            "Bearer <the token>".to_owned(),
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
                                      (where Okta shows `Bearer` before the field, paste the token alone)

  then press Test Connector Configuration, and Save.
  Provisioning > To App > Edit        Create Users, Update User Attributes, Deactivate Users: Enable, Save.
  Then assign people on Assignments, and choose groups on Push Groups.

  {https}

Try it:  curl -H 'Authorization: {authorization}' '{scim_url}/Users?startIndex=1&count=2'
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
        })
    }

    #[test]
    fn a_new_token_is_shown_and_an_old_one_cannot_be() {
        let first = demo(Some("rc_scim_x"), "http://127.0.0.1:8080/scim/v2");
        assert!(first.contains("Bearer rc_scim_x") && first.contains("--public-url https://"), "{first}");
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
