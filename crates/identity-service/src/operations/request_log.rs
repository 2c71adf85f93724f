//! The provisioning log: written behind the answers, by gateways, and read by administrators.
//!
//! Not here: what is forgotten, and when (`expiry`), and how much of a request is kept (`domain`).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, hash_map::Entry},
};

use ::store::{AnyConnection, Error, Instant};
use serde_json::json;
use uuid::Uuid;
use wire::Refusal;

use super::{
    Core, Scope, ShownOrganization, organization_of,
    organizations::{not_a_client, organization_lock},
};
use crate::{
    domain::{
        LogId, OrgId,
        event::{Kind, NewEvent},
        organization::Organization,
        request_log::{
            Counts, Hours, Logged, Outcome, Search, Taken, check_days, check_watch, days_before, first_id, hour_of,
            hours, is_of_request, request_not_found,
        },
    },
    error::{Refused, refusal},
    store::{
        event::{self, EventRow},
        organization,
        request_log::{self, Page},
        subject,
    },
};

/// Clocks of gateways and of this service may differ by so much, and changes may wait so long for their number.
const APART_MICROS: i64 = 5 * 60 * 1_000_000;
/// Events of one subject that are looked at for one request, and that are shown.
const EVENTS: i64 = 1000;
const SHOWN: usize = 100;
/// Requests that are deleted in one transaction.
const OVER: i64 = 1000;
/// Of the events that are shown with a page.
const EVENT_BYTES: usize = 4 << 20;
/// Requests that ended in one of these are looked up together.
const SLOT_MICROS: i64 = APART_MICROS;

/// What gateways tell of some organizations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(BTreeMap<OrgId, (Vec<Logged>, Hours)>);

impl Report {
    pub(crate) fn request(&mut self, org: OrgId, request: Logged) {
        self.0.entry(org).or_default().0.push(request.cut());
    }

    pub(crate) fn count(&mut self, org: OrgId, at: Instant, counts: Counts) {
        self.0.entry(org).or_default().1.entry(hour_of(at)).or_default().add(counts);
    }
}

impl Core {
    /// One transaction for each organization.
    pub(crate) async fn requests_report(&self, report: Report) -> Result<(), Refusal> {
        for (org, (requests, hours)) in report.0 {
            let add = move |conn: &mut AnyConnection| -> Result<(), Refused> {
                if organization::organization_gate(conn, org)?.is_some() {
                    let requests = named(conn, org, &requests)?;
                    add_requests(conn, org, &requests, &hours)?;
                }
                Ok(())
            };
            self.db.of(org).write(add).await.map_err(refusal)?;
        }
        Ok(())
    }

