//! When access is suspended and restored by itself, and the warnings before it.
//!
//! "No block without warning" ("Due dates, grace, suspension" in `rules.md`): what is due is one date; whether the
//! proof of a warning allows it is another.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::super::access::{SuspensionReason, days_after, days_before};
use super::super::calendar::{instant_at, local_date, start_of_day};
use super::super::instant::Instant;
use super::super::money::Money;
use super::facts::{Facts, Proof, UnpaidInvoice};
use super::path::{Path, Point};
use super::reminders::{position, unraised};
use super::step::{Cause, Notice, Stage, Step, StepKind, Subject};

/// Warnings, suspensions and restorations.
pub(super) fn steps(facts: &Facts, path: &Path) -> Vec<Step> {
    let mut steps = by_decision(facts);
    let lifted = lifted_now(facts, path);
    if !lifted.is_empty() {
        steps.push(restore(facts.now, lifted.clone()));
    }
    let stands = |reason| facts.access.reasons.contains(&reason) && !lifted.contains(&reason);
    if !stands(SuspensionReason::Debt) {
        steps.extend(for_debt(facts, path));
    }
    steps.extend(for_negative_balance(facts, path, stands(SuspensionReason::NegativeBalance)));
    steps.extend(for_broken_promise(facts, path, &steps));
    steps.extend(short_funds(facts, path));
    steps
}

/// The reasons standing that have lost their cause, if the policy restores by itself.
fn lifted_now(facts: &Facts, path: &Path) -> BTreeSet<SuspensionReason> {
    let present = path.first_from(facts.now, |_| true).filter(|_| facts.policy.auto_restore);
    present.map_or_else(BTreeSet::new, |(_, present)| {
        facts.access.without_cause(&present.amounts, facts.billing_mode, facts.unit())
    })
}

/// What people have decided: suspensions to come, and the days on which they end.
fn by_decision(facts: &Facts) -> Vec<Step> {
    let planned = facts.access.planned.iter().map(|planned| Step {
        at: planned.at.max(facts.now),
        kind: StepKind::Suspension { reasons: [planned.reason].into(), without_proof: false },
        subject: Subject::Account,
        amount: Money::ZERO,
        stage: None,
    });
    let ends = facts.access.until.iter().map(|(reason, until)| (*reason, *until));
    let ends = ends.chain(facts.access.planned.iter().filter_map(|planned| Some((planned.reason, planned.until?))));
    let ends = ends.map(|(reason, until)| restore(start_of_day(until, facts.zone).max(facts.now), [reason].into()));
    planned.chain(ends).collect()
}

fn restore(at: Instant, reasons: BTreeSet<SuspensionReason>) -> Step {
    Step { at, kind: StepKind::Restore { reasons }, subject: Subject::Account, amount: Money::ZERO, stage: None }
}

/// The suspension for debt: of the oldest invoice, with its warnings.
fn for_debt(facts: &Facts, path: &Path) -> Vec<Step> {
    let Some(days) = facts.policy.suspend_after_overdue_days else { return Vec::new() };
    let least = facts.policy.least_to_suspend(facts.currency);
    let holds = |point: &Point| point.uncovered_debt(facts) >= least;
    let threat = |invoice: &UnpaidInvoice| {
        let base = start_of_day(days_after(invoice.counted_from(), days.max(1)), facts.zone);
        let stood_from = invoice.overdue_at(facts.zone);
        let series = Series { subject: invoice.subject.clone(), date: invoice.due_date, times: invoice.times_reopened };
        Threat::of(facts, Cause::Debt, series, base.max(stood_from), stood_from)
    };
    let key = |invoice: &UnpaidInvoice| (invoice.counted_from(), invoice.due_date, invoice.number.clone());
    let oldest = path.invoices.iter().filter(|invoice| invoice.rest.is_positive()).map(|invoice| {
        let threat = threat(invoice);
        ((threat.base, key(invoice), invoice.subject.clone()), threat)
    });
    let Some((_, threat)) = oldest.min_by(|(one, _), (other, _)| one.cmp(other)) else { return Vec::new() };
    let amount = |point: &Point| facts.debt(&point.amounts);
    threat.course(facts, path, holds, amount).map_or_else(Vec::new, |course| course.steps)
}

