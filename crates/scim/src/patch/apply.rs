//! Operations on a stored form, one after the other.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    Op, Operation, Outcome,
    path::{self, Place, Target},
};
use crate::{
    Error, ErrorKind, Object, ResourceType, dialect, fold, resource,
    resource::value::{
        Notes, check_values, elements, invalid, is_hollow, is_primary, is_stored, is_unassigned, mismatch, normalize,
        once_each, ordered, twice,
    },
    schema::{Attribute, Mutability, Schema, Type},
};

/// Applies all operations in order to a stored resource (see [`crate::resource`]), or none and an error.
///
/// A path that is named must exist (400 `invalidPath`) and be writable (`mutability`); names inside of a value are
/// left out instead, as in POST and PUT. `null` removes. `noTarget`: a `remove` without path, and a filter that
/// selects nothing to replace; a `remove` whose filter selects nothing does nothing, for clients resend. The resource
/// that comes out is checked as [`resource::create`] does.
pub fn apply(rt: &ResourceType, resource: &mut Object, operations: &[Operation]) -> Result<Outcome, Error> {
    let mut patch = Patch { rt, resource: resource.clone(), notes: Notes::default() };
    for operation in operations {
        patch.operation(operation)?;
    }
    let patched = resource::finish(rt, patch.resource, Some(resource))?;
    let changed = patched != *resource;
    *resource = patched;
    Ok(Outcome { changed, ignored: patch.notes.ignored, coerced: patch.notes.coerced })
}

struct Patch<'s> {
    rt: &'s ResourceType,
    resource: Object,
    notes: Notes,
}

impl<'s> Patch<'s> {
    fn operation(&mut self, operation: &Operation) -> Result<(), Error> {
        let value = operation.value.clone();
        let target = match &operation.path {
            Some(path) => path::parse(self.rt, path)?,
            None => Target::Resource,
        };
        if operation.op != Op::Remove && value.is_none() {
            return Err(invalid("An add or replace operation needs a `value`."));
        }
        match target {
            Target::Schemas => Ok(()),
            Target::Place(place) => {
                check_writable(&place, operation.op)?;
                self.write(&place, operation.op, value)
            }
            Target::Extension(schema) => match (operation.op, value) {
                (Op::Remove, _) | (_, None | Some(Value::Null)) => self.remove_extension(schema),
                (op, Some(value)) if is_unassigned(&value) => match op {
                    Op::Replace => self.remove_extension(schema),
                    _ => Ok(()),
                },
                (op, Some(Value::Object(value))) => self.members(Some(schema), op, value),
                (_, Some(value)) => Err(mismatch(&schema.id, "an object", &value)),
            },
            Target::Resource => match (operation.op, value) {
                (Op::Remove, _) => Err(Error::new(
                    ErrorKind::NoTarget,
                    "A remove operation needs a `path`: it says which attribute to remove.",
                )),
                (op, Some(Value::Object(value))) => self.members(None, op, value),
                _ => Err(invalid("Without a `path`, the `value` of an operation must be an object of attributes.")),
            },
        }
    }

