//! What each column of a recording is, by its name.
//!
//! Names are compared without case, and with `_` for anything that is no letter or digit; a unit in brackets may be there
//! or not: `Motor RPM [1/min]` is `Motor_RPM`, and `Bearing Temperature [°C]` is `Bearing_Temperature_C`. What the unit says
//! is in [`super::units`], what a zone beside the time's name says in [`zones`]. Other columns are listed and not used.

use std::collections::BTreeMap;

use volute_plant::Profile;

use super::{
    column::{Column, Heading, fold},
    quality,
    text::Record,
    times::zones,
    units::{Unit, compare_units, is_one_quantity, unit_in_name},
};

/// The names of a whole time, the best first: where several are there, the others are not used.
const TIMES: [&str; 41] = [
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
const DATES: [&str; 3] = ["date", "datum", "fecha"];
const TIMES_OF_DAY: [&str; 6] = ["time", "zeit", "uhrzeit", "heure", "hora", "time_of_day"];
/// What a column that says whose the rows are is called by, the surest first. Behind [`WEAK_FROM`] a word alone may as well
/// be something else.
const THINGS: [&str; 36] = [
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
const WEAK_FROM: usize = 30;
/// What stands beside that.
const ENDS: [&str; 19] = [
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
const INDEXES: [&str; 7] = ["", "index", "unnamed_0", "id", "row", "no", "nr"];

/// How sure a column's name says whose the rows are, the surest first; none if it does not.
///
/// `PumpName`, `Machine No.` and `Asset_ID` are all made of [`THINGS`] and [`ENDS`]; `pump_speed` is not.
pub(super) fn pump_rank(base: &str) -> Option<usize> {
    let compact = base.replace('_', "");
    let mut rest = compact.as_str();
    let mut best = None;
    while !rest.is_empty() {
        let thing = THINGS.iter().position(|word| rest.starts_with(word));
        let word = thing.map(|place| THINGS[place]).or_else(|| ENDS.into_iter().find(|word| rest.starts_with(word)))?;
        best = best.into_iter().chain(thing).min();
        rest = &rest[word.len()..];
    }
    best
}

/// Whether nothing but its name says that a column is the pump's: `Pump` may be `on` and `off` too.
pub(super) fn is_bare_pump(base: &str) -> bool {
    THINGS.contains(&base)
}

/// Whether a column is more often something else: `source` may say which system wrote the file.
pub(super) fn is_weak_pump(base: &str) -> bool {
    THINGS[WEAK_FROM..].contains(&base)
}

/// Of several columns that may be the pump's, the surest one is; one more of the same name is found by the caller.
fn keep_one_pump(headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    let pumps: Vec<usize> = (0..columns.len()).filter(|&place| columns[place] == Column::PumpId).collect();
    let base = |place: usize| headings[place].1.base.as_str();
    let rank = |place: usize| (base(place) != "pump_id", pump_rank(base(place)), is_bare_pump(base(place)));
    let Some(&best) = pumps.iter().min_by_key(|&&place| rank(place)) else { return };
    for place in pumps {
        if base(place) != base(best) {
            columns[place] = Column::Unknown;
        }
    }
}

/// The columns that hold a time and are not used, as `UTC Time` beside `timestamp`: each a place, or that of a date with
/// that of the time of day.
pub(super) fn other_times(header: &Record, columns: &[Column]) -> Vec<(usize, Option<usize>)> {
    let bases: Vec<String> = header.cells().map(|cell| Heading::new(cell).base).collect();
    let named = |names: &[&str]| -> Vec<usize> {
        let is_free = |place: &usize| columns[*place] == Column::Unknown;
        let is_named =
            |place: &usize| names.iter().any(|name| bases[*place] == *name || without_zone(&bases[*place]) == *name);
        (0..columns.len()).filter(is_free).filter(is_named).collect()
    };
    let mut others: Vec<(usize, Option<usize>)> = Vec::new();
    if let (Some(&date), Some(&time)) = (named(&DATES).first(), named(&TIMES_OF_DAY).first()) {
        others.push((date, Some(time)));
    }
    others.extend(named(&TIMES).into_iter().chain(named(&["timestamp", "datetime"])).map(|place| (place, None)));
    others
}

/// The columns of a header, in the file's order. A name that is there twice is found by the caller.
pub(super) fn columns(profile: &Profile, header: &Record, names: &BTreeMap<String, String>) -> Vec<Column> {
    let named = |cell| names.get(cell).map_or(cell, String::as_str);
    let headings: Vec<(&str, Heading<'_>)> = header.cells().map(named).map(|name| (name, Heading::new(name))).collect();
    let mut columns: Vec<Column> = headings.iter().map(|(cell, heading)| column(profile, cell, heading)).collect();
    keep_one_pump(&headings, &mut columns);
    find_other_units(profile, &headings, &mut columns);
    quality::find(profile, &headings, &mut columns);
    if columns.contains(&Column::Time) {
        return columns;
    }
    let place = |columns: &[Column], names: &[&str]| {
        names.iter().find_map(|name| {
            (0..columns.len()).find(|&place| {
                let base = &headings[place].1.base;
                columns[place] == Column::Unknown && (base == name || without_zone(base) == *name)
            })
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
        base if matches!(without_zone(base), "timestamp" | "datetime") => Column::Time,
        "machine_status" => Column::MachineStatus,
        "anomaly" => Column::Anomaly,
        "changepoint" | "fault" => Column::Aside,
        "ignore" => Column::Aside,
        name if INDEXES.contains(&name) => Column::Unnamed,
        name if pump_rank(name).is_some() => Column::PumpId,
        _ => Column::Unknown,
    }
}

/// A time's name without the zone at its end: `timestamp_cet` is `timestamp`.
fn without_zone(base: &str) -> &str {
    base.rsplit_once('_').filter(|(_, word)| zones::is_zone_word(word)).map_or(base, |(name, _)| name)
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

/// Finds channels whose columns name another unit than the channel's name does: `Oil_Pressure_kPa` is `Oil_Pressure_bar`,
/// and its unit is asked about.
fn find_other_units(profile: &Profile, headings: &[(&str, Heading<'_>)], columns: &mut [Column]) {
    for place in 0..columns.len() {
        let heading = &headings[place].1;
        let is_lost = |index: usize| !columns.contains(&Column::Channel(index));
        let fits = |index: usize| {
            let unit = &profile.channels()[index].unit;
            let Some(written) = unit_beside_stem(profile, index, heading) else { return false };
            match compare_units(&written, unit) {
                Unit::Same => true,
                Unit::Other => is_one_quantity(&written, unit),
                Unit::Unknown => heading.unit.is_some(),
                Unit::None => false,
            }
        };
        if columns[place] == Column::Unknown
            && let Some(index) = (0..profile.channels().len()).find(|&index| is_lost(index) && fits(index))
        {
            columns[place] = Column::Channel(index);
        }
    }
}

/// The unit that a heading has in the place where the channel's own name has the channel's unit.
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
    use crate::recording::{column::Of, tests::TEN_CHANNELS, text::Splitter};

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
            ("Timestamp CET", Column::Time),
            ("t_stamp", Column::Time),
            ("TimeString", Column::Time),
            ("Zeit (MEZ)", Column::Time),
            ("Local Time", Column::Time),
            ("Machine Status", Column::MachineStatus),
            ("Pump ID", Column::PumpId),
            ("Motor_RPM quality", Column::Quality(Of::Channel(0))),
            ("Motor_RPM.Status", Column::Quality(Of::Channel(0))),
            ("Quality", Column::Quality(Of::Row)),
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
}
