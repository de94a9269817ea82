//! Makes a consistent copy of a store in use, for a backup. The database is closed for a moment.
//!
//! Nothing is refused in the meantime: commits go to the journal, and queries of the database wait. The tables' files
//! never change once they are written, so they are hard-linked, not copied. The journal's segments are copied, so the
//! pause grows only with what the database does not have yet. Files that a format conversion replaced are left out.
//!
//! Does not move the copy anywhere else; see the `backup` module.

use std::{fs, io, path::Path};

use super::{
    Store, StoreError, StoreInner, conversion::REPLACED, database::DatabaseState, flush_cache::FlushCache, folder,
};
use volute_journal::{Seq, failpoints::fail_point};

/// The extension of files that never change once they are written (SurrealKV's sorted tables).
const IMMUTABLE: &str = "sst";

/// The content of a staged copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedCopy {
    /// The copy has every journal record up to and including this one.
    pub durable_seq: u64,
    /// The copy's database has every journal record below this one.
    pub low_water: u64,
    /// The newest migration in its database.
    pub schema: u32,
}

impl Store {
    /// Copies the store as it is now to an empty folder on the same file system.
    ///
    /// The copy is a data directory, but shares its tables' files with the store: copy it elsewhere before opening it.
    pub async fn stage(&self, staging: &Path) -> Result<StagedCopy, StoreError> {
        let mut flush_cache = self.0.flush_cache.lock().await;
        let mut state = self.0.database.write().await;
        let engine = match std::mem::replace(&mut *state, DatabaseState::Unavailable("it is being copied".into())) {
            DatabaseState::Open(engine) => engine,
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
        *flush_cache = FlushCache::default();
        *state = match self.0.open_database().await {
            Ok(engine) => DatabaseState::Open(std::sync::Arc::new(engine)),
            Err(error) => {
                tracing::error!(%error, "the database could not be opened again after it was copied");
                DatabaseState::Unavailable(error.to_string())
            }
        };
        let durable_seq = copied?;
        Ok(StagedCopy { durable_seq: durable_seq.get(), low_water: self.0.low_water().get(), schema: schema? })
    }
}

impl StoreInner {
    /// Copies the closed database, and the journal's segments that the database does not have completely.
    fn copy(&self, staging: &Path) -> io::Result<Seq> {
        fail_point("stage")?;
        link_or_copy(&self.dir.join(folder::DATABASE), &staging.join(folder::DATABASE))?;
        let journal = staging.join(folder::JOURNAL);
        fs::create_dir_all(&journal)?;
        let durable_seq = self.journal.durable_seq();
        for segment in self.journal.segments_from(self.low_water()) {
            let Some(name) = segment.path.file_name() else { continue };
            let mut from = io::Read::take(fs::File::open(&segment.path)?, segment.durable_bytes);
            io::copy(&mut from, &mut fs::File::create_new(journal.join(name))?)?;
        }
        for name in [folder::PUMPS, folder::FLUSHED_UNTIL] {
            let file = self.dir.join(name);
            if file.exists() {
                fs::copy(&file, staging.join(name))?;
            }
        }
        let profiles = self.dir.join(folder::PROFILES_FOLDER);
        if profiles.exists() {
            copy_profiles(&profiles, &staging.join(folder::PROFILES_FOLDER))?;
        }
        fail_point("staged")?;
        Ok(durable_seq)
    }
}

/// Copies the files of profiles and their models. A file that cannot be read is left out with a warning, since a backup
/// without it is better than none. A pipe is not opened, because reading it would not end.
fn copy_profiles(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let content = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                copy_profiles(&path, &to)?;
                continue;
            }
            Ok(metadata) if metadata.is_file() => fs::read(&path),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder")),
            Err(error) => Err(error),
        };
        match content {
            Ok(bytes) => fs::write(to, bytes)?,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a file of a profile cannot be read, and is not in the backup");
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_profile_that_cannot_be_read_is_left_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("bearing")).expect("created");
        fs::write(from.join("bearing/manifest.json"), "{}").expect("written");
        fs::write(from.join("bearing.toml"), "name").expect("written");
        std::os::unix::fs::symlink("nowhere", from.join("gear.toml")).expect("linked");
        let piped = Command::new("mkfifo").arg(from.join("pipe.toml")).status().expect("mkfifo runs");
        assert!(piped.success());
        copy_profiles(&from, &to).expect("the others are copied");
        let mut names: Vec<_> =
            fs::read_dir(&to).expect("read").map(|entry| entry.expect("read").file_name()).collect();
        names.sort();
        assert_eq!(names, ["bearing", "bearing.toml"]);
        assert_eq!(fs::read_to_string(to.join("bearing/manifest.json")).expect("read"), "{}");
    }
}
