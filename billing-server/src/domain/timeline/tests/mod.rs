#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod engine;
mod notice;
mod payment;
mod reminding;
mod suspending;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};

use super::super::access::{Access, SuspensionReason};
use super::super::accounts::BillingMode;
use super::super::amounts::Amounts;
use super::super::calendar::{TimeZone, parse_date, start_of_day};
use super::super::currency::Currency;
use super::super::instant::Instant;
use super::super::money::Money;
use super::super::policy::Policy;
use super::super::promise::{Promise, PromiseState, Promises};
use super::*;

/// The instant of an RFC 3339 text; a date alone is its midnight in UTC.
fn at(text: &str) -> Instant {
    match parse_date(text) {
        Some(date) => start_of_day(date, TimeZone::UTC),
        None => Instant::from_utc(DateTime::parse_from_rfc3339(text).unwrap().to_utc()).unwrap(),
    }
}

fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

/// An account in EUR and UTC without anything, under a policy that says nothing by itself: no reminders, suspension 7
/// days after the due date or 3 days below zero, a warning 2 days before, 24 hours of notice.
fn account(mode: BillingMode, now: &str) -> Facts {
    Facts {
        now: at(now),
        zone: TimeZone::UTC,
        currency: Currency::parse("EUR").unwrap(),
        billing_mode: mode,
        amounts: Amounts::default(),
        negative_since: None,
        invoices: Vec::new(),
        charges: Vec::new(),
        holds: Vec::new(),
        promises: Promises::default(),
        policy: Policy {
            remind_before_days: [].into(),
            remind_after_days: [].into(),
            suspend_after_overdue_days: Some(7),
            warn_before_suspension_days: [2].into(),
            ..Policy::default()
        },
        access: Access::default(),
        raised: BTreeMap::new(),
        proofs: Vec::new(),
    }
}

impl Facts {
    /// With an unpaid invoice of long ago, overdue or not as of now.
    fn with_invoice(mut self, id: &str, due: &str, rest: &str) -> Self {
        let (due_date, rest) = (date(due), money(rest));
        let is_overdue = due_date < self.today();
        let part = if is_overdue { &mut self.amounts.overdue } else { &mut self.amounts.not_due };
        *part = part.checked_add(rest).unwrap();
        self.amounts.posted = self.amounts.posted.checked_sub(rest).unwrap();
        self.invoices.push(UnpaidInvoice {
            subject: Subject::Invoice(id.to_owned()),
            number: id.to_owned(),
            due_date,
            rest,
            since: Instant::MIN,
            reopened: None,
            times_reopened: 0,
            is_overdue,
        });
        self
    }

    fn with_promise(mut self, until: &str, amount: &str) -> Self {
        let amount = money(amount);
        let taken_at = self.now;
        self.amounts.promised = amount;
        self.promises.open = Some(Promise {
            promise_id: "p1".to_owned(),
            state: PromiseState::Open,
            amount,
            rest: amount,
            until: date(until),
            taken_at,
            ended_at: None,
        });
        self
    }

    fn with_charge(mut self, subscription_id: &str, when: &str, amount: &str, wait_for_funds: bool) -> Self {
        self.charges.push(UpcomingCharge {
            subscription_id: subscription_id.to_owned(),
            starts: date(when.get(..10).unwrap()),
            at: at(when),
            amount: money(amount),
            collection: Collection::Balance { wait_for_funds },
            is_waiting: false,
        });
        self
    }

    fn with_hold(mut self, hold_id: &str, expires_at: &str, rest: &str) -> Self {
        self.amounts.held = self.amounts.held.checked_add(money(rest)).unwrap();
        self.holds.push(OpenHold { hold_id: hold_id.to_owned(), expires_at: at(expires_at), rest: money(rest) });
        self
    }

    /// The whole timeline, a line a step.
    fn told(&self) -> Vec<String> {
        timeline(self, Instant::MAX).iter().map(tell).collect()
    }
}

/// A step as one line: instant, what, about what.
fn tell(step: &Step) -> String {
    let names = |reasons: &std::collections::BTreeSet<SuspensionReason>| {
        reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>().join("+")
    };
    let what = match &step.kind {
        StepKind::HoldEnd => "hold end".to_owned(),
        StepKind::PromiseEnd { outcome } => format!("promise {outcome:?}"),
        StepKind::Overdue => "overdue".to_owned(),
        StepKind::Invoice { due_date } => format!("invoice due {due_date}"),
        StepKind::Charge => "charge".to_owned(),
        StepKind::Wait => "wait".to_owned(),
        StepKind::Restore { reasons } => format!("restore {}", names(reasons)),
        StepKind::PaymentDue { days } => format!("due in {days}"),
        StepKind::PaymentOverdue { days } => format!("overdue for {days}"),
        StepKind::PromiseEnding => "promise ending".to_owned(),
        StepKind::SuspensionAhead { days, planned, .. } => format!("warning {days} of {planned}"),
        StepKind::NoticeUndeliverable { .. } => "undeliverable".to_owned(),
        StepKind::Suspension { reasons, without_proof: false } => format!("suspend {}", names(reasons)),
        StepKind::Suspension { reasons, without_proof: true } => format!("suspend {} without proof", names(reasons)),
    };
    format!("{} {what} {}", step.at, step.subject)
}

