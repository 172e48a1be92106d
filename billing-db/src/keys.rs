//! Looking up idempotency keys.

use std::fmt::Write;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use crate::backend::Conn;
use crate::error::DbError;
use crate::journal::journal_columns;
use crate::rows::{JournalRow, OutcomeRow};
use crate::schema::{journal, outcomes};
use crate::statement::{Statement, StatementId, Value, json_texts};

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

/// One look-up of the index a key here too: `cross join` fixes the order, which the statistics of a young journal would
/// turn into a walk through all of it.
fn find_sqlite(c: &mut SqliteConnection, partition: i16, hashes: &[&[u8]]) -> Result<Found, DbError> {
    struct RowsByKey;
    impl StatementId for RowsByKey {}
    struct OutcomesByKey;
    impl StatementId for OutcomesByKey {}
    const ROWS: &str = concat!(
        "select ",
        journal_columns!(),
        " from json_each($1) k cross join journal j on j.partition = $2 and j.key_hash = unhex(k.value)"
    );
    const OUTCOMES: &str = "select o.partition, o.account, o.key_hash, o.recorded_at, o.reason, o.content, o.details
        from json_each($1) k cross join outcomes o on o.partition = $2 and o.key_hash = unhex(k.value)";
    let hashes: Vec<String> = hashes.iter().map(|hash| hex(hash)).collect();
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    let values = [json_texts(&hashes), Value::SmallInt(partition)];
    Ok(Found {
        rows: Statement::<_, journal::SqlType>::new(RowsByKey, ROWS, &values).load(c)?,
        outcomes: Statement::<_, outcomes::SqlType>::new(OutcomesByKey, OUTCOMES, &values).load(c)?,
    })
}

/// Bytes in the digits that SQLite's `unhex` reads.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
