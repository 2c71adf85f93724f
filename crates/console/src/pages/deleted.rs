//! Users that were deleted and can be restored.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use wire::{
    Reason,
    identity::{DeletedUser, GroupReference, ListDeletedUsersRequest, RestoreUserRequest},
};

use super::{
    directory::{link, name_of, uuid},
    history::{self, History},
    said, see, status,
    who::Names,
};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

const PAGE: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    before: String,
}

/// A deleted user as it is shown.
struct Gone {
    id: String,
    user_name: String,
    display_name: String,
    external_id: Option<String>,
    active: bool,
    created: Option<When>,
    deleted: Option<When>,
    by: String,
    erased: Option<When>,
    /// A hold keeps it, however many days it has.
    held: bool,
}

impl Gone {
    fn new(user: DeletedUser, names: &Names, now: jiff::Timestamp) -> Self {
        let until = crate::time::instant(user.restorable_until.as_ref());
        Self {
            created: When::of(user.created_at.as_ref(), now),
            deleted: When::of(user.deleted_at.as_ref(), now),
            by: names.who(&user.deleted_by_json),
            // A service of before does not say so of one that has days left.
            held: user.held || until.is_some_and(|until| until <= now),
            erased: until.map(|until| When::new(until, now)),
            active: user.active == Some(true),
            id: user.id,
            user_name: user.user_name,
            display_name: user.display_name,
            external_id: user.external_id,
        }
    }
}

/// The one with this id, if it can be restored.
pub(super) async fn find(signed_in: &SignedIn, id: &str) -> Result<Option<DeletedUser>> {
    let request = ListDeletedUsersRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.to_owned(),
        ..ListDeletedUsersRequest::default()
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    Ok(client.list_deleted_users(signed_in.call(request)).await?.into_inner().users.pop())
}

#[derive(Template)]
#[template(path = "deleted_users.html")]
struct List {
    shell: Shell,
    users: Vec<Gone>,
    grace_days: u32,
    first: bool,
    next: String,
}

/// `GET users/deleted`
pub(crate) async fn list(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let first = asked.cursor.is_empty();
    let request = ListDeletedUsersRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        page_size: PAGE,
        page_token: asked.cursor,
        id: String::new(),
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    let (listed, names) = futures::join!(client.list_deleted_users(signed_in.call(request)), Names::of(&signed_in));
    let (listed, names) = (listed?.into_inner(), names?);
    let page = List {
        shell: Shell::new(&signed_in, Section::DeletedUsers, "Deleted users"),
        users: listed.users.into_iter().map(|user| Gone::new(user, &names, now)).collect(),
        grace_days: signed_in.organization.deletion_grace_days,
        first,
        next: link("users/deleted", "", &listed.next_page_token),
    };
    page::html(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "deleted_user.html")]
struct One {
    shell: Shell,
    user: Gone,
    may_change: bool,
    error: Option<String>,
    /// The form asks for another user name, which begins with this.
    user_name: Option<String>,
    history: Option<History>,
    /// This page, below the root.
    here: String,
}

/// What came of the form: what to say about it, and whether it asks for another user name.
#[derive(Default)]
struct Outcome {
    error: Option<String>,
    user_name: Option<String>,
}

async fn one_page(signed_in: &SignedIn, id: &str, before: &str, outcome: Outcome) -> Result<Response> {
    let user = find(signed_in, id).await?.ok_or_else(Problem::not_found)?;
    let (names, history) = futures::join!(Names::of(signed_in), history::of(signed_in, id, before));
    let user = Gone::new(user, &names?, signed_in.visit.console.now());
    let page = One {
        shell: Shell::new(signed_in, Section::DeletedUsers, user.user_name.clone()),
        here: format!("users/deleted/{id}"),
        user,
        may_change: signed_in.role >= Role::Admin,
        error: outcome.error,
        user_name: outcome.user_name,
        history: history?,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET users/deleted/{id}`
pub(crate) async fn one(signed_in: SignedIn, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response> {
    let id = uuid(&id)?;
    match one_page(&signed_in, &id, &asked.before, Outcome::default()).await {
        // It is there again.
        Err(problem) if problem.status == StatusCode::NOT_FOUND && is_there(&signed_in, &id).await => {
            page::see(&format!("{}/users/{id}", signed_in.visit.console.site.root))
        }
        answer => answer,
    }
}

async fn is_there(signed_in: &SignedIn, id: &str) -> bool {
    matches!(name_of(signed_in, id).await, Some(("users", _)))
}

#[derive(Template)]
#[template(path = "restored.html")]
struct Restored {
    shell: Shell,
    id: String,
    active: bool,
    groups: Vec<GroupReference>,
    gone: Vec<GroupReference>,
}

/// `POST users/deleted/{id}/restore`
pub(crate) async fn restore(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    let id = uuid(&id)?;
    let asked_for = form.get("user_name");
    let request = RestoreUserRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        user_name: Some(asked_for.to_owned()).filter(|name| !name.is_empty()),
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    let refused = match client.restore_user(signed_in.call(request)).await {
        Ok(restored) => {
            let restored = restored.into_inner();
            let user = restored.user.unwrap_or_default();
            if restored.groups_gone.is_empty() {
                return see(&signed_in, &format!("users/{id}"), "user-restored");
            }
            let page = Restored {
                shell: Shell::new(&signed_in, Section::DeletedUsers, format!("{} is restored", user.user_name)),
                id,
                active: user.active == Some(true),
                groups: user.groups.into_iter().filter(|group| group.direct).collect(),
                gone: restored.groups_gone,
            };
            return page::html(StatusCode::OK, &page);
        }
        Err(status) => Problem::from(status),
    };
    match refused.reason {
        // Sent again by a reload, or another administrator was first.
        Some(Reason::UserNotFound) if is_there(&signed_in, &id).await => {
            see(&signed_in, &format!("users/{id}"), "user-restored")
        }
        Some(Reason::UserNotFound) => {
            let text = "This user cannot be restored any more: it has been erased, or there never was one.";
            let problem = Problem::new(StatusCode::NOT_FOUND, "There is nothing to restore", text);
            Err(problem.next("/users/deleted", "Deleted users"))
        }
        reason => {
            let asks = reason == Some(Reason::Uniqueness) || !asked_for.is_empty();
            let user_name = asks.then(|| asked_for.to_owned());
            one_page(&signed_in, &id, "", Outcome { error: Some(said(refused)?), user_name }).await
        }
    }
}
