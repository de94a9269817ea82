//! New pumps of which nothing could be stored, as all that they sent was refused, and why.
//!
//! Such a pump is not registered, so no page and no list has it; without this, only the answers to its posts say what is
//! wrong. Kept in memory, of the [`MOST`] that were refused last. Does not hold refusals of registered pumps.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use volute_plant::PumpId;

/// How many are remembered. The one that was refused longest ago makes room.
const MOST: usize = 100;
/// Of one pump, a line is logged no more often than this while the reason stays the same.
const LOG_EVERY: Duration = Duration::from_secs(600);

/// The pumps that were refused last.
#[derive(Debug, Default)]
pub(crate) struct RefusedPumps {
    /// The one refused last comes last.
    pumps: VecDeque<RefusedPump>,
}

#[derive(Debug)]
struct RefusedPump {
    pump: PumpId,
    /// The field, by which two reasons are told apart: a text has the time in it.
    field: String,
    message: String,
    logged: Instant,
}

impl RefusedPumps {
    /// Takes note of a refusal. Returns whether it should be logged.
    pub(super) fn note(&mut self, pump: &PumpId, field: String, message: String, now: Instant) -> bool {
        let known = self.pumps.iter().position(|known| known.pump == *pump);
        let before = known.and_then(|place| self.pumps.remove(place));
        let recent = before.filter(|before| before.field == field && now.duration_since(before.logged) < LOG_EVERY);
        let logged = recent.as_ref().map_or(now, |before| before.logged);
        if self.pumps.len() == MOST {
            self.pumps.pop_front();
        }
        self.pumps.push_back(RefusedPump { pump: pump.clone(), field, message, logged });
        recent.is_none()
    }

    /// Why the pump's last reading was refused.
    pub(crate) fn why(&self, pump: &PumpId) -> Option<&str> {
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
    fn a_refusal_is_logged_once_in_a_while_and_the_last_reason_is_kept() {
        let mut refused = RefusedPumps::default();
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
            assert_eq!(refused.note(&pump(1), field.into(), message.clone(), now), logged, "{message}");
            assert_eq!(refused.why(&pump(1)), Some(message.as_str()));
        }
        assert_eq!(refused.why(&pump(2)), None);
    }

    #[test]
    fn no_more_than_a_hundred_are_kept_and_the_oldest_goes() {
        let mut refused = RefusedPumps::default();
        let now = Instant::now();
        for n in (0..MOST).chain([0, MOST]) {
            refused.note(&pump(n), "timestamp".into(), "why".into(), now);
        }
        assert_eq!((refused.pumps.len(), refused.why(&pump(1))), (MOST, None));
        assert!(refused.why(&pump(0)).is_some() && refused.why(&pump(MOST)).is_some());
    }
}
