//! The push stream: order, snapshots, resuming, and what a token is good for.

use std::collections::BTreeMap;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event::Payload;
use billing_proto::v1::subscribe_request::Start;
use billing_proto::v1::{ErrorReason, EventType, StartFrom, balance_changed};
use billing_server::server::Settings;

use rust_decimal::Decimal;

use crate::harness::clock::hours;
use crate::harness::ledger::{figures, value};
use crate::harness::listener::told;
use crate::harness::refusal::refused;
use crate::harness::requests::{
    account, anonymize, capture_part, charge, close, hold, limit, payment, release, reopen, subscription, transfer,
    update,
};
use crate::harness::service::answer;
use crate::harness::{Backend, Refused as _, Service, TestDatabase, block_on, on_both, on_both_databases};

on_both![
    what_happens_is_told_in_its_order,
    a_change_tells_all_amounts_before_and_after,
    everything_that_can_happen_to_an_account_is_told,
    both_sides_of_a_transfer_share_a_transaction,
    a_token_continues_exactly_after_its_event,
    the_beginning_tells_everything,
    a_snapshot_comes_first_and_nothing_is_lost_after_it,
    a_snapshot_that_was_cut_is_continued,
    types_are_filtered_and_tokens_still_move,
    accounts_of_a_customer_join_by_themselves,
    all_accounts_are_followed,
    an_expired_hold_is_told_without_being_asked,
    a_request_that_contradicts_itself_is_refused,
    a_token_that_was_not_made_here_is_refused,
    a_stream_has_a_token_before_anything_happens,
    a_heartbeat_comes_when_nothing_else_does,
    many_writers_and_every_reader_sees_every_event_in_order,
];

on_both_databases![
    a_token_survives_a_restart,
    a_token_of_another_ledger_is_refused,
    a_stream_ends_at_its_age_and_goes_on_from_its_token,
    streams_are_limited,
    a_slow_reader_gets_the_latest_balance_if_it_wants,
];

/// From the very first row.
fn from_the_beginning(request: v1::SubscribeRequest) -> v1::SubscribeRequest {
    v1::SubscribeRequest { start: Some(Start::From(StartFrom::Beginning.into())), ..request }
}

/// From a token.
fn resumed(request: v1::SubscribeRequest, token: &str) -> v1::SubscribeRequest {
    v1::SubscribeRequest { start: Some(Start::ResumeToken(token.to_owned())), ..request }
}

fn lines(events: &[v1::Event]) -> Vec<String> {
    events.iter().map(told).collect()
}

async fn what_happens_is_told_in_its_order(service: &Service) {
    service.open("acme-1").await;
    service.open("other").await;
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    service.post(payment("acme-1", "100")).await.unwrap();
    service.post(payment("other", "1")).await.unwrap();
    service.post(charge("acme-1", "30")).await.unwrap();
    service.hold(hold("acme-1", "h", "20")).await.unwrap();
    service.capture(capture_part("acme-1", "h", "5", true)).await.unwrap();
    service.release(release("acme-1", "h")).await.unwrap();
    let events = listener.take(8).await;
    let expected = [
        "acme-1 2 posted 100.00 available 100.00",
        "acme-1 3 posted 70.00 available 70.00",
        "acme-1 4 posted 70.00 available 50.00",
        "acme-1 4 hold h placed",
        "acme-1 5 posted 65.00 available 50.00",
        "acme-1 5 hold h captured",
        "acme-1 6 posted 65.00 available 65.00",
        "acme-1 6 hold h released",
    ];
    assert_eq!(lines(&events), expected);
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.event_id.clone()).collect();
    assert_eq!(ids.len(), events.len());
    for event in &events {
        assert_eq!(event.customer_id, "customer-1");
        assert!(!event.resume_token.is_empty() && !event.transaction_id.is_empty());
        assert!(event.position.is_some() && event.event_time.is_some());
    }
    let last =
        v1::GetBalanceRequest { min_position: events[7].position, ..crate::harness::requests::balance("acme-1") };
    assert_eq!(figures(&service.read_balance(last).await.unwrap()), ["65.00", "0.00", "65.00"]);
}

