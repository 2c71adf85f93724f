//! The same SQL without the product: PostgreSQL's log of one request's statements, turned into a script for pgbench.
//!
//! Nothing is known of the tables here, so a changed statement is measured as it has become.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_query,
    sql_types::Text,
};
use testkit::{PostgresServer, postgres_binaries};
use uuid::Uuid;

use crate::{
    load::{Call, Target},
    measure::Figures,
    process::{self, Clock, Watched},
    stand::execute,
    yardstick::{Created, MARKER},
};

/// pgbench takes at most 128 scripts.
pub(crate) const SCRIPTS: usize = 100;

/// One statement as the server got it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Logged {
    process: u32,
    text: String,
    parameters: Vec<Option<String>>,
}

/// The statements that the server ran while these requests were answered.
async fn logged(server: &PostgresServer, target: &Target, calls: &[Call]) -> Result<(Vec<Logged>, Vec<Uuid>)> {
    let log = server.log();
    execute(server, "postgres", &["ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"])?;
    let mut connection = target.connect().await?;
    // Each process reads the setting when it next gets a statement.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = usize::try_from(fs::metadata(&log)?.len())?;
    let mut ids = Vec::new();
    for call in calls {
        let reply = connection.call(call).await?;
        ids.extend(crate::stand::id_of(&reply).ok());
    }
    execute(server, "postgres", &["ALTER SYSTEM RESET log_statement", "SELECT pg_reload_conf()"])?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let text = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
    let text = String::from_utf8_lossy(text.get(begin..).unwrap_or_default());
    Ok((parse(&text), ids))
}

/// `TIME UTC [PID] LOG:  execute NAME: SQL`, then `... DETAIL:  parameters: $1 = 'x', $2 = NULL`; lines that go on begin
/// with a tab.
fn parse(log: &str) -> Vec<Logged> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(more), Some(last)) => {
                last.push('\n');
                last.push_str(more);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    let mut statements: Vec<Logged> = Vec::new();
    for entry in entries {
        let Some((head, rest)) = entry.split_once("] ") else { continue };
        let Some(process) = head.rsplit('[').next().and_then(|id| id.parse().ok()) else { continue };
        if let Some(rest) = rest.strip_prefix("LOG:  ") {
            let text =
                rest.strip_prefix("statement: ").or_else(|| Some(rest.strip_prefix("execute ")?.split_once(": ")?.1));
            if let Some(text) = text {
                statements.push(Logged { process, text: text.to_owned(), parameters: Vec::new() });
            }
        } else if let Some(values) = rest.strip_prefix("DETAIL:  parameters: ")
            && let Some(last) = statements.iter_mut().rfind(|statement| statement.process == process)
        {
            last.parameters = parameters(values);
        }
    }
    statements
}

fn parameters(text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(" = ") {
        let Some(quoted) = after.strip_prefix('\'') else {
            values.push(None);
            rest = after;
            continue;
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices().peekable();
        rest = "";
        while let Some((at, c)) = characters.next() {
            if c != '\'' {
                value.push(c);
            } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
                characters.next();
                value.push('\'');
            } else {
                rest = quoted.get(at + 1..).unwrap_or_default();
                break;
            }
        }
        values.push(Some(value));
    }
    values
}

/// A constant of a script. pgbench takes a colon for one of its variables, in quotes too; `$1` would be taken for another
/// parameter.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''").replace(':', "\\003A").replace('$', "\\0024");
    format!("U&'{escaped}'")
}

#[derive(QueryableByName)]
struct Types {
    #[diesel(sql_type = Text)]
    types: String,
}

/// The types that the server gives to a statement's parameters.
fn types(connection: &mut PgConnection, text: &str) -> Result<Vec<String>> {
    connection.batch_execute(&format!("PREPARE yardstick AS {text}"))?;
    let found: Types = sql_query(
        "SELECT array_to_string(parameter_types, ';') AS types FROM pg_prepared_statements WHERE name = 'yardstick'",
    )
    .get_result(connection)?;
    connection.batch_execute("DEALLOCATE yardstick")?;
    Ok(found.types.split(';').map(str::to_owned).collect())
}

/// The statement with values in place of its parameters.
fn inline(statement: &Logged, types: &[String], value: &dyn Fn(&str, &str) -> String) -> String {
    let mut text = statement.text.clone();
    for (n, parameter) in statement.parameters.iter().enumerate().rev() {
        let kind = types.get(n).map_or("text", String::as_str);
        let written = match parameter {
            None => format!("NULL::{kind}"),
            Some(parameter) => format!("{}::{kind}", value(parameter, kind)),
        };
        // From the last one down, so that $1 is not found in $10.
        text = text.replace(&format!("${}", n + 1), &written);
    }
    text
}

