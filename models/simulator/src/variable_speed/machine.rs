//! The machine: speed, operating point, power, heat and vibration.
//!
//! **Affinity laws.** At the speed `n`, a share of the rated speed, the pump's head is `H = n² H0 − d Q²`, and the
//! plant needs `Hs + k Q²`. They meet at `Q = √((n² H0 − Hs) / (d + k))`. Efficiency is a function of `Q / n`. Without
//! static head (`Hs` = 0) flow grows with `n`, head with `n²`, and hydraulic power with `n³`.
//!
//! **Heat of the bearing.** Friction `W` warms the housing, and the air removes `G (T − T_ambient)`. The fan on the
//! shaft makes `G` grow with the speed. So the lag `C / G` is longer at low speed, and longest at standstill.

use rand::rngs::Xoshiro256PlusPlus;

use super::{
    design::{Design, L_MIN_PER_M3_S},
    fault::{BEARING_HEAT_K, Fault},
    sensors::COUNT,
};
use crate::noise::{Ar1, follow};

const GRAVITY: f64 = 9.81;
const DENSITY: f64 = 998.0;
const HEAT_CAPACITY_J_KG_K: f64 = 4_182.0;
const BAR_PER_M: f64 = DENSITY * GRAVITY / 1e5;
/// How fast the drive changes the speed, in shares of rated speed per second.
const RAMP_PER_S: f64 = 0.02;
/// Dry friction during a coast-down, as a share of the hydraulic drag at rated speed. It brings the shaft to a stop.
const DRY_FRICTION: f64 = 0.02;
/// The share of the air's cooling that remains when the fan on the shaft stands.
const STILL_AIR: f64 = 0.4;
/// Heat transfer between standing liquid and the casing, as a share of that at best flow.
const STANDING_WATER: f64 = 0.1;
/// The lowest flow with which the liquid's warming is computed: liquid inside the pump takes up heat without flow too.
const LEAST_FLOW_M3_S: f64 = 5e-4;
/// Correlation times of the noise of the plant's loss, of the suction level and of the vibration, in seconds.
const PLANT_S: f64 = 1_800.0;
const SUCTION_S: f64 = 14_400.0;
const VIBRATION_S: f64 = 10.0;
/// Standard deviation of the vibration's noise, as a share of the vibration.
const VIBRATION_NOISE: f64 = 0.06;

/// What acts on the machine now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// The demanded speed, as a share of rated speed; `None` if the drive is off.
    pub(super) demand: Option<f64>,
    pub(super) ambient_c: f64,
    pub(super) process_c: f64,
    pub(super) fault: Option<(Fault, f64)>,
}

/// The machine and its state.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    design: Design,
    speed: f64,
    driven: bool,
    point: OperatingPoint,
    bearing_c: f64,
    casing_c: f64,
    suction_m: f64,
    vibration_mm_s: f64,
    plant_noise: Ar1,
    suction_noise: Ar1,
    vibration_noise: Ar1,
    rng: Xoshiro256PlusPlus,
}

/// The operating point, where the curves of pump and plant intersect.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct OperatingPoint {
    flow_m3_s: f64,
    head_m: f64,
    hydraulic_w: f64,
    /// Power that the impeller takes, without the friction of the bearings.
    impeller_w: f64,
    /// Friction of the bearings.
    friction_w: f64,
}

impl OperatingPoint {
    fn shaft_w(&self) -> f64 {
        self.impeller_w + self.friction_w
    }
}

impl Machine {
    pub(super) fn new(design: Design, mut rng: Xoshiro256PlusPlus) -> Self {
        Self {
            speed: 0.0,
            driven: false,
            point: OperatingPoint::default(),
            bearing_c: design.ambient_c,
            casing_c: design.process_c,
            suction_m: design.suction_head_m,
            vibration_mm_s: 0.0,
            plant_noise: Ar1::stationary(PLANT_S, &mut rng),
            suction_noise: Ar1::stationary(SUCTION_S, &mut rng),
            vibration_noise: Ar1::stationary(VIBRATION_S, &mut rng),
            design,
            rng,
        }
    }

    /// Advances by `dt_s`, which is short compared with the thermal lags.
    pub(super) fn advance(&mut self, around: &Surroundings, dt_s: f64) {
        self.driven = around.demand.is_some();
        match around.demand {
            Some(demand) => self.speed += (demand - self.speed).clamp(-RAMP_PER_S * dt_s, RAMP_PER_S * dt_s),
            None => self.speed = coast(self.speed, dt_s, self.design.coast_down_s),
        }
        let plant_noise = self.plant_noise.advance(dt_s, &mut self.rng);
        let plant_loss = self.design.plant_loss * (1.0 + self.design.plant_noise * plant_noise).max(0.5);
        self.point = operating_point(&self.design, self.speed, plant_loss);
        self.suction_m =
            self.design.suction_head_m + self.design.suction_noise_m * self.suction_noise.advance(dt_s, &mut self.rng);
        self.advance_heat(around, dt_s);
        self.advance_vibration(around.fault, dt_s);
    }

