//! Posting one entry.

use billing_proto::v1;

use super::operation;
use super::violations::Violations;
use super::{entry, money, position, text, time};
use crate::domain::ledger::{self, Post};
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::{Details, Kind, Texts};
use crate::engine::command::{Body, Command, Outcome};

/// The command of a posting.
///
/// # Errors
/// All violations of its shape.
pub fn command(request: v1::PostRequest) -> Result<Command, Refusal> {
    let mut found = Violations::default();
    let account_id = text::id(&mut found, "account_id", request.account_id);
    let kind = kind(&mut found, request.kind);
    let (amount, currency) = money::positive(&mut found, "amount", request.amount);
    let key = text::key(&mut found, request.idempotency_key);
    let occurred_at = time::instant(&mut found, "occurred_at", request.occurred_at);
    let counter = text::counter_account(&mut found, "counter_account", request.counter_account);
    let category = text::category(&mut found, "category", request.category);
    let description = text::text(&mut found, "description", request.description, text::MAX_DESCRIPTION);
    let reference = text::text(&mut found, "reference", request.reference, text::MAX_REFERENCE);
    let invoice_id = text::optional_id(&mut found, "invoice_id", request.invoice_id);
    if invoice_id.is_some() && kind != Kind::Payment {
        found.add(Reason::FieldNotAllowed, "invoice_id", "Only a PAYMENT names an invoice.");
    }
    let tax = money::tax(&mut found, request.tax, Some(amount).filter(|amount| amount.is_positive()));
    let (tax, tax_currency) = tax.unzip();
    let metadata = text::metadata(&mut found, "metadata", request.metadata);
    check_sequence(&mut found, request.expected_sequence);
    found.finish()?;
    let post = Post {
        kind,
        amount,
        currency: currency_of(currency, tax_currency.flatten())?,
        counter,
        category,
        occurred_at,
        invoice_id,
        tax,
        texts: Texts { description, reference, details: Details { metadata, ..Details::default() } },
        require_available: request.require_available,
        expected_sequence: request.expected_sequence,
    };
    Ok(operation::command(account_id, key, Body::Post(Box::new(post)), request.validate_only))
}

/// The kind of an entry that is posted.
fn kind(found: &mut Violations, number: i32) -> Kind {
    let stand_in = Kind::Charge;
    let Ok(wire) = v1::EntryKind::try_from(number) else {
        found.add_unknown_value("kind", number);
        return stand_in;
    };
    if wire == v1::EntryKind::Unspecified {
        found.add_required("kind");
        return stand_in;
    }
    let kind = i16::try_from(number).ok().and_then(Kind::from_number).filter(|kind| ledger::raises(*kind).is_some());
    kind.unwrap_or_else(|| {
        let name = entry::kind_name(wire);
        let description = format!("Entries of kind {name} are written by their own operations only.");
        found.add_with(Reason::KindNotPostable, "kind", description, &[("kind", &name)]);
        stand_in
    })
}

/// Notes an expected sequence that no account can have.
pub(super) fn check_sequence(found: &mut Violations, expected: Option<i64>) {
    if expected.is_some_and(i64::is_negative) {
        found.add_out_of_range("expected_sequence", 0, i64::MAX);
    }
}

/// The one currency that an amount and the tax in it were given in.
pub(super) fn currency_of<C: Copy + PartialEq + std::fmt::Display>(
    amount: Option<C>,
    tax: Option<C>,
) -> Result<Option<C>, Refusal> {
    match (amount, tax) {
        (Some(amount), Some(tax)) if amount != tax => Err(Refusal::field(
            Reason::CurrencyMismatch,
            "tax.amount.currency_code",
            format!("The tax is in {tax}, the amount that contains it in {amount}."),
        )
        .with("expected", amount)
        .with("found", tax)),
        _ => Ok(amount.or(tax)),
    }
}

/// The answer to a posting.
///
/// # Errors
/// `INTERNAL` if the engine answered with no row.
pub fn answer(outcome: &Outcome, preview: bool) -> Result<v1::PostResponse, Refusal> {
    let record = operation::row(outcome, 0)?;
    Ok(v1::PostResponse {
        entry: Some(entry::to_wire(record, preview)?),
        replayed: outcome.replayed,
        position: (!preview).then(|| position::of(record)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> v1::PostRequest {
        v1::PostRequest {
            account_id: "acme-1".to_owned(),
            kind: v1::EntryKind::Payment.into(),
            amount: Some(v1::Money { value: "1500.50".to_owned(), currency_code: String::new() }),
            idempotency_key: "bank-77-1".to_owned(),
            ..v1::PostRequest::default()
        }
    }

    fn violations(request: v1::PostRequest) -> Vec<(String, String)> {
        let refusal = command(request).err();
        let violations = refusal.map(|refusal| refusal.violations).unwrap_or_default();
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
    }

    #[test]
    fn a_posting_becomes_a_command() {
        let command = command(request());
        let read = command.as_ref().map(|command| (command.account_id.as_str(), command.key.as_deref()));
        assert_eq!(read.ok(), Some(("acme-1", Some("bank-77-1"))));
    }

    #[test]
    fn all_violations_are_told_in_the_order_of_the_fields() {
        let all = violations(v1::PostRequest { expected_sequence: Some(-1), ..v1::PostRequest::default() });
        let expected = [
            ("account_id", "FIELD_REQUIRED"),
            ("kind", "FIELD_REQUIRED"),
            ("amount", "FIELD_REQUIRED"),
            ("idempotency_key", "FIELD_REQUIRED"),
            ("expected_sequence", "FIELD_OUT_OF_RANGE"),
        ];
        assert_eq!(all, expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())));
    }

    #[test]
    fn kinds_of_other_operations_are_not_posted() {
        for (kind, reason) in [(9, "KIND_NOT_POSTABLE"), (13, "KIND_NOT_POSTABLE"), (99, "ENUM_VALUE_UNKNOWN")] {
            let all = violations(v1::PostRequest { kind, ..request() });
            assert_eq!(all, [("kind".to_owned(), reason.to_owned())]);
        }
    }

    #[test]
    fn only_a_payment_names_an_invoice() {
        let named = |kind: v1::EntryKind| {
            violations(v1::PostRequest { kind: kind.into(), invoice_id: "inv-1".to_owned(), ..request() })
        };
        assert_eq!(named(v1::EntryKind::Payment), []);
        assert_eq!(named(v1::EntryKind::Charge), [("invoice_id".to_owned(), "FIELD_NOT_ALLOWED".to_owned())]);
    }
}
