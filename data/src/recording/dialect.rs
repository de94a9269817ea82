//! What a person says about a recording that it does not say itself.

use std::collections::BTreeMap;

use volute_plant::PumpId;

use super::{
    cells::DecimalMark,
    times::{RepeatedHour, TimeFormat, TimeZone},
};

/// What a person says about a file. The default says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dialect {
    /// How its times are written.
    pub time_format: Option<TimeFormat>,
    /// The zone of its times that have no offset.
    pub time_zone: Option<TimeZone>,
    /// Which hour it is, where one that a zone repeats stands in the file once.
    pub repeated_hour: Option<RepeatedHour>,
    /// The decimal mark of its numbers; the other one then sets thousands apart.
    pub decimal: Option<DecimalMark>,
    /// Only the rows of this pump are read, as the column `pump_id` names it; without it, all must be of one.
    pub pump: Option<String>,
    /// Whose readings the rows shall be: without a `pump`, the column `pump_id` must name no other.
    pub read_for: Option<PumpId>,
    /// The numbers are in the channels' units, whatever units the file names.
    pub ignore_units: bool,
    /// What quality columns say of a good value, all else is bad; empty: the usual words.
    pub good_quality: Vec<String>,
    /// Cells that look like a number and stand for no value.
    pub no_value: Vec<String>,
    /// What columns are, by their names in the file: a channel's name, or `timestamp`, `machine_status`, `pump_id` or
    /// `ignore`.
    pub columns: BTreeMap<String, String>,
}
