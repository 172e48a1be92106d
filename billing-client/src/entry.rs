//! Entries: the rows of the journal that move money.

use std::collections::HashMap;

use billing_proto::v1;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::error::Malformed;
use crate::macros::open_enum;
use crate::money::to_wire;
use crate::position::Position;
use crate::wire::{amount, currency, date, decimal, instant, non_empty, non_zero, optional_instant, required};

open_enum! {
    /// What an entry is. The kind decides the sign of its amount.
    EntryKind as "ENTRY_KIND_" {
        /// Money came in from outside. Raises the balance.
        Payment,
        /// A charge is given back to the balance; no money leaves. Raises the balance.
        ChargeRefund,
        /// A gift, which cannot be paid out or transferred. Raises the balance.
        Bonus,
        /// A correction in the client's favour. Raises the balance.
        AdjustmentCredit,
        /// A debt is given up. Raises the balance, at most by the debt.
        WriteOff,
        /// A service was used. Lowers the balance.
        Charge,
        /// Money is paid out to the client: own, free money only. Lowers the balance.
        Payout,
        /// A correction in the company's favour. Lowers the balance.
        AdjustmentDebit,
        /// An invoice was issued. Lowers the balance.
        Invoice,
        /// An invoice was credited. Raises the balance.
        CreditNote,
        /// Money came from another account. Raises the balance.
        TransferIn,
        /// Money went to another account. Lowers the balance.
        TransferOut,
        /// An earlier entry was taken back; the sign is the opposite of the original's.
        Reversal,
    }
}

open_enum! {
    /// Why an entry was reversed.
    ReversalCause as "REVERSAL_CAUSE_" {
        /// The entry was wrong.
        Mistake,
        /// The same fact had been posted already.
        Duplicate,
        /// The payer disputed the payment at his bank.
        Chargeback,
        /// The bank returned the money.
        ReturnedByBank,
        /// Something else, told by the reason.
        Other,
    }
}

/// An entry: a row of the journal that moves money. It is never changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The account.
    pub account_id: String,
    /// The number of the row inside its account. Zero in an answer to `validate_only`.
    pub sequence: i64,
    /// What the entry is.
    pub kind: EntryKind,
    /// The change of the balance: positive raises it, negative lowers it.
    pub amount: Decimal,
    /// The ISO 4217 code of all amounts.
    pub currency: String,
    /// The amounts of the account right after this entry.
    pub balance_after: BalanceAfter,
    /// The account that takes the other side, such as `revenue:internet`.
    pub counter_account: String,
    /// The category for analysis. Empty: none.
    pub category: String,
    /// A text for people. Empty: none, or erased.
    pub description: String,
    /// The number of an outside document. Empty: none, or erased.
    pub reference: String,
    /// The key it was posted with. Absent where the service posted it, and on the receiving leg of a transfer.
    pub idempotency_key: Option<String>,
    /// When it happened in the world.
    pub occurred_at: DateTime<Utc>,
    /// The local day it is booked on.
    pub booking_date: NaiveDate,
    /// When it was recorded. Absent in an answer to `validate_only`.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The tax contained in the amount.
    pub tax: Option<Tax>,
    /// The same for all rows that were written by one command.
    pub transaction_id: String,
    /// Who posted it.
    pub created_by: String,
    /// The subscription it was charged for.
    pub subscription_id: Option<String>,
    /// The sequence of the entry which this one reverses.
    pub reverses_sequence: Option<i64>,
    /// Why it was reversed, when this is a reversal.
    pub reversal_cause: Option<ReversalCause>,
    /// The invoice it belongs to.
    pub invoice_id: Option<String>,
    /// The hold it was captured from.
    pub hold_id: Option<String>,
    /// The other account of a transfer.
    pub transfer_account_id: Option<String>,
    /// The caller's own pairs.
    pub metadata: HashMap<String, String>,
    /// Where it stands in the journal. Absent in an answer to `validate_only`.
    pub position: Option<Position>,
    /// The hash of this row and the hash before it. Empty in an answer to `validate_only`.
    pub hash: Vec<u8>,
    /// True when the texts and metadata were erased by anonymising the account.
    pub texts_erased: bool,
}

/// The amounts of an account right after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalanceAfter {
    /// The sum of all entries.
    pub posted: Decimal,
    /// What open holds reserve.
    pub held: Decimal,
    /// What may be spent.
    pub available: Decimal,
    /// What is left of bonus money.
    pub bonus: Decimal,
}

/// The tax that is contained in an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// The name of the tax, such as `vat20`.
    pub code: String,
    /// The rate in percent. It is told, not computed with.
    pub rate_percent: Decimal,
    /// The amount of the tax, not negative.
    pub amount: Decimal,
}

impl Tax {
    /// A tax of this name, rate in percent, and amount.
    pub fn new(code: impl Into<String>, rate_percent: Decimal, amount: Decimal) -> Self {
        Self { code: code.into(), rate_percent, amount }
    }
}

impl From<Tax> for v1::Tax {
    fn from(tax: Tax) -> Self {
        Self {
            code: tax.code,
            rate_percent: tax.rate_percent.normalize().to_string(),
            amount: Some(to_wire(tax.amount)),
        }
    }
}

impl TryFrom<v1::Tax> for Tax {
    type Error = Malformed;

    fn try_from(tax: v1::Tax) -> Result<Self, Malformed> {
        Ok(Self {
            code: tax.code,
            rate_percent: decimal("tax.rate_percent", &tax.rate_percent)?,
            amount: amount("tax.amount", tax.amount)?,
        })
    }
}

