//! When an episode begins and ends.
//!
//! An *output* is a channel that is predicted; its *residual* is the value less the prediction. A *scale* is the time over which
//! residuals are averaged (`averages.rs`), 5 s to 1 h. The *anomaly score* is the largest deviation of an average from normal,
//! over its threshold (`level_test.rs`). The *change* of an episode is the average residual of each output at the peak of the
//! score.
//!
//! An episode begins when the anomaly score is above 1. It ends in one of two ways:
//!
//! - The score is below 0.5.
//! - Little of the episode's greatest change is left, measured in the direction of that change. The pump has come back to near
//!   where it was, but not exactly. Its new levels are then learned for 90 s. If 90 s has fewer than 3 readings, only the
//!   averages begin anew.
//!
//! How this is measured depends on the scale that raised the episode:
//!
//! - One of the two shortest: less than 10 % of the change is left in the shortest average, for two readings.
//! - A longer one: less than 25 % is left in the mean of the last readings (`recent.rs`). These readings cover the longer of two
//!   times: half the time of the shortest scale at which the change is anomalous too; and half the time of the scale that raised
//!   the episode, divided by the square of the peak score. A larger change needs fewer readings to show that it is gone. The
//!   average that raised the episode contains a large change for hours. A mean over less time is noisier: it would end the
//!   episode of a slow fault and begin another one many times. A score below 0.5 must last for the same time. If the levels
//!   are not learned afterwards, the same channel begins an episode above 0.7 instead of 1 for the time of the scale that
//!   raised this one, because an intermittent fault comes back.
//!
//! No episode ends while the pump runs at a speed outside of those of commissioning, or while the speed or the channel that
//! raised the episode is missing: nothing is known of the fault then. Readings without speed are ignored: they do not begin the
//! count of quiet readings anew. For some minutes after the pump is back at a known speed it is tested less strictly; an episode
//! ends then only if the score without this allowance is below 0.5.
//!
//! Example at one reading per second: flow falls by 10 % for five minutes.
//!
//! | time | score | of the change left | |
//! | --- | --- | --- | --- |
//! | 3 s | 1.2 | | an episode begins, at the scale of 5 s |
//! | 60 s | 9.0 | 100 % | the greatest change, -10 % |
//! | 300 s | 5.0 | 60 % | the fault is gone, the average follows |
//! | 312 s | 0.9 | 9 % | |
//! | 313 s | 0.8 | 8 % | the episode ends; levels are learned until 403 s |
//!
//! An episode of a lasting fault does not end, and nothing is learned during an episode.
//!
//! Does not compute scores; see `level_test.rs`.

use serde::{Deserialize, Serialize};

use super::{
    averages::Averages, baseline::ConditionalBaseline, level_test::LevelTestResult, recent::RecentMeans, tuning::TUNING,
};

/// What a pump's detector is doing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum EpisodePhase {
    #[default]
    Normal,
    Episode(Episode),
    /// An episode that a longer scale raised has ended. Its change may come back: an intermittent fault.
    Returned {
        /// The output that had changed.
        output: usize,
        left_s: f64,
    },
    /// Levels are learned after an episode that ended at other levels than it began.
    Relearning {
        /// Readings so far.
        readings: u32,
        elapsed_s: f64,
    },
}

/// An open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Episode {
    /// The highest anomaly score.
    peak: f64,
    /// The output with that score.
    output: usize,
    /// The scale at which the greatest change was measured.
    scale: usize,
    /// The time of the scale that has the highest score, in seconds.
    raised_s: f64,
    /// For how many seconds the pump must be back at its levels. 0 in an episode that one of the two shortest scales raised.
    needed_s: f64,
    /// The greatest change: each output's average, in standard deviations.
    change: Vec<f64>,
    /// The means of the last residuals, which show how much of the change is left.
    recent: RecentMeans,
    /// For how many successive readings, and seconds, the pump has been back.
    quiet_readings: u32,
    quiet_s: f64,
}

/// How much is known of the operating point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum OperatingPointKnown {
    Yes,
    /// The speed is missing in this reading.
    Missing,
    /// The pump runs at a speed outside of those of commissioning.
    Outside,
    /// It did so minutes ago. The pump is still warmer or colder than usual, so it is tested less strictly. `score`: the anomaly
    /// score without this allowance.
    WasOutside {
        score: f64,
    },
}

