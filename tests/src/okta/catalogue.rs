//! The app from Okta's catalogue: PATCH, in every form that it takes.

use anyhow::Result;
use serde_json::json;
use testkit::okta::{self, Person};

use super::{members_are, probe, push_new_user};
use crate::transcript::Talk;

pub(super) async fn play(talk: &Talk) -> Result<()> {
    probe(talk, 0).await?;
    let kit = Person::new("Kit", "Moor", "example.com");
    let kit_id = push_new_user(talk, &kit, &kit.create()).await?;
    let ana = Person::new("Ana", "Lee", "example.com");
    let ana_id = push_new_user(talk, &ana, &ana.create_with_enterprise("Pier")).await?;
    let lou = Person::new("Lou", "Reyes", "example.com");
    let lou_id = push_new_user(talk, &lou, &lou.create()).await?;
    users(talk, &kit, &kit_id).await?;
    extension(talk, &ana_id).await?;
    let group = groups(talk, &[&kit_id, &ana_id, &lou_id]).await?;
    nothing_half_applied(talk, &group, &kit_id).await?;
    deletion(talk, &group, &lou, &lou_id).await
}

async fn users(talk: &Talk, kit: &Person, id: &str) -> Result<()> {
    let path = format!("/Users/{id}");
    let read = || async { talk.get(&path).await?.status(200) };

    talk.step("Push Profile Updates by PATCH");
    let before = read().await?;
    let operations = json!([
        {"op": "replace", "path": "name.familyName", "value": "Moor-Lee"},
        {"op": "replace", "value": {"title": "Engineer", "name": {"givenName": "Kitty"}}},
        {"op": "add", "path": "phoneNumbers", "value": [{"type": "work", "value": "+1 555 0100"}]},
    ]);
    talk.patch(&path, &okta::patch(operations)).await?.that("200 or 204", |a| matches!(a.reply.status, 200 | 204))?;
    let after = read()
        .await?
        .is("/name/familyName", "Moor-Lee")?
        .is("/name/givenName", "Kitty")?
        .is("/title", "Engineer")?
        .is("/phoneNumbers/0/value", "+1 555 0100")?
        .is("/userName", kit.user_name.as_str())?
        .is("/emails/0/value", kit.user_name.as_str())?
        .is("/externalId", kit.external_id.as_str())?;
    let after = after.that("the version is another", |user| user.at("/meta/version") != before.at("/meta/version"))?;

    talk.step("The same values again change nothing");
    let same = json!([{"op": "replace", "value": {"title": "Engineer"}}]);
    talk.patch(&path, &okta::patch(same)).await?.that("200 or 204", |a| matches!(a.reply.status, 200 | 204))?;
    read()
        .await?
        .is("/meta/version", after.at("/meta/version"))?
        .is("/meta/lastModified", after.at("/meta/lastModified"))?;

    talk.step("Sync Password: accepted, kept nowhere, shown nowhere");
    let password = json!([{"op": "replace", "value": {"password": "Wf4-nothing-keeps-this"}}]);
    talk.patch(&path, &okta::patch(password)).await?.that("no password in the answer", |answer| {
        matches!(answer.reply.status, 200 | 204) && !String::from_utf8_lossy(&answer.reply.body).contains("Wf4")
    })?;
    read().await?.lacks("/password")?;

    talk.step("Deactivate: one replace without a path");
    let patched = talk.patch(&path, &okta::set_active(false)).await?;
    if patched.reply.status == 200 {
        patched.is("/active", false)?;
    }
    read().await?.is("/active", false)?;
    talk.step("Reactivate: the look-up finds the inactive user");
    talk.get(&okta::find_user(&kit.user_name))
        .await?
        .list(1)?
        .is("/Resources/0/id", id)?
        .is("/Resources/0/active", false)?;
    talk.patch(&path, &okta::set_active(true)).await?;
    read().await?.is("/active", true)?.is("/id", id)?;

    talk.step("`active` removed: not shown");
    talk.patch(&path, &okta::patch(json!([{"op": "remove", "path": "active"}]))).await?;
    read().await?.lacks("/active")?;
    talk.patch(&path, &okta::set_active(true)).await?;
    read().await?.is("/active", true)?;
    Ok(())
}

async fn extension(talk: &Talk, id: &str) -> Result<()> {
    talk.step("The enterprise extension by its URN");
    let path = format!("/Users/{id}");
    let operations = json!([
        {"op": "replace", "path": format!("{}:department", okta::ENTERPRISE), "value": "Harbour"},
        {"op": "add", "value": {format!("{}:costCenter", okta::ENTERPRISE): "4130"}},
    ]);
    talk.patch(&path, &okta::patch(operations)).await?;
    talk.get(&path)
        .await?
        .status(200)?
        .is(&format!("/{}/department", okta::ENTERPRISE), "Harbour")?
        .is(&format!("/{}/costCenter", okta::ENTERPRISE), "4130")?
        .is(&format!("/{}/employeeNumber", okta::ENTERPRISE), "701984")?;
    Ok(())
}

