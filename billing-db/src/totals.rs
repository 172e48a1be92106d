//! Sums over entries. A sum may be larger than what a column holds, so the upper and the lower half of the amounts are
//! summed each for itself; that way the statement is the same on both databases.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use crate::backend::{Conn, on_backend};
use crate::entries::payload;
use crate::error::DbError;
use crate::statement::{Composed, Value};

/// What was booked against a counter account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turnover {
    /// The counter account.
    pub counter: i32,
    /// The sum of the positive amounts.
    pub debits: i128,
    /// The sum of the negative amounts, zero or below.
    pub credits: i128,
}

/// The tax contained in what was booked against a counter account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxTurnover {
    /// The counter account.
    pub counter: i32,
    /// The code of the tax.
    pub code: String,
    /// The tax in entries with a positive amount.
    pub debits: i128,
    /// The tax in entries with a negative amount, with the sign it is stored with.
    pub credits: i128,
}

type HalvesSql = (Nullable<BigInt>, Nullable<BigInt>);

/// A sum in two halves; none without any entry.
#[derive(Clone, Copy, Debug, Queryable)]
struct Halves {
    high: Option<i64>,
    low: Option<i64>,
}

/// What was booked in a currency from one day to another, both included, by counter account.
pub fn turnover(
    conn: &mut Conn<'_>,
    partition: i16,
    from_date: i32,
    to_date: i32,
    currency: &str,
) -> Result<Vec<Turnover>, DbError> {
    let mut query = Composed::new(&format!("select j.counter, {}", signed_halves("j.amount")), []);
    add_period(&mut query, partition, (from_date, to_date), currency);
    query.push(" group by j.counter order by j.counter", []);
    let rows: Vec<(i32, Halves, Halves)> =
        on_backend!(conn, |c| query.statement::<(Integer, HalvesSql, HalvesSql)>().load(c))?;
    Ok(rows
        .into_iter()
        .map(|(counter, debits, credits)| Turnover { counter, debits: debits.whole(), credits: credits.whole() })
        .collect())
}

/// The tax contained in it, by counter account and code of the tax.
pub fn tax_turnover(
    conn: &mut Conn<'_>,
    partition: i16,
    from_date: i32,
    to_date: i32,
    currency: &str,
) -> Result<Vec<TaxTurnover>, DbError> {
    let tax = format!("({} -> 'tax')", payload(conn.backend()));
    let code = format!("cast({tax} ->> 'code' as text)");
    let halves = signed_halves(&format!("cast({tax} ->> 'amount' as bigint)"));
    let mut query = Composed::new(&format!("select j.counter, {code} as code, {halves}"), []);
    add_period(&mut query, partition, (from_date, to_date), currency);
    query.push(&format!(" and {tax} ->> 'code' is not null group by j.counter, {code} order by j.counter, {code}"), []);
    let rows: Vec<(i32, String, Halves, Halves)> =
        on_backend!(conn, |c| query.statement::<(Integer, Text, HalvesSql, HalvesSql)>().load(c))?;
    Ok(rows
        .into_iter()
        .map(|(counter, code, debits, credits)| TaxTurnover {
            counter,
            code,
            debits: debits.whole(),
            credits: credits.whole(),
        })
        .collect())
}

/// The sum of an account's entries that happened at or before an instant.
pub fn posted_sum_by_occurred(conn: &mut Conn<'_>, partition: i16, account: i64, at: i64) -> Result<i64, DbError> {
    let query = Composed::new(
        &format!(
            "select {}, {} from journal j where j.partition = ? and j.account = ? and j.kind between 1 and 13
                and coalesce(j.occurred_at, j.recorded_at) <= ?",
            high("j.amount", ""),
            low("j.amount", "")
        ),
        [Value::SmallInt(partition), Value::BigInt(account), Value::BigInt(at)],
    );
    let sum: Halves = on_backend!(conn, |c| query.statement::<HalvesSql>().get_result(c))?;
    i64::try_from(sum.whole()).map_err(|_| DbError::Invariant("a balance does not fit into 64 bits".to_owned()))
}

fn add_period<'a>(query: &mut Composed<'a>, partition: i16, (from, to): (i32, i32), currency: &'a str) {
    query.push(
        " from journal j join accounts a on a.partition = ? and a.account = j.account
        where j.partition = ? and j.kind between 1 and 13 and j.booking_date between ? and ? and a.currency = ?",
        [
            Value::SmallInt(partition),
            Value::SmallInt(partition),
            Value::Integer(from),
            Value::Integer(to),
            Value::Text(currency),
        ],
    );
}

/// The halves of two sums of `amount`: over the entries with positive and with negative amounts.
fn signed_halves(amount: &str) -> String {
    let [debits, credits] = ["filter (where j.amount > 0)", "filter (where j.amount < 0)"];
    format!("{}, {}, {}, {}", high(amount, debits), low(amount, debits), high(amount, credits), low(amount, credits))
}

/// Shifting keeps the sign, and the lower half is never negative: together they are the amount again.
fn high(amount: &str, filter: &str) -> String {
    format!("cast(sum({amount} >> 32) {filter} as bigint)")
}

fn low(amount: &str, filter: &str) -> String {
    format!("cast(sum({amount} & 4294967295) {filter} as bigint)")
}

impl Halves {
    fn whole(self) -> i128 {
        (i128::from(self.high.unwrap_or(0)) << 32) + i128::from(self.low.unwrap_or(0))
    }
}
