//! Totals by tables, and their laws.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::super::Basis;
use super::super::fixtures::{billed, decimal, line, money, priced, pricing};
use super::*;

const EXCLUSIVE: Pricing =
    Pricing { tax_mode: TaxMode::Exclusive, tax_rounding: TaxRounding::PerLine, rounding: Rounding::HalfUp };

fn of(lines: &[Line], pricing: Pricing) -> Totals {
    totals(lines, &[], pricing, 2).unwrap()
}

fn shares(totals: &Totals, part: fn(&LineTotals) -> Money) -> Vec<String> {
    totals.lines.iter().map(|line| part(line).format(2)).collect()
}

#[test]
fn net_tax_and_gross_by_the_table() {
    use TaxMode::{Exclusive, Inclusive};
    for (mode, prices, rate, net, tax, gross) in [
        (Exclusive, vec!["100.00", "50.00"], "15", "150.00", "22.50", "172.50"),
        (Inclusive, vec!["1200.00"], "20", "1000.00", "200.00", "1200.00"),
        (Inclusive, vec!["100.00"], "20", "83.33", "16.67", "100.00"),
        (Inclusive, vec!["100.00"], "22", "81.97", "18.03", "100.00"),
        (Inclusive, vec!["110.00"], "10", "100.00", "10.00", "110.00"),
        (Exclusive, vec!["100.00"], "0", "100.00", "0.00", "100.00"),
        (Exclusive, vec!["0"], "20", "0.00", "0.00", "0.00"),
    ] {
        let lines: Vec<Line> = prices.iter().map(|price| line("a", price).taxed(rate)).collect();
        let totals = of(&lines, pricing(mode, TaxRounding::PerLine));
        let shown = [totals.net, totals.tax, totals.gross].map(|amount| amount.format(2));
        assert_eq!(shown, [net, tax, gross], "{prices:?} {mode:?} {rate}");
        assert_eq!(totals.taxes, [TaxTotal { rate: lines[0].tax.clone().unwrap(), net: totals.net, tax: totals.tax }]);
    }
}

#[test]
fn the_setting_says_where_the_tax_is_rounded() {
    let lines = vec![line("a", "0.33").taxed("20"); 3];
    let tax = |mode, rounding| {
        let totals = of(&lines, pricing(mode, rounding));
        (totals.tax.format(2), shares(&totals, |line| line.tax).join(" "))
    };
    for (mode, rounding, total, shown) in [
        (TaxMode::Exclusive, TaxRounding::PerLine, "0.21", "0.07 0.07 0.07"),
        (TaxMode::Exclusive, TaxRounding::PerInvoice, "0.20", "0.07 0.07 0.06"),
        // 0.33 × 20 ÷ 120 = 0.055; 0.99 × 20 ÷ 120 = 0.165.
        (TaxMode::Inclusive, TaxRounding::PerLine, "0.18", "0.06 0.06 0.06"),
        (TaxMode::Inclusive, TaxRounding::PerInvoice, "0.17", "0.06 0.06 0.05"),
    ] {
        assert_eq!(tax(mode, rounding), (total.to_owned(), shown.to_owned()), "{mode:?} {rounding:?}");
    }
}

#[test]
fn the_setting_says_where_a_half_goes() {
    let even = Pricing { rounding: Rounding::HalfEven, ..EXCLUSIVE };
    let lines = [line("a", "0.25").taxed("10")];
    assert_eq!(of(&lines, EXCLUSIVE).tax, money("0.03"));
    assert_eq!(of(&lines, even).tax, money("0.02"));
    assert_eq!(of(&[priced("a", "0.5", "0.05")], EXCLUSIVE).gross, money("0.03"));
    assert_eq!(of(&[priced("a", "0.5", "0.05")], even).gross, money("0.02"));
}

#[test]
fn the_tax_table_has_a_row_for_each_tax_and_rate() {
    let lines = [
        line("a", "100").taxed("22"),
        line("b", "100").taxed("10"),
        line("c", "50").taxed("22"),
        line("d", "7"),
        line("e", "1").taxed("0"),
    ];
    let totals = of(&lines, EXCLUSIVE);
    let table: Vec<_> = totals.taxes.iter().map(|row| (row.rate.code.as_str(), row.net, row.tax)).collect();
    assert_eq!(
        table,
        [
            ("vat_0", money("1"), money("0")),
            ("vat_10", money("100"), money("10")),
            ("vat_22", money("150"), money("33")),
        ]
    );
    assert_eq!((totals.net, totals.tax, totals.gross), (money("258"), money("43"), money("301")));
}

