//! The push stream.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event_service_server::EventService;
use futures_util::stream::{once, unfold};
use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::Call;
use crate::auth::Permission;
use crate::convert::text;
use crate::convert::violations::Violations;
use crate::domain::reason::{Reason, Refusal};
use crate::feed::{Change, Delivery, Following, Hub, MAX_FOLLOWED, Message, Order, Sees, Slot, Start, Types, outbox};
use crate::status;

/// How many accounts or customers one request names.
const MAX_NAMED: usize = 1_000;
/// How many requests may go on with a start: with it they name as many accounts as one stream follows.
const MAX_OPENING_ADDS: usize = MAX_FOLLOWED / MAX_NAMED - 1;
/// How often a heartbeat comes when the caller does not say.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it may come.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
const MAX_HEARTBEAT: Duration = Duration::from_secs(5 * 60);
/// How long a followed stream waits for its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// Serves `EventService`.
#[derive(Clone, Debug)]
pub struct Events {
    hub: Arc<Hub>,
    /// Room for events made ready for one stream.
    room: usize,
}

impl Events {
    /// The service over a hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        let room = hub.send_buffer();
        Self { hub, room }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Events {
    type SubscribeStream = Answers<v1::SubscribeResponse>;
    type FollowStream = Answers<v1::FollowResponse>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        if request.get_ref().all_accounts {
            Call::of(&request)?.principal.check_field(Permission::SubscribeAll, "all_accounts")?;
        }
        let order = subscribe_order(request.into_inner())?;
        let slot = self.hub.reserve()?;
        let subscription = self.hub.open(slot, order).await?;
        let (outbox, delivery) = outbox(self.room);
        tokio::spawn(subscription.run(outbox));
        Ok(Response::new(answers(delivery, |message| match message {
            Message::Event(event) => v1::SubscribeResponse { event: Some(*event) },
            // Only a followed stream confirms changes.
            Message::Changed(_) => v1::SubscribeResponse::default(),
        })))
    }

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let slot = self.hub.reserve()?;
        let (outbox, delivery) = outbox(self.room);
        let hub = Arc::clone(&self.hub);
        // Answered before its first request is there: some clients send nothing before they are.
        tokio::spawn(async move {
            match follow(&hub, slot, request.into_inner()).await {
                Ok(Some(subscription)) => subscription.run(outbox).await,
                Ok(None) => outbox.finish(Ok(())),
                Err(refusal) => outbox.finish(Err(refusal)),
            }
        });
        Ok(Response::new(answers(delivery, |message| {
            use v1::follow_response::Message as Out;
            let message = match message {
                Message::Event(event) => Out::Event(*event),
                Message::Changed(changed) => Out::AccountsChanged(*changed),
            };
            v1::FollowResponse { message: Some(message) }
        })))
    }
}

/// Opens a followed stream by its first request; none if the caller is gone before it comes.
async fn follow(
    hub: &Arc<Hub>,
    slot: Slot,
    mut requests: Streaming<v1::FollowRequest>,
) -> Result<Option<crate::feed::Subscription>, Refusal> {
    let first = tokio::select! {
        first = requests.next() => first,
        () = tokio::time::sleep(FIRST_REQUEST) => return Err(start_missing()),
        () = hub.stopping() => return Err(hub.refusal_of_stop()),
    };
    let Some(Ok(first)) = first else { return Ok(None) };
    let Some(v1::follow_request::Request::Start(start)) = first.request else { return Err(start_missing()) };
    let order = follow_order(start, requests)?;
    hub.open(slot, order).await.map(Some)
}

fn start_missing() -> Refusal {
    Refusal::field(Reason::FieldRequired, "start", "The first request of a followed stream is start.")
}

/// The messages of a stream as the contract writes them, and its end.
fn answers<T: 'static>(delivery: Delivery, write: impl Fn(Message) -> T + Send + 'static) -> Answers<T> {
    Box::pin(delivery.map(move |message| match message {
        Ok(message) => Ok(write(message)),
        Err(refusal) => Err(status::of(&refusal)),
    }))
}

