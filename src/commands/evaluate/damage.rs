//! Damages the rows of a recording after its training rows, as happens in plants: missing cells, noise, drift, times
//! that jitter.
//!
//! The unit of noise and drift is the channel's standard deviation in the training rows. A drift begins with 0 at the
//! first row after the training rows and grows evenly to its size at the last row. Labels are not changed. The same
//! seed and recording give the same damage of each kind, even if other kinds are added or left out.
//!
//! Example: `dropout=0.1,drift.Volume Flow RateRMS=3` on a recording with 400 training rows and 700 more. A tenth of
//! the cells of the 700 rows is missing. The flow's standard deviation in the 400 training rows is 0.8 L/min, so row
//! 750, half way, reads 1.2 L/min too much and the last row 2.4 L/min.
//!
//! Does not damage the training rows.

use anyhow::{Result, anyhow};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::StandardNormal;
use volute_data::Row;
use volute_plant::{Profile, Sample, Timestamp};

use crate::cli::Damage;

/// The purposes of random numbers. Each has a random number generator of its own, so that one kind of damage does not
/// change another.
const DROPOUT: u64 = 1;
const JITTER: u64 = 2;
const NOISE: u64 = 3;

/// Damages the rows from `training_rows` on. Returns an error if the profile does not have a channel that is to be
/// damaged.
pub fn damage_rows(
    damage: &Damage,
    profile: &Profile,
    rows: &mut [Row],
    training_rows: usize,
    seed: u64,
) -> Result<()> {
    let (training, rows) = rows.split_at_mut(training_rows.min(rows.len()));
    for (name, sigmas) in &damage.noise {
        let channel = index_of(profile, name)?;
        let size = sigmas * standard_deviation(training, channel);
        let mut rng = stream(seed, NOISE + channel as u64);
        add(profile, rows, channel, |_| size * rng.sample::<f64, _>(StandardNormal));
    }
    let last = rows.len().saturating_sub(1).max(1) as f64;
    for (name, sigmas) in &damage.drift {
        let channel = index_of(profile, name)?;
        let size = sigmas * standard_deviation(training, channel);
        add(profile, rows, channel, |index| size * index as f64 / last);
    }
    drop_cells(damage.dropout, rows, seed);
    jitter(damage.jitter_s, training.last().map(|row| row.at), rows, seed);
    Ok(())
}

/// Returns the seed of the damage to one recording, derived from the hash of the recording's content in hex.
pub fn seed_of(seed: u64, sha256: &str) -> u64 {
    let digits = sha256.get(..12).unwrap_or_default();
    seed.wrapping_add(u64::from_str_radix(digits, 16).unwrap_or_default())
}

fn index_of(profile: &Profile, name: &str) -> Result<usize> {
    profile.index_of(name).ok_or_else(|| {
        let names: Vec<&str> = profile.channel_names().collect();
        anyhow!("--damage: no channel is named {name:?}; there are: {}", names.join(", "))
    })
}

fn stream(seed: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(purpose))
}

