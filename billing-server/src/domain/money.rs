//! An amount of money as the ledger stores it: whole millionths of the currency unit, in 64 bits, never a float.
//!
//! Rules: "Money" in `rules.md` and "Conventions" in `api.md`. A `Money` does not know its currency; the account
//! does.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use super::rounding::Rounding;

/// Fraction digits that an amount can have: a millionth is the smallest step.
const FRACTION_DIGITS: u32 = 6;
/// The longest text that [`Money::parse`] reads, sign and point included. The longest canonical amount has 21
/// characters; the rest is room for padding zeros.
const MAX_TEXT_LENGTH: usize = 40;
/// Size of the minor unit in millionths, by the number of minor digits (0 to 6).
const MINOR_UNITS: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// A signed amount in millionths of the currency unit.
///
/// Amounts lie between [`Money::MIN`] and [`Money::MAX`]; what parses or computes one keeps to that range, only
/// [`Money::from_micros`] and reading stored JSON take a number as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

/// Why a text or a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal (`AMOUNT_MALFORMED`).
    #[error("an amount is a plain decimal such as \"1500.50\" or \"-0.000001\"")]
    Malformed,
    /// A digit other than zero stands behind the sixth fraction digit (`AMOUNT_TOO_PRECISE`).
    #[error("an amount has at most 6 fraction digits")]
    TooPrecise,
    /// Beyond ±9,000,000,000,000 units (`AMOUNT_OUT_OF_RANGE`).
    #[error("an amount lies between -9000000000000 and 9000000000000")]
    OutOfRange,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount: 9,000,000,000,000 units ("Conventions" in `api.md`).
    pub const MAX: Self = Self(9_000_000_000_000_000_000);
    /// The smallest amount: −9,000,000,000,000 units.
    pub const MIN: Self = Self(-9_000_000_000_000_000_000);
    /// A millionth of the currency unit, the smallest step there is.
    pub const ONE_MICRO: Self = Self(1);

    /// An amount of so many millionths, taken as it is: for rows this service wrote and for literals.
    ///
    /// Numbers from outside go through [`Money::parse`], [`Money::try_from_micros`] or [`Money::try_from_decimal`],
    /// which check the range.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// An amount of so many millionths; [`MoneyError::OutOfRange`] beyond [`Money::MIN`] and [`Money::MAX`].
    pub const fn try_from_micros(micros: i64) -> Result<Self, MoneyError> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { Err(MoneyError::OutOfRange) } else { Ok(Self(micros)) }
    }

    /// The amount in millionths of the currency unit.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// One minor unit of a currency with so many minor digits (`2` → 0.01); more than 6 digits count as 6.
    pub fn minor_unit(minor_digits: u32) -> Self {
        let index = usize::try_from(minor_digits).unwrap_or(usize::MAX);
        Self(MINOR_UNITS.get(index).copied().unwrap_or(1))
    }

    /// Reads a plain decimal: an optional `-`, digits, and optionally a point with digits behind it.
    ///
    /// No `+`, no exponent, no spaces, no grouping; `"1."` and `".5"` are malformed, and so is a text of more than 40
    /// characters. Zeros behind the sixth fraction digit lose nothing and are accepted. Of several errors the first of
    /// [`Malformed`](MoneyError::Malformed), [`TooPrecise`](MoneyError::TooPrecise),
    /// [`OutOfRange`](MoneyError::OutOfRange) is told. Source: "Conventions" in `api.md`.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        if text.len() > MAX_TEXT_LENGTH {
            return Err(MoneyError::Malformed);
        }
        let (sign, number) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Malformed),
            Some(parts) => parts,
            None => (number, ""),
        };
        let mut characters = whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !characters.all(|byte| byte.is_ascii_digit()) {
            return Err(MoneyError::Malformed);
        }
        if fraction.bytes().skip(FRACTION_DIGITS as usize).any(|digit| digit != b'0') {
            return Err(MoneyError::TooPrecise);
        }
        let fraction = fraction.bytes().chain(std::iter::repeat(b'0')).take(FRACTION_DIGITS as usize);
        whole
            .bytes()
            .chain(fraction)
            .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(digit.wrapping_sub(b'0'))))
            .and_then(|micros| micros.checked_mul(sign))
            .and_then(Self::in_range)
            .ok_or(MoneyError::OutOfRange)
    }

    /// The canonical text: at least `minor_digits` fraction digits (at most 6), no other trailing zeros, no grouping.
    ///
    /// `"1500.50"`, `"-0.000001"`, for a currency without minor digits `"5"`. [`Money::parse`] reads it back.
    pub fn format(self, minor_digits: u32) -> String {
        let sign = if self.is_negative() { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000);
        let surplus = FRACTION_DIGITS.saturating_sub(minor_digits) as usize;
        let zeros = text.bytes().rev().take(surplus).take_while(|&byte| byte == b'0').count();
        let kept = text.get(..text.len().saturating_sub(zeros)).unwrap_or(&text);
        kept.strip_suffix('.').unwrap_or(kept).to_owned()
    }

    /// The sum, or `None` when it lies beyond [`Money::MIN`] and [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        i128::from(self.0).checked_add(i128::from(other.0)).and_then(Self::in_range)
    }

    /// The difference, or `None` when it lies beyond [`Money::MIN`] and [`Money::MAX`].
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        i128::from(self.0).checked_sub(i128::from(other.0)).and_then(Self::in_range)
    }

    /// The sum of many, or `None` when it lies beyond [`Money::MIN`] and [`Money::MAX`]. Sums on the way may lie
    /// beyond, so the answer does not depend on the order.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts
            .into_iter()
            .try_fold(0_i128, |sum, amount| sum.checked_add(i128::from(amount.0)))
            .and_then(Self::in_range)
    }

    /// The amount with the other sign.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The amount without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Whether this is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether this is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The amount as an exact decimal of scale 6 (1.5 is `1.500000`; normalise it before showing it).
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, FRACTION_DIGITS)
    }

    /// The amount that a decimal says, exactly.
    ///
    /// [`MoneyError::TooPrecise`] when a digit other than zero stands behind the sixth fraction digit,
    /// [`MoneyError::OutOfRange`] beyond the range.
    pub fn try_from_decimal(value: Decimal) -> Result<Self, MoneyError> {
        if value.normalize().scale() > FRACTION_DIGITS {
            return Err(MoneyError::TooPrecise);
        }
        Self::from_decimal_rounded(value, FRACTION_DIGITS, Rounding::Down)
    }

    /// The amount nearest to a decimal, such as quantity × unit price, rounded once to the minor unit.
    ///
    /// `minor_digits` above 6 count as 6. [`MoneyError::OutOfRange`] beyond the range.
    pub fn from_decimal_rounded(value: Decimal, minor_digits: u32, rounding: Rounding) -> Result<Self, MoneyError> {
        let value = value.normalize();
        10_i128
            .checked_pow(value.scale())
            .and_then(|scale| Self::ratio(value.mantissa(), 1_000_000, scale, minor_digits, rounding))
            .ok_or(MoneyError::OutOfRange)
    }

    /// This amount × `numerator` ÷ `denominator`, exact, then rounded once to the minor unit: tax, proration,
    /// percentages.
    ///
    /// `None` when `denominator` is not positive, or when the result or a step to it is too large (there is room for a
    /// numerator of 18 digits with any amount). `minor_digits` above 6 count as 6.
    pub fn times_ratio(
        self,
        numerator: i128,
        denominator: i128,
        minor_digits: u32,
        rounding: Rounding,
    ) -> Option<Self> {
        Self::ratio(i128::from(self.0), numerator, denominator, minor_digits, rounding)
    }

    /// Rounds to the minor unit. `minor_digits` of 6 or more leave the amount as it is.
    #[must_use]
    pub fn round(self, minor_digits: u32, rounding: Rounding) -> Self {
        // The range ends at whole units, so rounding never leaves it.
        self.times_ratio(1, 1, minor_digits, rounding).unwrap_or(self)
    }

    /// `factor` × `numerator` ÷ `denominator` millionths, rounded to the minor unit.
    fn ratio(factor: i128, numerator: i128, denominator: i128, minor_digits: u32, rounding: Rounding) -> Option<Self> {
        let step = i128::from(Self::minor_unit(minor_digits).0);
        let units = rounding.divide(factor.checked_mul(numerator)?, denominator.checked_mul(step)?)?;
        Self::in_range(units.checked_mul(step)?)
    }

    /// The amount of so many millionths, if it is in range.
    fn in_range(micros: i128) -> Option<Self> {
        i64::try_from(micros).ok().and_then(|micros| Self::try_from_micros(micros).ok())
    }
}

