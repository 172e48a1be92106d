//! The engine against a small sequential ledger, on both databases, and under concurrency and faults.
//!
//! `BILLING_TEST_SEED` sets the seed of the random tests, `BILLING_TEST_CASES` multiplies the number of their cases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod ahead;
mod concurrency;
mod faults;
mod harness;
#[path = "../../../tests/model/mod.rs"]
mod model;
mod random;
mod shutdown;
mod sketch;
mod translate;
mod verify;
