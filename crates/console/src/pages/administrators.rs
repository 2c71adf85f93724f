//! Administrators: who there is, invitations, roles.

use askama::Template;
use axum::{extract::Path, response::Response};
use http::StatusCode;
use wire::identity::{
    CreateAdminInviteRequest, ListAdminsRequest, ListAdminsResponse, RemoveAdminRequest, SetAdminRoleRequest,
};

use super::{Confirm, Secret, made_before, said, see, status, who::administrator};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

const BACK: (&str, &str) = ("administrators", "Administrators");

struct AdminRow {
    id: String,
    email: String,
    name: String,
    role: Role,
    me: bool,
    last: Option<When>,
    pinned: String,
}

struct InviteRow {
    id: String,
    email: String,
    role: Role,
    expires: Option<When>,
    created_by: String,
}

#[derive(Template)]
#[template(path = "administrators.html")]
struct Administrators {
    shell: Shell,
    error: Option<String>,
    admins: Vec<AdminRow>,
    invites: Vec<InviteRow>,
    may_change: bool,
    roles: [Role; 3],
    mailed: bool,
}

/// Whether owners and admins are told by mail of what wants them.
pub(super) async fn are_mailed(signed_in: &SignedIn) -> Result<bool> {
    Ok(all(signed_in).await?.mailed)
}

async fn all(signed_in: &SignedIn) -> Result<ListAdminsResponse> {
    let request = ListAdminsRequest { organization_id: signed_in.organization_id() };
    let mut client = signed_in.visit.console.clients.admins.clone();
    Ok(client.list_admins(signed_in.call(request)).await?.into_inner())
}

async fn list_page(signed_in: &SignedIn, error: Option<String>) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let listed = all(signed_in).await?;
    let admins = listed.admins.into_iter().map(|admin| AdminRow {
        role: Role::from_wire(admin.role()),
        me: admin.id == signed_in.admin.id,
        last: When::of(admin.last_signed_in_at.as_ref(), now),
        id: admin.id,
        email: admin.email,
        name: admin.name,
        pinned: admin.issuer,
    });
    let invites = listed.invites.into_iter().map(|invite| InviteRow {
        role: Role::from_wire(invite.role()),
        expires: When::of(invite.expires_at.as_ref(), now),
        id: invite.id,
        email: invite.email,
        created_by: administrator(invite.created_by),
    });
    let page = Administrators {
        shell: Shell::new(signed_in, Section::Administrators, "Administrators"),
        admins: admins.collect(),
        invites: invites.collect(),
        may_change: signed_in.role >= Role::Owner,
        roles: Role::ALL,
        mailed: listed.mailed,
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET administrators`
pub(crate) async fn list(signed_in: SignedIn) -> Result<Response> {
    list_page(&signed_in, None).await
}

#[derive(Template)]
#[template(path = "invite_new.html")]
struct Invite {
    shell: Shell,
    error: Option<String>,
    email: String,
    role: Role,
    roles: [Role; 3],
}

fn invite_page(signed_in: &SignedIn, form: Option<&Form>, error: Option<String>) -> Result<Response> {
    let page = Invite {
        shell: Shell::new(signed_in, Section::Administrators, "Invite an administrator"),
        email: form.map(|form| form.get("email").to_owned()).unwrap_or_default(),
        role: form.and_then(|form| Role::from_name(form.get("role"))).unwrap_or(Role::Admin),
        roles: Role::ALL,
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET administrators/invite`
pub(crate) async fn inviting(signed_in: SignedIn) -> Result<Response> {
    invite_page(&signed_in, None, None)
}

/// `POST administrators/invite`
pub(crate) async fn invite(signed_in: SignedIn, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let Some(role) = Role::from_name(form.get("role")) else {
        return invite_page(&signed_in, Some(&form), Some("Choose a role.".to_owned()));
    };
    let request = CreateAdminInviteRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        email: form.get("email").to_owned(),
        role: role.to_wire(),
        ttl_hours: form.get("ttl_hours").parse().ok(),
    };
    let console = &signed_in.visit.console;
    match console.clients.admins.clone().create_admin_invite(signed_in.call(request)).await {
        Ok(created) => {
            let created = created.into_inner();
            let email = created.invite.map(|invite| invite.email).unwrap_or_default();
            let secret = Secret {
                shell: Shell::new(&signed_in, Section::Administrators, format!("An invitation for {email}")),
                back: BACK,
                what: "Invitation link",
                secret: format!("{}/console/invite/{}", console.site.public_url, created.secret),
                beside: Vec::new(),
                steps: vec![
                    format!(
                        "Send the link to {email} by a way that nobody else reads: whoever opens it first is let in."
                    ),
                    "It works once. It says who invites as what, and signs in by a button.".to_owned(),
                    "From then on sign-in is by your OpenID provider, if its verified address is the same.".to_owned(),
                ],
            };
            secret.answer(&signed_in, &form)
        }
        Err(status) => invite_page(&signed_in, Some(&form), Some(said(status.into())?)),
    }
}

/// `POST administrators/{id}/role`
pub(crate) async fn set_role(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    let Some(role) = Role::from_name(form.get("role")) else {
        return list_page(&signed_in, Some("Choose a role.".to_owned())).await;
    };
    let request = SetAdminRoleRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id,
        role: role.to_wire(),
    };
    match signed_in.visit.console.clients.admins.clone().set_admin_role(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "role-changed"),
        Err(status) => list_page(&signed_in, Some(said(status.into())?)).await,
    }
}

/// `GET administrators/{id}/remove`
pub(crate) async fn removing(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let listed = all(&signed_in).await?;
    let admin = listed.admins.into_iter().find(|admin| admin.id == id).map(|admin| admin.email);
    let invite = || listed.invites.into_iter().find(|invite| invite.id == id).map(|invite| invite.email);
    let email = admin.or_else(invite).ok_or_else(Problem::not_found)?;
    let page = Confirm {
        shell: Shell::new(&signed_in, Section::Administrators, "Remove an administrator"),
        back: BACK,
        action: format!("administrators/{id}/remove"),
        subject: email,
        consequence: "All sessions and invitations of this address end at once. To come back it takes a new invitation.",
        button: "Remove",
        force: None,
        error: None,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST administrators/{id}/remove`
pub(crate) async fn remove(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request = RemoveAdminRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id };
    match signed_in.visit.console.clients.admins.clone().remove_admin(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "admin-removed"),
        Err(status) => list_page(&signed_in, Some(said(status.into())?)).await,
    }
}
