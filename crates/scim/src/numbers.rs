//! Numbers that would not be kept as they were sent: a JSON number becomes a 64-bit integer or a binary floating-point
//! number, and what that rounds is refused.
//!
//! Not here: whether the text is JSON.

use crate::{Error, ErrorKind};

/// 400 `invalidValue` with the name of the member whose number cannot be kept. Of a text that is no JSON nothing is promised.
pub(crate) fn check(body: &[u8]) -> Result<(), Error> {
    let mut names: Vec<&[u8]> = Vec::new();
    let (mut name, mut last): (&[u8], &[u8]) = (b"", b"");
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        let rest = body.get(at..).unwrap_or_default();
        match byte {
            b'"' => {
                last = string(rest);
                at += last.len() + 2;
                continue;
            }
            b':' => name = last,
            b'{' | b'[' => names.push(name),
            b'}' | b']' => name = names.pop().unwrap_or_default(),
            b'-' | b'0'..=b'9' => {
                let number = number(rest);
                if !is_kept(number) {
                    return Err(rounded(name, number));
                }
                at += number.len();
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// What stands between the quotes.
fn string(quoted: &[u8]) -> &[u8] {
    let mut end = 1;
    while let Some(&byte) = quoted.get(end) {
        match byte {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    quoted.get(1..end).or(quoted.get(1..)).unwrap_or_default()
}

fn number(text: &[u8]) -> &[u8] {
    let is_part = |byte: &&u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    let length = text.iter().take_while(is_part).count();
    text.get(..length).unwrap_or_default()
}

/// Whether it comes back with the same value.
fn is_kept(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return true;
    }
    match text.parse::<f64>() {
        // As it is written again: where two shortest texts are equally near, by the one who writes it.
        Ok(number) => serde_json::Number::from_f64(number)
            .is_some_and(|written| Decimal::of(&written.to_string()) == Decimal::of(text)),
        Err(_) => false,
    }
}

/// A number by its digits, without a sign: `digits` * 10^`exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    /// Neither beginning nor ending with zeros; empty: the number is 0.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0').len();
        let zeros = i64::try_from(digits.len() - significant).ok()?;
        digits.truncate(significant);
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { digits, exponent: 0 });
        }
        let exponent = exponent.trim_start_matches('+').parse::<i64>().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        Some(Self { digits, exponent })
    }
}

fn rounded(name: &[u8], number: &[u8]) -> Error {
    const SHOWN: usize = 40;
    let shown = |text: &[u8]| -> String {
        let text = String::from_utf8_lossy(text);
        // A backtick would end the quotes around a name.
        let short: String = text.chars().take(SHOWN * 2).map(|c| if c == '`' { '\'' } else { c }).collect();
        if short.len() < text.len() { short + ".." } else { short }
    };
    let of = if name.is_empty() { String::new() } else { format!(" of `{}`", shown(name)) };
    Error::new(
        ErrorKind::InvalidValue,
        format!(
            "The number {}{of} cannot be kept exactly. Send a whole number of at most 64 bits, or a decimal of at most 15 \
             digits; what has more digits belongs into a string.",
            shown(number)
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    #[track_caller]
    fn refused(body: &str, name: &str) {
        let error = json::parse(body.as_bytes()).expect_err(body);
        assert_eq!(error.kind, ErrorKind::InvalidValue, "{body}: {}", error.detail);
        assert!(error.detail.contains(name), "{body}: {}", error.detail);
    }

    #[test]
    fn what_would_be_rounded_is_refused_by_the_name_of_its_attribute() {
        for number in [
            "12.54687004804441599076",
            "0.1000000000000000055511151231257827",
            "9007199254740993.0",
            "9007199254740993.5",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "1e999",
            "-1e999",
            "1e-400",
            "2.5e-324",
            // Half way between two texts of one number, of which the other is written.
            "1000000000000000.3",
            "10000000000000.003e2",
            "0.00000000000000000000000000012345678901234567891",
        ] {
            refused(&format!(r#"{{"urn:x:2.0:User":{{"weight":{number}}},"other":1}}"#), "`weight`");
            refused(&format!(r#"{{"weights":[1.5,{{"a":[2]}},"x",{number}]}}"#), "`weights`");
            refused(&format!(r#"{{"a":{{"b":{{"c":1}}}},"d\"e":{number}}}"#), r#"`d\"e`"#);
            refused(number, "The number");
            refused(&format!(r#"{{"x":"\\","weight":{number}}}"#), "`weight`");
        }
    }

    #[test]
    fn what_is_kept_is_taken() {
        for number in [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e0",
            "0.000",
            "1.0",
            "1.50",
            "100e-2",
            "1E3",
            "1e+3",
            "12.546870048044417",
            "0.30000000000000004",
            "1.5e-7",
            "1e22",
            "1e308",
            "5e-324",
            "18446744073709551615",
            "-9223372036854775808",
            "9007199254740993",
            "0.1",
            "123456.789",
            "1000000000000000.2",
            "1011877312921814.2",
        ] {
            let body = format!(r#"{{"weight":{number},"text":"12.54687004804441599076","s\\":"1e999"}}"#);
            let value = json::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{number}: {}", error.detail));
            assert_eq!(Decimal::of(&value["weight"].to_string()), Decimal::of(number), "{number}");
        }
    }

    /// As text, without the code under test: the value times 10^400 as a whole number of decimal digits.
    fn scaled(text: &str) -> String {
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.trim_start_matches('+').parse().expect("an exponent");
        let point = mantissa.find('.').unwrap_or(mantissa.len());
        let digits = mantissa.replace('.', "");
        let shift = i32::try_from(point).expect("short") + exponent + 400;
        let length = usize::try_from(shift).expect("small enough an exponent");
        let padded = format!("{digits}{}", "0".repeat(length.saturating_sub(digits.len())));
        let (whole, fraction) = padded.split_at(length);
        format!("{}.{}", whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_number_is_kept_as_it_was_sent_or_refused(
            number in "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,2})?",
        ) {
            match json::parse(format!(r#"{{"weight":{number}}}"#).as_bytes()) {
                Ok(value) => {
                    // As it is stored, read, and stored again.
                    let stored = value["weight"].to_string();
                    let again = json::parse(format!(r#"{{"weight":{stored}}}"#).as_bytes()).expect("what was stored");
                    prop_assert_eq!(scaled(&stored), scaled(&number));
                    prop_assert_eq!(again["weight"].to_string(), stored);
                }
                Err(error) => {
                    prop_assert_eq!(error.kind, ErrorKind::InvalidValue);
                    prop_assert!(error.detail.contains("`weight`"), "{}", error.detail);
                    // Up to 15 digits nothing is rounded.
                    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
                    prop_assert!(mantissa.bytes().filter(u8::is_ascii_digit).count() > 15, "{}", number);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }

        #[test]
        fn no_text_of_these_makes_it_panic(text in "[\\[\\]{}\":,.0-9eE+\\\\ a-]{0,60}") {
            let _ = check(text.as_bytes());
        }
    }
}
