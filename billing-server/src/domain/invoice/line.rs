//! The lines of an invoice, and what each costs before tax is looked at.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::ledger::default_counter;
use super::super::money::{Money, Rounding};
use super::super::reason::{Reason, Refusal};
use super::super::record::{Kind, Tax};
use super::super::recurrence::Period;
use super::discount::{Discount, discount_of};

/// A tax by its name and rate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaxRate {
    /// Names the tax; its side of an entry is `tax:<code>`.
    pub code: String,
    /// Percent, 0 to 100, with at most 6 fraction digits.
    pub rate_percent: Decimal,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is paid for.
    pub description: String,
    /// The caller's grouping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who takes the other side; absent: `revenue:<category or other>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_account: Option<String>,
    /// The tax on the line; absent: none, and the line stands in no tax table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxRate>,
    /// The days it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Where its amount comes from.
    pub basis: Basis,
}

/// Where the amount of a line comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Quantity × unit price, rounded once to the minor unit, less the line's own discounts.
    Priced {
        /// Above zero.
        quantity: Decimal,
        /// Not negative; may be finer than an amount of money.
        unit_price: Decimal,
        /// Taken off this line only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        discounts: Vec<Discount>,
    },
    /// Charges that are posted already, with the amounts as posted; the line posts nothing again.
    Billed {
        /// At least one; all have the line's category, counter account and tax.
        charges: Vec<BilledCharge>,
    },
}

/// A posted charge on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledCharge {
    /// The sequence of the entry.
    pub sequence: i64,
    /// What is left of the charge after reversals, positive, tax included.
    pub amount: Money,
    /// How much of it is tax, from zero to `amount`.
    #[serde(default)]
    pub tax: Money,
}

/// A posted charge that no invoice has billed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedCharge {
    /// The sequence of the entry.
    pub sequence: i64,
    /// What is left of it after reversals, positive.
    pub amount: Money,
    /// Its category.
    pub category: Option<String>,
    /// Who took its other side.
    pub counter_account: String,
    /// The tax contained in `amount`.
    pub tax: Option<Tax>,
}

impl Line {
    /// Who takes the other side of the line.
    pub fn counter(&self) -> String {
        self.counter_account.clone().unwrap_or_else(|| default_counter(Kind::Invoice, self.category.as_deref()))
    }

    /// The posted charges of the line; none when it has a price.
    pub fn charges(&self) -> &[BilledCharge] {
        match &self.basis {
            Basis::Priced { .. } => &[],
            Basis::Billed { charges } => charges,
        }
    }

    /// What the charges of the line sum to, exactly as posted: amount and contained tax.
    ///
    /// # Errors
    /// `NOTHING_TO_BILL` (a line that bills no charge), `AMOUNT_NOT_POSITIVE`, `TAX_EXCEEDS_AMOUNT`, `FIELD_REQUIRED`
    /// (the charges contain a tax that the line does not name), `AMOUNT_OUT_OF_RANGE`.
    pub(super) fn posted(&self, field: &str) -> Result<(Money, Money), Refusal> {
        if matches!(&self.basis, Basis::Billed { charges } if charges.is_empty()) {
            return Err(refuse(Reason::NothingToBill, field, "A line that bills charges names at least one."));
        }
        for charge in self.charges() {
            let at = |reason, text: &str| refuse(reason, field, format!("Charge {}: {text}", charge.sequence));
            if !charge.amount.is_positive() {
                return Err(at(Reason::AmountNotPositive, "nothing of it is left to bill."));
            }
            if charge.tax.is_negative() || charge.tax > charge.amount {
                let refusal = at(Reason::TaxExceedsAmount, "the tax contained lies between zero and the amount.");
                return Err(refusal.with("max", charge.amount));
            }
            if self.tax.is_none() && !charge.tax.is_zero() {
                return Err(at(Reason::FieldRequired, "it contains a tax, so the line names that tax."));
            }
        }
        let sum = |part: fn(&BilledCharge) -> Money| Money::checked_sum(self.charges().iter().map(part));
        sum(|charge| charge.amount)
            .zip(sum(|charge| charge.tax))
            .ok_or_else(|| refuse(Reason::AmountOutOfRange, field, "The charges sum to more than an amount can be."))
    }