impl TryFrom<v1::BalanceAfter> for BalanceAfter {
    type Error = Malformed;

    fn try_from(after: v1::BalanceAfter) -> Result<Self, Malformed> {
        Ok(Self {
            posted: amount("balance_after.posted", after.posted)?,
            held: amount("balance_after.held", after.held)?,
            available: amount("balance_after.available", after.available)?,
            bonus: amount("balance_after.bonus", after.bonus)?,
        })
    }
}

impl TryFrom<v1::Entry> for Entry {
    type Error = Malformed;

    fn try_from(entry: v1::Entry) -> Result<Self, Malformed> {
        Ok(Self {
            kind: entry.kind.into(),
            currency: currency("entry.amount", entry.amount.as_ref())?,
            amount: amount("entry.amount", entry.amount)?,
            balance_after: required("entry.balance_after", entry.balance_after)?.try_into()?,
            idempotency_key: non_empty(entry.idempotency_key),
            occurred_at: instant("entry.occurred_at", entry.occurred_at)?,
            booking_date: date("entry.booking_date", &entry.booking_date)?,
            recorded_at: optional_instant("entry.recorded_at", entry.recorded_at)?,
            tax: entry.tax.map(TryInto::try_into).transpose()?,
            subscription_id: non_empty(entry.subscription_id),
            reverses_sequence: non_zero(entry.reverses_sequence),
            reversal_cause: ReversalCause::optional(entry.reversal_cause),
            invoice_id: non_empty(entry.invoice_id),
            hold_id: non_empty(entry.hold_id),
            transfer_account_id: non_empty(entry.transfer_account_id),
            position: entry.position.map(Into::into),
            account_id: entry.account_id,
            sequence: entry.sequence,
            counter_account: entry.counter_account,
            category: entry.category,
            description: entry.description,
            reference: entry.reference,
            transaction_id: entry.transaction_id,
            created_by: entry.created_by,
            metadata: entry.metadata,
            hash: entry.hash,
            texts_erased: entry.texts_erased,
        })
    }
}

#[cfg(test)]
mod tests {
    use billing_proto::v1;
    use rust_decimal::Decimal;

    use super::{Entry, EntryKind, ReversalCause, Tax};

    #[allow(clippy::unnecessary_wraps, reason = "it is put in optional fields")]
    fn money(value: &str) -> Option<v1::Money> {
        Some(v1::Money { value: value.to_owned(), currency_code: "RUB".to_owned() })
    }

    fn wire() -> v1::Entry {
        v1::Entry {
            account_id: "acme-1".to_owned(),
            sequence: 7,
            kind: v1::EntryKind::Reversal.into(),
            amount: money("-1500.50"),
            balance_after: Some(v1::BalanceAfter {
                posted: money("-0.000001"),
                held: money("0.00"),
                available: money("9000000000000"),
                bonus: money("0.00"),
            }),
            occurred_at: Some(prost_types::Timestamp { seconds: 1_764_547_200, nanos: 0 }),
            booking_date: "2025-12-01".to_owned(),
            tax: Some(v1::Tax { code: "vat20".to_owned(), rate_percent: "20".to_owned(), amount: money("250.08") }),
            reverses_sequence: 5,
            reversal_cause: v1::ReversalCause::Chargeback.into(),
            ..Default::default()
        }
    }

    #[test]
    fn an_entry_is_read_exactly() {
        let entry = Entry::try_from(wire());
        assert!(entry.is_ok(), "{entry:?}");
        let Ok(entry) = entry else { return };
        assert_eq!((entry.amount, entry.currency.as_str()), (Decimal::new(-150_050, 2), "RUB"));
        assert_eq!(entry.balance_after.posted, Decimal::new(-1, 6));
        assert_eq!(entry.booking_date.to_string(), "2025-12-01");
        assert_eq!(entry.occurred_at.to_rfc3339(), "2025-12-01T00:00:00+00:00");
        assert_eq!((entry.reverses_sequence, entry.reversal_cause), (Some(5), Some(ReversalCause::Chargeback)));
        assert_eq!(entry.tax, Some(Tax::new("vat20", Decimal::from(20), Decimal::new(25_008, 2))));
        // What is absent: it was validated only, and belongs to no invoice and no hold.
        assert_eq!((entry.recorded_at, entry.position), (None, None));
        assert_eq!((entry.invoice_id, entry.hold_id, entry.idempotency_key), (None, None, None));
    }

    #[test]
    fn a_kind_of_a_later_version_does_not_fail_the_answer() {
        let entry = Entry::try_from(v1::Entry { kind: 99, reversal_cause: 0, ..wire() });
        assert_eq!(entry.map(|entry| (entry.kind, entry.reversal_cause)), Ok((EntryKind::Unrecognized(99), None)));
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (wire, field) in [
            (v1::Entry { amount: None, ..wire() }, "entry.amount"),
            (v1::Entry { amount: Some(v1::Money::default()), ..wire() }, "entry.amount"),
            (v1::Entry { amount: money("12,5"), ..wire() }, "entry.amount"),
            (v1::Entry { balance_after: None, ..wire() }, "entry.balance_after"),
            (v1::Entry { booking_date: "yesterday".to_owned(), ..wire() }, "entry.booking_date"),
            (v1::Entry { occurred_at: None, ..wire() }, "entry.occurred_at"),
        ] {
            assert_eq!(Entry::try_from(wire).map_err(|error| error.field), Err(field.to_owned()));
        }
    }
}
