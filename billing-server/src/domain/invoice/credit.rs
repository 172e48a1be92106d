//! Credit notes: what an invoice gives back.
//!
//! At most total − earlier credit notes; it lowers the rest first, and only what was already paid becomes free money;
//! the tax goes pro rata, the last note takes the rest of it ("Invoices" in `rules.md`).

use super::super::money::{Money, Rounding};
use super::super::reason::{Reason, Refusal};
use super::super::split::split_by_money;
use super::parts::Part;
use super::state::Invoice;

/// What a credit note does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crediting {
    /// The invoice after it: more of it is credited, and less is paid if something becomes free.
    pub invoice: Invoice,
    /// The note itself, which is also what is posted.
    pub note: Credited,
}

/// What a credit note gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// How much it gives back, tax included.
    pub amount: Money,
    /// The amount by the parts of the invoice: its tax table. Law: the parts of all notes sum to those of the invoice,
    /// once it is credited in full.
    pub parts: Vec<Part>,
    /// By how much it lowers the rest.
    pub lowers_rest: Money,
    /// By how much the invoice was paid already: so much of its allocations is taken back, latest first
    /// ([`super::super::settlement::take_back`]), and settles again.
    pub becomes_free: Money,
    /// The posted charges that are unbilled again: all, when one note credits the whole invoice; else none.
    pub unbilled: Vec<i64>,
}

impl Credited {
    /// The `CREDIT_NOTE` entries, one a part. Charges that are unbilled again are owed directly, so their parts post
    /// nothing; then the adjustment of the invoice's rounding is reversed, too.
    pub fn entries(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.is_posted || self.unbilled.is_empty())
    }
}

impl Invoice {
    /// Credits `amount`, or all that can be credited. It is split over the parts by what is left of each, by largest
    /// remainder.
    ///
    /// # Errors
    /// `INVOICE_NOT_ISSUED`, `INVOICE_FINAL`, `CREDIT_EXCEEDS_INVOICE` (also when nothing is left, and of a `TOP_UP`),
    /// `AMOUNT_NOT_POSITIVE`, `AMOUNT_TOO_PRECISE` (an amount finer than the minor unit).
    pub fn credit(&self, amount: Option<Money>) -> Result<Crediting, Refusal> {
        self.check_issued()?;
        let creditable = self.creditable();
        let amount = amount.unwrap_or(creditable);
        if amount > creditable || creditable.is_zero() {
            return Err(self.credit_exceeds(creditable, amount));
        }
        let digits = self.currency.minor_digits();
        if !amount.is_positive() || amount.round(digits, Rounding::Down) != amount {
            let reason = if amount.is_positive() { Reason::AmountTooPrecise } else { Reason::AmountNotPositive };
            let message = format!("A credit note is of whole minor units above zero, not of {amount}.");
            return Err(Refusal::field(reason, "amount", message).with("field", "amount"));
        }
        let whole = self.credited.is_zero() && amount == creditable;
        let (parts, uncredited) = take(&self.uncredited, amount, digits, self.content.pricing.rounding)
            .ok_or_else(|| self.credit_exceeds(creditable, amount))?;
        let lowers_rest = amount.min(self.rest());
        let becomes_free = minus(amount, lowers_rest);
        let invoice = Self {
            credited: minus(self.totals.gross, minus(creditable, amount)),
            paid: minus(self.paid, becomes_free),
            uncredited,
            ..self.clone()
        };
        let unbilled = if whole { self.billed_sequences() } else { Vec::new() };
        Ok(Crediting { invoice, note: Credited { amount, parts, lowers_rest, becomes_free, unbilled } })
    }

    fn credit_exceeds(&self, rest: Money, amount: Money) -> Refusal {
        let (rest, amount) = (self.format(rest), self.format(amount));
        let message = format!("{rest} of invoice {} can still be credited, not {amount}.", self.invoice_id);
        Refusal::new(Reason::CreditExceedsInvoice, message)
            .with("invoice_id", &self.invoice_id)
            .with("rest", rest)
            .with("currency_code", self.currency.code())
    }
}

