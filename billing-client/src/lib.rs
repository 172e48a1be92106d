//! The typed client of the billing service: exact money, safe retries, a subscription that resumes by itself.
//!
//! Open an account, post a payment, read the balance, and see what happens to it:
//!
//! ```no_run
//! use billing_client::{Client, CreateAccount, Decimal, EventType, Payload, Post, Subscription};
//! use futures_util::StreamExt as _;
//!
//! # async fn example() -> Result<(), billing_client::Error> {
//! let client = Client::builder("http://127.0.0.1:50051").bearer_token("…").connect().await?;
//!
//! let opened = CreateAccount::new("acme", "RUB").id("acme-1").time_zone("Europe/Moscow");
//! client.create_account(&opened).await?;
//!
//! let payment = Post::payment("acme-1", Decimal::new(150_050, 2)).reference("PP 77").key("bank-77-1");
//! let posted = client.post(&payment).await?;
//!
//! // Read your own write, on whichever instance answers.
//! let balance = client.at_least(posted.position).get_balance("acme-1").await?;
//! println!("{} {} available", balance.available, balance.currency);
//!
//! let wanted = Subscription::accounts(["acme-1"]).types([EventType::BalanceChanged]).with_snapshot();
//! let mut events = client.subscribe(wanted);
//! while let Some(event) = events.next().await {
//!     match event?.payload {
//!         Payload::BalanceSnapshot(balance) => println!("{} now", balance.available),
//!         Payload::BalanceChanged(changed) => println!("{} → {}", changed.before.available, changed.after.available),
//!         _ => {}
//!     }
//!     // Store events.resume_token() and hand it to Subscription::resume_from after a restart.
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Money
//!
//! Amounts are [`Decimal`]s; no floating point is used anywhere. Where a request takes an amount, a bare decimal means the
//! currency of the account, and [`Money::new`] names one, which the service checks.
//!
//! # Nothing is posted twice
//!
//! Every mutation carries an idempotency key: the one you name, or a random one that is made with the request. The
//! client repeats what is safe to repeat (see [`RetryPolicy`]), always with the same key. When a call fails and
//! [`Error::outcome_unknown`] says that it may have been executed all the same, hand in the same request again, now or
//! later: the service answers what it answered first, marked `replayed`.
//!
//! ```no_run
//! # use billing_client::{Client, Decimal, Error, Post, Reason};
//! # async fn example(client: Client) -> Result<(), Error> {
//! let charge = Post::charge("acme-1", Decimal::new(9_990, 2)).category("internet").require_available();
//! match client.post(&charge).await {
//!     Ok(posted) => println!("{} left", posted.entry.balance_after.available),
//!     Err(error) if error.reason() == Some(&Reason::InsufficientFunds) => println!("{error}"),
//!     Err(error) if error.outcome_unknown() => {
//!         // Perhaps posted, perhaps not. The same request, with the same key, settles it.
//!         client.post(&charge).await?;
//!     }
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Streams
//!
//! [`Client::subscribe`] and [`Client::follow`] reconnect by themselves and continue exactly where they were; they end
//! only with an error that no reconnect heals. [`Client::bulk`] posts many operations over one stream. The lists of the
//! service come page by page (`list_…`) or as a stream of all items (`all_…`).
//!
//! # Features
//!
//! `tls` speaks TLS to `https://` endpoints.

mod macros;
mod wire;

mod error;
mod money;
mod page;
mod position;
mod reason;
mod refusal;
mod retry;

mod builder;
mod client;
mod connections;

mod account;
mod accounts;
mod balance;
mod balances;
mod batch;
mod books;
mod entries;
mod entry;
mod hold;
mod ledger;
mod operation;
mod post;
mod verification;

mod background;
mod bulk;
mod bulk_driver;
mod event;
mod follow;
mod follower;
mod stream_options;
mod subscription;

pub use rust_decimal::Decimal;
pub use tonic::Code;

pub use crate::account::{
    Access, AccessState, Account, AccountState, AccountWritten, BillingDetails, BillingMode, SuspensionReason,
};
pub use crate::accounts::{AnonymizeAccount, CloseAccount, CreateAccount, ListAccounts, ReopenAccount, UpdateAccount};
pub use crate::balance::{Amounts, Balance, NextPayment, PaymentSource, PostedBalance, PromiseSummary};
pub use crate::balances::{BalancePart, Balances, Explanation, ExplanationItem};
pub use crate::batch::{Batch, BatchPosted};
pub use crate::books::{BooksClosed, CloseBooks, TrialBalance, TrialBalanceRow, Turnover};
pub use crate::builder::ClientBuilder;
pub use crate::bulk::{Bulk, BulkResult, BulkResults};
pub use crate::client::Client;
pub use crate::entries::{EntryFilter, FindEntries, ListEntries};
pub use crate::entry::{BalanceAfter, Entry, EntryKind, ReversalCause, Tax};
pub use crate::error::{Error, Malformed};
pub use crate::event::{
    AccountChangeKind, BalanceChangeCause, BalanceChanged, Event, EventType, HoldChangeKind, Payload, TimeChangeKind,
};
pub use crate::follow::{Follow, FollowHandle, Followed, Following};
pub use crate::hold::{CaptureHold, Hold, HoldCloseReason, HoldState, ListHolds, PlaceHold, ReleaseHold, UpdateHold};
pub use crate::money::Money;
pub use crate::operation::{Captured, HoldWritten, Operation, Outcome, Posted, Reversed, Transferred};
pub use crate::page::Page;
pub use crate::position::Position;
pub use crate::post::{Post, ReverseEntry, Transfer};
pub use crate::reason::Reason;
pub use crate::refusal::{FieldViolation, Obstacle, Refusal};
pub use crate::retry::RetryPolicy;
pub use crate::subscription::{Events, Subscription};
pub use crate::verification::{ChainHead, LedgerViolation, LedgerViolationKind, Verification, VerificationSummary};
