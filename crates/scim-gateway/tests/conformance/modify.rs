//! RFC 7644 section 3.5: PUT and PATCH.

use scim::schema::{ENTERPRISE_USER, USER};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, ERROR, Server, text},
    kit, with_kit,
};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A user after operations that succeed.
async fn patched(server: &Server, path: &str, operations: Value) -> Value {
    server.patch(path, &operations).await.is(200).json()
}

#[tokio::test]
async fn put_creates_nothing() {
    let server = Server::start().await;
    let id = "0192a0f0-0000-7000-8000-000000000001";
    for (endpoint, body) in [("/Users", kit()), ("/Groups", json!({"displayName": "Ops"}))] {
        server.put(&format!("{endpoint}/{id}"), &body).await.refused(404, None, "");
        server.put(endpoint, &body).await.refused(405, None, "");
        assert_eq!(server.get(endpoint).await.is(200).json()["totalResults"], 0);
    }
}

#[tokio::test]
async fn put_replaces() {
    let (server, user) = with_kit().await;
    let body = json!({"schemas": [USER], "userName": "kit", "name": {"familyName": "Sand"}, "roles": [{"value": "r"}]});
    server.patch(&user, &json!([{"op": "replace", "path": "active", "value": false}])).await.is(200);
    let put = server.put(&user, &body).await.is(200).json();
    assert_eq!((&put["userName"], &put["name"]), (&json!("kit"), &json!({"familyName": "Sand"})));
    assert_eq!(put["roles"], json!([{"value": "r"}]));
    for removed in ["displayName", "title", "emails", "externalId", ENTERPRISE_USER] {
        assert_eq!(put.get(removed), None, "{removed}");
    }
    // A client that leaves it out does not mean to sign anybody in again.
    assert_eq!(put["active"], false);
    assert_eq!(server.get(&user).await.is(200).json(), put);

    let id = text(&put["id"]);
    let group = format!("/Groups/{}", server.group("Ops", &[&id]).await);
    let put = server.put(&group, &json!({"displayName": "Other"})).await.is(200).json();
    assert_eq!((&put["displayName"], &put["members"][0]["value"]), (&json!("Other"), &json!(id)));
    let put = server.put(&group, &json!({"displayName": "Other", "members": []})).await.is(200).json();
    assert_eq!(put["members"], json!([]));
}

#[tokio::test]
async fn put_ignores_what_is_read_only() {
    let (server, user) = with_kit().await;
    let before = server.get(&user).await.is(200).json();
    let mut body = kit();
    body["id"] = json!("other");
    body["meta"] = json!({"created": "1999-01-01T00:00:00Z", "resourceType": "Boat"});
    body["groups"] = json!([{"value": "admins"}]);
    assert_eq!(server.put(&user, &body).await.is(200).json(), before);
}

#[tokio::test]
async fn put_without_a_required_attribute_is_refused() {
    let (server, user) = with_kit().await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    server.put(&user, &json!({"title": "x"})).await.refused(400, Some("invalidValue"), "userName");
    server.put(&group, &json!({"members": []})).await.refused(400, Some("invalidValue"), "displayName");
    assert_eq!(server.get(&user).await.is(200).json()["title"], "Keeper");
}

