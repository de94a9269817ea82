//! `volute import` of recordings as written by plants' loggers and historians: files from plants, and more of each
//! kind. `data/src/recording/tests.rs` checks how single cells are read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::support::{NodeConfig, run, shared_input, volute};

/// The names of the ten channels, with `,` between them.
const CHANNELS: &str = "Motor_RPM,Bearing_Temperature_C,Oil_Pressure_bar,Vibration_mm_s,Flow_Rate_L_min,\
                        Suction_Pressure_bar,Discharge_Pressure_bar,Motor_Current_A,Casing_Temperature_C,Ambient_Temperature_C";
const VALUES: &str = "2950,61.5,2.4,2.1,850.5,0.4,6.2,42.5,48.1,21.3";

/// The output of a run of `volute import`, and whether it succeeded.
struct ImportOutput {
    is_success: bool,
    text: String,
}

impl ImportOutput {
    #[track_caller]
    fn assert_contains(&self, is_success: bool, parts: &[&str]) {
        assert_eq!(self.is_success, is_success, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is in:\n{}", self.text);
        }
    }
}

/// A folder with a store and a recording to import.
struct ImportFolder(TempDir);

impl ImportFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("recording.csv");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn import(&self, file: &Path, flags: &[&str]) -> ImportOutput {
        let (data, file) = (self.0.path().join("data"), file.to_str().expect("UTF-8"));
        let data = data.to_str().expect("UTF-8");
        let fixed = ["import", file, "--pump", "P", "--data-dir", data];
        let output = volute().args(fixed.iter().chain(flags)).output().expect("it runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        // Without the log.
        let text = text.lines().filter(|line| !line.contains(" INFO ")).map(|line| format!("{line}\n")).collect();
        ImportOutput { is_success: output.status.success(), text }
    }

    /// Returns the stored readings as CSV.
    fn stored(&self) -> String {
        let (data, out) = (self.0.path().join("data"), self.0.path().join("out.csv"));
        if !data.exists() {
            return String::new();
        }
        drop(fs::remove_file(&out));
        let output = volute()
            .args(["export", "--pump", "P", "--data-dir"])
            .arg(data)
            .arg("--out")
            .arg(&out)
            .output()
            .expect("it runs");
        if output.status.success() { fs::read_to_string(out).expect("read") } else { String::new() }
    }
}

/// Imports a recording, after a dry run, which must have the same result and store nothing.
#[track_caller]
fn import(bytes: &[u8], flags: &[&str]) -> (ImportOutput, String) {
    let folder = ImportFolder::new();
    let file = folder.file(bytes);
    let dry: Vec<&str> = flags.iter().copied().chain(["--dry-run"]).collect();
    let tried = folder.import(&file, &dry);
    assert_eq!(folder.stored(), "", "a dry run stores nothing");
    let printed = folder.import(&file, flags);
    assert_eq!(printed.is_success, tried.is_success, "{}", tried.text);
    if printed.is_success {
        assert!(tried.text.contains("would be stored; this was a dry run"), "{}", tried.text);
    } else {
        assert_eq!(printed.text, tried.text);
        assert_eq!(folder.stored(), "", "a failed import stores nothing");
    }
    let stored = folder.stored();
    (printed, stored)
}

/// Rows with the same values at these times.
fn at(times: &[&str]) -> String {
    times.iter().map(|time| format!("{time},{VALUES}\n")).collect::<String>()
}

const FIRST: &str = "2026-03-09T10:14:33.000Z,2950,61.5,2.4,2.1,850.5,0.4,6.2,42.5,48.1,21.3";

