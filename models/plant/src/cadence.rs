//! The cadence of a run of readings: the time between them, and whether it is regular.
//!
//! A window is made of steps of one interval, so the interval must be that of the readings. A worked example: a logger
//! writes a row a minute, one row is missing, and one comes 2 s late. The times are
//!
//! ```text
//! 00:00  01:00  02:00  04:00  05:02  06:00  07:00  08:00  09:00  10:00  11:00  12:00
//!     60     60    120     62     58     60     60     60     60     60     60          differences, in s
//!      1      1      2      1      1      1      1      1      1      1      1          multiple of the median, 60 s, rounded
//! ```
//!
//! Every difference is the median or a small multiple of it (a multiple of 2 is one missing row), and nearly all are
//! the median itself. So the cadence is regular. Its interval is the sum of all differences over the sum of their
//! multiples: 720 s / 12 = 60 s. The interval is rounded to whole minutes, seconds, tenths or hundredths of a second if
//! that changes it by no more than the mean distance between a difference and its multiple of the median. So
//! differences of 10 s with some of 11 s give 10 s, and rows exactly every 777 s give 777 s.
//!
//! - A time that is not after the one before (a duplicate, or a reading out of order) is ignored.
//! - A difference of more than [`MAX_MISSING`] times the median is a gap. At most one difference in twenty may be a
//!   gap, or be far from every multiple in another way. With fewer than twenty differences, one may.
//! - Six of ten differences must be the median itself. A feed that reports on change is irregular, and so is one whose
//!   interval has just changed. After such a change new differences replace the old ones, and the cadence becomes
//!   regular again.
//!
//! Readings may come in *bursts*, with most of the time between the bursts. For example, a gateway scans the tags of a
//! pump once a minute: it reads the tags one after the other, and sends each with its own time:
//!
//! ```text
//! 00:00.000  .015  .030  .045      01:00.001  .016  .031  .046      02:00.000 ...
//!          15    15    15     59956         15    15    15     59954          differences, in ms
//! |---------- 60001 --------------|--------- 59999 ---------------|           from scan to scan
//! ```
//!
//! - A difference of more than [`MAX_MISSING`] times the differences before it is a pause, and ends a burst.
//! - Bursts are scans if their pauses take at least half of the time, their readings are at most 1 s apart, and they
//!   have fewer readings than a window has steps. The cadence is then the time from scan to scan. Bursts whose readings
//!   are less than 50 ms apart are scans whatever their length, since no pump has an interval that short.
//! - Longer bursts come from a pump that sends only while it runs. The cadence is then the one within a burst.
//!
//! The callers of [`Cadence::sparser_than`] decide what follows from a cadence.

use std::collections::VecDeque;

use crate::{Timestamp, WindowConfig};

/// The fewest differences from which a cadence is determined.
pub const MIN_DIFFERENCES: usize = 10;
/// A difference of up to this many times the median means missing readings. A longer one is a gap.
pub const MAX_MISSING: i64 = 10;

/// Number of differences that the meter of a live pump remembers.
const LIVE_DIFFERENCES: usize = 20;
/// Number of differences, the last ones, that the meter of a recording remembers.
const RECORDED_DIFFERENCES: usize = 20_000;

/// How far a difference may be from a multiple of the median, as a share of the median.
const TOLERANCE: f64 = 0.45;
/// The share of the differences that must be the median itself.
const MIN_SINGLE_SHARE: f64 = 0.6;
/// The share of the differences that may be far from every multiple; one difference always may.
const MAX_OFF_GRID_SHARE: f64 = 0.05;
/// The most by which rounding because of jitter may change an interval, as a share of it.
const MAX_JITTER_ROUNDING: f64 = 0.02;
/// The most by which rounding to whole seconds may change an interval, as a share of it. A clock drifts, and a timer
/// that is set after each reading is late by the duration of the reading.
const MAX_DRIFT_ROUNDING: f64 = 0.005;
/// A feed is sparser than its profile from this multiple of the profile's interval on.
const SPARSER_FACTOR: f64 = 1.5;