#[tokio::test]
async fn patch_changes_part() {
    let (server, user) = with_kit().await;
    let mut before = server.get(&user).await.is(200).json();
    let mut after = patched(&server, &user, json!([{"op": "replace", "path": "title", "value": "Guide"}])).await;
    assert_eq!(after["title"], "Guide");
    for shown in [&mut before, &mut after] {
        shown.as_object_mut().expect("an object").retain(|name, _| name != "title" && name != "meta");
    }
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_patch_says_what_it_is() {
    let (server, user) = with_kit().await;
    let send = async |body: Value| -> Answer { server.send("PATCH", &user, &[], Some(&body.to_string())).await };
    let good = json!([{"op": "replace", "path": "title", "value": "Guide"}]);
    send(json!({"schemas": [PATCH_OP], "Operations": good})).await.is(200);
    send(json!({"Operations": good})).await.is(200);
    for wrong in [json!([USER]), json!([ERROR]), json!("x"), json!([7])] {
        let answer = send(json!({"schemas": wrong, "Operations": good})).await.is(400);
        assert!(text(&answer.json()["detail"]).contains("schemas"), "{wrong}");
    }
    for wrong in [json!({"schemas": [PATCH_OP]}), json!({"schemas": [PATCH_OP], "Operations": []})] {
        send(wrong).await.refused(400, Some("invalidSyntax"), "Operations");
    }
    for operation in [
        json!({"path": "title", "value": "x"}),
        json!({"op": "move", "path": "title", "value": "x"}),
        json!({"op": 7, "path": "title", "value": "x"}),
        json!("replace"),
    ] {
        send(json!({"schemas": [PATCH_OP], "Operations": [operation]})).await.refused(400, Some("invalidSyntax"), "");
    }
    let twice = r#"{"Operations":[{"op":"replace","op":"remove","path":"title","value":"x"}]}"#;
    server.send("PATCH", &user, &[], Some(twice)).await.refused(400, Some("invalidSyntax"), "");
}

#[tokio::test]
async fn what_is_not_the_clients_to_change_is_refused() {
    let (server, user) = with_kit().await;
    let before = server.get(&user).await.is(200).body;
    for (op, path, scim_type) in [
        ("replace", "id", "mutability"),
        ("add", "meta.created", "mutability"),
        ("remove", "meta", "mutability"),
        ("replace", "groups", "mutability"),
        ("remove", "groups", "mutability"),
        ("remove", "userName", "mutability"),
        ("add", "boat", "invalidPath"),
        ("replace", "name.boat", "invalidPath"),
    ] {
        let operation = json!([{"op": op, "path": path, "value": "x"}]);
        server.patch(&user, &operation).await.refused(400, Some(scim_type), "");
    }
    for (path, value) in [("active", json!("perhaps")), ("title", json!({"a": 1})), ("emails", json!([7]))] {
        let operation = json!([{"op": "replace", "path": path, "value": value}]);
        server.patch(&user, &operation).await.refused(400, Some("invalidValue"), path);
    }
    assert_eq!(server.get(&user).await.is(200).body, before);
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    let remove = json!([{"op": "remove", "path": "displayName"}]);
    server.patch(&group, &remove).await.refused(400, Some("mutability"), "displayName");
}

#[tokio::test]
async fn schemas_are_those_of_the_resource() {
    let server = Server::start().await;
    let user = format!("/Users/{}", server.user("kit").await);
    let department = format!("{ENTERPRISE_USER}:department");
    // Not said in the request, and the second operation builds on the first.
    let after = patched(
        &server,
        &user,
        json!([
            {"op": "add", "path": department, "value": "Pier"},
            {"op": "replace", "path": format!("{ENTERPRISE_USER}:division"), "value": "Sea"},
        ]),
    )
    .await;
    assert_eq!(after["schemas"], json!([USER, ENTERPRISE_USER]));
    let after = patched(
        &server,
        &user,
        json!([
            {"op": "replace", "path": "schemas", "value": [USER]},
            {"op": "add", "path": department, "value": "Dock"},
        ]),
    )
    .await;
    assert_eq!(
        (&after["schemas"], &after[ENTERPRISE_USER]["department"]),
        (&json!([USER, ENTERPRISE_USER]), &json!("Dock"))
    );
    let after = patched(&server, &user, json!([{"op": "remove", "path": ENTERPRISE_USER}])).await;
    assert_eq!((&after["schemas"], after.get(ENTERPRISE_USER)), (&json!([USER]), None));
}

#[tokio::test]
async fn a_new_primary_value_takes_over() {
    let (server, user) = with_kit().await;
    let primary = |user: &Value| {
        let emails = user["emails"].as_array().cloned().unwrap_or_default();
        emails.iter().filter(|email| email["primary"] == true).map(|email| text(&email["value"])).collect::<Vec<_>>()
    };
    let home = json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]);
    assert_eq!(primary(&patched(&server, &user, home).await), ["kit@home.example"]);
    let new = json!([{"op": "add", "path": "emails", "value": [{"value": "new@x", "primary": true}]}]);
    assert_eq!(primary(&patched(&server, &user, new).await), ["new@x"]);
}

