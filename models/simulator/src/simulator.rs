//! The pump in time: puts curves, motor, heat, load, fault and sensors together, step by step.
//!
//! Everything quick (slip, cavitation) follows with its own short lag instead of being solved for, so that a sub-step is
//! one pass without iteration.

use rand::rngs::Xoshiro256PlusPlus;
use volute_plant::Timestamp;

use crate::{
    Design, Episode, Fault, LoadPlan, Step, Truth,
    condition::Condition,
    design::OIL_REFERENCE_C,
    episode::Stage,
    hydraulics::{BAR_PER_M, L_MIN_PER_M3_S, OperatingPoint},
    load::Load,
    noise::{Ar1, follow, stream},
    sensor_specs::{PerSensor, index_of},
    sensors::{Liar, Sensors, Strength},
    thermal::{Heating, Temperatures},
};

/// The longest sub-step: short against the lags of a second.
const SUB_STEP_S: f64 = 0.5;
/// The most sub-steps in a step; beyond that they get longer.
const MOST_SUB_STEPS: f64 = 7_200.0;
/// Lag of pressures, current, vibration and cavitation.
const QUICK_LAG_S: f64 = 1.0;
/// Lag of the valve that sets the demand.
const VALVE_LAG_S: f64 = 4.0;
/// Lag of the rotor under a changed load.
const ROTOR_LAG_S: f64 = 0.5;
/// From standstill to full speed and back.
const START_S: f64 = 4.0;
const STOP_S: f64 = 8.0;
/// What the floor shakes by when the machine stands, mm/s.
const STANDING_MM_S: f64 = 0.05;
/// Oil loses this share of its pressure for each kelvin, as it gets thinner.
const OIL_THINNING: f64 = 0.006;
/// The deepest vacuum that a gauge can show over boiling water, bar.
const VACUUM_BAR: f64 = -0.92;

/// A pump that runs. Cheap to clone; a clone goes on in the same way.
#[derive(Debug, Clone)]
pub struct Simulator {
    design: Design,
    load: Load,
    sensors: Sensors,
    start: Timestamp,
    elapsed_s: f64,
    episode: Option<Running>,
    seed: u64,
    state: State,
}

/// An episode, since when, and the sensor that lies.
#[derive(Debug, Clone)]
struct Running {
    episode: Episode,
    since_s: f64,
    liar: Liar,
}

/// What changes from one sub-step to the next.
#[derive(Debug, Clone)]
struct State {
    demand: f64,
    run: f64,
    slip: f64,
    cavitation: f64,
    shaft_w: f64,
    point: OperatingPoint,
    temperatures: Temperatures,
    signals: Signals,
    flutter: Ar1,
    surge: Ar1,
    rattle: Ar1,
    rng: Xoshiro256PlusPlus,
}

/// The lagged values that have a lag of their own, in the sensors' units.
#[derive(Debug, Clone, Default)]
struct Signals {
    oil_bar: f64,
    vibration_mm_s: f64,
    flow_l_min: f64,
    suction_bar: f64,
    discharge_bar: f64,
    current_a: f64,
}

impl Simulator {
    /// A pump that has been running healthily for hours: in thermal equilibrium with its first load.
    pub fn new(design: Design, load: LoadPlan, seed: u64, start: Timestamp) -> Self {
        let load = Load::new(load, seed);
        let sensors = Sensors::new(design.noisiness, stream(seed, 2));
        let state = State::new(load.now().level, stream(seed, 3));
        let mut simulator = Self { design, load, sensors, start, elapsed_s: 0.0, episode: None, seed, state };
        simulator.warm_up();
        simulator
    }

    /// Sets what goes wrong next, in place of what is going wrong; none: the machine is healthy at once, and cools and
    /// settles with its lags.
    pub fn set_episode(&mut self, episode: Option<Episode>) {
        let (since_s, seed) = (self.elapsed_s, self.seed);
        self.episode = episode.map(|episode| Running { episode, since_s, liar: Liar::new(stream(seed, 4)) });
    }

    /// The episode, and the seconds since it was set; also when it is over.
    pub fn episode(&self) -> Option<(&Episode, f64)> {
        self.episode.as_ref().map(|running| (&running.episode, self.elapsed_s - running.since_s))
    }

