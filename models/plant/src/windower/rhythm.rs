//! Assigns readings to steps: each reading to the nearest step in the rhythm of its device.
//!
//! A device that sends once a second does not send exactly on the second of the node's clock, nor exactly every second.
//! If steps began on whole seconds, a device whose times are near a whole second would now and then have two readings
//! in one step and none in the next. So the boundary between two steps is put into the pause between the device's
//! readings. The boundary depends only on the times of the last [`RHYTHM_READINGS`] readings, so it is the same after a
//! restart:
//!
//! 1. Each time is taken modulo the interval. These offsets are sorted on a circle, like minutes on a clock's face. The
//!    distance from one offset to the next is a pause.
//! 2. The middle of each pause is a possible boundary. A reading that is not in the step after its predecessor's is a
//!    violation. The best boundary has the widest pause, less 3/16 of an interval for each violation.
//! 3. If no pause is wide enough for its violations, the device has no rhythm of this interval: it sends more often,
//!    less often or irregularly. Steps then begin at multiples of the interval.
//!
//! An example with an interval of 1 s:
//!
//! ```text
//! time        10.98  11.99  13.02  13.97  15.01  16.40
//! offset       .98    .99    .02    .97    .01    .40        pauses: .02 to .40, and .40 to .97: the boundary is at .685
//! step           11     12     13     14     15     16        by whole seconds: 10, 11, 13, 13, 15, 16
//! ```
//!
//! If the boundary moves, steps keep their numbers: the new steps are numbered so that most of the last readings stay
//! in the step that they were placed in. So a device whose interval is up to 2 % longer or shorter than the profile's
//! is followed. If the difference is greater, its readings skip a step now and then, or share one.
//!
//! Does not order readings and does not handle gaps; see the windower.

use super::config::RHYTHM_READINGS;

/// The cost of a violation (see [`violations`]), in sixteenths of an interval.
const VIOLATION_COST: i64 = 3;
/// The narrowest pause that can be between two steps, in 32nds of an interval.
const MIN_PAUSE: i64 = 3;
/// A pause of at least this width is always between two steps, whatever its number of violations. In eighths of an
/// interval.
const CLEAR_PAUSE: i64 = 5;

/// The last readings of a device, in the order of their times.
#[derive(Debug)]
pub(super) struct Rhythm {
    interval_ms: i64,
    readings: Vec<PlacedReading>,
}

#[derive(Debug, Clone, Copy)]
struct PlacedReading {
    at_ms: i64,
    step: i64,
}

impl Rhythm {
    pub(super) fn new(interval_ms: i64) -> Self {
        Self { interval_ms, readings: Vec::new() }
    }

    /// Returns the time of the newest reading.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.readings.last().map(|reading| reading.at_ms)
    }

    /// Returns the step of a reading at this time.
    pub(super) fn step(&self, at_ms: i64) -> i64 {
        let place = match self.readings.binary_search_by_key(&at_ms, |reading| reading.at_ms) {
            Ok(known) => return self.readings[known].step,
            Err(place) => place,
        };
        let mut times = [at_ms; RHYTHM_READINGS + 1];
        let times = &mut times[..=self.readings.len()];
        for (n, reading) in self.readings.iter().enumerate() {
            times[n + usize::from(n >= place)] = reading.at_ms;
        }
        let boundary_ms = boundary(times, self.interval_ms);
        let number = |at_ms: i64| (at_ms - boundary_ms).div_euclid(self.interval_ms);
        let mut shifts = [0; RHYTHM_READINGS];
        let shifts = &mut shifts[..self.readings.len()];
        for (shift, reading) in shifts.iter_mut().zip(&self.readings) {
            *shift = reading.step - number(reading.at_ms);
        }
        shifts.sort_unstable();
        number(at_ms) + shifts.get(shifts.len() / 2).copied().unwrap_or(0)
    }

    /// Records a reading that was placed in this step.
    pub(super) fn record(&mut self, at_ms: i64, step: i64) {
        let Err(place) = self.readings.binary_search_by_key(&at_ms, |reading| reading.at_ms) else { return };
        if self.readings.is_empty() {
            self.readings.reserve_exact(RHYTHM_READINGS);
        }
        if self.readings.len() < RHYTHM_READINGS {
            self.readings.insert(place, PlacedReading { at_ms, step });
        } else if place > 0 {
            self.readings[..place].rotate_left(1);
            self.readings[place - 1] = PlacedReading { at_ms, step };
        }
    }
}

