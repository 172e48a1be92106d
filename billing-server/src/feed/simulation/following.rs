//! Streams whose accounts change: what is added begins where the stream stands, and one token speaks for all.

use std::collections::BTreeMap;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event::Payload;
use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::histories::block_on;
use super::{ACCOUNTS, PATIENCE, World, order, tight};
use crate::domain::reason::Refusal;
use crate::feed::fixture::identity;
use crate::feed::lane::Next;
use crate::feed::order::{Change, Following, Order, Start};
use crate::feed::outbox::{Delivery, Message};

type Changes = mpsc::UnboundedSender<Result<Change, Refusal>>;

/// Opens a stream whose start comes in so many requests.
async fn follow_in(world: &World, opening: usize, order: Order) -> (Changes, Delivery) {
    let (changes, asked) = mpsc::unbounded_channel();
    let following = Following { changes: Box::pin(UnboundedReceiverStream::new(asked)), opening };
    let order = Order { everybody: false, following: Some(following), ..order };
    let Ok(delivery) = world.open(order).await else { unreachable!("the stream opens") };
    (changes, delivery)
}

/// Opens a stream that begins with the accounts of some requests.
async fn follow(world: &World, start: &[Vec<String>], order: Order) -> (Changes, Delivery) {
    let (changes, delivery) = follow_in(world, start.len(), order).await;
    for account_ids in start {
        assert!(changes.send(Ok(Change::Add(account_ids.clone()))).is_ok());
    }
    (changes, delivery)
}

/// Lets all lanes tell all they have.
fn tell_all(world: &World) {
    for lane in world.hub.lanes.iter() {
        while lane.tell() == Next::More {}
    }
}

#[tokio::test]
async fn accounts_come_and_go_on_a_followed_stream() {
    let world = World::new(tight());
    let id = |account| identity(0, account).account_id;
    world.append(0, 1);
    world.append(0, 2);
    let start = [vec![id(1), "nobody".to_owned()]];
    let (changes, mut delivery) = follow(&world, &start, Order { include_snapshot: true, ..order(Start::Now) }).await;
    let mut told = Vec::new();
    for round in 0..3 {
        let next_change = match round {
            0 => None,
            1 => Some(Change::Add(vec![id(2), id(1), "nobody".to_owned()])),
            _ => Some(Change::Remove(vec![id(1), id(4)])),
        };
        if let Some(change) = next_change {
            tell_all(&world);
            assert!(changes.send(Ok(change)).is_ok());
        }
        // The confirmation, then the snapshots, before what happens next.
        let quiet = if round == 2 { 1 } else { 3 };
        for _ in 0..quiet {
            told.push(tokio::time::timeout(PATIENCE, delivery.next()).await.ok().flatten());
        }
        world.append(0, 1);
        world.append(0, 2);
        // Every third row has two events.
        let events = [2, 3, 1][round];
        for _ in 0..events {
            told.push(tokio::time::timeout(PATIENCE, delivery.next()).await.ok().flatten());
        }
    }
    drop(changes);
    assert_eq!(
        tokio::time::timeout(PATIENCE, delivery.next()).await.ok(),
        Some(None),
        "the caller has closed his side"
    );
    let told: Vec<String> = told.into_iter().flatten().flatten().map(describe).collect();
    let expected = [
        "+[account-0-1] -[] ?[nobody]",
        "account-0-1 1 snapshot",
        " 0 completed",
        "account-0-1 2",
        "account-0-1 2",
        "+[account-0-2] -[] ?[nobody]",
        "account-0-2 2 snapshot",
        " 0 completed",
        "account-0-1 3",
        "account-0-2 3",
        "account-0-2 3",
        "+[] -[account-0-1] ?[]",
        "account-0-2 4",
    ];
    assert_eq!(told, expected);
}

fn describe(message: Message) -> String {
    match message {
        Message::Changed(changed) => format!(
            "+[{}] -[{}] ?[{}]",
            changed.added_account_ids.join(","),
            changed.removed_account_ids.join(","),
            changed.missing_account_ids.join(",")
        ),
        Message::Event(event) => {
            let kind = match event.payload {
                Some(Payload::BalanceSnapshot(_)) => " snapshot",
                Some(Payload::SnapshotCompleted(_)) => " completed",
                Some(Payload::Heartbeat(v1::Heartbeat { catching_up: true })) => " behind",
                _ => "",
            };
            format!("{} {}{kind}", event.account_id, event.sequence)
        }
    }
}

