//! Posting one entry: what it does, what it refuses, and that one key has one outcome.

use std::collections::HashMap;

use billing_proto::v1;
use billing_proto::v1::{EntryKind, ErrorReason};

use crate::harness::clock::{MICROSECOND, at, days, hours};
use crate::harness::ledger::{after, all_entries, entry, figures, value};
use crate::harness::requests::{
    account, bonus, charge, covered_charge, hold, key, limit, money, money_in, payment, payout, post, tax, write_off,
};
use crate::harness::{Refused as _, Service, on_both};

on_both![
    an_entry_says_everything_that_was_posted,
    each_kind_has_its_sign_and_its_counter_account,
    a_charge_below_zero_still_posts,
    exactly_what_is_available_passes_and_a_millionth_more_does_not,
    credit_counts_for_charges_and_not_for_payouts,
    bonuses_are_spent_first_and_never_cashed,
    a_write_off_gives_up_no_more_than_the_debt,
    a_repetition_returns_the_first_answer_whatever_has_happened_since,
    a_refusal_is_remembered_for_its_key,
    the_same_key_with_other_content_is_refused,
    keys_belong_to_their_account,
    what_is_malformed_or_not_found_uses_up_no_key,
    a_failed_guard_uses_up_no_key,
    validate_only_answers_and_writes_nothing,
    a_guard_compares_with_the_last_entry,
    all_faults_of_a_post_are_told_at_once,
    amounts_are_plain_decimals,
    amounts_are_answered_in_canonical_form,
    the_currency_is_that_of_the_account,
    kinds_of_other_operations_cannot_be_posted,
    a_tax_is_contained_in_its_amount,
    an_entry_may_have_happened_before_or_a_little_ahead,
    the_booking_date_is_the_local_day_of_the_account,
    sequences_are_dense_and_time_never_goes_back,
    a_balance_never_leaves_the_range_of_money,
    checks_run_in_the_documented_order,
    texts_of_people_come_back_as_they_were_sent,
];

async fn an_entry_says_everything_that_was_posted(service: &Service) {
    service.open("acme-1").await;
    let request = v1::PostRequest {
        occurred_at: Some(service.clock.before(hours(3))),
        counter_account: "cash:bank".to_owned(),
        category: "top-up".to_owned(),
        description: "Оплата по счёту 77".to_owned(),
        reference: "PP 77".to_owned(),
        invoice_id: "inv-77".to_owned(),
        tax: tax("vat20", "20.00", "250.08"),
        metadata: HashMap::from([("bank".to_owned(), "044525225".to_owned())]),
        ..payment("acme-1", "1500.5")
    };
    let answer = service.post(request.clone()).await.unwrap();
    assert!(!answer.replayed);
    let entry = entry(&answer).clone();
    let expected = v1::Entry {
        account_id: "acme-1".to_owned(),
        sequence: 2,
        kind: EntryKind::Payment.into(),
        amount: money_in("1500.50", "RUB"),
        balance_after: Some(v1::BalanceAfter {
            posted: money_in("1500.50", "RUB"),
            held: money_in("0.00", "RUB"),
            available: money_in("1500.50", "RUB"),
            bonus: money_in("0.00", "RUB"),
        }),
        counter_account: "cash:bank".to_owned(),
        category: "top-up".to_owned(),
        description: "Оплата по счёту 77".to_owned(),
        reference: "PP 77".to_owned(),
        idempotency_key: request.idempotency_key.clone(),
        occurred_at: request.occurred_at,
        booking_date: "2026-03-10".to_owned(),
        recorded_at: entry.recorded_at,
        tax: Some(v1::Tax {
            code: "vat20".to_owned(),
            rate_percent: "20".to_owned(),
            amount: money_in("250.08", "RUB"),
        }),
        transaction_id: entry.transaction_id.clone(),
        created_by: "local".to_owned(),
        invoice_id: "inv-77".to_owned(),
        metadata: request.metadata.clone(),
        position: answer.position,
        hash: entry.hash.clone(),
        ..v1::Entry::default()
    };
    assert_eq!(entry, expected);
    assert_eq!(entry.hash.len(), 32);
    assert!(!entry.transaction_id.is_empty());
    assert!(entry.recorded_at.unwrap().seconds >= service.clock.timestamp().seconds);
    assert_eq!(service.entry("acme-1", 2).await.unwrap(), entry);
    assert_eq!(all_entries(&mut service.ledger(), "acme-1").await, [entry]);
}