/// Suspensions for a negative available amount: of the time below zero that stands and of those to come, each ended by
/// what time gives back.
fn for_negative_balance(facts: &Facts, path: &Path, is_suspended: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut cursor = facts.now;
    if is_suspended {
        match recovery(facts, path, cursor) {
            Some(at) => cursor = at,
            None => return steps,
        }
        steps.push(restore(cursor, [SuspensionReason::NegativeBalance].into()));
    }
    if !facts.policy.suspends_on_negative(facts.billing_mode) {
        return steps;
    }
    let mut supposed = facts.clone();
    for fell in path.falls() {
        // Of one time below zero there may be several suspensions: while a promise covers it, there is none.
        while let Some(course) = below_zero(&supposed, path, fell, cursor) {
            supposed.suppose_delivered(&course.steps);
            let recovered = recovery(facts, path, course.suspended_at);
            steps.extend(course.steps);
            let Some(at) = recovered else { return steps };
            cursor = at;
            steps.push(restore(at, [SuspensionReason::NegativeBalance].into()));
        }
    }
    steps
}

/// The suspension for a time below zero, from `cursor` on.
fn below_zero(facts: &Facts, path: &Path, fell: Instant, cursor: Instant) -> Option<Course> {
    let date = local_date(fell, facts.zone);
    let base = match facts.policy.grace_days {
        0 => fell,
        days => start_of_day(days_after(date, days), facts.zone),
    };
    let series = Series { subject: Subject::Account, date, times: 0 };
    let mut threat = Threat::of(facts, Cause::NegativeBalance, series, base, fell);
    if cursor > facts.now {
        threat.base = threat.base.max(cursor);
    }
    let least = facts.policy.least_to_suspend(facts.currency);
    let holds = |point: &Point| point.negative_since == Some(fell) && point.lacking(facts) >= least;
    threat.course(facts, path, holds, |point| point.lacking(facts))
}

/// When time alone lifts a suspension for a negative balance that stands at `from`.
fn recovery(facts: &Facts, path: &Path, from: Instant) -> Option<Instant> {
    let recovered = path.first_from(from, |point| point.lacking(facts).is_zero());
    recovered.filter(|_| facts.policy.auto_restore).map(|(at, _)| at)
}

/// A promise broken while access is suspended for debt already joins the reasons; otherwise it comes with the
/// suspension.
fn for_broken_promise(facts: &Facts, path: &Path, steps: &[Step]) -> Option<Step> {
    let is_broken = |point: &Point| point.is_promise_broken && facts.debt(&point.amounts).is_positive();
    let (at, point) = path.first_from(facts.now, is_broken)?;
    let mut standing = facts.access.reasons.clone();
    let mut ordered: Vec<_> = steps.iter().filter(|step| step.at <= at).collect();
    ordered.sort_by(|one, other| one.order(other));
    for step in ordered {
        match &step.kind {
            StepKind::Restore { reasons } => standing.retain(|reason| !reasons.contains(reason)),
            StepKind::Suspension { reasons, .. } if reasons.contains(&SuspensionReason::PromiseBroken) => return None,
            StepKind::Suspension { reasons, .. } if step.at < at => standing.extend(reasons),
            _ => {}
        }
    }
    let joins =
        standing.iter().any(|reason| reason.is_automatic()) && !standing.contains(&SuspensionReason::PromiseBroken);
    joins.then(|| Step {
        at,
        kind: StepKind::Suspension { reasons: [SuspensionReason::PromiseBroken].into(), without_proof: false },
        subject: Subject::Account,
        amount: facts.debt(&point.amounts),
        stage: None,
    })
}

