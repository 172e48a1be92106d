//! Reading the journal.

use diesel::prelude::*;

pub use crate::append::{Anchor, append};
use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::JournalRow;
use crate::schema::{journal, partitions};
use crate::statement::{Statement, StatementId, Value};

/// The newest row of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Tail {
    /// Its position.
    pub position: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// When it was recorded.
    pub recorded_at: i64,
}

/// The columns of the journal under the alias `j`, in the order of [`JournalRow`].
macro_rules! journal_columns {
    () => {
        "j.partition, j.position, j.account, j.sequence, j.kind, j.format, j.writer, j.entry_sequence, j.amount, \
         j.posted_after, j.held_after, j.available_after, j.bonus_after, j.credit_limit_after, j.promised_after, \
         j.not_due_after, j.overdue_after, j.counter, j.category, j.created_by, j.booking_date, j.occurred_at, \
         j.recorded_at, j.key_hash, j.idempotency_key, j.description, j.reference, j.details, j.texts_digest, \
         j.payload, j.hash"
    };
}
pub(crate) use journal_columns;

/// An account's sequence has no gaps, and positions and instants rise with it: so the newest row at or below a bound is
/// found by halving the sequence, in some twenty look-ups of the index for a million rows, in one round trip.
macro_rules! bisect {
    ($column:literal) => {
        concat!(
            "with recursive search(low, high) as (
                select cast(0 as bigint), (select max(m.sequence) from journal m where m.partition = $1 and m.account = $2)
                union all
                select case when h.",
            $column,
            " <= $3 then h.sequence else s.low end, case when h.",
            $column,
            " <= $3 then s.high else h.sequence - 1 end
                from search s
                join journal h on h.partition = $1 and h.account = $2 and h.sequence = (s.low + s.high + 1) / 2
                where s.low < s.high
            )
            select ",
            journal_columns!(),
            " from journal j
            where j.partition = $1 and j.account = $2
                and j.sequence = (select low from search where low = high) and j.",
            $column,
            " <= $3"
        )
    };
}

/// The newest row of a partition; none only when the partition does not exist.
pub fn tail(conn: &mut Conn<'_>, partition: i16) -> Result<Option<Tail>, DbError> {
    Ok(on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .order(journal::position.desc())
            .select((journal::position, journal::hash, journal::recorded_at))
            .first(c)
            .optional()
    })?)
}

/// The row at a position.
pub fn row_at(conn: &mut Conn<'_>, partition: i16, position: i64) -> Result<Option<JournalRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .filter(journal::position.eq(position))
            .select(JournalRow::as_select())
            .first(c)
            .optional()
    })?)
}

/// The rows at these positions, in order.
pub fn rows_at(conn: &mut Conn<'_>, partition: i16, positions: &[i64]) -> Result<Vec<JournalRow>, DbError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::with_capacity(positions.len());
    for chunk in positions.chunks(1_000) {
        rows.extend(on_backend!(conn, |c| {
            journal::table
                .filter(journal::partition.eq(partition))
                .filter(journal::position.eq_any(chunk))
                .select(JournalRow::as_select())
                .load(c)
        })?);
    }
    rows.sort_unstable_by_key(|row: &JournalRow| row.position);
    Ok(rows)
}

/// The rows above a position, in order.
pub fn rows_after(conn: &mut Conn<'_>, partition: i16, position: i64, limit: i64) -> Result<Vec<JournalRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .filter(journal::position.gt(position))
            .order(journal::position)
            .limit(limit)
            .select(JournalRow::as_select())
            .load(c)
    })?)
}

/// The sequence of an account's newest row; 0 when it has none.
pub fn last_sequence(conn: &mut Conn<'_>, partition: i16, account: i64) -> Result<i64, DbError> {
    let sequence = on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .filter(journal::account.eq(account))
            .order(journal::sequence.desc())
            .select(journal::sequence)
            .first(c)
            .optional()
    })?;
    Ok(sequence.unwrap_or(0))
}

/// An account's rows above a sequence, in order, as far as they stand at or below a position.
pub fn rows_of_account(
    conn: &mut Conn<'_>,
    partition: i16,
    account: i64,
    after_sequence: i64,
    up_to_position: i64,
    limit: i64,
) -> Result<Vec<JournalRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .filter(journal::account.eq(account))
            .filter(journal::sequence.gt(after_sequence))
            .filter(journal::position.le(up_to_position))
            .order(journal::sequence)
            .limit(limit)
            .select(JournalRow::as_select())
            .load(c)
    })?)
}

/// The row of an account with a sequence.
pub fn row_of(conn: &mut Conn<'_>, partition: i16, account: i64, sequence: i64) -> Result<Option<JournalRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        journal::table
            .filter(journal::partition.eq(partition))
            .filter(journal::account.eq(account))
            .filter(journal::sequence.eq(sequence))
            .select(JournalRow::as_select())
            .first(c)
            .optional()
    })?)
}

/// An account's newest row recorded at or before an instant.
pub fn last_row_at(
    conn: &mut Conn<'_>,
    partition: i16,
    account: i64,
    recorded_at: i64,
) -> Result<Option<JournalRow>, DbError> {
    struct LastRowAt;
    impl StatementId for LastRowAt {}
    const SQL: &str = bisect!("recorded_at");
    let values = [Value::SmallInt(partition), Value::BigInt(account), Value::BigInt(recorded_at)];
    Ok(on_backend!(conn, |c| {
        Statement::<_, journal::SqlType>::new(LastRowAt, SQL, &values).get_result(c).optional()
    })?)
}

/// An account's newest row at or below a position.
pub fn last_row_below(
    conn: &mut Conn<'_>,
    partition: i16,
    account: i64,
    position: i64,
) -> Result<Option<JournalRow>, DbError> {
    struct LastRowBelow;
    impl StatementId for LastRowBelow {}
    const SQL: &str = bisect!("position");
    let values = [Value::SmallInt(partition), Value::BigInt(account), Value::BigInt(position)];
    Ok(on_backend!(conn, |c| {
        Statement::<_, journal::SqlType>::new(LastRowBelow, SQL, &values).get_result(c).optional()
    })?)
}

/// Takes the partition's lock until the transaction ends. On SQLite a transaction has it already.
pub fn lock_partition(conn: &mut Conn<'_>, partition: i16) -> Result<(), DbError> {
    if let Conn::Postgres(c) = conn {
        partitions::table
            .filter(partitions::partition.eq(partition))
            .select(partitions::partition)
            .for_no_key_update()
            .first::<i16>(*c)?;
    }
    Ok(())
}
