//! The provisioning log: look requests up, look at one, take them out as NDJSON, and say for how long they are kept.

use std::collections::HashSet;

use askama::Template;
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query},
    response::{IntoResponse as _, Response},
};
use futures::stream;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use wire::{
    Reason,
    identity::{
        CountRequestsRequest, Event, GetProvisioningLogRequest, GetRequestRequest, ListRequestsRequest,
        ListRequestsResponse, LoggedRequest, Outcome, SetProvisioningLogRequest,
    },
};

use super::{history, said, see, status, who::Names};
use crate::{
    busy::{Kind, Place},
    diagnosis::{self, ANY, Boxes, Finding},
    form::Form,
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::{When, instant},
};

const PAGE: u32 = 50;
/// With what each changed.
const EXPORTED_AT_ONCE: u32 = 100;
/// Whoever reads more slowly gets a part.
const LONGEST_EXPORT: Duration = Duration::from_secs(15 * 60);
/// How far back the page says that requests were left out.
const LEFT_OUT_HOURS: i64 = 24;

/// What is looked for, and from where on.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    outcome: String,
    /// A user's or group's id.
    #[serde(default)]
    subject: String,
    /// The user name, or the id, of a user.
    #[serde(default)]
    user: String,
    /// The name, or the id, of a group.
    #[serde(default)]
    group: String,
    /// How far back: `hour`, `day`, `week` or all.
    #[serde(default)]
    within: String,
    /// Days in UTC, both of them inclusive; instead of `within`.
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    page: String,
}

impl Asked {
    fn words(&self) -> String {
        self.q.trim().chars().take(200).collect()
    }

    /// From when, inclusive, and until when, exclusive.
    fn span(&self, now: Timestamp) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
        let (from, until) = (day(&self.from)?, day(&self.until)?);
        if from.is_some() || until.is_some() {
            if from.zip(until).is_some_and(|(from, until)| from > until) {
                return Err(wrong("From is a day after Until: no day lies between them. Give From the earlier day."));
            }
            let next = until.map(|until| until.saturating_add(SignedDuration::from_hours(24)).unwrap_or(until));
            return Ok((from, next));
        }
        let hours = match &*self.within {
            "hour" => Some(1),
            "day" => Some(24),
            "week" => Some(7 * 24),
            _ => None,
        };
        Ok((hours.map(|hours| now - SignedDuration::from_hours(hours)), None))
    }

    /// Whom it is about: an id, a user's name, a group's name; two of them are empty.
    fn about(&self) -> Result<(String, String, String)> {
        let [user, group, subject] = [&self.user, &self.group, &self.subject].map(|text| text.trim().to_owned());
        let none = String::new;
        match (user.is_empty(), group.is_empty()) {
            (true, true) => Ok((subject, none(), none())),
            (false, false) => Err(wrong(
                "Look for a user or for a group, not for both at once. Go back, and clear one of the two fields.",
            )),
            _ if uuid::Uuid::try_parse(&[&*user, &*group].concat()).is_ok() => {
                Ok(([user, group].concat().to_lowercase(), none(), none()))
            }
            _ => Ok((none(), user, group)),
        }
    }

    fn request(&self, signed_in: &SignedIn, page_size: u32) -> Result<ListRequestsRequest> {
        let (from, to) = self.span(signed_in.visit.console.now())?;
        let (subject_id, user_name, group_name) = self.about()?;
        let instant = |at: Timestamp| wire::to_timestamp(at.as_microsecond());
        let outcomes = match &*self.outcome {
            "problems" => vec![Outcome::Refused.into(), Outcome::Failed.into(), Outcome::Unchanged.into()],
            "changed" => vec![Outcome::Changed.into()],
            "unchanged" => vec![Outcome::Unchanged.into()],
            "refused" => vec![Outcome::Refused.into()],
            "failed" => vec![Outcome::Failed.into()],
            _ => Vec::new(),
        };
        Ok(ListRequestsRequest {
            organization_id: signed_in.organization_id(),
            caller: signed_in.caller(),
            outcomes,
            subject_id,
            user_name,
            group_name,
            words: self.words(),
            from: from.map(instant),
            to: to.map(instant),
            page_size,
            page_token: self.page.clone(),
            ..ListRequestsRequest::default()
        })
    }

    /// The same search, as a query.
    fn query(&self, page: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("q", &*self.words()),
            ("outcome", &*self.outcome),
            ("subject", &*self.subject),
            ("user", &*self.user),
            ("group", &*self.group),
            ("within", &*self.within),
            ("from", &*self.from),
            ("until", &*self.until),
            ("page", page),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

/// A day as browsers write it, from its beginning. Empty: none.
fn day(text: &str) -> Result<Option<Timestamp>> {
    if text.is_empty() {
        return Ok(None);
    }
    let day =
        text.parse::<jiff::civil::Date>().ok().and_then(|day| day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok());
    day.map(|day| Some(day.timestamp())).ok_or_else(|| wrong("A day is written as 2026-11-26."))
}

fn wrong(text: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "This cannot be looked for", text).next("/log", "Provisioning log")
}