#[test]
fn discounts_of_the_invoice_split_over_its_lines() {
    let fixed = |text: &str| Discount::Fixed(money(text));
    let percent = |text: &str| Discount::Percent(decimal(text));
    for (prices, discounts, left) in [
        (vec!["60.00", "40.00"], vec![fixed("10.00")], vec!["54.00", "36.00"]),
        (vec!["3.33", "3.33", "3.34"], vec![fixed("1.00")], vec!["3.00", "3.00", "3.00"]),
        (vec!["50", "50"], vec![percent("25"), percent("10")], vec!["33.75", "33.75"]),
        (vec!["50", "50"], vec![fixed("10"), percent("50")], vec!["20.00", "20.00"]),
        (vec!["0.01", "0.01"], vec![fixed("0.01")], vec!["0.00", "0.01"]),
        (vec!["0", "5"], vec![fixed("5")], vec!["0.00", "0.00"]),
        (vec!["0", "0"], vec![percent("50")], vec!["0.00", "0.00"]),
    ] {
        let lines: Vec<Line> = prices.iter().map(|price| line("a", price)).collect();
        let totals = totals(&lines, &discounts, EXCLUSIVE, 2).unwrap();
        assert_eq!(shares(&totals, |line| line.gross), left, "{prices:?} {discounts:?}");
    }
}

#[test]
fn discounts_of_a_line_come_before_those_of_the_invoice_and_tax_after_both() {
    let mut first = line("a", "100.00").taxed("20");
    if let Basis::Priced { discounts, .. } = &mut first.basis {
        discounts.extend([Discount::Fixed(money("5")), Discount::Percent(decimal("10"))]);
    }
    let lines = [first, line("b", "15.00").taxed("20"), billed("calls", &[(4, "12.00", "2.00")]).taxed("20")];
    let totals = totals(&lines, &[Discount::Percent(decimal("50"))], EXCLUSIVE, 2).unwrap();
    assert_eq!(shares(&totals, |line| line.discount), ["57.50", "7.50", "0.00"]);
    assert_eq!(shares(&totals, |line| line.net), ["42.50", "7.50", "10.00"]);
    assert_eq!(shares(&totals, |line| line.tax), ["8.50", "1.50", "2.00"]);
    assert_eq!((totals.amount, totals.discount, totals.gross), (money("127"), money("65"), money("72")));

    let refusal = super::totals(&lines, &[Discount::Fixed(money("100.01"))], EXCLUSIVE, 2).unwrap_err();
    assert_eq!(refusal.reason, Reason::DiscountOutOfRange);
    assert_eq!(refusal.metadata.get("max").map(String::as_str), Some("100"));
}

#[test]
fn posted_charges_stay_as_posted_but_for_one_rounding() {
    for (charges, amounts, rounding) in [
        (vec!["1.004", "2.004"], ["1.00", "2.01"], "-0.002"),
        (vec!["1.001", "2.002"], ["1.00", "2.00"], "0.003"),
        (vec!["1.00", "2.00"], ["1.00", "2.00"], "0"),
        (vec!["0.000001", "0.000001"], ["0.00", "0.00"], "0.000002"),
        (vec!["0.0025", "0.0025"], ["0.01", "0.00"], "-0.005"),
    ] {
        let lines = [line("a", "10"), billed("b", &[(1, charges[0], "0")]), billed("c", &[(2, charges[1], "0")])];
        let totals = of(&lines, EXCLUSIVE);
        assert_eq!(shares(&totals, |line| line.gross), ["10.00", amounts[0], amounts[1]], "{charges:?}");
        assert_eq!(totals.rounding, money(rounding), "{charges:?}");
        // Posted charges and their adjustment are together what the invoice asks for them.
        let posted = Money::checked_sum(charges.iter().map(|charge| money(charge))).unwrap();
        assert_eq!(posted.checked_sub(totals.rounding), totals.gross.checked_sub(money("10")), "{charges:?}");
    }
}

#[test]
fn an_invoice_without_lines_comes_to_nothing() {
    assert_eq!(of(&[], EXCLUSIVE), Totals::default());
    let off = totals(&[], &[Discount::Fixed(money("1"))], EXCLUSIVE, 2).unwrap_err();
    assert_eq!(off.reason, Reason::DiscountOutOfRange);
}

