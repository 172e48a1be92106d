use super::*;

#[test]
fn a_postpaid_period_is_blocked_seven_days_after_its_invoice() {
    let mut facts = account(BillingMode::Postpaid, "2026-08-20");
    facts.charges.push(UpcomingCharge {
        subscription_id: "s".to_owned(),
        starts: date("2026-08-01"),
        at: at("2026-09-01"),
        amount: money("50"),
        collection: Collection::Invoice { terms_days: 0 },
        is_waiting: false,
    });
    assert_eq!(
        facts.told(),
        [
            "2026-09-01T00:00:00Z invoice due 2026-09-01 period:s:2026-08-01",
            "2026-09-02T00:00:00Z overdue period:s:2026-08-01",
            "2026-09-06T10:00:00Z warning 2 of 2026-09-08T00:00:00Z period:s:2026-08-01",
            "2026-09-08T00:00:00Z suspend DEBT period:s:2026-08-01",
        ]
    );
    assert_eq!(suspend_at(&facts), Some(at("2026-09-08")));
}

#[test]
fn when_the_oldest_is_paid_the_next_one_is_warned_of_and_blocked_on_its_own_days() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-01")
        .with_invoice("a", "2026-09-01", "10")
        .with_invoice("b", "2026-09-01", "10")
        .with_invoice("c", "2026-09-03", "10");
    let early = run_daily(&mut facts, 3, true);
    assert!(early.iter().all(|step| step.kind == StepKind::Overdue), "{early:?}");
    facts.now = at("2026-09-03T15:00:00Z");
    let mut facts = facts.paid(money("20"));
    let done: Vec<_> = run_daily(&mut facts, 10, true).iter().map(tell).collect();
    assert_eq!(
        done,
        [
            "2026-09-04T00:00:00Z overdue invoice:c",
            "2026-09-08T15:00:00Z warning 2 of 2026-09-10T00:00:00Z invoice:c",
            "2026-09-10T00:00:00Z suspend DEBT invoice:c",
        ]
        .map(|line| line.replace("T15:00", "T12:00"))
    );
}

#[test]
fn the_conditions_of_a_suspension_are_inclusive() {
    for (total, suspends) in [("99.99", false), ("100", true), ("100.01", true)] {
        let mut facts = account(BillingMode::Postpaid, "2026-09-01").with_invoice("a", "2026-09-01", total);
        facts.policy.min_debt_to_suspend = [(facts.currency, money("100"))].into();
        facts.policy.suspend_after_overdue_days = Some(10);
        assert_eq!(suspend_at(&facts), suspends.then(|| at("2026-09-11")), "{total}");
    }
    // The least debt is reached only when a younger invoice is overdue, too.
    let mut facts = account(BillingMode::Postpaid, "2026-09-01").with_invoice("a", "2026-09-01", "60").with_invoice(
        "b",
        "2026-09-20",
        "40",
    );
    facts.policy.min_debt_to_suspend = [(facts.currency, money("100"))].into();
    assert_eq!(facts.told().last().unwrap(), "2026-09-21T00:00:00Z suspend DEBT invoice:a");
}

#[test]
fn age_zero_never_suspends_and_no_age_never() {
    let mut facts = account(BillingMode::Postpaid, "2026-08-20").with_invoice("a", "2026-09-01", "10");
    for (days, suspended) in [(Some(0), Some("2026-09-02")), (Some(1), Some("2026-09-02")), (None, None)] {
        facts.policy.suspend_after_overdue_days = days;
        assert_eq!(suspend_at(&facts), suspended.map(at), "{days:?}");
    }
    // Of a reopened invoice, the day after it reopened.
    for invoice in &mut facts.invoices {
        (invoice.reopened, invoice.times_reopened) = (Some(date("2026-09-10")), 1);
        invoice.since = at("2026-09-10");
    }
    facts.policy.suspend_after_overdue_days = Some(0);
    assert_eq!(suspend_at(&facts), Some(at("2026-09-11")));
}

#[test]
fn a_rest_below_a_minor_unit_suspends_nothing() {
    let facts = account(BillingMode::Prepaid, "2026-08-20").with_invoice("a", "2026-09-01", "0.009999");
    assert_eq!(suspend_at(&facts), None);
    let mut facts = account(BillingMode::Prepaid, "2026-08-20");
    facts.amounts.posted = money("-0.009999");
    assert_eq!(suspend_at(&facts), None);
}

