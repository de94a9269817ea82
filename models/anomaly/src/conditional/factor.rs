//! How uncertain the weights of the predictions are: their covariance, which several outputs share.
//!
//! An *output* is a channel that is predicted, as a weighted sum of *terms* (functions of speed, ambient temperature and flow).
//! How well its weights are known depends on the operating points at which the pump ran, which are the same for all outputs. So
//! there are two covariances only: one for the weights of temperatures, and one for those of all other outputs, whose priors
//! differ from those of temperatures. Each is the inverse of the mean of its outputs' precisions (`ridge.rs`). All are in
//! spreads: the weight of an output is divided by the standard deviation of its residuals.
//!
//! A covariance P is kept as U D U', with U upper triangular with ones on its diagonal, and D diagonal (Bierman 1977). This has
//! three advantages. P stays positive definite through any number of readings, also with `f32`. A reading costs two passes over
//! the triangle. And the first n columns are the factor of the first n terms alone: the terms of the load are last, so the flow,
//! which does not have them, and the current, which has them, share one factor.
//!
//! Let φ be the terms of a reading, f = U' φ their *projection*, and v = D f. The *leverage* φ' P φ, the variance of the
//! prediction in squared spreads, is then Σ f v. The *information* w of a reading says how much it counts, as a share of an
//! independent reading. Learning the reading is the recursive least squares update P - P φ φ' P / (1/w + φ' P φ), computed
//! column by column:
//!
//! ```text
//! a = 1/w
//! for each column j:  a' = a + f_j v_j;  D_j *= a / a'
//!     for each row i < j:  (U_ij, g_i) = (U_ij - g_i f_j / a,  g_i + U_ij v_j)
//!     g_j = v_j;  a = a'
//! ```
//!
//! After n columns, g (the *gain*) is P φ of the first n terms.
//!
//! Example: one term, which is always 1, D = 4, and a reading with w = 1. The leverage is 4 and a' is 5. D becomes
//! 0.8 = 1 / (1/4 + 1), and the weight moves by g / a' = 0.8 times the residual.

use serde::{Deserialize, Serialize};

use super::{
    channels::Group,
    packed,
    symmetric::{Symmetric, start},
    terms::{MAX_TERMS, TermCount},
};

/// The covariances of the weights: of the temperatures, and of the other outputs. Empty if there are no such outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Factors {
    pub thermal: Factor,
    pub other: Factor,
}

/// One covariance, as U D U'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Factor {
    size: usize,
    /// Column by column: U above the diagonal, and D on it.
    #[serde(with = "packed::f32s")]
    columns: Vec<f32>,
}

/// The projection of a reading's terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projection {
    size: usize,
    /// f = U' φ.
    along: [f64; MAX_TERMS],
    /// v = D f.
    scaled: [f64; MAX_TERMS],
    /// For each term: the leverage of the terms up to and including it.
    leverages: [f64; MAX_TERMS],
}

/// The gains P φ: of the terms that all outputs have (the common ones), and of all terms.
pub(super) struct Gains {
    common: usize,
    of_common: [f64; MAX_TERMS],
    of_all: [f64; MAX_TERMS],
}

impl Factors {
    /// Whether they have the sizes of others, and finite numbers only.
    pub(super) fn fit(&self, others: &Factors) -> bool {
        self.thermal.is_valid(others.thermal.size) && self.other.is_valid(others.other.size)
    }

    /// Whether they have the terms of these outputs.
    pub(super) fn fit_groups(&self, count: TermCount, groups: impl Iterator<Item = Group> + Clone) -> bool {
        let size = |is_thermal| {
            let own = groups.clone().filter(|group| (*group == Group::Thermal) == is_thermal);
            own.map(|group| count.for_group(group)).max().unwrap_or(0)
        };
        self.thermal.is_valid(size(true)) && self.other.is_valid(size(false))
    }
}

