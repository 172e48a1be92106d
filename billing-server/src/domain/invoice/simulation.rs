//! An account in small: charges, invoices, credits and their settling together, as the engine does it, whatever
//! happens to it.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::super::accounts::BillingMode;
use super::super::amounts::Amounts;
use super::super::calendar::date_from_days;
use super::super::currency::Currency;
use super::super::money::{Money, Rounding};
use super::super::settlement::{Allocation, Credit, OpenInvoice, release, settle, settle_free, take_back};
use super::fixtures::{content, line};
use super::*;

/// A step in the life of an account. Amounts are in millionths; `usize` picks one of what there is.
#[derive(Clone, Debug)]
enum Step {
    Charge(i64),
    /// An invoice with a line of so many hundredths and all unbilled charges.
    Issue(i64),
    /// A payment that may name an invoice.
    Pay(i64, Option<usize>),
    /// Reverses so many percent of what is left of a credit.
    Reverse(usize, i64),
    /// Credits so many percent of what can be credited.
    CreditNote(usize, i64),
    Void(usize),
    MarkUncollectible(usize),
    /// So many days go by.
    Wait(i32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let named = prop::option::of(0_usize..6);
    prop_oneof![
        (1_i64..90_000_000).prop_map(Step::Charge),
        (0_i64..9_000).prop_map(Step::Issue),
        (0_i64..150_000_000, named).prop_map(|(amount, named)| Step::Pay(amount, named)),
        (0_usize..6, 0_i64..=100).prop_map(|(index, percent)| Step::Reverse(index, percent)),
        (0_usize..6, prop_oneof![1_i64..=100, Just(100)]).prop_map(|(index, percent)| Step::CreditNote(index, percent)),
        (0_usize..6).prop_map(Step::Void),
        (0_usize..6).prop_map(Step::MarkUncollectible),
        (1_i32..20).prop_map(Step::Wait),
    ]
}

/// The account: what is posted, its credits with what is left of them, charges that no invoice bills, invoices, and
/// allocations in the order in which they were made.
#[derive(Debug, Default)]
struct Account {
    posted: Money,
    today: i32,
    credits: Vec<Credit>,
    charges: Vec<PostedCharge>,
    unbilled: Vec<PostedCharge>,
    invoices: Vec<Invoice>,
    allocations: Vec<Allocation>,
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    Money::checked_sum(amounts).unwrap()
}

fn percent_of(amount: Money, percent: i64, digits: u32) -> Money {
    amount.times_ratio(percent.into(), 100, digits, Rounding::Up).unwrap()
}

impl Account {
    fn amounts(&self) -> Amounts {
        let not_due = sum(self.invoices.iter().map(Invoice::outstanding));
        Amounts { posted: self.posted, not_due, ..Amounts::default() }
    }

    fn open(&self) -> Vec<OpenInvoice> {
        let today = date_from_days(self.today).unwrap();
        self.invoices.iter().filter_map(|invoice| invoice.open(today)).collect()
    }

    fn post(&mut self, amount: Money) {
        self.posted = self.posted.checked_add(amount).unwrap();
    }

    fn index_of(&self, invoice_id: &str) -> usize {
        self.invoices.iter().position(|invoice| invoice.invoice_id == invoice_id).unwrap()
    }

    fn allocate(&mut self, allocations: Vec<Allocation>) {
        let today = date_from_days(self.today).unwrap();
        for one in &allocations {
            let index = self.index_of(&one.invoice_id);
            self.invoices[index] = self.invoices[index].settled(one.amount, today).unwrap();
        }
        self.allocations.extend(allocations);
    }

    /// Makes allocations smaller by what was taken back of them, latest first.
    fn forget(&mut self, taken: &[Allocation]) {
        for one in taken {
            let same = |kept: &&mut Allocation| (kept.sequence, &kept.invoice_id) == (one.sequence, &one.invoice_id);
            let kept = self.allocations.iter_mut().rev().find(same).unwrap();
            kept.amount = kept.amount.checked_sub(one.amount).unwrap();
            self.allocations.retain(|kept| kept.amount.is_positive());
        }
    }

