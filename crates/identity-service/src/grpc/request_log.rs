//! The provisioning log.

use prost_types::Timestamp;
use store::Instant;
use tonic::Request;
use uuid::Uuid;
use wire::{
    Reason, Refusal, from_timestamp,
    identity::{self as proto, provisioning_log_service_server::ProvisioningLogService},
    received,
};

use super::{
    Reply,
    convert::{instant, invalid, org_id, organization, scope},
    events::event,
    reply,
};
use crate::{
    domain::{
        LogId, OrgId,
        list::page_size,
        parse_id,
        request_log::{
            Counts, Document, LARGEST_REPORT, Logged, Outcome, Range, Search, Start, Subject, first_id, id_after,
            request_not_found, words,
        },
    },
    operations::{Core, Report, ShownOrganization},
    store::{event::EventRow, request_log::Page},
};

/// The page where none is asked for.
const DEFAULT_PAGE: u32 = 50;
/// Events are looked up for each.
const LARGEST_WITH_EVENTS: u32 = 100;

/// `rollcall.identity.v1.ProvisioningLogService`.
pub(crate) struct ProvisioningLog(pub(crate) Core);

#[tonic::async_trait]
impl ProvisioningLogService for ProvisioningLog {
    async fn report_requests(
        &self,
        request: Request<proto::ReportRequestsRequest>,
    ) -> Reply<proto::ReportRequestsResponse> {
        reply(report(&self.0, request.into_inner()).await)
    }

    async fn list_requests(&self, request: Request<proto::ListRequestsRequest>) -> Reply<proto::ListRequestsResponse> {
        reply(list(&self.0, received(request)?).await)
    }

    async fn get_request(&self, request: Request<proto::GetRequestRequest>) -> Reply<proto::GetRequestResponse> {
        reply(get(&self.0, received(request)?).await)
    }

    async fn count_requests(
        &self,
        request: Request<proto::CountRequestsRequest>,
    ) -> Reply<proto::CountRequestsResponse> {
        reply(count(&self.0, request.into_inner()).await)
    }

    async fn list_events_of_subject(
        &self,
        request: Request<proto::ListEventsOfSubjectRequest>,
    ) -> Reply<proto::ListEventsOfSubjectResponse> {
        reply(events(&self.0, request.into_inner()).await)
    }

    async fn set_provisioning_log(
        &self,
        request: Request<proto::SetProvisioningLogRequest>,
    ) -> Reply<proto::ProvisioningLogSettings> {
        reply(set(&self.0, received(request)?).await)
    }

    async fn get_provisioning_log(
        &self,
        request: Request<proto::GetProvisioningLogRequest>,
    ) -> Reply<proto::ProvisioningLogSettings> {
        reply(settings(&self.0, request.into_inner()).await)
    }
}

async fn report(core: &Core, request: proto::ReportRequestsRequest) -> Result<proto::ReportRequestsResponse, Refusal> {
    if request.requests.len().max(request.counts.len()) > LARGEST_REPORT {
        return Err(invalid("requests and counts must be 500 each at most. Report the others in another call."));
    }
    let mut report = Report::default();
    for reported in request.requests {
        // An id that is none is one that no organization has.
        if let Some(org) = parse_id::<OrgId>(&reported.organization_id) {
            report.request(org, logged(reported)?);
        }
    }
    for counted in request.counts {
        if let Some(org) = parse_id::<OrgId>(&counted.organization_id) {
            let hour = at(counted.hour.as_ref()).ok_or_else(|| invalid("hour is missing from a count."))?;
            report.count(org, hour, counts(&counted));
        }
    }
    core.requests_report(report).await?;
    Ok(proto::ReportRequestsResponse {})
}

