//! scim2-tester, the public conformance tool, against an organization of its own.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use testkit::process::Deployment;

use crate::{forms::organization, transcript::Transcript};

/// Runs the script with the tool; it prints each check.
///
/// # Errors
/// If the tool finds an error or something critical.
pub fn run(deployment: &Deployment, transcript: &Transcript, python: &Path, script: &Path) -> Result<()> {
    let own = organization(deployment, transcript, "conformance")?;
    let status = Command::new(python)
        .arg(script)
        .arg(&own.scim_url)
        // Not an argument: those are readable by everyone on the machine.
        .env("SCIM_TOKEN", &own.token)
        .status()
        .with_context(|| format!("running {}", script.display()))?;
    ensure!(status.success(), "scim2-tester found violations, see above");
    transcript.held("scim2-tester: no error, nothing critical");
    Ok(())
}
