//! Turns durable readings into detections: the second of a pump's four state machines. Does no I/O: the caller passes
//! the time, and carries out the returned [`Effect`]s in order.
//!
//! An example of one window, for a pump with a baseline and one reading per second:
//!
//! 1. [`DetectionPipeline::push_reading`] receives the reading of 10:00:29. The reading is shown ([`Effect::Show`]). It completes the
//!    window from 10:00:00, which gets a number and is sent to be scored ([`Effect::Score`]).
//! 2. [`DetectionPipeline::push_score`] receives the score of that number. The decider turns it into a detection, which is published
//!    ([`Effect::Detected`]). The reading is evaluated against its limits, together with the detection
//!    ([`Effect::Evaluate`]). Once a minute the decider's state is stored ([`Effect::Checkpoint`]).
//! 3. If a window gets no score, the reading is still evaluated against its limits, and the reason is shown
//!    ([`Effect::NoDetection`]), except for a skipped window. A reading without a window is evaluated with the last
//!    detection if their times are near (`detection_near`).
//!
//! A step-based detector ([`volute_anomaly::Decider::push_step`]) has a result for the step in item 1 already, when the
//! reading is assigned to its step. If the step has no whole window, because a channel is missing, or if the score of
//! its window does not arrive, the step's result alone becomes the detection.
//!
//! Decisions are made in the order of the windows, even if the scores arrive in another order ([`super::pending`]).
//! Only current readings ([`volute_plant::TimestampLimits`]) are shown and raise alarms. Older readings get windows
//! too, which are scored and recorded with the time of the reading.
//!
//! Does not store or send anything. Does not order readings before they are durable (see [`super::admit`]), and does
//! not decide how a pump gets its baseline (see [`super::commission`]).

use std::{sync::Arc, time::Instant};

use volute_anomaly::{Baseline, Decider, DeciderState, ResidualWindow, Score, StepInput};
use volute_data::PumpCheckpoint;
use volute_plant::{
    AdmittedReading, Detection, NoWindow, OperatingState, PlannedWork, Profile, PumpId, Reading, StepRow, Timestamp,
    TimestampLimits, Window, WindowConfig, WindowedReading, Windower,
};

use super::{
    checkpoint::{Checkpoints, RecoveredCheckpoint, StoredCheckpoint, restore_decider},
    device_cadence::DeviceCadence,
    note::note,
    pending::{PendingWindow, PendingWindows, ReadyReading, StepWithResult},
};
use crate::{
    commissioning::mode::PumpMode,
    protocol::{
        live::{LiveReading, NoDetectionReason},
        pump::ScoreFailure,
        rules::EvaluateLimits,
    },
};

/// An action for the actor.
#[derive(Debug)]
pub(super) enum Effect {
    /// Show a reading.
    Show(LiveReading),
    /// Have a window scored. The score is returned with this number.
    Score { seq: u64, window: Window, residuals: Option<ResidualWindow>, baseline: Arc<Baseline> },
    /// Show that there is no detection for a current reading, and why.
    NoDetection(NoDetectionReason),
    /// Record a detection, and show it if its reading is current.
    Detected { detection: Detection, note: Option<Arc<str>>, received_at: Timestamp, is_current: bool },
    /// Evaluate a current reading against its limits.
    Evaluate(EvaluateLimits),
    /// Store the decider's state.
    Checkpoint(PumpCheckpoint),
    /// Count a score that did not arrive in time.
    ScoreLost,
}

/// The pipeline's inputs other than the reading.
#[derive(Clone, Copy)]
pub(super) struct PipelineContext<'a> {
    pub now: Instant,
    /// Whether any inference worker is running.
    pub has_workers: bool,
    /// How often the pump's readings and posts arrive.
    pub cadence: &'a DeviceCadence,
    /// Planned work on the pump. What the pump does meanwhile is not learned.
    pub work: &'a [PlannedWork],
}

/// Builds windows of the durable readings of one pump, has them scored, and makes detections of the scores.
pub(super) struct DetectionPipeline {
    pump: PumpId,
    profile: Profile,
    timestamp_limits: TimestampLimits,
    /// Whether the readings are played from a recording. Then all of them count as current, although their timestamps
    /// are in the past.
    is_played: bool,
    windower: Windower,
    mode: PumpMode,
    pending: PendingWindows,
    checkpoints: Checkpoints,
    /// The last detection. Late readings, which have no window of their own, are evaluated with it.
    last_detection: Option<Detection>,
    /// The number of the first window since the actor started.
    first_seq: u64,
}

