//! A partition's committed state, and the one function that changes it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use billing_db::{Conn, DbError, JournalRow, accounts, journal, names, partitions};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::heads::Heads;
use super::names::Names;
use super::queue::Queue;
use super::record::{Record, amounts_after, entry_sequence_of};
use super::replay::Remembered;
use super::work::Work;
use super::{Notice, Sink};
use crate::domain::currency::Currency;
use crate::domain::head::Identity;
use crate::domain::record::Kind;

/// How far an instance may be behind before it forgets its heads instead of reading every row it missed.
pub(super) const MAX_BEHIND: i64 = 5_000;
/// How many rows one query reads.
pub(super) const PAGE: i64 = 1_000;
/// How many answers are kept in memory to replay; older ones are read from the database.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);

/// The end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) position: i64,
    pub(super) hash: [u8; 32],
}

/// What is committed and applied, as of one position.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) tail: Tail,
    pub(super) epoch: i64,
    /// The `recorded_at` of the newest row: time never goes back.
    pub(super) recorded_at: i64,
    /// The sequence of the newest row of no account.
    pub(super) system_sequence: i64,
    pub(super) closed_until: Option<i32>,
    pub(super) heads: Heads,
    pub(super) keys: LruCache<[u8; 16], Remembered>,
}

/// One partition as this server process sees it.
pub(super) struct Partition {
    pub(super) number: u16,
    pub(super) queue: Queue,
    pub(super) names: RwLock<Names>,
    pub(super) committed: Mutex<Committed>,
    /// The newest applied position, for who waits for one.
    pub(super) applied: watch::Sender<i64>,
    /// Whether its database cannot be reached just now.
    pub(super) down: AtomicBool,
    sink: Sink,
}

impl Partition {
    /// Reads where the partition stands.
    pub(super) fn load(
        conn: &mut Conn<'_>,
        number: u16,
        queue: Queue,
        heads: NonZeroUsize,
        sink: Sink,
    ) -> Result<Self, DbError> {
        let partition = db_number(number);
        let committed = read_committed(conn, partition, heads)?;
        let known = names::all(conn, partition)?;
        let mut names = Names::default();
        names.extend(known);
        let (applied, _) = watch::channel(committed.tail.position);
        Ok(Self {
            number,
            queue,
            names: RwLock::new(names),
            committed: Mutex::new(committed),
            applied,
            down: AtomicBool::new(false),
            sink,
        })
    }

    pub(super) fn db_number(&self) -> i16 {
        db_number(self.number)
    }

    pub(super) fn tail(&self) -> Tail {
        self.committed.lock().tail
    }

