//! Moving money between accounts.

use billing_proto::v1;

use super::operation;
use super::post::check_sequence;
use super::violations::Violations;
use super::{entry, money, position, text, time};
use crate::domain::ledger::Transfer;
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::{Details, Texts};
use crate::engine::command::{Body, Command, Outcome};

/// The command of a transfer; its scope is the paying account.
///
/// # Errors
/// All violations of its shape.
pub fn command(request: v1::TransferRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let from_account_id = text::id(&mut found, "from_account_id", request.from_account_id);
    let to_account_id = text::id(&mut found, "to_account_id", request.to_account_id);
    if !from_account_id.is_empty() && from_account_id == to_account_id {
        let metadata: [(&str, &dyn std::fmt::Display); 1] = [("account_id", &text::excerpt(&from_account_id))];
        found.add_with(Reason::SameAccount, "to_account_id", "Money moves to another account only.", &metadata);
    }
    let (amount, currency) = money::positive(&mut found, "amount", request.amount);
    let key = text::key(&mut found, request.idempotency_key);
    let occurred_at = time::instant(&mut found, "occurred_at", request.occurred_at);
    let category = text::category(&mut found, "category", request.category);
    let description = text::text(&mut found, "description", request.description, text::MAX_DESCRIPTION);
    let reference = text::text(&mut found, "reference", request.reference, text::MAX_REFERENCE);
    let metadata = text::metadata(&mut found, "metadata", request.metadata);
    check_sequence(&mut found, request.expected_sequence);
    found.finish()?;
    let transfer = Transfer {
        to_account_id,
        amount,
        currency,
        category,
        occurred_at,
        texts: Texts { description, reference, details: Details { metadata, ..Details::default() } },
        expected_sequence: request.expected_sequence,
    };
    Ok(operation::command(from_account_id, key, Body::Transfer(Box::new(transfer)), request.validate_only))
}

/// The answer to a transfer.
///
/// # Errors
/// `INTERNAL` if the engine answered without both legs.
pub fn answer(outcome: &Outcome, preview: bool) -> Result<v1::TransferResponse, Refusal> {
    let (outgoing, incoming) = (operation::row(outcome, 0)?, operation::row(outcome, 1)?);
    Ok(v1::TransferResponse {
        outgoing: Some(entry::to_wire(outgoing, preview)?),
        incoming: Some(entry::to_wire(incoming, preview)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(outgoing)),
        incoming_position: (!preview).then(|| position::of(incoming)),
    })
}
