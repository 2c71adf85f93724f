//! `--profile`: one workload under callgrind, and the functions with the most instructions.
//!
//! Instructions are counted, not sampled: the result does not depend on what else the machine does.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use testkit::process::Program;

use crate::{
    load::{self, Client, Until},
    measure,
    options::Options,
    report::grouped,
    say,
    stand::{Form, Place, Stand},
    workload::Workload,
};

const CONNECTIONS: usize = 4;
/// Requests on each connection before counting begins: caches are filled, statements prepared.
const WARM_UP: u64 = 50;
const COUNTED: u64 = 100;
/// Functions shown in each list.
const SHOWN: usize = 40;

/// Runs the workload named `name` and prints where its instructions go.
pub(crate) async fn run(options: &Options, place: &Place, name: &str) -> Result<()> {
    let output = place.output.join("profile");
    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    fs::create_dir_all(&output)?;
    let program = under_callgrind(&options.rollcall, &output)?;
    let (form, users) = (options.form.unwrap_or(Form::Sqlite), options.users.first().copied().unwrap_or(100_000));
    let stand = Stand::start(place, form, users, &program).await?;
    let directory = Arc::new(stand.directory.clone());
    let workload = Workload::all(&directory).into_iter().find(|workload| workload.to_string() == name);
    let Some(workload) = workload else {
        let names: Vec<String> = Workload::all(&directory).iter().map(Workload::to_string).collect();
        bail!("there is no workload {name}; there are {}", names.join(", "));
    };
    let target = stand.target()?;
    let mut clients = Vec::new();
    for script in measure::scripts(&target, &directory, workload, CONNECTIONS).await? {
        clients.push(Client { connection: target.connect().await?, script });
    }
    let (clients, _) = load::run(clients, Until::Requests(WARM_UP)).await?;
    let ids: Vec<u32> = stand.deployment.servers.iter().map(testkit::process::Server::id).collect();
    counting(&ids, "on")?;
    let (_, seen) = load::run(clients, Until::Requests(COUNTED)).await?;
    counting(&ids, "off")?;
    stand.stop()?.remove()?;
    let requests = seen.latencies.len();
    let mut files: Vec<PathBuf> = fs::read_dir(&output)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind.out")));
    files.sort();
    ensure!(!files.is_empty(), "callgrind left nothing in {}", output.display());
    for file in files {
        say(&format!("\n{workload}, {}, {users} users, {requests} requests: {}", form.title(), file.display()));
        let (own, inclusive) = (annotated(&file, "no")?, annotated(&file, "yes")?);
        say(&format!("\nInstructions a request, by where the code is from:\n{}", shares(&by_library(&own), requests)));
        say(&format!("Of each function's own:\n{}", shares(&named(&own, |_| true), requests)));
        // A chain of futures that call each other tells nothing.
        let ours = |counted: &Counted| matches!(counted.library.as_str(), "sqlite" | "diesel") || counted.is_ours;
        say(&format!(
            "With all that they call, ours and the database's:\n{}",
            shares(&named(&inclusive, ours), requests)
        ));
    }
    Ok(())
}

/// A program that is the binary, but serves under callgrind.
fn under_callgrind(binary: &Path, output: &Path) -> Result<Program> {
    let known = Command::new("valgrind").arg("--version").output();
    ensure!(known.is_ok_and(|known| known.status.success()), "valgrind is not installed (Debian: valgrind)");
    let (binary, script) = (binary.display(), output.join("rollcall"));
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = serve ] || exec \"{binary}\" \"$@\"\n\
         exec valgrind --quiet --tool=callgrind --instr-atstart=no --callgrind-out-file=\"{}/callgrind.out.%p\" \
         \"{binary}\" \"$@\"\n",
        output.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Program::at(script)
}

