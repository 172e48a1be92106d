//! Where a subscriber waits: one seat a partition, with the places of the rows that concern it.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a subscriber is to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It reads by itself until it has caught up; nothing is put on its seat.
    Away,
    /// Every row that concerns it is put on its seat.
    Live,
    /// The journal it reads is no more.
    Diverged,
}

/// The rows from one position to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: i64,
    to: i64,
}

/// A bounded queue of positions: the rows themselves stay in the ring, so a reader that does not read costs nothing more.
#[derive(Debug)]
struct Seat {
    state: State,
    spans: VecDeque<Span>,
}

/// A subscriber as the lanes know it.
#[derive(Debug)]
pub(super) struct Subscriber {
    seats: Box<[Mutex<Seat>]>,
    wake: Notify,
    /// How many spans a seat holds.
    room: usize,
}

impl Subscriber {
    /// A subscriber that is away from every partition.
    pub(super) fn new(partitions: usize, room: usize) -> Self {
        let seat = || Mutex::new(Seat { state: State::Away, spans: VecDeque::new() });
        Self { seats: (0..partitions).map(|_| seat()).collect(), wake: Notify::new(), room }
    }

    /// Waits until there is something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn state(&self, partition: u16) -> State {
        self.seat(partition, State::Diverged, |seat| seat.state)
    }

    /// Whether it is live in every partition.
    pub(super) fn is_live(&self) -> bool {
        self.seats.iter().all(|seat| seat.lock().state == State::Live)
    }

    /// Takes its seat: from here on it is told of every row that concerns it.
    pub(super) fn sit(&self, partition: u16) {
        self.seat(partition, (), |seat| {
            if seat.state == State::Away {
                seat.state = State::Live;
                seat.spans.clear();
            }
        });
    }

    /// Sends it away to catch up by itself: its reader finds all that was on the seat above its own cursor.
    pub(super) fn leave(&self, partition: u16) {
        self.seat(partition, (), |seat| {
            if seat.state == State::Live {
                seat.state = State::Away;
                seat.spans = VecDeque::new();
            }
        });
        self.wake();
    }

    /// Tells it that its journal is no more.
    pub(super) fn diverge(&self, partition: u16) {
        self.seat(partition, (), |seat| {
            seat.state = State::Diverged;
            seat.spans = VecDeque::new();
        });
        self.wake();
    }

    /// Puts rows on its seat, if it sits there; a seat that is full is left.
    pub(super) fn put(&self, partition: u16, from: i64, to: i64) {
        let room = self.room;
        let put = self.seat(partition, false, |seat| {
            if seat.state != State::Live {
                return false;
            }
            let is_full = seat.spans.len() >= room;
            match seat.spans.back_mut() {
                // The same row again: it concerns the subscriber for two reasons.
                Some(last) if last.to >= to => return false,
                Some(last) if last.to + 1 >= from => last.to = to,
                _ if is_full => {
                    seat.state = State::Away;
                    seat.spans = VecDeque::new();
                }
                _ => seat.spans.push_back(Span { from, to }),
            }
            true
        });
        if put {
            self.wake();
        }
    }

    /// Takes the positions of up to `limit` rows from its seat.
    pub(super) fn take(&self, partition: u16, limit: usize) -> Vec<i64> {
        self.seat(partition, Vec::new(), |seat| {
            let mut positions = Vec::new();
            while let Some(span) = seat.spans.front_mut() {
                while span.from <= span.to && positions.len() < limit {
                    positions.push(span.from);
                    span.from += 1;
                }
                if span.from <= span.to {
                    break;
                }
                seat.spans.pop_front();
            }
            positions
        })
    }

    /// Whether it sits there with nothing left to take.
    pub(super) fn is_idle(&self, partition: u16) -> bool {
        self.seat(partition, false, |seat| seat.state == State::Live && seat.spans.is_empty())
    }

    fn seat<T>(&self, partition: u16, nowhere: T, f: impl FnOnce(&mut Seat) -> T) -> T {
        match self.seats.get(usize::from(partition)) {
            Some(seat) => f(&mut seat.lock()),
            None => nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_rows_share_a_span() {
        let subscriber = Subscriber::new(1, 2);
        subscriber.put(0, 1, 1);
        assert!(subscriber.take(0, 9).is_empty(), "who is away is told nothing");
        subscriber.sit(0);
        for (from, to) in [(3, 3), (4, 4), (4, 4), (5, 7), (9, 9)] {
            subscriber.put(0, from, to);
        }
        assert_eq!(subscriber.take(0, 2), [3, 4]);
        assert!(!subscriber.is_idle(0));
        assert_eq!(subscriber.take(0, 9), [5, 6, 7, 9]);
        assert!(subscriber.is_idle(0) && subscriber.is_live());
    }

    #[test]
    fn a_full_seat_sends_its_subscriber_away() {
        let subscriber = Subscriber::new(1, 2);
        subscriber.sit(0);
        for position in [1, 3, 5] {
            subscriber.put(0, position, position);
        }
        assert_eq!(subscriber.state(0), State::Away);
        assert!(subscriber.take(0, 9).is_empty());
        subscriber.sit(0);
        subscriber.put(0, 6, 6);
        assert_eq!(subscriber.take(0, 9), [6]);
    }

    #[test]
    fn a_seat_of_a_journal_that_is_no_more_stays_so() {
        let subscriber = Subscriber::new(2, 2);
        subscriber.diverge(1);
        subscriber.sit(1);
        subscriber.leave(1);
        assert_eq!((subscriber.state(0), subscriber.state(1)), (State::Away, State::Diverged));
    }
}
