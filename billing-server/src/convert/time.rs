//! Instants, durations and dates.

use std::time::Duration;

use chrono::NaiveDate;
use prost_types::Timestamp;

use super::violations::Violations;
use crate::domain::calendar;
use crate::domain::holds::{Expiry, MAX_TTL};
use crate::domain::instant::Instant;
use crate::domain::reason::Reason;

/// An instant that may be left out.
pub fn instant(violations: &mut Violations, field: &str, timestamp: Option<Timestamp>) -> Option<Instant> {
    let timestamp = timestamp?;
    let instant = Instant::from_timestamp(timestamp.seconds, timestamp.nanos);
    if instant.is_none() {
        violations.add(Reason::FieldMalformed, field, format!("{field} lies in the years 1 to 9999."));
    }
    instant
}

/// An instant as the contract writes it.
pub fn to_wire(instant: Instant) -> Timestamp {
    let (seconds, nanos) = instant.to_timestamp();
    Timestamp { seconds, nanos }
}

/// The end of a hold at an instant.
pub fn expires_at(violations: &mut Violations, timestamp: Timestamp) -> Option<Expiry> {
    instant(violations, "expires_at", Some(timestamp)).map(Expiry::At)
}

/// The end of a hold some time from now.
pub fn ttl(violations: &mut Violations, duration: prost_types::Duration) -> Option<Expiry> {
    let ttl = Duration::try_from(duration).ok().filter(|ttl| !ttl.is_zero());
    if ttl.is_none() {
        let description = "A hold ends after now: ttl must be above zero.";
        let max = format!("{}s", MAX_TTL.as_secs());
        violations.add_with(Reason::HoldExpiryOutOfRange, "ttl", description, &[("min", &"0.000001s"), ("max", &max)]);
    }
    ttl.map(Expiry::After)
}

/// A calendar date that may be left out.
pub fn optional_date(violations: &mut Violations, field: &str, text: &str) -> Option<NaiveDate> {
    if text.is_empty() {
        return None;
    }
    let date = calendar::parse_date(text);
    if date.is_none() {
        violations.add(Reason::DateMalformed, field, format!("{field} is a calendar date such as 2026-12-01."));
    }
    date
}

/// A calendar date that must be given.
pub fn date(violations: &mut Violations, field: &str, text: &str) -> Option<NaiveDate> {
    if text.is_empty() {
        violations.add_required(field);
    }
    optional_date(violations, field, text)
}

/// Notes a range of dates that ends before it begins, or is longer than it may be.
pub fn check_range(violations: &mut Violations, field: &str, from: NaiveDate, to: NaiveDate, max_days: Option<i64>) {
    let days = to.signed_duration_since(from).num_days().saturating_add(1);
    if days < 1 {
        let description = format!("{to} is before {from}.");
        violations.add_with(Reason::DateRangeInvalid, field, description, &[("from", &from), ("to", &to)]);
    } else if let Some(max_days) = max_days.filter(|max_days| days > *max_days) {
        let description = format!("{from} to {to} is longer than {max_days} days.");
        let metadata: [(&str, &dyn std::fmt::Display); 3] = [("from", &from), ("to", &to), ("max_days", &max_days)];
        violations.add_with(Reason::DateRangeInvalid, field, description, &metadata);
    }
}

/// A stored day as the contract writes it; empty for one beyond the calendar.
pub fn day_to_wire(days: i32) -> String {
    calendar::date_from_days(days).map(|date| date.to_string()).unwrap_or_default()
}
