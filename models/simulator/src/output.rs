//! The output of one simulation step: the sensors' values, and the true state.

use volute_plant::{Profile, Quantity, Sample, Timestamp};

use crate::{
    Fault, MachineStatus,
    sensor_specs::{PerSensor, SENSORS, at_resolution, index_of},
};

/// A simulated pump at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorOutput {
    /// The time.
    pub at: Timestamp,
    /// The status of the machine.
    pub status: MachineStatus,
    /// The active fault; none before its onset and after its recovery.
    pub fault: Option<Fault>,
    /// How far that fault has grown, 0 to 1.
    pub growth: f64,
    pub(crate) readings: PerSensor<Option<f64>>,
    pub(crate) truth: Truth,
}

impl SimulatorOutput {
    /// Returns the sensor's value in the default profile's unit and resolution ([`crate::unit_of`]). None if the value
    /// is missing or there is no such sensor.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        self.readings[index_of(quantity)?]
    }

    /// Returns the reading as a pump of this profile sends it, in the profile's order and resolution.
    ///
    /// A channel that the simulated pump does not measure, or measures in another unit, is [`Sample::Missing`]. A value
    /// outside the channel's plausible range is [`Sample::Bad`].
    pub fn samples(&self, profile: &Profile) -> Vec<Sample> {
        let sample = |channel: &volute_plant::Channel| {
            let index = index_of(channel.quantity).filter(|&index| SENSORS[index].unit == channel.unit);
            let Some(value) = index.and_then(|index| self.readings[index]) else { return Sample::Missing };
            let value = at_resolution(value, channel.resolution);
            channel.sample(value)
        };
        profile.channels().iter().map(sample).collect()
    }

    /// Returns the true state, without noise and sensor faults.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }
}

/// The true physical state of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Whether the motor is switched on.
    pub running: bool,
    /// The demand, as a share of the pump's duty flow (the flow that it was chosen for).
    pub demand: f64,
    /// Head over the pump now, in metres of the pumped water.
    pub head_m: f64,
    /// Flow behind the pump now, L/min; the flow sensor follows it with a lag.
    pub flow_l_min: f64,
    /// Power that the delivered water carries, W.
    pub hydraulic_w: f64,
    /// Power at the shaft, W.
    pub shaft_w: f64,
    /// Electrical power of the motor, W.
    pub motor_w: f64,
    /// How much the pump cavitates, 0 to 1.
    pub cavitation: f64,
    pub(crate) signals: PerSensor<f64>,
}

impl Truth {
    /// Returns the value of a sensor without noise or fault but with its lag, in the unit of [`crate::unit_of`]. None
    /// if there is no such sensor.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        Some(self.signals[index_of(quantity)?])
    }
}
