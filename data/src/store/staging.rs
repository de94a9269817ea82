//! A consistent copy of a store in use, for a backup: made while the database is closed for a moment.
//!
//! Nothing is refused meanwhile: readings go into the journal, and who asks for history waits. The tables' files never
//! change once written, so they are linked, not copied, and the pause does not grow with the data. What a conversion
//! replaced is left out. Deliberately absent:
//! where the copy goes from here (the backup's business).

use std::{fs, io, path::Path};

use super::{Inner, Store, StoreError, conversion::REPLACED, database::State, folder, written::Written};
use volute_journal::{Seq, points::reach};

/// The ending of files that never change once they are written (SurrealKV's sorted tables).
const IMMUTABLE: &str = "sst";

/// What a staged copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Every record of the journal up to this one is in it.
    pub durable_seq: u64,
    /// Every record below this is in its database.
    pub low_water: u64,
    /// The newest migration of its schema.
    pub schema: u32,
}

impl Store {
    /// Makes a copy of the store as it is now in an empty folder on the same file system.
    ///
    /// It is a data directory of its own, but shares its tables' files: copy it before it is opened.
    pub async fn stage(&self, staging: &Path) -> Result<Staged, StoreError> {
        let mut written = self.0.written.lock().await;
        let mut state = self.0.database.write().await;
        let engine = match std::mem::replace(&mut *state, State::Shut("it is being copied".into())) {
            State::Open(engine) => engine,
            other => {
                *state = other;
                return Err(state.engine().err().unwrap_or(StoreError::Closed));
            }
        };
        let schema = super::migrations::version(&engine).await;
        let copied = match engine.stop().await {
            Ok(()) => self.0.copy(staging).map_err(|source| StoreError::Directory { path: staging.to_owned(), source }),
            Err(error) => Err(error),
        };
        *written = Written::default();
        *state = match self.0.open_database().await {
            Ok(engine) => State::Open(std::sync::Arc::new(engine)),
            Err(error) => {
                tracing::error!(%error, "the database could not be opened again after it was copied");
                State::Shut(error.to_string())
            }
        };
        let durable_seq = copied?;
        Ok(Staged { durable_seq: durable_seq.get(), low_water: self.0.marked().get(), schema: schema? })
    }
}

impl Inner {
    /// Copies the closed database and the journal's share.
    fn copy(&self, staging: &Path) -> io::Result<Seq> {
        reach("stage")?;
        link_or_copy(&self.dir.join(folder::DATABASE), &staging.join(folder::DATABASE))?;
        let journal = staging.join(folder::JOURNAL);
        fs::create_dir_all(&journal)?;
        let durable_seq = self.journal.durable_seq();
        for segment in self.journal.segments_from(self.marked()) {
            let Some(name) = segment.path.file_name() else { continue };
            let mut from = io::Read::take(fs::File::open(&segment.path)?, segment.durable_bytes);
            io::copy(&mut from, &mut fs::File::create_new(journal.join(name))?)?;
        }
        for name in [folder::PUMPS, folder::MOVED_UNTIL] {
            let file = self.dir.join(name);
            if file.exists() {
                fs::copy(&file, staging.join(name))?;
            }
        }
        let profiles = self.dir.join(folder::PROFILES);
        if profiles.exists() {
            link_or_copy(&profiles, &staging.join(folder::PROFILES))?;
        }
        reach("staged")?;
        Ok(durable_seq)
    }
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        if entry.file_name() == REPLACED {
            continue;
        }
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_or_copy(&path, &to)?;
        } else if path.extension().is_some_and(|ending| ending == IMMUTABLE) {
            fs::hard_link(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