/// Warnings of subscriptions that will wait for funds. Nothing is taken from the client then, so no proof is asked for.
fn short_funds(facts: &Facts, path: &Path) -> Vec<Step> {
    let waits = path.steps.iter().filter(|step| step.kind == StepKind::Wait && step.at > facts.now);
    let warnings = waits.flat_map(|wait| {
        let date = match &wait.subject {
            Subject::Period { starts, .. } => *starts,
            _ => local_date(wait.at, facts.zone),
        };
        let series = Series { subject: wait.subject.clone(), date, times: 0 };
        let threat = Threat { cause: Cause::ShortFunds, series, base: wait.at };
        threat
            .warnings(facts, wait.at)
            .into_iter()
            .map(|(at, stage)| threat.warning(at, stage, wait.at, wait.amount))
            .collect::<Vec<_>>()
    });
    warnings.collect()
}

/// What all stages of one cause have in common.
struct Series {
    subject: Subject,
    date: NaiveDate,
    times: u32,
}

impl Series {
    fn stage(&self, notice: Notice, days: u16) -> Stage {
        Stage { notice, subject: self.subject.clone(), date: self.date, times_reopened: self.times, days }
    }
}

/// A cause of suspension.
struct Threat {
    cause: Cause,
    series: Series,
    /// When it suspends at the earliest, proof and amounts aside.
    base: Instant,
}

/// The warnings and the suspension that a cause leads to.
struct Course {
    steps: Vec<Step>,
    suspended_at: Instant,
}

impl Threat {
    /// A cause that stands from an instant on. An operator's reprieve of it and the client's claim of payment put it
    /// off; a reprieve is a moved date, so its stages begin anew.
    fn of(facts: &Facts, cause: Cause, series: Series, base: Instant, stood_from: Instant) -> Self {
        let mut threat = Self { cause, series, base };
        let reprieve = facts.access.reprieve.filter(|reprieve| stood_from <= reprieve.at);
        if let Some(reprieve) = reprieve.filter(|reprieve| reprieve.until > threat.series.date) {
            threat.series.date = reprieve.until;
            threat.base = threat.base.max(start_of_day(reprieve.until, facts.zone));
        }
        if let Some(claim) = facts.access.claim {
            let arrived = facts.policy.end_of_transit(local_date(claim.at, facts.zone));
            threat.base = threat.base.max(start_of_day(days_after(arrived, 1), facts.zone));
        }
        threat
    }

    /// The course of the cause while a state holds; `None` when it never does.
    fn course(
        &self,
        facts: &Facts,
        path: &Path,
        holds: impl Fn(&Point) -> bool,
        amount: impl Fn(&Point) -> Money,
    ) -> Option<Course> {
        let (due, _) = path.first_from(self.base, &holds)?;
        let warnings = self.warnings(facts, due);
        let (allowed, without_proof) = self.allowed(facts, due, warnings.first().map(|(at, _)| *at))?;
        let (at, point) = path.first_from(allowed.max(facts.now), &holds)?;
        let amount = amount(point);
        let warn = |(warned, stage)| self.warning(warned, stage, at, amount);
        let mut steps: Vec<_> = warnings.into_iter().map(warn).collect();
        steps.extend(self.undeliverable(facts, due, amount));
        let mut reasons = BTreeSet::from([self.reason()]);
        if point.is_promise_broken && facts.debt(&point.amounts).is_positive() {
            reasons.insert(SuspensionReason::PromiseBroken);
        }
        let kind = StepKind::Suspension { reasons, without_proof };
        steps.push(Step { at, kind, subject: self.series.subject.clone(), amount, stage: None });
        Some(Course { steps, suspended_at: at })
    }

    fn reason(&self) -> SuspensionReason {
        match self.cause {
            Cause::NegativeBalance => SuspensionReason::NegativeBalance,
            Cause::Debt | Cause::ShortFunds => SuspensionReason::Debt,
        }
    }

