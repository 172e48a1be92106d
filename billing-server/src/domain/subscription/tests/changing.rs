//! Changes, pauses and cancellations.

use super::super::change::MAX_CHANGES;
use super::*;

/// Charged for January 2024, at 249.95.
fn january() -> Subscription {
    run(&Subscription::create(monthly("249.95", "2024-01-01")).unwrap(), "2024-01-01").1
}

#[test]
fn cancelled_now_gives_the_unused_rest_back() {
    for (today, credit) in
        [("2024-01-01", "-249.95"), ("2024-01-02", "-241.89"), ("2024-01-11", "-169.32"), ("2024-01-22", "-80.63")]
    {
        let cancelled = january().cancel(false, date(today)).unwrap();
        let (dues, after) = run(&cancelled, today);
        assert_eq!(dues, [due(today, today, "2024-02-01", credit)]);
        assert_eq!((after.state, after.next_on().unwrap()), (State::Cancelled, None));
        assert_eq!(run(&after, "2025-01-01"), (vec![], after.clone()));
    }
}

#[test]
fn thirty_day_months_are_a_setting() {
    for (start, today, calendar, fixed) in
        [("2023-05-15", "2023-05-23", "-23", "-22.73"), ("2024-02-15", "2024-02-23", "-22.45", "-22.73")]
    {
        for (basis, credit) in [(Basis::CalendarDays, calendar), (Basis::ThirtyDayMonths, fixed)] {
            let mut new = monthly("31", start);
            new.terms.basis = basis;
            let (_, subscription) = run(&Subscription::create(new).unwrap(), start);
            let (dues, _) = run(&subscription.cancel(false, date(today)).unwrap(), today);
            assert_eq!(dues[0].3, money(credit), "{start} {basis:?}");
        }
    }
}

#[test]
fn cancelled_at_period_end_costs_and_gives_back_nothing() {
    let cancelled = january().cancel(true, date("2024-01-10")).unwrap();
    let (dues, after) = run(&cancelled, "2024-01-31");
    assert_eq!((dues.len(), after.state, after.next_on().unwrap()), (0, State::Active, Some(date("2024-02-01"))));
    assert_eq!(run(&after, "2024-02-01").1.state, State::Cancelled);
    // It can be taken back, or brought forward.
    let (dues, resumed) = run(&after.end(None, date("2024-01-31")).unwrap(), "2024-02-01");
    assert_eq!((dues.len(), resumed.cancelled_on), (1, None));
    let (dues, _) = run(&after.cancel(false, date("2024-01-22")).unwrap(), "2024-01-22");
    assert_eq!(dues, [due("2024-01-22", "2024-01-22", "2024-02-01", "-80.63")]);
    assert_eq!(after.cancel(true, date("2024-01-22")).unwrap(), after);
    // An end inside the period that is charged is given back on its day.
    let (dues, after) = run(&january().end(Some(date("2024-01-22")), date("2024-01-05")).unwrap(), "2024-01-22");
    assert_eq!(dues, [due("2024-01-22", "2024-01-22", "2024-02-01", "-80.63")]);
    assert_eq!(after.state, State::Ended);
}

#[test]
fn cancelled_in_arrears_costs_the_used_days() {
    let subscription = in_arrears(monthly("249.95", "2024-01-01"));
    let (dues, after) = run(&subscription.cancel(false, date("2024-01-22")).unwrap(), "2024-01-22");
    assert_eq!(dues, [due("2024-01-22", "2024-01-01", "2024-01-22", "169.32")]);
    assert_eq!(after.state, State::Cancelled);
    let (dues, _) = run(&subscription.cancel(true, date("2024-01-22")).unwrap(), "2024-12-31");
    assert_eq!(dues, [due("2024-02-01", "2024-01-01", "2024-02-01", "249.95")]);
}

#[test]
fn cancelled_before_its_start_it_never_costs() {
    let subscription = Subscription::create(monthly("10", "2024-02-01")).unwrap();
    for at_period_end in [false, true] {
        let (dues, after) = run(&subscription.cancel(at_period_end, date("2024-01-10")).unwrap(), "2024-01-10");
        assert_eq!((dues.len(), after.state), (0, State::Cancelled));
    }
}

