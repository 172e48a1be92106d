//! Settling: which credit pays which invoice.
//!
//! Allocation never changes the balance; it only says which invoice is paid ("Settling" in `rules.md`). Holds, limits
//! and promises do not count in it.

use std::cmp::Ordering;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::accounts::BillingMode;
use super::money::Money;

#[cfg(test)]
mod tests;

/// An issued invoice of type CHARGE that is not fully paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvoice {
    /// Its id, unique in its account.
    pub invoice_id: String,
    /// Its number, the second key of the order.
    pub number: String,
    /// The last day on which it is not overdue, a postponement included.
    pub due_date: NaiveDate,
    /// What is still to be paid, not negative.
    pub rest: Money,
    /// Whether its due date has ended.
    pub is_overdue: bool,
}

impl OpenInvoice {
    /// Overdue before not due, then by due date, then by number. Of one series the shorter number is the lower one,
    /// whether or not its pattern pads with zeros. The id makes the order total.
    fn order(&self, other: &Self) -> Ordering {
        let key = |invoice: &Self| (!invoice.is_overdue, invoice.due_date, invoice.number.len());
        key(self)
            .cmp(&key(other))
            .then_with(|| self.number.cmp(&other.number))
            .then_with(|| self.invoice_id.cmp(&other.invoice_id))
    }
}

/// The part of a credit that settles an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The sequence of the entry that is the credit.
    pub sequence: i64,
    /// The invoice settled.
    pub invoice_id: String,
    /// How much of it, positive.
    pub amount: Money,
    /// Whether free money settled the invoice in the moment of its issue: such a settlement does not stand against
    /// voiding it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_issue: bool,
}

/// An entry that raised the balance: a payment, a bonus, an adjustment, a transfer in, a refund, the reversal of a
/// debit.
///
/// Entries that only correct an invoice (`CREDIT_NOTE`, the `WRITE_OFF` of an uncollectible one, the REVERSALs of a
/// voided one) are no credits to settle with: they make the invoice smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The sequence of the entry.
    pub sequence: i64,
    /// How much it raised the balance, not negative.
    pub amount: Money,
    /// The invoice that a PAYMENT names. A `TOP_UP` is none of the open invoices, so naming one settles like naming
    /// none.
    pub invoice_id: Option<String>,
}

/// What became of a credit: allocations + direct debt + free = its amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which invoices it settles, in the order of settling, each at most once.
    pub allocations: Vec<Allocation>,
    /// How much of the direct debt it covers.
    pub direct_debt: Money,
    /// What is left of the credit; it adds to the money that was free before.
    pub free: Money,
    /// The payment names an invoice that is not open; it has settled by the order, and the answer says so.
    pub named_is_not_open: bool,
}

/// Settles a new credit: the invoice it names; overdue invoices by due date, then number; then PREPAID direct debt and
/// invoices not due, POSTPAID invoices not due and direct debt; the rest is free.
///
/// `direct_debt` is the one before the credit ([`super::amounts::Amounts::direct_debt`]). The order of `open` does not
/// matter.
pub fn settle(mode: BillingMode, credit: &Credit, open: &[OpenInvoice], direct_debt: Money) -> Settlement {
    let ordered = in_order(open);
    let named = credit.invoice_id.as_ref();
    let (first, others): (Vec<_>, Vec<_>) = ordered.into_iter().partition(|invoice| Some(&invoice.invoice_id) == named);
    let (overdue, not_due): (Vec<_>, Vec<_>) = others.into_iter().partition(|invoice| invoice.is_overdue);

    let mut purse = Purse { sequence: credit.sequence, left: credit.amount.max(Money::ZERO) };
    let named_is_not_open = named.is_some() && first.is_empty();
    let mut allocations = purse.allocate(&first);
    allocations.extend(purse.allocate(&overdue));
    let direct_debt = match mode {
        BillingMode::Prepaid => {
            let covered = purse.take(direct_debt);
            allocations.extend(purse.allocate(&not_due));
            covered
        }
        BillingMode::Postpaid => {
            allocations.extend(purse.allocate(&not_due));
            purse.take(direct_debt)
        }
    };
    Settlement { allocations, direct_debt, free: purse.left, named_is_not_open }
}

