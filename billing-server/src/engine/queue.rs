//! The bounded queue in front of a writer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

use super::command::Job;
use super::works::commands_of;
use crate::domain::reason::{Reason, Refusal};

/// What a writer is asked to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Decide and append.
    Decide(Job),
    /// Decide again what could not be appended.
    Redo(Vec<Job>),
    /// Stand still while another writer works on this partition; the lender waits until the lease is dropped.
    Lend(oneshot::Sender<Lease>),
}

/// The right to change a partition that another writer owns; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) _returned: std::sync::mpsc::Sender<()>,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands that may wait.
    pub commands: usize,
    /// How long the last of them may expect to wait.
    pub wait: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    commands: usize,
    closed: bool,
    /// The writer may end: nobody will borrow the partition any more.
    finishing: bool,
    /// Nobody takes any more.
    ended: bool,
    /// Smoothed time from deciding a batch to its answers.
    batch_time: Duration,
    max_batch: usize,
    /// How many commands must wait before the writer is worth waking.
    wanted: usize,
}

/// The least that is worth splitting: below it a commit of its own costs more than it saves.
const SMALLEST_HALF: usize = 16;

/// The tasks that wait for a writer. Closing it refuses what comes later; what waits is still done.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Notify,
}

impl Queue {
    pub(super) fn new(limits: Limits, max_batch: usize) -> Self {
        let waiting = Waiting { max_batch, ..Waiting::default() };
        Self { limits, waiting: Mutex::new(waiting), filled: Condvar::new(), room: Notify::new() }
    }

    /// Puts a job at the end.
    ///
    /// # Errors
    /// `OVERLOADED` when too much waits, `SHUTTING_DOWN` once the queue is closed; the job comes back with it.
    pub(super) fn submit(&self, job: Job) -> Result<(), Box<(Job, Refusal)>> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Box::new((job, shutting_down())));
        }
        if waiting.commands >= self.limits.commands || waiting.wait() > self.limits.wait {
            let wait = waiting.wait().max(Duration::from_millis(20));
            return Err(Box::new((job, overloaded(wait))));
        }
        waiting.commands += job.size();
        waiting.tasks.push_back(Task::Decide(job));
        if waiting.commands >= waiting.wanted {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until a job would be taken.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let notified = self.room.notified();
            {
                let waiting = self.waiting.lock();
                if waiting.closed || (waiting.commands < self.limits.commands && waiting.wait() <= self.limits.wait) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Puts jobs that could not be appended before everything else, behind those put back earlier.
    pub(super) fn put_back(&self, jobs: Vec<Job>) {
        let mut waiting = self.waiting.lock();
        let behind = waiting.tasks.iter().take_while(|task| matches!(task, Task::Redo(_))).count();
        waiting.commands += commands_of(&jobs);
        waiting.tasks.insert(behind, Task::Redo(jobs));
        self.filled.notify_one();
    }

    /// Asks for the partition to be lent; not bounded, since only writers ask.
    pub(super) fn borrow(&self) -> oneshot::Receiver<Lease> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            // The sender is dropped, which tells the borrower.
            return receiver;
        }
        waiting.tasks.push_back(Task::Lend(sender));
        self.filled.notify_one();
        receiver
    }

    /// Takes half of what is queued, in order, at most `max` commands: either jobs that touch the same partitions, or one
    /// loan. `None` once the queue is to end and empty.
    ///
    /// Half, so that there is something to decide while the first half is in the database: callers that wait for their
    /// answers would otherwise all end up in one batch, and the two halves of the writer would work in turns. For the same
    /// reason it waits until `least` commands are there, which is none while nothing runs: nobody ever waits for company
    /// while the database could be at work. A writer that does not decide ahead (`least` is `None`) takes all.
    pub(super) fn take(&self, max: usize, least: impl Fn() -> Option<usize>) -> Option<Taken> {
        let mut waiting = self.waiting.lock();
        loop {
            let least = least();
            waiting.wanted = least.unwrap_or(0);
            if waiting.commands >= waiting.wanted || waiting.is_urgent() {
                let half = waiting.commands.div_ceil(2).max(SMALLEST_HALF);
                if let Some(taken) = waiting.take(if least.is_some() { max.min(half) } else { max }) {
                    self.room.notify_waiters();
                    return Some(taken);
                }
                if waiting.finishing {
                    return None;
                }
            }
            self.filled.wait(&mut waiting);
        }
    }

    /// Lets the writer look again: what it waited for has ended.
    pub(super) fn look_again(&self) {
        let _waiting = self.waiting.lock();
        self.filled.notify_one();
    }

    /// Tells when the batch just answered was taken up, for the estimate of the wait.
    pub(super) fn took(&self, since: Instant) {
        let mut waiting = self.waiting.lock();
        waiting.batch_time = waiting.batch_time / 8 * 7 + since.elapsed() / 8;
    }

    /// Whether no more jobs are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }

    /// Lets the writer of a closed queue end when it is empty.
    pub(super) fn finish(&self) {
        self.waiting.lock().finishing = true;
        self.filled.notify_all();
    }

    /// Ends a finishing queue; false if something has been put back since it was found empty.
    pub(super) fn end(&self) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.ended = waiting.tasks.is_empty();
        waiting.ended
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.filled.notify_all();
        self.room.notify_waiters();
    }
}

