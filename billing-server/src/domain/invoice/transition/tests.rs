//! Every transition in every state, and the actions a state offers.

#![allow(clippy::unwrap_used)]

use super::super::fixtures::{billed, content, date, draft, issued, line, money};
use super::super::{Action, PaymentState};
use super::*;

/// What was settled of `inv-1`.
fn allocation(amount: &str, at_issue: bool) -> Allocation {
    Allocation { sequence: 3, invoice_id: "inv-1".to_owned(), amount: money(amount), at_issue }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Reason {
    result.unwrap_err().reason
}

#[test]
fn a_draft_changes_until_it_is_issued() {
    let draft = draft(InvoiceType::Charge, Vec::new());
    assert_eq!(reason(draft.issue("1", date("2026-09-01"), Due::AfterDays(0))), Reason::InvoiceWithoutLines);
    let draft = draft.update(content(vec![line("internet", "100.00").taxed("20")])).unwrap();
    assert_eq!(draft.totals.gross, money("120"));
    assert_eq!((&draft.number, draft.issue_date, draft.uncredited.len()), (&None, None, 0));

    let issued = draft.issue("A-2026-000001", date("2024-02-15"), Due::AfterDays(14)).unwrap();
    assert_eq!(issued.document, DocumentState::Issued);
    assert_eq!(issued.number.as_deref(), Some("A-2026-000001"));
    assert_eq!(issued.due_date, Some(date("2024-02-29")));
    assert_eq!((issued.rest(), issued.uncredited.len()), (money("120"), 1));
    // Issuing twice gives the same.
    assert_eq!(issued.issue("A-2026-000002", date("2024-03-15"), Due::AfterDays(1)), Ok(issued.clone()));

    let refusal = issued.update(content(Vec::new())).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvoiceNotDraft);
    assert_eq!(refusal.metadata.get("state").map(String::as_str), Some("ISSUED"));
    assert_eq!(refusal.metadata.get("invoice_id").map(String::as_str), Some("inv-1"));
}

#[test]
fn an_invoice_has_room_for_so_many_lines() {
    let draft = draft(InvoiceType::Charge, vec![line("internet", "1"); MAX_LINES]);
    assert_eq!(draft.totals.gross, money("500"));
    let refusal = draft.update(content(vec![line("internet", "1"); MAX_LINES + 1])).unwrap_err();
    assert_eq!(refusal.reason, Reason::TooManyItems);
    assert_eq!(refusal.metadata.get("count").map(String::as_str), Some("501"));
}

#[test]
fn an_invoice_is_not_due_before_its_issue() {
    let draft = draft(InvoiceType::Charge, vec![line("internet", "1")]);
    let day = date("2026-09-01");
    assert_eq!(draft.issue("1", day, Due::On(day)).unwrap().due_date, Some(day));
    let refusal = draft.issue("1", day, Due::On(date("2026-08-31"))).unwrap_err();
    assert_eq!(refusal.reason, Reason::DueDateBeforeIssue);
    assert_eq!(refusal.metadata.get("due_date").map(String::as_str), Some("2026-08-31"));
    assert_eq!(refusal.metadata.get("issue_date").map(String::as_str), Some("2026-09-01"));
    assert_eq!(reason(draft.issue("1", day, Due::AfterDays(u32::MAX))), Reason::FieldOutOfRange);
}

#[test]
fn a_due_date_only_moves_later() {
    let invoice = issued(vec![line("internet", "100.00")]);
    for same_or_earlier in ["2026-09-15", "2026-09-14"] {
        let refusal = invoice.postpone(date(same_or_earlier)).unwrap_err();
        assert_eq!(refusal.reason, Reason::DueDateNotLater);
        assert_eq!(refusal.metadata.get("due_date").map(String::as_str), Some("2026-09-15"));
    }
    let once = invoice.postpone(date("2026-09-16")).unwrap();
    assert_eq!((once.due_date, once.effective_due_date()), (invoice.due_date, Some(date("2026-09-16"))));
    assert_eq!(reason(once.postpone(date("2026-09-16"))), Reason::DueDateNotLater);
    assert_eq!(once.postpone(date("2026-09-20")).unwrap().effective_due_date(), Some(date("2026-09-20")));
}

