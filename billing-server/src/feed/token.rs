//! Resume tokens: how far a reader has come, opaque, signed, and good on any instance of the server.
//!
//! Layout 1, base64url of: the layout's number; the number of partitions (2 bytes); for each the position (8), the first
//! bytes of the hash of the row there (8) and how many events of that row were sent (1, 255: all of them); whether a
//! snapshot was being sent (1), and then its partition (2), the length of the last account sent (1) and that account; the
//! first half of the HMAC-SHA-256 of all that. Numbers are big-endian.
//!
//! Journal rows live for ever, so a token never grows too old: `RESUME_TOKEN_EXPIRED` is kept in the contract for a
//! server that forgets rows, and this one never answers it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use billing_db::JournalRow;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::reason::{Reason, Refusal};

const LAYOUT: u8 = 1;
const TAG_LENGTH: usize = 16;
/// What the contract promises.
const MAX_LENGTH: usize = 16 * 1024;
/// In a token: all events of the row were sent.
const ALL_SENT: u8 = u8::MAX;

type HmacSha256 = Hmac<Sha256>;

/// A row of a partition, known by its place and the beginning of its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its position.
    pub position: i64,
    /// The first bytes of its hash.
    pub hash: [u8; 8],
}

impl Mark {
    /// The mark of a row by its position and its whole hash.
    pub fn new(position: i64, hash: &[u8]) -> Self {
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { position, hash: short }
    }

    /// The mark of a row.
    pub fn of(row: &JournalRow) -> Self {
        Self::new(row.position, &row.hash)
    }
}

/// How far a reader has come in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last row of which an event was sent, or that was passed over.
    pub mark: Mark,
    /// How many of its events were sent, if not all.
    pub sent: Option<u8>,
}

impl Cursor {
    /// All events up to a row were sent.
    pub fn after(mark: Mark) -> Self {
        Self { mark, sent: None }
    }

    /// The position above which rows are still to be read.
    pub fn read_to(&self) -> i64 {
        if self.sent.is_some() { self.mark.position.saturating_sub(1) } else { self.mark.position }
    }

    /// How many events of the row at a position were sent before.
    pub fn sent_of(&self, position: i64) -> usize {
        if position == self.mark.position { self.sent.map_or(0, usize::from) } else { 0 }
    }
}

/// How far a snapshot has come: everything below this partition is sent, and in it the accounts up to this id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The partition being sent.
    pub partition: u16,
    /// The last account sent of it; empty before the first.
    pub account_id: String,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A cursor for each partition.
    pub cursors: Vec<Cursor>,
    /// How far the snapshot has come, if it was not finished.
    pub snapshot: Option<SnapshotMark>,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Signer {
    /// Keyed once; each token clones it.
    mac: HmacSha256,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with the database's token secret. What it signs is good for nothing else that uses the same secret.
    pub fn new(secret: &[u8]) -> Self {
        let mut key = [0_u8; 64];
        if secret.len() > key.len() {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let mut mac = HmacSha256::new(&key.into());
        mac.update(b"billing.v1 resume token\0");
        Self { mac }
    }

    /// The token of a reader that has come so far.
    pub fn sign(&self, cursors: &[Cursor], snapshot: Option<&SnapshotMark>) -> String {
        let mut bytes = Vec::with_capacity(4 + cursors.len() * 17 + 68 + TAG_LENGTH);
        bytes.push(LAYOUT);
        let count = u16::try_from(cursors.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for cursor in cursors.iter().take(usize::from(count)) {
            bytes.extend_from_slice(&cursor.mark.position.to_be_bytes());
            bytes.extend_from_slice(&cursor.mark.hash);
            bytes.push(cursor.sent.unwrap_or(ALL_SENT));
        }
        bytes.push(u8::from(snapshot.is_some()));
        if let Some(snapshot) = snapshot {
            let id = snapshot.account_id.as_bytes();
            let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
            bytes.extend_from_slice(&snapshot.partition.to_be_bytes());
            bytes.push(length);
            bytes.extend(id.iter().take(usize::from(length)));
        }
        let tag = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend(tag.iter().take(TAG_LENGTH));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says, if this service has made it.
    ///
    /// # Errors
    /// `RESUME_TOKEN_INVALID`.
    pub fn verify(&self, token: &str) -> Result<Token, Refusal> {
        self.read(token).ok_or_else(|| {
            Refusal::field(
                Reason::ResumeTokenInvalid,
                "resume_token",
                "The resume token was not made by this service, or was damaged; hand back one unchanged.",
            )
        })
    }

    fn read(&self, token: &str) -> Option<Token> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_LENGTH)?)?;
        self.mac.clone().chain_update(content).verify_truncated_left(tag).ok()?;
        parse(content)
    }
}

