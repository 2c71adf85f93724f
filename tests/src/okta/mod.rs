//! What Okta really sends, from Test Connector Configuration to deletion, by both kinds of app; then the same users and
//! groups over gRPC.
//!
//! Not here: how Okta's requests look. `testkit::okta` says that.

mod catalogue;
mod errors;
mod races;
mod spec;
mod wizard;

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    client::{Client, form_encode},
    okta::{self, Person},
    process::Deployment,
};

use crate::{
    forms::{Organization, organization},
    internal,
    transcript::{Answer, Talk, Transcript},
};

/// Plays everything against a running form.
///
/// # Errors
/// At the first difference.
pub async fn run(deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    transcript.chapter("Okta, App Integration Wizard app: PUT only");
    let acme = organization(deployment, transcript, "wizard")?;
    wizard::play(&talk(&acme, transcript)?).await?;
    internal::compare(deployment, &acme, transcript).await?;

    transcript.chapter("Okta, catalogue app: PATCH");
    let globex = organization(deployment, transcript, "catalogue")?;
    catalogue::play(&talk(&globex, transcript)?).await?;
    internal::compare(deployment, &globex, transcript).await?;

    transcript.chapter("Okta's own SPEC suite");
    let spec = organization(deployment, transcript, "spec")?;
    spec::play(&talk(&spec, transcript)?, &Client::new(&spec.scim_url)).await?;

    transcript.chapter("Refusals: 401, 403, 404, 409, and another organization");
    errors::play(deployment, transcript, &acme).await?;

    transcript.chapter("Races");
    let races = organization(deployment, transcript, "races")?;
    races::play(&talk(&races, transcript)?).await?;
    internal::compare(deployment, &races, transcript).await
}

/// What an administrator's first afternoon with Okta sends: the wizard's app connects, pushes users, changes, deactivations and
/// groups, and nothing of it is refused.
///
/// # Errors
/// At the first difference.
pub async fn connect(talk: &Talk) -> Result<()> {
    wizard::connect(talk).await
}

fn talk(organization: &Organization, transcript: &Transcript) -> Result<Talk> {
    let client = okta::client(&organization.scim_url, &organization.token)?;
    Ok(Talk { client, transcript: transcript.clone() })
}

/// The dialog's only request. The server's numbers must be JSON numbers.
async fn probe(talk: &Talk, total_results: u64) -> Result<()> {
    talk.step("Test Connector Configuration");
    talk.get(okta::PROBE)
        .await?
        .list(total_results)?
        .is("/startIndex", 1)?
        .that("at most 2 users", |list| list.body["Resources"].as_array().is_none_or(|users| users.len() <= 2))?;
    Ok(())
}

/// Match, create, read back.
async fn push_new_user(talk: &Talk, person: &Person, body: &Value) -> Result<String> {
    talk.step(&format!("Push New Users: {}", person.user_name));
    talk.get(&okta::find_user(&person.user_name)).await?.list(0)?.is("/Resources", json!([]))?;
    let created = as_sent(talk.post("/Users", body).await?.status(201)?, person)?;
    let id = created.id()?;
    let location = format!("{}/Users/{id}", talk.client.base());
    let created = created
        .is("/meta/resourceType", "User")?
        .is("/meta/location", location.as_str())?
        .header("location", &location)?
        .that("created and lastModified are the same instant", |user| {
            user.at("/meta/created") == user.at("/meta/lastModified")
        })?
        .that("the ETag is meta.version", |user| user.reply.header("etag") == user.at("/meta/version").as_str())?;
    as_sent(talk.get(&format!("/Users/{id}")).await?.status(200)?, person)?.is("", created.body)?;
    talk.get(&okta::find_user(&person.user_name)).await?.list(1)?.is("/Resources/0/id", id.as_str())?;
    Ok(id)
}

/// The values of a person, exactly as they were sent, and no password.
fn as_sent(answer: Answer, person: &Person) -> Result<Answer> {
    answer
        .is("/userName", person.user_name.as_str())?
        .is("/name/givenName", person.given_name.as_str())?
        .is("/name/familyName", person.family_name.as_str())?
        .is("/emails", json!([{"primary": true, "value": person.user_name, "type": "work"}]))?
        .is("/locale", "en-US")?
        .is("/externalId", person.external_id.as_str())?
        .is("/active", true)?
        .lacks("/password")
}

/// Reads a group's members, whole.
async fn members_are(talk: &Talk, group: &str, expected: &[&str]) -> Result<Answer> {
    talk.get(&format!("/Groups/{group}")).await?.status(200)?.holds("/members", "value", expected)
}

/// Pages as an import does until `totalResults`: everyone exactly once.
async fn import(talk: &Talk, endpoint: &str, expected: u64) -> Result<()> {
    talk.step(&format!("Import {endpoint}, pages of 100"));
    let mut seen = std::collections::BTreeSet::new();
    let mut read = 0;
    loop {
        let page = talk.get(&okta::page(endpoint, read + 1)).await?.status(200)?.is("/totalResults", expected)?;
        let resources = page.at("/Resources").as_array().cloned().unwrap_or_default();
        read += u64::try_from(resources.len())?;
        seen.extend(resources.iter().filter_map(|resource| resource["id"].as_str().map(str::to_owned)));
        if read >= expected || resources.is_empty() {
            break;
        }
    }
    talk.transcript.same("resources read", &read, &expected)?;
    talk.transcript.same("different ids", &seen.len(), &usize::try_from(expected)?)
}

/// The look-up by a filter that Okta's documentation writes with `%20`.
fn documented_filter(attribute: &str, value: &str) -> String {
    format!(
        "/Users?filter={}&startIndex=1&count=100",
        form_encode(&format!("{attribute} eq \"{value}\"")).replace('+', "%20")
    )
}
