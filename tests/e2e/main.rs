//! The service end to end: a real server, real clients, on SQLite and on PostgreSQL.
//!
//! Each module is a noun; the names of its tests are sentences. `harness` starts servers and databases, `requests` in it
//! makes the requests, and whatever is `refused` is held to what `errors.proto` says of its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]
#![allow(
    clippy::similar_names,
    clippy::single_match_else,
    clippy::unnecessary_wraps,
    reason = "a test reads as it is told"
)]
#![allow(
    clippy::assigning_clones,
    clippy::unchecked_time_subtraction,
    clippy::useless_format,
    reason = "a test need not be fast"
)]
#![allow(clippy::ref_option, reason = "amounts of messages are looked at where they stand")]

mod harness;

mod accounts;
mod posting;
mod batches;
mod stream_posting;
mod transfers;
mod reversals;
mod holds;
mod entries;
mod balances;
mod books;
mod verify;
mod events;
mod follow;
mod reasons;
mod reflection;
mod auth;
mod shutdown;
mod faults;
mod client;
mod grpcurl;
mod python;
mod tidy;
