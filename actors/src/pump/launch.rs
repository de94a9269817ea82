//! How a pump's actor is started, now and whenever it must be.

use std::sync::{Arc, atomic::Ordering};

use volute_data::PumpRecord;
use volute_plant::PumpId;
use volute_runtime::{Incarnation, Role};

use super::{
    actor::{PumpActor, PumpActorArgs, PumpMailboxes},
    context::{PumpContext, actor_id},
    handle::PumpHandle,
    recovery::StartMode,
};
use crate::{ingress::in_flight::PumpInFlight, kind::PumpKind};

/// Orders for one pump that may wait.
const ORDERS: usize = 16;

/// Starts a pump's actor. Of a new pump nothing is stored, and its registration is on its way.
pub(crate) fn start_pump(
    context: &Arc<PumpContext>,
    pump: &PumpId,
    kind: PumpKind,
    new: Option<PumpRecord>,
    limit: PumpInFlight,
) -> PumpHandle {
    let next = context.next_thread.fetch_add(1, Ordering::Relaxed);
    let thread = &context.threads[next % context.threads.len()];
    let role = Role { id: actor_id(pump), kind: "pump", stage: "pumps", subject: Some(pump.shared()) };
    let inbox = context.supervisor.register(role, thread);
    let mailboxes =
        PumpMailboxes { orders: inbox.mailbox(ORDERS), scores: inbox.mailbox(2 * context.queued_windows_per_pump) };
    let burst = limit.all();
    // One slot for each permit, and one for a drain.
    let handle = PumpHandle {
        kind: kind.clone(),
        mailbox: inbox.mailbox(burst + 1),
        orders: mailboxes.orders.clone(),
        in_flight: limit,
    };
    let (pump, context) = (pump.clone(), context.clone());
    context.clone().supervisor.start(&inbox, move |incarnation: Incarnation<PumpActor>| {
        let start = match incarnation.number {
            1 if new.is_some() => StartMode::New,
            1 => StartMode::Stored,
            _ => StartMode::Again,
        };
        PumpActor::new(PumpActorArgs {
            pump: pump.clone(),
            kind: kind.clone(),
            context: context.clone(),
            mailboxes: mailboxes.clone(),
            start,
            unregistered: new.clone(),
            burst,
            incarnation,
        })
    });
    handle
}
