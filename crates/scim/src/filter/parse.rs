//! The parser. It keeps its own stack, so that nesting cannot exhaust the thread's.

use serde_json::{Number, Value};

use super::{CompareOp, Filter, Literal, MAX_DEPTH, MAX_LENGTH, MAX_TERMS, instant};
use crate::{
    Error, ErrorKind, ResourceType,
    attr::{self, AttrPath},
    dialect,
    schema::{Attribute, Returned, Type},
};

/// What names resolve against.
#[derive(Clone, Copy)]
pub(super) enum Scope<'s> {
    Resource(&'s ResourceType),
    Element(AttrPath<'s>),
}

enum Open<'s> {
    Start,
    Group { negated: bool },
    Element { path: AttrPath<'s>, outer: Scope<'s> },
}

/// An open bracket and what has been read since.
struct Frame<'s> {
    open: Open<'s>,
    at: usize,
    alternatives: Vec<Filter<'s>>,
    terms: Vec<Filter<'s>>,
}

impl<'s> Frame<'s> {
    fn new(open: Open<'s>, at: usize) -> Self {
        Self { open, at, alternatives: Vec::new(), terms: Vec::new() }
    }

    fn end_alternative(&mut self) {
        let terms = std::mem::take(&mut self.terms);
        if let Some(filter) = and(terms) {
            match filter {
                Filter::Or(inner) => self.alternatives.extend(inner),
                other => self.alternatives.push(other),
            }
        }
    }

    fn finish(&mut self) -> Option<Filter<'s>> {
        self.end_alternative();
        let mut alternatives = std::mem::take(&mut self.alternatives);
        if alternatives.len() > 1 { Some(Filter::Or(alternatives)) } else { alternatives.pop() }
    }
}

fn and(terms: Vec<Filter<'_>>) -> Option<Filter<'_>> {
    let mut flat = Vec::with_capacity(terms.len());
    for term in terms {
        match term {
            Filter::And(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    if flat.len() > 1 { Some(Filter::And(flat)) } else { flat.pop() }
}

struct Parser<'t, 's> {
    text: &'t str,
    at: usize,
    scope: Scope<'s>,
    terms: usize,
}

pub(super) fn filter<'s>(scope: Scope<'s>, text: &str) -> Result<Filter<'s>, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::new(
            ErrorKind::InvalidFilter,
            format!("The filter has {} bytes; at most {MAX_LENGTH} are taken. Split it into several.", text.len()),
        ));
    }
    Parser { text, at: 0, scope, terms: 0 }.run()
}

