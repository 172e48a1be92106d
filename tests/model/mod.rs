//! The oracle: a small ledger in memory, one command after the other, that says what every command must answer. It shares
//! nothing with the rules of the service but the types of money, time and reasons; what it knows it has from `rules.md`.

mod account;
mod act;

use std::collections::HashMap;

use billing_server::domain::instant::Instant;
use billing_server::domain::reason::Reason;

pub(crate) use self::account::{Account, HoldState, View};
pub(crate) use self::act::{Act, Expiry, Op, Post, PostKind};

/// Kinds of rows that are no posting, by their number.
pub(crate) mod kind {
    pub(crate) const ADJUSTMENT_CREDIT: i16 = 4;
    pub(crate) const ADJUSTMENT_DEBIT: i16 = 8;
    pub(crate) const CHARGE: i16 = 6;
    pub(crate) const BONUS: i16 = 3;
    pub(crate) const TRANSFER_IN: i16 = 11;
    pub(crate) const TRANSFER_OUT: i16 = 12;
    pub(crate) const REVERSAL: i16 = 13;
    pub(crate) const CREATED: i16 = 33;
    pub(crate) const UPDATED: i16 = 34;
    pub(crate) const CLOSED: i16 = 35;
    pub(crate) const REOPENED: i16 = 36;
    pub(crate) const HOLD_PLACED: i16 = 40;
    pub(crate) const HOLD_UPDATED: i16 = 41;
    pub(crate) const HOLD_RELEASED: i16 = 42;
    pub(crate) const HOLD_EXPIRED: i16 = 43;
    pub(crate) const BOOKS_CLOSED: i16 = 50;
}

/// What a row of the journal must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) account: String,
    pub(crate) sequence: i64,
    pub(crate) entry_sequence: i64,
    pub(crate) kind: i16,
    pub(crate) amount: i64,
    pub(crate) posted: i64,
    pub(crate) held: i64,
    pub(crate) bonus: i64,
    pub(crate) credit_limit: i64,
    pub(crate) recorded_at: i64,
}

/// What an accepted command must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) rows: Vec<Row>,
    pub(crate) replayed: bool,
}

pub(crate) type Reply = Result<Done, Reason>;

const MICROS_A_DAY: i64 = 86_400_000_000;
/// An entry may have occurred this much ahead of now.
const MAX_AHEAD: i64 = 300_000_000;
/// The longest life of a hold.
const MAX_TTL: i64 = 366 * MICROS_A_DAY;
/// The life of a hold whose caller does not say.
const DEFAULT_TTL: i64 = 7 * MICROS_A_DAY;

/// Refusals that their key does not remember.
const FORGOTTEN: [Reason; 10] = [
    Reason::AccountNotFound,
    Reason::ResourceAlreadyExists,
    Reason::IdempotencyKeyReused,
    Reason::SequenceMismatch,
    Reason::EtagMismatch,
    Reason::LinkedItemFailed,
    Reason::OccurredAtOutOfRange,
    Reason::CurrencyMismatch,
    Reason::HoldExpiryOutOfRange,
    Reason::DateRangeInvalid,
];

/// What a key has led to.
#[derive(Clone, Debug)]
struct Memory {
    asked: String,
    outcome: Result<Vec<Row>, Reason>,
}

/// The ledger.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    home: fn(&str, u16) -> u16,
    partitions: u16,
    max_back: i64,
    accounts: HashMap<String, Account>,
    keys: HashMap<(String, String), Memory>,
    closed_until: Option<i64>,
    /// When the newest row of each partition was recorded.
    last: Vec<i64>,
    /// The last sequence of each partition's rows of no account.
    system: Vec<i64>,
    /// The partitions of the batch that is decided.
    parts: Vec<u16>,
    /// Which partitions the batch has written to, and in which it has something to remember.
    wrote: Vec<bool>,
    refused: Vec<bool>,
    clock: i64,
}

impl Model {
    /// An empty ledger; `home` places an account in a partition.
    pub(crate) fn new(partitions: u16, home: fn(&str, u16) -> u16, max_back: i64, began: Instant) -> Self {
        let count = usize::from(partitions);
        Self {
            home,
            partitions,
            max_back,
            accounts: HashMap::new(),
            keys: HashMap::new(),
            closed_until: None,
            last: vec![began.micros(); count],
            system: vec![0; count],
            parts: Vec::new(),
            wrote: vec![false; count],
            refused: vec![false; count],
            clock: began.micros(),
        }
    }

