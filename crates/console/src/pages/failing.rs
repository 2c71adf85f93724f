//! Whether provisioning fails at the moment: nothing is taken of what comes, for an hour and more.
//!
//! Not here: the mail that says the same (identity-service).

use jiff::{SignedDuration, Timestamp};
use wire::identity::{ListRequestsRequest, Outcome, RequestCount};

use super::overview::grouped;
use crate::{
    problem::Result,
    session::SignedIn,
    time::{When, instant},
};

/// So many are no accident.
const SEVERAL: u64 = 3;
/// So many are none either where reading goes well.
const MANY: u64 = 10;
const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Who sent nothing for so long is not failing, but gone.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) struct Failing {
    pub(super) since: When,
    pub(super) refused: String,
}

/// What the counts of hours tell.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    /// The hour in which it begins.
    from: Timestamp,
    refused: u64,
}

/// The last hours in which nothing was taken, and some was refused.
fn stretch(counts: &[RequestCount], now: Timestamp) -> Option<Stretch> {
    let in_vain = counts.iter().rev().take_while(|count| count.changed + count.unchanged == 0);
    let in_vain: Vec<&RequestCount> = in_vain.collect();
    let refusing = |count: &&&RequestCount| count.refused + count.failed > 0;
    let last = instant(in_vain.iter().find(refusing)?.hour.as_ref())?;
    let first = instant(in_vain.iter().rev().find(refusing)?.hour.as_ref())?;
    let refused = in_vain.iter().map(|count| count.refused + count.failed).sum();
    let read: u64 = in_vain.iter().map(|count| count.read).sum();
    let least = if read == 0 { SEVERAL } else { MANY };
    (refused >= least && now.duration_since(last) < A_DAY).then_some(Stretch { from: first, refused })
}

pub(super) async fn of(signed_in: &SignedIn, counts: &[RequestCount]) -> Result<Option<Failing>> {
    let now = signed_in.visit.console.now();
    let Some(Stretch { from, refused }) = stretch(counts, now) else { return Ok(None) };
    let request = |after_id: String| ListRequestsRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        outcomes: vec![Outcome::Refused.into(), Outcome::Failed.into()],
        from: Some(wire::to_timestamp(from.as_microsecond())),
        page_size: 1,
        after_id,
        ..ListRequestsRequest::default()
    };
    let clients = &signed_in.visit.console.clients;
    let (mut oldest, mut newest) = (clients.log.clone(), clients.log.clone());
    let (first, last) = tokio::try_join!(
        oldest.list_requests(signed_in.call(request(uuid::Uuid::nil().to_string()))),
        newest.list_requests(signed_in.call(request(String::new()))),
    )?;
    let at = |listed: tonic::Response<wire::identity::ListRequestsResponse>| {
        instant(listed.get_ref().requests.first()?.occurred_at.as_ref())
    };
    let (Some(first), Some(last)) = (at(first), at(last)) else { return Ok(None) };
    let long = last.duration_since(first) >= AN_HOUR;
    Ok(long.then(|| Failing { since: When::new(first, now), refused: grouped(refused) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(hour: &str, [read, changed, refused]: [u64; 3]) -> RequestCount {
        let hour: Timestamp = format!("2026-11-26T{hour}:00:00Z").parse().expect("an instant");
        let hour = Some(wire::to_timestamp(hour.as_microsecond()));
        RequestCount { hour, read, changed, refused, ..RequestCount::default() }
    }

    #[test]
    fn hours_in_which_nothing_is_taken_are_a_stretch() {
        let now: Timestamp = "2026-11-26T12:30:00Z".parse().expect("an instant");
        let of = |counts: &[RequestCount]| {
            stretch(counts, now).map(|found| (found.from.strftime("%H").to_string(), found.refused))
        };
        let found = of(&[count("08", [0, 5, 9]), count("10", [0, 0, 2]), count("12", [0, 0, 1])]);
        assert_eq!(found, Some(("10".to_owned(), 3)));
        assert_eq!(of(&[count("10", [0, 0, 1]), count("12", [0, 0, 1])]), None, "an accident");
        assert_eq!(of(&[count("10", [0, 0, 9]), count("12", [0, 1, 0])]), None, "something was taken since");
        assert_eq!(of(&[count("10", [9, 0, 4]), count("12", [9, 0, 4])]), None, "it reads, and little else");
        assert_eq!(of(&[count("10", [9, 0, 6]), count("12", [9, 0, 6])]), Some(("10".to_owned(), 12)));
        assert_eq!(of(&[]), None);
        let later: Timestamp = "2026-11-27T12:00:00Z".parse().expect("an instant");
        assert_eq!(stretch(&[count("10", [0, 0, 5]), count("11", [0, 0, 5])], later), None, "nothing came for a day");
    }
}
