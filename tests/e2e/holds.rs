//! Holds: reserving money, charging it, letting it go; and that time alone ends them.

use std::collections::HashMap;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::{ErrorReason, HoldState, place_hold_request, update_hold_request};
use tonic::Status;

use crate::harness::clock::{MICROSECOND, days, hours};
use crate::harness::ledger::{after, all_entries, figures, value};
use crate::harness::requests::{
    IntoOperation as _, anonymize, atomic, capture, capture_part, charge, covered_charge, hold, hold_update,
    independent, key, limit, money, money_in, payment, release, tax,
};
use crate::harness::service::answer;
use crate::harness::{Refused as _, RefusedItem as _, Service, on_both};

on_both![
    a_hold_is_read_back_as_it_was_placed,
    five_holds_fit_and_the_sixth_does_not,
    exactly_what_is_available_can_be_held,
    a_full_capture_charges_the_hold,
    a_part_that_is_captured_frees_the_rest_unless_it_is_kept,
    a_capture_takes_over_what_it_does_not_say,
    a_capture_asks_for_no_funds,
    a_capture_takes_no_more_than_the_rest,
    a_released_hold_frees_its_money,
    a_hold_that_has_ended_says_how,
    a_hold_is_expired_exactly_from_its_time_on,
    an_expired_hold_frees_its_money_for_the_next_command,
    an_expired_hold_is_written_down_by_the_job,
    a_hold_ends_in_the_future_and_not_too_late,
    a_raise_asks_for_the_difference,
    lowering_and_prolonging_ask_for_nothing,
    an_update_stays_above_what_was_captured,
    an_update_says_what_to_change,
    a_hold_id_is_taken_once,
    the_same_hold_is_found_under_any_key,
    a_hold_is_found_until_its_account_is_anonymised,
    a_hold_of_the_same_batch_is_found,
    without_an_id_the_key_makes_the_hold,
    repetitions_return_what_was_written,
    a_refused_hold_is_remembered,
    what_does_not_exist_is_not_found,
    a_trial_changes_nothing,
    holds_are_listed_newest_first,
    a_closed_period_stops_a_capture,
];

async fn list(service: &Service, request: v1::ListHoldsRequest) -> Result<v1::ListHoldsResponse, Status> {
    answer(service.ledger().list_holds(request).await)
}

fn until(request: v1::PlaceHoldRequest, expires_at: prost_types::Timestamp) -> v1::PlaceHoldRequest {
    v1::PlaceHoldRequest { expiry: Some(place_hold_request::Expiry::ExpiresAt(expires_at)), ..request }
}

async fn a_hold_is_read_back_as_it_was_placed(service: &Service) {
    service.open_with("acme-1", "100").await;
    let request = v1::PlaceHoldRequest {
        description: "Заказ 9".to_owned(),
        reference: "order-9".to_owned(),
        category: "orders".to_owned(),
        metadata: HashMap::from([("order".to_owned(), "9".to_owned())]),
        ..until(hold("acme-1", "order-9", "40"), service.clock.after(days(7)))
    };
    let placed = service.hold(request.clone()).await.unwrap();
    assert!(!placed.replayed && placed.position.is_some());
    let made = placed.hold.unwrap();
    let expected = v1::Hold {
        hold_id: "order-9".to_owned(),
        account_id: "acme-1".to_owned(),
        state: HoldState::Open.into(),
        amount: money_in("40.00", "RUB"),
        captured: money_in("0.00", "RUB"),
        released: money_in("0.00", "RUB"),
        rest: money_in("40.00", "RUB"),
        expires_at: Some(service.clock.after(days(7))),
        description: "Заказ 9".to_owned(),
        reference: "order-9".to_owned(),
        category: "orders".to_owned(),
        metadata: request.metadata,
        create_time: made.create_time,
        update_time: made.create_time,
        close_reason: v1::HoldCloseReason::Unspecified.into(),
    };
    assert_eq!(made, expected);
    assert_eq!(service.read_hold("acme-1", "order-9").await.unwrap(), expected);
    assert_eq!(figures(&service.balance("acme-1").await), ["100.00", "40.00", "60.00"]);
}

