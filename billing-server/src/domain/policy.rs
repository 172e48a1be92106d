//! Policies: when a client is reminded, when access is suspended, and what promises are taken.
//!
//! Sources: "Due dates, grace, suspension" and "Promised payment" in `rules.md`; Policy in `api.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{Datelike as _, NaiveDate, NaiveTime, Weekday};
use serde::{Deserialize, Serialize};

use super::accounts::BillingMode;
use super::currency::Currency;
use super::money::Money;
use super::reason::{Reason, Refusal};

/// The longest that any number of days in a policy may be: a leap year.
pub const MAX_DAYS: u16 = 366;
/// The most days that a list may name: each is a message to the client.
pub const MAX_STAGES: usize = 20;
/// The most holidays that a policy may name.
pub const MAX_HOLIDAYS: usize = 1_000;

/// What becomes of subscriptions while access is suspended. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhileSuspended {
    /// They are charged as ever. The default.
    #[default]
    Charge = 1,
    /// They are charged as ever, and the days without access are credited back.
    CreditDays = 2,
}

impl WhileSuspended {
    /// The value of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Charge),
            2 => Some(Self::CreditDays),
            _ => None,
        }
    }
}

/// The conditions under which a promised payment is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiseTerms {
    /// How many days after the day it is taken a promise may end: 1 to [`MAX_DAYS`].
    pub max_days: u16,
    /// How much may be promised, by currency; accounts in other currencies are offered none.
    pub max_amount: BTreeMap<Currency, Money>,
    /// The days from one promise to the next, counted from the day on which the first was taken; 0 for none.
    pub cooldown_days: u16,
    /// How many promises may be taken in a calendar month of the account's zone; absent for as many as one likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_period: Option<u16>,
}

/// The rules of reminders, grace, suspension and promises that apply to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The days before a due date on which the client is reminded (0: on the day itself).
    pub remind_before_days: BTreeSet<u16>,
    /// The days after a due date (or after the day the invoice reopened) on which the client is reminded.
    pub remind_after_days: BTreeSet<u16>,
    /// The local time of day of reminders and warnings.
    pub notify_at: NaiveTime,
    /// The days from the day on which `available` fell below zero to suspension; 0 for at once.
    pub grace_days: u16,
    /// The time from a proven warning to the suspension it warns of.
    pub min_notice: Duration,
    /// How long a suspension waits for the proof that its warning arrived; zero for ever.
    pub max_notice_wait: Duration,
    /// The working days that a payment the client has reported may take; 0 when no reports are taken.
    pub transit_working_days: u16,
    /// The days from Monday to Friday on which banks do not work.
    pub holidays: BTreeSet<NaiveDate>,
    /// What becomes of subscriptions while access is suspended.
    pub subscriptions_while_suspended: WhileSuspended,
    /// The age of an unpaid invoice, in days, at which access is suspended; absent for never. 0 acts like 1: an invoice
    /// is overdue only when its due date has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend_after_overdue_days: Option<u16>,
    /// Whether a negative available amount suspends; absent: on prepaid accounts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend_on_negative_available: Option<bool>,
    /// The least debt, or the least that `available` lacks, that suspends, by currency, inclusive; a minor unit without
    /// one. It only decides the beginning of a suspension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub min_debt_to_suspend: BTreeMap<Currency, Money>,
    /// The days before a suspension on which the client is warned.
    pub warn_before_suspension_days: BTreeSet<u16>,
    /// The conditions of promised payments; absent when none are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromiseTerms>,
    /// Whether access is restored as soon as the cause of its suspension is gone; otherwise an operator restores it.
    pub auto_restore: bool,
}

