//! The flags of every command that reads recordings: what a file does not say itself.

use clap::Args;
use volute_data::{DecimalMark, Dialect, RepeatedHour, TimeFormat, TimeZone};

/// What a recording does not say itself.
#[derive(Debug, Clone, Default, Args)]
pub struct DialectArgs {
    /// How times are written, as '%d.%m.%Y %H:%M:%S' or '%m/%d/%Y %I:%M:%S %p' (strftime).
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<TimeFormat>,
    /// The zone of times without an offset, as Europe/Berlin, or +01:00; without it, UTC.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<TimeZone>,
    /// Which one it is, where the hour that a zone repeats in autumn stands in a file once: first or second.
    #[arg(long, value_name = "WHICH", requires = "time_zone")]
    pub repeated_hour: Option<RepeatedHour>,
    /// The decimal mark, point or comma; the other one then sets thousands apart.
    #[arg(long, value_name = "MARK")]
    pub decimal: Option<DecimalMark>,
}

impl From<DialectArgs> for Dialect {
    fn from(args: DialectArgs) -> Self {
        let DialectArgs { time_format, time_zone, repeated_hour, decimal } = args;
        Self { time_format, time_zone, repeated_hour, decimal, ..Self::default() }
    }
}
