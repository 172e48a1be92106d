//! The hub: the lanes of all partitions, and the door through which subscribers come.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::filter::Filter;
use super::lane::Lane;
use super::order::{Order, Start};
use super::ring::Bounds;
use super::source::Source;
use super::subscriber::Subscriber;
use super::subscription::{Pace, Snapshots, Subscription};
use super::tailer;
use super::token::{Cursor, Mark, Signer, SnapshotMark, Token};
use crate::domain::reason::{Reason, Refusal};
use crate::engine::{Engine, Notice, Sink};

/// How long opening a stream waits for a server that is starting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The limits of the feed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams that may be open at once in this process.
    pub max_streams: usize,
    /// Rows that each partition keeps in memory for its subscribers.
    pub ring_rows: usize,
    /// Rows of each partition that are read when the server starts, for the readers that come back.
    pub warm_rows: usize,
    /// Bytes that the rows of all partitions may take, about.
    pub ring_bytes: usize,
    /// Stretches of rows that wait for one subscriber; beyond, it reads the journal by itself.
    pub queue: usize,
    /// Events made ready for one subscriber beyond what the transport holds.
    pub send_buffer: usize,
    /// How long a reader may take nothing before its stream is cut.
    pub stuck_after: Duration,
    /// How long a stream lives, give or take a fifth.
    pub stream_age: Duration,
    /// Subscribers that may read the journal at once, so that they never take all connections.
    pub readers: usize,
    /// Rows that one reading of the journal takes.
    pub page_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_streams: 10_000,
            ring_rows: 16_384,
            warm_rows: 4_096,
            ring_bytes: 128 << 20,
            queue: 1_024,
            send_buffer: 16,
            stuck_after: Duration::from_secs(60),
            stream_age: Duration::from_secs(30 * 60),
            readers: 3,
            page_rows: 1_000,
        }
    }
}

/// A place among the streams of this process, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// The feed of one server process.
pub struct Hub {
    pub(super) settings: Settings,
    pub(super) signer: Signer,
    pub(super) lanes: Arc<[Arc<Lane>]>,
    pub(super) readers: Arc<Semaphore>,
    pub(super) drain: watch::Receiver<bool>,
    source: OnceLock<Arc<dyn Source>>,
    /// How many lanes have not begun yet.
    cold: watch::Sender<usize>,
    slots: Arc<Semaphore>,
    opened: AtomicU64,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub for so many partitions. `secret` is the token secret of the database; once `drain` says true, or its sender
    /// is gone, every stream ends.
    pub fn new(settings: Settings, partitions: u16, secret: &[u8], drain: watch::Receiver<bool>) -> Arc<Self> {
        let share = settings.ring_bytes / usize::from(partitions.max(1));
        let bounds = Bounds { rows: settings.ring_rows.max(1), bytes: share };
        Arc::new(Self {
            signer: Signer::new(secret),
            lanes: (0..partitions).map(|partition| Arc::new(Lane::new(partition, bounds))).collect(),
            readers: Arc::new(Semaphore::new(settings.readers.max(1))),
            slots: Arc::new(Semaphore::new(settings.max_streams.min(Semaphore::MAX_PERMITS))),
            settings,
            drain,
            source: OnceLock::new(),
            cold: watch::Sender::new(usize::from(partitions)),
            opened: AtomicU64::new(0),
        })
    }

    /// Where the engine tells its notices. It holds the rings only, so that engine and hub do not keep each other alive.
    pub fn sink(&self) -> Sink {
        let lanes = Arc::clone(&self.lanes);
        Arc::new(move |notice| match notice {
            Notice::Committed(records) => {
                let partition = records.first().and_then(|record| usize::try_from(record.row.partition).ok());
                if let Some(lane) = partition.and_then(|partition| lanes.get(partition)) {
                    lane.accept(&records);
                }
            }
            Notice::Diverged { partition, .. } => {
                if let Some(lane) = lanes.get(usize::from(partition)) {
                    lane.diverge();
                }
            }
        })
    }

    /// Begins to follow the journal of an engine. Once, inside a Tokio runtime.
    pub fn attach(&self, engine: &Engine) {
        self.follow(Arc::new(engine.clone()));
    }

