//! Classifies whether a pump runs, from its speed and its current: off, starting, running, stopping.
//!
//! The profile's channels with `running_above` decide. They measure the speed, or the current or power of the motor;
//! below, "current" means either of these two. A pump whose profile has no such channel always counts as running. The
//! [`RunPhase`] after a step follows from the step's values and the phase before it. The [`OperatingState`] follows from
//! the phase and its duration.
//!
//! - Off: no channel is above its limit.
//! - Starting: after being off, until the pump has run for a whole window and for `settle_s`.
//! - Stopping: there is speed but no current, since the shaft coasts down. A shaft coasts for at most a minute. If the
//!   speed lasts longer, one of the sensors is wrong, and the pump counts as running, so that the model sees the sensor
//!   fault.
//! - A current sensor with a lag needs one or two seconds to read zero. So a step also counts as stopping if speed and
//!   current both fall steeply. No fault has this effect, since whatever brakes a shaft raises the current.
//! - Current without speed means that the shaft does not turn yet or is blocked. So a running pump whose speed reads 0
//!   is still scored.
//! - A channel without a good value is ignored. If no channel has a good value, the phase stays.
//!
//! An example of a pump that settles in four seconds, with one step per second:
//!
//! ```text
//! speed, rpm     0    0    0  2950  2950  2950  2950  1500  1500    0
//! current, A     0    0   90    30    30    30    30     0     0    0
//! state        off  off  starting x3   running x2    stopping x2  off
//! ```
//!
//! Does not handle missing readings and gaps; see [`crate::Windower`].

use crate::{Profile, Quantity};

/// Whether a pump runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatingState {
    /// It does not run.
    Off,
    /// It has not run for long enough since its start: for `settle_s`, or for a whole window.
    Starting,
    /// It runs.
    Running,
    /// Its motor is off, and the shaft still turns.
    Stopping,
}

/// A channel above its limit stays on until its value falls below this share of the limit. So a value near the limit
/// does not switch the pump on and off.
const HYSTERESIS_FACTOR: f64 = 0.8;

/// The longest that a shaft coasts down.
const MAX_COAST_DOWN_MS: i64 = 60_000;
/// A stop is detected as a fall of speed and current within at most this many steps and this time. Readings that are
/// further apart are not compared, since a controller can also turn a pump down within a minute.
const MAX_FALL_STEPS: i64 = 3;
const MAX_FALL_MS: i64 = 3_000;
/// In a fall, speed and current are below these shares of their values in an earlier step.
const FALL_SPEED_RATIO: f64 = 0.97;
const FALL_CURRENT_RATIO: f64 = 0.8;

/// Classifies the operating state of one pump, step by step. Stateless: the phase is passed in.
#[derive(Debug)]
pub(crate) struct OperatingStateClassifier {
    sensors: Vec<Sensor>,
    /// The steps that a pump must run after a start before its windows are scored: `settle_steps`, but at least a
    /// whole window.
    scored_after_steps: i64,
    /// The steps that a pump must run after a start until it has settled: the profile's `settle_s`, rounded up.
    settle_steps: usize,
    /// [`MAX_COAST_DOWN_MS`] in steps, rounded up.
    coast_down_steps: i64,
    /// With how many earlier steps a step is compared to detect a fall.
    fall_steps: usize,
}

#[derive(Debug)]
struct Sensor {
    channel: usize,
    electric: bool,
    running_above: f64,
}

/// Whether the pump was off, on or coasting down after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunPhase {
    Off,
    /// `since` is the step of its start; none if it already ran at the first step.
    On {
        since: Option<i64>,
    },
    CoastingDown {
        since: i64,
    },
}

impl OperatingStateClassifier {
    /// Creates a classifier for windows of `len` steps.
    pub(crate) fn new(profile: &Profile, len: usize) -> Self {
        let sensor = |(channel, of): (usize, &crate::Channel)| {
            let electric = matches!(of.quantity, Quantity::Current | Quantity::Power);
            of.running_above.map(|running_above| Sensor { channel, electric, running_above })
        };
        let sensors = profile.channels().iter().enumerate().filter_map(sensor).collect();
        let steps = |ms: i64| (ms + profile.interval_ms() - 1) / profile.interval_ms();
        let min_steps = steps(profile.settle_ms());
        let fall_steps = usize::try_from((MAX_FALL_MS / profile.interval_ms()).min(MAX_FALL_STEPS)).unwrap_or_default();
        let scored_after_steps = min_steps.max(i64::try_from(len).unwrap_or(i64::MAX));
        let settle_steps = usize::try_from(min_steps).unwrap_or(usize::MAX);
        Self { sensors, scored_after_steps, settle_steps, coast_down_steps: steps(MAX_COAST_DOWN_MS), fall_steps }
    }