#[test]
fn every_line_at_fault_is_listed_and_amounts_end_at_their_range() {
    let refused = |lines: &[Line]| totals(lines, &[], EXCLUSIVE, 2).unwrap_err();
    let refusal = refused(&[priced("a", "0", "1"), line("b", "1"), priced("c", "1", "-1")]);
    assert_eq!(refusal.reason, Reason::QuantityNotPositive);
    let fields: Vec<_> = refusal.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["lines[0].quantity", "lines[2].unit_price"]);

    let refusal = refused(&[line("a", "1"), line("b", "1").taxed("100.1")]);
    assert_eq!(refusal.reason, Reason::TaxRateOutOfRange);
    assert_eq!(refusal.metadata.get("field").map(String::as_str), Some("lines[1].tax.rate_percent"));

    let whole = "9000000000000";
    assert_eq!(of(&[line("a", whole)], EXCLUSIVE).gross, Money::MAX);
    for lines in [
        vec![line("a", whole), line("b", "0.01")],
        vec![line("a", whole).taxed("1")],
        vec![billed("a", &[(1, whole, "0")]), billed("b", &[(2, "1", "0")])],
        vec![billed("a", &[(1, whole, "0")]), line("b", "0.01")],
    ] {
        assert_eq!(refused(&lines).reason, Reason::AmountOutOfRange, "{lines:?}");
    }
    // Currencies without a minor unit.
    let yen = totals(&[line("a", "5").taxed("10"), line("b", "4").taxed("10")], &[], EXCLUSIVE, 0).unwrap();
    assert_eq!((yen.tax, yen.gross), (money("1"), money("10")));
}

fn any_line() -> impl Strategy<Value = Line> {
    let rate = prop::sample::select(vec![None, Some("0"), Some("7.7"), Some("20"), Some("100")]);
    let priced = (1_i64..100_000, 0_i64..10_000_000, prop::collection::vec(0_i64..=100, 0..3));
    let charges = prop::collection::vec(1_i64..10_000_000, 1..4);
    (rate, prop_oneof![priced.prop_map(Ok), charges.prop_map(Err)]).prop_map(|(rate, basis)| {
        let basis = match basis {
            Ok((quantity, price, percents)) => Basis::Priced {
                quantity: Decimal::new(quantity, 3),
                unit_price: Decimal::new(price, 5),
                discounts: percents.into_iter().map(|percent| Discount::Percent(percent.into())).collect(),
            },
            Err(charges) => Basis::Billed {
                charges: (1..)
                    .zip(charges)
                    .map(|(sequence, micros)| super::super::BilledCharge {
                        sequence,
                        amount: Money::from_micros(micros),
                        tax: Money::from_micros(if rate.is_some() { micros / 6 } else { 0 }),
                    })
                    .collect(),
            },
        };
        let line = Line { basis, ..line("a", "0") };
        rate.map_or(line.clone(), |rate| line.taxed(rate))
    })
}

proptest! {
    #[test]
    fn the_laws_of_totals_hold(
        lines in prop::collection::vec(any_line(), 1..8),
        percent in 0_i64..=100,
        inclusive in any::<bool>(),
        per_invoice in any::<bool>(),
        digits in 0_u32..=3,
    ) {
        let pricing = Pricing {
            tax_mode: if inclusive { TaxMode::Inclusive } else { TaxMode::Exclusive },
            tax_rounding: if per_invoice { TaxRounding::PerInvoice } else { TaxRounding::PerLine },
            rounding: Rounding::HalfUp,
        };
        let totals = totals(&lines, &[Discount::Percent(percent.into())], pricing, digits).unwrap();
        let sum = |part: fn(&LineTotals) -> Money| Money::checked_sum(totals.lines.iter().map(part)).unwrap();
        prop_assert_eq!(sum(|line| line.amount), totals.amount);
        prop_assert_eq!(sum(|line| line.discount), totals.discount);
        prop_assert_eq!(sum(|line| line.gross), totals.gross);
        prop_assert_eq!(totals.net.checked_add(totals.tax), Some(totals.gross));
        prop_assert_eq!(Money::checked_sum(totals.taxes.iter().map(|row| row.tax)), Some(totals.tax));
        prop_assert!(totals.rounding.abs() < Money::minor_unit(digits));
        for (line, total) in lines.iter().zip(&totals.lines) {
            let base = total.amount.checked_sub(total.discount).unwrap();
            let contains = inclusive || !line.charges().is_empty();
            prop_assert_eq!(base, if contains { total.gross } else { total.net });
            prop_assert_eq!(total.net.checked_add(total.tax), Some(total.gross));
            for amount in [total.amount, total.discount, total.net, total.tax, total.gross] {
                prop_assert!(!amount.is_negative());
                prop_assert_eq!(amount.round(digits, Rounding::Down), amount);
            }
        }
        let parts = super::super::parts::parts(&lines, &totals).unwrap();
        prop_assert_eq!(Money::checked_sum(parts.iter().map(|part| part.gross)), Some(totals.gross));
        prop_assert_eq!(Money::checked_sum(parts.iter().map(|part| part.tax)), Some(totals.tax));
    }
}
