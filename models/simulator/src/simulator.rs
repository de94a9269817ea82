//! Simulates the pump over time: combines curves, motor, heat, load, fault and sensors step by step.
//!
//! Fast quantities (slip, cavitation) follow their target with a short lag instead of being solved for, so a sub-step
//! is one pass without iteration.

use rand::rngs::Xoshiro256PlusPlus;
use volute_plant::Timestamp;

use crate::{
    Design, Fault, FaultRun, LoadPlan, SimulatorOutput, Truth,
    condition::Condition,
    design::OIL_REFERENCE_C,
    fault_run::Stage,
    hydraulics::{BAR_PER_M, L_MIN_PER_M3_S, OperatingPoint},
    load::Load,
    noise::{Ar1, follow, rng_stream},
    sensor_specs::{PerSensor, index_of},
    sensors::{FaultStrength, SensorFaultState, Sensors},
    thermal::{Heating, Temperatures},
};

/// The longest sub-step, in seconds: short compared with the lags of one second.
const SUB_STEP_S: f64 = 0.5;
/// The most sub-steps in a step. In longer steps the sub-steps get longer.
const MAX_SUB_STEPS: f64 = 7_200.0;
/// Lag of pressures, current, vibration and cavitation, in seconds.
const FAST_LAG_S: f64 = 1.0;
/// Lag of the valve that sets the demand, in seconds.
const VALVE_LAG_S: f64 = 4.0;
/// Lag of the rotor when the load changes, in seconds.
const ROTOR_LAG_S: f64 = 0.5;
/// Seconds from standstill to full speed, and from full speed to standstill.
const RUN_UP_S: f64 = 4.0;
const RUN_DOWN_S: f64 = 8.0;
/// Vibration at standstill, which comes through the floor, mm/s.
const STANDSTILL_MM_S: f64 = 0.05;
/// Share of the oil pressure lost per kelvin, as the oil gets thinner.
const OIL_THINNING: f64 = 0.006;
/// The lowest gauge pressure, at which the water boils, bar.
const VACUUM_BAR: f64 = -0.92;

/// A simulated pump. Cheap to clone; a clone continues with the same readings.
#[derive(Debug, Clone)]
pub struct Simulator {
    design: Design,
    load: Load,
    sensors: Sensors,
    start: Timestamp,
    elapsed_s: f64,
    fault_run: Option<ActiveEpisode>,
    seed: u64,
    state: State,
}

/// A fault run with its start, and the state of the failing sensor.
#[derive(Debug, Clone)]
struct ActiveEpisode {
    fault_run: FaultRun,
    since_s: f64,
    sensor_fault: SensorFaultState,
}

/// The state that each sub-step changes.
#[derive(Debug, Clone)]
struct State {
    demand: f64,
    run_up: f64,
    slip: f64,
    cavitation: f64,
    shaft_w: f64,
    point: OperatingPoint,
    temperatures: Temperatures,
    signals: Signals,
    resistance_noise: Ar1,
    surge: Ar1,
    cavitation_noise: Ar1,
    rng: Xoshiro256PlusPlus,
}

