//! One stream at a time: how it begins, goes on and ends.

use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event::Payload;

use super::{World, end, event, next, next_with_heartbeats, order, tight};
use crate::domain::reason::Reason;
use crate::engine::Notice;
use crate::feed::filter::Types;
use crate::feed::fixture::identity;
use crate::feed::hub::Settings;
use crate::feed::order::{Order, Start};

#[tokio::test]
async fn a_snapshot_is_followed_by_what_came_after_it() {
    let world = World::new(Settings::default());
    for account in [1, 2, 1, 3] {
        world.append(0, account);
        world.append(1, account);
    }
    let snapshot = |start| Order { include_snapshot: true, ..order(start) };
    let Ok(mut delivery) = world.open(snapshot(Start::Now)).await else { unreachable!("the stream opens") };
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(event(&mut delivery).await);
    }
    // Cut off in the middle of the second partition; meanwhile the world goes on.
    world.append(0, 1);
    let token = seen.last().map(|event| event.resume_token.clone()).unwrap_or_default();
    let Ok(mut delivery) = world.open(snapshot(Start::Token(token))).await else { unreachable!("the stream resumes") };
    for _ in 0..4 {
        seen.push(event(&mut delivery).await);
    }
    let names: Vec<_> = seen.iter().map(|event| (event.account_id.as_str(), event.sequence)).collect();
    let [first, second] = [0, 1].map(|partition| [1, 2, 3].map(|account| identity(partition, account).account_id));
    let expected = [
        (first[0].as_str(), 2),
        (&first[1], 1),
        (&first[2], 1),
        (&second[0], 2),
        (&second[1], 1),
        (&second[2], 1),
        ("", 0),
        (&first[0], 3),
    ];
    assert_eq!(names, expected);
    assert!(matches!(seen[6].payload, Some(Payload::SnapshotCompleted(v1::SnapshotCompleted { account_count: 2 }))));
}

#[tokio::test]
async fn a_token_of_another_journal_is_refused() {
    let world = World::new(tight());
    let Ok(mut delivery) = world.open(order(Start::Now)).await else { unreachable!("the stream opens") };
    let mut tokens = Vec::new();
    for _ in 0..30 {
        world.append(0, 1);
        tokens.push(event(&mut delivery).await.resume_token);
    }
    let other = World::new(tight());
    for account in 2..=20 {
        other.append(0, 1 + account % 3);
    }
    // In the ring, in the journal, beyond its end.
    for token in [&tokens[14], &tokens[2], &tokens[29]] {
        assert!(world.open(order(Start::Token(token.clone()))).await.is_ok());
        let refused = other.open(order(Start::Token(token.clone()))).await.err();
        assert_eq!(refused.map(|refusal| refusal.reason), Some(Reason::ResumeTokenDiverged));
    }
    let refused = other.open(order(Start::Token("forged".to_owned()))).await.err();
    assert_eq!(refused.map(|refusal| refusal.reason), Some(Reason::ResumeTokenInvalid));
}

#[tokio::test]
async fn an_instance_that_is_behind_sends_nothing_twice() {
    let ahead = World::new(Settings::default());
    let behind = World::on(Arc::clone(&ahead.journal), Settings::default());
    for world in [&ahead, &behind] {
        assert!(world.open(order(Start::Now)).await.is_ok());
    }
    let Ok(mut delivery) = ahead.open(order(Start::Now)).await else { unreachable!("the stream opens") };
    let mut token = String::new();
    for _ in 0..5 {
        ahead.append(0, 1);
        token = event(&mut delivery).await.resume_token;
    }
    let Ok(mut delivery) = behind.open(order(Start::Token(token))).await else { unreachable!("the stream resumes") };
    behind.tell(ahead.journal.of(0).into_iter().skip(1).map(Arc::new).collect());
    behind.append(0, 1);
    // The third row has two events: the token was that of the fourth.
    assert_eq!([event(&mut delivery).await.sequence, event(&mut delivery).await.sequence], [5, 6]);
}

#[tokio::test]
async fn a_journal_that_lost_its_tail_ends_its_streams() {
    let world = World::new(Settings::default());
    let Ok(mut delivery) = world.open(order(Start::Now)).await else { unreachable!("the stream opens") };
    world.append(0, 1);
    event(&mut delivery).await;
    (world.hub.sink())(Notice::Diverged { partition: 0, position: 0 });
    assert_eq!(end(&mut delivery).await.map(|end| end.reason), Some(Reason::ResumeTokenDiverged));
    while world.hub.lanes[0].newest().is_none() {
        tokio::task::yield_now().await;
    }
    let Ok(mut delivery) = world.open(order(Start::Now)).await else { unreachable!("the stream opens") };
    world.append(0, 1);
    assert_eq!(event(&mut delivery).await.sequence, 2);
}

