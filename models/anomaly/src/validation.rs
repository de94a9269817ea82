//! The error of models on windows that none of them was trained on, so that two models can be compared.
//!
//! The validation windows are the newest share of all windows, the same ones that training uses for validation. For every
//! model, each pump's windows are scaled by one scaler, learned from all windows of the pump as in training. Errors are
//! in spreads of their channel (standard deviations of its values), so that neither a channel's unit nor the scaling matters. A
//! model whose best epoch was chosen by these windows has a slight advantage. Does not decide which model is used.

use std::collections::BTreeMap;

use volute_plant::{Profile, PumpId, Window};

use crate::{Model, Scaler, ScalerError, ScoreError, Scorer, score::ScoreInput};

/// Windows per scoring call.
const SCORE_BATCH: usize = 512;

/// Validation windows, and the scale of each pump.
#[derive(Debug)]
pub struct ValidationSet<'a> {
    windows: Vec<&'a Window>,
    pumps: BTreeMap<&'a PumpId, PumpScale>,
}

#[derive(Debug)]
struct PumpScale {
    scaler: Scaler,
    /// Per channel: how many of its spreads the scaled value 1 is.
    weights: Vec<f64>,
}

impl<'a> ValidationSet<'a> {
    /// Selects the newest `share` of all windows.
    pub fn of(profile: &Profile, windows: &'a [Window], share: f64) -> Result<ValidationSet<'a>, ScalerError> {
        let mut of_pump: BTreeMap<&PumpId, Vec<&Window>> = BTreeMap::new();
        for window in windows {
            of_pump.entry(&window.pump).or_default().push(window);
        }
        let mut pumps = BTreeMap::new();
        for (pump, windows) in of_pump {
            pumps.insert(pump, PumpScale::of(profile, &windows)?);
        }
        let mut sorted: Vec<&Window> = windows.iter().collect();
        sorted.sort_by(|a, b| (a.at, &a.pump).cmp(&(b.at, &b.pump)));
        let selected = (sorted.len() as f64 * share) as usize;
        Ok(ValidationSet { windows: sorted.split_off(sorted.len() - selected), pumps })
    }

    /// Returns the number of windows.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Returns the model's mean absolute error on the windows, in spreads of the channels; 0 if there are none.
    pub fn error(&'a self, model: &Model) -> Result<f64, ScoreError> {
        let mut scorer = Scorer::new(model);
        let (mut total, mut count) = (0.0, 0.0);
        for windows in self.windows.chunks(SCORE_BATCH) {
            let known = windows.iter().filter_map(|window| Some((*window, self.pumps.get(&window.pump)?)));
            let known: Vec<(&Window, &PumpScale)> = known.collect();
            let input = |&(window, scale): &(&'a Window, &'a PumpScale)| ScoreInput::window(window, &scale.scaler);
            let inputs: Vec<ScoreInput> = known.iter().map(input).collect();
            for ((_, channels), (_, scale)) in scorer.score(&inputs)?.views().zip(&known) {
                total +=
                    channels.iter().zip(&scale.weights).map(|(channel, weight)| weight * channel.error).sum::<f64>();
                count += channels.len() as f64;
            }
        }
        Ok(if count > 0.0 { total / count } else { 0.0 })
    }
}

impl PumpScale {
    fn of(profile: &Profile, windows: &[&Window]) -> Result<PumpScale, ScalerError> {
        let channels = profile.channels();
        let scaler = Scaler::learn(channels, windows.iter().copied())?;
        let mut moments = vec![(0.0, 0.0, 0.0); channels.len()];
        for row in windows.iter().flat_map(|window| window.values.chunks_exact(channels.len())) {
            for ((count, mean, squares), value) in moments.iter_mut().zip(row) {
                // Welford's algorithm, which is accurate at any level.
                *count += 1.0;
                let distance = value - *mean;
                *mean += distance / *count;
                *squares += distance * (value - *mean);
            }
        }
        let weight =
            |((channel, span), (count, _, squares)): ((&volute_plant::Channel, &crate::Span), (f64, f64, f64))| {
                (span.max - span.min) / (squares / count).sqrt().max(channel.resolution)
            };
        let weights = channels.iter().zip(scaler.spans()).zip(moments).map(weight).collect();
        Ok(PumpScale { scaler, weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{model, profile, train_with_seed, waves, window};

    #[test]
    fn the_newest_share_is_selected() {
        let mut windows = waves(2, 50);
        windows.reverse();
        let profile = profile(2);
        let set = ValidationSet::of(&profile, &windows, 0.1).expect("a set");
        let newest: Vec<_> = windows[..5].iter().map(|window| window.at).rev().collect();
        assert_eq!(set.windows.iter().map(|window| window.at).collect::<Vec<_>>(), newest);
        let none = ValidationSet::of(&profile, &windows, 0.0).expect("a set");
        assert_eq!((none.len(), none.error(model()).expect("an error")), (0, 0.0));
    }

    #[test]
    fn each_model_has_its_own_error() {
        let (profile, windows) = (profile(2), waves(2, 160));
        let set = ValidationSet::of(&profile, &windows, 0.2).expect("a set");
        let (one, other) = (set.error(model()).expect("an error"), set.error(&train_with_seed(2)).expect("an error"));
        assert!(one > 0.0 && other > 0.0 && one != other, "{one} {other}");
        assert_eq!(set.error(model()).expect("again"), one);
    }

    #[test]
    fn neither_unit_nor_level_of_a_channel_matters() {
        let (profile, windows) = (profile(2), waves(2, 160));
        let moved =
            |w: &Window, place: usize| window(place, w.values.iter().map(|value| 5000.0 + 64.0 * value).collect());
        let others: Vec<Window> = windows.iter().zip(29..).map(|(window, place)| moved(window, place)).collect();
        let error = |windows: &[Window]| {
            ValidationSet::of(&profile, windows, 0.2).expect("a set").error(model()).expect("an error")
        };
        assert!((error(&windows) / error(&others) - 1.0).abs() < 1e-3, "{} {}", error(&windows), error(&others));
    }
}
