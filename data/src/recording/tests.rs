//! Reading of recordings: each kind of cell, line and header. `tests/it/recordings.rs` reads files from real plants.

use volute_plant::{Sample, Timestamp};

use super::*;

mod ambiguities;
mod formats;

pub(crate) const TWO_CHANNELS: &str = r#"
    name = "two"
    title = "Two channels"
    interval_ms = 1000
    [[channels]]
    name = "Tb"
    quantity = "bearing_temperature"
    unit = "°C"
    plausible = [-40, 200]
    resolution = 0.1
    [[channels]]
    name = "Volume Flow RateRMS"
    quantity = "flow"
    unit = "L/min"
    plausible = [0, 500]
    resolution = 1
"#;
pub(crate) const TEN_CHANNELS: &str = include_str!("../../../config/profiles/centrifugal.toml");

const HEADER: &str = "timestamp,Tb,Volume Flow RateRMS";

fn read_as(text: &[u8], dialect: &Dialect) -> Result<Recording, RecordingError> {
    let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
    parse_recording(Path::new("run.csv"), text, &profile, dialect)
}

fn read(text: &str) -> Result<Recording, RecordingError> {
    read_as(text.as_bytes(), &Dialect::default())
}

/// The time of each row in seconds since 15:44:00, and the values.
fn row_values(recording: &Recording) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let start: Timestamp = "2020-03-01T15:44:00Z".parse().expect("a time");
    let value = |row: &Row, channel: usize| row.samples[channel].value();
    recording.rows.iter().map(|row| (row.at.since_ms(start) / 1000, value(row, 0), value(row, 1))).collect()
}

#[test]
fn skab_and_original_form_are_read_alike() {
    let skab = "datetime;Tb;Volume Flow RateRMS;anomaly;changepoint\n\
                2020-03-01 15:44:06;40.5;76;0.0;0.0\n\
                2020-03-01 15:44:07;;NaN;1.0;1.0\n";
    let ours = "\u{feff}machine_status,Volume Flow RateRMS,timestamp,Tb,pump_id\n\
                NORMAL,76,2020-03-01T15:44:06Z,40.5,P-1\n\
                BROKEN,nan,2020-03-01T15:44:07Z, ,P-1\n";
    let (skab, ours) = (read(skab).expect("SKAB's form").rows, read(ours).expect("the original's form").rows);
    let same = |row: &Row| (row.at, row.samples.clone());
    assert_eq!(skab.iter().map(same).collect::<Vec<_>>(), ours.iter().map(same).collect::<Vec<_>>());
    assert_eq!(&*skab[0].samples, &[Sample::Good(40.5), Sample::Good(76.0)]);
    assert_eq!(&*skab[1].samples, &[Sample::Missing, Sample::Missing]);
    let labels = |rows: &[Row]| rows.iter().map(|row| (row.normal, row.anomaly)).collect::<Vec<_>>();
    assert_eq!(labels(&skab), [(None, Some(false)), (None, Some(true))]);
    assert_eq!(labels(&ours), [(Some(true), None), (Some(false), None)]);
    assert_eq!(skab[0].recorded_at, "2020-03-01 15:44:06");
}

#[test]
fn number_out_of_range_is_a_bad_sample() {
    let text = format!(
        "{HEADER}\n2020-03-01T15:44:06Z,900,-6.3\n2020-03-01T15:44:07Z,20,-0.1\n2020-03-01T15:44:08Z,-9999,32767\n\
         2020-03-01T15:44:09Z,65535,1\n"
    );
    let rows = read(&text).expect("read").rows;
    assert_eq!(&*rows[0].samples, &[Sample::Bad(900.0), Sample::Bad(-6.3)]);
    assert_eq!(&*rows[1].samples, &[Sample::Good(20.0), Sample::Good(-0.1)], "a drifted zero");
    assert_eq!(&*rows[2].samples, &[Sample::Bad(-9999.0), Sample::Bad(32767.0)], "sentinels");
    assert_eq!(&*rows[3].samples, &[Sample::Bad(65535.0), Sample::Good(1.0)]);
}