/// Number of differences within bursts, the newest ones, from which the spacing within a burst is determined.
const RECENT_DIFFERENCES: usize = 20;
/// Fewer pauses than this may be accidental.
const MIN_PAUSES: usize = 3;
/// The most time between two readings of one scan.
const MAX_SCAN_SPACING_MS: i64 = 1_000;
/// Readings that are closer together than this belong to one scan, however many there are. It is half of the shortest
/// allowed interval.
const MIN_SPACING_MS: i64 = 50;

/// The cadence of a run of readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Cadence {
    /// Too few readings to tell.
    #[default]
    Unknown,
    /// The readings come at one interval, apart from gaps, jitter and missing readings.
    Regular {
        /// The interval, in milliseconds.
        interval_ms: i64,
        /// What it was determined from.
        evidence: Evidence,
    },
    /// The readings do not come at one interval.
    Irregular {
        /// What it was determined from.
        evidence: Evidence,
    },
}

/// What a cadence was determined from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Number of differences between two times.
    pub differences: usize,
    /// The median of the differences, in milliseconds.
    pub median_ms: i64,
    /// The 90th percentile of the differences, in milliseconds.
    pub p90_ms: i64,
    /// The share of the differences that are the median or a small multiple of it.
    pub on_grid: f64,
}

impl Cadence {
    /// Returns the cadence of these times, in the order of their readings.
    pub fn of(times: impl IntoIterator<Item = Timestamp>) -> Self {
        let mut meter = CadenceMeter::for_recording();
        times.into_iter().for_each(|at| meter.push(at));
        meter.cadence()
    }

    /// Returns the interval of a regular cadence.
    pub fn interval_ms(&self) -> Option<i64> {
        match self {
            Self::Regular { interval_ms, .. } => Some(*interval_ms),
            Self::Unknown | Self::Irregular { .. } => None,
        }
    }

    /// Returns the interval of a regular cadence whose readings come less often than once in `interval_ms`.
    ///
    /// Readings that come more often need no other interval: of those within one step the last one counts.
    pub fn sparser_than(&self, interval_ms: i64) -> Option<i64> {
        self.interval_ms().filter(|found| *found as f64 >= SPARSER_FACTOR * interval_ms as f64)
    }

    /// Returns what it was determined from.
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Regular { evidence, .. } | Self::Irregular { evidence } => Some(evidence),
            Self::Unknown => None,
        }
    }
}

/// Determines the cadence from the times of a run of readings, one by one.
#[derive(Debug, Clone)]
pub struct CadenceMeter {
    last: Option<Timestamp>,
    /// Differences between successive times, in milliseconds, the oldest first.
    differences: VecDeque<i64>,
    /// The newest differences that are not pauses.
    burst_differences: VecDeque<i64>,
    /// Completed bursts, the oldest first.
    bursts: VecDeque<Burst>,
    /// Start of the current burst, and the number of its readings.
    burst_start: Option<Timestamp>,
    readings: usize,
    /// The most differences, and the most bursts, that are remembered.
    max_len: usize,
}

/// Readings that came close together, and the pause after them.
#[derive(Debug, Clone, Copy)]
struct Burst {
    readings: usize,
    pause_ms: i64,
    /// From its first reading to the next burst's.
    period_ms: i64,
}

impl CadenceMeter {
    /// Creates a meter for a live pump: new differences soon replace the old ones.
    pub fn live() -> Self {
        let (differences, burst_differences, bursts) = Default::default();
        Self {
            last: None,
            differences,
            burst_differences,
            bursts,
            burst_start: None,
            readings: 0,
            max_len: LIVE_DIFFERENCES,
        }
    }

    /// Creates a meter for a recording.
    pub fn for_recording() -> Self {
        Self { max_len: RECORDED_DIFFERENCES, ..Self::live() }
    }

