//! Balances: now, as of an instant, of many accounts at once, and what they are made of.

use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::explanation_item::Item;
use billing_proto::v1::{ErrorReason, get_balance_request};
use prost_types::Timestamp;
use tonic::Status;

use crate::harness::clock::{MICROSECOND, at, days, hours};
use crate::harness::ledger::{figures, value};
use crate::harness::requests::{
    balance, bonus, capture, charge, hold, limit, money_in, payment, release, reversal, transfer,
};
use crate::harness::service::answer;
use crate::harness::{Refused as _, Service, on_both};

on_both![
    a_balance_shows_every_amount,
    a_balance_of_nobody_is_not_found,
    as_of_recorded_tells_what_was_known_then,
    as_of_recorded_counts_what_time_had_ended,
    as_of_occurred_goes_by_when_things_happened,
    as_of_is_inclusive_and_not_in_the_future,
    many_balances_are_told_in_the_order_asked,
    a_batch_of_balances_has_its_limits,
    an_explanation_adds_up,
    an_explanation_goes_back_to_the_last_zero,
    an_explanation_that_is_cut_sums_up_what_is_older,
    a_read_sees_at_least_its_min_position,
    a_position_that_cannot_be_is_refused,
];

fn recorded(account_id: &str, at: Timestamp) -> v1::GetBalanceRequest {
    v1::GetBalanceRequest { as_of: Some(get_balance_request::AsOf::AsOfRecorded(at)), ..balance(account_id) }
}

fn occurred(account_id: &str, at: Timestamp) -> v1::GetBalanceRequest {
    v1::GetBalanceRequest { as_of: Some(get_balance_request::AsOf::AsOfOccurred(at)), ..balance(account_id) }
}

async fn many(service: &Service, ids: Vec<String>) -> Result<v1::BatchGetBalancesResponse, Status> {
    let request = v1::BatchGetBalancesRequest { account_ids: ids, min_position: None };
    answer(service.balances().batch_get_balances(request).await)
}

async fn explain(service: &Service, account_id: &str, max_entries: i32) -> Result<v1::ExplainBalanceResponse, Status> {
    let request = v1::ExplainBalanceRequest { account_id: account_id.to_owned(), max_entries, min_position: None };
    answer(service.balances().explain_balance(request).await)
}

async fn a_balance_shows_every_amount(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.update(limit("acme-1", "50")).await.unwrap();
    service.post(bonus("acme-1", "10")).await.unwrap();
    let last = service.hold(hold("acme-1", "h", "30")).await.unwrap();
    let read = service.balance("acme-1").await;
    let expected = v1::Balance {
        account_id: "acme-1".to_owned(),
        posted: money_in("110.00", "RUB"),
        held: money_in("30.00", "RUB"),
        promised: money_in("0.00", "RUB"),
        credit_limit: money_in("50.00", "RUB"),
        not_due: money_in("0.00", "RUB"),
        available: money_in("130.00", "RUB"),
        free: money_in("110.00", "RUB"),
        direct_debt: money_in("0.00", "RUB"),
        bonus: money_in("10.00", "RUB"),
        sequence: 5,
        entry_sequence: 4,
        outstanding: money_in("0.00", "RUB"),
        overdue: money_in("0.00", "RUB"),
        next_payment: None,
        access: Some(v1::Access { state: v1::AccessState::Allowed.into(), reasons: Vec::new(), suspended_since: None }),
        as_of: read.as_of,
        position: read.position,
    };
    assert_eq!(read, expected);
    assert!(read.as_of.unwrap().seconds >= service.clock.timestamp().seconds);
    let written = last.position.unwrap();
    let read_at = read.position.unwrap();
    assert_eq!(read_at.partition, written.partition);
    assert!(read_at.position >= written.position);
}

async fn a_balance_of_nobody_is_not_found(service: &Service) {
    service.read_balance(balance("nobody")).await.refused(ErrorReason::AccountNotFound);
    service.read_balance(recorded("nobody", service.clock.timestamp())).await.refused(ErrorReason::AccountNotFound);
    explain(service, "nobody", 0).await.refused(ErrorReason::AccountNotFound);
    service.read_balance(balance("")).await.refused(ErrorReason::FieldRequired);
    service.read_balance(balance("no body")).await.refused(ErrorReason::IdMalformed);
}

