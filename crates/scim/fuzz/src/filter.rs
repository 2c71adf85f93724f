//! Filters.

use scim::{
    ErrorKind, Object, ResourceType,
    filter::{self as filters, Filter},
    resource,
};

use crate::{
    check_refusal,
    fixture::{bare_user, group, shown, types, user},
};

/// A filter is refused with its column, or means the same once it was printed, and the same on the search document.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let types = types();
    check(&types.user, text, &[&shown(user()), user(), bare_user()]);
    check(&types.group, text, &[&shown(group()), group()]);
}

fn check(rt: &ResourceType, text: &str, resources: &[&Object]) {
    let filter = match filters::parse(rt, text) {
        Ok(filter) => filter,
        Err(error) => return check_error(text, &error),
    };
    let printed = filter.to_string();
    match filters::parse(rt, &printed) {
        Ok(again) => {
            assert_eq!(again.to_string(), printed, "printed from {text:?}");
            assert_eq!(tree(&again), tree(&filter), "{text:?} is printed as {printed:?}");
        }
        // A short name may stand for a long one, and `emails.primary eq false` for one with brackets.
        Err(error) => assert!(
            printed.len() > filters::MAX_LENGTH || error.detail.contains("levels of nesting"),
            "{text:?} is printed as {printed:?}: {error}"
        ),
    }
    for resource in resources {
        let document = resource::search_document(rt, resource);
        let holds = filters::matches(&filter, resource);
        assert_eq!(filters::matches(&filter, &document), holds, "{text:?} on the search document");
    }
}

/// The tree with every bracket.
fn tree(filter: &Filter<'_>) -> String {
    let all = |name: &str, terms: &[Filter<'_>]| {
        let terms: Vec<String> = terms.iter().map(tree).collect();
        format!("{name}({})", terms.join(", "))
    };
    match filter {
        Filter::And(terms) => all("and", terms),
        Filter::Or(terms) => all("or", terms),
        Filter::Not(inner) => format!("not({})", tree(inner)),
        Filter::Compare { path, op, literal } => format!("{op:?}({}, {literal:?})", path.canonical()),
        Filter::Present(path) => format!("present({})", path.canonical()),
        Filter::ValuePath { path, filter } => format!("{}[{}]", path.canonical(), tree(filter)),
    }
}

fn check_error(text: &str, error: &scim::Error) {
    check_refusal(error);
    assert_eq!(error.kind, ErrorKind::InvalidFilter, "{text:?}: {error}");
    if text.len() > filters::MAX_LENGTH {
        return;
    }
    let digits = error.detail.strip_prefix("Filter, column ").unwrap_or_default();
    let column: usize = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().unwrap_or(0);
    assert!((1..=text.chars().count() + 1).contains(&column), "{text:?}: {error}");
}