#[tokio::test]
async fn a_patch_happens_whole_or_not_at_all() {
    let (server, user) = with_kit().await;
    let member = server.user("member").await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    let name = json!({"op": "replace", "path": "displayName", "value": "Changed"});
    let members = json!({"op": "add", "path": "members", "value": [{"value": member}]});
    for (path, good, bad) in [
        (&user, json!([name]), json!({"op": "add", "path": "boat", "value": 1})),
        (&user, json!([name]), json!({"op": "replace", "path": "active", "value": "perhaps"})),
        (&user, json!([name]), json!({"op": "replace", "path": "userName", "value": "member"})),
        (&group, json!([name, members]), json!({"op": "add", "path": "boat", "value": 1})),
        (&group, json!([name, members]), json!({"op": "add", "path": "members", "value": [{"value": "nobody"}]})),
    ] {
        let before = server.get(path).await.is(200).body;
        let mut operations = good.as_array().cloned().unwrap_or_default();
        operations.push(bad.clone());
        let answer = server.patch(path, &json!(operations)).await;
        assert!([400, 409].contains(&answer.status.as_u16()), "{bad}");
        assert_eq!(answer.json()["schemas"], json!([ERROR]));
        assert!(!text(&answer.json()["detail"]).is_empty());
        assert_eq!(server.get(path).await.is(200).body, before, "{bad}");
    }
}

#[tokio::test]
async fn a_patch_answers_with_the_resource_or_nothing() {
    let (server, user) = with_kit().await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    let patch =
        |name: &str| json!({"Operations": [{"op": "replace", "path": "displayName", "value": name}]}).to_string();
    let whole = server.send("PATCH", &user, &[], Some(&patch("a"))).await.is(200);
    assert_eq!(whole.json(), server.get(&user).await.is(200).json());
    let nothing = server.send("PATCH", &group, &[], Some(&patch("a"))).await.is(204);
    assert!(nothing.body.is_empty() && !nothing.header("etag").is_empty());
    for path in [&user, &group] {
        let asked =
            server.send("PATCH", &format!("{path}?attributes=displayName"), &[], Some(&patch("b"))).await.is(200);
        let keys: Vec<String> = asked.json().as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys, ["schemas", "id", "displayName"]);
    }
}

