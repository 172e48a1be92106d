//! From the oracle's words to the engine's, and back.

use std::sync::Arc;
use std::time::Duration;

use billing_server::domain::accounts::{BillingMode, Create, StateChange, Update};
use billing_server::domain::calendar::{TimeZone, date_from_days};
use billing_server::domain::currency::Currency;
use billing_server::domain::record::{Details, Kind, Texts};
use billing_server::domain::{holds, ledger};
use billing_server::engine::command::{Answer, Body, Command};
use billing_server::engine::record::Record;

use crate::model::{Act, Expiry, Op, Post, Reply, Row, kind};

/// The command that says what an operation of the oracle says.
pub(crate) fn command_of(op: &Op) -> Command {
    Command {
        account_id: op.account.clone(),
        key: op.key.clone(),
        principal: Some(Arc::from("tester")),
        body: body_of(&op.act),
        validate_only: op.dry,
    }
}

fn body_of(act: &Act) -> Body {
    let etag = |version: &Option<i64>| version.map(|version| format!("v{version}"));
    match act {
        Act::Create { credit_limit, currency } => Body::CreateAccount(Box::new(create(currency, *credit_limit))),
        Act::Limit { credit_limit, allow_below_use, etag: version } => Body::UpdateAccount(Box::new(Update {
            credit_limit: Some(*credit_limit),
            allow_below_use: *allow_below_use,
            etag: etag(version),
            ..Update::default()
        })),
        Act::Close { etag: version } => Body::CloseAccount(StateChange { etag: etag(version), reason: None }),
        Act::Reopen { etag: version } => Body::ReopenAccount(StateChange { etag: etag(version), reason: None }),
        Act::Post(post) => Body::Post(Box::new(post_of(post))),
        Act::Transfer { to, amount } => Body::Transfer(Box::new(ledger::Transfer {
            to_account_id: to.clone(),
            amount: *amount,
            currency: None,
            category: None,
            occurred_at: None,
            texts: Texts::default(),
            expected_sequence: None,
        })),
        Act::Reverse { sequence, amount, peer } => Body::Reverse(Box::new(ledger::Reverse {
            sequence: *sequence,
            amount: *amount,
            currency: None,
            cause: 1,
            reason: Some("a mistake".to_owned()),
            peer_account_id: peer.clone(),
        })),
        Act::Place { hold, amount, expiry } => Body::PlaceHold(Box::new(holds::Place {
            hold_id: hold.clone(),
            amount: *amount,
            currency: None,
            expiry: expiry.map(expiry_of),
            category: Some("calls".to_owned()),
            texts: holds::HoldTexts { description: Some(format!("hold {hold}")), ..holds::HoldTexts::default() },
        })),
        Act::Change { hold, amount, expiry } => Body::UpdateHold(Box::new(holds::Update {
            hold_id: hold.clone(),
            amount: *amount,
            currency: None,
            expiry: expiry.map(expiry_of),
        })),
        Act::Capture { hold, amount, keep_rest } => Body::CaptureHold(Box::new(holds::Capture {
            hold_id: hold.clone(),
            amount: *amount,
            currency: None,
            keep_rest: *keep_rest,
            counter: None,
            category: None,
            occurred_at: None,
            tax: None,
            texts: Texts::default(),
        })),
        Act::Release { hold } => Body::ReleaseHold { hold_id: hold.clone() },
        Act::CloseBooks { until } => {
            Body::CloseBooks { until: date_from_days(i32::try_from(*until).unwrap()).unwrap(), reason: None }
        }
        Act::Settle => Body::Settle,
    }
}

/// A new account.
pub(crate) fn create(currency: &str, credit_limit: billing_server::domain::money::Money) -> Create {
    Create {
        customer_id: "customer".to_owned(),
        currency: Currency::parse(currency).unwrap(),
        time_zone: TimeZone::UTC,
        locale: "en".to_owned(),
        billing_mode: BillingMode::Prepaid,
        credit_limit,
        payment_terms_days: None,
        policy_id: None,
        details: Details { display_name: Some("A name".to_owned()), ..Details::default() },
    }
}

fn post_of(post: &Post) -> ledger::Post {
    ledger::Post {
        kind: Kind::from_number(post.kind.number()).unwrap(),
        amount: post.amount,
        currency: post.currency.map(|code| Currency::parse(code).unwrap()),
        counter: post.counter.clone(),
        category: post.category.clone(),
        occurred_at: post.occurred_at,
        invoice_id: None,
        tax: None,
        texts: Texts { description: post.description.clone(), ..Texts::default() },
        require_available: post.require_available,
        expected_sequence: post.expected_sequence,
    }
}

fn expiry_of(expiry: Expiry) -> holds::Expiry {
    match expiry {
        Expiry::At(at) => holds::Expiry::At(at),
        Expiry::After(micros) => holds::Expiry::After(Duration::from_micros(u64::try_from(micros).unwrap())),
    }
}

/// A row in the oracle's words.
pub(crate) fn row_of(record: &Record) -> Row {
    let after = record.after();
    Row {
        account: record.identity.as_ref().map(|identity| identity.account_id.clone()).unwrap_or_default(),
        sequence: record.row.sequence,
        entry_sequence: if record.identity.is_some() { record.entry_sequence() } else { 0 },
        kind: record.row.kind,
        amount: record.row.amount,
        posted: after.posted.micros(),
        held: after.held.micros(),
        bonus: after.bonus.micros(),
        credit_limit: after.credit_limit.micros(),
        recorded_at: record.row.recorded_at,
    }
}

/// Whether an answer is the expected one. The instants are compared where they are certain.
pub(crate) fn compare(op: &Op, expected: &Reply, answer: &Answer, exact_time: bool) -> Result<(), String> {
    let differs = |got: &dyn std::fmt::Debug| format!("{op:?}\n   expected {expected:?}\n   answered {got:?}");
    match (expected, answer) {
        (Err(expected), Err(refusal)) if *expected == refusal.reason => Ok(()),
        (Ok(done), Ok(outcome)) => {
            let mut rows: Vec<Row> = outcome.rows.iter().map(|record| row_of(record)).collect();
            let mut wanted = done.rows.clone();
            for row in rows.iter_mut().chain(&mut wanted) {
                // A repetition may be of what was decided when the time was not certain.
                if !exact_time || done.replayed {
                    row.recorded_at = 0;
                }
                if row.kind == kind::BOOKS_CLOSED {
                    row.sequence = 0;
                }
            }
            if rows == wanted && done.replayed == outcome.replayed {
                Ok(())
            } else {
                Err(differs(&(outcome.replayed, rows)))
            }
        }
        (_, Ok(outcome)) => Err(differs(&outcome.rows.iter().map(|record| row_of(record)).collect::<Vec<_>>())),
        (_, Err(refusal)) => Err(differs(refusal)),
    }
}
