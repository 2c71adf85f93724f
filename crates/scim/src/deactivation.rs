//! Whether a request takes a user's access away, which goes before other work. What is missed here waits its turn, no more.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::{
    patch::{Op, Operation},
    schema,
};

/// Whether a PATCH of a user takes access away: what comes last decides.
pub fn patch(operations: &[Operation]) -> bool {
    operations.iter().rev().find_map(operation).unwrap_or(false)
}

/// `None`: it says nothing of access.
fn operation(this: &Operation) -> Option<bool> {
    let value = this.value.as_ref();
    match &this.path {
        Some(path) if names_active(path) => Some(this.op == Op::Remove || value.is_some_and(takes_away)),
        Some(_) => None,
        None => {
            let mut named = value.and_then(Value::as_object)?.iter().filter(|(name, _)| names_active(name)).peekable();
            named.peek()?;
            // Under two names it may be said twice, in no order.
            Some(named.all(|(_, value)| takes_away(value)))
        }
    }
}

fn names_active(path: &str) -> bool {
    let name = path.rsplit_once(':').filter(|(urn, _)| urn.eq_ignore_ascii_case(schema::USER)).map_or(path, |p| p.1);
    name.eq_ignore_ascii_case("active")
}

/// null removes the value; old builds of Entra wrap it in an array of one object.
fn takes_away(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.first().and_then(|v| v.get("value")).is_some_and(is_false),
        value => is_false(value),
    }
}

/// Entra sends the text "False".
fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(active) => !active,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// The same question of the body of a PUT, read past everything else.
pub fn body(body: &[u8]) -> bool {
    struct Active(bool);

    impl<'de> Deserialize<'de> for Active {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;

            impl<'de> Visitor<'de> for Members {
                type Value = Active;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a JSON object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Active, A::Error> {
                    let mut deactivates = false;
                    while let Some(name) = map.next_key::<String>()? {
                        if name.eq_ignore_ascii_case("active") {
                            deactivates = is_false(&map.next_value()?);
                        } else {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    Ok(Active(deactivates))
                }
            }

            deserializer.deserialize_map(Members)
        }
    }

    serde_json::from_slice(body).is_ok_and(|Active(deactivates)| deactivates)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_put_that_deactivates_is_told() {
        for body in [
            &br#"{"active":false}"#[..],
            br#"{"userName":"a","Active":"False","x":[1,{"active":true}]}"#,
            br#"{"name":{"active":true},"active":"false"}"#,
        ] {
            assert!(super::body(body), "{}", String::from_utf8_lossy(body));
        }
        for body in [&b"{}"[..], br#"{"active":true}"#, br#"{"x":{"active":false}}"#, br#"{"active":false"#, b"[]", b""]
        {
            assert!(!super::body(body), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_patch_that_deactivates_is_told() {
        let op = |op, path: Option<&str>, value| Operation { op, path: path.map(str::to_owned), value };
        for taken in [
            op(Op::Replace, Some("active"), Some(json!(false))),
            op(Op::Add, Some("ACTIVE"), Some(json!("False"))),
            op(Op::Remove, Some("active"), None),
            op(Op::Replace, None, Some(json!({"active": false}))),
            op(Op::Replace, None, Some(json!({"urn:ietf:params:scim:schemas:core:2.0:User:active": "false"}))),
        ] {
            assert!(patch(std::slice::from_ref(&taken)), "{taken:?}");
        }
        for kept in [
            op(Op::Replace, Some("active"), Some(json!(true))),
            op(Op::Replace, Some("title"), Some(json!(false))),
            op(Op::Replace, None, Some(json!({"title": "active"}))),
            op(Op::Replace, None, Some(json!(false))),
        ] {
            assert!(!patch(std::slice::from_ref(&kept)), "{kept:?}");
        }
        let active = |value: bool| op(Op::Replace, Some("active"), Some(json!(value)));
        let title = op(Op::Replace, Some("title"), Some(json!("x")));
        assert!(patch(&[active(true), active(false), title.clone()]));
        assert!(!patch(&[active(false), active(true), title.clone()]), "no way round the queue");
        assert!(!patch(&[title]) && !patch(&[]));
    }
}