    /// Adds the time of the next reading.
    pub fn push(&mut self, at: Timestamp) {
        let difference = self.last.map(|last| at.since_ms(last));
        if difference.is_some_and(|difference| difference <= 0) {
            return;
        }
        self.last = Some(at);
        let burst_start = *self.burst_start.get_or_insert(at);
        let Some(difference) = difference else {
            self.readings = 1;
            return;
        };
        push_bounded(&mut self.differences, difference, self.max_len);
        let is_pause = median(&self.burst_differences).is_some_and(|median| difference > MAX_MISSING * median);
        if is_pause {
            let burst = Burst { readings: self.readings, pause_ms: difference, period_ms: at.since_ms(burst_start) };
            push_bounded(&mut self.bursts, burst, self.max_len);
            self.burst_start = Some(at);
        }
        // A long difference after a single reading may be the new spacing of all readings.
        if !is_pause || self.readings == 1 {
            push_bounded(&mut self.burst_differences, difference, RECENT_DIFFERENCES);
        }
        self.readings = if is_pause { 1 } else { self.readings + 1 };
    }

    /// Returns the number of differences that it remembers.
    pub fn differences(&self) -> usize {
        self.differences.len()
    }

    /// Returns a typical pause, in milliseconds: the 90th percentile of the pauses, or the median while there are few.
    /// If most of the time lies between bursts, only the pauses between bursts count. None until two readings have
    /// come.
    pub fn typical_pause_ms(&self) -> Option<i64> {
        if self.is_bursty() {
            return typical(self.bursts.iter().map(|burst| burst.pause_ms));
        }
        typical(self.differences.iter().copied())
    }

    /// Returns the cadence of the times so far.
    pub fn cadence(&self) -> Cadence {
        if self.is_scanning() {
            let (scans, of_scans) = (self.bursts.iter().map(|burst| burst.period_ms), self.bursts.len());
            return if of_scans < MIN_DIFFERENCES { Cadence::Unknown } else { classify(scans.collect()) };
        }
        match self.differences.len() {
            0..MIN_DIFFERENCES => Cadence::Unknown,
            _ => classify(self.differences.iter().copied().collect()),
        }
    }

    /// Whether there are enough bursts, and at least half of the time lies between them.
    fn is_bursty(&self) -> bool {
        let paused_ms: i64 = self.bursts.iter().map(|burst| burst.pause_ms).sum();
        let ended_ms: i64 = self.bursts.iter().map(|burst| burst.period_ms).sum();
        let under_way_ms = self.last.zip(self.burst_start).map_or(0, |(last, burst_start)| last.since_ms(burst_start));
        self.bursts.len() >= MIN_PAUSES && 2 * paused_ms >= ended_ms + under_way_ms
    }

