//! The careful way: lock the partitions, read what was missed, decide, append, commit. It cannot lose against another
//! instance, and it is the way of everything that touches more than one partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billing_db::changes::apply;
use billing_db::journal::lock_partition;
use billing_db::{Conn, DbError, ErrorKind};
use tokio::sync::oneshot;

use super::appender::{Batch, append, is_ours, outcome_unknown, storage_full};
use super::command::{Job, Mode};
use super::link::is_outage;
use super::lookup::gather;
use super::queue::Lease;
use super::writer::{Writer, internal};
use crate::domain::reason::{Reason, Refusal};

/// How often a batch that the database would not take is tried before its callers are told.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a try has come to.
enum Try {
    Committed(Batch),
    /// Nothing was written.
    Failed(Vec<Job>, DbError),
    /// The epoch or the row format is not ours any more.
    Fenced(Vec<Job>),
    /// The link was lost at the commit.
    Unknown(Batch),
}

impl Writer {
    /// Decides jobs over the same partitions while this writer has all of them to itself.
    pub(super) fn decide_locked(&mut self, jobs: Vec<Job>) {
        self.handover.wait_until_idle();
        let partitions = match jobs.first() {
            Some(job) => job.partitions.clone(),
            None => return,
        };
        let Some(_leases) = self.borrow(&partitions) else {
            return refuse_all(jobs, &super::queue::shutting_down());
        };
        self.run_locked(jobs, &partitions);
    }

    /// Borrows every partition but the own, in ascending order; each is given after its running batch.
    fn borrow(&self, partitions: &[u16]) -> Option<Vec<Lease>> {
        let others = partitions.iter().filter(|number| **number != self.partition.number);
        others
            .map(|number| {
                let other = self.shared.partitions.get(usize::from(*number))?;
                other.queue.borrow().blocking_recv().ok()
            })
            .collect()
    }