async fn each_kind_has_its_sign_and_its_counter_account(service: &Service) {
    service.open("acme-1").await;
    for (kind, category, amount, counter) in [
        (EntryKind::Payment, "", "100.00", "cash:unspecified"),
        (EntryKind::ChargeRefund, "", "100.00", "revenue:other"),
        (EntryKind::ChargeRefund, "internet", "100.00", "revenue:internet"),
        (EntryKind::Bonus, "", "100.00", "expense:bonus"),
        (EntryKind::AdjustmentCredit, "", "100.00", "adjustment"),
        (EntryKind::Charge, "", "-100.00", "revenue:other"),
        (EntryKind::Charge, "internet", "-100.00", "revenue:internet"),
        (EntryKind::AdjustmentDebit, "", "-100.00", "adjustment"),
        (EntryKind::Payout, "", "-100.00", "cash:unspecified"),
    ] {
        let request = v1::PostRequest { category: category.to_owned(), ..post(kind, "acme-1", "100") };
        let answer = service.post(request).await.unwrap();
        let entry = entry(&answer);
        assert_eq!((value(&entry.amount), entry.counter_account.as_str()), (amount, counter), "{kind:?}");
        assert_eq!(entry.kind(), kind);
    }
    service.post(charge("acme-1", "500")).await.unwrap();
    let answer = service.post(write_off("acme-1", "400")).await.unwrap();
    assert_eq!(entry(&answer).counter_account, "expense:bad_debt");
    assert_eq!(after(entry(&answer)), ["0.00", "0.00", "0.00"]);
}

async fn a_charge_below_zero_still_posts(service: &Service) {
    service.open_with("acme-1", "10").await;
    let answer = service.post(charge("acme-1", "15.5")).await.unwrap();
    assert_eq!(after(entry(&answer)), ["-5.50", "0.00", "-5.50"]);
    let balance = service.balance("acme-1").await;
    assert_eq!((value(&balance.direct_debt), value(&balance.free)), ("5.50", "0.00"));
}

async fn exactly_what_is_available_passes_and_a_millionth_more_does_not(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.update(limit("acme-1", "50")).await.unwrap();
    service.hold(hold("acme-1", "h", "30")).await.unwrap();
    let refusal = service.post(covered_charge("acme-1", "120.000001")).await.refused(ErrorReason::InsufficientFunds);
    let told = ["available", "required", "missing", "credit_limit", "currency_code"].map(|name| refusal.detail(name));
    assert_eq!(told, ["120.00", "120.000001", "0.000001", "50.00", "RUB"]);
    let answer = service.post(covered_charge("acme-1", "120")).await.unwrap();
    assert_eq!(after(entry(&answer)), ["-20.00", "30.00", "0.00"]);
    service.post(covered_charge("acme-1", "0.000001")).await.refused(ErrorReason::InsufficientFunds);
    let credit = v1::PostRequest { require_available: true, ..payment("acme-1", "1") };
    service.post(credit).await.expect("what raises the balance asks for nothing");
}

async fn credit_counts_for_charges_and_not_for_payouts(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.update(limit("acme-1", "1000")).await.unwrap();
    service.hold(hold("acme-1", "h", "40")).await.unwrap();
    let refusal = service.post(payout("acme-1", "60.01")).await.refused(ErrorReason::InsufficientOwnFunds);
    let told = ["available", "required", "missing", "currency_code"].map(|name| refusal.detail(name));
    assert_eq!(told, ["60.00", "60.01", "0.01", "RUB"]);
    service.post(payout("acme-1", "60")).await.unwrap();
    service.post(covered_charge("acme-1", "1000")).await.unwrap();
}