#[tokio::test]
async fn a_start_in_parts_sends_no_event_before_its_last() {
    let world = World::new(tight());
    let id = |account| identity(0, account).account_id;
    let (_changes, mut delivery) = follow(&world, &[vec![id(1)]], order(Start::Now)).await;
    let Some(Ok(Message::Event(beat))) = delivery.next().await else {
        unreachable!("a stream begins with a heartbeat")
    };
    assert_eq!(beat.payload, Some(Payload::Heartbeat(v1::Heartbeat { catching_up: false })));
    // More than the ring holds.
    for account in [1, 2, 3].repeat(7) {
        world.append(0, account);
    }
    let (changes, mut delivery) = follow_in(&world, 2, order(Start::Token(beat.resume_token))).await;
    assert!(changes.send(Ok(Change::Add(vec![id(1)]))).is_ok());
    let mut told = Vec::new();
    while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_millis(50), delivery.next()).await {
        told.push(describe(message));
    }
    assert_eq!(told, [" 0 behind", "+[account-0-1] -[] ?[]"]);
    assert!(changes.send(Ok(Change::Add(vec![id(3)]))).is_ok());
    let mut sequences: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    while sequences.get(&id(3)).and_then(|seen| seen.last()) != Some(&7) {
        match tokio::time::timeout(PATIENCE, delivery.next()).await {
            Ok(Some(Ok(Message::Event(event)))) => sequences.entry(event.account_id).or_default().push(event.sequence),
            Ok(Some(Ok(Message::Changed(told)))) => assert_eq!(told.added_account_ids, [id(3)]),
            other => unreachable!("{other:?}"),
        }
    }
    for seen in sequences.values_mut() {
        seen.dedup();
    }
    let all: Vec<i64> = (1..=7).collect();
    assert_eq!(sequences, BTreeMap::from([(id(1), all.clone()), (id(3), all)]));
}

#[derive(Clone, Debug)]
enum Step {
    /// Rows of accounts of a partition, of which so many are told, the last always.
    Append { partition: usize, accounts: Vec<i64>, silent: usize },
    /// The reader takes up to so many messages, as far as they are there.
    Read(usize),
    /// The reader wants one account more.
    Add { partition: u16, account: i64 },
    /// The reader is cut off and comes back, naming its accounts in requests of two.
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    // Few rows leave the stream live, many send it away.
    let accounts =
        prop_oneof![proptest::collection::vec(1..=ACCOUNTS, 1..6), proptest::collection::vec(1..=ACCOUNTS, 1..20),];
    prop_oneof![
        4 => (0..2_usize, accounts, 0..12_usize)
            .prop_map(|(partition, accounts, silent)| Step::Append { partition, accounts, silent }),
        3 => prop_oneof![1..12_usize, Just(usize::MAX)].prop_map(Step::Read),
        3 => (0..2_u16, 1..=ACCOUNTS).prop_map(|(partition, account)| Step::Add { partition, account }),
        2 => Just(Step::Resume),
    ]
}

/// What a reader knows of an account.
#[derive(Debug, Default)]
struct Known {
    /// The sequence of its last row in the journal when its following was confirmed.
    at_confirmation: i64,
    snapshot: Option<i64>,
    events: Vec<String>,
}

#[derive(Debug, Default)]
struct Reader {
    with_snapshot: bool,
    wanted: Vec<String>,
    known: BTreeMap<String, Known>,
    token: Option<String>,
}

impl Reader {
    fn take(&mut self, message: Message, world: &World) {
        match message {
            Message::Changed(changed) => {
                for account_id in changed.added_account_ids {
                    let at_confirmation = last_sequence(world, &account_id);
                    self.known.entry(account_id).or_insert(Known { at_confirmation, ..Known::default() });
                }
            }
            Message::Event(event) => {
                self.token = Some(event.resume_token.clone());
                let Some(known) = self.known.get_mut(&event.account_id) else { return };
                match event.payload {
                    Some(Payload::BalanceSnapshot(_)) => {
                        assert!(known.snapshot.is_none() && known.events.is_empty(), "one balance, and first");
                        known.snapshot = Some(event.sequence);
                    }
                    _ => known.events.push(event.event_id),
                }
            }
        }
    }

