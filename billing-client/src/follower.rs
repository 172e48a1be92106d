//! Keeps a followed stream open, and its set of accounts over all reconnects.

use std::collections::BTreeSet;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::follow_request::Request as Wire;
use billing_proto::v1::follow_response::Message;
use billing_proto::v1::follow_start::Start;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::client::{Client, events};
use crate::error::Error;
use crate::event::{Event, Payload};
use crate::follow::{Followed, MAX_ACCOUNTS, Wanted};

/// What the caller asks for while the stream runs.
#[derive(Debug)]
pub(crate) enum Change {
    Add(Vec<String>),
    Remove(Vec<String>),
}

pub(crate) struct Follower {
    client: Client,
    /// How to begin; its start moves forward with each event.
    start: v1::FollowStart,
    wanted: Wanted,
    /// The accounts that continue from the token: those of a start and those confirmed since, but with snapshots only once
    /// they have sent theirs. Others are added anew after a reconnect.
    established: BTreeSet<String>,
    /// The accounts whose following the caller was told of.
    told: BTreeSet<String>,
    changes: mpsc::UnboundedReceiver<Change>,
    patience: Duration,
    failures: u32,
    sender: mpsc::Sender<Result<Followed, Error>>,
}

/// One connection of a followed stream.
struct Connection {
    requests: mpsc::UnboundedSender<v1::FollowRequest>,
    /// The start was not confirmed yet.
    starting: bool,
    /// So many confirmations answer what a reconnect has repeated.
    repeated: usize,
}

impl Follower {
    pub(crate) fn new(
        client: Client,
        start: v1::FollowStart,
        wanted: Wanted,
        changes: mpsc::UnboundedReceiver<Change>,
        patience: Duration,
        sender: mpsc::Sender<Result<Followed, Error>>,
    ) -> Self {
        let resumed = matches!(start.start, Some(Start::ResumeToken(_)));
        let established = if resumed { start.account_ids.iter().cloned().collect() } else { BTreeSet::new() };
        Self { client, start, wanted, established, told: BTreeSet::new(), changes, patience, failures: 0, sender }
    }

    pub(crate) async fn run(mut self) {
        let mut reconnect = false;
        loop {
            let Err(error) = self.stream_once(reconnect).await else { return };
            if !error.heals_by_reconnecting() {
                // Whoever has dropped the stream needs no error either.
                let _ = self.sender.send(Err(error)).await;
                return;
            }
            reconnect = true;
            self.failures += 1;
            let delay = self.client.retry().delay_of_reconnect(self.failures, &error);
            tracing::info!(failures = self.failures, delay_ms = delay.as_millis(), %error, "a followed stream reconnects");
            sleep(delay).await;
        }
    }

    fn has_token(&self) -> bool {
        matches!(self.start.start, Some(Start::ResumeToken(_)))
    }

    /// One stream, until it breaks. `Ok` when nobody reads the events any more.
    async fn stream_once(&mut self, reconnect: bool) -> Result<(), Error> {
        let (sender, requests) = mpsc::unbounded_channel();
        let mut connection = self.begin(sender, reconnect);
        let open = |channel, request| async move { events(channel).follow(request).await };
        let mut stream = self.client.open(UnboundedReceiverStream::new(requests), open).await?;
        let mut alive_until = Instant::now() + self.patience;
        let mut begun = false;
        loop {
            tokio::select! {
                // The caller wants other accounts.
                Some(change) = self.changes.recv() => connection.request(change),
                // The service says something, or has been silent for too long.
                message = timeout_at(alive_until, stream.message()) => {
                    let message = message
                        .map_err(|_| Error::transport("no heartbeat has come"))?
                        .map_err(Error::from_status)?
                        .ok_or_else(|| Error::transport("the service has ended the stream"))?;
                    // The first message says only that the stream has begun.
                    if std::mem::replace(&mut begun, true) {
                        self.failures = 0;
                    }
                    let item = match message.message {
                        Some(Message::Event(event)) => Some(self.event(event)?),
                        Some(Message::AccountsChanged(changed)) => self.confirmed(&mut connection, changed),
                        None => None,
                    };
                    if let Some(item) = item
                        && self.sender.send(Ok(item)).await.is_err()
                    {
                        return Ok(());
                    }
                    // The time that the caller took is not the silence of the service.
                    alive_until = Instant::now() + self.patience;
                }
            }
        }
    }

