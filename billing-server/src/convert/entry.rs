//! Entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use billing_proto::v1;

use super::violations::Violations;
use super::{money, position, time};
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::domain::record::Tax;
use crate::engine::record::Record;
use crate::status;

/// An entry as the contract writes it. A preview has no place in the journal yet.
///
/// # Errors
/// `INTERNAL` for a row of no account.
pub fn to_wire(record: &Record, preview: bool) -> Result<v1::Entry, Refusal> {
    let row = &record.row;
    let Some(identity) = &record.identity else {
        return Err(status::fault(format!("row {} is an entry of no account", row.position)));
    };
    let write = |amount| money::to_wire(amount, identity.currency);
    let payload = record.payload();
    let after = record.after();
    let name = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned).unwrap_or_default();
    // Most entries have none, and then nothing is parsed.
    let metadata = if row.details.is_some() { record.texts().details.metadata } else { BTreeMap::new() };
    Ok(v1::Entry {
        account_id: identity.account_id.clone(),
        sequence: if preview { 0 } else { row.sequence },
        kind: i32::from(row.kind),
        amount: Some(write(Money::from_micros(row.amount))),
        balance_after: Some(v1::BalanceAfter {
            posted: Some(write(after.posted)),
            held: Some(write(after.held)),
            available: Some(write(Money::from_micros(row.available_after))),
            bonus: Some(write(after.bonus)),
        }),
        counter_account: name(&record.counter),
        category: name(&record.category),
        description: row.description.clone().unwrap_or_default(),
        reference: row.reference.clone().unwrap_or_default(),
        idempotency_key: row.idempotency_key.clone().unwrap_or_default(),
        occurred_at: Some(time::to_wire(Instant::from_micros(row.occurred_at.unwrap_or(row.recorded_at)))),
        booking_date: row.booking_date.map(time::day_to_wire).unwrap_or_default(),
        recorded_at: (!preview).then(|| time::to_wire(record.recorded_at())),
        transaction_id: if preview { String::new() } else { record.transaction_id(&payload) },
        tax: payload.tax.map(|tax| tax_to_wire(tax, write)),
        created_by: name(&record.created_by),
        subscription_id: payload.subscription_id.unwrap_or_default(),
        reverses_sequence: payload.reverses_sequence.unwrap_or(0),
        invoice_id: payload.invoice_id.unwrap_or_default(),
        hold_id: payload.hold_id.unwrap_or_default(),
        metadata: metadata.into_iter().collect(),
        position: (!preview).then(|| position::of(record)),
        hash: if preview { Vec::new() } else { row.hash.clone() },
        reversal_cause: payload.cause.unwrap_or(0),
        transfer_account_id: payload.peer.map(|peer| peer.account_id).unwrap_or_default(),
        texts_erased: row.texts_digest.is_some(),
    })
}

fn tax_to_wire(tax: Tax, write: impl Fn(Money) -> v1::Money) -> v1::Tax {
    v1::Tax { code: tax.code, rate_percent: tax.rate_percent, amount: Some(write(tax.amount)) }
}

/// The name of a kind without the name of its enum: `PAYMENT`.
pub fn kind_name(kind: v1::EntryKind) -> &'static str {
    kind.as_str_name().trim_start_matches("ENTRY_KIND_")
}

/// Notes a sequence that no entry can have.
pub fn check_sequence(found: &mut Violations, sequence: i64) {
    if sequence == 0 {
        found.add_required("sequence");
    } else if sequence < 0 {
        found.add_out_of_range("sequence", 1, i64::MAX);
    }
}
