//! When a minute is written: the lengths of time that decide it.

use volute_plant::Timestamp;

/// The length of a block.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// A reading that is so old when it is received is of the past: it was sent late, and not as it was measured.
pub const PAST_MS: i64 = 5 * MINUTE_MS;
/// No device's clock may be so far ahead of the node's. A minute that is, or was opened then, is from before the node's clock
/// was set back; it would wait for ever.
pub(super) const SET_BACK_MS: i64 = 11 * MINUTE_MS;

/// How far one has to wait for a minute's end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Minutes are due a minute and the pump's own delay after they were opened.
    Time(Timestamp),
    /// Minutes of pumps that have a later one are due too: there are too many.
    Crowded(Timestamp),
    /// Everything is due.
    Now,
}

/// The start of the minute that a time falls into, in milliseconds since 1970.
pub(crate) fn minute_start(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(MINUTE_MS)
}
