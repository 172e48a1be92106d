//! The dictionary of a partition.

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::NameRow;
use crate::schema::names;
use crate::statement::{Statement, StatementId, Value, column};

/// All names, in the order of their numbers.
pub fn all(conn: &mut Conn<'_>, partition: i16) -> Result<Vec<NameRow>, DbError> {
    after(conn, partition, 0)
}

/// The names with numbers above one, in the order of their numbers.
pub fn after(conn: &mut Conn<'_>, partition: i16, name_id: i32) -> Result<Vec<NameRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        names::table
            .filter(names::partition.eq(partition))
            .filter(names::name_id.gt(name_id))
            .order(names::name_id)
            .select(NameRow::as_select())
            .load(c)
    })?)
}

/// Adds names.
pub(crate) fn insert(conn: &mut Conn<'_>, partition: i16, rows: &[&NameRow]) -> Result<usize, DbError> {
    struct InsertNames;
    impl StatementId for InsertNames {}
    const SQL: &str = "insert into names (partition, name_id, name)
        select p.partition, t.name_id, t.name
        from unnest($1::integer[], $2::text[]) as t(name_id, name),
            (select partition from partitions where partition = $3) p";
    Ok(match conn {
        Conn::Postgres(c) => {
            let values = [
                Value::Integers(&column(rows, |row| row.name_id)),
                Value::Texts(&column(rows, |row| row.name.as_str())),
                Value::SmallInt(partition),
            ];
            Statement::<_>::new(InsertNames, SQL, &values).execute(*c)?
        }
        Conn::Sqlite(c) => {
            let mut inserted = 0;
            for row in rows {
                inserted += diesel::insert_into(names::table).values(*row).execute(*c)?;
            }
            inserted
        }
    })
}