#[test]
fn below_zero_there_is_grace_on_prepaid_accounts() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01T15:00:00Z");
    facts.amounts.posted = money("-5");
    facts.negative_since = Some(facts.now);
    // Grace, expected warning, expected suspension.
    for (grace, warned, suspended) in [
        (3, "2026-09-02T10:00:00Z", "2026-09-04T00:00:00Z"),
        // All of the warnings are missed: it comes at once, and access ends min_notice later.
        (1, "2026-09-01T15:00:00Z", "2026-09-02T15:00:00Z"),
        (0, "2026-09-01T15:00:00Z", "2026-09-02T15:00:00Z"),
    ] {
        facts.policy.grace_days = grace;
        let expected = [
            format!("{warned} warning 2 of {suspended} account"),
            format!("{suspended} suspend NEGATIVE_BALANCE account"),
        ];
        assert_eq!(facts.told(), expected, "{grace}");
    }
    facts.policy.suspend_on_negative_available = Some(false);
    assert_eq!(suspend_at(&facts), None);
    let postpaid = Facts { billing_mode: BillingMode::Postpaid, ..facts.clone() };
    assert_eq!(suspend_at(&postpaid), None);
    facts.policy.suspend_on_negative_available = None;
    facts.amounts.credit_limit = money("5");
    assert_eq!(suspend_at(&facts), None);
}

#[test]
fn a_charge_that_will_take_the_balance_below_zero_is_warned_of_before_it_comes() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01").with_charge("s", "2026-09-10", "30", false);
    facts.policy.grace_days = 0;
    facts.amounts.posted = money("20");
    assert_eq!(
        facts.told(),
        [
            "2026-09-08T10:00:00Z warning 2 of 2026-09-10T00:00:00Z account",
            "2026-09-10T00:00:00Z charge period:s:2026-09-10",
            "2026-09-10T00:00:00Z suspend NEGATIVE_BALANCE account",
        ]
    );
}

#[test]
fn what_time_gives_back_averts_or_ends_a_suspension() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01").with_hold("h", "2026-09-03T12:00:00Z", "10");
    facts.negative_since = Some(facts.now);
    assert_eq!(facts.told(), ["2026-09-03T12:00:00Z hold end hold:h"]);
    facts.holds.iter_mut().for_each(|hold| hold.expires_at = at("2026-09-06"));
    assert_eq!(
        facts.told(),
        [
            "2026-09-02T10:00:00Z warning 2 of 2026-09-04T00:00:00Z account",
            "2026-09-04T00:00:00Z suspend NEGATIVE_BALANCE account",
            "2026-09-06T00:00:00Z hold end hold:h",
            "2026-09-06T00:00:00Z restore NEGATIVE_BALANCE account",
        ]
    );
    facts.policy.auto_restore = false;
    assert_eq!(facts.told().last().unwrap(), "2026-09-06T00:00:00Z hold end hold:h");
}

#[test]
fn a_promise_that_covers_the_debt_puts_the_suspension_off_to_its_end() {
    let overdue = account(BillingMode::Postpaid, "2026-09-03").with_invoice("a", "2026-09-01", "100");
    for (amount, suspended) in [("100", "2026-09-16"), ("99.99", "2026-09-08")] {
        let facts = overdue.clone().with_promise("2026-09-15", amount);
        assert_eq!(suspend_at(&facts), Some(at(suspended)), "{amount}");
    }
    let facts = overdue.clone().with_promise("2026-09-15", "100");
    assert_eq!(
        facts.told(),
        [
            "2026-09-14T10:00:00Z promise ending promise:p1",
            "2026-09-14T10:00:00Z warning 2 of 2026-09-16T00:00:00Z invoice:a",
            "2026-09-16T00:00:00Z promise Broken promise:p1",
            "2026-09-16T00:00:00Z suspend DEBT+PROMISE_BROKEN invoice:a",
        ]
    );
    // A promise that ends before the day of the policy brings nothing nearer.
    let facts = overdue.with_promise("2026-09-04", "100");
    assert_eq!(facts.told().last().unwrap(), "2026-09-08T00:00:00Z suspend DEBT+PROMISE_BROKEN invoice:a");
}

#[test]
fn a_promise_broken_while_access_is_suspended_joins_the_reasons() {
    let facts = account(BillingMode::Postpaid, "2026-09-03").with_invoice("a", "2026-09-01", "100");
    let facts = facts.with_promise("2026-09-10", "20");
    let told = facts.told();
    let suspensions: Vec<_> = told.iter().filter(|line| line.contains("suspend")).collect();
    assert_eq!(
        suspensions,
        ["2026-09-08T00:00:00Z suspend DEBT invoice:a", "2026-09-11T00:00:00Z suspend PROMISE_BROKEN account"]
    );
}

