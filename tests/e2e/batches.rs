//! Batches: several operations in one call, together or each by itself.

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use billing_proto::v1::operation_result::Result as Outcome;

use crate::harness::ledger::{after, figures, value};
use crate::harness::requests::{
    IntoOperation, atomic, capture, charge, covered_charge, hold, independent, money, payment, payout, release,
    reversal, transfer,
};
use crate::harness::{Refused as _, RefusedItem as _, Service, on_both};

on_both![
    later_operations_see_the_effects_of_earlier_ones,
    an_atomic_batch_is_all_or_nothing,
    independent_operations_stand_for_themselves,
    a_payment_is_moved_to_the_right_account_in_one_step,
    an_atomic_batch_spans_partitions,
    a_repeated_batch_is_a_replay,
    the_culprit_of_an_atomic_batch_is_remembered_and_the_others_are_not,
    a_key_that_stands_twice_replays_the_earlier_operation,
    malformed_operations_answer_themselves,
    a_malformed_operation_refuses_an_atomic_batch,
    a_batch_can_be_tried,
    a_batch_has_its_limits,
    the_mode_is_atomic_unless_said_otherwise,
    a_thousand_operations_are_answered_in_order,
];

fn entry(result: &v1::OperationResult) -> &v1::Entry {
    match result.result.as_ref().unwrap() {
        Outcome::Post(done) => done.entry.as_ref().unwrap(),
        Outcome::Transfer(done) => done.outgoing.as_ref().unwrap(),
        Outcome::Reverse(done) => done.entry.as_ref().unwrap(),
        Outcome::CaptureHold(done) => done.entry.as_ref().unwrap(),
        other => panic!("no entry: {other:?}"),
    }
}

fn replayed(result: &v1::OperationResult) -> bool {
    match result.result.as_ref().unwrap() {
        Outcome::Post(done) => done.replayed,
        Outcome::Transfer(done) => done.replayed,
        Outcome::Reverse(done) => done.replayed,
        Outcome::PlaceHold(done) => done.replayed,
        Outcome::CaptureHold(done) => done.replayed,
        Outcome::ReleaseHold(done) => done.replayed,
        Outcome::Error(error) => panic!("refused: {error:?}"),
    }
}

async fn later_operations_see_the_effects_of_earlier_ones(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    let answer = service
        .batch(atomic(vec![
            payment("acme-1", "100").into_operation(),
            covered_charge("acme-1", "30").into_operation(),
            hold("acme-1", "h", "70").into_operation(),
            capture("acme-1", "h").into_operation(),
            reversal("acme-1", 3).into_operation(),
            hold("acme-1", "g", "5").into_operation(),
            release("acme-1", "g").into_operation(),
            transfer("acme-1", "acme-2", "30").into_operation(),
        ]))
        .await
        .unwrap();
    assert_eq!(answer.results.len(), 8);
    assert_eq!(after(entry(&answer.results[3])), ["0.00", "0.00", "0.00"]);
    assert_eq!(after(entry(&answer.results[4])), ["30.00", "0.00", "30.00"]);
    assert_eq!(figures(&service.balance("acme-1").await), ["0.00", "0.00", "0.00"]);
    assert_eq!(figures(&service.balance("acme-2").await), ["30.00", "0.00", "30.00"]);
    assert!(!answer.positions.is_empty());
    for position in &answer.positions {
        let read =
            v1::GetBalanceRequest { min_position: Some(*position), ..crate::harness::requests::balance("acme-1") };
        service.read_balance(read).await.unwrap();
    }
}

async fn an_atomic_batch_is_all_or_nothing(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.open("acme-2").await;
    let before = (service.balance("acme-1").await.sequence, service.balance("acme-2").await.sequence);
    let answer = service
        .batch(atomic(vec![
            payment("acme-1", "5").into_operation(),
            hold("acme-1", "h", "3").into_operation(),
            covered_charge("acme-1", "13").into_operation(),
            transfer("acme-1", "acme-2", "1").into_operation(),
        ]))
        .await
        .unwrap();
    assert!(answer.positions.is_empty());
    let culprit = answer.results[2].refused_item(ErrorReason::InsufficientFunds);
    assert_eq!(culprit.detail("missing"), "1.00");
    for index in [0, 1, 3] {
        let linked = answer.results[index].refused_item(ErrorReason::LinkedItemFailed);
        assert_eq!(linked.detail("index"), "2");
    }
    let balances = (service.balance("acme-1").await, service.balance("acme-2").await);
    assert_eq!(figures(&balances.0), ["10.00", "0.00", "10.00"]);
    assert_eq!((balances.0.sequence, balances.1.sequence), before);
    service.read_hold("acme-1", "h").await.refused(ErrorReason::HoldNotFound);
}

