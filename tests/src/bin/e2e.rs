//! `cargo xtask e2e` starts this: `e2e --rollcall PATH SUITE...`.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use e2e_tests::{
    conformance, contract, entra,
    forms::{Form, Running},
    okta,
    transcript::Transcript,
};
use testkit::process::Program;

#[derive(Parser)]
#[command(about = "Black-box suites against real processes")]
struct Cli {
    /// The binary under test
    #[arg(long)]
    rollcall: PathBuf,
    /// Python with scim2-tester, for the conformance suite
    #[arg(long)]
    python: Option<PathBuf>,
    /// The script that runs scim2-tester
    #[arg(long)]
    script: Option<PathBuf>,
    /// okta, entra, contract or conformance
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
    let running = Running::start(&program, form).await?;
    let result = match suite {
        "okta" => okta::run(&running.deployment, transcript).await,
        "entra" => entra::run(&running.deployment, transcript).await,
        "contract" => return contract::run(running, &program, transcript).await,
        "conformance" => {
            let python = cli.python.as_deref().context("conformance needs --python")?;
            let script = cli.script.as_deref().context("conformance needs --script")?;
            conformance::run(&running.deployment, transcript, python, script)
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
