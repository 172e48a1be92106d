//! Holds: money that is reserved for a charge which is not final yet.

use std::collections::HashMap;
use std::time::Duration;

use billing_proto::v1;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::Malformed;
use crate::macros::{open_enum, request};
use crate::money::{Money, to_wire};
use crate::wire::{amount, currency, instant, to_duration, to_timestamp};

open_enum! {
    /// What has become of a hold.
    HoldState as "HOLD_STATE_" {
        /// Money is reserved.
        Open,
        /// Captured in full or in part; nothing is reserved any more.
        Captured,
        /// Released; nothing is reserved any more.
        Released,
        /// Ended by its time; nothing is reserved any more.
        Expired,
    }
}

open_enum! {
    /// What closed a hold.
    HoldCloseReason as "HOLD_CLOSE_REASON_" {
        /// All of it was captured.
        CapturedInFull,
        /// A part was captured and the rest released with that capture.
        CapturedInPart,
        /// It was released.
        Released,
        /// Its time was over.
        Expired,
    }
}

/// Money that is reserved for a charge which is not final yet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hold {
    /// The hold, unique in its account.
    pub hold_id: String,
    /// The account.
    pub account_id: String,
    /// Open, or how it ended.
    pub state: HoldState,
    /// What was asked for in all.
    pub amount: Decimal,
    /// What was captured so far.
    pub captured: Decimal,
    /// What was freed without being captured.
    pub released: Decimal,
    /// What is still reserved.
    pub rest: Decimal,
    /// The ISO 4217 code of all amounts.
    pub currency: String,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// A text for people. Empty: none, or erased.
    pub description: String,
    /// The number of an outside document. Empty: none, or erased.
    pub reference: String,
    /// The category that a capture takes over. Empty: none.
    pub category: String,
    /// The caller's own pairs.
    pub metadata: HashMap<String, String>,
    /// When it was placed.
    pub create_time: DateTime<Utc>,
    /// When it was last changed.
    pub update_time: DateTime<Utc>,
    /// What closed it. Absent: it is open.
    pub close_reason: Option<HoldCloseReason>,
}

impl TryFrom<v1::Hold> for Hold {
    type Error = Malformed;

    fn try_from(hold: v1::Hold) -> Result<Self, Malformed> {
        Ok(Self {
            state: hold.state.into(),
            currency: currency("hold.amount", hold.amount.as_ref())?,
            amount: amount("hold.amount", hold.amount)?,
            captured: amount("hold.captured", hold.captured)?,
            released: amount("hold.released", hold.released)?,
            rest: amount("hold.rest", hold.rest)?,
            expires_at: instant("hold.expires_at", hold.expires_at)?,
            create_time: instant("hold.create_time", hold.create_time)?,
            update_time: instant("hold.update_time", hold.update_time)?,
            close_reason: HoldCloseReason::optional(hold.close_reason),
            hold_id: hold.hold_id,
            account_id: hold.account_id,
            description: hold.description,
            reference: hold.reference,
            category: hold.category,
            metadata: hold.metadata,
        })
    }
}

request! {
    /// Reserves money. Exactly what is available can be reserved, and no more.
    PlaceHold as PlaceHoldRequest { key, description, reference, category, metadata, validate_only }
}

impl PlaceHold {
    /// A hold of this amount that ends at an instant.
    pub fn until(account_id: impl Into<String>, amount: impl Into<Money>, expires_at: DateTime<Utc>) -> Self {
        Self::new(account_id, amount, v1::place_hold_request::Expiry::ExpiresAt(to_timestamp(expires_at)))
    }

    /// A hold of this amount that lasts for a time, counted from when it is recorded.
    pub fn lasting(account_id: impl Into<String>, amount: impl Into<Money>, ttl: Duration) -> Self {
        Self::new(account_id, amount, v1::place_hold_request::Expiry::Ttl(to_duration(ttl)))
    }

    fn new(account_id: impl Into<String>, amount: impl Into<Money>, expiry: v1::place_hold_request::Expiry) -> Self {
        Self {
            wire: v1::PlaceHoldRequest {
                account_id: account_id.into(),
                amount: Some(to_wire(amount)),
                expiry: Some(expiry),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// The identifier, unique in its account. Without it: the service makes one.
    pub fn id(mut self, hold_id: impl Into<String>) -> Self {
        self.wire.hold_id = hold_id.into();
        self
    }
}

request! {
    /// Changes the amount or the end of an open hold.
    UpdateHold as UpdateHoldRequest { key, validate_only }
}

impl UpdateHold {
    /// A change of this hold. At least one setter must follow.
    pub fn new(account_id: impl Into<String>, hold_id: impl Into<String>) -> Self {
        Self {
            wire: v1::UpdateHoldRequest {
                account_id: account_id.into(),
                hold_id: hold_id.into(),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// The new amount in all, what was captured included.
    pub fn amount(mut self, amount: impl Into<Money>) -> Self {
        self.wire.amount = Some(to_wire(amount));
        self
    }

    /// The new end, an instant.
    pub fn until(mut self, expires_at: DateTime<Utc>) -> Self {
        self.wire.expiry = Some(v1::update_hold_request::Expiry::ExpiresAt(to_timestamp(expires_at)));
        self
    }

    /// The new end, counted from when the change is recorded.
    pub fn lasting(mut self, ttl: Duration) -> Self {
        self.wire.expiry = Some(v1::update_hold_request::Expiry::Ttl(to_duration(ttl)));
        self
    }
}

request! {
    /// Turns held money into a charge.
    CaptureHold as CaptureHoldRequest {
        key, occurred_at, counter_account, category, description, reference, tax, metadata, validate_only,
    }
}

impl CaptureHold {
    /// A capture of all that is left of this hold.
    pub fn new(account_id: impl Into<String>, hold_id: impl Into<String>) -> Self {
        Self {
            wire: v1::CaptureHoldRequest {
                account_id: account_id.into(),
                hold_id: hold_id.into(),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// Captures this amount only; what is left is released.
    pub fn amount(mut self, amount: impl Into<Money>) -> Self {
        self.wire.amount = Some(to_wire(amount));
        self
    }

    /// Keeps reserved what is not captured.
    pub fn keep_rest(mut self) -> Self {
        self.wire.keep_rest = true;
        self
    }
}

request! {
    /// Frees what is left of an open hold.
    ReleaseHold as ReleaseHoldRequest { key, validate_only }
}

impl ReleaseHold {
    /// The release of this hold.
    pub fn new(account_id: impl Into<String>, hold_id: impl Into<String>) -> Self {
        Self {
            wire: v1::ReleaseHoldRequest {
                account_id: account_id.into(),
                hold_id: hold_id.into(),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }
}

request! {
    /// Lists the holds of an account, newest first.
    ListHolds as ListHoldsRequest { page_size, page_token }
}

impl ListHolds {
    /// All holds of this account.
    pub fn of(account_id: impl Into<String>) -> Self {
        Self { wire: v1::ListHoldsRequest { account_id: account_id.into(), ..Default::default() } }
    }

    /// Only holds in one of these states.
    pub fn states(mut self, states: impl IntoIterator<Item = HoldState>) -> Self {
        self.wire.states = states.into_iter().map(Into::into).collect();
        self
    }
}