async fn bonuses_are_spent_first_and_never_cashed(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.post(bonus("acme-1", "50")).await.unwrap();
    assert_eq!(value(&service.balance("acme-1").await.bonus), "50.00");
    service.post(payout("acme-1", "100.01")).await.refused(ErrorReason::InsufficientOwnFunds);
    let answer = service.post(charge("acme-1", "70")).await.unwrap();
    assert_eq!(value(&entry(&answer).balance_after.as_ref().unwrap().bonus), "0.00");
    service.post(payout("acme-1", "80")).await.unwrap();
    assert_eq!(figures(&service.balance("acme-1").await), ["0.00", "0.00", "0.00"]);
}

async fn a_write_off_gives_up_no_more_than_the_debt(service: &Service) {
    service.open("acme-1").await;
    service.post(charge("acme-1", "30")).await.unwrap();
    let refusal = service.post(write_off("acme-1", "30.01")).await.refused(ErrorReason::WriteOffExceedsDebt);
    assert_eq!((refusal.detail("debt"), refusal.detail("currency_code")), ("30.00", "RUB"));
    service.post(write_off("acme-1", "30")).await.unwrap();
    service.post(write_off("acme-1", "0.01")).await.refused(ErrorReason::WriteOffExceedsDebt);
}

async fn a_repetition_returns_the_first_answer_whatever_has_happened_since(service: &Service) {
    service.open("acme-1").await;
    let request = v1::PostRequest {
        description: "first".to_owned(),
        metadata: HashMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
        ..payment("acme-1", "100")
    };
    let first = service.post(request.clone()).await.unwrap();
    service.post(charge("acme-1", "70")).await.unwrap();
    service.clock.advance(days(40));
    // The same content in another form.
    let again = v1::PostRequest {
        amount: money_in("0100.0", "RUB"),
        counter_account: "cash:unspecified".to_owned(),
        ..request
    };
    let again = service.post(again).await.unwrap();
    assert!(again.replayed);
    assert_eq!((&again.entry, &again.position), (&first.entry, &first.position));
    assert_eq!(figures(&service.balance("acme-1").await), ["30.00", "0.00", "30.00"]);
}

async fn a_refusal_is_remembered_for_its_key(service: &Service) {
    service.open_with("acme-1", "10").await;
    let request = covered_charge("acme-1", "25");
    let first = service.post(request.clone()).await.refused(ErrorReason::InsufficientFunds);
    service.post(payment("acme-1", "100")).await.unwrap();
    // The caller was told no: a delayed duplicate must not go through after all.
    let again = service.post(request.clone()).await.refused(ErrorReason::InsufficientFunds);
    assert_eq!((again.metadata, again.message), (first.metadata, first.message));
    let other = v1::PostRequest { amount: money("26"), ..request.clone() };
    assert_eq!(service.post(other).await.refused(ErrorReason::IdempotencyKeyReused).detail("field"), "amount");
    service.post(v1::PostRequest { idempotency_key: key(), ..request }).await.unwrap();
}

