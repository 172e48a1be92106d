//! Reading some accounts' rows of one partition in order of position, each account by its own sequence.
//!
//! Cheaper than reading every row when few accounts of many are wanted.

use std::collections::VecDeque;

use billing_db::{DbError, JournalRow};

use super::token::Mark;

/// How many rows of an account one query reads.
pub(super) const PAGE: i64 = 100;

/// How far the reading has come.
#[derive(Debug)]
pub(super) struct Merge {
    tracks: Vec<Track>,
    /// Rows above this one are not read.
    target: Mark,
}

#[derive(Debug)]
struct Track {
    account: i64,
    /// The last sequence read; none before the first look.
    sequence: Option<i64>,
    rows: VecDeque<JournalRow>,
    is_done: bool,
}

/// What to read of an account: the rows above a position the first time, above a sequence afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Above this position.
    Position(i64),
    /// Above this sequence.
    Sequence(i64),
}

/// The next rows in order, and how far all accounts are read with them.
#[derive(Debug)]
pub(super) struct Merged {
    /// The rows.
    pub(super) rows: Vec<JournalRow>,
    /// No account has a row between the last of `rows` and this one.
    pub(super) read_to: Mark,
    /// Whether the target is reached.
    pub(super) is_done: bool,
}

impl Merge {
    /// Reads these accounts up to a row.
    pub(super) fn new(accounts: Vec<i64>, target: Mark) -> Self {
        let track = |account| Track { account, sequence: None, rows: VecDeque::new(), is_done: false };
        Self { tracks: accounts.into_iter().map(track).collect(), target }
    }

    /// The next rows above a position, at most `limit`. `load` gives up to [`PAGE`] rows of an account, in order, up to a
    /// position.
    ///
    /// # Errors
    /// Those of `load`.
    pub(super) fn next(
        &mut self,
        position: i64,
        limit: usize,
        mut load: impl FnMut(i64, After, i64) -> Result<Vec<JournalRow>, DbError>,
    ) -> Result<Merged, DbError> {
        let mut rows: Vec<JournalRow> = Vec::new();
        while rows.len() < limit {
            for track in self.tracks.iter_mut().filter(|track| track.rows.is_empty() && !track.is_done) {
                let after = track.sequence.map_or(After::Position(position), After::Sequence);
                let read = load(track.account, after, self.target.position)?;
                track.is_done = i64::try_from(read.len()).unwrap_or(PAGE) < PAGE;
                track.sequence = read.last().map(|row| row.sequence).or(track.sequence);
                track.rows = read.into();
            }
            let first = self.tracks.iter_mut().filter(|track| !track.rows.is_empty());
            let first = first.min_by_key(|track| track.rows.front().map(|row| row.position));
            let Some(row) = first.and_then(|track| track.rows.pop_front()) else {
                return Ok(Merged { rows, read_to: self.target, is_done: true });
            };
            rows.push(row);
        }
        let read_to = rows.last().map_or(self.target, Mark::of);
        Ok(Merged { rows, read_to, is_done: false })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::fixture::entry;

    proptest! {
        #[test]
        fn rows_come_in_order_without_gap_or_duplicate(
            owners in proptest::collection::vec(1_i64..5, 0..900),
            limit in 1_usize..300,
            from in 0_usize..50,
        ) {
            let mut sequences = [0; 8];
            let journal: Vec<JournalRow> = (1_i64..).zip(&owners).map(|(position, owner)| {
                let slot = usize::try_from(*owner).unwrap_or_default();
                sequences[slot] += 1;
                entry(0, position, *owner, sequences[slot]).row
            }).collect();
            let from = i64::try_from(from.min(journal.len())).unwrap_or_default();
            let target = journal.last().map(Mark::of).unwrap_or_default();
            let mut merge = Merge::new(vec![1, 3], target);
            let mut read = Vec::new();
            let mut position = from;
            loop {
                let merged = merge.next(position, limit, |account, after, up_to| {
                    let page = usize::try_from(PAGE).unwrap_or_default();
                    let is_after = |row: &&JournalRow| match after {
                        After::Position(position) => row.position > position,
                        After::Sequence(sequence) => row.sequence > sequence,
                    };
                    let own = journal.iter().filter(|row| row.account == account && row.position <= up_to);
                    Ok(own.filter(is_after).take(page).cloned().collect())
                });
                let Ok(merged) = merged else { break };
                prop_assert!(merged.rows.len() <= limit);
                prop_assert!(merged.rows.last().is_none_or(|row| row.position <= merged.read_to.position));
                read.extend(merged.rows.iter().map(|row| row.position));
                position = merged.read_to.position;
                if merged.is_done {
                    break;
                }
            }
            let wanted = journal.iter().filter(|row| [1, 3].contains(&row.account) && row.position > from);
            prop_assert_eq!(read, wanted.map(|row| row.position).collect::<Vec<_>>());
            prop_assert_eq!(position, target.position);
        }
    }
}
