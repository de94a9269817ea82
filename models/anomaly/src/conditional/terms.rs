//! The terms of the regression: functions of the operating point, of which a channel's prediction is a weighted sum. Each weight
//! has a *prior*, which says what is expected of it before anything was measured.
//!
//! Let s be the speed, [low, high] its range in commissioning, x = (s - middle) / half range, a the ambient temperature, and
//! EWMA_T an exponential average with the time constant T. A pump with speed, ambient temperature and flow has these 25 terms at
//! one reading per second:
//!
//! | terms | | for |
//! | --- | --- | --- |
//! | 1, x, x², x³ | x limited to the range | any dependence on speed |
//! | 8 bumps exp(-½ ((x - c) / (2/7))²), c from -1 to 1 | | resonances, valves |
//! | (s - EWMA_T s) / half range | T = 5, 15, 60 s | values that follow the speed with a delay |
//! | 4 (EWMA_T (s/high)² - (middle/high)²) | T = 300, 1200, 4800 s | heat |
//! | (EWMA_1200 a - mean) / 10 K | | ambient |
//! | (EWMA_T a - EWMA_1200 a) / 10 K | T = 60, 300, 4800 s | the delay with which the machine follows the ambient |
//! | l, l², l x, with l = (flow - mean) / (2 standard deviations) | limited to ±9 | current, which depends on the load |
//!
//! Example: a bearing is 20 K above the ambient temperature at full speed, warms up with a time constant of 1200 s, and follows
//! the ambient temperature with 300 s. It is a weighted sum of three terms: heat with T = 1200 s, ambient, and the ambient
//! difference with T = 300 s. The fit finds their weights however the speed varies. At one reading per minute there are no speed
//! changes of 5 s and 15 s.
//!
//! Does not compute the averages; see `features.rs`.

use serde::{Deserialize, Serialize};

use super::{
    channels::Group,
    tuning::{ConditionalTuning, TUNING},
};

/// One term. The numbers are indexes into the time constants of [`ConditionalTuning`], unless a comment says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Term {
    Constant,
    /// x to this power.
    SpeedPower(u8),
    /// The bump with this number, from 0 at the lowest speed.
    SpeedBump(u8),
    SpeedChange(u8),
    Heat(u8),
    Ambient,
    AmbientLag(u8),
    Load,
    LoadSquared,
    LoadBySpeed,
}

/// The number of terms of a pump that has all of them.
pub(super) const MAX_TERMS: usize = 25;

/// What a term is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Nothing,
    Speed,
    Ambient,
    Flow,
}

/// The expected weight of a term: a normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prior {
    pub mean: f64,
    pub sd: f64,
}

/// The number of terms that every channel has, and that of a channel that also depends on the load. The terms of the load are
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TermCount {
    pub common: usize,
    pub all: usize,
}

impl TermCount {
    pub(super) fn of(terms: &[Term]) -> TermCount {
        let common = terms.iter().filter(|term| term.source() != Source::Flow).count();
        TermCount { common, all: terms.len() }
    }

    /// Returns how many of the terms, from the first, a channel of this group has.
    pub(super) fn for_group(self, group: Group) -> usize {
        if group == Group::Loaded { self.all } else { self.common }
    }
}

impl Term {
    /// Returns the terms of a pump that has these inputs, and readings at this interval.
    pub(super) fn all(speed: bool, ambient: bool, flow: bool, interval_s: f64) -> Vec<Term> {
        let ConditionalTuning { bumps, change_time_constants_s, ambient_time_constants_s, ambient_main_s, .. } = TUNING;
        let mut terms = vec![Term::Constant];
        if speed {
            terms.extend((1..=3).map(Term::SpeedPower));
            terms.extend((0..bumps).map(Term::SpeedBump));
            // The slowest one is used at any interval: it also shows how fast the speed changes.
            let slowest = change_time_constants_s.len() - 1;
            for (index, time_constant) in change_time_constants_s.iter().enumerate() {
                if *time_constant >= 1.5 * interval_s || index == slowest {
                    terms.push(Term::SpeedChange(index as u8));
                }
            }
            terms.extend((0..TUNING.heat_time_constants_s.len()).map(|index| Term::Heat(index as u8)));
        }
        if ambient {
            terms.push(Term::Ambient);
            let lags = ambient_time_constants_s
                .iter()
                .enumerate()
                .filter(|(_, time_constant)| **time_constant != ambient_main_s);
            terms.extend(lags.map(|(index, _)| Term::AmbientLag(index as u8)));
        }
        // Without a speed, a change of the load must be found as a fault, not explained as an operating point.
        if speed && flow {
            terms.extend([Term::Load, Term::LoadSquared, Term::LoadBySpeed]);
        }
        terms
    }

