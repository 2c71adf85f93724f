//! `rollcall user`.

use serde_json::{Value, json};
use wire::{
    Reason, Transport,
    identity::{
        DeletedUser, ListDeletedUsersRequest, Organization, RestoreUserRequest, RestoreUserResponse,
        identity_service_client::IdentityServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{
    cli::{UserCommand, shell_word},
    connect::Connection,
    output,
    settings::Settings,
};

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: UserCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        let (UserCommand::Deleted { org } | UserCommand::Restore { org, .. }) = &command;
        let organization = organization(settings, &mut connection.organizations(false).await?, org).await?;
        let mut client = connection.identities().await?;
        match command {
            UserCommand::Deleted { .. } => deleted(settings, &mut client, organization).await,
            UserCommand::Restore { id, user_name, .. } => {
                restore(settings, &mut client, organization, id, user_name).await
            }
        }
    }
    .await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn deleted(
    settings: &Settings,
    client: &mut IdentityServiceClient<Transport>,
    organization: Organization,
) -> anyhow::Result<(Value, String)> {
    let mut all: Vec<DeletedUser> = Vec::new();
    let mut page_token = String::new();
    loop {
        let organization_id = organization.id.clone();
        let request = ListDeletedUsersRequest {
            caller: caller()?,
            organization_id,
            page_size: 1000,
            page_token,
            id: String::new(),
        };
        let page = client.list_deleted_users(request).await.map_err(|status| refused(&status))?.into_inner();
        all.extend(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let json = json!({ "users": all.iter().map(deleted_json).collect::<Vec<_>>() });
    let slug = &organization.slug;
    if all.is_empty() {
        return Ok((json, format!("{slug} has no deleted user that can be restored")));
    }
    let row = |user: &DeletedUser| {
        vec![
            user.user_name.clone(),
            user.id.clone(),
            instant(user.deleted_at.as_ref()).unwrap_or_default(),
            if user.held { "held".to_owned() } else { instant(user.restorable_until.as_ref()).unwrap_or_default() },
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let table = output::table(&["USERNAME", "ID", "DELETED", "RESTORABLE UNTIL"], &rows);
    let restore = settings.command(&format!("user restore {slug} ID"));
    Ok((json, format!("{table}Restore one: {restore}")))
}

fn deleted_json(user: &DeletedUser) -> Value {
    json!({
        "id": user.id,
        "user_name": user.user_name,
        "external_id": user.external_id,
        "active": user.active,
        "display_name": user.display_name,
        "created_at": instant(user.created_at.as_ref()),
        "deleted_at": instant(user.deleted_at.as_ref()),
        "restorable_until": instant(user.restorable_until.as_ref()),
        "held": user.held,
        "deleted_by": serde_json::from_slice::<Value>(&user.deleted_by_json).unwrap_or_default(),
    })
}

async fn restore(
    settings: &Settings,
    client: &mut IdentityServiceClient<Transport>,
    organization: Organization,
    id: uuid::Uuid,
    user_name: Option<String>,
) -> anyhow::Result<(Value, String)> {
    let organization_id = organization.id.clone();
    let request = RestoreUserRequest { caller: caller()?, organization_id, id: id.to_string(), user_name };
    let RestoreUserResponse { user, groups_gone } = match client.restore_user(request).await {
        Ok(restored) => restored.into_inner(),
        Err(status) if wire::refusal(&status).reason == Reason::Uniqueness => {
            let again =
                settings.command(&format!("user restore {} {id} --user-name NEW", shell_word(&organization.slug)));
            anyhow::bail!("{} Under another one: {again}", wire::refusal(&status).message);
        }
        Err(status) => return Err(refused(&status)),
    };
    let user = user.unwrap_or_default();
    let json = json!({
        "id": user.id,
        "user_name": user.user_name,
        "active": user.active,
        "groups": user.groups.iter().map(|group| json!({"id": group.id, "display_name": group.display_name}))
            .collect::<Vec<_>>(),
        "groups_gone": groups_gone.iter().map(|group| json!({"id": group.id, "display_name": group.display_name}))
            .collect::<Vec<_>>(),
    });
    let count = user.groups.iter().filter(|group| group.direct).count();
    let mut text = format!("{} is restored, in {count} groups\n", user.user_name);
    if user.active != Some(true) {
        text.push_str("It is not active, as it was when it was deleted.\n");
    }
    for group in &groups_gone {
        text.push_str(&format!("Deleted since, so not in it: {} ({})\n", group.display_name, group.id));
    }
    let text = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    Ok((json, text))
}
