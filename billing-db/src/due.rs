//! What will fall due.

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::DueRow;
use crate::schema::due;
use crate::statement::{Statement, StatementId, Value, column};

/// What is due at `now`, the oldest first.
pub fn next(conn: &mut Conn<'_>, partition: i16, now: i64, limit: i64) -> Result<Vec<DueRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        due::table
            .filter(due::partition.eq(partition))
            .filter(due::at.le(now))
            .order((due::at, due::kind, due::account, due::subject))
            .limit(limit)
            .select(DueRow::as_select())
            .load(c)
    })?)
}

/// When something falls due next.
pub fn earliest(conn: &mut Conn<'_>, partition: i16) -> Result<Option<i64>, DbError> {
    Ok(on_backend!(conn, |c| {
        due::table.filter(due::partition.eq(partition)).order(due::at).select(due::at).first(c).optional()
    })?)
}

/// Adds what will fall due; what stands there already stays.
pub(crate) fn insert(conn: &mut Conn<'_>, partition: i16, rows: &[&DueRow]) -> Result<(), DbError> {
    struct InsertDue;
    impl StatementId for InsertDue {}
    const SQL: &str = "insert into due as d (partition, at, kind, account, subject)
        select p.partition, t.at, t.kind, t.account, t.subject
        from unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::text[]) as t(at, kind, account, subject),
            (select partition from partitions where partition = $5) p
        on conflict do nothing";
    match conn {
        Conn::Postgres(c) => {
            with_columns(partition, rows, |values| Statement::<_>::new(InsertDue, SQL, values).execute(*c))?;
        }
        Conn::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(due::table).values(*row).on_conflict_do_nothing().execute(*c)?;
            }
        }
    }
    Ok(())
}

/// Takes away what is done; what is not there is no mistake.
pub(crate) fn delete(conn: &mut Conn<'_>, partition: i16, rows: &[&DueRow]) -> Result<(), DbError> {
    struct DeleteDue;
    impl StatementId for DeleteDue {}
    const SQL: &str = "delete from due d
        using unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::text[]) as t(at, kind, account, subject)
        where d.partition = $5 and d.at = t.at and d.kind = t.kind and d.account = t.account and d.subject = t.subject";
    match conn {
        Conn::Postgres(c) => {
            with_columns(partition, rows, |values| Statement::<_>::new(DeleteDue, SQL, values).execute(*c))?;
        }
        Conn::Sqlite(c) => {
            for row in rows {
                let key = (partition, row.at, row.kind, row.account, row.subject.as_str());
                diesel::delete(due::table.find(key)).execute(*c)?;
            }
        }
    }
    Ok(())
}

fn with_columns<T>(partition: i16, rows: &[&DueRow], run: impl FnOnce(&[Value<'_>]) -> T) -> T {
    run(&[
        Value::BigInts(&column(rows, |row| row.at)),
        Value::SmallInts(&column(rows, |row| row.kind)),
        Value::BigInts(&column(rows, |row| row.account)),
        Value::Texts(&column(rows, |row| row.subject.as_str())),
        Value::SmallInt(partition),
    ])
}
