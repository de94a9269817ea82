//! Compares decisions with labels, row by row, and computes the benchmark's figures.

use serde::Serialize;
use volute_anomaly::SHORT_STEPS;
use volute_data::{Prediction, Row};

/// Returns whether a row is labelled as anomalous: by `anomaly`, or by a `machine_status` that is not NORMAL.
pub fn label(row: &Row) -> Option<bool> {
    row.anomaly.or(row.normal.map(|normal| !normal))
}

/// The minimum number of consecutive anomalous rows in a stretch. The detector's short level is the mean of this many
/// steps.
pub const MIN_STRETCH_ROWS: usize = SHORT_STEPS;

/// The stretches of consecutive anomalous rows. A stretch is found if at least one of its rows is decided as anomalous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stretches {
    /// Stretches of at least [`MIN_STRETCH_ROWS`] rows.
    #[serde(rename = "of")]
    pub total: u64,
    /// Stretches that were found.
    pub found: u64,
}

impl Stretches {
    /// Counts the stretches of these rows.
    pub fn of(rows: &[Row], predictions: &[Prediction]) -> Self {
        let mut stretches = Self::default();
        let (mut length, mut found) = (0, false);
        let end = [(None, false)];
        let pairs = rows.iter().zip(predictions).map(|(row, prediction)| (label(row), prediction.anomaly));
        for (label, anomaly) in pairs.chain(end) {
            if label == Some(true) {
                (length, found) = (length + 1, found || anomaly);
                continue;
            }
            if length >= MIN_STRETCH_ROWS {
                stretches = stretches.plus(Self { total: 1, found: u64::from(found) });
            }
            (length, found) = (0, false);
        }
        stretches
    }

    /// Returns the sum.
    pub fn plus(self, other: Self) -> Self {
        Self { total: self.total + other.total, found: self.found + other.found }
    }
}

/// The number of rows by label and decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// Labelled and decided as anomalous.
    pub true_positive: u64,
    /// Labelled as normal, decided as anomalous.
    pub false_positive: u64,
    /// Labelled as anomalous, decided as normal.
    pub false_negative: u64,
    /// Labelled and decided as normal.
    pub true_negative: u64,
}

impl ConfusionMatrix {
    /// Counts the rows that have a label.
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

    /// Returns the sum.
    pub fn plus(self, other: Self) -> Self {
        Self {
            true_positive: self.true_positive + other.true_positive,
            false_positive: self.false_positive + other.false_positive,
            false_negative: self.false_negative + other.false_negative,
            true_negative: self.true_negative + other.true_negative,
        }
    }

    /// Returns F1 = TP / (TP + (FP + FN) / 2), as the benchmark defines it; 0 if TP is 0.
    pub fn f1(self) -> f64 {
        let hits = self.true_positive as f64;
        if hits == 0.0 { 0.0 } else { hits / (hits + (self.false_positive + self.false_negative) as f64 / 2.0) }
    }

    /// Returns the false alarm rate: false positives among rows labelled as normal, in %.
    pub fn false_alarms_percent(self) -> f64 {
        100.0 * self.false_positive as f64 / (self.false_positive + self.true_negative).max(1) as f64
    }

    /// Returns the missed alarm rate: false negatives among rows labelled as anomalous, in %.
    pub fn missed_percent(self) -> f64 {
        100.0 * self.false_negative as f64 / (self.false_negative + self.true_positive).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_found_by_any_of_its_rows_and_short_stretches_do_not_count() {
        let row = |broken: bool| Row {
            at: volute_plant::Timestamp::from_millis(1_773_051_273_000).expect("a time"),
            samples: [].into(),
            normal: Some(!broken),
            anomaly: None,
            recorded_at: String::new(),
        };
        let prediction = |anomaly: bool| Prediction {
            recorded_at: String::new(),
            score: Some(0.0),
            threshold: 1.0,
            anomaly,
            channel: None,
        };
        for (labels, decisions, total, found) in [
            ("..####..", "..####..", 0, 0),
            ("..#####.", "......#.", 1, 1),
            ("..#####.", ".......#", 1, 0),
            ("#####.##########", "#...........#...", 2, 2),
            ("", "", 0, 0),
        ] {
            let marks = |text: &str| text.chars().map(|mark| mark == '#').collect::<Vec<_>>();
            let rows: Vec<Row> = marks(labels).into_iter().map(row).collect();
            let predictions: Vec<Prediction> = marks(decisions).into_iter().map(prediction).collect();
            assert_eq!(Stretches::of(&rows, &predictions), Stretches { total, found }, "{labels} {decisions}");
        }
    }

    #[test]
    fn figures_follow_the_benchmarks_definitions() {
        let confusion = ConfusionMatrix { true_positive: 6, false_positive: 2, false_negative: 4, true_negative: 18 };
        assert!((confusion.f1() - 6.0 / 9.0).abs() < 1e-12);
        assert!((confusion.false_alarms_percent() - 10.0).abs() < 1e-12);
        assert!((confusion.missed_percent() - 40.0).abs() < 1e-12);
        assert_eq!(ConfusionMatrix::default().f1(), 0.0);
    }
}
