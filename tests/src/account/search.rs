//! Looks for what no server may ever have: texts whole, words of kits three in a row, and of bytes any eight in a row, each in every
//! encoding.
//!
//! Not here: where to look, and how the secrets are come by.

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::canary::encodings::{Encoding, hex, of_bytes, of_text};

/// Fewer bytes would be found by chance, more would miss a part.
const WINDOW: usize = 8;
/// Words of a kit in a row.
const WORDS: usize = 3;

/// What is looked for.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    /// A password.
    Text(String),
    /// A kit, with single spaces between its words.
    Words(String),
    Bytes(Vec<u8>),
}

impl Secret {
    pub(crate) fn text(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), value: Value::Text(text.to_owned()) }
    }

    pub(crate) fn words(name: impl Into<String>, words: &str) -> Self {
        Self { name: name.into(), value: Value::Words(words.to_owned()) }
    }

    pub(crate) fn bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), value: Value::Bytes(bytes.to_vec()) }
    }

    fn needles(&self) -> Vec<Encoding> {
        let digest = |bytes: &[u8]| of_bytes(&Sha256::digest(bytes)).into_iter().map(|form| named("its SHA-256", form));
        match &self.value {
            Value::Text(text) => {
                of_text(text).into_iter().chain(of_reversed(text.as_bytes())).chain(digest(text.as_bytes())).collect()
            }
            Value::Words(words) => {
                let list: Vec<&str> = words.split(' ').collect();
                let three = list.windows(WORDS);
                let separated = [" ", "+", "\n", ",", ", ", "\",\"", "-", ""]
                    .map(|by| three.clone().map(move |some| some.join(by)));
                separated
                    .into_iter()
                    .flatten()
                    .flat_map(|some| of_text(&some))
                    .chain(digest(words.as_bytes()))
                    .collect()
            }
            Value::Bytes(bytes) => bytes.windows(WINDOW).flat_map(of_window).chain(digest(bytes)).collect(),
        }
    }
}

fn named(what: &str, form: Encoding) -> Encoding {
    Encoding { name: format!("{what}, {}", form.name), ..form }
}

fn of_reversed(bytes: &[u8]) -> impl Iterator<Item = Encoding> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    of_bytes(&reversed).into_iter().map(|form| named("reversed", form))
}

/// Bytes, which may have become text on the way to where they are.
fn of_window(bytes: &[u8]) -> Vec<Encoding> {
    let mut all: Vec<Encoding> = of_bytes(bytes).into_iter().chain(of_reversed(bytes)).collect();
    let digits = |text: String| text.chars().take(bytes.len() * 8 / 6).collect::<String>();
    for (name, text, case_matters) in
        [("hexadecimal", hex(bytes), false), ("base64url", digits(URL_SAFE_NO_PAD.encode(bytes)), true)]
    {
        let units = || text.encode_utf16();
        for (how, bytes) in [
            ("its text reversed", text.bytes().rev().collect()),
            ("UTF-16, little end first", units().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
            ("UTF-16, big end first", units().flat_map(u16::to_be_bytes).collect()),
        ] {
            all.push(Encoding { name: format!("{name}, {how}"), bytes, case_matters });
        }
    }
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let json: String = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
    for (name, text) in [("percent-encoded throughout", percent), ("JSON, escaped throughout", json)] {
        all.push(Encoding { name: name.to_owned(), bytes: text.into_bytes(), case_matters: false });
    }
    all
}

/// A finding: of which secret, in which encoding, where.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) secret: String,
    pub(crate) place: String,
    pub(crate) encoding: String,
    around: String,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds {} ({}): {}", self.place, self.secret, self.encoding, self.around)
    }
}

/// Knows what is looked for.
pub(crate) struct Search {
    secrets: Vec<String>,
    /// Those in which another case is the same, then those in which it is not; each with its secret and its encoding.
    searches: [(AhoCorasick, Vec<(usize, String)>); 2],
}

impl Search {
    pub(crate) fn new(secrets: &[Secret]) -> Result<Self> {
        let needles = || {
            secrets.iter().enumerate().flat_map(|(at, secret)| secret.needles().into_iter().map(move |form| (at, form)))
        };
        let build = |case_matters: bool| -> Result<(AhoCorasick, Vec<(usize, String)>)> {
            let (patterns, names): (Vec<_>, Vec<_>) = needles()
                .filter(|(_, form)| form.case_matters == case_matters)
                .map(|(at, form)| (form.bytes, (at, form.name)))
                .unzip();
            let search = AhoCorasick::builder().ascii_case_insensitive(!case_matters).build(patterns);
            Ok((search.context("the search cannot be built")?, names))
        };
        let secrets = secrets.iter().map(|secret| secret.name.clone()).collect();
        Ok(Self { secrets, searches: [build(false)?, build(true)?] })
    }

