//! The readings of a commissioning as a table for the fit: one row per reading, with the values of its *terms* (functions of the
//! inputs speed, ambient temperature and flow) and of its *outputs* (the channels that are predicted).
//!
//! Example: a day at one reading per minute has 1,440 readings, of which 60 are of the standing pump. All of them enter the
//! averages of the inputs, because the pump cools while it stands. Only the 1,380 rows of the running pump are learned from. They
//! are cut into 8 *blocks* of about 172 rows each, three hours of running; each block is left out of one fit (`outputs.rs`).
//!
//! A row whose time is not after that of the row before is left out.

use std::sync::Arc;

use volute_plant::{Reading, Sample, Timestamp};

use super::{
    channels::{Channels, Group, Inputs},
    features::{InputFilter, LoadRange, OperatingRange, SpeedRange},
    ridge::dot,
    terms::{Source, Term},
    tuning::TUNING,
    unknown::{Include, MissingInputs, UnknownTerms},
};
use crate::quantile::quantile;

/// The samples of one reading, one per channel of the profile, and their time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedSamples {
    /// Device time.
    pub at: Timestamp,
    /// In the profile's order.
    pub samples: Arc<[Sample]>,
}

impl From<&Reading> for TimedSamples {
    fn from(reading: &Reading) -> TimedSamples {
        TimedSamples { at: reading.at, samples: reading.samples.clone() }
    }
}

/// The readings of a commissioning.
pub(super) struct Table {
    pub interval_s: f64,
    pub terms: Vec<Term>,
    /// Copied from [`OperatingRange`].
    forgotten_s: [f64; 3],
    pub rows: Vec<TableRow>,
    /// The values of the terms, row by row.
    term_values: Vec<f64>,
    /// The values of the outputs, row by row; NaN if missing.
    values: Vec<f64>,
    outputs: usize,
}

/// One reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableRow {
    /// Seconds since the row before.
    pub elapsed_s: f64,
    /// Whether there is a gap before this row.
    pub after_gap: bool,
    /// The number of its block; `None` if the pump does not run or the ambient temperature is not known yet.
    pub block: Option<usize>,
    /// How fast the speed changes ([`InputFilter::squared_change`]).
    pub squared_change: f64,
    missing: MissingInputs,
}

/// Whether this time between two readings is a gap: more than 10 minutes, and more than 20 intervals.
pub(super) fn is_gap(elapsed_s: f64, interval_s: f64) -> bool {
    elapsed_s > TUNING.gap_s.max(TUNING.gap_intervals * interval_s)
}

/// Returns the rows whose time is after that of all rows before. The samples are shared, not copied.
pub(super) fn in_order(rows: &[TimedSamples]) -> Vec<TimedSamples> {
    let mut last = None;
    let is_later = |row: &&TimedSamples| {
        let later = last.is_none_or(|last| row.at > last);
        if later {
            last = Some(row.at);
        }
        later
    };
    rows.iter().filter(is_later).cloned().collect()
}

/// Returns the median time between successive rows, in seconds; `None` if there are fewer than two rows.
pub(super) fn usual_interval_s(rows: &[TimedSamples]) -> Option<f64> {
    let mut elapsed: Vec<i64> = rows.windows(2).map(|pair| pair[1].at.millis() - pair[0].at.millis()).collect();
    elapsed.sort_unstable();
    elapsed.get(elapsed.len() / 2).map(|ms| *ms as f64 / 1e3)
}

