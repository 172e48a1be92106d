//! What a timeline is computed from.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::super::access::{self, Access};
use super::super::accounts::BillingMode;
use super::super::amounts::Amounts;
use super::super::calendar::{TimeZone, local_date, start_of_day};
use super::super::currency::Currency;
use super::super::instant::Instant;
use super::super::money::Money;
use super::super::policy::Policy;
use super::super::promise::Promises;
use super::super::settlement::{self, Credit, OpenInvoice};
use super::step::{Stage, Subject};

/// An issued invoice of type CHARGE that is not fully paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaidInvoice {
    /// The invoice; in a preview also the period whose invoice is still to be issued.
    pub subject: Subject,
    /// Its number; empty while it has none.
    pub number: String,
    /// The last day on which it is not overdue, a postponement included.
    pub due_date: NaiveDate,
    /// What is still to be paid.
    pub rest: Money,
    /// When it was issued, last reopened, or its due date last moved. What would have been said of it earlier is not
    /// missed.
    pub since: Instant,
    /// The local day on which it last reopened.
    pub reopened: Option<NaiveDate>,
    /// How often it has reopened.
    pub times_reopened: u32,
    /// Whether its rest stands in `amounts.overdue`: the row that says so is written. Otherwise it stands in `not_due`.
    pub is_overdue: bool,
}

impl UnpaidInvoice {
    /// The day that ages count from: the later of its due date and the day it reopened.
    pub fn counted_from(&self) -> NaiveDate {
        self.reopened.map_or(self.due_date, |reopened| reopened.max(self.due_date))
    }

    /// The instant from which it is overdue, if nothing is paid.
    pub fn overdue_at(&self, zone: TimeZone) -> Instant {
        start_of_day(access::days_after(self.due_date, 1), zone).max(self.since)
    }
}

/// How the charge of a subscription's period is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// By an invoice that is due so many days after its issue.
    Invoice {
        /// The terms of payment.
        terms_days: u16,
    },
    /// From the balance.
    Balance {
        /// Whether it waits for funds rather than post below zero.
        wait_for_funds: bool,
    },
}

/// The charge of a subscription's period that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingCharge {
    /// The subscription.
    pub subscription_id: String,
    /// The first local day of the period.
    pub starts: NaiveDate,
    /// When it is to be charged.
    pub at: Instant,
    /// How much, with tax.
    pub amount: Money,
    /// How it is collected.
    pub collection: Collection,
    /// Whether it has come and waits for funds. The subscription's later periods wait with it.
    pub is_waiting: bool,
}

impl UpcomingCharge {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        Subject::Period { subscription_id: self.subscription_id.clone(), starts: self.starts }
    }
}

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// Its id.
    pub hold_id: String,
    /// When it ends.
    pub expires_at: Instant,
    /// What it reserves.
    pub rest: Money,
}

/// The proof that a warning reached the client's side: a channel accepted it, or a gateway reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The warning.
    pub stage: Stage,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// The instant of suspension that the warning named.
    pub named: Instant,
}

/// Everything that an account's timeline depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The present.
    pub now: Instant,
    /// Whose local days count.
    pub zone: TimeZone,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Prepaid or postpaid.
    pub billing_mode: BillingMode,
    /// The amounts as of the last row.
    pub amounts: Amounts,
    /// Since when `available` has been negative without the promise ([`access::negative_since`]).
    pub negative_since: Option<Instant>,
    /// Unpaid invoices, in any order.
    pub invoices: Vec<UnpaidInvoice>,
    /// Charges of subscriptions to come, as far ahead as the timeline is to see, in any order.
    pub charges: Vec<UpcomingCharge>,
    /// Open holds, in any order.
    pub holds: Vec<OpenHold>,
    /// The open promise and whether one was broken.
    pub promises: Promises,
    /// The policy.
    pub policy: Policy,
    /// What is suspended, put off and claimed.
    pub access: Access,
    /// Stages raised, with the instant of each.
    pub raised: BTreeMap<Stage, Instant>,
    /// Proofs of delivery of warnings.
    pub proofs: Vec<Proof>,
}

impl Facts {
    /// The local day.
    pub fn today(&self) -> NaiveDate {
        local_date(self.now, self.zone)
    }

    /// The minor unit of the currency: less is no debt.
    pub fn unit(&self) -> Money {
        Money::minor_unit(self.currency.minor_digits())
    }

    /// The debt of those amounts.
    pub fn debt(&self, amounts: &Amounts) -> Money {
        access::debt(amounts, self.billing_mode, self.unit())
    }

    /// The facts after a payment of `amount` now that names no invoice: it settles, shrinks the promise, and may end
    /// what was negative. What it lifts is a step of the new timeline.
    #[must_use]
    pub fn paid(&self, amount: Money) -> Self {
        let mut facts = self.clone();
        let today = self.today();
        let open: Vec<_> = self.invoices.iter().map(|invoice| invoice.to_settle(today)).collect();
        let credit = Credit { sequence: 0, amount, invoice_id: None };
        let settled = settlement::settle(self.billing_mode, &credit, &open, self.amounts.direct_debt());
        for (invoice, open) in facts.invoices.iter_mut().zip(&open) {
            let of_it = settled.allocations.iter().filter(|allocation| allocation.invoice_id == open.invoice_id);
            let paid = Money::checked_sum(of_it.map(|allocation| allocation.amount)).unwrap_or(Money::ZERO);
            invoice.rest = minus(invoice.rest, paid);
            let part = if invoice.is_overdue { &mut facts.amounts.overdue } else { &mut facts.amounts.not_due };
            *part = minus(*part, paid);
        }
        facts.invoices.retain(|invoice| invoice.rest.is_positive());
        facts.amounts.posted = plus(self.amounts.posted, amount);
        let debt = facts.debt(&facts.amounts);
        (facts.promises, _) = self.promises.after_payment(amount, debt, self.now);
        facts.amounts.promised = facts.promises.open.as_ref().map_or(Money::ZERO, |open| open.rest);
        facts.negative_since = access::negative_since(self.negative_since, &facts.amounts, self.unit(), self.now);
        facts.access = self.access.after_change(&facts.amounts, self.billing_mode, self.unit());
        facts
    }
}

impl UnpaidInvoice {
    fn to_settle(&self, today: NaiveDate) -> OpenInvoice {
        OpenInvoice {
            invoice_id: self.subject.to_string(),
            number: self.number.clone(),
            due_date: self.due_date,
            rest: self.rest,
            is_overdue: self.due_date < today,
        }
    }
}

/// The sum, held at the range of money: a forecast beyond it changes no decision.
pub(super) fn plus(one: Money, other: Money) -> Money {
    one.checked_add(other).unwrap_or(if other.is_negative() { Money::MIN } else { Money::MAX })
}

/// The difference, held at the range of money.
pub(super) fn minus(one: Money, other: Money) -> Money {
    plus(one, other.negated())
}
