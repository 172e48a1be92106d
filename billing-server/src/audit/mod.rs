//! The audit: reads the journal row by row and tells everything that contradicts the rules of the ledger.
//!
//! What is checked of each row: its hash and the hash of its key, its place, that time does not go back, that the amounts
//! after it follow from those before it, that holds add up to what is held, and that no entry is reversed beyond its
//! amount. When all rows are read: that the legs of every transfer and the sides of every currency sum to zero, and that the
//! tables beside the journal say what its rows say. It changes nothing and needs no engine, so a command can run it on a
//! database that nobody serves.

mod account;
mod chain;
mod finding;
mod tables;
mod totals;
mod walk;

use std::collections::VecDeque;

use billing_db::{Conn, DbError, accounts, partitions};

use self::totals::Totals;
use self::walk::Walk;

pub use self::finding::{Fault, Finding};

/// How many rows, or accounts, are read at once.
const PAGE: i64 = 1000;

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    waiting: VecDeque<Walk>,
    totals: Totals,
    /// Whether all rows are looked at, so that what belongs together can be added up.
    is_whole: bool,
    ended: bool,
    total_rows: i64,
    summary: Summary,
}

/// What one step has found, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The last row looked at.
    pub at: Option<(i16, i64)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What an audit comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows looked at.
    pub rows: i64,
    /// How many things are wrong.
    pub findings: i64,
    /// Rows whose texts were erased by anonymising.
    pub erased: i64,
    /// The end of each chain: partition, position, hash. None when one account was looked at.
    pub heads: Vec<(i16, i64, Vec<u8>)>,
}

impl Audit {
    /// Of everything that is written by now.
    ///
    /// # Errors
    /// What the database says.
    pub fn of_ledger(conn: &mut Conn<'_>) -> Result<Self, DbError> {
        let rows = partitions::all(conn)?;
        let walks = rows.iter().map(|row| Walk::of_partition(conn, row.partition)).collect::<Result<_, _>>()?;
        Ok(Self::new(walks, true))
    }

    /// Of the rows of one account; `None` if there is no such account.
    ///
    /// # Errors
    /// What the database says.
    pub fn of_account(conn: &mut Conn<'_>, partition: i16, account_id: &str) -> Result<Option<Self>, DbError> {
        match accounts::find(conn, partition, account_id)? {
            Some(row) => Ok(Some(Self::new(VecDeque::from([Walk::of_account(conn, row)?]), false))),
            None => Ok(None),
        }
    }

    fn new(waiting: VecDeque<Walk>, is_whole: bool) -> Self {
        let total_rows = waiting.iter().map(Walk::total_rows).sum();
        let (totals, summary) = (Totals::default(), Summary::default());
        Self { waiting, totals, is_whole, ended: false, total_rows, summary }
    }

    /// How many rows there are to look at.
    pub fn total_rows(&self) -> i64 {
        self.total_rows
    }

    /// What the audit comes to so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Looks at the next page of rows; `None` when all is done.
    ///
    /// # Errors
    /// What the database says.
    pub fn step(&mut self, conn: &mut Conn<'_>) -> Result<Option<Step>, DbError> {
        let mut findings = Vec::new();
        let Some(walk) = self.waiting.front_mut() else {
            return Ok(self.end());
        };
        let page = walk.page(conn)?;
        self.summary.rows += page.count();
        self.summary.erased += page.erased();
        walk.check(&page, &mut self.totals, &mut findings);
        let at = walk.at();
        if walk.is_done() {
            // A page of a table is a step of its own: no read takes longer than that.
            if walk.compare(conn, &mut findings)? {
                self.summary.heads.extend(walk.head());
                self.totals.add_accounts(walk.accounts());
                self.waiting.pop_front();
            }
        }
        self.summary.findings += i64::try_from(findings.len()).unwrap_or(i64::MAX);
        Ok(Some(Step { at: Some(at), findings }))
    }

    /// What can be told only when everything has been read.
    fn end(&mut self) -> Option<Step> {
        if self.ended || !self.is_whole {
            return None;
        }
        self.ended = true;
        let mut findings = Vec::new();
        self.totals.finish(&mut findings);
        self.summary.findings += i64::try_from(findings.len()).unwrap_or(i64::MAX);
        Some(Step { at: None, findings })
    }
}
