//! The faults of the variable-speed pump, their onset and growth.

use volute_plant::Quantity;

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 24.0 * HOUR_S;

/// How much warmer than healthy the bearing is at full growth, K.
pub(super) const BEARING_HEAT_K: f64 = 12.0;
/// The share of the flow that the meter does not see at full growth.
pub(super) const FLOW_LOSS: f64 = 0.10;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The machine's vibration doubles.
    VibrationDoubled,
    /// A tenth of the flow returns to the suction side before the meter.
    FlowLoss,
    /// The bearing gets 12 K too warm.
    BearingHeat,
    /// A sensor's noise doubles.
    NoiseDoubled(Quantity),
    /// A sensor keeps the value that it had at the onset.
    Frozen(Quantity),
}

impl Fault {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::VibrationDoubled => "vibration doubled",
            Self::FlowLoss => "flow -10 %",
            Self::BearingHeat => "bearing +12 K",
            Self::NoiseDoubled(_) => "noise doubled",
            Self::Frozen(_) => "sensor frozen",
        }
    }

    /// Returns the quantity of the channel that shows the fault.
    pub fn channel(self) -> Quantity {
        match self {
            Self::VibrationDoubled => Quantity::Vibration,
            Self::FlowLoss => Quantity::Flow,
            Self::BearingHeat => Quantity::BearingTemperature,
            Self::NoiseDoubled(quantity) | Self::Frozen(quantity) => quantity,
        }
    }
}

/// A fault and its onset. It stays at full growth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// The fault.
    pub fault: Fault,
    /// Seconds from [`super::Pump::set_fault`] until it begins.
    pub after_s: f64,
    /// Seconds from its beginning until it is fully grown; 0 is a step.
    pub growth_s: f64,
}

impl Onset {
    /// Returns the fault with its usual growth time: vibration grows in an hour, bearing heat in three days, the others
    /// in a step.
    pub fn typical(fault: Fault, after_s: f64) -> Self {
        let growth_s = match fault {
            Fault::VibrationDoubled => HOUR_S,
            Fault::BearingHeat => 3.0 * DAY_S,
            Fault::FlowLoss | Fault::NoiseDoubled(_) | Fault::Frozen(_) => 0.0,
        };
        Self { fault, after_s, growth_s }
    }

    /// Returns how far it has grown, 0 to 1, `since_s` seconds after it was set.
    pub(super) fn growth(&self, since_s: f64) -> f64 {
        let grown_s = since_s - self.after_s.max(0.0);
        if grown_s <= 0.0 {
            return 0.0;
        }
        if self.growth_s > 0.0 { (grown_s / self.growth_s).min(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_begins_at_its_onset_and_grows_evenly() {
        let onset = Onset { growth_s: 100.0, ..Onset::typical(Fault::BearingHeat, 50.0) };
        for (since_s, growth) in [(0.0, 0.0), (50.0, 0.0), (75.0, 0.25), (150.0, 1.0), (1e9, 1.0)] {
            assert_eq!(onset.growth(since_s), growth, "{since_s}");
        }
        assert_eq!(Onset::typical(Fault::FlowLoss, 0.0).growth(1.0), 1.0);
    }
}
