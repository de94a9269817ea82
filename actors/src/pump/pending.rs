//! A queue that puts scored windows back into the order of their readings. Does no I/O.
//!
//! Workers return scores in any order, but decisions are made in the order of the readings: a window is ready when it
//! is the first of the queue and its score has arrived. An example, with windows numbered from 7:
//!
//! 1. Windows 7, 8 and 9 are sent to the workers. None is ready.
//! 2. The score of 8 arrives. Window 7 has none yet, so none is ready.
//! 3. Window 7 is skipped in favour of newer windows. Now 7 is ready without a score, and then 8 with its score.
//! 4. The score of 9 does not arrive. After [`SCORE_TIMEOUT`] window 9 is ready without a score, so a score that is
//!    lost with a stuck worker does not block later windows.
//!
//! Does not decide on windows; see [`super::detection_pipeline`].

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use volute_anomaly::{DeciderState, Score, StepResult};
use volute_plant::{Reading, Timestamp};

use crate::protocol::{live::NoDetectionReason, pump::ScoreFailure};

/// The longest time for which a window waits for its score.
pub(super) const SCORE_TIMEOUT: Duration = Duration::from_secs(120);

/// A reading in the queue, with the state of its window.
pub(super) enum PendingWindow {
    /// Its window waits for a score. `at` is the time of the window. `step` has the result of its last step, if
    /// the detector is step-based.
    Scoring { reading: Reading, at: Timestamp, step: Option<Box<StepWithResult>>, sent_at: Instant },
    /// It can be decided on.
    Ready(ReadyReading),
}

/// A step for which a step-based detector has a result.
#[derive(Debug, Clone)]
pub(super) struct StepWithResult {
    pub result: StepResult,
    /// The note that pages show about it; see [`super::note`].
    pub note: Option<Arc<str>>,
    /// Whether an episode began or ended with it.
    pub episode_changed: bool,
    /// The detector's state after it, if a checkpoint was due.
    pub state: Option<DeciderState>,
}

/// A reading that is decided on as soon as it is the first of the queue.
pub(super) enum ReadyReading {
    /// Its window has a score, or its step has a result, or both.
    Decidable { reading: Reading, at: Timestamp, step: Option<Box<StepWithResult>>, score: Option<Score> },
    /// Its window has no score, for this reason.
    NoDetection { reading: Reading, reason: NoDetectionReason },
    /// Its window has no usable score: it was scaled for a baseline that is no longer in use, or it was dropped in
    /// favour of a newer window.
    Skipped { reading: Reading },
    /// It is not part of a window: it is late, or another reading of the same step was used.
    NotWindowed { reading: Reading },
    /// Its score did not arrive in time.
    Lost { reading: Reading, at: Timestamp, step: Option<Box<StepWithResult>> },
}

/// The windows of one pump that are not decided yet.
pub(super) struct PendingWindows {
    windows: VecDeque<PendingWindow>,
    /// The number of the first window in the queue.
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

    /// Appends a window.
    pub(super) fn push(&mut self, window: PendingWindow) {
        self.windows.push_back(window);
    }

    /// Appends a window that is ready.
    pub(super) fn push_ready(&mut self, window: ReadyReading) {
        self.push(PendingWindow::Ready(window));
    }

    /// Sets the score of a window. Ignores scores of windows that do not wait for one.
    pub(super) fn set_score(&mut self, seq: u64, score: Result<Score, ScoreFailure>) {
        let index = seq.checked_sub(self.first_seq).and_then(|n| usize::try_from(n).ok());
        let Some(window) = index.and_then(|index| self.windows.get_mut(index)) else { return };
        let PendingWindow::Scoring { reading, at, step, .. } = window else { return };
        let (reading, at, step) = (reading.clone(), *at, step.take());
        *window = PendingWindow::Ready(match (score, step) {
            (Ok(score), step) => ReadyReading::Decidable { reading, at, step, score: Some(score) },
            (Err(_), Some(step)) => ReadyReading::Decidable { reading, at, step: Some(step), score: None },
            (Err(ScoreFailure::Failed), None) => {
                ReadyReading::NoDetection { reading, reason: NoDetectionReason::ScoringFailed }
            }
            (Err(ScoreFailure::Skipped), None) => ReadyReading::Skipped { reading },
        });
    }

    /// Stops waiting for scores that have not arrived, because no worker is left to compute them.
    pub(super) fn fail_unscored(&mut self) {
        for seq in self.first_seq..self.next_seq() {
            self.set_score(seq, Err(ScoreFailure::Failed));
        }
    }

