//! Answers as the service would give them.

use std::collections::HashMap;
use std::time::Duration;

use billing_proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) fn money(value: &str) -> Option<v1::Money> {
    Some(v1::Money { value: value.to_owned(), currency_code: "RUB".to_owned() })
}

pub(crate) fn instant() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_764_547_200, nanos: 0 })
}

/// A refusal with its reason.
pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "refused", ErrorDetails::with_error_info(reason, "billing", HashMap::new()))
}

/// A refusal that names the time of the next try.
pub(crate) fn overloaded(retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info("OVERLOADED", "billing", HashMap::new());
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, "too much work", details)
}

/// The answer to a post, at this sequence.
pub(crate) fn posted(request: &v1::PostRequest, sequence: i64) -> v1::PostResponse {
    let position = Some(v1::JournalPosition { partition: 0, position: sequence });
    v1::PostResponse {
        entry: Some(v1::Entry {
            account_id: request.account_id.clone(),
            sequence,
            kind: request.kind,
            amount: money("10.00"),
            balance_after: Some(v1::BalanceAfter {
                posted: money("10.00"),
                held: money("0.00"),
                available: money("10.00"),
                bonus: money("0.00"),
            }),
            idempotency_key: request.idempotency_key.clone(),
            occurred_at: instant(),
            booking_date: "2025-12-01".to_owned(),
            recorded_at: instant(),
            position,
            ..Default::default()
        }),
        replayed: false,
        position,
    }
}

fn event(token: &str, account: &str, payload: v1::event::Payload) -> v1::Event {
    v1::Event {
        resume_token: token.to_owned(),
        account_id: account.to_owned(),
        event_time: instant(),
        payload: Some(payload),
        ..Default::default()
    }
}

/// An event that carries this token.
pub(crate) fn limit_changed(token: &str, account: &str) -> v1::Event {
    let amounts = v1::BalanceAmounts {
        posted: money("0.00"),
        held: money("0.00"),
        promised: money("0.00"),
        credit_limit: money("0.00"),
        not_due: money("0.00"),
        available: money("0.00"),
        free: money("0.00"),
        direct_debt: money("0.00"),
        bonus: money("0.00"),
        outstanding: money("0.00"),
        overdue: money("0.00"),
    };
    let changed = v1::BalanceChanged {
        cause: Some(v1::balance_changed::Cause::Limit(v1::LimitChange { before: money("0"), after: money("0") })),
        before: Some(amounts.clone()),
        after: Some(amounts),
        folded_changes: 0,
    };
    v1::Event { event_id: format!("id-{token}"), ..event(token, account, v1::event::Payload::BalanceChanged(changed)) }
}

pub(crate) fn heartbeat(token: &str) -> v1::Event {
    event(token, "", v1::event::Payload::Heartbeat(v1::Heartbeat { catching_up: false }))
}

/// A snapshot of an account, which is all zero.
pub(crate) fn snapshot(token: &str, account: &str) -> v1::Event {
    let balance = v1::Balance {
        account_id: account.to_owned(),
        posted: money("0.00"),
        held: money("0.00"),
        promised: money("0.00"),
        credit_limit: money("0.00"),
        not_due: money("0.00"),
        available: money("0.00"),
        free: money("0.00"),
        direct_debt: money("0.00"),
        bonus: money("0.00"),
        outstanding: money("0.00"),
        overdue: money("0.00"),
        access: Some(v1::Access { state: 1, ..Default::default() }),
        as_of: instant(),
        position: Some(v1::JournalPosition { partition: 0, position: 1 }),
        ..Default::default()
    };
    event(token, account, v1::event::Payload::BalanceSnapshot(v1::BalanceSnapshot { balance: Some(balance) }))
}
