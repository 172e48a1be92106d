//! Entries: the rows of the journal that move money (kinds 1 to 13).

use diesel::prelude::*;

use crate::backend::{Backend, Conn, on_backend};
use crate::error::DbError;
use crate::journal::journal_columns;
use crate::rows::JournalRow;
use crate::schema::journal;
use crate::statement::{Composed, Value};
use crate::text;

/// Which entries a list holds; what is `None` or empty does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Of this account.
    pub account: Option<i64>,
    /// Recorded at or after this instant.
    pub recorded_from: Option<i64>,
    /// Recorded before this instant.
    pub recorded_to: Option<i64>,
    /// Booked on or after this day.
    pub booking_from: Option<i32>,
    /// Booked on or before this day.
    pub booking_to: Option<i32>,
    /// Of one of these kinds.
    pub kinds: Vec<i16>,
    /// Of one of these categories.
    pub categories: Vec<i32>,
    /// Against this counter account.
    pub counter: Option<i32>,
    /// Of at least this amount, whatever its sign.
    pub min_amount: Option<i64>,
    /// Of at most this amount, whatever its sign.
    pub max_amount: Option<i64>,
    /// Whose payload names this invoice.
    pub invoice_id: Option<String>,
    /// Whose payload names this hold.
    pub hold_id: Option<String>,
    /// Whose description or reference contains this, in any case.
    pub text: Option<String>,
}

/// An account's entries a filter lets through, by sequence from after one on, forwards or backwards.
pub fn list_of_account(
    conn: &mut Conn<'_>,
    partition: i16,
    account: i64,
    filter: &EntryFilter,
    after_sequence: Option<i64>,
    ascending: bool,
    limit: i64,
) -> Result<Vec<JournalRow>, DbError> {
    let filter = EntryFilter { account: Some(account), ..filter.clone() };
    select(conn, partition, &filter, &Page { column: "j.sequence", after: after_sequence, ascending, limit })
}

/// A partition's entries a filter lets through, by position from after one on, forwards or backwards.
pub fn find(
    conn: &mut Conn<'_>,
    partition: i16,
    filter: &EntryFilter,
    after_position: Option<i64>,
    ascending: bool,
    limit: i64,
) -> Result<Vec<JournalRow>, DbError> {
    select(conn, partition, filter, &Page { column: "j.position", after: after_position, ascending, limit })
}

struct Page {
    column: &'static str,
    after: Option<i64>,
    ascending: bool,
    limit: i64,
}

fn select(conn: &mut Conn<'_>, partition: i16, filter: &EntryFilter, page: &Page) -> Result<Vec<JournalRow>, DbError> {
    const HEAD: &str = concat!("select ", journal_columns!(), " from journal j where j.partition = ?");
    let backend = conn.backend();
    let lower = filter.text.as_deref().map(str::to_lowercase);
    let mut query = Composed::new(HEAD, [Value::SmallInt(partition)]);
    query.and("j.account = ?", filter.account.map(Value::BigInt));
    add_conditions(&mut query, backend, filter);
    if let Some(lower) = &lower {
        let contains = text::any_contains(backend, ["j.description", "j.reference"]);
        query.push(&format!(" and {contains}"), [Value::Text(lower), Value::Text(lower)]);
    }
    let (beyond, order) = if page.ascending { (">", "asc") } else { ("<", "desc") };
    let column = page.column;
    query.and(&format!("{column} {beyond} ?"), page.after.map(Value::BigInt));
    query.push(&format!(" order by {column} {order} limit ?"), [Value::BigInt(page.limit)]);
    Ok(on_backend!(conn, |c| query.statement::<journal::SqlType>().load(c))?)
}

fn add_conditions<'a>(query: &mut Composed<'a>, backend: Backend, filter: &'a EntryFilter) {
    let payload = payload(backend);
    if filter.kinds.is_empty() {
        query.push(" and j.kind between 1 and 13", []);
    } else {
        query.push(" and j.kind between 1 and 13 and j.kind in ", []);
        query.push(&marks(filter.kinds.len()), filter.kinds.iter().copied().map(Value::SmallInt));
    }
    if !filter.categories.is_empty() {
        query.push(" and j.category in ", []);
        query.push(&marks(filter.categories.len()), filter.categories.iter().copied().map(Value::Integer));
    }
    query.and("j.recorded_at >= ?", filter.recorded_from.map(Value::BigInt));
    query.and("j.recorded_at < ?", filter.recorded_to.map(Value::BigInt));
    query.and("j.booking_date >= ?", filter.booking_from.map(Value::Integer));
    query.and("j.booking_date <= ?", filter.booking_to.map(Value::Integer));
    query.and("j.counter = ?", filter.counter.map(Value::Integer));
    query.and("abs(j.amount) >= ?", filter.min_amount.map(Value::BigInt));
    query.and("abs(j.amount) <= ?", filter.max_amount.map(Value::BigInt));
    query.and(&format!("({payload} ->> 'invoice_id') = ?"), filter.invoice_id.as_deref().map(Value::Text));
    query.and(&format!("({payload} ->> 'hold_id') = ?"), filter.hold_id.as_deref().map(Value::Text));
}

/// The payload as JSON: PostgreSQL keeps it as text too, because exactly its bytes were hashed.
pub(crate) fn payload(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "cast(j.payload as json)",
        Backend::Sqlite => "j.payload",
    }
}

fn marks(count: usize) -> String {
    format!("({})", vec!["?"; count].join(", "))
}
