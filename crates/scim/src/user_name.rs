//! userName: which ones are taken, and which of them are one. RFC 8265 section 3.3 (UsernameCaseMapped), with one step
//! more: names that the profile refuses only for spaces between words or for the directions of their letters are what
//! directories hold, so they are taken and compared by [`fold()`].
//!
//! Not here: white space around a name, controls and invisible characters, which `resource` refuses in every identifier.

use std::borrow::Cow;

use precis_profiles::{
    UsernameCaseMapped,
    precis_core::{self, profile::PrecisFastInvocation as _},
};

use crate::{Error, ErrorKind, fold};

/// The version of [`key`]: raised when its result changes for a name that is taken.
pub const VERSION: u32 = 2;

/// What a userName is found by and unique by. Total, since a filter may name anything and rows may be older than the
/// rules: what is not taken as a name is folded.
pub fn key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    UsernameCaseMapped::enforce(text).map_or_else(|_| fold(text), Cow::into_owned)
}

/// Whether a new userName is taken: 400 `invalidValue` names the character that is not.
pub fn check(text: &str) -> Result<(), Error> {
    if text.is_ascii() || UsernameCaseMapped::enforce(text).is_ok() {
        return Ok(());
    }
    // Directions are judged by `enforce` alone, and between spaces stands what must hold by itself.
    text.split(is_space)
        .filter(|word| !word.is_empty())
        .try_for_each(|word| UsernameCaseMapped::prepare(word).map(drop).map_err(|error| refused(text, &error)))
}

/// Unicode's Space_Separator.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn refused(text: &str, error: &precis_core::Error) -> Error {
    let named = match error {
        precis_core::Error::BadCodepoint(info) => char::from_u32(info.cp),
        _ => None,
    };
    let which = named.map_or_else(
        || "a character where it may not stand".to_owned(),
        |c| {
            let place = text
                .chars()
                .position(|other| other == c)
                .map_or_else(String::new, |index| format!(" (character {})", index + 1));
            format!("the character U+{:04X}{place}", u32::from(c))
        },
    );
    Error::new(
        ErrorKind::InvalidValue,
        format!(
            "`userName` must not contain {which}: user names are made of letters, digits, spaces between words and the \
             punctuation of ASCII (RFC 8265 section 3.3). Send the name without it; `displayName` takes any."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(a: &str, b: &str) -> bool {
        key(a) == key(b)
    }

    /// The table in RFC 8265 section 3.5, and what stands beside it here.
    #[test]
    fn the_examples_of_the_rfc() {
        for name in ["juliet@example.com", "fussball", "fußball", "π", "Σ", "σ", "ς"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert!(!is_one("fussball", "fußball"));
        assert!(is_one("Σ", "σ"));
        assert!(!is_one("σ", "ς"));
        for (name, named) in [("henry\u{2163}", "U+2163 (character 6)"), ("\u{265a}", "U+265A (character 1)")] {
            let error = check(name).expect_err(name);
            assert_eq!(error.kind, ErrorKind::InvalidValue);
            assert!(error.detail.contains(named), "{}", error.detail);
        }
    }

    #[test]
    fn case_width_and_composition_make_no_other_name() {
        for (a, b) in [
            ("Kit@Example.com", "kit@example.COM"),
            ("ｋｉｔ", "KIT"),
            ("e\u{301}va", "ÉVA"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("ДМИТРИЙ@пример.рф", "дмитрий@пример.рф"),
            ("山田太郎", "山田太郎"),
        ] {
            assert_eq!((check(a), check(b)), (Ok(()), Ok(())), "{a}");
            assert!(is_one(a, b), "{a} {b}");
        }
        // Letter by letter: the sigma that ends a word is a letter of its own, as in the RFC's table.
        for (a, b) in [("ΟΔΥΣΣΕΥΣ", "οδυσσευς"), ("STRASSE", "straße"), ("kit", "kıt"), ("a b", "ab"), ("e", "é")]
        {
            assert!(!is_one(a, b), "{a} {b}");
        }
    }

    /// The profile refuses these for spaces or directions alone.
    #[test]
    fn spaces_and_directions_are_taken_and_folded() {
        for (a, b) in [
            ("Éva Müller", "ÉVA MÜLLER"),
            ("straße nord", "STRASSE NORD"),
            ("Éva\u{3000}Müller", "éva müller"),
            ("Éva\u{a0}Müller", "éva müller"),
            // Two directions in one name.
            ("Kitמשה", "kITמשה"),
            ("1משה", "1משה"),
        ] {
            assert!(UsernameCaseMapped::enforce(a).is_err(), "{a}");
            assert_eq!((check(a), check(b)), (Ok(()), Ok(())), "{a}");
            assert!(is_one(a, b), "{a} {b}");
        }
        // By the profile itself.
        assert!(UsernameCaseMapped::enforce("משה").is_ok());
    }

    #[test]
    fn what_else_the_profile_refuses_is_refused() {
        for name in [
            "ﬁsh",
            "a♚",
            "a€",
            "x²",
            "O’Brien",
            "a\u{b7}b",
            "\u{1100}\u{1161}",
            "a\u{200b}b",
            "é ♚",
            "é\u{2028}a",
            "\u{378}",
            "café\u{202e}",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
        // A dot between two l is a letter's part in Catalan.
        assert_eq!(check("paral·lel"), Ok(()));
    }

    /// But for Cherokee: the profile's registry is of a Unicode without its lowercase letters, which are refused.
    #[test]
    fn every_character_has_a_key_that_stays() {
        for c in (char::MIN..=char::MAX).filter(|c| !matches!(c, '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}')) {
            let text = format!("é{c}");
            let once = key(&text);
            assert_eq!(key(&once), once, "U+{:04X}", u32::from(c));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_a_key(text in "[\\PC--\\p{Cherokee}]{0,12}") {
            proptest::prop_assert_eq!(key(&key(&text)), key(&text));
        }

        #[test]
        fn names_that_are_taken_are_one_as_the_profile_says(a in "[aAßéÉσΣς m]{1,4}", b in "[aAßéÉσΣς m]{1,4}") {
            if let Ok(same) = precis_profiles::precis_core::profile::Profile::compare(&UsernameCaseMapped::new(), &a, &b) {
                proptest::prop_assert_eq!(same, key(&a) == key(&b));
            }
        }
    }
}
