//! `cargo xtask fuzz`: builds the targets of `crates/scim/fuzz` with coverage and runs them under libFuzzer.
//!
//! On the stable compiler: the coverage comes from LLVM's own pass, and no sanitizer is asked for. Not here: what must
//! hold, and the seeds; the tests of that crate replay them without this task.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::tools::{Workspace, run as run_program, say};

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// One target, by the name of its corpus; all of them, one after the other, where it is left out
    target: Option<String>,
    /// How long each target runs; 0: only what is in the corpus
    #[arg(long, value_name = "N", default_value_t = 60, conflicts_with = "input")]
    seconds: u64,
    /// Run one input, such as a crash that was found, and show what it breaks
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Of LLVM's coverage pass, as libFuzzer wants it: counters, where they stand, and what was compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// An input that takes longer counts as a crash, in seconds: none may keep a core busy.
const SLOW: u32 = 10;

/// Between two lines about a target that runs.
const PULSE: Duration = Duration::from_secs(10);

/// Builds and runs, then says what came of it. Fails if an input broke a rule.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let home = workspace.root.join("crates/scim/fuzz");
    let known = targets(&home)?;
    let targets = match &options.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no target {name}; there are: {}", known.join(", ")),
    };
    let programs = build(workspace)?;
    if let (Some(input), [target]) = (&options.input, targets.as_slice()) {
        ensure!(input.is_file(), "{} is no file", input.display());
        let mut replay = workspace.command(programs.join(format!("fuzz-{target}")));
        // The task runs in the repository, the reader may not.
        replay.arg(fs::canonicalize(input)?);
        return run_program(&mut replay, &format!("fuzz-{target} {}", input.display()));
    }
    let mut runs = Vec::with_capacity(targets.len());
    for target in &targets {
        say(&format!("\n==> {target}, {} s", options.seconds));
        runs.push(fuzz(workspace, &home, &programs, target, options.seconds)?);
    }
    say(&summary(&runs));
    let crashes: usize = runs.iter().map(|run| run.crashes.len()).sum();
    ensure!(crashes == 0, "{crashes} inputs break a rule, see above");
    Ok(())
}

/// The names of the targets: each has a corpus.
fn targets(home: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home.join("corpus"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets and says where they are. For one host triple, or build scripts and macros would be instrumented,
/// too.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let version = workspace.command("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let directory = workspace.target.join("fuzz/build");
    let mut build = workspace.cargo();
    build.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", FLAGS);
    build.args([
        "build",
        "--locked",
        "--profile",
        "fuzz",
        "--package",
        "scim-fuzz",
        "--features",
        "libfuzzer",
        "--bins",
    ]);
    build.args(["--target", host]).arg("--target-dir").arg(&directory);
    run_program(&mut build, "cargo build --profile fuzz --package scim-fuzz --features libfuzzer")
        .context("the targets need a C++ compiler beside Rust, for libFuzzer itself")?;
    Ok(directory.join(host).join("fuzz"))
}

/// What libFuzzer said.
#[derive(Debug, Default, PartialEq)]
struct Run {
    target: String,
    seconds: u64,
    executions: u64,
    per_second: u64,
    /// Edges of the program that some input reached.
    coverage: u64,
    /// Inputs of the corpus, each with something that no other reaches.
    inputs: u64,
    crashes: Vec<String>,
}

impl Run {
    /// Takes what a line of libFuzzer says. True: it is one of its lines about progress.
    fn read(&mut self, line: &str) -> bool {
        let number = |text: &str| text.trim().parse().ok();
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.crashes.push(path.trim().to_owned());
        } else if let Some(executions) = line.strip_prefix("stat::number_of_executed_units:").and_then(number) {
            self.executions = executions;
        } else if let Some(speed) = line.strip_prefix("stat::average_exec_per_sec:").and_then(number) {
            self.per_second = speed;
        } else if line.starts_with('#') && line.contains(" cov: ") {
            let after = |name: &str| {
                let (_, rest) = line.split_once(name)?;
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            };
            self.executions = after("#").unwrap_or(self.executions);
            self.coverage = after(" cov: ").unwrap_or(self.coverage);
            self.inputs = after(" corp: ").unwrap_or(self.inputs);
            return true;
        }
        false
    }
}