#[test]
fn an_invoice_is_voided_while_only_settlement_at_issue_is_on_it() {
    let invoice = issued(vec![line("internet", "100.00"), billed("calls", &[(5, "1.004", "0")])]);
    let settled = |amount: &str| invoice.settled(money(amount), date("2026-09-01")).unwrap();
    for (invoice, allocations) in [
        (invoice.clone(), vec![]),
        (settled("101"), vec![allocation("101", true)]),
        (settled("60"), vec![allocation("40", true), allocation("20", true)]),
    ] {
        let void = invoice.void(&allocations).unwrap();
        assert_eq!((void.document, void.rest(), void.paid), (DocumentState::Void, Money::ZERO, Money::ZERO));
        assert_eq!((&void.number, void.payment_state()), (&invoice.number, PaymentState::Unpaid));
        assert_eq!((void.totals.rounding, void.billed_sequences()), (money("0.004"), vec![5]));
    }
    for (invoice, allocations) in [
        (settled("60"), vec![allocation("60", false)]),
        (settled("60"), vec![allocation("40", true), allocation("20", false)]),
        (invoice.credit(Some(money("1"))).unwrap().invoice, vec![]),
        // A bill for a prepayment that was paid has no allocation.
        (Invoice { invoice_type: InvoiceType::TopUp, ..settled("60") }, vec![]),
    ] {
        assert_eq!(reason(invoice.void(&allocations)), Reason::InvoiceHasPayments, "{allocations:?}");
        assert!(!invoice.actions(&allocations, date("2026-09-01")).contains(&Action::Void));
    }
}

#[test]
fn what_is_not_paid_is_written_off() {
    let invoice = issued(vec![line("internet", "100.00")]).settled(money("30"), date("2026-09-02")).unwrap();
    let given_up = invoice.mark_uncollectible().unwrap();
    assert_eq!((given_up.written_off, given_up.rest()), (money("70"), Money::ZERO));
    assert_eq!(given_up.payment_state(), PaymentState::PartiallyPaid);
    assert_eq!(given_up.open(date("2027-01-01")), None);
    // Later payments are free money, but what was paid can still be taken back.
    assert_eq!(given_up.settled(Money::ONE_MICRO, date("2026-10-01")), None);
    let taken_back = given_up.settled(money("-30"), date("2026-10-01")).unwrap();
    assert_eq!((taken_back.rest(), taken_back.times_reopened), (Money::ZERO, 0));

    let paid = invoice.settled(money("70"), date("2026-09-02")).unwrap();
    let top_up = draft(InvoiceType::TopUp, vec![line("prepayment", "5")])
        .issue("1", date("2026-09-01"), Due::AfterDays(0))
        .unwrap();
    for invoice in [paid, top_up] {
        let refusal = invoice.mark_uncollectible().unwrap_err();
        assert_eq!(refusal.reason, Reason::WriteOffExceedsDebt);
        assert_eq!(refusal.metadata.get("debt").map(String::as_str), Some("0.00"));
    }
}

#[test]
fn a_paid_invoice_reopens_and_counts_it() {
    let day = date("2026-09-20");
    let invoice = issued(vec![line("internet", "100.00")]);
    let paid = invoice.settled(money("100"), date("2026-09-10")).unwrap();
    assert_eq!((paid.payment_state(), paid.reopened_date), (PaymentState::Paid, None));
    assert_eq!(paid.counts_from(), Some(date("2026-09-15")));

    let reopened = paid.settled(money("-0.01"), day).unwrap();
    assert_eq!((reopened.rest(), reopened.payment_state()), (money("0.01"), PaymentState::PartiallyPaid));
    assert_eq!((reopened.reopened_date, reopened.times_reopened), (Some(day), 1));
    assert_eq!(reopened.counts_from(), Some(day));
    assert!(reopened.is_overdue(day));
    // What was open before does not reopen, nor what is settled again in the same breath.
    let less = reopened.settled(money("-50"), date("2026-09-21")).unwrap();
    assert_eq!((less.reopened_date, less.times_reopened), (Some(day), 1));
    assert_eq!(paid.settled(Money::ZERO, day), Some(paid.clone()));
    // Reopened before its due date: the due date counts.
    assert_eq!(paid.settled(money("-100"), date("2026-09-11")).unwrap().counts_from(), Some(date("2026-09-15")));
    let again = less.settled(less.rest(), day).unwrap().settled(money("-1"), date("2026-10-01")).unwrap();
    assert_eq!((again.reopened_date, again.times_reopened), (Some(date("2026-10-01")), 2));

    assert_eq!(invoice.settled(money("100.000001"), day), None);
    assert_eq!(invoice.settled(money("-0.000001"), day), None);
    assert_eq!(draft(InvoiceType::Charge, vec![line("a", "1")]).settled(Money::ONE_MICRO, day), None);
}

