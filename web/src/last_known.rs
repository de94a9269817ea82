//! A pump that was not heard since the node started: what is shown of it is its last stored reading.

use volute_actors::{EngineHandle, LastShown, LiveChannel, LivePump, Status};
use volute_data::StoreError;
use volute_plant::{Reading, in_words};

/// A pump without a current reading since the start shows the stored one that was shown last.
pub(crate) async fn with_latest(mut live: LivePump, engine: &EngineHandle) -> Result<LivePump, StoreError> {
    if live.latest.is_none()
        && let Some(last) = engine.last_shown(&live.pump).await?
    {
        live.latest = last_known(last.reading).latest;
    }
    Ok(live)
}

/// A pump that was not heard since the node started, `up_ms` ago. It is stale once it should have been heard.
pub(crate) fn silent_since_start(last: LastShown, up_ms: i64) -> LivePump {
    let LastShown { reading, stale_after_ms } = last;
    let status = if up_ms > stale_after_ms {
        Status::Stale
    } else {
        let expected = in_words(stale_after_ms - up_ms);
        let reason = format!("no reading has come since the node was started; one is expected within {expected}");
        Status::Unknown { reason }
    };
    LivePump { status, ..last_known(reading) }
}

/// A pump as its last stored reading has it.
pub(crate) fn last_known(last: Reading) -> LivePump {
    let channels = last.samples.iter().map(|&sample| LiveChannel { sample, state: "unknown" }).collect();
    LivePump {
        pump: last.pump.clone(),
        since: last.received,
        latest: Some((last, channels)),
        age_ms: None,
        status: Status::Stale,
        clock: None,
        detection: None,
        trend: Vec::new(),
        feed: None,
        readings: 0,
        late: 0,
        past: 0,
        scored: 0,
        anomalies: 0,
    }
}
