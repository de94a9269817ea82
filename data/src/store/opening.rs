//! Opening a store: the lock of the data directory, the database with its schema, and the journal, which is replayed
//! into the head.
//!
//! The store opens even if the database cannot be opened. It does not open if the data directory or the database is
//! refused: in use, newer than this binary, or with another schema.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use volute_journal::{Journal, Seq, failpoints::fail_point};
use volute_plant::{PumpId, PumpName, Timestamp};

use super::{
    Store, StoreError, StoreInner, StoreSettings,
    audit_chain::ChainHead,
    audit_head::{self, ChainEndRecord},
    conversion,
    database::{Database, DatabaseState},
    document::DocumentKind,
    documents,
    engine::DatabaseEngine,
    flush,
    flush_cache::FlushCache,
    flushed_until::FlushedUntilFile,
    folder,
    head::{DuePolicy, Head},
    legacy, migrations,
    pending_removals::StoredRemoval,
    pump_name_cache::{self, PumpNameCache},
    pump_registry::PumpRegistry,
    record, removal,
    rows::PumpRow,
    types::{Batch, PumpRecord},
};

impl Store {
    /// Opens or creates the store in `dir`, brings its schema up to date, and replays from the journal what the
    /// database does not have.
    ///
    /// Fails if another store has the directory open or the database is newer than this binary. If the database cannot
    /// be opened, [`Store::status`] says so, and [`Store::reopen`] tries again.
    pub async fn open(dir: &Path, settings: &StoreSettings, now: Timestamp) -> Result<Self, StoreError> {
        let lock = folder::lock(dir)?;
        let database = Database::unavailable(dir.to_owned(), settings.clone(), "it is being opened");
        let (opened, found) = match open_engine(&database).await {
            Ok((engine, found)) => (Ok(engine), found),
            Err(error @ StoreError::Database(_)) => (Err(error.to_string()), StoredState::read_copy(dir)),
            Err(error) => return Err(error),
        };
        let (mut head, journal, damage) = replay(dir, settings, found.mark, now)?;
        let flushed_until_file = FlushedUntilFile::open(dir);
        head.set_flushed_before_start(flushed_until_file.until().map_or(now, |until| until.max(now)));
        head.reconcile_removals(&found);
        let inner = StoreInner {
            dir: dir.to_owned(),
            settings: settings.clone(),
            journal,
            database,
            head: Mutex::new(head),
            pump_registry: found.pump_registry,
            audit_chain: Default::default(),
            pump_names: PumpNameCache::new(found.names),
            pump_list_complete: AtomicBool::new(found.pump_list_complete),
            flushed_until_file,
            flush_cache: tokio::sync::Mutex::new(FlushCache::default()),
            oldest_rows: Default::default(),
            sweep_pass: Default::default(),
            low_water: AtomicU64::new(found.mark.unwrap_or(Seq::ZERO).get()),
            damage,
            lock: Mutex::new(Some(lock)),
        };
        inner.raise_audit_head(found.audit_head);
        let store = Self(Arc::new(inner));
        match opened {
            Ok(engine) => store.attach_database(engine, found.rows_to_convert).await?,
            Err(reason) => {
                tracing::error!(reason, "the database cannot be opened; readings are stored in the journal");
                *store.0.database.write().await = DatabaseState::Unavailable(reason);
            }
        }
        store.0.apply_journal_to_registry();
        Ok(store)
    }

    /// Converts an opened database if it has rows of the format before blocks, and starts to use it.
    async fn attach_database(&self, engine: DatabaseEngine, rows_to_convert: bool) -> Result<(), StoreError> {
        if rows_to_convert {
            let pumps = self.0.pump_registry.pumps();
            let take = async |batch: Batch| {
                self.commit(&batch).await?;
                // All rows stay in memory until the migration has run.
                self.0.head().pack(DuePolicy::All);
                Ok(())
            };
            legacy::read(&engine, &pumps, take).await?;
            migrations::apply(&engine, migrations::ALL).await?;
            documents::define_all(&engine).await?;
        }
        self.0.discard_stored_rows(&engine).await?;
        *self.0.database.write().await = DatabaseState::Open(Arc::new(engine));
        Ok(())
    }
}

