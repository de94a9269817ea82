//! Averages the inputs of a pump over time, and computes the terms of the regression from them (`terms.rs`). The fit and a
//! live pump use the same code, so they agree.
//!
//! *Inputs* are speed s, ambient temperature and flow. EWMA_T is an exponential average with the time constant T in seconds: a
//! reading that comes Δ seconds after the one before moves the average by the share 1 - e^(-Δ/T) of its distance to the reading.
//! x is the place of the speed in the range of commissioning, from -1 to 1.
//!
//! Example: a speed of 1000 rpm, then 1200 rpm, read with some jitter. The range is 800 to 1200 rpm, so x is 0, then 1:
//!
//! | at | speed | EWMA_60 | the term of the speed change, (s - EWMA_60) / 200 |
//! | --- | --- | --- | --- |
//! | 0.0 s | 1000 | 1000 | 0 |
//! | 1.1 s | 1200 | 1003.6 | 0.98 |
//! | 60.4 s | missing: 1200 is held | 1126.9 | 0.37 |
//!
//! A missing input keeps its last value; `unknown.rs` computes how uncertain it becomes. The terms of an input without any
//! value yet are those of its mean in commissioning, and of the middle of the speed range.

use serde::{Deserialize, Serialize};

use super::{
    channels::Inputs,
    terms::{Source, Term},
    tuning::TUNING,
};

/// The operating range of a pump in commissioning; the inputs are scaled by it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatingRange {
    pub speed: Option<SpeedRange>,
    /// The mean ambient temperature.
    pub ambient: Option<f64>,
    pub load: Option<LoadRange>,
    /// For speed, ambient temperature and flow: after how many seconds without a value the last one says nothing anymore.
    pub forgotten_s: [f64; 3],
}

/// The speeds at which a pump ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpeedRange {
    pub low: f64,
    pub high: f64,
}

/// The flow of a pump.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadRange {
    pub mean: f64,
    /// Twice its standard deviation.
    pub scale: f64,
}

impl SpeedRange {
    /// Returns the highest speed, of which other speeds are shares.
    fn scale(self) -> f64 {
        self.high.abs().max(1e-9)
    }

    fn middle(self) -> f64 {
        (self.low + self.high) / 2.0
    }

    fn half(self) -> f64 {
        ((self.high - self.low) / 2.0).max(TUNING.min_half_range * self.scale())
    }

    /// Whether the range is so narrow that all quantities of a pump change with the speed as along a straight line.
    pub(super) fn is_narrow(self) -> bool {
        self.high - self.low < 2.0 * TUNING.narrow_half_range * self.scale()
    }

    /// Whether the pump runs at this speed.
    pub(super) fn is_running(self, speed: f64) -> bool {
        speed >= TUNING.running_share * self.scale()
    }

    /// Returns the place of a speed in the range: -1 at the lowest, 1 at the highest. A speed beyond the range counts as the
    /// end of the range, plus 1 % of the highest speed: a polynomial must not be extrapolated. The guard (`uncertainty.rs`)
    /// allows for the error.
    fn position(self, speed: f64) -> f64 {
        let free = TUNING.guard_free * self.scale();
        (speed.clamp(self.low - free, self.high + free) - self.middle()) / self.half()
    }

    /// Returns how far a speed is outside of the range, as a share of the highest.
    pub(super) fn excess(self, speed: f64) -> f64 {
        (self.low - speed).max(speed - self.high).max(0.0) / self.scale()
    }

    /// Returns a speed as a share of the highest.
    pub(super) fn share(self, speed: f64) -> f64 {
        speed / self.scale()
    }
}

