//! The followed stream: accounts come and go while it runs.

use billing_proto::v1;
use billing_proto::v1::event::Payload;
use billing_proto::v1::follow_request::Request;
use billing_proto::v1::follow_response::Message;
use billing_proto::v1::{ErrorReason, follow_start};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::harness::listener::told;
use crate::harness::refusal::refused;
use crate::harness::requests::payment;
use crate::harness::{Service, on_both};

on_both![
    accounts_come_and_go_while_the_stream_runs,
    each_account_sends_its_snapshot_first,
    what_does_not_exist_is_listed,
    a_followed_stream_has_a_token_before_anything_happens,
    a_followed_stream_is_resumed,
    a_start_in_parts_continues_from_one_token,
    with_a_token_only_added_accounts_send_their_balance,
    the_stream_ends_with_its_caller,
    the_first_request_is_start_and_there_is_one,
];

struct Followed {
    requests: Option<mpsc::Sender<v1::FollowRequest>>,
    answers: Streaming<v1::FollowResponse>,
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}

impl Followed {
    async fn open(service: &Service, first: Request) -> Self {
        let (requests, receiver) = mpsc::channel(8);
        requests.send(v1::FollowRequest { request: Some(first) }).await.unwrap();
        let answers = service.events().follow(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests: Some(requests), answers }
    }

    async fn start(service: &Service, account_ids: &[&str]) -> Self {
        let start = v1::FollowStart { account_ids: ids(account_ids), ..v1::FollowStart::default() };
        Self::open(service, Request::Start(start)).await
    }

    async fn resume(service: &Service, account_ids: &[&str], token: &str, include_snapshot: bool) -> Self {
        let start = v1::FollowStart {
            account_ids: ids(account_ids),
            start: Some(follow_start::Start::ResumeToken(token.to_owned())),
            include_snapshot,
            ..v1::FollowStart::default()
        };
        Self::open(service, Request::Start(start)).await
    }

    async fn send(&self, request: Request) {
        self.requests.as_ref().unwrap().send(v1::FollowRequest { request: Some(request) }).await.unwrap();
    }

    async fn add(&self, account_ids: &[&str]) {
        self.send(Request::Add(v1::FollowAdd { account_ids: ids(account_ids) })).await;
    }

    async fn remove(&self, account_ids: &[&str]) {
        self.send(Request::Remove(v1::FollowRemove { account_ids: ids(account_ids) })).await;
    }

