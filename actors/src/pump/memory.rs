//! A pump's memory: its decider's, at rest once a minute, where an episode begins or ends, and when the node stops.
//!
//! What is at rest holds up to one window. At the start the windows after it are made once more, of stored readings,
//! and decided: silently where their detections are stored. Those beyond the newest detection were on their way when
//! the node ended; they are told now. A memory goes to the recorder after its window's detection and never overtakes it,
//! so that no window falls between the two. Deliberately absent: what there is to remember
//! ([`volute_anomaly::DeciderMemory`]).

use std::{collections::BTreeSet, sync::Arc};

use actix::Context;
use volute_anomaly::{Baseline, Decider, DeciderMemory, MemoryError, Score, Scorer, Task};
use volute_data::{Answer, PumpSettings, PumpState, Range, Reach, Standing, StoreError};
use volute_plant::{Placed, Profile, PumpId, Reading, Timestamp, Window, WindowRules};

use super::{PumpActor, PumpStaff};
use crate::{commissioning::footing::Course, counters::add, live::LiveReading, recorder::RecordRow};

/// The longest that a judged pump's memory waits to be stored, in the time of its windows.
const KEEP_EVERY_MS: u16 = 60_000;

/// What is at rest of a pump when its actor starts.
pub(crate) struct AtRest {
    /// Its newest readings, oldest first.
    pub(super) readings: Vec<Reading>,
    /// What it goes by; none where that cannot be read just now.
    pub(super) standing: Option<Standing>,
    /// What was set for it alone; none where that cannot be read just now.
    pub(super) settings: Option<PumpSettings>,
    /// Up to this time it may have readings that could not be read just now.
    pub(super) unread_until: Option<Timestamp>,
    remembered: Option<Remembered>,
}

/// A memory at rest.
struct Remembered {
    state: PumpState,
    /// Later windows whose detections are stored; none where they cannot be read, or it is so old that too much has come
    /// since: then it is taken as it is.
    decided: Option<BTreeSet<Timestamp>>,
}

/// A memory at rest cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the stored memory cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Unfit(#[from] MemoryError),
}

/// What a pump's actor knows of its memory.
pub(super) struct Memory {
    /// What was found at rest, and the windows that it does not hold, until it is used.
    found: Option<(Remembered, Vec<(Reading, Window)>)>,
    /// Windows up to this time are decided.
    decided: Option<Timestamp>,
    /// The stretch of [`KEEP_EVERY_MS`] in which it was last stored.
    kept_in: Option<i64>,
    /// Where stretches begin: pumps store theirs spread over one.
    offset_ms: i64,
}

impl AtRest {
    /// Of a pump that was never heard of: nothing.
    pub(crate) fn nothing() -> Self {
        let (standing, settings) = (Some(Standing::New), Some(PumpSettings::default()));
        Self { readings: Vec::new(), standing, settings, unread_until: None, remembered: None }
    }

    /// Of a registered pump, with what it goes by.
    pub(crate) async fn read(
        staff: &PumpStaff,
        pump: &PumpId,
        known: Option<(PumpSettings, Standing)>,
    ) -> Result<Self, StoreError> {
        let (settings, standing) = known.unzip();
        let profile = settings.as_ref().map_or_else(|| staff.profile.clone(), |set| set.apply(&staff.profile));
        let recall = WindowRules::recall_readings(&profile);
        let unread_until = |reach: &Reach| match reach {
            Reach::Whole => None,
            Reach::Since { .. } => staff.store.moved_until(pump),
        };
        let Some(state) = state(staff, pump).await else {
            let Answer { rows: readings, reach } = staff.store.latest_readings(pump, recall).await?;
            return Ok(Self { readings, standing, settings, unread_until: unread_until(&reach), remembered: None });
        };
        let most = most_later(staff, &profile);
        let later = Range { after: Some(state.at), limit: most, ..Range::default() };
        let Answer { rows: since, reach } = staff.store.readings(pump, &later).await?;
        if since.len() >= most {
            let Answer { rows: readings, reach } = staff.store.latest_readings(pump, recall).await?;
            let (unread_until, remembered) = (unread_until(&reach), Some(Remembered { state, decided: None }));
            return Ok(Self { readings, standing, settings, unread_until, remembered });
        }
        let unread_until = unread_until(&reach);
        let before = Range { to: Some(state.at.plus_ms(1)), ..Range::newest(recall) };
        let mut readings = staff.store.readings(pump, &before).await?.rows;
        readings.reverse();
        readings.extend(since);
        let Answer { rows: decided, reach } = staff.store.detections(Some(pump), &later).await?;
        let all = match reach {
            Reach::Whole => true,
            Reach::Since { from, .. } => from.is_some_and(|from| from <= state.at),
        };
        let decided = all.then(|| decided.iter().map(|detection| detection.at).collect());
        Ok(Self { readings, standing, settings, unread_until, remembered: Some(Remembered { state, decided }) })
    }
}

