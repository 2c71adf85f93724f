//! Looks for every canary, in every encoding, in every place, and knows where which may be.

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::{
    encodings::{Encoding, of_bytes, of_text},
    list::{Canary, Kind},
};

/// Where something may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What the processes write and export.
    Telemetry,
    /// What else can be seen of them: runtime files, arguments, what commands print.
    Outside,
    /// HTTP and gRPC answers.
    Answers,
    /// Events over gRPC.
    Events,
    /// Dumps and files.
    Database,
    /// What the database server logs: not ours to write, and it quotes values of rows.
    DatabaseLog,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The canary.
    Whole,
    /// Sixteen characters of it.
    Part,
    /// Its SHA-256.
    Digest,
}

/// Whether a canary may be there.
pub(super) fn may(kind: Kind, what: What, place: Place) -> bool {
    match (kind, place) {
        (Kind::Secret, Place::Database) => what == What::Digest,
        (Kind::Secret, _) => false,
        (Kind::Personal | Kind::Kept, Place::Telemetry) => false,
        // `rollcall token list` shows the user agent.
        (Kind::Personal, Place::Outside) => false,
        (Kind::Personal | Kind::Kept, _) => true,
        (Kind::Logged, place) => matches!(place, Place::Answers | Place::Database | Place::DatabaseLog),
        (Kind::Refused, place) => matches!(place, Place::Answers | Place::DatabaseLog),
        (Kind::Mark, _) => true,
    }
}

/// Whether it has to be there, or the search is blind.
pub(super) fn must(kind: Kind, place: Place) -> bool {
    match kind {
        Kind::Mark => place == Place::Telemetry,
        Kind::Personal => matches!(place, Place::Answers | Place::Events | Place::Database),
        _ => false,
    }
}

struct Needle {
    canary: usize,
    what: What,
    encoding: String,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Found {
    /// Index into the list.
    pub canary: usize,
    /// The whole, or what of it.
    pub what: What,
    /// In which encoding.
    pub encoding: String,
    /// Where it begins.
    pub at: usize,
}

/// Knows the canaries.
pub struct Scanner {
    canaries: Vec<Canary>,
    /// Those in which another case is the same, then those in which it is not.
    searches: [(AhoCorasick, Vec<Needle>); 2],
}

impl Scanner {
    /// For these.
    ///
    /// # Errors
    /// If the search cannot be built.
    pub fn new(canaries: Vec<Canary>) -> Result<Self> {
        let mut needles = Vec::new();
        for (canary, Canary { value, kind, .. }) in canaries.iter().enumerate() {
            needles.extend(of_text(value).into_iter().map(|encoding| (canary, What::Whole, encoding)));
            if *kind == Kind::Secret {
                let digest = Sha256::digest(value);
                needles.extend(of_bytes(&digest).into_iter().map(|encoding| (canary, What::Digest, encoding)));
                needles.extend(parts(value).into_iter().map(|encoding| (canary, What::Part, encoding)));
            }
        }
        let build = |case_matters: bool| -> Result<(AhoCorasick, Vec<Needle>)> {
            let own = || needles.iter().filter(move |(_, _, encoding)| encoding.case_matters == case_matters);
            let search = AhoCorasick::builder()
                .ascii_case_insensitive(!case_matters)
                .build(own().map(|(_, _, encoding)| &encoding.bytes))
                .context("the search cannot be built")?;
            let named = own().map(|(canary, what, encoding)| Needle {
                canary: *canary,
                what: *what,
                encoding: encoding.name.clone(),
            });
            Ok((search, named.collect()))
        };
        let searches = [build(false)?, build(true)?];
        Ok(Self { canaries, searches })
    }

    /// Every encoding of every canary that is in there, each once.
    pub fn find(&self, text: &[u8]) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::new();
        for (search, needles) in &self.searches {
            for found in search.find_overlapping_iter(text) {
                let Some(needle) = needles.get(found.pattern().as_usize()) else { continue };
                let known = |other: &Found| {
                    other.canary == needle.canary && other.what == needle.what && other.encoding == needle.encoding
                };
                if !all.iter().any(known) {
                    let encoding = needle.encoding.clone();
                    all.push(Found { canary: needle.canary, what: needle.what, encoding, at: found.start() });
                }
            }
        }
        all
    }

