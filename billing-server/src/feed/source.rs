//! What the feed needs of the journal, beside the notices of the engine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use billing_db::heads::{BalanceFilter, HeadRow};
use billing_db::{Conn, DbError, HoldRow, heads, journal};
use futures_util::future::BoxFuture;

use super::merge::{After, Merge, PAGE};
use super::token::Mark;
use crate::convert::event::Standing;
use crate::domain::amounts::Amounts;
use crate::domain::currency::Currency;
use crate::domain::head::Identity;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::domain::record::Kind;
use crate::engine::Engine;
use crate::engine::record::{Record, amounts_after};

/// An answer of the journal.
pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, Refusal>>;

/// Rows of a partition in order, and how far the journal was read for them.
#[derive(Debug)]
pub(super) struct Page {
    /// Those that are wanted.
    pub(super) records: Vec<Record>,
    /// The last row that was looked at; none when there is none.
    pub(super) read_to: Option<Mark>,
}

/// One page of a snapshot.
#[derive(Clone, Debug)]
pub(super) struct BalancePage {
    /// The partition.
    pub(super) partition: u16,
    /// Whose balances.
    pub(super) filter: BalanceFilter,
    /// Only accounts whose id comes after this one.
    pub(super) after_account_id: String,
    /// As of this position.
    pub(super) up_to: i64,
    /// At most so many.
    pub(super) limit: usize,
}

/// The journal as the feed reads it.
pub(super) trait Source: Send + Sync {
    /// The present moment.
    fn now(&self) -> Instant;

    /// The newest row of a partition that this process knows of.
    fn newest(&self, partition: u16) -> Mark;

    /// The rows at these places, by partition and position.
    fn marks(&self, places: Vec<(u16, i64)>) -> Answer<'_, Vec<Option<Mark>>>;

    /// The rows above a position; with `only`, those of these accounts among them.
    fn above(&self, partition: u16, position: i64, limit: usize, only: Option<Arc<HashSet<i64>>>) -> Answer<'_, Page>;

    /// The next rows of some accounts above a position, and whether these are all.
    fn merged(&self, partition: u16, position: i64, limit: usize, merge: Merge) -> Answer<'_, (Page, Option<Merge>)>;

    /// The amounts after rows named by account and sequence.
    fn amounts_after(&self, partition: u16, rows: Vec<(i64, i64)>) -> Answer<'_, Vec<Amounts>>;

    /// Who the accounts with these ids are; `None` for what does not exist.
    fn identities(&self, account_ids: Vec<String>) -> Answer<'_, Vec<Option<Arc<Identity>>>>;

    /// Where accounts stand as of a position, in the order of their ids.
    fn balances(&self, page: BalancePage) -> Answer<'_, Vec<Standing>>;
}

fn db_partition(partition: u16) -> i16 {
    i16::try_from(partition).unwrap_or(i16::MAX)
}