async fn five_holds_fit_and_the_sixth_does_not(service: &Service) {
    service.open_with("acme-1", "5000").await;
    for n in 1..=5 {
        service.hold(hold("acme-1", &format!("h{n}"), "1000")).await.unwrap();
    }
    let refusal = service.hold(hold("acme-1", "h6", "1000")).await.refused(ErrorReason::InsufficientFunds);
    let told = ["available", "required", "missing", "credit_limit"].map(|name| refusal.detail(name));
    assert_eq!(told, ["0.00", "1000.00", "1000.00", "0.00"]);
    assert_eq!(figures(&service.balance("acme-1").await), ["5000.00", "5000.00", "0.00"]);
}

async fn exactly_what_is_available_can_be_held(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.update(limit("acme-1", "5")).await.unwrap();
    service.hold(hold("acme-1", "h", "15.000001")).await.refused(ErrorReason::InsufficientFunds);
    service.hold(hold("acme-1", "h", "15")).await.unwrap();
    service.post(covered_charge("acme-1", "0.000001")).await.refused(ErrorReason::InsufficientFunds);
}

async fn a_full_capture_charges_the_hold(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    let captured = service.capture(capture("acme-1", "h")).await.unwrap();
    let entry = captured.entry.unwrap();
    assert_eq!((entry.kind(), value(&entry.amount), entry.hold_id.as_str()), (v1::EntryKind::Charge, "-40.00", "h"));
    assert_eq!(after(&entry), ["60.00", "0.00", "60.00"]);
    let held = captured.hold.unwrap();
    assert_eq!((held.state(), held.close_reason()), (HoldState::Captured, v1::HoldCloseReason::CapturedInFull));
    let told = [&held.amount, &held.captured, &held.released, &held.rest].map(value);
    assert_eq!(told, ["40.00", "40.00", "0.00", "0.00"]);
    assert_eq!(service.read_hold("acme-1", "h").await.unwrap(), held);
}

async fn a_part_that_is_captured_frees_the_rest_unless_it_is_kept(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    let kept = service.capture(capture_part("acme-1", "h", "15", true)).await.unwrap();
    assert_eq!(after(&kept.entry.unwrap()), ["85.00", "25.00", "60.00"]);
    let held = kept.hold.unwrap();
    assert_eq!(held.state(), HoldState::Open);
    assert_eq!([&held.captured, &held.released, &held.rest].map(value), ["15.00", "0.00", "25.00"]);
    let freed = service.capture(capture_part("acme-1", "h", "10", false)).await.unwrap();
    assert_eq!(after(&freed.entry.unwrap()), ["75.00", "0.00", "75.00"]);
    let held = freed.hold.unwrap();
    assert_eq!((held.state(), held.close_reason()), (HoldState::Captured, v1::HoldCloseReason::CapturedInPart));
    assert_eq!([&held.captured, &held.released, &held.rest].map(value), ["25.00", "15.00", "0.00"]);
    // To keep the rest when there is none closes the hold.
    service.hold(hold("acme-1", "all", "5")).await.unwrap();
    let all = service.capture(capture_part("acme-1", "all", "5", true)).await.unwrap();
    assert_eq!(all.hold.unwrap().state(), HoldState::Captured);
}

async fn a_capture_takes_over_what_it_does_not_say(service: &Service) {
    service.open_with("acme-1", "100").await;
    let spoken = v1::PlaceHoldRequest {
        description: "order".to_owned(),
        reference: "o-1".to_owned(),
        category: "orders".to_owned(),
        metadata: HashMap::from([("a".to_owned(), "1".to_owned())]),
        ..hold("acme-1", "h", "40")
    };
    service.hold(spoken).await.unwrap();
    let entry = service.capture(capture_part("acme-1", "h", "10", true)).await.unwrap().entry.unwrap();
    let told = [&entry.description, &entry.reference, &entry.category, &entry.counter_account].map(String::as_str);
    assert_eq!(told, ["order", "o-1", "orders", "revenue:orders"]);
    assert!(entry.metadata.is_empty(), "the pairs of the hold are not copied");
    let own = v1::CaptureHoldRequest {
        description: "second".to_owned(),
        reference: "o-2".to_owned(),
        category: "late".to_owned(),
        counter_account: "revenue:special".to_owned(),
        tax: tax("vat20", "20", "2"),
        metadata: HashMap::from([("b".to_owned(), "2".to_owned())]),
        ..capture_part("acme-1", "h", "12", true)
    };
    let entry = service.capture(own).await.unwrap().entry.unwrap();
    let told = [&entry.description, &entry.reference, &entry.category, &entry.counter_account].map(String::as_str);
    assert_eq!(told, ["second", "o-2", "late", "revenue:special"]);
    assert_eq!((value(&entry.tax.unwrap().amount), entry.metadata.len()), ("2.00", 1));
    let held = service.read_hold("acme-1", "h").await.unwrap();
    assert_eq!((held.description.as_str(), held.reference.as_str(), held.metadata.len()), ("order", "o-1", 1));
}

