//! The heads of accounts: who they are, and their newest row, which is their balance.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt};

use crate::backend::{Conn, on_backend};
use crate::error::DbError;
use crate::rows::{AccountRow, HoldRow};
use crate::schema::{accounts, holds};
use crate::statement::{Composed, Statement, StatementId, Value, json_numbers, json_texts};

/// An account and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct HeadRow {
    /// Identity and settings.
    pub account: AccountRow,
    /// The newest row.
    pub last: LastRow,
}

/// What matters of an account's newest row; the columns mean what they mean in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
#[allow(missing_docs)]
pub struct LastRow {
    pub position: i64,
    pub sequence: i64,
    pub kind: i16,
    pub entry_sequence: Option<i64>,
    pub posted_after: i64,
    pub held_after: Option<i64>,
    pub available_after: i64,
    pub bonus_after: Option<i64>,
    pub credit_limit_after: Option<i64>,
    pub promised_after: Option<i64>,
    pub not_due_after: Option<i64>,
    pub overdue_after: Option<i64>,
    pub recorded_at: i64,
}

type MaybeBigInt = Nullable<BigInt>;
type LastSql = (
    BigInt,
    BigInt,
    SmallInt,
    MaybeBigInt,
    BigInt,
    MaybeBigInt,
    BigInt,
    MaybeBigInt,
    MaybeBigInt,
    MaybeBigInt,
    MaybeBigInt,
    MaybeBigInt,
    BigInt,
);
type HeadSql = (accounts::SqlType, LastSql);

/// Whose balances a snapshot holds: the accounts of these customers and these accounts; everybody when both are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceFilter {
    /// All accounts of these customers.
    pub customer_ids: Vec<String>,
    /// These accounts.
    pub account_ids: Vec<String>,
}

macro_rules! head_columns {
    () => {
        concat!(
            "select ",
            $crate::accounts::account_columns!(),
            ", j.position, j.sequence, j.kind, j.entry_sequence, j.posted_after, j.held_after, j.available_after, \
             j.bonus_after, j.credit_limit_after, j.promised_after, j.not_due_after, j.overdue_after, j.recorded_at "
        )
    };
}

macro_rules! postgres_last {
    () => {
        " cross join lateral (
            select * from journal l where l.partition = $1 and l.account = a.account order by l.sequence desc limit 1
        ) j"
    };
}

macro_rules! sqlite_last {
    () => {
        " join journal j on j.partition = $1 and j.account = a.account and j.sequence = (
            select max(l.sequence) from journal l where l.partition = $1 and l.account = a.account
        )"
    };
}

/// The heads of the accounts with these ids; those that do not exist are left out.
pub fn load_by_ids(conn: &mut Conn<'_>, partition: i16, ids: &[&str]) -> Result<Vec<HeadRow>, DbError> {
    struct HeadsByIds;
    impl StatementId for HeadsByIds {}
    const POSTGRES: &str = concat!(
        head_columns!(),
        "from (select $1::smallint) p(partition), unnest($2::text[]) i(account_id)
        cross join lateral (
            select * from accounts x where x.partition = $1 and x.account_id = i.account_id limit 1
        ) a",
        postgres_last!()
    );
    const SQLITE: &str = concat!(
        head_columns!(),
        "from accounts a",
        sqlite_last!(),
        " where a.partition = $1 and a.account_id in (select value from json_each($2))"
    );
    Ok(match conn {
        Conn::Postgres(c) => {
            let values = [Value::SmallInt(partition), Value::Texts(ids)];
            Statement::<_, HeadSql>::new(HeadsByIds, POSTGRES, &values).load(*c)?
        }
        Conn::Sqlite(c) => {
            let values = [Value::SmallInt(partition), json_texts(ids)];
            Statement::<_, HeadSql>::new(HeadsByIds, SQLITE, &values).load(*c)?
        }
    })
}

