//! Promised payments: a temporary raise of the limit, never money in the ledger.
//!
//! Source: "Promised payment" in `rules.md`.

use chrono::{Datelike as _, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::access::days_after;
use super::calendar::{TimeZone, local_date, start_of_day};
use super::currency::Currency;
use super::instant::Instant;
use super::money::Money;
use super::policy::{Policy, PromiseTerms};
use super::reason::{Reason, Refusal};

/// What has become of a promise. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// It counts in `available`.
    Open = 1,
    /// All of it was paid, or it ended without debt after a payment.
    Fulfilled = 2,
    /// It ended without debt and without a payment.
    Unused = 3,
    /// It ended with debt.
    Broken = 4,
}

impl PromiseState {
    /// The state of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Fulfilled),
            3 => Some(Self::Unused),
            4 => Some(Self::Broken),
            _ => None,
        }
    }
}

/// A promised payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Its id, unique in its account.
    pub promise_id: String,
    /// What has become of it.
    pub state: PromiseState,
    /// How much was promised.
    pub amount: Money,
    /// How much of it still counts in `available`; nothing once it has ended.
    pub rest: Money,
    /// The local day at the end of which it ends.
    pub until: NaiveDate,
    /// When it was taken.
    pub taken_at: Instant,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
}

impl Promise {
    /// The instant at which its last local day has ended.
    pub fn ends_at(&self, zone: TimeZone) -> Instant {
        start_of_day(days_after(self.until, 1), zone)
    }

    /// The promise after a PAYMENT or a `TRANSFER_IN` of `amount`; nothing else shrinks it. It is fulfilled at once
    /// when nothing of it is left.
    #[must_use]
    pub fn after_payment(&self, amount: Money, now: Instant) -> Self {
        if self.state != PromiseState::Open {
            return self.clone();
        }
        let rest = self.rest.checked_sub(amount.min(self.rest)).unwrap_or(Money::ZERO);
        let (state, ended_at) =
            if rest.is_zero() { (PromiseState::Fulfilled, Some(now)) } else { (PromiseState::Open, None) };
        Self { state, rest, ended_at, ..self.clone() }
    }

    /// What becomes of it at its end, with that much debt ([`super::access::debt`], not counting the promise).
    pub fn outcome(&self, debt: Money) -> PromiseState {
        if debt.is_positive() {
            PromiseState::Broken
        } else if self.rest < self.amount {
            PromiseState::Fulfilled
        } else {
            PromiseState::Unused
        }
    }

    /// The promise after its end, with that much debt.
    #[must_use]
    pub fn ended(&self, debt: Money, zone: TimeZone) -> Self {
        let ended_at = Some(self.ends_at(zone));
        Self { state: self.outcome(debt), rest: Money::ZERO, ended_at, ..self.clone() }
    }
}

/// What an account's next promise depends on: the open one and what earlier ones have left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises {
    /// The open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Promise>,
    /// The broken one that bars others until an operator or a full payment unlocks them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_by: Option<String>,
    /// The local days on which promises were taken, earliest first: those of the month of the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<NaiveDate>,
}

/// What is known when a promise is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The account.
    pub account_id: &'a str,
    /// Its currency.
    pub currency: Currency,
    /// Its time zone.
    pub zone: TimeZone,
    /// Its policy.
    pub policy: &'a Policy,
    /// Its debt now ([`super::access::debt`]).
    pub debt: Money,
    /// The smallest payment that averts suspension ([`super::timeline::amount_to_pay`]).
    pub amount_to_pay: Money,
    /// When it is asked for.
    pub now: Instant,
}

/// What may be promised now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The most that may be promised.
    pub max_amount: Money,
    /// What is promised when nothing else is said: the amount to pay, or the debt. When it is above `max_amount`, no
    /// promise can avert the suspension, and a smaller one must be asked for by name.
    pub default_amount: Money,
    /// The last day on which a promise may end, which is the default.
    pub latest: NaiveDate,
}

impl Promises {
    /// What may be promised now, or every condition that forbids it, each with the day from which it will hold where
    /// that is known.
    ///
    /// # Errors
    /// `PROMISE_NOT_OFFERED`, `PROMISE_ALREADY_OPEN`, `PROMISE_LOCKED`, `PROMISE_COOLDOWN` (of `cooldown_days` or
    /// `max_per_period`), `PROMISE_NOT_NEEDED`.
    pub fn offer(&self, asking: &Asking<'_>) -> Result<Offer, Vec<Refusal>> {
        let today = local_date(asking.now, asking.zone);
        let mut refusals = Vec::new();
        let terms = asking.policy.promise.as_ref();
        let terms = terms.and_then(|terms| Some((terms, *terms.max_amount.get(&asking.currency)?)));
        if terms.is_none() {
            let message = "The policy of the account offers no promised payment.";
            refusals.push(Refusal::new(Reason::PromiseNotOffered, message).with("account_id", asking.account_id));
        }
        refusals.extend(self.open.as_ref().map(|open| refuse_second(open, asking.zone)));
        if let Some(broken) = &self.locked_by {
            let message = "The last promise was broken; pay all of the debt, or ask an operator to unlock promises.";
            refusals.push(Refusal::new(Reason::PromiseLocked, message).with("promise_id", broken));
        }
        let possible_from = terms.and_then(|(terms, _)| self.possible_from(terms));
        if let Some(date) = possible_from.filter(|date| *date > today) {
            let message = format!("The last promise was too short a time ago; the next is possible on {date}.");
            refusals.push(Refusal::new(Reason::PromiseCooldown, message).with("possible_from", date));
        }
        let default_amount = if asking.amount_to_pay.is_positive() { asking.amount_to_pay } else { asking.debt };
        if !default_amount.is_positive() {
            let message = "There is no debt and nothing to pay; a promise would change nothing.";
            refusals.push(Refusal::new(Reason::PromiseNotNeeded, message).with("account_id", asking.account_id));
        }
        match terms {
            Some((terms, max_amount)) if refusals.is_empty() => {
                Ok(Offer { max_amount, default_amount, latest: days_after(today, terms.max_days) })
            }
            _ => Err(refusals),
        }
    }