impl Factor {
    /// Returns the factor of the inverse of a precision; `None` if that is not positive definite.
    pub(super) fn of_precision(precision: &Symmetric) -> Option<Factor> {
        // With the precision L L', the covariance is L'⁻¹ L⁻¹, and a row of L⁻¹ is a column of U √D.
        let rows = precision.inverse_of_factor()?;
        let mut columns = Vec::with_capacity(rows.len());
        for column in 0..precision.size() {
            let (above, diagonal) = rows[start(column)..start(column + 1)].split_at(column);
            columns.extend(above.iter().map(|element| (element / diagonal[0]) as f32));
            columns.push((diagonal[0] * diagonal[0]) as f32);
        }
        columns.iter().all(|number| number.is_finite()).then_some(Factor { size: precision.size(), columns })
    }

    /// Whether there are terms besides the constant.
    pub(super) fn has_terms(&self) -> bool {
        self.size > 1
    }

    /// Projects the terms of a reading; it may have more terms than the factor.
    pub(super) fn project(&self, terms: &[f64]) -> Projection {
        let zeros = [0.0; MAX_TERMS];
        let mut projection = Projection { size: self.size, along: zeros, scaled: zeros, leverages: zeros };
        let mut leverage = 0.0;
        for (column, term) in terms.iter().enumerate().take(self.size) {
            let (above, diagonal) = self.columns[start(column)..start(column + 1)].split_at(column);
            let along = term + dot(above, terms);
            let scaled = f64::from(diagonal[0]) * along;
            leverage += along * scaled;
            projection.along[column] = along;
            projection.scaled[column] = scaled;
            projection.leverages[column] = leverage;
        }
        projection
    }

    /// Learns a reading of this information w. Returns the gains: the weights move by the residual times gain / (1/w + leverage).
    pub(super) fn learn(&mut self, projection: &Projection, information: f64, common: usize) -> Gains {
        let mut gains = Gains { common, of_common: [0.0; MAX_TERMS], of_all: [0.0; MAX_TERMS] };
        let gain = &mut gains.of_all;
        let mut total = 1.0 / information;
        for column in 0..self.size {
            let (along, scaled) = (projection.along[column], projection.scaled[column]);
            let next = total + along * scaled;
            let (above, diagonal) = self.columns[start(column)..start(column + 1)].split_at_mut(column);
            diagonal[0] = (f64::from(diagonal[0]) * (total / next)) as f32;
            let moved = along / total;
            for (element, gain) in above.iter_mut().zip(&mut *gain) {
                let before = f64::from(*element);
                *element = (before - *gain * moved) as f32;
                *gain += before * scaled;
            }
            gain[column] = scaled;
            total = next;
            if column + 1 == common {
                gains.of_common = *gain;
            }
        }
        gains
    }

    /// Whether it has this size, and finite numbers only.
    pub(super) fn is_valid(&self, size: usize) -> bool {
        self.size == size
            && self.columns.len() == start(size)
            && self.columns.iter().all(|number| number.is_finite())
            && (0..size).all(|column| self.columns[start(column) + column] > 0.0)
    }
}

impl Projection {
    /// Returns the leverage of the first `terms`: the variance of a prediction from them, in squared spreads.
    pub(super) fn leverage(&self, terms: usize) -> f64 {
        terms.min(self.size).checked_sub(1).map_or(0.0, |last| self.leverages[last])
    }
}

impl Gains {
    /// Returns the gains of an output with this number of terms.
    pub(super) fn of(&self, terms: usize) -> &[f64] {
        if terms == self.common { &self.of_common[..terms] } else { &self.of_all[..terms] }
    }
}

