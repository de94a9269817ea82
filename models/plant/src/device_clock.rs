//! Checks a pump's own clock: compares the device times of its readings with the times at which they are received.
//!
//! A reading is *current* if its device time is within a minute of its receive time ([`TimestampLimits::is_current`]).
//! Only current readings show the present state of a pump. If a pump's readings are not current, a note on the pump
//! says why. An example, with each post received at 12:00:00:
//!
//! | post | note |
//! | --- | --- |
//! | one reading of 11:59:58 | none: the clock is correct |
//! | one reading of 12:09:00 | the clock is 9 min ahead: its readings are refused |
//! | one reading of 10:00:00, the pump's first | the clock is 2 h behind |
//! | one reading of 10:00:00, after one of 11:59:58 | the clock jumped back 2 h |
//! | sixty readings of 10:00 to 10:59 | the newest reading is 61 min old: a backlog |
//! | one reading of 11:59:59 | none again |
//!
//! A pump may have several senders: its gateway, the buffer that the gateway sends after it was disconnected, and a
//! second gateway. While current readings arrived within the last minute, the present state is known and alarms are
//! raised. Older readings are then a backlog, not a clock fault, and have no note: they are stored and scored by their
//! own times. A second gateway whose clock is behind has no note either, since it cannot be distinguished from a
//! backlog. Readings that are too far ahead are never a backlog, and they are refused. So there is a note for them,
//! until a minute after the last of them:
//!
//! | post, while a current reading arrives every second | note |
//! | --- | --- |
//! | sixty readings of 11:39 to 11:40 | none: a backlog |
//! | one reading of 10:00:00 | none |
//! | one reading of 12:09:00 | some readings are 9 min ahead and are refused, the others are current |
//!
//! Does not correct any time. Cannot distinguish a clock that is behind from a gateway that sends each reading with
//! that much delay.

use crate::{Reading, Timestamp};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The limits for a reading's device time, relative to its receive time. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampLimits {
    /// A reading further ahead is refused.
    pub max_ahead_ms: i64,
    /// A reading at most this far before or after its receive time is current.
    pub max_current_offset_ms: i64,
    /// An older reading is refused: retention would delete it at once.
    pub max_age_ms: i64,
}

/// A fault of a pump's clock, found in its last post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFault {
    /// The newest reading's device time minus its receive time, in milliseconds: positive if the clock is ahead.
    pub offset_ms: i64,
    /// The kind of fault.
    pub kind: ClockFaultKind,
}

/// The kinds of clock faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFaultKind {
    /// It is ahead, and its readings are not current.
    Ahead {
        /// It is so far ahead that its readings are refused.
        refused: bool,
    },
    /// Some readings are so far ahead that they are refused, while others are current.
    SomeAhead,
    /// It is behind.
    Behind,
    /// It was correct and jumped back by this many milliseconds.
    JumpedBack(i64),
    /// The post has readings of several times, all of them old: a backlog, or the clock is behind.
    Delayed,
}

/// The state of one pump's clock. Every time is passed in.
#[derive(Debug, Clone, Default)]
pub struct DeviceClock {
    fault: Option<ClockFault>,
    /// The last current device time, and when it was received.
    last_current: Option<(Timestamp, Timestamp)>,
    /// The offset of the last reading that was refused for being ahead, in milliseconds, and when the reading was
    /// received.
    last_refused: Option<(i64, Timestamp)>,
}

impl TimestampLimits {
    /// Whether a reading shows the present state of its pump.
    pub fn is_current(&self, reading: &Reading) -> bool {
        reading.at.since_ms(reading.received).abs() <= self.max_current_offset_ms
    }

    /// Whether a clock with this offset from the receive time, in milliseconds (negative: behind), is correct.
    fn is_correct(&self, offset_ms: i64) -> bool {
        (-self.max_current_offset_ms..=self.max_current_offset_ms.min(self.max_ahead_ms)).contains(&offset_ms)
    }
}

impl DeviceClock {
    /// Returns its fault, if it has one.
    pub fn fault(&self) -> Option<ClockFault> {
        self.fault
    }

