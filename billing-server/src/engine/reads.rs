//! Shared reads: one query makes sure that nothing is missed, and all who wait are answered from the heads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant as Deadline;

use billing_db::{Backend, Conn, DbError, ErrorKind, JournalRow, journal};

use super::Engine;
use super::appender::storage_full;
use super::locked::storage_unavailable;
use super::lookup::load_heads;
use super::partition::Partition;
use super::record::Record;
use super::submit::DEFAULT_DEADLINE;
use super::writer::internal;
use crate::domain::head::Head;
use crate::domain::reason::{Reason, Refusal};

/// Lets reads that come at the same time share one query: a query that was started after a read came serves it.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    started: AtomicU64,
    /// The number of the last query that has ended.
    ended: tokio::sync::Mutex<u64>,
}

impl Engine {
    /// Applies what other instances have written by now, so that the heads are as fresh as the database.
    pub async fn refresh(&self, partition: u16) -> Result<(), Refusal> {
        if self.shared.database.backend() == Backend::Sqlite {
            // One process owns the file: nobody else writes.
            return Ok(());
        }
        let index = usize::from(partition);
        let (Some(freshness), Some(owner)) = (self.freshness.get(index), self.shared.partitions.get(index)) else {
            return Ok(());
        };
        let came_after = freshness.started.load(Ordering::Acquire);
        let mut ended = freshness.ended.lock().await;
        if *ended > came_after {
            return Ok(());
        }
        let number = freshness.started.fetch_add(1, Ordering::AcqRel) + 1;
        let owner = Arc::clone(owner);
        let result = self
            .read({
                let owner = Arc::clone(&owner);
                move |conn| owner.catch_up(conn)
            })
            .await;
        match result {
            Ok(_) => {
                owner.set_down(false);
                *ended = number;
                Ok(())
            }
            Err(refusal) => {
                if refusal.reason == Reason::StorageUnavailable {
                    owner.set_down(true);
                }
                Err(refusal)
            }
        }
    }