async fn a_capture_asks_for_no_funds(service: &Service) {
    service.open_with("acme-1", "40").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    service.post(charge("acme-1", "100")).await.unwrap();
    let captured = service.capture(capture("acme-1", "h")).await.unwrap();
    assert_eq!(after(&captured.entry.unwrap()), ["-100.00", "0.00", "-100.00"]);
}

async fn a_capture_takes_no_more_than_the_rest(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    service.capture(capture_part("acme-1", "h", "15", true)).await.unwrap();
    let refusal = service.capture(capture_part("acme-1", "h", "25.000001", false)).await;
    let refusal = refusal.refused(ErrorReason::CaptureExceedsHold);
    let told = ["hold_id", "rest", "captured", "currency_code"].map(|name| refusal.detail(name));
    assert_eq!(told, ["h", "25.00", "15.00", "RUB"]);
    service.capture(capture_part("acme-1", "h", "0", false)).await.refused(ErrorReason::AmountNotPositive);
    let taxed = v1::CaptureHoldRequest { tax: tax("vat20", "20", "25.01"), ..capture("acme-1", "h") };
    service.capture(taxed).await.refused(ErrorReason::TaxExceedsAmount);
    service.capture(capture_part("acme-1", "h", "25", false)).await.unwrap();
}

async fn a_released_hold_frees_its_money(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    service.capture(capture_part("acme-1", "h", "15", true)).await.unwrap();
    let released = service.release(release("acme-1", "h")).await.unwrap();
    let held = released.hold.unwrap();
    assert_eq!((held.state(), held.close_reason()), (HoldState::Released, v1::HoldCloseReason::Released));
    assert_eq!([&held.captured, &held.released, &held.rest].map(value), ["15.00", "25.00", "0.00"]);
    assert_eq!(figures(&service.balance("acme-1").await), ["85.00", "0.00", "85.00"]);
    assert_eq!(all_entries(&mut service.ledger(), "acme-1").await.len(), 2, "a release moves no money");
}

async fn a_hold_that_has_ended_says_how(service: &Service) {
    service.open_with("acme-1", "100").await;
    for id in ["captured", "released", "expired"] {
        service.hold(hold("acme-1", id, "10")).await.unwrap();
    }
    service.capture(capture("acme-1", "captured")).await.unwrap();
    service.release(release("acme-1", "released")).await.unwrap();
    service.clock.advance(hours(2));
    for (id, reason) in [
        ("captured", ErrorReason::HoldAlreadyCaptured),
        ("released", ErrorReason::HoldAlreadyReleased),
        ("expired", ErrorReason::HoldExpired),
    ] {
        let raise = v1::UpdateHoldRequest { amount: money("11"), ..hold_update("acme-1", id) };
        for refusal in [
            service.capture(capture("acme-1", id)).await.refused(reason),
            service.release(release("acme-1", id)).await.refused(reason),
            service.update_hold(raise).await.refused(reason),
        ] {
            assert_eq!(refusal.detail("hold_id"), id);
        }
    }
}

