//! What went wrong in other servers, where no other suite has it: docs/incidents.md.

use scim::schema::{GROUP, USER};
use serde_json::{Value, json};

use crate::{
    harness::{Server, text},
    probes::patch,
};

/// Their own ways to say who asks: none, a wrong one, one of another kind.
const CREDENTIALS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("Bearer"),
    Some("Bearer "),
    Some("Bearer \t"),
    Some("Basic dXNlcjpwYXNz"),
    Some("Bearer rcs_unknown"),
    Some("Bearer null"),
];

#[tokio::test]
async fn every_route_and_method_wants_a_token() {
    let server = Server::start().await;
    let spellings = |path: &str| {
        let path = path.replace("{id}", "1").replace("{urn}", "urn:x").replace("{name}", "User");
        [
            path.clone(),
            format!("{path}/"),
            format!("{path}?x=/healthz"),
            format!("{path}#/healthz"),
            path.to_uppercase(),
        ]
    };
    for path in scim_gateway::scim_paths().flat_map(spellings) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for credential in CREDENTIALS {
                let headers: Vec<(&str, &str)> = credential.map(|value| ("authorization", value)).into_iter().collect();
                let answer = server.raw(method, &path, &headers, String::new()).await;
                assert_eq!(answer.status.as_u16(), 401, "{method} {path} {credential:?}");
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn an_external_id_is_never_an_id() {
    let server = Server::start().await;
    let victim = server.user("victim@example.com").await;
    for external in [json!("1"), json!("0"), json!(victim)] {
        let name = format!("u{}@example.com", external.as_str().expect("text").len());
        let body = json!({"schemas": [USER], "userName": format!("{name}-{external}").replace('"', ""), "externalId": external});
        let made = server.post("/Users", &body).await.is(201).json();
        assert_ne!(made["id"], external);
        assert_eq!(made["externalId"], external);
    }
    let body = json!({"schemas": [USER], "userName": "number@example.com", "externalId": 1});
    server.post("/Users", &body).await.refused(400, Some("invalidValue"), "externalId");
    server.get("/Users/1").await.refused(404, None, "no user");
    assert_eq!(server.get(&format!("/Users/{victim}")).await.is(200).json()["userName"], "victim@example.com");
}

#[tokio::test]
async fn a_path_is_one_of_the_schema() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    let path = format!("/Users/{id}");
    for name in ["__proto__", "constructor", "toString", "__proto__.polluted", "constructor.prototype.x"] {
        let operation = json!([{"op": "add", "path": name, "value": "x"}]);
        let answer = server.patch(&path, &operation).await;
        assert_eq!(answer.status.as_u16(), 400, "{name}");
    }
    let before = server.get(&path).await.is(200).json();
    server.patch(&path, &json!([{"op": "add", "value": {"__proto__": {"x": 1}, "constructor.prototype": 1}}])).await;
    let after = server.get(&path).await.is(200).json();
    assert_eq!(
        (&after["userName"], after.as_object().map(serde_json::Map::len)),
        (&before["userName"], before.as_object().map(serde_json::Map::len))
    );
}

#[tokio::test]
async fn a_secret_is_no_filter() {
    let server = Server::start().await;
    server.user("kit@example.com").await;
    for filter in ["password%20pr", "password%20eq%20%22a%22", "password%20sw%20%22a%22", "secret%20pr"] {
        server.get(&format!("/Users?filter={filter}")).await.refused(400, Some("invalidFilter"), "");
    }
}

#[tokio::test]
async fn every_way_to_deactivate_deactivates() {
    let server = Server::start().await;
    let bulk = |method: &str, path: &str, data: Value| {
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
               "Operations": [{"method": method, "path": path, "data": data}]})
    };
    for (n, way) in ["path", "no path", "text", "put", "bulk patch", "bulk put"].iter().enumerate() {
        let name = format!("u{n}@example.com");
        let id = server.user(&name).await;
        let path = format!("/Users/{id}");
        let put = json!({"schemas": [USER], "userName": name, "active": false});
        match *way {
            "path" => server.patch(&path, &json!([{"op": "replace", "path": "active", "value": false}])).await,
            "no path" => server.patch(&path, &json!([{"op": "Replace", "value": {"active": false}}])).await,
            "text" => server.patch(&path, &json!([{"op": "Replace", "path": "active", "value": "False"}])).await,
            "put" => server.put(&path, &put).await,
            "bulk patch" => {
                let data = patch(json!([{"op": "replace", "path": "active", "value": false}]));
                server.post("/Bulk", &bulk("PATCH", &path, data)).await
            }
            _ => server.post("/Bulk", &bulk("PUT", &path, put)).await,
        }
        .is(200);
        assert_eq!(server.get(&path).await.is(200).json()["active"], false, "{way}");
    }
}

