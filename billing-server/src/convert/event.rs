//! Events: what a journal row tells a subscriber.

use billing_proto::v1;
use billing_proto::v1::balance_changed::Cause;
use billing_proto::v1::event::Payload as Told;
use prost_types::FieldMask;

use super::{account, balance, entry, hold, money, position, time};
use crate::domain::amounts::Amounts;
use crate::domain::head::Identity;
use crate::domain::instant::Instant;
use crate::domain::record::{Kind, Payload};
use crate::engine::record::Record;

/// The fields of an account that an update can name, as they are called in what was asked.
const UPDATABLE: [(&str, &str); 10] = [
    ("display_name", "display_name"),
    ("time_zone", "time_zone"),
    ("locale", "locale"),
    ("billing_mode", "billing_mode"),
    ("credit_limit", "credit_limit"),
    ("payment_terms_days", "payment_terms_days"),
    ("policy_id", "policy_id"),
    ("billing_details", "billing_details"),
    ("metadata", "metadata"),
    ("metadata_set", "metadata"),
];

/// Where an account stands at a position of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub identity: Identity,
    /// The sequence of its last row.
    pub sequence: i64,
    /// The sequence of its last entry.
    pub entry_sequence: i64,
    /// Its amounts.
    pub amounts: Amounts,
}

/// The events of a row, in the order in which they are sent, without resume tokens; none for a row of no account. The
/// order and the number of them never change, because tokens count them.
pub fn of_record(record: &Record, before: &Amounts) -> Vec<v1::Event> {
    let Some(identity) = &record.identity else { return Vec::new() };
    let payload = record.payload();
    let told = told(record, identity, &payload, before);
    let row = &record.row;
    let transaction_id = record.transaction_id(&payload);
    let event = |(index, told): (usize, Told)| v1::Event {
        resume_token: String::new(),
        event_id: format!("{}-{}-{index}", row.partition, row.position),
        account_id: identity.account_id.clone(),
        customer_id: identity.customer_id.clone(),
        sequence: row.sequence,
        event_time: Some(time::to_wire(record.recorded_at())),
        transaction_id: transaction_id.clone(),
        position: Some(position::of(record)),
        payload: Some(told),
    };
    told.into_iter().enumerate().map(event).collect()
}

/// Whether the events of a row depend on the amounts before it.
pub fn needs_before(record: &Record) -> bool {
    let may_change = matches!(
        record.kind,
        Kind::AccountCreated
            | Kind::AccountUpdated
            | Kind::HoldPlaced
            | Kind::HoldUpdated
            | Kind::HoldReleased
            | Kind::HoldExpired
    );
    record.identity.is_some() && (may_change || record.kind.is_entry())
}

fn told(record: &Record, identity: &Identity, payload: &Payload, before: &Amounts) -> Vec<Told> {
    let hold_changed = |kind| payload.hold.is_some().then(|| hold_changed(record, kind)).flatten();
    let limit = || {
        let write = |amount| Some(money::to_wire(amount, identity.currency));
        Cause::Limit(v1::LimitChange { before: write(before.credit_limit), after: write(record.after().credit_limit) })
    };
    let of_hold = || hold::of_record(record).ok().map(Cause::Hold);
    let balance = |cause| balance_changed(record, identity, before, cause);
    let pair = match record.kind {
        Kind::Genesis | Kind::Outcomes | Kind::BooksClosed => [None, None],
        Kind::AccountCreated => {
            [account_changed(record, payload, v1::AccountChangeKind::Created), balance(Some(limit()))]
        }
        Kind::AccountUpdated => {
            [account_changed(record, payload, v1::AccountChangeKind::Updated), balance(Some(limit()))]
        }
        Kind::AccountClosed => [account_changed(record, payload, v1::AccountChangeKind::Closed), None],
        Kind::AccountReopened => [account_changed(record, payload, v1::AccountChangeKind::Reopened), None],
        Kind::AccountAnonymized => [account_changed(record, payload, v1::AccountChangeKind::Anonymized), None],
        Kind::HoldPlaced => [balance(of_hold()), hold_changed(v1::HoldChangeKind::Placed)],
        Kind::HoldUpdated => [balance(of_hold()), hold_changed(v1::HoldChangeKind::Updated)],
        Kind::HoldReleased => [balance(of_hold()), hold_changed(v1::HoldChangeKind::Released)],
        Kind::HoldExpired => [balance(Some(expiry(payload))), hold_changed(v1::HoldChangeKind::Expired)],
        _ => {
            let entry = entry::to_wire(record, false).ok().map(Cause::Entry);
            [balance(entry), hold_changed(v1::HoldChangeKind::Captured)]
        }
    };
    pair.into_iter().flatten().collect()
}

