//! The words of `rollcall log`.

use std::num::NonZeroU32;

use clap::{Subcommand, ValueEnum};

#[derive(Subcommand, Debug)]
pub(crate) enum LogCommand {
    /// Lists requests, newest first
    List {
        /// Slug or id
        org: String,
        /// What came of them; may be given several times [default: all but read]
        #[arg(long, env = "ROLLCALL_OUTCOME", value_name = "OUTCOME", value_delimiter = ',', value_enum)]
        outcome: Vec<Outcome>,
        /// Only those about the user or group with this id
        #[arg(long, env = "ROLLCALL_SUBJECT", value_name = "ID", value_parser = id)]
        subject: Option<uuid::Uuid>,
        /// Only those about a user of this name
        #[arg(long, env = "ROLLCALL_USER", value_name = "USERNAME", conflicts_with_all = ["subject", "group"])]
        user: Option<String>,
        /// Only those about a group of this name
        #[arg(long, env = "ROLLCALL_GROUP", value_name = "NAME", conflicts_with = "subject")]
        group: Option<String>,
        /// From then on: a day in UTC, or an instant [example: 2026-11-26, 2026-11-26T08:00:00Z]
        #[arg(long, env = "ROLLCALL_FROM", value_name = "TIME", value_parser = Moment::parse)]
        from: Option<Moment>,
        /// Until then: a day is meant to its end
        #[arg(long, env = "ROLLCALL_UNTIL", value_name = "TIME", value_parser = Moment::parse)]
        until: Option<Moment>,
        /// Words that are all in the name, the method, the path, the status, the reason, the answer, the address or the client; or
        /// a request id
        #[arg(long, env = "ROLLCALL_WORDS", value_name = "TEXT")]
        words: Option<String>,
        /// How many, at most
        #[arg(long, env = "ROLLCALL_LIMIT", value_name = "N", default_value = "100")]
        limit: NonZeroU32,
    },
    /// Shows one request, and what it changed
    Show {
        /// Slug or id
        org: String,
        /// The request's id, as `rollcall log list` shows it
        #[arg(value_parser = id)]
        id: uuid::Uuid,
    },
    /// Writes all requests with what they changed to standard output, oldest first: one JSON document on each line, whatever
    /// --output says
    Export {
        /// Slug or id
        org: String,
    },
    /// Sets how long requests are kept
    Retention {
        /// Slug or id
        org: String,
        /// 1 to 365; what is older then is deleted
        #[arg(long, env = "ROLLCALL_DAYS", value_name = "N")]
        days: u32,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Something was read; in the log only while somebody watches it
    Read,
    Changed,
    /// It asked for a change and changed nothing
    Unchanged,
    /// The client was told why
    Refused,
    /// Something went wrong here
    Failed,
}

/// What clap says of a UUID is about its characters.
fn id(text: &str) -> Result<uuid::Uuid, String> {
    text.parse().map_err(|_| "an id is a UUID, such as 01a219ef-766f-789b-8b50-cb76619bc82c".to_owned())
}

/// A day or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Day(jiff::civil::Date),
    Instant(jiff::Timestamp),
}

impl Moment {
    fn parse(text: &str) -> Result<Self, String> {
        let instant = text.parse().map(Self::Instant).ok();
        let found = instant.or_else(|| text.parse().map(Self::Day).ok().filter(|_| !text.contains('T')));
        found.ok_or_else(|| "a time is a day such as 2026-11-26, or an instant such as 2026-11-26T08:00:00Z".to_owned())
    }

    /// Where it begins.
    pub(crate) fn begin(self) -> Option<jiff::Timestamp> {
        match self {
            Self::Day(day) => Some(day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp()),
            Self::Instant(at) => Some(at),
        }
    }

    /// Where it is over: of an instant that is itself.
    pub(crate) fn end(self) -> Option<jiff::Timestamp> {
        match self {
            Self::Day(day) => Self::Day(day.tomorrow().ok()?).begin(),
            Self::Instant(at) => Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_to_its_end() {
        let moment = |text: &str| Moment::parse(text).expect("a time");
        let shown = |at: Option<jiff::Timestamp>| at.expect("an instant").to_string();
        let day = moment("2026-11-26");
        assert_eq!(
            (shown(day.begin()), shown(day.end())),
            ("2026-11-26T00:00:00Z".into(), "2026-11-27T00:00:00Z".into())
        );
        let instant = moment("2026-11-26T08:00:00+01:00");
        assert_eq!(
            (shown(instant.begin()), shown(instant.end())),
            ("2026-11-26T07:00:00Z".into(), "2026-11-26T07:00:00Z".into())
        );
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-26T08:00"] {
            assert!(Moment::parse(wrong).is_err(), "{wrong}");
        }
        assert!(id("nonsense").is_err_and(|error| error.contains("a UUID")));
    }
}
