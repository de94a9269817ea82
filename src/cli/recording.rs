//! The flags of every command that reads recordings: properties of a file that cannot be detected from its contents.

use std::collections::BTreeMap;

use clap::Args;
use volute_data::{DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone};

/// How to read a recording, as far as this cannot be detected from the file.
#[derive(Debug, Clone, Default, Args)]
pub struct DialectArgs {
    /// The format of times, for example '%d.%m.%Y %H:%M:%S' or '%m/%d/%Y %I:%M:%S %p' (strftime).
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<TimeFormat>,
    /// The zone of times without an offset, such as Europe/Berlin or +01:00; by default the one in the column's name,
    /// or UTC.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<TimeZone>,
    /// The hour that a zone repeats in autumn may occur in the file only once. Then this says which of the two it is:
    /// first or second.
    #[arg(long, value_name = "WHICH")]
    pub repeated_hour: Option<RepeatedHour>,
    /// The decimal mark, point or comma; the other one then separates thousands.
    #[arg(long, value_name = "MARK")]
    pub decimal: Option<DecimalMark>,
    /// The meaning of a column, by its name in the recording: 'Drehzahl=Motor_RPM', 'Wann=timestamp', 'Ort=pump_id', or
    /// 'Ort=ignore' to skip the column. May be repeated.
    #[arg(long = "column", value_name = "NAME=COLUMN", value_parser = column)]
    pub columns: Vec<(String, String)>,
    /// Read only the rows of this pump, as named in the recording's column of pumps (pump_id, Pump, Machine and the
    /// like).
    #[arg(long, value_name = "NAME")]
    pub file_pump: Option<String>,
    /// Read the numbers in the channels' units, even if the recording names other units.
    #[arg(long)]
    pub ignore_units: bool,
    /// The word for a good value in a quality column, '*' for any; by default Good, OK, 192 and the like. May be
    /// repeated.
    #[arg(long, value_name = "WORD")]
    pub good_quality: Vec<String>,
    /// A cell that looks like a number but means that there is no value, such as '5 ?'. May be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub no_value: Vec<String>,
}

fn column(text: &str) -> Result<(String, String), String> {
    let named = text.split_once('=').map(|(name, column)| (name.trim(), column.trim()));
    match named {
        Some((name, column)) if !name.is_empty() && !column.is_empty() => Ok((name.to_owned(), column.to_owned())),
        _ => Err("allowed: a column's name in the file, =, and its meaning, as 'Drehzahl=Motor_RPM'".to_owned()),
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
        let (pump, expected_pump) = (file_pump, None);
        Self {
            time_format,
            time_zone,
            repeated_hour,
            decimal,
            columns,
            pump,
            expected_pump,
            ignore_units,
            good_quality,
            no_value,
        }
    }
}
