//! Conformance tools of other people, each against an organization of its own.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use testkit::process::Deployment;

use crate::{forms::organization, transcript::Transcript};

/// Runs the script with the tool; it prints each check.
///
/// # Errors
/// If the script finds a violation.
pub fn run(deployment: &Deployment, transcript: &Transcript, tool: &str, python: &Path, script: &Path) -> Result<()> {
    let own = organization(deployment, transcript, tool)?;
    let status = Command::new(python)
        .arg(script)
        .arg(&own.scim_url)
        // Not an argument: those are readable by everyone on the machine.
        .env("SCIM_TOKEN", &own.token)
        // The server is on this machine, whatever proxy the environment names.
        .env("NO_PROXY", "*")
        .status()
        .with_context(|| format!("running {}", script.display()))?;
    ensure!(status.success(), "{tool} found violations, see above");
    transcript.held(&format!("{tool}: no violation"));
    Ok(())
}
