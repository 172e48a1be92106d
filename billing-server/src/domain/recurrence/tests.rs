#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::super::calendar::{date_from_days, parse_date};
use super::*;

fn date(text: &str) -> NaiveDate {
    parse_date(text).unwrap()
}

fn schedule(unit: Unit, count: u32, anchor: &str, start: &str) -> Schedule {
    Schedule { interval: Interval::new(unit, count).unwrap(), anchor: date(anchor), start: date(start) }
}

fn instant(text: &str) -> Instant {
    Instant::from_utc(text.parse().unwrap()).unwrap()
}

fn turn(time: (u32, u32), zone: &str) -> Turn {
    Turn { time: NaiveTime::from_hms_opt(time.0, time.1, 0).unwrap(), zone: TimeZone::parse(zone).unwrap() }
}

#[test]
fn a_day_lies_in_its_period() {
    for (unit, count, anchor, start, day, expected) in [
        // The anchor day stays.
        (Unit::Month, 1, "2024-01-31", "2024-01-31", "2024-02-15", ("2024-01-31", "2024-02-29")),
        (Unit::Month, 1, "2024-01-31", "2024-01-31", "2024-02-29", ("2024-02-29", "2024-03-31")),
        (Unit::Month, 1, "2024-01-31", "2024-01-31", "2024-03-31", ("2024-03-31", "2024-04-30")),
        (Unit::Month, 1, "2024-01-30", "2024-01-30", "2025-02-28", ("2025-02-28", "2025-03-30")),
        (Unit::Month, 3, "2023-11-30", "2023-11-30", "2024-05-29", ("2024-02-29", "2024-05-30")),
        // Yearly from February 29: the 28th, and the 29th again.
        (Unit::Year, 1, "2024-02-29", "2024-02-29", "2025-02-27", ("2024-02-29", "2025-02-28")),
        (Unit::Year, 1, "2024-02-29", "2024-02-29", "2027-03-01", ("2027-02-28", "2028-02-29")),
        (Unit::Year, 4, "2024-02-29", "2024-02-29", "2028-02-29", ("2028-02-29", "2032-02-29")),
        // A century that is no leap year.
        (Unit::Year, 1, "2096-02-29", "2096-02-29", "2100-02-28", ("2100-02-28", "2101-02-28")),
        // A start between two turns makes a short first period, wherever the anchor is.
        (Unit::Month, 3, "2021-01-01", "2021-01-10", "2021-01-10", ("2021-01-10", "2021-04-01")),
        (Unit::Month, 3, "2021-04-01", "2021-01-10", "2021-03-31", ("2021-01-10", "2021-04-01")),
        (Unit::Month, 3, "2021-04-01", "2021-01-10", "2021-04-01", ("2021-04-01", "2021-07-01")),
        (Unit::Month, 1, "2021-12-31", "2021-02-10", "2021-02-27", ("2021-02-10", "2021-02-28")),
        (Unit::Month, 1, "2021-12-31", "2021-02-10", "2021-03-30", ("2021-02-28", "2021-03-31")),
        (Unit::Day, 1, "2024-02-28", "2024-02-28", "2024-02-29", ("2024-02-29", "2024-03-01")),
        (Unit::Day, 10, "2024-01-01", "2023-12-25", "2023-12-31", ("2023-12-25", "2024-01-01")),
        (Unit::Week, 2, "2024-01-01", "2024-01-01", "2024-01-15", ("2024-01-15", "2024-01-29")),
        (Unit::Week, 1, "2024-01-01", "2023-12-01", "2023-12-31", ("2023-12-25", "2024-01-01")),
        (Unit::Month, 1, "9999-11-15", "9999-01-01", "9999-12-14", ("9999-11-15", "9999-12-15")),
    ] {
        let period = Period { start: date(expected.0), end: date(expected.1) };
        assert_eq!(schedule(unit, count, anchor, start).holding(date(day)), Some(period), "{count} {unit:?} {day}");
    }
}

