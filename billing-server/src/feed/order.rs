//! What a caller wants to be told.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;

use super::filter::Types;
use crate::domain::head::Identity;
use crate::domain::reason::Refusal;

/// Where a stream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Exactly after the event that carried this token.
    Token(String),
    /// With the first row of the journal.
    Beginning,
    /// With what happens from now on.
    Now,
}

/// Whether a caller may see an account.
pub type Sees = Arc<dyn Fn(&Identity) -> bool + Send + Sync>;

/// A change of the accounts that a stream follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Follow these too.
    Add(Vec<String>),
    /// Follow these no longer.
    Remove(Vec<String>),
}

/// The changes a caller asks for while the stream runs; its end ends the stream.
pub type Changes = Pin<Box<dyn Stream<Item = Result<Change, Refusal>> + Send>>;

/// How the accounts of a stream change.
pub struct Following {
    /// What the caller asks for.
    pub changes: Changes,
    /// So many of the first additions are the start of the stream: no event is sent before the last of them has come.
    pub opening: usize,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("opening", &self.opening).finish_non_exhaustive()
    }
}

/// What a caller wants to be told.
pub struct Order {
    /// These accounts; one that does not exist is an error.
    pub account_ids: Vec<String>,
    /// All accounts of these customers.
    pub customer_ids: Vec<String>,
    /// All accounts.
    pub everybody: bool,
    /// Only events of these types.
    pub types: Types,
    /// From where on.
    pub start: Start,
    /// The present balances first.
    pub include_snapshot: bool,
    /// After how long without an event a heartbeat is sent.
    pub heartbeat: Duration,
    /// Whether a slow reader gets only the latest balance of an account.
    pub conflate: bool,
    /// Which of the accounts named the caller may see; others do not exist for it.
    pub sees: Sees,
    /// For a stream whose accounts change, and which names none here.
    pub following: Option<Following>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("start", &self.start).finish_non_exhaustive()
    }
}
