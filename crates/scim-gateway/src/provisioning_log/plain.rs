//! How text of a request comes into the log: every text that is kept went through a function of this file. Credentials are looked
//! for in what the text says once it is decoded, names are told from values by their form, and a value is kept only in a
//! comparison with an attribute that is no secret.
//!
//! Not here: which attributes those are (`kept`).

/// Stands for what is left out.
pub(super) const HIDDEN: &str = "(not kept)";
/// Characters of a text.
pub(super) const LONGEST_TEXT: usize = 200;
/// A name that has one of these is not shown what it holds, whatever schema has it.
const SECRET: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "credential"];
/// What secrets of this server begin with, after `rc_`.
const KINDS: [&str; 10] =
    ["scim_", "access_", "refresh_", "session_", "invite_", "admin_", "svc_", "oauth_", "code_", "sealing_"];
/// Percent-encoding that is undone to look for credentials; what is encoded more often is not kept.
const LAYERS: usize = 3;
const COMPARISONS: [&str; 9] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
const LOGIC: [&str; 3] = ["and", "or", "not"];

/// A value: without control characters, not too long, and only if nothing in it looks like a credential.
pub(crate) fn plain(text: &str) -> String {
    if is_secret(text) {
        return HIDDEN.to_owned();
    }
    text.chars().filter(|&c| is_seen(c)).take(LONGEST_TEXT).collect()
}

/// A name that a client gave: kept if it has the form of one, known or not.
pub(super) fn name(text: &str) -> String {
    if has_form_of_a_name(text) { text.to_owned() } else { HIDDEN.to_owned() }
}

/// Names, with commas in between.
pub(super) fn names(text: &str) -> String {
    let names: Vec<String> = text.split(',').take(50).map(|one| name(one.trim())).collect();
    names.join(",")
}

/// A filter, or the path of a PATCH: names, operators, and what attributes that are `known` are compared with.
pub(super) fn expression(text: &str, known: &dyn Fn(&str) -> bool) -> String {
    read(text, known).0
}

/// Whether all names of a path are known. A name without anything around it is a path, too.
pub(super) fn is_known(text: &str, known: &dyn Fn(&str) -> bool) -> bool {
    read(text, known).1
}

/// What a client was told: our own words, and its names and filters in quotes.
pub(super) fn told(text: &str, known: &dyn Fn(&str) -> bool) -> String {
    let seen: String = text.chars().filter(|&c| is_seen(c)).collect();
    let parts: Vec<&str> = seen.split('`').collect();
    // A backtick of the client's own: what is in quotes and what is not cannot be told any more.
    let torn = parts.len().is_multiple_of(2);
    let mut told = String::new();
    for (n, part) in parts.into_iter().enumerate() {
        match n {
            1.. if torn => {
                told.push_str(HIDDEN);
                break;
            }
            _ if n % 2 == 1 => told.push_str(&format!("`{}`", expression(part, known))),
            _ => told.push_str(&prose(part, known)),
        }
    }
    if holds_credential(&told) { HIDDEN.to_owned() } else { told }
}

/// Of our words, what stands in double quotes may be a client's, and so may a number of more digits than we write.
fn prose(text: &str, known: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find('"') {
        let quoted = quoted(&rest[begin..]);
        let inner = quoted.trim_matches('"');
        let ours = inner.starts_with("urn:ietf:params:scim:") && has_form_of_a_name(inner) || known(inner);
        out.push_str(&numbers_hidden(&rest[..begin]));
        out.push_str(if ours { quoted } else { HIDDEN });
        rest = &rest[begin + quoted.len()..];
    }
    out.push_str(&numbers_hidden(rest));
    out
}

fn numbers_hidden(text: &str) -> String {
    let is_long = |word: &&str| word.bytes().filter(u8::is_ascii_digit).count() > 15;
    match text.split(' ').any(|word| is_long(&word)) {
        true => text.split(' ').map(|word| if is_long(&word) { HIDDEN } else { word }).collect::<Vec<_>>().join(" "),
        false => text.to_owned(),
    }
}

/// Whether a name says that what it holds is secret.
pub(super) fn is_of_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|secret| name.contains(secret))
}

/// Whether a text is, or has in it, what should be nobody's to read.
pub(super) fn is_secret(text: &str) -> bool {
    layers(text).is_none_or(|layers| layers.iter().any(|one| is_credential(one) || has_scheme(one) || is_told(one)))
}

