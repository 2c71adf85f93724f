//! docs/incidents.md names tests that exist.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};

const PAGE: &str = "docs/incidents.md";

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    let mut known = BTreeSet::new();
    for file in super::sources::files(&root.join("crates"), "rs")? {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        known.extend(functions(&text));
    }
    Ok(complaints(&page, |name| known.contains(name)))
}

fn functions(text: &str) -> Vec<String> {
    let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('(').map(|(name, _)| name));
    names.filter(|name| is_name(name)).map(str::to_owned).collect()
}

fn is_name(text: &str) -> bool {
    text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn complaints(page: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")) {
        let (number, test) = (row.split('|').nth(1).unwrap_or_default(), row.rsplit('|').nth(1).unwrap_or_default());
        let names: Vec<&str> = test.split('`').skip(1).step_by(2).filter(|name| is_name(name)).collect();
        if names.is_empty() && !["issue", "cargo "].iter().any(|word| test.contains(word)) {
            all.push(format!("{PAGE}: row{number}names neither a test nor the issue that brings one"));
        }
        let missing = names.into_iter().filter(|name| !exists(name));
        all.extend(missing.map(|name| format!("{PAGE}: row{number}names `{name}`, which is no test")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_a_test_that_exists_or_an_issue() {
        let page = "| # | incident | what | test |\n|---|---|---|---|\n| 1 | a | b | `a_test` in crates |\n\
                    | 2 | a | b | with the console: issue 6 |\n";
        assert_eq!(complaints(page, |name| name == "a_test"), Vec::<String>::new());
        assert_eq!(complaints(page, |_| false).len(), 1);
        assert_eq!(complaints("| 3 | a | b | later |\n", |_| true).len(), 1);
        assert_eq!(functions("async fn a_test() {}\nfn b() {}"), ["a_test"]);
    }
}
