//! `rollcall org`.

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        CreateOrganizationRequest, ListOrganizationsRequest, Organization, SetPlanRequest, SetRequestLimitRequest,
        organization_service_client::OrganizationServiceClient,
    },
};

use super::{caller, limit_text, organization, organization_json, organization_text, plan_text, refused};
use crate::{cli::OrgCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: OrgCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let create = matches!(command, OrgCommand::Create { .. });
    let result = async {
        let mut client = connection.organizations(create).await?;
        answer(&mut client, command).await
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(
    client: &mut OrganizationServiceClient<Transport>,
    command: OrgCommand,
) -> anyhow::Result<(Value, String)> {
    let changed = match command {
        OrgCommand::List => return list(client).await,
        OrgCommand::Show { org } => organization(client, &org).await?,
        OrgCommand::Create { slug, name, plan } => {
            let request = CreateOrganizationRequest { caller: caller()?, slug, name, plan: plan.as_str().to_owned() };
            client.create_organization(request).await.map_err(|status| refused(&status))?.into_inner()
        }
        OrgCommand::Plan { org, plan, expires_at } => {
            let request = SetPlanRequest {
                caller: caller()?,
                organization_id: organization(client, &org).await?.id,
                plan: plan.as_str().to_owned(),
                expires_at: expires_at.map(|at| wire::to_timestamp(at.as_microsecond())),
            };
            client.set_plan(request).await.map_err(|status| refused(&status))?.into_inner()
        }
        OrgCommand::Limit { org, requests_per_second } => {
            let request = SetRequestLimitRequest {
                caller: caller()?,
                organization_id: organization(client, &org).await?.id,
                requests_per_second: Some(requests_per_second),
            };
            client.set_request_limit(request).await.map_err(|status| refused(&status))?.into_inner()
        }
    };
    Ok((organization_json(&changed), organization_text(&changed)))
}

async fn list(client: &mut OrganizationServiceClient<Transport>) -> anyhow::Result<(Value, String)> {
    let mut all: Vec<Organization> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListOrganizationsRequest { page_size: 1000, page_token };
        let page = client.list_organizations(request).await.map_err(|status| refused(&status))?.into_inner();
        all.extend(page.organizations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let json = json!({ "organizations": all.iter().map(organization_json).collect::<Vec<_>>() });
    if all.is_empty() {
        let text =
            "There is no organization yet. Create one: rollcall org create acme --name \"Acme\" --plan enterprise";
        return Ok((json, text.to_owned()));
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|organization| {
            vec![
                organization.slug.clone(),
                organization.name.clone(),
                organization.id.clone(),
                plan_text(organization),
                if organization.scim_enabled { "enabled" } else { "disabled" }.to_owned(),
                limit_text(organization),
            ]
        })
        .collect();
    Ok((json, output::table(&["SLUG", "NAME", "ID", "PLAN", "SCIM", "RATE LIMIT"], &rows)))
}
