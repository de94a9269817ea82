//! The ten sensors at work: their noise, and how they lie. What each of them is stands in `sensor_specs.rs`.

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
    /// How noisy this machine's sensors are against the usual.
    noisiness: f64,
    rng: Xoshiro256PlusPlus,
}

impl Sensors {
    pub(crate) fn new(noisiness: f64, mut rng: Xoshiro256PlusPlus) -> Self {
        let noise = std::array::from_fn(|index| Ar1::settled(SENSORS[index].memory_s, &mut rng));
        Self { noise, noisiness, rng }
    }

    /// Reads the true values `dt_s` after the last time; `speed` is relative to rated.
    pub(crate) fn read(&mut self, truth: &PerSensor<f64>, speed: f64, dt_s: f64) -> PerSensor<Option<f64>> {
        std::array::from_fn(|index| {
            let sensor = &SENSORS[index];
            let noise = self.noise[index].advance(dt_s, &mut self.rng) * sensor.noise * self.noisiness;
            let noise = if sensor.quiet_at_rest { noise * speed } else { noise };
            Some(shown(index, truth[index] + noise))
        })
    }
}

fn shown(index: usize, value: f64) -> f64 {
    let sensor = &SENSORS[index];
    at_resolution(value.max(sensor.floor), sensor.resolution)
}

/// How strongly a sensor lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strength {
    /// Of the whole episode: a sensor sticks, spikes or drops out as soon as its fault begins.
    pub(crate) severity: f64,
    /// By now: a drift grows.
    pub(crate) level: f64,
}

/// A sensor that lies, from when its fault began.
#[derive(Debug, Clone)]
pub(crate) struct Liar {
    held: Option<f64>,
    rng: Xoshiro256PlusPlus,
}

impl Liar {
    pub(crate) fn new(rng: Xoshiro256PlusPlus) -> Self {
        Self { held: None, rng }
    }

    /// What the sensor at `index` says instead of `value`.
    pub(crate) fn says(&mut self, kind: SensorFault, index: usize, value: f64, strength: Strength) -> Option<f64> {
        let Strength { severity, level } = strength;
        let far = SENSORS[index].far;
        let chance: f64 = self.rng.random();
        let size: f64 = self.rng.random_range(1.0..2.0);
        let up = self.rng.random_bool(0.5);
        match kind {
            SensorFault::Stuck => {
                let held = *self.held.get_or_insert(value);
                Some(shown(index, value + severity * (held - value)))
            }
            SensorFault::Drift => Some(shown(index, value + level * far)),
            SensorFault::Spike if chance < SPIKES => {
                let spike = severity * size * far;
                Some(shown(index, if up { value + spike } else { value - spike }))
            }
            SensorFault::Dropout if chance < severity => None,
            SensorFault::Spike | SensorFault::Dropout => Some(value),
        }
    }
}

/// The share of a spiking sensor's readings that are wild.
const SPIKES: f64 = 0.15;
