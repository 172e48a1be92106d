#![allow(clippy::unwrap_used)]

use super::super::calendar::parse_date;
use super::*;

fn euro() -> Currency {
    Currency::parse("EUR").unwrap()
}

fn with(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

#[test]
fn the_default_is_consistent_and_survives_storage() {
    let terms = PromiseTerms { max_days: 7, max_amount: [(euro(), Money::MAX)].into(), ..PromiseTerms::default() };
    for policy in [Policy::default(), with(|policy| policy.promise = Some(terms))] {
        assert_eq!(policy.check(), Ok(()));
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }
}

#[test]
fn contradictions_are_refused_with_both_fields() {
    let no_suspension = with(|policy| {
        policy.suspend_after_overdue_days = None;
        policy.suspend_on_negative_available = Some(false);
        policy.warn_before_suspension_days.clear();
    });
    assert_eq!(no_suspension.check(), Ok(()));
    let hour = Duration::from_secs(3600);
    assert_eq!(with(|policy| policy.max_notice_wait = Duration::ZERO).check(), Ok(()));
    assert_eq!(with(|policy| policy.max_notice_wait = policy.min_notice).check(), Ok(()));
    // Warned at 10:00 the day before: 14 hours ahead.
    let one_day = |notice: Duration| {
        with(|policy| {
            policy.warn_before_suspension_days = [1].into();
            policy.min_notice = notice;
        })
    };
    assert_eq!(one_day(14 * hour).check(), Ok(()));
    for (policy, field, other) in [
        (with(|policy| policy.max_notice_wait = 23 * hour), "max_notice_wait", "min_notice"),
        (
            with(|policy| policy.warn_before_suspension_days.clear()),
            "warn_before_suspension_days",
            "suspend_after_overdue_days",
        ),
        (one_day(14 * hour + Duration::from_secs(1)), "warn_before_suspension_days", "min_notice"),
        (
            with(|policy| policy.promise = Some(PromiseTerms { max_days: 1, ..PromiseTerms::default() })),
            "promise.max_amount",
            "promise.max_days",
        ),
    ] {
        let refusal = policy.check().unwrap_err();
        assert_eq!(refusal.reason, Reason::PolicyInconsistent);
        assert_eq!(refusal.metadata["field"], field);
        assert_eq!(refusal.metadata["other_field"], other);
        assert_eq!(refusal.violations.len(), 1);
    }
}

#[test]
fn every_field_out_of_range_is_named() {
    let policy = with(|policy| {
        policy.remind_after_days = [0].into();
        policy.warn_before_suspension_days = [MAX_DAYS + 1].into();
        policy.grace_days = MAX_DAYS + 1;
        policy.min_debt_to_suspend = [(euro(), Money::ZERO)].into();
        policy.remind_before_days = (0..=20).collect();
        policy.promise = Some(PromiseTerms::default());
    });
    let refusal = policy.check().unwrap_err();
    assert_eq!(refusal.reason, Reason::FieldOutOfRange);
    let fields: Vec<_> = refusal.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "remind_after_days",
            "warn_before_suspension_days",
            "remind_before_days",
            "grace_days",
            "promise.max_days",
            "min_debt_to_suspend",
            "promise.max_amount",
        ]
    );
}

#[test]
fn a_payment_under_way_arrives_by_a_working_day() {
    let date = |text| parse_date(text).unwrap();
    for (days, holidays, reported, last) in [
        (3, vec![], "2026-11-23", "2026-11-26"),
        (3, vec![], "2026-11-26", "2026-12-01"),
        (1, vec![], "2026-11-28", "2026-11-30"),
        (1, vec!["2026-11-30"], "2026-11-28", "2026-12-01"),
        // A holiday on a Sunday takes no day away.
        (2, vec!["2026-11-29", "2026-12-01"], "2026-11-27", "2026-12-02"),
        (0, vec![], "2026-11-28", "2026-11-28"),
    ] {
        let policy = with(|policy| {
            policy.transit_working_days = days;
            policy.holidays = holidays.into_iter().map(date).collect();
        });
        assert_eq!(policy.end_of_transit(date(reported)), date(last), "{days} days after {reported}");
    }
    assert_eq!(Policy::default().end_of_transit(NaiveDate::MAX), NaiveDate::MAX);
}

#[test]
fn what_is_not_said_follows_the_account() {
    let policy = Policy::default();
    assert!(policy.suspends_on_negative(BillingMode::Prepaid));
    assert!(!policy.suspends_on_negative(BillingMode::Postpaid));
    assert_eq!(policy.least_to_suspend(euro()), Money::from_micros(10_000));
    let hundred = Money::from_micros(100_000_000);
    let policy = with(|policy| policy.min_debt_to_suspend = [(euro(), hundred)].into());
    assert_eq!(policy.least_to_suspend(euro()), hundred);
    assert_eq!(policy.least_to_suspend(Currency::parse("JPY").unwrap()), Money::from_micros(1_000_000));
}
