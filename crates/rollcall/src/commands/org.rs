//! `rollcall org`.

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        CreateOrganizationRequest, ListOrganizationsRequest, Organization, SetDeletionPolicyRequest, SetPlanRequest,
        SetRequestLimitRequest, organization_service_client::OrganizationServiceClient,
    },
};

use super::{caller, instant, limit_text, now, organization, organization_json, organization_text, plan_text, refused};
use crate::{cli::OrgCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: OrgCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let create = matches!(command, OrgCommand::Create { .. });
    let result = async {
        let mut client = connection.organizations(create).await?;
        answer(settings, &mut client, command).await
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(
    settings: &Settings,
    client: &mut OrganizationServiceClient<Transport>,
    command: OrgCommand,
) -> anyhow::Result<(Value, String)> {
    let changed = match command {
        OrgCommand::List => return list(settings, client).await,
        OrgCommand::Show { org } => organization(settings, client, &org).await?,
        OrgCommand::Create { slug, name, plan } => {
            let request = CreateOrganizationRequest { caller: caller()?, slug, name, plan: plan.as_str().to_owned() };
            client.create_organization(request).await.map_err(|status| refused(&status))?.into_inner()
        }
        OrgCommand::Plan { org, plan, expires_at, grace_days, max_users, oauth } => {
            let before = organization(settings, client, &org).await?;
            let request = SetPlanRequest {
                caller: caller()?,
                organization_id: before.id.clone(),
                plan: plan.as_str().to_owned(),
                expires_at: expires_at.map(|at| wire::to_timestamp(at.as_microsecond())),
                grace_days,
                max_users,
                oauth,
            };
            let changed = client.set_plan(request).await.map_err(|status| refused(&status))?.into_inner();
            let text = organization_text(settings, &changed) + &terms_changed(&before, &changed);
            return Ok((organization_json(&changed), text));
        }
        OrgCommand::Deletion { org, grace_days, hold_percent } => {
            let request = SetDeletionPolicyRequest {
                caller: caller()?,
                organization_id: organization(settings, client, &org).await?.id,
                grace_days,
                hold_percent,
            };
            client.set_deletion_policy(request).await.map_err(|status| refused(&status))?.into_inner()
        }
        OrgCommand::Limit { org, requests_per_second } => {
            let request = SetRequestLimitRequest {
                caller: caller()?,
                organization_id: organization(settings, client, &org).await?.id,
                requests_per_second: Some(requests_per_second),
            };
            client.set_request_limit(request).await.map_err(|status| refused(&status))?.into_inner()
        }
    };
    Ok((organization_json(&changed), organization_text(settings, &changed)))
}

/// Terms that are other ones now: nobody loses one without a word.
fn terms_changed(before: &Organization, after: &Organization) -> String {
    let end = |of: &Organization| instant(of.plan_expires_at.as_ref()).unwrap_or_else(|| "never".to_owned());
    let most = |of: &Organization| of.max_users.map_or_else(|| "any number".to_owned(), |most| most.to_string());
    let oauth = |of: &Organization| if of.oauth_entitled { "yes" } else { "no" }.to_owned();
    let terms = [
        ("Ends", end(before), end(after)),
        ("Users", most(before), most(after)),
        ("OAuth", oauth(before), oauth(after)),
    ];
    let changed = terms.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(name, before, after)| format!("{name}: was {before}, is now {after}.\n")).collect()
}

async fn list(
    settings: &Settings,
    client: &mut OrganizationServiceClient<Transport>,
) -> anyhow::Result<(Value, String)> {
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
        let create = settings.command("org create acme --name \"Acme\" --plan enterprise");
        return Ok((json, format!("There is no organization yet. Create one: {create}")));
    }
    let now = now();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|organization| {
            vec![
                organization.slug.clone(),
                organization.name.clone(),
                organization.id.clone(),
                plan_text(organization, now),
                if organization.scim_enabled { "enabled" } else { "disabled" }.to_owned(),
                limit_text(organization),
            ]
        })
        .collect();
    Ok((json, output::table(&["SLUG", "NAME", "ID", "PLAN", "SCIM", "RATE LIMIT"], &rows)))
}
