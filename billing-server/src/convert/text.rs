//! Texts, identifiers, keys and metadata of requests.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use super::violations::Violations;
use crate::domain::identifier;
use crate::domain::reason::Reason;

/// The longest description, in characters.
pub const MAX_DESCRIPTION: usize = 1000;
/// The longest reference, in characters.
pub const MAX_REFERENCE: usize = 200;
/// The longest text to search for, in characters.
pub const MAX_SEARCH: usize = 200;
/// The most pairs of metadata.
pub const MAX_PAIRS: usize = 64;
/// The most bytes of keys and values of metadata together.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// An identifier that must be given.
pub fn id(violations: &mut Violations, field: &str, text: String) -> String {
    if text.is_empty() {
        violations.add_required(field);
    } else if !identifier::is_identifier(&text) {
        let description = format!("{field} is 1 to 64 characters of A-Z a-z 0-9 . _ : and -.");
        violations.add(Reason::IdMalformed, field, description);
    }
    text
}

/// An identifier that may be left out.
pub fn optional_id(violations: &mut Violations, field: &str, text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(id(violations, field, text)) }
}

/// An idempotency key that must be given.
pub fn key(violations: &mut Violations, text: String) -> Option<String> {
    if text.is_empty() {
        violations.add_required(KEY);
    }
    optional_key(violations, text)
}

/// An idempotency key that may be left out.
pub fn optional_key(violations: &mut Violations, text: String) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if !identifier::is_idempotency_key(&text) {
        violations.add(
            Reason::IdempotencyKeyMalformed,
            KEY,
            "idempotency_key is 1 to 128 visible ASCII characters, without spaces.",
        );
    }
    Some(text)
}

const KEY: &str = "idempotency_key";

/// A text for people; none if it is empty.
pub fn text(violations: &mut Violations, field: &str, text: String, max: usize) -> Option<String> {
    check_text(violations, field, &text, max);
    Some(text).filter(|text| !text.is_empty())
}

/// Notes a text that is too long or holds a NUL.
pub fn check_text(violations: &mut Violations, field: &str, text: &str, max: usize) {
    if identifier::has_nul(text) {
        violations.add(Reason::TextNotUtf8, field, format!("{field} holds a NUL character, which no text may."));
    }
    // Only a text of more bytes can have more characters.
    if text.len() > max && text.chars().count() > max {
        let description = format!("{field} has at most {max} characters.");
        violations.add_with(Reason::FieldTooLong, field, description, &[("max", &max)]);
    }
}

/// A category; none if it is empty.
pub fn category(violations: &mut Violations, field: &str, text: String) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if !identifier::is_category(&text) {
        let max = identifier::MAX_CATEGORY_LENGTH;
        let description = format!("{field} is at most {max} characters of a-z 0-9 _ . : and -.");
        violations.add(Reason::FieldMalformed, field, description);
    }
    Some(text)
}

/// A counter account; none if it is empty.
pub fn counter_account(violations: &mut Violations, field: &str, text: String) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if !identifier::is_counter_account(&text) {
        let description = format!("{field} is 1 to 64 characters of a-z 0-9 _ . : and -.");
        violations.add(Reason::FieldMalformed, field, description);
    }
    Some(text)
}

/// The caller's own pairs.
pub fn metadata<S: BuildHasher>(
    violations: &mut Violations,
    field: &str,
    pairs: HashMap<String, String, S>,
) -> BTreeMap<String, String> {
    let count = pairs.len();
    let bytes: usize = pairs.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum();
    if count > MAX_PAIRS || bytes > MAX_METADATA_BYTES {
        violations.add_with(
            Reason::MetadataTooLarge,
            field,
            format!("{field} has at most {MAX_PAIRS} pairs, and {MAX_METADATA_BYTES} bytes of keys and values."),
            &[("pairs", &count), ("bytes", &bytes)],
        );
    }
    if pairs.iter().any(|(key, value)| identifier::has_nul(key) || identifier::has_nul(value)) {
        violations.add(Reason::TextNotUtf8, field, format!("{field} holds a NUL character, which no text may."));
    }
    pairs.into_iter().collect()
}

/// What a message may repeat of a text that a caller sent.
pub fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::Refusal;

    fn reasons(check: impl FnOnce(&mut Violations)) -> Vec<String> {
        let mut violations = Violations::default();
        check(&mut violations);
        let refusal = violations.finish().err().unwrap_or_else(|| Refusal::new(Reason::Internal, ""));
        refusal.violations.into_iter().map(|violation| violation.reason).collect()
    }

    #[test]
    fn texts_are_counted_in_characters() {
        assert!(reasons(|found| check_text(found, "description", &"é".repeat(1000), 1000)).is_empty());
        assert_eq!(reasons(|found| check_text(found, "description", &"é".repeat(1001), 1000)), ["FIELD_TOO_LONG"]);
        assert_eq!(reasons(|found| check_text(found, "description", "a\0b", 1000)), ["TEXT_NOT_UTF8"]);
    }

    #[test]
    fn ids_and_keys_have_their_shapes() {
        assert_eq!(reasons(|found| drop(id(found, "account_id", String::new()))), ["FIELD_REQUIRED"]);
        assert_eq!(reasons(|found| drop(id(found, "account_id", "a b".to_owned()))), ["ID_MALFORMED"]);
        assert!(reasons(|found| drop(optional_id(found, "hold_id", String::new()))).is_empty());
        assert_eq!(reasons(|found| drop(key(found, String::new()))), ["FIELD_REQUIRED"]);
        assert_eq!(reasons(|found| drop(key(found, "a b".to_owned()))), ["IDEMPOTENCY_KEY_MALFORMED"]);
    }

    #[test]
    fn metadata_has_at_most_64_pairs_and_16_kib() {
        let pairs = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect::<HashMap<_, _>>();
        assert!(reasons(|found| drop(metadata(found, "metadata", pairs(64)))).is_empty());
        assert_eq!(reasons(|found| drop(metadata(found, "metadata", pairs(65)))), ["METADATA_TOO_LARGE"]);
        let large = HashMap::from([("k".to_owned(), "v".repeat(MAX_METADATA_BYTES))]);
        assert_eq!(reasons(|found| drop(metadata(found, "metadata", large))), ["METADATA_TOO_LARGE"]);
    }
}
