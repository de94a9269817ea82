//! A ring of a pump's last rows of numbers, in one allocation. Every windower has one, and copies a window out of it
//! for every reading.

use std::{ops::Range, sync::Arc};

/// A ring of at most `max_rows` rows: a new row replaces the oldest.
#[derive(Debug)]
pub(super) struct Rows {
    max_rows: usize,
    channels: usize,
    /// Row by row. Once `max_rows` are reached, a new row replaces the oldest.
    values: Vec<f64>,
    /// The index of the oldest row.
    oldest: usize,
}

impl Rows {
    /// Creates an empty ring, without allocating.
    pub(super) fn new(max_rows: usize, channels: usize) -> Self {
        Self { max_rows, channels, values: Vec::new(), oldest: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() / self.channels
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.oldest = 0;
    }

    /// Appends a row with a number for every channel.
    pub(super) fn push(&mut self, row: impl Iterator<Item = f64>) {
        if self.len() < self.max_rows {
            self.values.reserve_exact(self.max_rows * self.channels - self.values.len());
            self.values.extend(row);
        } else {
            self.oldest = (self.oldest + 1) % self.max_rows;
            self.replace_newest(row);
        }
    }

    /// Replaces the numbers of the newest row, if there is one.
    pub(super) fn replace_newest(&mut self, row: impl Iterator<Item = f64>) {
        let Some(newest) = self.len().checked_sub(1) else { return };
        let range = self.range(newest);
        for (value, new) in self.values[range].iter_mut().zip(row) {
            *value = new;
        }
    }

    /// Returns the newest row; empty if there is none.
    pub(super) fn newest(&self) -> &[f64] {
        self.newest_first().next().unwrap_or_default()
    }

    /// Returns all rows, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &[f64]> + Clone {
        (0..self.len()).rev().map(|n| &self.values[self.range(n)])
    }

    /// Returns all rows as one slice, the oldest first.
    pub(super) fn in_order(&self) -> Arc<[f64]> {
        let (newer, older) = self.values.split_at(self.oldest * self.channels);
        older.iter().chain(newer).copied().collect()
    }

    /// Returns the channels that are NaN in some row.
    pub(super) fn channels_with_nan(&self) -> Vec<usize> {
        let has_nan = |&channel: &usize| self.values.iter().skip(channel).step_by(self.channels).any(|v| v.is_nan());
        (0..self.channels).filter(has_nan).collect()
    }

    /// Returns the range of the `n`th row, counted from the oldest.
    fn range(&self, n: usize) -> Range<usize> {
        let start = (self.oldest + n) % self.len() * self.channels;
        start..start + self.channels
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Behaves as a list of rows.
        #[test]
        fn the_last_rows_are_in_order(
            max_rows in 1_usize..5,
            channels in 1_usize..4,
            // Each row's first number (negative: missing), and the operation: clear, replace or push.
            operations in prop::collection::vec((-1_i8..10, 0..12_u8), 0..40),
        ) {
            let mut rows = Rows::new(max_rows, channels);
            let mut expected: VecDeque<Vec<f64>> = VecDeque::new();
            for (first, operation) in operations {
                let row: Vec<f64> =
                    (0..channels).map(|c| if first < 0 && c == 0 { f64::NAN } else { f64::from(first) + c as f64 }).collect();
                match operation {
                    0 => {
                        rows.clear();
                        expected.clear();
                    }
                    1..=3 => {
                        rows.replace_newest(row.iter().copied());
                        if let Some(newest) = expected.back_mut() {
                            *newest = row;
                        }
                    }
                    _ => {
                        rows.push(row.iter().copied());
                        expected.push_back(row);
                        if expected.len() > max_rows {
                            expected.pop_front();
                        }
                    }
                }
                let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(rows.len(), expected.len());
                prop_assert_eq!(bits(rows.newest()), bits(expected.back().map_or(&[], |row| row)));
                prop_assert_eq!(bits(&rows.in_order()), expected.iter().flat_map(|row| bits(row)).collect::<Vec<_>>());
                let reversed: Vec<Vec<u64>> = rows.newest_first().map(bits).collect();
                prop_assert_eq!(reversed, expected.iter().rev().map(|row| bits(row)).collect::<Vec<_>>());
                let missing = expected.iter().any(|row| row[0].is_nan());
                prop_assert_eq!(rows.channels_with_nan(), if missing { vec![0] } else { vec![] });
            }
        }
    }
}
