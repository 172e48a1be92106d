//! Gathers what a batch needs to be decided: from the running batch, else from memory, else from the database.
//!
//! No snapshot is needed: a batch appends only if nobody else has appended since the position it is tagged with, and
//! everything that changes appends. What was read while another instance was faster is thrown away with the batch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use billing_db::{Conn, DbError, JournalRow, heads, holds, journal, keys, reversals};

use super::command::{Body, Command, Job};
use super::record::{Record, payload_of};
use super::replay::{Content, Remembered};
use super::seal::{self, key_hash};
use super::stored::{account_of, head_of, hold_of};
use super::work::Work;
use super::works::Works;
use crate::domain::head::Head;
use crate::domain::holds::Hold;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;

/// Fills `works` with all that the jobs name.
pub(super) fn gather(
    conn: &mut Conn<'_>,
    works: &mut Works,
    running: Option<&Work>,
    jobs: &[Job],
) -> Result<(), DbError> {
    let commands = || jobs.iter().flat_map(|job| &job.commands);
    for work in &mut works.parts {
        let number = work.partition.number;
        let ids: HashSet<&str> =
            commands().flat_map(Command::account_ids).filter(|id| works.spread.partition_of(id) == number).collect();
        gather_heads(conn, work, running, &ids)?;
    }
    gather_keys(conn, works, running, commands())?;
    for command in commands().filter(|command| !is_simple(command)) {
        gather_details(conn, works, running, command)?;
    }
    Ok(())
}

/// Whether the heads and keys are all that a command needs.
fn is_simple(command: &Command) -> bool {
    matches!(command.body, Body::Post(_) | Body::Transfer(_) | Body::Settle | Body::CloseBooks { .. })
}

