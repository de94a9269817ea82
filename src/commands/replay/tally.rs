//! Counts the outcomes of a replay's readings.

use std::fmt;

use volute_plant::Timestamp;

use super::node::IngestResponse;

/// The maximum number of rejections that are listed with their reasons.
const MAX_LISTED_REASONS: usize = 5;

/// The number of readings by outcome. Its text is the summary of the replay, one line per outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) rejected: u64,
    /// Rows without a value, which are not sent.
    pub(super) empty: usize,
    /// How often the replay waited for a busy node.
    pub(super) waits: u64,
    /// The time and reason of the first rejected readings.
    reasons: Vec<(Option<Timestamp>, String)>,
}

impl Tally {
    /// Adds the response to a post of readings with these times.
    pub(super) fn count(&mut self, response: IngestResponse, times: &[Timestamp]) {
        self.accepted += response.accepted;
        self.duplicate += response.duplicate;
        self.late += response.late;
        self.rejected += response.rejected.len() as u64 + response.rejected_not_listed;
        for rejected in response.rejected {
            if self.reasons.len() < MAX_LISTED_REASONS {
                self.reasons.push((times.get(rejected.index).copied(), rejected.message));
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "accepted  {}", self.accepted)?;
        writeln!(f, "duplicate {}", self.duplicate)?;
        writeln!(f, "late      {}", self.late)?;
        writeln!(f, "rejected  {}", self.rejected)?;
        for (at, reason) in &self.reasons {
            match at {
                Some(at) => writeln!(f, "  {at} {reason}")?,
                None => writeln!(f, "  {reason}")?,
            }
        }
        if self.rejected > self.reasons.len() as u64 {
            writeln!(f, "  and {} more", self.rejected - self.reasons.len() as u64)?;
        }
        if self.empty > 0 {
            writeln!(f, "not sent  {} (rows without a value)", self.empty)?;
        }
        if self.waits > 0 {
            writeln!(f, "waits     {} (for a busy node)", self.waits)?;
        }
        Ok(())
    }
}
