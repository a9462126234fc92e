//! When a schedule comes due, on ordinary days and where the local clock is set forward or back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Zoned;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use memlife::ErrorKind;
use memlife::policy::PolicyFile;
use memlife_server::Schedule;
use std::time::Duration;

/// Central European time by its rule, so that no time zone database is needed: forward on the last Sunday of March
/// at 02:00, back on the last Sunday of October at 03:00.
fn europe() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn local(zone: &TimeZone, at: DateTime) -> Zoned {
    at.to_zoned(zone.clone()).unwrap()
}

/// The first `count` times of a schedule that starts at `start`, each followed by the next.
fn times(schedule: &Schedule, start: &Zoned, count: usize) -> Vec<String> {
    let first = schedule.first(start).unwrap().unwrap();
    let next = |at: &Zoned| schedule.next_after(&first, at).unwrap();
    let all = std::iter::successors(Some(first.clone()), next).take(count);
    all.map(|at| at.strftime("%m-%d %H:%M %:z").to_string()).collect()
}

fn daily(time: &str) -> Schedule {
    Schedule::daily(time.parse().unwrap())
}

/// The schedule of a policy file with this section.
fn from_policy(section: &str) -> memlife::Result<Option<Schedule>> {
    let file = PolicyFile::parse(&format!("cleanup_schedule:\n{section}"), "test").unwrap();
    Schedule::from_policy(&file.schedule)
}

#[test]
fn daily_is_today_or_tomorrow() {
    let zone = europe();
    let before = local(&zone, date(2025, 6, 1).at(1, 59, 0, 0));
    assert_eq!(times(&daily("02:00"), &before, 2), ["06-01 02:00 +02:00", "06-02 02:00 +02:00"]);
    let at = local(&zone, date(2025, 6, 1).at(2, 0, 0, 0));
    assert_eq!(times(&daily("02:00"), &at, 1), ["06-01 02:00 +02:00"]);
    let after = local(&zone, date(2025, 6, 1).at(2, 0, 0, 1));
    assert_eq!(times(&daily("02:00"), &after, 1), ["06-02 02:00 +02:00"]);
}

#[test]
fn a_skipped_time_moves_on_and_comes_back_the_next_day() {
    let start = local(&europe(), date(2025, 3, 29).at(12, 0, 0, 0));
    assert_eq!(
        times(&daily("02:30"), &start, 3),
        ["03-30 03:30 +02:00", "03-31 02:30 +02:00", "04-01 02:30 +02:00"]
    );
}

#[test]
fn a_daily_schedule_that_starts_on_a_skipped_time_keeps_its_time() {
    let start = local(&europe(), date(2025, 3, 30).at(1, 59, 0, 0));
    assert_eq!(times(&daily("02:30"), &start, 2), ["03-30 03:30 +02:00", "03-31 02:30 +02:00"]);
}

#[test]
fn a_repeated_time_is_taken_once() {
    let start = local(&europe(), date(2025, 10, 25).at(12, 0, 0, 0));
    assert_eq!(times(&daily("02:30"), &start, 2), ["10-26 02:30 +02:00", "10-27 02:30 +01:00"]);
    // Started in the second of the two hours, today's time is over.
    let second = date(2025, 10, 26).at(2, 10, 0, 0);
    let second = europe().to_ambiguous_zoned(second).later().unwrap();
    assert_eq!(times(&daily("02:30"), &second, 1), ["10-27 02:30 +01:00"]);
}

#[test]
fn hours_that_do_not_divide_a_day_go_round_the_clock() {
    let schedule = from_policy("  interval_hours: 5\n  time_of_day: \"02:00\"\n").unwrap().unwrap();
    let start = local(&europe(), date(2025, 6, 1).at(10, 0, 0, 0));
    assert_eq!(
        times(&schedule, &start, 7),
        [
            "06-02 02:00 +02:00",
            "06-02 07:00 +02:00",
            "06-02 12:00 +02:00",
            "06-02 17:00 +02:00",
            "06-02 22:00 +02:00",
            "06-03 03:00 +02:00",
            "06-03 08:00 +02:00",
        ]
    );
}

#[test]
fn hours_from_a_time_of_day_stay_on_the_local_clock() {
    let schedule = from_policy("  interval_hours: 6\n  time_of_day: \"02:00\"\n").unwrap().unwrap();
    let spring = local(&europe(), date(2025, 3, 29).at(1, 0, 0, 0));
    assert_eq!(
        times(&schedule, &spring, 7)[3..],
        ["03-29 20:00 +01:00", "03-30 03:00 +02:00", "03-30 08:00 +02:00", "03-30 14:00 +02:00"]
    );
    let autumn = local(&europe(), date(2025, 10, 25).at(1, 0, 0, 0));
    assert_eq!(
        times(&schedule, &autumn, 6)[3..],
        ["10-25 20:00 +02:00", "10-26 02:00 +02:00", "10-26 08:00 +01:00"]
    );
}

#[test]
fn every_hour_passes_through_both_changes_of_the_clock() {
    let schedule = from_policy("  interval_hours: 1\n  time_of_day: \"00:00\"\n").unwrap().unwrap();
    for day in [date(2025, 3, 30), date(2025, 10, 26)] {
        let start = local(&europe(), day.at(0, 0, 0, 0));
        let first = schedule.first(&start).unwrap().unwrap();
        let mut at = first.clone();
        for _ in 0..6 {
            let next = schedule.next_after(&first, &at).unwrap().unwrap();
            let hours = next.timestamp().duration_since(at.timestamp()).as_hours();
            assert!((1..=2).contains(&hours), "{at} to {next}");
            at = next;
        }
    }
}

