//! The old database: who is in it, and its rows in the order in which they were recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use billing_db::accounts::AccountFilter;
use billing_db::journal::Tail;
use billing_db::{Database, DbError, JournalRow, accounts, journal, names, partitions};
use indicatif::ProgressBar;

use crate::domain::identifier::partition_of;
use crate::domain::record::Kind;
use crate::engine::record::payload_of;
use crate::engine::seal::FORMAT;

/// Rows that one query reads.
pub(super) const PAGE: i64 = 1_000;

/// A partition and an account's number in it.
pub(super) type Number = (i16, i64);
/// A partition and a position in it.
pub(super) type Place = (i16, i64);

/// The old database as it was found.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) database_id: String,
    pub(super) partitions: Vec<Partition>,
    /// When the oldest journal begins.
    pub(super) begins_at: i64,
    pub(super) closed_until: Option<i32>,
    /// Everybody, by old number.
    pub(super) owners: HashMap<Number, Owner>,
}

/// An old partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: i16,
    pub(super) tail: Tail,
    pub(super) names: HashMap<i32, Arc<str>>,
}

/// An account, and what is found out about it while its rows are copied.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) account_id: String,
    pub(super) secret: Option<[u8; 32]>,
    /// Its new partition.
    pub(super) home: i16,
    /// Its new number; 0 until its first row is copied.
    pub(super) number: i64,
    pub(super) has_holds: bool,
    /// The entries that reversals took something back of.
    pub(super) reversed: Vec<i64>,
}

impl Source {
    /// Reads what is needed of the old database before its rows.
    pub(super) fn read(old: &Database, count: u16) -> anyhow::Result<Self> {
        let rows = old.read(partitions::all)?;
        let mut source = Self {
            database_id: old.read(|conn| partitions::setting(conn, "database_id"))?.unwrap_or_default(),
            partitions: Vec::with_capacity(rows.len()),
            begins_at: i64::MAX,
            closed_until: rows.iter().filter_map(|row| row.closed_until).max(),
            owners: HashMap::new(),
        };
        for row in rows {
            source.add(old, row.partition, count)?;
        }
        Ok(source)
    }

    fn add(&mut self, old: &Database, number: i16, count: u16) -> anyhow::Result<()> {
        let genesis = old.read(|conn| journal::row_at(conn, number, 0))?.context("a partition has no genesis row")?;
        self.begins_at = self.begins_at.min(genesis.recorded_at);
        let tail = old.read(|conn| journal::tail(conn, number))?.context("a partition has no row")?;
        let names = old.read(|conn| names::all(conn, number))?;
        let names = names.into_iter().map(|row| (row.name_id, Arc::from(row.name))).collect();
        self.partitions.push(Partition { number, tail, names });
        let mut after: Option<String> = None;
        loop {
            let filter = AccountFilter::default();
            let page = old.read(|conn| accounts::list(conn, number, &filter, after.as_deref(), PAGE))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.account_id.clone());
            for account in page {
                let owner = Owner {
                    home: i16::try_from(partition_of(&account.account_id, count))?,
                    account_id: account.account_id,
                    secret: account.secret.and_then(|secret| secret.try_into().ok()),
                    number: 0,
                    has_holds: false,
                    reversed: Vec::new(),
                };
                self.owners.insert((number, account.account), owner);
            }
        }
    }

    /// How many rows there are to read.
    pub(super) fn rows(&self) -> u64 {
        self.partitions.iter().map(|partition| u64::try_from(partition.tail.position).unwrap_or_default()).sum()
    }

    /// The rows of all partitions in the order in which they were recorded, the genesis rows left out.
    pub(super) fn merged(&self) -> Merged {
        let lanes = self.partitions.iter().map(|partition| Lane {
            partition: partition.number,
            after: 0,
            until: partition.tail.position,
            rows: VecDeque::new(),
        });
        Merged { lanes: lanes.collect() }
    }

    /// The new partitions that get a row: one for a row of an account; all for closed books, of which every partition
    /// keeps its copy, so that one of the old copies is enough; none for remembered refusals.
    pub(super) fn targets(&self, row: &JournalRow, count: u16) -> anyhow::Result<Vec<i16>> {
        if row.format > FORMAT {
            bail!("row {}-{} has layout {}, which this server does not know", row.partition, row.position, row.format);
        }
        if row.account != 0 {
            return Ok(vec![self.owner(row)?.home]);
        }
        match Kind::from_number(row.kind) {
            Some(Kind::BooksClosed) if row.partition == 0 => {
                (0..count).map(|number| Ok(i16::try_from(number)?)).collect()
            }
            Some(Kind::BooksClosed | Kind::Outcomes) => Ok(Vec::new()),
            _ => bail!("row {}-{} is of kind {}, which belongs to no account", row.partition, row.position, row.kind),
        }
    }

    /// Whose row it is.
    pub(super) fn owner(&self, row: &JournalRow) -> anyhow::Result<&Owner> {
        let owner = self.owners.get(&(row.partition, row.account));
        owner.with_context(|| {
            format!("row {}-{} belongs to an account that does not exist", row.partition, row.position)
        })
    }

    /// Refuses a copy of a database that was written while it was copied.
    pub(super) fn refuse_changes(&self, old: &Database) -> anyhow::Result<()> {
        for partition in &self.partitions {
            if old.read(|conn| journal::tail(conn, partition.number))?.as_ref() != Some(&partition.tail) {
                bail!(
                    "the database was written while it was copied: stop every server and begin anew, in an empty database"
                );
            }
        }
        Ok(())
    }
}