    fn advance_heat(&mut self, around: &Surroundings, dt_s: f64) {
        let design = &self.design;
        let to_air = bearing_w_k(design, self.speed);
        let fault_w = match around.fault {
            Some((Fault::BearingHeat, growth)) => BEARING_HEAT_K * growth * to_air,
            _ => 0.0,
        };
        let target = around.ambient_c + (self.point.friction_w + fault_w) / to_air;
        follow(&mut self.bearing_c, target, dt_s, design.bearing_lag_s * design.bearing_w_k / to_air);

        let flow = self.point.flow_m3_s;
        let lost_w = self.point.impeller_w - self.point.hydraulic_w;
        let water_c = around.process_c + lost_w / (DENSITY * HEAT_CAPACITY_J_KG_K * flow.max(LEAST_FLOW_M3_S));
        let from_water = design.casing_water_w_k * (flow / design.best_flow_m3_s).powf(0.8).max(STANDING_WATER);
        let total = from_water + design.casing_air_w_k;
        let target = (from_water * water_c + design.casing_air_w_k * around.ambient_c) / total;
        let lag_s = design.casing_lag_s * (design.casing_water_w_k + design.casing_air_w_k) / total;
        follow(&mut self.casing_c, target, dt_s, lag_s);
    }

    /// Rotor and resonance have different frequencies, so their squares add.
    fn advance_vibration(&mut self, fault: Option<(Fault, f64)>, dt_s: f64) {
        let design = &self.design;
        let noise = 1.0 + VIBRATION_NOISE * self.vibration_noise.advance(dt_s, &mut self.rng);
        let off_best = relative_flow(design, self.speed, self.point.flow_m3_s) - 1.0;
        let rotor = design.vibration_mm_s * self.speed.powi(2) * (1.0 + 0.6 * off_best.powi(2));
        let detuned = (self.speed - design.resonance_at) / design.resonance_width;
        let resonance = design.resonance_mm_s / (1.0 + detuned * detuned);
        let factor = match fault {
            Some((Fault::VibrationDoubled, growth)) => 1.0 + growth,
            _ => 1.0,
        };
        let healthy = rotor.hypot(resonance) * noise.max(0.0);
        self.vibration_mm_s = (healthy * factor).hypot(0.03);
    }

    /// Returns the true values of the sensors, in their order and units.
    pub(super) fn signals(&self, ambient_c: f64) -> [f64; COUNT] {
        let design = &self.design;
        let suction_bar = BAR_PER_M * self.suction_m;
        [
            self.speed * design.rated_rpm,
            self.bearing_c,
            self.vibration_mm_s,
            self.point.flow_m3_s * L_MIN_PER_M3_S,
            suction_bar,
            suction_bar + BAR_PER_M * self.point.head_m,
            if self.driven { current_a(design, self.speed, self.point.shaft_w()) } else { 0.0 },
            self.casing_c,
            ambient_c,
        ]
    }
}

/// Returns the flow as a share of the best flow at this speed; 1 at standstill.
fn relative_flow(design: &Design, speed: f64, flow_m3_s: f64) -> f64 {
    if speed > 0.01 { flow_m3_s / (speed * design.best_flow_m3_s) } else { 1.0 }
}

fn operating_point(design: &Design, speed: f64, plant_loss: f64) -> OperatingPoint {
    let shutoff_m = design.shutoff_head_m * speed * speed;
    let flow_m3_s = ((shutoff_m - design.static_head_m).max(0.0) / (design.droop + plant_loss)).sqrt();
    let head_m = shutoff_m - design.droop * flow_m3_s.powi(2);
    let hydraulic_w = DENSITY * GRAVITY * head_m * flow_m3_s;
    let off_best = relative_flow(design, speed, flow_m3_s) - 1.0;
    let efficiency = (design.best_efficiency * (1.0 - 0.9 * off_best * off_best)).max(0.1);
    // Against a closed check valve the impeller still needs a third of its power.
    let impeller_w = (hydraulic_w / efficiency).max(0.33 * design.rated_w * speed.powi(3));
    let torque = if speed > 0.01 { impeller_w / (design.rated_w * speed) } else { 0.0 };
    let friction_w = design.friction_w * speed * (0.6 + 0.4 * torque);
    OperatingPoint { flow_m3_s, head_m, hydraulic_w, impeller_w, friction_w }
}

/// Returns the motor's current. The drive keeps the motor's flux constant, so the magnetising current is constant, and
/// the other part of the current follows the torque.
fn current_a(design: &Design, speed: f64, shaft_w: f64) -> f64 {
    let torque = if speed > 0.01 { shaft_w / (design.rated_w * speed) } else { 0.0 };
    design.magnetising_a.hypot(design.torque_a * torque)
}

