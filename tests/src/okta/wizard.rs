//! The app that every administrator can make: whole users and whole groups, by PUT.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::okta::{self, Person};

use super::{as_sent, documented_filter, import, members_are, probe, push_new_user};
use crate::transcript::Talk;

pub(super) async fn play(talk: &Talk) -> Result<()> {
    let (kit, plus) = push_users(talk).await?;
    link_to_existing_user(talk).await?;
    groups(talk, &kit, &plus).await?;
    big_import(talk).await
}

/// What is refused is not in it.
pub(super) async fn connect(talk: &Talk) -> Result<()> {
    let (kit, plus) = push_users(talk).await?;
    push_groups(talk, &kit, &plus).await.map(drop)
}

async fn push_users(talk: &Talk) -> Result<(String, String)> {
    probe(talk, 0).await?;
    talk.get(&okta::page("Groups", 1)).await?.list(0)?;

    let kit = Person::new("Kit", "Moor", "example.com");
    let kit_id = push_new_user(talk, &kit, &kit.create()).await?;
    let mut plus = Person::new("Ana", "Öster", "example.com");
    plus.user_name = "Ana+Ops@Example.com".to_owned();
    let plus_id = push_new_user(talk, &plus, &plus.create_with_enterprise("Pier")).await?;
    talk.get(&format!("/Users/{plus_id}"))
        .await?
        .status(200)?
        .is(&format!("/{}/department", okta::ENTERPRISE), "Pier")?
        .is("/schemas", json!([okta::USER, okta::ENTERPRISE]))?;
    matching(talk, &plus, &plus_id).await?;
    probe(talk, 2).await?;

    profile_update(talk, &kit, &kit_id).await?;
    deactivate_and_reactivate(talk, &kit, &kit_id).await?;
    Ok((kit_id, plus_id))
}

async fn matching(talk: &Talk, person: &Person, id: &str) -> Result<()> {
    talk.step("Matching: other letter case, %20 for a space, other attributes");
    for path in [
        okta::find_user(&person.user_name.to_uppercase()),
        okta::find_user(&person.user_name.to_lowercase()),
        documented_filter("userName", &person.user_name),
        documented_filter("externalId", &person.external_id),
        documented_filter("id", id),
        documented_filter("emails", &person.user_name),
        documented_filter("emails.value", &person.user_name),
        documented_filter("displayName", &format!("{} {}", person.given_name, person.family_name)),
    ] {
        talk.get(&path)
            .await?
            .list(1)?
            .is("/Resources/0/id", id)?
            .is("/Resources/0/userName", person.user_name.as_str())?;
    }
    talk.get(&documented_filter("externalId", &person.external_id.to_uppercase())).await?.list(0)?;
    Ok(())
}

async fn profile_update(talk: &Talk, person: &Person, id: &str) -> Result<()> {
    talk.step("Push Profile Updates: the whole user, as the last GET returned it, with mapped values over it");
    let path = format!("/Users/{id}");
    let found = talk.get(&path).await?.status(200)?.body;
    let mut renamed = person.clone();
    renamed.family_name = "Moor-Lee".to_owned();
    let mut body = renamed.overlay(&found);
    // Stale and the server's own: all of it is to be ignored.
    body["groups"] = json!([{"value": "00000000-0000-7000-8000-000000000000", "display": "never"}]);
    body["meta"]["created"] = json!("2001-01-01T00:00:00Z");
    body["name"]["formatted"] = json!("Kit Moor");
    let updated = as_sent(talk.put(&path, &body).await?.status(200)?, &renamed)?
        .is("/id", id)?
        .is("/meta/created", found["meta"]["created"].clone())?
        .is("/meta/location", found["meta"]["location"].clone())?
        .that("the version is another", |user| user.at("/meta/version") != found["meta"]["version"])?
        .that("no membership is read from the body", |user| {
            user.at("/groups").as_array().is_none_or(std::vec::Vec::is_empty)
        })?;
    let version = updated.at("/meta/version");
    let modified = updated.at("/meta/lastModified");

    talk.step("The same PUT again changes nothing");
    talk.put(&path, &body).await?.status(200)?.is("/meta/version", version)?.is("/meta/lastModified", modified)?;

    talk.step("Empty values: text without characters, null and an empty list are no values; `active` left out stays");
    let mut empty = renamed.overlay(&updated.body);
    empty["nickName"] = json!("");
    empty["title"] = Value::Null;
    empty["phoneNumbers"] = json!([]);
    empty["displayName"] = json!("");
    if let Some(object) = empty.as_object_mut() {
        object.remove("active");
        object.remove("locale");
    }
    talk.put(&path, &empty)
        .await?
        .status(200)?
        .lacks("/nickName")?
        .lacks("/title")?
        .lacks("/phoneNumbers")?
        .lacks("/displayName")?
        .lacks("/locale")?
        .is("/active", true)?;
    talk.put(&path, &person.overlay(&found))
        .await?
        .status(200)?
        .is("/displayName", "Kit Moor")?
        .is("/locale", "en-US")?;
    Ok(())
}

