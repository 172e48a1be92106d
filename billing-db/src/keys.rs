//! Looking up idempotency keys.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use crate::backend::Conn;
use crate::error::DbError;
use crate::journal::journal_columns;
use crate::rows::{JournalRow, OutcomeRow};
use crate::schema::{journal, outcomes};
use crate::statement::{Statement, StatementId, Value};

/// How many values one list of SQLite may hold.
const SQLITE_AT_ONCE: usize = 1_000;

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
    match conn {
        Conn::Postgres(c) => find_postgres(c, partition, &hashes),
        Conn::Sqlite(c) => find_sqlite(c, partition, &hashes),
    }
}

/// One look-up of the index a key, whatever the planner believes of the table: a list of keys it may answer by reading
/// the whole index instead, if it made its plan before there were keys. Most keys are new, so that the first statement,
/// which says only which are not, is mostly the only one.
fn find_postgres(c: &mut PgConnection, partition: i16, hashes: &[&[u8]]) -> Result<Found, DbError> {
    struct KnownKeys;
    impl StatementId for KnownKeys {}
    const KNOWN: &str = "select k.key_hash, j.position
        from (select $1::smallint) p(partition), unnest($2::bytea[]) k(key_hash)
        left join lateral (
            select l.position from journal l where l.partition = $1 and l.key_hash = k.key_hash limit 1
        ) j on true
        left join lateral (
            select l.key_hash from outcomes l where l.partition = $1 and l.key_hash = k.key_hash limit 1
        ) o on true
        where j.position is not null or o.key_hash is not null";
    let values = [Value::SmallInt(partition), Value::Binaries(hashes)];
    let known: Vec<(Vec<u8>, Option<i64>)> =
        Statement::<_, (Binary, Nullable<BigInt>)>::new(KnownKeys, KNOWN, &values).load(c)?;
    let positions: Vec<i64> = known.iter().filter_map(|(_, position)| *position).collect();
    let refused: Vec<&[u8]> =
        known.iter().filter(|(_, position)| position.is_none()).map(|(hash, _)| hash.as_slice()).collect();
    Ok(Found {
        rows: if positions.is_empty() { Vec::new() } else { rows_postgres(c, partition, &positions)? },
        outcomes: if refused.is_empty() { Vec::new() } else { outcomes_postgres(c, partition, &refused)? },
    })
}

fn rows_postgres(c: &mut PgConnection, partition: i16, positions: &[i64]) -> Result<Vec<JournalRow>, DbError> {
    struct RowsAt;
    impl StatementId for RowsAt {}
    const ROWS: &str = concat!(
        "select ",
        journal_columns!(),
        " from (select $1::smallint) p(partition), unnest($2::bigint[]) k(position)
        cross join lateral (select * from journal l where l.partition = $1 and l.position = k.position) j"
    );
    let values = [Value::SmallInt(partition), Value::BigInts(positions)];
    Ok(Statement::<_, journal::SqlType>::new(RowsAt, ROWS, &values).load(c)?)
}

fn outcomes_postgres(c: &mut PgConnection, partition: i16, hashes: &[&[u8]]) -> Result<Vec<OutcomeRow>, DbError> {
    struct OutcomesByKey;
    impl StatementId for OutcomesByKey {}
    const OUTCOMES: &str = "select o.partition, o.account, o.key_hash, o.recorded_at, o.reason, o.content, o.details
        from (select $1::smallint) p(partition), unnest($2::bytea[]) k(key_hash)
        cross join lateral (
            select * from outcomes l where l.partition = $1 and l.key_hash = k.key_hash limit 1
        ) o";
    let values = [Value::SmallInt(partition), Value::Binaries(hashes)];
    Ok(Statement::<_, outcomes::SqlType>::new(OutcomesByKey, OUTCOMES, &values).load(c)?)
}

fn find_sqlite(c: &mut SqliteConnection, partition: i16, hashes: &[&[u8]]) -> Result<Found, DbError> {
    let mut found = Found::default();
    for chunk in hashes.chunks(SQLITE_AT_ONCE) {
        found.rows.extend(
            journal::table
                .filter(journal::partition.eq(partition))
                .filter(journal::key_hash.eq_any(chunk))
                .select(JournalRow::as_select())
                .load(c)?,
        );
        found.outcomes.extend(
            outcomes::table
                .filter(outcomes::partition.eq(partition))
                .filter(outcomes::key_hash.eq_any(chunk))
                .select(OutcomeRow::as_select())
                .load(c)?,
        );
    }
    Ok(found)
}