async fn a_hold_is_expired_exactly_from_its_time_on(service: &Service) {
    service.open_with("acme-1", "100").await;
    let end = service.clock.after(hours(1));
    service.hold(until(hold("acme-1", "h", "40"), end)).await.unwrap();
    service.clock.advance(hours(1) - MICROSECOND);
    assert_eq!(service.read_hold("acme-1", "h").await.unwrap().state(), HoldState::Open);
    assert_eq!(figures(&service.balance("acme-1").await), ["100.00", "40.00", "60.00"]);
    service.clock.advance(MICROSECOND);
    // No job and no command is needed for a read to see it.
    let held = service.read_hold("acme-1", "h").await.unwrap();
    assert_eq!((held.state(), held.close_reason()), (HoldState::Expired, v1::HoldCloseReason::Expired));
    assert_eq!([&held.released, &held.rest].map(value), ["40.00", "0.00"]);
    assert_eq!(held.update_time, Some(end));
    assert_eq!(figures(&service.balance("acme-1").await), ["100.00", "0.00", "100.00"]);
    let expired = service.capture(capture("acme-1", "h")).await.refused(ErrorReason::HoldExpired);
    assert!(!expired.detail("expired_at").is_empty());
    let listed = list(service, v1::ListHoldsRequest { account_id: "acme-1".to_owned(), ..Default::default() }).await;
    assert_eq!(listed.unwrap().holds, [service.read_hold("acme-1", "h").await.unwrap()]);
}

async fn an_expired_hold_frees_its_money_for_the_next_command(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "100")).await.unwrap();
    service.post(covered_charge("acme-1", "1")).await.refused(ErrorReason::InsufficientFunds);
    service.clock.advance(hours(2));
    let answer = service.post(covered_charge("acme-1", "100")).await.unwrap();
    assert_eq!(after(&answer.entry.unwrap()), ["0.00", "0.00", "0.00"]);
    // The end of the hold is a row of its own, before the charge: 1 created, 2 payment, 3 hold, 4 its end, 5 charge.
    assert_eq!(service.balance("acme-1").await.sequence, 5);
    service.entry("acme-1", 4).await.refused(ErrorReason::EntryNotFound);
}

async fn an_expired_hold_is_written_down_by_the_job(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "100")).await.unwrap();
    service.clock.advance(hours(2));
    let mut sequence = 3;
    for _ in 0..200 {
        sequence = service.balance("acme-1").await.sequence;
        if sequence == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sequence, 4);
}

async fn a_hold_ends_in_the_future_and_not_too_late(service: &Service) {
    service.open_with("acme-1", "100").await;
    let after = |ttl: prost_types::Duration| v1::PlaceHoldRequest {
        expiry: Some(place_hold_request::Expiry::Ttl(ttl)),
        ..hold("acme-1", "", "1")
    };
    let past = until(hold("acme-1", "", "1"), service.clock.before(MICROSECOND));
    let now = until(hold("acme-1", "", "1"), service.clock.timestamp());
    let far = until(hold("acme-1", "", "1"), service.clock.after(days(367)));
    let zero = after(prost_types::Duration::default());
    let negative = after(prost_types::Duration { seconds: -1, nanos: 0 });
    let long = after(prost_types::Duration { seconds: 367 * 86_400, nanos: 0 });
    for request in [past, now, far, zero, negative, long] {
        let refusal = service.hold(request.clone()).await.refused(ErrorReason::HoldExpiryOutOfRange);
        let field = refusal.field();
        assert!(field == "expires_at" || field == "ttl", "{field}");
        assert!(!refusal.detail("min").is_empty() && !refusal.detail("max").is_empty());
    }
    service.hold(until(hold("acme-1", "", "1"), service.clock.after(days(365)))).await.unwrap();
    let refusal = service.hold(v1::PlaceHoldRequest { expiry: None, ..hold("acme-1", "", "1") }).await;
    refusal.refused(ErrorReason::FieldRequired);
}

async fn a_raise_asks_for_the_difference(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "60")).await.unwrap();
    let to = |value: &str| v1::UpdateHoldRequest { amount: money(value), ..hold_update("acme-1", "h") };
    let refusal = service.update_hold(to("100.01")).await.refused(ErrorReason::InsufficientFunds);
    let told = ["available", "required", "missing"].map(|name| refusal.detail(name));
    assert_eq!(told, ["40.00", "40.01", "0.01"]);
    let raised = service.update_hold(to("100")).await.unwrap();
    assert_eq!(value(&raised.hold.unwrap().rest), "100.00");
    assert_eq!(figures(&service.balance("acme-1").await), ["100.00", "100.00", "0.00"]);
}

