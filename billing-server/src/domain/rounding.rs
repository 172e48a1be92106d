//! The named ways to round, and the one function that rounds.

use serde::{Deserialize, Serialize};

/// The named ways to round; nothing rounds by any other ("Money" in `rules.md`). All are symmetric about zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest; a half goes away from zero: 0.005 → 0.01, −0.005 → −0.01. The default.
    #[default]
    HalfUp,
    /// To the nearest; a half goes to the even neighbour: 0.005 → 0.00, 0.015 → 0.02.
    HalfEven,
    /// Away from zero, so a positive amount goes up: what a client must pay.
    Up,
    /// Towards zero, so a positive amount goes down: what a client has, in texts.
    Down,
}

impl Rounding {
    /// The quotient of two integers, rounded to an integer: the one place where this service rounds.
    ///
    /// `None` when `denominator` is not positive.
    pub fn divide(self, numerator: i128, denominator: i128) -> Option<i128> {
        if denominator <= 0 {
            return None;
        }
        let quotient = numerator.checked_div(denominator)?;
        let rest = numerator.checked_rem(denominator)?;
        // Below, `rest` lies strictly inside ±denominator, so that the complement cannot overflow.
        let complement = denominator.checked_sub(rest.checked_abs()?)?;
        let half = rest.checked_abs()?.cmp(&complement);
        let away = match self {
            Self::HalfUp => half.is_ge(),
            Self::HalfEven => half.is_gt() || (half.is_eq() && quotient & 1 == 1),
            Self::Up => rest != 0,
            Self::Down => false,
        };
        if away { quotient.checked_add(numerator.signum()) } else { Some(quotient) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::super::money::Money;
    use super::*;

    #[test]
    fn each_rounding_by_its_table() {
        // Amount, minor digits, then half-up, half-even, up, down.
        for (text, digits, expected) in [
            ("0.005", 2, ["0.01", "0.00", "0.01", "0.00"]),
            ("-0.005", 2, ["-0.01", "0.00", "-0.01", "0.00"]),
            ("0.015", 2, ["0.02", "0.02", "0.02", "0.01"]),
            ("-0.015", 2, ["-0.02", "-0.02", "-0.02", "-0.01"]),
            ("0.025", 2, ["0.03", "0.02", "0.03", "0.02"]),
            ("-0.025", 2, ["-0.03", "-0.02", "-0.03", "-0.02"]),
            ("0.004999", 2, ["0.00", "0.00", "0.01", "0.00"]),
            ("0.005001", 2, ["0.01", "0.01", "0.01", "0.00"]),
            ("0.000001", 2, ["0.00", "0.00", "0.01", "0.00"]),
            ("12.34", 2, ["12.34", "12.34", "12.34", "12.34"]),
            ("2.5", 0, ["3", "2", "3", "2"]),
            ("-3.5", 0, ["-4", "-4", "-4", "-3"]),
            ("1.2345", 3, ["1.235", "1.234", "1.235", "1.234"]),
            ("0.000001", 6, ["0.000001"; 4]),
            ("0.000001", 60, ["0.000001"; 4]),
        ] {
            let roundings = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Up, Rounding::Down];
            for (rounding, expected) in roundings.into_iter().zip(expected) {
                let rounded = Money::parse(text).unwrap().round(digits, rounding);
                assert_eq!(rounded, Money::parse(expected).unwrap(), "{text} {rounding:?}");
            }
        }
    }

    #[test]
    fn a_divisor_must_be_positive_and_large_numbers_divide_exactly() {
        assert_eq!(Rounding::HalfUp.divide(1, 0), None);
        assert_eq!(Rounding::HalfUp.divide(1, -1), None);
        assert_eq!(Rounding::HalfUp.divide(i128::MIN, 1), Some(i128::MIN));
        assert_eq!(Rounding::HalfUp.divide(i128::MAX, i128::MAX), Some(1));
        assert_eq!(Rounding::HalfUp.divide(i128::MAX - 1, i128::MAX), Some(1));
        assert_eq!(Rounding::HalfEven.divide(-3, 2), Some(-2));
        assert_eq!(Rounding::HalfEven.divide(-1, 2), Some(0));
    }
}
