//! Durable posts a second, and how long one takes.

use std::time::Duration;

use anyhow::Result;

use crate::Plan;
use crate::load::{self, Choice};
use crate::report::Report;
use crate::setup::{Bench, Server};

const ACCOUNTS: usize = 10_000;
const CHANNELS: usize = 8;

async fn prepare(server: &Server) -> Result<Vec<tonic::transport::Channel>> {
    let channels = server.channels(CHANNELS).await?;
    load::open_accounts(&channels, ACCOUNTS).await?;
    Ok(channels)
}

pub async fn unary(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = prepare(&server).await?;
    let pgbench = bench.pgbench(plan, report)?;
    for callers in [256, 64, 1] {
        let outcome =
            load::unary(&channels, callers, ACCOUNTS, &Choice::Uniform, plan.time(), &format!("u{callers}")).await?;
        report.figure(&format!("unary Post/s, {callers} callers / pgbench"), outcome.rate, pgbench);
    }
    Ok(())
}

pub async fn bulk(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    for partitions in ["1", "2"] {
        let server = bench.server(&["--partitions", partitions])?;
        let channels = prepare(&server).await?;
        let pgbench = bench.pgbench(plan, report)?;
        let rate = load::batches(&channels, 4, ACCOUNTS, plan.time(), "b").await?;
        report.figure(&format!("PostBatch of 1,000, {partitions} partition(s), posts/s / pgbench"), rate, pgbench);
        let rate = load::streams(&channels, 4, ACCOUNTS, 2_000, plan.time(), "s").await?;
        report.figure(&format!("PostStream, {partitions} partition(s), posts/s / pgbench"), rate, pgbench);
    }
    Ok(())
}

pub async fn latency(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let single = {
        let server = bench.server(&["--max-batch", "1"])?;
        let channels = prepare(&server).await?;
        load::unary(&channels, 64, ACCOUNTS, &Choice::Uniform, plan.time(), "l").await?
    };
    let server = bench.server(&[])?;
    let channels = prepare(&server).await?;
    let batched = load::unary(&channels, 64, ACCOUNTS, &Choice::Uniform, plan.time(), "l").await?;
    let name = "p99 of Post, 64 callers, µs / one command a commit";
    report.figure(name, batched.percentile(0.99), single.percentile(0.99));
    report.figure(
        "p50 of Post, 64 callers, µs / one command a commit",
        batched.percentile(0.5),
        single.percentile(0.5),
    );
    Ok(())
}

pub async fn hot(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = prepare(&server).await?;
    let uniform = load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "c").await?;
    let zipf = load::unary(&channels, 256, ACCOUNTS, &Choice::zipf(ACCOUNTS, 1.1), plan.time(), "h").await?;
    report.figure("hot accounts (Zipf 1.1) / uniform, 256 callers", zipf.rate, uniform.rate);
    Ok(())
}

/// Half of the callers repeat keys that were all used before; how much of their rate is left to the others.
pub async fn replay_storm(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = prepare(&server).await?;
    let first = load::unary(&channels, 128, ACCOUNTS, &Choice::Uniform, plan.time(), "storm").await?;
    let storm = load::unary(&channels, 128, ACCOUNTS, &Choice::Uniform, plan.time(), "storm");
    let others = load::unary(&channels, 128, ACCOUNTS, &Choice::Uniform, plan.time(), "others");
    let (_, others) = tokio::try_join!(storm, others)?;
    report.figure("128 callers beside a replay storm of 128 / alone", others.rate, first.rate);
    Ok(())
}

pub async fn sqlite(plan: &Plan, report: &mut Report) -> Result<()> {
    let directory = std::env::temp_dir().join(format!("billing-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let url = |name: &str| format!("sqlite:{}", directory.join(name).display());
    let single = {
        let server = Server::start(&url("single.db"), &["--max-batch", "1"])?;
        let channels = prepare(&server).await?;
        load::unary(&channels, 64, ACCOUNTS, &Choice::Uniform, plan.time(), "q").await?
    };
    {
        let server = Server::start(&url("batched.db"), &[])?;
        let channels = prepare(&server).await?;
        let batched = load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "q").await?;
        report.figure("SQLite: unary Post/s, 256 callers / one command a commit at 64", batched.rate, single.rate);
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

pub async fn two_servers(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let first = bench.server(&[])?;
    let one = prepare(&first).await?;
    let alone = load::unary(&one, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "alone").await?;
    let second = Server::start(&first.url, &[])?;
    let two = second.channels(CHANNELS).await?;
    let (a, b) = tokio::try_join!(
        load::unary(&one, 128, ACCOUNTS, &Choice::Uniform, plan.time(), "one"),
        load::unary(&two, 128, ACCOUNTS, &Choice::Uniform, plan.time(), "two"),
    )?;
    let together = a.rate + b.rate;
    report.figure("two servers on one partition: the slower one / both", a.rate.min(b.rate), together);
    report.figure("two servers on one partition: both / one alone", together, alone.rate);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}
