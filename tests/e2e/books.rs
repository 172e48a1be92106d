//! The books as a whole: closing them, and the trial balance.

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use tonic::Status;

use crate::harness::clock::{at, days, hours};
use crate::harness::ledger::value;
use crate::harness::requests::{account, capture, charge, hold, payment, payout, reversal, tax, transfer};
use crate::harness::service::answer;
use crate::harness::{Refused as _, Service, on_both};

on_both![
    closed_books_take_no_entry_of_their_days,
    books_close_forward_only,
    closing_again_is_a_replay,
    a_day_that_has_not_ended_everywhere_cannot_be_closed,
    a_trial_balance_sums_to_zero_with_taxes,
    a_trial_balance_goes_by_booking_dates,
    a_trial_balance_is_of_one_currency,
    a_client_called_clients_is_not_taken_for_all,
    a_trial_balance_asks_for_dates_and_a_currency,
];

async fn trial(service: &Service, from: &str, to: &str, currency: &str) -> Result<v1::GetTrialBalanceResponse, Status> {
    let request = v1::GetTrialBalanceRequest {
        from_date: from.to_owned(),
        to_date: to.to_owned(),
        currency_code: currency.to_owned(),
        min_position: None,
    };
    answer(service.ledger().get_trial_balance(request).await)
}

/// The rows as `name debits credits net`; the total must be what they add up to, with a net of zero.
fn rows(balance: &v1::GetTrialBalanceResponse) -> Vec<String> {
    let sum = |part: fn(&v1::TrialBalanceRow) -> &Option<v1::Money>| -> rust_decimal::Decimal {
        balance.rows.iter().map(|row| value(part(row)).parse::<rust_decimal::Decimal>().unwrap()).sum()
    };
    let total = balance.total.as_ref().unwrap();
    let told = |money: &Option<v1::Money>| value(money).parse::<rust_decimal::Decimal>().unwrap();
    assert_eq!((sum(|row| &row.debits), sum(|row| &row.credits)), (told(&total.debits), told(&total.credits)));
    assert_eq!(told(&total.debits), told(&total.credits));
    assert_eq!((told(&total.net), sum(|row| &row.net)), (rust_decimal::Decimal::ZERO, rust_decimal::Decimal::ZERO));
    let line = |row: &v1::TrialBalanceRow| {
        let name = if row.clients { "CLIENTS" } else { &row.account };
        format!("{name} {} {} {}", value(&row.debits), value(&row.credits), value(&row.net))
    };
    balance.rows.iter().map(line).collect()
}

async fn closed_books_take_no_entry_of_their_days(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.open("acme-2").await;
    service.clock.advance(days(4));
    let closed = service.close_books("2026-03-12").await.unwrap();
    assert_eq!((closed.until_date.as_str(), closed.replayed), ("2026-03-12", false));
    let partitions: Vec<i32> = closed.positions.iter().map(|position| position.partition).collect();
    assert_eq!(partitions, [0, 1]);
    for id in ["acme-1", "acme-2"] {
        let late = v1::PostRequest { occurred_at: Some(at("2026-03-12T23:59:59Z")), ..payment(id, "1") };
        let refusal = service.post(late).await.refused(ErrorReason::PeriodClosed);
        assert_eq!((refusal.detail("closed_until"), refusal.detail("booking_date")), ("2026-03-12", "2026-03-12"));
        let open = v1::PostRequest { occurred_at: Some(at("2026-03-13T00:00:00Z")), ..payment(id, "1") };
        service.post(open).await.unwrap();
    }
    // The books close for the local days of each account.
    let tokyo = v1::CreateAccountRequest { time_zone: "Asia/Tokyo".to_owned(), ..account("tokyo") };
    service.create(tokyo).await.unwrap();
    let evening = at("2026-03-12T15:00:00Z");
    service.post(v1::PostRequest { occurred_at: Some(evening), ..payment("tokyo", "1") }).await.unwrap();
}

async fn books_close_forward_only(service: &Service) {
    service.clock.advance(days(10));
    service.close_books("2026-03-15").await.unwrap();
    service.close_books("2026-03-14").await.refused(ErrorReason::DateRangeInvalid);
    service.close_books("2026-03-16").await.unwrap();
    for bad in ["2026-02-30", "yesterday", "2026-3-1"] {
        service.close_books(bad).await.refused(ErrorReason::DateMalformed);
    }
    service.close_books("").await.refused(ErrorReason::FieldRequired);
}

async fn closing_again_is_a_replay(service: &Service) {
    service.clock.advance(days(10));
    let keyed = |until: &str, key: &str| v1::CloseBooksRequest {
        until_date: until.to_owned(),
        idempotency_key: key.to_owned(),
        reason: "monthly".to_owned(),
    };
    let close = |request: v1::CloseBooksRequest| async { answer(service.ledger().close_books(request).await) };
    let first = close(keyed("2026-03-14", "march")).await.unwrap();
    assert!(!first.replayed);
    let again = close(keyed("2026-03-14", "march")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.positions[0], first.positions[0]);
    for (first, again) in first.positions.iter().zip(&again.positions) {
        assert!(first.partition == again.partition && first.position <= again.position);
    }
    assert!(close(keyed("2026-03-14", "")).await.unwrap().replayed, "the date alone makes it a repetition");
    assert!(close(keyed("2026-03-14", "another")).await.unwrap().replayed);
    let refusal = close(keyed("2026-03-16", "march")).await.refused(ErrorReason::IdempotencyKeyReused);
    assert_eq!(refusal.detail("field"), "until_date");
    assert!(!close(keyed("2026-03-16", "later")).await.unwrap().replayed);
    assert!(close(keyed("2026-03-14", "march")).await.unwrap().replayed, "a replay whatever has happened since");
}

