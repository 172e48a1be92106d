//! Settling by tables, and its laws. How it works together with invoices: `invoice/simulation.rs`.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::amounts::Amounts;
use super::super::calendar::{date_from_days, parse_date};
use super::*;

fn units(amount: i64) -> Money {
    Money::from_micros(amount * 1_000_000)
}

/// An invoice in whole units, its number its id.
fn invoice(id: &str, due: &str, rest: i64, is_overdue: bool) -> OpenInvoice {
    OpenInvoice {
        invoice_id: id.to_owned(),
        number: id.to_owned(),
        due_date: parse_date(due).unwrap(),
        rest: units(rest),
        is_overdue,
    }
}

fn credit(sequence: i64, amount: i64, names: Option<&str>) -> Credit {
    Credit { sequence, amount: units(amount), invoice_id: names.map(str::to_owned) }
}

fn allocation(sequence: i64, id: &str, amount: i64) -> Allocation {
    Allocation { sequence, invoice_id: id.to_owned(), amount: units(amount), at_issue: false }
}

/// Allocations as pairs of invoice and whole units.
fn pairs(allocations: &[Allocation]) -> Vec<(&str, i64)> {
    allocations.iter().map(|one| (one.invoice_id.as_str(), one.amount.micros() / 1_000_000)).collect()
}

/// Two overdue, two not due, each of 10.
fn four() -> Vec<OpenInvoice> {
    vec![
        invoice("n2", "2026-10-20", 10, false),
        invoice("o2", "2026-09-10", 10, true),
        invoice("n1", "2026-10-10", 10, false),
        invoice("o1", "2026-09-01", 10, true),
    ]
}

#[test]
fn a_credit_settles_in_the_order_of_the_rules() {
    use BillingMode::{Postpaid, Prepaid};
    // Amount, named, then the allocations, the direct debt of 15 covered, and what is free.
    type Case<'a> = (BillingMode, i64, Option<&'a str>, &'a [(&'a str, i64)], i64, i64);
    let cases: &[Case<'_>] = &[
        (Prepaid, 0, None, &[], 0, 0),
        (Prepaid, 5, None, &[("o1", 5)], 0, 0),
        (Prepaid, 25, None, &[("o1", 10), ("o2", 10)], 5, 0),
        (Prepaid, 40, None, &[("o1", 10), ("o2", 10), ("n1", 5)], 15, 0),
        (Prepaid, 100, None, &[("o1", 10), ("o2", 10), ("n1", 10), ("n2", 10)], 15, 45),
        (Postpaid, 25, None, &[("o1", 10), ("o2", 10), ("n1", 5)], 0, 0),
        (Postpaid, 44, None, &[("o1", 10), ("o2", 10), ("n1", 10), ("n2", 10)], 4, 0),
        (Postpaid, 100, None, &[("o1", 10), ("o2", 10), ("n1", 10), ("n2", 10)], 15, 45),
        // The invoice named comes first, at most its rest; then it goes on by the order.
        (Prepaid, 4, Some("n2"), &[("n2", 4)], 0, 0),
        (Prepaid, 15, Some("n2"), &[("n2", 10), ("o1", 5)], 0, 0),
        (Postpaid, 25, Some("o2"), &[("o2", 10), ("o1", 10), ("n1", 5)], 0, 0),
    ];
    for (mode, amount, named, allocations, direct_debt, free) in cases {
        let settlement = settle(*mode, &credit(7, *amount, *named), &four(), units(15));
        assert_eq!(pairs(&settlement.allocations), *allocations, "{mode:?} {amount} {named:?}");
        assert_eq!(settlement.direct_debt, units(*direct_debt), "{mode:?} {amount} {named:?}");
        assert_eq!(settlement.free, units(*free), "{mode:?} {amount} {named:?}");
        assert!(!settlement.named_is_not_open);
        assert!(settlement.allocations.iter().all(|one| one.sequence == 7 && !one.at_issue));
    }
}

