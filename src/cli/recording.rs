//! The flags of every command that reads recordings: what a file does not say itself.

use std::collections::BTreeMap;

use clap::Args;
use volute_data::{DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone};

/// What a recording does not say itself.
#[derive(Debug, Clone, Default, Args)]
pub struct DialectArgs {
    /// How times are written, as '%d.%m.%Y %H:%M:%S' or '%m/%d/%Y %I:%M:%S %p' (strftime).
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<TimeFormat>,
    /// The zone of times without an offset, as Europe/Berlin, or +01:00; without it, the one in the column's name, or UTC.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<TimeZone>,
    /// Which one it is, where the hour that a zone repeats in autumn stands in a file once: first or second.
    #[arg(long, value_name = "WHICH")]
    pub repeated_hour: Option<RepeatedHour>,
    /// The decimal mark, point or comma; the other one then sets thousands apart.
    #[arg(long, value_name = "MARK")]
    pub decimal: Option<DecimalMark>,
    /// What a column is, by its name in the recording: 'Drehzahl=Motor_RPM', 'Wann=timestamp', 'Ort=pump_id', or
    /// 'Ort=ignore' for nothing that is read. May be repeated.
    #[arg(long = "column", value_name = "NAME=COLUMN", value_parser = column)]
    pub columns: Vec<(String, String)>,
    /// Read only the rows of this pump, as the recording's column of pumps names it: pump_id, Pump, Machine and the like.
    #[arg(long, value_name = "NAME")]
    pub file_pump: Option<String>,
    /// The numbers are in the channels' units, whatever units the recording names.
    #[arg(long)]
    pub ignore_units: bool,
    /// What a quality column says of a good value, '*' for anything; without it, Good, OK, 192 and the like. May be repeated.
    #[arg(long, value_name = "WORD")]
    pub good_quality: Vec<String>,
    /// A cell that looks like a number and stands for no value, as '5 ?'. May be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub no_value: Vec<String>,
}

fn column(text: &str) -> Result<(String, String), String> {
    let named = text.split_once('=').map(|(name, column)| (name.trim(), column.trim()));
    match named {
        Some((name, column)) if !name.is_empty() && !column.is_empty() => Ok((name.to_owned(), column.to_owned())),
        _ => Err("allowed: a column's name in the file, =, and what it is, as 'Drehzahl=Motor_RPM'".to_owned()),
    }
}

impl From<DialectArgs> for Dialect {
    fn from(args: DialectArgs) -> Self {
        let DialectArgs {
            time_format,
            time_zone,
            repeated_hour,
            decimal,
            columns,
            file_pump,
            ignore_units,
            good_quality,
            no_value,
        } = args;
        let columns: BTreeMap<String, String> = columns.into_iter().collect();
        let (pump, read_for) = (file_pump, None);
        Self {
            time_format,
            time_zone,
            repeated_hour,
            decimal,
            columns,
            pump,
            read_for,
            ignore_units,
            good_quality,
            no_value,
        }
    }
}
