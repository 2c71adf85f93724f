//! `cargo xtask tidy`: the repository's own rules.
//!
//! Each rule is a function from what was read to a list of complaints, so that a test can show it failing.
//! Not here: what clippy, rustfmt and cargo-deny check.

mod docs;
mod graph;
mod incidents;
mod migrations;
mod sources;
mod tenancy;

use anyhow::{Result, bail};

use crate::tools::{Workspace, complain, say};

/// Fails if a rule is broken, after saying all of them.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut complaints = graph::check(&workspace.metadata)?;
    complaints.extend(sources::check(&workspace.root)?);
    complaints.extend(incidents::check(&workspace.root)?);
    complaints.extend(tenancy::check(&workspace.root)?);
    complaints.extend(migrations::check(&workspace.root)?);
    complaints.extend(docs::check(workspace)?);
    for complaint in &complaints {
        complain(&format!("tidy: {complaint}"));
    }
    if !complaints.is_empty() {
        bail!("{} broken rules, see above", complaints.len());
    }
    say("tidy: every rule holds");
    Ok(())
}
