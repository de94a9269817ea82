//! The state of pumps of which no current reading has arrived since the node started, from their last stored reading.

use volute_actors::{EngineHandle, LastShown, LiveChannel, LivePump, Status};
use volute_data::StoreError;
use volute_plant::{Reading, format_duration};

/// Adds the last reading that was shown before the node started, if no current reading has arrived since then.
pub(crate) async fn with_latest_reading(mut live: LivePump, engine: &EngineHandle) -> Result<LivePump, StoreError> {
    if live.latest.is_none()
        && let Some(last) = engine.last_shown(&live.pump).await?
    {
        live.latest = last_known(last.reading).latest;
    }
    Ok(live)
}

/// Returns a pump without a reading since the node started `uptime_ms` ago. It is stale once a reading is overdue.
pub(crate) fn without_reading_since_start(last: LastShown, uptime_ms: i64) -> LivePump {
    let LastShown { reading, stale_after_ms } = last;
    let status = if uptime_ms > stale_after_ms {
        Status::Stale
    } else {
        let expected = format_duration(stale_after_ms - uptime_ms);
        let reason = format!("no reading has arrived since the node was started; one is expected within {expected}");
        Status::Unknown { reason }
    };
    LivePump { status, ..last_known(reading) }
}

/// Returns a pump with its last stored reading and nothing else.
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
        note: None,
        trend: Vec::new(),
        cadence: None,
        readings: 0,
        late: 0,
        past: 0,
        scored: 0,
        anomalies: 0,
    }
}
