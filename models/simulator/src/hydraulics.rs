//! Water: the pump's curves, the plant's curve, and where they meet.
//!
//! Heads are metres of the pumped water, gauge; flows are m³/s at the impeller unless a name says else; `speed` is
//! relative to the rated speed. Curves scale by the affinity laws: Q ~ n, H ~ n², P ~ n³.
//! Source of the forms: any pump handbook, as Gülich, *Centrifugal Pumps*, ch. 2 to 4.

use crate::condition::Condition;

/// Standard gravity, m/s².
const GRAVITY: f64 = 9.806_65;
/// Density of water at 46 °C, kg/m³.
const DENSITY: f64 = 990.0;
/// Specific heat of water, J/(kg K).
const SPECIFIC_HEAT: f64 = 4_180.0;
/// Pressure of a metre of that water, bar.
pub(crate) const BAR_PER_M: f64 = DENSITY * GRAVITY / 1e5;
/// Head of the atmosphere less that of water vapour at 46 °C (1.013 and 0.10 bar), m.
const ATMOSPHERE_M: f64 = (1.013 - 0.10) / BAR_PER_M;
/// Beyond this share of the best flow the efficiency's parabola means nothing.
const FURTHEST_FLOW: f64 = 1.6;

/// One m³/s in L/min.
pub(crate) const L_MIN_PER_M3_S: f64 = 60_000.0;

/// The pump's curves at rated speed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Head without flow.
    pub(crate) shutoff_head_m: f64,
    /// Head lost at the best flow, against shut-off.
    pub(crate) droop_m: f64,
    /// Flow of best efficiency.
    pub(crate) best_flow_m3_s: f64,
    /// That efficiency, 0 to 1.
    pub(crate) best_efficiency: f64,
    /// Net positive suction head required at the best flow (3 % head drop).
    pub(crate) npsh_required_m: f64,
}

/// The plant around the pump.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plant {
    /// Head of the suction tank over the pump.
    pub(crate) suction_head_m: f64,
    /// Head lost in the suction line at the best flow.
    pub(crate) suction_loss_m: f64,
    /// Head that the discharge line has without flow.
    pub(crate) static_head_m: f64,
}

/// Where pump and plant meet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct OperatingPoint {
    /// Flow through the impeller.
    pub(crate) impeller_flow_m3_s: f64,
    /// Flow that arrives behind the pump.
    pub(crate) flow_m3_s: f64,
    /// Head over the pump.
    pub(crate) head_m: f64,
    /// Gauge head at the suction flange.
    pub(crate) suction_m: f64,
    /// Gauge head at the discharge flange, before the check valve.
    pub(crate) discharge_m: f64,
    /// Flow through the impeller over the best flow at this speed.
    pub(crate) relative_flow: f64,
    /// Power that the delivered water carries.
    pub(crate) hydraulic_w: f64,
    /// Power that the impeller takes.
    pub(crate) impeller_w: f64,
    /// Heat that the delivered water would take with it for each kelvin, W/K.
    pub(crate) heat_capacity_w_k: f64,
    /// Net positive suction head available over the required.
    pub(crate) npsh_ratio: f64,
}

impl Curves {
    /// The valve's loss, in metres at the best flow, that lets the healthy pump deliver `flow_m3_s` at rated speed.
    pub(crate) fn valve_for(&self, plant: &Plant, flow_m3_s: f64) -> f64 {
        let x2 = (flow_m3_s / self.best_flow_m3_s).powi(2);
        let driving_m = self.shutoff_head_m - plant.static_head_m + plant.suction_head_m;
        (driving_m / x2 - self.droop_m - plant.suction_loss_m).max(0.1)
    }

    /// Solves for the flow at which the pump's head is what the plant asks for.
    ///
    /// `valve_m` is what the discharge line with its valve loses at the best flow. All losses are with the flow's
    /// square, so the solution is closed: (head without flow - static head) / (sum of losses).
    pub(crate) fn meet(&self, plant: &Plant, valve_m: f64, speed: f64, condition: &Condition) -> OperatingPoint {
        let fill = condition.fill;
        let suction_head_m = plant.suction_head_m - condition.suction_drop_m;
        let shutoff_m = fill * condition.head * self.shutoff_head_m * speed * speed;
        let droop_m = fill * condition.droop * self.droop_m;
        // What leaks inside the pump passes neither flange, what leaks at the seal passes only the suction's.
        let sucked = 1.0 - condition.inner_leak;
        let delivered = sucked - condition.seal_leak;
        let suction_loss_m = condition.suction_loss * plant.suction_loss_m * sucked * sucked;
        let valve_m = valve_m / condition.opening.powi(2) * delivered * delivered;
        let driving_m = shutoff_m - (plant.static_head_m - suction_head_m);
        // A closed valve makes an infinite loss, and so no flow; the check valve lets none back.
        let x = (driving_m.max(0.0) / (droop_m + suction_loss_m + valve_m)).sqrt();

        let head_m = shutoff_m - droop_m * x * x;
        let suction_m = suction_head_m - suction_loss_m * x * x;
        let relative_flow = if speed > 0.0 { (x / speed).min(FURTHEST_FLOW) } else { 0.0 };
        let impeller_flow_m3_s = x * self.best_flow_m3_s;
        let flow_m3_s = delivered * impeller_flow_m3_s;
        let weight_flow = DENSITY * GRAVITY * flow_m3_s;
        OperatingPoint {
            impeller_flow_m3_s,
            flow_m3_s,
            head_m,
            suction_m,
            discharge_m: suction_m + head_m,
            relative_flow,
            hydraulic_w: weight_flow * head_m,
            impeller_w: self.impeller_w(head_m, speed, relative_flow),
            heat_capacity_w_k: fill * DENSITY * SPECIFIC_HEAT * flow_m3_s,
            npsh_ratio: (ATMOSPHERE_M + suction_m) / self.npsh_required(speed, relative_flow),
        }
    }

    /// Power over efficiency, with the parabola η = ηb (2x - x²): the flow cancels, so that shut-off is no special case.
    fn impeller_w(&self, head_m: f64, speed: f64, relative_flow: f64) -> f64 {
        let weight_flow = DENSITY * GRAVITY * self.best_flow_m3_s * speed;
        weight_flow * head_m / (self.best_efficiency * (2.0 - relative_flow))
    }

    /// With the square of speed, and rising with flow from 40 % at shut-off.
    fn npsh_required(&self, speed: f64, relative_flow: f64) -> f64 {
        let required = self.npsh_required_m * speed * speed * (0.4 + 0.6 * relative_flow * relative_flow);
        required.max(0.1)
    }
}
