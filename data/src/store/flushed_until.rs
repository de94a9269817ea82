//! The file `moved_until`: the time up to which the database may hold readings, for a start without the database.
//!
//! Readings are flushed to the database after their minute has passed by the node's clock. So everything that the
//! database holds at a start is earlier than the node's clock shows then. A later reading is known to be new, even if
//! the database cannot be read. This does not hold if everything is flushed at once, as an import does, or if the clock
//! is set back while the node runs. The file covers these two cases. Example: at 12:05 the clock is set back to 11:05.
//! The file then contains 12:05, and a node that starts at 11:10 without its database does not treat a reading of 11:30
//! as new.
//!
//! Does not cover a clock that is set back while the node is off, if the database cannot be read at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, MutexGuard};
use volute_journal::durable::write_file;
use volute_plant::Timestamp;

use super::{StoreError, folder};

/// The file and its content; see the module documentation.
pub(crate) struct FlushedUntilFile {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The time in the file.
    until: Option<Timestamp>,
    /// The latest time of the node's clock at a flush.
    latest: Option<Timestamp>,
}

impl FlushedUntilFile {
    /// Reads the file in the data directory. If it does not exist or cannot be read, there is no time.
    pub(crate) fn open(dir: &Path) -> Self {
        let path = dir.join(folder::FLUSHED_UNTIL);
        let until = match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(until) => Some(until),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the time up to which the database may hold readings cannot be parsed");
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the time up to which the database may hold readings cannot be read");
                None
            }
        };
        Self { path, known: Mutex::new(Known { until, latest: None }) }
    }

    /// Returns the time in the file.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.known().until
    }

    /// Raises the time in the file to `until`, if it is later. Durable when this returns `Ok`.
    pub(crate) fn raise(&self, until: Timestamp) -> Result<(), StoreError> {
        let mut known = self.known();
        if Some(until) <= known.until {
            return Ok(());
        }
        write_file(&self.path, format!("{until}\n").as_bytes())
            .map_err(|source| StoreError::Directory { path: self.path.clone(), source })?;
        known.until = Some(until);
        Ok(())
    }

    /// Records the time that the node's clock shows at a flush. If the clock was set back, raises the time in the file
    /// to the latest time that the clock showed before.
    pub(crate) fn observe_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = {
            let mut known = self.known();
            let before = known.latest;
            known.latest = before.max(Some(now));
            before
        };
        match before {
            Some(before) if before > now => self.raise(before),
            _ => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_only_rises_and_survives_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |s: i64| Timestamp::from_millis(1_773_051_240_000 + s * 1000).expect("a time");
        assert_eq!(FlushedUntilFile::open(dir.path()).until(), None);
        let file = FlushedUntilFile::open(dir.path());
        for (raised, until) in [(5, 5), (3, 5), (7, 7)] {
            file.raise(at(raised)).expect("written");
            assert_eq!((file.until(), FlushedUntilFile::open(dir.path()).until()), (Some(at(until)), Some(at(until))));
        }
        for (now, until) in [(20, 7), (21, 7), (9, 21), (10, 21)] {
            file.observe_clock(at(now)).expect("written");
            assert_eq!(FlushedUntilFile::open(dir.path()).until(), Some(at(until)), "the clock shows {now}");
        }
        fs::write(dir.path().join(folder::FLUSHED_UNTIL), "soon").expect("written");
        assert_eq!(FlushedUntilFile::open(dir.path()).until(), None);
    }
}
