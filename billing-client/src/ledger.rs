//! Calls about the ledger: entries, transfers, reversals, holds, books.

use billing_proto::v1;
use chrono::NaiveDate;
use futures_util::stream::BoxStream;

use crate::batch::{Batch, BatchPosted};
use crate::books::{BooksClosed, CloseBooks, TrialBalance};
use crate::client::{Client, ledger};
use crate::entries::{FindEntries, ListEntries};
use crate::entry::Entry;
use crate::error::Error;
use crate::hold::{CaptureHold, Hold, ListHolds, PlaceHold, ReleaseHold, UpdateHold};
use crate::operation::{Captured, HoldWritten, Posted, Reversed, Transferred};
use crate::page::{Page, walk};
use crate::post::{Post, ReverseEntry, Transfer};
use crate::wire::required;

/// The ledger. Every mutation is repeated with the key of its request, so nothing is ever posted twice; after an error
/// whose [`outcome_unknown`](Error::outcome_unknown) is true, hand in the same request again.
impl Client {
    /// Posts one entry.
    pub async fn post(&self, request: &Post) -> Result<Posted, Error> {
        let send = |channel, request| async move { ledger(channel).post(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(answer.try_into()?)
    }

    /// Executes up to 1000 operations in order. A refused operation is a result and does not fail the call.
    pub async fn post_batch(&self, request: &Batch) -> Result<BatchPosted, Error> {
        let send = |channel, request| async move { ledger(channel).post_batch(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(BatchPosted::read(answer))
    }

    /// Moves own, free money to another account.
    pub async fn transfer(&self, request: &Transfer) -> Result<Transferred, Error> {
        let send = |channel, request| async move { ledger(channel).transfer(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(answer.try_into()?)
    }

    /// Takes an entry back, in full or in part.
    pub async fn reverse_entry(&self, request: &ReverseEntry) -> Result<Reversed, Error> {
        let send = |channel, request| async move { ledger(channel).reverse_entry(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(answer.try_into()?)
    }

    /// Reserves money.
    pub async fn place_hold(&self, request: &PlaceHold) -> Result<HoldWritten, Error> {
        let send = |channel, request| async move { ledger(channel).place_hold(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(HoldWritten::read(answer.hold, answer.replayed, answer.position)?)
    }

    /// Changes the amount or the end of an open hold.
    pub async fn update_hold(&self, request: &UpdateHold) -> Result<HoldWritten, Error> {
        let send = |channel, request| async move { ledger(channel).update_hold(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(HoldWritten::read(answer.hold, answer.replayed, answer.position)?)
    }

    /// Turns held money into a charge.
    pub async fn capture_hold(&self, request: &CaptureHold) -> Result<Captured, Error> {
        let send = |channel, request| async move { ledger(channel).capture_hold(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(answer.try_into()?)
    }

    /// Frees what is left of an open hold.
    pub async fn release_hold(&self, request: &ReleaseHold) -> Result<HoldWritten, Error> {
        let send = |channel, request| async move { ledger(channel).release_hold(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(HoldWritten::read(answer.hold, answer.replayed, answer.position)?)
    }

    /// Returns one hold.
    pub async fn get_hold(&self, account_id: impl Into<String>, hold_id: impl Into<String>) -> Result<Hold, Error> {
        let wire = v1::GetHoldRequest {
            account_id: account_id.into(),
            hold_id: hold_id.into(),
            min_position: self.min_position(),
        };
        let send = |channel, request| async move { ledger(channel).get_hold(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(required("hold", answer.hold)?.try_into()?)
    }

    /// Returns one entry by its sequence.
    pub async fn get_entry(&self, account_id: impl Into<String>, sequence: i64) -> Result<Entry, Error> {
        let wire = v1::GetEntryRequest { account_id: account_id.into(), sequence, min_position: self.min_position() };
        let send = |channel, request| async move { ledger(channel).get_entry(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(required("entry", answer.entry)?.try_into()?)
    }

    /// Returns one page of the holds of an account.
    pub async fn list_holds(&self, request: &ListHolds) -> Result<Page<Hold>, Error> {
        let mut wire = request.wire.clone();
        wire.min_position = self.min_position();
        let send = |channel, request| async move { ledger(channel).list_holds(request).await };
        let answer = self.call(&wire, send).await?;
        Page::read(answer.holds, answer.next_page_token)
    }

    /// Walks all pages of the holds of an account.
    pub fn all_holds(&self, request: ListHolds) -> BoxStream<'static, Result<Hold, Error>> {
        let client = self.clone();
        walk(move |token| {
            let (client, request) = (client.clone(), request.clone());
            async move { client.list_holds(&request.at_page(token)).await }
        })
    }

    /// Returns one page of the entries of an account.
    pub async fn list_entries(&self, request: &ListEntries) -> Result<Page<Entry>, Error> {
        let mut wire = request.wire.clone();
        wire.min_position = self.min_position();
        let send = |channel, request| async move { ledger(channel).list_entries(request).await };
        let answer = self.call(&wire, send).await?;
        Page::read(answer.entries, answer.next_page_token)
    }

    /// Walks all pages of the entries of an account.
    pub fn all_entries(&self, request: ListEntries) -> BoxStream<'static, Result<Entry, Error>> {
        let client = self.clone();
        walk(move |token| {
            let (client, request) = (client.clone(), request.clone());
            async move { client.list_entries(&request.at_page(token)).await }
        })
    }

    /// Returns one page of the entries found in all accounts.
    pub async fn find_entries(&self, request: &FindEntries) -> Result<Page<Entry>, Error> {
        let mut wire = request.wire.clone();
        wire.min_position = self.min_position();
        let send = |channel, request| async move { ledger(channel).find_entries(request).await };
        let answer = self.call(&wire, send).await?;
        Page::read(answer.entries, answer.next_page_token)
    }

    /// Walks all pages of the entries found in all accounts.
    pub fn all_entries_found(&self, request: FindEntries) -> BoxStream<'static, Result<Entry, Error>> {
        let client = self.clone();
        walk(move |token| {
            let (client, request) = (client.clone(), request.clone());
            async move { client.find_entries(&request.at_page(token)).await }
        })
    }

    /// Closes the books of all accounts up to a date.
    pub async fn close_books(&self, request: &CloseBooks) -> Result<BooksClosed, Error> {
        let send = |channel, request| async move { ledger(channel).close_books(request).await };
        let answer = self.call(&request.wire, send).await?;
        BooksClosed::read(answer)
    }

    /// Returns the turnover of the counter accounts and of all client accounts in a currency, by booking dates, both
    /// included.
    pub async fn get_trial_balance(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        currency: impl Into<String>,
    ) -> Result<TrialBalance, Error> {
        let wire = v1::GetTrialBalanceRequest {
            from_date: from.to_string(),
            to_date: to.to_string(),
            currency_code: currency.into(),
            min_position: self.min_position(),
        };
        let send = |channel, request| async move { ledger(channel).get_trial_balance(request).await };
        Ok(self.call(&wire, send).await?.try_into()?)
    }
}
