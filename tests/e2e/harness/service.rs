//! A server in the process of the test, on a port of its own, with a clock that the test moves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing_client::Client;
use billing_proto::v1;
use billing_proto::v1::account_service_client::AccountServiceClient;
use billing_proto::v1::balance_service_client::BalanceServiceClient;
use billing_proto::v1::event_service_client::EventServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use billing_server::server::{Server, Settings};
use billing_server::time::{RandomIds, World};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::database::TestDatabase;
use super::listener::Listener;
use super::requests;
use super::{ManualClock, ledger};

/// A page of 1000 entries is larger than what tonic permits a client by default.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A running server and its callers.
pub(crate) struct Service {
    /// What the server takes for the time.
    pub(crate) clock: Arc<ManualClock>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    channel: Channel,
    running: Mutex<Option<Running>>,
}

struct Running {
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<anyhow::Result<()>>,
}

/// The settings of a server in a test, before the test changes them.
pub(crate) fn settings(database: &TestDatabase) -> Settings {
    Settings {
        database_url: database.url.clone(),
        partitions: Some(database.partitions),
        pool_size: 4,
        drain: Duration::from_secs(2),
        ..Settings::default()
    }
}

impl Service {
    /// Starts a server with the usual settings.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts a server with settings of the test's own.
    pub(crate) async fn start_with(database: &TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_at(database, Arc::default(), change).await
    }