    /// Whether the bursts are scans, not runs of a pump.
    fn is_scanning(&self) -> bool {
        let spacing_ms = median(&self.burst_differences).unwrap_or_default();
        let mut readings: Vec<usize> = self.bursts.iter().map(|burst| burst.readings).collect();
        readings.sort_unstable();
        let median_readings = readings.get(readings.len() / 2).copied().unwrap_or_default();
        let short = spacing_ms <= MAX_SCAN_SPACING_MS && (2..WindowConfig::LEN).contains(&median_readings);
        self.is_bursty() && (short || spacing_ms < MIN_SPACING_MS)
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, new: T, max_len: usize) {
    if queue.len() == max_len {
        queue.pop_front();
    }
    queue.push_back(new);
}

/// Returns the median of a few values; of an even number of values, the lower middle one.
fn median(values: &VecDeque<i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = values.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Returns the 90th percentile; of fewer than [`MIN_DIFFERENCES`] values, the median.
fn typical(values: impl Iterator<Item = i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = values.collect();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let index = if sorted.len() < MIN_DIFFERENCES { last / 2 } else { last * 9 / 10 };
    sorted.get(index).copied()
}

/// Determines the cadence from at least one difference.
fn classify(mut differences: Vec<i64>) -> Cadence {
    let count = differences.len();
    differences.sort_unstable();
    let (median_ms, p90_ms) = (differences[(count - 1) / 2], differences[count * 9 / 10]);
    let grid = Grid::of(&differences, median_ms as f64);
    let on_grid = grid.multiples as f64 / count as f64;
    let evidence = Evidence { differences: count, median_ms, p90_ms, on_grid };
    let max_off_grid = (MAX_OFF_GRID_SHARE * count as f64).max(1.0);
    if (grid.single as f64) < MIN_SINGLE_SHARE * count as f64 || (count - grid.multiples) as f64 > max_off_grid {
        return Cadence::Irregular { evidence };
    }
    Cadence::Regular { interval_ms: grid.interval_ms(), evidence }
}

/// How the differences lie around the multiples of their median.
struct Grid {
    /// Number of differences that are the median, and number of those that are the median or a multiple of it.
    single: usize,
    multiples: usize,
    /// Of the latter: the sum of the differences, the sum of their multiples (1, 2, ...), and the sum of the distances
    /// between each difference and its multiple of the median.
    sum_ms: f64,
    steps: f64,
    off_ms: f64,
}

impl Grid {
    fn of(differences: &[i64], median_ms: f64) -> Self {
        let mut grid = Self { single: 0, multiples: 0, sum_ms: 0.0, steps: 0.0, off_ms: 0.0 };
        for &difference in differences {
            let difference = difference as f64;
            let steps = (difference / median_ms).round();
            let off_ms = (difference - steps * median_ms).abs();
            if !(1.0..=MAX_MISSING as f64).contains(&steps) || off_ms > TOLERANCE * median_ms {
                continue;
            }
            grid.single += usize::from(steps == 1.0);
            grid.multiples += 1;
            grid.sum_ms += difference;
            grid.steps += steps;
            grid.off_ms += off_ms;
        }
        grid
    }

    /// Returns the mean interval, rounded by at most the mean distance between a difference and its multiple, and by at
    /// most 2 %. Times without jitter keep their exact interval, except that it is rounded to whole seconds by up to
    /// [`MAX_DRIFT_ROUNDING`].
    fn interval_ms(&self) -> i64 {
        let mean_ms = self.sum_ms / self.steps;
        let off_ms = self.off_ms / self.multiples as f64;
        let jitter_rounding_ms = (off_ms + 0.5).min(MAX_JITTER_ROUNDING * mean_ms);
        let drift_rounding_ms = MAX_DRIFT_ROUNDING * mean_ms;
        for (unit_ms, max_rounding_ms) in [
            (60_000.0, jitter_rounding_ms),
            (1_000.0, jitter_rounding_ms.max(drift_rounding_ms)),
            (100.0, jitter_rounding_ms),
            (10.0, jitter_rounding_ms),
        ] {
            let rounded = (mean_ms / unit_ms).round() * unit_ms;
            if rounded > 0.0 && (rounded - mean_ms).abs() <= max_rounding_ms {
                return rounded as i64;
            }
        }
        (mean_ms.round() as i64).max(1)
    }
}

/// Formats an interval to the millisecond: `250 ms`, `10 s`, `10.1 s`, `777 s`, `5 min`, `1 h`.
pub fn format_interval(ms: i64) -> String {
    let whole = |unit_ms: i64| ms >= unit_ms && ms % unit_ms == 0;
    match () {
        () if whole(3_600_000) => format!("{} h", ms / 3_600_000),
        () if whole(60_000) => format!("{} min", ms / 60_000),
        () if ms >= 1_000 => format!("{} s", ms as f64 / 1e3),
        () => format!("{ms} ms"),
    }
}

/// Formats a duration, rounded where milliseconds are irrelevant: `7.3 s`, `12 s`, `12 min`.
pub fn format_interval_rounded(ms: i64) -> String {
    let rounded_to = |unit_ms: i64| format_interval((ms + unit_ms / 2) / unit_ms * unit_ms);
    match ms {
        600_000.. if ms % 3_600_000 != 0 => rounded_to(60_000),
        10_000.. => rounded_to(1_000),
        1_000.. => rounded_to(100),
        _ => format_interval(ms),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_773_051_240_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(START + ms).expect("a time")
    }

    fn of(ms: impl IntoIterator<Item = i64>) -> Cadence {
        Cadence::of(ms.into_iter().map(at))
    }

    #[test]
    fn regular_runs_have_their_interval() {
        let every = |interval_ms: i64| (0..40).map(move |n| n * interval_ms);
        for (what, times, expected) in [
            ("a second", every(1_000).collect::<Vec<_>>(), 1_000),
            ("a tenth of a second", every(100).collect(), 100),
            ("ten seconds", every(10_000).collect(), 10_000),
            ("a minute", every(60_000).collect(), 60_000),
            ("an hour", every(3_600_000).collect(), 3_600_000),
            ("a clock that runs slow", every(60_012).collect(), 60_000),
            ("an interval that is no round one", every(7_300).collect(), 7_300),
            ("every sixth row is missing", every(60_000).filter(|ms| ms / 60_000 % 6 != 5).collect(), 60_000),
            ("every row twice", every(60_000).flat_map(|ms| [ms, ms]).collect(), 60_000),
            ("jitter of a sixth", every(60_000).map(|ms| ms + ms / 60_000 % 3 * 10_000).collect(), 60_000),
            ("a gap of a day", every(60_000).map(|ms| ms + ms / 1_200_000 * 86_400_000).collect(), 60_000),
            ("one out of order", [0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map(|n| n * 5_000).to_vec(), 5_000),
            (
                "the example",
                [0, 60, 120, 240, 302, 360, 420, 480, 540, 600, 660, 720].map(|s| s * 1_000).to_vec(),
                60_000,
            ),
        ] {
            assert_eq!(of(times).interval_ms(), Some(expected), "{what}");
        }
    }

    #[test]
    fn irregular_runs_are_irregular() {
        let by_exception = [0, 2, 40, 41, 80, 110, 150, 152, 190, 300, 302, 350, 420, 500, 530, 600, 604, 900];
        let half_and_half = (0..20).map(|n| n * 1_000).chain((1..=20).map(|n| 20_000 + n * 10_000));
        for (what, cadence) in
            [("by exception", of(by_exception.map(|s| s * 1_000))), ("it changed in the middle", of(half_and_half))]
        {
            assert!(matches!(cadence, Cadence::Irregular { .. }), "{what}: {cadence:?}");
        }
        for few in 0..=MIN_DIFFERENCES as i64 {
            assert_eq!(of((0..few).map(|n| n * 1_000)), Cadence::Unknown, "{few} times");
        }
    }

    /// Times of `count` scans, one every `every_ms`, each of `tags` tags that are about `spacing_ms` apart.
    fn scans(count: i64, every_ms: i64, tags: i64, spacing_ms: i64) -> impl Iterator<Item = i64> {
        (0..count)
            .flat_map(move |scan| (0..tags).map(move |tag| scan * every_ms + tag * spacing_ms + (scan * 7 + tag) % 3))
    }

    #[test]
    fn scans_have_the_cadence_of_the_scans_and_runs_that_of_their_readings() {
        let minutes = |ms: i64| 60_000 * ms;
        for (what, times, expected) in [
            ("ten tags a minute", scans(30, 60_000, 10, 15).collect::<Vec<_>>(), Some(60_000)),
            ("two tags a minute", scans(30, 60_000, 2, 5).collect(), Some(60_000)),
            ("64 tags a minute", scans(15, 60_000, 64, 15).collect(), Some(60_000)),
            ("64 tags each second, 2 ms apart", scans(30, 1_000, 64, 2).collect(), Some(1_000)),
            ("ten tags an hour, a polling of 900 ms each", scans(12, 3_600_000, 10, 900).collect(), Some(3_600_000)),
            ("ten tags each 7 s, 120 ms apart", scans(30, 7_000, 10, 40).collect(), Some(7_000)),
            ("too few scans to tell", scans(10, 60_000, 10, 15).collect(), None),
            ("just enough of them", scans(11, 60_000, 10, 15).collect(), Some(60_000)),
            ("runs of 3 min an hour", scans(5, 3_600_000, 180, 1_000).collect(), Some(1_000)),
            ("600 values each minute, 40 ms apart", scans(12, 60_000, 600, 40).collect(), Some(60_000)),
            ("a value each 20 ms", (0..900).map(|n| n * 20).collect(), Some(20)),
            ("a day's outages: 20 s each hour", scans(24, 3_600_000, 358, 10_000).collect(), Some(10_000)),
            ("59 s and 61 s in turn", (0..30).map(|n| minutes(n) + n % 2 * 1_000).collect(), Some(60_000)),
        ] {
            let mut live = CadenceMeter::live();
            times.iter().for_each(|&ms| live.push(at(ms)));
            for cadence in [of(times), live.cadence()] {
                assert_eq!(cadence.interval_ms(), expected, "{what}: {cadence:?}");
            }
        }
    }

    #[test]
    fn a_typical_pause_is_between_bursts_that_take_little_of_the_time() {
        let pause = |times: Vec<i64>| {
            let mut meter = CadenceMeter::live();
            times.into_iter().for_each(|ms| meter.push(at(ms)));
            meter.typical_pause_ms().expect("a pause")
        };
        for (what, times, expected_s) in [
            ("a post of its own for each of 60 buffered readings", scans(5, 60_000, 60, 80).collect::<Vec<_>>(), 56),
            ("runs of 3 min an hour", scans(5, 3_600_000, 180, 1_000).collect(), 3_421),
            ("outages of 5 min, thrice", scans(4, 7_200_000, 690, 10_000).collect(), 10),
            ("bursts, long ago", scans(5, 60_000, 60, 80).chain((300..600).map(|s| s * 1_000)).collect(), 1),
        ] {
            let found_s = pause(times) / 1_000;
            assert!((found_s - expected_s).abs() <= 1, "{what}: {found_s} s");
        }
    }

    #[test]
    fn a_live_feed_that_changes_is_followed() {
        let mut meter = CadenceMeter::live();
        let mut now = 0;
        let mut feed = |count: usize, every_ms: i64| {
            for _ in 0..count {
                now += every_ms;
                meter.push(at(now));
            }
            (meter.cadence().interval_ms(), meter.typical_pause_ms())
        };
        assert_eq!(feed(3, 10_000), (None, Some(10_000)), "a typical pause is known from the second time on");
        assert_eq!(feed(100, 10_000).0, Some(10_000));
        assert_eq!(feed(10, 60_000).0, None);
        assert_eq!(feed(9, 60_000), (Some(60_000), Some(60_000)));
        assert_eq!(feed(20, 1_000), (Some(1_000), Some(1_000)));
        // At night the pump sends once a minute.
        assert_eq!(feed(2, 60_000).0, None);
        assert_eq!(feed(18, 60_000).0, Some(60_000));
        assert_eq!(feed(20, 1_000), (Some(1_000), Some(1_000)));
    }

    #[test]
    fn sparser_is_one_and_a_half_intervals() {
        let cadence = of((0..20).map(|n| n * 1_500));
        for (interval_ms, sparser) in [(1_000, Some(1_500)), (1_001, None), (1_500, None), (60_000, None)] {
            assert_eq!(cadence.sparser_than(interval_ms), sparser, "{interval_ms}");
        }
        assert_eq!(Cadence::Unknown.sparser_than(1), None);
    }

    #[test]
    fn durations_are_formatted_in_their_usual_unit() {
        for (ms, text) in [
            (15, "15 ms"),
            (1_000, "1 s"),
            (1_500, "1.5 s"),
            (7_300, "7.3 s"),
            (10_100, "10.1 s"),
            (12_400, "12.4 s"),
            (59_865, "59.865 s"),
            (60_000, "1 min"),
            (90_000, "90 s"),
            (300_000, "5 min"),
            (700_000, "700 s"),
            (777_000, "777 s"),
            (1_980_000, "33 min"),
            (2_000_000, "2000 s"),
            (3_600_000, "1 h"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(format_interval(ms), text);
        }
        for (ms, text) in [
            (15, "15 ms"),
            (7_340, "7.3 s"),
            (12_400, "12 s"),
            (59_865, "1 min"),
            (90_000, "90 s"),
            (700_000, "12 min"),
            (3_601_000, "1 h"),
        ] {
            assert_eq!(format_interval_rounded(ms), text);
        }
    }

    #[test]
    fn an_exact_interval_is_kept_and_one_with_jitter_is_rounded() {
        for interval_ms in [
            1_000, 1_500, 2_000, 3_000, 7_000, 7_300, 11_000, 37_000, 59_000, 61_000, 100_000, 333_000, 777_000,
            1_200_000, 1_500_000, 2_000_000, 2_400_000, 3_000_000, 3_599_000, 3_600_000, 3_700_000,
        ] {
            let exact = |n: i64| (0..n).map(move |row| row * interval_ms);
            for times in [exact(13), exact(40), exact(2_000)] {
                assert_eq!(of(times).interval_ms(), Some(interval_ms));
            }
        }
        // Milliseconds of each difference, in turn.
        let poll = [10_007, 10_043, 10_120, 10_015, 10_080, 10_011];
        for (what, differences, expected) in [
            ("10 s, one in ten 11 s", [[10_000; 9].as_slice(), &[11_000]].concat(), 10_000),
            ("10 s, one in seven 11 s", [[10_000; 6].as_slice(), &[11_000]].concat(), 10_000),
            ("10 s, one in six 11 s", [[10_000; 5].as_slice(), &[11_000]].concat(), 10_000),
            ("10 s, one in twenty 9 s", [[10_000; 19].as_slice(), &[9_000]].concat(), 10_000),
            ("10 s and the time that a poll takes", poll.to_vec(), 10_000),
            ("10.1 s exactly", vec![10_100], 10_100),
            ("10.1 s, give or take 20 ms", vec![10_080, 10_120, 10_100], 10_100),
            ("60 s of a timer 3 ms late", vec![60_003], 60_000),
            ("a minute, whole seconds", vec![60_000, 60_000, 60_000, 61_000, 59_000, 60_000], 60_000),
            ("33 min 20 s, give or take 1 s", vec![1_999_000, 2_001_000, 2_000_000], 2_000_000),
            ("15 min, and up to half a minute", vec![900_000, 915_000, 900_000, 885_000], 900_000),
        ] {
            let mut at_ms = 0;
            let times = differences.iter().cycle().take(120).map(|ms| {
                at_ms += ms;
                at_ms
            });
            let times: Vec<i64> = times.collect();
            assert_eq!(of(times.iter().copied()).interval_ms(), Some(expected), "{what}");
            let mut live = CadenceMeter::live();
            times.into_iter().for_each(|ms| live.push(at(ms)));
            assert_eq!(live.cadence().interval_ms(), Some(expected), "{what}, live");
        }
    }

    proptest! {
        /// For any interval: jitter of up to a sixth of it, one row in ten missing, one row in eight doubled, and a
        /// gap.
        #[test]
        fn the_interval_of_noisy_times_is_found(
            interval_ms in 1_000_i64..=3_600_000,
            rows in prop::collection::vec((-0.16_f64..0.16, 0_u8..10, 0_u8..8), 60..300),
            gap in 0_i64..100,
        ) {
            let mut times = Vec::new();
            for (n, (jitter, kept, twice)) in (0_i64..).zip(rows) {
                let after_gap = if n > 30 { gap * interval_ms } else { 0 };
                let ms = n * interval_ms + after_gap + (jitter * interval_ms as f64) as i64;
                times.extend((kept > 0).then_some(ms));
                times.extend((kept > 0 && twice == 0).then_some(ms));
            }
            let found = of(times).interval_ms();
            prop_assert!(found.is_some_and(|found| (found - interval_ms).abs() * 40 <= interval_ms), "{found:?}");
        }

        /// No times make it panic, and an interval is never 0.
        #[test]
        fn any_times_have_a_cadence(times in prop::collection::vec(0_i64..1_000_000_000, 0..100)) {
            if let Some(interval_ms) = of(times).interval_ms() {
                prop_assert!(interval_ms >= 1);
            }
        }
    }
}
