use super::*;

fn to_pay(facts: &Facts) -> Money {
    amount_to_pay(facts, default_until(facts))
}

#[test]
fn the_amount_to_pay_covers_what_would_suspend_before_the_day() {
    let facts = account(BillingMode::Postpaid, "2026-09-01")
        .with_invoice("a", "2026-08-20", "60")
        .with_invoice("b", "2026-09-10", "25.50")
        .with_invoice("c", "2026-09-25", "1000");
    // Until October 1: `c` would suspend on October 2.
    assert_eq!(to_pay(&facts), money("85.50"));
    assert_eq!(amount_to_pay(&facts, at("2026-09-10")), money("60"));
    assert_eq!(amount_to_pay(&facts, at("2026-10-03")), money("1085.50"));
    assert_eq!(to_pay(&account(BillingMode::Prepaid, "2026-09-01")), Money::ZERO);
}

#[test]
fn a_suspension_that_stands_is_lifted_by_all_of_the_debt() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-20").with_invoice("a", "2026-09-01", "60").with_invoice(
        "b",
        "2026-09-18",
        "40",
    );
    facts.access = facts.access.suspended(&[SuspensionReason::Debt].into(), at("2026-09-08"));
    facts.policy.min_debt_to_suspend = [(facts.currency, money("50"))].into();
    assert_eq!(to_pay(&facts), money("100"));
    for (amount, lifted) in [("99.99", false), ("100", true)] {
        let first = next_step(&facts.paid(money(amount)));
        let restores = first.is_some_and(|step| matches!(step.kind, StepKind::Restore { .. }));
        assert_eq!(restores, lifted, "{amount}");
    }
    facts.policy.auto_restore = false;
    assert_eq!(to_pay(&facts), money("100"));
    assert_eq!(next_step(&facts.paid(money("100"))), None);
    // What people decided is lifted by no money.
    facts.access = facts.access.suspended(&[SuspensionReason::Manual].into(), at("2026-09-08"));
    assert_eq!(to_pay(&facts), money("100"));
}

#[test]
fn below_zero_the_amount_is_what_available_lacks() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01").with_charge("s", "2026-09-10", "30", false);
    facts.amounts.posted = money("-12.345678");
    facts.negative_since = Some(facts.now);
    // A shortfall below the minor unit is none.
    assert_eq!(to_pay(&facts), money("42.34"));
    assert_eq!(amount_to_pay(&facts, at("2026-09-10")), money("12.34"));
    facts.amounts.credit_limit = money("20");
    assert_eq!(to_pay(&facts), money("22.34"));
    facts.currency = Currency::parse("JPY").unwrap();
    assert_eq!(to_pay(&facts), money("22"));
}

#[test]
fn a_payment_settles_by_the_order_and_shrinks_the_promise() {
    let facts = account(BillingMode::Prepaid, "2026-09-05")
        .with_invoice("new", "2026-09-20", "30")
        .with_invoice("old", "2026-09-01", "50")
        .with_promise("2026-09-10", "100");
    let facts = Facts { amounts: Amounts { posted: money("-90"), ..facts.amounts }, ..facts };
    let paid = facts.paid(money("65"));
    // 50 overdue, 10 direct debt, 5 of what is not due.
    assert_eq!(paid.amounts.posted, money("-25"));
    assert_eq!((paid.amounts.overdue, paid.amounts.not_due), (Money::ZERO, money("25")));
    assert_eq!((paid.amounts.direct_debt(), paid.amounts.promised), (Money::ZERO, money("35")));
    assert_eq!(paid.invoices.iter().map(|invoice| invoice.rest).collect::<Vec<_>>(), [money("25")]);
}

#[test]
fn the_largest_amounts_have_an_amount_to_pay() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01");
    facts.amounts.posted = Money::MIN;
    facts.negative_since = Some(facts.now);
    assert_eq!(to_pay(&facts), Money::MAX);
}
