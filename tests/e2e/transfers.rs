//! Transfers: two entries, both or neither, also between partitions.

use std::collections::HashMap;

use billing_proto::v1;
use billing_proto::v1::{EntryKind, ErrorReason};

use crate::harness::clock::{at, days};
use crate::harness::ledger::{after, all_entries, figures, value};
use crate::harness::requests::{account, bonus, charge, hold, key, limit, money, money_in, payment, transfer};
use crate::harness::{Refused as _, Service, on_both};

on_both![
    a_transfer_writes_two_entries,
    transfers_go_between_all_partitions,
    only_own_free_money_is_transferred,
    a_transfer_to_the_same_account_is_refused,
    both_accounts_must_exist_be_open_and_share_a_currency,
    a_repeated_transfer_is_a_replay,
    a_refused_transfer_is_remembered_for_the_payer,
    a_transfer_has_a_guard_and_a_trial,
    the_books_close_for_both_accounts,
    transfers_that_cross_each_other_lose_nothing,
];

async fn a_transfer_writes_two_entries(service: &Service) {
    service.open_with("payer", "100").await;
    service.open_with("payee", "1").await;
    let request = v1::TransferRequest {
        category: "move".to_owned(),
        description: "to the right one".to_owned(),
        reference: "t-1".to_owned(),
        metadata: HashMap::from([("a".to_owned(), "1".to_owned())]),
        occurred_at: Some(at("2026-03-09T10:00:00Z")),
        ..transfer("payer", "payee", "60")
    };
    let moved = service.transfer(request.clone()).await.unwrap();
    let (out, incoming) = (moved.outgoing.unwrap(), moved.incoming.unwrap());
    assert_eq!((out.kind(), value(&out.amount)), (EntryKind::TransferOut, "-60.00"));
    assert_eq!((incoming.kind(), value(&incoming.amount)), (EntryKind::TransferIn, "60.00"));
    assert_eq!((after(&out), after(&incoming)), (["40.00", "0.00", "40.00"], ["61.00", "0.00", "61.00"]));
    assert_eq!((out.account_id.as_str(), out.transfer_account_id.as_str()), ("payer", "payee"));
    assert_eq!((incoming.account_id.as_str(), incoming.transfer_account_id.as_str()), ("payee", "payer"));
    assert_eq!(out.transaction_id, incoming.transaction_id);
    assert_eq!(
        (out.idempotency_key.as_str(), incoming.idempotency_key.as_str()),
        (request.idempotency_key.as_str(), "")
    );
    for entry in [&out, &incoming] {
        let told = [&entry.category, &entry.description, &entry.reference, &entry.booking_date].map(String::as_str);
        assert_eq!(told, ["move", "to the right one", "t-1", "2026-03-09"]);
        assert_eq!((entry.counter_account.as_str(), entry.metadata.len()), ("transfer", 1));
        assert_eq!(service.entry(&entry.account_id, entry.sequence).await.unwrap(), *entry);
    }
    assert_eq!((out.position, incoming.position), (moved.position, moved.incoming_position));
}

async fn transfers_go_between_all_partitions(service: &Service) {
    let ids: Vec<String> = (0..8).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open_with(id, "100").await;
    }
    let mut pairs = std::collections::BTreeSet::new();
    for from in &ids {
        for to in ids.iter().filter(|to| *to != from) {
            let moved = service.transfer(transfer(from, to, "1")).await.unwrap();
            pairs.insert((moved.position.unwrap().partition, moved.incoming_position.unwrap().partition));
        }
    }
    assert_eq!(pairs.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    for id in &ids {
        assert_eq!(figures(&service.balance(id).await), ["100.00", "0.00", "100.00"]);
    }
}

async fn only_own_free_money_is_transferred(service: &Service) {
    service.open_with("payer", "100").await;
    service.open("payee").await;
    service.update(limit("payer", "500")).await.unwrap();
    service.post(bonus("payer", "50")).await.unwrap();
    service.hold(hold("payer", "h", "30")).await.unwrap();
    let refusal = service.transfer(transfer("payer", "payee", "70.000001")).await;
    let refusal = refusal.refused(ErrorReason::InsufficientOwnFunds);
    let told = ["available", "required", "missing", "currency_code"].map(|name| refusal.detail(name));
    assert_eq!(told, ["70.00", "70.000001", "0.000001", "RUB"]);
    service.transfer(transfer("payer", "payee", "70")).await.unwrap();
    assert_eq!(figures(&service.balance("payer").await), ["80.00", "30.00", "550.00"]);
}

