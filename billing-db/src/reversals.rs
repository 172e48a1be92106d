//! How much of an entry was reversed.

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::ReversalRow;
use crate::schema::reversals;

/// How much of the account's entries of these numbers was reversed; what was not is not in the answer.
pub fn find(conn: &mut Conn<'_>, partition: i16, account: i64, sequences: &[i64]) -> Result<Vec<ReversalRow>, DbError> {
    Ok(on_backend!(conn, |c| {
        reversals::table
            .filter(reversals::partition.eq(partition))
            .filter(reversals::account.eq(account))
            .filter(reversals::sequence.eq_any(sequences))
            .select(ReversalRow::as_select())
            .load(c)
    })?)
}

/// States how much of an entry is reversed from now on.
pub(crate) fn put(conn: &mut Conn<'_>, row: ReversalRow) -> Result<(), DbError> {
    on_backend!(conn, |c| {
        diesel::insert_into(reversals::table)
            .values(row)
            .on_conflict((reversals::partition, reversals::account, reversals::sequence))
            .do_update()
            .set(reversals::reversed.eq(row.reversed))
            .execute(c)
    })?;
    Ok(())
}
