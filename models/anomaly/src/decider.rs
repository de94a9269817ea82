//! From scores to detections, for one pump.
//!
//! Used alike by a live pump and by an evaluation. Deliberately absent: episodes and alarms.

use std::sync::Arc;

use volute_plant::{Detection, PumpId, Timestamp};

use crate::{Model, Score};

/// One pump's decider: takes the pump's scores in the order of its windows.
#[derive(Debug, Clone)]
pub struct Decider {
    model: Arc<str>,
    threshold: f64,
}

impl Decider {
    /// A decider by the model's threshold.
    pub fn new(model: &Model) -> Decider {
        Decider { model: model.id().clone(), threshold: model.threshold() }
    }

    /// Decides on the window of `pump` that ended at `at`: anomalous if its loss is above the threshold.
    pub fn decide(&mut self, pump: &PumpId, at: Timestamp, score: &Score) -> Detection {
        Detection {
            pump: pump.clone(),
            at,
            loss: score.loss,
            threshold: self.threshold,
            is_anomaly: score.loss > self.threshold,
            contributions: score.contributions.clone(),
            model: self.model.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{model, window};

    #[test]
    fn above_the_threshold_is_anomalous_and_at_it_is_not() {
        let model = model();
        let mut decider = Decider::new(model);
        let window = window(3, Vec::new());
        let threshold = model.threshold();
        for (loss, anomalous) in [(0.0, false), (threshold, false), (threshold.next_up(), true), (1e6, true)] {
            let score = Score { loss, contributions: [0.5, 0.5].into() };
            let detection = decider.decide(&window.pump, window.at, &score);
            assert_eq!(detection.is_anomaly, anomalous, "a loss of {loss}");
            assert_eq!((&detection.model, detection.threshold), (model.id(), threshold));
            assert_eq!((detection.at, &detection.contributions), (window.at, &score.contributions));
        }
    }
}
