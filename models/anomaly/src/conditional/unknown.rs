//! What is not known of the terms: averages whose history was not seen, and inputs that are missing.
//!
//! After a start of data or a gap, an average of time constant T is unknown by its variance in commissioning, and becomes
//! known with e^(-2t/T). While its input is missing, that variance grows back. A channel with the weight w on the term is
//! then uncertain by w² times the variance.
//!
//! Example: a bearing has the weight 5 K on a heat term with variance 0.04 and T = 1200 s. At the start its value is
//! uncertain by 5 · √0.04 = 1 K, after 20 minutes by 0.37 K, and after an hour by 0.05 K. If the speed is then missing for a
//! minute, by 0.9 K: half a minute without an input is as good as no history.

use serde::{Deserialize, Serialize};

use super::{
    channels::Inputs,
    packed,
    terms::{Source, Term},
    tuning::TUNING,
};

/// An average of which less than this share of its variance is unknown is known: it needs no more arithmetic.
const KNOWN: f64 = 1e-9;

/// The variance of each term that is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct UnknownTerms {
    #[serde(with = "packed::f64s")]
    variances: Vec<f64>,
}

/// The inputs that a reading lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissingInputs {
    speed: bool,
    ambient: bool,
    flow: bool,
}

impl MissingInputs {
    pub(super) fn of(inputs: &Inputs) -> MissingInputs {
        let Inputs { speed, ambient, flow } = inputs;
        MissingInputs { speed: speed.is_none(), ambient: ambient.is_none(), flow: flow.is_none() }
    }

    fn contains(self, source: Source) -> bool {
        match source {
            Source::Nothing => false,
            Source::Speed => self.speed,
            Source::Ambient => self.ambient,
            Source::Flow => self.flow,
        }
    }
}

impl UnknownTerms {
    /// At the start of data: the averages are not known. `term_variances`: of each term in commissioning.
    pub(super) fn new(terms: &[Term], term_variances: &[f64]) -> UnknownTerms {
        let pairs = terms.iter().zip(term_variances);
        let variances = pairs.map(|(term, variance)| if term.span_s().is_some() { *variance } else { 0.0 });
        UnknownTerms { variances: variances.collect() }
    }

    /// Passes `elapsed_s`, up to a reading that lacks these inputs.
    pub(super) fn advance(&mut self, terms: &[Term], term_variances: &[f64], missing: MissingInputs, elapsed_s: f64) {
        for ((unknown, term), variance) in self.variances.iter_mut().zip(terms).zip(term_variances) {
            let is_missing = missing.contains(term.source());
            if *unknown == 0.0 && !is_missing {
                continue;
            }
            // What is without history is known at once.
            let kept = term.span_s().map_or(0.0, |span_s| (-2.0 * elapsed_s / span_s).exp());
            *unknown *= kept;
            if *unknown < KNOWN * variance {
                *unknown = 0.0;
            }
            if is_missing {
                let growth = (1.0 - kept).max((elapsed_s / TUNING.input_forgotten_s).min(1.0));
                *unknown += growth * (variance - *unknown);
            }
        }
    }

    /// Returns the variance of a sum of the terms with these weights.
    pub(super) fn variance(&self, weights: &[f64]) -> f64 {
        weights.iter().zip(&self.variances).map(|(weight, unknown)| weight * weight * unknown).sum()
    }

    /// Whether it has one finite variance for each term.
    pub(super) fn is_valid(&self, terms: usize) -> bool {
        self.variances.len() == terms && self.variances.iter().all(|variance| variance.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_becomes_known_and_is_forgotten_while_its_input_is_missing() {
        let terms = [Term::Heat(1)];
        let present = MissingInputs { speed: false, ambient: false, flow: false };
        let mut unknown = UnknownTerms::new(&terms, &[0.04]);
        let sd = |unknown: &UnknownTerms| unknown.variance(&[5.0]).sqrt();
        assert_eq!(sd(&unknown), 1.0);
        unknown.advance(&terms, &[0.04], present, 1_200.0);
        assert!((sd(&unknown) - (-1.0f64).exp()).abs() < 1e-12);
        unknown.advance(&terms, &[0.04], present, 2_400.0);
        assert!((sd(&unknown) - (-3.0f64).exp()).abs() < 1e-12);
        let before = sd(&unknown);
        unknown.advance(&terms, &[0.04], MissingInputs { ambient: true, ..present }, 1.0);
        assert!(sd(&unknown) < before, "another input that is missing makes no difference");
        unknown.advance(&terms, &[0.04], MissingInputs { speed: true, ..present }, 600.0);
        assert!(sd(&unknown) > 0.5);
    }

    #[test]
    fn a_term_without_history_is_unknown_only_while_its_input_is_missing() {
        let terms = [Term::Constant, Term::SpeedPower(1)];
        let mut unknown = UnknownTerms::new(&terms, &[0.0, 0.3]);
        assert_eq!(unknown.variance(&[1.0, 1.0]), 0.0);
        let missing = MissingInputs::of(&Inputs::default());
        unknown.advance(&terms, &[0.0, 0.3], missing, 60.0);
        assert_eq!(unknown.variance(&[1.0, 1.0]), 0.3);
        let here = MissingInputs::of(&Inputs { speed: Some(1.0), ..Inputs::default() });
        unknown.advance(&terms, &[0.0, 0.3], here, 1.0);
        assert_eq!(unknown.variance(&[1.0, 1.0]), 0.0);
    }
}