/// Returns the boundary between two steps, modulo the interval, for these times. The times must be in order.
fn boundary(times: &[i64], interval_ms: i64) -> i64 {
    let mut offsets = [0; RHYTHM_READINGS + 1];
    let offsets = &mut offsets[..times.len()];
    for (offset, at_ms) in offsets.iter_mut().zip(times) {
        *offset = at_ms.rem_euclid(interval_ms);
    }
    offsets.sort_unstable();
    let mut best: Option<(i64, i64, i64, i64)> = None;
    for (n, &start) in offsets.iter().enumerate() {
        let end = offsets.get(n + 1).copied().unwrap_or(offsets[0] + interval_ms);
        let width = end - start;
        if 32 * width < MIN_PAUSE * interval_ms {
            continue;
        }
        let middle = start + (width + 1) / 2;
        let violations = violations(times, middle, interval_ms);
        let score = 16 * width - VIOLATION_COST * violations * interval_ms;
        if best.is_none_or(|(best, ..)| score > best) {
            best = Some((score, middle, width, violations));
        }
    }
    match best {
        Some((_, middle, width, violations)) if is_between_steps(times, width, violations, interval_ms) => {
            middle.rem_euclid(interval_ms)
        }
        _ => 0,
    }
}

/// Whether a pause of this width, with `found` violations at its middle, is between two steps. If not, it is only the
/// widest pause of a device that has no rhythm of the interval.
fn is_between_steps(times: &[i64], width: i64, found: i64, interval_ms: i64) -> bool {
    if 8 * width >= CLEAR_PAUSE * interval_ms {
        return true;
    }
    // The offsets of a device of another interval are at n places of the circle, for some n. Its pauses are then 1/n of
    // the interval, and one reading in n is a violation: about 32 / n of the last [`RHYTHM_READINGS`]. At most half as
    // many and one more, 16 / n + 1, are accepted.
    if found * interval_ms <= interval_ms + 16 * width {
        return true;
    }
    // More are accepted only if other boundaries have, on average, at least one and a half times as many.
    let others: i64 = (0..8).map(|n| violations(times, n * interval_ms / 8, interval_ms)).sum();
    3 * 8 * found <= 2 * others
}

