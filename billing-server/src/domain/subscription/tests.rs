#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod charging;
mod changing;
mod law;
mod waiting;

use rust_decimal::Decimal;

use super::super::calendar::parse_date;
use super::super::money::Money;
use super::super::recurrence::Unit;
use super::*;

fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn line(unit_price: &str) -> Line {
    Line {
        description: "Internet".to_owned(),
        quantity: Decimal::ONE,
        unit_price: unit_price.parse().unwrap(),
        category: Some("internet".to_owned()),
        counter_account: None,
        tax: None,
    }
}

/// A monthly subscription at a price, in advance from the balance.
fn monthly(unit_price: &str, start: &str) -> New {
    New {
        subscription_id: "s1".to_owned(),
        lines: vec![line(unit_price)],
        interval: Interval::new(Unit::Month, 1).unwrap(),
        start: date(start),
        anchor: None,
        trial_until: None,
        ends_on: None,
        terms: Terms::default_of(BillingMode::Prepaid, 2),
    }
}

fn in_arrears(new: New) -> Subscription {
    Subscription::create(New { terms: Terms::default_of(BillingMode::Postpaid, 2), ..new }).unwrap()
}

/// Runs, whatever the balance: when, from, until and how much, and the subscription afterwards.
fn run(subscription: &Subscription, today: &str) -> (Vec<(String, String, String, Money)>, Subscription) {
    let run = subscription.run(date(today), |_| true).unwrap();
    let due =
        |due: &Due| (due.on.to_string(), due.days.start.to_string(), due.days.end.to_string(), due.net().unwrap());
    (run.dues.iter().map(due).collect(), run.after)
}

/// What [`run`] tells of a due.
fn due(on: &str, start: &str, end: &str, net: &str) -> (String, String, String, Money) {
    (on.to_owned(), start.to_owned(), end.to_owned(), money(net))
}

fn refused<T>(result: Result<T, Refusal>) -> (Reason, Option<String>) {
    let refusal = result.err().unwrap();
    let detail = ["earliest", "state", "field"].into_iter().find_map(|key| refusal.metadata.get(key).cloned());
    (refusal.reason, detail)
}