    /// Each secret that is there, in the first encoding that was seen of it.
    pub(crate) fn find(&self, place: &str, text: &[u8]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let mut seen = vec![false; self.secrets.len()];
        for (search, names) in &self.searches {
            for one in search.find_overlapping_iter(text) {
                let Some((at, encoding)) = names.get(one.pattern().as_usize()) else { continue };
                let (Some(seen), Some(secret)) = (seen.get_mut(*at), self.secrets.get(*at)) else { continue };
                if std::mem::replace(seen, true) {
                    continue;
                }
                let window = text.get(one.start().saturating_sub(80)..(one.end() + 80).min(text.len()));
                let shown = String::from_utf8_lossy(window.unwrap_or_default());
                found.push(Found {
                    secret: secret.clone(),
                    place: place.to_owned(),
                    encoding: encoding.clone(),
                    around: shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const KIT: &str = "abandon ability able about above absent absorb abstract absurd abuse access accident";

    fn secrets() -> Vec<Secret> {
        let bytes: Vec<u8> = (0..32_u8).map(|at| at.wrapping_mul(37) ^ 0xa5).collect();
        vec![
            Secret::text("the password", "correct horse/battery"),
            Secret::words("the kit", KIT),
            Secret::bytes("the account secret", &bytes),
        ]
    }

    fn found(text: &[u8]) -> Vec<String> {
        let text = [b"2026-11-27T05:00:00Z INFO \xff request field=", text, b" status=200\n"].concat();
        Search::new(&secrets()).expect("search").find("there", &text).into_iter().map(|found| found.secret).collect()
    }

    #[test]
    fn eight_bytes_are_seen_whatever_was_made_of_them_and_seven_are_not() {
        let [.., Secret { value: Value::Bytes(bytes), .. }] = &secrets()[..] else { panic!("no bytes") };
        assert_eq!(found(b"nothing"), Vec::<String>::new());
        for at in 0..=bytes.len() - WINDOW {
            let part = &bytes[at..at + WINDOW];
            let reversed: Vec<u8> = part.iter().rev().copied().collect();
            let pkcs8 = [&[0x30, 0x2e, 2, 1][..], part].concat();
            let encoded = URL_SAFE_NO_PAD.encode(part);
            for planted in [
                part.to_vec(),
                reversed.clone(),
                hex(part).into_bytes(),
                hex(part).to_uppercase().into_bytes(),
                STANDARD.encode(&pkcs8).into_bytes(),
                STANDARD.encode([b"x", part].concat()).into_bytes(),
                URL_SAFE_NO_PAD.encode([b"xy", part, b"z"].concat()).into_bytes(),
                URL_SAFE_NO_PAD.encode(&reversed).into_bytes(),
                encoded.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                encoded[..10].bytes().rev().collect(),
                format!("{part:?}").into_bytes(),
                serde_json::json!(part).to_string().into_bytes(),
            ] {
                assert_eq!(found(&planted), ["the account secret"], "{at}: {planted:?}");
            }
        }
        assert_eq!(found(&bytes[..7]), Vec::<String>::new());
        assert_eq!(found(hex(&Sha256::digest(bytes)).as_bytes()), ["the account secret"]);
    }

    #[test]
    fn three_words_are_seen_however_they_are_written_and_two_are_not() {
        for planted in ["able about above", "ABLE\nABOUT\nABOVE", "[\"able\",\"about\",\"above\"]", "able+about+above"]
        {
            assert_eq!(found(planted.as_bytes()), ["the kit"], "{planted}");
            assert_eq!(found(STANDARD.encode(planted.to_lowercase()).as_bytes()), ["the kit"], "{planted}");
        }
        assert_eq!(found(b"able about, absent absorb"), Vec::<String>::new());
        assert_eq!(found(&Sha256::digest(KIT)), ["the kit"]);
    }

    #[test]
    fn a_password_is_seen_whole_and_by_its_hash() {
        for planted in [
            "correct horse/battery".to_owned(),
            "?p=correct+horse%2Fbattery".to_owned(),
            "?p=correct%20horse%2fbattery".to_owned(),
            STANDARD.encode("user:correct horse/battery"),
            hex(&Sha256::digest("correct horse/battery")),
            "yrettab/esroh tcerroc".to_owned(),
        ] {
            assert_eq!(found(planted.as_bytes()), ["the password"], "{planted}");
        }
        let [what] = &Search::new(&secrets()).expect("search").find("there", b"correct horse/battery")[..] else {
            panic!("not one finding")
        };
        assert_eq!((&*what.place, &*what.encoding), ("there", "plain"));
    }
}
