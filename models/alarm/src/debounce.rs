//! On-delay and off-delay: from the values of a condition to an alarm's raise and return.
//!
//! An example with an on-delay of 10 s and an off-delay of 5 s:
//!
//! | device time | condition | result | why |
//! | --- | --- | --- | --- |
//! | 0 s | holds | | it must hold for 10 s |
//! | 6 s | does not | | interrupted |
//! | 7 s | holds | | begins again |
//! | 17 s | holds | raised, since 7 s | |
//! | 20 s | does not | | it must be over for 5 s |
//! | 22 s | holds | | interrupted |
//! | 30 s | does not | | |
//! | (5 s pass) | | returned, since 30 s | no reading is needed |
//!
//! **Time.** The delay is over when the device times of the readings say so, or when the same time has passed at the
//! node. So a burst of buffered readings counts as what it was, and a pump that falls silent while its bearing is hot
//! raises the alarm all the same.
//!
//! **Order.** A late reading (older than the newest one, and still current) may lengthen a run backwards or interrupt
//! it. If it says that the condition held, and there is no on-delay, it raises, although the newest reading is normal
//! again: an alarm is not lost because two readings changed places. A single late reading returns no alarm.

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

/// The delays of an alarm, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delays {
    pub(crate) on_ms: i64,
    pub(crate) off_ms: i64,
}

/// The timers of one alarm. They are part of a pump's checkpoint, so they survive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Debounce {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    raised: bool,
    /// Since when the condition contradicts `raised`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
    /// The newest reading with a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<Timestamp>,
    /// The newest reading that agreed with `raised`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agreed: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pending {
    /// In device time.
    since: Timestamp,
    /// By the node's steady clock.
    steady_ms: i64,
}

/// A raise or a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flip {
    pub(crate) raised: bool,
    /// Since when the condition holds, or is over: before the delay.
    pub(crate) since: Timestamp,
}

impl Debounce {
    pub(crate) fn raised(&self) -> bool {
        self.raised
    }

    /// Whether time alone can change something.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a reading at `at` is older than the newest one with a value.
    pub(crate) fn is_late(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| at < newest)
    }

    /// When the running delay is over, by the node's steady clock, if no reading ends it before; none if no delay runs.
    pub(crate) fn due_at_ms(&self, delays: Delays) -> Option<i64> {
        Some(self.pending?.steady_ms + self.delay_ms(delays))
    }

    /// Takes whether the condition holds by a reading at `at`. Returns a raise that a late reading causes at once. The
    /// caller then calls [`Self::due`].
    pub(crate) fn observe(&mut self, holds: bool, at: Timestamp, steady_ms: i64, delays: Delays) -> Option<Flip> {
        let newest = *self.newest.get_or_insert(at);
        let is_late = at < newest;
        if holds == self.raised {
            self.agreed = self.agreed.max(Some(at));
            match &mut self.pending {
                Some(_) if !is_late => self.pending = None,
                // Interrupted in the middle. The newest reading is after that.
                Some(pending) if at >= pending.since => *pending = Pending { since: newest, steady_ms },
                _ => {}
            }
        } else {
            match &mut self.pending {
                Some(pending) if at < pending.since && self.agreed.is_none_or(|agreed| at > agreed) => {
                    pending.since = at;
                }
                Some(_) => {}
                None if !is_late => self.pending = Some(Pending { since: at, steady_ms }),
                None if holds && delays.on_ms == 0 => {
                    // The newest reading says that it is over already.
                    *self = Self {
                        raised: true,
                        pending: Some(Pending { since: newest, steady_ms }),
                        newest: self.newest,
                        agreed: Some(at),
                    };
                    return Some(Flip { raised: true, since: at });
                }
                None => {}
            }
        }
        self.newest = Some(newest.max(at));
        None
    }

    /// Returns the change whose delay is over, if there is one.
    pub(crate) fn due(&mut self, steady_ms: i64, delays: Delays) -> Option<Flip> {
        let (pending, newest) = (self.pending?, self.newest?);
        let delay_ms = self.delay_ms(delays);
        if newest.since_ms(pending.since) < delay_ms && steady_ms - pending.steady_ms < delay_ms {
            return None;
        }
        self.raised = !self.raised;
        self.pending = None;
        self.agreed = Some(newest);
        Some(Flip { raised: self.raised, since: pending.since })
    }

    /// Begins a new order at `at`: the device's clock was corrected, and older times no longer count as late.
    pub(crate) fn rebase(&mut self, at: Timestamp) {
        self.newest = self.newest.map(|newest| newest.min(at));
        self.agreed = self.agreed.map(|agreed| agreed.min(at));
        if let Some(pending) = &mut self.pending {
            pending.since = pending.since.min(at);
        }
    }

    /// Ends a pending change, since it is no longer known whether the condition holds. Returns the return of a raised alarm.
    pub(crate) fn release(&mut self, at: Timestamp) -> Option<Flip> {
        self.pending = None;
        std::mem::take(&mut self.raised).then_some(Flip { raised: false, since: at })
    }

    /// The delay of the next change.
    fn delay_ms(&self, delays: Delays) -> i64 {
        if self.raised { delays.off_ms } else { delays.on_ms }
    }

    /// Sets what the alarm's rows say, and stops the timers.
    pub(crate) fn set_raised(&mut self, raised: bool) {
        if self.raised != raised {
            self.raised = raised;
            self.pending = None;
        }
    }
}

