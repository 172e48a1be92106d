//! Databases, clocks and engines for the tests.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant as Deadline};

use billing_db::test_support::{ClusterError, ClusterOptions, TestCluster};
use billing_db::{Database, Options, migrate};
use billing_server::domain::instant::Instant;
use billing_server::engine::command::{Answer, Body, Command, Outcome};
use billing_server::engine::record::Record;
use billing_server::engine::{Engine, Limits, Notice, Settings, Sink, seal};
use billing_server::time::{Clock, IdSource, World};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// When every test begins: 2027-01-15T08:00:00Z.
pub(crate) const BEGAN: Instant = Instant::from_micros(1_800_000_000_000_000);
/// How far back an entry may have occurred.
pub(crate) const MAX_BACK: Duration = Duration::from_secs(30 * 86_400);
/// How long a test waits before it says that something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that the test sets, and that knows how often it was asked.
#[derive(Debug)]
pub(crate) struct TestClock {
    now: AtomicI64,
    asked: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(BEGAN.micros() + 1_000), asked: AtomicU64::new(0) })
    }

    pub(crate) fn set(&self, now: Instant) {
        self.now.store(now.micros(), Ordering::Release);
    }

    /// How often it was asked: at least once a decision.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.asked.fetch_add(1, Ordering::AcqRel);
        Instant::from_micros(self.now.load(Ordering::Acquire))
    }
}

/// Ids that no two engines of this process share.
#[derive(Debug)]
struct CountedIds;

impl IdSource for CountedIds {
    fn random(&self) -> [u8; 16] {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let digest = Sha256::digest(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        digest[..16].try_into().unwrap()
    }
}

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// The URL of a new, migrated database.
pub(crate) fn fresh_url(store: Store, partitions: u16) -> String {
    match store {
        Store::Sqlite => "sqlite::memory:".to_owned(),
        Store::Postgres => {
            static TEMPLATES: OnceLock<Mutex<HashMap<u16, String>>> = OnceLock::new();
            let cluster = cluster();
            let mut templates = TEMPLATES.get_or_init(Mutex::default).lock();
            let template = templates.entry(partitions).or_insert_with(|| {
                let url = cluster.create_database().unwrap();
                migrate(&open(&url), partitions);
                url
            });
            cluster.clone_database(template).unwrap()
        }
    }
}

/// A new, migrated database.
pub(crate) fn fresh(store: Store, partitions: u16) -> Database {
    let database = open(&fresh_url(store, partitions));
    if store == Store::Sqlite {
        migrate(&database, partitions);
    }
    database
}

pub(crate) fn open(url: &str) -> Database {
    Database::open(url, &Options { pool_size: 4, ..Options::default() }).unwrap()
}

pub(crate) fn migrate(database: &Database, partitions: u16) {
    let genesis = |partition| seal::genesis(partition, BEGAN.micros(), None);
    migrate::run(database, Some(partitions), BEGAN.micros(), &"ab".repeat(32), &genesis).unwrap();
}

/// The cluster that most tests share.
pub(crate) fn cluster() -> &'static TestCluster {
    TestCluster::shared().unwrap_or_else(|error| no_cluster(&error))
}

/// A cluster of one test's own, with what is written really on disk.
pub(crate) fn own_cluster() -> TestCluster {
    TestCluster::start(ClusterOptions { fsync: true }).unwrap_or_else(|error| no_cluster(&error))
}

fn no_cluster(error: &ClusterError) -> ! {
    panic!("{error}; install it with: apt-get install postgresql")
}

/// What an engine has told whoever follows the journal.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The hashes told of, by partition and position.
    pub(crate) rows: BTreeMap<(i16, i64), Vec<u8>>,
    /// The newest position told of, by partition.
    newest: HashMap<i16, i64>,
    /// What was told out of order.
    pub(crate) faults: Vec<String>,
    pub(crate) diverged: Vec<(u16, i64)>,
}

impl Told {
    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Committed(records) => records.iter().for_each(|record| self.take_record(record)),
            Notice::Diverged { partition, position } => {
                let number = i16::try_from(partition).unwrap();
                self.rows.retain(|(of, at), _| *of != number || *at <= position);
                self.newest.insert(number, position);
                self.diverged.push((partition, position));
            }
        }
    }

    fn take_record(&mut self, record: &Record) {
        let (partition, position) = (record.row.partition, record.row.position);
        let newest = self.newest.insert(partition, position);
        if newest.is_some_and(|newest| newest + 1 != position) {
            self.faults.push(format!("{partition}-{position} was told after {newest:?}"));
        }
        self.rows.insert((partition, position), record.row.hash.clone());
    }
}

/// A running engine with the clock it goes by.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) told: Arc<Mutex<Told>>,
}

/// How engines of the tests work, unless they say otherwise.
pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits { commands: 1_000_000, wait: Duration::from_secs(3_600) },
        max_back: MAX_BACK,
        ..Settings::default()
    }
}

/// Settings under which heads are evicted all the time and batches are many.
pub(crate) fn cramped(ahead: bool) -> Settings {
    Settings { heads: NonZeroUsize::new(4).unwrap(), max_batch: 4, ahead, ..settings() }
}

pub(crate) fn start(database: &Database, clock: &Arc<TestClock>, settings: &Settings) -> Running {
    let told = Arc::new(Mutex::new(Told::default()));
    let sink: Sink = {
        let told = Arc::clone(&told);
        Arc::new(move |notice| told.lock().take(notice))
    };
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    let world = World { clock, ids: Arc::new(CountedIds) };
    Running { engine: Engine::start(database, &world, settings, &sink).unwrap(), told }
}

impl Running {
    /// Stops the engine and says what it did wrong in telling of its rows.
    pub(crate) fn stop(self) {
        let (sender, stopped) = mpsc::channel();
        let engine = self.engine.clone();
        std::thread::spawn(move || {
            engine.stop();
            let _ = sender.send(());
        });
        stopped.recv_timeout(PATIENCE).expect("the engine does not stop");
        assert_eq!(self.told.lock().faults, Vec::<String>::new());
    }
}

/// A command of an account.
pub(crate) fn command(account_id: &str, key: &str, body: Body) -> Command {
    Command {
        account_id: account_id.to_owned(),
        key: Some(key.to_owned()),
        principal: Some(Arc::from("tester")),
        body,
        validate_only: false,
    }
}

/// When a call of a test gives up.
#[allow(clippy::unnecessary_wraps, reason = "as the engine's calls take it")]
pub(crate) fn patience() -> Option<Deadline> {
    Some(Deadline::now() + PATIENCE)
}

/// The outcome of a command that must be accepted.
#[track_caller]
pub(crate) fn accepted(answer: Answer) -> Outcome {
    match answer {
        Ok(outcome) => outcome,
        Err(refusal) => panic!("refused: {} {}", refusal.reason.name(), refusal.message),
    }
}

/// A runtime for one test.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
