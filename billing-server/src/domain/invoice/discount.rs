//! Discounts: percent before fixed, of a line or of the whole invoice ("Invoices" in `rules.md`).

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::money::{Money, Rounding};
use super::super::reason::{Reason, Refusal};

/// How many discounts in percent one line, or one invoice, can have. With [`PERCENT_DIGITS`] it keeps their product an
/// exact number of 18 digits, which [`Money::times_ratio`] has room for with any amount.
pub const MAX_PERCENT_DISCOUNTS: usize = 3;
/// How many fixed discounts one line, or one invoice, can have.
pub const MAX_FIXED_DISCOUNTS: usize = 10;
/// The most fraction digits of a discount in percent.
pub const PERCENT_DIGITS: u32 = 4;
/// 100 % in units of the last digit of a percentage.
const FULL_PERCENT: i128 = 1_000_000;

/// What is taken off a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// Percent, 0 to 100, with at most 4 fraction digits. Several multiply: 25 % and 10 % leave 67.5 %, in either
    /// order.
    Percent(Decimal),
    /// An amount, not negative, in whole minor units. Fixed discounts are taken off after those in percent.
    Fixed(Money),
}

/// What the discounts take off `amount` (not negative, in whole minor units): those in percent at once, rounded once to
/// the minor unit, then the fixed ones. So what is left is a whole number of minor units, too. The order in which they
/// are given does not matter. `field` is the path of the list.
///
/// # Errors
/// `TOO_MANY_ITEMS`; `DISCOUNT_OUT_OF_RANGE` when a percentage is not 0 to 100 with at most 4 fraction digits, when a
/// fixed discount is negative or finer than the minor unit, or when the discounts take off more than there is;
/// `AMOUNT_OUT_OF_RANGE`.
pub fn discount_of(
    amount: Money,
    discounts: &[Discount],
    minor_digits: u32,
    rounding: Rounding,
    field: &str,
) -> Result<Money, Refusal> {
    check_count(discounts, field)?;
    let mut left = 1_i128;
    let mut whole = 1_i128;
    let mut fixed = Money::ZERO;
    for (index, discount) in discounts.iter().enumerate() {
        match discount {
            Discount::Percent(percent) => {
                let percent = scaled(*percent).ok_or_else(|| percent_out_of_range(field, index))?;
                // At most three factors of seven digits.
                left = left.saturating_mul(FULL_PERCENT.saturating_sub(percent));
                whole = whole.saturating_mul(FULL_PERCENT);
            }
            Discount::Fixed(off) if off.is_negative() || off.round(minor_digits, Rounding::Down) != *off => {
                return Err(fixed_out_of_range(field, index, amount));
            }
            Discount::Fixed(off) => {
                fixed = fixed.checked_add(*off).ok_or_else(|| fixed_out_of_range(field, index, amount))?;
            }
        }
    }
    let too_large = || Refusal::field(Reason::AmountOutOfRange, field, "The amount to discount is too large.");
    let percent =
        amount.times_ratio(whole.saturating_sub(left), whole, minor_digits, rounding).ok_or_else(too_large)?;
    let rest = amount.checked_sub(percent).ok_or_else(too_large)?;
    if fixed > rest {
        return Err(Refusal::field(
            Reason::DiscountOutOfRange,
            field,
            format!("Fixed discounts take off at most what is left after those in percent ({rest}), not {fixed}."),
        )
        .with("field", field)
        .with("max", rest));
    }
    percent.checked_add(fixed).ok_or_else(too_large)
}

fn check_count(discounts: &[Discount], field: &str) -> Result<(), Refusal> {
    let percents = discounts.iter().filter(|discount| matches!(discount, Discount::Percent(_))).count();
    let fixed = discounts.len().saturating_sub(percents);
    for (count, max, kind) in
        [(percents, MAX_PERCENT_DISCOUNTS, "in percent"), (fixed, MAX_FIXED_DISCOUNTS, "of a fixed amount")]
    {
        if count > max {
            let message = format!("There are at most {max} discounts {kind}, not {count}.");
            return Err(Refusal::field(Reason::TooManyItems, field, message)
                .with("field", field)
                .with("count", count)
                .with("max", max));
        }
    }
    Ok(())
}

/// The percentage as a whole number of its last digit; `None` when it is none of 0 to 100, or too fine.
fn scaled(percent: Decimal) -> Option<i128> {
    let percent = percent.normalize();
    let digits = PERCENT_DIGITS.checked_sub(percent.scale())?;
    let scaled = percent.mantissa().checked_mul(10_i128.checked_pow(digits)?)?;
    (0..=FULL_PERCENT).contains(&scaled).then_some(scaled)
}

fn percent_out_of_range(list: &str, index: usize) -> Refusal {
    let field = format!("{list}[{index}].percent");
    let message =
        format!("A discount lies between 0 and 100 percent and has at most {PERCENT_DIGITS} fraction digits.");
    Refusal::field(Reason::DiscountOutOfRange, &field, message).with("field", &field).with("max", 100)
}

