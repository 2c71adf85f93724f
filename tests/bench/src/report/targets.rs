//! The figures that the product is to meet, and whether it does.

use super::{Report, Row};
use crate::stand::Form;

/// The sizes that the figures are about.
const SMALL: usize = 1000;
const MIDDLE: usize = 100_000;
const LARGE: usize = 1_000_000;
const CONNECTIONS: usize = 8;
const MANY: usize = 64;

/// One line: what is asked for, and what was found.
pub(crate) struct Target {
    pub(crate) form: Form,
    pub(crate) measure: String,
    limit: f64,
    unit: &'static str,
    at_least: bool,
    /// `None`: not part of this run.
    found: Option<f64>,
}

impl Target {
    pub(crate) fn cells(&self) -> Vec<String> {
        let number = |value: f64| if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        let sign = if self.at_least { ">=" } else { "<=" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        vec![
            self.measure.clone(),
            self.form.word().to_owned(),
            format!("{sign} {}{unit}", number(self.limit)),
            self.found.map_or_else(|| "-".to_owned(), |found| format!("{}{unit}", number(found))),
            match self.is_met() {
                None => "not measured",
                Some(true) => "met",
                Some(false) => "NOT MET",
            }
            .to_owned(),
        ]
    }

    pub(crate) fn is_met(&self) -> Option<bool> {
        self.found.map(|found| if self.at_least { found >= self.limit } else { found <= self.limit })
    }
}

/// Everything that is asked for, of the forms in the report.
pub(crate) fn targets(report: &Report) -> Vec<Target> {
    Form::ALL.into_iter().flat_map(|form| of_form(report, form)).collect()
}

fn of_form(report: &Report, form: Form) -> Vec<Target> {
    let row = |users: usize, workload: &str, connections: usize| -> Option<&Row> {
        report.rows.iter().find(|row| {
            row.form == form
                && row.users == users
                && row.workload == workload
                // Where fewer can write apart from each other, there are fewer.
                && (row.connections == connections || (connections == CONNECTIONS && row.connections < CONNECTIONS))
        })
    };
    let cpu = |users, workload: &str, connections| row(users, workload, connections).map(|row| row.figures.cpu());
    let at_8 = |users, workload: &str| cpu(users, workload, CONNECTIONS);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other.filter(|other| *other > 0.0)?);
    // The first limit is of all in one on SQLite, the second of three processes on PostgreSQL.
    let of = |sqlite: f64, postgres: f64| if form == Form::Sqlite { sqlite } else { postgres };
    let target = |measure: &str, limit: f64, unit: &'static str, found: Option<f64>| Target {
        form,
        measure: measure.to_owned(),
        limit,
        unit,
        at_least: false,
        found,
    };
    let ms = |measure: &str, sqlite, postgres, found| target(measure, of(sqlite, postgres), "ms", found);
    let mut all = vec![ms("GET user", 0.10, 0.40, at_8(MIDDLE, "get"))];
    if form == Form::Postgres {
        all.push(target("GET user, 64 connections", 0.28, "ms", cpu(MIDDLE, "get", MANY)));
    }
    all.push(ms("filter userName eq, 100,000 users", 0.12, 0.42, at_8(MIDDLE, "filter-username")));
    if form == Form::Postgres {
        all.push(target("filter, 64 connections", 0.30, "ms", cpu(MIDDLE, "filter-username", MANY)));
    }
    let filters = ratio(at_8(MIDDLE, "filter-username"), at_8(SMALL, "filter-username"));
    let (first, deep) = (at_8(LARGE, "page-first"), at_8(LARGE, "page-deep"));
    let patches = ratio(at_8(MIDDLE, "group-patch-100000"), at_8(MIDDLE, "group-patch-10"));
    let ours = report.rows.iter().filter(|row| row.form == form && row.users == LARGE);
    let peak = ours.map(|row| row.figures.peak_mib).max_by(f64::total_cmp);
    all.extend([
        target("filter, ratio to 1,000 users", 1.2, "", filters),
        ms("POST user, durable", 0.45, 0.85, at_8(MIDDLE, "create")),
        ms("PATCH active", 0.35, 0.8, at_8(MIDDLE, "patch-active")),
        ms("PUT user", 0.35, 0.8, at_8(MIDDLE, "put-user")),
        ms("group PATCH one of 100,000 members", 0.4, 0.8, at_8(MIDDLE, "group-patch-100000")),
        target("group PATCH, ratio of 100,000 to 10", 1.2, "", patches),
        ms("PUT group of 10,000, one change", 20.0, 40.0, at_8(MIDDLE, "group-put-10000")),
        ms("first 100 of 1,000,000 users", 2.0, 3.0, first),
        ms("100 users near 1,000,000, by index", 2.0, 3.0, deep),
        target("pages, ratio of last to first", 1.3, "", ratio(deep, first)),
        ms("100 users near 1,000,000, by cursor", 2.0, 3.0, at_8(LARGE, "page-cursor-deep")),
        ms("GET group of 10,000 with members", 12.0, 18.0, at_8(MIDDLE, "group-get-10000")),
        ms("GET group of 10,000 without", 0.12, 0.40, at_8(MIDDLE, "group-get-bare-10000")),
        target("memory of ours, 1,000,000 users", of(100.0, 150.0), "MiB", peak),
    ]);
    let p99 = |workload: &str| row(MIDDLE, workload, CONNECTIONS).map(|row| row.figures.p99_ms);
    let beside = ratio(p99("beside-noise"), p99("beside-share"));
    all.push(target("others' p99 beside 50 times a share, to a share", 1.1, "", beside));
    if form == Form::Postgres {
        let created = row(MIDDLE, "create", CONNECTIONS).map(|row| row.figures.requests_per_second);
        let pgbench = report.yardsticks.iter().find(|yardstick| {
            yardstick.form == Some(form) && yardstick.beside == "create" && yardstick.users == MIDDLE
        });
        let found = ratio(created, pgbench.map(|yardstick| yardstick.figures.requests_per_second));
        all.push(Target { at_least: true, ..target("durable creates a second, to pgbench", 0.6, "", found) });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figures;

    fn report(cpu: f64) -> Report {
        let figures = Figures { cpu_ms: [("rollcall".to_owned(), cpu)].into(), ..Figures::default() };
        let row =
            Row { form: Form::Sqlite, users: MIDDLE, workload: "get".to_owned(), connections: CONNECTIONS, figures };
        Report { rows: vec![row], ..Report::default() }
    }

    #[test]
    fn a_figure_is_met_missed_or_missing() {
        let found = |cpu: f64| {
            targets(&report(cpu)).iter().map(|target| (target.measure.clone(), target.is_met())).collect::<Vec<_>>()
        };
        assert_eq!(found(0.09)[0], ("GET user".to_owned(), Some(true)));
        assert_eq!(found(0.11)[0], ("GET user".to_owned(), Some(false)));
        assert!(found(0.09)[1..].iter().all(|(_, met)| met.is_none()));
        assert_eq!(targets(&report(0.11))[0].cells()[2..], ["<= 0.10 ms", "0.11 ms", "NOT MET"]);
    }
}