#[test]
fn missed_times_are_not_made_up_for() {
    let zone = europe();
    let first = local(&zone, date(2025, 6, 1).at(2, 0, 0, 0));
    let later = local(&zone, date(2025, 6, 9).at(13, 0, 0, 0));
    let next = daily("02:00").next_after(&first, &later).unwrap().unwrap();
    assert_eq!(next, local(&zone, date(2025, 6, 10).at(2, 0, 0, 0)));
    let every = Schedule::every(Duration::from_secs(3_600)).unwrap();
    let next = every.next_after(&first, &later).unwrap().unwrap();
    assert_eq!(next, local(&zone, date(2025, 6, 9).at(14, 0, 0, 0)));
}

#[test]
fn elapsed_time_takes_no_notice_of_the_local_clock() {
    let every = Schedule::every(Duration::from_secs(24 * 3_600)).unwrap();
    let start = local(&europe(), date(2025, 3, 29).at(12, 0, 0, 0));
    assert_eq!(times(&every, &start, 2), ["03-29 12:00 +01:00", "03-30 13:00 +02:00"]);
    let odd = Schedule::every(Duration::from_secs(7 * 3_600)).unwrap();
    let start = local(&europe(), date(2025, 6, 1).at(20, 0, 0, 0));
    assert_eq!(times(&odd, &start, 3), ["06-01 20:00 +02:00", "06-02 03:00 +02:00", "06-02 10:00 +02:00"]);
}

#[test]
fn before_the_first_time_the_next_is_the_first() {
    let zone = europe();
    let first = local(&zone, date(2025, 6, 2).at(2, 0, 0, 0));
    let now = local(&zone, date(2025, 6, 1).at(10, 0, 0, 0));
    for schedule in [daily("02:00"), Schedule::every(Duration::from_secs(60)).unwrap()] {
        assert_eq!(schedule.next_after(&first, &now).unwrap(), Some(first.clone()));
    }
}

#[test]
fn cron_follows_the_local_clock() {
    let zone = europe();
    let nightly = Schedule::cron("30 2 * * *").unwrap();
    let start = local(&zone, date(2025, 3, 29).at(12, 0, 0, 0));
    assert_eq!(times(&nightly, &start, 2), ["03-30 03:00 +02:00", "03-31 02:30 +02:00"]);
    let start = local(&zone, date(2025, 10, 25).at(12, 0, 0, 0));
    assert_eq!(times(&nightly, &start, 2), ["10-26 02:30 +02:00", "10-27 02:30 +01:00"]);
    let mondays = Schedule::cron("0 4 * * MON").unwrap();
    let start = local(&zone, date(2025, 6, 1).at(0, 0, 0, 0));
    assert_eq!(times(&mondays, &start, 2), ["06-02 04:00 +02:00", "06-09 04:00 +02:00"]);
    let seconds = Schedule::cron("*/20 * * * * *").unwrap();
    let from = local(&zone, date(2025, 6, 1).at(0, 0, 1, 500_000_000));
    let next = seconds.first(&from).unwrap().unwrap();
    assert_eq!(next, local(&zone, date(2025, 6, 1).at(0, 0, 20, 0)));
}

#[test]
fn cron_that_never_comes_due_says_so() {
    let start = local(&europe(), date(2025, 6, 1).at(0, 0, 0, 0));
    let never = Schedule::cron("0 0 30 2 *").unwrap();
    assert_eq!(never.first(&start).unwrap(), None);
    let over = Schedule::cron("0 0 0 1 1 * 2020").unwrap();
    assert_eq!(over.first(&start).unwrap(), None);
}

#[test]
fn refuses_what_is_no_schedule() {
    let long = format!("0 2 * * {}", "1,".repeat(200));
    for expression in ["", "daily", "0 2 * *", "0 25 * * *", "60 * * * *", "* * * * * * * *", "@never", &long]
    {
        let error = Schedule::cron(expression).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{expression}");
    }
    for interval in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
        assert_eq!(Schedule::every(interval).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn the_policy_file_says_when() {
    let shown = |section| from_policy(section).unwrap().map(|schedule| schedule.to_string());
    let expected = [
        ("  enabled: false\n", None),
        ("  enabled: true\n", Some("daily at 02:00")),
        ("  interval_hours: 24\n  time_of_day: \"03:15\"\n", Some("daily at 03:15")),
        ("  interval_hours: 6\n  time_of_day: \"03:15\"\n", Some("at 03:15 and every 6h from then")),
        ("  interval_hours: 36\n", Some("every 1d12h")),
        ("  cron: \"0 3 * * 1\"\n", Some("cron 0 3 * * 1")),
    ];
    for (section, schedule) in expected {
        assert_eq!(shown(section).as_deref(), schedule, "{section}");
    }
    let broken = from_policy("  cron: \"0 99 * * *\"\n").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Invalid);
    assert!(broken.to_string().contains("0 99 * * *"), "{broken}");
}

#[test]
fn the_end_of_the_calendar_is_an_error() {
    let end = jiff::Timestamp::MAX.to_zoned(TimeZone::UTC);
    let every = Schedule::every(Duration::from_secs(3_600)).unwrap();
    for schedule in [every, daily("02:00")] {
        let first = schedule.first(&end);
        let next = schedule.next_after(&end, &end);
        assert!(first.is_err() || next.is_err());
        assert_eq!(next.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
