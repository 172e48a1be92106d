//! What each day of a subscription costs.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::super::recurrence::Period;
use super::{Line, Subscription};

/// A price and the day from which it holds, until the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Its first day.
    pub from: NaiveDate,
    /// What is charged; never empty.
    pub lines: Vec<Line>,
}

/// Days that cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first of them.
    pub from: NaiveDate,
    /// The first day that costs something again; absent: it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
}

impl Gap {
    fn holds(self, day: NaiveDate) -> bool {
        self.from <= day && self.until.is_none_or(|until| day < until)
    }
}

/// Days in a row that cost the same, in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The days.
    pub days: Period,
    /// What a whole period of them costs; never empty.
    pub lines: Vec<Line>,
}

impl Subscription {
    /// The lines that hold on a day; none when it costs nothing.
    pub fn lines_on(&self, day: NaiveDate) -> &[Line] {
        let is_free = day < self.schedule.start
            || self.trial_until.is_some_and(|trial_until| day < trial_until)
            || self.ends_on.is_some_and(|ends_on| day >= ends_on)
            || self.gaps.iter().any(|gap| gap.holds(day));
        let price = self.prices.iter().rev().find(|price| price.from <= day);
        price.filter(|_| !is_free).map_or(&[], |price| &price.lines)
    }

    /// The first day from `day` on that costs something.
    pub(super) fn next_priced(&self, day: NaiveDate) -> Option<NaiveDate> {
        let later = self.edges().filter(|edge| *edge > day);
        std::iter::once(day).chain(later).filter(|day| !self.lines_on(*day).is_empty()).min()
    }

    /// The days on which the price can differ from the day before.
    fn edges(&self) -> impl Iterator<Item = NaiveDate> {
        let prices = self.prices.iter().map(|price| price.from);
        let gaps = self.gaps.iter().flat_map(|gap| [Some(gap.from), gap.until]).flatten();
        prices.chain(gaps).chain([Some(self.schedule.start), self.trial_until, self.ends_on].into_iter().flatten())
    }

    /// The spans of these days; what costs nothing is in none.
    pub(super) fn spans(&self, days: Period) -> Vec<Span> {
        let inside: BTreeSet<_> = self.edges().filter(|day| days.holds(*day)).collect();
        let starts = std::iter::once(days.start).chain(inside.iter().copied());
        let ends = inside.iter().copied().chain(std::iter::once(days.end));
        let mut spans: Vec<Span> = Vec::new();
        for (start, end) in starts.zip(ends).filter(|(start, end)| start < end) {
            let lines = self.lines_on(start);
            match spans.last_mut() {
                _ if lines.is_empty() => {}
                Some(last) if last.days.end == start && last.lines == lines => last.days.end = end,
                _ => spans.push(Span { days: Period { start, end }, lines: lines.to_vec() }),
            }
        }
        spans
    }

    /// Forgets the prices and gaps that ended before the day.
    pub(super) fn forget_before(&mut self, day: NaiveDate) {
        let past = self.prices.iter().filter(|price| price.from <= day).count();
        self.prices.drain(..past.saturating_sub(1));
        self.gaps.retain(|gap| gap.until.is_none_or(|until| until > day));
    }
}

/// The parts of the spans from the day on.
pub(super) fn from_day(spans: &[Span], day: NaiveDate) -> Vec<Span> {
    let later = spans.iter().filter(|span| span.days.end > day);
    later.map(|span| Span { days: Period { start: span.days.start.max(day), ..span.days }, ..span.clone() }).collect()
}

/// The first day that does not cost the same in both.
pub(super) fn first_difference(left: &[Span], right: &[Span]) -> Option<NaiveDate> {
    let lines_on = |spans: &[Span], day| {
        spans.iter().find(|span| span.days.holds(day)).map(|span| span.lines.clone()).unwrap_or_default()
    };
    let edges: BTreeSet<_> = left.iter().chain(right).flat_map(|span| [span.days.start, span.days.end]).collect();
    edges.into_iter().find(|day| lines_on(left, *day) != lines_on(right, *day))
}
