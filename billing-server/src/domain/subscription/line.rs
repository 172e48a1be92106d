//! What a subscription charges for, at which price.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::invoice::TaxRate;
use super::super::money::Money;
use super::super::proration::Fraction;
use super::super::reason::{Reason, Refusal};
use super::super::recurrence::MAX_COUNT;
use super::{Terms, refuse_field};

/// The most lines of one subscription, as of an invoice.
pub const MAX_LINES: usize = 100;
/// The most fraction digits of a quantity.
pub const QUANTITY_DIGITS: u32 = 6;
/// The most fraction digits of a unit price; with those of a quantity they leave room for exact proration.
pub const UNIT_PRICE_DIGITS: u32 = 12;

/// The longest period has this many days.
const MAX_DAYS: u32 = 366 * MAX_COUNT;

/// A price line of a subscription: what one whole period costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is paid for; no personal data, since it stays in the journal.
    pub description: String,
    /// How many, above zero.
    pub quantity: Decimal,
    /// What one costs for a whole period; not negative, may be finer than an amount of money.
    pub unit_price: Decimal,
    /// The caller's grouping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who takes the other side; absent: `revenue:<category or other>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_account: Option<String>,
    /// The tax on it; absent: none. Amounts here are as priced: whether they contain it, the caller decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxRate>,
}

impl Line {
    /// What a part of a period costs, rounded once; `None` when it cannot be computed, never after [`check`].
    pub(super) fn amount(&self, part: Fraction, terms: &Terms) -> Option<Money> {
        part.of(self.quantity, self.unit_price, terms.minor_digits, terms.rounding)
    }
}

/// Refuses lines that cannot be charged. All violations of all lines are listed.
///
/// # Errors
/// `FIELD_REQUIRED` (no line), `TOO_MANY_ITEMS`, `QUANTITY_NOT_POSITIVE`, `AMOUNT_NOT_POSITIVE` (a negative price),
/// `AMOUNT_TOO_PRECISE`, `AMOUNT_OUT_OF_RANGE` (a line or all of them cost more than an amount can be).
pub fn check(lines: &[Line], terms: &Terms) -> Result<(), Refusal> {
    if lines.is_empty() {
        return Err(refuse_field(Reason::FieldRequired, "lines", "A subscription has at least one line."));
    }
    if lines.len() > MAX_LINES {
        let refusal = refuse_field(Reason::TooManyItems, "lines", "A subscription has at most 100 lines.");
        return Err(refusal.with("count", lines.len()).with("max", MAX_LINES));
    }
    let mut refusals = lines.iter().enumerate().flat_map(|(index, line)| violations(index, line, terms));
    if let Some(mut first) = refusals.next() {
        first.violations.extend(refusals.flat_map(|refusal| refusal.violations));
        return Err(first);
    }
    let total = lines.iter().map(|line| line.amount(Fraction::WHOLE, terms)).collect::<Option<Vec<_>>>();
    if total.and_then(Money::checked_sum).is_none() {
        let message = "The lines cost more than an amount can be.";
        return Err(refuse_field(Reason::AmountOutOfRange, "lines", message));
    }
    Ok(())
}

fn violations(index: usize, line: &Line, terms: &Terms) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |reason, field: &str, message| {
        refusals.push(refuse_field(reason, &format!("lines[{index}].{field}"), message));
    };
    if line.quantity <= Decimal::ZERO {
        refuse(Reason::QuantityNotPositive, "quantity", "A quantity is above zero.");
    }
    if line.quantity.normalize().scale() > QUANTITY_DIGITS {
        refuse(Reason::AmountTooPrecise, "quantity", "A quantity has at most 6 fraction digits.");
    }
    if line.unit_price < Decimal::ZERO {
        refuse(Reason::AmountNotPositive, "unit_price", "A unit price is not negative.");
    }
    if line.unit_price.normalize().scale() > UNIT_PRICE_DIGITS {
        refuse(Reason::AmountTooPrecise, "unit_price", "A unit price has at most 12 fraction digits.");
    }
    // The whole of the longest period: what is a smaller part of a shorter one can be computed, too.
    let whole = Fraction::new(MAX_DAYS, MAX_DAYS).and_then(|whole| line.amount(whole, terms));
    if refusals.is_empty() && whole.is_none() {
        let message = "Quantity × unit price is more than an amount can be.";
        refusals.push(refuse_field(Reason::AmountOutOfRange, &format!("lines[{index}].unit_price"), message));
    }
    refusals
}