/// What the engine does with a step that is due: it changes the facts, raises the stage, and the channel takes warnings
/// if it `delivers`.
fn act(facts: &mut Facts, step: &Step, delivers: bool) {
    match &step.kind {
        StepKind::HoldEnd => {
            facts.holds.retain(|hold| Subject::Hold(hold.hold_id.clone()) != step.subject);
            facts.amounts.held = facts.amounts.held.checked_sub(step.amount).unwrap();
        }
        StepKind::PromiseEnd { outcome } => {
            let (promises, ended) = facts.promises.after_end(facts.debt(&facts.amounts), facts.now, facts.zone);
            assert_eq!(ended.unwrap().state, *outcome);
            facts.promises = promises;
            facts.amounts.promised = Money::ZERO;
        }
        StepKind::Overdue => {
            facts.invoices.iter_mut().find(|invoice| invoice.subject == step.subject).unwrap().is_overdue = true;
            facts.amounts.not_due = facts.amounts.not_due.checked_sub(step.amount).unwrap();
            facts.amounts.overdue = facts.amounts.overdue.checked_add(step.amount).unwrap();
        }
        StepKind::Invoice { due_date } => {
            facts.charges.retain(|charge| charge.subject() != step.subject);
            let rest = step.amount.checked_sub(step.amount.min(facts.amounts.free())).unwrap();
            facts.amounts.posted = facts.amounts.posted.checked_sub(step.amount).unwrap();
            facts.amounts.not_due = facts.amounts.not_due.checked_add(rest).unwrap();
            if rest.is_positive() {
                facts.invoices.push(UnpaidInvoice {
                    subject: step.subject.clone(),
                    number: String::new(),
                    due_date: *due_date,
                    rest,
                    since: facts.now,
                    reopened: None,
                    times_reopened: 0,
                    is_overdue: false,
                });
            }
        }
        StepKind::Charge => {
            facts.charges.retain(|charge| charge.subject() != step.subject);
            facts.amounts.posted = facts.amounts.posted.checked_sub(step.amount).unwrap();
        }
        StepKind::Wait => {
            facts.charges.iter_mut().find(|charge| charge.subject() == step.subject).unwrap().is_waiting = true;
        }
        StepKind::Restore { reasons } => facts.access = facts.access.lifted(reasons),
        StepKind::Suspension { reasons, .. } => facts.access = facts.access.suspended(reasons, step.at),
        StepKind::SuspensionAhead { planned, .. } if delivers => {
            let stage = step.stage.clone().unwrap();
            facts.proofs.push(Proof { stage, accepted_at: facts.now, named: *planned });
        }
        _ => {}
    }
    facts.negative_since =
        super::super::access::negative_since(facts.negative_since, &facts.amounts, facts.unit(), step.at);
    if let Some(stage) = &step.stage {
        assert_eq!(facts.raised.insert(stage.clone(), facts.now), None, "raised twice: {stage:?}");
    }
}

/// Does at `now` what is due, and says what it did.
fn run_at(facts: &mut Facts, now: Instant, delivers: bool) -> Vec<Step> {
    facts.now = now;
    let mut done = Vec::new();
    while let Some(step) = next_step(facts).filter(|step| step.at <= now) {
        act(facts, &step, delivers);
        done.push(step);
        assert!(done.len() < 1_000, "it never ends: {:?}", done.last());
    }
    done
}

/// Does what is due at every midnight and noon (UTC) of some days.
fn run_daily(facts: &mut Facts, days: u16, delivers: bool) -> Vec<Step> {
    let first = facts.today();
    let mut done = Vec::new();
    for day in 0..days {
        let midnight = start_of_day(days_after(first, day), TimeZone::UTC).max(facts.now);
        let noon = midnight.checked_add(std::time::Duration::from_secs(12 * 3600)).unwrap();
        done.extend(run_at(facts, midnight, delivers));
        done.extend(run_at(facts, noon, delivers));
    }
    done
}
