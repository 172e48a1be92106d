use std::time::Duration;

use super::*;

/// Overdue since September 2, warned on the 6th at noon, to be suspended on the 8th; nothing has been delivered.
fn warned() -> Facts {
    let mut facts = account(BillingMode::Postpaid, "2026-09-01").with_invoice("a", "2026-09-01", "100");
    run_daily(&mut facts, 6, false);
    facts
}

fn prove(facts: &mut Facts, accepted_at: &str, named: &str) {
    let stage = facts.raised.keys().find(|stage| stage.notice == Notice::SuspensionAhead).unwrap().clone();
    facts.proofs.push(Proof { stage, accepted_at: at(accepted_at), named: at(named) });
}

#[test]
fn without_proof_the_suspension_moves_and_operators_learn_it_on_the_first_day() {
    let mut facts = warned();
    let done: Vec<_> = run_daily(&mut facts, 12, false).iter().map(tell).collect();
    assert_eq!(
        done,
        ["2026-09-08T00:00:00Z undeliverable invoice:a", "2026-09-15T00:00:00Z suspend DEBT without proof invoice:a"]
    );
}

#[test]
fn a_wait_of_zero_is_for_ever() {
    let mut facts = warned();
    facts.policy.max_notice_wait = Duration::ZERO;
    let done = run_daily(&mut facts, 300, false);
    assert_eq!(done.iter().map(tell).collect::<Vec<_>>(), ["2026-09-08T00:00:00Z undeliverable invoice:a"]);
    // At each look it is a day ahead.
    let tomorrow = facts.now.checked_add(facts.policy.min_notice);
    assert_eq!(suspend_at(&facts), tomorrow);
}

#[test]
fn a_late_proof_moves_the_suspension_by_min_notice_and_not_more() {
    for (accepted, named, suspended) in [
        ("2026-09-06T10:00:00Z", "2026-09-08", "2026-09-08T00:00:00Z"),
        ("2026-09-07T00:00:00Z", "2026-09-08", "2026-09-08T00:00:00Z"),
        ("2026-09-07T00:00:01Z", "2026-09-08", "2026-09-08T00:00:01Z"),
        ("2026-09-09T18:00:00Z", "2026-09-08", "2026-09-10T18:00:00Z"),
        // Never before what the warning named.
        ("2026-09-06T10:00:00Z", "2026-09-09", "2026-09-09T00:00:00Z"),
    ] {
        let mut facts = warned();
        prove(&mut facts, accepted, named);
        facts.now = facts.now.max(at(accepted));
        assert_eq!(suspend_at(&facts), Some(at(suspended)), "{accepted} {named}");
    }
}

#[test]
fn a_policy_made_stricter_does_not_come_before_what_was_named() {
    let mut facts = warned();
    prove(&mut facts, "2026-09-06T12:00:00Z", "2026-09-08");
    facts.policy.suspend_after_overdue_days = Some(3);
    assert_eq!(suspend_at(&facts), Some(at("2026-09-08")));
}

#[test]
fn after_an_outage_the_warning_comes_first() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-01").with_invoice("a", "2026-09-01", "100");
    // Down for a month: longer than the suspension would have waited for a proof.
    let back = at("2026-10-01T15:00:00Z");
    let done: Vec<_> = run_at(&mut facts, back, false).iter().map(tell).collect();
    assert_eq!(
        done,
        ["2026-09-02T00:00:00Z overdue invoice:a", "2026-10-01T15:00:00Z warning 2 of 2026-10-02T15:00:00Z invoice:a"]
    );
    assert_eq!(
        run_daily(&mut facts, 12, false).iter().map(tell).collect::<Vec<_>>(),
        ["2026-10-02T15:00:00Z undeliverable invoice:a", "2026-10-09T00:00:00Z suspend DEBT without proof invoice:a"]
    );
}

#[test]
fn the_proof_of_one_cause_is_none_of_another() {
    let mut facts = warned().with_invoice("b", "2026-09-01", "5");
    prove(&mut facts, "2026-09-06T12:00:00Z", "2026-09-08");
    facts.invoices.retain(|invoice| invoice.number == "b");
    facts.amounts.overdue = money("5");
    // `a` is paid; `b`, as old, was never warned of.
    assert_eq!(
        facts.told(),
        [
            "2026-09-06T12:00:00Z warning 2 of 2026-09-08T00:00:00Z invoice:b",
            "2026-09-08T00:00:00Z suspend DEBT invoice:b",
        ]
    );
    facts.now = at("2026-09-07T20:00:00Z");
    assert_eq!(suspend_at(&facts), Some(at("2026-09-08T20:00:00Z")));
}

#[test]
fn without_any_day_of_warning_nothing_is_suspended() {
    let mut facts = account(BillingMode::Postpaid, "2026-09-20").with_invoice("a", "2026-09-01", "100");
    facts.policy.warn_before_suspension_days.clear();
    assert_eq!(suspend_at(&facts), None);
}
