//! Rules about the documents: links lead somewhere, commands and flags exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::tools::Workspace;

/// Complaints about the documents of this repository. Builds the binary, to ask it for its commands.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let root = &workspace.root;
    let program = workspace.build_rollcall(false)?;
    let tasks: BTreeSet<String> = crate::task_names().into_iter().collect();
    let mut help = Help { program, known: BTreeMap::new() };
    let mut complaints = Vec::new();
    for document in documents(root)? {
        let shown = document.strip_prefix(root).unwrap_or(&document).display().to_string();
        let text = fs::read_to_string(&document).with_context(|| format!("reading {shown}"))?;
        let directory = document.parent().unwrap_or(root);
        complaints.extend(links(&shown, &text, |target| directory.join(target).exists()));
        for task in xtask_commands(&text) {
            if !tasks.contains(&task) {
                complaints.push(format!("{shown}: there is no `cargo xtask {task}`"));
            }
        }
        for (words, flags) in rollcall_commands(&text) {
            complaints.extend(command(&shown, &words, &flags, |words| help.of(words)));
        }
    }
    let serve = help.of(&["serve".to_owned()]).unwrap_or_default();
    for file in ["docker-compose.yml", "Dockerfile", "deploy/example.env", "README.md"] {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        complaints.extend(variables(file, &text, &serve));
        for (words, flags) in container_commands(&text) {
            complaints.extend(command(file, &words, &flags, |words| help.of(words)));
        }
    }
    Ok(complaints)
}

/// Set for PostgreSQL's container by docker-compose.yml; not the binary's.
const NOT_OF_THE_BINARY: &str = "ROLLCALL_DATABASE_PASSWORD";

/// Complaints about environment variables that the binary does not read.
fn variables(shown: &str, text: &str, help: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let mut names: Vec<&str> = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("ROLLCALL_")).collect();
    names.sort_unstable();
    names.dedup();
    let known = |name: &str| {
        name.ends_with('_')
            || name == NOT_OF_THE_BINARY
            || ["=", "]"].iter().any(|end| help.contains(&format!("[env: {name}{end}")))
    };
    names.iter().filter(|name| !known(name)).map(|name| format!("{shown}: the binary reads no {name}")).collect()
}

