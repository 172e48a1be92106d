//! Opening, changing and closing accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::amounts::Amounts;
use super::calendar::TimeZone;
use super::currency::Currency;
use super::head::Head;
use super::instant::Instant;
use super::ledger;
use super::money::Money;
use super::reason::{Reason, Refusal};
use super::record::{BillingDetails, Details, Draft, Kind, Texts};

/// Open or closed. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum State {
    Active = 1,
    Closed = 2,
}

impl State {
    /// The state of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Active),
            2 => Some(Self::Closed),
            _ => None,
        }
    }
}

/// Whether an account pays before or after. The numbers stand in the database and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum BillingMode {
    Prepaid = 1,
    Postpaid = 2,
}

impl BillingMode {
    /// The mode of that number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Prepaid),
            2 => Some(Self::Postpaid),
            _ => None,
        }
    }
}

/// The settings of an account that are no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Settings {
    pub customer_id: String,
    pub currency: Currency,
    pub time_zone: TimeZone,
    pub locale: String,
    pub state: State,
    pub billing_mode: BillingMode,
    pub credit_limit: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_terms_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    pub created_at: Instant,
    pub updated_at: Instant,
}

/// An account: its settings and its personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What is no personal data.
    pub settings: Settings,
    /// Display name, billing details and metadata.
    pub details: Details,
}

/// What a new account is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Create {
    pub customer_id: String,
    pub currency: Currency,
    pub time_zone: TimeZone,
    pub locale: String,
    pub billing_mode: BillingMode,
    pub credit_limit: Money,
    pub payment_terms_days: Option<i32>,
    pub policy_id: Option<String>,
    pub details: Details,
}

/// What is to change of an account; absent means stay as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Update {
    pub display_name: Option<Option<String>>,
    pub time_zone: Option<TimeZone>,
    pub locale: Option<String>,
    pub billing_mode: Option<BillingMode>,
    pub credit_limit: Option<Money>,
    /// The currency that the credit limit was given in.
    pub credit_limit_currency: Option<Currency>,
    pub payment_terms_days: Option<Option<i32>>,
    pub policy_id: Option<Option<String>>,
    pub billing_details: BillingDetailsChange,
    pub metadata: Option<BTreeMap<String, String>>,
    pub allow_below_use: bool,
    pub etag: Option<String>,
}

/// What is to change of the billing details; absent means stay as it is, empty means not given any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct BillingDetailsChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl BillingDetailsChange {
    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn apply(&self, details: &mut BillingDetails) {
        for (change, field) in [
            (&self.legal_name, &mut details.legal_name),
            (&self.tax_id, &mut details.tax_id),
            (&self.registration_code, &mut details.registration_code),
            (&self.vat_id, &mut details.vat_id),
            (&self.address, &mut details.address),
            (&self.country, &mut details.country),
            (&self.email, &mut details.email),
        ] {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
    }
}

/// How closing, reopening and anonymising are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChange {
    /// The version of the account it was decided on.
    pub etag: Option<String>,
    /// Why, for the audit.
    pub reason: Option<String>,
}

fn draft(kind: Kind, account: Account, amounts: Amounts) -> Draft {
    let mut draft = Draft::of(kind, Amounts { credit_limit: account.settings.credit_limit, ..amounts });
    draft.payload.account = Some(account.settings);
    draft.texts = Texts { details: account.details, ..Texts::default() };
    draft
}

/// The row that opens an account.
///
/// # Errors
/// `BALANCE_OVERFLOW` for a credit limit out of range.
pub fn create(create: &Create, now: Instant) -> Result<Draft, Refusal> {
    let settings = Settings {
        customer_id: create.customer_id.clone(),
        currency: create.currency,
        time_zone: create.time_zone,
        locale: create.locale.clone(),
        state: State::Active,
        billing_mode: create.billing_mode,
        credit_limit: create.credit_limit,
        payment_terms_days: create.payment_terms_days,
        policy_id: create.policy_id.clone(),
        created_at: now,
        updated_at: now,
    };
    let draft = draft(Kind::AccountCreated, Account { settings, details: create.details.clone() }, Amounts::default());
    draft.after.checked()?;
    Ok(draft)
}

