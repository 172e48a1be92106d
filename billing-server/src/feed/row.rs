//! A journal row on its way to subscribers: made into events once, shared by all who get it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use billing_proto::v1;
use tokio::sync::Mutex;

use super::source::Source;
use super::token::Mark;
use crate::convert::event;
use crate::domain::amounts::Amounts;
use crate::domain::reason::Refusal;
use crate::engine::record::Record;

/// A row of the ring or of a page.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: Arc<Record>,
    events: OnceLock<Arc<[v1::Event]>>,
}

impl Row {
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self { record, events: OnceLock::new() }
    }

    pub(super) fn position(&self) -> i64 {
        self.record.row.position
    }

    pub(super) fn mark(&self) -> Mark {
        Mark::of(&self.record.row)
    }

    /// The events of the row, without tokens; none before they are made.
    pub(super) fn events(&self) -> &[v1::Event] {
        self.events.get().map_or(&[], |events| events)
    }

    /// About how much memory it takes, its events included.
    pub(super) fn weight(&self) -> usize {
        let row = &self.record.row;
        let texts = [&row.description, &row.reference, &row.details, &row.payload, &row.idempotency_key];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        // The row and each of its events keep a copy of the texts; 2 KiB is what they measure without.
        2_048 + 3 * texts
    }

    fn is_ready(&self) -> bool {
        self.events.get().is_some()
    }

    pub(super) fn make(&self, before: Amounts) {
        self.events.get_or_init(|| event::of_record(&self.record, &before).into());
    }

    /// The amounts before the row, where no query is needed to know them.
    fn known_before(&self) -> Option<Amounts> {
        let row = &self.record.row;
        let needs_none = row.sequence <= 1 || !event::needs_before(&self.record);
        self.record.before.or_else(|| needs_none.then(Amounts::default))
    }
}

/// The amounts of accounts after the last of their rows that a reader has seen.
#[derive(Debug, Default)]
pub(super) struct Carry(HashMap<(i16, i64), (i64, Amounts)>);

impl Carry {
    /// As many accounts are remembered; then it begins anew.
    const MAX: usize = 4_096;

    fn before(&self, record: &Record) -> Option<Amounts> {
        let row = &record.row;
        let (sequence, amounts) = self.0.get(&(row.partition, row.account))?;
        (*sequence == row.sequence - 1).then_some(*amounts)
    }

    fn put(&mut self, record: &Record) {
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let row = &record.row;
        self.0.insert((row.partition, row.account), (row.sequence, record.after()));
    }
}

/// Makes the events of rows of one partition, which stand in order of position. What an account had before a row is in
/// the row, in the row of that account before it, or else read; of rows that many subscribers share it is read once, by
/// whose `turn` it is.
pub(super) async fn prepare(
    rows: Vec<Arc<Row>>,
    mut carry: Carry,
    source: Arc<dyn Source>,
    turn: Option<Arc<Mutex<()>>>,
) -> Result<Carry, Refusal> {
    let mut missing: Vec<Arc<Row>> = Vec::new();
    for row in &rows {
        if !row.is_ready() {
            match row.known_before().or_else(|| carry.before(&row.record)) {
                Some(before) => row.make(before),
                None => missing.push(Arc::clone(row)),
            }
        }
        if row.record.row.account != 0 {
            carry.put(&row.record);
        }
    }
    if missing.is_empty() {
        return Ok(carry);
    }
    let _turn = match turn {
        Some(turn) => Some(turn.lock_owned().await),
        None => None,
    };
    missing.retain(|row| !row.is_ready());
    let Some(first) = missing.first() else { return Ok(carry) };
    let partition = u16::try_from(first.record.row.partition).unwrap_or_default();
    let wanted = missing.iter().map(|row| (row.record.row.account, row.record.row.sequence - 1)).collect();
    let found = source.amounts_after(partition, wanted).await?;
    for (row, before) in missing.iter().zip(found) {
        row.make(before);
    }
    Ok(carry)
}
