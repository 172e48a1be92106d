//! Posting, transferring and reversing: what becomes an entry, and what is refused.

use std::time::Duration;

use super::amounts::Amounts;
use super::calendar::{days_from_epoch, local_date};
use super::currency::Currency;
use super::head::Head;
use super::instant::Instant;
use super::money::Money;
use super::reason::{Reason, Refusal};
use super::record::{Draft, Kind, Tax, Texts};

/// How far ahead of now an entry may have occurred: clocks differ.
pub const MAX_AHEAD: Duration = Duration::from_secs(300);

/// What holds for a decision beside the account itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The time of the decision: the `recorded_at` of its rows.
    pub now: Instant,
    /// The last day of the closed books, in days since 1970-01-01.
    pub closed_until: Option<i32>,
    /// How far back an entry may have occurred.
    pub max_back: Duration,
}

/// A posting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Post {
    pub kind: Kind,
    /// Positive; the kind gives the sign.
    pub amount: Money,
    pub currency: Option<Currency>,
    pub counter: Option<String>,
    pub category: Option<String>,
    pub occurred_at: Option<Instant>,
    pub invoice_id: Option<String>,
    pub tax: Option<Tax>,
    pub texts: Texts,
    pub require_available: bool,
    pub expected_sequence: Option<i64>,
}

/// Whether a kind may be posted, and with which sign: `Some(true)` raises the balance.
pub const fn raises(kind: Kind) -> Option<bool> {
    match kind {
        Kind::Payment | Kind::ChargeRefund | Kind::Bonus | Kind::AdjustmentCredit | Kind::WriteOff => Some(true),
        Kind::Charge | Kind::Payout | Kind::AdjustmentDebit => Some(false),
        _ => None,
    }
}

/// The counter account of an entry that names none (`rules.md`, Posting).
pub fn default_counter(kind: Kind, category: Option<&str>) -> String {
    match kind {
        Kind::Payment | Kind::Payout => "cash:unspecified".to_owned(),
        Kind::Bonus => "expense:bonus".to_owned(),
        Kind::WriteOff => "expense:bad_debt".to_owned(),
        Kind::AdjustmentCredit | Kind::AdjustmentDebit => "adjustment".to_owned(),
        Kind::TransferIn | Kind::TransferOut => "transfer".to_owned(),
        _ => format!("revenue:{}", category.unwrap_or("other")),
    }
}

/// The local day an entry is booked on.
///
/// # Errors
/// `OCCURRED_AT_OUT_OF_RANGE`, `PERIOD_CLOSED`.
pub fn booking_date(head: &Head, occurred_at: Option<Instant>, context: &Context) -> Result<i32, Refusal> {
    let at = occurred_at.unwrap_or(context.now);
    let latest = context.now.checked_add(MAX_AHEAD).unwrap_or(Instant::MAX);
    let earliest = context.now.checked_sub(context.max_back).unwrap_or(Instant::MIN);
    if at > latest || at < earliest {
        return Err(Refusal::field(
            Reason::OccurredAtOutOfRange,
            "occurred_at",
            format!("occurred_at lies between {earliest} and {latest}, not at {at}."),
        )
        .with("min", earliest)
        .with("max", latest));
    }
    let day = local_date(at, head.time_zone);
    let days = days_from_epoch(day);
    if context.closed_until.is_some_and(|until| days <= until) {
        let until = context.closed_until.and_then(super::calendar::date_from_days);
        let until = until.map(|date| date.to_string()).unwrap_or_default();
        return Err(Refusal::new(
            Reason::PeriodClosed,
            format!("The books are closed until {until}; {day} is in that period."),
        )
        .with("closed_until", until)
        .with("booking_date", day));
    }
    Ok(days)
}

/// Refuses a contained tax that is more than what contains it.
///
/// # Errors
/// `TAX_EXCEEDS_AMOUNT`.
pub fn check_tax(tax: Option<&Tax>, amount: Money) -> Result<(), Refusal> {
    match tax {
        Some(tax) if tax.amount > amount => Err(Refusal::field(
            Reason::TaxExceedsAmount,
            "tax.amount",
            format!("The tax contained ({}) is at most the amount ({amount}).", tax.amount),
        )
        .with("max", amount)),
        _ => Ok(()),
    }
}

