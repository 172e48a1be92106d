#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use billing_db::holds::{self, HoldFilter};
use billing_db::{Database, Options, due, journal, partitions, reversals};

use super::*;
use crate::config::load;
use crate::domain::accounts::{BillingMode, Create, StateChange};
use crate::domain::calendar::TimeZone;
use crate::domain::currency::Currency;
use crate::domain::holds::{Capture, HoldTexts, Place};
use crate::domain::identifier::partition_of;
use crate::domain::ledger::{Post, Reverse, Transfer};
use crate::domain::money::Money;
use crate::domain::reason::Reason;
use crate::domain::record::{Details, Kind, Texts};
use crate::engine::command::{Answer, Body, Command};
use crate::engine::record::payload_of;
use crate::engine::{Engine, Settings};
use crate::server;

const ACCOUNTS: usize = 12;

/// A directory of databases that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("billing-repartition-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.0.join(name).display())
    }

    fn repartition(&self, from: &str, count: u16, to: &str) -> anyhow::Result<ExitCode> {
        let command = <Config as clap::Args>::augment_args(clap::Command::new("test").no_binary_name(true));
        let flags = ["--database-url".to_owned(), self.url(from), format!("--partitions={count}")];
        let loaded = load(&command.try_get_matches_from(flags).unwrap(), None, []).unwrap();
        run(&loaded, &Arguments { to: self.url(to) })
    }

    fn open(&self, name: &str, partitions: u16) -> Database {
        let database = Database::open(&self.url(name), &Options::default()).unwrap();
        server::prepare(&database, Some(partitions), &World::default()).unwrap();
        database
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An engine, the commands that a ledger is made of, and what they have answered.
struct Ledger {
    engine: Engine,
    answers: Vec<Answer>,
}

impl Ledger {
    /// Plays it all; the database is free again after that.
    async fn play(database: Database) -> Vec<Answer> {
        let engine =
            Engine::start(&database, &World::default(), &Settings::default(), &(Arc::new(|_| {}) as _)).unwrap();
        let mut ledger = Self { engine, answers: Vec::new() };
        for number in 0..ACCOUNTS {
            ledger.open(&id(number)).await;
            ledger.post(number, "pay", Kind::Payment, 100).await;
            ledger.post(number, "charge", Kind::Charge, 10).await;
        }
        for number in 1..ACCOUNTS {
            ledger.transfer(number - 1, number).await;
        }
        ledger.holds().await;
        ledger.reverse(2, 2, "reverse-payment").await;
        // What it has: opened, paid, charged, got a transfer, made one.
        ledger.reverse(3, 5, "reverse-transfer").await;
        ledger.transfer_too_much().await;
        let until = chrono::NaiveDate::from_ymd_opt(2020, 12, 31).unwrap();
        ledger.submit("", "close-books", Body::CloseBooks { until, reason: None }).await;
        ledger.open("gone").await;
        ledger.submit("gone", "close", Body::CloseAccount(StateChange::default())).await;
        ledger.submit("gone", "anonymize", Body::AnonymizeAccount(StateChange::default())).await;
        ledger.post(5, "last", Kind::Charge, 1).await;
        ledger.engine.stop();
        ledger.answers
    }

    async fn submit(&mut self, account_id: &str, key: &str, body: Body) {
        let command = Command {
            account_id: account_id.to_owned(),
            key: Some(key.to_owned()),
            principal: Some(Arc::from("tester")),
            body,
            validate_only: false,
        };
        self.answers.push(self.engine.submit(command, None).await);
    }

    async fn open(&mut self, account_id: &str) {
        let create = Create {
            customer_id: "customer".to_owned(),
            currency: Currency::parse("EUR").unwrap(),
            time_zone: TimeZone::UTC,
            locale: "en".to_owned(),
            billing_mode: BillingMode::Prepaid,
            credit_limit: Money::ZERO,
            payment_terms_days: None,
            policy_id: None,
            details: Details { display_name: Some(format!("Name of {account_id}")), ..Details::default() },
        };
        self.submit(account_id, "open", Body::CreateAccount(Box::new(create))).await;
    }

    async fn post(&mut self, number: usize, key: &str, kind: Kind, units: i64) {
        let post = Post {
            kind,
            amount: money(units),
            currency: None,
            counter: None,
            category: Some(format!("category-{number}")),
            occurred_at: None,
            invoice_id: None,
            tax: None,
            texts: Texts { description: Some("Something".to_owned()), ..Texts::default() },
            require_available: false,
            expected_sequence: None,
        };
        self.submit(&id(number), key, Body::Post(Box::new(post))).await;
    }

    async fn transfer(&mut self, from: usize, to: usize) {
        self.submit(&id(from), "transfer", Body::Transfer(Box::new(transfer(to, 5)))).await;
    }

    async fn transfer_too_much(&mut self) {
        self.submit(&id(4), "too-much", Body::Transfer(Box::new(transfer(1, 5_000)))).await;
    }

    async fn holds(&mut self) {
        for number in 0..ACCOUNTS {
            for hold_id in ["kept", "taken"] {
                let texts = HoldTexts { description: Some("For something".to_owned()), ..HoldTexts::default() };
                let hold_id = hold_id.to_owned();
                let key = format!("hold-{hold_id}");
                let place = Place { hold_id, amount: money(7), currency: None, expiry: None, category: None, texts };
                self.submit(&id(number), &key, Body::PlaceHold(Box::new(place))).await;
            }
            let capture = Capture {
                hold_id: "taken".to_owned(),
                amount: Some(money(6)),
                currency: None,
                keep_rest: false,
                counter: None,
                category: None,
                occurred_at: None,
                tax: None,
                texts: Texts::default(),
            };
            self.submit(&id(number), "capture", Body::CaptureHold(Box::new(capture))).await;
        }
    }

    async fn reverse(&mut self, number: usize, sequence: i64, key: &str) {
        let peer_account_id = (sequence == 5).then(|| id(number + 1));
        let reverse =
            Reverse { sequence, amount: Some(money(2)), currency: None, cause: 1, reason: None, peer_account_id };
        self.submit(&id(number), key, Body::Reverse(Box::new(reverse))).await;
    }
}

fn transfer(to: usize, units: i64) -> Transfer {
    Transfer {
        to_account_id: id(to),
        amount: money(units),
        currency: None,
        category: None,
        occurred_at: None,
        texts: Texts::default(),
        expected_sequence: None,
    }
}

fn id(number: usize) -> String {
    format!("account-{number}")
}

fn money(units: i64) -> Money {
    Money::from_micros(units * 1_000_000)
}

/// Of a row: the account, the sequence, the amount, what is available after it, and when it was recorded.
type Essence = (String, i64, i64, i64, i64);

/// What must not change of an answer.
fn essence(answer: &Answer) -> Result<Vec<Essence>, Reason> {
    let rows = answer.as_ref().map_err(|refusal| refusal.reason)?.rows.iter();
    let account = |record: &crate::engine::record::Record| {
        record.identity.as_ref().map_or_else(String::new, |identity| identity.account_id.clone())
    };
    // A row of no account is numbered in its partition.
    let rows = rows.filter(|record| record.identity.is_some());
    Ok(rows
        .map(|record| {
            let row = &record.row;
            (account(record), row.sequence, row.amount, row.available_after, row.recorded_at)
        })
        .collect())
}

/// Every row that names a peer is named by it.
fn check_peers(database: &Database, count: u16) -> usize {
    let mut legs = 0;
    for partition in (0_i16..).take(usize::from(count)) {
        for row in database.read(|conn| journal::rows_after(conn, partition, 0, i64::MAX)).unwrap() {
            let payload = payload_of(&row);
            let Some(peer) = payload.peer else { continue };
            let other = database.read(|conn| journal::row_at(conn, peer.partition, peer.position)).unwrap().unwrap();
            let back = payload_of(&other);
            let leg = back.peer.unwrap();
            assert_eq!((leg.partition, leg.position, leg.sequence), (row.partition, row.position, row.sequence));
            assert_eq!(other.sequence, peer.sequence);
            assert_eq!(back.transaction_id, payload.transaction_id);
            let places = [(row.partition, row.position), (other.partition, other.position)];
            assert!(places.map(|place| Some(format!("{}-{}", place.0, place.1))).contains(&payload.transaction_id));
            legs += 1;
        }
    }
    legs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_answers_every_key_as_the_original_did() {
    let directory = Directory::new();
    let first = Ledger::play(directory.open("3", 3)).await;
    assert_eq!(first.iter().filter(|answer| answer.is_err()).count(), 1);
    assert!(first.iter().flatten().all(|outcome| !outcome.replayed));

    directory.repartition("3", 1, "1").unwrap();
    directory.repartition("1", 5, "5").unwrap();
    for (name, count) in [("1", 1), ("5", 5)] {
        let database = directory.open(name, count);
        assert_eq!(check_peers(&database, count), 2 * (ACCOUNTS - 1) + 2, "{name}");
        for row in database.read(partitions::all).unwrap() {
            assert_eq!(row.closed_until, Some(18_627));
        }
        check_sides(&database, count);
        // The same again: nothing new is written, and every answer is what it was.
        let again = Ledger::play(database).await;
        for (answer, was) in again.iter().zip(&first) {
            if let Err(refusal) = answer
                && refusal.reason == Reason::AccountAnonymized
            {
                continue;
            }
            assert_eq!(essence(answer), essence(was));
            assert!(answer.as_ref().is_ok_and(|outcome| outcome.replayed) || was.is_err(), "{answer:?}");
        }
        assert_eq!(verify::audit(&directory.open(name, count)).unwrap(), 0);
    }
}

fn check_sides(database: &Database, count: u16) {
    for number in 0..ACCOUNTS {
        let partition = i16::try_from(partition_of(&id(number), count)).unwrap();
        let account =
            database.read(|conn| billing_db::accounts::find(conn, partition, &id(number))).unwrap().unwrap().account;
        let filter = HoldFilter { account, ..HoldFilter::default() };
        let held = database.read(|conn| holds::list(conn, partition, &filter, None, 10)).unwrap();
        for hold in &held {
            let placed = database.read(|conn| journal::row_of(conn, partition, account, hold.placed_sequence)).unwrap();
            assert_eq!(placed.map(|row| payload_of(&row).hold_id), Some(Some(hold.hold_id.clone())));
        }
        let states: Vec<_> =
            held.into_iter().map(|hold| (hold.hold_id, hold.state, hold.description.is_some())).collect();
        assert_eq!(states, [("taken".to_owned(), 2, true), ("kept".to_owned(), 1, true)]);
        let reversed = database.read(|conn| reversals::find(conn, partition, account, &[2, 5])).unwrap();
        // The payment of one, the transfer of another; its peer has got that as its row 4.
        let expected = usize::from(number == 2 || number == 3);
        assert_eq!(reversed.len(), expected, "{}", id(number));
        let due = database.read(|conn| due::next(conn, partition, i64::MAX, i64::MAX)).unwrap();
        assert_eq!(due.iter().filter(|row| (row.account, row.subject.as_str()) == (account, "kept")).count(), 1);
    }
}

#[test]
fn a_copy_needs_an_empty_database_and_a_number() {
    let directory = Directory::new();
    drop(directory.open("old", 1));
    drop(directory.open("taken", 1));
    let error = directory.repartition("old", 2, "taken").unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    let error = directory.repartition("missing", 2, "new").unwrap_err().to_string();
    assert!(error.contains("no database"), "{error}");
    directory.repartition("old", 2, "new").unwrap();
}

#[test]
fn an_unfinished_copy_serves_no_server() {
    let directory = Directory::new();
    let database = directory.open("new", 1);
    partitions::put_setting(&mut database.writer().unwrap().conn(), OLDEST_SERVER, &NO_SERVER.to_string()).unwrap();
    assert!(server::prepare(&database, None, &World::default()).is_err());
}