async fn a_day_that_has_not_ended_everywhere_cannot_be_closed(service: &Service) {
    // It is 2026-03-10T12:00Z: the 9th ends at that very moment in the last zone (UTC-12).
    service.close_books("2026-03-10").await.refused(ErrorReason::DateRangeInvalid);
    service.close_books("2099-01-01").await.refused(ErrorReason::DateRangeInvalid);
    service.close_books("2026-03-09").await.unwrap();
    service.clock.advance(hours(23));
    service.close_books("2026-03-10").await.refused(ErrorReason::DateRangeInvalid);
    service.clock.advance(hours(1));
    service.close_books("2026-03-10").await.unwrap();
}

async fn a_trial_balance_sums_to_zero_with_taxes(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    service.post(payment("acme-1", "1000")).await.unwrap();
    let taxed =
        v1::PostRequest { category: "net".to_owned(), tax: tax("vat20", "20", "20"), ..charge("acme-1", "120") };
    let entry = service.post(taxed).await.unwrap().entry.unwrap();
    service.transfer(transfer("acme-1", "acme-2", "300")).await.unwrap();
    service.post(payout("acme-2", "100")).await.unwrap();
    let half =
        v1::ReverseEntryRequest { amount: crate::harness::requests::money("60"), ..reversal("acme-1", entry.sequence) };
    service.reverse(half).await.unwrap();
    service.hold(hold("acme-1", "h", "12")).await.unwrap();
    let captured = v1::CaptureHoldRequest { tax: tax("vat10", "10", "1.09"), ..capture("acme-1", "h") };
    service.capture(captured).await.unwrap();
    let told = trial(service, "2026-03-10", "2026-03-10", "RUB").await.unwrap();
    let expected = [
        "CLIENTS 532.00 1360.00 828.00",
        "cash:unspecified 1000.00 100.00 -900.00",
        "revenue:net 50.00 100.00 50.00",
        "revenue:other 0.00 10.91 10.91",
        "tax:vat10 0.00 1.09 1.09",
        "tax:vat20 10.00 20.00 10.00",
        "transfer 300.00 300.00 0.00",
    ];
    assert_eq!(rows(&told), expected);
    assert_eq!(told.positions.len(), 2);
}

async fn a_trial_balance_goes_by_booking_dates(service: &Service) {
    service.open("acme-1").await;
    for (value, moment) in
        [("1", "2026-03-08T12:00:00Z"), ("10", "2026-03-09T12:00:00Z"), ("100", "2026-03-10T11:00:00Z")]
    {
        service.post(v1::PostRequest { occurred_at: Some(at(moment)), ..payment("acme-1", value) }).await.unwrap();
    }
    for (from, to, expected) in [
        ("2026-03-08", "2026-03-08", "CLIENTS 0.00 1.00 1.00"),
        ("2026-03-08", "2026-03-09", "CLIENTS 0.00 11.00 11.00"),
        ("2026-03-09", "2026-03-10", "CLIENTS 0.00 110.00 110.00"),
    ] {
        assert_eq!(rows(&trial(service, from, to, "RUB").await.unwrap())[0], expected);
    }
    let nothing = trial(service, "2025-01-01", "2025-12-31", "RUB").await.unwrap();
    assert_eq!(rows(&nothing), ["CLIENTS 0.00 0.00 0.00"]);
}

async fn a_trial_balance_is_of_one_currency(service: &Service) {
    service.open_with("acme-1", "5").await;
    service.create(v1::CreateAccountRequest { currency_code: "JPY".to_owned(), ..account("yen") }).await.unwrap();
    service.post(payment("yen", "700")).await.unwrap();
    let told = trial(service, "2026-03-10", "2026-03-10", "JPY").await.unwrap();
    assert_eq!(rows(&told), ["CLIENTS 0 700 700", "cash:unspecified 700 0 -700"]);
    let told = trial(service, "2026-03-10", "2026-03-10", "RUB").await.unwrap();
    assert_eq!(rows(&told), ["CLIENTS 0.00 5.00 5.00", "cash:unspecified 5.00 0.00 -5.00"]);
}

async fn a_client_called_clients_is_not_taken_for_all(service: &Service) {
    service.open("acme-1").await;
    service.post(v1::PostRequest { counter_account: "clients".to_owned(), ..payment("acme-1", "5") }).await.unwrap();
    let told = trial(service, "2026-03-10", "2026-03-10", "RUB").await.unwrap();
    let told: Vec<_> = told.rows.iter().map(|row| (row.account.as_str(), row.clients, value(&row.net))).collect();
    assert_eq!(told, [("clients", true, "5.00"), ("clients", false, "-5.00")]);
}

async fn a_trial_balance_asks_for_dates_and_a_currency(service: &Service) {
    let refusal = trial(service, "", "", "").await.refused(ErrorReason::FieldRequired);
    let fields: Vec<_> = refusal.fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["from_date", "to_date", "currency_code"]);
    trial(service, "2026-03-11", "2026-03-10", "RUB").await.refused(ErrorReason::DateRangeInvalid);
    trial(service, "2026-03-10", "2026-03-10", "XYZ").await.refused(ErrorReason::CurrencyUnknown);
    trial(service, "2026-03-10", "10/03/26", "RUB").await.refused(ErrorReason::DateMalformed);
}
