//! The hash chain: every row's hash covers its content and the hash before it.
//!
//! Layout 1, SHA-256 over: the layout's number, the hash before, then every field as a big-endian number or as its length
//! and bytes; an absent field is the length 2⁶⁴ − 1. Names stand in it as text, not as numbers of the dictionary. The
//! erasable texts are covered by HMAC-SHA-256 with the account's secret over the position and the texts.

use billing_db::JournalRow;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The layout of rows and their hashes that this server writes.
pub const FORMAT: i16 = 1;

type HmacSha256 = Hmac<Sha256>;

/// The names that a row stores as numbers.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Names<'a> {
    pub account_id: &'a str,
    pub counter: Option<&'a str>,
    pub category: Option<&'a str>,
    pub created_by: Option<&'a str>,
}

fn put(hash: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        None => hash.update(u64::MAX.to_be_bytes()),
    }
}

/// The hash of a row that follows the one whose hash is `before`.
pub fn hash(row: &JournalRow, names: Names<'_>, before: &[u8], texts_digest: Option<&[u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(row.format.to_be_bytes());
    put(&mut hash, Some(before));
    let mut fixed = [0_u8; 8 * 19];
    let number = |value: Option<i64>| value.unwrap_or(0);
    let numbers = [
        i64::from(row.partition),
        row.position,
        row.sequence,
        i64::from(row.kind),
        i64::from(row.writer),
        row.entry_sequence.unwrap_or(-1),
        row.amount,
        row.posted_after,
        number(row.held_after),
        row.available_after,
        number(row.bonus_after),
        number(row.credit_limit_after),
        number(row.promised_after),
        number(row.not_due_after),
        number(row.overdue_after),
        row.booking_date.map_or(i64::MIN, i64::from),
        row.occurred_at.unwrap_or(i64::MIN),
        row.recorded_at,
        row.account,
    ];
    for (slot, value) in fixed.chunks_exact_mut(8).zip(numbers) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
    hash.update(fixed);
    put(&mut hash, Some(names.account_id.as_bytes()));
    put(&mut hash, names.counter.map(str::as_bytes));
    put(&mut hash, names.category.map(str::as_bytes));
    put(&mut hash, names.created_by.map(str::as_bytes));
    put(&mut hash, row.idempotency_key.as_deref().map(str::as_bytes));
    put(&mut hash, row.payload.as_deref().map(str::as_bytes));
    put(&mut hash, texts_digest);
    hash.finalize().into()
}

/// The salted digest of a row's texts; absent if it has none.
pub fn texts_digest(row: &JournalRow, secret: &[u8; 32]) -> Option<[u8; 32]> {
    let texts = [&row.description, &row.reference, &row.details];
    if texts.iter().all(|text| text.is_none()) {
        return None;
    }
    let mut mac = keyed(secret);
    mac.update(&row.position.to_be_bytes());
    for text in texts {
        let (length, bytes) = text.as_ref().map_or((u64::MAX, &[][..]), |text| (text.len() as u64, text.as_bytes()));
        mac.update(&length.to_be_bytes());
        mac.update(bytes);
    }
    Some(mac.finalize().into_bytes().into())
}

/// A digest of one text that nobody without the account's secret can guess.
pub fn keyed_digest(secret: &[u8; 32], text: &str) -> String {
    let mut mac = keyed(secret);
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes()[..12])
}

fn keyed(secret: &[u8; 32]) -> HmacSha256 {
    let mut block = [0_u8; 64];
    block[..32].copy_from_slice(secret);
    HmacSha256::new(&block.into())
}

/// What an idempotency key is known by: 128 bits of the SHA-256 of its scope (the account id, or nothing) and itself.
pub fn key_hash(account_id: &str, key: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    put(&mut hash, Some(account_id.as_bytes()));
    put(&mut hash, Some(key.as_bytes()));
    let full: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The row before all rows of a partition; `ancestry` is what its hash covers: nothing, or the heads of the chains that
/// a repartitioned database came from.
pub fn genesis(partition: i16, recorded_at: i64, ancestry: Option<String>) -> JournalRow {
    let mut row = JournalRow {
        partition,
        position: 0,
        account: 0,
        sequence: 0,
        kind: 0,
        format: FORMAT,
        writer: 0,
        entry_sequence: None,
        amount: 0,
        posted_after: 0,
        held_after: None,
        available_after: 0,
        bonus_after: None,
        credit_limit_after: None,
        promised_after: None,
        not_due_after: None,
        overdue_after: None,
        counter: None,
        category: None,
        created_by: None,
        booking_date: None,
        occurred_at: None,
        recorded_at,
        key_hash: None,
        idempotency_key: None,
        description: None,
        reference: None,
        details: None,
        texts_digest: None,
        payload: ancestry,
        hash: Vec::new(),
    };
    row.hash = hash(&row, Names::default(), &[], None).to_vec();
    row
}
