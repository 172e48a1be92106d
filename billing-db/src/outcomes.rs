//! Refusals remembered for their idempotency key.

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::OutcomeRow;
use crate::schema::outcomes;
use crate::statement::{Statement, StatementId, Value, column};

/// Forgets at most `limit` refusals recorded before an instant; tells how many.
pub fn delete_before(conn: &mut Conn<'_>, partition: i16, recorded_at: i64, limit: i64) -> Result<usize, DbError> {
    struct DeleteBefore;
    impl StatementId for DeleteBefore {}
    const SQL: &str = "delete from outcomes where partition = $1 and key_hash in (
            select o.key_hash from outcomes o where o.partition = $1 and o.recorded_at < $2
            order by o.recorded_at limit $3
        )";
    let values = [Value::SmallInt(partition), Value::BigInt(recorded_at), Value::BigInt(limit)];
    Ok(on_backend!(conn, |c| Statement::<_>::new(DeleteBefore, SQL, &values).execute(c))?)
}

/// The refusals of a partition whose keys come after one, in the order of their keys.
pub fn after(conn: &mut Conn<'_>, partition: i16, key_hash: &[u8], limit: i64) -> Result<Vec<OutcomeRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        outcomes::table
            .filter(outcomes::partition.eq(partition))
            .filter(outcomes::key_hash.gt(key_hash))
            .order(outcomes::key_hash)
            .limit(limit)
            .select(OutcomeRow::as_select())
            .load(c)
    })?)
}

/// Adds refusals.
pub(crate) fn insert(conn: &mut Conn<'_>, partition: i16, rows: &[&OutcomeRow]) -> Result<usize, DbError> {
    struct InsertOutcomes;
    impl StatementId for InsertOutcomes {}
    const SQL: &str = "insert into outcomes (partition, account, key_hash, recorded_at, reason, content, details)
        select p.partition, t.account, t.key_hash, t.recorded_at, t.reason, t.content, t.details
        from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[])
                as t(account, key_hash, recorded_at, reason, content, details),
            (select partition from partitions where partition = $7) p";
    Ok(match conn {
        Conn::Postgres(c) => {
            let values = [
                Value::BigInts(&column(rows, |row| row.account)),
                Value::Binaries(&column(rows, |row| row.key_hash.as_slice())),
                Value::BigInts(&column(rows, |row| row.recorded_at)),
                Value::Texts(&column(rows, |row| row.reason.as_str())),
                Value::Texts(&column(rows, |row| row.content.as_str())),
                Value::Texts(&column(rows, |row| row.details.as_str())),
                Value::SmallInt(partition),
            ];
            Statement::<_>::new(InsertOutcomes, SQL, &values).execute(*c)?
        }
        Conn::Sqlite(c) => {
            let mut inserted = 0;
            for row in rows {
                inserted += diesel::insert_into(outcomes::table).values(*row).execute(*c)?;
            }
            inserted
        }
    })
}
