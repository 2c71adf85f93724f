//! Whether a named test exists and runs.

use std::{fs, path::Path};

/// Says what is wrong with `path/to/file.rs::function`, if anything is.
pub(super) fn check(root: &Path, test: &str) -> Option<String> {
    let Some((file, function)) = test.split_once("::") else {
        return Some(format!("`{test}` is not of the form file.rs::function"));
    };
    // Files below src or tests are compiled into a test program; others might be no part of any.
    let part_of_a_program = file.ends_with(".rs") && (file.contains("/src/") || file.contains("/tests/"));
    if !part_of_a_program {
        return Some(format!("{file} is no source file of a crate"));
    }
    let Ok(text) = fs::read_to_string(root.join(file)) else {
        return Some(format!("there is no file {file}"));
    };
    find(&text, function).map(|why| format!("{file}: {why}"))
}

fn find(text: &str, function: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let heads = [format!("fn {function}("), format!("fn {function}<")];
    let is_head = |line: &str| {
        let line = line.trim_start_matches("pub ").trim_start_matches("async ");
        heads.iter().any(|head| line.starts_with(head))
    };
    let found: Vec<usize> = (0..lines.len()).filter(|n| is_head(lines[*n])).collect();
    if found.is_empty() {
        return Some(format!("there is no test `{function}`"));
    }
    let attributes =
        |n: usize| lines[..n].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//")).copied();
    let is_test = |n: usize| attributes(n).any(|line| line == "#[test]" || line.starts_with("#[tokio::test"));
    let tests: Vec<usize> = found.into_iter().filter(|n| is_test(*n)).collect();
    if tests.is_empty() {
        return Some(format!("`{function}` is no test"));
    }
    let ignored = |n: usize| attributes(n).any(|line| line.starts_with("#[ignore") || line.starts_with("#[cfg"));
    tests.into_iter().all(ignored).then(|| format!("`{function}` is not always run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_exists_and_runs() {
        let text = "#[test]\nfn a() {}\n\n// Slow.\n#[tokio::test(flavor = \"multi_thread\")]\n/// About.\nasync fn b() {}\n\
                    fn helper() {}\n#[ignore = \"slow\"]\n#[test]\nfn c() {}\n#[test]\n    fn d(x in 0..9) {}\nfn ab() {}";
        for (name, complaint) in [
            ("a", None),
            ("b", None),
            ("d", None),
            ("c", Some("`c` is not always run")),
            ("helper", Some("`helper` is no test")),
            ("ab", Some("`ab` is no test")),
            ("z", Some("there is no test `z`")),
        ] {
            assert_eq!(find(text, name).as_deref(), complaint, "{name}");
        }
    }

    #[test]
    fn a_test_is_named_with_its_file() {
        let root = crate::source_root().unwrap();
        let here = "xtask/src/conformance/proof.rs";
        assert_eq!(check(&root, &format!("{here}::a_test_is_named_with_its_file")), None);
        for wrong in [here, "x/src/nothing.rs::a", "README.md::a", &format!("{here}::check")] {
            assert!(check(&root, wrong).is_some(), "{wrong}");
        }
    }
}
