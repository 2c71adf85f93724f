//! Accounts in real browsers, with a real OpenID provider: `tests/browser/account.mjs` does what provisioned users do, and prints what
//! it checked, also of the agent that it runs as a process. Afterwards what was secret in the browsers, and all that is derived from it, is looked for in everything that was sent,
//! logged, exported, told and stored.

pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod stage;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use testkit::process::{Deployment, Program};

use self::{
    search::{Found, Secret},
    stage::{Acme, GRPC, HTTP, SLUG, Stage},
};
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
    config["rollcall"] = json!(program.command().get_program().to_str().context("the program's path is no text")?);
    let attic = agent_of_the_command_line(stage.deployment(), transcript)?;
    let told = drive(scripts, "account.mjs", &config, transcript);
    acme.provider.stop();
    let told = told.map_err(|error| stage.failed(&error))?;
    // They open nothing, and are shown: where they may be is another matter.
    let (mut credentials, told): (Vec<String>, Vec<String>) =
        told.into_iter().partition(|secret| secret.starts_with("rc_agent_"));
    credentials.push(attic);
    let listed = stage.deployment().cli_json(&["account", "agent", "list", SLUG])?;
    let states: Vec<_> = [0, 1].map(|at| (&listed["agents"][at]["name"], &listed["agents"][at]["state"])).into();
    transcript.same(
        "both agents are revoked",
        &states,
        &vec![(&json!("cellar"), &json!("revoked")), (&json!("attic"), &json!("revoked"))],
    )?;
    ensure!(told.len() >= 21, "only {} secrets were told", told.len());

    transcript.step("What was secret in the browsers, by what people know of it");
    let set_up = secrets::set_up_of(stage.deployment())?;
    let derived = secrets::derive(&stage.recorded.http.exchanges(), &told, &set_up)?;
    transcript.same(
        "accounts and versions of the organization key",
        &(derived.public_keys.len() / 2, derived.organization_keys),
        &(8, 5),
    )?;

    let kept = stage.end(&acme.id, transcript).await?;
    transcript.step("The search");
    kept.is_seen(&derived.public_keys, &acme.id, transcript)?;
    let mut found = kept.find(&derived.secrets, transcript)?;
    let credentials: Vec<Secret> =
        credentials.iter().map(|credential| Secret::text("an agent's credential", credential)).collect();
    found.extend(kept.find(&credentials, transcript)?.into_iter().filter(|found| !may_be_there(found)));
    if !found.is_empty() {
        bail!("{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// A credential is given once and shown with each call; of what is stored it is its hash that is.
fn may_be_there(credential: &Found) -> bool {
    let hashed = credential.encoding.starts_with("its SHA-256") && credential.place.contains("both databases");
    hashed || [HTTP, GRPC].contains(&credential.place.as_str())
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
    let twin = deployment.cli(&["account", "agent", "create", SLUG, "--name", "Attic"])?;
    transcript.that(
        "another one of this name is refused",
        !twin.status.success() && twin.stderr.contains("Give this one another name"),
    )?;
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