/// The same, for words of our own, which speak of tokens and schemes.
fn holds_credential(text: &str) -> bool {
    layers(text).is_none_or(|layers| layers.iter().any(|one| is_credential(one)))
}

/// A text, and what it says decoded once and again. None: there is no end to it.
fn layers(text: &str) -> Option<Vec<String>> {
    let mut layers = vec![text.chars().filter(|&c| is_seen(c)).collect::<String>()];
    while let Some(inner) = layers.last().and_then(|last| decoded(last)) {
        if layers.len() > LAYERS {
            return None;
        }
        layers.push(inner);
    }
    Some(layers)
}

/// Percent-encoding undone; none: there is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut any = false;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
                any = true;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    any.then(|| String::from_utf8_lossy(&bytes).chars().filter(|&c| is_seen(c)).collect())
}

/// No control character, and none that is invisible or turns the direction of others.
fn is_seen(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Secrets of this server, JSON Web Tokens, and what is as long and as mixed as only random text is.
fn is_credential(text: &str) -> bool {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let run = |at: usize| text[at..].split(|c| !is_of_token(c)).next().unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let ours = lower.match_indices("rc_").map(|(at, _)| run(at + 3)).any(|run| {
        let lower = run.to_ascii_lowercase();
        KINDS.iter().any(|kind| lower.strip_prefix(kind).is_some_and(|rest| rest.len() >= 4))
            || run.len() >= 20 && run.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
    });
    let signed = text.match_indices("eyJ").any(|(at, _)| run(at).len() >= 12);
    let mixed = text.split(|c: char| !(is_of_token(c) || "+=".contains(c))).any(|run| {
        let has = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
        run.len() >= 40 && has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit)
    });
    ours || signed || mixed
}

/// "Bearer" with anything after it, "Basic" with what may be Base64.
fn has_scheme(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let after = |scheme: &'static str| {
        let text = &text;
        lower.match_indices(scheme).filter_map(move |(at, _)| {
            let whole = !text[..at].ends_with(|c: char| c.is_ascii_alphabetic());
            let rest = &text[at + scheme.len()..];
            let begin = rest.find(|c: char| c.is_ascii_alphanumeric())?;
            (whole && begin > 0).then(|| &rest[begin..])
        })
    };
    let is_base64 = |rest: &str| {
        let word = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c))).next().unwrap_or_default();
        word.len() >= 8
            && (word.contains(|c: char| c.is_ascii_digit() || "+/=".contains(c))
                || word.chars().skip(1).any(|c| c.is_ascii_uppercase()))
    };
    after("bearer").next().is_some() || after("basic").any(is_base64)
}

/// "password=...", "apiToken: ...".
fn is_told(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SECRET.iter().flat_map(|secret| lower.match_indices(secret).map(|(at, _)| at + secret.len())).any(|end| {
        let rest = lower[end..].trim_start_matches(|c: char| c.is_whitespace() || "\"'_s".contains(c));
        rest.strip_prefix([':', '=']).is_some_and(|value| !value.trim().is_empty())
    })
}

/// Words of letters, digits, `$`, `_` and `-`, with dots in between, maybe after a URN. A name of a secret has no digits: the
/// secret may be written behind it.
fn has_form_of_a_name(text: &str) -> bool {
    if text.len() > LONGEST_TEXT || holds_credential(text) {
        return false;
    }
    let urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    let (prefix, last) = match text.rsplit_once(':') {
        Some((prefix, last)) if urn => (prefix, last),
        Some(_) => return false,
        None => ("", text),
    };
    let is_word = |word: &str, more: &str| {
        !word.is_empty() && word.len() <= 64 && word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let prefixed = prefix.is_empty() || !is_of_a_secret(prefix) && prefix.split(':').all(|word| is_word(word, "._-"));
    // The last word of a schema's URN is one, too.
    let named = last.split('.').all(|word| {
        let secret = is_of_a_secret(word) && !word.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        is_word(word, "$_-") && !secret
    });
    let begins = last.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') || !prefix.is_empty();
    prefixed && named && begins
}

enum Token<'a> {
    Word(&'a str),
    /// With its quotes.
    Text(&'a str),
    Mark(char),
}

/// A text in quotes from its beginning, to its end or that of all.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[..=at],
            _ => {}
        }
    }
    text
}

