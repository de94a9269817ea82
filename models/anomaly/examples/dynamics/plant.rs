//! The simulated pumps, and the faults that are put into their readings.

use std::{error::Error, f64::consts::TAU, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use volute_plant::{Profile, Quantity, Sample, Timestamp};
use volute_simulator::{Design, LoadPlan, Simulator, variable_speed};

/// A kind of pump, and how it is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plant {
    /// Speed follows the demand of day and week.
    VariableSpeed { interval_s: f64 },
    /// Constant speed; a new load every 45 s to 4 minutes; a reading per second.
    LoadSteps,
}

/// The times of a trial, in hours.
#[derive(Debug, Clone, Copy)]
pub struct Hours {
    pub commissioning: f64,
    pub training: f64,
    pub all: f64,
    pub onsets: [f64; 3],
    pub watch: f64,
}

/// A fault that leaves every level where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Flow swings by this share, with a period of some readings.
    Hunting(f64),
    /// The noise of this sensor doubles.
    Noise(Quantity),
    /// The vibration sensor keeps its value.
    Stuck,
    /// The flow follows with a lag of four readings.
    Lag,
}

pub const FAULTS: [Fault; 6] = [
    Fault::Hunting(0.02),
    Fault::Hunting(0.01),
    Fault::Noise(Quantity::Flow),
    Fault::Noise(Quantity::DischargePressure),
    Fault::Stuck,
    Fault::Lag,
];

/// One reading, not rounded.
#[derive(Debug, Clone)]
pub struct Row {
    pub at: Timestamp,
    pub values: Vec<f64>,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::Hunting(share) if share > 0.015 => "hunting 2 %",
            Fault::Hunting(_) => "hunting 1 %",
            Fault::Noise(Quantity::Flow) => "flow noise doubled",
            Fault::Noise(_) => "pressure noise doubled",
            Fault::Stuck => "vibration stuck",
            Fault::Lag => "flow lags by 4 readings",
        }
    }
}

impl Plant {
    pub fn parse(name: &str) -> Option<Plant> {
        let all = [5.0, 60.0].map(|interval_s| Plant::VariableSpeed { interval_s });
        all.into_iter().chain([Plant::LoadSteps]).find(|plant| plant.name() == name)
    }

    pub fn name(self) -> String {
        match self {
            Plant::VariableSpeed { interval_s } => format!("variable-speed-{interval_s}s"),
            Plant::LoadSteps => "load-steps-1s".to_owned(),
        }
    }

    pub fn interval_s(self) -> f64 {
        match self {
            Plant::VariableSpeed { interval_s } => interval_s,
            Plant::LoadSteps => 1.0,
        }
    }

    pub fn hours(self) -> Hours {
        let onsets = [30.5, 62.4, 105.6];
        match self {
            Plant::VariableSpeed { interval_s } if interval_s < 30.0 => {
                Hours { commissioning: 24.0, training: 72.0, all: 168.0, onsets, watch: 12.0 }
            }
            Plant::VariableSpeed { .. } => {
                Hours { commissioning: 24.0, training: 336.0, all: 336.0, onsets, watch: 12.0 }
            }
            Plant::LoadSteps => {
                Hours { commissioning: 8.0, training: 17.0, all: 48.0, onsets: [9.5, 13.1, 17.7], watch: 3.0 }
            }
        }
    }

    pub fn profile(self) -> Result<Profile, Box<dyn Error>> {
        let text = match self {
            Plant::VariableSpeed { interval_s } => {
                let interval = format!("interval_ms = {}", interval_s * 1e3);
                variable_speed::PROFILE.replace("interval_ms = 60000", &interval)
            }
            Plant::LoadSteps => include_str!("../../../../config/profiles/centrifugal.toml").to_owned(),
        };
        Ok(Profile::from_toml(&text)?)
    }

    /// Returns the readings of a healthy pump.
    pub fn record(self, profile: &Profile, seed: u64, hours: f64) -> Result<Vec<Row>, Box<dyn Error>> {
        let start: Timestamp = "2026-03-02T00:00:00Z".parse()?;
        let readings = (hours * 3_600.0 / self.interval_s()) as usize;
        let quantities: Vec<Quantity> = profile.channels().iter().map(|channel| channel.quantity).collect();
        let mut rows = Vec::with_capacity(readings);
        let mut push = |at: Timestamp, value: &dyn Fn(Quantity) -> Option<f64>| {
            let values: Option<Vec<f64>> = quantities.iter().map(|quantity| value(*quantity)).collect();
            rows.extend(values.map(|values| Row { at, values }));
        };
        match self {
            Plant::VariableSpeed { interval_s } => {
                let design = variable_speed::Design::drawn(seed);
                let mut pump = variable_speed::Pump::new(design, variable_speed::Plan::default(), seed, start);
                for _ in 0..readings {
                    let reading = pump.step(interval_s);
                    push(reading.at, &|quantity| reading.value(quantity));
                }
            }
            Plant::LoadSteps => {
                let mut pump = Simulator::new(Design::drawn(seed), LoadPlan::Steps, seed, start);
                for index in 1..=readings {
                    let step = pump.step(1.0);
                    push(start.plus_ms(1_000 * index as i64), &|quantity| step.value(quantity));
                }
            }
        }
        Ok(rows)
    }

    /// Puts a fault into readings, from the first on.
    pub fn with_fault(self, profile: &Profile, rows: &[Row], fault: Fault, seed: u64) -> Vec<Row> {
        let mut rows = rows.to_vec();
        let index_of = |quantity| profile.channels().iter().position(|channel| channel.quantity == quantity);
        let affected = match fault {
            Fault::Hunting(_) | Fault::Lag => Quantity::Flow,
            Fault::Noise(quantity) => quantity,
            Fault::Stuck => Quantity::Vibration,
        };
        let Some(channel) = index_of(affected) else { return rows };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let first = rows.first().map_or(0.0, |row| row.values[channel]);
        let mut lagged = first;
        for (index, row) in rows.iter_mut().enumerate() {
            let value = &mut row.values[channel];
            match fault {
                Fault::Hunting(share) => *value *= 1.0 + share * (TAU * index as f64 / self.hunting_readings()).sin(),
                // Added to the noise that is there already, it makes twice as much.
                Fault::Noise(quantity) => *value += 3f64.sqrt() * self.noise(quantity) * normal(&mut rng),
                Fault::Stuck => *value = first,
                Fault::Lag => {
                    lagged += (*value - lagged) * (1.0 - (-0.25f64).exp());
                    *value = lagged;
                }
            }
        }
        rows
    }

    /// The period of hunting, in readings.
    fn hunting_readings(self) -> f64 {
        if self.interval_s() < 30.0 { 12.0 } else { 10.0 }
    }

    /// The standard deviation of a sensor's noise.
    fn noise(self, quantity: Quantity) -> f64 {
        match (self, quantity) {
            (Plant::VariableSpeed { .. }, Quantity::Flow) => 15.0,
            (Plant::VariableSpeed { .. }, _) => 0.015,
            (Plant::LoadSteps, Quantity::Flow) => 5.0,
            (Plant::LoadSteps, _) => 0.02,
        }
    }
}

impl Row {
    /// Returns the samples in the resolution of the profile.
    pub fn samples(&self, profile: &Profile) -> Arc<[Sample]> {
        let round = |(channel, value): (&volute_plant::Channel, &f64)| {
            channel.sample((value / channel.resolution).round() * channel.resolution)
        };
        profile.channels().iter().zip(&self.values).map(round).collect()
    }
}

fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random_range(0.0..1.0));
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}