async fn the_same_key_with_other_content_is_refused(service: &Service) {
    service.open_with("acme-1", "10").await;
    let request = || v1::PostRequest {
        description: "water".to_owned(),
        reference: "w-1".to_owned(),
        category: "water".to_owned(),
        tax: tax("vat20", "20", "1"),
        metadata: HashMap::from([("a".to_owned(), "1".to_owned())]),
        idempotency_key: "w-1".to_owned(),
        ..charge("acme-1", "6")
    };
    service.post(request()).await.unwrap();
    let other = |change: fn(&mut v1::PostRequest)| {
        let mut request = request();
        change(&mut request);
        request
    };
    for (request, field) in [
        (other(|request| request.kind = EntryKind::AdjustmentDebit.into()), "kind"),
        (other(|request| request.amount = money("6.000001")), "amount"),
        (other(|request| request.counter_account = "revenue:else".to_owned()), "counter_account"),
        (other(|request| request.occurred_at = Some(at("2026-03-10T11:00:00Z"))), "occurred_at"),
        (other(|request| request.tax = tax("vat20", "20", "1.01")), "tax"),
        (other(|request| request.tax = None), "tax"),
        (other(|request| request.description = "Water".to_owned()), "description"),
        (other(|request| request.reference = String::new()), "reference"),
        (other(|request| request.metadata = HashMap::new()), "metadata"),
    ] {
        let refusal = service.post(request).await.refused(ErrorReason::IdempotencyKeyReused);
        assert_eq!((refusal.detail("idempotency_key"), refusal.detail("field")), ("w-1", field));
    }
    // The first in a fixed order is named, and the first answer stays.
    let both = other(|request| {
        request.amount = money("7");
        request.description = "else".to_owned();
    });
    assert_eq!(service.post(both).await.refused(ErrorReason::IdempotencyKeyReused).detail("field"), "amount");
    assert!(service.post(request()).await.unwrap().replayed);
    let other_operation = v1::PlaceHoldRequest { idempotency_key: "w-1".to_owned(), ..hold("acme-1", "h", "1") };
    service.hold(other_operation).await.refused(ErrorReason::IdempotencyKeyReused);
    assert_eq!(figures(&service.balance("acme-1").await), ["4.00", "0.00", "4.00"]);
}

async fn keys_belong_to_their_account(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    for id in ["acme-1", "acme-2"] {
        let request = v1::PostRequest { idempotency_key: "bank-1".to_owned(), ..payment(id, "5") };
        assert!(!service.post(request).await.unwrap().replayed);
    }
}

async fn what_is_malformed_or_not_found_uses_up_no_key(service: &Service) {
    let request = payment("acme-1", "5");
    service.post(request.clone()).await.refused(ErrorReason::AccountNotFound);
    service.open("acme-1").await;
    let malformed = v1::PostRequest { amount: money("5,00"), ..request.clone() };
    service.post(malformed).await.refused(ErrorReason::AmountMalformed);
    let foreign = v1::PostRequest { amount: money_in("5", "EUR"), ..request.clone() };
    service.post(foreign).await.refused(ErrorReason::CurrencyMismatch);
    let late = v1::PostRequest { occurred_at: Some(service.clock.after(hours(1))), ..request.clone() };
    service.post(late).await.refused(ErrorReason::OccurredAtOutOfRange);
    assert!(!service.post(request).await.unwrap().replayed);
}

async fn a_failed_guard_uses_up_no_key(service: &Service) {
    service.open_with("acme-1", "10").await;
    let request = v1::PostRequest { expected_sequence: Some(7), ..charge("acme-1", "1") };
    let refusal = service.post(request.clone()).await.refused(ErrorReason::SequenceMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("7", "2"));
    let request = v1::PostRequest { expected_sequence: Some(2), ..request };
    assert!(!service.post(request.clone()).await.unwrap().replayed);
    // Guards say when to write, not what: the repetition is one although the guard would fail now.
    assert!(service.post(request).await.unwrap().replayed);
}

async fn validate_only_answers_and_writes_nothing(service: &Service) {
    service.open_with("acme-1", "10").await;
    let before = service.balance("acme-1").await;
    let request = v1::PostRequest { validate_only: true, ..covered_charge("acme-1", "4") };
    let tried = service.post(request.clone()).await.unwrap();
    assert_eq!((tried.replayed, &tried.position), (false, &None));
    let entry = entry(&tried);
    assert_eq!((entry.sequence, &entry.recorded_at, &entry.position), (0, &None, &None));
    assert!(entry.hash.is_empty());
    assert_eq!(after(entry), ["6.00", "0.00", "6.00"]);
    let too_much = v1::PostRequest { validate_only: true, ..covered_charge("acme-1", "11") };
    service.post(too_much.clone()).await.refused(ErrorReason::InsufficientFunds);
    assert_eq!(service.balance("acme-1").await, before);
    // Neither the answer nor the refusal used up its key.
    let real = v1::PostRequest { validate_only: false, ..request.clone() };
    let posted = service.post(real).await.unwrap();
    assert!(!posted.replayed);
    service.post(payment("acme-1", "100")).await.unwrap();
    assert!(!service.post(v1::PostRequest { validate_only: false, ..too_much }).await.unwrap().replayed);
    let replayed = service.post(request).await.unwrap();
    assert!(replayed.replayed, "to try a key that is used up is a replay");
    assert_eq!(replayed.entry.unwrap().balance_after, posted.entry.unwrap().balance_after);
}

