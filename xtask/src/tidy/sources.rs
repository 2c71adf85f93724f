//! Rules about manifests and source files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Lines in a file above which it is to be split by idea.
const LONGEST: usize = 900;

/// Marks of unfinished work. Written in two pieces, or this file would name itself.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimpl", "emented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("// TO", "DO"),
];

/// Complaints about the files of this repository.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for directory in ["crates", "tests", "xtask"].map(|name| root.join(name)) {
        for file in files(&directory, "toml")? {
            if file.file_name().is_some_and(|name| name == "Cargo.toml") {
                complaints.extend(manifest(&shown(root, &file), &read(&file)?));
            }
        }
        for file in files(&directory, "rs")? {
            if file.components().any(|part| part.as_os_str() == "generated") {
                continue;
            }
            complaints.extend(source(&shown(root, &file), &read(&file)?));
        }
    }
    for service in ["identity-service", "token-service"] {
        let schema = format!("crates/{service}/src/store/schema.rs");
        if !fs::read_to_string(root.join(&schema)).is_ok_and(|text| text.contains("table!")) {
            complaints.push(format!("{schema}: each service owns its schema"));
        }
    }
    Ok(complaints)
}

fn manifest(shown: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut section = "";
    let mut lints = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[lints]" && line == "workspace = true" {
            lints = true;
        } else if section.ends_with("dependencies]") && line.contains('=') && !line.starts_with('#') {
            let shared = line.contains(".workspace = true") || line.contains("workspace = true");
            if !shared {
                complaints.push(format!("{shown}: `{line}`: every version stands once, in the root Cargo.toml"));
            }
        }
    }
    if !lints {
        complaints.push(format!("{shown}: needs [lints] workspace = true"));
    }
    complaints
}

fn source(shown: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // A module's tests are described by the module.
    if !text.starts_with("//!") && !shown.ends_with("/tests.rs") {
        complaints.push(format!("{shown}: begins without a module head (//!)"));
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        complaints.push(format!("{shown}: {lines} lines; split it by idea (at most {LONGEST})"));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = UNFINISHED.iter().find(|mark| line.contains(**mark)) {
            complaints.push(format!("{shown}:{}: unfinished ({mark})", number + 1));
        }
    }
    complaints
}

/// All files with this extension, in order.
pub(super) fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_no_version_and_takes_the_lints() {
        let sound = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\nb.workspace = true\n\
                     c = { workspace = true, features = [\"d\"] }\n";
        assert_eq!(manifest("Cargo.toml", sound), Vec::<String>::new());
        let versions = sound.replace("b.workspace = true", "b = \"1\"");
        assert!(manifest("Cargo.toml", &versions)[0].contains("`b = \"1\"`"));
        let dev = sound.replace("[dependencies]", "[dev-dependencies]").replace("b.workspace = true", "b = \"1\"");
        assert_eq!(manifest("Cargo.toml", &dev).len(), 1);
        let lints = sound.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(manifest("Cargo.toml", &lints), ["Cargo.toml: needs [lints] workspace = true"]);
    }

    #[test]
    fn a_source_has_a_head_an_end_and_nothing_unfinished() {
        assert_eq!(source("a.rs", "//! A.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(source("a.rs", "fn a() {}\n").len(), 1);
        assert_eq!(source("a/tests.rs", "fn a() {}\n"), Vec::<String>::new());
        for mark in UNFINISHED {
            assert_eq!(source("a.rs", &format!("//! A.\n{mark}\n")).len(), 1, "{mark}");
        }
        let long = format!("//! A.\n{}", "\n".repeat(LONGEST));
        assert_eq!(source("a.rs", &long).len(), 1);
    }
}
