//! RFC 7643 sections 5 to 8, RFC 7644 section 4, RFC 9865 section 4.

use scim::schema::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};

use crate::harness::{BASE, Server, text};

/// The value has a string that is not empty.
#[track_caller]
fn says(document: &Value, name: &str) {
    assert!(document[name].as_str().is_some_and(|text| !text.is_empty()), "`{name}` in {document}");
}

#[tokio::test]
async fn the_configuration_is_complete() {
    let server = Server::start().await;
    let config = server.get("/ServiceProviderConfig").await.is(200).json();
    assert_eq!(config["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]));
    for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
        assert!(config[feature]["supported"].is_boolean(), "{feature}");
    }
    for (feature, name) in [("bulk", "maxOperations"), ("bulk", "maxPayloadSize"), ("filter", "maxResults")] {
        assert!(config[feature][name].is_u64(), "{feature}.{name}");
    }
    let schemes = config["authenticationSchemes"].as_array().expect("an array");
    assert!(!schemes.is_empty());
    for scheme in schemes {
        let known = ["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"];
        assert!(known.contains(&text(&scheme["type"]).as_str()), "{scheme}");
        says(scheme, "name");
        says(scheme, "description");
    }
}

#[tokio::test]
async fn the_configuration_tells_pagination() {
    let server = Server::start().await;
    let pagination = server.get("/ServiceProviderConfig").await.is(200).json()["pagination"].clone();
    assert!(pagination["cursor"].is_boolean());
    assert_eq!(pagination["index"], true);
    assert!(["cursor", "index"].contains(&text(&pagination["defaultPaginationMethod"]).as_str()));
}

#[tokio::test]
async fn resource_types_are_complete() {
    let server = Server::start().await;
    let list = server.get("/ResourceTypes").await.is(200).json();
    let types = list["Resources"].as_array().expect("an array");
    let names: Vec<String> = types.iter().map(|kind| text(&kind["name"])).collect();
    assert_eq!(names, ["User", "Group"]);
    for kind in types {
        for name in ["id", "name", "description", "endpoint", "schema"] {
            says(kind, name);
        }
        assert_eq!(kind["endpoint"], format!("/{}s", text(&kind["name"])));
        server.get(&text(&kind["endpoint"])).await.is(200);
        let extensions = kind["schemaExtensions"].as_array().cloned().unwrap_or_default();
        assert!(extensions.iter().all(|extension| extension["required"].is_boolean()));
        for schema in std::iter::once(kind).chain(&extensions).map(|named| text(&named["schema"])) {
            assert_eq!(server.get(&format!("/Schemas/{schema}")).await.is(200).json()["id"], schema);
        }
    }
    assert_eq!(types[0]["schema"], USER);
    assert_eq!(types[0]["schemaExtensions"][0]["schema"], ENTERPRISE_USER);
    assert_eq!(types[1]["schema"], GROUP);
}

#[tokio::test]
async fn no_extension_is_required() {
    let server = Server::start().await;
    let types = server.get("/ResourceTypes").await.is(200).json();
    for kind in types["Resources"].as_array().expect("an array") {
        let extensions = kind["schemaExtensions"].as_array().cloned().unwrap_or_default();
        assert!(extensions.iter().all(|extension| extension["required"] == false));
    }
    let bare = server.post("/Users", &json!({"userName": "bare"})).await.is(201).json();
    assert_eq!(bare["schemas"], json!([USER]));
}

/// RFC 7643 section 7 of an attribute and its sub-attributes.
fn attribute_is_complete(attribute: &Value) {
    says(attribute, "name");
    says(attribute, "description");
    says(attribute, "type");
    assert!(attribute["multiValued"].is_boolean() && attribute["required"].is_boolean(), "{attribute}");
    let one_of = |name: &str, known: &[&str]| assert!(known.contains(&text(&attribute[name]).as_str()), "{attribute}");
    one_of("mutability", &["readOnly", "readWrite", "immutable", "writeOnly"]);
    one_of("returned", &["always", "never", "default", "request"]);
    one_of("uniqueness", &["none", "server", "global"]);
    if ["string", "reference", "binary"].contains(&text(&attribute["type"]).as_str()) {
        assert!(attribute["caseExact"].is_boolean(), "{attribute}");
    }
    if attribute["type"] == "reference" {
        assert!(attribute["referenceTypes"].as_array().is_some_and(|types| !types.is_empty()), "{attribute}");
    }
    let subs = attribute["subAttributes"].as_array().cloned().unwrap_or_default();
    assert_eq!(attribute["type"] == "complex", !subs.is_empty(), "{attribute}");
    subs.iter().for_each(attribute_is_complete);
}

#[tokio::test]
async fn schemas_are_complete() {
    let server = Server::start().await;
    let list = server.get("/Schemas").await.is(200).json();
    for schema in list["Resources"].as_array().expect("an array") {
        assert_eq!(schema["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
        for name in ["id", "name", "description"] {
            says(schema, name);
        }
        assert!(text(&schema["id"]).starts_with("urn:"));
        let attributes = schema["attributes"].as_array().expect("an array");
        assert!(!attributes.is_empty());
        attributes.iter().for_each(attribute_is_complete);
    }
    let user = server.get(&format!("/Schemas/{USER}")).await.is(200).json();
    let emails = user["attributes"].as_array().into_iter().flatten().find(|a| a["name"] == "emails").cloned();
    let kinds = emails.expect("emails")["subAttributes"].as_array().cloned().unwrap_or_default();
    let kinds = kinds.iter().find(|sub| sub["name"] == "type").cloned().expect("type");
    assert_eq!(kinds["canonicalValues"], json!(["work", "home", "other"]));
}

#[tokio::test]
async fn discovery_lists_are_lists() {
    let server = Server::start().await;
    for (path, ids) in [("/Schemas", &[USER, ENTERPRISE_USER, GROUP][..]), ("/ResourceTypes", &["User", "Group"])] {
        let list = server.get(path).await.is(200).json();
        assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        assert_eq!(list["totalResults"], ids.len());
        let found: Vec<String> =
            list["Resources"].as_array().into_iter().flatten().map(|resource| text(&resource["id"])).collect();
        assert_eq!(found, ids);
        for resource in list["Resources"].as_array().into_iter().flatten() {
            assert!(text(&resource["meta"]["location"]).starts_with(&format!("{BASE}{path}/")));
        }
        for ignored in ["sortBy=id&sortOrder=descending", "startIndex=2&count=1", "count=0", "x=y"] {
            assert_eq!(server.get(&format!("{path}?{ignored}")).await.is(200).json(), list, "{ignored}");
        }
        server.get(&format!("{path}?filter=id+pr")).await.refused(403, None, "filter");
    }
    server.get("/ServiceProviderConfig?filter=id+pr").await.refused(403, None, "filter");
}
