//! The transitions of an invoice: each answers the changed invoice, or why it is refused.

use chrono::{Days, NaiveDate};

use super::super::currency::Currency;
use super::super::money::Money;
use super::super::reason::{Reason, Refusal};
use super::super::settlement::Allocation;
use super::parts::parts;
use super::state::{Content, DocumentState, Invoice, InvoiceType};
use super::totals::{Totals, totals};

#[cfg(test)]
mod tests;

/// How many lines an invoice can have: it is stored and shown as a whole.
pub const MAX_LINES: usize = 500;

/// When an invoice is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// So many days after the day of its issue: the terms.
    AfterDays(u32),
    /// On that day.
    On(NaiveDate),
}

impl Invoice {
    /// A draft. It may be without lines as yet.
    ///
    /// # Errors
    /// `TOO_MANY_ITEMS`, `FIELD_CONFLICT` when a `TOP_UP` bills posted charges, and those of [`totals`].
    pub fn draft(
        invoice_id: String,
        invoice_type: InvoiceType,
        currency: Currency,
        content: Content,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            invoice_id,
            invoice_type,
            document: DocumentState::Draft,
            currency,
            totals: compute(invoice_type, currency, &content)?,
            content,
            uncredited: Vec::new(),
            number: None,
            issue_date: None,
            due_date: None,
            postponed_due_date: None,
            reopened_date: None,
            times_reopened: 0,
            paid: Money::ZERO,
            credited: Money::ZERO,
            written_off: Money::ZERO,
        })
    }

    /// The draft with other content.
    ///
    /// # Errors
    /// `INVOICE_NOT_DRAFT`, and those of [`Invoice::draft`].
    pub fn update(&self, content: Content) -> Result<Self, Refusal> {
        if self.document != DocumentState::Draft {
            return Err(self.refused(
                Reason::InvoiceNotDraft,
                "is no draft any more; correct it by a credit note, or issue another",
            ));
        }
        let totals = compute(self.invoice_type, self.currency, &content)?;
        Ok(Self { content, totals, ..self.clone() })
    }

    /// The draft issued, under `number` (the next of its series, or one from elsewhere). `issue_date` is the local day
    /// of issuing.
    ///
    /// A CHARGE then posts an INVOICE entry for each of its parts that is not posted, and the adjustment
    /// [`Totals::rounding`]; free money settles it. What is issued already is answered as it is: its number stands, and
    /// no other may be taken.
    ///
    /// # Errors
    /// `INVOICE_FINAL`, `INVOICE_WITHOUT_LINES`, `DUE_DATE_BEFORE_ISSUE`, `FIELD_OUT_OF_RANGE` (the terms lead out of
    /// the calendar).
    pub fn issue(&self, number: &str, issue_date: NaiveDate, due: Due) -> Result<Self, Refusal> {
        match self.document {
            DocumentState::Draft => {}
            DocumentState::Issued => return Ok(self.clone()),
            DocumentState::Void | DocumentState::Uncollectible => return Err(self.is_final()),
        }
        if self.content.lines.is_empty() {
            return Err(Refusal::field(Reason::InvoiceWithoutLines, "lines", "An invoice has at least one line."));
        }
        let due_date = match due {
            Due::On(date) => date,
            Due::AfterDays(days) => issue_date.checked_add_days(Days::new(days.into())).ok_or_else(out_of_calendar)?,
        };
        if due_date < issue_date {
            let message =
                format!("The invoice is issued on {issue_date}; it cannot be due on {due_date}, before that.");
            return Err(Refusal::field(Reason::DueDateBeforeIssue, "due_date", message)
                .with("due_date", due_date)
                .with("issue_date", issue_date));
        }
        Ok(Self {
            document: DocumentState::Issued,
            uncredited: parts(&self.content.lines, &self.totals)?,
            number: Some(number.to_owned()),
            issue_date: Some(issue_date),
            due_date: Some(due_date),
            ..self.clone()
        })
    }

    /// The invoice with a later due date.
    ///
    /// # Errors
    /// `INVOICE_NOT_ISSUED`, `INVOICE_FINAL`, `DUE_DATE_NOT_LATER`.
    pub fn postpone(&self, date: NaiveDate) -> Result<Self, Refusal> {
        self.check_issued()?;
        let due_date = self.effective_due_date().unwrap_or(NaiveDate::MAX);
        if date <= due_date {
            return Err(Refusal::new(
                Reason::DueDateNotLater,
                format!("Invoice {} is due on {due_date}; name a later day than that, not {date}.", self.invoice_id),
            )
            .with("invoice_id", &self.invoice_id)
            .with("due_date", due_date));
        }
        Ok(Self { postponed_due_date: Some(date), ..self.clone() })
    }

    /// The invoice void. `allocations` are those of this invoice; all of them are released, which makes their money
    /// free.
    ///
    /// Each INVOICE entry of a CHARGE, and the adjustment of its rounding, is reversed; its posted charges are unbilled
    /// again. The number stays.
    ///
    /// # Errors
    /// `INVOICE_NOT_ISSUED`, `INVOICE_FINAL`; `INVOICE_HAS_PAYMENTS` when more than the automatic settlement at issue
    /// is on it, or a credit note.
    pub fn void(&self, allocations: &[Allocation]) -> Result<Self, Refusal> {
        self.check_issued()?;
        if !self.is_voidable(allocations) {
            return Err(Refusal::new(
                Reason::InvoiceHasPayments,
                format!("Invoice {} has payments or credit notes; correct it by a credit note.", self.invoice_id),
            )
            .with("invoice_id", &self.invoice_id));
        }
        Ok(Self { document: DocumentState::Void, paid: Money::ZERO, uncredited: Vec::new(), ..self.clone() })
    }

    /// The invoice given up: its rest is [`Invoice::written_off`], and posts as one `WRITE_OFF`. Later payments are
    /// free money.
    ///
    /// # Errors
    /// `INVOICE_NOT_ISSUED`, `INVOICE_FINAL`; `WRITE_OFF_EXCEEDS_DEBT` when nothing of it is owed.
    pub fn mark_uncollectible(&self) -> Result<Self, Refusal> {
        self.check_issued()?;
        let written_off = self.outstanding();
        if written_off.is_zero() {
            return Err(Refusal::new(
                Reason::WriteOffExceedsDebt,
                format!("Nothing of invoice {} is owed, so nothing can be written off.", self.invoice_id),
            )
            .with("debt", self.format(Money::ZERO))
            .with("currency_code", self.currency.code()));
        }
        Ok(Self { document: DocumentState::Uncollectible, written_off, ..self.clone() })
    }

    /// The invoice when `change` more of it is paid, or less when negative: the sum of what one transaction allocates
    /// and takes back, so that what is settled again in the same breath does not count as reopened. Of a `TOP_UP` it is
    /// the part of a naming payment that its rest has room for.
    ///
    /// `today` is the account's local date: the day it reopened, when it was paid in full and is so no more.
    ///
    /// None when it would be paid beyond its rest, or below nothing: never by a decision of settling.
    #[must_use]
    pub fn settled(&self, change: Money, today: NaiveDate) -> Option<Self> {
        let change = Some(change).filter(|change| *change <= self.rest())?;
        let paid = self.paid.checked_add(change).filter(|paid| !paid.is_negative())?;
        let mut invoice = Self { paid, ..self.clone() };
        if self.document == DocumentState::Issued && self.rest().is_zero() && invoice.rest().is_positive() {
            invoice.reopened_date = Some(today);
            invoice.times_reopened = self.times_reopened.saturating_add(1);
        }
        Some(invoice)
    }

    /// Refuses what can be done to an issued invoice only.
    pub(super) fn check_issued(&self) -> Result<(), Refusal> {
        match self.document {
            DocumentState::Issued => Ok(()),
            DocumentState::Draft => Err(self.refused(Reason::InvoiceNotIssued, "is a draft; issue it first")),
            DocumentState::Void | DocumentState::Uncollectible => Err(self.is_final()),
        }
    }

    fn is_final(&self) -> Refusal {
        self.refused(Reason::InvoiceFinal, "is final; nothing changes in it any more")
    }

    fn refused(&self, reason: Reason, what: &str) -> Refusal {
        let state = self.document.name();
        Refusal::new(reason, format!("Invoice {} ({state}) {what}.", self.invoice_id))
            .with("invoice_id", &self.invoice_id)
            .with("state", state)
    }
}

fn compute(invoice_type: InvoiceType, currency: Currency, content: &Content) -> Result<Totals, Refusal> {
    let count = content.lines.len();
    if count > MAX_LINES {
        let message = format!("An invoice has at most {MAX_LINES} lines, not {count}.");
        return Err(Refusal::field(Reason::TooManyItems, "lines", message)
            .with("field", "lines")
            .with("count", count)
            .with("max", MAX_LINES));
    }
    let billing = content.lines.iter().position(|line| !line.charges().is_empty());
    if let (InvoiceType::TopUp, Some(index)) = (invoice_type, billing) {
        let field = format!("lines[{index}]");
        let message = "A bill for a prepayment posts nothing, so it cannot bill charges that are posted already.";
        return Err(Refusal::field(Reason::FieldConflict, &field, message)
            .with("field", &field)
            .with("other_field", "type"));
    }
    totals(&content.lines, &content.discounts, content.pricing, currency.minor_digits())
}

fn out_of_calendar() -> Refusal {
    let field = "payment_terms_days";
    Refusal::field(Reason::FieldOutOfRange, field, "The terms lead beyond the calendar.").with("field", field)
}
