//! Ambiguous files, which are rejected with the flags that resolve them: which pump, which time, which zone, which
//! unit.

use super::{
    formats::{assert_read, assert_rejected, dialect, rows_and_notes},
    *,
};

/// Rows at intervals of 1 s from 15:44:06 on, each with these cells after the time.
fn rows<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    cells.into_iter().zip(6..).map(|(cells, second)| format!("2020-03-01 15:44:{second:02},{cells}\n")).collect()
}

fn for_pump(name: &str) -> Dialect {
    dialect(|dialect| dialect.expected_pump = name.parse().ok())
}

#[test]
fn a_named_column_that_the_file_does_not_have_is_an_error() {
    let text = "timestamp,Tb,x\n2020-03-01 15:44:06,1,2\n";
    for (name, meaning) in [("Fooo", "Tb"), ("tb", "ignore"), ("X", "timestamp")] {
        let expected =
            format!("line 1: no column is named {name:?}, as --column says; there are \"timestamp\", \"Tb\", \"x\"");
        assert_rejected(text, &with_columns(&[(name, meaning)]), &[&expected]);
    }
}

#[test]
fn of_several_files_one_must_have_a_named_column() {
    let profile = Profile::from_toml(TEN_CHANNELS).expect("a profile");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let files = [
        file("a.csv", "timestamp,Drehzahl,Oil_Pressure_bar\n2020-03-01 15:44:06,1,2\n"),
        file("b.csv", "timestamp,Motor_RPM\n2020-03-01 15:44:06,1\n"),
        file("c.csv", "hello\n"),
    ];
    let both = with_columns(&[("Drehzahl", "Motor_RPM")]);
    let dialects = dialects_of(&files, &profile, &both).expect("one file has it");
    assert_eq!((&dialects[0], &dialects[1], &dialects[2]), (&both, &Dialect::default(), &both));
    let error = dialects_of(&files, &profile, &with_columns(&[("Fooo", "Motor_RPM")])).expect_err("none has it");
    assert!(error.to_string().contains("no file has a column \"Fooo\""), "{error}");
}

fn with_columns(columns: &[(&str, &str)]) -> Dialect {
    let columns = columns.iter().map(|(name, column)| ((*name).to_owned(), (*column).to_owned()));
    dialect(|dialect| dialect.columns = columns.collect())
}

#[test]
fn pump_column_is_recognized_by_its_name() {
    for name in [
        "pump",
        "Pump",
        "PUMP",
        "pump_id",
        "Pump ID",
        "PumpName",
        "Pump No.",
        "pump-tag",
        "Pumpe",
        "Pumpen-Nr",
        "device",
        "Device",
        "deviceId",
        "Machine",
        "machine_name",
        "Maschine",
        "Maschinennummer",
        "asset",
        "Asset_ID",
        "AssetTag",
        "Unit",
        "unit_id",
        "equipment",
        "Equipment No",
        "station",
        "Station Name",
        "source",
        "tag",
        "TagName",
        "name",
        "Anlage",
        "Anlagenkennzeichen",
        "Ger\u{e4}t",
        "Geraete ID",
        "Aggregat",
        "id_pump",
        "Pompe",
    ] {
        // The rows of one pump follow those of the other: only the name of the column shows that there are two.
        let text = format!("timestamp,{name},Tb\n{}", rows(["P-1,1", "P-1,2", "P-1,3", "P-2,4", "P-2,5"]));
        for options in [Dialect::default(), for_pump("P-2")] {
            assert_rejected(&text, &options, &[name, "rows of several pumps: \"P-1\" in 3 rows, \"P-2\" in 2 rows"]);
        }
        // The pump that the file is read for is proposed.
        assert_rejected(&text, &for_pump("P-2"), &["--file-pump 'P-2'"]);
        let one = Dialect { pump: Some("P-2".into()), ..for_pump("P-2") };
        assert_read(&text, &one, &[(9, Some(4.0), None), (10, Some(5.0), None)], &[]);
        if !["source", "name", "Unit"].contains(&name) {
            let of_one = format!("timestamp,{name},Tb\n{}", rows(["P-1,1", "P-1,2"]));
            assert_rejected(
                &of_one,
                &for_pump("P-2"),
                &["the rows are of pump \"P-1\" (and 1 more), and you gave --pump P-2", "--file-pump 'P-1'"],
            );
            assert_read(&of_one, &for_pump("P-1"), &[(6, Some(1.0), None), (7, Some(2.0), None)], &[]);
        }
    }
}

