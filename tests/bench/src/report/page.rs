//! docs/performance.md.

use super::{Report, Table, svg::grouped};

const HEAD: &str = "\
# Performance

Made by `cargo xtask bench --write`; edit tests/bench/src/report/page.rs, not this page.

What a request costs, measured from outside: a client in a process of its own speaks HTTP to the binary, over keep-alive
connections, each of which sends, reads and checks the answer, and sends again. CPU time is that of the server's processes,
user and system, from the kernel's process table, divided by the number of requests; for PostgreSQL it is that of the
server's first process, of all alive below it and of those that ended. It is the figure that holds on a noisy machine, and
the one to compare. Requests a second and latencies include what the client takes of the same cores.
";

const FOOT: &str = "\
## What is measured

| workload | one request |
|---|---|
| `get` | GET of one user out of the last tenth, each in four groups |
| `filter-username`, `filter-externalid` | GET /Users with `eq` on that attribute: one match |
| `page-first`, `page-deep` | 100 users from startIndex 1, and from a random one near the end that no earlier page leads to |
| `page-cursor-first`, `page-cursor-deep` | 100 users by cursor, at the beginning and at the end |
| `group-get-N`, `group-get-bare-N` | GET of a group of N members, and the same with `excludedAttributes=members` |
| `patch-active` | PATCH of `active`, the other way each time |
| `put-user` | PUT of a whole user in which `title` differs |
| `group-patch-N` | PATCH of a group of N members: one is removed, then added again; four groups are shared by all connections |
| `group-put-N` | PUT of a whole group of N members in which one is missing, then there again; a group each |
| `okta` | a catalogue app's life of one person: find, create, read, find the group, add to it, PUT, find, remove, deactivate |
| `entra` | Entra ID's: find, create, read, PATCH twice, read the group, add, remove, disable |
| `create` | POST of a user |

The directory is made through POST /Bulk and POST /Groups. Every user is in four groups of all users (100,000 at most); the
first users are also in one of eight groups of 10, 1,000 or 10,000. The organization has no request limit. Logs are at
their default, traces are not exported. SQLite runs as the binary sets it up (WAL, `synchronous=FULL`).

`MiB ours+db`: the highest resident sizes of our processes during the workload, added up, and what PostgreSQL's processes
hold, shared pages counted once.

## Yardsticks

- pgbench gets the statements that PostgreSQL logged for one request, with other values each time; creates run as BEGIN, the
  same writes, COMMIT. It is free of HTTP, authentication and the hop, and bound by the same disk.
- Plain Diesel inserts copies of the rows that one create left in SQLite, in a loop in one process.
- An empty axum route, and one that makes one tonic call to a second process, answer a constant as large as a user.

## How to repeat it

```
cargo xtask bench --write                                    # everything, and this page
cargo xtask bench --form sqlite --users 100000 --only get,create
cargo xtask bench --build measure --users 1000               # a build without LTO, for work between two edits
cargo xtask bench --quick                                    # shows that it works, says nothing about speed
cargo xtask bench --profile create --form sqlite             # valgrind's callgrind: instructions by function
```

It needs Linux, PostgreSQL's server programs and pgbench, some GiB of disk, and a machine with nothing else to do. Seeded
directories are kept in target/bench/templates until a migration changes; remove them to seed anew. The last result is
target/bench/RESULT.json.

`--profile` runs the server under callgrind (Debian: valgrind) with the names of functions, counts from the end of the
warm-up on, and prints the functions with the most instructions of their own and with all they call. The whole record stays
in target/bench/profile, for `callgrind_annotate` or KCachegrind.
";

/// The whole page.
pub(crate) fn page(report: &Report, drawing: bool) -> String {
    let mut page = format!("{HEAD}\n## Machine\n\n");
    for line in report.machine.describe() {
        page.push_str(&format!("- {line}\n"));
    }
    page.push_str(&format!(
        "- the binary: commit {}, cargo profile `{}`\n- PostgreSQL: {}, otherwise its defaults\n\
         - each workload: {} rounds, {} s together, after a warm-up; the figures are medians of the rounds\n",
        report.machine.commit,
        report.built,
        report.postgres.join(", "),
        report.rounds,
        report.seconds,
    ));
    page.push_str(&format!("\n## Figures to meet\n\n{}", markdown(&report.target_table())));
    if drawing {
        page.push_str("\n## Cost against size\n\n![CPU milliseconds a request against size](performance.svg)\n");
    }
    for (form, users) in report.parts() {
        let heading = format!("{}, {} users", form.title(), grouped(users as u64));
        page.push_str(&format!("\n## {}\n\n{}", capital(&heading), markdown(&report.part(form, users))));
    }
    if !report.yardsticks.is_empty() {
        page.push_str(&format!("\n## Beside the yardsticks\n\n{}", markdown(&report.yardstick_table())));
    }
    page.push_str(&format!("\n{FOOT}"));
    page
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), characters.as_str()))
}

fn markdown(table: &Table) -> String {
    let mut text = String::new();
    for (n, row) in table.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if n == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_below_its_headings() {
        let table = [["a", "b"], ["1", "2"]].map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(markdown(&table), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
