//! What commissioning learns from: the steps of a pump.

use std::sync::Arc;

use volute_plant::{Profile, Sample, StepRow, StepState, Timestamp, Window};

use crate::{StepInput, TimedSamples, conditional::without_outputs};

/// A step of a pump in commissioning, healthy as far as is known.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthyStep {
    /// Its samples.
    pub samples: TimedSamples,
    /// The window that ends with the step. `None` if the pump does not run or has not settled, or if a value is missing.
    pub window: Option<Window>,
}

impl HealthyStep {
    /// Returns a step as the windower placed it. While the pump starts or stops, the step has the inputs (speed, ambient
    /// temperature) only.
    pub fn new(profile: &Profile, at: Timestamp, row: &StepRow, window: Option<Window>) -> HealthyStep {
        let samples = StepInput::of(at, row).samples();
        let samples = match row.state {
            StepState::Starting { .. } | StepState::Stopping => without_outputs(profile, samples),
            StepState::Running | StepState::Unknown | StepState::Off => samples,
        };
        HealthyStep { samples: TimedSamples { at, samples: samples.into() }, window }
    }

    /// Returns the steps that these windows are made of, oldest first, each once. The last step of a window has the window.
    pub fn of_windows(
        profile: &Profile,
        windows: impl IntoIterator<Item = Window>,
    ) -> impl Iterator<Item = HealthyStep> {
        let (channels, interval_ms) = (profile.channels().len(), profile.interval_ms());
        let mut last: Option<Timestamp> = None;
        windows.into_iter().flat_map(move |window| {
            let rows = window.values.len() / channels;
            if last.is_some_and(|last| window.at <= last) {
                // The times went back: another recording begins.
                last = None;
            }
            let mut steps = Vec::new();
            for (row, values) in window.values.chunks_exact(channels).enumerate() {
                let at = window.at.plus_ms(-((rows - 1 - row) as i64) * interval_ms);
                if last.is_none_or(|last| at.since_ms(last) > interval_ms / 2) {
                    let samples = values.iter().map(|value| Sample::Good(*value)).collect::<Arc<[Sample]>>();
                    steps.push(HealthyStep { samples: TimedSamples { at, samples }, window: None });
                    last = Some(at);
                }
            }
            if let Some(step) = steps.last_mut() {
                step.window = Some(window);
            }
            steps
        })
    }
}