#[test]
fn files_from_plants_are_read_or_rejected_with_a_reason() {
    let Some(folder) = shared_input("field") else { return };
    let missing = FIRST.replace("42.5", "");
    let no_oil = FIRST.replace(",2.4,", ",,");
    type Case<'a> = (&'a str, &'a [&'a str], bool, &'a [&'a str], &'a str);
    let cases: [Case<'_>; 13] = [
        ("07_semicolon_decimal_comma.csv", &[], true, &["5 readings of P stored", "5 times have no offset"], FIRST),
        ("08_bad_input.csv", &[], true, &["taken as missing: line 2: Motor_Current_A: \"Bad Input\""], &missing),
        ("09_N_A.csv", &[], true, &["line 2: Motor_Current_A: \"N/A\"", "2 readings of P stored"], &missing),
        ("10_unit_in_header.csv", &[], true, &["units that are not known", "(and 9 more)"], FIRST),
        ("11_preamble.csv", &[], true, &["the header is in line 4", "5 readings of P stored"], FIRST),
        ("12_Timestamp_cap.csv", &[], true, &["5 readings of P stored"], FIRST),
        ("13_missing_channel.csv", &[], true, &["taken as missing: Oil_Pressure_bar"], &no_oil),
        ("14_dmy_dot.csv", &[], false, &["--time-format '%d.%m.%Y %H:%M:%S'", "(and 3 more)", "line 2"], ""),
        ("14_dmy_dot.csv", &["--time-format", "%d.%m.%Y %H:%M:%S"], true, &["4 readings of P stored"], FIRST),
        ("15_offset_nocolon.csv", &[], true, &["4 readings of P stored"], "2026-03-09T09:14:33.000Z,2950"),
        ("16_dst_repeated_hour.csv", &[], false, &["at \"", "(and 8 more)", "--time-zone"], ""),
        (
            "16_dst_repeated_hour.csv",
            &["--time-zone", "Europe/Berlin"],
            true,
            &["18 readings of P stored", "from 2025-10-26T00:00:57.000Z to 2025-10-26T01:59:59.000Z"],
            "2025-10-26T00:00:57.000Z,2950,61.5,2.4,2,",
        ),
        ("17_row_per_tag.csv", &[], true, &["2 readings of P stored", "18 rows hold further channels"], FIRST),
    ];
    for (name, flags, is_success, expected, first) in cases {
        let (printed, stored) = import(&fs::read(folder.join(name)).expect(name), flags);
        printed.assert_contains(is_success, expected);
        assert!(stored.lines().nth(1).unwrap_or_default().starts_with(first), "{name}: {stored}");
        if !flags.contains(&"--time-zone") {
            assert!(!printed.text.contains("repeat of"), "{name}: {}", printed.text);
        }
    }
}

/// Checks the output of a dry run, which has no store to compare with.
#[track_caller]
fn assert_dry_run(name: &str, bytes: &[u8], flags: &[&str], is_success: bool, expected: &[&str]) {
    let folder = ImportFolder::new();
    let dry: Vec<&str> = flags.iter().copied().chain(["--dry-run"]).collect();
    let printed = folder.import(&folder.file(bytes), &dry);
    assert_eq!(printed.is_success, is_success, "{name}: {}", printed.text);
    for part in expected {
        assert!(printed.text.contains(part), "{name}: {part:?} is in:\n{}", printed.text);
    }
}

const TIME: &str = "2026-03-09 10:14:33";
const COMMAS: &str = "2950;61,5;2,4;2,1;850,5;0,4;6,2;42,5;48,1;21,3";

