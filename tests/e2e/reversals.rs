//! Reversals: an entry is taken back by another one, in full or in part, and never twice.

use billing_proto::v1;
use billing_proto::v1::{EntryKind, ErrorReason, ReversalCause};

use crate::harness::clock::days;
use crate::harness::ledger::{after, figures, value};
use crate::harness::requests::{
    account, bonus, capture, charge, hold, money, money_in, payment, payout, post, reversal, tax, transfer, write_off,
};
use crate::harness::{Refused as _, Service, on_both};

on_both![
    a_reversal_takes_an_entry_back,
    parts_follow_each_other_up_to_the_original,
    the_tax_goes_back_in_parts_that_add_up,
    every_kind_that_may_be_reversed_is,
    a_transfer_is_reversed_by_either_leg,
    a_reversal_is_never_reversed,
    a_reversal_asks_for_no_funds,
    what_does_not_exist_is_not_found,
    a_reversal_says_why,
    a_repeated_reversal_is_a_replay,
    a_trial_reverses_nothing,
    a_reversal_is_booked_today,
    a_reversed_bonus_is_no_bonus,
    concurrent_reversals_never_take_back_more_than_there_was,
];

async fn a_reversal_takes_an_entry_back(service: &Service) {
    service.open_with("acme-1", "100").await;
    let text = v1::PostRequest { category: "internet".to_owned(), ..charge("acme-1", "30") };
    let original = service.post(text).await.unwrap().entry.unwrap();
    let request = v1::ReverseEntryRequest {
        cause: ReversalCause::Duplicate.into(),
        reason: "charged twice".to_owned(),
        ..reversal("acme-1", original.sequence)
    };
    let reversed = service.reverse(request.clone()).await.unwrap();
    assert_eq!((reversed.counterpart, reversed.counterpart_position), (None, None));
    let entry = reversed.entry.unwrap();
    assert_eq!((entry.kind(), value(&entry.amount)), (EntryKind::Reversal, "30.00"));
    assert_eq!((entry.reverses_sequence, entry.reversal_cause()), (original.sequence, ReversalCause::Duplicate));
    assert_eq!((entry.counter_account.as_str(), entry.category.as_str()), ("revenue:internet", "internet"));
    assert_eq!((entry.description.as_str(), after(&entry)), ("charged twice", ["100.00", "0.00", "100.00"]));
    assert_eq!(entry.position, reversed.position);
    assert_eq!(service.entry("acme-1", entry.sequence).await.unwrap(), entry);
    assert_eq!(service.entry("acme-1", original.sequence).await.unwrap(), original, "the original never changes");
    let refusal = service.reverse(reversal("acme-1", original.sequence)).await.refused(ErrorReason::AlreadyReversed);
    assert_eq!(refusal.detail("sequence"), original.sequence.to_string());
}

async fn parts_follow_each_other_up_to_the_original(service: &Service) {
    service.open_with("acme-1", "100").await;
    let part = |value: &str| v1::ReverseEntryRequest { amount: money(value), ..reversal("acme-1", 2) };
    service.reverse(part("30")).await.unwrap();
    let refusal = service.reverse(part("70.000001")).await.refused(ErrorReason::ReversalExceedsRest);
    let told = ["sequence", "rest", "currency_code"].map(|name| refusal.detail(name));
    assert_eq!(told, ["2", "70.00", "RUB"]);
    service.reverse(part("20")).await.unwrap();
    let rest = service.reverse(reversal("acme-1", 2)).await.unwrap();
    assert_eq!(value(&rest.entry.unwrap().amount), "-50.00");
    service.reverse(part("0.01")).await.refused(ErrorReason::AlreadyReversed);
    assert_eq!(figures(&service.balance("acme-1").await), ["0.00", "0.00", "0.00"]);
    service.reverse(part("0")).await.refused(ErrorReason::AmountNotPositive);
    let foreign = v1::ReverseEntryRequest { amount: money_in("1", "EUR"), ..reversal("acme-1", 2) };
    service.reverse(foreign).await.refused(ErrorReason::CurrencyMismatch);
}

async fn the_tax_goes_back_in_parts_that_add_up(service: &Service) {
    service.open("acme-1").await;
    let taxed = v1::PostRequest { tax: tax("vat20", "20", "16.67"), ..charge("acme-1", "100") };
    service.post(taxed).await.unwrap();
    let mut taxes = Vec::new();
    for value_of_part in ["33.33", "33.33", ""] {
        let amount = if value_of_part.is_empty() { None } else { money(value_of_part) };
        let reversed = service.reverse(v1::ReverseEntryRequest { amount, ..reversal("acme-1", 2) }).await.unwrap();
        let told = reversed.entry.unwrap().tax.unwrap();
        assert_eq!((told.code.as_str(), told.rate_percent.as_str()), ("vat20", "20"));
        taxes.push(value(&told.amount).parse::<rust_decimal::Decimal>().unwrap());
    }
    assert_eq!(taxes.iter().sum::<rust_decimal::Decimal>().to_string(), "16.67");
}

