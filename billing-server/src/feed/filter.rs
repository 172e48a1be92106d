//! Which rows and events a subscriber wants.

use std::collections::{HashMap, HashSet};

use billing_db::heads::BalanceFilter;
use billing_proto::v1;

use crate::convert::event;
use crate::domain::head::Identity;
use crate::engine::record::Record;

/// A set of event types; the empty set means all, those of later versions too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(u64);

impl Types {
    /// The set of these types.
    pub fn of(types: impl IntoIterator<Item = v1::EventType>) -> Self {
        Self(types.into_iter().fold(0, |set, event_type| set | bit(event_type)))
    }

    /// Whether an event is wanted.
    pub fn admit(self, event: &v1::Event) -> bool {
        self.0 == 0 || event::type_of(event).is_some_and(|event_type| self.0 & bit(event_type) != 0)
    }
}

fn bit(event_type: v1::EventType) -> u64 {
    1_u64.checked_shl(event_type as u32).unwrap_or(0)
}

/// Whose rows a subscriber wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Everybody's.
    pub(super) everybody: bool,
    /// Those of these accounts, by partition and number.
    accounts: HashSet<(u16, i64)>,
    /// The same accounts by their ids.
    ids: HashMap<String, (u16, i64)>,
    /// Those of all accounts of these customers.
    pub(super) customer_ids: HashSet<String>,
    /// How many of the accounts are in each partition.
    counts: HashMap<u16, usize>,
}

impl Filter {
    /// Everybody, or all accounts of some customers.
    pub(super) fn new(everybody: bool, customer_ids: Vec<String>) -> Self {
        Self { everybody, customer_ids: customer_ids.into_iter().collect(), ..Self::default() }
    }

    /// Follows an account; false if it is followed already.
    pub(super) fn add(&mut self, identity: &Identity) -> bool {
        let key = (identity.partition, identity.account);
        if !self.accounts.insert(key) {
            return false;
        }
        self.ids.insert(identity.account_id.clone(), key);
        *self.counts.entry(identity.partition).or_default() += 1;
        true
    }

    /// Whether an account is followed by its name.
    pub(super) fn holds(&self, identity: &Identity) -> bool {
        self.accounts.contains(&(identity.partition, identity.account))
    }

    /// Follows an account no longer; where it is, if it was followed.
    pub(super) fn remove(&mut self, account_id: &str) -> Option<(u16, i64)> {
        let key = self.ids.remove(account_id)?;
        self.accounts.remove(&key);
        if let Some(count) = self.counts.get_mut(&key.0) {
            *count -= 1;
        }
        Some(key)
    }

    /// How many accounts are named.
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether a row is wanted.
    pub(super) fn admits(&self, record: &Record) -> bool {
        let Some(identity) = &record.identity else { return false };
        self.everybody || self.holds(identity) || self.customer_ids.contains(&identity.customer_id)
    }

    /// Whether a partition can hold rows that are wanted.
    pub(super) fn concerns(&self, partition: u16) -> bool {
        self.everybody || !self.customer_ids.is_empty() || self.counts.get(&partition).is_some_and(|count| *count > 0)
    }

    /// The numbers of the accounts in a partition, if only accounts are named.
    pub(super) fn accounts_alone(&self, partition: u16) -> Option<Vec<i64>> {
        if self.everybody || !self.customer_ids.is_empty() {
            return None;
        }
        Some(self.accounts.iter().filter(|key| key.0 == partition).map(|key| key.1).collect())
    }

    /// Every account named: its partition and number.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (u16, i64)> {
        self.accounts.iter().copied()
    }

    /// Whose balances a snapshot of a partition holds.
    pub(super) fn balances(&self, partition: u16) -> BalanceFilter {
        if self.everybody {
            return BalanceFilter::default();
        }
        let named = self.ids.iter().filter(|(_, key)| key.0 == partition);
        BalanceFilter {
            customer_ids: self.customer_ids.iter().cloned().collect(),
            account_ids: named.map(|(account_id, _)| account_id.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixture::{entry, identity};

    #[test]
    fn a_named_account_is_admitted_until_it_is_removed() {
        let mut filter = Filter::default();
        assert!(filter.add(&identity(0, 1)));
        assert!(!filter.add(&identity(0, 1)));
        assert!(filter.admits(&entry(0, 6, 1, 2)));
        assert!(!filter.admits(&entry(0, 6, 2, 1)) && !filter.admits(&entry(1, 6, 1, 2)));
        assert!(filter.concerns(0) && !filter.concerns(1));
        assert_eq!(filter.accounts_alone(0), Some(vec![1]));
        assert_eq!(filter.remove(&identity(0, 1).account_id), Some((0, 1)));
        assert_eq!(filter.remove(&identity(0, 1).account_id), None);
        assert!(!filter.concerns(0) && !filter.admits(&entry(0, 6, 1, 2)));
    }

    #[test]
    fn a_customer_brings_all_accounts_present_and_future() {
        let filter = Filter::new(false, vec![identity(0, 2).customer_id]);
        assert!(filter.admits(&entry(0, 6, 2, 1)) && !filter.admits(&entry(0, 6, 1, 1)));
        assert!(filter.concerns(0) && filter.concerns(63));
        assert_eq!(filter.accounts_alone(0), None);
    }

    #[test]
    fn everybody_is_everybody_with_an_account() {
        let filter = Filter::new(true, Vec::new());
        assert!(filter.admits(&entry(3, 6, 9, 1)));
        let mut system = entry(3, 6, 0, 1);
        system.identity = None;
        assert!(!filter.admits(&system));
        assert_eq!(filter.balances(3), BalanceFilter::default());
    }

    #[test]
    fn no_types_are_all_types() {
        let event = v1::Event {
            payload: Some(v1::event::Payload::HoldChanged(v1::HoldChanged::default())),
            ..v1::Event::default()
        };
        assert!(Types::default().admit(&event));
        assert!(Types::of([v1::EventType::HoldChanged, v1::EventType::AccountChanged]).admit(&event));
        assert!(!Types::of([v1::EventType::BalanceChanged]).admit(&event));
    }
}
