//! Learns a conditional baseline from the readings of healthy running.
//!
//! 1. Each *output* (a channel that is tested) gets weights with which it is predicted from the inputs (`outputs.rs`).
//! 2. From the *residuals*, the values less their predictions, follow the covariances and thresholds of each *scale*, a time over
//!    which residuals are averaged (`covariance.rs`).
//!
//! Readings within one minute repeat each other. So a reading has an *information*: how much it counts in the fit, as a share of
//! an independent reading. Example: at one reading per minute the information is 1. At one per second it is 1/60; of a day of
//! such readings every 15th is used, with the information 15/60. A commissioning of 5 minutes is too short for this: there,
//! readings within a tenth of the time, 30 s, count as one, so that there are 10 independent ones.
//!
//! A channel that is missing in half of the rows or more is not tested. Does not select healthy readings; the caller does.

use volute_plant::Profile;

use super::{
    averages::Scales,
    baseline::{CONDITIONAL_VERSION, ConditionalBaseline, ConditionalLearnedFrom},
    channels::{Channels, Group, OperatingPoint, Output},
    covariance::learn_scales,
    features::OperatingRange,
    fit_error::ConditionalFitError,
    outputs::{OutputFits, RowWeighting},
    table::{Table, TimedSamples, in_order, usual_interval_s},
    tuning::TUNING,
};

impl ConditionalBaseline {
    /// Learns a pump's baseline from readings of healthy running, oldest first. Readings of the standing pump should be
    /// included: with them the averages of the inputs also cover the time in which the pump cools.
    pub fn learn(profile: &Profile, rows: &[TimedSamples]) -> Result<ConditionalBaseline, ConditionalFitError> {
        let rows = in_order(rows);
        let mut baseline = Self::learn_by(OperatingPoint::Speed, profile, &rows)?;
        let has_channel = Channels::of(profile, OperatingPoint::Speed).speed.is_some();
        // In a profile without a speed the current does not become the operating point, because then it would not be tested.
        if !has_channel {
            return Ok(baseline);
        }
        let by_current = || {
            let baseline = Self::learn_by(OperatingPoint::Current, profile, &rows).ok()?;
            baseline.range.speed.is_some().then_some(baseline)
        };
        if baseline.range.speed.is_none() {
            return Ok(by_current().unwrap_or(baseline));
        }
        let by_levels = || Self::learn_by(OperatingPoint::Unmeasured, profile, &rows).ok();
        baseline.without_speed = by_current().or_else(by_levels).map(Box::new);
        baseline.id = baseline.expected_id();
        Ok(baseline)
    }

    /// Learns from rows in order, with this operating point.
    fn learn_by(
        operating_point: OperatingPoint,
        profile: &Profile,
        rows: &[TimedSamples],
    ) -> Result<ConditionalBaseline, ConditionalFitError> {
        let too_few = |found| ConditionalFitError::TooFew { found, expected: TUNING.min_rows };
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(too_few(0)) };
        let interval_s = usual_interval_s(rows).ok_or_else(|| too_few(rows.len()))?;
        let mut channels = Channels::of(profile, operating_point);
        let range = OperatingRange::of(&mut channels, rows);
        // Rows of a start or stop have no outputs, so they do not count here.
        let has =
            |row: &TimedSamples, output: &Output| row.samples.get(output.channel).is_some_and(|s| s.good().is_some());
        let with_outputs: Vec<_> =
            rows.iter().filter(|row| channels.outputs.iter().any(|output| has(row, output))).collect();
        let is_present =
            |output: &Output| 2 * with_outputs.iter().filter(|row| has(row, output)).count() > with_outputs.len();
        channels.outputs.retain(is_present);
        if channels.outputs.is_empty() {
            return Err(ConditionalFitError::NoChannels);
        }
        let table = Table::new(&channels, &range, rows, interval_s);
        if table.running() < TUNING.min_rows {
            return Err(too_few(table.running()));
        }
        let learned = ConditionalLearnedFrom {
            from: first.at,
            to: last.at,
            readings: table.running(),
            running_s: table.running_s(),
        };
        Self::of_table(channels, range, &table, learned)
    }

    fn of_table(
        channels: Channels,
        range: OperatingRange,
        table: &Table,
        learned: ConditionalLearnedFrom,
    ) -> Result<ConditionalBaseline, ConditionalFitError> {
        let (interval_s, running_s) = (table.interval_s, learned.running_s);
        let independent_s = independent_s(interval_s, running_s);
        let stride = ((independent_s / interval_s / 4.0) as usize).min(table.running() / TUNING.fit_rows).max(1);
        let weighting = RowWeighting { information: interval_s / independent_s, stride };
        let term_variances = table.term_variances();
        let OutputFits { outputs, factors, left_out } =
            OutputFits::of(table, &channels.outputs, &term_variances, &weighting)?;
        let mut scales = Scales::new(interval_s, running_s);
        let groups: Vec<Group> = channels.outputs.iter().map(|output| output.group).collect();
        let by_scale = learn_scales(table, &groups, &outputs, &left_out, &mut scales, independent_s)
            .ok_or(ConditionalFitError::Arithmetic)?;
        if by_scale.is_empty() {
            let expected = (TUNING.scale_periods * TUNING.scales_s[0] / interval_s).ceil() as usize;
            return Err(ConditionalFitError::TooFew { found: table.running(), expected });
        }
        let mut baseline = ConditionalBaseline {
            version: CONDITIONAL_VERSION,
            id: String::new(),
            channels,
            range,
            terms: table.terms.clone(),
            term_variances,
            outputs,
            factors,
            scales,
            by_scale,
            information: weighting.information,
            learned,
            without_speed: None,
        };
        baseline.id = baseline.expected_id();
        Ok(baseline)
    }
}

/// Returns the time within which readings repeat each other, in seconds.
fn independent_s(interval_s: f64, running_s: f64) -> f64 {
    let longest = (TUNING.independent_share * running_s).max(interval_s);
    TUNING.independent_s.max(interval_s).min(longest)
}
