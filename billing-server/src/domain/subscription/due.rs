//! What a subscription has to charge, and when.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::super::money::Money;
use super::super::proration::{Fraction, fraction};
use super::super::reason::{Reason, Refusal};
use super::super::recurrence::Period;
use super::coverage::{first_difference, from_day};
use super::{Charged, Gap, IfShort, Line, Span, State, Subscription, Timing};

/// How many steps one run takes: a year of daily periods. What is left is due at once, in the next run.
const MAX_STEPS: usize = 366;

/// Something to charge: a period, or what a change makes of one that is charged already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The local day on which it is due.
    pub on: NaiveDate,
    /// The days that it is about.
    pub days: Period,
    /// What these days cost.
    pub charges: Vec<Item>,
    /// What was charged for them before and is given back. Empty: nothing was, so that a short balance may wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<Item>,
}

/// A line for some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The line.
    pub line: Line,
    /// The days.
    pub days: Period,
    /// Which part of a whole period they are.
    pub part: Fraction,
    /// Quantity × unit price × part, rounded once. Not negative.
    pub amount: Money,
}

impl Due {
    /// Charges less credits: negative when more is given back. `None` beyond the range of money, which lines that were
    /// checked do not reach.
    pub fn net(&self) -> Option<Money> {
        let charges = self.charges.iter().map(|item| item.amount);
        Money::checked_sum(charges.chain(self.credits.iter().map(|item| item.amount.negated())))
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is charged, in the order of the days. Whoever writes it writes `after` with it, in one transaction.
    pub dues: Vec<Due>,
    /// The subscription afterwards.
    pub after: Subscription,
}

impl Subscription {
    /// Everything due by the local day: missed periods one by one, the next one, and what changes made of charged ones.
    ///
    /// `covers` says whether the balance covers a due that would wait for funds otherwise; it is not asked for others.
    /// A change is previewed by running what it returns, and the days to come by running until a later day; only the
    /// first 366 steps are taken, and [`Subscription::next_on`] says whether more are due.
    ///
    /// # Errors
    /// `AMOUNT_OUT_OF_RANGE`, never for lines that were checked.
    pub fn run(&self, today: NaiveDate, mut covers: impl FnMut(&Due) -> bool) -> Result<Run, Refusal> {
        let mut after = self.clone();
        let mut dues = Vec::new();
        for _ in 0..MAX_STEPS {
            let Some((due, next)) = after.step()?.filter(|(due, _)| due.on <= today) else { break };
            if after.may_wait(&due) && !covers(&due) {
                after.state = State::Waiting;
                after.gaps.push(Gap { from: due.days.start, until: None });
                continue;
            }
            after = next;
            dues.push(due);
        }
        let is_over = after.ends_on.is_some_and(|ends_on| ends_on <= today.max(after.schedule.start));
        if is_over && !after.state.is_final() && after.step()?.is_none() {
            after.state = if after.cancelled_on.is_some() { State::Cancelled } else { State::Ended };
        }
        Ok(Run { dues, after })
    }

    /// The local day on which the next run does something; `None`: never, as things stand.
    ///
    /// # Errors
    /// Those of [`Subscription::run`].
    pub fn next_on(&self) -> Result<Option<NaiveDate>, Refusal> {
        if self.state.is_final() {
            return Ok(None);
        }
        Ok(self.step()?.map(|(due, _)| due.on).into_iter().chain(self.ends_on).min())
    }

    /// What a payment must cover today to end the wait for funds.
    ///
    /// # Errors
    /// `SUBSCRIPTION_STATE` when it does not wait, and those of [`Subscription::run`].
    pub fn required(&self, today: NaiveDate) -> Result<Money, Refusal> {
        let run = self.funded(today)?.run(today, |_| true)?;
        let total = run.dues.iter().map(Due::net).collect::<Option<Vec<_>>>();
        total.and_then(Money::checked_sum).ok_or_else(out_of_range)
    }

    /// The next due, and the subscription after it.
    fn step(&self) -> Result<Option<(Due, Self)>, Refusal> {
        let spans = self.spans(self.charged.days);
        if let Some(day) = first_difference(&self.charged.spans, &spans) {
            self.adjustment(day, spans).map(Some)
        } else {
            self.next_period().map(|days| self.period(days)).transpose()
        }
    }

    /// What is charged and given back from a day on, because the charged days now cost something else.
    fn adjustment(&self, day: NaiveDate, spans: Vec<Span>) -> Result<(Due, Self), Refusal> {
        let due = Due {
            on: day,
            days: Period { start: day, ..self.charged.days },
            charges: self.items(&from_day(&spans, day))?,
            credits: self.items(&from_day(&self.charged.spans, day))?,
        };
        Ok((due, Self { charged: Charged { spans, ..self.charged.clone() }, ..self.clone() }))
    }

    /// The charge of the days of the next period.
    fn period(&self, days: Period) -> Result<(Due, Self), Refusal> {
        let spans = self.spans(days);
        let charges = self.items(&spans)?;
        let first = spans.first().map_or(days.start, |span| span.days.start);
        let (on, last) = match self.terms.timing {
            Timing::InAdvance => (first, Charged { days, spans }),
            Timing::InArrears => (days.end, Charged::until(days.end)),
        };
        let mut after = Self { charged: last, ..self.clone() };
        after.forget_before(after.charged.days.start);
        Ok((Due { on, days: Period { start: first, ..days }, charges, credits: Vec::new() }, after))
    }

    fn items(&self, spans: &[Span]) -> Result<Vec<Item>, Refusal> {
        let mut items = Vec::new();
        for span in spans {
            let days = span.days;
            let regular = self.schedule.regular(days.start).ok_or_else(out_of_range)?;
            let part = fraction(regular, self.schedule.interval, days, self.terms.basis).ok_or_else(out_of_range)?;
            for line in &span.lines {
                let amount = line.amount(part, &self.terms).ok_or_else(out_of_range)?;
                items.push(Item { line: line.clone(), days, part, amount });
            }
        }
        Ok(items)
    }

    /// A period and a resumption may wait for funds; a change of what is charged already is posted.
    fn may_wait(&self, due: &Due) -> bool {
        self.terms.if_short == IfShort::WaitForFunds && due.credits.is_empty()
    }
}

fn out_of_range() -> Refusal {
    Refusal::new(Reason::AmountOutOfRange, "What the subscription costs is more than an amount can be.")
}
