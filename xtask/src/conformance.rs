//! `cargo xtask conformance`: the ledger of requirements in docs/conformance/, made into docs/conformance.md.
//!
//! Each requirement names the test that proves it; the test must exist and must run. Not here: scim2-tester and
//! scim-sanity, which are suites of `cargo xtask e2e`.

mod capabilities;
mod ledger;
mod page;
mod proof;

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::tools::{Workspace, complain, say};

/// The RFCs and as many keywords as each has in the sections that are covered. Counted in the text of the RFCs; the
/// nine in RFC 9865 section 1.1, which define the keywords, are not among them.
const RFCS: [(&str, usize); 3] = [("7643", 153), ("7644", 179), ("9865", 19)];

const PAGE: &str = "docs/conformance.md";

/// Writes the page, or with `check` only says whether it is fresh.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let root = &workspace.root;
    let capabilities = capabilities::read(root)?;
    let mut complaints = Vec::new();
    let mut rfcs = Vec::new();
    for (number, expected) in RFCS {
        let file = format!("docs/conformance/rfc{number}.txt");
        let text = fs::read_to_string(root.join(&file)).with_context(|| format!("reading {file}"))?;
        let mut rfc = ledger::parse(number, &text).with_context(|| file.clone())?;
        complaints.extend(ledger::check(&rfc, expected));
        for row in rfc.rows() {
            for test in &row.tests {
                complaints.extend(proof::check(root, test).map(|why| format!("{}: {why}", row.id)));
            }
        }
        complaints.extend(rfc.switch_off(&capabilities));
        rfcs.push(rfc);
    }
    for complaint in &complaints {
        complain(&format!("conformance: {complaint}"));
    }
    ensure!(complaints.is_empty(), "{} mistakes in docs/conformance, see above", complaints.len());

    let page = page::render(&rfcs, &capabilities);
    let path = root.join(PAGE);
    if !check {
        fs::write(&path, page).with_context(|| format!("writing {PAGE}"))?;
    } else if fs::read_to_string(&path).ok().as_deref() != Some(&page) {
        bail!("{PAGE} is stale; run `cargo xtask conformance` and commit it");
    }
    say(&format!("conformance: {}", page::counts(rfcs.iter().flat_map(ledger::Rfc::rows))));
    Ok(())
}
