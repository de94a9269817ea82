//! The directory of pumps: those with an actor, and those that are being removed. It outlives the ingress actor.
//!
//! Only the ingress adds or removes pumps, so the directory does not change while it admits a post. Others only release a name
//! that they removed, or restore its pump.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use volute_plant::PumpId;

use super::last_rejections::LastRejections;
use crate::{kind::PumpKind, pump::handle::PumpHandle};

/// The shared directory. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpDirectory(Arc<Mutex<Directory>>);

/// The pumps of the node.
pub(crate) struct Directory {
    /// The pumps that have an actor.
    pub active: HashMap<PumpId, PumpHandle>,
    /// Pumps that are being removed.
    pub removing: HashSet<PumpId>,
    /// New pumps of which no reading could be stored.
    pub last_rejections: LastRejections,
}

impl PumpDirectory {
    pub(crate) fn new(active: HashMap<PumpId, PumpHandle>) -> Self {
        Self(Arc::new(Mutex::new(Directory {
            active,
            removing: HashSet::new(),
            last_rejections: LastRejections::default(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Directory> {
        self.0.lock()
    }

    /// Returns the kind of a pump that has an actor.
    pub(crate) fn kind_of(&self, pump: &PumpId) -> Option<PumpKind> {
        self.lock().active.get(pump).map(|handle| handle.kind.clone())
    }

    /// Ends a removal: the pump's name is free again, or the pump is restored with a new actor.
    pub(crate) fn release(&self, pump: &PumpId, restored: Option<PumpHandle>) {
        let mut pumps = self.lock();
        pumps.removing.remove(pump);
        pumps.active.extend(restored.map(|handle| (pump.clone(), handle)));
    }
}
