//! What adds up over the whole ledger only: the legs of transfers, and the sides of a currency.

use std::collections::{BTreeMap, HashMap};

use super::account::Account;
use super::chain::Seen;
use super::finding::{Fault, Finding};
use crate::domain::record::{Kind, Payload};

/// A leg whose other one has not been met.
#[derive(Clone, Debug)]
struct Leg {
    at: (i16, i64),
    account_id: String,
    sequence: i64,
    amount: i128,
}

/// The sums over what has been read.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By the transaction.
    legs: HashMap<String, Leg>,
    /// What the counter accounts took, by currency.
    counters: BTreeMap<&'static str, i128>,
    /// What the clients have, by currency.
    clients: BTreeMap<&'static str, i128>,
}

impl Totals {
    /// Takes an entry.
    pub(super) fn add(&mut self, seen: &Seen, payload: &Payload, account: &Account, findings: &mut Vec<Finding>) {
        let row = &seen.row;
        if row.amount != 0
            && let Some(currency) = account.currency
        {
            *self.counters.entry(currency.code()).or_default() -= i128::from(row.amount);
        }
        let kinds = [Kind::TransferIn, Kind::TransferOut];
        let is_leg = kinds.iter().any(|kind| kind.number() == row.kind) || payload.peer.is_some();
        if is_leg {
            self.add_leg(seen, payload, findings);
        }
    }

    fn add_leg(&mut self, seen: &Seen, payload: &Payload, findings: &mut Vec<Finding>) {
        let row = &seen.row;
        let unbalanced = |message| Finding::at_row(Fault::TransferUnbalanced, row, &seen.account_id, message);
        let Some(transaction) = &payload.transaction_id else {
            findings.push(unbalanced("A leg of a transfer names no transaction."));
            return;
        };
        match self.legs.remove(transaction) {
            None => {
                let leg = Leg {
                    at: (row.partition, row.position),
                    account_id: seen.account_id.clone(),
                    sequence: row.sequence,
                    amount: i128::from(row.amount),
                };
                self.legs.insert(transaction.clone(), leg);
            }
            Some(other) if other.amount + i128::from(row.amount) == 0 => {}
            Some(other) => {
                let finding = unbalanced("The legs of a transfer are not of the same amount.");
                findings.push(finding.with(-other.amount, row.amount));
            }
        }
    }

    /// Takes what the accounts of a partition have in the end.
    pub(super) fn add_accounts<'a>(&mut self, accounts: impl Iterator<Item = &'a Account>) {
        for account in accounts {
            if let Some(currency) = account.currency {
                *self.clients.entry(currency.code()).or_default() += i128::from(account.amounts.posted.micros());
            }
        }
    }

    /// Tells what does not add up.
    pub(super) fn finish(&self, findings: &mut Vec<Finding>) {
        for leg in self.legs.values() {
            let message = "A leg of a transfer has no counterpart.";
            findings.push(Finding {
                at: Some(leg.at),
                sequence: leg.sequence,
                ..Finding::of(Fault::TransferUnbalanced, &leg.account_id, message).with(-leg.amount, "")
            });
        }
        for (currency, counters) in &self.counters {
            let clients = self.clients.get(currency).copied().unwrap_or(0);
            if clients + counters != 0 {
                let message = "Clients and counter accounts of a currency do not sum to zero.";
                let found = format!("{} {currency}", clients + counters);
                findings.push(Finding::of(Fault::SumNotZero, "", message).with(0, found));
            }
        }
    }
}
