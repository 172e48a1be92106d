//! A journal row with the names that it stores as numbers.

use std::sync::Arc;

use billing_db::JournalRow;

use crate::domain::amounts::Amounts;
use crate::domain::head::Identity;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::record::{Kind, Payload, Texts};

/// A row of the journal as everything outside the writer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The row as stored.
    pub row: JournalRow,
    /// What kind of row.
    pub kind: Kind,
    /// Whose row; absent for a row of no account.
    pub identity: Option<Arc<Identity>>,
    /// Who took the other side.
    pub counter: Option<Arc<str>>,
    /// The caller's grouping.
    pub category: Option<Arc<str>>,
    /// Who asked for it.
    pub created_by: Option<Arc<str>>,
    /// The account's amounts before it, where they were at hand.
    pub before: Option<Amounts>,
}

impl Record {
    /// The amounts after the row.
    pub fn after(&self) -> Amounts {
        amounts_after(&self.row)
    }

    /// When it was recorded.
    pub fn recorded_at(&self) -> Instant {
        Instant::from_micros(self.row.recorded_at)
    }

    /// What the row says beyond its columns.
    pub fn payload(&self) -> Payload {
        payload_of(&self.row)
    }

    /// The erasable texts.
    pub fn texts(&self) -> Texts {
        let details = self.row.details.as_deref().and_then(|json| serde_json::from_str(json).ok());
        Texts {
            description: self.row.description.clone(),
            reference: self.row.reference.clone(),
            details: details.unwrap_or_default(),
        }
    }

    /// The sequence of the account's last entry, this row included.
    pub fn entry_sequence(&self) -> i64 {
        entry_sequence_of(&self.row)
    }

    /// Names the transaction the row was written in.
    pub fn transaction_id(&self, payload: &Payload) -> String {
        payload.transaction_id.clone().unwrap_or_else(|| format!("{}-{}", self.row.partition, self.row.position))
    }
}

/// The sequence of the account's last entry after `row`.
pub fn entry_sequence_of(row: &JournalRow) -> i64 {
    row.entry_sequence.unwrap_or(if matches!(row.kind, 1..=13) { row.sequence } else { 0 })
}

/// What a row says beyond its columns; nothing, if it says something this server does not know.
pub fn payload_of(row: &JournalRow) -> Payload {
    row.payload.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// The amounts after a row.
pub fn amounts_after(row: &JournalRow) -> Amounts {
    let money = |micros: Option<i64>| Money::from_micros(micros.unwrap_or(0));
    Amounts {
        posted: Money::from_micros(row.posted_after),
        held: money(row.held_after),
        bonus: money(row.bonus_after),
        credit_limit: money(row.credit_limit_after),
        promised: money(row.promised_after),
        not_due: money(row.not_due_after),
        overdue: money(row.overdue_after),
    }
}
