//! What is told to identity-service, in batches: entries of the log, and how many requests there were in an hour. What is not
//! told yet is lost where the process ends; events are not.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tonic::{Code, Status};
use wire::{
    identity::{LoggedRequest, Outcome, ReportRequestsRequest, RequestCount},
    token::{IdentifiedToken, IdentifyTokensRequest, TokenStanding},
};

use super::{Arrived, Ended, row};
use crate::{clients::Clients, edge::new_id, gateway::Gateway};

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// In one call.
const BATCH: usize = 500;
/// Entries that wait; more are not kept.
const MOST: usize = 20_000;
/// Of them, of one organization.
const MOST_OF_ONE: usize = 5_000;
/// Refusals of which only a secret says whose they are, in one interval. Addresses share it evenly: who comes from one and knows no
/// secret must not hide what others are refused.
const MOST_UNKNOWN: usize = 300;
/// Of them, of one organization: who has a token that is no longer valid must not fill its log.
const MOST_UNKNOWN_OF_ONE: usize = 30;
/// Of one organization that changed nothing, and of those that came too fast, in a second: no budget holds all of them back, and
/// they are all alike. They are counted all the same.
const MOST_IN_VAIN: usize = 100;
const MOST_TOO_FAST: usize = 1;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600_000_000;

/// What waits to be told. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    any: Notify,
}

#[derive(Default)]
struct Waiting {
    entries: Vec<LoggedRequest>,
    of_one: HashMap<String, usize>,
    /// What came in vain in one second, and how much of it too fast, by organization.
    in_vain: (i64, HashMap<String, (usize, usize)>),
    unknown: Unknown,
    counts: HashMap<(String, i64), Counts>,
    dropped: u64,
}

/// By outcome: read, changed, unchanged, refused, failed; of all, those left out.
type Counts = [u64; 6];
const LEFT_OUT: usize = 5;

/// Refusals that are nobody's yet.
#[derive(Default)]
struct Unknown {
    all: Vec<Stranger>,
    of_address: HashMap<Option<IpAddr>, usize>,
}

struct Stranger {
    entry: LoggedRequest,
    /// Of the secrets it came with.
    digests: Vec<[u8; 32]>,
    address: Option<IpAddr>,
}

impl Unknown {
    /// Whether there is room for one from there, and which has to give way: one of the address that has most, if that has more.
    fn room(&self, address: Option<IpAddr>) -> Option<Option<usize>> {
        if self.all.len() < MOST_UNKNOWN {
            return Some(None);
        }
        let own = self.of_address.get(&address.map(network)).copied().unwrap_or_default();
        let (largest, n) = self.of_address.iter().max_by_key(|(_, n)| **n)?;
        let place = || self.all.iter().rposition(|one| one.address == *largest);
        if *n > own + 1 { place().map(Some) } else { None }
    }

    fn push(&mut self, entry: LoggedRequest, digests: Vec<[u8; 32]>, address: Option<IpAddr>) {
        let Some(gives_way) = self.room(address) else { return };
        if let Some(place) = gives_way {
            let gone = self.all.swap_remove(place);
            self.of_address.entry(gone.address).and_modify(|n| *n -= 1);
        }
        let address = address.map(network);
        *self.of_address.entry(address).or_default() += 1;
        self.all.push(Stranger { entry, digests, address });
    }
}

/// An address, or the network of 64 bits that an IPv6 address is in.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        v4 => v4,
    }
}

impl Log {
    /// A request has ended.
    pub(crate) fn note(&self, arrived: &Arrived, ended: &Ended<'_>) {
        let organization = arrived.trail.noted().organization.clone();
        // Of a flood that is nobody's not even the entry is made.
        let wanted = || !arrived.secrets.is_empty() && self.waiting().unknown.room(arrived.address).is_some();
        if organization.is_none() && !wanted() {
            return;
        }
        let (outcome, entry) = row(arrived, ended, new_id(ended.at));
        let mut waiting = self.waiting();
        match (organization, entry) {
            (Some(organization), entry) => {
                waiting.count(&organization, ended.at, outcome, 1);
                if let Some(entry) = entry {
                    waiting.push(entry);
                }
            }
            (None, Some(entry)) => {
                waiting.unknown.push(entry, arrived.secrets.clone(), arrived.address);
            }
            (None, None) => return,
        }
        let full = waiting.entries.len() >= BATCH;
        drop(waiting);
        if full {
            self.0.any.notify_one();
        }
    }

