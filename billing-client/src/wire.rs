//! Between the values of the wire and those of Rust.

use std::time::Duration;

use billing_proto::v1;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::error::Malformed;

pub(crate) fn malformed(field: &str, problem: impl Into<String>) -> Malformed {
    Malformed { field: field.to_owned(), problem: problem.into() }
}

pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| malformed(field, "it is missing"))
}

pub(crate) fn decimal(field: &str, text: &str) -> Result<Decimal, Malformed> {
    text.parse().map_err(|_| malformed(field, format!("`{text}` is no decimal")))
}

/// The amount of a money field that must be there.
pub(crate) fn amount(field: &str, money: Option<v1::Money>) -> Result<Decimal, Malformed> {
    decimal(field, &required(field, money)?.value)
}

/// The currency of a money field that must be there.
pub(crate) fn currency(field: &str, money: Option<&v1::Money>) -> Result<String, Malformed> {
    match required(field, money)?.currency_code.as_str() {
        "" => Err(malformed(field, "it names no currency")),
        code => Ok(code.to_owned()),
    }
}

pub(crate) fn instant(field: &str, timestamp: Option<prost_types::Timestamp>) -> Result<DateTime<Utc>, Malformed> {
    optional_instant(field, timestamp).and_then(|instant| required(field, instant))
}

pub(crate) fn optional_instant(
    field: &str,
    timestamp: Option<prost_types::Timestamp>,
) -> Result<Option<DateTime<Utc>>, Malformed> {
    let Some(prost_types::Timestamp { seconds, nanos }) = timestamp else { return Ok(None) };
    u32::try_from(nanos)
        .ok()
        .and_then(|nanos| DateTime::from_timestamp(seconds, nanos))
        .map(Some)
        .ok_or_else(|| malformed(field, format!("{seconds} s {nanos} ns is no instant")))
}

pub(crate) fn date(field: &str, text: &str) -> Result<NaiveDate, Malformed> {
    text.parse().map_err(|_| malformed(field, format!("`{text}` is no date")))
}

/// An identifier of which the empty text means that there is none.
pub(crate) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A number of which zero means that there is none.
pub(crate) fn non_zero(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

pub(crate) fn to_timestamp(instant: DateTime<Utc>) -> prost_types::Timestamp {
    // Leap seconds stand in chrono as more than 999,999,999 ns.
    let nanos = instant.timestamp_subsec_nanos().min(999_999_999);
    prost_types::Timestamp { seconds: instant.timestamp(), nanos: i32::try_from(nanos).unwrap_or_default() }
}

pub(crate) fn to_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// The duration of the wire, unless it is negative.
pub(crate) fn std_duration(duration: &prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};
    use prost_types::Timestamp;

    use super::{amount, date, instant, optional_instant, to_timestamp};

    #[test]
    fn instants_go_there_and_back() {
        for (seconds, nanos) in [(0, 0), (1_764_547_200, 123_456_789), (-1, 999_999_999)] {
            let timestamp = Timestamp { seconds, nanos };
            assert_eq!(instant("t", Some(timestamp)).map(to_timestamp), Ok(timestamp));
        }
        assert_eq!(to_timestamp(Utc.timestamp_nanos(1_500_000_001)), Timestamp { seconds: 1, nanos: 500_000_001 });
    }

    #[test]
    fn malformed_values_are_named() {
        let error = instant("entry.occurred_at", None).map_err(|error| error.to_string());
        assert_eq!(error, Err("the answer of the service is malformed: entry.occurred_at: it is missing".to_owned()));
        assert!(optional_instant("t", Some(Timestamp { seconds: 0, nanos: -1 })).is_err());
        assert!(optional_instant("t", Some(Timestamp { seconds: i64::MAX, nanos: 0 })).is_err());
        assert_eq!(optional_instant("t", None), Ok(None));
        assert!(date("d", "2026-02-30").is_err());
        let bad = billing_proto::v1::Money { value: "1e5x".to_owned(), currency_code: "RUB".to_owned() };
        assert!(amount("m", Some(bad)).is_err());
    }
}
