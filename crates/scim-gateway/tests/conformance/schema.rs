//! RFC 7643 sections 2 to 4.

use scim::schema::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};

use crate::{
    encoded,
    harness::{BASE, Server, text},
    kit, names, with_kit,
};

#[tokio::test]
async fn every_answer_names_its_schemas() {
    let (server, user) = with_kit().await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    for path in [&user, &group, "/Users", "/Groups", "/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/Nothing"]
    {
        let body = server.get(path).await.json();
        let own = body["Resources"].as_array().cloned().unwrap_or_default();
        for document in std::iter::once(&body).chain(&own) {
            let schemas = document["schemas"].as_array().unwrap_or_else(|| panic!("{path}: {document}"));
            assert!(!schemas.is_empty() && schemas.iter().all(|urn| text(urn).starts_with("urn:ietf:params:scim:")));
        }
    }
}

/// The URIs of a resource and of what it refers to, wherever they stand.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(uri) if name == "$ref" || name == "location" => found.push(uri.clone()),
                    value => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn references_are_uris_that_answer() {
    let (server, user) = with_kit().await;
    let id = user.trim_start_matches("/Users/");
    let inner = server.group("Inner", &[id]).await;
    let group = format!("/Groups/{}", server.group("Outer", &[&inner, id]).await);
    let mut uris = Vec::new();
    for path in [&user, &group, "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        references(&server.get(path).await.is(200).json(), &mut uris);
    }
    assert!(uris.len() > 10, "{uris:?}");
    for uri in uris {
        let path = uri.strip_prefix(BASE).unwrap_or_else(|| panic!("{uri} is not below {BASE}"));
        let found = server.get(path).await.is(200).json();
        assert_eq!(found["meta"]["location"], uri);
    }
    server.delete(&user).await.is(204);
    server.get(&user).await.refused(404, None, "");
}

#[tokio::test]
async fn the_order_of_names_means_nothing() {
    let server = Server::start().await;
    let one = r#"{"userName":"a","name":{"givenName":"A","familyName":"B"},"emails":[{"value":"a@x","type":"work"}]}"#;
    let other =
        r#"{"emails":[{"type":"work","value":"a@x"}],"name":{"familyName":"B","givenName":"A"},"userName":"a"}"#;
    let mut shown = Vec::new();
    for body in [one, other] {
        let mut user = server.send("POST", "/Users", &[], Some(body)).await.is(201).json();
        server.delete(&format!("/Users/{}", text(&user["id"]))).await.is(204);
        for own in ["id", "meta"] {
            user.as_object_mut().expect("object").remove(own);
        }
        shown.push(user);
    }
    assert_eq!(shown[0], shown[1]);
}

#[tokio::test]
async fn one_value_is_primary_at_most() {
    let (server, user) = with_kit().await;
    for name in ["emails", "phoneNumbers", "ims", "photos", "entitlements", "roles", "x509Certificates", "addresses"] {
        let key = if name == "addresses" { "locality" } else { "value" };
        let value = |text: &str, primary: bool| json!({key: text, "primary": primary});
        let mut body = json!({"userName": name, name: [value("TWFu", true), value("TWE=", true)]});
        server.post("/Users", &body).await.refused(400, Some("invalidValue"), name);
        server.put(&user, &body).await.refused(400, Some("invalidValue"), name);
        body[name][0]["primary"] = json!(false);
        let created = server.post("/Users", &body).await.is(201).json();
        assert_eq!(created[name][1]["primary"], true);
    }
}

