//! `cargo xtask browser`: the modules that a member's browser loads, from our sources and npm's packages, where
//! `account-keys` embeds them from.
//!
//! Not here: which files those are, and how imports are rewritten (`build.mjs` beside the sources).

use std::{collections::BTreeSet, fs, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::tools::{Workspace, complain, node_modules, run as run_program};

/// An npm package that is among the modules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX.
    pub(crate) licence: String,
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.root.join("crates/account-keys/browser")
}

/// Builds them, and leaves what is fresh alone. Needs Node.js with npm, and what the lock file names.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let directory = directory(workspace);
    node_modules(workspace, &directory)?;
    let mut node = workspace.command("node");
    run_program(node.arg("build.mjs").current_dir(directory), "node build.mjs")
        .context("Node.js 20 or newer is needed (Debian: nodejs npm)")
}

/// Builds them if that is possible here, else says what is missing without them.
pub(crate) fn build_if_possible(workspace: &Workspace) {
    let mut npm = workspace.command("npm");
    let there = npm.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let missing = match there {
        Ok(status) if status.success() => match build(workspace) {
            Ok(()) => return,
            Err(error) => format!("{error:#}"),
        },
        _ => "Node.js 20 or newer with npm is not installed (Debian: nodejs npm)".to_owned(),
    };
    complain(&format!("the browser's modules were not built, so account pages will lack them: {missing}"));
}

/// The packages whose files are among the modules, after [`build`].
pub(crate) fn packages(workspace: &Workspace) -> Result<Vec<Package>> {
    let directory = directory(workspace);
    let read = |name: &str| fs::read_to_string(directory.join(name)).with_context(|| format!("reading {name}"));
    named(&read("dist/manifest.tsv")?, &serde_json::from_str(&read("package-lock.json")?)?)
}

/// By the paths `vendor/NAME@VERSION/..` of the manifest.
fn named(manifest: &str, lock: &Value) -> Result<Vec<Package>> {
    let paths = manifest.lines().filter_map(|line| line.rsplit('\t').next()?.strip_prefix("vendor/"));
    let folders: BTreeSet<&str> = paths
        .map(|path| {
            let scope = if path.starts_with('@') { path.find('/').map_or(0, |slash| slash + 1) } else { 0 };
            let end = path[scope..].find('/').map_or(path.len(), |slash| scope + slash);
            &path[..end]
        })
        .collect();
    let package = |folder: &str| {
        let (name, version) = folder.rsplit_once('@').with_context(|| format!("not a package: {folder}"))?;
        let licence = lock["packages"][format!("node_modules/{name}")]["license"].as_str();
        let licence = licence.with_context(|| format!("package-lock.json names no licence of {name}"))?.to_owned();
        Ok(Package { name: name.to_owned(), version: version.to_owned(), licence })
    };
    folders.into_iter().map(package).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_are_named_once_each_with_their_licence() {
        let manifest = "0a\ttext/javascript\tkeys.mjs\n0b\ttext/javascript\tvendor/@a/b@1.2.3/esm/mod.js\n\
                        0c\ttext/plain\tvendor/@a/b@1.2.3/LICENSE\n0d\ttext/javascript\tvendor/c@4.5.6/index.js\n";
        let lock = json!({"packages": {"node_modules/@a/b": {"license": "MIT"}, "node_modules/c": {"license": "ISC"}}});
        let package = |name: &str, version: &str, licence: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        };
        let found = named(manifest, &lock).expect("packages");
        assert_eq!(found, [package("@a/b", "1.2.3", "MIT"), package("c", "4.5.6", "ISC")]);
        assert!(named(manifest, &json!({})).is_err());
    }
}
