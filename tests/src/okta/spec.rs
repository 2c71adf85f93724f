//! The twelve requests of Okta's published SPEC suite, in its order and with its headers.

use std::time::{Duration, Instant};

use anyhow::Result;
use http::Method;
use serde_json::json;
use testkit::{
    client::Client,
    okta::{self, Person},
};

use crate::transcript::Talk;

pub(super) async fn play(okta_talk: &Talk, bare: &Client) -> Result<()> {
    // The suite expects one complete user to exist.
    let first = Person::new("First", "User", "example.com");
    okta_talk.post("/Users", &first.create()).await?.status(201)?;
    let suite = okta_talk.client.with_header("user-agent", "OKTA SCIM Integration")?;
    let talk = okta_talk.by(suite.with_header("content-type", "application/json")?);

    talk.step("1 Required Test: Users endpoint");
    let list = talk.get("/Users?count=1&startIndex=1").await?.list(1)?.is("/startIndex", 1)?;
    for pointer in ["/id", "/name/familyName", "/name/givenName", "/userName", "/emails/0/value"] {
        list.text(&format!("/Resources/0{pointer}"))?;
    }
    let list = list.is("/Resources/0/active", true)?;
    talk.step("2 Get Users/{id}");
    let id = list.text("/Resources/0/id")?;
    talk.get(&format!("/Users/{id}")).await?.status(200)?.is("", list.at("/Resources/0"))?;
    talk.step("3 Unknown userName");
    talk.get("/Users?filter=userName%20eq%20%22nobody@nowhere.invalid%22").await?.list(0)?;
    talk.step("4 Unknown id, which is no UUID: 404, not 400");
    talk.get("/Users/010101001010101011001010101011").await?.refused(404, None)?;
    talk.step("5 A random mail address does not exist");
    talk.get("/Users?filter=userName%20eq%20%22Runscope300Abc@atko.com%22").await?.list(0)?;
    talk.step("6 Create, as application/json");
    let body = json!({
        "schemas": [okta::USER],
        "userName": "Runscope300Abc@Atko.com",
        "name": {"givenName": "Runscope300", "familyName": "Abc"},
        "emails": [{"primary": true, "value": "Runscope300Abc@Atko.com", "type": "work"}],
        "displayName": "Runscope300 Abc",
        "active": true,
    });
    let created = talk.post("/Users", &body).await?.status(201)?.is("/userName", "Runscope300Abc@Atko.com")?;
    let id = created.is("/active", true)?.id()?;
    talk.step("7 Read back: the name in the letters it was sent in");
    talk.get(&format!("/Users/{id}"))
        .await?
        .status(200)?
        .is("/userName", "Runscope300Abc@Atko.com")?
        .is("/name/givenName", "Runscope300")?
        .is("/name/familyName", "Abc")?;
    talk.step("8 Duplicate");
    talk.post("/Users", &body).await?.refused(409, Some("uniqueness"))?;
    talk.step("9 Username Case Sensitivity Check");
    talk.get("/Users?filter=userName%20eq%20%22RUNSCOPE300ABC@ATKO.COM%22")
        .await?
        .list(1)?
        .is("/Resources/0/id", id)?;
    talk.step("10 Groups endpoint, in less than 600 ms");
    let begin = Instant::now();
    talk.get("/Groups").await?.list(0)?;
    talk.transcript.that("in time", begin.elapsed() < Duration::from_millis(600))?;
    talk.step("11 `Authorization: non-token`");
    let stranger = talk.by(bare.with_header("authorization", "non-token")?);
    stranger.send(Method::GET, "/Users/id", None).await?.refused(401, None)?.is("/status", "401")?;
    talk.step("12 Another made-up id");
    talk.get("/Users/00919288221112222").await?.refused(404, None)?;
    Ok(())
}
