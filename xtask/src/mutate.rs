//! `cargo xtask mutate`: takes each tenant predicate out of the identity-service's statements and sees a test fail for it.
//!
//! Not here: the mutants (`identity_service::mutants`) and the suite (`crates/scim-gateway/tests/tenancy`).

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::tools::{Workspace, run as run_program};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let directory = workspace.root.join("target/mutants");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let [seen, killed] = ["service.txt", "killed.txt"].map(|name| directory.join(name));
    for file in [&seen, &killed] {
        if file.exists() {
            fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
        }
    }
    let test = |variables: &[(&str, &Path)], words: &[&str]| {
        let mut test = workspace.cargo();
        test.args(["test", "--locked", "--features", "mutants"]).args(words).envs(variables.iter().copied());
        run_program(&mut test, &format!("cargo test --features mutants {}", words.join(" ")))
    };
    // Which predicates there are: all that the tests of the service send.
    test(&[("ROLLCALL_MUTANTS_SEEN", &seen)], &["--package", "identity-service", "--test", "service"])?;
    // And those that no request reaches.
    let background = ["--package", "identity-service", "--lib", "work_is_told_from_work_without_a_predicate"];
    test(&[("ROLLCALL_MUTANTS_SEEN", &seen), ("ROLLCALL_MUTANTS_KILLED", &killed)], &background)?;
    let variables = [("ROLLCALL_MUTANTS_OF_SERVICE", &*seen), ("ROLLCALL_MUTANTS_KILLED", &*killed)];
    test(&variables, &["--package", "scim-gateway", "--test", "tenancy", "mutants", "--", "--nocapture"])
}
