//! Deciding ahead: what a batch on its way to the database changes is seen by the batch that is decided meanwhile.

use std::time::Instant as Deadline;

use billing_db::journal::{self, Anchor};
use billing_db::{Conn, Database, JournalRow, OwnedConn};
use billing_server::domain::identifier::partition_of;
use billing_server::domain::instant::Instant;
use billing_server::domain::reason::{Reason, Refusal};
use billing_server::domain::record::Kind;
use billing_server::engine::command::{Answer, Mode};
use billing_server::engine::seal;
use diesel::connection::SimpleConnection;

use crate::concurrency::{open_accounts, pay, places, units};
use crate::harness::*;
use crate::model::{Act, Expiry, Model, Op, Post, PostKind, Reply};
use crate::sketch::create;
use crate::translate::{command_of, compare};
use crate::verify::{self, Stored};

/// Keeps every append waiting until it is dropped.
struct Blocker(OwnedConn);

impl Blocker {
    fn new(database: &Database) -> Self {
        let mut conn = database.writer().unwrap();
        match &mut conn.conn() {
            Conn::Postgres(c) => c.batch_execute("begin; select partition from partitions for no key update"),
            Conn::Sqlite(c) => c.batch_execute("begin immediate"),
        }
        .unwrap();
        Self(conn)
    }

    /// Appends a row of no account, as another instance would, before those that wait.
    fn overtake(&mut self) {
        let conn = &mut self.0.conn();
        let tail = journal::tail(conn, 0).unwrap().unwrap();
        let sequence = journal::last_sequence(conn, 0, 0).unwrap() + 1;
        let mut row = JournalRow {
            position: tail.position + 1,
            sequence,
            kind: Kind::Outcomes.number(),
            ..seal::genesis(0, tail.recorded_at + 1, None)
        };
        row.hash = seal::hash(&row, seal::Names::default(), &tail.hash, None).to_vec();
        let anchor = Anchor { partition: 0, position: tail.position, hash: tail.hash, epoch: 1, format: seal::FORMAT };
        // The transaction was begun by hand, so that it is not known to be one; the append is part of it all the same.
        assert!(journal::append(conn, &anchor, &[row]).unwrap());
        if let Conn::Postgres(c) = conn {
            c.batch_execute("commit; begin").unwrap();
        }
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        match &mut self.0.conn() {
            Conn::Postgres(c) => c.batch_execute("rollback"),
            Conn::Sqlite(c) => c.batch_execute("rollback"),
        }
        .unwrap();
    }
}

fn op(account: &str, key: &str, act: Act) -> Op {
    Op { account: account.to_owned(), key: Some(key.to_owned()), act, dry: false }
}

fn post(kind: PostKind, amount: i64, category: Option<&str>) -> Act {
    Act::Post(Post {
        kind,
        amount: units(amount),
        currency: None,
        counter: None,
        category: category.map(str::to_owned),
        occurred_at: None,
        description: Some("a text".to_owned()),
        require_available: false,
        expected_sequence: None,
    })
}

fn place(hold: &str) -> Act {
    place_of(hold, 5)
}

fn place_of(hold: &str, amount: i64) -> Act {
    let expiry = Some(Expiry::At(Instant::from_micros(BEGAN.micros() + 3_600_000_000)));
    Act::Place { hold: hold.to_owned(), amount: units(amount), expiry }
}

fn capture(hold: &str, amount: Option<i64>, keep_rest: bool) -> Act {
    Act::Capture { hold: hold.to_owned(), amount: amount.map(units), keep_rest }
}

fn release(hold: &str) -> Act {
    Act::Release { hold: hold.to_owned() }
}

fn reverse(sequence: i64, amount: Option<i64>, peer: Option<&str>) -> Act {
    Act::Reverse { sequence, amount: amount.map(units), peer: peer.map(str::to_owned) }
}

fn limit(amount: i64, etag: Option<i64>) -> Act {
    Act::Limit { credit_limit: units(amount), allow_below_use: false, etag }
}

fn close() -> Act {
    Act::Close { etag: None }
}

fn transfer(to: &str, amount: i64) -> Act {
    Act::Transfer { to: to.to_owned(), amount: units(amount) }
}

