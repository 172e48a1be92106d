//! Followed streams: a stream of events of a set of accounts that changes while it runs.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use billing_proto::v1;
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::background::Background;
use crate::client::Client;
use crate::error::Error;
use crate::event::Event;
use crate::follower::{Change, Follower};
use crate::stream_options::{patience, stream_options};
use crate::subscription::EVENTS_AHEAD;

/// The most accounts that one request may name.
pub(crate) const MAX_ACCOUNTS: usize = 1000;

/// Which accounts to follow at first, and how.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it does nothing until a client follows"]
pub struct Following {
    pub(crate) wire: v1::FollowStart,
    with_heartbeats: bool,
}

impl Following {
    /// These accounts to begin with. It may be none; one stream follows at most 100,000. Those that do not exist are
    /// listed, and are no error.
    pub fn accounts<T: Into<String>>(account_ids: impl IntoIterator<Item = T>) -> Self {
        let account_ids = account_ids.into_iter().map(Into::into).collect();
        Self { wire: v1::FollowStart { account_ids, ..Default::default() }, with_heartbeats: false }
    }
}

stream_options!(Following, follow_start);

/// One item of a followed stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Followed {
    /// An event.
    Event(Box<Event>),
    /// The set of accounts has changed: what was asked for is confirmed. Events of an added account come after its
    /// confirmation only.
    AccountsChanged {
        /// The accounts that are followed from now on.
        added: Vec<String>,
        /// The accounts that are followed no longer.
        removed: Vec<String>,
        /// The accounts that do not exist or that the caller may not see; they are not followed.
        missing: Vec<String>,
    },
}

/// A followed stream: a [`Stream`] of [`Followed`] that reconnects and resumes by itself, with the accounts that are
/// followed then. Its guarantees are those of [`Events`](crate::Events). It ends when it is dropped, or after an error
/// that no reconnect heals.
#[derive(Debug)]
pub struct Follow {
    items: Background<Result<Followed, Error>>,
    handle: FollowHandle,
    resume_token: Option<String>,
    with_heartbeats: bool,
}

/// Adds and removes accounts of a [`Follow`], from any task.
#[derive(Debug, Clone)]
pub struct FollowHandle {
    changes: mpsc::UnboundedSender<Change>,
    wanted: Wanted,
}

/// The accounts that the caller wants to follow, confirmed or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted(Arc<Mutex<BTreeSet<String>>>);

impl Wanted {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follow {
    /// A handle that adds and removes accounts, also from other tasks.
    pub fn handle(&self) -> FollowHandle {
        self.handle.clone()
    }

    /// The token of the last event that this stream has yielded, or of a later heartbeat. After a restart hand it to
    /// [`Following::resume_from`] together with the accounts: they continue exactly after it, without sending their
    /// balances again. In a stream with snapshots name those whose balance has come, and [add](FollowHandle::add) the
    /// others.
    pub fn resume_token(&self) -> Option<&str> {
        self.resume_token.as_deref()
    }
}

impl FollowHandle {
    /// Follows more accounts. The stream confirms them by [`Followed::AccountsChanged`]. A stream that has ended is told
    /// by [`Error::Transport`]; more than 100,000 accounts end it with `TOO_MANY_ITEMS`.
    pub fn add<T: Into<String>>(&self, account_ids: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let added: Vec<String> = account_ids.into_iter().map(Into::into).collect();
        let mut wanted = self.wanted.lock();
        wanted.extend(added.iter().cloned());
        self.send(Change::Add(added))
    }

    /// Follows some accounts no longer. The stream confirms it by [`Followed::AccountsChanged`].
    pub fn remove<T: Into<String>>(&self, account_ids: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let removed: Vec<String> = account_ids.into_iter().map(Into::into).collect();
        let mut wanted = self.wanted.lock();
        for account in &removed {
            wanted.remove(account);
        }
        self.send(Change::Remove(removed))
    }

    fn send(&self, change: Change) -> Result<(), Error> {
        let ended = |_| Error::Transport { message: "the stream has ended".to_owned(), sent: false, source: None };
        self.changes.send(change).map_err(ended)
    }
}

impl Stream for Follow {
    type Item = Result<Followed, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = ready!(Pin::new(&mut self.items).poll_next(context));
            if let Some(Ok(Followed::Event(event))) = &item {
                if !event.resume_token.is_empty() {
                    self.resume_token = Some(event.resume_token.clone());
                }
                if event.is_heartbeat() && !self.with_heartbeats {
                    continue;
                }
            }
            return Poll::Ready(item);
        }
    }
}

impl Client {
    /// Follows a set of accounts that changes while the stream runs. Connects in the background, and again whenever
    /// the stream breaks.
    pub fn follow(&self, following: Following) -> Follow {
        let Following { wire, with_heartbeats } = following;
        let resume_token = match &wire.start {
            Some(v1::follow_start::Start::ResumeToken(token)) => Some(token.clone()),
            _ => None,
        };
        let wanted = Wanted::default();
        wanted.lock().extend(wire.account_ids.iter().cloned());
        let (changes, receiver) = mpsc::unbounded_channel();
        let handle = FollowHandle { changes, wanted: wanted.clone() };
        let patience = patience(wire.heartbeat_interval.as_ref());
        let client = self.clone();
        let items = Background::spawn(EVENTS_AHEAD, |sender| {
            Follower::new(client, wire, wanted, receiver, patience, sender).run()
        });
        Follow { items, handle, resume_token, with_heartbeats }
    }
}