    /// Decides commands of one batch, in order.
    pub(crate) fn batch(&mut self, clock: Instant, ops: &[Op], atomic: bool) -> Vec<Reply> {
        self.begin(clock, ops);
        let mut replies = Vec::new();
        if atomic {
            replies = self.atomic(ops);
        } else {
            for op in ops {
                replies.push(self.command(op));
            }
        }
        self.finish();
        replies
    }

    /// Decides one command.
    pub(crate) fn one(&mut self, clock: Instant, op: &Op) -> Reply {
        self.batch(clock, std::slice::from_ref(op), false).remove(0)
    }

    /// The partitions that a command touches.
    pub(crate) fn partitions_of(&self, op: &Op) -> Vec<u16> {
        if op.account.is_empty() {
            return (0..self.partitions).collect();
        }
        let mut parts: Vec<u16> =
            op.accounts().into_iter().map(|account| (self.home)(account, self.partitions)).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// An account as it stands at a moment.
    pub(crate) fn view(&self, account: &str, clock: Instant) -> Option<View> {
        let last = self.last[self.home_of(account)];
        Some(self.accounts.get(account)?.view(clock.micros().max(last + 1)))
    }

    /// An account, with what time has ended but no row says yet.
    pub(crate) fn account(&self, account: &str) -> Option<&Account> {
        self.accounts.get(account)
    }

    /// The other account of a transfer.
    pub(crate) fn peer(&self, account: &str, sequence: i64) -> Option<String> {
        Some(self.accounts.get(account)?.entries.get(&sequence)?.peer.clone()?.0)
    }

    /// A moment after every row there is.
    pub(crate) fn after_all(&self) -> Instant {
        Instant::from_micros(self.last.iter().copied().max().unwrap_or(0) + 1)
    }

    /// Takes over when the newest row of a partition was recorded, where the oracle cannot know it.
    pub(crate) fn set_last(&mut self, partition: u16, recorded_at: i64) {
        self.last[usize::from(partition)] = recorded_at;
    }

    fn home_of(&self, account: &str) -> usize {
        match account {
            "" => usize::from(self.parts.first().copied().unwrap_or(0)),
            _ => usize::from((self.home)(account, self.partitions)),
        }
    }

    fn begin(&mut self, clock: Instant, ops: &[Op]) {
        self.clock = clock.micros();
        self.parts = ops.iter().flat_map(|op| self.partitions_of(op)).collect();
        self.parts.sort_unstable();
        self.parts.dedup();
        self.wrote.fill(false);
        self.refused.fill(false);
    }

    /// A batch that has only refusals to remember writes a row that says so.
    fn finish(&mut self) {
        for part in self.parts.clone().into_iter().map(usize::from) {
            if self.refused[part] && !self.wrote[part] {
                self.stamp(part, self.clock.max(self.last[part] + 1));
                self.system[part] += 1;
            }
        }
    }

    fn stamp(&mut self, part: usize, now: i64) -> i64 {
        self.wrote[part] = true;
        self.last[part] = now.max(self.last[part] + 1);
        self.last[part]
    }

    fn atomic(&mut self, ops: &[Op]) -> Vec<Reply> {
        let before = self.clone();
        let mut replies = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            match self.command(op) {
                Ok(done) => replies.push(Ok(done)),
                Err(reason) => {
                    *self = before;
                    self.remember_refusal(op, reason);
                    let mut replies = vec![Err(Reason::LinkedItemFailed); ops.len()];
                    replies[index] = Err(reason);
                    return replies;
                }
            }
        }
        replies
    }

    fn command(&mut self, op: &Op) -> Reply {
        if let Some(key) = op.scoped_key()
            && let Some(memory) = self.keys.get(&key)
        {
            if memory.asked != op.act.content() {
                return Err(Reason::IdempotencyKeyReused);
            }
            return memory.outcome.clone().map(|rows| Done { rows, replayed: true });
        }
        if let Some((asked, row)) = self.made(op) {
            // The same account or hold again, without the key it was made with: found, and the key is not used up.
            return if *asked == op.act.content() {
                Ok(Done { rows: vec![row.clone()], replayed: true })
            } else {
                Err(Reason::ResourceAlreadyExists)
            };
        }
        if op.dry {
            let mut copy = self.clone();
            return copy.apply(op).map(|rows| Done { rows, replayed: false });
        }
        match self.apply(op) {
            Ok(rows) => {
                if let (Some(key), false) = (op.scoped_key(), rows.is_empty()) {
                    self.keys.insert(key, Memory { asked: op.act.content(), outcome: Ok(rows.clone()) });
                }
                Ok(Done { rows, replayed: false })
            }
            Err(reason) => {
                self.remember_refusal(op, reason);
                Err(reason)
            }
        }
    }

