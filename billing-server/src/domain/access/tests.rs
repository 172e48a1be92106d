#![allow(clippy::unwrap_used)]

use super::super::calendar::parse_date;
use super::*;

const UNIT: Money = Money::from_micros(10_000);

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

fn day(text: &str) -> Instant {
    start_of_day(date(text), TimeZone::UTC)
}

fn set(reasons: &[SuspensionReason]) -> BTreeSet<SuspensionReason> {
    reasons.iter().copied().collect()
}

fn now_suspend(voluntary: bool) -> Suspend {
    Suspend { voluntary, effective_at: None, until: None }
}

#[test]
fn debt_is_what_is_overdue_and_on_prepaid_accounts_what_charges_took() {
    use BillingMode::{Postpaid, Prepaid};
    // Posted, overdue, not due → debt prepaid, debt postpaid.
    for (posted, overdue, not_due, prepaid, postpaid) in [
        ("0", "0", "0", "0", "0"),
        ("-100", "100", "0", "100", "100"),
        ("-130", "100", "0", "130", "100"),
        ("-130", "0", "100", "30", "0"),
        ("-0.009999", "0", "0", "0", "0"),
        ("-0.01", "0", "0", "0.01", "0"),
        ("-0.015", "0.009", "0", "0.015", "0"),
    ] {
        let amounts = Amounts {
            posted: money(posted),
            overdue: money(overdue),
            not_due: money(not_due),
            credit_limit: money("1000"),
            ..Amounts::default()
        };
        assert_eq!(debt(&amounts, Prepaid, UNIT), money(prepaid), "{posted}");
        assert_eq!(debt(&amounts, Postpaid, UNIT), money(postpaid), "{posted}");
    }
}

#[test]
fn the_day_it_fell_below_zero_is_kept_and_a_promise_does_not_change_it() {
    let (fell, later) = (day("2026-09-01"), day("2026-09-02"));
    let at = |posted, promised| Amounts { posted: money(posted), promised: money(promised), ..Amounts::default() };
    assert_eq!(negative_since(None, &at("0", "0"), UNIT, fell), None);
    assert_eq!(negative_since(None, &at("-0.009999", "0"), UNIT, fell), None);
    assert_eq!(negative_since(None, &at("-0.01", "0"), UNIT, fell), Some(fell));
    assert_eq!(negative_since(Some(fell), &at("-5", "100"), UNIT, later), Some(fell));
    assert_eq!(negative_since(Some(fell), &at("0", "0"), UNIT, later), None);
    assert_eq!(lacking(&at("-5", "100"), true, UNIT), Money::ZERO);
    assert_eq!(lacking(&at("-5", "100"), false, UNIT), money("5"));
}

#[test]
fn money_lifts_what_money_suspended() {
    use SuspensionReason::{Debt, Manual, NegativeBalance, PromiseBroken, Voluntary};
    let all = set(&[Debt, NegativeBalance, PromiseBroken, Manual, Voluntary]);
    let access = Access::default().suspended(&all, day("2026-09-01"));
    let amounts = |posted, overdue, promised| Amounts {
        posted: money(posted),
        overdue: money(overdue),
        promised: money(promised),
        ..Amounts::default()
    };
    for (amounts, gone) in [
        (amounts("-10", "10", "0"), set(&[])),
        (amounts("-10", "10", "9.99"), set(&[])),
        (amounts("-10", "10", "10"), set(&[Debt, NegativeBalance, PromiseBroken])),
        (amounts("-0.001", "0.001", "0"), set(&[Debt, NegativeBalance, PromiseBroken])),
        (amounts("0", "0", "0"), set(&[Debt, NegativeBalance, PromiseBroken])),
        (Amounts { held: money("5"), ..amounts("0", "0", "0") }, set(&[Debt, PromiseBroken])),
        (Amounts { credit_limit: money("50"), ..amounts("-10", "10", "0") }, set(&[NegativeBalance])),
    ] {
        assert_eq!(access.without_cause(&amounts, BillingMode::Prepaid, UNIT), gone, "{amounts:?}");
    }
    let left = access.lifted(&set(&[Debt, NegativeBalance, PromiseBroken]));
    assert_eq!((left.reasons.len(), left.since), (2, Some(day("2026-09-01"))));
    assert_eq!(left.lifted(&all), Access::default());
}