/// A script that creates a user in one transaction of the statements that `POST /Users` writes with. [`MARKER`] stands in
/// all that must be different each time.
pub(crate) async fn create_script(
    server: &PostgresServer,
    target: &Target,
    call: &Call,
    organization: Uuid,
) -> Result<String> {
    let (statements, ids) = logged(server, target, std::slice::from_ref(call)).await?;
    let id = *ids.first().context("no id in the answer")?;
    let created = Created { organization, id };
    let writes = transaction(&statements, |text| text.contains(MARKER));
    ensure!(!writes.is_empty(), "the log shows no statement that writes {MARKER}");
    let mut connection = PgConnection::establish(&server.url("identity"))?;
    let mut script = String::from("\\set n :n + 1\n\\set u (:client_id + 1) * 1000000000 + :n\nBEGIN;\n");
    let mut serials = BTreeMap::from([(id.to_string(), 0)]);
    for write in writes {
        let types = types(&mut connection, &write.text)?;
        for (parameter, kind) in write.parameters.iter().zip(&types) {
            if let Some(value) = parameter
                && kind == "uuid"
                && created.made_with(value.parse()?)
            {
                let next = serials.len();
                serials.entry(value.clone()).or_insert(next);
            }
        }
        let value = |value: &str, kind: &str| match serials.get(value) {
            Some(serial) if kind == "uuid" => format!("lpad(to_hex(:u::bigint * 16 + {serial}), 32, '0')"),
            // The end of an event's id, which begins with the server's clock.
            _ if kind == "text" && half_an_id(value) => "lpad(to_hex(:u::bigint), 16, '0')".to_owned(),
            _ => with_number(value),
        };
        let _ = writeln!(script, "{};", inline(write, &types, &value));
    }
    script.push_str("COMMIT;\n");
    Ok(script)
}

fn half_an_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A text in which the marker is replaced by a number that grows.
fn with_number(text: &str) -> String {
    let pieces: Vec<String> = text.split(MARKER).map(literal).collect();
    if pieces.len() == 1 { literal(text) } else { format!("({})", pieces.join(" || :u::text || ")) }
}

