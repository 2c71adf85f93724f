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
        #[arg(long, env = "ROLLCALL_SUBJECT", value_name = "ID")]
        subject: Option<uuid::Uuid>,
        /// Words that are all in the name, the path, the reason or the answer
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
        id: uuid::Uuid,
    },
    /// Writes all requests to standard output, oldest first: one JSON document on each line, whatever --output says
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
