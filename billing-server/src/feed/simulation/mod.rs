//! The hub as a whole, on a journal in memory: whatever falls behind, gets cut or comes back, nothing is lost, nothing
//! comes twice, and the order stands.

mod following;
mod histories;
mod streams;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::filter::Types;
use super::fixture::{capture, entry, identity};
use super::hub::{Hub, Settings};
use super::merge::{After, Merge, PAGE};
use super::order::{Order, Start};
use super::outbox::{Delivery, Message, outbox};
use super::source::{Answer, BalancePage, Page, Source};
use super::token::Mark;
use crate::convert::event::{self, Standing};
use crate::domain::amounts::Amounts;
use crate::domain::head::Identity;
use crate::domain::instant::Instant;
use crate::domain::reason::Refusal;
use crate::engine::Notice;
use crate::engine::record::Record;

const ACCOUNTS: i64 = 5;
const PATIENCE: Duration = Duration::from_secs(10);

/// Two partitions with five accounts each.
#[derive(Default)]
struct Journal {
    rows: Mutex<[Vec<Record>; 2]>,
}

impl Journal {
    fn new() -> Arc<Self> {
        let journal = Self::default();
        for partition in 0..2_i16 {
            let mut genesis = entry(partition, 0, 0, 0);
            genesis.identity = None;
            journal.rows.lock()[usize::try_from(partition).unwrap_or_default()].push(genesis);
        }
        Arc::new(journal)
    }

    /// Appends a row; every third one has two events.
    fn append(&self, partition: usize, account: i64) -> Arc<Record> {
        let mut rows = self.rows.lock();
        let journal = &mut rows[partition];
        let position = i64::try_from(journal.len()).unwrap_or_default();
        let sequence = 1 + journal.iter().filter(|record| record.row.account == account).count();
        let make = if position % 3 == 0 { capture } else { entry };
        let number = i16::try_from(partition).unwrap_or_default();
        let record = make(number, position, account, i64::try_from(sequence).unwrap_or_default());
        journal.push(record.clone());
        Arc::new(record)
    }

    fn of(&self, partition: u16) -> Vec<Record> {
        self.rows.lock()[usize::from(partition)].clone()
    }

    /// The ids of all events in order, for those who want these rows.
    fn events(&self, partition: u16, above: i64, wants: impl Fn(&Record) -> bool) -> Vec<String> {
        let rows = self.of(partition).into_iter().skip(1).filter(|record| record.row.position > above && wants(record));
        rows.flat_map(|record| event::of_record(&record, &Amounts::default())).map(|event| event.event_id).collect()
    }
}

fn answer<T: Send + 'static>(answer: T) -> Answer<'static, T> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        Ok(answer)
    })
}

impl Source for Journal {
    fn now(&self) -> Instant {
        Instant::from_micros(1)
    }

    fn newest(&self, partition: u16) -> Mark {
        self.of(partition).last().map(|record| Mark::of(&record.row)).unwrap_or_default()
    }

    fn marks(&self, places: Vec<(u16, i64)>) -> Answer<'_, Vec<Option<Mark>>> {
        let mark = |(partition, position): (u16, i64)| {
            self.of(partition).get(usize::try_from(position).ok()?).map(|record| Mark::of(&record.row))
        };
        answer(places.into_iter().map(mark).collect())
    }

    fn above(&self, partition: u16, position: i64, limit: usize, only: Option<Arc<HashSet<i64>>>) -> Answer<'_, Page> {
        let mut records = self.of(partition);
        records.retain(|record| record.row.position > position);
        records.truncate(limit);
        let read_to = records.last().map(|record| Mark::of(&record.row));
        records.retain(|record| only.as_ref().is_none_or(|only| only.contains(&record.row.account)));
        answer(Page { records, read_to })
    }

    fn merged(
        &self,
        partition: u16,
        position: i64,
        limit: usize,
        mut merge: Merge,
    ) -> Answer<'_, (Page, Option<Merge>)> {
        let records = self.of(partition);
        let merged = merge.next(position, limit, |account, after, up_to| {
            let own = records.iter().map(|record| &record.row).filter(|row| row.account == account);
            let is_after = |row: &&billing_db::JournalRow| match after {
                After::Position(position) => row.position > position,
                After::Sequence(sequence) => row.sequence > sequence,
            };
            let page = usize::try_from(PAGE).unwrap_or_default();
            Ok(own.filter(is_after).filter(|row| row.position <= up_to).take(page).cloned().collect())
        });
        let Ok(merged) = merged else { return answer((Page { records: Vec::new(), read_to: None }, None)) };
        let wanted: HashSet<i64> = merged.rows.iter().map(|row| row.position).collect();
        let records = records.into_iter().filter(|record| wanted.contains(&record.row.position)).collect();
        answer((Page { records, read_to: Some(merged.read_to) }, (!merged.is_done).then_some(merge)))
    }

    fn amounts_after(&self, partition: u16, rows: Vec<(i64, i64)>) -> Answer<'_, Vec<Amounts>> {
        let records = self.of(partition);
        let amounts = |row: (i64, i64)| {
            let found = records.iter().find(|record| (record.row.account, record.row.sequence) == row);
            found.map(Record::after).unwrap_or_default()
        };
        answer(rows.into_iter().map(amounts).collect())
    }

    fn identities(&self, account_ids: Vec<String>) -> Answer<'_, Vec<Option<Arc<Identity>>>> {
        let known = |id: String| {
            let mut all = (0..2).flat_map(|partition| (1..=ACCOUNTS).map(move |account| identity(partition, account)));
            all.find(|identity| identity.account_id == id).map(Arc::new)
        };
        answer(account_ids.into_iter().map(known).collect())
    }

    fn balances(&self, page: BalancePage) -> Answer<'_, Vec<Standing>> {
        let records = self.of(page.partition);
        let everybody = page.filter == billing_db::heads::BalanceFilter::default();
        let standing = |account: i64| {
            let identity = identity(page.partition, account);
            let named = page.filter.account_ids.contains(&identity.account_id)
                || page.filter.customer_ids.contains(&identity.customer_id);
            let own = |record: &&Record| record.row.account == account && record.row.position <= page.up_to;
            let last = records.iter().rfind(own)?;
            ((everybody || named) && identity.account_id > page.after_account_id).then(|| Standing {
                sequence: last.row.sequence,
                entry_sequence: last.row.sequence,
                amounts: last.after(),
                identity,
            })
        };
        answer((1..=ACCOUNTS).filter_map(standing).take(page.limit).collect())
    }
}

