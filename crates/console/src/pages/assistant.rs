//! The connection assistant: what a provider sends while an administrator sets it up, as it arrives, and which box is wrong. The
//! page works without script, by loading it again; with script the server sends the same part of it whenever something came in.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::Query,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;
use serde::Deserialize;
use uuid::Uuid;
use wire::identity::{
    GetOrganizationRequest, ListRequestsRequest, LoggedRequest, Outcome, SetProvisioningLogRequest,
    get_organization_request::Key,
};

use super::{clients, log::Row, overview::grouped, scim_shell, tokens};
use crate::{
    busy::Kind,
    diagnosis::{self, Boxes, Finding, PROVIDERS, State, Tone},
    form::Form,
    page::{self, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::instant,
};

/// Seconds that reads are logged from when watching begins.
const WATCH: u32 = 15 * 60;
/// Requests that are looked at, the newest.
const MOST: u32 = 300;
/// Of them, shown.
const SHOWN: usize = 50;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What was found by one page that watches is believed for so long by the others of its organization.
const BELIEVED: Duration = Duration::from_millis(900);
/// Looks of one answer; then the browser asks again, and the session is looked at anew.
const LOOKS: u32 = 20;

const ALL: &[i32] = &[
    Outcome::Read as i32,
    Outcome::Changed as i32,
    Outcome::Unchanged as i32,
    Outcome::Refused as i32,
    Outcome::Failed as i32,
];

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    since: String,
}

#[derive(Template)]
#[template(path = "assistant.html")]
struct Assistant {
    shell: Shell,
    providers: &'static [Boxes],
    provider: &'static Boxes,
    may_watch: bool,
    scim_url: String,
    /// Empty: nobody has begun to watch.
    since: String,
    /// Nothing more is shown under this address.
    over: bool,
    status: String,
    live: String,
}

/// What changes, and how it is said in a line.
#[derive(Default)]
struct Part {
    over: bool,
    status: String,
    html: String,
}

#[derive(Template)]
#[template(path = "_live.html")]
struct Live {
    root: String,
    status: String,
    over: bool,
    findings: Vec<Finding>,
    rows: Vec<Row>,
    more: usize,
}

/// The newest request of each organization that is watched.
pub(crate) struct Newest(Cache<String, String>);

impl Newest {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(10_000).time_to_live(BELIEVED).build())
    }

    /// Its id; empty: there is none. One call for all pages of an organization that ask at about the same time.
    async fn of(&self, signed_in: &SignedIn) -> Result<String, Arc<Problem>> {
        let ask = async {
            let request = ListRequestsRequest { outcomes: ALL.to_vec(), page_size: 1, ..asked_of(signed_in) };
            let mut client = signed_in.visit.console.clients.log.clone();
            let listed = client.list_requests(signed_in.call(request)).await.map_err(Problem::from)?.into_inner();
            Ok::<_, Problem>(listed.requests.into_iter().next().map(|request| request.id).unwrap_or_default())
        };
        self.0.try_get_with(signed_in.organization_id(), ask).await
    }
}

