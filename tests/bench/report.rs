//! Prints every figure beside what it is measured against.

use std::fs;

use anyhow::Result;

use crate::machine::Usage;

/// Others may take this much of the machine before a figure is called spoiled.
const QUIET: f64 = 0.05;

pub struct Report {
    mark: Usage,
    /// What others took while the figures told last were measured.
    others: f64,
    spoiled: usize,
}

impl Report {
    pub fn begin() -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!("machine{model}; {cores} cores; everything runs on them");
        println!("{:<58} {:>12} {:>12} {:>8} {:>7}", "figure", "measured", "baseline", "ratio", "others");
        Ok(Self { mark: Usage::now()?, others: 0.0, spoiled: 0 })
    }

    pub fn baseline(&mut self, name: &str, unit: &str, value: f64) {
        self.line(&format!("{name} [{unit}]"), value, None);
    }

    /// A figure and the baseline of the same run.
    pub fn figure(&mut self, name: &str, value: f64, baseline: f64) {
        self.line(name, value, Some(baseline));
    }

    fn line(&mut self, name: &str, value: f64, baseline: Option<f64>) {
        let now = Usage::now().unwrap_or(self.mark);
        // Several figures of one measurement are told at once.
        if let Some(others) = now.others_since(self.mark) {
            self.others = others;
        }
        self.mark = now;
        let others = self.others;
        let spoiled = if others > QUIET { " SPOILED" } else { "" };
        self.spoiled += usize::from(others > QUIET);
        match baseline {
            Some(baseline) => println!(
                "{name:<58} {value:>12.1} {baseline:>12.1} {:>8.2} {:>6.1}%{spoiled}",
                value / baseline.max(f64::MIN_POSITIVE),
                others * 100.0
            ),
            None => println!("{name:<58} {value:>12.1} {:>12} {:>8} {:>6.1}%{spoiled}", "", "", others * 100.0),
        }
    }

    pub fn end(&self) {
        if self.spoiled > 0 {
            println!(
                "{} figure(s) were measured while others took more than 5 % of the machine: run again",
                self.spoiled
            );
        }
    }
}