#[tokio::test]
async fn a_value_is_primary_only_if_it_says_so() {
    let (server, _) = with_kit().await;
    let body = json!({"userName": "none", "emails": [{"value": "n@x", "type": "work"}]});
    server.post("/Users", &body).await.is(201);
    for (filter, expected) in [
        (r#"emails[type eq "work" and primary eq true]"#, &["Kit@Example.com"][..]),
        (r#"emails[type eq "work" and primary eq false]"#, &["none"]),
        (r#"emails[type eq "work" and primary ne true]"#, &["none"]),
        (r#"emails[type eq "home" and primary ne false]"#, &[]),
    ] {
        let list = server.get(&format!("/Users?filter={}", encoded(filter))).await.is(200).json();
        assert_eq!(names(&list), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_member_is_its_id_whatever_its_reference_says() {
    let (server, user) = with_kit().await;
    let id = user.trim_start_matches("/Users/");
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    for host in ["https://scim.example.com/scim/v1", "https://scim.example.com/scim", BASE] {
        let member = json!({"value": id, "$ref": format!("{host}/Users/{id}")});
        server.patch(&group, &json!([{"op": "add", "path": "members", "value": [member]}])).await.is(204);
    }
    let members = server.get(&group).await.is(200).json()["members"].clone();
    assert_eq!(members, json!([{"value": id, "$ref": format!("{BASE}/Users/{id}"), "type": "User"}]));
}

#[tokio::test]
async fn the_same_value_is_kept_once() {
    let server = Server::start().await;
    let twice =
        json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}]);
    let once = json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}]);
    let created = server.post("/Users", &json!({"userName": "a", "emails": twice})).await.is(201).json();
    assert_eq!(created["emails"], once);
    let path = format!("/Users/{}", text(&created["id"]));
    let add = json!([{"op": "add", "path": "emails", "value": [{"value": "a@x", "type": "work"}]}]);
    assert_eq!(server.patch(&path, &add).await.is(200).json()["emails"], once);
    let both = json!([{"op": "replace", "path": "emails[value eq \"a@x\"].type", "value": "other"}]);
    assert_eq!(server.patch(&path, &both).await.is(200).json()["emails"], json!([{"value": "a@x", "type": "other"}]));
}

#[tokio::test]
async fn null_and_empty_are_no_value() {
    let server = Server::start().await;
    let bare = server.post("/Users", &json!({"userName": "bare"})).await.is(201).json();
    let body = json!({"userName": "empty", "title": null, "emails": [], "name": {"givenName": null}, "roles": null});
    let empty = server.post("/Users", &body).await.is(201).json();
    let keys = |user: &Value| user.as_object().expect("object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&bare), keys(&empty));
    let path = format!("/Users/{}", text(&empty["id"]));
    for value in [json!(null), json!([])] {
        let add = json!([{"op": "add", "path": "emails", "value": [{"value": "e@x"}]}]);
        server.patch(&path, &add).await.is(200);
        let replace = json!([{"op": "replace", "path": "emails", "value": value}]);
        assert_eq!(server.patch(&path, &replace).await.is(200).json().get("emails"), None);
    }
    let present = server.get("/Users?filter=emails+pr+or+title+pr").await.is(200).json();
    assert_eq!(present["totalResults"], 0);
}

#[tokio::test]
async fn schemas_hold_what_the_type_has_and_the_body_uses() {
    let server = Server::start().await;
    for (n, (given, extension, expected)) in [
        (json!([USER]), false, json!([USER])),
        (json!([USER, USER, USER]), false, json!([USER])),
        (json!([ENTERPRISE_USER, USER]), true, json!([USER, ENTERPRISE_USER])),
        (json!([USER, "urn:example:2.0:Boat"]), false, json!([USER])),
        (json!([USER]), true, json!([USER, ENTERPRISE_USER])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = json!({"schemas": given, "userName": format!("u{n}")});
        if extension {
            body[ENTERPRISE_USER] = json!({"department": "Pier"});
        }
        assert_eq!(server.post("/Users", &body).await.is(201).json()["schemas"], expected, "{given}");
    }
    for given in [json!([GROUP]), json!([ENTERPRISE_USER]), json!("x")] {
        let body = json!({"schemas": given, "userName": "other"});
        server.post("/Users", &body).await.refused(400, Some("invalidSyntax"), "schemas");
    }
    let group = server.post("/Groups", &json!({"schemas": [GROUP], "displayName": "Ops"})).await.is(201).json();
    assert_eq!(group["schemas"], json!([GROUP]));
}

#[tokio::test]
async fn common_attributes_belong_to_every_resource() {
    let server = Server::start().await;
    for (endpoint, body) in [
        ("/Users", json!({"schemas": [USER], "userName": "a", "externalId": "Ext-1"})),
        ("/Groups", json!({"schemas": [GROUP], "displayName": "a", "externalId": "Ext-1"})),
    ] {
        let created = server.post(endpoint, &body).await.is(201).json();
        let path = format!("{endpoint}/{}", text(&created["id"]));
        for shown in [&created, &server.get(&path).await.is(200).json(), &server.put(&path, &body).await.is(200).json()]
        {
            assert!(!text(&shown["id"]).is_empty());
            assert_eq!(shown["externalId"], "Ext-1");
            for part in ["resourceType", "created", "lastModified", "location", "version"] {
                assert!(!text(&shown["meta"][part]).is_empty(), "{part}");
            }
        }
        // Section 3.1: externalId is caseExact.
        for (value, total) in [("Ext-1", 1), ("EXT-1", 0)] {
            let list = server.get(&format!("{endpoint}?filter=externalId+eq+%22{value}%22")).await.is(200).json();
            assert_eq!(list["totalResults"], total, "{value}");
        }
    }
}

#[tokio::test]
async fn ids_are_unique_and_stay() {
    let mut server = Server::start().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(server.user(&format!("u{n}")).await);
        ids.push(server.group(&format!("g{n}"), &[]).await);
    }
    let (path, body) = (format!("/Users/{}", ids[0]), json!({"userName": "u0", "title": "x"}));
    assert_eq!(server.put(&path, &body).await.is(200).json()["id"], ids[0]);
    let patch = json!([{"op": "replace", "path": "userName", "value": "other"}]);
    assert_eq!(server.patch(&path, &patch).await.is(200).json()["id"], ids[0]);
    assert_eq!(server.get(&path).await.is(200).json()["id"], ids[0]);
    server.delete(&path).await.is(204);
    ids.push(server.user("other").await);
    let other = server.organization("other").await;
    server.token = server.token(&other, None).await.secret;
    ids.push(server.user("other").await);

    // Digits and letters of a UUID cannot spell bulkId.
    assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id).is_ok()));
    let many = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), many);
}

