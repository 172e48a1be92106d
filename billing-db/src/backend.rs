//! The two databases behind one connection type: a borrowed enum, one dispatch macro and one way to run a transaction.

use std::fmt;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::error::DbError;

/// Which database a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// PostgreSQL: any number of servers.
    Postgres,
    /// SQLite, embedded: one process owns the file.
    Sqlite,
}

/// A borrowed connection to either database.
pub enum Conn<'a> {
    /// To PostgreSQL.
    Postgres(&'a mut PgConnection),
    /// To SQLite.
    Sqlite(&'a mut SqliteConnection),
}

/// A connection of one's own to either database.
pub enum OwnedConn {
    /// To PostgreSQL.
    Postgres(Box<PgConnection>),
    /// To SQLite. Writers of one file take turns: a transaction that writes begins with its lock.
    Sqlite(Box<SqliteConnection>),
}

/// Runs one body against the concrete connection of either database.
macro_rules! on_backend {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::backend::Conn::Postgres(c) => {
                let $c: &mut diesel::PgConnection = c;
                $body
            }
            $crate::backend::Conn::Sqlite(c) => {
                let $c: &mut diesel::SqliteConnection = c;
                $body
            }
        }
    };
}
pub(crate) use on_backend;

impl Conn<'_> {
    /// The database this connection leads to.
    pub fn backend(&self) -> Backend {
        match self {
            Conn::Postgres(_) => Backend::Postgres,
            Conn::Sqlite(_) => Backend::Sqlite,
        }
    }

    /// The same connection, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> Conn<'_> {
        match self {
            Conn::Postgres(c) => Conn::Postgres(c),
            Conn::Sqlite(c) => Conn::Sqlite(c),
        }
    }

    /// Runs `f` in a transaction: committed when it returns `Ok`, rolled back otherwise. On SQLite it begins as a writer
    /// (`BEGIN IMMEDIATE`), so that it can never fail half-way for want of the lock. Inside a transaction it is a
    /// savepoint.
    pub fn transaction<T>(&mut self, f: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
        let nested = self.in_transaction()?;
        match self {
            Conn::Postgres(c) => c.transaction(|c| f(&mut Conn::Postgres(c))),
            Conn::Sqlite(c) if nested => c.transaction(|c| f(&mut Conn::Sqlite(c))),
            Conn::Sqlite(c) => c.immediate_transaction(|c| f(&mut Conn::Sqlite(c))),
        }
    }

    /// Runs `f` on one snapshot of the database. Not to be called inside a transaction.
    pub fn read_only<T>(&mut self, f: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
        match self {
            Conn::Postgres(c) => c.build_transaction().repeatable_read().read_only().run(|c| f(&mut Conn::Postgres(c))),
            Conn::Sqlite(c) => c.transaction(|c| f(&mut Conn::Sqlite(c))),
        }
    }

    /// Whether a transaction is open on this connection.
    pub fn in_transaction(&mut self) -> Result<bool, DbError> {
        let depth =
            on_backend!(self, |c| AnsiTransactionManager::transaction_manager_status_mut(c).transaction_depth())?;
        Ok(depth.is_some())
    }
}

impl OwnedConn {
    /// Borrows the connection.
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            OwnedConn::Postgres(c) => Conn::Postgres(c),
            OwnedConn::Sqlite(c) => Conn::Sqlite(c),
        }
    }
}

impl fmt::Debug for Conn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conn({:?})", self.backend())
    }
}

impl fmt::Debug for OwnedConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = match self {
            OwnedConn::Postgres(_) => Backend::Postgres,
            OwnedConn::Sqlite(_) => Backend::Sqlite,
        };
        write!(f, "OwnedConn({backend:?})")
    }
}
