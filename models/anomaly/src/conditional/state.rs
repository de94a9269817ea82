//! The conditional detector's state of one pump: that of its detector, and that of a *substitute* while the speed is missing.
//!
//! The detector predicts each channel from the pump's operating point, the speed. If the speed is missing in a few readings, the
//! averages of earlier readings are tested. If it has been missing for 10 minutes more than it was there, the speed counts as
//! lost, and the substitute takes over: a detector whose operating point is the current (`baseline.rs`). It tests the other
//! channels, but not the current. Of a pump without current it tests the values alone. When the speed has been there for 10
//! minutes again, the substitute is removed.
//!
//! Example: the speed sensor fails at 10:00. Until 10:10 the averages of earlier readings are tested, each for about twice its
//! time constant. At 10:10 the substitute begins. It does not know the current of the last hours, which heated the pump, so it
//! tests the temperatures less strictly in the first hour. An episode that was open at 10:00 stays open until 11:30, 80 minutes
//! after the substitute began: if the fault is still there, the substitute has opened its own episode by then. The sensor is
//! repaired at 15:00, and from 15:10 on the speed is the operating point again.

use serde::{Deserialize, Serialize};
use volute_plant::{Sample, Timestamp};

use super::{
    baseline::{CONDITIONAL_VERSION, ConditionalBaseline, ConditionalMemoryError},
    detector::BaselineDetector,
    result::ConditionalResult,
    table::TimedSamples,
    tuning::TUNING,
};

/// The detector's state of one pump. Stored in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionalState {
    version: u32,
    /// The id of its baseline.
    baseline: String,
    detector: BaselineDetector,
    /// The time for which the speed was missing less the time for which it was there, in seconds: from 0 to 600 (lost).
    speed_missing_s: f64,
    /// Tests while the speed is lost.
    without_speed: Option<Box<Substitute>>,
}

/// The detector without the speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Substitute {
    detector: BaselineDetector,
    /// For how long it has tested, in seconds.
    age_s: f64,
}

impl ConditionalState {
    /// An episode can only end below this anomaly score.
    pub(crate) const QUIET: f64 = TUNING.quiet;

    /// Creates the state of a pump without any reading yet.
    pub fn new(baseline: &ConditionalBaseline) -> ConditionalState {
        ConditionalState {
            version: CONDITIONAL_VERSION,
            baseline: baseline.id.clone(),
            detector: BaselineDetector::new(baseline),
            speed_missing_s: 0.0,
            without_speed: None,
        }
    }

    /// Refuses a stored state that is not of this baseline. Only a state that was checked may be used.
    pub fn check(&self, baseline: &ConditionalBaseline) -> Result<(), ConditionalMemoryError> {
        if self.version != CONDITIONAL_VERSION {
            return Err(ConditionalMemoryError::Version { found: self.version });
        }
        if self.baseline != baseline.id {
            let (found, expected) = (self.baseline.clone(), baseline.id.clone());
            return Err(ConditionalMemoryError::Baseline { found, expected });
        }
        let substitute_fits = match (&self.without_speed, &baseline.without_speed) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(baseline)) => own.age_s.is_finite() && own.detector.is_valid(baseline),
        };
        if self.detector.is_valid(baseline) && self.speed_missing_s.is_finite() && substitute_fits {
            Ok(())
        } else {
            Err(ConditionalMemoryError::Shape("its parts do not fit the baseline"))
        }
    }

    /// Whether an episode is open.
    pub fn in_episode(&self) -> bool {
        self.detector.in_episode() || self.without_speed.as_ref().is_some_and(|own| own.detector.in_episode())
    }

    /// Creates the state of a pump after the readings that its baseline was learned from, so that the averages of its inputs
    /// are known. The offsets of the predictions follow these readings; their weights do not learn from them a second time.
    pub fn after(baseline: &ConditionalBaseline, rows: &[TimedSamples]) -> ConditionalState {
        ConditionalState::after_observing(baseline, rows, |_, _| ())
    }

    /// Like [`Self::after`]. Also calls `observe` for each reading with its residuals, or with `None` if the pump does not run or
    /// runs at a speed outside of those of commissioning.
    pub(crate) fn after_observing(
        baseline: &ConditionalBaseline,
        rows: &[TimedSamples],
        observe: impl FnMut(Timestamp, Option<&[Option<f64>]>),
    ) -> ConditionalState {
        let mut state = ConditionalState::new(baseline);
        state.detector.replay_learned(baseline, rows, observe);
        state
    }

    /// Tests a reading: its time, and one sample per channel of the profile.
    ///
    /// Returns `None` if the pump does not run, or if the reading is not later than the one before. While the averages are
    /// too young for a test, the result has residuals and no [`ConditionalResult::channels`].
    pub fn step(
        &mut self,
        baseline: &ConditionalBaseline,
        at: Timestamp,
        samples: &[Sample],
    ) -> Option<ConditionalResult> {
        if let Some(by_current) = &baseline.without_speed
            && self.count_missing_speed(baseline, at, samples)
        {
            self.detector.observe(baseline, at, samples);
            return self.step_without_speed(by_current, at, samples);
        }
        self.detector.step(baseline, at, samples)
    }

    /// Takes a reading of a pump that starts or stops, without testing it and without learning from it. Only the averages of the
    /// inputs are updated, so that they are right afterwards. The averages of the residuals begin anew. An open episode stays
    /// open.
    pub fn observe(&mut self, baseline: &ConditionalBaseline, at: Timestamp, samples: &[Sample]) {
        self.detector.observe(baseline, at, samples);
        if let (Some(own), Some(by_current)) = (&mut self.without_speed, &baseline.without_speed) {
            own.detector.observe(by_current, at, samples);
        }
    }

    /// Counts for how long the speed was missing. Returns whether it is lost.
    fn count_missing_speed(&mut self, baseline: &ConditionalBaseline, at: Timestamp, samples: &[Sample]) -> bool {
        let interval_s = baseline.scales.interval_s;
        let elapsed_s = match self.detector.last() {
            // A time without readings says nothing about the speed sensor.
            Some(last) if at > last => ((at.millis() - last.millis()) as f64 / 1e3).min(interval_s),
            _ => 0.0,
        };
        let change_s = if baseline.channels.inputs(samples).speed.is_some() { -elapsed_s } else { elapsed_s };
        self.speed_missing_s = (self.speed_missing_s + change_s).clamp(0.0, TUNING.speed_lost_s);
        if self.speed_missing_s == 0.0 {
            self.without_speed = None;
        } else if let (None, Some(by_current)) = (&self.without_speed, &baseline.without_speed)
            && self.speed_missing_s == TUNING.speed_lost_s
        {
            self.without_speed = Some(Box::new(Substitute { detector: BaselineDetector::new(by_current), age_s: 0.0 }));
        }
        self.without_speed.is_some()
    }

    fn step_without_speed(
        &mut self,
        by_current: &ConditionalBaseline,
        at: Timestamp,
        samples: &[Sample],
    ) -> Option<ConditionalResult> {
        let own = self.without_speed.as_mut()?;
        let result = own.detector.step(by_current, at, samples)?;
        own.age_s += by_current.scales.interval_s;
        if own.age_s > TUNING.thermal_time_constant_s {
            // The substitute's averages of the inputs are known now, so it alone decides whether the fault is still there.
            self.detector.end_episode();
        }
        Some(ConditionalResult { in_episode: self.in_episode(), ..result })
    }
}