/// What is there before: rows 2 and 3 of the first two accounts are entries.
fn before() -> Vec<Op> {
    let mut ops = Vec::new();
    for account in ["alice", "bob", "carol", "dave"] {
        ops.push(op(account, "create", create(account, 0)));
    }
    for account in ["alice", "bob"] {
        ops.push(op(account, "pay", post(PostKind::Payment, 100, None)));
        ops.push(op(account, "charge", post(PostKind::Charge, 20, None)));
    }
    for hold in ["captured", "released", "kept", "changed", "open"] {
        ops.push(op("alice", hold, place(hold)));
    }
    // Enough stays held that no constraint of the database notices a hold that is let go twice.
    ops.extend((0..6).map(|number| op("alice", &format!("more-{number}"), place(&format!("more-{number}")))));
    ops
}

/// What is on its way, all of it accepted.
fn running() -> Vec<Op> {
    vec![
        op("alice", "capture", capture("captured", None, false)),
        op("alice", "release", release("released")),
        op("alice", "keep", capture("kept", Some(2), true)),
        op("alice", "change", Act::Change { hold: "changed".to_owned(), amount: Some(units(9)), expiry: None }),
        op("bob", "whole", reverse(3, None, None)),
        op("bob", "part", reverse(2, Some(30), None)),
        op("alice", "transfer", transfer("bob", 4)),
        op("carol", "limit", limit(10, None)),
        op("dave", "close", close()),
        op("erin", "create", create("erin", 7)),
        op("carol", "category", post(PostKind::Charge, 1, Some("fresh"))),
        op("carol", "hold", place("placed")),
    ]
}

/// What is decided meanwhile.
fn next() -> Vec<Op> {
    vec![
        op("alice", "again-1", capture("captured", None, false)),
        op("alice", "again-2", capture("released", None, false)),
        op("alice", "again-3", capture("kept", Some(4), false)),
        op("alice", "again-4", capture("kept", None, false)),
        op("alice", "again-5", capture("changed", Some(9), false)),
        // Holds of before, of the running batch and of this one are found; what differs is another hold.
        op("alice", "again-6", place("captured")),
        op("alice", "again-6-more", place_of("captured", 6)),
        op("carol", "found-1", place("placed")),
        op("carol", "found-2", place_of("placed", 6)),
        op("bob", "found-3", place("new")),
        op("bob", "found-4", place("new")),
        op("bob", "found-5", place_of("new", 6)),
        op("bob", "found-6", release("new")),
        op("bob", "found-7", place("new")),
        op("alice", "again-7", release("open")),
        op("bob", "again-8", reverse(3, None, None)),
        op("bob", "again-9", reverse(2, Some(71), None)),
        op("bob", "again-10", reverse(2, None, None)),
        // The second row of the transfer on its way, from either side.
        op("alice", "again-11", reverse(19, Some(3), Some("bob"))),
        op("bob", "again-12", reverse(6, Some(1), Some("alice"))),
        op("carol", "again-13", limit(5, Some(1))),
        op("carol", "again-14", limit(8, Some(2))),
        op("dave", "again-15", post(PostKind::Payment, 1, None)),
        op("dave", "again-16", Act::Reopen { etag: None }),
        op("erin", "again-17", create("erin", 7)),
        op("erin", "again-18", create("erin", 8)),
        op("erin", "again-19", limit(9, None)),
        op("carol", "again-20", post(PostKind::Charge, 1, Some("fresh"))),
        op("carol", "again-21", post(PostKind::Charge, 1, Some("fresher"))),
        op("carol", "again-22", capture("placed", None, false)),
        op("alice", "capture", capture("captured", None, false)),
        op("alice", "transfer", transfer("bob", 4)),
        op("bob", "whole", reverse(3, None, None)),
        op("carol", "category", post(PostKind::Charge, 2, Some("fresh"))),
        op("erin", "create", create("erin", 7)),
    ]
}

fn check(ops: &[Op], expected: &[Reply], answers: &[Answer], exact_time: bool) {
    for (index, op) in ops.iter().enumerate() {
        if let Err(difference) = compare(op, &expected[index], &answers[index], exact_time) {
            panic!("{difference}");
        }
    }
}