impl OperatingRange {
    /// Returns the ranges of the inputs. An input that is missing in most of the rows is removed from the channels.
    pub(super) fn of(channels: &mut Channels, rows: &[TimedSamples]) -> OperatingRange {
        let inputs: Vec<Inputs> = rows.iter().map(|row| channels.inputs(&row.samples)).collect();
        let values = |of: fn(&Inputs) -> Option<f64>| -> Option<Vec<f64>> {
            let values: Vec<f64> = inputs.iter().filter_map(of).collect();
            (2 * values.len() > rows.len()).then_some(values)
        };
        let (speeds, ambients) = (values(|inputs| inputs.speed), values(|inputs| inputs.ambient));
        let speed = speeds.and_then(speed_range);
        if speed.is_none() {
            channels.speed = None;
        }
        if ambients.is_none() {
            channels.ambient = None;
        }
        let is_running = |inputs: &&Inputs| match (speed, inputs.speed) {
            (Some(range), Some(speed)) => range.is_running(speed),
            _ => true,
        };
        let running = inputs.iter().filter(is_running);
        let flows: Vec<f64> = running.clone().filter_map(|inputs| inputs.flow).collect();
        let load = (4 * flows.len() > running.count()).then(|| load_range(&flows));
        let forgotten_s =
            [|inputs: &Inputs| inputs.speed, |inputs: &Inputs| inputs.ambient, |inputs: &Inputs| inputs.flow]
                .map(|of| forgotten_s(rows, &inputs.iter().filter(is_running).map(of).collect::<Vec<_>>()));
        OperatingRange { speed, ambient: ambients.map(|ambients| mean(&ambients)), load, forgotten_s }
    }
}

/// Returns the time in seconds after which the last value of an input says nothing about the current one, limited to 30 s to half
/// an hour: twice the input's variance, divided by its mean squared change per second.
fn forgotten_s(rows: &[TimedSamples], values: &[Option<f64>]) -> f64 {
    let [shortest_s, longest_s] = TUNING.forgotten_s;
    let present: Vec<f64> = values.iter().copied().flatten().collect();
    let changes = values.windows(2).filter_map(|pair| Some((pair[1]? - pair[0]?).powi(2)));
    let (sum, count) = changes.fold((0.0, 0.0), |(sum, count), square| (sum + square, count + 1.0));
    let Some(interval_s) = usual_interval_s(rows).filter(|_| count > 0.0) else { return shortest_s };
    let level = mean(&present);
    let variance = present.iter().map(|value| (value - level).powi(2)).sum::<f64>() / present.len() as f64;
    (2.0 * variance * interval_s / (sum / count).max(1e-30)).clamp(shortest_s, longest_s)
}

fn speed_range(mut speeds: Vec<f64>) -> Option<SpeedRange> {
    let [low, high] = TUNING.speed_quantiles;
    speeds.sort_by(f64::total_cmp);
    let all = SpeedRange { low: quantile(&speeds, low), high: quantile(&speeds, high) };
    speeds.retain(|speed| all.is_running(*speed));
    (!speeds.is_empty()).then(|| SpeedRange { low: quantile(&speeds, low), high: quantile(&speeds, high) })
}

fn load_range(flows: &[f64]) -> LoadRange {
    let mean = mean(flows);
    let variance = flows.iter().map(|flow| (flow - mean).powi(2)).sum::<f64>() / flows.len() as f64;
    LoadRange { mean, scale: (2.0 * variance.sqrt()).max(1e-9) }
}

