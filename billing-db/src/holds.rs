//! Holds: reservations, open and closed.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::HoldRow;
use crate::schema::holds;
use crate::statement::{Composed, Statement, StatementId, Value, column};

/// The `state` of a hold that is open, as far as its row says.
const OPEN: i16 = 1;
/// The `state` of a hold whose time is over.
const EXPIRED: i16 = 4;

/// The columns of `holds` under the alias `h`, in the order of [`HoldRow`].
macro_rules! hold_columns {
    () => {
        "h.partition, h.account, h.hold_id, h.placed_sequence, h.state, h.amount, h.captured, h.expires_at, h.placed_at, \
         h.updated_at, h.category, h.description, h.reference, h.metadata"
    };
}
pub(crate) use hold_columns;

/// The holds of an account with these ids; those that do not exist are left out.
pub fn find(conn: &mut Conn<'_>, partition: i16, account: i64, hold_ids: &[&str]) -> Result<Vec<HoldRow>, DbError> {
    let mut rows = Vec::with_capacity(hold_ids.len());
    for chunk in hold_ids.chunks(1_000) {
        rows.extend(on_backend!(conn, |c| {
            holds::table
                .filter(holds::partition.eq(partition))
                .filter(holds::account.eq(account))
                .filter(holds::hold_id.eq_any(chunk))
                .select(HoldRow::as_select())
                .load::<HoldRow>(c)
        })?);
    }
    Ok(rows)
}

/// Which holds a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Of this account.
    pub account: i64,
    /// In one of these states, as `now` sees them; empty: in any.
    pub states: Vec<i16>,
    /// An open hold that ends at this instant or before counts as expired, whether or not its row says so yet.
    pub now: i64,
}

/// The holds a filter lets through, the one placed last first, of several placed at once the one with the greatest id.
/// With `before`, an instant of placing and an id, only those that follow that one.
pub fn list(
    conn: &mut Conn<'_>,
    partition: i16,
    filter: &HoldFilter,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<HoldRow>, DbError> {
    const HEAD: &str = concat!("select ", hold_columns!(), " from holds h where h.partition = ? and h.account = ?");
    let mut query = Composed::new(HEAD, [Value::SmallInt(partition), Value::BigInt(filter.account)]);
    if !filter.states.is_empty() {
        query.push(" and (", []);
        for (index, state) in filter.states.iter().enumerate() {
            query.push(if index == 0 { "" } else { " or " }, []);
            push_state(&mut query, *state, filter.now);
        }
        query.push(")", []);
    }
    if let Some((placed_at, hold_id)) = before {
        query.push(" and (h.placed_at, h.hold_id) < (?, ?)", [Value::BigInt(placed_at), Value::Text(hold_id)]);
    }
    query.push(" order by h.placed_at desc, h.hold_id desc limit ?", [Value::BigInt(limit)]);
    Ok(on_backend!(conn, |c| query.statement::<holds::SqlType>().load(c))?)
}

/// Adds that a hold is in a state as `now` sees it. `state = 1` stands in the text, because the partial index needs to
/// see it.
fn push_state(query: &mut Composed<'_>, state: i16, now: i64) {
    match state {
        OPEN => query.push("(h.state = 1 and h.expires_at > ?)", [Value::BigInt(now)]),
        EXPIRED => {
            let values = [Value::SmallInt(EXPIRED), Value::BigInt(now)];
            query.push("h.state = ? or (h.state = 1 and h.expires_at <= ?)", values);
        }
        other => query.push("h.state = ?", [Value::SmallInt(other)]),
    }
}

/// Inserts or replaces holds; of several states of one hold the last one counts.
pub(crate) fn put(conn: &mut Conn<'_>, partition: i16, rows: &[&HoldRow]) -> Result<(), DbError> {
    let latest: HashMap<_, _> = rows.iter().map(|row| ((row.account, row.hold_id.as_str()), *row)).collect();
    let mut rows: Vec<&HoldRow> = latest.into_values().collect();
    // Always in the same order, so that the statements of two servers never wait for each other in a circle.
    rows.sort_unstable_by_key(|row| (row.account, &row.hold_id));
    match conn {
        Conn::Postgres(c) => {
            put_postgres(c, partition, &rows)?;
        }
        Conn::Sqlite(c) => {
            for row in &rows {
                diesel::insert_into(holds::table)
                    .values(*row)
                    .on_conflict((holds::partition, holds::account, holds::hold_id))
                    .do_update()
                    .set(*row)
                    .execute(*c)?;
            }
        }
    }
    Ok(())
}

fn put_postgres(c: &mut PgConnection, partition: i16, rows: &[&HoldRow]) -> QueryResult<usize> {
    struct PutHolds;
    impl StatementId for PutHolds {}
    let values = [
        Value::BigInts(&column(rows, |row| row.account)),
        Value::Texts(&column(rows, |row| row.hold_id.as_str())),
        Value::BigInts(&column(rows, |row| row.placed_sequence)),
        Value::SmallInts(&column(rows, |row| row.state)),
        Value::BigInts(&column(rows, |row| row.amount)),
        Value::BigInts(&column(rows, |row| row.captured)),
        Value::BigInts(&column(rows, |row| row.expires_at)),
        Value::BigInts(&column(rows, |row| row.placed_at)),
        Value::BigInts(&column(rows, |row| row.updated_at)),
        Value::MaybeTexts(&column(rows, |row| row.category.as_deref())),
        Value::MaybeTexts(&column(rows, |row| row.description.as_deref())),
        Value::MaybeTexts(&column(rows, |row| row.reference.as_deref())),
        Value::MaybeTexts(&column(rows, |row| row.metadata.as_deref())),
        Value::SmallInt(partition),
    ];
    Statement::<_>::new(PutHolds, include_str!("holds_put.sql"), &values).execute(c)
}
