//! Subscriptions.

use std::time::Duration;

use billing_client::{Error, Events, Reason, Subscription};
use billing_proto::v1;
use billing_proto::v1::subscribe_request::Start;
use futures_util::StreamExt as _;
use tonic::{Code, Status};

use crate::fake::{Answers, Fake};
use crate::sample::{heartbeat, limit_changed, refusal};

fn send(answers: &Answers<v1::SubscribeResponse>, event: v1::Event) {
    answers.send(Ok(v1::SubscribeResponse { event: Some(event) })).unwrap();
}

fn resumes_at(token: &str) -> Option<Start> {
    Some(Start::ResumeToken(token.to_owned()))
}

async fn next_token(events: &mut Events) -> String {
    events.next().await.unwrap().unwrap().resume_token
}

#[tokio::test]
async fn every_ending_that_heals_is_followed_by_a_resumption() {
    let mut fake = Fake::start().await;
    let mut events = fake.client().subscribe(Subscription::accounts(["acme-1"]).with_snapshot());
    let (request, mut answers) = fake.subscription().await;
    assert_eq!((request.account_ids, request.start, request.include_snapshot), (vec!["acme-1".into()], None, true));
    let endings = [
        Some(refusal(Code::Unavailable, "STREAM_AGE_REACHED")),
        Some(refusal(Code::Unavailable, "SHUTTING_DOWN")),
        Some(refusal(Code::ResourceExhausted, "SLOW_SUBSCRIBER")),
        Some(Status::internal("something failed")),
        Some(Status::unknown("who knows")),
        None,
    ];
    for (number, ending) in endings.into_iter().enumerate() {
        let token = format!("t{number}");
        send(&answers, limit_changed(&token, "acme-1"));
        assert_eq!(next_token(&mut events).await, token);
        if let Some(status) = ending {
            answers.send(Err(status)).unwrap();
        }
        drop(answers);
        let (request, next_answers) = fake.subscription().await;
        assert_eq!((request.start, request.include_snapshot), (resumes_at(&token), true));
        answers = next_answers;
    }
}

#[tokio::test]
async fn an_error_that_cannot_heal_is_the_last_item() {
    for (code, reason) in [
        (Code::FailedPrecondition, Reason::ResumeTokenDiverged),
        (Code::OutOfRange, Reason::ResumeTokenExpired),
        (Code::PermissionDenied, Reason::PermissionDenied),
        (Code::InvalidArgument, Reason::FieldRequired),
        (Code::NotFound, Reason::AccountNotFound),
    ] {
        let mut fake = Fake::start().await;
        let mut events = fake.client().subscribe(Subscription::accounts(["acme-1"]).resume_from("old"));
        assert_eq!(events.resume_token(), Some("old"));
        let (request, answers) = fake.subscription().await;
        assert_eq!(request.start, resumes_at("old"));
        answers.send(Err(refusal(code, reason.name()))).unwrap();
        let error = events.next().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(&reason));
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn a_malformed_event_ends_the_stream() {
    let mut fake = Fake::start().await;
    let mut events = fake.client().subscribe(Subscription::all_accounts());
    let (_, answers) = fake.subscription().await;
    send(&answers, v1::Event { event_time: None, ..limit_changed("t1", "acme-1") });
    assert!(matches!(events.next().await, Some(Err(Error::Malformed(_)))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn heartbeats_move_the_token_and_are_yielded_on_request_only() {
    let mut fake = Fake::start().await;
    let mut silent = fake.client().subscribe(Subscription::accounts(["acme-1"]));
    let (_, answers) = fake.subscription().await;
    send(&answers, heartbeat("h1"));
    send(&answers, limit_changed("t2", "acme-1"));
    assert_eq!(next_token(&mut silent).await, "t2");
    send(&answers, heartbeat("h3"));
    drop(answers);
    let (request, _answers) = fake.subscription().await;
    assert_eq!(request.start, resumes_at("h3"));

    let mut all = fake.client().subscribe(Subscription::accounts(["acme-1"]).with_heartbeats());
    let (_, answers) = fake.subscription().await;
    send(&answers, heartbeat("h4"));
    assert!(all.next().await.unwrap().unwrap().is_heartbeat());
    assert_eq!(all.resume_token(), Some("h4"));
}

#[tokio::test]
async fn a_stream_without_heartbeats_is_opened_again() {
    let mut fake = Fake::start().await;
    let subscription = Subscription::accounts(["acme-1"]).heartbeat_interval(Duration::from_millis(20));
    let mut events = fake.client().subscribe(subscription);
    let (_, silent_answers) = fake.subscription().await;
    send(&silent_answers, limit_changed("t1", "acme-1"));
    assert_eq!(next_token(&mut events).await, "t1");
    let (request, _answers) = fake.subscription().await;
    assert_eq!(request.start, resumes_at("t1"));
}

#[tokio::test]
async fn a_dropped_subscription_closes_its_stream() {
    let mut fake = Fake::start().await;
    let events = fake.client().subscribe(Subscription::accounts(["acme-1"]));
    let (_, answers) = fake.subscription().await;
    drop(events);
    answers.closed().await;
}
