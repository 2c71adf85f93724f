//! What is refused, and what must never be: deprovisioning.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::json;
use testkit::{
    client::Client,
    okta::{self, Person},
    process::Deployment,
};

use super::{members_are, talk};
use crate::{
    forms::{Organization, organization},
    transcript::{Talk, Transcript},
};

pub(super) async fn play(deployment: &Deployment, transcript: &Transcript, other: &Organization) -> Result<()> {
    let own = organization(deployment, transcript, "refusals")?;
    let talk = talk(&own, transcript)?;
    unauthorized(&talk, &own).await?;
    isolation(&talk, &super::talk(other, transcript)?).await?;
    revocation(deployment, &talk, &own).await?;
    switched_off(deployment, &talk, &own).await?;
    lapsed(deployment, &talk, &own).await
}

async fn unauthorized(talk: &Talk, own: &Organization) -> Result<()> {
    talk.step("Without a token, with another scheme, with a token that was never given out: 401");
    let bare = Client::new(&own.scim_url);
    let mut flipped = own.token.clone();
    flipped.replace_range(12..13, if flipped.get(12..13) == Some("A") { "B" } else { "A" });
    for client in [
        bare.clone(),
        bare.with_header("authorization", "Basic dXNlcjpwYXNz")?,
        bare.with_header("authorization", "Bearer")?,
        bare.with_token("rc_scim_nothing")?,
        bare.with_token(&flipped)?,
    ] {
        talk.by(client).get("/Users?startIndex=1&count=2").await?.refused(401, None)?;
    }
    talk.step("The scheme's name in small letters is the same scheme");
    let small = talk.client.with_header("authorization", &format!("bearer {}", own.token))?;
    talk.by(small).get(okta::PROBE).await?.list(0)?;
    Ok(())
}

async fn isolation(talk: &Talk, other: &Talk) -> Result<()> {
    talk.step("Another organization's user and group are not there");
    let user = other.get(okta::PROBE).await?.status(200)?.text("/Resources/0/id")?;
    let group = other.get("/Groups?startIndex=1&count=1").await?.status(200)?.text("/Resources/0/id")?;
    for path in [format!("/Users/{user}"), format!("/Groups/{group}")] {
        talk.get(&path).await?.refused(404, None)?;
        talk.delete(&path).await?.refused(404, None)?;
        talk.patch(&path, &okta::set_active(false))
            .await?
            .that("404 or 400", |a| matches!(a.reply.status, 400 | 404))?;
        other.get(&path).await?.status(200)?;
    }
    talk.get(&format!("/Users?filter=id+eq+%22{user}%22")).await?.list(0)?;
    talk.step("Another organization's user cannot become a member");
    let body = okta::create_group("Mixed", &[&okta::member(&user, "x")]);
    talk.post("/Groups", &body).await?.refused(400, Some("invalidValue"))?;
    talk.get("/Groups").await?.list(0)?;
    talk.step("The same userName in two organizations is two users");
    let name = other.get(&format!("/Users/{user}")).await?.status(200)?.text("/userName")?;
    let body = json!({"schemas": [okta::USER], "userName": name});
    let id = talk.post("/Users", &body).await?.status(201)?.id()?;
    talk.delete(&format!("/Users/{id}")).await?.status(204)?;
    other.get(&format!("/Users/{user}")).await?.status(200)?;
    Ok(())
}