#[test]
fn a_payment_naming_what_is_not_open_settles_all_the_same_and_says_so() {
    let settlement = settle(BillingMode::Prepaid, &credit(7, 12, Some("paid")), &four(), Money::ZERO);
    assert_eq!(pairs(&settlement.allocations), [("o1", 10), ("o2", 2)]);
    assert!(settlement.named_is_not_open);
    let settlement = settle(BillingMode::Prepaid, &credit(7, 12, Some("paid")), &[], Money::ZERO);
    assert_eq!((settlement.free, settlement.named_is_not_open), (units(12), true));
}

#[test]
fn of_one_due_date_the_lower_number_comes_first() {
    let numbered =
        |id: &str, number: &str| OpenInvoice { number: number.to_owned(), ..invoice(id, "2026-09-01", 10, true) };
    let open = [numbered("a", "A-10"), numbered("b", "A-9"), numbered("d", "B-1"), numbered("c", "B-1")];
    let settlement = settle(BillingMode::Prepaid, &credit(1, 100, None), &open, Money::ZERO);
    assert_eq!(pairs(&settlement.allocations), [("b", 10), ("c", 10), ("d", 10), ("a", 10)]);
}

#[test]
fn free_money_settles_a_new_invoice_from_the_oldest_credit() {
    let new = [invoice("new", "2026-10-20", 70, false)];
    let credits = [credit(9, 50, None), credit(2, 100, None), credit(4, 30, None)];
    for (free, expected) in [
        // Direct charges have used 90 of the 180 up.
        (90, vec![(2, 70)]),
        (60, vec![(2, 60)]),
        (0, vec![]),
    ] {
        let allocations = settle_free(units(free), &credits, &new, true);
        let shown: Vec<_> = allocations.iter().map(|one| (one.sequence, one.amount.micros() / 1_000_000)).collect();
        assert_eq!(shown, expected, "{free}");
        assert!(allocations.iter().all(|one| one.at_issue));
    }
    // Several invoices and several credits, each in its order.
    let allocations = settle_free(units(40), &[credit(1, 12, None), credit(2, 100, None)], &four(), false);
    let shown: Vec<_> = allocations
        .iter()
        .map(|one| (one.sequence, one.invoice_id.as_str(), one.amount.micros() / 1_000_000))
        .collect();
    assert_eq!(shown, [(1, "o1", 10), (1, "o2", 2), (2, "o2", 8), (2, "n1", 10), (2, "n2", 10)]);
}

#[test]
fn a_reversal_takes_what_is_not_allocated_first_then_the_latest_allocations() {
    let own = [allocation(7, "a", 10), allocation(7, "b", 20), allocation(7, "a", 5)];
    for (amount, unallocated, taken) in [
        (3, 3, vec![]),
        (8, 8, vec![]),
        (10, 8, vec![("a", 2)]),
        (20, 8, vec![("a", 5), ("b", 7)]),
        (43, 8, vec![("a", 5), ("b", 20), ("a", 10)]),
        (99, 8, vec![("a", 5), ("b", 20), ("a", 10)]),
    ] {
        let released = release(units(amount), units(8), &own);
        assert_eq!(released.unallocated, units(unallocated), "{amount}");
        assert_eq!(pairs(&released.allocations), taken, "{amount}");
    }
    assert_eq!(release(units(5), Money::ZERO, &[]).allocations, []);
    assert_eq!(pairs(&take_back(units(5), &[allocation(1, "a", 3), allocation(2, "a", 3)])), [("a", 3), ("a", 2)]);
}

fn any_open() -> impl Strategy<Value = Vec<OpenInvoice>> {
    prop::collection::vec((0_i32..5, 0_i64..50_000_000, any::<bool>()), 0..8).prop_map(|invoices| {
        let open = invoices.into_iter().enumerate().map(|(index, (day, micros, is_overdue))| OpenInvoice {
            invoice_id: format!("inv-{index}"),
            number: format!("A-{index}"),
            due_date: date_from_days(20_000 + day).unwrap(),
            rest: Money::from_micros(micros),
            is_overdue,
        });
        open.collect()
    })
}

