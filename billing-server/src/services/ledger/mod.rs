//! `LedgerService`.

mod post;
mod batch;
mod lanes;
mod stream;
mod holds;
mod entries;
mod books;
mod verify;

use std::pin::Pin;
use std::sync::Arc;

use billing_proto::v1;
use futures_util::Stream;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};
use v1::ledger_service_server::LedgerService;

use super::Drain;
use crate::engine::Engine;

/// How many verifications run at once: each reads the whole journal.
const MAX_VERIFICATIONS: usize = 2;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Moves money.
#[derive(Clone, Debug)]
pub struct Ledger {
    engine: Engine,
    drain: Drain,
    verifications: Arc<Semaphore>,
}

impl Ledger {
    /// The service over an engine; its streams end when the server stops.
    pub fn new(engine: Engine, drain: Drain) -> Self {
        Self { engine, drain, verifications: Arc::new(Semaphore::new(MAX_VERIFICATIONS)) }
    }
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    async fn post(&self, request: Request<v1::PostRequest>) -> Result<Response<v1::PostResponse>, Status> {
        post::post(&self.engine, request).await
    }

    async fn post_batch(
        &self,
        request: Request<v1::PostBatchRequest>,
    ) -> Result<Response<v1::PostBatchResponse>, Status> {
        batch::post_batch(&self.engine, request).await
    }

    type PostStreamStream = Answers<v1::PostStreamResponse>;

    async fn post_stream(
        &self,
        request: Request<Streaming<v1::PostStreamRequest>>,
    ) -> Result<Response<Self::PostStreamStream>, Status> {
        stream::post_stream(&self.engine, self.drain.clone(), request)
    }

    async fn transfer(&self, request: Request<v1::TransferRequest>) -> Result<Response<v1::TransferResponse>, Status> {
        post::transfer(&self.engine, request).await
    }

    async fn reverse_entry(
        &self,
        request: Request<v1::ReverseEntryRequest>,
    ) -> Result<Response<v1::ReverseEntryResponse>, Status> {
        post::reverse_entry(&self.engine, request).await
    }

    async fn place_hold(
        &self,
        request: Request<v1::PlaceHoldRequest>,
    ) -> Result<Response<v1::PlaceHoldResponse>, Status> {
        holds::place(&self.engine, request).await
    }

    async fn update_hold(
        &self,
        request: Request<v1::UpdateHoldRequest>,
    ) -> Result<Response<v1::UpdateHoldResponse>, Status> {
        holds::update(&self.engine, request).await
    }

    async fn capture_hold(
        &self,
        request: Request<v1::CaptureHoldRequest>,
    ) -> Result<Response<v1::CaptureHoldResponse>, Status> {
        holds::capture(&self.engine, request).await
    }

    async fn release_hold(
        &self,
        request: Request<v1::ReleaseHoldRequest>,
    ) -> Result<Response<v1::ReleaseHoldResponse>, Status> {
        holds::release(&self.engine, request).await
    }

    async fn get_hold(&self, request: Request<v1::GetHoldRequest>) -> Result<Response<v1::GetHoldResponse>, Status> {
        holds::get(&self.engine, request).await
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        holds::list(&self.engine, request).await
    }

    async fn get_entry(&self, request: Request<v1::GetEntryRequest>) -> Result<Response<v1::GetEntryResponse>, Status> {
        entries::get(&self.engine, request).await
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        entries::list(&self.engine, request).await
    }

    async fn find_entries(
        &self,
        request: Request<v1::FindEntriesRequest>,
    ) -> Result<Response<v1::FindEntriesResponse>, Status> {
        entries::find(&self.engine, request).await
    }

    async fn close_books(
        &self,
        request: Request<v1::CloseBooksRequest>,
    ) -> Result<Response<v1::CloseBooksResponse>, Status> {
        books::close(&self.engine, request).await
    }

    async fn get_trial_balance(
        &self,
        request: Request<v1::GetTrialBalanceRequest>,
    ) -> Result<Response<v1::GetTrialBalanceResponse>, Status> {
        books::trial_balance(&self.engine, request).await
    }

    type VerifyLedgerStream = Answers<v1::VerifyLedgerResponse>;

    async fn verify_ledger(
        &self,
        request: Request<v1::VerifyLedgerRequest>,
    ) -> Result<Response<Self::VerifyLedgerStream>, Status> {
        verify::verify(&self.engine, self.drain.clone(), &self.verifications, request).await
    }
}
