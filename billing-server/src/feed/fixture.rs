//! Rows for the tests of the feed.

use std::sync::Arc;

use super::row::Row;
use crate::convert::event;
use crate::domain::accounts::{BillingMode, Settings, State};
use crate::domain::amounts::Amounts;
use crate::domain::calendar::TimeZone;
use crate::domain::currency::Currency;
use crate::domain::head::Identity;
use crate::domain::holds::{Hold, HoldState};
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::record::{HoldTexts, Kind, Payload};
use crate::engine::record::Record;
use crate::engine::seal;

pub(crate) fn money(units: i64) -> Money {
    Money::from_micros(units * 1_000_000)
}

fn euro() -> Currency {
    Currency::parse("EUR").unwrap_or_else(|| unreachable!("EUR is a currency"))
}

/// Account `account` of a partition; every second account belongs to customer `even`.
pub(crate) fn identity(partition: u16, account: i64) -> Identity {
    Identity {
        partition,
        account,
        account_id: format!("account-{partition}-{account}"),
        customer_id: if account % 2 == 0 { "even".to_owned() } else { format!("customer-{account}") },
        currency: euro(),
    }
}

/// A payment of 1 that brings the account to as much as its sequence says.
pub(crate) fn entry(partition: i16, position: i64, account: i64, sequence: i64) -> Record {
    let mut row = seal::genesis(partition, position, None);
    row.position = position;
    row.account = account;
    row.sequence = sequence;
    row.kind = Kind::Payment.number();
    row.amount = money(1).micros();
    row.posted_after = money(sequence).micros();
    row.available_after = row.posted_after;
    row.hash = seal::hash(&row, seal::Names::default(), &[], None).to_vec();
    Record {
        kind: Kind::Payment,
        identity: Some(Arc::new(identity(u16::try_from(partition).unwrap_or_default(), account))),
        counter: None,
        category: None,
        created_by: None,
        before: None,
        row,
    }
}

fn with_payload(mut record: Record, kind: Kind, payload: &Payload) -> Record {
    record.kind = kind;
    record.row.kind = kind.number();
    record.row.payload = serde_json::to_string(payload).ok();
    record
}

fn held() -> Payload {
    let hold = Hold {
        hold_id: "hold-1".to_owned(),
        placed_sequence: 1,
        state: HoldState::Captured,
        amount: money(1),
        captured: money(1),
        expires_at: Instant::from_micros(9),
        placed_at: Instant::from_micros(1),
        updated_at: Instant::from_micros(1),
        category: None,
        texts: HoldTexts::default(),
    };
    Payload { hold_id: Some(hold.hold_id.clone()), hold: Some(hold), ..Payload::default() }
}

/// The same as [`entry`], out of a hold.
pub(crate) fn capture(partition: i16, position: i64, account: i64, sequence: i64) -> Record {
    with_payload(entry(partition, position, account, sequence), Kind::Charge, &held())
}

/// A row about a hold.
pub(crate) fn hold_row(kind: Kind) -> Record {
    let mut record = with_payload(entry(0, 1, 1, 1), kind, &held());
    record.row.held_after = Some(money(1).micros());
    record
}

/// A row about an account, after which it has a credit limit.
pub(crate) fn account_row(kind: Kind, limit: i64) -> Record {
    let settings = Settings {
        customer_id: "customer-1".to_owned(),
        currency: euro(),
        time_zone: TimeZone::parse("UTC").unwrap_or_else(|| unreachable!("UTC is a time zone")),
        locale: "en".to_owned(),
        state: State::Active,
        billing_mode: BillingMode::Prepaid,
        credit_limit: money(limit),
        payment_terms_days: None,
        policy_id: None,
        created_at: Instant::from_micros(1),
        updated_at: Instant::from_micros(1),
    };
    let asked = ["operation", "credit_limit", "metadata", "metadata_set"];
    let request = asked.map(|name| (name.to_owned(), "1".to_owned())).into();
    let payload = Payload { account: Some(settings), request, ..Payload::default() };
    let mut record = with_payload(entry(0, 1, 1, 1), kind, &payload);
    record.row.posted_after = 0;
    record.row.credit_limit_after = Some(money(limit).micros());
    record
}

/// A row with its events made.
pub(super) fn made(record: Record) -> Arc<Row> {
    let before = Amounts { posted: money(record.row.sequence - 1), ..Amounts::default() };
    let row = Row::new(Arc::new(record));
    row.make(before);
    debug_assert_eq!(row.events(), event::of_record(&row.record, &before));
    Arc::new(row)
}
