//! Accounts as they are answered.

use std::collections::HashMap;

use billing_proto::v1;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::error::Malformed;
use crate::macros::open_enum;
use crate::position::Position;
use crate::wire::{amount, instant, optional_instant, required};

open_enum! {
    /// Whether an account takes part in business.
    AccountState as "ACCOUNT_STATE_" {
        /// The account is open.
        Active,
        /// The account is closed: it can be read, reopened and anonymised, and nothing else.
        Closed,
    }
}

open_enum! {
    /// How the client pays.
    BillingMode as "BILLING_MODE_" {
        /// The client pays first.
        Prepaid,
        /// The client pays afterwards.
        Postpaid,
    }
}

open_enum! {
    /// Whether the owner of an account may use the company's services.
    AccessState as "ACCESS_STATE_" {
        /// Use is allowed.
        Allowed,
        /// Use is suspended, for at least one reason.
        Suspended,
    }
}

open_enum! {
    /// A reason for which access is suspended.
    SuspensionReason as "SUSPENSION_REASON_" {
        /// An overdue debt.
        Debt,
        /// A negative available amount.
        NegativeBalance,
        /// A promised payment that was not made.
        PromiseBroken,
        /// An operator's decision.
        Manual,
        /// The client's own wish.
        Voluntary,
    }
}

/// The access of an account's owner to the company's services.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// Allowed or suspended.
    pub state: AccessState,
    /// Why access is suspended. Empty while it is allowed.
    pub reasons: Vec<SuspensionReason>,
    /// When the present suspension began.
    pub suspended_since: Option<DateTime<Utc>>,
}

/// A personal account: one owner, one currency, one balance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Account {
    /// The identifier. It never changes.
    pub account_id: String,
    /// The owner. It never changes.
    pub customer_id: String,
    /// A name for people. It may be empty.
    pub display_name: String,
    /// The ISO 4217 code. It never changes.
    pub currency: String,
    /// The IANA time zone that decides local days and times.
    pub time_zone: String,
    /// The BCP 47 language tag of texts made for the client.
    pub locale: String,
    /// Active or closed.
    pub state: AccountState,
    /// Whether the client pays first or afterwards.
    pub billing_mode: BillingMode,
    /// How far `available` may be used below the client's own money.
    pub credit_limit: Decimal,
    /// Days from the issue of an invoice to its due date. Absent: the service's setting holds.
    pub payment_terms_days: Option<i32>,
    /// The policy of reminders, grace, suspension and promises. Empty: the service's default policy.
    pub policy_id: String,
    /// Who is billed.
    pub billing_details: Option<BillingDetails>,
    /// The caller's own pairs.
    pub metadata: HashMap<String, String>,
    /// When the account was created.
    pub create_time: DateTime<Utc>,
    /// When one of the fields above last changed.
    pub update_time: DateTime<Utc>,
    /// An opaque mark of this version.
    pub etag: String,
    /// When the personal data was erased.
    pub anonymize_time: Option<DateTime<Utc>>,
}

/// Who is billed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BillingDetails {
    /// The name of the company or person.
    pub legal_name: String,
    /// The taxpayer's number (in Russia the INN).
    pub tax_id: String,
    /// The code of the reason of registration (in Russia the KPP).
    pub registration_code: String,
    /// The VAT identification number.
    pub vat_id: String,
    /// The postal address, lines separated by line feeds.
    pub address: String,
    /// The ISO 3166-1 code of the country, two letters.
    pub country: String,
    /// Where documents are sent.
    pub email: String,
}

/// What became of a mutation of an account.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AccountWritten {
    /// The account after it.
    pub account: Account,
    /// True when an earlier call had done it.
    pub replayed: bool,
    /// Where it stands in the journal.
    pub position: Option<Position>,
}

impl TryFrom<v1::Access> for Access {
    type Error = Malformed;

    fn try_from(access: v1::Access) -> Result<Self, Malformed> {
        Ok(Self {
            state: access.state.into(),
            reasons: access.reasons.into_iter().map(Into::into).collect(),
            suspended_since: optional_instant("access.suspended_since", access.suspended_since)?,
        })
    }
}

impl TryFrom<v1::Account> for Account {
    type Error = Malformed;

    fn try_from(account: v1::Account) -> Result<Self, Malformed> {
        Ok(Self {
            state: account.state.into(),
            billing_mode: account.billing_mode.into(),
            credit_limit: amount("account.credit_limit", account.credit_limit)?,
            create_time: instant("account.create_time", account.create_time)?,
            update_time: instant("account.update_time", account.update_time)?,
            anonymize_time: optional_instant("account.anonymize_time", account.anonymize_time)?,
            billing_details: account.billing_details.map(Into::into),
            account_id: account.account_id,
            customer_id: account.customer_id,
            display_name: account.display_name,
            currency: account.currency_code,
            time_zone: account.time_zone,
            locale: account.locale,
            payment_terms_days: account.payment_terms_days,
            policy_id: account.policy_id,
            metadata: account.metadata,
            etag: account.etag,
        })
    }
}

impl From<v1::BillingDetails> for BillingDetails {
    fn from(details: v1::BillingDetails) -> Self {
        Self {
            legal_name: details.legal_name,
            tax_id: details.tax_id,
            registration_code: details.registration_code,
            vat_id: details.vat_id,
            address: details.address,
            country: details.country,
            email: details.email,
        }
    }
}

impl From<BillingDetails> for v1::BillingDetails {
    fn from(details: BillingDetails) -> Self {
        Self {
            legal_name: details.legal_name,
            tax_id: details.tax_id,
            registration_code: details.registration_code,
            vat_id: details.vat_id,
            address: details.address,
            country: details.country,
            email: details.email,
        }
    }
}

impl AccountWritten {
    pub(crate) fn read(
        account: Option<v1::Account>,
        replayed: bool,
        position: Option<v1::JournalPosition>,
    ) -> Result<Self, Malformed> {
        let account = required("account", account)?.try_into()?;
        Ok(Self { account, replayed, position: position.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use billing_proto::v1;

    use super::{AccessState, AccountState};

    #[test]
    fn values_of_a_later_version_are_kept() {
        assert_eq!(AccountState::from(1), AccountState::Active);
        assert_eq!(AccountState::from(77), AccountState::Unrecognized(77));
        assert_eq!(i32::from(AccountState::Unrecognized(77)), 77);
        assert_eq!(AccountState::Unrecognized(77).to_string(), "UNRECOGNIZED(77)");
        assert_eq!(AccessState::Suspended.to_string(), "SUSPENDED");
        assert_eq!(AccessState::from(v1::AccessState::Allowed as i32), AccessState::Allowed);
    }
}
