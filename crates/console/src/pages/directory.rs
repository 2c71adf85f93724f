//! Users and groups: look them up and look at them. Names come from identity providers, so they are anybody's.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use futures::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use wire::{
    Reason,
    identity::{
        GetGroupRequest, GetUserRequest, GroupMask, GroupReference, ListGroupsRequest, ListMembersRequest, ListQuery,
        ListUsersRequest, Member, MemberType, SortOrder, User, UserMask,
    },
};

use super::{
    accounts, deleted,
    history::{self, History},
    overview::grouped,
};
use crate::{
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

const PAGE: u32 = 50;
/// Attributes of a user that are shown.
const ATTRIBUTES: usize = 200;
/// Members whose names are asked for at once.
pub(super) const AT_ONCE: usize = 8;

/// What is looked for, and from where on.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    /// Of users: `active`, `inactive` or all.
    #[serde(default)]
    state: String,
    #[serde(default)]
    cursor: String,
    /// From where on the history is shown.
    #[serde(default)]
    before: String,
}

impl Asked {
    fn words(&self) -> String {
        self.q.trim().chars().take(200).collect()
    }

    fn query(&self, filter: String, sort_by: &str) -> ListQuery {
        ListQuery {
            filter,
            sort_by: sort_by.to_owned(),
            sort_order: SortOrder::Ascending.into(),
            count: Some(PAGE),
            cursor: Some(self.cursor.clone()),
            ..ListQuery::default()
        }
    }
}

/// A page before or after: its address below the root. Empty: there is none.
pub(super) fn link(kind: &str, words: &str, cursor: &str) -> String {
    if cursor.is_empty() {
        return String::new();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !words.is_empty() {
        query.append_pair("q", words);
    }
    format!("{kind}?{}", query.append_pair("cursor", cursor).finish())
}

/// The same of users in a state.
fn users_link(words: &str, state: &str, cursor: &str) -> String {
    match link("users", words, cursor) {
        link if link.is_empty() || state.is_empty() => link,
        link => format!("{link}&state={state}"),
    }
}

/// Those that a filter finds in a state. Who has none is to have no access.
fn in_state(found: String, state: &str) -> String {
    let condition = match state {
        "active" => "active eq true",
        "inactive" => "not (active eq true)",
        _ => return found,
    };
    if found.is_empty() { condition.to_owned() } else { format!("({found}) and {condition}") }
}

/// `operator` on each attribute, with the words as a SCIM filter's string (RFC 7644 section 3.4.2.2: as in JSON).
fn filter(attributes: &[&str], operator: &str, words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let value = Value::from(words).to_string();
    attributes.iter().map(|attribute| format!("{attribute} {operator} {value}")).collect::<Vec<_>>().join(" or ")
}

struct UserRow {
    id: String,
    user_name: String,
    display_name: String,
    email: String,
    active: bool,
}

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    shell: Shell,
    words: String,
    /// `active`, `inactive` or nothing.
    state: &'static str,
    /// Only beginnings were looked at.
    narrowed: bool,
    total: String,
    users: Vec<UserRow>,
    previous: String,
    next: String,
}

