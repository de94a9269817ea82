//! Compares the unit that a file names with the unit of the channel.
//!
//! Nothing is converted. A unit other than the channel's is an error, such as °F for °C, and so is an unknown unit.
//! With `--ignore-units` the user declares that the numbers are in the channels' units nevertheless.

/// The known units: the name used for comparison, and its spellings in lower case.
const UNITS: [(&str, &[&str]); 40] = [
    ("rpm", &["rpm", "1/min", "min-1", "min^-1", "u/min", "r/min", "rev/min", "upm", "min⁻¹", "1/minute", "tr/min"]),
    ("Hz", &["hz", "1/s", "s-1", "s^-1", "hertz"]),
    (
        "°C",
        &[
            "°c",
            "c",
            "degc",
            "deg c",
            "deg. c",
            "deg_c",
            "celsius",
            "degree celsius",
            "degrees celsius",
            "℃",
            "grad c",
            "grad celsius",
            "ºc",
            "\u{fffd}c",
            "cel",
        ],
    ),
    (
        "°F",
        &[
            "°f",
            "f",
            "degf",
            "deg f",
            "deg. f",
            "deg_f",
            "fahrenheit",
            "degree fahrenheit",
            "degrees fahrenheit",
            "℉",
            "ºf",
            "grad fahrenheit",
            "\u{fffd}f",
        ],
    ),
    ("K", &["k", "kelvin", "°k"]),
    ("bar", &["bar"]),
    // Gauge and absolute pressure differ by one atmosphere, so neither is the same as the other, nor the same as `bar`.
    ("bar, gauge", &["barg", "bar(g)", "bar g", "bar_g", "barü", "bar ü", "bar(ü)"]),
    ("bar, absolute", &["bara", "bar(a)", "bar a", "bar_a", "bar abs"]),
    ("mbar", &["mbar", "hpa", "millibar"]),
    ("Pa", &["pa", "pascal"]),
    ("kPa", &["kpa", "kpag", "kpaa", "kpa(g)", "kpa(a)", "kpa g", "kpa a"]),
    ("MPa", &["mpa", "mpag", "mpaa", "mpa(g)", "mpa(a)"]),
    ("psi", &["psi", "psig", "psia", "psi(g)", "psi(a)", "lb/in²", "lbf/in²"]),
    ("kg/cm²", &["kg/cm²", "kg/cm2", "kgf/cm²", "kgf/cm2", "at"]),
    ("atm", &["atm"]),
    ("m", &["m", "mws", "mwc", "mh2o", "mfl"]),
    ("mm/s", &["mm/s", "mm/sec", "mm s-1", "mm/s rms", "mm/s_rms", "mms"]),
    ("m/s", &["m/s"]),
    ("in/s", &["in/s", "ips", "inch/s"]),
    ("µm", &["µm", "μm", "um", "micron", "microns"]),
    ("m/s²", &["m/s²", "m/s2", "m/s^2"]),
    ("L/min", &["l/min", "lpm", "ltr/min", "l/m", "liter/min", "litre/min"]),
    ("L/s", &["l/s", "ltr/s", "l/sec"]),
    ("L/h", &["l/h", "ltr/h", "lph"]),
    ("m³/h", &["m³/h", "m3/h", "m^3/h", "cbm/h", "cmh", "m3/hr"]),
    ("m³/s", &["m³/s", "m3/s", "m^3/s"]),
    ("m³/min", &["m³/min", "m3/min"]),
    ("gpm", &["gpm", "usgpm", "gal/min"]),
    ("mA", &["ma"]),
    ("A", &["a", "amp", "amps", "ampere", "amperes"]),
    ("kV", &["kv"]),
    ("mV", &["mv"]),
    ("V", &["v", "volt", "volts"]),
    ("kW", &["kw"]),
    ("W", &["w", "watt"]),
    ("Nm", &["nm"]),
    ("s", &["s", "sec"]),
    ("%", &["%", "percent", "pct", "prozent", "% of range", "%fs"]),
    ("raw counts", &["raw", "counts", "digits", "adc"]),
    ("g", &["g", "g rms", "grms"]),
];

/// Units grouped by quantity, by their names in [`UNITS`].
const QUANTITIES: [&[&str]; 8] = [
    &["°C", "°F", "K"],
    &["bar", "bar, gauge", "bar, absolute", "mbar", "Pa", "kPa", "MPa", "psi", "kg/cm²", "atm", "m"],
    &["mm/s", "m/s", "in/s", "µm", "m/s²", "g"],
    &["L/min", "L/s", "L/h", "m³/h", "m³/s", "m³/min", "gpm"],
    &["mA", "A"],
    &["kV", "mV", "V"],
    &["kW", "W"],
    &["rpm", "Hz"],
];

