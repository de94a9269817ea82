//! Parsing of times in all supported forms, and resolution of repeated hours.

use super::{propose::FormatProposals, repeated_hours::RepeatedHours, *};

fn at(text: &str) -> NaiveDateTime {
    text.parse().expect("a time")
}

#[test]
fn unambiguous_times_need_no_flag() {
    let local = |text: &str| Some(ParsedTime::Local(at(text)));
    let utc = |text: &str| Some(ParsedTime::Absolute(at(text)));
    for (text, expected) in [
        ("2026-03-09 10:14:33", local("2026-03-09T10:14:33")),
        ("2026-03-09T10:14:33", local("2026-03-09T10:14:33")),
        ("2026-03-09 10:14:33.25", local("2026-03-09T10:14:33.250")),
        ("2026-03-09 10:14:33,250", local("2026-03-09T10:14:33.250")),
        ("2026-03-09 10:14:33.250417", local("2026-03-09T10:14:33.250417")),
        ("2026-03-09  10:14", local("2026-03-09T10:14:00")),
        ("2026/03/09 10:14:33", local("2026-03-09T10:14:33")),
        ("2026.3.9 10:14:33", local("2026-03-09T10:14:33")),
        ("20260309T101433", local("2026-03-09T10:14:33")),
        ("09-Mar-2026 10:14:33", local("2026-03-09T10:14:33")),
        ("09-MAR-2026 10:14:33.5", local("2026-03-09T10:14:33.5")),
        ("Mar 9, 2026 10:14:33", local("2026-03-09T10:14:33")),
        ("2026-03-09T10:14:33Z", utc("2026-03-09T10:14:33")),
        ("2026-03-09 10:14:33 UTC", utc("2026-03-09T10:14:33")),
        ("2026-03-09T10:14:33+01:00", utc("2026-03-09T09:14:33")),
        ("2026-03-09T10:14:33+0100", utc("2026-03-09T09:14:33")),
        ("2026-03-09T10:14:33+01", utc("2026-03-09T09:14:33")),
        ("2026-03-09 10:14:33,250 -0530", utc("2026-03-09T15:44:33.250")),
        ("20260309T101433Z", utc("2026-03-09T10:14:33")),
        ("1773051273", utc("2026-03-09T10:14:33")),
        ("1773051273.25", utc("2026-03-09T10:14:33.250")),
        ("1773051273,25", utc("2026-03-09T10:14:33.250")),
        ("1773051273000", utc("2026-03-09T10:14:33")),
        ("1773051273000.0", utc("2026-03-09T10:14:33")),
        ("1.773051273E12", utc("2026-03-09T10:14:33")),
        ("1773051273000000", utc("2026-03-09T10:14:33")),
        ("1773051273000000000", utc("2026-03-09T10:14:33")),
        ("1773051273.001", utc("2026-03-09T10:14:33.001")),
        ("09.03.2026 10:14:33", None),
        ("03/09/2026 10:14:33", None),
        ("03/09/2026 10:14:33 AM", None),
        ("2026-03-09 10:14:33 PM", None),
        ("2026-02-30 10:14:33", None),
        ("2026-03-09", None),
        ("2026-03-09 10:14:33+25:00", None),
        ("2026-03-09 10:14:33 CET", None),
        ("1999-12-31 23:59:59", None),
        ("20260309101433", None),
        ("46090.4270", None),
        ("-1773051273", None),
        ("inf", None),
        ("", None),
    ] {
        assert_eq!(parse(text, None), expected, "{text:?}");
    }
}

#[test]
fn format_must_hold_date_and_time() {
    for (format, text, expected) in [
        ("%d.%m.%Y %H:%M:%S", "09.03.2026 10:14:33", Some("2026-03-09T10:14:33")),
        ("%m/%d/%Y %I:%M:%S %p", "03/09/2026 10:14:33 PM", Some("2026-03-09T22:14:33")),
        ("%d.%m.%Y %H:%M:%S%.f", "09.03.2026 10:14:33.5", Some("2026-03-09T10:14:33.5")),
        ("%d.%m.%Y %H:%M:%S,%3f", "09.03.2026 10:14:33,500", Some("2026-03-09T10:14:33.5")),
        ("%d.%m.%y %H:%M", "09.03.26 10:14", Some("2026-03-09T10:14:00")),
        ("%d.%m.%Y %H:%M:%S", "2026-03-09 10:14:33", None),
    ] {
        let format: TimeFormat = format.parse().expect(format);
        assert_eq!(parse(text, Some(&format)), expected.map(|time| ParsedTime::Local(at(time))), "{format} {text}");
    }
    for wrong in ["", "%d.%m.%Y", "%H:%M:%S", "%d.%m %H:%M:%S", "%Q", "dd.mm.yyyy hh:mm:ss", "%y %H:%M:%S"] {
        let error = wrong.parse::<TimeFormat>().expect_err(wrong);
        assert!(error.contains("allowed: a date and a time"), "{error}");
    }
}