    /// Moves on by `dt_s` seconds (not above 0: not at all) and reads the sensors.
    pub fn step(&mut self, dt_s: f64) -> Step {
        let dt_s = if dt_s.is_finite() { dt_s.max(0.0) } else { 0.0 };
        let sub_steps = (dt_s / SUB_STEP_S).ceil().min(MOST_SUB_STEPS);
        for _ in 0..sub_steps as u64 {
            self.sub_step(dt_s / sub_steps);
        }
        self.read(dt_s)
    }

    fn now(&self) -> Timestamp {
        self.start.plus_ms((self.elapsed_s * 1_000.0).round() as i64)
    }

    fn stage(&self) -> Stage {
        self.episode().map_or(Stage::HEALTHY, |(episode, since_s)| episode.stage(since_s))
    }

    fn warm_up(&mut self) {
        let healthy = Condition::default();
        for _ in 0..120 {
            self.advance_machine(SUB_STEP_S, true, &healthy);
        }
        let heating = self.heating(&healthy);
        self.state.temperatures = self.design.thermal.settled(&heating);
        for _ in 0..20 {
            self.advance_machine(SUB_STEP_S, true, &healthy);
        }
    }

    fn sub_step(&mut self, dt_s: f64) {
        self.elapsed_s += dt_s;
        let demand = self.load.advance(dt_s);
        follow(&mut self.state.demand, demand.level, dt_s, VALVE_LAG_S);
        let stage = self.stage();
        let condition = stage.fault.map_or_else(Condition::default, |fault| Condition::of(fault, stage.level));
        self.advance_machine(dt_s, demand.running, &condition);
    }

    /// One pass: speed, operating point, power, heat, signals.
    fn advance_machine(&mut self, dt_s: f64, running: bool, condition: &Condition) {
        let change = if running { dt_s / START_S } else { -dt_s / STOP_S };
        self.state.run = (self.state.run + change).clamp(0.0, 1.0);
        let speed = self.speed();
        let Self { design, state, .. } = self;
        let flutter = 1.0 + design.flutter * state.flutter.advance(dt_s, &mut state.rng);
        let surge = state.surge.advance(dt_s, &mut state.rng);
        let condition = &cavitating(condition, state.cavitation, surge);
        let valve_m = design.valve_m(state.demand) * flutter;
        state.point = design.curves.meet(&design.plant, valve_m, speed, condition);
        follow(&mut state.cavitation, cavitation(&state.point), dt_s, QUICK_LAG_S);

        state.shaft_w = state.point.impeller_w + speed * (design.friction_w + condition.drag_w);
        let synchronous = speed * design.rated_rpm / design.motor.synchronous_rpm;
        let slip = design.motor.slip(state.shaft_w, synchronous, condition);
        follow(&mut state.slip, slip, dt_s, ROTOR_LAG_S);

        let heating = self.heating(condition);
        self.design.thermal.advance(&mut self.state.temperatures, &heating, dt_s);
        self.follow_signals(dt_s, running, condition);
    }

    /// Speed over rated speed.
    fn speed(&self) -> f64 {
        let Self { design, state, .. } = self;
        state.run * (1.0 - state.slip) * design.motor.synchronous_rpm / design.rated_rpm
    }

