//! How a store comes to life: the lock, the database with its schema, the journal replayed into the head.
//!
//! A database that fails does not keep the store from opening; one that is refused (in use, newer than this binary, of
//! another schema) does.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use volute_journal::{Journal, Seq, points::reach};
use volute_plant::{PumpId, PumpName, Timestamp};

use super::{
    Inner, Store, StoreError, StoreSettings, conversion,
    database::{Database, State},
    documents,
    engine::Engine,
    flush, folder,
    head::{Head, Until},
    legacy, migrations,
    moved::MovedFile,
    names::{self, Names},
    record, removal,
    removals::StoredRemoval,
    roster::Roster,
    rows::PumpRow,
    types::{Batch, PumpRecord},
    written::Written,
};

impl Store {
    /// Opens the store in `dir`, or creates it, brings its schema up to date, and reads back from the journal what the
    /// database does not have.
    ///
    /// Refused: a directory that another store has open, and a database newer than this binary. A database that cannot
    /// be opened is told by [`Store::status`]; [`Store::reopen`] tries again.
    pub async fn open(dir: &Path, settings: &StoreSettings, now: Timestamp) -> Result<Self, StoreError> {
        let lock = folder::lock(dir)?;
        let database = Database::shut(dir.to_owned(), settings.clone(), "it is being opened");
        let (opened, found) = match open_engine(&database).await {
            Ok((engine, found)) => (Ok(engine), found),
            Err(error @ StoreError::Database(_)) => (Err(error.to_string()), Found::in_copy(dir)),
            Err(error) => return Err(error),
        };
        let (mut head, journal, damage) = replay(dir, settings, found.mark, now)?;
        let moved = MovedFile::open(dir);
        head.begin_at(moved.until().map_or(now, |until| until.max(now)));
        head.take_removals(&found);
        let inner = Inner {
            dir: dir.to_owned(),
            settings: settings.clone(),
            journal,
            database,
            head: Mutex::new(head),
            roster: found.roster,
            names: Names::new(found.names),
            knows_pumps: AtomicBool::new(found.knows_pumps),
            moved,
            written: tokio::sync::Mutex::new(Written::default()),
            oldest: Default::default(),
            pass: Default::default(),
            marked: AtomicU64::new(found.mark.unwrap_or(Seq::ZERO).get()),
            damage,
            lock: Mutex::new(Some(lock)),
        };
        let store = Self(Arc::new(inner));
        match opened {
            Ok(engine) => store.take_up(engine, found.rows_to_convert).await?,
            Err(reason) => {
                tracing::error!(reason, "the database cannot be opened; readings are kept in the journal");
                *store.0.database.write().await = State::Shut(reason);
            }
        }
        store.0.bring_roster_up_to_date();
        Ok(store)
    }

    /// Puts an opened database to use.
    async fn take_up(&self, engine: Engine, rows_to_convert: bool) -> Result<(), StoreError> {
        if rows_to_convert {
            let pumps = self.0.roster.pumps();
            let take = async |batch: Batch| {
                self.commit(&batch).await?;
                // All of them wait here until the migration has run.
                self.0.head().pack(Until::Now);
                Ok(())
            };
            legacy::read(&engine, &pumps, take).await?;
            migrations::apply(&engine, migrations::ALL).await?;
            documents::define_all(&engine).await?;
        }
        self.0.forget_stored(&engine).await?;
        *self.0.database.write().await = State::Open(Arc::new(engine));
        Ok(())
    }
}

impl Inner {
    /// Opens the database while the store is in use, ready to be asked.
    pub(crate) async fn open_database(&self) -> Result<Engine, StoreError> {
        let (engine, found) = open_engine(&self.database).await?;
        if found.rows_to_convert {
            let reason = "it has the schema of before blocks: restart the node to convert it".to_owned();
            return Err(StoreError::Unavailable { reason });
        }
        self.head().take_removals(&found);
        self.roster.note(&found.roster.records());
        self.take_names(found.names);
        self.knows_pumps.store(true, Ordering::Relaxed);
        self.bring_roster_up_to_date();
        self.forget_stored(&engine).await?;
        self.set_marked(found.mark.unwrap_or(Seq::ZERO));
        Ok(engine)
    }

    /// What the journal says of pumps that is not in the database: removals first, for what is registered is so since.
    fn bring_roster_up_to_date(&self) {
        let head = self.head();
        for (_, pump) in head.removals().waiting() {
            self.roster.forget(pump);
        }
        self.roster.note(head.news().pumps.iter().map(|(_, pump)| pump));
    }
}