#[test]
fn all_dialects_are_read_alike() {
    let expected = [(6, Some(40.5), Some(76.0)), (7, Some(41.5), None)];
    let wide: Vec<u8> = "\u{feff}timestamp\tTb\tVolume Flow RateRMS\r\n2020-03-01 15:44:06\t40,5\t76\r\n\
                         2020-03-01 15:44:07\t41,5\t\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let latin = b"timestamp;Tb [\xb0C];Volume Flow RateRMS;Bemerkung gel\xf6scht\n\
                  2020-03-01 15:44:06;40,5;76;\xe4\n2020-03-01 15:44:07;41,5;;\n";
    for (name, bytes) in [
        ("UTF-16, tabs, decimal comma", wide.as_slice()),
        ("Windows-1252", latin),
        (
            "a declared delimiter, a preamble and units",
            b"sep=;\n\"Logger \"\"XY\"\"\"\nSite;plant 7\n\nDatum;Uhrzeit;TB;volume-flow raterms\n[-];[-];[\xc2\xb0C];[l/min]\n\
              2020-03-01;15:44:06;40,5;76\n2020-03-01;15:44:07;41,5;\n",
        ),
        (
            "quotes, an index and empty columns",
            b",\"timestamp\",\"Tb\",\"Volume Flow RateRMS\",\n0,\"2020-03-01 15:44:06\",\"40.5\",\"76\",\n\
              1,\"2020-03-01 15:44:07\",\"41.5\",\"\",,\n",
        ),
        (
            "blank lines, comments, the header again, zeros and a cut-off end",
            b"# a logger\ntimestamp,Tb,Volume Flow RateRMS\n\n2020-03-01 15:44:06,40.5,76\n# restarted\n\
              timestamp,Tb,Volume Flow RateRMS\n\0\0\0\0\n2020-03-01 15:44:07,41.5,\n,,\n2020-03-01 15:44:08,4",
        ),
        ("a pipe as delimiter", b"timestamp|Tb|Volume Flow RateRMS\n1583077446|40.5|76\n1583077447|41.5|\n"),
        (
            "the newest row first",
            b"timestamp,Tb,Volume Flow RateRMS\n2020-03-01 15:44:07,41.5,\n2020-03-01 15:44:06,40.5,76\n",
        ),
        (
            "one row per channel",
            b"timestamp,Tb,Volume Flow RateRMS\n2020-03-01 15:44:06,40.5,\n2020-03-01 15:44:06,,76\n\
              2020-03-01 15:44:07,41.5,\n",
        ),
        (
            "exact repeats",
            b"timestamp,Tb,Volume Flow RateRMS\n2020-03-01 15:44:06,40.5,76\n2020-03-01 15:44:06,40.5,76\n\
              2020-03-01 15:44:07,41.5,\n2020-03-01 15:44:07,41.5,\n",
        ),
        ("returns", b"timestamp,Tb,Volume Flow RateRMS\r2020-03-01 15:44:06,40.5,76\r2020-03-01 15:44:07,41.5,\r"),
    ] {
        let recording = read_as(bytes, &Dialect::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(row_values(&recording), expected, "{name}");
    }
}

#[test]
fn cell_that_is_not_a_number_is_missing_and_reported() {
    let rows = ["Bad Input,1", "I/O Timeout,2", "Bad Input,3", "4,N/A", "5,"].iter().zip(6..);
    let rows: String = rows.map(|(cells, second)| format!("2020-03-01 15:44:{second:02},{cells}\n")).collect();
    let recording = read(&format!("{HEADER},Torque\n{}", rows.replace('\n', ",9\n"))).expect("read");
    let values = [(None, Some(1.0)), (None, Some(2.0)), (None, Some(3.0)), (Some(4.0), None), (Some(5.0), None)];
    let expected: Vec<_> = (6..).zip(values).map(|(second, (one, other))| (second, one, other)).collect();
    assert_eq!(row_values(&recording), expected);
    assert_eq!(
        recording.notes.lines(),
        [
            "columns that are not used: \"Torque\"",
            "taken as missing: line 2: Tb: \"Bad Input\" (and 1 more)",
            "taken as missing: line 3: Tb: \"I/O Timeout\"",
            "taken as missing: line 5: Volume Flow RateRMS: \"N/A\"",
        ]
    );
    assert_eq!(
        recording.notes.utc_line().as_deref(),
        Some("5 times have no offset and are taken as UTC; if that is wrong, set --time-zone")
    );
}

#[test]
fn channel_without_a_column_is_missing() {
    let recording = read("Timestamp,tb\n2020-03-01 15:44:06,40.5\n").expect("read");
    assert_eq!(row_values(&recording), [(6, Some(40.5), None)]);
    let lines = recording.notes.lines();
    assert_eq!(lines, ["channels without a column, taken as missing: Volume Flow RateRMS"]);
}

#[test]
fn no_value_words_cost_the_channel_and_other_text_the_file() {
    let dead = format!("{HEADER}\n2020-03-01 15:44:06,Bad,1\n2020-03-01 15:44:07,Bad,2\n");
    assert_eq!(row_values(&read(&dead).expect("read")), [(6, None, Some(1.0)), (7, None, Some(2.0))]);
    let text = dead.replace("Bad", "12.5 bar");
    let error = read(&text).expect_err("no numbers").to_string();
    assert!(error.contains("line 2: Tb: \"12.5 bar\" (and 1 more) is not a number"), "{error}");
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = format!(
        "{HEADER},anomaly,pump_id\n\
         2020-03-01 15:44:06,40.5,76,2,A\n\
         yesterday,40.5,76,0,A\n\
         2020-03-01 15:44:07,40.5\n\
         2020-03-01 15:44:08,1,5,76,0,A\n\
         2020-03-01 15:44:09,\"1,5\",76,0,B\n\
         2020-03-01 15:44:10,\"open,76,0,A\n\
         tomorrow,40.5,76,2,A\n"
    );
    let error = read(&text).expect_err("rejected").to_string();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "run.csv is not read:",
            "  line 2: Tb: \"40.5\" (and 2 more) has another decimal mark than Tb: \"1,5\" in line 6: say which with --decimal point or \
             --decimal comma; the other mark is then the thousands'",
            "  line 2: anomaly: \"2\" (and 1 more); allowed: 0, 1, or nothing",
            "  line 2: pump_id: rows of several pumps: \"A\" in 3 rows, \"B\" in 1 row; --file-pump 'A' reads the rows of that \
             one only",
            "  line 3: timestamp: \"yesterday\" is not a time (and 1 more): it is in no form that is known; allowed: \
             2026-03-09 10:14:33, RFC 3339, seconds, milliseconds, microseconds or nanoseconds since 1970; others by --time-format",
            "  line 4: 2 cells, and the header has 5",
            "  line 5: 6 cells, and the header has 5; are its decimal marks commas, as its delimiter is?",
            "  line 7: a quote that is not closed in its line: a cell that goes on in the next line is not read",
        ]
    );
}