/// The entry of a posting.
///
/// # Errors
/// In this order: `CURRENCY_MISMATCH`, `ACCOUNT_ANONYMIZED`, `ACCOUNT_CLOSED`, `OCCURRED_AT_OUT_OF_RANGE`, `PERIOD_CLOSED`,
/// `SEQUENCE_MISMATCH`, `WRITE_OFF_EXCEEDS_DEBT`, `INSUFFICIENT_OWN_FUNDS`, `INSUFFICIENT_FUNDS`, `BALANCE_OVERFLOW`.
pub fn post(head: &Head, post: &Post, context: &Context) -> Result<Draft, Refusal> {
    head.check_currency(post.currency, "amount.currency_code")?;
    head.check_open()?;
    let booking_date = booking_date(head, post.occurred_at, context)?;
    check_sequence(head, post.expected_sequence)?;
    let raises = raises(post.kind).unwrap_or(false);
    if post.kind == Kind::WriteOff {
        check_write_off(head, post.amount)?;
    }
    if post.kind == Kind::Payout {
        head.check_own(post.amount)?;
    }
    if post.require_available && !raises {
        head.check_available(post.amount)?;
    }
    let amount = if raises { post.amount } else { post.amount.negated() };
    let mut draft = Draft::of(post.kind, after_entry(head, amount, post.kind == Kind::Bonus)?);
    draft.amount = amount;
    draft.counter = Some(post.counter.clone().unwrap_or_else(|| default_counter(post.kind, post.category.as_deref())));
    draft.category.clone_from(&post.category);
    draft.booking_date = Some(booking_date);
    draft.occurred_at = post.occurred_at;
    draft.texts = post.texts.clone();
    draft.payload.invoice_id.clone_from(&post.invoice_id);
    draft.payload.tax.clone_from(&post.tax);
    Ok(draft)
}

fn after_entry(head: &Head, amount: Money, is_bonus: bool) -> Result<Amounts, Refusal> {
    head.amounts.after_entry(amount, is_bonus).map_err(|refusal| head.named(refusal))
}

fn check_sequence(head: &Head, expected: Option<i64>) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != head.entry_sequence => Err(Refusal::new(
            Reason::SequenceMismatch,
            format!(
                "The account's last entry is {}, not {expected}; read it again and decide anew.",
                head.entry_sequence
            ),
        )
        .with("expected", expected)
        .with("found", head.entry_sequence)),
        _ => Ok(()),
    }
}

fn check_write_off(head: &Head, amount: Money) -> Result<(), Refusal> {
    let debt = head.amounts.posted.negated().max(Money::ZERO);
    if amount <= debt {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::WriteOffExceedsDebt,
        format!("The debt is {}; no more than that can be written off.", head.identity.format(debt)),
    )
    .with("debt", head.identity.format(debt))
    .with("currency_code", head.identity.currency.code()))
}

/// The adjustment that posts a residue below one minor unit away.
///
/// # Errors
/// `PERIOD_CLOSED`, `BALANCE_OVERFLOW`.
pub fn rounding(head: &Head, amount: Money, context: &Context) -> Result<Draft, Refusal> {
    let kind = if amount.is_negative() { Kind::AdjustmentDebit } else { Kind::AdjustmentCredit };
    let mut draft = Draft::of(kind, after_entry(head, amount, false)?);
    draft.amount = amount;
    draft.counter = Some(default_counter(kind, None));
    draft.category = Some("rounding".to_owned());
    draft.booking_date = Some(booking_date(head, None, context)?);
    Ok(draft)
}

/// Money that moves from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Transfer {
    pub to_account_id: String,
    pub amount: Money,
    pub currency: Option<Currency>,
    pub category: Option<String>,
    pub occurred_at: Option<Instant>,
    pub texts: Texts,
    /// The `entry_sequence` of the paying account that the transfer was decided on.
    pub expected_sequence: Option<i64>,
}

/// Both entries of a transfer, the paying one first.
///
/// # Errors
/// `CURRENCY_MISMATCH`, `ACCOUNT_CLOSED`, `OCCURRED_AT_OUT_OF_RANGE`, `PERIOD_CLOSED`, `SEQUENCE_MISMATCH`,
/// `INSUFFICIENT_OWN_FUNDS`, `BALANCE_OVERFLOW`.
pub fn transfer(from: &Head, to: &Head, transfer: &Transfer, context: &Context) -> Result<(Draft, Draft), Refusal> {
    from.check_currency(transfer.currency, "amount.currency_code")?;
    from.check_currency(Some(to.identity.currency), "to_account_id")?;
    from.check_open()?;
    to.check_open()?;
    let from_date = booking_date(from, transfer.occurred_at, context)?;
    let to_date = booking_date(to, transfer.occurred_at, context)?;
    check_sequence(from, transfer.expected_sequence)?;
    from.check_own(transfer.amount)?;
    let leg = |head: &Head, kind: Kind, amount: Money, booking_date: i32| -> Result<Draft, Refusal> {
        let mut draft = Draft::of(kind, after_entry(head, amount, false)?);
        draft.amount = amount;
        draft.counter = Some(default_counter(kind, None));
        draft.category.clone_from(&transfer.category);
        draft.booking_date = Some(booking_date);
        draft.occurred_at = transfer.occurred_at;
        draft.texts = transfer.texts.clone();
        Ok(draft)
    };
    Ok((
        leg(from, Kind::TransferOut, transfer.amount.negated(), from_date)?,
        leg(to, Kind::TransferIn, transfer.amount, to_date)?,
    ))
}