#[test]
fn zone_is_a_region_or_an_offset() {
    for (text, expected) in [
        ("Europe/Berlin", Some("Europe/Berlin")),
        ("europe/berlin", Some("Europe/Berlin")),
        ("UTC", Some("+00:00")),
        ("+01:00", Some("+01:00")),
        ("-0530", Some("-05:30")),
        ("Berlin", None),
        ("CEST", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<TimeZone>().ok().map(|zone| zone.to_string()).as_deref(), expected, "{text}");
    }
}

#[test]
fn fitting_formats_are_proposed() {
    for (times, expected) in [
        (
            &["09.03.2026 10:14:33"][..],
            "more than one meaning: say which with --time-format '%d.%m.%Y %H:%M:%S' or --time-format '%m.%d.%Y %H:%M:%S'",
        ),
        (
            &["03.04.2026 10:14:33", "13.04.2026 10:14:33"],
            "line 2: timestamp: \"03.04.2026 10:14:33\" (and 1 more) is read with --time-format '%d.%m.%Y %H:%M:%S': \
             \"13.04.2026 10:14:33\" in line 3 fits no other",
        ),
        (&["13.02.2026 10:14:33"], "is read with --time-format '%d.%m.%Y %H:%M:%S'"),
        (&["02/13/2026 10:14:33 PM"], "is read with --time-format '%m/%d/%Y %I:%M:%S %p'"),
        (&["13.02.2026 10:14:33.250"], "is read with --time-format '%d.%m.%Y %H:%M:%S%.f'"),
        (&["13.02.2026 10:14:33", "13.02.2026 10:14:33.5"], "is read with --time-format '%d.%m.%Y %H:%M:%S%.f'"),
        (&["13.02.2026 10:14:33,250"], "is read with --time-format '%d.%m.%Y %H:%M:%S,%3f'"),
        (&["13/02/2026 10:14"], "is read with --time-format '%d/%m/%Y %H:%M'"),
        (&["20260213101433"], "is read with --time-format '%Y%m%d%H%M%S'"),
        (&["03.03.2026 10:14:33"], "more than one meaning"),
        (&["01.02.03 10:14:33"], "more than one meaning"),
    ] {
        let mut proposals = FormatProposals::default();
        for (line, time) in (2..).zip(times) {
            assert!(proposals.observe(line, "timestamp", time), "{time}");
        }
        let finding = proposals.finding().expect("a finding").to_string();
        assert!(finding.contains(expected), "{finding:?} contains {expected:?}");
    }
    for junk in ["yesterday", "", "32.13.2026 10:14:33", "12345", "2026-03-09 10:14:60", "09-Mar-2026 10:14:60"] {
        assert!(!FormatProposals::default().observe(2, "timestamp", junk), "{junk:?}");
    }
    let mut proposals = FormatProposals::default();
    assert!(proposals.observe(2, "timestamp", "13.02.2026 10:14:33") && !proposals.observe(3, "timestamp", "junk 7"));
}

/// Resolves the rows' times to UTC. The zones are Berlin and Lord Howe, with a clock change of 60 min and of 30 min.
fn resolve(zone: &str, chosen: Option<RepeatedHour>, times: &[&str]) -> Result<Vec<String>, String> {
    let times: Vec<NaiveDateTime> = times.iter().map(|time| at(time)).collect();
    let mut hours = RepeatedHours::new(Some(zone.parse().expect("a zone")), chosen);
    (2..).zip(&times).for_each(|(line, time)| hours.observe(line, &time.to_string(), *time));
    hours.decide();
    if let Some(finding) = hours.errors().first() {
        return Err(finding.to_string());
    }
    let utc = (2..).zip(&times).map(|(line, time)| hours.utc(line, *time).expect("in UTC"));
    Ok(utc.map(|time| time.format("%H:%M:%S").to_string()).collect())
}

