//! The faults of a pump by name, and their severity.
//!
//! Does not define what a fault changes (see [`crate::condition`] and [`crate::sensors`]) nor when (see
//! [`crate::FaultRun`]).

use std::fmt;

use volute_plant::Quantity;

use crate::sensor_specs;

/// A fault of the machine or of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The bearing's races spall: vibration first, then heat and drag.
    BearingWear,
    /// Oil is lost: its pressure falls, the oil film breaks, the bearing heats up, and finally it vibrates.
    LubricationLoss,
    /// The suction level falls until the fluid boils in the impeller's eye.
    Cavitation,
    /// The suction strainer clogs.
    BlockedSuction,
    /// A valve downstream of the pump closes.
    DeadHead,
    /// The pump runs out of liquid.
    DryRun,
    /// Vanes and wear rings are worn: less head, more internal leakage.
    ImpellerWear,
    /// The impeller is clogged: a narrower passage, and imbalance.
    ImpellerClog,
    /// The shaft seal leaks, and rubs at high levels.
    SealLeak,
    /// The rotor's centre of mass is off its axis.
    Unbalance,
    /// The coupling's halves are out of line.
    Misalignment,
    /// The shaft is braked.
    Overload,
    /// A phase of the supply is weak or lost.
    PhaseFault,
    /// A sensor gives wrong values while the machine is healthy.
    Sensor(SensorFault, Quantity),
}

/// How a sensor fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SensorFault {
    /// Its value stays what it was when the fault began. At a severity below 1 it still follows the true value in part.
    Stuck,
    /// Its offset grows.
    Drift,
    /// Some of its values are far off.
    Spike,
    /// Some or all of its values are missing.
    Dropout,
}

/// Why a name and a channel do not give a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// An unknown name.
    #[error("no fault is named {name:?}; there are: {}", Fault::NAMES.join(", "))]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// A sensor fault without a channel.
    #[error("{name} is the fault of a sensor: it needs a channel")]
    ChannelMissing {
        /// The fault.
        name: &'static str,
    },
    /// A machine fault with a channel.
    #[error("{name} is a fault of the machine: it takes no channel")]
    ChannelForMachine {
        /// The fault.
        name: &'static str,
    },
    /// A channel that the simulated pump does not have.
    #[error("the simulated pump has no sensor of {channel:?}")]
    NotMeasured {
        /// The channel without a sensor.
        channel: Quantity,
    },
}

const MACHINE_FAULTS: [(&str, Fault); 13] = [
    ("bearing_wear", Fault::BearingWear),
    ("lubrication_loss", Fault::LubricationLoss),
    ("cavitation", Fault::Cavitation),
    ("blocked_suction", Fault::BlockedSuction),
    ("dead_head", Fault::DeadHead),
    ("dry_run", Fault::DryRun),
    ("impeller_wear", Fault::ImpellerWear),
    ("impeller_clog", Fault::ImpellerClog),
    ("seal_leak", Fault::SealLeak),
    ("unbalance", Fault::Unbalance),
    ("misalignment", Fault::Misalignment),
    ("overload", Fault::Overload),
    ("phase_fault", Fault::PhaseFault),
];

const SENSOR_FAULTS: [(&str, SensorFault); 4] = [
    ("sensor_stuck", SensorFault::Stuck),
    ("sensor_drift", SensorFault::Drift),
    ("sensor_spike", SensorFault::Spike),
    ("sensor_dropout", SensorFault::Dropout),
];

impl Fault {
    /// The names of all faults; those of the machine first.
    pub const NAMES: [&str; 17] = {
        let mut names = [""; 17];
        let mut i = 0;
        while i < names.len() {
            names[i] =
                if i < MACHINE_FAULTS.len() { MACHINE_FAULTS[i].0 } else { SENSOR_FAULTS[i - MACHINE_FAULTS.len()].0 };
            i += 1;
        }
        names
    };

    /// Returns the faults of the machine. Sensor faults are not included, since they need a channel.
    pub fn machine_faults() -> impl Iterator<Item = Fault> {
        MACHINE_FAULTS.iter().map(|(_, fault)| *fault)
    }

    /// Returns the fault with this name. `channel` is the quantity that the failing sensor measures: required for
    /// sensor faults, not allowed for others.
    pub fn parse(name: &str, channel: Option<Quantity>) -> Result<Self, FaultError> {
        if let Some(&(name, fault)) = MACHINE_FAULTS.iter().find(|(known, _)| *known == name) {
            return match channel {
                None => Ok(fault),
                Some(_) => Err(FaultError::ChannelForMachine { name }),
            };
        }
        let Some(&(name, kind)) = SENSOR_FAULTS.iter().find(|(known, _)| *known == name) else {
            return Err(FaultError::Unknown { name: name.to_owned() });
        };
        let channel = channel.ok_or(FaultError::ChannelMissing { name })?;
        match sensor_specs::index_of(channel) {
            Some(_) => Ok(Self::Sensor(kind, channel)),
            None => Err(FaultError::NotMeasured { channel }),
        }
    }

    /// Returns its name, one of [`Fault::NAMES`].
    pub fn name(&self) -> &'static str {
        let machine_name = MACHINE_FAULTS.iter().find(|(_, fault)| fault == self).map(|(name, _)| *name);
        let sensor_name = || {
            SENSOR_FAULTS
                .iter()
                .find(|(_, kind)| matches!(self, Self::Sensor(own, _) if own == kind))
                .map(|(name, _)| *name)
        };
        machine_name.or_else(sensor_name).unwrap_or_default()
    }

    /// Returns the quantity that the failing sensor measures; none for a fault of the machine.
    pub fn channel(&self) -> Option<Quantity> {
        match self {
            Self::Sensor(_, channel) => Some(*channel),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The severity of a fault at full growth: 0 is none, 0.2 is subtle, 1 is drastic.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Severity(f64);

/// The number is not a severity.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no severity; allowed: 0 to 1")]
pub struct SeverityError(f64);

impl Severity {
    /// Creates a severity of 0 to 1.
    pub fn new(value: f64) -> Result<Self, SeverityError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(SeverityError(value)) }
    }

    /// Returns the number, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Severity {
    type Error = SeverityError;

    fn try_from(value: f64) -> Result<Self, SeverityError> {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_fault() {
        for name in Fault::NAMES {
            let channel = name.starts_with("sensor_").then_some(Quantity::Flow);
            let fault = Fault::parse(name, channel).expect(name);
            assert_eq!((fault.name(), fault.channel()), (name, channel));
        }
    }

    #[test]
    fn an_invalid_name_or_channel_is_an_error() {
        use Quantity::{Flow, Voltage};
        for (name, channel, text) in [
            ("rust", None, "there are: bearing_wear, lubrication_loss"),
            ("dry_run", Some(Flow), "takes no channel"),
            ("sensor_stuck", None, "needs a channel"),
            ("sensor_stuck", Some(Voltage), "no sensor of Voltage"),
        ] {
            let error = Fault::parse(name, channel).expect_err(name).to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_severity_is_0_to_1() {
        assert_eq!(Severity::try_from(0.8).expect("fine").get(), 0.8);
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Severity::new(bad).is_err(), "{bad}");
        }
    }
}
