//! Holds.

use billing_db::HoldRow;
use billing_proto::v1;
use v1::{place_hold_request, update_hold_request};

use super::operation;
use super::post::currency_of;
use super::violations::Violations;
use super::{entry, money, position, text, time};
use crate::domain::head::Identity;
use crate::domain::holds::{Capture, Hold, HoldState, Place, Update};
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::domain::record::{Details, HoldTexts, Texts};
use crate::engine::command::{Body, Command, Outcome};
use crate::engine::record::Record;
use crate::engine::seal;
use crate::status;

/// The command that places a hold.
///
/// # Errors
/// All violations of its shape.
pub fn place(request: v1::PlaceHoldRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let hold_id = text::optional_id(&mut found, "hold_id", request.hold_id);
    let (amount, currency) = money::positive(&mut found, "amount", request.amount);
    let expiry = match request.expiry {
        Some(place_hold_request::Expiry::ExpiresAt(at)) => time::expires_at(&mut found, at),
        Some(place_hold_request::Expiry::Ttl(ttl)) => time::ttl(&mut found, ttl),
        None => {
            found.add_required("expires_at");
            None
        }
    };
    let key = text::key(&mut found, request.idempotency_key);
    let texts = HoldTexts {
        description: text::text(&mut found, "description", request.description, text::MAX_DESCRIPTION),
        reference: text::text(&mut found, "reference", request.reference, text::MAX_REFERENCE),
        ..HoldTexts::default()
    };
    let category = text::category(&mut found, "category", request.category);
    let metadata = text::metadata(&mut found, "metadata", request.metadata);
    found.finish()?;
    // Made from the key, so that a repetition finds the hold that it placed.
    let hold_id = hold_id.unwrap_or_else(|| made_of(&account_id, key.as_deref().unwrap_or_default()));
    let texts = HoldTexts { metadata, ..texts };
    let place = Place { hold_id, amount, currency, expiry, category, texts };
    Ok(operation::command(account_id, key, Body::PlaceHold(Box::new(place)), request.validate_only))
}

fn made_of(account_id: &str, key: &str) -> String {
    let digest = seal::hex(&seal::key_hash(account_id, key));
    format!("hold-{}", digest.get(..20).unwrap_or_default())
}

/// The command that changes a hold.
///
/// # Errors
/// All violations of its shape.
pub fn update(request: v1::UpdateHoldRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let hold_id = text::id(&mut found, "hold_id", request.hold_id);
    if request.amount.is_none() && request.expiry.is_none() {
        found.add_required("amount");
    }
    let (amount, currency) = money::optional_positive(&mut found, "amount", request.amount).unzip();
    let expiry = request.expiry.and_then(|expiry| match expiry {
        update_hold_request::Expiry::ExpiresAt(at) => time::expires_at(&mut found, at),
        update_hold_request::Expiry::Ttl(ttl) => time::ttl(&mut found, ttl),
    });
    let key = text::key(&mut found, request.idempotency_key);
    found.finish()?;
    let update = Update { hold_id, amount, currency: currency.flatten(), expiry };
    Ok(operation::command(account_id, key, Body::UpdateHold(Box::new(update)), request.validate_only))
}

/// The command that charges a hold.
///
/// # Errors
/// All violations of its shape.
pub fn capture(request: v1::CaptureHoldRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let hold_id = text::id(&mut found, "hold_id", request.hold_id);
    let (amount, currency) = money::optional_positive(&mut found, "amount", request.amount).unzip();
    let key = text::key(&mut found, request.idempotency_key);
    let occurred_at = time::instant(&mut found, "occurred_at", request.occurred_at);
    let counter = text::counter_account(&mut found, "counter_account", request.counter_account);
    let category = text::category(&mut found, "category", request.category);
    let description = text::text(&mut found, "description", request.description, text::MAX_DESCRIPTION);
    let reference = text::text(&mut found, "reference", request.reference, text::MAX_REFERENCE);
    let (tax, tax_currency) = money::tax(&mut found, request.tax, amount.filter(|amount| amount.is_positive())).unzip();
    let metadata = text::metadata(&mut found, "metadata", request.metadata);
    found.finish()?;
    let capture = Capture {
        hold_id,
        amount,
        currency: currency_of(currency.flatten(), tax_currency.flatten())?,
        keep_rest: request.keep_rest,
        counter,
        category,
        occurred_at,
        tax,
        texts: Texts { description, reference, details: Details { metadata, ..Details::default() } },
    };
    Ok(operation::command(account_id, key, Body::CaptureHold(Box::new(capture)), request.validate_only))
}

/// The command that frees a hold.
///
/// # Errors
/// All violations of its shape.
pub fn release(request: v1::ReleaseHoldRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let hold_id = text::id(&mut found, "hold_id", request.hold_id);
    let key = text::key(&mut found, request.idempotency_key);
    found.finish()?;
    Ok(operation::command(account_id, key, Body::ReleaseHold { hold_id }, request.validate_only))
}