fn logged(this: proto::LoggedRequest) -> Result<Logged, Refusal> {
    let wrong = || invalid("id of a request must be a UUIDv7.");
    let id = parse_id::<LogId>(&this.id).filter(|id| id.0.get_version_num() == 7).ok_or_else(wrong)?;
    let outcome = outcome(this.outcome()).ok_or_else(|| invalid("outcome of a request is missing."))?;
    let status = u16::try_from(this.status).ok().filter(|status| *status < 1000);
    let status = status.ok_or_else(|| invalid("status of a request must be one of HTTP."))?;
    Ok(Logged {
        id,
        occurred: at(this.occurred_at.as_ref()).unwrap_or_else(|| time_of(id)),
        outcome,
        status,
        subject: parse_id(&this.subject_id),
        request_id: this.request_id,
        document: Document {
            duration_us: this.duration_us,
            token_id: this.token_id,
            address: this.address,
            user_agent: this.user_agent,
            method: this.method,
            path: this.path,
            reason: this.reason,
            detail: this.detail,
            resource_type: this.resource_type,
            subject_name: this.subject_name,
            understood: this.understood,
            coerced: this.coerced,
            ignored: this.ignored,
            body: this.body,
            entry_id: this.entry_id,
        },
    })
}

/// The milliseconds of a UUIDv7.
fn time_of(id: LogId) -> Instant {
    let millis = i64::try_from(id.0.as_u128() >> 80).unwrap_or_default();
    Instant::from_micros(millis.saturating_mul(1000))
}

fn at(timestamp: Option<&Timestamp>) -> Option<Instant> {
    timestamp.map(|timestamp| Instant::from_micros(from_timestamp(timestamp)))
}

fn outcome(this: proto::Outcome) -> Option<Outcome> {
    match this {
        proto::Outcome::Unspecified => None,
        proto::Outcome::Read => Some(Outcome::Read),
        proto::Outcome::Changed => Some(Outcome::Changed),
        proto::Outcome::Unchanged => Some(Outcome::Unchanged),
        proto::Outcome::Refused => Some(Outcome::Refused),
        proto::Outcome::Failed => Some(Outcome::Failed),
    }
}

fn shown_outcome(this: Outcome) -> proto::Outcome {
    match this {
        Outcome::Read => proto::Outcome::Read,
        Outcome::Changed => proto::Outcome::Changed,
        Outcome::Unchanged => proto::Outcome::Unchanged,
        Outcome::Refused => proto::Outcome::Refused,
        Outcome::Failed => proto::Outcome::Failed,
    }
}

/// A number that no gateway counts is as good as any other.
fn counts(this: &proto::RequestCount) -> Counts {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX).min(1 << 40);
    Counts {
        read: count(this.read),
        changed: count(this.changed),
        unchanged: count(this.unchanged),
        refused: count(this.refused),
        failed: count(this.failed),
        left_out: count(this.left_out),
    }
}

async fn list(core: &Core, request: proto::ListRequestsRequest) -> Result<proto::ListRequestsResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller.clone())?;
    let search = core.checked(&scope, search(&request)).await?;
    let (org, start, size) = (scope.org, search.start, page_size(request.page_size, DEFAULT_PAGE));
    let (Page { requests, last }, events) = if request.with_events {
        core.request_page_with_events(scope, search, size.min(LARGEST_WITH_EVENTS)).await?
    } else {
        (core.request_page(scope, search, size).await?, Vec::new())
    };
    let of_one = |events: Vec<EventRow>| proto::RequestEvents { events: events.into_iter().map(event).collect() };
    Ok(proto::ListRequestsResponse {
        requests: requests.into_iter().map(|request| shown(org, request)).collect(),
        next_page_token: last.map(|last| start.after(last).token()).unwrap_or_default(),
        events: events.into_iter().map(of_one).collect(),
    })
}

fn search(request: &proto::ListRequestsRequest) -> Result<Search, Refusal> {
    let mut outcomes = Vec::new();
    for named in &request.outcomes {
        let known = proto::Outcome::try_from(*named).ok().and_then(outcome);
        outcomes.push(known.ok_or_else(|| value("outcomes has one that is none. Leave it out."))?);
    }
    if outcomes.is_empty() {
        outcomes = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Read).collect();
    }
    outcomes.sort_unstable();
    outcomes.dedup();
    let subject = match [&*request.subject_id, &*request.user_name, &*request.group_name] {
        ["", "", ""] => None,
        [id, "", ""] => Some(Subject::Id(subject(id)?)),
        ["", name, ""] => Some(Subject::user(name)),
        ["", "", name] => Some(Subject::group(name)),
        _ => return Err(value("subject_id, user_name and group_name exclude each other. Give one of them.")),
    };
    let start = match (request.page_token.as_str(), request.after_id.as_str()) {
        ("", "") => Start::Newest,
        (token, "") => Start::parse(token)?,
        ("", id) => Start::After(parse_id(id).ok_or_else(|| value("after_id must be a UUID, in lower case."))?),
        _ => return Err(value("page_token and after_id exclude each other. Give one of them.")),
    };
    let (from, to) = (at(request.from.as_ref()), at(request.to.as_ref()));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(value("'from' must be before 'to', or nothing can lie between them. Give 'from' the earlier one."));
    }
    let range = Range { from: from.map_or(LogId(Uuid::nil()), first_id), before: to.map(id_after) };
    Ok(Search { outcomes, subject, words: words(&request.words)?, range, start })
}