    /// The warnings still to come before what is due, and when.
    fn warnings(&self, facts: &Facts, due: Instant) -> Vec<(Instant, Stage)> {
        let day = local_date(due, facts.zone);
        let days = facts.policy.warn_before_suspension_days.iter().rev();
        let scheduled = days.map(|days| {
            let at = instant_at(days_before(day, *days), facts.policy.notify_at, facts.zone);
            (at, self.series.stage(Notice::SuspensionAhead, *days))
        });
        let last = self.raised(facts).map(|(stage, _)| position(stage)).max();
        unraised(scheduled.collect(), last, facts.now)
    }

    /// The warnings raised, with the instant of each.
    fn raised<'a>(&self, facts: &'a Facts) -> impl Iterator<Item = (&'a Stage, Instant)> {
        let of_it = self.series.stage(Notice::SuspensionAhead, 0);
        facts.raised.iter().filter(move |(stage, _)| stage.is_of(&of_it)).map(|(stage, at)| (stage, *at))
    }

    /// The instants at which proofs allow the suspension that is due: `min_notice` after the proof, and not before what
    /// the warning named.
    fn proven<'a>(&self, facts: &'a Facts, due: Instant) -> impl Iterator<Item = Instant> + 'a {
        let of_it = self.series.stage(Notice::SuspensionAhead, 0);
        let proofs = facts.proofs.iter().filter(move |proof| proof.stage.is_of(&of_it));
        proofs.map(move |proof| due.max(later(proof.accepted_at, facts.policy.min_notice)).max(proof.named))
    }

    /// When what is due may happen, and whether that is without a proof. `None` when no warning was or will be raised.
    fn allowed(&self, facts: &Facts, due: Instant, next_warning: Option<Instant>) -> Option<(Instant, bool)> {
        let notice = facts.policy.min_notice;
        if let Some(proven) = self.proven(facts, due).min() {
            return Some((proven, false));
        }
        let Some(first) = self.raised(facts).map(|(_, at)| at).min() else {
            // That a warning to come will be taken is what a preview must suppose.
            return next_warning.map(|at| (due.max(later(at, notice)), false));
        };
        let moved = due.max(later(facts.now, notice));
        let wait = facts.policy.max_notice_wait;
        // The wait begins with the first warning at the earliest: after an outage, none was raised before.
        let deadline = later(due.max(first), wait);
        if wait.is_zero() || deadline >= moved { Some((moved, false)) } else { Some((deadline, true)) }
    }

    /// Tells operators that the suspension is due, or `min_notice` has passed since the warning, and nothing proves it.
    fn undeliverable(&self, facts: &Facts, due: Instant, amount: Money) -> Option<Step> {
        let first = self.raised(facts).map(|(_, at)| at).min()?;
        let stage = self.series.stage(Notice::NoticeUndeliverable, 0);
        if self.proven(facts, due).next().is_some() || facts.raised.contains_key(&stage) {
            return None;
        }
        let at = due.max(later(first, facts.policy.min_notice)).max(facts.now);
        let kind = StepKind::NoticeUndeliverable { cause: self.cause };
        Some(Step { at, kind, subject: self.series.subject.clone(), amount, stage: Some(stage) })
    }

    fn warning(&self, at: Instant, stage: Stage, planned: Instant, amount: Money) -> Step {
        let kind = StepKind::SuspensionAhead { days: stage.days, planned, cause: self.cause };
        Step { at, kind, subject: self.series.subject.clone(), amount, stage: Some(stage) }
    }
}

impl Facts {
    /// Takes the warnings among the steps as raised and delivered.
    fn suppose_delivered(&mut self, steps: &[Step]) {
        for step in steps {
            let (StepKind::SuspensionAhead { planned, .. }, Some(stage)) = (&step.kind, &step.stage) else { continue };
            self.raised.insert(stage.clone(), step.at);
            self.proofs.push(Proof { stage: stage.clone(), accepted_at: step.at, named: *planned });
        }
    }
}

fn later(at: Instant, duration: std::time::Duration) -> Instant {
    at.checked_add(duration).unwrap_or(Instant::MAX)
}