#[test]
fn unknown_column_that_separates_pumps_is_rejected() {
    let same_times = "2020-03-01 15:44:06,A-1,1,\n2020-03-01 15:44:06,A-2,,2\n\
                      2020-03-01 15:44:07,A-1,3,\n2020-03-01 15:44:07,A-2,,4\n";
    let blocks = format!("{0}{1}", rows(["A-1,1,", "A-1,2,", "A-1,3,"]), rows(["A-2,,4", "A-2,,5", "A-2,,6"]));
    let in_turn = rows(["A-1,1,", "A-2,2,", "A-1,3,", "A-2,4,", "A-1,5,", "A-2,6,"]);
    let three = rows(["a,1,", "b,2,", "c,3,", "a,4,", "b,5,", "c,6,"]);
    for (name, rows) in [
        ("x", same_times),
        ("where", blocks.as_str()),
        ("sensor_id", in_turn.as_str()),
        ("id", three.as_str()),
        ("Ort", in_turn.as_str()),
    ] {
        let text = format!("timestamp,{name},Tb,Volume Flow RateRMS\n{rows}");
        let expected = [name, "rows that may be of several pumps", "=pump_id' --file-pump '", "=ignore'"];
        assert_rejected(&text, &Dialect::default(), &expected);
        let (read, notes) = rows_and_notes(&text, &with_columns(&[(name, "ignore")]));
        assert!(!read.is_empty(), "{name}: {notes}");
        let pump = if rows.contains("A-2") { "A-2" } else { "b" };
        let one = Dialect { pump: Some(pump.into()), ..with_columns(&[(name, "pump_id")]) };
        let (read, notes) = rows_and_notes(&text, &one);
        assert!(!read.is_empty() && read.len() < rows.lines().count(), "{name}: {notes}");
    }
}

#[test]
fn harmless_columns_are_accepted() {
    for (name, cells) in [
        ("where", ["plant 7"; 6]),
        ("source", ["SCADA"; 6]),
        ("machine_status", ["NORMAL", "BROKEN", "RECOVERING", "NORMAL", "BROKEN", "NORMAL"]),
        ("Pump", ["on", "off", "on", "off", "on", "off"]),
        ("pump", ["0", "1", "0", "1", "0", "1"]),
        ("state", ["RUNNING", "STOPPED", "RUNNING", "STOPPED", "RUNNING", "STOPPED"]),
        ("comment", ["started", "oil changed", "filter changed", "noise", "noise gone", "walked by"]),
        ("remark", ["", "", "oil changed", "", "noise", ""]),
        ("note", [""; 6]),
        ("operator", ["Anna", "Anna", "Anna", "Bert", "Bert", "Bert"]),
        ("x", ["1", "2", "1", "2", "1", "2"]),
        ("weekday", ["Mon", "Tue", "Mon", "Tue", "Mon", "Tue"]),
        ("Tag", ["20", "20", "20", "21", "21", "21"]),
        ("unit", ["bar"; 6]),
        ("pump_speed", ["slow"; 6]),
    ] {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell},1")).collect();
        let text = format!("timestamp,{name},Tb\n{}", rows(cells.iter().map(String::as_str)));
        let (read, notes) = rows_and_notes(&text, &for_pump("P"));
        assert_eq!(read.len(), 6, "{name}: {notes}");
    }
    // The newest row is first, and the state changes once.
    let mode = |n: u32| if n < 5 { "mode A" } else { "mode B" };
    let text: String = (0..10).map(|n| format!("2020-03-01 15:44:{:02},{},1\n", 20 - n, mode(n))).collect();
    assert_eq!(rows_and_notes(&format!("timestamp,mode,Tb\n{text}"), &Dialect::default()).0.len(), 10);
}