/// A correction of an entry by its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Reverse {
    pub sequence: i64,
    /// Positive; absent means all that is left.
    pub amount: Option<Money>,
    pub currency: Option<Currency>,
    /// A number of the contract's `ReversalCause`.
    pub cause: i32,
    pub reason: Option<String>,
    /// The other account, when the entry is a leg of a transfer.
    pub peer_account_id: Option<String>,
}

/// What is known of the entry to reverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its kind.
    pub kind: Kind,
    /// Signed.
    pub amount: Money,
    /// What earlier reversals took back, not negative.
    pub reversed: Money,
    /// Who took its other side.
    pub counter: String,
    /// Its category.
    pub category: Option<String>,
    /// Its contained tax.
    pub tax: Option<Tax>,
    /// Its invoice.
    pub invoice_id: Option<String>,
}

/// How much a reversal takes back.
///
/// # Errors
/// `ENTRY_NOT_REVERSIBLE`, `ALREADY_REVERSED`, `REVERSAL_EXCEEDS_REST`.
pub fn reversal_amount(head: &Head, original: &Original, reverse: &Reverse) -> Result<Money, Refusal> {
    let reversible = raises(original.kind).is_some() || matches!(original.kind, Kind::TransferIn | Kind::TransferOut);
    if !reversible {
        return Err(Refusal::new(
            Reason::EntryNotReversible,
            format!("An entry of kind {} has its own way of correction.", original.kind.name()),
        )
        .with("sequence", reverse.sequence)
        .with("kind", original.kind.name().to_uppercase()));
    }
    let rest = original.amount.abs().checked_sub(original.reversed).unwrap_or(Money::ZERO);
    if rest.is_zero() {
        return Err(Refusal::new(Reason::AlreadyReversed, "The entry is reversed in full already.")
            .with("sequence", reverse.sequence));
    }
    let amount = reverse.amount.unwrap_or(rest);
    if amount > rest {
        return Err(Refusal::new(
            Reason::ReversalExceedsRest,
            format!("{} is left to reverse, {} was asked.", head.identity.format(rest), head.identity.format(amount)),
        )
        .with("sequence", reverse.sequence)
        .with("rest", head.identity.format(rest))
        .with("currency_code", head.identity.currency.code()));
    }
    Ok(amount)
}

/// The entry that takes `amount` (positive) of `original` back; always posts.
///
/// # Errors
/// `CURRENCY_MISMATCH`, `ACCOUNT_CLOSED`, `PERIOD_CLOSED`, `BALANCE_OVERFLOW`.
pub fn reverse(
    head: &Head,
    sequence: i64,
    original: &Original,
    amount: Money,
    reverse: &Reverse,
    context: &Context,
) -> Result<Draft, Refusal> {
    head.check_currency(reverse.currency, "amount.currency_code")?;
    head.check_open()?;
    let booking_date = booking_date(head, None, context)?;
    let signed = if original.amount.is_negative() { amount } else { amount.negated() };
    let mut draft = Draft::of(Kind::Reversal, after_entry(head, signed, false)?);
    if original.kind == Kind::Bonus {
        let taken = head.amounts.bonus.checked_sub(amount).unwrap_or(Money::ZERO).max(Money::ZERO);
        draft.after.bonus = draft.after.bonus.min(taken);
    }
    draft.amount = signed;
    draft.counter = Some(original.counter.clone());
    draft.category.clone_from(&original.category);
    draft.booking_date = Some(booking_date);
    draft.texts.description.clone_from(&reverse.reason);
    draft.payload.reverses_sequence = Some(sequence);
    draft.payload.cause = Some(reverse.cause);
    draft.payload.invoice_id.clone_from(&original.invoice_id);
    draft.payload.tax = original.tax.as_ref().map(|tax| reversed_tax(tax, original, amount, head));
    Ok(draft)
}

/// The part of the tax that goes back with `amount`: pro rata by what has been taken back in all, so that the parts of a
/// full reversal add up to the whole tax.
fn reversed_tax(tax: &Tax, original: &Original, amount: Money, head: &Head) -> Tax {
    let digits = head.identity.currency.minor_digits();
    let whole = original.amount.abs();
    let share = |part: Money| {
        if part == whole {
            return tax.amount;
        }
        let ratio = (i128::from(part.micros()), i128::from(whole.micros()));
        tax.amount.times_ratio(ratio.0, ratio.1, digits, super::rounding::Rounding::HalfUp).unwrap_or(Money::ZERO)
    };
    let total = original.reversed.checked_add(amount).unwrap_or(whole);
    let part = share(total).checked_sub(share(original.reversed)).unwrap_or(Money::ZERO);
    Tax { code: tax.code.clone(), rate_percent: tax.rate_percent.clone(), amount: part.max(Money::ZERO).min(amount) }
}
