//! Batches: several operations in one call.

use billing_proto::v1;

use crate::error::Error;
use crate::macros::request;
use crate::operation::{Operation, Outcome};
use crate::position::Position;

request! {
    /// Up to 1000 operations, executed in order. Each is idempotent by its own key, so the batch may be repeated as a
    /// whole.
    Batch as PostBatchRequest { validate_only }
}

impl Batch {
    /// All or nothing: one refused operation refuses all.
    pub fn atomic<O: Into<Operation>>(operations: impl IntoIterator<Item = O>) -> Self {
        Self::new(v1::BatchMode::Atomic, operations)
    }

    /// Each operation stands for itself.
    pub fn independent<O: Into<Operation>>(operations: impl IntoIterator<Item = O>) -> Self {
        Self::new(v1::BatchMode::Independent, operations)
    }

    fn new<O: Into<Operation>>(mode: v1::BatchMode, operations: impl IntoIterator<Item = O>) -> Self {
        let operations = operations.into_iter().map(|operation| operation.into().into()).collect();
        Self { wire: v1::PostBatchRequest { operations, mode: mode.into(), validate_only: false } }
    }

    /// Adds an operation at the end.
    pub fn and(mut self, operation: impl Into<Operation>) -> Self {
        self.wire.operations.push(operation.into().into());
        self
    }
}

/// What became of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchPosted {
    /// One result for each operation, in the order of the batch. In an atomic batch that was refused, the culprit
    /// carries its reason, and the others `LINKED_ITEM_FAILED`.
    pub results: Vec<Result<Outcome, Error>>,
    /// The highest position written in each partition that was touched.
    pub positions: Vec<Position>,
}

impl BatchPosted {
    pub(crate) fn read(answer: v1::PostBatchResponse) -> Self {
        Self {
            results: answer.results.into_iter().map(|result| Outcome::read(Some(result))).collect(),
            positions: answer.positions.into_iter().map(Into::into).collect(),
        }
    }

    /// All outcomes, or the refusal that decides: the first that is not only `LINKED_ITEM_FAILED`.
    pub fn into_outcomes(self) -> Result<Vec<Outcome>, Error> {
        let mut linked = None;
        let mut outcomes = Vec::with_capacity(self.results.len());
        for result in self.results {
            match result {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if error.reason() == Some(&crate::Reason::LinkedItemFailed) => linked = Some(error),
                Err(error) => return Err(error),
            }
        }
        linked.map_or(Ok(outcomes), Err)
    }
}
