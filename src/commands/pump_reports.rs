//! Reports on a node's pumps from its store, for `volute pumps`. A running node makes them and sends them over the
//! control socket. If the node is stopped, the command opens the store.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use volute_data::{PumpRecord, PumpSetting, PumpSettings, Store};
use volute_plant::{Profile, PumpId, PumpName};

/// The pumps of a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct PumpList {
    /// The registered pumps.
    pub pumps: Vec<PumpSummary>,
    /// Removed pumps whose readings are still being deleted.
    pub removing: Vec<PumpId>,
}

/// The summary of a registered pump.
#[derive(Debug, Serialize, Deserialize)]
pub struct PumpSummary {
    pub id: PumpId,
    pub name: Option<PumpName>,
    pub profile: String,
    pub registered_at: String,
}

/// The settings of a pump, and the interval of its profile, which applies if the pump's settings have none.
#[derive(Debug, Serialize, Deserialize)]
pub struct SettingsReport {
    pub settings: PumpSettings,
    pub profile_interval_ms: i64,
}

/// Returns the pumps of an open store.
pub fn list_pumps(store: &Store) -> PumpList {
    let mut names = store.pump_names();
    let pump = |pump: PumpRecord| PumpSummary {
        name: names.remove(&pump.id),
        id: pump.id,
        profile: pump.profile,
        registered_at: pump.registered_at.to_string(),
    };
    PumpList { pumps: store.pumps().into_iter().map(pump).collect(), removing: store.pumps_being_removed() }
}

/// Returns the settings of a pump, or an error if it is not registered.
pub async fn read_settings(store: &Store, profile: &Profile, pump: &PumpId) -> Result<SettingsReport> {
    ensure!(store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    Ok(SettingsReport { settings: store.pump_settings(pump).await?, profile_interval_ms: profile.interval_ms() })
}

/// Returns an error if the profile does not have the channel of the setting.
pub fn check_channel(setting: &PumpSetting, profile: &Profile) -> Result<()> {
    if let PumpSetting::Hold { channel: Some(name), .. } = setting {
        let channels = || profile.channel_names().collect::<Vec<_>>().join(", ");
        ensure!(profile.index_of(name).is_some(), "there is no channel {name}; the profile has {}", channels());
    }
    Ok(())
}

/// Returns the detail of an audit entry for a change of name.
pub fn name_detail(name: Option<&PumpName>) -> String {
    name.map_or_else(|| "no name".to_owned(), |name| format!("name {:?}", name.as_str()))
}