#[tokio::test]
async fn what_the_server_assigns_is_not_taken_from_clients() {
    let server = Server::start().await;
    let mut body = kit();
    body["id"] = json!("mine");
    body["meta"] = json!({"resourceType": "Boat", "created": "1999-01-01T00:00:00Z", "location": "https://x", "version": "W/\"9\""});
    body["groups"] = json!([{"value": "admins", "display": "Admins"}]);
    let created = server.post("/Users", &body).await.is(201).json();
    assert_ne!(created["id"], "mine");
    assert_eq!(created["meta"]["resourceType"], "User");
    assert!(!created["meta"].to_string().contains("1999"));
    assert!(text(&created["meta"]["location"]).starts_with(BASE));
    assert_ne!(created["meta"]["version"], "W/\"9\"");
    assert_eq!(created.get("groups"), None);
}

#[tokio::test]
async fn an_external_id_is_the_clients_within_its_organization() {
    let mut server = Server::start().await;
    let without = server.post("/Users", &json!({"userName": "none"})).await.is(201).json();
    assert_eq!(without.get("externalId"), None);
    let body = json!({"userName": "a", "externalId": "Ext-1"});
    let ours = server.post("/Users", &body).await.is(201).json();
    let other = server.organization("other").await;
    server.token = server.token(&other, None).await.secret;
    let search = "/Users?filter=externalId+eq+%22Ext-1%22";
    assert_eq!(server.get(search).await.is(200).json()["totalResults"], 0);
    let theirs = server.post("/Users", &body).await.is(201).json();
    let found = server.get(search).await.is(200).json();
    assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &theirs["id"]));
    assert_ne!(ours["id"], theirs["id"]);
}