impl StoreInner {
    /// Opens the database while the store is in use, and reconciles head and registry with it.
    pub(crate) async fn open_database(&self) -> Result<DatabaseEngine, StoreError> {
        let (engine, found) = open_engine(&self.database).await?;
        if found.rows_to_convert {
            let reason = "it has the schema from before blocks: restart the node to convert it".to_owned();
            return Err(StoreError::Unavailable { reason });
        }
        self.head().reconcile_removals(&found);
        self.pump_registry.add(&found.pump_registry.records());
        self.replace_names(found.names);
        self.raise_audit_head(found.audit_head);
        self.pump_list_complete.store(true, Ordering::Relaxed);
        self.apply_journal_to_registry();
        self.discard_stored_rows(&engine).await?;
        self.set_low_water(found.mark.unwrap_or(Seq::ZERO));
        Ok(engine)
    }

    /// Sets the head of the audit log's chain to the furthest of those in the database, the journal and the file.
    fn raise_audit_head(&self, in_database: Option<ChainHead>) {
        let in_journal = self
            .head()
            .other_rows()
            .documents(ChainEndRecord::TABLE)
            .filter_map(ChainEndRecord::read_head)
            .collect::<Vec<_>>();
        let heads = in_database.into_iter().chain(audit_head::read_head_file(&self.dir)).chain(in_journal);
        heads.for_each(|head| self.audit_chain.raise(head));
    }

    /// Applies the removals and registrations of the head to the pump registry. Removals come first: the registrations
    /// in the head are later.
    fn apply_journal_to_registry(&self) {
        let head = self.head();
        for (_, pump) in head.removals().not_stored() {
            self.pump_registry.remove(pump);
        }
        self.pump_registry.add(head.other_rows().pumps.iter().map(|(_, pump)| pump));
    }
}

impl Head {
    /// Reconciles the removals of the journal with those of the database or its copy.
    fn reconcile_removals(&mut self, found: &StoredState) {
        match found.mark {
            Some(mark) => self.removals_mut().reconcile(&found.removals, mark),
            None => found.removals.keys().for_each(|pump| self.removals_mut().restore(pump.clone())),
        }
    }
}

/// What is read from the database at the start, or from the copies of its lists.
struct StoredState {
    pump_registry: PumpRegistry,
    /// Whether the registry has all stored pumps.
    pump_list_complete: bool,
    /// The journal's low-water mark; none if only the copy of the list of pumps was read.
    mark: Option<Seq>,
    removals: BTreeMap<PumpId, StoredRemoval>,
    names: BTreeMap<PumpId, PumpName>,
    /// The head of the audit log's chain.
    audit_head: Option<ChainHead>,
    /// Whether the database has rows of the format before blocks.
    rows_to_convert: bool,
}

impl StoredState {
    async fn read_database(engine: &DatabaseEngine, rows_to_convert: bool) -> Result<Self, StoreError> {
        let rows: Vec<PumpRow> = engine.rows("SELECT * FROM pump", []).await?;
        let pumps = rows.into_iter().map(PumpRecord::try_from).collect::<Result<Vec<_>, _>>()?;
        let (mark, removals, names, audit_head) = match rows_to_convert {
            true => (Seq::ZERO, BTreeMap::new(), BTreeMap::new(), None),
            false => {
                let (mark, removals) = (flush::read_mark(engine).await?, removal::read(engine).await?);
                let head =
                    documents::stored::<ChainEndRecord>(engine, &ChainEndRecord::of_head(ChainHead::EMPTY).key())
                        .await?;
                (mark, removals, pump_name_cache::read(engine).await?, head.as_ref().map(ChainEndRecord::entry))
            }
        };
        Ok(Self {
            pump_registry: PumpRegistry::new(pumps),
            pump_list_complete: true,
            mark: Some(mark),
            removals,
            names,
            audit_head,
            rows_to_convert,
        })
    }

