//! How well models reconstruct windows that none of them has learned from, so that two can be compared.
//!
//! The windows held back are the newest share of all, the very ones that training keeps for validation. Each pump's are
//! scaled by one scaler, learned from all of its windows as in training, for every model alike; an error counts in
//! spreads of its channel, so that neither a channel's unit nor the scaling matters. A model that chose its best epoch by
//! these windows is flattered a little. Deliberately absent: which model is then used.

use std::collections::BTreeMap;

use volute_plant::{Profile, PumpId, Window};

use crate::{Model, Scaler, ScalerError, ScoreError, Scorer, score::Task};

/// Windows that are scored in one call.
const CHUNK: usize = 512;

/// Windows held back, and each pump's scale.
#[derive(Debug)]
pub struct HeldBack<'a> {
    windows: Vec<&'a Window>,
    pumps: BTreeMap<&'a PumpId, Scale>,
}

#[derive(Debug)]
struct Scale {
    scaler: Scaler,
    /// What one unit of the scaler counts in each channel, in the channel's spreads.
    weights: Vec<f64>,
}

impl<'a> HeldBack<'a> {
    /// Holds the newest `share` of all windows back.
    pub fn of(profile: &Profile, windows: &'a [Window], share: f64) -> Result<HeldBack<'a>, ScalerError> {
        let mut of_pump: BTreeMap<&PumpId, Vec<&Window>> = BTreeMap::new();
        for window in windows {
            of_pump.entry(&window.pump).or_default().push(window);
        }
        let mut pumps = BTreeMap::new();
        for (pump, windows) in of_pump {
            pumps.insert(pump, Scale::of(profile, &windows)?);
        }
        let mut sorted: Vec<&Window> = windows.iter().collect();
        sorted.sort_by(|a, b| (a.at, &a.pump).cmp(&(b.at, &b.pump)));
        let kept = (sorted.len() as f64 * share) as usize;
        Ok(HeldBack { windows: sorted.split_off(sorted.len() - kept), pumps })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The model's mean absolute error on them, in spreads of the channels; 0 where there are none.
    pub fn error(&'a self, model: &Model) -> Result<f64, ScoreError> {
        let mut scorer = Scorer::new(model);
        let (mut total, mut count) = (0.0, 0.0);
        for windows in self.windows.chunks(CHUNK) {
            let known = windows.iter().filter_map(|window| Some((*window, self.pumps.get(&window.pump)?)));
            let known: Vec<(&Window, &Scale)> = known.collect();
            let task = |&(window, scale): &(&'a Window, &'a Scale)| Task { window, scaler: &scale.scaler };
            let tasks: Vec<Task> = known.iter().map(task).collect();
            for ((_, channels), (_, scale)) in scorer.score(&tasks)?.views().zip(&known) {
                total +=
                    channels.iter().zip(&scale.weights).map(|(channel, weight)| weight * channel.error).sum::<f64>();
                count += channels.len() as f64;
            }
        }
        Ok(if count > 0.0 { total / count } else { 0.0 })
    }
}

impl Scale {
    fn of(profile: &Profile, windows: &[&Window]) -> Result<Scale, ScalerError> {
        let channels = profile.channels();
        let scaler = Scaler::learn(channels, windows.iter().copied())?;
        let mut moments = vec![(0.0, 0.0, 0.0); channels.len()];
        for row in windows.iter().flat_map(|window| window.values.chunks_exact(channels.len())) {
            for ((count, mean, squares), value) in moments.iter_mut().zip(row) {
                // Welford's update: exact enough for any level.
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
        Ok(Scale { scaler, weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{model, profile, train_with_seed, waves, window};

    #[test]
    fn the_newest_share_is_held_back() {
        let mut windows = waves(2, 50);
        windows.reverse();
        let profile = profile(2);
        let held = HeldBack::of(&profile, &windows, 0.1).expect("held back");
        let newest: Vec<_> = windows[..5].iter().map(|window| window.at).rev().collect();
        assert_eq!(held.windows.iter().map(|window| window.at).collect::<Vec<_>>(), newest);
        let none = HeldBack::of(&profile, &windows, 0.0).expect("held back");
        assert_eq!((none.len(), none.error(model()).expect("an error")), (0, 0.0));
    }

    #[test]
    fn one_model_has_one_error_and_another_has_another() {
        let (profile, windows) = (profile(2), waves(2, 160));
        let held = HeldBack::of(&profile, &windows, 0.2).expect("held back");
        let (one, other) = (held.error(model()).expect("an error"), held.error(&train_with_seed(2)).expect("an error"));
        assert!(one > 0.0 && other > 0.0 && one != other, "{one} {other}");
        assert_eq!(held.error(model()).expect("again"), one);
    }

    #[test]
    fn neither_unit_nor_level_of_a_channel_matters() {
        let (profile, windows) = (profile(2), waves(2, 160));
        let moved =
            |w: &Window, place: usize| window(place, w.values.iter().map(|value| 5000.0 + 64.0 * value).collect());
        let others: Vec<Window> = windows.iter().zip(29..).map(|(window, place)| moved(window, place)).collect();
        let error = |windows: &[Window]| {
            HeldBack::of(&profile, windows, 0.2).expect("held back").error(model()).expect("an error")
        };
        assert!((error(&windows) / error(&others) - 1.0).abs() < 1e-3, "{} {}", error(&windows), error(&others));
    }
}
