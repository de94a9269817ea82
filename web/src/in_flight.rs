//! Counts the requests whose responses are being made, so that a stop can wait for them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The number of requests in flight.
#[derive(Default)]
pub(crate) struct InFlightRequests {
    count: AtomicUsize,
    none: Notify,
}

/// Counts one request as in flight until it is dropped.
pub(crate) struct InFlightRequest(Arc<InFlightRequests>);

impl InFlightRequests {
    /// Counts a request that begins.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlightRequest {
        self.count.fetch_add(1, Ordering::SeqCst);
        InFlightRequest(Arc::clone(self))
    }

    /// Resolves once no request is in flight.
    pub(crate) async fn wait_until_none(&self) {
        loop {
            let none = self.none.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