/// The signals that follow their true quantity with a lag, in the sensors' units.
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
    /// Creates a healthy pump in thermal equilibrium with its first load.
    pub fn new(design: Design, load: LoadPlan, seed: u64, start: Timestamp) -> Self {
        let load = Load::new(load, seed);
        let sensors = Sensors::new(design.noise_factor, rng_stream(seed, 2));
        let state = State::new(load.demand().level, rng_stream(seed, 3));
        let mut simulator = Self { design, load, sensors, start, elapsed_s: 0.0, fault_run: None, seed, state };
        simulator.warm_up();
        simulator
    }

    /// Starts a fault run in place of the current one. With none the machine is healthy at once, and its signals follow
    /// with their lags.
    pub fn set_fault_run(&mut self, fault_run: Option<FaultRun>) {
        let (since_s, seed) = (self.elapsed_s, self.seed);
        self.fault_run = fault_run.map(|fault_run| ActiveEpisode {
            fault_run,
            since_s,
            sensor_fault: SensorFaultState::new(rng_stream(seed, 4)),
        });
    }

    /// Returns the fault run and the seconds since it was set, also after its end.
    pub fn fault_run(&self) -> Option<(&FaultRun, f64)> {
        self.fault_run.as_ref().map(|active| (&active.fault_run, self.elapsed_s - active.since_s))
    }

    /// Advances by `dt_s` seconds and reads the sensors. Does not advance if `dt_s` is not positive or not finite.
    pub fn step(&mut self, dt_s: f64) -> SimulatorOutput {
        let dt_s = if dt_s.is_finite() { dt_s.max(0.0) } else { 0.0 };
        let sub_steps = (dt_s / SUB_STEP_S).ceil().min(MAX_SUB_STEPS);
        for _ in 0..sub_steps as u64 {
            self.sub_step(dt_s / sub_steps);
        }
        self.read(dt_s)
    }

    fn now(&self) -> Timestamp {
        self.start.plus_ms((self.elapsed_s * 1_000.0).round() as i64)
    }

    fn stage(&self) -> Stage {
        self.fault_run().map_or(Stage::HEALTHY, |(fault_run, since_s)| fault_run.stage(since_s))
    }

    fn warm_up(&mut self) {
        let healthy = Condition::default();
        for _ in 0..120 {
            self.advance_machine(SUB_STEP_S, true, &healthy);
        }
        let heating = self.heating(&healthy);
        self.state.temperatures = self.design.thermal.steady_state(&heating);
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

    /// Advances in one pass: speed, operating point, power, heat, signals.
    fn advance_machine(&mut self, dt_s: f64, running: bool, condition: &Condition) {
        let change = if running { dt_s / RUN_UP_S } else { -dt_s / RUN_DOWN_S };
        self.state.run_up = (self.state.run_up + change).clamp(0.0, 1.0);
        let speed = self.speed();
        let Self { design, state, .. } = self;
        let resistance_noise = 1.0 + design.resistance_noise * state.resistance_noise.advance(dt_s, &mut state.rng);
        let surge = state.surge.advance(dt_s, &mut state.rng);
        let condition = &with_cavitation(condition, state.cavitation, surge);
        let valve_m = design.valve_m(state.demand) * resistance_noise;
        state.point = design.curves.solve(&design.plant, valve_m, speed, condition);
        follow(&mut state.cavitation, cavitation(&state.point), dt_s, FAST_LAG_S);

        state.shaft_w = state.point.impeller_w + speed * (design.friction_w + condition.drag_w);
        let synchronous = speed * design.rated_rpm / design.motor.synchronous_rpm;
        let slip = design.motor.slip(state.shaft_w, synchronous, condition);
        follow(&mut state.slip, slip, dt_s, ROTOR_LAG_S);

        let heating = self.heating(condition);
        self.design.thermal.advance(&mut self.state.temperatures, &heating, dt_s);
        self.follow_signals(dt_s, running, condition);
    }

    /// Returns the speed as a share of the rated speed.
    fn speed(&self) -> f64 {
        let Self { design, state, .. } = self;
        state.run_up * (1.0 - state.slip) * design.motor.synchronous_rpm / design.rated_rpm
    }

    fn heating<'a>(&self, condition: &'a Condition) -> Heating<'a> {
        let Self { design, state, .. } = self;
        Heating {
            ambient_c: design.thermal.ambient_at(self.now()),
            speed: self.speed(),
            // The bearing's temperature rise is given for a motor at four fifths of its rated power.
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
        let current_a = if running { design.motor.current_a(input_w, state.run_up, condition) } else { 0.0 };
        let suction_bar = (point.suction_m * BAR_PER_M).max(VACUUM_BAR);
        let discharge_bar = (point.discharge_m * BAR_PER_M).max(VACUUM_BAR);
        follow(&mut signals.oil_bar, design.oil_bar * speed * thinning * condition.oil, dt_s, FAST_LAG_S);
        follow(&mut signals.vibration_mm_s, vibration_mm_s, dt_s, FAST_LAG_S);
        follow(&mut signals.flow_l_min, point.flow_m3_s * L_MIN_PER_M3_S, dt_s, design.flow_lag_s);
        follow(&mut signals.suction_bar, suction_bar, dt_s, FAST_LAG_S);
        follow(&mut signals.discharge_bar, discharge_bar, dt_s, FAST_LAG_S);
        follow(&mut signals.current_a, current_a, dt_s, FAST_LAG_S);
    }

    /// Returns the RMS vibration. The sources have different frequencies, so their squares add. All grow with the
    /// square of the speed.
    fn vibration(&mut self, speed: f64, dt_s: f64, condition: &Condition) -> f64 {
        let Self { design, state, .. } = self;
        let off_best = (state.point.relative_flow - 1.0).powi(2);
        let from_rotor = design.vibration_mm_s * (1.0 + off_best);
        let cavitation_noise = state.cavitation_noise.advance(dt_s, &mut state.rng);
        let from_cavitation = CAVITATION_MM_S * state.cavitation * (1.0 + 0.3 * cavitation_noise).max(0.0);
        let sources = [from_rotor, condition.vibration_mm_s, from_cavitation];
        let sum: f64 = sources.iter().map(|v| v * v).sum();
        (sum.sqrt() * speed * speed).hypot(STANDSTILL_MM_S)
    }

    fn read(&mut self, dt_s: f64) -> SimulatorOutput {
        let speed = self.speed();
        let truth = self.truth();
        let mut readings = self.sensors.read(&truth.signals, speed.min(1.0), dt_s);
        let stage = self.stage();
        if let (Some(Fault::Sensor(kind, quantity)), Some(active)) = (stage.fault, &mut self.fault_run)
            && let Some(index) = index_of(quantity)
        {
            let strength = FaultStrength { severity: active.fault_run.severity.get(), level: stage.level };
            readings[index] = readings[index].and_then(|value| active.sensor_fault.apply(kind, index, value, strength));
        }
        let Stage { status, fault, growth, .. } = stage;
        SimulatorOutput { at: self.now(), status, fault, growth, readings, truth }
    }

    fn truth(&self) -> Truth {
        let Self { design, state, .. } = self;
        let signals = &state.signals;
        let running = self.load.demand().running;
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
            run_up: 1.0,
            slip: 0.015,
            cavitation: 0.0,
            shaft_w: 0.0,
            point: OperatingPoint::default(),
            temperatures: Temperatures::default(),
            signals: Signals::default(),
            resistance_noise: Ar1::stationary(30.0, &mut rng),
            surge: Ar1::stationary(1.5, &mut rng),
            cavitation_noise: Ar1::stationary(1.0, &mut rng),
            rng,
        }
    }
}

