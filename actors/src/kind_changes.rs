//! Adds, replaces and removes kinds of pumps while the node runs.
//!
//! A new or changed kind is first put into the catalog, so that new pumps use it. Then each pump that uses an earlier
//! version of the kind gets a new actor. For example, the kind `bearing` gets another model while B-3 posts:
//!
//! ```text
//! catalog   has the new model; a new pump uses it
//! B-3       its actor completes the posts and windows that it has, by the old model, and stops
//! ingress   defers items of B-3 that arrive meanwhile
//! B-3       a new actor starts with the new model, as after a restart: it learns the baseline again from the stored readings
//! ```
//!
//! When a profile that could not be read is added again, its pumps get new actors in the same way. The ingress removes
//! kinds, because it also registers pumps, so no pump can be registered with a kind that is being removed. Changes are
//! made one at a time. Does not read or write the files of profiles and models.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::{sync::oneshot, time::timeout};
use volute_plant::PumpId;

use crate::{
    engine::handle::EngineHandle,
    ingress::in_flight::PumpInFlight,
    kind::{KindParts, PumpKind, RemoveKindError},
    protocol::{
        ingress::{DetachPump, Detached, FindPumpsOf, RemoveKind},
        live::LiveProfileChanged,
        pump::DrainPump,
        rules::ChangeRules,
    },
    pump::{handle::PumpHandle, launch::start_pump},
    removal::STEP_TIMEOUT,
};

/// The maximum number of pumps whose actors are replaced at the same time.
const CONCURRENT_REPLACEMENTS: usize = 16;

impl EngineHandle {
    /// Adds a kind of pump, or replaces the one with the same profile name. The kind must not be the default kind.
    /// Returns when all pumps of the kind use it. A pump whose actor cannot be replaced uses it only after the next
    /// start of the node; this is logged. Not cancel-safe: the future must be polled to its end.
    pub async fn add_kind(&self, parts: KindParts) {
        let inner = &self.0;
        let _guard = inner.kind_changes.lock().await;
        let kind = parts.into_kind(&inner.commissioning);
        if inner.catalog.get(kind.profile.name()).is_some_and(|known| known.is_same(&kind)) {
            return;
        }
        inner.catalog.put(kind.clone());
        let pumps = self.pumps_of(kind.profile.name()).await;
        let outdated = pumps.into_iter().filter(|(_, handle)| !handle.kind.is_same(&kind));
        let replace = async |(pump, _): (PumpId, PumpHandle)| {
            if let Err(reason) = self.replace_actor(&pump, kind.clone()).await {
                tracing::warn!(
                    pump = pump.as_str(),
                    profile = kind.profile.name(),
                    reason,
                    "the pump uses the changed profile only after the next start of the node"
                );
            }
        };
        stream::iter(outdated).for_each_concurrent(CONCURRENT_REPLACEMENTS, replace).await;
    }

    /// Adds a kind again that was removed. No pump may be of this kind.
    pub fn restore_kind(&self, parts: KindParts) {
        self.0.catalog.put(parts.into_kind(&self.0.commissioning));
    }

    /// Removes a kind, and returns it. Posts that name it for a new pump are rejected from then on.
    pub async fn remove_kind(&self, name: &str) -> Result<KindParts, RemoveKindError> {
        let _guard = self.0.kind_changes.lock().await;
        let (reply, removed) = oneshot::channel();
        let request = RemoveKind { profile: name.to_owned(), reply };
        self.0.ingress.send(request).await.map_err(|_| RemoveKindError::Unavailable)?;
        removed.await.map_err(|_| RemoveKindError::Unavailable)?.map(KindParts::from)
    }

    /// Returns the pumps that have an actor and are of the kind with this profile name.
    async fn pumps_of(&self, profile: &str) -> Vec<(PumpId, PumpHandle)> {
        let (reply, pumps) = oneshot::channel();
        // Without the ingress, no pump's actor receives readings, so none needs to be replaced.
        match self.0.ingress.send(FindPumpsOf { profile: profile.to_owned(), reply }).await {
            Ok(()) => pumps.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Stops a pump's actor, and starts one with this kind.
    async fn replace_actor(&self, pump: &PumpId, kind: PumpKind) -> Result<(), &'static str> {
        let inner = &self.0;
        let (reply, taken) = oneshot::channel();
        let detach = DetachPump { pump: pump.clone(), reason: Detached::Restarting, reply };
        match timeout(STEP_TIMEOUT, inner.ingress.send(detach)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err("the ingress has failed, or is stopping"),
            Err(_) => return Err("the ingress is busy"),
        }
        let handle = taken.await.map_err(|_| "the ingress has failed")?;
        let handle = handle.map_err(|_| "the pump is being removed, or the node is stopping")?;
        drain(&handle, STEP_TIMEOUT).await;
        self.stop_actor(pump, &handle).await;
        let profile = kind.profile.clone();
        // The inbox of a failed actor accepts these messages too, unless it is full.
        let live = LiveProfileChanged { pump: pump.clone(), profile: profile.clone() };
        let _ = timeout(STEP_TIMEOUT, inner.context.live.send(live)).await;
        let rules = ChangeRules { pump: pump.clone(), profile };
        let _ = timeout(STEP_TIMEOUT, inner.context.maintenance.address.send(rules)).await;
        // The new actor reads what the old one has stored.
        let _ = timeout(STEP_TIMEOUT, inner.recorder.wait_until_stored()).await;
        let limit = PumpInFlight::new(inner.max_in_flight);
        // A pump of which nothing was stored gets a new actor with its next reading.
        let restarted = inner.store.is_registered(pump).then(|| start_pump(&inner.context, pump, kind, None, limit));
        inner.pumps.release(pump, restarted);
        Ok(())
    }
}

/// Waits until all readings that the actor has are durable and all its windows decided, at most for `limit`.
async fn drain(handle: &PumpHandle, limit: Duration) {
    let drained = async {
        handle.in_flight.wait_until_idle().await;
        let (reply, drained) = oneshot::channel();
        if handle.address.send(DrainPump(reply)).await.is_ok() {
            let _ = drained.await;
        }
    };
    let _ = timeout(limit, drained).await;
}
