//! How the amounts of an account move by time alone, if nothing is paid and nothing is used.

use std::collections::BTreeMap;

use super::super::access::{days_after, lacking, negative_since};
use super::super::amounts::Amounts;
use super::super::calendar::local_date;
use super::super::instant::Instant;
use super::super::money::Money;
use super::MAX_STEPS;
use super::facts::{Collection, Facts, UnpaidInvoice, UpcomingCharge, minus, plus};
use super::step::{Step, StepKind, Subject};

/// The state of the account from an instant on.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) at: Instant,
    pub(super) amounts: Amounts,
    /// Since when `available` has been negative without the promise.
    pub(super) negative_since: Option<Instant>,
    /// A promise was broken and bars others.
    pub(super) is_promise_broken: bool,
}

/// The known future: steps that change amounts, and the state between them.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
    /// Unpaid invoices, those still to be issued included.
    pub(super) invoices: Vec<UnpaidInvoice>,
    /// By `at`, each later than the one before; the first holds from the beginning of time.
    points: Vec<Point>,
}

impl Path {
    /// Walks through the known future of the facts.
    pub(super) fn of(facts: &Facts) -> Self {
        Walk::new(facts).run()
    }

    /// The first instant from `earliest` on at which a state holds, with the state.
    pub(super) fn first_from(&self, earliest: Instant, holds: impl Fn(&Point) -> bool) -> Option<(Instant, &Point)> {
        let later = self.points.partition_point(|point| point.at <= earliest);
        let standing = self.points.get(..later)?.last()?;
        if holds(standing) {
            return Some((earliest, standing));
        }
        self.points.get(later..)?.iter().find(|point| holds(point)).map(|point| (point.at, point))
    }

    /// The instants at which `available` falls below zero, earliest first: the one since which it is there, and those to
    /// come.
    pub(super) fn falls(&self) -> Vec<Instant> {
        let mut falls: Vec<_> = self.points.iter().filter_map(|point| point.negative_since).collect();
        falls.dedup();
        falls
    }
}

enum Event {
    HoldEnd(Money),
    PromiseEnd,
    Overdue(Money),
    Charge(UpcomingCharge),
}

impl Event {
    /// The order of events at one instant, as of their steps.
    fn rank(&self) -> u8 {
        match self {
            Self::HoldEnd(_) => 0,
            Self::PromiseEnd => 1,
            Self::Overdue(_) => 2,
            Self::Charge(charge) if matches!(charge.collection, Collection::Invoice { .. }) => 3,
            Self::Charge(_) => 4,
        }
    }
}

struct Walk<'a> {
    facts: &'a Facts,
    state: Point,
    queue: BTreeMap<(Instant, u8, Subject), Event>,
    /// Charges that have come and wait for funds.
    waiting: Vec<UpcomingCharge>,
    path: Path,
}

impl<'a> Walk<'a> {
    fn new(facts: &'a Facts) -> Self {
        let negative_since = negative_since(facts.negative_since, &facts.amounts, facts.unit(), facts.now);
        let is_promise_broken = facts.promises.locked_by.is_some();
        let state = Point { at: Instant::MIN, amounts: facts.amounts, negative_since, is_promise_broken };
        let path = Path { steps: Vec::new(), invoices: facts.invoices.clone(), points: vec![state.clone()] };
        let mut walk = Self { facts, state, queue: BTreeMap::new(), waiting: Vec::new(), path };
        for hold in &facts.holds {
            walk.expect(hold.expires_at, Subject::Hold(hold.hold_id.clone()), Event::HoldEnd(hold.rest));
        }
        if let Some(promise) = &facts.promises.open {
            walk.expect(promise.ends_at(facts.zone), Subject::Promise(promise.promise_id.clone()), Event::PromiseEnd);
        }
        for invoice in facts.invoices.iter().filter(|invoice| !invoice.is_overdue) {
            walk.expect(invoice.overdue_at(facts.zone), invoice.subject.clone(), Event::Overdue(invoice.rest));
        }
        for charge in &facts.charges {
            // What is charged late is posted now, not back then.
            walk.expect(charge.at.max(facts.now), charge.subject(), Event::Charge(charge.clone()));
        }
        walk
    }

    fn run(mut self) -> Path {
        while let Some(((at, _, subject), event)) = self.queue.pop_first() {
            if self.path.steps.len() >= MAX_STEPS {
                break;
            }
            match event {
                Event::HoldEnd(rest) => self.end_hold(at, subject, rest),
                Event::PromiseEnd => self.end_promise(at, subject),
                Event::Overdue(rest) => self.fall_overdue(at, subject, rest),
                Event::Charge(charge) => self.charge(at, subject, charge),
            }
        }
        self.path
    }

    fn expect(&mut self, at: Instant, subject: Subject, event: Event) {
        self.queue.insert((at, event.rank(), subject), event);
    }

