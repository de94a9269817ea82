//! The ways to a pump's actor.

use volute_runtime::Mailbox;

use super::actor::PumpActor;
use crate::{ingress::in_flight::PumpInFlight, kind::PumpKind};

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpHandle {
    /// What the pump is of.
    pub kind: PumpKind,
    /// For readings, and for what must wait until all before it are done.
    pub mailbox: Mailbox<PumpActor>,
    /// For what is not a reading.
    pub orders: Mailbox<PumpActor>,
    /// Readings of the pump that are on their way.
    pub in_flight: PumpInFlight,
}