/// Returns the heat transfer from the bearing to the air, W/K.
fn bearing_w_k(design: &Design, speed: f64) -> f64 {
    design.bearing_w_k * (STILL_AIR + (1.0 - STILL_AIR) * speed)
}

/// Returns the speed after coasting. The liquid brakes with the square of the speed; dry friction stops the shaft in
/// the end.
fn coast(speed: f64, dt_s: f64, coast_down_s: f64) -> f64 {
    // The exact solution of dn/dt = −n² / T, followed by the dry friction.
    let braked = speed / (1.0 + speed * dt_s / coast_down_s);
    (braked - DRY_FRICTION * dt_s / coast_down_s).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(demand: Option<f64>) -> Surroundings {
        Surroundings { demand, ambient_c: 20.0, process_c: 15.0, fault: None }
    }

    fn quiet() -> Design {
        Design { plant_noise: 0.0, suction_noise_m: 0.0, ..Design::rated() }
    }

    fn running(demand: f64) -> Machine {
        let mut machine = Machine::new(quiet(), crate::noise::rng_stream(1, 0));
        for _ in 0..40_000 {
            machine.advance(&around(Some(demand)), 5.0);
        }
        machine
    }

    #[test]
    fn without_static_head_flow_head_and_power_follow_the_affinity_laws() {
        let design = Design { static_head_m: 0.0, ..quiet() };
        let full = operating_point(&design, 1.0, design.plant_loss);
        for speed in [0.6, 0.8, 0.95_f64] {
            let point = operating_point(&design, speed, design.plant_loss);
            assert!((point.flow_m3_s / full.flow_m3_s - speed).abs() < 1e-9);
            assert!((point.head_m / full.head_m - speed.powi(2)).abs() < 1e-9);
            assert!((point.hydraulic_w / full.hydraulic_w - speed.powi(3)).abs() < 1e-9);
            assert!((point.impeller_w / full.impeller_w - speed.powi(3)).abs() < 1e-9);
        }
    }

    #[test]
    fn pump_and_plant_agree_and_the_shaft_gives_more_than_the_liquid_gets() {
        let design = quiet();
        for speed in [0.6, 0.7, 0.85, 1.0_f64] {
            let point = operating_point(&design, speed, design.plant_loss);
            let plant_m = design.static_head_m + design.plant_loss * point.flow_m3_s.powi(2);
            assert!((point.head_m - plant_m).abs() < 1e-9, "{} m, {plant_m} m", point.head_m);
            let efficiency = point.hydraulic_w / point.shaft_w();
            assert!((0.4..0.79).contains(&efficiency), "{efficiency}");
        }
    }

    #[test]
    fn in_equilibrium_the_air_takes_the_heat_of_the_friction() {
        for demand in [0.6, 1.0] {
            let machine = running(demand);
            let taken_w = bearing_w_k(&machine.design, machine.speed) * (machine.bearing_c - 20.0);
            assert!((taken_w / machine.point.friction_w - 1.0).abs() < 1e-6, "{taken_w} W");
        }
    }

    #[test]
    fn bearing_and_casing_reach_63_percent_in_their_lag() {
        for (begin, end) in [(0.7, 1.0), (1.0, 0.7)] {
            let mut machine = running(begin);
            let settled = running(end);
            let design = machine.design.clone();
            let lag_s = design.bearing_lag_s * design.bearing_w_k / bearing_w_k(&design, end);
            let (bearing_c, casing_c) = (machine.bearing_c, machine.casing_c);
            let mut elapsed_s = 0.0;
            while elapsed_s < lag_s {
                machine.advance(&around(Some(end)), 5.0);
                elapsed_s += 5.0;
            }
            let share = (machine.bearing_c - bearing_c) / (settled.bearing_c - bearing_c);
            assert!((0.61..0.65).contains(&share), "{share}");
            let share = (machine.casing_c - casing_c) / (settled.casing_c - casing_c);
            assert!((0.5..0.85).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_drive_that_is_switched_off_lets_the_pump_coast_for_minutes() {
        let mut machine = running(1.0);
        let mut speeds = Vec::new();
        for _ in 0..3_000 {
            machine.advance(&around(None), 1.0);
            speeds.push(machine.speed);
        }
        assert!((speeds[59] - 0.5).abs() < 0.03, "half after {} s: {}", machine.design.coast_down_s, speeds[59]);
        let stopped = speeds.iter().position(|speed| *speed == 0.0).expect("stops at last");
        assert!((180..1_200).contains(&stopped), "{stopped} s");
        assert_eq!(machine.signals(20.0)[6], 0.0, "no current without the drive");
    }

    #[test]
    fn vibration_has_a_resonance_within_the_range() {
        let at = |demand| {
            let machine = running(demand);
            machine.vibration_mm_s / machine.speed.powi(2)
        };
        let (below, resonant, above) = (at(0.68), at(0.78), at(0.88));
        assert!(resonant > below && resonant > above, "{below} {resonant} {above}");
    }
}
