//! The tables beside the journal.

use billing_db::accounts::{self, AccountFilter};
use billing_db::changes::{self, Change};
use billing_db::holds::HoldFilter;
use billing_db::{
    DueRow, ErrorKind, HoldRow, NameRow, OutcomeRow, due, heads, holds, journal, names, outcomes, partitions,
};

use crate::fixtures::*;

fn apply(database: &billing_db::Database, list: &[Change]) {
    write(database, |conn| conn.transaction(|conn| changes::apply(conn, list))).unwrap();
}

/// The holds of the first account in some states.
fn of(states: &[i16], now: i64) -> HoldFilter {
    HoldFilter { account: 1, states: states.to_vec(), now }
}

fn outcome(number: u8) -> OutcomeRow {
    OutcomeRow {
        partition: 0,
        account: 1,
        key_hash: vec![number; 16],
        recorded_at: i64::from(number),
        reason: "CLOSED".to_owned(),
        content: String::new(),
        details: String::new(),
    }
}

#[test]
fn accounts_are_added_replaced_and_listed() {
    on_both(|database| {
        populated(database);
        let mut alice = account(1, "alice");
        alice.display_name = Some("Ärzte & Co".to_owned());
        alice.metadata = Some("{\"tier\":\"gold\",\"a.b\":\"1\"}".to_owned());
        alice.policy_id = Some("standard".to_owned());
        alice.version = 4;
        let before = billing_db::AccountRow { version: 3, ..alice.clone() };
        apply(database, &[Change::UpdateAccount(before), Change::UpdateAccount(alice.clone())]);
        let ids = |filter: AccountFilter| {
            let rows = database.read(|conn| accounts::list(conn, 0, &filter, None, 10)).unwrap();
            rows.into_iter().map(|row| row.account_id).collect::<Vec<_>>()
        };
        assert_eq!(database.read(|conn| accounts::find(conn, 0, "alice")).unwrap(), Some(alice));
        assert_eq!(database.read(|conn| accounts::find(conn, 0, "dave")).unwrap(), None);
        let numbers = database.read(|conn| accounts::get_by_numbers(conn, 0, &[3, 2, 9])).unwrap();
        assert_eq!(numbers, [account(2, "bob"), account(3, "carol")]);
        assert_eq!(ids(AccountFilter::default()), ["alice", "bob", "carol"]);
        assert_eq!(ids(AccountFilter { has_debt: Some(true), ..Default::default() }), ["bob"]);
        assert_eq!(ids(AccountFilter { has_debt: Some(false), ..Default::default() }), ["alice", "carol"]);
        assert_eq!(ids(AccountFilter { text: Some("äRZTE".to_owned()), ..Default::default() }), ["alice"]);
        assert_eq!(ids(AccountFilter { text: Some("AR".to_owned()), ..Default::default() }), ["carol"]);
        assert_eq!(ids(AccountFilter { state: Some(2), ..Default::default() }), [""; 0]);
        assert_eq!(ids(AccountFilter { policy_id: Some("standard".to_owned()), ..Default::default() }), ["alice"]);
        let metadata = [("tier", "gold"), ("a.b", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(ids(AccountFilter { metadata: metadata.to_vec(), ..Default::default() }), ["alice"]);
        assert_eq!(
            ids(AccountFilter { metadata: vec![("tier".to_owned(), "1".to_owned())], ..Default::default() }),
            [""; 0]
        );
        let filter = AccountFilter { customer_id: Some("customer".to_owned()), ..Default::default() };
        let page = database.read(|conn| accounts::list(conn, 0, &filter, Some("alice"), 1)).unwrap();
        assert_eq!(page, [account(2, "bob")]);
    });
}

#[test]
fn an_account_that_is_not_there_cannot_be_replaced_nor_one_added_twice() {
    on_both(|database| {
        populated(database);
        let update = [Change::UpdateAccount(account(77, "nobody"))];
        assert_eq!(write(database, |conn| changes::apply(conn, &update)).unwrap_err().kind(), ErrorKind::Other);
        let insert = [Change::InsertAccount(account(10, "alice"))];
        assert_eq!(write(database, |conn| changes::apply(conn, &insert)).unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn holds_are_put_and_listed() {
    on_both(|database| {
        populated(database);
        let closed = HoldRow { state: 2, captured: 60, updated_at: 3_000, ..hold(1, "b", 1) };
        let list = [hold(1, "a", 1), hold(1, "b", 1), closed.clone(), hold(2, "a", 1)];
        apply(database, &list.map(Change::PutHold));
        let later = HoldRow { placed_at: 2_500, ..hold(1, "0", 1) };
        apply(database, &[Change::PutHold(later.clone()), Change::PutHold(hold(2, "a", 3))]);
        database
            .read(|conn| {
                assert_eq!(heads::open_holds(conn, 0, &[1, 2])?.len(), 2);
                assert_eq!(heads::open_holds(conn, 0, &[2])?, []);
                assert_eq!(holds::find(conn, 0, 1, &["b", "x"])?, std::slice::from_ref(&closed));
                let all = holds::list(conn, 0, &of(&[], 0), None, 10)?;
                assert_eq!(all, [later.clone(), closed.clone(), hold(1, "a", 1)]);
                assert_eq!(holds::list(conn, 0, &of(&[], 0), None, 2)?, all[..2]);
                assert_eq!(holds::list(conn, 0, &of(&[], 0), Some((2_500, "0")), 10)?, all[1..]);
                assert_eq!(holds::list(conn, 0, &of(&[], 0), Some((2_000, "b")), 10)?, all[2..]);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn the_state_of_a_hold_depends_on_the_moment_it_is_seen() {
    on_both(|database| {
        populated(database);
        let ending = |hold_id: &str, expires_at| HoldRow { expires_at, ..hold(1, hold_id, 1) };
        let list = [ending("a", 9_000), ending("b", 9_001), hold(1, "c", 2), hold(1, "d", 3), hold(1, "e", 4)];
        apply(database, &list.map(Change::PutHold));
        let ids = |states: &[i16], now| {
            let rows = database.read(|conn| holds::list(conn, 0, &of(states, now), None, 10)).unwrap();
            rows.into_iter().map(|row| row.hold_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[1], 8_999), ["b", "a"]);
        assert_eq!(ids(&[1], 9_000), ["b"]);
        assert_eq!(ids(&[1], 9_001), [""; 0]);
        assert_eq!(ids(&[4], 8_999), ["e"]);
        assert_eq!(ids(&[4], 9_000), ["e", "a"]);
        assert_eq!(ids(&[2, 3], 9_000), ["d", "c"]);
        assert_eq!(ids(&[1, 2, 4], 9_000), ["e", "c", "b", "a"]);
        assert_eq!(ids(&[9], 9_000), [""; 0]);
        let after = database.read(|conn| holds::list(conn, 0, &of(&[1, 4], 9_000), Some((2_000, "b")), 10)).unwrap();
        assert_eq!(after, [ending("a", 9_000)]);
    });
}

#[test]
fn names_dues_and_refusals_come_and_go() {
    on_both(|database| {
        let name = |name_id, name: &str| NameRow { partition: 0, name_id, name: name.to_owned() };
        let at = |at, subject: &str| DueRow { partition: 0, at, kind: 1, account: 1, subject: subject.to_owned() };
        apply(
            database,
            &[
                Change::InsertName(name(1, "cash")),
                Change::InsertName(name(2, "sales")),
                Change::InsertDue(at(50, "h1")),
                Change::InsertDue(at(20, "h2")),
                Change::InsertDue(at(20, "h2")),
                Change::InsertOutcome(outcome(1)),
                Change::InsertOutcome(outcome(2)),
                Change::InsertOutcome(outcome(3)),
                Change::CloseBooks { partition: 0, until: 19_000 },
            ],
        );
        let taken = [Change::InsertName(name(3, "cash"))];
        assert_eq!(write(database, |conn| changes::apply(conn, &taken)).unwrap_err().kind(), ErrorKind::Conflict);
        apply(
            database,
            &[Change::InsertDue(at(50, "h1")), Change::DeleteDue(at(20, "h2")), Change::DeleteDue(at(9, "x"))],
        );
        write(database, |conn| {
            assert_eq!(names::all(conn, 0)?, [name(1, "cash"), name(2, "sales")]);
            assert_eq!(names::after(conn, 0, 1)?, [name(2, "sales")]);
            assert_eq!(due::earliest(conn, 0)?, Some(50));
            assert_eq!(due::earliest(conn, 1)?, None);
            assert_eq!(due::next(conn, 0, 49, 10)?, []);
            assert_eq!(due::next(conn, 0, 50, 10)?, [at(50, "h1")]);
            assert_eq!(outcomes::after(conn, 0, &[], 2)?, [outcome(1), outcome(2)]);
            assert_eq!(outcomes::after(conn, 0, &outcome(2).key_hash, 2)?, [outcome(3)]);
            assert_eq!(outcomes::after(conn, 1, &[], 2)?, []);
            assert_eq!(outcomes::delete_before(conn, 0, 3, 1)?, 1);
            assert_eq!(outcomes::delete_before(conn, 0, 3, 10)?, 1);
            assert_eq!(partitions::all(conn)?[0].closed_until, Some(19_000));
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn erasing_takes_every_text_of_an_account() {
    on_both(|database| {
        let mut person = account(2, "p");
        person.display_name = Some("A Person".to_owned());
        let rows = [row(1, 1, 1), full_row(2)];
        commit(
            database,
            &rows,
            &[
                Change::InsertAccount(person.clone()),
                Change::PutHold(hold(2, "h", 1)),
                Change::InsertOutcome(OutcomeRow { account: 2, ..outcome(9) }),
            ],
        );
        apply(database, &[Change::EraseTexts { partition: 0, account: 2, digests: vec![(2, vec![7; 32])] }]);
        database
            .read(|conn| {
                let left = journal::row_at(conn, 0, 2)?.unwrap();
                assert_eq!((left.description, left.reference, left.details), (None, None, None));
                assert_eq!(left.texts_digest, Some(vec![7; 32]));
                let account = accounts::find(conn, 0, "p")?.unwrap();
                assert_eq!((account.display_name, account.secret), (None, None));
                assert_eq!(holds::find(conn, 0, 2, &["h"])?[0].description, None);
                assert_eq!(billing_db::keys::find(conn, 0, &[[9; 16]])?.outcomes, []);
                Ok(())
            })
            .unwrap();
        let wrong = [Change::EraseTexts { partition: 0, account: 1, digests: vec![(2, vec![7; 32])] }];
        assert!(write(database, |conn| changes::apply(conn, &wrong)).is_err());
    });
}
