//! The engine and the preview are one function: laws that hold for any facts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::super::super::access::negative_since;
use super::super::super::calendar::local_date;
use super::*;

const ZONES: [&str; 5] = ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "Asia/Kathmandu"];

prop_compose! {
    fn policies()(
        before in proptest::collection::btree_set(0_u16..9, 0..3),
        after in proptest::collection::btree_set(1_u16..9, 0..3),
        warn in proptest::collection::btree_set(1_u16..6, 1..3),
        age in proptest::option::of(0_u16..12),
        grace_days in 0_u16..4,
        negative in proptest::option::of(any::<bool>()),
        notice_hours in 0_u64..50,
        least in 1_i64..40,
    ) -> Policy {
        Policy {
            remind_before_days: before,
            remind_after_days: after,
            warn_before_suspension_days: warn,
            suspend_after_overdue_days: age,
            grace_days,
            suspend_on_negative_available: negative,
            min_notice: Duration::from_secs(notice_hours * 3_600),
            min_debt_to_suspend: [(Currency::parse("EUR").unwrap(), Money::from_micros(least * 1_000_000))].into(),
            ..Policy::default()
        }
    }
}

prop_compose! {
    /// Accounts in September, October and November, with clock changes among the days.
    fn accounts()(
        policy in policies(),
        zone in 0_usize..ZONES.len(),
        is_prepaid in any::<bool>(),
        posted in -20_i64..60,
        invoices in proptest::collection::vec((0_u16..30, 1_i64..50), 0..4),
        holds in proptest::collection::vec((0_u16..600, 1_i64..50), 0..3),
        charges in proptest::collection::vec((0_u16..25, 1_i64..50, 0_u8..3), 0..4),
        promise in proptest::option::of((0_u16..10, 1_i64..80)),
    ) -> Facts {
        let mode = if is_prepaid { BillingMode::Prepaid } else { BillingMode::Postpaid };
        let mut facts = account(mode, "2026-10-10T07:00:00Z");
        facts.zone = TimeZone::parse(ZONES[zone]).unwrap();
        facts.policy = policy;
        facts.amounts.posted = Money::from_micros(posted * 1_000_000);
        for (index, (days, rest)) in invoices.into_iter().enumerate() {
            let due = days_after(date("2026-09-25"), days).to_string();
            facts = facts.with_invoice(&format!("i{index}"), &due, &rest.to_string());
        }
        for (index, (hours, rest)) in holds.into_iter().enumerate() {
            let expires_at = facts.now.checked_add(Duration::from_secs(u64::from(hours) * 3_600 + 60)).unwrap();
            facts = facts.with_hold(&format!("h{index}"), &expires_at.to_string(), &rest.to_string());
        }
        for (index, (days, amount, how)) in charges.into_iter().enumerate() {
            let day = days_after(date("2026-10-11"), days).to_string();
            facts = facts.with_charge(&format!("s{index}"), &day, &amount.to_string(), how == 1);
            if how == 2 {
                facts.charges.iter_mut().last().unwrap().collection = Collection::Invoice { terms_days: 3 };
            }
        }
        if let Some((days, amount)) = promise {
            let until = days_after(date("2026-10-11"), days).to_string();
            facts = facts.with_promise(&until, &amount.to_string());
        }
        facts.negative_since = negative_since(None, &facts.amounts, facts.unit(), facts.now);
        facts
    }
}

