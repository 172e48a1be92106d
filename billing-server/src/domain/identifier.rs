//! The shapes of the names that callers choose, and the hash that places an account in a partition.
//!
//! Sources: "Conventions" in `api.md`, "Posting" in `rules.md`, "partition" in `architecture.md`.

use sha2::{Digest, Sha256};

/// The longest identifier, in characters.
pub const MAX_IDENTIFIER_LENGTH: usize = 64;
/// The longest idempotency key, in characters.
pub const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 128;
/// The longest name of a counter account, in characters.
pub const MAX_COUNTER_ACCOUNT_LENGTH: usize = 64;
/// The longest category, in characters: `revenue:<category>` must be a counter account.
pub const MAX_CATEGORY_LENGTH: usize = 56;
/// The longest locale, in characters: what RFC 5646 (4.4.1) recommends to have room for.
pub const MAX_LOCALE_LENGTH: usize = 35;

/// Whether the text is an identifier: 1–64 characters `[A-Za-z0-9._:-]`.
pub fn is_identifier(text: &str) -> bool {
    consists_of(text, MAX_IDENTIFIER_LENGTH, |byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Whether the text is an idempotency key: 1–128 visible ASCII characters (`!` to `~`, no space).
pub fn is_idempotency_key(text: &str) -> bool {
    consists_of(text, MAX_IDEMPOTENCY_KEY_LENGTH, |byte| byte.is_ascii_graphic())
}

/// Whether the text is the name of a counter account: 1–64 characters `[a-z0-9_.:-]`.
pub fn is_counter_account(text: &str) -> bool {
    consists_of(text, MAX_COUNTER_ACCOUNT_LENGTH, is_counter_account_byte)
}

/// Whether the text is a category: 1–56 characters `[a-z0-9_.:-]`, because the default counter account of a charge is
/// `revenue:<category>`.
pub fn is_category(text: &str) -> bool {
    consists_of(text, MAX_CATEGORY_LENGTH, is_counter_account_byte)
}

/// Whether the text has the shape of a BCP 47 locale: a language of 2–3 letters, then subtags of 2–8 letters and
/// digits, joined by `-`, at most 35 characters (`ru`, `en-GB`, `zh-Hant-TW`, `es-419`).
///
/// Whether such a language exists is not asked; extensions and private use (`-u-…`, `-x-…`) are refused.
pub fn is_locale(text: &str) -> bool {
    let mut subtags = text.split('-');
    let language = subtags.next().unwrap_or_default();
    text.len() <= MAX_LOCALE_LENGTH
        && language.len() >= 2
        && consists_of(language, 3, |byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| subtag.len() >= 2 && consists_of(subtag, 8, |byte| byte.is_ascii_alphanumeric()))
}

/// Whether the text holds a NUL character, which no text may (`PostgreSQL` cannot store it).
pub fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// The partition of an account, from 0 to `partitions` − 1: the first 8 bytes of the SHA-256 of the UTF-8 identifier,
/// read as a big-endian unsigned integer, modulo `partitions`.
///
/// **Stable for ever**, and the same in every language: rows are stored by it. With `partitions` 0 it is 0.
pub fn partition_of(account_id: &str, partitions: u16) -> u16 {
    let digest = Sha256::digest(account_id.as_bytes());
    let head = digest.iter().take(8).fold(0_u64, |head, &byte| (head << 8) | u64::from(byte));
    // A remainder by a u16 is a u16.
    head.checked_rem(u64::from(partitions)).and_then(|rest| u16::try_from(rest).ok()).unwrap_or(0)
}

/// Whether the text has 1 to `longest` bytes, all of them `allowed`.
fn consists_of(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_counter_account_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.:-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts what the check accepts and refuses, and that its longest text has `longest` characters.
    fn check(check: fn(&str) -> bool, longest: usize, accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(check(text), "{text:?} is accepted");
        }
        for text in ["", " ", "a b", "é", "a\0", "a\n", "a\u{7f}"].iter().chain(refused) {
            assert!(!check(text), "{text:?} is refused");
        }
        assert!(check(&"a".repeat(longest)));
        assert!(!check(&"a".repeat(longest.saturating_add(1))));
    }

    #[test]
    fn names_have_their_shapes() {
        check(is_identifier, 64, &["acme-1", "A.b_c:D-9", "."], &["a/b", "a+b", "a@b", "a~b"]);
        check(is_idempotency_key, 128, &["bank-77-1", "!", "~", "{\"a\":1}"], &["a b", "\t"]);
        check(is_counter_account, 64, &["cash:bank", "revenue:internet", "tax:vat_20", "a.b-c"], &["Cash", "a/b"]);
        check(is_category, 56, &["internet", "tv:basic", "line-2_a.b"], &["Internet", "a/b"]);
        assert!(is_counter_account(&format!("revenue:{}", "a".repeat(MAX_CATEGORY_LENGTH))));
    }

    #[test]
    fn locales_have_the_shape_of_bcp_47() {
        for text in ["ru", "en-GB", "zh-Hant-TW", "es-419", "fil", "sl-rozaj-biske-1994", "EN-gb"] {
            assert!(is_locale(text), "{text}");
        }
        let long = "en-abcdefgh-abcdefgh-abcdefgh-abcdef";
        for text in ["", "e", "engl", "en_GB", "en-", "-en", "en--GB", "e1", "en-x-ab", "en-abcdefghi", "ру", long] {
            assert!(!is_locale(text), "{text}");
        }
        assert!(is_locale("en-abcdefgh-abcdefgh-abcdefgh-abcde"));
    }

    #[test]
    fn nul_is_found() {
        assert!(has_nul("a\0b"));
        assert!(!has_nul("ab"));
    }

    /// The expected numbers were computed with Python's hashlib, not with this code.
    #[test]
    fn partitions_are_known_answers() {
        for (account_id, partitions, expected) in [
            ("acme-1", 1, 0),
            ("acme-1", 2, 0),
            ("acme-1", 16, 2),
            ("acme-1", 1000, 930),
            ("acme-1", 65535, 16535),
            ("a", 1, 0),
            ("a", 2, 0),
            ("a", 16, 10),
            ("a", 1000, 250),
            ("a", 65535, 54160),
            ("customer:42", 1, 0),
            ("customer:42", 2, 1),
            ("customer:42", 16, 11),
            ("customer:42", 1000, 715),
            ("customer:42", 65535, 19875),
            ("", 1, 0),
            ("", 2, 0),
            ("", 16, 4),
            ("", 1000, 652),
            ("", 65535, 23812),
            ("acme-1", 0, 0),
        ] {
            assert_eq!(partition_of(account_id, partitions), expected, "{account_id} of {partitions}");
        }
    }
}
