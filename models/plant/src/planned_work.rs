//! Planned work on a pump: while it lasts, the pump's alarms are suppressed by design, and what it does is not learned as
//! its normal running.
//!
//! An example: on Thursday asha plans to replace P-7's bearing on Friday.
//!
//! | time | what happens | status |
//! | --- | --- | --- |
//! | Thu 16:00 | planned: Fri 08:00 to 12:00, "new bearing" | planned |
//! | Fri 08:00 | it begins by itself | active |
//! | Fri 10:30 | ravi ends it early: the pump is back | over |
//!
//! Without the last line it would have ended by itself at 12:00. Everything follows from the stored times and the clock, so
//! nothing has to be remembered over a restart. Several works may overlap; the pump is at work while any of them is active.
//!
//! Does not store anything, and knows nothing of alarms.

use serde::{Deserialize, Serialize};

use crate::{Comment, PumpId, Timestamp};

/// The longest time that work may last: 30 days.
pub const MAX_WORK_MS: i64 = 30 * DAY_MS;
/// How far ahead work may begin: a year.
pub const MAX_WORK_AHEAD_MS: i64 = 366 * DAY_MS;
/// The maximum number of a pump's works that are not over.
pub const MAX_OPEN_WORKS: usize = 50;

const DAY_MS: i64 = 86_400_000;

/// Planned work on a pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedWork {
    /// Its id, unique among the pump's.
    pub id: String,
    /// The pump.
    pub pump: PumpId,
    /// When it begins, by the node's clock.
    pub from: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// What is done.
    pub why: Comment,
    /// Who planned it, in the form of the audit log.
    pub by: String,
    /// When it was planned.
    pub at: Timestamp,
    /// Who ended it early or cancelled it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<WorkEnd>,
}

/// Who ended a work early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkEnd {
    /// When.
    pub at: Timestamp,
    /// Who, in the form of the audit log.
    pub by: String,
}

/// Where a work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkStatus {
    /// It has not begun.
    Planned,
    /// It has begun and is not over.
    Active,
    /// It is over.
    Over,
    /// It was cancelled before it began.
    Cancelled,
}

/// Times that work may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}; allowed: {allowed}")]
pub struct WorkTimesError {
    /// `from` or `until`.
    pub field: &'static str,
    /// Why it is refused.
    pub why: &'static str,
    /// What is allowed.
    pub allowed: String,
}

impl WorkStatus {
    /// Returns its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Active => "active",
            Self::Over => "over",
            Self::Cancelled => "cancelled",
        }
    }
}

impl PlannedWork {
    /// Checks the times of new work.
    pub fn check_times(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), WorkTimesError> {
        if from.since_ms(now) > MAX_WORK_AHEAD_MS {
            let allowed = format!("{} or earlier", now.plus_ms(MAX_WORK_AHEAD_MS));
            return Err(WorkTimesError { field: "from", why: "more than a year ahead", allowed });
        }
        let after = from.max(now);
        if until <= after {
            return Err(WorkTimesError { field: "until", why: "not in the future", allowed: format!("after {after}") });
        }
        if until.since_ms(from) > MAX_WORK_MS {
            let allowed = format!("{} or earlier", from.plus_ms(MAX_WORK_MS));
            return Err(WorkTimesError { field: "until", why: "longer than 30 days", allowed });
        }
        Ok(())
    }

    /// Returns when it ends or ended.
    pub fn end(&self) -> Timestamp {
        self.ended.as_ref().map_or(self.until, |ended| ended.at.min(self.until))
    }

    /// Returns whether this time is within it. The begin is, the end is not.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.end()
    }

    /// Returns whether it is over or cancelled.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.is_some() || now >= self.until
    }

    /// Returns where it stands.
    pub fn status(&self, now: Timestamp) -> WorkStatus {
        match &self.ended {
            Some(ended) if ended.at <= self.from => WorkStatus::Cancelled,
            _ if self.is_over(now) => WorkStatus::Over,
            _ if now < self.from => WorkStatus::Planned,
            _ => WorkStatus::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + second * 1_000).expect("a time")
    }

    fn work(from: i64, until: i64, ended: Option<i64>) -> PlannedWork {
        PlannedWork {
            id: "w1".into(),
            pump: "P-7".parse().expect("an id"),
            from: at(from),
            until: at(until),
            why: Comment::try_from("new bearing").expect("a comment"),
            by: "user asha".into(),
            at: at(0),
            ended: ended.map(|second| WorkEnd { at: at(second), by: "user ravi".into() }),
        }
    }

    #[test]
    fn it_begins_and_ends_by_itself_or_early() {
        use WorkStatus::{Active, Cancelled, Over, Planned};
        for (ended, second, status) in [
            (None, 9, Planned),
            (None, 10, Active),
            (None, 19, Active),
            (None, 20, Over),
            (Some(15), 16, Over),
            (Some(5), 6, Cancelled),
            (Some(5), 30, Cancelled),
        ] {
            let work = work(10, 20, ended);
            assert_eq!(work.status(at(second)), status, "{ended:?} {second}");
            assert_eq!(work.covers(at(second)), status == Active, "{ended:?} {second}");
        }
        assert!(work(10, 20, Some(15)).covers(at(14)), "what was before the early end was work");
    }

    #[test]
    fn times_are_checked() {
        let now = at(0);
        assert_eq!(PlannedWork::check_times(at(-60), at(60), now), Ok(()), "it may have begun already");
        for (from, until, field) in [
            (at(10), at(10), "until"),
            (at(-20), at(-10), "until"),
            (at(0), at(31 * 86_400), "until"),
            (at(400 * 86_400), at(401 * 86_400), "from"),
        ] {
            assert_eq!(PlannedWork::check_times(from, until, now).expect_err("refused").field, field);
        }
    }

    #[test]
    fn it_is_stored_and_read_back() {
        for work in [work(10, 20, None), work(10, 20, Some(15))] {
            let json = serde_json::to_string(&work).expect("written");
            assert_eq!(serde_json::from_str::<PlannedWork>(&json).expect("read"), work);
        }
    }

    proptest! {
        /// Whatever the times: it is active exactly while it covers the time, and never again once it is over.
        #[test]
        fn once_it_is_over_it_stays_over(
            from in 0_i64..100, length in 1_i64..100, ended in prop::option::of(0_i64..250), times in prop::collection::vec(0_i64..300, 1..20)
        ) {
            let ended = ended.filter(|ended| *ended < from + length);
            let work = work(from, from + length, ended);
            let mut times = times;
            times.sort_unstable();
            let mut was_over = false;
            for second in times.into_iter().filter(|second| ended.is_none_or(|ended| *second >= ended)) {
                let status = work.status(at(second));
                prop_assert_eq!(status == WorkStatus::Active, work.covers(at(second)));
                let is_over = matches!(status, WorkStatus::Over | WorkStatus::Cancelled);
                prop_assert!(is_over || !was_over);
                was_over = is_over;
            }
        }
    }
}
