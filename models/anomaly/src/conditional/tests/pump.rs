//! A synthetic pump for tests: variable speed by a daily and weekly demand, affinity laws, thermal lags, an ambient
//! temperature, noise. Deterministic by its seed.
//!
//! Does not share anything with the detector, nor with `volute-simulator`.

use std::{f64::consts::TAU, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use volute_plant::{Profile, Sample, Timestamp};

use crate::conditional::TimedSamples;

pub(crate) const DAY_S: f64 = 86_400.0;

/// The channels, in the profile's order.
const CHANNELS: [(&str, &str, f64); 9] = [
    ("Speed", "rotational_speed", 1.0),
    ("Bearing", "bearing_temperature", 0.01),
    ("Vibration", "vibration", 0.001),
    ("Flow", "flow", 0.01),
    ("Suction", "suction_pressure", 0.001),
    ("Discharge", "discharge_pressure", 0.001),
    ("Current", "current", 0.01),
    ("Casing", "casing_temperature", 0.01),
    ("Ambient", "ambient_temperature", 0.01),
];

pub(crate) const SPEED: usize = 0;
pub(crate) const BEARING: usize = 1;
pub(crate) const VIBRATION: usize = 2;
pub(crate) const FLOW: usize = 3;
pub(crate) const CURRENT: usize = 6;
pub(crate) const AMBIENT: usize = 8;

pub(crate) fn profile() -> Profile {
    profile_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8])
}

/// A profile of some of the channels.
pub(crate) fn profile_of(channels: &[usize]) -> Profile {
    let mut text = "name = \"test\"\ntitle = \"A pump for tests\"\ninterval_ms = 60000\n".to_owned();
    for channel in channels {
        let (name, quantity, resolution) = CHANNELS[*channel];
        text += &format!(
            "[[channels]]\nname = \"{name}\"\nquantity = \"{quantity}\"\nunit = \"unit\"\n\
             plausible = [0, 100000]\nresolution = {resolution}\n"
        );
    }
    Profile::from_toml(&text).expect("the test profile is valid")
}

/// What is wrong with the pump, from its onset on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The bearing warms by 12 K in three days.
    Bearing,
    /// The flow is 10 % lower at once.
    Flow,
    /// The vibration doubles within an hour.
    Vibration,
}

pub(crate) struct Pump {
    rng: Xoshiro256PlusPlus,
    interval_s: f64,
    time_s: f64,
    demand_drift: f64,
    valve_drift: f64,
    ambient_drift: f64,
    bearing: f64,
    casing: f64,
    /// What is wrong, and since when.
    pub fault: Option<(Fault, f64)>,
    /// Added to the ambient.
    pub ambient_rise: f64,
    /// The demand is limited to this range.
    pub demand_range: [f64; 2],
    /// Whether the pump is on.
    pub is_on: bool,
    /// By how many seconds a reading may be early or late.
    pub jitter_s: f64,
}

impl Pump {
    pub(crate) fn new(seed: u64, interval_s: f64) -> Pump {
        let mut pump = Pump {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            interval_s,
            time_s: 0.0,
            demand_drift: 0.0,
            valve_drift: 0.0,
            ambient_drift: 0.0,
            bearing: 35.0,
            casing: 30.0,
            fault: None,
            ambient_rise: 0.0,
            demand_range: [0.6, 1.0],
            is_on: true,
            jitter_s: 0.0,
        };
        // It has run for long enough to be warm.
        for _ in 0..(6.0 * 3_600.0 / interval_s) as usize {
            pump.next();
        }
        pump
    }

    /// Seconds since the start.
    pub(crate) fn time_s(&self) -> f64 {
        self.time_s
    }

    /// Returns the readings of this time.
    pub(crate) fn run(&mut self, seconds: f64) -> Vec<TimedSamples> {
        (0..(seconds / self.interval_s).round() as usize).map(|_| self.next()).collect()
    }

    pub(crate) fn next(&mut self) -> TimedSamples {
        self.time_s += self.interval_s;
        self.demand_drift = self.drift(self.demand_drift, 1_800.0, 0.015);
        self.valve_drift = self.drift(self.valve_drift, 3_600.0, 0.005);
        self.ambient_drift = self.drift(self.ambient_drift, 10_800.0, 1.0);
        let day = self.time_s / DAY_S;
        let [low, high] = self.demand_range;
        let demand = 0.8 + 0.15 * (TAU * (day - 0.3)).sin() + 0.03 * (TAU * day / 7.0).sin() + self.demand_drift;
        let speed = if self.is_on { demand.clamp(low, high) } else { 0.0 };
        let ambient = 20.0 + self.ambient_rise + 5.0 * (TAU * (day - 0.4)).sin() + self.ambient_drift;
        self.bearing = self.lag(self.bearing, ambient + 25.0 * speed * speed, 1_500.0);
        self.casing = self.lag(self.casing, ambient + 15.0 * speed * speed, 3_600.0);
        let mut values = self.sensors(speed, ambient);
        if let Some((fault, onset_s)) = self.fault {
            let since_s = (self.time_s - onset_s).max(0.0);
            match fault {
                Fault::Bearing => values[BEARING] += 12.0 * (since_s / (3.0 * DAY_S)).min(1.0),
                Fault::Flow if since_s > 0.0 => values[FLOW] *= 0.9,
                Fault::Flow => {}
                Fault::Vibration => values[VIBRATION] *= 1.0 + (since_s / 3_600.0).min(1.0),
            }
        }
        let jitter_s = self.jitter_s * (2.0 * self.rng.random::<f64>() - 1.0);
        let at = 1_773_000_000_000 + (1e3 * (self.time_s + jitter_s)) as i64;
        let samples: Arc<[Sample]> = values.into_iter().map(Sample::Good).collect();
        TimedSamples { at: Timestamp::from_millis(at).expect("a time"), samples }
    }

    fn sensors(&mut self, speed: f64, ambient: f64) -> [f64; 9] {
        let flow = 100.0 * speed * (1.0 + self.valve_drift);
        let load = speed.powi(3) * (1.0 + 0.4 * self.valve_drift);
        let resonance = 0.5 * (-((speed - 0.82) / 0.03).powi(2)).exp();
        let current = if self.is_on { 4.0 + 20.0 * load } else { 0.0 };
        [
            (2_900.0 * speed + self.noise(1.0)).max(0.0),
            self.bearing + self.noise(0.15),
            ((0.2 + 1.8 * speed * speed + resonance) * (1.0 + self.noise(0.03))).max(0.0),
            (flow + self.noise(0.4)).max(0.0),
            1.0 - 0.2 * speed * speed + self.noise(0.004),
            1.0 + 5.0 * speed * speed * (1.0 - 0.5 * self.valve_drift) + self.noise(0.02),
            (current + self.noise(0.08)).max(0.0),
            self.casing + self.noise(0.15),
            ambient + self.noise(0.05),
        ]
    }

    /// A wandering value with this time constant and standard deviation.
    fn drift(&mut self, value: f64, time_constant_s: f64, sd: f64) -> f64 {
        let kept = (-self.interval_s / time_constant_s).exp();
        kept * value + (1.0 - kept * kept).sqrt() * self.noise(sd)
    }

    fn lag(&self, value: f64, target: f64, time_constant_s: f64) -> f64 {
        target + (value - target) * (-self.interval_s / time_constant_s).exp()
    }

    /// A normally distributed value, by Box and Muller.
    fn noise(&mut self, sd: f64) -> f64 {
        let (radius, angle) = (1.0 - self.rng.random::<f64>(), self.rng.random::<f64>());
        sd * (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}