/// Takes `amount` out of parts: what is taken of each, and what is left of them. Of a part taken in full the tax is
/// taken in full; else it goes pro rata, and never leaves more tax than gross.
fn take(left: &[Part], amount: Money, minor_digits: u32, rounding: Rounding) -> Option<(Vec<Part>, Vec<Part>)> {
    let weights: Vec<Money> = left.iter().map(|part| part.gross).collect();
    let shares = split_by_money(amount, &weights, minor_digits).ok()?;
    let mut taken = Vec::new();
    let mut kept = Vec::new();
    for (part, gross) in left.iter().zip(shares) {
        let (numerator, denominator) = (i128::from(gross.micros()), i128::from(part.gross.micros()));
        let tax = part.tax.times_ratio(numerator, denominator, minor_digits, rounding)?;
        let rest = Part { gross: part.gross.checked_sub(gross)?, tax: part.tax.checked_sub(tax)?, ..part.clone() };
        taken.push(Part { gross, tax, ..part.clone() });
        kept.push(rest);
    }
    let something = |part: &Part| part.gross.is_positive();
    taken.retain(something);
    kept.retain(something);
    Some((taken, kept))
}

/// The difference of amounts of which the second is part of the first.
fn minus(whole: Money, part: Money) -> Money {
    whole.checked_sub(part).unwrap_or(Money::ZERO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{billed, date, draft, issued, line, money};
    use super::super::{DocumentState, Due, InvoiceType, Line, PaymentState};
    use super::*;

    fn paid(invoice: &Invoice, amount: &str) -> Invoice {
        invoice.settled(money(amount), date("2026-09-02")).unwrap()
    }

    #[test]
    fn a_credit_note_lowers_the_rest_first() {
        let invoice = issued(vec![line("internet", "100.00").taxed("20")]);
        for (paid_before, amount, lowers_rest, becomes_free, rest) in [
            ("0", "120", "120", "0", "0"),
            ("0", "0.01", "0.01", "0", "119.99"),
            ("50", "70", "70", "0", "0"),
            ("50", "70.01", "70", "0.01", "0"),
            ("120", "30", "0", "30", "0"),
            ("120", "120", "0", "120", "0"),
        ] {
            let before = paid(&invoice, paid_before);
            let Crediting { invoice: after, note } = before.credit(Some(money(amount))).unwrap();
            assert_eq!(
                (note.lowers_rest, note.becomes_free, after.rest()),
                (money(lowers_rest), money(becomes_free), money(rest)),
                "{amount} of an invoice of which {paid_before} is paid"
            );
            assert_eq!(after.credited, money(amount));
            assert_eq!(before.paid.checked_sub(after.paid), Some(note.becomes_free));
        }
        let everything = invoice.credit(None).unwrap();
        assert_eq!(everything.note.amount, money("120"));
        assert_eq!(everything.invoice.payment_state(), PaymentState::Paid);
        assert_eq!(everything.invoice.document, DocumentState::Issued);
    }

    #[test]
    fn the_tax_goes_pro_rata_and_the_last_note_takes_the_rest() {
        // 16.67 of 100.00 is tax. 33.33 has 5.556 of it; the next 33.33 of the 66.67 left has 5.554 of the 11.11 left.
        let mut invoice = issued(vec![line("internet", "83.33").taxed("20")]);
        assert_eq!((invoice.totals.gross, invoice.totals.tax), (money("100"), money("16.67")));
        for (amount, tax) in [("33.33", "5.56"), ("33.33", "5.55"), ("33.34", "5.56")] {
            let crediting = invoice.credit(Some(money(amount))).unwrap();
            let taxes: Vec<Money> = crediting.note.parts.iter().map(|part| part.tax).collect();
            assert_eq!(taxes, [money(tax)]);
            invoice = crediting.invoice;
        }
        assert_eq!(invoice.uncredited, []);
    }

    #[test]
    fn what_cannot_be_credited_is_refused() {
        let invoice = issued(vec![line("internet", "100.00")]);
        let half = invoice.credit(Some(money("50"))).unwrap().invoice;
        let none = half.credit(None).unwrap().invoice;
        let top_up = draft(InvoiceType::TopUp, vec![line("prepayment", "100.00")])
            .issue("1", date("2026-09-01"), Due::AfterDays(0))
            .unwrap();
        for (invoice, amount, reason) in [
            (&invoice, Some("100.01"), Reason::CreditExceedsInvoice),
            (&half, Some("50.01"), Reason::CreditExceedsInvoice),
            (&none, None, Reason::CreditExceedsInvoice),
            (&none, Some("0.01"), Reason::CreditExceedsInvoice),
            (&top_up, None, Reason::CreditExceedsInvoice),
            (&invoice, Some("0"), Reason::AmountNotPositive),
            (&invoice, Some("-1"), Reason::AmountNotPositive),
            (&invoice, Some("0.005"), Reason::AmountTooPrecise),
            (&draft(InvoiceType::Charge, vec![line("a", "1")]), None, Reason::InvoiceNotIssued),
            (&invoice.void(&[]).unwrap(), None, Reason::InvoiceFinal),
            (&invoice.mark_uncollectible().unwrap(), None, Reason::InvoiceFinal),
        ] {
            let refusal = invoice.credit(amount.map(money)).unwrap_err();
            assert_eq!(refusal.reason, reason, "{amount:?} of {invoice:?}");
        }
        let refusal = half.credit(Some(money("60"))).unwrap_err();
        assert_eq!(refusal.metadata.get("rest").map(String::as_str), Some("50.00"));
        assert_eq!(refusal.metadata.get("currency_code").map(String::as_str), Some("RUB"));
    }

    #[test]
    fn charges_are_unbilled_again_when_one_note_credits_all() {
        let invoice = issued(vec![line("internet", "10.00"), billed("calls", &[(7, "1.2", "0"), (9, "2.8", "0")])]);
        let whole = invoice.credit(None).unwrap().note;
        assert_eq!(whole.unbilled, [7, 9]);
        assert_eq!(whole.entries().map(|part| part.gross).collect::<Vec<_>>(), [money("10")]);

        let first = invoice.credit(Some(money("7"))).unwrap();
        assert_eq!(first.note.unbilled, Vec::<i64>::new());
        let entries: Vec<_> = first.note.entries().map(|part| (part.counter_account.as_str(), part.gross)).collect();
        assert_eq!(entries, [("revenue:calls", money("2")), ("revenue:internet", money("5"))]);
        // The rest of it is no whole invoice: what was given back for the calls is theirs.
        let last = first.invoice.credit(None).unwrap().note;
        assert_eq!((last.unbilled.len(), last.entries().count()), (0, 2));
    }

    proptest! {
        /// Whatever the notes: their parts sum to those of the invoice, no part has more tax than gross, and the rest
        /// is what is neither credited nor paid.
        #[test]
        fn credit_notes_sum_to_the_invoice(
            lines in prop::collection::vec((0_i64..100_000, 0_usize..4, 0_usize..3), 1..6),
            cuts in prop::collection::vec(1_i64..=100, 0..8),
            paid_percent in 0_i64..=100,
        ) {
            let lines: Vec<Line> = lines
                .iter()
                .map(|&(cents, rate, category)| {
                    let price = Money::from_micros(cents * 10_000).to_string();
                    line(["a", "b", "c"][category], &price).taxed(["0", "7.7", "20", "100"][rate])
                })
                .collect();
            let issued = issued(lines);
            let gross = issued.totals.gross;
            let paid = gross.times_ratio(i128::from(paid_percent), 100, 2, Rounding::HalfUp).unwrap();
            let mut invoice = issued.settled(paid, date("2026-09-02")).unwrap();
            let mut free = Money::ZERO;
            let mut sums: Vec<Part> = Vec::new();
            let percents = cuts.into_iter().chain([100]);
            for percent in percents {
                let amount =
                    invoice.creditable().times_ratio(i128::from(percent), 100, 2, Rounding::Up).unwrap();
                if amount.is_zero() {
                    break;
                }
                let Crediting { invoice: after, note } = invoice.credit(Some(amount)).unwrap();
                prop_assert_eq!(note.lowers_rest.checked_add(note.becomes_free), Some(amount));
                prop_assert_eq!(invoice.rest().checked_sub(after.rest()), Some(note.lowers_rest));
                prop_assert_eq!(Money::checked_sum(note.parts.iter().map(|part| part.gross)), Some(amount));
                for part in note.parts.iter().chain(&after.uncredited) {
                    prop_assert!(!part.tax.is_negative() && part.tax <= part.gross);
                }
                free = free.checked_add(note.becomes_free).unwrap();
                sums.extend(note.parts);
                invoice = after;
            }
            prop_assert_eq!(invoice.credited, gross);
            prop_assert_eq!(free, paid);
            prop_assert_eq!(invoice.paid, Money::ZERO);
            for part in &issued.uncredited {
                let same = |other: &&Part| {
                    (&other.category, &other.counter_account, &other.rate)
                        == (&part.category, &part.counter_account, &part.rate)
                };
                let total = |of: fn(&Part) -> Money| Money::checked_sum(sums.iter().filter(same).map(of));
                prop_assert_eq!((total(|part| part.gross), total(|part| part.tax)), (Some(part.gross), Some(part.tax)));
            }
        }
    }
}
