//! `rollcall schema`.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use wire::{
    Transport,
    identity::{
        AddSchemaRequest, ListSchemasRequest, SchemaExtension, organization_service_client::OrganizationServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{
    cli::{ResourceType, SchemaCommand},
    connect::Connection,
    output,
    settings::Settings,
};

/// The largest file; what a schema may hold is far below.
const LARGEST: u64 = 1024 * 1024;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: SchemaCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        match command {
            SchemaCommand::Add { org, file, resource_type } => {
                let document = document(&file, resource_type)?;
                let mut client = connection.organizations(false).await?;
                add(settings, &mut client, &org, document).await
            }
            SchemaCommand::List { org } => {
                let mut client = connection.organizations(false).await?;
                list(settings, &mut client, &org).await
            }
        }
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

/// The file with the resource type that was given, if any.
fn document(file: &Path, resource_type: Option<ResourceType>) -> anyhow::Result<Vec<u8>> {
    let name = file.display();
    let size = std::fs::metadata(file).with_context(|| format!("{name} cannot be read"))?.len();
    anyhow::ensure!(size <= LARGEST, "{name} is larger than {} KiB, which no schema is", LARGEST / 1024);
    let text = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    let object = || format!("{name} is not a JSON object; give a SCIM Schema resource (RFC 7643 section 7)");
    let mut document: Map<String, Value> = serde_json::from_slice(&text).with_context(object)?;
    // Sent as it was written: the server refuses what this parser lets pass, such as a name that stands twice.
    let Some(resource_type) = resource_type else { return Ok(text) };
    document.insert("resourceType".to_owned(), resource_type.as_str().into());
    Ok(Value::Object(document).to_string().into_bytes())
}

async fn add(
    settings: &Settings,
    client: &mut OrganizationServiceClient<Transport>,
    org: &str,
    document: Vec<u8>,
) -> anyhow::Result<(Value, String)> {
    let organization = organization(settings, client, org).await?;
    let request =
        AddSchemaRequest { caller: caller()?, organization_id: organization.id, document_json: document.into() };
    let schema = client.add_schema(request).await.map_err(|status| refused(&status))?.into_inner();
    let text = format!(
        "{} now extends {} of {}; SCIM clients see it within a second\n",
        schema.id, schema.resource_type, organization.slug
    );
    Ok((schema_json(&schema)?, text))
}

async fn list(
    settings: &Settings,
    client: &mut OrganizationServiceClient<Transport>,
    org: &str,
) -> anyhow::Result<(Value, String)> {
    let organization = organization(settings, client, org).await?;
    let request = ListSchemasRequest { organization_id: organization.id };
    let schemas = client.list_schemas(request).await.map_err(|status| refused(&status))?.into_inner().schemas;
    let all = schemas.iter().map(schema_json).collect::<anyhow::Result<Vec<_>>>()?;
    let json = json!({ "schemas": all });
    if schemas.is_empty() {
        let slug = &organization.slug;
        let add = settings.command(&format!("schema add {slug} FILE.json"));
        return Ok((json, format!("{slug} has no schema of its own. Add one: {add}")));
    }
    let row = |schema: &SchemaExtension| {
        vec![schema.id.clone(), schema.resource_type.clone(), instant(schema.created_at.as_ref()).unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = schemas.iter().map(row).collect();
    Ok((json, output::table(&["SCHEMA", "RESOURCE TYPE", "ADDED"], &rows)))
}

fn schema_json(schema: &SchemaExtension) -> anyhow::Result<Value> {
    let document: Value =
        serde_json::from_slice(&schema.document_json).context("the server sent a schema that is no JSON")?;
    Ok(json!({
        "id": schema.id,
        "resource_type": schema.resource_type,
        "created_at": instant(schema.created_at.as_ref()),
        "document": document,
    }))
}
