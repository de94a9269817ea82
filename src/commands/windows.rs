//! Makes windows of recorded rows, with the windower of a live node, and finds the interval that fits the rows.
//!
//! A new segment of rows begins wherever time goes back by more than a live node waits for a late reading, and each
//! segment gets a new windower. So rows of a time when the clock was ahead do not make later rows late.
//!
//! Example: a recording of the profile `skab`, whose interval is 1 s, has one row per minute. [`with_interval_of`]
//! returns the profile with an interval of 1 min, and a window is then 30 rows, 30 min long.

use std::{num::NonZeroUsize, path::Path};

use anyhow::{Context, Result, bail};
use volute_anomaly::HealthyStep;
use volute_data::{Row, ordered_segments};
use volute_plant::{
    Cadence, INTERVAL_RANGE_MS, Profile, PumpId, Reading, Window, WindowConfig, WindowedReading, Windower,
    cadence::{Evidence, format_interval, format_interval_rounded},
};

/// Returns the profile with the interval for these recordings: `requested_ms` if given, or else the profile's interval,
/// or the interval of the recordings' rows if that is longer. The longest interval of all recordings applies, because
/// denser rows fill its steps too. Returns an error if a pump cannot have that interval.
pub fn with_interval_of<'a>(
    profile: &Profile,
    requested_ms: Option<i64>,
    recordings: impl IntoIterator<Item = (&'a Path, &'a [Row])>,
) -> Result<Profile> {
    if let Some(interval_ms) = requested_ms {
        return profile
            .with_interval(interval_ms)
            .with_context(|| format!("{} is not a valid interval of a pump", format_interval(interval_ms)));
    }
    let mut result = profile.clone();
    for (file, rows) in recordings {
        let row_interval_ms = Cadence::of(rows.iter().map(|row| row.at)).sparser_than(profile.interval_ms());
        if let Some(interval_ms) = row_interval_ms.filter(|interval_ms| *interval_ms > result.interval_ms()) {
            let (every, own) = (format_interval(interval_ms), format_interval(profile.interval_ms()));
            let Some(adjusted) = profile.with_interval(interval_ms) else {
                let (min, max) =
                    (format_interval(*INTERVAL_RANGE_MS.start()), format_interval(*INTERVAL_RANGE_MS.end()));
                bail!(
                    "{}: the file has one row every {every}, and a pump's interval is {min} to {max}: use a recording \
                     with denser rows",
                    file.display()
                );
            };
            tracing::info!(file = %file.display(), every, profile = own, "interval taken from the recording");
            result = adjusted;
        }
    }
    Ok(result)
}

/// Explains why rows with these times make no window, and what to do.
pub fn explain_no_window(profile: &Profile, rows: &[Row]) -> String {
    let steps = format!("a window is {} steps of {}", WindowConfig::LEN, format_interval(profile.interval_ms()));
    if rows.len() < WindowConfig::LEN {
        return format!("{steps}; give at least {} rows in one file", WindowConfig::LEN);
    }
    let requirement = format!(
        "{steps} without a gap of more than {}",
        format_interval(WindowConfig::for_profile(profile).fill_steps * profile.interval_ms())
    );
    let cause = match Cadence::of(rows.iter().map(|row| row.at)) {
        Cadence::Unknown => format!("{} rows are too few", rows.len()),
        Cadence::Regular { interval_ms, .. } => format!(
            "the file has one row every {}, so check for missing values and BROKEN rows",
            format_interval(interval_ms)
        ),
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => format!(
            "the rows are irregular (half of them within {} of the one before, nine of ten within {}): \
             set an interval with --interval-ms{}",
            format_interval_rounded(median_ms),
            format_interval_rounded(p90_ms),
            if INTERVAL_RANGE_MS.contains(&p90_ms) { format!(", such as {p90_ms}") } else { String::new() }
        ),
    };
    format!("{requirement}; {cause}")
}

