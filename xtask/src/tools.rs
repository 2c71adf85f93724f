//! The workspace and the programs that tasks start.
//!
//! Not here: what the programs are started for.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

/// Where things are.
pub(crate) struct Workspace {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// All packages, resolved.
    pub(crate) metadata: Metadata,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = crate::source_root().context("xtask has no parent directory")?;
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .other_options(["--locked".to_owned()])
            .exec()
            .context("reading the workspace; is Cargo.lock up to date?")?;
        Ok(Self { target: metadata.target_directory.clone().into_std_path_buf(), root, metadata })
    }

    /// A command that runs in the repository.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this task.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What `cargo run` tells this program of its own package: ring, and all above it, would be compiled anew whenever
        // cargo is called now by a task and now by hand.
        for (name, _) in std::env::vars_os() {
            let own =
                name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
            if own {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// Runs `cargo` with these words.
    pub(crate) fn run_cargo(&self, words: &[&str]) -> Result<()> {
        let mut command = self.cargo();
        command.args(words);
        run(&mut command, &format!("cargo {}", words.join(" ")))
    }

    /// Builds the product's binary and says where it is.
    pub(crate) fn build_rollcall(&self, release: bool) -> Result<PathBuf> {
        let words: &[&str] = if release {
            &["build", "--locked", "--package", "rollcall", "--release"]
        } else {
            &["build", "--locked", "--package", "rollcall"]
        };
        self.run_cargo(words)?;
        Ok(self.target.join(if release { "release" } else { "debug" }).join("rollcall"))
    }

    /// Builds one of the programs that work on the product's binary. `--test` has cargo choose features as `cargo test
    /// --workspace` does, so that after the tests little is left to compile.
    pub(crate) fn build_beside(&self, program: &str) -> Result<()> {
        self.run_cargo(&["build", "--locked", "--workspace", "--bin", program, "--test", "compose"])
    }

    /// Where installed helpers are kept.
    pub(crate) fn tools_dir(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// Runs a command whose output the reader should see.
pub(crate) fn run(command: &mut Command, name: &str) -> Result<()> {
    say(&format!("$ {name}"));
    let status = command.status().with_context(|| format!("{name} cannot be started"))?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}

/// `python3` of a virtual environment that holds exactly what this list names, made anew when the list changes.
pub(crate) fn python(workspace: &Workspace, requirements: &Path) -> Result<PathBuf> {
    let environment = workspace.tools_dir().join("python");
    let python = environment.join("bin/python");
    let stamp = environment.join("requirements.txt");
    let wanted = std::fs::read(requirements).with_context(|| format!("reading {}", requirements.display()))?;
    if python.exists() && std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if environment.exists() {
        std::fs::remove_dir_all(&environment)?;
    }
    let mut venv = workspace.command("python3");
    run(venv.args(["-m", "venv"]).arg(&environment), "python3 -m venv")
        .context("Python 3.11 or newer with venv is needed (Debian: python3-venv)")?;
    let mut pip = workspace.command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement"]);
    run(pip.arg(requirements), "pip install --require-hashes")?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

/// Makes `node_modules` of a directory what its lock file says, anew when that changes.
pub(crate) fn node_modules(workspace: &Workspace, directory: &Path) -> Result<()> {
    let lock = directory.join("package-lock.json");
    let stamp = directory.join("node_modules/.installed");
    let wanted = std::fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = workspace.command("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(directory);
    run(&mut npm, "npm ci").context("Node.js 20 or newer with npm is needed (Debian: nodejs npm)")?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

/// A line on standard output.
pub(crate) fn say(line: &str) {
    // A closed pipe is no reason to stop a task.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
