//! `rollcall hold`.

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        ApproveHoldRequest, Hold, HoldState, ListHoldsRequest, Organization, RestoreHoldRequest,
        identity_service_client::IdentityServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{cli::HoldCommand, connect::Connection, output, settings::Settings};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: HoldCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        let (HoldCommand::List { org } | HoldCommand::Approve { org, .. } | HoldCommand::Restore { org, .. }) =
            &command;
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
        let [approve, restore] = ["approve", "restore"].map(|word| settings.command(&format!("hold {word} {slug} ID")));
        text.push_str(&format!("As it should be: {approve}\nA mistake: {restore}\n"));
    }
    (json, text)
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
