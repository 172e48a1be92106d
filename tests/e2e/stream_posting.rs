//! The bulk stream: each request is answered by its own result, whatever becomes of the others.

use std::collections::BTreeMap;

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use billing_proto::v1::operation_result::Result as Outcome;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::harness::ledger::{all_entries, figures};
use crate::harness::requests::{
    IntoOperation, capture, charge, covered_charge, hold, money, payment, release, reversal, transfer,
};
use crate::harness::{RefusedItem as _, Service, on_both};

on_both![
    each_request_is_answered_by_its_number,
    a_bad_request_answers_itself_and_the_stream_goes_on,
    posts_to_one_account_keep_their_order,
    every_operation_can_be_streamed,
    a_repeated_stream_is_a_replay,
    the_stream_ends_when_its_caller_has_no_more,
    a_slow_reader_is_waited_for,
    a_caller_that_goes_away_leaves_a_sound_ledger,
];

struct Bulk {
    requests: mpsc::Sender<v1::PostStreamRequest>,
    answers: Streaming<v1::PostStreamResponse>,
}

impl Bulk {
    async fn open(service: &Service) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let answers = service.ledger().post_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, answers }
    }

    async fn send(&self, operation: impl IntoOperation) {
        self.requests.send(v1::PostStreamRequest { operation: Some(operation.into_operation()) }).await.unwrap();
    }

    async fn next(&mut self) -> v1::PostStreamResponse {
        self.answers.message().await.unwrap().expect("an answer")
    }

    /// Sends one request and waits for its answer.
    async fn ask(&mut self, operation: impl IntoOperation) -> v1::OperationResult {
        self.send(operation).await;
        self.next().await.result.unwrap()
    }
}

/// Sends all and collects the answers by their numbers.
async fn run(service: &Service, operations: Vec<v1::Operation>) -> BTreeMap<i64, v1::PostStreamResponse> {
    let count = operations.len();
    let requests = operations.into_iter().map(|operation| v1::PostStreamRequest { operation: Some(operation) });
    let stream = tokio_stream::iter(requests.collect::<Vec<_>>());
    let answers = service.ledger().post_stream(stream).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert_eq!(answers.len(), count);
    let by_number: BTreeMap<_, _> = answers.into_iter().map(|answer| (answer.request_index, answer)).collect();
    assert_eq!(by_number.len(), count, "every number is answered once");
    by_number
}

fn posted(result: &v1::OperationResult) -> &v1::PostResponse {
    match &result.result {
        Some(Outcome::Post(done)) => done,
        other => panic!("no post: {other:?}"),
    }
}

async fn each_request_is_answered_by_its_number(service: &Service) {
    let ids: Vec<String> = (0..10).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open(id).await;
    }
    let posts: Vec<_> = (0..2500_usize).map(|n| payment(&ids[n % 10], "1")).collect();
    let answers = run(service, posts.iter().cloned().map(IntoOperation::into_operation).collect()).await;
    for (post, (number, answer)) in posts.iter().zip(&answers) {
        assert_eq!(&posts[usize::try_from(*number).unwrap()].idempotency_key, &answer.idempotency_key);
        assert_eq!((&post.account_id, &post.idempotency_key), (&answer.account_id, &answer.idempotency_key));
        let entry = posted(answer.result.as_ref().unwrap()).entry.as_ref().unwrap();
        assert_eq!(entry.idempotency_key, post.idempotency_key);
    }
    for id in &ids {
        assert_eq!(figures(&service.balance(id).await)[0], "250.00");
    }
}

async fn a_bad_request_answers_itself_and_the_stream_goes_on(service: &Service) {
    service.open("acme-1").await;
    let mut bulk = Bulk::open(service).await;
    assert!(!posted(&bulk.ask(payment("acme-1", "10")).await).replayed);
    bulk.ask(payment("acme-1", "x")).await.refused_item(ErrorReason::AmountMalformed);
    bulk.ask(payment("nobody", "1")).await.refused_item(ErrorReason::AccountNotFound);
    bulk.ask(covered_charge("acme-1", "11")).await.refused_item(ErrorReason::InsufficientFunds);
    let trial = v1::PostRequest { validate_only: true, ..payment("acme-1", "1") };
    bulk.ask(trial).await.refused_item(ErrorReason::FieldNotAllowed);
    bulk.requests.send(v1::PostStreamRequest { operation: None }).await.unwrap();
    let empty = bulk.next().await;
    empty.result.unwrap().refused_item(ErrorReason::FieldRequired);
    assert_eq!((empty.request_index, empty.account_id.as_str(), empty.idempotency_key.as_str()), (5, "", ""));
    assert!(!posted(&bulk.ask(covered_charge("acme-1", "10")).await).replayed);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "0.00");
}