    pub(super) fn set_down(&self, down: bool) {
        if self.down.swap(down, Ordering::AcqRel) != down {
            if down {
                tracing::error!(partition = self.number, "the database cannot be reached");
            } else {
                tracing::info!(partition = self.number, "the database is back");
            }
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Takes a committed batch of this process in.
    pub(super) fn merge(&self, work: &Work) {
        if work.records.is_empty() {
            self.remember(work);
            return;
        }
        let mut committed = self.committed.lock();
        let mut names = self.names.write();
        for (number, name) in &work.new_names {
            names.add(*number, name);
        }
        drop(names);
        if committed.tail == work.start {
            committed.tail = work.at;
            committed.recorded_at = work.recorded_at;
            committed.system_sequence = work.system_sequence;
            committed.closed_until = work.closed_until;
            for head in work.heads.values() {
                committed.heads.put(head.clone());
            }
            for (key, remembered) in &work.keys {
                committed.keys.put(*key, remembered.clone());
            }
            (self.sink)(Notice::Committed(work.records.clone()));
            self.applied.send_replace(work.at.position);
        } else {
            // A reader was faster and has applied some of these rows already.
            self.apply_locked(&mut committed, &work.records);
        }
    }

    fn remember(&self, work: &Work) {
        let mut committed = self.committed.lock();
        for (key, remembered) in &work.keys {
            committed.keys.put(*key, remembered.clone());
        }
    }

    /// Applies committed rows in order of position, skipping what is applied: the only way the state changes.
    pub(super) fn apply(&self, records: &[Arc<Record>]) {
        let mut committed = self.committed.lock();
        self.apply_locked(&mut committed, records);
    }

    fn apply_locked(&self, committed: &mut Committed, records: &[Arc<Record>]) {
        let mut applied = Vec::new();
        for record in records {
            if record.row.position != committed.tail.position + 1 {
                continue;
            }
            let before = apply_row(committed, record);
            let mut record = Arc::clone(record);
            if record.before.is_none() && before.is_some() {
                Arc::make_mut(&mut record).before = before;
            }
            applied.push(record);
        }
        if !applied.is_empty() {
            (self.sink)(Notice::Committed(applied));
            self.applied.send_replace(committed.tail.position);
        }
    }

    /// Reads the rows that other instances have appended and applies them; true if there were any. The newest row known
    /// is read too: if it is another one, or gone, the tail has vanished.
    pub(super) fn catch_up(&self, conn: &mut Conn<'_>) -> Result<bool, DbError> {
        let mut found = false;
        for _ in 0..=MAX_BEHIND / PAGE {
            let tail = self.tail();
            let mut rows = journal::rows_after(conn, self.db_number(), tail.position - 1, PAGE)?;
            if rows.first().is_none_or(|row| row.position != tail.position || hash_of(row) != tail.hash) {
                self.diverge(conn)?;
                return Ok(true);
            }
            let is_all = i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE;
            rows.remove(0);
            if !rows.is_empty() {
                found = true;
                let records = self.records(conn, rows)?;
                self.apply(&records.into_iter().map(Arc::new).collect::<Vec<_>>());
            }
            if is_all {
                return Ok(found);
            }
        }
        self.reload(conn)?;
        Ok(true)
    }

    /// Forgets every head and begins again at the newest position.
    pub(super) fn reload(&self, conn: &mut Conn<'_>) -> Result<(), DbError> {
        let partition = self.db_number();
        let known = self.names.read().last();
        // The tail is read first: what is newer than it comes again with the rows that follow.
        let fresh = read_committed(conn, partition, NonZeroUsize::MIN)?;
        let last = journal::row_at(conn, partition, fresh.tail.position)?;
        let rest = names::after(conn, partition, known)?;
        self.names.write().extend(rest);
        let records = self.records(conn, last.into_iter().collect())?;
        let mut committed = self.committed.lock();
        if fresh.tail.position < committed.tail.position {
            return Ok(());
        }
        committed.heads.clear();
        committed.tail = fresh.tail;
        committed.epoch = fresh.epoch;
        committed.recorded_at = committed.recorded_at.max(fresh.recorded_at);
        committed.system_sequence = fresh.system_sequence;
        committed.closed_until = fresh.closed_until;
        (self.sink)(Notice::Committed(records.into_iter().map(Arc::new).collect()));
        self.applied.send_replace(fresh.tail.position);
        Ok(())
    }

    /// The tail has vanished under us: what is in memory is void.
    pub(super) fn diverge(&self, conn: &mut Conn<'_>) -> Result<(), DbError> {
        let partition = self.db_number();
        let fresh = read_committed(conn, partition, NonZeroUsize::MIN)?;
        let known = names::all(conn, partition)?;
        let mut names = Names::default();
        names.extend(known);
        tracing::error!(
            partition = self.number,
            position = fresh.tail.position,
            lost_from = self.tail().position,
            "the journal's tail has vanished; everything cached is dropped"
        );
        *self.names.write() = names;
        let mut committed = self.committed.lock();
        committed.heads.clear();
        committed.keys.clear();
        committed.tail = fresh.tail;
        committed.epoch = fresh.epoch;
        committed.recorded_at = committed.recorded_at.max(fresh.recorded_at);
        committed.system_sequence = fresh.system_sequence;
        committed.closed_until = fresh.closed_until;
        (self.sink)(Notice::Diverged { partition: self.number, position: fresh.tail.position });
        self.applied.send_replace(fresh.tail.position);
        Ok(())
    }

    /// Gives rows of this partition their names and identities.
    pub(super) fn records(&self, conn: &mut Conn<'_>, rows: Vec<JournalRow>) -> Result<Vec<Record>, DbError> {
        let highest = rows.iter().flat_map(|row| [row.counter, row.category, row.created_by]).flatten().max();
        let known = self.names.read().last();
        if highest.is_some_and(|highest| highest > known) {
            let rest = names::after(conn, self.db_number(), known)?;
            self.names.write().extend(rest);
        }
        let identities = self.identities(conn, &rows)?;
        let names = self.names.read();
        let name = |number: Option<i32>| number.and_then(|number| names.name(number));
        Ok(rows
            .into_iter()
            .map(|row| Record {
                kind: Kind::from_number(row.kind).unwrap_or(Kind::Genesis),
                identity: identities.get(&row.account).cloned(),
                counter: name(row.counter),
                category: name(row.category),
                created_by: name(row.created_by),
                before: None,
                row,
            })
            .collect())
    }

    fn identities(&self, conn: &mut Conn<'_>, rows: &[JournalRow]) -> Result<HashMap<i64, Arc<Identity>>, DbError> {
        let mut identities = HashMap::new();
        let mut missing = Vec::new();
        {
            let committed = self.committed.lock();
            for row in rows.iter().filter(|row| row.account != 0) {
                match committed.heads.peek(row.account) {
                    Some(head) => _ = identities.insert(row.account, Arc::clone(&head.identity)),
                    None => missing.push(row.account),
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            for account in accounts::get_by_numbers(conn, self.db_number(), &missing)? {
                let number = account.account;
                if let Some(identity) =
                    identity_of(account.partition, number, account.account_id, account.customer_id, &account.currency)
                {
                    identities.insert(number, Arc::new(identity));
                }
            }
        }
        Ok(identities)
    }
}

/// Makes an identity from what is stored; `None` for a currency that this server does not know.
pub(super) fn identity_of(
    partition: i16,
    account: i64,
    account_id: String,
    customer_id: String,
    currency: &str,
) -> Option<Identity> {
    let partition = u16::try_from(partition).ok()?;
    Some(Identity { partition, account, account_id, customer_id, currency: Currency::parse(currency)? })
}

/// Applies one row and says what the account's amounts were, if its head is in memory.
fn apply_row(committed: &mut Committed, record: &Record) -> Option<crate::domain::amounts::Amounts> {
    let row = &record.row;
    committed.tail.position = row.position;
    committed.tail.hash = hash_of(row);
    committed.recorded_at = committed.recorded_at.max(row.recorded_at);
    if row.account == 0 {
        committed.system_sequence = row.sequence;
        if record.kind == Kind::BooksClosed {
            committed.closed_until = record.payload().closed_until.or(committed.closed_until);
        }
        return None;
    }
    let is_plain = record.kind.is_entry() && (row.payload.is_none() || record.payload().hold.is_none());
    let head = committed.heads.peek_mut(row.account)?;
    let before = head.amounts;
    if is_plain {
        head.sequence = row.sequence;
        head.entry_sequence = entry_sequence_of(row);
        head.amounts = amounts_after(row);
    } else {
        committed.heads.evict(row.account);
    }
    Some(before)
}

/// A stored hash as an array.
pub(super) fn hash_of(row: &JournalRow) -> [u8; 32] {
    row.hash.as_slice().try_into().unwrap_or([0; 32])
}

/// A partition's number as the database stores it: there are at most 64.
pub(super) fn db_number(partition: u16) -> i16 {
    i16::try_from(partition).unwrap_or(i16::MAX)
}

fn read_committed(conn: &mut Conn<'_>, partition: i16, heads: NonZeroUsize) -> Result<Committed, DbError> {
    let missing = |what: &str| DbError::Invariant(format!("partition {partition} has no {what}"));
    let tail = journal::tail(conn, partition)?.ok_or_else(|| missing("first row"))?;
    let anchors = partitions::all(conn)?;
    let anchor = anchors.iter().find(|row| row.partition == partition).ok_or_else(|| missing("anchor"))?;
    Ok(Committed {
        tail: Tail { position: tail.position, hash: tail.hash.as_slice().try_into().unwrap_or([0; 32]) },
        epoch: anchor.epoch,
        recorded_at: tail.recorded_at,
        system_sequence: journal::last_sequence(conn, partition, 0)?,
        closed_until: anchor.closed_until,
        heads: Heads::new(heads),
        keys: LruCache::new(REMEMBERED),
    })
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition").field("number", &self.number).finish_non_exhaustive()
    }
}
