//! Proration: which part of a period's price some of its days cost.
//!
//! Sources: "Recurring charges" and "Money" in `rules.md`.

use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::money::{Money, Rounding};
use super::recurrence::{Interval, Period};

/// Days of a month where every month has the same.
const FIXED_MONTH: u32 = 30;
/// Fraction digits of [`Money`], and of its smallest step.
const MONEY_DIGITS: u32 = 6;

/// How days are counted. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// By the days of the period that the change falls in.
    #[default]
    CalendarDays = 1,
    /// Every month has 30 days, a 31st is the same day as the 30th (30E/360). Intervals of days and weeks have no
    /// months and go by calendar days.
    ThirtyDayMonths = 2,
}

impl Basis {
    /// The basis of that number.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::CalendarDays),
            2 => Some(Self::ThirtyDayMonths),
            _ => None,
        }
    }
}

/// A part of a whole, in days: `part` ≤ `whole`, and `whole` is above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    part: u32,
    whole: u32,
}

impl Fraction {
    /// All of it.
    pub const WHOLE: Self = Self { part: 1, whole: 1 };

    /// So many days of so many; `None` when the whole is zero or the part is more than it.
    pub fn new(part: u32, whole: u32) -> Option<Self> {
        (whole > 0 && part <= whole).then_some(Self { part, whole })
    }

    /// The days counted.
    pub const fn part(self) -> u32 {
        self.part
    }

    /// The days of the whole period.
    pub const fn whole(self) -> u32 {
        self.whole
    }

    /// This part of quantity × unit price, exact, then rounded once to the minor unit.
    ///
    /// Neither factor is negative, so that it is never more than the whole rounded the same way. `None` when the result
    /// is out of range, or has too many digits to be computed (never with 18 fraction digits in all).
    pub fn of(self, quantity: Decimal, unit_price: Decimal, minor_digits: u32, rounding: Rounding) -> Option<Money> {
        let (quantity, unit_price) = (quantity.normalize(), unit_price.normalize());
        let mantissa = quantity.mantissa().checked_mul(unit_price.mantissa())?;
        let scale = quantity.scale().saturating_add(unit_price.scale());
        // mantissa ÷ 10^scale units are mantissa × 10^6 ÷ 10^scale steps of money.
        let up = 10_i128.checked_pow(MONEY_DIGITS.saturating_sub(scale))?;
        let down = 10_i128.checked_pow(scale.saturating_sub(MONEY_DIGITS))?;
        let numerator = mantissa.checked_mul(up)?.checked_mul(i128::from(self.part))?;
        let denominator = down.checked_mul(i128::from(self.whole))?;
        Money::ONE_MICRO.times_ratio(numerator, denominator, minor_digits, rounding)
    }
}

/// The part of `regular`, a whole interval, that the days from `from` until before `until` are; what lies outside of it
/// counts nothing.
///
/// Days that tile the period have parts that sum to the whole, so used and unused do. `None` when `regular` is empty.
pub fn fraction(regular: Period, interval: Interval, days: Period, basis: Basis) -> Option<Fraction> {
    let months = interval.months().filter(|_| basis == Basis::ThirtyDayMonths);
    let whole = months.map_or_else(|| Some(regular.days()), |months| months.checked_mul(FIXED_MONTH))?;
    let elapsed = |date: NaiveDate| {
        if date >= regular.end {
            return whole;
        }
        let until = Period { start: regular.start, end: date };
        if months.is_some() { fixed_days(until).min(whole) } else { until.days() }
    };
    Fraction::new(elapsed(days.end).saturating_sub(elapsed(days.start)), whole)
}

