//! Splitting a total into parts that sum to it exactly: a discount over lines, a tax over rates, a payment over
//! invoices.
//!
//! The rule is largest remainder ("Money" in `rules.md`).

use super::money::Money;

/// Why a total cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// There are no weights, or all of them are zero: there is nobody to give the total to.
    #[error("a total needs at least one weight above zero")]
    NoWeight,
    /// A weight is below zero.
    #[error("a weight lies below zero")]
    NegativeWeight,
    /// A weight, or the sum of the weights, is too large to compute with (any [`Money::micros`] fits).
    #[error("the weights are too large")]
    WeightTooLarge,
}

/// Splits `total` in the proportion of `weights`, one part a weight, in their order.
///
/// Each part is its exact share cut to the minor unit; the minor units left over go one each to the parts with the
/// largest remainders, ties by order. A total finer than the minor unit leaves a residue below one minor unit; it goes
/// to the part that would be next. So the parts sum to the total, each differs from its exact share by less than one
/// minor unit, all parts but one are whole minor units, and a weight of zero gets nothing. A negative total is split
/// like the positive one, with the sign put back. `minor_digits` above 6 count as 6.
pub fn split(total: Money, weights: &[i128], minor_digits: u32) -> Result<Vec<Money>, SplitError> {
    if weights.iter().any(|&weight| weight < 0) {
        return Err(SplitError::NegativeWeight);
    }
    let parts = split_magnitude(
        i128::from(total.micros()).saturating_abs(),
        weights,
        i128::from(Money::minor_unit(minor_digits).micros()),
    )?;
    let sign = if total.is_negative() { Money::negated } else { |part| part };
    // A part is at most the total, which is an i64.
    parts
        .into_iter()
        .map(|micros| i64::try_from(micros).map(|micros| sign(Money::from_micros(micros))))
        .collect::<Result<_, _>>()
        .map_err(|_| SplitError::WeightTooLarge)
}

/// Splits `total` in the proportion of amounts; see [`split`]. The amounts must not be negative.
pub fn split_by_money(total: Money, weights: &[Money], minor_digits: u32) -> Result<Vec<Money>, SplitError> {
    let weights: Vec<i128> = weights.iter().map(|weight| i128::from(weight.micros())).collect();
    split(total, &weights, minor_digits)
}

/// Splits a total in millionths that is not negative by weights that are not, in steps of a minor unit.
fn split_magnitude(total: i128, weights: &[i128], step: i128) -> Result<Vec<i128>, SplitError> {
    let (mut parts, remainders) = cut_shares(total, weights, step)?;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    // A stable sort: equal remainders keep the order of the weights.
    order.sort_by_key(|&index| std::cmp::Reverse(remainders.get(index).copied()));

    // The remainders are each below one step and sum to `rest`, so more parts have one than `rest` has whole steps:
    // `rest` is used up before the order ends, and before a part without a remainder comes.
    let mut rest = parts.iter().fold(total, |rest, part| rest.saturating_sub(*part));
    for index in order {
        let given = rest.min(step);
        if let Some(part) = parts.get_mut(index) {
            *part = part.saturating_add(given);
        }
        rest = rest.saturating_sub(given);
    }
    debug_assert_eq!(rest, 0, "the parts sum to the whole");
    Ok(parts)
}

/// Each share cut to whole steps, and what the cuts took, in fractions of one over the sum of the weights.
fn cut_shares(total: i128, weights: &[i128], step: i128) -> Result<(Vec<i128>, Vec<i128>), SplitError> {
    let too_large = SplitError::WeightTooLarge;
    let whole = weights.iter().try_fold(0_i128, |sum, weight| sum.checked_add(*weight)).ok_or(too_large)?;
    if whole == 0 {
        return Err(SplitError::NoWeight);
    }
    let unit = whole.checked_mul(step).ok_or(too_large)?;
    weights
        .iter()
        .map(|weight| {
            let share = total.checked_mul(*weight)?;
            Some((share.checked_div(unit)?.checked_mul(step)?, share.checked_rem(unit)?))
        })
        .collect::<Option<_>>()
        .ok_or(too_large)
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
    fn totals_split_by_the_table() {
        let table: &[(&str, &[i128], u32, &[&str])] = &[
            ("0.05", &[1, 1, 1], 2, &["0.02", "0.02", "0.01"]),
            ("100.00", &[1, 2, 3], 2, &["16.67", "33.33", "50.00"]),
            ("5", &[1, 1, 1], 0, &["2", "2", "1"]),
            ("-0.05", &[1, 1, 1], 2, &["-0.02", "-0.02", "-0.01"]),
            ("0.01", &[1, 1], 2, &["0.01", "0.00"]),
            ("0.01", &[1, 2], 2, &["0.00", "0.01"]),
            ("0.00", &[1, 2], 2, &["0", "0"]),
            ("7.77", &[5], 2, &["7.77"]),
            ("0.05", &[0, 1, 0, 1], 2, &["0", "0.03", "0", "0.02"]),
            ("1", &[1, 1, 1], 3, &["0.334", "0.333", "0.333"]),
            // Finer than the minor unit: the residue goes to the next in line, never to a weight of zero.
            ("100.005", &[1, 1], 2, &["50.005", "50.00"]),
            ("100.005", &[1, 2, 3], 2, &["16.67", "33.335", "50.00"]),
            ("0.005", &[0, 1, 3], 2, &["0", "0", "0.005"]),
            ("-0.005", &[0, 1], 2, &["0", "-0.005"]),
            ("9000000000000", &[1, 1, 1], 2, &["3000000000000"; 3]),
        ];
        for (total, weights, minor_digits, expected) in table {
            let expected: Vec<Money> = expected.iter().map(|part| money(part)).collect();
            assert_eq!(split(money(total), weights, *minor_digits), Ok(expected), "{total} by {weights:?}");
        }
    }

    #[test]
    fn weights_that_say_nothing_are_refused() {
        let total = money("1");
        assert_eq!(split(total, &[], 2), Err(SplitError::NoWeight));
        assert_eq!(split(total, &[0, 0], 2), Err(SplitError::NoWeight));
        assert_eq!(split(total, &[2, -1], 2), Err(SplitError::NegativeWeight));
        assert_eq!(split(total, &[i128::MAX, 1], 2), Err(SplitError::WeightTooLarge));
        assert_eq!(split(total, &[i128::MAX], 2), Err(SplitError::WeightTooLarge));
        assert_eq!(split_by_money(Money::MIN, &[Money::MAX; 3], 2).unwrap(), vec![money("-3000000000000"); 3]);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_and_keep_near_their_share(
            micros in Money::MIN.micros()..=Money::MAX.micros(),
            weights in prop::collection::vec(prop_oneof![0..10_i128, 0..=9_000_000_000_000_000_000_i128], 1..30),
            minor_digits in 0_u32..=6,
        ) {
            let whole: i128 = weights.iter().sum();
            prop_assume!(whole > 0);
            let total = Money::from_micros(micros);
            let parts = split(total, &weights, minor_digits).unwrap();
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(Money::checked_sum(parts.iter().copied()), Some(total));
            let step = Money::minor_unit(minor_digits).micros();
            prop_assert!(parts.iter().filter(|part| part.micros() % step != 0).count() <= 1);
            for (part, &weight) in parts.iter().zip(&weights) {
                let share = i128::from(micros) * weight / whole;
                prop_assert!((i128::from(part.micros()) - share).abs() <= i128::from(step));
                prop_assert!(weight > 0 || part.is_zero());
            }
        }
    }
}
