//! `/ServiceProviderConfig`, `/Schemas`, `/ResourceTypes`: RFC 7643 sections 5 to 7, RFC 7644 section 4.

use serde_json::{Map, Value, json};

use crate::{
    bulk, list,
    schema::{Attribute, ResourceType, Schema, Type},
};

/// What this server can do; the document is derived from it.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// PATCH, RFC 7644 section 3.5.2.
    pub patch: bool,
    /// Bulk, RFC 7644 section 3.7.
    pub bulk: bool,
    /// Filters, RFC 7644 section 3.4.2.2.
    pub filter: bool,
    /// Passwords can be changed: never.
    pub change_password: bool,
    /// Sorting, RFC 7644 section 3.4.2.3.
    pub sort: bool,
    /// Entity tags, RFC 7644 section 3.14.
    pub etag: bool,
    /// Cursor pagination, RFC 9865.
    pub cursor: bool,
}

/// The ServiceProviderConfig document. `oauth`: whether tokens can be had by OAuth 2.0, too.
pub fn service_provider_config(capabilities: &Capabilities, oauth: bool, base_url: &str) -> Value {
    let mut document = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": capabilities.patch},
        "bulk": {
            "supported": capabilities.bulk,
            "maxOperations": if capabilities.bulk { bulk::MAX_OPERATIONS } else { 0 },
            "maxPayloadSize": if capabilities.bulk { bulk::MAX_PAYLOAD } else { 0 },
        },
        "filter": {"supported": capabilities.filter, "maxResults": list::MAX_RESULTS},
        "changePassword": {"supported": capabilities.change_password},
        "sort": {"supported": capabilities.sort},
        "etag": {"supported": capabilities.etag},
        "pagination": {
            "cursor": capabilities.cursor,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": list::DEFAULT_COUNT,
            "maxPageSize": list::MAX_RESULTS,
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A SCIM token in the Authorization header, as RFC 6750 section 2.1 has it.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base_url}/ServiceProviderConfig"),
        },
    });
    if oauth && let Some(schemes) = document["authenticationSchemes"].as_array_mut() {
        schemes.push(json!({
            "type": "oauth2",
            "name": "OAuth 2.0",
            "description": "An access token in the Authorization header, had by an authorization code, client credentials \
                            or a JWT assertion; /.well-known/oauth-authorization-server says where.",
            "specUri": "https://www.rfc-editor.org/info/rfc6749",
            "primary": false,
        }));
    }
    if capabilities.cursor {
        document["pagination"]["cursorTimeout"] = list::CURSOR_TIMEOUT.into();
    }
    document
}

/// One schema as a resource.
pub fn schema(schema: &Schema, base_url: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base_url}/Schemas/{}", schema.id)},
    })
}

/// One resource type as a resource.
pub fn resource_type(rt: &ResourceType, base_url: &str) -> Value {
    let mut document = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": rt.name,
        "name": rt.name,
        "description": rt.description,
        "endpoint": rt.endpoint,
        "schema": rt.schema.id,
        "meta": {"resourceType": "ResourceType", "location": format!("{base_url}/ResourceTypes/{}", rt.name)},
    });
    if !rt.extensions.is_empty() {
        let extensions = rt.extensions.iter().map(|s| json!({"schema": s.id, "required": false}));
        document["schemaExtensions"] = extensions.collect();
    }
    document
}

/// RFC 7643 section 7: which characteristics are shown depends on the type.
fn attribute(attribute: &Attribute) -> Value {
    let mut document = Map::new();
    document.insert("name".to_owned(), attribute.name.as_str().into());
    document.insert("type".to_owned(), attribute.r#type.as_str().into());
    document.insert("multiValued".to_owned(), attribute.multi_valued.into());
    document.insert("description".to_owned(), attribute.description.as_str().into());
    document.insert("required".to_owned(), attribute.required.into());
    if !attribute.canonical_values.is_empty() {
        document.insert("canonicalValues".to_owned(), attribute.canonical_values.clone().into());
    }
    if matches!(attribute.r#type, Type::String | Type::Reference | Type::Binary) {
        document.insert("caseExact".to_owned(), attribute.case_exact.into());
    }
    document.insert("mutability".to_owned(), attribute.mutability.as_str().into());
    document.insert("returned".to_owned(), attribute.returned.as_str().into());
    document.insert("uniqueness".to_owned(), attribute.uniqueness.as_str().into());
    if !attribute.reference_types.is_empty() {
        document.insert("referenceTypes".to_owned(), attribute.reference_types.clone().into());
    }
    if !attribute.sub_attributes.is_empty() {
        let subs = attribute.sub_attributes.iter().map(self::attribute).collect();
        document.insert("subAttributes".to_owned(), subs);
    }
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    const ALL: Capabilities = Capabilities {
        patch: true,
        bulk: false,
        filter: true,
        change_password: false,
        sort: true,
        etag: true,
        cursor: false,
    };

    #[test]
    fn a_capability_flips_its_flag() {
        let on = service_provider_config(&ALL, true, "https://x/scim/v2");
        let off = service_provider_config(&Capabilities { patch: false, ..ALL }, false, "https://x/scim/v2");
        assert_eq!((&on["patch"]["supported"], &off["patch"]["supported"]), (&json!(true), &json!(false)));
        let types = |document: &Value| {
            let schemes = document["authenticationSchemes"].as_array().into_iter().flatten();
            schemes.map(|scheme| scheme["type"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(types(&on), ["oauthbearertoken", "oauth2"]);
        assert_eq!(types(&off), ["oauthbearertoken"]);
        let on_cursor = service_provider_config(&Capabilities { cursor: true, ..ALL }, false, "https://x/scim/v2");
        assert_eq!(on["pagination"].get("cursorTimeout"), None);
        assert_eq!(on_cursor["pagination"]["cursorTimeout"], 3600);
        assert_eq!(on["meta"]["location"], "https://x/scim/v2/ServiceProviderConfig");
    }

    #[test]
    fn schemas_show_what_the_code_enforces() {
        let user = super::schema(&schema::user().schema, "https://x/scim/v2");
        let find =
            |name: &str| user["attributes"].as_array().unwrap().iter().find(|a| a["name"] == name).cloned().unwrap();
        assert_eq!(find("userName")["uniqueness"], "server");
        assert_eq!(find("userName")["caseExact"], false);
        assert_eq!(find("password")["returned"], "never");
        assert_eq!(find("active").get("caseExact"), None);
        assert_eq!(find("groups")["mutability"], "readOnly");
        assert_eq!(find("emails")["subAttributes"][2]["canonicalValues"], json!(["work", "home", "other"]));
        let types = resource_type(schema::user(), "https://x/scim/v2");
        assert_eq!(types["schemaExtensions"][0]["schema"], schema::ENTERPRISE_USER);
    }
}
