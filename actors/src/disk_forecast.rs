//! How full the disk is, how fast it fills, and when it will be full. Pure.

use volute_data::DiskUse;
use volute_plant::Timestamp;

/// A shorter time says nothing about growth: the database's files come and go by the minute.
const LEAST_SPAN_MS: i64 = 3_600_000;
/// Warned is when the disk is going to be full within this time, in days.
const WARNING_DAYS: f64 = 30.0;

const DAY_MS: f64 = 86_400_000.0;

/// The disk, and what is to be expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskOutlook {
    /// When it was looked at.
    pub at: Timestamp,
    /// What is used now.
    pub used: DiskUse,
    /// By how much the data has grown in a day, in bytes; none where it has not been watched for an hour.
    pub growth_bytes_per_day: Option<f64>,
    /// How many days the free room lasts at that pace; none where nothing grows, or nothing is known.
    pub full_in_days: Option<f64>,
    /// What a person should do something about.
    pub warning: Option<String>,
}

/// What is to be expected of a disk that is used so `at` this time, if the data took `earlier` bytes before. Warned is also
/// when less than `warn_free_share` of it is free.
pub(crate) fn outlook(
    at: Timestamp,
    used: DiskUse,
    earlier: Option<(Timestamp, u64)>,
    warn_free_share: f64,
) -> DiskOutlook {
    let bytes = used.database_bytes + used.journal_bytes;
    let growth = earlier.filter(|(then, _)| at.since_ms(*then) >= LEAST_SPAN_MS).map(|(then, before)| {
        let days = at.since_ms(then) as f64 / DAY_MS;
        (bytes as f64 - before as f64) / days
    });
    let full_in_days = growth.filter(|growth| *growth > 0.0).map(|growth| used.free_bytes as f64 / growth);
    let free_share = used.free_bytes as f64 / used.total_bytes.max(1) as f64;
    let warning = match full_in_days {
        Some(days) if days < WARNING_DAYS => {
            Some(format!("at the pace of the last day the disk is full in {days:.0} days"))
        }
        _ if free_share < warn_free_share => Some(format!("only {:.0} % of the disk is free", free_share * 100.0)),
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
    fn growth_goes_on_as_it_did() {
        for (hours, before_gib, now, days, warned) in [
            (24, 8, used(10, 80), Some(40.0), None),
            (12, 8, used(10, 80), Some(20.0), Some("20 days")),
            (24, 10, used(10, 50), None, None),
            (24, 12, used(10, 50), None, None),
            (24, 10, used(10, 5), None, Some("only 5 %")),
        ] {
            let found = outlook(at(hours), now, Some((at(0), before_gib * GIB)), 0.1);
            assert_eq!(found.full_in_days, days, "{found:?}");
            let told = found.warning.as_deref();
            assert_eq!(told.is_some(), warned.is_some(), "{found:?}");
            assert!(warned.is_none_or(|words| told.is_some_and(|told| told.contains(words))), "{found:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_growth_that_was_not_watched() {
        for earlier in [None, Some((at(0), GIB))] {
            let now = at(0).plus_ms(LEAST_SPAN_MS - 1);
            let found = outlook(now, used(10, 80), earlier, 0.1);
            assert_eq!((found.growth_bytes_per_day, found.full_in_days, found.warning), (None, None, None));
        }
    }
}
