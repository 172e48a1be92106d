//! Reading the rows of a partition, or of one account, page by page.

use std::collections::{BTreeMap, HashMap};

use billing_db::{AccountRow, Conn, DbError, JournalRow, accounts, journal, names};

use super::PAGE;
use super::account::Account;
use super::chain::{Chain, Seen, check_hash};
use super::finding::Finding;
use super::tables::Tables;
use super::totals::Totals;
use crate::domain::currency::Currency;
use crate::domain::record::Payload;
use crate::engine::record::payload_of;

/// The way through the rows of a partition, or of one account in it.
#[derive(Debug)]
pub(super) struct Walk {
    partition: i16,
    /// Rows above this position came after the audit began.
    end: i64,
    chain: Chain,
    /// The one account that is looked at.
    only: Option<Box<AccountRow>>,
    owners: HashMap<i64, Owner>,
    names: HashMap<i32, String>,
    accounts: BTreeMap<i64, Account>,
    tables: Tables,
    done: bool,
}

/// What the hash of a row needs to know of its account.
#[derive(Clone, Debug)]
struct Owner {
    account_id: String,
    currency: Option<Currency>,
    secret: Option<[u8; 32]>,
}

/// Rows with everything that is needed to check them.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    seen: Seen,
    payload: Payload,
    /// The amount of the entry that the row reverses.
    original: Option<i64>,
    /// The hash before the row, where rows in between are left out.
    before: Option<Vec<u8>>,
}

impl Page {
    pub(super) fn count(&self) -> i64 {
        i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn erased(&self) -> i64 {
        i64::try_from(self.rows.iter().filter(|item| item.seen.is_erased()).count()).unwrap_or(i64::MAX)
    }
}

impl Walk {
    /// Through all rows of a partition that are written by now.
    pub(super) fn of_partition(conn: &mut Conn<'_>, partition: i16) -> Result<Self, DbError> {
        let end = journal::tail(conn, partition)?.map_or(-1, |tail| tail.position);
        Ok(Self {
            partition,
            end,
            chain: Chain::new(),
            only: None,
            owners: HashMap::from([(0, Owner { account_id: String::new(), currency: None, secret: None })]),
            names: HashMap::new(),
            accounts: BTreeMap::new(),
            tables: Tables::default(),
            done: false,
        })
    }

    /// Through the rows of an account that are written by now.
    pub(super) fn of_account(conn: &mut Conn<'_>, row: AccountRow) -> Result<Self, DbError> {
        let walk = Self::of_partition(conn, row.partition)?;
        Ok(Self { only: Some(Box::new(row)), ..walk })
    }

    /// How many rows there are to look at, as far as that is known.
    pub(super) fn total_rows(&self) -> i64 {
        match self.only {
            // Sequences are not known without reading.
            Some(_) => 0,
            None => self.end + 1,
        }
    }

    /// The last row looked at.
    pub(super) fn at(&self) -> (i16, i64) {
        (self.partition, self.chain.position.max(0))
    }

    /// Whether all rows have been looked at.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The accounts as their rows make them.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The end of the chain, if all of it was read.
    pub(super) fn head(&self) -> Option<(i16, i64, Vec<u8>)> {
        let is_whole = self.only.is_none() && self.chain.position >= 0;
        is_whole.then(|| (self.partition, self.chain.position, self.chain.hash.clone()))
    }

    /// Reads the next page of rows.
    pub(super) fn page(&mut self, conn: &mut Conn<'_>) -> Result<Page, DbError> {
        if self.done {
            return Ok(Page { rows: Vec::new() });
        }
        let rows = self.read(conn)?;
        self.done = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        self.learn(conn, &rows)?;
        let mut before = self.hashes_before(conn, &rows)?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let payload = payload_of(&row);
            let original = match payload.reverses_sequence {
                Some(sequence) => journal::row_of(conn, row.partition, row.account, sequence)?
                    .filter(|row| matches!(row.kind, 1..=13))
                    .map(|row| row.amount),
                None => None,
            };
            let before = before.remove(&row.position);
            items.push(Item { seen: self.seen(row), payload, original, before });
        }
        Ok(Page { rows: items })
    }

