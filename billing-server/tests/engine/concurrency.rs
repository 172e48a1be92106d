//! Several engines and many callers on the same accounts: the result is that of one caller after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use billing_db::Database;
use billing_server::domain::accounts::Update;
use billing_server::domain::ledger::{Post, Transfer};
use billing_server::domain::money::Money;
use billing_server::domain::reason::Reason;
use billing_server::domain::record::{Kind, Texts};
use billing_server::engine::command::{Answer, Body, Command, Mode, Outcome};
use billing_server::engine::{Engine, Limits, Settings};
use futures_util::future::join_all;

use crate::harness::*;
use crate::translate::create;
use crate::verify::{self, Stored};

pub(crate) const UNIT: i64 = 1_000_000;

pub(crate) fn units(units: i64) -> Money {
    Money::from_micros(units * UNIT)
}

pub(crate) fn post(kind: Kind, amount: i64) -> Post {
    Post {
        kind,
        amount: units(amount),
        currency: None,
        counter: None,
        category: None,
        occurred_at: None,
        invoice_id: None,
        tax: None,
        texts: Texts::default(),
        require_available: false,
        expected_sequence: None,
    }
}

pub(crate) fn pay(account: &str, key: &str, amount: i64) -> Command {
    command(account, key, Body::Post(Box::new(post(Kind::Payment, amount))))
}

/// A charge of what must be there.
pub(crate) fn charge(account: &str, key: &str, amount: i64) -> Command {
    let post = Post { require_available: true, ..post(Kind::Charge, amount) };
    command(account, key, Body::Post(Box::new(post)))
}

pub(crate) fn transfer(from: &str, to: &str, key: &str, amount: i64) -> Command {
    let transfer = Transfer {
        to_account_id: to.to_owned(),
        amount: units(amount),
        currency: None,
        category: None,
        occurred_at: None,
        texts: Texts::default(),
        expected_sequence: None,
    };
    command(from, key, Body::Transfer(Box::new(transfer)))
}

/// Creates accounts with so much money each.
pub(crate) async fn open_accounts(engine: &Engine, accounts: &[String], amount: i64) {
    for account in accounts {
        let create = Body::CreateAccount(Box::new(create("EUR", Money::ZERO)));
        accepted(engine.submit(command(account, "create", create), patience()).await);
        if amount > 0 {
            accepted(engine.submit(pay(account, "first", amount), patience()).await);
        }
    }
}

/// One account in each partition, in the order of the partitions.
pub(crate) fn one_in_each(engine: &Engine) -> Vec<String> {
    let in_partition = |partition| {
        let ids = (0..).map(|number| format!("account-{number}"));
        ids.into_iter().find(|id| engine.partition_of(id) == partition).unwrap()
    };
    (0..engine.partitions()).map(in_partition).collect()
}

fn some_accounts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("account-{number}")).collect()
}

/// Where an accepted command's rows stand, and their hashes.
pub(crate) fn places(outcome: &Outcome) -> Vec<(i16, i64, Vec<u8>)> {
    outcome.rows.iter().map(|record| (record.row.partition, record.row.position, record.row.hash.clone())).collect()
}

/// Two engines, each with connections of its own, on one database.
struct Pair {
    url: String,
    clock: Arc<TestClock>,
    engines: [Running; 2],
}

impl Pair {
    fn start(partitions: u16) -> Self {
        let url = fresh_url(Store::Postgres, partitions);
        let clock = TestClock::new();
        let engines = [(); 2].map(|()| start(&open(&url), &clock, &settings()));
        Self { url, clock, engines }
    }

    fn engine(&self, number: usize) -> &Engine {
        &self.engines[number % 2].engine
    }

    /// Stops both, after both have told of every row, and gives back what is stored.
    async fn finish(self) -> Vec<Stored> {
        let stored = verify::sound(&open(&self.url));
        for running in self.engines {
            for (partition, stored) in (0_u16..).zip(&stored) {
                running.engine.refresh(partition).await.unwrap();
                let told = running.told.lock();
                for row in &stored.rows[1..] {
                    let hash = told.rows.get(&(row.partition, row.position));
                    assert_eq!(hash, Some(&row.hash), "row {}-{} is told", row.partition, row.position);
                }
            }
            running.stop();
        }
        stored
    }
}

