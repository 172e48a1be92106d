//! A point in time, to the microsecond.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds: what both databases store and order by.
///
/// Instants lie between [`Instant::MIN`] and [`Instant::MAX`], the range of `google.protobuf.Timestamp`; what reads or
/// computes one keeps to it, only [`Instant::from_micros`] and reading stored JSON take a number as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(i64);

impl Instant {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 0001-01-01T00:00:00Z, the earliest instant that a `Timestamp` can say.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z, the latest instant that a `Timestamp` can say.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant so many microseconds after the epoch (before it, when negative), taken as it is: for rows and
    /// literals.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch; negative before it.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant of a `google.protobuf.Timestamp`; what is finer than a microsecond is cut off, towards the past.
    ///
    /// `None` when `nanos` is not in 0..=999,999,999 or the instant lies beyond [`Instant::MIN`] and [`Instant::MAX`].
    pub fn from_timestamp(seconds: i64, nanos: i32) -> Option<Self> {
        if !(0..=999_999_999).contains(&nanos) {
            return None;
        }
        seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(i64::from(nanos / 1_000)).and_then(Self::in_range)
    }

    /// The `seconds` and `nanos` of a `google.protobuf.Timestamp`.
    pub fn to_timestamp(self) -> (i64, i32) {
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let nanos = i32::try_from(micros.saturating_mul(1_000)).unwrap_or(0);
        (self.0.div_euclid(MICROS_PER_SECOND), nanos)
    }

    /// The instant of a date and time of chrono, cut to microseconds, towards the past.
    ///
    /// `None` beyond [`Instant::MIN`] and [`Instant::MAX`].
    pub fn from_utc(instant: DateTime<Utc>) -> Option<Self> {
        Self::in_range(instant.timestamp_micros())
    }

    /// As a date and time of chrono; what lies beyond [`Instant::MIN`] and [`Instant::MAX`] is moved to the nearer of
    /// them.
    pub fn to_utc(self) -> DateTime<Utc> {
        let micros = self.0.clamp(Self::MIN.0, Self::MAX.0);
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The instant `duration` later, in whole microseconds; `None` when it lies beyond [`Instant::MAX`].
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        i64::try_from(duration.as_micros()).ok().and_then(|micros| self.0.checked_add(micros)).and_then(Self::in_range)
    }

    /// The instant `duration` earlier, in whole microseconds; `None` when it lies beyond [`Instant::MIN`].
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        i64::try_from(duration.as_micros()).ok().and_then(|micros| self.0.checked_sub(micros)).and_then(Self::in_range)
    }

    /// The time from `earlier` to this instant; `None` when `earlier` is later.
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        (self >= earlier).then(|| Duration::from_micros(self.0.abs_diff(earlier.0)))
    }

    /// The instant of so many microseconds, if it is in range.
    fn in_range(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }
}

/// RFC 3339 in UTC, with as many of 0, 3 or 6 fraction digits as are needed: `2026-12-01T10:00:00Z`.
impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_shown_by_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_796_119_200_000_000, "2026-12-01T10:00:00Z"),
            (1_796_119_200_500_000, "2026-12-01T10:00:00.500Z"),
            (Instant::MIN.micros(), "0001-01-01T00:00:00Z"),
            (Instant::MAX.micros(), "9999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Instant::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn timestamps_outside_their_range_are_none() {
        assert_eq!(Instant::from_timestamp(1, 1_999), Some(Instant::from_micros(1_000_001)));
        assert_eq!(Instant::from_timestamp(-1, 999_999_999), Some(Instant::from_micros(-1)));
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (253_402_300_800, 0), (-62_135_596_801, 0), (i64::MAX, 0)]
        {
            assert_eq!(Instant::from_timestamp(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn arithmetic_ends_at_the_range() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::EPOCH.checked_add(second), Some(Instant::from_micros(1_000_000)));
        assert_eq!(Instant::EPOCH.checked_sub(second), Some(Instant::from_micros(-1_000_000)));
        assert_eq!(Instant::MAX.checked_add(Duration::from_micros(1)), None);
        assert_eq!(Instant::MIN.checked_sub(Duration::from_micros(1)), None);
        assert_eq!(Instant::EPOCH.checked_add(Duration::MAX), None);
        assert_eq!(Instant::MAX.checked_add(Duration::from_nanos(999)), Some(Instant::MAX));
        assert_eq!(Instant::EPOCH.duration_since(Instant::from_micros(-5)), Some(Duration::from_micros(5)));
        assert_eq!(Instant::from_micros(-5).duration_since(Instant::EPOCH), None);
    }

    proptest! {
        #[test]
        fn conversions_lose_nothing(micros in Instant::MIN.micros()..=Instant::MAX.micros()) {
            let instant = Instant::from_micros(micros);
            let (seconds, nanos) = instant.to_timestamp();
            prop_assert_eq!(Instant::from_timestamp(seconds, nanos), Some(instant));
            prop_assert_eq!(Instant::from_utc(instant.to_utc()), Some(instant));
            prop_assert_eq!(serde_json::to_string(&instant).unwrap(), micros.to_string());
        }
    }
}