    pub(crate) async fn request_page(&self, scope: Scope, search: Search, limit: u32) -> Result<Page, Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| page(conn, scope.org, search.clone(), limit, now)).await
    }

    /// The same with the events of each, the oldest first. It ends before there are too many.
    pub(crate) async fn request_page_with_events(
        &self,
        scope: Scope,
        search: Search,
        limit: u32,
    ) -> Result<(Page, Vec<Vec<EventRow>>), Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| {
            let mut page = page(conn, scope.org, search.clone(), limit, now)?;
            let (mut events, mut bytes, mut seen) = (Vec::new(), 0, Seen::default());
            for request in &page.requests {
                let of_it = seen.events_of(conn, scope.org, request)?;
                bytes += of_it.iter().map(|event| event.delta.len() + event.actor.len()).sum::<usize>();
                if bytes > EVENT_BYTES && !events.is_empty() {
                    break;
                }
                events.push(of_it);
            }
            if events.len() < page.requests.len() {
                page.requests.truncate(events.len());
                page.last = page.requests.last().map(|request| request.id);
            }
            Ok((page, events))
        })
        .await
    }

    /// With its events, the oldest first.
    pub(crate) async fn request_get(&self, scope: Scope, id: LogId) -> Result<(Logged, Vec<EventRow>), Refusal> {
        not_a_client(&scope.actor)?;
        let now = self.clock.now();
        self.read(scope.org, move |conn| {
            let kept = kept_from(&organization_of(conn, scope.org)?, now);
            let found = request_log::request_get(conn, scope.org, id, kept)?;
            let found = found.ok_or_else(|| Refused::Refused(request_not_found()))?;
            let events = Seen::default().events_of(conn, scope.org, &found)?;
            Ok((found, events))
        })
        .await
    }

    pub(crate) async fn request_counts(
        &self,
        org: OrgId,
        from: Option<Instant>,
        to: Option<Instant>,
    ) -> Result<Hours, Refusal> {
        let (from, to) = hours(from, to.unwrap_or_else(|| self.clock.now()))?;
        self.read(org, move |conn| {
            organization_of(conn, org)?;
            Ok(request_log::counts_between(conn, org, from, to)?)
        })
        .await
    }

    /// The newest first.
    pub(crate) async fn subject_events(
        &self,
        org: OrgId,
        subject: Uuid,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<EventRow>, Refusal> {
        self.read(org, move |conn| {
            organization_of(conn, org)?;
            Ok(event::events_of_subject(conn, org, subject, before, limit)?)
        })
        .await
    }

    /// Deletes what is not shown any more, before more days would show it again. False: there is more.
    async fn over_is_gone(&self, scope: &Scope, days: Option<u32>, now: Instant) -> Result<bool, Refusal> {
        let org = scope.org;
        let Some(days) = days else { return Ok(true) };
        self.write(org, move |conn| {
            let before = organization_lock(conn, org)?;
            if days <= before.request_log_days {
                return Ok(true);
            }
            let gone = request_log::requests_purge(conn, org, kept_from(&before, now), OVER)?;
            Ok(i64::try_from(gone).is_ok_and(|gone| gone < OVER))
        })
        .await
    }

    /// Absent: as it is.
    pub(crate) async fn provisioning_log_set(
        &self,
        scope: Scope,
        days: Option<u32>,
        watch_seconds: Option<u32>,
    ) -> Result<ShownOrganization, Refusal> {
        not_a_client(&scope.actor)?;
        days.map_or(Ok(()), check_days)?;
        watch_seconds.map_or(Ok(()), check_watch)?;
        let (core, now) = (self.clone(), self.clock.now());
        // What is over stays over when they are more days: it is deleted before, a part in a transaction.
        while !self.over_is_gone(&scope, days, now).await? {}
        self.write(scope.org, move |conn| {
            let before = organization_lock(conn, scope.org)?;
            let mut after = before.clone();
            after.request_log_days = days.unwrap_or(before.request_log_days);
            if let Some(seconds) = watch_seconds {
                let until = now.saturating_add_micros(i64::from(seconds) * 1_000_000);
                after.requests_watched_until = (seconds > 0).then_some(until);
            }
            if after == before {
                return Ok(ShownOrganization::new(before, now));
            }
            let changed = after.request_log_days != before.request_log_days;
            if changed {
                after.modified = now.max(before.modified);
            }
            organization::organization_settings(conn, &after)?;
            if changed {
                let shown = |of: &Organization| json!({"retention_days": of.request_log_days});
                let delta = json!({"before": shown(&before), "after": shown(&after)});
                let event = NewEvent { kind: Kind::ProvisioningLogChanged, subject: scope.org.0, delta };
                core.record(conn, &scope, now, &[event])?;
            }
            Ok(ShownOrganization::new(after, now))
        })
        .await
    }
}

/// Adds as many as there is room for, and counts all.
fn add_requests(conn: &mut AnyConnection, org: OrgId, requests: &[Logged], hours: &Hours) -> Result<(), Error> {
    let of = |request: &Logged| hour_of(request.occurred);
    let mut hours = hours.clone();
    let mut added = BTreeMap::new();
    let mut kept: Vec<Logged> = Vec::with_capacity(requests.len());
    if let (Some(first), Some(last)) = (requests.iter().map(of).min(), requests.iter().map(of).max()) {
        let before = request_log::taken_between(conn, org, first, last)?;
        let mut taken = before.clone();
        for request in requests {
            let hour = of(request);
            let counts = hours.entry(hour).or_default();
            if taken.entry(hour).or_default().takes(request) {
                kept.push(request.clone());
            } else {
                counts.left_out = counts.left_out.saturating_add(1);
            }
        }
        let since =
            |(hour, after): (Instant, Taken)| (hour, after.since(before.get(&hour).copied().unwrap_or_default()));
        added = taken.into_iter().map(since).collect();
    }
    request_log::requests_insert(conn, org, &kept)?;
    request_log::counts_add(conn, org, &hours, &added)
}

