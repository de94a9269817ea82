//! Describes a simulation: which pumps or which recording to play, and how fast.

use volute_data::Row;
use volute_plant::{PumpId, Quantity};
use volute_simulator::{Fault, SensorFault, Severity};

/// A plan to play.
#[derive(Debug, Clone)]
pub enum Plan {
    /// The six pumps of the demo, whose faults repeat.
    Demo,
    /// These pumps, whose faults repeat.
    Pumps(Vec<PumpPlan>),
    /// The rows of a recording, once. They are sent one per second, with timestamps as far apart as they were recorded.
    Recording {
        /// The pump that they become readings of.
        pump: PumpId,
        /// The rows.
        rows: Vec<Row>,
    },
}

/// One simulated pump.
#[derive(Debug, Clone)]
pub struct PumpPlan {
    /// The id of the pump.
    pub pump: PumpId,
    /// The fault, its severity, and the length of one fault run in seconds at normal speed. A fault run is healthy, then
    /// has a growing fault, the full fault, and a recovery. Episodes are repeated. None for a pump that stays healthy.
    pub fault: Option<(Fault, Severity, f64)>,
    /// The seed of its design, load and noise.
    pub seed: u64,
}

/// A factor on the speed at which faults develop, or at which a recording's rows are sent.
///
/// It does not change the distances of timestamps: rows that were recorded a minute apart become readings a minute
/// apart, however fast they are sent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Speed(f64);

impl Speed {
    /// Normal speed.
    pub const NORMAL: Self = Self(1.0);
    /// The allowed values, as text for users.
    pub const ALLOWED: &str = "1 to 60";

    /// Creates a speed of 1 to 60. Returns none for other values.
    pub fn new(times: f64) -> Option<Self> {
        (1.0..=60.0).contains(&times).then_some(Self(times))
    }

    /// Returns the factor.
    pub fn times(self) -> f64 {
        self.0
    }
}

impl Plan {
    /// Returns the pumps of the plan.
    pub fn pumps(&self) -> Vec<PumpId> {
        match self {
            Self::Demo => demo_pumps().into_iter().map(|plan| plan.pump).collect(),
            Self::Pumps(plans) => plans.iter().map(|plan| plan.pump.clone()).collect(),
            Self::Recording { pump, .. } => vec![pump.clone()],
        }
    }
}

/// Returns the six pumps of the demo. The first fault shows within half a minute, and there is nearly always a fault
/// active. Each seed gives a different pump, with its own size, load and noise; each is commissioned from its own
/// readings.
pub(super) fn demo_pumps() -> Vec<PumpPlan> {
    let faulty = |fault, severity, cycle_s| Severity::new(severity).ok().map(|severity| (fault, severity, cycle_s));
    let table = [
        ("P-101", 101, None),
        ("P-102", 102, faulty(Fault::BearingWear, 1.0, 300.0)),
        ("P-103", 103, faulty(Fault::Cavitation, 0.8, 150.0)),
        ("P-104", 104, faulty(Fault::SealLeak, 1.0, 400.0)),
        ("P-105", 109, faulty(Fault::ImpellerClog, 0.8, 260.0)),
        ("P-106", 120, faulty(Fault::Sensor(SensorFault::Stuck, Quantity::Flow), 1.0, 340.0)),
    ];
    let mut plans = Vec::new();
    for (name, seed, fault) in table {
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
    fn five_of_the_six_demo_pumps_have_a_fault() {
        let pumps = demo_pumps();
        assert_eq!((pumps.len(), pumps.iter().filter(|plan| plan.fault.is_some()).count()), (6, 5));
        assert_eq!(Plan::Demo.pumps().len(), 6);
    }

    #[test]
    fn a_speed_has_bounds() {
        assert_eq!(Speed::new(1.0), Some(Speed::NORMAL));
        assert!(Speed::new(60.0).is_some());
        for bad in [0.0, 0.99, 60.01, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Speed::new(bad), None, "{bad}");
        }
    }
}
