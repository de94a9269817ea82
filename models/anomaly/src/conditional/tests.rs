//! Tests of the whole detector on a synthetic pump.

mod faults;
mod healthy;
mod measure;
pub(crate) mod pump;

use std::sync::LazyLock;

use proptest::prelude::*;
use volute_plant::{Sample, Timestamp};

use self::pump::{AMBIENT, BEARING, CURRENT, DAY_S, FLOW, Fault, Pump, SPEED, profile, profile_of};
use super::{
    ConditionalBaseline, ConditionalFitError, ConditionalMemoryError, ConditionalResult, ConditionalState,
    RESIDUAL_LIMIT, TimedSamples,
};

const MINUTE_S: f64 = 60.0;

fn learn(rows: &[TimedSamples]) -> ConditionalBaseline {
    ConditionalBaseline::learn(&profile(), rows).expect("a baseline")
}

/// A pump that is watched.
struct Episodes<'a> {
    baseline: &'a ConditionalBaseline,
    state: ConditionalState,
    /// When each episode began, and the channel that was named.
    began: Vec<(Timestamp, usize)>,
    tested: usize,
    anomalous: usize,
    /// The number of readings at speeds outside of those of commissioning.
    outside: usize,
}

impl<'a> Episodes<'a> {
    /// Watches a pump after its commissioning from these readings.
    fn after(baseline: &'a ConditionalBaseline, rows: &[TimedSamples]) -> Episodes<'a> {
        let state = ConditionalState::after(baseline, rows);
        Episodes { baseline, state, began: Vec::new(), tested: 0, anomalous: 0, outside: 0 }
    }

    fn watch(&mut self, rows: &[TimedSamples]) {
        for row in rows {
            let before = self.state.in_episode();
            let Some(result) = self.state.step(self.baseline, row.at, &row.samples) else { continue };
            if result.channels.iter().all(Option::is_none) {
                continue;
            }
            if result.in_episode && !before {
                self.began.push((row.at, result.blamed));
            }
            self.tested += 1;
            self.anomalous += usize::from(result.in_episode);
            self.outside += usize::from(result.outside_known_range);
        }
    }
}

/// A pump after commissioning.
struct Watched {
    baseline: ConditionalBaseline,
    state: ConditionalState,
    /// The readings of the next day.
    rows: Vec<TimedSamples>,
}

static WATCHED: LazyLock<Watched> = LazyLock::new(|| {
    let mut pump = Pump::new(7, MINUTE_S);
    let rows = pump.run(DAY_S);
    let baseline = learn(&rows);
    let state = ConditionalState::after(&baseline, &rows);
    Watched { baseline, state, rows: pump.run(DAY_S) }
});

/// A baseline at one reading per minute, with the scales 60, 300 and 900 s, or at one per second with 5, 15 and 60 s.
pub(crate) fn baseline(is_fast: bool) -> ConditionalBaseline {
    let mut baseline = WATCHED.baseline.clone();
    if is_fast {
        (baseline.scales.interval_s, baseline.scales.spans_s) = (1.0, vec![5.0, 15.0, 60.0]);
    }
    baseline
}

/// Returns the results for the readings with changed samples.
fn results(rows: &[TimedSamples], change: impl Fn(usize, &mut [Sample])) -> Vec<Option<ConditionalResult>> {
    let (baseline, mut state) = (&WATCHED.baseline, WATCHED.state.clone());
    let step = |(index, row): (usize, &TimedSamples)| {
        let mut samples = row.samples.to_vec();
        change(index, &mut samples);
        state.step(baseline, row.at, &samples)
    };
    rows.iter().enumerate().map(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_added_constant_shows_as_that_channels_z_and_names_it(channel in 1usize..8, up: bool, from in 200usize..1_000) {
        let Watched { baseline, rows, .. } = &*WATCHED;
        let index = baseline.channels.outputs.iter().position(|output| output.channel == channel).expect("an output");
        let constant = if up { 12.0 } else { -12.0 } * baseline.outputs[index].spread;
        let results = results(&rows[..from + 30], |row, samples| {
            if let (true, Sample::Good(value)) = (row >= from, samples[channel]) {
                samples[channel] = Sample::Good(value + constant);
            }
        });
        // At a speed outside of those of commissioning the fault may be hidden.
        prop_assume!(results[from - 60..].iter().flatten().all(|result| !result.outside_known_range));
        let first = results.iter().flatten().find(|result| result.in_episode).expect("an episode");
        prop_assert_eq!(first.blamed, channel);
        let deviation = first.channels[channel].expect("tested");
        prop_assert_eq!(deviation.z > 0.0, up);
        prop_assert!(deviation.z.abs() > deviation.threshold);
    }

    #[test]
    fn masking_a_channel_leaves_the_others_z_finite(channel in 0usize..9, from in 0usize..1_000, length in 1usize..200) {
        let rows = &WATCHED.rows;
        let end = from + length;
        let results = results(&rows[..end], |row, samples| {
            if row >= from {
                samples[channel] = Sample::Missing;
            }
        });
        let last = results[end - 1].as_ref().expect("tested");
        prop_assert!(!last.in_episode || channel == SPEED, "the speed has a test of its own");
        prop_assert!(last.anomaly_score.is_finite());
        // Without the speed the current is the operating point.
        let is_input = |other: usize| channel == SPEED && other == CURRENT && length > 10;
        for other in (1..8).filter(|other| *other != channel && !is_input(*other)) {
            let deviation = last.channels[other].expect("the others are tested");
            prop_assert!(deviation.z.is_finite() && deviation.expected.is_finite());
        }
        if length > 60 && (1..8).contains(&channel) {
            prop_assert_eq!(last.channels[channel].map(|deviation| deviation.time_constant_s < 300.0), None);
        }
    }

    #[test]
    fn a_stored_state_continues_bit_for_bit(at in 0usize..1_400, fault_at in 0usize..1_400) {
        let Watched { baseline, state, rows } = &*WATCHED;
        let faulty: Vec<TimedSamples> = rows.iter().enumerate().map(|(index, row)| {
            let mut samples = row.samples.to_vec();
            if let (true, Sample::Good(value)) = (index > fault_at, samples[BEARING]) {
                samples[BEARING] = Sample::Good(value + 5.0);
            }
            TimedSamples { at: row.at, samples: samples.into() }
        }).collect();
        let mut state = state.clone();
        for row in &faulty[..at] {
            state.step(baseline, row.at, &row.samples);
        }
        let stored = serde_json::to_string(&state).expect("JSON");
        let mut restored: ConditionalState = serde_json::from_str(&stored).expect("a state");
        prop_assert_eq!(restored.check(baseline), Ok(()));
        prop_assert_eq!(&restored, &state);
        for row in &faulty[at..] {
            let (a, b) = (state.step(baseline, row.at, &row.samples), restored.step(baseline, row.at, &row.samples));
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(restored, state);
    }
}

#[test]
fn a_baseline_is_reproducible_and_survives_storage() {
    let mut pump = Pump::new(7, MINUTE_S);
    let rows = pump.run(DAY_S);
    let baseline = &WATCHED.baseline;
    assert_eq!(&learn(&rows), baseline);
    let stored = serde_json::to_string(baseline).expect("JSON");
    let parsed: ConditionalBaseline = serde_json::from_str(&stored).expect("a baseline");
    assert_eq!((parsed.check(&profile()), &parsed), (Ok(()), baseline));
    assert_eq!(baseline.interval_ms(), 60_000);
    assert_eq!(baseline.learned().readings, 1_440);
    assert!(!baseline.is_output(SPEED) && !baseline.is_output(AMBIENT) && baseline.is_output(BEARING));
}

#[test]
fn rows_that_repeat_or_go_back_in_time_change_nothing() {
    let mut pump = Pump::new(7, MINUTE_S);
    let rows = pump.run(DAY_S);
    let mut repeated: Vec<TimedSamples> = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
    repeated.insert(1_000, rows[3].clone());
    assert_eq!(learn(&repeated).id(), WATCHED.baseline.id());
}

#[test]
fn a_state_or_baseline_that_does_not_fit_is_refused() {
    let Watched { baseline, state, rows } = &*WATCHED;
    let other = learn(rows);
    assert!(matches!(state.check(&other), Err(ConditionalMemoryError::Baseline { .. })));
    assert!(matches!(baseline.check(&profile_of(&[1, 2, 3])), Err(ConditionalMemoryError::Shape(_))));
    let change = |from: &str, to: &str| {
        let text = serde_json::to_string(baseline).expect("JSON").replace(from, to);
        serde_json::from_str::<ConditionalBaseline>(&text).expect("a baseline").check(&profile())
    };
    assert!(matches!(change("\"version\":3", "\"version\":4"), Err(ConditionalMemoryError::Version { found: 4 })));
    assert!(matches!(
        change("\"interval_s\":60.0", "\"interval_s\":61.0"),
        Err(ConditionalMemoryError::Baseline { .. })
    ));
    let broken = serde_json::to_string(&state).expect("JSON").replacen(
        "\"ramps\":\"",
        "\"ramps\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        1,
    );
    let broken: ConditionalState = serde_json::from_str(&broken).expect("a state");
    assert!(matches!(broken.check(baseline), Err(ConditionalMemoryError::Shape(_))));
}

#[test]
fn too_little_is_refused() {
    let fit = |rows: &[TimedSamples]| ConditionalBaseline::learn(&profile(), rows);
    let mut pump = Pump::new(1, MINUTE_S);
    let rows = pump.run(DAY_S);
    assert_eq!(fit(&[]), Err(ConditionalFitError::TooFew { found: 0, expected: 32 }));
    assert!(matches!(fit(&rows[..20]), Err(ConditionalFitError::TooFew { found: 20, .. })));
    let only_inputs: Vec<TimedSamples> =
        rows.iter().map(|row| TimedSamples { at: row.at, samples: row.samples[..1].into() }).collect();
    assert_eq!(fit(&only_inputs), Err(ConditionalFitError::NoChannels));
    let mut pump = Pump::new(1, 1.0);
    assert!(matches!(fit(&pump.run(60.0)), Err(ConditionalFitError::TooFew { .. })), "no scale fits into a minute");
}

#[test]
fn a_channel_that_was_absent_in_commissioning_is_not_tested() {
    let mut pump = Pump::new(1, MINUTE_S);
    let absent = |row: TimedSamples| {
        let mut samples = row.samples.to_vec();
        samples[BEARING] = Sample::Missing;
        samples[AMBIENT] = Sample::Missing;
        TimedSamples { at: row.at, samples: samples.into() }
    };
    let learned = pump.run(DAY_S).into_iter().map(absent).collect::<Vec<_>>();
    let baseline = learn(&learned);
    assert!(!baseline.is_output(BEARING));
    let mut episodes = Episodes::after(&baseline, &learned);
    episodes.watch(&pump.run(DAY_S));
    assert_eq!(episodes.tested, 1_440);
    pump.fault = Some((Fault::Vibration, pump.time_s()));
    episodes.watch(&pump.run(3_600.0));
    assert_eq!(episodes.began.len(), 1);
}

#[test]
fn a_constant_channel_counts_in_its_resolution() {
    let mut pump = Pump::new(1, MINUTE_S);
    let constant = |row: &TimedSamples, value: f64| {
        let mut samples = row.samples.to_vec();
        samples[BEARING] = Sample::Good(value);
        TimedSamples { at: row.at, samples: samples.into() }
    };
    let learned = pump.run(DAY_S).iter().map(|row| constant(row, 40.0)).collect::<Vec<_>>();
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    episodes.watch(&pump.run(DAY_S).iter().map(|row| constant(row, 40.0)).collect::<Vec<_>>());
    assert_eq!(episodes.began, []);
    episodes.watch(&pump.run(3_600.0).iter().map(|row| constant(row, 60.0)).collect::<Vec<_>>());
    assert_eq!(episodes.began.first().map(|(_, blamed)| *blamed), Some(BEARING));
}

#[test]
fn residuals_exist_from_the_first_reading_on_and_say_which_channels_have_no_value() {
    let Watched { baseline, rows, .. } = &*WATCHED;
    let mut state = ConditionalState::new(baseline);
    let mut samples = rows[0].samples.to_vec();
    samples[BEARING] = Sample::Missing;
    samples[FLOW] = Sample::Good(1e4);
    let result = state.step(baseline, rows[0].at, &samples).expect("the pump runs");
    for (channel, residual) in result.residuals.iter().enumerate() {
        assert_eq!(residual.is_none(), [SPEED, AMBIENT, BEARING].contains(&channel), "channel {channel}");
    }
    assert_eq!(result.residuals[FLOW], Some(RESIDUAL_LIMIT));
    // Healthy ones are about 1.
    let mut state = WATCHED.state.clone();
    let (mut squares, mut count) = (0.0, 0.0);
    for row in rows {
        let result = state.step(baseline, row.at, &row.samples).expect("the pump runs");
        for residual in result.residuals.into_iter().flatten() {
            (squares, count) = (squares + residual * residual, count + 1.0);
        }
    }
    let sd: f64 = f64::sqrt(squares / count);
    assert!((0.8..1.3).contains(&sd), "{sd}");
}

#[test]
fn a_reading_that_is_only_observed_moves_the_lags_and_nothing_else() {
    let Watched { baseline, state, rows } = &*WATCHED;
    let (mut observed, mut stepped) = (state.clone(), state.clone());
    for row in &rows[..30] {
        let mut samples = row.samples.to_vec();
        samples[FLOW] = Sample::Good(0.0);
        observed.observe(baseline, row.at, &samples);
        stepped.step(baseline, row.at, &row.samples);
    }
    assert!(!observed.in_episode());
    let row = &rows[30];
    let result = observed.step(baseline, row.at, &row.samples).expect("the pump runs");
    let other = stepped.step(baseline, row.at, &row.samples).expect("the pump runs");
    assert!(
        result.channels[BEARING].is_none_or(|deviation| deviation.time_constant_s == 60.0),
        "longer averages begin anew"
    );
    let residual = |result: &ConditionalResult| result.residuals[BEARING].expect("a value");
    assert!((residual(&result) - residual(&other)).abs() < 0.3, "it knows the lags");
}

#[test]
fn a_reading_that_is_not_later_is_not_tested() {
    let Watched { baseline, state, rows } = &*WATCHED;
    let mut state = state.clone();
    assert!(state.step(baseline, rows[5].at, &rows[5].samples).is_some());
    let before = state.clone();
    assert_eq!(state.step(baseline, rows[5].at, &rows[5].samples), None);
    assert_eq!(state.step(baseline, rows[4].at, &rows[4].samples), None);
    assert_eq!(state, before);
}

/// Without the speed the current alone is the operating point, and less is known: an episode may begin, at no more than
/// one of twenty times at which the speed is lost for 200 min.
#[test]
fn a_lost_speed_rarely_begins_an_episode() {
    let began = |from: usize| {
        let results = results(&WATCHED.rows[..from + 200], |row, samples| {
            if row >= from {
                samples[SPEED] = Sample::Missing;
            }
        });
        results.iter().flatten().any(|result| result.in_episode)
    };
    let episodes = (0..40).filter(|index| began(index * 29)).count();
    assert!(episodes <= 2, "{episodes}");
}
