//! The flags of `volute simulate`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use serde::{Deserialize, de::IntoDeserializer, de::value::Error as NoQuantity};
use volute_plant::{Profile, Quantity, Timestamp};
use volute_simulator::{Design, Fault, LoadPlan, Severity};

use super::values::{whole_from_0, whole_from_1};
use crate::profiles;

/// The arguments of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The profile, whose channels are written: centrifugal, skab, or a path such as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// The fault; by default the pump stays healthy.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Fault::NAMES))]
    fault: Option<String>,
    /// The sensor of a sensor fault: a channel, such as Flow_Rate_L_min, or a quantity, such as flow.
    #[arg(long, value_name = "NAME", requires = "fault")]
    channel: Option<String>,
    /// The severity of the fault: 0 is none, 0.2 subtle, 1 drastic.
    #[arg(long, value_name = "0..1", default_value = "0.8", value_parser = severity)]
    pub severity: Severity,
    /// The seed of the random numbers for the load, the noise and the drawn pump.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_from_0)]
    pub seed: u64,
    /// Readings to write, one for each interval of the profile.
    #[arg(long, value_name = "N", default_value = "3600", value_parser = whole_from_1)]
    pub rows: NonZeroUsize,
    /// The load plan.
    #[arg(long, value_name = "PLAN", default_value = "steps")]
    load: Load,
    /// The pump's design.
    #[arg(long, value_name = "WHICH", default_value = "drawn")]
    design: Which,
    /// The time of the first reading. The hour matters: ambient temperature is highest at 15:00 UTC.
    #[arg(long, value_name = "TIME", default_value = "2026-03-02T09:00:00Z")]
    pub start: Timestamp,
    /// The recording to write (CSV); the file must not exist.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A plot of the recording to write (SVG); the file must not exist.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Load {
    /// Always the pump's duty flow, for which it was chosen.
    Steady,
    /// A new level, 75 to 110 % of the duty flow, every few minutes.
    Steps,
    /// Levels as in `steps`, with stops and starts in between.
    Starts,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// The design of the data sheet.
    Rated,
    /// A design with tolerances and a duty flow that are drawn at random with the seed.
    Drawn,
}

impl SimulateArgs {
    /// Returns the fault. An error says what is allowed.
    pub fn fault(&self) -> Result<Option<Fault>, String> {
        let Some(name) = &self.fault else { return Ok(None) };
        let channel = self.channel.as_deref().map(|name| self.quantity(name)).transpose()?;
        let fault = Fault::parse(name, channel).map_err(|error| match channel {
            None => format!("{error}; --channel takes one of {}", self.channels()),
            Some(_) => error.to_string(),
        })?;
        Ok(Some(fault))
    }

    /// Returns the load plan.
    pub fn load(&self) -> LoadPlan {
        match self.load {
            Load::Steady => LoadPlan::Steady,
            Load::Steps => LoadPlan::Steps,
            Load::Starts => LoadPlan::Starts,
        }
    }

    /// Returns the pump's design.
    pub fn design(&self) -> Design {
        match self.design {
            Which::Rated => Design::rated(),
            Which::Drawn => Design::drawn(self.seed),
        }
    }

    /// Returns the quantity of the channel with this name, or the quantity with this name if a channel measures it.
    fn quantity(&self, name: &str) -> Result<Quantity, String> {
        if let Some(channel) = self.profile.channels().iter().find(|channel| channel.name == name) {
            return Ok(channel.quantity);
        }
        let quantity: Result<Quantity, NoQuantity> = Quantity::deserialize(name.into_deserializer());
        let measured = |quantity: &Quantity| self.profile.channels().iter().any(|c| c.quantity == *quantity);
        quantity.ok().filter(measured).ok_or_else(|| format!("no such channel: {name:?}; allowed: {}", self.channels()))
    }

    fn channels(&self) -> String {
        self.profile.channel_names().collect::<Vec<_>>().join(", ")
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    let severity = text.parse().ok().and_then(|value| Severity::new(value).ok());
    severity.ok_or_else(|| "allowed: a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use volute_simulator::SensorFault;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(line: &str) -> SimulateArgs {
        match Cli::read(line.split(' ').map(Into::into)).expect(line).command {
            Command::Simulate(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_channel_is_given_by_its_name_or_its_quantity() {
        for name in ["flow", "Flow_Rate_L_min"] {
            let args = args(&format!("volute simulate --out a.csv --fault sensor_stuck --channel {name}"));
            assert_eq!(args.fault(), Ok(Some(Fault::Sensor(SensorFault::Stuck, Quantity::Flow))), "{name}");
        }
    }

    #[test]
    fn the_defaults_are_a_healthy_drawn_pump_at_a_fixed_time() {
        let args = args("volute simulate --out a.csv");
        assert_eq!((args.fault(), args.load(), args.design()), (Ok(None), LoadPlan::Steps, Design::drawn(1)));
        assert_eq!(args.start.to_string(), "2026-03-02T09:00:00.000Z");
    }
}
