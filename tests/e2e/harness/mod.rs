//! What the tests share: a real server, its database, its callers, and what the contract says of its refusals.

pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod service;
pub(crate) mod process;
pub(crate) mod contract;
pub(crate) mod refusal;
pub(crate) mod requests;
pub(crate) mod listener;
pub(crate) mod ledger;
pub(crate) mod tools;

use std::time::Duration;

pub(crate) use self::clock::ManualClock;
pub(crate) use self::database::{Backend, TestDatabase};
pub(crate) use self::listener::Listener;
pub(crate) use self::process::Process;
pub(crate) use self::refusal::{Refused, RefusedItem};
pub(crate) use self::service::Service;

/// A test that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs each of these tests on SQLite and on PostgreSQL, against a service with the usual settings.
macro_rules! on_both {
    ($($test:ident,)+) => {$(
        mod $test {
            #[test]
            fn on_sqlite() {
                crate::harness::run_service(crate::harness::Backend::Sqlite, super::$test);
            }
            #[test]
            fn on_postgres() {
                crate::harness::run_service(crate::harness::Backend::Postgres, super::$test);
            }
        }
    )+};
}

/// Runs each of these tests on SQLite and on PostgreSQL; it gets an empty database and starts what it needs.
macro_rules! on_both_databases {
    ($($test:ident,)+) => {$(
        mod $test {
            #[test]
            fn on_sqlite() {
                crate::harness::run(crate::harness::Backend::Sqlite, super::$test);
            }
            #[test]
            fn on_postgres() {
                crate::harness::run(crate::harness::Backend::Postgres, super::$test);
            }
        }
    )+};
}

pub(crate) use {on_both, on_both_databases};

/// Runs a test on a service with the usual settings; afterwards its ledger must be sound.
pub(crate) fn run_service(backend: Backend, test: impl AsyncFnOnce(&Service)) {
    run(backend, async |database: TestDatabase| {
        let service = Service::start(&database).await;
        test(&service).await;
        service.stop().await;
    });
}

/// Runs a test on an empty database.
pub(crate) fn run(backend: Backend, test: impl AsyncFnOnce(TestDatabase)) {
    block_on(async {
        let database = TestDatabase::create(backend, 2).await;
        test(database).await;
    });
}

/// Runs a test that has its own way with databases.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test).await.expect("the test hangs");
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
