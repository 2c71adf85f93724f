//! Accounts in real browsers, with a real OpenID provider: `tests/browser/account.mjs` does what provisioned users do, and prints what
//! it checked. Afterwards what was secret in the browsers is looked for in everything that the server has.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testkit::process::Deployment;

use crate::{
    console::{CLIENT_ID, CLIENT_SECRET, Provider, chromium, drive},
    transcript::Transcript,
};

const SLUG: &str = "acme";

/// Runs the suite. `scripts`: tests/browser, with its modules installed. `screenshots`: where pictures of each page go.
/// Gives what must be nowhere.
///
/// # Errors
/// If a check does not hold, or there is no Chromium or Node.
pub fn run(
    deployment: &Deployment,
    transcript: &Transcript,
    scripts: &Path,
    screenshots: Option<&Path>,
) -> Result<Vec<String>> {
    let base = deployment.http();
    let created = deployment.cli_json(&["org", "create", SLUG, "--name", "Acme", "--plan", "enterprise"])?;
    let id = created["id"].as_str().with_context(|| format!("no id in {created}"))?;
    deployment.cli_json(&["scim", "enable", SLUG])?;
    let token = deployment.cli_json(&["token", "create", SLUG, "--description", "browser tests"])?;
    let token = token["token"].as_str().context("no token")?;
    transcript.hide(token);
    let invite = deployment.cli_json(&["admin", "invite", SLUG, "--email", "owner@acme.example"])?;
    let link = invite["link"].as_str().with_context(|| format!("no link in {invite}"))?;
    if let Some(secret) = link.rsplit('/').next() {
        transcript.hide(secret);
    }
    let redirect_uris = ["console", "account"].map(|pages| format!("{base}/{pages}/sign-in/callback/{id}"));
    let settings = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": redirect_uris });
    let mut provider = Provider::start(scripts, &settings)?;
    let config = json!({
        "base": base,
        "slug": SLUG,
        "invite": link,
        "token": token,
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "chromium": chromium()?,
        "screenshots": screenshots,
    });
    let sweep = drive(scripts, "account.mjs", &config, transcript);
    provider.stop();
    let sweep = sweep?;
    ensure!(sweep.len() >= 8, "only {} secrets were told", sweep.len());
    Ok(sweep)
}
