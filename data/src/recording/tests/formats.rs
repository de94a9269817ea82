//! Contents of plants' files that could be misread: each is read correctly, rejected with a hint, or reported in a
//! note.

use super::*;

/// A row: seconds since 15:44:00, and the values.
pub(super) type RowValues = (i64, Option<f64>, Option<f64>);

const AT: &str = "2020-03-01 15:44:06";

pub(super) fn dialect(change: impl FnOnce(&mut Dialect)) -> Dialect {
    let mut dialect = Dialect::default();
    change(&mut dialect);
    dialect
}

/// Returns the rows of a file and its notes; if it is rejected, no rows and the error.
pub(super) fn rows_and_notes(text: &str, dialect: &Dialect) -> (Vec<RowValues>, String) {
    match read_as(text.as_bytes(), dialect) {
        Ok(recording) => {
            let notes = recording.notes.lines().into_iter().chain(recording.notes.utc_line());
            (row_values(&recording), notes.collect::<Vec<_>>().join("\n"))
        }
        Err(error) => (Vec::new(), error.to_string()),
    }
}

#[track_caller]
pub(super) fn assert_read(text: &str, dialect: &Dialect, expected: &[RowValues], expected_notes: &[&str]) {
    let (rows, notes) = rows_and_notes(text, dialect);
    assert_eq!(rows, expected, "{text:?}: {notes}");
    expected_notes.iter().for_each(|note| assert!(notes.contains(note), "{text:?}: {note:?} is in {notes:?}"));
}

#[track_caller]
pub(super) fn assert_rejected(text: &str, dialect: &Dialect, expected_notes: &[&str]) {
    let (rows, notes) = rows_and_notes(text, dialect);
    assert_eq!(rows, [], "{text:?}");
    expected_notes.iter().for_each(|note| assert!(notes.contains(note), "{text:?}: {note:?} is in {notes:?}"));
}

