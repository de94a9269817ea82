//! What each column of a recording is, by its name.
//!
//! Names are compared without case, and with `_` for anything that is no letter or digit; a unit in brackets may be there
//! or not: `Motor RPM [1/min]` is `Motor_RPM`, and `Bearing Temperature [°C]` is `Bearing_Temperature_C`. A unit that is
//! known to be another one than the channel's is an error, for a number in °F is no °C. Other columns are listed and not used.

use std::collections::BTreeMap;

use volute_plant::Profile;

use super::text::Record;

/// What a column of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The profile's channel at this place.
    Channel(usize),
    /// The whole time, or the date with [`Column::TimeOfDay`] beside it.
    Time,
    TimeOfDay,
    MachineStatus,
    Anomaly,
    PumpId,
    /// Known to recordings, and nothing that is read.
    Aside,
    /// A running number, or the empty column behind a trailing delimiter.
    Unnamed,
    Unknown,
}

/// The names of a whole time, the best first: where several are there, the others are not used.
const TIMES: [&str; 15] = [
    "date_time",
    "time_stamp",
    "timestamp_utc",
    "time_utc",
    "utc",
    "zeitstempel",
    "time",
    "zeit",
    "date",
    "datum",
    "ts",
    "epoch",
    "unix_time",
    "created_at",
    "recorded_at",
];
const DATES: [&str; 2] = ["date", "datum"];
const TIMES_OF_DAY: [&str; 3] = ["time", "zeit", "uhrzeit"];
const INDEXES: [&str; 7] = ["", "index", "unnamed_0", "id", "row", "no", "nr"];

/// A header's cell: the name in one notation, and the unit if there is one.
pub(super) struct Heading<'a> {
    /// The text before the unit.
    base: String,
    /// The whole, the unit included.
    whole: String,
    /// The unit as written.
    pub unit: Option<&'a str>,
}

impl<'a> Heading<'a> {
    pub(super) fn new(cell: &'a str) -> Self {
        let (base, unit) = split_unit(cell);
        Self { base: fold(base), whole: fold(cell), unit }
    }
}

fn split_unit(cell: &str) -> (&str, Option<&str>) {
    for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
        if let Some(start) = cell.strip_suffix(close).and_then(|inner| inner.find(open))
            && start > 0
        {
            return (&cell[..start], Some(cell[start + 1..cell.len() - 1].trim()));
        }
    }
    (cell, None)
}

/// A name in one notation.
fn fold(name: &str) -> String {
    let mut folded = String::new();
    for letter in name.chars() {
        if letter.is_alphanumeric() {
            folded.extend(letter.to_lowercase());
        } else if !folded.is_empty() && !folded.ends_with('_') {
            folded.push('_');
        }
    }
    folded.truncate(folded.trim_end_matches('_').len());
    folded
}

/// The columns of a header, in the file's order. A name that is there twice is found by the caller.
pub(super) fn columns(profile: &Profile, header: &Record, names: &BTreeMap<String, String>) -> Vec<Column> {
    let named = |cell| names.get(cell).map_or(cell, String::as_str);
    let headings: Vec<(&str, Heading<'_>)> = header.cells().map(named).map(|name| (name, Heading::new(name))).collect();
    let mut columns: Vec<Column> = headings.iter().map(|(cell, heading)| column(profile, cell, heading)).collect();
    if columns.contains(&Column::Time) {
        return columns;
    }
    let place = |columns: &[Column], names: &[&str]| {
        names.iter().find_map(|name| {
            (0..columns.len()).find(|&place| columns[place] == Column::Unknown && headings[place].1.base == *name)
        })
    };
    if let (Some(date), Some(time)) = (place(&columns, &DATES), place(&columns, &TIMES_OF_DAY)) {
        (columns[date], columns[time]) = (Column::Time, Column::TimeOfDay);
    } else if let Some(time) = place(&columns, &TIMES) {
        columns[time] = Column::Time;
    }
    columns
}

fn column(profile: &Profile, cell: &str, heading: &Heading<'_>) -> Column {
    if let Some(channel) = profile.index_of(cell).or_else(|| channel(profile, heading)) {
        return Column::Channel(channel);
    }
    match heading.base.as_str() {
        "timestamp" | "datetime" => Column::Time,
        "machine_status" => Column::MachineStatus,
        "anomaly" => Column::Anomaly,
        "changepoint" | "fault" => Column::Aside,
        "pump_id" => Column::PumpId,
        name if INDEXES.contains(&name) => Column::Unnamed,
        _ => Column::Unknown,
    }
}

/// The one channel of this name.
fn channel(profile: &Profile, heading: &Heading<'_>) -> Option<usize> {
    [&heading.base, &heading.whole].into_iter().find_map(|name| {
        let mut fitting = profile.channel_names().enumerate().filter(|(_, channel)| fold(channel) == *name);
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    })
}

/// Units by their spellings, each with the name that is compared.
const UNITS: [(&str, &[&str]); 24] = [
    ("rpm", &["rpm", "1/min", "min-1", "min^-1", "u/min", "r/min", "rev/min", "upm", "min⁻¹"]),
    ("Hz", &["hz", "1/s", "s-1", "s^-1"]),
    ("°C", &["°c", "c", "degc", "deg c", "celsius", "℃", "grad c", "\u{fffd}c"]),
    ("°F", &["°f", "f", "degf", "deg f", "fahrenheit", "℉", "\u{fffd}f"]),
    ("K", &["k", "kelvin"]),
    ("bar", &["bar"]),
    ("mbar", &["mbar", "hpa"]),
    ("Pa", &["pa"]),
    ("kPa", &["kpa"]),
    ("MPa", &["mpa"]),
    ("psi", &["psi", "psig", "psia"]),
    ("mm/s", &["mm/s", "mm/sec", "mm s-1", "mm/s rms"]),
    ("m/s", &["m/s"]),
    ("in/s", &["in/s", "ips", "inch/s"]),
    ("L/min", &["l/min", "lpm", "ltr/min"]),
    ("L/s", &["l/s", "ltr/s"]),
    ("L/h", &["l/h", "ltr/h"]),
    ("m³/h", &["m³/h", "m3/h", "m^3/h", "cbm/h"]),
    ("gpm", &["gpm", "usgpm", "gal/min"]),
    ("mA", &["ma"]),
    ("A", &["a", "amp", "amps", "ampere"]),
    ("kV", &["kv"]),
    ("V", &["v", "volt", "volts"]),
    ("g", &["g"]),
];

/// What a column's unit says about its numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// That of the channel.
    Same,
    /// Another one: the numbers mean something else.
    Other,
    /// No unit that is known here.
    Unknown,
}

