//! What a row changes in the tables beside the journal.

use std::sync::Arc;

use billing_db::changes::Change;
use billing_db::{DueRow, ReversalRow};

use super::stored::{account_row, hold_row};
use super::work::{DUE_HOLD, Work};
use crate::domain::accounts::Account;
use crate::domain::head::Head;
use crate::domain::holds::HoldState;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::record::{Draft, Kind};

impl Work {
    /// Notes what changes with a row of an account; `open` is when the hold it is about was to end before it.
    pub(super) fn note_changes(&mut self, head: &Head, draft: &Draft, open: Option<Instant>) {
        let partition = self.partition.db_number();
        let account = head.identity.account;
        if let Some(settings) = &draft.payload.account {
            let full = Account { settings: settings.clone(), details: draft.texts.details.clone() };
            let row = account_row(head, &full);
            match draft.kind {
                Kind::AccountCreated => self.changes.push(Change::InsertAccount(row)),
                _ => self.changes.push(Change::UpdateAccount(row)),
            }
            if draft.kind == Kind::AccountAnonymized {
                let digests = self.digests.remove(&account).unwrap_or_default();
                self.changes.push(Change::EraseTexts { partition, account, digests });
            }
            self.accounts.insert(account, full);
        }
        if let Some(hold) = &draft.payload.hold {
            let mut hold = hold.clone();
            hold.texts = draft.hold_texts();
            self.changes.push(Change::PutHold(hold_row(partition, account, &hold)));
            let due = |at: Instant| DueRow {
                partition,
                at: at.micros(),
                kind: DUE_HOLD,
                account,
                subject: hold.hold_id.clone(),
            };
            let ends = (hold.state == HoldState::Open).then_some(hold.expires_at);
            if open != ends {
                self.changes.extend(open.map(|at| Change::DeleteDue(due(at))));
                self.changes.extend(ends.map(|at| Change::InsertDue(due(at))));
            }
            let key = (account, hold.hold_id.clone());
            if hold.state == HoldState::Open {
                self.holds.remove(&key);
            } else {
                self.holds.insert(key, Some(Arc::new(hold)));
            }
        }
        if let Some(sequence) = draft.payload.reverses_sequence {
            let reversed = self.reversed.entry((account, sequence)).or_insert(Money::ZERO);
            *reversed = reversed.checked_add(draft.amount.abs()).unwrap_or(Money::MAX);
            let row = ReversalRow { partition, account, sequence, reversed: reversed.micros() };
            self.changes.push(Change::PutReversal(row));
        }
    }
}