    /// Holds a place to `may` and `must`.
    ///
    /// # Errors
    /// If a canary is where it may not be, or is not where it must be; with all of them.
    pub fn check(&self, name: &str, place: Place, text: &[u8]) -> Result<()> {
        let found = self.find(text);
        let mut wrong: Vec<String> = Vec::new();
        for (index, canary) in self.canaries.iter().enumerate() {
            let own: Vec<&Found> = found.iter().filter(|found| found.canary == index).collect();
            for leak in own.iter().filter(|found| !may(canary.kind, found.what, place)) {
                wrong.push(format!(
                    "{name} holds {:?} ({:?}, {:?}, {}): {}",
                    canary.name,
                    canary.kind,
                    leak.what,
                    leak.encoding,
                    around(text, leak.at)
                ));
            }
            if must(canary.kind, place) && own.is_empty() {
                wrong.push(format!("{name} does not hold {:?}, so the search would not find others", canary.name));
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(())
    }
}

/// A log that shows the beginning or the end of a token shows too much.
fn parts(secret: &str) -> Vec<Encoding> {
    const LENGTH: usize = 16;
    let own = ["rc_scim_", "rc_admin_"].iter().find_map(|prefix| secret.strip_prefix(prefix)).unwrap_or(secret);
    let last = own.len().saturating_sub(LENGTH);
    let windows = [("first", 0), ("middle", last / 2), ("last", last)];
    let part = |(name, from): (&str, usize)| {
        let bytes = own.as_bytes().get(from..from + LENGTH)?.to_vec();
        Some(Encoding { name: format!("its {name} {LENGTH} characters"), bytes, case_matters: false })
    };
    windows.into_iter().filter_map(part).collect()
}

/// The bytes before and after, so that the place can be found.
fn around(text: &[u8], at: usize) -> String {
    let window = text.get(at.saturating_sub(160)..(at + 160).min(text.len())).unwrap_or_default();
    String::from_utf8_lossy(window).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::list::Canaries;

    fn canaries() -> Vec<Canary> {
        let list = Canaries::default();
        for (kind, name) in [(Kind::Secret, "secret"), (Kind::Personal, "person"), (Kind::Refused, "refused")] {
            list.make(kind, name).expect("random");
        }
        list.keep(Kind::Personal, "a name with signs", "Zoë \"Q\" O'Canary \\ née/b");
        list.keep(Kind::Secret, "a token", "rc_scim_dGhpcyBpcyBub3QgYSByZWFsIHRva2VuISEhISEhISE0a2Zx");
        list.all()
    }

    fn line(planted: &[u8]) -> Vec<u8> {
        [b"2026-11-26T15:00:00Z INFO \xff request field=", planted, b" status=200\n"].concat()
    }

    /// The self test: a search that misses a form would let it pass everywhere.
    #[test]
    fn every_form_of_every_canary_is_seen_in_a_log() {
        let canaries = canaries();
        let scanner = Scanner::new(canaries.clone()).expect("scanner");
        let clean = line(b"nothing");
        assert!(scanner.find(&clean).is_empty());
        let mut forms = 0;
        for (index, canary) in canaries.iter().enumerate() {
            for Encoding { name, bytes, case_matters } in of_text(&canary.value) {
                let mut planted = vec![bytes.clone()];
                if !case_matters {
                    planted.extend([bytes.to_ascii_uppercase(), bytes.to_ascii_lowercase()]);
                }
                for planted in planted {
                    let found = scanner.find(&line(&planted));
                    assert!(found.iter().any(|found| found.canary == index), "{}: {name}", canary.name);
                    let error = scanner.check("the log", Place::Telemetry, &line(&planted)).expect_err("a leak");
                    assert!(format!("{error}").contains(&format!("holds {:?}", canary.name)), "{error}");
                    forms += 1;
                }
            }
        }
        assert!(forms > 150, "{forms}");
    }

    /// What other programs make of it, independent of how the needles are made.
    #[test]
    fn base64_hex_and_the_rest_are_seen_wherever_they_begin() {
        let list = Canaries::default();
        let value = list.make(Kind::Secret, "secret").expect("random");
        let scanner = Scanner::new(list.all()).expect("scanner");
        use base64::{Engine as _, engine::general_purpose};
        for before in ["", "x", "xy", "xyz", "Basic dXNlcjpw", "{\"a\":1}", "user:"] {
            for after in ["", "z", "zz", "}, more"] {
                let text = format!("{before}{value}{after}");
                for encoded in [
                    general_purpose::STANDARD.encode(&text),
                    general_purpose::URL_SAFE.encode(&text),
                    text.bytes().fold(String::new(), |out, byte| format!("{out}{byte:02X}")),
                    text.bytes().fold(String::new(), |out, byte| format!("{out}%{byte:02x}")),
                    format!("{:?}", text.as_bytes()),
                    serde_json::json!(text.as_bytes()).to_string(),
                    text.chars().rev().collect(),
                ] {
                    assert!(!scanner.find(&line(encoded.as_bytes())).is_empty(), "{encoded}");
                }
            }
        }
        let digest = Sha256::digest(&value);
        for (leak, allowed) in [(&value[3..19], false), (&super::super::encodings::hex(&digest), true)] {
            assert!(scanner.check("the log", Place::Telemetry, &line(leak.as_bytes())).is_err() || !allowed, "{leak}");
        }
        let stored = line(super::super::encodings::hex(&digest).as_bytes());
        scanner.check("the database", Place::Database, &stored).expect("the digest is what is stored");
        assert!(scanner.check("the answers", Place::Answers, &stored).is_err());
        let tail = line(&value.as_bytes()[value.len() - 16..]);
        assert!(scanner.check("the log", Place::Telemetry, &tail).is_err());
    }

    #[test]
    fn a_blind_search_is_a_failure() {
        let list = Canaries::default();
        list.make(Kind::Mark, "mark").expect("random");
        let scanner = Scanner::new(list.all()).expect("scanner");
        let error = scanner.check("the log", Place::Telemetry, b"an empty log").expect_err("blind");
        assert!(error.to_string().contains("does not hold"), "{error}");
    }
}