    /// What the account or the hold that a command makes was asked to be, and the row that made it, if it is there already.
    fn made(&self, op: &Op) -> Option<(&String, &Row)> {
        let account = self.accounts.get(&op.account)?;
        match &op.act {
            Act::Create { .. } => Some((&account.asked, &account.created)),
            Act::Place { hold, .. } => account.holds.get(hold).map(|hold| (&hold.asked, &hold.placed)),
            _ => None,
        }
    }

    fn remember_refusal(&mut self, op: &Op, reason: Reason) {
        let known = op.account.is_empty() || self.accounts.contains_key(&op.account);
        let Some(key) = op.scoped_key().filter(|_| known && !op.dry && !FORGOTTEN.contains(&reason)) else { return };
        if self.keys.contains_key(&key) {
            return;
        }
        let home = self.home_of(&op.account);
        self.refused[home] = true;
        self.keys.insert(key, Memory { asked: op.act.content(), outcome: Err(reason) });
    }

    fn apply(&mut self, op: &Op) -> Result<Vec<Row>, Reason> {
        let lasts = self.parts.iter().map(|part| self.last[usize::from(*part)] + 1);
        let now = lasts.fold(self.clock, i64::max);
        match &op.act {
            Act::Create { .. } => Ok(self.create(op, now)),
            Act::CloseBooks { until } => self.close_books(*until, now),
            Act::Transfer { to, amount } => self.transfer(&op.account, to, amount.micros().into(), now),
            Act::Reverse { sequence, amount, .. } => {
                self.reverse(&op.account, *sequence, amount.map(|amount| amount.micros().into()), now)
            }
            _ => self.single(op, now),
        }
    }

    fn create(&mut self, op: &Op, now: i64) -> Vec<Row> {
        let Act::Create { credit_limit, currency } = &op.act else { return Vec::new() };
        let account = Account::new(currency, credit_limit.micros().into(), op.act.content());
        self.accounts.insert(op.account.clone(), account);
        let row = self.write(&op.account, kind::CREATED, 0, now);
        if let Some(account) = self.accounts.get_mut(&op.account) {
            account.version = 1;
            account.created = row.clone();
        }
        vec![row]
    }

    fn close_books(&mut self, until: i64, now: i64) -> Result<Vec<Row>, Reason> {
        if self.closed_until == Some(until) {
            return Ok(Vec::new());
        }
        if self.closed_until.is_some_and(|closed| closed > until) {
            return Err(Reason::DateRangeInvalid);
        }
        self.closed_until = Some(until);
        let mut rows = Vec::new();
        for part in self.parts.clone().into_iter().map(usize::from) {
            let recorded_at = self.stamp(part, now);
            self.system[part] += 1;
            rows.push(Row {
                account: String::new(),
                sequence: self.system[part],
                entry_sequence: 0,
                kind: kind::BOOKS_CLOSED,
                amount: 0,
                posted: 0,
                held: 0,
                bonus: 0,
                credit_limit: 0,
                recorded_at,
            });
        }
        rows.truncate(1);
        Ok(rows)
    }

    fn transfer(&mut self, from: &str, to: &str, amount: i128, now: i64) -> Result<Vec<Row>, Reason> {
        self.settle(from, now)?;
        self.settle(to, now)?;
        let (from_account, to_account) = (&self.accounts[from], &self.accounts[to]);
        if from_account.currency != to_account.currency {
            return Err(Reason::CurrencyMismatch);
        }
        from_account.check_open()?;
        to_account.check_open()?;
        self.check_period(now)?;
        from_account.check_own(amount)?;
        from_account.check_entry(-amount)?;
        to_account.check_entry(amount)?;
        let legs = [(from_account.sequence + 1, from), (to_account.sequence + 1, to)];
        let out = self.entry(from, kind::TRANSFER_OUT, -amount, now);
        let incoming = self.entry(to, kind::TRANSFER_IN, amount, now);
        for ((sequence, account), (peer_sequence, peer)) in [(legs[0], legs[1]), (legs[1], legs[0])] {
            let entries = &mut self.accounts.get_mut(account).ok_or(Reason::Internal)?.entries;
            entries.get_mut(&sequence).ok_or(Reason::Internal)?.peer = Some((peer.to_owned(), peer_sequence));
        }
        Ok(vec![out, incoming])
    }