/// `GET scim/assistant`
pub(crate) async fn show(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let provider = provider(&asked);
    let since = since(&asked).or_else(|| being_watched(&signed_in));
    let part = match since {
        Some(since) => {
            let requests = requests(&signed_in, since).await?;
            part(&signed_in, provider, since, &requests, state(&signed_in).await?)?
        }
        None => Part::default(),
    };
    let page = Assistant {
        shell: scim_shell(&signed_in, "Connection assistant"),
        providers: &PROVIDERS,
        provider,
        may_watch: signed_in.role >= Role::Admin,
        scim_url: signed_in.visit.console.site.scim_url(),
        since: since.map(|id| id.to_string()).unwrap_or_default(),
        over: part.over,
        status: part.status,
        live: part.html,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST scim/assistant`
pub(crate) async fn watch(signed_in: SignedIn, form: Form) -> Result<Response> {
    let console = &signed_in.visit.console;
    let request = SetProvisioningLogRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        retention_days: None,
        watch_seconds: Some(WATCH),
    };
    console.clients.log.clone().set_provisioning_log(signed_in.call(request)).await?;
    let provider = diagnosis::provider(form.get("provider")).unwrap_or(&PROVIDERS[0]);
    let since = beginning(console.now());
    page::see(&format!("{}/scim/assistant?provider={}&since={since}", console.site.root, provider.slug))
}

/// `GET scim/assistant/events`
pub(crate) async fn events(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    let since = since(&asked).ok_or_else(Problem::not_found)?;
    let provider = provider(&asked);
    let place = signed_in.visit.console.busy.begin(Kind::Watching, &signed_in)?;
    // The switches are looked at once in each answer.
    let state = state(&signed_in).await?;
    let looks = stream::unfold((0, String::new(), String::new(), place), move |(n, mut newest, last, place)| {
        let signed_in = signed_in.clone();
        async move {
            for n in n..LOOKS {
                if n > 0 {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                let Ok(found) = signed_in.visit.console.newest.of(&signed_in).await else { return None };
                if n > 0 && found == newest {
                    continue;
                }
                newest = found;
                let Ok(requests) = requests(&signed_in, since).await else { return None };
                let Ok(Part { html: now, .. }) = part(&signed_in, provider, since, &requests, state) else {
                    return None;
                };
                // Lines of it are lines of the event; a fresh stream sends it whole.
                if now != last {
                    let event = Event::default().retry(Duration::from_millis(500)).data(&now);
                    return Some((Ok::<_, Infallible>(event), (n + 1, newest, now, place)));
                }
            }
            None
        }
    });
    Ok(Sse::new(looks).keep_alive(KeepAlive::default()).into_response())
}

fn provider(asked: &Asked) -> &'static Boxes {
    diagnosis::provider(&asked.provider).unwrap_or(&PROVIDERS[0])
}

/// The id that requests come after: it has the time at which watching began.
fn since(asked: &Asked) -> Option<Uuid> {
    Uuid::try_parse(&asked.since).ok().filter(|id| id.get_version_num() == 7)
}

/// What somebody else has begun, or the same person under another address.
fn being_watched(signed_in: &SignedIn) -> Option<Uuid> {
    let until = instant(signed_in.organization.requests_watched_until.as_ref())?;
    Some(beginning(until - SignedDuration::from_secs(WATCH.into())))
}

/// When what began then is over.
fn end_of(since: Uuid) -> Timestamp {
    let millis = i64::try_from(since.as_u128() >> 80).unwrap_or_default();
    let began = Timestamp::from_millisecond(millis).unwrap_or_default();
    began.saturating_add(SignedDuration::from_secs(WATCH.into())).unwrap_or_default()
}

/// Below the id of every request that ends from now on.
fn beginning(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

fn asked_of(signed_in: &SignedIn) -> ListRequestsRequest {
    ListRequestsRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        ..ListRequestsRequest::default()
    }
}

/// The newest since then, the oldest of them first.
async fn requests(signed_in: &SignedIn, since: Uuid) -> Result<Vec<LoggedRequest>> {
    // An id begins with its milliseconds.
    let millis = i64::try_from(since.as_u128() >> 80).unwrap_or_default();
    let request = ListRequestsRequest {
        outcomes: ALL.to_vec(),
        page_size: MOST,
        from: Some(wire::to_timestamp(millis.saturating_mul(1000))),
        to: Some(wire::to_timestamp(end_of(since).as_microsecond())),
        ..asked_of(signed_in)
    };
    let mut client = signed_in.visit.console.clients.log.clone();
    let newest_first = client.list_requests(signed_in.call(request)).await?.into_inner().requests;
    Ok(newest_first.into_iter().rev().collect())
}

/// What of the organization decides whether requests are served. Not as it was when the page was opened.
async fn state(signed_in: &SignedIn) -> Result<State> {
    let now = signed_in.visit.console.now();
    let tokens = tokens::all(signed_in).await?.into_iter().map(|token| tokens::TokenRow::new(token, now));
    let by_id = GetOrganizationRequest { key: Some(Key::Id(signed_in.organization_id())) };
    let mut organizations = signed_in.visit.console.clients.organizations.clone();
    let organization = organizations.get_organization(signed_in.call(by_id)).await?.into_inner();
    let by_oauth = if organization.oauth_entitled { clients::in_force(signed_in).await? } else { 0 };
    Ok(State {
        scim_enabled: organization.scim_enabled,
        scim_entitled: organization.scim_entitled,
        credentials: tokens.filter(|token| token.valid).count() + by_oauth,
        oauth_entitled: organization.oauth_entitled,
        over: false,
    })
}

/// What of the page changes.
fn part(
    signed_in: &SignedIn,
    provider: &'static Boxes,
    since: Uuid,
    requests: &[LoggedRequest],
    state: State,
) -> Result<Part> {
    let end = end_of(since);
    let over = end <= signed_in.visit.console.now();
    let findings = diagnosis::of_all(requests, State { over, ..state }, provider);
    let may_watch = signed_in.role >= Role::Admin;
    let status = status(over.then_some(may_watch), end, requests.len(), &findings);
    let live = Live {
        root: signed_in.visit.console.site.root.clone(),
        status: status.clone(),
        over,
        findings,
        rows: requests.iter().rev().take(SHOWN).map(|request| Row::new(request, provider)).collect(),
        more: requests.len().saturating_sub(SHOWN),
    };
    let html = live.render().map_err(|error| {
        tracing::error!(%error, "a part of a page could not be rendered");
        Problem::internal()
    })?;
    Ok(Part { over, status, html })
}

/// All of it in a line, which is read out whenever it changes.
/// `over`: it is, and whether the reader may begin again.
fn status(over: Option<bool>, end: Timestamp, requests: usize, findings: &[Finding]) -> String {
    if let Some(may_watch) = over {
        let who = if may_watch { "Start again" } else { "An admin starts again" };
        return format!("Watching ended at {}. {who} to see what comes in now.", end.strftime("%H:%M UTC on %Y-%m-%d"));
    }
    let came = match requests {
        0 => "Nothing has come in yet".to_owned(),
        1 => "1 request has come in".to_owned(),
        many => format!("{} requests have come in", grouped(many as u64)),
    };
    let wrong = findings.iter().find(|finding| finding.tone == Tone::Bad);
    let wrong = wrong.map(|finding| format!(" Wrong: {}.", finding.title)).unwrap_or_default();
    format!("Watching until {}. {came}.{wrong}", end.strftime("%H:%M UTC"))
}

#[cfg(test)]
mod tests {
    use super::{since as since_of, *};

    #[test]
    fn an_address_is_over_a_quarter_of_an_hour_after_it_began() {
        let at: Timestamp = "2026-11-26T23:50:00.123Z".parse().expect("an instant");
        let asked = |since: &str| since_of(&Asked { provider: String::new(), since: since.to_owned() });
        let id = beginning(at);
        assert_eq!(asked(&id.to_string()), Some(id));
        for wrong in ["", "x", "01a219ef-766f-489b-8b50-cb76619bc82c"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
        let end = end_of(id);
        assert_eq!(end.to_string(), "2026-11-27T00:05:00.123Z");
        assert!(end_of(Uuid::max()) < at, "no time that there is");
        assert_eq!(status(None, end, 0, &[]), "Watching until 00:05 UTC. Nothing has come in yet.");
        assert_eq!(status(None, end, 1, &[]), "Watching until 00:05 UTC. 1 request has come in.");
        let over = status(Some(true), end, 3, &[]);
        assert_eq!(over, "Watching ended at 00:05 UTC on 2026-11-27. Start again to see what comes in now.");
    }
}
