//! `billing-server verify`: checks the whole ledger.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use billing_db::{Database, DbError, migrate};

use super::{open_existing, progress, say};
use crate::audit::{Audit, Finding};
use crate::config::Config;
use crate::engine::seal;

/// Of more findings than these only the number is told.
const MAX_SHOWN: usize = 1_000;

/// Checks every partition and prints what breaks the rules. The exit code tells, too: 0 when nothing does.
///
/// # Errors
/// When the database cannot be read.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let database = open_existing(config).map_err(|error| {
        let is_in_use = matches!(error.downcast_ref(), Some(DbError::InUse(_)));
        if is_in_use {
            error.context("a server that runs can check itself: call LedgerService.VerifyLedger")
        } else {
            error
        }
    })?;
    if migrate::pending(&database).context("the database cannot be read")? {
        bail!("{} is not up to date: run `billing-server migrate` first", config.database_name());
    }
    Ok(if audit(&database)? == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks every partition and prints what breaks the rules; tells how much does.
pub(super) fn audit(database: &Database) -> anyhow::Result<i64> {
    let mut audit = database.read(Audit::of_ledger)?;
    let bar = progress("checking", audit.total_rows().unsigned_abs());
    let mut shown = 0;
    while let Some(step) = database.read(|conn| audit.step(conn))? {
        bar.set_position(audit.summary().rows.unsigned_abs());
        for finding in step.findings.iter().take(MAX_SHOWN - shown) {
            let line = line(finding);
            bar.suspend(|| say(&line))?;
            shown += 1;
        }
    }
    bar.finish_and_clear();
    let summary = audit.summary();
    if summary.findings == 0 {
        say(&format!("{} rows are sound; the texts of {} of them were erased.", summary.rows, summary.erased))?;
    } else {
        say(&format!("{} findings in {} rows; {shown} are shown.", summary.findings, summary.rows))?;
    }
    for (partition, position, hash) in &summary.heads {
        say(&format!("  partition {partition} ends at position {position} with hash {}", seal::hex(hash)))?;
    }
    Ok(summary.findings)
}

fn line(finding: &Finding) -> String {
    let place = finding.at.map_or_else(String::new, |(partition, position)| format!("{partition}-{position}: "));
    let account = match (finding.account_id.as_str(), finding.sequence) {
        ("", _) => String::new(),
        (account_id, 0) => format!(", account {account_id}"),
        (account_id, sequence) => format!(", row {sequence} of account {account_id}"),
    };
    let difference = if finding.expected.is_empty() && finding.found.is_empty() {
        String::new()
    } else {
        format!(" Expected {}, found {}.", or_nothing(&finding.expected), or_nothing(&finding.found))
    };
    format!("{place}{:?}{account}: {}{difference}", finding.fault, finding.message)
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}