/// The policy of accounts that name none.
///
/// Promises need amounts in a currency, which a built-in default cannot know: it offers none.
impl Default for Policy {
    fn default() -> Self {
        Self {
            remind_before_days: [7, 3, 1].into(),
            remind_after_days: [1, 3, 7, 14].into(),
            notify_at: NaiveTime::from_hms_opt(10, 0, 0).unwrap_or_default(),
            grace_days: 3,
            min_notice: Duration::from_secs(24 * 3600),
            max_notice_wait: Duration::from_secs(7 * 24 * 3600),
            transit_working_days: 3,
            holidays: BTreeSet::new(),
            subscriptions_while_suspended: WhileSuspended::Charge,
            suspend_after_overdue_days: Some(14),
            suspend_on_negative_available: None,
            min_debt_to_suspend: BTreeMap::new(),
            warn_before_suspension_days: [3, 1].into(),
            promise: None,
            auto_restore: true,
        }
    }
}

impl Policy {
    /// Whether a negative available amount suspends accounts of that billing mode.
    pub fn suspends_on_negative(&self, mode: BillingMode) -> bool {
        self.suspend_on_negative_available.unwrap_or(mode == BillingMode::Prepaid)
    }

    /// The least amount in that currency that begins a suspension: at least one minor unit.
    pub fn least_to_suspend(&self, currency: Currency) -> Money {
        let unit = Money::minor_unit(currency.minor_digits());
        self.min_debt_to_suspend.get(&currency).map_or(unit, |least| unit.max(*least))
    }

    /// The last day on which a payment reported on that day may still be under way: the `transit_working_days`th day
    /// after it that is neither a Saturday, a Sunday nor a holiday.
    pub fn end_of_transit(&self, reported: NaiveDate) -> NaiveDate {
        let working =
            |day: &NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !self.holidays.contains(day);
        match usize::from(self.transit_working_days).checked_sub(1) {
            Some(days) => reported.iter_days().skip(1).filter(working).nth(days).unwrap_or(NaiveDate::MAX),
            None => reported,
        }
    }

    /// Checks every setting by itself and against the others.
    ///
    /// # Errors
    /// `FIELD_OUT_OF_RANGE`, `TOO_MANY_ITEMS`, `AMOUNT_NOT_POSITIVE` and `POLICY_INCONSISTENT` with all fields at
    /// fault; the refusal's own reason is that of the first.
    pub fn check(&self) -> Result<(), Refusal> {
        let mut faults = self.out_of_range();
        faults.extend(self.inconsistent());
        let Some(first) = faults.first() else { return Ok(()) };
        let mut refusal = Refusal::new(first.reason, first.description.clone()).with("field", first.field);
        if let Some(other) = first.other {
            refusal = refusal.with("other_field", other);
        }
        Err(faults
            .into_iter()
            .fold(refusal, |refusal, fault| refusal.violating(fault.field, fault.reason.name(), fault.description)))
    }

    fn out_of_range(&self) -> Vec<Fault> {
        let lists = [
            ("remind_before_days", &self.remind_before_days, 0),
            ("remind_after_days", &self.remind_after_days, 1),
            ("warn_before_suspension_days", &self.warn_before_suspension_days, 1),
        ];
        let days = lists.into_iter().filter(|(_, days, least)| {
            days.first().is_some_and(|day| day < least) || days.last().is_some_and(|day| *day > MAX_DAYS)
        });
        let mut faults: Vec<_> = days.map(|(field, _, least)| Fault::days(field, least)).collect();
        let stages = lists.into_iter().filter(|(_, days, _)| days.len() > MAX_STAGES);
        faults.extend(stages.map(|(field, ..)| Fault::too_many(field, MAX_STAGES)));
        if self.holidays.len() > MAX_HOLIDAYS {
            faults.push(Fault::too_many("holidays", MAX_HOLIDAYS));
        }
        let longest = Duration::from_secs(u64::from(MAX_DAYS).saturating_mul(24 * 3600));
        let durations = [("min_notice", self.min_notice), ("max_notice_wait", self.max_notice_wait)];
        faults.extend(
            durations.into_iter().filter(|(_, given)| *given > longest).map(|(field, _)| Fault::days(field, 0)),
        );
        let mut numbers = vec![
            ("grace_days", self.grace_days, 0),
            ("transit_working_days", self.transit_working_days, 0),
            ("suspend_after_overdue_days", self.suspend_after_overdue_days.unwrap_or(0), 0),
        ];
        if let Some(promise) = &self.promise {
            numbers.push(("promise.max_days", promise.max_days, 1));
            numbers.push(("promise.cooldown_days", promise.cooldown_days, 0));
            numbers.push(("promise.max_per_period", promise.max_per_period.unwrap_or(1), 1));
            faults.extend(Fault::amounts("promise.max_amount", &promise.max_amount));
        }
        let wrong = numbers.into_iter().filter(|(_, days, least)| days < least || *days > MAX_DAYS);
        faults.extend(wrong.map(|(field, _, least)| Fault::days(field, least)));
        faults.extend(Fault::amounts("min_debt_to_suspend", &self.min_debt_to_suspend));
        faults
    }

