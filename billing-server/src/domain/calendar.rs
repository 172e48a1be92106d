//! Local days: the calendar of an account's time zone, clock changes included.
//!
//! Sources: "Conventions" in `api.md`; "Invoices" and "Due dates, grace, suspension" in `rules.md`.

use std::fmt;

use chrono::{MappedLocalTime, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

use super::instant::Instant;

/// A time zone of the IANA database. In JSON it is its name (`"Europe/Berlin"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct TimeZone(Tz);

/// The text is no name of a time zone (`TIME_ZONE_UNKNOWN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time zone is an IANA name such as \"Europe/Berlin\"")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// Reads an IANA name, in its exact spelling; links such as `Europe/Kyiv` and `Europe/Kiev` both stand for
    /// themselves. `None` when there is no such zone.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The IANA name, as it was read.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

/// The IANA name.
impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl From<TimeZone> for &'static str {
    fn from(zone: TimeZone) -> Self {
        zone.name()
    }
}

impl TryFrom<String> for TimeZone {
    type Error = UnknownTimeZone;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name).ok_or(UnknownTimeZone)
    }
}

/// The date that a calendar in the zone shows at the instant: the booking date of an entry, "today" of an account.
pub fn local_date(instant: Instant, zone: TimeZone) -> NaiveDate {
    instant.to_utc().with_timezone(&zone.0).date_naive()
}

/// The first instant of a local day.
///
/// When a clock change skips midnight it is the first instant after the gap; when midnight comes twice, the first of
/// them; of a day that the zone skipped as a whole (Samoa, 2011-12-30), the first instant of the next. The day ends
/// where the next begins.
pub fn start_of_day(date: NaiveDate, zone: TimeZone) -> Instant {
    instant_at(date, NaiveTime::MIN, zone)
}

/// The instant at which clocks in the zone show that time of that day.
///
/// A time of day that a clock change skips is the first instant after the gap; a double one, the first ("Due dates,
/// grace, suspension" in `rules.md`). Dates outside the years 1 to 9999 are moved to [`Instant::MIN`] or
/// [`Instant::MAX`].
pub fn instant_at(date: NaiveDate, time: NaiveTime, zone: TimeZone) -> Instant {
    let local = date.and_time(time);
    let instant = match zone.0.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => Some(instant),
        MappedLocalTime::None => GapInfo::new(&local, &zone.0).and_then(|gap| gap.end),
    };
    // Without an answer (beyond the calendar of chrono) the local time is read as UTC, and the range decides.
    let instant = instant.map_or_else(|| local.and_utc(), |instant| instant.with_timezone(&Utc));
    Instant::from_micros(instant.timestamp_micros().clamp(Instant::MIN.micros(), Instant::MAX.micros()))
}

/// Days from 1970-01-01 to the date, negative before it: how rows store a date.
pub fn days_from_epoch(date: NaiveDate) -> i32 {
    date.to_epoch_days()
}

/// The date so many days after 1970-01-01; `None` some 262,000 years away from it.
pub fn date_from_days(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(days)
}

