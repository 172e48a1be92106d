//! An account of the oracle. Amounts are millionths, wide enough to need no care.

use std::collections::BTreeMap;

use billing_server::domain::reason::Reason;

use super::{Row, kind};

/// No amount leaves ± this.
const RANGE: i128 = 9_000_000_000_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldState {
    Open,
    Captured,
    Released,
    Expired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) state: HoldState,
    pub(crate) amount: i128,
    pub(crate) captured: i128,
    pub(crate) expires_at: i64,
    /// What it was asked to be, and the row that placed it.
    pub(super) asked: String,
    pub(super) placed: Row,
}

impl Hold {
    pub(crate) fn rest(&self) -> i128 {
        if self.state == HoldState::Open { self.amount - self.captured } else { 0 }
    }

    pub(crate) fn check_open(&self, now: i64) -> Result<(), Reason> {
        match self.state {
            HoldState::Open if now >= self.expires_at => Err(Reason::HoldExpired),
            HoldState::Open => Ok(()),
            HoldState::Captured => Err(Reason::HoldAlreadyCaptured),
            HoldState::Released => Err(Reason::HoldAlreadyReleased),
            HoldState::Expired => Err(Reason::HoldExpired),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: i16,
    pub(crate) amount: i128,
    pub(crate) reversed: i128,
    /// The other leg of a transfer.
    pub(crate) peer: Option<(String, i64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) currency: &'static str,
    pub(crate) closed: bool,
    pub(crate) sequence: i64,
    pub(crate) entry_sequence: i64,
    /// The sequence of the row that last changed the settings.
    pub(crate) version: i64,
    pub(crate) posted: i128,
    pub(crate) bonus: i128,
    pub(crate) credit_limit: i128,
    pub(crate) holds: BTreeMap<String, Hold>,
    pub(crate) entries: BTreeMap<i64, Entry>,
    /// What it was asked to be, and the row that made it.
    pub(super) asked: String,
    pub(super) created: Row,
}

/// The figures of an account at a moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) available: i128,
    pub(crate) own: i128,
    pub(crate) posted: i128,
    pub(crate) held: i128,
    pub(crate) credit_limit: i128,
    pub(crate) entry_sequence: i64,
    pub(crate) version: i64,
    pub(crate) entries: Vec<(i64, i128)>,
    pub(crate) holds: Vec<(String, Hold)>,
}

impl Account {
    pub(super) fn new(currency: &'static str, credit_limit: i128, asked: String) -> Self {
        Self {
            currency,
            closed: false,
            sequence: 0,
            entry_sequence: 0,
            version: 0,
            posted: 0,
            bonus: 0,
            credit_limit,
            holds: BTreeMap::new(),
            entries: BTreeMap::new(),
            asked,
            created: Row::default(),
        }
    }

    pub(crate) fn held(&self) -> i128 {
        self.holds.values().map(Hold::rest).sum()
    }

    fn available(&self) -> i128 {
        self.posted - self.held() + self.credit_limit
    }

    /// Money that may leave: neither reserved, nor a bonus, nor credit.
    fn own(&self) -> i128 {
        (self.posted - self.held() - self.bonus).min(self.posted.max(0))
    }

    /// The open holds whose time is over, earliest first.
    pub(super) fn ended(&self, now: i64) -> Vec<String> {
        let is_over = |hold: &Hold| hold.state == HoldState::Open && hold.expires_at <= now;
        let mut ended: Vec<(i64, &String)> =
            self.holds.iter().filter(|(_, hold)| is_over(hold)).map(|(id, hold)| (hold.expires_at, id)).collect();
        ended.sort_unstable();
        ended.into_iter().map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn view(&self, now: i64) -> View {
        let mut account = self.clone();
        for id in self.ended(now) {
            if let Some(hold) = account.holds.get_mut(&id) {
                hold.state = HoldState::Expired;
            }
        }
        View {
            available: account.available(),
            own: account.own(),
            posted: account.posted,
            held: account.held(),
            credit_limit: account.credit_limit,
            entry_sequence: account.entry_sequence,
            version: account.version,
            entries: account.entries.iter().map(|(sequence, entry)| (*sequence, entry.amount)).collect(),
            holds: account.holds.into_iter().collect(),
        }
    }

    pub(super) fn hold(&self, id: &str) -> Result<&Hold, Reason> {
        self.holds.get(id).ok_or(Reason::HoldNotFound)
    }

    pub(super) fn check_open(&self) -> Result<(), Reason> {
        if self.closed { Err(Reason::AccountClosed) } else { Ok(()) }
    }

    pub(super) fn check_etag(&self, version: Option<i64>) -> Result<(), Reason> {
        if version.is_some_and(|version| version != self.version) { Err(Reason::EtagMismatch) } else { Ok(()) }
    }

    pub(super) fn check_available(&self, required: i128) -> Result<(), Reason> {
        if required > self.available() { Err(Reason::InsufficientFunds) } else { Ok(()) }
    }

    pub(super) fn check_own(&self, required: i128) -> Result<(), Reason> {
        if required > self.own() { Err(Reason::InsufficientOwnFunds) } else { Ok(()) }
    }

    pub(super) fn check_limit(&self, limit: i128, allow_below_use: bool) -> Result<(), Reason> {
        let available = self.available() - self.credit_limit + limit;
        if available.abs() > RANGE {
            return Err(Reason::BalanceOverflow);
        }
        let falls = limit < self.credit_limit;
        if falls && available < 0 && !allow_below_use { Err(Reason::LimitBelowUse) } else { Ok(()) }
    }

    pub(super) fn check_closable(&self) -> Result<(), Reason> {
        let unit = if self.currency == "JPY" { 1_000_000 } else { 10_000 };
        let is_free = self.posted.abs() < unit && self.holds.values().all(|hold| hold.state != HoldState::Open);
        if is_free { Ok(()) } else { Err(Reason::AccountNotClosable) }
    }

    /// Whether an entry can be represented.
    pub(super) fn check_entry(&self, amount: i128) -> Result<(), Reason> {
        let fits = (self.posted + amount).abs() <= RANGE && (self.available() + amount).abs() <= RANGE;
        if fits { Ok(()) } else { Err(Reason::BalanceOverflow) }
    }

    /// Takes an entry in: a debit takes from bonus money first, and bonus money never is more than there is.
    pub(super) fn enter(&mut self, kind: i16, amount: i128) {
        self.posted += amount;
        if kind == kind::BONUS || amount < 0 {
            self.bonus += amount;
        }
        self.bonus = self.bonus.min(self.posted).max(0);
        let entry = Entry { kind, amount, reversed: 0, peer: None };
        self.entries.insert(self.sequence + 1, entry);
    }

    /// The next row.
    pub(super) fn row(&mut self, id: &str, kind: i16, amount: i128, recorded_at: i64) -> Row {
        self.sequence += 1;
        if (1..=13).contains(&kind) {
            self.entry_sequence = self.sequence;
        }
        let narrow = |amount: i128| i64::try_from(amount).expect("an amount is in range");
        Row {
            account: id.to_owned(),
            sequence: self.sequence,
            entry_sequence: self.entry_sequence,
            kind,
            amount: narrow(amount),
            posted: narrow(self.posted),
            held: narrow(self.held()),
            bonus: narrow(self.bonus),
            credit_limit: narrow(self.credit_limit),
            recorded_at,
        }
    }
}
