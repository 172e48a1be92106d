//! Followed streams.

use billing_client::{Error, Follow, Followed, Following};
use billing_proto::v1;
use billing_proto::v1::follow_request::Request as Wire;
use billing_proto::v1::follow_response::Message;
use billing_proto::v1::follow_start::Start;
use futures_util::StreamExt as _;
use tonic::{Code, Streaming};

use crate::fake::{Answers, Fake};
use crate::sample::{heartbeat, limit_changed, refusal, snapshot};

async fn request(requests: &mut Streaming<v1::FollowRequest>) -> Wire {
    requests.message().await.unwrap().unwrap().request.unwrap()
}

async fn start(requests: &mut Streaming<v1::FollowRequest>) -> v1::FollowStart {
    match request(requests).await {
        Wire::Start(start) => start,
        other => panic!("the first request is {other:?}"),
    }
}

fn send(answers: &Answers<v1::FollowResponse>, event: v1::Event) {
    answers.send(Ok(v1::FollowResponse { message: Some(Message::Event(event)) })).unwrap();
}

fn confirm(answers: &Answers<v1::FollowResponse>, added: &[&str], removed: &[&str], missing: &[&str]) {
    let changed = v1::FollowedAccountsChanged {
        added_account_ids: texts(added),
        removed_account_ids: texts(removed),
        missing_account_ids: texts(missing),
    };
    answers.send(Ok(v1::FollowResponse { message: Some(Message::AccountsChanged(changed)) })).unwrap();
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

async fn told(follow: &mut Follow, added: &[&str], removed: &[&str], missing: &[&str]) {
    let expected = Followed::AccountsChanged { added: texts(added), removed: texts(removed), missing: texts(missing) };
    assert_eq!(follow.next().await.unwrap().unwrap(), expected);
}

async fn event_of(follow: &mut Follow) -> (String, String) {
    match follow.next().await.unwrap().unwrap() {
        Followed::Event(event) => (event.account_id, event.resume_token),
        other => panic!("no event but {other:?}"),
    }
}

#[tokio::test]
async fn the_set_of_accounts_survives_a_reconnect() {
    let mut fake = Fake::start().await;
    let mut follow = fake.client().follow(Following::accounts(["a", "b", "nobody"]));
    let (mut requests, answers) = fake.follow().await;
    assert_eq!(start(&mut requests).await.account_ids, texts(&["a", "b", "nobody"]));
    confirm(&answers, &["a", "b"], &[], &["nobody"]);
    told(&mut follow, &["a", "b"], &[], &["nobody"]).await;

    follow.handle().add(["c"]).unwrap();
    assert_eq!(request(&mut requests).await, Wire::Add(v1::FollowAdd { account_ids: texts(&["c"]) }));
    confirm(&answers, &["c"], &[], &[]);
    told(&mut follow, &["c"], &[], &[]).await;
    follow.handle().remove(["a"]).unwrap();
    assert_eq!(request(&mut requests).await, Wire::Remove(v1::FollowRemove { account_ids: texts(&["a"]) }));
    send(&answers, limit_changed("t1", "b"));
    assert_eq!(event_of(&mut follow).await, ("b".to_owned(), "t1".to_owned()));
    // The removal was not confirmed when the stream breaks.
    answers.send(Err(refusal(Code::Unavailable, "SHUTTING_DOWN"))).unwrap();

    let (mut requests, answers) = fake.follow().await;
    let begun = start(&mut requests).await;
    assert_eq!(begun.account_ids, texts(&["b", "c"]));
    assert_eq!(begun.start, Some(Start::ResumeToken("t1".to_owned())));
    confirm(&answers, &["b", "c"], &[], &[]);
    told(&mut follow, &[], &["a"], &[]).await;
    send(&answers, limit_changed("t2", "c"));
    assert_eq!(event_of(&mut follow).await, ("c".to_owned(), "t2".to_owned()));
    assert_eq!(follow.resume_token(), Some("t2"));
}

#[tokio::test]
async fn an_account_whose_snapshot_has_not_come_is_added_anew() {
    let mut fake = Fake::start().await;
    let mut follow = fake.client().follow(Following::accounts(["a"]).with_snapshot());
    let (mut requests, answers) = fake.follow().await;
    start(&mut requests).await;
    confirm(&answers, &["a"], &[], &[]);
    send(&answers, snapshot("t1", "a"));
    told(&mut follow, &["a"], &[], &[]).await;
    assert_eq!(event_of(&mut follow).await.1, "t1");
    follow.handle().add(["b", "c"]).unwrap();
    request(&mut requests).await;
    confirm(&answers, &["b", "c"], &[], &[]);
    send(&answers, snapshot("t2", "b"));
    told(&mut follow, &["b", "c"], &[], &[]).await;
    assert_eq!(event_of(&mut follow).await.1, "t2");
    drop(answers);

    let (mut requests, answers) = fake.follow().await;
    assert_eq!(start(&mut requests).await.account_ids, texts(&["a", "b"]));
    assert_eq!(request(&mut requests).await, Wire::Add(v1::FollowAdd { account_ids: texts(&["c"]) }));
    confirm(&answers, &["a", "b"], &[], &[]);
    confirm(&answers, &["c"], &[], &[]);
    send(&answers, snapshot("t3", "c"));
    // The caller knows these accounts already and is told nothing twice.
    assert_eq!(event_of(&mut follow).await, ("c".to_owned(), "t3".to_owned()));
}

#[tokio::test]
async fn any_number_of_accounts_continues_from_one_token() {
    let mut fake = Fake::start().await;
    let many: Vec<String> = (0..2500).map(|number| format!("account-{number:04}")).collect();
    let mut follow = fake.client().follow(Following::accounts(many.clone()));
    for begins_at in [None, Some("t1")] {
        let (mut requests, answers) = fake.follow().await;
        let begun = start(&mut requests).await;
        assert_eq!(begun.start, begins_at.map(|token| Start::ResumeToken(token.to_owned())));
        assert_eq!((begun.account_ids.as_slice(), begun.opening_adds), (&many[..1000], 2));
        for part in [&many[1000..2000], &many[2000..]] {
            assert_eq!(request(&mut requests).await, Wire::Add(v1::FollowAdd { account_ids: part.to_vec() }));
        }
        let parts = many.chunks(1000).map(|part| part.iter().map(String::as_str).collect::<Vec<_>>());
        for part in parts {
            confirm(&answers, &part, &[], &[]);
            if begins_at.is_none() {
                told(&mut follow, &part, &[], &[]).await;
            }
        }
        // What is confirmed again is not told again.
        send(&answers, limit_changed("t1", "account-2499"));
        assert_eq!(event_of(&mut follow).await.0, "account-2499");
    }
}

#[tokio::test]
async fn a_stream_that_has_just_begun_continues_from_its_heartbeat() {
    let mut fake = Fake::start().await;
    let mut follow = fake.client().follow(Following::accounts(["a"]).from_beginning());
    let (_requests, answers) = fake.follow().await;
    send(&answers, heartbeat("t0"));
    drop(answers);
    let (mut requests, answers) = fake.follow().await;
    let begun = start(&mut requests).await;
    assert_eq!((begun.account_ids, begun.start), (texts(&["a"]), Some(Start::ResumeToken("t0".to_owned()))));
    confirm(&answers, &["a"], &[], &[]);
    told(&mut follow, &["a"], &[], &[]).await;
    assert_eq!(follow.resume_token(), Some("t0"));
}

#[tokio::test]
async fn a_refusal_that_cannot_heal_ends_the_stream() {
    let mut fake = Fake::start().await;
    let mut follow = fake.client().follow(Following::accounts(["a"]));
    let (_requests, answers) = fake.follow().await;
    answers.send(Err(refusal(Code::PermissionDenied, "SCOPE_TOO_NARROW"))).unwrap();
    assert!(matches!(follow.next().await, Some(Err(Error::Refused(_)))));
    assert!(follow.next().await.is_none());
    assert!(matches!(follow.handle().add(["b"]), Err(Error::Transport { sent: false, .. })));
}