async fn lowering_and_prolonging_ask_for_nothing(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "60")).await.unwrap();
    service.post(charge("acme-1", "500")).await.unwrap();
    let lower = v1::UpdateHoldRequest { amount: money("50"), ..hold_update("acme-1", "h") };
    service.update_hold(lower).await.unwrap();
    let end = service.clock.after(days(3));
    let longer = v1::UpdateHoldRequest {
        expiry: Some(update_hold_request::Expiry::ExpiresAt(end)),
        ..hold_update("acme-1", "h")
    };
    let held = service.update_hold(longer).await.unwrap().hold.unwrap();
    assert_eq!((value(&held.amount), held.expires_at), ("50.00", Some(end)));
    service.clock.advance(days(3) - MICROSECOND);
    assert_eq!(figures(&service.balance("acme-1").await), ["-400.00", "50.00", "-450.00"]);
    // Shortened, it ends earlier.
    let shorter = v1::UpdateHoldRequest {
        expiry: Some(update_hold_request::Expiry::Ttl(prost_types::Duration { seconds: 0, nanos: 1_000 })),
        ..hold_update("acme-1", "h")
    };
    service.update_hold(shorter).await.unwrap();
    service.clock.advance(Duration::from_millis(1));
    assert_eq!(figures(&service.balance("acme-1").await), ["-400.00", "0.00", "-400.00"]);
}

async fn an_update_stays_above_what_was_captured(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "60")).await.unwrap();
    service.capture(capture_part("acme-1", "h", "20", true)).await.unwrap();
    let to = |value: &str| v1::UpdateHoldRequest { amount: money(value), ..hold_update("acme-1", "h") };
    let refusal = service.update_hold(to("20")).await.refused(ErrorReason::CaptureExceedsHold);
    assert_eq!((refusal.detail("captured"), refusal.detail("rest")), ("20.00", "40.00"));
    let held = service.update_hold(to("20.01")).await.unwrap().hold.unwrap();
    assert_eq!([&held.amount, &held.captured, &held.rest].map(value), ["20.01", "20.00", "0.01"]);
}

async fn an_update_says_what_to_change(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "60")).await.unwrap();
    service.update_hold(hold_update("acme-1", "h")).await.refused(ErrorReason::FieldRequired);
    let past = v1::UpdateHoldRequest {
        expiry: Some(update_hold_request::Expiry::ExpiresAt(service.clock.timestamp())),
        ..hold_update("acme-1", "h")
    };
    service.update_hold(past).await.refused(ErrorReason::HoldExpiryOutOfRange);
    let foreign = v1::UpdateHoldRequest { amount: money_in("61", "EUR"), ..hold_update("acme-1", "h") };
    service.update_hold(foreign).await.refused(ErrorReason::CurrencyMismatch);
}

async fn a_hold_id_is_taken_once(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.open_with("acme-2", "100").await;
    service.hold(hold("acme-1", "h", "10")).await.unwrap();
    let described = v1::PlaceHoldRequest { description: "another".to_owned(), ..hold("acme-1", "h", "10") };
    let later = until(hold("acme-1", "h", "10"), service.clock.after(days(3)));
    let categorised = v1::PlaceHoldRequest { category: "calls".to_owned(), ..hold("acme-1", "h", "10") };
    let others = [
        (hold("acme-1", "h", "11"), "amount"),
        (later, "expiry"),
        (categorised, "category"),
        (described, "description"),
    ];
    for (other, field) in &others {
        let refusal = service.hold(other.clone()).await.refused(ErrorReason::ResourceAlreadyExists);
        let told = ["id", "field"].map(|name| refusal.detail(name));
        assert_eq!(told, ["h", *field]);
        assert_eq!(refusal.details.resource_info().unwrap().resource_type, "billing.v1.Hold");
    }
    let foreign = v1::PlaceHoldRequest { amount: money_in("10", "EUR"), ..hold("acme-1", "h", "10") };
    service.hold(foreign).await.refused(ErrorReason::CurrencyMismatch);
    service.hold(hold("acme-2", "h", "11")).await.expect("ids are unique in their account only");
    service.release(release("acme-1", "h")).await.unwrap();
    service.hold(others[0].0.clone()).await.refused(ErrorReason::ResourceAlreadyExists);
}

