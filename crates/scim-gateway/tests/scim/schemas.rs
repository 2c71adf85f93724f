//! Schemas that an organization added, as its clients see them.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Server, text};

const URN: &str = "urn:ietf:params:scim:schemas:extension:acme:2.0:User";

fn document() -> Value {
    json!({"id": URN, "name": "Acme", "attributes": [
        {"name": "badge", "type": "string"},
        {"name": "level", "type": "integer"},
        {"name": "note", "type": "string", "returned": "request"},
    ]})
}

#[tokio::test]
async fn an_added_schema_is_shown_filtered_projected_and_patched() {
    let server = Server::start().await;
    let before = json!({"userName": "early", URN: {"badge": "1"}});
    let early = text(&server.post("/Users", &before).await.is(201).json()["id"]);
    server.add_schema(&server.organization, &document()).await;
    // What the gateway believed of the organization.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let path = format!("/Schemas/{URN}");
    let schema = server.get(&path).await.is(200).json();
    assert_eq!(schema["attributes"][1]["type"], "integer");
    assert_eq!(schema["meta"]["resourceType"], "Schema");
    assert_eq!(schema.get("resourceType"), None);
    assert_eq!(server.get("/Schemas").await.is(200).json()["totalResults"], 4);
    let user_type = server.get("/ResourceTypes/User").await.is(200).json();
    assert_eq!(user_type["schemaExtensions"][1], json!({"schema": URN, "required": false}));
    assert_eq!(server.get("/ResourceTypes/Group").await.is(200).json().get("schemaExtensions"), None);

    let body = json!({"userName": "kit", URN: {"badge": "B7", "level": 3, "note": "n"}});
    let created = server.post("/Users", &body).await.is(201).json();
    assert_eq!(created[URN], json!({"badge": "B7", "level": 3}));
    assert_eq!(created["schemas"], json!([scim::schema::USER, URN]));
    let id = text(&created["id"]);
    let found = server.get(&format!("/Users?filter={URN}:badge%20eq%20%22b7%22&attributes={URN}:note")).await.is(200);
    let found = found.json();
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0][URN], json!({"note": "n"}));
    assert_eq!(
        server.get(&format!("/Users?sortBy={URN}:level")).await.is(200).json()["Resources"][0]["userName"],
        "kit"
    );
    let excluded = server.get(&format!("/Users/{id}?excludedAttributes={URN}")).await.is(200).json();
    assert_eq!(excluded.get(URN), None);
    let operations = json!([{"op": "replace", "value": {format!("{URN}:level"): 4}}]);
    assert_eq!(server.patch(&format!("/Users/{id}"), &operations).await.is(200).json()[URN]["level"], 4);

    let early = server.get(&format!("/Users/{early}")).await.is(200).json();
    assert_eq!(early.get(URN), None, "what was ignored stays away");
    server.get(&format!("/Groups?filter={URN}:badge%20pr")).await.refused(400, Some("invalidFilter"), "");

    let other = server.organization("bolt").await;
    let token = server.token(&other, None).await.secret;
    let bearer = format!("Bearer {token}");
    server.raw("GET", &path, &[("authorization", &bearer)], "").await.refused(404, None, "no schema");
}

/// Issue 5, item 10: overlong numbers are refused, and what is taken comes back as it was, on both databases.
#[tokio::test]
async fn a_number_is_kept_as_it_was_sent_or_refused_by_name() {
    const OF_GROUPS: &str = "urn:ietf:params:scim:schemas:extension:acme:2.0:Group";
    for databases in [[testkit::sqlite(), testkit::sqlite()], [testkit::postgres(), testkit::postgres()]] {
        let mut server = Server::open(Arc::new(databases), |_| {}).await;
        server.enroll("acme").await;
        for (id, resource) in [(URN, "User"), (OF_GROUPS, "Group")] {
            let schema = json!({"id": id, "name": "Acme", "resourceType": resource, "attributes": [
                {"name": "weight", "type": "decimal"},
                {"name": "level", "type": "integer"},
                {"name": "sizes", "type": "decimal", "multiValued": true},
                {"name": "box", "type": "complex", "subAttributes": [{"name": "depth", "type": "decimal"}]},
            ]});
            server.add_schema(&server.organization, &schema).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let user = text(&server.post("/Users", &json!({"userName": "kit"})).await.is(201).json()["id"]);
        let group = text(&server.post("/Groups", &json!({"displayName": "crew"})).await.is(201).json()["id"]);
        let (user, group) = (format!("/Users/{user}"), format!("/Groups/{group}"));

        for (attribute, value, name) in [
            ("weight", "12.54687004804441599076", "`weight`"),
            ("weight", "9007199254740993.0", "`weight`"),
            ("weight", "1e-400", "`weight`"),
            ("weight", "1e400", "`weight`"),
            ("level", "18446744073709551616", "`level`"),
            ("level", "-99999999999999999999", "`level`"),
            ("sizes", "[1.5, 0.12345678901234567890123]", "`sizes`"),
            ("box", "{\"depth\": 3.14159265358979323846}", "`depth`"),
        ] {
            let sent = |urn: &str, rest: &str| format!("{{{rest}, \"{urn}\": {{\"{attribute}\": {value}}}}}");
            let patch =
                format!("{{\"Operations\": [{{\"op\": \"add\", \"value\": {{\"{URN}:{attribute}\": {value}}}}}]}}");
            let by_path = format!(
                "{{\"Operations\": [{{\"op\": \"add\", \"path\": \"{URN}:{attribute}\", \"value\": {value}}}]}}"
            );
            let bulk = format!(
                "{{\"Operations\": [{{\"method\": \"POST\", \"path\": \"/Users\", \"bulkId\": \"b\", \"data\": {}}}]}}",
                sent(URN, "\"userName\": \"b\"")
            );
            for (method, path, body, name) in [
                ("POST", "/Users", sent(URN, "\"userName\": \"a\""), name),
                ("PUT", user.as_str(), sent(URN, "\"userName\": \"kit\""), name),
                ("POST", "/Groups", sent(OF_GROUPS, "\"displayName\": \"a\""), name),
                ("PUT", group.as_str(), sent(OF_GROUPS, "\"displayName\": \"crew\""), name),
                ("PATCH", user.as_str(), patch, attribute),
                ("PATCH", user.as_str(), by_path, ""),
                ("POST", "/Bulk", bulk, name),
            ] {
                let name = if attribute == "box" && !name.is_empty() { "`depth`" } else { name };
                let answer = server.send(method, path, &[], Some(&body)).await;
                answer.refused(400, Some("invalidValue"), "cannot be kept exactly").refused(
                    400,
                    Some("invalidValue"),
                    name,
                );
            }
        }
        for (path, urn, rest) in [(&user, URN, ("userName", "kit")), (&group, OF_GROUPS, ("displayName", "crew"))] {
            for number in ["12.546870048044417", "0.1", "1.5e-7", "123456789012345", "-0.30000000000000004"] {
                let body = format!("{{\"{}\": \"{}\", \"{urn}\": {{\"weight\": {number}}}}}", rest.0, rest.1);
                server.send("PUT", path, &[], Some(&body)).await.is(200);
                let read = server.get(path).await.is(200).json();
                assert_eq!(read[urn]["weight"].to_string(), number);
            }
            let body = format!("{{\"{}\": \"{}\", \"{urn}\": {{\"level\": -9223372036854775808}}}}", rest.0, rest.1);
            server.send("PUT", path, &[], Some(&body)).await.is(200);
            assert_eq!(server.get(path).await.is(200).json()[urn]["level"].as_i64(), Some(i64::MIN));
        }
    }
}