#[test]
fn two_spellings_of_a_pump_are_one_pump() {
    let text = format!(
        "{HEADER},pump_id\n2020-03-01 15:44:06,40.5,76,F\u{f6}rderpumpe 3\n\
         2020-03-01 15:44:07,40.5,76,Fo\u{308}rderpumpe\u{a0}3\n"
    );
    assert_eq!(row_values(&read(&text).expect("one pump")).len(), 2);
    let dialect = Dialect { pump: Some("F\u{f6}rderpumpe 3".into()), ..Dialect::default() };
    assert_eq!(row_values(&read_as(text.as_bytes(), &dialect).expect("of this pump")).len(), 2);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &text).expect("written");
    let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
    let pumps = pumps_of(file.path(), &profile, &Dialect::default()).expect("pumps");
    assert_eq!(pumps.into_iter().collect::<Vec<_>>(), ["F\u{f6}rderpumpe 3"]);
    let error = read(&text.replace("\u{a0}3", " 4")).expect_err("two pumps").to_string();
    assert!(error.contains("rows of several pumps"), "{error}");
}

#[test]
fn header_errors_are_named() {
    for (text, expected) in [
        ("Tb,Volume Flow RateRMS\n", "column \"timestamp\" is missing; a recording has timestamp"),
        ("timestamp,x,y\n", "column \"y\" is not a channel, and neither is any other"),
        ("timestamp,Tb,Tb,Volume Flow RateRMS\n", "column \"Tb\" is there twice"),
        ("timestamp,Tb,tb [°C]\n", "column \"tb [°C]\" is there twice"),
        ("timestamp,datetime,Tb,Volume Flow RateRMS\n", "column \"datetime\" is there twice"),
        ("timestamp,Tb [°F]\n", "column \"Tb [°F]\" is in \"°F\", and Tb is in °C: convert it"),
        ("timestamp,Volume Flow RateRMS (m3/h)\n", "is in \"m3/h\""),
        ("timestamp;Tb\n;[K]\n2020-03-01 15:44:06;1\n", "column \"Tb\" is in \"K\""),
        ("", "run.csv is empty"),
        ("1;2;3\n4;5;6\n", "column \"timestamp\" is in none of the first 2 lines"),
    ] {
        let error = read(text).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} contains {expected:?}");
    }
}

#[test]
fn missing_file_is_named() {
    let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
    let absent = Path::new("/nowhere/run.csv");
    let error = read_recording(absent, &profile, &Dialect::default()).expect_err("absent").to_string();
    assert!(error.contains("/nowhere/run.csv"), "{error}");
}

