//! The database goes away, comes back, or comes back as another one: what was acknowledged stays, and the rest is settled
//! by a repetition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant as Deadline};

use billing_db::test_support::TestCluster;
use billing_db::{DbError, journal, partitions};
use billing_server::domain::holds::{HoldTexts, Place};
use billing_server::domain::ledger::Post;
use billing_server::domain::reason::Reason;
use billing_server::domain::record::{Kind, Texts};
use billing_server::engine::Engine;
use billing_server::engine::command::{Body, Command, Mode, Outcome};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::concurrency::*;
use crate::harness::*;
use crate::verify;

/// Counts what callers were told.
#[derive(Default)]
struct Load {
    acknowledged: AtomicUsize,
    changed: Notify,
    refused: AtomicUsize,
}

impl Load {
    fn acknowledge(&self) {
        self.acknowledged.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until so many commands more have been acknowledged.
    async fn progress(&self, more: usize) {
        let goal = self.acknowledged.load(Ordering::Acquire) + more;
        loop {
            let changed = self.changed.notified();
            if self.acknowledged.load(Ordering::Acquire) >= goal {
                return;
            }
            tokio::time::timeout(PATIENCE, changed).await.expect("no command is acknowledged any more");
        }
    }
}

/// Sends a command until it has an outcome, with the same key each time.
async fn insist(engine: &Engine, command: &Command, load: &Load) -> Outcome {
    let give_up = Deadline::now() + PATIENCE;
    loop {
        let deadline = Some(Deadline::now() + Duration::from_secs(2));
        match engine.submit(command.clone(), deadline).await {
            Ok(outcome) => {
                load.acknowledge();
                return outcome;
            }
            Err(refusal) => {
                let is_passing = matches!(
                    refusal.reason,
                    Reason::StorageUnavailable | Reason::CommitOutcomeUnknown | Reason::DeadlineExceeded
                );
                assert!(is_passing, "{}: {}", refusal.reason.name(), refusal.message);
                assert!(Deadline::now() < give_up, "still {}", refusal.message);
                load.refused.fetch_add(1, Ordering::AcqRel);
                // What a client does before it tries again.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// Callers that post and transfer until they are told to stop; what they were told.
struct Callers {
    load: Arc<Load>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<(Command, Outcome)>>>,
}

impl Callers {
    fn start(engine: &Engine, accounts: &[String]) -> Self {
        let load = Arc::new(Load::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |caller: usize| {
            let (engine, accounts) = (engine.clone(), accounts.to_vec());
            let (load, is_over) = (Arc::clone(&load), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut told = Vec::new();
                for number in 0.. {
                    if is_over.load(Ordering::Acquire) {
                        break;
                    }
                    let key = format!("{caller}-{number}");
                    let from = &accounts[(caller + number) % accounts.len()];
                    let to = &accounts[(caller + number + 1) % accounts.len()];
                    let command = if number % 4 == 0 { transfer(from, to, &key, 1) } else { pay(from, &key, 1) };
                    let outcome = insist(&engine, &command, &load).await;
                    told.push((command, outcome));
                }
                told
            })
        };
        let tasks = (0..8).map(start).collect();
        Self { load, is_over, tasks }
    }

    async fn stop(self) -> Vec<(Command, Outcome)> {
        self.is_over.store(true, Ordering::Release);
        let mut told = Vec::new();
        for task in self.tasks {
            told.extend(tokio::time::timeout(PATIENCE, task).await.expect("a caller hangs").unwrap());
        }
        told
    }
}

/// Every acknowledged command stands in the journal, once, in the place that its caller was told, and nothing else does.
fn check_told(url: &str, told: &[(Command, Outcome)]) {
    let stored = verify::sound(&open(url));
    let mut keys = verify::keys(&stored);
    keys.retain(|(_, key), _| key != "create" && key != "first");
    for (command, outcome) in told {
        let key = (command.account_id.clone(), command.key.clone().unwrap());
        let row = keys.remove(&key).unwrap_or_else(|| panic!("{key:?} was acknowledged and is lost"));
        let (partition, position, hash) = places(outcome).remove(0);
        assert_eq!((row.partition, row.position, &row.hash), (partition, position, &hash), "{key:?}");
    }
    assert!(keys.is_empty(), "rows of nobody: {:?}", keys.keys());
}

fn new_database(cluster: &TestCluster, partitions: u16) -> String {
    let url = cluster.create_database().unwrap();
    migrate(&open(&url), partitions);
    url
}

#[test]
fn nothing_acknowledged_is_lost_when_postgres_is_killed_under_load() {
    let cluster = own_cluster();
    let url = new_database(&cluster, 2);
    runtime().block_on(async {
        let running = start(&open(&url), &TestClock::new(), &settings());
        let accounts = one_in_each(&running.engine);
        open_accounts(&running.engine, &accounts, 1_000).await;
        let callers = Callers::start(&running.engine, &accounts);
        for _ in 0..2 {
            callers.load.progress(60).await;
            cluster.crash().unwrap();
            cluster.restart().unwrap();
        }
        callers.load.progress(60).await;
        assert!(callers.load.refused.load(Ordering::Acquire) > 0, "the callers have noticed");
        let told = callers.stop().await;
        assert!(running.engine.is_serving());
        running.stop();
        check_told(&url, &told);
    });
}

#[test]
fn nothing_is_lost_when_the_engines_connections_are_cut_under_load() {
    let url = fresh_url(Store::Postgres, 2);
    runtime().block_on(async {
        let running = start(&open(&url), &TestClock::new(), &settings());
        let accounts = one_in_each(&running.engine);
        open_accounts(&running.engine, &accounts, 1_000).await;
        let callers = Callers::start(&running.engine, &accounts);
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        for _ in 0..12 {
            callers.load.progress(25).await;
            cluster()
                .execute(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"))
                .unwrap();
        }
        callers.load.progress(25).await;
        let told = callers.stop().await;
        running.stop();
        check_told(&url, &told);
    });
}

#[test]
fn an_engine_comes_back_after_an_outage_that_outlasts_every_caller() {
    let cluster = own_cluster();
    let url = new_database(&cluster, 2);
    runtime().block_on(async {
        let running = start(&open(&url), &TestClock::new(), &settings());
        let accounts = one_in_each(&running.engine);
        open_accounts(&running.engine, &accounts, 100).await;
        let (first, second) = (&accounts[0], &accounts[1]);
        // Alone in its partition, over both, and with something to look up.
        let commands = [
            vec![pay(first, "post", 1)],
            vec![transfer(first, second, "transfer", 1)],
            vec![pay("unknown", "unknown", 1), pay(second, "other", 1)],
        ];
        for commands in commands {
            cluster.crash().unwrap();
            let deadline = Some(Deadline::now() + Duration::from_millis(300));
            let calls = commands.iter().map(|command| running.engine.submit(command.clone(), deadline));
            for answer in join_all(calls).await {
                assert!(answer.is_err(), "the database is away");
            }
            cluster.restart().unwrap();
            let load = Load::default();
            for command in commands.iter().filter(|command| command.account_id != "unknown") {
                insist(&running.engine, command, &load).await;
            }
        }
        assert!(running.engine.is_serving());
        running.stop();
        let stored = verify::sound(&open(&url));
        assert_eq!(verify::amounts(&stored, first).posted, units(100));
        assert_eq!(verify::amounts(&stored, second).posted, units(102));
    });
}

#[test]
fn an_engine_stops_while_its_database_is_away() {
    let cluster = own_cluster();
    let url = new_database(&cluster, 2);
    runtime().block_on(async {
        let running = start(&open(&url), &TestClock::new(), &settings());
        let accounts = one_in_each(&running.engine);
        open_accounts(&running.engine, &accounts, 100).await;
        cluster.crash().unwrap();
        let deadline = Some(Deadline::now() + Duration::from_millis(200));
        let calls = [pay(&accounts[0], "post", 1), transfer(&accounts[0], &accounts[1], "transfer", 1)];
        let answers = join_all(calls.map(|command| running.engine.submit(command, deadline))).await;
        assert!(answers.iter().all(Result::is_err));
        running.stop();
    });
}

/// Takes all that was written after a position away, as a failover to a copy that lags behind does.
fn lose_tail(url: &str, position: i64, recorded_at: i64) {
    let mut c = PgConnection::establish(url).unwrap();
    c.batch_execute(&format!(
        "begin;
         alter table journal disable trigger all;
         alter table accounts disable trigger all;
         delete from holds where placed_at > {recorded_at};
         delete from due where account > {position} or subject like 'lost%';
         delete from reversals where account > {position};
         delete from outcomes where recorded_at > {recorded_at};
         delete from accounts where account > {position};
         delete from names where name_id not in (
            select n from journal, unnest(array[counter, category, created_by]) n
            where position <= {position} and n is not null);
         delete from journal where position > {position};
         alter table journal enable trigger all;
         alter table accounts enable trigger all;
         commit;"
    ))
    .unwrap_or_else(|error| {
        let _ = c.batch_execute("rollback");
        panic!("{error}");
    });
}

fn categorised(account: &str, key: &str, category: &str) -> Command {
    let post = Post { category: Some(category.to_owned()), ..post(Kind::Charge, 1) };
    command(account, key, Body::Post(Box::new(post)))
}

fn hold(account: &str, key: &str, hold_id: &str) -> Command {
    let place = Place {
        hold_id: hold_id.to_owned(),
        amount: units(2),
        currency: None,
        expiry: None,
        category: None,
        texts: HoldTexts::default(),
    };
    command(account, key, Body::PlaceHold(Box::new(place)))
}

/// Which command comes first after the tail has vanished.
#[derive(Clone, Copy, Debug)]
enum First {
    Post,
    /// A repetition of what has vanished.
    Again,
    Read,
}

async fn lose_and_go_on(first: First) {
    let url = fresh_url(Store::Postgres, 1);
    let database = open(&url);
    let running = start(&database, &TestClock::new(), &settings());
    let engine = &running.engine;
    open_accounts(engine, &["kept".to_owned(), "other".to_owned()], 10).await;
    accepted(engine.submit(categorised("kept", "kept", "kept"), patience()).await);
    let tail = database.read(|conn| journal::tail(conn, 0)).unwrap().unwrap();

    let lost = [categorised("kept", "lost-1", "lost"), categorised("other", "lost-2", "lost")];
    for command in &lost {
        accepted(engine.submit(command.clone(), patience()).await);
    }
    accepted(engine.submit(hold("kept", "lost-3", "lost-hold"), patience()).await);
    let refused = engine.submit(charge("kept", "lost-4", 100), patience()).await;
    assert_eq!(refused.map_err(|refusal| refusal.reason).err(), Some(Reason::InsufficientFunds));
    open_accounts(engine, &["lost".to_owned()], 5).await;
    lose_tail(&url, tail.position, tail.recorded_at);

    let ids = ["kept", "other", "lost"].map(str::to_owned);
    match first {
        First::Post => {
            let outcome = accepted(engine.submit(categorised("kept", "new-1", "new"), patience()).await);
            assert_eq!(outcome.rows[0].row.position, tail.position + 1);
            assert_eq!(outcome.rows[0].after().posted, units(8));
        }
        First::Again => {
            let outcome = accepted(engine.submit(lost[0].clone(), patience()).await);
            assert!(!outcome.replayed, "what has vanished is done again");
            assert_eq!(outcome.rows[0].row.position, tail.position + 1);
        }
        First::Read => {
            let heads = engine.heads(&ids).await.unwrap();
            assert_eq!(heads[0].as_ref().unwrap().amounts.posted, units(9));
        }
    }
    assert_eq!(running.told.lock().diverged, [(0, tail.position)]);
    // Everything that was lost can be done again, and is not found before.
    let heads = engine.heads(&ids).await.unwrap();
    assert!(heads[2].is_none(), "a lost account is not found");
    assert!(heads[0].as_ref().unwrap().open_holds.is_empty(), "a lost hold is not found");
    let answer = engine.submit(pay("lost", "lost", 1), patience()).await;
    assert_eq!(answer.map_err(|refusal| refusal.reason).err(), Some(Reason::AccountNotFound));
    let outcome = accepted(engine.submit(lost[1].clone(), patience()).await);
    assert!(!outcome.replayed);
    accepted(engine.submit(hold("kept", "lost-3", "lost-hold"), patience()).await);
    open_accounts(engine, &["lost".to_owned()], 5).await;
    accepted(engine.submit(pay("kept", "new-2", 100), patience()).await);
    // The refusal was lost with the rest: the key is free again.
    accepted(engine.submit(charge("kept", "lost-4", 100), patience()).await);
    running.stop();
    let stored = verify::sound(&database);
    assert_eq!(verify::amounts(&stored, "lost").posted, units(5));
}

#[test]
fn an_engine_goes_on_correctly_after_the_tail_has_vanished() {
    for first in [First::Post, First::Again, First::Read] {
        runtime().block_on(lose_and_go_on(first));
    }
}

#[test]
fn a_fenced_engine_writes_nothing_more() {
    for store in [Store::Sqlite, Store::Postgres] {
        runtime().block_on(async {
            let database = fresh(store, 2);
            let clock = TestClock::new();
            let running = start(&database, &clock, &settings());
            let accounts = one_in_each(&running.engine);
            open_accounts(&running.engine, &accounts, 5).await;
            partitions::raise_epoch(&mut database.writer().unwrap().conn(), 0).unwrap();
            let calls = [pay(&accounts[0], "fenced", 1), transfer(&accounts[1], &accounts[0], "both", 1)];
            for command in calls {
                let answer = running.engine.submit(command, patience()).await;
                assert_eq!(answer.map_err(|refusal| refusal.reason).err(), Some(Reason::ReadOnly));
            }
            accepted(running.engine.submit(pay(&accounts[1], "free", 1), patience()).await);
            running.stop();
            let running = start(&database, &clock, &settings());
            accepted(running.engine.submit(pay(&accounts[0], "fenced", 1), patience()).await);
            running.stop();
            verify::sound(&database);
        });
    }
}

#[test]
fn data_that_only_the_database_refuses_fail_alone() {
    runtime().block_on(async {
        let database = fresh(Store::Postgres, 1);
        let running = start(&database, &TestClock::new(), &settings());
        open_accounts(&running.engine, &["good".to_owned(), "bad".to_owned()], 1).await;
        let nul = |key: &str| {
            let texts = Texts { description: Some("a\0b".to_owned()), ..Texts::default() };
            command("bad", key, Body::Post(Box::new(Post { texts, ..post(Kind::Payment, 1) })))
        };
        let commands: Vec<Command> = (0..12)
            .map(|number| {
                let key = format!("key-{number}");
                if number % 5 == 2 { nul(&key) } else { pay("good", &key, 1) }
            })
            .collect();
        let answers = join_all(commands.iter().map(|command| running.engine.submit(command.clone(), patience()))).await;
        for (command, answer) in commands.iter().zip(answers) {
            match answer {
                Ok(_) => assert_eq!(command.account_id, "good"),
                Err(refusal) => assert_eq!((command.account_id.as_str(), refusal.reason), ("bad", Reason::Internal)),
            }
        }
        let batch = vec![pay("good", "batch-1", 1), nul("batch-2"), pay("good", "batch-3", 1)];
        let answers = running.engine.submit_all(batch, Mode::Independent, patience()).await;
        let reasons: Vec<_> = answers.into_iter().map(|answer| answer.err().map(|refusal| refusal.reason)).collect();
        assert_eq!(reasons, [None, Some(Reason::Internal), None]);
        let batch = vec![pay("good", "atomic", 1), nul("atomic")];
        let answers = running.engine.submit_all(batch, Mode::Atomic, patience()).await;
        assert!(answers.iter().all(Result::is_err));
        running.stop();
        let stored = verify::sound(&database);
        assert_eq!(verify::amounts(&stored, "good").posted, units(13));
        assert_eq!(verify::amounts(&stored, "bad").posted, units(1));
    });
}

#[test]
fn an_engine_that_is_far_behind_forgets_its_heads_and_goes_on() {
    runtime().block_on(async {
        let url = fresh_url(Store::Postgres, 1);
        let clock = TestClock::new();
        let [busy, idle] = [(); 2].map(|()| start(&open(&url), &clock, &settings()));
        open_accounts(&busy.engine, &["far".to_owned()], 0).await;
        let ids = ["far".to_owned()];
        idle.engine.heads(&ids).await.unwrap();
        for chunk in 0..7 {
            let commands = (0..1_000).map(|number| pay("far", &format!("{chunk}-{number}"), 1)).collect();
            for answer in busy.engine.submit_bulk(commands, patience()).await {
                accepted(answer);
            }
        }
        let heads = idle.engine.heads(&ids).await.unwrap();
        assert_eq!(heads[0].as_ref().unwrap().amounts.posted, units(7_000));
        let outcome = accepted(idle.engine.submit(pay("far", "next", 1), patience()).await);
        assert_eq!(outcome.rows[0].after().posted, units(7_001));
        busy.stop();
        idle.engine.stop();
        let total: Result<Option<_>, DbError> = open(&url).read(|conn| journal::row_at(conn, 0, 7_002));
        assert!(total.unwrap().is_some());
    });
}
