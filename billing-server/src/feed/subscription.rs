//! One stream: what it has been sent, and how it goes on and ends.
//!
//! It runs in a task of its own. In each partition it is either live (rows that concern it are put on its seat) or away
//! (it reads the ring or the journal above its cursor, until nothing is left between the cursor and what was told).
//! Whatever goes wrong with a seat, the cursor says exactly what comes next: so nothing is lost and nothing comes twice.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::filter::Types;
use super::hub::{Hub, Listed, shutting_down};
use super::merge::Merge;
use super::order::{Change, Changes, Following, Sees};
use super::outbox::{Message, Outbox, Unsent};
use super::row::Carry;
use super::source::Source;
use super::subscriber::State;
use super::token::{Cursor, SnapshotMark};
use crate::convert::event;
use crate::domain::reason::{Reason, Refusal};

/// How long a subscriber that is away waits when it finds nothing to read.
const NAP: Duration = Duration::from_millis(100);
/// How often a busy stream takes over how far it has come where nothing concerned it.
const REFRESH: Duration = Duration::from_secs(1);

/// How a stream is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// After how long without an event a heartbeat is sent.
    pub(super) heartbeat: Duration,
    /// How long the stream lives.
    pub(super) age: Duration,
    /// Whether a slow reader gets only the latest balance of an account.
    pub(super) conflate: bool,
    /// Which events are wanted.
    pub(super) types: Types,
}

/// Which balances a stream sends before events.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// For a set of accounts that stays: how far their snapshot has come, while one is sent.
    pub(super) mark: Option<SnapshotMark>,
    /// For a set that changes: those of the accounts it begins with.
    pub(super) of_start: bool,
    /// For a set that changes: those of the accounts added later.
    pub(super) of_added: bool,
}

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum End {
    /// The caller has had enough, or is gone.
    Done,
    /// For a reason that the caller is told.
    Refused(Refusal),
}

/// What goes on, or the end.
pub(super) type Flow<T = ()> = Result<T, End>;

/// A stream that was opened.
pub struct Subscription {
    pub(super) hub: Arc<Hub>,
    pub(super) source: Arc<dyn Source>,
    pub(super) listed: Listed,
    pub(super) cursors: Vec<Cursor>,
    /// Readings of the journal by account that go on with the next page.
    pub(super) merges: Vec<Option<Merge>>,
    pub(super) carry: Carry,
    pub(super) snapshots: Snapshots,
    /// How many accounts have sent a snapshot.
    pub(super) snapshot_count: i64,
    pub(super) pace: Pace,
    pub(super) sees: Option<Sees>,
    changes: Option<Changes>,
    /// So many additions are still to come before the first event.
    pub(super) opening: usize,
    outbox: Option<Outbox>,
    drain: watch::Receiver<bool>,
    heartbeat_at: Instant,
    refresh_at: Instant,
    ends_at: Instant,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("cursors", &self.cursors).finish_non_exhaustive()
    }
}

impl Subscription {
    pub(super) fn new(
        hub: Arc<Hub>,
        source: Arc<dyn Source>,
        listed: Listed,
        begin: (Vec<Cursor>, Snapshots),
        pace: Pace,
    ) -> Self {
        let (cursors, snapshots) = begin;
        let now = Instant::now();
        Self {
            drain: hub.drain.clone(),
            hub,
            source,
            listed,
            merges: cursors.iter().map(|_| None).collect(),
            cursors,
            carry: Carry::default(),
            snapshots,
            snapshot_count: 0,
            sees: None,
            changes: None,
            opening: 0,
            outbox: None,
            heartbeat_at: now + pace.heartbeat,
            refresh_at: now + REFRESH,
            ends_at: now + pace.age,
            pace,
        }
    }

    /// The same, whose accounts change.
    pub(super) fn following(mut self, following: Following, sees: Sees) -> Self {
        self.changes = Some(following.changes);
        self.opening = following.opening;
        self.sees = Some(sees);
        self
    }

    /// Sends until the stream ends.
    pub async fn run(mut self, outbox: Outbox) {
        self.outbox = Some(outbox);
        let end = match self.stream().await {
            Ok(never) => match never {},
            Err(End::Done) => Ok(()),
            Err(End::Refused(refusal)) => Err(refusal.with("resume_token", self.token())),
        };
        if let Some(outbox) = self.outbox.take() {
            outbox.finish(end);
        }
    }

    async fn stream(&mut self) -> Flow<Infallible> {
        // A caller has a token before anything can be lost to him.
        if self.snapshots.mark.is_none() && !self.snapshots.of_start {
            self.send_heartbeat().await?;
        }
        self.send_snapshot().await?;
        loop {
            self.look_up().await?;
            let mut moved = false;
            let ready = if self.opening == 0 { self.hub.lanes.len() } else { 0 };
            for partition in 0..ready {
                moved |= self.step(partition).await?;
            }
            if !moved {
                self.rest().await?;
            }
        }
    }

    /// The token of all that was sent so far.
    pub(super) fn token(&self) -> String {
        self.hub.signer.sign(&self.cursors, self.snapshots.mark.as_ref())
    }

    /// Attends to everything but rows, without waiting.
    async fn look_up(&mut self) -> Flow {
        let now = Instant::now();
        if *self.drain.borrow() || self.drain.has_changed().is_err() {
            return Err(End::Refused(shutting_down()));
        }
        if now >= self.ends_at {
            return Err(End::Refused(too_old()));
        }
        if now >= self.refresh_at {
            self.refresh();
            self.refresh_at = now + REFRESH;
        }
        if now >= self.heartbeat_at {
            self.send_heartbeat().await?;
        }
        while let Some(change) = self.changes.as_mut().and_then(|changes| changes.next().now_or_never()) {
            self.take(change).await?;
        }
        Ok(())
    }

