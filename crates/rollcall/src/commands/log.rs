//! `rollcall log`.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        CountRequestsRequest, Event, GetRequestRequest, GetRequestResponse, ListRequestsRequest, LoggedRequest,
        Organization, Outcome as Happened, RequestEvents, SetProvisioningLogRequest,
        provisioning_log_service_client::ProvisioningLogServiceClient,
    },
};

use super::{caller, instant, now, organization, refused};
use crate::{
    cli::{LogCommand, Moment, Outcome},
    connect::Connection,
    output,
    settings::Settings,
};

/// Requests are counted over 400 days at the most.
const LONGEST_HOURS: i64 = 399 * 24;
/// Requests of a page.
const PAGE: u32 = 500;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: LogCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = async {
        let (LogCommand::List { org, .. }
        | LogCommand::Show { org, .. }
        | LogCommand::Export { org }
        | LogCommand::Retention { org, .. }) = &command;
        let organization = organization(settings, &mut connection.organizations(false).await?, org).await?;
        let mut client = connection.log().await?;
        answer(settings, &mut client, organization, command).await
    }
    .await;
    connection.close().await;
    match result? {
        Some((json, text)) => Ok(output::print(settings.output, &json, &text)?),
        None => Ok(()),
    }
}

/// `None`: all was printed.
async fn answer(
    settings: &Settings,
    client: &mut ProvisioningLogServiceClient<Transport>,
    organization: Organization,
    command: LogCommand,
) -> anyhow::Result<Option<(Value, String)>> {
    let (organization_id, slug) = (organization.id, organization.slug);
    match command {
        LogCommand::List { outcome, subject, user, group, words, from, to, limit, .. } => {
            let at = |moment: Moment| wire::to_timestamp(moment.before(now()).as_microsecond());
            // So far back as is counted.
            let until = to.map_or(now(), |to| to.before(now()).min(now()));
            let earlier = |hours| Moment::Ago(jiff::SignedDuration::from_hours(hours)).before(until);
            let since = from.map_or(earlier(24), |from| from.before(now()));
            let instant = |at: jiff::Timestamp| Some(wire::to_timestamp(at.as_microsecond()));
            let counted = CountRequestsRequest {
                organization_id: organization_id.clone(),
                from: instant(since.max(earlier(LONGEST_HOURS))),
                to: instant(until),
            };
            let counts = if since < until {
                client.count_requests(counted).await.map_err(|status| refused(&status))?.into_inner().counts
            } else {
                Vec::new()
            };
            let left_out = counts.iter().map(|hour| hour.left_out).sum();
            let since = if from.is_some() { "in that time" } else { "in the last 24 hours" };
            let about = subject.is_some() || [&user, &group, &words].into_iter().any(Option::is_some);
            let narrowed = about || !outcome.is_empty() || from.is_some() || to.is_some();
            let request = ListRequestsRequest {
                organization_id,
                caller: caller()?,
                outcomes: outcome.into_iter().map(|outcome| happened(outcome).into()).collect(),
                subject_id: subject.map(|id| id.to_string()).unwrap_or_default(),
                user_name: user.unwrap_or_default(),
                group_name: group.unwrap_or_default(),
                words: words.unwrap_or_default(),
                from: from.map(at),
                to: to.map(at),
                ..ListRequestsRequest::default()
            };
            let found = first(client, request, limit.get() as usize).await?;
            let empty = match narrowed {
                true => format!(
                    "No request in the log of {slug} fits all of that. Everything that is kept: {}",
                    settings.command(&format!("log list {slug}"))
                ),
                false => format!(
                    "The log of {slug} is empty: no identity provider has changed anything, or tried to, within the days that \
                     requests are kept. Reads are kept only while somebody watches the connection assistant in the console."
                ),
            };
            Ok(Some(list(settings, &slug, &found, (left_out, since), empty)))
        }
        LogCommand::Show { id, .. } => {
            let request = GetRequestRequest { organization_id, caller: caller()?, id: id.to_string() };
            let shown = client.get_request(request).await.map_err(|status| refused(&status))?.into_inner();
            Ok(Some(show(&shown)))
        }
        LogCommand::Export { .. } => {
            export(client, organization_id).await?;
            Ok(None)
        }
        LogCommand::Retention { days, .. } => {
            let request = SetProvisioningLogRequest {
                organization_id,
                caller: caller()?,
                retention_days: Some(days),
                watch_seconds: None,
            };
            let set = client.set_provisioning_log(request).await.map_err(|status| refused(&status))?.into_inner();
            let json = json!({"retention_days": set.retention_days});
            Ok(Some((json, format!("Requests are kept for {} days", set.retention_days))))
        }
    }
}

fn happened(outcome: Outcome) -> Happened {
    match outcome {
        Outcome::Read => Happened::Read,
        Outcome::Changed => Happened::Changed,
        Outcome::Unchanged => Happened::Unchanged,
        Outcome::Refused => Happened::Refused,
        Outcome::Failed => Happened::Failed,
    }
}

