//! Memory, bytes on disk, and what a large journal costs.

use anyhow::{Context, Result};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};

use crate::Plan;
use crate::load::{self, Choice};
use crate::machine::memory_mib;
use crate::report::Report;
use crate::setup::Bench;

/// Long enough for the load to have changed most pages once: a fraction of the five minutes between checkpoints.
const BETWEEN_CHECKPOINTS: std::time::Duration = std::time::Duration::from_secs(45);

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

pub async fn growth(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    const ACCOUNTS: usize = 100_000;
    let server = bench.server(&[])?;
    let channels = server.channels(8).await?;
    load::open_accounts(&channels, ACCOUNTS).await?;
    let empty = load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "g0").await?;
    let mut round = 0;
    loop {
        let size = journal_size(&server.url)?;
        if size.rows.unsigned_abs() >= plan.growth {
            break;
        }
        round += 1;
        let minute = std::time::Duration::from_secs(60);
        load::streams(&channels, 4, ACCOUNTS, 2_000, minute, &format!("grow-{round}")).await?;
    }
    // The first change of a page after a checkpoint writes the whole page to the log: that is told apart.
    sql_query("checkpoint").execute(&mut PgConnection::establish(&server.url)?)?;
    let name = format!("unary Post/s with {} entries / none", plan.growth);
    let first = load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "g1").await?;
    report.figure(&format!("{name}, after a checkpoint"), first.rate, empty.rate);
    load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, BETWEEN_CHECKPOINTS, "g2").await?;
    let later = load::unary(&channels, 256, ACCOUNTS, &Choice::Uniform, plan.time(), "g3").await?;
    report.figure(&format!("{name}, later"), later.rate, empty.rate);
    Ok(())
}