async fn members(server: &Server, path: &str) -> Vec<String> {
    let group = server.get(path).await.is(200).json();
    let members = group["members"].as_array().cloned().unwrap_or_default();
    members.iter().map(|member| text(&member["value"])).collect()
}

#[tokio::test]
async fn a_members_patch_that_is_not_understood_keeps_them() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    let path = format!("/Groups/{}", server.group("Ops", &[&id]).await);
    for operation in [
        json!({"op": "replace", "path": "members", "value": [{"display": "Kit"}]}),
        json!({"op": "replace", "path": "members", "value": "all"}),
        json!({"op": "remove", "path": "members[value eq \"\"]"}),
        json!({"op": "remove", "path": "members[value eq"}),
        json!({"op": "replace", "path": "member", "value": []}),
        json!({"op": "set", "path": "members", "value": []}),
    ] {
        server.patch(&path, &json!([operation])).await;
        assert_eq!(members(&server, &path).await, std::slice::from_ref(&id), "{operation}");
    }
}

#[tokio::test]
async fn removing_a_list_removes_no_more() {
    let server = Server::start().await;
    let (a, b) = (server.user("a@example.com").await, server.user("b@example.com").await);
    let path = format!("/Groups/{}", server.group("Ops", &[&a, &b]).await);
    let entra = json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": a}]}]);
    server.patch(&path, &entra).await.is(204);
    assert_eq!(members(&server, &path).await, [b]);
}

#[tokio::test]
async fn a_wildcard_is_a_letter() {
    for databases in testkit::databases().into_iter().zip(testkit::databases()) {
        let mut server = Server::open(std::sync::Arc::new(databases.into()), |_| {}).await;
        server.enroll("acme").await;
        for name in ["a%b@example.com", "a_b@example.com", "axb@example.com", "a\\b@example.com"] {
            server.user(name).await;
        }
        for (letter, found) in [("%25", "a%b@example.com"), ("_", "a_b@example.com"), ("%5C%5C", "a\\b@example.com")] {
            for op in ["co", "sw"] {
                let value = if op == "sw" { format!("a{letter}") } else { letter.to_owned() };
                let list = server.get(&format!("/Users?filter=userName%20{op}%20%22{value}%22")).await.is(200).json();
                assert_eq!((&list["totalResults"], &list["Resources"][0]["userName"]), (&json!(1), &json!(found)));
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused() {
    let server = Server::start().await;
    for body in [
        r#"{"userName": "a@example.com", "userName": "b@example.com"}"#,
        r#"{"userName": "a@example.com", "USERNAME": "b@example.com"}"#,
        r#"{"userName": "a@example.com", "name": {"givenName": "a", "givenName": "b"}}"#,
    ] {
        server.send("POST", "/Users", &[], Some(body)).await.refused(400, Some("invalidSyntax"), "");
    }
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 0);
}

#[tokio::test]
async fn a_host_header_makes_no_link() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    for (name, value) in
        [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")]
    {
        for path in [format!("/Users/{id}"), "/Users".to_owned(), "/ServiceProviderConfig".to_owned()] {
            let answer = server.send("GET", &path, &[(name, value)], None).await.is(200);
            assert!(!String::from_utf8_lossy(&answer.body).contains("evil"), "{name} {path}");
            assert!(!format!("{:?}", answer.headers).contains("evil"), "{name} {path}");
        }
    }
}

#[tokio::test]
async fn a_bulk_path_names_a_resource() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    let group = json!({"schemas": [GROUP], "displayName": "x"});
    for path in [
        "/Users/../Groups",
        "//Users",
        "/Users/%2e%2e/Groups",
        "/Bulk",
        "/Me",
        "https://evil.example/Users",
        "/scim/v2/Users",
        "",
    ] {
        let operation = json!({"method": "POST", "path": path, "bulkId": "a", "data": group});
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [operation]});
        let answer = server.post("/Bulk", &body).await;
        let status = match answer.status.as_u16() {
            200 => text(&answer.json()["Operations"][0]["status"]),
            other => other.to_string(),
        };
        assert!(status.starts_with('4'), "{path}: {status}");
    }
    assert_eq!(server.get("/Users").await.is(200).json()["totalResults"], 1);
    assert_eq!(server.get("/Groups").await.is(200).json()["totalResults"], 0);
    server.get(&format!("/Users/{id}")).await.is(200);
}