#[test]
fn other_notations_of_numbers() {
    let header = CHANNELS.replace(',', ";");
    let with = |values: &str| format!("timestamp;{header}\n{TIME};{values}\n");
    let tabs = with(COMMAS).replace(';', "\t");
    let wide: Vec<u8> = format!("\u{feff}{tabs}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = format!("\u{feff}{tabs}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let quoted = COMMAS.split(';').map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(",");
    let (yes, no) = (&["1 readings of P would be stored"][..], &["--decimal point or --decimal comma"][..]);
    assert_dry_run("tabs", tabs.as_bytes(), &[], true, yes);
    assert_dry_run("UTF-16 LE", &wide, &[], true, yes);
    assert_dry_run("UTF-16 BE", &big, &[], true, yes);
    assert_dry_run("sep=", format!("sep=;\r\n{}", with(COMMAS)).as_bytes(), &[], true, yes);
    assert_dry_run("quoted", format!("timestamp,{CHANNELS}\n{TIME},{quoted}\n").as_bytes(), &[], true, yes);
    assert_dry_run("trailing", with(&format!("{COMMAS};;")).as_bytes(), &[], true, yes);
    let thousands = with(COMMAS.replace("2950", "2.950").as_str());
    assert_dry_run("thousands", thousands.as_bytes(), &[], false, no);
    assert_dry_run("thousands, with --decimal", thousands.as_bytes(), &["--decimal", "comma"], true, yes);
    assert_dry_run("two marks", with(&COMMAS.replace("61,5", "61.5")).as_bytes(), &[], false, no);
    assert_dry_run("blanks", with(&COMMAS.replace("2950", "2 950")).as_bytes(), &[], false, no);
    let unquoted = format!("timestamp,{CHANNELS}\n{TIME},{}\n", COMMAS.replace(';', ","));
    assert_dry_run("a comma for both", unquoted.as_bytes(), &[], false, &["line 2: 20 cells, and the header has 11"]);
    assert_dry_run("too few", with("2950;61,5").as_bytes(), &[], false, &["line 2: 3 cells, and the header has 11"]);
    let cut = format!("{}2026-03-09 10:14:34;29", with(COMMAS));
    assert_dry_run("cut off", cut.as_bytes(), &[], true, &["left out: line 3: the file ends within the row"]);
}

#[test]
fn other_words_for_no_value() {
    for word in ["NaN", "NA", "null", "-", "Bad", "No Data", "I/O Timeout", "#N/A", "Sensor kaputt", "1.#QNAN", "inf"] {
        let row = |word: &str| format!("{TIME},{}\n", VALUES.replace("42.5", word));
        let next = at(&["2026-03-09 10:14:34"]);
        let text = format!("timestamp,{CHANNELS}\n{}{next}", row(word));
        let expected = format!("taken as missing: line 2: Motor_Current_A: {word:?}");
        assert_dry_run(word, text.as_bytes(), &[], true, &[&expected, "2 readings of P would be stored"]);
    }
    let rows: String =
        (10..50).map(|second| format!("2026-03-09 10:14:{second},{}\n", VALUES.replace("42.5", "on"))).collect();
    let text = format!("timestamp,{CHANNELS}\n{rows}");
    assert_dry_run(
        "a column of text",
        text.as_bytes(),
        &[],
        false,
        &["line 2: Motor_Current_A: \"on\" (and 39 more) is not a number"],
    );
    let sentinels = "-9999,32767,65535,2.1,850.5,0.4,6.2,42.5,48.1,21.3";
    assert_dry_run(
        "sentinels",
        format!("timestamp,{CHANNELS}\n{TIME},{sentinels}\n").as_bytes(),
        &[],
        true,
        &["1 readings"],
    );
}

#[test]
fn other_headers() {
    let row = at(&[TIME]);
    let yes = "1 readings of P would be stored";
    for (name, header, expected) in [
        ("upper case", format!("TIMESTAMP,{}", CHANNELS.to_uppercase()), yes),
        ("blanks", format!("Time Stamp,{}", CHANNELS.replace('_', " ")), yes),
        ("dashes", format!("date-time,{}", CHANNELS.replace('_', "-")), yes),
        ("rpm", format!("timestamp,{}", CHANNELS.replace("RPM", "RPM (rpm)")), yes),
        ("1/min", format!("timestamp,{}", CHANNELS.replace("RPM", "RPM [1/min]")), yes),
        ("units instead", format!("timestamp,{}", CHANNELS.replace("Pressure_bar", "Pressure [bar]")), yes),
        ("a unit row", format!("timestamp,{CHANNELS}\n,rpm,°C,bar,mm/s,L/min,bar,bar,A,°C,°C"), "taken for units"),
        ("unit words", format!("timestamp,{CHANNELS}\n[-],[1/min],,,,,,,,,"), "line 2 is taken for units"),
        ("a preamble", format!("Logger;7\nSerial,12345\n\n\ntimestamp,{CHANNELS}"), "the header is in line 5"),
        ("InfluxDB's", format!("#group,false\n#default,\ntimestamp,{CHANNELS}"), "the header is in line 3"),
    ] {
        assert_dry_run(name, format!("{header}\n{row}").as_bytes(), &[], true, &[expected, yes]);
    }
    for (name, header, expected) in [
        (
            "°F",
            format!("timestamp,{}", CHANNELS.replace("Bearing_Temperature_C", "Bearing_Temperature_C [°F]")),
            "is in \"°F\"",
        ),
        ("psi", format!("timestamp,{CHANNELS}\n,,,psi,,,,,,,"), "Oil_Pressure_bar is in bar: convert it"),
        ("no time", CHANNELS.to_owned(), "\"timestamp\" is missing"),
        ("no channel", "timestamp,a,b".to_owned(), "is not a channel, and neither is any other"),
        ("twice", format!("timestamp,motor rpm,{CHANNELS}"), "is there twice"),
    ] {
        assert_dry_run(name, format!("{header}\n{row}").as_bytes(), &[], false, &[expected]);
    }
    for (name, columns, expected) in [
        ("an index", ",timestamp,Motor_RPM\n0,2026-03-09 10:14:33,2950\n", "taken as missing: Bearing_Temperature_C"),
        ("an unknown column", "timestamp,Motor_RPM,Torque\n2026-03-09 10:14:33,2950,7\n", "not used: \"Torque\""),
        ("two columns of time", "Date,Time,Motor_RPM\n2026-03-09,10:14:33,2950\n", "1 time has no offset"),
        ("one channel", "Motor_RPM,timestamp\n2950,2026-03-09 10:14:33\n", "Oil_Pressure_bar, Vibration_mm_s"),
    ] {
        assert_dry_run(name, columns.as_bytes(), &[], true, &[expected, yes]);
    }
}

#[test]
fn other_times() {
    let header = format!("timestamp,{CHANNELS}\n");
    let first = "from 2026-03-09T10:14:33.000Z to 2026-03-09T10:14:34.000Z";
    for (name, times) in [
        ("epoch", ["1773051273", "1773051274"]),
        ("epoch in ms", ["1773051273000", "1773051274000.0"]),
        ("epoch with fractions", ["1773051273.0", "1.773051274E9"]),
        ("RFC 3339", ["2026-03-09T10:14:33Z", "2026-03-09T11:14:34+01:00"]),
        ("short offsets", ["2026-03-09 11:14:33+01", "2026-03-09 11:14:34 +0100"]),
        ("microseconds", ["2026-03-09 10:14:33.000417Z", "2026-03-09T10:14:34.000417Z"]),
        ("slashes", ["2026/03/09 10:14:33", "2026/03/09 10:14:34"]),
        ("months by name", ["09-Mar-2026 10:14:33", "09-Mar-2026 10:14:34"]),
    ] {
        assert_dry_run(name, format!("{header}{}", at(&times)).as_bytes(), &[], true, &[first]);
    }
    let commas = format!("{header}{}", at(&["2026-03-09 10:14:33,000", "2026-03-09 10:14:34,000"])).replace(',', ";");
    let commas = commas.replace(":33;000", ":33,000").replace(":34;000", ":34,000");
    assert_dry_run("a comma before milliseconds", commas.as_bytes(), &[], true, &[first]);
    for (times, format) in [
        (["13.02.2026 10:14:33", "14.02.2026 10:14:34"], "%d.%m.%Y %H:%M:%S"),
        (["02/13/2026 10:14:33", "02/14/2026 10:14:34"], "%m/%d/%Y %H:%M:%S"),
        (["02/13/2026 01:14:33 PM", "02/13/2026 01:14:34 PM"], "%m/%d/%Y %I:%M:%S %p"),
        (["2026-02-13 01:14:33 PM", "2026-02-13 01:14:34 PM"], "%Y-%m-%d %I:%M:%S %p"),
        (["13.02.2026 10:14", "14.02.2026 10:14"], "%d.%m.%Y %H:%M"),
    ] {
        let text = format!("{header}{}", at(&times));
        assert_dry_run(format, text.as_bytes(), &[], false, &[&format!("--time-format '{format}'")]);
        assert_dry_run(format, text.as_bytes(), &["--time-format", format], true, &["2 readings of P would be stored"]);
    }
    let either = format!("{header}{}", at(&["03.04.2026 10:14:33"]));
    assert_dry_run(
        "either",
        either.as_bytes(),
        &[],
        false,
        &["more than one meaning", "'%d.%m.%Y %H:%M:%S'", "'%m.%d.%Y %H:%M:%S'"],
    );
    let none = format!("{header}{}", at(&["yesterday", "46090.4270"]));
    assert_dry_run(
        "none",
        none.as_bytes(),
        &[],
        false,
        &[
            "line 2: timestamp: \"yesterday\" is not a time: it is in no form",
            "line 3: timestamp: \"46090.4270\" is not a time: it is like",
        ],
    );
}

#[test]
fn other_repeated_and_skipped_hours() {
    let header = format!("timestamp,{CHANNELS}\n");
    let berlin: &[&str] = &["--time-zone", "Europe/Berlin"];
    let ask = "occurs twice in Europe/Berlin";
    for (name, times, flags, is_success, expected) in [
        ("goes on", &["2025-10-26 01:59:59", "2025-10-26 02:00:00"][..], berlin, true, "to 2025-10-26T00:00:00.000Z"),
        ("leads on", &["2025-10-26 02:59:59", "2025-10-26 03:00:00"], berlin, true, "from 2025-10-26T01:59:59.000Z"),
        ("alone", &["2025-10-26 02:30:00"], berlin, false, ask),
        ("once", &["2025-10-26 01:50:00", "2025-10-26 02:10:00", "2025-10-26 03:00:00"], berlin, false, ask),
        ("skipped", &["2026-03-29 01:59:59", "2026-03-29 02:30:00"], berlin, false, "does not exist in Europe/Berlin"),
        (
            "New York",
            &[
                "2025-11-02 01:00:00",
                "2025-11-02 01:30:00",
                "2025-11-02 01:00:00",
                "2025-11-02 01:30:00",
                "2025-11-02 03:00:00",
            ],
            &["--time-zone", "America/New_York"],
            true,
            "to 2025-11-02T08:00:00.000Z",
        ),
        ("an offset", &["2025-10-26 02:30:00"], &["--time-zone", "+01:00"], true, "from 2025-10-26T01:30:00.000Z"),
        ("its own offset", &["2025-10-26T02:30:00+02:00"], berlin, true, "from 2025-10-26T00:30:00.000Z"),
        (
            "with --repeated-hour",
            &["2025-10-26 02:30:00"],
            &["--time-zone", "Europe/Berlin", "--repeated-hour", "second"],
            true,
            "from 2025-10-26T01:30:00.000Z",
        ),
    ] {
        assert_dry_run(name, format!("{header}{}", at(times)).as_bytes(), flags, is_success, &[expected]);
    }
}

#[test]
fn other_row_orders_and_rows_of_one_time() {
    let header = "timestamp,Motor_RPM,Oil_Pressure_bar\n";
    for (name, rows, is_success, expected) in [
        (
            "newest first",
            "10:14:35,1,2\n10:14:34,1,2\n10:14:33,1,2\n",
            true,
            &["the newest row is first", "3 readings"][..],
        ),
        ("out of order", "10:14:33,1,2\n10:14:40,1,2\n10:14:34,1,2\n", true, &["out of order: line 4", "3 readings"]),
        (
            "a repeat",
            "10:14:33,1,2\n10:14:33,1,2\n",
            true,
            &["left out: line 3", "is a repeat of line 2", "1 readings"],
        ),
        (
            "parts apart",
            "10:14:33,1,\n10:14:34,1,\n10:14:33,,2\n10:14:34,,2\n",
            true,
            &["2 rows hold further", "2 readings"],
        ),
        (
            "a conflict",
            "10:14:33,1,2\n10:14:33,1,3\n",
            false,
            &["line 3: at \"", " in line 2", "--keep-first keeps the first value"],
        ),
        ("a conflict apart", "10:14:33,1,2\n10:14:34,1,2\n10:14:33,1,3\n", false, &["line 4: at \"", "--time-zone"]),
        ("parts that contradict", "10:14:33,1,\n10:14:33,2,3\n", false, &["Motor_RPM is 2, and 1 in line 2"]),
        ("many", "10:14:33,1,2\n10:14:33,2,2\n10:14:33,3,2\n", false, &["(and 1 more)"]),
    ] {
        let rows: String = rows.lines().map(|row| format!("2026-03-09 {row}\n")).collect();
        assert_dry_run(name, format!("{header}{rows}").as_bytes(), &[], is_success, expected);
    }
}

#[test]
fn import_succeeds_only_if_it_has_readings() {
    let folder = ImportFolder::new();
    let file = |text: &str| folder.file(format!("timestamp,Motor_RPM,Oil_Pressure_bar\n{text}").as_bytes());
    for (rows, is_success, expected) in [
        ("", false, "no row is below the header in line 1"),
        (
            "2026-03-09 10:14:33,,\n2026-03-09 10:14:34,Bad,\n",
            false,
            "no row has a value, so there is nothing to store",
        ),
        ("2026-03-09 10:14:33,1,\n", true, "1 readings of P stored"),
        ("2026-03-09 10:14:33,1,\n", true, "nothing new: everything in the file is stored already"),
        ("2026-03-09 10:14:33,1,2\n", true, "1 of them hold further channels of a reading that is stored"),
        ("2026-03-09 10:14:33,1,2\n2026-03-09 10:14:33,1,2\n", true, "nothing new"),
        (
            "2026-03-09 10:14:33,1,3\n",
            false,
            "has another value than the stored one; --keep-first keeps the stored values",
        ),
    ] {
        let file = file(rows);
        folder.import(&file, &[]).assert_contains(is_success, &[expected]);
    }
    assert!(folder.stored().contains("2026-03-09T10:14:33.000Z,1,,2"), "{}", folder.stored());
    let other = ImportFolder::new();
    let output = volute()
        .args(["import", "--pump", "P", "--data-dir"])
        .arg(other.0.path().join("data"))
        .arg(other.file(b"timestamp,Motor_RPM\n2026-03-09 10:14:33,1\n"))
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !log.contains("migrated"), "{log}");
}

