//! Bulk posting.

use std::collections::BTreeMap;

use billing_client::{BulkResult, Decimal, Error, Post, Reason, RetryPolicy};
use billing_proto::v1;
use billing_proto::v1::operation::Operation as Wire;
use billing_proto::v1::operation_result::Result as Outcome;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::{Code, Streaming};

use crate::fake::{Answers, Fake};
use crate::sample::{posted, refusal};

fn posts(count: u64) -> impl Iterator<Item = Post> + Send + 'static {
    (0..count).map(|number| Post::payment("acme-1", Decimal::TEN).key(format!("key-{number}")))
}

/// The next request, and its post.
async fn request(requests: &mut Streaming<v1::PostStreamRequest>) -> Option<v1::PostRequest> {
    match requests.message().await.ok()??.operation?.operation? {
        Wire::Post(post) => Some(post),
        other => panic!("no post but {other:?}"),
    }
}

fn answer(answers: &Answers<v1::PostStreamResponse>, request_index: i64, post: &v1::PostRequest, result: Outcome) {
    let response = v1::PostStreamResponse {
        request_index,
        account_id: post.account_id.clone(),
        idempotency_key: post.idempotency_key.clone(),
        result: Some(v1::OperationResult { result: Some(result) }),
    };
    // A client that has all of its answers may be gone.
    let _ = answers.send(Ok(response));
}

fn refused(code: Code, reason: &str) -> Outcome {
    Outcome::Error(v1::OperationError { code: code as i32, reason: reason.to_owned(), ..Default::default() })
}

/// Answers everything that comes.
async fn answer_all(mut requests: Streaming<v1::PostStreamRequest>, answers: Answers<v1::PostStreamResponse>) -> usize {
    let mut count = 0;
    while let Some(post) = request(&mut requests).await {
        answer(&answers, count, &post, Outcome::Post(posted(&post, count)));
        count += 1;
    }
    usize::try_from(count).unwrap()
}

#[tokio::test]
async fn every_operation_has_its_result() {
    let mut fake = Fake::start().await;
    let results = fake.client().bulk().window(10).send_all(posts(1000));
    let collect = tokio::spawn(results.try_collect::<Vec<BulkResult>>());
    let (requests, answers) = fake.bulk().await;
    assert_eq!(answer_all(requests, answers).await, 1000);
    let results = collect.await.unwrap().unwrap();
    let indices: Vec<u64> = results.iter().map(|result| result.index).collect();
    assert_eq!(indices, (0..1000).collect::<Vec<_>>());
    assert_eq!(results[999].idempotency_key, "key-999");
    assert!(results.iter().all(|result| result.outcome.is_ok()));
}

#[tokio::test]
async fn no_more_than_the_window_is_under_way() {
    let mut fake = Fake::start().await;
    let mut results = fake.client().bulk().window(3).send_all(posts(4));
    let (mut requests, answers) = fake.bulk().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(request(&mut requests).await.unwrap());
    }
    // The fourth comes only after an answer, here the one to the second.
    answer(&answers, 1, &seen[1], Outcome::Post(posted(&seen[1], 1)));
    assert_eq!(results.next().await.unwrap().unwrap().index, 1);
    assert_eq!(request(&mut requests).await.unwrap().idempotency_key, "key-3");
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_with_the_same_keys() {
    let mut fake = Fake::start().await;
    let results = fake.client().bulk().window(5).send_all(posts(20));
    let collect = tokio::spawn(results.try_collect::<Vec<BulkResult>>());

    let (mut requests, answers) = fake.bulk().await;
    for number in 0..3 {
        let post = request(&mut requests).await.unwrap();
        if number != 1 {
            answer(&answers, number, &post, Outcome::Post(posted(&post, number)));
        }
    }
    answers.send(Err(refusal(Code::Unavailable, "STREAM_AGE_REACHED"))).unwrap();
    drop((requests, answers));

    let (mut requests, answers) = fake.bulk().await;
    let again = request(&mut requests).await.unwrap();
    assert_eq!(again.idempotency_key, "key-1");
    answer(&answers, 0, &again, Outcome::Post(v1::PostResponse { replayed: true, ..posted(&again, 1) }));
    let mut number = 1;
    while let Some(post) = request(&mut requests).await {
        answer(&answers, number, &post, Outcome::Post(posted(&post, number)));
        number += 1;
    }
    let results = collect.await.unwrap().unwrap();
    let by_index: BTreeMap<u64, BulkResult> = results.into_iter().map(|result| (result.index, result)).collect();
    assert_eq!(by_index.len(), 20);
    assert!(by_index[&1].outcome.as_ref().unwrap().replayed());
}

#[tokio::test]
async fn a_refused_operation_is_a_result_and_one_that_may_heal_is_sent_again() {
    let mut fake = Fake::start().await;
    let results = fake.client().bulk().send_all(posts(2));
    let collect = tokio::spawn(results.try_collect::<Vec<BulkResult>>());
    let (mut requests, answers) = fake.bulk().await;
    let first = request(&mut requests).await.unwrap();
    let second = request(&mut requests).await.unwrap();
    answer(&answers, 0, &first, refused(Code::Unavailable, "COMMIT_OUTCOME_UNKNOWN"));
    answer(&answers, 1, &second, refused(Code::FailedPrecondition, "ACCOUNT_CLOSED"));
    let again = request(&mut requests).await.unwrap();
    assert_eq!(again, first);
    answer(&answers, 2, &again, Outcome::Post(posted(&again, 1)));
    let results = collect.await.unwrap().unwrap();
    assert_eq!(results[0].outcome.as_ref().unwrap_err().reason(), Some(&Reason::AccountClosed));
    assert_eq!((results[1].index, results[1].outcome.is_ok()), (0, true));
}

#[tokio::test]
async fn a_bulk_that_is_given_up_tells_what_is_unknown() {
    let mut fake = Fake::start().await;
    let client = fake.client().with_retry(RetryPolicy::never());
    let mut results = client.bulk().window(2).send_all(posts(5));
    let (mut requests, answers) = fake.bulk().await;
    request(&mut requests).await.unwrap();
    request(&mut requests).await.unwrap();
    answers.send(Err(refusal(Code::Unavailable, "SHUTTING_DOWN"))).unwrap();
    for index in 0..2 {
        let result = results.next().await.unwrap().unwrap();
        assert_eq!(result.index, index);
        assert!(result.outcome.unwrap_err().outcome_unknown());
    }
    assert!(matches!(results.next().await, Some(Err(Error::Refused(_)))));
    assert!(results.next().await.is_none());
}

#[tokio::test]
async fn an_empty_bulk_opens_no_stream() {
    let fake = Fake::start().await;
    let mut results = fake.client().bulk().send_all(Vec::<Post>::new());
    assert!(results.next().await.is_none());
}
