//! Sets the display name of a pump: stores it and sends it to the live feed. Does not change the pump's id, which
//! identifies it everywhere else.

use std::time::Duration;

use tokio::time::timeout;
use volute_data::StoreError;
use volute_plant::{PumpId, PumpName};

use crate::{engine::handle::EngineHandle, protocol::live::LivePumpRenamed};

/// How long to wait for the live feed. If it does not accept the new name in this time, subscribers do not receive the
/// name.
const LIVE_FEED_TIMEOUT: Duration = Duration::from_secs(10);

impl EngineHandle {
    /// Returns why the last reading of a pump was rejected, for a pump of which no reading is stored. None if no
    /// rejection is recorded.
    pub fn refused(&self, pump: &PumpId) -> Option<String> {
        self.0.pumps.lock().last_rejections.reason(pump).map(str::to_owned)
    }

    /// Sets or deletes the display name of a pump. The change is durable on return. Returns whether the pump exists.
    pub async fn name_pump(&self, pump: &PumpId, name: Option<PumpName>) -> Result<bool, StoreError> {
        let known = self.store().set_pump_name(pump, name.clone()).await?;
        if known {
            tracing::info!(pump = pump.as_str(), name = name.as_ref().map(PumpName::as_str), "pump named");
            let _ = timeout(LIVE_FEED_TIMEOUT, self.0.context.live.send(LivePumpRenamed { pump: pump.clone(), name }))
                .await;
        }
        Ok(known)
    }
}
