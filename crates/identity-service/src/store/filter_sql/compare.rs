//! Comparisons of one SQL expression with a literal, by type.

use scim::filter::{CompareOp, Literal};
use store::{Backend, Instant};

use super::{
    super::statement::{Statement, Value},
    always,
};

/// An expression and the type of its value. NULL where the attribute is absent.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// Compared by code points: a column with the collation for it, or one that was given it.
    Text(Statement),
    Boolean(Statement),
    /// A number.
    Number(Statement),
    /// An instant column.
    Instant(Statement),
    /// Microseconds as a number.
    Micros(Statement),
}

impl Operand {
    /// The same type, another expression.
    pub(super) fn map(self, change: impl FnOnce(Statement) -> Statement) -> Self {
        match self {
            Self::Text(e) => Self::Text(change(e)),
            Self::Boolean(e) => Self::Boolean(change(e)),
            Self::Number(e) => Self::Number(change(e)),
            Self::Instant(e) => Self::Instant(change(e)),
            Self::Micros(e) => Self::Micros(change(e)),
        }
    }

    pub(super) fn expression(&self) -> &Statement {
        let (Self::Text(e) | Self::Boolean(e) | Self::Number(e) | Self::Instant(e) | Self::Micros(e)) = self;
        e
    }

    /// The value as text that [`Operand::bound`] reads back without loss.
    pub(super) fn shown(&self, backend: Backend) -> Statement {
        let e = self.expression().clone();
        match (backend, self) {
            (Backend::Postgres, Self::Instant(_)) => {
                with(wrapped("CAST(CAST(extract(epoch FROM ", e), ") * 1000000 AS bigint) AS text)", [])
            }
            (Backend::Sqlite, Self::Number(_)) => {
                let mut shown = wrapped("CASE typeof(", e.clone());
                shown.push(") WHEN 'real' THEN printf('%!.17g', ", []).append(e.clone());
                with(std::mem::take(shown.push(") ELSE CAST(", []).append(e)), " AS TEXT) END", [])
            }
            _ => with(wrapped("CAST(", e), " AS text)", []),
        }
    }

    /// A text made by [`Operand::shown`] as the right side of a comparison; `None`: it was not.
    pub(super) fn bound(&self, text: &str) -> Option<Statement> {
        let integer = || text.parse::<i64>().ok();
        Some(match self {
            Self::Text(_) => Statement::new("?", [Value::text(text)]),
            Self::Number(_) => Statement::new("CAST(? AS numeric)", [Value::text(text)]),
            Self::Boolean(_) => Statement::new("?", [Value::Boolean(matches!(text, "1" | "true"))]),
            Self::Instant(_) => Statement::new("?", [Value::Instant(Instant::from_micros(integer()?))]),
            Self::Micros(_) => Statement::new("?", [Value::Integer(integer()?)]),
        })
    }
}

pub(super) fn present(operand: &Operand) -> Statement {
    with(operand.expression().clone(), " IS NOT NULL", [])
}

/// `None`: this operator does not go with these types. `ne` and null are not handled here.
pub(super) fn compare(backend: Backend, operand: Operand, op: CompareOp, literal: &Literal) -> Option<Statement> {
    match (operand, literal) {
        (Operand::Text(e), Literal::String(text)) => text_compare(backend, e, op, text),
        (Operand::Boolean(e), Literal::Boolean(value)) => {
            (op == CompareOp::Eq).then(|| with(e, " = ?", [Value::Boolean(*value)]))
        }
        (Operand::Number(e), Literal::Number(number)) => {
            let bound = format!(" {} CAST(? AS numeric)", symbol(op)?);
            Some(with(e, &bound, [Value::text(number.to_string())]))
        }
        (Operand::Instant(e), Literal::Instant(micros)) => {
            let bound = format!(" {} ?", symbol(op)?);
            Some(with(e, &bound, [Value::Instant(within(*micros))]))
        }
        (Operand::Micros(e), Literal::Instant(micros)) => {
            let bound = format!(" {} ?", symbol(op)?);
            Some(with(e, &bound, [Value::Integer(*micros)]))
        }
        _ => None,
    }
}

fn text_compare(backend: Backend, e: Statement, op: CompareOp, text: &str) -> Option<Statement> {
    // No stored string holds NUL, and PostgreSQL takes none as a value.
    if text.contains('\0') {
        return matches!(op, CompareOp::Eq | CompareOp::Co | CompareOp::Sw | CompareOp::Ew).then(|| always(false));
    }
    let bound = |text: String| [Value::text(text)];
    Some(match op {
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew if text.is_empty() => with(e, " IS NOT NULL", []),
        CompareOp::Sw => starts_with(e, text),
        CompareOp::Co => match backend {
            Backend::Postgres => with(e, " LIKE ?", bound(format!("%{}%", escaped(text)))),
            // LIKE of SQLite takes no account of ASCII case.
            Backend::Sqlite => with(wrapped("instr(", e), ", ?) > 0", bound(text.to_owned())),
        },
        CompareOp::Ew => match backend {
            Backend::Postgres => with(e, " LIKE ?", bound(format!("%{}", escaped(text)))),
            Backend::Sqlite => {
                let tail = format!(", -{}) = ?", text.chars().count());
                with(wrapped("substr(", e), &tail, bound(text.to_owned()))
            }
        },
        _ => with(e, &format!(" {} ?", symbol(op)?), bound(text.to_owned())),
    })
}

/// A range, so that an index serves it: from the prefix up to what follows all strings that begin with it.
fn starts_with(e: Statement, prefix: &str) -> Statement {
    let mut range = wrapped("(", e.clone());
    range.push(" >= ?", [Value::text(prefix)]);
    if let Some(end) = after_prefix(prefix) {
        range.push(" AND ", []).append(e).push(" < ?", [Value::text(end)]);
    }
    std::mem::take(range.push(")", []))
}

/// The least string above all that begin with the prefix, by code points.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // Surrogates are no characters, so the one after U+D7FF is U+E000.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

/// LIKE with the default escape character.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn symbol(op: CompareOp) -> Option<&'static str> {
    match op {
        CompareOp::Eq => Some("="),
        CompareOp::Gt => Some(">"),
        CompareOp::Ge => Some(">="),
        CompareOp::Lt => Some("<"),
        CompareOp::Le => Some("<="),
        CompareOp::Ne | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => None,
    }
}

/// PostgreSQL holds instants of the years 4713 BC to 294276; what lies outside of 1 to 9999 equals no stored one anyway.
fn within(micros: i64) -> Instant {
    const YEAR_1: i64 = -62_135_596_800_000_000;
    const YEAR_10000: i64 = 253_402_300_800_000_000;
    Instant::from_micros(micros.clamp(YEAR_1, YEAR_10000))
}

fn with(mut e: Statement, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    std::mem::take(e.push(text, values))
}

fn wrapped(before: &'static str, e: Statement) -> Statement {
    std::mem::take(Statement::new(before, []).append(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_range_skips_what_is_no_character() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
    }

    #[test]
    fn wildcards_stand_for_themselves() {
        assert_eq!(escaped(r"50%_\"), r"50\%\_\\");
    }
}