    /// The attributes in a value without path, or in that of an extension.
    fn members(&mut self, schema: Option<&'s Schema>, op: Op, value: Object) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for (key, value) in value {
            let name = match schema {
                Some(schema) => format!("{}:{key}", schema.id),
                None => key,
            };
            match path::parse(self.rt, &name) {
                Ok(Target::Place(place)) => {
                    let canonical = place.canonical();
                    if seen.contains(&canonical) {
                        return Err(twice(&canonical));
                    }
                    seen.insert(canonical);
                    if schema.is_none() && name.contains(['.', ':', '[']) {
                        self.notes.coerce(dialect::PATH_AS_KEY);
                    }
                    self.write(&place, op, Some(value))?;
                }
                Ok(Target::Schemas) => {}
                Ok(Target::Resource) if schema.is_none() => match value {
                    Value::Object(value) => self.members(None, op, value)?,
                    value if is_unassigned(&value) => {}
                    value => return Err(mismatch(&self.rt.schema.id, "an object", &value)),
                },
                Ok(Target::Extension(extension)) if schema.is_none() => match value {
                    Value::Object(value) => self.members(Some(extension), op, value)?,
                    value if is_unassigned(&value) => {
                        if op == Op::Replace || value.is_null() {
                            self.remove_extension(extension)?;
                        }
                    }
                    value => return Err(mismatch(&extension.id, "an object", &value)),
                },
                Ok(Target::Extension(_) | Target::Resource) => self.notes.ignore(&name),
                // A key that is a path into an attribute we have is meant; any other unknown name is passed over.
                Err(error) if path::begins_known(self.rt, &name) => return Err(error),
                Err(_) => self.notes.ignore(&name),
            }
        }
        Ok(())
    }

    /// All of it, or nothing where a part cannot be changed.
    fn remove_extension(&mut self, schema: &Schema) -> Result<(), Error> {
        let current = self.resource.get(&schema.id);
        let kept = |a: &&Attribute| {
            a.mutability == Mutability::Immutable && current.is_some_and(|members| members.get(&a.name).is_some())
        };
        if let Some(attribute) = schema.attributes.iter().find(kept) {
            return Err(immutable(&format!("{}:{}", schema.id, attribute.name)));
        }
        self.resource.remove(&schema.id);
        Ok(())
    }

    fn write(&mut self, place: &Place<'s>, op: Op, value: Option<Value>) -> Result<(), Error> {
        let attribute = place.attribute;
        if !is_stored(attribute) || place.sub.is_some_and(|sub| !is_stored(sub)) {
            return Ok(());
        }
        let container = match place.extension {
            None => &mut self.resource,
            Some(schema) => {
                let extension = self.resource.entry(schema.id.clone()).or_insert_with(|| Object::new().into());
                match extension {
                    Value::Object(extension) => extension,
                    _ => return Err(Error::new(ErrorKind::Internal, "The stored resource is damaged.")),
                }
            }
        };
        let current = container.remove(&attribute.name);
        let before = (attribute.mutability == Mutability::Immutable).then(|| current.clone()).flatten();
        let new = match attribute.multi_valued {
            true => multi(place, op, current, value, &mut self.notes)?,
            false => single(place, op, current, value, &mut self.notes)?,
        };
        if before.is_some() && before != new {
            return Err(immutable(&place.canonical()));
        }
        if let Some(new) = new {
            container.insert(attribute.name.clone(), new);
        }
        Ok(())
    }
}

fn immutable(path: &str) -> Error {
    Error::new(ErrorKind::Mutability, format!("`{path}` is immutable: it has a value and cannot be changed."))
}

/// RFC 7644 sections 3.5.2.1 to 3.5.2.3, for a path that the client named.
fn check_writable(place: &Place<'_>, op: Op) -> Result<(), Error> {
    let leaf = place.sub.unwrap_or(place.attribute);
    if [place.attribute, leaf].iter().any(|a| a.mutability == Mutability::ReadOnly) {
        return Err(Error::new(ErrorKind::Mutability, format!("`{}` is readOnly.", place.canonical())));
    }
    if op == Op::Remove && leaf.required && place.selector.is_none() {
        return Err(Error::new(
            ErrorKind::Mutability,
            format!("`{}` is required and cannot be removed. Replace it instead.", place.canonical()),
        ));
    }
    Ok(())
}

fn single(
    place: &Place<'_>,
    op: Op,
    current: Option<Value>,
    value: Option<Value>,
    notes: &mut Notes,
) -> Result<Option<Value>, Error> {
    let attribute = place.attribute;
    let path = place.canonical();
    let value = match (op, value) {
        (Op::Remove, _) | (_, None) => Value::Null,
        (_, Some(value)) => unwrap_array(place.sub.unwrap_or(attribute), value, notes),
    };
    let change = match place.sub {
        Some(sub) => Object::from_iter([(sub.name.clone(), value)]),
        None if is_unassigned(&value) => return Ok(None),
        None if attribute.r#type != Type::Complex => return normalize(attribute, &path, value, notes),
        None => as_object(attribute, &path, value, dialect::COMPLEX_AS_STRING, notes)?,
    };
    let current = match current {
        Some(Value::Object(current)) => current,
        _ => Object::new(),
    };
    Ok(merge(place, current, change, notes)?.map(Value::Object))
}

