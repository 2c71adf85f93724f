//! `rollcall hold`.

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        ApproveHoldRequest, HeldUser, Hold, HoldState, ListHoldUsersRequest, ListHoldsRequest, Organization,
        RestoreHoldRequest, identity_service_client::IdentityServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{cli::HoldCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: HoldCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        let (HoldCommand::List { org }
        | HoldCommand::Show { org, .. }
        | HoldCommand::Approve { org, .. }
        | HoldCommand::Restore { org, .. }) = &command;
        let organization = organization(settings, &mut connection.organizations(false).await?, org).await?;
        let mut client = connection.identities().await?;
        answer(settings, &mut client, organization, command).await
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(
    settings: &Settings,
    client: &mut IdentityServiceClient<Transport>,
    organization: Organization,
    command: HoldCommand,
) -> anyhow::Result<(Value, String)> {
    let (organization_id, slug) = (organization.id, organization.slug);
    let decided = match command {
        HoldCommand::List { .. } => {
            let request = ListHoldsRequest { caller: caller()?, organization_id };
            let holds = client.list_holds(request).await.map_err(|status| refused(&status))?.into_inner().holds;
            return Ok(list(settings, &slug, &holds));
        }
        HoldCommand::Show { id, .. } => {
            let mut request = ListHoldUsersRequest {
                caller: caller()?,
                organization_id,
                id: id.to_string(),
                page_size: 1000,
                page_token: String::new(),
            };
            let mut users = Vec::new();
            loop {
                let page =
                    client.list_hold_users(request.clone()).await.map_err(|status| refused(&status))?.into_inner();
                users.extend(page.users);
                if page.next_page_token.is_empty() {
                    return Ok(show(settings, &slug, &users));
                }
                request.page_token = page.next_page_token;
            }
        }
        HoldCommand::Approve { id, .. } => {
            let request = ApproveHoldRequest { caller: caller()?, organization_id, id: id.to_string() };
            client.approve_hold(request).await
        }
        HoldCommand::Restore { id, .. } => {
            let request = RestoreHoldRequest { caller: caller()?, organization_id, id: id.to_string() };
            client.restore_hold(request).await
        }
    };
    let hold = decided.map_err(|status| refused(&status))?.into_inner();
    let text = match hold.state() {
        HoldState::Approved => format!("Approved: {} deleted users are erased in time", hold.deleted),
        _ => {
            let look = settings.command(&format!("hold list {slug}"));
            format!(
                "{} deleted and {} deactivated users come back. How it goes: {look}",
                hold.deleted, hold.deactivated
            )
        }
    };
    Ok((hold_json(&hold), text))
}

fn list(settings: &Settings, slug: &str, holds: &[Hold]) -> (Value, String) {
    let json = json!({ "holds": holds.iter().map(hold_json).collect::<Vec<_>>() });
    if holds.is_empty() {
        return (json, format!("{slug} has no hold"));
    }
    let row = |hold: &Hold| {
        vec![
            hold.id.clone(),
            state(hold).to_owned(),
            instant(hold.first_at.as_ref()).unwrap_or_default(),
            instant(hold.last_at.as_ref()).unwrap_or_default(),
            hold.deactivated.to_string(),
            hold.deleted.to_string(),
            hold.users.to_string(),
            hold.failed.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = holds.iter().map(row).collect();
    let head = ["ID", "STATE", "FROM", "UNTIL", "DEACTIVATED", "DELETED", "OF USERS", "NOT RESTORED"];
    let mut text = output::table(&head, &rows);
    for failure in holds.iter().flat_map(|hold| &hold.failures) {
        text.push_str(&format!("Not restored: {}: {}\n", failure.user_id, failure.why));
    }
    if holds.iter().any(|hold| hold.state() == HoldState::Open) {
        let [show, approve, restore] =
            ["show", "approve", "restore"].map(|word| settings.command(&format!("hold {word} {slug} ID")));
        text.push_str(&format!("Who it is about: {show}\nAs it should be: {approve}\nA mistake: {restore}\n"));
    }
    (json, text)
}

fn show(settings: &Settings, slug: &str, users: &[HeldUser]) -> (Value, String) {
    let lost = |user: &HeldUser| if user.deleted { "deleted" } else { "deactivated" };
    let one = |user: &HeldUser| {
        json!({
            "user_id": user.user_id,
            "user_name": user.user_name,
            "display_name": user.display_name,
            "lost": lost(user),
            "lost_at": instant(user.lost_at.as_ref()),
        })
    };
    let json = json!({ "users": users.iter().map(one).collect::<Vec<_>>() });
    if users.is_empty() {
        let list = settings.command(&format!("hold list {slug}"));
        return (
            json,
            format!("Nobody: all have their access again, or it was decided some time ago. All holds: {list}"),
        );
    }
    let row = |user: &HeldUser| {
        let at = instant(user.lost_at.as_ref()).unwrap_or_default();
        vec![user.user_name.clone(), user.user_id.clone(), lost(user).to_owned(), at, user.display_name.clone()]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    (json, output::table(&["USERNAME", "ID", "ACCESS", "SINCE", "DISPLAY NAME"], &rows))
}

fn state(hold: &Hold) -> &'static str {
    match hold.state() {
        HoldState::Open | HoldState::Unspecified => "open",
        HoldState::Approved => "approved",
        HoldState::Restoring => "restoring",
        HoldState::Restored => "restored",
    }
}

fn hold_json(hold: &Hold) -> Value {
    let failures = hold.failures.iter().map(|failure| json!({"user_id": failure.user_id, "why": failure.why}));
    json!({
        "id": hold.id,
        "state": state(hold),
        "opened_at": instant(hold.opened_at.as_ref()),
        "first_at": instant(hold.first_at.as_ref()),
        "last_at": instant(hold.last_at.as_ref()),
        "deactivated": hold.deactivated,
        "deleted": hold.deleted,
        "users": hold.users,
        "decided_at": instant(hold.decided_at.as_ref()),
        "decided_by": serde_json::from_slice::<Value>(&hold.decided_by_json).unwrap_or_default(),
        "restored": hold.restored,
        "failed": hold.failed,
        "failures": failures.collect::<Vec<_>>(),
    })
}