/// A change of the balance; none if no amount has changed, such as when only the end of a hold was moved.
fn balance_changed(record: &Record, identity: &Identity, before: &Amounts, cause: Option<Cause>) -> Option<Told> {
    let after = record.after();
    (after != *before).then(|| {
        Told::BalanceChanged(v1::BalanceChanged {
            cause,
            before: Some(balance::amounts_to_wire(identity, before)),
            after: Some(balance::amounts_to_wire(identity, &after)),
            folded_changes: 0,
        })
    })
}

fn hold_changed(record: &Record, kind: v1::HoldChangeKind) -> Option<Told> {
    let hold = hold::of_record(record).ok()?;
    Some(Told::HoldChanged(v1::HoldChanged { kind: kind.into(), hold: Some(hold) }))
}

fn expiry(payload: &Payload) -> Cause {
    let hold_id = payload.hold_id.clone().unwrap_or_default();
    Cause::Time(v1::TimeChange {
        kind: v1::TimeChangeKind::HoldExpired.into(),
        subject: Some(v1::time_change::Subject::HoldId(hold_id)),
    })
}

fn account_changed(record: &Record, payload: &Payload, kind: v1::AccountChangeKind) -> Option<Told> {
    let account = account::of_record(record).ok()?;
    let mut paths: Vec<String> = match kind {
        v1::AccountChangeKind::Updated => {
            let asked = UPDATABLE.iter().filter(|(asked, _)| payload.request.contains_key(*asked));
            asked.map(|(_, field)| (*field).to_owned()).collect()
        }
        v1::AccountChangeKind::Closed | v1::AccountChangeKind::Reopened => vec!["state".to_owned()],
        v1::AccountChangeKind::Anonymized => ["display_name", "billing_details", "metadata"].map(str::to_owned).into(),
        v1::AccountChangeKind::Created | v1::AccountChangeKind::Unspecified => Vec::new(),
    };
    paths.dedup();
    let changed_fields = (kind != v1::AccountChangeKind::Created).then_some(FieldMask { paths });
    Some(Told::AccountChanged(v1::AccountChanged { kind: kind.into(), account: Some(account), changed_fields }))
}

/// The type of an event; none for what is always sent.
pub fn type_of(event: &v1::Event) -> Option<v1::EventType> {
    match event.payload {
        Some(Told::BalanceChanged(_)) => Some(v1::EventType::BalanceChanged),
        Some(Told::HoldChanged(_)) => Some(v1::EventType::HoldChanged),
        Some(Told::AccountChanged(_)) => Some(v1::EventType::AccountChanged),
        Some(Told::BalanceSnapshot(_) | Told::Heartbeat(_) | Told::SnapshotCompleted(_)) | None => None,
    }
}

/// The state of an account before its events.
pub fn balance_snapshot(standing: &Standing, at: i64, now: Instant) -> v1::Event {
    let identity = &standing.identity;
    let position = v1::JournalPosition { partition: i32::from(identity.partition), position: at };
    let balance = v1::Balance {
        sequence: standing.sequence,
        entry_sequence: standing.entry_sequence,
        ..balance::of_amounts(identity, &standing.amounts, now, position)
    };
    v1::Event {
        account_id: identity.account_id.clone(),
        customer_id: identity.customer_id.clone(),
        sequence: standing.sequence,
        event_time: Some(time::to_wire(now)),
        position: Some(position),
        payload: Some(Told::BalanceSnapshot(v1::BalanceSnapshot { balance: Some(balance) })),
        ..v1::Event::default()
    }
}

/// The end of a snapshot.
pub fn snapshot_completed(now: Instant, account_count: i64) -> v1::Event {
    let completed = v1::SnapshotCompleted { account_count };
    v1::Event {
        event_time: Some(time::to_wire(now)),
        payload: Some(Told::SnapshotCompleted(completed)),
        ..v1::Event::default()
    }
}