    fn inconsistent(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.max_notice_wait.is_zero() && self.max_notice_wait < self.min_notice {
            faults.push(Fault::inconsistent(
                "max_notice_wait",
                "min_notice",
                "A suspension cannot stop waiting for a proof of its warning before min_notice is over.",
            ));
        }
        let suspends = self.suspend_after_overdue_days.is_some() || self.suspend_on_negative_available != Some(false);
        match self.warn_before_suspension_days.last() {
            None if suspends => faults.push(Fault::inconsistent(
                "warn_before_suspension_days",
                "suspend_after_overdue_days",
                "Nothing is suspended without a warning: name at least one day, or switch suspension off.",
            )),
            // The first warning comes so many days less the time of day before the local midnight of the suspension.
            Some(days) if suspends && self.longest_notice(*days) < self.min_notice => {
                faults.push(Fault::inconsistent(
                    "warn_before_suspension_days",
                    "min_notice",
                    "The first warning would come later than min_notice before the suspension: name an earlier day.",
                ));
            }
            _ => {}
        }
        if self.promise.as_ref().is_some_and(|promise| promise.max_amount.is_empty()) {
            faults.push(Fault::inconsistent(
                "promise.max_amount",
                "promise.max_days",
                "Promises need a greatest amount in at least one currency.",
            ));
        }
        faults
    }

    /// The time from `notify_at` of the first day of warning to the midnight at which the suspension begins.
    fn longest_notice(&self, days: u16) -> Duration {
        let into_the_day = self.notify_at.signed_duration_since(NaiveTime::MIN).to_std().unwrap_or_default();
        Duration::from_secs(u64::from(days).saturating_mul(24 * 3600)).saturating_sub(into_the_day)
    }
}

/// A setting at fault.
struct Fault {
    reason: Reason,
    field: &'static str,
    other: Option<&'static str>,
    description: String,
}

impl Fault {
    fn days(field: &'static str, least: u16) -> Self {
        let description = format!("{field} lies between {least} and {MAX_DAYS} (days).");
        Self { reason: Reason::FieldOutOfRange, field, other: None, description }
    }

    fn too_many(field: &'static str, most: usize) -> Self {
        Self {
            reason: Reason::TooManyItems,
            field,
            other: None,
            description: format!("{field} names at most {most} days."),
        }
    }

    fn amounts(field: &'static str, amounts: &BTreeMap<Currency, Money>) -> Option<Self> {
        let wrong = amounts.iter().find(|(_, amount)| !amount.is_positive() || **amount > Money::MAX)?;
        let description = format!("{field} in {} is an amount above zero.", wrong.0);
        Some(Self { reason: Reason::AmountNotPositive, field, other: None, description })
    }

    fn inconsistent(field: &'static str, other: &'static str, description: &str) -> Self {
        Self { reason: Reason::PolicyInconsistent, field, other: Some(other), description: description.to_owned() }
    }
}

#[cfg(test)]
mod tests;