#[tokio::test]
async fn add_adds() {
    let (server, user) = with_kit().await;
    for missing in [json!({"op": "add", "path": "title"}), json!({"op": "add"})] {
        server.patch(&user, &json!([missing])).await.refused(400, Some("invalidValue"), "value");
    }
    // A string for `name` would be no set of sub-attributes.
    let text = json!([{"op": "add", "path": "name", "value": "Kit Moor"}]);
    server.patch(&user, &text).await.refused(400, Some("invalidValue"), "name");
    let after = patched(
        &server,
        &user,
        json!([
            {"op": "add", "path": "name", "value": {"middleName": "J"}},
            {"op": "add", "path": "nickName", "value": "K"},
            {"op": "add", "path": "emails", "value": [{"value": "n@x", "type": "other"}]},
            {"op": "add", "value": {"userType": "Guest"}},
        ]),
    )
    .await;
    assert_eq!(after["name"], json!({"familyName": "Moor", "givenName": "Kit", "middleName": "J"}));
    assert_eq!((&after["nickName"], &after["userType"]), (&json!("K"), &json!("Guest")));
    assert_eq!(after["emails"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn what_changes_nothing_is_no_change() {
    let (server, user) = with_kit().await;
    let id = user.trim_start_matches("/Users/");
    let group = format!("/Groups/{}", server.group("Ops", &[id]).await);
    for (path, operation) in [
        (&user, json!({"op": "add", "path": "title", "value": "Keeper"})),
        (&user, json!({"op": "add", "path": "emails", "value": [{"value": "kit@home.example", "type": "home"}]})),
        (&user, json!({"op": "add", "value": {"name": {"givenName": "Kit"}}})),
        (&user, json!({"op": "replace", "path": "active", "value": true})),
        (&group, json!({"op": "add", "path": "members", "value": [{"value": id}]})),
    ] {
        let before = server.get(path).await.is(200);
        let answer = server.patch(path, &json!([operation])).await;
        assert!(answer.status.is_success(), "{operation}");
        let after = server.get(path).await.is(200);
        assert_eq!(before.json()["meta"], after.json()["meta"], "{operation}");
        assert_eq!((before.body, answer.header("etag")), (after.body.clone(), after.header("etag")));
    }
}

#[tokio::test]
async fn remove_takes_away() {
    let (server, user) = with_kit().await;
    for nowhere in [json!({"op": "remove"}), json!({"op": "remove", "value": {"title": "Keeper"}})] {
        server.patch(&user, &json!([nowhere])).await.refused(400, Some("noTarget"), "path");
    }
    let remove = async |path: &str| patched(&server, &user, json!([{"op": "remove", "path": path}])).await;
    assert_eq!(remove("title").await.get("title"), None);
    assert_eq!(remove("name.givenName").await["name"], json!({"familyName": "Moor"}));
    assert_eq!(remove("name.familyName").await.get("name"), None);
    assert_eq!(
        remove("emails[type eq \"work\"]").await["emails"],
        json!([{"value": "kit@home.example", "type": "home"}])
    );
    assert_eq!(remove("emails[type eq \"home\"]").await.get("emails"), None);
    assert_eq!(remove("phoneNumbers").await.get("phoneNumbers"), None);
    assert_eq!(remove("x509Certificates.value").await.get("x509Certificates"), None);
    let unassigned = "/Users?filter=title+pr+or+name+pr+or+emails+pr+or+phoneNumbers+pr+or+x509Certificates+pr";
    assert_eq!(server.get(unassigned).await.is(200).json()["totalResults"], 0);
}

#[tokio::test]
async fn replace_replaces() {
    let (server, user) = with_kit().await;
    for wrong in [json!("x"), json!(null), json!([])] {
        server.patch(&user, &json!([{"op": "replace", "value": wrong}])).await.refused(400, Some("invalidValue"), "");
    }
    let after = patched(
        &server,
        &user,
        json!([
            {"op": "replace", "value": {"title": "Guide", "displayName": "K"}},
            {"op": "replace", "path": "nickName", "value": "Kitty"},
            {"op": "replace", "path": "name", "value": {"givenName": "Ana", "middleName": "J"}},
            {"op": "replace", "path": "emails[value pr].display", "value": "Mail"},
        ]),
    )
    .await;
    assert_eq!((&after["title"], &after["displayName"]), (&json!("Guide"), &json!("K")));
    assert_eq!(after["nickName"], "Kitty");
    assert_eq!(after["name"], json!({"familyName": "Moor", "givenName": "Ana", "middleName": "J"}));
    assert_eq!((&after["emails"][0]["display"], &after["emails"][1]["display"]), (&json!("Mail"), &json!("Mail")));
    let element = json!({"value": "n@x", "type": "home"});
    let after =
        patched(&server, &user, json!([{"op": "replace", "path": "emails[type eq \"home\"]", "value": element}])).await;
    assert_eq!(after["emails"][1]["value"], "n@x");
    for path in ["emails[value eq \"nobody\"].value", "emails[type eq \"boat\"].value", "emails[value eq \"nobody\"]"] {
        let value = if path.ends_with(']') { json!({"value": "x"}) } else { json!("x") };
        let operation = json!([{"op": "replace", "path": path, "value": value}]);
        server.patch(&user, &operation).await.refused(400, Some("noTarget"), "");
    }
    let entra = json!([{"op": "replace", "path": "emails[type eq \"other\"].value", "value": "o@x"}]);
    assert_eq!(patched(&server, &user, entra).await["emails"][2], json!({"value": "o@x", "type": "other"}));
}
