//! The newest rows of one partition, in memory: dense, in order, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use super::row::Row;
use super::token::Mark;
use crate::domain::record::Kind;
use crate::engine::record::Record;

/// How much a ring holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// The newest rows.
#[derive(Debug)]
pub(super) struct Ring {
    rows: VecDeque<Arc<Row>>,
    bytes: usize,
    bounds: Bounds,
    /// The last row taken in; none before the journal's place is known.
    newest: Option<Mark>,
    /// The highest position heard of; above `newest` when rows between were not told.
    heard: i64,
}

/// What a ring knows of the rows above a position.
#[derive(Debug)]
pub(super) enum Above {
    /// All of them, or the first of them.
    Rows(Vec<Arc<Row>>),
    /// Rows above it have left the ring already.
    Gone,
}

impl Ring {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, bounds, newest: None, heard: 0 }
    }

    /// Begins anew, above a row.
    pub(super) fn begin(&mut self, newest: Mark) {
        self.clear();
        self.newest = Some(newest);
        self.heard = self.heard.max(newest.position);
    }

    /// Forgets everything: the journal is another one from here on.
    pub(super) fn void(&mut self) {
        self.clear();
        self.newest = None;
        self.heard = 0;
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }

    /// Takes a row in if it is the next one. A lower one is known; of a higher one it only notes that it exists.
    pub(super) fn offer(&mut self, record: &Arc<Record>) {
        let position = record.row.position;
        self.heard = self.heard.max(position);
        let Some(newest) = self.newest else { return };
        if position != newest.position + 1 {
            return;
        }
        if record.kind == Kind::AccountAnonymized {
            self.erase(record.row.account);
        }
        let row = Arc::new(Row::new(Arc::clone(record)));
        self.newest = Some(row.mark());
        self.bytes += row.weight();
        self.rows.push_back(row);
        while self.rows.len() > self.bounds.rows || (self.bytes > self.bounds.bytes && self.rows.len() > 1) {
            if let Some(oldest) = self.rows.pop_front() {
                self.bytes -= oldest.weight();
            }
        }
    }

    /// Forgets the texts of an account, as the journal has.
    fn erase(&mut self, account: i64) {
        for row in self.rows.iter_mut().filter(|row| row.record.row.account == account) {
            self.bytes -= row.weight();
            let mut record = Record::clone(&row.record);
            let stored = &mut record.row;
            let texts = [&mut stored.description, &mut stored.reference, &mut stored.details];
            if texts.into_iter().filter_map(Option::take).count() > 0 {
                // Its presence alone says that there were texts.
                stored.texts_digest = Some(Vec::new());
            }
            *row = Arc::new(Row::new(Arc::new(record)));
            self.bytes += row.weight();
        }
    }

    pub(super) fn newest(&self) -> Option<Mark> {
        self.newest
    }

    /// How many rows are known to exist above the newest.
    pub(super) fn missing(&self) -> i64 {
        self.newest.map_or(0, |newest| self.heard - newest.position)
    }

    /// The rows above a position, at most `limit`.
    pub(super) fn above(&self, position: i64, limit: usize) -> Above {
        match self.index_of(position + 1) {
            Some(from) => Above::Rows(self.rows.iter().skip(from).take(limit).map(Arc::clone).collect()),
            None if self.newest.is_some_and(|newest| newest.position <= position) => Above::Rows(Vec::new()),
            None => Above::Gone,
        }
    }

    /// The row at a position.
    pub(super) fn at(&self, position: i64) -> Option<Arc<Row>> {
        self.rows.get(self.index_of(position)?).map(Arc::clone)
    }

    /// The mark of a position, if it is in memory.
    pub(super) fn mark_at(&self, position: i64) -> Option<Mark> {
        match self.newest {
            Some(newest) if newest.position == position => Some(newest),
            _ => self.at(position).map(|row| row.mark()),
        }
    }

    fn index_of(&self, position: i64) -> Option<usize> {
        let first = self.rows.front()?.position();
        let index = usize::try_from(position.checked_sub(first)?).ok()?;
        (index < self.rows.len()).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixture::entry;

    fn ring(rows: usize) -> Ring {
        let mut ring = Ring::new(Bounds { rows, bytes: usize::MAX });
        ring.begin(Mark::new(10, &[1; 32]));
        ring
    }

    fn offer(ring: &mut Ring, position: i64) {
        ring.offer(&Arc::new(entry(0, position, 1, position)));
    }

    fn positions(above: Above) -> Option<Vec<i64>> {
        match above {
            Above::Rows(rows) => Some(rows.iter().map(|row| row.position()).collect()),
            Above::Gone => None,
        }
    }

    #[test]
    fn only_the_next_row_is_taken() {
        let mut ring = ring(8);
        for position in [9, 10, 11, 11, 12, 14] {
            offer(&mut ring, position);
        }
        assert_eq!(positions(ring.above(10, 9)), Some(vec![11, 12]));
        assert_eq!(ring.missing(), 2);
        offer(&mut ring, 13);
        offer(&mut ring, 14);
        assert_eq!((ring.missing(), positions(ring.above(12, 9))), (0, Some(vec![13, 14])));
    }

    #[test]
    fn the_oldest_rows_leave_a_full_ring() {
        let mut ring = ring(3);
        for position in 11..=15 {
            offer(&mut ring, position);
        }
        assert_eq!(positions(ring.above(11, 9)), None);
        assert_eq!(positions(ring.above(12, 2)), Some(vec![13, 14]));
        assert_eq!(positions(ring.above(15, 9)), Some(vec![]));
        assert_eq!(positions(ring.above(99, 9)), Some(vec![]));
        assert!(ring.at(12).is_none() && ring.at(13).is_some());
    }

    #[test]
    fn a_ring_is_bounded_by_bytes_too() {
        let mut ring = Ring::new(Bounds { rows: 100, bytes: 5_000 });
        ring.begin(Mark::default());
        for position in 1..=10 {
            offer(&mut ring, position);
        }
        assert_eq!(positions(ring.above(8, 9)), Some(vec![9, 10]));
        assert_eq!(positions(ring.above(7, 9)), None);
    }

    #[test]
    fn an_anonymised_account_leaves_no_texts_behind() {
        let mut ring = ring(8);
        for (position, account) in [(11, 1), (12, 2)] {
            let mut record = entry(0, position, account, 1);
            record.row.description = Some("for Anna".to_owned());
            ring.offer(&Arc::new(record));
        }
        let mut anonymized = entry(0, 13, 1, 2);
        anonymized.kind = Kind::AccountAnonymized;
        ring.offer(&Arc::new(anonymized));
        let text = |position| ring.at(position).and_then(|row| row.record.row.description.clone());
        assert_eq!((text(11), text(12).as_deref()), (None, Some("for Anna")));
        assert!(ring.at(11).is_some_and(|row| row.record.row.texts_digest.is_some()));
    }

    #[test]
    fn before_its_place_is_known_a_ring_only_listens() {
        let mut ring = Ring::new(Bounds { rows: 8, bytes: usize::MAX });
        offer(&mut ring, 7);
        assert_eq!((ring.newest(), ring.missing()), (None, 0));
        ring.begin(Mark::new(5, &[]));
        assert_eq!(ring.missing(), 2);
        ring.void();
        assert!(ring.newest().is_none());
    }
}
