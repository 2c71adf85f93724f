//! `cargo xtask e2e` starts this: `e2e --rollcall PATH SUITE...`.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use e2e_tests::{
    account, adversary, canary, conformance, console, contract, entra,
    forms::{Form, Options, Running},
    oauth, okta, services,
    transcript::Transcript,
};
use testkit::process::Program;

#[derive(Parser)]
#[command(about = "Black-box suites against real processes")]
struct Cli {
    /// The binary under test
    #[arg(long)]
    rollcall: PathBuf,
    /// Python with the conformance tools
    #[arg(long)]
    python: Option<PathBuf>,
    /// The script that runs the suite's tool
    #[arg(long)]
    script: Option<PathBuf>,
    /// The directory of the browser tests, with its modules installed
    #[arg(long)]
    browser: Option<PathBuf>,
    /// Where pictures of each page go
    #[arg(long)]
    screenshots: Option<PathBuf>,
    /// okta, entra, oauth, services, contract, console, account, adversary, canary, scim2-tester or scim-sanity
    #[arg(required = true)]
    suites: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let transcript = Transcript::default();
    let mut lines = Vec::new();
    let mut failed = 0;
    'suites: for suite in &cli.suites {
        for form in Form::ALL {
            let begin = Instant::now();
            let before = transcript.checks();
            let result = run(&cli, suite, form, &transcript).await;
            let (checks, seconds) = (transcript.checks() - before, begin.elapsed().as_secs_f64());
            let title = format!("{suite} ({})", form.title());
            match result {
                Ok(()) => lines.push(format!("{title}: {checks} checks held, {seconds:.1} s")),
                Err(error) => {
                    failed += 1;
                    lines.push(format!("{title}: FAILED after {checks} checks:\n{error:#}"));
                    break 'suites;
                }
            }
        }
    }
    let summary = format!("\n{}\n{} checks passed, {failed} failed", lines.join("\n"), transcript.checks());
    let _ = writeln!(std::io::stdout(), "{summary}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(cli: &Cli, suite: &str, form: Form, transcript: &Transcript) -> Result<()> {
    let program = Program::at(&cli.rollcall)?;
    transcript.chapter(&format!("{suite}: {}", form.title()));
    if suite == "canary" {
        return canary::run(&program, form, transcript).await;
    }
    if suite == "account" {
        let scripts = cli.browser.as_deref().context("this suite needs --browser")?;
        return account::run(&program, form, scripts, cli.screenshots.as_deref(), transcript).await;
    }
    if suite == "adversary" {
        let scripts = cli.browser.as_deref().context("this suite needs --browser")?;
        return adversary::run(&program, form, scripts, transcript).await;
    }
    let arguments = if suite == "oauth" { vec!["--oauth-loopback-jwks".to_owned()] } else { Vec::new() };
    let running = Running::start_with(&program, form, Options { arguments, ..Options::default() }).await?;
    let result = match suite {
        "okta" => okta::run(&running.deployment, transcript).await,
        "entra" => entra::run(&running.deployment, transcript).await,
        "console" => {
            let scripts = cli.browser.as_deref().context("this suite needs --browser")?;
            console::run(&running.deployment, transcript, scripts, cli.screenshots.as_deref())
        }
        "services" => return services::run(running, transcript).await,
        "oauth" => oauth::run(&running.deployment, transcript).await,
        "contract" => return contract::run(running, &program, transcript).await,
        tool @ ("scim2-tester" | "scim-sanity") => {
            let python = cli.python.as_deref().context("this suite needs --python")?;
            let script = cli.script.as_deref().context("this suite needs --script")?;
            conformance::run(&running.deployment, transcript, tool, python, script)
        }
        other => bail!("there is no suite {other}"),
    };
    if let Err(error) = result {
        bail!("{error:#}\n--- the end of what the processes wrote:\n{}", tail(&running.deployment.output()));
    }
    for output in running.stop()? {
        contract::log_is_clean(&output, transcript)?;
    }
    Ok(())
}

/// The end of a log is where the reason stands.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
