//! What is to be simulated.

use volute_data::Row;
use volute_plant::{PumpId, Quantity};
use volute_simulator::{Fault, SensorFault, Severity};

/// What is to be simulated.
#[derive(Debug, Clone)]
pub enum Plan {
    /// The demo's six pumps, each with its own story, over and over.
    Stories,
    /// These pumps, their faults over and over.
    Pumps(Vec<PumpPlan>),
    /// A recording's rows, once, as far apart in time as they were recorded, one after the other a second apart.
    Recording {
        /// Whose readings they become.
        pump: PumpId,
        /// The rows.
        rows: Vec<Row>,
    },
}

/// One simulated pump.
#[derive(Debug, Clone)]
pub struct PumpPlan {
    /// Its name.
    pub pump: PumpId,
    /// What goes wrong with it, how badly, and how long that takes from one healthy time to the next, in seconds; none:
    /// nothing ever does.
    pub fault: Option<(Fault, Severity, f64)>,
    /// Decides how it was built, its load and its noise.
    pub seed: u64,
}

/// How many times as fast as usual: a pump's faults come and go, or a recording's rows follow each other.
///
/// The readings' own clock always goes at its usual pace: rows that were recorded a minute apart are a minute apart in the
/// readings, however fast they are sent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Speed(f64);

impl Speed {
    /// The usual pace.
    pub const USUAL: Self = Self(1.0);
    /// What a speed may be, for people.
    pub const ALLOWED: &str = "1 to 60";

    /// A speed of 1 to 60.
    pub fn new(times: f64) -> Option<Self> {
        (1.0..=60.0).contains(&times).then_some(Self(times))
    }

    /// How many times as fast.
    pub fn times(self) -> f64 {
        self.0
    }
}

impl Plan {
    /// Whose readings will come.
    pub fn pumps(&self) -> Vec<PumpId> {
        match self {
            Self::Stories => stories().into_iter().map(|plan| plan.pump).collect(),
            Self::Pumps(plans) => plans.iter().map(|plan| plan.pump.clone()).collect(),
            Self::Recording { pump, .. } => vec![pump.clone()],
        }
    }
}

/// The demo's six pumps. The first fault shows within half a minute, and there is nearly always one at work. Each seed
/// is another pump, with its own size, load and noise; each is commissioned for itself.
pub(super) fn stories() -> Vec<PumpPlan> {
    let sick = |fault, severity, cycle_s| Severity::new(severity).ok().map(|severity| (fault, severity, cycle_s));
    let stories = [
        ("P-101", 101, None),
        ("P-102", 102, sick(Fault::BearingWear, 1.0, 300.0)),
        ("P-103", 103, sick(Fault::Cavitation, 0.8, 150.0)),
        ("P-104", 104, sick(Fault::SealLeak, 1.0, 400.0)),
        ("P-105", 109, sick(Fault::ImpellerClog, 0.8, 260.0)),
        ("P-106", 120, sick(Fault::Sensor(SensorFault::Stuck, Quantity::Flow), 1.0, 340.0)),
    ];
    let mut plans = Vec::new();
    for (name, seed, fault) in stories {
        if let Ok(pump) = name.parse() {
            plans.push(PumpPlan { pump, fault, seed });
        }
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stories_are_six_and_five_of_them_go_wrong() {
        let stories = stories();
        assert_eq!((stories.len(), stories.iter().filter(|plan| plan.fault.is_some()).count()), (6, 5));
        assert_eq!(Plan::Stories.pumps().len(), 6);
    }

    #[test]
    fn a_speed_has_bounds() {
        assert_eq!(Speed::new(1.0), Some(Speed::USUAL));
        assert!(Speed::new(60.0).is_some());
        for bad in [0.0, 0.99, 60.01, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Speed::new(bad), None, "{bad}");
        }
    }
}
