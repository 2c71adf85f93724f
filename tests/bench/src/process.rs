//! What processes cost: CPU time and memory, from `/proc`.
//!
//! The CPU time of a database is that of its first process, of those alive below it and of those that ended: the kernel
//! adds an ended child's time to its parent's `cutime`. What kernel threads do for a process (writing pages back) is in no
//! process's time.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

/// A process, or a tree of them, under the name it has in tables.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    /// Whether what it starts counts as well.
    pub(crate) tree: bool,
}

/// CPU milliseconds so far, by name.
pub(crate) type Cpu = BTreeMap<&'static str, f64>;

/// CPU time that has been used up to now.
pub(crate) fn cpu(watched: &[Watched], clock: Clock) -> Result<Cpu> {
    let mut spent = Cpu::new();
    for process in watched {
        let mut ticks = 0;
        for id in members(process)? {
            // A child that ends between the listing and this is in its parent's time, which was read before it or is
            // read with the next snapshot.
            let Ok(stat) = Stat::read(id) else { continue };
            ticks += stat.own + if process.tree { stat.children } else { 0 };
        }
        *spent.entry(process.name).or_default() += ticks as f64 * clock.tick_ms;
    }
    Ok(spent)
}

/// How long a tick of `/proc/PID/stat` is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    tick_ms: f64,
}

impl Clock {
    pub(crate) fn read() -> Result<Self> {
        let output = Command::new("getconf").arg("CLK_TCK").output().context("running getconf")?;
        let ticks: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("getconf CLK_TCK")?;
        Ok(Self { tick_ms: 1000.0 / ticks })
    }
}

fn members(process: &Watched) -> Result<Vec<u32>> {
    let mut found = vec![process.id];
    if process.tree {
        for entry in fs::read_dir("/proc").context("reading /proc: the figures come from Linux's process table")? {
            let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if Stat::read(id).is_ok_and(|stat| stat.parent == process.id) {
                found.push(id);
            }
        }
    }
    Ok(found)
}

struct Stat {
    parent: u32,
    own: u64,
    children: u64,
}

impl Stat {
    fn read(id: u32) -> Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat"))?).context("/proc/PID/stat is not as expected")
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in brackets, may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| -> Option<u64> { fields.get(field)?.parse().ok() };
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: number(11)? + number(12)?,
            children: number(13)? + number(14)?,
        })
    }
}

/// Sets the highest resident size back to the present one. `false`: not allowed here, the peak is the process's own since
/// it began.
pub(crate) fn reset_peak(id: u32) -> bool {
    fs::write(format!("/proc/{id}/clear_refs"), "5").is_ok()
}

/// The highest resident size in MiB.
pub(crate) fn peak_mib(id: u32) -> Result<f64> {
    kib(Path::new(&format!("/proc/{id}/status")), "VmHWM:").map(|kib| kib / 1024.0)
}

/// What a tree of processes holds in MiB, shared pages counted once.
pub(crate) fn tree_mib(process: &Watched) -> Result<f64> {
    let mut sum = 0.0;
    for id in members(process)? {
        sum += kib(Path::new(&format!("/proc/{id}/smaps_rollup")), "Pss:").unwrap_or_default();
    }
    Ok(sum / 1024.0)
}

fn kib(file: &Path, name: &str) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.split_whitespace().next().and_then(|number| number.parse().ok()).with_context(|| format!("{name}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bracket_moves_no_field() {
        let stat = Stat::parse("7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 1 0 5 6 7").expect("parsed");
        assert_eq!((stat.parent, stat.own, stat.children), (3, 23, 27));
    }

    #[test]
    fn this_process_has_a_size_and_used_time() {
        let id = std::process::id();
        assert!(peak_mib(id).expect("VmHWM") > 0.5);
        let me = [Watched { name: "me", id, tree: false }];
        let clock = Clock::read().expect("getconf");
        let before = cpu(&me, clock).expect("cpu")["me"];
        let mut sum = 0_u64;
        while cpu(&me, clock).expect("cpu")["me"] <= before {
            sum = sum.wrapping_add(1);
        }
        assert!(sum > 0);
    }
}
