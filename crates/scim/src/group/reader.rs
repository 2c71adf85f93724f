//! A group body in pieces, as they arrive: the elements of `members` become ids one by one, and only what stands beside
//! them is kept.

use serde_json::Deserializer;
use uuid::Uuid;

use super::{GroupBody, Members, body};
use crate::{Error, ErrorKind, json, numbers};

/// Takes a body piece by piece. Its answer is that of [`super::parse`] on the whole, but that an error names a member
/// instead of line and column.
#[derive(Debug, Default)]
pub struct Reader {
    /// The body without the elements of `members`.
    rest: Vec<u8>,
    state: State,
    /// Of the top-level member that is being read.
    key: Vec<u8>,
    /// The beginning of an element that has not arrived whole.
    element: Vec<u8>,
    members: Option<Members>,
    /// The first number in an element that cannot be kept.
    rounded: Option<Error>,
}

/// Where the next byte stands.
#[derive(Debug, Default)]
struct State {
    place: Place,
    /// Open brackets, in an element those inside of it.
    depth: usize,
    string: bool,
    escape: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Anywhere but in the other places.
    #[default]
    Rest,
    /// Where a top-level member begins, and in its name.
    Key,
    /// After the name, before the first byte of the value.
    Value,
    /// In the elements of `members`.
    Elements,
}

impl Reader {
    /// # Errors
    /// 400 `invalidSyntax` as soon as an element is no JSON. What is wrong elsewhere, [`Reader::finish`] says.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        while !piece.is_empty() {
            let taken = match self.state.place {
                Place::Elements => self.elements(piece)?,
                _ => self.outside(piece),
            };
            piece = piece.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// # Errors
    /// As [`super::parse`].
    pub fn finish(self) -> Result<GroupBody, Error> {
        let (rest, few) = body::read(&self.rest, |error| syntax(error, None))?;
        if let Some(error) = self.rounded {
            return Err(error);
        }
        Ok(GroupBody { rest, members: self.members.or(few).map(Members::checked).transpose()? })
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        let ids = self.members.as_ref().map_or(0, |members| members.ids.capacity() * size_of::<Uuid>());
        self.rest.capacity() + self.element.capacity() + ids
    }

    /// Takes bytes up to the first element of `members`. How many.
    fn outside(&mut self, piece: &[u8]) -> usize {
        let state = &mut self.state;
        let mut taken = 0;
        for &byte in piece {
            taken += 1;
            if state.string {
                state.in_string(byte);
                if state.place == Place::Key {
                    self.key.push(byte);
                }
                continue;
            }
            match (state.place, byte) {
                (Place::Value, b'[') if is_members(&self.key) => {
                    state.place = Place::Elements;
                    state.depth = 0;
                    break;
                }
                (_, b'"') => {
                    state.string = true;
                    if state.place == Place::Key {
                        self.key.push(byte);
                    }
                }
                (Place::Key, b':') => {
                    state.place = Place::Value;
                    continue;
                }
                (_, b'{' | b'[') => state.depth += 1,
                (_, b'}' | b']') => state.depth = state.depth.saturating_sub(1),
                _ => {}
            }
            let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            if state.depth == 1 && (byte == b'{' || byte == b',') {
                state.place = Place::Key;
                self.key.clear();
            } else if state.place == Place::Value && !space {
                state.place = Place::Rest;
            }
        }
        self.rest.extend_from_slice(piece.get(..taken).unwrap_or_default());
        taken
    }

    /// Takes bytes up to the end of an element, or of the array. How many.
    fn elements(&mut self, piece: &[u8]) -> Result<usize, Error> {
        let state = &mut self.state;
        let end = piece.iter().position(|&byte| {
            if state.string {
                state.in_string(byte);
                return false;
            }
            match byte {
                b'"' => state.string = true,
                b'{' | b'[' => state.depth += 1,
                b',' | b']' if state.depth == 0 => return true,
                b'}' | b']' => state.depth = state.depth.saturating_sub(1),
                _ => {}
            }
            false
        });
        let Some(end) = end else {
            self.element.extend_from_slice(piece);
            return Ok(piece.len());
        };
        let (last, found) = (piece.get(end) == Some(&b']'), piece.get(..end).unwrap_or_default());
        let members = self.members.get_or_insert_default();
        let whole = if self.element.is_empty() {
            found
        } else {
            self.element.extend_from_slice(found);
            &self.element
        };
        let empty = last && members.read == 0 && whole.iter().all(u8::is_ascii_whitespace);
        if !empty {
            element(whole, members)?;
            self.rounded = self.rounded.take().or_else(|| numbers::check(whole).err());
        }
        self.element.clear();
        if last {
            self.rest.push(b']');
            *state = State { depth: 1, ..State::default() };
        }
        Ok(end + 1)
    }
}

impl State {
    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escape => self.escape = false,
            b'\\' => self.escape = true,
            b'"' => self.string = false,
            _ => {}
        }
    }
}

/// Whether this is the name `members` in JSON, in any case and with any escapes.
fn is_members(key: &[u8]) -> bool {
    serde_json::from_slice::<String>(key).is_ok_and(|name| name.eq_ignore_ascii_case("members"))
}

fn element(element: &[u8], members: &mut Members) -> Result<(), Error> {
    let number = members.read + 1;
    let mut deserializer = Deserializer::from_slice(element);
    body::element(&mut deserializer, members)
        .and_then(|()| deserializer.end())
        .map_err(|error| json::unusable(element, &error, |error| syntax(error, Some(number))))
}

