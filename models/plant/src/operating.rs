//! Whether a pump runs, told from its speed and its current: off, starting, running, stopping.
//!
//! The channels with a `running_above` in the profile tell it. A profile without one is of pumps that always run. What
//! they say of one step, with what was known before, is a [`Phase`]; how long a phase has lasted makes the
//! [`OperatingState`].
//!
//! - Off: none of them is above its limit.
//! - A pump that comes from off settles: it is starting until it has run for a whole window and for `settle_s`.
//! - Stopping: the shaft still turns, and the current is gone. For longer than a minute no shaft does that: then one of
//!   the sensors lies, and the pump counts as running, so that the model sees the lie.
//! - A current that is measured with a lag takes a second or two to be gone. So a step is one of stopping already where
//!   speed and current both fall steeply at once, which no fault does: what brakes a shaft raises the current.
//! - Speed without current comes from a shaft that runs down; current without speed, from one that has not started yet
//!   or is blocked. So a pump that runs and says no speed goes on being judged.
//! - A channel without a believable value says nothing; where none says anything, what was known stands.
//!
//! Deliberately absent: holes and gaps, which are the windower's, and how the machine is while it stands.

use crate::{Profile, Quantity};

/// Whether a pump runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatingState {
    /// It stands.
    Off,
    /// It has not run for long enough to have settled.
    Starting,
    /// It runs.
    Running,
    /// Its motor is off, and the shaft still turns.
    Stopping,
}

/// A channel that is on stays on until it falls below this share of its limit: a value at the limit does not flicker.
const STAYS_ON: f64 = 0.8;

/// The longest that a shaft runs down.
const RUN_DOWN_MS: i64 = 60_000;
/// The most steps, and the longest time, in which a stop shows as a fall of speed and current, and the shares of them that are
/// left then. Readings that are further apart do not show it: within a minute a pump may be turned down in many ways.
const FALL_STEPS: i64 = 3;
const FALL_MS: i64 = 3_000;
const FALLEN_SPEED: f64 = 0.97;
const FALLEN_CURRENT: f64 = 0.8;

/// Tells the operating state, step by step.
#[derive(Debug)]
pub(crate) struct OperatingGate {
    sensors: Vec<Sensor>,
    /// Steps of running after a start until it has settled.
    need: i64,
    /// Steps in which a shaft has run down.
    run_down: i64,
    /// Steps in which a stop shows as a fall.
    fall: usize,
}

#[derive(Debug)]
struct Sensor {
    channel: usize,
    electric: bool,
    running_above: f64,
}

/// What is known of the pump after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Off,
    /// `since`: the step of its start, if one was seen.
    On {
        since: Option<i64>,
    },
    RunningDown {
        since: i64,
    },
}

impl OperatingGate {
    /// A gate for windows of `len` steps.
    pub(crate) fn new(profile: &Profile, len: usize) -> Self {
        let sensor = |(channel, of): (usize, &crate::Channel)| {
            let electric = of.quantity == Quantity::Current;
            of.running_above.map(|running_above| Sensor { channel, electric, running_above })
        };
        let sensors = profile.channels().iter().enumerate().filter_map(sensor).collect();
        let steps = |ms: i64| (ms + profile.interval_ms() - 1) / profile.interval_ms();
        let settle = steps(profile.settle_ms());
        let fall = usize::try_from((FALL_MS / profile.interval_ms()).min(FALL_STEPS)).unwrap_or_default();
        let need = settle.max(i64::try_from(len).unwrap_or(i64::MAX));
        Self { sensors, need, run_down: steps(RUN_DOWN_MS), fall }
    }

    /// The phase after a step with these values (NaN: none), given the phase before it.
    pub(crate) fn next(&self, before: Phase, step: i64, values: &[f64]) -> Phase {
        let was_off = before == Phase::Off;
        let was_on = matches!(before, Phase::On { .. });
        let power = self.says_on(true, values, was_on);
        let speed = self.says_on(false, values, !was_off);
        match (power, speed, before) {
            (None, None, _) => before,
            (Some(false) | None, Some(true), Phase::RunningDown { .. }) => before,
            (Some(false), Some(true), _) => Phase::RunningDown { since: step },
            (Some(true), _, Phase::On { .. }) | (None, Some(true), Phase::On { .. }) => before,
            (Some(true), _, _) | (None, Some(true), _) => Phase::On { since: Some(step) },
            (Some(false) | None, Some(false) | None, _) => Phase::Off,
        }
    }

    /// The state at a step of this phase, and how many steps the pump has run of those that it takes to be judged.
    pub(crate) fn state(&self, phase: Phase, step: i64) -> (OperatingState, usize, usize) {
        let need = usize::try_from(self.need).unwrap_or(usize::MAX);
        match phase {
            Phase::Off => (OperatingState::Off, 0, need),
            Phase::RunningDown { since } if step - since < self.run_down => (OperatingState::Stopping, 0, need),
            Phase::On { since: Some(since) } if step - since + 1 < self.need => {
                (OperatingState::Starting, usize::try_from(step - since + 1).unwrap_or_default(), need)
            }
            Phase::On { .. } | Phase::RunningDown { .. } => (OperatingState::Running, need, need),
        }
    }

