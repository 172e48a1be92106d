//! Recurrence: the periods into which an interval and an anchor cut the calendar.
//!
//! Source: "Recurring charges" in `rules.md`.

use std::num::NonZeroU16;

use chrono::{Datelike as _, Months, NaiveDate, NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};

use super::calendar::{TimeZone, instant_at, local_date};
use super::instant::Instant;

/// The most units that an interval may count: far beyond any contract, and a year of so many days is exact.
pub const MAX_COUNT: u32 = 1_000;
/// The last year of the calendar, as of [`Instant::MAX`]. What ends later has no period.
const LAST_YEAR: i32 = 9_999;

/// What an interval counts. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Unit {
    Day = 1,
    Week = 2,
    Month = 3,
    Year = 4,
}

impl Unit {
    /// The unit of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Day),
            2 => Some(Self::Week),
            3 => Some(Self::Month),
            4 => Some(Self::Year),
            _ => None,
        }
    }
}

/// The length of a period: so many units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interval {
    unit: Unit,
    count: NonZeroU16,
}

/// An interval in what the calendar counts by.
#[derive(Clone, Copy)]
enum Step {
    Days(i64),
    Months(i64),
}

impl Interval {
    /// So many units; `None` unless `count` is 1 to [`MAX_COUNT`].
    pub fn new(unit: Unit, count: u32) -> Option<Self> {
        let count = u16::try_from(count).ok().filter(|count| u32::from(*count) <= MAX_COUNT)?;
        NonZeroU16::new(count).map(|count| Self { unit, count })
    }

    /// What it counts.
    pub const fn unit(self) -> Unit {
        self.unit
    }

    /// How many units it has, 1 to [`MAX_COUNT`].
    pub fn count(self) -> u32 {
        u32::from(self.count.get())
    }

    /// Its whole months; `None` for days and weeks.
    pub fn months(self) -> Option<u32> {
        match self.step() {
            Step::Days(_) => None,
            Step::Months(months) => u32::try_from(months).ok(),
        }
    }

    fn step(self) -> Step {
        let count = i64::from(self.count.get());
        match self.unit {
            Unit::Day => Step::Days(count),
            Unit::Week => Step::Days(count.saturating_mul(7)),
            Unit::Month => Step::Months(count),
            Unit::Year => Step::Months(count.saturating_mul(12)),
        }
    }
}

/// Local days from `start` until before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The first day.
    pub start: NaiveDate,
    /// The day after the last.
    pub end: NaiveDate,
}

impl Period {
    /// How many days it has; 0 when it ends before it starts.
    pub fn days(self) -> u32 {
        u32::try_from(self.end.signed_duration_since(self.start).num_days()).unwrap_or(0)
    }

    /// Whether the day lies in it.
    pub fn holds(self, date: NaiveDate) -> bool {
        self.start <= date && date < self.end
    }

    /// Whether it has no day.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Time from `start` until before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstantPeriod {
    /// The first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: Instant,
}

/// The time of day at which one period turns into the next, and whose clocks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The time of day. Where a clock change skips it, the first instant after the gap; where it comes twice, the
    /// first.
    pub time: NaiveTime,
    /// The zone of the clocks.
    pub zone: TimeZone,
}

/// How periods recur.
///
/// They turn at the anchor and at every whole number of intervals before and after it, so the day of the anchor stays:
/// from the 31st it is the last day of shorter months and the 31st again, from February 29 it is February 28 in common
/// years. A `start` between two turns makes a short first period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The length of a period.
    pub interval: Interval,
    /// A day on which a period turns; before or after `start`.
    pub anchor: NaiveDate,
    /// The first day of the first period.
    pub start: NaiveDate,
}

impl Schedule {
    /// The period number `index`, from 0. `None` beyond the year 9999.
    pub fn nth(&self, index: u32) -> Option<Period> {
        let turn = self.turn_before(self.start)?.checked_add(i64::from(index))?;
        self.after_start(self.between(turn)?)
    }

    /// The period that holds the day. `None` before `start` and beyond the year 9999.
    pub fn holding(&self, date: NaiveDate) -> Option<Period> {
        if date < self.start { None } else { self.after_start(self.regular(date)?) }
    }

    /// The whole interval that holds the day, not shortened by `start`: what a short period is measured by.
    pub fn regular(&self, date: NaiveDate) -> Option<Period> {
        self.between(self.turn_before(date)?)
    }

    /// The periods from the one that holds the day on; from the first, when the day is before `start`.
    pub fn periods_from(&self, date: NaiveDate) -> impl Iterator<Item = Period> + use<> {
        let schedule = *self;
        std::iter::successors(schedule.holding(date.max(schedule.start)), move |period| schedule.holding(period.end))
    }

    /// The period that holds the instant, when periods turn at a time of day. `None` before the first and beyond the
    /// year 9999.
    pub fn holding_instant(&self, instant: Instant, turn: Turn) -> Option<InstantPeriod> {
        let at = |date| instant_at(date, turn.time, turn.zone);
        let mut period = self.holding(local_date(instant, turn.zone).max(self.start))?;
        // The clocks may show the day on which the period turns, and not yet the time; or, where a clock change repeats
        // hours around midnight, the day before once more.
        while instant < at(period.start) {
            period = self.holding(period.start.pred_opt()?)?;
        }
        while instant >= at(period.end) {
            period = self.holding(period.end)?;
        }
        Some(InstantPeriod { start: at(period.start), end: at(period.end) })
    }

    fn after_start(&self, period: Period) -> Option<Period> {
        let period = Period { start: period.start.max(self.start), ..period };
        (!period.is_empty()).then_some(period)
    }

    /// The days from one turn to the next.
    fn between(&self, turn: i64) -> Option<Period> {
        Some(Period { start: self.turn(turn)?, end: self.turn(turn.checked_add(1)?)? })
    }

    /// The day so many intervals after the anchor, or before it.
    fn turn(&self, index: i64) -> Option<NaiveDate> {
        let date = match self.interval.step() {
            Step::Days(days) => self.anchor.checked_add_signed(TimeDelta::try_days(index.checked_mul(days)?)?),
            Step::Months(months) => {
                let months = index.checked_mul(months)?;
                let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let anchor = self.anchor;
                if months < 0 { anchor.checked_sub_months(distance) } else { anchor.checked_add_months(distance) }
            }
        };
        date.filter(|date| date.year() <= LAST_YEAR)
    }

    /// The number of the last turn on the day or before it.
    fn turn_before(&self, date: NaiveDate) -> Option<i64> {
        let index = match self.interval.step() {
            Step::Days(days) => date.signed_duration_since(self.anchor).num_days().checked_div_euclid(days)?,
            Step::Months(months) => {
                month_number(date).checked_sub(month_number(self.anchor))?.checked_div_euclid(months)?
            }
        };
        // In the month of a turn, the turn may come after the day.
        if self.turn(index).is_some_and(|turn| turn <= date) { Some(index) } else { index.checked_sub(1) }
    }
}

/// Months since the year 0.
fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()).saturating_mul(12).saturating_add(i64::from(date.month0()))
}

#[cfg(test)]
mod tests;
