//! The heads of accounts that a partition keeps in memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use crate::domain::head::{Head, Identity};

/// An account known by its id.
#[derive(Debug, PartialEq, Eq)]
struct ById(Arc<Identity>);

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.account_id.hash(state);
    }
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.account_id
    }
}

/// The heads in memory: the most recently used, up to a number.
#[derive(Debug)]
pub(super) struct Heads {
    by_number: LruCache<i64, Head>,
    by_id: HashMap<ById, i64>,
}

impl Heads {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        // Grows on demand: the capacity is a bound, not a reservation.
        let mut by_number = LruCache::unbounded();
        by_number.resize(capacity);
        Self { by_number, by_id: HashMap::new() }
    }

    pub(super) fn by_id(&mut self, account_id: &str) -> Option<&Head> {
        let account = *self.by_id.get(account_id)?;
        self.by_number.get(&account)
    }

    /// A head by its account's number, without making it the most recently used.
    pub(super) fn peek(&self, account: i64) -> Option<&Head> {
        self.by_number.peek(&account)
    }

    /// The same, to take a row into it.
    pub(super) fn peek_mut(&mut self, account: i64) -> Option<&mut Head> {
        self.by_number.peek_mut(&account)
    }

    pub(super) fn put(&mut self, head: Head) {
        let identity = Arc::clone(&head.identity);
        if let Some((account, evicted)) = self.by_number.push(identity.account, head)
            && account != identity.account
        {
            self.by_id.remove(evicted.identity.account_id.as_str());
        }
        let account = identity.account;
        self.by_id.insert(ById(identity), account);
    }

    pub(super) fn evict(&mut self, account: i64) {
        if let Some(head) = self.by_number.pop(&account) {
            self.by_id.remove(head.identity.account_id.as_str());
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_number.clear();
        self.by_id.clear();
    }
}
