//! Verification: a sound ledger is clean, and whatever is changed behind the service's back is named.

use billing_proto::v1;
use billing_proto::v1::{ErrorReason, LedgerViolationKind as Kind};

use crate::harness::ledger::{all_entries, verify};
use crate::harness::requests::{capture_part, charge, hold, payment, reversal, transfer};
use crate::harness::{Refused as _, Service, TestDatabase, on_both, on_both_databases};

on_both![
    a_sound_ledger_is_clean_and_tells_its_heads,
    one_account_can_be_verified,
    an_account_of_nobody_cannot_be_verified,
];

on_both_databases![
    a_changed_amount_is_named,
    a_changed_text_is_named,
    a_removed_row_is_named,
    a_changed_time_is_named,
    a_changed_hold_is_named,
    a_changed_account_is_named,
    an_inserted_row_is_named,
];

/// A little of everything in two accounts.
async fn fill(service: &Service) {
    service.open_with("acme-1", "100").await;
    service.open("acme-2").await;
    service.post(v1::PostRequest { description: "water".to_owned(), ..charge("acme-1", "30") }).await.unwrap();
    service.hold(hold("acme-1", "h", "20")).await.unwrap();
    service.capture(capture_part("acme-1", "h", "5", true)).await.unwrap();
    service.transfer(transfer("acme-1", "acme-2", "10")).await.unwrap();
    service.reverse(reversal("acme-1", 3)).await.unwrap();
    service.post(payment("acme-2", "1")).await.unwrap();
}

async fn a_sound_ledger_is_clean_and_tells_its_heads(service: &Service) {
    fill(service).await;
    let (violations, summary) = verify(&mut service.ledger(), "").await;
    assert_eq!((violations, summary.violation_count, summary.erased_rows), (Vec::new(), 0, 0));
    let partitions: Vec<i32> = summary.heads.iter().map(|head| head.position.unwrap().partition).collect();
    assert_eq!(partitions, [0, 1]);
    let rows: i64 = summary.heads.iter().map(|head| head.position.unwrap().position + 1).sum();
    assert!(summary.checked_rows == rows || summary.checked_rows == rows - 2, "all rows are checked: {summary:?}");
    let last = all_entries(&mut service.ledger(), "acme-2").await.pop().unwrap();
    let own = summary.heads.iter().find(|head| head.position == last.position).expect("the last row of its partition");
    assert_eq!(own.hash, last.hash);
    assert!(summary.start_time.is_some());
}

async fn one_account_can_be_verified(service: &Service) {
    fill(service).await;
    let (violations, summary) = verify(&mut service.ledger(), "acme-1").await;
    assert_eq!(violations, []);
    assert_eq!((summary.checked_rows, summary.heads.len()), (7, 0));
}

async fn an_account_of_nobody_cannot_be_verified(service: &Service) {
    let request = v1::VerifyLedgerRequest { account_id: "nobody".to_owned() };
    let refusal = match service.ledger().verify_ledger(request).await {
        Ok(stream) => stream.into_inner().message().await.map(|_| ()),
        Err(status) => Err(status),
    };
    refusal.refused(ErrorReason::AccountNotFound);
    let request = v1::VerifyLedgerRequest { account_id: "no body".to_owned() };
    let refusal = match service.ledger().verify_ledger(request).await {
        Ok(stream) => stream.into_inner().message().await.map(|_| ()),
        Err(status) => Err(status),
    };
    refusal.refused(ErrorReason::IdMalformed);
}

/// Fills a ledger, changes it while nobody serves it, and verifies what is then there.
async fn after_tampering(database: &TestDatabase, sql: &str) -> Vec<v1::LedgerViolation> {
    let service = Service::start(database).await;
    fill(&service).await;
    service.stop().await;
    database.tamper(sql);
    let service = Service::start(database).await;
    let (violations, summary) = verify(&mut service.ledger(), "").await;
    assert_eq!(summary.violation_count, i64::try_from(violations.len()).unwrap());
    service.stop_unchecked().await;
    violations
}

