//! The changes of the tables beside the journal, made in the transaction that appends the rows saying so.

use std::collections::HashMap;
use std::mem::discriminant;

use diesel::prelude::*;

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::{AccountRow, DueRow, HoldRow, NameRow, OutcomeRow, ReversalRow};
use crate::schema::{
    accounts as accounts_table, holds as holds_table, journal, outcomes as outcomes_table, partitions,
};
use crate::statement::{Statement, StatementId, Value};
use crate::{accounts, due, holds, names, outcomes, reversals};

/// A change of a table beside the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new account.
    InsertAccount(AccountRow),
    /// The account as it is from now on; it must exist.
    UpdateAccount(AccountRow),
    /// The hold as it is from now on, new or not.
    PutHold(HoldRow),
    /// How much of an entry is reversed from now on.
    PutReversal(ReversalRow),
    /// A new name of the dictionary.
    InsertName(NameRow),
    /// A refusal to remember.
    InsertOutcome(OutcomeRow),
    /// Something that will fall due; may stand there already.
    InsertDue(DueRow),
    /// Something that no longer falls due; may be gone already.
    DeleteDue(DueRow),
    /// The books of a partition are closed up to and with a day.
    CloseBooks {
        /// The partition.
        partition: i16,
        /// The last closed day.
        until: i32,
    },
    /// What a person wrote about an account is forgotten: the texts of its rows, its holds and itself, and its refusals.
    EraseTexts {
        /// The partition.
        partition: i16,
        /// The account.
        account: i64,
        /// The rows that had texts, by position, with the digest that takes their place.
        digests: Vec<(i64, Vec<u8>)>,
    },
}

impl Change {
    fn partition(&self) -> i16 {
        match self {
            Change::InsertAccount(row) | Change::UpdateAccount(row) => row.partition,
            Change::PutHold(row) => row.partition,
            Change::PutReversal(row) => row.partition,
            Change::InsertName(row) => row.partition,
            Change::InsertOutcome(row) => row.partition,
            Change::InsertDue(row) | Change::DeleteDue(row) => row.partition,
            Change::CloseBooks { partition, .. } | Change::EraseTexts { partition, .. } => *partition,
        }
    }
}

/// Makes the changes, in order. A run of changes of the same kind is one statement on PostgreSQL. Belongs in a
/// transaction.
pub fn apply(conn: &mut Conn<'_>, changes: &[Change]) -> Result<(), DbError> {
    let runs = changes.chunk_by(|a, b| discriminant(a) == discriminant(b) && a.partition() == b.partition());
    for run in runs {
        apply_run(conn, run)?;
    }
    Ok(())
}

fn apply_run(conn: &mut Conn<'_>, run: &[Change]) -> Result<(), DbError> {
    macro_rules! rows {
        ($variant:ident) => {
            run.iter()
                .filter_map(|change| if let Change::$variant(row) = change { Some(row) } else { None })
                .collect::<Vec<_>>()
        };
    }
    let Some(first) = run.first() else {
        return Ok(());
    };
    let partition = first.partition();
    match first {
        Change::InsertAccount(_) => all_of(accounts::insert(conn, partition, &rows!(InsertAccount))?, run.len()),
        Change::UpdateAccount(_) => {
            // The last state of an account is the one that counts.
            let latest: HashMap<i64, &AccountRow> =
                rows!(UpdateAccount).into_iter().map(|row| (row.account, row)).collect();
            let mut latest: Vec<&AccountRow> = latest.into_values().collect();
            latest.sort_unstable_by_key(|row| row.account);
            all_of(accounts::update(conn, partition, &latest)?, latest.len())
        }
        Change::PutHold(_) => holds::put(conn, partition, &rows!(PutHold)),
        Change::PutReversal(_) => rows!(PutReversal).into_iter().try_for_each(|row| reversals::put(conn, *row)),
        Change::InsertName(_) => all_of(names::insert(conn, partition, &rows!(InsertName))?, run.len()),
        Change::InsertOutcome(_) => all_of(outcomes::insert(conn, partition, &rows!(InsertOutcome))?, run.len()),
        Change::InsertDue(_) => due::insert(conn, partition, &rows!(InsertDue)),
        Change::DeleteDue(_) => due::delete(conn, partition, &rows!(DeleteDue)),
        Change::CloseBooks { .. } | Change::EraseTexts { .. } => {
            run.iter().try_for_each(|change| apply_one(conn, change))
        }
    }
}

