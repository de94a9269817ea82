//! How uncertain the terms are: because the history of an average is not known yet, or because an input is missing.
//!
//! A *term* is a function of the inputs (speed, ambient temperature, flow); the prediction of a channel is a weighted sum of
//! terms. Some terms are exponential averages with a time constant T.
//!
//! - At the first reading, and after a gap, an average may have any value that it had in commissioning: the variance of its
//!   error is the term's variance in commissioning. The variance falls as e^(-2t/T).
//! - A missing input keeps its last value. How long that value stays useful is learned per input (`table.rs`): half a minute to
//!   half an hour. The error grows in this time, up to two standard deviations of the term in commissioning. A term that is no
//!   average has this error at once; an average has the average of this error.
//!
//! The prediction of a channel that has the weight w on a term is uncertain by w times the term's error.
//!
//! Example: a bearing has the weight 5 K on a heat term with variance 0.04 and T = 1200 s. At the start the prediction is
//! uncertain by 5 · √0.04 = 1 K, after 20 minutes by 0.37 K, and after an hour by 0.05 K. Then the speed is missing, whose last
//! value is useful for a minute. Two standard deviations of the term are an error of 5 · 2 · √0.04 = 2 K. About 5 % of it enters
//! the average in one minute: the prediction is then uncertain by 0.14 K, and after 20 minutes by 1.3 K.

use serde::{Deserialize, Serialize};

use super::{
    channels::Inputs,
    packed,
    terms::{Source, Term},
    tuning::TUNING,
};

/// A smaller error, as a share of the term's standard deviation, counts as 0, which saves arithmetic.
const KNOWN: f64 = 1e-5;

/// How much each term may be off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnknownTerms {
    /// The standard deviation of each term's error.
    #[serde(with = "packed::f64s")]
    errors: Vec<f64>,
    /// For how long speed, ambient and flow have been missing, in seconds.
    missing_s: [f64; 3],
}

/// The inputs that a reading lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissingInputs {
    speed: bool,
    ambient: bool,
    flow: bool,
}

/// Which terms a variance includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    All,
    /// Only those that are averages over time.
    History,
}

impl MissingInputs {
    pub(super) fn of(inputs: &Inputs) -> MissingInputs {
        let Inputs { speed, ambient, flow } = inputs;
        MissingInputs { speed: speed.is_none(), ambient: ambient.is_none(), flow: flow.is_none() }
    }
}

impl UnknownTerms {
    /// Returns the errors at the first reading: the averages are not known. `term_variances`: of each term in commissioning.
    pub(super) fn new(terms: &[Term], term_variances: &[f64]) -> UnknownTerms {
        let pairs = terms.iter().zip(term_variances);
        let errors = pairs.map(|(term, variance)| if term.time_constant_s().is_some() { variance.sqrt() } else { 0.0 });
        UnknownTerms { errors: errors.collect(), missing_s: [0.0; 3] }
    }

    /// Takes a reading that lacks these inputs and comes `elapsed_s` after the one before.
    pub(super) fn advance(
        &mut self,
        terms: &[Term],
        term_variances: &[f64],
        forgotten_s: &[f64; 3],
        missing: MissingInputs,
        elapsed_s: f64,
    ) {
        let MissingInputs { speed, ambient, flow } = missing;
        for (missing_s, is_missing) in self.missing_s.iter_mut().zip([speed, ambient, flow]) {
            *missing_s = if is_missing { *missing_s + elapsed_s } else { 0.0 };
        }
        for ((error, term), variance) in self.errors.iter_mut().zip(terms).zip(term_variances) {
            let wrong = wrong(&self.missing_s, forgotten_s, term.source());
            if *error == 0.0 && wrong == 0.0 {
                continue;
            }
            // A term that is no average has the error of its input at once.
            let kept = term.time_constant_s().map_or(0.0, |time_constant_s| (-elapsed_s / time_constant_s).exp());
            *error = kept * *error + (1.0 - kept) * TUNING.missing_spreads * (wrong * variance).sqrt();
            if *error < KNOWN * variance.sqrt() {
                *error = 0.0;
            }
        }
    }

    /// Returns the variance of a prediction with these weights, one per term from the first.
    pub(super) fn variance(&self, terms: &[Term], weights: &[f64], include: Include) -> f64 {
        let counts = |term: &Term| include == Include::All || term.time_constant_s().is_some();
        let terms = weights.iter().zip(&self.errors).zip(terms).filter(|(_, term)| counts(term));
        terms.map(|((weight, error), _)| (weight * error).powi(2)).sum()
    }