    /// Processes the device times of one post, including those of refused readings. If one time in this post or in the
    /// last minute is current, older ones are a backlog.
    pub fn observe(&mut self, times: impl Iterator<Item = Timestamp>, received: Timestamp, limits: &TimestampLimits) {
        let mut ends: Option<(Timestamp, Timestamp)> = None;
        for at in times {
            ends = Some(ends.map_or((at, at), |(oldest, newest)| (oldest.min(at), newest.max(at))));
            if limits.is_correct(at.since_ms(received)) {
                let newest =
                    self.last_current.filter(|(_, then)| *then == received).map_or(at, |(newest, _)| newest.max(at));
                self.last_current = Some((newest, received));
            }
        }
        let Some((oldest, newest)) = ends else { return };
        let offset_ms = newest.since_ms(received);
        if offset_ms > limits.max_ahead_ms {
            self.last_refused = Some((offset_ms, received));
        }
        let is_recent = |then: Timestamp| received.since_ms(then).abs() <= limits.max_current_offset_ms;
        if self.last_current.is_some_and(|(_, then)| is_recent(then)) {
            let refused = self.last_refused.filter(|(_, then)| is_recent(*then));
            self.fault = refused.map(|(offset_ms, _)| ClockFault { offset_ms, kind: ClockFaultKind::SomeAhead });
            return;
        }
        let kind = match self.last_current {
            _ if offset_ms > 0 => ClockFaultKind::Ahead { refused: offset_ms > limits.max_ahead_ms },
            _ if oldest < newest => ClockFaultKind::Delayed,
            Some((at, then)) if newest < at => ClockFaultKind::JumpedBack(at.since_ms(then) - offset_ms),
            _ => ClockFaultKind::Behind,
        };
        self.fault = Some(ClockFault { offset_ms, kind });
    }
}

impl ClockFault {
    /// Returns a message about the fault, for the operator.
    pub fn message(&self) -> String {
        let by = format_duration(self.offset_ms.saturating_abs());
        let effect = "its readings are stored and scored by their own times, and raise no alarm";
        match self.kind {
            ClockFaultKind::Ahead { refused: true } => format!("its clock is {by} ahead: its readings are refused"),
            ClockFaultKind::Ahead { refused: false } => format!("its clock is {by} ahead: {effect}"),
            ClockFaultKind::SomeAhead => {
                format!(
                    "some of its readings came {by} ahead within the last minute and were refused: the others are current"
                )
            }
            ClockFaultKind::Behind => format!("its clock is {by} behind: {effect}"),
            ClockFaultKind::JumpedBack(ms) => format!("its clock jumped back {}: {effect}", format_duration(ms)),
            ClockFaultKind::Delayed => {
                format!("its newest reading is {by} old: it sends buffered readings, and {effect}")
            }
        }
    }
}

