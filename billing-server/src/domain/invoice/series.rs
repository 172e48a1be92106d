//! Series: the gap-free numbers of issued invoices.
//!
//! A draft has no number. Issuing takes the number from the series row in its own transaction, so that an issue that is
//! rolled back burns none ("Invoices" in `rules.md`).

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};

use super::super::reason::{Reason, Refusal};

/// The pattern of a series that names none.
pub const DEFAULT_PATTERN: &str = "{prefix}-{year}-{number:06}";
/// The longest prefix, in characters.
pub const MAX_PREFIX_LENGTH: usize = 20;
/// The longest pattern, in characters: with the longest prefix, mark and number a number still has less than 64.
pub const MAX_PATTERN_LENGTH: usize = 40;
/// The most digits that a pattern can pad a number to.
const MAX_WIDTH: usize = 12;
/// The highest number of a series.
const MAX_NUMBER: i64 = 999_999_999_999;

/// When a series begins again at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// With each calendar year of the issue date. The default.
    #[default]
    Yearly = 1,
    /// Never.
    Never = 2,
}

/// How the numbers of a seller are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Text with `{prefix}`, `{year}` (four digits) and `{number}` or, padded with zeros to a width of 1 to 12,
    /// `{number:6}` (also written `{number:06}`).
    pub pattern: String,
    /// What stands for `{prefix}`: letters, digits, `-`, `_` and `/`.
    pub prefix: String,
    /// When the numbers begin again.
    pub reset: Reset,
}

/// The number that the next invoice of a series gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextNumber {
    /// The last number of the series row from now on.
    pub last: i64,
    /// As it stands on the invoice.
    pub number: String,
}

impl Series {
    /// The default series with this prefix.
    pub fn of(prefix: &str) -> Self {
        Self { pattern: DEFAULT_PATTERN.to_owned(), prefix: prefix.to_owned(), reset: Reset::default() }
    }

    /// Refuses a series whose numbers would not be unique: `{number}` stands in it exactly once, `{prefix}` and
    /// `{year}` at most once; a yearly reset needs `{year}`; several partitions need `{prefix}`, which carries their
    /// mark. All but the number has a fixed width, so no two numbers of a seller can be spelled the same.
    ///
    /// # Errors
    /// `SERIES_PATTERN_INVALID` with the field at fault, `pattern` or `prefix`.
    pub fn check(&self, partitions: u16) -> Result<(), Refusal> {
        let is_prefix = |letter: char| letter.is_alphanumeric() || "-_/".contains(letter);
        if self.prefix.chars().count() > MAX_PREFIX_LENGTH || !self.prefix.chars().all(is_prefix) {
            let message = format!("A prefix has at most {MAX_PREFIX_LENGTH} letters, digits, `-`, `_` and `/`.");
            return Err(invalid("prefix", message));
        }
        if self.pattern.chars().count() > MAX_PATTERN_LENGTH {
            return Err(invalid("pattern", format!("A pattern has at most {MAX_PATTERN_LENGTH} characters.")));
        }
        let pieces = pieces(&self.pattern)?;
        let count = |wanted: fn(&Piece) -> bool| pieces.iter().filter(|piece| wanted(piece)).count();
        let numbers = count(|piece| matches!(piece, Piece::Number(_)));
        let years = count(|piece| matches!(piece, Piece::Year));
        let prefixes = count(|piece| matches!(piece, Piece::Prefix));
        let complaint = if numbers != 1 || years > 1 || prefixes > 1 {
            "A pattern holds {number} exactly once, {prefix} and {year} at most once."
        } else if self.reset == Reset::Yearly && years == 0 {
            "Numbers that begin again every year need {year} in their pattern."
        } else if partitions > 1 && prefixes == 0 {
            "With several partitions a pattern holds {prefix}, which tells their series apart."
        } else {
            return Ok(());
        };
        Err(invalid("pattern", complaint.to_owned()))
    }

    /// Which row counts an invoice of this issue date: its year, or 0 for a series that never resets.
    ///
    /// The years count beside each other: while it is January already in one account's zone, it is still December in
    /// another's, and both series stay gap-free.
    pub fn period(&self, issue_date: NaiveDate) -> i32 {
        match self.reset {
            Reset::Yearly => issue_date.year(),
            Reset::Never => 0,
        }
    }

