//! Many requests at once for one name and for one group.

use anyhow::Result;
use futures::future::try_join_all;
use http::Method;
use serde_json::json;
use testkit::okta::{self, Person};

use super::members_are;
use crate::transcript::Talk;

pub(super) async fn play(talk: &Talk) -> Result<()> {
    one_name(talk).await?;
    one_group(talk).await
}

async fn one_name(talk: &Talk) -> Result<()> {
    talk.step("100 POSTs of one userName at once, in variants of letter case: one 201, 99 times 409");
    let replies = try_join_all((0_usize..100).map(|number| async move {
        let mut person = Person::new("Kit", "Moor", "example.com");
        // Another letter is large in each.
        person.user_name = person
            .user_name
            .char_indices()
            .map(|(place, c)| if (number >> (place % 7)) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        talk.client.send_json(Method::POST, "/Users", Some(&person.create())).await
    }))
    .await?;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    let mut expected = vec![409; 99];
    expected.insert(0, 201);
    talk.transcript.same("the statuses", &statuses, &expected)?;
    for reply in replies.iter().filter(|reply| reply.status == 409) {
        let body = reply.json()?;
        anyhow::ensure!(body["scimType"] == "uniqueness" && body["schemas"] == json!([okta::ERROR]), "409 with {body}");
    }
    talk.transcript.held("each 409 is a SCIM error with scimType uniqueness");
    talk.get(&okta::find_user("kit.moor@example.com")).await?.list(1)?;
    Ok(())
}

async fn one_group(talk: &Talk) -> Result<()> {
    talk.step("64 PATCHes at once, each adding another member to one group: all are there");
    let created = try_join_all((0..64).map(|number| async move {
        let person = Person::new("Pat", &format!("Number{number}"), "example.com");
        let reply = talk.client.send_json(Method::POST, "/Users", Some(&person.create())).await?;
        let id = reply.json()?["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| anyhow::anyhow!("POST /Users: {}", reply.status))
    }))
    .await?;
    let crew = talk.post("/Groups", &okta::create_group("Crew", &[])).await?.status(201)?.id()?;
    let crew = crew.as_str();
    let replies = try_join_all(created.iter().map(|id| async move {
        let add = okta::patch(json!([
            okta::name_operation(crew, "Crew"),
            {"op": "add", "path": "members", "value": [okta::member(id, "someone")]},
        ]));
        talk.client.send_json(Method::PATCH, &format!("/Groups/{crew}"), Some(&add)).await
    }))
    .await?;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    talk.transcript.same("the statuses", &statuses, &vec![204; 64])?;
    let expected: Vec<&str> = created.iter().map(String::as_str).collect();
    members_are(talk, crew, &expected).await?;
    Ok(())
}