/// Returns the readings of the rows as a live node's windower would return them, in order, each with its window or why
/// it has none.
pub fn windowed_readings(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<WindowedReading> {
    let mut readings = Vec::with_capacity(rows.len());
    for segment in ordered_segments(rows, slack_ms(profile)) {
        let mut windower = Windower::new(profile);
        for row in segment {
            readings.extend(windower.push(reading(pump, row)));
        }
        readings.extend(windower.flush());
    }
    readings
}

/// Returns the steps to learn a baseline from. Rows that are labelled as not normal are left out.
pub fn healthy_steps(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<HealthyStep> {
    let normal = rows.split(|row| row.normal == Some(false));
    let readings = normal.flat_map(|rows| windowed_readings(profile, pump, rows));
    readings
        .map(|WindowedReading { reading, step, window, .. }| HealthyStep::new(profile, reading.at, &step, window.ok()))
        .collect()
}

/// Returns every nth window to train on. No window has a row that is labelled as not normal.
pub fn training_windows(profile: &Profile, pump: &PumpId, rows: &[Row], every: NonZeroUsize) -> Vec<Window> {
    let mut windows = Vec::new();
    let normal = rows.split(|row| row.normal == Some(false));
    for segment in normal.flat_map(|rows| ordered_segments(rows, slack_ms(profile))) {
        let mut windower = Windower::new(profile);
        let mut count = 0;
        let mut collect = |readings: Vec<WindowedReading>| {
            for window in readings.into_iter().filter_map(|reading| reading.window.ok()) {
                if count % every == 0 {
                    windows.push(window);
                }
                count += 1;
            }
        };
        for row in segment {
            collect(windower.push(reading(pump, row)));
        }
        collect(windower.flush());
    }
    windows
}

/// Returns the time for which a live node waits for a late reading, in milliseconds.
fn slack_ms(profile: &Profile) -> i64 {
    let rules = WindowConfig::for_profile(profile);
    rules.slack_steps * rules.interval_ms
}

fn reading(pump: &PumpId, row: &Row) -> Reading {
    Reading { pump: pump.clone(), at: row.at, received: row.at, samples: row.samples.clone(), late: false }
}

#[cfg(test)]
mod tests {
    use volute_plant::{Sample, Timestamp};

    use super::*;
    use crate::profiles;

    /// Returns one row for each second from the start, with the values of a running pump.
    fn rows(profile: &Profile, seconds: impl Iterator<Item = i64>) -> Vec<Row> {
        let start: Timestamp = "2026-03-09T10:00:00Z".parse().expect("a time");
        let row = |second: i64| Row {
            at: start.plus_ms(1000 * second),
            samples: vec![Sample::Good(1.5); profile.channels().len()].into(),
            normal: None,
            anomaly: None,
            recorded_at: second.to_string(),
        };
        seconds.map(row).collect()
    }

    #[test]
    fn rows_that_are_too_sparse_are_an_error_that_names_the_limit() {
        let profile = profiles::load("skab").expect("a profile");
        for (every_s, valid) in
            [(1, true), (60, true), (3_600, true), (3_700, true), (86_400, true), (87_000, false), (172_800, false)]
        {
            let rows = rows(&profile, (0..30).map(|n| n * every_s));
            let adjusted = with_interval_of(&profile, None, [(Path::new("a.csv"), rows.as_slice())]);
            match adjusted {
                Ok(adjusted) => assert!(valid && adjusted.interval_ms() == 1000 * every_s, "{every_s}"),
                Err(error) => {
                    let (error, every) = (error.to_string(), format_interval(1000 * every_s));
                    assert!(
                        !valid && error.contains(&every) && error.contains(&format_interval(86_400_000)),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn rows_with_a_clock_ahead_do_not_make_later_rows_late() {
        let profile = profiles::load("skab").expect("a profile");
        let pump: PumpId = "P".parse().expect("a name");
        let windows = |rows: &[Row]| {
            let readings = windowed_readings(&profile, &pump, rows);
            let with_window = readings.into_iter().filter(|reading| reading.window.is_ok()).count();
            (training_windows(&profile, &pump, rows, NonZeroUsize::MIN).len(), with_window)
        };
        let whole = windows(&rows(&profile, 0..600)).0;
        let ahead = |from: i64| (0..600).map(move |n| if (from..from + 5).contains(&n) { n + 3600 } else { n });
        for from in [100, 300, 590] {
            let (trained, scored) = windows(&rows(&profile, ahead(from)));
            // The five rows are lost, and up to the rows of two windows around them.
            assert!(trained >= whole - 2 * WindowConfig::LEN - 5, "{trained} of {whole} windows from {from}");
            assert_eq!(trained, scored);
        }
        let swapped = (0..600).map(|n| match n % 10 {
            3 => n + 1,
            4 => n - 1,
            _ => n,
        });
        assert_eq!(windows(&rows(&profile, swapped)), (whole, whole), "swapped neighbouring rows are put in order");
    }
}