impl DetectionPipeline {
    /// Starts without any stored state. Windows are numbered from `first_seq`.
    pub(super) fn new(pump: PumpId, profile: Profile, timestamp_limits: TimestampLimits, first_seq: u64) -> Self {
        Self {
            windower: Windower::new(&profile),
            checkpoints: Checkpoints::new(&pump, None),
            pump,
            profile,
            timestamp_limits,
            is_played: false,
            mode: PumpMode::BaselineNotLoaded,
            pending: PendingWindows::new(first_seq),
            last_detection: None,
            first_seq,
        }
    }

    /// Rebuilds the windows from stored readings that were not late, oldest first, and keeps the stored checkpoint.
    pub(super) fn replay(&mut self, readings: Vec<Reading>, stored: Option<StoredCheckpoint>) {
        self.checkpoints = Checkpoints::new(&self.pump, stored);
        for reading in readings {
            let windowed = self.windower.push(reading);
            self.checkpoints.replay(windowed);
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

    /// Returns the pump's operating state in the newest step.
    pub(super) fn operating_state(&self) -> OperatingState {
        self.windower.operating_state()
    }

    /// Returns how many readings wait for a decision.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns how many times in a row the pump was switched off before it had run for `settle_s` (the profile's
    /// starting time), and the longest of these runs in steps.
    pub(super) fn short_runs(&self) -> (u32, i64) {
        self.windower.short_runs()
    }

    /// Treats the pump's readings as played from a recording from now on.
    pub(super) fn set_played(&mut self) {
        self.is_played = true;
    }

    pub(super) fn is_played(&self) -> bool {
        self.is_played
    }

    /// Returns how long the windower waits for a missing reading. None if it waits for none.
    pub(super) fn missing_timeout_ms(&self) -> Option<i64> {
        let config = WindowConfig::for_profile(&self.profile);
        self.windower.is_waiting().then_some(config.slack_steps * config.interval_ms)
    }

    /// Takes a durable reading. If it is a later part of a reading ([`AdmittedReading::whole`]), the merged reading is
    /// shown.
    pub(super) fn push_reading(
        &mut self,
        admitted: AdmittedReading,
        context: PipelineContext<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let AdmittedReading { reading, whole } = admitted;
        let (received_at, is_late, is_part) = (reading.received, reading.late, whole.is_some());
        let is_current = self.is_current(&reading);
        let shown = whole.unwrap_or_else(|| reading.clone());
        effects.push(Effect::Show(LiveReading { reading: shown, received_at, is_current, is_late, is_part }));
        if is_late {
            self.queue_not_windowed(reading);
            self.decide(context.now, effects);
            return;
        }
        if self.windower.is_too_late(reading.at) {
            // The timestamps went back far, so windows start anew with this reading.
            let windowed = self.windower.restart();
            self.queue_windowed(windowed, context, effects);
            self.checkpoints.reset_decided();
        }
        // Of two readings in one step only one gets a window. The other is evaluated against its limits only.
        if self.windower.step_has_begun(reading.at) {
            self.queue_not_windowed(reading.clone());
        }
        let windowed = self.windower.push(reading);
        self.queue_windowed(windowed, context, effects);
    }

    /// Stops waiting for missing readings.
    pub(super) fn flush(&mut self, context: PipelineContext<'_>, effects: &mut Vec<Effect>) {
        let windowed = self.windower.flush();
        self.queue_windowed(windowed, context, effects);
    }

    /// Takes a window's score.
    pub(super) fn push_score(
        &mut self,
        seq: u64,
        score: Result<Score, ScoreFailure>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.pending.set_score(seq, score);
        self.decide(now, effects);
    }

    /// Changes the mode. Windows in flight are scored with the previous baseline, so they are skipped, and their
    /// readings are only evaluated against their limits.
    pub(super) fn set_mode(&mut self, mode: PumpMode, now: Instant, effects: &mut Vec<Effect>) {
        self.mode = mode;
        self.checkpoints.force_next();
        self.pending.skip_all();
        self.decide(now, effects);
    }

    /// Sets the mode in which the actor starts.
    pub(super) fn set_initial_mode(&mut self, mode: PumpMode) {
        self.mode = mode;
    }

    /// Builds windows by this profile from now on, starting with these stored readings.
    pub(super) fn change_profile(&mut self, profile: Profile, readings: Vec<Reading>) {
        self.windower = Windower::new(&profile);
        self.profile = profile;
        for reading in readings.into_iter().filter(|reading| !reading.late) {
            self.windower.push(reading);
        }
    }

    /// Sets the stored checkpoint if it could not be read at the start.
    pub(super) fn set_checkpoint(&mut self, state: Option<PumpCheckpoint>) {
        self.checkpoints.set_recovered(state);
    }

    /// Discards the stored checkpoint, for a pump whose windows are not scored.
    pub(super) fn discard_checkpoint(&mut self) {
        self.checkpoints.take_recovered();
    }

    /// Continues from the stored checkpoint if it belongs to the baseline in use. `score` scores a window since the
    /// checkpoint; steps with neither a score nor a result of their own are skipped. `max_in_flight`: how many windows can have
    /// waited for their scores when the node ended.
    pub(super) fn restore(
        &mut self,
        mut score: impl FnMut(&Baseline, &Window, Option<&ResidualWindow>) -> Option<Score>,
        max_in_flight: usize,
        effects: &mut Vec<Effect>,
    ) {
        // `decided` holds the times of the windows since the checkpoint whose detections are stored already.
        let Some(RecoveredCheckpoint { stored: StoredCheckpoint { state, decided }, steps }) =
            self.checkpoints.take_recovered()
        else {
            return;
        };
        let PumpMode::Detecting { decider, .. } = &mut self.mode else { return };
        match restore_decider(decider.baseline(), &state) {
            Ok(restored) => **decider = restored,
            Err(error) => return tracing::warn!(pump = self.pump.as_str(), %error, "checkpoint not used"),
        }
        self.checkpoints.mark_decided(state.at);
        self.checkpoints.mark_stored(state.at);
        let decided = decided.unwrap_or_default();
        let newest = decided.last().copied().unwrap_or(state.at);
        let is_step_based = decider.is_step_based();
        let is_decidable = |step: &&WindowedReading| {
            step.window.is_ok() || is_step_based && StepInput::of(step.reading.at, &step.step).is_settled
        };
        let in_flight = steps.iter().filter(|step| step.reading.at > newest).filter(is_decidable).count();
        // Windows after the newest stored detection were usually in flight when the node ended, so they are published.
        // If there are more than can have been in flight, the pump had no decider when they arrived. If this actor has
        // numbered windows already, it has decided on these itself. In both cases they are not published.
        let publish =
            in_flight <= max_in_flight && self.pending.is_empty() && self.pending.next_seq() == self.first_seq;
        for WindowedReading { reading, step: row, window, .. } in steps {
            let PumpMode::Detecting { decider, .. } = &mut self.mode else { return };
            let at = reading.at;
            let mut step = push_step(decider, &self.profile, &self.checkpoints, at, &row);
            let residuals = step.as_mut().and_then(|step| step.result.take_residuals());
            let score = window.ok().and_then(|window| score(decider.baseline(), &window, residuals.as_ref()));
            if decided.contains(&at) {
                self.decide_silently(at, step.as_deref(), score.as_ref());
            } else if at > newest && publish && (step.is_some() || score.is_some()) {
                let (received_at, is_current) = (reading.received, self.is_current(&reading));
                let shown = reading.clone();
                effects.push(Effect::Show(LiveReading {
                    reading: shown,
                    received_at,
                    is_current,
                    is_late: false,
                    is_part: false,
                }));
                self.decide_on(reading, at, step.as_deref(), score.as_ref(), effects);
            }
        }
        tracing::info!(pump = self.pump.as_str(), until = %state.at, decided_again = decided.len(), in_flight, "checkpoint restored");
    }

    /// Stores the decider's state when the node stops, after the detections that it includes. A step-based decider
    /// steps may be ahead of its detections. Then nothing is stored, and the last stored state stays.
    pub(super) fn store_last_checkpoint(&mut self, effects: &mut Vec<Effect>) {
        let PumpMode::Detecting { decider, .. } = &self.mode else { return };
        if !decider.is_step_based() || self.pending.is_empty() {
            self.store_checkpoint(None, effects);
        }
    }

    /// Stores the decider's state, after the detections that it includes. For a step-based decider steps, `step_state`
    /// is its state after the step that was decided on last.
    fn store_checkpoint(&mut self, step_state: Option<DeciderState>, effects: &mut Vec<Effect>) {
        let (PumpMode::Detecting { decider, .. }, Some(at)) = (&self.mode, self.checkpoints.decided_until()) else {
            return;
        };
        let document = match serde_json::to_string(&decider.checkpoint(step_state)) {
            Ok(document) => document,
            Err(error) => return tracing::error!(pump = self.pump.as_str(), %error, "checkpoint not stored"),
        };
        effects.push(Effect::Checkpoint(PumpCheckpoint { pump: self.pump.clone(), at, document }));
        self.checkpoints.mark_stored(at);
    }

    /// Returns whether a reading is recent enough to represent the pump's present state.
    fn is_current(&self, reading: &Reading) -> bool {
        self.is_played || self.timestamp_limits.is_current(reading)
    }

    /// Queues a current reading that is not part of a window, so that its limits are evaluated in the order of arrival.
    fn queue_not_windowed(&mut self, reading: Reading) {
        if self.is_current(&reading) {
            self.pending.push_ready(ReadyReading::NotWindowed { reading });
        }
    }

    fn queue_windowed(
        &mut self,
        windowed: Vec<WindowedReading>,
        context: PipelineContext<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if !context.has_workers {
            self.pending.fail_unscored();
        }
        for WindowedReading { reading, displaced, step, window } in windowed {
            // Earlier readings of the same step, which have no window of their own.
            displaced.into_iter().for_each(|displaced| self.queue_not_windowed(displaced));
            let is_at_work = context.work.iter().any(|work| work.covers(reading.at));
            let reason = match (window, &mut self.mode) {
                (_, PumpMode::NoModel) => NoDetectionReason::NoModel,
                (_, PumpMode::BaselineNotLoaded) => NoDetectionReason::BaselineUnavailable,
                (Ok(_), PumpMode::Detecting { .. }) if self.checkpoints.is_decided(reading.at) => continue,
                (window, PumpMode::Detecting { decider, refinement }) => {
                    let at = reading.at;
                    if let Some(refinement) = refinement.as_mut().filter(|_| !decider.in_episode() && !is_at_work) {
                        refinement.take(&self.profile, at, &step, window.as_ref().ok());
                    }
                    let mut step = push_step(decider, &self.profile, &self.checkpoints, at, &step);
                    match window {
                        Ok(window) if context.has_workers && (step.is_some() || !decider.is_step_based()) => {
                            let (seq, baseline) = (self.pending.next_seq(), decider.baseline().clone());
                            let residuals = step.as_mut().and_then(|step| step.result.take_residuals());
                            effects.push(Effect::Score { seq, window, residuals, baseline });
                            self.pending.push(PendingWindow::Scoring { reading, at, step, sent_at: context.now });
                            continue;
                        }
                        _ if step.is_some() => {
                            self.pending.push_ready(ReadyReading::Decidable { reading, at, step, score: None });
                            continue;
                        }
                        Ok(_) if !context.has_workers => NoDetectionReason::ScoringFailed,
                        // The detector is step-based, and has not taken enough steps yet.
                        Ok(_) => NoWindow::Filling { have: 1, need: WindowConfig::LEN }.into(),
                        Err(reason) => self.no_window_reason(reason, context),
                    }
                }
                (window, PumpMode::Learning(collection)) => {
                    let is_counted =
                        !is_at_work && collection.take(&self.profile, reading.at, &step, window.as_ref().ok());
                    match window {
                        Err(reason) if !is_counted => self.no_window_reason(reason, context),
                        _ => NoDetectionReason::Learning(collection.progress().into()),
                    }
                }
            };
            self.pending.push_ready(ReadyReading::NoDetection { reading, reason });
        }
        self.decide(context.now, effects);
    }

    fn no_window_reason(&self, reason: NoWindow, context: PipelineContext<'_>) -> NoDetectionReason {
        let too_sparse = match reason {
            NoWindow::Filling { .. } | NoWindow::Missing { .. } => context.cadence.too_sparse_reason(&self.profile),
            NoWindow::NotRunning { .. } => None,
        };
        too_sparse.map_or_else(|| reason.into(), |reason| NoDetectionReason::TooSparse { reason })
    }

    /// Decides on all windows that are ready.
    fn decide(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(ready) = self.pending.pop_ready(now) {
            match ready {
                ReadyReading::Decidable { reading, at, step, score } => {
                    self.decide_on(reading, at, step.as_deref(), score.as_ref(), effects);
                }
                ReadyReading::NoDetection { reading, reason } => {
                    self.continue_without_detection(reading, reason, effects)
                }
                ReadyReading::Lost { reading, at, step: Some(step) } => {
                    effects.push(Effect::ScoreLost);
                    self.decide_on(reading, at, Some(&step), None, effects);
                }
                ReadyReading::Lost { reading, step: None, .. } => {
                    effects.push(Effect::ScoreLost);
                    self.continue_without_detection(reading, NoDetectionReason::ScoringFailed, effects);
                }
                ReadyReading::Skipped { reading } => self.evaluate(reading, None, effects),
                ReadyReading::NotWindowed { reading } => {
                    let detection = self.detection_near(reading.at);
                    self.evaluate(reading, detection, effects);
                }
            }
        }
    }

    /// Decides on a step, publishes the detection, and stores the decider's state if that is due.
    fn decide_on(
        &mut self,
        reading: Reading,
        at: Timestamp,
        step: Option<&StepWithResult>,
        score: Option<&Score>,
        effects: &mut Vec<Effect>,
    ) {
        let PumpMode::Detecting { decider, .. } = &mut self.mode else { return };
        let was_in_episode = decider.in_episode();
        let result = step.map(|step| &step.result);
        let Some(detection) = decider.decide(&self.pump, at, result, score) else {
            return self.continue_without_detection(reading, NoDetectionReason::ScoringFailed, effects);
        };
        let episode_changed = match step {
            Some(step) => step.episode_changed,
            None => decider.in_episode() != was_in_episode,
        };
        self.checkpoints.mark_decided(at);
        self.last_detection = Some(detection.clone());
        let (received_at, is_current) = (reading.received, self.is_current(&reading));
        let note = step.and_then(|step| step.note.clone());
        effects.push(Effect::Detected { detection: detection.clone(), note, received_at, is_current });
        self.evaluate(reading, Some(detection), effects);
        let can_be_stored = step.is_none_or(|step| step.state.is_some());
        if can_be_stored && (episode_changed || self.checkpoints.is_due(at)) {
            self.store_checkpoint(step.and_then(|step| step.state.clone()), effects);
        }
    }

    fn decide_silently(&mut self, at: Timestamp, step: Option<&StepWithResult>, score: Option<&Score>) {
        if let PumpMode::Detecting { decider, .. } = &mut self.mode
            && decider.decide(&self.pump, at, step.map(|step| &step.result), score).is_some()
        {
            self.checkpoints.mark_decided(at);
        }
    }

    fn continue_without_detection(&self, reading: Reading, reason: NoDetectionReason, effects: &mut Vec<Effect>) {
        if self.is_current(&reading) {
            effects.push(Effect::NoDetection(reason));
        }
        self.evaluate(reading, None, effects);
    }

    /// Evaluates a reading against its limits, with or without a detection. Readings that are not current raise no
    /// alarm.
    fn evaluate(&self, reading: Reading, detection: Option<Detection>, effects: &mut Vec<Effect>) {
        if self.is_current(&reading) {
            effects.push(Effect::Evaluate(EvaluateLimits { reading, detection }));
        }
    }

    /// Returns the last detection if it is less than `slack_steps` steps (how long the windower waits for a missing
    /// reading) away from this time.
    fn detection_near(&self, at: Timestamp) -> Option<Detection> {
        let config = WindowConfig::for_profile(&self.profile);
        let is_near = |detection: &&Detection| config.is_near(detection.at, at);
        self.last_detection.as_ref().filter(is_near).cloned()
    }
}

/// Passes a step to the decider. Returns its result, if the detector is step-based and the pump runs.
fn push_step(
    decider: &mut Decider,
    profile: &Profile,
    checkpoints: &Checkpoints,
    at: Timestamp,
    row: &StepRow,
) -> Option<Box<StepWithResult>> {
    let was_in_episode = decider.in_episode();
    let result = decider.push_step(&StepInput::of(at, row))?;
    let episode_changed = result.in_episode() != was_in_episode;
    let state = if episode_changed || checkpoints.is_due(at) { decider.step_state() } else { None };
    let conditional = decider.baseline().conditional.as_ref();
    let note = conditional.and_then(|conditional| note(profile, conditional, row, &result));
    Some(Box::new(StepWithResult { result, note, episode_changed, state }))
}

#[cfg(test)]
#[path = "detection_pipeline/tests.rs"]
mod tests;
