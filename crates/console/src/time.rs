//! Instants in words. Pages show how long ago or ahead one is, and the instant itself in UTC beside it.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// An instant, seen from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// For machines, RFC 3339.
    pub(crate) iso: String,
    /// Such as `2026-11-26 18:40 UTC`.
    pub(crate) exact: String,
    /// Such as `3 hours ago`.
    pub(crate) relative: String,
}

/// Of a message's field.
pub(crate) fn instant(timestamp: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    Timestamp::from_microsecond(wire::from_timestamp(timestamp?)).ok()
}

impl When {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            exact: at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            relative: relative(at.as_second() - now.as_second()),
        }
    }

    pub(crate) fn of(timestamp: Option<&prost_types::Timestamp>, now: Timestamp) -> Option<Self> {
        instant(timestamp).map(|at| Self::new(at, now))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<time datetime="{}" title="{}">{}</time>"#, self.iso, self.exact, self.relative)
    }
}

/// Digits and words of ours.
impl HtmlSafe for When {}

/// To the nearest: a minute after thirty days were promised they are thirty still.
fn relative(ahead: i64) -> String {
    // From how many seconds on it is said in a unit, that unit, and the one below, in which it is rounded up to this one.
    const UNITS: [(i64, i64, i64, &str); 5] = [
        (2 * 86_400 * 365, 86_400 * 365, 86_400 * 30, "year"),
        (2 * 86_400 * 30, 86_400 * 30, 86_400, "month"),
        (2 * 86_400, 86_400, 3600, "day"),
        (3600, 3600, 60, "hour"),
        (60, 60, 1, "minute"),
    ];
    let length = ahead.abs();
    let Some((_, unit, _, name)) = UNITS.iter().find(|(from, _, below, _)| length + below / 2 >= *from) else {
        return if ahead <= 0 { "just now".to_owned() } else { "in less than a minute".to_owned() };
    };
    let n = (length + unit / 2) / unit;
    let plural = if n == 1 { "" } else { "s" };
    if ahead < 0 { format!("{n} {name}{plural} ago") } else { format!("in {n} {name}{plural}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_from_now() {
        let now = Timestamp::from_second(1_800_000_000).expect("instant");
        for (ahead, said) in [
            (0, "just now"),
            (-59, "just now"),
            (30, "in less than a minute"),
            (-60, "1 minute ago"),
            (-7200, "2 hours ago"),
            (-86_400, "24 hours ago"),
            (3 * 86_400, "in 3 days"),
            (30 * 86_400 - 60, "in 30 days"),
            (12 * 3600 - 5, "in 12 hours"),
            (59 * 60 + 40, "in 1 hour"),
            (-89, "1 minute ago"),
            (-91, "2 minutes ago"),
            (36 * 3600, "in 36 hours"),
            (47 * 3600 + 1800, "in 2 days"),
            (-70 * 86_400, "2 months ago"),
            (365 * 86_400, "in 12 months"),
            (800 * 86_400, "in 2 years"),
        ] {
            let at = Timestamp::from_second(1_800_000_000 + ahead).expect("instant");
            assert_eq!(When::new(at, now).relative, said, "{ahead}");
        }
        let when = When::new(now, now);
        assert_eq!((&*when.iso, &*when.exact), ("2027-01-15T08:00:00Z", "2027-01-15 08:00 UTC"));
    }
}