/// Formats a duration in its usual unit, such as `45 s`, `9 min`, `2 h`, `2.5 h` or `3 days`.
pub fn format_duration(ms: i64) -> String {
    let rounded = |unit: i64| (ms + unit / 2).div_euclid(unit);
    match ms {
        _ if ms < 90 * SECOND_MS => format!("{} s", rounded(SECOND_MS)),
        _ if ms < 90 * MINUTE_MS => format!("{} min", rounded(MINUTE_MS)),
        _ if ms < 36 * HOUR_MS => format!("{} h", rounded(HOUR_MS / 10) as f64 / 10.0),
        _ => format!("{} days", rounded(DAY_MS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_867_200_000;
    const LIMITS: TimestampLimits = TimestampLimits {
        max_ahead_ms: 30 * SECOND_MS,
        max_current_offset_ms: 60 * SECOND_MS,
        max_age_ms: 400 * DAY_MS,
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(NOON + ms).expect("a time")
    }

    #[test]
    fn a_reading_within_a_minute_of_its_receipt_is_current() {
        for (offset_ms, current) in
            [(0, true), (-60_000, true), (-60_001, false), (60_000, true), (60_001, false), (-3_600_000, false)]
        {
            let (pump, samples) = ("P-1".parse().expect("a name"), [].into());
            let reading = Reading { pump, at: at(offset_ms), received: at(0), samples, late: false };
            assert_eq!(LIMITS.is_current(&reading), current, "{offset_ms} ms");
        }
    }

    #[test]
    fn the_note_follows_the_posts() {
        // When a post is received, its device times relative to that, and the note after it.
        const SOME_AHEAD: &str = "some of its readings came 9 min ahead within the last minute and were refused";
        let story: [(i64, &[i64], Option<&str>); 25] = [
            (0, &[-7_200_000], Some("its clock is 2 h behind: ")),
            (1_000, &[-7_200_020], Some("its clock is 2 h behind: ")),
            (2_000, &[-20], None),
            (3_000, &[540_000 - 20], Some(SOME_AHEAD)),
            (5_000, &[30_000], Some(SOME_AHEAD)),
            (63_000, &[-20], Some(SOME_AHEAD)),
            (63_001, &[-20], None),
            (124_000, &[540_000 - 20], Some("its clock is 9 min ahead: its readings are refused")),
            (125_000, &[31_000], Some("its clock is 31 s ahead: its readings are refused")),
            (190_000, &[-60_000], None),
            (250_000, &[-7_200_000], None),
            (250_001, &[-7_200_000], Some("its clock jumped back 2 h: ")),
            (251_000, &[-7_200_000], Some("its clock jumped back 2 h: ")),
            (3_600_000, &[-7_200_000], Some("its clock jumped back 2 h: ")),
            (3_601_000, &[], Some("its clock jumped back 2 h: ")),
            (3_602_000, &[-7_200_000, -40], None),
            (3_603_000, &[540_000, -40], Some(SOME_AHEAD)),
            // Buffered readings after an outage: they are later than those before.
            (7_200_000, &[-3_500_000, -3_400_000, -60_001], Some("its newest reading is 60 s old: ")),
            (7_201_000, &[-3_000_000], Some("its clock is 50 min behind: ")),
            (7_202_000, &[-30_000], None),
            (7_203_000, &[-75_000], None),
            (7_263_000, &[-120_000], Some("its clock jumped back 2 min: ")),
            (7_264_000, &[-3 * DAY_MS], Some("its clock jumped back 3 days: ")),
            (7_265_000, &[DAY_MS], Some("its clock is 24 h ahead: its readings are refused")),
            (7_266_000, &[0], Some("some of its readings came 24 h ahead")),
        ];
        let mut clock = DeviceClock::default();
        for (received_ms, offsets, expected) in story {
            let received = at(received_ms);
            clock.observe(offsets.iter().map(|ms| received.plus_ms(*ms)), received, &LIMITS);
            let note = clock.fault().map(|fault| fault.message());
            assert_eq!(note.is_some(), expected.is_some(), "at {received_ms}: {note:?}");
            if let (Some(note), Some(expected)) = (note, expected) {
                assert!(note.starts_with(expected), "at {received_ms}: {note}");
            }
        }
    }

    #[test]
    fn the_note_is_steady_with_several_senders() {
        const BACKLOG: &[i64] = &[-1_260_000, -1_230_000, -1_200_000];
        let refused = Some("some of its readings came 9 min ahead");
        // A current reading every `current_s` seconds, another post every `other_s` seconds with these offsets, and the
        // constant note.
        for (what, current_s, other_s, other_ms, expected) in [
            ("a backlog of readings 20 min old", 1, 15, BACKLOG, None),
            ("one old reading at a time", 1, 1, &[-1_200_000][..], None),
            ("a pump that reads each 30 s, and a backlog each second", 30, 1, BACKLOG, None),
            ("a pump that reads each minute, and a backlog each 7 s", 60, 7, BACKLOG, None),
            ("a second gateway that is 2 h behind", 1, 1, &[-7_200_000][..], None),
            ("a second gateway that is 61 s behind", 5, 5, &[-61_000][..], None),
            ("a second gateway that is 9 min ahead", 1, 1, &[540_000][..], refused),
            ("one that is 9 min ahead, each 50 s", 1, 50, &[540_000][..], refused),
            ("one that is 9 min ahead, and its backlog", 1, 15, &[540_000, -3_600_000][..], refused),
            ("one that is 20 s ahead, which is allowed", 1, 1, &[20_000][..], None),
        ] {
            let mut clock = DeviceClock::default();
            for second in 0..600_i64 {
                let received = at(1_000 * second);
                if second % current_s == 0 {
                    clock.observe([received.plus_ms(-20)].into_iter(), received, &LIMITS);
                }
                if second % other_s == 0 {
                    let received = received.plus_ms(400);
                    clock.observe(other_ms.iter().map(|ms| received.plus_ms(*ms)), received, &LIMITS);
                }
                let note = clock.fault().map(|fault| fault.message());
                let as_expected = match (&note, expected) {
                    (None, None) => true,
                    (Some(note), Some(expected)) => note.starts_with(expected),
                    _ => false,
                };
                assert!(as_expected, "{what}, at {second} s: {note:?}");
            }
        }
    }

    #[test]
    fn a_clock_may_be_ahead_while_its_readings_are_accepted() {
        let limits = TimestampLimits { max_ahead_ms: 600_000, ..LIMITS };
        let mut clock = DeviceClock::default();
        clock.observe([at(60_000)].into_iter(), at(0), &limits);
        assert_eq!(clock.fault(), None);
        clock.observe([at(60_002)].into_iter(), at(1), &limits);
        assert_eq!(clock.fault(), None, "next to a current one it is stored without a note");
        clock.observe([at(120_002)].into_iter(), at(60_001), &limits);
        let fault = ClockFault { offset_ms: 60_001, kind: ClockFaultKind::Ahead { refused: false } };
        assert_eq!(clock.fault(), Some(fault));
        assert!(fault.message().contains("raise no alarm"), "{}", fault.message());
    }

    #[test]
    fn durations_are_formatted_in_their_usual_unit() {
        for (ms, words) in [
            (0, "0 s"),
            (499, "0 s"),
            (45_000, "45 s"),
            (89_999, "90 s"),
            (90_000, "2 min"),
            (539_990, "9 min"),
            (3_600_000, "60 min"),
            (5_400_000, "1.5 h"),
            (7_199_980, "2 h"),
            (7_560_000, "2.1 h"),
            (86_400_000, "24 h"),
            (129_600_000, "2 days"),
            (34_560_000_000, "400 days"),
        ] {
            assert_eq!(format_duration(ms), words, "{ms} ms");
        }
    }
}
