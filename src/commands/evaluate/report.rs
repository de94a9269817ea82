//! The figures of an evaluation, as text and as JSON.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};
use volute_plant::Profile;

use super::confusion::{ConfusionMatrix, MIN_STRETCH_ROWS, Stretches};
use crate::cli::Format;

/// The figures of published predictions (F1, false alarm rate in %, missed alarm rate in %), on all 34 runs of SKAB and
/// on the 18 of them that are used here (`../shared/skab/README.md`).
const PUBLISHED: [(&str, [f64; 3], [f64; 3]); 7] = [
    ("Conv-AE", [0.78, 13.55, 28.02], [0.75, 15.63, 31.79]),
    ("MSET", [0.78, 39.73, 14.13], [0.73, 47.51, 18.28]),
    ("T2 + Q (PCA)", [0.76, 26.62, 24.92], [0.68, 35.04, 32.27]),
    ("LSTM-AE", [0.74, 29.96, 25.92], [0.67, 32.83, 34.72]),
    ("T2", [0.66, 19.21, 42.60], [0.58, 27.92, 49.09]),
    ("LSTM", [0.54, 12.54, 59.53], [0.45, 14.86, 67.26]),
    ("Isolation forest", [0.29, 2.56, 82.89], [0.21, 3.69, 88.13]),
];

/// The result of each run with each seed.
#[derive(Debug, Default)]
pub struct Report {
    runs: Vec<(u64, String, ConfusionMatrix, Stretches)>,
    /// Whether the published figures are for this pump.
    is_published: bool,
}

impl Report {
    /// Returns an empty report for recordings of this profile.
    pub fn of(profile: &Profile) -> Self {
        Self { runs: Vec::new(), is_published: profile.name() == "skab" }
    }

    /// Adds the result of one run.
    pub fn add(&mut self, seed: u64, name: String, confusion: ConfusionMatrix, stretches: Stretches) {
        self.runs.push((seed, name, confusion, stretches));
    }

    /// Prints the figures of each run, of all runs together, their spread over the seeds, and the published figures.
    pub fn print(&self, format: Format, output: &mut dyn Write) -> Result<()> {
        match format {
            Format::Text => self.print_text(output),
            Format::Json => Ok(writeln!(output, "{:#}", self.json())?),
        }
    }

    fn seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = self.runs.iter().map(|run| run.0).collect();
        seeds.dedup();
        seeds
    }

    fn pooled(&self, seed: u64) -> ConfusionMatrix {
        let of_seed = self.runs.iter().filter(|run| run.0 == seed);
        of_seed.fold(ConfusionMatrix::default(), |sum, (_, _, confusion, _)| sum.plus(*confusion))
    }

    fn stretches(&self, seed: Option<u64>) -> Stretches {
        let of_seed = self.runs.iter().filter(|run| Some(run.0) == seed);
        of_seed.fold(Stretches::default(), |sum, (.., stretches)| sum.plus(*stretches))
    }

    fn print_text(&self, output: &mut dyn Write) -> Result<()> {
        let mut line = |name: &str, [f1, far, mar]: [f64; 3]| {
            writeln!(output, "{name:<36} F1 {f1:.3}  FAR {far:6.2} %  MAR {mar:6.2} %")
        };
        let seeds = self.seeds();
        for (seed, name, confusion, _) in &self.runs {
            if Some(seed) == seeds.first() {
                line(name, figures(*confusion))?;
            }
        }
        for seed in &seeds {
            let name = if seeds.len() == 1 { "pooled".to_owned() } else { format!("pooled, seed {seed}") };
            line(&name, figures(self.pooled(*seed)))?;
        }
        if seeds.len() > 1 {
            let [mean, spread] = self.spread(&seeds);
            line("mean of the seeds", mean)?;
            line("standard deviation over the seeds", spread)?;
        }
        for (name, all_runs, these_runs) in PUBLISHED.into_iter().filter(|_| self.is_published) {
            line(&format!("published, 34 runs: {name}"), all_runs)?;
            line(&format!("published, these 18: {name}"), these_runs)?;
        }
        let Stretches { total, found } = self.stretches(seeds.first().copied());
        writeln!(output, "{found} of {total} stretches of {MIN_STRETCH_ROWS} anomalous rows or more found")?;
        Ok(())
    }

    /// Returns the mean and the standard deviation of each figure over the seeds.
    fn spread(&self, seeds: &[u64]) -> [[f64; 3]; 2] {
        let all: Vec<[f64; 3]> = seeds.iter().map(|seed| figures(self.pooled(*seed))).collect();
        let count = all.len() as f64;
        let mean: [f64; 3] = std::array::from_fn(|i| all.iter().map(|figures| figures[i]).sum::<f64>() / count);
        let deviation = |i: usize| {
            let squares = all.iter().map(|figures| (figures[i] - mean[i]).powi(2));
            (squares.sum::<f64>() / (count - 1.0).max(1.0)).sqrt()
        };
        [mean, std::array::from_fn(deviation)]
    }

    fn json(&self) -> Value {
        let object = |confusion: ConfusionMatrix| {
            let [f1, far, mar] = figures(confusion);
            json!({ "f1": f1, "far_percent": far, "mar_percent": mar, "rows": confusion })
        };
        let run = |(seed, name, confusion, stretches): &(u64, String, ConfusionMatrix, Stretches)| {
            let mut run = object(*confusion);
            run["stretches"] = json!(stretches);
            run["run"] = json!(name);
            run["seed"] = json!(seed);
            run
        };
        let pooled = self.seeds().into_iter().map(|seed| {
            let mut pooled = object(self.pooled(seed));
            pooled["seed"] = json!(seed);
            pooled["stretches"] = json!(self.stretches(Some(seed)));
            pooled
        });
        json!({ "runs": self.runs.iter().map(run).collect::<Vec<_>>(), "pooled": pooled.collect::<Vec<_>>() })
    }
}

fn figures(confusion: ConfusionMatrix) -> [f64; 3] {
    [confusion.f1(), confusion.false_alarms_percent(), confusion.missed_percent()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report { is_published: true, ..Report::default() };
        for (seed, found) in [(1, 8), (1, 4), (2, 6), (2, 6)] {
            let confusion = ConfusionMatrix {
                true_positive: found,
                false_positive: 1,
                false_negative: 10 - found,
                true_negative: 9,
            };
            report.add(seed, format!("run/{found}.csv"), confusion, Stretches { total: 2, found: 1 });
        }
        report
    }

    #[test]
    fn seeds_are_pooled_separately_and_their_spread_is_printed() {
        let report = report();
        assert_eq!(report.seeds(), [1, 2]);
        assert_eq!(report.pooled(1), report.pooled(2));
        let mut text = Vec::new();
        report.print(Format::Text, &mut text).expect("printed");
        let text = String::from_utf8(text).expect("text");
        for part in ["2 of 4 stretches", "run/8.csv", "pooled, seed 2", "standard deviation", "these 18: Conv-AE"] {
            assert!(text.contains(part), "{text} has {part}");
        }
        assert!(!text.contains("run/6.csv"), "only the first seed's runs are listed");
    }

    #[test]
    fn json_has_every_run_and_every_pool() {
        let mut text = Vec::new();
        report().print(Format::Json, &mut text).expect("printed");
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            (value["runs"].as_array().map(Vec::len), value["pooled"].as_array().map(Vec::len)),
            (Some(4), Some(2))
        );
        assert_eq!(value["runs"][0]["rows"]["true_positive"], 8);
        assert_eq!(value["pooled"][1]["far_percent"], 10.0);
    }
}
