//! Decides when a failed actor is restarted, and when it stays down. Pure: the caller passes the time and the random
//! numbers.
//!
//! An example, with a policy of 2 restarts in 60 s:
//!
//! | failure at | failures in the last 60 s | the actor restarts |
//! | --- | --- | --- |
//! | 0 s | 1 | after 10 to 15 ms |
//! | 59 s | 2 | after 20 to 30 ms |
//! | 60 s | 2, because the failure at 0 s no longer counts | after 20 to 30 ms |
//! | 61 s | 3, more than the policy allows | on request only |

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::back_off::BackOff;

/// The pause after the first failure is 10 ms, the longest 10 s.
const BACK_OFF: BackOff = BackOff { shortest: Duration::from_millis(10), longest: Duration::from_secs(10) };

/// How many restarts of an actor are allowed within which time.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// The maximum number of restarts within `window`.
    pub restarts: usize,
    /// The period over which failures are counted.
    pub window: Duration,
}

/// When the next incarnation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStart {
    /// At once: at the first start, after a requested restart, or in place of a stuck incarnation.
    Now,
    /// After this pause, or earlier on request.
    After(Duration),
    /// It stays down until a restart is requested.
    OnRequest,
}

/// The times of one actor's failures within the policy's window after which it was restarted automatically.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures(VecDeque<Instant>);

impl RecentFailures {
    /// Returns when to restart after a failure at `now`. The failure counts from now on, unless the actor stays down.
    /// `jitter` is a random number from 0 to 1.
    pub(crate) fn record(&mut self, policy: &RestartPolicy, now: Instant, jitter: f64) -> NextStart {
        self.0.retain(|&failed_at| now.saturating_duration_since(failed_at) < policy.window);
        if self.0.len() >= policy.restarts {
            return NextStart::OnRequest;
        }
        self.0.push_back(now);
        NextStart::After(BACK_OFF.pause(self.0.len(), jitter))
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
    fn failures_beyond_the_policy_stop_restarts_and_old_failures_do_not_count() {
        let policy = RestartPolicy { restarts: 2, window: Duration::from_secs(60) };
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let after = |ms| NextStart::After(Duration::from_millis(ms));
        let mut failures = RecentFailures::default();
        assert_eq!(failures.record(&policy, at(0), 0.0), after(10));
        assert_eq!(failures.record(&policy, at(59), 0.0), after(20));
        assert_eq!(failures.record(&policy, at(60), 0.0), after(20), "the first failure no longer counts");
        assert_eq!(failures.record(&policy, at(61), 0.0), NextStart::OnRequest);
        failures.reset();
        assert_eq!(failures.record(&policy, at(62), 0.0), after(10));
    }
}