/// The time that has passed at the node, whatever its clock does: steps back count as nothing, and steps forward as
/// at most [`MAX_STEP_MS`]. After a restart it continues where the checkpoint was. The time in which the node was down
/// is not taken for a pump's silence ([`Self::skip`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SteadyClock {
    elapsed_ms: i64,
    last: Option<Timestamp>,
}

/// The longest step that counts as passed time, in milliseconds. A longer one is a clock that was set, or a machine that
/// slept.
const MAX_STEP_MS: i64 = 60_000;

impl SteadyClock {
    /// Takes the time of the node's clock. Returns the time that has passed, in milliseconds.
    pub(crate) fn advance(&mut self, now: Timestamp) -> i64 {
        let step_ms = self.last.map_or(0, |last| now.since_ms(last));
        self.last = Some(now);
        self.elapsed_ms += step_ms.clamp(0, MAX_STEP_MS);
        self.elapsed_ms
    }

    /// The time that has passed, in milliseconds.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.elapsed_ms
    }

    /// The time until the next [`Self::advance`] does not count.
    pub(crate) fn skip(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays { on_ms: 10_000, off_ms: 5_000 };
    const NONE: Delays = Delays { on_ms: 0, off_ms: 0 };

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_200_000 + 1_000 * s).expect("a time")
    }

    /// Observes at a device time, with the node's clock at `node_s`, and returns all changes as (raised, since in s).
    fn observe(debounce: &mut Debounce, holds: bool, s: i64, node_s: i64, delays: Delays) -> Vec<(bool, i64)> {
        let mut flips = Vec::from_iter(debounce.observe(holds, at(s), node_s * 1_000, delays));
        while let Some(flip) = debounce.due(node_s * 1_000, delays) {
            flips.push(flip);
        }
        flips.into_iter().map(|flip| (flip.raised, flip.since.since_ms(at(0)) / 1_000)).collect()
    }

    #[test]
    fn example_of_the_module() {
        let mut debounce = Debounce::default();
        for (s, holds, expected) in [
            (0, true, None),
            (6, false, None),
            (7, true, None),
            (16, true, None),
            (17, true, Some((true, 7))),
            (20, false, None),
            (22, true, None),
            (30, false, None),
        ] {
            assert_eq!(observe(&mut debounce, holds, s, s, DELAYS), Vec::from_iter(expected), "{s} s");
        }
        assert_eq!(debounce.due(34_999, DELAYS), None);
        assert_eq!(debounce.due(35_000, DELAYS), Some(Flip { raised: false, since: at(30) }));
        assert_eq!(debounce.due(99_000, DELAYS), None);
    }

    #[test]
    fn buffered_readings_count_by_device_time() {
        let mut debounce = Debounce::default();
        assert_eq!(observe(&mut debounce, true, 0, 100, DELAYS), []);
        assert_eq!(observe(&mut debounce, true, 10, 100, DELAYS), [(true, 0)]);
        assert_eq!(observe(&mut debounce, false, 11, 100, DELAYS), []);
        assert_eq!(observe(&mut debounce, false, 16, 100, DELAYS), [(false, 11)]);
    }

    #[test]
    fn silence_raises_after_the_delay() {
        let mut debounce = Debounce::default();
        assert_eq!(observe(&mut debounce, true, 0, 3, DELAYS), []);
        assert!(debounce.is_pending());
        assert_eq!(debounce.due(12_999, DELAYS), None);
        assert_eq!(debounce.due(13_000, DELAYS), Some(Flip { raised: true, since: at(0) }));
    }

    #[test]
    fn late_readings_lengthen_and_interrupt_a_run() {
        let mut debounce = Debounce::default();
        observe(&mut debounce, false, 0, 10, DELAYS);
        assert_eq!(observe(&mut debounce, true, 6, 10, DELAYS), []);
        assert_eq!(observe(&mut debounce, true, 2, 10, DELAYS), [], "late: the run began at 2 s");
        assert_eq!(observe(&mut debounce, true, 11, 11, DELAYS), []);
        assert_eq!(observe(&mut debounce, true, 12, 12, DELAYS), [(true, 2)]);

        let mut debounce = Debounce::default();
        observe(&mut debounce, true, 2, 10, DELAYS);
        observe(&mut debounce, true, 6, 10, DELAYS);
        observe(&mut debounce, false, 4, 10, DELAYS);
        assert_eq!(observe(&mut debounce, true, 12, 12, DELAYS), [], "interrupted at 4 s");
        assert_eq!(observe(&mut debounce, true, 3, 12, DELAYS), [], "before the interruption");
        assert_eq!(observe(&mut debounce, true, 15, 15, DELAYS), []);
        assert_eq!(observe(&mut debounce, true, 16, 16, DELAYS), [(true, 6)]);
    }

    #[test]
    fn late_reading_raises_without_a_delay_and_returns_nothing() {
        let mut debounce = Debounce::default();
        assert_eq!(observe(&mut debounce, false, 10, 10, NONE), []);
        assert_eq!(observe(&mut debounce, true, 8, 10, NONE), [(true, 8), (false, 10)]);
        assert_eq!(observe(&mut debounce, true, 11, 11, NONE), [(true, 11)]);
        assert_eq!(observe(&mut debounce, false, 9, 11, NONE), [], "late, and normal");
        assert_eq!(observe(&mut debounce, false, 11, 11, NONE), [(false, 11)], "a second reading of that time");

        let mut debounce = Debounce::default();
        observe(&mut debounce, false, 10, 10, DELAYS);
        assert_eq!(observe(&mut debounce, true, 8, 10, DELAYS), [], "with a delay one reading raises nothing");
        let keeps = Delays { on_ms: 0, off_ms: 5_000 };
        assert_eq!(observe(&mut debounce, true, 8, 10, keeps), [(true, 8)]);
        assert_eq!(debounce.due(14_999, keeps), None);
        assert_eq!(debounce.due(15_000, keeps), Some(Flip { raised: false, since: at(10) }));
    }

    #[test]
    fn new_order_forgets_times_of_the_future() {
        let mut debounce = Debounce::default();
        observe(&mut debounce, false, 100, 100, DELAYS);
        debounce.rebase(at(40));
        assert_eq!(observe(&mut debounce, true, 41, 101, DELAYS), []);
        debounce.rebase(at(10));
        assert_eq!(observe(&mut debounce, true, 19, 105, DELAYS), []);
        assert_eq!(observe(&mut debounce, true, 20, 106, DELAYS), [(true, 10)]);
    }

    #[test]
    fn release_returns_what_was_raised() {
        let mut debounce = Debounce::default();
        observe(&mut debounce, true, 0, 0, DELAYS);
        assert_eq!(debounce.release(at(1)), None);
        assert!(!debounce.is_pending());
        observe(&mut debounce, true, 2, 2, NONE);
        assert_eq!(debounce.release(at(3)), Some(Flip { raised: false, since: at(3) }));
        assert!(!debounce.raised());
    }

    #[test]
    fn steady_clock_ignores_steps() {
        let mut clock = SteadyClock::default();
        assert_eq!(clock.advance(at(1_000)), 0);
        assert_eq!(clock.advance(at(1_001)), 1_000);
        assert_eq!(clock.advance(at(0)), 1_000, "set back");
        assert_eq!(clock.advance(at(2)), 3_000);
        assert_eq!(clock.advance(at(100_000)), 63_000, "set forward");
        let text = serde_json::to_string(&clock).expect("JSON");
        let mut restored: SteadyClock = serde_json::from_str(&text).expect("JSON");
        assert_eq!(restored.advance(at(100_002)), 65_000, "readings are evaluated again");
        restored.skip();
        assert_eq!(restored.advance(at(100_050)), 65_000, "the node was down");
    }
}
