//! What a pump's own clock shows, held against the time at which its readings are received.
//!
//! A reading is *current* where its device time is within a minute of its receipt ([`TimeRules::is_current`]): only then
//! does it say how the pump is now. Whose readings are not current is told so. An example, received at 12:00:00 each:
//!
//! | Post | What is said |
//! | --- | --- |
//! | one reading of 11:59:58 | nothing: the clock is right |
//! | one reading of 12:09:00 | its clock is 9 min ahead: its readings are refused |
//! | one reading of 10:00:00, the first that is heard of it | its clock is 2 h behind |
//! | the same, after one of 11:59:58 | its clock jumped back 2 h |
//! | sixty readings of 10:00 to 10:59 | its newest reading is 61 min old: it sends what it has kept |
//! | one reading of 11:59:59 | nothing again |
//!
//! A pump may have several senders: its gateway, what the gateway kept while it was cut off, a second gateway. While readings with
//! a right time came within the last minute, how the pump is now is known, and alarms are raised. So an older post beside them
//! is a backlog and no fault of the clock, and nothing is said of it: its readings are stored and scored by their own times. Nor
//! is anything said of a second gateway whose clock is behind, which cannot be told from a backlog. No backlog is ahead, and
//! what is too far ahead is lost, so that is said, and for a minute after the last of them:
//!
//! | Post, at noon each second right ones | What is said |
//! | --- | --- |
//! | sixty readings of 11:39 to 11:40 | nothing: a backlog |
//! | one reading of 10:00:00 | nothing |
//! | one reading of 12:09:00 | some of its readings are 9 min ahead and are refused, the others are current |
//!
//! Does not correct any time, and cannot tell a clock that is behind from a gateway that sends each reading as much later.

use crate::{Reading, Timestamp};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How far a reading's device time may be from its receipt, and what follows from that. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRules {
    /// A reading that is further ahead is refused.
    pub ahead_ms: i64,
    /// A reading that is no further away, before or after, is current.
    pub current_ms: i64,
    /// A reading that is older is refused: it would be deleted at once.
    pub kept_ms: i64,
}

/// What is wrong with a pump's clock, by its last post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFault {
    /// The newest reading's device time less its receipt, in milliseconds: above zero where the clock is ahead.
    pub offset_ms: i64,
    /// Which fault.
    pub kind: FaultKind,
}

/// A fault of a pump's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is ahead, and its readings are not current.
    Ahead {
        /// It is so far ahead that they are refused.
        refused: bool,
    },
    /// Readings that are so far ahead that they are refused came beside ones whose time is right.
    SomeAhead,
    /// It is behind.
    Behind,
    /// It was right, and went back by so many milliseconds.
    JumpedBack(i64),
    /// The post holds readings of several times, all of them old: they were kept, or the clock is behind.
    Delayed,
}

/// One pump's clock. Pure: every time is passed in.
#[derive(Debug, Clone, Default)]
pub struct DeviceClock {
    fault: Option<ClockFault>,
    /// The last device time that was current, and when it was received.
    right: Option<(Timestamp, Timestamp)>,
    /// What was refused last for being ahead, and when it was received.
    refused: Option<(i64, Timestamp)>,
}

impl TimeRules {
    /// Whether a reading says how its pump is now.
    pub fn is_current(&self, reading: &Reading) -> bool {
        reading.at.since_ms(reading.received).abs() <= self.current_ms
    }

    /// Whether a clock whose time is so far ahead of the receipt (or behind, below zero) is right.
    fn is_right(&self, offset_ms: i64) -> bool {
        (-self.current_ms..=self.current_ms.min(self.ahead_ms)).contains(&offset_ms)
    }
}

impl DeviceClock {
    /// What is wrong with it, if anything is.
    pub fn fault(&self) -> Option<ClockFault> {
        self.fault
    }

