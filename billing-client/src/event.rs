//! Events of the push stream.

use billing_proto::v1;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::account::Account;
use crate::balance::{Amounts, Balance, PromiseSummary};
use crate::entry::Entry;
use crate::error::Malformed;
use crate::hold::Hold;
use crate::macros::open_enum;
use crate::position::Position;
use crate::wire::{amount, instant, non_empty, required};

open_enum! {
    /// The types of events to filter by.
    EventType as "EVENT_TYPE_" {
        /// An amount of the balance has changed.
        BalanceChanged,
        /// A hold was placed, changed, captured, released or has expired.
        HoldChanged,
        /// An account was created, changed, closed, reopened or anonymised.
        AccountChanged,
    }
}

open_enum! {
    /// What was done to a hold.
    HoldChangeKind as "HOLD_CHANGE_KIND_" {
        /// It was placed.
        Placed,
        /// Its amount or end was changed.
        Updated,
        /// It was captured, in full or in part.
        Captured,
        /// It was released.
        Released,
        /// Its time was over.
        Expired,
    }
}

open_enum! {
    /// What was done to an account.
    AccountChangeKind as "ACCOUNT_CHANGE_KIND_" {
        /// It was created.
        Created,
        /// Fields of it were changed.
        Updated,
        /// It was closed.
        Closed,
        /// It was reopened.
        Reopened,
        /// Its personal data was erased.
        Anonymized,
    }
}

open_enum! {
    /// Which passing of time has changed a balance.
    TimeChangeKind as "TIME_CHANGE_KIND_" {
        /// A hold has expired: its rest is available again.
        HoldExpired,
        /// A promised payment has ended: its rest counts no more.
        PromiseEnded,
        /// The due date of an invoice has ended: its rest counts from now on.
        DueDateEnded,
    }
}

/// One message of the push stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// A new subscription with this token continues exactly after this event.
    pub resume_token: String,
    /// The identity of the event, the same when it is delivered again. Absent for heartbeats, snapshots and their end.
    pub event_id: Option<String>,
    /// The account. Empty for heartbeats and the end of a snapshot.
    pub account_id: String,
    /// The owner of the account. Empty for heartbeats and the end of a snapshot.
    pub customer_id: String,
    /// The sequence of the row in its account. Zero for heartbeats and the end of a snapshot.
    pub sequence: i64,
    /// When it was recorded; for what is no change, when it was made.
    pub event_time: DateTime<Utc>,
    /// The same for all events of one command.
    pub transaction_id: Option<String>,
    /// Where the row stands in the journal. Absent for heartbeats and the end of a snapshot.
    pub position: Option<Position>,
    /// What has happened.
    pub payload: Payload,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// The state of an account, before its events.
    BalanceSnapshot(Box<Balance>),
    /// An amount of the balance has changed.
    BalanceChanged(Box<BalanceChanged>),
    /// A hold has changed.
    HoldChanged {
        /// What was done.
        kind: HoldChangeKind,
        /// The hold after the change.
        hold: Box<Hold>,
    },
    /// An account was created or has changed.
    AccountChanged {
        /// What was done.
        kind: AccountChangeKind,
        /// The account after the change.
        account: Box<Account>,
        /// The fields that have changed. Empty when it was created.
        changed_fields: Vec<String>,
    },
    /// Nothing has happened, and the stream is alive.
    Heartbeat {
        /// True while the stream still sends what happened before it began.
        catching_up: bool,
    },
    /// All accounts have sent their snapshot; what follows are events only.
    SnapshotCompleted {
        /// How many accounts have sent one.
        account_count: i64,
    },
    /// A payload that this version of the client does not know: pass over it.
    Unrecognized,
}

/// An amount of a balance has changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BalanceChanged {
    /// Why.
    pub cause: BalanceChangeCause,
    /// All amounts before the change; of several folded together, before the first.
    pub before: Amounts,
    /// All amounts after the change.
    pub after: Amounts,
    /// How many earlier changes were folded into this one.
    pub folded_changes: i64,
}

/// Why a balance has changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BalanceChangeCause {
    /// An entry was posted.
    Entry(Box<Entry>),
    /// A hold was placed, changed or released.
    Hold(Box<Hold>),
    /// The credit limit was changed.
    Limit {
        /// The limit before.
        before: Decimal,
        /// The limit after.
        after: Decimal,
    },
    /// A promised payment was made or changed.
    Promise(PromiseSummary),
    /// Time has passed.
    Time {
        /// What has ended.
        kind: TimeChangeKind,
        /// The id of the hold, promise or invoice that ended.
        subject_id: Option<String>,
    },
    /// A cause that this version of the client does not know; the amounts are right all the same.
    Unrecognized,
}

