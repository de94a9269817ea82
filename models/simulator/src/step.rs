//! What a simulator gives for one moment: what the sensors say, and what is true.

use volute_plant::{Profile, Quantity, Sample, Timestamp};

use crate::{
    Fault, MachineStatus,
    sensor_specs::{PerSensor, SENSORS, at_resolution, index_of},
};

/// One moment of a simulated pump.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its time.
    pub at: Timestamp,
    /// What people would call the machine's state.
    pub status: MachineStatus,
    /// The fault that is acting; none before its onset and after its recovery.
    pub fault: Option<Fault>,
    /// How far that fault has grown, 0 to 1.
    pub growth: f64,
    pub(crate) readings: PerSensor<Option<f64>>,
    pub(crate) truth: Truth,
}

impl Step {
    /// What the sensor says, in the default profile's unit and resolution ([`crate::unit_of`]). None where it says
    /// nothing or there is no such sensor.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        self.readings[index_of(quantity)?]
    }

    /// The reading as a pump of this profile would send it, in the profile's order and resolution.
    ///
    /// A channel that the simulated pump does not measure, or in another unit, is [`Sample::Missing`]; a value outside
    /// the channel's plausible range is [`Sample::Bad`].
    pub fn samples(&self, profile: &Profile) -> Vec<Sample> {
        let sample = |channel: &volute_plant::Channel| {
            let index = index_of(channel.quantity).filter(|&index| SENSORS[index].unit == channel.unit);
            let Some(value) = index.and_then(|index| self.readings[index]) else { return Sample::Missing };
            let value = at_resolution(value, channel.resolution);
            channel.sample(value)
        };
        profile.channels().iter().map(sample).collect()
    }

    /// The machine's state without noise and without lying sensors.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }
}

/// The physical state behind a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Whether the motor is switched on.
    pub running: bool,
    /// What is asked of the pump, as a share of its duty.
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
    /// What a perfect sensor with its lag would say, in the units of [`crate::unit_of`]; none where there is no sensor.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        Some(self.signals[index_of(quantity)?])
    }
}