/// The first of them, at most so many. A page may be empty, and not the last.
async fn first(
    client: &mut ProvisioningLogServiceClient<Transport>,
    mut request: ListRequestsRequest,
    most: usize,
) -> anyhow::Result<Vec<LoggedRequest>> {
    let mut found = Vec::new();
    request.page_size = PAGE.min(u32::try_from(most).unwrap_or(PAGE));
    loop {
        let page = client.list_requests(request.clone()).await.map_err(|status| refused(&status))?.into_inner();
        found.extend(page.requests);
        if page.next_page_token.is_empty() || found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// The oldest first, so that what comes meanwhile comes last. Nothing but a page is kept in memory.
async fn export(client: &mut ProvisioningLogServiceClient<Transport>, organization_id: String) -> anyhow::Result<()> {
    let all = [Happened::Read, Happened::Changed, Happened::Unchanged, Happened::Refused, Happened::Failed];
    let mut request = ListRequestsRequest {
        organization_id,
        caller: caller()?,
        outcomes: all.map(i32::from).into(),
        page_size: PAGE,
        with_events: true,
        after_id: uuid::Uuid::nil().to_string(),
        ..ListRequestsRequest::default()
    };
    loop {
        let page = client.list_requests(request.clone()).await.map_err(|status| refused(&status))?.into_inner();
        write(&page.requests, &page.events)?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        (request.page_token, request.after_id) = (page.next_page_token, String::new());
    }
}

fn write(requests: &[LoggedRequest], events: &[RequestEvents]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (n, request) in requests.iter().enumerate() {
        let mut line = request_json(request);
        let change = |event: &Event| json!({"type": event.r#type, "delta": parsed(&event.delta_json)});
        line["changes"] = events.get(n).map(|of_it| of_it.events.iter().map(change).collect()).unwrap_or_default();
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// `empty`: what is said where there is none.
fn list(
    settings: &Settings,
    slug: &str,
    found: &[LoggedRequest],
    (left_out, since): (u64, &str),
    empty: String,
) -> (Value, String) {
    let json = json!({ "requests": found.iter().map(request_json).collect::<Vec<_>>(), "left_out": left_out });
    let more = match left_out {
        0 => String::new(),
        n => format!("\n{n} requests {since} are counted and not listed: there were too many at once."),
    };
    if found.is_empty() {
        return (json, format!("{empty}{more}"));
    }
    let row = |request: &LoggedRequest| {
        vec![
            instant(request.occurred_at.as_ref()).unwrap_or_default(),
            request.id.clone(),
            if in_part(request) { "in part" } else { outcome(request) }.to_owned(),
            request.status.to_string(),
            format!("{} {}", request.method, request.path),
            request.subject_name.clone(),
            match request.detail.as_str() {
                _ if in_part(request) => format!("ignored: {}", request.ignored.join(", ")),
                "" => request.reason.clone(),
                detail => detail.to_owned(),
            },
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    let table = output::table(&["WHEN", "ID", "OUTCOME", "STATUS", "REQUEST", "ABOUT", "WHY"], &rows);
    let show = settings.command(&format!("log show {slug} ID"));
    (json, format!("{table}Show one: {show}{more}"))
}

fn show(shown: &GetRequestResponse) -> (Value, String) {
    let request = shown.request.clone().unwrap_or_default();
    let mut json = request_json(&request);
    json["events"] = shown.events.iter().map(event_json).collect();
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("{name:14}{}\n", value.replace(char::is_control, "\u{fffd}")));
        }
    };
    line("When", &instant(request.occurred_at.as_ref()).unwrap_or_default());
    line("Request", &format!("{} {}", request.method, request.path));
    line("Outcome", &format!("{} ({})", outcome(&request), request.status));
    line("Reason", &request.reason);
    line("Answer", &request.detail);
    line("About", &about(&request));
    for understood in &request.understood {
        line("Understood", understood);
    }
    line("Rules used", &request.coerced.join(", "));
    line("Ignored", &request.ignored.join(", "));
    line("Body", &request.body);
    line("Took", &format!("{} ms", request.duration_us / 1000));
    line("Request id", &request.request_id);
    line("Token", &request.token_id);
    line("From", format!("{} {}", request.address, request.user_agent).trim());
    for event in &shown.events {
        line("Changed", &format!("{} {}", event.r#type, String::from_utf8_lossy(&event.delta_json)));
    }
    (json, out)
}

fn about(request: &LoggedRequest) -> String {
    [&request.resource_type, &request.subject_name, &request.subject_id]
        .into_iter()
        .filter(|text| !text.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The client was told that all is well.
fn in_part(request: &LoggedRequest) -> bool {
    request.outcome() == Happened::Changed && !request.ignored.is_empty()
}

fn outcome(request: &LoggedRequest) -> &'static str {
    match request.outcome() {
        Happened::Unspecified => "",
        Happened::Read => "read",
        Happened::Changed => "changed",
        Happened::Unchanged => "unchanged",
        Happened::Refused => "refused",
        Happened::Failed => "failed",
    }
}

fn request_json(request: &LoggedRequest) -> Value {
    json!({
        "id": request.id,
        "occurred_at": instant(request.occurred_at.as_ref()),
        "duration_us": request.duration_us,
        "request_id": request.request_id,
        "token_id": request.token_id,
        "address": request.address,
        "user_agent": request.user_agent,
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "outcome": outcome(request),
        "reason": request.reason,
        "detail": request.detail,
        "resource_type": request.resource_type,
        "subject_id": request.subject_id,
        "subject_name": request.subject_name,
        "understood": request.understood,
        "coerced": request.coerced,
        "ignored": request.ignored,
        "body": request.body,
    })
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn event_json(event: &Event) -> Value {
    json!({
        "sequence": event.sequence,
        "type": event.r#type,
        "occurred_at": instant(event.occurred_at.as_ref()),
        "subject_id": event.subject_id,
        "actor": parsed(&event.actor_json),
        "delta": parsed(&event.delta_json),
    })
}
