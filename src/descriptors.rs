//! The limit on file descriptors, and the number of connections that it allows.
//!
//! A process without a free descriptor cannot open a table of the database or the next file of the journal. The soft
//! limit is often 1,024; the process raises it to the hard limit. The descriptors that are free when the node starts
//! are divided: half for the store, half for clients.
//!
//! Example: the limit is 1,024, and 64 descriptors are open at the start. At most 480 connections are accepted, at most
//! 240 of them live streams; the 481st client waits until another connection closes.
//!
//! Does not handle a lack of descriptors; see the journal, and `StoreError::OutOfResources`.

use std::num::NonZeroUsize;

use procfs::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The maximum number of connections, unless it is configured.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
/// The number of connections that are accepted even if the limit on descriptors is too low.
const MIN_CONNECTIONS: usize = 8;

/// Limits on the clients of the HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// The maximum number of connections.
    pub connections: usize,
    /// The maximum number of live streams, which count as connections too.
    pub streams: usize,
}

/// Raises the soft limit to the hard limit, if the system allows it. Returns the resulting soft limit.
pub fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, ?maximum, "the limit on file descriptors cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns the number of open descriptors of the process; 0 if the system does not report it.
pub fn open_count() -> usize {
    Process::myself().and_then(|process| process.fd_count()).unwrap_or(0)
}

impl ClientLimits {
    /// Returns the configured limits, lowered to what the `limit` on descriptors allows if `open` of them are in use.
    pub fn new(limit: usize, open: usize, connections: Option<NonZeroUsize>, streams: usize) -> Self {
        let allowed = (limit.saturating_sub(open) / 2).max(MIN_CONNECTIONS);
        let connections = connections.map_or(DEFAULT_MAX_CONNECTIONS, NonZeroUsize::get).min(allowed);
        Self { connections, streams: streams.min(connections / 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_half_of_the_free_descriptors_and_at_most_the_configured_number() {
        for (limit, open, configured, streams, expected) in [
            (1024, 64, 0, 1000, (480, 240)),
            (1024, 64, 100, 1000, (100, 50)),
            (1024, 64, 5000, 20, (480, 20)),
            (524_288, 64, 0, 1000, (10_000, 1000)),
            (524_288, 64, 20_000, 1000, (20_000, 1000)),
            (usize::MAX, 64, 0, 1000, (10_000, 1000)),
            (64, 64, 0, 1000, (8, 4)),
        ] {
            let limits = ClientLimits::new(limit, open, NonZeroUsize::new(configured), streams);
            assert_eq!((limits.connections, limits.streams), expected, "{limit}, {configured}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let limit = raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert!(open_count() > 0 && open_count() < limit);
    }
}
