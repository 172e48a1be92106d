//! Holds: money reserved for a charge that is not final yet.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amounts::Amounts;
use super::currency::Currency;
use super::head::Head;
use super::instant::Instant;
use super::ledger::{self, Context};
use super::money::Money;
use super::reason::{Reason, Refusal};
use super::record::{Draft, Kind, Tax, Texts};

pub use super::record::HoldTexts;

/// How long a hold lives when its caller does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a hold may live.
pub const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);
/// How many holds of one account may be open at once: its head keeps them all in memory.
pub const MAX_OPEN_HOLDS: usize = 10_000;

/// What has become of a hold. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum HoldState {
    Open = 1,
    Captured = 2,
    Released = 3,
    Expired = 4,
}

impl HoldState {
    /// The state of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Captured),
            3 => Some(Self::Released),
            4 => Some(Self::Expired),
            _ => None,
        }
    }
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id, unique in its account.
    pub hold_id: String,
    /// The sequence of the row that placed it.
    pub placed_sequence: i64,
    /// What has become of it.
    pub state: HoldState,
    /// How much was reserved.
    pub amount: Money,
    /// How much of it was charged.
    pub captured: Money,
    /// It is expired exactly when `now ≥ expires_at`.
    pub expires_at: Instant,
    /// When it was placed.
    pub placed_at: Instant,
    /// When it last changed.
    pub updated_at: Instant,
    /// The category of its charges, unless they name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Erasable; stands in the row's texts, not in its payload.
    #[serde(skip)]
    pub texts: HoldTexts,
}

impl Hold {
    /// What is still reserved: nothing once it is closed.
    pub fn rest(&self) -> Money {
        match self.state {
            HoldState::Open => self.amount.checked_sub(self.captured).unwrap_or(Money::ZERO),
            _ => Money::ZERO,
        }
    }

    /// The order in which holds end.
    pub fn order(&self) -> (Instant, &str) {
        (self.expires_at, &self.hold_id)
    }

    /// The hold as `now` sees it.
    #[must_use]
    pub fn seen_at(&self, now: Instant) -> Self {
        let mut hold = self.clone();
        if hold.state == HoldState::Open && hold.expires_at <= now {
            hold.state = HoldState::Expired;
            hold.updated_at = hold.expires_at;
        }
        hold
    }

    /// The row that ends this hold without a charge.
    pub fn closing(&self, kind: Kind, state: HoldState, at: Instant, after: Amounts) -> Draft {
        let hold = Self { state, updated_at: at, ..self.clone() };
        hold.row(kind, after)
    }

    fn row(self, kind: Kind, after: Amounts) -> Draft {
        let mut draft = Draft::of(kind, after);
        draft.texts.description.clone_from(&self.texts.description);
        draft.texts.reference.clone_from(&self.texts.reference);
        draft.texts.details.metadata.clone_from(&self.texts.metadata);
        draft.payload.hold_id = Some(self.hold_id.clone());
        draft.payload.hold = Some(self);
        draft
    }

    /// Refuses a hold that is no longer open at `now`.
    fn check_open(&self, now: Instant) -> Result<(), Refusal> {
        let (reason, what) = match self.seen_at(now).state {
            HoldState::Open => return Ok(()),
            HoldState::Captured => (Reason::HoldAlreadyCaptured, "was captured already"),
            HoldState::Released => (Reason::HoldAlreadyReleased, "was released already"),
            HoldState::Expired => (Reason::HoldExpired, "has expired"),
        };
        let refusal = Refusal::new(reason, format!("Hold {} {what}; place a new one.", self.hold_id))
            .with("hold_id", &self.hold_id);
        Err(if reason == Reason::HoldExpired { refusal.with("expired_at", self.expires_at) } else { refusal })
    }
}

impl Draft {
    /// The texts of the hold this row is about.
    pub fn hold_texts(&self) -> HoldTexts {
        match &self.texts.details.hold {
            Some(texts) => texts.clone(),
            None if self.kind.is_entry() => HoldTexts::default(),
            None => HoldTexts {
                description: self.texts.description.clone(),
                reference: self.texts.reference.clone(),
                metadata: self.texts.details.metadata.clone(),
            },
        }
    }
}

