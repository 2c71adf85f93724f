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
        #[arg(long, env = "ROLLCALL_SUBJECT", value_name = "ID", value_parser = super::an_id)]
        subject: Option<uuid::Uuid>,
        /// Only those about a user of this name
        #[arg(long, env = "ROLLCALL_USER", value_name = "USERNAME", conflicts_with_all = ["subject", "group"])]
        user: Option<String>,
        /// Only those about a group of this name
        #[arg(long, env = "ROLLCALL_GROUP", value_name = "NAME", conflicts_with = "subject")]
        group: Option<String>,
        /// Words that are all in the name, the method, the path, the status, the reason, the answer, the address or the client; or
        /// a request id
        #[arg(long, env = "ROLLCALL_WORDS", value_name = "TEXT")]
        words: Option<String>,
        /// Only those from then on: an instant such as 2027-01-31T08:00:00Z, a day in UTC, or how long ago, such as 36h or 7d
        #[arg(long, env = "ROLLCALL_FROM", value_name = "WHEN")]
        from: Option<Moment>,
        /// Only those before: likewise
        #[arg(long, env = "ROLLCALL_TO", value_name = "WHEN")]
        to: Option<Moment>,
        /// How many, at most
        #[arg(long, env = "ROLLCALL_LIMIT", value_name = "N", default_value = "100")]
        limit: NonZeroU32,
    },
    /// Shows one request, and what it changed
    Show {
        /// Slug or id
        org: String,
        /// The request's id, as `rollcall log list` shows it
        #[arg(value_parser = super::an_id)]
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

/// An instant, or how long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    At(jiff::Timestamp),
    Ago(jiff::SignedDuration),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let in_utc = |at: jiff::civil::DateTime| jiff::tz::Offset::UTC.to_timestamp(at).ok();
        let ago = |span: jiff::Span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok();
        let at = text.parse().ok().or_else(|| text.parse().ok().and_then(in_utc)).map(Self::At);
        let ago = || text.parse().ok().and_then(ago).filter(|ago| !ago.is_negative()).map(Self::Ago);
        let wrong =
            "give an instant such as 2027-01-31T08:00:00Z, a day such as 2027-01-31, or how long ago, such as 36h";
        at.or_else(ago).ok_or_else(|| wrong.to_owned())
    }
}

impl Moment {
    pub(crate) fn before(self, now: jiff::Timestamp) -> jiff::Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(jiff::Timestamp::MIN),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant_a_day_or_how_long_ago() {
        let now: jiff::Timestamp = "2027-02-01T12:00:00Z".parse().expect("an instant");
        for (text, at) in [
            ("2027-01-31T08:00:00Z", "2027-01-31T08:00:00Z"),
            ("2027-01-31T08:00:00+02:00", "2027-01-31T06:00:00Z"),
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T08:00", "2027-01-31T08:00:00Z"),
            ("36h", "2027-01-31T00:00:00Z"),
            ("7d", "2027-01-25T12:00:00Z"),
        ] {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(moment.before(now).to_string(), at, "{text}");
        }
        for wrong in ["", "yesterday", "-2h", "2027-13-01"] {
            let why = wrong.parse::<Moment>().expect_err(wrong);
            assert!(why.contains("how long ago"), "{why}");
        }
    }
}