/// With the name of whom each is about, where neither the request nor its answer said it: what was deleted, or refused.
fn named<'a>(conn: &mut AnyConnection, org: OrgId, requests: &'a [Logged]) -> Result<Cow<'a, [Logged]>, Error> {
    let nameless = |request: &Logged| request.subject.filter(|_| request.document.subject_name.is_empty());
    let mut ids: Vec<Uuid> = requests.iter().filter_map(nameless).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Cow::Borrowed(requests));
    }
    // A group may be gone by now, whose deletion names it.
    let mut names: HashMap<Uuid, String> = requests
        .iter()
        .filter(|request| !request.document.subject_name.is_empty())
        .filter_map(|request| Some((request.subject?, request.document.subject_name.clone())))
        .collect();
    names.extend(subject::names(conn, org, &ids)?.into_iter().map(|(id, named)| (id, named.name)));
    let mut requests = requests.to_vec();
    for request in &mut requests {
        if let Some(name) = nameless(request).and_then(|id| names.get(&id)) {
            request.document.subject_name.clone_from(name);
        }
    }
    Ok(Cow::Owned(requests.into_iter().map(Logged::cut).collect()))
}

/// What is older is not shown, whether it was deleted by now or not.
fn kept_from(organization: &Organization, now: Instant) -> LogId {
    first_id(days_before(now, organization.request_log_days))
}

fn page(conn: &mut AnyConnection, org: OrgId, mut search: Search, limit: u32, now: Instant) -> Result<Page, Refused> {
    let kept = kept_from(&organization_of(conn, org)?, now);
    search.range.from = search.range.from.max(kept);
    Ok(request_log::requests_page(conn, org, &search, limit)?)
}

/// What was read of events for one request, which the next one is likely to need as well.
#[derive(Default)]
struct Seen {
    numbers: HashMap<Instant, i64>,
    between: (i64, i64),
    of_subjects: HashMap<Uuid, Vec<EventRow>>,
}

impl Seen {
    /// Events of the request's subject that have its request id, among those of about its time.
    fn events_of(&mut self, conn: &mut AnyConnection, org: OrgId, request: &Logged) -> Result<Vec<EventRow>, Error> {
        // What was read, refused or nothing has no event. Of what failed nobody knows.
        let may = matches!(request.outcome, Outcome::Changed | Outcome::Failed) && !request.request_id.is_empty();
        let Some(subject) = request.subject.filter(|_| may) else { return Ok(Vec::new()) };
        let began = request.occurred.saturating_add_micros(-request.document.duration_us);
        let from = self.number_at(conn, org, slot(began.saturating_add_micros(-APART_MICROS)))?;
        let end = request.occurred.saturating_add_micros(APART_MICROS + SLOT_MICROS);
        let before = self.number_at(conn, org, slot(end))?;
        if self.between != (from, before) {
            self.between = (from, before);
            self.of_subjects.clear();
        }
        let events = match self.of_subjects.entry(subject) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(event::events_of_subject_between(conn, org, subject, (from, before), EVENTS)?)
            }
        };
        let of_it = events.iter().rev().filter(|event| is_of_request(&event.actor, request));
        Ok(of_it.take(SHOWN).cloned().collect())
    }

    fn number_at(&mut self, conn: &mut AnyConnection, org: OrgId, at: Instant) -> Result<i64, Error> {
        if let Some(known) = self.numbers.get(&at) {
            return Ok(*known);
        }
        let number = event::event_number_at(conn, org, at)?;
        self.numbers.insert(at, number);
        Ok(number)
    }
}

/// The beginning of the slot that an instant is in.
fn slot(at: Instant) -> Instant {
    Instant::from_micros(at.as_micros().div_euclid(SLOT_MICROS).saturating_mul(SLOT_MICROS))
}
