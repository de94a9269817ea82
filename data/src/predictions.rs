//! The predictions of an evaluation, one per row, in the format that SKAB's `score.py` reads.
//!
//! ```text
//! datetime,score,threshold,anomaly,channel
//! 2020-03-01 15:50:46,,0.1,0,
//! 2020-03-01 15:50:47,0.30000000000000004,0.1,1,Pressure
//! ```

use std::{io, path::Path};

use crate::{NewFile, RecordingError};

/// The prediction for one recorded row.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The row's time as written in the recording.
    pub recorded_at: String,
    /// The anomaly score; none if the row could not be scored.
    pub score: Option<f64>,
    /// The score above which a row is anomalous.
    pub threshold: f64,
    /// Whether the row is anomalous.
    pub anomaly: bool,
    /// If the row was scored as anomalous: the channel that explains most of it.
    pub channel: Option<String>,
}

/// Writes the header `datetime,score,threshold,anomaly,channel` and one line per prediction, in order.
///
/// Numbers are written so that reading them gives the same bits. A missing score or channel is an empty cell.
pub fn write_predictions(path: &Path, predictions: &[Prediction]) -> Result<(), RecordingError> {
    write(path, predictions).map_err(|source| RecordingError::Write { path: path.to_owned(), source })
}

fn write(path: &Path, predictions: &[Prediction]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(NewFile::create(path)?);
    csv.write_record(["datetime", "score", "threshold", "anomaly", "channel"])?;
    for prediction in predictions {
        let score = prediction.score.map(|score| score.to_string()).unwrap_or_default();
        let threshold = prediction.threshold.to_string();
        let anomaly = if prediction.anomaly { "1" } else { "0" };
        let channel = prediction.channel.as_deref().unwrap_or_default();
        csv.write_record([prediction.recorded_at.as_str(), &score, &threshold, anomaly, channel])?;
    }
    csv.into_inner().map_err(|error| error.into_error())?.replace().map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_prediction_is_written_as_one_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("1.csv");
        let at = |second: u32| format!("2020-03-01 15:50:{second:02}");
        let predictions = [
            Prediction { recorded_at: at(46), score: None, threshold: 0.1, anomaly: false, channel: None },
            Prediction {
                recorded_at: at(47),
                score: Some(0.1 + 0.2),
                threshold: 0.1,
                anomaly: true,
                channel: Some("Volume Flow".into()),
            },
        ];
        write_predictions(&path, &predictions).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        let expected = "datetime,score,threshold,anomaly,channel\n\
                        2020-03-01 15:50:46,,0.1,0,\n\
                        2020-03-01 15:50:47,0.30000000000000004,0.1,1,Volume Flow\n";
        assert_eq!(text, expected);
    }
}
