//! `cargo xtask test` and `cargo xtask ci`.
//!
//! Not here: what is checked. The tests, `tidy` and deny.toml say that.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::{
    steps::{NotAvailable, Steps},
    tidy,
    tools::{Workspace, run as run_program},
};

/// Compiled in debug: it runs for seconds, and a release build of it takes minutes.
const CARGO_DENY: &str = "0.20.2";

/// The tests.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("the browser's modules", || crate::browser::build(workspace));
    add_tests(workspace, &mut steps);
    steps.finish("test")
}

/// Everything that must pass before a commit lands.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("the browser's modules", || crate::browser::build(workspace));
    steps.step("format", || workspace.run_cargo(&["fmt", "--all", "--check"]));
    steps.step("generated code is fresh", || crate::codegen(workspace, true));
    steps.step("clippy", || {
        workspace.run_cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "--deny",
            "warnings",
        ])
    });
    steps.step("repository rules (tidy)", || tidy::run(workspace));
    steps.step("conformance ledger is fresh", || crate::conformance::run(workspace, true));
    let deny = workspace.tools_dir().join("bin/cargo-deny");
    steps.step("cargo-deny is installed", || install_cargo_deny(workspace, &deny));
    steps.step("bans, licences and sources", || {
        let mut check = workspace.command(&deny);
        check.args(["--locked", "check", "bans", "licenses", "sources"]);
        run_program(&mut check, "cargo deny check bans licenses sources")
    });
    steps.optional("security advisories", || advisories(workspace, &deny));
    steps.step("documentation", || {
        let mut doc = workspace.cargo();
        doc.env("RUSTDOCFLAGS", "--deny warnings");
        doc.args(["doc", "--locked", "--workspace", "--all-features", "--no-deps"]);
        run_program(&mut doc, "cargo doc --workspace --no-deps")
    });
    add_tests(workspace, &mut steps);
    steps.step("services, SERIALIZABLE with one in ten writes colliding", || {
        services(workspace, "ROLLCALL_TEST_COLLISIONS")
    });
    steps.step("services through pgbouncer in transaction mode", || services(workspace, "ROLLCALL_TEST_PGBOUNCER"));
    steps.step("services, reads too held by row-level security", || services(workspace, "ROLLCALL_TEST_RLS"));
    // Here and below with the features of the whole workspace, so that little is compiled twice.
    steps.step("TLS to PostgreSQL", || {
        let words = ["test", "--locked", "--workspace", "--features", "store/pg-tls", "--test", "tls"];
        let mut test = workspace.cargo();
        // Minutes less than from source, as the release has it.
        if installed("openssl") {
            test.env("OPENSSL_NO_VENDOR", "1");
        }
        run_program(test.args(words), &format!("cargo {}", words.join(" ")))
    });
    steps.step("docker-compose.yml against the Compose schema", || {
        workspace.run_cargo(&["test", "--locked", "--workspace", "--test", "compose", "--", "--ignored"])
    });
    steps.finish("ci")
}

fn add_tests(workspace: &Workspace, steps: &mut Steps) {
    steps.step("tests of the workspace, on SQLite and PostgreSQL", || {
        workspace.run_cargo(&["test", "--locked", "--workspace"])
    });
}

/// Whether a C library can be linked.
fn installed(library: &str) -> bool {
    let found = std::process::Command::new("pkg-config").args(["--exists", library]).status();
    found.is_ok_and(|status| status.success())
}

/// The suites that reach a database, in one of the modes of `testkit::postgres`.
fn services(workspace: &Workspace, mode: &str) -> Result<()> {
    let words = [
        "test",
        "--locked",
        "--workspace",
        "--test",
        "both",
        "--test",
        "service",
        "--test",
        "tokens",
        "--test",
        "tenancy",
    ];
    let mut test = workspace.cargo();
    // A number, because one of the modes takes a seed.
    run_program(test.env(mode, "1").args(words), &format!("{mode}=1 cargo {}", words.join(" ")))
}

fn install_cargo_deny(workspace: &Workspace, deny: &Path) -> Result<()> {
    let version = |program: &Path| -> Option<String> {
        let output = std::process::Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if version(deny).is_some_and(|found| found.ends_with(CARGO_DENY)) {
        return Ok(());
    }
    let root: PathBuf = workspace.tools_dir();
    let mut install = workspace.cargo();
    install.args(["install", "cargo-deny", "--locked", "--debug", "--quiet", "--force", "--version", CARGO_DENY]);
    // Its own target directory: nothing of the product's build is invalidated.
    install.arg("--root").arg(&root).arg("--target-dir").arg(root.join("build"));
    run_program(&mut install, &format!("cargo install cargo-deny --version {CARGO_DENY}"))?;
    ensure!(deny.exists(), "cargo-deny was installed, but not as {}", deny.display());
    Ok(())
}

/// The database of advisories is fetched from its own repository, which not every build machine may reach.
fn advisories(workspace: &Workspace, deny: &Path) -> Result<Result<(), NotAvailable>> {
    let fetch = workspace.command(deny).args(["--locked", "fetch", "db"]).output()?;
    if !fetch.status.success() {
        let said = String::from_utf8_lossy(&fetch.stderr);
        let telling = |line: &&str| line.starts_with("fatal:") || line.contains("ERROR");
        let why = said.lines().rfind(telling).unwrap_or("no reason given").trim().to_owned();
        return Ok(Err(NotAvailable(format!("the advisory database cannot be fetched: {why}"))));
    }
    let mut check = workspace.command(deny);
    check.args(["--locked", "check", "--disable-fetch", "advisories"]);
    run_program(&mut check, "cargo deny check advisories").map(Ok)
}