fn counting(processes: &[u32], state: &str) -> Result<()> {
    for id in processes {
        let mut control = Command::new("callgrind_control");
        let output = control.arg(format!("--instr={state}")).arg(id.to_string()).output();
        let output = output.context("running callgrind_control")?;
        ensure!(output.status.success(), "callgrind_control: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// One function's instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    instructions: u64,
    function: String,
    /// The crate, or the part of the C library, that its source is from.
    library: String,
    is_ours: bool,
}

impl Counted {
    /// `1,234 ( 5.6%)  FILE:FUNCTION [OBJECT]`.
    fn parse(line: &str) -> Option<Self> {
        let (count, rest) = line.split_once(" (")?;
        let (_, place) = rest.split_once("%)")?;
        let place = place.trim();
        let place = place.rsplit_once(" [").map_or(place, |(place, _)| place);
        let (file, function) = place.split_once(':')?;
        let (library, is_ours) = library(file);
        let instructions = count.trim().replace(',', "").parse().ok()?;
        Some(Self { instructions, function: function.to_owned(), library, is_ours })
    }
}

fn library(file: &str) -> (String, bool) {
    let part_after = |mark: &str| file.split_once(mark).and_then(|(_, rest)| rest.split('/').next());
    if file.contains("libsqlite3-sys") {
        return ("sqlite".to_owned(), false);
    }
    if let Some((_, rest)) = file.split_once(".cargo/registry/src/") {
        let package = rest.split('/').nth(1).unwrap_or_default();
        let end = package
            .match_indices('-')
            .map(|(at, _)| at)
            .find(|at| package.get(at + 1..).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
        return (package.get(..end.unwrap_or(package.len())).unwrap_or(package).to_owned(), false);
    }
    if let Some(library) = part_after("/library/").filter(|_| file.contains("/rustc/")) {
        return (library.to_owned(), false);
    }
    if let Some(name) = file.strip_prefix("crates/").or_else(|| file.split_once("/crates/").map(|(_, rest)| rest)) {
        return (name.split('/').next().unwrap_or_default().to_owned(), true);
    }
    for (mark, name) in [("malloc/", "malloc"), ("string/", "memory and strings (libc)"), ("nptl/", "threads (libc)")] {
        if file.contains(mark) {
            return (name.to_owned(), false);
        }
    }
    ("other".to_owned(), false)
}

fn by_library(counted: &[Counted]) -> Vec<(String, u64)> {
    let mut sums = BTreeMap::new();
    for function in counted {
        *sums.entry(function.library.clone()).or_default() += function.instructions;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by_key(|(_, instructions)| Reverse(*instructions));
    sums
}

fn named(counted: &[Counted], wanted: impl Fn(&Counted) -> bool) -> Vec<(String, u64)> {
    let wanted = counted.iter().filter(|function| wanted(function));
    wanted.map(|function| (format!("{}: {}", function.library, function.function), function.instructions)).collect()
}

fn shares(counted: &[(String, u64)], requests: usize) -> String {
    let each = |instructions: u64| instructions / requests.max(1) as u64;
    let rows = counted.iter().filter(|(_, instructions)| each(*instructions) > 0).take(SHOWN);
    // The number first: names are long.
    rows.map(|(name, instructions)| format!("{:>12}  {}\n", grouped(each(*instructions)), shortened(name))).collect()
}

fn shortened(name: &str) -> String {
    name.chars().take(150).collect()
}

fn annotated(file: &Path, inclusive: &str) -> Result<Vec<Counted>> {
    let mut annotate = Command::new("callgrind_annotate");
    annotate.args([&format!("--inclusive={inclusive}"), "--auto=no", "--threshold=100"]).arg(file);
    let output = annotate.output().context("running callgrind_annotate")?;
    ensure!(output.status.success(), "callgrind_annotate: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Counted::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_function_and_where_it_is_from() {
        for (line, instructions, library, function) in [
            (
                "29,578,297 ( 7.23%)  ./malloc/./malloc/malloc.c:_int_free [/usr/lib/libc.so.6]",
                29_578_297,
                "malloc",
                "_int_free",
            ),
            (
                "10 ( 2.9%)  ~/.cargo/registry/src/index-1/libsqlite3-sys-0.37.0/sqlite3/sqlite3.c:step [/x]",
                10,
                "sqlite",
                "step",
            ),
            (
                "10 ( 2.9%)  ~/.cargo/registry/src/index-1/tracing-core-0.1.3/src/a.rs:<A as B>::c",
                10,
                "tracing-core",
                "<A as B>::c",
            ),
            ("1 (10.0%)  /rustc/59/library/core/src/fmt.rs:core::fmt::write", 1, "core", "core::fmt::write"),
            ("1 (10.0%)  crates/scim-gateway/src/edge.rs:edge [/x]", 1, "scim-gateway", "edge"),
        ] {
            let counted = Counted::parse(line).expect(line);
            assert_eq!(
                (counted.instructions, &*counted.library, &*counted.function),
                (instructions, library, function)
            );
        }
        assert_eq!(Counted::parse("408,944,045 (100.0%)  PROGRAM TOTALS"), None);
    }

    #[test]
    fn libraries_are_added_up() {
        let line = |n: u64, file: &str| Counted::parse(&format!("{n} ( 1.0%)  {file}:f")).expect("parsed");
        let counted = [line(4, "crates/scim/src/a.rs"), line(5, "malloc/a.c"), line(3, "/w/crates/scim/src/b.rs")];
        assert_eq!(by_library(&counted), [("scim".to_owned(), 7), ("malloc".to_owned(), 5)]);
    }
}
