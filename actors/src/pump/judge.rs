//! From durable readings to decisions: the second of a pump's three state machines. Pure: time is passed in, and what is to
//! be done comes back as [`Effect`]s, in order.
//!
//! One window's way, of a pump with a baseline, at one reading a second:
//!
//! 1. [`Judge::take`] the reading of 10:00:29. It is shown ([`Effect::Show`]) and completes the window from 10:00:00, which is
//!    numbered and to be scored ([`Effect::Score`]).
//! 2. [`Judge::score`] with that number. The decider decides; the detection is published ([`Effect::Detected`]), the reading
//!    is held against its limits with it ([`Effect::Evaluate`]), and once a minute the decider is stored
//!    ([`Effect::Checkpoint`]).
//! 3. Without a score, or without a window, the reading is held against its limits all the same, and it is said why there is
//!    no detection ([`Effect::NotScored`]).
//!
//! Decisions are made in the order of the windows, whatever order the scores come in ([`super::pending`]). Only what is
//! current ([`volute_plant::TimeRules`]) is shown and raises alarms; what is older is windowed, scored and recorded by its
//! own time.
//!
//! Does not store or send anything, does not order readings before they are durable (see [`super::admit`]), and does not say
//! how a pump comes to its baseline (see [`super::commission`]).

use std::{sync::Arc, time::Instant};

use volute_anomaly::{Baseline, Score};
use volute_data::PumpState;
use volute_plant::{
    Admitted, Detection, NoWindow, Placed, Profile, PumpId, Reading, TimeRules, Timestamp, Window, WindowRules,
    Windower,
};

use super::{
    checkpoint::{Checkpoints, Found, StoredCheckpoint, restored},
    feed::Feed,
    pending::{PendingWindow, PendingWindows, ReadyWindow},
};
use crate::{
    commissioning::mode::PumpMode,
    protocol::{
        live::{LiveReading, NotScoredReason},
        pump::ScoreFailure,
        rules::EvaluateLimits,
    },
};

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Effect {
    /// Show a reading.
    Show(LiveReading),
    /// Have a window scored. The score comes back under this number.
    Score { seq: u64, window: Window, baseline: Arc<Baseline> },
    /// Show that there is no detection for a current reading, and why.
    NotScored(NotScoredReason),
    /// Record a detection, and show it if its reading is current.
    Detected { detection: Detection, received_at: Timestamp, is_current: bool },
    /// Hold a current reading against its limits.
    Evaluate(EvaluateLimits),
    /// Store the decider.
    Checkpoint(PumpState),
    /// A window's score is lost.
    ScoreLost,
}

/// What the judge has to know of the world.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub now: Instant,
    /// Whether anybody is there who scores windows.
    pub has_workers: bool,
    pub feed: &'a Feed,
}

/// See the module's head.
pub(super) struct Judge {
    pump: PumpId,
    profile: Profile,
    times: TimeRules,
    /// A demo plays a recording as its readings: they say how it is now, though their times are of the past.
    is_played: bool,
    windower: Windower,
    mode: PumpMode,
    pending: PendingWindows,
    checkpoints: Checkpoints,
    /// The last detection, for readings that have no window of their own.
    last_detection: Option<Detection>,
    /// The number of the first window.
    begun_with: u64,
}

impl Judge {
    /// Of a pump of which nothing is known yet. Windows are numbered from `first_seq`.
    pub(super) fn new(pump: PumpId, profile: Profile, times: TimeRules, first_seq: u64) -> Self {
        Self {
            windower: Windower::new(&profile),
            checkpoints: Checkpoints::new(&pump, None),
            pump,
            profile,
            times,
            is_played: false,
            mode: PumpMode::Unread,
            pending: PendingWindows::new(first_seq),
            last_detection: None,
            begun_with: first_seq,
        }
    }