/// Reads a calendar date: exactly `YYYY-MM-DD`, from `0001-01-01` to `9999-12-31`. `None` when it is malformed or there
/// is no such day (`DATE_MALFORMED`). [`NaiveDate`]'s `Display` writes it back.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let year: i32 = text.get(..4)?.parse().ok()?;
    let date = NaiveDate::from_ymd_opt(year, text.get(5..7)?.parse().ok()?, text.get(8..)?.parse().ok()?)?;
    (year >= 1).then_some(date)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        parse_date(text).unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::parse(name).unwrap()
    }

    #[test]
    fn days_start_at_their_first_instant() {
        for (day, name, start) in [
            ("2026-12-01", "UTC", "2026-12-01T00:00:00Z"),
            ("2026-12-01", "Europe/Moscow", "2026-11-30T21:00:00Z"),
            ("2026-12-01", "Asia/Kathmandu", "2026-11-30T18:15:00Z"),
            ("2026-12-01", "Pacific/Kiritimati", "2026-11-30T10:00:00Z"),
            ("2026-12-01", "Etc/GMT+12", "2026-12-01T12:00:00Z"),
            // A clock change by day does not move midnight.
            ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z"),
            ("2026-03-30", "Europe/Berlin", "2026-03-29T22:00:00Z"),
            // Midnight is skipped: the day begins at 01:00, or at 00:30.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
            ("2024-04-26", "Africa/Cairo", "2024-04-25T22:00:00Z"),
            ("1919-03-31", "America/Toronto", "1919-03-31T04:30:00Z"),
            // Midnight comes twice (00:01 back to 23:01; 01:00 back to 00:00): the first.
            ("2006-10-29", "America/St_Johns", "2006-10-29T02:30:00Z"),
            ("2022-11-06", "America/Havana", "2022-11-06T04:00:00Z"),
            // The hour before midnight comes twice: midnight itself does not.
            ("2019-02-17", "America/Sao_Paulo", "2019-02-17T03:00:00Z"),
            // The whole day is skipped.
            ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),
            ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ] {
            assert_eq!(start_of_day(date(day), zone(name)).to_string(), start, "{day} {name}");
        }
    }

    #[test]
    fn times_of_day_that_are_skipped_or_double() {
        let berlin = zone("Europe/Berlin");
        let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
        let ten = NaiveTime::from_hms_opt(10, 0, 0).unwrap();
        assert_eq!(instant_at(date("2026-03-29"), half_past_two, berlin).to_string(), "2026-03-29T01:00:00Z");
        assert_eq!(instant_at(date("2026-10-25"), half_past_two, berlin).to_string(), "2026-10-25T00:30:00Z");
        assert_eq!(instant_at(date("2026-10-25"), ten, berlin).to_string(), "2026-10-25T09:00:00Z");
        assert_eq!(instant_at(NaiveDate::MAX, ten, berlin), Instant::MAX);
        assert_eq!(instant_at(NaiveDate::MIN, ten, berlin), Instant::MIN);
    }

    #[test]
    fn a_local_day_is_that_of_its_zone() {
        let instant = Instant::from_micros(1_796_083_199_999_999);
        assert_eq!(instant.to_string(), "2026-11-30T23:59:59.999999Z");
        for (name, day) in [("UTC", "2026-11-30"), ("Europe/Moscow", "2026-12-01"), ("America/Lima", "2026-11-30")] {
            assert_eq!(local_date(instant, zone(name)), date(day), "{name}");
        }
        // The ends of the range have local days, too.
        let _ = local_date(Instant::MAX, zone("Pacific/Kiritimati"));
        let _ = local_date(Instant::from_micros(i64::MIN), zone("Etc/GMT+12"));
    }

    #[test]
    fn dates_are_strict_iso_8601() {
        for text in ["0001-01-01", "1970-01-01", "2024-02-29", "2026-12-01", "9999-12-31"] {
            assert_eq!(date(text).to_string(), text);
        }
        for text in [
            "",
            "2026-12-1",
            "2026-2-29",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "0000-01-01",
            "20261201",
            "2026/12/01",
            "01-12-2026",
            "2026-12-01 ",
            " 2026-12-01",
            "+026-12-01",
            "-001-12-01",
            "2026-12-01T00:00:00Z",
            "10000-01-01",
            "2026-12-0é",
            "٢٠26-1-1",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn zones_are_iana_names() {
        for name in ["", "Moscow", "europe/moscow", "UTC+3", "+03:00", "Europe/Berlin "] {
            assert_eq!(TimeZone::parse(name), None, "{name}");
        }
        let kyiv = zone("Europe/Kyiv");
        assert_eq!(kyiv.name(), "Europe/Kyiv");
        assert_eq!(serde_json::to_string(&kyiv).unwrap(), "\"Europe/Kyiv\"");
        assert_eq!(serde_json::from_str::<TimeZone>("\"Europe/Kyiv\"").unwrap(), kyiv);
        assert!(serde_json::from_str::<TimeZone>("\"Mars\"").is_err());
        assert_eq!(TimeZone::UTC.to_string(), "UTC");
    }

    proptest! {
        /// In every zone, from 1800 to 2199: a day's start is in the day (or past it, when the day was skipped), and a
        /// microsecond before is not.
        #[test]
        fn a_day_starts_where_the_one_before_ends(index in 0..chrono_tz::TZ_VARIANTS.len(), days in -62_000_i32..84_000) {
            let zone = TimeZone(chrono_tz::TZ_VARIANTS[index]);
            let day = date_from_days(days).unwrap();
            prop_assert_eq!(days_from_epoch(day), days);
            let start = start_of_day(day, zone);
            let skipped = start == start_of_day(day.succ_opt().unwrap(), zone);
            prop_assert!(local_date(start, zone) == day || skipped);
            prop_assert!(local_date(Instant::from_micros(start.micros() - 1), zone) < day);
        }
    }
}