    /// Takes a step with the amounts after it.
    fn step(&mut self, at: Instant, kind: StepKind, subject: Subject, amount: Money, amounts: Amounts) {
        let negative_since = negative_since(self.state.negative_since, &amounts, self.facts.unit(), at);
        self.state = Point { at, amounts, negative_since, ..self.state.clone() };
        // Of several states at one instant the last one counts.
        if self.path.points.last().is_some_and(|last| last.at == at) {
            self.path.points.pop();
        }
        self.path.points.push(self.state.clone());
        self.path.steps.push(Step { at, kind, subject, amount, stage: None });
    }

    fn end_hold(&mut self, at: Instant, subject: Subject, rest: Money) {
        let held = minus(self.state.amounts.held, rest).max(Money::ZERO);
        self.step(at, StepKind::HoldEnd, subject, rest, Amounts { held, ..self.state.amounts });
        for charge in std::mem::take(&mut self.waiting) {
            self.expect(at.max(self.facts.now), charge.subject(), Event::Charge(charge));
        }
    }

    fn end_promise(&mut self, at: Instant, subject: Subject) {
        let Some(promise) = &self.facts.promises.open else { return };
        let debt = self.facts.debt(&self.state.amounts);
        self.state.is_promise_broken |= debt.is_positive();
        let kind = StepKind::PromiseEnd { outcome: promise.outcome(debt) };
        let amounts = Amounts { promised: Money::ZERO, ..self.state.amounts };
        self.step(at, kind, subject, promise.rest, amounts);
    }

    fn fall_overdue(&mut self, at: Instant, subject: Subject, rest: Money) {
        let amounts = Amounts {
            not_due: minus(self.state.amounts.not_due, rest).max(Money::ZERO),
            overdue: plus(self.state.amounts.overdue, rest),
            ..self.state.amounts
        };
        self.step(at, StepKind::Overdue, subject, rest, amounts);
    }

    fn charge(&mut self, at: Instant, subject: Subject, charge: UpcomingCharge) {
        match charge.collection {
            Collection::Invoice { terms_days } => self.issue(at, subject, charge.amount, terms_days),
            Collection::Balance { wait_for_funds: true } if self.must_wait(&charge) => self.wait(at, subject, charge),
            Collection::Balance { .. } => {
                let posted = minus(self.state.amounts.posted, charge.amount);
                let amounts = Amounts { posted, ..self.state.amounts };
                self.step(at, StepKind::Charge, subject, charge.amount, amounts);
            }
        }
    }

    /// Whether the funds do not cover the charge, or an earlier period of the subscription waits already.
    fn must_wait(&self, charge: &UpcomingCharge) -> bool {
        charge.amount > self.state.amounts.available() || self.is_waiting(&charge.subscription_id)
    }

    fn is_waiting(&self, subscription_id: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting.subscription_id == subscription_id)
    }

    fn wait(&mut self, at: Instant, subject: Subject, charge: UpcomingCharge) {
        if !charge.is_waiting && !self.is_waiting(&charge.subscription_id) {
            let missing = minus(charge.amount, self.state.amounts.available());
            self.step(at, StepKind::Wait, subject, missing, self.state.amounts);
        }
        self.waiting.push(UpcomingCharge { is_waiting: true, ..charge });
    }

    /// Issues the invoice of a period; free money settles it at once.
    fn issue(&mut self, at: Instant, subject: Subject, amount: Money, terms_days: u16) {
        let due_date = days_after(local_date(at, self.facts.zone), terms_days);
        let rest = minus(amount, amount.min(self.state.amounts.free()));
        let amounts = Amounts {
            posted: minus(self.state.amounts.posted, amount),
            not_due: plus(self.state.amounts.not_due, rest),
            ..self.state.amounts
        };
        self.step(at, StepKind::Invoice { due_date }, subject.clone(), amount, amounts);
        if rest.is_positive() {
            let invoice = UnpaidInvoice {
                subject: subject.clone(),
                number: String::new(),
                due_date,
                rest,
                since: at,
                reopened: None,
                times_reopened: 0,
                is_overdue: false,
            };
            self.expect(invoice.overdue_at(self.facts.zone), subject, Event::Overdue(rest));
            self.path.invoices.push(invoice);
        }
    }
}

impl Point {
    /// The debt, if the open promise does not cover it.
    pub(super) fn uncovered_debt(&self, facts: &Facts) -> Money {
        let debt = facts.debt(&self.amounts);
        if self.amounts.promised >= debt { Money::ZERO } else { debt }
    }

    /// What `available` lacks to zero, the open promise included.
    pub(super) fn lacking(&self, facts: &Facts) -> Money {
        lacking(&self.amounts, true, facts.unit())
    }
}