    /// Opens a stream as the contract says, with the accounts that continue from the token and then the others.
    async fn open(&self, world: &World) -> (Changes, Delivery) {
        let continues =
            |id: &String| self.known.get(id).is_some_and(|known| !self.with_snapshot || known.snapshot.is_some());
        let (first, rest): (Vec<_>, Vec<_>) = self.wanted.iter().cloned().partition(continues);
        let mut start: Vec<Vec<String>> = first.chunks(2).map(<[String]>::to_vec).collect();
        start.resize(start.len().max(1), Vec::new());
        let begin = self.token.clone().map_or(Start::Now, Start::Token);
        let (changes, delivery) =
            follow(world, &start, Order { include_snapshot: self.with_snapshot, ..order(begin) }).await;
        for account_id in rest {
            assert!(changes.send(Ok(Change::Add(vec![account_id]))).is_ok());
        }
        (changes, delivery)
    }

    /// Whether the last event of every account it follows has come.
    fn has_all(&self, world: &World) -> bool {
        let has_last = |id: &String, known: &Known| known.events.last() == events_of(world, id, 0).last();
        self.wanted.iter().all(|id| self.known.get(id).is_some_and(|known| has_last(id, known)))
    }
}

fn last_sequence(world: &World, account_id: &str) -> i64 {
    let all = (0..2).flat_map(|partition| world.journal.of(partition));
    let own = all.filter(|record| record.identity.as_ref().is_some_and(|identity| identity.account_id == account_id));
    own.map(|record| record.row.sequence).max().unwrap_or(0)
}

/// The events of an account above a sequence.
fn events_of(world: &World, account_id: &str, above: i64) -> Vec<String> {
    let wants = |record: &crate::engine::record::Record| {
        record.row.sequence > above
            && record.identity.as_ref().is_some_and(|identity| identity.account_id == account_id)
    };
    (0..2).flat_map(|partition| world.journal.events(partition, 0, wants)).collect()
}

async fn run(steps: Vec<Step>, with_snapshot: bool) {
    let world = World::new(tight());
    for (partition, account) in (0..2).flat_map(|partition| (1..=ACCOUNTS).map(move |account| (partition, account))) {
        world.append(partition, account);
    }
    let mut reader = Reader { with_snapshot, ..Reader::default() };
    let (mut changes, mut delivery) = reader.open(&world).await;
    for step in steps {
        match step {
            Step::Append { partition, accounts, silent } => {
                let rows: Vec<_> = accounts.iter().map(|account| world.journal.append(partition, *account)).collect();
                let silent = silent.min(rows.len() - 1);
                world.tell(rows.into_iter().skip(silent).collect());
            }
            Step::Read(count) => {
                for _ in 0..count {
                    let next = tokio::time::timeout(Duration::from_millis(1), delivery.next()).await;
                    let Ok(Some(Ok(message))) = next else { break };
                    reader.take(message, &world);
                }
            }
            Step::Add { partition, account } => {
                let account_id = identity(partition, account).account_id;
                if !reader.wanted.contains(&account_id) {
                    reader.wanted.push(account_id.clone());
                }
                assert!(changes.send(Ok(Change::Add(vec![account_id]))).is_ok());
            }
            Step::Resume => (changes, delivery) = reader.open(&world).await,
        }
    }
    while reader.known.len() < reader.wanted.len() {
        let Ok(Some(Ok(message))) = tokio::time::timeout(PATIENCE, delivery.next()).await else { break };
        reader.take(message, &world);
    }
    for (partition, account) in (0..2).flat_map(|partition| (1..=ACCOUNTS).map(move |account| (partition, account))) {
        world.append(partition, account);
    }
    while !reader.has_all(&world) {
        let next = tokio::time::timeout(PATIENCE, delivery.next()).await;
        let Ok(Some(Ok(message))) = next else { unreachable!("{next:?} {reader:?}") };
        reader.take(message, &world);
    }
    for (account_id, known) in &reader.known {
        let all = events_of(&world, account_id, 0);
        assert!(all.ends_with(&known.events), "{account_id}: no gap, nothing twice");
        if with_snapshot {
            let Some(sequence) = known.snapshot else { unreachable!("{account_id} has sent no balance") };
            assert_eq!(known.events, events_of(&world, account_id, sequence), "{account_id}: all after its balance");
        } else {
            assert!(known.events.len() >= events_of(&world, account_id, known.at_confirmation).len(), "{account_id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_account_has_a_gap(steps in proptest::collection::vec(step(), 1..40), with_snapshot: bool) {
        block_on(run(steps, with_snapshot));
    }
}
