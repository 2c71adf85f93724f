//! `/ServiceProviderConfig`, `/Schemas`, `/ResourceTypes`: RFC 7644 section 4. The documents are made in `scim`, from
//! the same values that bodies and filters are checked with.

use axum::{extract::Path, response::Response};
use http::{StatusCode, Uri};
use scim::{
    ErrorKind, ResourceType,
    discovery::{self, Capabilities},
    schema::Schema,
};
use serde_json::Value;

use super::to_json;
use crate::{
    error::{Failure, Result},
    extract,
    gateway::Session,
    reply,
};

/// What this gateway serves.
const CAPABILITIES: Capabilities = Capabilities {
    patch: true,
    bulk: true,
    filter: true,
    change_password: false,
    sort: true,
    etag: true,
    cursor: true,
};

fn resource_types(session: &Session) -> [&ResourceType; 2] {
    [&session.types.user, &session.types.group]
}

fn schemas(session: &Session) -> impl Iterator<Item = &Schema> {
    resource_types(session).into_iter().flat_map(|rt| std::iter::once(&rt.schema).chain(&rt.extensions))
}

pub(crate) async fn service_provider_config(session: Session, uri: Uri) -> Result<Response> {
    no_filter(&uri)?;
    one(&discovery::service_provider_config(&CAPABILITIES, session.oauth, session.base_url()))
}

pub(crate) async fn list_schemas(session: Session, uri: Uri) -> Result<Response> {
    no_filter(&uri)?;
    list(schemas(&session).map(|schema| discovery::schema(schema, session.base_url())).collect())
}

pub(crate) async fn get_schema(session: Session, Path(urn): Path<String>) -> Result<Response> {
    let schema = schemas(&session).find(|schema| schema.id.eq_ignore_ascii_case(&urn)).ok_or_else(|| {
        let known: Vec<&str> = schemas(&session).map(|schema| schema.id.as_str()).collect();
        Failure::new(ErrorKind::NotFound, format!("There is no schema of this name. There are: {}.", known.join(", ")))
    })?;
    one(&discovery::schema(schema, session.base_url()))
}

pub(crate) async fn list_resource_types(session: Session, uri: Uri) -> Result<Response> {
    no_filter(&uri)?;
    list(resource_types(&session).map(|rt| discovery::resource_type(rt, session.base_url())).into())
}

pub(crate) async fn get_resource_type(session: Session, Path(name): Path<String>) -> Result<Response> {
    let rt = resource_types(&session).into_iter().find(|rt| rt.name == name).ok_or_else(|| {
        Failure::new(ErrorKind::NotFound, "There is no resource type of this name. There are: User, Group.")
    })?;
    one(&discovery::resource_type(rt, session.base_url()))
}

/// RFC 7644 section 4: a filter is refused, lest a client believes that it counts.
fn no_filter(uri: &Uri) -> Result<()> {
    if extract::has_parameter(uri, "filter") {
        return Err(Failure::new(
            ErrorKind::Forbidden,
            "This endpoint takes no filter. Leave it out to get all of it.",
        ));
    }
    Ok(())
}

fn one(document: &Value) -> Result<Response> {
    Ok(reply::json(StatusCode::OK, to_json(document)?))
}

fn list(documents: Vec<Value>) -> Result<Response> {
    let mut body = Vec::new();
    let total = i64::try_from(documents.len()).unwrap_or(i64::MAX);
    scim::render::list_open(total, 1, documents.len(), &mut body);
    for (n, document) in documents.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&to_json(document)?);
    }
    body.extend_from_slice(b"]}");
    Ok(reply::json(StatusCode::OK, body))
}