#[test]
fn a_suspension_stands_since_its_first_reason() {
    let access = Access::default().suspended(&set(&[SuspensionReason::Debt]), day("2026-09-01"));
    let access = access.suspended(&set(&[SuspensionReason::NegativeBalance]), day("2026-09-05"));
    assert_eq!(access.since, Some(day("2026-09-01")));
    let refusal = access.check_allowed("acme").unwrap_err();
    assert_eq!(refusal.reason, Reason::AccessSuspended);
    assert_eq!(refusal.metadata["reasons"], "DEBT,NEGATIVE_BALANCE");
    assert_eq!(Access::default().check_allowed("acme"), Ok(()));
    let json = serde_json::to_string(&access).unwrap();
    assert_eq!(serde_json::from_str::<Access>(&json).unwrap(), access);
    assert_eq!(serde_json::to_string(&Access::default()).unwrap(), "{}");
}

#[test]
fn decisions_are_made_once_for_a_reason() {
    let (now, zone) = (day("2026-09-01"), TimeZone::UTC);
    let suspended = Access::default().suspend("acme", now_suspend(false), now, zone).unwrap();
    assert_eq!((suspended.reasons.len(), suspended.since, suspended.planned.len()), (1, Some(now), 0));
    let again = suspended.suspend("acme", now_suspend(false), now, zone).unwrap_err();
    assert_eq!((again.reason, again.metadata["account_id"].as_str()), (Reason::AlreadySuspended, "acme"));
    // Another reason is another suspension.
    assert_eq!(suspended.suspend("acme", now_suspend(true), now, zone).unwrap().reasons.len(), 2);
    let later = Suspend { effective_at: Some(day("2026-09-05")), until: Some(date("2026-09-06")), voluntary: true };
    let planned = Access::default().suspend("acme", later, now, zone).unwrap();
    assert!(planned.is_allowed());
    assert_eq!(planned.suspend("acme", now_suspend(true), now, zone).unwrap_err().reason, Reason::AlreadySuspended);
    let begun = planned.suspended(&set(&[SuspensionReason::Voluntary]), day("2026-09-05"));
    assert_eq!(begun.until, [(SuspensionReason::Voluntary, date("2026-09-06"))].into());
    assert!(begun.planned.is_empty());
    let never = Suspend { until: Some(date("2026-09-05")), ..later };
    assert_eq!(Access::default().suspend("acme", never, now, zone).unwrap_err().reason, Reason::FieldOutOfRange);
}

#[test]
fn an_operator_restores_whatever_suspends() {
    let (now, zone, policy) = (day("2026-09-10"), TimeZone::UTC, Policy::default());
    let none = Access::default().restore("acme", None, &policy, now, zone).unwrap_err();
    assert_eq!((none.reason, none.metadata["account_id"].as_str()), (Reason::NotSuspended, "acme"));
    let suspended = Access::default()
        .suspended(&set(&[SuspensionReason::Debt]), day("2026-09-01"))
        .suspend("acme", now_suspend(false), now, zone)
        .unwrap();
    for (until, expected) in [(None, "2026-09-13"), (Some("2026-09-11"), "2026-09-11")] {
        let restored = suspended.restore("acme", until.map(date), &policy, now, zone).unwrap();
        assert!(restored.is_allowed() && restored.since.is_none());
        assert_eq!(restored.reprieve, Some(Reprieve { at: now, until: date(expected) }));
    }
    let today = suspended.restore("acme", Some(date("2026-09-10")), &policy, now, zone).unwrap_err();
    assert_eq!(today.reason, Reason::FieldOutOfRange);
}

#[test]
fn a_payment_is_reported_once_a_debt() {
    let (now, policy) = (day("2026-09-10"), Policy::default());
    let claimed = Access::default().claimed("acme", money("10"), &policy, now).unwrap();
    let again = claimed.claimed("acme", money("10"), &policy, now).unwrap_err();
    assert_eq!(again.reason, Reason::ClaimAlreadyMade);
    assert_eq!(again.metadata["reported_at"], "2026-09-10T00:00:00Z");
    let none = Policy { transit_working_days: 0, ..policy };
    assert_eq!(Access::default().claimed("acme", money("10"), &none, now).unwrap_err().reason, Reason::ClaimNotAllowed);
    // It is forgotten when nothing is left to pay.
    let owing = Amounts { posted: money("-5"), not_due: money("5"), ..Amounts::default() };
    assert!(claimed.after_change(&owing, BillingMode::Postpaid, UNIT).claim.is_some());
    assert!(claimed.after_change(&Amounts::default(), BillingMode::Postpaid, UNIT).claim.is_none());
}

#[test]
fn numbers_are_those_of_the_contract() {
    for (number, name) in [(1, "DEBT"), (2, "NEGATIVE_BALANCE"), (3, "PROMISE_BROKEN"), (4, "MANUAL"), (5, "VOLUNTARY")]
    {
        let reason = SuspensionReason::from_number(number).unwrap();
        assert_eq!((reason.name(), reason as i16), (name, number));
        assert_eq!(reason.is_automatic(), number < 4);
    }
    assert_eq!(SuspensionReason::from_number(0), None);
}
