//! What is due by itself.

use super::super::super::invoice::TaxRate;
use super::super::super::proration::Fraction;
use super::*;

#[test]
fn missed_periods_are_caught_up_one_by_one() {
    let subscription = Subscription::create(monthly("100", "2024-01-31")).unwrap();
    assert_eq!(subscription.next_on().unwrap(), Some(date("2024-01-31")));
    let (dues, after) = run(&subscription, "2024-04-30");
    assert_eq!(
        dues,
        [
            due("2024-01-31", "2024-01-31", "2024-02-29", "100"),
            due("2024-02-29", "2024-02-29", "2024-03-31", "100"),
            due("2024-03-31", "2024-03-31", "2024-04-30", "100"),
            due("2024-04-30", "2024-04-30", "2024-05-31", "100"),
        ]
    );
    assert_eq!(run(&after, "2024-04-30"), (vec![], after.clone()));
    assert_eq!(run(&after, "2024-01-01"), (vec![], after.clone()));
    assert_eq!(after.next_on().unwrap(), Some(date("2024-05-31")));
    assert_eq!(after.next_period(), Some(Period { start: date("2024-05-31"), end: date("2024-06-30") }));
}

#[test]
fn in_arrears_a_period_is_due_on_the_day_after_it() {
    let subscription = in_arrears(monthly("100", "2026-08-01"));
    assert_eq!(run(&subscription, "2026-08-31").0, []);
    let (dues, after) = run(&subscription, "2026-09-01");
    assert_eq!(dues, [due("2026-09-01", "2026-08-01", "2026-09-01", "100")]);
    assert_eq!(after.next_on().unwrap(), Some(date("2026-10-01")));
}

#[test]
fn a_short_first_period_costs_its_part() {
    let quarterly = New {
        interval: Interval::new(Unit::Month, 3).unwrap(),
        anchor: Some(date("2021-01-01")),
        ..monthly("300", "2021-01-10")
    };
    let (dues, after) = run(&Subscription::create(quarterly).unwrap(), "2021-04-01");
    assert_eq!(
        dues,
        [due("2021-01-10", "2021-01-10", "2021-04-01", "270"), due("2021-04-01", "2021-04-01", "2021-07-01", "300")]
    );
    assert_eq!(after.next_period().unwrap().start, date("2021-07-01"));
}

#[test]
fn a_trial_costs_nothing_and_anchors_the_periods_after_it() {
    let new = New { trial_until: Some(date("2024-01-24")), ..monthly("31", "2024-01-10") };
    let subscription = Subscription::create(new.clone()).unwrap();
    assert_eq!(subscription.lines_on(date("2024-01-23")), []);
    assert_eq!(subscription.next_on().unwrap(), Some(date("2024-01-24")));
    assert_eq!(run(&subscription, "2024-01-24").0, [due("2024-01-24", "2024-01-24", "2024-02-24", "31")]);
    // A trial that ends inside a period: the rest of the period costs its part.
    let subscription = Subscription::create(New { anchor: Some(date("2024-01-01")), ..new }).unwrap();
    assert_eq!(run(&subscription, "2024-01-31").0, [due("2024-01-24", "2024-01-24", "2024-02-01", "8")]);
}

#[test]
fn an_agreed_end_cuts_the_last_period() {
    let new = New { ends_on: Some(date("2024-02-15")), ..monthly("29", "2024-01-01") };
    let (dues, after) = run(&Subscription::create(new.clone()).unwrap(), "2024-02-14");
    assert_eq!(
        dues,
        [due("2024-01-01", "2024-01-01", "2024-02-01", "29"), due("2024-02-01", "2024-02-01", "2024-02-15", "14")]
    );
    assert_eq!((after.state, after.next_on().unwrap()), (State::Active, Some(date("2024-02-15"))));
    // Taken back in time, the rest of the period follows.
    let (dues, _) = run(&after.end(None, date("2024-02-14")).unwrap(), "2024-02-15");
    assert_eq!(dues, [due("2024-02-15", "2024-02-15", "2024-03-01", "15")]);
    let (dues, after) = run(&after, "2024-02-15");
    assert_eq!((dues.len(), after.state, after.next_on().unwrap()), (0, State::Ended, None));
    let (dues, after) = run(&in_arrears(new), "2030-01-01");
    assert_eq!(dues.last(), Some(&due("2024-02-15", "2024-02-01", "2024-02-15", "14")));
    assert_eq!((dues.len(), after.state, after.next_period()), (2, State::Ended, None));
}

#[test]
fn each_line_is_charged_and_rounded_by_itself() {
    let tax = Some(TaxRate { code: "vat".to_owned(), rate_percent: Decimal::from(20) });
    let seats =
        Line { quantity: "2.5".parse().unwrap(), unit_price: "0.333333333333".parse().unwrap(), tax, ..line("1") };
    let new = New { lines: vec![line("249.95"), seats.clone()], ..monthly("0", "2024-01-22") };
    let new = New { anchor: Some(date("2024-01-01")), ..new };
    let run = Subscription::create(new).unwrap().run(date("2024-01-22"), |_| true).unwrap();
    let items = &run.dues[0].charges;
    assert_eq!(items[0].part, Fraction::new(10, 31).unwrap());
    assert_eq!((items[0].amount, items[1].amount), (money("80.63"), money("0.27")));
    assert_eq!(items[1].line, seats);
}