    /// In how many steps a stop shows as a fall of both; 0: readings are too far apart for it.
    pub(crate) fn fall_steps(&self) -> usize {
        self.fall
    }

    /// Whether speed and current have both fallen steeply to these values, from one of the steps just before.
    pub(crate) fn falls<'a>(&self, values: &[f64], before: impl Iterator<Item = &'a [f64]> + Clone) -> bool {
        let fell = |electric: bool, left: f64| {
            let mut sensors = self.sensors.iter().filter(|sensor| sensor.electric == electric);
            sensors.any(|sensor| before.clone().any(|old| values[sensor.channel] < left * old[sensor.channel]))
        };
        fell(false, FALLEN_SPEED) && fell(true, FALLEN_CURRENT)
    }

    /// Whether there are sensors that tell, and none has a value.
    pub(crate) fn is_blind(&self, values: &[f64]) -> bool {
        !self.sensors.is_empty() && self.sensors.iter().all(|sensor| values[sensor.channel].is_nan())
    }

    /// Whether one of the electric or of the other channels is above its limit; none where none of them says anything.
    fn says_on(&self, electric: bool, values: &[f64], was_on: bool) -> Option<bool> {
        let factor = if was_on { STAYS_ON } else { 1.0 };
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

    const NONE: f64 = f64::NAN;

    /// The states while the speed and the current are these, a second each, from a pump that runs.
    fn states(steps: &[(f64, f64)]) -> Vec<OperatingState> {
        let gate = OperatingGate::new(&motor(), 3);
        let mut phase = Phase::On { since: None };
        let mut states = Vec::new();
        for (step, (rpm, current_a)) in steps.iter().enumerate() {
            phase = gate.next(phase, step as i64, &[*rpm, *current_a]);
            states.push(gate.state(phase, step as i64).0);
        }
        states
    }

    /// One letter for each state; the test's pump settles in four seconds.
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
            ("it was running when it was first heard", &[runs, runs][..], "RR"),
            ("it was off", &[off, off, starts, runs, runs, runs, runs], "oosssRR"),
            ("a stop", &[runs, coasts, coasts, off], "Rddo"),
            ("a stop that is called off is a start", &[runs, coasts, runs, runs, runs, runs], "RdsssR"),
            ("no current was said while it stood", &[(0.0, NONE), (0.0, NONE), runs], "oos"),
            ("no speed was said while it stood", &[(NONE, 0.0), (NONE, 0.0), runs], "oos"),
            ("nothing was said: what was known stands", &[off, (NONE, NONE), off], "ooo"),
            ("nothing was said while it ran", &[runs, (NONE, NONE), runs], "RRR"),
            ("it started while nothing was said", &[off, (NONE, NONE), runs, runs, runs, runs], "oosssR"),
            ("a blocked shaft is for the model", &[runs, (0.0, 90.0), (0.0, 90.0)], "RRR"),
            ("the current falls silent while it runs down", &[runs, coasts, (900.0, NONE), off], "Rddo"),
            ("a speed that says 0 for ever lies, too", &[off, starts, starts, starts, starts], "osssR"),
            ("at its limit it does not run yet", &[off, (300.0, NONE), (300.1, NONE)], "oos"),
            ("nor at the current's", &[off, (NONE, 5.0), (NONE, 5.1)], "oos"),
            ("it runs down to four fifths of the limit", &[runs, coasts, (240.1, 0.0), (240.0, 0.0)], "Rddo"),
            ("a little current while it runs down is no start", &[runs, coasts, (1400.0, 4.5), (1400.0, 5.1)], "Rdds"),
            ("of one that runs, four fifths of the current are running", &[runs, (1400.0, 4.1), (1400.0, 4.0)], "RRd"),
        ] {
            assert_eq!(letters(steps), expected, "{what}");
        }
    }

    #[test]
    fn no_shaft_runs_down_for_ever_one_of_the_sensors_lies() {
        let coasts = vec![(1500.0, 0.0); 62];
        assert_eq!(letters(&coasts), format!("{}RR", "d".repeat(60)));
    }

    #[test]
    fn a_stop_shows_as_a_fall_only_between_readings_that_are_close() {
        for (interval_ms, steps) in
            [(100, 3), (1_000, 3), (1_500, 2), (2_000, 1), (3_000, 1), (3_100, 0), (60_000, 0), (3_600_000, 0)]
        {
            assert_eq!(
                OperatingGate::new(&motor().with_interval(interval_ms).expect("allowed"), 3).fall_steps(),
                steps,
                "{interval_ms}"
            );
        }
    }

    #[test]
    fn how_long_it_settles_and_runs_down_by_interval() {
        // Interval in ms, settling in s, steps in a window; steps to settle, steps of the longest running down.
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
            let gate = OperatingGate::new(&Profile::from_toml(&text).expect("a profile"), len);
            assert_eq!((gate.need, gate.run_down), expected, "{interval_ms} ms, {settle_s} s, {len} steps");
        }
    }

    #[test]
    fn steps_are_counted_from_the_start_of_a_phase() {
        let gate = OperatingGate::new(&motor(), 3);
        let (on, down) = (Phase::On { since: Some(100) }, Phase::RunningDown { since: 100 });
        for (phase, step, expected) in [
            (Phase::Off, 100, (OperatingState::Off, 0, 4)),
            (on, 100, (OperatingState::Starting, 1, 4)),
            (on, 102, (OperatingState::Starting, 3, 4)),
            (on, 103, (OperatingState::Running, 4, 4)),
            (Phase::On { since: None }, 100, (OperatingState::Running, 4, 4)),
            (down, 100, (OperatingState::Stopping, 0, 4)),
            (down, 159, (OperatingState::Stopping, 0, 4)),
            (down, 160, (OperatingState::Running, 4, 4)),
        ] {
            assert_eq!(gate.state(phase, step), expected, "{phase:?} at {step}");
        }
    }

    #[test]
    fn one_phase_that_is_on_suffices_and_one_value_is_not_blindness() {
        let (channels, current) = MOTOR.split_once("[[channels]]\n    name = \"I\"").expect("a current");
        let phase = |name: &str| format!("[[channels]]\n    name = \"{name}\"{current}");
        let text = format!("{channels}{}{}", phase("I1"), phase("I2"));
        let gate = OperatingGate::new(&Profile::from_toml(&text).expect("a profile"), 3);
        let (off, started) = (Phase::Off, Phase::On { since: Some(7) });
        for (values, expected, blind) in [
            ([NONE, 30.0, 0.0], started, false),
            ([NONE, 0.0, 30.0], started, false),
            ([NONE, 0.0, NONE], off, false),
            ([NONE, NONE, 30.0], started, false),
            ([0.0, NONE, NONE], off, false),
            ([NONE, NONE, NONE], off, true),
        ] {
            assert_eq!((gate.next(off, 7, &values), gate.is_blind(&values)), (expected, blind), "{values:?}");
        }
        assert!(!OperatingGate::new(&small(), 3).is_blind(&[NONE, NONE]), "nothing tells it, so nothing is missing");
    }

    #[test]
    fn a_stop_shows_in_both_channels_and_a_fault_does_not() {
        let gate = OperatingGate::new(&motor(), 3);
        for (what, rpm, current_a, expected) in [
            ("switched off half a second ago", 2770.0, 18.0, true),
            ("less load", 2960.0, 15.0, false),
            ("braked", 2800.0, 60.0, false),
            ("an inverter turns it down a little", 2850.0, 27.0, false),
            ("no current is said", 2000.0, NONE, false),
            ("no speed is said", NONE, 1.0, false),
            ("97 percent of the speed", 2950.0 * 0.97, 1.0, false),
            ("a little less", (2950.0_f64 * 0.97).next_down(), 1.0, true),
            ("80 percent of the current", 1.0, 30.0 * 0.8, false),
            ("and a little less", 1.0, (30.0_f64 * 0.8).next_down(), true),
        ] {
            let before: [&[f64]; 2] = [&[2950.0, 30.0], &[NONE, NONE]];
            assert_eq!(gate.falls(&[rpm, current_a], before.into_iter()), expected, "{what}");
        }
    }

    #[test]
    fn a_value_at_its_limit_does_not_flicker() {
        let speeds = [299.0, 300.0, 301.0, 299.0, 301.0, 250.0, 239.0, 299.0];
        let steps: Vec<(f64, f64)> = speeds.map(|rpm| (rpm, NONE)).to_vec();
        assert_eq!(letters(&[&[(0.0, NONE)], &steps[..]].concat()), "ooosssRoo");
    }

    #[test]
    fn a_profile_that_does_not_say_how_is_of_pumps_that_always_run() {
        let gate = OperatingGate::new(&small(), 30);
        let phase = gate.next(Phase::On { since: None }, 7, &[0.0, 0.0]);
        assert_eq!(gate.state(phase, 7).0, OperatingState::Running);
    }

    proptest! {
        /// Whatever the sensors say: a pump is judged only if the last four seconds had a believable sign of running in
        /// each, or one that was not believable at all.
        #[test]
        fn a_running_pump_has_not_been_off(steps in prop::collection::vec((0_u8..3, 0_u8..3), 1..60)) {
            let value = |kind: u8, on: f64| [0.0, on, NONE][usize::from(kind)];
            let steps: Vec<(f64, f64)> =
                steps.into_iter().map(|(rpm, current)| (value(rpm, 2950.0), value(current, 30.0))).collect();
            for (last, state) in states(&steps).into_iter().enumerate() {
                if state == OperatingState::Running {
                    let recent = &steps[last.saturating_sub(3)..=last];
                    let said_off = |step: &(f64, f64)| (step.0 == 0.0 || step.0.is_nan())
                        && (step.1 == 0.0 || step.1.is_nan()) && !(step.0.is_nan() && step.1.is_nan());
                    prop_assert!(!recent.iter().any(said_off), "{steps:?} at {last}");
                }
            }
        }
    }
}