    /// Returns the phase after a step with these values (NaN: missing), given the phase before it.
    pub(crate) fn next(&self, before: RunPhase, step: i64, values: &[f64]) -> RunPhase {
        let was_off = before == RunPhase::Off;
        let was_on = matches!(before, RunPhase::On { .. });
        let power = self.is_on(true, values, was_on);
        let speed = self.is_on(false, values, !was_off);
        match (power, speed, before) {
            (None, None, _) => before,
            (Some(false) | None, Some(true), RunPhase::CoastingDown { .. }) => before,
            (Some(false), Some(true), _) => RunPhase::CoastingDown { since: step },
            (Some(true), _, RunPhase::On { .. }) | (None, Some(true), RunPhase::On { .. }) => before,
            (Some(true), _, _) | (None, Some(true), _) => RunPhase::On { since: Some(step) },
            (Some(false) | None, Some(false) | None, _) => RunPhase::Off,
        }
    }

    /// Returns the operating state at a step in this phase, the steps that the pump has run, and the steps that it must
    /// run before its windows are scored.
    pub(crate) fn state(&self, phase: RunPhase, step: i64) -> (OperatingState, usize, usize) {
        let scored_after_steps = usize::try_from(self.scored_after_steps).unwrap_or(usize::MAX);
        match phase {
            RunPhase::Off => (OperatingState::Off, 0, scored_after_steps),
            RunPhase::CoastingDown { since } if step - since < self.coast_down_steps => {
                (OperatingState::Stopping, 0, scored_after_steps)
            }
            RunPhase::On { since: Some(since) } if step - since + 1 < self.scored_after_steps => {
                (OperatingState::Starting, usize::try_from(step - since + 1).unwrap_or_default(), scored_after_steps)
            }
            RunPhase::On { .. } | RunPhase::CoastingDown { .. } => {
                (OperatingState::Running, scored_after_steps, scored_after_steps)
            }
        }
    }

    /// Returns the steps that a pump must run after a start until it has settled. Its window may still contain steps
    /// from before the start then.
    pub(crate) fn settle_steps(&self) -> usize {
        self.settle_steps
    }

    /// Returns with how many earlier steps a step is compared to detect a fall; 0 if readings are too far apart for
    /// that.
    pub(crate) fn fall_steps(&self) -> usize {
        self.fall_steps
    }