    fn heating<'a>(&self, condition: &'a Condition) -> Heating<'a> {
        let Self { design, state, .. } = self;
        Heating {
            ambient_c: design.thermal.ambient_at(self.now()),
            speed: self.speed(),
            // The bearing's rise is given for a motor loaded to four fifths.
            load: state.shaft_w / (0.8 * design.motor.rated_w),
            vibration_mm_s: state.signals.vibration_mm_s,
            lost_w: (state.point.impeller_w - state.point.hydraulic_w).max(0.0),
            heat_capacity_w_k: state.point.heat_capacity_w_k,
            condition,
        }
    }

    fn follow_signals(&mut self, dt_s: f64, running: bool, condition: &Condition) {
        let speed = self.speed();
        let vibration_mm_s = self.vibration(speed, dt_s, condition);
        let Self { design, state, .. } = self;
        let State { signals, point, temperatures, .. } = state;
        let thinning = (-OIL_THINNING * (temperatures.bearing_c() - OIL_REFERENCE_C)).exp();
        let input_w = design.motor.input_w(state.shaft_w);
        let current_a = if running { design.motor.current_a(input_w, state.run, condition) } else { 0.0 };
        let suction_bar = (point.suction_m * BAR_PER_M).max(VACUUM_BAR);
        let discharge_bar = (point.discharge_m * BAR_PER_M).max(VACUUM_BAR);
        follow(&mut signals.oil_bar, design.oil_bar * speed * thinning * condition.oil, dt_s, QUICK_LAG_S);
        follow(&mut signals.vibration_mm_s, vibration_mm_s, dt_s, QUICK_LAG_S);
        follow(&mut signals.flow_l_min, point.flow_m3_s * L_MIN_PER_M3_S, dt_s, design.flow_lag_s);
        follow(&mut signals.suction_bar, suction_bar, dt_s, QUICK_LAG_S);
        follow(&mut signals.discharge_bar, discharge_bar, dt_s, QUICK_LAG_S);
        follow(&mut signals.current_a, current_a, dt_s, QUICK_LAG_S);
    }

    /// RMS of sources at different frequencies: their squares add. All go with speed squared.
    fn vibration(&mut self, speed: f64, dt_s: f64, condition: &Condition) -> f64 {
        let Self { design, state, .. } = self;
        let off_best = (state.point.relative_flow - 1.0).powi(2);
        let own = design.vibration_mm_s * (1.0 + off_best);
        let rattle = state.rattle.advance(dt_s, &mut state.rng);
        let bubbles = BUBBLES_MM_S * state.cavitation * (1.0 + 0.3 * rattle).max(0.0);
        let sources = [own, condition.vibration_mm_s, bubbles];
        let sum: f64 = sources.iter().map(|v| v * v).sum();
        (sum.sqrt() * speed * speed).hypot(STANDING_MM_S)
    }

    fn read(&mut self, dt_s: f64) -> Step {
        let speed = self.speed();
        let truth = self.truth();
        let mut readings = self.sensors.read(&truth.signals, speed.min(1.0), dt_s);
        let stage = self.stage();
        if let (Some(Fault::Sensor(kind, quantity)), Some(running)) = (stage.fault, &mut self.episode)
            && let Some(index) = index_of(quantity)
        {
            let strength = Strength { severity: running.episode.severity.get(), level: stage.level };
            readings[index] = readings[index].and_then(|value| running.liar.says(kind, index, value, strength));
        }
        let Stage { status, fault, growth, .. } = stage;
        Step { at: self.now(), status, fault, growth, readings, truth }
    }

    fn truth(&self) -> Truth {
        let Self { design, state, .. } = self;
        let signals = &state.signals;
        let running = self.load.now().running;
        let motor_w = if running { design.motor.input_w(state.shaft_w) } else { 0.0 };
        let signals: PerSensor<f64> = [
            self.speed() * design.rated_rpm,
            state.temperatures.bearing_c(),
            signals.oil_bar,
            signals.vibration_mm_s,
            signals.flow_l_min,
            signals.suction_bar,
            signals.discharge_bar,
            signals.current_a,
            state.temperatures.casing_c(),
            design.thermal.ambient_at(self.now()),
        ];
        Truth {
            running,
            demand: state.demand,
            head_m: state.point.head_m,
            flow_l_min: state.point.flow_m3_s * L_MIN_PER_M3_S,
            hydraulic_w: state.point.hydraulic_w,
            shaft_w: state.shaft_w,
            motor_w,
            cavitation: state.cavitation,
            signals,
        }
    }
}

impl State {
    fn new(demand: f64, mut rng: Xoshiro256PlusPlus) -> Self {
        Self {
            demand,
            run: 1.0,
            slip: 0.015,
            cavitation: 0.0,
            shaft_w: 0.0,
            point: OperatingPoint::default(),
            temperatures: Temperatures::default(),
            signals: Signals::default(),
            flutter: Ar1::settled(30.0, &mut rng),
            surge: Ar1::settled(1.5, &mut rng),
            rattle: Ar1::settled(1.0, &mut rng),
            rng,
        }
    }
}

/// Vibration of full cavitation, mm/s RMS.
const BUBBLES_MM_S: f64 = 7.0;

/// How much the pump cavitates: begins at twice the required NPSH, and is complete at 0.7 of it.
///
/// The required NPSH is where 3 % of the head is lost already; bubbles begin well before (Gülich, ch. 6).
fn cavitation(point: &OperatingPoint) -> f64 {
    ((2.0 - point.npsh_ratio) / 1.3).clamp(0.0, 1.0)
}

/// Vapour takes head from the impeller, and surges.
fn cavitating(condition: &Condition, cavitation: f64, surge: f64) -> Condition {
    let lost = 0.05 * cavitation + 0.25 * cavitation.powi(3);
    let surging = 0.06 * cavitation * surge;
    Condition { head: (condition.head * (1.0 - lost + surging)).max(0.0), ..condition.clone() }
}

