//! The figures of the variable-speed plant, as text and as JSON.

use std::{io::Write, num::NonZeroUsize};

use anyhow::Result;
use serde_json::{Value, json};
use volute_plant::Profile;

use super::trial::{Trial, faults};
use crate::cli::Format;

/// What was detected in one half of a healthy pump's days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Half {
    /// Days in which it was scored.
    pub days: f64,
    /// Windows that were scored.
    pub windows: usize,
    /// Anomalous windows.
    pub anomalous: usize,
    /// Episodes.
    pub episodes: usize,
}

impl Half {
    fn plus(self, other: Self) -> Self {
        Self {
            days: self.days + other.days,
            windows: self.windows + other.windows,
            anomalous: self.anomalous + other.anomalous,
            episodes: self.episodes + other.episodes,
        }
    }

    /// Returns the episodes per pump-day; none if no window was scored.
    fn per_day(self) -> Option<f64> {
        (self.windows > 0).then(|| self.episodes as f64 / self.days)
    }

    fn anomalous_percent(self) -> Option<f64> {
        (self.windows > 0).then(|| 100.0 * self.anomalous as f64 / self.windows as f64)
    }
}

/// The results of one pump.
#[derive(Debug, Clone)]
pub struct PumpResult {
    /// Its seed.
    pub seed: u64,
    /// Days until it was commissioned; none if it was never commissioned.
    pub first_detection_days: Option<f64>,
    /// The halves of its days.
    pub halves: [Half; 2],
    /// For each channel, the number of false episodes in whose first window it has the largest contribution.
    pub named: Vec<usize>,
    /// Its faults.
    pub trials: Vec<Trial>,
}

impl PumpResult {
    /// Returns the result of a pump that was not scored.
    pub fn new(profile: &Profile, seed: u64) -> Self {
        let named = vec![0; profile.channels().len()];
        Self { seed, first_detection_days: None, halves: [Half::default(); 2], named, trials: Vec::new() }
    }
}

/// The results of all pumps.
pub struct Report {
    channels: Vec<String>,
    days: usize,
    results: Vec<(f64, PumpResult)>,
}

/// The trials of one fault.
struct FaultSummary {
    name: &'static str,
    trials: usize,
    /// The seconds until the fault was found, ascending, of the trials in which it was found.
    delays_s: Vec<f64>,
    named_first: usize,
    episodes_per_day: f64,
}

impl FaultSummary {
    fn median_s(&self) -> Option<f64> {
        // A trial in which the fault was not found counts as later than all others.
        self.delays_s.get(self.trials / 2).copied()
    }

    /// Returns the longest delay; none if a trial did not find the fault.
    fn worst_s(&self) -> Option<f64> {
        self.delays_s.last().copied().filter(|_| self.delays_s.len() == self.trials)
    }
}

impl Report {
    /// Returns an empty report.
    pub fn new(profile: &Profile, days: NonZeroUsize) -> Self {
        let channels = profile.channel_names().map(str::to_owned).collect();
        Self { channels, days: days.get(), results: Vec::new() }
    }

    /// Adds the result of one pump that was commissioned for this many hours.
    pub fn add(&mut self, hours: f64, result: PumpResult) {
        self.results.push((hours, result));
    }

    /// Prints the figures for each length of commissioning.
    pub fn print(&self, format: Format, output: &mut dyn Write) -> Result<()> {
        let mut lengths: Vec<f64> = Vec::new();
        for (hours, _) in &self.results {
            if !lengths.contains(hours) {
                lengths.push(*hours);
            }
        }
        match format {
            Format::Text => lengths.iter().try_for_each(|hours| self.print_text(*hours, output)),
            Format::Json => {
                let values: Vec<Value> = lengths.iter().map(|hours| self.json(*hours)).collect();
                Ok(writeln!(output, "{:#}", json!({ "plant": "variable-speed", "commissioning": values }))?)
            }
        }
    }

    fn pumps(&self, hours: f64) -> Vec<&PumpResult> {
        self.results.iter().filter(|result| result.0 == hours).map(|(_, pump)| pump).collect()
    }

