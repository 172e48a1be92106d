//! Requests that move money: posts, transfers, reversals.

use billing_proto::v1;
use uuid::Uuid;

use crate::entry::{EntryKind, ReversalCause};
use crate::macros::request;
use crate::money::{Money, to_wire};

request! {
    /// Posts one entry.
    ///
    /// A charge is a fact and posts even below zero, unless [`require_available`](Self::require_available) asks for
    /// the money.
    Post as PostRequest {
        key, occurred_at, counter_account, category, description, reference, tax, metadata, expected_sequence,
        validate_only,
    }
}

impl Post {
    /// An entry of this kind. The amount is above zero; the kind decides the sign.
    pub fn new(kind: EntryKind, account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self {
            wire: v1::PostRequest {
                account_id: account_id.into(),
                kind: kind.into(),
                amount: Some(to_wire(amount)),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// Money came in from outside.
    pub fn payment(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::Payment, account_id, amount)
    }

    /// A service was used.
    pub fn charge(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::Charge, account_id, amount)
    }

    /// A charge is given back to the balance; no money leaves.
    pub fn charge_refund(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::ChargeRefund, account_id, amount)
    }

    /// A gift, which cannot be paid out or transferred.
    pub fn bonus(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::Bonus, account_id, amount)
    }

    /// Money is paid out to the client: own, free money only.
    pub fn payout(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::Payout, account_id, amount)
    }

    /// A debt is given up.
    pub fn write_off(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::WriteOff, account_id, amount)
    }

    /// A correction in the client's favour.
    pub fn adjustment_credit(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::AdjustmentCredit, account_id, amount)
    }

    /// A correction in the company's favour.
    pub fn adjustment_debit(account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self::new(EntryKind::AdjustmentDebit, account_id, amount)
    }

    /// The invoice that a payment settles first.
    pub fn invoice_id(mut self, invoice_id: impl Into<String>) -> Self {
        self.wire.invoice_id = invoice_id.into();
        self
    }

    /// Refuses a debit beyond what is available.
    pub fn require_available(mut self) -> Self {
        self.wire.require_available = true;
        self
    }
}

request! {
    /// Moves own, free money from one account to another of the same currency: two entries, both or neither.
    Transfer as TransferRequest {
        key, occurred_at, category, description, reference, metadata, expected_sequence, validate_only,
    }
}

impl Transfer {
    /// A transfer of this amount, above zero.
    pub fn new(from_account_id: impl Into<String>, to_account_id: impl Into<String>, amount: impl Into<Money>) -> Self {
        Self {
            wire: v1::TransferRequest {
                from_account_id: from_account_id.into(),
                to_account_id: to_account_id.into(),
                amount: Some(to_wire(amount)),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }
}

request! {
    /// Takes an entry back, in full or in part, by a new entry.
    ReverseEntry as ReverseEntryRequest { key, reason, validate_only }
}

impl ReverseEntry {
    /// The reversal of all that is left of this entry.
    pub fn new(account_id: impl Into<String>, sequence: i64, cause: ReversalCause) -> Self {
        Self {
            wire: v1::ReverseEntryRequest {
                account_id: account_id.into(),
                sequence,
                cause: cause.into(),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// Reverses this amount only, above zero.
    pub fn amount(mut self, amount: impl Into<Money>) -> Self {
        self.wire.amount = Some(to_wire(amount));
        self
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::Post;
    use crate::money::Money;

    #[test]
    fn a_request_has_a_key_from_the_start_and_keeps_it() {
        let post = Post::payment("acme-1", Decimal::TEN);
        assert_eq!(post.idempotency_key().len(), 36);
        assert_eq!(post.clone().idempotency_key(), post.idempotency_key());
        assert_ne!(Post::payment("acme-1", Decimal::TEN).idempotency_key(), post.idempotency_key());
        assert_eq!(post.key("bank-77-1").idempotency_key(), "bank-77-1");
    }

    #[test]
    fn a_request_is_the_message_of_the_wire() {
        let post = Post::payment("acme-1", Money::new(Decimal::new(150_050, 2), "RUB"))
            .reference("PP 77")
            .metadata("order", "9")
            .require_available();
        let wire = billing_proto::v1::PostRequest::from(post);
        assert_eq!(wire.kind(), billing_proto::v1::EntryKind::Payment);
        assert_eq!(
            wire.amount.map(|amount| (amount.value, amount.currency_code)),
            Some(("1500.5".into(), "RUB".into()))
        );
        assert_eq!((wire.reference.as_str(), wire.metadata["order"].as_str()), ("PP 77", "9"));
        assert!(wire.require_available);
    }
}