    /// Whether speed and current have both fallen steeply from one of the earlier steps to these values.
    pub(crate) fn is_falling<'a>(&self, values: &[f64], before: impl Iterator<Item = &'a [f64]> + Clone) -> bool {
        let fell = |electric: bool, left: f64| {
            let mut sensors = self.sensors.iter().filter(|sensor| sensor.electric == electric);
            sensors.any(|sensor| before.clone().any(|old| values[sensor.channel] < left * old[sensor.channel]))
        };
        fell(false, FALL_SPEED_RATIO) && fell(true, FALL_CURRENT_RATIO)
    }

    /// Whether the profile has channels with `running_above`, and none of them has a value.
    pub(crate) fn has_no_values(&self, values: &[f64]) -> bool {
        !self.sensors.is_empty() && self.sensors.iter().all(|sensor| values[sensor.channel].is_nan())
    }

    /// Whether one of the current and power channels (`electric`) or of the speed channels (otherwise) is above its
    /// limit. None if none of them has a value.
    fn is_on(&self, electric: bool, values: &[f64], was_on: bool) -> Option<bool> {
        let factor = if was_on { HYSTERESIS_FACTOR } else { 1.0 };
        let mut on = None;
        for sensor in self.sensors.iter().filter(|sensor| sensor.electric == electric) {
            let value = values[sensor.channel];
            if !value.is_nan() {
                on = Some(on.unwrap_or(false) || value > factor * sensor.running_above);
            }
        }
        on
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::tests::{MOTOR, motor, small};

    const MISSING: f64 = f64::NAN;

    /// The states for these speeds and currents, one step per second. The pump runs before the first of them.
    fn states(steps: &[(f64, f64)]) -> Vec<OperatingState> {
        let classifier = OperatingStateClassifier::new(&motor(), 3);
        let mut phase = RunPhase::On { since: None };
        let mut states = Vec::new();
        for (step, (rpm, current_a)) in steps.iter().enumerate() {
            phase = classifier.next(phase, step as i64, &[*rpm, *current_a]);
            states.push(classifier.state(phase, step as i64).0);
        }
        states
    }

    /// One letter per state (d: stopping). The test's pump settles in four seconds.
    fn letters(steps: &[(f64, f64)]) -> String {
        let letter = |state: &OperatingState| match state {
            OperatingState::Off => 'o',
            OperatingState::Starting => 's',
            OperatingState::Running => 'R',
            OperatingState::Stopping => 'd',
        };
        states(steps).iter().map(letter).collect()
    }

    #[test]
    fn off_start_and_stop() {
        let (runs, off) = ((2950.0, 30.0), (0.0, 0.0));
        let (starts, coasts) = ((0.0, 90.0), (1500.0, 0.0));
        for (what, steps, expected) in [
            ("running at the first step", &[runs, runs][..], "RR"),
            ("off, then a start", &[off, off, starts, runs, runs, runs, runs], "oosssRR"),
            ("a stop", &[runs, coasts, coasts, off], "Rddo"),
            ("a start during a stop", &[runs, coasts, runs, runs, runs, runs], "RdsssR"),
            ("no current while it was off", &[(0.0, MISSING), (0.0, MISSING), runs], "oos"),
            ("no speed while it was off", &[(MISSING, 0.0), (MISSING, 0.0), runs], "oos"),
            ("no values: the phase stays", &[off, (MISSING, MISSING), off], "ooo"),
            ("no values while it ran", &[runs, (MISSING, MISSING), runs], "RRR"),
            ("a start without values", &[off, (MISSING, MISSING), runs, runs, runs, runs], "oosssR"),
            ("a blocked shaft counts as running", &[runs, (0.0, 90.0), (0.0, 90.0)], "RRR"),
            ("no current while it coasts down", &[runs, coasts, (900.0, MISSING), off], "Rddo"),
            ("a speed that stays 0 is a sensor fault", &[off, starts, starts, starts, starts], "osssR"),
            ("at the speed's limit it is off", &[off, (300.0, MISSING), (300.1, MISSING)], "oos"),
            ("at the current's limit it is off", &[off, (MISSING, 5.0), (MISSING, 5.1)], "oos"),
            ("it coasts down to four fifths of the limit", &[runs, coasts, (240.1, 0.0), (240.0, 0.0)], "Rddo"),
            ("current below the limit while it coasts down", &[runs, coasts, (1400.0, 4.5), (1400.0, 5.1)], "Rdds"),
            (
                "a running pump stays on down to four fifths of the current",
                &[runs, (1400.0, 4.1), (1400.0, 4.0)],
                "RRd",
            ),
        ] {
            assert_eq!(letters(steps), expected, "{what}");
        }
    }

    #[test]
    fn coasting_down_for_over_a_minute_is_a_sensor_fault() {
        let coasts = vec![(1500.0, 0.0); 62];
        assert_eq!(letters(&coasts), format!("{}RR", "d".repeat(60)));
    }

    #[test]
    fn a_stop_shows_as_a_fall_only_between_readings_that_are_close() {
        for (interval_ms, steps) in
            [(100, 3), (1_000, 3), (1_500, 2), (2_000, 1), (3_000, 1), (3_100, 0), (60_000, 0), (3_600_000, 0)]
        {
            assert_eq!(
                OperatingStateClassifier::new(&motor().with_interval(interval_ms).expect("allowed"), 3).fall_steps(),
                steps,
                "{interval_ms}"
            );
        }
    }

    #[test]
    fn steps_of_starting_and_coasting_by_interval() {
        // Interval in ms, `settle_s`, steps in a window; steps until it has settled, most steps of coasting down.
        for (interval_ms, settle_s, len, expected) in [
            (1000, 4, 3, (4, 60)),
            (1000, 4, 30, (30, 60)),
            (1000, 31, 30, (31, 60)),
            (1500, 4, 2, (3, 40)),
            (1500, 4, 1, (3, 40)),
            (7000, 60, 1, (9, 9)),
            (3_600_000, 1, 1, (1, 1)),
        ] {
            let text = MOTOR.replace("1000", &interval_ms.to_string());
            let text = text.replace("settle_s = 4", &format!("settle_s = {settle_s}"));
            let classifier = OperatingStateClassifier::new(&Profile::from_toml(&text).expect("a profile"), len);
            assert_eq!(
                (classifier.scored_after_steps, classifier.coast_down_steps),
                expected,
                "{interval_ms} ms, {settle_s} s, {len} steps"
            );
        }
    }

    #[test]
    fn steps_are_counted_from_the_start_of_a_phase() {
        let classifier = OperatingStateClassifier::new(&motor(), 3);
        let (on, down) = (RunPhase::On { since: Some(100) }, RunPhase::CoastingDown { since: 100 });
        for (phase, step, expected) in [
            (RunPhase::Off, 100, (OperatingState::Off, 0, 4)),
            (on, 100, (OperatingState::Starting, 1, 4)),
            (on, 102, (OperatingState::Starting, 3, 4)),
            (on, 103, (OperatingState::Running, 4, 4)),
            (RunPhase::On { since: None }, 100, (OperatingState::Running, 4, 4)),
            (down, 100, (OperatingState::Stopping, 0, 4)),
            (down, 159, (OperatingState::Stopping, 0, 4)),
            (down, 160, (OperatingState::Running, 4, 4)),
        ] {
            assert_eq!(classifier.state(phase, step), expected, "{phase:?} at {step}");
        }
    }

    #[test]
    fn one_channel_that_is_on_is_enough() {
        let (channels, current) = MOTOR.split_once("[[channels]]\n    name = \"I\"").expect("a current");
        let phase = |name: &str| format!("[[channels]]\n    name = \"{name}\"{current}");
        let text = format!("{channels}{}{}", phase("I1"), phase("I2"));
        let classifier = OperatingStateClassifier::new(&Profile::from_toml(&text).expect("a profile"), 3);
        let (off, started) = (RunPhase::Off, RunPhase::On { since: Some(7) });
        for (values, expected, no_values) in [
            ([MISSING, 30.0, 0.0], started, false),
            ([MISSING, 0.0, 30.0], started, false),
            ([MISSING, 0.0, MISSING], off, false),
            ([MISSING, MISSING, 30.0], started, false),
            ([0.0, MISSING, MISSING], off, false),
            ([MISSING, MISSING, MISSING], off, true),
        ] {
            assert_eq!(
                (classifier.next(off, 7, &values), classifier.has_no_values(&values)),
                (expected, no_values),
                "{values:?}"
            );
        }
        assert!(!OperatingStateClassifier::new(&small(), 3).has_no_values(&[MISSING, MISSING]), "no channel decides");
    }

    #[test]
    fn a_stop_shows_in_both_channels_unlike_a_fault() {
        let classifier = OperatingStateClassifier::new(&motor(), 3);
        for (what, rpm, current_a, expected) in [
            ("switched off half a second ago", 2770.0, 18.0, true),
            ("less load", 2960.0, 15.0, false),
            ("braked", 2800.0, 60.0, false),
            ("an inverter turns it down a little", 2850.0, 27.0, false),
            ("no current", 2000.0, MISSING, false),
            ("no speed", MISSING, 1.0, false),
            ("97 percent of the speed", 2950.0 * 0.97, 1.0, false),
            ("a little less", (2950.0_f64 * 0.97).next_down(), 1.0, true),
            ("80 percent of the current", 1.0, 30.0 * 0.8, false),
            ("and a little less", 1.0, (30.0_f64 * 0.8).next_down(), true),
        ] {
            let before: [&[f64]; 2] = [&[2950.0, 30.0], &[MISSING, MISSING]];
            assert_eq!(classifier.is_falling(&[rpm, current_a], before.into_iter()), expected, "{what}");
        }
    }

    #[test]
    fn a_value_at_its_limit_does_not_flicker() {
        let speeds = [299.0, 300.0, 301.0, 299.0, 301.0, 250.0, 239.0, 299.0];
        let steps: Vec<(f64, f64)> = speeds.map(|rpm| (rpm, MISSING)).to_vec();
        assert_eq!(letters(&[&[(0.0, MISSING)], &steps[..]].concat()), "ooosssRoo");
    }

    #[test]
    fn without_running_limits_a_pump_always_runs() {
        let classifier = OperatingStateClassifier::new(&small(), 30);
        let phase = classifier.next(RunPhase::On { since: None }, 7, &[0.0, 0.0]);
        assert_eq!(classifier.state(phase, 7).0, OperatingState::Running);
    }

    proptest! {
        /// Whatever the sensors read: a pump counts as running only if each of the last four seconds had a value above
        /// its limit, or no value at all.
        #[test]
        fn a_running_pump_has_not_been_off(steps in prop::collection::vec((0_u8..3, 0_u8..3), 1..60)) {
            let value = |kind: u8, on: f64| [0.0, on, MISSING][usize::from(kind)];
            let steps: Vec<(f64, f64)> =
                steps.into_iter().map(|(rpm, current)| (value(rpm, 2950.0), value(current, 30.0))).collect();
            for (last, state) in states(&steps).into_iter().enumerate() {
                if state == OperatingState::Running {
                    let recent = &steps[last.saturating_sub(3)..=last];
                    let reads_off = |step: &(f64, f64)| (step.0 == 0.0 || step.0.is_nan())
                        && (step.1 == 0.0 || step.1.is_nan()) && !(step.0.is_nan() && step.1.is_nan());
                    prop_assert!(!recent.iter().any(reads_off), "{steps:?} at {last}");
                }
            }
        }
    }
}