    /// Begins to follow a journal.
    pub(super) fn follow(&self, source: Arc<dyn Source>) {
        if self.source.set(Arc::clone(&source)).is_err() {
            tracing::error!("the feed follows a journal already");
            return;
        }
        let warm_rows = self.settings.warm_rows.min(self.settings.ring_rows);
        for lane in self.lanes.iter() {
            let (lane, source, drain) = (Arc::clone(lane), Arc::clone(&source), self.drain.clone());
            let cold = self.cold.clone();
            tokio::spawn(async move {
                tailer::warm(&lane, &*source, warm_rows).await;
                cold.send_modify(|lanes| *lanes -= 1);
                tailer::run(lane, source, drain).await;
            });
        }
    }

    /// The journal, once every lane has begun.
    async fn source(&self) -> Result<Arc<dyn Source>, Refusal> {
        let source = self.source.get().map(Arc::clone).ok_or_else(not_ready)?;
        let mut cold = self.cold.subscribe();
        match timeout(PATIENCE, cold.wait_for(|lanes| *lanes == 0)).await {
            Ok(Ok(_)) => Ok(source),
            Ok(Err(_)) | Err(_) => Err(not_ready()),
        }
    }

    /// Waits until the server stops.
    pub async fn stopping(&self) {
        // An error says that the sender is gone, which means the same.
        let _ = self.drain.clone().wait_for(|stopping| *stopping).await;
    }

    /// What a caller is told whose stream cannot begin because the server stops.
    pub fn refusal_of_stop(&self) -> Refusal {
        shutting_down()
    }

    /// Room for the events made ready for one stream.
    pub fn send_buffer(&self) -> usize {
        self.settings.send_buffer
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.settings.max_streams.saturating_sub(self.slots.available_permits())
    }

