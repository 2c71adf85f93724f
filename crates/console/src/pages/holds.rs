//! Held changes: many users at once that lost their access, and what an administrator decides about it.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use futures::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tonic::Code;
use wire::{
    Reason,
    identity::{
        ApproveHoldRequest, HeldUser, Hold, HoldState, ListEventsOfSubjectRequest, ListHoldUsersRequest,
        ListHoldsRequest, RestoreHoldRequest,
    },
};

use super::{
    deleted,
    directory::{AT_ONCE, link, name_of, uuid},
    overview::grouped,
    see,
    who::Names,
};
use crate::{
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::When,
};

const BACK: &str = "holds";
/// Holds whose makers are asked for.
const TOLD: usize = 10;
/// Users that could not be restored whose names are looked up.
const NAMED: usize = 200;
/// Users of a hold on one page.
const PEOPLE: u32 = 50;

/// A hold as it is shown.
pub(super) struct Held {
    pub(super) id: String,
    state: HoldState,
    pub(super) opened: Option<When>,
    first: Option<When>,
    last: Option<When>,
    /// Such as `12 users deleted and 3 deactivated`.
    pub(super) what: String,
    any_deleted: bool,
    any_deactivated: bool,
    pub(super) users: String,
    /// Who took the access away, where it is known.
    by: Vec<String>,
    decided: Option<When>,
    decided_by: String,
    /// Dealt with so far, of so many.
    done: u64,
    all: u64,
    restored: String,
    failed: String,
    any_failed: bool,
    failures: Vec<Failure>,
    /// Failures that are not listed.
    others: String,
    /// The first of those whom it is about, where that is shown.
    people: Vec<Person>,
    /// There are more of them.
    more_people: bool,
}

/// Somebody whom a hold is about.
struct Person {
    /// Below the root; empty: it is there no more.
    path: String,
    /// The user name, else the id.
    name: String,
    display_name: String,
    deleted: bool,
    when: Option<When>,
}

/// Who could not be restored.
struct Failure {
    /// Below the root; empty: it is there no more.
    path: String,
    name: String,
    /// It came back since.
    back: bool,
    why: String,
}

impl Held {
    fn new(hold: &Hold, names: &Names, now: jiff::Timestamp) -> Self {
        let decided = When::of(hold.decided_at.as_ref(), now);
        let listed = u64::try_from(hold.failures.len()).unwrap_or_default();
        Self {
            id: hold.id.clone(),
            state: hold.state(),
            opened: When::of(hold.opened_at.as_ref(), now),
            first: When::of(hold.first_at.as_ref(), now),
            last: When::of(hold.last_at.as_ref(), now),
            what: what(hold.deleted, hold.deactivated),
            any_deleted: hold.deleted > 0,
            any_deactivated: hold.deactivated > 0,
            users: grouped(hold.users),
            by: Vec::new(),
            decided_by: if decided.is_some() { names.who(&hold.decided_by_json) } else { String::new() },
            decided,
            done: hold.restored + hold.failed,
            all: hold.deleted + hold.deactivated,
            restored: grouped(hold.restored),
            failed: grouped(hold.failed),
            any_failed: hold.failed > 0,
            failures: Vec::new(),
            others: hold.failed.checked_sub(listed).filter(|more| *more > 0).map(grouped).unwrap_or_default(),
            people: Vec::new(),
            more_people: false,
        }
    }

    fn open(&self) -> bool {
        self.state == HoldState::Open
    }

    fn restoring(&self) -> bool {
        self.state == HoldState::Restoring
    }

    fn word(&self) -> (&'static str, &'static str) {
        match self.state {
            HoldState::Open | HoldState::Unspecified => ("waits for a decision", "warn"),
            HoldState::Approved => ("approved", "plain"),
            HoldState::Restoring => ("being restored", "warn"),
            HoldState::Restored if self.any_failed => ("restored in part", "warn"),
            HoldState::Restored => ("restored", "good"),
        }
    }
}

