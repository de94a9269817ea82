//! The conditional detector: judges each channel of a pump given its operating point and the other channels.
//!
//! A level says little of a pump with variable speed: a bearing is 20 K warmer at full load on a hot day, and a fault of 5 K
//! hides in that. What the bearing *should* be, at this speed and ambient temperature after the last hours of both, is
//! known to some tenths of a kelvin, and so a degree is seen.
//!
//! An example, a pump at one reading per minute with a bearing that wears:
//!
//! 1. [`ConditionalBaseline::learn`] takes a day of healthy readings. It finds how the bearing follows the
//!    ambient and the load of the last 20 minutes: single readings lie within 0.2 K of that, averages over an hour within
//!    0.06 K (`fit.rs`, `covariance.rs`).
//! 2. [`ConditionalState::step`] takes each reading. At 80 % speed and 25 °C the bearing should be 44.1 °C, and is 44.9 °C.
//!    The average of the last 15 minutes is 0.8 K too high, with a standard deviation of 0.1 K; the casing, which shares
//!    the bearing's drifts, is as expected. Alone that would be z = 8; given the casing it is z = 8.6 (`decision.rs`).
//! 3. The threshold for averages over 15 minutes (this *scale*) is 6.0. The anomaly score is 1.4: an episode begins, and the bearing is named (`episode.rs`).
//!
//! Speed and ambient temperature are inputs and never suspects. A pump without them is judged by its levels, given the other
//! channels. If a pump's speed is lost, the current takes its place (`state.rs`). Another channel that is missing is left out, and the others are judged. Where the pump runs as it never did in
//! commissioning, all is judged less strictly (`uncertainty.rs`), and the result says so.
//!
//! Times are in seconds and readings carry their own, so any interval and any jitter fits. One set of constants serves all pumps
//! (`tuning.rs`).
//!
//! A pure library: no I/O, no clock, no threads. Does not select healthy readings, order readings, or know when a pump
//! starts or stops; its caller does, and passes such readings to [`ConditionalState::observe`]. Does not see what leaves every level where it is, such as more noise or slow
//! swinging.

mod averages;
mod baseline;
mod channels;
mod covariance;
mod decision;
mod detector;
mod episode;
mod factor;
mod features;
mod fit;
mod fit_error;
mod judgement;
mod outputs;
mod packed;
mod recent;
mod refit;
mod regression;
mod result;
mod ridge;
mod state;
mod symmetric;
mod table;
mod terms;
mod tuning;
mod uncertainty;
mod unknown;

#[cfg(test)]
pub(crate) mod tests;

pub use baseline::{CONDITIONAL_VERSION, ConditionalBaseline, ConditionalLearnedFrom, ConditionalMemoryError};
pub use fit_error::ConditionalFitError;
pub use refit::RefitSchedule;
pub use result::{ChannelDeviation, ConditionalResult, RESIDUAL_LIMIT};
pub use state::ConditionalState;
pub use table::TimedSamples;

use volute_plant::{Profile, Sample};

/// Returns samples with those of the inputs only, for a pump that starts or stops: its outputs are not to be learned.
pub(crate) fn without_outputs(profile: &Profile, samples: Vec<Sample>) -> Vec<Sample> {
    let outputs = channels::Channels::of(profile, channels::OperatingPoint::Speed).outputs;
    let is_output = |channel: usize| outputs.iter().any(|output| output.channel == channel);
    let keep = |(channel, sample)| if is_output(channel) { Sample::Missing } else { sample };
    samples.into_iter().enumerate().map(keep).collect()
}
