//! How a subscription comes by its rows: from its seat, from the ring, or from the journal.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::hub::diverged;
use super::merge::Merge;
use super::plan;
use super::ring::Above;
use super::row::{self, Row};
use super::source::Page;
use super::subscriber::State;
use super::subscription::{End, Flow, Subscription};
use super::token::{Cursor, Mark};

/// Up to so many accounts are read each by its own sequence when a subscriber catches up; beyond, every row is looked at.
const FEW_ACCOUNTS: usize = 100;

impl Subscription {
    /// Sends what is there of one partition; false if there was nothing.
    pub(super) async fn step(&mut self, partition: usize) -> Flow<bool> {
        let Some(lane) = self.hub.lanes.get(partition).map(Arc::clone) else { return Ok(false) };
        match self.listed.subscriber.state(lane.partition) {
            State::Live => {
                let Some(rows) = lane.take(&self.listed.subscriber, self.hub.settings.page_rows) else {
                    return Ok(true);
                };
                let Some(last) = rows.last().map(|row| row.mark()) else { return Ok(false) };
                self.deliver(partition, rows, last, Some(Arc::clone(&lane.turn))).await?;
                Ok(true)
            }
            State::Away => self.catch_up(partition).await,
            State::Diverged => {
                let position = self.cursors.get(partition).map_or(0, |cursor| cursor.mark.position);
                Err(End::Refused(diverged(lane.partition, position)))
            }
        }
    }

    /// Reads the next rows above the cursor, or joins those who are told.
    async fn catch_up(&mut self, partition: usize) -> Flow<bool> {
        let Some(lane) = self.hub.lanes.get(partition).map(Arc::clone) else { return Ok(false) };
        let Some(cursor) = self.cursors.get(partition).copied() else { return Ok(false) };
        if !self.listed.filter.concerns(lane.partition) {
            let told = lane.join_now(&self.listed.subscriber);
            if told.position > cursor.mark.position {
                self.put_cursor(partition, Cursor::after(told));
            }
            return Ok(true);
        }
        if lane.join(&self.listed.subscriber, cursor.read_to()) {
            self.forget_reading(partition);
            return Ok(true);
        }
        if let Above::Rows(rows) = lane.above(cursor.read_to(), self.hub.settings.page_rows) {
            let Some(last) = rows.last().map(|row| row.mark()) else { return Ok(false) };
            self.forget_reading(partition);
            self.deliver(partition, rows, last, Some(Arc::clone(&lane.turn))).await?;
            return Ok(true);
        }
        let page = self.read(partition, cursor.read_to()).await?;
        let Some(read_to) = page.read_to else { return Ok(false) };
        let rows = page.records.into_iter().map(|record| Arc::new(Row::new(Arc::new(record)))).collect();
        self.deliver(partition, rows, read_to, None).await?;
        Ok(true)
    }

    /// A page of the journal. Only some subscribers read at once, so that they never take all connections.
    async fn read(&mut self, partition: usize, position: i64) -> Flow<Page> {
        let Some(lane) = self.hub.lanes.get(partition).map(Arc::clone) else { return Ok(nothing()) };
        let accounts = self.listed.filter.accounts_alone(lane.partition);
        let begun = self.merges.get_mut(partition).and_then(Option::take);
        let merge = begun.or_else(|| match (&accounts, lane.newest()) {
            (Some(few), Some(newest)) if few.len() <= FEW_ACCOUNTS => Some(Merge::new(few.clone(), newest)),
            _ => None,
        });
        let readers = Arc::clone(&self.hub.readers);
        let (source, limit) = (Arc::clone(&self.source), self.hub.settings.page_rows);
        let number = lane.partition;
        let work = async move {
            let _turn = readers.acquire_owned().await;
            if let Some(merge) = merge {
                return source.merged(number, position, limit, merge).await;
            }
            let only = accounts.map(|accounts| Arc::new(accounts.into_iter().collect::<HashSet<_>>()));
            source.above(number, position, limit, only).await.map(|page| (page, None))
        };
        let (page, rest) = self.attend(work).await?;
        if let Some(slot) = self.merges.get_mut(partition) {
            *slot = rest;
        }
        Ok(page)
    }

    /// Forgets how far accounts were read by themselves: the set of them has changed, or nothing is left to read.
    pub(super) fn forget_reading(&mut self, partition: usize) {
        if let Some(merge) = self.merges.get_mut(partition) {
            *merge = None;
        }
    }

    /// Sends the events of rows that stand in order of position, and moves on to `read_to`.
    async fn deliver(
        &mut self,
        partition: usize,
        mut rows: Vec<Arc<Row>>,
        read_to: Mark,
        turn: Option<Arc<Mutex<()>>>,
    ) -> Flow {
        let Some(cursor) = self.cursors.get(partition).copied() else { return Ok(()) };
        let filter = &self.listed.filter;
        rows.retain(|row| row.position() > cursor.read_to() && filter.admits(&row.record));
        if !rows.is_empty() {
            let carry = std::mem::take(&mut self.carry);
            let work = row::prepare(rows.clone(), carry, Arc::clone(&self.source), turn);
            self.carry = self.attend(work).await?;
            let mut planned = plan::plan(&rows, &cursor, self.pace.types);
            if self.pace.conflate && self.is_slow() {
                planned = plan::fold(planned);
            }
            for planned in planned {
                let event = planned.event();
                let before = self.cursors.get(partition).copied();
                self.put_cursor(partition, planned.after);
                if let Err(end) = self.send_event(event).await {
                    // It was not sent: the last token is that of the event before.
                    if let Some(before) = before {
                        self.put_cursor(partition, before);
                    }
                    return Err(end);
                }
            }
        }
        if read_to.position > cursor.read_to() {
            self.put_cursor(partition, Cursor::after(read_to));
        }
        Ok(())
    }

    pub(super) fn put_cursor(&mut self, partition: usize, cursor: Cursor) {
        if let Some(slot) = self.cursors.get_mut(partition) {
            *slot = cursor;
        }
    }
}

fn nothing() -> Page {
    Page { records: Vec::new(), read_to: None }
}
