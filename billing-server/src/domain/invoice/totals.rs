//! Totals: net, discount, tax per rate and gross of an invoice, to the minor unit.
//!
//! An amount is rounded once where it comes to be: a line's price, what its discounts in percent take off, and the tax
//! (on each line, or on the sum of each rate, by a setting). Everything else is sums, and splits by largest remainder;
//! so the lines sum to the totals, and the tax table to the tax.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::money::{Money, Rounding};
use super::super::reason::{Reason, Refusal};
use super::super::split::split_by_money;
use super::super::tax::{TaxError, tax_exclusive, tax_inclusive};
use super::discount::{Discount, discount_of};
use super::line::{Line, TaxRate};

#[cfg(test)]
mod tests;

/// Whether prices contain the tax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxMode {
    /// The tax comes on top of prices. The default.
    #[default]
    Exclusive = 1,
    /// Prices contain the tax.
    Inclusive = 2,
}

/// Where the tax is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Once on each line; the tax of a rate is the sum of its lines. The default.
    #[default]
    PerLine = 1,
    /// Once on the sum of each tax and rate; what lines show is split from it by largest remainder.
    PerInvoice = 2,
}

/// How an invoice is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pricing {
    /// Whether prices contain the tax.
    pub tax_mode: TaxMode,
    /// Where the tax is rounded.
    pub tax_rounding: TaxRounding,
    /// How: half-up, or by the setting half-even.
    pub rounding: Rounding,
}

/// What a line comes to, in whole minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTotals {
    /// Quantity × unit price; of posted charges, their amount. It contains the tax when prices do, and for charges.
    pub amount: Money,
    /// The line's own discounts and its part of the invoice's.
    pub discount: Money,
    /// Without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// What is to be paid: net + tax.
    pub gross: Money,
}

/// A row of the tax table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// The tax and its rate.
    pub rate: TaxRate,
    /// What is taxed by it, without the tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
}

/// What an invoice comes to, in whole minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// One a line, in their order.
    pub lines: Vec<LineTotals>,
    /// The sum of the lines before discounts.
    pub amount: Money,
    /// All discounts.
    pub discount: Money,
    /// Without tax.
    pub net: Money,
    /// All taxes.
    pub tax: Money,
    /// What is to be paid: net + tax.
    pub gross: Money,
    /// The tax table, by code and rate; what is not taxed stands in none of its rows.
    pub taxes: Vec<TaxTotal>,
    /// The signed amount of the adjustment (category `rounding`) that issuing posts: posted charges on the invoice,
    /// less what it asks for them. Smaller than a minor unit, and zero without such lines.
    #[serde(default)]
    pub rounding: Money,
}

/// The totals of lines and of the discounts of the whole invoice, which are split over the lines by their amounts.
/// Lines that bill posted charges take no part in discounts.
///
/// Laws: the lines sum to the totals; net + tax = gross, of each line too; the tax table sums to the tax; of a
/// line with a price, amount − discount is the gross when prices contain the tax, and the net when not; nothing is
/// negative but `rounding`.
///
/// # Errors
/// With the path of the field (`lines[2].quantity`): those of the lines and of [`discount_of`],
/// `TAX_RATE_OUT_OF_RANGE`, `AMOUNT_OUT_OF_RANGE`. The violations of all lines are listed at once.
pub fn totals(lines: &[Line], discounts: &[Discount], pricing: Pricing, minor_digits: u32) -> Result<Totals, Refusal> {
    let mut totals = prices(lines, pricing, minor_digits)?;
    totals.rounding = add_charges(&mut totals.lines, lines, pricing, minor_digits)?;
    take_discounts(&mut totals.lines, lines, discounts, pricing, minor_digits)?;
    for (rate, members) in by_rate(lines) {
        tax_group(&mut totals.lines, rate, &members, pricing, minor_digits)?;
    }
    finish(&mut totals.lines, lines, pricing.tax_mode)?;
    totals.taxes = tax_table(&totals.lines, lines)?;
    totals.amount = sum(&totals.lines, |line| line.amount)?;
    totals.discount = sum(&totals.lines, |line| line.discount)?;
    totals.net = sum(&totals.lines, |line| line.net)?;
    totals.tax = sum(&totals.lines, |line| line.tax)?;
    totals.gross = sum(&totals.lines, |line| line.gross)?;
    Ok(totals)
}

/// The prices of the lines less their own discounts, or all their violations.
fn prices(lines: &[Line], pricing: Pricing, minor_digits: u32) -> Result<Totals, Refusal> {
    let mut totals = Totals::default();
    let mut refused: Option<Refusal> = None;
    for (index, line) in lines.iter().enumerate() {
        match line.price(minor_digits, pricing.rounding, &format!("lines[{index}]")) {
            Ok((amount, discount)) => totals.lines.push(LineTotals { amount, discount, ..LineTotals::default() }),
            Err(refusal) => match &mut refused {
                Some(first) => first.violations.extend(refusal.violations),
                None => refused = Some(refusal),
            },
        }
    }
    refused.map_or(Ok(totals), Err)
}

/// Puts the amounts and taxes of posted charges on their lines: the sum of all is rounded once and split over the
/// lines. Answers the rounding difference.
fn add_charges(
    totals: &mut [LineTotals],
    lines: &[Line],
    pricing: Pricing,
    minor_digits: u32,
) -> Result<Money, Refusal> {
    let mut posted = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        posted.push(line.posted(&format!("lines[{index}]"))?);
    }
    let amounts: Vec<Money> = posted.iter().map(|(amount, _)| *amount).collect();
    let exact = Money::checked_sum(amounts.iter().copied()).ok_or_else(too_large)?;
    let asked = exact.round(minor_digits, pricing.rounding);
    let parts = spread(asked, &amounts, minor_digits)?;
    for ((line, part), (amount, tax)) in totals.iter_mut().zip(parts).zip(posted) {
        if amount.is_positive() {
            line.amount = part;
            // The part may be cut below the rounded tax when there is hardly anything but tax.
            line.tax = tax.round(minor_digits, pricing.rounding).min(part);
        }
    }
    exact.checked_sub(asked).ok_or_else(too_large)
}

