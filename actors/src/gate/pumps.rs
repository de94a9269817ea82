//! The pumps that have an actor, and the names that nobody can have just now. Both outlive the gate's actor.
//!
//! Only the gate adds a pump or takes one away, so that nothing changes under a post that it takes in.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use volute_plant::PumpId;
use volute_runtime::Mailbox;

use super::{PumpLimit, refused::RefusedPumps};
use crate::pump::PumpActor;

/// Shared by the gate's lives, and by whoever removes pumps.
#[derive(Clone)]
pub(crate) struct Pumps(Arc<Mutex<Places>>);

/// See the module's head.
pub(crate) struct Places {
    /// The pumps' actors.
    pub here: HashMap<PumpId, PumpHandle>,
    /// Pumps that are being removed.
    pub leaving: HashSet<PumpId>,
    /// New pumps of which nothing could be stored.
    pub refused: RefusedPumps,
}

/// The ways to a pump's actor.
#[derive(Clone)]
pub(crate) struct PumpHandle {
    pub mailbox: Mailbox<PumpActor>,
    /// For what is not a reading.
    pub orders: Mailbox<PumpActor>,
    pub room: PumpLimit,
}

impl Pumps {
    pub(crate) fn new(here: HashMap<PumpId, PumpHandle>) -> Self {
        Self(Arc::new(Mutex::new(Places { here, leaving: HashSet::new(), refused: RefusedPumps::default() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pump's name is free again; or the pump is back, with a new actor.
    pub(crate) fn release(&self, pump: &PumpId, back: Option<PumpHandle>) {
        let mut places = self.lock();
        places.leaving.remove(pump);
        places.here.extend(back.map(|handle| (pump.clone(), handle)));
    }
}
