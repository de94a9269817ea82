//! Starts a pump's actor and registers it with the supervisor, which restarts it after a failure.

use std::sync::{Arc, atomic::Ordering};

use volute_data::PumpRecord;
use volute_plant::PumpId;
use volute_runtime::{ActorIdentity, Incarnation};

use super::{
    actor::{PumpActor, PumpActorArgs, PumpAddresses},
    context::{PumpContext, actor_id},
    handle::PumpHandle,
    recovery::StartMode,
};
use crate::{ingress::in_flight::PumpInFlight, kind::PumpKind};

/// The maximum number of commands that wait in one pump's inbox.
const MAX_QUEUED_COMMANDS: usize = 16;

/// Starts a pump's actor. `registration` is given for a new pump, of which nothing is stored yet: the record is stored
/// with the pump's first readings.
pub(crate) fn start_pump(
    context: &Arc<PumpContext>,
    pump: &PumpId,
    kind: PumpKind,
    registration: Option<PumpRecord>,
    in_flight: PumpInFlight,
) -> PumpHandle {
    let next = context.next_thread.fetch_add(1, Ordering::Relaxed);
    let thread = &context.threads[next % context.threads.len()];
    let role = ActorIdentity { id: actor_id(pump), kind: "pump", stage: "pumps", subject: Some(pump.shared()) };
    let inbox = context.supervisor.register(role, thread);
    let addresses = PumpAddresses {
        commands: inbox.address(MAX_QUEUED_COMMANDS),
        scores: inbox.address(2 * context.queued_windows_per_pump),
    };
    let max_in_flight = in_flight.limit();
    // One slot for each permit, and one for a drain request.
    let handle = PumpHandle {
        kind: kind.clone(),
        address: inbox.address(max_in_flight + 1),
        commands: addresses.commands.clone(),
        in_flight,
    };
    let (pump, context) = (pump.clone(), context.clone());
    context.clone().supervisor.start(&inbox, move |incarnation: Incarnation<PumpActor>| {
        let start = match incarnation.generation {
            1 if registration.is_some() => StartMode::New,
            1 => StartMode::Stored,
            _ => StartMode::Restarted,
        };
        PumpActor::new(PumpActorArgs {
            pump: pump.clone(),
            kind: kind.clone(),
            context: context.clone(),
            addresses: addresses.clone(),
            start,
            unregistered: registration.clone(),
            max_in_flight,
            incarnation,
        })
    });
    handle
}
