//! One partition's way from the journal to its subscribers: the ring of its newest rows, and who is told of which.
//!
//! Two locks, taken in this order: the board (who listens, how far they were told) and the ring. The writers take the
//! ring's alone, for as long as it takes to put some pointers into it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::filter::Filter;
use super::ring::{Above, Bounds, Ring};
use super::row::Row;
use super::subscriber::{State, Subscriber};
use super::token::Mark;
use crate::engine::record::Record;

/// How many rows are told of before others get their turn.
const CHUNK: usize = 256;

/// The feed of one partition.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) partition: u16,
    ring: Mutex<Ring>,
    board: Mutex<Board>,
    /// How many rows the ring may hold.
    capacity: usize,
    arrived: Notify,
    /// Held by the subscriber that reads, for all, what the rows of the ring do not say themselves.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// Who listens, and how far they were told.
#[derive(Debug, Default)]
struct Board {
    /// The last row that subscribers were told of.
    told: Mark,
    listeners: Listeners,
}

#[derive(Debug, Default)]
struct Listeners {
    everyone: Vec<Arc<Subscriber>>,
    by_account: HashMap<i64, Vec<Arc<Subscriber>>>,
    by_customer: HashMap<String, Vec<Arc<Subscriber>>>,
    all: Vec<Arc<Subscriber>>,
}

/// What there is to do next for the one who tells the subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More rows to tell of.
    More,
    /// Nothing, until a row arrives.
    Wait,
    /// Rows above this one are known to exist and were not told.
    Gap(Mark),
    /// The lane has to begin at the newest row.
    Begin,
}

impl Lane {
    pub(super) fn new(partition: u16, bounds: Bounds) -> Self {
        Self {
            partition,
            ring: Mutex::new(Ring::new(bounds)),
            board: Mutex::new(Board::default()),
            capacity: bounds.rows,
            arrived: Notify::new(),
            turn: Arc::default(),
        }
    }

    /// Takes rows in, those of the writers and those read from the journal alike.
    pub(super) fn accept(&self, records: &[Arc<Record>]) {
        let mut ring = self.ring.lock();
        for record in records {
            ring.offer(record);
        }
        drop(ring);
        self.arrived.notify_one();
    }

    /// The journal is another one from here on: whoever follows it is told so.
    pub(super) fn diverge(&self) {
        let board = self.board.lock();
        self.ring.lock().void();
        for subscriber in &board.listeners.all {
            subscriber.diverge(self.partition);
        }
        drop(board);
        self.arrived.notify_one();
    }

    /// Begins anew above a row: its subscribers read by themselves what they have not been told.
    pub(super) fn begin(&self, newest: Mark) {
        let mut board = self.board.lock();
        self.ring.lock().begin(newest);
        board.told = newest;
        board.send_away(self.partition);
        drop(board);
        self.arrived.notify_one();
    }

    /// Waits until rows arrive.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// The newest row known; none while the lane has not begun.
    pub(super) fn newest(&self) -> Option<Mark> {
        self.ring.lock().newest()
    }

    /// The mark of a position, if it is in memory.
    pub(super) fn mark_at(&self, position: i64) -> Option<Mark> {
        self.ring.lock().mark_at(position)
    }

    /// The rows above a position, as far as they are in memory.
    pub(super) fn above(&self, position: i64, limit: usize) -> Above {
        self.ring.lock().above(position, limit)
    }

    /// Tells subscribers of the next rows.
    pub(super) fn tell(&self) -> Next {
        let mut board = self.board.lock();
        let (rows, newest, missing) = {
            let ring = self.ring.lock();
            let Some(newest) = ring.newest() else { return Next::Begin };
            (ring.above(board.told.position, CHUNK), newest, ring.missing())
        };
        match rows {
            Above::Rows(rows) => {
                let Some(last) = rows.last() else { return self.next_of(newest, missing) };
                board.told = last.mark();
                board.listeners.tell(self.partition, &rows);
            }
            // Rows have left the ring before anybody was told of them.
            Above::Gone => {
                board.told = newest;
                board.send_away(self.partition);
            }
        }
        Next::More
    }

    fn next_of(&self, newest: Mark, missing: i64) -> Next {
        match usize::try_from(missing) {
            Ok(1..) if missing > i64::try_from(self.capacity).unwrap_or(i64::MAX) => Next::Begin,
            Ok(1..) => Next::Gap(newest),
            _ => Next::Wait,
        }
    }

    /// Makes a subscriber live that has read up to a position, if there is nothing between that and what was told.
    pub(super) fn join(&self, subscriber: &Subscriber, read_to: i64) -> bool {
        let board = self.board.lock();
        let joins = board.has_told_nothing_above(read_to);
        if joins {
            subscriber.sit(self.partition);
        }
        joins
    }

