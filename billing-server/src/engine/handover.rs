//! Where the two halves of a writer meet: one decided batch waits here while the one before is in the database.

use parking_lot::{Condvar, Mutex};

use super::appender::Batch;

#[derive(Default)]
struct State {
    waiting: Option<Batch>,
    /// A batch has been taken and its outcome is not known yet.
    running: bool,
    /// One of the halves has ended.
    closed: bool,
}

/// Room for one batch between the half that decides and the half that appends, so that the second goes from one batch
/// to the next without waiting for the first to wake.
#[derive(Default)]
pub(super) struct Handover {
    state: Mutex<State>,
    changed: Condvar,
}

impl Handover {
    /// Hands a batch on. There is room: the deciding half waits for it before it decides. A batch that nobody will take
    /// comes back.
    pub(super) fn put(&self, batch: Batch) -> Result<(), Box<Batch>> {
        let mut state = self.state.lock();
        debug_assert!(state.waiting.is_none(), "a batch is decided only on top of the running one");
        if state.closed {
            return Err(Box::new(batch));
        }
        state.waiting = Some(batch);
        self.changed.notify_all();
        Ok(())
    }

    /// The next batch. `None` when no more will come.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            if let Some(batch) = state.waiting.take() {
                state.running = true;
                self.changed.notify_all();
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The batch taken last has ended.
    pub(super) fn end(&self) {
        self.state.lock().running = false;
        self.changed.notify_all();
    }

    /// Waits until the batch handed on last has been taken.
    pub(super) fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.waiting.is_some() && !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Waits until nothing waits and nothing runs.
    pub(super) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while (state.waiting.is_some() || state.running) && !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Whether a batch is on its way: the one handed on last, once there is room.
    pub(super) fn is_running(&self) -> bool {
        self.state.lock().running
    }

    /// No more batches will come, or none will be taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}