async fn deactivate_and_reactivate(talk: &Talk, person: &Person, id: &str) -> Result<()> {
    talk.step("Unassigned: deactivation by PUT, without groups");
    let path = format!("/Users/{id}");
    let mut body = person.overlay(&talk.get(&path).await?.status(200)?.body);
    body["active"] = json!(false);
    if let Some(object) = body.as_object_mut() {
        object.remove("groups");
    }
    talk.put(&path, &body).await?.status(200)?.is("/active", false)?.is("/id", id)?;

    talk.step("Assigned again: the look-up finds the inactive user, PUT reactivates it under the same id");
    let found = talk.get(&okta::find_user(&person.user_name)).await?.list(1)?.is("/Resources/0/active", false)?;
    let found = found.is("/Resources/0/id", id)?.at("/Resources/0");
    let mut body = person.overlay(&found);
    body["active"] = json!(true);
    talk.put(&path, &body).await?.status(200)?.is("/active", true)?.is("/id", id)?;
    Ok(())
}

async fn link_to_existing_user(talk: &Talk) -> Result<()> {
    talk.step("A user that is there already is linked: look-up, GET, PUT; no POST");
    let lou = Person::new("Lou", "Reyes", "example.com");
    // Made by another way in: no externalId yet.
    let body =
        json!({"schemas": [okta::USER], "userName": lou.user_name, "name": {"givenName": "L", "familyName": "R"}});
    let id = talk.post("/Users", &body).await?.status(201)?.is("/active", true)?.id()?;
    talk.get(&okta::find_user(&lou.user_name)).await?.list(1)?.is("/Resources/0/id", id.as_str())?;
    let found = talk.get(&format!("/Users/{id}")).await?.status(200)?.lacks("/externalId")?.body;
    let mut body = lou.overlay(&found);
    body["externalId"] = json!(lou.external_id);
    body["locale"] = json!("en-US");
    as_sent(talk.put(&format!("/Users/{id}"), &body).await?.status(200)?, &lou)?.is("/id", id.as_str())?;

    talk.step("Okta looks up a stale name and creates: 409 says so");
    talk.post("/Users", &lou.create()).await?.refused(409, Some("uniqueness"))?;
    Ok(())
}

/// One with a member, as Okta has it, and an empty one.
async fn push_groups(talk: &Talk, kit: &str, plus: &str) -> Result<(String, Value, String)> {
    talk.step("Push Groups: look-up, POST; an empty group has `members: []`");
    talk.get(&okta::find_group("Ops")).await?.list(0)?;
    let ops = talk.post("/Groups", &okta::create_group("Ops", &[&okta::member(kit, "kit.moor@example.com")])).await?;
    let ops = ops.status(201)?.is("/displayName", "Ops")?.is("/meta/resourceType", "Group")?;
    let location = ops.text("/meta/location")?;
    let ops = ops.header("location", &location)?.id()?;
    let path = format!("/Groups/{ops}");
    let empty = talk.post("/Groups", &okta::create_group("Empty", &[])).await?.status(201)?.id()?;
    members_are(talk, &ops, &[kit]).await?.that("a member is exactly value, $ref and type", |group| {
        let member = group.at("/members/0");
        let keys: Vec<&str> = member.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted == ["$ref", "type", "value"] && member["type"] == "User"
    })?;
    talk.get(&format!("/Users/{kit}"))
        .await?
        .status(200)?
        .holds("/groups", "value", &[&ops])?
        .is("/groups/0/type", "direct")?;

    talk.step("Membership change: GET, then PUT of the whole group");
    let mut body = talk.get(&path).await?.status(200)?.body;
    body["members"] = json!([okta::member(kit, "kit.moor@example.com"), okta::member(plus, "ana@example.com")]);
    talk.put(&path, &body).await?.status(200)?.holds("/members", "value", &[kit, plus])?;
    body["members"] = json!([{"value": plus, "display": null}]);
    talk.put(&path, &body).await?.status(200)?.holds("/members", "value", &[plus])?;
    talk.get(&format!("/Users/{kit}")).await?.status(200)?.lacks("/groups/0")?;

    talk.step("PUT without members keeps them; with an empty list empties");
    if let Some(object) = body.as_object_mut() {
        object.remove("members");
    }
    talk.put(&path, &body).await?.status(200)?.holds("/members", "value", &[plus])?;
    body["members"] = json!([]);
    talk.put(&path, &body).await?.status(200)?.holds("/members", "value", &[])?;
    body["members"] = json!([okta::member(kit, "kit.moor@example.com")]);
    talk.put(&path, &body).await?.status(200)?.holds("/members", "value", &[kit])?;
    Ok((ops, body, empty))
}

