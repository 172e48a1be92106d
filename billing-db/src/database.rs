//! The database a URL names: a pool for reads, connections of their own for writers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::Pool;

use crate::backend::{Backend, Conn, OwnedConn};
use crate::error::{DbError, ErrorKind};
use crate::pool::{self, PostgresLinks, SqliteLinks};
use crate::session::{self, Role};
use crate::sqlite_file::SqliteFile;

/// How to use a database.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections reads may take at once.
    pub pool_size: u32,
    /// How long a statement may take on PostgreSQL.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { pool_size: 8, statement_timeout: Duration::from_secs(10) }
    }
}

/// An open database; clones share it.
#[derive(Clone)]
pub struct Database {
    source: Arc<Source>,
    options: Options,
}

// The fields are dropped in this order: connections first, then the file.
enum Source {
    Postgres { pool: Pool<PostgresLinks>, url: String },
    Sqlite { pool: Pool<SqliteLinks>, checkpoints: Mutex<SqliteConnection>, file: SqliteFile },
}

impl Database {
    /// Opens the database `url` names: `sqlite:<path>`, `sqlite::memory:` (a temporary file), `postgres://…` or
    /// `postgresql://…`. It is tried at once, so that a wrong URL shows here.
    pub fn open(url: &str, options: &Options) -> Result<Database, DbError> {
        let source = match url.split_once(':') {
            Some(("sqlite", path)) => Self::open_sqlite(path, options)?,
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Self::open_postgres(url, options)?,
            Some((scheme, _)) => return Err(DbError::UnknownScheme(scheme.to_owned())),
            None => return Err(DbError::UnknownScheme(String::new())),
        };
        Ok(Database { source: Arc::new(source), options: options.clone() })
    }

    fn open_sqlite(path: &str, options: &Options) -> Result<Source, DbError> {
        let path = path.strip_prefix("//").unwrap_or(path);
        let file = SqliteFile::take(path)?;
        // The first connection makes it a WAL database, for good.
        let checkpoints = Mutex::new(session::open_sqlite(&file.path, Role::Writer)?);
        let pool = pool::of(SqliteLinks { path: file.path.clone() }, options.pool_size);
        Ok(Source::Sqlite { pool, checkpoints, file })
    }

    fn open_postgres(url: &str, options: &Options) -> Result<Source, DbError> {
        let url = session::postgres_url(url);
        session::open_postgres(&url, Some(options.statement_timeout))?;
        let links = PostgresLinks { url: url.clone(), statement_timeout: options.statement_timeout };
        Ok(Source::Postgres { pool: pool::of(links, options.pool_size), url })
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        match *self.source {
            Source::Postgres { .. } => Backend::Postgres,
            Source::Sqlite { .. } => Backend::Sqlite,
        }
    }

    /// Runs `f` on a connection of the pool. Blocks; waits at most 5 s for a connection. On SQLite it cannot write.
    pub fn read<T>(&self, f: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
        match &*self.source {
            Source::Postgres { pool, .. } => {
                let mut link = pool.get()?;
                let result = f(&mut Conn::Postgres(&mut link.conn));
                link.used(is_suspect(&result));
                result
            }
            Source::Sqlite { pool, .. } => {
                let mut link = pool.get()?;
                let result = f(&mut Conn::Sqlite(&mut link.conn));
                link.used(is_suspect(&result));
                result
            }
        }
    }

    /// Opens a connection of its own, for a writer.
    pub fn writer(&self) -> Result<OwnedConn, DbError> {
        self.connect(Some(self.options.statement_timeout))
    }

    /// Opens a connection whose statements may take as long as they like: for migrations.
    pub(crate) fn patient(&self) -> Result<OwnedConn, DbError> {
        self.connect(None)
    }

    fn connect(&self, statement_timeout: Option<Duration>) -> Result<OwnedConn, DbError> {
        Ok(match &*self.source {
            Source::Postgres { url, .. } => {
                OwnedConn::Postgres(Box::new(session::open_postgres(url, statement_timeout)?))
            }
            Source::Sqlite { file, .. } => OwnedConn::Sqlite(Box::new(session::open_sqlite(&file.path, Role::Writer)?)),
        })
    }

    /// Lets the database learn how large the tables are. A plan made while they were empty reads all of them, and it is
    /// kept until the statistics change: so they are renewed while a journal is young and grows by large factors.
    pub fn analyze(&self) -> Result<(), DbError> {
        let mut owned = self.connect(None)?;
        match &mut owned.conn() {
            Conn::Postgres(c) => c.batch_execute(
                "analyze journal; analyze accounts; analyze holds; analyze names; analyze outcomes; analyze due;
                 analyze reversals",
            )?,
            Conn::Sqlite(c) => c.batch_execute("pragma analysis_limit = 1000; analyze")?,
        }
        Ok(())
    }

    /// On SQLite, moves what readers no longer need from the write-ahead log into the database, beside reads and writes;
    /// writers never do so themselves. Nothing on PostgreSQL.
    pub fn checkpoint(&self) -> Result<(), DbError> {
        if let Source::Sqlite { checkpoints, .. } = &*self.source {
            let mut c = checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            c.batch_execute("pragma wal_checkpoint(passive)")?;
        }
        Ok(())
    }
}

/// Whether a read's error may be the connection's own.
fn is_suspect<T>(result: &Result<T, DbError>) -> bool {
    matches!(result, Err(error) if matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Unavailable))
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("backend", &self.backend()).finish_non_exhaustive()
    }
}
