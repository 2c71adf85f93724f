//! `cargo xtask bench`: builds the binary and the package `bench`, then hands over to it.

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::tools::{Workspace, run as run_program};

/// Everything but `--build` is for the package `bench`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// [--build release|measure|dev] and what the package `bench` takes, see --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// A profile of Cargo.toml and the directory that it builds into.
const PROFILES: [(&str, &str); 3] = [("release", "release"), ("measure", "measure"), ("dev", "debug")];

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let (profile, words) = profile(&options.words)?;
    let directory = PROFILES.iter().find(|(name, _)| *name == profile).map(|(_, directory)| *directory);
    let directory = directory.with_context(|| format!("--build {profile}: it is release, measure or dev"))?;
    // One after the other: built together, each would get the features that the other one needs.
    workspace.run_cargo(&["build", "--locked", "--profile", &profile, "--package", "rollcall"])?;
    if profile == "dev" {
        workspace.build_beside("bench")?;
    } else {
        workspace.run_cargo(&["build", "--locked", "--profile", &profile, "--package", "bench"])?;
    }
    let built = workspace.target.join(directory);
    let mut bench = workspace.command(built.join("bench"));
    bench.arg("--rollcall").arg(built.join("rollcall")).arg("--root").arg(&workspace.root);
    bench.arg("--target").arg(&workspace.target).args(["--built", &profile]).args(&words);
    run_program(&mut bench, &format!("bench {}", words.join(" ")))
}

/// The profile that is asked for, and the other words. Figures are of the release; a profile needs names of functions, and
/// a quick run builds quickly.
fn profile(words: &[String]) -> Result<(String, Vec<String>)> {
    let (mut profile, mut others) = (None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--build" {
            let Some(name) = words.next() else { bail!("--build needs release, measure or dev") };
            profile = Some(name.clone());
        } else if let Some(name) = word.strip_prefix("--build=") {
            profile = Some(name.to_owned());
        } else {
            others.push(word.clone());
        }
    }
    let asked = |flag: &str| others.iter().any(|word| word.split('=').next() == Some(flag));
    let default = if asked("--profile") {
        "measure"
    } else if asked("--quick") || asked("--help") || asked("-h") {
        "dev"
    } else {
        "release"
    };
    Ok((profile.unwrap_or_else(|| default.to_owned()), others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart(text: &str) -> (String, Vec<String>) {
        profile(&text.split(' ').map(str::to_owned).collect::<Vec<_>>()).expect("taken apart")
    }

    #[test]
    fn the_profile_is_taken_out_wherever_it_stands() {
        let others = ["--form", "sqlite"].map(str::to_owned).to_vec();
        assert_eq!(taken_apart("--form sqlite --build measure"), ("measure".to_owned(), others.clone()));
        assert_eq!(taken_apart("--build=dev --form sqlite"), ("dev".to_owned(), others.clone()));
        assert_eq!(taken_apart("--form sqlite"), ("release".to_owned(), others));
        assert_eq!(taken_apart("--quick").0, "dev");
        assert_eq!(taken_apart("--profile=get").0, "measure");
        assert!(profile(&["--build".to_owned()]).is_err());
    }
}
