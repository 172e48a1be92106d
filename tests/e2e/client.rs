//! The typed client against a real server: what its documentation shows, in bulk, and over a restart.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use billing_client::{
    Batch, Client, CreateAccount, Decimal, EntryKind, Follow, Followed, Following, ListEntries, Payload, PlaceHold,
    Post, Reason, ReversalCause, ReverseEntry, Subscription, Transfer, Verification,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::harness::tools::root;
use crate::harness::{Process, Service, TestDatabase, on_both, on_both_databases};

on_both![
    the_first_steps_of_its_documentation_work,
    refusals_come_typed,
    operations_are_posted_in_bulk,
    lists_are_walked_page_by_page,
    accounts_are_followed,
    a_verification_is_streamed,
];

on_both_databases![
    thousands_of_accounts_are_followed_without_a_gap,
    a_subscription_goes_on_over_a_restart,
    calls_and_bulk_go_on_over_a_restart,
    its_example_runs,
];

async fn the_first_steps_of_its_documentation_work(service: &Service) {
    let client = service.client().await;
    let opened = CreateAccount::new("acme", "RUB").id("acme-1").time_zone("Europe/Moscow");
    assert!(!client.create_account(&opened).await.unwrap().replayed);
    let payment = Post::payment("acme-1", Decimal::new(150_050, 2)).reference("PP 77").key("bank-77-1");
    let posted = client.post(&payment).await.unwrap();
    assert_eq!(posted.entry.amount, Decimal::new(150_050, 2));
    assert!(client.post(&payment).await.unwrap().replayed);
    let balance = client.at_least(posted.position).get_balance("acme-1").await.unwrap();
    assert_eq!((balance.available, balance.currency.as_str()), (Decimal::new(150_050, 2), "RUB"));
    let mut events = client.subscribe(Subscription::accounts(["acme-1"]).with_snapshot());
    let first = events.next().await.unwrap().unwrap();
    let Payload::BalanceSnapshot(snapshot) = first.payload else { panic!("{first:?}") };
    assert_eq!(snapshot.available, balance.available);
    client.post(&Post::charge("acme-1", Decimal::new(50, 2))).await.unwrap();
    loop {
        let event = events.next().await.unwrap().unwrap();
        if let Payload::BalanceChanged(changed) = event.payload {
            assert_eq!(changed.before.available - changed.after.available, Decimal::new(50, 2));
            break;
        }
    }
    assert!(events.resume_token().is_some());
}

async fn refusals_come_typed(service: &Service) {
    let client = service.client().await;
    client.create_account(&CreateAccount::new("acme", "EUR").id("acme-1")).await.unwrap();
    let error = client.post(&Post::charge("acme-1", Decimal::TEN).require_available()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::InsufficientFunds));
    assert_eq!(error.refusal().unwrap().detail("missing"), Some("10.00"));
    assert!(!error.is_retryable() && !error.outcome_unknown());
    let error = client.get_balance("nobody").await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::AccountNotFound));
    let error = client.create_account(&CreateAccount::new("", "XXY").id("a b")).await.unwrap_err();
    let fields: Vec<_> = error.refusal().unwrap().violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["account_id", "customer_id", "currency_code"]);
    let batch = Batch::atomic([
        Post::payment("acme-1", Decimal::ONE),
        Post::charge("acme-1", Decimal::TEN).require_available(),
    ]);
    let error = client.post_batch(&batch).await.unwrap().into_outcomes().unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::InsufficientFunds));
    let batch = Batch::atomic([Post::payment("acme-1", Decimal::TEN)])
        .and(PlaceHold::lasting("acme-1", Decimal::ONE, Duration::from_secs(60)))
        .and(Transfer::new("acme-1", "acme-1", Decimal::ONE));
    let results = client.post_batch(&batch).await.unwrap().results;
    assert_eq!(results[2].as_ref().unwrap_err().reason(), Some(&Reason::SameAccount));
    assert_eq!(results[0].as_ref().unwrap_err().reason(), Some(&Reason::LinkedItemFailed));
}

async fn operations_are_posted_in_bulk(service: &Service) {
    let client = service.client().await;
    for id in ["acme-0", "acme-1", "acme-2"] {
        client.create_account(&CreateAccount::new("acme", "RUB").id(id)).await.unwrap();
    }
    let posts: Vec<Post> = (0..6000).map(|n| Post::payment(format!("acme-{}", n % 3), Decimal::ONE)).collect();
    for replayed in [false, true] {
        let results: Vec<_> = client.bulk().window(500).send_all(posts.clone()).collect().await;
        assert_eq!(results.len(), 6000);
        for result in results {
            assert_eq!(result.unwrap().outcome.unwrap().replayed(), replayed);
        }
    }
    assert_eq!(client.get_balance("acme-1").await.unwrap().posted, Decimal::from(2000));
}

