//! The conditional detector's state of one pump: of its detector, and of the one that takes over while the speed is missing.
//!
//! While the speed is missing for some readings, the averages of before are judged. When it
//! has been missing for 10 minutes more than it was there, the second regression takes over, with the current as the operating point
//! (`baseline.rs`): it judges the other channels, the current not. A pump without current is judged by its levels. It gives back when the speed was there for 10 minutes.
//!
//! Example: the speed sensor fails at 10:00. Until 10:10 the averages of before count, the short ones for two readings. At 10:10 the
//! detector by current begins; it knows nothing yet of the last hours of the current, which heated the pump, so the
//! temperatures are judged strictly only after an hour. An episode that was open at 10:00 stays open until 11:30, when the
//! detector by current has opened its own if the fault is still there. The sensor is repaired at 15:00, and from 15:10 on
//! the speed is the operating point again.

use serde::{Deserialize, Serialize};
use volute_plant::{Sample, Timestamp};

use super::{
    baseline::{CONDITIONAL_VERSION, ConditionalBaseline, ConditionalMemoryError},
    detector::Detector,
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
    detector: Detector,
    /// For how long the speed was missing more than it was there, in seconds, up to the time after which it is lost.
    speed_missing_s: f64,
    /// What judges while the speed is lost.
    without_speed: Option<Box<Substitute>>,
}

/// The detector by current.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Substitute {
    detector: Detector,
    /// For how long it has judged, in seconds.
    age_s: f64,
}

impl ConditionalState {
    /// Creates the state of a pump of which nothing was seen yet.
    pub fn new(baseline: &ConditionalBaseline) -> ConditionalState {
        ConditionalState {
            version: CONDITIONAL_VERSION,
            baseline: baseline.id.clone(),
            detector: Detector::new(baseline),
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
    /// are known. Offsets follow; weights do not learn a second time.
    pub fn after(baseline: &ConditionalBaseline, rows: &[TimedSamples]) -> ConditionalState {
        ConditionalState::after_observing(baseline, rows, |_, _| ())
    }

    /// The same, and passes the residuals of each reading to `observe`; none of a pump that does not run, or that runs outside of
    /// its known range.
    pub(crate) fn after_observing(
        baseline: &ConditionalBaseline,
        rows: &[TimedSamples],
        observe: impl FnMut(Timestamp, Option<&[Option<f64>]>),
    ) -> ConditionalState {
        let mut state = ConditionalState::new(baseline);
        state.detector.follow_learned(baseline, rows, observe);
        state
    }

    /// Judges a reading: its time, and one sample per channel of the profile.
    ///
    /// Returns `None` if the pump does not run, or if the reading is not later than the one before. While the averages are
    /// too young for a judgement, the result has residuals and no [`ConditionalResult::channels`].
    pub fn step(
        &mut self,
        baseline: &ConditionalBaseline,
        at: Timestamp,
        samples: &[Sample],
    ) -> Option<ConditionalResult> {
        if let Some(by_current) = &baseline.without_speed
            && self.follow_speed(baseline, at, samples)
        {
            self.detector.observe(baseline, at, samples);
            return self.step_without_speed(by_current, at, samples);
        }
        self.detector.step(baseline, at, samples)
    }

    /// Follows a reading without judging it and without learning from it: of a pump that starts or stops, which the caller
    /// knows. Only the averages of the inputs follow, so that lags are right afterwards; the averages of the residuals begin
    /// anew, as after a stop. An open episode stays open.
    pub fn observe(&mut self, baseline: &ConditionalBaseline, at: Timestamp, samples: &[Sample]) {
        self.detector.observe(baseline, at, samples);
        if let (Some(own), Some(by_current)) = (&mut self.without_speed, &baseline.without_speed) {
            own.detector.observe(by_current, at, samples);
        }
    }

    /// Follows whether the speed is there. Returns whether it is lost.
    fn follow_speed(&mut self, baseline: &ConditionalBaseline, at: Timestamp, samples: &[Sample]) -> bool {
        let interval_s = baseline.scales.interval_s;
        let elapsed_s = match self.detector.last() {
            // Silence is no sign of a speed sensor.
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
            self.without_speed = Some(Box::new(Substitute { detector: Detector::new(by_current), age_s: 0.0 }));
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
        if own.age_s > TUNING.thermal_span_s {
            // It knows the lags. From here on it is the substitute's to say whether the fault is still there.
            self.detector.end_episode();
        }
        Some(ConditionalResult { in_episode: self.in_episode(), ..result })
    }
}