async fn the_same_hold_is_found_under_any_key(service: &Service) {
    service.open_with("acme-1", "100").await;
    let request = v1::PlaceHoldRequest { description: "a call".to_owned(), ..hold("acme-1", "h", "10") };
    let placed = service.hold(request.clone()).await.unwrap();
    let before = service.balance("acme-1").await;
    let anew = || v1::PlaceHoldRequest { idempotency_key: key(), ..request.clone() };
    let expected = v1::PlaceHoldResponse { replayed: true, ..placed.clone() };
    let other_key = anew();
    assert_eq!(service.hold(other_key.clone()).await.unwrap(), expected);
    let tried = service.hold(v1::PlaceHoldRequest { validate_only: true, ..anew() }).await.unwrap();
    assert_eq!(tried, v1::PlaceHoldResponse { position: None, ..expected.clone() });
    assert_eq!(service.balance("acme-1").await, before, "what is found writes no row");
    // The key is not used up.
    let payment = v1::PostRequest { idempotency_key: other_key.idempotency_key, ..payment("acme-1", "1") };
    service.post(payment).await.unwrap();
    // Whatever becomes of the hold, and whether or not its end is written yet, it is found as it was placed.
    service.clock.advance(hours(2));
    let sequence = service.balance("acme-1").await.sequence;
    assert_eq!(service.hold(anew()).await.unwrap(), expected);
    assert!(service.balance("acme-1").await.sequence <= sequence + 1, "no row but the one that the job writes");
    service.release(release("acme-1", "h")).await.refused(ErrorReason::HoldExpired);
    assert_eq!(service.hold(anew()).await.unwrap(), expected);
    assert_eq!(service.hold(request).await.unwrap(), expected);
}

async fn a_hold_is_found_until_its_account_is_anonymised(service: &Service) {
    service.open_with("acme-1", "10").await;
    let placed = service.hold(hold("acme-1", "h", "10")).await.unwrap();
    service.capture(capture("acme-1", "h")).await.unwrap();
    service.close("acme-1").await.unwrap();
    let again = service.hold(hold("acme-1", "h", "10")).await.unwrap();
    assert_eq!(again, v1::PlaceHoldResponse { replayed: true, ..placed });
    service.hold(hold("acme-1", "g", "10")).await.refused(ErrorReason::AccountClosed);
    service.accounts().anonymize_account(anonymize("acme-1")).await.unwrap();
    service.hold(hold("acme-1", "h", "10")).await.refused(ErrorReason::AccountAnonymized);
}

async fn a_hold_of_the_same_batch_is_found(service: &Service) {
    service.open_with("acme-1", "100").await;
    let operations = || {
        vec![
            hold("acme-1", "h", "10").into_operation(),
            hold("acme-1", "h", "10").into_operation(),
            hold("acme-1", "h", "11").into_operation(),
            capture("acme-1", "h").into_operation(),
            hold("acme-1", "h", "10").into_operation(),
        ]
    };
    let results = service.batch(independent(operations())).await.unwrap().results;
    let placed = |result: &v1::OperationResult| match result.result.clone() {
        Some(v1::operation_result::Result::PlaceHold(placed)) => placed,
        other => panic!("no hold: {other:?}"),
    };
    let first = placed(&results[0]);
    assert!(!first.replayed);
    let expected = v1::PlaceHoldResponse { replayed: true, ..first };
    assert_eq!([placed(&results[1]), placed(&results[4])], [expected.clone(), expected.clone()]);
    assert_eq!(results[2].refused_item(ErrorReason::ResourceAlreadyExists).detail("field"), "amount");
    // 1 created, 2 payment, 3 hold, 4 capture.
    assert_eq!(service.balance("acme-1").await.sequence, 4);
    let same = vec![hold("acme-1", "h", "10").into_operation(), hold("acme-1", "g", "5").into_operation()];
    let results = service.batch(atomic(same)).await.unwrap().results;
    assert_eq!((placed(&results[0]), placed(&results[1]).replayed), (expected, false));
    assert_eq!(service.balance("acme-1").await.sequence, 5);
}

async fn without_an_id_the_key_makes_the_hold(service: &Service) {
    service.open_with("acme-1", "100").await;
    let request = hold("acme-1", "", "10");
    let first = service.hold(request.clone()).await.unwrap();
    let id = first.hold.as_ref().unwrap().hold_id.clone();
    assert!((1..=64).contains(&id.len()), "{id}");
    let again = service.hold(request).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.hold, first.hold);
    let other = service.hold(hold("acme-1", "", "10")).await.unwrap();
    assert_ne!(other.hold.unwrap().hold_id, id);
}