async fn lists_are_walked_page_by_page(service: &Service) {
    let client = service.client().await;
    client.create_account(&CreateAccount::new("acme", "RUB").id("acme-1")).await.unwrap();
    for n in 1..=25 {
        client.post(&Post::payment("acme-1", Decimal::from(n))).await.unwrap();
    }
    let reversed = client.reverse_entry(&ReverseEntry::new("acme-1", 2, ReversalCause::Mistake)).await.unwrap();
    assert_eq!(reversed.entry.kind, EntryKind::Reversal);
    let all: Vec<_> = client.all_entries(ListEntries::of("acme-1").page_size(4)).try_collect().await.unwrap();
    let sequences: Vec<i64> = all.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (2..=27).rev().collect::<Vec<_>>());
    let accounts: Vec<_> =
        client.all_accounts(billing_client::ListAccounts::all().page_size(1)).try_collect().await.unwrap();
    assert_eq!(accounts.len(), 1);
}

async fn accounts_are_followed(service: &Service) {
    let client = service.client().await;
    for id in ["acme-1", "acme-2"] {
        client.create_account(&CreateAccount::new("acme", "RUB").id(id)).await.unwrap();
    }
    let mut followed = client.follow(Following::accounts(["acme-1"]));
    let handle = followed.handle();
    let changed = next_change(&mut followed).await;
    assert_eq!(changed, (vec!["acme-1".to_owned()], vec![]));
    handle.add(["acme-2", "nobody"]).unwrap();
    let changed = next_change(&mut followed).await;
    assert_eq!(changed, (vec!["acme-2".to_owned()], vec!["nobody".to_owned()]));
    client.post(&Post::payment("acme-2", Decimal::ONE)).await.unwrap();
    loop {
        if let Followed::Event(event) = followed.next().await.unwrap().unwrap()
            && let Payload::BalanceChanged(_) = event.payload
        {
            assert_eq!(event.account_id, "acme-2");
            return;
        }
    }
}

async fn thousands_of_accounts_are_followed_without_a_gap(database: TestDatabase) {
    let service = Service::start_with(&database, |settings| settings.feed.stream_age = Duration::from_secs(1)).await;
    let client = service.client().await;
    let ids: Vec<String> = (0..2500).map(|n| format!("acme-{n:04}")).collect();
    let create = |id: &String| CreateAccount::new("acme", "RUB").id(id);
    let created = futures_util::stream::iter(ids.iter().map(create)).map(|opened| {
        let client = client.clone();
        async move { client.create_account(&opened).await.map(|_| ()) }
    });
    created.buffer_unordered(32).try_collect::<()>().await.unwrap();
    for with_snapshot in [false, true] {
        let following = Following::accounts(ids.clone()).with_heartbeats();
        let following = if with_snapshot { following.with_snapshot() } else { following };
        // Of each account its last sequence, once something has told it.
        let mut seen: BTreeMap<String, i64> =
            if with_snapshot { BTreeMap::new() } else { ids.iter().map(|id| (id.clone(), 1)).collect() };
        let mut followed = client.follow(following);
        let (mut confirmed, mut streams) = (0, 0);
        let mut writer = None;
        let mut totals: Option<BTreeMap<String, i64>> = None;
        while totals.as_ref() != Some(&seen) {
            let item = tokio::time::timeout(Duration::from_secs(60), followed.next()).await.expect("something comes");
            match item.unwrap().unwrap() {
                Followed::AccountsChanged { added, removed, missing } => {
                    assert!(removed.is_empty() && missing.is_empty(), "{removed:?} {missing:?}");
                    confirmed += added.len();
                }
                Followed::Event(event) => match event.payload {
                    // Every 15 seconds, or when a stream begins.
                    Payload::Heartbeat { .. } => streams += 1,
                    Payload::BalanceSnapshot(_) => {
                        assert_eq!(seen.insert(event.account_id, event.sequence), None, "one balance, and first");
                    }
                    Payload::BalanceChanged(_) => {
                        let last = seen.insert(event.account_id.clone(), event.sequence).unwrap();
                        assert_eq!(event.sequence, last + 1, "no gap in {}", event.account_id);
                    }
                    _ => {}
                },
                _ => {}
            }
            if confirmed == ids.len() && writer.is_none() {
                let stop = Arc::new(AtomicBool::new(false));
                writer = Some((Arc::clone(&stop), tokio::spawn(post_to_all(client.clone(), ids.clone(), stop))));
            }
            if streams >= 4
                && totals.is_none()
                && let Some((stop, posts)) = &mut writer
            {
                stop.store(true, Ordering::Relaxed);
                posts.await.unwrap();
                totals = Some(sequences(&client, &ids).await);
            }
        }
        assert_eq!(confirmed, ids.len(), "each is told once");
    }
    service.stop().await;
}

