//! How unlikely each channel's average is, given the averages of the other channels.
//!
//! Let m be the averages of the channels' residuals (value less prediction) and V their covariance in commissioning. The
//! *leave-one-out z* of channel c is (V⁻¹ m)_c / √((V⁻¹)_cc): the distance of m_c from what the other channels predict for it,
//! in standard deviations of that prediction.
//!
//! Example: two channels with standard deviation 1 and correlation 0.9. If both averages are 2, each channel has z = 0.46:
//! they have moved together, as they usually do. If the first is 2 and the second 0, the first has z = 4.6 and the second
//! z = -4.1: the first has moved alone, and is named.
//!
//! A channel that is missing is left out of m and V; the other channels are tested without it.
//!
//! How it is computed: let L be V's Cholesky factor (V = L L') and W = L⁻¹. Then V⁻¹ = W' W, so V⁻¹ m is W' (W m), and
//! (V⁻¹)_cc is the sum of the squares of W's column c. The buffers are reused from one call to the next.

use super::symmetric::Symmetric;

/// Computes the z of averages; holds the buffers for that.
pub(super) struct LeaveOneOut {
    /// The covariance of the present channels; after a computation, the inverse of its Cholesky factor.
    matrix: Symmetric,
    present: Vec<usize>,
    values: Vec<f64>,
    /// For each present channel: V⁻¹ m, and the diagonal of V⁻¹.
    solved: Vec<f64>,
    diagonal: Vec<f64>,
}

impl LeaveOneOut {
    pub(super) fn new() -> LeaveOneOut {
        let (present, values, solved, diagonal) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        LeaveOneOut { matrix: Symmetric::zeros(0), present, values, solved, diagonal }
    }

    /// Writes the signed z of each channel to `z`, `None` where missing. Returns whether the covariance is positive definite.
    ///
    /// `covariance`: of all channels. `means`: of all channels, `None` where missing. `extra`: a variance to add, per channel.
    pub(super) fn compute(
        &mut self,
        covariance: &Symmetric,
        means: &[Option<f64>],
        extra: &[f64],
        z: &mut [Option<f64>],
    ) -> bool {
        self.present.clear();
        self.values.clear();
        for (channel, mean) in means.iter().enumerate() {
            if let Some(mean) = mean {
                self.present.push(channel);
                self.values.push(*mean);
            }
        }
        if self.present.len() == means.len() {
            self.matrix.copy_from(covariance);
        } else {
            self.matrix.reset(self.present.len());
            for (row, channel) in self.present.iter().enumerate() {
                for (column, other) in self.present[..=row].iter().enumerate() {
                    self.matrix.set(row, column, covariance.get(*channel, *other));
                }
            }
        }
        for (row, channel) in self.present.iter().enumerate() {
            self.matrix.add_to_diagonal(row, extra[*channel]);
        }
        z.fill(None);
        if !self.matrix.invert_factor() {
            return false;
        }
        self.solve();
        for (index, channel) in self.present.iter().enumerate() {
            let own = self.solved[index] / self.diagonal[index].sqrt();
            z[*channel] = own.is_finite().then_some(own);
        }
        true
    }

    /// Returns m' V⁻¹ m of the averages of the last computation.
    pub(super) fn squared_distance(&self) -> f64 {
        self.solved.iter().zip(&self.values).map(|(solved, value)| solved * value).sum()
    }

    /// Returns by how much [`Self::squared_distance`] would be smaller if the averages were moved along a direction d as far
    /// as is best: (d' V⁻¹ m)² / (d' V⁻¹ d). `direction` has one number per channel.
    pub(super) fn explained_along(&self, direction: &[f64]) -> f64 {
        let direction: Vec<f64> = self.present.iter().map(|channel| direction[*channel]).collect();
        let along: f64 = direction.iter().zip(&self.solved).map(|(direction, solved)| direction * solved).sum();
        let rows = (0..direction.len()).map(|row| self.matrix.row(row));
        let whitened = rows.map(|row| row.iter().zip(&direction).map(|(a, b)| a * b).sum::<f64>());
        let squared: f64 = whitened.map(|element| element * element).sum();
        if squared > 0.0 { along * along / squared } else { 0.0 }
    }

