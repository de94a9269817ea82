//! The conditional detector: tests each channel of a pump given its operating point and the other channels.
//!
//! The value of a channel alone says little about a pump with variable speed. A bearing is 20 K warmer at full load on a hot
//! day, so a fault of 5 K does not stand out. But the temperature that the bearing *should* have, given the speed and the
//! ambient temperature of the last hours, is known to some tenths of a kelvin. Compared with that, a fault of 1 K is seen.
//!
//! The words of these modules:
//!
//! - An *input* is a channel that says under which conditions the pump runs: speed, ambient temperature, and flow as the
//!   load of the motor. An *output* is a channel that is predicted from the inputs, and tested. The flow is both.
//! - A *term* is a function of the inputs, such as the squared speed averaged over 20 minutes. The prediction of an output
//!   is a weighted sum of the terms; finding the *weights* is the *regression*.
//! - The *residual* is the measured value less the prediction, in the channel's unit. The *spread* is the standard deviation
//!   of the residuals of single readings in commissioning.
//! - A *scale* is a time (5 s to 1 h) over which residuals are averaged. Noise averages away, so a longer scale shows a
//!   smaller fault, later.
//! - *z* is how far an average is from what the other channels' averages predict for it, in standard deviations. The largest
//!   |z| over its threshold is the *anomaly score*; above 1 an *episode* begins.
//! - The *offset* is a constant that is added to a prediction. It follows slow drift, within 3 spreads of its *anchor*.
//! - The *guard* is an allowance for speeds outside of those of commissioning: the share of its mean by which an output may
//!   be off without being anomalous.
//!
//! An example, a pump at one reading per minute with a bearing that wears:
//!
//! 1. [`ConditionalBaseline::learn`] takes a day of healthy readings. It finds how the bearing follows the ambient
//!    temperature and the load of the last 20 minutes. Single readings lie within 0.2 K of the prediction, averages over an
//!    hour within 0.06 K (`fit.rs`, `covariance.rs`).
//! 2. [`ConditionalState::step`] takes each reading. At 80 % speed and 25 °C the bearing should be 44.1 °C, and is 44.9 °C.
//!    The average of the last 15 minutes is 0.8 K too high, with a standard deviation of 0.1 K: alone that would be z = 8.
//!    The casing, which usually drifts together with the bearing, is as expected: given the casing, z is 8.6
//!    (`decision.rs`).
//! 3. The threshold at the scale of 15 minutes is 6.0. The anomaly score is 8.6 / 6.0 = 1.4: an episode begins, and the
//!    bearing is named (`episode.rs`).
//!
//! A pump without a measured speed or ambient temperature is tested by the values of its channels, given the other channels.
//! If the speed is missing for 10 minutes, the current takes its place as the operating point (`state.rs`). If another channel
//! is missing, the remaining channels are tested without it. At speeds that the pump did not have in commissioning all
//! channels are tested less strictly (`uncertainty.rs`), and the result says so.
//!
//! Speed and ambient temperature are not tested themselves. One of them is named only if a wrong value of it would explain
//! more than 90 % of the outputs' squared distance from normal ([`ConditionalResult::explains`]).
//!
//! All times are in seconds, and each reading has its own time, so readings may come at any interval and with jitter. One set
//! of constants serves all pumps (`tuning.rs`).
//!
//! A pure library: no I/O, no clock, no threads. Does not select or order healthy readings. Does not know when a pump starts
//! or stops: the caller passes the readings of a start or stop to [`ConditionalState::observe`]. Does not see faults that
//! change no average, such as more noise or slow swinging; `dynamics.rs` does.

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
mod level_test;
mod outputs;
mod packed;
mod recent;
mod refinement;
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
pub use refinement::RefinementSchedule;
pub use result::{ChannelDeviation, ConditionalResult, RESIDUAL_LIMIT};
pub use state::ConditionalState;
pub use table::TimedSamples;

use volute_plant::{Profile, Sample};

/// Returns the samples with all outputs missing; speed and ambient temperature are kept. For a pump that starts or stops, whose
/// outputs are not learned from.
pub(crate) fn without_outputs(profile: &Profile, samples: Vec<Sample>) -> Vec<Sample> {
    let outputs = channels::Channels::of(profile, channels::OperatingPoint::Speed).outputs;
    let is_output = |channel: usize| outputs.iter().any(|output| output.channel == channel);
    let keep = |(channel, sample)| if is_output(channel) { Sample::Missing } else { sample };
    samples.into_iter().enumerate().map(keep).collect()
}
