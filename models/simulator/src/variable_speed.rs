//! A second simulated pump, with different physics than [`crate::Simulator`]: it has an inverter drive, 22 kW at 1,480
//! rpm, and its demand follows the day and the week. For benchmarks: a detector that was developed on the first pump is
//! evaluated on this one.
//!
//! The differences: The speed is the operating point and changes all the time. Flow, head and power follow the speed by
//! the affinity laws, in a plant with static head. Vibration has a resonance within the speed range. The fan on the
//! shaft cools less at low speed. Bearing and casing follow with lags of tens of minutes. The ambient temperature has a
//! daily swing and weather, and as options a season and one hot day. A stopped pump coasts down over minutes. Readings
//! come once per minute, not once per second.
//!
//! An example: at 04:00 the demand is about 65 %, so the drive turns the shaft at 0.65 of 1,480 rpm. The shutoff head
//! is 0.65² of 42 m, 17.7 m. The plant needs 6 m of static head, so the flow is √((17.7 − 6) / 14,400) = 0.0285 m³/s,
//! or 1,710 L/min, 57 % of the rated flow. The shaft needs about 0.65³ of the rated power. The bearing's housing moves
//! towards its new equilibrium, and after about 40 minutes it has gone 63 % of the way. At noon the demand is about
//! 89 %, and everything has risen. If [`Fault::BearingHeat`] begins then, the bearing is 12 K too warm three days
//! later, at every speed.
//!
//! The same seed gives the same readings. Does no I/O and reads no clock. Does not simulate two faults at once,
//! recovery from a fault, cavitation, or an electrical fault.

mod ambient;
mod demand;
mod design;
mod fault;
mod machine;
mod sensors;

use volute_plant::{Profile, Quantity, Sample, Timestamp};

use self::{
    ambient::Ambient,
    demand::Demand,
    machine::{Machine, Surroundings},
    sensors::{COUNT, QUANTITIES, Sensors},
};
pub use self::{
    ambient::AmbientPlan,
    demand::RunPattern,
    design::Design,
    fault::{Fault, Onset},
};
use crate::{noise::rng_stream, sensor_specs::at_resolution};

/// The profile of this pump, as TOML.
pub const PROFILE: &str = include_str!("../profiles/variable-speed.toml");

/// The longest sub-step, in seconds: short compared with the thermal lags and with a coast-down.
const SUB_STEP_S: f64 = 5.0;
/// The most sub-steps in a step. In longer steps the sub-steps get longer.
const MAX_SUB_STEPS: f64 = 100_000.0;
/// Seconds of healthy running before the first reading, so that the pump is warm at the first reading.
const WARM_UP_S: f64 = 86_400.0;

/// How the pump is used, and its environment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Plan {
    /// When it runs.
    pub runs: RunPattern,
    /// The ambient temperature.
    pub ambient: AmbientPlan,
}

/// A simulated variable-speed pump. A clone continues with the same readings.
#[derive(Debug, Clone)]
pub struct Pump {
    machine: Machine,
    demand: Demand,
    ambient: Ambient,
    sensors: Sensors,
    start: Timestamp,
    elapsed_s: f64,
    fault: Option<(Onset, f64)>,
}

/// One reading of the pump.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The time.
    pub at: Timestamp,
    /// How far the fault has grown, 0 to 1.
    pub growth: f64,
    values: [f64; COUNT],
}

impl Pump {
    /// Returns a healthy pump that has run for a day before `start`.
    pub fn new(design: Design, plan: Plan, seed: u64, start: Timestamp) -> Self {
        let mut pump = Self {
            demand: Demand::new(plan.runs, &design, rng_stream(seed, 11)),
            ambient: Ambient::new(plan.ambient, &design, rng_stream(seed, 12)),
            sensors: Sensors::new(design.noise_factor, rng_stream(seed, 13)),
            machine: Machine::new(design, rng_stream(seed, 14)),
            start,
            elapsed_s: -WARM_UP_S,
            fault: None,
        };
        pump.advance(WARM_UP_S);
        pump.elapsed_s = 0.0;
        pump
    }

    /// Starts a fault in place of the current one. The time until its onset counts from now. With `None` the machine is
    /// healthy at once, and its temperatures follow with their lags.
    pub fn set_fault(&mut self, fault: Option<Onset>) {
        self.sensors.release();
        self.fault = fault.map(|onset| (onset, self.elapsed_s));
    }