    /// The heads of accounts, as fresh as the database; `None` for what does not exist. What time has ended since their
    /// last row is told by [`Head::amounts_at`].
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE` and its like.
    pub async fn heads(&self, account_ids: &[String]) -> Result<Vec<Option<Arc<Head>>>, Refusal> {
        let mut homes: Vec<u16> = account_ids.iter().map(|id| self.partition_of(id)).collect();
        homes.sort_unstable();
        homes.dedup();
        for home in homes {
            self.refresh(home).await?;
        }
        let mut heads: Vec<Option<Arc<Head>>> = Vec::with_capacity(account_ids.len());
        let mut missing = Vec::new();
        for (index, id) in account_ids.iter().enumerate() {
            let home = &self.shared.partitions[usize::from(self.partition_of(id))];
            let head = home.committed.lock().heads.by_id(id).cloned();
            if head.is_none() {
                missing.push(index);
            }
            heads.push(head.map(Arc::new));
        }
        if !missing.is_empty() {
            let ids: Vec<String> = missing.iter().map(|index| account_ids[*index].clone()).collect();
            let loaded = self.load(ids).await?;
            for (index, head) in missing.into_iter().zip(loaded) {
                heads[index] = head;
            }
        }
        Ok(heads)
    }

    /// Heads that are not in memory, from one snapshot a partition.
    async fn load(&self, ids: Vec<String>) -> Result<Vec<Option<Arc<Head>>>, Refusal> {
        let shared = Arc::clone(&self.shared);
        self.read(move |conn| {
            let mut heads: Vec<Option<Arc<Head>>> = vec![None; ids.len()];
            for partition in &shared.partitions {
                let own = |id: &String| shared.spread.partition_of(id) == partition.number;
                let asked: Vec<&str> = ids.iter().filter(|id| own(id)).map(String::as_str).collect();
                if asked.is_empty() {
                    continue;
                }
                for head in load_snapshot(conn, partition, &asked)? {
                    let head = Arc::new(head);
                    for (slot, _) in heads.iter_mut().zip(&ids).filter(|(_, id)| **id == head.identity.account_id) {
                        *slot = Some(Arc::clone(&head));
                    }
                }
            }
            Ok(heads)
        })
        .await
    }

    /// Waits until this instance has applied a position.
    ///
    /// # Errors
    /// `POSITION_AHEAD` if the journal is not there yet, `POSITION_NOT_REACHED` when the deadline passes first.
    pub async fn reach(&self, partition: u16, position: i64, deadline: Option<Deadline>) -> Result<(), Refusal> {
        let Some(owner) = self.shared.partitions.get(usize::from(partition)) else {
            return Err(Refusal::field(
                Reason::FieldOutOfRange,
                "min_position.partition",
                format!("Partitions are numbered from 0 to {}.", self.partitions() - 1),
            ));
        };
        if owner.tail().position >= position {
            return Ok(());
        }
        let deadline = deadline.unwrap_or_else(|| Deadline::now() + DEFAULT_DEADLINE);
        let refreshed = tokio::time::timeout_at(deadline.into(), self.refresh(partition)).await;
        match refreshed {
            Err(_) => Err(Refusal::new(
                Reason::PositionNotReached,
                format!("Position {position} was not reached before the deadline; repeat the call."),
            )
            .with("partition", partition)
            .with("position", owner.tail().position)),
            Ok(Err(refusal)) => Err(refusal),
            Ok(Ok(())) if owner.tail().position >= position => Ok(()),
            Ok(Ok(())) => Err(Refusal::new(
                Reason::PositionAhead,
                format!("The journal of partition {partition} has not come to position {position} yet."),
            )
            .with("partition", partition)
            .with("position", owner.tail().position)),
        }
    }

    /// The newest position of a partition that this instance has applied, and its hash.
    pub fn position(&self, partition: u16) -> (i64, [u8; 32]) {
        self.shared.partitions.get(usize::from(partition)).map_or((0, [0; 32]), |owner| {
            let tail = owner.tail();
            (tail.position, tail.hash)
        })
    }

    /// Runs a query on the pool, on a blocking thread.
    ///
    /// # Errors
    /// What the database's error comes to for a caller.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let database = self.shared.database.clone();
        let result = tokio::task::spawn_blocking(move || database.read(query)).await;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
                    tracing::warn!(%error, "a read failed");
                    storage_unavailable()
                }
                ErrorKind::StorageFull => storage_full(),
                _ => internal(&self.shared.world, &error),
            }),
            Err(error) => {
                Err(internal(&self.shared.world, &DbError::Invariant(format!("a read has panicked: {error}"))))
            }
        }
    }

    /// Gives rows read from the database their names and identities. Blocking: for inside `read`'s closure. All rows must
    /// be of one partition.
    ///
    /// # Errors
    /// What the database says.
    pub fn records(&self, conn: &mut Conn<'_>, rows: Vec<JournalRow>) -> Result<Vec<Record>, DbError> {
        let Some(number) = rows.first().map(|row| usize::try_from(row.partition).unwrap_or_default()) else {
            return Ok(Vec::new());
        };
        match self.shared.partitions.get(number) {
            Some(partition) => partition.records(conn, rows),
            None => Err(DbError::Invariant(format!("there is no partition {number}"))),
        }
    }

    /// The dictionary number of a counter account or category in a partition; `None` if no row there uses it.
    pub fn name_number(&self, partition: u16, name: &str) -> Option<i32> {
        self.shared.partitions.get(usize::from(partition)).and_then(|owner| owner.names.read().number(name))
    }

    /// The name that a partition's dictionary has under a number.
    pub fn name(&self, partition: u16, number: i32) -> Option<Arc<str>> {
        self.shared.partitions.get(usize::from(partition)).and_then(|owner| owner.names.read().name(number))
    }
}

/// Loads heads with the position they are of, and keeps them if that is the position this instance has applied.
fn load_snapshot(conn: &mut Conn<'_>, partition: &Partition, ids: &[&str]) -> Result<Vec<Head>, DbError> {
    let (tail, heads) = conn.read_only(|conn| {
        let tail = journal::tail(conn, partition.db_number())?;
        Ok((tail, load_heads(conn, partition.db_number(), ids)?))
    })?;
    let mut committed = partition.committed.lock();
    if tail.is_some_and(|tail| tail.position == committed.tail.position && tail.hash == committed.tail.hash) {
        for head in &heads {
            committed.heads.put(head.clone());
        }
    }
    Ok(heads)
}