#[test]
fn no_period_before_the_start_or_after_the_calendar() {
    let monthly = schedule(Unit::Month, 1, "9999-11-15", "2024-01-10");
    assert_eq!(monthly.holding(date("2024-01-09")), None);
    assert_eq!(monthly.holding(date("9999-12-15")), None);
    assert_eq!(monthly.holding(NaiveDate::MAX), None);
    assert_eq!(monthly.nth(u32::MAX), None);
    let last = monthly.periods_from(date("9999-10-20")).last();
    assert_eq!(last, Some(Period { start: date("9999-11-15"), end: date("9999-12-15") }));
    assert_eq!(schedule(Unit::Year, 1_000, "9999-01-01", "9999-01-01").nth(0), None);
    assert_eq!(monthly.periods_from(date("2000-01-01")).next(), monthly.nth(0));
}

#[test]
fn the_nth_period_counts_from_the_start() {
    let quarterly = schedule(Unit::Month, 3, "2021-01-01", "2021-01-10");
    let nth = |index| quarterly.nth(index).unwrap();
    assert_eq!(nth(0), Period { start: date("2021-01-10"), end: date("2021-04-01") });
    assert_eq!(nth(1), Period { start: date("2021-04-01"), end: date("2021-07-01") });
    assert_eq!(nth(40), Period { start: date("2031-01-01"), end: date("2031-04-01") });
    assert_eq!(quarterly.regular(date("2021-01-10")).unwrap().start, date("2021-01-01"));
}

#[test]
fn periods_turn_at_a_time_of_day() {
    for (anchor, time, zone, now, expected) in [
        ("2025-01-31", (15, 0), "UTC", "2025-09-30T15:00:00Z", ("2025-09-30T15:00:00Z", "2025-10-31T15:00:00Z")),
        ("2025-01-31", (15, 0), "UTC", "2025-09-30T14:59:59Z", ("2025-08-31T15:00:00Z", "2025-09-30T15:00:00Z")),
        // 15:00 Z is midnight in Tokyo, a day later.
        ("2025-02-01", (0, 0), "Asia/Tokyo", "2025-07-31T15:00:00Z", ("2025-07-31T15:00:00Z", "2025-08-31T15:00:00Z")),
        // Moscow's next day begins at 21:00 Z.
        (
            "2025-01-01",
            (0, 0),
            "Europe/Moscow",
            "2025-08-31T21:00:00Z",
            ("2025-08-31T21:00:00Z", "2025-09-30T21:00:00Z"),
        ),
        // A clock change moves the turn by an hour of UTC.
        (
            "2025-01-15",
            (15, 0),
            "Europe/Berlin",
            "2025-04-01T00:00:00Z",
            ("2025-03-15T14:00:00Z", "2025-04-15T13:00:00Z"),
        ),
        // The time is skipped on 2025-03-30, and double on 2025-10-26.
        (
            "2025-01-30",
            (2, 30),
            "Europe/Berlin",
            "2025-03-30T01:00:00Z",
            ("2025-03-30T01:00:00Z", "2025-04-30T00:30:00Z"),
        ),
        (
            "2025-01-26",
            (2, 30),
            "Europe/Berlin",
            "2025-10-26T00:30:00Z",
            ("2025-10-26T00:30:00Z", "2025-11-26T01:30:00Z"),
        ),
        // Midnight of the 29th comes, and the clocks go back to 23:01 of the 28th: the period has turned.
        (
            "2006-01-29",
            (0, 0),
            "America/St_Johns",
            "2006-10-29T02:45:00Z",
            ("2006-10-29T02:30:00Z", "2006-11-29T03:30:00Z"),
        ),
    ] {
        let monthly = schedule(Unit::Month, 1, anchor, anchor);
        let period = InstantPeriod { start: instant(expected.0), end: instant(expected.1) };
        assert_eq!(monthly.holding_instant(instant(now), turn(time, zone)), Some(period), "{now} {zone}");
    }
    let daily = schedule(Unit::Day, 1, "2025-01-31", "2025-01-31");
    assert_eq!(daily.holding_instant(instant("2025-01-31T14:59:59Z"), turn((15, 0), "UTC")), None);
    assert_eq!(daily.holding_instant(Instant::MAX, turn((15, 0), "UTC")), None);
    assert_eq!(daily.holding_instant(Instant::MIN, turn((15, 0), "UTC")), None);
    // Samoa skipped 2011-12-30: that period has no time, and the next one holds its instant.
    let skipped = schedule(Unit::Day, 1, "2011-12-01", "2011-12-01");
    let period = skipped.holding_instant(instant("2011-12-30T10:00:00Z"), turn((0, 0), "Pacific/Apia"));
    assert_eq!(period.map(|period| period.end), Some(instant("2011-12-31T10:00:00Z")));
}

