//! `rollcall scim`.

use serde_json::{Value, json};
use wire::{
    Reason,
    identity::{Organization, SetScimEnabledRequest},
};

use super::{URL_UNKNOWN, caller, now, organization, organization_json, plan_notice, refused, renewal};
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
    let text = text(settings, &organization, scim_url.as_deref().unwrap_or(URL_UNKNOWN));
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: ScimCommand) -> anyhow::Result<Organization> {
    let settings = connection.settings;
    let mut client = connection.organizations(false).await?;
    let (org, enabled) = match command {
        ScimCommand::Status { org } => return organization(settings, &mut client, &org).await,
        ScimCommand::Enable { org } => (org, true),
        ScimCommand::Disable { org } => (org, false),
    };
    let Organization { id: organization_id, slug, max_users, .. } = organization(settings, &mut client, &org).await?;
    let request = SetScimEnabledRequest { caller: caller()?, organization_id, enabled };
    let changed = client.set_scim_enabled(request).await.map_err(|status| match wire::refusal(&status).reason {
        // The service's words are for SCIM clients.
        Reason::PlanLapsed => {
            anyhow::anyhow!("the plan of {slug} does not include SCIM now. {}", renewal(settings, &slug, max_users))
        }
        _ => refused(&status),
    });
    Ok(changed?.into_inner())
}

fn text(settings: &Settings, organization: &Organization, scim_url: &str) -> String {
    let slug = &organization.slug;
    let disabled = format!("SCIM is disabled for {slug}: every SCIM request is answered 403");
    match (organization.scim_enabled, organization.scim_entitled) {
        (true, true) => {
            let notice = plan_notice(settings, organization, now()).map(|notice| format!("\n{notice}"));
            format!("SCIM is enabled for {slug} at {scim_url}{}", notice.unwrap_or_default())
        }
        (true, false) => format!(
            "SCIM is enabled for {slug} at {scim_url}, but the plan does not include it now: nothing can be created \
             or changed, only read, deactivated and deleted\n{}",
            renewal(settings, slug, organization.max_users)
        ),
        (false, true) => format!("{disabled}\nSwitch it on: {}", settings.command(&format!("scim enable {slug}"))),
        (false, false) => format!(
            "{disabled}, and the plan does not include it now\n{}",
            renewal(settings, slug, organization.max_users)
        ),
    }
}
