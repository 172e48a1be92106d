//! The client: its connections, its settings, and the way of every call.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::account_service_client::AccountServiceClient;
use billing_proto::v1::balance_service_client::BalanceServiceClient;
use billing_proto::v1::event_service_client::EventServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::builder::ClientBuilder;
use crate::connections::Connections;
use crate::error::Error;
use crate::position::Position;
use crate::retry::RetryPolicy;

/// A page of 1000 entries with all their metadata is larger than the 4 MiB that tonic permits by default.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A client of the billing service. It is cheap to clone, and clones share their connections.
#[derive(Clone)]
pub struct Client {
    connections: Arc<Connections>,
    shared: Shared,
    min_position: Option<Position>,
}

/// The settings of all calls.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) authorization: Option<MetadataValue<Ascii>>,
    pub(crate) deadline: Duration,
    pub(crate) retry: Arc<RetryPolicy>,
}

impl Client {
    /// Configures a client for the service at this URI, such as `http://127.0.0.1:50051`.
    pub fn builder(endpoint: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(endpoint.into())
    }

    pub(crate) fn new(shared: Shared, connections: Connections) -> Self {
        Self { connections: Arc::new(connections), shared, min_position: None }
    }

    /// The same client with another deadline of its calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut client = self.clone();
        client.shared.deadline = deadline;
        client
    }

    /// The same client with another retry policy.
    #[must_use]
    pub fn with_retry(&self, policy: RetryPolicy) -> Self {
        let mut client = self.clone();
        client.shared.retry = Arc::new(policy);
        client
    }

    /// The same client, whose reads see at least this position: hand it the position of a mutation to read your own
    /// write on any instance of the service. Reads that concern another partition are not affected.
    #[must_use]
    pub fn at_least(&self, position: impl Into<Option<Position>>) -> Self {
        let mut client = self.clone();
        client.min_position = position.into();
        client
    }

    pub(crate) fn min_position(&self) -> Option<v1::JournalPosition> {
        self.min_position.map(Into::into)
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.shared.retry
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// Makes a call until it is answered, or must not or need not be repeated, or the deadline passes.
    pub(crate) async fn call<Req, Res, F, Fut>(&self, wire: &Req, send: F) -> Result<Res, Error>
    where
        Req: Clone,
        F: Fn(Channel, Request<Req>) -> Fut,
        Fut: Future<Output = Result<Response<Res>, Status>>,
    {
        let deadline = Instant::now() + self.shared.deadline;
        let mut outcome_unknown = false;
        let mut attempt = 1;
        loop {
            let chosen = self.connections.choose();
            let mut request = self.authorized(wire.clone());
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            let answer = timeout_at(deadline, send(chosen.channel.clone(), request)).await;
            let mut error = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => Error::from_status(status),
                Err(_) => Error::Deadline { started: true },
            };
            chosen.report(&error);
            if outcome_unknown {
                error = error.after_unknown_attempt();
            }
            let Some(delay) = self.shared.retry.delay_after(attempt, &error) else { return Err(error) };
            if Instant::now() + delay >= deadline {
                return Err(error);
            }
            tracing::debug!(attempt, delay_ms = delay.as_millis(), %error, "a call to the billing service is repeated");
            outcome_unknown |= error.outcome_unknown();
            sleep(delay).await;
            attempt += 1;
        }
    }

    /// Opens a stream, once. The deadline bounds the time until it is open, not its life.
    pub(crate) async fn open<Req, Res, F, Fut>(&self, message: Req, send: F) -> Result<Res, Error>
    where
        F: FnOnce(Channel, Request<Req>) -> Fut,
        Fut: Future<Output = Result<Response<Res>, Status>>,
    {
        let chosen = self.connections.choose();
        let opening = send(chosen.channel.clone(), self.authorized(message));
        let error = match timeout(self.shared.deadline, opening).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => Error::from_status(status),
            Err(_) => Error::transport("the stream was not opened in time"),
        };
        chosen.report(&error);
        Err(error)
    }

    fn authorized<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.shared.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

impl fmt::Debug for Client {
    /// Shows no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("deadline", &self.shared.deadline)
            .field("retry", &self.shared.retry)
            .field("min_position", &self.min_position)
            .finish_non_exhaustive()
    }
}

pub(crate) fn accounts(channel: Channel) -> AccountServiceClient<Channel> {
    AccountServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

pub(crate) fn balances(channel: Channel) -> BalanceServiceClient<Channel> {
    BalanceServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

pub(crate) fn ledger(channel: Channel) -> LedgerServiceClient<Channel> {
    LedgerServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

pub(crate) fn events(channel: Channel) -> EventServiceClient<Channel> {
    EventServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}