/// The last values and the averages of a pump's inputs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputFilter {
    speed: Option<SpeedFilter>,
    ambient: Option<AmbientFilter>,
    flow: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeedFilter {
    last: f64,
    /// Averages of the speed.
    averages: [f64; 3],
    /// Averages of the square of the speed as a share of the highest: the heat that the load makes.
    heat: [f64; 3],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AmbientFilter {
    last: f64,
    averages: [f64; 4],
}

/// Returns the share of its distance to a new value by which an average of time constant `time_constant_s` moves in `elapsed_s`.
pub(super) fn share(elapsed_s: f64, time_constant_s: f64) -> f64 {
    -(-elapsed_s / time_constant_s).exp_m1()
}

fn update_averages(averages: &mut [f64], time_constants_s: &[f64], value: f64, elapsed_s: f64) {
    for (average, time_constant_s) in averages.iter_mut().zip(time_constants_s) {
        *average += share(elapsed_s, *time_constant_s) * (value - *average);
    }
}

impl InputFilter {
    /// Takes the inputs of a reading that is `elapsed_s` later than the one before.
    pub(super) fn advance(&mut self, range: &OperatingRange, inputs: &Inputs, elapsed_s: f64) {
        if let Some(speed_range) = range.speed {
            let heat = |speed: f64| speed_range.share(speed).powi(2);
            match (&mut self.speed, inputs.speed) {
                (None, Some(speed)) => {
                    self.speed = Some(SpeedFilter { last: speed, averages: [speed; 3], heat: [heat(speed); 3] });
                }
                (None, None) => {}
                (Some(filter), speed) => {
                    filter.last = speed.unwrap_or(filter.last);
                    update_averages(&mut filter.averages, &TUNING.change_time_constants_s, filter.last, elapsed_s);
                    update_averages(&mut filter.heat, &TUNING.heat_time_constants_s, heat(filter.last), elapsed_s);
                }
            }
        }
        match (&mut self.ambient, inputs.ambient) {
            (None, Some(ambient)) => self.ambient = Some(AmbientFilter { last: ambient, averages: [ambient; 4] }),
            (None, None) => {}
            (Some(filter), ambient) => {
                filter.last = ambient.unwrap_or(filter.last);
                update_averages(&mut filter.averages, &TUNING.ambient_time_constants_s, filter.last, elapsed_s);
            }
        }
        self.flow = inputs.flow.or(self.flow);
    }

    /// Returns the filter as it would be if an input had been higher by `difference` for a long time. The heating by the speed is
    /// left as it is.
    pub(super) fn shifted(&self, source: Source, difference: f64) -> InputFilter {
        let mut shifted = self.clone();
        match source {
            Source::Speed => {
                if let Some(filter) = &mut shifted.speed {
                    filter.last += difference;
                    filter.averages.iter_mut().for_each(|average| *average += difference);
                }
            }
            Source::Ambient => {
                if let Some(filter) = &mut shifted.ambient {
                    filter.last += difference;
                    filter.averages.iter_mut().for_each(|average| *average += difference);
                }
            }
            Source::Nothing | Source::Flow => {}
        }
        shifted
    }

    /// Whether an input has been seen.
    pub(super) fn has(&self, source: Source) -> bool {
        match source {
            Source::Nothing => true,
            Source::Speed => self.speed.is_some(),
            Source::Ambient => self.ambient.is_some(),
            Source::Flow => self.flow.is_some(),
        }
    }

    /// Returns the last speed.
    pub(super) fn speed(&self) -> Option<f64> {
        self.speed.as_ref().map(|filter| filter.last)
    }

    /// Returns how fast the speed changes: the square of its distance from its average over 60 s, as a share of half the range.
    pub(super) fn squared_change(&self, range: &OperatingRange) -> f64 {
        match (&self.speed, range.speed) {
            (Some(filter), Some(range)) => ((filter.last - filter.averages[2]) / range.half()).powi(2),
            _ => 0.0,
        }
    }

    /// Writes the values of the terms to `values`.
    pub(super) fn terms(&self, range: &OperatingRange, terms: &[Term], values: &mut Vec<f64>) {
        let x = match (&self.speed, range.speed) {
            (Some(filter), Some(range)) => range.position(filter.last),
            _ => 0.0,
        };
        let load = match (self.flow, range.load) {
            (Some(flow), Some(range)) => (flow - range.mean) / range.scale,
            _ => 0.0,
        };
        values.clear();
        values.extend(terms.iter().map(|term| self.term(*term, range, x, load)));
    }

    fn term(&self, term: Term, range: &OperatingRange, x: f64, load: f64) -> f64 {
        match term {
            Term::Constant => 1.0,
            Term::SpeedPower(power) => x.powi(i32::from(power)),
            Term::SpeedBump(bump) => {
                let spacing = 2.0 / f64::from(TUNING.bumps - 1);
                let center = -1.0 + spacing * f64::from(bump);
                (-0.5 * ((x - center) / spacing).powi(2)).exp()
            }
            Term::SpeedChange(index) => match (&self.speed, range.speed) {
                (Some(filter), Some(range)) => (filter.last - filter.averages[usize::from(index)]) / range.half(),
                _ => 0.0,
            },
            Term::Heat(index) => match (&self.speed, range.speed) {
                (Some(filter), Some(range)) => {
                    4.0 * (filter.heat[usize::from(index)] - range.share(range.middle()).powi(2))
                }
                _ => 0.0,
            },
            Term::Ambient => match (&self.ambient, range.ambient) {
                (Some(filter), Some(mean)) => (filter.main() - mean) / 10.0,
                _ => 0.0,
            },
            Term::AmbientLag(index) => match &self.ambient {
                Some(filter) => (filter.averages[usize::from(index)] - filter.main()) / 10.0,
                None => 0.0,
            },
            Term::Load => load.clamp(-9.0, 9.0),
            Term::LoadSquared => (load * load).clamp(-9.0, 9.0),
            Term::LoadBySpeed => (load * x).clamp(-9.0, 9.0),
        }
    }

    /// Whether all its numbers are finite.
    pub(super) fn is_valid(&self) -> bool {
        let speed = self.speed.iter().flat_map(|f| f.averages.iter().chain(&f.heat).chain([&f.last]));
        let ambient = self.ambient.iter().flat_map(|f| f.averages.iter().chain([&f.last]));
        speed.chain(ambient).chain(&self.flow).all(|number| number.is_finite())
    }
}

impl AmbientFilter {
    /// Returns the average over 1200 s: the main one, from which the others are measured.
    fn main(&self) -> f64 {
        let index = TUNING
            .ambient_time_constants_s
            .iter()
            .position(|time_constant_s| *time_constant_s == TUNING.ambient_main_s);
        self.averages[index.unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> OperatingRange {
        OperatingRange {
            speed: Some(SpeedRange { low: 800.0, high: 1200.0 }),
            ambient: Some(20.0),
            load: Some(LoadRange { mean: 100.0, scale: 20.0 }),
            forgotten_s: [30.0; 3],
        }
    }

    fn of(filter: &InputFilter, term: Term) -> f64 {
        let mut values = Vec::new();
        filter.terms(&range(), &[term], &mut values);
        values[0]
    }

    #[test]
    fn the_example_of_the_module() {
        let mut filter = InputFilter::default();
        let mut seen = Vec::new();
        for (elapsed_s, speed) in [(0.0, Some(1000.0)), (1.1, Some(1200.0)), (59.3, None)] {
            filter.advance(&range(), &Inputs { speed, ..Inputs::default() }, elapsed_s);
            seen.push((of(&filter, Term::SpeedPower(1)), (100.0 * of(&filter, Term::SpeedChange(2))).round() / 100.0));
        }
        assert_eq!(seen, [(0.0, 0.0), (1.0, 0.98), (1.0, 0.37)]);
    }

    #[test]
    fn averages_depend_on_time_and_not_on_the_number_of_readings() {
        let run = |readings: u32| {
            let mut filter = InputFilter::default();
            filter.advance(&range(), &Inputs { ambient: Some(10.0), ..Inputs::default() }, 0.0);
            for _ in 0..readings {
                let inputs = Inputs { ambient: Some(30.0), ..Inputs::default() };
                filter.advance(&range(), &inputs, 600.0 / f64::from(readings));
            }
            of(&filter, Term::Ambient)
        };
        assert!((run(1) - run(600)).abs() < 1e-9);
    }

    #[test]
    fn an_input_that_was_never_seen_is_at_its_mean() {
        let mut filter = InputFilter::default();
        filter.advance(&range(), &Inputs::default(), 1.0);
        for term in Term::all(true, true, true, 1.0) {
            let expected = of(&filter, term);
            assert!(term == Term::Constant || matches!(term, Term::SpeedBump(_)) || expected == 0.0, "{term:?}");
        }
    }

    #[test]
    fn beyond_the_known_speeds_the_terms_of_the_speed_are_constant() {
        let at = |speed: f64, term: Term| {
            let mut filter = InputFilter::default();
            filter.advance(&range(), &Inputs { speed: Some(speed), flow: Some(90.0), ..Inputs::default() }, 0.0);
            of(&filter, term)
        };
        assert_eq!(at(1212.0, Term::SpeedPower(1)), 1.06, "one percent is free");
        for term in [Term::SpeedPower(3), Term::SpeedBump(7), Term::LoadBySpeed] {
            assert_eq!(at(3000.0, term), at(1212.0, term), "{term:?}");
        }
        let speeds = range().speed.expect("a speed");
        assert_eq!((speeds.excess(3000.0), speeds.excess(1000.0)), (1.5, 0.0));
        assert!(speeds.is_running(180.0) && !speeds.is_running(179.0));
    }
}
