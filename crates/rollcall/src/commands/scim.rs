//! `rollcall scim`.

use serde_json::{Value, json};
use wire::identity::{Organization, SetScimEnabledRequest};

use super::{caller, organization, organization_json, refused};
use crate::{cli::ScimCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: ScimCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    let scim_url = connection.scim_url();
    connection.close().await;
    let organization = result?;
    let mut json = organization_json(&organization);
    if let Value::Object(object) = &mut json {
        object.insert("scim_url".to_owned(), json!(scim_url));
    }
    Ok(output::print(settings.output, &json, &text(&organization, &scim_url))?)
}

async fn answer(connection: &mut Connection<'_>, command: ScimCommand) -> anyhow::Result<Organization> {
    let mut client = connection.organizations(false).await?;
    let (org, enabled) = match command {
        ScimCommand::Status { org } => return organization(&mut client, &org).await,
        ScimCommand::Enable { org } => (org, true),
        ScimCommand::Disable { org } => (org, false),
    };
    let organization_id = organization(&mut client, &org).await?.id;
    let request = SetScimEnabledRequest { caller: caller()?, organization_id, enabled };
    Ok(client.set_scim_enabled(request).await.map_err(|status| refused(&status))?.into_inner())
}

fn text(organization: &Organization, scim_url: &str) -> String {
    let slug = &organization.slug;
    let mut text = match (organization.scim_enabled, organization.scim_entitled) {
        (true, true) => format!("SCIM is enabled for {slug} at {scim_url}"),
        (true, false) => format!(
            "SCIM is enabled for {slug} at {scim_url}, but the plan does not include it now: nothing can be created \
             or changed, only read, deactivated and deleted"
        ),
        (false, _) => format!("SCIM is disabled for {slug}: every SCIM request is answered 403"),
    };
    if !organization.scim_enabled && organization.scim_entitled {
        text.push_str(&format!("\nSwitch it on: rollcall scim enable {slug}"));
    }
    text
}
