//! `rollcall admin`.

use anyhow::Context as _;
use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        Admin, AdminInvite, AdminRole as Role, CreateAdminInviteRequest, ListAdminsRequest, ListAdminsResponse,
        Organization, RemoveAdminRequest, SetAdminRoleRequest, console_service_client::ConsoleServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{
    cli::{AdminCommand, AdminRole},
    connect::Connection,
    output,
    settings::Settings,
};

type Client = ConsoleServiceClient<Transport>;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: AdminCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: AdminCommand) -> anyhow::Result<(Value, String)> {
    let (AdminCommand::Invite { org, .. }
    | AdminCommand::List { org }
    | AdminCommand::Role { org, .. }
    | AdminCommand::Remove { org, .. }) = &command;
    let settings = connection.settings;
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(settings, &mut organizations, org).await?;
    let mut client = connection.console().await?;
    match command {
        AdminCommand::Invite { email, role, ttl_hours, .. } => {
            let role = match role {
                Some(role) => to_wire(role),
                // Somebody has to be able to invite the others.
                None if list(&mut client, &organization).await?.admins.is_empty() => Role::Owner,
                None => Role::Admin,
            };
            let request = CreateAdminInviteRequest {
                organization_id: organization.id.clone(),
                caller: caller()?,
                email,
                role: role.into(),
                ttl_hours,
            };
            let made = client.create_admin_invite(request).await.map_err(|status| refused(&status))?.into_inner();
            Ok(invited(connection, &made.invite.unwrap_or_default(), &made.secret))
        }
        AdminCommand::List { .. } => {
            let listed = list(&mut client, &organization).await?;
            let json = json!({
                "admins": listed.admins.iter().map(admin_json).collect::<Vec<_>>(),
                "invites": listed.invites.iter().map(invite_json).collect::<Vec<_>>(),
            });
            if listed.admins.is_empty() && listed.invites.is_empty() {
                let invite = settings.command(&format!("admin invite {} --email ADDRESS", organization.slug));
                return Ok((json, format!("There is no administrator yet. Invite one: {invite}")));
            }
            Ok((json, table(&listed)))
        }
        AdminCommand::Role { admin, role, .. } => {
            let (id, _) = find(settings, &mut client, &organization, &admin, false).await?;
            let request = SetAdminRoleRequest {
                organization_id: organization.id,
                caller: caller()?,
                id,
                role: to_wire(role).into(),
            };
            let set = client.set_admin_role(request).await.map_err(|status| refused(&status))?.into_inner();
            let text = format!("{} is {} now, in open sessions too.", set.email, name(set.role()));
            Ok((admin_json(&set), text))
        }
        AdminCommand::Remove { admin, .. } => {
            let (id, email) = find(settings, &mut client, &organization, &admin, true).await?;
            let request = RemoveAdminRequest { organization_id: organization.id, caller: caller()?, id: id.clone() };
            client.remove_admin(request).await.map_err(|status| refused(&status))?;
            let text = format!("{email} is removed. Sessions and invitations of that address have ended.");
            Ok((json!({"id": id, "email": email, "removed": true}), text))
        }
    }
}

async fn list(client: &mut Client, organization: &Organization) -> anyhow::Result<ListAdminsResponse> {
    let request = ListAdminsRequest { organization_id: organization.id.clone() };
    Ok(client.list_admins(request).await.map_err(|status| refused(&status))?.into_inner())
}

/// Id and address of an administrator, or where that is asked for of an invitation.
async fn find(
    settings: &Settings,
    client: &mut Client,
    organization: &Organization,
    id_or_email: &str,
    invites: bool,
) -> anyhow::Result<(String, String)> {
    let listed = list(client, organization).await?;
    let admins = listed.admins.into_iter().map(|admin| (admin.id, admin.email));
    let invites = listed.invites.into_iter().filter(|_| invites).map(|invite| (invite.id, invite.email));
    let mut known = admins.chain(invites);
    known.find(|(id, email)| id == id_or_email || email.eq_ignore_ascii_case(id_or_email)).with_context(|| {
        let list = settings.command(&format!("admin list {}", organization.slug));
        format!("there is no administrator {id_or_email:?} in {}; `{list}` shows all", organization.slug)
    })
}

/// With the link, which is shown this once; where the gateway's address is not known the path of it.
fn invited(connection: &Connection<'_>, invite: &AdminInvite, secret: &str) -> (Value, String) {
    let public_url = connection.public_url();
    let link = format!("{}/console/invite/{secret}", public_url.as_deref().unwrap_or_default());
    let before = if public_url.is_some() { "" } else { "(the gateway's --public-url, then) " };
    let mut json = invite_json(invite);
    if let Some(json) = json.as_object_mut() {
        json.insert("link".to_owned(), json!(link));
    }
    let text = format!(
        "Link          {before}{link}\nFor           {}\nRole          {}\nExpires       {}\n\nThe link is shown this once and is \
         good once: whoever opens it is {} of the organization. Send it to that person alone.",
        clean(&invite.email),
        name(invite.role()),
        instant(invite.expires_at.as_ref()).unwrap_or_default(),
        name(invite.role()),
    );
    (json, text)
}

fn table(listed: &ListAdminsResponse) -> String {
    let of_admin = |admin: &Admin| {
        vec![
            admin.email.clone(),
            name(admin.role()).to_owned(),
            admin.name.clone(),
            admin.id.clone(),
            instant(admin.created_at.as_ref()).unwrap_or_default(),
            instant(admin.last_signed_in_at.as_ref()).unwrap_or_else(|| "never".to_owned()),
            if admin.issuer.is_empty() { "by invitation".to_owned() } else { admin.issuer.clone() },
        ]
    };
    let of_invite = |invite: &AdminInvite| {
        let expires = instant(invite.expires_at.as_ref()).unwrap_or_default();
        vec![
            invite.email.clone(),
            name(invite.role()).to_owned(),
            String::new(),
            invite.id.clone(),
            instant(invite.created_at.as_ref()).unwrap_or_default(),
            "never".to_owned(),
            format!("invited until {expires}"),
        ]
    };
    let rows: Vec<Vec<String>> =
        listed.admins.iter().map(of_admin).chain(listed.invites.iter().map(of_invite)).collect();
    output::table(&["E-MAIL", "ROLE", "NAME", "ID", "CREATED", "LAST SIGNED IN", "SIGNS IN BY"], &rows)
}

fn admin_json(admin: &Admin) -> Value {
    let given = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
    json!({
        "id": admin.id,
        "email": admin.email,
        "name": given(&admin.name),
        "role": name(admin.role()),
        "created_at": instant(admin.created_at.as_ref()),
        "last_signed_in_at": instant(admin.last_signed_in_at.as_ref()),
        "issuer": given(&admin.issuer),
    })
}

fn invite_json(invite: &AdminInvite) -> Value {
    json!({
        "id": invite.id,
        "email": invite.email,
        "role": name(invite.role()),
        "created_at": instant(invite.created_at.as_ref()),
        "created_by": invite.created_by,
        "expires_at": instant(invite.expires_at.as_ref()),
    })
}

fn to_wire(role: AdminRole) -> Role {
    match role {
        AdminRole::Owner => Role::Owner,
        AdminRole::Admin => Role::Admin,
        AdminRole::Viewer => Role::Viewer,
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Viewer => "viewer",
        Role::Unspecified => "unknown",
    }
}

fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
