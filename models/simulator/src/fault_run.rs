//! The time course of a fault: when it begins, how it grows, how long it stays and how it fades.
//!
//! An example: `FaultRun::within(fault, severity, 300.0)` with bearing wear. The machine is healthy for 30 s. Then the
//! fault grows for 105 s, stays at its severity for 105 s, and fades in the last 60 s. The status is `Normal` until the
//! fault has grown by 5 %, then `Broken`, and `Recovering` while it fades.

use std::fmt;

use crate::{Fault, SensorFault, Severity};

/// Below this share of its growth a fault is incipient, and the machine's status is still `Normal`.
const INCIPIENT_GROWTH: f64 = 0.05;

/// The status of the machine, used as the label of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MachineStatus {
    /// Healthy, or with an incipient fault.
    Normal,
    /// The fault is present.
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

/// The time course of one fault. Times are in seconds; negative ones count as 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRun {
    /// The fault.
    pub fault: Fault,
    /// Its severity at full growth.
    pub severity: Severity,
    /// Seconds of healthy running until the fault begins.
    pub onset_s: f64,
    /// Seconds from the beginning of the fault until it is fully grown.
    pub growth_s: f64,
    /// Seconds for which it stays fully grown.
    pub hold_s: f64,
    /// Seconds in which it fades.
    pub recovery_s: f64,
}

/// The state of a fault run at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stage {
    pub(crate) status: MachineStatus,
    /// The fault, if it is active.
    pub(crate) fault: Option<Fault>,
    /// How far it has grown, 0 to 1.
    pub(crate) growth: f64,
    /// Its level now: severity times growth.
    pub(crate) level: f64,
}

impl Stage {
    /// No fault is active.
    pub(crate) const HEALTHY: Self = Self { status: MachineStatus::Normal, fault: None, growth: 0.0, level: 0.0 };
}

impl FaultRun {
    /// Returns the seconds from the start of the fault run until the machine is healthy again.
    pub fn total_s(&self) -> f64 {
        [self.onset_s, self.growth_s, self.hold_s, self.recovery_s].iter().map(|s| s.max(0.0)).sum()
    }

    /// Returns a fault run with realistic durations: a bearing wears over weeks, a valve closes in seconds.
    pub fn typical(fault: Fault, severity: Severity) -> Self {
        let (growth_s, hold_s) = typical_durations(fault);
        let recovery_s = growth_s.clamp(30.0, 15.0 * MINUTE);
        Self { fault, severity, onset_s: 10.0 * MINUTE, growth_s, hold_s, recovery_s }
    }

    /// Returns a fault run of `total_s` seconds: a tenth healthy, then growing for at most 35 %, and fading in the last
    /// fifth. Faults that grow faster in reality keep their real growth time.
    pub fn within(fault: Fault, severity: Severity, total_s: f64) -> Self {
        let total_s = total_s.max(0.0);
        let (onset_s, recovery_s) = (0.1 * total_s, 0.2 * total_s);
        let growth_s = typical_durations(fault).0.min(0.35 * total_s);
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
            (if growth < INCIPIENT_GROWTH { MachineStatus::Normal } else { MachineStatus::Broken }, growth)
        };
        let fault = (growth > 0.0).then_some(self.fault);
        Stage { status, fault, growth, level: self.severity.get() * growth }
    }
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// Returns the order of magnitude of a fault's growth and hold times in reality, in seconds.
fn typical_durations(fault: Fault) -> (f64, f64) {
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
        Fault::machine_faults().chain(Fault::NAMES.iter().filter_map(of_sensor).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn a_fault_run_has_the_given_length_and_its_states_in_order(total_s in 60.0..1e6_f64) {
            for fault in every_fault() {
                let fault_run = FaultRun::within(fault, Severity::new(1.0).expect("fine"), total_s);
                prop_assert!((fault_run.total_s() - total_s).abs() < 1e-6 * total_s);
                let mut states: Vec<MachineStatus> = Vec::new();
                for i in 0..=500 {
                    let stage = fault_run.stage(total_s * 1.01 * f64::from(i) / 500.0);
                    prop_assert!((0.0..=1.0).contains(&stage.growth));
                    if states.last() != Some(&stage.status) {
                        states.push(stage.status);
                    }
                }
                use MachineStatus::{Broken, Normal, Recovering};
                prop_assert_eq!(states, [Normal, Broken, Recovering, Normal]);
            }
        }
    }

    #[test]
    fn an_incipient_fault_is_normal_and_invalid_times_do_not_panic() {
        let fault_run = FaultRun {
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
            let stage = fault_run.stage(since_s);
            assert_eq!(stage.status, status, "{since_s}");
            assert!((stage.growth - growth).abs() < 1e-9, "{since_s}: {}", stage.growth);
        }
        let invalid = FaultRun { onset_s: -1.0, growth_s: 0.0, hold_s: 0.0, recovery_s: 0.0, ..fault_run };
        assert_eq!(invalid.stage(0.0).growth, 0.0);
        assert_eq!(invalid.total_s(), 0.0);
    }
}