async fn groups(talk: &Talk, kit: &str, plus: &str) -> Result<()> {
    let (ops, mut body, empty) = push_groups(talk, kit, plus).await?;
    let path = format!("/Groups/{ops}");
    talk.step("Rename by PUT; the name of another group is refused");
    body["displayName"] = json!("Ops Europe");
    talk.put(&path, &body).await?.status(200)?.is("/displayName", "Ops Europe")?;
    talk.get(&okta::find_group("Ops")).await?.list(0)?;
    talk.get(&okta::find_group("ops europe")).await?.list(1)?.is("/Resources/0/id", ops.as_str())?;
    body["displayName"] = json!("EMPTY");
    talk.put(&path, &body).await?.refused(409, Some("uniqueness"))?;
    talk.post("/Groups", &okta::create_group("ops EUROPE", &[])).await?.refused(409, Some("uniqueness"))?;
    members_are(talk, &ops, &[kit]).await?.is("/displayName", "Ops Europe")?;

    talk.step("Link to an existing group: look-up, GET, PUT");
    let found = talk.get(&okta::find_group("Empty")).await?.list(1)?.text("/Resources/0/id")?;
    talk.transcript.same("the group found", &found, &empty)?;
    let mut body = talk.get(&format!("/Groups/{empty}")).await?.status(200)?.body;
    body["members"] = json!([okta::member(plus, "ana@example.com"), {"value": ops, "display": "Ops Europe"}]);
    talk.put(&format!("/Groups/{empty}"), &body).await?.status(200)?.holds("/members", "value", &[plus, &ops])?;

    talk.step("A group in a group: its users are indirect members of the outer one");
    talk.get(&format!("/Users/{kit}")).await?.status(200)?.holds("/groups", "value", &[&ops, &empty])?.that(
        "the outer one is indirect",
        |user| {
            let groups = user.at("/groups");
            let of = |id: &str| {
                groups.as_array()?.iter().find(|group| group["value"] == id)?["type"].as_str().map(str::to_owned)
            };
            of(&ops).as_deref() == Some("direct") && of(&empty).as_deref() == Some("indirect")
        },
    )?;

    talk.step("An unknown member: the request is refused and nothing is stored");
    let stranger = "00000000-0000-7000-8000-0000000000ff";
    body["members"] = json!([{"value": kit}, {"value": stranger}]);
    body["displayName"] = json!("Half");
    talk.put(&format!("/Groups/{empty}"), &body)
        .await?
        .refused(400, Some("invalidValue"))?
        .that("the stranger is named", |error| {
            error.body["detail"].as_str().is_some_and(|text| text.contains(stranger))
        })?;
    members_are(talk, &empty, &[plus, &ops]).await?.is("/displayName", "Empty")?;

    talk.step("excludedAttributes=members, and the list");
    talk.get(&format!("{path}?excludedAttributes=members")).await?.status(200)?.lacks("/members")?;
    talk.get("/Groups?startIndex=1&count=100&excludedAttributes=members")
        .await?
        .list(2)?
        .lacks("/Resources/0/members")?;

    talk.step("Unlinked and deleted: gone everywhere, and the name is free again");
    talk.delete(&format!("/Groups/{empty}")).await?.status(204)?;
    talk.get(&format!("/Groups/{empty}")).await?.refused(404, None)?;
    talk.delete(&format!("/Groups/{empty}")).await?.refused(404, None)?;
    talk.get("/Groups?startIndex=1&count=100").await?.list(1)?;
    talk.get(&format!("/Users/{kit}")).await?.status(200)?.holds("/groups", "value", &[&ops])?;
    talk.post("/Groups", &okta::create_group("Empty", &[])).await?.status(201)?;
    Ok(())
}

async fn big_import(talk: &Talk) -> Result<()> {
    talk.step("117 more people, made ready for an import");
    for number in 0..117 {
        let person = Person::new("Pat", &format!("Number{number}"), "example.com");
        let body = person.create();
        let reply = talk.client.send_json(http::Method::POST, "/Users", Some(&body)).await?;
        anyhow::ensure!(reply.status == 201, "POST /Users: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    import(talk, "Users", 120).await?;
    import(talk, "Groups", 2).await
}
