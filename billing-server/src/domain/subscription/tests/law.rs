//! Whatever is wished and however runs come, each day is charged exactly once, at its price.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

/// The days that the law is checked on.
const DAYS: usize = 500;

#[derive(Clone, Debug)]
enum Wish {
    Run,
    Change(u32, Option<i64>),
    ChangeNextPeriod(u32),
    Pause(bool),
    Resume,
    Cancel(bool),
    End(Option<i64>),
}

/// What each day should cost, kept in the simplest way there is: a cell a day.
struct Model {
    start: NaiveDate,
    prices: Vec<u32>,
    free: Vec<bool>,
    ends_on: Option<NaiveDate>,
}

impl Model {
    fn from(&self, day: NaiveDate) -> usize {
        usize::try_from((day - self.start).num_days().max(0)).unwrap().min(DAYS)
    }

    fn price_on(&self, index: usize) -> Option<u32> {
        let is_over = self.ends_on.is_some_and(|ends_on| index >= self.from(ends_on));
        (!self.free[index] && !is_over).then_some(self.prices[index])
    }

    /// Does the wish to both, if the subscription allows it.
    fn apply(&mut self, subscription: &mut Subscription, wish: &Wish, today: NaiveDate) {
        let on = |offset: i64| today + TimeDelta::days(offset);
        let now = today.max(self.start);
        let next = subscription.schedule.holding(now).unwrap();
        let next = if today < self.start { self.start } else { next.end };
        let changed = match wish {
            Wish::Run => return,
            Wish::Change(price, None) => subscription.change(vec![line(&price.to_string())], Effect::Now, today),
            Wish::Change(price, Some(offset)) => {
                subscription.change(vec![line(&price.to_string())], Effect::On(on(*offset)), today)
            }
            Wish::ChangeNextPeriod(price) => {
                subscription.change(vec![line(&price.to_string())], Effect::NextPeriod, today)
            }
            Wish::Pause(charged) => subscription.pause(*charged, today),
            Wish::Resume => subscription.resume(today),
            Wish::Cancel(at_period_end) => subscription.cancel(*at_period_end, today),
            Wish::End(offset) => subscription.end(offset.map(on), today),
        };
        let Ok(changed) = changed else { return };
        *subscription = changed;
        match wish {
            Wish::Change(price, offset) => {
                let from = self.from(offset.map_or(now, on));
                self.prices[from..].fill(*price);
            }
            Wish::ChangeNextPeriod(price) => {
                let from = self.from(next);
                self.prices[from..].fill(*price);
            }
            Wish::Pause(false) => {
                let from = self.from(now);
                self.free[from..].fill(true);
            }
            Wish::Resume => {
                let from = self.from(now);
                self.free[from..].fill(false);
            }
            Wish::Cancel(at_period_end) => {
                let end = if *at_period_end { next } else { now };
                self.ends_on = Some(self.ends_on.map_or(end, |ends_on| ends_on.min(end)));
            }
            Wish::End(offset) => self.ends_on = offset.map(on),
            Wish::Run | Wish::Pause(true) => {}
        }
    }
}

fn wishes() -> impl Strategy<Value = Vec<(i64, Wish)>> {
    let wish = prop_oneof![
        4 => Just(Wish::Run),
        2 => (1_u32..5, proptest::option::of(-20_i64..60)).prop_map(|(price, on)| Wish::Change(price, on)),
        1 => (1_u32..5).prop_map(Wish::ChangeNextPeriod),
        2 => any::<bool>().prop_map(Wish::Pause),
        2 => Just(Wish::Resume),
        1 => proptest::option::of(0_i64..60).prop_map(Wish::End),
        1 => Just(Wish::Cancel(true)),
        1 => Just(Wish::Cancel(false)),
    ];
    // Mostly small steps, and now and then a service that was down for long.
    let step = prop_oneof![3 => 0_i64..4, 2 => 5_i64..20, 1 => 30_i64..90];
    proptest::collection::vec((step, wish), 1..30)
}