async fn repetitions_return_what_was_written(service: &Service) {
    service.open_with("acme-1", "100").await;
    let place = hold("acme-1", "h", "60");
    let placed = service.hold(place.clone()).await.unwrap();
    let raise = v1::UpdateHoldRequest { amount: money("70"), ..hold_update("acme-1", "h") };
    let raised = service.update_hold(raise.clone()).await.unwrap();
    let part = capture_part("acme-1", "h", "20", true);
    let captured = service.capture(part.clone()).await.unwrap();
    let letting_go = release("acme-1", "h");
    let released = service.release(letting_go.clone()).await.unwrap();
    service.clock.advance(days(2));

    let again = service.hold(place.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.hold, again.position), (placed.hold, placed.position));
    let again = service.update_hold(raise.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.hold, again.position), (raised.hold, raised.position));
    let again = service.capture(part.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.entry, again.hold, again.position), (captured.entry, captured.hold, captured.position));
    let again = service.release(letting_go).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.hold, again.position), (released.hold, released.position));

    let other = v1::PlaceHoldRequest { amount: money("61"), ..place };
    assert_eq!(service.hold(other).await.refused(ErrorReason::IdempotencyKeyReused).detail("field"), "amount");
    let other = v1::CaptureHoldRequest { keep_rest: false, ..part };
    assert_eq!(service.capture(other).await.refused(ErrorReason::IdempotencyKeyReused).detail("field"), "keep_rest");
    let other = v1::UpdateHoldRequest { hold_id: "g".to_owned(), ..raise };
    assert_eq!(service.update_hold(other).await.refused(ErrorReason::IdempotencyKeyReused).detail("field"), "hold_id");
}

async fn a_refused_hold_is_remembered(service: &Service) {
    service.open_with("acme-1", "10").await;
    let request = hold("acme-1", "h", "20");
    service.hold(request.clone()).await.refused(ErrorReason::InsufficientFunds);
    let missing = capture("acme-1", "h");
    service.capture(missing.clone()).await.refused(ErrorReason::HoldNotFound);
    service.post(payment("acme-1", "100")).await.unwrap();
    service.hold(request.clone()).await.refused(ErrorReason::InsufficientFunds);
    service.hold(v1::PlaceHoldRequest { idempotency_key: key(), ..request }).await.unwrap();
    service.capture(missing.clone()).await.refused(ErrorReason::HoldNotFound);
    service.capture(v1::CaptureHoldRequest { idempotency_key: key(), ..missing }).await.unwrap();
}

async fn what_does_not_exist_is_not_found(service: &Service) {
    service.open("acme-1").await;
    let raise = v1::UpdateHoldRequest { amount: money("1"), ..hold_update("acme-1", "h") };
    for refusal in [
        service.read_hold("acme-1", "h").await.refused(ErrorReason::HoldNotFound),
        service.capture(capture("acme-1", "h")).await.refused(ErrorReason::HoldNotFound),
        service.release(release("acme-1", "h")).await.refused(ErrorReason::HoldNotFound),
        service.update_hold(raise).await.refused(ErrorReason::HoldNotFound),
    ] {
        assert_eq!((refusal.detail("account_id"), refusal.detail("hold_id")), ("acme-1", "h"));
        assert_eq!(refusal.details.resource_info().unwrap().resource_type, "billing.v1.Hold");
    }
    service.read_hold("nobody", "h").await.refused(ErrorReason::AccountNotFound);
    service.hold(hold("nobody", "h", "1")).await.refused(ErrorReason::AccountNotFound);
    service.release(release("nobody", "h")).await.refused(ErrorReason::AccountNotFound);
    let request = v1::ListHoldsRequest { account_id: "nobody".to_owned(), ..Default::default() };
    list(service, request).await.refused(ErrorReason::AccountNotFound);
}

