//! A program that the customer runs: it has keys of its own, is confirmed by an administrator once, and from then on gives the
//! organization key to members who have finished set-up, without anybody's click. The protocol is docs/account-keys.md; the server never has
//! what decrypts.
//!
//! `confirm` decides and seals, without IO; `agent` asks the server and does what was decided. Randomness comes in as an argument.
//!
//! Not here: the command line, signals, what standard output looks like (the `rollcall` crate).

mod agent;
mod confirm;
mod messages;
mod server;
mod state;

use std::path::PathBuf;

use serde_json::Value;

pub use agent::{Enrolling, Running, enroll, run, show};

/// Something to be told to whoever runs the agent, once: as a word, a sentence, and for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What happened.
    pub what: &'static str,
    /// For a person. May have several lines.
    pub text: String,
    /// The same, with its parts.
    pub json: Value,
}

/// With an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why it does not go on. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state or credential file.
    #[error("{what} {path}: {why}", path = path.display())]
    File {
        /// As in "the state file".
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// And what to do.
        why: String,
    },
    /// What was given on the command line.
    #[error("{0}")]
    Usage(String),
    /// For now: it may be different in a while.
    #[error("{0}")]
    Unreachable(String),
    /// What the server said.
    #[error("{message}")]
    Refused {
        /// Its word for it.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// What it shows is not what it showed before, or not what whoever runs this expects. Nothing was granted.
    #[error("{0}")]
    Distrusted(String),
    /// A key, a proof or a signature.
    #[error("the server shows what does not fit: {0}. Nothing was granted")]
    Keys(#[from] account_keys::Error),
}

impl Error {
    /// Whether to try again in a while is of use.
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { code, .. } => code != "agent_invalid",
            Self::File { .. } | Self::Usage(_) | Self::Distrusted(_) | Self::Keys(_) => false,
        }
    }
}
