//! Reads a pump's stored state when its actor starts: settings, baseline status, newest readings and checkpoint.

use std::collections::BTreeSet;

use volute_alarm::CURRENT_WITHIN_MS;
use volute_data::{BaselineStatus, Completeness, PageRange, PumpCheckpoint, PumpSettings, QueryResult, StoreError};
use volute_plant::{Profile, PumpId, Reading, Timestamp, WindowConfig};

use super::{
    alarms::RecoveredAlarms,
    checkpoint::{CHECKPOINT_INTERVAL_MS, StoredCheckpoint},
    context::PumpContext,
};
use crate::kind::PumpKind;

/// The maximum number of readings that are evaluated against alarms again after a restart. A checkpoint is at most a minute
/// old, unless the pump was silent.
const MAX_EVALUATED_AGAIN: usize = 20_000;
/// How many of the newest readings are evaluated if there is no checkpoint yet.
const MAX_EVALUATED_FIRST: usize = 1_000;

/// Why a pump's actor starts. Decides which stored state is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum StartMode {
    /// The pump is new.
    New,
    /// The pump was registered before the node started.
    Stored,
    /// The pump's actor was restarted while the node was running.
    Restarted,
}

/// The stored state of a pump when its actor starts.
pub(super) struct RecoveredState {
    /// The newest readings, oldest first.
    pub readings: Vec<Reading>,
    /// The status of its baseline. None if it cannot be read.
    pub baseline_status: Option<BaselineStatus>,
    /// The settings of this pump. None if they cannot be read.
    pub settings: Option<PumpSettings>,
    /// Up to this time there may be stored readings that could not be read.
    pub unread_until: Option<Timestamp>,
    pub checkpoint: Option<StoredCheckpoint>,
    /// Its stored alarms. None if they cannot be read.
    pub alarms: Option<RecoveredAlarms>,
}

/// Reads the stored state of a pump. Settings and baseline status are none if the database cannot be reached; any other
/// error of the store is returned.
pub(super) async fn recover(
    context: &PumpContext,
    pump: &PumpId,
    kind: &PumpKind,
    start: StartMode,
) -> Result<RecoveredState, StoreError> {
    match start {
        StartMode::New if context.store.has_complete_pump_list() => {
            let (baseline_status, settings) = (Some(BaselineStatus::New), Some(PumpSettings::default()));
            return Ok(RecoveredState {
                readings: Vec::new(),
                baseline_status,
                settings,
                unread_until: None,
                checkpoint: None,
                alarms: Some(RecoveredAlarms::default()),
            });
        }
        // While the stored pumps are not known, a pump that seems new may be one of them.
        StartMode::New | StartMode::Stored => {}
        // Rows that the previous incarnation sent to the recorder must be stored before they can be read.
        StartMode::Restarted => context.recorder.wait_until_stored().await,
    }
    let read_settings =
        async { Ok((context.store.pump_settings(pump).await?, context.store.baseline_status(pump).await?)) };
    let known = match read_settings.await {
        Ok(known) => Some(known),
        Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => None,
        Err(error) => return Err(error),
    };
    let alarms = alarms(context, pump).await?;
    Ok(RecoveredState { alarms, ..read(context, pump, kind, known).await? })
}

