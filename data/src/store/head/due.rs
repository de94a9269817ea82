//! The policies and times that decide when a minute is flushed.

use volute_plant::Timestamp;

/// The length of a block in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// A reading that is at least this old when it is received is a *past* reading: it was sent long after it was measured.
pub const PAST_AGE_MS: i64 = 5 * MINUTE_MS;
/// How far ahead of the node's clock a minute can start. No device's clock may be that far ahead, so a minute that is was
/// opened before the node's clock was set back. It is flushed at once, because its end may not pass for a long time.
pub(super) const MAX_AHEAD_MS: i64 = 11 * MINUTE_MS;

/// Which minutes a flush writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DuePolicy {
    /// Minutes that have ended and were opened at least a minute and the pump's flush delay ago.
    Normal(Timestamp),
    /// The head is too large: also all minutes that have ended, except the newest of each pump.
    UnderPressure(Timestamp),
    /// All minutes.
    All,
}

/// Returns the start of the minute that contains a time, both in milliseconds since 1970.
pub(crate) fn minute_start(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(MINUTE_MS)
}
