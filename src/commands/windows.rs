//! From recorded rows to windows, with the windower that a live node uses; and at which interval.
//!
//! Where time goes back further than a live node waits for a late reading, a new windower begins: rows whose clock was ahead
//! for a while do not hide those after them.

use std::{num::NonZeroUsize, path::Path};

use anyhow::{Context, Result, bail};
use volute_data::{Row, parts};
use volute_plant::{
    Cadence, INTERVALS_MS, Placed, Profile, PumpId, Reading, Window, WindowRules, Windower,
    cadence::{Evidence, about_in_words, in_words},
};

/// The profile with the interval that these recordings have: `asked` if somebody has said one, else the profile's own, or
/// that of their rows where these are sparser. Of several recordings the sparsest counts: every other one fills its steps.
/// An error where that is not what a pump's interval may be.
pub fn at_their_interval<'a>(
    profile: &Profile,
    asked: Option<i64>,
    recordings: impl IntoIterator<Item = (&'a Path, &'a [Row])>,
) -> Result<Profile> {
    if let Some(interval_ms) = asked {
        return profile
            .with_interval(interval_ms)
            .with_context(|| format!("no pump's interval is {}", in_words(interval_ms)));
    }
    let mut at_theirs = profile.clone();
    for (file, rows) in recordings {
        let found = Cadence::of(rows.iter().map(|row| row.at)).sparser_than(profile.interval_ms());
        if let Some(found) = found.filter(|found| *found > at_theirs.interval_ms()) {
            let (every, own) = (in_words(found), in_words(profile.interval_ms()));
            let Some(with) = profile.with_interval(found) else {
                let (least, most) = (in_words(*INTERVALS_MS.start()), in_words(*INTERVALS_MS.end()));
                bail!(
                    "{}: the rows come every {every}, and a pump's interval may be {least} to {most}: a recording of denser \
                     rows is needed",
                    file.display()
                );
            };
            tracing::info!(file = %file.display(), every, profile = own, "interval taken from the recording");
            at_theirs = with;
        }
    }
    Ok(at_theirs)
}

/// Why there is no window in these rows, as far as their times say, and what to do.
pub fn no_window(profile: &Profile, rows: &[Row]) -> String {
    let need = format!(
        "a window is {} steps of {} without a hole of more than {}",
        WindowRules::LEN,
        in_words(profile.interval_ms()),
        in_words(WindowRules::for_profile(profile).fill_steps * profile.interval_ms())
    );
    let said = match Cadence::of(rows.iter().map(|row| row.at)) {
        Cadence::Unknown => format!("{} rows are too few", rows.len()),
        Cadence::Regular { interval_ms, .. } => {
            format!("the rows come every {}, so look for missing values and BROKEN rows", in_words(interval_ms))
        }
        Cadence::Irregular { evidence: Evidence { median_ms, p90_ms, .. } } => format!(
            "the rows come irregularly (half of them within {} of the one before, nine of ten within {}): \
             say an interval with --interval-ms{}",
            about_in_words(median_ms),
            about_in_words(p90_ms),
            if INTERVALS_MS.contains(&p90_ms) { format!(", as {p90_ms}") } else { String::new() }
        ),
    };
    format!("{need}; {said}")
}

/// The windows that the rows would give on a live node, with their readings, in order.
pub fn placed(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<Placed> {
    let mut placed = Vec::with_capacity(rows.len());
    for part in parts(rows, slack_ms(profile)) {
        let mut windower = Windower::new(profile);
        for row in part {
            placed.extend(windower.push(reading(pump, row)));
        }
        placed.extend(windower.flush());
    }
    placed
}

/// The windows to train on, every nth of them: none holds a row that is known not to be normal.
pub fn training_windows(profile: &Profile, pump: &PumpId, rows: &[Row], every: NonZeroUsize) -> Vec<Window> {
    let mut windows = Vec::new();
    let normal = rows.split(|row| row.normal == Some(false));
    for run in normal.flat_map(|run| parts(run, slack_ms(profile))) {
        let mut windower = Windower::new(profile);
        let mut found = 0;
        let mut keep = |placed: Vec<Placed>| {
            for window in placed.into_iter().filter_map(|placed| placed.window.ok()) {
                if found % every == 0 {
                    windows.push(window);
                }
                found += 1;
            }
        };
        for row in run {
            keep(windower.push(reading(pump, row)));
        }
        keep(windower.flush());
    }
    windows
}

/// How late a reading may be and still get its place.
fn slack_ms(profile: &Profile) -> i64 {
    let rules = WindowRules::for_profile(profile);
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

    /// Seconds from the start, each with the values of a pump that runs.
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
        for (every_s, fine) in [(1, true), (60, true), (3_600, true), (3_700, false), (7_200, false), (86_400, false)] {
            let rows = rows(&profile, (0..30).map(|n| n * every_s));
            let taken = at_their_interval(&profile, None, [(Path::new("a.csv"), rows.as_slice())]);
            match taken {
                Ok(taken) => assert!(fine && taken.interval_ms() == 1000 * every_s, "{every_s}"),
                Err(error) => {
                    let (error, every) = (error.to_string(), in_words(1000 * every_s));
                    assert!(!fine && error.contains(&every) && error.contains(&in_words(3_600_000)), "{error}");
                }
            }
        }
    }

    #[test]
    fn rows_whose_clock_was_ahead_hide_nothing_after_them() {
        let profile = profiles::load("skab").expect("a profile");
        let pump: PumpId = "P".parse().expect("a name");
        let windows = |rows: &[Row]| {
            let placed = placed(&profile, &pump, rows).into_iter().filter(|placed| placed.window.is_ok()).count();
            (training_windows(&profile, &pump, rows, NonZeroUsize::MIN).len(), placed)
        };
        let whole = windows(&rows(&profile, 0..600)).0;
        let ahead = |from: i64| (0..600).map(move |n| if (from..from + 5).contains(&n) { n + 3600 } else { n });
        for from in [100, 300, 590] {
            let (trained, placed) = windows(&rows(&profile, ahead(from)));
            // The five, and a window's worth of rows after them.
            assert!(trained >= whole - 2 * WindowRules::LEN - 5, "{trained} of {whole} windows from {from}");
            assert_eq!(trained, placed);
        }
        let swapped = (0..600).map(|n| match n % 10 {
            3 => n + 1,
            4 => n - 1,
            _ => n,
        });
        assert_eq!(
            windows(&rows(&profile, swapped)),
            (whole, whole),
            "two rows in each other's place are put in order"
        );
    }
}
