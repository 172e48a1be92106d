//! Balances: what is there, what is reserved, what may be spent, what is owed.

use billing_proto::v1;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::account::Access;
use crate::error::Malformed;
use crate::position::Position;
use crate::wire::{amount, currency, date, instant, required};

/// The state of an account at one instant. `available` = `posted` - `held` + `credit_limit` + `promised` + `not_due`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Balance {
    /// The account.
    pub account_id: String,
    /// The ISO 4217 code of all amounts.
    pub currency: String,
    /// The sum of all entries. Negative when more was taken than was paid.
    pub posted: Decimal,
    /// What open holds reserve.
    pub held: Decimal,
    /// The rest of the active promised payment.
    pub promised: Decimal,
    /// The credit limit.
    pub credit_limit: Decimal,
    /// The unpaid rest of invoices inside their terms.
    pub not_due: Decimal,
    /// What may be spent. Negative when the account is beyond all limits.
    pub available: Decimal,
    /// Money that is there and settles nothing.
    pub free: Decimal,
    /// What direct charges took beyond the money there.
    pub direct_debt: Decimal,
    /// What is left of bonus money.
    pub bonus: Decimal,
    /// The unpaid rest of all issued invoices.
    pub outstanding: Decimal,
    /// The unpaid rest of invoices past their due date.
    pub overdue: Decimal,
    /// The sequence of the account's last row of any kind.
    pub sequence: i64,
    /// The sequence of the account's last entry. Zero: it has none. It is what `expected_sequence` compares with.
    pub entry_sequence: i64,
    /// The first payment that will be needed.
    pub next_payment: Option<NextPayment>,
    /// Whether the owner may use the company's services.
    pub access: Access,
    /// The instant the balance is told for.
    pub as_of: DateTime<Utc>,
    /// The journal was read up to here.
    pub position: Position,
}

/// All amounts of a balance, as events carry them from before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Amounts {
    /// The sum of all entries. Negative when more was taken than was paid.
    pub posted: Decimal,
    /// What open holds reserve.
    pub held: Decimal,
    /// The rest of the active promised payment.
    pub promised: Decimal,
    /// The credit limit.
    pub credit_limit: Decimal,
    /// The unpaid rest of invoices inside their terms.
    pub not_due: Decimal,
    /// What may be spent. Negative when the account is beyond all limits.
    pub available: Decimal,
    /// Money that is there and settles nothing.
    pub free: Decimal,
    /// What direct charges took beyond the money there.
    pub direct_debt: Decimal,
    /// What is left of bonus money.
    pub bonus: Decimal,
    /// The unpaid rest of all issued invoices.
    pub outstanding: Decimal,
    /// The unpaid rest of invoices past their due date.
    pub overdue: Decimal,
}

/// What was posted to an account by the time at which things happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PostedBalance {
    /// The account.
    pub account_id: String,
    /// The ISO 4217 code of the amount.
    pub currency: String,
    /// The sum of the entries that had happened. A later back-dated entry may change it.
    pub posted: Decimal,
    /// The instant it is told for.
    pub as_of: DateTime<Utc>,
    /// The journal was read up to here.
    pub position: Position,
}

/// A payment that will be needed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NextPayment {
    /// The day by whose end it is due, in the account's time zone.
    pub due_date: NaiveDate,
    /// What will be due then.
    pub amount: Decimal,
    /// What asks for the payment. Absent: something that this version of the client does not know.
    pub source: Option<PaymentSource>,
}

/// What asks for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaymentSource {
    /// An issued invoice, by its id.
    Invoice(String),
    /// A subscription whose next period is not invoiced or charged yet, by its id.
    Subscription(String),
}

/// A promised payment in short: a temporary raise of the limit until a date.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PromiseSummary {
    /// The promise, unique in its account.
    pub promise_id: String,
    /// What was promised.
    pub amount: Decimal,
    /// What is left of it: payments shrink it.
    pub rest: Decimal,
    /// The local day at whose end it ends.
    pub until_date: NaiveDate,
}