    /// Tells for ever.
    pub(crate) async fn report(self, clients: Clients) {
        loop {
            let _ = tokio::time::timeout(INTERVAL, self.0.any.notified()).await;
            let unknown = std::mem::take(&mut self.waiting().unknown).all;
            if !unknown.is_empty() {
                self.attribute(&clients, unknown).await;
            }
            loop {
                let (requests, counts) = self.waiting().take();
                if requests.is_empty() && counts.is_empty() {
                    break;
                }
                if let Err(again) = tell(&clients, requests, counts).await {
                    self.again(again);
                    tokio::time::sleep(INTERVAL).await;
                    break;
                }
            }
        }
    }

    /// Finds out whose refusals they are; those that are nobody's are forgotten.
    async fn attribute(&self, clients: &Clients, unknown: Vec<Stranger>) {
        let digests = unknown.iter().flat_map(|one| &one.digests);
        let secret_sha256 = digests.map(|one| one.to_vec().into()).collect();
        let request = Gateway::call(IdentifyTokensRequest { secret_sha256 }, "provisioning-log", TIMEOUT);
        let answer = match clients.tokens.clone().identify_tokens(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return not_told(&status, unknown.len()),
        };
        let found: HashMap<_, _> = answer.tokens.into_iter().map(|one| (one.secret_sha256.clone(), one)).collect();
        let mut of_one: HashMap<String, usize> = HashMap::new();
        for Stranger { mut entry, digests, .. } in unknown {
            let Some(token) = digests.iter().find_map(|digest| found.get(&digest[..])) else { continue };
            let most = of_one.entry(token.organization_id.clone()).or_default();
            *most += 1;
            belongs(&mut entry, token);
            let at = entry.occurred_at.as_ref().map(wire::from_timestamp).unwrap_or_default();
            let mut waiting = self.waiting();
            waiting.count(&entry.organization_id, at, Outcome::Refused, 1);
            match *most > MOST_UNKNOWN_OF_ONE {
                true => waiting.leave_out(&entry),
                false => waiting.push(entry),
            }
        }
    }

    fn again(&self, (requests, counts): (Vec<LoggedRequest>, Vec<RequestCount>)) {
        let mut waiting = self.waiting();
        for count in counts {
            let hour = count.hour.as_ref().map(wire::from_timestamp).unwrap_or_default();
            let known = waiting.counts.entry((count.organization_id, hour)).or_default();
            let more = [count.read, count.changed, count.unchanged, count.refused, count.failed, count.left_out];
            known.iter_mut().zip(more).for_each(|(known, more)| *known += more);
        }
        requests.into_iter().for_each(|entry| waiting.push(entry));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, entry: LoggedRequest) {
        if self.is_one_too_many(&entry) {
            return self.leave_out(&entry);
        }
        let of_one = self.of_one.entry(entry.organization_id.clone()).or_default();
        if self.entries.len() >= MOST || *of_one >= MOST_OF_ONE {
            self.dropped += 1;
            return self.leave_out(&entry);
        }
        *of_one += 1;
        self.entries.push(entry);
    }

    fn is_one_too_many(&mut self, entry: &LoggedRequest) -> bool {
        if matches!(entry.outcome(), Outcome::Changed | Outcome::Read) {
            return false;
        }
        let second = entry.occurred_at.as_ref().map(wire::from_timestamp).unwrap_or_default() / SECOND;
        if self.in_vain.0 != second {
            self.in_vain = (second, HashMap::new());
        }
        let (in_vain, too_fast) = self.in_vain.1.entry(entry.organization_id.clone()).or_default();
        *in_vain += 1;
        *too_fast += usize::from(entry.reason == "rate_limit");
        *in_vain > MOST_IN_VAIN || entry.reason == "rate_limit" && *too_fast > MOST_TOO_FAST
    }