fn fixed_out_of_range(list: &str, index: usize, max: Money) -> Refusal {
    let field = format!("{list}[{index}].fixed");
    let message = format!("A fixed discount is a whole number of minor units from 0 to what it is taken from ({max}).");
    Refusal::field(Reason::DiscountOutOfRange, &field, message).with("field", &field).with("max", max)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{decimal, money};
    use super::*;

    fn percent(text: &str) -> Discount {
        Discount::Percent(decimal(text))
    }

    fn fixed(text: &str) -> Discount {
        Discount::Fixed(money(text))
    }

    #[test]
    fn discounts_take_off_by_the_table() {
        let table: &[(&str, &[Discount], u32, &str)] = &[
            ("100.00", &[], 2, "0"),
            ("100.00", &[percent("25"), percent("10")], 2, "32.50"),
            ("100.00", &[percent("10"), percent("25")], 2, "32.50"),
            // Percent before fixed, in whatever order they are given.
            ("100.00", &[fixed("10"), percent("50")], 2, "60.00"),
            ("100.00", &[percent("50"), fixed("10")], 2, "60.00"),
            ("100.00", &[percent("50"), fixed("20"), fixed("30")], 2, "100.00"),
            ("100.00", &[percent("100"), fixed("0")], 2, "100.00"),
            ("0", &[percent("12.5"), fixed("0")], 2, "0"),
            // Rounded once: 10 % of 0.05 is 0.005; two times 50 % of 0.03 is 0.0225 (step by step it were 0.03).
            ("0.05", &[percent("10")], 2, "0.01"),
            ("0.03", &[percent("50"), percent("50")], 2, "0.02"),
            ("5", &[percent("10")], 0, "1"),
            ("9000000000000", &[percent("99.9999"), percent("0.0001"), percent("33.3333")], 2, "8999994000003.00"),
        ];
        for (amount, discounts, digits, expected) in table {
            let off = discount_of(money(amount), discounts, *digits, Rounding::HalfUp, "discounts");
            assert_eq!(off, Ok(money(expected)), "{amount} {discounts:?}");
        }
        assert_eq!(discount_of(money("0.05"), &[percent("10")], 2, Rounding::HalfEven, "discounts"), Ok(money("0.00")));
    }

    #[test]
    fn discounts_out_of_range_are_refused() {
        let cases: &[(&[Discount], Reason, &str)] = &[
            (&[percent("-0.0001")], Reason::DiscountOutOfRange, "discounts[0].percent"),
            (&[percent("1"), percent("100.0001")], Reason::DiscountOutOfRange, "discounts[1].percent"),
            (&[percent("0.00001")], Reason::DiscountOutOfRange, "discounts[0].percent"),
            (&[fixed("-0.000001")], Reason::DiscountOutOfRange, "discounts[0].fixed"),
            (&[fixed("99.999")], Reason::DiscountOutOfRange, "discounts[0].fixed"),
            (&[fixed("100.01")], Reason::DiscountOutOfRange, "discounts"),
            (&[percent("50"), fixed("50.01")], Reason::DiscountOutOfRange, "discounts"),
            (&[fixed("9000000000000"), fixed("1")], Reason::DiscountOutOfRange, "discounts[1].fixed"),
            (&[percent("1"); 4], Reason::TooManyItems, "discounts"),
            (&[fixed("1"); 11], Reason::TooManyItems, "discounts"),
        ];
        for (discounts, reason, field) in cases {
            let refusal = discount_of(money("100"), discounts, 2, Rounding::HalfUp, "discounts").unwrap_err();
            assert_eq!(refusal.reason, *reason, "{discounts:?}");
            assert_eq!(refusal.metadata.get("field").map(String::as_str), Some(*field), "{discounts:?}");
        }
        let refusal = discount_of(money("100"), &[percent("50"), fixed("51")], 2, Rounding::HalfUp, "d").unwrap_err();
        assert_eq!(refusal.metadata.get("max").map(String::as_str), Some("50"));
    }

    proptest! {
        #[test]
        fn the_order_of_discounts_does_not_matter_and_no_more_than_all_goes(
            cents in 0_i64..=900_000_000_000_000,
            percents in prop::collection::vec(0_u32..=1_000_000, 0..=3),
            fixed in 0_i64..1_000,
        ) {
            let amount = Money::from_micros(cents * 10_000);
            let mut discounts: Vec<Discount> =
                percents.iter().map(|percent| Discount::Percent(Decimal::new(i64::from(*percent), 4))).collect();
            discounts.push(Discount::Fixed(Money::from_micros(fixed * 10_000)));
            let off = discount_of(amount, &discounts, 2, Rounding::HalfUp, "d");
            discounts.reverse();
            prop_assert_eq!(&off, &discount_of(amount, &discounts, 2, Rounding::HalfUp, "d"));
            if let Ok(off) = off {
                prop_assert!(!off.is_negative() && off <= amount);
            }
        }
    }
}
