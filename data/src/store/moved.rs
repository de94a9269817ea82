//! Up to which time the database may hold readings, for a start without it.
//!
//! Readings leave the head for the database once their minute has passed by the node's clock. So whatever the database
//! holds at a start is earlier than the node's clock then, and a later reading is new although the database cannot be read.
//! Two cases break that rule, and this file covers them: everything is flushed at once, as by an import, and the clock is
//! set back while the node runs. Example: at 12:05 the clock is set back to 11:05. The file then says 12:05, and a node
//! that starts at 11:10 without its database does not take a reading of 11:30 for new.
//!
//! Does not cover a clock that is set back while the node is off and the database cannot be read at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, MutexGuard};
use volute_journal::durable::write_file;
use volute_plant::Timestamp;

use super::{StoreError, folder};

/// See the module's head.
pub(crate) struct MovedFile {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What the file says.
    until: Option<Timestamp>,
    /// The latest time that the node's clock has shown at a flush.
    latest: Option<Timestamp>,
}

impl MovedFile {
    /// The file in the store's directory. One that is not there says nothing, and neither does one that cannot be read.
    pub(crate) fn open(dir: &Path) -> Self {
        let path = dir.join(folder::MOVED_UNTIL);
        let until = match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(until) => Some(until),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the time in it cannot be read");
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "it cannot be read");
                None
            }
        };
        Self { path, known: Mutex::new(Known { until, latest: None }) }
    }

    /// The time that it says.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.known().until
    }

    /// From now on the database may hold readings up to this time. Durable when it returns `Ok`.
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

    /// What has passed by the node's clock is about to be moved. Where the clock was set back, the time that it had shown
    /// before is kept.
    pub(crate) fn clock(&self, now: Timestamp) -> Result<(), StoreError> {
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
    fn the_time_only_rises_and_outlives_the_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |s: i64| Timestamp::from_millis(1_773_051_240_000 + s * 1000).expect("a time");
        assert_eq!(MovedFile::open(dir.path()).until(), None);
        let file = MovedFile::open(dir.path());
        for (raised, until) in [(5, 5), (3, 5), (7, 7)] {
            file.raise(at(raised)).expect("written");
            assert_eq!((file.until(), MovedFile::open(dir.path()).until()), (Some(at(until)), Some(at(until))));
        }
        for (now, until) in [(20, 7), (21, 7), (9, 21), (10, 21)] {
            file.clock(at(now)).expect("written");
            assert_eq!(MovedFile::open(dir.path()).until(), Some(at(until)), "the clock shows {now}");
        }
        fs::write(dir.path().join(folder::MOVED_UNTIL), "soon").expect("written");
        assert_eq!(MovedFile::open(dir.path()).until(), None);
    }
}
