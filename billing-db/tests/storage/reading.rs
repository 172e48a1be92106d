//! Reading the journal, heads and keys.

use billing_db::changes::Change;
use billing_db::heads::{self, BalanceFilter};
use billing_db::{OutcomeRow, journal, keys};

use crate::fixtures::*;

#[test]
fn the_journal_is_read_by_position_and_by_account() {
    on_both(|database| {
        populated(database);
        database
            .read(|conn| {
                let tail = journal::tail(conn, 0)?.unwrap();
                assert_eq!((tail.position, tail.hash, tail.recorded_at), (9, hash(9), 1_090));
                assert_eq!(journal::tail(conn, 5)?, None);
                assert_eq!(journal::row_at(conn, 0, 4)?, Some(entry(4, 1, 2, 10, 10)));
                assert_eq!(journal::row_at(conn, 0, 10)?, None);
                assert_eq!(positions(&journal::rows_at(conn, 0, &[7, 4, 99])?), [4, 7]);
                assert_eq!(positions(&journal::rows_at(conn, 0, &[])?), [] as [i64; 0]);
                assert_eq!(positions(&journal::rows_after(conn, 0, 6, 2)?), [7, 8]);
                assert_eq!(journal::last_sequence(conn, 0, 1)?, 4);
                assert_eq!(journal::last_sequence(conn, 0, 77)?, 0);
                assert_eq!(positions(&journal::rows_of_account(conn, 0, 1, 1, 6, 10)?), [4, 6]);
                assert_eq!(journal::row_of(conn, 0, 1, 3)?.unwrap().position, 6);
                assert_eq!(journal::row_of(conn, 0, 1, 9)?, None);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn the_newest_row_up_to_a_bound_is_found_by_halving() {
    on_both(|database| {
        // Account 1 has the odd positions up to 199, account 2 the even ones.
        let rows: Vec<_> =
            (1..=200).map(|position| row(position, (position + 1) % 2 + 1, (position + 1) / 2)).collect();
        commit(database, &rows, &[]);
        database
            .read(|conn| {
                for bound in 0..=205 {
                    let odd = (bound - 1 + bound % 2).min(199);
                    let expected = (odd > 0).then_some(odd);
                    let below = journal::last_row_below(conn, 0, 1, bound)?;
                    assert_eq!(below.map(|row| row.position), expected, "position {bound}");
                    let at = journal::last_row_at(conn, 0, 1, 1_000 + bound * 10)?;
                    assert_eq!(at.map(|row| row.position), expected, "instant {bound}");
                }
                assert_eq!(journal::last_row_at(conn, 0, 1, 1_009)?, None);
                assert_eq!(journal::last_row_at(conn, 0, 1, 1_029)?.unwrap().position, 1);
                assert_eq!(journal::last_row_below(conn, 0, 77, 100)?, None);
                assert_eq!(journal::last_row_below(conn, 0, 0, 100)?.unwrap().position, 0);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn heads_are_loaded_in_one_go() {
    on_both(|database| {
        populated(database);
        database
            .read(|conn| {
                let mut by_ids = heads::load_by_ids(conn, 0, &["bob", "alice", "nobody", "al\"ice"])?;
                by_ids.sort_by_key(|head| head.account.account);
                assert_eq!(by_ids.len(), 2);
                assert_eq!(by_ids[0].account, account(1, "alice"));
                assert_eq!((by_ids[0].last.position, by_ids[0].last.posted_after), (8, 23));
                assert_eq!((by_ids[1].last.sequence, by_ids[1].last.recorded_at), (4, 1_090));
                let mut by_accounts = heads::load_by_accounts(conn, 0, &[2, 1, 77])?;
                by_accounts.sort_by_key(|head| head.account.account);
                assert_eq!(by_accounts, by_ids);
                assert_eq!(heads::load_by_ids(conn, 1, &["bob"])?, []);
                assert_eq!(heads::load_by_ids(conn, 0, &[])?, []);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn balances_of_a_snapshot_stand_as_they_did_then() {
    on_both(|database| {
        populated(database);
        let at = |filter: &BalanceFilter, after: &str, position, limit| {
            let heads = database.read(|conn| heads::balances_at(conn, 0, filter, after, position, limit)).unwrap();
            heads.iter().map(|head| (head.account.account, head.last.position)).collect::<Vec<_>>()
        };
        let all = BalanceFilter::default();
        assert_eq!(at(&all, "", 6, 10), [(1, 6), (2, 5), (3, 3)]);
        assert_eq!(at(&all, "alice", 100, 1), [(2, 9)]);
        assert_eq!(at(&all, "", 2, 10), [(1, 1), (2, 2)]);
        let bob = BalanceFilter { account_ids: vec!["bob".to_owned()], ..BalanceFilter::default() };
        assert_eq!(at(&bob, "", 6, 10), [(2, 5)]);
        let nobody = BalanceFilter { customer_ids: vec!["x".to_owned()], ..BalanceFilter::default() };
        assert_eq!(at(&nobody, "", 6, 10), []);
        let both = BalanceFilter { customer_ids: vec!["customer".to_owned()], ..bob };
        assert_eq!(at(&both, "", 6, 10).len(), 3);
    });
}

#[test]
fn keys_are_found_in_the_journal_and_among_the_refusals() {
    on_both(|database| {
        let outcome = OutcomeRow {
            partition: 0,
            account: 2,
            key_hash: vec![4; 16],
            recorded_at: 1_010,
            reason: "INSUFFICIENT_FUNDS".to_owned(),
            content: "{}".to_owned(),
            details: "{}".to_owned(),
        };
        commit(database, &[row(1, 1, 1), full_row(2)], &[Change::InsertOutcome(outcome.clone())]);
        let mut hashes: Vec<[u8; 16]> = (0..2_500_u128).map(|n| (n << 64).to_be_bytes()).collect();
        hashes.extend([[3; 16], [4; 16]]);
        let found = database.read(|conn| keys::find(conn, 0, &hashes)).unwrap();
        assert_eq!((found.rows, found.outcomes), (vec![full_row(2)], vec![outcome]));
        let none = database.read(|conn| keys::find(conn, 0, &[])).unwrap();
        assert_eq!(none, keys::Found::default());
    });
}