fn gather_heads(
    conn: &mut Conn<'_>,
    work: &mut Work,
    running: Option<&Work>,
    ids: &HashSet<&str>,
) -> Result<(), DbError> {
    let mut missing = Vec::new();
    {
        let partition = Arc::clone(&work.partition);
        let mut committed = partition.committed.lock();
        for id in ids {
            let head = match running.and_then(|running| running.ids.get(*id)) {
                Some(Some(account)) => running.and_then(|running| running.heads.get(account)),
                // Not there when the running batch was decided; it may be by now, through another instance.
                Some(None) => None,
                None => committed.heads.by_id(id),
            };
            match head {
                Some(head) => put_head(work, head.clone()),
                None => missing.push(*id),
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    for head in load_heads(conn, work.partition.db_number(), &missing)? {
        put_head(work, head);
    }
    for id in missing {
        work.ids.entry(id.to_owned()).or_insert(None);
    }
    Ok(())
}

fn put_head(work: &mut Work, head: Head) {
    let account = head.identity.account;
    work.ids.insert(head.identity.account_id.clone(), Some(account));
    work.heads.insert(account, head);
}

/// The heads of accounts from the database: one query, and one more for their open holds if any has some.
pub(super) fn load_heads(conn: &mut Conn<'_>, partition: i16, ids: &[&str]) -> Result<Vec<Head>, DbError> {
    let rows = heads::load_by_ids(conn, partition, ids)?;
    let holding: Vec<i64> =
        rows.iter().filter(|row| row.last.held_after.is_some()).map(|row| row.account.account).collect();
    let mut open: HashMap<i64, Vec<Arc<Hold>>> = HashMap::new();
    if !holding.is_empty() {
        for row in heads::open_holds(conn, partition, &holding)? {
            open.entry(row.account).or_default().push(Arc::new(hold_of(row)));
        }
    }
    rows.into_iter()
        .map(|row| {
            let mut holds = open.remove(&row.account.account).unwrap_or_default();
            holds.sort_by(|a, b| a.order().cmp(&b.order()));
            head_of(row, holds)
        })
        .collect()
}

fn gather_keys<'a>(
    conn: &mut Conn<'_>,
    works: &mut Works,
    running: Option<&Work>,
    commands: impl Iterator<Item = &'a Command>,
) -> Result<(), DbError> {
    let mut missing: HashMap<u16, HashSet<[u8; 16]>> = HashMap::new();
    for command in commands {
        let Some(key) = &command.key else { continue };
        let hash = key_hash(&command.account_id, key);
        let work = works.home(command);
        if let Some(remembered) = running.and_then(|running| running.keys.get(&hash)) {
            work.keys.insert(hash, remembered.clone());
            continue;
        }
        let remembered = work.partition.committed.lock().keys.get(&hash).cloned();
        match remembered {
            Some(remembered) => _ = work.keys.insert(hash, remembered),
            None => _ = missing.entry(work.partition.number).or_default().insert(hash),
        }
    }
    for (partition, hashes) in missing {
        let hashes: Vec<[u8; 16]> = hashes.into_iter().collect();
        let found = keys::find(conn, super::partition::db_number(partition), &hashes)?;
        let own = works.part(partition).map(|work| Arc::clone(&work.partition));
        let Some(own) = own else { continue };
        for record in own.records(conn, found.rows)? {
            remember_row(conn, works, record)?;
        }
        let Some(work) = works.part(partition) else { continue };
        for outcome in found.outcomes {
            let content: Option<Content> = serde_json::from_str(&outcome.content).ok();
            let refusal: Option<Refusal> = serde_json::from_str(&outcome.details).ok();
            let key: Option<[u8; 16]> = outcome.key_hash.try_into().ok();
            if let (Some(content), Some(refusal), Some(key)) = (content, refusal, key) {
                work.keys.insert(key, Remembered::Refused(Arc::new((content, refusal))));
            }
        }
    }
    Ok(())
}

/// Remembers a row found by its key, with the other leg if it is one of a transfer.
fn remember_row(conn: &mut Conn<'_>, works: &mut Works, record: Record) -> Result<(), DbError> {
    let partition = u16::try_from(record.row.partition).unwrap_or_default();
    let Some(key) = record.row.key_hash.as_deref().and_then(|key| key.try_into().ok()) else { return Ok(()) };
    let peer = record.payload().peer;
    let mut rows = vec![Arc::new(record)];
    if let Some(peer) = peer {
        let row = journal::row_at(conn, peer.partition, peer.position)?;
        let home = u16::try_from(peer.partition).unwrap_or_default();
        let owner = works.part(home).map(|work| Arc::clone(&work.partition));
        if let Some(owner) = owner {
            rows.extend(owner.records(conn, row.into_iter().collect())?.into_iter().map(Arc::new));
        }
    }
    if let Some(work) = works.part(partition) {
        work.keys.insert(key, Remembered::Rows(rows));
    }
    Ok(())
}

/// What a command names beside accounts and its key.
fn gather_details(
    conn: &mut Conn<'_>,
    works: &mut Works,
    running: Option<&Work>,
    command: &Command,
) -> Result<(), DbError> {
    let work = works.home(command);
    let Some(account) = work.ids.get(&command.account_id).copied().flatten() else { return Ok(()) };
    match &command.body {
        Body::CreateAccount(_) => gather_first_row(conn, work, running, account, 1),
        Body::UpdateAccount(_) | Body::CloseAccount(_) | Body::ReopenAccount(_) => {
            gather_account(conn, work, running, &command.account_id, account)
        }
        Body::AnonymizeAccount(_) => {
            gather_account(conn, work, running, &command.account_id, account)?;
            gather_texts(conn, work, account)
        }
        Body::PlaceHold(place) => {
            gather_hold(conn, work, running, account, &place.hold_id)?;
            match work.hold(account, &place.hold_id).map(|hold| hold.placed_sequence) {
                Some(sequence) => gather_first_row(conn, work, running, account, sequence),
                None => Ok(()),
            }
        }
        Body::UpdateHold(update) => gather_hold(conn, work, running, account, &update.hold_id),
        Body::CaptureHold(capture) => gather_hold(conn, work, running, account, &capture.hold_id),
        Body::ReleaseHold { hold_id } => gather_hold(conn, work, running, account, hold_id),
        Body::Reverse(reverse) => gather_original(conn, works, running, command, reverse.sequence),
        Body::Post(_) | Body::Transfer(_) | Body::Settle | Body::CloseBooks { .. } => Ok(()),
    }
}

/// The row that made an account or a hold.
fn gather_first_row(
    conn: &mut Conn<'_>,
    work: &mut Work,
    running: Option<&Work>,
    account: i64,
    sequence: i64,
) -> Result<(), DbError> {
    let key = (account, sequence);
    if let Some(record) = running.and_then(|running| running.row_of(account, sequence)) {
        work.first_rows.insert(key, Arc::clone(record));
    } else if let Some(row) = journal::row_of(conn, work.partition.db_number(), account, sequence)? {
        let records = work.partition.records(conn, vec![row])?;
        work.first_rows.extend(records.into_iter().map(|record| (key, Arc::new(record))));
    }
    Ok(())
}

fn gather_account(
    conn: &mut Conn<'_>,
    work: &mut Work,
    running: Option<&Work>,
    account_id: &str,
    account: i64,
) -> Result<(), DbError> {
    if let Some(full) = running.and_then(|running| running.accounts.get(&account)) {
        work.accounts.insert(account, full.clone());
    } else if let Some(row) = billing_db::accounts::find(conn, work.partition.db_number(), account_id)? {
        work.accounts.insert(account, account_of(&row)?);
    }
    Ok(())
}

/// The digests that take the place of an account's texts. Runs only while no batch is on its way.
fn gather_texts(conn: &mut Conn<'_>, work: &mut Work, account: i64) -> Result<(), DbError> {
    let Some(secret) = work.heads.get(&account).and_then(|head| head.secret) else { return Ok(()) };
    let mut digests = Vec::new();
    let mut after = 0;
    loop {
        let rows = journal::rows_of_account(
            conn,
            work.partition.db_number(),
            account,
            after,
            i64::MAX,
            super::partition::PAGE,
        )?;
        let Some(last) = rows.last() else { break };
        after = last.sequence;
        digests.extend(rows.iter().filter_map(|row: &JournalRow| {
            seal::texts_digest(row, &secret).map(|digest| (row.position, digest.to_vec()))
        }));
    }
    work.digests.insert(account, digests);
    Ok(())
}

fn gather_hold(
    conn: &mut Conn<'_>,
    work: &mut Work,
    running: Option<&Work>,
    account: i64,
    hold_id: &str,
) -> Result<(), DbError> {
    let is_open = |head: &Head| head.open_holds.iter().any(|hold| hold.hold_id == hold_id);
    let key = (account, hold_id.to_owned());
    if work.heads.get(&account).is_some_and(is_open) || work.holds.contains_key(&key) {
        return Ok(());
    }
    let known = running.and_then(|running| running.holds.get(&key)).cloned().flatten();
    let hold = if known.is_some() {
        known
    } else {
        let found = holds::find(conn, work.partition.db_number(), account, &[hold_id])?;
        found.into_iter().next().map(|row| Arc::new(hold_of(row)))
    };
    work.holds.insert(key, hold);
    Ok(())
}

/// The entry to reverse and, for a leg of a transfer, the other leg.
fn gather_original(
    conn: &mut Conn<'_>,
    works: &mut Works,
    running: Option<&Work>,
    command: &Command,
    sequence: i64,
) -> Result<(), DbError> {
    let work = works.home(command);
    let Some(account) = work.ids.get(&command.account_id).copied().flatten() else { return Ok(()) };
    let peer = gather_entry(conn, work, running, account, sequence)?;
    let Some(peer) = peer.and_then(|record| payload_of(&record.row).peer) else { return Ok(()) };
    let Ok(home) = u16::try_from(peer.partition) else { return Ok(()) };
    let Some(work) = works.part(home) else { return Ok(()) };
    if let Some(account) = work.ids.get(&peer.account_id).copied().flatten() {
        gather_entry(conn, work, running, account, peer.sequence)?;
    }
    Ok(())
}

fn gather_entry(
    conn: &mut Conn<'_>,
    work: &mut Work,
    running: Option<&Work>,
    account: i64,
    sequence: i64,
) -> Result<Option<Arc<Record>>, DbError> {
    let key = (account, sequence);
    let running = running.filter(|running| running.partition.number == work.partition.number);
    let in_flight = running.and_then(|running| {
        running.records.iter().find(|record| (record.row.account, record.row.sequence) == key).cloned()
    });
    let record = if in_flight.is_some() {
        in_flight
    } else {
        let row = journal::row_of(conn, work.partition.db_number(), account, sequence)?;
        work.partition.records(conn, row.into_iter().collect())?.into_iter().next().map(Arc::new)
    };
    if let Some(amount) = running.and_then(|running| running.reversed.get(&key)) {
        work.reversed.insert(key, *amount);
    } else {
        let found = reversals::find(conn, work.partition.db_number(), account, &[sequence])?;
        let amount = found.first().map_or(0, |row| row.reversed);
        work.reversed.insert(key, Money::from_micros(amount));
    }
    work.originals.insert(key, record.clone());
    Ok(record)
}
