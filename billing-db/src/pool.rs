//! Pools of connections for reads.

use std::time::{Duration, Instant};

use diesel::r2d2::{ManageConnection, Pool, R2D2Connection};
use diesel::{PgConnection, SqliteConnection};

use crate::error::DbError;
use crate::session::{self, Role};

/// How long a read waits for a free connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection unused for longer is tried before it is given out; otherwise that round trip is saved.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection of a pool.
pub(crate) struct Link<C> {
    pub(crate) conn: C,
    /// Set after an error that may be the link's: the pool then drops it.
    pub(crate) broken: bool,
    last_used: Instant,
}

impl<C> Link<C> {
    fn new(conn: C) -> Self {
        Self { conn, broken: false, last_used: Instant::now() }
    }

    /// Notes how a read went.
    pub(crate) fn used(&mut self, broken: bool) {
        self.broken = broken;
        self.last_used = Instant::now();
    }
}

/// Opens connections to PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct PostgresLinks {
    pub(crate) url: String,
    pub(crate) statement_timeout: Duration,
}

/// Opens connections to SQLite that cannot write.
#[derive(Clone, Debug)]
pub(crate) struct SqliteLinks {
    pub(crate) path: String,
}

impl ManageConnection for PostgresLinks {
    type Connection = Link<PgConnection>;
    type Error = DbError;

    fn connect(&self) -> Result<Self::Connection, DbError> {
        Ok(Link::new(session::open_postgres(&self.url, Some(self.statement_timeout))?))
    }

    fn is_valid(&self, link: &mut Self::Connection) -> Result<(), DbError> {
        if link.last_used.elapsed() < TRUSTED_FOR { Ok(()) } else { Ok(link.conn.ping()?) }
    }

    fn has_broken(&self, link: &mut Self::Connection) -> bool {
        link.broken || std::thread::panicking() || link.conn.is_broken()
    }
}

impl ManageConnection for SqliteLinks {
    type Connection = Link<SqliteConnection>;
    type Error = DbError;

    fn connect(&self) -> Result<Self::Connection, DbError> {
        Ok(Link::new(session::open_sqlite(&self.path, Role::Reader)?))
    }

    fn is_valid(&self, _: &mut Self::Connection) -> Result<(), DbError> {
        Ok(())
    }

    fn has_broken(&self, link: &mut Self::Connection) -> bool {
        link.broken || std::thread::panicking() || link.conn.is_broken()
    }
}

/// A pool that opens connections as they are needed.
pub(crate) fn of<M: ManageConnection>(links: M, size: u32) -> Pool<M> {
    Pool::builder()
        .max_size(size.max(1))
        .min_idle(Some(0))
        .connection_timeout(CONNECTION_TIMEOUT)
        .test_on_check_out(true)
        .build_unchecked(links)
}