    /// The price of the line before its discounts, and what those take off. Both are zero for a line that bills
    /// charges.
    ///
    /// # Errors
    /// `QUANTITY_NOT_POSITIVE`, `AMOUNT_NOT_POSITIVE` (the price is negative), `AMOUNT_TOO_PRECISE`,
    /// `AMOUNT_OUT_OF_RANGE`, and those of [`discount_of`].
    pub(super) fn price(&self, minor_digits: u32, rounding: Rounding, field: &str) -> Result<(Money, Money), Refusal> {
        let Basis::Priced { quantity, unit_price, discounts } = &self.basis else {
            return Ok((Money::ZERO, Money::ZERO));
        };
        if *quantity <= Decimal::ZERO {
            let message = "A quantity is above zero; what was too much is given back by a credit note.";
            return Err(refuse(Reason::QuantityNotPositive, &format!("{field}.quantity"), message));
        }
        let price_field = format!("{field}.unit_price");
        if *unit_price < Decimal::ZERO {
            let message = "A unit price is not negative; less is paid by a discount.";
            return Err(refuse(Reason::AmountNotPositive, &price_field, message));
        }
        let exact = exact_product(*quantity, *unit_price).ok_or_else(|| {
            let message = "Quantity × unit price has more than 28 digits, so it cannot be computed exactly.";
            refuse(Reason::AmountTooPrecise, &price_field, message)
        })?;
        let amount = Money::from_decimal_rounded(exact, minor_digits, rounding).map_err(|_| {
            refuse(Reason::AmountOutOfRange, &price_field, "Quantity × unit price is more than an amount can be.")
        })?;
        let discount = discount_of(amount, discounts, minor_digits, rounding, &format!("{field}.discounts"))?;
        Ok((amount, discount))
    }
}

/// The lines that bill charges, one per category, counter account and tax, in that order. The description is the
/// category; the caller may put a better one.
///
/// # Errors
/// `NOTHING_TO_BILL` when there is no charge, `TAX_RATE_OUT_OF_RANGE` when a stored rate is no number.
pub fn billing(charges: &[PostedCharge]) -> Result<Vec<Line>, Refusal> {
    let mut groups: BTreeMap<_, Vec<BilledCharge>> = BTreeMap::new();
    for charge in charges {
        let tax = charge.tax.as_ref().map(rate_of).transpose()?;
        let amount = charge.tax.as_ref().map_or(Money::ZERO, |tax| tax.amount);
        let billed = BilledCharge { sequence: charge.sequence, amount: charge.amount, tax: amount };
        groups.entry((&charge.category, &charge.counter_account, tax)).or_default().push(billed);
    }
    if groups.is_empty() {
        return Err(Refusal::new(Reason::NothingToBill, "There is no unbilled charge to put on the invoice."));
    }
    let line = |((category, counter, tax), charges): ((&Option<String>, &String, _), _)| Line {
        description: category.clone().unwrap_or_else(|| counter.clone()),
        category: category.clone(),
        counter_account: Some(counter.clone()),
        tax,
        period: None,
        basis: Basis::Billed { charges },
    };
    Ok(groups.into_iter().map(line).collect())
}

fn rate_of(tax: &Tax) -> Result<TaxRate, Refusal> {
    let rate_percent = tax.rate_percent.parse().map_err(|_| {
        let message = format!("The tax {} of a posted charge has no readable rate.", tax.code);
        Refusal::field(Reason::TaxRateOutOfRange, "tax.rate_percent", message).with("field", "tax.rate_percent")
    })?;
    Ok(TaxRate { code: tax.code.clone(), rate_percent })
}

/// The product, if a [`Decimal`] holds it exactly.
fn exact_product(one: Decimal, other: Decimal) -> Option<Decimal> {
    let (one, other) = (one.normalize(), other.normalize());
    let mantissa = one.mantissa().checked_mul(other.mantissa())?;
    Decimal::try_from_i128_with_scale(mantissa, one.scale().checked_add(other.scale())?).ok()
}

