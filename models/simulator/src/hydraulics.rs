//! Hydraulics: the pump's curves, the plant's curve, and the operating point where they intersect.
//!
//! Heads are gauge heads in metres of the pumped water. Flows are in m³/s at the impeller unless a name says otherwise.
//! `speed` is relative to the rated speed. Curves scale by the affinity laws: Q ~ n, H ~ n², P ~ n³.
//! Source of the equations: Gülich, *Centrifugal Pumps*, ch. 2 to 4, or any other pump handbook.
//!
//! An example: the rated pump has 72 m of head without flow and loses 12 m of it at the best flow of 1,100 L/min. The
//! plant needs 60 m at this flow, so the pump runs at its best flow and 60 m of head.

use crate::condition::Condition;

/// Standard gravity, m/s².
const GRAVITY: f64 = 9.806_65;
/// Density of water at 46 °C, kg/m³.
const DENSITY: f64 = 990.0;
/// Specific heat of water, J/(kg K).
const SPECIFIC_HEAT: f64 = 4_180.0;
/// Pressure of a metre of that water, bar.
pub(crate) const BAR_PER_M: f64 = DENSITY * GRAVITY / 1e5;
/// Atmospheric pressure minus the vapour pressure of water at 46 °C (1.013 and 0.10 bar), as head in m.
const ATMOSPHERE_M: f64 = (1.013 - 0.10) / BAR_PER_M;
/// The efficiency's parabola is valid up to this multiple of the best flow.
const MAX_RELATIVE_FLOW: f64 = 1.6;

/// One m³/s in L/min.
pub(crate) const L_MIN_PER_M3_S: f64 = 60_000.0;

/// The pump's curves at rated speed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Head without flow.
    pub(crate) shutoff_head_m: f64,
    /// How much less head there is at the best flow than without flow.
    pub(crate) droop_m: f64,
    /// Flow of best efficiency.
    pub(crate) best_flow_m3_s: f64,
    /// The efficiency at the best flow, 0 to 1.
    pub(crate) best_efficiency: f64,
    /// Net positive suction head required at the best flow (3 % head drop).
    pub(crate) npsh_required_m: f64,
}

/// The plant around the pump.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plant {
    /// Height of the liquid in the suction tank over the pump.
    pub(crate) suction_head_m: f64,
    /// Head lost in the suction line at the best flow.
    pub(crate) suction_loss_m: f64,
    /// Head that the discharge line needs without flow.
    pub(crate) static_head_m: f64,
}

/// The operating point of pump and plant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct OperatingPoint {
    /// Flow through the impeller.
    pub(crate) impeller_flow_m3_s: f64,
    /// Flow that leaves the pump.
    pub(crate) flow_m3_s: f64,
    /// Head over the pump.
    pub(crate) head_m: f64,
    /// Gauge head at the suction flange.
    pub(crate) suction_m: f64,
    /// Gauge head at the discharge flange, before the check valve.
    pub(crate) discharge_m: f64,
    /// Flow through the impeller, as a share of the best flow at this speed.
    pub(crate) relative_flow: f64,
    /// Power that the delivered water carries.
    pub(crate) hydraulic_w: f64,
    /// Power that the impeller takes.
    pub(crate) impeller_w: f64,
    /// Heat capacity flow of the delivered water, W/K.
    pub(crate) heat_capacity_w_k: f64,
    /// Available over required net positive suction head.
    pub(crate) npsh_ratio: f64,
}

impl Curves {
    /// Returns the loss of the valve, in metres at the best flow, with which the healthy pump delivers `flow_m3_s` at
    /// rated speed.
    pub(crate) fn valve_loss_for(&self, plant: &Plant, flow_m3_s: f64) -> f64 {
        let x2 = (flow_m3_s / self.best_flow_m3_s).powi(2);
        let driving_m = self.shutoff_head_m - plant.static_head_m + plant.suction_head_m;
        (driving_m / x2 - self.droop_m - plant.suction_loss_m).max(0.1)
    }

