//! The books as a whole: closing them, and the trial balance.

use billing_proto::v1;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::{Error, Malformed};
use crate::macros::request;
use crate::position::Position;
use crate::wire::{amount, date, required};

request! {
    /// Closes the books of all accounts: no entry can be booked on a day up to the date any more.
    CloseBooks as CloseBooksRequest { key, reason }
}

impl CloseBooks {
    /// Up to this booking date, itself included.
    pub fn until(date: NaiveDate) -> Self {
        Self {
            wire: v1::CloseBooksRequest {
                until_date: date.to_string(),
                idempotency_key: Uuid::new_v4().to_string(),
                reason: String::new(),
            },
        }
    }
}

/// Up to when the books are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BooksClosed {
    /// The last booking date that is closed.
    pub until_date: NaiveDate,
    /// True when it was closed up to this date before.
    pub replayed: bool,
    /// Where the closing stands in the journal of each partition.
    pub positions: Vec<Position>,
}

/// The turnover of a period.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrialBalance {
    /// The row of all client accounts, and one for each counter account that was touched, by name.
    pub rows: Vec<TrialBalanceRow>,
    /// The sum of all rows.
    pub total: Turnover,
    /// The journal was read up to here in each partition.
    pub positions: Vec<Position>,
}

/// The turnover of one counter account, or of all client accounts together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrialBalanceRow {
    /// The name of the counter account, or `clients`.
    pub account: String,
    /// True on the row of all client accounts.
    pub clients: bool,
    /// What was taken and given.
    pub turnover: Turnover,
}

/// What was taken and given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turnover {
    /// What was taken, not negative.
    pub debits: Decimal,
    /// What was given, not negative.
    pub credits: Decimal,
    /// Credits minus debits: zero in the total of a sound ledger.
    pub net: Decimal,
}

impl BooksClosed {
    pub(crate) fn read(answer: v1::CloseBooksResponse) -> Result<Self, Error> {
        Ok(Self {
            until_date: date("until_date", &answer.until_date)?,
            replayed: answer.replayed,
            positions: answer.positions.into_iter().map(Into::into).collect(),
        })
    }
}

impl TryFrom<v1::GetTrialBalanceResponse> for TrialBalance {
    type Error = Malformed;

    fn try_from(answer: v1::GetTrialBalanceResponse) -> Result<Self, Malformed> {
        let total = required("total", answer.total)?;
        Ok(Self {
            rows: answer.rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            total: Turnover::read("total", total.debits, total.credits, total.net)?,
            positions: answer.positions.into_iter().map(Into::into).collect(),
        })
    }
}

impl TryFrom<v1::TrialBalanceRow> for TrialBalanceRow {
    type Error = Malformed;

    fn try_from(row: v1::TrialBalanceRow) -> Result<Self, Malformed> {
        let turnover = Turnover::read("row", row.debits, row.credits, row.net)?;
        Ok(Self { account: row.account, clients: row.clients, turnover })
    }
}

impl Turnover {
    fn read(
        field: &str,
        debits: Option<v1::Money>,
        credits: Option<v1::Money>,
        net: Option<v1::Money>,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            debits: amount(&format!("{field}.debits"), debits)?,
            credits: amount(&format!("{field}.credits"), credits)?,
            net: amount(&format!("{field}.net"), net)?,
        })
    }
}
