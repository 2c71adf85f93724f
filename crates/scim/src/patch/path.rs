//! PATCH paths, RFC 7644 section 3.5.2: `attribute`, `attribute.sub`, `attribute[filter]`, `attribute[filter].sub`, each
//! with or without URN, and the URN of a whole schema.

use serde_json::Value;

use crate::{
    Error, ErrorKind, ResourceType, attr,
    filter::{self, CompareOp, Filter, Literal},
    fold,
    schema::{Attribute, Schema},
};

/// What a path points to.
pub(super) enum Target<'s> {
    /// The URN of the core schema: the resource itself.
    Resource,
    /// The URN of an extension.
    Extension(&'s Schema),
    /// `schemas`, which follows from the values.
    Schemas,
    Place(Place<'s>),
}

/// An attribute, or a part of it.
pub(super) struct Place<'s> {
    pub(super) extension: Option<&'s Schema>,
    pub(super) attribute: &'s Attribute,
    pub(super) sub: Option<&'s Attribute>,
    /// Only on a multi-valued complex attribute.
    pub(super) selector: Option<Selector<'s>>,
}

/// The value filter in brackets.
pub(super) struct Selector<'s> {
    filter: Filter<'s>,
    pub(super) text: String,
}

impl Place<'_> {
    /// For messages, and to see that two keys mean the same.
    pub(super) fn canonical(&self) -> String {
        let mut text = match self.extension {
            Some(schema) => format!("{}:{}", schema.id, self.attribute.name),
            None => self.attribute.name.clone(),
        };
        if let Some(selector) = &self.selector {
            text.push_str(&format!("[{}]", selector.text));
        }
        if let Some(sub) = self.sub {
            text.push_str(&format!(".{}", sub.name));
        }
        text
    }

    /// Whether the filter, if there is one, selects this element.
    pub(super) fn selects(&self, element: &Value) -> bool {
        match self.selector.as_ref().map(|s| &s.filter) {
            Some(Filter::ValuePath { filter, .. }) => filter::matches_element(filter, element),
            Some(_) => false,
            None => true,
        }
    }
}

impl<'s> Selector<'s> {
    /// What the filter says an element has: its terms, where it is nothing but ANDed `eq`.
    pub(super) fn terms(&self) -> Option<Vec<(&'s Attribute, Value)>> {
        let Filter::ValuePath { filter, .. } = &self.filter else { return None };
        let mut terms = Vec::new();
        collect(filter, &mut literals(&self.text), &mut terms)?;
        Some(terms)
    }

    /// The one term `type eq` a canonical value.
    pub(super) fn canonical_type(&self) -> bool {
        match self.terms().as_deref() {
            Some([(sub, Value::String(value))]) if sub.name == "type" => {
                sub.canonical_values.iter().any(|c| c.eq_ignore_ascii_case(value))
            }
            _ => false,
        }
    }
}

/// Whether a name that is no path begins like one into an attribute of ours: `name.nope`, `emails[`.
pub(super) fn begins_known(rt: &ResourceType, name: &str) -> bool {
    let head = name.split(['.', '[']).next().unwrap_or_default();
    head.len() < name.len() && rt.attribute(head).is_some()
}

fn collect<'s>(filter: &Filter<'s>, literals: &mut Vec<String>, terms: &mut Vec<(&'s Attribute, Value)>) -> Option<()> {
    match filter {
        Filter::And(parts) => parts.iter().try_for_each(|part| collect(part, literals, terms)),
        Filter::Compare { path, op: CompareOp::Eq, literal } => {
            let sub = path.sub.or_else(|| path.attribute.sub("value"))?;
            let value = match literal {
                // No element has an empty value.
                Literal::String(text) if text.is_empty() => return None,
                Literal::String(text) => Value::String(as_written(sub, text, literals)),
                Literal::Boolean(value) => Value::Bool(*value),
                Literal::Number(number) => Value::Number(number.clone()),
                Literal::Instant(_) | Literal::Null => return None,
            };
            terms.push((sub, value));
            Some(())
        }
        _ => None,
    }
}

/// The literal of a filter is folded; values are kept as sent, canonical ones in the schema's spelling.
fn as_written(sub: &Attribute, text: &str, literals: &mut Vec<String>) -> String {
    if let Some(canonical) = sub.canonical_values.iter().find(|c| fold(c) == fold(text)) {
        return canonical.clone();
    }
    match literals.iter().position(|l| l == text || fold(l) == text) {
        Some(index) => literals.remove(index),
        None => text.to_owned(),
    }
}

/// The string literals of a filter, unescaped, in order.
fn literals(filter: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = filter;
    while let Some(start) = rest.find('"') {
        let Some(length) = string_length(&rest[start..]) else { break };
        literals.extend(serde_json::from_str::<String>(&rest[start..start + length]));
        rest = &rest[start + length..];
    }
    literals
}

/// The bytes of the JSON string that `text` begins with, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// Errors: 400 `invalidPath`, and `invalidFilter` for what stands in brackets.
pub(super) fn parse<'s>(rt: &'s ResourceType, text: &str) -> Result<Target<'s>, Error> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(&rt.schema.id) {
        return Ok(Target::Resource);
    }
    if text.eq_ignore_ascii_case("schemas") {
        return Ok(Target::Schemas);
    }
    if let Some(schema) = rt.extension(text) {
        return Ok(Target::Extension(schema));
    }
    let Some((head, rest)) = text.split_once('[') else {
        let path = attr::resolve(rt, text).ok_or_else(|| unknown(rt, text))?;
        return Ok(Target::Place(Place {
            extension: path.extension,
            attribute: path.attribute,
            sub: path.sub,
            selector: None,
        }));
    };
    let path = attr::resolve(rt, head).ok_or_else(|| unknown(rt, head))?;
    if path.sub.is_some() || !path.attribute.multi_valued || path.attribute.sub_attributes.is_empty() {
        return Err(invalid(format!(
            "The path `{}` has a filter, which only multi-valued complex attributes such as `emails` take.",
            shorten(text)
        )));
    }
    let end = closing(rest).ok_or_else(|| invalid(format!("The path `{}` lacks its `]`.", shorten(text))))?;
    let (inner, tail) = (&rest[..end], &rest[end + 1..]);
    let sub = match tail.strip_prefix('.') {
        Some(name) => Some(path.attribute.sub(name).ok_or_else(|| unknown(rt, text))?),
        None if tail.is_empty() => None,
        None => {
            return Err(invalid(format!(
                "In the path `{}` only a sub-attribute can follow `]`, such as `.value`.",
                shorten(text)
            )));
        }
    };
    let filter = filter::parse(rt, &format!("{head}[{inner}]"))?;
    Ok(Target::Place(Place {
        extension: path.extension,
        attribute: path.attribute,
        sub,
        selector: Some(Selector { filter, text: inner.trim().to_owned() }),
    }))
}

/// The first `]` outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let mut index = 0;
    while let Some(byte) = text.as_bytes().get(index) {
        match byte {
            b']' => return Some(index),
            b'"' => index += string_length(&text[index..])?,
            _ => index += 1,
        }
    }
    None
}

fn unknown(rt: &ResourceType, text: &str) -> Error {
    invalid(format!("The path `{}` names no attribute of {}. GET /Schemas lists them.", shorten(text), rt.name,))
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPath, detail)
}

fn shorten(text: &str) -> String {
    // A backtick would end the quotes around it.
    text.chars().take(200).map(|c| if c == '`' { '\'' } else { c }).collect()
}