async fn a_change_tells_all_amounts_before_and_after(service: &Service) {
    service.open_with("acme-1", "100").await;
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let posted = service.post(charge("acme-1", "130")).await.unwrap();
    let changed = match listener.next().await.payload {
        Some(Payload::BalanceChanged(changed)) => changed,
        other => panic!("{other:?}"),
    };
    let (before, after) = (changed.before.unwrap(), changed.after.unwrap());
    let told = |amounts: &v1::BalanceAmounts| {
        [&amounts.posted, &amounts.available, &amounts.free, &amounts.direct_debt, &amounts.held]
            .map(|amount| value(amount).to_owned())
    };
    assert_eq!(told(&before), ["100.00", "100.00", "100.00", "0.00", "0.00"]);
    assert_eq!(told(&after), ["-30.00", "-30.00", "0.00", "30.00", "0.00"]);
    assert_eq!(changed.cause, posted.entry.map(balance_changed::Cause::Entry));
    assert_eq!(changed.folded_changes, 0);
    service.update(limit("acme-1", "50")).await.unwrap();
    let events = listener.take(2).await;
    let Some(Payload::AccountChanged(changed)) = &events[0].payload else { panic!("{events:?}") };
    assert_eq!(changed.changed_fields.as_ref().unwrap().paths, ["credit_limit"]);
    let Some(Payload::BalanceChanged(changed)) = &events[1].payload else { panic!("{events:?}") };
    let Some(balance_changed::Cause::Limit(limit)) = &changed.cause else { panic!("{changed:?}") };
    assert_eq!((value(&limit.before), value(&limit.after)), ("0.00", "50.00"));
}

