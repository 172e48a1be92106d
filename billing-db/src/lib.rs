//! Storage of the billing service: the schema and its migrations, the rows, the append to the journal and the queries, on
//! SQLite and PostgreSQL. It knows no gRPC and no policy: what a row means is decided by the server.
//!
//! Every function takes a [`Conn`], inside or outside a transaction, and names the one partition it works on.

pub mod accounts;
mod append;
mod backend;
pub mod changes;
pub mod clock;
mod database;
pub mod due;
pub mod entries;
mod error;
pub mod heads;
pub mod holds;
pub mod journal;
pub mod keys;
pub mod migrate;
pub mod names;
pub mod outcomes;
pub mod partitions;
mod pool;
pub mod reversals;
mod rows;
#[allow(missing_docs, unreachable_pub, reason = "the migrations explain the columns")]
pub(crate) mod schema;
mod session;
mod sqlite_file;
mod statement;
#[cfg(feature = "test-support")]
pub mod test_support;
mod text;
pub mod totals;

pub use backend::{Backend, Conn, OwnedConn};
pub use database::{Database, Options};
pub use error::{DbError, ErrorKind};
pub use rows::{AccountRow, DueRow, HoldRow, JournalRow, NameRow, OutcomeRow, PartitionRow, ReversalRow};
