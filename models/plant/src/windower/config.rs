//! The lengths that a windower works with, derived from a pump's profile.

use crate::{Channel, Profile, Timestamp};

/// The lengths that a windower works with. They are counted in steps, so that they fit intervals from a tenth of a
/// second to a day. Only the wait for a missing reading is also limited in time:
///
/// | interval | window | waits for a missing reading | fills | gap | settles for `settle_s` = 600 |
/// | --- | --- | --- | --- | --- | --- |
/// | 1 s | 30 s | 3 steps, 3 s | 5 s | 15 s | 600 steps |
/// | 10 s | 5 min | 3 steps, 30 s | 50 s | 100 s | 60 steps |
/// | 1 min | 30 min | not at all | 5 min | 10 min | 30 steps: a whole window |
/// | 1 h | 30 h | not at all | 5 h | 10 h | 30 steps: a whole window |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// Length of a step, in milliseconds.
    pub interval_ms: i64,
    /// Steps in a window.
    pub len: usize,
    /// Readings stop waiting for a missing step when the newest reading is this many steps after it. 1: they do not
    /// wait.
    pub slack_steps: i64,
    /// For how many steps a channel's last good value is used in place of missing ones, if the channel has no `hold_s`.
    pub fill_steps: i64,
    /// The longest silence within a window, in milliseconds.
    pub gap_ms: i64,
}

/// The number of last readings that determine the rhythm of a device. If a device's interval is 2 % longer than the
/// profile's, its times move by 64 % of an interval over 32 readings, and the pause between them can still be
/// found.
pub(super) const RHYTHM_READINGS: usize = 32;

/// The most steps of a start that are restored: one hour with ten readings per second. `settle_s` has more steps only
/// if a pump's own interval is far shorter than its profile's.
const MAX_RESTORED_SETTLE_STEPS: i64 = 36_000;

/// The longest wait for a missing reading, in milliseconds.
const MAX_WAIT_MS: i64 = 60_000;

impl WindowConfig {
    /// Steps in a window. The network's input has this length.
    pub const LEN: usize = 30;

    /// Returns the lengths for a profile.
    pub fn for_profile(profile: &Profile) -> Self {
        let interval_ms = profile.interval_ms();
        // Readings get out of order by seconds. At an interval of an hour, a detection must not wait for two more
        // hours.
        let slack_steps = (MAX_WAIT_MS / interval_ms).clamp(1, 3);
        // While all channels hold their values, silence is not a gap.
        let gap_ms = (10 * interval_ms).max(15_000).max(1_000 * profile.min_hold_s());
        Self { interval_ms, len: Self::LEN, slack_steps, fill_steps: 5, gap_ms }
    }

    /// Returns how many of a pump's last readings restore its windower after a restart.
    pub fn restore_readings(profile: &Profile) -> usize {
        let settle = (profile.settle_ms() / profile.interval_ms()).min(MAX_RESTORED_SETTLE_STEPS) + 1;
        // The rhythm, and so the steps of the window, follow from the readings before the window too.
        RHYTHM_READINGS + Self::LEN + usize::try_from(settle).unwrap_or_default().max(Self::LEN)
    }

    /// Returns for how many steps each channel's last value may be used.
    pub(crate) fn holds(&self, profile: &Profile) -> Vec<i64> {
        let held = |channel: &Channel| 1_000 * channel.hold_s.unwrap_or(0) / self.interval_ms;
        profile.channels().iter().map(|channel| held(channel).max(self.fill_steps)).collect()
    }

    /// Whether a time is so far behind the newest that a reading of it is too late for its window: by at least
    /// `slack_steps` less half a step, so that jitter of the times does not matter.
    pub(crate) fn is_too_late(&self, at: Timestamp, newest: Timestamp) -> bool {
        2 * newest.since_ms(at) >= (2 * self.slack_steps - 1) * self.interval_ms
    }

    /// Whether neither of the two times is too late if the other is the newest.
    pub fn is_near(&self, at: Timestamp, other: Timestamp) -> bool {
        !self.is_too_late(at, other) && !self.is_too_late(other, at)
    }
}
