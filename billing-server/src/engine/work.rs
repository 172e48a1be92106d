//! A batch being decided: an overlay over the committed state, tagged with the position it begins at.

use std::collections::HashMap;
use std::sync::Arc;

use billing_db::changes::Change;
use billing_db::journal::Anchor;
use billing_db::{JournalRow, NameRow, OutcomeRow};
use sha2::{Digest, Sha256};

use super::partition::{Partition, Tail};
use super::record::Record;
use super::replay::{Content, Remembered};
use super::seal::{self, FORMAT, Names};
use crate::domain::accounts::Account;
use crate::domain::head::{Head, Identity};
use crate::domain::holds::Hold;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::domain::record::{Details, Draft, Kind, Payload};

/// The kind of a due row that ends a hold.
pub(super) const DUE_HOLD: i16 = 1;

/// The part of a batch that one partition gets.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) partition: Arc<Partition>,
    /// The writer's number, one a process start: no two processes write the same hash.
    pub(super) writer: i32,
    /// The row it appends after.
    pub(super) start: Tail,
    pub(super) epoch: i64,
    /// The last row decided so far.
    pub(super) at: Tail,
    pub(super) recorded_at: i64,
    pub(super) system_sequence: i64,
    pub(super) closed_until: Option<i32>,
    /// The heads of the accounts that the batch names, as decided so far.
    pub(super) heads: HashMap<i64, Head>,
    /// The numbers of the accounts that the batch names; `None` for what does not exist.
    pub(super) ids: HashMap<String, Option<i64>>,
    /// Accounts in full, where a command changes them.
    pub(super) accounts: HashMap<i64, Account>,
    /// Holds that are not open; `None` for what does not exist.
    pub(super) holds: HashMap<(i64, String), Option<Arc<Hold>>>,
    /// Entries that are to be reversed; `None` for what does not exist.
    pub(super) originals: HashMap<(i64, i64), Option<Arc<Record>>>,
    /// How much of an entry was reversed.
    pub(super) reversed: HashMap<(i64, i64), Money>,
    /// The rows that made the accounts and holds which are made again, by account and sequence.
    pub(super) first_rows: HashMap<(i64, i64), Arc<Record>>,
    /// What an anonymised account's rows leave in place of their texts.
    pub(super) digests: HashMap<i64, Vec<(i64, Vec<u8>)>>,
    pub(super) keys: HashMap<[u8; 16], Remembered>,
    /// Names that are not committed yet, with their numbers, in order.
    pub(super) new_names: Vec<(i32, Arc<str>)>,
    pub(super) records: Vec<Arc<Record>>,
    pub(super) changes: Vec<Change>,
    refusals: Option<Sha256>,
}

/// What stands on a row beside what a rule decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp<'a> {
    pub(super) key: Option<(&'a str, [u8; 16])>,
    pub(super) principal: Option<&'a Arc<str>>,
}

impl Work {
    /// A batch on top of the committed state.
    pub(super) fn on_committed(partition: &Arc<Partition>, writer: i32) -> Self {
        let committed = partition.committed.lock();
        Self {
            partition: Arc::clone(partition),
            writer,
            start: committed.tail,
            epoch: committed.epoch,
            at: committed.tail,
            recorded_at: committed.recorded_at,
            system_sequence: committed.system_sequence,
            closed_until: committed.closed_until,
            heads: HashMap::new(),
            ids: HashMap::new(),
            accounts: HashMap::new(),
            holds: HashMap::new(),
            originals: HashMap::new(),
            reversed: HashMap::new(),
            first_rows: HashMap::new(),
            digests: HashMap::new(),
            keys: HashMap::new(),
            new_names: Vec::new(),
            records: Vec::new(),
            changes: Vec::new(),
            refusals: None,
        }
    }

    /// A batch on top of one that is on its way to the database.
    pub(super) fn on_running(running: &Self) -> Self {
        Self {
            partition: Arc::clone(&running.partition),
            writer: running.writer,
            start: running.at,
            epoch: running.epoch,
            at: running.at,
            recorded_at: running.recorded_at,
            system_sequence: running.system_sequence,
            closed_until: running.closed_until,
            heads: HashMap::new(),
            ids: HashMap::new(),
            accounts: HashMap::new(),
            holds: HashMap::new(),
            originals: HashMap::new(),
            reversed: HashMap::new(),
            first_rows: HashMap::new(),
            digests: HashMap::new(),
            keys: HashMap::new(),
            new_names: running.new_names.clone(),
            records: Vec::new(),
            changes: Vec::new(),
            refusals: None,
        }
    }

    /// The head of an account by its id.
    pub(super) fn head(&self, account_id: &str) -> Option<&Head> {
        let account = (*self.ids.get(account_id)?)?;
        self.heads.get(&account)
    }