    /// Whether it has one finite number for each term.
    pub(super) fn is_valid(&self, terms: usize) -> bool {
        self.errors.len() == terms && self.errors.iter().chain(&self.missing_s).all(|number| number.is_finite())
    }
}

/// Returns how wrong the last value of an input is: 0 while the input is there, 1 once the last value says nothing anymore.
fn wrong(missing_s: &[f64; 3], forgotten_s: &[f64; 3], source: Source) -> f64 {
    let input = match source {
        Source::Nothing => return 0.0,
        Source::Speed => 0,
        Source::Ambient => 1,
        Source::Flow => 2,
    };
    (missing_s[input] / forgotten_s[input]).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEED: MissingInputs = MissingInputs { speed: true, ambient: false, flow: false };
    const NONE: MissingInputs = MissingInputs { speed: false, ..SPEED };

    const FORGOTTEN_S: [f64; 3] = [60.0, 1_800.0, 60.0];

    #[test]
    fn the_example_of_the_module() {
        let terms = [Term::Heat(1)];
        let mut unknown = UnknownTerms::new(&terms, &[0.04]);
        let sd = |unknown: &UnknownTerms| unknown.variance(&[Term::Heat(1)], &[5.0], Include::All).sqrt();
        assert_eq!(sd(&unknown), 1.0);
        unknown.advance(&terms, &[0.04], &FORGOTTEN_S, NONE, 1_200.0);
        assert!((sd(&unknown) - (-1.0f64).exp()).abs() < 1e-12);
        unknown.advance(&terms, &[0.04], &FORGOTTEN_S, NONE, 2_400.0);
        assert!((sd(&unknown) - (-3.0f64).exp()).abs() < 1e-12);
        let before = sd(&unknown);
        unknown.advance(&terms, &[0.04], &FORGOTTEN_S, MissingInputs { ambient: true, ..NONE }, 1.0);
        assert!(sd(&unknown) < before, "another input that is missing makes no difference");
        unknown.advance(&terms, &[0.04], &FORGOTTEN_S, SPEED, 60.0);
        assert!((sd(&unknown) - 0.14).abs() < 0.01, "{}", sd(&unknown));
        (0..19).for_each(|_| unknown.advance(&terms, &[0.04], &FORGOTTEN_S, SPEED, 60.0));
        assert!((sd(&unknown) - 1.3).abs() < 0.05, "{}", sd(&unknown));
    }

    #[test]
    fn an_input_that_changes_slowly_is_forgotten_slowly() {
        let terms = [Term::Ambient, Term::SpeedChange(2)];
        let mut unknown = UnknownTerms::new(&terms, &[0.25, 0.25]);
        unknown.advance(&terms, &[0.25, 0.25], &FORGOTTEN_S, NONE, 1e6);
        unknown.advance(&terms, &[0.25, 0.25], &FORGOTTEN_S, MissingInputs { ambient: true, ..SPEED }, 60.0);
        let of = |weights: [f64; 2]| unknown.variance(&terms, &weights, Include::All).sqrt();
        assert!(of([1.0, 0.0]) < 0.02 && of([0.0, 1.0]) > 0.5, "{} {}", of([1.0, 0.0]), of([0.0, 1.0]));
    }

    #[test]
    fn a_term_without_history_is_unknown_only_while_its_input_is_missing() {
        let terms = [Term::Constant, Term::SpeedPower(1)];
        let mut unknown = UnknownTerms::new(&terms, &[0.0, 0.3]);
        assert_eq!(unknown.variance(&terms, &[1.0, 1.0], Include::All), 0.0);
        unknown.advance(&terms, &[0.0, 0.3], &FORGOTTEN_S, SPEED, 60.0);
        assert!((unknown.variance(&terms, &[1.0, 1.0], Include::All) - 4.0 * 0.3).abs() < 1e-12);
        assert_eq!(unknown.variance(&terms, &[1.0, 1.0], Include::History), 0.0);
        unknown.advance(&terms, &[0.0, 0.3], &FORGOTTEN_S, NONE, 1.0);
        assert_eq!(unknown.variance(&terms, &[1.0, 1.0], Include::All), 0.0);
    }
}