/// What a subscriber wants.
///
/// # Errors
/// All violations of the request's shape.
fn subscribe_order(request: v1::SubscribeRequest) -> Result<Order, Refusal> {
    let mut found = Violations::default();
    check_ids(&mut found, "account_ids", &request.account_ids);
    check_ids(&mut found, "customer_ids", &request.customer_ids);
    let named = !(request.account_ids.is_empty() && request.customer_ids.is_empty());
    if request.all_accounts && named {
        let other = if request.account_ids.is_empty() { "customer_ids" } else { "account_ids" };
        let description = "all_accounts excludes account_ids and customer_ids.";
        found.add_with(Reason::FieldConflict, "all_accounts", description, &[("other_field", &other)]);
    } else if !request.all_accounts && !named {
        found.add(Reason::FieldRequired, "account_ids", "Name account_ids or customer_ids, or set all_accounts.");
    }
    let types = types(&mut found, &request.types);
    let start = match request.start {
        Some(v1::subscribe_request::Start::ResumeToken(token)) => Start::Token(token),
        Some(v1::subscribe_request::Start::From(from)) => start_from(&mut found, from),
        None => Start::Now,
    };
    check_snapshot(&mut found, request.include_snapshot, &start);
    let heartbeat = heartbeat(&mut found, request.heartbeat_interval);
    found.finish()?;
    Ok(Order {
        account_ids: request.account_ids,
        customer_ids: request.customer_ids,
        everybody: request.all_accounts,
        types,
        start,
        include_snapshot: request.include_snapshot,
        heartbeat,
        conflate: request.conflate_balances,
        sees: all_seen(),
        following: None,
    })
}

fn follow_order(start: v1::FollowStart, requests: Streaming<v1::FollowRequest>) -> Result<Order, Refusal> {
    let mut found = Violations::default();
    check_ids(&mut found, "start.account_ids", &start.account_ids);
    let types = types(&mut found, &start.types);
    let begin = match start.start {
        Some(v1::follow_start::Start::ResumeToken(token)) => Start::Token(token),
        Some(v1::follow_start::Start::From(from)) => start_from(&mut found, from),
        None => Start::Now,
    };
    check_snapshot(&mut found, start.include_snapshot, &begin);
    let heartbeat = heartbeat(&mut found, start.heartbeat_interval);
    let opening_adds = opening_adds(&mut found, start.opening_adds);
    found.finish()?;
    let first = once(ready(Ok(Change::Add(start.account_ids))));
    let following = Following { changes: Box::pin(first.chain(changes(requests))), opening: 1 + opening_adds };
    Ok(Order {
        account_ids: Vec::new(),
        customer_ids: Vec::new(),
        everybody: false,
        types,
        start: begin,
        include_snapshot: start.include_snapshot,
        heartbeat,
        conflate: start.conflate_balances,
        sees: all_seen(),
        following: Some(following),
    })
}

/// The changes that follow the first request. A caller that is gone has no more of them.
fn changes(requests: Streaming<v1::FollowRequest>) -> impl Stream<Item = Result<Change, Refusal>> + Send {
    unfold(requests, |mut requests| async move {
        let request = requests.next().await?.ok()?;
        Some((change(request), requests))
    })
}

fn change(request: v1::FollowRequest) -> Result<Change, Refusal> {
    use v1::follow_request::Request as Asked;
    let mut found = Violations::default();
    let change = match request.request {
        Some(Asked::Add(add)) => {
            check_some(&mut found, "add.account_ids", &add.account_ids);
            Some(Change::Add(add.account_ids))
        }
        Some(Asked::Remove(remove)) => {
            check_some(&mut found, "remove.account_ids", &remove.account_ids);
            Some(Change::Remove(remove.account_ids))
        }
        Some(Asked::Start(_)) => {
            found.add(Reason::FieldNotAllowed, "start", "There is one start, and it is the first request.");
            None
        }
        None => {
            found.add(Reason::FieldRequired, "request", "A request is start, add or remove.");
            None
        }
    };
    found.finish_with(change)
}

/// Until credentials are bound to accounts, whoever may subscribe may see each of them.
fn all_seen() -> Sees {
    Arc::new(|_| true)
}

fn check_some(found: &mut Violations, field: &str, ids: &[String]) {
    if ids.is_empty() {
        found.add_required(field);
    }
    check_ids(found, field, ids);
}

fn check_ids(found: &mut Violations, field: &str, ids: &[String]) {
    if ids.len() > MAX_NAMED {
        let description = format!("{field} holds at most {MAX_NAMED} of them.");
        let metadata: [(&str, &dyn std::fmt::Display); 3] =
            [("field", &field), ("count", &ids.len()), ("max", &MAX_NAMED)];
        found.add_with(Reason::TooManyItems, field, description, &metadata);
        return;
    }
    for (index, id) in ids.iter().enumerate() {
        text::id(found, &format!("{field}[{index}]"), id.clone());
    }
}

fn types(found: &mut Violations, types: &[i32]) -> Types {
    let mut known = Vec::new();
    for (index, number) in types.iter().enumerate() {
        match v1::EventType::try_from(*number) {
            Ok(event_type) if event_type != v1::EventType::Unspecified => known.push(event_type),
            _ => found.add_unknown_value(&format!("types[{index}]"), *number),
        }
    }
    Types::of(known)
}

fn start_from(found: &mut Violations, from: i32) -> Start {
    match v1::StartFrom::try_from(from) {
        Ok(v1::StartFrom::Beginning) => Start::Beginning,
        Ok(v1::StartFrom::Now | v1::StartFrom::Unspecified) => Start::Now,
        Err(_) => {
            found.add_unknown_value("from", from);
            Start::Now
        }
    }
}