    /// Takes note of the device times of one post, refused ones too. One that is right is enough, in this post or within
    /// the last minute: then what is older is a backlog.
    pub fn observe(&mut self, times: impl Iterator<Item = Timestamp>, received: Timestamp, rules: &TimeRules) {
        let mut ends: Option<(Timestamp, Timestamp)> = None;
        for at in times {
            ends = Some(ends.map_or((at, at), |(oldest, newest)| (oldest.min(at), newest.max(at))));
            if rules.is_right(at.since_ms(received)) {
                let newest = self.right.filter(|(_, then)| *then == received).map_or(at, |(newest, _)| newest.max(at));
                self.right = Some((newest, received));
            }
        }
        let Some((oldest, newest)) = ends else { return };
        let offset_ms = newest.since_ms(received);
        if offset_ms > rules.ahead_ms {
            self.refused = Some((offset_ms, received));
        }
        let is_recent = |then: Timestamp| received.since_ms(then).abs() <= rules.current_ms;
        if self.right.is_some_and(|(_, then)| is_recent(then)) {
            let refused = self.refused.filter(|(_, then)| is_recent(*then));
            self.fault = refused.map(|(offset_ms, _)| ClockFault { offset_ms, kind: FaultKind::SomeAhead });
            return;
        }
        let kind = match self.right {
            _ if offset_ms > 0 => FaultKind::Ahead { refused: offset_ms > rules.ahead_ms },
            _ if oldest < newest => FaultKind::Delayed,
            Some((at, then)) if newest < at => FaultKind::JumpedBack(at.since_ms(then) - offset_ms),
            _ => FaultKind::Behind,
        };
        self.fault = Some(ClockFault { offset_ms, kind });
    }
}

impl ClockFault {
    /// The fault as a sentence for people.
    pub fn note(&self) -> String {
        let by = in_words(self.offset_ms.saturating_abs());
        let effect = "its readings are stored and scored by their own times, and raise no alarm";
        match self.kind {
            FaultKind::Ahead { refused: true } => format!("its clock is {by} ahead: its readings are refused"),
            FaultKind::Ahead { refused: false } => format!("its clock is {by} ahead: {effect}"),
            FaultKind::SomeAhead => {
                format!(
                    "some of its readings came {by} ahead within the last minute and were refused: the others are current"
                )
            }
            FaultKind::Behind => format!("its clock is {by} behind: {effect}"),
            FaultKind::JumpedBack(ms) => format!("its clock jumped back {}: {effect}", in_words(ms)),
            FaultKind::Delayed => format!("its newest reading is {by} old: it sends what it has kept, and {effect}"),
        }
    }
}