impl<'t, 's> Parser<'t, 's> {
    fn run(mut self) -> Result<Filter<'s>, Error> {
        let mut stack = vec![Frame::new(Open::Start, 0)];
        loop {
            self.operand(&mut stack)?;
            if let Some(filter) = self.after_operand(&mut stack)? {
                return Ok(filter);
            }
        }
    }

    /// Reads opening brackets and then one term.
    fn operand(&mut self, stack: &mut Vec<Frame<'s>>) -> Result<(), Error> {
        loop {
            self.skip_space();
            let at = self.at;
            if self.eat('(') {
                self.open(stack, Open::Group { negated: false }, at)?;
                continue;
            }
            let word = self.name();
            if word.is_empty() {
                return Err(self.fail(at, "expected an attribute name, `not (` or `(`"));
            }
            if word.eq_ignore_ascii_case("not") {
                self.skip_space();
                if !self.eat('(') {
                    return Err(self.fail(self.at, "expected `(` after `not`"));
                }
                self.open(stack, Open::Group { negated: true }, at)?;
                continue;
            }
            let path = self.resolve(word, at)?;
            let bracket = self.at;
            if self.eat('[') {
                if matches!(self.scope, Scope::Element(_)) {
                    return Err(self.fail(bracket, "`[` cannot stand inside `[`"));
                }
                if path.sub.is_some() || path.attribute.r#type != Type::Complex {
                    let why = format!("`{}` has no sub-attributes; compare it without `[`", path.canonical());
                    return Err(self.fail(at, why));
                }
                self.open(stack, Open::Element { path, outer: self.scope }, bracket)?;
                self.scope = Scope::Element(path);
                continue;
            }
            let term = self.term(path, at)?;
            if let Some(frame) = stack.last_mut() {
                frame.terms.push(term);
            }
            return Ok(());
        }
    }

    /// Reads closing brackets up to the next `and` or `or`. The filter, if that was the end.
    fn after_operand(&mut self, stack: &mut Vec<Frame<'s>>) -> Result<Option<Filter<'s>>, Error> {
        loop {
            let spaced = self.skip_space();
            let at = self.at;
            let Some(next) = self.peek() else { return self.end(stack).map(Some) };
            if matches!(next, ')' | ']') {
                self.at += 1;
                self.close(stack, next, at)?;
                continue;
            }
            let word = self.name();
            let conjunction = word.eq_ignore_ascii_case("and");
            if !spaced || !(conjunction || word.eq_ignore_ascii_case("or")) {
                return Err(self.fail(at, self.what_may_follow(stack, at)));
            }
            if !matches!(self.peek(), Some('(')) && !self.peek().is_some_and(is_space) {
                return Err(self.fail(self.at, format!("expected a space and another comparison after `{word}`")));
            }
            if !conjunction && let Some(frame) = stack.last_mut() {
                frame.end_alternative();
            }
            return Ok(None);
        }
    }

    fn what_may_follow(&self, stack: &[Frame<'s>], at: usize) -> String {
        let close = match stack.last().map(|frame| &frame.open) {
            Some(Open::Group { .. }) => ", `)`",
            Some(Open::Element { .. }) => ", `]`",
            _ => "",
        };
        let hint = if self.text.get(..at).is_some_and(|before| before.trim_end().ends_with(']')) {
            "; what is in `[` `]` is a whole condition: to compare, name a sub-attribute after it, e.g. `].value eq`"
        } else {
            ""
        };
        format!("expected ` and `, ` or `{close} or the end of the filter{hint}")
    }

    fn end(&self, stack: &mut Vec<Frame<'s>>) -> Result<Filter<'s>, Error> {
        match stack.pop() {
            Some(mut frame) if matches!(frame.open, Open::Start) => {
                frame.finish().ok_or_else(|| self.fail(self.at, "the filter is empty"))
            }
            Some(frame) => {
                let bracket = if matches!(frame.open, Open::Element { .. }) { ("[", "]") } else { ("(", ")") };
                let column = self.column(frame.at);
                Err(self.fail(self.at, format!("expected `{}` for the `{}` of column {column}", bracket.1, bracket.0)))
            }
            None => Err(self.fail(self.at, "the filter is empty")),
        }
    }

    fn open(&self, stack: &mut Vec<Frame<'s>>, open: Open<'s>, at: usize) -> Result<(), Error> {
        if stack.len() > MAX_DEPTH {
            return Err(self.fail(at, format!("more than {MAX_DEPTH} levels of nesting; use fewer brackets")));
        }
        stack.push(Frame::new(open, at));
        Ok(())
    }

    fn close(&mut self, stack: &mut Vec<Frame<'s>>, bracket: char, at: usize) -> Result<(), Error> {
        let fits = match stack.last().map(|frame| &frame.open) {
            Some(Open::Group { .. }) => bracket == ')',
            Some(Open::Element { .. }) => bracket == ']',
            _ => false,
        };
        if !fits {
            return Err(self.fail(at, format!("`{bracket}` closes nothing; {}", self.what_may_follow(stack, at))));
        }
        let Some(mut frame) = stack.pop() else { return Ok(()) };
        let Some(inner) = frame.finish() else { return Err(self.fail(at, "nothing between the brackets")) };
        let filter = match frame.open {
            Open::Group { negated: true } => Filter::Not(Box::new(inner)),
            Open::Group { negated: false } | Open::Start => inner,
            Open::Element { path, outer } => {
                let inner = self.element_comparison(path, inner)?;
                self.scope = outer;
                Filter::ValuePath { path, filter: Box::new(inner) }
            }
        };
        if let Some(frame) = stack.last_mut() {
            frame.terms.push(filter);
        }
        Ok(())
    }

    /// `].value eq "x"`: the comparison is on the element that satisfied the brackets.
    fn element_comparison(&mut self, path: AttrPath<'s>, inner: Filter<'s>) -> Result<Filter<'s>, Error> {
        if !self.eat('.') {
            return Ok(inner);
        }
        let at = self.at;
        let word = self.name();
        let sub = self.resolve_in(Scope::Element(path), word, at)?;
        let term = self.term(sub, at)?;
        and(vec![inner, term]).ok_or_else(|| self.fail(at, "nothing between the brackets"))
    }

    /// Reads operator and literal.
    fn term(&mut self, path: AttrPath<'s>, at: usize) -> Result<Filter<'s>, Error> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.fail(at, format!("more than {MAX_TERMS} comparisons; split the filter into several")));
        }
        if path.attribute.returned == Returned::Never || path.leaf().returned == Returned::Never {
            return Err(self.fail(at, format!("`{}` cannot be filtered on", path.canonical())));
        }
        let spaced = self.skip_space();
        let operator_at = self.at;
        let word = self.name();
        if spaced && word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(path));
        }
        let op = CompareOp::ALL.iter().find(|(name, _)| spaced && word.eq_ignore_ascii_case(name)).map(|(_, op)| *op);
        let Some(op) = op else {
            let why = format!(
                "expected a space and an operator after `{}`: eq, ne, co, sw, ew, gt, ge, lt, le or pr",
                path.canonical()
            );
            return Err(self.fail(operator_at, why));
        };
        let path = self.comparable(path, at)?;
        let leaf = path.leaf();
        let allowed: &[CompareOp] = operators(leaf.r#type);
        if !allowed.contains(&op) {
            let names: Vec<_> = allowed.iter().map(|op| op.name()).collect();
            let why =
                format!("`{}` cannot compare `{}`; allowed: {}, pr", op.name(), path.canonical(), names.join(", "));
            return Err(self.fail(operator_at, why));
        }
        // The RFC leaves the space out in one example (section 3.5.2.2), against its own grammar.
        if !self.skip_space() && self.peek() != Some('"') {
            return Err(self.fail(self.at, format!("expected a space and a value after `{}`", op.name())));
        }
        let literal_at = self.at;
        let value = self.literal()?;
        if value.is_null() {
            if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
                return Err(self.fail(literal_at, "null can be compared with eq and ne only"));
            }
            return Ok(Filter::Compare { path, op, literal: Literal::Null });
        }
        let literal = typed(leaf, value).map_err(|expected| {
            self.fail(literal_at, format!("expected {expected} to compare `{}` with", path.canonical()))
        })?;
        if literal == Literal::Boolean(false) && path.sub.is_some_and(|sub| sub.name == "primary") {
            return Ok(self.not_primary(path, op));
        }
        Ok(Filter::Compare { path, op, literal })
    }

    /// RFC 7643 section 2.4: a value that does not say so is not primary. `primary eq false` is `primary ne true`,
    /// which holds for absent ones, too.
    fn not_primary(&self, path: AttrPath<'s>, op: CompareOp) -> Filter<'s> {
        let literal = Literal::Boolean(true);
        let primary = op == CompareOp::Ne;
        if matches!(self.scope, Scope::Element(_)) {
            let op = if primary { CompareOp::Eq } else { CompareOp::Ne };
            return Filter::Compare { path, op, literal };
        }
        let inner = Filter::Compare { path, op: CompareOp::Ne, literal };
        let outer = AttrPath { sub: None, ..path };
        let one = Filter::ValuePath { path: outer, filter: Box::new(inner) };
        if primary { Filter::Not(Box::new(one)) } else { one }
    }

    /// A complex attribute is compared by its `value` (RFC 7643 section 2.4).
    fn comparable(&self, path: AttrPath<'s>, at: usize) -> Result<AttrPath<'s>, Error> {
        if path.leaf().r#type != Type::Complex {
            return Ok(path);
        }
        match (path.sub, path.attribute.sub("value")) {
            (None, Some(value)) => Ok(AttrPath { sub: Some(value), ..path }),
            _ => {
                let name = path.canonical();
                let subs = names(&path.leaf().sub_attributes);
                Err(self.fail(at, format!("`{name}` is complex: compare one of its sub-attributes: {subs}")))
            }
        }
    }

    fn resolve(&self, word: &str, at: usize) -> Result<AttrPath<'s>, Error> {
        self.resolve_in(self.scope, word, at)
    }

    fn resolve_in(&self, scope: Scope<'s>, word: &str, at: usize) -> Result<AttrPath<'s>, Error> {
        let (found, known) = match scope {
            Scope::Resource(rt) => (attr::filterable(rt, word).or_else(|| dialect::filter_attribute(rt, word)), rt),
            Scope::Element(path) => {
                return match path.attribute.sub(word) {
                    Some(sub) => Ok(AttrPath { sub: Some(sub), ..path }),
                    None => {
                        let (outer, subs) = (path.canonical(), names(&path.attribute.sub_attributes));
                        let why = format!("`{outer}` has no sub-attribute `{}`; it has: {subs}", shown(word));
                        Err(self.fail(at, why))
                    }
                };
            }
        };
        found.ok_or_else(|| {
            let why = format!(
                "`{}` is not an attribute of {}; it has: {}, {}",
                shown(word),
                known.name,
                names(&known.common),
                names(&known.schema.attributes)
            );
            self.fail(at, why)
        })
    }

    /// The literal as JSON. Words are taken in any case.
    fn literal(&mut self) -> Result<Value, Error> {
        let at = self.at;
        if self.peek() == Some('"') {
            return self.string();
        }
        let rest = self.text.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| is_space(c) || matches!(c, '(' | ')' | '[' | ']' | '"')).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        self.at += end;
        match word.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => serde_json::from_str::<Number>(word).map(Value::Number).map_err(|_| {
                self.fail(at, "expected a value: a string in double quotes, a number, true, false or null")
            }),
        }
    }

    fn string(&mut self) -> Result<Value, Error> {
        let at = self.at;
        let rest = self.text.get(at..).unwrap_or_default();
        let mut escaped = false;
        let end = rest.bytes().enumerate().skip(1).find_map(|(i, byte)| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes.then_some(i + 1)
        });
        let Some(end) = end else {
            return Err(self.fail(at, "the string has no closing `\"`; inside a string write `\\\"`"));
        };
        let literal = rest.get(..end).unwrap_or_default();
        let text: String = serde_json::from_str(literal).map_err(|_| {
            self.fail(at, "the string is not a JSON string: check its `\\` escapes and control characters")
        })?;
        if text.contains('\0') {
            return Err(self.fail(at, "the string holds NUL, which no value has"));
        }
        self.at += end;
        Ok(Value::String(text))
    }

    fn name(&mut self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '$' | '.' | ':' | '/' | '#')))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Whether there was any.
    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        self.at > start
    }

    fn column(&self, at: usize) -> usize {
        self.text.get(..at).map_or(0, |before| before.chars().count()) + 1
    }

    fn fail(&self, at: usize, why: impl AsRef<str>) -> Error {
        // Says where, and quotes nothing: what stands there may be personal, and details reach logs.
        let end = if at >= self.text.len() { " (its end)" } else { "" };
        Error::new(ErrorKind::InvalidFilter, format!("Filter, column {}{end}: {}.", self.column(at), why.as_ref()))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn operators(of: Type) -> &'static [CompareOp] {
    use CompareOp::{Co, Eq, Ew, Ge, Gt, Le, Lt, Ne, Sw};
    match of {
        Type::String | Type::Reference => &[Eq, Ne, Co, Sw, Ew, Gt, Ge, Lt, Le],
        Type::DateTime | Type::Decimal | Type::Integer => &[Eq, Ne, Gt, Ge, Lt, Le],
        Type::Boolean | Type::Binary => &[Eq, Ne],
        Type::Complex => &[],
    }
}

