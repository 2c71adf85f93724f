//! The project's own tasks: `cargo xtask --help`.
//!
//! Not here: anything that ships. Tasks start programs and read files; they link no crate of the product.

mod bench;
mod browser;
mod ci;
#[cfg(feature = "codegen")]
mod codegen;
mod conformance;
mod dev;
mod dist;
mod e2e;
mod fuzz;
mod mutate;
mod steps;
mod tidy;
mod tools;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::tools::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Rollcall's own tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run Rollcall here, with a demo organization, and say what to type into Okta
    Dev(dev::Options),
    /// Run the tests, fast ones first
    Test,
    /// Everything that must pass before a commit lands: format, lints, rules, licences, docs, tests
    Ci,
    /// Start real processes and play identity providers against them
    E2e(e2e::Options),
    /// Hunt for inputs that break a rule of `scim`, guided by coverage
    Fuzz(fuzz::Options),
    /// Measure requests per second, latency, CPU and memory; `cargo xtask bench --help` has the options
    Bench(bench::Options),
    /// Make docs/conformance.md: each requirement of the RFCs and the test that proves it
    Conformance {
        /// Fail when the page is stale or a named test is missing, write nothing
        #[arg(long)]
        check: bool,
    },
    /// Take each tenant predicate out of the statements and see a test fail for it; minutes
    Mutate,
    /// Check the repository's own rules: who depends on whom, manifests, sources, docs
    Tidy,
    /// Fetch npm's packages and build the modules that members' browsers load
    Browser,
    /// Build the release binary with TLS to PostgreSQL, and pack it with its SHA-256 and bill of materials
    Dist,
    /// Regenerate the gRPC code from proto/
    Codegen {
        /// Fail when the committed code is stale, write nothing
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tools::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let task = Cli::parse().task;
    let workspace = Workspace::find()?;
    match task {
        Task::Dev(options) => dev::run(&workspace, &options),
        Task::Test => ci::test(&workspace),
        Task::Ci => ci::run(&workspace),
        Task::E2e(options) => e2e::run(&workspace, &options),
        Task::Fuzz(options) => fuzz::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Conformance { check } => conformance::run(&workspace, check),
        Task::Mutate => mutate::run(&workspace),
        Task::Browser => browser::build(&workspace),
        Task::Dist => dist::run(&workspace),
        Task::Tidy => tidy::run(&workspace),
        Task::Codegen { check } => codegen(&workspace, check),
    }
}

#[cfg(feature = "codegen")]
fn codegen(workspace: &Workspace, check: bool) -> Result<()> {
    codegen::run(&workspace.root, check)
}

/// Starts this task again, with the protobuf compiler built in.
#[cfg(not(feature = "codegen"))]
fn codegen(workspace: &Workspace, check: bool) -> Result<()> {
    let mut words = vec!["run", "--quiet", "--locked", "--package", "xtask", "--features", "codegen", "--", "codegen"];
    words.extend(check.then_some("--check"));
    workspace.run_cargo(&words)
}

/// The names of the tasks, for checking the docs against.
fn task_names() -> Vec<String> {
    Cli::command().get_subcommands().map(|task| task.get_name().to_owned()).collect()
}

/// The repository, from where this source was compiled.
fn source_root() -> Option<PathBuf> {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(std::path::Path::to_path_buf)
}
