//! Rows at their new places.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use billing_db::changes::{self, Change};
use billing_db::journal::{self, Anchor};
use billing_db::{Database, JournalRow, NameRow, OwnedConn, partitions};

use super::source::{Place, Source};
use crate::domain::record::{Kind, Leg};
use crate::engine::record::payload_of;
use crate::engine::seal::{self, FORMAT, Names};

/// Rows, or changes beside the journal, that are written in one transaction.
const BATCH: usize = 1_000;
/// After so many batches the write-ahead log of SQLite is moved into the database, lest it grow as large as that.
const CHECKPOINT_AFTER: u32 = 50;

/// The new database, as far as it is written.
pub(super) struct Target {
    database: Database,
    conn: OwnedConn,
    batches: u32,
    pub(super) parts: Vec<Part>,
}

/// A new partition.
pub(super) struct Part {
    number: i16,
    epoch: i64,
    /// The newest row that is written.
    position: i64,
    hash: Vec<u8>,
    system_sequence: i64,
    names: HashMap<Arc<str>, i32>,
    /// What is not written yet.
    rows: Vec<JournalRow>,
    changes: Vec<Change>,
}

impl Target {
    /// The new database, which has its partitions and their genesis rows.
    pub(super) fn of(new: &Database, count: u16) -> anyhow::Result<Self> {
        let rows = new.read(partitions::all)?;
        if rows.len() != usize::from(count) {
            bail!("the new database has {} partitions, not {count}", rows.len());
        }
        let parts = rows.into_iter().map(|row| {
            let genesis = new.read(|conn| journal::tail(conn, row.partition))?;
            let genesis = genesis.context("a new partition has no genesis row")?;
            Ok(Part {
                number: row.partition,
                epoch: row.epoch,
                position: genesis.position,
                hash: genesis.hash,
                system_sequence: 0,
                names: HashMap::new(),
                rows: Vec::new(),
                changes: Vec::new(),
            })
        });
        let parts = parts.collect::<anyhow::Result<_>>()?;
        Ok(Self { database: new.clone(), conn: new.writer()?, batches: 0, parts })
    }

    /// How many rows are written.
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| u64::try_from(part.position).unwrap_or_default()).sum()
    }

    /// Writes what is not written yet.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        for number in (0_i16..).take(self.parts.len()) {
            self.flush_part(number)?;
        }
        Ok(())
    }

    fn flush_part(&mut self, number: i16) -> anyhow::Result<()> {
        self.parts[usize::try_from(number)?].flush(&mut self.conn)?;
        self.batches += 1;
        if self.batches >= CHECKPOINT_AFTER {
            self.batches = 0;
            self.database.checkpoint()?;
        }
        Ok(())
    }

    /// Makes a change beside the journal, with others in one transaction.
    pub(super) fn change(&mut self, partition: i16, change: Change) -> anyhow::Result<()> {
        let part = &mut self.parts[usize::try_from(partition)?];
        part.changes.push(change);
        if part.changes.len() >= BATCH {
            self.flush_part(partition)?;
        }
        Ok(())
    }
}

impl Part {
    fn flush(&mut self, conn: &mut OwnedConn) -> anyhow::Result<()> {
        let anchor = Anchor {
            partition: self.number,
            position: self.position,
            hash: self.hash.clone(),
            epoch: self.epoch,
            format: FORMAT,
        };
        let appended = conn.conn().transaction(|conn| {
            let appended = journal::append(conn, &anchor, &self.rows)?;
            changes::apply(conn, &self.changes)?;
            Ok(appended)
        })?;
        if !appended {
            bail!("somebody else writes the new database");
        }
        if let Some(last) = self.rows.pop() {
            self.position = last.position;
            self.hash = last.hash;
        }
        self.rows.clear();
        self.changes.clear();
        Ok(())
    }

    fn tail(&self) -> (i64, &[u8]) {
        self.rows.last().map_or((self.position, &self.hash), |row| (row.position, &row.hash))
    }

    /// The number of a name here; a new one is written with the next rows.
    fn name(&mut self, name: &Arc<str>) -> anyhow::Result<i32> {
        if let Some(number) = self.names.get(name) {
            return Ok(*number);
        }
        let number = i32::try_from(self.names.len())? + 1;
        self.names.insert(Arc::clone(name), number);
        let row = NameRow { partition: self.number, name_id: number, name: name.to_string() };
        self.changes.push(Change::InsertName(row));
        Ok(number)
    }
}