async fn as_of_recorded_tells_what_was_known_then(service: &Service) {
    service.open("acme-1").await;
    let mut moments = Vec::new();
    for (day, request) in
        [payment("acme-1", "100"), charge("acme-1", "30"), payment("acme-1", "5")].into_iter().enumerate()
    {
        service.clock.advance(days(1));
        // The last one is recorded on the third day, but has happened before everything else.
        let backdated = v1::PostRequest { occurred_at: Some(at("2026-03-01T00:00:00Z")), ..request.clone() };
        service.post(if day == 2 { backdated } else { request }).await.unwrap();
        service.clock.advance(hours(1));
        moments.push(service.clock.timestamp());
    }
    service.clock.advance(hours(1));
    service.update(limit("acme-1", "500")).await.unwrap();
    for (moment, expected) in
        moments.iter().zip([["100.00", "0.00", "100.00"], ["70.00", "0.00", "70.00"], ["75.00", "0.00", "75.00"]])
    {
        let read = service.read_balance(recorded("acme-1", *moment)).await.unwrap();
        assert_eq!(figures(&read), expected);
        assert_eq!(read.as_of, Some(*moment));
    }
    let first = service.read_balance(recorded("acme-1", moments[0])).await.unwrap();
    assert_eq!((first.sequence, first.entry_sequence), (2, 2));
    // It never changes.
    service
        .post(v1::PostRequest { occurred_at: Some(at("2026-03-01T00:00:00Z")), ..charge("acme-1", "1") })
        .await
        .unwrap();
    let again = service.read_balance(recorded("acme-1", moments[0])).await.unwrap();
    assert_eq!(figures(&again), figures(&first));
}

async fn as_of_recorded_counts_what_time_had_ended(service: &Service) {
    service.open_with("acme-1", "100").await;
    let end = service.clock.after(hours(1));
    let until = Some(v1::place_hold_request::Expiry::ExpiresAt(end));
    service.hold(v1::PlaceHoldRequest { expiry: until, ..hold("acme-1", "h", "40") }).await.unwrap();
    service.clock.advance(hours(1) - MICROSECOND);
    let just_before = service.clock.timestamp();
    service.clock.advance(days(1));
    // The row that ends the hold is written a day late; what is told of that moment is the same before and after it.
    for _ in 0..2 {
        let read = service.read_balance(recorded("acme-1", just_before)).await.unwrap();
        assert_eq!(figures(&read), ["100.00", "40.00", "60.00"]);
        let read = service.read_balance(recorded("acme-1", end)).await.unwrap();
        assert_eq!(figures(&read), ["100.00", "0.00", "100.00"]);
        service.post(payment("acme-1", "1")).await.unwrap();
    }
    let before_all = at("2026-03-10T11:00:00Z");
    service.read_balance(recorded("acme-1", before_all)).await.refused(ErrorReason::AccountNotFound);
}

async fn as_of_occurred_goes_by_when_things_happened(service: &Service) {
    service.open("acme-1").await;
    for (value, moment) in
        [("100", "2026-03-05T10:00:00Z"), ("30", "2026-03-01T10:00:00Z"), ("7", "2026-03-08T10:00:00Z")]
    {
        let request = v1::PostRequest { occurred_at: Some(at(moment)), ..payment("acme-1", value) };
        service.post(request).await.unwrap();
    }
    for (moment, posted) in [
        ("2026-02-28T00:00:00Z", "0.00"),
        ("2026-03-01T09:59:59.999999Z", "0.00"),
        ("2026-03-01T10:00:00Z", "30.00"),
        ("2026-03-05T10:00:00Z", "130.00"),
        ("2026-03-10T00:00:00Z", "137.00"),
    ] {
        let read = service.read_balance(occurred("acme-1", at(moment))).await.unwrap();
        assert_eq!(value(&read.posted), posted, "{moment}");
        assert_eq!((read.as_of, &read.available, &read.held), (Some(at(moment)), &None, &None));
        assert!(read.position.is_some());
    }
    // A back-dated entry changes it.
    let late = v1::PostRequest { occurred_at: Some(at("2026-03-01T10:00:00Z")), ..payment("acme-1", "1") };
    let written = service.post(late).await.unwrap().position.unwrap();
    let read = service.read_balance(occurred("acme-1", at("2026-03-01T10:00:00Z"))).await.unwrap();
    assert_eq!(value(&read.posted), "31.00");
    assert!(read.position.unwrap().position >= written.position);
}

