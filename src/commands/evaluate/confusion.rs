//! How decisions compare with the label, row by row, and the benchmark's figures of it.

use serde::Serialize;
use volute_data::{Prediction, Row};

/// Rows by label and decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Anomalous, and said so.
    pub true_positive: u64,
    /// Normal, and said to be anomalous.
    pub false_positive: u64,
    /// Anomalous, and said to be normal.
    pub false_negative: u64,
    /// Normal, and said so.
    pub true_negative: u64,
}

impl Confusion {
    /// Compares rows that have a label with the decisions on them.
    pub fn of(rows: &[Row], predictions: &[Prediction]) -> Self {
        let mut confusion = Self::default();
        for (row, prediction) in rows.iter().zip(predictions) {
            let cell = match (row.anomaly, prediction.anomaly) {
                (Some(true), true) => &mut confusion.true_positive,
                (Some(false), true) => &mut confusion.false_positive,
                (Some(true), false) => &mut confusion.false_negative,
                (Some(false), false) => &mut confusion.true_negative,
                (None, _) => continue,
            };
            *cell += 1;
        }
        confusion
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            true_positive: self.true_positive + other.true_positive,
            false_positive: self.false_positive + other.false_positive,
            false_negative: self.false_negative + other.false_negative,
            true_negative: self.true_negative + other.true_negative,
        }
    }

    /// F1 = TP / (TP + (FP + FN) / 2), the benchmark's own; 0 where nothing was found.
    pub fn f1(self) -> f64 {
        let found = self.true_positive as f64;
        if found == 0.0 { 0.0 } else { found / (found + (self.false_positive + self.false_negative) as f64 / 2.0) }
    }

    /// False alarms among normal rows, %.
    pub fn false_alarms_percent(self) -> f64 {
        100.0 * self.false_positive as f64 / (self.false_positive + self.true_negative).max(1) as f64
    }

    /// Missed rows among anomalous ones, %.
    pub fn missed_percent(self) -> f64 {
        100.0 * self.false_negative as f64 / (self.false_negative + self.true_positive).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_the_benchmarks() {
        let confusion = Confusion { true_positive: 6, false_positive: 2, false_negative: 4, true_negative: 18 };
        assert!((confusion.f1() - 6.0 / 9.0).abs() < 1e-12);
        assert!((confusion.false_alarms_percent() - 10.0).abs() < 1e-12);
        assert!((confusion.missed_percent() - 40.0).abs() < 1e-12);
        assert_eq!(Confusion::default().f1(), 0.0);
    }
}