/// An array of one `{"value": ...}` where there is one value.
fn unwrap_array(leaf: &Attribute, value: Value, notes: &mut Notes) -> Value {
    let Value::Array(mut values) = value else { return value };
    if let [Value::Object(object)] = values.as_mut_slice()
        && let Some(inner) = object.iter().find(|(key, _)| key.eq_ignore_ascii_case("value")).map(|(_, v)| v.clone())
    {
        notes.coerce(dialect::ARRAY_FOR_SINGLE);
        return match leaf.r#type {
            Type::Complex => Value::Object(std::mem::take(object)),
            _ => inner,
        };
    }
    Value::Array(values)
}

/// The value of a complex attribute or element.
fn as_object(
    attribute: &Attribute,
    path: &str,
    value: Value,
    rule: &'static str,
    notes: &mut Notes,
) -> Result<Object, Error> {
    match value {
        Value::Object(object) => Ok(object),
        Value::String(text) if attribute.sub("value").is_some() => {
            notes.coerce(rule);
            Ok(Object::from_iter([("value".to_owned(), Value::String(text))]))
        }
        value => Err(mismatch(path, "an object", &value)),
    }
}

/// Sub-attributes that the change does not name stay, null ones go. A `$ref` goes with the `value` it belonged to.
fn merge(place: &Place<'_>, mut current: Object, change: Object, notes: &mut Notes) -> Result<Option<Object>, Error> {
    let path = match place.extension {
        Some(schema) => format!("{}:{}", schema.id, place.attribute.name),
        None => place.attribute.name.clone(),
    };
    let mut seen: Vec<&str> = Vec::with_capacity(change.len());
    let (mut moved, mut blank) = (false, false);
    for (key, value) in change {
        let Some(sub) = place.attribute.sub(&key) else {
            notes.ignore(&format!("{path}.{key}"));
            continue;
        };
        let path = format!("{path}.{}", sub.name);
        if seen.contains(&sub.name.as_str()) {
            return Err(twice(&path));
        }
        seen.push(&sub.name);
        if !is_stored(sub) {
            continue;
        }
        let sent_blank = value == "";
        let new = normalize(sub, &path, value, notes)?;
        if sub.name == "value" {
            moved = new.as_ref() != current.get("value");
            blank = new.is_none();
            if blank && sent_blank {
                notes.coerce(dialect::BLANK_VALUE);
            }
        }
        match new {
            Some(new) => current.insert(sub.name.clone(), new),
            None => current.remove(&sub.name),
        };
    }
    if moved && !seen.contains(&"$ref") {
        current.remove("$ref");
    }
    Ok(match blank && is_hollow(&current) {
        true => None,
        false => (!current.is_empty()).then(|| ordered(&place.attribute.sub_attributes, current)),
    })
}

