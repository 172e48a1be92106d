//! Calls about balances.

use billing_proto::v1;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::balance::{Balance, PostedBalance, PromiseSummary};
use crate::client::{Client, balances};
use crate::entry::Entry;
use crate::error::{Error, Malformed};
use crate::hold::Hold;
use crate::wire::{amount, required, to_timestamp};

/// The balances of several accounts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Balances {
    /// The balances, in the order of the request.
    pub balances: Vec<Balance>,
    /// The accounts that do not exist or that the caller may not see.
    pub missing_account_ids: Vec<String>,
}

/// A balance and the parts that add up to it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The present balance.
    pub balance: Balance,
    /// The parts: their effects add up to `available`.
    pub items: Vec<ExplanationItem>,
}

/// One part of a balance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplanationItem {
    /// What this part adds to `available`.
    pub effect: Decimal,
    /// The part itself.
    pub part: BalancePart,
}

/// What a part of a balance is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BalancePart {
    /// The posted amount before the first entry listed.
    Opening {
        /// The posted amount.
        posted: Decimal,
        /// The sequence of the last entry it contains. Zero: it contains none.
        entry_sequence: i64,
    },
    /// An entry.
    Entry(Box<Entry>),
    /// An open hold; its rest counts.
    Hold(Box<Hold>),
    /// The active promised payment; its rest counts.
    Promise(PromiseSummary),
    /// The credit limit.
    CreditLimit(Decimal),
    /// The unpaid rest of invoices inside their terms.
    NotDue(Decimal),
    /// A part that this version of the client does not know; its effect counts all the same.
    Unrecognized,
}

/// Balances.
impl Client {
    /// Returns the present balance of an account.
    pub async fn get_balance(&self, account_id: impl Into<String>) -> Result<Balance, Error> {
        Ok(self.balance_as_of(account_id.into(), None).await?.try_into()?)
    }

    /// Returns the balance of an account as it was known at an instant. This answer never changes.
    pub async fn get_balance_as_of_recorded(
        &self,
        account_id: impl Into<String>,
        at: DateTime<Utc>,
    ) -> Result<Balance, Error> {
        let at = v1::get_balance_request::AsOf::AsOfRecorded(to_timestamp(at));
        Ok(self.balance_as_of(account_id.into(), Some(at)).await?.try_into()?)
    }

    /// Returns what was posted to an account by the time at which things happened. A later back-dated entry may change
    /// the answer.
    pub async fn get_balance_as_of_occurred(
        &self,
        account_id: impl Into<String>,
        at: DateTime<Utc>,
    ) -> Result<PostedBalance, Error> {
        let at = v1::get_balance_request::AsOf::AsOfOccurred(to_timestamp(at));
        Ok(self.balance_as_of(account_id.into(), Some(at)).await?.try_into()?)
    }

    async fn balance_as_of(
        &self,
        account_id: String,
        as_of: Option<v1::get_balance_request::AsOf>,
    ) -> Result<v1::Balance, Error> {
        let wire = v1::GetBalanceRequest { account_id, as_of, min_position: self.min_position() };
        let send = |channel, request| async move { balances(channel).get_balance(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(required("balance", answer.balance)?)
    }

    /// Returns the present balances of up to 1000 accounts. Missing accounts are listed and are no error.
    pub async fn batch_get_balances<T: Into<String>>(
        &self,
        account_ids: impl IntoIterator<Item = T>,
    ) -> Result<Balances, Error> {
        let account_ids = account_ids.into_iter().map(Into::into).collect();
        let wire = v1::BatchGetBalancesRequest { account_ids, min_position: self.min_position() };
        let send = |channel, request| async move { balances(channel).batch_get_balances(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(Balances {
            balances: answer.balances.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            missing_account_ids: answer.missing_account_ids,
        })
    }

    /// Returns the present balance with the shortest list of parts that add up to it: at most so many entries (1 to
    /// 1000; zero: 50), older ones are summed up in the opening.
    pub async fn explain_balance(&self, account_id: impl Into<String>, max_entries: u16) -> Result<Explanation, Error> {
        let wire = v1::ExplainBalanceRequest {
            account_id: account_id.into(),
            max_entries: max_entries.into(),
            min_position: self.min_position(),
        };
        let send = |channel, request| async move { balances(channel).explain_balance(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(Explanation {
            balance: required("balance", answer.balance)?.try_into()?,
            items: answer.items.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<v1::ExplanationItem> for ExplanationItem {
    type Error = Malformed;

    fn try_from(item: v1::ExplanationItem) -> Result<Self, Malformed> {
        use v1::explanation_item::Item;
        let part = match item.item {
            Some(Item::Opening(opening)) => BalancePart::Opening {
                posted: amount("opening.posted", opening.posted)?,
                entry_sequence: opening.entry_sequence,
            },
            Some(Item::Entry(entry)) => BalancePart::Entry(Box::new(entry.try_into()?)),
            Some(Item::Hold(hold)) => BalancePart::Hold(Box::new(hold.try_into()?)),
            Some(Item::Promise(promise)) => BalancePart::Promise(promise.try_into()?),
            Some(Item::CreditLimit(limit)) => BalancePart::CreditLimit(amount("item.credit_limit", Some(limit))?),
            Some(Item::NotDue(rest)) => BalancePart::NotDue(amount("item.not_due", Some(rest))?),
            None => BalancePart::Unrecognized,
        };
        Ok(Self { effect: amount("item.effect", item.effect)?, part })
    }
}
