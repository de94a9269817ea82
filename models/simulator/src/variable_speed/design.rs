//! The pump as built and installed: curves, plant, motor and heat, and how these vary from pump to pump.

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::noise::rng_stream;

/// Litres per minute in one cubic metre per second.
pub(super) const L_MIN_PER_M3_S: f64 = 60_000.0;

/// A pump as it was built and installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// The speed that the curves are given for.
    pub(super) rated_rpm: f64,
    /// Head at rated speed without flow, m.
    pub(super) shutoff_head_m: f64,
    /// Head lost in the pump, m per (m³/s)². By the affinity laws it is the same at every speed.
    pub(super) droop: f64,
    /// The flow of best efficiency at rated speed.
    pub(super) best_flow_m3_s: f64,
    pub(super) best_efficiency: f64,
    /// Head that the plant needs without flow, m.
    pub(super) static_head_m: f64,
    /// Head lost in the plant, m per (m³/s)².
    pub(super) plant_loss: f64,
    /// Standard deviation of the plant's loss, as a share, because consumers open and close valves.
    pub(super) plant_noise: f64,
    /// Mean head of the liquid over the suction flange, m, and the standard deviation of its slow changes, m.
    pub(super) suction_head_m: f64,
    pub(super) suction_noise_m: f64,
    /// Shaft power at rated speed and best flow for which the current is given, W.
    pub(super) rated_w: f64,
    /// The motor's magnetising current, and its torque-producing current at rated torque, A.
    pub(super) magnetising_a: f64,
    pub(super) torque_a: f64,
    /// Friction of the bearings at rated speed and torque, W. All of it heats the bearing.
    pub(super) friction_w: f64,
    /// Heat transfer from the bearing's housing to the ambient air at rated speed, W/K.
    pub(super) bearing_w_k: f64,
    /// Lag of the bearing's housing at rated speed, s.
    pub(super) bearing_lag_s: f64,
    /// Heat transfer from the liquid to the casing at best flow, and from the casing to the ambient air, W/K.
    pub(super) casing_water_w_k: f64,
    pub(super) casing_air_w_k: f64,
    /// Lag of the casing at best flow, s.
    pub(super) casing_lag_s: f64,
    /// Vibration at rated speed and best flow, mm/s.
    pub(super) vibration_mm_s: f64,
    /// A resonance: its vibration, mm/s, and its speed and half width as shares of rated speed.
    pub(super) resonance_mm_s: f64,
    pub(super) resonance_at: f64,
    pub(super) resonance_width: f64,
    /// The time in which hydraulic drag alone halves the rated speed, s.
    pub(super) coast_down_s: f64,
    /// Mean temperature of the ambient air and of the liquid, °C, and the air's daily swing, K.
    pub(super) ambient_c: f64,
    pub(super) process_c: f64,
    pub(super) daily_swing_k: f64,
    /// By how many hours the daily demand is later, and by how much demand is lower at the weekend.
    pub(super) late_h: f64,
    pub(super) weekend_less: f64,
    /// Factor on the noise of the sensors.
    pub(super) noise_factor: f64,
}

impl Design {
    /// Returns the pump of the data sheet.
    pub fn rated() -> Self {
        Self {
            rated_rpm: 1_480.0,
            shutoff_head_m: 42.0,
            droop: 4_000.0,
            best_flow_m3_s: 0.05,
            best_efficiency: 0.78,
            static_head_m: 6.0,
            plant_loss: 10_400.0,
            plant_noise: 0.015,
            suction_head_m: 3.0,
            suction_noise_m: 0.2,
            rated_w: 20_500.0,
            magnetising_a: 16.0,
            torque_a: 36.0,
            friction_w: 336.0,
            bearing_w_k: 12.0,
            bearing_lag_s: 1_800.0,
            casing_water_w_k: 60.0,
            casing_air_w_k: 12.0,
            casing_lag_s: 1_500.0,
            vibration_mm_s: 1.7,
            resonance_mm_s: 0.6,
            resonance_at: 0.78,
            resonance_width: 0.03,
            coast_down_s: 60.0,
            ambient_c: 22.0,
            process_c: 17.0,
            daily_swing_k: 4.0,
            late_h: 0.0,
            weekend_less: 0.07,
            noise_factor: 1.0,
        }
    }

    /// Returns a random pump of this family, with tolerances of manufacture and installation. The same seed gives the
    /// same pump.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = rng_stream(seed, 10);
        let mut design = Self::rated();
        for (value, tolerance) in [
            (&mut design.shutoff_head_m, 0.02),
            (&mut design.droop, 0.08),
            (&mut design.best_flow_m3_s, 0.03),
            (&mut design.best_efficiency, 0.02),
            (&mut design.static_head_m, 0.20),
            (&mut design.plant_loss, 0.10),
            (&mut design.plant_noise, 0.30),
            (&mut design.suction_head_m, 0.20),
            (&mut design.suction_noise_m, 0.30),
            (&mut design.magnetising_a, 0.05),
            (&mut design.torque_a, 0.03),
            (&mut design.friction_w, 0.20),
            (&mut design.bearing_w_k, 0.10),
            (&mut design.bearing_lag_s, 0.30),
            (&mut design.casing_water_w_k, 0.20),
            (&mut design.casing_air_w_k, 0.20),
            (&mut design.casing_lag_s, 0.30),
            (&mut design.vibration_mm_s, 0.25),
            (&mut design.resonance_mm_s, 0.50),
            (&mut design.resonance_at, 0.10),
            (&mut design.resonance_width, 0.30),
            (&mut design.coast_down_s, 0.40),
            (&mut design.ambient_c, 0.15),
            (&mut design.process_c, 0.15),
            (&mut design.daily_swing_k, 0.30),
            (&mut design.weekend_less, 0.40),
            (&mut design.noise_factor, 0.25),
        ] {
            vary(&mut rng, value, tolerance);
        }
        design.late_h = rng.random_range(-1.0..1.0);
        design
    }
}

/// Changes `value` by a random share of at most `tolerance`, up or down.
fn vary(rng: &mut Xoshiro256PlusPlus, value: &mut f64, tolerance: f64) {
    *value *= 1.0 + tolerance * rng.random_range(-1.0..1.0);
}
