//! What is read of a pump when its actor starts.

use std::collections::BTreeSet;

use volute_data::{Answer, PumpSettings, PumpState, Range, Reach, Standing, StoreError};
use volute_plant::{Profile, PumpId, Reading, Timestamp, WindowRules};

use super::{
    checkpoint::{STORE_EVERY_MS, StoredCheckpoint},
    context::PumpContext,
};
use crate::kind::PumpKind;

/// Where a pump's actor begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum StartMode {
    /// The pump was never heard of.
    New,
    /// It was, before the node's start.
    Stored,
    /// Another actor was here before.
    Again,
}

/// What is stored of a pump when its actor starts.
pub(super) struct RecoveredState {
    /// Its newest readings, oldest first.
    pub readings: Vec<Reading>,
    /// What it goes by; none where that cannot be read just now.
    pub standing: Option<Standing>,
    /// What was set for it alone; none where that cannot be read just now.
    pub settings: Option<PumpSettings>,
    /// Up to this time it may have readings that could not be read just now.
    pub unread_until: Option<Timestamp>,
    pub checkpoint: Option<StoredCheckpoint>,
}

/// Reads what is stored of a pump. What it goes by may be missing where that cannot be read just now.
pub(super) async fn recover(
    context: &PumpContext,
    pump: &PumpId,
    kind: &PumpKind,
    start: StartMode,
) -> Result<RecoveredState, StoreError> {
    match start {
        StartMode::New if context.store.knows_all_pumps() => {
            let (standing, settings) = (Some(Standing::New), Some(PumpSettings::default()));
            return Ok(RecoveredState {
                readings: Vec::new(),
                standing,
                settings,
                unread_until: None,
                checkpoint: None,
            });
        }
        // Where the pumps that are stored are not known, a new one may be one of them.
        StartMode::New | StartMode::Stored => {}
        // What the one before sent must be stored before it can be found.
        StartMode::Again => context.recorder.settled().await,
    }
    let known = async { Ok((context.store.pump_settings(pump).await?, context.store.standing(pump).await?)) };
    let known = match known.await {
        Ok(known) => Some(known),
        Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => None,
        Err(error) => return Err(error),
    };
    read(context, pump, kind, known).await
}

/// Reads the checkpoint of a pump. It is a help only: a pump whose checkpoint cannot be read starts without.
pub(super) async fn checkpoint(context: &PumpContext, pump: &PumpId, kind: &PumpKind) -> Option<PumpState> {
    kind.detection.as_ref()?;
    match context.store.pump_state(pump).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(pump = pump.as_str(), %error, "memory not read");
            None
        }
    }
}

async fn read(
    context: &PumpContext,
    pump: &PumpId,
    kind: &PumpKind,
    known: Option<(PumpSettings, Standing)>,
) -> Result<RecoveredState, StoreError> {
    let (settings, standing) = known.unzip();
    let store = &context.store;
    let profile = settings.as_ref().map_or_else(|| kind.profile.clone(), |set| set.apply(&kind.profile));
    let recall = WindowRules::recall_readings(&profile);
    let unread_until = |reach: &Reach| match reach {
        Reach::Whole => None,
        Reach::Since { .. } => store.moved_until(pump),
    };
    let Some(state) = checkpoint(context, pump, kind).await else {
        let Answer { rows: readings, reach } = store.latest_readings(pump, recall).await?;
        let unread_until = unread_until(&reach);
        return Ok(RecoveredState { readings, standing, settings, unread_until, checkpoint: None });
    };
    let most = most_later(context, &profile);
    let later = Range { after: Some(state.at), limit: most, ..Range::default() };
    let Answer { rows: since, reach } = store.readings(pump, &later).await?;
    if since.len() >= most {
        let Answer { rows: readings, reach } = store.latest_readings(pump, recall).await?;
        let checkpoint = Some(StoredCheckpoint { state, decided: None });
        return Ok(RecoveredState { readings, standing, settings, unread_until: unread_until(&reach), checkpoint });
    }
    let unread_until = unread_until(&reach);
    let before = Range { to: Some(state.at.plus_ms(1)), ..Range::newest(recall) };
    let mut readings = store.readings(pump, &before).await?.rows;
    readings.reverse();
    readings.extend(since);
    let Answer { rows: decided, reach } = store.detections(Some(pump), &later).await?;
    let all = match reach {
        Reach::Whole => true,
        Reach::Since { from, .. } => from.is_some_and(|from| from <= state.at),
    };
    let decided = all.then(|| decided.iter().map(|detection| detection.at).collect::<BTreeSet<_>>());
    let checkpoint = Some(StoredCheckpoint { state, decided });
    Ok(RecoveredState { readings, standing, settings, unread_until, checkpoint })
}

/// More readings than this after a checkpoint mean that none of them was judged by who wrote it.
fn most_later(context: &PumpContext, profile: &Profile) -> usize {
    let between = i64::from(STORE_EVERY_MS) / profile.interval_ms() + 1;
    2 * usize::try_from(between).unwrap_or_default() + context.queued_windows_per_pump
}