/// The next token of a filter with what is left of it.
fn token(text: &str) -> Option<(Token<'_>, &str)> {
    let first = text.chars().next()?;
    let (token, length) = match first {
        '"' => {
            let text = quoted(text);
            (Token::Text(text), text.len())
        }
        '[' | ']' | '(' | ')' => (Token::Mark(first), 1),
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || "\"[]()".contains(c)).unwrap_or(text.len());
            (Token::Word(&text[..end]), end)
        }
    };
    Some((token, &text[length..]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Name,
    /// After `]`.
    Sub,
    Operator,
    Value,
}

/// What is kept of a filter or path, and whether it names known attributes alone.
fn read(text: &str, known: &dyn Fn(&str) -> bool) -> (String, bool) {
    if is_secret_in_parts(text) {
        return (HIDDEN.to_owned(), false);
    }
    let is_one_of = |words: &[&str], word: &str| words.iter().any(|one| one.eq_ignore_ascii_case(word));
    let (mut out, mut all_known, mut any) = (String::new(), true, false);
    // Whether the attribute of this comparison, and those around it, may be shown.
    let (mut shown, mut around) = (false, Vec::new());
    let mut expected = Expected::Name;
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let gap = trimmed.len() < rest.len() && !out.is_empty() && !trimmed.is_empty();
        let Some((next, after)) = token(trimmed) else { break };
        rest = after;
        out.push_str(if gap { " " } else { "" });
        let whole = around.iter().all(|outer| *outer);
        match next {
            Token::Mark(mark) => {
                out.push(mark);
                match mark {
                    '[' => around.push(shown),
                    ']' => {
                        around.pop();
                    }
                    _ => {}
                }
                expected = match mark {
                    '[' | '(' => Expected::Name,
                    ']' => Expected::Sub,
                    _ => Expected::Operator,
                };
            }
            Token::Word(word) if is_one_of(&LOGIC, word) && expected != Expected::Value => {
                out.push_str(word);
                expected = Expected::Name;
            }
            Token::Word(word) if expected == Expected::Name || expected == Expected::Sub && word.starts_with('.') => {
                let bare = if expected == Expected::Sub { word.trim_start_matches('.') } else { word };
                shown = known(bare) && whole;
                (all_known, any) = (all_known && shown, true);
                out.push_str(if expected == Expected::Sub { "." } else { "" });
                out.push_str(&name(bare));
                expected = Expected::Operator;
            }
            Token::Word(word) if expected == Expected::Operator && is_one_of(&COMPARISONS, word) => {
                out.push_str(word);
                expected = Expected::Value;
            }
            Token::Word(word) if expected == Expected::Operator && word.eq_ignore_ascii_case("pr") => {
                out.push_str(word);
            }
            Token::Word(word) if expected == Expected::Value => {
                out.push_str(&if shown { plain(word) } else { HIDDEN.to_owned() });
                expected = Expected::Operator;
            }
            Token::Text(text) if expected == Expected::Value => {
                out.push_str(&if shown { plain(text) } else { HIDDEN.to_owned() });
                expected = Expected::Operator;
            }
            Token::Word(_) | Token::Text(_) => {
                all_known = false;
                out.push_str(HIDDEN);
            }
        }
        if out.len() > 8 * LONGEST_TEXT {
            break;
        }
    }
    (out, all_known && any)
}

