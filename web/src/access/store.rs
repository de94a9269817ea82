//! What the service of access needs of the store, as a trait, so that tests of routes use one in memory.

use std::io;

use futures::future::BoxFuture;
use volute_access::Record;
use volute_data::{Batch, Document, Store, StoreError};

/// Stores users, sessions and tokens.
pub trait AccessStore: Send + Sync {
    /// Returns all records.
    fn load(&self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>>;

    /// Stores records. They are durable on return.
    fn commit<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes the copy that is read at a start without the database. Blocks on the disk.
    fn write_copy(&self, records: &[Record]) -> io::Result<()>;
}

impl AccessStore for Store {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        Box::pin(self.access_records())
    }

    fn commit<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let documents = records.iter().map(Document::of_access).collect();
            Self::commit(self, &Batch { documents, ..Batch::default() }).await
        })
    }

    fn write_copy(&self, records: &[Record]) -> io::Result<()> {
        self.write_access_copy(records)
    }
}
