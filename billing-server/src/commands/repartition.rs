//! `billing-server repartition`: copies the ledger into a new database with another number of partitions, while no server
//! runs.
//!
//! What stays: every account's rows, their sequences, texts, keys, amounts and times; holds, remembered refusals, what
//! will fall due, closed books. What cannot stay, because it depends on the partition: positions, hashes, the numbers of
//! accounts and names, and with the hashes the resume tokens, which the new database answers as diverged. The genesis row
//! of each new chain covers the newest hash of every old one. Rows of different old partitions are put in the order in
//! which they were recorded.
//!
//! The id of a transaction names the place of its first row, so it moves with that row: were old ids kept, a later row
//! could come to stand at a place whose name is taken. Rows that say only which refusals were remembered (OUTCOMES) are
//! left out: what they cover is spread over other partitions now, and the old chain, whose hash is kept, proves it.

mod compare;
mod copy;
mod sides;
mod source;

use std::process::ExitCode;

use anyhow::bail;
use billing_db::{Database, migrate, partitions};
use serde_json::json;

use self::copy::Target;
use self::source::Source;
use super::{open, open_existing, progress, say, verify};
use crate::config::{Config, Loaded, Origin, without_password};
use crate::engine::seal;
use crate::time::World;

/// The setting that says which servers a database serves, and what it says while the copy is not complete: none.
const OLDEST_SERVER: &str = "oldest_server";
const NO_SERVER: i64 = i64::MAX;

/// What `repartition` is told beside `--partitions`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The new database, which must be empty; how many partitions it gets is said by --partitions
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// Copies, then audits the copy and compares it with the original.
///
/// # Errors
/// When the number of partitions is not said, the new database is not empty, the old one changes meanwhile, or the copy
/// is not what it should be.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let (Some(count), Some(Origin::Flag(_))) = (config.partitions, loaded.origin("partitions")) else {
        bail!("say how many partitions the new database gets: --partitions N");
    };
    let old = open_existing(config)?;
    if migrate::pending(&old)? {
        bail!("{} is not up to date: run `billing-server migrate` on it first", config.database_name());
    }
    let mut source = Source::read(&old, count)?;
    let new = create(config, arguments, count, &source)?;
    let oldest_server = new.read(|conn| partitions::setting(conn, OLDEST_SERVER))?;
    partitions::put_setting(&mut new.writer()?.conn(), OLDEST_SERVER, &NO_SERVER.to_string())?;

    let rows = copy(&old, &new, &mut source, count)?;
    source.refuse_changes(&old)?;
    compare::heads(&old, &new, &source)?;
    let violations = verify::audit(&new)?;
    if violations > 0 {
        bail!("the copy has {violations} violations, so no server will use it; is the original sound? See `verify`");
    }
    partitions::put_setting(&mut new.writer()?.conn(), OLDEST_SERVER, oldest_server.as_deref().unwrap_or("1"))?;
    // Once more, for the statistics of tables that are full now.
    migrate::run(&new, None, 0, "", &|partition| seal::genesis(partition, 0, None))?;
    say(&format!(
        "{} rows of {} accounts: {} partition(s) in {} became {count} in {}.\nThe copy is sound and every balance is the \
         same. Tokens of event streams that were made before answer DIVERGED: their readers begin anew.",
        rows,
        source.owners.len(),
        source.partitions.len(),
        config.database_name(),
        without_password(&arguments.to)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The new database with its partitions, whose genesis rows cover the ends of the old chains.
fn create(config: &Config, arguments: &Arguments, count: u16, source: &Source) -> anyhow::Result<Database> {
    let new = open(&arguments.to, config)?;
    // Without tables the question fails, which is an answer too.
    let existing = new.read(partitions::all).map(|rows| rows.len()).unwrap_or_default();
    if existing > 0 {
        bail!("{} is not empty: it holds a ledger already", without_password(&arguments.to));
    }
    let world = World::default();
    let ancestry = json!({
        "database_id": source.database_id,
        "ancestors": source.partitions.iter().map(|partition| json!({
            "partition": partition.number,
            "position": partition.tail.position,
            "hash": seal::hex(&partition.tail.hash),
        })).collect::<Vec<_>>(),
    })
    .to_string();
    let genesis = |partition| seal::genesis(partition, source.begins_at, Some(ancestry.clone()));
    let secret = seal::hex(&world.secret());
    migrate::run(&new, Some(count), world.clock.now().micros(), &secret, &genesis)?;
    Ok(new)
}

/// Copies everything; tells how many rows the new journals have.
fn copy(old: &Database, new: &Database, source: &mut Source, count: u16) -> anyhow::Result<u64> {
    let total = source.rows();
    let bar = progress("reading", total);
    let legs = source::legs(old, source, count, &bar)?;
    bar.finish_and_clear();
    let bar = progress("copying", total);
    let mut target = Target::of(new, count)?;
    let mut rows = source.merged();
    while let Some(row) = rows.next(old)? {
        copy::row(&mut target, source, &legs, &row)?;
        bar.inc(1);
    }
    target.flush()?;
    bar.finish_and_clear();
    sides::copy(old, &mut target, source, count)?;
    Ok(target.rows())
}

#[cfg(test)]
mod tests;