    /// Advances by `dt_s` seconds and reads the sensors. Does not advance if `dt_s` is not positive or not finite.
    pub fn step(&mut self, dt_s: f64) -> Reading {
        self.advance(if dt_s.is_finite() { dt_s.max(0.0) } else { 0.0 });
        let growth = self.growth();
        let active = self.fault.filter(|_| growth > 0.0).map(|(onset, _)| (onset.fault, growth));
        let values = self.sensors.read(&self.machine.signals(self.ambient.celsius()), active);
        Reading { at: self.now(), growth, values }
    }

    fn now(&self) -> Timestamp {
        self.start.plus_ms((self.elapsed_s * 1_000.0).round() as i64)
    }

    fn growth(&self) -> f64 {
        self.fault.map_or(0.0, |(onset, since_s)| onset.growth(self.elapsed_s - since_s))
    }

    fn advance(&mut self, dt_s: f64) {
        let sub_steps = (dt_s / SUB_STEP_S).ceil().min(MAX_SUB_STEPS);
        for _ in 0..sub_steps as u64 {
            let sub_step_s = dt_s / sub_steps;
            self.elapsed_s += sub_step_s;
            let at = self.now();
            let demand = self.demand.advance(at, sub_step_s);
            let ambient = self.ambient.advance(at, self.elapsed_s, sub_step_s);
            let growth = self.growth();
            let surroundings = Surroundings {
                demand,
                ambient_c: ambient,
                process_c: self.ambient.process_c(),
                fault: self.fault.map(|(onset, _)| (onset.fault, growth)),
            };
            self.machine.advance(&surroundings, sub_step_s);
        }
    }
}