/// The last position said of each thing: what was said in between may have been missed.
fn last_said(facts: &Facts) -> BTreeMap<(bool, Subject, NaiveDate, u32), i32> {
    let mut last = BTreeMap::new();
    for stage in facts.raised.keys().filter(|stage| stage.notice != Notice::PromiseEnding) {
        let key = (stage.notice == Notice::SuspensionAhead, stage.subject.clone(), stage.date, stage.times_reopened);
        let position = super::super::reminders::position(stage);
        last.entry(key).and_modify(|known: &mut i32| *known = position.max(*known)).or_insert(position);
    }
    last
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A punctual engine whose channels deliver does exactly what the preview said.
    #[test]
    fn the_preview_is_what_the_engine_does(facts in accounts()) {
        let until = at("2026-12-20");
        let expected: Vec<_> = timeline(&facts, until).iter().map(tell).collect();
        let mut acted = facts.clone();
        let mut done = Vec::new();
        while let Some(step) = next_step(&acted).filter(|step| step.at < until) {
            let now = step.at.max(acted.now);
            done.extend(run_at(&mut acted, now, true).iter().map(tell));
        }
        prop_assert_eq!(done, expected);
    }

    /// Day by day, or in one jump after an outage and then day by day: the same was said last, and access is the same.
    #[test]
    fn an_outage_ends_in_the_same_stages(facts in accounts(), days in 1_u16..40) {
        // Without charges, which a late engine makes late, and without holds, whose end may outrun a late warning.
        let amounts = Amounts { held: Money::ZERO, ..facts.amounts };
        let facts = Facts { charges: Vec::new(), holds: Vec::new(), amounts, ..facts };
        let facts = Facts {
            negative_since: negative_since(None, &facts.amounts, facts.unit(), facts.now),
            ..facts
        };
        let mut daily = facts.clone();
        run_daily(&mut daily, 80, true);
        let mut jumped = facts.clone();
        run_at(&mut jumped, start_of_day(days_after(facts.today(), days), TimeZone::UTC), true);
        run_daily(&mut jumped, 80, true);
        prop_assert_eq!(last_said(&daily), last_said(&jumped));
        prop_assert_eq!(&daily.access.reasons, &jumped.access.reasons);
        prop_assert_eq!((daily.amounts, daily.invoices), (jumped.amounts, jumped.invoices));
    }

    /// However late the engine is, no stage is raised twice (`act` checks), and nothing is suspended by itself without
    /// a warning that was out for `min_notice`.
    #[test]
    fn nothing_is_suspended_without_warning(
        facts in accounts(),
        hours in proptest::collection::vec(1_u64..300, 1..20),
        delivers in any::<bool>(),
    ) {
        let mut facts = facts;
        for hours in hours {
            let now = facts.now.checked_add(Duration::from_secs(hours * 3_600)).unwrap();
            for step in run_at(&mut facts, now, delivers) {
                let StepKind::Suspension { without_proof, reasons } = &step.kind else { continue };
                // A broken promise joins a suspension that stands.
                if *reasons == [SuspensionReason::PromiseBroken].into() {
                    continue;
                }
                let warned = facts.raised.iter().filter(|(stage, _)| {
                    stage.notice == Notice::SuspensionAhead && stage.subject == step.subject
                });
                let first = warned.map(|(_, at)| *at).min();
                let is_noticed = first.is_some_and(|first| now.duration_since(first) >= Some(facts.policy.min_notice));
                prop_assert!(is_noticed, "{first:?} {now}");
                prop_assert!(delivers != *without_proof || facts.policy.min_notice.is_zero());
            }
        }
    }

    /// The amount to pay averts, and a minor unit less does not.
    #[test]
    fn the_amount_to_pay_is_the_smallest(facts in accounts()) {
        let until = default_until(&facts);
        let amount = amount_to_pay(&facts, until);
        let is_safe = |amount: Money| {
            let paid = facts.paid(amount);
            timeline(&paid, until).iter().all(|step| !matches!(step.kind, StepKind::Suspension { .. }))
        };
        prop_assert!(is_safe(amount));
        if amount.is_positive() {
            prop_assert!(!is_safe(amount.checked_sub(facts.unit()).unwrap()));
        }
    }

    /// The order in which facts are given does not matter.
    #[test]
    fn the_order_of_facts_does_not_matter(facts in accounts()) {
        let mut turned = facts.clone();
        turned.invoices.reverse();
        turned.charges.reverse();
        turned.holds.reverse();
        prop_assert_eq!(timeline(&facts, Instant::MAX), timeline(&turned, Instant::MAX));
    }
}

#[test]
fn an_account_with_very_much_of_everything_is_computed_in_bounds() {
    let mut facts = account(BillingMode::Prepaid, "2026-10-01");
    facts.policy = Policy::default();
    for index in 0..300_u16 {
        let due = days_after(date("2026-09-01"), index % 90).to_string();
        facts = facts.with_invoice(&format!("i{index}"), &due, "1");
        let day = days_after(date("2026-10-02"), index).to_string();
        facts = facts.with_charge("s", &day, "1", false);
    }
    let steps = timeline(&facts, Instant::MAX);
    let days: BTreeSet<_> = steps.iter().map(|step| local_date(step.at, facts.zone)).collect();
    assert!(steps.is_sorted_by_key(|step| step.at) && days.len() > 300);
    assert!(amount_to_pay(&facts, default_until(&facts)).is_positive());
}
