//! The way out to one reader: a short queue of messages, and how it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use billing_proto::v1;
use futures_util::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::domain::reason::{Reason, Refusal};

/// One message to a reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An event.
    Event(Box<v1::Event>),
    /// The confirmation of a change of the followed accounts.
    Changed(Box<v1::FollowedAccountsChanged>),
}

/// How a stream ended.
#[derive(Debug)]
enum Ending {
    /// It goes on; a writer that vanishes in this state has failed.
    Open,
    Done,
    Refused(Refusal),
}

/// The writing side.
#[derive(Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Message>,
    ending: Arc<Mutex<Ending>>,
}

/// The reading side: the messages, then the refusal that ended them, if any.
#[derive(Debug)]
pub struct Delivery {
    queue: mpsc::Receiver<Message>,
    ending: Arc<Mutex<Ending>>,
}

/// Both sides, with room for some messages.
pub fn outbox(room: usize) -> (Outbox, Delivery) {
    let (sender, receiver) = mpsc::channel(room.max(1));
    let ending = Arc::new(Mutex::new(Ending::Open));
    (Outbox { queue: sender, ending: Arc::clone(&ending) }, Delivery { queue: receiver, ending })
}

/// Why a message could not be sent at once.
#[derive(Debug)]
pub(super) enum Unsent {
    Full(Message),
    Closed,
}

impl Outbox {
    /// Sends a message if there is room.
    pub(super) fn try_send(&self, message: Message) -> Result<(), Unsent> {
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => Unsent::Full(message),
            mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
        })
    }

    /// Sends a message as soon as there is room; false if nobody reads any more.
    pub(super) async fn send(&self, message: Message) -> bool {
        self.queue.send(message).await.is_ok()
    }

    /// Whether the reader is behind.
    pub(super) fn is_full(&self) -> bool {
        self.queue.capacity() == 0
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Ends the stream; what was sent before is still delivered.
    pub fn finish(self, end: Result<(), Refusal>) {
        *self.ending.lock() = end.map_or_else(Ending::Refused, |()| Ending::Done);
    }
}

impl Stream for Delivery {
    type Item = Result<Message, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.queue.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(message)) => Poll::Ready(Some(Ok(message))),
            Poll::Ready(None) => {
                let ending = std::mem::replace(&mut *self.ending.lock(), Ending::Done);
                Poll::Ready(match ending {
                    Ending::Done => None,
                    Ending::Refused(refusal) => Some(Err(refusal)),
                    Ending::Open => Some(Err(Refusal::new(Reason::Internal, "The stream broke off; resume it."))),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn message() -> Message {
        Message::Event(Box::default())
    }

    #[tokio::test]
    async fn what_was_sent_comes_before_the_end() {
        let (outbox, mut delivery) = outbox(1);
        assert!(outbox.try_send(message()).is_ok() && outbox.is_full());
        assert!(matches!(outbox.try_send(message()), Err(Unsent::Full(_))));
        outbox.finish(Err(Refusal::new(Reason::SlowSubscriber, "")));
        assert_eq!(delivery.next().await, Some(Ok(message())));
        assert_eq!(delivery.next().await.and_then(Result::err).map(|end| end.reason), Some(Reason::SlowSubscriber));
        assert_eq!(delivery.next().await, None);
    }

    #[tokio::test]
    async fn a_writer_that_vanishes_is_no_clean_end() {
        let (outbox, mut delivery) = outbox(1);
        drop(outbox);
        assert_eq!(delivery.next().await.and_then(Result::err).map(|end| end.reason), Some(Reason::Internal));
        let (outbox, mut delivery) = super::outbox(1);
        outbox.finish(Ok(()));
        assert_eq!(delivery.next().await, None);
    }
}
