//! The database's clock.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::backend::Conn;
use crate::error::DbError;

/// What time it is at the database, in microseconds since the Unix epoch; `None` on SQLite, which has no other clock than
/// this machine's.
pub fn now(conn: &mut Conn<'_>) -> Result<Option<i64>, DbError> {
    match conn {
        Conn::Postgres(c) => {
            let now = diesel::dsl::sql::<BigInt>("cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)");
            Ok(Some(diesel::select(now).get_result(*c)?))
        }
        Conn::Sqlite(_) => Ok(None),
    }
}