fn tight() -> Settings {
    Settings { ring_rows: 8, queue: 2, send_buffer: 1, page_rows: 3, ..Settings::default() }
}

struct World {
    journal: Arc<Journal>,
    hub: Arc<Hub>,
    drain: watch::Sender<bool>,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self::on(Journal::new(), settings)
    }

    fn on(journal: Arc<Journal>, settings: Settings) -> Self {
        let (drain, drained) = watch::channel(false);
        let hub = Hub::new(settings, 2, &[7; 32], drained);
        hub.follow(Arc::clone(&journal) as Arc<dyn Source>);
        Self { journal, hub, drain }
    }

    fn tell(&self, records: Vec<Arc<Record>>) {
        (self.hub.sink())(Notice::Committed(records));
    }

    fn append(&self, partition: usize, account: i64) {
        let record = self.journal.append(partition, account);
        self.tell(vec![record]);
    }

    async fn open(&self, order: Order) -> Result<Delivery, Refusal> {
        let subscription = self.hub.open(self.hub.reserve()?, order).await?;
        let (outbox, delivery) = outbox(self.hub.send_buffer());
        tokio::spawn(subscription.run(outbox));
        Ok(delivery)
    }
}

fn order(start: Start) -> Order {
    Order {
        account_ids: Vec::new(),
        customer_ids: Vec::new(),
        everybody: true,
        types: Types::default(),
        start,
        include_snapshot: false,
        heartbeat: Duration::from_secs(300),
        conflate: false,
        sees: Arc::new(|_| true),
        following: None,
    }
}

/// Who wants what: an account in each partition, a customer, or everything.
fn wanting(who: u8, start: Start) -> (Order, fn(&Record) -> bool) {
    let accounts = [identity(0, 1), identity(1, 3)].map(|identity| identity.account_id);
    match who {
        0 => (Order { account_ids: accounts.into(), everybody: false, ..order(start) }, |record| {
            matches!((record.row.partition, record.row.account), (0, 1) | (1, 3))
        }),
        1 => (Order { customer_ids: vec!["even".to_owned()], everybody: false, ..order(start) }, |record| {
            record.row.account % 2 == 0
        }),
        _ => (order(start), |_| true),
    }
}

/// The next message that is no heartbeat.
async fn next(delivery: &mut Delivery) -> Option<Result<v1::Event, Refusal>> {
    loop {
        match next_with_heartbeats(delivery).await {
            Some(Ok(event)) if matches!(event.payload, Some(v1::event::Payload::Heartbeat(_))) => {}
            other => return other,
        }
    }
}

async fn next_with_heartbeats(delivery: &mut Delivery) -> Option<Result<v1::Event, Refusal>> {
    match tokio::time::timeout(PATIENCE, delivery.next()).await {
        Ok(Some(Ok(Message::Event(event)))) => Some(Ok(*event)),
        Ok(Some(Ok(Message::Changed(_)))) => Some(Ok(v1::Event::default())),
        Ok(Some(Err(refusal))) => Some(Err(refusal)),
        Ok(None) | Err(_) => None,
    }
}

async fn event(delivery: &mut Delivery) -> v1::Event {
    next(delivery).await.and_then(Result::ok).unwrap_or_default()
}

async fn end(delivery: &mut Delivery) -> Option<Refusal> {
    loop {
        match next(delivery).await? {
            Ok(_) => {}
            Err(refusal) => return Some(refusal),
        }
    }
}