impl Head {
    /// Brings the journal's removals together with what was found beside it.
    fn take_removals(&mut self, found: &Found) {
        match found.mark {
            Some(mark) => self.removals_mut().reconcile(&found.removals, mark),
            None => found.removals.keys().for_each(|pump| self.removals_mut().recall(pump.clone())),
        }
    }
}

/// What the database says at the start.
struct Found {
    roster: Roster,
    /// Whether these are all pumps that are stored.
    knows_pumps: bool,
    /// How far the journal is in it; none where there is only the copy of the list of pumps.
    mark: Option<Seq>,
    removals: BTreeMap<PumpId, StoredRemoval>,
    names: BTreeMap<PumpId, PumpName>,
    /// It has rows of before blocks.
    rows_to_convert: bool,
}

impl Found {
    async fn in_database(engine: &Engine, rows_to_convert: bool) -> Result<Self, StoreError> {
        let rows: Vec<PumpRow> = engine.rows("SELECT * FROM pump", []).await?;
        let pumps = rows.into_iter().map(PumpRecord::try_from).collect::<Result<Vec<_>, _>>()?;
        let (mark, removals, names) = match rows_to_convert {
            true => (Seq::ZERO, BTreeMap::new(), BTreeMap::new()),
            false => (flush::read_mark(engine).await?, removal::read(engine).await?, names::read(engine).await?),
        };
        Ok(Self { roster: Roster::new(pumps), knows_pumps: true, mark: Some(mark), removals, names, rows_to_convert })
    }

    /// What the copy of the list of pumps says, where the database cannot be asked.
    fn in_copy(dir: &Path) -> Self {
        let copy = Roster::load(&dir.join(folder::PUMPS));
        let knows_pumps = copy.is_ok();
        let (roster, removing) = copy.unwrap_or_else(|error| {
            tracing::warn!(%error, "the copy of the list of pumps cannot be read either");
            (Roster::new(Vec::new()), Vec::new())
        });
        let removal = |pump| (pump, StoredRemoval { seq: Seq::ZERO, purged: false });
        let removals = removing.into_iter().map(removal).collect();
        let names = Names::in_copy(dir);
        Self { roster, knows_pumps, mark: None, removals, names, rows_to_convert: false }
    }
}

/// The engine with its schema up to date, except where rows have to be read before, and what it says.
async fn open_engine(database: &Database) -> Result<(Engine, Found), StoreError> {
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
        let found = Found::in_database(&engine, convert).await?;
        // One with rows of before blocks has not all tables yet: the next opening is early enough.
        if !convert {
            conversion::clear_replaced(&engine, database.dir()).await;
        }
        Ok(found)
    };
    match prepared.await {
        Ok(found) => Ok((engine, found)),
        Err(error) => {
            if let Err(second) = engine.stop().await {
                tracing::warn!(error = %second, "the database that could not be used could not be closed either");
            }
            Err(error)
        }
    }
}

/// The head as the journal has it.
fn replay(
    dir: &Path,
    settings: &StoreSettings,
    mark: Option<Seq>,
    now: Timestamp,
) -> Result<(Head, Journal, Vec<String>), StoreError> {
    let mut head = Head::default();
    let mut unreadable = Vec::new();
    let take_in = |seq: Seq, bytes: &[u8]| match reach("journal-replay").map(|()| record::decode(bytes)) {
        Ok(Ok(batch)) => {
            head.take_in(seq, batch);
            while let Some(ripe) = head.next_ripe() {
                head.replace(&ripe, ripe.pack());
            }
        }
        Ok(Err(error)) => unreadable.push(format!("record {seq} of the journal cannot be read: {error}")),
        Err(error) => unreadable.push(format!("record {seq} of the journal is not read: {error}")),
    };
    let path = dir.join(folder::JOURNAL);
    let opened = Journal::open(&path, settings.journal(), mark, now.millis(), take_in)?;
    let (journal, recovery) = opened;
    let mut damage: Vec<String> =
        recovery.damage.iter().filter(|damage| !damage.is_unfinished_segment()).map(ToString::to_string).collect();
    damage.extend(unreadable);
    for what in &damage {
        tracing::error!(what, "the journal is damaged");
    }
    tracing::info!(
        records = recovery.records,
        bytes = recovery.bytes,
        readings = head.waiting_readings(),
        "journal read"
    );
    Ok((head, journal, damage))
}
