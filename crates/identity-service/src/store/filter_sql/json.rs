//! Attributes without a column: the search document, `r.search`.

use scim::{
    attr::AttrPath,
    filter::{CompareOp, Filter, Literal},
    schema::{Schema, Type},
};
use store::Backend;
use wire::Refusal;

use super::{
    super::statement::{Statement, Value},
    compare::{Operand, compare},
    join, not, unsupported,
};

/// The document that conditions are on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document {
    pub(super) backend: Backend,
}

/// A JSON expression and a path into it.
#[derive(Clone, Copy, Debug)]
struct Spot<'p> {
    /// `r.search`, or `e.value`: an element of a multi-valued attribute.
    root: &'static str,
    path: &'p [&'p str],
}

const ROOT: &str = "r.search";
const ELEMENT: &str = "e.value";

impl Document {
    pub(super) fn present(self, path: &AttrPath<'_>) -> Statement {
        let names = names(path);
        match path.sub {
            Some(sub) if path.attribute.multi_valued => {
                let inner = self.exists(Spot { root: ELEMENT, path: &[&sub.name] });
                self.any(Spot { root: ROOT, path: &names }, inner)
            }
            Some(sub) => self.exists(Spot { root: ROOT, path: &with(&names, &sub.name) }),
            None => self.exists(Spot { root: ROOT, path: &names }),
        }
    }

    pub(super) fn extension(self, schema: &Schema) -> Statement {
        self.exists(Spot { root: ROOT, path: &[&schema.id] })
    }

    /// `None`: the operator does not go with the type.
    pub(super) fn compare(self, path: &AttrPath<'_>, op: CompareOp, literal: &Literal) -> Option<Statement> {
        let names = names(path);
        let r#type = path.leaf().r#type;
        if path.attribute.multi_valued {
            let inner: &[&str] = match (path.sub, r#type) {
                (Some(sub), _) => &[&sub.name],
                (None, Type::Complex) => &["value"],
                (None, _) => &[],
            };
            let leaf = value_type(path);
            let operand = self.operand(Spot { root: ELEMENT, path: inner }, leaf)?;
            return Some(self.any(Spot { root: ROOT, path: &names }, compare(self.backend, operand, op, literal)?));
        }
        let names = path.sub.map_or_else(|| names.clone(), |sub| with(&names, &sub.name));
        compare(self.backend, self.operand(Spot { root: ROOT, path: &names }, r#type)?, op, literal)
    }

    /// One element satisfies the whole filter, whose paths are below the same attribute.
    pub(super) fn element(self, path: &AttrPath<'_>, filter: &Filter<'_>) -> Result<Statement, Refusal> {
        let names = names(path);
        if path.attribute.multi_valued {
            Ok(self.any(Spot { root: ROOT, path: &names }, self.on_element(ELEMENT, &[], filter)?))
        } else {
            self.on_element(ROOT, &names, filter)
        }
    }

    fn on_element(self, root: &'static str, below: &[&str], filter: &Filter<'_>) -> Result<Statement, Refusal> {
        let all = |terms: &[Filter<'_>]| {
            terms.iter().map(|term| self.on_element(root, below, term)).collect::<Result<Vec<_>, _>>()
        };
        let spot = |path: &AttrPath<'_>| match (path.sub, path.attribute.r#type) {
            (Some(sub), _) => with(below, &sub.name).into_iter().map(str::to_owned).collect::<Vec<_>>(),
            (None, Type::Complex) => with(below, "value").into_iter().map(str::to_owned).collect(),
            (None, _) => below.iter().map(|name| (*name).to_owned()).collect(),
        };
        match filter {
            Filter::And(terms) => Ok(join(all(terms)?, " AND ", true)),
            Filter::Or(terms) => Ok(join(all(terms)?, " OR ", false)),
            Filter::Not(inner) => Ok(not(self.on_element(root, below, inner)?)),
            Filter::Present(path) | Filter::Compare { path, op: CompareOp::Ne, literal: Literal::Null } => {
                let names = spot(path);
                Ok(self.exists(Spot { root, path: &borrowed(&names) }))
            }
            Filter::Compare { path, op: CompareOp::Eq, literal: Literal::Null } => {
                let names = spot(path);
                Ok(not(self.exists(Spot { root, path: &borrowed(&names) })))
            }
            Filter::Compare { path, op, literal } => {
                let names = spot(path);
                let positive = if *op == CompareOp::Ne { CompareOp::Eq } else { *op };
                let compared = self
                    .operand(Spot { root, path: &borrowed(&names) }, value_type(path))
                    .and_then(|operand| compare(self.backend, operand, positive, literal))
                    .ok_or_else(|| unsupported(path))?;
                Ok(if *op == CompareOp::Ne { not(compared) } else { compared })
            }
            Filter::ValuePath { path, .. } => Err(unsupported(path)),
        }
    }

    /// Some element of the array satisfies the condition on `e.value`.
    fn any(self, array: Spot<'_>, condition: Statement) -> Statement {
        let mut any = Statement::new("EXISTS (SELECT 1 FROM ", []);
        any.append(self.elements(array)).push(" WHERE ", []).append(condition).push(")", []);
        any
    }

    /// The elements of an array as a table with alias `e`, none where it is absent.
    fn elements(self, array: Spot<'_>) -> Statement {
        match self.backend {
            Backend::Postgres => Statement::new(
                format!("jsonb_array_elements({} #> CAST(? AS text[])) AS e(value)", array.root),
                [self.path(array.path)],
            ),
            Backend::Sqlite => Statement::new(format!("json_each({}, ?) AS e", array.root), [self.path(array.path)]),
        }
    }

    fn exists(self, spot: Spot<'_>) -> Statement {
        let text = match self.backend {
            Backend::Postgres => format!("({} #> CAST(? AS text[])) IS NOT NULL", spot.root),
            Backend::Sqlite => format!("json_type({}, ?) IS NOT NULL", spot.root),
        };
        Statement::new(text, [self.path(spot.path)])
    }

    /// The value as an expression of its type; `None` for a complex one.
    fn operand(self, spot: Spot<'_>, r#type: Type) -> Option<Operand> {
        let path = || [self.path(spot.path)];
        // json_each gives the values of a simple array as they are, not as JSON.
        let simple = self.backend == Backend::Sqlite && spot.path.is_empty();
        let value = || {
            if simple {
                Statement::new(spot.root, [])
            } else {
                Statement::new(format!("json_extract({}, ?)", spot.root), path())
            }
        };
        let text = || match self.backend {
            Backend::Postgres => Statement::new(format!("({} #>> CAST(? AS text[])) COLLATE \"C\"", spot.root), path()),
            Backend::Sqlite => value(),
        };
        let number = || match self.backend {
            Backend::Postgres => {
                Statement::new(format!("CAST({} #>> CAST(? AS text[]) AS numeric)", spot.root), path())
            }
            Backend::Sqlite => value(),
        };
        Some(match r#type {
            Type::String | Type::Reference | Type::Binary => Operand::Text(text()),
            Type::Boolean => Operand::Boolean(match self.backend {
                Backend::Postgres => {
                    Statement::new(format!("CAST({} #>> CAST(? AS text[]) AS boolean)", spot.root), path())
                }
                Backend::Sqlite => value(),
            }),
            Type::Decimal | Type::Integer => Operand::Number(number()),
            Type::DateTime => Operand::Micros(number()),
            Type::Complex => return None,
        })
    }