#[test]
fn intervals_have_limits_and_are_stored_by_name() {
    assert_eq!(Interval::new(Unit::Day, 0), None);
    assert_eq!(Interval::new(Unit::Day, MAX_COUNT + 1), None);
    assert_eq!(Interval::new(Unit::Day, u32::MAX), None);
    let quarter = Interval::new(Unit::Month, 3).unwrap();
    assert_eq!(serde_json::to_string(&quarter).unwrap(), r#"{"unit":"month","count":3}"#);
    assert_eq!(serde_json::from_str::<Interval>(r#"{"unit":"month","count":3}"#).unwrap(), quarter);
    assert!(serde_json::from_str::<Interval>(r#"{"unit":"month","count":0}"#).is_err());
    assert_eq!(Interval::new(Unit::Year, 2).and_then(Interval::months), Some(24));
    assert_eq!(Interval::new(Unit::Week, 2).and_then(Interval::months), None);
    for unit in [Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
        assert_eq!(Unit::from_number(unit as i32), Some(unit));
    }
    assert_eq!(Unit::from_number(0), None);
    assert_eq!(Unit::from_number(5), None);
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let unit = prop_oneof![Just(Unit::Day), Just(Unit::Week), Just(Unit::Month), Just(Unit::Year)];
    (unit, 1_u32..40, 0_i32..40_000, 0_i32..40_000).prop_map(|(unit, count, anchor, start)| Schedule {
        interval: Interval::new(unit, count).unwrap(),
        anchor: date_from_days(anchor).unwrap(),
        start: date_from_days(start).unwrap(),
    })
}

proptest! {
    #[test]
    fn periods_tile_and_hold_their_days(schedule in schedules(), offset in 0_i64..40_000) {
        let day = schedule.start + TimeDelta::days(offset);
        let period = schedule.holding(day).unwrap();
        prop_assert!(period.holds(day));
        prop_assert_eq!(schedule.holding(period.start), Some(period));
        prop_assert_eq!(schedule.holding(period.end.pred_opt().unwrap()), Some(period));
        prop_assert_eq!(schedule.holding(period.end).unwrap().start, period.end);
        let mut end = schedule.start;
        for (index, period) in (0..20).zip(schedule.periods_from(schedule.start)) {
            prop_assert_eq!(period.start, end);
            prop_assert_eq!(schedule.nth(index), Some(period));
            end = period.end;
        }
    }

    #[test]
    fn the_anchor_day_stays(anchor in 0_i32..40_000, months in 1_u32..30, index in 1_u32..40) {
        let anchor = date_from_days(anchor).unwrap();
        let schedule = Schedule { interval: Interval::new(Unit::Month, months).unwrap(), anchor, start: anchor };
        let start = schedule.nth(index).unwrap().start;
        let is_last_of_month = start.succ_opt().unwrap().month() != start.month();
        prop_assert!(start.day() == anchor.day() || (start.day() < anchor.day() && is_last_of_month));
    }

    #[test]
    fn a_period_by_instants_holds_its_instant(
        schedule in schedules(),
        micros in 0_i64..3_500_000_000_000_000,
        minute in 0_u32..1_440,
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
    ) {
        let instant = Instant::from_micros(micros);
        let turn = turn((minute / 60, minute % 60), chrono_tz::TZ_VARIANTS[zone].name());
        match schedule.holding_instant(instant, turn) {
            Some(period) => prop_assert!(period.start <= instant && instant < period.end),
            None => prop_assert!(instant < instant_at(schedule.start, turn.time, turn.zone)),
        }
    }
}
