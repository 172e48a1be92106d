//! The timeline of an account: everything that time alone will do to it, as dated steps.
//!
//! The preview that clients see and the engine that acts are the same function ("Due dates, grace, suspension" in
//! `rules.md`). The engine applies the first step when it is due, adds its stage to the facts and computes again; the
//! preview takes all steps to come, supposing that warnings arrive. "X is paid now" is the timeline of
//! [`Facts::paid`].

use super::access::{SuspensionReason, days_after};
use super::calendar::start_of_day;
use super::instant::Instant;
use super::money::Money;

mod facts;
mod path;
mod reminders;
mod step;
mod suspension;
#[cfg(test)]
mod tests;

pub use facts::{Collection, Facts, OpenHold, Proof, UnpaidInvoice, UpcomingCharge};
pub use step::{Cause, Notice, Stage, Step, StepKind, Subject};

use path::Path;

/// The most steps of a timeline that change amounts; what lies behind them is not seen.
pub const MAX_STEPS: usize = 10_000;
/// The local days on that [`amount_to_pay`] looks when nothing else is said.
pub const DEFAULT_DAYS: u16 = 30;

/// What will happen before `until` if nothing is paid and nothing is used, in order.
///
/// Steps in the past are late; the engine makes up for them in this order. Of what is said, only the most recent stage
/// of each thing is made up for.
pub fn timeline(facts: &Facts, until: Instant) -> Vec<Step> {
    let mut steps = all_steps(facts);
    steps.retain(|step| step.at < until);
    steps
}

/// The first step; its instant is the account's `next_action_at`. It is due when that is not after now.
pub fn next_step(facts: &Facts) -> Option<Step> {
    all_steps(facts).into_iter().next()
}

/// When access will be suspended if nothing is paid, as far as is known; `None` also while it is suspended.
pub fn suspend_at(facts: &Facts) -> Option<Instant> {
    if !facts.access.is_allowed() {
        return None;
    }
    let steps = all_steps(facts);
    steps.iter().find(|step| matches!(step.kind, StepKind::Suspension { .. })).map(|step| step.at)
}

/// The end of the days that [`amount_to_pay`] looks ahead by default.
pub fn default_until(facts: &Facts) -> Instant {
    start_of_day(days_after(facts.today(), DEFAULT_DAYS), facts.zone)
}

/// The smallest payment made now, in whole minor units, after which no suspension for debt stands or comes before
/// `until`, by known facts, without a forecast of usage.
///
/// A suspension that only an operator may lift (`auto_restore` off) counts as lifted when its cause is gone.
pub fn amount_to_pay(facts: &Facts, until: Instant) -> Money {
    let mut facts = facts.clone();
    facts.policy.auto_restore = true;
    facts.policy.remind_before_days.clear();
    facts.policy.remind_after_days.clear();
    let unit = facts.unit();
    let averts = |units: i64| {
        let amount = Money::from_micros(units.saturating_mul(unit.micros()).min(Money::MAX.micros()));
        is_safe(&facts.paid(amount), until)
    };
    if averts(0) {
        return Money::ZERO;
    }
    // More money never brings a suspension nearer, so the smallest sufficient amount is found by halving.
    let everything = everything_owed(&facts).micros();
    let (mut short, mut enough) = (0_i64, everything.checked_div(unit.micros()).unwrap_or(0).saturating_add(1));
    while short.saturating_add(1) < enough {
        let middle = short.midpoint(enough);
        if averts(middle) { enough = middle } else { short = middle }
    }
    Money::from_micros(enough.saturating_mul(unit.micros()).min(Money::MAX.micros()))
}

/// Whether no suspension for debt stands or comes before `until`.
fn is_safe(facts: &Facts, until: Instant) -> bool {
    let mut standing = facts.access.reasons.clone();
    for step in all_steps(facts).into_iter().take_while(|step| step.at < until) {
        match step.kind {
            StepKind::Restore { reasons } if step.at <= facts.now => {
                standing.retain(|reason| !reasons.contains(reason));
            }
            StepKind::Suspension { reasons, .. } if reasons.iter().any(|reason| reason.is_automatic()) => return false,
            _ => {}
        }
    }
    !standing.into_iter().any(SuspensionReason::is_automatic)
}

/// What pays everything there is and everything known to come.
fn everything_owed(facts: &Facts) -> Money {
    let amounts = &facts.amounts;
    let lacking = super::access::lacking(amounts, false, facts.unit());
    let owed = [amounts.overdue, amounts.not_due, amounts.direct_debt(), amounts.held, lacking];
    let charges = facts.charges.iter().map(|charge| charge.amount);
    Money::checked_sum(owed.into_iter().chain(charges)).unwrap_or(Money::MAX)
}

fn all_steps(facts: &Facts) -> Vec<Step> {
    let path = Path::of(facts);
    let mut steps = reminders::steps(facts, &path);
    steps.extend(suspension::steps(facts, &path));
    steps.extend(path.steps);
    steps.sort_by(Step::order);
    steps
}
