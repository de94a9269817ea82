//! Fixtures for the tests of several modules: a pump profile with one channel, readings and a baseline.

use std::sync::Arc;

use serde_json::json;
use volute_anomaly::{Baseline, ChannelScore, Score};
use volute_plant::{Profile, PumpId, Reading, Sample, Timestamp, TimestampLimits};

/// The limits of the default configuration.
pub(crate) const TIMES: TimestampLimits =
    TimestampLimits { max_ahead_ms: 30_000, max_current_offset_ms: 60_000, max_age_ms: 400 * 86_400_000 };

/// A profile with one channel and an interval of 1 s.
pub(crate) fn profile() -> Profile {
    let text = r#"
        name = "small"
        title = "A pump for tests"
        interval_ms = 1000
        [[channels]]
        name = "Tb"
        quantity = "bearing_temperature"
        unit = "°C"
        plausible = [0, 200]
        resolution = 0.1
    "#;
    Profile::from_toml(text).expect("the test profile is valid")
}

pub(crate) fn pump() -> PumpId {
    "P-1".parse().expect("a name")
}

/// The test's start time plus `s` seconds.
pub(crate) fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_773_050_400_000 + s * 1000).expect("a time")
}

/// A reading that is received at the time of its measurement.
pub(crate) fn reading(s: i64) -> Reading {
    Reading { pump: pump(), at: at(s), received: at(s), samples: [Sample::Good(50.0)].into(), late: false }
}

/// A baseline by which a window is anomalous above a loss of 1.
pub(crate) fn baseline() -> Arc<Baseline> {
    let channel = json!({
        "level": 0.5, "reach": 0.3, "short_spread": 0.1, "long_spread": 0.1, "error": 0.05, "error_spread": 0.01,
        "stuck_below": 0.0, "level_weight": 1.0, "error_weight": 1.0
    });
    let document = json!({
        "id": "", "network": "none", "interval_ms": 1000, "detector": "lstm-autoencoder", "tuning": {},
        "scaler": [{ "min": 0.0, "max": 100.0 }], "loss_threshold": 1.0, "channels": [channel],
        "thresholds": { "short": 5.0, "long": 5.0, "error": 5.0 },
        "learned": { "from": at(0), "to": at(1000), "windows": 1000, "scored": 1000, "own_network": true }
    });
    let mut baseline: Baseline = serde_json::from_value(document).expect("a baseline");
    baseline.id = baseline.expected_id();
    Arc::new(baseline)
}

/// A window's score with this loss.
pub(crate) fn score(loss: f64) -> Score {
    Score {
        loss,
        channels: [ChannelScore { error: loss, short: 0.5, long: 0.5, mean_change: 0.2 }].into(),
        dynamics: None,
    }
}
