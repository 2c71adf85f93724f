//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{load::Until, measure::Pace, stand::Form};

/// Sizes that are measured without `--users`.
const SIZES: [usize; 3] = [1000, 100_000, 1_000_000];
const QUICK_SIZE: usize = 1000;

/// Measures requests per second, latency, CPU and memory of the binary, in both forms.
#[derive(Parser, Clone, Debug)]
#[command(name = "cargo xtask bench")]
pub(crate) struct Options {
    /// Small and short: shows that everything is answered rightly, and says nothing about speed
    #[arg(long)]
    pub(crate) quick: bool,
    /// Workloads, by the beginning of their names: get,filter,page,group-get,patch,put,group-patch,group-put,okta,entra,create,beside
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// One form alone
    #[arg(long, value_enum)]
    pub(crate) form: Option<Form>,
    /// Users in the directory [default: 1000, 100000 and 1000000, one after the other]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) users: Vec<usize>,
    /// Seconds that a workload is measured for
    #[arg(long, value_name = "N", default_value_t = 6.0)]
    pub(crate) seconds: f64,
    /// Parts that this time is cut into; the figures are their medians
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Keep-alive connections
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) connections: usize,
    /// Add to the results of the last run, which must be of the same commit, instead of replacing them
    #[arg(long)]
    pub(crate) add: bool,
    /// Write docs/performance.md and its drawing from the results
    #[arg(long, conflicts_with = "quick")]
    pub(crate) write: bool,
    /// Leave the yardsticks out
    #[arg(long)]
    pub(crate) no_yardsticks: bool,
    /// Run this workload alone, under callgrind, and print where its instructions go
    #[arg(long, value_name = "WORKLOAD")]
    pub(crate) profile: Option<String>,
    /// Where seeded directories are kept [default: target/bench/templates]
    #[arg(long, value_name = "DIR")]
    pub(crate) templates: Option<PathBuf>,
    /// The binary under test
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) rollcall: PathBuf,
    /// The repository
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: PathBuf,
    /// Cargo's target directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) target: PathBuf,
    /// How the binary was built, for the report
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) built: String,
}

impl Options {
    pub(crate) fn forms(&self) -> Vec<Form> {
        self.form.map_or(Form::ALL.to_vec(), |form| vec![form])
    }

    pub(crate) fn sizes(&self) -> Vec<usize> {
        match (self.users.is_empty(), self.quick) {
            (false, _) => self.users.clone(),
            (true, true) => vec![QUICK_SIZE],
            (true, false) => SIZES.to_vec(),
        }
    }

    /// Whether `--only` asks for what one organization does to the others. It is measured at one size: it does not depend on it.
    pub(crate) fn wants_noise(&self, users: usize) -> bool {
        let sizes = self.sizes();
        let size = sizes.iter().find(|size| **size == SIZES[1]).or(sizes.first());
        if size != Some(&users) {
            return false;
        }
        self.only.is_empty() || self.only.iter().any(|wanted| "beside".starts_with(&wanted.to_lowercase()))
    }

    /// How long the others are watched beside nobody, beside a share, and beside noise, at a time.
    pub(crate) fn slice(&self) -> Duration {
        if self.quick {
            return Duration::from_millis(500);
        }
        Duration::from_secs_f64(self.seconds.max(3.0))
    }

    pub(crate) fn pace(&self) -> Pace {
        if self.quick {
            return Pace { rounds: 1, warm_up: Until::Requests(1), round: Until::Requests(10) };
        }
        let round = Duration::from_secs_f64(self.seconds / self.rounds.max(1) as f64);
        Pace {
            rounds: self.rounds.max(1),
            warm_up: Until::After(round.min(Duration::from_secs(1))),
            round: Until::After(round),
        }
    }
}
