//! What one organization's flood does to the others: their latency beside nobody, beside an organization that sends its share,
//! and beside the same one that sends fifty times as much, in turns, so that a busy machine counts for all.
//!
//! All send by the clock and not when the last answer came: a request that waited counts with its wait. The noise is sent
//! over a few connections, so that it comes as fast as its answers let it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use http::Method;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    directory::{self, Directory},
    load::{Call, Client, Expect, Script, Target},
    measure::{Figures, Pace, round},
    stand::Stand,
    workload::Workload,
};

/// What the others send: several organizations' share.
const OTHERS: u32 = 400;
/// The share of the noisy organization, and how many times it that is sent.
const SHARE: u32 = 50;
const TIMES: u32 = 50;
const NOISY_CONNECTIONS: u32 = 32;
/// Until the noisy organization has spent what it may send at once; then it is told 429 but for its share.
const SPEND: Duration = Duration::from_secs(2);

pub(crate) const NAMES: [&str; 3] = ["beside-nobody", "beside-share", "beside-noise"];
/// What the noisy organization sends a second in each of them.
const RATES: [u32; 3] = [0, SHARE, SHARE * TIMES];
/// The slowest hundredth of too few requests is chance.
const ROUNDS: usize = 6;

/// Figures in the order of [`NAMES`]; over all rounds, since there are few requests in each.
pub(crate) async fn measure(
    stand: &Stand,
    directory: &Arc<Directory>,
    connections: usize,
    slice: Duration,
    pace: Pace,
) -> Result<[Figures; 3]> {
    let quiet = stand.target()?;
    let noisy = Target::new(&quiet.base(), Some(&noisy_organization(stand)?))?;
    // Reads and writes, half of each.
    let mut others = Vec::new();
    for (n, workload) in [Workload::Get, Workload::PatchActive].into_iter().cycle().take(connections).enumerate() {
        let script = workload.scripts(directory, connections, None)?.into_iter().nth(n).context("no script")?;
        others.push(Client { connection: quiet.connect().await?, script });
    }
    let mut flood = Vec::new();
    for n in 0..NOISY_CONNECTIONS {
        flood.push(Client { connection: noisy.connect().await?, script: creates(n) });
    }
    let mut seen: [Vec<Duration>; 3] = Default::default();
    let rounds = if pace.rounds > 1 { ROUNDS.max(pace.rounds) } else { 1 };
    for turn in 0..=rounds {
        for n in 0..RATES.len() {
            // Each comes before and after each other one equally often.
            let n = if turn % 2 == 0 { n } else { RATES.len() - 1 - n };
            let latencies;
            if RATES[n] == 0 {
                (others, latencies) = paced(others, OTHERS, slice).await?;
            } else {
                let noise = tokio::spawn(paced(flood, RATES[n], SPEND + slice));
                tokio::time::sleep(SPEND).await;
                (others, latencies) = paced(others, OTHERS, slice).await?;
                flood = noise.await??.0;
            }
            // The first turn warms up.
            if turn > 0 {
                seen[n].extend(latencies);
            }
        }
    }
    let time = slice * u32::try_from(rounds).unwrap_or(u32::MAX);
    Ok(seen.map(|latencies| round(crate::load::Seen { latencies, elapsed: time }, BTreeMap::new(), 0.0)))
}

fn creates(connection: u32) -> Box<dyn Script> {
    let mut made = 0;
    Box::new(move || {
        made += 1;
        let name = format!("noise-{connection}-{made}@bench.example");
        let body = directory::user(&name, &name, made).to_string();
        Call::new(Method::POST, "/Users", body, Expect::status(&[201, 429]))
    })
}

fn noisy_organization(stand: &Stand) -> Result<String> {
    let deployment = &stand.deployment;
    deployment.cli_json(&["org", "create", "noisy", "--name", "Noisy", "--plan", "enterprise"])?;
    deployment.cli_json(&["org", "limit", "noisy", "--requests-per-second", &SHARE.to_string()])?;
    deployment.cli_json(&["scim", "enable", "noisy"])?;
    let token = deployment.cli_json(&["token", "create", "noisy", "--description", "noise"])?;
    Ok(token["token"].as_str().context("no token in the answer")?.to_owned())
}

/// All clients together send so many a second for some time. Each request's time counts from when it was due.
async fn paced(clients: Vec<Client>, rate: u32, time: Duration) -> Result<(Vec<Client>, Vec<Duration>)> {
    let every = Duration::from_secs(1) * u32::try_from(clients.len()).unwrap_or(u32::MAX) / rate;
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    let count = clients.len();
    for (n, mut client) in clients.into_iter().enumerate() {
        let first = begin + every * u32::try_from(n).unwrap_or_default() / u32::try_from(count).unwrap_or(1);
        tasks.spawn(async move {
            let mut due = tokio::time::interval_at(first.into(), every);
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut latencies = Vec::new();
            loop {
                let due = due.tick().await.into_std();
                if begin.elapsed() >= time {
                    return anyhow::Ok((n, client, latencies));
                }
                let call = client.script.next();
                let reply = client.connection.call(&call).await?;
                latencies.push(due.elapsed());
                client.script.seen(&reply)?;
            }
        });
    }
    let (mut clients, mut seen) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (n, client, latencies) = task.context("a connection's task ended early")??;
        clients.push((n, client));
        seen.extend(latencies);
    }
    clients.sort_by_key(|(n, _)| *n);
    Ok((clients.into_iter().map(|(_, client)| client).collect(), seen))
}

/// How much later the others' slowest hundredth is answered for what the organization sends beyond its share.
pub(crate) fn verdict(figures: &[Figures; 3]) -> String {
    let [nobody, share, noise] = figures.each_ref().map(|figures| figures.p99_ms);
    let change = |from: f64| if from > 0.0 { (noise / from - 1.0) * 100.0 } else { 0.0 };
    format!(
        "an organization that sends {TIMES} times its share of {SHARE}/s instead of its share moves the others' p99 by {:+.1} \
         percent ({:+.1} from where there is none)",
        change(share),
        change(nobody)
    )
}
