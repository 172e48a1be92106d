//! Calls about accounts.

use billing_proto::v1;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use crate::account::{AccessState, Account, AccountState, AccountWritten, BillingDetails, BillingMode};
use crate::client::{Client, accounts};
use crate::error::Error;
use crate::macros::request;
use crate::money::{Money, to_wire};
use crate::page::{Page, walk};
use crate::wire::required;

request! {
    /// Opens an account.
    ///
    /// With an `id` of your own the account is found again by it, and no idempotency key is needed. Without one the
    /// service derives the id from the idempotency key, which is then a random one unless you name your own.
    CreateAccount as CreateAccountRequest { key, metadata }
}

impl CreateAccount {
    /// An account of this customer in this currency (ISO 4217), with an id that the service makes.
    pub fn new(customer_id: impl Into<String>, currency: impl Into<String>) -> Self {
        Self {
            wire: v1::CreateAccountRequest {
                customer_id: customer_id.into(),
                currency_code: currency.into(),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    /// The identifier: 1 to 64 characters of `A-Z a-z 0-9 . _ : -`. It is never erased, so it must hold no personal
    /// data. A key that you want besides must be named after it.
    pub fn id(mut self, account_id: impl Into<String>) -> Self {
        self.wire.account_id = account_id.into();
        // The id alone makes a repetition safe; a random key would make each program's request another one.
        self.wire.idempotency_key.clear();
        self
    }

    /// A name for people: at most 200 characters.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.wire.display_name = name.into();
        self
    }

    /// The IANA time zone. Without it: `UTC`.
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.wire.time_zone = zone.into();
        self
    }

    /// The BCP 47 language tag. Without it: `en`.
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.wire.locale = locale.into();
        self
    }

    /// How the client pays. Without it: prepaid.
    pub fn billing_mode(mut self, mode: BillingMode) -> Self {
        self.wire.billing_mode = mode.into();
        self
    }

    /// The credit limit. Without it: zero.
    pub fn credit_limit(mut self, limit: impl Into<Money>) -> Self {
        self.wire.credit_limit = Some(to_wire(limit));
        self
    }

    /// Days from the issue of an invoice to its due date: 0 to 365. Without it: the service's setting.
    pub fn payment_terms_days(mut self, days: i32) -> Self {
        self.wire.payment_terms_days = Some(days);
        self
    }

    /// The policy of the account. Without it: the service's default policy.
    pub fn policy_id(mut self, policy_id: impl Into<String>) -> Self {
        self.wire.policy_id = policy_id.into();
        self
    }

    /// Who is billed.
    pub fn billing_details(mut self, details: BillingDetails) -> Self {
        self.wire.billing_details = Some(details.into());
        self
    }
}

request! {
    /// Changes an account: the fields that were set here, and no others.
    UpdateAccount as UpdateAccountRequest { key, etag }
}

impl UpdateAccount {
    /// A change of this account.
    pub fn new(account_id: impl Into<String>) -> Self {
        Self {
            wire: v1::UpdateAccountRequest {
                account_id: account_id.into(),
                account: Some(v1::Account::default()),
                update_mask: Some(prost_types::FieldMask::default()),
                idempotency_key: Uuid::new_v4().to_string(),
                ..Default::default()
            },
        }
    }

    fn set(mut self, path: &str, change: impl FnOnce(&mut v1::Account)) -> Self {
        let mask = self.wire.update_mask.get_or_insert_default();
        if !mask.paths.iter().any(|named| named == path) {
            mask.paths.push(path.to_owned());
        }
        change(self.wire.account.get_or_insert_default());
        self
    }

    /// A new name for people.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.set("display_name", |account| account.display_name = name.into())
    }

    /// A new IANA time zone. It concerns the future only.
    pub fn time_zone(self, zone: impl Into<String>) -> Self {
        self.set("time_zone", |account| account.time_zone = zone.into())
    }

    /// A new BCP 47 language tag.
    pub fn locale(self, locale: impl Into<String>) -> Self {
        self.set("locale", |account| account.locale = locale.into())
    }

    /// Another way of paying.
    pub fn billing_mode(self, mode: BillingMode) -> Self {
        self.set("billing_mode", |account| account.billing_mode = mode.into())
    }

    /// Another credit limit.
    pub fn credit_limit(self, limit: impl Into<Money>) -> Self {
        self.set("credit_limit", |account| account.credit_limit = Some(to_wire(limit)))
    }

    /// Permits a credit limit below what is already used of it.
    pub fn allow_below_use(mut self) -> Self {
        self.wire.allow_below_use = true;
        self
    }

    /// Other payment terms; `None`: the service's setting holds again.
    pub fn payment_terms_days(self, days: impl Into<Option<i32>>) -> Self {
        self.set("payment_terms_days", |account| account.payment_terms_days = days.into())
    }

    /// Another policy; an empty one is the service's default policy.
    pub fn policy_id(self, policy_id: impl Into<String>) -> Self {
        self.set("policy_id", |account| account.policy_id = policy_id.into())
    }

    /// Who is billed, as a whole.
    pub fn billing_details(self, details: BillingDetails) -> Self {
        self.set("billing_details", |account| account.billing_details = Some(details.into()))
    }

    /// The caller's own pairs, as a whole: those that are not named here are removed.
    pub fn metadata<K: Into<String>, V: Into<String>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.set("metadata", |account| account.metadata = pairs.collect())
    }
}