fn fuzz(workspace: &Workspace, home: &Path, programs: &Path, target: &str, seconds: u64) -> Result<Run> {
    let directory = workspace.target.join("fuzz").join(target);
    let (seeds, found, crashes) = (directory.join("seeds"), directory.join("found"), directory.join("crashes"));
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    for directory in [&seeds, &found, &crashes] {
        fs::create_dir_all(directory)?;
    }
    let corpus = fs::read(home.join("corpus").join(target).with_extension("txt"))?;
    for (number, line) in corpus.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        fs::write(seeds.join(format!("line-{}", number + 1)), line)?;
    }
    let mut fuzzer = workspace.command(programs.join(format!("fuzz-{target}")));
    fuzzer.arg(if seconds == 0 { "-runs=0".to_owned() } else { format!("-max_total_time={seconds}") });
    fuzzer.args([format!("-timeout={SLOW}"), "-print_final_stats=1".to_owned()]);
    fuzzer.arg(format!("-dict={}", home.join("dictionaries").join(target).with_extension("dict").display()));
    fuzzer.arg(format!("-artifact_prefix={}/", crashes.display())).arg(&found).arg(&seeds);
    let begin = Instant::now();
    let mut child = fuzzer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let errors = child.stderr.take().context("libFuzzer has no standard error")?;
    let path = directory.join("log");
    let mut log = File::create(&path)?;
    let mut run = Run { target: target.to_owned(), ..Run::default() };
    let mut said = begin;
    for line in BufReader::new(errors).split(b'\n') {
        let line = line?;
        log.write_all(&line)?;
        log.write_all(b"\n")?;
        if run.read(&String::from_utf8_lossy(&line)) && said.elapsed() >= PULSE {
            said = Instant::now();
            say(&format!("{target}: {} executions, coverage {}, {} inputs", run.executions, run.coverage, run.inputs));
        }
    }
    let status = child.wait()?;
    run.seconds = begin.elapsed().as_secs();
    ensure!(
        status.success() || !run.crashes.is_empty(),
        "fuzz-{target} ended with {status} and no input; see {}",
        path.display()
    );
    Ok(run)
}

fn summary(runs: &[Run]) -> String {
    let mut text = format!(
        "\n{:<10} {:>8} {:>12} {:>11} {:>9} {:>7} {:>8}\n",
        "target", "seconds", "executions", "per second", "coverage", "inputs", "crashes"
    );
    for run in runs {
        text.push_str(&format!(
            "{:<10} {:>8} {:>12} {:>11} {:>9} {:>7} {:>8}\n",
            run.target,
            run.seconds,
            run.executions,
            run.per_second,
            run.coverage,
            run.inputs,
            run.crashes.len()
        ));
    }
    for run in runs {
        for crash in &run.crashes {
            text.push_str(&format!(
                "\n{0}: an input breaks a rule: {crash}\n  \
                 see it again:  cargo xtask fuzz {0} --input {crash}\n  \
                 keep it:       mend the code, and add the input to crates/scim/fuzz/corpus/{0}.txt as a line; the tests \
                 replay it\n",
                run.target
            ));
        }
    }
    let crashes: usize = runs.iter().map(|run| run.crashes.len()).sum();
    text.push_str(&format!("fuzz: {} targets, {crashes} crashes", runs.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut run = Run { target: "filter".to_owned(), seconds: 12, ..Run::default() };
        assert!(!run.read("INFO: Seed: 1"));
        assert!(run.read("#42\tINITED cov: 10 ft: 11 corp: 12/13Kb exec/s: 0 rss: 30Mb"));
        assert!(
            run.read("#1838259\tREDUCE cov: 2988 ft: 10908 corp: 1844/322Kb lim: 3984 exec/s: 4607 rss: 33Mb L: 68")
        );
        assert!(!run.read("stat::number_of_executed_units: 1838300"));
        assert!(!run.read("stat::average_exec_per_sec:     4600"));
        assert!(!run.read("artifact_prefix='x/'; Test unit written to x/crash-1"));
        let crashes = vec!["x/crash-1".to_owned()];
        let (target, seconds) = ("filter".to_owned(), 12);
        let expected =
            Run { target, seconds, executions: 1_838_300, per_second: 4600, coverage: 2988, inputs: 1844, crashes };
        assert_eq!(run, expected);
        let text = summary(&[run]);
        assert!(text.contains("cargo xtask fuzz filter --input x/crash-1"), "{text}");
        assert!(text.ends_with("fuzz: 1 targets, 1 crashes"), "{text}");
    }

    #[test]
    fn each_target_has_a_corpus_a_dictionary_and_a_program() {
        let home = crate::source_root().expect("the repository").join("crates/scim/fuzz");
        let names = targets(&home).expect("the corpora");
        assert!(names.len() >= 6, "{names:?}");
        for name in names {
            for file in [format!("dictionaries/{name}.dict"), format!("targets/{name}.rs")] {
                assert!(home.join(&file).is_file(), "{file}");
            }
        }
    }
}
