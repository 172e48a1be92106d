//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use billing_server::domain::instant::Instant;
use billing_server::time::Clock;
use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// Tuesday, the 10th of March 2026, 12:00:00 UTC: where every test begins.
const BEGINNING: i64 = 1_773_144_000_000_000;

/// The clock of a service in a test. Rows are still recorded one microsecond after the other.
#[derive(Debug)]
pub(crate) struct ManualClock {
    micros: AtomicI64,
    is_real: bool,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { micros: AtomicI64::new(BEGINNING), is_real: false }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn is_real(&self) -> bool {
        self.is_real
    }
}

impl ManualClock {
    /// A clock that claims to be the machine's, and is off.
    pub(crate) fn broken() -> Self {
        Self { is_real: true, ..Self::default() }
    }

    /// Moves it forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.micros.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Moves it back.
    pub(crate) fn step_back(&self, by: Duration) {
        self.micros.fetch_sub(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// What it shows, as a request or an answer says it.
    pub(crate) fn timestamp(&self) -> Timestamp {
        timestamp(self.micros.load(Ordering::SeqCst))
    }

    /// What it shows so much later.
    pub(crate) fn after(&self, later: Duration) -> Timestamp {
        timestamp(self.micros.load(Ordering::SeqCst) + i64::try_from(later.as_micros()).unwrap())
    }

    /// What it showed so much earlier.
    pub(crate) fn before(&self, earlier: Duration) -> Timestamp {
        timestamp(self.micros.load(Ordering::SeqCst) - i64::try_from(earlier.as_micros()).unwrap())
    }
}

fn timestamp(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap();
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// An instant as a person writes it, such as `2026-03-10T12:00:00Z`.
pub(crate) fn at(text: &str) -> Timestamp {
    let instant: DateTime<Utc> = text.parse().unwrap();
    timestamp(instant.timestamp_micros())
}

/// A number of days.
pub(crate) const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// A number of hours.
pub(crate) const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// One microsecond: the smallest step of time that the service knows.
pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);