    /// Returns "days 2 to 14" and "days 15 to 28" for 28 days.
    fn half_names(&self) -> [String; 2] {
        let half = self.days / 2;
        [format!("days 2 to {half}"), format!("days {} to {}", half + 1, self.days)]
    }

    fn print_text(&self, hours: f64, output: &mut dyn Write) -> Result<()> {
        let pumps = self.pumps(hours);
        let first_days: Vec<f64> = pumps.iter().filter_map(|pump| pump.first_detection_days).collect();
        writeln!(output, "{} pumps, each commissioned for {hours} h of running", pumps.len())?;
        if first_days.is_empty() {
            return Ok(writeln!(output, "  no pump was commissioned: too few windows")?);
        }
        let latest = first_days.iter().copied().fold(0.0, f64::max);
        writeln!(output, "  {} of them scored, the last from day {latest:.1} on", first_days.len())?;
        for (half, name) in self.half_names().iter().enumerate() {
            let sum = pumps.iter().fold(Half::default(), |sum, pump| sum.plus(pump.halves[half]));
            let by_pump: Vec<usize> = pumps.iter().map(|pump| pump.halves[half].episodes).collect();
            writeln!(
                output,
                "  {name:<13} {:.3} false episodes per pump-day, {:.2} % of windows anomalous; by pump {by_pump:?}",
                sum.per_day().unwrap_or(f64::NAN),
                sum.anomalous_percent().unwrap_or(f64::NAN),
            )?;
        }
        let named: Vec<String> =
            self.named(&pumps).iter().map(|(channel, episodes)| format!("{channel} {episodes}")).collect();
        if !named.is_empty() {
            writeln!(output, "  named first in them: {}", named.join(", "))?;
        }
        for fault in summaries(&pumps) {
            let hours =
                |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |s| format!("{:.2} h", s / 3_600.0));
            writeln!(
                output,
                "  {:<18} found {:>3} of {:<3} median {:>8}, worst {:>8}; right channel first {:>3}; {:.1} episodes a day",
                fault.name,
                fault.delays_s.len(),
                fault.trials,
                hours(fault.median_s()),
                hours(fault.worst_s()),
                fault.named_first,
                fault.episodes_per_day,
            )?;
        }
        Ok(())
    }

    /// Returns the channels that are named first in false episodes, the most frequent one first.
    fn named(&self, pumps: &[&PumpResult]) -> Vec<(&str, usize)> {
        let count = |index: usize| pumps.iter().map(|pump| pump.named[index]).sum();
        let mut named: Vec<(&str, usize)> =
            self.channels.iter().enumerate().map(|(index, channel)| (channel.as_str(), count(index))).collect();
        named.retain(|(_, episodes)| *episodes > 0);
        named.sort_by_key(|(_, episodes)| std::cmp::Reverse(*episodes));
        named
    }

    fn json(&self, hours: f64) -> Value {
        let pumps = self.pumps(hours);
        let half = |half: usize| {
            let sum = pumps.iter().fold(Half::default(), |sum, pump| sum.plus(pump.halves[half]));
            json!({ "days": self.half_names()[half], "pump_days": sum.days, "false_episodes": sum.episodes,
                    "false_episodes_per_pump_day": sum.per_day(), "anomalous_percent": sum.anomalous_percent(),
                    "worst_per_pump_day": pumps.iter().filter_map(|pump| pump.halves[half].per_day()).reduce(f64::max) })
        };
        let faults: Vec<Value> = summaries(&pumps)
            .iter()
            .map(|fault| {
                json!({ "fault": fault.name, "trials": fault.trials, "found": fault.delays_s.len(),
                        "median_delay_s": fault.median_s(), "worst_delay_s": fault.worst_s(),
                        "named_first": fault.named_first, "episodes_per_day": fault.episodes_per_day })
            })
            .collect();
        let named: Value = self.named(&pumps).into_iter().map(|(channel, n)| (channel.to_owned(), json!(n))).collect();
        let by_pump = pumps
            .iter()
            .map(|pump| json!({ "seed": pump.seed, "false_episodes": pump.halves.map(|half| half.episodes) }));
        let by_pump: Vec<Value> = by_pump.collect();
        let scored = pumps.iter().filter_map(|pump| pump.first_detection_days);
        json!({ "commissioning_hours": hours, "pumps": pumps.len(), "scored_pumps": scored.clone().count(),
                "last_first_detection_days": scored.reduce(f64::max), "halves": [half(0), half(1)],
                "by_pump": by_pump, "named_in_false_episodes": named, "faults": faults })
    }
}