fn syntax(error: &serde_json::Error, member: Option<usize>) -> Error {
    let what = json::what(error);
    let detail = match member {
        Some(number) => format!("Member {number} of the group is not usable JSON: {what}."),
        None => format!("The body is not usable JSON: {what}."),
    };
    Error::new(ErrorKind::InvalidSyntax, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::group::parse;

    const A: &str = "01920000-0000-7000-8000-00000000000a";
    const B: &str = "01920000-0000-7000-8000-00000000000b";

    fn in_pieces(body: &[u8], size: usize) -> Result<GroupBody, Error> {
        let mut reader = Reader::default();
        body.chunks(size).try_for_each(|piece| reader.push(piece))?;
        reader.finish()
    }

    fn same(body: &[u8], size: usize) {
        let (whole, pieces) = (parse(body), in_pieces(body, size));
        let shown = String::from_utf8_lossy(body);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert_eq!((whole.rest, whole.members), (pieces.rest, pieces.members), "{shown}")
            }
            (Err(whole), Err(pieces)) => assert_eq!(whole.kind, pieces.kind, "{shown}"),
            (whole, pieces) => panic!("{shown}: {whole:?} {pieces:?}"),
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let deep = |n: usize| format!("{{\"members\":{}{}}}", "[".repeat(n), "]".repeat(n));
        let bodies = [
            json!({"displayName": "Ops", "members": [{"value": A, "display": "], \"}\\"}, {"value": B}], "x": [1]})
                .to_string(),
            json!({"members": [{"value": A}, {"value": A}], "externalId": "members"}).to_string(),
            json!({"members": {"value": A}}).to_string(),
            json!({"members": null, "x": {"members": [{"value": A}]}}).to_string(),
            json!({"x": [{"members": [1]}], "members": []}).to_string(),
            json!({"members": [{"value": "nobody"}, 5, "x", null, [1], {"display": "x"}]}).to_string(),
            json!([{"members": [{"value": A}]}]).to_string(),
            format!("{{ \"\\u006dEMBERS\" :\n [ {{\"value\": \"{A}\"}} , {{\"value\":\"{B}\"}} ] , \"a\" : 1 }}"),
            format!("{{\"members\":[{{\"value\":\"{A}\"}}],\"Members\":[{{\"value\":\"{B}\"}}]}}"),
            "{\"members\":[ ]}".to_owned(),
            "{\"members\":[,]}".to_owned(),
            "{\"members\":[{},]}".to_owned(),
            "{\"members\":[{} {}]}".to_owned(),
            "{\"members\":[{]]}".to_owned(),
            "{\"members\":[}]}".to_owned(),
            "{\"members\":[{\"value\":1,\"value\":2}]}".to_owned(),
            "{\"members\":[{\"value\":\"\\u0000\"}]}".to_owned(),
            "{\"members\":[1".to_owned(),
            "{\"members\":[1]".to_owned(),
            "{\"members\":[1]]}".to_owned(),
            "{\"members\":[1]}}".to_owned(),
            "{\"members\":[\"\\\"]\"]}".to_owned(),
            "{\"members\" \"a\":[1]}".to_owned(),
            "{\"a\":\"members\":[]}".to_owned(),
            "{\"members\":1[]}".to_owned(),
            "{,\"members\":[]}".to_owned(),
            "\"members\":[]".to_owned(),
            String::new(),
            deep(30),
            deep(1000),
        ];
        for body in &bodies {
            for size in [1, 2, 3, 7, 64, 100_000] {
                same(body.as_bytes(), size);
            }
        }
    }

    #[test]
    fn an_error_names_the_member() {
        let body = format!("{{\"members\":[{{\"value\":\"{A}\"}},{{\"value\":}}]}}");
        let error = in_pieces(body.as_bytes(), 5).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidSyntax);
        assert!(error.detail.starts_with("Member 2 of the group"), "{}", error.detail);
    }

    #[test]
    fn little_more_than_the_ids_is_held() {
        const COUNT: u128 = 20_000;
        let mut reader = Reader::default();
        reader.push(b"{\"displayName\":\"Ops\",\"members\":[").expect("open");
        for n in 0..COUNT {
            let comma = if n == 0 { "" } else { "," };
            let member = format!("{comma}{{\"value\":\"{}\",\"display\":\"{}\"}}", Uuid::from_u128(n), "x".repeat(100));
            member.as_bytes().chunks(33).for_each(|piece| reader.push(piece).expect("member"));
        }
        reader.push(b"]}").expect("close");
        assert!(reader.held() < 2 * 16 * 20_000, "{}", reader.held());
        let members = reader.finish().expect("a group").members.expect("members");
        assert_eq!(members.len(), 20_000);
    }

    proptest! {
        #[test]
        fn no_pieces_differ_from_the_whole(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\""), Just("\\"), Just(" "),
                    Just("\"members\":["), Just("\"members\""), Just("\"x\":"), Just("1"), Just("null"), Just("\"a\""),
                    Just("{\"value\":\"01920000-0000-7000-8000-00000000000a\"}"),
                ],
                0..14,
            ),
            size in 1_usize..20,
        ) {
            let text = parts.concat();
            same(text.as_bytes(), size);
            same(format!("{{{text}}}").as_bytes(), size);
            same(format!("{{\"members\":[{text}]}}").as_bytes(), size);
        }
    }
}
