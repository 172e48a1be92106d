//! What the statements of the posting path cost PostgreSQL.

use billing_db::changes::{self, Change};
use billing_db::holds::HoldFilter;
use billing_db::{Conn, DbError, heads, holds, journal, keys};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::fixtures::*;

fn number(conn: &mut Conn<'_>, sql: &str) -> Result<i64, DbError> {
    let Conn::Postgres(c) = conn else { panic!("not PostgreSQL") };
    Ok(diesel::dsl::sql::<BigInt>(sql).get_result(*c)?)
}

/// diesel keeps a prepared statement for every hot query, and sends no text a second time.
#[test]
fn hot_statements_are_prepared_once() {
    let Some(database) = postgres() else { return };
    populated(&database);
    let mut owned = database.writer().unwrap();
    let conn = &mut owned.conn();
    let mut prepared = Vec::new();
    for position in 9..=10 {
        assert!(journal::append(conn, &anchor(position), &[row(position + 1, position + 1, 1)]).unwrap());
        heads::load_by_ids(conn, 0, &["alice", "bob"]).unwrap();
        heads::load_by_accounts(conn, 0, &[1, 2]).unwrap();
        heads::open_holds(conn, 0, &[1, 2]).unwrap();
        keys::find(conn, 0, &[[1; 16], [2; 16]]).unwrap();
        journal::row_at(conn, 0, position).unwrap();
        journal::rows_after(conn, 0, position, 10).unwrap();
        journal::tail(conn, 0).unwrap();
        journal::last_row_at(conn, 0, 1, position).unwrap();
        let account = billing_db::AccountRow { version: position, ..account(1, "alice") };
        changes::apply(conn, &[Change::UpdateAccount(account), Change::PutHold(hold(1, "h", 1))]).unwrap();
        prepared.push(number(conn, "select count(*) from pg_prepared_statements").unwrap());
    }
    assert_eq!(prepared, [11, 11]);
}

/// Even a plan that knows no values never reads a whole table.
#[test]
fn hot_statements_find_their_rows_by_index() {
    let Some(database) = postgres() else { return };
    let accounts: Vec<_> = (1..=3_000).map(|n| Change::InsertAccount(account(n, &format!("a{n}")))).collect();
    let mut rows: Vec<_> = (1..=3_000).map(|n| row(n, n, 1)).collect();
    for row in &mut rows {
        row.key_hash = Some(hash(row.position)[..16].to_vec());
    }
    let holds = (1..=1_000).map(|n| Change::PutHold(hold(n, "h", 2)));
    commit(&database, &rows, &accounts.into_iter().chain(holds).collect::<Vec<_>>());
    commit(&database, &(3_001..=6_000).map(|n| entry(n, n - 3_000, 2, 5, 5)).collect::<Vec<_>>(), &[]);
    let mut owned = database.writer().unwrap();
    let conn = &mut owned.conn();
    if let Conn::Postgres(c) = conn {
        c.batch_execute("analyze; set plan_cache_mode = force_generic_plan").unwrap();
    }
    let whole_tables = "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_xact_user_tables
        where relname in ('journal', 'accounts', 'holds')";
    conn.transaction(|conn| {
        let before = number(conn, whole_tables)?;
        let mut key = [0; 16];
        key.copy_from_slice(&hash(7)[..16]);
        assert_eq!(positions(&keys::find(conn, 0, &[key])?.rows), [7]);
        assert_eq!(heads::load_by_ids(conn, 0, &["a1", "a2"])?.len(), 2);
        assert_eq!(heads::load_by_accounts(conn, 0, &[1, 2])?.len(), 2);
        assert_eq!(heads::balances_at(conn, 0, &heads::BalanceFilter::default(), "a1", 3_500, 10)?.len(), 10);
        heads::open_holds(conn, 0, &[1, 2])?;
        holds::find(conn, 0, 1, &["h"])?;
        assert_eq!(holds::list(conn, 0, &HoldFilter { account: 1, ..HoldFilter::default() }, None, 10)?.len(), 1);
        journal::tail(conn, 0)?;
        journal::row_at(conn, 0, 5)?;
        journal::rows_after(conn, 0, 5, 10)?;
        journal::rows_at(conn, 0, &[5, 6])?;
        journal::rows_of_account(conn, 0, 5, 0, 6_000, 10)?;
        journal::last_row_at(conn, 0, 1, 2_000)?;
        journal::last_row_below(conn, 0, 1, 2_000)?;
        assert!(journal::append(conn, &anchor(6_000), &[row(6_001, 6_001, 1)])?);
        changes::apply(conn, &[Change::UpdateAccount(account(1, "a1")), Change::PutHold(hold(1, "h", 1))])?;
        assert_eq!(number(conn, whole_tables)? - before, 0);
        Ok(())
    })
    .unwrap();
}