/// Splits the discounts of the whole invoice over the lines that have a price.
fn take_discounts(
    totals: &mut [LineTotals],
    lines: &[Line],
    discounts: &[Discount],
    pricing: Pricing,
    minor_digits: u32,
) -> Result<(), Refusal> {
    let mut bases = Vec::new();
    for (line, total) in lines.iter().zip(totals.iter()) {
        bases.push(if line.charges().is_empty() { base(total)? } else { Money::ZERO });
    }
    let whole = Money::checked_sum(bases.iter().copied()).ok_or_else(too_large)?;
    let off = discount_of(whole, discounts, minor_digits, pricing.rounding, "discounts")?;
    for (line, part) in totals.iter_mut().zip(spread(off, &bases, minor_digits)?) {
        line.discount = line.discount.checked_add(part).ok_or_else(too_large)?;
    }
    Ok(())
}

/// The lines with a price by their tax, as indices.
fn by_rate(lines: &[Line]) -> BTreeMap<&TaxRate, Vec<usize>> {
    let mut groups: BTreeMap<&TaxRate, Vec<usize>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if let (Some(rate), []) = (&line.tax, line.charges()) {
            groups.entry(rate).or_default().push(index);
        }
    }
    groups
}

/// Computes the tax of the lines of one rate.
fn tax_group(
    totals: &mut [LineTotals],
    rate: &TaxRate,
    members: &[usize],
    pricing: Pricing,
    minor_digits: u32,
) -> Result<(), Refusal> {
    let tax_of = |amount: Money| {
        let tax = match pricing.tax_mode {
            TaxMode::Exclusive => tax_exclusive,
            TaxMode::Inclusive => tax_inclusive,
        };
        tax(amount, rate.rate_percent, minor_digits, pricing.rounding)
            .map_err(|error| refused_tax(error, members.first().copied().unwrap_or_default()))
    };
    let bases: Vec<Money> =
        members.iter().filter_map(|&index| totals.get(index)).map(base).collect::<Result<_, _>>()?;
    let taxes = match pricing.tax_rounding {
        TaxRounding::PerLine => bases.iter().map(|&base| tax_of(base)).collect::<Result<Vec<_>, _>>()?,
        TaxRounding::PerInvoice => {
            let whole = Money::checked_sum(bases.iter().copied()).ok_or_else(too_large)?;
            spread(tax_of(whole)?, &bases, minor_digits)?
        }
    };
    for (&index, tax) in members.iter().zip(taxes) {
        if let Some(line) = totals.get_mut(index) {
            line.tax = tax;
        }
    }
    Ok(())
}

/// Net and gross from what the tax was computed on.
fn finish(totals: &mut [LineTotals], lines: &[Line], tax_mode: TaxMode) -> Result<(), Refusal> {
    for (total, line) in totals.iter_mut().zip(lines) {
        let base = base(total)?;
        // Posted charges always contain their tax.
        if tax_mode == TaxMode::Inclusive || !line.charges().is_empty() {
            total.gross = base;
            total.net = base.checked_sub(total.tax).ok_or_else(too_large)?;
        } else {
            total.net = base;
            total.gross = base.checked_add(total.tax).ok_or_else(too_large)?;
        }
    }
    Ok(())
}

fn tax_table(totals: &[LineTotals], lines: &[Line]) -> Result<Vec<TaxTotal>, Refusal> {
    let mut table: BTreeMap<&TaxRate, (Money, Money)> = BTreeMap::new();
    for (total, line) in totals.iter().zip(lines) {
        if let Some(rate) = &line.tax {
            let (net, tax) = table.entry(rate).or_default();
            *net = net.checked_add(total.net).ok_or_else(too_large)?;
            *tax = tax.checked_add(total.tax).ok_or_else(too_large)?;
        }
    }
    Ok(table.into_iter().map(|(rate, (net, tax))| TaxTotal { rate: rate.clone(), net, tax }).collect())
}

/// What is left of a line's amount after discounts.
fn base(line: &LineTotals) -> Result<Money, Refusal> {
    line.amount.checked_sub(line.discount).ok_or_else(too_large)
}

/// Splits a total by amounts; nothing has its parts in nothing.
fn spread(total: Money, weights: &[Money], minor_digits: u32) -> Result<Vec<Money>, Refusal> {
    if total.is_zero() {
        return Ok(vec![Money::ZERO; weights.len()]);
    }
    split_by_money(total, weights, minor_digits).map_err(|_| too_large())
}

fn sum(lines: &[LineTotals], part: fn(&LineTotals) -> Money) -> Result<Money, Refusal> {
    Money::checked_sum(lines.iter().map(part)).ok_or_else(too_large)
}

fn too_large() -> Refusal {
    Refusal::field(Reason::AmountOutOfRange, "lines", "The invoice comes to more than an amount can be.")
        .with("field", "lines")
}

fn refused_tax(error: TaxError, index: usize) -> Refusal {
    match error {
        TaxError::RateOutOfRange => {
            let field = format!("lines[{index}].tax.rate_percent");
            Refusal::field(Reason::TaxRateOutOfRange, &field, error.to_string()).with("field", &field)
        }
        TaxError::AmountOutOfRange => too_large(),
    }
}
