//! Those against whom keys are to hold, with all that they have: the identity provider and the SCIM token's holder, who may be anybody;
//! whoever has the database; and a client that tells what it should not, which the search for secrets has to see.
//!
//! Not here: what a member does (suite `account`), and the protocol itself (`crates/account-keys`).

mod idp;
mod loot;
mod member;
mod names;
mod routes;
mod teeth;
mod thief;
mod visitor;

use std::path::Path;

use account_keys::{OrganizationKey, OrganizationKitSecret};
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::Client,
    okta,
    process::{Deployment, Program},
};
use uuid::Uuid;

use self::{
    member::{Keys, Member},
    visitor::{Door, Visitor, between, text},
};
use crate::{
    account::{
        secrets::random,
        stage::{Acme, SLUG, Stage},
    },
    console::{CLIENT_ID, CLIENT_SECRET},
    forms::Form,
    transcript::Transcript,
};

const OWNER: &str = "owner@acme.example";
const OWNERS_PASSWORD: &str = "anvil meadow trumpet socks";
const VICTIM: &str = "victim@acme.example";
const OTHER: &str = "other@acme.example";

/// Who is there, and what they know.
pub(crate) struct Cast {
    base: String,
    scim: Client,
    pub(crate) victim_user: Uuid,
    pub(crate) victim_password: String,
    /// Of the victim.
    keys: Keys,
    /// Accepted, and not confirmed.
    other_user: Uuid,
    pub(crate) organization_key: OrganizationKey,
    /// Passwords, and kits as words.
    told: Vec<String>,
}

/// Runs the suite in a form of its own. `scripts`: tests/browser, with its modules installed.
///
/// # Errors
/// If somebody gets what they should not, or the search does not see what a client tells.
pub async fn run(program: &Program, form: Form, scripts: &Path, transcript: &Transcript) -> Result<()> {
    let stage = Stage::start(program, form).await?;
    let mut acme = Acme::make(stage.deployment(), scripts, transcript)?;
    let played = play(&stage, &acme, scripts, transcript).await;
    acme.provider.stop();
    let told = played.map_err(|error| stage.failed(&error))?;
    teeth::search(stage, &acme.id, &told, transcript).await
}

async fn play(stage: &Stage, acme: &Acme, scripts: &Path, transcript: &Transcript) -> Result<Vec<String>> {
    let mut cast = cast(stage, acme, transcript).await?;
    names::run(stage, &cast, transcript).await?;
    thief::run(stage, &cast, transcript)?;
    idp::run(stage, &mut cast, transcript).await?;
    let mut told = teeth::run(stage, acme, scripts, transcript)?;
    told.append(&mut cast.told);
    Ok(told)
}