/// When a hold ends, as its caller said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At an instant.
    At(Instant),
    /// Some time from now.
    After(Duration),
}

impl Expiry {
    fn resolve(self, now: Instant) -> Result<Instant, Refusal> {
        let latest = now.checked_add(MAX_TTL).unwrap_or(Instant::MAX);
        let at = match self {
            Self::At(at) => at,
            Self::After(ttl) => now.checked_add(ttl).unwrap_or(Instant::MAX),
        };
        if at > now && at <= latest {
            return Ok(at);
        }
        let field = if matches!(self, Self::At(_)) { "expires_at" } else { "ttl" };
        Err(Refusal::field(
            Reason::HoldExpiryOutOfRange,
            field,
            format!("A hold ends after now ({now}) and within {} days.", MAX_TTL.as_secs() / 86_400),
        )
        .with("min", now)
        .with("max", latest))
    }
}

/// A hold to place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Place {
    pub hold_id: String,
    pub amount: Money,
    pub currency: Option<Currency>,
    pub expiry: Option<Expiry>,
    pub category: Option<String>,
    pub texts: HoldTexts,
}

/// The row that places a hold.
///
/// # Errors
/// `CURRENCY_MISMATCH`, `ACCOUNT_CLOSED`, `HOLD_EXPIRY_OUT_OF_RANGE`, `QUOTA_EXCEEDED`, `INSUFFICIENT_FUNDS`, `BALANCE_OVERFLOW`.
pub fn place(head: &Head, place: &Place, context: &Context) -> Result<Draft, Refusal> {
    head.check_currency(place.currency, "amount.currency_code")?;
    head.check_open()?;
    let expires_at = place.expiry.unwrap_or(Expiry::After(DEFAULT_TTL)).resolve(context.now)?;
    if head.open_holds.len() >= MAX_OPEN_HOLDS {
        return Err(Refusal::new(
            Reason::QuotaExceeded,
            format!("The account has {MAX_OPEN_HOLDS} open holds; release some first."),
        )
        .with("quota", "open_holds")
        .with("limit", MAX_OPEN_HOLDS));
    }
    head.check_available(place.amount)?;
    let hold = Hold {
        hold_id: place.hold_id.clone(),
        placed_sequence: head.sequence.saturating_add(1),
        state: HoldState::Open,
        amount: place.amount,
        captured: Money::ZERO,
        expires_at,
        placed_at: context.now,
        updated_at: context.now,
        category: place.category.clone(),
        texts: place.texts.clone(),
    };
    let after = held_changed(head, place.amount)?;
    Ok(hold.row(Kind::HoldPlaced, after))
}

fn held_changed(head: &Head, difference: Money) -> Result<Amounts, Refusal> {
    let overflow = || Refusal::new(Reason::BalanceOverflow, "The sum of holds would leave its range.");
    let sum = head.amounts.held.checked_add(difference).ok_or_else(overflow);
    sum.and_then(|held| Amounts { held, ..head.amounts }.checked()).map_err(|refusal| head.named(refusal))
}

/// A change of an open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Update {
    pub hold_id: String,
    pub amount: Option<Money>,
    pub currency: Option<Currency>,
    pub expiry: Option<Expiry>,
}

/// The row that changes a hold. A raise asks for funds like a new hold.
///
/// # Errors
/// `CURRENCY_MISMATCH`, `ACCOUNT_CLOSED`, the states of the hold, `HOLD_EXPIRY_OUT_OF_RANGE`, `CAPTURE_EXCEEDS_HOLD`,
/// `INSUFFICIENT_FUNDS`.
pub fn update(head: &Head, hold: &Hold, update: &Update, context: &Context) -> Result<Draft, Refusal> {
    head.check_currency(update.currency, "amount.currency_code")?;
    head.check_open()?;
    hold.check_open(context.now)?;
    let mut hold = hold.clone();
    if let Some(expiry) = update.expiry {
        hold.expires_at = expiry.resolve(context.now)?;
    }
    let mut difference = Money::ZERO;
    if let Some(amount) = update.amount {
        if amount <= hold.captured {
            let captured = head.identity.format(hold.captured);
            return Err(exceeds(
                head,
                &hold,
                format!("{captured} was captured already; hold more than that or release it."),
            ));
        }
        difference = amount.checked_sub(hold.amount).unwrap_or(Money::MAX);
        hold.amount = amount;
    }
    if difference.is_positive() {
        head.check_available(difference)?;
    }
    hold.updated_at = context.now;
    let after = held_changed(head, difference)?;
    Ok(hold.row(Kind::HoldUpdated, after))
}

