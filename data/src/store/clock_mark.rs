//! The clock mark: the last time at which the node's clock was trusted, and the latest time that retention used as the
//! present.
//!
//! The mark is a small file with two lines, so that it can be read when the database cannot be opened. It is written
//! only while the clock is trusted. A data directory of an earlier version, or one restored from a backup, does
//! not have the file. Then the time of the node's newest metrics is used, which are written every ten seconds. A file
//! of an earlier version has only the first line.
//!
//! Does not decide whether the clock is trusted; see [`volute_plant::ClockCheck`].

use std::{fs, io, path::Path};

use volute_plant::Timestamp;

use super::{Store, folder, types::PageRange};

/// The stored state of the node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockMark {
    /// The last time at which the clock was trusted.
    pub last_trusted: Timestamp,
    /// The latest time that retention used as the present.
    pub retention_now: Timestamp,
}

impl Store {
    /// Reads the clock mark, or derives it from the node's newest metrics; none on a new node.
    pub async fn clock_mark(&self) -> Option<ClockMark> {
        if let Some(mark) = read(&self.0.dir.join(folder::CLOCK)) {
            return Some(mark);
        }
        match self.metrics(&PageRange::newest(1)).await {
            Ok(newest) => newest.rows.first().map(|metrics| ClockMark::at(metrics.at)),
            Err(error) => {
                tracing::warn!(%error, "the time of the node's last run is unknown, so its clock cannot be checked against it");
                None
            }
        }
    }

    /// Writes the clock mark. Call it only while the clock is trusted.
    pub fn save_clock_mark(&self, ClockMark { last_trusted, retention_now }: ClockMark) -> io::Result<()> {
        let path = self.0.dir.join(folder::CLOCK);
        let partial = path.with_extension("partial");
        fs::write(&partial, format!("{last_trusted}\n{retention_now}\n"))?;
        fs::rename(partial, path)
    }
}

impl ClockMark {
    /// Creates a mark with both times the same.
    fn at(at: Timestamp) -> Self {
        Self { last_trusted: at, retention_now: at }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let last_trusted = lines.next()?.parse().ok()?;
        let retention_now = lines.next().map_or(Some(last_trusted), |line| line.parse().ok())?;
        Some(Self { last_trusted, retention_now })
    }
}

fn read(path: &Path) -> Option<ClockMark> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let mark = ClockMark::parse(&text);
            if mark.is_none() {
                tracing::warn!(path = %path.display(), "the clock mark cannot be parsed; the time of the node's newest metrics is used");
            }
            mark
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "the clock mark cannot be read; the time of the node's newest metrics is used");
            }
            None
        }
    }
}