#[test]
fn a_change_takes_effect_now_with_the_next_period_or_on_a_date() {
    let today = date("2024-01-11");
    let change = |effect| january().change(vec![line("499.90")], effect, today).unwrap();
    // Now: 21 of 31 days of both prices.
    let run_now = change(Effect::Now).run(today, |_| true).unwrap();
    let due_now = &run_now.dues[0];
    assert_eq!((due_now.credits[0].amount, due_now.charges[0].amount), (money("169.32"), money("338.64")));
    assert_eq!(run(&run_now.after, "2024-02-01").0, [due("2024-02-01", "2024-02-01", "2024-03-01", "499.90")]);
    // With the next period.
    let (dues, _) = run(&change(Effect::NextPeriod), "2024-02-01");
    assert_eq!(dues, [due("2024-02-01", "2024-02-01", "2024-03-01", "499.90")]);
    // On a day that is charged already: then, not before.
    let planned = change(Effect::On(date("2024-01-22")));
    assert_eq!(planned.next_on().unwrap(), Some(date("2024-01-22")));
    assert_eq!(run(&planned, "2024-01-21").0, []);
    assert_eq!(run(&planned, "2024-01-22").0, [due("2024-01-22", "2024-01-22", "2024-02-01", "80.63")]);
    // On a day of a later period: that is charged in two parts, at once.
    let (dues, after) = run(&change(Effect::On(date("2024-02-16"))), "2024-02-01");
    assert_eq!(dues, [due("2024-02-01", "2024-02-01", "2024-03-01", "370.61")]);
    assert_eq!(run(&after, "2024-03-01").0, [due("2024-03-01", "2024-03-01", "2024-04-01", "499.90")]);
    // The latest wish counts, from its day on; the same price again changes nothing.
    let again = planned.change(vec![line("249.95")], Effect::NextPeriod, today).unwrap();
    assert_eq!(run(&again, "2024-02-01").0.len(), 2);
    let undone = planned.change(vec![line("249.9500")], Effect::Now, today).unwrap();
    assert_eq!(run(&undone, "2024-01-31").0, []);
}

#[test]
fn several_changes_in_a_period_each_give_back_what_is_left() {
    let mut subscription = january();
    let mut total = money("249.95");
    for (today, price) in [("2024-01-11", "0.01"), ("2024-01-16", "777.77"), ("2024-01-16", "31"), ("2024-01-31", "62")]
    {
        subscription = subscription.change(vec![line(price)], Effect::Now, date(today)).unwrap();
        let (dues, after) = run(&subscription, today);
        total = total.checked_add(dues[0].3).unwrap();
        subscription = after;
    }
    // 10 days of 249.95 (80.63), 5 of 0.01 (0.01 − 0.01), none of 777.77, 15 of 31 and one of 62.
    assert_eq!(total, money("97.63"));
}

#[test]
fn what_is_past_and_charged_does_not_change() {
    let today = date("2024-01-11");
    let change = |subscription: &Subscription, day| subscription.change(vec![line("1")], Effect::On(date(day)), today);
    let in_past = |earliest: &str| (Reason::SubscriptionChangeInPast, Some(earliest.to_owned()));
    assert_eq!(refused(change(&january(), "2024-01-10")), in_past("2024-01-11"));
    assert_eq!(refused(january().end(Some(date("2024-01-10")), today)), in_past("2024-01-11"));
    assert!(change(&january(), "2024-01-11").is_ok());
    // What is not charged yet may change: in arrears since the last charge, in advance when runs were missed.
    let arrears = in_arrears(monthly("31", "2024-01-01"));
    let (dues, _) = run(&change(&arrears, "2024-01-02").unwrap(), "2024-02-01");
    assert_eq!(dues, [due("2024-02-01", "2024-01-01", "2024-02-01", "1.97")]);
    let missed = Subscription::create(monthly("31", "2024-01-01")).unwrap();
    let (dues, _) = run(&change(&missed, "2024-01-02").unwrap(), "2024-01-11");
    assert_eq!(dues, [due("2024-01-01", "2024-01-01", "2024-02-01", "1.97")]);
    assert_eq!(refused(change(&missed, "2023-12-31")), in_past("2024-01-01"));
    let (_, charged) = run(&arrears, "2024-02-01");
    assert_eq!(refused(change(&charged, "2024-01-31")), in_past("2024-02-01"));
    // The zone was moved back over midnight after the charge: today is the first day charged.
    let (dues, _) = run(&january().cancel(false, date("2023-12-31")).unwrap(), "2024-01-01");
    assert_eq!(dues, [due("2024-01-01", "2024-01-01", "2024-02-01", "-249.95")]);
}