async fn independent_operations_stand_for_themselves(service: &Service) {
    service.open_with("acme-1", "10").await;
    let answer = service
        .batch(independent(vec![
            covered_charge("acme-1", "11").into_operation(),
            payment("acme-1", "5").into_operation(),
            payment("nobody", "5").into_operation(),
            covered_charge("acme-1", "15").into_operation(),
            payout("acme-1", "0.01").into_operation(),
            capture("acme-1", "none").into_operation(),
        ]))
        .await
        .unwrap();
    answer.results[0].refused_item(ErrorReason::InsufficientFunds);
    assert_eq!(after(entry(&answer.results[1]))[0], "15.00");
    answer.results[2].refused_item(ErrorReason::AccountNotFound);
    assert_eq!(after(entry(&answer.results[3]))[0], "0.00");
    answer.results[4].refused_item(ErrorReason::InsufficientOwnFunds);
    answer.results[5].refused_item(ErrorReason::HoldNotFound);
}

async fn a_payment_is_moved_to_the_right_account_in_one_step(service: &Service) {
    for n in 0..4 {
        let (wrong, right) = (format!("wrong-{n}"), format!("right-{n}"));
        let paid = service.open_with(&wrong, "100").await;
        service.open(&right).await;
        let answer = service
            .batch(atomic(vec![reversal(&wrong, 2).into_operation(), payment(&right, "100").into_operation()]))
            .await
            .unwrap();
        assert_eq!(after(entry(&answer.results[0]))[0], "0.00", "{}", paid.account_id);
        assert_eq!(after(entry(&answer.results[1]))[0], "100.00");
    }
}

async fn an_atomic_batch_spans_partitions(service: &Service) {
    let ids: Vec<String> = (0..8).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open(id).await;
    }
    let posts = |value: &str| ids.iter().map(|id| payment(id, value).into_operation()).collect::<Vec<_>>();
    let answer = service.batch(atomic(posts("1"))).await.unwrap();
    let partitions: Vec<i32> = answer.positions.iter().map(|position| position.partition).collect();
    assert_eq!(partitions, [0, 1]);
    let mut doomed = posts("1");
    doomed.push(covered_charge(&ids[0], "100").into_operation());
    let answer = service.batch(atomic(doomed)).await.unwrap();
    answer.results[8].refused_item(ErrorReason::InsufficientFunds);
    for id in &ids {
        assert_eq!(figures(&service.balance(id).await)[0], "1.00");
    }
}

async fn a_repeated_batch_is_a_replay(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.open("acme-2").await;
    for request in [
        atomic(vec![
            payment("acme-1", "5").into_operation(),
            transfer("acme-1", "acme-2", "1").into_operation(),
            hold("acme-1", "h", "1").into_operation(),
        ]),
        independent(vec![payment("acme-1", "5").into_operation(), covered_charge("acme-1", "1000").into_operation()]),
    ] {
        let first = service.batch(request.clone()).await.unwrap();
        let sequence = service.balance("acme-1").await.sequence;
        let again = service.batch(request).await.unwrap();
        for (first, again) in first.results.iter().zip(&again.results) {
            if matches!(first.result, Some(Outcome::Error(_))) {
                assert_eq!(first, again);
            } else {
                assert!(!replayed(first) && replayed(again));
            }
        }
        assert_eq!(service.balance("acme-1").await.sequence, sequence);
    }
}

async fn the_culprit_of_an_atomic_batch_is_remembered_and_the_others_are_not(service: &Service) {
    service.open_with("acme-1", "10").await;
    let (innocent, culprit) = (payment("acme-1", "5"), covered_charge("acme-1", "1000"));
    let request = atomic(vec![innocent.clone().into_operation(), culprit.clone().into_operation()]);
    service.batch(request.clone()).await.unwrap().results[1].refused_item(ErrorReason::InsufficientFunds);
    assert!(!service.post(innocent).await.unwrap().replayed);
    service.post(payment("acme-1", "5000")).await.unwrap();
    service.post(culprit).await.refused(ErrorReason::InsufficientFunds);
    // Repeated, the batch finds the same culprit.
    let again = service.batch(request).await.unwrap();
    again.results[0].refused_item(ErrorReason::LinkedItemFailed);
    again.results[1].refused_item(ErrorReason::InsufficientFunds);
}

async fn a_key_that_stands_twice_replays_the_earlier_operation(service: &Service) {
    service.open("acme-1").await;
    let twice = payment("acme-1", "5");
    let other = v1::PostRequest { amount: money("6"), ..twice.clone() };
    let operations = [twice.clone(), twice, other].map(IntoOperation::into_operation).to_vec();
    let answer = service.batch(independent(operations)).await.unwrap();
    assert!(!replayed(&answer.results[0]));
    assert!(replayed(&answer.results[1]));
    assert_eq!(entry(&answer.results[0]), entry(&answer.results[1]));
    answer.results[2].refused_item(ErrorReason::IdempotencyKeyReused);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "5.00");
}

