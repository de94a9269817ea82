//! The values of the ten sensors: noise, rounding and sensor faults. See `sensor_specs.rs` for their specifications.

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::{
    SensorFault,
    noise::Ar1,
    sensor_specs::{PerSensor, SENSORS, at_resolution},
};

/// All sensors of one machine, with their noise.
#[derive(Debug, Clone)]
pub(crate) struct Sensors {
    noise: PerSensor<Ar1>,
    /// Factor on the specified noise.
    noise_factor: f64,
    rng: Xoshiro256PlusPlus,
}

impl Sensors {
    pub(crate) fn new(noise_factor: f64, mut rng: Xoshiro256PlusPlus) -> Self {
        let noise = std::array::from_fn(|index| Ar1::stationary(SENSORS[index].correlation_s, &mut rng));
        Self { noise, noise_factor, rng }
    }

    /// Returns the sensors' values for these true values, `dt_s` after the last call. `speed` is relative to the rated
    /// speed.
    pub(crate) fn read(&mut self, truth: &PerSensor<f64>, speed: f64, dt_s: f64) -> PerSensor<Option<f64>> {
        std::array::from_fn(|index| {
            let sensor = &SENSORS[index];
            let noise = self.noise[index].advance(dt_s, &mut self.rng) * sensor.noise * self.noise_factor;
            let noise = if sensor.quiet_at_rest { noise * speed } else { noise };
            Some(quantize(index, truth[index] + noise))
        })
    }
}

fn quantize(index: usize, value: f64) -> f64 {
    let sensor = &SENSORS[index];
    at_resolution(value.max(sensor.floor), sensor.resolution)
}

/// How strong a sensor fault is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultStrength {
    /// The severity of the fault run. Stuck, spike and dropout faults have their full strength as soon as they begin.
    pub(crate) severity: f64,
    /// The present level: severity times growth. Used for drift.
    pub(crate) level: f64,
}

/// The state of a failing sensor since its fault began.
#[derive(Debug, Clone)]
pub(crate) struct SensorFaultState {
    held: Option<f64>,
    rng: Xoshiro256PlusPlus,
}

impl SensorFaultState {
    pub(crate) fn new(rng: Xoshiro256PlusPlus) -> Self {
        Self { held: None, rng }
    }

    /// Returns what the sensor at `index` sends instead of `value`.
    pub(crate) fn apply(
        &mut self,
        kind: SensorFault,
        index: usize,
        value: f64,
        strength: FaultStrength,
    ) -> Option<f64> {
        let FaultStrength { severity, level } = strength;
        let fault_offset = SENSORS[index].fault_offset;
        let chance: f64 = self.rng.random();
        let size: f64 = self.rng.random_range(1.0..2.0);
        let up = self.rng.random_bool(0.5);
        match kind {
            SensorFault::Stuck => {
                let held = *self.held.get_or_insert(value);
                Some(quantize(index, value + severity * (held - value)))
            }
            SensorFault::Drift => Some(quantize(index, value + level * fault_offset)),
            SensorFault::Spike if chance < SPIKE_PROBABILITY => {
                let spike = severity * size * fault_offset;
                Some(quantize(index, if up { value + spike } else { value - spike }))
            }
            SensorFault::Dropout if chance < severity => None,
            SensorFault::Spike | SensorFault::Dropout => Some(value),
        }
    }
}

/// The share of a spiking sensor's values that are spikes.
const SPIKE_PROBABILITY: f64 = 0.15;