/// A tested reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct TestedReading<'a> {
    pub averages: &'a Averages,
    /// One per output, NaN where missing.
    pub residuals: &'a [f64],
    pub result: &'a LevelTestResult,
    pub known: OperatingPointKnown,
    /// Seconds since the reading before.
    pub elapsed_s: f64,
}

/// What the detector learns from a tested reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LearnAction {
    /// Nothing is learned.
    Hold,
    /// The pump is normal: learn from the reading.
    Learn,
    /// Relearn the levels after an episode. This is the `nth` reading to relearn from. `done`: the last one.
    Relearn { nth: u32, done: bool },
    /// The averages of the residuals begin anew with this reading: an episode has ended, and there are too few readings to
    /// relearn from.
    Forget,
}

impl EpisodePhase {
    /// Whether an episode is open.
    pub(super) fn in_episode(&self) -> bool {
        matches!(self, EpisodePhase::Episode(_))
    }

    /// Takes a tested reading: begins, continues or ends an episode. Returns what the detector learns from the reading.
    pub(super) fn advance(&mut self, baseline: &ConditionalBaseline, reading: &TestedReading) -> LearnAction {
        let TestedReading { averages, result, known, elapsed_s, .. } = *reading;
        if let EpisodePhase::Relearning { readings, elapsed_s: so_far_s } = self {
            *readings += 1;
            *so_far_s += elapsed_s;
            let (nth, done) = (*readings, *so_far_s >= TUNING.relearn_s);
            if done {
                *self = EpisodePhase::Normal;
            }
            return LearnAction::Relearn { nth, done };
        }
        if let EpisodePhase::Returned { left_s, .. } = self {
            *left_s -= elapsed_s;
            if *left_s <= 0.0 {
                *self = EpisodePhase::Normal;
            }
        }
        if self.begins_at(result.output).is_some_and(|score| result.score > score) {
            *self = EpisodePhase::Episode(Episode::new(baseline));
        }
        if let EpisodePhase::Episode(episode) = self {
            if result.score > episode.peak {
                episode.set_peak(baseline, averages, result);
            }
            if known == OperatingPointKnown::Missing {
                return LearnAction::Hold;
            }
            if !episode.is_over(baseline, reading) {
                return LearnAction::Hold;
            }
            let is_quiet = result.score < TUNING.quiet;
            let can_relearn = TUNING.relearn_s >= TUNING.relearn_readings * baseline.scales.interval_s;
            *self = match episode.needed_s > 0.0 {
                true => EpisodePhase::Returned { output: episode.output, left_s: episode.raised_s },
                false => EpisodePhase::Normal,
            };
            if !is_quiet && can_relearn {
                *self = EpisodePhase::Relearning { readings: 0, elapsed_s: 0.0 };
                return LearnAction::Hold;
            }
            // The averages of the longer scales still hold the fault, and would begin another episode.
            if !is_quiet {
                return LearnAction::Forget;
            }
        }
        let is_known = matches!(known, OperatingPointKnown::Yes | OperatingPointKnown::Missing);
        if result.score < 1.0 && is_known { LearnAction::Learn } else { LearnAction::Hold }
    }

    /// Returns the score above which an episode of an output begins; `None` if one is open.
    fn begins_at(&self, output: usize) -> Option<f64> {
        match self {
            EpisodePhase::Normal => Some(1.0),
            EpisodePhase::Returned { output: of, .. } => Some(if *of == output { TUNING.comes_back } else { 1.0 }),
            EpisodePhase::Episode(_) | EpisodePhase::Relearning { .. } => None,
        }
    }

    /// Whether it fits these numbers of scales and outputs.
    pub(super) fn is_valid(&self, scales: usize, outputs: usize) -> bool {
        match self {
            EpisodePhase::Normal => true,
            EpisodePhase::Returned { output, left_s } => *output < outputs && left_s.is_finite(),
            EpisodePhase::Episode(episode) => {
                let numbers = episode.change.iter().chain([
                    &episode.peak,
                    &episode.quiet_s,
                    &episode.raised_s,
                    &episode.needed_s,
                ]);
                episode.change.len() == outputs
                    && episode.output < outputs
                    && episode.scale < scales
                    && episode.recent.is_valid(outputs)
                    && numbers.copied().all(f64::is_finite)
            }
            // A stored time at or after the end of relearning is invalid.
            EpisodePhase::Relearning { elapsed_s, .. } => (0.0..TUNING.relearn_s).contains(elapsed_s),
        }
    }
}