async fn a_trial_changes_nothing(service: &Service) {
    service.open_with("acme-1", "100").await;
    let tried = service.hold(v1::PlaceHoldRequest { validate_only: true, ..hold("acme-1", "h", "60") }).await.unwrap();
    assert_eq!((tried.position, value(&tried.hold.unwrap().rest)), (None, "60.00"));
    service.read_hold("acme-1", "h").await.refused(ErrorReason::HoldNotFound);
    service.hold(hold("acme-1", "h", "60")).await.unwrap();
    let before = (service.read_hold("acme-1", "h").await.unwrap(), service.balance("acme-1").await);
    let tried =
        service.capture(v1::CaptureHoldRequest { validate_only: true, ..capture("acme-1", "h") }).await.unwrap();
    assert_eq!((tried.position, tried.entry.unwrap().sequence), (None, 0));
    assert_eq!(tried.hold.unwrap().state(), HoldState::Captured);
    let tried =
        service.release(v1::ReleaseHoldRequest { validate_only: true, ..release("acme-1", "h") }).await.unwrap();
    assert_eq!(tried.hold.unwrap().state(), HoldState::Released);
    let raise = v1::UpdateHoldRequest { amount: money("70"), validate_only: true, ..hold_update("acme-1", "h") };
    assert_eq!(value(&service.update_hold(raise).await.unwrap().hold.unwrap().amount), "70.00");
    let too_much = v1::UpdateHoldRequest { amount: money("101"), validate_only: true, ..hold_update("acme-1", "h") };
    service.update_hold(too_much).await.refused(ErrorReason::InsufficientFunds);
    assert_eq!((service.read_hold("acme-1", "h").await.unwrap(), service.balance("acme-1").await), before);
}

async fn holds_are_listed_newest_first(service: &Service) {
    service.open_with("acme-1", "100").await;
    for n in 0..7 {
        service.hold(hold("acme-1", &format!("h{n}"), "1")).await.unwrap();
    }
    service.release(release("acme-1", "h2")).await.unwrap();
    service.capture(capture("acme-1", "h5")).await.unwrap();
    let of = |states: &[HoldState], page_size, page_token: String| v1::ListHoldsRequest {
        account_id: "acme-1".to_owned(),
        states: states.iter().map(|&state| state.into()).collect(),
        page_size,
        page_token,
        min_position: None,
    };
    let ids = |page: &v1::ListHoldsResponse| page.holds.iter().map(|hold| hold.hold_id.clone()).collect::<Vec<_>>();
    let first = list(service, of(&[], 3, String::new())).await.unwrap();
    assert_eq!(ids(&first), ["h6", "h5", "h4"]);
    // What is placed meanwhile stands before the first page.
    service.hold(hold("acme-1", "h7", "1")).await.unwrap();
    let second = list(service, of(&[], 3, first.next_page_token.clone())).await.unwrap();
    assert_eq!(ids(&second), ["h3", "h2", "h1"]);
    let last = list(service, of(&[], 3, second.next_page_token)).await.unwrap();
    assert_eq!((ids(&last), last.next_page_token.as_str()), (vec!["h0".to_owned()], ""));
    let closed = list(service, of(&[HoldState::Captured, HoldState::Released], 0, String::new())).await.unwrap();
    assert_eq!(ids(&closed), ["h5", "h2"]);
    service.clock.advance(hours(2));
    let expired = list(service, of(&[HoldState::Expired], 0, String::new())).await.unwrap();
    assert_eq!(ids(&expired), ["h7", "h6", "h4", "h3", "h1", "h0"]);
    let open = list(service, of(&[HoldState::Open], 0, String::new())).await.unwrap();
    assert_eq!(ids(&open), [""; 0]);
    list(service, of(&[HoldState::Open], 3, first.next_page_token)).await.refused(ErrorReason::PageTokenInvalid);
}

async fn a_closed_period_stops_a_capture(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(until(hold("acme-1", "h", "10"), service.clock.after(days(30)))).await.unwrap();
    service.clock.advance(days(3));
    service.close_books("2026-03-11").await.unwrap();
    let late = v1::CaptureHoldRequest { occurred_at: Some(service.clock.before(days(2))), ..capture("acme-1", "h") };
    let refusal = service.capture(late).await.refused(ErrorReason::PeriodClosed);
    assert_eq!((refusal.detail("closed_until"), refusal.detail("booking_date")), ("2026-03-11", "2026-03-11"));
    service.capture(capture("acme-1", "h")).await.unwrap();
}
