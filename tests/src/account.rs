//! Accounts in real browsers, with a real OpenID provider: `tests/browser/account.mjs` does what provisioned users do, and prints what
//! it checked. Afterwards what was secret in the browsers, and all that is derived from it, is looked for in everything that was sent,
//! logged, exported, told and stored.

pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod stage;

use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use testkit::process::Program;

use self::stage::{Acme, Stage};
use crate::{console::drive, forms::Form, transcript::Transcript};

/// Runs the suite in a form of its own. `scripts`: tests/browser, with its modules installed. `screenshots`: where pictures of each page
/// go.
///
/// # Errors
/// If a check does not hold, or there is no Chromium or Node.
pub async fn run(
    program: &Program,
    form: Form,
    scripts: &Path,
    screenshots: Option<&Path>,
    transcript: &Transcript,
) -> Result<()> {
    let stage = Stage::start(program, form).await?;
    let mut acme = Acme::make(stage.deployment(), scripts, transcript)?;
    let mut config = acme.config(&stage)?;
    config["screenshots"] = json!(screenshots);
    let told = drive(scripts, "account.mjs", &config, transcript);
    acme.provider.stop();
    let told = told.map_err(|error| stage.failed(&error))?;
    ensure!(told.len() >= 9, "only {} secrets were told", told.len());

    transcript.step("What was secret in the browsers, by what people know of it");
    let set_up = secrets::set_up_of(stage.deployment())?;
    let derived = secrets::derive(&stage.recorded.http.exchanges(), &told, &set_up)?;
    transcript.same(
        "accounts and versions of the organization key",
        &(derived.public_keys.len() / 2, derived.organization_keys),
        &(3, 2),
    )?;

    let kept = stage.end(&acme.id, transcript).await?;
    transcript.step("The search");
    kept.is_seen(&derived.public_keys, &acme.id, transcript)?;
    let found = kept.find(&derived.secrets, transcript)?;
    if !found.is_empty() {
        bail!("{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}