/// Days where every month has 30; 0 when the period ends before it starts.
fn fixed_days(period: Period) -> u32 {
    let number = |date: NaiveDate| {
        let months = i64::from(date.year()).saturating_mul(12).saturating_add(i64::from(date.month0()));
        months.saturating_mul(i64::from(FIXED_MONTH)).saturating_add(i64::from(date.day().min(FIXED_MONTH)))
    };
    u32::try_from(number(period.end).saturating_sub(number(period.start))).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::super::calendar::{date_from_days, parse_date};
    use super::super::recurrence::{Schedule, Unit};
    use super::*;

    fn date(text: &str) -> NaiveDate {
        parse_date(text).unwrap()
    }

    fn period(start: &str, end: &str) -> Period {
        Period { start: date(start), end: date(end) }
    }

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    #[test]
    fn days_are_counted_by_their_basis() {
        let interval = |unit, count| Interval::new(unit, count).unwrap();
        let month = interval(Unit::Month, 1);
        for (interval, regular, days, calendar, fixed) in [
            (month, period("2023-05-15", "2023-06-15"), period("2023-05-23", "2023-06-15"), (23, 31), (22, 30)),
            (month, period("2024-02-15", "2024-03-15"), period("2024-02-23", "2024-03-15"), (21, 29), (22, 30)),
            // The short first quarter of 2021-01-10.
            (
                interval(Unit::Month, 3),
                period("2021-01-01", "2021-04-01"),
                period("2021-01-10", "2021-04-01"),
                (81, 90),
                (81, 90),
            ),
            // All, nothing, and what lies outside.
            (month, period("2024-01-31", "2024-02-29"), period("2024-01-31", "2024-02-29"), (29, 29), (30, 30)),
            (month, period("2024-02-29", "2024-03-31"), period("2024-02-29", "2024-03-31"), (31, 31), (30, 30)),
            (month, period("2024-01-01", "2024-02-01"), period("2023-01-01", "2025-01-01"), (31, 31), (30, 30)),
            (month, period("2024-01-01", "2024-02-01"), period("2024-01-10", "2024-01-10"), (0, 31), (0, 30)),
            (month, period("2024-01-01", "2024-02-01"), period("2024-03-10", "2024-03-20"), (0, 31), (0, 30)),
            (month, period("2024-01-01", "2024-02-01"), period("2024-01-20", "2024-01-10"), (0, 31), (0, 30)),
            // A 31st costs nothing of its own in months of 30 days; the end of February counts for what it lacks.
            (month, period("2024-01-01", "2024-02-01"), period("2024-01-31", "2024-02-01"), (1, 31), (1, 30)),
            (month, period("2024-01-15", "2024-02-15"), period("2024-01-30", "2024-01-31"), (1, 31), (0, 30)),
            (month, period("2023-02-01", "2023-03-01"), period("2023-02-28", "2023-03-01"), (1, 28), (3, 30)),
            // Never more than the whole, though 30E/360 counts 32 days here.
            (month, period("2023-02-28", "2023-03-31"), period("2023-02-28", "2023-03-30"), (30, 31), (30, 30)),
            (
                interval(Unit::Year, 1),
                period("2024-01-01", "2025-01-01"),
                period("2024-07-01", "2025-01-01"),
                (184, 366),
                (180, 360),
            ),
            (
                interval(Unit::Week, 2),
                period("2024-01-01", "2024-01-15"),
                period("2024-01-10", "2024-01-15"),
                (5, 14),
                (5, 14),
            ),
        ] {
            for (basis, (part, whole)) in [(Basis::CalendarDays, calendar), (Basis::ThirtyDayMonths, fixed)] {
                let expected = Fraction { part, whole };
                assert_eq!(fraction(regular, interval, days, basis), Some(expected), "{days:?} {basis:?}");
            }
        }
        let empty = period("2024-01-01", "2024-01-01");
        assert_eq!(fraction(empty, month, empty, Basis::CalendarDays), None);
    }

    #[test]
    fn a_part_of_an_amount_is_rounded_once() {
        for (amount, part, whole, digits, expected) in [
            ("249.95", 10, 31, 2, "80.63"),
            ("249.95", 21, 31, 2, "169.32"),
            ("249.95", 30, 31, 2, "241.89"),
            ("249.95", 31, 31, 2, "249.95"),
            ("249.95", 0, 31, 2, "0"),
            ("0.01", 1, 2, 2, "0.01"),
            ("0.01", 1, 3, 2, "0.00"),
            ("100", 1, 3, 0, "33"),
            ("1000", 1, 7, 3, "142.857"),
            // 0.999 a month: not 1.00 × 15 ÷ 31, but 0.4834 rounded once.
            ("0.999", 15, 31, 2, "0.48"),
            ("0.000000000001", 1, 1, 6, "0"),
            ("9000000000000", 365_999, 366_000, 2, "8999975409836.07"),
        ] {
            let part =
                Fraction::new(part, whole).unwrap().of(Decimal::ONE, amount.parse().unwrap(), digits, Rounding::HalfUp);
            assert_eq!(part, Some(money(expected)), "{amount}");
        }
        let half_even = Fraction::new(1, 2).unwrap().of(Decimal::ONE, "0.01".parse().unwrap(), 2, Rounding::HalfEven);
        assert_eq!(half_even, Some(money("0")));
        let whole = |quantity: &str, price: &str| {
            Fraction::WHOLE.of(quantity.parse().unwrap(), price.parse().unwrap(), 2, Rounding::HalfUp)
        };
        assert_eq!(whole("2.5", "0.333333333333"), Some(money("0.83")));
        assert_eq!(whole("0.000001", "9000000000000.123456789012"), Some(money("9000000")));
        assert_eq!(whole("1", "9000000000000.01"), None);
        assert_eq!(whole("79228162514264337593543950335", "79228162514264337593543950335"), None);
        assert_eq!(whole("0.0000000000000000000000000001", "0.0000000000000000000000000001"), None);
        assert_eq!(Fraction::new(2, 1), None);
        assert_eq!(Fraction::new(0, 0), None);
    }

    #[test]
    fn bases_are_numbered_and_stored_by_name() {
        for (basis, name) in
            [(Basis::CalendarDays, "\"calendar_days\""), (Basis::ThirtyDayMonths, "\"thirty_day_months\"")]
        {
            assert_eq!(Basis::from_number(basis as i32), Some(basis));
            assert_eq!(serde_json::to_string(&basis).unwrap(), name);
        }
        assert_eq!(Basis::from_number(0), None);
    }

    proptest! {
        #[test]
        fn used_and_unused_are_the_whole(
            unit in prop_oneof![Just(Unit::Day), Just(Unit::Week), Just(Unit::Month), Just(Unit::Year)],
            count in 1_u32..25,
            anchor in 0_i32..40_000,
            offsets in (0_i64..1_000, 0_i64..1_000),
            fixed: bool,
            micros in 0..=Money::MAX.micros(),
            minor_digits in 0_u32..4,
        ) {
            let (interval, anchor) = (Interval::new(unit, count).unwrap(), date_from_days(anchor).unwrap());
            let regular = Schedule { interval, anchor, start: anchor }.nth(0).unwrap();
            let basis = if fixed { Basis::ThirtyDayMonths } else { Basis::CalendarDays };
            let clip = |offset| (regular.start + TimeDelta::days(offset)).min(regular.end);
            let (first, second) = (clip(offsets.0.min(offsets.1)), clip(offsets.0.max(offsets.1)));
            let parts = [(regular.start, first), (first, second), (second, regular.end)]
                .map(|(start, end)| fraction(regular, interval, Period { start, end }, basis).unwrap());
            let whole = parts[0].whole();
            prop_assert_eq!(parts.iter().map(|part| part.part()).sum::<u32>(), whole);
            // Of money: no part is more than the whole, and a later change never gives back more than was charged.
            let of = |part| Fraction::new(part, whole).unwrap()
                .of(Decimal::ONE, Money::from_micros(micros).to_decimal(), minor_digits, Rounding::HalfUp).unwrap();
            prop_assert!(of(parts[2].part()) <= of(parts[1].part() + parts[2].part()));
            prop_assert!(of(parts[1].part() + parts[2].part()) <= of(whole));
            prop_assert_eq!(of(whole), Money::from_micros(micros).round(minor_digits, Rounding::HalfUp));
        }
    }
}
