//! What a pump shows while it is healthy, looked at window by window.
//!
//! Its windows are looked at twice, one after the other, so that a year of them need not be in memory: a [`Survey`] counts
//! them and finds the channels' spans, and an [`Observation`] keeps what a baseline is made of, of at most
//! [`MOST_LEVELS`] windows. Of a day, once a second, that is every window. Of a year it is every 122nd, and the channels'
//! levels are followed as far in one of these steps as in 122.
//!
//! Does not choose the windows; that is the caller's.

use volute_plant::{Profile, Timestamp, Window};

use super::{CommissioningError, MIN_WINDOWS, Observed};
use crate::{
    ChannelScore, Learned, Model, Scaler, ScoreError, Scorer,
    scaler::Extremes,
    score::{self, Task},
};

/// The most windows that go through the network; of more, every second, third and so on does.
const MOST_SCORED: usize = 20_000;

/// The most windows whose levels are kept, three days' once a second (83 MB of ten channels); of more, every second, third
/// and so on is.
pub const MOST_LEVELS: usize = 259_200;

/// Windows that are scored in one call.
const CHUNK: usize = 512;

/// The first look at a pump's windows: how many there are, and how far its channels go.
#[derive(Debug)]
pub struct Survey<'a> {
    profile: &'a Profile,
    most_levels: usize,
    found: usize,
    extremes: Extremes,
}

/// The second look at the same windows, in the pump's own scale.
#[derive(Debug)]
pub struct Observation {
    scorer: Scorer,
    scaler: Scaler,
    /// Every so many windows are scored, and their levels kept.
    score_every: usize,
    level_every: usize,
    found: usize,
    span: Option<(Timestamp, Timestamp)>,
    scaled: Vec<f32>,
    waiting: Vec<Window>,
    levels: Vec<ChannelScore>,
    errors: Vec<ChannelScore>,
    losses: Vec<f64>,
}

impl<'a> Survey<'a> {
    /// Of nothing yet.
    pub fn new(profile: &'a Profile) -> Survey<'a> {
        Survey { profile, most_levels: MOST_LEVELS, found: 0, extremes: Extremes::new(profile.channels().len()) }
    }

    /// Takes a window in.
    pub fn take(&mut self, window: &Window) {
        self.found += 1;
        self.extremes.take(window);
    }

    /// Windows so far.
    pub fn windows(&self) -> usize {
        self.found
    }

    /// Learns the pump's scaler, for the second look.
    pub fn observe(self, model: &Model) -> Result<Observation, CommissioningError> {
        let Survey { profile, most_levels, found, extremes } = self;
        if found < MIN_WINDOWS {
            return Err(CommissioningError::TooFew { found });
        }
        let level_every = found.div_ceil(most_levels);
        Ok(Observation {
            scorer: Scorer::new(model),
            scaler: extremes.scaler(profile.channels())?,
            score_every: found.div_ceil(MOST_SCORED),
            level_every,
            found: 0,
            span: None,
            scaled: Vec::new(),
            waiting: Vec::with_capacity(CHUNK),
            levels: Vec::with_capacity(found.div_ceil(level_every) * profile.channels().len()),
            errors: Vec::new(),
            losses: Vec::new(),
        })
    }
}

impl Observation {
    /// Takes a window in, the oldest first.
    pub fn take(&mut self, window: Window) -> Result<(), CommissioningError> {
        let number = self.found;
        self.found += 1;
        self.span = Some((self.span.map_or(window.at, |(from, _)| from), window.at));
        if number.is_multiple_of(self.level_every) {
            self.scaled.clear();
            self.scaler.scale(&window.values, &mut self.scaled);
            score::levels(&self.scaled, self.scaler.spans().len(), &mut self.levels);
        }
        if number.is_multiple_of(self.score_every) {
            self.waiting.push(window);
            if self.waiting.len() == CHUNK {
                self.score()?;
            }
        }
        Ok(())
    }

    /// Every so many windows are kept; 1: all of them.
    pub fn every(&self) -> usize {
        self.level_every
    }

    /// What there is to make a baseline of.
    pub fn finish(mut self) -> Result<Observed, CommissioningError> {
        self.score()?;
        let Observation { scorer, scaler, level_every, found, span, levels, errors, losses, .. } = self;
        let (from, to) = span.filter(|_| found >= MIN_WINDOWS).ok_or(CommissioningError::TooFew { found })?;
        let learned = Learned { from, to, windows: found, scored: losses.len(), own_network: false };
        let network = scorer.model().network_id().to_owned();
        Ok(Observed { network, scaler, every: level_every, levels, errors, losses, learned })
    }

    fn score(&mut self) -> Result<(), ScoreError> {
        let tasks: Vec<Task> = self.waiting.iter().map(|window| Task { window, scaler: &self.scaler }).collect();
        for (loss, channels) in self.scorer.score(&tasks)?.views() {
            self.losses.push(loss);
            self.errors.extend_from_slice(channels);
        }
        self.waiting.clear();
        Ok(())
    }
}

impl Observed {
    /// Learns the pump's scaler and scores its windows, oldest first. They are asked for twice, so that they need not be
    /// held at once.
    pub fn of<I: Iterator<Item = Window>>(
        model: &Model,
        profile: &Profile,
        windows: impl Fn() -> I,
    ) -> Result<Observed, CommissioningError> {
        Observed::after(Survey::new(profile), model, windows)
    }

    fn after<I: Iterator<Item = Window>>(
        mut survey: Survey,
        model: &Model,
        windows: impl Fn() -> I,
    ) -> Result<Observed, CommissioningError> {
        windows().for_each(|window| survey.take(&window));
        let mut observation = survey.observe(model)?;
        windows().try_for_each(|window| observation.take(window))?;
        observation.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Baseline, Commissioning,
        testing::{model, profile, waves},
    };

    /// As a year is to a day: every tenth window is looked at, and what is found is nearly the same.
    #[test]
    fn more_windows_than_are_kept_are_thinned_evenly() {
        let (profile, windows) = (profile(2), waves(2, 4000));
        let observe = |most_levels: usize| {
            let survey = Survey { most_levels, ..Survey::new(&profile) };
            Observed::after(survey, model(), || windows.iter().cloned()).expect("observed")
        };
        let (all, thinned) = (observe(4000), observe(400));
        assert_eq!((all.every, all.levels.len()), (1, 2 * 4000));
        assert_eq!((thinned.every, thinned.levels.len()), (10, 2 * 400), "no more is kept than is allowed");
        assert_eq!((&thinned.scaler, &thinned.learned), (&all.scaler, &all.learned));
        let [all, thinned] = [all, thinned].map(|of| Baseline::of(&profile, &of, &Commissioning::default()));
        let learned = Baseline::learn(model(), &profile, &windows, &Commissioning::default());
        assert_eq!(all, learned.expect("a baseline"), "nothing changes where all are kept");
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.2;
        for (a, b) in all.channels.iter().zip(&thinned.channels) {
            assert!(close(a.short_spread, b.short_spread) && close(a.long_spread, b.long_spread), "{a:?} {b:?}");
            assert_eq!((a.error, a.error_spread), (b.error, b.error_spread), "scores are the same");
        }
        let (a, b) = (all.thresholds, thinned.thresholds);
        assert!(close(a.short, b.short) && close(a.long, b.long) && a.error == b.error, "{a:?} {b:?}");
    }
}
