//! The second half of a writer: appends decided batches while the first half decides the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billing_db::changes::apply;
use billing_db::{Backend, Conn, DbError, ErrorKind, JournalRow, journal};
use parking_lot::Mutex;

use super::command::{Answer, Job};
use super::handover::Handover;
use super::link::{Link, is_outage};
use super::partition::{Partition, hash_of};
use super::work::Work;
use super::works::Works;
use crate::domain::reason::{Reason, Refusal};

/// How long to wait before a database that was away is tried again: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Decided jobs on their way to the database.
pub(super) struct Batch {
    pub(super) works: Arc<Works>,
    pub(super) jobs: Vec<Job>,
    pub(super) answers: Vec<Vec<Answer>>,
    pub(super) since: Instant,
}

impl Batch {
    /// The batch is committed: the state moves on and every caller is answered.
    pub(super) fn settle(self) {
        for work in &self.works.parts {
            work.partition.merge(work);
            work.partition.set_down(false);
        }
        if let Some(work) = self.works.parts.first() {
            work.partition.queue.took(self.since);
        }
        for (job, answers) in self.jobs.into_iter().zip(self.answers) {
            // A caller that has gone away needs no answer.
            let _ = job.reply.send(answers);
        }
    }

    /// Nothing of the batch is written.
    pub(super) fn refuse(self, refusal: &Refusal) {
        for job in self.jobs {
            job.refuse(refusal);
        }
    }
}

/// Appends batches of one partition until there are no more.
pub(super) struct Appender {
    pub(super) partition: Arc<Partition>,
    pub(super) link: Arc<Mutex<Link>>,
    pub(super) handover: Arc<Handover>,
}

impl Appender {
    pub(super) fn run(self) {
        while let Some(batch) = self.handover.next() {
            self.append(batch);
            self.handover.end();
            self.partition.queue.look_again();
        }
    }

    fn append(&self, batch: Batch) {
        let Some(work) = batch.works.parts.first() else { return };
        if self.partition.tail() != work.start {
            // The batch before this one failed, or another instance was faster.
            self.partition.queue.put_back(batch.jobs);
            return;
        }
        if work.records.is_empty() {
            let newest = self.link.lock().run(|conn| is_newest(conn, work));
            return match newest {
                Ok(true) => batch.settle(),
                Ok(false) | Err(_) => self.partition.queue.put_back(batch.jobs),
            };
        }
        let result = self.link.lock().run(|conn| write(conn, work));
        match result {
            Ok(true) => batch.settle(),
            Ok(false) => self.partition.queue.put_back(batch.jobs),
            Err(error) if is_outage(&error) => self.find_out(batch, &error),
            Err(error) if error.kind() == ErrorKind::StorageFull => batch.refuse(&storage_full()),
            Err(error) => {
                tracing::debug!(partition = self.partition.number, %error, "a batch is decided again");
                self.partition.queue.put_back(batch.jobs);
            }
        }
    }

    /// The link was lost and nobody knows whether the batch is committed: appending it again tells. A transaction that is
    /// still alive makes it wait; then it succeeds, or its place is taken, and the hash there says by whom.
    fn find_out(&self, batch: Batch, error: &DbError) {
        tracing::warn!(partition = self.partition.number, %error, "the outcome of a batch is unknown; finding out");
        self.partition.set_down(true);
        let Some(work) = batch.works.parts.first() else { return };
        let mut pause = FIRST_PAUSE;
        loop {
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            let result = self.link.lock().run(|conn| write(conn, work));
            let is_full = matches!(&result, Err(error) if error.kind() == ErrorKind::StorageFull);
            let is_committed = match result {
                Ok(true) => Ok(true),
                Err(error) if is_outage(&error) => Err(error),
                Ok(false) | Err(_) => self.link.lock().run(|conn| is_ours(conn, work)),
            };
            if matches!(&is_committed, Err(error) if is_outage(error)) {
                // Gone on with even if nobody waits any more: callers are turned away until the database answers.
                if self.partition.queue.is_closed() && batch.jobs.iter().all(Job::is_abandoned) {
                    return batch.refuse(&outcome_unknown());
                }
                continue;
            }
            self.partition.set_down(false);
            return match is_committed {
                Ok(true) => batch.settle(),
                Ok(false) if is_full => batch.refuse(&storage_full()),
                Ok(false) | Err(_) => self.partition.queue.put_back(batch.jobs),
            };
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.partition.set_down(true);
        }
        self.handover.close();
    }
}

/// Appends one partition's part of a batch and changes the tables beside the journal: one statement if there is nothing
/// to change, else one transaction.
fn write(conn: &mut Conn<'_>, work: &Work) -> Result<bool, DbError> {
    if work.changes.is_empty() {
        return append(conn, work);
    }
    conn.transaction(|conn| {
        if !append(conn, work)? {
            return Ok(false);
        }
        apply(conn, &work.changes)?;
        Ok(true)
    })
}

/// Appends the rows alone.
pub(super) fn append(conn: &mut Conn<'_>, work: &Work) -> Result<bool, DbError> {
    let rows: Vec<&JournalRow> = work.records.iter().map(|record| &record.row).collect();
    journal::append(conn, &work.anchor(), &rows)
}

/// Whether the row at the batch's last position is the batch's.
pub(super) fn is_ours(conn: &mut Conn<'_>, work: &Work) -> Result<bool, DbError> {
    let row = journal::row_at(conn, work.partition.db_number(), work.at.position)?;
    Ok(row.is_some_and(|row| hash_of(&row) == work.at.hash))
}

/// Whether the batch was decided on the newest row there is. One that appends nothing has to ask: no append would fail if
/// another instance was faster or the tail had vanished.
pub(super) fn is_newest(conn: &mut Conn<'_>, work: &Work) -> Result<bool, DbError> {
    if conn.backend() == Backend::Sqlite {
        // One process owns the file: nobody else writes.
        return Ok(true);
    }
    let rows = journal::rows_after(conn, work.partition.db_number(), work.start.position - 1, 2)?;
    Ok(matches!(rows.as_slice(), [row] if row.position == work.start.position && hash_of(row) == work.start.hash))
}

pub(super) fn storage_full() -> Refusal {
    Refusal::new(Reason::StorageFull, "The database's disk is full: nothing was written, reads go on.")
}

pub(super) fn outcome_unknown() -> Refusal {
    Refusal::new(
        Reason::CommitOutcomeUnknown,
        "The link to the database was lost at the commit; repeat the call with the same key to learn its outcome.",
    )
}
