//! An account as its rows make it.

use std::collections::HashMap;

use billing_db::JournalRow;

use super::chain::Seen;
use super::finding::{Fault, Finding};
use crate::domain::accounts::Settings;
use crate::domain::amounts::Amounts;
use crate::domain::currency::Currency;
use crate::domain::record::Payload;
use crate::engine::record::{amounts_after, entry_sequence_of};

/// What the rows of an account seen so far come to.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) currency: Option<Currency>,
    pub(super) sequence: i64,
    pub(super) amounts: Amounts,
    /// The sequence of the row that last changed the settings.
    pub(super) version: i64,
    pub(super) settings: Option<Box<Settings>>,
    /// What each open hold reserves, in millionths.
    pub(super) open_holds: HashMap<String, i64>,
    /// What was reversed of each entry that was, in millionths.
    pub(super) reversed: HashMap<i64, i64>,
    entry_sequence: i64,
    held: i128,
}

impl Account {
    pub(super) fn new(account_id: &str, currency: Option<Currency>) -> Self {
        Self {
            id: account_id.to_owned(),
            currency,
            sequence: 0,
            amounts: Amounts::default(),
            version: 0,
            settings: None,
            open_holds: HashMap::new(),
            reversed: HashMap::new(),
            entry_sequence: 0,
            held: 0,
        }
    }

    /// Takes the account's next row. `original` is the amount of the entry that it reverses, if that exists.
    pub(super) fn follow(
        &mut self,
        seen: &Seen,
        payload: &Payload,
        original: Option<i64>,
        findings: &mut Vec<Finding>,
    ) {
        let row = &seen.row;
        self.check_sequence(row, findings);
        self.check_amounts(row, payload, findings);
        self.check_holds(row, payload, findings);
        self.check_reversal(row, payload, original, findings);
        self.sequence = row.sequence;
        self.amounts = amounts_after(row);
        if let Some(settings) = &payload.account {
            self.version = row.sequence;
            self.settings = Some(Box::new(settings.clone()));
        }
    }

    fn finding(&self, fault: Fault, row: &JournalRow, message: &'static str) -> Finding {
        Finding::at_row(fault, row, &self.id, message)
    }

    fn check_sequence(&mut self, row: &JournalRow, findings: &mut Vec<Finding>) {
        if row.sequence != self.sequence + 1 {
            let finding = self.finding(Fault::SequenceGap, row, "The sequence does not follow the one before it.");
            findings.push(finding.with(self.sequence + 1, row.sequence));
        }
        let expected = if matches!(row.kind, 1..=13) { row.sequence } else { self.entry_sequence };
        if entry_sequence_of(row) != expected {
            let message = "The sequence of the last entry is not the one of the last entry.";
            findings.push(self.finding(Fault::SequenceGap, row, message).with(expected, entry_sequence_of(row)));
        }
        self.entry_sequence = expected;
    }

    /// posted = posted before + amount; available by its formula; the limit as the settings say; a bonus is part of what
    /// is posted.
    fn check_amounts(&self, row: &JournalRow, payload: &Payload, findings: &mut Vec<Finding>) {
        let (before, after) = (self.amounts, amounts_after(row));
        let posted = i128::from(before.posted.micros()) + i128::from(row.amount);
        let available = i128::from(after.posted.micros()) - i128::from(after.held.micros())
            + [after.credit_limit, after.promised, after.not_due]
                .iter()
                .map(|part| i128::from(part.micros()))
                .sum::<i128>();
        let limit = payload.account.as_ref().map_or(before.credit_limit, |settings| settings.credit_limit);
        let is_entry = matches!(row.kind, 1..=13);
        let checks = [
            (posted, after.posted.micros(), "The balance after the row is not the one before it plus its amount."),
            (available, row.available_after, "What is available does not follow from the other amounts."),
            (i128::from(limit.micros()), after.credit_limit.micros(), "The credit limit is not that of the settings."),
        ];
        for (expected, found, message) in checks {
            if expected != i128::from(found) {
                findings.push(self.finding(Fault::BalanceMismatch, row, message).with(expected, found));
            }
        }
        if is_entry == (row.amount == 0) {
            let message = "An entry moves money, and nothing else does.";
            findings.push(self.finding(Fault::BalanceMismatch, row, message).with("", row.amount));
        }
        let most = after.posted.micros().max(0);
        if after.bonus.micros() < 0 || after.bonus.micros() > most {
            let message = "What is left of bonus money is more than what is posted, or negative.";
            findings.push(self.finding(Fault::BalanceMismatch, row, message).with(most, after.bonus.micros()));
        }
        if !is_entry && after.bonus != before.bonus {
            let message = "A row that is no entry has changed what is left of bonus money.";
            let finding = self.finding(Fault::BalanceMismatch, row, message);
            findings.push(finding.with(before.bonus.micros(), after.bonus.micros()));
        }
        if let Some(tax) = payload
            .tax
            .as_ref()
            .filter(|tax| tax.amount.is_negative() || tax.amount.micros().unsigned_abs() > row.amount.unsigned_abs())
        {
            let message = "The tax is more than the amount that contains it, or negative.";
            findings.push(self.finding(Fault::SumNotZero, row, message).with(row.amount.abs(), tax.amount.micros()));
        }
    }