/// A sign of life.
pub fn heartbeat(now: Instant, catching_up: bool) -> v1::Event {
    v1::Event {
        event_time: Some(time::to_wire(now)),
        payload: Some(Told::Heartbeat(v1::Heartbeat { catching_up })),
        ..v1::Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixture::{account_row, capture, entry, hold_row, money};

    fn kinds(record: &Record, before: &Amounts) -> Vec<v1::EventType> {
        of_record(record, before).iter().filter_map(type_of).collect()
    }

    fn cause(record: &Record, before: &Amounts) -> Option<Cause> {
        of_record(record, before).into_iter().find_map(|event| match event.payload {
            Some(Told::BalanceChanged(changed)) => changed.cause,
            _ => None,
        })
    }

    #[test]
    fn a_row_yields_its_events_in_order() {
        use v1::EventType::{AccountChanged, BalanceChanged, HoldChanged};
        let none = Amounts::default();
        let cases = [
            (entry(0, 1, 1, 1), vec![BalanceChanged]),
            (capture(0, 1, 1, 1), vec![BalanceChanged, HoldChanged]),
            (hold_row(Kind::HoldPlaced), vec![BalanceChanged, HoldChanged]),
            (hold_row(Kind::HoldExpired), vec![BalanceChanged, HoldChanged]),
            (account_row(Kind::AccountCreated, 0), vec![AccountChanged]),
            (account_row(Kind::AccountCreated, 5), vec![AccountChanged, BalanceChanged]),
            (account_row(Kind::AccountUpdated, 5), vec![AccountChanged, BalanceChanged]),
            (account_row(Kind::AccountClosed, 0), vec![AccountChanged]),
        ];
        for (record, expected) in cases {
            assert_eq!(kinds(&record, &none), expected, "{:?}", record.kind);
        }
        let mut system = entry(0, 1, 0, 1);
        system.identity = None;
        assert!(kinds(&system, &none).is_empty());
        let mut outcomes = entry(0, 1, 1, 1);
        outcomes.kind = Kind::Outcomes;
        assert!(kinds(&outcomes, &none).is_empty());
    }

    #[test]
    fn a_hold_that_only_ends_later_changes_no_balance() {
        let record = hold_row(Kind::HoldUpdated);
        assert_eq!(kinds(&record, &record.after()), [v1::EventType::HoldChanged]);
    }

    #[test]
    fn a_change_names_its_cause() {
        let none = Amounts::default();
        assert!(matches!(cause(&entry(0, 1, 1, 1), &none), Some(Cause::Entry(_))));
        assert!(matches!(cause(&hold_row(Kind::HoldPlaced), &none), Some(Cause::Hold(_))));
        let expired = cause(&hold_row(Kind::HoldExpired), &none);
        let subject = Some(v1::time_change::Subject::HoldId("hold-1".to_owned()));
        assert!(matches!(expired, Some(Cause::Time(time)) if time.subject == subject));
        let before = Amounts { credit_limit: money(3), ..none };
        let limit = cause(&account_row(Kind::AccountUpdated, 5), &before);
        let texts = |change: v1::LimitChange| (change.before.map(|it| it.value), change.after.map(|it| it.value));
        let limit = match limit {
            Some(Cause::Limit(change)) => texts(change),
            _ => (None, None),
        };
        assert_eq!(limit, (Some("3.00".to_owned()), Some("5.00".to_owned())));
    }

    #[test]
    fn an_update_names_the_fields_that_were_set() {
        let events = of_record(&account_row(Kind::AccountUpdated, 5), &Amounts::default());
        let changed = events.into_iter().find_map(|event| match event.payload {
            Some(Told::AccountChanged(changed)) => Some(changed),
            _ => None,
        });
        let paths = changed.and_then(|changed| changed.changed_fields).map(|mask| mask.paths);
        assert_eq!(paths, Some(vec!["credit_limit".to_owned(), "metadata".to_owned()]));
    }

    #[test]
    fn events_of_one_row_are_told_apart() {
        let events = of_record(&capture(3, 7, 1, 2), &Amounts::default());
        let ids: Vec<_> = events.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, ["3-7-0", "3-7-1"]);
        assert!(events.iter().all(|event| event.sequence == 2 && event.transaction_id == "3-7"));
    }
}