async fn posts_to_one_account_keep_their_order(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    // Each charge is covered only by the payment right before it.
    let mut operations = Vec::new();
    for n in 1..=200 {
        operations.push(payment("acme-1", &n.to_string()).into_operation());
        operations.push(payment("acme-2", "1").into_operation());
        operations.push(covered_charge("acme-1", &n.to_string()).into_operation());
    }
    let sent: Vec<String> = operations
        .iter()
        .filter_map(|operation| match &operation.operation {
            Some(v1::operation::Operation::Post(post)) if post.account_id == "acme-1" => {
                Some(post.idempotency_key.clone())
            }
            _ => None,
        })
        .collect();
    for answer in run(service, operations).await.values() {
        posted(answer.result.as_ref().unwrap());
    }
    let entries = all_entries(&mut service.ledger(), "acme-1").await;
    let written: Vec<String> = entries.into_iter().map(|entry| entry.idempotency_key).collect();
    assert_eq!(written, sent);
}

async fn every_operation_can_be_streamed(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    let mut bulk = Bulk::open(service).await;
    bulk.ask(payment("acme-1", "100")).await;
    let moved = bulk.ask(transfer("acme-1", "acme-2", "10")).await;
    assert!(matches!(moved.result, Some(Outcome::Transfer(_))), "{moved:?}");
    let held = bulk.ask(hold("acme-1", "h", "20")).await;
    assert!(matches!(held.result, Some(Outcome::PlaceHold(_))), "{held:?}");
    let captured = bulk.ask(capture("acme-1", "h")).await;
    assert!(matches!(captured.result, Some(Outcome::CaptureHold(_))), "{captured:?}");
    bulk.ask(hold("acme-1", "g", "20")).await;
    let released = bulk.ask(release("acme-1", "g")).await;
    assert!(matches!(released.result, Some(Outcome::ReleaseHold(_))), "{released:?}");
    let reversed = bulk.ask(reversal("acme-1", 2)).await;
    assert!(matches!(reversed.result, Some(Outcome::Reverse(_))), "{reversed:?}");
    assert_eq!(figures(&service.balance("acme-1").await), ["-30.00", "0.00", "-30.00"]);
    let named = bulk.send(transfer("acme-2", "acme-1", "1"));
    named.await;
    let answer = bulk.next().await;
    assert_eq!((answer.account_id.as_str(), answer.request_index), ("acme-2", 7), "a transfer is named by its payer");
}

async fn a_repeated_stream_is_a_replay(service: &Service) {
    service.open("acme-1").await;
    let operations: Vec<_> = (0..300).map(|_| charge("acme-1", "1").into_operation()).collect();
    let first = run(service, operations.clone()).await;
    let again = run(service, operations).await;
    for (number, answer) in &again {
        let (first, again) = (posted(first[number].result.as_ref().unwrap()), posted(answer.result.as_ref().unwrap()));
        assert!(!first.replayed && again.replayed);
        assert_eq!(first.entry, again.entry);
    }
    assert_eq!(figures(&service.balance("acme-1").await)[0], "-300.00");
    let other = v1::PostRequest {
        idempotency_key: first[&0].idempotency_key.clone(),
        amount: money("2"),
        ..charge("acme-1", "")
    };
    run(service, vec![other.into_operation()]).await[&0]
        .result
        .as_ref()
        .unwrap()
        .refused_item(ErrorReason::IdempotencyKeyReused);
}

async fn the_stream_ends_when_its_caller_has_no_more(service: &Service) {
    service.open("acme-1").await;
    assert!(run(service, Vec::new()).await.is_empty());
    let mut bulk = Bulk::open(service).await;
    for _ in 0..10 {
        bulk.send(payment("acme-1", "1")).await;
    }
    drop(bulk.requests);
    let mut answered = 0;
    while bulk.answers.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, 10, "what was sent is answered before the end");
}

async fn a_slow_reader_is_waited_for(service: &Service) {
    service.open("acme-1").await;
    let posts = (0..25_000).map(|_| payment("acme-1", "1"));
    let stream = tokio_stream::iter(posts.map(|post| v1::PostStreamRequest { operation: Some(post.into_operation()) }));
    let mut answers = service.ledger().post_stream(stream).await.unwrap().into_inner();
    // Nobody reads: the server stops reading too, long before all is posted.
    let mut seen = -1;
    loop {
        let sequence = service.balance("acme-1").await.sequence;
        if sequence == seen {
            break;
        }
        seen = sequence;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(seen < 25_001, "the server reads only as fast as its answers are taken");
    let mut answered = 0;
    while answers.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, 25_000);
    assert_eq!(figures(&service.balance("acme-1").await)[0], "25000.00");
}

async fn a_caller_that_goes_away_leaves_a_sound_ledger(service: &Service) {
    service.open("acme-1").await;
    let mut bulk = Bulk::open(service).await;
    for _ in 0..200 {
        bulk.send(payment("acme-1", "1")).await;
    }
    bulk.next().await;
    drop(bulk);
    let sequence = service.balance("acme-1").await.sequence;
    assert!(sequence > 1);
    assert!(!service.post(payment("acme-1", "1")).await.unwrap().replayed);
}
