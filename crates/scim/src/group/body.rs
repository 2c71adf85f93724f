//! A group body, read as a stream.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::{GroupBody, Members, id};
use crate::{
    Error, Object,
    json::{self, Budget, Strict, Unread},
    numbers,
};

pub(super) fn parse(body: &[u8]) -> Result<GroupBody, Error> {
    let (rest, members) = read(body, json::syntax)?;
    Ok(GroupBody { rest, members: members.map(Members::checked).transpose()? })
}

/// The two parts of a body, the members unchecked.
pub(super) fn read(
    body: &[u8],
    syntax: impl Fn(&serde_json::Error) -> Error,
) -> Result<(Object, Option<Members>), Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parts = deserializer.deserialize_map(Body).map_err(|error| json::unusable(body, &error, &syntax))?;
    deserializer.end().map_err(|error| syntax(&error))?;
    numbers::check(body)?;
    Ok(parts)
}

/// One element of `members`.
pub(super) fn element<'de, D: Deserializer<'de>>(deserializer: D, members: &mut Members) -> Result<(), D::Error> {
    Element(members).deserialize(deserializer)
}

struct Body;

impl<'de> Visitor<'de> for Body {
    type Value = (Object, Option<Members>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object such as {\"schemas\": [...]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut rest, mut members, mut names) = (Object::new(), None, HashSet::new());
        let budget = Budget::default();
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(A::Error::custom("a name with the character U+0000, which cannot be stored"));
            }
            if !names.insert(key.to_ascii_lowercase()) {
                return Err(A::Error::custom(format_args!("the member {key:?} stands twice in one object")));
            }
            if key.eq_ignore_ascii_case("members") {
                let mut found = Members::default();
                map.next_value_seed(List(&mut found))?;
                members = Some(found);
            } else {
                let value = map.next_value_seed(Strict::at(1, &budget))?;
                rest.insert(key, value);
            }
        }
        Ok((rest, members))
    }
}

/// The value of `members`.
struct List<'m>(&'m mut Members);

/// One of its elements.
struct Element<'m>(&'m mut Members);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What is neither an array nor an object.
macro_rules! scalars {
    ($self:ident => $then:expr; $($name:ident: $type:ty),+) => {
        $(fn $name<E>($self, _: $type) -> Result<(), E> {
            $then;
            Ok(())
        })+
    };
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of members")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    scalars!(self => self.0.not_a_list = true; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Element(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        // OneLogin templates: one object instead of an array.
        Element(self.0).visit_map(map)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(None);
        Ok(())
    }

    scalars!(self => self.0.push(None); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let budget = Budget::default();
        while seq.next_element_seed(Strict::at(3, &budget))?.is_some() {}
        self.0.push(None);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Its own: a group may have any number of members, and what is read of one is let go.
        let budget = Budget::default();
        let mut value: Option<Given> = None;
        let mut seen: Vec<Name> = Vec::new();
        while let Some(name) = map.next_key_seed(Named)? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!(
                    "the member {:?} stands twice in one object",
                    name.as_str()
                )));
            }
            if matches!(name, Name::Known("value")) {
                value = Some(map.next_value_seed(Given::of(&budget))?);
            } else {
                map.next_value_seed(Unread(Strict::at(3, &budget)))?;
            }
            seen.push(name);
        }
        match value {
            None => self.0.push(None),
            Some(Given::Id(id)) => self.0.take(id),
            Some(Given::Other(value)) => self.0.push(Some(&value)),
        }
        Ok(())
    }
}

/// A sub-attribute's name in lower case.
#[derive(PartialEq)]
enum Name {
    Known(&'static str),
    Other(String),
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Other(name) => name,
        }
    }
}

struct Named;

impl<'de> DeserializeSeed<'de> for Named {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Named {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
        json::storable(name)?;
        let known = ["value", "display", "$ref", "type"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
        Ok(known.map_or_else(|| Name::Other(name.to_ascii_lowercase()), Name::Known))
    }
}

/// What stands as `value`.
enum Given {
    Id(Uuid),
    Other(Value),
}

impl Given {
    fn of<'b>(budget: &'b Budget) -> GivenSeed<'b> {
        GivenSeed(Strict::at(3, budget))
    }
}

