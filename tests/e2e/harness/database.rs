//! A database for one test: a file of SQLite, or a database of the PostgreSQL cluster of this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use billing_db::test_support::TestCluster;
use billing_server::server::{Server, Settings};
use billing_server::time::World;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, SqliteConnection};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::ManualClock;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Backend {
    /// The embedded one.
    Sqlite,
    /// The one for production.
    Postgres,
}

/// A directory that is removed in the end.
#[derive(Debug)]
pub(crate) struct TestDir {
    path: PathBuf,
}

impl TestDir {
    /// A new, empty one.
    pub(crate) fn create() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("billing-e2e-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // What is left lies in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A database of its own for one test.
#[derive(Clone, Debug)]
pub(crate) struct TestDatabase {
    pub(crate) backend: Backend,
    pub(crate) url: String,
    pub(crate) partitions: u16,
    dir: Arc<TestDir>,
}

impl TestDatabase {
    /// An empty ledger of so many partitions.
    pub(crate) async fn create(backend: Backend, partitions: u16) -> Self {
        let dir = TestDir::create();
        let url = match backend {
            Backend::Sqlite => format!("sqlite:{}", dir.path().join("billing.db").display()),
            Backend::Postgres => clone_of_template(partitions).await,
        };
        Self { backend, url, partitions, dir: Arc::new(dir) }
    }

    /// A database on a cluster of the test's own, which it may crash.
    pub(crate) fn on_cluster(cluster: &TestCluster, partitions: u16) -> Self {
        let url = cluster.create_database().unwrap();
        Self { backend: Backend::Postgres, url, partitions, dir: Arc::new(TestDir::create()) }
    }

    /// Where the test may leave files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Holds what every writer needs, as a database does that has come to a standstill.
    pub(crate) fn freeze(&self) -> Frozen {
        match self.backend {
            Backend::Sqlite => {
                let mut c = SqliteConnection::establish(self.url.strip_prefix("sqlite:").unwrap()).unwrap();
                c.batch_execute("pragma busy_timeout = 10000; begin immediate").unwrap();
                Frozen { _sqlite: Some(c), _postgres: None }
            }
            Backend::Postgres => self.lock("select 1 from partitions for update"),
        }
    }

    /// Holds a lock of PostgreSQL, until dropped.
    pub(crate) fn lock(&self, sql: &str) -> Frozen {
        let mut c = PgConnection::establish(&self.url).unwrap();
        c.batch_execute(&format!("begin; {sql}")).unwrap();
        Frozen { _sqlite: None, _postgres: Some(c) }
    }

    /// A number that PostgreSQL tells.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let mut c = PgConnection::establish(&self.url).unwrap();
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(sql)).get_result(&mut c).unwrap()
    }

    /// Changes rows behind the service's back; the guards of the journal are taken away for it.
    pub(crate) fn tamper(&self, sql: &str) {
        match self.backend {
            Backend::Sqlite => {
                let path = self.url.strip_prefix("sqlite:").unwrap();
                let mut c = SqliteConnection::establish(path).unwrap();
                c.batch_execute("pragma busy_timeout = 10000; pragma foreign_keys = off").unwrap();
                c.batch_execute("drop trigger if exists journal_append_only; drop trigger if exists journal_no_delete")
                    .unwrap();
                c.batch_execute(sql).unwrap();
            }
            Backend::Postgres => {
                let mut c = PgConnection::establish(&self.url).unwrap();
                // No trigger fires for a replica.
                c.batch_execute("set session_replication_role = replica").unwrap();
                c.batch_execute(sql).unwrap();
            }
        }
    }
}

/// A database at a standstill, until dropped.
pub(crate) struct Frozen {
    _sqlite: Option<SqliteConnection>,
    _postgres: Option<PgConnection>,
}

/// A copy of a migrated database; made anew for the first test that asks for so many partitions.
async fn clone_of_template(partitions: u16) -> String {
    static TEMPLATES: Mutex<Option<HashMap<u16, String>>> = Mutex::const_new(None);
    let cluster = TestCluster::shared().expect("install PostgreSQL: apt-get install postgresql");
    let mut templates = TEMPLATES.lock().await;
    let templates = templates.get_or_insert_default();
    let template = match templates.get(&partitions) {
        Some(url) => url.clone(),
        None => {
            let url = cluster.create_database().unwrap();
            prepare(&url, partitions).await;
            templates.insert(partitions, url.clone());
            url
        }
    };
    cluster.clone_database(&template).unwrap()
}

/// Lets a server migrate a database, and stop again.
async fn prepare(url: &str, partitions: u16) {
    let settings = Settings { database_url: url.to_owned(), partitions: Some(partitions), ..Settings::default() };
    // By the clock that the tests go by: nothing is ever recorded before the row that a journal begins with.
    let world = World { clock: Arc::new(ManualClock::default()), ..World::default() };
    let server = Server::start(&settings, world).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    server.serve(listener, async {}).await.unwrap();
}