impl Episode {
    fn new(baseline: &ConditionalBaseline) -> Episode {
        let outputs = baseline.outputs.len();
        Episode {
            peak: 0.0,
            output: 0,
            scale: 0,
            raised_s: 0.0,
            needed_s: 0.0,
            change: vec![0.0; outputs],
            recent: RecentMeans::new(outputs),
            quiet_readings: 0,
            quiet_s: 0.0,
        }
    }

    /// Makes this reading's change the episode's greatest.
    fn set_peak(&mut self, baseline: &ConditionalBaseline, averages: &Averages, result: &LevelTestResult) {
        self.peak = result.score;
        self.output = result.output;
        let time_constants_s = &baseline.scales.spans_s;
        // The two shortest scales are treated as one: the greatest change is measured at the second.
        let second = 1.min(time_constants_s.len() - 1);
        // After a start the second scale has no average yet.
        let longer = result.shortest.max(second);
        self.scale = if averages.mean(longer, self.output).is_some() { longer } else { result.scale };
        self.raised_s = time_constants_s[result.scale];
        self.needed_s = match result.scale > second {
            true => (time_constants_s[self.scale] / 2.0).max(time_constants_s[result.scale] / 2.0 / self.peak.powi(2)),
            false => 0.0,
        };
        let deviation = |output: usize| averages.mean(self.scale, output).unwrap_or(0.0) / self.sd(baseline, output);
        self.change = (0..self.change.len()).map(deviation).collect();
        self.recent.clear();
    }

    fn sd(&self, baseline: &ConditionalBaseline, output: usize) -> f64 {
        baseline.by_scale[self.scale].covariance.get(output, output).sqrt()
    }

    /// Takes a reading. Returns whether the episode is over.
    fn is_over(&mut self, baseline: &ConditionalBaseline, reading: &TestedReading) -> bool {
        let is_quiet = match reading.known {
            OperatingPointKnown::Missing | OperatingPointKnown::Outside => false,
            OperatingPointKnown::WasOutside { score } => score < TUNING.quiet,
            OperatingPointKnown::Yes => reading.result.score < TUNING.quiet,
        };
        let can_return = reading.known == OperatingPointKnown::Yes;
        let averages = reading.averages;
        if self.needed_s == 0.0 {
            let has_returned =
                can_return && self.remaining(baseline, |output| averages.mean(0, output)) < TUNING.returned;
            let is_measured = averages.mean(0, self.output).is_some();
            return self.count((is_quiet || has_returned) && is_measured, reading.elapsed_s);
        }
        if self.count(is_quiet && averages.mean(self.scale, self.output).is_some(), reading.elapsed_s) {
            return true;
        }
        if !can_return {
            self.recent.clear();
            return false;
        }
        self.recent.add(reading.residuals, reading.elapsed_s);
        if !self.recent.is_whole(self.needed_s) {
            return false;
        }
        let remaining = self.remaining(baseline, |output| self.recent.mean(output));
        let is_measured = self.recent.mean(self.output).is_some();
        self.recent.clear();
        is_measured && remaining < TUNING.returned_slow
    }

    /// Returns how much of the change is left in its own direction: 1 at its greatest, 0 when it is gone.
    fn remaining(&self, baseline: &ConditionalBaseline, mean: impl Fn(usize) -> Option<f64>) -> f64 {
        let (mut along, mut whole) = (0.0, 0.0);
        for (output, change) in self.change.iter().enumerate() {
            if let Some(mean) = mean(output) {
                along += change * mean / self.sd(baseline, output);
                whole += change * change;
            }
        }
        if whole > 0.0 { along / whole } else { 1.0 }
    }