impl Reading {
    /// Returns a sensor's value, not rounded; `None` if there is no such sensor.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        let index = QUANTITIES.iter().position(|measured| *measured == quantity)?;
        Some(self.values[index])
    }

    /// Returns the samples for this profile, in its order and resolution. Channels that the pump does not measure are
    /// missing.
    pub fn samples(&self, profile: &Profile) -> Vec<Sample> {
        let sample = |channel: &volute_plant::Channel| match self.value(channel.quantity) {
            Some(value) => channel.sample(at_resolution(value, channel.resolution)),
            None => Sample::Missing,
        };
        profile.channels().iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: f64 = 86_400.0;

    fn monday() -> Timestamp {
        "2026-03-02T00:00:00Z".parse().expect("a time")
    }

    fn pump(plan: Plan, seed: u64) -> Pump {
        Pump::new(Design::drawn(seed), plan, seed, monday())
    }

    fn values(pump: &mut Pump, quantity: Quantity, readings: usize, interval_s: f64) -> Vec<f64> {
        (0..readings).map(|_| pump.step(interval_s).value(quantity).expect("measured")).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_seed_gives_the_same_readings_and_another_seed_others() {
        let readings = |seed| {
            let mut pump = pump(Plan::default(), seed);
            (0..100).map(|_| pump.step(60.0)).collect::<Vec<_>>()
        };
        assert_eq!(readings(3), readings(3));
        assert_ne!(readings(3), readings(4));
    }

    #[test]
    fn the_profile_has_a_channel_for_each_sensor_and_every_sample_is_good() {
        let profile = Profile::from_toml(PROFILE).expect("valid");
        assert_eq!(profile.channels().len(), COUNT);
        let mut standby = pump(Plan { runs: RunPattern::Standby, ..Plan::default() }, 1);
        for _ in 0..5_000 {
            let samples = standby.step(60.0).samples(&profile);
            assert!(samples.iter().all(|sample| sample.good().is_some()), "{samples:?}");
        }
    }

    #[test]
    fn demand_stays_in_its_range_and_is_lower_at_night_and_at_the_weekend() {
        let mut pump = pump(Plan::default(), 1);
        let speeds = values(&mut pump, Quantity::RotationalSpeed, 7 * 1_440, 60.0);
        assert!(speeds.iter().all(|rpm| (0.59 * 1_480.0..1.01 * 1_480.0).contains(rpm)));
        let at = |day: usize, hour: usize| mean(&speeds[day * 1_440 + hour * 60..][..120]);
        assert!(at(1, 3) + 150.0 < at(1, 9), "{} {}", at(1, 3), at(1, 9));
        let day = |day: usize| mean(&speeds[day * 1_440..][..1_440]);
        assert!(day(5) + 40.0 < day(2), "{} {}", day(5), day(2));
    }

    #[test]
    fn a_season_and_a_hot_day_warm_the_ambient_and_the_bearing_by_as_much() {
        let days = |ambient| {
            let mut pump = pump(Plan { ambient, ..Plan::default() }, 2);
            let readings: Vec<Reading> = (0..28 * 24).map(|_| pump.step(3_600.0)).collect();
            let by_day = |quantity, day: usize| {
                let values: Vec<f64> = readings[24 * day..][..24].iter().filter_map(|r| r.value(quantity)).collect();
                mean(&values)
            };
            [1, 10, 12, 27]
                .map(|day| [by_day(Quantity::AmbientTemperature, day), by_day(Quantity::BearingTemperature, day)])
        };
        let plain = days(AmbientPlan::default());
        let season = days(AmbientPlan { season_k: 15.0, ..AmbientPlan::default() });
        let hot = days(AmbientPlan { hot_day: Some((10, 8.0)), ..AmbientPlan::default() });
        for channel in 0..2 {
            let warmer = |other: [[f64; 2]; 4], day: usize| other[day][channel] - plain[day][channel];
            assert!((warmer(season, 3) - 15.0 * 27.5 / 28.0).abs() < 0.3, "{}", warmer(season, 3));
            assert!((warmer(hot, 1) - 8.0).abs() < 0.6, "{}", warmer(hot, 1));
            assert!(warmer(hot, 0).abs() < 0.2 && warmer(hot, 2).abs() < 0.2);
        }
    }

    #[test]
    fn a_standby_pump_stands_most_of_the_time_and_coasts_down_over_minutes() {
        let mut pump = pump(Plan { runs: RunPattern::Standby, ..Plan::default() }, 5);
        let speeds = values(&mut pump, Quantity::RotationalSpeed, 14 * 1_440, 60.0);
        let running = speeds.iter().filter(|rpm| **rpm > 800.0).count() as f64 / speeds.len() as f64;
        assert!((0.04..0.35).contains(&running), "{running}");
        let coasting = speeds.windows(4).filter(|w| w[0] > 800.0 && w[1] < 800.0 && w[2] > 30.0 && w[2] < w[1]).count();
        assert!(coasting >= 5, "{coasting}");
    }

    #[test]
    fn each_fault_changes_its_own_channel_as_it_says() {
        let difference = |fault: Fault, hours: usize| {
            let mut healthy = pump(Plan::default(), 7);
            let mut faulty = healthy.clone();
            faulty.set_fault(Some(Onset::typical(fault, 0.0)));
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for _ in 0..hours * 60 {
                a.push(healthy.step(60.0).value(fault.channel()).expect("measured"));
                b.push(faulty.step(60.0).value(fault.channel()).expect("measured"));
            }
            (a, b)
        };
        let (a, b) = difference(Fault::VibrationDoubled, 3);
        assert!((mean(&b[60..]) / mean(&a[60..]) - 2.0).abs() < 0.05 && b[0] < 1.1 * a[0]);
        let (a, b) = difference(Fault::FlowLoss, 1);
        assert!((mean(&b) / mean(&a) - 0.9).abs() < 0.002);
        let (a, b) = difference(Fault::BearingHeat, 96);
        assert!((mean(&b[90 * 60..]) - mean(&a[90 * 60..]) - 12.0).abs() < 0.1);
        let half = mean(&b[36 * 60 - 30..][..60]) - mean(&a[36 * 60 - 30..][..60]);
        assert!((half - 6.0).abs() < 0.3, "{half}");
        let (_, b) = difference(Fault::Frozen(Quantity::Vibration), 2);
        assert!(b.iter().all(|value| *value == b[0]));
    }

    #[test]
    fn doubled_noise_doubles_the_spread_around_the_true_value() {
        let spread = |fault: Option<Onset>| {
            let mut pump = pump(Plan::default(), 9);
            pump.set_fault(fault);
            let differences: Vec<f64> = (0..4_000)
                .map(|_| {
                    let read = pump.step(60.0).value(Quantity::Flow).expect("measured");
                    read - pump.machine.signals(0.0)[3]
                })
                .collect();
            mean(&differences.iter().map(|d| d * d).collect::<Vec<_>>()).sqrt()
        };
        let noisy = spread(Some(Onset::typical(Fault::NoiseDoubled(Quantity::Flow), 0.0)));
        assert!((noisy / spread(None) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn readings_of_any_interval_are_of_the_same_pump() {
        let day = |interval_s: f64| {
            let mut pump = pump(Plan::default(), 1);
            let readings = (DAY_S / interval_s) as usize;
            mean(&values(&mut pump, Quantity::BearingTemperature, readings, interval_s))
        };
        let minute = day(60.0);
        for interval_s in [5.0, 600.0, 3_600.0] {
            assert!((day(interval_s) - minute).abs() < 1.5, "{interval_s}: {} {minute}", day(interval_s));
        }
        let mut still = pump(Plan::default(), 1);
        let before = still.step(0.0).at;
        for invalid in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(still.step(invalid).at, before);
        }
    }
}