async fn revocation(deployment: &Deployment, talk: &Talk, own: &Organization) -> Result<()> {
    talk.step("A revoked token is refused within a second");
    let second = deployment.cli_json(&["token", "create", &own.slug, "--description", "to be revoked"])?;
    let secret = second["token"].as_str().context("no token")?;
    let id = second["id"].as_str().context("no id")?;
    talk.transcript.hide(secret);
    let client = okta::client(&own.scim_url, secret)?;
    talk.by(client.clone()).get(okta::PROBE).await?.status(200)?;
    deployment.cli_json(&["token", "revoke", &own.slug, id])?;
    let revoked = Instant::now();
    while client.send(Method::GET, okta::PROBE, None).await?.status != 401 {
        ensure!(revoked.elapsed() < Duration::from_secs(1), "the revoked token still works after a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    talk.transcript.held(&format!("refused after {} ms", revoked.elapsed().as_millis()));
    talk.by(client).get(okta::PROBE).await?.refused(401, None)?;
    talk.get(okta::PROBE).await?.status(200)?;
    Ok(())
}

async fn switched_off(deployment: &Deployment, talk: &Talk, own: &Organization) -> Result<()> {
    talk.step("SCIM switched off: 403 for everything, and the error says so");
    let kit = Person::new("Kit", "Moor", "example.com");
    let id = talk.post("/Users", &kit.create()).await?.status(201)?.id()?;
    deployment.cli_json(&["scim", "disable", &own.slug])?;
    let path = format!("/Users/{id}");
    let says_so = |answer: crate::transcript::Answer| {
        answer.refused(403, None)?.that("the detail names SCIM", |error| {
            error.body["detail"].as_str().is_some_and(|text| text.contains("SCIM"))
        })
    };
    says_so(talk.get(okta::PROBE).await?)?;
    says_so(talk.post("/Users", &Person::new("Lou", "Reyes", "example.com").create()).await?)?;
    says_so(talk.patch(&path, &okta::set_active(false)).await?)?;
    says_so(talk.delete(&path).await?)?;
    deployment.cli_json(&["scim", "enable", &own.slug])?;
    talk.get(&path).await?.status(200)?.is("/active", true)?;
    Ok(())
}

async fn lapsed(deployment: &Deployment, talk: &Talk, own: &Organization) -> Result<()> {
    talk.step("A lapsed plan: what gives access is refused, what takes it away works");
    let kit = talk.get(&okta::find_user("kit.moor@example.com")).await?.list(1)?.text("/Resources/0/id")?;
    let ana = Person::new("Ana", "Lee", "example.com");
    let ana_id = talk.post("/Users", &ana.create()).await?.status(201)?.id()?;
    let lou = Person::new("Lou", "Reyes", "example.com");
    let lou_id = talk.post("/Users", &lou.create()).await?.status(201)?.id()?;
    let members = [okta::member(&kit, "kit"), okta::member(&ana_id, "ana")];
    let crew =
        talk.post("/Groups", &okta::create_group("Crew", &[&members[0], &members[1]])).await?.status(201)?.id()?;
    deployment.cli_json(&["org", "plan", &own.slug, "--plan", "enterprise", "--expires-at", "2026-01-01T00:00:00Z"])?;

    let pat = Person::new("Pat", "Doe", "example.com");
    talk.post("/Users", &pat.create()).await?.refused(403, None)?;
    talk.post("/Groups", &okta::create_group("New", &[])).await?.refused(403, None)?;
    let change = okta::patch(json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    talk.patch(&format!("/Users/{kit}"), &change).await?.refused(403, None)?;
    let add = okta::patch(json!([{"op": "add", "path": "members", "value": [{"value": lou_id}]}]));
    talk.patch(&format!("/Groups/{crew}"), &add).await?.refused(403, None)?;
    let found = talk.get(&format!("/Users/{kit}")).await?.status(200)?.lacks("/title")?.body;
    talk.get(okta::PROBE).await?.status(200)?;

    talk.patch(&format!("/Users/{ana_id}"), &okta::set_active(false))
        .await?
        .that("200 or 204", |answer| matches!(answer.reply.status, 200 | 204))?;
    talk.get(&format!("/Users/{ana_id}")).await?.status(200)?.is("/active", false)?;
    talk.patch(&format!("/Users/{ana_id}"), &okta::set_active(true)).await?.refused(403, None)?;
    let mut body = found;
    body["active"] = json!(false);
    talk.put(&format!("/Users/{kit}"), &body).await?.status(200)?.is("/active", false)?;
    let remove = okta::patch(json!([{"op": "remove", "path": format!("members[value eq \"{kit}\"]")}]));
    talk.patch(&format!("/Groups/{crew}"), &remove).await?.status(204)?;
    members_are(talk, &crew, &[&ana_id]).await?;
    talk.delete(&format!("/Users/{lou_id}")).await?.status(204)?;
    talk.delete(&format!("/Groups/{crew}")).await?.status(204)?;

    deployment.cli_json(&["org", "plan", &own.slug, "--plan", "enterprise"])?;
    talk.post("/Users", &pat.create()).await?.status(201)?;
    Ok(())
}