#[tokio::test]
async fn meta_tells_when_where_and_which() {
    let server = Server::start().await;
    for (endpoint, body) in [("/Users", kit()), ("/Groups", json!({"displayName": "Ops"}))] {
        let answer = server.post(endpoint, &body).await.is(201);
        let meta = answer.json()["meta"].clone();
        let created: jiff::Timestamp = text(&meta["created"]).parse().expect("an instant");
        assert!(created.as_second() > 0);
        assert_eq!(meta["lastModified"], meta["created"]);
        assert_eq!(answer.header("content-location"), meta["location"]);
        assert!(text(&meta["version"]).starts_with("W/\""), "{meta}");
        let path = text(&meta["location"])[BASE.len()..].to_owned();
        assert_eq!(server.get(&path).await.is(200).header("content-location"), meta["location"]);
        let patch = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
        server.patch(&path, &patch).await;
        let changed = server.get(&path).await.is(200).json()["meta"].clone();
        assert_eq!(changed["created"], meta["created"]);
        let modified: jiff::Timestamp = text(&changed["lastModified"]).parse().expect("an instant");
        assert!(modified > created && changed["version"] != meta["version"]);
    }
}

#[tokio::test]
async fn an_extension_is_an_object_of_its_own() {
    let server = Server::start().await;
    let boss = server.user("boss").await;
    let manager = json!({"value": boss, "$ref": format!("{BASE}/Users/{boss}")});
    let mut body = kit();
    body[ENTERPRISE_USER]["manager"] = manager.clone();
    let created = server.post("/Users", &body).await.is(201).json();
    assert_eq!(created[ENTERPRISE_USER], json!({"department": "Pier", "manager": manager}));
    assert_eq!(created.get("department"), None);
    // Without the container the name is not known.
    let flat = server.post("/Users", &json!({"userName": "flat", "department": "Pier"})).await.is(201).json();
    assert!(!flat.to_string().contains("Pier"));
}

#[tokio::test]
async fn a_user_has_a_name_of_its_own() {
    let (server, user) = with_kit().await;
    for missing in [json!({}), json!({"userName": ""}), json!({"userName": null}), json!({"userName": "  "})] {
        server.post("/Users", &missing).await.refused(400, Some("invalidValue"), "userName");
        server.put(&user, &missing).await.refused(400, Some("invalidValue"), "userName");
    }
    let other = format!("/Users/{}", server.user("other").await);
    let body = json!({"userName": "KIT@example.COM"});
    server.post("/Users", &body).await.refused(409, Some("uniqueness"), "userName");
    server.put(&other, &body).await.refused(409, Some("uniqueness"), "userName");
    let patch = json!([{"op": "replace", "path": "userName", "value": "kit@example.com"}]);
    server.patch(&other, &patch).await.refused(409, Some("uniqueness"), "userName");
    let found = server.get("/Users?filter=userName+eq+%22kit%40EXAMPLE.com%22").await.is(200).json();
    assert_eq!(names(&found), ["Kit@Example.com"]);
}

#[tokio::test]
async fn a_password_is_never_returned_nor_kept() {
    let server = Server::start().await;
    let mut body = kit();
    body["password"] = json!("correct horse");
    let created = server.post("/Users", &body).await.is(201);
    let path = format!("/Users/{}", text(&created.json()["id"]));
    let patch = json!([{"op": "replace", "path": "password", "value": "correct horse"}]);
    for answer in [
        created,
        server.put(&path, &body).await.is(200),
        server.patch(&path, &patch).await.is(200),
        server.get(&path).await.is(200),
        server.get(&format!("{path}?attributes=password,userName")).await.is(200),
        server.get("/Users?attributes=password").await.is(200),
    ] {
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!shown.contains("password") && !shown.contains("horse"), "{shown}");
    }
    for filter in ["password+pr", "password+eq+%22correct+horse%22"] {
        server.get(&format!("/Users?filter={filter}")).await.refused(400, Some("invalidFilter"), "password");
    }
}

