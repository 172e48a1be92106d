//! Streams that a task in the background fills.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What a task sends. When it is dropped the task ends.
pub(crate) struct Background<T> {
    items: mpsc::Receiver<T>,
    task: AbortHandle,
}

impl<T: Send + 'static> Background<T> {
    /// Starts a task that sends its items through a channel of this capacity. A task whose items are not taken waits.
    pub(crate) fn spawn<F, Fut>(capacity: usize, run: F) -> Self
    where
        F: FnOnce(mpsc::Sender<T>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (sender, items) = mpsc::channel(capacity);
        let task = tokio::spawn(run(sender)).abort_handle();
        Self { items, task }
    }
}

impl<T> Stream for Background<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(context)
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("ended", &self.task.is_finished()).finish_non_exhaustive()
    }
}