/// Placeholders in the place of a unit.
const PLACEHOLDERS: [&str; 14] =
    ["", "-", "--", "---", "x", "?", "1", "n/a", "na", "none", "unit", "einheit", "pv", "value"];

/// Words for aggregation and data type that loggers write in the row below the header.
const NOT_UNITS: [&str; 22] = [
    "smp",
    "avg",
    "average",
    "mean",
    "sample",
    "inst",
    "mittelwert",
    "float",
    "float32",
    "float64",
    "real",
    "lreal",
    "double",
    "number",
    "numeric",
    "int",
    "integer",
    "long",
    "string",
    "analog",
    "actual",
    "ist",
];

/// How a column's unit compares with the channel's unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnitMatch {
    /// The channel's unit.
    Same,
    /// Another known unit: the numbers cannot be used as they are.
    Other,
    /// Not a known unit.
    Unknown,
    /// A placeholder or a word that is not a unit.
    NotAUnit,
}

pub(super) fn compare_units(written: &str, channel: &str) -> UnitMatch {
    if written.trim() == channel {
        return UnitMatch::Same;
    }
    let lower = written.trim().to_lowercase();
    if PLACEHOLDERS.contains(&lower.as_str()) || NOT_UNITS.contains(&lower.as_str()) {
        return UnitMatch::NotAUnit;
    }
    match (canonical_name(written), canonical_name(channel)) {
        (Some(one), Some(other)) if one == other => UnitMatch::Same,
        (Some(_), Some(_)) => UnitMatch::Other,
        _ => UnitMatch::Unknown,
    }
}

fn canonical_name(unit: &str) -> Option<&'static str> {
    let unit = unit.trim().to_lowercase();
    UNITS.iter().find(|(_, spellings)| spellings.contains(&unit.as_str())).map(|(name, _)| *name)
}

/// Whether the second unit has the same quantity as the first. Also true if the first has no particular quantity, such
/// as `%`.
pub(super) fn is_same_quantity(one: &str, other: &str) -> bool {
    let quantity_of =
        |unit: &str| canonical_name(unit).and_then(|name| QUANTITIES.iter().position(|units| units.contains(&name)));
    quantity_of(one).is_none_or(|quantity| quantity_of(other) == Some(quantity))
}

/// Returns the unit with this spelling after [`fold`](super::column::fold): `l_min` is `l/min`.
pub(super) fn unit_in_name(folded: &str, fold: impl Fn(&str) -> String) -> Option<&'static str> {
    UNITS.iter().flat_map(|(_, spellings)| spellings.iter()).copied().find(|spelling| fold(spelling) == folded)
}

/// Splits `44.5 °C` into the number and the text after it: at the end of the number, and at the first blank.
pub(super) fn split_number_and_unit(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_of_number = |letter: char| letter.is_ascii_digit() || "+-.,\u{2212}".contains(letter);
    let end = cell.find(|letter: char| !is_of_number(letter));
    let at_blank = cell.find(char::is_whitespace);
    [end, at_blank].into_iter().flatten().map(|end| (&cell[..end], cell[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_contain_known_units_only() {
        let is_known = |unit: &&&str| UNITS.iter().any(|(name, _)| name == *unit);
        assert!(QUANTITIES.iter().all(|units| units.iter().all(|unit| is_known(&unit))));
    }

    #[test]
    fn units_are_compared() {
        for (written, channel, expected) in [
            ("1/min", "rpm", UnitMatch::Same),
            ("U/min", "rpm", UnitMatch::Same),
            ("deg C", "°C", UnitMatch::Same),
            ("degrees Celsius", "°C", UnitMatch::Same),
            ("l/min", "L/min", UnitMatch::Same),
            ("°F", "°C", UnitMatch::Other),
            ("degrees Fahrenheit", "°C", UnitMatch::Other),
            ("psi", "bar", UnitMatch::Other),
            ("kPag", "bar", UnitMatch::Other),
            ("m³/h", "L/min", UnitMatch::Other),
            ("mA", "A", UnitMatch::Other),
            ("%", "bar", UnitMatch::Other),
            ("barg", "bar", UnitMatch::Other),
            ("SP", "rpm", UnitMatch::Unknown),
            ("furlong", "bar", UnitMatch::Unknown),
            ("furlong", "furlong", UnitMatch::Same),
            ("x", "rpm", UnitMatch::NotAUnit),
            ("Smp", "bar", UnitMatch::NotAUnit),
            ("Avg", "bar", UnitMatch::NotAUnit),
        ] {
            assert_eq!(compare_units(written, channel), expected, "{written} for {channel}");
        }
    }
}
