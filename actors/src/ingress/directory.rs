//! The pumps that have an actor, and the names that nobody can have just now. Both outlive the gate's actor.
//!
//! Only the gate adds a pump or takes one away, so that nothing changes under a post that it takes in.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use volute_plant::PumpId;

use super::last_rejections::RefusedPumps;
use crate::{kind::PumpKind, pump::handle::PumpHandle};

/// Shared by the gate's lives, and by whoever removes pumps.
#[derive(Clone)]
pub(crate) struct PumpDirectory(Arc<Mutex<Directory>>);

/// See the module's head.
pub(crate) struct Directory {
    /// The pumps' actors.
    pub here: HashMap<PumpId, PumpHandle>,
    /// Pumps that are being removed.
    pub leaving: HashSet<PumpId>,
    /// New pumps of which nothing could be stored.
    pub refused: RefusedPumps,
}

impl PumpDirectory {
    pub(crate) fn new(here: HashMap<PumpId, PumpHandle>) -> Self {
        Self(Arc::new(Mutex::new(Directory { here, leaving: HashSet::new(), refused: RefusedPumps::default() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Directory> {
        self.0.lock()
    }

    /// Returns the kind of a pump that has an actor.
    pub(crate) fn kind_of(&self, pump: &PumpId) -> Option<PumpKind> {
        self.lock().here.get(pump).map(|handle| handle.kind.clone())
    }

    /// The pump's name is free again; or the pump is back, with a new actor.
    pub(crate) fn release(&self, pump: &PumpId, back: Option<PumpHandle>) {
        let mut places = self.lock();
        places.leaving.remove(pump);
        places.here.extend(back.map(|handle| (pump.clone(), handle)));
    }
}
