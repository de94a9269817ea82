//! Units: whether the one that a file names is the channel's own.
//!
//! Nothing is converted. `44.5` in °F is no °C, so another unit is an error, and so is one that is not known here: a person
//! says by `--ignore-units` that the numbers are in the channels' units all the same.

/// Units by their spellings, each with the name that is compared.
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
    // Gauge and absolute pressure are an atmosphere apart: neither is taken for the other, nor for `bar`.
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

/// The units of one quantity each, by their names in [`UNITS`].
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

/// What is written where a unit could be, and is none.
const NO_UNIT: [&str; 14] =
    ["", "-", "--", "---", "x", "?", "1", "n/a", "na", "none", "unit", "einheit", "pv", "value"];

/// How a value was made of several, and of which type it is: loggers' second row of words.
const NO_UNIT_EITHER: [&str; 22] = [
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

/// What a column's unit says about its numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// That of the channel.
    Same,
    /// Another one: the numbers mean something else.
    Other,
    /// No unit that is known here.
    Unknown,
    /// Something that stands where a unit could be, and is none.
    None,
}

pub(super) fn compare_units(written: &str, channel: &str) -> Unit {
    if written.trim() == channel {
        return Unit::Same;
    }
    let lower = written.trim().to_lowercase();
    if NO_UNIT.contains(&lower.as_str()) || NO_UNIT_EITHER.contains(&lower.as_str()) {
        return Unit::None;
    }
    match (name(written), name(channel)) {
        (Some(one), Some(other)) if one == other => Unit::Same,
        (Some(_), Some(_)) => Unit::Other,
        _ => Unit::Unknown,
    }
}

fn name(unit: &str) -> Option<&'static str> {
    let unit = unit.trim().to_lowercase();
    UNITS.iter().find(|(_, spellings)| spellings.contains(&unit.as_str())).map(|(name, _)| *name)
}

/// Whether two units are of the same quantity, or of none in particular, as `%`.
pub(super) fn is_one_quantity(one: &str, other: &str) -> bool {
    let of = |unit: &str| name(unit).and_then(|name| QUANTITIES.iter().position(|units| units.contains(&name)));
    of(one).is_none_or(|quantity| of(other) == Some(quantity))
}

/// The unit that is written like this in a column's name, where every sign is folded to `_`: `l_min` is `l/min`.
pub(super) fn unit_in_name(folded: &str, fold: impl Fn(&str) -> String) -> Option<&'static str> {
    UNITS.iter().flat_map(|(_, spellings)| spellings.iter()).copied().find(|spelling| fold(spelling) == folded)
}

/// Splits `44.5 °C` into the number and what is behind it, for a unit to be looked for there.
pub(super) fn number_and_unit(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_of_number = |letter: char| letter.is_ascii_digit() || "+-.,\u{2212}".contains(letter);
    let end = cell.find(|letter: char| !is_of_number(letter));
    let at_blank = cell.find(char::is_whitespace);
    [end, at_blank].into_iter().flatten().map(|end| (&cell[..end], cell[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_of_known_units() {
        let is_known = |unit: &&&str| UNITS.iter().any(|(name, _)| name == *unit);
        assert!(QUANTITIES.iter().all(|units| units.iter().all(|unit| is_known(&unit))));
    }

    #[test]
    fn units_are_compared() {
        for (written, channel, expected) in [
            ("1/min", "rpm", Unit::Same),
            ("U/min", "rpm", Unit::Same),
            ("deg C", "°C", Unit::Same),
            ("degrees Celsius", "°C", Unit::Same),
            ("l/min", "L/min", Unit::Same),
            ("°F", "°C", Unit::Other),
            ("degrees Fahrenheit", "°C", Unit::Other),
            ("psi", "bar", Unit::Other),
            ("kPag", "bar", Unit::Other),
            ("m³/h", "L/min", Unit::Other),
            ("mA", "A", Unit::Other),
            ("%", "bar", Unit::Other),
            ("barg", "bar", Unit::Other),
            ("SP", "rpm", Unit::Unknown),
            ("furlong", "bar", Unit::Unknown),
            ("furlong", "furlong", Unit::Same),
            ("x", "rpm", Unit::None),
            ("Smp", "bar", Unit::None),
            ("Avg", "bar", Unit::None),
        ] {
            assert_eq!(compare_units(written, channel), expected, "{written} for {channel}");
        }
    }
}
