//! What a command names, found in its batch, or the refusal that it is not there.

use std::sync::Arc;

use super::command::Command;
use super::record::Record;
use super::replay;
use super::work::Work;
use crate::domain::head::Head;
use crate::domain::holds::{self, Hold};
use crate::domain::reason::{Reason, Refusal};

/// The number of an account.
pub(super) fn account_number(work: &Work, account_id: &str) -> Result<i64, Refusal> {
    work.ids.get(account_id).copied().flatten().ok_or_else(|| not_found(account_id))
}

/// The head of an account.
pub(super) fn head_of<'a>(work: &'a Work, account: i64, account_id: &str) -> Result<&'a Head, Refusal> {
    work.heads.get(&account).ok_or_else(|| not_found(account_id))
}

/// The refusal of an account that does not exist.
pub(super) fn not_found(account_id: &str) -> Refusal {
    Refusal::new(Reason::AccountNotFound, format!("There is no account {account_id}.")).with("account_id", account_id)
}

/// A hold of an account, open or not.
pub(super) fn hold(work: &Work, head: &Head, hold_id: &str) -> Result<Arc<Hold>, Refusal> {
    work.hold(head.identity.account, hold_id).cloned().ok_or_else(|| {
        Refusal::new(Reason::HoldNotFound, format!("Account {} has no hold {hold_id}.", head.identity.account_id))
            .with("account_id", &head.identity.account_id)
            .with("hold_id", hold_id)
    })
}

/// The row that placed a hold which is placed once more, whatever has become of it since; none for a new hold.
pub(super) fn placed(
    work: &Work,
    command: &Command,
    account: i64,
    place: &holds::Place,
) -> Result<Option<Arc<Record>>, Refusal> {
    let head = head_of(work, account, &command.account_id)?;
    let Some(hold) = work.hold(account, &place.hold_id) else { return Ok(None) };
    head.check_currency(place.currency, "amount.currency_code")?;
    if head.secret.is_none() {
        // Its texts are erased, so that it can no longer be compared.
        head.check_open()?;
    }
    let account_id = &command.account_id;
    let taken = Refusal::new(
        Reason::ResourceAlreadyExists,
        format!("Account {account_id} has a hold {} already, and it is another one; choose another id.", place.hold_id),
    )
    .with("id", &place.hold_id)
    .with("resource_type", "billing.v1.Hold");
    found(work, command, head, hold.placed_sequence, taken).map(Some)
}

/// The row that made what a command makes once more; `taken`, with the field that differs, if that was something else.
pub(super) fn found(
    work: &Work,
    command: &Command,
    head: &Head,
    sequence: i64,
    taken: Refusal,
) -> Result<Arc<Record>, Refusal> {
    let first = work.first_row(head.identity.account, sequence);
    let secret = head.secret.as_ref();
    match first.map(|first| (first, replay::difference(command, secret, first))) {
        Some((first, None)) => Ok(Arc::clone(first)),
        Some((_, Some(field))) => Err(taken.with("field", field)),
        None => Err(taken.with("field", "account_id")),
    }
}