async fn as_of_is_inclusive_and_not_in_the_future(service: &Service) {
    service.open("acme-1").await;
    service.clock.advance(hours(1));
    let posted = service.post(payment("acme-1", "5")).await.unwrap().entry.unwrap();
    let moment = posted.recorded_at.unwrap();
    service.clock.advance(hours(1));
    assert_eq!(figures(&service.read_balance(recorded("acme-1", moment)).await.unwrap())[0], "5.00");
    let earlier = Timestamp { nanos: moment.nanos - 1_000, ..moment };
    let earlier =
        if moment.nanos < 1_000 { Timestamp { seconds: moment.seconds - 1, nanos: 999_999_000 } } else { earlier };
    assert_eq!(figures(&service.read_balance(recorded("acme-1", earlier)).await.unwrap())[0], "0.00");
    service.read_balance(recorded("acme-1", service.clock.timestamp())).await.unwrap();
    for request in [
        recorded("acme-1", service.clock.after(Duration::from_secs(1))),
        occurred("acme-1", service.clock.after(Duration::from_secs(1))),
    ] {
        let refusal = service.read_balance(request).await.refused(ErrorReason::AsOfInFuture);
        assert!(!refusal.detail("now").is_empty());
    }
    let nonsense = Timestamp { seconds: i64::MAX, nanos: 0 };
    service.read_balance(recorded("acme-1", nonsense)).await.refused(ErrorReason::FieldMalformed);
}

async fn many_balances_are_told_in_the_order_asked(service: &Service) {
    for n in 0..12 {
        service.open_with(&format!("acme-{n}"), &format!("{}", n + 1)).await;
    }
    let asked = ["acme-7", "nobody", "acme-0", "acme-11", "acme-7", "no-one"].map(str::to_owned).to_vec();
    let read = many(service, asked).await.unwrap();
    let told: Vec<_> =
        read.balances.iter().map(|balance| (balance.account_id.as_str(), value(&balance.posted))).collect();
    assert_eq!(told, [("acme-7", "8.00"), ("acme-0", "1.00"), ("acme-11", "12.00")]);
    assert_eq!(read.missing_account_ids, ["nobody", "no-one"]);
    for told in &read.balances {
        let single = service.balance(&told.account_id).await;
        assert_eq!((figures(told), told.sequence), (figures(&single), single.sequence));
    }
}

async fn a_batch_of_balances_has_its_limits(service: &Service) {
    service.open("acme-1").await;
    many(service, Vec::new()).await.refused(ErrorReason::BatchEmpty);
    let refusal = many(service, (0..1001).map(|n| n.to_string()).collect()).await.refused(ErrorReason::BatchTooLarge);
    assert_eq!((refusal.detail("count"), refusal.detail("max")), ("1001", "1000"));
    let full = many(service, (0..1000).map(|n| format!("a-{n}")).collect()).await.unwrap();
    assert_eq!(full.missing_account_ids.len(), 1000);
    let refusal = many(service, vec!["acme-1".to_owned(), "a b".to_owned()]).await.refused(ErrorReason::IdMalformed);
    assert_eq!(refusal.field(), "account_ids[1]");
}

