//! The head of an account: all that deciding about it needs, as of its last row.

use std::sync::Arc;

use super::accounts::{BillingMode, State};
use super::amounts::Amounts;
use super::calendar::TimeZone;
use super::currency::Currency;
use super::holds::{Hold, HoldState};
use super::instant::Instant;
use super::money::Money;
use super::reason::{Reason, Refusal};
use super::record::{Draft, Kind};

/// What never changes of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The partition it belongs to.
    pub partition: u16,
    /// Its number there.
    pub account: i64,
    /// Its id.
    pub account_id: String,
    /// Its owner.
    pub customer_id: String,
    /// The currency of all its amounts.
    pub currency: Currency,
}

impl Identity {
    /// An amount as the contract writes it.
    pub fn format(&self, amount: Money) -> String {
        amount.format(self.currency.minor_digits())
    }
}

/// The state of an account after its last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What never changes.
    pub identity: Arc<Identity>,
    /// Whose local days count.
    pub time_zone: TimeZone,
    /// Open or closed.
    pub state: State,
    /// Prepaid or postpaid.
    pub billing_mode: BillingMode,
    /// The sequence of the row that last changed the settings: the etag.
    pub version: i64,
    /// Salts the digests of its texts; absent once they are erased.
    pub secret: Option<[u8; 32]>,
    /// The sequence of its last row.
    pub sequence: i64,
    /// The sequence of its last entry; 0 before the first.
    pub entry_sequence: i64,
    /// Its amounts after the last row.
    pub amounts: Amounts,
    /// Its open holds, earliest expiry first.
    pub open_holds: Vec<Arc<Hold>>,
}

impl Head {
    /// The amounts as `now` sees them: what time has ended no longer counts, whether or not its row is written.
    pub fn amounts_at(&self, now: Instant) -> Amounts {
        let ended = self
            .open_holds
            .iter()
            .take_while(|hold| hold.expires_at <= now)
            .fold(Money::ZERO, |sum, hold| sum.checked_add(hold.rest()).unwrap_or(Money::MAX));
        let held = self.amounts.held.checked_sub(ended).unwrap_or(Money::ZERO);
        Amounts { held, ..self.amounts }
    }

    /// The rows that time has made true by `now`: an expired hold each, earliest first.
    pub fn ended_by(&self, now: Instant) -> Vec<Draft> {
        let mut after = self.amounts;
        let ended = self.open_holds.iter().take_while(|hold| hold.expires_at <= now);
        ended
            .map(|hold| {
                after.held = after.held.checked_sub(hold.rest()).unwrap_or(Money::ZERO);
                hold.closing(Kind::HoldExpired, HoldState::Expired, hold.expires_at, after)
            })
            .collect()
    }

    /// Takes a row into the head: the one place where a head changes.
    pub fn record(&mut self, draft: &Draft) {
        self.sequence = self.sequence.saturating_add(1);
        if draft.kind.is_entry() {
            self.entry_sequence = self.sequence;
        }
        self.amounts = draft.after;
        if let Some(hold) = &draft.payload.hold {
            self.open_holds.retain(|open| open.hold_id != hold.hold_id);
            if hold.state == HoldState::Open {
                let mut hold = hold.clone();
                hold.texts = draft.hold_texts();
                let at = self.open_holds.partition_point(|open| open.order() <= hold.order());
                self.open_holds.insert(at, Arc::new(hold));
            }
        }
        if let Some(settings) = &draft.payload.account {
            self.time_zone = settings.time_zone;
            self.state = settings.state;
            self.billing_mode = settings.billing_mode;
            self.version = self.sequence;
        }
        if draft.kind == Kind::AccountAnonymized {
            self.secret = None;
        }
    }

    /// Refuses what a closed or anonymised account no longer takes.
    ///
    /// # Errors
    /// `ACCOUNT_ANONYMIZED`, `ACCOUNT_CLOSED`.
    pub fn check_open(&self) -> Result<(), Refusal> {
        let account_id = &self.identity.account_id;
        if self.secret.is_none() {
            Err(Refusal::new(
                Reason::AccountAnonymized,
                format!("Account {account_id} was anonymised; it takes no more changes."),
            )
            .with("account_id", account_id))
        } else if self.state == State::Closed {
            Err(Refusal::new(Reason::AccountClosed, format!("Account {account_id} is closed; reopen it first."))
                .with("account_id", account_id))
        } else {
            Ok(())
        }
    }

    /// A refusal about the amounts of this account, such as `BALANCE_OVERFLOW`, with its name.
    pub fn named(&self, refusal: Refusal) -> Refusal {
        refusal.with("account_id", &self.identity.account_id)
    }

    /// Refuses an amount in another currency.
    ///
    /// # Errors
    /// `CURRENCY_MISMATCH`.
    pub fn check_currency(&self, currency: Option<Currency>, field: &str) -> Result<(), Refusal> {
        match currency {
            Some(given) if given != self.identity.currency => Err(Refusal::field(
                Reason::CurrencyMismatch,
                field,
                format!("The account's currency is {}, not {}.", self.identity.currency.code(), given.code()),
            )
            .with("expected", self.identity.currency.code())
            .with("found", given.code())),
            _ => Ok(()),
        }
    }

    /// Refuses to take more than `available`; exactly what is there passes.
    ///
    /// # Errors
    /// `INSUFFICIENT_FUNDS` with `available`, `required`, `missing`, `credit_limit`, `currency_code`.
    pub fn check_available(&self, required: Money) -> Result<(), Refusal> {
        let available = self.amounts.available();
        if required <= available {
            return Ok(());
        }
        let missing = required.checked_sub(available).unwrap_or(Money::MAX);
        let show = |amount| self.identity.format(amount);
        Err(Refusal::new(
            Reason::InsufficientFunds,
            format!("{} is required, {} is available: {} is missing.", show(required), show(available), show(missing)),
        )
        .with("available", show(available))
        .with("required", show(required))
        .with("missing", show(missing))
        .with("credit_limit", show(self.amounts.credit_limit))
        .with("currency_code", self.identity.currency.code()))
    }

    /// Refuses to let more leave than own, free money: credit and bonuses cannot be cashed.
    ///
    /// # Errors
    /// `INSUFFICIENT_OWN_FUNDS` with `available`, `required`, `missing`, `currency_code`.
    pub fn check_own(&self, required: Money) -> Result<(), Refusal> {
        let there = self.amounts.own().min(self.amounts.free());
        if required <= there {
            return Ok(());
        }
        let missing = required.checked_sub(there).unwrap_or(Money::MAX);
        let show = |amount| self.identity.format(amount);
        Err(Refusal::new(
            Reason::InsufficientOwnFunds,
            format!("{} is required, {} of own, free money is there.", show(required), show(there)),
        )
        .with("available", show(there))
        .with("required", show(required))
        .with("missing", show(missing))
        .with("currency_code", self.identity.currency.code()))
    }
}