    /// What an attribute is sorted by: of a multi-valued one the primary element, else the first.
    pub(super) fn sort_key(self, path: &AttrPath<'_>) -> Option<Operand> {
        let names = names(path);
        let leaf = value_type(path);
        if !path.attribute.multi_valued {
            let names = path.sub.map_or_else(|| names.clone(), |sub| with(&names, &sub.name));
            return self.operand(Spot { root: ROOT, path: &names }, path.leaf().r#type);
        }
        let inner: &[&str] = match (path.sub, path.attribute.r#type) {
            (Some(sub), _) => &[&sub.name],
            (None, Type::Complex) => &["value"],
            (None, _) => &[],
        };
        let value = self.operand(Spot { root: ELEMENT, path: inner }, leaf)?;
        Some(value.map(|value| self.of_chosen_element(value, self.path(&names))))
    }

    /// An expression on `e.value` for the element that a list is sorted by.
    fn of_chosen_element(self, value: Statement, array: Value) -> Statement {
        let mut key = Statement::new("(SELECT ", []);
        key.append(value);
        match self.backend {
            Backend::Postgres => key.push(
                " FROM jsonb_array_elements(r.search #> CAST(? AS text[])) WITH ORDINALITY AS e(value, position) \
                 ORDER BY ((e.value #>> '{primary}') = 'true') IS TRUE DESC, e.position LIMIT 1)",
                [array],
            ),
            Backend::Sqlite => key.push(
                " FROM json_each(r.search, ?) AS e ORDER BY (e.type = 'object' AND json_extract(CASE e.type WHEN 'object' \
                 THEN e.value ELSE '{}' END, '$.primary') = 1) IS TRUE DESC, e.key LIMIT 1)",
                [array],
            ),
        };
        key
    }

    fn path(self, names: &[&str]) -> Value {
        // Names come from schemas and hold neither quotes nor backslashes; they are bound all the same.
        let quoted = |separator: &str| {
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            quoted.join(separator)
        };
        Value::text(match self.backend {
            Backend::Postgres => format!("{{{}}}", quoted(",")),
            Backend::Sqlite if names.is_empty() => "$".to_owned(),
            Backend::Sqlite => format!("$.{}", quoted(".")),
        })
    }
}

/// The type that a comparison is of: a complex attribute stands for its `value`.
fn value_type(path: &AttrPath<'_>) -> Type {
    let leaf = path.leaf();
    match leaf.r#type {
        Type::Complex => leaf.sub_attributes.iter().find(|sub| sub.name == "value").map_or(Type::Complex, |v| v.r#type),
        simple => simple,
    }
}

/// From the document down to the attribute.
fn names<'s>(path: &AttrPath<'s>) -> Vec<&'s str> {
    let extension = path.extension.map(|schema| schema.id.as_str());
    extension.into_iter().chain([path.attribute.name.as_str()]).collect()
}

fn with<'s>(names: &[&'s str], last: &'s str) -> Vec<&'s str> {
    names.iter().copied().chain([last]).collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