/// The plain decimal without padding (`1500.5`), for logs; what a client sees is [`Money::format`].
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.format(0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    #[test]
    fn plain_decimals_parse_and_format_canonically() {
        for (text, micros, minor_digits, canonical) in [
            ("0", 0, 2, "0.00"),
            ("-0", 0, 2, "0.00"),
            ("1500.5", 1_500_500_000, 2, "1500.50"),
            ("1500.50", 1_500_500_000, 0, "1500.5"),
            ("-0.000001", -1, 2, "-0.000001"),
            ("5", 5_000_000, 0, "5"),
            ("10", 10_000_000, 0, "10"),
            ("100.10", 100_100_000, 3, "100.100"),
            ("0007.25", 7_250_000, 2, "7.25"),
            ("1.5000000000", 1_500_000, 9, "1.500000"),
            ("9000000000000", Money::MAX.micros(), 2, "9000000000000.00"),
            ("-9000000000000", Money::MIN.micros(), 2, "-9000000000000.00"),
            ("0000000000000000000000000000000000000001", 1_000_000, 2, "1.00"),
        ] {
            assert_eq!(Money::parse(text), Ok(Money::from_micros(micros)), "{text}");
            assert_eq!(money(text).format(minor_digits), canonical);
        }
        assert_eq!(money("-1500.50").to_string(), "-1500.5");
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        use MoneyError::{Malformed, OutOfRange, TooPrecise};
        for (text, error) in [
            ("", Malformed),
            ("-", Malformed),
            ("--1", Malformed),
            ("+1", Malformed),
            ("1.", Malformed),
            (".5", Malformed),
            (".", Malformed),
            ("1.2.3", Malformed),
            ("1e3", Malformed),
            ("1,5", Malformed),
            (" 1", Malformed),
            ("1 000", Malformed),
            ("١", Malformed),
            ("1.é", Malformed),
            ("NaN", Malformed),
            ("1.0000001", TooPrecise),
            ("9000000000001.0000001", TooPrecise),
            ("9000000000000.000001", OutOfRange),
            ("-9000000000000.000001", OutOfRange),
            ("9999999999999999999999999999999999999999", OutOfRange),
            ("00000000000000000000000000000000000000001", Malformed),
        ] {
            assert_eq!(Money::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn arithmetic_ends_at_the_range() {
        assert_eq!(Money::MAX.checked_add(Money::ONE_MICRO), None);
        assert_eq!(Money::MIN.checked_sub(Money::ONE_MICRO), None);
        assert_eq!(Money::MAX.checked_add(Money::MIN), Some(Money::ZERO));
        assert_eq!(Money::checked_sum([Money::MAX, Money::ONE_MICRO, Money::MIN]), Some(Money::ONE_MICRO));
        assert_eq!(Money::checked_sum([Money::MAX, Money::MAX]), None);
        assert_eq!(Money::MIN.negated(), Money::MAX);
        assert_eq!(Money::MIN.abs(), Money::MAX);
        assert_eq!(Money::try_from_micros(i64::MIN), Err(MoneyError::OutOfRange));
        assert_eq!(Money::from_micros(i64::MIN).checked_add(Money::ONE_MICRO), None);
        assert_eq!(Money::MAX.round(0, Rounding::Up), Money::MAX);
    }

    #[test]
    fn ratios_round_once() {
        // Proration: 249.95 a month, 10 of 31 days unused.
        assert_eq!(money("249.95").times_ratio(10, 31, 2, Rounding::HalfUp), Some(money("80.63")));
        assert_eq!(money("1").times_ratio(1, 0, 2, Rounding::HalfUp), None);
        assert_eq!(Money::MAX.times_ratio(1_000_000_000_000_000_000, 1, 2, Rounding::HalfUp), None);
    }

    #[test]
    fn decimals_convert_exactly_or_are_refused() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(Money::try_from_decimal(decimal("-1.50000000")), Ok(money("-1.5")));
        assert_eq!(Money::try_from_decimal(decimal("0.0000001")), Err(MoneyError::TooPrecise));
        assert_eq!(Money::try_from_decimal(decimal("9000000000000.000001")), Err(MoneyError::OutOfRange));
        assert_eq!(Money::try_from_decimal(Decimal::MIN), Err(MoneyError::OutOfRange));
        let price = decimal("0.3333333333333333333333333333");
        assert_eq!(Money::from_decimal_rounded(price, 2, Rounding::HalfUp), Ok(money("0.33")));
        assert_eq!(Money::from_decimal_rounded(price, 2, Rounding::Up), Ok(money("0.34")));
    }

    proptest! {
        #[test]
        fn a_formatted_amount_parses_back(micros in Money::MIN.micros()..=Money::MAX.micros(), minor_digits in 0_u32..9) {
            let amount = Money::from_micros(micros);
            prop_assert_eq!(Money::parse(&amount.format(minor_digits)), Ok(amount));
            prop_assert_eq!(Money::parse(&amount.to_string()), Ok(amount));
            prop_assert_eq!(Money::try_from_decimal(amount.to_decimal()), Ok(amount));
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), amount);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,45}") {
            let _ = Money::parse(&text);
        }
    }
}