    /// Sends what a new stream begins with: `start` with the accounts that continue from its token, then the others.
    /// Without a token all of them begin there, as if for the first time.
    fn begin(&mut self, requests: mpsc::UnboundedSender<v1::FollowRequest>, reconnect: bool) -> Connection {
        let wanted = self.wanted.lock().clone();
        self.established.retain(|account| wanted.contains(account));
        let resumed = self.has_token();
        let (mut first, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|account| !resumed || self.established.contains(account));
        if !self.start.include_snapshot {
            self.established.extend(first.iter().cloned());
        }
        let further = first.split_off(first.len().min(MAX_ACCOUNTS));
        let opening_adds = further.len().div_ceil(MAX_ACCOUNTS);
        let mut connection = Connection { requests, starting: true, repeated: 0 };
        if reconnect {
            connection.repeated = 1 + opening_adds + rest.len().div_ceil(MAX_ACCOUNTS);
        }
        // What is too much for the service is refused by it.
        let opening_adds = i32::try_from(opening_adds).unwrap_or(i32::MAX);
        connection.send(Wire::Start(v1::FollowStart { account_ids: first, opening_adds, ..self.start.clone() }));
        connection.request(Change::Add(further));
        connection.request(Change::Add(rest));
        connection
    }

    fn event(&mut self, event: v1::Event) -> Result<Followed, Error> {
        let event = Event::try_from(event)?;
        if !event.resume_token.is_empty() {
            self.start.start = Some(Start::ResumeToken(event.resume_token.clone()));
        }
        if matches!(event.payload, Payload::BalanceSnapshot(_)) {
            self.established.insert(event.account_id.clone());
        }
        Ok(Followed::Event(Box::new(event)))
    }

    /// What to tell the caller of a confirmation: of one that answers what only a reconnect has asked for, what is new.
    fn confirmed(&mut self, connection: &mut Connection, changed: v1::FollowedAccountsChanged) -> Option<Followed> {
        let v1::FollowedAccountsChanged {
            added_account_ids: mut added,
            removed_account_ids: mut removed,
            missing_account_ids: missing,
        } = changed;
        let mut wanted = self.wanted.lock();
        for account in &missing {
            wanted.remove(account);
            self.established.remove(account);
        }
        if !self.start.include_snapshot {
            self.established.extend(added.iter().cloned());
        }
        if connection.repeated > 0 {
            connection.repeated -= 1;
            added.retain(|account| !self.told.contains(account));
            removed.retain(|account| self.told.contains(account));
            if connection.starting {
                // What was to be removed when the stream broke was simply not asked for again.
                removed.extend(self.told.iter().filter(|&account| !wanted.contains(account)).cloned());
                removed.retain(|account| !missing.contains(account));
            }
            if added.is_empty() && removed.is_empty() && missing.is_empty() {
                connection.starting = false;
                return None;
            }
        }
        connection.starting = false;
        self.told.extend(added.iter().cloned());
        for account in removed.iter().chain(&missing) {
            self.told.remove(account);
        }
        for account in &removed {
            self.established.remove(account);
        }
        Some(Followed::AccountsChanged { added, removed, missing })
    }
}

impl Connection {
    fn request(&self, change: Change) {
        let (accounts, wire): (_, fn(Vec<String>) -> Wire) = match change {
            Change::Add(accounts) => (accounts, |account_ids| Wire::Add(v1::FollowAdd { account_ids })),
            Change::Remove(accounts) => (accounts, |account_ids| Wire::Remove(v1::FollowRemove { account_ids })),
        };
        for chunk in accounts.chunks(MAX_ACCOUNTS) {
            self.send(wire(chunk.to_vec()));
        }
    }

    fn send(&self, request: Wire) {
        // A stream that is closed is noticed where its messages are read.
        let _ = self.requests.send(v1::FollowRequest { request: Some(request) });
    }
}
