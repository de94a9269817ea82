//! Assigns a role to each column of a recording by its name.
//!
//! Names are compared in lower case, with `_` for anything that is not a letter or digit. A unit in brackets is
//! optional: `Motor RPM [1/min]` is `Motor_RPM`, and `Bearing Temperature [°C]` is `Bearing_Temperature_C`.
//! [`super::units`] checks the unit, and [`zones`] the time zone in the name of the time's column. Columns without a
//! role are listed and not used.

use std::collections::BTreeMap;

use volute_plant::Profile;

use super::{
    column::{Column, Heading, fold},
    quality,
    text::Record,
    times::zones,
    units::{UnitMatch, compare_units, is_same_quantity, unit_in_name},
};

/// Names of a column with a complete time, in order of preference: only the first match is used.
const TIME_NAMES: [&str; 41] = [
    "date_time",
    "time_stamp",
    "timestamp_utc",
    "time_utc",
    "utc",
    "utc_time",
    "utc_timestamp",
    "timeutc",
    "t_stamp",
    "tstamp",
    "timestring",
    "time_string",
    "zeitstempel",
    "date_and_time",
    "datum_zeit",
    "datum_uhrzeit",
    "datumzeit",
    "datum_und_uhrzeit",
    "time_iso",
    "iso_time",
    "sample_time",
    "sampletime",
    "log_time",
    "logtime",
    "event_time",
    "measured_at",
    "source_timestamp",
    "sourcetimestamp",
    "local_time",
    "localtime",
    "time",
    "zeit",
    "date",
    "datum",
    "ts",
    "epoch",
    "unix_time",
    "created_at",
    "recorded_at",
    "horodatage",
    "date_heure",
];
const DATE_NAMES: [&str; 3] = ["date", "datum", "fecha"];
const TIME_OF_DAY_NAMES: [&str; 6] = ["time", "zeit", "uhrzeit", "heure", "hora", "time_of_day"];
/// Words for a machine in the name of a column that identifies the pump, the most certain first. From
/// [`FIRST_WEAK_PUMP_WORD`] on, a word alone may have another meaning.
const PUMP_WORDS: [&str; 36] = [
    "pumpen",
    "pumpe",
    "pump",
    "pompe",
    "bomba",
    "machinery",
    "machine",
    "maschinen",
    "maschine",
    "maquina",
    "máquina",
    "equipment",
    "équipement",
    "equipement",
    "equipo",
    "asset",
    "device",
    "geräte",
    "gerät",
    "geraete",
    "geraet",
    "gerate",
    "gerat",
    "aggregat",
    "anlagen",
    "anlage",
    "appareil",
    "messstelle",
    "station",
    "tag",
    "units",
    "unit",
    "objekt",
    "object",
    "source",
    "name",
];
const FIRST_WEAK_PUMP_WORD: usize = 30;
/// Words for an identifier that may stand beside a word for a machine.
const ID_WORDS: [&str; 19] = [
    "identifier",
    "ident",
    "id",
    "names",
    "name",
    "number",
    "nummer",
    "num",
    "nr",
    "no",
    "tag",
    "code",
    "key",
    "label",
    "bezeichnung",
    "kennung",
    "kennzeichen",
    "serial",
    "ref",
];
const ROW_NUMBER_NAMES: [&str; 7] = ["", "index", "unnamed_0", "id", "row", "no", "nr"];

/// Returns how certainly a column's name denotes the pump, 0 being the most certain; none if it does not.
///
/// `PumpName`, `Machine No.` and `Asset_ID` consist of [`PUMP_WORDS`] and [`ID_WORDS`] only; `pump_speed` does not.
pub(super) fn pump_rank(base: &str) -> Option<usize> {
    let compact = base.replace('_', "");
    let mut rest = compact.as_str();
    let mut best = None;
    while !rest.is_empty() {
        let rank = PUMP_WORDS.iter().position(|word| rest.starts_with(word));
        let word =
            rank.map(|rank| PUMP_WORDS[rank]).or_else(|| ID_WORDS.into_iter().find(|word| rest.starts_with(word)))?;
        best = best.into_iter().chain(rank).min();
        rest = &rest[word.len()..];
    }
    best
}