#[test]
fn value_at_the_end_of_a_file_may_be_cut_off() {
    let none = Dialect::default();
    let first = (6, Some(40.5), Some(76.0));
    let start = format!("{HEADER}\n{AT},40.5,76\n");
    for (end, second, note) in [
        (
            "2020-03-01 15:44:07,41.5,7",
            (7, Some(41.5), None),
            "line 3: Volume Flow RateRMS: \"7\", as its line has no end",
        ),
        ("2020-03-01 15:44:07,41.5,76.", (7, Some(41.5), None), "\"76.\", as its line has no end"),
        ("2020-03-01 15:44:07,41.5,NaN", (7, Some(41.5), None), "\"NaN\", as its line has no end"),
        ("2020-03-01 15:44:07,41.5,\"76\"", (7, Some(41.5), Some(76.0)), ""),
        ("2020-03-01 15:44:07,41.5,76,", (7, Some(41.5), Some(76.0)), ""),
        ("2020-03-01 15:44:07,41.5,76\r", (7, Some(41.5), Some(76.0)), ""),
        ("2020-03-01 15:44:07,41.5,", (7, Some(41.5), None), ""),
    ] {
        assert_read(&format!("{start}{end}"), &none, &[first, second], &[note]);
    }
    for end in [
        "2020-03-01 15:44:07,41.5",
        "2020-03-01 15:44:07,",
        "2020",
        "2020-03-01 15:44:07,\"41",
        "2020-03-01 15:44:07,4",
    ] {
        assert_read(&format!("{start}{end}"), &none, &[first], &["left out: line 3: the file ends within the row"]);
    }
    // A row needs its time, pump and quality. A label is complete if it is a known one.
    for (header, end, rows) in [
        ("Tb,timestamp", "40.5,2020-03-01 15:44:0", 0),
        ("Tb,timestamp", "40.5,2020-03-01T15:44:06Z", 1),
        ("timestamp,Tb,pump_id", "2020-03-01 15:44:06,40.5,P-1", 0),
        ("timestamp,Tb,quality", "2020-03-01 15:44:06,40.5,Good", 0),
        ("timestamp,Tb,machine_status", "2020-03-01 15:44:06,40.5,NORM", 1),
        ("timestamp,Tb,comment", "2020-03-01 15:44:06,40.5,al", 1),
    ] {
        let whole = "40.5,2020-03-01 15:44:05Z,P-1";
        let whole =
            if header.starts_with("Tb") { whole[..25].to_owned() } else { format!("2020-03-01 15:44:05,{},", "40.5") };
        let whole = if header.contains("pump_id") { format!("{whole}P-1") } else { whole };
        let text = format!("{header}\n{whole}\n{end}");
        let recording = read(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(recording.rows.len(), 1 + rows, "{text:?}");
        assert_eq!(recording.rows.last().and_then(|row| row.normal), None, "{text:?}");
    }
}

#[test]
fn rows_of_other_pumps_are_rejected() {
    let file = |column: &str, pumps: &[&str]| {
        let row = |(second, pump): (u32, &&str)| format!("2020-03-01 15:44:{second:02},{pump},40.5\n");
        format!("timestamp,{column},Tb\n{}", (6..).zip(pumps).map(row).collect::<String>())
    };
    let for_p = dialect(|dialect| dialect.expected_pump = "P".parse().ok());
    let only =
        |name: &str| dialect(|dialect| (dialect.expected_pump, dialect.pump) = ("P".parse().ok(), Some(name.into())));
    for (column, pumps, dialect, expected) in [
        (
            "pump_id",
            &["Q", "Q"][..],
            &for_p,
            "pump_id: the rows are of pump \"Q\" (and 1 more), and you gave --pump P; --file-pump 'Q'",
        ),
        ("Pump ID", &["q"], &for_p, "--file-pump 'q' says that these are its readings"),
        ("machine_id", &["7"], &for_p, "the rows are of pump \"7\", and you gave --pump P"),
        (
            "pump_id",
            &["P", "Q", "P"],
            &for_p,
            "rows of several pumps: \"P\" in 2 rows, \"Q\" in 1 row; --file-pump 'P'",
        ),
        ("asset_id", &["A", "B", "C"], &Dialect::default(), "\"A\" in 1 row, \"B\" in 1 row, \"C\" in 1 row"),
        ("pump_id", &["A", ""], &Dialect::default(), "rows of several pumps"),
        ("pump_id", &["A", "B"], &only("C"), "no row is of \"C\"; there is \"A\" in 1 row, \"B\" in 1 row"),
        ("where", &["A"], &only("A"), "no column identifies the pump, as pump_id would"),
    ] {
        assert_rejected(&file(column, pumps), dialect, &[expected]);
    }
    let one = |second| (second, Some(40.5), None);
    assert_read(&file("pump_id", &["P", "P"]), &for_p, &[one(6), one(7)], &[]);
    assert_read(&file("pump_id", &["Q", "Q"]), &only("Q"), &[one(6), one(7)], &[]);
    assert_read(&file("pump_id", &["A", "B", "A"]), &only("A"), &[one(6), one(8)], &[]);
    assert_read(&file("pump_id", &["A", "A"]), &Dialect::default(), &[one(6), one(7)], &[]);
}

#[test]
fn zone_in_the_name_of_the_time_counts() {
    let file = |name: &str| format!("{name},Tb\n2020-03-01 16:44:06,40.5\n");
    let (utc, berlin) = (3606, 6);
    for (name, second) in [
        ("Time (UTC)", utc),
        ("time_utc", utc),
        ("UTC", utc),
        ("timestamp [GMT]", utc),
        ("timestamp (Europe/Berlin)", berlin),
        ("Zeit [UTC+1]", berlin),
        ("Time (GMT+01:00)", berlin),
        ("Time (+0100)", berlin),
    ] {
        assert_read(&file(name), &Dialect::default(), &[(second, Some(40.5), None)], &["times are in "]);
        assert!(!rows_and_notes(&file(name), &Dialect::default()).1.contains("taken as UTC"), "{name}");
        let other = dialect(|dialect| dialect.time_zone = "Asia/Kolkata".parse().ok());
        assert_rejected(&file(name), &other, &["and --time-zone says Asia/Kolkata"]);
    }
    for name in ["timestamp [CET]", "Zeit (MEZ)", "timestamp_est", "Local Time", "Time (IST)", "Zeitstempel (MESZ)"] {
        assert_rejected(&file(name), &Dialect::default(), &["has several meanings", "--time-zone"]);
        let in_berlin = dialect(|dialect| dialect.time_zone = "Europe/Berlin".parse().ok());
        assert_read(&file(name), &in_berlin, &[(berlin, Some(40.5), None)], &[]);
    }
    // A time with an offset needs no zone.
    assert_read("Zeit (MEZ),Tb\n1583077446,40.5\n", &Dialect::default(), &[(6, Some(40.5), None)], &[]);
    assert_read("Time [s],Tb\n1583077446,40.5\n", &Dialect::default(), &[(6, Some(40.5), None)], &[]);
    assert_read(
        "timestamp,Tb\n(UTC),(°C)\n2020-03-01 15:44:06,40.5\n",
        &Dialect::default(),
        &[(6, Some(40.5), None)],
        &["in +00:00"],
    );
    let format = |format: &str| dialect(|dialect| dialect.time_format = Some(format.parse().expect("a format")));
    let text = "timestamp,Tb\n01.03.2020 15:44:06 UTC,40.5\n";
    let berlin = |dialect: Dialect| Dialect { time_zone: "Europe/Berlin".parse().ok(), ..dialect };
    let utc = format("%d.%m.%Y %H:%M:%S UTC");
    assert_read(text, &utc, &[(6, Some(40.5), None)], &["times are in"]);
    assert_rejected(text, &berlin(utc), &["--time-zone says Europe/Berlin"]);
    let mez = format("%d.%m.%Y %H:%M:%S MEZ");
    assert_rejected(&text.replace("UTC", "MEZ"), &mez, &["MEZ has several meanings"]);
    assert_read(&text.replace("15:44:06 UTC", "16:44:06 MEZ"), &berlin(mez), &[(6, Some(40.5), None)], &[]);
}

#[test]
fn other_unit_than_the_channels_is_rejected() {
    for unit in ["°F", "degrees Fahrenheit", "kPag", "%", "SP", "barg", "furlong", "V", "Max", "K"] {
        for text in [
            format!("timestamp,Tb [{unit}]\n{AT},40.5\n"),
            format!("timestamp,Tb\n,{unit}\n{AT},40.5\n"),
            format!("timestamp,Tb\nTS,({unit})\n,Smp\n{AT},40.5\n"),
        ] {
            assert_rejected(&text, &Dialect::default(), &["Tb", "is in °C", "--ignore-units"]);
            let ignored = dialect(|dialect| dialect.ignore_units = true);
            assert_read(&text, &ignored, &[(6, Some(40.5), None)], &["units ignored: "]);
        }
    }
    for unit in ["°C", "deg C", "degrees Celsius", "x", "-", "Smp", "Avg", "FLOAT"] {
        assert_read(
            &format!("timestamp,Tb\nTS,{unit}\n{AT},40.5\n"),
            &Dialect::default(),
            &[(6, Some(40.5), None)],
            &[],
        );
    }
    let several = "timestamp,Tb [°F],Volume Flow RateRMS [gpm]\n2020-03-01 15:44:06,1,2\n2020-03-01 25:44:06,1,2\n";
    assert_rejected(several, &Dialect::default(), &["Tb [°F]", "RateRMS [gpm]", "no hour 25"]);
}

#[test]
fn cell_that_looks_like_a_number_is_read_or_rejected() {
    for (cell, value) in [
        ("44.5 °C", 44.5),
        ("44.5°C", 44.5),
        ("44.5 deg C", 44.5),
        ("\u{2212}5", -5.0),
        ("\u{2212}5.5 °C", -5.5),
        ("+5.5", 5.5),
    ] {
        assert_read(&format!("timestamp,Tb\n{AT},{cell}\n"), &Dialect::default(), &[(6, Some(value), None)], &[]);
    }
    assert_read(&format!("timestamp;Tb\n{AT};44,5 °C\n"), &Dialect::default(), &[(6, Some(44.5), None)], &[]);
    for cell in ["5%", "1_000", "(5)", "44.5 °F", "<0.5", "0x1F", "1.4.6", "5 ?", "03. Apr", "–5", "44.5 psi", "1e999"]
    {
        let text = format!("timestamp,Tb\n{AT},{cell}\n2020-03-01 15:44:07,{cell}\n2020-03-01 15:44:08,40.5\n");
        let expected = format!("line 2: Tb: {cell:?} (and 1 more) is not a number");
        assert_rejected(&text, &Dialect::default(), &[&expected, "--no-value"]);
        let no_value = dialect(|dialect| dialect.no_value.push(cell.into()));
        let rows = [(6, None, None), (7, None, None), (8, Some(40.5), None)];
        assert_read(&text, &no_value, &rows, &["taken as missing: line 2: Tb"]);
    }
}

#[test]
fn value_with_bad_quality_is_missing() {
    for (header, first, second, rows) in [
        (
            "timestamp,Tb,Tb_quality,Volume Flow RateRMS",
            "1,Good,2",
            "3,Bad,4",
            [(Some(1.0), Some(2.0)), (None, Some(4.0))],
        ),
        ("timestamp,Tb,Volume Flow RateRMS,Quality", "1,2,Good", "3,4,Bad", [(Some(1.0), Some(2.0)), (None, None)]),
        ("timestamp,Tb,Volume Flow RateRMS,quality", "1,2,192", "3,4,0", [(Some(1.0), Some(2.0)), (None, None)]),
        ("timestamp,Tb,Volume Flow RateRMS,Validity", "1,2,1", "3,4,0", [(Some(1.0), Some(2.0)), (None, None)]),
        (
            "timestamp,Tb,Quality,Volume Flow RateRMS,Quality",
            "1,Good,2,Bad",
            "3,Uncertain,4,Good",
            [(Some(1.0), None), (None, Some(4.0))],
        ),
        ("timestamp,Tb,Volume Flow RateRMS,status", "1,2,OK", "3,4,Bad Input", [(Some(1.0), Some(2.0)), (None, None)]),
        (
            "timestamp,Tb,Volume Flow RateRMS,Tb.StatusCode",
            "1,2,0x00000000",
            "3,4,0x80050000",
            [(Some(1.0), Some(2.0)), (None, Some(4.0))],
        ),
    ] {
        let text = format!("{header}\n{AT},{first}\n2020-03-01 15:44:07,{second}\n");
        let [one, other] = rows;
        assert_read(
            &text,
            &Dialect::default(),
            &[(6, one.0, one.1), (7, other.0, other.1)],
            &["taken as missing: line "],
        );
    }
    for (word, column) in [("Suspicious", "Quality"), ("0", "Quality"), ("7", "Tb_quality"), ("maybe", "validity")] {
        let text = format!("timestamp,Tb,{column}\n{AT},1,{word}\n");
        let expected = format!("line 2: {column}: {word:?} may stand for good or for bad: --good-quality");
        assert_rejected(&text, &Dialect::default(), &[&expected]);
        let good = dialect(|dialect| dialect.good_quality.push(word.into()));
        assert_read(&text, &good, &[(6, Some(1.0), None)], &[]);
        let bad = dialect(|dialect| dialect.good_quality.push("Good".into()));
        assert_read(&text, &bad, &[(6, None, None)], &["taken as missing"]);
    }
    let running = format!("timestamp,Tb,Status\n{AT},1,RUNNING\n");
    assert_read(&running, &Dialect::default(), &[(6, Some(1.0), None)], &["not used: \"Status\""]);
}

#[test]
fn other_formats_are_rejected_by_name() {
    for (bytes, expected) in [
        (&b""[..], "is empty"),
        (b"\n\n", "empty but for blank lines"),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml", "save its sheet as CSV"),
        (b"{\"timestamp\": 1}\n", "JSON"),
        (b"\0\x01\x02\x03\xff\xfe\x90\x81\x03\x04\x05", "not text"),
        (b"timestamp,Tb\n", "no row is below the header in line 1"),
        (b"Logger\n\ntimestamp,Tb\n,\xc2\xb0C\n", "no row is below the header in line 3"),
        (b"VarName;TimeString;VarValue;Validity;Time_ms\nTb;2020-03-01 15:44:06;1;1;1\n", "one value a row"),
        (b"_time,_field,_value\n2020-03-01T15:44:06Z,Tb,1\n", "one value a row"),
        (b"Wann,Tb\n2020-03-01 15:44:06,1\n", "\"Wann\" looks like one: --column 'Wann=timestamp'"),
    ] {
        let error = read_as(bytes, &Dialect::default()).expect_err(expected);
        assert!(error.is_not_a_recording() && error.to_string().contains(expected), "{error} contains {expected:?}");
    }
    let named = dialect(|dialect| drop(dialect.columns.insert("Wann".into(), "timestamp".into())));
    assert_read("Wann,Tb\n2020-03-01 15:44:06,1\n", &named, &[(6, Some(1.0), None)], &[]);
    let quoted = "timestamp,Tb,note\n2020-03-01 15:44:06,1,\"two\nlines\"\n";
    assert_rejected(quoted, &Dialect::default(), &["line 2: a quote that is not closed", "goes on in the next line"]);
    let header = "\"time\nstamp\",\"Tb\n[°C]\"\n2020-03-01 15:44:06,1\n";
    assert_read(header, &Dialect::default(), &[(6, Some(1.0), None)], &[]);
}

#[test]
fn distant_rows_of_one_time_are_merged() {
    for (rows, expected, note) in [
        ("06,1, 07,1, 06,,2 07,,2", &[(6, Some(1.0), Some(2.0)), (7, Some(1.0), Some(2.0))][..], "2 rows hold further"),
        (
            "06,1,2 07,1,2 06,1,2",
            &[(6, Some(1.0), Some(2.0)), (7, Some(1.0), Some(2.0))],
            "line 4: \"2020-03-01 15:44:06\" is a repeat",
        ),
        (
            "06,1,2 07,1,2 06,1,3",
            &[(6, Some(1.0), Some(2.0)), (7, Some(1.0), Some(2.0)), (6, Some(1.0), Some(3.0))],
            "at \"",
        ),
        ("08,1, 06,1, 08,,2", &[(8, Some(1.0), Some(2.0)), (6, Some(1.0), None)], "1 row holds further"),
        (
            "06,1,2 06,1,2 05,1,2 06,1,2",
            &[(6, Some(1.0), Some(2.0)), (5, Some(1.0), Some(2.0))],
            "(and 1 more) of line 2",
        ),
    ] {
        let rows: String = rows.split(' ').map(|row| format!("2020-03-01 15:44:{row}\n")).collect();
        let (read, notes) = rows_and_notes(&format!("{HEADER}\n{rows}"), &Dialect::default());
        assert_eq!(read, expected, "{rows}");
        assert!(notes.contains(note), "{note:?} is in {notes:?}");
    }
}