/// More readings than this after a memory mean that none of them was judged by who wrote it.
fn most_later(staff: &PumpStaff, profile: &Profile) -> usize {
    let between = i64::from(KEEP_EVERY_MS) / profile.interval_ms() + 1;
    2 * usize::try_from(between).unwrap_or_default() + staff.queued_windows_per_pump
}

/// A help only: a pump whose memory cannot be read starts without.
pub(super) async fn state(staff: &PumpStaff, pump: &PumpId) -> Option<PumpState> {
    staff.judging.as_ref()?;
    match staff.store.pump_state(pump).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(pump = pump.as_str(), %error, "memory not read");
            None
        }
    }
}

impl Memory {
    /// Of an actor that starts; answers with the readings at rest and the standing too.
    pub(super) fn new(pump: &PumpId, at_rest: AtRest) -> (Self, Vec<Reading>, Option<Standing>) {
        let AtRest { readings, standing, settings: _, unread_until: _, remembered } = at_rest;
        let found = remembered.map(|remembered| (remembered, Vec::new()));
        let offset_ms = i64::from(pump.lot(KEEP_EVERY_MS));
        (Self { found, decided: None, kept_in: None, offset_ms }, readings, standing)
    }

    /// Takes note of windows that stored readings make.
    pub(super) fn recall(&mut self, placed: Vec<Placed>) {
        let Some((Remembered { state, decided: Some(_) }, windows)) = &mut self.found else { return };
        let later = placed.into_iter().filter_map(|Placed { reading, window }| Some((reading, window.ok()?)));
        windows.extend(later.filter(|(_, window)| window.at > state.at));
    }

    /// Whether a window is decided already: the one before an end may have given up waiting for a reading before it.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.decided.is_some_and(|decided| at <= decided)
    }

    /// The pump's times go back: windows of times that were decided already are other ones now.
    pub(super) fn begin_at_any_time(&mut self) {
        self.decided = None;
    }

    /// What is at rest, where it could not be read at the start: it is taken as it is.
    pub(super) fn find(&mut self, state: Option<PumpState>) {
        if self.found.is_none() {
            self.found = state.map(|state| (Remembered { state, decided: None }, Vec::new()));
        }
    }

    /// What was found at rest is for nobody: the pump is not judged.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// There is a new decider: it is stored with its first window.
    pub(super) fn begin_anew(&mut self) {
        self.kept_in = None;
    }

    fn stretch(&self, at: Timestamp) -> i64 {
        (at.millis() + self.offset_ms).div_euclid(i64::from(KEEP_EVERY_MS))
    }
}

