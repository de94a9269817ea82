//! A step of a pump (one row of channel values), the input of a decider.

use volute_plant::{Sample, StepRow, Timestamp};

/// A step of a pump.
#[derive(Debug, Clone, Copy)]
pub struct StepInput<'a> {
    /// Its time.
    pub at: Timestamp,
    /// One value per channel of the profile, in its unit; NaN if missing.
    pub values: &'a [f64],
    /// Whether the pump runs and has settled. Otherwise the step is not tested; only the averages of the inputs are updated.
    pub is_settled: bool,
}

impl<'a> StepInput<'a> {
    /// Returns the input for a step of the windower.
    pub fn of(at: Timestamp, row: &'a StepRow) -> StepInput<'a> {
        StepInput { at, values: &row.values, is_settled: row.state.has_settled() }
    }

    /// Returns one sample per channel.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |value: &f64| if value.is_finite() { Sample::Good(*value) } else { Sample::Missing };
        self.values.iter().map(sample).collect()
    }
}
