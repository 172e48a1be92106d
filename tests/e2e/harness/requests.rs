//! Requests as most tests want them; what differs is said by `..payment("acme", "100")`.

use std::sync::atomic::{AtomicU64, Ordering};

use billing_proto::v1;

use super::clock;

/// The customer of every account that names no other.
pub(crate) const CUSTOMER: &str = "customer-1";

/// A key that no other request of this process has.
pub(crate) fn key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An amount in the currency of the account.
pub(crate) fn money(value: &str) -> Option<v1::Money> {
    money_in(value, "")
}

/// An amount in a currency.
pub(crate) fn money_in(value: &str, currency_code: &str) -> Option<v1::Money> {
    Some(v1::Money { value: value.to_owned(), currency_code: currency_code.to_owned() })
}

pub(crate) fn account(account_id: &str) -> v1::CreateAccountRequest {
    v1::CreateAccountRequest {
        account_id: account_id.to_owned(),
        customer_id: CUSTOMER.to_owned(),
        currency_code: "RUB".to_owned(),
        ..v1::CreateAccountRequest::default()
    }
}

pub(crate) fn close(account_id: &str) -> v1::CloseAccountRequest {
    v1::CloseAccountRequest {
        account_id: account_id.to_owned(),
        idempotency_key: key(),
        ..v1::CloseAccountRequest::default()
    }
}

pub(crate) fn reopen(account_id: &str) -> v1::ReopenAccountRequest {
    v1::ReopenAccountRequest {
        account_id: account_id.to_owned(),
        idempotency_key: key(),
        ..v1::ReopenAccountRequest::default()
    }
}

pub(crate) fn anonymize(account_id: &str) -> v1::AnonymizeAccountRequest {
    v1::AnonymizeAccountRequest {
        account_id: account_id.to_owned(),
        idempotency_key: key(),
        ..v1::AnonymizeAccountRequest::default()
    }
}

/// A change of the fields that are named.
pub(crate) fn update(account_id: &str, paths: &[&str], account: v1::Account) -> v1::UpdateAccountRequest {
    v1::UpdateAccountRequest {
        account_id: account_id.to_owned(),
        account: Some(account),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
        ..v1::UpdateAccountRequest::default()
    }
}

/// A change of the credit limit.
pub(crate) fn limit(account_id: &str, value: &str) -> v1::UpdateAccountRequest {
    update(account_id, &["credit_limit"], v1::Account { credit_limit: money(value), ..v1::Account::default() })
}

pub(crate) fn post(kind: v1::EntryKind, account_id: &str, value: &str) -> v1::PostRequest {
    v1::PostRequest {
        account_id: account_id.to_owned(),
        kind: kind.into(),
        amount: money(value),
        idempotency_key: key(),
        ..v1::PostRequest::default()
    }
}

pub(crate) fn payment(account_id: &str, value: &str) -> v1::PostRequest {
    post(v1::EntryKind::Payment, account_id, value)
}

pub(crate) fn charge(account_id: &str, value: &str) -> v1::PostRequest {
    post(v1::EntryKind::Charge, account_id, value)
}

/// A charge that asks for the money.
pub(crate) fn covered_charge(account_id: &str, value: &str) -> v1::PostRequest {
    v1::PostRequest { require_available: true, ..charge(account_id, value) }
}

pub(crate) fn bonus(account_id: &str, value: &str) -> v1::PostRequest {
    post(v1::EntryKind::Bonus, account_id, value)
}

pub(crate) fn payout(account_id: &str, value: &str) -> v1::PostRequest {
    post(v1::EntryKind::Payout, account_id, value)
}

pub(crate) fn write_off(account_id: &str, value: &str) -> v1::PostRequest {
    post(v1::EntryKind::WriteOff, account_id, value)
}

/// A tax contained in an amount.
pub(crate) fn tax(code: &str, rate_percent: &str, value: &str) -> Option<v1::Tax> {
    Some(v1::Tax { code: code.to_owned(), rate_percent: rate_percent.to_owned(), amount: money(value) })
}

pub(crate) fn transfer(from: &str, to: &str, value: &str) -> v1::TransferRequest {
    v1::TransferRequest {
        from_account_id: from.to_owned(),
        to_account_id: to.to_owned(),
        amount: money(value),
        idempotency_key: key(),
        ..v1::TransferRequest::default()
    }
}

