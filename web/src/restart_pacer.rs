//! One restart of an actor at a time, with a pause between two of them.
//!
//! A restart by hand resets an actor's failure count. Without a pause, a script that restarts an actor again and again
//! would keep it from working at all, and would fill the audit log. Example, with a pause of 5 s: the recorder is
//! restarted at 0 s. A restart at 2 s, of the recorder or of its stage, is refused with `Retry-After: 3`. One at 5 s is
//! carried out.
//!
//! The time is passed in. Does not know which actors there are; only ids of existing actors are passed, so their number
//! is the bound of the memory.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// When each actor was restarted last.
#[derive(Debug)]
pub(crate) struct RestartPacer {
    pause: Duration,
    last: HashMap<String, Instant>,
}

impl RestartPacer {
    /// Creates a pacer with this pause.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, last: HashMap::new() }
    }

    /// Records that these actors are restarted now. Returns the time to wait if one of them was restarted too recently;
    /// then none is recorded.
    pub(crate) fn begin(&mut self, actors: &[String], now: Instant) -> Result<(), Duration> {
        self.last.retain(|_, last| now < *last + self.pause);
        let waits = actors.iter().filter_map(|actor| self.last.get(actor)).map(|last| *last + self.pause - now);
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        self.last.extend(actors.iter().map(|actor| (actor.clone(), now)));
        Ok(())
    }

    /// Returns the pause.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_actor_is_restarted_again_after_the_pause() {
        let (mut pacer, start) = (RestartPacer::new(Duration::from_secs(5)), Instant::now());
        let after = |s| start + Duration::from_secs(s);
        let steps = [
            (&["recorder"][..], 0, Ok(())),
            (&["recorder"], 2, Err(3)),
            (&["live"], 2, Ok(())),
            // A stage waits for the last of its actors, and a refused one starts no pause.
            (&["recorder", "live", "gate"], 3, Err(4)),
            (&["gate"], 4, Ok(())),
            (&["recorder"], 5, Ok(())),
        ];
        for (actors, s, expected) in steps {
            let begun = pacer.begin(&ids(actors), after(s));
            assert_eq!(begun, expected.map_err(Duration::from_secs), "{actors:?} at {s} s");
        }
        pacer.begin(&[], after(100)).expect("nothing to restart");
        assert!(pacer.last.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn without_a_pause_nothing_is_refused() {
        let (mut pacer, now) = (RestartPacer::new(Duration::ZERO), Instant::now());
        for _ in 0..3 {
            pacer.begin(&ids(&["live"]), now).expect("allowed");
        }
    }
}
