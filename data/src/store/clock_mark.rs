//! The last time at which the node's clock was believed, and up to which time old rows were deleted, kept beyond the process.
//!
//! They are the two lines of a small file of its own, so that they are there although the database does not open, and are written only while
//! the clock is believed. A data directory without it (of an earlier version, or put back from a backup) has the time of the
//! node's newest figures instead, which are written every ten seconds; one of an earlier version has the first line only.
//!
//! Does not judge the clock; see [`volute_plant::ClockCheck`].

use std::{fs, io, path::Path};

use volute_plant::Timestamp;

use super::{Store, folder, types::Range};

/// What is kept of the node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockMark {
    /// The last time at which it was believed.
    pub believed: Timestamp,
    /// By this time rows were too old to be kept.
    pub retention: Timestamp,
}

impl Store {
    /// What is known of the node's clock.
    pub async fn clock_mark(&self) -> Option<ClockMark> {
        if let Some(mark) = read(&self.0.dir.join(folder::CLOCK)) {
            return Some(mark);
        }
        match self.metrics(&Range::newest(1)).await {
            Ok(newest) => newest.rows.first().map(|figures| ClockMark::at(figures.at)),
            Err(error) => {
                tracing::warn!(%error, "when the node last ran is not known, so its clock cannot be checked against it");
                None
            }
        }
    }

    /// Keeps what is known of the clock while it is believed. Writes a file of some bytes.
    pub fn note_clock(&self, ClockMark { believed, retention }: ClockMark) -> io::Result<()> {
        let path = self.0.dir.join(folder::CLOCK);
        let partial = path.with_extension("partial");
        fs::write(&partial, format!("{believed}\n{retention}\n"))?;
        fs::rename(partial, path)
    }
}

impl ClockMark {
    /// Both at one time.
    fn at(at: Timestamp) -> Self {
        Self { believed: at, retention: at }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let believed = lines.next()?.parse().ok()?;
        let retention = lines.next().map_or(Some(believed), |line| line.parse().ok())?;
        Some(Self { believed, retention })
    }
}

fn read(path: &Path) -> Option<ClockMark> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let mark = ClockMark::parse(&text);
            if mark.is_none() {
                tracing::warn!(path = %path.display(), "it does not hold a time, so the node's figures are taken");
            }
            mark
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "it cannot be read, so the node's figures are taken");
            }
            None
        }
    }
}
