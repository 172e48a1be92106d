//! Unary calls.

use std::time::Duration;

use billing_client::{Client, Decimal, Error, Post, Reason, RetryPolicy};
use billing_proto::v1;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tonic::Code;

use crate::fake::Fake;
use crate::sample::{overloaded, posted, refusal};

fn ten() -> Post {
    Post::payment("acme-1", Decimal::TEN)
}

#[tokio::test]
async fn a_post_is_repeated_with_the_same_key_until_it_is_answered() {
    let fake = Fake::start().await;
    let post = ten();
    fake.answer_posts([
        Err(refusal(Code::Unavailable, "STORAGE_UNAVAILABLE")),
        Err(refusal(Code::Unavailable, "COMMIT_OUTCOME_UNKNOWN")),
        Err(refusal(Code::Aborted, "CONTENTION")),
        Ok(posted(&post.clone().into(), 7)),
    ]);
    let answer = fake.client().post(&post).await.unwrap();
    assert_eq!((answer.entry.sequence, answer.entry.amount), (7, Decimal::TEN));
    let expected = v1::PostRequest::from(post);
    assert_eq!(fake.seen_posts(), vec![expected; 4]);
}

#[tokio::test]
async fn a_refusal_is_final() {
    let fake = Fake::start().await;
    fake.answer_posts([Err(refusal(Code::FailedPrecondition, "INSUFFICIENT_FUNDS"))]);
    let error = fake.client().post(&ten()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::InsufficientFunds));
    assert!(!error.outcome_unknown());
    assert_eq!(fake.seen_posts().len(), 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_not_forgotten_over_later_refusals() {
    let fake = Fake::start().await;
    fake.answer_posts([
        Err(refusal(Code::Unavailable, "COMMIT_OUTCOME_UNKNOWN")),
        Err(refusal(Code::ResourceExhausted, "STORAGE_FULL")),
    ]);
    let error = fake.client().post(&ten()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::StorageFull));
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_is_not_answered() {
    let fake = Fake::start().await;
    let error = fake.client().with_deadline(Duration::from_millis(50)).post(&ten()).await.unwrap_err();
    assert!(matches!(error, Error::Deadline { started: true }), "{error:?}");
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_delay_beyond_the_deadline_is_not_waited_for() {
    let fake = Fake::start().await;
    fake.answer_posts([Err(overloaded(Duration::from_secs(3600)))]);
    let error = fake.client().post(&ten()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::Overloaded));
}

#[tokio::test]
async fn an_instance_that_is_away_is_passed_over() {
    let fake = Fake::start().await;
    let client = Client::builder("http://127.0.0.1:1").endpoint(&fake.endpoint).bearer_token("secret");
    let client = client.connect().await.unwrap();
    for sequence in 1..=4 {
        let post = ten();
        fake.answer_posts([Ok(posted(&post.clone().into(), sequence))]);
        assert_eq!(client.post(&post).await.unwrap().entry.sequence, sequence);
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_has_sent_nothing() {
    let client = Client::builder("http://127.0.0.1:1").retry(RetryPolicy::never()).connect_lazy().unwrap();
    let error = client.post(&ten()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: false, .. }), "{error:?}");
    assert!(error.is_retryable() && !error.outcome_unknown());
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
        }
    });
    let client = Client::builder(endpoint).retry(RetryPolicy::never()).connect_lazy().unwrap();
    let error = client.post(&ten()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: true, .. }), "{error:?}");
    assert!(error.is_retryable() && error.outcome_unknown());
}
