//! What a journal row says: its kind, its texts, and what is no column of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::accounts::Settings;
use super::amounts::Amounts;
use super::holds::Hold;
use super::instant::Instant;
use super::money::Money;

/// The kind of a journal row. The numbers stand in the database; those of entries are the ones of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i16)]
#[allow(missing_docs)]
pub enum Kind {
    Genesis = 0,
    Payment = 1,
    ChargeRefund = 2,
    Bonus = 3,
    AdjustmentCredit = 4,
    WriteOff = 5,
    Charge = 6,
    Payout = 7,
    AdjustmentDebit = 8,
    Invoice = 9,
    CreditNote = 10,
    TransferIn = 11,
    TransferOut = 12,
    Reversal = 13,
    Outcomes = 32,
    AccountCreated = 33,
    AccountUpdated = 34,
    AccountClosed = 35,
    AccountReopened = 36,
    AccountAnonymized = 37,
    HoldPlaced = 40,
    HoldUpdated = 41,
    HoldReleased = 42,
    HoldExpired = 43,
    BooksClosed = 50,
}

impl Kind {
    const ALL: [Self; 25] = [
        Self::Genesis,
        Self::Payment,
        Self::ChargeRefund,
        Self::Bonus,
        Self::AdjustmentCredit,
        Self::WriteOff,
        Self::Charge,
        Self::Payout,
        Self::AdjustmentDebit,
        Self::Invoice,
        Self::CreditNote,
        Self::TransferIn,
        Self::TransferOut,
        Self::Reversal,
        Self::Outcomes,
        Self::AccountCreated,
        Self::AccountUpdated,
        Self::AccountClosed,
        Self::AccountReopened,
        Self::AccountAnonymized,
        Self::HoldPlaced,
        Self::HoldUpdated,
        Self::HoldReleased,
        Self::HoldExpired,
        Self::BooksClosed,
    ];

    /// The number in the database.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The kind of that number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether a row of this kind moves money.
    pub const fn is_entry(self) -> bool {
        matches!(self.number(), 1..=13)
    }

    /// The word of the contract for an entry's kind, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Payment => "payment",
            Self::ChargeRefund => "charge_refund",
            Self::Bonus => "bonus",
            Self::AdjustmentCredit => "adjustment_credit",
            Self::WriteOff => "write_off",
            Self::Charge => "charge",
            Self::Payout => "payout",
            Self::AdjustmentDebit => "adjustment_debit",
            Self::Invoice => "invoice",
            Self::CreditNote => "credit_note",
            Self::TransferIn => "transfer_in",
            Self::TransferOut => "transfer_out",
            Self::Reversal => "reversal",
            Self::Outcomes => "outcomes",
            Self::AccountCreated => "account_created",
            Self::AccountUpdated => "account_updated",
            Self::AccountClosed => "account_closed",
            Self::AccountReopened => "account_reopened",
            Self::AccountAnonymized => "account_anonymized",
            Self::HoldPlaced => "hold_placed",
            Self::HoldUpdated => "hold_updated",
            Self::HoldReleased => "hold_released",
            Self::HoldExpired => "hold_expired",
            Self::BooksClosed => "books_closed",
        }
    }
}

/// The texts of a row that may be erased: they stand outside the hash chain, which covers their salted digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// What it was for.
    pub description: Option<String>,
    /// The caller's own reference.
    pub reference: Option<String>,
    /// Everything else a person may be known by.
    pub details: Details,
}

/// Texts beyond description and reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The caller's own pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The account's display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Who is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_details: Option<BillingDetails>,
    /// The texts of a hold, on the row of its capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldTexts>,
}

impl Details {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The texts of a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldTexts {
    /// What it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The caller's own pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Who is billed: the requisites of the account's owner. Empty means not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct BillingDetails {
    pub legal_name: String,
    pub tax_id: String,
    pub registration_code: String,
    pub vat_id: String,
    pub address: String,
    pub country: String,
    pub email: String,
}

/// The tax contained in an entry's amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// Names the tax; its side of the entry is `tax:<code>`.
    pub code: String,
    /// Percent, 0 to 100.
    pub rate_percent: String,
    /// How much of the entry's amount is tax, not negative.
    pub amount: Money,
}

/// Another entry of the same transaction, or the one that is reversed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The account of the other entry.
    pub account_id: String,
    /// Its number inside that account.
    pub sequence: i64,
    /// Where it stands in the journal.
    pub partition: i16,
    /// Where it stands in the journal.
    pub position: i64,
}

/// What a row says beyond its columns. Absent for a plain entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Payload {
    /// What was asked, where the columns do not tell it: the words a repetition is compared by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub request: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// The hold after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The account after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Settings>,
    /// The other leg of a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Leg>,
    /// The sequence of the entry that this one reverses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverses_sequence: Option<i64>,
    /// Why it was reversed: a number of the contract's `ReversalCause`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<i32>,
    /// Names the transaction when it has more than one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// Why the data was erased or the books were closed, in words that are no personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest of the refusals stored with the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<String>,
    /// The last closed day, in days since 1970-01-01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<i32>,
}

impl Payload {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A row that a rule has decided on; the engine gives it its place, its names' numbers and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What kind of row.
    pub kind: Kind,
    /// Signed; zero for what is no entry.
    pub amount: Money,
    /// The account's amounts after it.
    pub after: Amounts,
    /// Who takes the other side; entries only.
    pub counter: Option<String>,
    /// The caller's grouping.
    pub category: Option<String>,
    /// Days since 1970-01-01, the local day of the account; entries only.
    pub booking_date: Option<i32>,
    /// When it happened, if the caller said so.
    pub occurred_at: Option<Instant>,
    /// Erasable texts.
    pub texts: Texts,
    /// Everything else.
    pub payload: Payload,
}

impl Draft {
    /// A row of a kind that moves no money.
    pub fn of(kind: Kind, after: Amounts) -> Self {
        Self {
            kind,
            amount: Money::ZERO,
            after,
            counter: None,
            category: None,
            booking_date: None,
            occurred_at: None,
            texts: Texts::default(),
            payload: Payload::default(),
        }
    }
}