fn check_snapshot(found: &mut Violations, include_snapshot: bool, start: &Start) {
    if include_snapshot && *start == Start::Beginning {
        let description = "A stream from the beginning needs no snapshot; leave out one of the two.";
        found.add_with(Reason::FieldConflict, "include_snapshot", description, &[("other_field", &"from")]);
    }
}

fn heartbeat(found: &mut Violations, interval: Option<prost_types::Duration>) -> Duration {
    let Some(interval) = interval else { return DEFAULT_HEARTBEAT };
    match Duration::try_from(interval) {
        Ok(interval) if (MIN_HEARTBEAT..=MAX_HEARTBEAT).contains(&interval) => interval,
        _ => {
            let description = "heartbeat_interval lies between 1 second and 5 minutes.";
            let metadata: [(&str, &dyn std::fmt::Display); 2] = [("min", &"1s"), ("max", &"300s")];
            found.add_with(Reason::FieldOutOfRange, "heartbeat_interval", description, &metadata);
            DEFAULT_HEARTBEAT
        }
    }
}

/// How many requests beyond the first name the accounts that a stream begins with.
fn opening_adds(found: &mut Violations, adds: i32) -> usize {
    match usize::try_from(adds) {
        Ok(adds) if adds <= MAX_OPENING_ADDS => adds,
        _ => {
            let max = i64::try_from(MAX_OPENING_ADDS).unwrap_or(i64::MAX);
            found.add_out_of_range("start.opening_adds", 0, max);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(request: v1::SubscribeRequest) -> Vec<(String, String)> {
        let refusal = subscribe_order(request).err();
        let violations = refusal.map(|refusal| refusal.violations).unwrap_or_default();
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    fn of(account_ids: &[&str]) -> v1::SubscribeRequest {
        let account_ids = account_ids.iter().map(|id| (*id).to_owned()).collect();
        v1::SubscribeRequest { account_ids, ..v1::SubscribeRequest::default() }
    }

    #[test]
    fn a_request_is_refused_with_all_its_violations() {
        let from = |from: v1::StartFrom| Some(v1::subscribe_request::Start::From(from.into()));
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let cases = [
            (of(&["a"]), vec![]),
            (v1::SubscribeRequest { all_accounts: true, ..of(&[]) }, vec![]),
            (of(&[]), vec![("account_ids", "FIELD_REQUIRED")]),
            (v1::SubscribeRequest { all_accounts: true, ..of(&["a"]) }, vec![("all_accounts", "FIELD_CONFLICT")]),
            (of(&["a", "b c", ""]), vec![("account_ids[1]", "ID_MALFORMED"), ("account_ids[2]", "FIELD_REQUIRED")]),
            (of(&["a"; 1_001]), vec![("account_ids", "TOO_MANY_ITEMS")]),
            (
                v1::SubscribeRequest { types: vec![11, 0, 99], ..of(&["a"]) },
                vec![("types[1]", "ENUM_VALUE_UNKNOWN"), ("types[2]", "ENUM_VALUE_UNKNOWN")],
            ),
            (
                v1::SubscribeRequest { include_snapshot: true, start: from(v1::StartFrom::Beginning), ..of(&["a"]) },
                vec![("include_snapshot", "FIELD_CONFLICT")],
            ),
            (
                v1::SubscribeRequest { heartbeat_interval: seconds(301), ..of(&["a"]) },
                vec![("heartbeat_interval", "FIELD_OUT_OF_RANGE")],
            ),
            (v1::SubscribeRequest { heartbeat_interval: seconds(300), ..of(&["a"]) }, vec![]),
        ];
        for (request, expected) in cases {
            let expected: Vec<_> =
                expected.into_iter().map(|(field, reason)| (field.to_owned(), reason.to_owned())).collect();
            assert_eq!(reasons(request.clone()), expected, "{request:?}");
        }
    }

    #[test]
    fn a_stream_is_changed_by_add_and_remove_only() {
        use v1::follow_request::Request as Asked;
        let asked = |request| change(v1::FollowRequest { request }).map_err(|refusal| refusal.reason);
        let ids = vec!["a".to_owned()];
        let add = v1::FollowAdd { account_ids: ids.clone() };
        assert_eq!(asked(Some(Asked::Add(add))), Ok(Change::Add(ids)));
        assert_eq!(asked(Some(Asked::Remove(v1::FollowRemove::default()))), Err(Reason::FieldRequired));
        assert_eq!(asked(Some(Asked::Start(v1::FollowStart::default()))), Err(Reason::FieldNotAllowed));
        assert_eq!(asked(None), Err(Reason::FieldRequired));
    }
}