/// Whether a column's name is only a word for a machine: a column `Pump` may also say `on` and `off`.
pub(super) fn is_pump_word(base: &str) -> bool {
    PUMP_WORDS.contains(&base)
}

/// Whether a column's name usually has another meaning: `source` may be the system that wrote the file.
pub(super) fn is_weak_pump_word(base: &str) -> bool {
    PUMP_WORDS[FIRST_WEAK_PUMP_WORD..].contains(&base)
}

/// Keeps only the pump column whose name is the most certain. The caller reports a second column with the same name.
fn select_pump_column(headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    let pumps: Vec<usize> = (0..columns.len()).filter(|&index| columns[index] == Column::PumpId).collect();
    let base = |index: usize| headings[index].1.base.as_str();
    let rank = |index: usize| (base(index) != "pump_id", pump_rank(base(index)), is_pump_word(base(index)));
    let Some(&best) = pumps.iter().min_by_key(|&&index| rank(index)) else { return };
    for index in pumps {
        if base(index) != base(best) {
            columns[index] = Column::Unknown;
        }
    }
}

/// Returns the unused columns with a time, such as `UTC Time` beside `timestamp`: the index of the column, and for a
/// date the index of the column with its time of day.
pub(super) fn unused_times(header: &Record, columns: &[Column]) -> Vec<(usize, Option<usize>)> {
    let bases: Vec<String> = header.cells().map(|cell| Heading::new(cell).base).collect();
    let named = |names: &[&str]| -> Vec<usize> {
        let is_free = |index: &usize| columns[*index] == Column::Unknown;
        let is_named =
            |index: &usize| names.iter().any(|name| bases[*index] == *name || without_zone(&bases[*index]) == *name);
        (0..columns.len()).filter(is_free).filter(is_named).collect()
    };
    let mut unused: Vec<(usize, Option<usize>)> = Vec::new();
    if let (Some(&date), Some(&time)) = (named(&DATE_NAMES).first(), named(&TIME_OF_DAY_NAMES).first()) {
        unused.push((date, Some(time)));
    }
    unused.extend(named(&TIME_NAMES).into_iter().chain(named(&["timestamp", "datetime"])).map(|index| (index, None)));
    unused
}