    fn reverse(&mut self, id: &str, sequence: i64, amount: Option<i128>, now: i64) -> Result<Vec<Row>, Reason> {
        self.settle(id, now)?;
        let entry = self.accounts[id].entries.get(&sequence).cloned().ok_or(Reason::EntryNotFound)?;
        if let Some((peer, _)) = &entry.peer {
            self.settle(peer, now)?;
        }
        self.accounts[id].check_open()?;
        self.check_period(now)?;
        if let Some((peer, _)) = &entry.peer {
            self.accounts[peer].check_open()?;
        }
        if entry.kind == kind::REVERSAL {
            return Err(Reason::EntryNotReversible);
        }
        let rest = entry.amount.abs() - entry.reversed;
        if rest == 0 {
            return Err(Reason::AlreadyReversed);
        }
        let amount = amount.unwrap_or(rest);
        if amount > rest {
            return Err(Reason::ReversalExceedsRest);
        }
        let back = -amount * entry.amount.signum();
        let legs: Vec<(String, i64, i128)> =
            [Some((id.to_owned(), sequence, back)), entry.peer.map(|(peer, leg)| (peer, leg, -back))]
                .into_iter()
                .flatten()
                .collect();
        for (account, _, signed) in &legs {
            self.accounts[account].check_entry(*signed)?;
        }
        let mut rows = Vec::new();
        for (account, sequence, signed) in legs {
            rows.push(self.entry(&account, kind::REVERSAL, signed, now));
            let entries = &mut self.accounts.get_mut(&account).ok_or(Reason::Internal)?.entries;
            entries.get_mut(&sequence).ok_or(Reason::Internal)?.reversed += amount;
        }
        Ok(rows)
    }

    fn check_period(&self, at: i64) -> Result<(), Reason> {
        let day = at.div_euclid(MICROS_A_DAY);
        if self.closed_until.is_some_and(|closed| day <= closed) { Err(Reason::PeriodClosed) } else { Ok(()) }
    }

    fn check_occurred(&self, occurred_at: Option<i64>, now: i64) -> Result<(), Reason> {
        let at = occurred_at.unwrap_or(now);
        if at > now + MAX_AHEAD || at < now - self.max_back {
            return Err(Reason::OccurredAtOutOfRange);
        }
        self.check_period(at)
    }

    fn single(&mut self, op: &Op, now: i64) -> Result<Vec<Row>, Reason> {
        let id = op.account.as_str();
        self.settle(id, now)?;
        let account = self.accounts[id].clone();
        match &op.act {
            Act::Post(post) => self.post(id, &account, post, now),
            Act::Limit { credit_limit, allow_below_use, etag } => {
                account.check_open()?;
                account.check_etag(*etag)?;
                account.check_limit(credit_limit.micros().into(), *allow_below_use)?;
                self.change(id, |account| account.credit_limit = credit_limit.micros().into());
                Ok(vec![self.settings(id, kind::UPDATED, now)])
            }
            Act::Close { etag } => {
                account.check_open()?;
                account.check_etag(*etag)?;
                account.check_closable()?;
                if account.posted != 0 {
                    self.check_period(now)?;
                    let is_debit = account.posted > 0;
                    let kind = if is_debit { kind::ADJUSTMENT_DEBIT } else { kind::ADJUSTMENT_CREDIT };
                    self.entry(id, kind, -account.posted, now);
                }
                self.change(id, |account| account.closed = true);
                Ok(vec![self.settings(id, kind::CLOSED, now)])
            }
            Act::Reopen { etag } => {
                if !account.closed {
                    return Err(Reason::AccountNotClosed);
                }
                account.check_etag(*etag)?;
                self.change(id, |account| account.closed = false);
                Ok(vec![self.settings(id, kind::REOPENED, now)])
            }
            Act::Settle => Ok(Vec::new()),
            _ => self.hold(id, &account, &op.act, now),
        }
    }

    fn post(&mut self, id: &str, account: &Account, post: &Post, now: i64) -> Result<Vec<Row>, Reason> {
        let amount = i128::from(post.amount.micros());
        if post.currency.is_some_and(|currency| currency != account.currency) {
            return Err(Reason::CurrencyMismatch);
        }
        account.check_open()?;
        self.check_occurred(post.occurred_at.map(Instant::micros), now)?;
        if post.expected_sequence.is_some_and(|expected| expected != account.entry_sequence) {
            return Err(Reason::SequenceMismatch);
        }
        match post.kind {
            PostKind::WriteOff if amount > -account.posted => return Err(Reason::WriteOffExceedsDebt),
            PostKind::Payout => account.check_own(amount)?,
            _ => {}
        }
        if post.require_available && !post.kind.raises() {
            account.check_available(amount)?;
        }
        let signed = if post.kind.raises() { amount } else { -amount };
        account.check_entry(signed)?;
        Ok(vec![self.entry(id, post.kind.number(), signed, now)])
    }