impl Event {
    /// Whether it tells only that the stream is alive.
    pub fn is_heartbeat(&self) -> bool {
        matches!(self.payload, Payload::Heartbeat { .. })
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = Malformed;

    fn try_from(event: v1::Event) -> Result<Self, Malformed> {
        Ok(Self {
            event_id: non_empty(event.event_id),
            event_time: instant("event.event_time", event.event_time)?,
            transaction_id: non_empty(event.transaction_id),
            position: event.position.map(Into::into),
            payload: event.payload.map_or(Ok(Payload::Unrecognized), TryInto::try_into)?,
            resume_token: event.resume_token,
            account_id: event.account_id,
            customer_id: event.customer_id,
            sequence: event.sequence,
        })
    }
}

impl TryFrom<v1::event::Payload> for Payload {
    type Error = Malformed;

    fn try_from(payload: v1::event::Payload) -> Result<Self, Malformed> {
        use v1::event::Payload as Wire;
        Ok(match payload {
            Wire::BalanceSnapshot(snapshot) => {
                Payload::BalanceSnapshot(Box::new(required("balance", snapshot.balance)?.try_into()?))
            }
            Wire::BalanceChanged(changed) => Payload::BalanceChanged(Box::new(changed.try_into()?)),
            Wire::HoldChanged(changed) => Payload::HoldChanged {
                kind: changed.kind.into(),
                hold: Box::new(required("hold", changed.hold)?.try_into()?),
            },
            Wire::AccountChanged(changed) => Payload::AccountChanged {
                kind: changed.kind.into(),
                account: Box::new(required("account", changed.account)?.try_into()?),
                changed_fields: changed.changed_fields.map(|mask| mask.paths).unwrap_or_default(),
            },
            Wire::Heartbeat(heartbeat) => Payload::Heartbeat { catching_up: heartbeat.catching_up },
            Wire::SnapshotCompleted(end) => Payload::SnapshotCompleted { account_count: end.account_count },
        })
    }
}

impl TryFrom<v1::BalanceChanged> for BalanceChanged {
    type Error = Malformed;

    fn try_from(changed: v1::BalanceChanged) -> Result<Self, Malformed> {
        Ok(Self {
            cause: changed.cause.map_or(Ok(BalanceChangeCause::Unrecognized), TryInto::try_into)?,
            before: required("balance_changed.before", changed.before)?.try_into()?,
            after: required("balance_changed.after", changed.after)?.try_into()?,
            folded_changes: changed.folded_changes,
        })
    }
}

impl TryFrom<v1::balance_changed::Cause> for BalanceChangeCause {
    type Error = Malformed;

    fn try_from(cause: v1::balance_changed::Cause) -> Result<Self, Malformed> {
        use v1::balance_changed::Cause as Wire;
        use v1::time_change::Subject;
        Ok(match cause {
            Wire::Entry(entry) => BalanceChangeCause::Entry(Box::new(entry.try_into()?)),
            Wire::Hold(hold) => BalanceChangeCause::Hold(Box::new(hold.try_into()?)),
            Wire::Limit(limit) => BalanceChangeCause::Limit {
                before: amount("limit.before", limit.before)?,
                after: amount("limit.after", limit.after)?,
            },
            Wire::Promise(promise) => BalanceChangeCause::Promise(promise.try_into()?),
            Wire::Time(time) => BalanceChangeCause::Time {
                kind: time.kind.into(),
                subject_id: time.subject.map(|subject| match subject {
                    Subject::HoldId(id) | Subject::PromiseId(id) | Subject::InvoiceId(id) => id,
                }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use billing_proto::v1;

    use super::{Event, Payload};

    #[test]
    fn an_event_of_a_later_version_is_kept_with_its_token() {
        let wire = v1::Event {
            resume_token: "t1".to_owned(),
            event_id: "e1".to_owned(),
            event_time: Some(prost_types::Timestamp::default()),
            ..Default::default()
        };
        let event = Event::try_from(wire);
        assert_eq!(
            event.map(|event| (event.resume_token, event.event_id, event.payload)),
            Ok(("t1".to_owned(), Some("e1".to_owned()), Payload::Unrecognized))
        );
    }

    #[test]
    fn the_kinds_of_payload_are_typed() {
        for (wire, payload) in [
            (
                v1::event::Payload::Heartbeat(v1::Heartbeat { catching_up: true }),
                Payload::Heartbeat { catching_up: true },
            ),
            (
                v1::event::Payload::SnapshotCompleted(v1::SnapshotCompleted { account_count: 3 }),
                Payload::SnapshotCompleted { account_count: 3 },
            ),
        ] {
            assert_eq!(Payload::try_from(wire), Ok(payload));
        }
        let without_hold = v1::event::Payload::HoldChanged(v1::HoldChanged { kind: 1, hold: None });
        assert_eq!(Payload::try_from(without_hold).map_err(|error| error.field), Err("hold".to_owned()));
    }
}
