//! What reads begin with: waiting for a position, and finding the account.

use std::sync::Arc;

use billing_db::{AccountRow, accounts};
use billing_proto::v1;

use super::Call;
use crate::domain::head::Head;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;

/// Waits until this instance has seen what the caller has.
pub(super) async fn reach(engine: &Engine, call: &Call, min: Option<v1::JournalPosition>) -> Result<(), Refusal> {
    let Some(min) = min else { return Ok(()) };
    let partition = u16::try_from(min.partition).ok().filter(|partition| *partition < engine.partitions());
    let Some(partition) = partition else {
        let last = engine.partitions().saturating_sub(1);
        let description = format!("min_position.partition lies between 0 and {last}.");
        return Err(Refusal::field(Reason::FieldOutOfRange, "min_position.partition", description)
            .with("min", 0)
            .with("max", last));
    };
    engine.reach(partition, min.position, Some(call.deadline)).await
}

/// The head of an account, as fresh as the database.
pub(super) async fn head(engine: &Engine, account_id: &str) -> Result<Arc<Head>, Refusal> {
    let heads = engine.heads(&[account_id.to_owned()]).await?;
    heads.into_iter().next().flatten().ok_or_else(|| not_found(account_id))
}

/// The settings of an account, as the database has them.
pub(super) async fn row(engine: &Engine, account_id: &str) -> Result<AccountRow, Refusal> {
    let (partition, id) = (number(engine.partition_of(account_id)), account_id.to_owned());
    let row = engine.read(move |conn| accounts::find(conn, partition, &id)).await?;
    row.ok_or_else(|| not_found(account_id))
}

/// The refusal of an account that does not exist.
pub(super) fn not_found(account_id: &str) -> Refusal {
    Refusal::new(Reason::AccountNotFound, format!("There is no account {account_id}.")).with("account_id", account_id)
}

/// A partition as rows number it.
pub(super) fn number(partition: u16) -> i16 {
    // There are at most 64.
    i16::try_from(partition).unwrap_or(i16::MAX)
}

/// Where this instance stands in a partition.
pub(super) fn position(engine: &Engine, partition: u16) -> v1::JournalPosition {
    v1::JournalPosition { partition: i32::from(partition), position: engine.position(partition).0 }
}

/// Where this instance stands in every partition, in their order.
pub(super) fn positions(engine: &Engine) -> Vec<v1::JournalPosition> {
    (0..engine.partitions()).map(|partition| position(engine, partition)).collect()
}
