//! Settings of a single pump, which override those of its profile.
//!
//! They are written to the database directly, as baselines are: they are durable when they are written, and changing
//! them fails while the database is unavailable. Does not decide what follows from a change; see the `actors` crate.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Profile, PumpId};

use super::{Store, StoreError};

const ONE: &str = "SELECT * FROM $id";
const SET: &str = "UPSERT $row.id CONTENT $row RETURN NONE";
const CLEAR: &str = "DELETE $id RETURN NONE";

/// The settings of a single pump; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PumpSettings {
    /// The time between two readings in milliseconds, within [`volute_plant::INTERVAL_RANGE_MS`]; none: as in the
    /// profile.
    pub interval_ms: Option<i64>,
    /// For all channels: how long the last value is used when nothing new is sent, in seconds, within
    /// [`volute_plant::HOLD_RANGE_S`]; none: as in the profile.
    pub hold_s: Option<i64>,
    /// The hold times of single channels in seconds, by the channel's name. They take precedence over `hold_s`.
    pub channel_hold_s: BTreeMap<String, i64>,
    /// Why they were set, for display.
    pub why: String,
}

/// A change of one setting of a pump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PumpSetting {
    /// The time between two readings in milliseconds; none: as in the profile.
    Interval(Option<i64>),
    /// How long the last value of one channel or of all channels holds; none: as in the profile.
    Hold {
        /// The channel; none: all channels.
        channel: Option<String>,
        /// The time in seconds.
        hold_s: Option<i64>,
    },
}

impl fmt::Display for PumpSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<i64>| value.map_or_else(|| "as the profile".to_owned(), |value| value.to_string());
        match self {
            Self::Interval(interval_ms) => write!(f, "interval_ms {}", text(*interval_ms)),
            Self::Hold { channel: None, hold_s } => write!(f, "hold_s {}", text(*hold_s)),
            Self::Hold { channel: Some(channel), hold_s } => write!(f, "hold_s of {channel} {}", text(*hold_s)),
        }
    }
}

impl PumpSettings {
    /// Returns the settings with one of them changed at a user's request.
    pub fn with(mut self, setting: PumpSetting) -> Self {
        self.why = "as asked".into();
        match setting {
            PumpSetting::Interval(interval_ms) => self.interval_ms = interval_ms,
            PumpSetting::Hold { channel: None, hold_s } => self.hold_s = hold_s,
            PumpSetting::Hold { channel: Some(channel), hold_s: Some(hold_s) } => {
                self.channel_hold_s.insert(channel, hold_s);
            }
            PumpSetting::Hold { channel: Some(channel), hold_s: None } => drop(self.channel_hold_s.remove(&channel)),
        }
        self
    }

    /// Returns the profile with these settings applied. A channel that the profile does not have is ignored: the
    /// profile may have changed since the setting was made.
    pub fn apply(&self, profile: &Profile) -> Profile {
        // The values were checked when they were set, and by the database.
        let profile = self.interval_ms.and_then(|ms| profile.with_interval(ms)).unwrap_or_else(|| profile.clone());
        let profile = self.hold_s.map_or_else(|| profile.clone(), |hold_s| profile.with_hold(hold_s));
        let channels = self.channel_hold_s.iter();
        let known = channels.filter_map(|(name, hold_s)| Some((profile.index_of(name)?, *hold_s)));
        known.fold(profile.clone(), |profile, (channel, hold_s)| profile.with_channel_hold(channel, hold_s))
    }

    /// Returns a summary, for the audit log.
    pub fn summary(&self) -> String {
        let text = |value: Option<i64>| value.map_or_else(|| "as the profile".to_owned(), |value| value.to_string());
        let mut words = format!("interval_ms {}, hold_s {}", text(self.interval_ms), text(self.hold_s));
        for (channel, hold_s) in &self.channel_hold_s {
            words += &format!(", hold_s of {channel} {hold_s}");
        }
        words
    }

    /// Returns whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.interval_ms.is_none() && self.hold_s.is_none() && self.channel_hold_s.is_empty()
    }
}

/// `pump_setting:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct SettingRow {
    id: RecordId,
    interval_ms: Option<i64>,
    hold_ms: Option<i64>,
    channel_holds: Option<String>,
    why: String,
}

impl Store {
    /// Returns the settings of a pump.
    pub async fn pump_settings(&self, pump: &PumpId) -> Result<PumpSettings, StoreError> {
        let mut rows: Vec<SettingRow> = self.engine().await?.rows(ONE, [("id", id(pump).into_value())]).await?;
        let Some(row) = rows.pop() else { return Ok(PumpSettings::default()) };
        let channel_hold_s = match &row.channel_holds {
            Some(text) => serde_json::from_str(text).map_err(|error| StoreError::Unreadable {
                row: format!("what is set for {pump}"),
                reason: error.to_string(),
            })?,
            None => BTreeMap::new(),
        };
        let hold_s = row.hold_ms.map(|ms| ms / 1_000);
        Ok(PumpSettings { interval_ms: row.interval_ms, hold_s, channel_hold_s, why: row.why })
    }

    /// Replaces the settings of a pump. Empty settings remove them.
    pub async fn set_pump_settings(&self, pump: &PumpId, settings: &PumpSettings) -> Result<(), StoreError> {
        if settings.is_empty() {
            return self.engine().await?.execute(CLEAR, [("id", id(pump).into_value())]).await;
        }
        let PumpSettings { interval_ms, hold_s, channel_hold_s, why } = settings.clone();
        let channel_holds = (!channel_hold_s.is_empty()).then(|| serde_json::json!(channel_hold_s).to_string());
        let hold_ms = hold_s.map(|hold_s| 1_000 * hold_s);
        let row = SettingRow { id: id(pump), interval_ms, hold_ms, channel_holds, why };
        self.engine().await?.execute(SET, [("row", row.into_value())]).await
    }
}

fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_setting", pump.as_str())
}
