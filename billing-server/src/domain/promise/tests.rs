#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::amounts::Amounts;
use super::super::calendar::parse_date;
use super::*;

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

fn euro() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// At most 500.00 for at most 5 days, not again within 10 days, twice a month.
fn policy() -> Policy {
    let terms = PromiseTerms {
        max_days: 5,
        max_amount: [(euro(), money("500"))].into(),
        cooldown_days: 10,
        max_per_period: Some(2),
    };
    Policy { promise: Some(terms), ..Policy::default() }
}

fn asking<'a>(policy: &'a Policy, now: &str) -> Asking<'a> {
    Asking {
        account_id: "acme",
        currency: euro(),
        zone: TimeZone::UTC,
        policy,
        debt: money("80"),
        amount_to_pay: money("120"),
        now: start_of_day(date(now), TimeZone::UTC),
    }
}

fn refused(promises: &Promises, asking: &Asking<'_>) -> Vec<Reason> {
    promises.offer(asking).unwrap_err().iter().map(|refusal| refusal.reason).collect()
}

#[test]
fn a_promise_raises_the_limit_and_payments_shrink_it() {
    // Real 100, promise 200: available 300.
    let policy = policy();
    let taken = Promises::default().take("p", Some(money("200")), None, &asking(&policy, "2026-09-01")).unwrap();
    let available = |posted: &str, promises: &Promises| {
        let promised = promises.open.as_ref().map_or(Money::ZERO, |open| open.rest);
        Amounts { posted: money(posted), promised, ..Amounts::default() }.available()
    };
    assert_eq!(available("100", &taken), money("300"));
    let now = Instant::EPOCH;
    let (after, fulfilled) = taken.after_payment(money("250"), Money::ZERO, now);
    assert_eq!(available("350", &after), money("350"));
    assert_eq!(fulfilled.map(|promise| promise.state), Some(PromiseState::Fulfilled));
    assert_eq!(after.open, None);
    let (after, fulfilled) = taken.after_payment(money("50"), Money::ZERO, now);
    assert_eq!((available("150", &after), fulfilled), (money("300"), None));
    let open = after.open.unwrap();
    assert_eq!((open.rest, open.amount, open.until), (money("150"), money("200"), date("2026-09-06")));
}

#[test]
fn the_offer_says_what_is_possible() {
    let policy = policy();
    let offer = Promises::default().offer(&asking(&policy, "2026-09-01")).unwrap();
    let expected = Offer { max_amount: money("500"), default_amount: money("120"), latest: date("2026-09-06") };
    assert_eq!(offer, expected);
    let taken = Promises::default().take("p", None, None, &asking(&policy, "2026-09-01")).unwrap();
    let open = taken.open.unwrap();
    assert_eq!((open.amount, open.until, open.state), (money("120"), date("2026-09-06"), PromiseState::Open));
    let only_debt = Asking { amount_to_pay: Money::ZERO, ..asking(&policy, "2026-09-01") };
    assert_eq!(Promises::default().offer(&only_debt).unwrap().default_amount, money("80"));
}

#[test]
fn every_condition_in_the_way_is_named_with_its_day() {
    let policy = policy();
    let none = Policy::default();
    assert_eq!(refused(&Promises::default(), &asking(&none, "2026-09-01")), [Reason::PromiseNotOffered]);
    let yen = Asking { currency: Currency::parse("JPY").unwrap(), ..asking(&policy, "2026-09-01") };
    assert_eq!(refused(&Promises::default(), &yen), [Reason::PromiseNotOffered]);
    let nothing = Asking { debt: Money::ZERO, amount_to_pay: Money::ZERO, ..asking(&policy, "2026-09-01") };
    assert_eq!(refused(&Promises::default(), &nothing), [Reason::PromiseNotNeeded]);

    let taken = Promises::default().take("p", None, None, &asking(&policy, "2026-09-01")).unwrap();
    let refusals = taken.offer(&asking(&policy, "2026-09-03")).unwrap_err();
    let reasons: Vec<_> = refusals.iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, [Reason::PromiseAlreadyOpen, Reason::PromiseCooldown]);
    assert_eq!(refusals[0].metadata["until_date"], "2026-09-06");
    assert_eq!(refusals[0].metadata["possible_from"], "2026-09-07");
    assert_eq!(refusals[1].metadata["possible_from"], "2026-09-11");
    assert_eq!(taken.take("q", None, None, &asking(&policy, "2026-09-03")).unwrap_err(), refusals[0]);
}

#[test]
fn cooldown_and_number_a_month_hold_to_the_day() {
    let policy = policy();
    let ended = |taken: &[&str]| Promises { taken: taken.iter().copied().map(date).collect(), ..Promises::default() };
    for (taken, today, possible_from) in [
        (vec!["2026-09-01"], "2026-09-10", Some("2026-09-11")),
        (vec!["2026-09-01"], "2026-09-11", None),
        (vec!["2026-09-01", "2026-09-11"], "2026-09-25", Some("2026-10-01")),
        (vec!["2026-09-01", "2026-09-11"], "2026-10-01", None),
        // The cooldown ends after the month does.
        (vec!["2026-09-01", "2026-09-28"], "2026-10-01", Some("2026-10-08")),
        (vec!["2026-12-01", "2026-12-11"], "2026-12-31", Some("2027-01-01")),
    ] {
        let offer = ended(&taken).offer(&asking(&policy, today));
        let date = offer.err().map(|refusals| refusals[0].metadata["possible_from"].clone());
        assert_eq!(date.as_deref(), possible_from, "{taken:?} {today}");
    }
    // What is remembered is what can still count.
    let third = ended(&["2026-08-01", "2026-08-15"]).take("p", None, None, &asking(&policy, "2026-09-01")).unwrap();
    assert_eq!(third.taken, [date("2026-09-01")]);
}

