//! `cargo xtask e2e`: builds the binary, then hands over to the suites in `tests/`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    steps::Steps,
    tools::{Workspace, node_modules, python, run as run_program},
};

/// Which suites, and how much is shown.
#[derive(Args)]
pub(crate) struct Options {
    /// Which suite
    #[arg(value_enum, default_value_t = Suite::All)]
    suite: Suite,
    /// Where the suites `console` and `account` put a picture of each page
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Suite {
    /// All of them
    All,
    /// Both kinds of Okta app, Okta's own test suite, races, and the same data over gRPC
    Okta,
    /// Entra ID's default dialect
    Entra,
    /// Every rpc with every kind of service credential, and how these end
    Services,
    /// Okta's and Entra's OAuth exchanges
    Oauth,
    /// Every line of the command-line contract, and bad input
    Contract,
    /// Provisioned users in Chromium: keys, unlock, recovery, confirmation, rotation
    Account,
    /// An evil provider, a stolen database, and clients in Chromium that leak, against what keeps keys
    Adversary,
    /// The console in Chromium, with an OpenID provider
    Console,
    /// No token, secret or personal data where it does not belong: logs, exports, answers, events, dumps
    Canary,
    /// scim2-tester and scim-sanity, public conformance tools
    Conformance,
}

/// Runs the suites against all in one on SQLite, then against three processes on PostgreSQL.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    let wanted = |suite: Suite| options.suite == Suite::All || options.suite == suite;
    steps.step("build", || {
        workspace.build_rollcall(false)?;
        workspace.build_beside("e2e")
    });
    let own = [Suite::Contract, Suite::Okta, Suite::Entra, Suite::Oauth, Suite::Services, Suite::Canary];
    for (suite, name) in own.into_iter().zip(["contract", "okta", "entra", "oauth", "services", "canary"]) {
        if wanted(suite) {
            steps.step(name, || suites(workspace, &[name]));
        }
    }
    for (suite, name) in [(Suite::Console, "console"), (Suite::Account, "account"), (Suite::Adversary, "adversary")] {
        if wanted(suite) {
            steps.step(name, || in_browser(workspace, name, options.screenshots.as_deref()));
        }
    }
    if wanted(Suite::Conformance) {
        for (tool, script) in [("scim2-tester", "tests/tester.py"), ("scim-sanity", "tests/sanity.py")] {
            steps.step(tool, || conformance(workspace, tool, script));
        }
    }
    steps.finish("e2e")
}

fn suites(workspace: &Workspace, words: &[&str]) -> Result<()> {
    let debug = workspace.target.join("debug");
    let mut suites = workspace.command(debug.join("e2e"));
    suites.arg("--rollcall").arg(debug.join("rollcall")).args(words);
    run_program(&mut suites, &format!("e2e {}", words.join(" ")))
}

fn in_browser(workspace: &Workspace, suite: &str, screenshots: Option<&Path>) -> Result<()> {
    let scripts = workspace.root.join("tests/browser");
    node_modules(workspace, &scripts)?;
    let mut words = vec![suite.to_owned(), "--browser".to_owned(), scripts.to_string_lossy().into_owned()];
    if let Some(directory) = screenshots {
        let directory = std::path::absolute(directory)?;
        words.extend(["--screenshots".to_owned(), directory.to_string_lossy().into_owned()]);
    }
    suites(workspace, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn conformance(workspace: &Workspace, tool: &str, script: &str) -> Result<()> {
    let python = python(workspace, &workspace.root.join("tests/requirements.txt"))?;
    suites(workspace, &[tool, "--python", &python.to_string_lossy(), "--script", script])
}