    /// The number after `last` (0 before the first) of the row of [`Series::period`]. `mark` is the partition when
    /// there are several: it follows the prefix as a point and two digits (`A.07-2026-000001`).
    ///
    /// # Errors
    /// `SERIES_PATTERN_INVALID`; `QUOTA_EXCEEDED` after the number 999,999,999,999.
    pub fn next(&self, issue_date: NaiveDate, mark: Option<u16>, last: i64) -> Result<NextNumber, Refusal> {
        let next = last.checked_add(1).filter(|next| (1..=MAX_NUMBER).contains(next)).ok_or_else(|| {
            Refusal::new(Reason::QuotaExceeded, "The series has no numbers left; give the seller a new prefix.")
                .with("quota", "invoice_numbers")
                .with("limit", MAX_NUMBER)
        })?;
        let number = pieces(&self.pattern)?
            .into_iter()
            .map(|piece| match (piece, mark) {
                (Piece::Text(text), _) => text.to_owned(),
                (Piece::Prefix, None) => self.prefix.clone(),
                (Piece::Prefix, Some(mark)) => format!("{}.{mark:02}", self.prefix),
                (Piece::Year, _) => format!("{:04}", issue_date.year()),
                (Piece::Number(width), _) => format!("{next:0width$}"),
            })
            .collect();
        Ok(NextNumber { last: next, number })
    }
}

/// A piece of a pattern.
enum Piece<'a> {
    Text(&'a str),
    Prefix,
    Year,
    /// Padded with zeros to so many digits.
    Number(usize),
}

fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>, Refusal> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some((text, after)) = rest.split_once('{') {
        pieces.push(literal(text)?);
        let (name, after) = after.split_once('}').ok_or_else(|| unknown(after))?;
        pieces.push(match name {
            "prefix" => Piece::Prefix,
            "year" => Piece::Year,
            "number" => Piece::Number(1),
            _ => Piece::Number(width(name).ok_or_else(|| unknown(name))?),
        });
        rest = after;
    }
    pieces.push(literal(rest)?);
    Ok(pieces)
}

/// The width of `number:6` or `number:06`.
fn width(name: &str) -> Option<usize> {
    let digits = name.strip_prefix("number:")?;
    let digits = digits.strip_prefix('0').unwrap_or(digits);
    let shaped = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let width = digits.parse().ok().filter(|_| shaped && !digits.starts_with('0'))?;
    (1..=MAX_WIDTH).contains(&width).then_some(width)
}

/// Text that stands for itself: no closing brace, nothing invisible.
fn literal(text: &str) -> Result<Piece<'_>, Refusal> {
    if text.chars().any(|letter| letter == '}' || letter.is_control() || letter.is_whitespace()) {
        return Err(invalid("pattern", "A pattern has no spaces and no brace outside its placeholders.".to_owned()));
    }
    Ok(Piece::Text(text))
}

fn unknown(name: &str) -> Refusal {
    let message = format!("`{name}` is no placeholder; there are {{prefix}}, {{year}}, {{number}} and {{number:06}}.");
    invalid("pattern", message)
}

