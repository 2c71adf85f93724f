//! Microsoft Entra ID's default dialect: capital operations, booleans as text, removal by value.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{client::form_encode, entra, okta, process::Deployment};

use crate::{
    forms::organization,
    internal,
    transcript::{Talk, Transcript},
};

/// Plays Entra against a running form.
///
/// # Errors
/// At the first difference.
pub async fn run(deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    transcript.chapter("Entra ID, default dialect");
    let contoso = organization(deployment, transcript, "contoso")?;
    let client = entra::client(&contoso.scim_url, &contoso.token)?;
    let talk = Talk { client, transcript: transcript.clone() };
    let ana = users(&talk).await?;
    groups(&talk, &ana).await?;
    internal::compare(deployment, &contoso, transcript).await
}

fn find(attribute: &str, value: &str) -> String {
    format!("/Users?filter={}", form_encode(&format!("{attribute} eq \"{value}\"")))
}

async fn users(talk: &Talk) -> Result<String> {
    talk.step("Test Connection: an empty list, not 404");
    talk.get(&find("userName", "6f6e3e6c-7a3c-4b1c-9a52-0c5a5a8a3c11")).await?.list(0)?.is("/Resources", json!([]))?;

    talk.step("Create, match by another attribute");
    let ana = talk.post("/Users", &entra::create_user("ana@contoso.com", "ana-moor")).await?.status(201)?;
    let ana = ana.is("/active", true)?.id()?;
    for (attribute, value) in [
        ("externalId", "ana-moor"),
        ("emails[type eq \"work\"].value", "ana@contoso.com"),
        ("USERNAME", "ANA@contoso.com"),
    ] {
        talk.get(&find(attribute, value)).await?.list(1)?.is("/Resources/0/id", ana.as_str())?;
    }
    talk.step("A wrong attribute mapping: 400 invalidFilter");
    talk.get(&find("emails[type eq \"work\"]", "x")).await?.refused(400, Some("invalidFilter"))?;

    let path = format!("/Users/{ana}");
    talk.step("Capital operations, text booleans, typed e-mails that are not there yet, extension paths");
    let change = |operations: Value| {
        let path = path.clone();
        async move {
            talk.patch(&path, &okta::patch(operations))
                .await?
                .that("200 or 204", |a| matches!(a.reply.status, 200 | 204))
        }
    };
    change(json!([
        entra::operation("Replace", "displayName", json!("Ana M")),
        entra::operation("Replace", "active", json!("False")),
        entra::operation("Add", "emails[type eq \"home\"].value", json!("ana@home.example")),
        entra::operation("Add", &format!("{}:department", okta::ENTERPRISE), json!("Pier")),
    ]))
    .await?;
    talk.get(&path)
        .await?
        .status(200)?
        .is("/displayName", "Ana M")?
        .is("/active", false)?
        .is("/emails/0/value", "ana@contoso.com")?
        .is("/emails/1/value", "ana@home.example")?
        .is("/emails/1/type", "home")?
        .is(&format!("/{}/department", okta::ENTERPRISE), "Pier")?;

    talk.step("The manager as a bare id; removed again without a value");
    let boss = talk.post("/Users", &entra::create_user("boss@contoso.com", "boss")).await?.status(201)?.id()?;
    let manager = format!("{}:manager", okta::ENTERPRISE);
    change(json!([
        entra::operation("Add", &manager, json!(boss)),
        entra::operation("Replace", "active", json!("True"))
    ]))
    .await?;
    talk.get(&path)
        .await?
        .status(200)?
        .is(&format!("/{}/manager/value", okta::ENTERPRISE), boss.as_str())?
        .is("/active", true)?;
    change(json!([{"op": "Remove", "path": manager}])).await?;
    talk.get(&path).await?.status(200)?.lacks(&format!("/{}/manager", okta::ENTERPRISE))?;

    talk.step("Dialect B: dotted and URN keys in one replace without a path");
    change(json!([{"op": "replace", "value": {
        "displayName": "Ana B",
        "name.givenName": "Anna",
        format!("{}:department", okta::ENTERPRISE): "Harbour",
    }}]))
    .await?;
    talk.get(&format!("{path}?aadOptscim062020"))
        .await?
        .status(200)?
        .is("/displayName", "Ana B")?
        .is("/name/givenName", "Anna")?
        .is("/name/familyName", "Moor")?
        .is(&format!("/{}/department", okta::ENTERPRISE), "Harbour")?
        .lacks("/name.givenName")?;

    talk.step("Hard delete: 204, then 404");
    talk.delete(&format!("/Users/{boss}")).await?.status(204)?;
    talk.delete(&format!("/Users/{boss}")).await?.refused(404, None)?;
    Ok(ana)
}

async fn groups(talk: &Talk, ana: &str) -> Result<()> {
    talk.step("Groups carry a URN of Microsoft's, and are read without members");
    let created = talk.post("/Groups", &entra::create_group("Pilots", "pilots-object-id")).await?.status(201)?;
    let id = created.is("/externalId", "pilots-object-id")?.id()?;
    let path = format!("/Groups/{id}");
    let bo = talk.post("/Users", &entra::create_user("bo@contoso.com", "bo")).await?.status(201)?.id()?;
    talk.get(&format!("/Groups?excludedAttributes=members&filter={}", form_encode("displayName eq \"Pilots\"")))
        .await?
        .list(1)?
        .is("/Resources/0/id", id.as_str())?
        .lacks("/Resources/0/members")?;
    talk.post("/Groups", &entra::create_group("pilots", "other")).await?.refused(409, Some("uniqueness"))?;

    talk.step("Add several at once, again, and remove one by value: only that one goes");
    let both = json!([{"value": ana, "$ref": null}, {"value": bo, "$ref": null}]);
    for _ in 0..2 {
        talk.patch(&path, &okta::patch(json!([entra::operation("Add", "members", both.clone())])))
            .await?
            .status(204)?;
    }
    talk.get(&path).await?.status(200)?.holds("/members", "value", &[ana, &bo])?;
    let one = json!([{"value": bo}]);
    talk.patch(&path, &okta::patch(json!([entra::operation("Remove", "members", one)]))).await?.status(204)?;
    talk.get(&path).await?.status(200)?.holds("/members", "value", &[ana])?;

    talk.step("Rename and delete");
    talk.patch(&path, &okta::patch(json!([entra::operation("Replace", "displayName", json!("Crew"))])))
        .await?
        .status(204)?;
    talk.get(&format!("{path}?excludedAttributes=members"))
        .await?
        .status(200)?
        .is("/displayName", "Crew")?
        .lacks("/members")?;
    Ok(())
}
