//! What lies beside the journals: accounts, holds, reversals, remembered refusals, what will fall due, closed books.

use billing_db::accounts::AccountFilter;
use billing_db::changes::Change;
use billing_db::holds::{self, HoldFilter};
use billing_db::{AccountRow, Database, DueRow, HoldRow, OutcomeRow, ReversalRow, accounts, due, outcomes, reversals};

use super::copy::Target;
use super::source::{PAGE, Source};
use crate::commands::progress;

/// Copies all of it.
pub(super) fn copy(old: &Database, target: &mut Target, source: &Source, count: u16) -> anyhow::Result<()> {
    let bar = progress("accounts", u64::try_from(source.owners.len())?);
    for partition in &source.partitions {
        let number = partition.number;
        let mut after: Option<String> = None;
        loop {
            let filter = AccountFilter::default();
            let page = old.read(|conn| accounts::list(conn, number, &filter, after.as_deref(), PAGE))?;
            let Some(last) = page.last() else { break };
            after = Some(last.account_id.clone());
            bar.inc(u64::try_from(page.len())?);
            for account in page {
                copy_account(old, target, source, account)?;
            }
        }
    }
    // Refusals and what falls due refer to accounts, which are all there from here on.
    target.flush()?;
    for partition in &source.partitions {
        copy_outcomes(old, target, source, partition.number)?;
        copy_due(old, target, source, partition.number)?;
    }
    if let Some(until) = source.closed_until {
        for number in (0_i16..).take(usize::from(count)) {
            target.change(number, Change::CloseBooks { partition: number, until })?;
        }
    }
    target.flush()?;
    bar.finish_and_clear();
    Ok(())
}

fn copy_account(old: &Database, target: &mut Target, source: &Source, row: AccountRow) -> anyhow::Result<()> {
    let was = (row.partition, row.account);
    let Some(owner) = source.owners.get(&was) else { return Ok(()) };
    let (partition, account) = (owner.home, owner.number);
    target.change(partition, Change::InsertAccount(AccountRow { partition, account, ..row }))?;
    if owner.has_holds {
        let filter = HoldFilter { account: was.1, ..HoldFilter::default() };
        let mut before: Option<(i64, String)> = None;
        loop {
            let from = before.as_ref().map(|(at, hold_id)| (*at, hold_id.as_str()));
            let page = old.read(|conn| holds::list(conn, was.0, &filter, from, PAGE))?;
            let Some(last) = page.last() else { break };
            before = Some((last.placed_at, last.hold_id.clone()));
            for row in page {
                target.change(partition, Change::PutHold(HoldRow { partition, account, ..row }))?;
            }
        }
    }
    for sequences in owner.reversed.chunks(1_000) {
        for row in old.read(|conn| reversals::find(conn, was.0, was.1, sequences))? {
            target.change(partition, Change::PutReversal(ReversalRow { partition, account, ..row }))?;
        }
    }
    Ok(())
}

fn copy_outcomes(old: &Database, target: &mut Target, source: &Source, number: i16) -> anyhow::Result<()> {
    let mut after: Vec<u8> = Vec::new();
    loop {
        let page = old.read(|conn| outcomes::after(conn, number, &after, PAGE))?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.key_hash);
        for row in page {
            // A refusal of what belongs to no account stands in the first partition.
            let Some((partition, account)) = place(source, number, row.account) else { continue };
            target.change(partition, Change::InsertOutcome(OutcomeRow { partition, account, ..row }))?;
        }
    }
}

fn copy_due(old: &Database, target: &mut Target, source: &Source, number: i16) -> anyhow::Result<()> {
    for row in old.read(|conn| due::next(conn, number, i64::MAX, i64::MAX))? {
        let Some((partition, account)) = place(source, number, row.account) else { continue };
        target.change(partition, Change::InsertDue(DueRow { partition, account, ..row }))?;
    }
    Ok(())
}

/// Where an account is now; what belongs to none is in the first partition.
fn place(source: &Source, partition: i16, account: i64) -> Option<(i16, i64)> {
    if account == 0 {
        return Some((0, 0));
    }
    source.owners.get(&(partition, account)).map(|owner| (owner.home, owner.number))
}
