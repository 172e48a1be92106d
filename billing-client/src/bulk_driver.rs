//! Keeps a bulk stream busy, over all reconnects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use billing_proto::v1;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::bulk::BulkResult;
use crate::client::{Client, ledger};
use crate::error::Error;
use crate::operation::{Operation, Outcome};
use crate::wire::malformed;

/// After so many deadlines without any answer a stream is taken for dead.
const STALLED_AFTER_DEADLINES: u32 = 3;
/// How long to wait for the service to end a stream on which all is answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// Nobody takes the results any more.
struct Abandoned;

pub(crate) struct Driver {
    client: Client,
    window: usize,
    /// What is still to be sent. `None` when all was taken.
    input: Option<BoxStream<'static, Operation>>,
    next_index: u64,
    /// What was taken and has no result yet, by index.
    pending: BTreeMap<u64, Pending>,
    /// What of it is to be sent again, and when.
    later: BTreeSet<(Instant, u64)>,
    failures: u32,
    sender: mpsc::Sender<Result<BulkResult, Error>>,
}

struct Pending {
    operation: Operation,
    attempts: u32,
    /// An attempt may have been executed although it gave no answer.
    outcome_unknown: bool,
}

/// One stream to the service.
struct Connection {
    requests: mpsc::UnboundedSender<v1::PostStreamRequest>,
    /// What was sent on it and not answered: the service's number of the request, and our index.
    unanswered: HashMap<i64, u64>,
    sent: i64,
    last_answer: Instant,
}

impl Driver {
    pub(crate) fn new(
        client: Client,
        window: usize,
        input: BoxStream<'static, Operation>,
        sender: mpsc::Sender<Result<BulkResult, Error>>,
    ) -> Self {
        Self {
            client,
            window,
            input: Some(input),
            next_index: 0,
            pending: BTreeMap::new(),
            later: BTreeSet::new(),
            failures: 0,
            sender,
        }
    }

    pub(crate) async fn run(mut self) {
        // Abandoned results need no more work.
        let _ = self.drive().await;
    }

    async fn drive(&mut self) -> Result<(), Abandoned> {
        while self.take_first().await {
            let (sender, requests) = mpsc::unbounded_channel();
            let mut connection = Connection::new(sender);
            // On a new stream everything is sent anew, in order.
            self.later.clear();
            for (index, pending) in &mut self.pending {
                connection.send(*index, pending);
            }
            let open = |channel, request| async move { ledger(channel).post_stream(request).await };
            let (error, may_have_arrived) = match self.client.open(UnboundedReceiverStream::new(requests), open).await {
                Ok(answers) => match self.stream_once(&mut connection, answers).await? {
                    Ok(()) => return Ok(()),
                    Err(error) => (error, true),
                },
                Err(error) => {
                    let unknown = error.outcome_unknown();
                    (error, unknown)
                }
            };
            for index in connection.unanswered.values() {
                if let Some(pending) = self.pending.get_mut(index) {
                    pending.outcome_unknown |= may_have_arrived;
                }
            }
            self.failures += 1;
            let Some(delay) = self.client.retry().delay_after(self.failures, &error) else {
                return self.give_up(error).await;
            };
            tracing::info!(failures = self.failures, delay_ms = delay.as_millis(), %error, "a bulk stream reconnects");
            sleep(delay).await;
        }
        Ok(())
    }

    /// Waits until there is something to send. False: everything has its result.
    async fn take_first(&mut self) -> bool {
        if self.pending.is_empty()
            && let Some(input) = &mut self.input
        {
            match input.next().await {
                Some(operation) => {
                    self.take(operation);
                }
                None => self.input = None,
            }
        }
        !self.pending.is_empty()
    }

