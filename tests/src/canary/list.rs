//! The one list of canaries: each is registered where it is made up, or where the product hands it out.
//!
//! Not here: where they are sent, and the search.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::encodings::hex;

/// What a canary stands for, which decides where it may be; see `may` in scan.rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token, a password, a key: nowhere. Of one that the product knows, its SHA-256 may be in the database.
    Secret,
    /// Of a person: stored, given back, told by events, never logged.
    Personal,
    /// What somebody sent and the product may keep: as personal, but need not be found.
    Kept,
    /// What somebody sent and was refused for: in answers, and in the provisioning log.
    Logged,
    /// What somebody sent and the product does not keep: in answers at the most.
    Refused,
    /// Is to be logged and exported: shows that the search looks where the others would be.
    Mark,
}

/// A text that is nowhere else.
#[derive(Clone, Debug)]
pub struct Canary {
    /// For messages.
    pub name: String,
    /// The text.
    pub value: String,
    /// What it stands for.
    pub kind: Kind,
}

/// All of them. To add one: `canaries.make(Kind::Secret, "client secret")` for a text to be sent, or
/// `canaries.keep(Kind::Secret, "access token", &text)` for one that came in an answer.
#[derive(Debug, Default)]
pub struct Canaries(Mutex<Vec<Canary>>);

impl Canaries {
    /// A new one.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn make(&self, kind: Kind, name: &str) -> Result<String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let value = match kind {
            // As long and as mixed as a real one.
            Kind::Secret => format!("cAnAry{}{}", URL_SAFE_NO_PAD.encode(random).replace(['-', '_'], "Q"), "xZ9"),
            _ => format!("canary{}", hex(&random)),
        };
        self.keep(kind, name, &value);
        Ok(value)
    }

    /// One in 15 decimal digits.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn digits(&self, kind: Kind, name: &str) -> Result<String> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let value = format!("{:015}", u64::from_le_bytes(random) % 1_000_000_000_000_000);
        self.keep(kind, name, &value);
        Ok(value)
    }

    /// Takes one in that exists already.
    pub fn keep(&self, kind: Kind, name: &str, value: &str) {
        self.lock().push(Canary { name: name.to_owned(), value: value.to_owned(), kind });
    }

    /// As they are now.
    pub fn all(&self) -> Vec<Canary> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Canary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
