//! Assigns another profile to a pump. The pump's actor is stopped, the profile is stored, and a new actor starts, which
//! begins commissioning.
//!
//! Meanwhile the pump's items are deferred, so clients post them again. The pump's stored data stays, so the new
//! profile must have the same channels, quantities and units in the same order. If the pump has the profile already,
//! nothing happens. If the profile cannot be stored, a new actor starts with the previous profile.

use std::sync::Arc;

use tokio::time::timeout;
use volute_data::StoreError;
use volute_plant::PumpId;

use crate::{
    commissioning::mode::profile_assigned,
    engine::handle::EngineHandle,
    ingress::in_flight::PumpInFlight,
    kind::PumpKind,
    protocol::{ingress::Detached, live::LiveProfileChanged, rules::ChangeRules},
    pump::launch::start_pump,
    removal::{RemovePumpError, STEP_TIMEOUT},
};

/// Why a profile was not assigned. The pump keeps its previous one.
#[derive(Debug, thiserror::Error)]
pub enum AssignProfileError {
    /// The node has no such profile.
    #[error("this node has no profile {name}; it has: {known}")]
    UnknownProfile {
        /// The requested profile.
        name: String,
        /// The node's profiles.
        known: String,
    },
    /// The profile cannot be read.
    #[error("the profile {profile} cannot be used: {reason}; add it again first")]
    Damaged {
        /// The requested profile.
        profile: String,
        /// Why it cannot be read.
        reason: Arc<str>,
    },
    /// The pump's stored readings have other channels.
    #[error(
        "the readings of {pump} have the channels {stored}, and {profile} has {given}: remove the pump, or give the new one \
         an id of its own"
    )]
    OtherChannels {
        /// The pump.
        pump: PumpId,
        /// The requested profile.
        profile: String,
        /// The channels of the stored readings.
        stored: String,
        /// The channels of the profile.
        given: String,
    },
    /// The pump's actor could not be stopped.
    #[error(transparent)]
    StopFailed(#[from] RemovePumpError),
    /// The profile cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EngineHandle {
    /// Assigns a profile to a pump, which is then commissioned anew. The change is durable when this returns `Ok`. Not
    /// cancel-safe: the future must be polled to its end.
    pub async fn assign_profile(&self, pump: &PumpId, name: &str) -> Result<(), AssignProfileError> {
        let inner = &self.0;
        // The kind must not be removed or replaced meanwhile.
        let _guard = inner.kind_changes.lock().await;
        let kind = inner.catalog.get(name).ok_or_else(|| AssignProfileError::UnknownProfile {
            name: name.to_owned(),
            known: inner.catalog.names().join(", "),
        })?;
        if let Some(reason) = kind.damage {
            return Err(AssignProfileError::Damaged { profile: name.to_owned(), reason });
        }
        let previous = self.kind_of(pump);
        if previous.profile.is_same(&kind.profile) && inner.store.profile_of(pump).is_some_and(|stored| stored == name)
        {
            return Ok(());
        }
        if !previous.profile.has_channels_of(&kind.profile) {
            let channels = |kind: &PumpKind| {
                let channel = |channel: &volute_plant::Channel| format!("{} in {}", channel.name, channel.unit);
                kind.profile.channels().iter().map(channel).collect::<Vec<_>>().join(", ")
            };
            return Err(AssignProfileError::OtherChannels {
                pump: pump.clone(),
                profile: name.to_owned(),
                stored: channels(&previous),
                given: channels(&kind),
            });
        }
        let handle = self.take_pump(pump, Detached::Restarting).await?;
        self.stop_actor(pump, &handle).await;
        let stored = self.store_profile(pump, &kind).await;
        let current = if stored.is_ok() { kind } else { previous };
        if stored.is_ok() {
            let profile = current.profile.clone();
            // The inbox of a failed actor accepts these messages too, unless it is full.
            let live = LiveProfileChanged { pump: pump.clone(), profile: profile.clone() };
            let _ = timeout(STEP_TIMEOUT, inner.context.live.send(live)).await;
            let rules = ChangeRules { pump: pump.clone(), profile };
            let _ = timeout(STEP_TIMEOUT, inner.context.maintenance.address.send(rules)).await;
            tracing::info!(pump = pump.as_str(), profile = name, "profile assigned");
        }
        // A pump of which nothing was stored gets a new actor with its next reading.
        let limit = PumpInFlight::new(inner.max_in_flight);
        let restarted = inner.store.is_registered(pump).then(|| start_pump(&inner.context, pump, current, None, limit));
        inner.pumps.release(pump, restarted);
        stored
    }

    async fn store_profile(&self, pump: &PumpId, kind: &PumpKind) -> Result<(), AssignProfileError> {
        let store = &self.0.store;
        if !store.set_pump_profile(pump, &kind.profile, &profile_assigned(&kind.profile)).await? {
            return Err(RemovePumpError::UnknownPump(pump.clone()).into());
        }
        Ok(())
    }
}