    /// Begins with what is stored: readings that are in time, oldest first, and a checkpoint.
    pub(super) fn recall(&mut self, readings: Vec<Reading>, stored: Option<StoredCheckpoint>) {
        self.checkpoints = Checkpoints::new(&self.pump, stored);
        for reading in readings {
            let placed = self.windower.push(reading);
            self.checkpoints.recall(placed);
        }
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn mode(&self) -> &PumpMode {
        &self.mode
    }

    pub(super) fn mode_mut(&mut self) -> &mut PumpMode {
        &mut self.mode
    }

    /// Returns how many windows are on their way.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns how often the pump ran for less than it takes to settle, and the longest such run in steps.
    pub(super) fn short_runs(&self) -> (u32, i64) {
        self.windower.short_runs()
    }

    /// The pump's readings are played from a recording.
    pub(super) fn is_played_from_now_on(&mut self) {
        self.is_played = true;
    }

    pub(super) fn is_played(&self) -> bool {
        self.is_played
    }

    /// How long a reading that is missing is waited for; none: none is.
    pub(super) fn waits_for_ms(&self) -> Option<i64> {
        let rules = WindowRules::for_profile(&self.profile);
        self.windower.is_waiting().then_some(rules.slack_steps * rules.interval_ms)
    }

    /// Takes a durable reading.
    pub(super) fn take(&mut self, admitted: Admitted, world: Surroundings<'_>, effects: &mut Vec<Effect>) {
        let Admitted { reading, whole } = admitted;
        let (heard, is_late, is_part) = (reading.received, reading.late, whole.is_some());
        let is_current = self.is_current(&reading);
        let shown = whole.unwrap_or_else(|| reading.clone());
        effects.push(Effect::Show(LiveReading { reading: shown, heard, is_current, is_late, is_part }));
        if is_late {
            self.wait_unplaced(reading);
            self.decide(world.now, effects);
            return;
        }
        if self.windower.has_passed(reading.at) {
            // Its time lies far behind all others: a new order begins with it.
            let placed = self.windower.restart();
            self.place(placed, world, effects);
            self.checkpoints.begin_at_any_time();
        }
        if let Some(displaced) = self.windower.displaced_by(&reading) {
            self.wait_unplaced(displaced);
        }
        let placed = self.windower.push(reading);
        self.place(placed, world, effects);
    }

    /// Missing readings are waited for no longer.
    pub(super) fn flush(&mut self, world: Surroundings<'_>, effects: &mut Vec<Effect>) {
        let placed = self.windower.flush();
        self.place(placed, world, effects);
    }

    /// Takes a window's score.
    pub(super) fn score(
        &mut self,
        seq: u64,
        score: Result<Score, ScoreFailure>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.pending.score(seq, score);
        self.decide(now, effects);
    }

    /// Judges windows in another way from now on. Those on their way were scaled for the old one: only their limits are
    /// looked at.
    pub(super) fn set_mode(&mut self, mode: PumpMode, now: Instant, effects: &mut Vec<Effect>) {
        self.mode = mode;
        self.checkpoints.begin_anew();
        self.pending.skip_scores();
        self.decide(now, effects);
    }

    /// Judges windows in this way from the start on.
    pub(super) fn begin_with(&mut self, mode: PumpMode) {
        self.mode = mode;
    }

    /// Makes windows by this profile from now on; the first of them of these readings, which are stored.
    pub(super) fn change_profile(&mut self, profile: Profile, readings: Vec<Reading>) {
        self.windower = Windower::new(&profile);
        self.profile = profile;
        for reading in readings.into_iter().filter(|reading| !reading.late) {
            self.windower.push(reading);
        }
    }

    /// What is stored, where it could not be read at the start.
    pub(super) fn find_checkpoint(&mut self, state: Option<PumpState>) {
        self.checkpoints.find(state);
    }

    /// What was found stored is for nobody: the pump is not judged.
    pub(super) fn forget_checkpoint(&mut self) {
        self.checkpoints.take_found();
    }

    /// Goes on from the stored checkpoint, if it is of the baseline in use. `score` scores windows of before the start; one
    /// that has no score is skipped. No more than `most` windows were on their way when the node ended.
    pub(super) fn restore(
        &mut self,
        score: impl FnOnce(&Baseline, Vec<(Reading, Window)>) -> Vec<(Reading, Score)>,
        most: usize,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Found { stored: StoredCheckpoint { state, decided }, windows }) = self.checkpoints.take_found() else {
            return;
        };
        let PumpMode::Judged(decider) = &mut self.mode else { return };
        match restored(decider.baseline(), &state) {
            Ok(found) => *decider = found,
            Err(error) => return tracing::warn!(pump = self.pump.as_str(), %error, "memory not used"),
        }
        self.checkpoints.decided(state.at);
        self.checkpoints.stored(state.at);
        let (decided, scored) = (decided.unwrap_or_default(), score(decider.baseline(), windows));
        let newest = decided.last().copied().unwrap_or(state.at);
        let on_their_way = scored.iter().filter(|(reading, _)| reading.at > newest).count();
        // More of them came while nothing was judged. Windows that came since the start are decided already.
        let publish = on_their_way <= most && self.pending.is_empty() && self.pending.next_seq() == self.begun_with;
        for (reading, score) in scored {
            let at = reading.at;
            if decided.contains(&at) {
                self.decide_silently(at, &score);
            } else if at > newest && publish {
                let (heard, is_current) = (reading.received, self.is_current(&reading));
                let shown = reading.clone();
                effects.push(Effect::Show(LiveReading {
                    reading: shown,
                    heard,
                    is_current,
                    is_late: false,
                    is_part: false,
                }));
                self.decide_on(reading, at, &score, effects);
            }
        }
        tracing::info!(pump = self.pump.as_str(), until = %state.at, decided_again = decided.len(), told = on_their_way, "memory restored");
    }

    /// Has the decider stored, behind the detections that it holds.
    pub(super) fn store_checkpoint(&mut self, effects: &mut Vec<Effect>) {
        let (PumpMode::Judged(decider), Some(at)) = (&self.mode, self.checkpoints.decided_until()) else { return };
        let document = match serde_json::to_string(&decider.memory()) {
            Ok(document) => document,
            Err(error) => return tracing::error!(pump = self.pump.as_str(), %error, "memory not stored"),
        };
        effects.push(Effect::Checkpoint(PumpState { pump: self.pump.clone(), at, document }));
        self.checkpoints.stored(at);
    }

