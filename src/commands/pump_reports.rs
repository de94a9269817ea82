//! What a node's store says of its pumps, for `volute pumps`: the running node sends it over the control socket, and without
//! one the command reads it itself.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use volute_data::{PumpRecord, PumpSetting, PumpSettings, Store};
use volute_plant::{Profile, PumpId, PumpName};

/// The pumps of a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Those that there are.
    pub pumps: Vec<Pump>,
    /// Pumps that were removed, and whose readings are being deleted.
    pub removing: Vec<PumpId>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pump {
    pub id: PumpId,
    pub name: Option<PumpName>,
    pub profile: String,
    pub registered_at: String,
}

/// What is set for a pump alone, and what holds without that.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settings {
    pub settings: PumpSettings,
    pub profile_interval_ms: i64,
}

/// The pumps of an open store.
pub fn listed(store: &Store) -> Listed {
    let mut names = store.pump_names();
    let pump = |pump: PumpRecord| Pump {
        name: names.remove(&pump.id),
        id: pump.id,
        profile: pump.profile,
        registered_at: pump.registered_at.to_string(),
    };
    Listed { pumps: store.pumps().into_iter().map(pump).collect(), removing: store.removing() }
}

/// What is set for a pump that there is.
pub async fn settings_of(store: &Store, profile: &Profile, pump: &PumpId) -> Result<Settings> {
    ensure!(store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    Ok(Settings { settings: store.pump_settings(pump).await?, profile_interval_ms: profile.interval_ms() })
}

/// Whether the profile has the channel that something is set for.
pub fn check_channel(setting: &PumpSetting, profile: &Profile) -> Result<()> {
    if let PumpSetting::Hold { channel: Some(name), .. } = setting {
        let channels = || profile.channel_names().collect::<Vec<_>>().join(", ");
        ensure!(profile.index_of(name).is_some(), "there is no channel {name}; the profile has {}", channels());
    }
    Ok(())
}

/// A name as the audit log has it.
pub fn named(name: Option<&PumpName>) -> String {
    name.map_or_else(|| "no name".to_owned(), |name| format!("name {:?}", name.as_str()))
}