    /// Whether nothing lies between a position and what was told.
    pub(super) fn has_told_nothing_above(&self, read_to: i64) -> bool {
        self.board.lock().has_told_nothing_above(read_to)
    }

    /// Makes a subscriber live that wants nothing of what was told: it begins at the mark returned.
    pub(super) fn join_now(&self, subscriber: &Subscriber) -> Mark {
        let board = self.board.lock();
        subscriber.sit(self.partition);
        board.told
    }

    /// Where a live subscriber is that has handled all it was told of.
    pub(super) fn idle_mark(&self, subscriber: &Subscriber) -> Option<Mark> {
        let board = self.board.lock();
        subscriber.is_idle(self.partition).then_some(board.told)
    }

    /// The rows that were put on a subscriber's seat; none if one of them has left the ring: the subscriber is sent away.
    pub(super) fn take(&self, subscriber: &Subscriber, limit: usize) -> Option<Vec<Arc<Row>>> {
        let positions = subscriber.take(self.partition, limit);
        if positions.is_empty() {
            return Some(Vec::new());
        }
        let rows: Option<Vec<_>> = {
            let ring = self.ring.lock();
            positions.into_iter().map(|position| ring.at(position)).collect()
        };
        if rows.is_none() && subscriber.state(self.partition) == State::Live {
            subscriber.leave(self.partition);
        }
        rows
    }

    /// Lists a subscriber under all it wants.
    pub(super) fn register(&self, subscriber: &Arc<Subscriber>, filter: &Filter) {
        let mut board = self.board.lock();
        let listeners = &mut board.listeners;
        listeners.all.push(Arc::clone(subscriber));
        if filter.everybody {
            listeners.everyone.push(Arc::clone(subscriber));
        }
        for customer_id in &filter.customer_ids {
            listeners.by_customer.entry(customer_id.clone()).or_default().push(Arc::clone(subscriber));
        }
        for (partition, account) in filter.accounts() {
            if partition == self.partition {
                listeners.by_account.entry(account).or_default().push(Arc::clone(subscriber));
            }
        }
    }

    /// Strikes a subscriber off everywhere.
    pub(super) fn unregister(&self, subscriber: &Arc<Subscriber>, filter: &Filter) {
        let mut board = self.board.lock();
        let listeners = &mut board.listeners;
        strike(&mut listeners.all, subscriber);
        strike(&mut listeners.everyone, subscriber);
        for customer_id in &filter.customer_ids {
            if listeners.by_customer.get_mut(customer_id).is_some_and(|list| strike(list, subscriber)) {
                listeners.by_customer.remove(customer_id);
            }
        }
        for (partition, account) in filter.accounts() {
            if partition == self.partition {
                listeners.strike_account(account, subscriber);
            }
        }
    }

    /// Lists a subscriber under one more account.
    pub(super) fn follow(&self, subscriber: &Arc<Subscriber>, account: i64) {
        self.board.lock().listeners.by_account.entry(account).or_default().push(Arc::clone(subscriber));
    }

    /// Strikes a subscriber off one account.
    pub(super) fn unfollow(&self, subscriber: &Arc<Subscriber>, account: i64) {
        self.board.lock().listeners.strike_account(account, subscriber);
    }
}

impl Board {
    fn has_told_nothing_above(&self, read_to: i64) -> bool {
        read_to >= self.told.position
    }

    fn send_away(&self, partition: u16) {
        for subscriber in &self.listeners.all {
            subscriber.leave(partition);
        }
    }
}

impl Listeners {
    fn tell(&self, partition: u16, rows: &[Arc<Row>]) {
        let Some((first, last)) = rows.first().zip(rows.last()) else { return };
        for subscriber in &self.everyone {
            subscriber.put(partition, first.position(), last.position());
        }
        for row in rows {
            let Some(identity) = &row.record.identity else { continue };
            let accounts = self.by_account.get(&identity.account).into_iter().flatten();
            let customers = self.by_customer.get(&identity.customer_id).into_iter().flatten();
            for subscriber in accounts.chain(customers) {
                subscriber.put(partition, row.position(), row.position());
            }
        }
    }

    fn strike_account(&mut self, account: i64, subscriber: &Arc<Subscriber>) {
        if self.by_account.get_mut(&account).is_some_and(|list| strike(list, subscriber)) {
            self.by_account.remove(&account);
        }
    }
}

/// Takes a subscriber off a list; true if nobody is left on it.
fn strike(list: &mut Vec<Arc<Subscriber>>, subscriber: &Arc<Subscriber>) -> bool {
    if let Some(index) = list.iter().position(|listed| Arc::ptr_eq(listed, subscriber)) {
        list.swap_remove(index);
    }
    list.is_empty()
}
