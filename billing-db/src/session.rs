//! Opening connections: the settings every session of each database gets.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::error::DbError;

/// How long a statement of SQLite waits for another writer.
const BUSY_TIMEOUT_MS: u32 = 5_000;

/// What a connection to SQLite is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

/// Completes a PostgreSQL URL: a link that is dead is noticed within 10 s, a server that does not answer within 5 s, and
/// the sessions can be told apart. What the URL says itself stands.
pub(crate) fn postgres_url(url: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let mut complete = url.to_owned();
    for (name, value) in
        [("application_name", "billing-server"), ("tcp_user_timeout", "10000"), ("connect_timeout", "5")]
    {
        if !names(name) {
            complete.push(if complete.contains('?') { '&' } else { '?' });
            complete.extend([name, "=", value]);
        }
    }
    complete
}

/// Opens a session to PostgreSQL; without a `statement_timeout` statements may take as long as they like.
pub(crate) fn open_postgres(url: &str, statement_timeout: Option<Duration>) -> Result<PgConnection, DbError> {
    let mut c = PgConnection::establish(url)?;
    let statement_timeout_ms = statement_timeout.map_or(0, |timeout| timeout.as_millis());
    let idle_timeout_ms = if statement_timeout.is_some() { 5_000 } else { 0 };
    c.batch_execute(&format!(
        "set statement_timeout = {statement_timeout_ms};
         set idle_in_transaction_session_timeout = {idle_timeout_ms};
         set synchronous_commit = on;
         set jit = off;"
    ))?;
    if statement_timeout.is_some() {
        // Every statement of the service has an index; a plan made on an empty table must not forget it.
        c.batch_execute("set enable_seqscan = off")?;
    }
    // Errors are told apart by their English text where diesel hides the SQLSTATE. Only some roles may set the language.
    if let Err(error) = c.batch_execute("set lc_messages = 'C'") {
        tracing::debug!(%error, "the language of the database's messages stays as it is");
    }
    Ok(c)
}

/// Opens a connection to a SQLite file. The writer never pauses for a checkpoint: those have a connection of their own.
pub(crate) fn open_sqlite(path: &str, role: Role) -> Result<SqliteConnection, DbError> {
    let mut c = SqliteConnection::establish(path)?;
    c.batch_execute(&format!("pragma busy_timeout = {BUSY_TIMEOUT_MS}; pragma foreign_keys = on;"))?;
    match role {
        Role::Writer => c.batch_execute(
            "pragma journal_mode = wal;
             pragma synchronous = full;
             pragma wal_autocheckpoint = 0;
             pragma temp_store = memory;",
        )?,
        Role::Reader => c.batch_execute("pragma temp_store = memory; pragma query_only = on;")?,
    }
    crate::text::register(&mut c)?;
    Ok(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_what_it_says_and_gets_the_rest() {
        assert_eq!(
            postgres_url("postgres://a@b/c?connect_timeout=1"),
            "postgres://a@b/c?connect_timeout=1&application_name=billing-server&tcp_user_timeout=10000"
        );
        assert_eq!(
            postgres_url("postgres://a@b/c"),
            "postgres://a@b/c?application_name=billing-server&tcp_user_timeout=10000&connect_timeout=5"
        );
    }
}