/// A length of time in the unit that people would say it in, as `45 s`, `9 min`, `2 h`, `2.5 h` or `3 days`.
pub fn in_words(ms: i64) -> String {
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
    const RULES: TimeRules = TimeRules { ahead_ms: 30 * SECOND_MS, current_ms: 60 * SECOND_MS, kept_ms: 400 * DAY_MS };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(NOON + ms).expect("a time")
    }

    #[test]
    fn what_a_reading_may_be_away_and_still_be_current() {
        for (offset_ms, current) in
            [(0, true), (-60_000, true), (-60_001, false), (60_000, true), (60_001, false), (-3_600_000, false)]
        {
            let (pump, samples) = ("P-1".parse().expect("a name"), [].into());
            let reading = Reading { pump, at: at(offset_ms), received: at(0), samples, late: false };
            assert_eq!(RULES.is_current(&reading), current, "{offset_ms} ms");
        }
    }

    #[test]
    fn what_is_said_of_a_clock_follows_its_posts() {
        // Received at, the times of the post against that, and what is said then.
        const SOME: &str = "some of its readings came 9 min ahead within the last minute and were refused";
        let story: [(i64, &[i64], Option<&str>); 25] = [
            (0, &[-7_200_000], Some("its clock is 2 h behind: ")),
            (1_000, &[-7_200_020], Some("its clock is 2 h behind: ")),
            (2_000, &[-20], None),
            (3_000, &[540_000 - 20], Some(SOME)),
            (5_000, &[30_000], Some(SOME)),
            (63_000, &[-20], Some(SOME)),
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
            (3_603_000, &[540_000, -40], Some(SOME)),
            // A buffer after an outage: what it holds is later than what came before.
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
        for (received_ms, offsets, said) in story {
            let received = at(received_ms);
            clock.observe(offsets.iter().map(|ms| received.plus_ms(*ms)), received, &RULES);
            let note = clock.fault().map(|fault| fault.note());
            assert_eq!(note.is_some(), said.is_some(), "at {received_ms}: {note:?}");
            if let (Some(note), Some(said)) = (note, said) {
                assert!(note.starts_with(said), "at {received_ms}: {note}");
            }
        }
    }

    #[test]
    fn what_comes_beside_right_readings_is_said_steadily() {
        const KEPT: &[i64] = &[-1_260_000, -1_230_000, -1_200_000];
        let refused = Some("some of its readings came 9 min ahead");
        // Beside a right reading each so many seconds: posts of others, each so many seconds, and what is said all the time.
        for (what, right_s, beside_s, beside, said) in [
            ("a backlog of readings 20 min old", 1, 15, KEPT, None),
            ("one old reading at a time", 1, 1, &[-1_200_000][..], None),
            ("a pump that reads each 30 s, and a backlog each second", 30, 1, KEPT, None),
            ("a pump that reads each minute, and a backlog each 7 s", 60, 7, KEPT, None),
            ("a second gateway that is 2 h behind", 1, 1, &[-7_200_000][..], None),
            ("a second gateway that is 61 s behind", 5, 5, &[-61_000][..], None),
            ("a second gateway that is 9 min ahead", 1, 1, &[540_000][..], refused),
            ("one that is 9 min ahead, each 50 s", 1, 50, &[540_000][..], refused),
            ("one that is 9 min ahead, and what it kept", 1, 15, &[540_000, -3_600_000][..], refused),
            ("one that is 20 s ahead, which is allowed", 1, 1, &[20_000][..], None),
        ] {
            let mut clock = DeviceClock::default();
            for second in 0..600_i64 {
                let received = at(1_000 * second);
                if second % right_s == 0 {
                    clock.observe([received.plus_ms(-20)].into_iter(), received, &RULES);
                }
                if second % beside_s == 0 {
                    let received = received.plus_ms(400);
                    clock.observe(beside.iter().map(|ms| received.plus_ms(*ms)), received, &RULES);
                }
                let note = clock.fault().map(|fault| fault.note());
                let as_expected = match (&note, said) {
                    (None, None) => true,
                    (Some(note), Some(said)) => note.starts_with(said),
                    _ => false,
                };
                assert!(as_expected, "{what}, at {second} s: {note:?}");
            }
        }
    }

    #[test]
    fn a_clock_may_be_ahead_and_its_readings_be_taken() {
        let rules = TimeRules { ahead_ms: 600_000, ..RULES };
        let mut clock = DeviceClock::default();
        clock.observe([at(60_000)].into_iter(), at(0), &rules);
        assert_eq!(clock.fault(), None);
        clock.observe([at(60_002)].into_iter(), at(1), &rules);
        assert_eq!(clock.fault(), None, "beside a right one it is stored, and no harm");
        clock.observe([at(120_002)].into_iter(), at(60_001), &rules);
        let fault = ClockFault { offset_ms: 60_001, kind: FaultKind::Ahead { refused: false } };
        assert_eq!(clock.fault(), Some(fault));
        assert!(fault.note().contains("raise no alarm"), "{}", fault.note());
    }

    #[test]
    fn lengths_of_time_are_said_as_people_say_them() {
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
            assert_eq!(in_words(ms), words, "{ms} ms");
        }
    }
}