/// Posts to one account after the other until told to stop.
async fn post_to_all(client: Client, ids: Vec<String>, stop: Arc<AtomicBool>) {
    for some in ids.chunks(50).cycle() {
        let batch = Batch::independent(some.iter().map(|id| Post::payment(id, Decimal::ONE)));
        client.post_batch(&batch).await.unwrap().into_outcomes().unwrap();
        if stop.load(Ordering::Relaxed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sequence of the last row of each account.
async fn sequences(client: &Client, ids: &[String]) -> BTreeMap<String, i64> {
    let mut sequences = BTreeMap::new();
    for some in ids.chunks(1000) {
        let balances = client.batch_get_balances(some).await.unwrap().balances;
        sequences.extend(balances.into_iter().map(|balance| (balance.account_id, balance.sequence)));
    }
    sequences
}

async fn next_change(followed: &mut Follow) -> (Vec<String>, Vec<String>) {
    loop {
        if let Followed::AccountsChanged { added, missing, .. } = followed.next().await.unwrap().unwrap() {
            return (added, missing);
        }
    }
}

async fn a_verification_is_streamed(service: &Service) {
    let client = service.client().await;
    client.create_account(&CreateAccount::new("acme", "RUB").id("acme-1")).await.unwrap();
    client.post(&Post::payment("acme-1", Decimal::ONE)).await.unwrap();
    let messages: Vec<_> = client.verify_ledger(None).await.unwrap().try_collect().await.unwrap();
    let Some(Verification::Summary(summary)) = messages.last() else { panic!("{messages:?}") };
    assert_eq!(summary.violation_count, 0);
}

async fn a_subscription_goes_on_over_a_restart(database: TestDatabase) {
    let mut process = Process::start(&database).await;
    let client = Client::builder(process.uri()).deadline(Duration::from_secs(30)).connect().await.unwrap();
    client.create_account(&CreateAccount::new("acme", "RUB").id("acme-1")).await.unwrap();
    let mut events = client.subscribe(Subscription::accounts(["acme-1"]).with_snapshot());
    let mut last = 0;
    for round in 0..3 {
        for n in 1..=10 {
            client.post(&Post::payment("acme-1", Decimal::from(n))).await.unwrap();
        }
        if round == 1 {
            process.signal("TERM");
            process.wait().await;
            process = process.restart().await;
        } else if round == 0 {
            process.kill();
            process = process.restart().await;
        }
        while last < 1 + 10 * (round + 1) {
            let event = events.next().await.unwrap().unwrap();
            match event.payload {
                Payload::BalanceSnapshot(_) => last = last.max(event.sequence),
                Payload::BalanceChanged(_) => {
                    assert!(event.sequence <= last + 1, "nothing is left out");
                    last = last.max(event.sequence);
                }
                _ => {}
            }
        }
    }
}

async fn calls_and_bulk_go_on_over_a_restart(database: TestDatabase) {
    let mut process = Process::start(&database).await;
    let client = Client::builder(process.uri()).deadline(Duration::from_secs(30)).connect().await.unwrap();
    client.create_account(&CreateAccount::new("acme", "RUB").id("acme-1")).await.unwrap();
    let posts: Vec<Post> = (0..20_000).map(|_| Post::payment("acme-1", Decimal::ONE)).collect();
    let mut results = client.bulk().send_all(posts);
    let mut answered = 0;
    while let Some(result) = results.next().await {
        result.unwrap().outcome.unwrap();
        answered += 1;
        if answered == 2000 {
            process.kill();
            process = process.restart().await;
        }
    }
    assert_eq!(answered, 20_000);
    assert_eq!(client.get_balance("acme-1").await.unwrap().posted, Decimal::from(20_000), "each once");
    crate::harness::ledger::assert_sound(&mut process.ledger()).await;
}

async fn its_example_runs(database: TestDatabase) {
    let process = Process::start(&database).await;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // It was built with this test by `cargo test --workspace`; otherwise it is built now.
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "billing-client", "--example", "quickstart", "--", &process.uri()])
        .current_dir(root())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in ["posted 1500.50 as number 2", "posted again: replayed = true", "to continue later: "] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
}
