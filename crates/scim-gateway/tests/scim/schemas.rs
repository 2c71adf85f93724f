//! Schemas that an organization added, as its clients see them.

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
