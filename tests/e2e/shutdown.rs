//! Stopping: open streams end with their token, what has begun is answered, and the process ends in time.

use std::time::{Duration, Instant};

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use billing_proto::v1::follow_request::Request;
use billing_proto::v1::subscribe_request::Start;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::listener::told;
use crate::harness::refusal::refused;
use crate::harness::requests::{IntoOperation as _, account, payment, subscription};
use crate::harness::{Backend, Listener, Process, Service, TestDatabase, on_both_databases};

on_both_databases![
    open_streams_end_with_their_token,
    what_has_begun_is_answered,
    a_process_that_is_told_to_stop_ends_in_time,
    a_second_process_cannot_share_a_file_but_can_share_postgresql,
];

async fn open_streams_end_with_their_token(database: TestDatabase) {
    let service = Service::start(&database).await;
    service.open("acme-1").await;
    let mut listener = service.subscribe(subscription(&["acme-1"])).await.unwrap();
    let (requests, receiver) = mpsc::channel(4);
    let start = v1::FollowStart { account_ids: vec!["acme-1".to_owned()], ..v1::FollowStart::default() };
    requests.send(v1::FollowRequest { request: Some(Request::Start(start)) }).await.unwrap();
    let mut followed = service.events().follow(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    followed.message().await.unwrap();
    let (operations, receiver) = mpsc::channel(4);
    let mut bulk = service.ledger().post_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let operation = Some(payment("acme-1", "1").into_operation());
    operations.send(v1::PostStreamRequest { operation }).await.unwrap();
    bulk.message().await.unwrap().unwrap();
    assert_eq!(listener.next().await.sequence, 2);

    let served = service.signal_stop();
    let ended = refused(&listener.end().await, ErrorReason::ShuttingDown);
    let token = ended.detail("resume_token").to_owned();
    let status = loop {
        match followed.message().await {
            Ok(message) => assert!(message.is_some(), "a stream never ends without a reason"),
            Err(status) => break status,
        }
    };
    assert!(!refused(&status, ErrorReason::ShuttingDown).detail("resume_token").is_empty());
    refused(&bulk.message().await.unwrap_err(), ErrorReason::ShuttingDown);
    served.await.unwrap().unwrap();

    let service = Service::start(&database).await;
    service.post(payment("acme-1", "2")).await.unwrap();
    let start = Some(Start::ResumeToken(token));
    let mut listener = service.subscribe(v1::SubscribeRequest { start, ..subscription(&["acme-1"]) }).await.unwrap();
    assert_eq!(told(&listener.next().await), "acme-1 3 posted 3.00 available 3.00");
    drop(listener);
    service.stop().await;
}

async fn what_has_begun_is_answered(database: TestDatabase) {
    let service = Service::start_with(&database, |settings| settings.drain = Duration::from_secs(10)).await;
    service.open("acme-1").await;
    let frozen = database.freeze();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let mut ledger = service.ledger();
        calls.spawn(async move { ledger.post(payment("acme-1", "1")).await });
    }
    // The connection is told that the server goes away while the five wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let served = service.signal_stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(frozen);
    let mut answered = 0;
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
        answered += 1;
    }
    assert_eq!(answered, 5);
    served.await.unwrap().unwrap();
    let service = Service::start(&database).await;
    assert_eq!(service.balance("acme-1").await.entry_sequence, 6);
    service.stop().await;
}

async fn a_process_that_is_told_to_stop_ends_in_time(database: TestDatabase) {
    let mut process = Process::start(&database).await;
    let mut accounts = v1::account_service_client::AccountServiceClient::new(process.channel());
    accounts.create_account(account("acme-1")).await.unwrap();
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners
            .push(Listener::new(process.events().subscribe(subscription(&["acme-1"])).await.unwrap().into_inner()));
    }
    let posted = process.ledger().post(payment("acme-1", "1")).await.unwrap().into_inner().entry.unwrap();
    let begun = Instant::now();
    process.signal("TERM");
    for mut listener in listeners {
        refused(&listener.end().await, ErrorReason::ShuttingDown);
    }
    let status = process.wait().await;
    assert!(status.success(), "{status}\n{}", process.log());
    // The drain time of the settings, and some for a machine that is busy.
    assert!(begun.elapsed() < Duration::from_secs(10 + 10));
    let process = process.restart().await;
    let request =
        v1::GetEntryRequest { account_id: "acme-1".to_owned(), sequence: posted.sequence, min_position: None };
    assert_eq!(process.ledger().get_entry(request).await.unwrap().into_inner().entry, Some(posted));
}

async fn a_second_process_cannot_share_a_file_but_can_share_postgresql(database: TestDatabase) {
    let one = Process::start(&database).await;
    match database.backend {
        Backend::Postgres => {
            let two = Process::start(&database).await;
            assert_eq!(two.health().await, Some(ServingStatus::Serving));
        }
        Backend::Sqlite => {
            let output = std::process::Command::new(crate::harness::process::binary())
                .args(["--listen", "127.0.0.1:0", "--database-url", &database.url])
                .current_dir(database.dir())
                .output()
                .unwrap();
            assert!(!output.status.success());
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains("in use"), "{told}");
        }
    }
    assert_eq!(one.health().await, Some(ServingStatus::Serving));
}