async fn a_transfer_to_the_same_account_is_refused(service: &Service) {
    service.open_with("payer", "100").await;
    let refusal = service.transfer(transfer("payer", "payer", "1")).await.refused(ErrorReason::SameAccount);
    assert_eq!(refusal.detail("account_id"), "payer");
    let refusal = service.transfer(v1::TransferRequest::default()).await.refused(ErrorReason::FieldRequired);
    let fields: Vec<_> = refusal.fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["from_account_id", "to_account_id", "amount", "idempotency_key"]);
}

async fn both_accounts_must_exist_be_open_and_share_a_currency(service: &Service) {
    service.open_with("payer", "100").await;
    service.open("closed").await;
    service.close("closed").await.unwrap();
    service.create(v1::CreateAccountRequest { currency_code: "EUR".to_owned(), ..account("euro") }).await.unwrap();
    for (from, to, missing) in [("nobody", "payer", "nobody"), ("payer", "nobody", "nobody")] {
        let refusal = service.transfer(transfer(from, to, "1")).await.refused(ErrorReason::AccountNotFound);
        assert_eq!(refusal.detail("account_id"), missing);
    }
    let refusal = service.transfer(transfer("payer", "euro", "1")).await.refused(ErrorReason::CurrencyMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("RUB", "EUR"));
    let refusal = service.transfer(transfer("payer", "closed", "1")).await.refused(ErrorReason::AccountClosed);
    assert_eq!(refusal.detail("account_id"), "closed");
    let refusal = service.transfer(transfer("closed", "payer", "1")).await.refused(ErrorReason::AccountClosed);
    assert_eq!(refusal.detail("account_id"), "closed");
    let full = payment("full", "9000000000000");
    service.open("full").await;
    service.post(full).await.unwrap();
    let refusal = service.transfer(transfer("payer", "full", "1")).await.refused(ErrorReason::BalanceOverflow);
    assert_eq!(refusal.detail("account_id"), "full");
    assert_eq!(figures(&service.balance("payer").await)[0], "100.00");
}

async fn a_repeated_transfer_is_a_replay(service: &Service) {
    service.open_with("payer", "100").await;
    for id in ["payee", "other"] {
        service.open(id).await;
        let request = v1::TransferRequest { idempotency_key: format!("t-{id}"), ..transfer("payer", id, "20") };
        let first = service.transfer(request.clone()).await.unwrap();
        service.post(charge(id, "5")).await.unwrap();
        let again = service.transfer(request).await.unwrap();
        assert!(again.replayed && !first.replayed);
        assert_eq!((again.outgoing, again.incoming), (first.outgoing, first.incoming));
        assert_eq!((again.position, again.incoming_position), (first.position, first.incoming_position));
    }
    let other = |change: fn(&mut v1::TransferRequest)| {
        let mut request =
            v1::TransferRequest { idempotency_key: "t-payee".to_owned(), ..transfer("payer", "payee", "20") };
        change(&mut request);
        request
    };
    for (request, field) in [
        (other(|request| request.to_account_id = "other".to_owned()), "to_account_id"),
        (other(|request| request.amount = money("21")), "amount"),
        (other(|request| request.description = "x".to_owned()), "description"),
    ] {
        let refusal = service.transfer(request).await.refused(ErrorReason::IdempotencyKeyReused);
        assert_eq!(refusal.detail("field"), field);
    }
    // The scope of the key is the payer; the payee may use the same one.
    let own = v1::PostRequest { idempotency_key: "t-payee".to_owned(), ..payment("payee", "1") };
    assert!(!service.post(own).await.unwrap().replayed);
    assert_eq!(figures(&service.balance("payer").await)[0], "60.00");
}

