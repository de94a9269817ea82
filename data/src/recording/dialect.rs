//! How the user resolves the ambiguities of a recording's format and content.

use std::collections::BTreeMap;

use volute_plant::PumpId;

use super::{
    cells::DecimalMark,
    times::{RepeatedHour, TimeFormat, TimeZone},
};

/// How to read a file. By default everything is taken from the file, and ambiguities are errors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dialect {
    /// The format of its times.
    pub time_format: Option<TimeFormat>,
    /// The zone of its times without an offset.
    pub time_zone: Option<TimeZone>,
    /// Which of the two hours is meant if clocks were put back and the file has the repeated hour only once.
    pub repeated_hour: Option<RepeatedHour>,
    /// The decimal mark of its numbers; the other mark then separates thousands.
    pub decimal: Option<DecimalMark>,
    /// Read only the rows with this name in the column `pump_id`. If none, all rows must be of the same pump.
    pub pump: Option<String>,
    /// The pump that the readings are for. Unless `pump` is set, the column `pump_id` must name no other pump.
    pub expected_pump: Option<PumpId>,
    /// Whether to take the numbers as values in the channels' units, whatever units the file names.
    pub ignore_units: bool,
    /// The words that mean a good value in quality columns; all others mean a bad value. If empty, the usual words are
    /// known.
    pub good_quality: Vec<String>,
    /// Cells that look like a number and mean "no value".
    pub no_value: Vec<String>,
    /// The roles of columns by their names in the file: a channel's name, `timestamp`, `machine_status`, `pump_id` or
    /// `ignore`.
    pub columns: BTreeMap<String, String>,
}