fn summaries(pumps: &[&PumpResult]) -> Vec<FaultSummary> {
    let mut summaries = Vec::new();
    for fault in faults() {
        let trials: Vec<&Trial> =
            pumps.iter().flat_map(|pump| &pump.trials).filter(|trial| trial.fault == fault).collect();
        if trials.is_empty() {
            continue;
        }
        let mut delays_s: Vec<f64> = trials.iter().filter_map(|trial| trial.found_after_s).collect();
        delays_s.sort_by(f64::total_cmp);
        let days: f64 = trials.iter().map(|trial| trial.days).sum();
        let episodes: usize = trials.iter().map(|trial| trial.episodes).sum();
        summaries.push(FaultSummary {
            name: fault.name(),
            trials: trials.len(),
            delays_s,
            named_first: trials.iter().filter(|trial| trial.named_first).count(),
            episodes_per_day: episodes as f64 / days,
        });
    }
    summaries
}

#[cfg(test)]
mod tests {
    use volute_simulator::variable_speed::{Fault, PROFILE};

    use super::*;

    fn report() -> Report {
        let profile = Profile::from_toml(PROFILE).expect("valid");
        let mut report = Report::new(&profile, NonZeroUsize::new(28).expect("not 0"));
        for (seed, delays) in [(1, [Some(3_600.0), Some(7_200.0)]), (2, [Some(600.0), None])] {
            let mut pump = PumpResult::new(&profile, seed);
            pump.first_detection_days = Some(1.0);
            pump.halves = [Half { days: 10.0, windows: 1_000, anomalous: 10, episodes: 4 }, Half::default()];
            pump.named[3] = 4;
            for found_after_s in delays {
                let fault = Fault::FlowLoss;
                pump.trials.push(Trial {
                    fault,
                    found_after_s,
                    named_first: found_after_s.is_some(),
                    episodes: 2,
                    days: 4.0,
                });
            }
            report.add(24.0, pump);
        }
        report.add(0.25, PumpResult::new(&profile, 1));
        report
    }

    #[test]
    fn a_fault_that_was_missed_is_later_than_all_that_were_found() {
        let report = report();
        let summary = &summaries(&report.pumps(24.0))[0];
        assert_eq!((summary.trials, summary.delays_s.len(), summary.named_first), (4, 3, 3));
        assert_eq!((summary.median_s(), summary.worst_s()), (Some(7_200.0), None));
        assert_eq!(summary.episodes_per_day, 0.5);
    }

    #[test]
    fn text_and_json_say_the_same() {
        let print = |format| {
            let mut text = Vec::new();
            report().print(format, &mut text).expect("printed");
            String::from_utf8(text).expect("text")
        };
        let text = print(Format::Text);
        for part in [
            "days 2 to 14  0.400 false episodes per pump-day, 1.00 %",
            "named first in them: Flow_Rate_L_min 8",
            "found   3 of 4",
            "median   2.00 h, worst        -",
            "commissioned for 0.25 h of running\n  no pump was commissioned",
        ] {
            assert!(text.contains(part), "{part:?} is in\n{text}");
        }
        let value: Value = serde_json::from_str(&print(Format::Json)).expect("JSON");
        let day = &value["commissioning"][0];
        assert_eq!(day["halves"][0]["false_episodes_per_pump_day"], 0.4);
        assert_eq!(day["halves"][1]["false_episodes_per_pump_day"], Value::Null);
        assert_eq!((&day["faults"][0]["found"], &day["faults"][0]["worst_delay_s"]), (&json!(3), &Value::Null));
        assert_eq!(value["commissioning"][1]["scored_pumps"], 0);
    }
}
