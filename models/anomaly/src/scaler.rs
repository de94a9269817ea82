//! Min-max scaling from a channel's unit to the network's input, learned from training windows.
//!
//! A value scales to `(value - min) / (max - min)`. Within the range of the training windows the result is 0 to 1; beyond the range
//! it is below 0 or above 1. Does not convert scaled values back.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use volute_plant::{Channel, Sample, Window};

/// The largest absolute scaled value. A million times the training range gives a large loss, and is still finite after
/// the network.
const MAX_SCALED: f64 = 1e6;

/// The span of one channel that scales to 0 to 1, in the channel's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Scales to 0.
    pub min: f64,
    /// Scales to 1.
    pub max: f64,
}

/// One span per channel, each of two finite numbers, the lower first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Span>", into = "Vec<Span>")]
pub struct Scaler(Vec<Span>);

/// A span cannot be used for scaling.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("channel {channel} spans {min} to {max}; expected: two finite numbers, the lower first")]
pub struct ScalerError {
    /// The channel's index in the profile.
    pub channel: usize,
    /// Its lower end.
    pub min: f64,
    /// Its upper end.
    pub max: f64,
}

impl Scaler {
    /// Learns each channel's lowest and highest value.
    ///
    /// A span is at least as wide as the channel's resolution. So a channel that was constant in training scales to 0, and a later
    /// change of one step of its resolution scales to a change of 1.
    pub fn learn<W: Borrow<Window>>(
        channels: &[Channel],
        windows: impl IntoIterator<Item = W>,
    ) -> Result<Scaler, ScalerError> {
        let mut extremes = Extremes::new(channels.len());
        windows.into_iter().for_each(|window| extremes.include(window.borrow()));
        extremes.scaler(channels)
    }

    /// Returns the channels' spans, in the profile's order.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Appends a window's scaled values: one row per step, one number per channel.
    pub(crate) fn scale(&self, values: &[f64], scaled: &mut Vec<f32>) {
        for row in values.chunks_exact(self.0.len()) {
            for (value, span) in row.iter().zip(&self.0) {
                let share = (value - span.min) / (span.max - span.min);
                scaled.push(share.clamp(-MAX_SCALED, MAX_SCALED) as f32);
            }
        }
    }
}

/// Each channel's lowest and highest value so far.
#[derive(Debug, Clone)]
pub(crate) struct Extremes(Vec<Span>);

impl Extremes {
    pub(crate) fn new(channels: usize) -> Extremes {
        Extremes(vec![Span { min: f64::INFINITY, max: f64::NEG_INFINITY }; channels])
    }

    pub(crate) fn include(&mut self, window: &Window) {
        for row in window.values.chunks_exact(self.0.len()) {
            for (span, value) in self.0.iter_mut().zip(row) {
                span.min = span.min.min(*value);
                span.max = span.max.max(*value);
            }
        }
    }

    pub(crate) fn include_samples(&mut self, samples: &[Sample]) {
        for (span, value) in self.0.iter_mut().zip(samples.iter().map(|sample| sample.good())) {
            if let Some(value) = value {
                span.min = span.min.min(value);
                span.max = span.max.max(value);
            }
        }
    }

    /// Returns the scaler for them; see [`Scaler::learn`].
    pub(crate) fn scaler(self, channels: &[Channel]) -> Result<Scaler, ScalerError> {
        let Extremes(mut spans) = self;
        for (span, channel) in spans.iter_mut().zip(channels) {
            if span.min > span.max {
                // The channel has no value.
                *span = Span { min: channel.plausible[0], max: channel.plausible[1] };
            }
            // For a huge number the resolution is lost in rounding; use the next larger number.
            span.max = span.max.max(span.min + channel.resolution).max(span.min.next_up());
        }
        Scaler::try_from(spans)
    }
}

impl TryFrom<Vec<Span>> for Scaler {
    type Error = ScalerError;

    fn try_from(spans: Vec<Span>) -> Result<Scaler, ScalerError> {
        for (channel, &Span { min, max }) in spans.iter().enumerate() {
            // The difference of two finite numbers may be infinite, and that of infinite numbers may be NaN.
            if !(min < max && (max - min).is_finite()) {
                return Err(ScalerError { channel, min, max });
            }
        }
        Ok(Scaler(spans))
    }
}

impl From<Scaler> for Vec<Span> {
    fn from(scaler: Scaler) -> Vec<Span> {
        scaler.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{profile, window};

    fn scaled(scaler: &Scaler, values: &[f64]) -> Vec<f32> {
        let mut scaled = Vec::new();
        scaler.scale(values, &mut scaled);
        scaled
    }

    proptest! {
        #[test]
        fn training_windows_scale_to_0_to_1(values in prop::collection::vec(-1e12..1e12, 60)) {
            let profile = profile(2);
            let scaler = Scaler::learn(profile.channels(), &[window(0, values.clone())]).expect("a scaler");
            let scaled = scaled(&scaler, &values);
            prop_assert!(scaled.iter().all(|v| (0.0..=1.0).contains(v)));
            for channel in 0..2 {
                let of_channel: Vec<f32> = scaled.iter().skip(channel).step_by(2).copied().collect();
                prop_assert!(of_channel.contains(&0.0) && of_channel.contains(&1.0), "both ends are met");
            }
        }

        #[test]
        fn order_is_kept_beyond_the_span(a in -1e3..1e3, b in -1e3..1e3) {
            let scaler = Scaler::try_from(vec![Span { min: 1.0, max: 3.0 }]).expect("a scaler");
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let scaled = scaled(&scaler, &[low, high]);
            prop_assert!(scaled[0] <= scaled[1]);
            prop_assert_eq!(scaled[1], ((high - 1.0) / 2.0) as f32, "nothing is clipped");
        }

        #[test]
        fn any_finite_value_scales_to_a_finite_value(min: f64, max: f64, value: f64) {
            prop_assume!(value.is_finite());
            if let Ok(scaler) = Scaler::try_from(vec![Span { min, max }]) {
                prop_assert!(scaled(&scaler, &[value])[0].is_finite());
            }
        }
    }

    #[test]
    fn a_constant_channel_counts_in_steps_of_its_resolution() {
        let profile = profile(1);
        assert_eq!(profile.channels()[0].resolution, 0.5);
        let scaler = Scaler::learn(profile.channels(), &[window(0, vec![7.0; 30])]).expect("a scaler");
        assert_eq!(scaled(&scaler, &[7.0, 7.5, 9.0, 6.5]), [0.0, 1.0, 4.0, -1.0]);
        let huge = Scaler::learn(profile.channels(), &[window(0, vec![1e300; 30])]).expect("a scaler");
        assert_eq!(scaled(&huge, &[1e300, 2e300]), [0.0, 1e6]);
    }

    #[test]
    fn invalid_spans_are_refused() {
        for (min, max) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (f64::MIN, f64::MAX)] {
            assert!(Scaler::try_from(vec![Span { min, max }]).is_err(), "{min} to {max}");
        }
    }
}