async fn groups(talk: &Talk, people: &[&str; 3]) -> Result<String> {
    let [kit, ana, lou] = *people;
    talk.step("Push Groups: look-up, POST");
    talk.get(&okta::find_group("Crew")).await?.list(0)?;
    let id = talk.post("/Groups", &okta::create_group("Crew", &[])).await?.status(201)?.id()?;
    let path = format!("/Groups/{id}");
    let name = |text: &str| okta::name_operation(&id, text);

    talk.step("add, along with the name");
    let add = json!({"op": "add", "path": "members", "value": [okta::member(kit, "kit.moor@example.com")]});
    talk.patch(&path, &okta::patch(json!([name("Crew"), add]))).await?.status(204)?;
    let version = members_are(talk, &id, &[kit]).await?.at("/meta/version");

    talk.step("add again: no change, no other version");
    talk.patch(&path, &okta::patch(json!([name("Crew"), add]))).await?.status(204)?;
    members_are(talk, &id, &[kit]).await?.is("/meta/version", version.clone())?;

    talk.step("remove a stranger: no change");
    let stranger = r#"members[value eq "00000000-0000-7000-8000-0000000000ff"]"#;
    talk.patch(&path, &okta::patch(json!([{"op": "remove", "path": stranger}]))).await?.status(204)?;
    members_are(talk, &id, &[kit]).await?.is("/meta/version", version)?;

    talk.step("several removes and an add in one request");
    let add = json!([
        {"op": "add", "path": "members", "value": [okta::member(ana, "ana@example.com"), {"value": lou, "display": null}]}
    ]);
    talk.patch(&path, &okta::patch(add)).await?.status(204)?;
    members_are(talk, &id, &[kit, ana, lou]).await?;
    let mixed = json!([
        name("Crew"),
        {"op": "remove", "path": format!("members[value eq \"{kit}\"]")},
        {"op": "remove", "path": format!("members[value eq \"{ana}\"]")},
        {"op": "add", "path": "members", "value": [okta::member(kit, "kit.moor@example.com")]},
    ]);
    talk.patch(&path, &okta::patch(mixed)).await?.status(204)?;
    members_are(talk, &id, &[kit, lou]).await?;

    talk.step("push now: replace all");
    let replace = json!([{"op": "replace", "path": "members", "value": [{"value": ana}, {"value": kit}]}]);
    talk.patch(&path, &okta::patch(replace)).await?.status(204)?;
    members_are(talk, &id, &[kit, ana]).await?;
    talk.step("push now, an empty group");
    talk.patch(&path, &okta::patch(json!([{"op": "replace", "path": "members", "value": []}]))).await?.status(204)?;
    members_are(talk, &id, &[]).await?;
    talk.step("overwrite inside the name operation");
    let inside = json!([{"op": "replace", "value": {"id": id, "displayName": "Crew", "members": [{"value": lou}]}}]);
    talk.patch(&path, &okta::patch(inside)).await?.status(204)?;
    members_are(talk, &id, &[lou]).await?;
    let none = json!([{"op": "replace", "value": {"id": id, "displayName": "Crew", "members": []}}]);
    talk.patch(&path, &okta::patch(none)).await?.status(204)?;
    members_are(talk, &id, &[]).await?;

    talk.step("rename, members untouched");
    let back = json!([{"op": "add", "path": "members", "value": [{"value": kit}, {"value": lou}]}]);
    talk.patch(&path, &okta::patch(back)).await?.status(204)?;
    talk.patch(&path, &okta::patch(json!([name("Crew Europe")]))).await?.status(204)?;
    members_are(talk, &id, &[kit, lou]).await?.is("/displayName", "Crew Europe")?;
    talk.get(&okta::find_group("CREW europe")).await?.list(1)?.is("/Resources/0/displayName", "Crew Europe")?;

    talk.step("with `attributes` asked for, PATCH answers the group");
    talk.patch(&format!("{path}?attributes=displayName"), &okta::patch(json!([name("Crew")])))
        .await?
        .status(200)?
        .is("/displayName", "Crew")?
        .is("/id", id.as_str())?
        .lacks("/members")?;
    talk.get(&format!("/Users/{kit}")).await?.status(200)?.is("/groups/0/display", "Crew")?;
    Ok(id)
}

async fn nothing_half_applied(talk: &Talk, group: &str, kit: &str) -> Result<()> {
    talk.step("A PATCH that fails at its end leaves nothing of its beginning");
    let path = format!("/Groups/{group}");
    let before = talk.get(&path).await?.status(200)?;
    let operations = json!([
        okta::name_operation(group, "Half"),
        {"op": "remove", "path": format!("members[value eq \"{kit}\"]")},
        {"op": "add", "path": "members", "value": [{"value": "not-an-id"}]},
    ]);
    talk.patch(&path, &okta::patch(operations)).await?.refused(400, Some("invalidValue"))?;
    talk.get(&path).await?.status(200)?.is("", before.body)?;

    let path = format!("/Users/{kit}");
    let before = talk.get(&path).await?.status(200)?;
    let operations = json!([
        {"op": "replace", "path": "title", "value": "Half"},
        {"op": "replace", "path": "noSuchAttribute", "value": 1},
    ]);
    talk.patch(&path, &okta::patch(operations)).await?.refused(400, Some("invalidPath"))?;
    talk.get(&path).await?.status(200)?.is("", before.body)?;
    Ok(())
}

async fn deletion(talk: &Talk, group: &str, lou: &Person, lou_id: &str) -> Result<()> {
    talk.step("DELETE of a user (other clients do): gone from lists, filters and groups; the name is free again");
    talk.delete(&format!("/Users/{lou_id}")).await?.status(204)?;
    talk.get(&format!("/Users/{lou_id}")).await?.refused(404, None)?;
    talk.patch(&format!("/Users/{lou_id}"), &okta::set_active(false)).await?.refused(404, None)?;
    talk.delete(&format!("/Users/{lou_id}")).await?.refused(404, None)?;
    talk.get(&okta::find_user(&lou.user_name)).await?.list(0)?;
    talk.get(&format!("/Groups/{group}")).await?.status(200)?.that("the group lost the member", |group| {
        group.at("/members").as_array().is_none_or(|members| members.iter().all(|member| member["value"] != lou_id))
    })?;
    let again = talk.post("/Users", &lou.create()).await?.status(201)?.id()?;
    talk.transcript.that("the new user has an id of its own", again != lou_id)
}
