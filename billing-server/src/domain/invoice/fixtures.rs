//! What the tests of invoices build on.

#![allow(clippy::unwrap_used)]

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::super::calendar::parse_date;
use super::super::currency::Currency;
use super::super::money::Money;
use super::{
    Basis, BilledCharge, Content, Discount, Due, Invoice, InvoiceType, Line, Pricing, TaxMode, TaxRate, TaxRounding,
};

pub(super) fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

/// A line of one piece, without tax.
pub(super) fn line(category: &str, price: &str) -> Line {
    priced(category, "1", price)
}

/// A line of so many pieces, without tax.
pub(super) fn priced(category: &str, quantity: &str, unit_price: &str) -> Line {
    let basis = Basis::Priced {
        quantity: decimal(quantity),
        unit_price: decimal(unit_price),
        discounts: Vec::<Discount>::new(),
    };
    Line {
        description: category.to_owned(),
        category: Some(category.to_owned()),
        counter_account: None,
        tax: None,
        period: None,
        basis,
    }
}

/// A line that bills charges: sequence, amount, contained tax.
pub(super) fn billed(category: &str, charges: &[(i64, &str, &str)]) -> Line {
    let charges = charges
        .iter()
        .map(|&(sequence, amount, tax)| BilledCharge { sequence, amount: money(amount), tax: money(tax) })
        .collect();
    Line { basis: Basis::Billed { charges }, ..line(category, "0") }
}

impl Line {
    /// The same line with a tax, `S` and its rate.
    pub(super) fn taxed(self, rate: &str) -> Self {
        Self { tax: Some(TaxRate { code: format!("vat_{rate}"), rate_percent: decimal(rate) }), ..self }
    }
}

pub(super) fn pricing(tax_mode: TaxMode, tax_rounding: TaxRounding) -> Pricing {
    Pricing { tax_mode, tax_rounding, ..Pricing::default() }
}

pub(super) fn content(lines: Vec<Line>) -> Content {
    Content { pricing: Pricing::default(), lines, discounts: Vec::new() }
}

/// A draft in roubles.
pub(super) fn draft(invoice_type: InvoiceType, lines: Vec<Line>) -> Invoice {
    Invoice::draft("inv-1".to_owned(), invoice_type, Currency::parse("RUB").unwrap(), content(lines)).unwrap()
}

/// An invoice of type CHARGE, issued on 2026-09-01 and due on 2026-09-15.
pub(super) fn issued(lines: Vec<Line>) -> Invoice {
    draft(InvoiceType::Charge, lines).issue("A-2026-000001", date("2026-09-01"), Due::AfterDays(14)).unwrap()
}