/// Returns the number of violations: readings that are not in the step after that of the reading before.
fn violations(times: &[i64], boundary_ms: i64, interval_ms: i64) -> i64 {
    let mut count = 0;
    let mut before = None;
    for at_ms in times {
        let step = (at_ms - boundary_ms).div_euclid(interval_ms);
        count += i64::from(before.is_some_and(|before| step != before + 1));
        before = Some(step);
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the steps of readings at these times, placed in order.
    fn steps(interval_ms: i64, times: &[i64]) -> Vec<i64> {
        let mut rhythm = Rhythm::new(interval_ms);
        let place = |&at_ms: &i64| {
            let step = rhythm.step(at_ms);
            rhythm.record(at_ms, step);
            step
        };
        times.iter().map(place).collect()
    }

    /// Returns by how many steps each reading is after the one before it.
    fn advances(interval_ms: i64, times: &[i64]) -> Vec<i64> {
        steps(interval_ms, times).windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// The times of a device's readings: `jitters` says by how much of an interval each is off.
    fn times(phase_ms: i64, interval_ms: i64, jitters: &[f64]) -> Vec<i64> {
        let at = |(n, jitter): (i64, &f64)| phase_ms + n * interval_ms + (jitter * interval_ms as f64) as i64;
        (0..).zip(jitters).map(at).collect()
    }

    #[test]
    fn the_example_of_the_module() {
        let times = [10_980, 11_990, 13_020, 13_970, 15_010, 16_400];
        assert_eq!(advances(1_000, &times), [1; 5]);
        assert_eq!(boundary(&times, 1_000), 685);
    }

    #[test]
    fn how_far_a_reading_may_be_off() {
        // After twenty readings on the second: the times of the next readings, and by how many steps each advances.
        for (what, next, expected) in [
            ("late by 590 ms", &[20_590, 21_000, 22_000][..], &[1, 1, 1][..]),
            ("late by 600 ms: a hole, and two in the next step", &[20_600, 21_000, 22_000], &[2, 0, 1]),
            ("two readings, 400 ms apart", &[20_000, 20_400, 21_000], &[1, 0, 1]),
            ("one is missing", &[21_000, 22_000], &[2, 1]),
            ("one is missing, and the next is early by 400 ms", &[20_600, 22_000], &[2, 1]),
            ("many are missing", &[30_000, 31_000], &[11, 1]),
            ("from now on later by 500 ms", &[20_500, 21_500, 22_500, 23_500], &[1, 1, 1, 1]),
        ] {
            let times: Vec<i64> = (0..20).map(|second| 1_000 * second).chain(next.iter().copied()).collect();
            assert_eq!(advances(1_000, &times)[19..], *expected, "{what}");
        }
    }

    #[test]
    fn without_a_rhythm_of_the_interval_steps_are_multiples_of_it() {
        // Readings per ten intervals: more and less often than the interval.
        for (spacing_ms, jitter_ms) in [(100, 20), (137, 0), (330, 30), (500, 5), (750, 10), (1_400, 10), (1_500, 3)] {
            let wave = [0, 2, -1, 1, -2];
            let times: Vec<i64> = (0..400).map(|n| n * spacing_ms + jitter_ms * wave[n as usize % 5] / 2).collect();
            let steps = steps(1_000, &times);
            let expected = times.iter().map(|at_ms| at_ms.div_euclid(1_000));
            let shift = steps[399] - times[399].div_euclid(1_000);
            let wrong = steps.iter().zip(expected).skip(40).filter(|(step, second)| **step != second + shift).count();
            assert_eq!(wrong, 0, "{spacing_ms} {jitter_ms}");
        }
    }

    proptest! {
        /// At any phase, and with any jitter below 45 % of the interval, each reading has a step of its own and no step
        /// is left out, after the first twenty.
        #[test]
        fn each_reading_has_its_step(
            phase_ms in 0_i64..3_600_000,
            interval_ms in prop_oneof![Just(100_i64), Just(1_000), Just(10_000), Just(3_600_000), 100_i64..100_000],
            most in 0.0..0.45,
            jitters in prop::collection::vec(-1.0..1.0, 200),
        ) {
            let jitters: Vec<f64> = jitters.into_iter().map(|jitter: f64| jitter * most).collect();
            let advances = advances(interval_ms, &times(phase_ms, interval_ms, &jitters));
            prop_assert!(advances[20..].iter().all(|advance| *advance == 1), "{:?}", advances);
        }

        /// With jitter below 29 % this holds from the first reading on.
        #[test]
        fn each_reading_has_its_step_from_the_first(
            phase_ms in 0_i64..10_000,
            jitters in prop::collection::vec(-0.29..0.29, 2..100),
        ) {
            prop_assert!(advances(1_000, &times(phase_ms, 1_000, &jitters)).iter().all(|advance| *advance == 1));
        }

        /// A device whose interval is up to 2 % longer or shorter is followed.
        #[test]
        fn a_clock_that_drifts_is_followed(
            phase_ms in 0_i64..10_000,
            drift in -0.02..0.02,
            jitters in prop::collection::vec(-0.05..0.05, 300),
        ) {
            let drifting: Vec<f64> = jitters.iter().zip(0..).map(|(jitter, n)| jitter + drift * f64::from(n)).collect();
            let advances = advances(1_000, &times(phase_ms, 1_000, &drifting));
            prop_assert!(advances.iter().all(|advance| *advance == 1), "{:?}", advances);
        }

        /// A device of any interval has as many steps as fit into the time.
        #[test]
        fn steps_are_as_many_as_fit(
            phase_ms in 0_i64..10_000,
            spacing_ms in 20_i64..5_000,
            jitters in prop::collection::vec(-0.4..0.4, 300),
        ) {
            let times = times(phase_ms, spacing_ms, &jitters);
            let steps = steps(1_000, &times);
            let (first, last) = (times[0], times[299]);
            let found = steps[299] - steps[0];
            let expected = (last - first) as f64 / 1_000.0;
            prop_assert!((found as f64 - expected).abs() < 0.025 * expected + 2.0, "{} of {}", found, expected);
        }

        /// A missing reading is one step without a reading, and no step has two.
        #[test]
        fn a_missing_reading_is_one_step(
            phase_ms in 0_i64..10_000,
            jitters in prop::collection::vec(-0.25..0.25, 100),
            missing in 40_usize..98,
        ) {
            let mut times = times(phase_ms, 1_000, &jitters);
            times.remove(missing);
            let advances = advances(1_000, &times);
            let expected = (1..times.len()).map(|n| if n == missing { 2 } else { 1 });
            prop_assert_eq!(advances, expected.collect::<Vec<_>>());
        }

        /// The steps follow from the last readings, so that they are the same after a restart.
        #[test]
        fn the_last_readings_are_enough(
            phase_ms in 0_i64..10_000,
            most in 0.0..0.45,
            readings in prop::collection::vec((-1.0..1.0, 0_u8..20), 200),
            restart in 0_usize..100,
        ) {
            let jitters: Vec<f64> = readings.iter().map(|(jitter, _): &(f64, u8)| jitter * most).collect();
            let sent = times(phase_ms, 1_000, &jitters).into_iter().zip(&readings).filter(|(_, (_, kind))| *kind > 0);
            let times: Vec<i64> = sent.map(|(at_ms, _)| at_ms).collect();
            let restored = advances(1_000, &times[restart..]);
            let from = restart + RHYTHM_READINGS;
            prop_assert_eq!(&restored[RHYTHM_READINGS..], &advances(1_000, &times)[from..]);
        }
    }
}