/// Where each row that another one names will stand: an entry and its peer name each other's places.
pub(super) fn legs(
    old: &Database,
    source: &Source,
    count: u16,
    bar: &ProgressBar,
) -> anyhow::Result<HashMap<Place, Place>> {
    let mut legs = HashMap::new();
    let mut positions = vec![0_i64; usize::from(count)];
    let mut rows = source.merged();
    while let Some(row) = rows.next(old)? {
        bar.inc(1);
        for target in source.targets(&row, count)? {
            let position = &mut positions[usize::try_from(target)?];
            *position += 1;
            let may_have_peer = row.payload.as_deref().is_some_and(|payload| payload.contains("\"peer\""));
            if may_have_peer && payload_of(&row).peer.is_some() {
                legs.insert((row.partition, row.position), (target, *position));
            }
        }
    }
    Ok(legs)
}

/// The rows of several partitions, merged.
#[derive(Debug)]
pub(super) struct Merged {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    partition: i16,
    after: i64,
    until: i64,
    rows: VecDeque<JournalRow>,
}

impl Lane {
    fn fill(&mut self, old: &Database) -> Result<(), DbError> {
        if self.rows.is_empty() && self.after < self.until {
            let page = PAGE.min(self.until - self.after);
            let rows = old.read(|conn| journal::rows_after(conn, self.partition, self.after, page))?;
            // A gap in the journal ends the lane; the comparison of the heads tells of it.
            self.after = rows.last().map_or(self.until, |row| row.position);
            self.rows = rows.into();
        }
        Ok(())
    }
}

impl Merged {
    /// The next row in the order of `recorded_at`; of rows of the same instant the one of the lower partition.
    pub(super) fn next(&mut self, old: &Database) -> Result<Option<JournalRow>, DbError> {
        for lane in &mut self.lanes {
            lane.fill(old)?;
        }
        let order = |lane: &Lane| lane.rows.front().map(|row| (row.recorded_at, lane.partition));
        let lane = self.lanes.iter_mut().filter(|lane| !lane.rows.is_empty()).min_by_key(|lane| order(lane));
        Ok(lane.and_then(|lane| lane.rows.pop_front()))
    }
}