/// The literal in the attribute's type, or what was expected.
fn typed(attribute: &Attribute, value: Value) -> Result<Literal, &'static str> {
    match (attribute.r#type, value) {
        (Type::String | Type::Reference | Type::Binary, Value::String(text)) => {
            Ok(Literal::String(attribute.compared(&text)))
        }
        (Type::String | Type::Reference | Type::Binary, _) => Err("a string in double quotes"),
        (Type::Boolean, Value::Bool(value)) => Ok(Literal::Boolean(value)),
        // Entra: `roles[primary eq "True"]`.
        (Type::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Literal::Boolean(true)),
        (Type::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Literal::Boolean(false)),
        (Type::Boolean, _) => Err("true or false"),
        (Type::DateTime, Value::String(text)) => {
            instant(&text).map(Literal::Instant).ok_or("a date-time such as \"2026-01-31T08:30:00Z\"")
        }
        (Type::DateTime, _) => Err("a date-time such as \"2026-01-31T08:30:00Z\""),
        (Type::Decimal | Type::Integer, Value::Number(number)) => Ok(Literal::Number(number)),
        (Type::Decimal | Type::Integer, _) => Err("a number"),
        (Type::Complex, _) => Err("a sub-attribute"),
    }
}

fn names(attributes: &[Attribute]) -> String {
    let names: Vec<_> = attributes.iter().filter(|a| a.returned != Returned::Never).map(|a| a.name.as_str()).collect();
    names.join(", ")
}

/// The first characters of what the client wrote, fit for a message.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String =
        text.chars().take(MOST).map(|c| if c.is_control() || c == '`' { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
