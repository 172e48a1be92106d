//! The tax on a price, and the tax inside one ("Money" in `rules.md`).

use rust_decimal::Decimal;

use super::money::{Money, Rounding};

/// The most fraction digits of a tax rate in percent; no law has as many, and they leave room for exact arithmetic.
const RATE_DIGITS: u32 = 6;
/// 100 % in units of the last rate digit.
const FULL_RATE: i128 = 100_000_000;

/// Why a tax cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaxError {
    /// The rate is not between 0 and 100 %, or has more than 6 fraction digits (`TAX_RATE_OUT_OF_RANGE`).
    #[error("a tax rate lies between 0 and 100 percent and has at most 6 fraction digits")]
    RateOutOfRange,
    /// The amount taxed lies beyond the range of [`Money`]; never for an amount that was checked when it came in.
    #[error("the amount taxed is out of range")]
    AmountOutOfRange,
}

/// The tax that comes on top of a net amount: net × rate ÷ 100, exact, then rounded once to the minor unit.
///
/// `rate_percent` is in percent, 0 to 100 inclusive (`20` is 20 %). A negative net gives a negative tax.
pub fn tax_exclusive(
    net: Money,
    rate_percent: Decimal,
    minor_digits: u32,
    rounding: Rounding,
) -> Result<Money, TaxError> {
    let rate = scaled_rate(rate_percent)?;
    net.times_ratio(rate, FULL_RATE, minor_digits, rounding).ok_or(TaxError::AmountOutOfRange)
}

/// The tax that a gross amount contains: gross × rate ÷ (100 + rate), exact, then rounded once to the minor unit.
///
/// `rate_percent` is in percent, 0 to 100 inclusive (`20` is 20 %). A negative gross gives a negative tax.
pub fn tax_inclusive(
    gross: Money,
    rate_percent: Decimal,
    minor_digits: u32,
    rounding: Rounding,
) -> Result<Money, TaxError> {
    let rate = scaled_rate(rate_percent)?;
    gross.times_ratio(rate, FULL_RATE.saturating_add(rate), minor_digits, rounding).ok_or(TaxError::AmountOutOfRange)
}

/// The rate as a whole number of millionths of a percent, or the error that it is none of 0 to 100.
fn scaled_rate(rate_percent: Decimal) -> Result<i128, TaxError> {
    let rate = rate_percent.normalize();
    RATE_DIGITS
        .checked_sub(rate.scale())
        .and_then(|digits| 10_i128.checked_pow(digits))
        .and_then(|factor| rate.mantissa().checked_mul(factor))
        .filter(|scaled| (0..=FULL_RATE).contains(scaled))
        .ok_or(TaxError::RateOutOfRange)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    fn percent(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn tax_on_top_of_a_net_amount() {
        for (net, rate, digits, tax) in [
            ("150.00", "15", 2, "22.50"),
            ("100.00", "20", 2, "20.00"),
            ("0.01", "20", 2, "0.00"),
            ("0.025", "20", 2, "0.01"),
            ("-0.025", "20", 2, "-0.01"),
            ("99.99", "8.875", 2, "8.87"),
            ("1000", "10", 0, "100"),
            ("5", "10", 0, "1"),
            ("4", "10", 0, "0"),
            ("1.000", "12.345678", 3, "0.123"),
            ("9000000000000", "100", 2, "9000000000000"),
            ("100", "0", 2, "0"),
        ] {
            assert_eq!(tax_exclusive(money(net), percent(rate), digits, Rounding::HalfUp), Ok(money(tax)), "{net}");
        }
    }

    #[test]
    fn tax_inside_a_gross_amount() {
        for (gross, rate, digits, tax) in [
            ("1200.00", "20", 2, "200.00"),
            ("100.00", "20", 2, "16.67"),
            ("100.00", "22", 2, "18.03"),
            ("110.00", "10", 2, "10.00"),
            ("-100.00", "20", 2, "-16.67"),
            ("110", "10", 0, "10"),
            ("100.00", "0.00", 2, "0.00"),
            ("100.00", "100", 2, "50.00"),
            ("9000000000000", "20", 2, "1500000000000"),
        ] {
            assert_eq!(tax_inclusive(money(gross), percent(rate), digits, Rounding::HalfUp), Ok(money(tax)), "{gross}");
        }
    }

    #[test]
    fn the_setting_says_where_a_half_goes() {
        let net = money("0.025");
        assert_eq!(tax_exclusive(net, percent("20"), 2, Rounding::HalfEven), Ok(money("0.00")));
        assert_eq!(tax_exclusive(money("0.075"), percent("20"), 2, Rounding::HalfEven), Ok(money("0.02")));
    }

    #[test]
    fn rates_outside_their_range_are_refused() {
        for rate in ["-0.000001", "-20", "100.000001", "1000", "7.0000001", "79228162514264337593543950335"] {
            let result = tax_exclusive(money("1"), percent(rate), 2, Rounding::HalfUp);
            assert_eq!(result, Err(TaxError::RateOutOfRange), "{rate}");
            let result = tax_inclusive(money("1"), percent(rate), 2, Rounding::HalfUp);
            assert_eq!(result, Err(TaxError::RateOutOfRange), "{rate}");
        }
        assert_eq!(tax_exclusive(money("1"), percent("7.00000000"), 2, Rounding::HalfUp), Ok(money("0.07")));
        let beyond = Money::from_micros(i64::MAX);
        assert_eq!(tax_exclusive(beyond, percent("100"), 2, Rounding::Up), Err(TaxError::AmountOutOfRange));
    }

    proptest! {
        #[test]
        fn the_tax_inside_net_plus_tax_is_that_tax(cents in -1_000_000_000_i64..1_000_000_000, rate in 0_u32..=100) {
            let net = Money::from_micros(cents * 10_000);
            let tax = tax_exclusive(net, rate.into(), 2, Rounding::HalfUp).unwrap();
            let gross = net.checked_add(tax).unwrap();
            prop_assert_eq!(tax_inclusive(gross, rate.into(), 2, Rounding::HalfUp), Ok(tax));
        }
    }
}
