//! Faults: processes and databases are killed under load, and nothing acknowledged is lost, doubled or changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing_db::test_support::{ClusterOptions, TestCluster};
use billing_proto::v1;
use billing_proto::v1::account_service_client::AccountServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use billing_proto::v1::subscribe_request::Start;
use rust_decimal::Decimal;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::harness::ledger::{all_entries, assert_sound, value};
use crate::harness::requests::{account, balance, payment, subscription, transfer};
use crate::harness::{Process, TestDatabase, block_on, on_both_databases};

on_both_databases![killing_the_server_under_load_loses_nothing,];

const ACCOUNTS: [&str; 4] = ["acme-0", "acme-1", "acme-2", "acme-3"];

/// What was sent, and what was acknowledged of it.
#[derive(Default)]
struct Sent {
    /// Every request by its key, and the entry that was acknowledged.
    posts: Mutex<BTreeMap<String, (v1::PostRequest, Option<v1::Entry>)>>,
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

impl Sent {
    /// Waits until so many more posts are acknowledged: then there is load.
    async fn progress(&self, more: usize) {
        let goal = self.acknowledged.load(Ordering::SeqCst) + more;
        let mut tries = 0;
        while self.acknowledged.load(Ordering::SeqCst) < goal {
            tries += 1;
            assert!(tries < 3000, "the load comes to a standstill");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Posts until told to stop. What fails is not sent again: whether it was posted is settled in the end.
async fn load(mut ledger: LedgerServiceClient<Channel>, sent: Arc<Sent>, worker: usize) {
    for n in 0.. {
        if sent.stop.load(Ordering::SeqCst) {
            return;
        }
        let post =
            v1::PostRequest { idempotency_key: format!("w{worker}-{n}"), ..payment(ACCOUNTS[(worker + n) % 4], "1") };
        sent.posts.lock().unwrap().insert(post.idempotency_key.clone(), (post.clone(), None));
        let mut request = Request::new(post.clone());
        request.set_timeout(Duration::from_secs(5));
        match ledger.post(request).await {
            Ok(answer) => {
                let entry = answer.into_inner().entry;
                sent.posts.lock().unwrap().get_mut(&post.idempotency_key).unwrap().1 = entry;
                sent.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Err(status) => {
                let expected = [
                    Code::Unavailable,
                    Code::DeadlineExceeded,
                    Code::Unknown,
                    Code::Cancelled,
                    Code::ResourceExhausted,
                    Code::Internal,
                ];
                assert!(expected.contains(&status.code()), "{status:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Sends everything again with its key: what was acknowledged is there as it was, and every key is there once.
async fn settle(ledger: &mut LedgerServiceClient<Channel>, sent: &Sent) {
    let posts = std::mem::take(&mut *sent.posts.lock().unwrap());
    let mut unknown = 0;
    for (post, acknowledged) in posts.values() {
        let again = ledger.post(post.clone()).await.unwrap().into_inner();
        if let Some(entry) = acknowledged {
            assert!(again.replayed, "acknowledged, so it is there");
            assert_eq!(again.entry.as_ref(), Some(entry), "and unchanged");
        } else {
            unknown += 1;
        }
    }
    assert!(unknown > 0, "the fault has hit something");
    let mut keys = BTreeSet::new();
    for id in ACCOUNTS {
        let entries = all_entries(ledger, id).await;
        let mut posted = Decimal::ZERO;
        for (index, entry) in entries.iter().enumerate() {
            assert_eq!(entry.sequence, i64::try_from(index).unwrap() + 2, "sequences are dense");
            posted += value(&entry.amount).parse::<Decimal>().unwrap();
            assert_eq!(value(&entry.balance_after.as_ref().unwrap().posted).parse::<Decimal>().unwrap(), posted);
            assert!(keys.insert(entry.idempotency_key.clone()), "{} stands there twice", entry.idempotency_key);
        }
    }
    assert_eq!(keys, posts.keys().cloned().collect::<BTreeSet<_>>());
    assert_sound(ledger).await;
}

async fn open_accounts(channel: Channel) {
    let mut accounts = AccountServiceClient::new(channel);
    for id in ACCOUNTS {
        accounts.create_account(account(id)).await.unwrap();
    }
}

fn start_load(process: &Process, sent: &Arc<Sent>, workers: usize) -> tokio::task::JoinSet<()> {
    let mut calls = tokio::task::JoinSet::new();
    for worker in 0..workers {
        calls.spawn(load(process.ledger(), Arc::clone(sent), worker));
    }
    calls
}

async fn killing_the_server_under_load_loses_nothing(database: TestDatabase) {
    let mut process = Process::start(&database).await;
    open_accounts(process.channel()).await;
    let sent = Arc::new(Sent::default());
    let calls = start_load(&process, &sent, 8);
    for _ in 0..3 {
        sent.progress(100).await;
        process.kill();
        process = process.restart().await;
    }
    sent.progress(50).await;
    sent.stop.store(true, Ordering::SeqCst);
    calls.join_all().await;
    settle(&mut process.ledger(), &sent).await;
}

#[test]
fn killing_postgresql_under_load_loses_nothing() {
    block_on(async {
        let cluster =
            TestCluster::start(ClusterOptions { fsync: true }).expect("install PostgreSQL: apt-get install postgresql");
        let database = TestDatabase::on_cluster(&cluster, 2);
        let mut process = Process::start(&database).await;
        open_accounts(process.channel()).await;
        let start = Some(Start::From(v1::StartFrom::Beginning.into()));
        let mut stream = process
            .events()
            .subscribe(v1::SubscribeRequest { start, ..subscription(&ACCOUNTS) })
            .await
            .unwrap()
            .into_inner();
        let events = tokio::spawn(async move {
            let mut sequences: BTreeMap<String, i64> = BTreeMap::new();
            while let Ok(Some(response)) = stream.message().await {
                let event = response.event.unwrap();
                if event.account_id.is_empty() {
                    continue;
                }
                let last = sequences.entry(event.account_id.clone()).or_default();
                assert_eq!(event.sequence, *last + 1, "nothing is left out and nothing comes twice");
                *last = event.sequence;
            }
            sequences
        });
        let sent = Arc::new(Sent::default());
        let calls = start_load(&process, &sent, 8);
        for _ in 0..2 {
            sent.progress(100).await;
            cluster.crash().unwrap();
            process.wait_until_not_serving().await;
            cluster.restart().unwrap();
            process.wait_until_serving().await;
        }
        sent.progress(50).await;
        sent.stop.store(true, Ordering::SeqCst);
        calls.join_all().await;
        settle(&mut process.ledger(), &sent).await;
        // The stream has outlived it all.
        process.signal("TERM");
        let sequences = events.await.unwrap();
        process.wait().await;
        let process = process.restart().await;
        for id in ACCOUNTS {
            let read = process.balances().get_balance(balance(id)).await.unwrap().into_inner().balance.unwrap();
            assert_eq!(sequences.get(id), Some(&read.sequence));
        }
    });
}

/// The same operations, whoever sends them: payments, charges that need the money, transfers.
fn operations() -> Vec<(String, v1::operation::Operation)> {
    use v1::operation::Operation;
    (0..300_usize)
        .map(|n| {
            let (from, to) = (ACCOUNTS[n % 4], ACCOUNTS[(n + 1) % 4]);
            let key = format!("op-{n}");
            let operation = match n % 3 {
                0 => Operation::Post(v1::PostRequest { idempotency_key: key.clone(), ..payment(from, "3") }),
                1 => Operation::Post(v1::PostRequest {
                    idempotency_key: key.clone(),
                    ..crate::harness::requests::covered_charge(from, "2")
                }),
                _ => {
                    Operation::Transfer(v1::TransferRequest { idempotency_key: key.clone(), ..transfer(from, to, "1") })
                }
            };
            (key, operation)
        })
        .collect()
}

/// Sends all operations, several at a time, and keeps the answer to each: an entry, or the reason of its refusal.
async fn send_all(ledger: LedgerServiceClient<Channel>) -> BTreeMap<String, Result<v1::Entry, String>> {
    use tonic_types::StatusExt as _;
    use v1::operation::Operation;
    let mut calls = tokio::task::JoinSet::new();
    for chunk in operations().chunks(50).map(<[_]>::to_vec) {
        let mut ledger = ledger.clone();
        calls.spawn(async move {
            let mut answers = Vec::new();
            for (key, operation) in chunk {
                let answer = loop {
                    let answer = match operation.clone() {
                        Operation::Post(post) => ledger.post(post).await.map(|done| done.into_inner().entry),
                        Operation::Transfer(transfer) => {
                            ledger.transfer(transfer).await.map(|done| done.into_inner().outgoing)
                        }
                        other => panic!("{other:?}"),
                    };
                    match answer {
                        Ok(entry) => break Ok(entry.unwrap()),
                        Err(status)
                            if [Code::ResourceExhausted, Code::Aborted, Code::Unavailable].contains(&status.code()) =>
                        {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(status) => break Err(status.get_details_error_info().unwrap().reason),
                    }
                };
                answers.push((key, answer));
            }
            answers
        });
    }
    calls.join_all().await.into_iter().flatten().collect()
}

#[test]
fn two_processes_with_the_same_keys_and_accounts_are_as_one() {
    block_on(async {
        let database = TestDatabase::create(crate::harness::Backend::Postgres, 2).await;
        let one = Process::start(&database).await;
        let two = Process::start(&database).await;
        open_accounts(one.channel()).await;
        let (at_one, at_two) = tokio::join!(send_all(one.ledger()), send_all(two.ledger()));
        // One key, one outcome, whichever process was asked and whichever was first.
        assert_eq!(at_one, at_two);
        let mut posted: BTreeMap<&str, Decimal> = BTreeMap::new();
        for id in ACCOUNTS {
            let entries = all_entries(&mut two.ledger(), id).await;
            for (index, entry) in entries.iter().enumerate() {
                assert_eq!(entry.sequence, i64::try_from(index).unwrap() + 2);
                *posted.entry(id).or_default() += value(&entry.amount).parse::<Decimal>().unwrap();
                if !entry.idempotency_key.is_empty() {
                    assert_eq!(at_one[&entry.idempotency_key].as_ref(), Ok(entry));
                }
            }
            let read = |process: &Process| process.balances();
            for process in [&one, &two] {
                let told = read(process).get_balance(balance(id)).await.unwrap().into_inner().balance.unwrap();
                assert_eq!(value(&told.posted).parse::<Decimal>().unwrap(), posted[id]);
                assert!(posted[id] >= Decimal::ZERO, "no covered charge and no transfer went beyond what was there");
            }
        }
        let accepted = at_one.values().filter(|answer| answer.is_ok()).count();
        assert!(accepted >= 100, "all payments at least: {accepted}");
        assert_sound(&mut one.ledger()).await;
    });
}

#[test]
fn a_process_that_is_stopped_in_the_middle_holds_the_other_up_only_for_a_while() {
    block_on(async {
        let database = TestDatabase::create(crate::harness::Backend::Postgres, 1).await;
        let one = Process::start(&database).await;
        let two = Process::start(&database).await;
        open_accounts(one.channel()).await;
        let (stuck, running) = (Arc::new(Sent::default()), Arc::new(Sent::default()));
        let stuck_calls = start_load(&one, &stuck, 4);
        let running_calls = {
            let mut calls = tokio::task::JoinSet::new();
            for worker in 10..14 {
                calls.spawn(load(two.ledger(), Arc::clone(&running), worker));
            }
            calls
        };
        running.progress(50).await;
        one.signal("STOP");
        // Whatever the stopped process holds is let go by the database.
        running.progress(50).await;
        one.signal("CONT");
        stuck.progress(20).await;
        running.progress(20).await;
        for sent in [&stuck, &running] {
            sent.stop.store(true, Ordering::SeqCst);
        }
        stuck_calls.join_all().await;
        running_calls.join_all().await;
        for sent in [&stuck, &running] {
            let posts = std::mem::take(&mut *sent.posts.lock().unwrap());
            for (post, acknowledged) in posts.values() {
                let again = two.ledger().post(post.clone()).await.unwrap().into_inner();
                if acknowledged.is_some() {
                    assert_eq!(again.entry.as_ref(), acknowledged.as_ref());
                }
            }
        }
        assert_sound(&mut two.ledger()).await;
    });
}