async fn a_guard_compares_with_the_last_entry(service: &Service) {
    service.open("acme-1").await;
    let guarded =
        |value: &str, sequence| v1::PostRequest { expected_sequence: Some(sequence), ..payment("acme-1", value) };
    service.post(guarded("1", 0)).await.unwrap();
    service.hold(hold("acme-1", "h", "1")).await.unwrap();
    let balance = service.balance("acme-1").await;
    assert_eq!((balance.sequence, balance.entry_sequence), (3, 2));
    let refusal = service.post(guarded("2", 3)).await.refused(ErrorReason::SequenceMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("3", "2"));
    service.post(guarded("2", 2)).await.unwrap();
    let refusal = service.post(guarded("3", -1)).await.refused(ErrorReason::FieldOutOfRange);
    assert_eq!(refusal.field(), "expected_sequence");
}

async fn all_faults_of_a_post_are_told_at_once(service: &Service) {
    let refusal = service.post(v1::PostRequest::default()).await.refused(ErrorReason::FieldRequired);
    let expected = [
        ("account_id", "FIELD_REQUIRED"),
        ("kind", "FIELD_REQUIRED"),
        ("amount", "FIELD_REQUIRED"),
        ("idempotency_key", "FIELD_REQUIRED"),
    ];
    assert_eq!(refusal.fields(), expected);
    let request = v1::PostRequest {
        account_id: "x".repeat(65),
        kind: EntryKind::Charge.into(),
        amount: money_in("1.0000001", "ROUBLE"),
        idempotency_key: "x".repeat(129),
        counter_account: "Revenue".to_owned(),
        category: "x".repeat(57),
        description: "x".repeat(1001),
        reference: "a\0b".to_owned(),
        invoice_id: "inv-1".to_owned(),
        tax: tax("VAT", "101", "-1"),
        metadata: HashMap::from([("k".to_owned(), "v".repeat(16 * 1024))]),
        ..v1::PostRequest::default()
    };
    let refusal = service.post(request).await.refused(ErrorReason::IdMalformed);
    let expected = [
        ("account_id", "ID_MALFORMED"),
        ("amount.currency_code", "CURRENCY_UNKNOWN"),
        ("amount.value", "AMOUNT_TOO_PRECISE"),
        ("idempotency_key", "IDEMPOTENCY_KEY_MALFORMED"),
        ("counter_account", "FIELD_MALFORMED"),
        ("category", "FIELD_MALFORMED"),
        ("description", "FIELD_TOO_LONG"),
        ("reference", "TEXT_NOT_UTF8"),
        ("invoice_id", "FIELD_NOT_ALLOWED"),
        ("tax.code", "FIELD_MALFORMED"),
        ("tax.rate_percent", "TAX_RATE_OUT_OF_RANGE"),
        ("tax.amount.value", "FIELD_OUT_OF_RANGE"),
        ("metadata", "METADATA_TOO_LARGE"),
    ];
    assert_eq!(refusal.fields(), expected);
}