fn apply_one(conn: &mut Conn<'_>, change: &Change) -> Result<(), DbError> {
    match change {
        Change::CloseBooks { partition, until } => {
            on_backend!(conn, |c| {
                diesel::update(partitions::table.find(partition))
                    .set(partitions::closed_until.eq(Some(until)))
                    .execute(c)
            })?;
            Ok(())
        }
        Change::EraseTexts { partition, account, digests } => erase_texts(conn, *partition, *account, digests),
        _ => Err(DbError::Invariant("a change that belongs in a run".to_owned())),
    }
}

fn all_of(done: usize, asked: usize) -> Result<(), DbError> {
    if done == asked { Ok(()) } else { Err(DbError::Invariant(format!("{done} of {asked} rows were changed"))) }
}

fn erase_texts(conn: &mut Conn<'_>, partition: i16, account: i64, digests: &[(i64, Vec<u8>)]) -> Result<(), DbError> {
    let erased = match conn {
        Conn::Postgres(c) => erase_journal_postgres(c, partition, account, digests)?,
        Conn::Sqlite(c) => {
            let mut erased = 0;
            for (position, digest) in digests {
                erased += diesel::update(journal::table.find((partition, position)))
                    .filter(journal::account.eq(account))
                    .set((
                        journal::description.eq(None::<&str>),
                        journal::reference.eq(None::<&str>),
                        journal::details.eq(None::<&str>),
                        journal::texts_digest.eq(Some(digest)),
                    ))
                    .execute(*c)?;
            }
            erased
        }
    };
    all_of(erased, digests.len())?;
    on_backend!(conn, |c| {
        diesel::update(holds_table::table)
            .filter(holds_table::partition.eq(partition))
            .filter(holds_table::account.eq(account))
            .set((
                holds_table::description.eq(None::<&str>),
                holds_table::reference.eq(None::<&str>),
                holds_table::metadata.eq(None::<&str>),
            ))
            .execute(c)?;
        diesel::update(accounts_table::table.find((partition, account)))
            .set((
                accounts_table::display_name.eq(None::<&str>),
                accounts_table::billing_details.eq(None::<&str>),
                accounts_table::metadata.eq(None::<&str>),
                accounts_table::secret.eq(None::<&[u8]>),
            ))
            .execute(c)?;
        diesel::delete(outcomes_table::table)
            .filter(outcomes_table::partition.eq(partition))
            .filter(outcomes_table::account.eq(account))
            .execute(c)
    })?;
    Ok(())
}

fn erase_journal_postgres(
    c: &mut PgConnection,
    partition: i16,
    account: i64,
    digests: &[(i64, Vec<u8>)],
) -> QueryResult<usize> {
    struct EraseTexts;
    impl StatementId for EraseTexts {}
    const SQL: &str = "update journal j
        set description = null, reference = null, details = null, texts_digest = t.digest
        from unnest($1::bigint[], $2::bytea[]) as t(position, digest)
        where j.partition = $3 and j.account = $4 and j.position = t.position";
    let positions: Vec<i64> = digests.iter().map(|(position, _)| *position).collect();
    let digests: Vec<&[u8]> = digests.iter().map(|(_, digest)| digest.as_slice()).collect();
    let values =
        [Value::BigInts(&positions), Value::Binaries(&digests), Value::SmallInt(partition), Value::BigInt(account)];
    Statement::<_>::new(EraseTexts, SQL, &values).execute(c)
}