#[test]
fn a_key_sent_to_two_engines_at_once_has_one_outcome() {
    for partitions in [1, 2] {
        runtime().block_on(async {
            let pair = Pair::start(partitions);
            let accounts = some_accounts(6);
            open_accounts(pair.engine(0), &accounts, 10).await;
            // Four payments and charges that cannot all be covered, so that some keys are refused.
            let commands: Vec<Command> = (0..240)
                .map(|number| {
                    let account = &accounts[number % accounts.len()];
                    let key = format!("key-{number}");
                    if number % 8 < 3 { pay(account, &key, 3) } else { charge(account, &key, 3) }
                })
                .collect();
            let sides = [0, 1].map(|side| {
                let engine = pair.engine(side);
                join_all(commands.iter().map(|command| engine.submit(command.clone(), patience())))
            });
            let [left, right]: [Vec<Answer>; 2] = join_all(sides).await.try_into().unwrap();
            let mut done = BTreeSet::new();
            for ((command, left), right) in commands.iter().zip(left).zip(right) {
                let key = command.key.clone().unwrap();
                match (left, right) {
                    (Ok(left), Ok(right)) => {
                        assert_eq!(places(&left), places(&right), "{key} stands in one place");
                        assert_ne!(left.replayed, right.replayed, "{key} is written once");
                        done.insert((command.account_id.clone(), key));
                    }
                    (Err(left), Err(right)) => {
                        assert_eq!((left.reason, &left), (Reason::InsufficientFunds, &right), "{key} is refused once");
                    }
                    (left, right) => panic!("{key} has two outcomes: {left:?} {right:?}"),
                }
            }
            assert!(done.len() < commands.len() && done.len() > 90, "some are refused");
            let stored = pair.finish().await;
            let written: BTreeSet<_> =
                verify::keys(&stored).into_keys().filter(|(_, key)| key.starts_with("key-")).collect();
            assert_eq!(written, done);
        });
    }
}

#[test]
fn eight_callers_never_spend_more_than_there_is() {
    runtime().block_on(async {
        let pair = Pair::start(1);
        let account = "hot".to_owned();
        open_accounts(pair.engine(0), std::slice::from_ref(&account), 100).await;
        let callers = (0..8).map(|caller| {
            let (pair, account) = (&pair, &account);
            async move {
                let mut accepted = 0;
                for number in 0..25 {
                    let key = format!("{caller}-{number}");
                    match pair.engine(caller + number).submit(charge(account, &key, 1), patience()).await {
                        Ok(outcome) => {
                            assert!(!outcome.replayed);
                            accepted += 1;
                        }
                        Err(refusal) => assert_eq!(refusal.reason, Reason::InsufficientFunds),
                    }
                }
                accepted
            }
        });
        assert_eq!(join_all(callers).await.into_iter().sum::<i64>(), 100);
        let stored = pair.finish().await;
        assert_eq!(verify::amounts(&stored, "hot").posted, Money::ZERO);
    });
}

#[test]
fn transfers_cross_between_partitions_without_a_deadlock() {
    runtime().block_on(async {
        let pair = Pair::start(3);
        let accounts = one_in_each(pair.engine(0));
        open_accounts(pair.engine(1), &accounts, 50).await;
        let commands: Vec<Command> = (0..180)
            .map(|number| {
                let (from, to) = (number % 3, (number + 1 + number / 3 % 2) % 3);
                let amount = 1 + i64::try_from(number % 20).unwrap();
                transfer(&accounts[from], &accounts[to], &format!("transfer-{number}"), amount)
            })
            .collect();
        let calls = commands.iter().enumerate();
        let answers = join_all(calls.map(|(n, command)| pair.engine(n).submit(command.clone(), patience()))).await;
        for answer in &answers {
            if let Err(refusal) = answer {
                assert_eq!(refusal.reason, Reason::InsufficientOwnFunds, "{}", refusal.message);
            }
        }
        // The same again, each on the other engine: the same outcome, both legs.
        let calls = commands.iter().enumerate();
        let again = join_all(calls.map(|(n, command)| pair.engine(n + 1).submit(command.clone(), patience()))).await;
        for (first, second) in answers.iter().zip(&again) {
            match (first, second) {
                (Ok(first), Ok(second)) => {
                    assert!(second.replayed);
                    assert_eq!((places(first).len(), places(first)), (2, places(second)));
                }
                (Err(first), Err(second)) => assert_eq!(first, second),
                _ => panic!("{first:?} became {second:?}"),
            }
        }
        let stored = pair.finish().await;
        let sum = accounts.iter().map(|account| verify::amounts(&stored, account).posted.micros()).sum::<i64>();
        assert_eq!(sum, 150 * UNIT, "no money comes or goes");
        let written = verify::keys(&stored).into_keys().filter(|(_, key)| key.starts_with("transfer-")).count();
        assert_eq!(written, answers.iter().filter(|answer| answer.is_ok()).count());
    });
}