async fn an_explanation_adds_up(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.open("acme-2").await;
    service.update(limit("acme-1", "50")).await.unwrap();
    service.post(charge("acme-1", "30.5")).await.unwrap();
    service.transfer(transfer("acme-1", "acme-2", "10")).await.unwrap();
    service.reverse(reversal("acme-1", 4)).await.unwrap();
    service.hold(hold("acme-1", "big", "20")).await.unwrap();
    service.hold(hold("acme-1", "gone", "5")).await.unwrap();
    service.release(release("acme-1", "gone")).await.unwrap();
    service.hold(hold("acme-1", "paid", "5")).await.unwrap();
    service.capture(capture("acme-1", "paid")).await.unwrap();
    let told = explain(service, "acme-1", 0).await.unwrap();
    let balance = told.balance.unwrap();
    assert_eq!(figures(&balance), figures(&service.balance("acme-1").await));
    let micros = |money: &Option<v1::Money>| value(money).parse::<rust_decimal::Decimal>().unwrap();
    let all: rust_decimal::Decimal = told.items.iter().map(|item| micros(&item.effect)).sum();
    assert_eq!(all, micros(&balance.available));
    let of_entries = told.items.iter().filter(|item| matches!(item.item, Some(Item::Opening(_) | Item::Entry(_))));
    let posted: rust_decimal::Decimal = of_entries.map(|item| micros(&item.effect)).sum();
    assert_eq!(posted, micros(&balance.posted));
    let shown: Vec<String> = told
        .items
        .iter()
        .map(|item| {
            let effect = value(&item.effect);
            match item.item.as_ref().unwrap() {
                Item::Opening(opening) => format!("opening {} {effect}", opening.entry_sequence),
                Item::Entry(entry) => format!("entry {} {effect}", entry.sequence),
                Item::Hold(hold) => format!("hold {} {effect}", hold.hold_id),
                Item::CreditLimit(limit) => format!("limit {} {effect}", limit.value),
                other => format!("{other:?}"),
            }
        })
        .collect();
    let expected = [
        "opening 0 0.00",
        "entry 2 100.00",
        "entry 4 -30.50",
        "entry 5 -10.00",
        "entry 6 30.50",
        "entry 11 -5.00",
        "hold big -20.00",
        "limit 50.00 50.00",
    ];
    assert_eq!(shown, expected);
}

async fn an_explanation_goes_back_to_the_last_zero(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.post(charge("acme-1", "100")).await.unwrap();
    service.post(payment("acme-1", "40")).await.unwrap();
    service.post(charge("acme-1", "15")).await.unwrap();
    let told = explain(service, "acme-1", 0).await.unwrap();
    let Some(Item::Opening(opening)) = &told.items[0].item else { panic!("{told:?}") };
    assert_eq!((value(&opening.posted), opening.entry_sequence), ("0.00", 3));
    let sequences: Vec<_> = told.items[1..]
        .iter()
        .map(|item| match &item.item {
            Some(Item::Entry(entry)) => entry.sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sequences, [4, 5]);
    service.open("empty").await;
    let told = explain(service, "empty", 0).await.unwrap();
    assert_eq!(told.items.len(), 1, "only the opening, of nothing: {told:?}");
}

async fn an_explanation_that_is_cut_sums_up_what_is_older(service: &Service) {
    service.open("acme-1").await;
    for _ in 0..60 {
        service.post(payment("acme-1", "1")).await.unwrap();
    }
    for (asked, shown, opening) in [(0, 50, "10.00"), (3, 3, "57.00"), (1000, 60, "0.00")] {
        let told = explain(service, "acme-1", asked).await.unwrap();
        assert_eq!(told.items.len(), shown + 1);
        let Some(Item::Opening(first)) = &told.items[0].item else { panic!("{told:?}") };
        assert_eq!(value(&first.posted), opening);
    }
    for asked in [-1, 1001] {
        let refusal = explain(service, "acme-1", asked).await.refused(ErrorReason::FieldOutOfRange);
        assert_eq!(refusal.field(), "max_entries");
    }
}

async fn a_read_sees_at_least_its_min_position(service: &Service) {
    service.open("acme-1").await;
    for n in 1..=20 {
        let position = service.post(payment("acme-1", "1")).await.unwrap().position;
        let read = service.read_balance(v1::GetBalanceRequest { min_position: position, ..balance("acme-1") }).await;
        let read = read.unwrap();
        assert_eq!(value(&read.posted), format!("{n}.00"));
        assert!(read.position.unwrap().position >= position.unwrap().position);
    }
}

async fn a_position_that_cannot_be_is_refused(service: &Service) {
    service.open("acme-1").await;
    let own = service.balance("acme-1").await.position.unwrap();
    let at_least = |partition, position| v1::GetBalanceRequest {
        min_position: Some(v1::JournalPosition { partition, position }),
        ..balance("acme-1")
    };
    let ahead = service.read_balance(at_least(own.partition, own.position + 1_000_000)).await;
    let refusal = ahead.refused(ErrorReason::PositionAhead);
    assert_eq!(refusal.detail("partition"), own.partition.to_string());
    for (partition, position) in [(2, 1), (-1, 1)] {
        service.read_balance(at_least(partition, position)).await.refused(ErrorReason::FieldOutOfRange);
    }
}