#[test]
fn order_of_the_rows_decides_the_repeated_hour() {
    let day = |times: &str| times.split(' ').map(|time| format!("2025-10-26T{time}")).collect::<Vec<_>>();
    for (times, expected) in [
        // From a plant's file: both hours, with a gap.
        (
            "02:00:57 02:00:58 02:30:59 02:00:57 02:30:59 03:00:00",
            "00:00:57 00:00:58 00:30:59 01:00:57 01:30:59 02:00:00",
        ),
        ("01:59:59 02:00:00 02:00:01", "23:59:59 00:00:00 00:00:01"),
        ("02:59:59 03:00:00 03:00:01", "01:59:59 02:00:00 02:00:01"),
        (
            "02:00:00 02:20:00 02:40:00 02:00:00 02:20:00 02:40:00 03:00:00",
            "00:00:00 00:20:00 00:40:00 01:00:00 01:20:00 01:40:00 02:00:00",
        ),
        // A step back of 2 s is disorder, not a change of the clocks.
        ("01:59:59 02:00:03 02:00:01 02:00:04", "23:59:59 00:00:03 00:00:01 00:00:04"),
        // Newest first.
        (
            "03:00:00 02:59:00 02:01:00 02:59:00 02:01:00 01:59:00",
            "02:00:00 01:59:00 01:01:00 00:59:00 00:01:00 23:59:00",
        ),
        // One row per tag.
        (
            "02:10:00 02:30:00 02:30:00 02:00:00 02:00:00 02:20:00",
            "00:10:00 00:30:00 00:30:00 01:00:00 01:00:00 01:20:00",
        ),
        // The rows go on from the hour's end to its start, although those after the step would also fit before the
        // others.
        ("02:30:00 02:40:00 02:50:00 02:00:00 02:10:00", "00:30:00 00:40:00 00:50:00 01:00:00 01:10:00"),
        ("02:30:00 02:59:59 02:00:00 02:10:00", "00:30:00 00:59:59 01:00:00 01:10:00"),
    ] {
        let times = day(times);
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        let resolved = resolve("Europe/Berlin", None, &times).unwrap_or_else(|error| panic!("{times:?}: {error}"));
        assert_eq!(resolved.join(" "), expected, "{times:?}");
    }
    let half_an_hour = ["2026-04-05T01:31:00", "2026-04-05T01:59:00", "2026-04-05T01:31:00", "2026-04-05T02:01:00"];
    let resolved = resolve("Australia/Lord_Howe", None, &half_an_hour).expect("decided");
    assert_eq!(resolved.join(" "), "14:31:00 14:59:00 15:01:00 15:31:00");
}

#[test]
fn undecided_repeated_hour_needs_the_option() {
    let ten_minutes = ["01:50", "02:00", "02:10", "02:50", "03:00"].map(|time| format!("2025-10-26T{time}:00"));
    let ten_minutes: Vec<&str> = ten_minutes.iter().map(String::as_str).collect();
    let alone = ["2025-10-26T02:30:00", "2025-10-26T02:30:01"];
    let complete = ["2025-10-26T01:59:59", "2025-10-26T02:00:00", "2025-10-26T02:59:59", "2025-10-26T03:00:00"];
    for times in [&ten_minutes[..], &alone, &complete] {
        let error = resolve("Europe/Berlin", None, times).expect_err("asked for");
        assert!(error.contains("occurs twice in Europe/Berlin") && error.contains("--repeated-hour"), "{error}");
        let first = resolve("Europe/Berlin", Some(RepeatedHour::First), times).expect("chosen");
        let second = resolve("Europe/Berlin", Some(RepeatedHour::Second), times).expect("chosen");
        assert_ne!(first, second, "{times:?}");
    }
    let back_and_forth = ["02:10", "02:00", "02:10", "02:00", "02:20"].map(|time| format!("2025-10-26T{time}:00"));
    let back_and_forth: Vec<&str> = back_and_forth.iter().map(String::as_str).collect();
    let error = resolve("Europe/Berlin", Some(RepeatedHour::First), &back_and_forth).expect_err("ambiguous");
    assert!(error.contains("time goes back 2 times within it"), "{error}");
}

#[test]
fn rows_out_of_order_are_not_a_clock_change() {
    for times in [
        "01:50 02:00 02:20 02:10 02:30 02:40 02:50 03:00",
        "02:00 02:10 02:20 02:30 02:05 02:40 02:50",
        "02:00 02:10 02:40 02:50 02:20 02:30 03:00",
        "01:50 02:30 02:00 02:40 03:00",
        "02:20 02:30 02:50 02:40 03:00",
        "02:50 02:40 02:20 02:30 02:10 01:50",
    ] {
        let times: Vec<String> = times.split(' ').map(|time| format!("2025-10-26T{time}:00")).collect();
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        let error = resolve("Europe/Berlin", None, &times).expect_err("asked for");
        assert!(error.contains("goes back once") && error.contains("--repeated-hour"), "{times:?}: {error}");
        for (chosen, hours_off) in [(RepeatedHour::First, 2), (RepeatedHour::Second, 1)] {
            let resolved = resolve("Europe/Berlin", Some(chosen), &times).expect("chosen");
            let inside = times.iter().zip(resolved).filter(|(time, _)| time.contains("T02"));
            for (time, utc) in inside {
                assert_eq!(utc[..5], format!("{:02}:{}", 2 - hours_off, &time[14..16]), "{time} {chosen}");
            }
        }
    }
}

