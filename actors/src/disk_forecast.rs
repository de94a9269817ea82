//! A forecast of the disk: how full it is, how fast the data grows, and in how many days the disk is full. Does no I/O.
//!
//! An example: the data took 8 GiB 24 hours ago and takes 10 GiB now, with 80 GiB free. It grows by 2 GiB a day, so the
//! disk is full in 40 days.

use volute_data::DiskUse;
use volute_plant::Timestamp;

/// The shortest time over which growth is computed. The size of the database varies within minutes, because it creates
/// and deletes files, so a shorter time would not show the growth.
const MIN_GROWTH_SPAN_MS: i64 = 3_600_000;
/// The outlook contains a warning if the disk will be full in fewer days.
const WARNING_DAYS: f64 = 30.0;

const DAY_MS: f64 = 86_400_000.0;

/// The use of the disk, and a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskOutlook {
    /// When the disk was measured.
    pub at: Timestamp,
    /// The use of the disk then.
    pub used: DiskUse,
    /// By how many bytes the data grows per day; none if it was measured for less than an hour.
    pub growth_bytes_per_day: Option<f64>,
    /// In how many days the disk is full at that rate; none if the data does not grow, or its growth is not known.
    pub full_in_days: Option<f64>,
    /// A warning that calls for action, as text for users.
    pub warning: Option<String>,
}

/// Returns the outlook of a disk. `used` is its use at the time `at`; `earlier` is an earlier time with the size of the
/// data then, in bytes. Also warns if less than `warn_free_share` (0 to 1) of the disk is free.
pub(crate) fn outlook(
    at: Timestamp,
    used: DiskUse,
    earlier: Option<(Timestamp, u64)>,
    warn_free_share: f64,
) -> DiskOutlook {
    let bytes = used.database_bytes + used.journal_bytes;
    let growth = earlier.filter(|(then, _)| at.since_ms(*then) >= MIN_GROWTH_SPAN_MS).map(|(then, bytes_then)| {
        let days = at.since_ms(then) as f64 / DAY_MS;
        (bytes as f64 - bytes_then as f64) / days
    });
    let full_in_days = growth.filter(|growth| *growth > 0.0).map(|growth| used.free_bytes as f64 / growth);
    let free_share = used.free_bytes as f64 / used.total_bytes.max(1) as f64;
    let warning = match full_in_days {
        Some(days) if days < WARNING_DAYS => {
            Some(format!("at the pace of the last day the disk is full in {days:.0} days"))
        }
        _ if free_share < warn_free_share => {
            Some(format!("the disk is almost full: only {:.0} % of it is free", free_share * 100.0))
        }
        _ => None,
    };
    DiskOutlook { at, used, growth_bytes_per_day: growth, full_in_days, warning }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000).expect("a time").plus_ms(hours * 3_600_000)
    }

    fn used(database_gib: u64, free_gib: u64) -> DiskUse {
        let (database_bytes, free_bytes) = (database_gib * GIB, free_gib * GIB);
        DiskUse { database_bytes, journal_bytes: 0, free_bytes, total_bytes: 100 * GIB }
    }

    #[test]
    fn the_forecast_extrapolates_growth() {
        for (hours, before_gib, now, days, warning) in [
            (24, 8, used(10, 80), Some(40.0), None),
            (12, 8, used(10, 80), Some(20.0), Some("20 days")),
            (24, 10, used(10, 50), None, None),
            (24, 12, used(10, 50), None, None),
            (24, 10, used(10, 5), None, Some("only 5 %")),
        ] {
            let outlook = outlook(at(hours), now, Some((at(0), before_gib * GIB)), 0.1);
            assert_eq!(outlook.full_in_days, days, "{outlook:?}");
            let text = outlook.warning.as_deref();
            assert_eq!(text.is_some(), warning.is_some(), "{outlook:?}");
            assert!(warning.is_none_or(|words| text.is_some_and(|text| text.contains(words))), "{outlook:?}");
        }
    }

    #[test]
    fn there_is_no_forecast_without_an_hour_of_measurements() {
        for earlier in [None, Some((at(0), GIB))] {
            let now = at(0).plus_ms(MIN_GROWTH_SPAN_MS - 1);
            let outlook = outlook(now, used(10, 80), earlier, 0.1);
            assert_eq!((outlook.growth_bytes_per_day, outlook.full_in_days, outlook.warning), (None, None, None));
        }
    }
}