    /// Starts a server that goes by this clock.
    pub(crate) async fn start_at(
        database: &TestDatabase,
        clock: Arc<ManualClock>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = settings(database);
        change(&mut settings);
        let world = World { clock: Arc::clone(&clock) as _, ids: Arc::new(RandomIds) };
        let server = Server::start(&settings, world).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, told) = oneshot::channel();
        let served = tokio::spawn(async move {
            server
                .serve(listener, async {
                    // A test that has gone away wants no more either.
                    let _ = told.await;
                })
                .await
        });
        let running = Mutex::new(Some(Running { shutdown, served }));
        Self { clock, address, channel: connect(address).await, running }
    }

    /// Checks the ledger and stops the server.
    pub(crate) async fn stop(&self) {
        ledger::assert_sound(&mut self.ledger()).await;
        self.stop_unchecked().await;
    }

    /// Stops the server, whatever its ledger is like.
    pub(crate) async fn stop_unchecked(&self) {
        self.begin_stop().await;
    }

    /// Tells the server to stop and waits until it has.
    async fn begin_stop(&self) {
        let Some(running) = self.running.lock().unwrap().take() else { return };
        let _ = running.shutdown.send(());
        running.served.await.unwrap().unwrap();
    }

    /// Tells the server to stop; what it answers then is the test's to see.
    pub(crate) fn signal_stop(&self) -> JoinHandle<anyhow::Result<()>> {
        let running = self.running.lock().unwrap().take().expect("the server runs");
        running.shutdown.send(()).unwrap();
        running.served
    }

    /// Where it listens, as a client is told.
    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The typed client.
    pub(crate) async fn client(&self) -> Client {
        Client::builder(self.uri()).connect().await.unwrap()
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(crate) fn balances(&self) -> BalanceServiceClient<Channel> {
        BalanceServiceClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(crate) fn ledger(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    // What tests do most, in few words. Each returns the answer, or the status for `refused`.

    /// Opens an account in roubles with nothing in it.
    pub(crate) async fn open(&self, account_id: &str) -> v1::Account {
        self.create(requests::account(account_id)).await.unwrap().account.unwrap()
    }

    /// Opens an account in roubles and pays into it.
    pub(crate) async fn open_with(&self, account_id: &str, paid: &str) -> v1::Account {
        let account = self.open(account_id).await;
        self.post(requests::payment(account_id, paid)).await.unwrap();
        account
    }

    pub(crate) async fn create(&self, request: v1::CreateAccountRequest) -> Result<v1::CreateAccountResponse, Status> {
        answer(self.accounts().create_account(request).await)
    }

    pub(crate) async fn update(&self, request: v1::UpdateAccountRequest) -> Result<v1::UpdateAccountResponse, Status> {
        answer(self.accounts().update_account(request).await)
    }

    pub(crate) async fn close(&self, account_id: &str) -> Result<v1::CloseAccountResponse, Status> {
        answer(self.accounts().close_account(requests::close(account_id)).await)
    }

    pub(crate) async fn account(&self, account_id: &str) -> Result<v1::Account, Status> {
        let request = v1::GetAccountRequest { account_id: account_id.to_owned(), min_position: None };
        Ok(answer(self.accounts().get_account(request).await)?.account.unwrap())
    }

    pub(crate) async fn post(&self, request: v1::PostRequest) -> Result<v1::PostResponse, Status> {
        answer(self.ledger().post(request).await)
    }

    pub(crate) async fn batch(&self, request: v1::PostBatchRequest) -> Result<v1::PostBatchResponse, Status> {
        answer(self.ledger().post_batch(request).await)
    }

    pub(crate) async fn transfer(&self, request: v1::TransferRequest) -> Result<v1::TransferResponse, Status> {
        answer(self.ledger().transfer(request).await)
    }

    pub(crate) async fn reverse(&self, request: v1::ReverseEntryRequest) -> Result<v1::ReverseEntryResponse, Status> {
        answer(self.ledger().reverse_entry(request).await)
    }

    pub(crate) async fn hold(&self, request: v1::PlaceHoldRequest) -> Result<v1::PlaceHoldResponse, Status> {
        answer(self.ledger().place_hold(request).await)
    }

    pub(crate) async fn update_hold(&self, request: v1::UpdateHoldRequest) -> Result<v1::UpdateHoldResponse, Status> {
        answer(self.ledger().update_hold(request).await)
    }

    pub(crate) async fn capture(&self, request: v1::CaptureHoldRequest) -> Result<v1::CaptureHoldResponse, Status> {
        answer(self.ledger().capture_hold(request).await)
    }

    pub(crate) async fn release(&self, request: v1::ReleaseHoldRequest) -> Result<v1::ReleaseHoldResponse, Status> {
        answer(self.ledger().release_hold(request).await)
    }

    pub(crate) async fn read_hold(&self, account_id: &str, hold_id: &str) -> Result<v1::Hold, Status> {
        let request =
            v1::GetHoldRequest { account_id: account_id.to_owned(), hold_id: hold_id.to_owned(), min_position: None };
        Ok(answer(self.ledger().get_hold(request).await)?.hold.unwrap())
    }

    pub(crate) async fn entry(&self, account_id: &str, sequence: i64) -> Result<v1::Entry, Status> {
        let request = v1::GetEntryRequest { account_id: account_id.to_owned(), sequence, min_position: None };
        Ok(answer(self.ledger().get_entry(request).await)?.entry.unwrap())
    }

    pub(crate) async fn entries(&self, request: v1::ListEntriesRequest) -> Result<v1::ListEntriesResponse, Status> {
        answer(self.ledger().list_entries(request).await)
    }

    pub(crate) async fn close_books(&self, until: &str) -> Result<v1::CloseBooksResponse, Status> {
        let request = v1::CloseBooksRequest { until_date: until.to_owned(), ..v1::CloseBooksRequest::default() };
        answer(self.ledger().close_books(request).await)
    }

    pub(crate) async fn balance(&self, account_id: &str) -> v1::Balance {
        self.read_balance(requests::balance(account_id)).await.unwrap()
    }

    pub(crate) async fn read_balance(&self, request: v1::GetBalanceRequest) -> Result<v1::Balance, Status> {
        Ok(answer(self.balances().get_balance(request).await)?.balance.unwrap())
    }

    /// Opens a stream of events.
    pub(crate) async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<Listener, Status> {
        Ok(Listener::new(answer(self.events().subscribe(request).await)?))
    }
}

/// The message of an answer.
pub(crate) fn answer<T>(answer: Result<Response<T>, Status>) -> Result<T, Status> {
    answer.map(Response::into_inner)
}

/// A connection to a server that listens already.
pub(crate) async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}
