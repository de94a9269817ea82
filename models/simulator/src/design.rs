//! The design of a pump as built: its curves, plant, motor, thermal behaviour, lags and sensor noise.
//!
//! All designs are of one pump family: 18.5 kW, two poles at 50 Hz, 1,100 L/min at 60 m. There are no other sizes.

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::{
    hydraulics::{Curves, L_MIN_PER_M3_S, Plant},
    motor::Motor,
    noise::rng_stream,
    thermal::Thermal,
};

/// A pump as it was built and installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    pub(crate) curves: Curves,
    pub(crate) plant: Plant,
    pub(crate) motor: Motor,
    pub(crate) thermal: Thermal,
    /// The speed for which the curves are given, rpm.
    pub(crate) rated_rpm: f64,
    /// The duty flow (the flow that the pump was chosen for), which it delivers at a demand of 1, m³/s.
    pub(crate) duty_m3_s: f64,
    /// Friction of bearings and seal at rated speed, W.
    pub(crate) friction_w: f64,
    /// The oil's pressure at rated speed and with the bearing at [`OIL_REFERENCE_C`], bar.
    pub(crate) oil_bar: f64,
    /// Vibration at rated speed and best flow, mm/s RMS.
    pub(crate) vibration_mm_s: f64,
    /// Lag of the flow signal, s.
    pub(crate) flow_lag_s: f64,
    /// Standard deviation of the noise on the plant's resistance.
    pub(crate) resistance_noise: f64,
    /// Factor on the noise of the sensors.
    pub(crate) noise_factor: f64,
}

/// The bearing temperature at which the oil pressure is given, °C.
pub(crate) const OIL_REFERENCE_C: f64 = 58.0;

impl Design {
    /// Returns the pump of the data sheet, in a room of 28 °C on average.
    pub fn rated() -> Self {
        let best_flow_m3_s = 1_100.0 / L_MIN_PER_M3_S;
        Self {
            curves: Curves {
                shutoff_head_m: 72.0,
                droop_m: 12.0,
                best_flow_m3_s,
                best_efficiency: 0.72,
                npsh_required_m: 3.5,
            },
            plant: Plant { suction_head_m: 5.6, suction_loss_m: 1.5, static_head_m: 25.0 },
            motor: Motor {
                synchronous_rpm: 3_000.0,
                rated_w: 18_500.0,
                rated_slip: 0.019,
                voltage_v: 400.0,
                idle_loss_w: 550.0,
                copper_loss_w: 1_000.0,
                magnetising_a: 15.0,
            },
            thermal: Thermal {
                ambient_c: 28.0,
                daily_swing_k: 4.0,
                process_c: 46.3,
                bearing_rise_k: 30.0,
                bearing_lag_s: 1_200.0,
                casing_j_k: 50_000.0,
                water_w_k: 96.0,
                air_w_k: 8.0,
            },
            rated_rpm: 2_950.0,
            duty_m3_s: best_flow_m3_s,
            friction_w: 300.0,
            oil_bar: 2.4,
            vibration_mm_s: 1.9,
            flow_lag_s: 3.0,
            resistance_noise: 0.01,
            noise_factor: 1.0,
        }
    }

    /// Returns a random pump of the same family, with tolerances of manufacture and installation and its own duty flow.
    /// The same seed gives the same pump.
    ///
    /// The pumps are like sister pumps in one plant. Parameters that decide the operating point vary by about 1 %, less
    /// than an acceptance test allows (ISO 9906, grade 1B: 3 % of head). The other parameters vary by a few per cent.
    /// If they varied more, a channel that contradicts the others would look like another pump of the family, and a
    /// model of the family would accept it.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = rng_stream(seed, 0);
        let mut design = Self::rated();
        let curves = &mut design.curves;
        vary(&mut rng, &mut curves.shutoff_head_m, 0.007);
        vary(&mut rng, &mut curves.droop_m, 0.03);
        vary(&mut rng, &mut curves.best_efficiency, 0.007);
        vary(&mut rng, &mut curves.npsh_required_m, 0.05);
        vary(&mut rng, &mut design.plant.suction_head_m, 0.02);
        vary(&mut rng, &mut design.plant.suction_loss_m, 0.05);
        vary(&mut rng, &mut design.plant.static_head_m, 0.01);
        vary(&mut rng, &mut design.motor.rated_slip, 0.03);
        vary(&mut rng, &mut design.motor.voltage_v, 0.005);
        vary(&mut rng, &mut design.motor.magnetising_a, 0.015);
        let thermal = &mut design.thermal;
        vary(&mut rng, &mut thermal.ambient_c, 0.06);
        vary(&mut rng, &mut thermal.daily_swing_k, 0.20);
        vary(&mut rng, &mut thermal.process_c, 0.02);
        vary(&mut rng, &mut thermal.bearing_rise_k, 0.06);
        vary(&mut rng, &mut thermal.bearing_lag_s, 0.20);
        vary(&mut rng, &mut thermal.casing_j_k, 0.15);
        vary(&mut rng, &mut design.duty_m3_s, 0.03);
        vary(&mut rng, &mut design.friction_w, 0.15);
        vary(&mut rng, &mut design.oil_bar, 0.03);
        vary(&mut rng, &mut design.vibration_mm_s, 0.10);
        vary(&mut rng, &mut design.flow_lag_s, 0.20);
        vary(&mut rng, &mut design.resistance_noise, 0.20);
        vary(&mut rng, &mut design.noise_factor, 0.15);
        design
    }

    /// Returns the head that the discharge line and its valve lose at the best flow, in metres, when the demand is
    /// `level`.
    pub(crate) fn valve_m(&self, level: f64) -> f64 {
        self.curves.valve_loss_for(&self.plant, level * self.duty_m3_s)
    }
}

/// Changes `value` by a random share of at most `tolerance`, up or down.
fn vary(rng: &mut Xoshiro256PlusPlus, value: &mut f64, tolerance: f64) {
    *value *= 1.0 + tolerance * rng.random_range(-1.0..1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_pump_and_another_seed_a_different_one() {
        assert_eq!(Design::drawn(5), Design::drawn(5));
        assert_ne!(Design::drawn(5), Design::drawn(6));
    }
}
