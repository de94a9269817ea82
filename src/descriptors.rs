//! File descriptors: how many the process may have, and how many of them clients may take.
//!
//! A process that has none left can open neither a table of the database nor the next file of the journal. The limit is
//! often 1,024 by default and may be raised by the process itself up to the hard limit; what is left when the node starts is
//! shared: half for the store, half for clients.
//!
//! An example: a limit of 1,024, of which 64 are open at the start. 480 connections are accepted, 240 of them as live
//! streams; the 481st client waits until another leaves.
//!
//! Does not handle what happens when there is none left after all; see the journal, and `StoreError::Shortage`.

use std::num::NonZeroUsize;

use procfs::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections where nothing else is configured.
const MOST_CONNECTIONS: usize = 10_000;
/// As many are always accepted.
const LEAST_CONNECTIONS: usize = 8;

/// How many clients there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Connections.
    pub connections: usize,
    /// Those of them that may be live streams.
    pub streams: usize,
}

/// Raises the soft limit to the hard one, as far as the system lets it. Returns the limit that holds.
pub fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, ?maximum, "the limit on file descriptors cannot be raised");
    }
    let holds = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(holds).unwrap_or(usize::MAX)
}

/// How many are open, as far as it can be told.
pub fn open() -> usize {
    Process::myself().and_then(|process| process.fd_count()).unwrap_or(0)
}

impl Places {
    /// What a limit leaves, of which so many are open; at most what is configured.
    pub fn new(limit: usize, open: usize, connections: Option<NonZeroUsize>, streams: usize) -> Self {
        let most = (limit.saturating_sub(open) / 2).max(LEAST_CONNECTIONS);
        let connections = connections.map_or(MOST_CONNECTIONS, NonZeroUsize::get).min(most);
        Self { connections, streams: streams.min(connections / 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_half_of_what_is_left_and_no_more_than_is_configured() {
        for (limit, open, configured, streams, expected) in [
            (1024, 64, 0, 1000, (480, 240)),
            (1024, 64, 100, 1000, (100, 50)),
            (1024, 64, 5000, 20, (480, 20)),
            (524_288, 64, 0, 1000, (10_000, 1000)),
            (524_288, 64, 20_000, 1000, (20_000, 1000)),
            (usize::MAX, 64, 0, 1000, (10_000, 1000)),
            (64, 64, 0, 1000, (8, 4)),
        ] {
            let places = Places::new(limit, open, NonZeroUsize::new(configured), streams);
            assert_eq!((places.connections, places.streams), expected, "{limit}, {configured}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let limit = raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert!(open() > 0 && open() < limit);
    }
}