    /// It is counted, and the log says how many are not in it.
    fn leave_out(&mut self, entry: &LoggedRequest) {
        let at = entry.occurred_at.as_ref().map(wire::from_timestamp).unwrap_or_default();
        self.add(&entry.organization_id, at, LEFT_OUT, 1);
    }

    fn count(&mut self, organization: &str, at: i64, outcome: Outcome, n: u64) {
        let place = match outcome {
            Outcome::Unspecified => return,
            Outcome::Read => 0,
            Outcome::Changed => 1,
            Outcome::Unchanged => 2,
            Outcome::Refused => 3,
            Outcome::Failed => 4,
        };
        self.add(organization, at, place, n);
    }

    fn add(&mut self, organization: &str, at: i64, place: usize, n: u64) {
        let hour = at - at.rem_euclid(HOUR);
        let counts = self.counts.entry((organization.to_owned(), hour)).or_default();
        if let Some(known) = counts.get_mut(place) {
            *known += n;
        }
    }

    /// A batch.
    fn take(&mut self) -> (Vec<LoggedRequest>, Vec<RequestCount>) {
        let rest = self.entries.split_off(self.entries.len().min(BATCH));
        let entries = std::mem::replace(&mut self.entries, rest);
        for entry in &entries {
            if let Some(of_one) = self.of_one.get_mut(&entry.organization_id) {
                *of_one = of_one.saturating_sub(1);
            }
        }
        if self.entries.is_empty() {
            self.of_one.clear();
        }
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            tracing::warn!(dropped, "the provisioning log lacks requests: there were too many at once");
        }
        let hours: Vec<_> = self.counts.keys().take(BATCH).cloned().collect();
        let counts = hours.into_iter().filter_map(|key| self.counts.remove_entry(&key));
        (entries, counts.map(|((organization, hour), counts)| count(organization, hour, counts)).collect())
    }
}

fn count(organization_id: String, hour: i64, counts: Counts) -> RequestCount {
    let [read, changed, unchanged, refused, failed, left_out] = counts;
    let hour = Some(wire::to_timestamp(hour));
    RequestCount { organization_id, hour, read, changed, unchanged, refused, failed, left_out }
}

/// A refusal is of the organization whose secret came with it, and says what that is by now.
fn belongs(entry: &mut LoggedRequest, token: &IdentifiedToken) {
    entry.organization_id.clone_from(&token.organization_id);
    entry.token_id.clone_from(&token.token_id);
    if entry.reason == "token" {
        let reason = match token.standing() {
            TokenStanding::Expired => "token_expired",
            TokenStanding::Revoked => "token_revoked",
            // It was refused all the same, which only its networks do.
            TokenStanding::Valid => "token_network",
            TokenStanding::Unspecified => return,
        };
        reason.clone_into(&mut entry.reason);
    }
}

type Told = (Vec<LoggedRequest>, Vec<RequestCount>);

/// `Err`: to be told again.
async fn tell(clients: &Clients, requests: Vec<LoggedRequest>, counts: Vec<RequestCount>) -> Result<(), Told> {
    let message = ReportRequestsRequest { requests, counts };
    let kept = message.clone();
    let request = Gateway::call(message, "provisioning-log", TIMEOUT);
    match clients.log.clone().report_requests(request).await {
        Ok(_) => Ok(()),
        Err(status) => {
            not_told(&status, kept.requests.len());
            // Another release has no such log; a batch that cannot be read will not be read next time.
            let hopeless = matches!(status.code(), Code::Unimplemented | Code::InvalidArgument);
            if hopeless { Ok(()) } else { Err((kept.requests, kept.counts)) }
        }
    }
}