/// Vibration by full cavitation, mm/s RMS.
const CAVITATION_MM_S: f64 = 7.0;

/// Returns the degree of cavitation, 0 to 1. It begins at twice the required NPSH and is complete at 0.7 of it.
///
/// At the required NPSH 3 % of the head is lost already; bubbles form well before (Gülich, ch. 6).
fn cavitation(point: &OperatingPoint) -> f64 {
    ((2.0 - point.npsh_ratio) / 1.3).clamp(0.0, 1.0)
}

/// Applies cavitation to a condition: vapour reduces the head of the impeller, and the head surges.
fn with_cavitation(condition: &Condition, cavitation: f64, surge: f64) -> Condition {
    let head_loss = 0.05 * cavitation + 0.25 * cavitation.powi(3);
    let surging = 0.06 * cavitation * surge;
    Condition { head: (condition.head * (1.0 - head_loss + surging)).max(0.0), ..condition.clone() }
}

#[cfg(test)]
mod tests {
    use volute_plant::Quantity;

    use super::*;

    fn start() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().expect("a time")
    }

    /// Returns the speed and the vibration added by an unbalanced rotor, at this synchronous speed.
    fn unbalance_at(synchronous_rpm: f64) -> (f64, f64) {
        let mut design = Design::rated();
        design.plant.static_head_m = design.plant.suction_head_m;
        design.motor.synchronous_rpm = synchronous_rpm;
        let mut pump = Simulator::new(design, LoadPlan::Steady, 1, start());
        let condition = Condition { vibration_mm_s: 8.0, ..Condition::default() };
        let speed = pump.speed();
        let unbalanced = pump.vibration(speed, 0.0, &condition);
        let healthy = pump.vibration(speed, 0.0, &Condition::default());
        (speed, (unbalanced * unbalanced - healthy * healthy).sqrt())
    }

    #[test]
    fn unbalance_grows_with_the_square_of_the_speed() {
        let (full, full_mm_s) = unbalance_at(3_000.0);
        let (half, half_mm_s) = unbalance_at(1_500.0);
        assert!((half / full - 0.5).abs() < 0.01, "{half} {full}");
        assert!((half_mm_s / full_mm_s / (half / full).powi(2) - 1.0).abs() < 1e-6);
    }

    /// Returns the seconds until `signal` has reached 63 % of a lasting change of the machine.
    fn lag_of(signal: Quantity, condition: &Condition, step_s: f64, for_s: f64) -> f64 {
        let mut design = Design::rated();
        (design.resistance_noise, design.thermal.daily_swing_k) = (0.0, 0.0);
        let mut pump = Simulator::new(design, LoadPlan::Steady, 1, start());
        let mut values = vec![pump.truth().value(signal).expect("measured")];
        for _ in 0..(for_s / step_s) as usize {
            pump.advance_machine(step_s, true, condition);
            values.push(pump.truth().value(signal).expect("measured"));
        }
        let (first, last) = (values[0], values[values.len() - 1]);
        let reached = values.iter().position(|v| (v - first) / (last - first) >= 0.632).expect("reaches 63 %");
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
    fn the_casing_follows_the_water_temperature_in_minutes() {
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
    fn many_short_steps_equal_one_long_step() {
        let mut design = Design::rated();
        design.resistance_noise = 0.0;
        let mut many_steps = Simulator::new(design, LoadPlan::Steady, 1, start());
        let mut one_step = many_steps.clone();
        for _ in 0..120 {
            many_steps.step(0.5);
        }
        let (a, b) = (one_step.step(60.0), many_steps.step(0.0));
        assert_eq!((a.at, a.truth()), (b.at, b.truth()));
    }

    #[test]
    fn an_invalid_step_length_does_not_advance() {
        let mut pump = Simulator::new(Design::rated(), LoadPlan::Steps, 1, start());
        for dt_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(pump.step(dt_s).at, start(), "{dt_s}");
        }
        assert!(pump.step(1e12).at > start());
    }
}