fn refuse(reason: Reason, field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(reason, field, message).with("field", field)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixtures::{billed, decimal, line, money, priced};
    use super::*;

    #[test]
    fn a_price_is_rounded_once_to_the_minor_unit() {
        for (quantity, unit_price, digits, half_up, half_even) in [
            ("1", "100.00", 2, "100.00", "100.00"),
            ("3", "0.333333", 2, "1.00", "1.00"),
            ("0.5", "0.01", 2, "0.01", "0"),
            ("1.5", "0.01", 2, "0.02", "0.02"),
            ("1500", "0.0004", 2, "0.60", "0.60"),
            ("1000000000", "0.0000000001", 2, "0.10", "0.10"),
            ("0.0000000001", "1", 2, "0", "0"),
            ("2.5", "1", 0, "3", "2"),
            ("7", "0", 2, "0", "0"),
            ("1", "9000000000000", 2, "9000000000000", "9000000000000"),
        ] {
            let line = priced("a", quantity, unit_price);
            for (rounding, expected) in [(Rounding::HalfUp, half_up), (Rounding::HalfEven, half_even)] {
                let price = line.price(digits, rounding, "lines[0]");
                assert_eq!(price, Ok((money(expected), Money::ZERO)), "{quantity} × {unit_price} {rounding:?}");
            }
        }
    }

    #[test]
    fn impossible_prices_are_refused() {
        let long = "1.00000000000001";
        for (quantity, unit_price, reason, field) in [
            ("0", "1", Reason::QuantityNotPositive, "lines[3].quantity"),
            ("-1", "1", Reason::QuantityNotPositive, "lines[3].quantity"),
            ("1", "-0.01", Reason::AmountNotPositive, "lines[3].unit_price"),
            (long, "1.000000000000001", Reason::AmountTooPrecise, "lines[3].unit_price"),
            ("79228162514264337593543950335", "2", Reason::AmountTooPrecise, "lines[3].unit_price"),
            ("9000000000000.01", "1", Reason::AmountOutOfRange, "lines[3].unit_price"),
            ("79228162514264337593543950335", "1", Reason::AmountOutOfRange, "lines[3].unit_price"),
        ] {
            let refusal = priced("a", quantity, unit_price).price(2, Rounding::HalfUp, "lines[3]").unwrap_err();
            assert_eq!(refusal.reason, reason, "{quantity} × {unit_price}");
            assert_eq!(refusal.metadata.get("field").map(String::as_str), Some(field), "{quantity} × {unit_price}");
        }
    }

    #[test]
    fn charges_on_a_line_are_sound() {
        let posted = |line: Line| line.posted("lines[0]").map_err(|refusal| refusal.reason);
        let charges = [(1, "12.000001", "2"), (2, "0.5", "0")];
        assert_eq!(posted(billed("a", &charges).taxed("20")), Ok((money("12.500001"), money("2"))));
        assert_eq!(posted(line("a", "5")), Ok((Money::ZERO, Money::ZERO)));
        for (line, reason) in [
            (billed("a", &[]), Reason::NothingToBill),
            (billed("a", &[(1, "0", "0")]), Reason::AmountNotPositive),
            (billed("a", &[(1, "-1", "0")]), Reason::AmountNotPositive),
            (billed("a", &[(1, "1", "1.000001")]).taxed("20"), Reason::TaxExceedsAmount),
            (billed("a", &[(1, "1", "-0.000001")]).taxed("20"), Reason::TaxExceedsAmount),
            (billed("a", &[(1, "1", "0.1")]), Reason::FieldRequired),
            (billed("a", &[(1, "9000000000000", "0"), (2, "1", "0")]), Reason::AmountOutOfRange),
        ] {
            assert_eq!(posted(line.clone()), Err(reason), "{line:?}");
        }
    }

    #[test]
    fn posted_charges_become_a_line_for_each_category_counter_account_and_tax() {
        let tax = |rate: &str, amount: &str| {
            Some(Tax { code: "S".to_owned(), rate_percent: rate.to_owned(), amount: money(amount) })
        };
        let charge = |sequence, amount, category: Option<&str>, tax| PostedCharge {
            sequence,
            amount: money(amount),
            category: category.map(str::to_owned),
            counter_account: "revenue:calls".to_owned(),
            tax,
        };
        let lines = billing(&[
            charge(3, "1.2", Some("calls"), tax("20", "0.2")),
            charge(4, "1", Some("calls"), None),
            charge(5, "2.4", Some("calls"), tax("20.0", "0.4")),
            charge(6, "1.22", Some("calls"), tax("22", "0.22")),
            charge(7, "5", None, None),
        ])
        .unwrap();
        let shown: Vec<_> = lines
            .iter()
            .map(|line| {
                let sequences: Vec<i64> = line.charges().iter().map(|charge| charge.sequence).collect();
                (line.description.as_str(), line.tax.as_ref().map(|tax| tax.rate_percent), sequences)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("revenue:calls", None, vec![7]),
                ("calls", None, vec![4]),
                ("calls", Some(decimal("20")), vec![3, 5]),
                ("calls", Some(decimal("22")), vec![6]),
            ]
        );
        assert_eq!(billing(&[]).unwrap_err().reason, Reason::NothingToBill);
        assert_eq!(billing(&[charge(1, "1", None, tax("x", "0"))]).unwrap_err().reason, Reason::TaxRateOutOfRange);
    }
}
