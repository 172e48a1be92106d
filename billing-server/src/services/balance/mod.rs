//! `BalanceService`.

mod explain;
mod history;

use std::collections::HashSet;
use std::sync::Arc;

use billing_proto::v1;
use tonic::{Request, Response, Status};
use v1::balance_service_server::BalanceService;
use v1::get_balance_request::AsOf;

use super::{Call, find};
use crate::convert::violations::Violations;
use crate::convert::{balance, text, time};
use crate::domain::instant::Instant;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;

/// The most accounts of a batch.
const MAX_BATCH: usize = 1000;
/// The most entries of an explanation.
const MAX_ENTRIES: i32 = 1000;
/// How many entries explain a balance when the caller does not say.
const DEFAULT_ENTRIES: i64 = 50;

/// Tells the state of accounts.
#[derive(Clone, Debug)]
pub struct Balances {
    engine: Engine,
}

impl Balances {
    /// The service over an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn now(&self, account_id: &str) -> Result<v1::Balance, Refusal> {
        // Taken first: the answer shows at least this position.
        let position = find::position(&self.engine, self.engine.partition_of(account_id));
        let head = find::head(&self.engine, account_id).await?;
        Ok(balance::of_head(&head, self.engine.now(), position))
    }

    async fn get(&self, call: &Call, request: v1::GetBalanceRequest) -> Result<v1::Balance, Refusal> {
        let mut found = Violations::default();
        let account_id = text::id(&mut found, "account_id", request.account_id);
        let as_of = request.as_of.and_then(|as_of| read_as_of(&mut found, as_of));
        found.finish()?;
        if let Some((_, at)) = as_of {
            check_past(at, self.engine.now())?;
        }
        find::reach(&self.engine, call, request.min_position).await?;
        match as_of {
            None => self.now(&account_id).await,
            Some((Known::Recorded, at)) => history::recorded(&self.engine, &account_id, at).await,
            Some((Known::Occurred, at)) => history::occurred(&self.engine, &account_id, at).await,
        }
    }

    async fn batch(
        &self,
        call: &Call,
        request: v1::BatchGetBalancesRequest,
    ) -> Result<v1::BatchGetBalancesResponse, Refusal> {
        let account_ids = read_ids(request.account_ids)?;
        find::reach(&self.engine, call, request.min_position).await?;
        let positions = find::positions(&self.engine);
        let heads = self.engine.heads(&account_ids).await?;
        let now = self.engine.now();
        let mut answer = v1::BatchGetBalancesResponse::default();
        for (account_id, head) in account_ids.into_iter().zip(heads) {
            let position = head.as_ref().and_then(|head| positions.get(usize::from(head.identity.partition)));
            match (head.as_ref(), position) {
                (Some(head), Some(position)) => answer.balances.push(balance::of_head(head, now, *position)),
                _ => answer.missing_account_ids.push(account_id),
            }
        }
        Ok(answer)
    }
}

/// By which time a balance is asked for.
#[derive(Clone, Copy)]
enum Known {
    Recorded,
    Occurred,
}

fn read_as_of(found: &mut Violations, as_of: AsOf) -> Option<(Known, Instant)> {
    let (known, field, timestamp) = match as_of {
        AsOf::AsOfRecorded(timestamp) => (Known::Recorded, "as_of_recorded", timestamp),
        AsOf::AsOfOccurred(timestamp) => (Known::Occurred, "as_of_occurred", timestamp),
    };
    time::instant(found, field, Some(timestamp)).map(|at| (known, at))
}

fn check_past(at: Instant, now: Instant) -> Result<(), Refusal> {
    if at <= now {
        return Ok(());
    }
    let message = format!("{at} has not come yet: it is {now}. A balance is told for now or for an instant before.");
    Err(Refusal::new(Reason::AsOfInFuture, message).with("now", now))
}

/// The accounts of a batch, each once, in their order.
fn read_ids(account_ids: Vec<String>) -> Result<Vec<String>, Refusal> {
    let count = account_ids.len();
    if count == 0 {
        return Err(Refusal::field(Reason::BatchEmpty, "account_ids", "A batch names at least one account."));
    }
    if count > MAX_BATCH {
        let description = format!("A batch names at most {MAX_BATCH} accounts, not {count}.");
        let refusal = Refusal::field(Reason::BatchTooLarge, "account_ids", description);
        return Err(refusal.with("count", count).with("max", MAX_BATCH));
    }
    let mut found = Violations::default();
    let mut seen = HashSet::with_capacity(count);
    let mut ids = Vec::with_capacity(count);
    for (index, account_id) in account_ids.into_iter().enumerate() {
        if seen.insert(account_id.clone()) {
            ids.push(text::id(&mut found, &format!("account_ids[{index}]"), account_id));
        }
    }
    found.finish().map(|()| ids)
}

#[tonic::async_trait]
impl BalanceService for Balances {
    async fn get_balance(
        &self,
        request: Request<v1::GetBalanceRequest>,
    ) -> Result<Response<v1::GetBalanceResponse>, Status> {
        let call = Call::of(&request)?;
        let balance = call.within(self.get(&call, request.into_inner())).await?;
        Ok(Response::new(v1::GetBalanceResponse { balance: Some(balance) }))
    }

    async fn batch_get_balances(
        &self,
        request: Request<v1::BatchGetBalancesRequest>,
    ) -> Result<Response<v1::BatchGetBalancesResponse>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(call.within(self.batch(&call, request.into_inner())).await?))
    }

    async fn explain_balance(
        &self,
        request: Request<v1::ExplainBalanceRequest>,
    ) -> Result<Response<v1::ExplainBalanceResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let mut found = Violations::default();
        let account_id = text::id(&mut found, "account_id", request.account_id);
        if !(0..=MAX_ENTRIES).contains(&request.max_entries) {
            found.add_out_of_range("max_entries", 1, i64::from(MAX_ENTRIES));
        }
        found.finish()?;
        let count = Some(i64::from(request.max_entries)).filter(|count| *count > 0).unwrap_or(DEFAULT_ENTRIES);
        let response = call.within(async {
            find::reach(&self.engine, &call, request.min_position).await?;
            let position = find::position(&self.engine, self.engine.partition_of(&account_id));
            let head = find::head(&self.engine, &account_id).await?;
            explain::explain(&self.engine, Arc::clone(&head), position, count).await
        });
        Ok(Response::new(response.await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_names_1_to_1000_accounts_and_each_counts_once() {
        let named = |ids: &[&str]| read_ids(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(named(&["b", "a", "b"]), Ok(vec!["b".to_owned(), "a".to_owned()]));
        assert_eq!(named(&[]).map_err(|refusal| refusal.reason), Err(Reason::BatchEmpty));
        assert_eq!(named(&["a", "x y"]).map_err(|refusal| refusal.reason), Err(Reason::IdMalformed));
        let many = (0..=MAX_BATCH).map(|number| number.to_string()).collect();
        assert_eq!(read_ids(many).map_err(|refusal| refusal.reason), Err(Reason::BatchTooLarge));
    }
}