fn any_mode() -> impl Strategy<Value = BillingMode> {
    prop::sample::select(vec![BillingMode::Prepaid, BillingMode::Postpaid])
}

fn rests(open: &[OpenInvoice]) -> Money {
    Money::checked_sum(open.iter().map(|invoice| invoice.rest)).unwrap()
}

proptest! {
    /// Allocations + direct debt + free = amount; no invoice beyond its rest; what is free is what the amounts say; and
    /// the order in which open invoices are given does not matter.
    #[test]
    fn settling_keeps_its_laws(
        mode in any_mode(),
        open in any_open(),
        shuffled in any::<prop::sample::Index>(),
        amount in 0_i64..200_000_000,
        debt in 0_i64..50_000_000,
        named in prop::option::of(0_usize..10),
    ) {
        let credit = Credit {
            sequence: 1,
            amount: Money::from_micros(amount),
            invoice_id: named.map(|index| format!("inv-{index}")),
        };
        let direct_debt = Money::from_micros(debt);
        let settlement = settle(mode, &credit, &open, direct_debt);
        let allocated = Money::checked_sum(settlement.allocations.iter().map(|one| one.amount)).unwrap();
        let parts = [allocated, settlement.direct_debt, settlement.free];
        prop_assert_eq!(Money::checked_sum(parts), Some(credit.amount));

        let mut paid: BTreeMap<&str, Money> = BTreeMap::new();
        for one in &settlement.allocations {
            prop_assert!(one.amount.is_positive());
            prop_assert!(paid.insert(&one.invoice_id, one.amount).is_none(), "once an invoice");
        }
        for invoice in &open {
            prop_assert!(paid.get(invoice.invoice_id.as_str()).is_none_or(|amount| *amount <= invoice.rest));
        }
        prop_assert_eq!(settlement.named_is_not_open, named.is_some_and(|index| index >= open.len()));

        let outstanding = rests(&open);
        let posted = outstanding.negated().checked_sub(direct_debt).unwrap();
        let after = Amounts {
            posted: posted.checked_add(credit.amount).unwrap(),
            not_due: outstanding.checked_sub(allocated).unwrap(),
            ..Amounts::default()
        };
        prop_assert_eq!(after.free(), settlement.free);
        prop_assert_eq!(after.direct_debt(), direct_debt.checked_sub(settlement.direct_debt).unwrap());

        let mut turned = open.clone();
        if !turned.is_empty() {
            let by = shuffled.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(settle(mode, &credit, &turned, direct_debt), settlement);
    }

    /// Free money pays as much as there is and is owed, no credit and no invoice beyond what it has, in any order
    /// given.
    #[test]
    fn free_money_settles_as_much_as_it_can(
        open in any_open(),
        amounts in prop::collection::vec(0_i64..50_000_000, 0..6),
        free in 0_i64..200_000_000,
    ) {
        let credits: Vec<Credit> = (1..)
            .zip(amounts)
            .map(|(sequence, micros)| Credit { sequence, amount: Money::from_micros(micros), invoice_id: None })
            .collect();
        let free = Money::from_micros(free);
        let allocations = settle_free(free, &credits, &open, false);
        let there = Money::checked_sum(credits.iter().map(|credit| credit.amount)).unwrap();
        let sum = |keep: &dyn Fn(&Allocation) -> bool| {
            Money::checked_sum(allocations.iter().filter(|one| keep(one)).map(|one| one.amount)).unwrap()
        };
        prop_assert_eq!(sum(&|_| true), free.min(there).min(rests(&open)));
        for credit in &credits {
            prop_assert!(sum(&|one| one.sequence == credit.sequence) <= credit.amount);
        }
        for invoice in &open {
            prop_assert!(sum(&|one| one.invoice_id == invoice.invoice_id) <= invoice.rest);
        }
        let turned: (Vec<_>, Vec<_>) =
            (credits.iter().rev().cloned().collect(), open.iter().rev().cloned().collect());
        prop_assert_eq!(settle_free(free, &turned.0, &turned.1, false), allocations);
    }
}
