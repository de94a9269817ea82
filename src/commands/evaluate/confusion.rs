//! How decisions compare with the label, row by row, and the benchmark's figures of it.

use serde::Serialize;
use volute_anomaly::SHORT_STEPS;
use volute_data::{Prediction, Row};

/// Whether a row is labelled as anomalous: by `anomaly`, or by a `machine_status` that is not NORMAL.
pub fn label(row: &Row) -> Option<bool> {
    row.anomaly.or(row.normal.map(|normal| !normal))
}

/// Rows in a row that have to be labelled as anomalous to make a stretch that has to be found: the detector's short level is
/// the mean of as many.
pub const STRETCH_ROWS: usize = SHORT_STEPS;

/// The long stretches of anomalous rows, and those in which at least one row was said to be anomalous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stretches {
    /// Of at least [`STRETCH_ROWS`] rows.
    pub of: u64,
    /// Those that were found.
    pub found: u64,
}

impl Stretches {
    /// Counts them.
    pub fn of(rows: &[Row], predictions: &[Prediction]) -> Self {
        let mut stretches = Self::default();
        let (mut length, mut found) = (0, false);
        let ends = [(None, false)];
        let pairs = rows.iter().zip(predictions).map(|(row, prediction)| (label(row), prediction.anomaly));
        for (label, anomaly) in pairs.chain(ends) {
            if label == Some(true) {
                (length, found) = (length + 1, found || anomaly);
                continue;
            }
            if length >= STRETCH_ROWS {
                stretches = stretches.plus(Self { of: 1, found: u64::from(found) });
            }
            (length, found) = (0, false);
        }
        stretches
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self { of: self.of + other.of, found: self.found + other.found }
    }
}

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
            let cell = match (label(row), prediction.anomaly) {
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
    fn a_stretch_is_found_by_any_of_its_rows_and_short_ones_do_not_count() {
        let row = |broken: bool| Row {
            at: volute_plant::Timestamp::from_millis(1_773_051_273_000).expect("a time"),
            samples: [].into(),
            normal: Some(!broken),
            anomaly: None,
            recorded_at: String::new(),
        };
        let told = |anomaly: bool| Prediction { recorded_at: String::new(), score: Some(0.0), threshold: 1.0, anomaly };
        for (labels, decisions, of, found) in [
            ("..####..", "..####..", 0, 0),
            ("..#####.", "......#.", 1, 1),
            ("..#####.", ".......#", 1, 0),
            ("#####.##########", "#...........#...", 2, 2),
            ("", "", 0, 0),
        ] {
            let marks = |text: &str| text.chars().map(|mark| mark == '#').collect::<Vec<_>>();
            let rows: Vec<Row> = marks(labels).into_iter().map(row).collect();
            let predictions: Vec<Prediction> = marks(decisions).into_iter().map(told).collect();
            assert_eq!(Stretches::of(&rows, &predictions), Stretches { of, found }, "{labels} {decisions}");
        }
    }

    #[test]
    fn the_figures_are_the_benchmarks() {
        let confusion = Confusion { true_positive: 6, false_positive: 2, false_negative: 4, true_negative: 18 };
        assert!((confusion.f1() - 6.0 / 9.0).abs() < 1e-12);
        assert!((confusion.false_alarms_percent() - 10.0).abs() < 1e-12);
        assert!((confusion.missed_percent() - 40.0).abs() < 1e-12);
        assert_eq!(Confusion::default().f1(), 0.0);
    }
}