#[test]
fn rows_out_of_order_are_reported() {
    let line = |second: i64, tb: f64| format!("2020-03-01 15:44:{second:02},{tb},1\n");
    let rows: String = [(1, 1.0), (2, 2.0), (9, 9.0), (3, 3.0), (4, 4.0), (2, 2.5), (5, 5.0)]
        .into_iter()
        .map(|(second, tb)| line(second, tb))
        .collect();
    let recording = read(&format!("{HEADER}\n{rows}")).expect("read");
    assert_eq!(recording.rows.len(), 7, "in the file's order");
    assert_eq!(
        recording.notes.lines(),
        [
            "out of order: line 5: \"2020-03-01 15:44:03\" is earlier than a row before it (and 3 more); time goes back 2 \
             times",
            "line 7: at \"2020-03-01 15:44:02\" Tb is 2.5, and 2 in line 3; if this is the hour that \
             occurs twice in autumn, say the zone with --time-zone, as Europe/Berlin",
        ]
    );
    let lengths = |slack| ordered_segments(&recording.rows, slack).iter().map(|part| part.len()).collect::<Vec<_>>();
    assert_eq!((lengths(3000), lengths(1000), lengths(9000)), (vec![3, 4], vec![3, 2, 2], vec![7]));
    assert_eq!(ordered_segments(&[], 0).len(), 1);
}

#[test]
fn file_is_read_in_time_order_in_bounded_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.csv");
    let profile = Profile::from_toml(TWO_CHANNELS).expect("a profile");
    // Each channel has its own block of rows, so that rows with the same time are far apart.
    let stretch = |cells: &str| -> String {
        (0..50).map(|second| format!("2020-03-01 15:44:{:02},{cells}\n", (second * 7) % 50)).collect()
    };
    fs::write(&path, format!("{HEADER}\n{}{}{}", stretch("1,"), stretch(",2"), stretch("1,2"))).expect("written");
    let file = open_recording(&path, &profile, &Dialect::default()).expect("opened");
    let mut rows = file.rows_by_time(false).expect("sorted");
    let mut seconds = Vec::new();
    while let Some(NumberedRow { row, .. }) = rows.next().expect("read") {
        seconds.push((row.at.millis() / 1000) % 60);
        assert_eq!(&*row.samples, &[Sample::Good(1.0), Sample::Good(2.0)]);
    }
    assert_eq!(seconds, (0..50).map(|second| second % 60).collect::<Vec<_>>());
    let order = rows.notes(file.notes()).order;
    assert_eq!((order.merged, order.repeats.map(|f| f.count), order.conflicts), (50, Some(50), None));
    let mut small = sorted::tests::sort_with_runs_of(file.rows().expect("read"), &profile, 7);
    let mut last = None;
    while let Some(next) = small.next().expect("read") {
        assert!(last < Some((next.row.at, next.line)), "by time, then by line");
        last = Some((next.row.at, next.line));
    }
}

#[test]
fn rows_of_single_tags_are_merged() {
    let profile = Profile::from_toml(TEN_CHANNELS).expect("a profile");
    let names: Vec<&str> = profile.channel_names().collect();
    let row = |second: usize, channel: usize| {
        let cells: Vec<String> = (0..10).map(|c| if c == channel { "1".into() } else { String::new() }).collect();
        format!("2026-03-09 10:14:{second:02},{}\n", cells.join(","))
    };
    let rows: String = (0..30).map(|n| row(n / 10, n % 10)).collect();
    let text = format!("timestamp,{}\n{rows}", names.join(","));
    let recording = parse_recording(Path::new("x"), text.as_bytes(), &profile, &Dialect::default()).expect("read");
    assert_eq!(recording.rows.len(), 3);
    assert!(recording.rows.iter().all(|row| row.samples.iter().all(|sample| sample.value() == Some(1.0))));
    assert_eq!(recording.notes.order.merged, 27);
}

#[test]
fn line_of_hashes_with_all_cells_is_a_row_and_another_is_a_comment() {
    let error = read(&format!("{HEADER}\n2020-03-01 15:44:01,1,2\n########,1,2\n")).expect_err("no time").to_string();
    assert!(error.contains("line 3: timestamp: \"########\" is not a time"), "{error}");
    let recording = read(&format!("{HEADER}\n# restarted\n2020-03-01 15:44:01,1,2\n")).expect("read");
    let lines = recording.notes.lines();
    assert!(recording.rows.len() == 1 && lines.iter().any(|line| line.contains("line 2: a comment")), "{lines:?}");
}