#[test]
fn a_promise_lifts_a_suspension_for_debt_at_once() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-20T10:00:00Z").with_invoice("a", "2026-09-01", "100");
    facts.access = facts.access.suspended(&[SuspensionReason::Debt].into(), at("2026-09-08"));
    assert_eq!(facts.told(), [""; 0]);
    let promised = facts.with_promise("2026-09-25", "100");
    assert_eq!(promised.told().first().unwrap(), "2026-09-20T10:00:00Z restore DEBT account");
    assert_eq!(promised.told().last().unwrap(), "2026-09-26T00:00:00Z suspend DEBT+PROMISE_BROKEN invoice:a");
}

#[test]
fn a_claim_of_payment_waits_for_working_days() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-04T10:00:00Z").with_invoice("a", "2026-09-01", "100");
    facts.access = facts.access.claimed("x", money("100"), &facts.policy, facts.now).unwrap();
    // Friday; three working days end with Wednesday.
    assert_eq!(suspend_at(&facts), Some(at("2026-09-10")));
    facts.policy.holidays = [date("2026-09-08"), date("2026-09-12")].into();
    assert_eq!(suspend_at(&facts), Some(at("2026-09-11")));
    facts.policy.transit_working_days = 1;
    assert_eq!(suspend_at(&facts), Some(at("2026-09-08")));
}

#[test]
fn a_reprieve_concerns_the_causes_that_stood_and_warns_anew() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-01").with_invoice("a", "2026-09-01", "100");
    run_daily(&mut facts, 8, true);
    assert!(!facts.access.is_allowed());
    facts.access = facts.access.restore("x", Some(date("2026-09-20")), &facts.policy, facts.now, facts.zone).unwrap();
    assert_eq!(
        facts.told(),
        [
            "2026-09-18T10:00:00Z warning 2 of 2026-09-20T00:00:00Z invoice:a",
            "2026-09-20T00:00:00Z suspend DEBT invoice:a",
        ]
    );
    // An invoice that falls overdue later is a cause of its own.
    let facts = facts.with_invoice("b", "2026-09-10", "1");
    assert_eq!(facts.told().last().unwrap(), "2026-09-17T00:00:00Z suspend DEBT invoice:b");
}

#[test]
fn decisions_need_no_warning_and_end_on_their_day() {
    let facts = account(BillingMode::Prepaid, "2026-09-01");
    let suspend = super::super::super::access::Suspend {
        voluntary: true,
        effective_at: Some(at("2026-09-05T08:00:00Z")),
        until: Some(date("2026-10-01")),
    };
    let access = facts.access.suspend("x", suspend, facts.now, facts.zone).unwrap();
    let mut facts = Facts { access, ..facts };
    let expected = ["2026-09-05T08:00:00Z suspend VOLUNTARY account", "2026-10-01T00:00:00Z restore VOLUNTARY account"];
    assert_eq!(facts.told(), expected);
    assert_eq!(
        run_daily(&mut facts, 40, false).iter().map(tell).collect::<Vec<_>>(),
        ["2026-09-05T12:00:00Z suspend VOLUNTARY account", "2026-10-01T00:00:00Z restore VOLUNTARY account",]
    );
    assert_eq!(facts.access, Access::default());
}

#[test]
fn one_time_below_zero_suspends_again_when_its_promise_ends() {
    let facts = account(BillingMode::Prepaid, "2026-09-01T08:00:00Z").with_promise("2026-09-10", "20");
    let mut facts = facts.with_hold("h", "2026-09-06T00:00:00Z", "10");
    facts.amounts.posted = money("-20");
    facts.negative_since = Some(facts.now);
    assert_eq!(
        facts.told(),
        [
            "2026-09-02T10:00:00Z warning 2 of 2026-09-04T00:00:00Z account",
            "2026-09-04T00:00:00Z suspend NEGATIVE_BALANCE account",
            // The promise covers what is lacking without the hold.
            "2026-09-06T00:00:00Z hold end hold:h",
            "2026-09-06T00:00:00Z restore NEGATIVE_BALANCE account",
            "2026-09-09T10:00:00Z promise ending promise:p1",
            "2026-09-11T00:00:00Z promise Broken promise:p1",
            "2026-09-11T00:00:00Z suspend NEGATIVE_BALANCE+PROMISE_BROKEN account",
        ]
    );
}

#[test]
fn what_is_given_and_taken_at_one_instant_restores_nothing() {
    let mut facts = account(BillingMode::Prepaid, "2026-09-01")
        .with_hold("h", "2026-09-06T00:00:00Z", "10")
        .with_charge("s", "2026-09-06", "10", false);
    facts.negative_since = Some(at("2026-08-01"));
    facts.access = facts.access.suspended(&[SuspensionReason::NegativeBalance].into(), at("2026-08-04"));
    let expected = ["2026-09-06T00:00:00Z hold end hold:h", "2026-09-06T00:00:00Z charge period:s:2026-09-06"];
    assert_eq!(facts.told(), expected);
}