#[test]
fn most_certain_of_several_pump_columns_counts() {
    let text = format!("timestamp,station,pump,Tb\n{}", rows(["North,P-1,1", "North,P-2,2"]));
    assert_rejected(&text, &Dialect::default(), &["pump: rows of several pumps", "--file-pump 'P-1'"]);
    let text = format!("timestamp,name,machine_id,pump_id,Tb\n{}", rows(["a,7,P,1", "a,7,P,2"]));
    assert_read(&text, &for_pump("P"), &[(6, Some(1.0), None), (7, Some(2.0), None)], &[]);
    let text = format!("timestamp,pump,pump_id,Tb\n{}", rows(["on,P,1", "off,P,2"]));
    assert_read(&text, &for_pump("P"), &[(6, Some(1.0), None), (7, Some(2.0), None)], &[]);
}

#[test]
fn times_with_and_without_an_offset_are_rejected() {
    const WITH: &str = "2020-03-01 16:44:06+01:00";
    for (first, second) in [
        (WITH, "2020-03-01 16:44:07"),
        ("2020-03-01 16:44:06", "2020-03-01T15:44:07Z"),
        ("1583077446", "2020-03-01 16:44:07"),
        ("2020-03-01T16:44:06", "2020-03-01T16:44:07+0100"),
        ("2020-03-01 16:44:06", "1583077447000"),
    ] {
        let text = format!("timestamp,Tb\n{first},1\n{second},2\n");
        assert_rejected(&text, &Dialect::default(), &["has no offset, and \"", "has one: --time-zone says the zone"]);
        let berlin = dialect(|dialect| dialect.time_zone = "Europe/Berlin".parse().ok());
        assert_read(&text, &berlin, &[(6, Some(1.0), None), (7, Some(2.0), None)], &[]);
    }
    let all = format!("timestamp,Tb\n{WITH},1\n2020-03-01 16:44:07+01:00,2\n");
    assert_read(&all, &Dialect::default(), &[(6, Some(1.0), None), (7, Some(2.0), None)], &[]);
}

#[test]
fn contradicting_time_columns_are_rejected() {
    const EARLY: &str = "2020-03-01 15:44:06";
    const LATE: &str = "2020-03-01 16:44:06";
    for (header, cells, answer, second) in [
        ("Local Time,UTC Time", [LATE, EARLY].join(","), ("UTC Time", "timestamp"), 6),
        ("ts,time", [LATE, EARLY].join(","), ("time", "timestamp"), 6),
        ("timestamp,Date,Time", format!("{EARLY},2020-03-01,16:44:06"), ("timestamp", "ignore"), 3606),
        ("Date,Time,timestamp", format!("2020-03-01,16:44:06,{EARLY}"), ("timestamp", "timestamp"), 6),
        ("timestamp,epoch", format!("{LATE},1583077446"), ("timestamp", "ignore"), 6),
        ("timestamp,utc", [LATE, EARLY].join(","), ("utc", "ignore"), 3606),
    ] {
        let text = format!("{header},Tb\n{cells},1\n");
        assert_rejected(&text, &Dialect::default(), &["line 2: two times that are 3600 s apart", "=timestamp'"]);
        assert_read(&text, &with_columns(&[answer]), &[(second, Some(1.0), None)], &[]);
    }
    for (header, cells) in [
        ("timestamp,time", [EARLY, EARLY].join(",")),
        ("timestamp,logtime", [EARLY, "2020-03-01 15:44:08"].join(",")),
        ("timestamp,epoch", [EARLY, "1583077446"].join(",")),
        ("timestamp,date", [EARLY, "2020-03-01"].join(",")),
        ("timestamp,localtime", ["1583077446", LATE].join(",")),
    ] {
        assert_read(&format!("{header},Tb\n{cells},1\n"), &Dialect::default(), &[(6, Some(1.0), None)], &[]);
    }
}