#[test]
fn amounts_and_days_have_bounds() {
    let policy = policy();
    let asking = asking(&policy, "2026-09-01");
    let take = |amount: Option<&str>, until: Option<&str>| {
        Promises::default().take("p", amount.map(money), until.map(date), &asking)
    };
    assert!(take(Some("500"), Some("2026-09-06")).is_ok());
    assert!(take(Some("0.01"), Some("2026-09-01")).is_ok());
    let high = take(Some("500.01"), None).unwrap_err();
    assert_eq!((high.reason, high.metadata["max"].as_str()), (Reason::PromiseAmountTooHigh, "500.00"));
    let long = take(None, Some("2026-09-07")).unwrap_err();
    assert_eq!((long.reason, long.metadata["max_date"].as_str()), (Reason::PromiseTooLong, "2026-09-06"));
    assert_eq!(take(None, Some("2026-08-31")).unwrap_err().reason, Reason::FieldOutOfRange);
    assert_eq!(take(Some("0"), None).unwrap_err().reason, Reason::AmountNotPositive);
    // What must be paid is more than may be promised.
    let poor = Asking { amount_to_pay: money("500.01"), ..asking };
    assert_eq!(Promises::default().take("p", None, None, &poor).unwrap_err().reason, Reason::PromiseAmountTooHigh);
}

#[test]
fn it_ends_with_its_local_day() {
    let policy = policy();
    for (zone, ends) in [
        ("UTC", "2026-09-07T00:00:00Z"),
        ("Europe/Moscow", "2026-09-06T21:00:00Z"),
        ("America/Lima", "2026-09-07T05:00:00Z"),
    ] {
        let zone = TimeZone::parse(zone).unwrap();
        let taken =
            Promises::default().take("p", None, Some(date("2026-09-06")), &asking(&policy, "2026-09-01")).unwrap();
        let end = taken.open.as_ref().unwrap().ends_at(zone);
        assert_eq!(end.to_string(), ends);
        let before = Instant::from_micros(end.micros().saturating_sub(1));
        assert_eq!(taken.after_end(money("1"), before, zone), (taken.clone(), None));
        assert_eq!(taken.after_end(money("1"), end, zone).1.unwrap().ended_at, Some(end));
    }
}

#[test]
fn a_broken_promise_bars_others_until_it_is_unlocked() {
    let (policy, zone, later) = (policy(), TimeZone::UTC, asking(&policy(), "2026-10-20").now);
    let taken = Promises::default().take("p", Some(money("100")), None, &asking(&policy, "2026-09-01")).unwrap();
    for (paid, debt, state) in [
        ("0", "0", PromiseState::Unused),
        ("10", "0", PromiseState::Fulfilled),
        ("10", "0.01", PromiseState::Broken),
        ("0", "80", PromiseState::Broken),
    ] {
        let (promises, _) = taken.after_payment(money(paid), money("80"), later);
        let (promises, ended) = promises.after_end(money(debt), later, zone);
        let ended = ended.unwrap();
        assert_eq!((ended.state, ended.rest), (state, Money::ZERO), "{paid} {debt}");
        assert_eq!(promises.locked_by.is_some(), state == PromiseState::Broken);
    }
    let (broken, _) = taken.after_end(money("80"), later, zone);
    let refusals = broken.offer(&asking(&policy, "2026-10-20")).unwrap_err();
    assert_eq!((refusals.len(), refusals[0].reason), (1, Reason::PromiseLocked));
    assert_eq!(refusals[0].metadata["promise_id"], "p");
    assert!(broken.unlocked().offer(&asking(&policy, "2026-10-20")).is_ok());
    assert_eq!(broken.after_payment(money("79"), money("1"), later).0.locked_by.as_deref(), Some("p"));
    assert_eq!(broken.after_payment(money("80"), Money::ZERO, later).0.locked_by, None);
    let json = serde_json::to_string(&taken).unwrap();
    assert_eq!(serde_json::from_str::<Promises>(&json).unwrap(), taken);
}

#[test]
fn numbers_are_those_of_the_contract() {
    use PromiseState::{Broken, Fulfilled, Open, Unused};
    for (number, state) in [(1, Open), (2, Fulfilled), (3, Unused), (4, Broken)] {
        assert_eq!((PromiseState::from_number(number), state as i16), (Some(state), number));
    }
    assert_eq!(PromiseState::from_number(5), None);
}

proptest! {
    /// However it is paid in parts, what is left of a promise is what was promised less what was paid.
    #[test]
    fn payments_and_the_rest_sum_to_the_promise(
        amount in 1_i64..500_000_000,
        payments in proptest::collection::vec(0_i64..500_000_000, 0..6),
    ) {
        let policy = policy();
        let asking = asking(&policy, "2026-09-01");
        let taken = Promises::default().take("p", Some(Money::from_micros(amount)), None, &asking).unwrap();
        let promised = taken.open.clone().unwrap().amount.micros();
        let (mut promises, mut paid) = (taken, 0_i64);
        for payment in payments {
            promises = promises.after_payment(Money::from_micros(payment), Money::ZERO, Instant::EPOCH).0;
            paid = paid.saturating_add(payment);
            let rest = promises.open.as_ref().map_or(0, |open| open.rest.micros());
            prop_assert_eq!(rest, promised.saturating_sub(paid).max(0));
        }
    }
}
