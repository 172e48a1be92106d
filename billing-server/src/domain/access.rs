//! Access: whether an account's owner may use the company's services, and what suspends and restores it.
//!
//! Sources: "Balance", "Due dates, grace, suspension" in `rules.md`; `AccessService` in `api.md`. When a suspension comes
//! by itself is the [timeline](super::timeline)'s.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::accounts::BillingMode;
use super::amounts::Amounts;
use super::calendar::{TimeZone, local_date, start_of_day};
use super::instant::Instant;
use super::money::Money;
use super::policy::Policy;
use super::reason::{Reason, Refusal};

/// Why access is suspended. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspensionReason {
    /// An overdue debt.
    Debt = 1,
    /// A negative available amount.
    NegativeBalance = 2,
    /// A promised payment that was not made.
    PromiseBroken = 3,
    /// An operator's decision.
    Manual = 4,
    /// The client's own wish.
    Voluntary = 5,
}

impl SuspensionReason {
    /// The reason of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Debt),
            2 => Some(Self::NegativeBalance),
            3 => Some(Self::PromiseBroken),
            4 => Some(Self::Manual),
            5 => Some(Self::Voluntary),
            _ => None,
        }
    }

    /// The name of the reason in the contract, without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debt => "DEBT",
            Self::NegativeBalance => "NEGATIVE_BALANCE",
            Self::PromiseBroken => "PROMISE_BROKEN",
            Self::Manual => "MANUAL",
            Self::Voluntary => "VOLUNTARY",
        }
    }

    /// Whether it comes and goes with the state of the account; the others are somebody's decision.
    pub const fn is_automatic(self) -> bool {
        matches!(self, Self::Debt | Self::NegativeBalance | Self::PromiseBroken)
    }
}

/// What is owed now: the overdue rest of invoices, and on prepaid accounts what direct charges took beyond the money
/// there. Less than one minor unit (`unit`) is none ("Money" and "Balance" in `rules.md`).
pub fn debt(amounts: &Amounts, mode: BillingMode, unit: Money) -> Money {
    let direct = if mode == BillingMode::Prepaid { amounts.direct_debt() } else { Money::ZERO };
    let debt = amounts.overdue.checked_add(direct).unwrap_or(Money::MAX);
    if debt < unit { Money::ZERO } else { debt }
}

/// What `available` lacks to zero, leaving the open promise out when `promise_counts` is false. Less than one minor
/// unit is nothing.
pub fn lacking(amounts: &Amounts, promise_counts: bool, unit: Money) -> Money {
    let promised = if promise_counts { amounts.promised } else { Money::ZERO };
    let lacking = Amounts { promised, ..*amounts }.available().negated();
    if lacking < unit { Money::ZERO } else { lacking }
}

/// Since when `available` has been negative, after a change of the amounts at `now`.
///
/// A promise does not count: while it covers what is lacking it puts the suspension off, and when it ends "access is
/// judged without it" (`rules.md`), with the grace that has passed meanwhile.
pub fn negative_since(before: Option<Instant>, amounts: &Amounts, unit: Money, now: Instant) -> Option<Instant> {
    lacking(amounts, false, unit).is_positive().then(|| before.unwrap_or(now))
}

/// A suspension by decision that begins later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// MANUAL or VOLUNTARY.
    pub reason: SuspensionReason,
    /// When it begins.
    pub at: Instant,
    /// The local day as which begins it is restored by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
}

/// An operator's word that the causes standing at an instant do not suspend before a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reprieve {
    /// Causes that stood then are meant; later ones are not.
    pub at: Instant,
    /// The first local day on which they may suspend again.
    pub until: NaiveDate,
}

/// A client's word that he has paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// When he said so.
    pub at: Instant,
    /// How much he says to have paid.
    pub amount: Money,
}

