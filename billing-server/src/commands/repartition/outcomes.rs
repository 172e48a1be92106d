//! Remembered refusals, in the order of their keys. The one query outside `billing-db`: only this command reads them all.

use billing_db::{Conn, DbError, OutcomeRow};
use diesel::sql_types::{BigInt, Binary, SmallInt, Text};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    account: i64,
    #[diesel(sql_type = Binary)]
    key_hash: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    recorded_at: i64,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Text)]
    content: String,
    #[diesel(sql_type = Text)]
    details: String,
}

/// The refusals of a partition whose keys come after one.
pub(super) fn after(
    conn: &mut Conn<'_>,
    partition: i16,
    key_hash: &[u8],
    limit: i64,
) -> Result<Vec<OutcomeRow>, DbError> {
    macro_rules! select {
        ($partition:literal, $after:literal, $limit:literal) => {
            sql_query(concat!(
                "select account, key_hash, recorded_at, reason, content, details from outcomes where partition = ",
                $partition,
                " and key_hash > ",
                $after,
                " order by key_hash limit ",
                $limit
            ))
            .bind::<SmallInt, _>(partition)
            .bind::<Binary, _>(key_hash)
            .bind::<BigInt, _>(limit)
        };
    }
    let rows: Vec<Row> = match conn {
        Conn::Postgres(c) => select!("$1", "$2", "$3").load(*c)?,
        Conn::Sqlite(c) => select!("?1", "?2", "?3").load(*c)?,
    };
    let of = |row: Row| OutcomeRow {
        partition,
        account: row.account,
        key_hash: row.key_hash,
        recorded_at: row.recorded_at,
        reason: row.reason,
        content: row.content,
        details: row.details,
    };
    Ok(rows.into_iter().map(of).collect())
}