async fn a_refused_transfer_is_remembered_for_the_payer(service: &Service) {
    service.open_with("payer", "10").await;
    service.open("payee").await;
    let request = transfer("payer", "payee", "20");
    service.transfer(request.clone()).await.refused(ErrorReason::InsufficientOwnFunds);
    service.post(payment("payer", "100")).await.unwrap();
    service.transfer(request.clone()).await.refused(ErrorReason::InsufficientOwnFunds);
    service.transfer(v1::TransferRequest { idempotency_key: key(), ..request }).await.unwrap();
    let nowhere = transfer("payer", "later", "1");
    service.transfer(nowhere.clone()).await.refused(ErrorReason::AccountNotFound);
    service.open("later").await;
    service.transfer(nowhere).await.expect("an account that was not found uses up no key");
}

async fn a_transfer_has_a_guard_and_a_trial(service: &Service) {
    service.open_with("payer", "100").await;
    service.open("payee").await;
    let stale = v1::TransferRequest { expected_sequence: Some(1), ..transfer("payer", "payee", "1") };
    let refusal = service.transfer(stale.clone()).await.refused(ErrorReason::SequenceMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("1", "2"));
    let tried = v1::TransferRequest { expected_sequence: Some(2), validate_only: true, ..stale };
    let told = service.transfer(tried.clone()).await.unwrap();
    assert_eq!((told.position, told.incoming_position), (None, None));
    assert_eq!(after(&told.outgoing.unwrap())[0], "99.00");
    assert_eq!(after(&told.incoming.unwrap())[0], "1.00");
    assert_eq!(figures(&service.balance("payee").await)[0], "0.00");
    assert!(!service.transfer(v1::TransferRequest { validate_only: false, ..tried }).await.unwrap().replayed);
}

async fn the_books_close_for_both_accounts(service: &Service) {
    service.open_with("payer", "100").await;
    let tokyo = v1::CreateAccountRequest { time_zone: "Asia/Tokyo".to_owned(), ..account("payee") };
    service.create(tokyo).await.unwrap();
    service.clock.advance(days(5));
    service.close_books("2026-03-12").await.unwrap();
    // Still the 12th for the payer, the 13th for the payee: one of them is enough.
    let late = v1::TransferRequest { occurred_at: Some(at("2026-03-12T16:00:00Z")), ..transfer("payer", "payee", "1") };
    let refusal = service.transfer(late).await.refused(ErrorReason::PeriodClosed);
    assert_eq!((refusal.detail("closed_until"), refusal.detail("booking_date")), ("2026-03-12", "2026-03-12"));
    let open = v1::TransferRequest { occurred_at: Some(at("2026-03-13T00:00:00Z")), ..transfer("payer", "payee", "1") };
    let moved = service.transfer(open).await.unwrap();
    assert_eq!(moved.outgoing.unwrap().booking_date, "2026-03-13");
    let unknown = v1::TransferRequest { amount: money_in("1", "EUR"), ..transfer("payer", "payee", "") };
    service.transfer(unknown).await.refused(ErrorReason::CurrencyMismatch);
}

async fn transfers_that_cross_each_other_lose_nothing(service: &Service) {
    let ids: Vec<String> = (0..6).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open_with(id, "1000").await;
    }
    let client = service.client().await.with_deadline(std::time::Duration::from_secs(60));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..180_usize {
        let from = ids[n % ids.len()].clone();
        let to = ids[(n * 5 + 1 + n / ids.len()) % ids.len()].clone();
        if from == to {
            continue;
        }
        let client = client.clone();
        // The client repeats what is refused for load.
        let request = billing_client::Transfer::new(from, to, rust_decimal::Decimal::ONE);
        calls.spawn(async move { client.transfer(&request).await.map(|_| ()) });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    let mut total = rust_decimal::Decimal::ZERO;
    for id in &ids {
        total += value(&service.balance(id).await.posted).parse::<rust_decimal::Decimal>().unwrap();
        let entries = all_entries(&mut service.ledger(), id).await;
        let sequences: Vec<i64> = entries.iter().map(|entry| entry.sequence).collect();
        assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    }
    assert_eq!(total, rust_decimal::Decimal::from(6000));
}
