//! The invoice: what is stored of it, and what follows from that on a given day.
//!
//! Two axes and one derived flag ("Invoices" in `rules.md`): the document goes DRAFT → ISSUED → VOID or UNCOLLECTIBLE,
//! the payment UNPAID → `PARTIALLY_PAID` → PAID (and back, when a payment is reversed); overdue is a matter of the day.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::super::currency::Currency;
use super::super::money::Money;
use super::super::settlement::{Allocation, OpenInvoice};
use super::discount::Discount;
use super::line::Line;
use super::parts::Part;
use super::totals::{Pricing, Totals};

/// How many days after its due date a bill for a prepayment lapses.
pub const TOP_UP_LAPSES_AFTER_DAYS: i64 = 30;

/// What kind of demand it is. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceType {
    /// What was or will be delivered.
    Charge = 1,
    /// A bill for a prepayment: it posts nothing, is not outstanding and never overdue; a payment naming it marks it
    /// paid and settles like any other.
    TopUp = 2,
}

impl InvoiceType {
    /// The type of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Charge),
            2 => Some(Self::TopUp),
            _ => None,
        }
    }
}

/// How far the document is. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DocumentState {
    Draft = 1,
    Issued = 2,
    Void = 3,
    Uncollectible = 4,
}

impl DocumentState {
    /// The state of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Draft),
            2 => Some(Self::Issued),
            3 => Some(Self::Void),
            4 => Some(Self::Uncollectible),
            _ => None,
        }
    }

    /// The word of the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Issued => "ISSUED",
            Self::Void => "VOID",
            Self::Uncollectible => "UNCOLLECTIBLE",
        }
    }
}

/// How much of it is paid: derived, not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PaymentState {
    Unpaid = 1,
    PartiallyPaid = 2,
    /// Nothing is left to pay, be it paid, credited or nothing from the start.
    Paid = 3,
}

/// What can be done with an invoice in its present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Change the draft.
    Update = 1,
    /// Issue it.
    Issue = 2,
    /// Pay it, by name.
    Pay = 3,
    /// Move its due date later.
    PostponeDueDate = 4,
    /// Give back a part of it, or all.
    Credit = 5,
    /// Declare that it should never have been.
    Void = 6,
    /// Give its rest up.
    MarkUncollectible = 7,
}

/// What a draft says and an issued invoice keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How it is computed.
    pub pricing: Pricing,
    /// Its lines, in their order.
    pub lines: Vec<Line>,
    /// Discounts of the whole invoice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its id, unique in its account.
    pub invoice_id: String,
    /// What kind of demand it is.
    pub invoice_type: InvoiceType,
    /// How far the document is.
    pub document: DocumentState,
    /// The account's.
    pub currency: Currency,
    /// Lines, discounts and how they are computed.
    pub content: Content,
    /// What the content comes to.
    pub totals: Totals,
    /// The parts of the gross that no credit note has given back; of a draft none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncredited: Vec<Part>,
    /// Taken when it was issued, and kept by a void invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The local day of issuing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_date: Option<NaiveDate>,
    /// The due date it was issued with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<NaiveDate>,
    /// The later due date it was given since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postponed_due_date: Option<NaiveDate>,
    /// The last day on which a reversal made the paid invoice unpaid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_date: Option<NaiveDate>,
    /// How often that happened.
    #[serde(default)]
    pub times_reopened: u32,
    /// What payments settle of it, after what was taken back; of a `TOP_UP`, what named it.
    pub paid: Money,
    /// What credit notes gave back of the gross.
    pub credited: Money,
    /// The rest that was given up when it became uncollectible.
    pub written_off: Money,
}

impl Invoice {
    /// What is still to be paid: gross − credited − paid while it is issued, else nothing.
    pub fn rest(&self) -> Money {
        match self.document {
            DocumentState::Issued => self.unpaid(),
            _ => Money::ZERO,
        }
    }

    /// What counts as outstanding: the rest, unless it is a bill for a prepayment.
    pub fn outstanding(&self) -> Money {
        match self.invoice_type {
            InvoiceType::Charge => self.rest(),
            InvoiceType::TopUp => Money::ZERO,
        }
    }

    /// What credit notes can still give back: gross − credited.
    pub fn creditable(&self) -> Money {
        match self.invoice_type {
            InvoiceType::Charge => self.payable(),
            // It posted nothing that could be given back.
            InvoiceType::TopUp => Money::ZERO,
        }
    }

    /// How much of it is paid.
    pub fn payment_state(&self) -> PaymentState {
        if self.document != DocumentState::Draft && self.document != DocumentState::Void && self.unpaid().is_zero() {
            PaymentState::Paid
        } else if self.paid.is_positive() {
            PaymentState::PartiallyPaid
        } else {
            PaymentState::Unpaid
        }
    }

    /// The due date that holds: the postponed one, if there is one. None of a draft.
    pub fn effective_due_date(&self) -> Option<NaiveDate> {
        self.postponed_due_date.or(self.due_date)
    }