    /// Solves for the flow at which the pump's head equals the head that the plant needs.
    ///
    /// `valve_m` is the loss of the discharge line with its valve at the best flow. All losses grow with the square of
    /// the flow, so there is a closed solution for that square: (head without flow - static head) / (sum of losses).
    pub(crate) fn solve(&self, plant: &Plant, valve_m: f64, speed: f64, condition: &Condition) -> OperatingPoint {
        let fill = condition.fill;
        let suction_head_m = plant.suction_head_m - condition.suction_drop_m;
        let shutoff_m = fill * condition.head * self.shutoff_head_m * speed * speed;
        let clean_droop_m = fill * self.droop_m;
        let droop_m = condition.droop * clean_droop_m;
        // The internal leakage passes neither flange; the leakage at the seal passes only the suction flange.
        let suction_share = 1.0 - condition.inner_leak;
        let delivered_share = suction_share - condition.seal_leak;
        let suction_loss_m = condition.suction_loss * plant.suction_loss_m * suction_share * suction_share;
        let valve_m = valve_m / condition.opening.powi(2) * delivered_share * delivered_share;
        let driving_m = shutoff_m - (plant.static_head_m - suction_head_m);
        // A closed valve is an infinite loss, so the flow is 0. The check valve prevents negative flow.
        let x = (driving_m.max(0.0) / (droop_m + suction_loss_m + valve_m)).sqrt();

        let head_m = shutoff_m - droop_m * x * x;
        let suction_m = suction_head_m - suction_loss_m * x * x;
        let relative_flow = if speed > 0.0 { (x / speed).min(MAX_RELATIVE_FLOW) } else { 0.0 };
        let impeller_flow_m3_s = x * self.best_flow_m3_s;
        let flow_m3_s = delivered_share * impeller_flow_m3_s;
        let weight_flow = DENSITY * GRAVITY * flow_m3_s;
        OperatingPoint {
            impeller_flow_m3_s,
            flow_m3_s,
            head_m,
            suction_m,
            discharge_m: suction_m + head_m,
            relative_flow,
            hydraulic_w: weight_flow * head_m,
            // A clogged impeller takes the same power as a clean one. The lost head becomes heat.
            impeller_w: self.impeller_w(shutoff_m - clean_droop_m * x * x, speed, relative_flow),
            heat_capacity_w_k: fill * DENSITY * SPECIFIC_HEAT * flow_m3_s,
            npsh_ratio: (ATMOSPHERE_M + suction_m) / self.npsh_required(speed, relative_flow),
        }
    }

    /// Returns hydraulic power over efficiency, with the parabola η = ηb (2x - x²). The flow cancels out, so shut-off
    /// needs no special case.
    fn impeller_w(&self, head_m: f64, speed: f64, relative_flow: f64) -> f64 {
        let weight_flow = DENSITY * GRAVITY * self.best_flow_m3_s * speed;
        weight_flow * head_m / (self.best_efficiency * (2.0 - relative_flow))
    }

    /// Returns the required net positive suction head. It grows with the square of the speed and with the flow, from
    /// 40 % at shut-off.
    fn npsh_required(&self, speed: f64, relative_flow: f64) -> f64 {
        let required = self.npsh_required_m * speed * speed * (0.4 + 0.6 * relative_flow * relative_flow);
        required.max(0.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Design;

    fn solve(plant: &Plant, speed: f64, condition: &Condition) -> OperatingPoint {
        let design = Design::rated();
        let valve_m = design.valve_m(1.0);
        design.curves.solve(plant, valve_m, speed, condition)
    }

    /// A plant with friction losses only. Only for such a plant do the affinity laws hold for the operating
    /// point too.
    fn friction_only() -> Plant {
        Plant { suction_head_m: 0.0, static_head_m: 0.0, ..Design::rated().plant }
    }

    #[test]
    fn the_rated_pump_matches_its_data_sheet() {
        let point = solve(&Design::rated().plant, 1.0, &Condition::default());
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-3;
        assert!(near(point.flow_m3_s * L_MIN_PER_M3_S, 1_100.0) && near(point.head_m, 60.0), "{point:?}");
        assert!(near(point.relative_flow, 1.0) && near(point.hydraulic_w / point.impeller_w, 0.72), "{point:?}");
        assert!((0.35..0.45).contains(&(point.suction_m * BAR_PER_M)), "{point:?}");
        assert!((5.9..6.5).contains(&(point.discharge_m * BAR_PER_M)), "{point:?}");
    }

    proptest! {
        #[test]
        fn the_affinity_laws_hold(speed in 0.2..1.1_f64) {
            let (full, part) = [1.0, speed].map(|s| solve(&friction_only(), s, &Condition::default())).into();
            let holds = |part: f64, full: f64, power: i32| (part / full / speed.powi(power) - 1.0).abs() < 1e-9;
            prop_assert!(holds(part.flow_m3_s, full.flow_m3_s, 1));
            prop_assert!(holds(part.head_m, full.head_m, 2));
            prop_assert!(holds(part.impeller_w, full.impeller_w, 3));
        }

        #[test]
        fn heads_add_up_and_power_is_only_lost(
            speed in 0.0..1.1_f64,
            opening in 0.0..1.0_f64,
            fill in 0.0..1.0_f64,
            suction_loss in 1.0..20.0_f64,
            inner_leak in 0.0..0.3_f64,
            seal_leak in 0.0..0.3_f64,
            droop in 1.0..5.0_f64,
        ) {
            let healthy = Condition::default();
            let condition = Condition { opening, fill, suction_loss, inner_leak, seal_leak, droop, ..healthy };
            let point = solve(&Design::rated().plant, speed, &condition);
            prop_assert!((point.discharge_m - point.suction_m - point.head_m).abs() < 1e-9);
            prop_assert!(point.flow_m3_s >= 0.0 && point.flow_m3_s <= point.impeller_flow_m3_s);
            prop_assert!(point.hydraulic_w <= point.impeller_w);
            prop_assert!(point.hydraulic_w == 0.0 || point.hydraulic_w < point.impeller_w);
        }
    }

    #[test]
    fn a_closed_valve_leaves_the_shut_off_head() {
        let closed = Condition { opening: 0.0, ..Condition::default() };
        let point = solve(&Design::rated().plant, 1.0, &closed);
        assert_eq!((point.flow_m3_s, point.head_m), (0.0, 72.0));
        assert!(point.impeller_w > 5e3, "it heats the water: {point:?}");
    }
}