/// `GET users`
pub(crate) async fn users(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let words = asked.words();
    let state = ["active", "inactive"].into_iter().find(|known| *known == asked.state).unwrap_or_default();
    let mut client = signed_in.visit.console.clients.identity.clone();
    let mut list = async |operator: &str| {
        let filter = in_state(filter(&["userName", "displayName"], operator, &words), state);
        let request = ListUsersRequest {
            organization_id: signed_in.organization_id(),
            caller: signed_in.caller(),
            query: Some(asked.query(filter, "userName")),
            mask: Some(UserMask { omit_groups: true }),
        };
        client.list_users(signed_in.call(request)).await
    };
    let mut narrowed = false;
    let mut listed = list("co").await;
    // More users than any word within a name is looked for in: the beginnings of names have an index.
    if listed.as_ref().is_err_and(|status| wire::refusal(status).reason == Reason::TooMany) {
        narrowed = true;
        listed = list("sw").await;
    }
    let listed = listed?.into_inner();
    let row = |user: User| UserRow {
        active: user.active == Some(true),
        id: user.id,
        user_name: user.user_name,
        display_name: user.display_name,
        email: user.primary_email,
    };
    let page = Users {
        shell: Shell::new(&signed_in, Section::Users, "Users"),
        narrowed,
        total: grouped(u64::try_from(listed.total_results).unwrap_or_default()),
        users: listed.users.into_iter().map(row).collect(),
        previous: users_link(&words, state, &listed.previous_cursor),
        next: users_link(&words, state, &listed.next_cursor),
        words,
        state,
    };
    page::html(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    shell: Shell,
    id: String,
    external_id: Option<String>,
    active: bool,
    may_change: bool,
    account: accounts::Facts,
    created: Option<When>,
    modified: Option<When>,
    attributes: Vec<(String, String)>,
    groups: Vec<GroupReference>,
    made_by: Option<String>,
    history: Option<History>,
    /// This page, below the root.
    here: String,
}

/// `GET users/{id}`
pub(crate) async fn user(signed_in: SignedIn, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let id = uuid(&id)?;
    let request = GetUserRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        mask: None,
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    let user = match client.get_user(signed_in.call(request)).await {
        Ok(user) => user.into_inner(),
        Err(status) => {
            let gone = wire::refusal(&status).reason == Reason::UserNotFound;
            if gone && deleted::find(&signed_in, &id).await?.is_some() {
                return page::see(&format!("{}/users/deleted/{id}", signed_in.visit.console.site.root));
            }
            return Err(status.into());
        }
    };
    let history = history::of(&signed_in, &id, &asked.before).await?;
    let account = accounts::of(&signed_in, &id).await?;
    let mut attributes = Vec::new();
    if let Ok(Value::Object(resource)) = serde_json::from_slice(&user.resource_json) {
        let shown = |name: &str| !matches!(name, "schemas" | "externalId" | "active");
        for (name, value) in resource.iter().filter(|(name, _)| shown(name)) {
            flatten(name, value, &mut attributes);
        }
    }
    let page = UserPage {
        shell: Shell::new(&signed_in, Section::Users, user.user_name),
        external_id: user.external_id,
        active: user.active == Some(true),
        may_change: signed_in.role >= Role::Admin,
        account,
        created: When::of(user.created_at.as_ref(), now),
        modified: When::of(user.modified_at.as_ref(), now),
        id: user.id,
        groups: user.groups,
        attributes,
        made_by: history.as_ref().and_then(|history| history.made_by.clone()),
        history,
        here: format!("users/{id}"),
    };
    page::html(StatusCode::OK, &page)
}

/// Ids are UUIDs; anything else is nobody's.
pub(super) fn uuid(id: &str) -> Result<String> {
    let id: uuid::Uuid = id.parse().map_err(|_| Problem::not_found())?;
    Ok(id.to_string())
}

/// `name.givenName: Kit`; of a list each element, by its type where it has one.
pub(super) fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    if into.len() >= ATTRIBUTES {
        return;
    }
    match value {
        Value::Null => {}
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => into.push((name.to_owned(), value.to_string())),
        Value::Array(elements) => {
            for element in elements {
                let kind = element.get("type").and_then(Value::as_str).map(|kind| format!("{name} ({kind})"));
                let whole = element.get("value").filter(|value| value.is_string());
                let primary = element.get("primary") == Some(&Value::Bool(true));
                let name = kind.unwrap_or_else(|| name.to_owned());
                let name = if primary { format!("{name}, primary") } else { name };
                flatten(&name, whole.unwrap_or(element), into);
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                // Below a schema's URN its attributes go by their own names.
                let below = if name.contains(':') { field.clone() } else { format!("{name}.{field}") };
                flatten(&below, value, into);
            }
        }
    }
}

struct GroupRow {
    id: String,
    display_name: String,
    external_id: String,
    modified: Option<When>,
}

#[derive(Template)]
#[template(path = "groups.html")]
struct Groups {
    shell: Shell,
    words: String,
    narrowed: bool,
    total: String,
    groups: Vec<GroupRow>,
    previous: String,
    next: String,
}

/// `GET groups`
pub(crate) async fn groups(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let (words, now) = (asked.words(), signed_in.visit.console.now());
    let mut client = signed_in.visit.console.clients.identity.clone();
    let mut list = async |operator: &str| {
        let request = ListGroupsRequest {
            organization_id: signed_in.organization_id(),
            caller: signed_in.caller(),
            query: Some(asked.query(filter(&["displayName"], operator, &words), "displayName")),
            mask: None,
        };
        client.list_groups(signed_in.call(request)).await
    };
    let mut narrowed = false;
    let mut listed = list("co").await;
    if listed.as_ref().is_err_and(|status| wire::refusal(status).reason == Reason::TooMany) {
        narrowed = true;
        listed = list("sw").await;
    }
    let listed = listed?.into_inner();
    let rows = listed.groups.into_iter().map(|group| GroupRow {
        modified: When::of(group.modified_at.as_ref(), now),
        id: group.id,
        display_name: group.display_name,
        external_id: group.external_id.unwrap_or_default(),
    });
    let page = Groups {
        shell: Shell::new(&signed_in, Section::Groups, "Groups"),
        narrowed,
        total: grouped(u64::try_from(listed.total_results).unwrap_or_default()),
        groups: rows.collect(),
        previous: link("groups", &words, &listed.previous_cursor),
        next: link("groups", &words, &listed.next_cursor),
        words,
    };
    page::html(StatusCode::OK, &page)
}

struct MemberRow {
    id: String,
    name: String,
    /// `users` or `groups`.
    kind: &'static str,
    inactive: bool,
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    shell: Shell,
    id: String,
    external_id: Option<String>,
    created: Option<When>,
    modified: Option<When>,
    members: Vec<MemberRow>,
    first: bool,
    next: String,
    made_by: Option<String>,
    history: Option<History>,
    /// This page, below the root.
    here: String,
}