/// In words.
fn what(deleted: u64, deactivated: u64) -> String {
    let users = |count: u64| if count == 1 { "1 user".to_owned() } else { format!("{} users", grouped(count)) };
    match (deleted, deactivated) {
        (0, 0) => "Nobody any more: all have their access again".to_owned(),
        (deleted, 0) => format!("{} deleted", users(deleted)),
        (0, deactivated) => format!("{} deactivated", users(deactivated)),
        (deleted, deactivated) => format!("{} deleted and {} deactivated", users(deleted), grouped(deactivated)),
    }
}

pub(super) async fn all(signed_in: &SignedIn) -> Result<Vec<Hold>> {
    let request = ListHoldsRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller() };
    let mut client = signed_in.visit.console.clients.identity.clone();
    Ok(client.list_holds(signed_in.call(request)).await?.into_inner().holds)
}

/// A page of those whom a hold is about, and where the next begins. A service of before does not tell.
async fn people(signed_in: &SignedIn, hold: &str, page_token: String) -> Result<(Vec<Person>, String)> {
    let request = ListHoldUsersRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: hold.to_owned(),
        page_size: PEOPLE,
        page_token,
    };
    let mut client = signed_in.visit.console.clients.identity.clone();
    let listed = match client.list_hold_users(signed_in.call(request)).await {
        Ok(listed) => listed.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Ok(Default::default()),
        Err(status) => return Err(status.into()),
    };
    let now = signed_in.visit.console.now();
    let person = |user: HeldUser| Person {
        path: match (user.user_name.is_empty(), user.deleted) {
            (true, _) => String::new(),
            (_, true) => format!("users/deleted/{}", user.user_id),
            (_, false) => format!("users/{}", user.user_id),
        },
        name: if user.user_name.is_empty() { user.user_id } else { user.user_name },
        display_name: user.display_name,
        deleted: user.deleted,
        when: When::of(user.lost_at.as_ref(), now),
    };
    Ok((listed.users.into_iter().map(person).collect(), listed.next_page_token))
}

/// Those that wait for a decision, for the overview.
pub(super) async fn open(signed_in: &SignedIn) -> Result<Vec<Held>> {
    let now = signed_in.visit.console.now();
    let holds = all(signed_in).await?;
    let open = holds.iter().filter(|hold| hold.state() == HoldState::Open);
    Ok(open.map(|hold| Held::new(hold, &Names::default(), now)).collect())
}