fn not_told(status: &Status, entries: usize) {
    if status.code() != Code::Unimplemented {
        tracing::info!(entries, code = ?status.code(), "entries of the provisioning log could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(organization: &str, outcome: Outcome, reason: &str, at: i64) -> LoggedRequest {
        LoggedRequest {
            organization_id: organization.to_owned(),
            outcome: outcome.into(),
            reason: reason.to_owned(),
            occurred_at: Some(wire::to_timestamp(at)),
            ..LoggedRequest::default()
        }
    }

    #[test]
    fn a_flood_of_refusals_is_kept_in_part_and_changes_are_kept_whole() {
        let mut waiting = Waiting::default();
        let mut push = |organization: &str, outcome, reason: &str, at, n: usize| {
            let before = waiting.entries.len();
            for _ in 0..n {
                waiting.push(entry(organization, outcome, reason, at));
            }
            waiting.entries.len() - before
        };
        assert_eq!(push("acme", Outcome::Refused, "rate_limit", 0, 50), MOST_TOO_FAST);
        assert_eq!(push("acme", Outcome::Refused, "scope", 0, 500), MOST_IN_VAIN - 50);
        assert_eq!(push("globex", Outcome::Refused, "scope", 0, 10), 10, "another organization");
        assert_eq!(push("acme", Outcome::Changed, "", 0, 2000), 2000);
        assert_eq!(push("acme", Outcome::Refused, "scope", SECOND, 10), 10, "the next second");
        assert_eq!(push("acme", Outcome::Changed, "", SECOND, MOST), MOST_OF_ONE - 2000 - 61);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut waiting = Waiting::default();
        (0..500).for_each(|_| waiting.push(entry("acme", Outcome::Refused, "scope", 0)));
        let (entries, counts) = waiting.take();
        assert_eq!((entries.len(), counts[0].left_out), (MOST_IN_VAIN, 400));
    }

    #[test]
    fn a_flood_from_one_address_leaves_room_for_others() {
        let mut unknown = Unknown::default();
        let at = |text: &str| text.parse::<IpAddr>().ok();
        let refused = |reason: &str| entry("", Outcome::Refused, reason, 0);
        (0..5000).for_each(|_| unknown.push(refused("flood"), vec![[1; 32]], at("192.0.2.1")));
        assert_eq!(unknown.all.len(), MOST_UNKNOWN, "alone, it has all of it");
        (0..20).for_each(|_| unknown.push(refused("other"), vec![[2; 32]], at("198.51.100.7")));
        (0..5000).for_each(|n| unknown.push(refused("flood"), vec![[1; 32]], at(&format!("2001:db8::{n:x}"))));
        (0..5000).for_each(|_| unknown.push(refused("flood"), vec![[1; 32]], at("192.0.2.1")));
        let of = |reason: &str| unknown.all.iter().filter(|one| one.entry.reason == reason).count();
        assert_eq!((unknown.all.len(), of("other")), (MOST_UNKNOWN, 20));
        assert_eq!(unknown.of_address.values().sum::<usize>(), MOST_UNKNOWN);
        assert!(unknown.of_address.values().all(|n| *n <= MOST_UNKNOWN / 2 + 1), "{:?}", unknown.of_address);
    }

    #[test]
    fn batches_have_an_end_and_counts_add_up() {
        let mut waiting = Waiting::default();
        for n in 0..1200 {
            waiting.push(entry("acme", Outcome::Changed, "", n));
            waiting.count("acme", HOUR + n, Outcome::Changed, 1);
        }
        let (first, counts) = waiting.take();
        assert_eq!((first.len(), counts.len()), (BATCH, 1));
        assert_eq!((counts[0].changed, counts[0].hour.as_ref().map(wire::from_timestamp)), (1200, Some(HOUR)));
        assert_eq!((waiting.take().0.len(), waiting.take().0.len(), waiting.take().0.len()), (500, 200, 0));
        assert!(waiting.of_one.is_empty());
    }
}
