//! Accounts in real browsers, with a real OpenID provider: `tests/browser/account.mjs` does what provisioned users do, and prints what
//! it checked, also of the agent that it runs as a process. Afterwards what was secret in the browsers is looked for in everything that the server has.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testkit::process::{Deployment, Program};

use crate::{
    console::{CLIENT_ID, CLIENT_SECRET, Provider, chromium, drive},
    transcript::Transcript,
};

const SLUG: &str = "acme";

/// Runs the suite. `program`: what agents are run by. `scripts`: tests/browser, with its modules installed. `screenshots`: where pictures of each page go.
/// Gives what must be nowhere.
///
/// # Errors
/// If a check does not hold, or there is no Chromium or Node.
pub fn run(
    program: &Program,
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
    let attic = agent_of_the_command_line(deployment, transcript)?;
    let redirect_uris = ["console", "account"].map(|pages| format!("{base}/{pages}/sign-in/callback/{id}"));
    let settings = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": redirect_uris });
    let mut provider = Provider::start(scripts, &settings)?;
    let config = json!({
        "base": base,
        "slug": SLUG,
        "invite": link,
        "token": token,
        "rollcall": program.command().get_program().to_str().context("the program's path is no text")?,
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "chromium": chromium()?,
        "screenshots": screenshots,
    });
    let sweep = drive(scripts, "account.mjs", &config, transcript);
    provider.stop();
    let mut sweep = sweep?;
    sweep.push(attic);
    let listed = deployment.cli_json(&["account", "agent", "list", SLUG])?;
    let states: Vec<_> = [0, 1].map(|at| (&listed["agents"][at]["name"], &listed["agents"][at]["state"])).into();
    transcript.same(
        "both agents are revoked",
        &states,
        &vec![(&json!("cellar"), &json!("revoked")), (&json!("attic"), &json!("revoked"))],
    )?;
    ensure!(sweep.len() >= 12, "only {} secrets were told", sweep.len());
    Ok(sweep)
}

/// Makes one, sees it in the list, and revokes it. Gives its credential.
fn agent_of_the_command_line(deployment: &Deployment, transcript: &Transcript) -> Result<String> {
    transcript.step("an agent is made and revoked at the command line");
    let made = deployment.cli_json(&["account", "agent", "create", SLUG, "--name", "attic"])?;
    let credential = made["credential"].as_str().with_context(|| format!("no credential in {made}"))?;
    transcript.hide(credential);
    transcript.that("its credential is of an agent", credential.starts_with("rc_agent_"))?;
    let listed = deployment.cli_json(&["account", "agent", "list", SLUG])?;
    transcript.same("it is listed without keys", &listed["agents"][0]["state"], &json!("created"))?;
    transcript.that("and without its credential", !listed.to_string().contains(credential))?;
    let id = made["id"].as_str().with_context(|| format!("no id in {made}"))?;
    let revoked = deployment.cli_json(&["account", "agent", "revoke", SLUG, id])?;
    transcript.same("revoked", &revoked["state"], &json!("revoked"))?;
    let nobody = deployment.cli(&["account", "agent", "revoke", SLUG, "00000000-0000-7000-8000-000000000000"])?;
    transcript.that(
        "an agent that is not there is not found",
        !nobody.status.success() && nobody.stderr.contains("no agent with this id"),
    )?;
    Ok(credential.to_owned())
}
