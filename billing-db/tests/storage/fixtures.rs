//! Databases and rows for the tests.

use std::sync::OnceLock;

use billing_db::changes::{self, Change};
use billing_db::journal::{self, Anchor};
use billing_db::test_support::{ClusterError, TestCluster};
use billing_db::{AccountRow, Conn, Database, DbError, HoldRow, JournalRow, Options, migrate};

/// Runs a test on both databases; on SQLite only where PostgreSQL is not installed.
pub(crate) fn on_both(test: impl Fn(&Database)) {
    test(&sqlite());
    if let Some(database) = postgres() {
        test(&database);
    }
}

/// A migrated SQLite database with two partitions.
pub(crate) fn sqlite() -> Database {
    let database = Database::open("sqlite::memory:", &Options::default()).unwrap();
    migrate(&database);
    database
}

/// A migrated PostgreSQL database with two partitions.
pub(crate) fn postgres() -> Option<Database> {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    let cluster = cluster()?;
    let template = TEMPLATE.get_or_init(|| {
        let url = cluster.create_database().unwrap();
        migrate(&Database::open(&url, &Options::default()).unwrap());
        url
    });
    let url = cluster.clone_database(template).unwrap();
    Some(Database::open(&url, &Options { pool_size: 2, ..Options::default() }).unwrap())
}

pub(crate) fn cluster() -> Option<&'static TestCluster> {
    match TestCluster::shared() {
        Ok(cluster) => Some(cluster),
        Err(ClusterError::NotInstalled) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn migrate(database: &Database) {
    migrate::run(database, Some(2), 1_000, &"ab".repeat(32), &genesis).unwrap();
}

/// Runs `f` on a writer's connection, in no transaction.
pub(crate) fn write<T>(database: &Database, f: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
    f(&mut database.writer()?.conn())
}

/// A hash that stands for one number.
pub(crate) fn hash(number: i64) -> Vec<u8> {
    number.to_be_bytes().repeat(4)
}

pub(crate) fn genesis(partition: i16) -> JournalRow {
    JournalRow { partition, ..row(0, 0, 0) }
}

/// A row that moves nothing.
pub(crate) fn row(position: i64, account: i64, sequence: i64) -> JournalRow {
    JournalRow {
        partition: 0,
        position,
        account,
        sequence,
        kind: 0,
        format: 1,
        writer: 1,
        entry_sequence: None,
        amount: 0,
        posted_after: 0,
        held_after: None,
        available_after: 0,
        bonus_after: None,
        credit_limit_after: None,
        promised_after: None,
        not_due_after: None,
        overdue_after: None,
        counter: None,
        category: None,
        created_by: None,
        booking_date: None,
        occurred_at: None,
        recorded_at: 1_000 + position * 10,
        key_hash: None,
        idempotency_key: None,
        description: None,
        reference: None,
        details: None,
        texts_digest: None,
        payload: None,
        hash: hash(position),
    }
}

/// An entry after which the account has `posted_after`.
pub(crate) fn entry(position: i64, account: i64, sequence: i64, amount: i64, posted_after: i64) -> JournalRow {
    JournalRow {
        kind: 1,
        amount,
        posted_after,
        available_after: posted_after,
        counter: Some(7),
        booking_date: Some(20_000 + i32::try_from(position).unwrap()),
        ..row(position, account, sequence)
    }
}

/// A row with a value in every column.
pub(crate) fn full_row(position: i64) -> JournalRow {
    JournalRow {
        entry_sequence: Some(0),
        held_after: Some(5),
        available_after: -10 - 5 + 1 + 2 + 3,
        bonus_after: Some(4),
        credit_limit_after: Some(1),
        promised_after: Some(2),
        not_due_after: Some(3),
        overdue_after: Some(6),
        category: Some(8),
        created_by: Some(9),
        occurred_at: Some(999),
        key_hash: Some(vec![3; 16]),
        idempotency_key: Some("key".to_owned()),
        description: Some("Straße ü €".to_owned()),
        reference: Some("REF-1".to_owned()),
        details: Some("{}".to_owned()),
        payload: Some("{\"invoice_id\":\"INV-1\",\"tax\":{\"code\":\"S\",\"amount\":-2}}".to_owned()),
        ..entry(position, position, 1, -10, -10)
    }
}

pub(crate) fn anchor(position: i64) -> Anchor {
    Anchor { partition: 0, position, hash: hash(position), epoch: 1, format: 1 }
}

pub(crate) fn account(number: i64, account_id: &str) -> AccountRow {
    AccountRow {
        partition: 0,
        account: number,
        account_id: account_id.to_owned(),
        customer_id: "customer".to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        locale: "de".to_owned(),
        state: 1,
        billing_mode: 1,
        credit_limit: 0,
        payment_terms_days: None,
        policy_id: None,
        display_name: None,
        billing_details: None,
        metadata: None,
        secret: Some(vec![1; 32]),
        version: 1,
        created_at: 1_000,
        updated_at: 1_000,
    }
}

pub(crate) fn hold(account: i64, hold_id: &str, state: i16) -> HoldRow {
    HoldRow {
        partition: 0,
        account,
        hold_id: hold_id.to_owned(),
        placed_sequence: 1,
        state,
        amount: 100,
        captured: 0,
        expires_at: 9_000,
        placed_at: 2_000,
        updated_at: 2_000,
        category: Some("calls".to_owned()),
        description: Some("a call".to_owned()),
        reference: None,
        metadata: None,
    }
}

/// Appends above the newest row and makes the changes, in one transaction.
pub(crate) fn commit(database: &Database, rows: &[JournalRow], changes: &[Change]) {
    write(database, |conn| {
        conn.transaction(|conn| {
            let tail = journal::tail(conn, 0)?.unwrap();
            assert!(journal::append(conn, &Anchor { hash: tail.hash, ..anchor(tail.position) }, rows)?);
            changes::apply(conn, changes)
        })
    })
    .unwrap();
}

/// Accounts 1 `alice`, 2 `bob` and 3 `carol`, and entries at positions 4 to 9: alice 10, bob -5, alice 20 and so on.
pub(crate) fn populated(database: &Database) {
    let mut rows: Vec<_> = (1..=3).map(|n| row(n, n, 1)).collect();
    rows.push(entry(4, 1, 2, 10, 10));
    rows.push(entry(5, 2, 2, -5, -5));
    rows.push(entry(6, 1, 3, 20, 30));
    rows.push(entry(7, 2, 3, -5, -10));
    rows.push(entry(8, 1, 4, -7, 23));
    rows.push(entry(9, 2, 4, 2, -8));
    let accounts = [account(1, "alice"), account(2, "bob"), account(3, "carol")];
    commit(database, &rows, &accounts.map(Change::InsertAccount));
}

pub(crate) fn positions(rows: &[JournalRow]) -> Vec<i64> {
    rows.iter().map(|row| row.position).collect()
}