impl TryFrom<v1::Balance> for Balance {
    type Error = Malformed;

    fn try_from(balance: v1::Balance) -> Result<Self, Malformed> {
        Ok(Self {
            currency: currency("balance.posted", balance.posted.as_ref())?,
            posted: amount("balance.posted", balance.posted)?,
            held: amount("balance.held", balance.held)?,
            promised: amount("balance.promised", balance.promised)?,
            credit_limit: amount("balance.credit_limit", balance.credit_limit)?,
            not_due: amount("balance.not_due", balance.not_due)?,
            available: amount("balance.available", balance.available)?,
            free: amount("balance.free", balance.free)?,
            direct_debt: amount("balance.direct_debt", balance.direct_debt)?,
            bonus: amount("balance.bonus", balance.bonus)?,
            outstanding: amount("balance.outstanding", balance.outstanding)?,
            overdue: amount("balance.overdue", balance.overdue)?,
            account_id: balance.account_id,
            sequence: balance.sequence,
            entry_sequence: balance.entry_sequence,
            next_payment: balance.next_payment.map(TryInto::try_into).transpose()?,
            access: required("balance.access", balance.access)?.try_into()?,
            as_of: instant("balance.as_of", balance.as_of)?,
            position: required("balance.position", balance.position)?.into(),
        })
    }
}

impl TryFrom<v1::BalanceAmounts> for Amounts {
    type Error = Malformed;

    fn try_from(amounts: v1::BalanceAmounts) -> Result<Self, Malformed> {
        Ok(Self {
            posted: amount("balance.posted", amounts.posted)?,
            held: amount("balance.held", amounts.held)?,
            promised: amount("balance.promised", amounts.promised)?,
            credit_limit: amount("balance.credit_limit", amounts.credit_limit)?,
            not_due: amount("balance.not_due", amounts.not_due)?,
            available: amount("balance.available", amounts.available)?,
            free: amount("balance.free", amounts.free)?,
            direct_debt: amount("balance.direct_debt", amounts.direct_debt)?,
            bonus: amount("balance.bonus", amounts.bonus)?,
            outstanding: amount("balance.outstanding", amounts.outstanding)?,
            overdue: amount("balance.overdue", amounts.overdue)?,
        })
    }
}

impl TryFrom<v1::Balance> for PostedBalance {
    type Error = Malformed;

    fn try_from(balance: v1::Balance) -> Result<Self, Malformed> {
        Ok(Self {
            currency: currency("balance.posted", balance.posted.as_ref())?,
            posted: amount("balance.posted", balance.posted)?,
            account_id: balance.account_id,
            as_of: instant("balance.as_of", balance.as_of)?,
            position: required("balance.position", balance.position)?.into(),
        })
    }
}

impl TryFrom<v1::NextPayment> for NextPayment {
    type Error = Malformed;

    fn try_from(payment: v1::NextPayment) -> Result<Self, Malformed> {
        Ok(Self {
            due_date: date("next_payment.due_date", &payment.due_date)?,
            amount: amount("next_payment.amount", payment.amount)?,
            source: payment.source.map(|source| match source {
                v1::next_payment::Source::InvoiceId(id) => PaymentSource::Invoice(id),
                v1::next_payment::Source::SubscriptionId(id) => PaymentSource::Subscription(id),
            }),
        })
    }
}

impl TryFrom<v1::PromiseSummary> for PromiseSummary {
    type Error = Malformed;

    fn try_from(promise: v1::PromiseSummary) -> Result<Self, Malformed> {
        Ok(Self {
            promise_id: promise.promise_id,
            amount: amount("promise.amount", promise.amount)?,
            rest: amount("promise.rest", promise.rest)?,
            until_date: date("promise.until_date", &promise.until_date)?,
        })
    }
}