/// The heads of the accounts with these numbers; those that do not exist are left out.
pub fn load_by_accounts(conn: &mut Conn<'_>, partition: i16, accounts: &[i64]) -> Result<Vec<HeadRow>, DbError> {
    struct HeadsByAccounts;
    impl StatementId for HeadsByAccounts {}
    const POSTGRES: &str = concat!(
        head_columns!(),
        "from (select $1::smallint) p(partition), unnest($2::bigint[]) i(account)
        cross join lateral (select * from accounts x where x.partition = $1 and x.account = i.account limit 1) a",
        postgres_last!()
    );
    const SQLITE: &str = concat!(
        head_columns!(),
        "from accounts a",
        sqlite_last!(),
        " where a.partition = $1 and a.account in (select value from json_each($2))"
    );
    Ok(match conn {
        Conn::Postgres(c) => {
            let values = [Value::SmallInt(partition), Value::BigInts(accounts)];
            Statement::<_, HeadSql>::new(HeadsByAccounts, POSTGRES, &values).load(*c)?
        }
        Conn::Sqlite(c) => {
            let values = [Value::SmallInt(partition), json_numbers(accounts)];
            Statement::<_, HeadSql>::new(HeadsByAccounts, SQLITE, &values).load(*c)?
        }
    })
}

/// The open holds of these accounts.
pub fn open_holds(conn: &mut Conn<'_>, partition: i16, accounts: &[i64]) -> Result<Vec<HoldRow>, DbError> {
    struct OpenHolds;
    impl StatementId for OpenHolds {}
    // `state = 1` stands in the text, because the partial index needs to see it.
    macro_rules! sql {
        ($accounts:literal) => {
            concat!(
                "select ",
                $crate::holds::hold_columns!(),
                " from holds h where h.partition = $1 and h.state = 1 and h.account ",
                $accounts
            )
        };
    }
    Ok(match conn {
        Conn::Postgres(c) => {
            let values = [Value::SmallInt(partition), Value::BigInts(accounts)];
            Statement::<_, holds::SqlType>::new(OpenHolds, sql!("= any($2)"), &values).load(*c)?
        }
        Conn::Sqlite(c) => {
            let values = [Value::SmallInt(partition), json_numbers(accounts)];
            let sql = sql!("in (select value from json_each($2))");
            Statement::<_, holds::SqlType>::new(OpenHolds, sql, &values).load(*c)?
        }
    })
}

/// The accounts whose id comes after `after_account_id`, in the order of their ids, each with its newest row at or below a
/// position; accounts made above it are left out.
pub fn balances_at(
    conn: &mut Conn<'_>,
    partition: i16,
    filter: &BalanceFilter,
    after_account_id: &str,
    up_to_position: i64,
    limit: i64,
) -> Result<Vec<HeadRow>, DbError> {
    // LATERAL keeps PostgreSQL from joining whole tables; SQLite does not know it and joins row by row anyway.
    const POSTGRES: &str = concat!(
        head_columns!(),
        "from accounts a cross join lateral (
            select * from journal l where l.partition = ? and l.account = a.account and l.position <= ?
            order by l.sequence desc limit 1
        ) j"
    );
    const SQLITE: &str = concat!(
        head_columns!(),
        "from accounts a join journal j on j.partition = a.partition and j.account = a.account and j.sequence = (
            select l.sequence from journal l where l.partition = ? and l.account = a.account and l.position <= ?
            order by l.sequence desc limit 1
        )"
    );
    let head = match conn {
        Conn::Postgres(_) => POSTGRES,
        Conn::Sqlite(_) => SQLITE,
    };
    let customer_ids: Vec<&str> = filter.customer_ids.iter().map(String::as_str).collect();
    let account_ids: Vec<&str> = filter.account_ids.iter().map(String::as_str).collect();
    let mut query = Composed::new(head, [Value::SmallInt(partition), Value::BigInt(up_to_position)]);
    // The number of an account is the position of the row that made it.
    query.push(
        " where a.partition = ? and a.account <= ? and a.account_id > ?",
        [Value::SmallInt(partition), Value::BigInt(up_to_position), Value::Text(after_account_id)],
    );
    if !(customer_ids.is_empty() && account_ids.is_empty()) {
        match conn {
            Conn::Postgres(_) => query.push(
                " and (a.customer_id = any(?) or a.account_id = any(?))",
                [Value::Texts(&customer_ids), Value::Texts(&account_ids)],
            ),
            Conn::Sqlite(_) => query.push(
                " and (a.customer_id in (select value from json_each(?))
                    or a.account_id in (select value from json_each(?)))",
                [json_texts(&customer_ids), json_texts(&account_ids)],
            ),
        }
    }
    query.push(" order by a.account_id limit ?", [Value::BigInt(limit)]);
    Ok(on_backend!(conn, |c| query.statement::<HeadSql>().load(c))?)
}