/// `GET groups/{id}`
pub(crate) async fn group(signed_in: SignedIn, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let id = uuid(&id)?;
    let get = GetGroupRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        mask: Some(GroupMask { members: 0 }),
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    let group = client.get_group(signed_in.call(get)).await?.into_inner();
    let list = ListMembersRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        group_id: id.clone(),
        page_size: PAGE,
        page_token: asked.cursor.clone(),
    };
    let listed = client.list_members(signed_in.call(list)).await?.into_inner();
    let named = futures::stream::iter(listed.members).map(|member| named(&signed_in, member)).buffered(AT_ONCE);
    // Who was deleted since the page was read is left out.
    let members: Vec<_> = named.filter_map(std::future::ready).collect().await;
    let history = history::of(&signed_in, &id, &asked.before).await?;
    let page = GroupPage {
        shell: Shell::new(&signed_in, Section::Groups, group.display_name),
        external_id: group.external_id,
        created: When::of(group.created_at.as_ref(), now),
        modified: When::of(group.modified_at.as_ref(), now),
        members,
        first: asked.cursor.is_empty(),
        next: link(&format!("groups/{id}"), "", &listed.next_page_token),
        made_by: history.as_ref().and_then(|history| history.made_by.clone()),
        history,
        here: format!("groups/{id}"),
        id,
    };
    page::html(StatusCode::OK, &page)
}

async fn named(signed_in: &SignedIn, member: Member) -> Option<MemberRow> {
    let id = uuid::Uuid::from_slice(&member.id).ok()?.to_string();
    let (organization_id, caller) = (signed_in.organization_id(), signed_in.caller());
    let mut client = signed_in.visit.console.clients.identity.clone();
    if member.r#type() == MemberType::Group {
        let mask = Some(GroupMask { members: 0 });
        let request = GetGroupRequest { organization_id, caller, id: id.clone(), mask };
        let group = client.get_group(signed_in.call(request)).await.ok()?.into_inner();
        return Some(MemberRow { id, name: group.display_name, kind: "groups", inactive: false });
    }
    let mask = Some(UserMask { omit_groups: true });
    let request = GetUserRequest { organization_id, caller, id: id.clone(), mask };
    let user = client.get_user(signed_in.call(request)).await.ok()?.into_inner();
    Some(MemberRow { id, name: user.user_name, kind: "users", inactive: user.active != Some(true) })
}

/// Where a user or group is found, `users` or `groups`, and its name.
pub(super) async fn name_of(signed_in: &SignedIn, id: &str) -> Option<(&'static str, String)> {
    let id = uuid::Uuid::try_parse(id).ok()?;
    let found = async |kind: MemberType| {
        named(signed_in, Member { id: id.as_bytes().to_vec().into(), r#type: kind.into() }).await
    };
    let row = match found(MemberType::User).await {
        Some(row) => row,
        None => found(MemberType::Group).await?,
    };
    Some((row.kind, row.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_looked_for_stays_one_string_of_the_filter() {
        assert_eq!(filter(&["userName"], "co", ""), "");
        assert_eq!(
            filter(&["userName", "displayName"], "co", r#"a" or userName pr or x eq "\"#),
            r#"userName co "a\" or userName pr or x eq \"\\" or displayName co "a\" or userName pr or x eq \"\\""#
        );
    }

    #[test]
    fn attributes_are_shown_by_their_paths() {
        let resource = json!({
            "name": {"givenName": "Kit", "formatted": null},
            "emails": [{"type": "work", "value": "kit@example.com", "primary": true}, {"value": "k@example.com"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Pier", "manager": {"value": "u1"}},
            "badge": 7,
        });
        let mut shown = Vec::new();
        for (name, value) in resource.as_object().expect("object") {
            flatten(name, value, &mut shown);
        }
        let shown: Vec<_> = shown.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            [
                "name.givenName=Kit",
                "emails (work), primary=kit@example.com",
                "emails=k@example.com",
                "department=Pier",
                "manager.value=u1",
                "badge=7"
            ]
        );
    }

    #[test]
    fn a_state_narrows_what_is_found() {
        assert_eq!(in_state(String::new(), ""), "");
        assert_eq!(in_state(String::new(), "inactive"), "not (active eq true)");
        assert_eq!(in_state("a or b".to_owned(), "active"), "(a or b) and active eq true");
        assert_eq!(users_link("", "inactive", "x"), "users?cursor=x&state=inactive");
        assert_eq!(
            (users_link("", "inactive", ""), users_link("", "", "x")),
            (String::new(), "users?cursor=x".to_owned())
        );
    }

    #[test]
    fn pages_are_linked_with_what_was_looked_for() {
        assert_eq!(link("users", "a&b", ""), "");
        assert_eq!(link("users", "a&b", "x+y"), "users?q=a%26b&cursor=x%2By");
    }
}
