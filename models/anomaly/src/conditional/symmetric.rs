//! Symmetric matrices of a few dozen rows, packed: the lower triangle, row by row.
//!
//! Example: the matrix with the rows (4, 2) and (2, 5) is stored as 4, 2, 5. Its Cholesky factor is 2, 1, 2, for 4 = 2²,
//! 2 = 1 · 2 and 5 = 1² + 2². The inverse of that is 1/2, -1/4, 1/2, and the inverse of the matrix is 5/16, -2/16, 4/16.
//!
//! Does not exchange rows for accuracy (pivoting). The matrices here are sums of outer products and a positive diagonal, for
//! which it is not needed.

use serde::{Deserialize, Serialize};

use super::packed;

/// A symmetric matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Symmetric {
    size: usize,
    #[serde(with = "packed::f64s")]
    lower: Vec<f64>,
}

/// Returns where row `row` of a packed triangle begins.
pub(super) fn start(row: usize) -> usize {
    row * (row + 1) / 2
}

impl Symmetric {
    /// Creates a matrix of zeros.
    pub(super) fn zeros(size: usize) -> Symmetric {
        Symmetric { size, lower: vec![0.0; start(size)] }
    }

    /// Becomes a matrix of zeros of another size, without new memory if it had enough.
    pub(super) fn reset(&mut self, size: usize) {
        self.size = size;
        self.lower.clear();
        self.lower.resize(start(size), 0.0);
    }

    /// Becomes a copy of another matrix, without new memory if it had enough.
    pub(super) fn copy_from(&mut self, other: &Symmetric) {
        self.size = other.size;
        self.lower.clone_from(&other.lower);
    }

    /// Returns the number of rows.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns the matrix of the first rows and columns.
    pub(super) fn leading(&self, size: usize) -> Symmetric {
        Symmetric { size, lower: self.lower[..start(size)].to_vec() }
    }

    /// Multiplies it by a number.
    pub(super) fn scale(&mut self, factor: f64) {
        self.lower.iter_mut().for_each(|element| *element *= factor);
    }

    /// Whether it has this size, and finite numbers only.
    pub(super) fn is_valid(&self, size: usize) -> bool {
        self.size == size && self.lower.len() == start(size) && self.lower.iter().all(|number| number.is_finite())
    }

    /// Returns an element.
    pub(super) fn get(&self, row: usize, column: usize) -> f64 {
        self.lower[start(row.max(column)) + row.min(column)]
    }