    fn take(&mut self, operation: Operation) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        self.pending.insert(index, Pending { operation, attempts: 0, outcome_unknown: false });
        index
    }

    /// One stream, until it breaks, or (`Ok`) everything has its result.
    async fn stream_once(
        &mut self,
        connection: &mut Connection,
        mut answers: Streaming<v1::PostStreamResponse>,
    ) -> Result<Result<(), Error>, Abandoned> {
        let stalled_after = self.client.deadline() * STALLED_AFTER_DEADLINES;
        while self.input.is_some() || !self.pending.is_empty() {
            let room = self.pending.len() < self.window;
            let resend_at = self.later.first().map(|(at, _)| *at);
            tokio::select! {
                // The service has answered; answers come before new operations.
                biased;
                message = answers.message() => match message.map_err(Error::from_status) {
                    Ok(Some(answer)) => {
                        if let Err(error) = self.answered(connection, answer).await? {
                            return Ok(Err(error));
                        }
                    }
                    Ok(None) => return Ok(Err(Error::transport("the service has ended the stream"))),
                    Err(error) => return Ok(Err(error)),
                },
                // An operation that was refused for now is due again.
                () = sleep_until(resend_at.unwrap_or_else(Instant::now)), if resend_at.is_some() => {
                    if let Some((_, index)) = self.later.pop_first()
                        && let Some(pending) = self.pending.get_mut(&index)
                    {
                        connection.send(index, pending);
                    }
                }
                // The service owes answers and gives none.
                () = sleep_until(connection.last_answer + stalled_after), if !connection.unanswered.is_empty() => {
                    return Ok(Err(Error::transport("the service does not answer")));
                }
                // There is room for one more operation.
                operation = next(&mut self.input), if room && self.input.is_some() => match operation {
                    Some(operation) => {
                        let index = self.take(operation);
                        if let Some(pending) = self.pending.get_mut(&index) {
                            connection.send(index, pending);
                        }
                    }
                    None => self.input = None,
                },
            }
        }
        connection.close();
        // All is answered: how the stream ends does not matter any more.
        let _ = timeout(FAREWELL, answers.message()).await;
        Ok(Ok(()))
    }

    async fn answered(
        &mut self,
        connection: &mut Connection,
        answer: v1::PostStreamResponse,
    ) -> Result<Result<(), Error>, Abandoned> {
        let number = answer.request_index;
        let Some(index) = connection.unanswered.remove(&number) else {
            return Ok(Err(malformed("request_index", format!("{number} was not asked, or twice answered")).into()));
        };
        connection.last_answer = Instant::now();
        self.failures = 0;
        let Some(mut pending) = self.pending.remove(&index) else { return Ok(Ok(())) };
        let key = pending.operation.idempotency_key();
        if answer.idempotency_key != key {
            let problem = format!("request {number} carried `{key}`, not `{}`", answer.idempotency_key);
            self.pending.insert(index, pending);
            return Ok(Err(malformed("idempotency_key", problem).into()));
        }
        let outcome = Outcome::read(answer.result)
            .map_err(|error| if pending.outcome_unknown { error.after_unknown_attempt() } else { error });
        if let Err(error) = &outcome
            && let Some(delay) = self.client.retry().delay_after(pending.attempts, error)
        {
            pending.outcome_unknown |= error.outcome_unknown();
            self.pending.insert(index, pending);
            self.later.insert((Instant::now() + delay, index));
            return Ok(Ok(()));
        }
        self.report(index, &pending.operation, outcome).await.map(Ok)
    }

    async fn report(
        &mut self,
        index: u64,
        operation: &Operation,
        outcome: Result<Outcome, Error>,
    ) -> Result<(), Abandoned> {
        let result = BulkResult {
            index,
            account_id: operation.account_id().to_owned(),
            idempotency_key: operation.idempotency_key().to_owned(),
            outcome,
        };
        self.sender.send(Ok(result)).await.map_err(|_| Abandoned)
    }

    /// Every operation under way gets the error; the error itself comes last.
    async fn give_up(&mut self, error: Error) -> Result<(), Abandoned> {
        for (index, pending) in std::mem::take(&mut self.pending) {
            let own = if pending.outcome_unknown { error.clone().after_unknown_attempt() } else { error.clone() };
            self.report(index, &pending.operation, Err(own)).await?;
        }
        self.sender.send(Err(error)).await.map_err(|_| Abandoned)
    }
}

/// The next operation; waits for ever when all were taken.
async fn next(input: &mut Option<BoxStream<'static, Operation>>) -> Option<Operation> {
    match input {
        Some(input) => input.next().await,
        None => std::future::pending().await,
    }
}

impl Connection {
    fn new(requests: mpsc::UnboundedSender<v1::PostStreamRequest>) -> Self {
        Self { requests, unanswered: HashMap::new(), sent: 0, last_answer: Instant::now() }
    }

    fn send(&mut self, index: u64, pending: &mut Pending) {
        pending.attempts += 1;
        if self.unanswered.is_empty() {
            self.last_answer = Instant::now();
        }
        self.unanswered.insert(self.sent, index);
        self.sent += 1;
        // A stream that is closed is noticed where its answers are read.
        let operation = Some(pending.operation.clone().into());
        let _ = self.requests.send(v1::PostStreamRequest { operation });
    }

    /// Ends our side of the stream.
    fn close(&mut self) {
        self.requests = mpsc::unbounded_channel().0;
    }
}