    /// Reads the copies of the lists of pumps and names, if the database is unavailable.
    fn read_copy(dir: &Path) -> Self {
        let copy = PumpRegistry::load(&dir.join(folder::PUMPS));
        let pump_list_complete = copy.is_ok();
        let (pump_registry, removing) = copy.unwrap_or_else(|error| {
            tracing::warn!(%error, "the copy of the list of pumps cannot be read");
            (PumpRegistry::new(Vec::new()), Vec::new())
        });
        let removal = |pump| (pump, StoredRemoval { seq: Seq::ZERO, purged: false });
        let removals = removing.into_iter().map(removal).collect();
        let names = PumpNameCache::read_copy(dir);
        let (mark, audit_head, rows_to_convert) = (None, None, false);
        Self { pump_registry, pump_list_complete, mark, removals, names, audit_head, rows_to_convert }
    }
}

/// Opens the engine and reads its state. Brings the schema up to date, unless rows must be converted first.
async fn open_engine(database: &Database) -> Result<(DatabaseEngine, StoredState), StoreError> {
    let engine = database.start_engine().await?;
    let prepared = async {
        let version = migrations::version(&engine).await?;
        let convert = (1..migrations::BLOCKS).contains(&version);
        let up_to_date: Vec<_> =
            migrations::ALL.iter().filter(|migration| !convert || migration.version < migrations::BLOCKS).collect();
        migrations::apply(&engine, up_to_date).await?;
        if !convert {
            documents::define_all(&engine).await?;
        }
        let found = StoredState::read_database(&engine, convert).await?;
        // A database with rows to convert does not have all tables yet; the next opening removes the replaced files.
        if !convert {
            conversion::clear_replaced(&engine, database.dir()).await;
        }
        Ok(found)
    };
    match prepared.await {
        Ok(found) => Ok((engine, found)),
        Err(error) => {
            if let Err(second) = engine.stop().await {
                tracing::warn!(error = %second, "the database could not be used, and could not be closed either");
            }
            Err(error)
        }
    }
}

/// Opens the journal and replays it into a head. Also returns what was found damaged.
fn replay(
    dir: &Path,
    settings: &StoreSettings,
    mark: Option<Seq>,
    now: Timestamp,
) -> Result<(Head, Journal, Vec<String>), StoreError> {
    let mut head = Head::default();
    let mut unreadable = Vec::new();
    let apply = |seq: Seq, bytes: &[u8]| match fail_point("journal-replay").map(|()| record::decode(bytes)) {
        Ok(Ok(batch)) => {
            head.apply(seq, batch);
            while let Some(candidate) = head.next_pack_candidate() {
                head.replace(&candidate, candidate.pack());
            }
        }
        Ok(Err(error)) => unreadable.push(format!("record {seq} of the journal cannot be read: {error}")),
        Err(error) => unreadable.push(format!("record {seq} of the journal is not read: {error}")),
    };
    let path = dir.join(folder::JOURNAL);
    let opened = Journal::open(&path, settings.journal(), mark, now.millis(), apply)?;
    let (journal, recovery) = opened;
    let mut damage: Vec<String> =
        recovery.damage.iter().filter(|damage| !damage.is_unfinished_segment()).map(ToString::to_string).collect();
    damage.extend(unreadable);
    for damage in &damage {
        tracing::error!(damage, "the journal is damaged");
    }
    tracing::info!(
        records = recovery.records,
        bytes = recovery.bytes,
        readings = head.unflushed_readings(),
        "journal read"
    );
    Ok((head, journal, damage))
}
