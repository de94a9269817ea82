//! When an actor that failed is started again, and when it is not. Pure: time and chance are passed in.
//!
//! An example, with a policy of 2 restarts in 60 s:
//!
//! | failure at | recent failures | the actor is started |
//! | --- | --- | --- |
//! | 0 s | 1 | after 10 to 15 ms |
//! | 59 s | 2 | after 20 to 30 ms |
//! | 60 s | 2, the first is no longer recent | after 20 to 30 ms |
//! | 61 s | more than the policy allows | on request only |

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::back_off::BackOff;

/// The pause after the first failure is 10 ms, the longest 10 s.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_millis(10), longest: Duration::from_secs(10) };

/// How many restarts an actor may need in which time.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// At most so many restarts.
    pub restarts: usize,
    /// In this time.
    pub window: Duration,
}

/// When the next incarnation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStart {
    Now,
    /// After this pause, or sooner on request.
    After(Duration),
    OnRequest,
}

/// One actor's failures within the policy's window.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures(VecDeque<Instant>);

impl RecentFailures {
    /// Notes a failure at `now`. `chance` is from 0 to 1.
    pub(crate) fn note(&mut self, policy: &RestartPolicy, now: Instant, chance: f64) -> NextStart {
        self.0.retain(|&then| now.saturating_duration_since(then) < policy.window);
        if self.0.len() >= policy.restarts {
            return NextStart::OnRequest;
        }
        self.0.push_back(now);
        NextStart::After(BACK_OFF.pause(self.0.len(), chance))
    }

    /// Forgets all failures.
    pub(crate) fn reset(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_failures_than_the_policy_allows_end_the_restarts_and_old_ones_do_not_count() {
        let policy = RestartPolicy { restarts: 2, window: Duration::from_secs(60) };
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let after = |ms| NextStart::After(Duration::from_millis(ms));
        let mut failures = RecentFailures::default();
        assert_eq!(failures.note(&policy, at(0), 0.0), after(10));
        assert_eq!(failures.note(&policy, at(59), 0.0), after(20));
        assert_eq!(failures.note(&policy, at(60), 0.0), after(20), "the first no longer counts");
        assert_eq!(failures.note(&policy, at(61), 0.0), NextStart::OnRequest);
        failures.reset();
        assert_eq!(failures.note(&policy, at(62), 0.0), after(10));
    }
}