/// Assigns the roles of a header's columns, in the file's order. The caller reports duplicates.
pub(super) fn columns(profile: &Profile, header: &Record, names: &BTreeMap<String, String>) -> Vec<Column> {
    let named = |cell| names.get(cell).map_or(cell, String::as_str);
    let headings: Vec<(&str, Heading<'_>)> = header.cells().map(named).map(|name| (name, Heading::new(name))).collect();
    let mut columns: Vec<Column> = headings.iter().map(|(cell, heading)| column(profile, cell, heading)).collect();
    select_pump_column(&headings, &mut columns);
    match_other_units(profile, &headings, &mut columns);
    quality::find(profile, &headings, &mut columns);
    if columns.contains(&Column::Time) {
        return columns;
    }
    let find = |columns: &[Column], names: &[&str]| {
        names.iter().find_map(|name| {
            (0..columns.len()).find(|&index| {
                let base = &headings[index].1.base;
                columns[index] == Column::Unknown && (base == name || without_zone(base) == *name)
            })
        })
    };
    if let (Some(date), Some(time)) = (find(&columns, &DATE_NAMES), find(&columns, &TIME_OF_DAY_NAMES)) {
        (columns[date], columns[time]) = (Column::Time, Column::TimeOfDay);
    } else if let Some(time) = find(&columns, &TIME_NAMES) {
        columns[time] = Column::Time;
    }
    columns
}

fn column(profile: &Profile, cell: &str, heading: &Heading<'_>) -> Column {
    if let Some(channel) = profile.index_of(cell).or_else(|| channel(profile, heading)) {
        return Column::Channel(channel);
    }
    match heading.base.as_str() {
        base if matches!(without_zone(base), "timestamp" | "datetime") => Column::Time,
        "machine_status" => Column::MachineStatus,
        "anomaly" => Column::Anomaly,
        "changepoint" | "fault" => Column::Ignored,
        "ignore" => Column::Ignored,
        name if ROW_NUMBER_NAMES.contains(&name) => Column::Unnamed,
        name if pump_rank(name).is_some() => Column::PumpId,
        _ => Column::Unknown,
    }
}

/// Removes a time zone at the end of the name of the time's column: `timestamp_cet` becomes `timestamp`.
fn without_zone(base: &str) -> &str {
    base.rsplit_once('_').filter(|(_, word)| zones::is_zone_word(word)).map_or(base, |(name, _)| name)
}

/// Returns the channel with this name; none if several match.
fn channel(profile: &Profile, heading: &Heading<'_>) -> Option<usize> {
    [&heading.base, &heading.full].into_iter().find_map(|name| {
        let mut matching = profile.channel_names().enumerate().filter(|(_, channel)| fold(channel) == *name);
        match (matching.next(), matching.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    })
}

/// Matches columns to channels whose name has another unit: `Oil_Pressure_kPa` is the channel `Oil_Pressure_bar`. The
/// unit is reported later.
fn match_other_units(profile: &Profile, headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    for index in 0..columns.len() {
        let heading = &headings[index].1;
        let has_no_column = |channel: usize| !columns.contains(&Column::Channel(channel));
        let fits = |channel: usize| {
            let unit = &profile.channels()[channel].unit;
            let Some(written) = unit_beside_stem(profile, channel, heading) else { return false };
            match compare_units(&written, unit) {
                UnitMatch::Same => true,
                UnitMatch::Other => is_same_quantity(&written, unit),
                UnitMatch::Unknown => heading.unit.is_some(),
                UnitMatch::NotAUnit => false,
            }
        };
        if columns[index] == Column::Unknown
            && let Some(channel) =
                (0..profile.channels().len()).find(|&channel| has_no_column(channel) && fits(channel))
        {
            columns[index] = Column::Channel(channel);
        }
    }
}

/// Returns the unit in a heading that is otherwise the channel's name. For the channel `Oil_Pressure_bar` and the
/// heading `Oil_Pressure_kPa` it is `kPa`.
pub(super) fn unit_beside_stem(profile: &Profile, index: usize, heading: &Heading<'_>) -> Option<String> {
    let channel = &profile.channels()[index];
    let name = fold(&channel.name);
    let own_unit = fold(&channel.unit);
    let without_unit = name.strip_suffix(own_unit.as_str()).and_then(|stem| stem.strip_suffix('_'));
    let stem = without_unit.unwrap_or(&name);
    if heading.base == stem {
        return heading.unit.map(str::to_owned);
    }
    let rest = heading.base.strip_prefix(stem)?.strip_prefix('_')?;
    unit_in_name(rest, fold).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{column::QualityTarget, tests::TEN_CHANNELS, text::Splitter};

    #[test]
    fn columns_are_recognized_by_many_names() {
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
            ("Timestamp CET", Column::Time),
            ("t_stamp", Column::Time),
            ("TimeString", Column::Time),
            ("Zeit (MEZ)", Column::Time),
            ("Local Time", Column::Time),
            ("Machine Status", Column::MachineStatus),
            ("Pump ID", Column::PumpId),
            ("Motor_RPM quality", Column::Quality(QualityTarget::Channel(0))),
            ("Motor_RPM.Status", Column::Quality(QualityTarget::Channel(0))),
            ("Quality", Column::Quality(QualityTarget::Row)),
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
    fn time_is_in_one_or_two_columns() {
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
}
