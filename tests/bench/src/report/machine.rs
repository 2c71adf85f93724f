//! What the figures were measured on.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};
use testkit::postgres_binaries;

/// As the system describes itself; a part that it does not tell is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) postgres: String,
    pub(crate) rust: String,
    /// Of the repository, with a mark where files were changed.
    pub(crate) commit: String,
    /// Of one, five and fifteen minutes, before the run.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib = field("/proc/meminfo", "MemTotal");
        let postgres = postgres_binaries().map(|directory| directory.join("postgres"));
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024,
            kernel: said("uname", &["-sr"]),
            postgres: postgres.map(|program| said(&program.to_string_lossy(), &["--version"])).unwrap_or_default(),
            rust: said("rustc", &["--version"]),
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            load_before: load(),
            load_after: String::new(),
        }
    }

    /// Sentences for a report.
    pub(crate) fn describe(&self) -> Vec<String> {
        vec![
            format!("{} cores ({}), {} MiB of memory, {}", self.cores, self.processor, self.memory_mib, self.kernel),
            format!("{}; SQLite is the one in the binary; {}", self.postgres, self.rust),
            format!("load average before the run {}, after it {}", self.load_before, self.load_after),
        ]
    }
}

/// Three numbers.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
