//! Entries and their sums.

use billing_db::changes::Change;
use billing_db::entries::{self, EntryFilter};
use billing_db::totals::{self, TaxTurnover, Turnover};

use crate::fixtures::*;

#[test]
fn entries_are_filtered_and_paged() {
    on_both(|database| {
        populated(database);
        let mut special = full_row(10);
        special.account = 3;
        special.sequence = 2;
        commit(database, &[special, row(11, 1, 5)], &[]);
        let find = |filter: EntryFilter| {
            positions(&database.read(|conn| entries::find(conn, 0, &filter, None, true, 100)).unwrap())
        };
        let all = EntryFilter::default;
        assert_eq!(find(all()), [4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(find(EntryFilter { account: Some(2), ..all() }), [5, 7, 9]);
        assert_eq!(find(EntryFilter { recorded_from: Some(1_050), recorded_to: Some(1_070), ..all() }), [5, 6]);
        assert_eq!(find(EntryFilter { booking_from: Some(20_005), booking_to: Some(20_006), ..all() }), [5, 6]);
        assert_eq!(find(EntryFilter { kinds: vec![1, 2], ..all() }).len(), 7);
        assert_eq!(find(EntryFilter { kinds: vec![0, 2], ..all() }), [0_i64; 0]);
        assert_eq!(find(EntryFilter { categories: vec![8, 9], ..all() }), [10]);
        assert_eq!(find(EntryFilter { counter: Some(6), ..all() }), [0_i64; 0]);
        assert_eq!(find(EntryFilter { min_amount: Some(7), max_amount: Some(10), ..all() }), [4, 8, 10]);
        assert_eq!(find(EntryFilter { invoice_id: Some("INV-1".to_owned()), ..all() }), [10]);
        assert_eq!(find(EntryFilter { hold_id: Some("INV-1".to_owned()), ..all() }), [0_i64; 0]);
        assert_eq!(find(EntryFilter { text: Some("STRASSE".to_owned()), ..all() }), [0_i64; 0]);
        assert_eq!(find(EntryFilter { text: Some("straße Ü".to_owned()), ..all() }), [10]);
        assert_eq!(find(EntryFilter { text: Some("ref-".to_owned()), ..all() }), [10]);
        database
            .read(|conn| {
                let page = entries::find(conn, 0, &all(), Some(7), false, 2)?;
                assert_eq!(positions(&page), [6, 5]);
                let page = entries::list_of_account(conn, 0, 1, &all(), Some(2), true, 10)?;
                assert_eq!(positions(&page), [6, 8]);
                let page = entries::list_of_account(conn, 0, 1, &all(), None, false, 2)?;
                assert_eq!(positions(&page), [8, 6]);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn turnovers_are_summed_by_counter_account_and_tax() {
    on_both(|database| {
        populated(database);
        let mut special = full_row(10);
        special.account = 3;
        special.sequence = 2;
        commit(database, &[special], &[]);
        database
            .read(|conn| {
                let all = totals::turnover(conn, 0, 20_000, 20_010, "EUR")?;
                assert_eq!(all, [Turnover { counter: 7, debits: 32, credits: -27 }]);
                let some = totals::turnover(conn, 0, 20_005, 20_005, "EUR")?;
                assert_eq!(some, [Turnover { counter: 7, debits: 0, credits: -5 }]);
                assert_eq!(totals::turnover(conn, 0, 20_000, 20_010, "USD")?, []);
                let tax = totals::tax_turnover(conn, 0, 20_000, 20_010, "EUR")?;
                assert_eq!(tax, [TaxTurnover { counter: 7, code: "S".to_owned(), debits: 0, credits: -2 }]);
                assert_eq!(totals::posted_sum_by_occurred(conn, 0, 1, 1_060)?, 30);
                assert_eq!(totals::posted_sum_by_occurred(conn, 0, 3, 999)?, -10);
                assert_eq!(totals::posted_sum_by_occurred(conn, 0, 3, 998)?, 0);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn a_sum_larger_than_a_column_holds_is_exact() {
    on_both(|database| {
        let huge = i64::MAX - 3;
        let mut rows: Vec<_> = (1..=3).map(|n| row(n, n, 1)).collect();
        rows.extend((4..=6).map(|n| entry(n, n - 3, 2, huge, huge)));
        rows.extend((7..=9).map(|n| entry(n, n - 6, 3, -huge, 0)));
        let accounts = [account(1, "a"), account(2, "b"), account(3, "c")];
        commit(database, &rows, &accounts.map(Change::InsertAccount));
        let sums = database.read(|conn| totals::turnover(conn, 0, 0, 30_000, "EUR")).unwrap();
        let expected = 3 * i128::from(huge);
        assert_eq!(sums, [Turnover { counter: 7, debits: expected, credits: -expected }]);
    });
}