    /// A hold of an account, open or not, as decided so far. The open ones may be many, so they come last.
    pub(super) fn hold(&self, account: i64, hold_id: &str) -> Option<&Arc<Hold>> {
        match self.holds.get(&(account, hold_id.to_owned())) {
            Some(known) => known.as_ref(),
            None => self.heads.get(&account)?.open_holds.iter().find(|hold| hold.hold_id == hold_id),
        }
    }

    /// The row that made an account or a hold which is made again.
    pub(super) fn first_row(&self, account: i64, sequence: i64) -> Option<&Arc<Record>> {
        let in_batch = || self.row_of(account, sequence);
        self.first_rows.get(&(account, sequence)).or_else(in_batch)
    }

    /// A row that this batch writes.
    pub(super) fn row_of(&self, account: i64, sequence: i64) -> Option<&Arc<Record>> {
        self.records.iter().find(|record| (record.row.account, record.row.sequence) == (account, sequence))
    }

    /// The time of the next decision: never before the last row.
    pub(super) fn now(&self, clock: Instant) -> Instant {
        clock.max(Instant::from_micros(self.recorded_at.saturating_add(1)))
    }

    /// Where and how the batch is appended.
    pub(super) fn anchor(&self) -> Anchor {
        Anchor {
            partition: self.partition.db_number(),
            position: self.start.position,
            hash: self.start.hash.to_vec(),
            epoch: self.epoch,
            format: FORMAT,
        }
    }

    /// Writes a row of an account: gives it its place, takes it into the head, and notes what changes beside the journal.
    pub(super) fn write(&mut self, account: i64, draft: Draft, now: Instant, stamp: Stamp<'_>) -> Option<Arc<Record>> {
        let mut head = self.heads.remove(&account)?;
        let before = head.amounts;
        let open = draft.payload.hold.as_ref().and_then(|hold| {
            head.open_holds.iter().find(|open| open.hold_id == hold.hold_id).map(|open| open.expires_at)
        });
        head.record(&draft);
        let entry_sequence = if draft.kind.is_entry() { 0 } else { head.entry_sequence };
        let mut row = self.row(&draft, now, stamp);
        row.account = account;
        row.sequence = head.sequence;
        row.entry_sequence = nonzero(entry_sequence);
        self.note_changes(&head, &draft, open);
        // The erased account's last row has no texts; its secret is gone already.
        let digest = head.secret.as_ref().and_then(|secret| seal::texts_digest(&row, secret));
        let identity = Arc::clone(&head.identity);
        self.heads.insert(account, head);
        let record = self.seal(row, &draft, Some(identity), digest.as_ref().map(<[u8; 32]>::as_slice), stamp);
        Some(self.add(Record { before: Some(before), ..record }))
    }

    /// Writes the first row of a new account.
    pub(super) fn open(
        &mut self,
        account_id: &str,
        draft: Draft,
        secret: [u8; 32],
        now: Instant,
        stamp: Stamp<'_>,
    ) -> Option<Arc<Record>> {
        let settings = draft.payload.account.clone()?;
        let account = self.at.position + 1;
        let identity = Arc::new(Identity {
            partition: self.partition.number,
            account,
            account_id: account_id.to_owned(),
            customer_id: settings.customer_id.clone(),
            currency: settings.currency,
        });
        let head = Head {
            identity,
            time_zone: settings.time_zone,
            state: settings.state,
            billing_mode: settings.billing_mode,
            version: 0,
            secret: Some(secret),
            sequence: 0,
            entry_sequence: 0,
            amounts: crate::domain::amounts::Amounts::default(),
            open_holds: Vec::new(),
        };
        self.heads.insert(account, head);
        self.ids.insert(account_id.to_owned(), Some(account));
        self.write(account, draft, now, stamp)
    }

    /// Writes a row of no account.
    pub(super) fn write_system(&mut self, draft: &Draft, now: Instant, stamp: Stamp<'_>) -> Arc<Record> {
        self.system_sequence += 1;
        let mut row = self.row(draft, now, stamp);
        row.sequence = self.system_sequence;
        if let Some(until) = draft.payload.closed_until {
            self.closed_until = Some(until);
            self.changes.push(Change::CloseBooks { partition: self.partition.db_number(), until });
        }
        let record = self.seal(row, draft, None, None, stamp);
        self.add(record)
    }

    /// Remembers a refusal for its key.
    pub(super) fn refuse(&mut self, account: i64, key: [u8; 16], content: Content, refusal: &Refusal, now: Instant) {
        let outcome = OutcomeRow {
            partition: self.partition.db_number(),
            account,
            key_hash: key.to_vec(),
            recorded_at: now.micros(),
            reason: refusal.reason.name().to_owned(),
            content: serde_json::to_string(&content).unwrap_or_default(),
            details: serde_json::to_string(refusal).unwrap_or_default(),
        };
        let digest = self.refusals.get_or_insert_with(Sha256::new);
        digest.update(&outcome.key_hash);
        digest.update(outcome.details.as_bytes());
        self.changes.push(Change::InsertOutcome(outcome));
        self.keys.insert(key, Remembered::Refused(Arc::new((content, refusal.clone()))));
    }