    /// Waits until there is something to do.
    async fn rest(&mut self) -> Flow {
        self.refresh();
        let nap = Instant::now() + NAP;
        let until = if self.listed.subscriber.is_live() { self.heartbeat_at } else { nap.min(self.heartbeat_at) };
        let Some(outbox) = &self.outbox else { return Err(End::Done) };
        let change = async {
            match &mut self.changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        let change = tokio::select! {
            // Rows for this subscriber, or news about its journal.
            () = self.listed.subscriber.woken() => return Ok(()),
            // The caller adds or removes accounts, or is done.
            change = change => change,
            // A heartbeat is due, or it is time to look at the journal again.
            () = sleep_until(until) => return Ok(()),
            // The stream has lived long enough.
            () = sleep_until(self.ends_at) => return Err(End::Refused(too_old())),
            // The server stops.
            _ = self.drain.wait_for(|stopping| *stopping) => return Err(End::Refused(shutting_down())),
            // Nobody reads any more.
            () = outbox.closed() => return Err(End::Done),
        };
        self.take(change).await
    }

    async fn take(&mut self, change: Option<Result<Change, Refusal>>) -> Flow {
        match change {
            Some(Ok(Change::Add(account_ids))) => self.add(account_ids).await,
            Some(Ok(Change::Remove(account_ids))) => self.remove(account_ids).await,
            Some(Err(refusal)) => Err(End::Refused(refusal)),
            None => Err(End::Done),
        }
    }

    /// Takes over how far it has come in the partitions where it is live and has nothing left to send.
    pub(super) fn refresh(&mut self) {
        for (lane, cursor) in self.hub.lanes.iter().zip(&mut self.cursors) {
            if let Some(mark) = lane.idle_mark(&self.listed.subscriber)
                && mark.position > cursor.mark.position
            {
                *cursor = Cursor::after(mark);
            }
        }
    }

    /// Waits for an answer of the journal and attends to everything but rows meanwhile.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = Result<T, Refusal>>) -> Flow<T> {
        let mut work = pin!(work);
        loop {
            let Some(outbox) = &self.outbox else { return Err(End::Done) };
            tokio::select! {
                biased;
                answer = &mut work => return answer.map_err(End::Refused),
                () = outbox.closed() => return Err(End::Done),
                _ = self.drain.wait_for(|stopping| *stopping) => return Err(End::Refused(shutting_down())),
                () = sleep_until(self.ends_at) => return Err(End::Refused(too_old())),
                () = sleep_until(self.heartbeat_at) => {}
            }
            self.send_heartbeat().await?;
        }
    }

    async fn send_heartbeat(&mut self) -> Flow {
        let catching_up = self.snapshots.mark.is_some() || self.is_behind();
        let heartbeat = event::heartbeat(self.source.now(), catching_up);
        self.send_event(heartbeat).await
    }

    /// Whether rows that were told of are still to be read by it.
    fn is_behind(&self) -> bool {
        self.hub.lanes.iter().zip(&self.cursors).any(|(lane, cursor)| {
            self.listed.subscriber.state(lane.partition) != State::Live
                && !lane.has_told_nothing_above(cursor.read_to())
        })
    }

    /// Sends an event with the token of where the reader is once it has it.
    pub(super) async fn send_event(&mut self, mut event: v1::Event) -> Flow {
        event.resume_token = self.token();
        self.send(Message::Event(Box::new(event))).await
    }

    /// Confirms a change of the accounts.
    pub(super) async fn confirm(&mut self, added: Vec<String>, removed: Vec<String>, missing: Vec<String>) -> Flow {
        let changed = v1::FollowedAccountsChanged {
            added_account_ids: added,
            removed_account_ids: removed,
            missing_account_ids: missing,
        };
        self.send(Message::Changed(Box::new(changed))).await
    }

    /// Whether the reader is behind with what was sent.
    pub(super) fn is_slow(&self) -> bool {
        self.outbox.as_ref().is_some_and(Outbox::is_full)
    }

    async fn send(&mut self, message: Message) -> Flow {
        let Some(outbox) = &self.outbox else { return Err(End::Done) };
        match outbox.try_send(message) {
            Ok(()) => {}
            Err(Unsent::Closed) => return Err(End::Done),
            Err(Unsent::Full(message)) => tokio::select! {
                biased;
                sent = timeout(self.hub.settings.stuck_after, outbox.send(message)) => match sent {
                    Ok(true) => {}
                    Ok(false) => return Err(End::Done),
                    Err(_) => return Err(End::Refused(too_slow())),
                },
                _ = self.drain.wait_for(|stopping| *stopping) => return Err(End::Refused(shutting_down())),
                () = sleep_until(self.ends_at) => return Err(End::Refused(too_old())),
            },
        }
        self.heartbeat_at = Instant::now() + self.pace.heartbeat;
        Ok(())
    }
}

fn too_old() -> Refusal {
    Refusal::new(Reason::StreamAgeReached, "The stream has reached its greatest age; resume it at once.")
}

fn too_slow() -> Refusal {
    Refusal::new(Reason::SlowSubscriber, "The reader took nothing for too long; nothing is lost when it resumes.")
}
