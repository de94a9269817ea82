//! The nine sensors: noise, and the faults of a sensor.

use rand::rngs::Xoshiro256PlusPlus;
use volute_plant::Quantity;

use super::fault::{FLOW_LOSS, Fault};
use crate::noise::normal;

pub(super) const COUNT: usize = 9;

/// What is measured, in the order of the profile.
pub(super) const QUANTITIES: [Quantity; COUNT] = [
    Quantity::RotationalSpeed,
    Quantity::BearingTemperature,
    Quantity::Vibration,
    Quantity::Flow,
    Quantity::SuctionPressure,
    Quantity::DischargePressure,
    Quantity::Current,
    Quantity::CasingTemperature,
    Quantity::AmbientTemperature,
];

/// Standard deviation of each sensor's noise. Successive readings have independent noise.
const NOISE: [f64; COUNT] = [1.5, 0.10, 0.05, 15.0, 0.006, 0.015, 0.15, 0.10, 0.12];
/// The lowest value that each sensor gives.
const FLOOR: [f64; COUNT] = [0.0, -40.0, 0.0, 0.0, -1.0, -1.0, 0.0, -40.0, -50.0];

/// All sensors of one pump.
#[derive(Debug, Clone)]
pub(super) struct Sensors {
    noise_factor: f64,
    /// The value of the frozen sensor.
    frozen: Option<f64>,
    rng: Xoshiro256PlusPlus,
}

impl Sensors {
    pub(super) fn new(noise_factor: f64, rng: Xoshiro256PlusPlus) -> Self {
        Self { noise_factor, frozen: None, rng }
    }

    /// Discards the frozen value.
    pub(super) fn release(&mut self) {
        self.frozen = None;
    }

    /// Returns the sensors' values for these true values, with the active fault and its growth.
    pub(super) fn read(&mut self, truth: &[f64; COUNT], fault: Option<(Fault, f64)>) -> [f64; COUNT] {
        let mut values = [0.0; COUNT];
        for index in 0..COUNT {
            let mut noise = NOISE[index] * self.noise_factor * normal(&mut self.rng);
            let mut true_value = truth[index];
            match fault {
                Some((Fault::NoiseDoubled(quantity), growth)) if quantity == QUANTITIES[index] => noise *= 1.0 + growth,
                Some((Fault::FlowLoss, growth)) if QUANTITIES[index] == Quantity::Flow => {
                    true_value *= 1.0 - FLOW_LOSS * growth;
                }
                _ => {}
            }
            values[index] = (true_value + noise).max(FLOOR[index]);
            if let Some((Fault::Frozen(quantity), _)) = fault
                && quantity == QUANTITIES[index]
            {
                values[index] = *self.frozen.get_or_insert(values[index]);
            }
        }
        values
    }
}
