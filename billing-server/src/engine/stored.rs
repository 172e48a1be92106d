//! Accounts and holds as they are stored, both ways.

use std::sync::Arc;

use billing_db::heads::HeadRow;
use billing_db::{AccountRow, DbError, HoldRow};

use super::partition::identity_of;
use crate::domain::accounts::{Account, BillingMode, Settings, State};
use crate::domain::amounts::Amounts;
use crate::domain::calendar::TimeZone;
use crate::domain::currency::Currency;
use crate::domain::head::Head;
use crate::domain::holds::{Hold, HoldState};
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::record::{Details, HoldTexts};

fn unreadable(what: &str, account_id: &str) -> DbError {
    DbError::Invariant(format!("account {account_id} has a {what} that this server does not know"))
}

/// The head of an account from its stored parts.
pub(super) fn head_of(row: HeadRow, open_holds: Vec<Arc<Hold>>) -> Result<Head, DbError> {
    let HeadRow { account, last } = row;
    let id = account.account_id.clone();
    let identity =
        identity_of(account.partition, account.account, account.account_id, account.customer_id, &account.currency)
            .ok_or_else(|| unreadable("currency", &id))?;
    let money = |micros: Option<i64>| Money::from_micros(micros.unwrap_or(0));
    let is_entry = matches!(last.kind, 1..=13);
    Ok(Head {
        identity: Arc::new(identity),
        time_zone: TimeZone::parse(&account.time_zone).ok_or_else(|| unreadable("time zone", &id))?,
        state: State::from_number(account.state).ok_or_else(|| unreadable("state", &id))?,
        billing_mode: BillingMode::from_number(account.billing_mode).ok_or_else(|| unreadable("billing mode", &id))?,
        version: account.version,
        secret: account.secret.and_then(|secret| secret.try_into().ok()),
        sequence: last.sequence,
        entry_sequence: last.entry_sequence.unwrap_or(if is_entry { last.sequence } else { 0 }),
        amounts: Amounts {
            posted: Money::from_micros(last.posted_after),
            held: money(last.held_after),
            bonus: money(last.bonus_after),
            credit_limit: money(last.credit_limit_after),
            promised: money(last.promised_after),
            not_due: money(last.not_due_after),
            overdue: money(last.overdue_after),
        },
        open_holds,
    })
}

/// A stored hold as the rules know it.
pub(super) fn hold_of(row: HoldRow) -> Hold {
    Hold {
        hold_id: row.hold_id,
        placed_sequence: row.placed_sequence,
        state: HoldState::from_number(row.state).unwrap_or(HoldState::Released),
        amount: Money::from_micros(row.amount),
        captured: Money::from_micros(row.captured),
        expires_at: Instant::from_micros(row.expires_at),
        placed_at: Instant::from_micros(row.placed_at),
        updated_at: Instant::from_micros(row.updated_at),
        category: row.category,
        texts: HoldTexts {
            description: row.description,
            reference: row.reference,
            metadata: row.metadata.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        },
    }
}

/// A stored account as the rules know it.
pub(super) fn account_of(row: &AccountRow) -> Result<Account, DbError> {
    let id = &row.account_id;
    let json = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(Account {
        settings: Settings {
            customer_id: row.customer_id.clone(),
            currency: Currency::parse(&row.currency).ok_or_else(|| unreadable("currency", id))?,
            time_zone: TimeZone::parse(&row.time_zone).ok_or_else(|| unreadable("time zone", id))?,
            locale: row.locale.clone(),
            state: State::from_number(row.state).ok_or_else(|| unreadable("state", id))?,
            billing_mode: BillingMode::from_number(row.billing_mode).ok_or_else(|| unreadable("billing mode", id))?,
            credit_limit: Money::from_micros(row.credit_limit),
            payment_terms_days: row.payment_terms_days,
            policy_id: row.policy_id.clone(),
            created_at: Instant::from_micros(row.created_at),
            updated_at: Instant::from_micros(row.updated_at),
        },
        details: Details {
            metadata: serde_json::from_str(&json(&row.metadata)).unwrap_or_default(),
            display_name: row.display_name.clone(),
            billing_details: serde_json::from_str(&json(&row.billing_details)).ok(),
            hold: None,
        },
    })
}

/// An account to store.
pub(super) fn account_row(head: &Head, account: &Account) -> AccountRow {
    let Account { settings, details } = account;
    AccountRow {
        partition: super::partition::db_number(head.identity.partition),
        account: head.identity.account,
        account_id: head.identity.account_id.clone(),
        customer_id: settings.customer_id.clone(),
        currency: settings.currency.code().to_owned(),
        time_zone: settings.time_zone.name().to_owned(),
        locale: settings.locale.clone(),
        state: settings.state as i16,
        billing_mode: settings.billing_mode as i16,
        credit_limit: settings.credit_limit.micros(),
        payment_terms_days: settings.payment_terms_days,
        policy_id: settings.policy_id.clone(),
        display_name: details.display_name.clone(),
        billing_details: details.billing_details.as_ref().and_then(|given| serde_json::to_string(given).ok()),
        metadata: Some(&details.metadata)
            .filter(|pairs| !pairs.is_empty())
            .and_then(|pairs| serde_json::to_string(pairs).ok()),
        secret: head.secret.map(|secret| secret.to_vec()),
        version: head.version,
        created_at: settings.created_at.micros(),
        updated_at: settings.updated_at.micros(),
    }
}

/// A hold to store.
pub(super) fn hold_row(partition: i16, account: i64, hold: &Hold) -> HoldRow {
    HoldRow {
        partition,
        account,
        hold_id: hold.hold_id.clone(),
        placed_sequence: hold.placed_sequence,
        state: hold.state as i16,
        amount: hold.amount.micros(),
        captured: hold.captured.micros(),
        expires_at: hold.expires_at.micros(),
        placed_at: hold.placed_at.micros(),
        updated_at: hold.updated_at.micros(),
        category: hold.category.clone(),
        description: hold.texts.description.clone(),
        reference: hold.texts.reference.clone(),
        metadata: Some(&hold.texts.metadata)
            .filter(|pairs| !pairs.is_empty())
            .and_then(|pairs| serde_json::to_string(pairs).ok()),
    }
}