    /// Reserves a place for one more stream.
    ///
    /// # Errors
    /// `SHUTTING_DOWN`, `TOO_MANY_STREAMS`.
    pub fn reserve(&self) -> Result<Slot, Refusal> {
        if *self.drain.borrow() || self.drain.has_changed().is_err() {
            return Err(shutting_down());
        }
        let permit = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let max = self.settings.max_streams;
            Refusal::new(Reason::TooManyStreams, format!("{max} streams are open; close one, or ask another instance."))
                .with("max", max)
        })?;
        Ok(Slot { _permit: permit })
    }

    /// Opens a stream: run it with an outbox.
    ///
    /// # Errors
    /// `RESUME_TOKEN_INVALID`, `RESUME_TOKEN_DIVERGED`, `ACCOUNT_NOT_FOUND`, `STORAGE_UNAVAILABLE`.
    pub async fn open(self: &Arc<Self>, slot: Slot, order: Order) -> Result<Subscription, Refusal> {
        let source = self.source().await?;
        let token = match &order.start {
            Start::Token(token) => Some(self.signer.verify(token)?),
            Start::Beginning | Start::Now => None,
        };
        let account_ids = distinct(order.account_ids);
        let identities = source.identities(account_ids.clone()).await?;
        let mut filter = Filter::new(order.everybody, order.customer_ids);
        for (account_id, identity) in account_ids.iter().zip(identities) {
            let seen = identity.filter(|identity| (order.sees)(identity));
            filter.add(&*seen.ok_or_else(|| account_not_found(account_id))?);
        }
        // Listed first, placed afterwards: should the journal diverge in between, the seat knows.
        let subscriber = Arc::new(Subscriber::new(self.lanes.len(), self.settings.queue));
        let listed = Listed::new(Arc::clone(&self.lanes), subscriber, filter, slot);
        let snapshots = match &token {
            _ if !order.include_snapshot => Snapshots::default(),
            _ if order.following.is_some() => Snapshots { of_start: token.is_none(), of_added: true, mark: None },
            Some(token) => Snapshots { mark: token.snapshot.clone(), ..Snapshots::default() },
            None => Snapshots { mark: Some(SnapshotMark::default()), ..Snapshots::default() },
        };
        let cursors = match (token, &order.start) {
            (Some(token), _) => self.check(&*source, token).await?,
            (None, Start::Beginning) => self.beginning(&*source).await?,
            (None, _) => self.present()?,
        };
        let pace =
            Pace { heartbeat: order.heartbeat, age: self.next_age(), conflate: order.conflate, types: order.types };
        let subscription = Subscription::new(Arc::clone(self), source, listed, (cursors, snapshots), pace);
        Ok(match order.following {
            Some(following) => subscription.following(following, order.sees),
            None => subscription,
        })
    }

    /// The newest row of each partition.
    fn present(&self) -> Result<Vec<Cursor>, Refusal> {
        self.lanes.iter().map(|lane| lane.newest().map(Cursor::after).ok_or_else(not_ready)).collect()
    }

    /// The row before all rows of each partition.
    async fn beginning(&self, source: &dyn Source) -> Result<Vec<Cursor>, Refusal> {
        let places = self.lanes.iter().map(|lane| (lane.partition, 0)).collect();
        let marks = source.marks(places).await?;
        Ok(marks.into_iter().map(|mark| Cursor::after(mark.unwrap_or_default())).collect())
    }

    /// The cursors of a token, if the journal is still the one it was made on. A row that this instance does not know yet
    /// may have been told by another one: the database decides.
    async fn check(&self, source: &dyn Source, token: Token) -> Result<Vec<Cursor>, Refusal> {
        if token.cursors.len() != self.lanes.len() {
            return Err(diverged(0, token.cursors.first().map_or(0, |cursor| cursor.mark.position)));
        }
        let given: Vec<(u16, Mark)> = (0..).zip(&token.cursors).map(|(partition, at)| (partition, at.mark)).collect();
        let mut unknown = Vec::new();
        for (lane, (partition, mark)) in self.lanes.iter().zip(&given) {
            match lane.mark_at(mark.position) {
                Some(found) if found == *mark => {}
                Some(_) => return Err(diverged(*partition, mark.position)),
                None => unknown.push((*partition, *mark)),
            }
        }
        if !unknown.is_empty() {
            let places = unknown.iter().map(|(partition, mark)| (*partition, mark.position)).collect();
            let found = source.marks(places).await?;
            for ((partition, mark), found) in unknown.iter().zip(found) {
                if found != Some(*mark) {
                    return Err(diverged(*partition, mark.position));
                }
            }
        }
        Ok(token.cursors)
    }

    /// The age at which the next stream ends: spread evenly over a fifth up and down, so that readers who came together
    /// do not come back together.
    fn next_age(&self) -> Duration {
        let nth = self.opened.fetch_add(1, Ordering::Relaxed);
        // Multiples of the golden ratio fill a range evenly, however many there are.
        let spread = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let spread = u32::try_from(spread).unwrap_or(0);
        self.settings.stream_age * 4 / 5 + self.settings.stream_age * 2 / 5 * spread / (1 << 16)
    }
}

/// A subscriber in the lists of all lanes, until dropped.
#[derive(Debug)]
pub(super) struct Listed {
    lanes: Arc<[Arc<Lane>]>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) filter: Filter,
    _slot: Slot,
}

impl Listed {
    fn new(lanes: Arc<[Arc<Lane>]>, subscriber: Arc<Subscriber>, filter: Filter, slot: Slot) -> Self {
        for lane in lanes.iter() {
            lane.register(&subscriber, &filter);
        }
        Self { lanes, subscriber, filter, _slot: slot }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        for lane in self.lanes.iter() {
            lane.unregister(&self.subscriber, &self.filter);
        }
    }
}

pub(super) fn shutting_down() -> Refusal {
    Refusal::new(Reason::ShuttingDown, "The server is stopping; open the stream again, another instance answers.")
}

pub(super) fn diverged(partition: u16, position: i64) -> Refusal {
    Refusal::new(
        Reason::ResumeTokenDiverged,
        "The journal is not the one this stream was reading, such as after a restored backup; begin anew, with a snapshot.",
    )
    .with("partition", partition)
    .with("position", position)
}

fn account_not_found(account_id: &str) -> Refusal {
    Refusal::new(Reason::AccountNotFound, format!("Account {account_id} does not exist."))
        .with("account_id", account_id)
}

fn not_ready() -> Refusal {
    Refusal::new(Reason::StorageUnavailable, "The feed is being set up; try again in a moment.")
}

/// The accounts of a list, each once.
pub(super) fn distinct(account_ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    account_ids.into_iter().filter(|account_id| seen.insert(account_id.clone())).collect()
}
