//! The tables beside the journal: they say what its rows say.

use std::collections::{BTreeMap, HashSet};

use billing_db::heads::{self, HeadRow};
use billing_db::{AccountRow, Conn, DbError, accounts, reversals};

use super::PAGE;
use super::account::Account;
use super::finding::{Fault, Finding};
use crate::domain::accounts::Settings;

/// How far the tables of a partition have been compared.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The account compared last.
    after: Option<String>,
    /// The accounts met.
    met: HashSet<i64>,
}

impl Tables {
    /// Compares the next page of accounts with what is theirs; true when it was the last.
    pub(super) fn compare_page(
        &mut self,
        conn: &mut Conn<'_>,
        partition: i16,
        end: i64,
        known: &BTreeMap<i64, Account>,
        findings: &mut Vec<Finding>,
    ) -> Result<bool, DbError> {
        let rows = accounts::list(conn, partition, &accounts::AccountFilter::default(), self.after.as_deref(), PAGE)?;
        let numbers: Vec<i64> = rows.iter().map(|row| row.account).collect();
        for row in &rows {
            self.met.insert(row.account);
            if row.account <= end && !known.contains_key(&row.account) {
                findings.push(mismatch(&row.account_id, "No row of the journal has opened the account."));
            }
        }
        compare(conn, partition, &numbers, known, findings)?;
        self.after = rows.last().map(|row| row.account_id.clone());
        let is_last = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        if is_last {
            // Account 0 stands for rows of no account.
            for (number, account) in known.iter().filter(|(number, _)| **number != 0 && !self.met.contains(number)) {
                let finding = mismatch(&account.id, "The account stands in the journal and not in its table.");
                findings.push(finding.with(number, ""));
            }
        }
        Ok(is_last)
    }

    /// Compares one account.
    pub(super) fn compare_account(
        &mut self,
        conn: &mut Conn<'_>,
        partition: i16,
        account: i64,
        known: &BTreeMap<i64, Account>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), DbError> {
        self.met.insert(account);
        compare(conn, partition, &[account], known, findings)
    }
}

fn mismatch(account_id: &str, message: &'static str) -> Finding {
    Finding::of(Fault::StateMismatch, account_id, message)
}

/// Compares accounts, their open holds and what was reversed of their entries, on one snapshot. What has changed since its
/// rows were read is left out: it is another audit's.
fn compare(
    conn: &mut Conn<'_>,
    partition: i16,
    numbers: &[i64],
    known: &BTreeMap<i64, Account>,
    findings: &mut Vec<Finding>,
) -> Result<(), DbError> {
    let (rows, holds) = conn.read_only(|conn| {
        Ok((heads::load_by_accounts(conn, partition, numbers)?, heads::open_holds(conn, partition, numbers)?))
    })?;
    for HeadRow { account: row, last } in rows {
        let Some(account) = known.get(&row.account).filter(|account| account.sequence == last.sequence) else {
            continue;
        };
        compare_settings(&row, account, findings);
        let own = holds.iter().filter(|hold| hold.account == row.account);
        let open: BTreeMap<&str, i64> = own.map(|hold| (hold.hold_id.as_str(), hold.amount - hold.captured)).collect();
        let expected: BTreeMap<&str, i64> = account.open_holds.iter().map(|(id, rest)| (id.as_str(), *rest)).collect();
        if open != expected {
            let finding = mismatch(&row.account_id, "The table of holds does not hold the open holds.");
            findings.push(finding.with(format!("{expected:?}"), format!("{open:?}")));
        }
        compare_reversals(conn, &row, account, findings)?;
    }
    Ok(())
}

fn compare_settings(row: &AccountRow, account: &Account, findings: &mut Vec<Finding>) {
    if row.version != account.version {
        let finding = mismatch(&row.account_id, "The account is of another version than its last change.");
        findings.push(finding.with(account.version, row.version));
    }
    let Some(settings) = account.settings.as_deref() else { return };
    let (expected, found) = (written(settings), stored(row));
    if expected != found {
        let finding = mismatch(&row.account_id, "The settings of the account are not those of its last change.");
        findings.push(finding.with(format!("{expected:?}"), format!("{found:?}")));
    }
}

/// What the journal says of the settings, in the form of [`stored`].
fn written(settings: &Settings) -> [String; 11] {
    let terms = settings.payment_terms_days.map(|days| days.to_string()).unwrap_or_default();
    [
        settings.customer_id.clone(),
        settings.currency.code().to_owned(),
        settings.time_zone.name().to_owned(),
        settings.locale.clone(),
        (settings.state as i16).to_string(),
        (settings.billing_mode as i16).to_string(),
        settings.credit_limit.micros().to_string(),
        terms,
        settings.policy_id.clone().unwrap_or_default(),
        settings.created_at.micros().to_string(),
        settings.updated_at.micros().to_string(),
    ]
}

/// What the table says of them.
fn stored(row: &AccountRow) -> [String; 11] {
    [
        row.customer_id.clone(),
        row.currency.clone(),
        row.time_zone.clone(),
        row.locale.clone(),
        row.state.to_string(),
        row.billing_mode.to_string(),
        row.credit_limit.to_string(),
        row.payment_terms_days.map(|days| days.to_string()).unwrap_or_default(),
        row.policy_id.clone().unwrap_or_default(),
        row.created_at.to_string(),
        row.updated_at.to_string(),
    ]
}

fn compare_reversals(
    conn: &mut Conn<'_>,
    row: &AccountRow,
    account: &Account,
    findings: &mut Vec<Finding>,
) -> Result<(), DbError> {
    let sequences: Vec<i64> = account.reversed.keys().copied().collect();
    for chunk in sequences.chunks(1000) {
        let found = reversals::find(conn, row.partition, row.account, chunk)?;
        for sequence in chunk {
            let stated = found.iter().find(|row| row.sequence == *sequence).map_or(0, |row| row.reversed);
            let expected = account.reversed.get(sequence).copied().unwrap_or(0);
            if stated != expected {
                let message = "The table of reversals does not say what was reversed of an entry.";
                let finding = mismatch(&row.account_id, message).with(expected, stated);
                findings.push(Finding { sequence: *sequence, ..finding });
            }
        }
    }
    Ok(())
}