impl PumpActor {
    /// Goes on from what was found at rest, if it is of the baseline in use.
    pub(super) fn remember(&mut self, ctx: &mut Context<Self>) {
        let Some((Remembered { state, decided }, windows)) = self.memory.found.take() else { return };
        let Course::Judged(decider) = &mut self.course else { return };
        match wake(decider.baseline(), &state) {
            Ok(woken) => *decider = woken,
            Err(error) => return tracing::warn!(pump = self.pump.as_str(), %error, "memory not used"),
        }
        self.memory.decided = Some(state.at);
        self.memory.kept_in = Some(self.memory.stretch(state.at));
        let (decided, scored) = (decided.unwrap_or_default(), self.score(windows));
        let newest = decided.last().copied().unwrap_or(state.at);
        let on_their_way = scored.iter().filter(|(reading, _)| reading.at > newest).count();
        // Too many for that: they came while nothing was judged. Windows that came since are decided already.
        let tell = on_their_way <= self.staff.queued_windows_per_pump
            && self.first_seq == self.begun_with
            && self.windows.is_empty();
        for (reading, score) in scored {
            let at = reading.at;
            if decided.contains(&at) {
                self.decide_silently(at, &score);
            } else if at > newest && tell {
                let (heard, is_current) = (reading.received, self.is_current(&reading));
                let reading_shown = reading.clone();
                self.show(LiveReading { reading: reading_shown, heard, is_current, is_late: false, is_part: false });
                self.verdict(reading, at, &score, ctx);
            }
        }
        tracing::info!(pump = self.pump.as_str(), until = %state.at, decided_again = decided.len(), told = on_their_way, "memory restored");
    }

    /// Scores windows of before the start; one that fails is skipped, as it was then.
    fn score(&self, windows: Vec<(Reading, Window)>) -> Vec<(Reading, Score)> {
        let Some(judging) = self.staff.judging.as_ref().filter(|_| !windows.is_empty()) else { return Vec::new() };
        let Course::Judged(decider) = &self.course else { return Vec::new() };
        let mut scorer = Scorer::new(&judging.model);
        let mut score = |window: &Window| {
            let task = Task { window, scaler: &decider.baseline().scaler };
            match scorer.score(&[task]) {
                Ok(scores) => scores.iter().next(),
                Err(error) => {
                    tracing::error!(%error, "scoring failed");
                    add(&self.staff.counters.score_failures, 1);
                    None
                }
            }
        };
        windows.into_iter().filter_map(|(reading, window)| Some((reading, score(&window)?))).collect()
    }

    fn decide_silently(&mut self, at: Timestamp, score: &Score) {
        if let Course::Judged(decider) = &mut self.course {
            decider.decide(&self.pump, at, score);
            self.memory.decided = Some(at);
        }
    }

    /// Decides on a window whose turn has come, tells it, and has the memory stored where that is due.
    pub(super) fn verdict(&mut self, reading: Reading, at: Timestamp, score: &Score, ctx: &mut Context<Self>) {
        let Course::Judged(decider) = &mut self.course else { return };
        let was_in_episode = decider.in_episode();
        let detection = decider.decide(&self.pump, at, score);
        let turned = decider.in_episode() != was_in_episode;
        self.memory.decided = Some(at);
        self.tell(reading, detection, ctx);
        if turned || self.memory.kept_in != Some(self.memory.stretch(at)) {
            self.keep_memory(ctx);
        }
    }

    /// Has the memory stored, behind the detections that it holds.
    pub(super) fn keep_memory(&mut self, ctx: &mut Context<Self>) {
        let (Course::Judged(decider), Some(at)) = (&self.course, self.memory.decided) else { return };
        let document = match serde_json::to_string(&decider.memory()) {
            Ok(document) => document,
            Err(error) => return tracing::error!(pump = self.pump.as_str(), %error, "memory not stored"),
        };
        let state = PumpState { pump: self.pump.clone(), at, document };
        self.outbox.send_or_suspend(&self.staff.recorder.results, RecordRow::State(state), ctx);
        self.memory.kept_in = Some(self.memory.stretch(at));
    }

    /// A reading that the feed has not seen.
    pub(super) fn show(&self, reading: LiveReading) {
        if self.staff.live.try_send(reading).is_err() {
            add(&self.staff.counters.live_dropped, 1);
        }
    }
}

fn wake(baseline: &Arc<Baseline>, state: &PumpState) -> Result<Decider, Unusable> {
    let memory: DeciderMemory = serde_json::from_str(&state.document)?;
    Ok(Decider::with_memory(baseline.clone(), memory)?)
}
