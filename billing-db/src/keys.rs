//! Looking up idempotency keys.

use diesel::prelude::*;

use crate::backend::{Backend, Conn, on_backend};
use crate::error::DbError;
use crate::rows::{JournalRow, OutcomeRow};
use crate::schema::{journal, outcomes};

/// What is known of some keys: the first row of each command that was done, and the refusals remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The rows that carry one of the keys.
    pub rows: Vec<JournalRow>,
    /// The refusals remembered for one of the keys.
    pub outcomes: Vec<OutcomeRow>,
}

/// What is known of the keys with these hashes.
pub fn find(conn: &mut Conn<'_>, partition: i16, hashes: &[[u8; 16]]) -> Result<Found, DbError> {
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 16]>::as_slice).collect();
    // One array on PostgreSQL; a list of values on SQLite, which bounds how many there may be.
    let at_once = match conn.backend() {
        Backend::Postgres => hashes.len().max(1),
        Backend::Sqlite => 1_000,
    };
    let mut found = Found::default();
    for chunk in hashes.chunks(at_once) {
        on_backend!(conn, |c| {
            let rows = journal::table
                .filter(journal::partition.eq(partition))
                .filter(journal::key_hash.eq_any(chunk))
                .select(JournalRow::as_select())
                .load(c)?;
            let outcomes = outcomes::table
                .filter(outcomes::partition.eq(partition))
                .filter(outcomes::key_hash.eq_any(chunk))
                .select(OutcomeRow::as_select())
                .load(c)?;
            found.rows.extend(rows);
            found.outcomes.extend(outcomes);
        });
    }
    Ok(found)
}
