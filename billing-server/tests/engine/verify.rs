//! What must hold of a database whatever was done to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use billing_db::holds::HoldFilter;
use billing_db::{AccountRow, Conn, Database, DbError, DueRow, HoldRow, JournalRow, due, journal, names};
use billing_server::domain::amounts::Amounts;
use billing_server::domain::money::Money;
use billing_server::domain::record::Payload;
use billing_server::engine::record::{amounts_after, entry_sequence_of, payload_of};
use billing_server::engine::seal;

/// One partition as it is stored.
pub(crate) struct Stored {
    pub(crate) rows: Vec<JournalRow>,
    pub(crate) accounts: BTreeMap<i64, AccountRow>,
    holds: Vec<HoldRow>,
    due: Vec<DueRow>,
    reversed: BTreeMap<(i64, i64), i64>,
    names: HashMap<i32, String>,
    closed_until: Option<i32>,
}

/// Reads all that is stored.
pub(crate) fn read(database: &Database) -> Vec<Stored> {
    let partitions = database.read(billing_db::partitions::all).unwrap();
    partitions
        .iter()
        .map(|row| {
            let mut stored = database.read(|conn| read_partition(conn, row.partition)).unwrap();
            stored.closed_until = row.closed_until;
            stored
        })
        .collect()
}

fn read_partition(conn: &mut Conn<'_>, partition: i16) -> Result<Stored, DbError> {
    let rows = journal::rows_after(conn, partition, -1, i64::MAX)?;
    let numbers: BTreeSet<i64> = rows.iter().map(|row| row.account).filter(|account| *account != 0).collect();
    let numbers: Vec<i64> = numbers.into_iter().collect();
    let accounts = billing_db::accounts::get_by_numbers(conn, partition, &numbers)?;
    let mut holds = Vec::new();
    let mut reversed = BTreeMap::new();
    for account in &numbers {
        let filter = HoldFilter { account: *account, ..HoldFilter::default() };
        holds.extend(billing_db::holds::list(conn, partition, &filter, None, i64::MAX)?);
        let sequences: Vec<i64> = rows.iter().filter(|row| row.account == *account).map(|row| row.sequence).collect();
        for sequences in sequences.chunks(1_000) {
            let found = billing_db::reversals::find(conn, partition, *account, sequences)?;
            reversed.extend(found.into_iter().map(|row| ((row.account, row.sequence), row.reversed)));
        }
    }
    Ok(Stored {
        rows,
        accounts: accounts.into_iter().map(|row| (row.account, row)).collect(),
        holds,
        due: due::next(conn, partition, i64::MAX, i64::MAX)?,
        reversed,
        names: names::all(conn, partition)?.into_iter().map(|row| (row.name_id, row.name)).collect(),
        closed_until: None,
    })
}

/// Checks everything that must hold of the stored data, and gives them back.
#[track_caller]
pub(crate) fn sound(database: &Database) -> Vec<Stored> {
    let partitions = read(database);
    for stored in &partitions {
        check_chain(stored);
        check_accounts(stored);
        check_holds(stored);
        check_reversals(stored);
    }
    check_transfers(&partitions);
    partitions
}

/// Positions are dense, time only goes on, and every hash covers its row and the hash before.
fn check_chain(stored: &Stored) {
    let mut before: Vec<u8> = Vec::new();
    let mut recorded_at = i64::MIN;
    let mut system_sequence = -1;
    let mut closed_until = None;
    for (position, row) in (0..).zip(&stored.rows) {
        assert_eq!(row.position, position, "positions are dense");
        assert!(row.recorded_at > recorded_at, "time goes on at {position}");
        recorded_at = row.recorded_at;
        let name = |number: Option<i32>| number.map(|number| stored.names[&number].as_str());
        let account = stored.accounts.get(&row.account);
        let names = seal::Names {
            account_id: account.map_or("", |account| &account.account_id),
            counter: name(row.counter),
            category: name(row.category),
            created_by: name(row.created_by),
        };
        let secret = account.and_then(|account| account.secret.as_deref()).map(|secret| secret.try_into().unwrap());
        let texts = secret.and_then(|secret| seal::texts_digest(row, secret)).map(|digest| digest.to_vec());
        let texts = texts.or_else(|| row.texts_digest.clone());
        assert_eq!(row.hash, seal::hash(row, names, &before, texts.as_deref()), "the hash of row {position}");
        before.clone_from(&row.hash);
        let key = row.idempotency_key.as_deref();
        let hash = key.map(|key| seal::key_hash(names.account_id, key).to_vec());
        assert_eq!(row.key_hash, hash, "the key of row {position}");
        if row.account == 0 {
            system_sequence += 1;
            assert_eq!(row.sequence, system_sequence, "sequences of no account are dense");
        }
        closed_until = payload(row).closed_until.or(closed_until);
    }
    assert_eq!(stored.closed_until, closed_until, "the books are closed as the journal says");
}