    /// Takes a promise: the account's promises with the new one open.
    ///
    /// # Errors
    /// The first of what [`Promises::offer`] refuses; `AMOUNT_NOT_POSITIVE`, `PROMISE_AMOUNT_TOO_HIGH`,
    /// `PROMISE_TOO_LONG`, and `FIELD_OUT_OF_RANGE` for a day before today.
    pub fn take(
        &self,
        promise_id: &str,
        amount: Option<Money>,
        until: Option<NaiveDate>,
        asking: &Asking<'_>,
    ) -> Result<Self, Refusal> {
        let offer = self.offer(asking).map_err(first_of)?;
        let today = local_date(asking.now, asking.zone);
        let amount = amount.unwrap_or(offer.default_amount);
        let until = until.unwrap_or(offer.latest);
        if !amount.is_positive() {
            return Err(Refusal::field(Reason::AmountNotPositive, "amount", "A promise is for an amount above zero."));
        }
        if amount > offer.max_amount {
            let max = offer.max_amount.format(asking.currency.minor_digits());
            let message = format!("At most {max} {} may be promised.", asking.currency);
            return Err(Refusal::new(Reason::PromiseAmountTooHigh, message)
                .with("max", max)
                .with("currency_code", asking.currency));
        }
        if until < today {
            let text = format!("A promise ends today ({today}) or later.");
            return Err(Refusal::field(Reason::FieldOutOfRange, "until", text));
        }
        if until > offer.latest {
            let message = format!("A promise taken today ends on {} or earlier.", offer.latest);
            return Err(Refusal::new(Reason::PromiseTooLong, message).with("max_date", offer.latest));
        }
        let mut taken = self.taken.clone();
        taken.retain(|day| (day.year(), day.month()) == (today.year(), today.month()));
        taken.push(today);
        let open = Promise {
            promise_id: promise_id.to_owned(),
            state: PromiseState::Open,
            amount,
            rest: amount,
            until,
            taken_at: asking.now,
            ended_at: None,
        };
        Ok(Self { open: Some(open), locked_by: None, taken })
    }

    /// The promises after a payment of `amount` that leaves `debt`, and the promise it fulfilled, if it did. A payment
    /// that leaves no debt unlocks promises.
    #[must_use]
    pub fn after_payment(&self, amount: Money, debt: Money, now: Instant) -> (Self, Option<Promise>) {
        let locked_by = self.locked_by.clone().filter(|_| debt.is_positive());
        let open = self.open.as_ref().map(|open| open.after_payment(amount, now));
        let (open, fulfilled) = match open {
            Some(promise) if promise.state != PromiseState::Open => (None, Some(promise)),
            open => (open, None),
        };
        (Self { open, locked_by, taken: self.taken.clone() }, fulfilled)
    }

    /// The promises once the open one has ended with that much debt, and the promise it was. Without an open one, or
    /// before its end, nothing changes.
    #[must_use]
    pub fn after_end(&self, debt: Money, now: Instant, zone: TimeZone) -> (Self, Option<Promise>) {
        let Some(open) = self.open.as_ref().filter(|open| open.ends_at(zone) <= now) else {
            return (self.clone(), None);
        };
        let ended = open.ended(debt, zone);
        let broken = ended.state == PromiseState::Broken;
        let locked_by = if broken { Some(ended.promise_id.clone()) } else { self.locked_by.clone() };
        (Self { open: None, locked_by, taken: self.taken.clone() }, Some(ended))
    }

    /// The promises after an operator has unlocked them.
    #[must_use]
    pub fn unlocked(&self) -> Self {
        Self { locked_by: None, ..self.clone() }
    }

    /// The first local day on which both the cooldown and the number a month allow the next promise.
    fn possible_from(&self, terms: &PromiseTerms) -> Option<NaiveDate> {
        let last = *self.taken.last()?;
        let cooled = days_after(last, terms.cooldown_days);
        let this_month = self.taken.iter().filter(|day| (day.year(), day.month()) == (last.year(), last.month()));
        let used_up = terms.max_per_period.is_some_and(|most| this_month.count() >= usize::from(most));
        let next_month = last.with_day(1).and_then(|first| first.checked_add_months(Months::new(1)));
        Some(next_month.filter(|_| used_up).map_or(cooled, |first| cooled.max(first)))
    }
}

fn refuse_second(open: &Promise, zone: TimeZone) -> Refusal {
    let message = format!("A promised payment is open until {}; the next is possible after it has ended.", open.until);
    Refusal::new(Reason::PromiseAlreadyOpen, message)
        .with("promise_id", &open.promise_id)
        .with("until_date", open.until)
        .with("possible_from", local_date(open.ends_at(zone), zone))
}

fn first_of(refusals: Vec<Refusal>) -> Refusal {
    let none = || Refusal::new(Reason::PromiseNotOffered, "No promised payment is offered.");
    refusals.into_iter().next().unwrap_or_else(none)
}

#[cfg(test)]
mod tests;
