//! Bulk posting: a stream of operations in, a stream of results out.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, Stream, StreamExt as _};

use crate::background::Background;
use crate::bulk_driver::Driver;
use crate::client::Client;
use crate::error::Error;
use crate::operation::{Operation, Outcome};

/// So many operations are under way at most, unless another number is asked for.
const DEFAULT_WINDOW: usize = 1000;

/// Posts many operations over one stream; begin with [`Client::bulk`].
#[derive(Debug, Clone)]
#[must_use = "it does nothing until operations are sent"]
pub struct Bulk {
    client: Client,
    window: usize,
}

/// What became of one operation of a bulk.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BulkResult {
    /// Which operation: they are counted from 0, in the order in which they were handed in.
    pub index: u64,
    /// The account of the operation; for a transfer the paying one.
    pub account_id: String,
    /// The key of the operation.
    pub idempotency_key: String,
    /// The outcome, or why there is none.
    pub outcome: Result<Outcome, Error>,
}

/// The results of a bulk: a [`Stream`] that ends when all operations have theirs. They may come in another order than
/// the operations.
///
/// When the stream to the service breaks, the client opens another one and sends again, with the same keys, what was
/// not answered; so it does with an operation whose refusal may heal. When that fails too often in a row, or cannot
/// heal, each operation under way gets the error as its result, and the error itself is the last item: what was not yet
/// taken from the input was not sent.
#[derive(Debug)]
pub struct BulkResults {
    items: Background<Result<BulkResult, Error>>,
}

impl Client {
    /// Posts many operations over one stream, much faster than call by call.
    pub fn bulk(&self) -> Bulk {
        Bulk { client: self.clone(), window: DEFAULT_WINDOW }
    }
}

impl Bulk {
    /// How many operations may be under way at once: 1 and more, 1000 by default. No more are taken from the input.
    pub fn window(mut self, operations: usize) -> Self {
        self.window = operations.max(1);
        self
    }

    /// Sends the operations of an iterator. Must be called within a tokio runtime.
    pub fn send_all<I>(self, operations: I) -> BulkResults
    where
        I: IntoIterator<Item: Into<Operation>, IntoIter: Send + 'static>,
    {
        self.send(stream::iter(operations))
    }

    /// Sends the operations of a stream, as they come. Must be called within a tokio runtime.
    ///
    /// Operations of one account are decided in the order in which they are sent, except those that have to be sent
    /// again. Where the order around a transfer matters, wait for its result.
    pub fn send<S>(self, operations: S) -> BulkResults
    where
        S: Stream<Item: Into<Operation>> + Send + 'static,
    {
        let Self { client, window } = self;
        let operations = operations.map(Into::into).boxed();
        let items = Background::spawn(window, |sender| Driver::new(client, window, operations, sender).run());
        BulkResults { items }
    }
}

impl Stream for BulkResults {
    type Item = Result<BulkResult, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.items).poll_next(context)
    }
}
