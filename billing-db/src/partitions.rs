//! The partitions of a database and its settings.

use diesel::prelude::*;
use diesel::sql_types;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::PartitionRow;
use crate::schema::{partitions, settings};
use crate::statement::{ByText, Statement};

/// All partitions, in order.
pub fn all(conn: &mut Conn<'_>) -> Result<Vec<PartitionRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        partitions::table.order(partitions::partition).select(PartitionRow::as_select()).load(c)
    })?)
}

/// Fences whoever writes a partition now: its next append finds another epoch. Returns the new epoch.
pub fn raise_epoch(conn: &mut Conn<'_>, partition: i16) -> Result<i64, DbError> {
    Ok(on_backend!(conn, |c| {
        diesel::update(partitions::table.find(partition))
            .set(partitions::epoch.eq(partitions::epoch + 1))
            .returning(partitions::epoch)
            .get_result(c)
    })?)
}

/// A setting of the database.
pub fn setting(conn: &mut Conn<'_>, name: &str) -> Result<Option<String>, DbError> {
    Ok(on_backend!(conn, |c| settings::table.find(name).select(settings::value).first(c).optional())?)
}

/// Sets a setting of the database.
pub fn put_setting(conn: &mut Conn<'_>, name: &str, value: &str) -> Result<(), DbError> {
    on_backend!(conn, |c| {
        diesel::insert_into(settings::table)
            .values((settings::name.eq(name), settings::value.eq(value)))
            .on_conflict(settings::name)
            .do_update()
            .set(settings::value.eq(value))
            .execute(c)
    })?;
    Ok(())
}

/// 32 hexadecimal digits nobody has had before, by the database's own source of randomness.
pub(crate) fn random_id(conn: &mut Conn<'_>) -> Result<String, DbError> {
    let sql = match conn {
        Conn::Postgres(_) => "select replace(cast(gen_random_uuid() as text), '-', '')",
        Conn::Sqlite(_) => "select lower(hex(randomblob(16)))",
    };
    Ok(on_backend!(conn, |c| Statement::<_, sql_types::Text>::new(ByText, sql, &[]).get_result(c))?)
}