async fn every_kind_that_may_be_reversed_is(service: &Service) {
    service.open_with("acme-1", "1000").await;
    for kind in [
        EntryKind::Payment,
        EntryKind::ChargeRefund,
        EntryKind::Bonus,
        EntryKind::AdjustmentCredit,
        EntryKind::Charge,
        EntryKind::Payout,
        EntryKind::AdjustmentDebit,
    ] {
        let entry = service.post(post(kind, "acme-1", "10")).await.unwrap().entry.unwrap();
        let reversed = service.reverse(reversal("acme-1", entry.sequence)).await.unwrap();
        assert_eq!(after(&reversed.entry.unwrap())[0], "1000.00", "{kind:?}");
    }
    service.post(charge("acme-1", "1010")).await.unwrap();
    let entry = service.post(write_off("acme-1", "10")).await.unwrap().entry.unwrap();
    let reversed = service.reverse(reversal("acme-1", entry.sequence)).await.unwrap();
    assert_eq!(after(&reversed.entry.unwrap())[0], "-10.00");
    service.post(payment("acme-1", "100")).await.unwrap();
    service.hold(hold("acme-1", "h", "5")).await.unwrap();
    let captured = service.capture(capture("acme-1", "h")).await.unwrap().entry.unwrap();
    service.reverse(reversal("acme-1", captured.sequence)).await.unwrap();
}

async fn a_transfer_is_reversed_by_either_leg(service: &Service) {
    // Ids of both partitions, so that both legs may lie in one or in two.
    for (n, (from, to)) in
        [("acme-0", "acme-1"), ("acme-2", "acme-3"), ("acme-4", "acme-5"), ("acme-6", "acme-7")].into_iter().enumerate()
    {
        service.open_with(from, "100").await;
        service.open(to).await;
        let moved = service.transfer(transfer(from, to, "60")).await.unwrap();
        let (out, incoming) = (moved.outgoing.unwrap(), moved.incoming.unwrap());
        let (first, second) = if n % 2 == 0 { (&out, &incoming) } else { (&incoming, &out) };
        let part = v1::ReverseEntryRequest { amount: money("10"), ..reversal(&first.account_id, first.sequence) };
        let reversed = service.reverse(part).await.unwrap();
        let (entry, counterpart) = (reversed.entry.unwrap(), reversed.counterpart.unwrap());
        assert_eq!((&entry.account_id, entry.reverses_sequence), (&first.account_id, first.sequence));
        assert_eq!((&counterpart.account_id, counterpart.reverses_sequence), (&second.account_id, second.sequence));
        assert_eq!(counterpart.position, reversed.counterpart_position);
        assert_eq!(entry.transaction_id, counterpart.transaction_id);
        assert_eq!(figures(&service.balance(from).await)[0], "50.00");
        assert_eq!(figures(&service.balance(to).await)[0], "50.00");
        // The rest by the other leg; then nothing is left of either.
        service.reverse(reversal(&second.account_id, second.sequence)).await.unwrap();
        assert_eq!(figures(&service.balance(from).await)[0], "100.00");
        assert_eq!(figures(&service.balance(to).await)[0], "0.00");
        for leg in [first, second] {
            service.reverse(reversal(&leg.account_id, leg.sequence)).await.refused(ErrorReason::AlreadyReversed);
        }
    }
}

async fn a_reversal_is_never_reversed(service: &Service) {
    service.open_with("acme-1", "100").await;
    let entry = service.reverse(reversal("acme-1", 2)).await.unwrap().entry.unwrap();
    let refusal = service.reverse(reversal("acme-1", entry.sequence)).await.refused(ErrorReason::EntryNotReversible);
    assert_eq!((refusal.detail("sequence"), refusal.detail("kind")), ("3", "REVERSAL"));
}

async fn a_reversal_asks_for_no_funds(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.post(charge("acme-1", "100")).await.unwrap();
    let reversed = service.reverse(reversal("acme-1", 2)).await.unwrap();
    assert_eq!(after(&reversed.entry.unwrap()), ["-100.00", "0.00", "-100.00"]);
    service.open_with("acme-2", "1").await;
    service.post(charge("acme-2", "1")).await.unwrap();
    service.close("acme-2").await.unwrap();
    service.reverse(reversal("acme-2", 2)).await.refused(ErrorReason::AccountClosed);
}

async fn what_does_not_exist_is_not_found(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.hold(hold("acme-1", "h", "1")).await.unwrap();
    for sequence in [1, 3, 4, 99] {
        let refusal = service.reverse(reversal("acme-1", sequence)).await.refused(ErrorReason::EntryNotFound);
        assert_eq!((refusal.detail("account_id"), refusal.detail("sequence")), ("acme-1", &*sequence.to_string()));
        assert_eq!(refusal.details.resource_info().unwrap().resource_type, "billing.v1.Entry");
    }
    let request = reversal("acme-1", 5);
    service.reverse(request.clone()).await.refused(ErrorReason::EntryNotFound);
    service.post(payment("acme-1", "1")).await.unwrap();
    service.post(payment("acme-1", "1")).await.unwrap();
    service.reverse(request).await.refused(ErrorReason::EntryNotFound);
    service.reverse(reversal("nobody", 1)).await.refused(ErrorReason::AccountNotFound);
}