/// Reads the stored alarms of a pump, and the readings since their checkpoint. None if the database cannot be
/// reached; any other error of the store is returned.
pub(super) async fn alarms(context: &PumpContext, pump: &PumpId) -> Result<Option<RecoveredAlarms>, StoreError> {
    let stored = match context.store.stored_alarms(pump).await {
        Ok(stored) => stored,
        Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let since = stored.checkpoint.as_ref().map(|checkpoint| checkpoint.at);
    // A current reading is at most a minute older than its receipt.
    let after = since.map(|since| since.plus_ms(-CURRENT_WITHIN_MS - 1));
    let range = match after {
        Some(_) => PageRange { after, limit: MAX_EVALUATED_AGAIN, ..PageRange::default() },
        None => PageRange::newest(MAX_EVALUATED_FIRST),
    };
    let mut readings = context.store.readings(pump, &range).await?.rows;
    readings.retain(|reading| since.is_none_or(|since| reading.received >= since));
    // Older readings are recorded as past excursions, which are complete and stored before their minutes leave the head.
    // Those of the checkpoint's own time are in it: it follows a whole post.
    if let (Some(after), Some(since)) = (after, since) {
        let head = context.store.unflushed_readings_until(pump, after)?;
        readings.extend(head.into_iter().filter(|reading| reading.received > since).take(MAX_EVALUATED_AGAIN));
    }
    readings.sort_by_key(|reading| (reading.received, reading.at));
    Ok(Some(RecoveredAlarms { stored, readings }))
}

/// Reads the checkpoint of a pump. If it cannot be read the pump starts without one.
pub(super) async fn checkpoint(context: &PumpContext, pump: &PumpId, kind: &PumpKind) -> Option<PumpCheckpoint> {
    kind.detection.as_ref()?;
    match context.store.pump_checkpoint(pump).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(pump = pump.as_str(), %error, "checkpoint not read");
            None
        }
    }
}

async fn read(
    context: &PumpContext,
    pump: &PumpId,
    kind: &PumpKind,
    known: Option<(PumpSettings, BaselineStatus)>,
) -> Result<RecoveredState, StoreError> {
    let (settings, baseline_status) = known.unzip();
    let store = &context.store;
    let profile = settings.as_ref().map_or_else(|| kind.profile.clone(), |settings| settings.apply(&kind.profile));
    let window_readings = WindowConfig::restore_readings(&profile);
    let unread_until = |completeness: &Completeness| match completeness {
        Completeness::Complete => None,
        Completeness::Partial { .. } => store.flushed_until(pump),
    };
    let Some(state) = checkpoint(context, pump, kind).await else {
        let QueryResult { rows: readings, completeness } = store.latest_readings(pump, window_readings).await?;
        let unread_until = unread_until(&completeness);
        return Ok(RecoveredState {
            readings,
            baseline_status,
            settings,
            unread_until,
            checkpoint: None,
            alarms: None,
        });
    };
    let max_readings = max_readings_since_checkpoint(context, &profile);
    let later = PageRange { after: Some(state.at), limit: max_readings, ..PageRange::default() };
    let QueryResult { rows: later_readings, completeness } = store.readings(pump, &later).await?;
    if later_readings.len() >= max_readings {
        let QueryResult { rows: readings, completeness } = store.latest_readings(pump, window_readings).await?;
        let checkpoint = Some(StoredCheckpoint { state, decided: None });
        return Ok(RecoveredState {
            readings,
            baseline_status,
            settings,
            unread_until: unread_until(&completeness),
            checkpoint,
            alarms: None,
        });
    }
    let unread_until = unread_until(&completeness);
    let before = PageRange { to: Some(state.at.plus_ms(1)), ..PageRange::newest(window_readings) };
    let mut readings = store.readings(pump, &before).await?.rows;
    readings.reverse();
    readings.extend(later_readings);
    let QueryResult { rows: decided, completeness } = store.detections(Some(pump), &later).await?;
    let is_complete = match completeness {
        Completeness::Complete => true,
        Completeness::Partial { from, .. } => from.is_some_and(|from| from <= state.at),
    };
    let decided = is_complete.then(|| decided.iter().map(|detection| detection.at).collect::<BTreeSet<_>>());
    let checkpoint = Some(StoredCheckpoint { state, decided });
    Ok(RecoveredState { readings, baseline_status, settings, unread_until, checkpoint, alarms: None })
}

/// Returns how many readings may follow a checkpoint. With more, no decider was running when they arrived, because it
/// would have stored a newer checkpoint; so the windows since the checkpoint are not repeated.
fn max_readings_since_checkpoint(context: &PumpContext, profile: &Profile) -> usize {
    let windows_between = i64::from(CHECKPOINT_INTERVAL_MS) / profile.interval_ms() + 1;
    2 * usize::try_from(windows_between).unwrap_or_default() + context.queued_windows_per_pump
}