    fn check_holds(&mut self, row: &JournalRow, payload: &Payload, findings: &mut Vec<Finding>) {
        if let Some(hold) = &payload.hold {
            let rest = hold.rest().micros();
            let before = if rest > 0 {
                self.open_holds.insert(hold.hold_id.clone(), rest)
            } else {
                self.open_holds.remove(&hold.hold_id)
            };
            self.held += i128::from(rest) - i128::from(before.unwrap_or(0));
        }
        let found = row.held_after.unwrap_or(0);
        if self.held != i128::from(found) {
            let message = "The open holds do not add up to what is held.";
            findings.push(self.finding(Fault::HoldMismatch, row, message).with(self.held, found));
            // Told once, where it begins.
            self.held = i128::from(found);
        }
    }

    fn check_reversal(
        &mut self,
        row: &JournalRow,
        payload: &Payload,
        original: Option<i64>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(sequence) = payload.reverses_sequence else { return };
        let reversed = self.reversed.entry(sequence).or_default();
        *reversed = reversed.saturating_add(row.amount.saturating_abs());
        let reversed = *reversed;
        match original {
            Some(original) if reversed > original.saturating_abs() => {
                let message = "Reversals take back more than the entry moved.";
                findings
                    .push(self.finding(Fault::ReversalExcess, row, message).with(original.saturating_abs(), reversed));
            }
            Some(original) if (original < 0) == (row.amount < 0) => {
                let message = "A reversal has the sign of what it reverses.";
                findings.push(self.finding(Fault::ReversalExcess, row, message).with(-original.signum(), row.amount));
            }
            Some(_) => {}
            None => {
                let message = "What is reversed is no entry of the account.";
                findings.push(self.finding(Fault::ReversalExcess, row, message).with("", sequence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seal;

    /// An entry of an account: sequence, amount, posted after it.
    fn entry(sequence: i64, amount: i64, posted_after: i64) -> Seen {
        let row = JournalRow {
            position: sequence,
            sequence,
            kind: 1,
            amount,
            posted_after,
            available_after: posted_after,
            ..seal::genesis(0, 1, None)
        };
        Seen { row, account_id: "a".to_owned(), counter: None, category: None, created_by: None, secret: None }
    }

    fn faults(rows: &[(Seen, Payload, Option<i64>)]) -> Vec<(i64, Fault)> {
        let (mut account, mut findings) = (Account::new("a", None), Vec::new());
        for (seen, payload, original) in rows {
            account.follow(seen, payload, *original, &mut findings);
        }
        findings.iter().map(|finding| (finding.sequence, finding.fault)).collect()
    }

    fn plain(seen: Seen) -> (Seen, Payload, Option<i64>) {
        (seen, Payload::default(), None)
    }

    #[test]
    fn amounts_follow_from_amounts() {
        assert_eq!(faults(&[plain(entry(1, 100, 100)), plain(entry(2, -30, 70))]), []);
        let broken = [plain(entry(1, 100, 100)), plain(entry(2, -30, 71)), plain(entry(3, 1, 72))];
        assert_eq!(faults(&broken), [(2, Fault::BalanceMismatch)]);
        let mut available = entry(1, 100, 100);
        available.row.available_after = 99;
        assert_eq!(faults(&[plain(available)]), [(1, Fault::BalanceMismatch)]);
    }

    #[test]
    fn sequences_have_no_gaps() {
        assert_eq!(faults(&[plain(entry(1, 1, 1)), plain(entry(3, 1, 2))]), [(3, Fault::SequenceGap)]);
    }

    #[test]
    fn holds_add_up_to_what_is_held() {
        let mut held = entry(1, 100, 100);
        held.row.held_after = Some(10);
        held.row.available_after = 90;
        assert_eq!(faults(&[plain(held)]), [(1, Fault::HoldMismatch)]);
    }

    #[test]
    fn an_entry_is_reversed_up_to_its_amount() {
        let reversal = |sequence, amount, posted| {
            let payload = Payload { reverses_sequence: Some(1), ..Payload::default() };
            (entry(sequence, amount, posted), payload, Some(100))
        };
        assert_eq!(faults(&[plain(entry(1, 100, 100)), reversal(2, -60, 40), reversal(3, -40, 0)]), []);
        let excess = [plain(entry(1, 100, 100)), reversal(2, -60, 40), reversal(3, -41, -1)];
        assert_eq!(faults(&excess), [(3, Fault::ReversalExcess)]);
    }
}
