//! The policies and times that decide when a minute is flushed.

use volute_plant::Timestamp;

/// The length of a block in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// A minute whose first row comes into the head later than this after the minute's end is a *past* minute. In
/// milliseconds. The first row is then of a reading that was older than this when it was received.
pub const PAST_AGE_MS: i64 = 5 * MINUTE_MS;
/// How far ahead of the node's clock a minute can start, in milliseconds. No device's clock may be that far ahead. So a
/// minute that starts later was opened before the node's clock was set back. It is flushed at once, because its end may
/// not pass for a long time.
pub(super) const MAX_AHEAD_MS: i64 = 11 * MINUTE_MS;

/// Which minutes a flush writes. The timestamps are the present time.
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
