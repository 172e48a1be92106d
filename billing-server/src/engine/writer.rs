//! The first half of a writer: takes what is queued, decides it, and hands it on.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use billing_db::{Database, DbError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::appender::{Appender, Batch, is_newest};
use super::command::{Body, Job};
use super::decide::Decider;
use super::handover::Handover;
use super::link::Link;
use super::lookup::gather;
use super::partition::Partition;
use super::queue::{Lease, Taken};
use super::work::Work;
use super::works::{Spread, Works, commands_of};
use crate::domain::reason::{Reason, Refusal};
use crate::time::World;

/// How long an instance that has lost a race decides under the partition's lock, which cannot lose.
const CAREFUL: Duration = Duration::from_secs(1);

/// What all writers of a process share.
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) world: World,
    pub(super) partitions: Vec<Arc<Partition>>,
    pub(super) spread: Spread,
    /// This process start's number.
    pub(super) writer: i32,
    pub(super) max_batch: usize,
    pub(super) max_back: Duration,
    /// Whether a batch may be decided while the one before is on its way.
    pub(super) ahead: bool,
}

/// The writer of one partition.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: Arc<Partition>,
    pub(super) append: Arc<Mutex<Link>>,
    pub(super) handover: Arc<Handover>,
    lookup: Link,
    /// The batch handed on last: the base of the next one while it is on its way.
    last: Option<Arc<Works>>,
    /// How many commands it was of.
    last_size: usize,
    careful_until: Option<Instant>,
}

impl Writer {
    /// Starts both halves of a partition's writer.
    pub(super) fn start(
        shared: &Arc<Shared>,
        partition: &Arc<Partition>,
        append: Arc<Mutex<Link>>,
    ) -> std::io::Result<[JoinHandle<()>; 2]> {
        let handover = Arc::new(Handover::default());
        let appender =
            Appender { partition: Arc::clone(partition), link: Arc::clone(&append), handover: Arc::clone(&handover) };
        let writer = Self {
            shared: Arc::clone(shared),
            partition: Arc::clone(partition),
            append,
            handover,
            lookup: Link::new(&shared.database),
            last: None,
            last_size: 0,
            careful_until: None,
        };
        let name = |half: &str| format!("{half}-{}", partition.number);
        Ok([
            std::thread::Builder::new().name(name("decide")).spawn(move || writer.run())?,
            std::thread::Builder::new().name(name("append")).spawn(move || appender.run())?,
        ])
    }

    fn run(mut self) {
        let max_batch = self.shared.max_batch;
        loop {
            while let Some(taken) = self.take(max_batch) {
                match taken {
                    Taken::Jobs(jobs) => self.decide(jobs),
                    Taken::Redo(jobs) => {
                        self.careful_until = Some(Instant::now() + CAREFUL);
                        self.decide_locked(jobs);
                    }
                    Taken::Loan(borrower) => self.lend(borrower),
                }
            }
            // The last batch may have failed and come back.
            self.handover.wait_until_idle();
            if self.partition.queue.end() {
                return;
            }
        }
    }

    /// The next task. A batch of less than half the size of the one that runs is not worth starting yet.
    fn take(&self, max_batch: usize) -> Option<Taken> {
        self.handover.wait_for_room();
        let is_ahead = self.shared.ahead && !self.is_careful();
        let least = || is_ahead.then(|| if self.handover.is_running() { self.last_size / 2 } else { 0 });
        self.partition.queue.take(max_batch, least)
    }

    fn is_careful(&self) -> bool {
        self.careful_until.is_some_and(|until| Instant::now() < until)
    }

    fn decide(&mut self, jobs: Vec<Job>) {
        let jobs = start(jobs);
        if jobs.is_empty() {
            return;
        }
        if self.is_careful() || jobs.iter().any(needs_lock) {
            return self.decide_locked(jobs);
        }
        if !self.shared.ahead {
            self.handover.wait_until_idle();
        }
        let since = Instant::now();
        let running = if self.handover.is_running() { self.last.clone() } else { None };
        let running = running.as_ref().and_then(|works| works.parts.first());
        let is_on_committed = running.is_none();
        let base = match running {
            Some(running) => Work::on_running(running),
            None => Work::on_committed(&self.partition, self.shared.writer),
        };
        let mut works = Works { spread: self.shared.spread, parts: vec![base] };
        if let Err(error) = self.lookup.run(|conn| gather(conn, &mut works, running, &jobs)) {
            tracing::debug!(partition = self.partition.number, %error, "a look-up failed");
            return self.decide_locked(jobs);
        }
        let batch = self.shared.decide(works, jobs, since);
        self.last = Some(Arc::clone(&batch.works));
        self.last_size = commands_of(&batch.jobs);
        if batch.works.is_empty() && is_on_committed {
            let newest = batch.works.parts.first().map(|work| self.lookup.run(|conn| is_newest(conn, work)));
            return match newest {
                Some(Ok(true)) => batch.settle(),
                _ => self.decide_locked(batch.jobs),
            };
        }
        if let Err(batch) = self.handover.put(batch) {
            batch.refuse(&Refusal::new(Reason::Internal, "The writer has stopped."));
        }
    }

    /// Lets another writer work on this partition until it gives it back.
    fn lend(&mut self, borrower: oneshot::Sender<Lease>) {
        self.handover.wait_until_idle();
        let (returned, back) = mpsc::channel();
        if borrower.send(Lease { _returned: returned }).is_ok() {
            // Nothing is ever sent: the lease is back when its sender is dropped.
            let _ = back.recv();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.handover.close();
    }
}

impl Shared {
    /// Decides jobs on what was gathered for them.
    pub(super) fn decide(&self, mut works: Works, jobs: Vec<Job>, since: Instant) -> Batch {
        let mut decider = Decider { works: &mut works, world: &self.world, max_back: self.max_back };
        let answers = jobs.iter().map(|job| decider.job(job)).collect();
        let clock = self.world.clock.now();
        for work in &mut works.parts {
            work.finish(clock);
        }
        Batch { works: Arc::new(works), jobs, answers, since }
    }

    /// The parts of a batch over `partitions`, on the committed state.
    pub(super) fn works_on_committed(&self, partitions: &[u16]) -> Works {
        let parts = partitions.iter().filter_map(|number| self.partitions.get(usize::from(*number)));
        Works {
            spread: self.spread,
            parts: parts.map(|partition| Work::on_committed(partition, self.writer)).collect(),
        }
    }
}

/// Tells the callers that their jobs are started; those whose deadline has passed are dropped.
fn start(jobs: Vec<Job>) -> Vec<Job> {
    jobs.into_iter()
        .filter_map(|job| {
            job.stage.start();
            if job.is_too_late() {
                job.refuse(
                    &Refusal::new(Reason::DeadlineExceeded, "The deadline passed before the work was started.")
                        .with("started", false),
                );
                return None;
            }
            Some(job)
        })
        .collect()
}

/// Whether a job must run while nothing else does.
fn needs_lock(job: &Job) -> bool {
    job.partitions.len() > 1 || job.commands.iter().any(|command| matches!(command.body, Body::AnonymizeAccount(_)))
}

/// An error that no caller can mend: logged once with its cause, told with a number to find it by.
pub(super) fn internal(world: &World, error: &DbError) -> Refusal {
    let error_id = super::seal::hex(&world.ids.random()[..8]);
    tracing::error!(error_id, %error, "a command failed inside");
    Refusal::new(Reason::Internal, "The service has failed inside; nothing was written.").with("error_id", error_id)
}