async fn amounts_are_plain_decimals(service: &Service) {
    service.open("acme-1").await;
    for (text, reason) in [
        ("", ErrorReason::FieldRequired),
        ("1e3", ErrorReason::AmountMalformed),
        ("1,5", ErrorReason::AmountMalformed),
        ("+1", ErrorReason::AmountMalformed),
        (" 1", ErrorReason::AmountMalformed),
        (".5", ErrorReason::AmountMalformed),
        ("5.", ErrorReason::AmountMalformed),
        ("1_000", ErrorReason::AmountMalformed),
        ("NaN", ErrorReason::AmountMalformed),
        ("٣", ErrorReason::AmountMalformed),
        ("0.0000001", ErrorReason::AmountTooPrecise),
        ("9000000000000.000001", ErrorReason::AmountOutOfRange),
        ("99999999999999999999999999", ErrorReason::AmountOutOfRange),
        ("0", ErrorReason::AmountNotPositive),
        ("0.000000", ErrorReason::AmountNotPositive),
        ("-0", ErrorReason::AmountNotPositive),
        ("-5", ErrorReason::AmountNotPositive),
    ] {
        let refusal = service.post(payment("acme-1", text)).await.refused(reason);
        assert_eq!(refusal.field(), "amount.value", "{text:?}");
    }
}

async fn amounts_are_answered_in_canonical_form(service: &Service) {
    service.open("acme-1").await;
    for (sent, told) in
        [("1", "1.00"), ("1.5", "1.50"), ("1.500000", "1.50"), ("0.000001", "0.000001"), ("007", "7.00")]
    {
        let answer = service.post(payment("acme-1", sent)).await.unwrap();
        assert_eq!(entry(&answer).amount, money_in(told, "RUB"));
    }
    for (currency, sent, told) in [("JPY", "5", "5"), ("JPY", "5.5", "5.5"), ("KWD", "1.5", "1.500")] {
        let id = format!("in-{currency}-{sent}");
        service.create(v1::CreateAccountRequest { currency_code: currency.to_owned(), ..account(&id) }).await.unwrap();
        let answer = service.post(payment(&id, sent)).await.unwrap();
        assert_eq!(entry(&answer).amount, money_in(told, currency));
    }
}

async fn the_currency_is_that_of_the_account(service: &Service) {
    service.open("acme-1").await;
    service.post(v1::PostRequest { amount: money_in("1", "RUB"), ..payment("acme-1", "") }).await.unwrap();
    let foreign = v1::PostRequest { amount: money_in("1", "EUR"), ..payment("acme-1", "") };
    let refusal = service.post(foreign).await.refused(ErrorReason::CurrencyMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("RUB", "EUR"));
    assert_eq!(refusal.field(), "amount.currency_code");
    let unknown = v1::PostRequest { amount: money_in("1", "rub"), ..payment("acme-1", "") };
    let refusal = service.post(unknown).await.refused(ErrorReason::CurrencyUnknown);
    assert_eq!(refusal.detail("currency_code"), "rub");
    let mut foreign_tax = v1::PostRequest { tax: tax("vat20", "20", "1"), ..payment("acme-1", "6") };
    foreign_tax.tax.as_mut().unwrap().amount = money_in("1", "EUR");
    service.post(foreign_tax).await.refused(ErrorReason::CurrencyMismatch);
}

async fn kinds_of_other_operations_cannot_be_posted(service: &Service) {
    service.open("acme-1").await;
    for kind in
        [EntryKind::Invoice, EntryKind::CreditNote, EntryKind::TransferIn, EntryKind::TransferOut, EntryKind::Reversal]
    {
        let refusal = service.post(post(kind, "acme-1", "1")).await.refused(ErrorReason::KindNotPostable);
        assert_eq!(
            format!("ENTRY_KIND_{}", refusal.detail("kind").trim_start_matches("ENTRY_KIND_")),
            kind.as_str_name()
        );
    }
    let unknown = v1::PostRequest { kind: 99, ..payment("acme-1", "1") };
    assert_eq!(service.post(unknown).await.refused(ErrorReason::EnumValueUnknown).detail("value"), "99");
}

