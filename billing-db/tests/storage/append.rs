//! The append.

use std::time::Instant;

use billing_db::journal::{self, Anchor};
use billing_db::{ErrorKind, migrate, partitions};
use diesel::RunQueryDsl;

use crate::fixtures::*;

#[test]
fn a_batch_is_inserted_whole_and_read_back_as_it_was() {
    on_both(|database| {
        let rows = [row(1, 1, 1), full_row(2), entry(3, 1, 2, 5, 5)];
        assert!(write(database, |conn| journal::append(conn, &anchor(0), &rows)).unwrap());
        assert_eq!(write(database, |conn| journal::rows_after(conn, 0, 0, 10)).unwrap(), rows);
    });
}

#[test]
fn nothing_is_inserted_above_another_hash_epoch_or_format() {
    on_both(|database| {
        for wrong in [
            Anchor { hash: hash(77), ..anchor(0) },
            Anchor { epoch: 2, ..anchor(0) },
            Anchor { format: 0, ..anchor(0) },
            Anchor { position: 5, hash: hash(5), ..anchor(0) },
        ] {
            let rows = [row(wrong.position + 1, 1, 1)];
            assert!(!write(database, |conn| journal::append(conn, &wrong, &rows)).unwrap(), "{wrong:?}");
        }
        assert!(write(database, |conn| journal::append(conn, &anchor(0), &[row(1, 1, 1)])).unwrap());
    });
}

#[test]
fn a_raised_epoch_fences_the_writer_before() {
    on_both(|database| {
        assert_eq!(write(database, |conn| partitions::raise_epoch(conn, 0)).unwrap(), 2);
        assert!(!write(database, |conn| journal::append(conn, &anchor(0), &[row(1, 1, 1)])).unwrap());
    });
}

#[test]
fn a_taken_position_key_or_sequence_is_a_conflict_and_inserts_nothing() {
    on_both(|database| {
        let first = [row(1, 1, 1), full_row(2)];
        assert!(write(database, |conn| journal::append(conn, &anchor(0), &first)).unwrap());
        let mut same_key = full_row(4);
        same_key.account = 4;
        for (from, rows) in [
            (0, vec![row(1, 1, 1), row(2, 2, 1)]),
            (2, vec![row(3, 3, 1), same_key]),
            (2, vec![row(3, 3, 1), row(4, 1, 1)]),
        ] {
            let error = write(database, |conn| journal::append(conn, &anchor(from), &rows)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        assert_eq!(write(database, |conn| journal::tail(conn, 0)).unwrap().unwrap().position, 2);
    });
}

#[test]
fn bad_data_is_told_as_such() {
    on_both(|database| {
        let wrong_sum = billing_db::JournalRow { available_after: 1, ..row(1, 1, 1) };
        let no_counter = billing_db::JournalRow { counter: None, ..entry(1, 1, 1, 5, 5) };
        for bad in [wrong_sum, no_counter] {
            let error = write(database, |conn| journal::append(conn, &anchor(0), &[bad])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
        }
    });
}

#[test]
fn rows_that_do_not_follow_their_anchor_are_refused() {
    on_both(|database| {
        let error = write(database, |conn| journal::append(conn, &anchor(0), &[row(2, 1, 1)])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
    });
}

#[test]
fn an_append_in_a_transaction_goes_with_it() {
    on_both(|database| {
        let rolled_back = write(database, |conn| {
            conn.transaction(|conn| {
                journal::lock_partition(conn, 0)?;
                assert!(journal::append(conn, &anchor(0), &[row(1, 1, 1)])?);
                assert!(conn.in_transaction()?);
                Err::<(), _>(billing_db::DbError::Invariant("no".to_owned()))
            })
        });
        assert!(rolled_back.is_err());
        assert_eq!(write(database, |conn| journal::tail(conn, 0)).unwrap().unwrap().position, 0);
    });
}

#[test]
fn the_second_wall_lets_texts_go_and_nothing_else() {
    on_both(|database| {
        commit(database, &[row(1, 1, 1), full_row(2)], &[]);
        let digest = "00".repeat(32);
        let blob = match database.backend() {
            billing_db::Backend::Postgres => format!("'\\x{digest}'"),
            billing_db::Backend::Sqlite => format!("x'{digest}'"),
        };
        let texts = "description = null, reference = null, details = null";
        let run = |sql: &str| {
            write(database, |conn| {
                Ok(match conn {
                    billing_db::Conn::Postgres(c) => diesel::sql_query(sql).execute(*c)?,
                    billing_db::Conn::Sqlite(c) => diesel::sql_query(sql).execute(*c)?,
                })
            })
        };
        for refused in [
            "delete from journal".to_owned(),
            "update journal set posted_after = 5, available_after = available_after + 15 where position = 2".to_owned(),
            "update journal set payload = null where position = 2".to_owned(),
            format!("update journal set {texts} where position = 2"),
            format!("update journal set {texts}, texts_digest = {blob}, overdue_after = 1 where position = 2"),
        ] {
            let error = run(&refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadData, "{refused}: {error}");
        }
        assert_eq!(run(&format!("update journal set {texts}, texts_digest = {blob} where position = 2")).unwrap(), 1);
        assert!(run(&format!("update journal set {texts}, texts_digest = {blob} where position = 2")).is_err());
    });
}

/// Two writers race for the same positions; every position is taken once.
#[test]
fn racing_writers_leave_no_hole_and_no_double() {
    on_both(|database| {
        std::thread::scope(|scope| {
            for writer in 0..4_i32 {
                scope.spawn(move || {
                    let mut owned = database.writer().unwrap();
                    let conn = &mut owned.conn();
                    let mut done = 0;
                    while done < 10 {
                        let tail = journal::tail(conn, 0).unwrap().unwrap();
                        let mut next = row(tail.position + 1, tail.position + 1, 1);
                        next.writer = writer;
                        next.hash[31] = u8::try_from(writer).unwrap();
                        let at = Anchor { hash: tail.hash, ..anchor(tail.position) };
                        match journal::append(conn, &at, &[next]) {
                            Ok(true) => done += 1,
                            Ok(false) => {}
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                        }
                    }
                });
            }
        });
        let rows = write(database, |conn| journal::rows_after(conn, 0, -1, 100)).unwrap();
        assert_eq!(positions(&rows), (0..=40).collect::<Vec<_>>());
    });
}

/// Prints what the append costs; `BILLING_DB_MEASURE=1` makes it long enough to mean something.
#[test]
fn appending_costs_little() {
    let batches = if std::env::var_os("BILLING_DB_MEASURE").is_some() { 400 } else { 4 };
    on_both(|database| {
        let mut owned = database.writer().unwrap();
        let conn = &mut owned.conn();
        let start = Instant::now();
        let mut position = 0;
        for _ in 0..batches {
            let rows: Vec<_> = (1..=256)
                .map(|n| {
                    let mut row = entry(position + n, position + n, 1, 5, 5);
                    row.booking_date = Some(20_000);
                    let mut key = row.hash.clone();
                    key.truncate(16);
                    row.key_hash = Some(key);
                    row.idempotency_key = Some(format!("order-{}", row.position));
                    row
                })
                .collect();
            assert!(journal::append(conn, &anchor(position), &rows).unwrap());
            position += 256;
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = 256.0 * f64::from(batches) / seconds;
        eprintln!("{:?}: {rate:.0} rows a second", database.backend());
        assert_eq!(migrate::ROW_FORMAT, 1);
    });
}
