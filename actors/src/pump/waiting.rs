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
    /// There is no verdict on it.
    Blind {
        reading: Reading,
        why: Blind,
    },
    /// Its window was for a baseline that is no longer in use, or gave way to a newer one.
    Unjudged {
        reading: Reading,
    },
    /// It has no place in the window: it is late, or another one of its step has the place.
    Unplaced {
        reading: Reading,
    },
    /// Nothing is left of it: its reading was taken out to be another of these.
    Taken,
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

    /// Its score will not come, for it gave way to a newer one.
    pub(super) fn is_skipped(&mut self) {
        self.turn(|reading, _| Self::Unjudged { reading });
    }

    /// It no longer waits for its score.
    fn turn(&mut self, into: impl FnOnce(Reading, Timestamp) -> Self) {
        match std::mem::replace(self, Self::Taken) {
            Self::Score { reading, at, .. } => *self = into(reading, at),
            other => *self = other,
        }
    }
}