    fn own(&self, keep: impl Fn(&Allocation) -> bool) -> Vec<Allocation> {
        self.allocations.iter().filter(|one| keep(one)).cloned().collect()
    }

    fn unallocated(&self, credit: &Credit) -> Money {
        let own = self.own(|one| one.sequence == credit.sequence);
        credit.amount.checked_sub(sum(own.iter().map(|one| one.amount))).unwrap()
    }

    fn settle_again(&mut self, at_issue: bool) {
        let credits: Vec<Credit> =
            self.credits.iter().map(|credit| Credit { amount: self.unallocated(credit), ..credit.clone() }).collect();
        let allocations = settle_free(self.amounts().free(), &credits, &self.open(), at_issue);
        self.allocate(allocations);
    }

    fn unbill(&mut self, sequences: &[i64]) {
        let again = self.charges.iter().filter(|charge| sequences.contains(&charge.sequence)).cloned();
        self.unbilled.extend(again);
    }

    fn step(&mut self, step: &Step, mode: BillingMode) {
        match step {
            Step::Charge(micros) => self.charge(Money::from_micros(*micros)),
            Step::Issue(cents) => self.issue(Money::from_micros(cents * 10_000)),
            Step::Pay(micros, named) => self.pay(Money::from_micros(*micros), *named, mode),
            Step::Reverse(index, percent) => self.reverse(*index, *percent),
            Step::CreditNote(index, percent) => self.credit_note(*index, *percent),
            Step::Void(index) => self.void(*index),
            Step::MarkUncollectible(index) => self.mark_uncollectible(*index),
            Step::Wait(days) => self.today += days,
        }
    }

    fn charge(&mut self, amount: Money) {
        let charge = PostedCharge {
            sequence: i64::try_from(self.charges.len()).unwrap(),
            amount,
            category: Some("calls".to_owned()),
            counter_account: "revenue:calls".to_owned(),
            tax: None,
        };
        self.post(amount.negated());
        self.charges.push(charge.clone());
        self.unbilled.push(charge);
    }

    fn issue(&mut self, price: Money) {
        let mut lines = vec![line("internet", &price.to_string()).taxed("20")];
        lines.extend(billing(&self.unbilled).unwrap_or_default());
        self.unbilled.clear();
        let number = format!("A-{}", self.invoices.len());
        let rouble = Currency::parse("RUB").unwrap();
        let invoice = Invoice::draft(number.clone(), InvoiceType::Charge, rouble, content(lines)).unwrap();
        let invoice = invoice.issue(&number, date_from_days(self.today).unwrap(), Due::AfterDays(10)).unwrap();
        let entries = invoice.uncredited.iter().filter(|part| !part.is_posted).map(|part| part.gross);
        self.post(sum(entries).negated());
        self.post(invoice.totals.rounding);
        self.invoices.push(invoice);
        self.settle_again(true);
    }

    fn pay(&mut self, amount: Money, named: Option<usize>, mode: BillingMode) {
        let sequence = i64::try_from(self.credits.len()).unwrap();
        let credit = Credit { sequence, amount, invoice_id: named.map(|index| format!("A-{index}")) };
        let before = self.amounts();
        let settlement = settle(mode, &credit, &self.open(), before.direct_debt());
        self.post(amount);
        self.credits.push(credit);
        self.allocate(settlement.allocations);
        let after = self.amounts();
        assert_eq!(after.free().checked_sub(before.free()), Some(settlement.free));
        assert_eq!(before.direct_debt().checked_sub(after.direct_debt()), Some(settlement.direct_debt));
    }

    fn reverse(&mut self, index: usize, percent: i64) {
        let Some(credit) = self.credits.get(index).cloned() else { return };
        let amount = percent_of(credit.amount, percent, 6);
        let own = self.own(|one| one.sequence == credit.sequence);
        let released = release(amount, self.unallocated(&credit), &own);
        assert_eq!(
            released.unallocated.checked_add(sum(released.allocations.iter().map(|one| one.amount))),
            Some(amount)
        );
        for one in &released.allocations {
            let index = self.index_of(&one.invoice_id);
            let today = date_from_days(self.today).unwrap();
            self.invoices[index] = self.invoices[index].settled(one.amount.negated(), today).unwrap();
        }
        self.forget(&released.allocations);
        self.credits[index].amount = credit.amount.checked_sub(amount).unwrap();
        self.post(amount.negated());
        self.settle_again(false);
    }