#[tokio::test]
async fn membership_is_changed_through_the_group() {
    let (server, user) = with_kit().await;
    let id = user.trim_start_matches("/Users/");
    let group = server.group("Ops", &[id]).await;
    let outer = server.group("All", &[&group]).await;
    let expected = json!([
        {"value": group, "$ref": format!("{BASE}/Groups/{group}"), "display": "Ops", "type": "direct"},
        {"value": outer, "$ref": format!("{BASE}/Groups/{outer}"), "display": "All", "type": "indirect"},
    ]);
    assert_eq!(server.get(&user).await.is(200).json()["groups"], expected);

    let mut body = kit();
    body["groups"] = json!([]);
    assert_eq!(server.put(&user, &body).await.is(200).json()["groups"], expected);
    for operation in [
        json!({"op": "remove", "path": "groups"}),
        json!({"op": "add", "path": "groups", "value": [{"value": outer}]}),
        json!({"op": "remove", "path": format!("groups[value eq \"{group}\"]")}),
    ] {
        server.patch(&user, &json!([operation])).await.refused(400, Some("mutability"), "groups");
    }
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]);
    server.patch(&format!("/Groups/{group}"), &remove).await.is(204);
    assert_eq!(server.get(&user).await.is(200).json().get("groups"), None);
}

#[tokio::test]
async fn a_group_has_a_name() {
    let server = Server::start().await;
    let group = format!("/Groups/{}", server.group("Ops", &[]).await);
    for missing in [json!({}), json!({"displayName": ""}), json!({"displayName": null}), json!({"members": []})] {
        server.post("/Groups", &missing).await.refused(400, Some("invalidValue"), "displayName");
        server.put(&group, &missing).await.refused(400, Some("invalidValue"), "displayName");
    }
    assert_eq!(server.get(&group).await.is(200).json()["displayName"], "Ops");
}

#[tokio::test]
async fn names_are_compared_prepared() {
    let server = Server::start().await;
    for (name, same) in [
        // Width, composition, case.
        ("ｋｉｔ@example.com", "KIT@example.com"),
        ("e\u{301}va", "ÉVA"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
        // The profile refuses these for a space and for two directions; then NFKC and case folding decide.
        ("Straße Nord", "STRASSE NORD"),
        ("Kitמשה", "KITמשה"),
    ] {
        server.user(name).await;
        server.post("/Users", &json!({"userName": same})).await.refused(409, Some("uniqueness"), "userName");
        let filter = encoded(&format!("userName eq \"{same}\""));
        // The original spelling is what is shown.
        assert_eq!(names(&server.get(&format!("/Users?filter={filter}")).await.is(200).json()), [name]);
    }
    // RFC 8265 section 3.5: two names.
    for (name, other) in [("fussball", "fußball"), ("σ", "ς")] {
        for name in [name, other] {
            server.user(name).await;
            let filter = encoded(&format!("userName eq \"{name}\""));
            assert_eq!(names(&server.get(&format!("/Users?filter={filter}")).await.is(200).json()), [name]);
        }
    }
    // And these are none.
    for (refused, named) in
        [("henry\u{2163}", "U+2163"), ("\u{265a}", "U+265A"), ("ﬁsh", "U+FB01"), ("O’Brien", "U+2019")]
    {
        server.post("/Users", &json!({"userName": refused})).await.refused(400, Some("invalidValue"), named);
        let user = server.user(&format!("fine-{}", u32::from(refused.chars().last().unwrap_or('x')))).await;
        let rename = json!([{"op": "replace", "path": "userName", "value": refused}]);
        server.patch(&format!("/Users/{user}"), &rename).await.refused(400, Some("invalidValue"), named);
        server.put(&format!("/Users/{user}"), &json!({"userName": refused})).await.refused(
            400,
            Some("invalidValue"),
            named,
        );
    }
    for invisible in ["k\u{200b}it", "k\u{202e}it", "k\u{7}it"] {
        server.post("/Users", &json!({"userName": invisible})).await.refused(400, Some("invalidValue"), "userName");
    }
}
