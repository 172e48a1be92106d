//! The append: the one statement by which anything ever happens.

use std::borrow::Borrow;

use diesel::prelude::*;

use crate::backend::Conn;
use crate::error::DbError;
use crate::rows::JournalRow;
use crate::schema::{journal, partitions};
use crate::statement::{Statement, StatementId, Value};

/// Where a batch is to be appended: directly above the row it was decided on, by a writer that still holds the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The partition.
    pub partition: i16,
    /// The newest position the batch was decided on.
    pub position: i64,
    /// The hash of the row there.
    pub hash: Vec<u8>,
    /// The epoch the writer knows.
    pub epoch: i64,
    /// The newest row format the writer knows.
    pub format: i16,
}

/// Appends `rows` at `anchor.position + 1` and following. True when all were inserted; false when none was, because the
/// epoch, the format or the predecessor is not the anchor's. A position or key already taken is a
/// [`Conflict`](crate::ErrorKind::Conflict). Inside a transaction it is part of it, else it commits by itself.
pub fn append<R: Borrow<JournalRow>>(conn: &mut Conn<'_>, anchor: &Anchor, rows: &[R]) -> Result<bool, DbError> {
    let rows: &[&JournalRow] = &rows.iter().map(Borrow::borrow).collect::<Vec<_>>();
    check_positions(anchor, rows)?;
    if rows.is_empty() {
        return Ok(true);
    }
    let in_transaction = conn.in_transaction()?;
    let inserted = match conn {
        Conn::Postgres(c) => append_postgres(c, anchor, rows)?,
        Conn::Sqlite(c) if in_transaction => append_sqlite(c, anchor, rows)?,
        Conn::Sqlite(c) => c.immediate_transaction(|c| append_sqlite(c, anchor, rows))?,
    };
    match inserted {
        0 => Ok(false),
        n if n == rows.len() => Ok(true),
        n => Err(DbError::Invariant(format!("{n} of {} rows were appended", rows.len()))),
    }
}

fn check_positions(anchor: &Anchor, rows: &[&JournalRow]) -> Result<(), DbError> {
    let in_order = (anchor.position + 1..)
        .zip(rows)
        .all(|(position, row)| row.partition == anchor.partition && row.position == position);
    if in_order { Ok(()) } else { Err(DbError::Invariant("the rows to append do not follow their anchor".to_owned())) }
}

struct Append;

impl StatementId for Append {}

/// One statement, one task on one node when distributed; the form matters (see the rules for distributed databases).
/// A column without any value is sent as an empty array, which `unnest` fills up with nulls.
fn append_postgres(c: &mut PgConnection, anchor: &Anchor, rows: &[&JournalRow]) -> QueryResult<usize> {
    macro_rules! columns {
        ($($name:ident)*) => { $(let $name: Vec<_> = rows.iter().map(|row| row.$name).collect();)* };
    }
    macro_rules! sparse {
        ($($name:ident: $get:expr;)*) => { $(let $name = sparse(rows, $get);)* };
    }
    columns!(account sequence kind format writer amount posted_after available_after recorded_at);
    let hash: Vec<&[u8]> = rows.iter().map(|row| row.hash.as_slice()).collect();
    sparse! {
        entry_sequence: |row| row.entry_sequence;
        held_after: |row| row.held_after;
        bonus_after: |row| row.bonus_after;
        credit_limit_after: |row| row.credit_limit_after;
        promised_after: |row| row.promised_after;
        not_due_after: |row| row.not_due_after;
        overdue_after: |row| row.overdue_after;
        counter: |row| row.counter;
        category: |row| row.category;
        created_by: |row| row.created_by;
        booking_date: |row| row.booking_date;
        occurred_at: |row| row.occurred_at;
        key_hash: |row| row.key_hash.as_deref();
        idempotency_key: |row| row.idempotency_key.as_deref();
        description: |row| row.description.as_deref();
        reference: |row| row.reference.as_deref();
        details: |row| row.details.as_deref();
        texts_digest: |row| row.texts_digest.as_deref();
        payload: |row| row.payload.as_deref();
    }
    let values = [
        Value::BigInt(anchor.position),
        Value::SmallInt(anchor.partition),
        Value::BigInt(anchor.epoch),
        Value::SmallInt(anchor.format),
        Value::BigInts(&account),
        Value::BigInts(&sequence),
        Value::SmallInts(&kind),
        Value::SmallInts(&format),
        Value::Integers(&writer),
        Value::MaybeBigInts(&entry_sequence),
        Value::BigInts(&amount),
        Value::BigInts(&posted_after),
        Value::MaybeBigInts(&held_after),
        Value::BigInts(&available_after),
        Value::MaybeBigInts(&bonus_after),
        Value::MaybeBigInts(&credit_limit_after),
        Value::MaybeBigInts(&promised_after),
        Value::MaybeBigInts(&not_due_after),
        Value::MaybeBigInts(&overdue_after),
        Value::MaybeIntegers(&counter),
        Value::MaybeIntegers(&category),
        Value::MaybeIntegers(&created_by),
        Value::MaybeIntegers(&booking_date),
        Value::MaybeBigInts(&occurred_at),
        Value::BigInts(&recorded_at),
        Value::MaybeBinaries(&key_hash),
        Value::MaybeTexts(&idempotency_key),
        Value::MaybeTexts(&description),
        Value::MaybeTexts(&reference),
        Value::MaybeTexts(&details),
        Value::MaybeBinaries(&texts_digest),
        Value::MaybeTexts(&payload),
        Value::Binaries(&hash),
        Value::Binary(&anchor.hash),
    ];
    Statement::<_>::new(Append, include_str!("append.sql"), &values).execute(c)
}

fn sparse<'a, T>(rows: &[&'a JournalRow], get: impl Fn(&'a JournalRow) -> Option<T>) -> Vec<Option<T>> {
    let column: Vec<_> = rows.iter().map(|row| get(row)).collect();
    if column.iter().all(Option::is_none) { Vec::new() } else { column }
}

/// SQLite has one writer at a time, so look first and insert after: nothing can come between. Its rows go one by one
/// through one prepared statement.
fn append_sqlite(c: &mut SqliteConnection, anchor: &Anchor, rows: &[&JournalRow]) -> QueryResult<usize> {
    let ours = partitions::table
        .filter(partitions::partition.eq(anchor.partition))
        .filter(partitions::epoch.eq(anchor.epoch))
        .filter(partitions::format.le(anchor.format))
        .select(partitions::partition)
        .first::<i16>(c)
        .optional()?;
    let predecessor = journal::table
        .filter(journal::partition.eq(anchor.partition))
        .filter(journal::position.eq(anchor.position))
        .select(journal::hash)
        .first::<Vec<u8>>(c)
        .optional()?;
    if ours.is_none() || predecessor.as_deref() != Some(anchor.hash.as_slice()) {
        return Ok(0);
    }
    let mut inserted = 0;
    for row in rows {
        inserted += diesel::insert_into(journal::table).values(*row).execute(c)?;
    }
    Ok(inserted)
}