async fn a_reversal_says_why(service: &Service) {
    service.open_with("acme-1", "100").await;
    let refusal = service.reverse(v1::ReverseEntryRequest::default()).await.refused(ErrorReason::FieldRequired);
    let fields: Vec<_> = refusal.fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["account_id", "sequence", "idempotency_key", "cause"]);
    let other = v1::ReverseEntryRequest { cause: ReversalCause::Other.into(), ..reversal("acme-1", 2) };
    assert_eq!(service.reverse(other).await.refused(ErrorReason::FieldRequired).field(), "reason");
    let unknown = v1::ReverseEntryRequest { cause: 77, ..reversal("acme-1", 2) };
    service.reverse(unknown).await.refused(ErrorReason::EnumValueUnknown);
    let negative = reversal("acme-1", -1);
    service.reverse(negative).await.refused(ErrorReason::FieldOutOfRange);
    let long = v1::ReverseEntryRequest { reason: "x".repeat(1001), ..reversal("acme-1", 2) };
    assert_eq!(service.reverse(long).await.refused(ErrorReason::FieldTooLong).detail("max"), "1000");
}

async fn a_repeated_reversal_is_a_replay(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.open("acme-2").await;
    let out = service.transfer(transfer("acme-1", "acme-2", "40")).await.unwrap().outgoing.unwrap();
    let request = reversal("acme-1", out.sequence);
    let first = service.reverse(request.clone()).await.unwrap();
    service.post(charge("acme-1", "1")).await.unwrap();
    let again = service.reverse(request.clone()).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!((again.entry, again.counterpart), (first.entry, first.counterpart));
    assert_eq!((again.position, again.counterpart_position), (first.position, first.counterpart_position));
    for (other, field) in [
        (v1::ReverseEntryRequest { sequence: 2, ..request.clone() }, "sequence"),
        (v1::ReverseEntryRequest { amount: money("1"), ..request.clone() }, "amount"),
        (v1::ReverseEntryRequest { cause: ReversalCause::Chargeback.into(), ..request.clone() }, "cause"),
        (v1::ReverseEntryRequest { reason: "x".to_owned(), ..request }, "reason"),
    ] {
        let refusal = service.reverse(other).await.refused(ErrorReason::IdempotencyKeyReused);
        assert_eq!(refusal.detail("field"), field);
    }
}

async fn a_trial_reverses_nothing(service: &Service) {
    service.open_with("acme-1", "100").await;
    let tried = v1::ReverseEntryRequest { validate_only: true, ..reversal("acme-1", 2) };
    let told = service.reverse(tried.clone()).await.unwrap();
    assert_eq!((told.position, after(&told.entry.unwrap())[0]), (None, "0.00"));
    assert_eq!(figures(&service.balance("acme-1").await)[0], "100.00");
    assert!(!service.reverse(v1::ReverseEntryRequest { validate_only: false, ..tried }).await.unwrap().replayed);
}

async fn a_reversal_is_booked_today(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.clock.advance(days(10));
    service.close_books("2026-03-15").await.unwrap();
    let reversed = service.reverse(reversal("acme-1", 2)).await.unwrap();
    assert_eq!(reversed.entry.unwrap().booking_date, "2026-03-20", "a mistake of a closed period is corrected now");
    let zone = v1::CreateAccountRequest { time_zone: "Asia/Tokyo".to_owned(), ..account("acme-2") };
    service.create(zone).await.unwrap();
    service.post(payout("acme-2", "1")).await.refused(ErrorReason::InsufficientOwnFunds);
}

async fn a_reversed_bonus_is_no_bonus(service: &Service) {
    service.open_with("acme-1", "100").await;
    let given = service.post(bonus("acme-1", "50")).await.unwrap().entry.unwrap();
    service.post(bonus("acme-1", "5")).await.unwrap();
    service.reverse(reversal("acme-1", given.sequence)).await.unwrap();
    let balance = service.balance("acme-1").await;
    assert_eq!((value(&balance.posted), value(&balance.bonus)), ("105.00", "5.00"));
}

async fn concurrent_reversals_never_take_back_more_than_there_was(service: &Service) {
    service.open_with("acme-1", "100").await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let mut ledger = service.ledger();
        let request = v1::ReverseEntryRequest { amount: money("7"), ..reversal("acme-1", 2) };
        calls.spawn(async move { ledger.reverse_entry(request).await.is_ok() });
    }
    let mut accepted = 0;
    while let Some(call) = calls.join_next().await {
        accepted += i32::from(call.unwrap());
    }
    assert_eq!(accepted, 14);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "2.00");
}
