//! Memory, bytes on disk, and what a large journal costs.

use anyhow::{Context, Result};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};

use crate::Plan;
use crate::load::{self, Choice};
use crate::machine::memory_mib;
use crate::report::Report;
use crate::setup::Bench;

/// How many accounts the large journal and the young one have.
const GROWTH_ACCOUNTS: usize = 100_000;
/// How often the two are measured.
const TURNS: usize = 5;

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = sql_types::BigInt)]
    bytes: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    rows: i64,
}

fn journal_size(url: &str) -> Result<Size> {
    let mut conn = PgConnection::establish(url)?;
    sql_query("vacuum analyze journal").execute(&mut conn)?;
    let sizes: Vec<Size> =
        sql_query("select pg_total_relation_size('journal') as bytes, (select count(*) from journal) as rows")
            .load(&mut conn)?;
    sizes.into_iter().next().context("no size")
}

pub async fn memory(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    const ACCOUNTS: usize = 100_000;
    let server = bench.server(&[])?;
    let channels = server.channels(8).await?;
    report.figure("memory of the idle server, MiB / 30", memory_mib(server.pid())?, 30.0);
    load::open_accounts(&channels, ACCOUNTS).await?;
    load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "m").await?;
    report.figure("memory under load, 100,000 accounts, MiB / 150", memory_mib(server.pid())?, 150.0);
    Ok(())
}

pub async fn disk(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = server.channels(8).await?;
    load::open_accounts(&channels, 10_000).await?;
    let before = journal_size(&server.url)?;
    load::streams(&channels, 4, 10_000, 2_000, plan.time(), "disk").await?;
    let after = journal_size(&server.url)?;
    let entries = (after.rows - before.rows).max(1) as f64;
    report.figure(
        "bytes on disk an entry, indexes included / 400",
        (after.bytes - before.bytes) as f64 / entries,
        400.0,
    );
    Ok(())
}

/// A large journal beside a young one, measured in turns: the speed of a virtual machine changes from minute to minute.
pub async fn growth(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let young = bench.server(&[])?;
    let young_channels = young.channels(8).await?;
    load::open_accounts(&young_channels, GROWTH_ACCOUNTS).await?;
    let large = bench.server(&[])?;
    let large_channels = large.channels(8).await?;
    load::open_accounts(&large_channels, GROWTH_ACCOUNTS).await?;
    let mut round = 0;
    while journal_size(&large.url)?.rows.unsigned_abs() < plan.growth {
        round += 1;
        let minute = std::time::Duration::from_secs(60);
        load::streams(&large_channels, 4, GROWTH_ACCOUNTS, 2_000, minute, &format!("grow-{round}")).await?;
    }
    // What the load has left to be written is not the posts' to pay for.
    sql_query("checkpoint").execute(&mut PgConnection::establish(&large.url)?)?;
    for turn in 1..=TURNS {
        let tag = format!("turn-{turn}");
        let few = load::unary(&young_channels, 256, GROWTH_ACCOUNTS, &Choice::Uniform, plan.time(), &tag).await?;
        let many = load::unary(&large_channels, 256, GROWTH_ACCOUNTS, &Choice::Uniform, plan.time(), &tag).await?;
        let name = format!("unary Post/s with {} entries / a young journal, turn {turn}", plan.growth);
        report.figure(&name, many.rate, few.rate);
    }
    Ok(())
}
