//! The storage on both databases: every test runs on a SQLite file and on a PostgreSQL database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod append;
mod beside;
mod database;
mod entries;
mod fixtures;
mod hot;
mod reading;
mod schema;