fn has(violations: &[v1::LedgerViolation], kind: Kind, account_id: &str, sequence: i64) {
    let named =
        violations.iter().find(|one| one.kind() == kind && one.account_id == account_id && one.sequence == sequence);
    let named = named.unwrap_or_else(|| panic!("{kind:?} of {account_id}/{sequence} in {violations:#?}"));
    assert!(!named.message.is_empty());
}

const OF_ACME_1: &str = "account = (select account from accounts where account_id = 'acme-1') \
                         and partition = (select partition from accounts where account_id = 'acme-1')";

async fn a_changed_amount_is_named(database: TestDatabase) {
    // The amount and everything that must follow from it on the same row; the chain and the next row tell.
    let sql = format!(
        "update journal set amount = amount - 1000000, posted_after = posted_after - 1000000, \
         available_after = available_after - 1000000 where sequence = 3 and {OF_ACME_1}"
    );
    let violations = after_tampering(&database, &sql).await;
    has(&violations, Kind::HashMismatch, "acme-1", 3);
    has(&violations, Kind::BalanceMismatch, "acme-1", 4);
}

async fn a_changed_text_is_named(database: TestDatabase) {
    let sql = format!("update journal set description = 'wine' where sequence = 3 and {OF_ACME_1}");
    let violations = after_tampering(&database, &sql).await;
    has(&violations, Kind::HashMismatch, "acme-1", 3);
    assert_eq!(violations.len(), 1, "one change is told once: {violations:#?}");
    assert!(violations[0].position.is_some());
}

async fn a_removed_row_is_named(database: TestDatabase) {
    let violations =
        after_tampering(&database, &format!("delete from journal where sequence = 3 and {OF_ACME_1}")).await;
    let kinds: Vec<Kind> = violations.iter().map(v1::LedgerViolation::kind).collect();
    assert!(kinds.contains(&Kind::PositionGap) && kinds.contains(&Kind::SequenceGap), "{violations:#?}");
}

async fn a_changed_time_is_named(database: TestDatabase) {
    let sql = format!("update journal set recorded_at = recorded_at - 60000000 where sequence = 3 and {OF_ACME_1}");
    let violations = after_tampering(&database, &sql).await;
    has(&violations, Kind::HashMismatch, "acme-1", 3);
    has(&violations, Kind::TimeReversed, "acme-1", 3);
}

async fn a_changed_hold_is_named(database: TestDatabase) {
    let sql = format!("update holds set amount = amount + 1000000 where hold_id = 'h' and {OF_ACME_1}");
    let violations = after_tampering(&database, &sql).await;
    let kinds: Vec<Kind> = violations.iter().map(v1::LedgerViolation::kind).collect();
    assert!(kinds.contains(&Kind::HoldMismatch) || kinds.contains(&Kind::StateMismatch), "{violations:#?}");
    assert!(violations.iter().all(|one| one.account_id == "acme-1"), "{violations:#?}");
}

async fn a_changed_account_is_named(database: TestDatabase) {
    let sql = "update accounts set credit_limit = 5000000 where account_id = 'acme-1'";
    let violations = after_tampering(&database, sql).await;
    let kinds: Vec<Kind> = violations.iter().map(v1::LedgerViolation::kind).collect();
    assert!(kinds.contains(&Kind::StateMismatch), "{violations:#?}");
}

async fn an_inserted_row_is_named(database: TestDatabase) {
    // A second last row: a copy of the newest one of the account, one position on.
    let columns = "kind, format, writer, entry_sequence, amount, posted_after, held_after, available_after, bonus_after, \
                   credit_limit_after, promised_after, not_due_after, overdue_after, counter, category, created_by, \
                   booking_date, occurred_at, recorded_at, idempotency_key, description, reference, details, \
                   texts_digest, payload, hash";
    let sql = format!(
        "insert into journal (partition, position, account, sequence, {columns}) \
         select partition, (select max(position) + 1 from journal j where j.partition = journal.partition), account, \
         sequence + 1, {columns} from journal where sequence = 7 and {OF_ACME_1}"
    );
    let violations = after_tampering(&database, &sql).await;
    has(&violations, Kind::HashMismatch, "acme-1", 8);
}
