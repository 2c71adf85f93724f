//! One workload: warmed up, some rounds, and the medians of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    directory::Directory,
    load::{self, Call, Client, Expect, Script, Seen, Target, Until},
    process::{self, Clock, Watched},
    stand::Stand,
    workload::{PAGE, Workload},
};

/// How long, how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Until,
    pub(crate) round: Until,
}

/// Medians over the rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU milliseconds a request, by process.
    pub(crate) cpu_ms: BTreeMap<String, f64>,
    /// The highest resident sizes of our processes, added up; MiB.
    pub(crate) peak_mib: f64,
    /// What the database's processes hold after a round, shared pages once; MiB.
    pub(crate) database_mib: f64,
    pub(crate) requests: usize,
}

impl Figures {
    /// All processes together.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu_ms.values().sum()
    }
}

/// Runs these scripts against a target while these processes are watched.
pub(crate) async fn measure(
    target: &Target,
    scripts: Vec<Box<dyn Script>>,
    watched: &[Watched],
    clock: Clock,
    pace: Pace,
) -> Result<Figures> {
    let mut clients = Vec::with_capacity(scripts.len());
    for script in scripts {
        clients.push(Client { connection: target.connect().await?, script });
    }
    let (mut clients, _) = load::run(clients, pace.warm_up).await.context("warming up")?;
    for process in watched {
        process::reset_peak(process.id);
    }
    let mut rounds = Vec::with_capacity(pace.rounds);
    for _ in 0..pace.rounds {
        let before = process::cpu(watched, clock)?;
        let (at_rest, seen) = load::run(clients, pace.round).await?;
        clients = at_rest;
        let after = process::cpu(watched, clock)?;
        let mut database_mib = 0.0;
        for tree in watched.iter().filter(|process| process.tree) {
            database_mib += process::tree_mib(tree)?;
        }
        let requests = seen.latencies.len() as f64;
        let cpu_ms = after
            .iter()
            .map(|(name, ms)| ((*name).to_owned(), (ms - before.get(name).unwrap_or(ms)) / requests))
            .collect();
        rounds.push(round(seen, cpu_ms, database_mib));
    }
    let mut figures = medians(&rounds);
    for process in watched.iter().filter(|process| !process.tree) {
        figures.peak_mib += process::peak_mib(process.id)?;
    }
    Ok(figures)
}

pub(crate) fn round(mut seen: Seen, cpu_ms: BTreeMap<String, f64>, database_mib: f64) -> Figures {
    seen.latencies.sort_unstable();
    let requests = seen.latencies.len();
    let at = |share: f64| {
        let position = ((requests as f64 * share) as usize).min(requests.saturating_sub(1));
        seen.latencies.get(position).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1000.0)
    };
    Figures {
        requests_per_second: requests as f64 / seen.elapsed.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_ms,
        peak_mib: 0.0,
        database_mib,
        requests,
    }
}

fn medians(rounds: &[Figures]) -> Figures {
    let of = |figure: &dyn Fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
    let names = rounds.first().map(|round| round.cpu_ms.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    Figures {
        requests_per_second: of(&|round| round.requests_per_second),
        p50_ms: of(&|round| round.p50_ms),
        p99_ms: of(&|round| round.p99_ms),
        cpu_ms: names
            .into_iter()
            .map(|name| {
                let ms = of(&|round| round.cpu_ms.get(&name).copied().unwrap_or_default());
                (name, ms)
            })
            .collect(),
        peak_mib: 0.0,
        database_mib: of(&|round| round.database_mib),
        requests: rounds.iter().map(|round| round.requests).sum(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A workload on a running form.
pub(crate) async fn workload(
    stand: &Stand,
    directory: &Arc<Directory>,
    workload: Workload,
    connections: usize,
    clock: Clock,
    pace: Pace,
) -> Result<Figures> {
    let target = stand.target()?;
    let scripts = scripts(&target, directory, workload, connections).await?;
    measure(&target, scripts, &stand.watched()?, clock, pace).await.with_context(|| format!("{workload}"))
}

/// What each connection sends.
pub(crate) async fn scripts(
    target: &Target,
    directory: &Arc<Directory>,
    workload: Workload,
    connections: usize,
) -> Result<Vec<Box<dyn Script>>> {
    let cursor = match workload {
        Workload::PageCursorDeep => Some(cursor_near_the_end(target, directory.users.len()).await?),
        _ => None,
    };
    workload.scripts(directory, workload.connections(directory, connections), cursor.as_deref())
}

/// Walks by cursor, whose pages are all of one size, until the last page is left. The cursor stays good for an hour.
async fn cursor_near_the_end(target: &Target, users: usize) -> Result<String> {
    let mut connection = target.connect().await?;
    let mut cursor = String::new();
    for _ in 0..users / PAGE - 1 {
        let from = if cursor.is_empty() { "cursor".to_owned() } else { format!("cursor={cursor}") };
        let expect = Expect::status(&[200]).containing(format!("\"itemsPerPage\":{PAGE}"));
        let reply = connection.call(&Call::get(format!("/Users?{from}&count={PAGE}&attributes=id"), expect)).await?;
        let answer: Value = serde_json::from_slice(&reply.body)?;
        answer["nextCursor"].as_str().context("no nextCursor")?.clone_into(&mut cursor);
    }
    Ok(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_round_counts_every_request_once() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        let seen = Seen { latencies, elapsed: Duration::from_secs(2) };
        let figures = round(seen, BTreeMap::from([("a".to_owned(), 0.5), ("b".to_owned(), 0.25)]), 0.0);
        assert_eq!((figures.requests, figures.requests_per_second), (100, 50.0));
        assert_eq!((figures.p50_ms, figures.p99_ms, figures.cpu()), (51.0, 100.0, 0.75));
    }
}
