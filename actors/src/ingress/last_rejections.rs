//! Records for new pumps why all their readings were rejected.
//!
//! Such a pump is not registered, so no page and no list shows it. Without this record, only the responses to its posts
//! would say what is wrong. The reasons are held in memory, for the [`MAX_PUMPS`] pumps that were rejected last. Does
//! not record rejections of registered pumps.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use volute_plant::PumpId;

/// The maximum number of pumps. A further pump replaces the one that was rejected longest ago.
const MAX_PUMPS: usize = 100;
/// The shortest time between two log lines about one pump with the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(600);

/// The new pumps whose readings were rejected last.
#[derive(Debug, Default)]
pub(crate) struct LastRejections {
    /// In the order of their last rejection.
    pumps: VecDeque<PumpRejection>,
}

#[derive(Debug)]
struct PumpRejection {
    pump: PumpId,
    /// The rejected field. Rejections of the same field count as the same reason, although their messages may contain
    /// different times.
    field: String,
    message: String,
    logged: Instant,
}

impl LastRejections {
    /// Records a rejection. Returns whether to log it.
    pub(super) fn record(&mut self, pump: &PumpId, field: String, message: String, now: Instant) -> bool {
        let index = self.pumps.iter().position(|known| known.pump == *pump);
        let previous = index.and_then(|index| self.pumps.remove(index));
        let recent =
            previous.filter(|previous| previous.field == field && now.duration_since(previous.logged) < LOG_INTERVAL);
        let logged = recent.as_ref().map_or(now, |previous| previous.logged);
        if self.pumps.len() == MAX_PUMPS {
            self.pumps.pop_front();
        }
        self.pumps.push_back(PumpRejection { pump: pump.clone(), field, message, logged });
        recent.is_none()
    }

    /// Returns why the pump's last reading was rejected.
    pub(crate) fn reason(&self, pump: &PumpId) -> Option<&str> {
        self.pumps.iter().find(|known| known.pump == *pump).map(|known| known.message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump(n: usize) -> PumpId {
        format!("P-{n}").parse().expect("a name")
    }

    #[test]
    fn a_rejection_is_logged_once_per_interval_and_the_last_reason_is_recorded() {
        let mut rejections = LastRejections::default();
        let start = Instant::now();
        for (second, field, logged) in [
            (0, "timestamp", true),
            (1, "timestamp", false),
            (599, "timestamp", false),
            (600, "timestamp", true),
            (601, "timestamp", false),
            (602, "Motor_RPM", true),
            (603, "Motor_RPM", false),
        ] {
            let now = start + Duration::from_secs(second);
            let message = format!("{field}: at {second} s");
            assert_eq!(rejections.record(&pump(1), field.into(), message.clone(), now), logged, "{message}");
            assert_eq!(rejections.reason(&pump(1)), Some(message.as_str()));
        }
        assert_eq!(rejections.reason(&pump(2)), None);
    }

    #[test]
    fn at_most_a_hundred_are_recorded_and_the_oldest_is_dropped() {
        let mut rejections = LastRejections::default();
        let now = Instant::now();
        for n in (0..MAX_PUMPS).chain([0, MAX_PUMPS]) {
            rejections.record(&pump(n), "timestamp".into(), "why".into(), now);
        }
        assert_eq!((rejections.pumps.len(), rejections.reason(&pump(1))), (MAX_PUMPS, None));
        assert!(rejections.reason(&pump(0)).is_some() && rejections.reason(&pump(MAX_PUMPS)).is_some());
    }
}
