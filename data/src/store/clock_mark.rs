//! The last time at which the node's clock was believed, kept beyond the process.
//!
//! It is in a small file of its own, so that it is there although the database does not open, and is written only while
//! the clock is believed. A data directory without it (of an earlier version, or put back from a backup) has the node's
//! newest figures instead, which are written every ten seconds.
//!
//! Does not judge the clock; see [`volute_plant::ClockCheck`].

use std::{fs, io, path::Path};

use volute_plant::Timestamp;

use super::{Store, folder, types::Range};

impl Store {
    /// The last time at which the clock was believed, as far as is known.
    pub async fn clock_last_believed(&self) -> Option<Timestamp> {
        if let Some(at) = read(&self.0.dir.join(folder::CLOCK)) {
            return Some(at);
        }
        match self.metrics(&Range::newest(1)).await {
            Ok(newest) => newest.rows.first().map(|figures| figures.at),
            Err(error) => {
                tracing::warn!(%error, "when the node last ran is not known, so its clock cannot be checked against it");
                None
            }
        }
    }

    /// Keeps a time at which the clock is believed. Writes a file of some bytes.
    pub fn note_clock(&self, at: Timestamp) -> io::Result<()> {
        let path = self.0.dir.join(folder::CLOCK);
        let partial = path.with_extension("partial");
        fs::write(&partial, format!("{at}\n"))?;
        fs::rename(partial, path)
    }
}

fn read(path: &Path) -> Option<Timestamp> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let at = text.trim().parse().ok();
            if at.is_none() {
                tracing::warn!(path = %path.display(), "it does not hold a time, so the node's figures are taken");
            }
            at
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "it cannot be read, so the node's figures are taken");
            }
            None
        }
    }
}
