//! When a fault begins, how it grows, how long it stays and how it fades.

use std::fmt;

use crate::{Fault, SensorFault, Severity};

/// Below this share of its full growth a fault leaves only first traces, and the machine still counts as normal.
const FIRST_TRACES: f64 = 0.05;

/// What people would call the machine's state; the label of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MachineStatus {
    /// Healthy, or with the first traces of a fault.
    Normal,
    /// The fault is there.
    Broken,
    /// The fault is fading.
    Recovering,
}

impl fmt::Display for MachineStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "NORMAL",
            Self::Broken => "BROKEN",
            Self::Recovering => "RECOVERING",
        })
    }
}

/// The course of one fault. Times are in seconds; a negative one counts as 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// What goes wrong.
    pub fault: Fault,
    /// How badly, once it has grown.
    pub severity: Severity,
    /// Healthy running before it begins, counted from when the episode is set.
    pub onset_s: f64,
    /// From its beginning until it has grown.
    pub growth_s: f64,
    /// How long it then stays.
    pub hold_s: f64,
    /// How long it takes to fade.
    pub recovery_s: f64,
}

/// Where an episode is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stage {
    pub(crate) status: MachineStatus,
    /// The fault, if it acts.
    pub(crate) fault: Option<Fault>,
    /// How far it has grown, 0 to 1.
    pub(crate) growth: f64,
    /// How bad it is now: its severity, as far as it has grown.
    pub(crate) level: f64,
}

impl Stage {
    /// Nothing is wrong.
    pub(crate) const HEALTHY: Self = Self { status: MachineStatus::Normal, fault: None, growth: 0.0, level: 0.0 };
}

impl Episode {
    /// From when it is set until the machine is healthy again, in seconds.
    pub fn total_s(&self) -> f64 {
        [self.onset_s, self.growth_s, self.hold_s, self.recovery_s].iter().map(|s| s.max(0.0)).sum()
    }

    /// The fault at the pace it has in a plant: a bearing wears over weeks, a valve closes in seconds.
    pub fn typical(fault: Fault, severity: Severity) -> Self {
        let (growth_s, hold_s) = pace(fault);
        let recovery_s = growth_s.clamp(30.0, 15.0 * MINUTE);
        Self { fault, severity, onset_s: 10.0 * MINUTE, growth_s, hold_s, recovery_s }
    }

    /// The fault hurried so that all of it fits into `total_s`: a tenth healthy, then growing for at most a third,
    /// and fading in the last fifth. What is quick by nature stays as quick as it is.
    pub fn within(fault: Fault, severity: Severity, total_s: f64) -> Self {
        let total_s = total_s.max(0.0);
        let (onset_s, recovery_s) = (0.1 * total_s, 0.2 * total_s);
        let growth_s = pace(fault).0.min(0.35 * total_s);
        let hold_s = total_s - onset_s - growth_s - recovery_s;
        Self { fault, severity, onset_s, growth_s, hold_s, recovery_s }
    }

    pub(crate) fn stage(&self, since_s: f64) -> Stage {
        let begun_s = since_s - self.onset_s.max(0.0);
        let grown_s = begun_s - self.growth_s.max(0.0);
        let fading_s = grown_s - self.hold_s.max(0.0);
        if begun_s < 0.0 || fading_s >= self.recovery_s.max(0.0) {
            return Stage::HEALTHY;
        }
        let (status, growth) = if fading_s >= 0.0 {
            (MachineStatus::Recovering, 1.0 - fading_s / self.recovery_s)
        } else {
            let growth = if grown_s >= 0.0 { 1.0 } else { begun_s / self.growth_s };
            (if growth < FIRST_TRACES { MachineStatus::Normal } else { MachineStatus::Broken }, growth)
        };
        let fault = (growth > 0.0).then_some(self.fault);
        Stage { status, fault, growth, level: self.severity.get() * growth }
    }
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// How long the fault grows and how long it then stays, in seconds, where nobody hurries it. Orders of magnitude.
fn pace(fault: Fault) -> (f64, f64) {
    match fault {
        Fault::BearingWear => (14.0 * DAY, 2.0 * DAY),
        Fault::LubricationLoss => (10.0 * MINUTE, 20.0 * MINUTE),
        Fault::Cavitation => (30.0 * MINUTE, HOUR),
        Fault::BlockedSuction => (4.0 * HOUR, 2.0 * HOUR),
        Fault::DeadHead => (8.0, 5.0 * MINUTE),
        Fault::DryRun => (30.0, 5.0 * MINUTE),
        Fault::ImpellerWear => (21.0 * DAY, 2.0 * DAY),
        Fault::ImpellerClog => (10.0 * MINUTE, 4.0 * HOUR),
        Fault::SealLeak => (5.0 * DAY, DAY),
        Fault::Unbalance => (2.0, HOUR),
        Fault::Misalignment => (MINUTE, DAY),
        Fault::Overload => (5.0 * MINUTE, 30.0 * MINUTE),
        Fault::PhaseFault => (2.0, 10.0 * MINUTE),
        Fault::Sensor(SensorFault::Drift, _) => (2.0 * DAY, DAY),
        Fault::Sensor(SensorFault::Stuck | SensorFault::Spike | SensorFault::Dropout, _) => (1.0, HOUR),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every_fault() -> impl Iterator<Item = Fault> {
        let of_sensor = |name: &&str| Fault::parse(name, Some(volute_plant::Quantity::Flow)).ok();
        Fault::of_machine().chain(Fault::NAMES.iter().filter_map(of_sensor).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn an_episode_fits_and_goes_through_its_states_in_order(total_s in 60.0..1e6_f64) {
            for fault in every_fault() {
                let episode = Episode::within(fault, Severity::new(1.0).expect("fine"), total_s);
                prop_assert!((episode.total_s() - total_s).abs() < 1e-6 * total_s);
                let mut seen: Vec<MachineStatus> = Vec::new();
                for i in 0..=500 {
                    let stage = episode.stage(total_s * 1.01 * f64::from(i) / 500.0);
                    prop_assert!((0.0..=1.0).contains(&stage.growth));
                    if seen.last() != Some(&stage.status) {
                        seen.push(stage.status);
                    }
                }
                use MachineStatus::{Broken, Normal, Recovering};
                prop_assert_eq!(seen, [Normal, Broken, Recovering, Normal]);
            }
        }
    }

    #[test]
    fn first_traces_are_normal_and_nonsense_is_no_panic() {
        let episode = Episode {
            fault: Fault::BearingWear,
            severity: Severity::new(1.0).expect("fine"),
            onset_s: 10.0,
            growth_s: 100.0,
            hold_s: 50.0,
            recovery_s: 40.0,
        };
        for (since_s, status, growth) in [
            (9.9, MachineStatus::Normal, 0.0),
            (14.0, MachineStatus::Normal, 0.04),
            (15.0, MachineStatus::Broken, 0.05),
            (120.0, MachineStatus::Broken, 1.0),
            (170.0, MachineStatus::Recovering, 0.75),
            (200.0, MachineStatus::Normal, 0.0),
        ] {
            let stage = episode.stage(since_s);
            assert_eq!(stage.status, status, "{since_s}");
            assert!((stage.growth - growth).abs() < 1e-9, "{since_s}: {}", stage.growth);
        }
        let odd = Episode { onset_s: -1.0, growth_s: 0.0, hold_s: 0.0, recovery_s: 0.0, ..episode };
        assert_eq!(odd.stage(0.0).growth, 0.0);
        assert_eq!(odd.total_s(), 0.0);
    }
}