    /// Counts a reading as quiet or not. Returns whether there were enough of them.
    fn count(&mut self, is_quiet: bool, elapsed_s: f64) -> bool {
        if !is_quiet {
            (self.quiet_readings, self.quiet_s) = (0, 0.0);
            return false;
        }
        self.quiet_readings += 1;
        self.quiet_s += elapsed_s;
        self.quiet_readings >= TUNING.quiet_readings && self.quiet_s >= self.needed_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditional::tests;

    /// The output that deviates.
    const OUTPUT: usize = 2;

    struct Bench {
        baseline: ConditionalBaseline,
        averages: Averages,
        residuals: Vec<f64>,
        phase: EpisodePhase,
        known: OperatingPointKnown,
    }

    impl Bench {
        fn new(is_fast: bool) -> Bench {
            let baseline = tests::baseline(is_fast);
            let averages = Averages::new(baseline.by_scale.len(), baseline.outputs.len());
            let residuals = vec![0.0; baseline.outputs.len()];
            Bench { baseline, averages, residuals, phase: EpisodePhase::Normal, known: OperatingPointKnown::Yes }
        }

        /// Brings the averages of all scales to these residuals, in spreads of the output.
        fn settle(&mut self, spreads: f64) {
            self.set_residual(spreads);
            self.averages.clear();
            for _ in 0..200 {
                self.averages.add(&self.baseline.scales, &self.residuals, 0.0, self.baseline.scales.interval_s);
            }
        }

        /// Sets the residual of the next readings, which leaves the averages.
        fn set_residual(&mut self, spreads: f64) {
            self.residuals[OUTPUT] = spreads * self.baseline.outputs[OUTPUT].spread;
        }

        fn advance(&mut self, score: f64, scale: usize) -> LearnAction {
            self.advance_of(LevelTestResult { score, output: OUTPUT, scale, shortest: scale, outputs: Vec::new() })
        }

        fn advance_of(&mut self, result: LevelTestResult) -> LearnAction {
            let reading = TestedReading {
                averages: &self.averages,
                residuals: &self.residuals,
                result: &result,
                known: self.known,
                elapsed_s: self.baseline.scales.interval_s,
            };
            self.phase.advance(&self.baseline, &reading)
        }
    }

    #[test]
    fn an_episode_ends_at_a_lower_score_than_it_begins_after_two_readings() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        assert_eq!((bench.advance(0.9, 0), bench.phase.in_episode()), (LearnAction::Learn, false));
        assert_eq!((bench.advance(1.1, 0), bench.phase.in_episode()), (LearnAction::Hold, true));
        for score in [0.6, 0.4, 0.6, 0.4] {
            assert_eq!((bench.advance(score, 0), bench.phase.in_episode()), (LearnAction::Hold, true), "{score}");
        }
        assert_eq!((bench.advance(0.4, 0), bench.phase.in_episode()), (LearnAction::Learn, false));
    }

    #[test]
    fn an_episode_whose_change_is_gone_ends_and_the_levels_are_learned_for_90_seconds() {
        let mut bench = Bench::new(true);
        bench.settle(10.0);
        bench.advance(9.0, 0);
        bench.settle(2.0);
        (0..10).for_each(|_| assert_eq!(bench.advance(0.9, 0), LearnAction::Hold));
        assert!(bench.phase.in_episode(), "a fifth of the change is left");
        bench.settle(0.5);
        (0..2).for_each(|_| assert_eq!(bench.advance(0.9, 0), LearnAction::Hold));
        assert!(!bench.phase.in_episode());
        for nth in 1..=90 {
            assert_eq!(bench.advance(5.0, 0), LearnAction::Relearn { nth, done: nth == 90 });
        }
        assert_eq!(bench.phase, EpisodePhase::Normal);
    }

    /// Soon after a start only the shortest scale has an average.
    #[test]
    fn an_episode_soon_after_a_start_ends_too() {
        let mut bench = Bench::new(true);
        bench.set_residual(10.0);
        while bench.averages.mean(0, OUTPUT).is_none() {
            bench.averages.add(&bench.baseline.scales, &bench.residuals, 0.0, 1.0);
        }
        assert_eq!(bench.averages.mean(1, OUTPUT), None);
        bench.advance(9.0, 0);
        bench.settle(0.0);
        (0..2).for_each(|_| assert_eq!(bench.advance(0.9, 0), LearnAction::Hold));
        assert!(!bench.phase.in_episode());
    }

    #[test]
    fn a_change_in_the_other_direction_is_gone_too() {
        let mut bench = Bench::new(true);
        bench.settle(10.0);
        bench.advance(9.0, 0);
        bench.settle(-3.0);
        (0..2).for_each(|_| assert_eq!(bench.advance(2.0, 0), LearnAction::Hold));
        assert!(!bench.phase.in_episode());
    }