fn subject(id: &str) -> Result<Uuid, Refusal> {
    parse_id(id).ok_or_else(|| value("subject_id must be the id of a user or group: a UUID, in lower case."))
}

fn value(message: &str) -> Refusal {
    Refusal::new(Reason::InvalidValue, message)
}

async fn get(core: &Core, request: proto::GetRequestRequest) -> Result<proto::GetRequestResponse, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    let id = core.checked(&scope, parse_id(&request.id).ok_or_else(request_not_found)).await?;
    let org = scope.org;
    let (found, events) = core.request_get(scope, id).await?;
    let events = events.into_iter().map(event).collect();
    Ok(proto::GetRequestResponse { request: Some(shown(org, found)), events })
}

fn shown(org: OrgId, this: Logged) -> proto::LoggedRequest {
    let document = this.document;
    proto::LoggedRequest {
        id: this.id.to_string(),
        organization_id: org.to_string(),
        occurred_at: Some(instant(this.occurred)),
        duration_us: document.duration_us,
        request_id: this.request_id,
        token_id: document.token_id,
        address: document.address,
        user_agent: document.user_agent,
        method: document.method,
        path: document.path,
        status: this.status.into(),
        outcome: shown_outcome(this.outcome).into(),
        reason: document.reason,
        detail: document.detail,
        resource_type: document.resource_type,
        subject_id: this.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        subject_name: document.subject_name,
        understood: document.understood,
        coerced: document.coerced,
        ignored: document.ignored,
        body: document.body,
        entry_id: document.entry_id,
    }
}

async fn count(core: &Core, request: proto::CountRequestsRequest) -> Result<proto::CountRequestsResponse, Refusal> {
    let org = org_id(&request.organization_id)?;
    let hours = core.request_counts(org, at(request.from.as_ref()), at(request.to.as_ref())).await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let counted = |(hour, counts): (Instant, Counts)| proto::RequestCount {
        organization_id: org.to_string(),
        hour: Some(instant(hour)),
        read: count(counts.read),
        changed: count(counts.changed),
        unchanged: count(counts.unchanged),
        refused: count(counts.refused),
        failed: count(counts.failed),
        left_out: count(counts.left_out),
    };
    Ok(proto::CountRequestsResponse { counts: hours.into_iter().map(counted).collect() })
}

async fn events(
    core: &Core,
    request: proto::ListEventsOfSubjectRequest,
) -> Result<proto::ListEventsOfSubjectResponse, Refusal> {
    let org = org_id(&request.organization_id)?;
    let subject = subject(&request.subject_id)?;
    let before = (request.before_sequence > 0).then_some(request.before_sequence);
    let rows = core.subject_events(org, subject, before, page_size(request.page_size, DEFAULT_PAGE)).await?;
    Ok(proto::ListEventsOfSubjectResponse { events: rows.into_iter().map(event).collect() })
}

async fn set(
    core: &Core,
    request: proto::SetProvisioningLogRequest,
) -> Result<proto::ProvisioningLogSettings, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.provisioning_log_set(scope, request.retention_days, request.watch_seconds).await.map(shown_settings)
}

async fn settings(
    core: &Core,
    request: proto::GetProvisioningLogRequest,
) -> Result<proto::ProvisioningLogSettings, Refusal> {
    core.organization_get(org_id(&request.organization_id)?).await.map(shown_settings)
}

fn shown_settings(shown: ShownOrganization) -> proto::ProvisioningLogSettings {
    let retention_days = shown.organization.request_log_days;
    proto::ProvisioningLogSettings { retention_days, watched_until: organization(shown).requests_watched_until }
}