#[test]
fn an_atomic_batch_over_partitions_is_all_or_nothing() {
    runtime().block_on(async {
        let pair = Pair::start(3);
        let accounts = one_in_each(pair.engine(0));
        open_accounts(pair.engine(0), &accounts, 40).await;
        let batches: Vec<Vec<Command>> = (0..90)
            .map(|number| {
                let account = |ahead: usize| accounts[(number + ahead) % 3].as_str();
                let key = |part: &str| format!("{part}-{number}");
                vec![
                    pay(account(0), &key("pay"), 2),
                    transfer(account(1), account(2), &key("transfer"), 3),
                    charge(account(2), &key("charge"), 7),
                ]
            })
            .collect();
        let calls = batches
            .iter()
            .enumerate()
            .map(|(number, batch)| pair.engine(number).submit_all(batch.clone(), Mode::Atomic, patience()));
        let answers = join_all(calls).await;
        let mut written = BTreeSet::new();
        for (batch, answers) in batches.iter().zip(&answers) {
            let keys = batch.iter().map(|command| (command.account_id.clone(), command.key.clone().unwrap()));
            if answers.iter().all(Result::is_ok) {
                written.extend(keys);
            } else {
                let reasons: Vec<Reason> =
                    answers.iter().map(|answer| answer.as_ref().expect_err("all or none").reason).collect();
                let culprits = reasons.iter().filter(|reason| **reason != Reason::LinkedItemFailed);
                assert_eq!(culprits.count(), 1, "{reasons:?}");
            }
        }
        assert!(written.len() > 9 && written.len() < 270, "some batches fail");
        let stored = pair.finish().await;
        let mut found: BTreeSet<_> = verify::keys(&stored).into_keys().collect();
        found.retain(|(_, key)| key != "create" && key != "first");
        assert_eq!(found, written);
    });
}

#[test]
fn what_two_engines_did_a_third_repeats_from_the_journal() {
    runtime().block_on(async {
        let pair = Pair::start(2);
        let accounts = some_accounts(4);
        open_accounts(pair.engine(0), &accounts, 5).await;
        let commands: Vec<Command> =
            (0..60).map(|number| charge(&accounts[number % 4], &format!("key-{number}"), 1)).collect();
        let calls = commands.iter().enumerate();
        let first = join_all(calls.map(|(n, command)| pair.engine(n).submit(command.clone(), patience()))).await;
        let third = start(&open(&pair.url), &pair.clock, &cramped(true));
        let second = third.engine.submit_bulk(commands, patience()).await;
        for (first, second) in first.into_iter().zip(second) {
            match (first, second) {
                (Ok(first), Ok(second)) => assert_eq!((places(&first), true), (places(&second), second.replayed)),
                (Err(first), Err(second)) => assert_eq!(first, second),
                (first, second) => panic!("{first:?} became {second:?}"),
            }
        }
        third.stop();
        pair.finish().await;
    });
}

#[test]
fn a_guard_is_held_against_what_another_engine_wrote() {
    runtime().block_on(async {
        let pair = Pair::start(1);
        let account = "guarded".to_owned();
        open_accounts(pair.engine(0), std::slice::from_ref(&account), 1).await;
        // Both have the head in memory; each post says the sequence that the other engine has just answered.
        let warm = pair.engine(1).heads(std::slice::from_ref(&account)).await.unwrap();
        let mut sequence = warm[0].as_ref().unwrap().entry_sequence;
        for number in 0..10 {
            let guarded = Post { expected_sequence: Some(sequence), ..post(Kind::Payment, 1) };
            let command = command(&account, &format!("guarded-{number}"), Body::Post(Box::new(guarded)));
            let outcome = accepted(pair.engine(number).submit(command, patience()).await);
            sequence = outcome.rows[0].row.sequence;
        }
        let mut version = 1;
        for number in 0..6 {
            let update = Update {
                credit_limit: Some(units(i64::try_from(number).unwrap())),
                etag: Some(format!("v{version}")),
                ..Update::default()
            };
            let command = command(&account, &format!("update-{number}"), Body::UpdateAccount(Box::new(update)));
            version = accepted(pair.engine(number).submit(command, patience()).await).rows[0].row.sequence;
        }
        pair.finish().await;
    });
}