    #[test]
    fn an_episode_of_a_long_scale_is_over_after_half_of_its_time() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        bench.advance(1.0001, 2);
        let readings = (1..).find(|_| bench.advance(0.1, 0) == LearnAction::Learn);
        assert_eq!(readings, Some(8), "450 s at one reading per minute");
    }

    /// The averages still have the whole change.
    #[test]
    fn a_large_episode_of_a_long_scale_ends_when_the_last_readings_are_back() {
        // The reading with the peak is the first of the last readings. The change is anomalous at 300 s too.
        for (peak, expected) in [(1.0001, 7), (2.0, 2)] {
            let mut bench = Bench::new(false);
            bench.settle(10.0);
            let result = LevelTestResult { score: peak, output: OUTPUT, scale: 2, shortest: 1, outputs: Vec::new() };
            bench.advance_of(result.clone());
            (0..100).for_each(|_| assert_eq!(bench.advance(0.9, 0), LearnAction::Hold, "the fault stands"));
            bench.set_residual(1.0);
            bench.advance_of(LevelTestResult { score: peak + 1e-6, ..result });
            let readings = (1..20).find(|_| bench.advance(0.9, 0) == LearnAction::Forget);
            assert_eq!(readings, Some(expected), "peak {peak}");
        }
    }

    #[test]
    fn a_change_that_comes_back_soon_is_an_episode_at_a_lower_score() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        bench.advance(3.0, 2);
        bench.set_residual(0.0);
        assert!((1..20).any(|_| bench.advance(0.9, 0) == LearnAction::Forget));
        assert_eq!(bench.advance(0.6, 0), LearnAction::Learn);
        assert_eq!((bench.advance(0.75, 0), bench.phase.in_episode()), (LearnAction::Hold, true));
    }

    #[test]
    fn a_change_that_was_gone_for_the_time_of_its_scale_does_not_come_back() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        bench.advance(3.0, 2);
        bench.set_residual(0.0);
        assert!((1..20).any(|_| bench.advance(0.9, 0) == LearnAction::Forget));
        (0..15).for_each(|_| assert_eq!(bench.advance(0.6, 0), LearnAction::Learn));
        assert_eq!(
            (bench.advance(0.75, 0), bench.phase.in_episode()),
            (LearnAction::Learn, false),
            "900 s have passed"
        );
    }

    #[test]
    fn an_episode_does_not_end_where_nothing_is_known() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        bench.advance(2.0, 0);
        bench.known = OperatingPointKnown::Outside;
        (0..100).for_each(|_| assert_eq!(bench.advance(0.1, 0), LearnAction::Hold));
        bench.known = OperatingPointKnown::WasOutside { score: 0.6 };
        (0..100).for_each(|_| assert_eq!(bench.advance(0.1, 0), LearnAction::Hold));
        bench.known = OperatingPointKnown::Missing;
        (0..100).for_each(|_| assert_eq!(bench.advance(0.1, 0), LearnAction::Hold));
        bench.known = OperatingPointKnown::Yes;
        bench.averages.clear();
        (0..100).for_each(|_| assert_eq!(bench.advance(0.1, 0), LearnAction::Hold));
        assert!(bench.phase.in_episode(), "its channel is missing");
        bench.settle(10.0);
        bench.advance(0.1, 0);
        assert_eq!(bench.advance(0.1, 0), LearnAction::Learn);
    }

    #[test]
    fn an_episode_ends_soon_after_the_pump_is_back_at_a_known_speed() {
        let mut bench = Bench::new(false);
        bench.settle(10.0);
        bench.advance(2.0, 0);
        bench.known = OperatingPointKnown::WasOutside { score: 0.4 };
        bench.advance(0.1, 0);
        assert!(bench.phase.in_episode(), "one reading is not enough");
        assert_eq!(
            (bench.advance(0.1, 0), bench.phase.in_episode()),
            (LearnAction::Hold, false),
            "but nothing is learned yet"
        );
    }

    #[test]
    fn nothing_is_learned_outside_of_the_known_speeds() {
        let mut bench = Bench::new(false);
        for known in [OperatingPointKnown::Outside, OperatingPointKnown::WasOutside { score: 0.1 }] {
            bench.known = known;
            assert_eq!(bench.advance(0.1, 0), LearnAction::Hold);
        }
    }
}
