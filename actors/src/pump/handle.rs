//! The addresses of a pump's actor.

use volute_runtime::Address;

use super::actor::PumpActor;
use crate::{ingress::in_flight::PumpInFlight, kind::PumpKind};

/// Sends messages to one pump's actor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpHandle {
    /// The kind of the pump: its profile, and its model if its windows are scored.
    pub kind: PumpKind,
    /// For readings, and for messages that must be handled after all readings before them.
    pub address: Address<PumpActor>,
    /// For commands, which do not queue behind readings.
    pub commands: Address<PumpActor>,
    /// Limits how many readings of the pump are in flight.
    pub in_flight: PumpInFlight,
}