#[test]
fn two_engines_that_create_the_same_account_create_it_once() {
    runtime().block_on(async {
        let pair = Pair::start(2);
        let accounts = some_accounts(20);
        let calls = (0..2).flat_map(|side| accounts.iter().map(move |account| (side, account)));
        let answers = join_all(calls.map(|(side, account)| {
            let create = Body::CreateAccount(Box::new(create("EUR", Money::ZERO)));
            // Each side with a key of its own.
            pair.engine(side).submit(command(account, &format!("create-{side}"), create), patience())
        }))
        .await;
        let outcomes: Vec<Outcome> = answers.into_iter().map(accepted).collect();
        for (left, right) in outcomes.iter().zip(&outcomes[accounts.len()..]) {
            assert_eq!(places(left), places(right));
            assert_ne!(left.replayed, right.replayed);
        }
        pair.finish().await;
    });
}

#[test]
fn an_account_that_is_created_once_more_is_found_and_uses_no_key_up() {
    for store in [Store::Sqlite, Store::Postgres] {
        runtime().block_on(async {
            let database = fresh(store, 1);
            let clock = TestClock::new();
            let mut running = start(&database, &clock, &settings());
            for (key, replayed) in [("first", false), ("second", true), ("second", true)] {
                let create = Body::CreateAccount(Box::new(create("EUR", Money::ZERO)));
                let outcome = accepted(running.engine.submit(command("one", key, create), patience()).await);
                assert_eq!(outcome.replayed, replayed, "{key}");
            }
            // Both before and after the engine has forgotten what it has in memory.
            for key in ["second", "first"] {
                let answer = running.engine.submit(pay("one", key, 1), patience()).await;
                match key {
                    "first" => {
                        assert_eq!(answer.map_err(|refusal| refusal.reason).err(), Some(Reason::IdempotencyKeyReused));
                    }
                    _ => assert!(!accepted(answer).replayed),
                }
                running.stop();
                running = start(&database, &clock, &settings());
            }
            running.stop();
            verify::sound(&database);
        });
    }
}

#[test]
fn the_bulk_path_waits_for_room_where_others_are_told_to_come_again() {
    runtime().block_on(async {
        let database = fresh(Store::Sqlite, 1);
        let limits = Limits { commands: 8, ..settings().limits };
        let running = start(&database, &TestClock::new(), &Settings { limits, max_batch: 2, ..settings() });
        open_accounts(&running.engine, &["one".to_owned()], 0).await;
        let calls = (0..20).map(|call| {
            let commands = (0..6).map(|number| pay("one", &format!("bulk-{call}-{number}"), 1)).collect();
            running.engine.submit_bulk(commands, patience())
        });
        join_all(calls).await.into_iter().flatten().for_each(|answer| _ = accepted(answer));
        let calls = (0..100).map(|number| running.engine.submit(pay("one", &format!("one-{number}"), 1), patience()));
        let answers = join_all(calls).await;
        let refused: Vec<Reason> = answers.iter().filter_map(|answer| Some(answer.as_ref().err()?.reason)).collect();
        assert!(refused.iter().all(|reason| *reason == Reason::Overloaded), "{refused:?}");
        let written = i64::try_from(answers.len() - refused.len()).unwrap();
        running.stop();
        assert_eq!(verify::amounts(&verify::sound(&database), "one").posted, units(120 + written));
    });
}

#[test]
fn one_engine_gives_a_key_sent_a_hundred_times_one_outcome() {
    for store in [Store::Sqlite, Store::Postgres] {
        runtime().block_on(async {
            let database: Database = fresh(store, 1);
            let running = start(&database, &TestClock::new(), &cramped(true));
            open_accounts(&running.engine, &["one".to_owned()], 0).await;
            let answers = join_all((0..100).map(|_| running.engine.submit(pay("one", "again", 1), patience()))).await;
            let outcomes: Vec<Outcome> = answers.into_iter().map(accepted).collect();
            assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
            assert!(outcomes.iter().all(|outcome| places(outcome) == places(&outcomes[0])));
            running.stop();
            let stored = verify::sound(&database);
            assert_eq!(verify::amounts(&stored, "one").posted, units(1));
        });
    }
}
