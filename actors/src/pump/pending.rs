//! Windows on their way to a decision, in the order of their readings. Pure.
//!
//! Workers finish in any order, decisions are made in one: each window waits until it is the first. An example, with windows
//! numbered from 7:
//!
//! 1. 7, 8 and 9 are sent to be scored. Nothing is ready.
//! 2. The score of 8 comes. 7 is still without one, so nothing is ready.
//! 3. 7 gives way to newer windows and is skipped. Now 7 is ready without a score, and after it 8 with its own.
//! 4. 9 waits. After [`SCORE_PATIENCE`] it is ready without a score: one that is lost with a stuck worker does not hold up
//!    the others for ever.
//!
//! Does not decide anything: see [`super::judge`].

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use volute_anomaly::Score;
use volute_plant::{Reading, Timestamp};

use crate::protocol::{live::NotScoredReason, pump::ScoreFailure};

/// How long a window waits for its score.
pub(super) const SCORE_PATIENCE: Duration = Duration::from_secs(120);

/// A reading that got its place, and what is known of its window.
pub(super) enum PendingWindow {
    /// It is being scored.
    Scoring { reading: Reading, at: Timestamp, since: Instant },
    /// It is ready.
    Ready(ReadyWindow),
}

/// A reading whose turn to be decided comes as soon as it is the first.
pub(super) enum ReadyWindow {
    /// Its window has a score.
    Scored { reading: Reading, at: Timestamp, score: Score },
    /// Its window has none, and why.
    NotScored { reading: Reading, why: NotScoredReason },
    /// Its window has no score that means anything: it was scaled for a baseline that is no longer in use, or gave way to a
    /// newer one.
    Skipped { reading: Reading },
    /// It has no place in the window: it is late, or another reading of its step has the place.
    Unplaced { reading: Reading },
    /// Its score is lost.
    Lost { reading: Reading },
}

/// The windows of one pump that are on their way.
pub(super) struct PendingWindows {
    windows: VecDeque<PendingWindow>,
    /// The number of the first.
    first_seq: u64,
}