    /// Whether a reading says how the pump is now.
    fn is_current(&self, reading: &Reading) -> bool {
        self.is_played || self.times.is_current(reading)
    }

    /// A reading without a place in the window waits for its turn to be held against its limits, if it is current.
    fn wait_unplaced(&mut self, reading: Reading) {
        if self.is_current(&reading) {
            self.pending.push_ready(ReadyWindow::Unplaced { reading });
        }
    }

    fn place(&mut self, placed: Vec<Placed>, world: Surroundings<'_>, effects: &mut Vec<Effect>) {
        if !world.has_workers {
            self.pending.give_up_scores();
        }
        for Placed { reading, window } in placed {
            let why = match (window, &mut self.mode) {
                (_, PumpMode::NoModel) => NotScoredReason::NoModel,
                (_, PumpMode::Unread) => NotScoredReason::Unread,
                (Err(why @ (NoWindow::Filling { .. } | NoWindow::Missing { .. })), _) => {
                    world.feed.starved(&self.profile).map_or_else(|| why.into(), |why| NotScoredReason::Starved { why })
                }
                (Err(why), _) => why.into(),
                (Ok(window), PumpMode::Learning(collection)) => {
                    collection.take(&self.profile, &window);
                    NotScoredReason::Learning(collection.progress().into())
                }
                (Ok(window), PumpMode::Judged(_)) if self.checkpoints.holds(window.at) => continue,
                (Ok(_), PumpMode::Judged(_)) if !world.has_workers => NotScoredReason::Failed,
                (Ok(window), PumpMode::Judged(decider)) => {
                    let (seq, at, baseline) = (self.pending.next_seq(), window.at, decider.baseline().clone());
                    effects.push(Effect::Score { seq, window, baseline });
                    self.pending.push(PendingWindow::Scoring { reading, at, since: world.now });
                    continue;
                }
            };
            self.pending.push_ready(ReadyWindow::NotScored { reading, why });
        }
        self.decide(world.now, effects);
    }

    /// Decides on every window whose turn has come.
    fn decide(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(ready) = self.pending.pop_ready(now) {
            match ready {
                ReadyWindow::Scored { reading, at, score } => self.decide_on(reading, at, &score, effects),
                ReadyWindow::NotScored { reading, why } => self.go_on_without(reading, why, effects),
                ReadyWindow::Lost { reading } => {
                    effects.push(Effect::ScoreLost);
                    self.go_on_without(reading, NotScoredReason::Failed, effects);
                }
                ReadyWindow::Skipped { reading } => self.evaluate(reading, None, effects),
                ReadyWindow::Unplaced { reading } => {
                    let near = self.detection_near(reading.at);
                    self.evaluate(reading, near, effects);
                }
            }
        }
    }

    /// Decides on a window, publishes that, and has the decider stored where that is due.
    fn decide_on(&mut self, reading: Reading, at: Timestamp, score: &Score, effects: &mut Vec<Effect>) {
        let PumpMode::Judged(decider) = &mut self.mode else { return };
        let was_in_episode = decider.in_episode();
        let detection = decider.decide(&self.pump, at, score);
        let turned = decider.in_episode() != was_in_episode;
        self.checkpoints.decided(at);
        self.last_detection = Some(detection.clone());
        let (received_at, is_current) = (reading.received, self.is_current(&reading));
        effects.push(Effect::Detected { detection: detection.clone(), received_at, is_current });
        self.evaluate(reading, Some(detection), effects);
        if turned || self.checkpoints.is_due(at) {
            self.store_checkpoint(effects);
        }
    }

    fn decide_silently(&mut self, at: Timestamp, score: &Score) {
        if let PumpMode::Judged(decider) = &mut self.mode {
            decider.decide(&self.pump, at, score);
            self.checkpoints.decided(at);
        }
    }

    fn go_on_without(&self, reading: Reading, why: NotScoredReason, effects: &mut Vec<Effect>) {
        if self.is_current(&reading) {
            effects.push(Effect::NotScored(why));
        }
        self.evaluate(reading, None, effects);
    }

    /// A reading is held against its limits whatever the model says of it, or if it says nothing. What is not current raises
    /// nothing.
    fn evaluate(&self, reading: Reading, detection: Option<Detection>, effects: &mut Vec<Effect>) {
        if self.is_current(&reading) {
            effects.push(Effect::Evaluate(EvaluateLimits { reading, detection }));
        }
    }

    /// The last detection, where it is of the same steps as this time.
    fn detection_near(&self, at: Timestamp) -> Option<Detection> {
        let rules = WindowRules::for_profile(&self.profile);
        let near = |detection: &&Detection| (rules.step(detection.at) - rules.step(at)).abs() < rules.slack_steps;
        self.last_detection.as_ref().filter(near).cloned()
    }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
