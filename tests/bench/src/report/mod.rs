//! What was measured: as tables, as a drawing, as a page.

mod machine;
mod page;
mod svg;
mod targets;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    machine::{Machine, load},
    page::page,
    svg::{draw, grouped},
};
use crate::{measure::Figures, stand::Form, yardstick::Yardstick};

/// A whole run, as it stands in RESULT.json.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The cargo profile of the binary.
    pub(crate) built: String,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    /// What PostgreSQL ran with, beside its defaults.
    pub(crate) postgres: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) yardsticks: Vec<Yardstick>,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) form: Form,
    pub(crate) users: usize,
    pub(crate) workload: String,
    pub(crate) connections: usize,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// Cells with the columns aligned: text to the left, numbers to the right.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(n, (cell, width))| if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

pub(crate) const HEADINGS: [&str; 8] =
    ["workload", "conns", "req/s", "p50 ms", "p99 ms", "CPU ms/req", "by process", "MiB ours+db"];

/// Too short a run may have used less than a tick.
fn quotient(one: f64, other: f64) -> String {
    if other > 0.0 { format!("{:.2}", one / other) } else { "-".to_owned() }
}

impl Row {
    pub(crate) fn cells(&self) -> Vec<String> {
        let figures = &self.figures;
        let by_process: Vec<String> = figures.cpu_ms.iter().map(|(name, ms)| format!("{name} {ms:.3}")).collect();
        vec![
            self.workload.clone(),
            self.connections.to_string(),
            format!("{:.0}", figures.requests_per_second),
            format!("{:.2}", figures.p50_ms),
            format!("{:.2}", figures.p99_ms),
            format!("{:.3}", figures.cpu()),
            by_process.join(" "),
            format!("{:.0}+{:.0}", figures.peak_mib, figures.database_mib),
        ]
    }
}

/// Headings and rows of one table.
pub(crate) type Table = Vec<Vec<String>>;

fn headed(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    std::iter::once(headings.iter().map(|&heading| heading.to_owned()).collect()).chain(rows).collect()
}

/// All rows of one form and size.
pub(crate) fn table<'a>(rows: impl Iterator<Item = &'a Row>) -> Table {
    headed(&HEADINGS, rows.map(Row::cells))
}

impl Report {
    /// Each form and size that was measured, in order.
    pub(crate) fn parts(&self) -> Vec<(Form, usize)> {
        let mut parts: Vec<_> = self.rows.iter().map(|row| (row.form, row.users)).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    pub(crate) fn part(&self, form: Form, users: usize) -> Table {
        table(self.rows.iter().filter(|row| row.form == form && row.users == users))
    }

    /// The yardsticks, and how the product compares: its CPU time as a multiple, its rate as a share.
    pub(crate) fn yardstick_table(&self) -> Table {
        let headings = [
            "yardstick",
            "users",
            "conns",
            "req/s",
            "CPU ms/req",
            "held against",
            "its CPU / this",
            "its req/s / this",
        ];
        let rows = self.yardsticks.iter().flat_map(|yardstick| {
            let figures = &yardstick.figures;
            let own = vec![
                yardstick.name.clone(),
                if yardstick.users == 0 { "-".to_owned() } else { yardstick.users.to_string() },
                yardstick.connections.to_string(),
                format!("{:.0}", figures.requests_per_second),
                format!("{:.3}", figures.cpu()),
            ];
            let beside: Vec<&Row> = self.beside(yardstick).collect();
            if beside.is_empty() {
                return vec![[own, ["-", "-", "-"].map(str::to_owned).to_vec()].concat()];
            }
            let compared = |row: &Row| {
                vec![
                    format!("{}, {}, {} users", row.workload, row.form.word(), row.users),
                    quotient(row.figures.cpu(), figures.cpu()),
                    quotient(row.figures.requests_per_second, figures.requests_per_second),
                ]
            };
            beside.into_iter().map(|row| [own.clone(), compared(row)].concat()).collect()
        });
        headed(&headings, rows)
    }

    fn beside(&self, yardstick: &Yardstick) -> impl Iterator<Item = &Row> {
        let (name, connections) = (yardstick.beside.clone(), yardstick.connections);
        let (form, users) = (yardstick.form, yardstick.users);
        self.rows.iter().filter(move |row| {
            row.workload == name
                && form.is_none_or(|form| row.form == form && row.users == users)
                // A loop over one file has one connection whatever the product has.
                && (row.connections == connections || form == Some(Form::Sqlite))
        })
    }

    pub(crate) fn target_table(&self) -> Table {
        let headings = ["figure to meet", "form", "target", "measured", ""];
        let measured = self.parts();
        let targets = targets::targets(self).into_iter();
        let of_this_run = targets.filter(|target| measured.iter().any(|(form, _)| *form == target.form));
        headed(&headings, of_this_run.map(|target| target.cells()))
    }

    /// Everything, for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (form, users) in self.parts() {
            text.push_str(&format!("\n{}, {users} users\n{}", form.title(), align(&self.part(form, users))));
        }
        if !self.yardsticks.is_empty() {
            text.push_str(&format!("\n{}", align(&self.yardstick_table())));
        }
        text.push_str(&format!("\n{}", align(&self.target_table())));
        text.push_str(&format!("\nbuilt as {}; {}\n", self.built, self.machine.describe().join("; ")));
        text
    }
}