    /// Closes the batch: no batch that changes anything is without a row, so none escapes the compare-and-append.
    pub(super) fn finish(&mut self, clock: Instant) {
        let Some(refusals) = self.refusals.take() else { return };
        if self.records.is_empty() {
            let mut draft = Draft::of(Kind::Outcomes, crate::domain::amounts::Amounts::default());
            draft.payload.outcomes = Some(seal::hex(&refusals.finalize()));
            let now = self.now(clock);
            self.write_system(&draft, now, Stamp::default());
        }
    }

    fn row(&mut self, draft: &Draft, now: Instant, stamp: Stamp<'_>) -> JournalRow {
        let after = draft.after;
        let amount = |money: Money| nonzero(money.micros());
        let details = Some(&draft.texts.details).filter(|details| !Details::is_empty(details));
        let payload = Some(&draft.payload).filter(|payload| !Payload::is_empty(payload));
        JournalRow {
            partition: self.partition.db_number(),
            position: self.at.position + 1,
            account: 0,
            sequence: 0,
            kind: draft.kind.number(),
            format: FORMAT,
            writer: self.writer,
            entry_sequence: None,
            amount: draft.amount.micros(),
            posted_after: after.posted.micros(),
            held_after: amount(after.held),
            available_after: after.available().micros(),
            bonus_after: amount(after.bonus),
            credit_limit_after: amount(after.credit_limit),
            promised_after: amount(after.promised),
            not_due_after: amount(after.not_due),
            overdue_after: amount(after.overdue),
            counter: draft.counter.as_deref().map(|name| self.name(name)),
            category: draft.category.as_deref().map(|name| self.name(name)),
            created_by: stamp.principal.map(|name| self.name(name)),
            booking_date: draft.booking_date,
            occurred_at: draft.occurred_at.map(Instant::micros),
            recorded_at: now.micros().max(self.recorded_at.saturating_add(1)),
            key_hash: stamp.key.map(|(_, hash)| hash.to_vec()),
            idempotency_key: stamp.key.map(|(key, _)| key.to_owned()),
            description: draft.texts.description.clone(),
            reference: draft.texts.reference.clone(),
            details: details.and_then(|details| serde_json::to_string(details).ok()),
            texts_digest: None,
            payload: payload.and_then(|payload| serde_json::to_string(payload).ok()),
            hash: Vec::new(),
        }
    }

    fn seal(
        &self,
        mut row: JournalRow,
        draft: &Draft,
        identity: Option<Arc<Identity>>,
        digest: Option<&[u8]>,
        stamp: Stamp<'_>,
    ) -> Record {
        let names = Names {
            account_id: identity.as_ref().map_or("", |identity| &identity.account_id),
            counter: draft.counter.as_deref(),
            category: draft.category.as_deref(),
            created_by: stamp.principal.map(AsRef::as_ref),
        };
        row.hash = seal::hash(&row, names, &self.at.hash, digest).to_vec();
        Record {
            kind: draft.kind,
            identity,
            counter: row.counter.and_then(|number| self.name_of(number)),
            category: row.category.and_then(|number| self.name_of(number)),
            created_by: stamp.principal.cloned(),
            before: None,
            row,
        }
    }

    fn add(&mut self, record: Record) -> Arc<Record> {
        self.at = Tail { position: record.row.position, hash: super::partition::hash_of(&record.row) };
        self.recorded_at = record.row.recorded_at;
        let record = Arc::new(record);
        self.records.push(Arc::clone(&record));
        record
    }

    fn name_of(&self, number: i32) -> Option<Arc<str>> {
        let new = self.new_names.iter().find(|(known, _)| *known == number);
        new.map(|(_, name)| Arc::clone(name)).or_else(|| self.partition.names.read().name(number))
    }

    fn name(&mut self, name: &str) -> i32 {
        let committed = self.partition.names.read();
        if let Some(number) = committed.number(name) {
            return number;
        }
        if let Some((number, _)) = self.new_names.iter().find(|(_, known)| known.as_ref() == name) {
            return *number;
        }
        let last = self.new_names.last().map_or(0, |(number, _)| *number).max(committed.last());
        drop(committed);
        let number = last + 1;
        self.new_names.push((number, Arc::from(name)));
        let row = NameRow { partition: self.partition.db_number(), name_id: number, name: name.to_owned() };
        self.changes.push(Change::InsertName(row));
        number
    }
}

fn nonzero(number: i64) -> Option<i64> {
    Some(number).filter(|number| *number != 0)
}