/// Waits until the clock was asked more often than that: something has been decided since.
async fn decided(clock: &TestClock, asked: u64) {
    let give_up = Deadline::now() + PATIENCE;
    while clock.asked() <= asked {
        assert!(Deadline::now() < give_up, "nothing is decided ahead");
        tokio::task::yield_now().await;
    }
}

/// Every row of an answer stands in the journal.
fn check_written(stored: &[Stored], answers: &[Answer]) {
    for (_, position, hash) in answers.iter().flatten().flat_map(places) {
        assert_eq!(stored[0].rows[usize::try_from(position).unwrap()].hash, hash);
    }
}

/// Has a batch decided while another one waits to be appended, and lets it go on or fail.
async fn run(store: Store, meanwhile: Vec<Op>, is_overtaken: bool) {
    let database = fresh(store, 1);
    let clock = TestClock::new();
    let mut model = Model::new(1, partition_of, i64::MAX / 2, BEGAN);
    let now = Instant::from_micros(BEGAN.micros() + 1_000);
    let engine = start(&database, &clock, &settings());
    let submit = |ops: &[Op]| {
        let (engine, commands) = (engine.engine.clone(), ops.iter().map(command_of).collect());
        async move { engine.submit_all(commands, Mode::Independent, patience()).await }
    };
    let expected = model.batch(now, &before(), false);
    check(&before(), &expected, &submit(&before()).await, true);

    let expected = [model.batch(now, &running(), false), model.batch(now, &meanwhile, false)];
    assert!(expected[0].iter().all(Result::is_ok), "{:?}", expected[0]);
    let mut blocker = Blocker::new(&database);
    let asked = clock.asked();
    let first = tokio::spawn(submit(&running()));
    // Once for each command, and once for the batch.
    decided(&clock, asked + u64::try_from(running().len()).unwrap()).await;
    let asked = clock.asked();
    let second = tokio::spawn(submit(&meanwhile));
    decided(&clock, asked).await;
    if is_overtaken {
        blocker.overtake();
    }
    drop(blocker);
    let answers = [first.await.unwrap(), second.await.unwrap()];
    check(&running(), &expected[0], &answers[0], !is_overtaken);
    check(&meanwhile, &expected[1], &answers[1], !is_overtaken);
    engine.stop();
    let stored = verify::sound(&database);
    for answers in &answers {
        check_written(&stored, answers);
    }
}

#[test]
fn the_next_batch_sees_what_the_running_one_changes() {
    runtime().block_on(run(Store::Sqlite, next(), false));
    runtime().block_on(run(Store::Postgres, next(), false));
}

#[test]
fn both_batches_are_decided_again_when_another_instance_was_faster() {
    runtime().block_on(run(Store::Postgres, next(), true));
}

#[test]
fn a_repetition_of_what_is_on_its_way_is_answered_with_what_is_written_in_the_end() {
    runtime().block_on(run(Store::Sqlite, running(), false));
    runtime().block_on(run(Store::Postgres, running(), false));
    runtime().block_on(run(Store::Postgres, running(), true));
}

#[test]
fn a_batch_that_comes_back_while_the_engine_stops_is_still_decided() {
    let runtime = runtime();
    let database = fresh(Store::Postgres, 1);
    let clock = TestClock::new();
    let running = start(&database, &clock, &settings());
    let engine = running.engine.clone();
    runtime.block_on(open_accounts(&engine, &["one".to_owned()], 1));
    let mut blocker = Blocker::new(&database);
    let asked = clock.asked();
    let waiting = {
        let engine = engine.clone();
        runtime.spawn(async move { engine.submit(pay("one", "last", 1), patience()).await })
    };
    runtime.block_on(decided(&clock, asked + 1));
    let stopping = std::thread::spawn(move || running.stop());
    runtime.block_on(async {
        // Never started, because its time is over before it begins.
        while !engine.submit(pay("one", "late", 1), Some(Deadline::now())).await.is_err_and(is_shutting_down) {}
    });
    blocker.overtake();
    drop(blocker);
    accepted(runtime.block_on(waiting).unwrap());
    stopping.join().unwrap();
    verify::sound(&database);
}

fn is_shutting_down(refusal: Refusal) -> bool {
    refusal.reason == Reason::ShuttingDown
}