    fn read(&self, conn: &mut Conn<'_>) -> Result<Vec<JournalRow>, DbError> {
        match &self.only {
            None => {
                let limit = PAGE.min(self.end - self.chain.position);
                if limit <= 0 {
                    Ok(Vec::new())
                } else {
                    journal::rows_after(conn, self.partition, self.chain.position, limit)
                }
            }
            Some(only) => {
                let after = self.accounts.get(&only.account).map_or(0, |account| account.sequence);
                journal::rows_of_account(conn, self.partition, only.account, after, self.end, PAGE)
            }
        }
    }

    /// Learns the names and the owners of rows that are not known yet.
    fn learn(&mut self, conn: &mut Conn<'_>, rows: &[JournalRow]) -> Result<(), DbError> {
        let mut unknown: Vec<i64> = rows.iter().map(|row| row.account).collect();
        unknown.retain(|account| !self.owners.contains_key(account));
        unknown.sort_unstable();
        unknown.dedup();
        for row in accounts::get_by_numbers(conn, self.partition, &unknown)? {
            let owner = Owner {
                account_id: row.account_id,
                currency: Currency::parse(&row.currency),
                secret: row.secret.and_then(|secret| secret.try_into().ok()),
            };
            self.owners.insert(row.account, owner);
        }
        let numbers = rows.iter().flat_map(|row| [row.counter, row.category, row.created_by]).flatten();
        let known = self.names.keys().copied().max().unwrap_or(0);
        if numbers.max().is_some_and(|number| number > known) {
            self.names
                .extend(names::after(conn, self.partition, known)?.into_iter().map(|row| (row.name_id, row.name)));
        }
        Ok(())
    }

    /// The hash before each row, where the rows do not follow each other.
    fn hashes_before(&self, conn: &mut Conn<'_>, rows: &[JournalRow]) -> Result<HashMap<i64, Vec<u8>>, DbError> {
        if self.only.is_none() {
            return Ok(HashMap::new());
        }
        let positions: Vec<i64> = rows.iter().map(|row| row.position - 1).collect();
        let before = journal::rows_at(conn, self.partition, &positions)?;
        Ok(before.into_iter().map(|row| (row.position + 1, row.hash)).collect())
    }

    fn seen(&self, row: JournalRow) -> Seen {
        let owner = self.owners.get(&row.account);
        // A number without a name gives a hash that is not the row's.
        let name = |number: Option<i32>| {
            number.map(|number| self.names.get(&number).cloned().unwrap_or_else(|| format!("#{number}")))
        };
        Seen {
            account_id: owner.map(|owner| owner.account_id.clone()).unwrap_or_default(),
            secret: owner.and_then(|owner| owner.secret),
            counter: name(row.counter),
            category: name(row.category),
            created_by: name(row.created_by),
            row,
        }
    }

    /// Checks a page of rows.
    pub(super) fn check(&mut self, page: &Page, totals: &mut Totals, findings: &mut Vec<Finding>) {
        for item in &page.rows {
            let (row, seen) = (&item.seen.row, &item.seen);
            match (&self.only, &item.before) {
                (None, _) => self.chain.follow(seen, findings),
                (Some(_), before) => {
                    check_hash(seen, before.as_deref().unwrap_or_default(), findings);
                    self.chain.position = row.position;
                }
            }
            // The genesis row is numbered 0 like nothing else.
            if row.position == 0 {
                continue;
            }
            let currency = self.owners.get(&row.account).and_then(|owner| owner.currency);
            let account = self.accounts.entry(row.account).or_insert_with(|| Account::new(&seen.account_id, currency));
            account.follow(seen, &item.payload, item.original, findings);
            totals.add(seen, &item.payload, account, findings);
        }
    }

    /// Compares the next page of the tables beside the journal; true when nothing is left to compare.
    pub(super) fn compare(&mut self, conn: &mut Conn<'_>, findings: &mut Vec<Finding>) -> Result<bool, DbError> {
        let (partition, end) = (self.partition, self.end);
        match &self.only {
            None => self.tables.compare_page(conn, partition, end, &self.accounts, findings),
            Some(only) => {
                self.tables.compare_account(conn, partition, only.account, &self.accounts, findings)?;
                Ok(true)
            }
        }
    }
}