/// A page of another list, or of no list at all.
fn lost(status: tonic::Status) -> Problem {
    if wire::refusal(&status).reason != Reason::InvalidCursor {
        return status.into();
    }
    let text = "The address of this page is not one that the log gave out. Begin with the newest requests.";
    Problem::new(StatusCode::NOT_FOUND, "There is no such page", text).next("/log", "The newest requests")
}

/// One request in a list.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) date: String,
    pub(crate) time: String,
    pub(crate) iso: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) subject: String,
    pub(crate) outcome: &'static str,
    pub(crate) tone: &'static str,
    /// What is to be said of it.
    pub(crate) title: String,
}

impl Row {
    pub(crate) fn new(request: &LoggedRequest, provider: &Boxes) -> Self {
        let at = instant(request.occurred_at.as_ref()).unwrap_or_default();
        let (outcome, tone) = outcome(request);
        let mut title = diagnosis::of_request(request, provider).map(|finding| finding.title).unwrap_or_default();
        if request.outcome() == Outcome::Changed && !request.ignored.is_empty() {
            title = format!("{title}: {}", request.ignored.join(", "));
        }
        Self {
            id: request.id.clone(),
            date: at.strftime("%Y-%m-%d").to_string(),
            time: at.strftime("%H:%M:%S").to_string(),
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            method: request.method.clone(),
            path: request.path.clone(),
            subject: request.subject_name.clone(),
            outcome,
            tone,
            title,
        }
    }
}

