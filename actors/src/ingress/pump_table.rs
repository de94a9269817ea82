//! The table of pumps by which the ingress finds a pump's actor. A pump is active (it has an actor) or detached (it has
//! none, because it is being removed or its actor is being replaced). The table outlives the ingress actor.
//!
//! Only the ingress adds or detaches pumps, so the table does not change while it admits a post. Other parts only
//! release a pump that was detached at their request, with a new actor or without one.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use volute_plant::PumpId;

use super::last_rejections::LastRejections;
use crate::{kind::PumpKind, protocol::ingress::Detached, pump::handle::PumpHandle};

/// The shared table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SharedPumpTable(Arc<Mutex<PumpTable>>);

/// The pumps of the node.
pub(crate) struct PumpTable {
    /// The pumps that have an actor.
    pub active: HashMap<PumpId, PumpHandle>,
    /// Pumps without an actor whose items are deferred.
    pub detached: HashMap<PumpId, Detached>,
    /// Why the readings of new pumps were rejected.
    pub last_rejections: LastRejections,
}

impl SharedPumpTable {
    pub(crate) fn new(active: HashMap<PumpId, PumpHandle>) -> Self {
        Self(Arc::new(Mutex::new(PumpTable {
            active,
            detached: HashMap::new(),
            last_rejections: LastRejections::default(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, PumpTable> {
        self.0.lock()
    }

    /// Returns the kind of a pump that has an actor.
    pub(crate) fn kind_of(&self, pump: &PumpId) -> Option<PumpKind> {
        self.lock().active.get(pump).map(|handle| handle.kind.clone())
    }

    /// Ends a detachment: the pump has a new actor, or its id can be used again.
    pub(crate) fn release(&self, pump: &PumpId, restored: Option<PumpHandle>) {
        let mut pumps = self.lock();
        pumps.detached.remove(pump);
        pumps.active.extend(restored.map(|handle| (pump.clone(), handle)));
    }
}
