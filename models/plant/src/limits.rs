//! The alarm limits of a channel, and which of them a value is beyond.
//!
//! Example: a bearing with the warning above 75 °C and the alarm above 85 °C.
//!
//! | value | beyond |
//! | --- | --- |
//! | 75 °C | none: a limit itself is allowed |
//! | 80 °C | `high_warning` |
//! | 90 °C | `high_alarm` |
//! | missing (NaN) | none |
//!
//! Does not raise alarms: `rule_evaluator.rs` has the rules, which have values of their own.

use serde::Deserialize;

/// Alarm limits in the channel's unit. A limit that is absent is not evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Alarm below this.
    pub low_alarm: Option<f64>,
    /// Warning below this.
    pub low_warning: Option<f64>,
    /// Warning above this.
    pub high_warning: Option<f64>,
    /// Alarm above this.
    pub high_alarm: Option<f64>,
}

/// A limit that a value is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Below [`Limits::low_alarm`].
    LowAlarm,
    /// Below [`Limits::low_warning`].
    LowWarning,
    /// Above [`Limits::high_warning`].
    HighWarning,
    /// Above [`Limits::high_alarm`].
    HighAlarm,
}

impl Limits {
    /// Returns the limit that a value is beyond, an alarm before a warning; none for NaN.
    pub fn beyond(&self, value: f64) -> Option<Limit> {
        let below = |limit: Option<f64>| limit.is_some_and(|limit| value < limit);
        let above = |limit: Option<f64>| limit.is_some_and(|limit| value > limit);
        if below(self.low_alarm) {
            Some(Limit::LowAlarm)
        } else if above(self.high_alarm) {
            Some(Limit::HighAlarm)
        } else if below(self.low_warning) {
            Some(Limit::LowWarning)
        } else if above(self.high_warning) {
            Some(Limit::HighWarning)
        } else {
            None
        }
    }
}

impl Limit {
    /// Whether it is an alarm limit, and not a warning.
    pub fn is_alarm(self) -> bool {
        matches!(self, Limit::LowAlarm | Limit::HighAlarm)
    }

    /// Returns its name in profiles and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Limit::LowAlarm => "low_alarm",
            Limit::LowWarning => "low_warning",
            Limit::HighWarning => "high_warning",
            Limit::HighAlarm => "high_alarm",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_beyond_the_alarm_before_the_warning() {
        let limits =
            Limits { low_alarm: Some(5.0), low_warning: Some(10.0), high_warning: Some(75.0), high_alarm: Some(85.0) };
        for (value, expected) in [
            (4.9, Some(Limit::LowAlarm)),
            (5.0, Some(Limit::LowWarning)),
            (10.0, None),
            (75.0, None),
            (80.0, Some(Limit::HighWarning)),
            (85.0, Some(Limit::HighWarning)),
            (90.0, Some(Limit::HighAlarm)),
            (f64::NAN, None),
        ] {
            assert_eq!(limits.beyond(value), expected, "{value}");
        }
        assert_eq!(Limits::default().beyond(1e9), None);
    }
}