    /// Sets an element and its mirror image.
    pub(super) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.lower[start(row.max(column)) + row.min(column)] = value;
    }

    /// Adds to an element of the diagonal.
    pub(super) fn add_to_diagonal(&mut self, row: usize, value: f64) {
        self.lower[start(row) + row] += value;
    }

    /// Adds `factor` times the outer product v v'.
    pub(super) fn add_outer(&mut self, v: &[f64], factor: f64) {
        for (row, value) in v.iter().enumerate() {
            let scaled = factor * value;
            let elements = &mut self.lower[start(row)..start(row + 1)];
            for (element, other) in elements.iter_mut().zip(v) {
                *element += scaled * other;
            }
        }
    }

    /// Adds another matrix of the same size.
    pub(super) fn add(&mut self, other: &Symmetric) {
        for (element, addend) in self.lower.iter_mut().zip(&other.lower) {
            *element += addend;
        }
    }

    /// Writes the product with a vector to `product`.
    pub(super) fn multiply(&self, v: &[f64], product: &mut [f64]) {
        for row in 0..self.size {
            let elements = &self.lower[start(row)..start(row + 1)];
            let mut sum = elements[row] * v[row];
            for column in 0..row {
                sum += elements[column] * v[column];
                product[column] += elements[column] * v[row];
            }
            product[row] = sum;
        }
    }

    /// Returns the inverse, or `None` if the matrix is not positive definite.
    pub(super) fn inverse(&self) -> Option<Symmetric> {
        let factor = self.inverse_of_factor()?;
        let mut inverse = Symmetric::zeros(self.size);
        for row in 0..self.size {
            inverse.add_outer(&factor[start(row)..start(row + 1)], 1.0);
        }
        Some(inverse)
    }

    /// Returns the inverse of the Cholesky factor L (lower triangular, L L' is the matrix), packed in the same way, or `None` if
    /// the matrix is not positive definite.
    pub(super) fn inverse_of_factor(&self) -> Option<Vec<f64>> {
        let mut factor = self.clone();
        factor.invert_factor().then_some(factor.lower)
    }

    /// Replaces the matrix by the inverse of its Cholesky factor, row by row and without new memory. Returns whether the
    /// matrix is positive definite.
    pub(super) fn invert_factor(&mut self) -> bool {
        if !self.factorize() {
            return false;
        }
        for row in 0..self.size {
            let (above, own) = split(&mut self.lower, row);
            for column in 0..row {
                let sum: f64 = (column..row).map(|k| own[k] * above[start(k) + column]).sum();
                own[column] = -sum * own[row];
            }
        }
        true
    }

    /// Returns a row of the lower triangle: of the matrix, or after [`Self::invert_factor`] of the inverse of its factor.
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.lower[start(row)..start(row + 1)]
    }

    /// Replaces the matrix by its Cholesky factor, the lower triangular L with L L' equal to the matrix. The diagonal holds
    /// the reciprocals of L's, because later steps divide by them, and multiplying is faster. Returns whether the matrix is
    /// positive definite.
    fn factorize(&mut self) -> bool {
        for row in 0..self.size {
            let (above, own) = split(&mut self.lower, row);
            for column in 0..row {
                let other = &above[start(column)..start(column + 1)];
                let known: f64 = own[..column].iter().zip(other).map(|(a, b)| a * b).sum();
                own[column] = (own[column] - known) * other[column];
            }
            let known: f64 = own[..row].iter().map(|a| a * a).sum();
            let remainder = own[row] - known;
            if !(remainder > 0.0 && remainder.is_finite()) {
                return false;
            }
            own[row] = 1.0 / remainder.sqrt();
        }
        true
    }
}

/// Returns the rows above a row of a packed triangle, and the row.
fn split(lower: &mut [f64], row: usize) -> (&[f64], &mut [f64]) {
    let (above, rest) = lower.split_at_mut(start(row));
    (above, &mut rest[..=row])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[Vec<f64>]) -> Symmetric {
        let mut matrix = Symmetric::zeros(rows[0].len());
        for row in rows {
            matrix.add_outer(row, 1.0);
        }
        matrix
    }

    #[test]
    fn the_example_is_inverted() {
        let matrix = Symmetric { size: 2, lower: vec![4.0, 2.0, 5.0] };
        let mut factor = matrix.clone();
        assert!(factor.factorize());
        assert_eq!(factor.lower, [1.0 / 2.0, 1.0, 1.0 / 2.0]);
        assert_eq!(matrix.inverse_of_factor(), Some(vec![0.5, -0.25, 0.5]));
        assert_eq!(matrix.inverse().map(|inverse| inverse.lower), Some(vec![5.0 / 16.0, -2.0 / 16.0, 4.0 / 16.0]));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_inverse() {
        for lower in [vec![1.0, 2.0, 1.0], vec![0.0, 0.0, 1.0], vec![f64::NAN, 0.0, 1.0], vec![-1.0, 0.0, 1.0]] {
            assert_eq!(Symmetric { size: 2, lower }.inverse(), None);
        }
    }

    proptest! {
        #[test]
        fn a_matrix_times_its_inverse_is_one(rows in prop::collection::vec(prop::collection::vec(-3.0..3.0, 6), 12)) {
            let mut matrix = of(&rows);
            (0..6).for_each(|row| matrix.add_to_diagonal(row, 0.1));
            let inverse = matrix.inverse().expect("positive definite");
            for column in 0..6 {
                let unit: Vec<f64> = (0..6).map(|row| f64::from(u8::from(row == column))).collect();
                let (mut solved, mut back) = (vec![0.0; 6], vec![0.0; 6]);
                inverse.multiply(&unit, &mut solved);
                matrix.multiply(&solved, &mut back);
                prop_assert!(back.iter().zip(&unit).all(|(a, b)| (a - b).abs() < 1e-6), "{back:?}");
            }
        }
    }
}