/// Refuses a change that was decided on another state than the present one.
///
/// # Errors
/// `ETAG_MISMATCH`.
pub fn check_etag(head: &Head, etag: Option<&str>) -> Result<(), Refusal> {
    match etag {
        Some(given) if given != etag_of(head.version) => Err(Refusal::new(
            Reason::EtagMismatch,
            "The account has changed since it was read; read it again and repeat the change on what it is now.",
        )
        .with("etag", etag_of(head.version))),
        _ => Ok(()),
    }
}

/// The etag of an account's version.
pub fn etag_of(version: i64) -> String {
    format!("v{version}")
}

/// The row that changes an account.
///
/// # Errors
/// `ACCOUNT_ANONYMIZED`, `ACCOUNT_CLOSED`, `CURRENCY_MISMATCH`, `ETAG_MISMATCH`, `LIMIT_BELOW_USE`, `BALANCE_OVERFLOW`.
pub fn update(head: &Head, current: &Account, update: &Update, now: Instant) -> Result<Draft, Refusal> {
    head.check_currency(update.credit_limit_currency, "account.credit_limit.currency_code")?;
    head.check_open()?;
    check_etag(head, update.etag.as_deref())?;
    let mut account = current.clone();
    let settings = &mut account.settings;
    if let Some(zone) = update.time_zone {
        settings.time_zone = zone;
    }
    if let Some(locale) = &update.locale {
        settings.locale.clone_from(locale);
    }
    if let Some(mode) = update.billing_mode {
        settings.billing_mode = mode;
    }
    if let Some(limit) = update.credit_limit {
        check_limit(head, limit, update.allow_below_use)?;
        settings.credit_limit = limit;
    }
    if let Some(days) = update.payment_terms_days {
        settings.payment_terms_days = days;
    }
    if let Some(policy_id) = &update.policy_id {
        settings.policy_id.clone_from(policy_id);
    }
    settings.updated_at = now;
    if let Some(name) = &update.display_name {
        account.details.display_name.clone_from(name);
    }
    if !update.billing_details.is_empty() {
        let mut details = account.details.billing_details.take().unwrap_or_default();
        update.billing_details.apply(&mut details);
        account.details.billing_details = Some(details).filter(|given| *given != BillingDetails::default());
    }
    if let Some(metadata) = &update.metadata {
        account.details.metadata.clone_from(metadata);
    }
    let draft = draft(Kind::AccountUpdated, account, head.amounts);
    draft.after.checked().map_err(|refusal| head.named(refusal))?;
    Ok(draft)
}

fn check_limit(head: &Head, limit: Money, allow_below_use: bool) -> Result<(), Refusal> {
    let with_limit =
        Amounts { credit_limit: limit, ..head.amounts }.checked().map_err(|refusal| head.named(refusal))?;
    if allow_below_use || limit >= head.amounts.credit_limit || !with_limit.available().is_negative() {
        return Ok(());
    }
    let without = Amounts { credit_limit: Money::ZERO, ..head.amounts };
    let in_use = without.available().negated();
    Err(Refusal::new(
        Reason::LimitBelowUse,
        format!(
            "{} of the credit limit is in use; lower it no further, or set allow_below_use.",
            head.identity.format(in_use)
        ),
    )
    .with("used", head.identity.format(in_use))
    .with("credit_limit", head.identity.format(limit))
    .with("currency_code", head.identity.currency.code()))
}

