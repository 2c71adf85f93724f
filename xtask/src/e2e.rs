//! `cargo xtask e2e`: builds the binary, then hands over to the suites in `tests/`.

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    steps::Steps,
    tools::{Workspace, python, run as run_program},
};

/// Which suites, and how much is shown.
#[derive(Args)]
pub(crate) struct Options {
    /// Which suite
    #[arg(value_enum, default_value_t = Suite::All)]
    suite: Suite,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Suite {
    /// All of them
    All,
    /// Both kinds of Okta app, Okta's own test suite, races, and the same data over gRPC
    Okta,
    /// Entra ID's default dialect
    Entra,
    /// Every line of the command-line contract, and bad input
    Contract,
    /// scim2-tester, the public conformance tool
    Conformance,
}

/// Runs the suites against all in one on SQLite, then against three processes on PostgreSQL.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    let wanted = |suite: Suite| options.suite == Suite::All || options.suite == suite;
    steps.step("build", || {
        workspace.build_rollcall(false)?;
        workspace.run_cargo(&["build", "--locked", "--package", "e2e-tests", "--bins"])
    });
    for (suite, name) in [(Suite::Contract, "contract"), (Suite::Okta, "okta"), (Suite::Entra, "entra")] {
        if wanted(suite) {
            steps.step(name, || suites(workspace, &[name]));
        }
    }
    if wanted(Suite::Conformance) {
        steps.step("conformance", || run_conformance(workspace));
    }
    steps.finish("e2e")
}

fn suites(workspace: &Workspace, words: &[&str]) -> Result<()> {
    let debug = workspace.target.join("debug");
    let mut suites = workspace.command(debug.join("e2e"));
    suites.arg("--rollcall").arg(debug.join("rollcall")).args(words);
    run_program(&mut suites, &format!("e2e {}", words.join(" ")))
}

fn run_conformance(workspace: &Workspace) -> Result<()> {
    let python = python(workspace, &workspace.root.join("tests/requirements.txt"))?;
    let python = python.to_string_lossy();
    let script = Path::new("tests/conformance.py");
    suites(workspace, &["conformance", "--python", &python, "--script", &script.to_string_lossy()])
}
