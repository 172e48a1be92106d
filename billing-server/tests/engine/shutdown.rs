//! Stopping an engine: what waits is done or refused, and nothing hangs.

use billing_server::domain::reason::Reason;
use billing_server::engine::Engine;
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::concurrency::*;
use crate::harness::*;
use crate::verify;

#[test]
fn an_engine_stops_while_transfers_between_its_partitions_wait() {
    for store in [Store::Sqlite, Store::Postgres] {
        for round in 0..4 {
            let database = fresh(store, 3);
            let running = start(&database, &TestClock::new(), &cramped(true));
            let runtime = runtime();
            let accounts = one_in_each(&running.engine);
            runtime.block_on(open_accounts(&running.engine, &accounts, 1_000));
            let engine = running.engine.clone();
            let waiting = runtime.spawn(async move {
                let calls = (0..60_usize).map(|number| {
                    let key = format!("{round}-{number}");
                    let (from, to) = (&accounts[number % 3], &accounts[(number + 1 + number % 2) % 3]);
                    engine.submit(transfer(from, to, &key, 1), patience())
                });
                join_all(calls).await
            });
            if round % 2 == 1 {
                // Once some of them are under way.
                while running.told.lock().rows.len() < 10 {
                    std::thread::yield_now();
                }
            }
            running.stop();
            let answers = runtime.block_on(waiting).unwrap();
            for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_eq!(answer.reason, Reason::ShuttingDown, "{}", answer.message);
            }
            let stored = verify::sound(&database);
            let written = verify::keys(&stored).into_keys().filter(|(_, key)| key.starts_with(&format!("{round}-")));
            assert_eq!(written.count(), answers.iter().filter(|answer| answer.is_ok()).count());
        }
    }
}

#[test]
fn an_engine_that_is_stopped_while_another_one_contends_answers_every_caller() {
    let url = fresh_url(Store::Postgres, 1);
    let clock = TestClock::new();
    let runtime = runtime();
    let stays = start(&open(&url), &clock, &cramped(true));
    runtime.block_on(open_accounts(&stays.engine, &["one".to_owned()], 0));
    for round in 0..6 {
        let leaves = start(&open(&url), &clock, &cramped(true));
        let calls = |engine: &Engine, side: &str| {
            let engine = engine.clone();
            let commands: Vec<_> = (0..60).map(|number| pay("one", &format!("{side}-{round}-{number}"), 1)).collect();
            runtime.spawn(async move {
                join_all(commands.into_iter().map(|command| engine.submit(command, patience()))).await
            })
        };
        let waiting = [calls(&stays.engine, "stays"), calls(&leaves.engine, "leaves")];
        while leaves.told.lock().rows.len() < 8 {
            std::thread::yield_now();
        }
        leaves.stop();
        let [stayed, left] = waiting.map(|waiting| runtime.block_on(waiting).unwrap());
        for answer in stayed {
            accepted(answer);
        }
        for answer in left.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(answer.reason, Reason::ShuttingDown, "{}", answer.message);
        }
    }
    stays.stop();
    verify::sound(&open(&url));
}

#[test]
fn a_caller_that_goes_away_changes_nothing() {
    for store in [Store::Sqlite, Store::Postgres] {
        let database = fresh(store, 1);
        let running = start(&database, &TestClock::new(), &cramped(true));
        let runtime = runtime();
        runtime.block_on(open_accounts(&running.engine, &["one".to_owned()], 0));
        runtime.block_on(async {
            for number in 0..50 {
                // It is queued, and dropped before it has its answer.
                let call = running.engine.submit(pay("one", &format!("left-{number}"), 1), patience());
                assert!(call.now_or_never().is_none());
            }
        });
        running.stop();
        let stored = verify::sound(&database);
        let written = verify::keys(&stored).into_keys().filter(|(_, key)| key.starts_with("left-"));
        assert_eq!(written.count(), 50);
    }
}

#[test]
fn a_stopped_engine_takes_no_more_commands() {
    let database = fresh(Store::Sqlite, 2);
    let running = start(&database, &TestClock::new(), &settings());
    let engine = running.engine.clone();
    running.stop();
    let answer = runtime().block_on(engine.submit(pay("nobody", "key", 1), patience()));
    assert_eq!(answer.map_err(|refusal| refusal.reason).err(), Some(Reason::ShuttingDown));
}