/// Returns the scalar product. It adds to four sums in turn, because an addition to a single sum would have to wait for the one
/// before.
fn dot(elements: &[f32], terms: &[f64]) -> f64 {
    let (chunks, rest) = elements.as_chunks::<4>();
    let (terms, _) = terms.split_at(elements.len());
    let (term_chunks, rest_terms) = terms.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (elements, terms) in chunks.iter().zip(term_chunks) {
        for lane in 0..4 {
            sums[lane] += f64::from(elements[lane]) * terms[lane];
        }
    }
    let rest: f64 = rest.iter().zip(rest_terms).map(|(element, term)| f64::from(*element) * term).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::ridge, *};

    fn precision(rows: &[Vec<f64>]) -> Symmetric {
        let mut precision = Symmetric::zeros(rows[0].len());
        rows.iter().for_each(|row| precision.add_outer(row, 1.0));
        (0..rows[0].len()).for_each(|index| precision.add_to_diagonal(index, 0.1));
        precision
    }

    /// The covariance times the terms, by a full inverse of the first terms.
    fn expected(precision: &Symmetric, terms: &[f64]) -> Vec<f64> {
        let mut leading = Symmetric::zeros(terms.len());
        for row in 0..terms.len() {
            (0..=row).for_each(|column| leading.set(row, column, precision.get(row, column)));
        }
        let mut product = vec![0.0; terms.len()];
        leading.inverse().expect("positive definite").multiply(terms, &mut product);
        product
    }

    #[test]
    fn the_example_of_the_module() {
        let mut quarter = Symmetric::zeros(1);
        quarter.set(0, 0, 0.25);
        let mut factor = Factor::of_precision(&quarter).expect("positive");
        let projection = factor.project(&[1.0]);
        assert_eq!(projection.leverage(1), 4.0);
        let gains = factor.learn(&projection, 1.0, 1);
        assert_eq!(gains.of(1)[0] / 5.0, 0.8);
        assert!((factor.project(&[1.0]).leverage(1) - 0.8).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn learning_is_that_of_the_full_matrix_for_the_first_terms_and_for_all(
            rows in prop::collection::vec(prop::collection::vec(-2.0..2.0, 5), 8),
            terms in prop::collection::vec(-2.0..2.0, 5),
            later in prop::collection::vec(-2.0..2.0, 5),
            information in 0.01..1.0,
        ) {
            let mut precision = precision(&rows);
            let mut factor = Factor::of_precision(&precision).expect("positive definite");
            let projection = factor.project(&terms);
            for count in [3, 5] {
                let product = expected(&precision, &terms[..count]);
                let leverage = ridge::dot(&product, &terms);
                prop_assert!((projection.leverage(count) - leverage).abs() < 1e-4 * leverage.max(0.1));
            }
            let gains = factor.learn(&projection, information, 3);
            for count in [3, 5] {
                for (gain, expected) in gains.of(count).iter().zip(expected(&precision, &terms[..count])) {
                    prop_assert!((gain - expected).abs() < 1e-4, "{gain} {expected}");
                }
            }
            precision.add_outer(&terms, information);
            for count in [3, 5] {
                let leverage = ridge::dot(&expected(&precision, &later[..count]), &later);
                prop_assert!((factor.project(&later).leverage(count) - leverage).abs() < 1e-4 * leverage.max(0.1));
            }
        }
    }

    #[test]
    fn a_million_readings_leave_it_positive_and_as_exact_as_a_sum() {
        let terms = |i: u32| {
            let x = f64::from(i % 1_000) / 500.0 - 1.0;
            [1.0, x, x * x, x * x * x, (-8.0 * x * x).exp()]
        };
        let mut sum = Symmetric::zeros(5);
        (0..5).for_each(|index| sum.add_to_diagonal(index, 1e-4));
        let mut factor = Factor::of_precision(&sum).expect("positive definite");
        for i in 0..1_000_000 {
            let projection = factor.project(&terms(i));
            factor.learn(&projection, 1.0 / 60.0, 5);
            sum.add_outer(&terms(i), 1.0 / 60.0);
        }
        assert!(factor.is_valid(5));
        for i in [0, 250, 700] {
            let exact = ridge::dot(&expected(&sum, &terms(i)), &terms(i));
            let leverage = factor.project(&terms(i)).leverage(5);
            assert!((leverage / exact - 1.0).abs() < 0.01, "{leverage} {exact}");
        }
    }
}