/// The access of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Why it is suspended; empty while it is allowed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reasons: BTreeSet<SuspensionReason>,
    /// When the present suspension began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// The local days as which begin suspensions by decision end by themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub until: BTreeMap<SuspensionReason, NaiveDate>,
    /// Suspensions by decision to come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Planned>,
    /// What an operator has put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reprieve: Option<Reprieve>,
    /// What the client says to have paid, until nothing is left to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// A suspension that somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspend {
    /// Whether the client himself wishes it (VOLUNTARY); otherwise MANUAL.
    pub voluntary: bool,
    /// When it begins; absent, or not in the future: at once.
    pub effective_at: Option<Instant>,
    /// The local day as which begins it ends by itself.
    pub until: Option<NaiveDate>,
}

impl Access {
    /// Whether the owner may use the services.
    pub fn is_allowed(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Refuses what a suspended account cannot do: reserve something new.
    ///
    /// # Errors
    /// `ACCESS_SUSPENDED` with the reasons.
    pub fn check_allowed(&self, account_id: &str) -> Result<(), Refusal> {
        if self.is_allowed() {
            return Ok(());
        }
        let names: Vec<_> = self.reasons.iter().map(|reason| reason.name()).collect();
        Err(Refusal::new(Reason::AccessSuspended, "Access is suspended; see what lifts it, then try again.")
            .with("account_id", account_id)
            .with("reasons", names.join(",")))
    }

    /// The same, suspended for more reasons from `at` on.
    #[must_use]
    pub fn suspended(&self, reasons: &BTreeSet<SuspensionReason>, at: Instant) -> Self {
        let mut access = self.clone();
        access.planned.retain(|planned| planned.at > at || !reasons.contains(&planned.reason));
        let began = self.planned.iter().filter(|planned| planned.at <= at && reasons.contains(&planned.reason));
        access.until.extend(began.filter_map(|planned| Some((planned.reason, planned.until?))));
        access.reasons.extend(reasons);
        access.since = access.since.or(Some(at)).filter(|_| !access.reasons.is_empty());
        access
    }

    /// The same without those reasons: restored when no other is left.
    #[must_use]
    pub fn lifted(&self, reasons: &BTreeSet<SuspensionReason>) -> Self {
        let mut access = self.clone();
        access.reasons.retain(|reason| !reasons.contains(reason));
        access.until.retain(|reason, _| !reasons.contains(reason));
        access.since = access.since.filter(|_| !access.reasons.is_empty());
        access
    }

    /// Which of the reasons have lost their cause: what a payment, a promise or a raised limit lifts in its own
    /// transaction when the policy restores by itself.
    ///
    /// DEBT and `PROMISE_BROKEN` go when no debt is left, or when the open promise covers it; `NEGATIVE_BALANCE` when
    /// `available` is no longer negative.
    pub fn without_cause(&self, amounts: &Amounts, mode: BillingMode, unit: Money) -> BTreeSet<SuspensionReason> {
        let debt = debt(amounts, mode, unit);
        let settled = debt.is_zero() || amounts.promised >= debt;
        let positive = lacking(amounts, true, unit).is_zero();
        let gone = |reason: &SuspensionReason| match reason {
            SuspensionReason::Debt | SuspensionReason::PromiseBroken => settled,
            SuspensionReason::NegativeBalance => positive,
            SuspensionReason::Manual | SuspensionReason::Voluntary => false,
        };
        self.reasons.iter().copied().filter(gone).collect()
    }

    /// Suspends by decision, now or later. Such a suspension needs no warning.
    ///
    /// # Errors
    /// `ALREADY_SUSPENDED` when it stands or is planned for that reason already, `FIELD_OUT_OF_RANGE` when it would end
    /// before it begins.
    pub fn suspend(&self, account_id: &str, suspend: Suspend, now: Instant, zone: TimeZone) -> Result<Self, Refusal> {
        let reason = if suspend.voluntary { SuspensionReason::Voluntary } else { SuspensionReason::Manual };
        if self.reasons.contains(&reason) || self.planned.iter().any(|planned| planned.reason == reason) {
            let message = format!("Access is suspended, or will be, for the reason {} already.", reason.name());
            return Err(Refusal::new(Reason::AlreadySuspended, message).with("account_id", account_id));
        }
        let at = suspend.effective_at.unwrap_or(now).max(now);
        if suspend.until.is_some_and(|until| start_of_day(until, zone) <= at) {
            let text = "A suspension ends on a later day than it begins.";
            return Err(Refusal::field(Reason::FieldOutOfRange, "until", text));
        }
        let mut access = self.clone();
        access.planned.push(Planned { reason, at, until: suspend.until });
        Ok(if at > now { access } else { access.suspended(&[reason].into(), at) })
    }

    /// Restores access whatever suspends it, and forgets suspensions planned. The causes standing now do not suspend
    /// again before the day `until`; absent, so many days on that the policy's warnings can all come anew.
    ///
    /// # Errors
    /// `NOT_SUSPENDED` when nothing is suspended or planned, `FIELD_OUT_OF_RANGE` when `until` is not after today.
    pub fn restore(
        &self,
        account_id: &str,
        until: Option<NaiveDate>,
        policy: &Policy,
        now: Instant,
        zone: TimeZone,
    ) -> Result<Self, Refusal> {
        if self.is_allowed() && self.planned.is_empty() {
            return Err(Refusal::new(Reason::NotSuspended, "Access is not suspended; there is nothing to restore.")
                .with("account_id", account_id));
        }
        let today = local_date(now, zone);
        let days = policy.warn_before_suspension_days.last().copied().unwrap_or(1).max(1);
        let until = until.unwrap_or_else(|| days_after(today, days));
        if until <= today {
            let text = format!("The day before which nothing is suspended lies after today ({today}).");
            return Err(Refusal::field(Reason::FieldOutOfRange, "until", text));
        }
        Ok(Self { reprieve: Some(Reprieve { at: now, until }), claim: self.claim, ..Self::default() })
    }

    /// Takes a client's word that he has paid.
    ///
    /// # Errors
    /// `CLAIM_NOT_ALLOWED` when the policy takes none, `CLAIM_ALREADY_MADE` when one was made since there was last
    /// nothing to pay.
    pub fn claimed(&self, account_id: &str, amount: Money, policy: &Policy, now: Instant) -> Result<Self, Refusal> {
        if policy.transit_working_days == 0 {
            return Err(Refusal::new(
                Reason::ClaimNotAllowed,
                "The policy of the account takes no reports of payments.",
            )
            .with("account_id", account_id));
        }
        if let Some(claim) = self.claim {
            let message = "A payment was reported for this debt already; another report moves nothing.";
            return Err(Refusal::new(Reason::ClaimAlreadyMade, message).with("reported_at", claim.at));
        }
        Ok(Self { claim: Some(Claim { at: now, amount }), ..self.clone() })
    }

    /// The same after a change of the amounts: a claim is forgotten once nothing is left to pay, due or not.
    #[must_use]
    pub fn after_change(&self, amounts: &Amounts, mode: BillingMode, unit: Money) -> Self {
        let direct = if mode == BillingMode::Prepaid { amounts.direct_debt() } else { Money::ZERO };
        let owing = amounts.outstanding() >= unit || direct >= unit || lacking(amounts, false, unit).is_positive();
        Self { claim: self.claim.filter(|_| owing), ..self.clone() }
    }
}

/// The date so many days later, at most the last one of the calendar.
pub(super) fn days_after(date: NaiveDate, days: u16) -> NaiveDate {
    date.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX)
}

/// The date so many days earlier, at least the first one of the calendar.
pub(super) fn days_before(date: NaiveDate, days: u16) -> NaiveDate {
    date.checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN)
}

#[cfg(test)]
mod tests;
