//! Rows for tests.

use volute_plant::Timestamp;

use crate::{AlarmId, Cause, Evidence, Priority, State, Transition};

/// A time, in seconds after the beginning of the test.
pub(crate) fn at_s(s: i64) -> Timestamp {
    Timestamp::from_millis(1_773_050_400_000 + 1_000 * s).expect("a time")
}

pub(crate) fn id(text: &str) -> AlarmId {
    text.try_into().expect("an id")
}

/// A raise that is announced, with a value and a limit. `alarm` may have a pump before a slash.
pub(crate) fn row(alarm: &str, s: i64, value: Option<(f64, f64)>) -> Transition {
    let (pump, alarm) = alarm.split_once('/').map_or((None, alarm), |(pump, alarm)| (Some(pump), alarm));
    Transition {
        seq: 1,
        pump: pump.map(|pump| pump.parse().expect("a pump")),
        alarm: id(alarm),
        occurrence: 1,
        announces: true,
        priority: Priority::Low,
        from: State::Normal,
        to: State::Unacknowledged,
        at: at_s(s),
        cause: Cause::Raised { evidence: evidence(s, value) },
        by: None,
        comment: None,
    }
}

/// A return of the alarm of [`row`].
pub(crate) fn returned(alarm: &str, s: i64, value: Option<(f64, f64)>) -> Transition {
    Transition {
        seq: 2,
        announces: false,
        from: State::Unacknowledged,
        to: State::ReturnedUnacknowledged,
        cause: Cause::Returned { evidence: evidence(s, value), latched: false },
        ..row(alarm, s, value)
    }
}

fn evidence(s: i64, value: Option<(f64, f64)>) -> Evidence {
    Evidence { value: value.map(|(value, _)| value), limit: value.map(|(_, limit)| limit), ..Evidence::at(at_s(s)) }
}