fn payload(row: &JournalRow) -> Payload {
    if row.position == 0 { Payload::default() } else { payload_of(row) }
}

/// Sequences are dense, the balance is the sum of the entries, and the account's row is what its last change says.
fn check_accounts(stored: &Stored) {
    let mut seen: HashMap<i64, &JournalRow> = HashMap::new();
    let mut bonus: HashMap<i64, i64> = HashMap::new();
    for row in stored.rows.iter().filter(|row| row.account != 0) {
        let at = row.position;
        let last = seen.insert(row.account, row);
        let posted = last.map_or(0, |last| last.posted_after);
        assert_eq!(row.sequence, last.map_or(0, |last| last.sequence) + 1, "sequences are dense at {at}");
        assert_eq!(row.posted_after, posted + row.amount, "the balance adds up at {at}");
        let is_entry = matches!(row.kind, 1..=13);
        let entry_sequence = if is_entry { row.sequence } else { last.map_or(0, entry_sequence_of) };
        assert_eq!(entry_sequence_of(row), entry_sequence, "the last entry is known at {at}");
        let amounts = amounts_after(row);
        assert_eq!(row.available_after, amounts.available().micros(), "the available amount adds up at {at}");
        assert!(amounts.bonus >= Money::ZERO && amounts.bonus <= amounts.posted.max(Money::ZERO), "bonus at {at}");
        bonus.insert(row.account, amounts.bonus.micros());
        let account = &stored.accounts[&row.account];
        if let Some(settings) = payload(row).account {
            assert_eq!(amounts.credit_limit, settings.credit_limit, "the limit is the account's at {at}");
            if row.sequence == account.version {
                assert_eq!(account.credit_limit, settings.credit_limit.micros());
                assert_eq!(account.state, settings.state as i16);
                assert_eq!(account.updated_at, settings.updated_at.micros());
            }
        } else {
            assert_eq!(amounts.credit_limit, last.map(amounts_after).unwrap_or_default().credit_limit, "at {at}");
        }
    }
    assert_eq!(seen.len(), stored.accounts.len(), "every account has rows");
    for (number, account) in &stored.accounts {
        assert_eq!(stored.rows[usize::try_from(*number).unwrap()].sequence, 1, "an account's number is its position");
        let changes = stored.rows.iter().filter(|row| row.account == *number && payload(row).account.is_some());
        assert_eq!(changes.map(|row| row.sequence).max(), Some(account.version), "the version is the last change");
    }
}