#[test]
fn evaluation_skips_files_that_are_not_recordings() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let evaluate = || {
        let args = ["evaluate", "--data", &path("data"), "--out", &path("out"), "--epochs", "1"];
        let output = volute().args(args).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    fs::create_dir_all(path("data/sub")).expect("made");
    let others: [(&str, &[u8]); 5] = [
        ("data/causes.csv", b"file,cause,group\na.csv,\"closing the valve\",flow\n"),
        ("data/empty.csv", b""),
        ("data/sub/header.csv", b"timestamp,Motor_RPM\n"),
        ("data/sub/packed.csv", b"\x1f\x8b\x08\0\0"),
        ("data/sub/tags.csv", b"tag,time,value\nx,2026-03-09 10:14:33,1\n"),
    ];
    for (name, bytes) in others {
        fs::write(path(name), bytes).expect("written");
    }
    let (is_success, printed) = evaluate();
    assert!(!is_success && printed.contains("is a recording of this profile"), "{printed}");
    let row = |n: i64| format!("{},{VALUES},{}\n", 1_773_051_273 + n, i64::from(n > 500));
    let rows: String = (0..600).map(row).collect();
    fs::write(path("data/run.csv"), format!("timestamp,{CHANNELS},anomaly\n{rows}")).expect("written");
    let (is_success, printed) = evaluate();
    assert!(is_success, "{printed}");
    for (name, _) in others {
        let is_reported = |line: &str| line.contains("left out, not a recording") && line.contains(name);
        assert!(printed.lines().any(is_reported), "{name}: {printed}");
    }
    // A recording with errors is not skipped: the evaluation fails.
    fs::write(path("data/wrong.csv"), "timestamp,Motor_RPM,anomaly\n13.02.2026 10:14:33,1,0\n").expect("written");
    let (is_success, printed) = evaluate();
    assert!(!is_success && printed.contains("--time-format"), "{printed}");
}