/// Takes the first `N` bytes off.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn parse(mut bytes: &[u8]) -> Option<Token> {
    let bytes = &mut bytes;
    let [layout] = take(bytes)?;
    if layout != LAYOUT {
        return None;
    }
    let count = u16::from_be_bytes(take(bytes)?);
    let mut cursors = Vec::new();
    for _ in 0..count {
        let position = i64::from_be_bytes(take(bytes)?);
        let hash = take(bytes)?;
        let [sent] = take(bytes)?;
        cursors.push(Cursor { mark: Mark { position, hash }, sent: Some(sent).filter(|sent| *sent != ALL_SENT) });
    }
    let snapshot = match take(bytes)? {
        [0] => None,
        [1] => {
            let partition = u16::from_be_bytes(take(bytes)?);
            let [length] = take(bytes)?;
            let id = bytes.split_off(..usize::from(length))?;
            Some(SnapshotMark { partition, account_id: std::str::from_utf8(id).ok()?.to_owned() })
        }
        _ => return None,
    };
    bytes.is_empty().then_some(Token { cursors, snapshot })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> impl Strategy<Value = Cursor> {
        let sent = proptest::option::of(0..ALL_SENT);
        (any::<i64>(), any::<[u8; 8]>(), sent)
            .prop_map(|(position, hash, sent)| Cursor { mark: Mark { position, hash }, sent })
    }

    fn token() -> impl Strategy<Value = Token> {
        let snapshot = (any::<u16>(), "[A-Za-z0-9._:-]{0,64}")
            .prop_map(|(partition, account_id)| SnapshotMark { partition, account_id });
        (proptest::collection::vec(cursor(), 0..=64), proptest::option::of(snapshot))
            .prop_map(|(cursors, snapshot)| Token { cursors, snapshot })
    }

    fn sign(signer: &Signer, token: &Token) -> String {
        signer.sign(&token.cursors, token.snapshot.as_ref())
    }

    proptest! {
        #[test]
        fn a_token_says_what_was_signed(token in token()) {
            let signer = Signer::new(&[7; 32]);
            let text = sign(&signer, &token);
            prop_assert!(text.len() <= MAX_LENGTH);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(signer.verify(&text), Ok(token));
        }

        #[test]
        fn a_changed_token_is_refused(token in token(), at in any::<prop::sample::Index>(), by in 1..=u8::MAX) {
            let signer = Signer::new(&[7; 32]);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(sign(&signer, &token)).unwrap_or_default();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            let forged = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(signer.verify(&forged).map_err(|refusal| refusal.reason), Err(Reason::ResumeTokenInvalid));
        }

        #[test]
        fn a_cut_token_is_refused(token in token(), at in any::<prop::sample::Index>()) {
            let signer = Signer::new(&[7; 32]);
            let text = sign(&signer, &token);
            prop_assert!(signer.verify(&text[..at.index(text.len())]).is_err());
        }

        #[test]
        fn a_token_of_another_secret_is_refused(token in token()) {
            let text = sign(&Signer::new(&[8; 32]), &token);
            prop_assert!(Signer::new(&[7; 32]).verify(&text).is_err());
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            prop_assert!(Signer::new(&[7; 32]).verify(&text).is_err());
        }
    }

    #[test]
    fn a_row_half_sent_is_read_again() {
        let mark = Mark { position: 5, hash: [1; 8] };
        let half = Cursor { mark, sent: Some(1) };
        assert_eq!((half.read_to(), half.sent_of(5), half.sent_of(6)), (4, 1, 0));
        let whole = Cursor::after(mark);
        assert_eq!((whole.read_to(), whole.sent_of(5)), (5, 0));
    }
}