/// What a writer took from its queue.
#[derive(Debug)]
pub(super) enum Taken {
    Jobs(Vec<Job>),
    Redo(Vec<Job>),
    Loan(oneshot::Sender<Lease>),
}

impl Waiting {
    fn wait(&self) -> Duration {
        // What waits goes in batches: one of a few commands takes nearly as long as a full one.
        let batches = u32::try_from(self.commands.div_ceil(self.max_batch.max(1))).unwrap_or(u32::MAX);
        self.batch_time.saturating_mul(batches)
    }

    /// Whether something is to be done that does not wait for company.
    fn is_urgent(&self) -> bool {
        self.closed || !matches!(self.tasks.front(), None | Some(Task::Decide(_)))
    }

    fn take(&mut self, max: usize) -> Option<Taken> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut commands = 0;
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Lend(sender) if jobs.is_empty() => return Some(Taken::Loan(sender)),
                Task::Redo(again) if jobs.is_empty() => {
                    self.commands -= commands_of(&again);
                    return Some(Taken::Redo(again));
                }
                Task::Decide(job) if jobs.first().is_none_or(|first| first.partitions == job.partitions) => {
                    commands += job.size();
                    self.commands -= job.size();
                    jobs.push(job);
                    if commands >= max {
                        break;
                    }
                }
                other => {
                    self.tasks.push_front(other);
                    break;
                }
            }
        }
        if jobs.is_empty() { None } else { Some(Taken::Jobs(jobs)) }
    }
}

/// The refusal of a server that is going down.
pub(super) fn shutting_down() -> Refusal {
    Refusal::new(Reason::ShuttingDown, "The server is shutting down; repeat the call, with the same key, on another.")
}

fn overloaded(wait: Duration) -> Refusal {
    Refusal::new(
        Reason::Overloaded,
        "Too many commands wait already; repeat this one, with the same key, a little later.",
    )
    .with("retry_after_ms", wait.as_millis())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::super::command::{Body, Command, Mode, Stage};
    use super::*;

    /// Far longer than a thread needs to take a job.
    const A_WHILE: Duration = Duration::from_millis(200);

    fn queue(jobs: usize) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(Limits { commands: 1_000, wait: Duration::from_secs(60) }, 1_000));
        for _ in 0..jobs {
            submit(&queue);
        }
        queue
    }

    fn submit(queue: &Queue) {
        let command = Command {
            account_id: "one".to_owned(),
            key: None,
            principal: None,
            body: Body::Settle,
            validate_only: false,
        };
        let job = Job {
            commands: vec![command],
            mode: Mode::Independent,
            trial: false,
            partitions: vec![0],
            deadline: None,
            stage: Arc::new(Stage::default()),
            reply: oneshot::channel().0,
        };
        assert!(queue.submit(job).is_ok());
    }

    fn size(taken: Option<Taken>) -> usize {
        match taken {
            Some(Taken::Jobs(jobs)) => jobs.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_batch_is_half_of_what_waits() {
        let queue = queue(70);
        let sizes: Vec<usize> = (0..4).map(|_| size(queue.take(1_000, || Some(0)))).collect();
        assert_eq!(sizes, [35, 18, 16, 1]);
    }

    #[test]
    fn a_writer_that_does_not_decide_ahead_takes_all_that_waits() {
        assert_eq!(size(queue(70).take(1_000, || None)), 70);
        assert_eq!(size(queue(70).take(50, || None)), 50);
    }

    #[test]
    fn while_a_batch_runs_the_next_one_waits_for_company_or_for_its_end() {
        let queue = queue(0);
        let least = Arc::new(AtomicUsize::new(3));
        let (sender, taken) = mpsc::channel();
        std::thread::spawn({
            let (queue, least) = (Arc::clone(&queue), Arc::clone(&least));
            move || {
                for _ in 0..2 {
                    let jobs = queue.take(1_000, || Some(least.load(Ordering::Acquire)));
                    sender.send(size(jobs)).unwrap_or_default();
                }
            }
        });
        submit(&queue);
        submit(&queue);
        assert!(taken.recv_timeout(A_WHILE).is_err());
        submit(&queue);
        assert_eq!(taken.recv(), Ok(3));
        submit(&queue);
        assert!(taken.recv_timeout(A_WHILE).is_err());
        least.store(0, Ordering::Release);
        queue.look_again();
        assert_eq!(taken.recv(), Ok(1));
    }
}
