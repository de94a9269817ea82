//! What the ingress is sent: posts, and requests for the actors of pumps.

use std::{net::IpAddr, time::Instant};

use tokio::sync::oneshot;
use volute_plant::{Draft, PumpId, Timestamp};
use volute_runtime::{Message, Subject};

use crate::{pump::handle::PumpHandle, receipt::IngestResult};

/// A post on its way in.
pub(crate) struct IngestRequest {
    /// One entry per item, in order; none for one of which no draft could be made: it keeps its place and is counted.
    pub items: Vec<Option<Draft>>,
    pub received: Timestamp,
    pub since: Instant,
    /// Whose it is; none: the node's own, which may register as many pumps as it likes.
    pub client: Option<IpAddr>,
    pub reply: oneshot::Sender<IngestResult>,
}

/// Somebody wants a pump's actor; one that is not known is registered where a time is given.
pub(crate) struct FindPump {
    pub pump: PumpId,
    pub register: Option<Timestamp>,
    pub reply: oneshot::Sender<Option<PumpHandle>>,
}

/// Lets nothing more in, waits until all that came in has settled and been scored, then replies.
pub(crate) struct DrainIngress(pub oneshot::Sender<()>);

/// Somebody removes a pump: its actor is handed over, and its name is nobody's until [`crate::ingress::directory::PumpDirectory::release`].
pub(crate) struct TakePump {
    pub pump: PumpId,
    pub reply: oneshot::Sender<Result<PumpHandle, NotTaken>>,
}

/// A pump cannot be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no such pump.
    Unknown,
    /// It is taken away already.
    Leaving,
    /// The node is stopping.
    Stopping,
}

impl Message for IngestRequest {}

impl Message for TakePump {
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