#[tokio::test]
async fn every_end_carries_the_token_of_the_last_event() {
    let stuck = Settings { send_buffer: 1, stuck_after: Duration::from_millis(20), ..Settings::default() };
    let old = Settings { stream_age: Duration::from_millis(20), ..Settings::default() };
    for (settings, reason) in
        [(stuck, Reason::SlowSubscriber), (old, Reason::StreamAgeReached), (Settings::default(), Reason::ShuttingDown)]
    {
        let world = World::new(settings);
        let Ok(mut delivery) = world.open(order(Start::Now)).await else { unreachable!("the stream opens") };
        for _ in 0..4 {
            world.append(0, 1);
        }
        if reason == Reason::ShuttingDown {
            tokio::task::yield_now().await;
            world.drain.send_replace(true);
        } else {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let mut last = String::new();
        let ended = loop {
            match next(&mut delivery).await {
                Some(Ok(event)) => last = event.resume_token,
                Some(Err(refusal)) => break Some(refusal),
                None => break None,
            }
        };
        let given = ended.as_ref().and_then(|refusal| refusal.metadata.get("resume_token").cloned());
        assert_eq!(ended.map(|refusal| refusal.reason), Some(reason));
        assert!(last.is_empty() || given == Some(last), "{reason:?}");
    }
}

#[tokio::test]
async fn a_slow_reader_that_wishes_so_gets_the_latest_balance_only() {
    let world = World::new(Settings { send_buffer: 1, ..Settings::default() });
    let conflate = Order { conflate: true, types: Types::of([v1::EventType::BalanceChanged]), ..order(Start::Now) };
    let Ok(mut delivery) = world.open(conflate).await else { unreachable!("the stream opens") };
    for _ in 0..3 {
        world.append(0, 1);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..50 {
        world.append(0, 1);
    }
    let mut sequences = Vec::new();
    let mut folded = 0;
    while sequences.last() != Some(&53) {
        let event = event(&mut delivery).await;
        sequences.push(event.sequence);
        if let Some(Payload::BalanceChanged(changed)) = event.payload {
            folded += changed.folded_changes;
        }
    }
    assert!(sequences.is_sorted() && sequences.len() < 10, "{sequences:?}");
    assert_eq!(folded + i64::try_from(sequences.len()).unwrap_or_default(), 53);
}

#[tokio::test]
async fn an_idle_reader_moves_forward_by_heartbeats() {
    let world = World::new(Settings::default());
    let idle = Order {
        everybody: false,
        account_ids: vec![identity(0, 1).account_id],
        heartbeat: Duration::from_millis(20),
        ..order(Start::Now)
    };
    let Ok(mut delivery) = world.open(idle).await else { unreachable!("the stream opens") };
    for _ in 0..9 {
        world.append(0, 2);
    }
    let mut reached = 0;
    while reached < 9 {
        let beat = next_with_heartbeats(&mut delivery).await.and_then(Result::ok).unwrap_or_default();
        assert!(matches!(beat.payload, Some(Payload::Heartbeat(v1::Heartbeat { catching_up: false }))));
        let token = world.hub.signer.verify(&beat.resume_token);
        reached = token.map_or(9, |token| token.cursors[0].mark.position);
    }
    assert_eq!(reached, 9);
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let world = World::new(Settings { max_streams: 1, ..Settings::default() });
    let first = world.open(order(Start::Now)).await;
    assert_eq!(world.hub.streams(), 1);
    let second = world.open(order(Start::Now)).await.err();
    assert_eq!(second.map(|refusal| refusal.reason), Some(Reason::TooManyStreams));
    drop(first);
    while world.hub.streams() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.open(order(Start::Now)).await.is_ok());
    let missing = Order { everybody: false, account_ids: vec!["nobody".to_owned()], ..order(Start::Now) };
    while world.hub.streams() > 0 {
        tokio::task::yield_now().await;
    }
    let missing = world.open(missing).await.err();
    assert_eq!(missing.map(|refusal| refusal.reason), Some(Reason::AccountNotFound));
    world.drain.send_replace(true);
    let late = world.open(order(Start::Now)).await.err();
    assert_eq!(late.map(|refusal| refusal.reason), Some(Reason::ShuttingDown));
}
