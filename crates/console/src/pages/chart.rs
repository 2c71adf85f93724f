//! Requests of the last days, as a drawing and as a table.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::Offset,
};
use tonic::Code;
use wire::identity::{CountRequestsRequest, RequestCount};

use super::overview::grouped;
use crate::{problem::Result, session::SignedIn, time::instant};

const DAYS: usize = 7;
/// Of the drawing, which is stretched to its place.
const WIDTH: u32 = 700;
const HEIGHT: u32 = 100;
const GAP: u32 = 24;
/// What is there is seen.
const LEAST: u32 = 2;

pub(super) struct Chart {
    pub(super) days: Vec<Day>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The drawing in a sentence.
    pub(super) summary: String,
    /// Of the highest bar.
    pub(super) most: String,
    /// There was no request.
    pub(super) empty: bool,
}

/// A day in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Such as `Thu 26`.
    pub(super) label: String,
    pub(super) date: String,
    pub(super) requests: String,
    pub(super) errors: String,
    /// Those that went well, above those that did not.
    pub(super) well: Bar,
    pub(super) badly: Bar,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// None: the service does not count yet.
pub(super) async fn of(signed_in: &SignedIn) -> Result<Option<Chart>> {
    let now = signed_in.visit.console.now();
    let Some((from, to)) = span(now) else { return Ok(None) };
    let request = CountRequestsRequest {
        organization_id: signed_in.organization_id(),
        from: Some(wire::to_timestamp(from.as_microsecond())),
        to: Some(wire::to_timestamp(to.as_microsecond())),
    };
    match signed_in.visit.console.clients.log.clone().count_requests(signed_in.call(request)).await {
        Ok(counted) => Ok(Some(chart(&counted.into_inner().counts, now))),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// The days, the last of which is today.
fn dates(now: Timestamp) -> impl Iterator<Item = Date> {
    let today = Offset::UTC.to_datetime(now).date();
    (0..DAYS).rev().filter_map(move |back| today.checked_sub(i64::try_from(back).ok()?.days()).ok())
}

/// From the beginning of the first day until now.
fn span(now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let first = Offset::UTC.to_timestamp(dates(now).next()?.to_datetime(Time::midnight())).ok()?;
    Some((first, now.checked_add(1.hour()).ok()?))
}

/// What was counted by hours, by days.
fn chart(counts: &[RequestCount], now: Timestamp) -> Chart {
    let mut days: Vec<(Date, u64, u64)> = dates(now).map(|date| (date, 0, 0)).collect();
    for count in counts {
        let Some(hour) = instant(count.hour.as_ref()) else { continue };
        let date = Offset::UTC.to_datetime(hour).date();
        if let Some((_, well, badly)) = days.iter_mut().find(|(day, ..)| *day == date) {
            *well += count.read + count.changed + count.unchanged;
            *badly += count.refused + count.failed;
        }
    }
    let most = days.iter().map(|(_, well, badly)| well + badly).max().unwrap_or_default();
    let (requests, errors) =
        days.iter().fold((0, 0), |(requests, errors), (_, well, badly)| (requests + well + badly, errors + badly));
    let of_them = match errors {
        0 => "all of them went well".to_owned(),
        errors => format!("{} of them were refused or failed", grouped(errors)),
    };
    Chart {
        summary: format!("{} requests in {DAYS} days; {of_them}.", grouped(requests)),
        most: grouped(most),
        empty: requests == 0,
        days: days.iter().zip(0..).map(|((date, well, badly), place)| day(*date, *well, *badly, most, place)).collect(),
        width: WIDTH,
        height: HEIGHT,
    }
}

fn day(date: Date, well: u64, badly: u64, most: u64, place: u32) -> Day {
    let slot = WIDTH / DAYS as u32;
    let badly_height = height(badly, most, 0);
    // Both together are as high as all of the day's, and no higher than the drawing.
    let well_height = height(well, most, badly_height);
    let bar = |bottom: u32, height: u32| Bar {
        x: place * slot + GAP / 2,
        y: bottom.saturating_sub(height),
        width: slot - GAP,
        height,
    };
    Day {
        label: date.strftime("%a %-d").to_string(),
        date: date.to_string(),
        requests: grouped(well + badly),
        errors: grouped(badly),
        well: bar(HEIGHT - badly_height, well_height),
        badly: bar(HEIGHT, badly_height),
    }
}

/// `below`: how much of the height is taken.
fn height(count: u64, most: u64, below: u32) -> u32 {
    if count == 0 || most == 0 {
        return 0;
    }
    let share = u128::from(count) * u128::from(HEIGHT) / u128::from(most);
    u32::try_from(share).unwrap_or(HEIGHT).max(LEAST).min(HEIGHT - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-26T23:30:00Z".parse().expect("an instant")
    }

    fn count(hour: &str, well: [u64; 3], badly: [u64; 2]) -> RequestCount {
        let hour: Timestamp = hour.parse().expect("an instant");
        RequestCount {
            organization_id: String::new(),
            hour: Some(wire::to_timestamp(hour.as_microsecond())),
            read: well[0],
            changed: well[1],
            unchanged: well[2],
            refused: badly[0],
            failed: badly[1],
            left_out: 0,
        }
    }

    #[test]
    fn hours_are_added_up_to_days_of_utc() {
        let (from, to) = span(now()).expect("a span");
        assert_eq!(
            (from.to_string(), to.to_string()),
            ("2026-11-20T00:00:00Z".to_owned(), "2026-11-27T00:30:00Z".to_owned())
        );
        let chart = chart(
            &[
                count("2026-11-19T23:00:00Z", [9, 9, 9], [9, 9]),
                count("2026-11-20T00:00:00Z", [1, 2, 3], [0, 0]),
                count("2026-11-26T01:00:00Z", [0, 30, 0], [10, 0]),
                count("2026-11-26T23:00:00Z", [0, 1000, 0], [0, 5]),
            ],
            now(),
        );
        assert_eq!((chart.days.len(), chart.empty, chart.most.as_str()), (7, false, "1,045"));
        assert_eq!(chart.summary, "1,051 requests in 7 days; 15 of them were refused or failed.");
        let [first, .., last] = &chart.days[..] else { panic!("days") };
        assert_eq!((&*first.label, &*first.date, &*first.requests, &*first.errors), ("Fri 20", "2026-11-20", "6", "0"));
        assert_eq!((&*last.label, &*last.requests, &*last.errors), ("Thu 26", "1,045", "15"));
    }

    #[test]
    fn bars_stand_on_each_other_within_the_drawing() {
        let chart = chart(
            &[
                count("2026-11-24T01:00:00Z", [50, 0, 0], [0, 50]),
                count("2026-11-25T01:00:00Z", [0, 25, 0], [0, 0]),
                count("2026-11-26T01:00:00Z", [0, 99_999_999, 0], [1, 0]),
            ],
            now(),
        );
        for day in &chart.days {
            assert_eq!(day.badly.y + day.badly.height, HEIGHT);
            assert_eq!(day.well.y + day.well.height, day.badly.y);
            assert!(day.well.x + day.well.width <= WIDTH && day.well.x == day.badly.x);
        }
        let heights: Vec<_> = chart.days[4..].iter().map(|day| (day.well.height, day.badly.height)).collect();
        assert_eq!(heights, [(LEAST, LEAST), (LEAST, 0), (HEIGHT - LEAST, LEAST)], "the smallest is seen");
        assert_eq!(chart.days[0].well.height, 0);
    }

    #[test]
    fn without_a_request_there_is_nothing_to_draw() {
        let chart = chart(&[], now());
        assert!(chart.empty);
        assert_eq!(chart.summary, "0 requests in 7 days; all of them went well.");
    }
}
