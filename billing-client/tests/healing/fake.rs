//! A service that does what the test says: each stream that a client opens is handed to the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing_client::{Client, RetryPolicy};
use billing_proto::v1;
use billing_proto::v1::event_service_server::{EventService, EventServiceServer};
use billing_proto::v1::ledger_service_server::{LedgerService, LedgerServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// What the test answers on a stream.
pub(crate) type Answers<T> = mpsc::UnboundedSender<Result<T, Status>>;
type Outgoing<T> = tokio_stream::wrappers::UnboundedReceiverStream<Result<T, Status>>;

/// A unary call to play: the answer, or the refusal.
type PostScript = VecDeque<Result<v1::PostResponse, Status>>;

#[derive(Clone)]
struct Stage {
    posts: Arc<Mutex<PostScript>>,
    seen_posts: Arc<Mutex<Vec<v1::PostRequest>>>,
    subscriptions: mpsc::UnboundedSender<(v1::SubscribeRequest, Answers<v1::SubscribeResponse>)>,
    follows: mpsc::UnboundedSender<(Streaming<v1::FollowRequest>, Answers<v1::FollowResponse>)>,
    bulks: mpsc::UnboundedSender<(Streaming<v1::PostStreamRequest>, Answers<v1::PostStreamResponse>)>,
}

/// The test's side of the fake service.
pub(crate) struct Fake {
    pub(crate) endpoint: String,
    posts: Arc<Mutex<PostScript>>,
    seen_posts: Arc<Mutex<Vec<v1::PostRequest>>>,
    subscriptions: mpsc::UnboundedReceiver<(v1::SubscribeRequest, Answers<v1::SubscribeResponse>)>,
    follows: mpsc::UnboundedReceiver<(Streaming<v1::FollowRequest>, Answers<v1::FollowResponse>)>,
    bulks: mpsc::UnboundedReceiver<(Streaming<v1::PostStreamRequest>, Answers<v1::PostStreamResponse>)>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let (subscriptions, subscriptions_seen) = mpsc::unbounded_channel();
        let (follows, follows_seen) = mpsc::unbounded_channel();
        let (bulks, bulks_seen) = mpsc::unbounded_channel();
        let (posts, seen_posts) = (Arc::default(), Arc::default());
        let stage =
            Stage { posts: Arc::clone(&posts), seen_posts: Arc::clone(&seen_posts), subscriptions, follows, bulks };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(LedgerServiceServer::new(stage.clone()))
            .add_service(EventServiceServer::new(stage));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self {
            endpoint,
            posts,
            seen_posts,
            subscriptions: subscriptions_seen,
            follows: follows_seen,
            bulks: bulks_seen,
        }
    }

    /// A client that does not let the test wait long.
    pub(crate) fn client(&self) -> Client {
        let retry = RetryPolicy::new().first_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(5));
        Client::builder(&self.endpoint).retry(retry).bearer_token("secret").connect_lazy().unwrap()
    }

    /// Plays these answers to the next posts.
    pub(crate) fn answer_posts(&self, answers: impl IntoIterator<Item = Result<v1::PostResponse, Status>>) {
        self.posts.lock().unwrap().extend(answers);
    }

    pub(crate) fn seen_posts(&self) -> Vec<v1::PostRequest> {
        self.seen_posts.lock().unwrap().clone()
    }

    pub(crate) async fn subscription(&mut self) -> (v1::SubscribeRequest, Answers<v1::SubscribeResponse>) {
        self.subscriptions.recv().await.unwrap()
    }

    pub(crate) async fn follow(&mut self) -> (Streaming<v1::FollowRequest>, Answers<v1::FollowResponse>) {
        self.follows.recv().await.unwrap()
    }

    pub(crate) async fn bulk(&mut self) -> (Streaming<v1::PostStreamRequest>, Answers<v1::PostStreamResponse>) {
        self.bulks.recv().await.unwrap()
    }
}

fn check_token<T>(request: &Request<T>) {
    assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer secret");
}

fn outgoing<T>() -> (Answers<T>, Response<Outgoing<T>>) {
    let (answers, stream) = mpsc::unbounded_channel();
    (answers, Response::new(Outgoing::new(stream)))
}

#[tonic::async_trait]
impl EventService for Stage {
    type SubscribeStream = Outgoing<v1::SubscribeResponse>;
    type FollowStream = Outgoing<v1::FollowResponse>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        check_token(&request);
        let (answers, response) = outgoing();
        self.subscriptions.send((request.into_inner(), answers)).unwrap();
        Ok(response)
    }

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        check_token(&request);
        let (answers, response) = outgoing();
        self.follows.send((request.into_inner(), answers)).unwrap();
        Ok(response)
    }
}

/// RPCs that no test here calls.
macro_rules! not_played {
    ($($name:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl LedgerService for Stage {
            async fn post(&self, request: Request<v1::PostRequest>) -> Result<Response<v1::PostResponse>, Status> {
                check_token(&request);
                assert!(request.metadata().contains_key("grpc-timeout"), "the service is told the deadline");
                self.seen_posts.lock().unwrap().push(request.into_inner());
                let answer = self.posts.lock().unwrap().pop_front();
                match answer {
                    Some(answer) => answer.map(Response::new),
                    None => std::future::pending().await,
                }
            }

            type PostStreamStream = Outgoing<v1::PostStreamResponse>;

            async fn post_stream(
                &self,
                request: Request<Streaming<v1::PostStreamRequest>>,
            ) -> Result<Response<Self::PostStreamStream>, Status> {
                check_token(&request);
                let (answers, response) = outgoing();
                self.bulks.send((request.into_inner(), answers)).unwrap();
                Ok(response)
            }

            type VerifyLedgerStream = ReceiverStream<Result<v1::VerifyLedgerResponse, Status>>;

            async fn verify_ledger(
                &self,
                _: Request<v1::VerifyLedgerRequest>,
            ) -> Result<Response<Self::VerifyLedgerStream>, Status> {
                Err(Status::unimplemented("not played"))
            }

            $(async fn $name(&self, _: Request<v1::$request>) -> Result<Response<v1::$response>, Status> {
                Err(Status::unimplemented("not played"))
            })+
        }
    };
}

not_played! {
    post_batch(PostBatchRequest) -> PostBatchResponse;
    transfer(TransferRequest) -> TransferResponse;
    reverse_entry(ReverseEntryRequest) -> ReverseEntryResponse;
    place_hold(PlaceHoldRequest) -> PlaceHoldResponse;
    update_hold(UpdateHoldRequest) -> UpdateHoldResponse;
    capture_hold(CaptureHoldRequest) -> CaptureHoldResponse;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    list_holds(ListHoldsRequest) -> ListHoldsResponse;
    get_entry(GetEntryRequest) -> GetEntryResponse;
    list_entries(ListEntriesRequest) -> ListEntriesResponse;
    find_entries(FindEntriesRequest) -> FindEntriesResponse;
    close_books(CloseBooksRequest) -> CloseBooksResponse;
    get_trial_balance(GetTrialBalanceRequest) -> GetTrialBalanceResponse;
}