fn db_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Source for Engine {
    fn now(&self) -> Instant {
        Self::now(self)
    }

    fn newest(&self, partition: u16) -> Mark {
        let (position, hash) = self.position(partition);
        Mark::new(position, &hash)
    }

    fn marks(&self, places: Vec<(u16, i64)>) -> Answer<'_, Vec<Option<Mark>>> {
        Box::pin(self.read(move |conn| {
            let mark = |(partition, position)| {
                let row = journal::row_at(conn, db_partition(partition), position)?;
                Ok(row.as_ref().map(Mark::of))
            };
            places.into_iter().map(mark).collect()
        }))
    }

    fn above(&self, partition: u16, position: i64, limit: usize, only: Option<Arc<HashSet<i64>>>) -> Answer<'_, Page> {
        let engine = self.clone();
        Box::pin(self.read(move |conn| {
            let mut rows = journal::rows_after(conn, db_partition(partition), position, db_limit(limit))?;
            let read_to = rows.last().map(Mark::of);
            if let Some(only) = only {
                rows.retain(|row| only.contains(&row.account));
            }
            Ok(Page { records: engine.records(conn, rows)?, read_to })
        }))
    }

    fn merged(
        &self,
        partition: u16,
        position: i64,
        limit: usize,
        mut merge: Merge,
    ) -> Answer<'_, (Page, Option<Merge>)> {
        let engine = self.clone();
        Box::pin(self.read(move |conn| {
            let number = db_partition(partition);
            let merged = merge.next(position, limit, |account, after, up_to| {
                let sequence = match after {
                    After::Sequence(sequence) => sequence,
                    After::Position(position) => {
                        journal::last_row_below(conn, number, account, position)?.map_or(0, |row| row.sequence)
                    }
                };
                journal::rows_of_account(conn, number, account, sequence, up_to, PAGE)
            })?;
            let records = engine.records(conn, merged.rows)?;
            let rest = (!merged.is_done).then_some(merge);
            Ok((Page { records, read_to: Some(merged.read_to) }, rest))
        }))
    }

    fn amounts_after(&self, partition: u16, rows: Vec<(i64, i64)>) -> Answer<'_, Vec<Amounts>> {
        Box::pin(self.read(move |conn| {
            let amounts = |(account, sequence)| {
                let row = journal::row_of(conn, db_partition(partition), account, sequence)?;
                let missing = || DbError::Invariant(format!("account {account} of {partition} lacks row {sequence}"));
                row.as_ref().map(amounts_after).ok_or_else(missing)
            };
            rows.into_iter().map(amounts).collect()
        }))
    }

    fn identities(&self, account_ids: Vec<String>) -> Answer<'_, Vec<Option<Arc<Identity>>>> {
        Box::pin(async move {
            let heads = self.heads(&account_ids).await?;
            Ok(heads.into_iter().map(|head| head.map(|head| Arc::clone(&head.identity))).collect())
        })
    }

    fn balances(&self, page: BalancePage) -> Answer<'_, Vec<Standing>> {
        let now = Self::now(self).micros();
        Box::pin(self.read(move |conn| {
            let partition = db_partition(page.partition);
            let (after, limit) = (page.after_account_id.as_str(), db_limit(page.limit));
            let rows = heads::balances_at(conn, partition, &page.filter, after, page.up_to, limit)?;
            standings(conn, partition, rows, now)
        }))
    }
}

/// Where accounts stand as `now` sees them: a hold that has ended counts no more, whether or not its row is written.
fn standings(conn: &mut Conn<'_>, partition: i16, rows: Vec<HeadRow>, now: i64) -> Result<Vec<Standing>, DbError> {
    let holding: Vec<i64> =
        rows.iter().filter(|row| row.last.held_after.is_some()).map(|row| row.account.account).collect();
    let mut ended: HashMap<i64, Vec<HoldRow>> = HashMap::new();
    if !holding.is_empty() {
        for hold in heads::open_holds(conn, partition, &holding)? {
            if hold.expires_at <= now {
                ended.entry(hold.account).or_default().push(hold);
            }
        }
    }
    rows.into_iter()
        .map(|row| {
            let ended = ended.remove(&row.account.account).unwrap_or_default();
            standing(row, &ended)
        })
        .collect()
}

fn standing(row: HeadRow, ended: &[HoldRow]) -> Result<Standing, DbError> {
    let HeadRow { account, last } = row;
    let unknown = |what: &str| DbError::Invariant(format!("account {} has an unknown {what}", account.account_id));
    let currency = Currency::parse(&account.currency).ok_or_else(|| unknown("currency"))?;
    let partition = u16::try_from(account.partition).map_err(|_| unknown("partition"))?;
    // Those changed above the position of the snapshot are another story, which its events tell.
    let ended = ended.iter().filter(|hold| hold.updated_at <= last.recorded_at);
    let freed: i64 = ended.map(|hold| hold.amount.saturating_sub(hold.captured)).sum();
    let amount = |micros: Option<i64>| Money::from_micros(micros.unwrap_or(0));
    let is_entry = Kind::from_number(last.kind).is_some_and(Kind::is_entry);
    Ok(Standing {
        identity: Identity {
            partition,
            account: account.account,
            account_id: account.account_id,
            customer_id: account.customer_id,
            currency,
        },
        sequence: last.sequence,
        entry_sequence: last.entry_sequence.unwrap_or(if is_entry { last.sequence } else { 0 }),
        amounts: Amounts {
            posted: Money::from_micros(last.posted_after),
            held: amount(last.held_after.map(|held| held.saturating_sub(freed).max(0))),
            bonus: amount(last.bonus_after),
            credit_limit: amount(last.credit_limit_after),
            promised: amount(last.promised_after),
            not_due: amount(last.not_due_after),
            overdue: amount(last.overdue_after),
        },
    })
}