pub(super) fn compare_units(written: &str, channel: &str) -> Unit {
    let name = |unit: &str| {
        let unit = unit.trim().to_lowercase();
        UNITS.iter().find(|(_, spellings)| spellings.contains(&unit.as_str())).map(|(name, _)| *name)
    };
    if written.trim() == channel {
        return Unit::Same;
    }
    match (name(written), name(channel)) {
        (Some(one), Some(other)) if one == other => Unit::Same,
        (Some(_), Some(_)) => Unit::Other,
        _ => Unit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{tests::TEN_CHANNELS, text::Splitter};

    #[test]
    fn columns_go_by_many_names() {
        let profile = Profile::from_toml(TEN_CHANNELS).expect("a profile");
        let rpm = Column::Channel(0);
        for (name, expected) in [
            ("Motor_RPM", rpm),
            ("motor_rpm", rpm),
            ("MOTOR-RPM", rpm),
            ("Motor RPM", rpm),
            ("Motor_RPM [1/min]", rpm),
            ("Motor_RPM (rpm)", rpm),
            ("Motor.RPM{U/min}", rpm),
            ("Bearing Temperature [°C]", Column::Channel(1)),
            ("Oil Pressure (bar)", Column::Channel(2)),
            ("Vibration [mm/s]", Column::Channel(3)),
            ("Flow Rate [L/min]", Column::Channel(4)),
            ("Timestamp", Column::Time),
            ("DateTime", Column::Time),
            ("Zeitstempel", Column::Time),
            ("Date/Time", Column::Time),
            ("_time", Column::Time),
            ("Machine Status", Column::MachineStatus),
            ("Unnamed: 0", Column::Unnamed),
            ("", Column::Unnamed),
            ("Torque", Column::Unknown),
            ("Motor_RPM_max", Column::Unknown),
        ] {
            let header = Splitter::new(b';').split(&format!("{name};x")).expect("a header");
            assert_eq!(columns(&profile, &header, &BTreeMap::new())[0], expected, "{name}");
        }
    }

    #[test]
    fn the_time_is_in_one_column_or_in_two() {
        let profile = Profile::from_toml(TEN_CHANNELS).expect("a profile");
        use Column::{Channel, Time, TimeOfDay, Unknown};
        for (header, expected) in [
            ("Date;Time;Motor_RPM", [Time, TimeOfDay, Channel(0)]),
            ("Uhrzeit;Motor_RPM;Datum", [TimeOfDay, Channel(0), Time]),
            ("Date;timestamp;Motor_RPM", [Unknown, Time, Channel(0)]),
            ("Time;Motor_RPM;x", [Time, Channel(0), Unknown]),
            ("ts;time;Motor_RPM", [Unknown, Time, Channel(0)]),
        ] {
            let record = Splitter::new(b';').split(header).expect("a header");
            assert_eq!(columns(&profile, &record, &BTreeMap::new()), expected, "{header}");
        }
    }

    #[test]
    fn units_are_compared() {
        for (written, channel, expected) in [
            ("1/min", "rpm", Unit::Same),
            ("U/min", "rpm", Unit::Same),
            ("deg C", "°C", Unit::Same),
            ("l/min", "L/min", Unit::Same),
            ("°F", "°C", Unit::Other),
            ("psi", "bar", Unit::Other),
            ("m³/h", "L/min", Unit::Other),
            ("mA", "A", Unit::Other),
            ("x", "rpm", Unit::Unknown),
            ("barg", "bar", Unit::Unknown),
            ("furlong", "furlong", Unit::Same),
        ] {
            assert_eq!(compare_units(written, channel), expected, "{written} for {channel}");
        }
    }
}
