//! Opening databases.

use std::time::Duration;

use billing_db::{Database, ErrorKind, Options, journal, partitions};

use crate::fixtures::*;

#[test]
fn an_unknown_scheme_or_a_missing_server_is_told() {
    let open = |url: &str| Database::open(url, &Options::default()).unwrap_err();
    assert_eq!(open("mysql://localhost/x").kind(), ErrorKind::Other);
    assert!(open("postgres:x").to_string().contains("must begin with"));
    assert_eq!(open("postgres://127.0.0.1:1/x").kind(), ErrorKind::Unavailable);
    assert_eq!(open("sqlite:/no/such/directory/x").kind(), ErrorKind::Other);
}

#[test]
fn tls_is_refused_by_name_in_a_build_without_it() {
    for mode in ["require", "verify-ca", "verify-full"] {
        // Nobody listens there: what is refused is refused before any connection.
        let error =
            Database::open(&format!("postgres://127.0.0.1:1/x?sslmode={mode}"), &Options::default()).unwrap_err();
        if cfg!(all(feature = "bundled", not(feature = "postgres-tls"))) {
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{mode}");
            assert!(error.to_string().contains("`postgres-tls` or `postgres-tls-vendored`"), "{error}");
        } else {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{mode}");
        }
    }
}

#[test]
fn a_sqlite_file_has_one_owner() {
    let directory = std::env::temp_dir().join(format!("billing-db-owner-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let url = format!("sqlite:{}", directory.join("ledger.db").display());
    let first = Database::open(&url, &Options::default()).unwrap();
    let clone = first.clone();
    assert_eq!(Database::open(&url, &Options::default()).unwrap_err().kind(), ErrorKind::InUse);
    drop(first);
    assert_eq!(Database::open(&url, &Options::default()).unwrap_err().kind(), ErrorKind::InUse);
    drop(clone);
    Database::open(&url, &Options::default()).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_read_sees_one_snapshot() {
    on_both(|database| {
        let seen = database.read(|conn| {
            conn.read_only(|conn| {
                let before = journal::tail(conn, 0)?;
                commit(database, &[row(1, 1, 1)], &[]);
                Ok((before, journal::tail(conn, 0)?))
            })
        });
        let (before, after) = seen.unwrap();
        assert_eq!(before, after);
        assert_eq!(database.read(|conn| journal::tail(conn, 0)).unwrap().unwrap().position, 1);
        database.checkpoint().unwrap();
    });
}

#[test]
fn the_pool_of_sqlite_cannot_write() {
    let database = sqlite();
    assert!(database.read(|conn| partitions::put_setting(conn, "x", "y")).is_err());
}

#[test]
fn a_statement_that_takes_too_long_is_cut_off() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.create_database().unwrap();
    let options = Options { statement_timeout: Duration::from_millis(50), ..Options::default() };
    let database = Database::open(&url, &options).unwrap();
    let error = database
        .read(|conn| {
            let billing_db::Conn::Postgres(c) = conn else { panic!("not PostgreSQL") };
            Ok(diesel::RunQueryDsl::execute(diesel::sql_query("select pg_sleep(5)"), *c)?)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
}

#[test]
fn a_killed_session_leaves_the_outcome_unknown_and_the_pool_recovers() {
    let Some(database) = postgres() else { return };
    let error = database
        .read(|conn| {
            let billing_db::Conn::Postgres(c) = conn else { panic!("not PostgreSQL") };
            let sql = "select pg_terminate_backend(pg_backend_pid())";
            Ok(diesel::RunQueryDsl::execute(diesel::sql_query(sql), *c)?)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert!(database.read(|conn| journal::tail(conn, 0)).unwrap().is_some());
}

#[test]
fn a_deadlock_is_to_be_tried_again() {
    let Some(database) = postgres() else { return };
    let barrier = std::sync::Barrier::new(2);
    let lock_both = |first: i16, second: i16| {
        write(&database, |conn| {
            conn.transaction(|conn| {
                journal::lock_partition(conn, first)?;
                barrier.wait();
                journal::lock_partition(conn, second)
            })
        })
    };
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| lock_both(0, 1));
        (lock_both(1, 0), one.join().unwrap())
    });
    let error = one.and(two).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}
