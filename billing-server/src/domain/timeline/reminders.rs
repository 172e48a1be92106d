//! What is said before and after a date: reminders of invoices and of the end of a promise, and warnings.

use super::super::access::{days_after, days_before};
use super::super::calendar::instant_at;
use super::super::instant::Instant;
use super::facts::{Facts, UnpaidInvoice};
use super::path::Path;
use super::step::{Notice, Stage, Step, StepKind, Subject};

/// The days before its last one on which the end of a promise is announced.
const PROMISE_ENDING_DAYS: u16 = 1;

/// Reminders of all invoices, and of the end of the promise.
pub(super) fn steps(facts: &Facts, path: &Path) -> Vec<Step> {
    let unit = facts.unit();
    let invoices = path.invoices.iter().filter(|invoice| invoice.rest >= unit);
    let mut steps: Vec<_> = invoices.flat_map(|invoice| of_invoice(facts, invoice)).collect();
    steps.extend(promise_ending(facts));
    steps
}

fn of_invoice(facts: &Facts, invoice: &UnpaidInvoice) -> Vec<Step> {
    let stage = |notice, days| Stage {
        notice,
        subject: invoice.subject.clone(),
        date: invoice.due_date,
        times_reopened: invoice.times_reopened,
        days,
    };
    let at = |date| instant_at(date, facts.policy.notify_at, facts.zone);
    let before = facts.policy.remind_before_days.iter().rev();
    let before = before.map(|days| (at(days_before(invoice.due_date, *days)), stage(Notice::PaymentDue, *days)));
    let after = facts.policy.remind_after_days.iter();
    let after = after.map(|days| (at(days_after(invoice.counted_from(), *days)), stage(Notice::PaymentOverdue, *days)));
    let raised = facts.raised.keys().filter(|raised| {
        matches!(raised.notice, Notice::PaymentDue | Notice::PaymentOverdue)
            && (&raised.subject, raised.date, raised.times_reopened)
                == (&invoice.subject, invoice.due_date, invoice.times_reopened)
    });
    let scheduled = before.chain(after).filter(|(at, _)| *at >= invoice.since).collect();
    let unraised = unraised(scheduled, raised.map(position).max(), facts.now);
    unraised
        .into_iter()
        .map(|(at, stage)| {
            let days = stage.days;
            let kind = match stage.notice {
                Notice::PaymentDue => StepKind::PaymentDue { days },
                _ => StepKind::PaymentOverdue { days },
            };
            Step { at, kind, subject: invoice.subject.clone(), amount: invoice.rest, stage: Some(stage) }
        })
        .collect()
}

fn promise_ending(facts: &Facts) -> Option<Step> {
    let promise = facts.promises.open.as_ref()?;
    let subject = Subject::Promise(promise.promise_id.clone());
    let date = promise.until;
    let stage = Stage {
        notice: Notice::PromiseEnding,
        subject: subject.clone(),
        date,
        times_reopened: 0,
        days: PROMISE_ENDING_DAYS,
    };
    let at = instant_at(days_before(date, PROMISE_ENDING_DAYS), facts.policy.notify_at, facts.zone);
    // A service that was down for longer than the promise lasted finds it ended.
    let is_late = promise.ends_at(facts.zone) <= facts.now;
    if is_late || at < promise.taken_at || facts.raised.contains_key(&stage) {
        return None;
    }
    let at = at.max(facts.now);
    Some(Step { at, kind: StepKind::PromiseEnding, subject, amount: promise.rest, stage: Some(stage) })
}

/// Where a stage stands among those of its thing: days before a date are negative.
pub(super) fn position(stage: &Stage) -> i32 {
    let days = i32::from(stage.days);
    match stage.notice {
        Notice::PaymentDue | Notice::SuspensionAhead | Notice::PromiseEnding => days.saturating_neg(),
        Notice::PaymentOverdue | Notice::NoticeUndeliverable => days,
    }
}

/// Which of the stages scheduled for one thing, earliest first, are still to be raised, and when: those after the last
/// one raised; of those whose time has passed only the most recent, now.
pub(super) fn unraised(
    scheduled: Vec<(Instant, Stage)>,
    last_raised: Option<i32>,
    now: Instant,
) -> Vec<(Instant, Stage)> {
    let is_left = |stage: &Stage| last_raised.is_none_or(|last| position(stage) > last);
    let left = scheduled.into_iter().filter(|(_, stage)| is_left(stage));
    let (missed, ahead): (Vec<_>, Vec<_>) = left.partition(|(at, _)| *at <= now);
    missed.into_iter().next_back().map(|(_, stage)| (now, stage)).into_iter().chain(ahead).collect()
}
