//! Subscriptions: a stream of events that resumes by itself.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::subscribe_request::Start;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::background::Background;
use crate::client::{Client, events};
use crate::error::Error;
use crate::event::Event;
use crate::stream_options::{patience, stream_options};
use crate::wire::required;

/// Events are handed over through a channel of this size. Behind it the flow control of the connection holds back the
/// service.
pub(crate) const EVENTS_AHEAD: usize = 64;

/// Which events to stream.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a subscription does nothing until a client subscribes"]
pub struct Subscription {
    wire: v1::SubscribeRequest,
    with_heartbeats: bool,
}

impl Subscription {
    /// The events of these accounts, at most 1000. All of them must exist.
    pub fn accounts<T: Into<String>>(account_ids: impl IntoIterator<Item = T>) -> Self {
        let account_ids = account_ids.into_iter().map(Into::into).collect();
        Self { wire: v1::SubscribeRequest { account_ids, ..Default::default() }, with_heartbeats: false }
    }

    /// The events of all accounts of these customers, at most 1000. Accounts opened later join by themselves.
    pub fn customers<T: Into<String>>(customer_ids: impl IntoIterator<Item = T>) -> Self {
        let customer_ids = customer_ids.into_iter().map(Into::into).collect();
        Self { wire: v1::SubscribeRequest { customer_ids, ..Default::default() }, with_heartbeats: false }
    }

    /// The events of all accounts, present and future. It needs the right to it.
    pub fn all_accounts() -> Self {
        let wire = v1::SubscribeRequest { all_accounts: true, ..Default::default() };
        Self { wire, with_heartbeats: false }
    }
}

stream_options!(Subscription, subscribe_request);

/// The events of a subscription: a [`Stream`] that reconnects and resumes by itself.
///
/// Nothing is left out, and events of one account come in the order of its sequence. After a reconnect the last events
/// may come again; [`event_id`](Event::event_id) tells them apart. A subscription without a snapshot has begun when its
/// first heartbeat comes, which it does at once: [`with_heartbeats`](Subscription::with_heartbeats) yields it.
///
/// It ends only after an error that no reconnect heals, such as `RESUME_TOKEN_EXPIRED`, `RESUME_TOKEN_DIVERGED`,
/// `PERMISSION_DENIED` or a malformed subscription; that error is its last item. Must be created within a tokio
/// runtime.
#[derive(Debug)]
pub struct Events {
    items: Background<Result<Event, Error>>,
    resume_token: Option<String>,
    with_heartbeats: bool,
}

impl Events {
    /// The token of the last event that this stream has yielded, or of a later heartbeat. Store it when that event is
    /// handled completely, and hand it to [`Subscription::resume_from`] after a restart.
    pub fn resume_token(&self) -> Option<&str> {
        self.resume_token.as_deref()
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = ready!(Pin::new(&mut self.items).poll_next(context));
            if let Some(Ok(event)) = &item {
                if !event.resume_token.is_empty() {
                    self.resume_token = Some(event.resume_token.clone());
                }
                if event.is_heartbeat() && !self.with_heartbeats {
                    continue;
                }
            }
            return Poll::Ready(item);
        }
    }
}

impl Client {
    /// Streams events. Connects in the background, and again whenever the stream breaks.
    pub fn subscribe(&self, subscription: Subscription) -> Events {
        let Subscription { wire, with_heartbeats } = subscription;
        let resume_token = match &wire.start {
            Some(Start::ResumeToken(token)) => Some(token.clone()),
            _ => None,
        };
        let patience = patience(wire.heartbeat_interval.as_ref());
        let client = self.clone();
        let items = Background::spawn(EVENTS_AHEAD, |sender| {
            let subscriber = Subscriber { client, request: wire, patience, failures: 0, sender };
            subscriber.run()
        });
        Events { items, resume_token, with_heartbeats }
    }
}

/// Keeps a subscription open.
struct Subscriber {
    client: Client,
    /// What to subscribe to; its start moves forward with each event.
    request: v1::SubscribeRequest,
    patience: Duration,
    /// How often in a row a stream broke as soon as it had begun.
    failures: u32,
    sender: mpsc::Sender<Result<Event, Error>>,
}

impl Subscriber {
    async fn run(mut self) {
        loop {
            let Err(error) = self.stream_once().await else { return };
            if !error.heals_by_reconnecting() {
                // Whoever has dropped the stream needs no error either.
                let _ = self.sender.send(Err(error)).await;
                return;
            }
            self.failures += 1;
            let delay = self.client.retry().delay_of_reconnect(self.failures, &error);
            tracing::info!(failures = self.failures, delay_ms = delay.as_millis(), %error, "a subscription reconnects");
            sleep(delay).await;
        }
    }

    /// One stream, until it breaks. `Ok` when nobody reads the events any more.
    async fn stream_once(&mut self) -> Result<(), Error> {
        let open = |channel, request| async move { events(channel).subscribe(request).await };
        let mut stream = self.client.open(self.request.clone(), open).await?;
        let mut begun = false;
        loop {
            let message = timeout(self.patience, stream.message())
                .await
                .map_err(|_| Error::transport("no heartbeat has come"))?
                .map_err(Error::from_status)?
                .ok_or_else(|| Error::transport("the service has ended the stream"))?;
            let event = Event::try_from(required("event", message.event)?)?;
            if !event.resume_token.is_empty() {
                self.request.start = Some(Start::ResumeToken(event.resume_token.clone()));
            }
            // The first message says only that the stream has begun.
            if std::mem::replace(&mut begun, true) {
                self.failures = 0;
            }
            if self.sender.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        }
    }
}