async fn a_tax_is_contained_in_its_amount(service: &Service) {
    service.open("acme-1").await;
    let taxed = |rate: &str, value: &str| v1::PostRequest { tax: tax("vat20", rate, value), ..charge("acme-1", "120") };
    let answer = service.post(taxed("20", "20")).await.unwrap();
    let told = entry(&answer).tax.clone().unwrap();
    assert_eq!((told.code.as_str(), told.rate_percent.as_str(), value(&told.amount)), ("vat20", "20", "20.00"));
    service.post(taxed("0", "0")).await.unwrap();
    service.post(taxed("100", "120")).await.unwrap();
    let refusal = service.post(taxed("20", "120.01")).await.refused(ErrorReason::TaxExceedsAmount);
    assert_eq!(refusal.detail("field"), "tax.amount");
    for rate in ["-1", "100.01", "x", "0.0000001"] {
        service.post(taxed(rate, "20")).await.refused(ErrorReason::TaxRateOutOfRange);
    }
}

async fn an_entry_may_have_happened_before_or_a_little_ahead(service: &Service) {
    service.open("acme-1").await;
    let when = |occurred_at| v1::PostRequest { occurred_at: Some(occurred_at), ..payment("acme-1", "1") };
    let ahead = std::time::Duration::from_secs(300);
    let answer = service.post(when(service.clock.after(ahead))).await.unwrap();
    assert_eq!(entry(&answer).occurred_at, Some(service.clock.after(ahead)));
    // Each row is recorded a microsecond later than the one before, so "now" is a little later than the clock.
    let refusal = service.post(when(service.clock.after(ahead + hours(1)))).await;
    let refusal = refusal.refused(ErrorReason::OccurredAtOutOfRange);
    assert!(!refusal.detail("min").is_empty() && !refusal.detail("max").is_empty());
    service.post(when(service.clock.before(days(399)))).await.unwrap();
    service.post(when(service.clock.before(days(401)))).await.refused(ErrorReason::OccurredAtOutOfRange);
    let answer = service.post(payment("acme-1", "1")).await.unwrap();
    assert_eq!(entry(&answer).occurred_at, entry(&answer).recorded_at, "absent means now");
    let nonsense = prost_types::Timestamp { seconds: 0, nanos: -1 };
    service.post(when(nonsense)).await.refused(ErrorReason::FieldMalformed);
}

async fn the_booking_date_is_the_local_day_of_the_account(service: &Service) {
    for (zone, before, from) in [
        ("Asia/Tokyo", "2026-03-09T14:59:59.999999Z", "2026-03-09T15:00:00Z"),
        ("America/New_York", "2026-03-10T03:59:59Z", "2026-03-10T04:00:00Z"),
        ("Asia/Kathmandu", "2026-03-09T18:14:59Z", "2026-03-09T18:15:00Z"),
    ] {
        let id = zone.replace('/', "-");
        service.create(v1::CreateAccountRequest { time_zone: zone.to_owned(), ..account(&id) }).await.unwrap();
        for (instant, day) in [(before, "2026-03-09"), (from, "2026-03-10")] {
            let request = v1::PostRequest { occurred_at: Some(at(instant)), ..payment(&id, "1") };
            let answer = service.post(request).await.unwrap();
            assert_eq!(entry(&answer).booking_date, day, "{instant} in {zone}");
        }
    }
    // A later change of zone concerns the future only.
    let moved = v1::Account { time_zone: "UTC".to_owned(), ..v1::Account::default() };
    service.update(crate::harness::requests::update("Asia-Tokyo", &["time_zone"], moved)).await.unwrap();
    assert_eq!(service.entry("Asia-Tokyo", 3).await.unwrap().booking_date, "2026-03-10");
    let request = v1::PostRequest { occurred_at: Some(at("2026-03-09T15:00:00Z")), ..payment("Asia-Tokyo", "1") };
    assert_eq!(entry(&service.post(request).await.unwrap()).booking_date, "2026-03-09");
}

