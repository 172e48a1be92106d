//! The order of a stream: operations of one account follow each other, those of different accounts do not wait for each
//! other.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::convert::operation::Form;
use crate::engine::command::Command;

/// The most operations of a group.
const MAX_GROUP: usize = 1000;

/// An operation that waits for its turn.
#[derive(Debug)]
pub(super) struct Item {
    /// The number of its request.
    pub(super) index: i64,
    /// Which operation it is.
    pub(super) form: Form,
    /// The account that the request named.
    pub(super) account_id: String,
    /// The key that the request carried.
    pub(super) key: String,
    /// What to do.
    pub(super) command: Command,
}

/// Operations that wait, and the accounts that are under way.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// In the order of arrival, those of busy accounts among them until they are met.
    ready: VecDeque<Item>,
    /// Operations of busy accounts, in their order.
    parked: HashMap<String, Vec<Item>>,
    /// Accounts with an operation under way.
    busy: HashSet<String>,
    parked_count: usize,
}

impl Lanes {
    /// How many operations wait.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.parked_count
    }

    /// One more has arrived.
    pub(super) fn push(&mut self, item: Item) {
        self.ready.push_back(item);
    }

    /// The operations that can be started now, with the accounts that are busy until they are released.
    pub(super) fn next_group(&mut self) -> Option<(Vec<String>, Vec<Item>)> {
        let mut items = Vec::new();
        while items.len() < MAX_GROUP
            && let Some(item) = self.ready.pop_front()
        {
            if self.busy.contains(&item.account_id) {
                self.parked_count += 1;
                self.parked.entry(item.account_id.clone()).or_default().push(item);
            } else {
                items.push(item);
            }
        }
        if items.is_empty() {
            return None;
        }
        let accounts: HashSet<&String> = items.iter().map(|item| &item.account_id).collect();
        let accounts: Vec<String> = accounts.into_iter().cloned().collect();
        self.busy.extend(accounts.iter().cloned());
        Some((accounts, items))
    }

    /// The operations of these accounts are done: those that waited for them come before all that arrived later.
    pub(super) fn release(&mut self, accounts: Vec<String>) {
        for account in accounts {
            self.busy.remove(&account);
            if let Some(items) = self.parked.remove(&account) {
                self.parked_count -= items.len();
                for item in items.into_iter().rev() {
                    self.ready.push_front(item);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::Body;

    fn item(index: i64, account: &str) -> Item {
        let command = Command {
            account_id: account.to_owned(),
            key: None,
            principal: None,
            body: Body::Settle,
            validate_only: false,
        };
        Item { index, form: Form::Post, account_id: account.to_owned(), key: String::new(), command }
    }

    fn group(lanes: &mut Lanes) -> Option<(Vec<String>, Vec<i64>)> {
        let (accounts, items) = lanes.next_group()?;
        Some((accounts, items.iter().map(|item| item.index).collect()))
    }

    #[test]
    fn operations_of_a_busy_account_wait_and_keep_their_order() {
        let mut lanes = Lanes::default();
        lanes.push(item(0, "a"));
        let (first, started) = group(&mut lanes).unwrap_or_default();
        assert_eq!(started, [0]);
        for (index, account) in [(1, "a"), (2, "b"), (3, "a")] {
            lanes.push(item(index, account));
        }
        let (second, started) = group(&mut lanes).unwrap_or_default();
        assert_eq!(started, [2]);
        assert_eq!(lanes.len(), 2);
        lanes.push(item(4, "a"));
        assert_eq!(group(&mut lanes), None);
        lanes.push(item(5, "a"));
        lanes.release(first);
        assert_eq!(group(&mut lanes).unwrap_or_default().1, [1, 3, 4, 5]);
        lanes.release(second);
        assert_eq!((group(&mut lanes), lanes.len()), (None, 0));
    }

    #[test]
    fn a_group_holds_so_many_operations_and_the_others_follow() {
        let mut lanes = Lanes::default();
        for index in 0..2500 {
            lanes.push(item(index, "hot"));
        }
        let mut seen = Vec::new();
        while let Some((accounts, started)) = group(&mut lanes) {
            assert_eq!(group(&mut lanes), None);
            seen.extend(started);
            lanes.release(accounts);
        }
        assert_eq!(seen, (0..2500).collect::<Vec<_>>());
    }
}
