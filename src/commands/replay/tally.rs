//! What became of the readings of a replay.

use std::fmt;

use volute_plant::Timestamp;

use super::node::Answer;

/// How many rejections are kept with their reasons.
const REASONS: usize = 5;

/// Counts of readings. Shown as the closing summary, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) rejected: u64,
    /// Rows without a single value: nothing to send.
    pub(super) empty: usize,
    /// How often the node was waited for.
    pub(super) waits: u64,
    /// The first rejections: when, and why.
    reasons: Vec<(Option<Timestamp>, String)>,
}

impl Tally {
    /// Counts the answer to a post of readings with these times.
    pub(super) fn count(&mut self, answer: Answer, times: &[Timestamp]) {
        self.accepted += answer.accepted;
        self.duplicate += answer.duplicate;
        self.late += answer.late;
        self.rejected += answer.rejected.len() as u64 + answer.rejected_not_listed;
        for rejected in answer.rejected {
            if self.reasons.len() < REASONS {
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