    fn solve(&mut self) {
        for numbers in [&mut self.solved, &mut self.diagonal] {
            numbers.clear();
            numbers.resize(self.present.len(), 0.0);
        }
        for row in 0..self.present.len() {
            let elements = self.matrix.row(row);
            let along: f64 = elements.iter().zip(&self.values).map(|(element, value)| element * value).sum();
            for (column, element) in elements.iter().enumerate() {
                self.solved[column] += element * along;
                self.diagonal[column] += element * element;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leave_one_out(covariance: &Symmetric, means: &[Option<f64>], extra: &[f64]) -> Option<Vec<Option<f64>>> {
        let mut z = vec![None; means.len()];
        LeaveOneOut::new().compute(covariance, means, extra, &mut z).then_some(z)
    }

    fn pair() -> Symmetric {
        let mut covariance = Symmetric::zeros(2);
        covariance.set(0, 0, 1.0);
        covariance.set(1, 1, 1.0);
        covariance.set(0, 1, 0.9);
        covariance
    }

    fn z(means: [f64; 2]) -> Vec<f64> {
        let z = leave_one_out(&pair(), &means.map(Some), &[0.0; 2]).expect("positive definite");
        z.into_iter().map(|z| (100.0 * z.expect("present")).round() / 100.0).collect()
    }

    #[test]
    fn the_example_of_the_module() {
        assert_eq!(z([2.0, 2.0]), [0.46, 0.46]);
        assert_eq!(z([2.0, 0.0]), [4.59, -4.13]);
    }

    #[test]
    fn a_direction_explains_what_lies_along_it() {
        let mut leave_one_out = LeaveOneOut::new();
        assert!(leave_one_out.compute(&pair(), &[Some(2.0), Some(0.0)], &[0.0; 2], &mut [None; 2]));
        let whole = leave_one_out.squared_distance();
        assert!((leave_one_out.explained_along(&[0.5, 0.0]) - whole).abs() < 1e-9);
        assert!((leave_one_out.explained_along(&[1.0, 0.0]) - 4.588_314_677_411_235f64.powi(2)).abs() < 1e-9, "its z");
        assert!(leave_one_out.explained_along(&[1.0, 1.0]) < 0.1 * whole);
    }

    #[test]
    fn a_missing_channel_leaves_and_the_rest_is_tested() {
        let alone = leave_one_out(&pair(), &[Some(2.0), None], &[0.0; 2]);
        assert_eq!(alone, Some(vec![Some(2.0), None]), "its marginal z");
        assert_eq!(leave_one_out(&pair(), &[None, None], &[0.0; 2]), Some(vec![None, None]));
    }

    #[test]
    fn what_is_uncertain_weighs_less() {
        let uncertain = leave_one_out(&pair(), &[Some(2.0), Some(0.0)], &[3.0, 0.0]).expect("positive definite");
        assert!(uncertain[0].expect("present") < 1.2);
    }

    proptest! {
        #[test]
        fn any_mask_leaves_finite_z(
            rows in prop::collection::vec(prop::collection::vec(-1.0..1.0, 5), 6),
            means in prop::collection::vec(prop::option::of(-9.0..9.0), 5),
        ) {
            let mut covariance = Symmetric::zeros(5);
            rows.iter().for_each(|row| covariance.add_outer(row, 1.0));
            (0..5).for_each(|row| covariance.add_to_diagonal(row, 0.01));
            let z = leave_one_out(&covariance, &means, &[0.0; 5]).expect("positive definite");
            for (z, mean) in z.iter().zip(&means) {
                prop_assert_eq!(z.is_some(), mean.is_some());
            }
        }
    }
}