fn subscriptions() -> impl Strategy<Value = Subscription> {
    let interval =
        prop_oneof![Just((Unit::Day, 1)), Just((Unit::Week, 2)), Just((Unit::Month, 1)), Just((Unit::Year, 1))];
    (interval, any::<bool>(), any::<bool>(), -400_i64..400, proptest::option::of(0_i64..50)).prop_map(
        |((unit, count), in_advance, fixed_months, anchor, trial)| {
            let mode = if in_advance { BillingMode::Prepaid } else { BillingMode::Postpaid };
            let mut new = monthly("1", "2024-01-10");
            new.interval = Interval::new(unit, count).unwrap();
            new.anchor = Some(new.start + TimeDelta::days(anchor));
            new.trial_until = trial.map(|days| new.start + TimeDelta::days(days));
            new.terms = Terms::default_of(mode, 2);
            new.terms.basis = if fixed_months { Basis::ThirtyDayMonths } else { Basis::CalendarDays };
            Subscription::create(new).unwrap()
        },
    )
}

/// How often each price was charged for a day, and how much in all, credits taken off.
#[derive(Default)]
struct Tally {
    days: BTreeMap<(NaiveDate, Decimal), i32>,
    net: Money,
}

fn tally(tally: &mut Tally, dues: &[Due]) {
    for due in dues {
        tally.net = tally.net.checked_add(due.net().unwrap()).unwrap();
        assert!(!tally.net.is_negative(), "more is given back than was charged");
        let charges = due.charges.iter().map(|item| (item, 1));
        for (item, sign) in charges.chain(due.credits.iter().map(|item| (item, -1))) {
            for day in item.days.start.iter_days().take_while(|day| *day < item.days.end) {
                *tally.days.entry((day, item.line.unit_price)).or_default() += sign;
            }
        }
    }
}

/// Runs until nothing is due by the day; later days come later.
fn run_all(subscription: &mut Subscription, today: NaiveDate, charged: &mut Tally) {
    loop {
        let run = subscription.run(today, |_| true).unwrap();
        assert!(run.dues.iter().all(|due| due.on <= today));
        assert!(run.dues.is_sorted_by_key(|due| due.on));
        tally(charged, &run.dues);
        *subscription = run.after;
        if run.dues.is_empty() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_day_is_charged_exactly_once(mut subscription in subscriptions(), wishes in wishes(), before in 0_i64..20) {
        let start = subscription.schedule.start;
        let mut model = Model { start, prices: vec![1; DAYS], free: vec![false; DAYS], ends_on: None };
        let trial = subscription.trial_until.map_or(0, |day| model.from(day));
        let mut charged = Tally::default();
        let mut today = start - TimeDelta::days(before);
        let last = start + TimeDelta::days(i64::try_from(DAYS).unwrap());
        for (step, wish) in wishes {
            today = (today + TimeDelta::days(step)).min(last);
            model.apply(&mut subscription, &wish, today);
            if matches!(wish, Wish::Run | Wish::Cancel(false)) {
                run_all(&mut subscription, today, &mut charged);
            }
        }
        run_all(&mut subscription, last, &mut charged);
        prop_assert!(subscription.next_on().unwrap().is_none_or(|day| day > last));
        // In arrears the present period is not charged yet; what will be once it is, is no matter here.
        let until = subscription.next_period().map_or(DAYS, |period| model.from(period.start));
        for index in 0..until {
            let day = start + TimeDelta::days(i64::try_from(index).unwrap());
            let price = model.price_on(index).filter(|_| index >= trial);
            for candidate in 1..5 {
                let count = charged.days.get(&(day, Decimal::from(candidate))).copied().unwrap_or_default();
                prop_assert_eq!(count, i32::from(price == Some(candidate)), "{} at {}", day, candidate);
            }
        }
    }

    #[test]
    fn late_runs_charge_what_daily_runs_do(subscription in subscriptions(), days in 1_i64..400) {
        let (mut late, mut daily) = (subscription.clone(), subscription);
        let (mut of_late, mut of_daily) = (Vec::new(), Vec::new());
        for day in 0..=days {
            let today = daily.schedule.start + TimeDelta::days(day);
            let run = daily.run(today, |_| true).unwrap();
            of_daily.extend(run.dues);
            daily = run.after;
        }
        let today = late.schedule.start + TimeDelta::days(days);
        while late.next_on().unwrap().is_some_and(|day| day <= today) {
            let run = late.run(today, |_| true).unwrap();
            of_late.extend(run.dues);
            late = run.after;
        }
        prop_assert_eq!(of_late, of_daily);
        prop_assert_eq!(late, daily);
    }
}