    fn credit_note(&mut self, index: usize, percent: i64) {
        let Some(invoice) = self.invoices.get(index).cloned() else { return };
        let Ok(crediting) = invoice.credit(Some(percent_of(invoice.creditable(), percent, 2))) else { return };
        let note = crediting.note;
        self.post(sum(note.entries().map(|part| part.gross)));
        if !note.unbilled.is_empty() {
            self.post(invoice.totals.rounding.negated());
            self.unbill(&note.unbilled);
        }
        let taken = take_back(note.becomes_free, &self.own(|one| one.invoice_id == invoice.invoice_id));
        assert_eq!(sum(taken.iter().map(|one| one.amount)), note.becomes_free);
        self.forget(&taken);
        self.invoices[index] = crediting.invoice;
        self.settle_again(false);
    }

    fn void(&mut self, index: usize) {
        let Some(invoice) = self.invoices.get(index).cloned() else { return };
        let own = self.own(|one| one.invoice_id == invoice.invoice_id);
        let Ok(void) = invoice.void(&own) else { return };
        let entries = invoice.uncredited.iter().filter(|part| !part.is_posted).map(|part| part.gross);
        self.post(sum(entries));
        self.post(invoice.totals.rounding.negated());
        self.unbill(&invoice.billed_sequences());
        self.allocations.retain(|one| one.invoice_id != invoice.invoice_id);
        self.invoices[index] = void;
        self.settle_again(false);
    }

    fn mark_uncollectible(&mut self, index: usize) {
        let Some(Ok(given_up)) = self.invoices.get(index).map(Invoice::mark_uncollectible) else { return };
        self.post(given_up.written_off);
        self.invoices[index] = given_up;
    }

    /// What was taken back of payments for invoices that had been given up: owed, but by no invoice.
    fn given_up_unpaid(&self) -> Money {
        let given_up = self.invoices.iter().filter(|invoice| invoice.document == DocumentState::Uncollectible);
        sum(given_up.map(|invoice| {
            let covered = invoice.paid.checked_add(invoice.written_off).unwrap();
            invoice.payable().checked_sub(covered).unwrap()
        }))
    }
}

proptest! {
    /// Whatever happens: no money is free while an invoice is unpaid; what is paid of an invoice is what is allocated
    /// to it; no credit is allocated beyond its amount; and the balance is the credits not allocated, less the charges
    /// not billed, less what is outstanding.
    #[test]
    fn an_account_stays_settled(
        mode in prop::sample::select(vec![BillingMode::Prepaid, BillingMode::Postpaid]),
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut account = Account { today: 20_000, ..Account::default() };
        for step in &steps {
            account.step(step, mode);
            let amounts = account.amounts();
            prop_assert!(amounts.free().is_zero() || amounts.outstanding().is_zero(), "{account:?}");
            for invoice in &account.invoices {
                let own = account.own(|one| one.invoice_id == invoice.invoice_id);
                prop_assert_eq!(sum(own.iter().map(|one| one.amount)), invoice.paid, "{:?}", account);
            }
            let mut unallocated = Money::ZERO;
            for credit in &account.credits {
                let left = account.unallocated(credit);
                prop_assert!(!left.is_negative(), "{account:?}");
                unallocated = unallocated.checked_add(left).unwrap();
            }
            let owed = sum(account.unbilled.iter().map(|charge| charge.amount))
                .checked_add(account.given_up_unpaid())
                .and_then(|owed| owed.checked_add(amounts.outstanding()))
                .unwrap();
            prop_assert_eq!(Some(account.posted), unallocated.checked_sub(owed), "{:?}", account);
        }
    }
}