async fn everything_that_can_happen_to_an_account_is_told(service: &Service) {
    let mut listener = service
        .subscribe(v1::SubscribeRequest {
            customer_ids: vec!["customer-1".to_owned()],
            ..v1::SubscribeRequest::default()
        })
        .await
        .unwrap();
    service.open("acme-1").await;
    let named = v1::Account { display_name: "Name".to_owned(), locale: "ru".to_owned(), ..v1::Account::default() };
    service.update(update("acme-1", &["display_name", "locale"], named)).await.unwrap();
    answer(service.accounts().close_account(close("acme-1")).await).unwrap();
    answer(service.accounts().reopen_account(reopen("acme-1")).await).unwrap();
    answer(service.accounts().close_account(close("acme-1")).await).unwrap();
    answer(service.accounts().anonymize_account(anonymize("acme-1")).await).unwrap();
    let events = listener.take(6).await;
    let expected = [
        "acme-1 1 account created",
        "acme-1 2 account updated",
        "acme-1 3 account closed",
        "acme-1 4 account reopened",
        "acme-1 5 account closed",
        "acme-1 6 account anonymized",
    ];
    assert_eq!(lines(&events), expected);
    let changed: Vec<_> = events
        .iter()
        .map(|event| match &event.payload {
            Some(Payload::AccountChanged(changed)) => changed,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(changed[0].changed_fields, None);
    assert_eq!(changed[1].changed_fields.as_ref().unwrap().paths, ["display_name", "locale"]);
    assert_eq!(changed[1].account.as_ref().unwrap().display_name, "Name");
    // The text is erased by now: who reads later is not told it any more.
    let mut late = service.subscribe(from_the_beginning(subscription(&["acme-1"]))).await.unwrap();
    let Some(Payload::AccountChanged(changed)) = late.take(2).await.remove(1).payload else { panic!() };
    assert_eq!(changed.account.unwrap().display_name, "");
}

async fn both_sides_of_a_transfer_share_a_transaction(service: &Service) {
    for (from, to) in [("acme-0", "acme-1"), ("acme-2", "acme-3"), ("acme-4", "acme-5")] {
        service.open_with(from, "10").await;
        service.open(to).await;
        let mut listener = service.subscribe(subscription(&[from, to])).await.unwrap();
        let moved = service.transfer(transfer(from, to, "4")).await.unwrap();
        let events = listener.take(2).await;
        let accounts: BTreeMap<_, _> =
            events.iter().map(|event| (event.account_id.as_str(), event.transaction_id.as_str())).collect();
        let transaction = moved.outgoing.unwrap().transaction_id;
        assert_eq!(accounts, BTreeMap::from([(from, transaction.as_str()), (to, transaction.as_str())]));
    }
}

async fn a_token_continues_exactly_after_its_event(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    for n in 1..=3 {
        service.post(payment("acme-1", &n.to_string())).await.unwrap();
        service.post(payment("acme-2", "5")).await.unwrap();
        service.hold(hold("acme-2", &format!("g{n}"), "1")).await.unwrap();
    }
    let both = || subscription(&["acme-1", "acme-2"]);
    let mut listener = service.subscribe(from_the_beginning(both())).await.unwrap();
    let all = listener.take(2 + 3 * 4).await;
    for (index, event) in all.iter().enumerate() {
        let mut listener = service.subscribe(resumed(both(), &event.resume_token)).await.unwrap();
        let rest = listener.take(all.len() - index - 1).await;
        let ids = |events: &[v1::Event]| {
            let mut by_account: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for event in events {
                by_account.entry(event.account_id.clone()).or_default().push(event.event_id.clone());
            }
            by_account
        };
        assert_eq!(ids(&rest), ids(&all[index + 1..]), "after {}", told(event));
    }
    // A token at the end waits for what comes.
    let last = &all.last().unwrap().resume_token;
    let mut listener = service.subscribe(resumed(both(), last)).await.unwrap();
    service.post(payment("acme-1", "100")).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-1 5 posted 106.00 available 106.00");
}

async fn the_beginning_tells_everything(service: &Service) {
    service.open_with("acme-1", "1").await;
    service.open_with("acme-2", "2").await;
    let mut listener = service.subscribe(from_the_beginning(subscription(&["acme-2"]))).await.unwrap();
    let events = listener.take(2).await;
    assert_eq!(lines(&events), ["acme-2 1 account created", "acme-2 2 posted 2.00 available 2.00"]);
    service.post(charge("acme-2", "1")).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-2 3 posted 1.00 available 1.00");
}

async fn a_snapshot_comes_first_and_nothing_is_lost_after_it(service: &Service) {
    let ids: Vec<String> = (0..20).map(|n| format!("acme-{n:02}")).collect();
    for id in &ids {
        service.open_with(id, "100").await;
    }
    service.hold(hold("acme-03", "h", "40")).await.unwrap();
    service.clock.advance(hours(2));
    let named: Vec<&str> = ids.iter().map(String::as_str).collect();
    let request = v1::SubscribeRequest { include_snapshot: true, ..subscription(&named) };
    let writers = async {
        for round in 0..10 {
            for id in ids.iter().skip(round % 3).step_by(3) {
                service.post(payment(id, "1")).await.unwrap();
            }
        }
    };
    let reader = async {
        let mut listener = service.subscribe(request).await.unwrap();
        let mut balances: BTreeMap<String, (i64, String)> = BTreeMap::new();
        let mut completed = None;
        loop {
            let event = listener.next().await;
            match &event.payload {
                Some(Payload::BalanceSnapshot(snapshot)) => {
                    assert!(completed.is_none(), "snapshots come first");
                    let balance = snapshot.balance.as_ref().unwrap();
                    assert_eq!(event.sequence, balance.sequence);
                    let seen = (balance.sequence, value(&balance.posted).to_owned());
                    assert!(balances.insert(event.account_id.clone(), seen).is_none(), "one each");
                }
                Some(Payload::SnapshotCompleted(end)) => completed = Some(end.account_count),
                Some(Payload::BalanceChanged(changed)) => {
                    assert!(completed.is_some(), "events follow");
                    let after = changed.after.as_ref().unwrap();
                    let known = balances.get_mut(&event.account_id).unwrap();
                    assert_eq!(event.sequence, known.0 + 1, "no gap after the snapshot of {}", event.account_id);
                    *known = (event.sequence, value(&after.posted).to_owned());
                }
                Some(Payload::HoldChanged(_)) => {}
                other => panic!("{other:?}"),
            }
            let total: Decimal = balances.values().map(|(_, posted)| posted.parse::<Decimal>().unwrap()).sum();
            if completed.is_some() && total == Decimal::from(2067) {
                assert_eq!(completed, Some(20));
                return;
            }
        }
    };
    tokio::join!(writers, reader);
}

async fn a_snapshot_that_was_cut_is_continued(service: &Service) {
    let ids: Vec<String> = (0..12).map(|n| format!("acme-{n:02}")).collect();
    for id in &ids {
        service.open_with(id, "5").await;
    }
    let named: Vec<&str> = ids.iter().map(String::as_str).collect();
    let request = || v1::SubscribeRequest { include_snapshot: true, ..subscription(&named) };
    let mut listener = service.subscribe(request()).await.unwrap();
    let first = listener.take(5).await;
    drop(listener);
    service.post(payment("acme-00", "1")).await.unwrap();
    service.post(payment("acme-11", "1")).await.unwrap();
    let mut listener = service.subscribe(resumed(request(), &first[4].resume_token)).await.unwrap();
    let mut seen: Vec<String> = first.iter().map(|event| event.account_id.clone()).collect();
    let mut changes = Vec::new();
    loop {
        let event = listener.next().await;
        match &event.payload {
            Some(Payload::BalanceSnapshot(_)) => seen.push(event.account_id.clone()),
            Some(Payload::SnapshotCompleted(_)) => {}
            _ => changes.push(told(&event)),
        }
        if changes.len() == 2 {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ids, "each account once, over both streams");
    changes.sort();
    assert_eq!(changes, ["acme-00 3 posted 6.00 available 6.00", "acme-11 3 posted 6.00 available 6.00"]);
    // With a token of an event no snapshot is begun anew.
    let token = listener_token(service, &request()).await;
    let mut listener = service.subscribe(resumed(request(), &token)).await.unwrap();
    service.post(payment("acme-05", "1")).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-05 3 posted 6.00 available 6.00");
}

/// The token of an event after everything that has happened.
async fn listener_token(service: &Service, request: &v1::SubscribeRequest) -> String {
    let plain = v1::SubscribeRequest { include_snapshot: false, ..request.clone() };
    let mut listener = service.subscribe(plain).await.unwrap();
    service.post(payment("acme-04", "1")).await.unwrap();
    listener.next().await.resume_token
}

async fn types_are_filtered_and_tokens_still_move(service: &Service) {
    service.open_with("acme-1", "100").await;
    let only = |types: &[EventType]| v1::SubscribeRequest {
        types: types.iter().map(|&one| one.into()).collect(),
        heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..subscription(&["acme-1"])
    };
    let mut holds = service.subscribe(only(&[EventType::HoldChanged])).await.unwrap();
    service.post(payment("acme-1", "1")).await.unwrap();
    service.hold(hold("acme-1", "h", "1")).await.unwrap();
    service.update(limit("acme-1", "1")).await.unwrap();
    let event = holds.next().await;
    assert_eq!(told(&event), "acme-1 4 hold h placed");
    // What was filtered out is passed over by the heartbeat's token.
    let beat = loop {
        let event = holds.next_with_heartbeats().await;
        let Some(Payload::Heartbeat(beat)) = event.payload else { panic!("{event:?}") };
        if !beat.catching_up {
            break event.resume_token;
        }
    };
    let mut all = service.subscribe(resumed(subscription(&["acme-1"]), &beat)).await.unwrap();
    service.post(payment("acme-1", "7")).await.unwrap();
    assert_eq!(all.next().await.sequence, 6);
    let request = v1::SubscribeRequest { types: vec![99], ..subscription(&["acme-1"]) };
    assert_eq!(service.subscribe(request).await.refused(ErrorReason::EnumValueUnknown).field(), "types[0]");
}

async fn accounts_of_a_customer_join_by_themselves(service: &Service) {
    service.open("acme-1").await;
    let request = v1::SubscribeRequest { customer_ids: vec!["customer-1".to_owned()], ..Default::default() };
    let mut listener = service.subscribe(request).await.unwrap();
    service.open("acme-2").await;
    let foreign = v1::CreateAccountRequest { customer_id: "customer-2".to_owned(), ..account("foreign") };
    service.create(foreign).await.unwrap();
    service.post(payment("foreign", "1")).await.unwrap();
    service.post(payment("acme-2", "1")).await.unwrap();
    let first = listener.take(2).await;
    assert_eq!(lines(&first), ["acme-2 1 account created", "acme-2 2 posted 1.00 available 1.00"]);
    service.post(payment("acme-1", "1")).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-1 2 posted 1.00 available 1.00");
}

async fn all_accounts_are_followed(service: &Service) {
    let request = v1::SubscribeRequest { all_accounts: true, ..Default::default() };
    let mut listener = service.subscribe(from_the_beginning(request)).await.unwrap();
    service.open("acme-1").await;
    service.open("acme-2").await;
    let mut events = lines(&listener.take(2).await);
    events.sort();
    assert_eq!(events, ["acme-1 1 account created", "acme-2 1 account created"]);
}

async fn an_expired_hold_is_told_without_being_asked(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    service.clock.advance(hours(2));
    let events = listener.take(2).await;
    assert_eq!(lines(&events), ["acme-1 4 posted 100.00 available 100.00", "acme-1 4 hold h expired"]);
    let Some(Payload::BalanceChanged(changed)) = &events[0].payload else { panic!("{events:?}") };
    let Some(balance_changed::Cause::Time(time)) = &changed.cause else { panic!("{changed:?}") };
    assert_eq!(time.kind(), v1::TimeChangeKind::HoldExpired);
    assert_eq!(time.subject, Some(v1::time_change::Subject::HoldId("h".to_owned())));
}

async fn a_request_that_contradicts_itself_is_refused(service: &Service) {
    service.open("acme-1").await;
    let own = || subscription(&["acme-1"]);
    let beat = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    for (request, reason, field) in [
        (v1::SubscribeRequest::default(), ErrorReason::FieldRequired, "account_ids"),
        (v1::SubscribeRequest { all_accounts: true, ..own() }, ErrorReason::FieldConflict, "all_accounts"),
        (
            v1::SubscribeRequest { include_snapshot: true, ..from_the_beginning(own()) },
            ErrorReason::FieldConflict,
            "include_snapshot",
        ),
        (v1::SubscribeRequest { types: vec![0], ..own() }, ErrorReason::EnumValueUnknown, "types[0]"),
        (
            v1::SubscribeRequest { heartbeat_interval: beat(0), ..own() },
            ErrorReason::FieldOutOfRange,
            "heartbeat_interval",
        ),
        (
            v1::SubscribeRequest { heartbeat_interval: beat(301), ..own() },
            ErrorReason::FieldOutOfRange,
            "heartbeat_interval",
        ),
        (v1::SubscribeRequest { start: Some(Start::From(9)), ..own() }, ErrorReason::EnumValueUnknown, "from"),
        (
            v1::SubscribeRequest { account_ids: vec!["a b".to_owned()], ..own() },
            ErrorReason::IdMalformed,
            "account_ids[0]",
        ),
        (
            v1::SubscribeRequest { account_ids: (0..1001).map(|n| n.to_string()).collect(), ..own() },
            ErrorReason::TooManyItems,
            "account_ids",
        ),
    ] {
        let refusal = service.subscribe(request.clone()).await.refused(reason);
        assert_eq!(refusal.field(), field, "{request:?}");
    }
    let refusal = service.subscribe(subscription(&["acme-1", "nobody"])).await.refused(ErrorReason::AccountNotFound);
    assert_eq!(refusal.detail("account_id"), "nobody");
}

async fn a_token_that_was_not_made_here_is_refused(service: &Service) {
    service.open_with("acme-1", "1").await;
    let mut listener = service.subscribe(from_the_beginning(subscription(&["acme-1"]))).await.unwrap();
    let token = listener.next().await.resume_token;
    let mut damaged = token.clone().into_bytes();
    let middle = damaged.len() / 2;
    damaged[middle] = if damaged[middle] == b'A' { b'B' } else { b'A' };
    for forged in [
        String::new(),
        "x".to_owned(),
        "AAAA".repeat(20),
        String::from_utf8(damaged).unwrap(),
        format!("{token}A"),
        "Ä".to_owned(),
    ] {
        service.subscribe(resumed(subscription(&["acme-1"]), &forged)).await.refused(ErrorReason::ResumeTokenInvalid);
    }
}

async fn a_stream_has_a_token_before_anything_happens(service: &Service) {
    service.open("acme-1").await;
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let begun = listener.next_with_heartbeats().await;
    assert_eq!(begun.payload, Some(Payload::Heartbeat(v1::Heartbeat { catching_up: false })));
    drop(listener);
    service.post(payment("acme-1", "1")).await.unwrap();
    let request = || resumed(subscription(&["acme-1"]), &begun.resume_token);
    let mut listener = service.subscribe(request()).await.unwrap();
    let begun_again = listener.next_with_heartbeats().await;
    assert!(matches!(begun_again.payload, Some(Payload::Heartbeat(_))), "{begun_again:?}");
    assert_eq!(begun_again.resume_token, begun.resume_token);
    assert_eq!(told(&listener.next().await), "acme-1 2 posted 1.00 available 1.00");
}

async fn a_heartbeat_comes_when_nothing_else_does(service: &Service) {
    service.open("acme-1").await;
    let request = v1::SubscribeRequest {
        heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..subscription(&["acme-1"])
    };
    let mut listener = service.subscribe(request.clone()).await.unwrap();
    listener.next_with_heartbeats().await;
    let beat = listener.next_with_heartbeats().await;
    assert!(matches!(beat.payload, Some(Payload::Heartbeat(_))), "{beat:?}");
    assert_eq!((beat.event_id.as_str(), beat.account_id.as_str(), beat.sequence), ("", "", 0));
    assert!(beat.event_time.is_some() && beat.position.is_none());
    service.post(payment("acme-1", "1")).await.unwrap();
    let mut resumed = service.subscribe(resumed(request, &beat.resume_token)).await.unwrap();
    assert_eq!(resumed.next().await.sequence, 2);
}

async fn many_writers_and_every_reader_sees_every_event_in_order(service: &Service) {
    let ids: Vec<String> = (0..6).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open(id).await;
    }
    let named: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(service.subscribe(subscription(&named)).await.unwrap());
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_usize {
        let (mut ledger, ids) = (service.ledger(), ids.clone());
        writers.spawn(async move {
            for n in 0..40_usize {
                let request = payment(&ids[(writer + n) % ids.len()], "1");
                // Refused for load, it is sent again with its key.
                while let Err(status) = ledger.post(request.clone()).await {
                    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    for listener in &mut listeners {
        let mut sequences: BTreeMap<String, i64> = BTreeMap::new();
        for event in listener.take(320).await {
            let last = sequences.entry(event.account_id.clone()).or_insert(1);
            assert_eq!(event.sequence, *last + 1);
            *last = event.sequence;
        }
        assert_eq!(sequences.values().map(|last| last - 1).sum::<i64>(), 320);
    }
}

async fn a_token_survives_a_restart(database: TestDatabase) {
    let service = Service::start(&database).await;
    service.open_with("acme-1", "1").await;
    let mut listener = service.subscribe(from_the_beginning(subscription(&["acme-1"]))).await.unwrap();
    let token = listener.next().await.resume_token;
    drop(listener);
    service.stop().await;
    let service = Service::start(&database).await;
    service.post(payment("acme-1", "2")).await.unwrap();
    let mut listener = service.subscribe(resumed(subscription(&["acme-1"]), &token)).await.unwrap();
    let events = listener.take(2).await;
    assert_eq!(lines(&events), ["acme-1 2 posted 1.00 available 1.00", "acme-1 3 posted 3.00 available 3.00"]);
    drop(listener);
    service.stop().await;
}

async fn a_token_of_another_ledger_is_refused(database: TestDatabase) {
    // A backup is restored: the secret that signs the tokens is the same, the journal is another one.
    let service = Service::start(&database).await;
    service.open_with("acme-1", "1").await;
    let mut listener = service.subscribe(from_the_beginning(subscription(&["acme-1"]))).await.unwrap();
    let events = listener.take(2).await;
    drop(listener);
    service.stop().await;
    database.tamper(
        "update journal set hash = (select j.hash from journal j where j.position = 0 and j.partition = 0) \
                     where position = (select max(position) from journal)",
    );
    let service = Service::start(&database).await;
    let refusal = service.subscribe(resumed(subscription(&["acme-1"]), &events[1].resume_token)).await;
    let refusal = refusal.refused(ErrorReason::ResumeTokenDiverged);
    assert_eq!(refusal.detail("position"), events[1].position.unwrap().position.to_string());
    // A token from before what was changed is still good.
    service.subscribe(resumed(subscription(&["acme-1"]), &events[0].resume_token)).await.unwrap();
    service.stop_unchecked().await;
}

async fn a_stream_ends_at_its_age_and_goes_on_from_its_token(database: TestDatabase) {
    let aging = |settings: &mut Settings| settings.feed.stream_age = Duration::from_millis(1500);
    let service = Service::start_with(&database, aging).await;
    service.open("acme-1").await;
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    service.post(payment("acme-1", "1")).await.unwrap();
    assert_eq!(listener.next().await.sequence, 2);
    let refusal = refused(&listener.end().await, ErrorReason::StreamAgeReached);
    service.post(payment("acme-1", "2")).await.unwrap();
    let token = refusal.detail("resume_token");
    let mut listener = service.subscribe(resumed(subscription(&["acme-1"]), token)).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-1 3 posted 3.00 available 3.00");
    service.stop().await;
}

async fn streams_are_limited(database: TestDatabase) {
    let service = Service::start_with(&database, |settings| settings.feed.max_streams = 2).await;
    service.open("acme-1").await;
    let first = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let _second = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let refusal = service.subscribe(subscription(&["acme-1"])).await.refused(ErrorReason::TooManyStreams);
    assert_eq!(refusal.detail("max"), "2");
    drop(first);
    let mut tries = 0;
    while service.subscribe(subscription(&["acme-1"])).await.is_err() {
        tries += 1;
        assert!(tries < 200, "the place of a reader that went away is given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    service.stop().await;
}

async fn a_slow_reader_gets_the_latest_balance_if_it_wants(database: TestDatabase) {
    let service = Service::start_with(&database, |settings| settings.feed.send_buffer = 1).await;
    service.open("acme-1").await;
    let request = |conflate_balances| v1::SubscribeRequest { conflate_balances, ..subscription(&["acme-1"]) };
    let mut folding = service.subscribe(request(true)).await.unwrap();
    let mut full = service.subscribe(request(false)).await.unwrap();
    let text = "x".repeat(1000);
    for _ in 0..5 {
        // More than the buffers of a connection hold, so that what is not read piles up at the server.
        let operations = (0..1000)
            .map(|_| v1::PostRequest { description: text.clone(), ..payment("acme-1", "1") })
            .map(crate::harness::requests::IntoOperation::into_operation)
            .collect();
        service.batch(crate::harness::requests::independent(operations)).await.unwrap();
    }
    let (mut events, mut changes, mut last) = (0, 0, 1);
    while last < 5001 {
        let event = folding.next().await;
        let Some(Payload::BalanceChanged(changed)) = &event.payload else { panic!("{event:?}") };
        events += 1;
        changes += 1 + changed.folded_changes;
        assert_eq!(event.sequence, last + 1 + changed.folded_changes, "what is left out is told");
        last = event.sequence;
    }
    assert_eq!(changes, 5000);
    assert!(events < 5000, "something was folded");
    assert_eq!(full.take(5000).await.last().unwrap().sequence, 5001, "who wants every change gets every change");
    service.stop().await;
}

#[test]
fn two_servers_on_one_postgresql_tell_each_others_events() {
    block_on(async {
        let database = TestDatabase::create(Backend::Postgres, 2).await;
        let one = Service::start(&database).await;
        let two = Service::start_at(&database, std::sync::Arc::clone(&one.clock), |_| {}).await;
        one.open("acme-1").await;
        two.open("acme-2").await;
        let both = || subscription(&["acme-1", "acme-2"]);
        let mut at_one = one.subscribe(both()).await.unwrap();
        let mut at_two = two.subscribe(both()).await.unwrap();
        for n in 0..20 {
            let server = if n % 2 == 0 { &one } else { &two };
            server.post(payment("acme-1", "1")).await.unwrap();
            server.post(payment("acme-2", "1")).await.unwrap();
        }
        let (first, second) = (at_one.take(40).await, at_two.take(40).await);
        for events in [&first, &second] {
            let mut sequences: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for event in events {
                sequences.entry(&event.account_id).or_default().push(event.sequence);
            }
            let dense: Vec<i64> = (2..22).collect();
            assert_eq!(sequences, BTreeMap::from([("acme-1", dense.clone()), ("acme-2", dense)]));
        }
        // Any instance serves any token.
        let mut resumed_at_two = two.subscribe(resumed(both(), &first[10].resume_token)).await.unwrap();
        let rest = resumed_at_two.take(29).await;
        let ids = |events: &[v1::Event]| {
            events.iter().map(|event| event.event_id.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(ids(&rest), ids(&first[11..]));
        one.stop().await;
        two.stop().await;
    });
}