/// Who took the access away, as the event that opened the hold tells, most of it first.
async fn by(signed_in: &SignedIn, id: &str, names: &Names) -> Result<Vec<String>> {
    let request = ListEventsOfSubjectRequest {
        organization_id: signed_in.organization_id(),
        subject_id: id.to_owned(),
        before_sequence: 0,
        page_size: 10,
    };
    let mut log = signed_in.visit.console.clients.log.clone();
    let events = match log.list_events_of_subject(signed_in.call(request)).await {
        Ok(listed) => listed.into_inner().events,
        Err(status) if status.code() == Code::Unimplemented => return Ok(Vec::new()),
        Err(status) => return Err(status.into()),
    };
    let opened = events.iter().find(|event| event.r#type == "hold.opened");
    Ok(opened.map(|event| blamed(&event.delta_json, names)).unwrap_or_default())
}

/// Of the delta of `hold.opened`.
fn blamed(delta_json: &[u8], names: &Names) -> Vec<String> {
    let delta: Value = serde_json::from_slice(delta_json).unwrap_or_default();
    let by = delta["by"].as_array().into_iter().flatten();
    by.map(|by| names.who(by["actor"].to_string().as_bytes())).collect()
}

async fn failure(signed_in: &SignedIn, id: String, why: String) -> Failure {
    if let Ok(Some(user)) = deleted::find(signed_in, &id).await {
        return Failure { path: format!("users/deleted/{id}"), name: user.user_name, back: false, why };
    }
    match name_of(signed_in, &id).await {
        Some((kind, name)) => Failure { path: format!("{kind}/{id}"), name, back: true, why },
        None => Failure { path: String::new(), name: id, back: false, why },
    }
}

#[derive(Template)]
#[template(path = "holds.html")]
struct Holds {
    shell: Shell,
    holds: Vec<Held>,
    may_change: bool,
    percent: u32,
    /// There is progress to be seen.
    again: bool,
}

/// `GET holds`
pub(crate) async fn list(signed_in: SignedIn) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let (found, names) = futures::join!(all(&signed_in), Names::of(&signed_in));
    let (found, names) = (found?, names?);
    let told = found.iter().take(TOLD).map(|hold| by(&signed_in, &hold.id, &names));
    let mut told = futures::future::try_join_all(told).await?.into_iter();
    let who = &signed_in;
    let mut failures = Vec::new();
    for hold in &found {
        failures.extend(hold.failures.iter().map(|failure| (hold.id.clone(), failure.clone())));
    }
    failures.truncate(NAMED);
    let mut named: HashMap<String, Vec<Failure>> = HashMap::new();
    let mut looked = futures::stream::iter(failures)
        .map(|(hold, failed)| async move { (hold, failure(who, failed.user_id, failed.why).await) })
        .buffered(AT_ONCE);
    while let Some((hold, failure)) = looked.next().await {
        named.entry(hold).or_default().push(failure);
    }
    drop(looked);
    let mut holds = Vec::with_capacity(found.len());
    for hold in &found {
        // There is one at most, and whom it is about is what a decision is about.
        let waits = hold.state() == HoldState::Open;
        let (people, next) = if waits { people(who, &hold.id, String::new()).await? } else { Default::default() };
        holds.push(Held {
            by: told.next().unwrap_or_default(),
            failures: named.remove(&hold.id).unwrap_or_default(),
            people,
            more_people: !next.is_empty(),
            ..Held::new(hold, &names, now)
        });
    }
    let page = Holds {
        shell: Shell::new(&signed_in, Section::Holds, "Held changes"),
        again: holds.iter().any(Held::restoring),
        holds,
        may_change: signed_in.role >= Role::Admin,
        percent: signed_in.organization.hold_percent,
    };
    page::html(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    cursor: String,
}

#[derive(Template)]
#[template(path = "hold.html")]
struct One {
    shell: Shell,
    hold: Held,
    first: bool,
    next: String,
    may_change: bool,
}

/// `GET holds/{id}`: whom it is about.
pub(crate) async fn one(signed_in: SignedIn, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response> {
    let id = uuid(&id)?;
    let (found, names) = futures::join!(all(&signed_in), Names::of(&signed_in));
    let hold = found?.into_iter().find(|hold| hold.id == id).ok_or_else(Problem::not_found)?;
    let first = asked.cursor.is_empty();
    let (people, next) = people(&signed_in, &id, asked.cursor).await?;
    let held = Held::new(&hold, &names?, signed_in.visit.console.now());
    let page = One {
        shell: Shell::new(&signed_in, Section::Holds, held.what.clone()),
        hold: Held { people, ..held },
        first,
        next: link(&format!("holds/{id}"), "", &next),
        may_change: signed_in.role >= Role::Admin,
    };
    page::html(StatusCode::OK, &page)
}

/// What can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Restore,
    Approve,
}

#[derive(Template)]
#[template(path = "hold_decide.html")]
struct Decide {
    shell: Shell,
    hold: Held,
    decision: Decision,
    may_change: bool,
    grace_days: u32,
}

async fn deciding(signed_in: &SignedIn, id: &str, decision: Decision) -> Result<Response> {
    let id = uuid(id)?;
    let hold = all(signed_in).await?.into_iter().find(|hold| hold.id == id).ok_or_else(Problem::not_found)?;
    if hold.state() != HoldState::Open {
        return Err(decided());
    }
    let title = match decision {
        Decision::Restore => "Restore all",
        Decision::Approve => "Approve",
    };
    let (people, next) = people(signed_in, &id, String::new()).await?;
    let held = Held::new(&hold, &Names::default(), signed_in.visit.console.now());
    let page = Decide {
        shell: Shell::new(signed_in, Section::Holds, title),
        hold: Held { people, more_people: !next.is_empty(), ..held },
        decision,
        may_change: signed_in.role >= Role::Admin,
        grace_days: signed_in.organization.deletion_grace_days,
    };
    page::html(StatusCode::OK, &page)
}

/// `GET holds/{id}/restore`
pub(crate) async fn restoring(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    deciding(&signed_in, &id, Decision::Restore).await
}

/// `GET holds/{id}/approve`
pub(crate) async fn approving(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    deciding(&signed_in, &id, Decision::Approve).await
}

/// `POST holds/{id}/restore`
pub(crate) async fn restore(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let (organization_id, caller) = (signed_in.organization_id(), signed_in.caller());
    let request = RestoreHoldRequest { organization_id, caller, id: uuid(&id)? };
    let mut client = signed_in.visit.console.clients.identity.clone();
    client.restore_hold(signed_in.call(request)).await.map_err(not_open)?;
    see(&signed_in, BACK, "hold-restoring")
}

/// `POST holds/{id}/approve`
pub(crate) async fn approve(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let (organization_id, caller) = (signed_in.organization_id(), signed_in.caller());
    let request = ApproveHoldRequest { organization_id, caller, id: uuid(&id)? };
    let mut client = signed_in.visit.console.clients.identity.clone();
    client.approve_hold(signed_in.call(request)).await.map_err(not_open)?;
    see(&signed_in, BACK, "hold-approved")
}

/// The service says the same of a hold that is not there and of one that was decided about.
fn not_open(status: tonic::Status) -> Problem {
    if wire::refusal(&status).reason == Reason::InvalidArgument { decided() } else { status.into() }
}

fn decided() -> Problem {
    let text = "Nothing waits for a decision here: somebody has decided already. The list says who, and how it went.";
    Problem::new(StatusCode::NOT_FOUND, "This was decided", text).next("/holds", "Held changes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_in_words() {
        for (deleted, deactivated, said) in [
            (1, 0, "1 user deleted"),
            (1200, 0, "1,200 users deleted"),
            (0, 3, "3 users deactivated"),
            (12, 3, "12 users deleted and 3 deactivated"),
            (0, 0, "Nobody any more: all have their access again"),
        ] {
            assert_eq!(what(deleted, deactivated), said);
        }
    }

    #[test]
    fn who_did_it_is_read_from_the_event() {
        let delta =
            br#"{"since":"2026-11-26T08:00:00Z","until":"2026-11-26T08:10:00Z","deactivated":1,"deleted":11,"users":40,
            "by":[{"actor":{"kind":"scim_client","token_id":"t1"},"losses":11},
                  {"actor":{"kind":"administrator","name":"ada"},"losses":1}]}"#;
        assert_eq!(blamed(delta, &Names::default()), ["the SCIM token t1", "ada"]);
        assert_eq!(blamed(b"", &Names::default()), Vec::<String>::new());
    }

    #[test]
    fn while_users_are_restored_the_page_says_how_far_it_is_and_looks_again() {
        let now = jiff::Timestamp::from_second(1_800_000_000).expect("instant");
        let page = |state: HoldState, restored: u64| {
            let hold = Hold {
                id: "h1".to_owned(),
                state: state.into(),
                deactivated: 3,
                deleted: 8,
                users: 12,
                failed: 1,
                restored,
                ..Hold::default()
            };
            let holds = vec![Held::new(&hold, &Names::default(), now)];
            let again = holds.iter().any(Held::restoring);
            let page = Holds { shell: Shell::plain(), holds, may_change: true, percent: 20, again };
            page.render().expect("rendered")
        };
        let half = page(HoldState::Restoring, 4);
        assert!(half.contains("5 of 11 are dealt with.") && half.contains("max=\"11\" value=\"5\""), "{half}");
        assert!(half.contains(" data-again>") && !half.contains("/holds/h1/restore"));
        let open = page(HoldState::Open, 0);
        assert!(!open.contains("<progress") && !open.contains("data-again") && open.contains("/holds/h1/restore"));
        let done = page(HoldState::Restored, 10);
        assert!(
            !done.contains("data-again") && done.contains("10, 1 could not be") && done.contains("restored in part")
        );
    }
}