async fn sequences_are_dense_and_time_never_goes_back(service: &Service) {
    service.open("acme-1").await;
    for step in 0..6 {
        if step == 3 {
            service.clock.step_back(hours(1));
        }
        service.post(payment("acme-1", "1")).await.unwrap();
    }
    let entries = all_entries(&mut service.ledger(), "acme-1").await;
    let sequences: Vec<i64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6, 7]);
    for pair in entries.windows(2) {
        let [earlier, later] = pair else { unreachable!() };
        let instant = |entry: &v1::Entry| entry.recorded_at.map(|at| (at.seconds, at.nanos));
        assert!(instant(earlier) < instant(later));
        assert!(earlier.position.unwrap().position < later.position.unwrap().position);
    }
    service.clock.advance(MICROSECOND);
}

async fn a_balance_never_leaves_the_range_of_money(service: &Service) {
    service.open_with("acme-1", "9000000000000").await;
    let request = payment("acme-1", "0.000001");
    let refusal = service.post(request.clone()).await.refused(ErrorReason::BalanceOverflow);
    assert_eq!(refusal.detail("account_id"), "acme-1");
    assert_eq!(figures(&service.balance("acme-1").await)[0], "9000000000000.00");
    service.open("acme-2").await;
    service.post(charge("acme-2", "9000000000000")).await.unwrap();
    service.post(charge("acme-2", "0.01")).await.refused(ErrorReason::BalanceOverflow);
    service.post(charge("acme-1", "1")).await.unwrap();
    service.post(request).await.refused(ErrorReason::BalanceOverflow);
}

async fn checks_run_in_the_documented_order(service: &Service) {
    // Shape, key, existence, currency, state, period, guard, funds: the earlier one decides.
    service.open_with("acme-1", "10").await;
    let used = service.post(payment("acme-1", "1")).await.unwrap().entry.unwrap().idempotency_key;
    service.clock.advance(days(3));
    service.close_books("2026-03-10").await.unwrap();
    let worst = v1::PostRequest {
        amount: money_in("x", "EUR"),
        idempotency_key: used,
        occurred_at: Some(at("2026-03-10T12:00:00Z")),
        expected_sequence: Some(9),
        ..payout("acme-1", "")
    };
    service.post(worst.clone()).await.refused(ErrorReason::AmountMalformed);
    let shaped = v1::PostRequest { amount: money_in("100", "EUR"), ..worst };
    service.post(shaped.clone()).await.refused(ErrorReason::IdempotencyKeyReused);
    let fresh = || key();
    let nobody = v1::PostRequest { account_id: "nobody".to_owned(), idempotency_key: fresh(), ..shaped.clone() };
    service.post(nobody).await.refused(ErrorReason::AccountNotFound);
    let keyed = v1::PostRequest { idempotency_key: fresh(), ..shaped };
    service.post(keyed.clone()).await.refused(ErrorReason::CurrencyMismatch);
    let roubles = v1::PostRequest { amount: money("100"), ..keyed };
    service.post(roubles.clone()).await.refused(ErrorReason::PeriodClosed);
    let open_period = v1::PostRequest { occurred_at: None, idempotency_key: fresh(), ..roubles };
    service.post(open_period.clone()).await.refused(ErrorReason::SequenceMismatch);
    let guarded = v1::PostRequest { expected_sequence: Some(3), ..open_period };
    service.post(guarded).await.refused(ErrorReason::InsufficientOwnFunds);
    // The state of the account comes before the closed period.
    service.open("acme-2").await;
    service.close("acme-2").await.unwrap();
    let late = v1::PostRequest { occurred_at: Some(at("2026-03-10T12:00:00Z")), ..payment("acme-2", "1") };
    service.post(late).await.refused(ErrorReason::AccountClosed);
}

async fn texts_of_people_come_back_as_they_were_sent(service: &Service) {
    service.open("acme-1").await;
    for text in [
        "ё".repeat(1000),
        "line\nline\ttab".to_owned(),
        "'; drop table journal; --".to_owned(),
        "👩‍👩‍👧 ﷽ \u{202e}".to_owned(),
    ] {
        let request = v1::PostRequest { description: text.clone(), ..payment("acme-1", "1") };
        let answer = service.post(request).await.unwrap();
        let sequence = entry(&answer).sequence;
        assert_eq!(service.entry("acme-1", sequence).await.unwrap().description, text);
    }
}