/// `["serve", "identity", "--grpc", ..]`, as container files write commands.
fn container_commands(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let lines = text.lines().filter_map(|line| line.split_once("[\"serve\""));
    lines.flat_map(|(_, rest)| alternatives(&format!("serve {}", rest.replace(['"', ',', ']'], " ")))).collect()
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for directory in [root.to_owned(), root.join("docs"), root.join("docs/adr"), root.join("deploy")] {
        for entry in fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Complaints about Markdown links to files that are not there.
fn links(shown: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for piece in text.split("](").skip(1) {
        let target = piece.split([')', ' ']).next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        let elsewhere = target.contains("://") || target.starts_with("mailto:");
        if !elsewhere && !file.is_empty() && !exists(file) {
            complaints.push(format!("{shown}: the link to {target} leads nowhere"));
        }
    }
    complaints
}

/// The tasks that a text names: `cargo xtask a | b` names two.
fn xtask_commands(text: &str) -> Vec<String> {
    let mut tasks = Vec::new();
    for rest in text.split("cargo xtask ").skip(1) {
        let line = rest.lines().next().unwrap_or_default();
        let line = line.split(['`', '#', ';', '(', ',']).next().unwrap_or_default();
        for alternative in line.split('|') {
            let word: String = alternative
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-' || c.is_ascii_digit())
                .collect();
            if !word.is_empty() && word != "--help" {
                tasks.push(word);
            }
        }
    }
    tasks
}

/// What a text tells the reader to run: subcommand words, with `a|b` taken apart, and flags.
fn rollcall_commands(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let joined = text.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in joined.lines() {
        for (position, _) in line.match_indices("rollcall ") {
            let before = line[..position].chars().next_back();
            if !before.is_none_or(|c| c == '`' || c == ' ' || c == '/') {
                continue;
            }
            // Prose says "the rollcall binary"; commands stand in code: a code span, or a line that is one.
            let code = before == Some('`')
                || line[..position].trim().is_empty()
                || before == Some('/')
                || line[..position].ends_with("exec identity ");
            if !code {
                continue;
            }
            let rest = &line[position + "rollcall ".len()..];
            let rest = rest.split(['`', '#', '>', '&']).next().unwrap_or_default();
            let rest = rest.split("  ").next().unwrap_or_default();
            commands.extend(alternatives(rest));
        }
    }
    commands
}

fn alternatives(rest: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut words: Vec<Vec<String>> = vec![Vec::new()];
    let mut flags = Vec::new();
    let mut reading_words = true;
    for token in rest.split_whitespace() {
        let bare = token.trim_matches(|c| matches!(c, '[' | ']' | '.' | ',' | ';' | ')' | '('));
        if let Some(flag) = bare.strip_prefix("--") {
            reading_words = false;
            flags.push(format!("--{}", flag.split('=').next().unwrap_or_default()));
        } else if reading_words
            && bare.chars().all(|c| c.is_ascii_lowercase() || c == '|' || c == '-')
            && !bare.is_empty()
        {
            let choices: Vec<&str> = bare.split('|').collect();
            words = choices
                .iter()
                .flat_map(|choice| {
                    words.iter().map(move |prefix| [prefix.clone(), vec![(*choice).to_owned()]].concat())
                })
                .collect();
        } else {
            reading_words = false;
        }
    }
    words.into_iter().map(|words| (words, flags.clone())).collect()
}

/// What `rollcall WORDS --help` says.
struct Help {
    program: PathBuf,
    known: BTreeMap<Vec<String>, Option<String>>,
}

impl Help {
    fn of(&mut self, words: &[String]) -> Option<String> {
        let program = &self.program;
        let ask = || {
            let output = Command::new(program).args(words).arg("--help").output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.known.entry(words.to_vec()).or_insert_with(ask).clone()
    }
}

/// Complaints about one command. Its last words may be values (`org create acme`), so the longest that has help counts.
fn command(
    shown: &str,
    words: &[String],
    flags: &[String],
    mut help: impl FnMut(&[String]) -> Option<String>,
) -> Vec<String> {
    let text = words.join(" ");
    // The first word is followed by a value of `serve`, or by a subcommand.
    let needed = match words.first().map(String::as_str) {
        None => 0,
        // `oauth client`, `oauth grant` and `account agent` have subcommands of their own.
        Some("oauth") if words.get(1).is_some_and(|word| word != "approve") => words.len().min(3),
        Some("account") if words.get(1).is_some_and(|word| word == "agent") => words.len().min(3),
        Some(_) => words.len().min(2),
    };
    let Some(help) = help(&words[..needed]) else {
        return vec![format!("{shown}: there is no `rollcall {text}`")];
    };
    let known = |flag: &String| help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == flag);
    flags
        .iter()
        .filter(|flag| *flag != "--help" && !known(flag))
        .map(|flag| format!("{shown}: `rollcall {text}` has no {flag}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_must_lead_somewhere() {
        let text = "[a](there.md) [b](gone.md#part) [c](https://example.com) [d](#here)";
        assert_eq!(links("R", text, |file| file == "there.md"), ["R: the link to gone.md#part leads nowhere"]);
    }

    #[test]
    fn tasks_are_found_in_prose_and_lists() {
        let text = "Run `cargo xtask dev`, then\n```\ncargo xtask test | ci   # all\ncargo xtask e2e okta\n```";
        assert_eq!(xtask_commands(text), ["dev", "test", "ci", "e2e"]);
    }

    #[test]
    fn commands_are_taken_apart() {
        let text = "```\nrollcall org create|list [--name NAME]\ntarget/release/rollcall serve --data-dir x &\n```\nThe rollcall binary.";
        let found = rollcall_commands(text);
        let words: Vec<String> = found.iter().map(|(words, _)| words.join(" ")).collect();
        assert_eq!(words, ["org create", "org list", "serve"]);
        assert_eq!(found[2].1, ["--data-dir"]);
    }

    #[test]
    fn container_files_are_held_to_the_same() {
        let help = "--http <ADDR>  where [env: ROLLCALL_HTTP=]";
        let text = "ROLLCALL_HTTP: a\nROLLCALL_HTTPS: b\n`ROLLCALL_*`\nROLLCALL_DATABASE_PASSWORD: c\n";
        assert_eq!(variables("c", text, help), ["c: the binary reads no ROLLCALL_HTTPS"]);
        let commands = container_commands("    command: [\"serve\", \"gateway\", \"--http\", \"0.0.0.0:80\"]\n");
        assert_eq!(commands, [(vec!["serve".to_owned(), "gateway".to_owned()], vec!["--http".to_owned()])]);
    }

    #[test]
    fn an_unknown_command_or_flag_is_a_complaint() {
        let help = |words: &[String]| (words.join(" ") == "org create").then(|| "  --name <NAME>".to_owned());
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let flags = vec!["--name".to_owned()];
        assert_eq!(command("R", &words("org create acme"), &flags, help), Vec::<String>::new());
        assert_eq!(command("R", &words("org make"), &flags, help).len(), 1);
        let deeper =
            |words: &[String]| (words.join(" ") == "oauth client create").then(|| "  --name <NAME>".to_owned());
        assert_eq!(command("R", &words("oauth client create acme"), &flags, deeper), Vec::<String>::new());
        let wrong = vec!["--nam".to_owned()];
        assert_eq!(command("R", &words("org create"), &wrong, help).len(), 1);
    }
}