    /// Whether it makes the dependence on the speed a curve. A pump of constant speed has none of these terms: over a few percent
    /// of the speed a straight line is enough, and beyond them such a curve would be arbitrary.
    pub(super) fn is_curved(self) -> bool {
        matches!(self, Term::SpeedPower(2..) | Term::SpeedBump(_))
    }

    /// Returns what it is computed from.
    pub(super) fn source(self) -> Source {
        match self {
            Term::Constant => Source::Nothing,
            Term::SpeedPower(_) | Term::SpeedBump(_) | Term::SpeedChange(_) | Term::Heat(_) => Source::Speed,
            Term::Ambient | Term::AmbientLag(_) => Source::Ambient,
            Term::Load | Term::LoadSquared | Term::LoadBySpeed => Source::Flow,
        }
    }

    /// Returns the time constant of its average, in seconds; `None` if it is no average.
    pub(super) fn time_constant_s(self) -> Option<f64> {
        match self {
            Term::SpeedChange(index) => Some(TUNING.change_time_constants_s[usize::from(index)]),
            Term::Heat(index) => Some(TUNING.heat_time_constants_s[usize::from(index)]),
            Term::Ambient => Some(TUNING.ambient_main_s),
            Term::AmbientLag(index) => Some(TUNING.ambient_time_constants_s[usize::from(index)]),
            Term::Constant
            | Term::SpeedPower(_)
            | Term::SpeedBump(_)
            | Term::Load
            | Term::LoadSquared
            | Term::LoadBySpeed => None,
        }
    }

    /// Returns the prior of its weight, in spreads. `spread`: the standard deviation of the channel's residuals.
    pub(super) fn prior(self, group: Group, spread: f64) -> Prior {
        let thermal = group == Group::Thermal;
        // The unit of the ambient terms is 10 K.
        let kelvins = |k: f64| 10.0 * k / spread;
        let sd = match self {
            Term::Constant => TUNING.prior_constant,
            Term::SpeedPower(power) => TUNING.prior_powers[usize::from(power) - 1],
            Term::SpeedBump(_) => TUNING.prior_bump,
            Term::SpeedChange(_) => TUNING.prior_change,
            Term::Heat(_) if thermal => TUNING.prior_heat_thermal,
            Term::Heat(_) => TUNING.prior_heat_other,
            Term::Ambient if thermal => kelvins(TUNING.prior_ambient_thermal),
            Term::AmbientLag(_) if thermal => kelvins(TUNING.prior_ambient_lag_thermal),
            Term::Ambient | Term::AmbientLag(_) => TUNING.prior_ambient_other,
            Term::Load | Term::LoadSquared | Term::LoadBySpeed => TUNING.prior_load,
        };
        Prior { mean: if thermal && self == Term::Ambient { kelvins(1.0) } else { 0.0 }, sd }
    }

    /// Whether its index is in range: a stored term may have any.
    pub(super) fn is_valid(self) -> bool {
        match self {
            Term::SpeedPower(power) => (1..=3).contains(&power),
            Term::SpeedBump(bump) => bump < TUNING.bumps,
            Term::SpeedChange(index) => usize::from(index) < TUNING.change_time_constants_s.len(),
            Term::Heat(index) => usize::from(index) < TUNING.heat_time_constants_s.len(),
            Term::AmbientLag(index) => usize::from(index) < TUNING.ambient_time_constants_s.len(),
            Term::Constant | Term::Ambient | Term::Load | Term::LoadSquared | Term::LoadBySpeed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_follow_from_the_inputs_and_the_interval() {
        let count = |speed, ambient, flow, interval_s| {
            let TermCount { common, all } = TermCount::of(&Term::all(speed, ambient, flow, interval_s));
            (common, all)
        };
        assert_eq!(count(true, true, true, 1.0), (22, MAX_TERMS));
        assert_eq!(count(true, true, true, 60.0), (20, 23), "no speed changes of 5 and 15 s");
        assert_eq!(count(false, false, true, 1.0), (1, 1), "without speed the load is no input");
        assert_eq!(count(false, true, true, 1.0), (5, 5));
        assert!(Term::all(true, true, true, 1.0).into_iter().all(Term::is_valid));
    }

    #[test]
    fn a_temperature_is_expected_to_follow_the_ambient_by_one_kelvin_per_kelvin() {
        let prior = Term::Ambient.prior(Group::Thermal, 0.5);
        assert_eq!((prior.mean * 0.5 / 10.0, prior.sd * 0.5 / 10.0), (1.0, 0.3));
        assert_eq!(Term::Ambient.prior(Group::Other, 0.5), Prior { mean: 0.0, sd: 1.0 });
    }
}