    /// Days since the due date that holds, by the account's local date: 0 on that day, negative before it. None of a
    /// draft.
    pub fn age(&self, today: NaiveDate) -> Option<i64> {
        self.effective_due_date().map(|due| today.signed_duration_since(due).num_days())
    }

    /// Whether something of it is unpaid and its due date has ended: at an age of 1 and above.
    pub fn is_overdue(&self, today: NaiveDate) -> bool {
        self.outstanding().is_positive() && self.age(today).is_some_and(|age| age >= 1)
    }

    /// Whether a bill for a prepayment is too old to be paid: at an age of 30 and above, unless it is paid. Naming it
    /// then is like naming an invoice that is not open.
    pub fn is_lapsed(&self, today: NaiveDate) -> bool {
        self.invoice_type == InvoiceType::TopUp
            && self.rest().is_positive()
            && self.age(today).is_some_and(|age| age >= TOP_UP_LAPSES_AFTER_DAYS)
    }

    /// The day from which the days to a suspension count: the later of the due date and the day it reopened.
    pub fn counts_from(&self) -> Option<NaiveDate> {
        self.effective_due_date().max(self.reopened_date)
    }

    /// The invoice as settling sees it; none when nothing of it is outstanding.
    pub fn open(&self, today: NaiveDate) -> Option<OpenInvoice> {
        let due_date = self.effective_due_date()?;
        self.outstanding().is_positive().then(|| OpenInvoice {
            invoice_id: self.invoice_id.clone(),
            number: self.number.clone().unwrap_or_default(),
            due_date,
            rest: self.rest(),
            is_overdue: self.is_overdue(today),
        })
    }

    /// The sequences of the posted charges on it. They are unbilled again once the invoice is void, or credited in full
    /// by one note.
    pub fn billed_sequences(&self) -> Vec<i64> {
        self.content.lines.iter().flat_map(Line::charges).map(|charge| charge.sequence).collect()
    }

    /// What can be done now, in the order of [`Action`]: exactly what the transitions accept. `allocations` are those
    /// of this invoice.
    pub fn actions(&self, allocations: &[Allocation], today: NaiveDate) -> Vec<Action> {
        let is_draft = self.document == DocumentState::Draft;
        let is_issued = self.document == DocumentState::Issued;
        [
            (Action::Update, is_draft),
            (Action::Issue, is_draft && !self.content.lines.is_empty()),
            (Action::Pay, self.rest().is_positive() && !self.is_lapsed(today)),
            (Action::PostponeDueDate, is_issued),
            (Action::Credit, is_issued && self.creditable().is_positive()),
            (Action::Void, is_issued && self.is_voidable(allocations)),
            (Action::MarkUncollectible, self.outstanding().is_positive()),
        ]
        .into_iter()
        .filter_map(|(action, is_open)| is_open.then_some(action))
        .collect()
    }

    /// Whether nothing but automatic settlement at issue is on it.
    pub(super) fn is_voidable(&self, allocations: &[Allocation]) -> bool {
        let at_issue = allocations.iter().filter(|allocation| allocation.at_issue).map(|allocation| allocation.amount);
        self.credited.is_zero() && Money::checked_sum(at_issue) == Some(self.paid)
    }

    /// An amount as the contract writes it.
    pub(super) fn format(&self, amount: Money) -> String {
        amount.format(self.currency.minor_digits())
    }

    /// What is to be paid in all: gross − credited.
    pub(super) fn payable(&self) -> Money {
        self.totals.gross.checked_sub(self.credited).unwrap_or(Money::ZERO)
    }