#[test]
fn a_bill_for_a_prepayment_bills_no_posted_charges() {
    let mut invoice = draft(InvoiceType::TopUp, vec![line("prepayment", "5")]);
    let refusal = invoice.update(content(vec![line("a", "1"), billed("b", &[(1, "2", "0")])])).unwrap_err();
    assert_eq!(refusal.reason, Reason::FieldConflict);
    assert_eq!(refusal.metadata.get("field").map(String::as_str), Some("lines[1]"));
    invoice.invoice_type = InvoiceType::Charge;
    assert!(invoice.update(content(vec![billed("b", &[(1, "2", "0")])])).is_ok());
}

/// The actions of a state are exactly those that its transitions accept.
#[test]
fn actions_are_what_the_transitions_accept() {
    use Action::{Credit, Issue, MarkUncollectible, Pay, PostponeDueDate, Update, Void};
    let today = date("2026-09-10");
    let lines = || vec![line("internet", "100.00")];
    let charge = issued(lines());
    let top_up = draft(InvoiceType::TopUp, lines()).issue("1", date("2026-09-01"), Due::AfterDays(0)).unwrap();
    let paid = |invoice: &Invoice, amount: &str| invoice.settled(money(amount), today).unwrap();
    for (invoice, allocations, actions) in [
        (draft(InvoiceType::Charge, Vec::new()), vec![], vec![Update]),
        (draft(InvoiceType::Charge, lines()), vec![], vec![Update, Issue]),
        (charge.clone(), vec![], vec![Pay, PostponeDueDate, Credit, Void, MarkUncollectible]),
        (
            paid(&charge, "40"),
            vec![allocation("40", true)],
            vec![Pay, PostponeDueDate, Credit, Void, MarkUncollectible],
        ),
        (paid(&charge, "40"), vec![allocation("40", false)], vec![Pay, PostponeDueDate, Credit, MarkUncollectible]),
        (paid(&charge, "100"), vec![allocation("100", false)], vec![PostponeDueDate, Credit]),
        (paid(&charge, "100"), vec![allocation("100", true)], vec![PostponeDueDate, Credit, Void]),
        (charge.credit(None).unwrap().invoice, vec![], vec![PostponeDueDate]),
        (charge.void(&[]).unwrap(), vec![], vec![]),
        (charge.mark_uncollectible().unwrap(), vec![], vec![]),
        (top_up.clone(), vec![], vec![Pay, PostponeDueDate, Void]),
        (paid(&top_up, "1"), vec![], vec![Pay, PostponeDueDate]),
        (paid(&top_up, "100"), vec![], vec![PostponeDueDate]),
    ] {
        assert_eq!(invoice.actions(&allocations, today), actions, "{invoice:?}");
        // A call for what is issued already is answered with it, and is no action for all that.
        let issue = invoice.issue("2", today, Due::AfterDays(0)).is_ok_and(|issued| issued != invoice);
        let accepted = [
            (Update, invoice.update(content(lines())).is_ok()),
            (Issue, issue),
            (Pay, invoice.settled(Money::ONE_MICRO, today).is_some()),
            (PostponeDueDate, invoice.postpone(date("2099-01-01")).is_ok()),
            (Credit, invoice.credit(None).is_ok()),
            (Void, invoice.void(&allocations).is_ok()),
            (MarkUncollectible, invoice.mark_uncollectible().is_ok()),
        ];
        let accepted: Vec<Action> = accepted.iter().filter(|(_, is_ok)| *is_ok).map(|(action, _)| *action).collect();
        assert_eq!(accepted, actions, "{invoice:?}");
    }
}

#[test]
fn drafts_and_final_invoices_refuse_by_their_state() {
    let draft = draft(InvoiceType::Charge, vec![line("internet", "100.00")]);
    let charge = issued(vec![line("internet", "100.00")]);
    for (invoice, expected, state) in [
        (draft, Reason::InvoiceNotIssued, "DRAFT"),
        (charge.void(&[]).unwrap(), Reason::InvoiceFinal, "VOID"),
        (charge.mark_uncollectible().unwrap(), Reason::InvoiceFinal, "UNCOLLECTIBLE"),
    ] {
        let refusals = [
            invoice.postpone(date("2099-01-01")).unwrap_err(),
            invoice.void(&[]).unwrap_err(),
            invoice.mark_uncollectible().unwrap_err(),
            invoice.credit(None).unwrap_err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.reason, expected, "{state}");
            assert_eq!(refusal.metadata.get("state").map(String::as_str), Some(state));
        }
        if expected == Reason::InvoiceFinal {
            assert_eq!(reason(invoice.issue("2", date("2026-09-01"), Due::AfterDays(0))), Reason::InvoiceFinal);
            assert_eq!(reason(invoice.update(content(Vec::new()))), Reason::InvoiceNotDraft);
        }
    }
}