fn standard_deviation(rows: &[Row], channel: usize) -> f64 {
    let values: Vec<f64> = rows.iter().filter_map(|row| row.samples.get(channel)?.good()).collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Adds to the good values of a channel. A sum outside the plausible range is a bad value.
fn add(profile: &Profile, rows: &mut [Row], channel: usize, mut addend: impl FnMut(usize) -> f64) {
    for (index, row) in rows.iter_mut().enumerate() {
        let addend = addend(index);
        let mut samples = row.samples.to_vec();
        if let Some(value) = samples.get(channel).and_then(|sample| sample.good()) {
            samples[channel] = profile.channels()[channel].sample(value + addend);
        }
        row.samples = samples.into();
    }
}

fn drop_cells(share: f64, rows: &mut [Row], seed: u64) {
    let mut rng = stream(seed, DROPOUT);
    for row in rows {
        let sample = |sample: &Sample| if rng.random::<f64>() < share { Sample::Missing } else { *sample };
        row.samples = row.samples.iter().map(sample).collect();
    }
}

/// Moves the times at random, and keeps their order: a row is at least 1 ms later than the row before it.
fn jitter(seconds: f64, last: Option<Timestamp>, rows: &mut [Row], seed: u64) {
    if seconds == 0.0 {
        return;
    }
    let mut rng = stream(seed, JITTER);
    let mut previous = last;
    for row in rows {
        let moved = row.at.plus_ms((1_000.0 * seconds * rng.random_range(-1.0..1.0)).round() as i64);
        row.at = previous.map_or(moved, |previous| moved.max(previous.plus_ms(1)));
        previous = Some(row.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;

    const TRAINING_ROWS: usize = 100;

    /// Returns rows once per second, whose channels alternate between 1 and 3: a mean of 2, a standard deviation of 1.
    fn rows(profile: &Profile) -> Vec<Row> {
        let start: Timestamp = "2026-03-09T10:00:00Z".parse().expect("a time");
        let row = |index: i64| Row {
            at: start.plus_ms(1_000 * index),
            samples: vec![Sample::Good(if index % 2 == 0 { 1.0 } else { 3.0 }); profile.channels().len()].into(),
            normal: None,
            anomaly: Some(false),
            recorded_at: index.to_string(),
        };
        (0..1_100).map(row).collect()
    }

    fn damaged(text: &str, seed: u64) -> Vec<Row> {
        let profile = profiles::load("skab").expect("a profile");
        let mut rows = rows(&profile);
        let damage: Damage = text.parse().expect("valid");
        damage_rows(&damage, &profile, &mut rows, TRAINING_ROWS, seed).expect("damaged");
        rows
    }

    /// Returns what was added to a channel in the rows after the training rows.
    fn added(rows: &[Row], channel: usize) -> Vec<f64> {
        let profile = profiles::load("skab").expect("a profile");
        let pairs = self::rows(&profile).into_iter().zip(rows).skip(TRAINING_ROWS);
        pairs.filter_map(|(a, b)| Some(b.samples[channel].value()? - a.samples[channel].value()?)).collect()
    }

    #[test]
    fn training_rows_and_labels_stay_and_a_seed_gives_the_same_damage() {
        let text = "dropout=0.1,noise.Current=3,drift.Pressure=3,jitter=0.3";
        let (undamaged, rows) = (rows(&profiles::load("skab").expect("a profile")), damaged(text, 1));
        assert_eq!(undamaged[..TRAINING_ROWS], rows[..TRAINING_ROWS]);
        assert!(undamaged.iter().zip(&rows).all(|(a, b)| a.anomaly == b.anomaly && a.recorded_at == b.recorded_at));
        assert_eq!(rows, damaged(text, 1));
        assert_ne!(rows, damaged(text, 2));
    }

    #[test]
    fn noise_and_drift_are_in_standard_deviations_of_the_training_rows() {
        let rows = damaged("noise.Current=3,drift.Pressure=2", 1);
        let (noise, drift) = (added(&rows, 2), added(&rows, 3));
        let deviation = (noise.iter().map(|v| v * v).sum::<f64>() / noise.len() as f64).sqrt();
        assert!((deviation - 3.0).abs() < 0.25, "{deviation}");
        assert!((drift[0], drift[999]) == (0.0, 2.0) && (drift[500] - 1.0).abs() < 0.01, "{}", drift[500]);
        assert!(added(&rows, 0).iter().all(|addend| *addend == 0.0));
    }

    #[test]
    fn dropout_removes_its_share_and_jitter_keeps_the_order() {
        let rows = damaged("dropout=0.1,jitter=0.8", 3);
        let cells: Vec<&Sample> = rows[TRAINING_ROWS..].iter().flat_map(|row| row.samples.iter()).collect();
        let missing = cells.iter().filter(|sample| ***sample == Sample::Missing).count() as f64 / cells.len() as f64;
        assert!((missing - 0.1).abs() < 0.01, "{missing}");
        assert!(rows.windows(2).all(|pair| pair[0].at < pair[1].at));
        let undamaged = self::rows(&profiles::load("skab").expect("a profile"));
        let furthest = undamaged.iter().zip(&rows).map(|(a, b)| (a.at.millis() - b.at.millis()).abs()).max();
        assert!((600..=800).contains(&furthest.expect("rows")), "{furthest:?}");
    }

    #[test]
    fn an_unknown_channel_is_an_error_that_names_the_channels() {
        let profile = profiles::load("skab").expect("a profile");
        let damage: Damage = "noise.Flow=1".parse().expect("valid");
        let error = damage_rows(&damage, &profile, &mut rows(&profile), 10, 1).expect_err("unknown");
        assert!(error.to_string().contains("Volume Flow RateRMS"), "{error}");
    }
}