/// In a word, with its colour.
fn outcome(request: &LoggedRequest) -> (&'static str, &'static str) {
    match request.outcome() {
        Outcome::Changed if !request.ignored.is_empty() => ("changed in part", "warn"),
        Outcome::Changed => ("changed", "good"),
        Outcome::Read => ("read", "plain"),
        Outcome::Unchanged => ("changed nothing", "warn"),
        Outcome::Refused => ("refused", "bad"),
        Outcome::Failed => ("failed", "bad"),
        Outcome::Unspecified => ("unknown", "plain"),
    }
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

fn choices(all: &[(&'static str, &'static str)], chosen: &str) -> Vec<Choice> {
    let known = all.iter().any(|(value, _)| *value == chosen);
    let choice = |&(value, label): &(&'static str, &'static str)| Choice {
        value,
        label,
        chosen: value == chosen || !known && value.is_empty(),
    };
    all.iter().map(choice).collect()
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    asked: Asked,
    outcomes: Vec<Choice>,
    spans: Vec<Choice>,
    rows: Vec<Row>,
    /// Requests that are counted and not in the log.
    left_out: u64,
    /// The search has not come to its end.
    unfinished: bool,
    next: String,
    /// The search without its page.
    export: String,
    days: String,
    may_change: bool,
    error: Option<String>,
}

/// `GET log`
pub(crate) async fn list(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    shown(&signed_in, asked, None, None).await
}

async fn shown(signed_in: &SignedIn, asked: Asked, days: Option<String>, error: Option<String>) -> Result<Response> {
    let clients = &signed_in.visit.console.clients;
    let request = signed_in.call(asked.request(signed_in, PAGE)?);
    let settings = signed_in.call(GetProvisioningLogRequest { organization_id: signed_in.organization_id() });
    let day_ago = signed_in.visit.console.now() - SignedDuration::from_hours(LEFT_OUT_HOURS);
    let counts = signed_in.call(CountRequestsRequest {
        organization_id: signed_in.organization_id(),
        from: Some(wire::to_timestamp(day_ago.as_microsecond())),
        to: None,
    });
    let (mut log, mut kept, mut counted) = (clients.log.clone(), clients.log.clone(), clients.log.clone());
    let (listed, settings, counts) =
        tokio::join!(log.list_requests(request), kept.get_provisioning_log(settings), counted.count_requests(counts));
    let (listed, settings, counts) = (listed.map_err(lost)?.into_inner(), settings?, counts?);
    let page = LogPage {
        shell: Shell::new(signed_in, Section::Log, "Provisioning log"),
        outcomes: choices(
            &[
                ("", "Any outcome"),
                ("problems", "Problems"),
                ("refused", "Refused"),
                ("unchanged", "Changed nothing"),
                ("failed", "Failed here"),
                ("changed", "Changed"),
            ],
            &asked.outcome,
        ),
        spans: choices(
            &[("", "Any time"), ("hour", "Last hour"), ("day", "Last 24 hours"), ("week", "Last 7 days")],
            &asked.within,
        ),
        rows: listed.requests.iter().map(|request| Row::new(request, &ANY)).collect(),
        left_out: counts.into_inner().counts.iter().map(|hour| hour.left_out).sum(),
        unfinished: listed.requests.len() < PAGE as usize && !listed.next_page_token.is_empty(),
        next: match &*listed.next_page_token {
            "" => String::new(),
            token => format!("log?{}", asked.query(token)),
        },
        export: asked.query(""),
        days: days.unwrap_or_else(|| settings.into_inner().retention_days.to_string()),
        may_change: signed_in.role >= Role::Admin,
        asked,
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `POST log/retention`
pub(crate) async fn keep(signed_in: SignedIn, form: Form) -> Result<Response> {
    let days = form.get("retention_days").to_owned();
    let problem = match days.parse() {
        Ok(days) => {
            let request = SetProvisioningLogRequest {
                organization_id: signed_in.organization_id(),
                caller: signed_in.caller(),
                retention_days: Some(days),
                watch_seconds: None,
            };
            let mut log = signed_in.visit.console.clients.log.clone();
            match log.set_provisioning_log(signed_in.call(request)).await {
                Ok(_) => return see(&signed_in, "log", "log-kept"),
                Err(status) => said(status.into())?,
            }
        }
        Err(_) => "Give a number of days from 1 to 365.".to_owned(),
    };
    shown(&signed_in, Asked::default(), Some(days), Some(problem)).await
}

#[derive(Template)]
#[template(path = "log_entry.html")]
struct Entry {
    shell: Shell,
    row: Row,
    finding: Option<Finding>,
    when: Option<When>,
    /// Milliseconds.
    took: String,
    who: String,
    request: LoggedRequest,
    /// Path below the root; empty: there is none.
    subject: String,
    body: String,
    /// What changed, in the words of a history.
    changes: Vec<history::Entry>,
    /// Something was changed, whether it is known what or not.
    changed: bool,
    ignored: Vec<String>,
    coerced: Vec<(String, &'static str)>,
}

/// `GET log/{id}`
pub(crate) async fn entry(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let console = &signed_in.visit.console;
    let request =
        GetRequestRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id: id.clone() };
    let found = console.clients.log.clone().get_request(signed_in.call(request)).await?.into_inner();
    let request = found.request.ok_or_else(Problem::internal)?;
    let told = |name: &str| {
        let lists = found.events.iter().filter_map(|event| strings(&event.delta_json, name)).flatten();
        lists.collect::<Vec<String>>()
    };
    let row = Row::new(&request, &ANY);
    let kind = match &*request.resource_type {
        "Group" => "groups",
        _ => "users",
    };
    let names = Names::of(&signed_in).await?;
    let page = Entry {
        shell: Shell::new(&signed_in, Section::Log, format!("{} {}", request.method, short(&request.path))),
        finding: diagnosis::of_request(&request, &ANY),
        when: When::of(request.occurred_at.as_ref(), console.now()),
        took: format!("{:.1}", f64::from(u32::try_from(request.duration_us).unwrap_or(u32::MAX)) / 1000.0),
        who: match &*request.token_id {
            "" => "nobody who was let in".to_owned(),
            id => names.client(id),
        },
        subject: match &*request.subject_id {
            "" => String::new(),
            id => format!("{kind}/{id}"),
        },
        body: indented(&request.body),
        changes: history::entries(&signed_in, &found.events, &names).await,
        changed: request.outcome() == Outcome::Changed,
        ignored: each_once([request.ignored.clone(), told("ignored")].concat()),
        coerced: each_once([request.coerced.clone(), told("coerced")].concat())
            .into_iter()
            .map(|rule| (rule.clone(), rule_means(&rule)))
            .collect(),
        row,
        request,
    };
    page::html(StatusCode::OK, &page)
}

/// A request of a gateway of before has none where something was changed; its events do.
fn each_once(mut names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn short(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    path.strip_prefix("/scim/v2").unwrap_or(path).chars().take(60).collect()
}

fn strings(delta: &[u8], name: &str) -> Option<Vec<String>> {
    let delta: Value = serde_json::from_slice(delta).ok()?;
    let list = delta.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// JSON as people read it; what was cut is shown as it is.
fn indented(body: &str) -> String {
    let value = serde_json::from_str::<Value>(body).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| body.to_owned())
}

fn rule_means(rule: &str) -> &'static str {
    match rule {
        "booleanAsString" => "\"True\" or \"False\" in quotes was read as true or false",
        "complexAsString" => "a text was read as the value of an attribute that has several parts",
        "elementAsString" => "a text was read as one value of a list",
        "singleForArray" => "one value was read as a list of one",
        "arrayForSingle" => "a list of one was read as its value",
        "blankValue" => "an empty value was read as none",
        "removeByValue" => "only the values named were removed, not the whole list",
        "addToMissingElement" | "replaceMissingElement" => "the value of that type was not there and was made",
        "pathAsKey" => "a path given as a key was read as a path",
        _ => "read as the provider means it",
    }
}

/// An export that goes on.
struct Export {
    signed_in: SignedIn,
    asked: Asked,
    /// Read already.
    listed: Option<ListRequestsResponse>,
    until: Instant,
    _place: Place,
}

impl Export {
    async fn read(&self) -> Result<ListRequestsResponse> {
        let request = self.asked.request(&self.signed_in, EXPORTED_AT_ONCE)?;
        let request = ListRequestsRequest { with_events: true, ..request };
        let mut log = self.signed_in.visit.console.clients.log.clone();
        Ok(log.list_requests(self.signed_in.call(request)).await?.into_inner())
    }

    /// Some lines, and what goes on after them.
    async fn next(mut self) -> std::io::Result<(Bytes, Option<Self>)> {
        // The browser sees that the file is not whole.
        let broken = |_| std::io::Error::other("the log cannot be read");
        let listed = match self.listed.take() {
            Some(listed) => listed,
            None => {
                let more = async {
                    self.signed_in.still().await?;
                    self.read().await
                };
                match tokio::time::timeout_at(self.until, more).await {
                    Ok(listed) => listed.map_err(broken)?,
                    Err(_) => return Err(std::io::Error::other("the export took too long")),
                }
            }
        };
        let page = listed.next_page_token;
        let mut text = String::new();
        let mut events = listed.events.into_iter();
        for request in &listed.requests {
            let events = events.next().unwrap_or_default().events;
            text.push_str(&line(request, &events).to_string());
            text.push('\n');
        }
        let next = (!page.is_empty()).then(|| Self { asked: Asked { page, ..self.asked.clone() }, ..self });
        Ok((Bytes::from(text), next))
    }
}

/// `GET log/export`: a line for each, the newest first, as the search finds them.
pub(crate) async fn export(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let place = signed_in.visit.console.busy.begin(Kind::Exporting, &signed_in)?;
    let asked = Asked { page: String::new(), ..asked };
    let mut export = Export { signed_in, asked, listed: None, until: Instant::now() + LONGEST_EXPORT, _place: place };
    // What is wrong with the search is said on a page.
    export.listed = Some(export.read().await?);
    let lines = stream::try_unfold(Some(export), async |export| match export {
        Some(export) => export.next().await.map(Some),
        None => Ok(None),
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"provisioning-log.ndjson\"")),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// An event as the export has it.
fn change(event: &Event) -> Value {
    let delta: Value = serde_json::from_slice(&event.delta_json).unwrap_or_default();
    json!({"type": event.r#type, "delta": delta})
}

fn line(request: &LoggedRequest, events: &[Event]) -> Value {
    let at = instant(request.occurred_at.as_ref()).unwrap_or(Timestamp::UNIX_EPOCH);
    let outcome = request.outcome().as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
    json!({
        "id": request.id, "occurred_at": at.to_string(), "duration_us": request.duration_us, "request_id": request.request_id,
        "token_id": request.token_id, "address": request.address, "user_agent": request.user_agent,
        "method": request.method, "path": request.path, "status": request.status, "outcome": outcome,
        "reason": request.reason, "detail": request.detail, "resource_type": request.resource_type,
        "subject_id": request.subject_id, "subject_name": request.subject_name, "understood": request.understood,
        "coerced": request.coerced, "ignored": request.ignored, "body": request.body,
        "changes": events.iter().map(change).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_in_part_is_marked_in_a_list() {
        let row = |outcome: Outcome, ignored: &[&str]| {
            let ignored = ignored.iter().map(|name| (*name).to_owned()).collect();
            let request = LoggedRequest { outcome: outcome.into(), ignored, ..LoggedRequest::default() };
            let row = Row::new(&request, &ANY);
            (row.outcome, row.tone, row.title)
        };
        assert_eq!(row(Outcome::Changed, &[]), ("changed", "good", String::new()));
        let title = "A part of what was sent was ignored: shoeSize".to_owned();
        assert_eq!(row(Outcome::Changed, &["shoeSize"]), ("changed in part", "warn", title));
        let title = "A change was asked for that changes nothing here".to_owned();
        assert_eq!(row(Outcome::Unchanged, &["shoeSize"]), ("changed nothing", "warn", title));
    }

    #[test]
    fn what_is_told_twice_is_shown_once() {
        let names = ["b", "a", "b"].map(str::to_owned);
        assert_eq!(each_once(names.into()), ["b", "a"]);
    }
}