/// A credential that is in no single word of a filter.
fn is_secret_in_parts(text: &str) -> bool {
    layers(text).is_none_or(|layers| layers.iter().any(|one| is_credential(one) || has_scheme(one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "rc_scim_q5kD2vR8mW1xZ7bN4cJ9hT6gF3sL0pYaEuIoQwXrMn1";

    #[test]
    fn a_credential_is_found_wherever_it_stands() {
        let encoded: String = TOKEN.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let twice = encoded.replace('%', "%25");
        let four_times = twice.replace('%', "%2525");
        let torn = format!("{}\u{200b}{}\0{}", &TOKEN[..4], &TOKEN[4..12], &TOKEN[12..]);
        for text in [
            TOKEN,
            &format!("20{TOKEN}"),
            &format!("Bearer_{TOKEN}"),
            &format!("/scim/v2%20{TOKEN}/Users"),
            &format!("x{}", TOKEN.to_uppercase()),
            &encoded,
            &twice,
            &four_times,
            &torn,
            &TOKEN[8..],
            "a.eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJraXQifQ.c2ln",
            "Bearer hunter2",
            "bearer: hunter2",
            "Basic dXNlcjpwYXNz",
            "(basic+dXNlcjpwYXNz)",
            "password=hunter2",
            "\"apiTokens\" : hunter2",
            "rc_access_abcd",
        ] {
            assert_eq!(plain(text), HIDDEN, "{text}");
        }
        for text in [
            "kit@example.com",
            "Basic Users",
            "Forbearer-7",
            "secretary@example.com",
            "arc_welding",
            "2819c223-7f76-453a-919d-413861904646",
            "50% of 20% are %zz",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ] {
            assert_eq!(plain(text), text);
        }
        assert_eq!(plain("a\u{1b}[31mb\r\nc\u{202e}d"), "a[31mbcd");
        assert_eq!(plain(&"x".repeat(900)).len(), LONGEST_TEXT);
    }

    #[test]
    fn names_have_the_form_of_names() {
        for text in [
            "userName",
            "favouriteColour",
            "emails.value",
            "$ref",
            "apiToken",
            "access_token",
            "urn:example:2.0:User:shoe-size",
        ] {
            assert_eq!(name(text), text);
        }
        for text in [
            "",
            "password:hunter2",
            "password=hunter2",
            "passwordhunter2",
            "password-2",
            "a b",
            "urn:password:hunter2:x",
            "1a",
            "x\u{1b}",
        ] {
            assert_eq!(name(text), HIDDEN, "{text}");
        }
        assert_eq!(names("userName, emails,password=x"), "userName,emails,(not kept)");
    }

    fn known(name: &str) -> bool {
        ["username", "emails", "type", "value", "active"].contains(&&*name.to_ascii_lowercase())
    }

    #[test]
    fn a_filter_keeps_what_known_attributes_are_compared_with() {
        let of = |text: &str| expression(text, &known);
        for text in [
            "userName eq \"kit@example.com\"",
            "emails[type eq \"work\" and value co \"x\"].value",
            "not (active eq true) or userName pr",
            "favouriteColour",
        ] {
            assert_eq!(of(text), text);
        }
        for (text, kept) in [
            ("password eq \"X\"", "password eq (not kept)"),
            ("apiToken eq X and active eq true", "apiToken eq (not kept) and active eq true"),
            ("emails[password eq \"X\"].value", "emails[password eq (not kept)].value"),
            ("password[value eq \"X\"]", "password[value eq (not kept)]"),
            ("password=X", "(not kept)"),
            ("userName \"X\"", "userName (not kept)"),
            ("userName eq \"a\" X", "userName eq \"a\" (not kept)"),
            ("userName pr X \"X\"", "userName pr (not kept) (not kept)"),
            ("\"X\"", "(not kept)"),
            ("password eq userName eq \"X\"", "password eq (not kept) eq (not kept)"),
            ("(password) eq \"X\"", "(password) eq (not kept)"),
            ("userName eq \"Bearer X\"", "(not kept)"),
            ("userName eq \"password=X\"", "userName eq (not kept)"),
            ("emails]X[\"X", "emails](not kept)[(not kept)"),
        ] {
            assert_eq!(of(text), kept, "{text}");
        }
        assert!(is_known("emails[type eq \"work\"].value", &known) && is_known("userName", &known));
        for text in ["", "password", "emails[password eq \"x\"]", "emails.value x", "emails x", "\"userName\""] {
            assert!(!is_known(text, &known), "{text}");
        }
    }

    #[test]
    fn what_a_client_was_told_keeps_our_words() {
        let of = |text: &str| told(text, &known);
        for text in [
            "The path `favouriteColour` names no attribute of User. GET /Schemas lists them.",
            "The request carries no credential. Send the SCIM token as: Authorization: Bearer rc_scim_...",
            "say which one is meant, as in `emails[type eq \"work\"].value`.",
            "`schemas` of a PATCH must contain \"urn:ietf:params:scim:api:messages:2.0:PatchOp\".",
        ] {
            assert_eq!(of(text), text);
        }
        assert_eq!(of("The path `password=X` names"), "The path `(not kept)` names");
        assert_eq!(of("The path `a` X `b` names `c"), "The path (not kept)");
        assert_eq!(of("The number 12345678901234567890 of `password`"), "The number (not kept) of `password`");
        assert_eq!(of("The op \"password:X\" of"), "The op (not kept) of");
        assert_eq!(of(&format!("The path `x{TOKEN}` names")), "The path `(not kept)` names");
        assert_eq!(of(&format!("It is {TOKEN}")), HIDDEN);
        assert_eq!(of("a\u{1b}[2Jb"), "a[2Jb");
    }
}
