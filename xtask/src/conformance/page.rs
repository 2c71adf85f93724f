//! docs/conformance.md as text.

use std::fmt::Write as _;

use super::{
    capabilities::{Capabilities, SOURCE},
    ledger::{Rfc, Row, State},
};

const HEAD: &str = "\
# Conformance

Made by `cargo xtask conformance` from [conformance/](conformance/); do not edit this page.

One row for each occurrence of a keyword in capitals in RFC 7643 sections 2 to 8, RFC 7644 sections 3 to 7 and RFC 9865.
The nine that define the keywords in RFC 9865 section 1.1 are left out. The requirement is told in our own words; the id
links to the section whose text decides.

- **proven**: the test named proves it, on every change.
- **client-side**: asks something of clients or of the people who run them; no server can fulfil it.
- **declined**: deliberately not done, with the reason.
- **unproven**: not shown.
";

/// The whole page.
pub(super) fn render(rfcs: &[Rfc], capabilities: &Capabilities) -> String {
    let mut page = HEAD.to_owned();
    let all = rfcs.iter().flat_map(Rfc::rows);
    let _ = write!(page, "\n{}\n\n", counts(all));
    for rfc in rfcs {
        let _ = writeln!(page, "- RFC {}: {}", rfc.number, counts(rfc.rows()));
    }
    let _ = write!(
        page,
        "\n## Capabilities\n\nFrom the constant that `/ServiceProviderConfig` is made from, in [{}](../{SOURCE}). What \
         depends on one that is off is declined here, too.\n\n",
        SOURCE.rsplit('/').next().unwrap_or(SOURCE)
    );
    for (name, on) in capabilities {
        let depending = rfcs.iter().flat_map(Rfc::rows).filter(|row| row.capability.as_deref() == Some(name)).count();
        let word = if *on { "on" } else { "off" };
        let _ = writeln!(page, "- `{name}`: {word}; {depending} requirements depend on it.");
    }
    for rfc in rfcs {
        let _ = write!(page, "\n## RFC {}\n", rfc.number);
        for section in &rfc.sections {
            let _ = write!(page, "\n### {} {}\n\n", section.number, section.title);
            page.push_str("| Id | Keyword | Requirement | State | Proof or reason |\n|---|---|---|---|---|\n");
            for row in &section.rows {
                let link = format!("https://www.rfc-editor.org/rfc/rfc{}#section-{}", rfc.number, section.number);
                let (id, keyword) = (&row.id, &row.keyword);
                let (requirement, state) = (cell(&row.requirement), row.state.as_str());
                let _ = writeln!(page, "| [{id}]({link}) | {keyword} | {requirement} | {state} | {} |", proof(row));
            }
        }
    }
    page
}

/// "351 requirements: 200 proven, ...".
pub(super) fn counts<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut numbers = State::ALL.map(|state| (state, 0_usize));
    for row in rows {
        for (state, number) in &mut numbers {
            *number += usize::from(*state == row.state);
        }
    }
    let total: usize = numbers.iter().map(|(_, number)| number).sum();
    let each: Vec<String> = numbers.iter().map(|(state, number)| format!("{number} {}", state.as_str())).collect();
    format!("{total} requirements: {}.", each.join(", "))
}

fn proof(row: &Row) -> String {
    let mut parts: Vec<String> = row
        .tests
        .iter()
        .map(|test| {
            let (file, function) = test.split_once("::").unwrap_or((test, test));
            format!("[{function}](../{file})")
        })
        .collect();
    if !row.why.is_empty() {
        parts.push(cell(&row.why));
    }
    parts.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::ledger;

    #[test]
    fn a_row_links_section_and_test_and_counts_stand_before() {
        let text = "## 3.1 Names\n\n7644-3.1-01 MUST | proven | patch\nA | b.\ntest: x/src/y.rs::z\n\n\
                    7644-3.1-02 SHOULD | declined\nC.\nwhy: D.";
        let rfc = ledger::parse("7644", text).unwrap();
        let page = render(&[rfc], &Capabilities::from([("patch".to_owned(), true)]));
        assert!(page.contains("\n2 requirements: 1 proven, 0 client-side, 1 declined, 0 unproven.\n"), "{page}");
        assert!(page.contains("- `patch`: on; 1 requirements depend on it."), "{page}");
        let row = "| [7644-3.1-01](https://www.rfc-editor.org/rfc/rfc7644#section-3.1) | MUST | A \\| b. | proven | \
                   [z](../x/src/y.rs) |\n";
        assert!(page.contains(row), "{page}");
        assert!(page.ends_with("| SHOULD | C. | declined | D. |\n"), "{page}");
    }
}