fn exceeds(head: &Head, hold: &Hold, message: String) -> Refusal {
    Refusal::new(Reason::CaptureExceedsHold, message)
        .with("hold_id", &hold.hold_id)
        .with("rest", head.identity.format(hold.rest()))
        .with("captured", head.identity.format(hold.captured))
        .with("currency_code", head.identity.currency.code())
}

/// A charge out of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Capture {
    pub hold_id: String,
    pub amount: Option<Money>,
    pub currency: Option<Currency>,
    pub keep_rest: bool,
    pub counter: Option<String>,
    pub category: Option<String>,
    pub occurred_at: Option<Instant>,
    pub tax: Option<Tax>,
    pub texts: Texts,
}

/// The entry that charges a hold, in full or in part. The limit is not checked again: it was when the hold was placed.
///
/// # Errors
/// `CURRENCY_MISMATCH`, `ACCOUNT_CLOSED`, `PERIOD_CLOSED`, the states of the hold, `CAPTURE_EXCEEDS_HOLD`, `BALANCE_OVERFLOW`.
pub fn capture(head: &Head, hold: &Hold, capture: &Capture, context: &Context) -> Result<Draft, Refusal> {
    head.check_currency(capture.currency, "amount.currency_code")?;
    head.check_open()?;
    let booking_date = ledger::booking_date(head, capture.occurred_at, context)?;
    hold.check_open(context.now)?;
    let rest = hold.rest();
    let amount = capture.amount.unwrap_or(rest);
    if amount > rest {
        let (left, asked) = (head.identity.format(rest), head.identity.format(amount));
        return Err(exceeds(head, hold, format!("{left} of the hold is left, {asked} was asked.")));
    }
    ledger::check_tax(capture.tax.as_ref(), amount)?;
    let mut hold = hold.clone();
    hold.captured = hold.captured.checked_add(amount).unwrap_or(hold.amount);
    hold.updated_at = context.now;
    let keeps = capture.keep_rest && amount < rest;
    if !keeps {
        hold.state = HoldState::Captured;
    }
    let freed = if keeps { amount } else { rest };
    let released = held_changed(head, freed.negated())?;
    let category = capture.category.clone().or_else(|| hold.category.clone());
    let after = released.after_entry(amount.negated(), false).map_err(|refusal| head.named(refusal))?;
    let mut draft = Draft::of(Kind::Charge, after);
    draft.amount = amount.negated();
    draft.counter =
        Some(capture.counter.clone().unwrap_or_else(|| ledger::default_counter(Kind::Charge, category.as_deref())));
    draft.category = category;
    draft.booking_date = Some(booking_date);
    draft.occurred_at = capture.occurred_at;
    draft.texts = capture.texts.clone();
    if draft.texts.description.is_none() {
        draft.texts.description.clone_from(&hold.texts.description);
    }
    if draft.texts.reference.is_none() {
        draft.texts.reference.clone_from(&hold.texts.reference);
    }
    draft.texts.details.hold = Some(hold.texts.clone()).filter(|texts| *texts != HoldTexts::default());
    draft.payload.tax.clone_from(&capture.tax);
    draft.payload.hold_id = Some(hold.hold_id.clone());
    draft.payload.hold = Some(hold);
    Ok(draft)
}

/// The row that lets a hold go.
///
/// # Errors
/// `ACCOUNT_CLOSED` and the states of the hold.
pub fn release(head: &Head, hold: &Hold, context: &Context) -> Result<Draft, Refusal> {
    head.check_open()?;
    hold.check_open(context.now)?;
    let after = held_changed(head, hold.rest().negated())?;
    Ok(hold.closing(Kind::HoldReleased, HoldState::Released, context.now, after))
}