fn verb(statement: &Logged) -> String {
    statement.text.split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// What one process wrote in the transaction in which this is found first.
fn transaction(statements: &[Logged], wanted: impl Fn(&str) -> bool) -> Vec<&Logged> {
    let writes = |statement: &Logged| ["INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb(statement).as_str());
    let holds = |statement: &Logged| {
        wanted(&statement.text) || statement.parameters.iter().flatten().any(|parameter| wanted(parameter))
    };
    let Some(first) = statements.iter().position(|statement| writes(statement) && holds(statement)) else {
        return Vec::new();
    };
    let process = statements[first].process;
    let of_process = |statement: &&Logged| statement.process == process;
    let begun =
        statements[..first].iter().rev().filter(of_process).find(|s| ["BEGIN", "COMMIT"].contains(&verb(s).as_str()));
    if begun.is_none_or(|statement| verb(statement) == "COMMIT") {
        return vec![&statements[first]];
    }
    let rest = statements[first..].iter().filter(of_process).take_while(|statement| verb(statement) != "COMMIT");
    rest.filter(|statement| writes(statement)).collect()
}

/// Scripts, one for each call, of the statements that a read asks with; `wanted` are the texts that tell them from others.
pub(crate) async fn read_scripts(
    server: &PostgresServer,
    target: &Target,
    calls: &[Call],
    wanted: &[String],
) -> Result<Vec<String>> {
    let (statements, _) = logged(server, target, calls).await?;
    let mut connection = PgConnection::establish(&server.url("identity"))?;
    let mut scripts = Vec::new();
    for text in wanted {
        let mut script = String::new();
        for statement in reads(&statements, text) {
            let types = types(&mut connection, &statement.text)?;
            let _ = writeln!(script, "{};", inline(statement, &types, &|value, _| literal(value)));
        }
        ensure!(!script.is_empty(), "the log shows no statement that asks for {text}");
        scripts.push(script);
    }
    Ok(scripts)
}

/// The SELECTs that ask for this. What is written in the background meanwhile, with many ids in one statement, is no part of
/// a read, and cannot be written twice.
fn reads<'a>(statements: &'a [Logged], text: &'a str) -> impl Iterator<Item = &'a Logged> {
    let bare = text.replace('-', "");
    let holds = move |value: &String| value.contains(text) || value.contains(&bare);
    let asks = move |statement: &&Logged| statement.parameters.iter().flatten().any(&holds);
    statements.iter().filter(|statement| verb(statement) == "SELECT").filter(asks)
}

/// Runs pgbench, and says what the server spent.
pub(crate) fn run(
    server: &PostgresServer,
    directory: &Path,
    name: &str,
    scripts: &[String],
    clients: usize,
    seconds: u64,
    clock: Clock,
) -> Result<Figures> {
    let binaries = postgres_binaries().context("no PostgreSQL here")?;
    let mut files: Vec<PathBuf> = Vec::new();
    for (n, script) in scripts.iter().enumerate() {
        let file = directory.join(format!("{name}-{n}.sql"));
        fs::write(&file, script)?;
        files.push(file);
    }
    let url = server.url("identity");
    let watched = [Watched { name: "postgres", id: server.process_id()?, tree: true }];
    let pgbench = |seconds: u64, first: u64| -> Result<String> {
        let mut command = Command::new(binaries.join("pgbench"));
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", &format!("--client={clients}")]);
        command.arg(format!("--time={seconds}")).arg(format!("--define=n={first}"));
        for file in &files {
            command.arg("--file").arg(file);
        }
        let output = command.arg(&url).output().context("running pgbench (Debian: postgresql-contrib)")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = said.lines().any(|line| line.starts_with("number of failed") && !line.contains(": 0 "));
        if !output.status.success() || failed {
            // Of what it printed, not the hundred lines on each script.
            let figures: Vec<&str> = said.lines().take_while(|line| !line.starts_with("SQL script")).collect();
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("pgbench failed: {}\n{stderr}", figures.join("\n"));
        }
        Ok(said)
    };
    pgbench(1, 500_000_000)?;
    let before = process::cpu(&watched, clock)?;
    let said = pgbench(seconds, 0)?;
    let after = process::cpu(&watched, clock)?;
    let number = |name: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        let found = line.and_then(|rest| rest.trim().split([' ', '/']).next()?.parse().ok());
        found.with_context(|| format!("pgbench says no {name}\n{said}"))
    };
    let requests = number("number of transactions actually processed:")?;
    let spent = after["postgres"] - before["postgres"];
    Ok(Figures {
        requests_per_second: number("tps =")?,
        p50_ms: number("latency average =")?,
        cpu_ms: BTreeMap::from([("postgres".to_owned(), spent / requests)]),
        requests: requests as usize,
        ..Figures::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-26 07:00:00.000 UTC [7] LOG:  statement: BEGIN\n\
        2026-11-26 07:00:00.000 UTC [8] LOG:  execute s1: SELECT 1 FROM t WHERE a = $1\n\
        2026-11-26 07:00:00.000 UTC [8] DETAIL:  parameters: $1 = 'x'\n\
        2026-11-26 07:00:00.000 UTC [7] LOG:  execute s2: INSERT INTO t\n\tVALUES ($1, $2, $3)\n\
        2026-11-26 07:00:00.000 UTC [7] DETAIL:  parameters: $1 = 'it''s m, $9 = ', $2 = NULL, $3 = 'b'\n\
        2026-11-26 07:00:00.000 UTC [7] LOG:  execute <unnamed>: INSERT INTO u DEFAULT VALUES\n\
        2026-11-26 07:00:00.000 UTC [7] LOG:  statement: COMMIT\n\
        2026-11-26 07:00:00.000 UTC [7] LOG:  execute s3: DELETE FROM t\n";

    #[test]
    fn a_log_is_taken_apart() {
        let statements = parse(LOG);
        assert_eq!(statements.len(), 6);
        assert_eq!(statements[2].text, "INSERT INTO t\nVALUES ($1, $2, $3)");
        let values = [Some("it's m, $9 = ".to_owned()), None, Some("b".to_owned())];
        assert_eq!(statements[2].parameters, values);
        assert_eq!(statements[1].parameters, [Some("x".to_owned())]);
    }

    #[test]
    fn a_read_is_of_selects_alone() {
        let id = "01a21c8e-c259-7f64-9d5b-0aabf84e03cf";
        let of = |text: &str, value: &str| {
            let (text, parameters) = (text.to_owned(), vec![None, Some(value.to_owned())]);
            Logged { process: 7, text, parameters }
        };
        let bare = id.replace('-', "");
        let statements = [
            of("SELECT a FROM t WHERE b = $2", id),
            of("INSERT INTO u VALUES ($1, $2)", id),
            of("select c FROM t WHERE b = $2", &bare),
            of("SELECT a FROM t WHERE b = $2", "another"),
        ];
        let found: Vec<_> = reads(&statements, id).collect();
        assert_eq!(found, [&statements[0], &statements[2]]);
    }

    #[test]
    fn a_transaction_is_what_its_process_wrote_until_commit() {
        let statements = parse(LOG);
        let found: Vec<_> = transaction(&statements, |text| text.contains("it's")).iter().map(|s| &s.text).collect();
        assert_eq!(found, ["INSERT INTO t\nVALUES ($1, $2, $3)", "INSERT INTO u DEFAULT VALUES"]);
        let alone = transaction(&statements[2..], |text| text.contains("it's"));
        assert_eq!(alone.len(), 1, "without BEGIN it commits by itself");
    }

    #[test]
    fn values_stand_in_place_of_parameters() {
        let parameters = (1..=10).map(|n| Some(format!("v:{n}"))).collect();
        let logged = Logged { process: 1, text: "VALUES ($1, $10)".to_owned(), parameters };
        let types = vec!["text".to_owned(); 10];
        let text = inline(&logged, &types, &|value, _| literal(value));
        assert_eq!(text, "VALUES (U&'v\\003A1'::text, U&'v\\003A10'::text)");
    }

    #[test]
    fn a_marker_becomes_a_number() {
        assert_eq!(with_number("a"), "U&'a'");
        assert_eq!(with_number(&format!("a-{MARKER}@b")), "(U&'a-' || :u::text || U&'@b')");
    }
}
