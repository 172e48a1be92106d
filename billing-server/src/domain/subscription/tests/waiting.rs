//! Waiting for funds.

use super::*;

/// Charged for January 2024, at 31.00; the balance does not cover February.
fn waiting(restart: Restart) -> Subscription {
    let mut new = monthly("31", "2024-01-01");
    new.terms = Terms { if_short: IfShort::WaitForFunds, restart, ..new.terms };
    let mut balance = money("40");
    let covers = |due: &Due| {
        let rest = balance.checked_sub(due.net().unwrap()).unwrap();
        let is_covered = !rest.is_negative();
        if is_covered {
            balance = rest;
        }
        is_covered
    };
    let run = Subscription::create(new).unwrap().run(date("2024-02-03"), covers).unwrap();
    assert_eq!((run.dues.len(), run.after.state), (1, State::Waiting));
    run.after
}

#[test]
fn waiting_charges_nothing() {
    let waiting = waiting(Restart::SameAnchor);
    assert_eq!(run(&waiting, "2024-12-31"), (vec![], waiting.clone()));
    assert_eq!((waiting.next_on().unwrap(), waiting.next_period()), (None, None));
    assert_eq!(waiting.lines_on(date("2024-02-01")), []);
}

#[test]
fn the_same_anchor_charges_the_rest_of_the_period() {
    let waiting = waiting(Restart::SameAnchor);
    for (today, end, required) in [
        ("2024-02-01", "2024-03-01", "31"),
        ("2024-02-16", "2024-03-01", "14.97"),
        ("2024-05-22", "2024-06-01", "10"),
        ("2030-01-01", "2030-02-01", "31"),
    ] {
        assert_eq!(waiting.required(date(today)).unwrap(), money(required), "{today}");
        let (dues, after) = run(&waiting.funded(date(today)).unwrap(), today);
        assert_eq!(dues, [due(today, today, end, required)]);
        assert_eq!((after.state, after.next_on().unwrap()), (State::Active, Some(date(end))));
    }
}

#[test]
fn from_payment_a_whole_period_begins() {
    let waiting = waiting(Restart::FromPayment);
    for (today, end) in [("2024-02-01", "2024-03-01"), ("2024-02-16", "2024-03-16"), ("2024-03-31", "2024-04-30")] {
        assert_eq!(waiting.required(date(today)).unwrap(), money("31"));
        let (dues, after) = run(&waiting.funded(date(today)).unwrap(), today);
        assert_eq!(dues, [due(today, today, end, "31")]);
        assert_eq!(after.next_on().unwrap(), Some(date(end)));
        // The days of the new period are given back by its own length.
        let (dues, _) = run(&after.cancel(false, date(today)).unwrap(), today);
        assert_eq!(dues, [due(today, today, end, "-31")]);
    }
}

#[test]
fn a_wait_ends_by_a_cancellation_or_a_cheaper_price() {
    let waiting = waiting(Restart::SameAnchor);
    for at_period_end in [false, true] {
        let (dues, after) = run(&waiting.cancel(at_period_end, date("2024-02-10")).unwrap(), "2024-02-10");
        assert_eq!((dues.len(), after.state), (0, State::Cancelled));
    }
    let cheaper = waiting.change(vec![line("2.90")], Effect::Now, date("2024-02-10")).unwrap();
    assert_eq!(cheaper.required(date("2024-02-10")).unwrap(), money("2"));
    assert_eq!(
        refused(waiting.pause(false, date("2024-02-10"))),
        (Reason::SubscriptionState, Some("waiting".to_owned()))
    );
    assert_eq!(refused(waiting.resume(date("2024-02-10"))), (Reason::SubscriptionState, Some("waiting".to_owned())));
}

#[test]
fn a_resumption_may_wait_and_a_change_of_what_is_charged_posts() {
    let mut new = monthly("31", "2024-01-01");
    new.terms.if_short = IfShort::WaitForFunds;
    let (_, charged) = run(&Subscription::create(new).unwrap(), "2024-01-01");
    let (_, paused) = run(&charged.pause(false, date("2024-01-11")).unwrap(), "2024-01-11");
    let resumed = paused.resume(date("2024-01-22")).unwrap().run(date("2024-01-22"), |_| false).unwrap();
    assert_eq!((resumed.dues.len(), resumed.after.state), (0, State::Waiting));
    assert_eq!(resumed.after.required(date("2024-01-22")).unwrap(), money("10"));
    let dearer = charged.change(vec![line("62")], Effect::Now, date("2024-01-22")).unwrap();
    let run = dearer.run(date("2024-01-22"), |_| false).unwrap();
    assert_eq!((run.dues[0].net(), run.after.state), (Some(money("10")), State::Active));
    // Who does not wait is not asked.
    let posts = Subscription::create(monthly("31", "2024-01-01")).unwrap();
    assert_eq!(posts.run(date("2024-01-01"), |_| false).unwrap().dues.len(), 1);
}
