//! `cargo bench`: the figures of the service, each beside its baseline of the same run.
//!
//! Everything runs on this machine: PostgreSQL (durable commits), the server as a process of its own, and the callers.
//! `cargo bench -- --seconds 10 --only unary,balance --growth 10000000`

#![allow(clippy::print_stdout, clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
#![allow(clippy::similar_names, missing_docs, missing_debug_implementations, unreachable_pub)]

mod load;
mod machine;
mod report;
mod setup;

mod figures;

use std::time::Duration;

use anyhow::Result;

/// The callers share the machine with what they measure: what they do not use is left to it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to measure and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seconds: u64,
    pub only: Vec<String>,
    pub growth: u64,
}

impl Plan {
    fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan = Self { seconds: 6, only: Vec::new(), growth: 0 };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| anyhow::anyhow!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => plan.seconds = value()?.parse()?,
                "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
                "--growth" => plan.growth = value()?.parse()?,
                other => anyhow::bail!("{other} is unknown: --seconds N, --only NAME,NAME, --growth ENTRIES"),
            }
        }
        Ok(plan)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let plan = Plan::from_arguments(std::env::args().skip(1))?;
    let bench = setup::Bench::start()?;
    let mut report = report::Report::begin()?;

    if plan.wants("unary") {
        figures::posting::unary(&plan, &bench, &mut report).await?;
    }
    if plan.wants("bulk") {
        figures::posting::bulk(&plan, &bench, &mut report).await?;
    }
    if plan.wants("latency") {
        figures::posting::latency(&plan, &bench, &mut report).await?;
    }
    if plan.wants("hot") {
        figures::posting::hot(&plan, &bench, &mut report).await?;
    }
    if plan.wants("replay") {
        figures::posting::replay_storm(&plan, &bench, &mut report).await?;
    }
    if plan.wants("sqlite") {
        figures::posting::sqlite(&plan, &mut report).await?;
    }
    if plan.wants("balance") {
        figures::reading::balance(&plan, &bench, &mut report).await?;
    }
    if plan.wants("delivery") {
        figures::delivery::delay(&plan, &bench, &mut report).await?;
    }
    if plan.wants("shared") {
        figures::posting::two_servers(&plan, &bench, &mut report).await?;
    }
    if plan.wants("memory") {
        figures::size::memory(&plan, &bench, &mut report).await?;
    }
    if plan.wants("disk") {
        figures::size::disk(&plan, &bench, &mut report).await?;
    }
    if plan.growth > 0 && plan.wants("growth") {
        figures::size::growth(&plan, &bench, &mut report).await?;
    }
    report.end();
    Ok(())
}