    fn unpaid(&self) -> Money {
        self.payable().checked_sub(self.paid).unwrap_or(Money::ZERO)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::calendar::{TimeZone, local_date, start_of_day};
    use super::super::super::instant::Instant;
    use super::super::Due;
    use super::super::fixtures::{date, draft, issued, line, money};
    use super::*;

    #[test]
    fn overdue_begins_with_the_day_after_the_due_date() {
        let invoice = issued(vec![line("internet", "100.00")]);
        for (today, age, overdue) in
            [("2026-09-14", -1, false), ("2026-09-15", 0, false), ("2026-09-16", 1, true), ("2026-09-25", 10, true)]
        {
            assert_eq!(invoice.age(date(today)), Some(age), "{today}");
            assert_eq!(invoice.is_overdue(date(today)), overdue, "{today}");
            assert_eq!(invoice.open(date(today)).unwrap().is_overdue, overdue, "{today}");
        }
        let paid = Invoice { paid: money("100.00"), ..invoice.clone() };
        assert!(!paid.is_overdue(date("2027-01-01")));
        assert_eq!(paid.open(date("2027-01-01")), None);
        let postponed = Invoice { postponed_due_date: Some(date("2026-09-20")), ..invoice };
        assert!(!postponed.is_overdue(date("2026-09-20")));
        assert!(postponed.is_overdue(date("2026-09-21")));
    }

    #[test]
    fn the_issue_date_is_the_local_day() {
        // 2026-07-16T21:17Z.
        let now = Instant::from_timestamp(1_784_236_620, 0).unwrap();
        assert_eq!(now.to_string(), "2026-07-16T21:17:00Z");
        for (zone, day) in [
            ("Asia/Tokyo", "2026-07-17"),
            ("Etc/GMT-3", "2026-07-17"),
            ("Europe/Moscow", "2026-07-17"),
            ("UTC", "2026-07-16"),
            ("America/Lima", "2026-07-16"),
        ] {
            let zone = TimeZone::parse(zone).unwrap();
            let invoice = draft(InvoiceType::Charge, vec![line("a", "1")])
                .issue("1", local_date(now, zone), Due::AfterDays(0))
                .unwrap();
            assert_eq!(invoice.due_date, Some(date(day)), "{zone}");
            assert!(!invoice.is_overdue(local_date(now, zone)), "{zone}");
        }
        let moscow = TimeZone::parse("Europe/Moscow").unwrap();
        assert_eq!(start_of_day(date("2026-07-17"), moscow).to_string(), "2026-07-16T21:00:00Z");
    }

    #[test]
    fn a_postpaid_period_is_due_when_issued_and_seven_days_old_on_the_eighth() {
        let invoice = draft(InvoiceType::Charge, vec![line("internet", "500.00")])
            .issue("A-2026-000001", date("2026-09-01"), Due::AfterDays(0))
            .unwrap();
        assert_eq!(invoice.effective_due_date(), Some(date("2026-09-01")));
        assert!(invoice.is_overdue(date("2026-09-02")));
        assert_eq!(invoice.age(date("2026-09-08")), Some(7));
        assert_eq!(invoice.counts_from(), Some(date("2026-09-01")));
    }

    #[test]
    fn a_bill_for_a_prepayment_is_never_overdue_and_lapses_thirty_days_after_its_due_date() {
        let invoice = draft(InvoiceType::TopUp, vec![line("prepayment", "300.00")])
            .issue("A-2026-000002", date("2026-01-31"), Due::AfterDays(5))
            .unwrap();
        assert_eq!(invoice.rest(), money("300"));
        assert_eq!(invoice.outstanding(), Money::ZERO);
        for (today, lapsed) in [("2026-02-05", false), ("2026-03-06", false), ("2026-03-07", true)] {
            assert_eq!(invoice.is_lapsed(date(today)), lapsed, "{today}");
            assert!(!invoice.is_overdue(date(today)), "{today}");
            assert_eq!(invoice.open(date(today)), None, "{today}");
            assert_eq!(invoice.actions(&[], date(today)).contains(&Action::Pay), !lapsed, "{today}");
        }
        let paid = Invoice { paid: money("300"), ..invoice };
        assert!(!paid.is_lapsed(date("2030-01-01")));
    }

    #[test]
    fn the_payment_state_follows_from_the_amounts() {
        let invoice = issued(vec![line("internet", "100.00")]);
        for (paid, credited, rest, state) in [
            ("0", "0", "100", PaymentState::Unpaid),
            ("0.000001", "0", "99.999999", PaymentState::PartiallyPaid),
            ("100", "0", "0", PaymentState::Paid),
            ("60", "40", "0", PaymentState::Paid),
            ("0", "100", "0", PaymentState::Paid),
            ("0", "40", "60", PaymentState::Unpaid),
        ] {
            let invoice = Invoice { paid: money(paid), credited: money(credited), ..invoice.clone() };
            assert_eq!((invoice.rest(), invoice.payment_state()), (money(rest), state), "{paid} {credited}");
        }
        assert_eq!(issued(vec![line("gift", "0")]).payment_state(), PaymentState::Paid);
        let draft = draft(InvoiceType::Charge, vec![line("internet", "100.00")]);
        assert_eq!((draft.rest(), draft.payment_state()), (Money::ZERO, PaymentState::Unpaid));
    }

    #[test]
    fn an_invoice_is_stored_and_read_back() {
        let invoice = issued(vec![line("internet", "99.99").taxed("20"), line("tv", "0.01")]);
        let json = serde_json::to_string(&invoice).unwrap();
        assert_eq!(serde_json::from_str::<Invoice>(&json).unwrap(), invoice);
        assert!(json.contains("\"issue_date\":\"2026-09-01\""), "{json}");
        assert!(!json.contains("null"), "{json}");
        for state in [DocumentState::Draft, DocumentState::Issued, DocumentState::Void, DocumentState::Uncollectible] {
            assert_eq!(DocumentState::from_number(state as i16), Some(state));
        }
        for invoice_type in [InvoiceType::Charge, InvoiceType::TopUp] {
            assert_eq!(InvoiceType::from_number(invoice_type as i16), Some(invoice_type));
        }
        assert_eq!((DocumentState::from_number(5), InvoiceType::from_number(0)), (None, None));
    }
}
