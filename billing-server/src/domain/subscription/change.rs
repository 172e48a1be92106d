//! What can be done to a subscription.
//!
//! Each of these returns the subscription with the new wish; what follows in money comes from [`Subscription::run`]
//! with the same day, in the same transaction, and a preview is that run, not written. Nothing is stored when it
//! refuses.

use chrono::NaiveDate;

use super::super::reason::{Reason, Refusal};
use super::super::recurrence::Schedule;
use super::{Charged, Gap, Line, Price, Restart, State, Subscription, line, refuse_field, refuse_range};

/// The most prices and the most pauses that a subscription keeps: those of one period and those planned.
pub const MAX_CHANGES: usize = 100;

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Today.
    Now,
    /// With the period after the one that holds today; before the first day, with that day.
    NextPeriod,
    /// On a local day.
    On(NaiveDate),
}

impl Subscription {
    /// Other lines, quantities or prices from a day on. What was planned for that day or later is dropped.
    ///
    /// A day of a period that is charged already is prorated on that day: the unused rest of the old price is given
    /// back and that of the new one is charged.
    ///
    /// # Errors
    /// Those of [`line::check`], `SUBSCRIPTION_STATE` when it is over, `SUBSCRIPTION_CHANGE_IN_PAST` when the day is
    /// past and charged, `TOO_MANY_ITEMS` beyond [`MAX_CHANGES`] planned ones.
    pub fn change(&self, lines: Vec<Line>, effect: Effect, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_open()?;
        line::check(&lines, &self.terms)?;
        let from = self.effective(effect, today)?;
        let mut changed = self.clone();
        changed.prices.retain(|price| price.from < from);
        changed.prices.push(Price { from, lines });
        check_count("prices", changed.prices.len())?;
        Ok(changed)
    }

    /// Pauses it from today. With `charged` the days of the pause cost as ever; without, they cost nothing, and what is
    /// charged of them already is given back.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` unless it is active, `TOO_MANY_ITEMS` beyond [`MAX_CHANGES`] pauses in a period.
    pub fn pause(&self, charged: bool, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_state(State::Active)?;
        let mut paused = Self { state: State::Paused, ..self.clone() };
        if !charged {
            paused.gaps.push(Gap { from: self.not_before(today), until: None });
            check_count("gaps", paused.gaps.len())?;
        }
        Ok(paused)
    }

    /// Ends a pause today. What is left of the present period costs its part.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` unless it is paused.
    pub fn resume(&self, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_state(State::Paused)?;
        let mut resumed = Self { state: State::Active, ..self.clone() };
        resumed.close_gap(self.not_before(today));
        Ok(resumed)
    }

    /// Cancels it: today, with the unused rest given back, or at the end of the present period. An earlier end stays.
    /// What waits for funds covers nothing and ends today in any case.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` when it is over.
    pub fn cancel(&self, at_period_end: bool, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_open()?;
        let at_period_end = at_period_end && self.state != State::Waiting;
        let end = self.effective(if at_period_end { Effect::NextPeriod } else { Effect::Now }, today)?;
        let ends_on = Some(self.ends_on.map_or(end, |ends_on| ends_on.min(end)));
        Ok(Self { ends_on, cancelled_on: Some(self.cancelled_on.unwrap_or(today)), ..self.clone() })
    }

    /// Sets the first day that it does not cover, or takes an end back, and with it a cancellation that has not come
    /// yet.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` when it is over, `SUBSCRIPTION_CHANGE_IN_PAST` when the day is past and charged.
    pub fn end(&self, ends_on: Option<NaiveDate>, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_open()?;
        let ends_on = ends_on.map(|day| self.effective(Effect::On(day), today)).transpose()?;
        Ok(Self { ends_on, cancelled_on: None, ..self.clone() })
    }

    /// Ends the wait for funds today: a payment covers [`Subscription::required`].
    ///
    /// With [`Restart::SameAnchor`] the rest of the present period is due, with [`Restart::FromPayment`] a whole one
    /// from today on, unless it is the very day on which the wait began. The days waited cost nothing.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` unless it waits.
    pub fn funded(&self, today: NaiveDate) -> Result<Self, Refusal> {
        self.check_state(State::Waiting)?;
        let mut funded = Self { state: State::Active, ..self.clone() };
        let waits_since_before = self.gaps.iter().any(|gap| gap.until.is_none() && gap.from < today);
        if self.terms.restart == Restart::FromPayment && waits_since_before {
            funded.schedule = Schedule { anchor: today, start: today, ..self.schedule };
            funded.charged = Charged::until(today);
        }
        funded.close_gap(self.not_before(today));
        funded.forget_before(funded.charged.days.start);
        Ok(funded)
    }

    /// The day on which something takes effect.
    fn effective(&self, effect: Effect, today: NaiveDate) -> Result<NaiveDate, Refusal> {
        let earliest = self.not_before(today.min(self.charged.days.end));
        match effect {
            Effect::Now => Ok(self.not_before(today)),
            Effect::NextPeriod if today < self.schedule.start => Ok(self.schedule.start),
            Effect::NextPeriod => self.schedule.holding(today).map(|period| period.end).ok_or_else(|| {
                refuse_range("effect", self.schedule.start, today, "The calendar ends before the next period begins.")
            }),
            Effect::On(day) if day < earliest => {
                let message = "The change would take effect on a day that is past and charged already.";
                let refusal = Refusal::new(Reason::SubscriptionChangeInPast, message);
                Err(refusal.with("subscription_id", &self.subscription_id).with("earliest", earliest))
            }
            Effect::On(day) => Ok(day),
        }
    }

    /// The day, or the first that can still change: the account's zone may have been moved back since it was charged.
    fn not_before(&self, day: NaiveDate) -> NaiveDate {
        day.max(self.charged.days.start)
    }

    /// Ends the open gap, if there is one.
    fn close_gap(&mut self, day: NaiveDate) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.until.is_none()) {
            gap.until = Some(day);
        }
        self.gaps.retain(|gap| gap.until.is_none_or(|until| gap.from < until));
    }

    fn check_open(&self) -> Result<(), Refusal> {
        if self.state.is_final() { Err(self.refuse_state("The subscription is over.")) } else { Ok(()) }
    }

    fn check_state(&self, state: State) -> Result<(), Refusal> {
        let message = match state {
            State::Paused => "Only a paused subscription can be resumed.",
            State::Waiting => "The subscription does not wait for funds.",
            _ => "Only an active subscription can be paused.",
        };
        if self.state == state { Ok(()) } else { Err(self.refuse_state(message)) }
    }

    fn refuse_state(&self, message: &str) -> Refusal {
        let refusal = Refusal::new(Reason::SubscriptionState, message);
        refusal.with("subscription_id", &self.subscription_id).with("state", self.state.name())
    }
}

fn check_count(field: &str, count: usize) -> Result<(), Refusal> {
    if count <= MAX_CHANGES {
        return Ok(());
    }
    let refusal = refuse_field(Reason::TooManyItems, field, "The subscription was changed too often in one period.");
    Err(refusal.with("count", count).with("max", MAX_CHANGES))
}