/// The answer to placing a hold.
///
/// # Errors
/// `INTERNAL` if the engine answered with no hold.
pub fn placed(outcome: &Outcome, preview: bool) -> Result<v1::PlaceHoldResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    Ok(v1::PlaceHoldResponse {
        hold: Some(of_record(record)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
    })
}

/// The answer to changing a hold.
///
/// # Errors
/// `INTERNAL` if the engine answered with no hold.
pub fn updated(outcome: &Outcome, preview: bool) -> Result<v1::UpdateHoldResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    Ok(v1::UpdateHoldResponse {
        hold: Some(of_record(record)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
    })
}

/// The answer to freeing a hold.
///
/// # Errors
/// `INTERNAL` if the engine answered with no hold.
pub fn released(outcome: &Outcome, preview: bool) -> Result<v1::ReleaseHoldResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    Ok(v1::ReleaseHoldResponse {
        hold: Some(of_record(record)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
    })
}

/// The answer to charging a hold.
///
/// # Errors
/// `INTERNAL` if the engine answered with no entry or no hold.
pub fn captured(outcome: &Outcome, preview: bool) -> Result<v1::CaptureHoldResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    Ok(v1::CaptureHoldResponse {
        entry: Some(entry::to_wire(record, preview)?),
        hold: Some(of_record(record)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
    })
}

/// The hold right after a row about it.
///
/// # Errors
/// `INTERNAL` for a row that is about no hold.
pub fn of_record(record: &Record) -> Result<v1::Hold, Refusal> {
    let (Some(hold), Some(identity)) = (record.payload().hold, &record.identity) else {
        return Err(status::fault(format!("row {} is about no hold", record.row.position)));
    };
    let texts = record.texts();
    let texts = match texts.details.hold {
        Some(texts) => texts,
        None if record.kind.is_entry() => HoldTexts::default(),
        None => {
            HoldTexts { description: texts.description, reference: texts.reference, metadata: texts.details.metadata }
        }
    };
    Ok(to_wire(Hold { texts, ..hold }, identity))
}

/// The hold that a row of the table tells, as `now` sees it.
///
/// # Errors
/// `LEDGER_CORRUPT`-like rows are answered as `INTERNAL`.
pub fn of_row(row: HoldRow, identity: &Identity, now: Instant) -> Result<v1::Hold, Refusal> {
    let Some(state) = HoldState::from_number(row.state) else {
        return Err(status::fault(format!("hold {} has the unknown state {}", row.hold_id, row.state)));
    };
    let metadata = row.metadata.as_deref().map(serde_json::from_str).transpose();
    let metadata = metadata.map_err(|error| status::fault(format!("metadata of hold {}: {error}", row.hold_id)))?;
    let hold = Hold {
        hold_id: row.hold_id,
        placed_sequence: row.placed_sequence,
        state,
        amount: Money::from_micros(row.amount),
        captured: Money::from_micros(row.captured),
        expires_at: Instant::from_micros(row.expires_at),
        placed_at: Instant::from_micros(row.placed_at),
        updated_at: Instant::from_micros(row.updated_at),
        category: row.category,
        texts: HoldTexts {
            description: row.description,
            reference: row.reference,
            metadata: metadata.unwrap_or_default(),
        },
    };
    Ok(to_wire(hold.seen_at(now), identity))
}

/// A hold as the contract writes it.
pub fn to_wire(hold: Hold, identity: &Identity) -> v1::Hold {
    let write = |amount| Some(money::to_wire(amount, identity.currency));
    let rest = hold.rest();
    let released = match hold.state {
        HoldState::Open => Money::ZERO,
        _ => hold.amount.checked_sub(hold.captured).unwrap_or(Money::ZERO),
    };
    let close_reason = match hold.state {
        HoldState::Open => v1::HoldCloseReason::Unspecified,
        HoldState::Captured if released.is_zero() => v1::HoldCloseReason::CapturedInFull,
        HoldState::Captured => v1::HoldCloseReason::CapturedInPart,
        HoldState::Released => v1::HoldCloseReason::Released,
        HoldState::Expired => v1::HoldCloseReason::Expired,
    };
    v1::Hold {
        hold_id: hold.hold_id,
        account_id: identity.account_id.clone(),
        state: hold.state as i32,
        amount: write(hold.amount),
        captured: write(hold.captured),
        released: write(released),
        rest: write(rest),
        expires_at: Some(time::to_wire(hold.expires_at)),
        description: hold.texts.description.unwrap_or_default(),
        reference: hold.texts.reference.unwrap_or_default(),
        category: hold.category.unwrap_or_default(),
        metadata: hold.texts.metadata.into_iter().collect(),
        create_time: Some(time::to_wire(hold.placed_at)),
        update_time: Some(time::to_wire(hold.updated_at)),
        close_reason: close_reason.into(),
    }
}
