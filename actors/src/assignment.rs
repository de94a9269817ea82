//! Assigning another profile to a pump: its actor ends, the profile is stored, and a new actor begins with commissioning.
//!
//! Posts for the pump are refused meanwhile, to be sent again. What is stored of it stays, so the other profile must have the
//! same channels in the same places; a pump that measures something else is another pump. Where the profile cannot be stored,
//! the pump gets its actor back and nothing has changed.

use tokio::time::timeout;
use volute_data::StoreError;
use volute_plant::PumpId;

use crate::{
    commissioning::mode::for_profile,
    engine::handle::EngineHandle,
    ingress::in_flight::PumpInFlight,
    kind::PumpKind,
    protocol::{live::LiveProfile, rules::ChangeRules},
    pump::launch::start_pump,
    removal::{PATIENCE, RemovalRefusal},
};

/// A pump keeps its profile.
#[derive(Debug, thiserror::Error)]
pub enum AssignRefusal {
    /// The node has no such profile.
    #[error("this node has no profile {name}; it has: {known}")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The pump's stored readings have other channels.
    #[error(
        "the readings of {pump} have the channels {stored}, and {profile} has {given}: remove the pump, or give the new one \
         an id of its own"
    )]
    OtherChannels {
        /// The pump.
        pump: PumpId,
        /// What was asked for.
        profile: String,
        /// The channels of its rows.
        stored: String,
        /// Those of the profile.
        given: String,
    },
    /// The pump's actor could not be ended.
    #[error(transparent)]
    NotTaken(#[from] RemovalRefusal),
    /// The profile cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EngineHandle {
    /// Assigns a profile to a pump, which is commissioned anew by it. Durable when it returns `Ok`. Must not be broken off.
    pub async fn assign_profile(&self, pump: &PumpId, name: &str) -> Result<(), AssignRefusal> {
        let inner = &self.0;
        let kind = inner.catalog.get(name).ok_or_else(|| AssignRefusal::UnknownProfile {
            name: name.to_owned(),
            known: inner.catalog.names().join(", "),
        })?;
        let before = self.kind_of(pump);
        if !before.profile.channel_names().eq(kind.profile.channel_names()) {
            let channels = |kind: &PumpKind| kind.profile.channel_names().collect::<Vec<_>>().join(", ");
            return Err(AssignRefusal::OtherChannels {
                pump: pump.clone(),
                profile: name.to_owned(),
                stored: channels(&before),
                given: channels(&kind),
            });
        }
        let handle = self.take_pump(pump).await?;
        self.end_actor(pump, &handle).await;
        let stored = self.store_profile(pump, &kind).await;
        let now = if stored.is_ok() { kind } else { before };
        if stored.is_ok() {
            let profile = now.profile.clone();
            // Actors that are out of order keep these, unless their inboxes are full of what else they keep.
            let live = LiveProfile { pump: pump.clone(), profile: profile.clone() };
            let _ = timeout(PATIENCE, inner.context.live.send(live)).await;
            let rules = ChangeRules { pump: pump.clone(), profile };
            let _ = timeout(PATIENCE, inner.context.maintenance.mailbox.send(rules)).await;
            tracing::info!(pump = pump.as_str(), profile = name, "profile assigned");
        }
        // One of which nothing was ever stored is new with its next reading.
        let limit = PumpInFlight::new(inner.burst);
        let back = inner.store.is_registered(pump).then(|| start_pump(&inner.context, pump, now, None, limit));
        inner.pumps.release(pump, back);
        stored
    }

    async fn store_profile(&self, pump: &PumpId, kind: &PumpKind) -> Result<(), AssignRefusal> {
        let store = &self.0.store;
        if !store.set_pump_profile(pump, &kind.profile, &for_profile(&kind.profile)).await? {
            return Err(RemovalRefusal::UnknownPump(pump.clone()).into());
        }
        Ok(())
    }
}