fn multi(
    place: &Place<'_>,
    op: Op,
    current: Option<Value>,
    value: Option<Value>,
    notes: &mut Notes,
) -> Result<Option<Value>, Error> {
    let before = match current {
        Some(Value::Array(before)) => before,
        _ => Vec::new(),
    };
    let mut list = match (&place.selector, place.sub) {
        (None, None) => whole(place, op, before, value, notes)?,
        (None, Some(sub)) => in_every(place, sub, op, before, value, notes)?,
        (Some(_), _) => selected(place, op, before, value, notes)?,
    };
    if list.iter().filter(|e| e.promoted).count() == 1 {
        for element in list.iter_mut().filter(|e| !e.promoted && is_primary(&e.value)) {
            element.value["primary"] = Value::Bool(false);
        }
    }
    // Two values that differed may be the same now.
    let list = once_each(place.attribute, list.into_iter().map(|e| e.value).collect());
    check_values(&place.attribute.name, &list)?;
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

struct Element {
    value: Value,
    /// This operation made it the primary one, which demotes the others: RFC 7644 section 3.5.2.
    promoted: bool,
}

impl Element {
    fn kept(value: Value) -> Self {
        Self { value, promoted: false }
    }

    fn changed(old: Option<&Value>, value: Value) -> Self {
        let promoted = is_primary(&value) && !old.is_some_and(is_primary);
        Self { value, promoted }
    }
}

/// `emails`
fn whole(
    place: &Place<'_>,
    op: Op,
    before: Vec<Value>,
    value: Option<Value>,
    notes: &mut Notes,
) -> Result<Vec<Element>, Error> {
    let (attribute, path) = (place.attribute, place.canonical());
    match (op, value) {
        (Op::Remove, None | Some(Value::Null)) | (Op::Replace, None) => Ok(Vec::new()),
        (Op::Remove, Some(value)) => {
            notes.coerce(dialect::REMOVE_BY_VALUE);
            // One by one: several primary ones are no contradiction here.
            let values = match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            let mut gone = Vec::with_capacity(values.len());
            for value in values {
                gone.extend(elements(attribute, &path, Value::Array(vec![value]), notes)?);
            }
            Ok(before
                .into_iter()
                .filter(|e| !gone.iter().any(|g| is_meant(attribute, g, e)))
                .map(Element::kept)
                .collect())
        }
        (Op::Replace, Some(value)) => {
            Ok(elements(attribute, &path, value, notes)?.into_iter().map(Element::kept).collect())
        }
        (Op::Add, value) => {
            let mut list: Vec<Element> = before.into_iter().map(Element::kept).collect();
            for new in elements(attribute, &path, value.unwrap_or_default(), notes)? {
                match list.iter().position(|e| is_same(attribute, &e.value, &new)) {
                    Some(index) => {
                        let old = std::mem::take(&mut list[index].value);
                        list[index] = match (old, new) {
                            (Value::Object(old), Value::Object(new)) => {
                                let merged = merge(place, old.clone(), new, notes)?.unwrap_or_default();
                                Element::changed(Some(&Value::Object(old)), Value::Object(merged))
                            }
                            (old, _) => Element::kept(old),
                        };
                    }
                    None => list.push(Element::changed(None, new)),
                }
            }
            Ok(list)
        }
    }
}

/// Adding `new` to `old` adds nothing: same `value` and no other `type` (RFC 7643 section 2.4), or the same in all.
fn is_same(attribute: &Attribute, old: &Value, new: &Value) -> bool {
    if old.get("value").is_none() || new.get("value").is_none() {
        return old == new;
    }
    let same = |name: &str| equal(attribute, name, old, new);
    same("value") && (same("type") || new.get("type").is_none())
}

/// `given` says which elements to remove: by `value`, and `type` where it says that too; else by all that it says.
fn is_meant(attribute: &Attribute, given: &Value, element: &Value) -> bool {
    let Value::Object(said) = given else { return given == element };
    match said.contains_key("value") {
        true => {
            equal(attribute, "value", given, element)
                && (!said.contains_key("type") || equal(attribute, "type", given, element))
        }
        false => said.keys().all(|name| equal(attribute, name, given, element)),
    }
}

fn equal(attribute: &Attribute, sub: &str, a: &Value, b: &Value) -> bool {
    match (a.get(sub), b.get(sub)) {
        (Some(Value::String(a)), Some(Value::String(b))) if !attribute.sub(sub).is_some_and(|s| s.case_exact) => {
            match a.is_ascii() && b.is_ascii() {
                true => a.eq_ignore_ascii_case(b),
                false => fold(a) == fold(b),
            }
        }
        (a, b) => a == b,
    }
}

/// `emails.value`: clear where there is at most one element.
fn in_every(
    place: &Place<'_>,
    sub: &Attribute,
    op: Op,
    mut before: Vec<Value>,
    value: Option<Value>,
    notes: &mut Notes,
) -> Result<Vec<Element>, Error> {
    let value = match op {
        Op::Remove => Value::Null,
        Op::Add | Op::Replace => unwrap_array(sub, value.unwrap_or_default(), notes),
    };
    if !is_unassigned(&value) && before.len() > 1 {
        return Err(Error::new(
            ErrorKind::InvalidPath,
            format!(
                "`{0}` has {1} values; say which one is meant, as in `{0}[type eq \"work\"].{2}`.",
                place.attribute.name,
                before.len(),
                sub.name
            ),
        ));
    }
    if before.is_empty() {
        before.push(Value::Object(Object::new()));
    }
    let mut list = Vec::with_capacity(before.len());
    for old in before {
        let change = Object::from_iter([(sub.name.clone(), value.clone())]);
        list.extend(changed(place, old, change, notes)?);
    }
    Ok(list)
}

fn changed(place: &Place<'_>, old: Value, change: Object, notes: &mut Notes) -> Result<Option<Element>, Error> {
    let Value::Object(object) = &old else { return Ok(Some(Element::kept(old))) };
    let merged = merge(place, object.clone(), change, notes)?;
    Ok(merged.map(|merged| Element::changed(Some(&old), Value::Object(merged))))
}

/// `emails[type eq "work"]` and `emails[type eq "work"].value`
fn selected(
    place: &Place<'_>,
    op: Op,
    before: Vec<Value>,
    value: Option<Value>,
    notes: &mut Notes,
) -> Result<Vec<Element>, Error> {
    let remove = op == Op::Remove || value.as_ref().is_none_or(is_unassigned);
    if remove && place.sub.is_none() {
        return Ok(before.into_iter().filter(|e| !place.selects(e)).map(Element::kept).collect());
    }
    let change = match (place.sub, value) {
        (Some(sub), value) => {
            let value = if remove { Value::Null } else { unwrap_array(sub, value.unwrap_or_default(), notes) };
            Object::from_iter([(sub.name.clone(), value)])
        }
        (None, Some(Value::Array(mut values))) if values.len() == 1 => {
            as_object(place.attribute, &place.canonical(), values.remove(0), dialect::ELEMENT_AS_STRING, notes)?
        }
        (None, value) => {
            let value = value.unwrap_or_default();
            as_object(place.attribute, &place.canonical(), value, dialect::ELEMENT_AS_STRING, notes)?
        }
    };
    // A replaced element still is what the filter says, unless the value says otherwise.
    let replace_whole = op == Op::Replace && place.sub.is_none();
    let mut found = false;
    let mut list: Vec<Element> = Vec::with_capacity(before.len() + 1);
    for old in before {
        if !place.selects(&old) {
            list.push(Element::kept(old));
            continue;
        }
        let repeated = replace_whole && std::mem::replace(&mut found, true);
        found = true;
        if repeated {
            continue;
        }
        let element = match replace_whole {
            true => merge(place, described(place)?, change.clone(), notes)?
                .map(|new| Element::changed(Some(&old), Value::Object(new))),
            false => changed(place, old, change.clone(), notes)?,
        };
        list.extend(element);
    }
    if !found && !remove {
        let rule = missing(place, op)?;
        if let Some(new) = merge(place, described(place)?, change, notes)? {
            notes.coerce(rule);
            list.push(Element::changed(None, Value::Object(new)));
        }
    }
    Ok(list)
}

/// An element that has what the filter asks for, where an element can have it.
fn described(place: &Place<'_>) -> Result<Object, Error> {
    let mut element = Object::new();
    for (sub, value) in place.selector.as_ref().and_then(|s| s.terms()).unwrap_or_default() {
        let path = format!("{}.{}", place.attribute.name, sub.name);
        if is_stored(sub)
            && let Some(value) = normalize(sub, &path, value, &mut Notes::default())?
        {
            element.insert(sub.name.clone(), value);
        }
    }
    Ok(element)
}

/// The rule by which a missing element is made.
fn missing(place: &Place<'_>, op: Op) -> Result<&'static str, Error> {
    let selector = place.selector.as_ref();
    if op == Op::Add && selector.is_some_and(|s| s.terms().is_some()) {
        return Ok(dialect::ADD_TO_MISSING_ELEMENT);
    }
    if op == Op::Replace && selector.is_some_and(|s| s.canonical_type()) {
        return Ok(dialect::REPLACE_MISSING_ELEMENT);
    }
    Err(Error::new(
        ErrorKind::NoTarget,
        format!(
            "No value of `{}` matches the filter in the path `{}`. Add the value first.",
            place.attribute.name,
            place.canonical()
        ),
    ))
}