/// An owner, a member with the organization key, and one who waits for it.
async fn cast(stage: &Stage, acme: &Acme, transcript: &Transcript) -> Result<Cast> {
    transcript.step("An owner with the organization key, a victim who has it, and a member who waits");
    let (deployment, base) = (stage.deployment(), stage.deployment().http().to_owned());
    deployment.cli_json(&["org", "limit", SLUG, "--requests-per-second", "0"])?;
    provider(deployment, acme)?;
    let scim = okta::client(&format!("{base}/scim/v2"), &acme.token)?;
    for email in [OWNER, VICTIM, OTHER] {
        provision(&scim, email).await?;
    }
    owner(&base, &acme.invite).await?;

    let mut told = Vec::new();
    let mut made: Vec<(Member, Keys)> = Vec::new();
    for (email, password) in
        [(OWNER, OWNERS_PASSWORD), (VICTIM, "cobalt thimble orchard wagon"), (OTHER, "ferry marble cactus dune")]
    {
        let member = Member::sign_in(Visitor::default(), &base, email).await?;
        transcript.same(&format!("{email} signs in"), &member.state().await?, &"setup_required".to_owned())?;
        let keys = member.set_up(password, false).await?;
        told.extend([password.to_owned(), keys.kit.as_ref().context("no kit")?.words().to_string()]);
        made.push((member, keys));
        if email == VICTIM {
            let (owner, owner_keys) = &made[0];
            let kit = OrganizationKitSecret::generate(&mut random);
            told.push(kit.words().to_string());
            let key = OrganizationKey::generate(&mut random);
            let (status, answer) = owner.create_organization_key(owner_keys, &key, &kit).await?;
            ensure!(status == 200, "{answer}");
            transcript.same("the owner confirms", &owner.confirm_all(owner_keys, &key).await?, &1)?;
            made[0].1.organization_key = Some(key);
        }
    }
    let mut made = made.into_iter();
    let (Some((_, owner_keys)), Some((victim, keys)), Some((other, _))) = (made.next(), made.next(), made.next())
    else {
        anyhow::bail!("somebody is missing")
    };
    let organization_key = owner_keys.organization_key.context("no organization key")?;
    // What the search for what is withheld finds where it is given.
    let (opened, released) = victim.unlock("cobalt thimble orchard wagon").await?;
    transcript.that("the victim opens the same keys", opened.secret == keys.secret)?;
    let granted = &released["organizationKey"]["granted"];
    transcript.that("and the organization key", opened.opened(granted)? == organization_key)?;
    let withheld = crate::account::search::Search::new(&loot::withheld(&stage.running.databases()[0])?)?;
    let found = withheld.find("an unlocked session", &victim.visitor.collected());
    let found: Vec<&str> = found.iter().map(|found| &*found.secret).collect();
    for what in ["account_key_wrap.ciphertext", "org_key_grant.ciphertext"] {
        transcript.that(&format!("the search sees {what} where it is given"), found.contains(&what))?;
    }
    Ok(Cast {
        base,
        scim,
        victim_user: victim.of.user,
        victim_password: "cobalt thimble orchard wagon".to_owned(),
        keys,
        other_user: other.of.user,
        organization_key,
        told,
    })
}

/// Connects it by the command line.
fn provider(deployment: &Deployment, acme: &Acme) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("secret");
    std::fs::write(&file, CLIENT_SECRET)?;
    let file = file.to_string_lossy();
    let words = ["sign-in", "set", SLUG, "--issuer", &acme.provider.issuer, "--client-id", CLIENT_ID];
    deployment.cli_json(&[&words[..], &["--client-secret-file", &file]].concat())?;
    Ok(())
}

pub(crate) async fn provision(scim: &Client, email: &str) -> Result<String> {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": email,
        "displayName": email.split('@').next(),
        "emails": [{ "value": email, "primary": true }],
        "active": true,
    });
    let reply = scim.send_json(Method::POST, "/Users", Some(&user)).await?;
    ensure!(reply.status == 201, "{}", text(&reply));
    Ok(reply.json()?["id"].as_str().context("no id")?.to_owned())
}

/// Accepts the invitation, and is known at the provider from then on.
async fn owner(base: &str, invite: &str) -> Result<()> {
    let visitor = Visitor::default();
    let page = text(&visitor.send(Method::GET, invite, &[], None).await?);
    let token = between(&page, "name=\"_token\" value=\"", "\"").with_context(|| format!("no form: {page}"))?;
    let (url, reply) = visitor.submit(invite, &[("_token", token)]).await?;
    ensure!(url == format!("{base}/console"), "{url}: {}", text(&reply));
    let (url, reply) = visitor.sign_in(base, Door::Console, OWNER).await?;
    ensure!(url == format!("{base}/console"), "{url}: {}", text(&reply));
    Ok(())
}

/// The rows that are not of this member.
fn of_others(rows: &[(&'static str, Vec<String>)], user: Uuid) -> Vec<(&'static str, Vec<String>)> {
    let spellings = [user.hyphenated().to_string(), user.simple().to_string()];
    let others = |row: &&String| !spellings.iter().any(|id| row.to_lowercase().contains(id));
    rows.iter().map(|(table, rows)| (*table, rows.iter().filter(others).cloned().collect())).collect()
}

/// For requests whose answer is kept, whatever it is.
fn patch(operations: &[Value]) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}