async fn malformed_operations_answer_themselves(service: &Service) {
    service.open("acme-1").await;
    let malformed = v1::PostRequest { amount: money("x"), category: "Bad".to_owned(), ..payment("acme-1", "") };
    let trial = v1::PostRequest { validate_only: true, ..payment("acme-1", "1") };
    let answer = service
        .batch(independent(vec![
            malformed.into_operation(),
            payment("acme-1", "1").into_operation(),
            v1::Operation::default(),
            trial.into_operation(),
        ]))
        .await
        .unwrap();
    let refusal = answer.results[0].refused_item(ErrorReason::AmountMalformed);
    let expected = [("post.amount.value", "AMOUNT_MALFORMED"), ("post.category", "FIELD_MALFORMED")];
    assert_eq!(refusal.fields(), expected);
    assert_eq!(refusal.detail("field"), "post.amount.value");
    assert_eq!(value(&entry(&answer.results[1]).amount), "1.00");
    assert_eq!(answer.results[2].refused_item(ErrorReason::FieldRequired).detail("field"), "operation");
    let refusal = answer.results[3].refused_item(ErrorReason::FieldNotAllowed);
    assert_eq!(refusal.detail("field"), "post.validate_only");
}

async fn a_malformed_operation_refuses_an_atomic_batch(service: &Service) {
    service.open("acme-1").await;
    let answer = service
        .batch(atomic(vec![payment("acme-1", "1").into_operation(), payment("acme-1", "0").into_operation()]))
        .await
        .unwrap();
    assert_eq!(answer.results[0].refused_item(ErrorReason::LinkedItemFailed).detail("index"), "1");
    answer.results[1].refused_item(ErrorReason::AmountNotPositive);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "0.00");
}

async fn a_batch_can_be_tried(service: &Service) {
    service.open("acme-1").await;
    let operations = vec![payment("acme-1", "10").into_operation(), covered_charge("acme-1", "4").into_operation()];
    for request in [atomic(operations.clone()), independent(operations.clone())] {
        let tried = service.batch(v1::PostBatchRequest { validate_only: true, ..request }).await.unwrap();
        assert!(tried.positions.is_empty());
        assert_eq!(after(entry(&tried.results[0]))[0], "10.00");
        assert_eq!(after(entry(&tried.results[1]))[0], "6.00", "later operations see the effects of earlier ones");
        assert_eq!(entry(&tried.results[1]).sequence, 0);
        assert_eq!(service.balance("acme-1").await.sequence, 1);
    }
    assert!(!replayed(&service.batch(atomic(operations)).await.unwrap().results[1]));
    let doomed = atomic(vec![payment("acme-1", "1").into_operation(), covered_charge("acme-1", "99").into_operation()]);
    let tried = service.batch(v1::PostBatchRequest { validate_only: true, ..doomed }).await.unwrap();
    tried.results[0].refused_item(ErrorReason::LinkedItemFailed);
    tried.results[1].refused_item(ErrorReason::InsufficientFunds);
}

async fn a_batch_has_its_limits(service: &Service) {
    service.open("acme-1").await;
    service.batch(atomic(Vec::new())).await.refused(ErrorReason::BatchEmpty);
    let many = (0..1001).map(|_| payment("acme-1", "1").into_operation()).collect();
    let refusal = service.batch(independent(many)).await.refused(ErrorReason::BatchTooLarge);
    assert_eq!((refusal.detail("count"), refusal.detail("max")), ("1001", "1000"));
    let unknown = v1::PostBatchRequest { mode: 9, ..atomic(vec![payment("acme-1", "1").into_operation()]) };
    assert_eq!(service.batch(unknown).await.refused(ErrorReason::EnumValueUnknown).field(), "mode");
    assert_eq!(service.balance("acme-1").await.sequence, 1);
    // More than a single call may carry, less than a batch may.
    let long =
        |_| v1::PostRequest { description: "x".repeat(1000), reference: "y".repeat(200), ..payment("acme-1", "1") };
    let bulky: Vec<_> = (0..1000).map(|n| long(n).into_operation()).collect();
    assert!(prost::Message::encoded_len(&independent(bulky.clone())) > 1 << 20);
    service.batch(independent(bulky)).await.unwrap();
}

async fn the_mode_is_atomic_unless_said_otherwise(service: &Service) {
    service.open("acme-1").await;
    let operations = vec![payment("acme-1", "1").into_operation(), covered_charge("acme-1", "9").into_operation()];
    let unspecified = v1::PostBatchRequest { operations, ..v1::PostBatchRequest::default() };
    service.batch(unspecified).await.unwrap().results[0].refused_item(ErrorReason::LinkedItemFailed);
}

async fn a_thousand_operations_are_answered_in_order(service: &Service) {
    let ids: Vec<String> = (0..10).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open(id).await;
    }
    let posts: Vec<v1::PostRequest> = (0..1000)
        .map(|n| v1::PostRequest { idempotency_key: format!("n-{n}"), ..charge(&ids[n % 10], "0.5") })
        .collect();
    let operations = posts.iter().cloned().map(IntoOperation::into_operation).collect();
    let answer = service.batch(independent(operations)).await.unwrap();
    for (post, result) in posts.iter().zip(&answer.results) {
        let entry = entry(result);
        assert_eq!((&entry.account_id, &entry.idempotency_key), (&post.account_id, &post.idempotency_key));
    }
    for id in &ids {
        assert_eq!(figures(&service.balance(id).await)[0], "-50.00");
    }
}