/// Converts a recording of lines `timestamp, numbers, words` to the format of a German logger in Berlin.
fn in_logger_format(plain: &str) -> String {
    let mut lines = plain.lines();
    let header = lines.next().expect("a header").replace(',', ";");
    let row = |line: &str| {
        let (time, cells) = line.split_once(',').expect("cells");
        let hour: u32 = time[11..13].parse::<u32>().expect("an hour") + 1;
        let (year, month, day, rest) = (&time[..4], &time[5..7], &time[8..10], &time[13..19]);
        format!("{day}.{month}.{year} {hour:02}{rest};{}\n", cells.replace(',', ";").replace('.', ","))
    };
    format!("Logger XY;3,2\n\n{header}\n{}", lines.map(row).collect::<String>())
}

/// The flags for [`in_logger_format`].
const LOGGER_FLAGS: [&str; 4] = ["--time-format", "%d.%m.%Y %H:%M:%S", "--time-zone", "Europe/Berlin"];

#[test]
fn all_commands_read_alike_and_ask_for_the_same_flags() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (plain, logged) = (path("plain.csv"), path("logged.csv"));
    run(&["simulate", "--rows", "400", "--load", "steady", "--out", &plain]);
    fs::write(&logged, in_logger_format(&fs::read_to_string(&plain).expect("read"))).expect("written");
    let learn = |csv: &str, out: &str, flags: &[&str]| {
        let fixed = ["train", "--csv", csv, "--out", out, "--epochs", "1", "--every", "3"];
        let printed = run(&fixed.iter().chain(flags).copied().collect::<Vec<_>>());
        printed.lines().filter(|line| line.starts_with("windows ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let learned = learn(&plain, &path("a"), &[]);
    assert_eq!((learned.len(), &learned), (1, &learn(&logged, &path("b"), &LOGGER_FLAGS)), "bit for bit");
    let (out, folder) = (path("c"), dir.path().to_str().expect("UTF-8").to_owned());
    for args in [
        vec!["train", "--csv", &logged, "--out", &out],
        vec!["replay", "--csv", &logged],
        vec!["evaluate", "--data", &folder, "--out", &out],
        vec!["import", &logged, "--pump", "P", "--data-dir", &out],
    ] {
        let output = volute().args(&args).output().expect("it runs");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {printed}");
        assert!(
            printed.contains("--time-format '%d.%m.%Y %H:%M:%S'") && printed.contains("(and 399 more)"),
            "{args:?}: {printed}"
        );
    }
}

#[test]
fn replay_posts_the_readings_of_a_recording() {
    let Some(folder) = shared_input("field") else { return };
    let data = tempfile::tempdir().expect("a directory");
    let start = NodeConfig::new(&data, "centrifugal");
    let node = start.node();
    let url = format!("http://{}", node.address());
    let file = folder.join("14_dmy_dot.csv");
    let fixed = ["replay", "--csv", file.to_str().expect("UTF-8"), "--url", &url, "--pump", "P", "--speed", "0"];
    run(&fixed.iter().chain(&LOGGER_FLAGS).copied().collect::<Vec<_>>());
    let rows = node.all_items("/api/sensor-history?pump_id=P&limit=100");
    let times: Vec<_> = rows.iter().filter_map(|row| row["timestamp"].as_str()).collect();
    assert!(times.len() == 4 && times.contains(&"2026-03-09T09:14:33.000Z"), "{rows:?}");
}
