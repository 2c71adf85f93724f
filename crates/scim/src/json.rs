//! Strict JSON: bounded depth, no duplicate members, no NUL in strings, no lone surrogates.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::{Error, ErrorKind, Object, numbers};

/// The deepest nesting taken.
pub const MAX_DEPTH: usize = 64;
/// The most values in one body, but for the members of a group: a value of two bytes takes seventy in memory.
pub const MAX_VALUES: usize = 1_000_000;

/// Parses a body that must be one JSON object. 400 `invalidSyntax` names line and column, 400 `invalidValue` the attribute
/// whose number cannot be kept exactly.
pub fn parse_object(body: &[u8]) -> Result<Object, Error> {
    match parse(body)? {
        Value::Object(object) => Ok(object),
        other => Err(Error::new(
            ErrorKind::InvalidSyntax,
            format!("The body must be a JSON object, such as {{\"schemas\": [...]}}, but is {}.", kind(&other)),
        )),
    }
}

/// Parses any one JSON value by the same rules.
pub fn parse(body: &[u8]) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let budget = Budget::default();
    let value = Strict::at(0, &budget).deserialize(&mut deserializer).map_err(|e| unusable(body, &e, syntax))?;
    deserializer.end().map_err(|e| syntax(&e))?;
    numbers::check(body)?;
    Ok(value)
}

/// What is wrong with a body that serde_json refuses: a number that is too large has an attribute's name.
pub(crate) fn unusable(
    body: &[u8],
    error: &serde_json::Error,
    otherwise: impl FnOnce(&serde_json::Error) -> Error,
) -> Error {
    let number = what(error).contains("number").then(|| numbers::check(body).err()).flatten();
    number.unwrap_or_else(|| otherwise(error))
}

/// An error of serde_json as the client sees it.
pub(crate) fn syntax(error: &serde_json::Error) -> Error {
    let what = what(error);
    let detail = if error.is_eof() && error.column() == 0 {
        "The body is empty. Send a JSON object.".to_owned()
    } else {
        format!("The body is not usable JSON at line {}, column {}: {what}.", error.line(), error.column())
    };
    Error::new(ErrorKind::InvalidSyntax, detail)
}

/// What is wrong, without the place.
pub(crate) fn what(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    // serde_json ends its message with " at line L column C".
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.truncate(end);
    text
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Builds a `Value` by the rules of this module; usable for a part of a body.
#[derive(Clone, Copy)]
pub(crate) struct Strict<'b> {
    depth: usize,
    budget: &'b Budget,
}

/// How many values of a body have been read.
#[derive(Default)]
pub(crate) struct Budget(Cell<usize>);

impl<'b> Strict<'b> {
    /// For a value that stands this many levels inside the body.
    pub(crate) fn at(depth: usize, budget: &'b Budget) -> Self {
        Self { depth, budget }
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

/// Reads a value by the same rules, and keeps nothing of it.
pub(crate) struct Unread<'b>(pub(crate) Strict<'b>);

impl<'de> DeserializeSeed<'de> for Unread<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unread<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.visit_f64(value).map(drop)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        storable(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.visit_seq(seq).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map).map(drop)
    }
}

/// PostgreSQL cannot store U+0000.
pub(crate) fn storable<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        return Err(E::custom("a string with the character U+0000, which cannot be stored"));
    }
    Ok(())
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.0.set(self.budget.0.get() + 1);
        if self.budget.0.get() > MAX_VALUES {
            return Err(serde::de::Error::custom(format_args!("more than {MAX_VALUES} values in one body")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // What was rounded on the way here is found by `numbers`.
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        storable(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Object::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(serde::de::Error::custom("a name with the character U+0000, which cannot be stored"));
            }
            if object.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("the member {key:?} stands twice in one object")));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(body: &[u8]) -> String {
        let error = parse_object(body).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidSyntax);
        error.detail
    }

    #[test]
    fn what_is_refused_says_where_and_why() {
        assert!(detail(b"").contains("empty"));
        assert!(detail(b"[]").contains("an array"));
        assert!(detail(b"{\"a\":1,\"a\":2}").contains("twice"));
        assert!(detail(br#"{"a":"\u0000"}"#).contains("U+0000"));
        assert!(detail(br#"{"\u0000":1}"#).contains("U+0000"));
        assert!(detail(br#"{"a":"\ud800"}"#).contains("line 1"));
        assert!(detail(b"{\"a\":\"\xff\"}").contains("line 1"));
        assert!(detail(b"{\"a\":1} x").contains("line 1"));
        assert!(detail(b"{\n\"a\": nope}").contains("line 2"));
    }

    #[test]
    fn nesting_is_bounded_on_a_small_stack() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_object(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(detail(nested(MAX_DEPTH).as_bytes()).contains("64 levels"));
        let bomb = nested(1_000_000);
        std::thread::Builder::new()
            .stack_size(512 * 1024)
            .spawn(move || assert!(parse_object(bomb.as_bytes()).is_err()))
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn values_are_counted() {
        let body = |n: usize| format!("{{\"x\":[{}]}}", vec!["{}"; n].join(","));
        assert!(parse_object(body(MAX_VALUES - 2).as_bytes()).is_ok());
        assert!(detail(body(MAX_VALUES - 1).as_bytes()).contains("1000000 values"));
        assert!(crate::group::parse(body(MAX_VALUES).as_bytes()).is_err());
    }

    #[test]
    fn order_and_spelling_are_kept() {
        let text = r#"{"z":"Ä","a":[1,2.5,true,null,{"k":"v"}]}"#;
        assert_eq!(serde_json::to_string(&parse_object(text.as_bytes()).unwrap()).unwrap(), text);
    }

    /// Stored text is read back again and again.
    #[test]
    fn decimals_do_not_drift() {
        for number in ["12.546870048044417", "0.30000000000000004", "1.5e-7"] {
            let once = parse(number.as_bytes()).unwrap();
            assert_eq!(once.as_f64(), number.parse().ok(), "{number}");
            assert_eq!(parse(once.to_string().as_bytes()).unwrap(), once);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse_object(&bytes);
        }
    }
}
