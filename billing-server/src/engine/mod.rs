//! The engine: one writer a partition decides commands in memory and appends their rows; reads share its heads.

pub mod command;
pub mod record;
pub mod seal;
mod names;
mod queue;
mod heads;
mod partition;
mod works;
mod work;
mod stored;
mod beside;
mod replay;
mod lookup;
mod found;
mod decide;
mod handover;
mod link;
mod appender;
mod writer;
mod locked;
mod reads;
mod submit;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use billing_db::{Backend, Database, DbError};
use parking_lot::Mutex;

use self::link::Link;
use self::partition::Partition;
use self::queue::Queue;
use self::reads::Freshness;
use self::record::Record;
use self::works::Spread;
use self::writer::{Shared, Writer};
use crate::domain::instant::Instant;
use crate::domain::reason::Refusal;
use crate::time::World;

pub use self::queue::Limits;

/// How far the clocks of a server and its database may differ.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// What the engine tells whoever follows the journal.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Committed rows of one partition, in order of position and without gaps inside the notice.
    Committed(Vec<Arc<Record>>),
    /// The partition's tail has vanished (a lossy failover, a restored backup): what was told above this position is void.
    Diverged {
        /// The partition.
        partition: u16,
        /// Its newest position now.
        position: i64,
    },
}

/// Takes notices; called by the writers, so it must not block.
pub type Sink = Arc<dyn Fn(Notice) + Send + Sync>;

/// How an engine works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Commands in one batch.
    pub max_batch: usize,
    /// What may wait in front of a writer.
    pub limits: Limits,
    /// Heads kept in memory, over all partitions.
    pub heads: NonZeroUsize,
    /// How far back an entry may have occurred.
    pub max_back: Duration,
    /// Whether a batch is decided while the one before is on its way.
    pub ahead: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_batch: 1_000,
            limits: Limits { commands: 2_000, wait: Duration::from_millis(500) },
            heads: NonZeroUsize::MIN.saturating_add(199_999),
            max_back: Duration::from_secs(400 * 86_400),
            ahead: true,
        }
    }
}

/// The engine of one server process.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    freshness: Arc<Vec<Freshness>>,
    /// Both halves of each partition's writer.
    threads: Arc<Mutex<Vec<[JoinHandle<()>; 2]>>>,
    /// How far this machine's clock and the database's differ, if it is too much to write; else 0.
    skew_ms: Arc<AtomicU64>,
}

impl Engine {
    /// Reads where every partition stands and starts its writer.
    ///
    /// # Errors
    /// When the database cannot be read or a thread not be started.
    pub fn start(database: &Database, world: &World, settings: &Settings, sink: &Sink) -> Result<Self, DbError> {
        let numbers = database.read(billing_db::partitions::all)?;
        let count = u16::try_from(numbers.len()).unwrap_or(u16::MAX).max(1);
        let heads = NonZeroUsize::new(settings.heads.get() / usize::from(count)).unwrap_or(NonZeroUsize::MIN);
        let partitions = (0..count)
            .map(|number| {
                let queue = Queue::new(settings.limits, settings.max_batch);
                database.read(|conn| Partition::load(conn, number, queue, heads, Arc::clone(sink))).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let random = world.ids.random();
        let writer = i32::from_be_bytes([random[0], random[1], random[2], random[3]]);
        let shared = Arc::new(Shared {
            database: database.clone(),
            world: world.clone(),
            partitions,
            spread: Spread { partitions: count },
            writer,
            max_batch: settings.max_batch.max(1),
            max_back: settings.max_back,
            ahead: settings.ahead,
        });
        let mut threads = Vec::new();
        // One process owns an SQLite file, and the file has one writer.
        let common = Arc::new(Mutex::new(Link::new(database)));
        for partition in &shared.partitions {
            let link = match database.backend() {
                Backend::Sqlite => Arc::clone(&common),
                Backend::Postgres => Arc::new(Mutex::new(Link::new(database))),
            };
            let started = Writer::start(&shared, partition, link);
            threads.push(started.map_err(|error| DbError::Invariant(format!("cannot start a thread: {error}")))?);
        }
        let freshness = shared.partitions.iter().map(|_| Freshness::default()).collect();
        Ok(Self {
            shared,
            freshness: Arc::new(freshness),
            threads: Arc::new(Mutex::new(threads)),
            skew_ms: Arc::default(),
        })
    }

    /// Takes no more commands, finishes what waits, and stops the writers, the lowest partition's first: it may still
    /// borrow those above it. Blocks.
    pub fn stop(&self) {
        for partition in &self.shared.partitions {
            partition.queue.close();
        }
        for (partition, halves) in self.shared.partitions.iter().zip(self.threads.lock().drain(..)) {
            partition.queue.finish();
            for thread in halves {
                if thread.join().is_err() {
                    tracing::error!(partition = partition.number, "a writer has panicked");
                }
            }
        }
    }

    /// The number of partitions.
    pub fn partitions(&self) -> u16 {
        self.shared.spread.partitions
    }

    /// The partition of an account.
    pub fn partition_of(&self, account_id: &str) -> u16 {
        self.shared.spread.partition_of(account_id)
    }

    /// The engine's clock.
    pub fn now(&self) -> Instant {
        self.shared.world.clock.now()
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// Whether every partition can be written to: its database can be reached and the clocks agree.
    pub fn is_serving(&self) -> bool {
        !self.is_skewed() && self.shared.partitions.iter().all(|partition| !partition.is_down())
    }

    /// Whether this machine's clock and the database's differ too much to write.
    pub fn is_skewed(&self) -> bool {
        self.skew_ms.load(Ordering::Acquire) > 0
    }

    /// Holds this machine's clock against the database's; a server whose clock is off stops writing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn check_clock(&self) -> Result<(), Refusal> {
        if !self.shared.world.clock.is_real() {
            return Ok(());
        }
        let Some(theirs) = self.read(billing_db::clock::now).await? else { return Ok(()) };
        let ours = self.now().micros();
        let skew_ms = ours.abs_diff(theirs) / 1_000;
        let told = if u128::from(skew_ms) > MAX_SKEW.as_millis() { skew_ms } else { 0 };
        if (self.skew_ms.swap(told, Ordering::AcqRel) > 0) != (told > 0) {
            tracing::error!(ours, theirs, skew_ms, "the clock was held against the database's");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("partitions", &self.partitions()).finish_non_exhaustive()
    }
}
