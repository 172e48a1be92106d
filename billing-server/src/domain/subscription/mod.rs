//! Subscriptions: recurring charges ("Recurring charges" in `rules.md`).
//!
//! A subscription says what each day costs: prices by the day they begin ([`coverage`]), less the days that cost
//! nothing (a trial, a pause, a wait for funds, what lies after its end). It also keeps what was charged of the days
//! that are charged already. A wish of a client ([`change`]) changes only the first of the two; what is due ([`due`])
//! is the next period, or where the two differ. So a preview and the charge are the same function, and however often
//! and in whatever order runs come, each day is charged exactly once.

pub mod line;
pub mod coverage;
pub mod due;
pub mod change;

#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::accounts::BillingMode;
use super::money::Rounding;
use super::proration::Basis;
use super::reason::{Reason, Refusal};
use super::recurrence::{Interval, Period, Schedule};

pub use change::Effect;
pub use coverage::{Gap, Price, Span};
pub use due::{Due, Item, Run};
pub use line::Line;

/// What has become of a subscription. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, or will from its first day on.
    Active = 1,
    /// It was paused, and is charged only if the pause is.
    Paused = 2,
    /// The balance did not cover a period; it charges nothing until a payment does.
    Waiting = 3,
    /// It was cancelled and is over. Final.
    Cancelled = 4,
    /// Its last day is over. Final.
    Ended = 5,
}

impl State {
    /// The state of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Active),
            2 => Some(Self::Paused),
            3 => Some(Self::Waiting),
            4 => Some(Self::Cancelled),
            5 => Some(Self::Ended),
            _ => None,
        }
    }

    /// The word of the contract, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Cancelled => "cancelled",
            Self::Ended => "ended",
        }
    }

    /// Whether nothing can change in it any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Ended)
    }
}

/// When a period is charged. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// On its first day that costs something.
    InAdvance = 1,
    /// On the day after its last.
    InArrears = 2,
}

impl Timing {
    /// The timing of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::InAdvance),
            2 => Some(Self::InArrears),
            _ => None,
        }
    }
}

/// How the money comes in. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// By an invoice.
    Invoice = 1,
    /// By a charge straight from the balance.
    Balance = 2,
}

impl Collection {
    /// The collection of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Invoice),
            2 => Some(Self::Balance),
            _ => None,
        }
    }
}

/// What happens when the balance does not cover a period. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfShort {
    /// It is charged all the same.
    #[default]
    PostBelowZero = 1,
    /// Nothing is charged until a payment covers it; a paused one is paused no longer then. Only in advance and from
    /// the balance.
    WaitForFunds = 2,
}

impl IfShort {
    /// The choice of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::PostBelowZero),
            2 => Some(Self::WaitForFunds),
            _ => None,
        }
    }
}

/// What is charged by the payment that ends a wait for funds. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// The rest of the period; periods turn on the same days as before.
    #[default]
    SameAnchor = 1,
    /// A whole period from the day of the payment, which becomes the anchor.
    FromPayment = 2,
}

impl Restart {
    /// The choice of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::SameAnchor),
            2 => Some(Self::FromPayment),
            _ => None,
        }
    }
}

/// How a subscription is charged. Fixed when it is made, so that a credit is computed as its charge was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Terms {
    pub timing: Timing,
    pub collection: Collection,
    pub if_short: IfShort,
    pub restart: Restart,
    /// How days are counted where not a whole period is charged.
    pub basis: Basis,
    pub rounding: Rounding,
    /// Fraction digits of the currency.
    pub minor_digits: u32,
}

impl Terms {
    /// The defaults of a billing mode: PREPAID in advance from the balance, POSTPAID in arrears by invoice ("Balance"
    /// in `rules.md`).
    pub fn default_of(mode: BillingMode, minor_digits: u32) -> Self {
        let (timing, collection) = match mode {
            BillingMode::Prepaid => (Timing::InAdvance, Collection::Balance),
            BillingMode::Postpaid => (Timing::InArrears, Collection::Invoice),
        };
        Self {
            timing,
            collection,
            if_short: IfShort::default(),
            restart: Restart::default(),
            basis: Basis::default(),
            rounding: Rounding::default(),
            minor_digits,
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let other_field = match (self.if_short, self.timing, self.collection) {
            (IfShort::WaitForFunds, Timing::InArrears, _) => "timing",
            (IfShort::WaitForFunds, _, Collection::Invoice) => "collection",
            _ => return Ok(()),
        };
        let message = "Only what is charged in advance from the balance can wait for funds.";
        Err(refuse_field(Reason::FieldConflict, "if_short", message).with("other_field", other_field))
    }
}

/// The days of the last period charged in advance, and what was charged for them.
///
/// In arrears, and before the first charge, there are none: both days are the first that is not charged yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The days that are charged; the next period begins where they end.
    pub days: Period,
    /// What was charged, after all credits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
}

