//! Any bytes as a CSV recording. The first byte chooses what the user says about the file.
//!
//! The reader's sources are linked into this folder, because the crate `volute-data` depends on SurrealDB.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the sources are included without the code that uses the rest of them")]
#![allow(unexpected_cfgs, reason = "as above")]

mod recording;

use std::{path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use recording::{DecimalMark, Dialect, parse_recording};
use volute_plant::Profile;

static PROFILES: LazyLock<[Profile; 2]> = LazyLock::new(|| {
    [include_str!("../../../config/profiles/centrifugal.toml"), include_str!("../../../config/profiles/skab.toml")]
        .map(|text| Profile::from_toml(text).expect("valid"))
});

fn dialect(choice: u8) -> Dialect {
    let mut dialect = Dialect::default();
    match choice % 8 {
        0..3 => {}
        3 => dialect.decimal = Some(DecimalMark::Comma),
        4 => dialect.time_zone = "Europe/Berlin".parse().ok(),
        5 => dialect.time_format = "%d.%m.%Y %H:%M:%S".parse().ok(),
        6 => dialect.ignore_units = true,
        _ => dialect.pump = Some("P-1".to_owned()),
    }
    dialect
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let (profile, dialect) = (&PROFILES[usize::from(choice / 128)], dialect(choice));
    let path = Path::new("fuzz.csv");
    let read = parse_recording(path, bytes, profile, &dialect);
    match &read {
        Ok(recording) => {
            assert!(!recording.rows.is_empty());
            assert!(recording.rows.iter().all(|row| row.samples.len() == profile.channels().len()));
            let again = parse_recording(path, bytes, profile, &dialect).expect("it was read before");
            // A sample may be NaN, which is not equal to itself, so the texts are compared.
            assert_eq!(format!("{:?}", recording.rows), format!("{:?}", again.rows));
            assert!(recording.notes.lines().len() < 10_000);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
