//! Where a placed reading stands between its window and its turn to be decided.
//!
//! Deliberately absent: the order of the turns, and what is decided (the pump's).

use std::time::Instant;

use volute_anomaly::Score;
use volute_plant::{Reading, Timestamp};

use crate::live::Blind;

/// A placed reading whose turn to be decided has not come.
pub(super) enum Waiting {
    Score {
        reading: Reading,
        at: Timestamp,
        since: Instant,
    },
    Scored {
        reading: Reading,
        at: Timestamp,
        score: Score,
    },
    /// It gave way to a newer one.
    Skipped,
    /// There is no verdict on it.
    Blind {
        reading: Reading,
        why: Blind,
    },
    /// Its window was for a baseline that is no longer in use.
    Unjudged {
        reading: Reading,
    },
}

impl Waiting {
    /// Its score has come.
    pub(super) fn is_scored(&mut self, score: Score) {
        self.turn(|reading, at| Self::Scored { reading, at, score });
    }

    /// Its score will not come.
    pub(super) fn go_blind(&mut self) {
        self.turn(|reading, _| Self::Blind { reading, why: Blind::Unscored });
    }

    /// It no longer waits for its score.
    fn turn(&mut self, into: impl FnOnce(Reading, Timestamp) -> Self) {
        match std::mem::replace(self, Self::Skipped) {
            Self::Score { reading, at, .. } => *self = into(reading, at),
            other => *self = other,
        }
    }
}
