//! Messages to the ingress: posts, and requests for pumps' actors.

use std::{net::IpAddr, time::Instant};

use tokio::sync::oneshot;
use volute_plant::{Draft, PumpId, Timestamp};
use volute_runtime::{Message, Subject};

use crate::{
    kind::{PumpKind, RemoveKindError},
    pump::handle::PumpHandle,
    receipt::IngestResult,
};

/// Who sends a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostSender {
    /// The client's address; none for the node itself, which may register any number of pumps.
    pub client: Option<IpAddr>,
    /// Whether the post may register new pumps, if the node does (`ingest.auto_register`).
    pub may_register: bool,
}

/// A post to be ingested.
pub(crate) struct IngestRequest {
    /// One entry per item, in order, so that an entry's index is that of the item. None for an item that could not be
    /// parsed, which is only counted.
    pub items: Vec<Option<Draft>>,
    pub received: Timestamp,
    pub posted_at: Instant,
    pub sender: PostSender,
    pub reply: oneshot::Sender<IngestResult>,
}

/// Requests the handle of a pump's actor. If the pump is unknown and `register` is given, the pump is registered with
/// this time.
pub(crate) struct FindPump {
    pub pump: PumpId,
    pub register: Option<Timestamp>,
    pub reply: oneshot::Sender<Option<PumpHandle>>,
}

/// Refuses new posts, waits until all accepted readings are durable and their windows scored, then replies.
pub(crate) struct DrainIngress(pub oneshot::Sender<()>);

/// Requests the pumps that have an actor and are of the kind with this profile name. Posts before this message are
/// admitted first.
pub(crate) struct FindPumpsOf {
    pub profile: String,
    pub reply: oneshot::Sender<Vec<(PumpId, PumpHandle)>>,
}

/// Removes a kind from the catalog, unless a pump is of this kind.
pub(crate) struct RemoveKind {
    pub profile: String,
    pub reply: oneshot::Sender<Result<PumpKind, RemoveKindError>>,
}

/// Takes a pump's actor out of the table of pumps. Items of the pump are deferred until the pump is
/// [released](crate::ingress::pump_table::SharedPumpTable::release).
pub(crate) struct DetachPump {
    pub pump: PumpId,
    pub reason: Detached,
    pub reply: oneshot::Sender<Result<PumpHandle, DetachError>>,
}

/// Why a pump is taken out of the table of pumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detached {
    /// It is being removed.
    Removing,
    /// Its actor is being replaced by one with another kind.
    Restarting,
}

/// Why a pump cannot be taken out of the table of pumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DetachError {
    /// There is no such pump.
    Unknown,
    /// It is being removed already.
    BeingRemoved,
    /// Its actor is being replaced already.
    Restarting,
    /// The node is stopping.
    Stopping,
}

impl Message for IngestRequest {}

impl Message for DetachPump {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for FindPump {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for DrainIngress {}

impl Message for FindPumpsOf {}

impl Message for RemoveKind {}