/// Gives a row its new place, or places.
pub(super) fn row(
    target: &mut Target,
    source: &mut Source,
    legs: &HashMap<Place, Place>,
    old: &JournalRow,
) -> anyhow::Result<()> {
    let count = u16::try_from(target.parts.len())?;
    for number in source.targets(old, count)? {
        let part = &mut target.parts[usize::try_from(number)?];
        let position = part.tail().0 + 1;
        let mut new = JournalRow { partition: number, position, ..old.clone() };
        if old.account == 0 {
            part.system_sequence += 1;
            new.sequence = part.system_sequence;
            if number != 0 {
                // The key stands on the row of the first partition only.
                (new.key_hash, new.idempotency_key) = (None, None);
            }
        } else {
            note(source, old, position)?;
            new.account = source.owner(old)?.number;
        }
        refer(&mut new, old, legs)?;
        seal_row(part, source, old, &mut new)?;
        part.rows.push(new);
        if part.rows.len() >= BATCH {
            target.flush_part(number)?;
        }
    }
    Ok(())
}

/// Takes note of what a row says about its account: its first row gives it its number, the others what is beside the
/// journal.
fn note(source: &mut Source, old: &JournalRow, position: i64) -> anyhow::Result<()> {
    let owner = source.owners.get_mut(&(old.partition, old.account)).context("a row belongs to no account")?;
    if old.sequence == 1 {
        owner.number = position;
    }
    owner.has_holds |= old.kind == Kind::HoldPlaced.number();
    if old.kind == Kind::Reversal.number()
        && let Some(sequence) = payload_of(old).reverses_sequence
        && !owner.reversed.contains(&sequence)
    {
        owner.reversed.push(sequence);
    }
    if owner.number == 0 {
        bail!("the first row of account {} is missing", owner.account_id);
    }
    Ok(())
}

/// Corrects what a row says of places: its peer's, and that of the first row of its transaction, which is the
/// transaction's id.
fn refer(new: &mut JournalRow, old: &JournalRow, legs: &HashMap<Place, Place>) -> anyhow::Result<()> {
    let mut payload = payload_of(old);
    let Some(peer) = &mut payload.peer else { return Ok(()) };
    let id = |place: Place| format!("{}-{}", place.0, place.1);
    let was = (peer.partition, peer.position);
    let is = *legs
        .get(&was)
        .with_context(|| format!("row {} has no peer at {}", id((old.partition, old.position)), id(was)))?;
    *peer = Leg { partition: is.0, position: is.1, ..peer.clone() };
    if let Some(transaction_id) = &mut payload.transaction_id {
        if *transaction_id == id((old.partition, old.position)) {
            *transaction_id = id((new.partition, new.position));
        } else if *transaction_id == id(was) {
            *transaction_id = id(is);
        }
    }
    new.payload = Some(serde_json::to_string(&payload)?);
    Ok(())
}

/// Gives a row the numbers of its names and its place in the new chain.
fn seal_row(part: &mut Part, source: &Source, old: &JournalRow, new: &mut JournalRow) -> anyhow::Result<()> {
    let dictionary = source.partitions.iter().find(|found| found.number == old.partition).map(|found| &found.names);
    let look_up = |number: Option<i32>| -> anyhow::Result<Option<&Arc<str>>> {
        let Some(number) = number else { return Ok(None) };
        let name = dictionary.and_then(|names| names.get(&number));
        Ok(Some(name.with_context(|| format!("partition {} has no name {number}", old.partition))?))
    };
    let (counter, category, created_by) = (look_up(old.counter)?, look_up(old.category)?, look_up(old.created_by)?);
    new.counter = counter.map(|name| part.name(name)).transpose()?;
    new.category = category.map(|name| part.name(name)).transpose()?;
    new.created_by = created_by.map(|name| part.name(name)).transpose()?;
    let owner = if old.account == 0 { None } else { Some(source.owner(old)?) };
    // The digest of texts covers the position, so it is made anew; that of texts that are erased is all that is left.
    let digest = match (&new.texts_digest, owner.and_then(|owner| owner.secret.as_ref())) {
        (Some(digest), _) => Some(digest.clone()),
        (None, Some(secret)) => seal::texts_digest(new, secret).map(Vec::from),
        (None, None) => None,
    };
    let names = Names {
        account_id: owner.map_or("", |owner| &owner.account_id),
        counter: counter.map(AsRef::as_ref),
        category: category.map(AsRef::as_ref),
        created_by: created_by.map(AsRef::as_ref),
    };
    new.hash = seal::hash(new, names, part.tail().1, digest.as_deref()).to_vec();
    Ok(())
}