/// The rows that close an account: a residue below one minor unit is posted away first.
///
/// # Errors
/// `ACCOUNT_ANONYMIZED`, `ACCOUNT_CLOSED`, `ETAG_MISMATCH`, `ACCOUNT_NOT_CLOSABLE` with every condition that stands in the way.
pub fn close(
    head: &Head,
    current: &Account,
    change: &StateChange,
    context: &ledger::Context,
) -> Result<Vec<Draft>, Refusal> {
    head.check_open()?;
    check_etag(head, change.etag.as_deref())?;
    let unit = Money::minor_unit(head.identity.currency.minor_digits());
    let residue = head.amounts.posted;
    let mut refusal = Refusal::new(
        Reason::AccountNotClosable,
        "The account cannot be closed yet; every condition in the way is listed.",
    )
    .with("account_id", &head.identity.account_id);
    if residue.abs() >= unit {
        refusal = refusal.violating(
            "balance",
            "BALANCE_NOT_ZERO",
            format!("The balance is {}; pay it out or settle it first.", head.identity.format(residue)),
        );
    }
    if !head.open_holds.is_empty() {
        let count = head.open_holds.len();
        refusal = refusal.violating(
            "holds",
            "HOLDS_OPEN",
            format!("{count} hold(s) are open; capture or release them first."),
        );
    }
    if head.amounts.outstanding() >= unit {
        let outstanding = head.identity.format(head.amounts.outstanding());
        refusal = refusal.violating("invoices", "INVOICES_OPEN", format!("{outstanding} of invoices is unpaid."));
    }
    if head.amounts.promised.is_positive() {
        refusal = refusal.violating("promise", "PROMISE_OPEN", "A promised payment is open.");
    }
    if !refusal.violations.is_empty() {
        return Err(refusal);
    }
    let mut rows = Vec::new();
    let mut amounts = head.amounts;
    if !residue.is_zero() {
        let rounding = ledger::rounding(head, residue.negated(), context)?;
        amounts = rounding.after;
        rows.push(rounding);
    }
    let mut account = current.clone();
    account.settings.state = State::Closed;
    account.settings.updated_at = context.now;
    let mut closed = draft(Kind::AccountClosed, account, amounts);
    closed.texts.description.clone_from(&change.reason);
    rows.push(closed);
    Ok(rows)
}

/// The row that opens a closed account again.
///
/// # Errors
/// `ACCOUNT_ANONYMIZED`, `ACCOUNT_NOT_CLOSED`, `ETAG_MISMATCH`.
pub fn reopen(head: &Head, current: &Account, change: &StateChange, now: Instant) -> Result<Draft, Refusal> {
    check_closed(head, "reopened")?;
    check_etag(head, change.etag.as_deref())?;
    let mut account = current.clone();
    account.settings.state = State::Active;
    account.settings.updated_at = now;
    let mut reopened = draft(Kind::AccountReopened, account, head.amounts);
    reopened.texts.description.clone_from(&change.reason);
    Ok(reopened)
}

/// The row that says an account's personal data are erased. Its reason is kept, so it is no text that may be erased.
///
/// # Errors
/// `ACCOUNT_ANONYMIZED` (already), `ACCOUNT_NOT_CLOSED`, `ETAG_MISMATCH`.
pub fn anonymize(head: &Head, current: &Account, change: &StateChange, now: Instant) -> Result<Draft, Refusal> {
    check_closed(head, "anonymised")?;
    check_etag(head, change.etag.as_deref())?;
    let mut account = current.clone();
    account.details = Details::default();
    account.settings.updated_at = now;
    let mut anonymized = draft(Kind::AccountAnonymized, account, head.amounts);
    anonymized.payload.reason.clone_from(&change.reason);
    Ok(anonymized)
}

fn check_closed(head: &Head, what: &str) -> Result<(), Refusal> {
    let account_id = &head.identity.account_id;
    if head.secret.is_none() {
        Err(Refusal::new(Reason::AccountAnonymized, format!("Account {account_id} was anonymised already."))
            .with("account_id", account_id))
    } else if head.state == State::Closed {
        Ok(())
    } else {
        Err(Refusal::new(
            Reason::AccountNotClosed,
            format!("Account {account_id} is not closed; only a closed account can be {what}."),
        )
        .with("account_id", account_id))
    }
}
