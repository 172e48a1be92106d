//! `billing-server migrate`: brings the database up to date.

use std::process::ExitCode;

use super::{open, say};
use crate::config::Config;
use crate::server;
use crate::time::World;

/// What `migrate` may be told.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Arguments {
    /// Allow the newest layout of rows, too: once no older server uses the database
    #[arg(long)]
    pub finalize: bool,
}

/// Creates or updates the schema and prints what was done.
///
/// # Errors
/// When the database cannot be opened or changed, or does not fit this server.
pub fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = open(&config.database_url, config)?;
    let migrated = server::prepare(&database, config.partitions, &World::default())?;
    let name = config.database_name();
    let partitions = match migrated.partitions {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    if migrated.created {
        say(&format!("{name}: a new ledger with {partitions}"))?;
    } else if migrated.applied.is_empty() {
        say(&format!("{name}: up to date, {partitions}"))?;
    } else {
        say(&format!("{name}: brought up to date, {partitions}"))?;
    }
    for version in &migrated.applied {
        say(&format!("  applied {version}"))?;
    }
    if arguments.finalize {
        let format = billing_db::migrate::finalize(&database)?;
        say(&format!("  rows of layout {format} may be written; servers that do not know it no longer can"))?;
    }
    Ok(ExitCode::SUCCESS)
}