/// Settles open invoices from money that is free, the oldest credit first: a newly issued invoice (`at_issue`), or what
/// a reversal or a credit note has reopened or released.
///
/// Each credit's `amount` is what of it is not allocated. Together they may be more than `free`, since direct charges
/// use free money up without an allocation; no more than `free` is allocated. The orders of `credits` and `open` do not
/// matter.
pub fn settle_free(free: Money, credits: &[Credit], open: &[OpenInvoice], at_issue: bool) -> Vec<Allocation> {
    let mut credits: Vec<&Credit> = credits.iter().collect();
    credits.sort_by_key(|credit| credit.sequence);
    let mut free = free.max(Money::ZERO);
    let mut purses = credits.into_iter().filter_map(|credit| {
        let left = credit.amount.min(free).max(Money::ZERO);
        free = free.checked_sub(left).unwrap_or(Money::ZERO);
        left.is_positive().then_some(Purse { sequence: credit.sequence, left })
    });

    let mut allocations = Vec::new();
    let mut purse = purses.next();
    for invoice in in_order(open) {
        let mut rest = invoice.rest;
        while let Some(paying) = purse.as_mut().filter(|_| rest.is_positive()) {
            let amount = paying.take(rest);
            rest = rest.checked_sub(amount).unwrap_or(Money::ZERO);
            allocations.push(Allocation {
                sequence: paying.sequence,
                invoice_id: invoice.invoice_id.clone(),
                amount,
                at_issue,
            });
            if paying.left.is_zero() {
                purse = purses.next();
            }
        }
    }
    allocations
}

/// What the reversal of a credit takes: first what of the credit is not allocated, then its own allocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// How much of what is not allocated.
    pub unallocated: Money,
    /// What is taken back of which allocation, latest first. The invoices reopen by these amounts; then free money
    /// settles again ([`settle_free`]).
    pub allocations: Vec<Allocation>,
}

/// Takes `amount` of a credit back. `unallocated` is what of it is not allocated, `allocations` are its own in the
/// order in which they were made.
///
/// Law: what is taken sums to `amount`, or to all there is.
pub fn release(amount: Money, unallocated: Money, allocations: &[Allocation]) -> Release {
    let unallocated = unallocated.min(amount).max(Money::ZERO);
    let rest = amount.checked_sub(unallocated).unwrap_or(Money::ZERO);
    Release { unallocated, allocations: take_back(rest, allocations) }
}

/// Takes `amount` of allocations back, latest first; they are given in the order in which they were made. Beside a
/// reversal a credit note does so, with the allocations of its invoice, when it credits what was paid already.
pub fn take_back(amount: Money, allocations: &[Allocation]) -> Vec<Allocation> {
    let mut left = amount;
    let taken = allocations.iter().rev().map_while(|allocation| {
        let amount = allocation.amount.min(left);
        left = left.checked_sub(amount).unwrap_or(Money::ZERO);
        amount.is_positive().then(|| Allocation { amount, ..allocation.clone() })
    });
    taken.collect()
}

fn in_order(open: &[OpenInvoice]) -> Vec<&OpenInvoice> {
    let mut ordered: Vec<&OpenInvoice> = open.iter().collect();
    ordered.sort_by(|one, other| one.order(other));
    ordered
}

/// What is left of one credit.
struct Purse {
    sequence: i64,
    left: Money,
}

impl Purse {
    /// Takes what is wanted, or all there is.
    fn take(&mut self, wanted: Money) -> Money {
        let taken = wanted.min(self.left).max(Money::ZERO);
        self.left = self.left.checked_sub(taken).unwrap_or(Money::ZERO);
        taken
    }

    /// Settles invoices one after the other, each at most by its rest.
    fn allocate(&mut self, invoices: &[&OpenInvoice]) -> Vec<Allocation> {
        let mut allocations = Vec::new();
        for invoice in invoices {
            let amount = self.take(invoice.rest);
            if amount.is_positive() {
                let invoice_id = invoice.invoice_id.clone();
                allocations.push(Allocation { sequence: self.sequence, invoice_id, amount, at_issue: false });
            }
        }
        allocations
    }
}