#[cfg(test)]
mod tests {
    use volute_plant::Quantity;

    use super::*;

    fn start() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().expect("a time")
    }

    /// What an unbalanced rotor adds to the vibration at this speed of the mains.
    fn unbalance_at(synchronous_rpm: f64) -> (f64, f64) {
        let mut design = Design::rated();
        design.plant.static_head_m = design.plant.suction_head_m;
        design.motor.synchronous_rpm = synchronous_rpm;
        let mut pump = Simulator::new(design, LoadPlan::Steady, 1, start());
        let condition = Condition { vibration_mm_s: 8.0, ..Condition::default() };
        let speed = pump.speed();
        let sick = pump.vibration(speed, 0.0, &condition);
        let healthy = pump.vibration(speed, 0.0, &Condition::default());
        (speed, (sick * sick - healthy * healthy).sqrt())
    }

    #[test]
    fn unbalance_goes_with_speed_squared() {
        let (full, full_mm_s) = unbalance_at(3_000.0);
        let (half, half_mm_s) = unbalance_at(1_500.0);
        assert!((half / full - 0.5).abs() < 0.01, "{half} {full}");
        assert!((half_mm_s / full_mm_s / (half / full).powi(2) - 1.0).abs() < 1e-6);
    }

    /// Seconds until `signal` has gone 63 % of its way after the machine has changed for good.
    fn lag_of(signal: Quantity, condition: &Condition, step_s: f64, for_s: f64) -> f64 {
        let mut design = Design::rated();
        (design.flutter, design.thermal.daily_swing_k) = (0.0, 0.0);
        let mut pump = Simulator::new(design, LoadPlan::Steady, 1, start());
        let mut values = vec![pump.truth().value(signal).expect("measured")];
        for _ in 0..(for_s / step_s) as usize {
            pump.advance_machine(step_s, true, condition);
            values.push(pump.truth().value(signal).expect("measured"));
        }
        let (first, last) = (values[0], values[values.len() - 1]);
        let reached = values.iter().position(|v| (v - first) / (last - first) >= 0.632).expect("it gets there");
        reached as f64 * step_s
    }

    #[test]
    fn a_step_reaches_63_percent_in_the_stated_time() {
        let throttled = Condition { opening: 0.8, ..Condition::default() };
        let braked = Condition { drag_w: 3_000.0, ..Condition::default() };
        let seized = Condition { bearing_heat_k: 20.0, ..Condition::default() };
        for (signal, condition, step_s, for_s, expected) in [
            (Quantity::DischargePressure, &throttled, 0.02, 20.0, 0.9..1.2),
            (Quantity::Flow, &throttled, 0.02, 40.0, 2.7..3.3),
            (Quantity::Current, &braked, 0.02, 20.0, 0.9..1.6),
            (Quantity::BearingTemperature, &braked, 2.0, 12_000.0, 1_140.0..1_260.0),
            (Quantity::BearingTemperature, &seized, 0.5, 900.0, 57.0..63.0),
        ] {
            let lag_s = lag_of(signal, condition, step_s, for_s);
            assert!(expected.contains(&lag_s), "{signal:?}: {lag_s} s");
        }
    }

    #[test]
    fn the_casing_follows_its_water_in_minutes() {
        let mut design = Design::rated();
        design.thermal.daily_swing_k = 0.0;
        let mut pump = Simulator::new(design, LoadPlan::Steady, 1, start());
        let before = pump.state.temperatures.casing_c();
        pump.design.thermal.process_c += 10.0;
        for _ in 0..960 {
            pump.step(0.5);
        }
        let share = (pump.state.temperatures.casing_c() - before) / (10.0 * 96.0 / 104.0);
        assert!((0.60..0.66).contains(&share), "{share} of the way in 8 minutes");
    }

    #[test]
    fn many_short_steps_are_one_long_one() {
        let mut design = Design::rated();
        design.flutter = 0.0;
        let mut often = Simulator::new(design, LoadPlan::Steady, 1, start());
        let mut once = often.clone();
        for _ in 0..120 {
            often.step(0.5);
        }
        let (a, b) = (once.step(60.0), often.step(0.0));
        assert_eq!((a.at, a.truth()), (b.at, b.truth()));
    }

    #[test]
    fn nonsense_stands_still() {
        let mut pump = Simulator::new(Design::rated(), LoadPlan::Steps, 1, start());
        for dt_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(pump.step(dt_s).at, start(), "{dt_s}");
        }
        assert!(pump.step(1e12).at > start());
    }
}