/// The held amount is the rest of the open holds, which are due exactly once.
fn check_holds(stored: &Stored) {
    let mut held: BTreeMap<i64, i64> = stored.accounts.keys().map(|account| (*account, 0)).collect();
    let mut ends = BTreeSet::new();
    for hold in stored.holds.iter().filter(|hold| hold.state == 1) {
        *held.entry(hold.account).or_default() += hold.amount - hold.captured;
        ends.insert((hold.expires_at, hold.account, hold.hold_id.clone()));
    }
    let due: BTreeSet<_> = stored.due.iter().map(|row| (row.at, row.account, row.subject.clone())).collect();
    assert_eq!(due, ends, "open holds are due");
    assert_eq!(due.len(), stored.due.len());
    for (account, held) in held {
        let last = stored.rows.iter().rev().find(|row| row.account == account).unwrap();
        assert_eq!(amounts_after(last).held.micros(), held, "the holds of account {account} add up");
    }
    for hold in &stored.holds {
        let rows = stored.rows.iter().filter(|row| row.account == hold.account);
        let mut said = rows.filter_map(|row| payload(row).hold).filter(|said| said.hold_id == hold.hold_id);
        let said = said.next_back().unwrap();
        let placed = (hold.account, hold.placed_sequence);
        let placed = stored.rows.iter().find(|row| (row.account, row.sequence) == placed).unwrap();
        assert_eq!(
            (placed.kind, payload(placed).hold_id.as_ref()),
            (40, Some(&hold.hold_id)),
            "the hold was placed there"
        );
        assert_eq!(
            (said.state as i16, said.amount.micros(), said.captured.micros(), said.expires_at.micros()),
            (hold.state, hold.amount, hold.captured, hold.expires_at),
            "the hold is as its last row says"
        );
    }
}

/// No entry is taken back by more than it was.
fn check_reversals(stored: &Stored) {
    let mut reversed: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for row in stored.rows.iter().filter(|row| row.kind == 13) {
        let sequence = payload(row).reverses_sequence.unwrap();
        let original =
            stored.rows.iter().find(|other| (other.account, other.sequence) == (row.account, sequence)).unwrap();
        assert_eq!(original.amount.signum(), -row.amount.signum());
        assert_eq!(original.counter, row.counter, "a reversal has the counter account of its original");
        let sum = reversed.entry((row.account, sequence)).or_default();
        *sum += row.amount.abs();
        assert!(*sum <= original.amount.abs(), "reversed more than there was");
    }
    assert_eq!(stored.reversed, reversed, "what is reversed is noted");
}

/// Both legs of a transfer are there, name each other, and sum to zero.
fn check_transfers(partitions: &[Stored]) {
    let mut sum = 0_i128;
    for row in partitions.iter().flat_map(|stored| &stored.rows) {
        let Some(peer) = payload(row).peer else { continue };
        let at = |partition: i16, position: i64| {
            &partitions[usize::try_from(partition).unwrap()].rows[usize::try_from(position).unwrap()]
        };
        let other = at(peer.partition, peer.position);
        let back = payload(other).peer.unwrap();
        assert_eq!((back.partition, back.position), (row.partition, row.position), "the legs name each other");
        assert_eq!(peer.sequence, other.sequence);
        assert_eq!(row.amount, -other.amount, "the legs sum to zero");
        assert_eq!(payload(row).transaction_id, payload(other).transaction_id);
        sum += i128::from(row.amount);
    }
    assert_eq!(sum, 0);
    let counters = partitions.iter().flat_map(|stored| stored.rows.iter().map(move |row| (stored, row)));
    let transfers =
        counters.filter(|(stored, row)| row.counter.is_some_and(|number| stored.names[&number] == "transfer"));
    assert_eq!(transfers.map(|(_, row)| i128::from(row.amount)).sum::<i128>(), 0, "transfers sum to zero");
}

/// The rows that carry a key, by account and key.
pub(crate) fn keys(partitions: &[Stored]) -> BTreeMap<(String, String), &JournalRow> {
    let mut keys = BTreeMap::new();
    for stored in partitions {
        for row in &stored.rows {
            let Some(key) = &row.idempotency_key else { continue };
            let account = stored.accounts.get(&row.account).map(|account| account.account_id.clone());
            let earlier = keys.insert((account.unwrap_or_default(), key.clone()), row);
            assert_eq!(earlier, None, "key {key} stands on two rows");
        }
    }
    keys
}

/// The newest amounts of an account.
pub(crate) fn amounts(partitions: &[Stored], account_id: &str) -> Amounts {
    let stored = partitions.iter().find_map(|stored| {
        let account = stored.accounts.values().find(|account| account.account_id == account_id)?;
        stored.rows.iter().rev().find(|row| row.account == account.account)
    });
    stored.map(amounts_after).unwrap_or_default()
}
