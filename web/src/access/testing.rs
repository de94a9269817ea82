//! Users, sessions and tokens in memory, for tests of routes.

use std::{io, sync::Mutex};

use futures::future::{BoxFuture, ready};
use volute_access::{AnonymousIngest, Record, SessionLimits};
use volute_data::StoreError;

use super::{Access, AccessSettings, AccessStore};

/// Records in memory. A failure to store them can be set.
#[derive(Default)]
pub(crate) struct MemoryRecords {
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) fails: std::sync::atomic::AtomicBool,
}

impl AccessStore for &'static MemoryRecords {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let records = self.records.lock().expect("not poisoned").clone();
        Box::pin(ready(Ok(records)))
    }

    fn commit<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            return Box::pin(ready(Err(StoreError::Closed)));
        }
        self.records.lock().expect("not poisoned").extend_from_slice(records);
        Box::pin(ready(Ok(())))
    }

    fn write_copy(&self, _: &[Record]) -> io::Result<()> {
        Ok(())
    }
}

/// Returns settings with sessions of one hour idle and ten hours in all.
pub(crate) fn settings() -> AccessSettings {
    AccessSettings {
        sessions: SessionLimits { idle_ms: 3_600_000, absolute_ms: 36_000_000 },
        anonymous_ingest: AnonymousIngest::Loopback,
        single_sign_on: false,
    }
}

/// Returns records that live as long as the test.
pub(crate) fn records() -> &'static MemoryRecords {
    Box::leak(Box::default())
}

/// Returns the access of a node without users.
pub(crate) async fn open_access() -> Access {
    Access::open(Box::new(records()), settings()).await
}