/// The reversal of all that is left of an entry.
pub(crate) fn reversal(account_id: &str, sequence: i64) -> v1::ReverseEntryRequest {
    v1::ReverseEntryRequest {
        account_id: account_id.to_owned(),
        sequence,
        idempotency_key: key(),
        cause: v1::ReversalCause::Mistake.into(),
        ..v1::ReverseEntryRequest::default()
    }
}

/// A hold for an hour.
pub(crate) fn hold(account_id: &str, hold_id: &str, value: &str) -> v1::PlaceHoldRequest {
    let ttl = prost_types::Duration::try_from(clock::hours(1)).unwrap();
    v1::PlaceHoldRequest {
        account_id: account_id.to_owned(),
        hold_id: hold_id.to_owned(),
        amount: money(value),
        expiry: Some(v1::place_hold_request::Expiry::Ttl(ttl)),
        idempotency_key: key(),
        ..v1::PlaceHoldRequest::default()
    }
}

/// Changes nothing of a hold yet.
pub(crate) fn hold_update(account_id: &str, hold_id: &str) -> v1::UpdateHoldRequest {
    v1::UpdateHoldRequest {
        account_id: account_id.to_owned(),
        hold_id: hold_id.to_owned(),
        idempotency_key: key(),
        ..v1::UpdateHoldRequest::default()
    }
}

/// Captures all that is left of a hold.
pub(crate) fn capture(account_id: &str, hold_id: &str) -> v1::CaptureHoldRequest {
    v1::CaptureHoldRequest {
        account_id: account_id.to_owned(),
        hold_id: hold_id.to_owned(),
        idempotency_key: key(),
        ..v1::CaptureHoldRequest::default()
    }
}

/// Captures a part of a hold.
pub(crate) fn capture_part(account_id: &str, hold_id: &str, value: &str, keep_rest: bool) -> v1::CaptureHoldRequest {
    v1::CaptureHoldRequest { amount: money(value), keep_rest, ..capture(account_id, hold_id) }
}

pub(crate) fn release(account_id: &str, hold_id: &str) -> v1::ReleaseHoldRequest {
    v1::ReleaseHoldRequest {
        account_id: account_id.to_owned(),
        hold_id: hold_id.to_owned(),
        idempotency_key: key(),
        ..v1::ReleaseHoldRequest::default()
    }
}

pub(crate) fn balance(account_id: &str) -> v1::GetBalanceRequest {
    v1::GetBalanceRequest { account_id: account_id.to_owned(), ..v1::GetBalanceRequest::default() }
}

/// The entries of an account, the oldest first.
pub(crate) fn entries(account_id: &str) -> v1::ListEntriesRequest {
    v1::ListEntriesRequest {
        account_id: account_id.to_owned(),
        order: v1::EntryOrder::OldestFirst.into(),
        ..v1::ListEntriesRequest::default()
    }
}

/// What happens to an account from now on.
pub(crate) fn subscription(account_ids: &[&str]) -> v1::SubscribeRequest {
    v1::SubscribeRequest {
        account_ids: account_ids.iter().map(|&id| id.to_owned()).collect(),
        ..v1::SubscribeRequest::default()
    }
}

/// Any of the requests that a batch or a bulk stream holds.
pub(crate) trait IntoOperation {
    fn into_operation(self) -> v1::Operation;
}

macro_rules! operations {
    ($($request:ident as $variant:ident,)+) => {$(
        impl IntoOperation for v1::$request {
            fn into_operation(self) -> v1::Operation {
                v1::Operation { operation: Some(v1::operation::Operation::$variant(self)) }
            }
        }
    )+};
}

operations! {
    PostRequest as Post,
    TransferRequest as Transfer,
    ReverseEntryRequest as Reverse,
    PlaceHoldRequest as PlaceHold,
    CaptureHoldRequest as CaptureHold,
    ReleaseHoldRequest as ReleaseHold,
}

/// A batch that stands and falls together.
pub(crate) fn atomic(operations: Vec<v1::Operation>) -> v1::PostBatchRequest {
    v1::PostBatchRequest { operations, mode: v1::BatchMode::Atomic.into(), validate_only: false }
}

/// A batch in which each operation stands for itself.
pub(crate) fn independent(operations: Vec<v1::Operation>) -> v1::PostBatchRequest {
    v1::PostBatchRequest { operations, mode: v1::BatchMode::Independent.into(), validate_only: false }
}
