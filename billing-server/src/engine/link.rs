//! A connection that is opened again when it breaks.

use billing_db::{Conn, Database, DbError, ErrorKind, OwnedConn};

/// A connection of its own, opened when it is first needed.
pub(super) struct Link {
    database: Database,
    conn: Option<OwnedConn>,
}

impl Link {
    pub(super) fn new(database: &Database) -> Self {
        Self { database: database.clone(), conn: None }
    }

    /// Runs `work` on the connection. After an error that may be the link's own, the next call opens a new one.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Conn<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
        let mut owned = match self.conn.take() {
            Some(conn) => conn,
            None => self.database.writer()?,
        };
        let result = work(&mut owned.conn());
        let is_broken = matches!(&result, Err(error) if is_outage(error));
        if !is_broken {
            self.conn = Some(owned);
        }
        result
    }
}

/// Whether the database may be away.
pub(super) fn is_outage(error: &DbError) -> bool {
    matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Unavailable)
}