#[test]
fn a_long_absence_takes_several_runs() {
    let daily = New { interval: Interval::new(Unit::Day, 1).unwrap(), ..monthly("1", "2020-01-01") };
    let mut subscription = Subscription::create(daily).unwrap();
    let mut days = Vec::new();
    while subscription.next_on().unwrap().is_some_and(|day| day <= date("2024-01-01")) {
        let (dues, after) = run(&subscription, "2024-01-01");
        days.extend(dues.into_iter().map(|due| due.0));
        subscription = after;
    }
    assert_eq!((days.len(), days.first().unwrap().as_str()), (1_462, "2020-01-01"));
    assert!(days.is_sorted_by(|left, right| left < right));
}

#[test]
fn what_ends_beyond_the_calendar_is_not_charged() {
    let (dues, after) = run(&Subscription::create(monthly("1", "9999-10-31")).unwrap(), "9999-12-31");
    assert_eq!(
        dues,
        [due("9999-10-31", "9999-10-31", "9999-11-30", "1"), due("9999-11-30", "9999-11-30", "9999-12-31", "1")]
    );
    assert_eq!((after.next_period(), after.next_on().unwrap()), (None, None));
    let refusal = after.change(vec![line("1")], Effect::NextPeriod, date("9999-12-31"));
    assert_eq!(refused(refusal).0, Reason::DateRangeInvalid);
}

#[test]
fn what_cannot_be_charged_is_refused() {
    let good = || monthly("1", "2024-01-10");
    let lines = |lines| New { lines, ..good() };
    let terms = |terms| New { terms, ..good() };
    let prepaid = Terms::default_of(BillingMode::Prepaid, 2);
    let waiting = Terms { if_short: IfShort::WaitForFunds, ..prepaid };
    let quantity = |text: &str| Line { quantity: text.parse().unwrap(), ..line("1") };
    for (new, reason, field) in [
        (lines(vec![]), Reason::FieldRequired, "lines"),
        (lines(vec![line("1"); 101]), Reason::TooManyItems, "lines"),
        (lines(vec![line("1"), quantity("0")]), Reason::QuantityNotPositive, "lines[1].quantity"),
        (lines(vec![quantity("-1")]), Reason::QuantityNotPositive, "lines[0].quantity"),
        (lines(vec![quantity("0.0000001")]), Reason::AmountTooPrecise, "lines[0].quantity"),
        (lines(vec![line("-0.01")]), Reason::AmountNotPositive, "lines[0].unit_price"),
        (lines(vec![line("0.0000000000001")]), Reason::AmountTooPrecise, "lines[0].unit_price"),
        (lines(vec![line("9000000000000.01")]), Reason::AmountOutOfRange, "lines[0].unit_price"),
        (
            lines(vec![Line { quantity: Decimal::MAX, ..line("79228162514264337593543950335") }]),
            Reason::AmountOutOfRange,
            "lines[0].unit_price",
        ),
        (lines(vec![line("9000000000000"), line("0.01")]), Reason::AmountOutOfRange, "lines"),
        (terms(Terms { timing: Timing::InArrears, ..waiting }), Reason::FieldConflict, "if_short"),
        (terms(Terms { collection: Collection::Invoice, ..waiting }), Reason::FieldConflict, "if_short"),
    ] {
        let found = refused(Subscription::create(new));
        assert_eq!(found, (reason, Some(field.to_owned())));
    }
    for (trial_until, ends_on) in [(Some("2024-01-09"), None), (None, Some("2024-01-10"))] {
        let new = New { trial_until: trial_until.map(date), ends_on: ends_on.map(date), ..good() };
        assert_eq!(refused(Subscription::create(new)).0, Reason::DateRangeInvalid);
    }
    // All violations at once; free and very dear lines are lines.
    let bad = Subscription::create(lines(vec![quantity("0"), line("-1")])).unwrap_err();
    assert_eq!(bad.violations.len(), 2);
    let digits = Line { quantity: "1.999999".parse().unwrap(), ..line("4500000000000.123456789012") };
    for new in [lines(vec![line("0")]), lines(vec![line("9000000000000")]), lines(vec![digits])] {
        let yearly =
            New { interval: Interval::new(Unit::Year, 1_000).unwrap(), anchor: Some(date("2000-01-02")), ..new };
        let dues = Subscription::create(yearly).unwrap().run(date("2024-01-10"), |_| true).unwrap().dues;
        assert!(dues[0].net().is_some());
    }
}

#[test]
fn a_subscription_is_stored_and_its_enums_have_numbers() {
    let new = New { trial_until: Some(date("2024-01-24")), ..monthly("249.95", "2024-01-10") };
    let (_, subscription) = run(&Subscription::create(new).unwrap(), "2024-02-24");
    let paused = subscription.pause(false, date("2024-02-25")).unwrap();
    for subscription in [subscription, paused] {
        let stored = serde_json::to_string(&subscription).unwrap();
        assert_eq!(serde_json::from_str::<Subscription>(&stored).unwrap(), subscription);
    }
    for state in [State::Active, State::Paused, State::Waiting, State::Cancelled, State::Ended] {
        assert_eq!(State::from_number(state as i16), Some(state));
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.name()));
    }
    assert_eq!((State::from_number(0), State::from_number(6)), (None, None));
    for number in [1, 2] {
        assert_eq!(Timing::from_number(number).unwrap() as i32, number);
        assert_eq!(Collection::from_number(number).unwrap() as i32, number);
        assert_eq!(IfShort::from_number(number).unwrap() as i32, number);
        assert_eq!(Restart::from_number(number).unwrap() as i32, number);
    }
    assert_eq!((Timing::from_number(0), Collection::from_number(3)), (None, None));
    assert_eq!((IfShort::from_number(0), Restart::from_number(3)), (None, None));
}
