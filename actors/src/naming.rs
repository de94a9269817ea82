//! Naming a pump for people: the store keeps the name, and whoever watches is told. Does not change the pump's id, by which
//! it is known everywhere else.

use std::time::Duration;

use tokio::time::timeout;
use volute_data::StoreError;
use volute_plant::{PumpId, PumpName};

use crate::{engine::handle::EngineHandle, protocol::live::LiveNamed};

/// How long the live feed may take; one that is out of order tells nobody.
const PATIENCE: Duration = Duration::from_secs(10);

impl EngineHandle {
    /// Why the last reading of a pump was refused, of which none is stored; none where nothing is known of that.
    pub fn refused(&self, pump: &PumpId) -> Option<String> {
        self.0.pumps.lock().refused.why(pump).map(str::to_owned)
    }

    /// Names a pump, or takes its name away; durable when it returns. Returns whether there is such a pump.
    pub async fn name_pump(&self, pump: &PumpId, name: Option<PumpName>) -> Result<bool, StoreError> {
        let known = self.store().set_pump_name(pump, name.clone()).await?;
        if known {
            tracing::info!(pump = pump.as_str(), name = name.as_ref().map(PumpName::as_str), "pump named");
            let _ = timeout(PATIENCE, self.0.context.live.send(LiveNamed { pump: pump.clone(), name })).await;
        }
        Ok(known)
    }
}