#[test]
fn a_pause_that_costs_nothing_gives_its_days_back() {
    let paused = january().pause(false, date("2024-01-11")).unwrap();
    let (dues, paused) = run(&paused, "2024-01-11");
    assert_eq!(dues, [due("2024-01-11", "2024-01-11", "2024-02-01", "-169.32")]);
    assert_eq!((paused.next_on().unwrap(), paused.next_period()), (None, None));
    // Resumed in the same period, and periods later: the rest of the present one.
    let (dues, _) = run(&paused.resume(date("2024-01-22")).unwrap(), "2024-01-22");
    assert_eq!(dues, [due("2024-01-22", "2024-01-22", "2024-02-01", "80.63")]);
    assert_eq!(run(&paused, "2024-05-22"), (vec![], paused.clone()));
    let (dues, after) = run(&paused.resume(date("2024-05-22")).unwrap(), "2024-06-01");
    assert_eq!(
        dues,
        [
            due("2024-05-22", "2024-05-22", "2024-06-01", "80.63"),
            due("2024-06-01", "2024-06-01", "2024-07-01", "249.95")
        ]
    );
    assert_eq!((after.state, after.gaps.len()), (State::Active, 0));
    // Resumed on the same day: as if nothing had been.
    let undone = january().pause(false, date("2024-01-11")).unwrap().resume(date("2024-01-11")).unwrap();
    assert_eq!(undone, january());
    // Cancelled in the pause, and in arrears.
    let (dues, after) = run(&paused.cancel(true, date("2024-01-20")).unwrap(), "2024-02-01");
    assert_eq!((dues.len(), after.state), (0, State::Cancelled));
    let arrears = in_arrears(monthly("31", "2024-01-01")).pause(false, date("2024-01-11")).unwrap();
    let (dues, _) = run(&arrears.resume(date("2024-01-22")).unwrap(), "2024-02-01");
    assert_eq!(dues, [due("2024-02-01", "2024-01-01", "2024-02-01", "20")]);
}

#[test]
fn a_pause_may_cost_as_ever() {
    let paused = january().pause(true, date("2024-01-11")).unwrap();
    let (dues, paused) = run(&paused, "2024-02-01");
    assert_eq!(dues, [due("2024-02-01", "2024-02-01", "2024-03-01", "249.95")]);
    assert_eq!(run(&paused.resume(date("2024-02-10")).unwrap(), "2024-02-10").0, []);
}

#[test]
fn each_transition_has_its_states() {
    let today = date("2024-01-11");
    let active = january();
    let paused = active.pause(false, today).unwrap();
    let over = run(&active.cancel(false, today).unwrap(), "2024-01-11").1;
    let in_state = |state: &str| (Reason::SubscriptionState, Some(state.to_owned()));
    assert_eq!(refused(active.resume(today)), in_state("active"));
    assert_eq!(refused(active.funded(today)), in_state("active"));
    assert_eq!(refused(paused.pause(true, today)), in_state("paused"));
    assert_eq!(refused(paused.required(today)), in_state("paused"));
    assert_eq!(refused(over.change(vec![line("1")], Effect::Now, today)), in_state("cancelled"));
    assert_eq!(refused(over.cancel(false, today)), in_state("cancelled"));
    assert_eq!(refused(over.end(None, today)), in_state("cancelled"));
    assert_eq!(refused(over.pause(false, today)), in_state("cancelled"));
    assert_eq!(refused(over.resume(today)), in_state("cancelled"));
    assert_eq!(refused(active.change(vec![], Effect::Now, today)).0, Reason::FieldRequired);
}

#[test]
fn plans_have_a_limit() {
    let mut subscription = january();
    for days in 1..MAX_CHANGES {
        let day = date("2024-02-01") + chrono::Days::new(u64::try_from(days).unwrap());
        subscription = subscription.change(vec![line("2")], Effect::On(day), date("2024-01-11")).unwrap();
    }
    let refusal = subscription.change(vec![line("2")], Effect::On(date("2026-01-01")), date("2024-01-11"));
    assert_eq!(refused(refusal).0, Reason::TooManyItems);
    // A change replaces what was planned for its day or later.
    let mut replaced = subscription;
    for price in ["2", "3"] {
        replaced = replaced.change(vec![line(price)], Effect::Now, date("2024-01-11")).unwrap();
        assert_eq!(replaced.prices.len(), 2);
    }
}