request! {
    /// Lists accounts in the order of their ids. All filters must match.
    ListAccounts as ListAccountsRequest { metadata, page_size, page_token }
}

impl Default for ListAccounts {
    fn default() -> Self {
        Self::all()
    }
}

impl ListAccounts {
    /// All accounts.
    pub fn all() -> Self {
        Self { wire: v1::ListAccountsRequest::default() }
    }

    /// Only accounts of this customer.
    pub fn customer_id(mut self, customer_id: impl Into<String>) -> Self {
        self.wire.customer_id = customer_id.into();
        self
    }

    /// Only accounts in this state.
    pub fn state(mut self, state: AccountState) -> Self {
        self.wire.state = state.into();
        self
    }

    /// Only accounts in debt, or only those without.
    pub fn has_debt(mut self, has_debt: bool) -> Self {
        self.wire.has_debt = Some(has_debt);
        self
    }

    /// Only accounts whose id, display name or legal name contains this text, whatever its case.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.wire.text = text.into();
        self
    }

    /// Only accounts under this policy.
    pub fn policy_id(mut self, policy_id: impl Into<String>) -> Self {
        self.wire.policy_id = policy_id.into();
        self
    }

    /// Only accounts whose access is in this state.
    pub fn access_state(mut self, state: AccessState) -> Self {
        self.wire.access_state = state.into();
        self
    }
}

/// A request that names an account and a reason.
macro_rules! closing_request {
    ($(#[$doc:meta])* $name:ident as $wire:ident) => {
        request! {
            $(#[$doc])*
            $name as $wire { key, reason, etag }
        }

        impl $name {
            /// For this account.
            pub fn new(account_id: impl Into<String>) -> Self {
                Self {
                    wire: v1::$wire {
                        account_id: account_id.into(),
                        idempotency_key: Uuid::new_v4().to_string(),
                        ..Default::default()
                    },
                }
            }
        }
    };
}

closing_request! {
    /// Closes an account: nothing can be posted in it any more; it can still be read.
    CloseAccount as CloseAccountRequest
}

closing_request! {
    /// Opens a closed account again.
    ReopenAccount as ReopenAccountRequest
}

closing_request! {
    /// Erases the personal data of a closed account for ever. This cannot be undone.
    AnonymizeAccount as AnonymizeAccountRequest
}

/// Accounts.
impl Client {
    /// Opens an account. Repeating it is safe: the same content returns the account as it was created.
    pub async fn create_account(&self, request: &CreateAccount) -> Result<AccountWritten, Error> {
        let send = |channel, request| async move { accounts(channel).create_account(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(AccountWritten::read(answer.account, answer.replayed, answer.position)?)
    }

    /// Returns one account.
    pub async fn get_account(&self, account_id: impl Into<String>) -> Result<Account, Error> {
        let wire = v1::GetAccountRequest { account_id: account_id.into(), min_position: self.min_position() };
        let send = |channel, request| async move { accounts(channel).get_account(request).await };
        let answer = self.call(&wire, send).await?;
        Ok(required("account", answer.account)?.try_into()?)
    }

    /// Changes fields of an account.
    pub async fn update_account(&self, request: &UpdateAccount) -> Result<AccountWritten, Error> {
        let send = |channel, request| async move { accounts(channel).update_account(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(AccountWritten::read(answer.account, answer.replayed, answer.position)?)
    }

    /// Returns one page of accounts.
    pub async fn list_accounts(&self, request: &ListAccounts) -> Result<Page<Account>, Error> {
        let mut wire = request.wire.clone();
        wire.min_position = self.min_position();
        let send = |channel, request| async move { accounts(channel).list_accounts(request).await };
        let answer = self.call(&wire, send).await?;
        Page::read(answer.accounts, answer.next_page_token)
    }

    /// Walks all pages of a list of accounts.
    pub fn all_accounts(&self, request: ListAccounts) -> BoxStream<'static, Result<Account, Error>> {
        let client = self.clone();
        walk(move |token| {
            let (client, request) = (client.clone(), request.clone());
            async move { client.list_accounts(&request.at_page(token)).await }
        })
    }

    /// Closes an account.
    pub async fn close_account(&self, request: &CloseAccount) -> Result<AccountWritten, Error> {
        let send = |channel, request| async move { accounts(channel).close_account(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(AccountWritten::read(answer.account, answer.replayed, answer.position)?)
    }

    /// Opens a closed account again.
    pub async fn reopen_account(&self, request: &ReopenAccount) -> Result<AccountWritten, Error> {
        let send = |channel, request| async move { accounts(channel).reopen_account(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(AccountWritten::read(answer.account, answer.replayed, answer.position)?)
    }

    /// Erases the personal data of a closed account for ever.
    pub async fn anonymize_account(&self, request: &AnonymizeAccount) -> Result<AccountWritten, Error> {
        let send = |channel, request| async move { accounts(channel).anonymize_account(request).await };
        let answer = self.call(&request.wire, send).await?;
        Ok(AccountWritten::read(answer.account, answer.replayed, answer.position)?)
    }
}