/// Returns the mean of at least one value.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Table {
    /// Creates the table from rows in order.
    pub(super) fn new(channels: &Channels, range: &OperatingRange, rows: &[TimedSamples], interval_s: f64) -> Table {
        let load = range.load.is_some() && channels.outputs.iter().any(|output| output.group == Group::Loaded);
        let mut terms = Term::all(range.speed.is_some(), range.ambient.is_some(), load, interval_s);
        if range.speed.is_some_and(SpeedRange::is_narrow) {
            terms.retain(|term| !term.is_curved());
        }
        let outputs = channels.outputs.len();
        let mut table = Table {
            interval_s,
            forgotten_s: range.forgotten_s,
            rows: Vec::new(),
            term_values: Vec::new(),
            values: Vec::new(),
            outputs,
            terms,
        };
        let mut filter = InputFilter::default();
        let (mut row_terms, mut row_values) = (Vec::new(), Vec::new());
        let mut last: Option<Timestamp> = None;
        for row in rows {
            let elapsed_s = last.map_or(interval_s, |last| (row.at.millis() - last.millis()) as f64 / 1e3);
            last = Some(row.at);
            let inputs = channels.inputs(&row.samples);
            filter.advance(range, &inputs, elapsed_s);
            filter.terms(range, &table.terms, &mut row_terms);
            channels.outputs(&row.samples, &mut row_values);
            table.term_values.extend_from_slice(&row_terms);
            table.values.extend_from_slice(&row_values);
            let runs = channels.is_on(&row.samples)
                && range.speed.is_none_or(|range| filter.speed().is_some_and(|speed| range.is_running(speed)));
            let known = range.ambient.is_none() || filter.has(Source::Ambient);
            table.rows.push(TableRow {
                elapsed_s,
                after_gap: is_gap(elapsed_s, interval_s),
                block: (runs && known).then_some(0),
                squared_change: filter.squared_change(range),
                missing: MissingInputs::of(&inputs),
            });
        }
        table.set_blocks();
        table
    }

    /// Cuts the rows of the running pump into blocks of equal size.
    fn set_blocks(&mut self) {
        let running = self.running();
        let blocks = self.rows.iter_mut().filter_map(|row| row.block.as_mut());
        for (index, block) in blocks.enumerate() {
            *block = index * TUNING.blocks / running;
        }
    }

    /// Returns the number of rows of the running pump.
    pub(super) fn running(&self) -> usize {
        self.rows.iter().filter(|row| row.block.is_some()).count()
    }

    /// Returns how long the pump ran, in seconds.
    pub(super) fn running_s(&self) -> f64 {
        self.running() as f64 * self.interval_s
    }

    /// Returns the values of the terms in a row.
    pub(super) fn terms_of(&self, row: usize) -> &[f64] {
        &self.term_values[row * self.terms.len()..(row + 1) * self.terms.len()]
    }

    /// Returns an output's value in a row; NaN if it is missing.
    pub(super) fn value(&self, row: usize, output: usize) -> f64 {
        self.values[row * self.outputs + output]
    }

    /// Returns the variance of each term over the running pump's rows.
    pub(super) fn term_variances(&self) -> Vec<f64> {
        let (mut sums, mut squares) = (vec![0.0; self.terms.len()], vec![0.0; self.terms.len()]);
        let running: Vec<usize> = (0..self.rows.len()).filter(|row| self.rows[*row].block.is_some()).collect();
        for row in &running {
            for (sum, term) in sums.iter_mut().zip(self.terms_of(*row)) {
                *sum += term;
            }
        }
        let count = running.len().max(1) as f64;
        for row in &running {
            for ((square, sum), term) in squares.iter_mut().zip(&sums).zip(self.terms_of(*row)) {
                *square += (term - sum / count).powi(2);
            }
        }
        squares.into_iter().map(|square| square / count).collect()
    }

    /// Returns for each output, and each row, the variance of the prediction with the output's `weights` because the inputs are
    /// not fully known (`unknown.rs`).
    pub(super) fn unknown_variances(&self, weights: &[&[f64]], term_variances: &[f64]) -> Vec<Vec<f64>> {
        let new = || UnknownTerms::new(&self.terms, term_variances);
        let mut unknown = new();
        let mut variances = vec![Vec::with_capacity(self.rows.len()); weights.len()];
        for row in &self.rows {
            if row.after_gap {
                unknown = new();
            }
            unknown.advance(&self.terms, term_variances, &self.forgotten_s, row.missing, row.elapsed_s);
            for (variances, weights) in variances.iter_mut().zip(weights) {
                variances.push(unknown.variance(&self.terms, weights, Include::All));
            }
        }
        variances
    }

    /// Returns for each row an output's value less its prediction with these weights; NaN where the value is missing or the pump
    /// does not run.
    pub(super) fn residuals(&self, output: usize, weights: &[f64]) -> Vec<f64> {
        let residual = |row: usize| match self.rows[row].block {
            Some(_) => self.value(row, output) - dot(weights, self.terms_of(row)),
            None => f64::NAN,
        };
        (0..self.rows.len()).map(residual).collect()
    }
}