#[test]
fn header_errors_do_not_hide_cell_errors() {
    let cases: [(&str, &[&str]); 7] = [
        (
            "Local Time,Tb\n03.04.2020 10:00:00,1\n",
            &["line 2: timestamp: \"03.04.2020 10:00:00\" has more than one meaning", "Local has several meanings"],
        ),
        (
            "timestamp,Tb,tb\n03.04.2020 10:00:00,1,5%\n",
            &[
                "line 1: column \"tb\" is there twice",
                "has more than one meaning",
                "line 2: tb: \"5%\" is not a number",
            ],
        ),
        (
            "timestamp;Tb [\u{b0}F];Volume Flow RateRMS\n25.13.2020 10:00:00;61.79%;2,950\n2020-03-01 15:44:06;1;2.062\n",
            &["is in \"\u{b0}F\"", "\"61.79%\" is not a number", "--decimal comma", "no month 13"],
        ),
        ("when,Tb\nx,5%\n", &["column \"timestamp\" is missing", "line 2: Tb: \"5%\" is not a number"]),
        ("Zeitstempel,Druck\nyesterday,1\n", &["column \"Druck\" is not a channel", "\"yesterday\" is not a time"]),
        (
            "Zeitstempel,Druck\n2020-03-01 15:44:06,1,2\n",
            &["is not a channel", "line 2: 3 cells, and the header has 2"],
        ),
        (
            "timestamp,Tb,Tb\n2020-03-01 25:44:06,1,(5)\n",
            &["is there twice; rename", "no hour 25", "\"(5)\" is not a number"],
        ),
    ];
    for (text, expected) in cases {
        assert_rejected(text, &Dialect::default(), expected);
    }
}

#[test]
fn hints_are_printable_and_can_be_typed() {
    let is_printable = |text: &str| text.chars().all(|letter| letter == '\n' || !letter.is_control());
    let nul = "5\0".repeat(500);
    for cell in [nul.as_str(), "5\u{1b}[2J", "5\u{7}x"] {
        let (_, notes) = rows_and_notes(&format!("{HEADER}\n2020-03-01 15:44:06,{cell},1\n"), &Dialect::default());
        assert!(notes.contains("is not a number that has one meaning here") && is_printable(&notes), "{notes:?}");
        assert!(notes.len() < 700 && !notes.contains("--no-value"), "{notes:?}");
    }
    let pump = "P\0".repeat(500);
    let text = format!("timestamp,pump,Tb\n2020-03-01 15:44:06,{pump},1\n2020-03-01 15:44:07,Q,1\n");
    let (_, notes) = rows_and_notes(&text, &Dialect::default());
    assert!(notes.len() < 1200 && is_printable(&notes), "{notes:?}");
    for (text, expected) in [
        (format!("{HEADER}\n2020-03-01 15:44:06,1,2\n"), "1 time has no offset and is taken as UTC"),
        (format!("{HEADER}\n2020-03-01 15:44:06,1,\n2020-03-01 15:44:06,,2\n"), "1 row holds further channels"),
        (format!("{HEADER}\n2020-03-01\n"), "line 2: 1 cell, and the header has 3"),
        (format!("{HEADER}\n2020-03-01 15:44:06,1,2\n2020-03-01 15:44:07,1"), "the header has 3"),
        (format!("{HEADER},pump\n{}", rows(["1,2,A", "1,2,B"])), "\"A\" in 1 row, \"B\" in 1 row"),
        (
            format!("{HEADER}\n2020-03-01 15:44:07,1,2\n2020-03-01 15:44:09,1,2\n2020-03-01 15:44:08,1,2\n"),
            "time goes back 1 time",
        ),
    ] {
        let (_, all) = rows_and_notes(&text, &Dialect::default());
        assert!(all.contains(expected), "{text:?}: {expected:?} is in {all:?}");
        assert!(!all.contains(" 1 times") && !all.contains(" 1 rows") && !all.contains(" 1 cells"), "{all:?}");
    }
}

