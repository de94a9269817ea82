//! The store's settings are passed to the storage engine, which logs them when it starts.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use volute_data::{Store, StoreSettings};
use volute_plant::Timestamp;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The only test of its binary, because it captures the log of the whole process.
#[tokio::test]
async fn caches_are_bounded_and_every_commit_is_synced() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let settings = StoreSettings {
        block_cache_mib: 24.try_into().expect("above zero"),
        memtable_mib: 8.try_into().expect("above zero"),
        threads: 1.try_into().expect("above zero"),
        ..StoreSettings::default()
    };
    let now = Timestamp::from_millis(1_773_051_273_000).expect("a time");
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), &settings, now).await.expect("opened");
    store.close().await.expect("closed");
    let log = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    for expected in
        ["block cache capacity: 25165824", "max memtable size: 8388608", "Sync mode: every transaction commit"]
    {
        assert!(log.contains(expected), "{expected:?} in {log}");
    }
}
