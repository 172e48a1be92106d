//! The chain: places without gaps, time that does not go back, and hashes that cover what is written.

use billing_db::JournalRow;

use super::finding::{Fault, Finding};
use crate::engine::seal::{self, Names};

/// A row with the names that it stores as numbers, and the secret of its account.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) row: JournalRow,
    pub(super) account_id: String,
    pub(super) counter: Option<String>,
    pub(super) category: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) secret: Option<[u8; 32]>,
}

impl Seen {
    /// Whether its texts were erased.
    pub(super) fn is_erased(&self) -> bool {
        self.row.texts_digest.is_some()
    }

    fn has_texts(&self) -> bool {
        self.row.description.is_some() || self.row.reference.is_some() || self.row.details.is_some()
    }

    fn names(&self) -> Names<'_> {
        Names {
            account_id: &self.account_id,
            counter: self.counter.as_deref(),
            category: self.category.as_deref(),
            created_by: self.created_by.as_deref(),
        }
    }

    fn finding(&self, fault: Fault, message: &'static str) -> Finding {
        Finding::at_row(fault, &self.row, &self.account_id, message)
    }
}

/// Checks a row's hash against its content and the hash before it.
pub(super) fn check_hash(seen: &Seen, before: &[u8], findings: &mut Vec<Finding>) {
    if seen.is_erased() && seen.has_texts() {
        findings.push(seen.finding(Fault::HashMismatch, "Texts stand beside the digest that says they were erased."));
    }
    if seen.has_texts() && seen.secret.is_none() {
        findings.push(seen.finding(Fault::HashMismatch, "Texts stand in a row of an account that has no secret."));
    }
    let digest = match &seen.row.texts_digest {
        Some(digest) => Some(digest.clone()),
        None => seen.secret.and_then(|secret| seal::texts_digest(&seen.row, &secret)).map(Vec::from),
    };
    let hash = seal::hash(&seen.row, seen.names(), before, digest.as_deref());
    if hash[..] != seen.row.hash[..] {
        let message = "The hash does not follow from the row and the hash before it.";
        let finding = seen.finding(Fault::HashMismatch, message);
        findings.push(finding.with(seal::hex(&hash), seal::hex(&seen.row.hash)));
    }
    check_key(seen, findings);
}

/// The hash of the key, by which a repetition is found, is no part of the row's hash: the key is.
fn check_key(seen: &Seen, findings: &mut Vec<Finding>) {
    let found = seen.row.key_hash.as_deref();
    let expected = seen.row.idempotency_key.as_deref().map(|key| seal::key_hash(&seen.account_id, key));
    if expected.as_ref().map(<[u8; 16]>::as_slice) != found {
        let finding = seen.finding(Fault::HashMismatch, "The hash of the key does not follow from the key.");
        let expected = expected.map(|hash| seal::hex(&hash)).unwrap_or_default();
        findings.push(finding.with(expected, found.map(seal::hex).unwrap_or_default()));
    }
}

/// Where the chain of a partition stands.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) position: i64,
    pub(super) hash: Vec<u8>,
    recorded_at: i64,
}

impl Chain {
    /// Before the genesis row.
    pub(super) fn new() -> Self {
        Self { position: -1, hash: Vec::new(), recorded_at: i64::MIN }
    }

    /// Takes the next row.
    pub(super) fn follow(&mut self, seen: &Seen, findings: &mut Vec<Finding>) {
        let row = &seen.row;
        if row.position != self.position + 1 {
            let finding = seen.finding(Fault::PositionGap, "A position is missing before this row.");
            findings.push(finding.with(self.position + 1, row.position));
        }
        if row.recorded_at < self.recorded_at {
            let finding = seen.finding(Fault::TimeReversed, "The row was recorded before the one that precedes it.");
            findings.push(finding.with(self.recorded_at, row.recorded_at));
        }
        check_hash(seen, &self.hash, findings);
        self.position = row.position;
        self.hash.clone_from(&row.hash);
        self.recorded_at = row.recorded_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(row: JournalRow) -> Seen {
        Seen { row, account_id: String::new(), counter: None, category: None, created_by: None, secret: None }
    }

    fn next(before: &JournalRow) -> JournalRow {
        let mut row =
            JournalRow { position: before.position + 1, recorded_at: before.recorded_at + 1, ..before.clone() };
        row.hash = seal::hash(&row, Names::default(), &before.hash, None).to_vec();
        row
    }

    fn faults(rows: &[JournalRow]) -> Vec<(i64, Fault)> {
        let (mut chain, mut findings) = (Chain::new(), Vec::new());
        for row in rows {
            chain.follow(&seen(row.clone()), &mut findings);
        }
        findings.iter().map(|finding| (finding.at.unwrap_or_default().1, finding.fault)).collect()
    }

    fn sound() -> Vec<JournalRow> {
        let mut rows = vec![seal::genesis(0, 1, None)];
        for index in 0..3 {
            let row = next(&rows[index]);
            rows.push(row);
        }
        rows
    }

    #[test]
    fn a_sound_chain_has_no_findings() {
        assert_eq!(faults(&sound()), []);
    }

    #[test]
    fn a_changed_row_is_found() {
        let mut rows = sound();
        rows[2].amount += 1;
        assert_eq!(faults(&rows), [(2, Fault::HashMismatch)]);
    }

    #[test]
    fn a_changed_row_with_a_new_hash_is_found_at_the_next() {
        let mut rows = sound();
        rows[2].amount += 1;
        rows[2].hash = seal::hash(&rows[2], Names::default(), &rows[1].hash, None).to_vec();
        assert_eq!(faults(&rows), [(3, Fault::HashMismatch)]);
    }

    #[test]
    fn a_removed_row_is_found() {
        let mut rows = sound();
        rows.remove(2);
        assert_eq!(faults(&rows), [(3, Fault::PositionGap), (3, Fault::HashMismatch)]);
    }

    #[test]
    fn a_changed_key_hash_is_found() {
        let mut rows = sound();
        rows[1].key_hash = Some(vec![7; 16]);
        assert_eq!(faults(&rows), [(1, Fault::HashMismatch)]);
    }

    #[test]
    fn time_that_goes_back_is_found() {
        let mut rows = sound();
        rows[3].recorded_at = 0;
        rows[3].hash = seal::hash(&rows[3], Names::default(), &rows[2].hash, None).to_vec();
        assert_eq!(faults(&rows), [(3, Fault::TimeReversed)]);
    }

    #[test]
    fn erased_texts_are_no_fault_and_changed_ones_are() {
        let secret = [3; 32];
        let genesis = seal::genesis(0, 1, None);
        let mut row = JournalRow { position: 1, description: Some("rent".to_owned()), ..genesis.clone() };
        let digest = seal::texts_digest(&row, &secret);
        row.hash =
            seal::hash(&row, Names::default(), &genesis.hash, digest.as_ref().map(<[u8; 32]>::as_slice)).to_vec();
        let check = |row: JournalRow, secret: Option<[u8; 32]>| {
            let mut findings = Vec::new();
            check_hash(&Seen { secret, ..seen(row) }, &genesis.hash, &mut findings);
            findings.len()
        };
        assert_eq!(check(row.clone(), Some(secret)), 0);
        let changed = JournalRow { description: Some("gift".to_owned()), ..row.clone() };
        assert_eq!(check(changed, Some(secret)), 1);
        let erased = JournalRow { description: None, texts_digest: digest.map(Vec::from), ..row };
        assert_eq!(check(erased, None), 0);
    }
}