    fn run_locked(&mut self, mut jobs: Vec<Job>, partitions: &[u16]) {
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        let mut unknown: Option<Batch> = None;
        loop {
            if let Some(batch) = unknown.take() {
                match self.settle_unknown(batch) {
                    None => return,
                    Some(Ok(again)) => jobs = again,
                    Some(Err(batch)) if self.is_pointless(&batch.jobs) => return batch.refuse(&outcome_unknown()),
                    Some(Err(batch)) => {
                        unknown = Some(batch);
                        std::thread::sleep(pause);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                }
            }
            match self.try_locked(std::mem::take(&mut jobs), partitions) {
                Try::Committed(batch) => return batch.settle(),
                Try::Fenced(fenced) => return refuse_all(fenced, &read_only()),
                Try::Unknown(batch) => {
                    self.partition.set_down(true);
                    unknown = Some(batch);
                }
                Try::Failed(failed, error) => {
                    tries += 1;
                    let Some(again) = self.after_failure(failed, &error, tries, partitions) else { return };
                    jobs = again;
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What to do with jobs of which nothing was written: try them again, or answer them.
    fn after_failure(&mut self, jobs: Vec<Job>, error: &DbError, tries: u32, partitions: &[u16]) -> Option<Vec<Job>> {
        self.partition.set_down(is_outage(error));
        match error.kind() {
            _ if is_outage(error) => {
                let (gone, waiting): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_abandoned);
                refuse_all(gone, &storage_unavailable());
                // Gone on with even if nobody waits any more: callers are turned away until the database answers.
                Some(waiting).filter(|jobs| !self.is_pointless(jobs))
            }
            ErrorKind::Conflict | ErrorKind::Retry if tries < TRIES => Some(jobs),
            ErrorKind::Conflict | ErrorKind::Retry => {
                refuse_all(jobs, &contention());
                None
            }
            ErrorKind::StorageFull => {
                refuse_all(jobs, &storage_full());
                None
            }
            _ if jobs.len() > 1 => {
                // One of them is at fault: tried one by one, only the culprit fails.
                for job in jobs {
                    self.run_locked(vec![job], partitions);
                }
                None
            }
            _ if jobs.iter().any(|job| job.mode == Mode::Independent && !job.trial && job.size() > 1) => {
                for job in jobs {
                    self.run_each(job, partitions);
                }
                None
            }
            _ => {
                refuse_all(jobs, &internal(&self.shared.world, error));
                None
            }
        }
    }

    /// Decides the commands of an INDEPENDENT job one by one.
    fn run_each(&mut self, job: Job, partitions: &[u16]) {
        let mut answers = Vec::with_capacity(job.size());
        for command in job.commands {
            let (reply, mut answer) = oneshot::channel();
            let single = Job {
                commands: vec![command],
                mode: job.mode,
                trial: job.trial,
                partitions: job.partitions.clone(),
                deadline: job.deadline,
                stage: Arc::clone(&job.stage),
                reply,
            };
            self.run_locked(vec![single], partitions);
            answers.extend(answer.try_recv().unwrap_or_default());
        }
        // A caller that has gone away needs no answer.
        let _ = job.reply.send(answers);
    }

    /// Whether an outage need not be waited out: nobody waits, and the writer is to stop.
    fn is_pointless(&self, jobs: &[Job]) -> bool {
        self.partition.queue.is_closed() && jobs.iter().all(Job::is_abandoned)
    }

    fn try_locked(&mut self, jobs: Vec<Job>, partitions: &[u16]) -> Try {
        let since = Instant::now();
        let shared = self.shared.clone();
        let mut waiting = Some(jobs);
        let mut decided: Option<Batch> = None;
        let mut is_fenced = false;
        let mut is_written = false;
        let result = self.append.lock().run(|conn| {
            conn.transaction(|conn| {
                lock_and_catch_up(conn, &shared, partitions)?;
                let jobs = waiting.take().unwrap_or_default();
                let mut works = shared.works_on_committed(partitions);
                if let Err(error) = gather(conn, &mut works, None, &jobs) {
                    waiting = Some(jobs);
                    return Err(error);
                }
                let batch = decided.insert(shared.decide(works, jobs, since));
                for work in batch.works.parts.iter().filter(|work| !work.records.is_empty()) {
                    if !append(conn, work)? {
                        is_fenced = true;
                        return Err(DbError::Invariant("the partition is no longer this writer's".to_owned()));
                    }
                    apply(conn, &work.changes)?;
                }
                is_written = true;
                Ok(())
            })
        });
        match (result, decided, waiting) {
            (Ok(()), Some(batch), _) => Try::Committed(batch),
            (Err(_), Some(batch), _) if is_fenced => Try::Fenced(batch.jobs),
            (Err(error), Some(batch), _) if is_written && is_outage(&error) => Try::Unknown(batch),
            (Err(error), Some(batch), _) => Try::Failed(batch.jobs, error),
            (Err(error), None, jobs) => Try::Failed(jobs.unwrap_or_default(), error),
            (Ok(()), None, jobs) => {
                Try::Failed(jobs.unwrap_or_default(), DbError::Invariant("nothing decided".to_owned()))
            }
        }
    }

    /// Whether a batch whose commit is unknown is written: taking the lock waits for a transaction that is still alive.
    /// `None`: it is and its callers are answered. `Ok`: it is not, decide again. `Err`: the database is still away.
    fn settle_unknown(&mut self, batch: Batch) -> Option<Result<Vec<Job>, Batch>> {
        let Some(work) = batch.works.parts.iter().find(|work| !work.records.is_empty()) else {
            return Some(Ok(batch.jobs));
        };
        let partition = work.partition.db_number();
        let result = self.append.lock().run(|conn| {
            conn.transaction(|conn| {
                lock_partition(conn, partition)?;
                is_ours(conn, work)
            })
        });
        match result {
            Ok(true) => {
                batch.settle();
                None
            }
            Ok(false) => Some(Ok(batch.jobs)),
            Err(_) => Some(Err(batch)),
        }
    }
}

/// Locks the partitions in ascending order and applies what other instances have appended.
fn lock_and_catch_up(conn: &mut Conn<'_>, shared: &super::writer::Shared, partitions: &[u16]) -> Result<(), DbError> {
    for number in partitions {
        let Some(partition) = shared.partitions.get(usize::from(*number)) else { continue };
        lock_partition(conn, partition.db_number())?;
        partition.catch_up(conn)?;
    }
    Ok(())
}

fn refuse_all(jobs: Vec<Job>, refusal: &Refusal) {
    for job in jobs {
        job.refuse(refusal);
    }
}

fn contention() -> Refusal {
    Refusal::new(
        Reason::Contention,
        "The database would not take the change after several tries; repeat it with the same key.",
    )
}

fn read_only() -> Refusal {
    Refusal::new(Reason::ReadOnly, "This server may no longer write to the partition; another one has taken it over.")
}

/// The refusal while the database is away.
pub(super) fn storage_unavailable() -> Refusal {
    Refusal::new(Reason::StorageUnavailable, "The database cannot be reached; repeat the call with the same key.")
}
