//! What a timeline is made of: steps, and the stages that are raised once.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::super::access::SuspensionReason;
use super::super::instant::Instant;
use super::super::money::Money;
use super::super::promise::PromiseState;

/// What a step is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The account as a whole: its balance, its access.
    Account,
    /// An invoice, by its id.
    Invoice(String),
    /// A period of a subscription.
    Period {
        /// The subscription.
        subscription_id: String,
        /// The first local day of the period.
        starts: NaiveDate,
    },
    /// A hold, by its id.
    Hold(String),
    /// A promise, by its id.
    Promise(String),
}

/// `account`, `invoice:…`, `period:…:2026-12-01`, `hold:…`, `promise:…`.
impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => formatter.write_str("account"),
            Self::Invoice(id) => write!(formatter, "invoice:{id}"),
            Self::Period { subscription_id, starts } => write!(formatter, "period:{subscription_id}:{starts}"),
            Self::Hold(id) => write!(formatter, "hold:{id}"),
            Self::Promise(id) => write!(formatter, "promise:{id}"),
        }
    }
}

/// What a stage says to the client, or to operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// An invoice will be due in so many days.
    PaymentDue,
    /// An invoice has been overdue for so many days.
    PaymentOverdue,
    /// A suspension, or a subscription that waits for funds, is so many days ahead.
    SuspensionAhead,
    /// The promise ends in so many days.
    PromiseEnding,
    /// No channel has taken the warning of a suspension that is due: for operators.
    NoticeUndeliverable,
}

/// The identity of a stage in its account: what has it was raised, and is never raised again ("Alerts" in `rules.md`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// What it says.
    pub notice: Notice,
    /// About what.
    pub subject: Subject,
    /// The due date of the invoice; of a suspension for a negative balance the day it fell; of a cause that an operator
    /// has put off the day until which; of a period its first day; of a promise its last. A moved date begins anew.
    pub date: NaiveDate,
    /// How often the invoice has reopened.
    pub times_reopened: u32,
    /// The days before or after that it speaks of.
    pub days: u16,
}

impl Stage {
    /// Whether both are stages of the same thing: the same but for the days.
    pub fn is_of(&self, other: &Self) -> bool {
        (self.notice, &self.subject, self.date, self.times_reopened)
            == (other.notice, &other.subject, other.date, other.times_reopened)
    }
}

/// What a warning warns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Suspension for an overdue invoice.
    Debt,
    /// Suspension for a negative available amount.
    NegativeBalance,
    /// A subscription that will wait for funds.
    ShortFunds,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A hold ends and frees its rest.
    HoldEnd,
    /// The promise ends.
    PromiseEnd {
        /// What becomes of it.
        outcome: PromiseState,
    },
    /// The due date of an invoice has ended unpaid.
    Overdue,
    /// The invoice of a period is issued.
    Invoice {
        /// When it will be due.
        due_date: NaiveDate,
    },
    /// A period is charged from the balance.
    Charge,
    /// A period is due and begins to wait for funds.
    Wait,
    /// Suspensions end: their cause is gone, or the day named has come.
    Restore {
        /// Which.
        reasons: BTreeSet<SuspensionReason>,
    },
    /// A reminder before a due date.
    PaymentDue {
        /// The days before it.
        days: u16,
    },
    /// A reminder after a due date.
    PaymentOverdue {
        /// The days after it, or after the day the invoice reopened.
        days: u16,
    },
    /// The promise ends the next day.
    PromiseEnding,
    /// A warning of a suspension.
    SuspensionAhead {
        /// The days before it.
        days: u16,
        /// When it will come, which the warning must name.
        planned: Instant,
        /// Of what.
        cause: Cause,
    },
    /// A suspension is due and nothing proves its warning: for operators, not for clients.
    NoticeUndeliverable {
        /// Of what.
        cause: Cause,
    },
    /// Access is suspended.
    Suspension {
        /// Why; some may stand already.
        reasons: BTreeSet<SuspensionReason>,
        /// Nothing proves its warning, and `max_notice_wait` is over.
        without_proof: bool,
    },
}

impl StepKind {
    /// The order of steps at one instant: what adds to the balance, what takes from it, what ends a suspension, what is
    /// said, what suspends.
    fn rank(&self) -> u8 {
        match self {
            Self::HoldEnd => 0,
            Self::PromiseEnd { .. } => 1,
            Self::Overdue => 2,
            Self::Invoice { .. } => 3,
            Self::Charge => 4,
            Self::Wait => 5,
            Self::Restore { .. } => 6,
            Self::PaymentDue { .. } => 7,
            Self::PaymentOverdue { .. } => 8,
            Self::PromiseEnding => 9,
            Self::SuspensionAhead { .. } => 10,
            Self::NoticeUndeliverable { .. } => 11,
            Self::Suspension { .. } => 12,
        }
    }
}

/// Something that happens to an account by time alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When. What time alone makes true has its own instant, be it in the past; what is done or said comes now at the
    /// earliest.
    pub at: Instant,
    /// What.
    pub kind: StepKind,
    /// About what.
    pub subject: Subject,
    /// How much: the rest, the charge, the debt, what is lacking.
    pub amount: Money,
    /// The stage that acting on the step raises.
    pub stage: Option<Stage>,
}

impl Step {
    /// The order of a timeline.
    pub fn order(&self, other: &Self) -> Ordering {
        let key = |step: &Self| (step.at, step.kind.rank());
        key(self)
            .cmp(&key(other))
            .then_with(|| self.subject.cmp(&other.subject))
            .then_with(|| self.stage.cmp(&other.stage))
    }
}