fn invalid(field: &str, message: String) -> Refusal {
    Refusal::field(Reason::SeriesPatternInvalid, field, message).with("field", field)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::fixtures::date;
    use super::*;

    fn series(pattern: &str, prefix: &str, reset: Reset) -> Series {
        Series { pattern: pattern.to_owned(), prefix: prefix.to_owned(), reset }
    }

    #[test]
    fn numbers_follow_their_pattern() {
        let day = date("2026-12-31");
        for (pattern, prefix, mark, last, number) in [
            (DEFAULT_PATTERN, "A", None, 0, "A-2026-000001"),
            (DEFAULT_PATTERN, "A", Some(0), 41, "A.00-2026-000042"),
            (DEFAULT_PATTERN, "A", Some(63), 41, "A.63-2026-000042"),
            (DEFAULT_PATTERN, "СЧ", None, 999_999, "СЧ-2026-1000000"),
            ("{year}/{number}", "A", None, 9, "2026/10"),
            ("{number:6}-{year}", "", None, 0, "000001-2026"),
            ("{prefix}{year}{number:1}", "", None, 0, "20261"),
            ("{prefix}№{number:012}.{year}", "A/", Some(7), 0, "A/.07№000000000001.2026"),
        ] {
            let series = series(pattern, prefix, Reset::Yearly);
            let next = series.next(day, mark, last).unwrap();
            assert_eq!((next.number.as_str(), next.last), (number, last.saturating_add(1)), "{pattern}");
            assert_eq!(series.check(if mark.is_some() { 64 } else { 1 }), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn years_count_beside_each_other_or_not_at_all() {
        let yearly = Series::of("A");
        assert_eq!(yearly.period(date("2026-12-31")), 2026);
        assert_eq!(yearly.period(date("2027-01-01")), 2027);
        // An account west of the date line still issues in 2026 when 2027 has begun elsewhere.
        assert_eq!(yearly.next(date("2027-01-01"), None, 0).unwrap().number, "A-2027-000001");
        assert_eq!(yearly.next(date("2026-12-31"), None, 17).unwrap().number, "A-2026-000018");
        let never = series("{prefix}-{number:06}", "A", Reset::Never);
        assert_eq!(never.period(date("2026-12-31")), never.period(date("2027-01-01")));
        assert_eq!(never.check(1), Ok(()));
    }

    #[test]
    fn patterns_without_unique_numbers_are_invalid() {
        let long = format!("{{year}}{{number}}{}", "x".repeat(27));
        for (pattern, prefix, partitions, field) in [
            ("", "A", 1, "pattern"),
            ("{prefix}-{year}", "A", 1, "pattern"),
            ("{prefix}-{number}", "A", 1, "pattern"),
            ("{year}-{number}", "A", 2, "pattern"),
            ("{year}{number}{number}", "A", 1, "pattern"),
            ("{year}{year}{number}", "A", 1, "pattern"),
            ("{prefix}{prefix}{year}{number}", "A", 1, "pattern"),
            ("{year}{number:}", "A", 1, "pattern"),
            ("{year}{number:0}", "A", 1, "pattern"),
            ("{year}{number:13}", "A", 1, "pattern"),
            ("{year}{number:006}", "A", 1, "pattern"),
            ("{year}{number:00}", "A", 1, "pattern"),
            ("{year}{number:+6}", "A", 1, "pattern"),
            ("{year}{Number}", "A", 1, "pattern"),
            ("{year}{number", "A", 1, "pattern"),
            ("{year}{number}}", "A", 1, "pattern"),
            ("{{year}}{number}", "A", 1, "pattern"),
            ("{year} {number}", "A", 1, "pattern"),
            ("{year}\0{number}", "A", 1, "pattern"),
            (&long, "A", 1, "pattern"),
            (DEFAULT_PATTERN, "A.1", 1, "prefix"),
            (DEFAULT_PATTERN, "A 1", 1, "prefix"),
            (DEFAULT_PATTERN, "{year}", 1, "prefix"),
            (DEFAULT_PATTERN, "A23456789012345678901", 1, "prefix"),
        ] {
            let refusal = series(pattern, prefix, Reset::Yearly).check(partitions).unwrap_err();
            assert_eq!(refusal.reason, Reason::SeriesPatternInvalid, "{pattern}");
            assert_eq!(refusal.metadata.get("field").map(String::as_str), Some(field), "{pattern} {prefix}");
        }
    }

    #[test]
    fn a_series_ends_at_its_highest_number() {
        let series = Series::of("A");
        assert_eq!(series.next(date("2026-01-01"), None, MAX_NUMBER - 1).unwrap().last, MAX_NUMBER);
        for last in [MAX_NUMBER, i64::MAX, -5] {
            let refusal = series.next(date("2026-01-01"), None, last).unwrap_err();
            assert_eq!(refusal.reason, Reason::QuotaExceeded);
        }
    }

    proptest! {
        /// No two of any rows, years and partitions of one valid series are spelled the same.
        #[test]
        fn numbers_of_a_valid_series_are_unique(
            pieces in Just(vec!["{prefix}", "{year}", "{number:3}"]).prop_shuffle(),
            separator in prop::sample::select(vec!["", "-", "0", "."]),
            prefix in prop::sample::select(vec!["", "1", "A-0"]),
            lasts in prop::collection::btree_set(0_i64..200_000, 1..12),
        ) {
            let series = series(&pieces.join(separator), prefix, Reset::Yearly);
            prop_assert_eq!(series.check(64), Ok(()));
            let mut seen = BTreeSet::new();
            for day in ["2026-06-01", "2027-06-01", "2062-06-01"] {
                for mark in [0, 1, 6, 20, 26, 63] {
                    for &last in &lasts {
                        let number = series.next(date(day), Some(mark), last).unwrap().number;
                        prop_assert!(number.chars().count() <= 64);
                        prop_assert!(seen.insert(number));
                    }
                }
            }
        }
    }
}