    /// The next message that is no heartbeat, in one line.
    async fn next(&mut self) -> String {
        loop {
            match self.message().await.unwrap().expect("the stream goes on") {
                Message::Event(event) if matches!(event.payload, Some(Payload::Heartbeat(_))) => {}
                Message::Event(event) => return told(&event),
                Message::AccountsChanged(changed) => {
                    let list = |name: &str, ids: &[String]| {
                        if ids.is_empty() { String::new() } else { format!(" {name} {}", ids.join(",")) }
                    };
                    let all = [
                        list("added", &changed.added_account_ids),
                        list("removed", &changed.removed_account_ids),
                        list("missing", &changed.missing_account_ids),
                    ];
                    return format!("changed:{}", all.concat());
                }
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Message>, Status> {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.answers.message());
        Ok(next.await.expect("a message comes")?.map(|response| response.message.unwrap()))
    }

    /// The status with which the stream ends.
    async fn end(&mut self) -> Status {
        loop {
            match self.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream has ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

async fn accounts_come_and_go_while_the_stream_runs(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    let mut followed = Followed::start(service, &["acme-1"]).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    service.post(payment("acme-2", "1")).await.unwrap();
    service.post(payment("acme-1", "1")).await.unwrap();
    assert_eq!(followed.next().await, "acme-1 2 posted 1.00 available 1.00");
    followed.add(&["acme-2", "acme-1"]).await;
    assert_eq!(followed.next().await, "changed: added acme-2");
    service.post(payment("acme-2", "1")).await.unwrap();
    assert_eq!(followed.next().await, "acme-2 3 posted 2.00 available 2.00");
    followed.remove(&["acme-1", "nobody"]).await;
    assert_eq!(followed.next().await, "changed: removed acme-1");
    service.post(payment("acme-1", "1")).await.unwrap();
    service.post(payment("acme-2", "1")).await.unwrap();
    assert_eq!(followed.next().await, "acme-2 4 posted 3.00 available 3.00");
}

async fn each_account_sends_its_snapshot_first(service: &Service) {
    service.open_with("acme-1", "5").await;
    service.open_with("acme-2", "7").await;
    let start = v1::FollowStart { account_ids: ids(&["acme-1"]), include_snapshot: true, ..v1::FollowStart::default() };
    let mut followed = Followed::open(service, Request::Start(start)).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    assert_eq!(followed.next().await, "acme-1 has 5.00");
    followed.add(&["acme-2"]).await;
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("acme-2 has 7.00") {
        seen.push(followed.next().await);
    }
    let events: Vec<_> = seen.iter().filter(|line| !line.starts_with("snapshot of")).collect();
    assert_eq!(events, ["changed: added acme-2", "acme-2 has 7.00"]);
    service.post(payment("acme-2", "1")).await.unwrap();
    let next = loop {
        let line = followed.next().await;
        if !line.starts_with("snapshot of") {
            break line;
        }
    };
    assert_eq!(next, "acme-2 3 posted 8.00 available 8.00");
}

async fn what_does_not_exist_is_listed(service: &Service) {
    service.open("acme-1").await;
    let mut followed = Followed::start(service, &["nobody", "acme-1"]).await;
    assert_eq!(followed.next().await, "changed: added acme-1 missing nobody");
    followed.add(&["no-one"]).await;
    assert_eq!(followed.next().await, "changed: missing no-one");
    service.open("no-one").await;
    followed.add(&["no-one"]).await;
    assert_eq!(followed.next().await, "changed: added no-one");
}

async fn a_followed_stream_has_a_token_before_anything_happens(service: &Service) {
    service.open("acme-1").await;
    let mut followed = Followed::start(service, &["acme-1"]).await;
    let Some(Message::Event(begun)) = followed.message().await.unwrap() else { panic!("an event comes first") };
    assert_eq!(begun.payload, Some(Payload::Heartbeat(v1::Heartbeat { catching_up: false })));
    drop(followed);
    service.post(payment("acme-1", "1")).await.unwrap();
    let mut followed = Followed::resume(service, &["acme-1"], &begun.resume_token, false).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    assert_eq!(followed.next().await, "acme-1 2 posted 1.00 available 1.00");
}

async fn a_start_in_parts_continues_from_one_token(service: &Service) {
    for id in ["acme-1", "acme-2"] {
        service.open(id).await;
    }
    let mut followed = Followed::start(service, &["acme-1", "acme-2"]).await;
    let Some(Message::Event(begun)) = followed.message().await.unwrap() else { panic!("an event comes first") };
    drop(followed);
    for id in ["acme-1", "acme-2"] {
        service.post(payment(id, "1")).await.unwrap();
    }
    let start = v1::FollowStart {
        account_ids: ids(&["acme-1"]),
        opening_adds: 1,
        start: Some(follow_start::Start::ResumeToken(begun.resume_token)),
        ..v1::FollowStart::default()
    };
    let mut followed = Followed::open(service, Request::Start(start)).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    followed.add(&["acme-2", "nobody"]).await;
    assert_eq!(followed.next().await, "changed: added acme-2 missing nobody");
    let mut events = [followed.next().await, followed.next().await];
    events.sort();
    assert_eq!(events, ["acme-1", "acme-2"].map(|id| format!("{id} 2 posted 1.00 available 1.00")));
}

async fn with_a_token_only_added_accounts_send_their_balance(service: &Service) {
    service.open_with("acme-1", "5").await;
    service.open_with("acme-2", "7").await;
    let mut followed = Followed::start(service, &["acme-1"]).await;
    let Some(Message::Event(begun)) = followed.message().await.unwrap() else { panic!("an event comes first") };
    drop(followed);
    let mut followed = Followed::resume(service, &["acme-1"], &begun.resume_token, true).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    followed.add(&["acme-2"]).await;
    assert_eq!(followed.next().await, "changed: added acme-2");
    assert_eq!(followed.next().await, "acme-2 has 7.00");
    assert_eq!(followed.next().await, "snapshot of 1 completed");
}

async fn a_followed_stream_is_resumed(service: &Service) {
    service.open("acme-1").await;
    let mut followed = Followed::start(service, &["acme-1"]).await;
    followed.next().await;
    service.post(payment("acme-1", "1")).await.unwrap();
    let token = loop {
        if let Some(Message::Event(event)) = followed.message().await.unwrap()
            && event.sequence == 2
        {
            break event.resume_token;
        }
    };
    drop(followed);
    service.post(payment("acme-1", "2")).await.unwrap();
    let mut followed = Followed::resume(service, &["acme-1"], &token, false).await;
    assert_eq!(followed.next().await, "changed: added acme-1");
    assert_eq!(followed.next().await, "acme-1 3 posted 3.00 available 3.00");
}

async fn the_stream_ends_with_its_caller(service: &Service) {
    service.open("acme-1").await;
    let mut followed = Followed::start(service, &["acme-1"]).await;
    followed.next().await;
    followed.requests = None;
    while followed.message().await.unwrap().is_some() {}
}

async fn the_first_request_is_start_and_there_is_one(service: &Service) {
    service.open("acme-1").await;
    let add = Request::Add(v1::FollowAdd { account_ids: ids(&["acme-1"]) });
    refused(&Followed::open(service, add).await.end().await, ErrorReason::FieldRequired);
    let mut followed = Followed::start(service, &["acme-1"]).await;
    followed.next().await;
    followed.send(Request::Start(v1::FollowStart::default())).await;
    refused(&followed.end().await, ErrorReason::FieldNotAllowed);
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let start = v1::FollowStart { account_ids: many, ..v1::FollowStart::default() };
    refused(&Followed::open(service, Request::Start(start)).await.end().await, ErrorReason::TooManyItems);
    for opening_adds in [-1, 100] {
        let start = v1::FollowStart { opening_adds, ..v1::FollowStart::default() };
        let status = Followed::open(service, Request::Start(start)).await.end().await;
        assert_eq!(refused(&status, ErrorReason::FieldOutOfRange).field(), "start.opening_adds");
    }
    let mut followed = Followed::start(service, &[]).await;
    assert_eq!(followed.next().await, "changed:");
    followed.add(&[]).await;
    refused(&followed.end().await, ErrorReason::FieldRequired);
}