#[test]
fn repeated_hour_option_that_is_not_needed_is_reported() {
    let remark = |zone: &str, times: &[&str]| {
        let mut hours = RepeatedHours::new(zone.parse().ok(), Some(RepeatedHour::First));
        (2..).zip(times).for_each(|(line, time)| hours.observe(line, time, at(time)));
        hours.decide();
        (hours.remark(), hours.errors().first().map(ToString::to_string))
    };
    let contains = |text: Option<String>, part: &str| text.is_some_and(|text| text.contains(part));
    let berlin = "Europe/Berlin";
    for (zone, times, part) in [
        (berlin, &["2026-03-09T10:14:33"][..], "no time is in an hour"),
        ("", &["2025-10-26T02:30:00"], "no time is in an hour"),
        ("+01:00", &["2025-10-26T02:30:00"], "no time is in an hour"),
        (berlin, &["2025-10-26T02:00:00", "2025-10-26T02:59:59", "2025-10-26T02:00:00"], "tells both hours apart"),
        (berlin, &[], "no time is in an hour"),
    ] {
        assert!(contains(remark(zone, times).0, part), "{times:?}");
    }
    assert_eq!(remark(berlin, &["2025-10-26T02:30:00"]), (None, None), "needed");
    let (remark, error) = remark(berlin, &["2025-10-26T02:59:59", "2025-10-26T03:00:00"]);
    assert!(remark.is_none() && contains(error, "tell that it is the second: leave --repeated-hour out"));
}

#[test]
fn second_60_is_accepted_as_a_leap_second_only() {
    for (text, is_time) in [
        ("2016-12-31 23:59:60", true),
        ("2017-01-01T00:59:60+01:00", true),
        ("2015-06-30T23:59:60Z", true),
        ("2015-06-30T22:59:60Z", false),
        ("2026-03-09 10:14:60", false),
        ("2026-03-09T10:14:60Z", false),
        ("2026-06-30 10:14:60", false),
        ("20260309T101460", false),
        ("09-Mar-2026 10:14:60", false),
        ("2026-03-09 10:14:60.5", false),
    ] {
        assert_eq!(parse(text, None).is_some(), is_time, "{text}");
    }
    let format: TimeFormat = "%d.%m.%Y %H:%M:%S".parse().expect("a format");
    assert_eq!(parse("09.03.2026 10:14:60", Some(&format)), None);
}

#[test]
fn rounded_number_is_not_a_time() {
    for text in ["1.77305E+12", "1,77305E+12", "1.77E+09", "1.77305127E9", "1.7730512E+12", "1.773E15", "1.77305E18"] {
        assert_eq!(parse(text, None), None, "{text}");
    }
    for text in ["1.773051273E12", "1.773051273E9", "1.773051273000E12", "1773051273E0", "1.773051273000000E15"] {
        assert_eq!(parse(text, None), Some(ParsedTime::Absolute(at("2026-03-09T10:14:33"))), "{text}");
    }
}

#[test]
fn format_does_not_lose_the_zone() {
    for format in ["%Y-%m-%d %H:%M:%S %Z", "%d.%m.%Y %H:%M:%S%Z", "%d.%m.%Y %T %Z", "%Z %Y-%m-%d %H:%M", "%c %Z"] {
        let error = format.parse::<TimeFormat>().expect_err(format);
        assert!(error.contains("--time-zone") && error.contains("%z"), "{format}: {error}");
    }
    let zone = |format: &str| format.parse::<TimeFormat>().expect(format).zone();
    let utc = Some(zones::NamedZone::Known("UTC".parse().expect("a zone")));
    assert_eq!(zone("%d.%m.%Y %H:%M:%S UTC"), utc);
    assert_eq!(zone("%Y-%m-%dT%H:%M:%SZ"), utc);
    assert_eq!(zone("%d.%m.%Y %H:%M:%S MEZ"), Some(zones::NamedZone::Ambiguous("MEZ".into())));
    for without in ["%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M:%S %z", "%d.%m.%Y um %H:%M Uhr"] {
        assert_eq!(zone(without), None, "{without}");
    }
}

#[test]
fn time_in_a_skipped_hour_does_not_exist() {
    let zone = Some("Europe/Berlin".parse().expect("a zone"));
    assert_eq!(localize(zone, at("2026-03-29T02:30:00")), Localized::Skipped);
    assert_eq!(localize(zone, at("2026-03-29T03:00:00")), Localized::Single(at("2026-03-29T01:00:00")));
    assert_eq!(localize(None, at("2026-03-29T02:30:00")), Localized::Single(at("2026-03-29T02:30:00")));
}