impl Charged {
    /// Nothing from that day on.
    const fn until(date: NaiveDate) -> Self {
        Self { days: Period { start: date, end: date }, spans: Vec::new() }
    }
}

/// A subscription. All dates are local days of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id, unique in its account.
    pub subscription_id: String,
    /// What has become of it.
    pub state: State,
    /// How it is charged.
    pub terms: Terms,
    /// Its first day and its periods.
    pub schedule: Schedule,
    /// The first day after the trial, which costs nothing; absent: no trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_until: Option<NaiveDate>,
    /// The first day that it does not cover any more; absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<NaiveDate>,
    /// The day on which it was cancelled, even if it runs until the end of its period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_on: Option<NaiveDate>,
    /// What it costs, from the last charged period on, by the day each price begins. Never empty.
    pub prices: Vec<Price>,
    /// The days that cost nothing by a pause or a wait for funds, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What is charged already.
    pub charged: Charged,
}

/// What a new subscription is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct New {
    pub subscription_id: String,
    pub lines: Vec<Line>,
    pub interval: Interval,
    pub start: NaiveDate,
    /// A day on which a period turns; absent: the first day that is charged.
    pub anchor: Option<NaiveDate>,
    /// The first day after the trial; absent: no trial.
    pub trial_until: Option<NaiveDate>,
    /// The first day that is not covered any more; absent: no end.
    pub ends_on: Option<NaiveDate>,
    pub terms: Terms,
}

impl Subscription {
    /// A new subscription. A start in the past is caught up by the next run, period by period.
    ///
    /// # Errors
    /// Those of [`line::check`]; `DATE_RANGE_INVALID` when it would end on its first day or before, or the trial before
    /// it; `FIELD_CONFLICT` when something else than a charge in advance from the balance should wait for funds.
    pub fn create(new: New) -> Result<Self, Refusal> {
        line::check(&new.lines, &new.terms)?;
        let start = new.start;
        if let Some(trial_until) = new.trial_until.filter(|date| *date < start) {
            return Err(refuse_range(
                "trial_until",
                start,
                trial_until,
                "The trial ends before the subscription starts.",
            ));
        }
        if let Some(ends_on) = new.ends_on.filter(|date| *date <= start) {
            return Err(refuse_range("ends_on", start, ends_on, "The subscription ends before its first day is over."));
        }
        new.terms.check()?;
        let anchor = new.anchor.or(new.trial_until).unwrap_or(start);
        Ok(Self {
            subscription_id: new.subscription_id,
            state: State::Active,
            terms: new.terms,
            schedule: Schedule { interval: new.interval, anchor, start },
            trial_until: new.trial_until,
            ends_on: new.ends_on,
            cancelled_on: None,
            prices: vec![Price { from: start, lines: new.lines }],
            gaps: Vec::new(),
            charged: Charged::until(start),
        })
    }

    /// The next period to be charged, shortened by what is charged of it and by the end of the subscription; `None`
    /// while no day to come costs anything.
    pub fn next_period(&self) -> Option<Period> {
        let charged_until = self.charged.days.end;
        let first = self.next_priced(charged_until).filter(|_| !self.state.is_final())?;
        let period = self.schedule.holding(first)?;
        let end = self.ends_on.map_or(period.end, |ends_on| period.end.min(ends_on));
        Some(Period { start: period.start.max(charged_until), end })
    }
}

/// A refusal about one field, with its metadata.
fn refuse_field(reason: Reason, field: &str, message: &str) -> Refusal {
    Refusal::field(reason, field, message).with("field", field)
}

fn refuse_range(field: &str, from: NaiveDate, to: NaiveDate, message: &str) -> Refusal {
    Refusal::field(Reason::DateRangeInvalid, field, message).with("from", from).with("to", to)
}
