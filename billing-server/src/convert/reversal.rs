//! Taking an entry back.

use billing_proto::v1;

use super::operation;
use super::violations::Violations;
use super::{entry, money, position, text};
use crate::domain::ledger::Reverse;
use crate::domain::reason::Refusal;
use crate::engine::command::{Body, Command, Outcome};

/// The command of a reversal. Whose the other leg of a transfer is, is not known yet.
///
/// # Errors
/// All violations of its shape.
pub fn command(request: v1::ReverseEntryRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    entry::check_sequence(&mut found, request.sequence);
    let key = text::key(&mut found, request.idempotency_key);
    let cause = v1::ReversalCause::try_from(request.cause);
    match cause {
        Ok(v1::ReversalCause::Unspecified) => found.add_required("cause"),
        Ok(_) => {}
        Err(_) => found.add_unknown_value("cause", request.cause),
    }
    let reason = text::text(&mut found, "reason", request.reason, text::MAX_DESCRIPTION);
    if cause == Ok(v1::ReversalCause::Other) && reason.is_none() {
        found.add_required("reason");
    }
    let (amount, currency) = money::optional_positive(&mut found, "amount", request.amount).unzip();
    found.finish()?;
    let reverse = Reverse {
        sequence: request.sequence,
        amount,
        currency: currency.flatten(),
        cause: request.cause,
        reason,
        peer_account_id: None,
    };
    Ok(operation::command(account_id, key, Body::Reverse(Box::new(reverse)), request.validate_only))
}

/// The answer to a reversal.
///
/// # Errors
/// `INTERNAL` if the engine answered with no row.
pub fn answer(outcome: &Outcome, preview: bool) -> Result<v1::ReverseEntryResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    let counterpart = outcome.rows.get(1);
    Ok(v1::ReverseEntryResponse {
        entry: Some(entry::to_wire(record, preview)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
        counterpart: counterpart.map(|record| entry::to_wire(record, preview)).transpose()?,
        counterpart_position: counterpart.filter(|_| !preview).map(|record| position::of(record)),
    })
}
