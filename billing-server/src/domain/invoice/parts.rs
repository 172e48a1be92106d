//! Parts: the gross of an invoice by category, counter account and tax, as issuing posts it and credit notes give it
//! back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::money::Money;
use super::super::reason::{Reason, Refusal};
use super::super::record::Tax;
use super::line::{Line, TaxRate};
use super::totals::Totals;

/// A part of an invoice's gross.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The category of its lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who takes the other side.
    pub counter_account: String,
    /// The tax and its rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<TaxRate>,
    /// Whether it bills charges that were posted before: such a part posts nothing when the invoice is issued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_posted: bool,
    /// Tax included, positive, in whole minor units.
    pub gross: Money,
    /// The tax contained in `gross`.
    pub tax: Money,
}

impl Part {
    /// The tax as an entry says it.
    pub fn contained_tax(&self) -> Option<Tax> {
        self.rate.as_ref().map(|rate| Tax {
            code: rate.code.clone(),
            rate_percent: rate.rate_percent.normalize().to_string(),
            amount: self.tax,
        })
    }
}

/// The parts of an invoice, ordered by category, counter account and tax. Those that are not posted yet are the INVOICE
/// entries of issuing, one each. Lines that come to nothing are in no part. Where one tax code has two rates (around
/// the day on which a law changes it) each rate has its part.
///
/// Law: the parts sum to the gross, and their taxes to the tax.
///
/// # Errors
/// `AMOUNT_OUT_OF_RANGE`; never for totals of these lines.
pub fn parts(lines: &[Line], totals: &Totals) -> Result<Vec<Part>, Refusal> {
    let mut sums: BTreeMap<_, (Money, Money)> = BTreeMap::new();
    for (line, total) in lines.iter().zip(&totals.lines) {
        let key = (line.category.clone(), line.counter(), line.tax.clone(), !line.charges().is_empty());
        let (gross, tax) = sums.entry(key).or_default();
        let too_large = || Refusal::new(Reason::AmountOutOfRange, "The invoice comes to more than an amount can be.");
        *gross = gross.checked_add(total.gross).ok_or_else(too_large)?;
        *tax = tax.checked_add(total.tax).ok_or_else(too_large)?;
    }
    let part = |((category, counter_account, rate, is_posted), (gross, tax))| Part {
        category,
        counter_account,
        rate,
        is_posted,
        gross,
        tax,
    };
    Ok(sums.into_iter().map(part).filter(|part: &Part| part.gross.is_positive()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixtures::{billed, line, money};
    use super::super::{Pricing, totals::totals};
    use super::*;

    #[test]
    fn parts_are_by_category_counter_account_and_tax_and_sum_to_the_gross() {
        let lines = [
            line("tv", "10.00").taxed("20"),
            line("internet", "100.01").taxed("20"),
            line("internet", "50.01").taxed("20"),
            line("internet", "7.77").taxed("22"),
            line("internet", "3.00"),
            Line { counter_account: Some("revenue:partner".to_owned()), ..line("tv", "5.00").taxed("20") },
            Line { category: None, ..line("", "1.00") },
            line("gift", "0"),
            billed("internet", &[(7, "12.00", "2.00")]).taxed("20"),
        ];
        let totals = totals(&lines, &[], Pricing::default(), 2).unwrap();
        let parts = parts(&lines, &totals).unwrap();
        let shown: Vec<_> = parts
            .iter()
            .map(|part| (part.counter_account.as_str(), part.contained_tax(), part.gross.to_string(), part.is_posted))
            .collect();
        let tax = |code: &str, rate_percent: &str, amount: &str| {
            Some(Tax { code: code.to_owned(), rate_percent: rate_percent.to_owned(), amount: money(amount) })
        };
        assert_eq!(
            shown,
            [
                ("revenue:other", None, "1".to_owned(), false),
                ("revenue:internet", None, "3".to_owned(), false),
                ("revenue:internet", tax("vat_20", "20", "30.00"), "180.02".to_owned(), false),
                ("revenue:internet", tax("vat_20", "20", "2.00"), "12".to_owned(), true),
                ("revenue:internet", tax("vat_22", "22", "1.71"), "9.48".to_owned(), false),
                ("revenue:partner", tax("vat_20", "20", "1.00"), "6".to_owned(), false),
                ("revenue:tv", tax("vat_20", "20", "2.00"), "12".to_owned(), false),
            ]
        );
        assert_eq!(Money::checked_sum(parts.iter().map(|part| part.gross)), Some(totals.gross));
        assert_eq!(Money::checked_sum(parts.iter().map(|part| part.tax)), Some(totals.tax));
    }
}