impl PendingWindows {
    /// Windows are numbered from `first_seq`.
    pub(super) fn new(first_seq: u64) -> Self {
        Self { windows: VecDeque::new(), first_seq }
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Returns the number of the next window.
    pub(super) fn next_seq(&self) -> u64 {
        self.first_seq + self.windows.len() as u64
    }

    /// Another one, after all others.
    pub(super) fn push(&mut self, window: PendingWindow) {
        self.windows.push_back(window);
    }

    /// Another one that is ready.
    pub(super) fn push_ready(&mut self, window: ReadyWindow) {
        self.push(PendingWindow::Ready(window));
    }

    /// Takes the score of a window. One that is not waited for any more is ignored.
    pub(super) fn score(&mut self, seq: u64, score: Result<Score, ScoreFailure>) {
        let place = seq.checked_sub(self.first_seq).and_then(|n| usize::try_from(n).ok());
        let Some(window) = place.and_then(|place| self.windows.get_mut(place)) else { return };
        let PendingWindow::Scoring { reading, at, .. } = window else { return };
        let (reading, at) = (reading.clone(), *at);
        *window = PendingWindow::Ready(match score {
            Ok(score) => ReadyWindow::Scored { reading, at, score },
            Err(ScoreFailure::Failed) => ReadyWindow::NotScored { reading, why: NotScoredReason::Failed },
            Err(ScoreFailure::Skipped) => ReadyWindow::Skipped { reading },
        });
    }

    /// No score will come: nobody is left to score anything.
    pub(super) fn give_up_scores(&mut self) {
        for window in &mut self.windows {
            if let PendingWindow::Scoring { reading, .. } = window {
                let (reading, why) = (reading.clone(), NotScoredReason::Failed);
                *window = PendingWindow::Ready(ReadyWindow::NotScored { reading, why });
            }
        }
    }

    /// No score means anything any more: windows are judged in another way from now on.
    pub(super) fn skip_scores(&mut self) {
        for window in &mut self.windows {
            if let PendingWindow::Scoring { reading, .. } | PendingWindow::Ready(ReadyWindow::Scored { reading, .. }) =
                window
            {
                *window = PendingWindow::Ready(ReadyWindow::Skipped { reading: reading.clone() });
            }
        }
    }

    /// Takes the first window out, if it is ready.
    pub(super) fn pop_ready(&mut self, now: Instant) -> Option<ReadyWindow> {
        let ready = match self.windows.pop_front()? {
            PendingWindow::Ready(ready) => ready,
            PendingWindow::Scoring { reading, since, .. } if now.duration_since(since) > SCORE_PATIENCE => {
                ReadyWindow::Lost { reading }
            }
            waiting => {
                self.windows.push_front(waiting);
                return None;
            }
        };
        self.first_seq += 1;
        Some(ready)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use volute_plant::Sample;

    use super::*;

    fn reading(n: u64) -> Reading {
        let at = Timestamp::from_millis(1_773_050_400_000 + 1000 * n as i64).expect("a time");
        let pump = "P".parse().expect("an id");
        Reading { pump, at, received: at, samples: [Sample::Good(1.0)].into(), late: false }
    }

    fn scoring(n: u64, since: Instant) -> PendingWindow {
        PendingWindow::Scoring { at: reading(n).at, reading: reading(n), since }
    }

    fn score() -> Score {
        Score { loss: 0.5, channels: Default::default() }
    }

    /// What is ready, in order: the reading's number and how it became so.
    fn ready(pending: &mut PendingWindows, now: Instant) -> Vec<(i64, &'static str)> {
        std::iter::from_fn(|| pending.pop_ready(now))
            .map(|ready| {
                let (reading, how) = match ready {
                    ReadyWindow::Scored { reading, .. } => (reading, "scored"),
                    ReadyWindow::NotScored { reading, .. } => (reading, "not scored"),
                    ReadyWindow::Skipped { reading } => (reading, "skipped"),
                    ReadyWindow::Unplaced { reading } => (reading, "unplaced"),
                    ReadyWindow::Lost { reading } => (reading, "lost"),
                };
                ((reading.at.millis() - 1_773_050_400_000) / 1000, how)
            })
            .collect()
    }

    #[test]
    fn windows_are_ready_in_the_order_of_their_readings() {
        let now = Instant::now();
        let mut pending = PendingWindows::new(7);
        for seq in 7..=9 {
            assert_eq!(pending.next_seq(), seq);
            pending.push(scoring(seq, now));
        }
        pending.score(8, Ok(score()));
        assert_eq!(ready(&mut pending, now), []);
        pending.score(7, Err(ScoreFailure::Skipped));
        assert_eq!(ready(&mut pending, now), [(7, "skipped"), (8, "scored")]);
        let (at_the_end, after) = (now + SCORE_PATIENCE, now + SCORE_PATIENCE + Duration::from_millis(1));
        assert_eq!(ready(&mut pending, at_the_end), []);
        assert_eq!(ready(&mut pending, after), [(9, "lost")]);
        assert_eq!((pending.next_seq(), pending.is_empty()), (10, true));
    }

    #[test]
    fn a_score_that_nobody_waits_for_changes_nothing() {
        let now = Instant::now();
        let mut pending = PendingWindows::new(7);
        pending.push(scoring(7, now));
        pending.score(7, Err(ScoreFailure::Failed));
        for seq in [0, 6, 7, 8, u64::MAX] {
            pending.score(seq, Ok(score()));
        }
        assert_eq!(ready(&mut pending, now), [(7, "not scored")]);
    }

    #[test]
    fn with_another_baseline_scores_mean_nothing_and_without_workers_none_will_come() {
        let now = Instant::now();
        let begin = || {
            let mut pending = PendingWindows::new(0);
            pending.push(scoring(0, now));
            pending.push(scoring(1, now));
            pending.push_ready(ReadyWindow::Unplaced { reading: reading(2) });
            pending.score(1, Ok(score()));
            pending
        };
        let mut pending = begin();
        pending.skip_scores();
        assert_eq!(ready(&mut pending, now), [(0, "skipped"), (1, "skipped"), (2, "unplaced")]);
        let mut pending = begin();
        pending.give_up_scores();
        assert_eq!(ready(&mut pending, now), [(0, "not scored"), (1, "scored"), (2, "unplaced")]);
    }

    proptest! {
        /// Whatever order scores come in, windows are ready in their own, and each exactly once.
        #[test]
        fn no_window_is_lost_or_passes_another(order in Just((0..20_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let now = Instant::now();
            let mut pending = PendingWindows::new(0);
            (0..20).for_each(|n| pending.push(scoring(n, now)));
            let mut all = Vec::new();
            for seq in order {
                pending.score(seq, Ok(score()));
                all.extend(ready(&mut pending, now));
            }
            prop_assert_eq!(all, (0..20).map(|n| (n, "scored")).collect::<Vec<_>>());
        }
    }
}