struct GivenSeed<'b>(Strict<'b>);

impl<'de> DeserializeSeed<'de> for GivenSeed<'_> {
    type Value = Given;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Anything but an id.
macro_rules! others {
    ($($name:ident: $type:ty),+) => {
        $(fn $name<E: serde::de::Error>(self, value: $type) -> Result<Given, E> {
            self.0.$name(value).map(Given::Other)
        })+
    };
}

impl<'de> Visitor<'de> for GivenSeed<'_> {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    others!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_unit<E: serde::de::Error>(self) -> Result<Given, E> {
        self.0.visit_unit().map(Given::Other)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Given, E> {
        match id(text) {
            Some(id) => Ok(Given::Id(id)),
            None => self.0.visit_str(text).map(Given::Other),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Given, A::Error> {
        self.0.visit_seq(seq).map(Given::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Given, A::Error> {
        self.0.visit_map(map).map(Given::Other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    const A: &str = "01920000-0000-7000-8000-00000000000a";
    const B: &str = "01920000-0000-7000-8000-00000000000b";

    fn members(value: &Value) -> Result<Option<Vec<String>>, Error> {
        let body = json!({"displayName": "Ops", "Members": value}).to_string();
        let parsed = parse(body.as_bytes())?;
        assert_eq!(Value::Object(parsed.rest), json!({"displayName": "Ops"}));
        Ok(parsed.members.map(|ids| ids.iter().map(Uuid::to_string).collect()))
    }

    #[test]
    fn members_become_ids() {
        for (value, expected) in [
            (json!(null), vec![]),
            (json!([]), vec![]),
            (json!({"value": A}), vec![A]),
            (json!([{"value": A, "display": null, "$ref": {"x": [1]}}, {"VALUE": B}, {"value": A}]), vec![A, B]),
            (json!([{"value": A.to_uppercase()}]), vec![A]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(members(&value), Ok(Some(expected)), "{value}");
        }
        assert_eq!(parse(b"{}").map(|body| body.members), Ok(None));
    }

    #[test]
    fn unusable_members_are_named() {
        let detail = |value: Value| {
            let error = members(&value).expect_err("refused");
            assert_eq!(error.kind, ErrorKind::InvalidValue, "{value}");
            error.detail
        };
        let many: Vec<_> = (1..=12).map(|i| json!({"value": format!("u{i}")})).chain([json!({"value": A})]).collect();
        let text = detail(Value::Array(many));
        assert!(text.contains("\"u10\" and 2 more") && !text.contains("u11"), "{text}");
        assert!(detail(json!([{"value": 5}])).contains('5'));
        assert!(detail(json!([{"value": A.replace('-', "")}])).contains("ids"));
        for element in [json!({"display": "x"}), json!({"value": null}), json!("x"), json!(null), json!([1]), json!(2)]
        {
            assert!(detail(json!([{"value": A}, element])).contains("Member 2 of 2"));
        }
        for list in [json!("x"), json!(true), json!(1), json!(-1), json!(1.5)] {
            assert!(detail(list).contains("array"));
        }
    }

    #[test]
    fn the_rest_is_strict() {
        for body in [
            &br#"{"displayName":"a","displayname":"b"}"#[..],
            br#"{"members":[],"Members":[]}"#,
            br#"{"members":[{"value":null,"Value":null}]}"#,
            br#"{"displayName":"\u0000"}"#,
            br#"{"\u0000":1}"#,
            br#"{"x":{"a":1,"a":2}}"#,
            br#"{"members":["#,
            b"[]",
            b"",
            b"{} x",
        ] {
            let error = parse(body).expect_err("refused");
            assert_eq!(error.kind, ErrorKind::InvalidSyntax, "{}", String::from_utf8_lossy(body));
        }
        let deep = |n: usize, key: &str| format!("{{\"{key}\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(json::MAX_DEPTH - 1, "x").as_bytes()).is_ok());
        assert!(parse(deep(json::MAX_DEPTH, "x").as_bytes()).is_err());
        assert!(parse(deep(1_000_000, "members").as_bytes()).is_err());
    }
}