    /// Skips all windows that have a result, have a score or wait for one, because the baseline or the mode has changed.
    pub(super) fn skip_all(&mut self) {
        for window in &mut self.windows {
            if let PendingWindow::Scoring { reading, .. }
            | PendingWindow::Ready(ReadyReading::Decidable { reading, .. }) = window
            {
                *window = PendingWindow::Ready(ReadyReading::Skipped { reading: reading.clone() });
            }
        }
    }

    /// Removes and returns the first window if it is ready.
    pub(super) fn pop_ready(&mut self, now: Instant) -> Option<ReadyReading> {
        let ready = match self.windows.pop_front()? {
            PendingWindow::Ready(ready) => ready,
            PendingWindow::Scoring { reading, at, step, sent_at } if now.duration_since(sent_at) > SCORE_TIMEOUT => {
                ReadyReading::Lost { reading, at, step }
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

    fn scoring(n: u64, sent_at: Instant) -> PendingWindow {
        PendingWindow::Scoring { at: reading(n).at, reading: reading(n), step: None, sent_at }
    }

    fn score() -> Score {
        Score { loss: 0.5, channels: Default::default(), dynamics: None }
    }

    /// Pops all ready windows. Returns each reading's number and its state.
    fn ready(pending: &mut PendingWindows, now: Instant) -> Vec<(i64, &'static str)> {
        std::iter::from_fn(|| pending.pop_ready(now))
            .map(|ready| {
                let (reading, how) = match ready {
                    ReadyReading::Decidable { reading, .. } => (reading, "scored"),
                    ReadyReading::NoDetection { reading, .. } => (reading, "not scored"),
                    ReadyReading::Skipped { reading } => (reading, "skipped"),
                    ReadyReading::NotWindowed { reading } => (reading, "not windowed"),
                    ReadyReading::Lost { reading, .. } => (reading, "lost"),
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
        pending.set_score(8, Ok(score()));
        assert_eq!(ready(&mut pending, now), []);
        pending.set_score(7, Err(ScoreFailure::Skipped));
        assert_eq!(ready(&mut pending, now), [(7, "skipped"), (8, "scored")]);
        let (at_timeout, after) = (now + SCORE_TIMEOUT, now + SCORE_TIMEOUT + Duration::from_millis(1));
        assert_eq!(ready(&mut pending, at_timeout), []);
        assert_eq!(ready(&mut pending, after), [(9, "lost")]);
        assert_eq!((pending.next_seq(), pending.is_empty()), (10, true));
    }

    #[test]
    fn a_score_that_is_not_expected_changes_nothing() {
        let now = Instant::now();
        let mut pending = PendingWindows::new(7);
        pending.push(scoring(7, now));
        pending.set_score(7, Err(ScoreFailure::Failed));
        for seq in [0, 6, 7, 8, u64::MAX] {
            pending.set_score(seq, Ok(score()));
        }
        assert_eq!(ready(&mut pending, now), [(7, "not scored")]);
    }

    #[test]
    fn all_scores_can_be_skipped_or_failed() {
        let now = Instant::now();
        let begin = || {
            let mut pending = PendingWindows::new(0);
            pending.push(scoring(0, now));
            pending.push(scoring(1, now));
            pending.push_ready(ReadyReading::NotWindowed { reading: reading(2) });
            pending.set_score(1, Ok(score()));
            pending
        };
        let mut pending = begin();
        pending.skip_all();
        assert_eq!(ready(&mut pending, now), [(0, "skipped"), (1, "skipped"), (2, "not windowed")]);
        let mut pending = begin();
        pending.fail_unscored();
        assert_eq!(ready(&mut pending, now), [(0, "not scored"), (1, "scored"), (2, "not windowed")]);
    }

    proptest! {
        /// Windows become ready in the order of their readings, each exactly once, even if the scores arrive in another
        /// order.
        #[test]
        fn no_window_is_lost_or_reordered(order in Just((0..20_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let now = Instant::now();
            let mut pending = PendingWindows::new(0);
            (0..20).for_each(|n| pending.push(scoring(n, now)));
            let mut all = Vec::new();
            for seq in order {
                pending.set_score(seq, Ok(score()));
                all.extend(ready(&mut pending, now));
            }
            prop_assert_eq!(all, (0..20).map(|n| (n, "scored")).collect::<Vec<_>>());
        }
    }
}