#[test]
fn implausible_numbers_are_counted() {
    let text = format!("{HEADER}\n{}", rows(["-9999,1", "40,1", "-9999,32767", "40,-6.3"]));
    let (read, notes) = rows_and_notes(&text, &Dialect::default());
    assert_eq!(read.len(), 4);
    for line in [
        "kept as bad values: line 2: Tb: \"-9999\" (and 1 more); plausible is -40 to 200 \u{b0}C",
        "kept as bad values: line 4: Volume Flow RateRMS: \"32767\" (and 1 more); plausible is 0 to 500 L/min",
    ] {
        assert!(notes.contains(line), "{line:?} is in {notes:?}");
    }
    assert!(!rows_and_notes(&format!("{HEADER}\n{}", rows(["40,1"])), &Dialect::default()).1.contains("bad values"));
}

#[test]
fn other_unit_in_a_channel_name_is_rejected() {
    let profile = Profile::from_toml(TEN_CHANNELS).expect("a profile");
    let read = |name: &str, dialect: &Dialect| {
        let text = format!("timestamp,Motor_RPM,{name}\n2020-03-01 15:44:06,2950,5\n");
        parse_recording(Path::new("x"), text.as_bytes(), &profile, dialect)
    };
    for (name, channel) in [
        ("Oil_Pressure_kPa", "Oil_Pressure_bar"),
        ("Oil Pressure [psi]", "Oil_Pressure_bar"),
        ("oil pressure psig", "Oil_Pressure_bar"),
        ("Bearing Temperature [\u{b0}F]", "Bearing_Temperature_C"),
        ("Bearing_Temperature_F", "Bearing_Temperature_C"),
        ("Bearing_Temperature_K", "Bearing_Temperature_C"),
        ("Flow_Rate_m3_h", "Flow_Rate_L_min"),
        ("Flow Rate (gpm)", "Flow_Rate_L_min"),
        ("Motor_Current_mA", "Motor_Current_A"),
        ("Vibration_in_s", "Vibration_mm_s"),
        ("Suction_Pressure_mbar", "Suction_Pressure_bar"),
        ("Discharge_Pressure [foo]", "Discharge_Pressure_bar"),
    ] {
        let error = read(name, &Dialect::default()).expect_err(name).to_string();
        assert!(
            error.contains(&format!("and {channel} is in ")) && error.contains("--ignore-units"),
            "{name}: {error}"
        );
        let mapped = read(name, &with_columns(&[(name, channel)])).expect_err(name).to_string();
        assert!(mapped.contains("--ignore-units"), "{name}: {mapped}");
        let ignored = read(name, &dialect(|dialect| dialect.ignore_units = true)).expect(name);
        let index = profile.index_of(channel).expect(channel);
        assert_eq!(ignored.rows[0].samples[index].value(), Some(5.0), "{name}");
    }
    for (name, used) in
        [("Flow_Rate_lpm", true), ("Motor_A", false), ("Oil_Pressure_max", false), ("Motor_RPM_Hz", false)]
    {
        let recording = read(name, &Dialect::default()).expect(name);
        let values = recording.rows[0].samples.iter().filter(|sample| sample.value().is_some()).count();
        assert_eq!(values, 1 + usize::from(used), "{name}");
    }
    let both = "timestamp,Oil_Pressure_bar,Oil_Pressure_psi\n2020-03-01 15:44:06,2,29\n";
    assert!(parse_recording(Path::new("x"), both.as_bytes(), &profile, &Dialect::default()).is_ok(), "not used");
}