    fn hold(&mut self, id: &str, account: &Account, act: &Act, now: i64) -> Result<Vec<Row>, Reason> {
        match act {
            Act::Place { hold, amount, expiry } => {
                let amount = i128::from(amount.micros());
                account.check_open()?;
                let expires_at = expires(expiry.unwrap_or(Expiry::After(DEFAULT_TTL)), now)?;
                account.check_available(amount)?;
                let (asked, placed) = (act.content(), Row::default());
                let new = account::Hold { state: HoldState::Open, amount, captured: 0, expires_at, asked, placed };
                self.change(id, |account| _ = account.holds.insert(hold.clone(), new));
                let row = self.write(id, kind::HOLD_PLACED, 0, now);
                self.change(id, |account| {
                    if let Some(hold) = account.holds.get_mut(hold) {
                        hold.placed = row.clone();
                    }
                });
                Ok(vec![row])
            }
            Act::Change { hold, amount, expiry } => {
                let mut changed = account.hold(hold)?.clone();
                account.check_open()?;
                changed.check_open(now)?;
                if let Some(expiry) = expiry {
                    changed.expires_at = expires(*expiry, now)?;
                }
                if let Some(amount) = amount.map(|amount| i128::from(amount.micros())) {
                    if amount <= changed.captured {
                        return Err(Reason::CaptureExceedsHold);
                    }
                    if amount > changed.amount {
                        account.check_available(amount - changed.amount)?;
                    }
                    changed.amount = amount;
                }
                self.change(id, |account| _ = account.holds.insert(hold.clone(), changed));
                Ok(vec![self.write(id, kind::HOLD_UPDATED, 0, now)])
            }
            Act::Capture { hold, amount, keep_rest } => {
                let mut captured = account.hold(hold)?.clone();
                account.check_open()?;
                self.check_period(now)?;
                captured.check_open(now)?;
                let amount = amount.map_or(captured.rest(), |amount| amount.micros().into());
                if amount > captured.rest() {
                    return Err(Reason::CaptureExceedsHold);
                }
                account.check_entry(-amount)?;
                captured.captured += amount;
                if !keep_rest || captured.rest() == 0 {
                    captured.state = HoldState::Captured;
                }
                self.change(id, |account| _ = account.holds.insert(hold.clone(), captured));
                Ok(vec![self.entry(id, kind::CHARGE, -amount, now)])
            }
            Act::Release { hold } => {
                let mut released = account.hold(hold)?.clone();
                account.check_open()?;
                released.check_open(now)?;
                released.state = HoldState::Released;
                self.change(id, |account| _ = account.holds.insert(hold.clone(), released));
                Ok(vec![self.write(id, kind::HOLD_RELEASED, 0, now)])
            }
            _ => Err(Reason::Internal),
        }
    }

    /// Writes down which holds have ended.
    fn settle(&mut self, id: &str, now: i64) -> Result<(), Reason> {
        let account = self.accounts.get(id).ok_or(Reason::AccountNotFound)?;
        for hold in account.ended(now) {
            self.change(id, |account| {
                if let Some(hold) = account.holds.get_mut(&hold) {
                    hold.state = HoldState::Expired;
                }
            });
            self.write(id, kind::HOLD_EXPIRED, 0, now);
        }
        Ok(())
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(id) {
            change(account);
        }
    }

    fn entry(&mut self, id: &str, kind: i16, amount: i128, now: i64) -> Row {
        self.change(id, |account| account.enter(kind, amount));
        self.write(id, kind, amount, now)
    }

    fn settings(&mut self, id: &str, kind: i16, now: i64) -> Row {
        let row = self.write(id, kind, 0, now);
        self.change(id, |account| account.version = row.sequence);
        row
    }

    fn write(&mut self, id: &str, kind: i16, amount: i128, now: i64) -> Row {
        let recorded_at = self.stamp(self.home_of(id), now);
        let account = self.accounts.get_mut(id).expect("the account is there");
        account.row(id, kind, amount, recorded_at)
    }
}

fn expires(expiry: Expiry, now: i64) -> Result<i64, Reason> {
    let at = match expiry {
        Expiry::At(at) => at.micros(),
        Expiry::After(ttl) => now + ttl,
    };
    if at > now && at <= now + MAX_TTL { Ok(at) } else { Err(Reason::HoldExpiryOutOfRange) }
}
