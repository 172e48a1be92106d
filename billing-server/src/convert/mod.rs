//! The contract and the domain, both ways. What reads a request notes every violation of its shape before it refuses.

pub mod violations;
pub mod text;
pub mod money;
pub mod time;
pub mod position;
pub mod page;
pub mod account;
pub mod account_update;
pub mod balance;
pub mod entry;
pub mod entry_filter;
pub mod post;
pub mod transfer;
pub mod reversal;
pub mod hold;
pub mod operation;
pub mod event;
