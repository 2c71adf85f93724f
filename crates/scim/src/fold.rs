//! Case folding of values whose attribute is not caseExact.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// The version of [`fold`]; stored beside folded keys, raised when its result changes.
pub const VERSION: u32 = 1;

/// Compatibility normalization and full case folding, to a fixed point: NFKC(fold(NFKC(text))).
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let folded = CaseMapper::new().fold_string(&nfkc.normalize(text)).into_owned();
    nfkc.normalize(&folded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn letters_that_differ_in_case_or_form_only_are_one() {
        for (a, b) in [
            ("Kit@Example.com", "kit@example.COM"),
            ("STRASSE", "straße"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("e\u{301}va", "ÉVA"),
            ("ｋｉｔ", "KIT"),
            ("ﬁsh", "FISH"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("kit"), fold("kıt"));
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,20}") {
            proptest::prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
