//! How busy the machine is with work that is not ours.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Processor time spent by everybody and by our own processes, in clock ticks.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    all: u64,
    idle: u64,
    own: u64,
}

impl Usage {
    /// As of now.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        let ticks: Vec<u64> =
            stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        let all = ticks.iter().take(8).sum();
        let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
        Ok(Self { all, idle, own: own_ticks() })
    }

    /// The share of the machine, 0 to 1, that others took since `earlier`; `None` if that was just now.
    pub fn others_since(self, earlier: Self) -> Option<f64> {
        let all = self.all.saturating_sub(earlier.all);
        if all < 100 {
            return None;
        }
        let busy = all.saturating_sub(self.idle.saturating_sub(earlier.idle));
        Some(busy.saturating_sub(self.own.saturating_sub(earlier.own)) as f64 / all as f64)
    }
}

/// The time of this process, the servers it started, and every PostgreSQL process: those that have ended are counted in
/// their parents.
fn own_ticks() -> u64 {
    let mut ticks = 0;
    let mut parents = HashMap::new();
    let mut times = HashMap::new();
    let mut ours = vec![std::process::id()];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let (head, tail) = stat.rsplit_once(')').unwrap_or(("", &stat));
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        parents.insert(pid, number(1) as u32);
        times.insert(pid, (11..=14).map(number).sum::<u64>());
        if head.contains("(postgres") {
            ours.push(pid);
        }
    }
    for (pid, time) in &times {
        let mut at = *pid;
        while at > 1 {
            if ours.contains(&at) {
                ticks += time;
                break;
            }
            at = parents.get(&at).copied().unwrap_or(0);
        }
    }
    ticks
}

/// A process's memory, in MiB: what of it is in RAM and its own.
pub fn memory_mib(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/status")).context("reading the memory of the server")?;
    let line = rollup.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    Ok(kib / 1024.0)
}
