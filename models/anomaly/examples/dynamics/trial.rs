//! One pump's trial: its residuals are computed once, and tested by each variant.

use std::error::Error;

use volute_anomaly::{
    ChannelDynamics, ConditionalBaseline, ConditionalState, DynamicsBaseline, DynamicsNetwork, DynamicsScorer,
    DynamicsState, Measure, ResidualHistory, ResidualRun, ResidualWindow, TimedSamples, Vote, WindowDynamics,
};
use volute_plant::Profile;

use crate::plant::{FAULTS, Plant, Row};

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Variant {
    Conditional,
    /// The error of the trained network alone.
    Trained,
    /// The error of a network with random weights alone.
    Untrained,
    /// Without a network: the mean distance from the window's mean alone.
    Centred,
    /// The mean change alone.
    Change,
    /// `Centred` and `Change`: all that goes without a network.
    NoNetwork,
    /// `Trained` and `Change`: the module as it is.
    Dynamics,
    ConditionalOrTrained,
    ConditionalOrNoNetwork,
    ConditionalOrDynamics,
}

pub const VARIANTS: [Variant; 10] = [
    Variant::Conditional,
    Variant::Trained,
    Variant::Untrained,
    Variant::Centred,
    Variant::Change,
    Variant::NoNetwork,
    Variant::Dynamics,
    Variant::ConditionalOrTrained,
    Variant::ConditionalOrNoNetwork,
    Variant::ConditionalOrDynamics,
];

/// What a variant did on one pump.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub false_episodes: f64,
    pub days: f64,
    /// Per fault and onset; infinite if not found.
    pub delays_min: [[f64; 3]; FAULTS.len()],
    /// Votes that held-back windows refused, of all.
    pub refused: usize,
    pub votes: usize,
}

/// One reading, measured in all ways.
#[derive(Debug, Clone)]
struct Measured {
    /// Whether the conditional detector has an open episode.
    in_episode: bool,
    /// `None` if there is no window.
    window: Option<WindowMeasures>,
}

#[derive(Debug, Clone)]
struct WindowMeasures {
    trained: WindowDynamics,
    untrained: WindowDynamics,
    /// With the mean distance from the window's mean in place of the error.
    centred: WindowDynamics,
}

/// Successive readings of one pump.
type Track = Vec<Measured>;

pub struct Trial {
    plant: Plant,
    network: String,
    channels: usize,
    commissioning: Track,
    healthy: Track,
    /// Per onset: its index in `healthy`, and a track per fault from there.
    faulty: Vec<(usize, Vec<Track>)>,
}

/// Follows a pump's readings with the conditional detector, and measures its windows.
struct Follower<'a> {
    profile: &'a Profile,
    baseline: &'a ConditionalBaseline,
    state: ConditionalState,
    history: ResidualHistory,
}

struct Scorers {
    trained: DynamicsScorer,
    untrained: DynamicsScorer,
}

impl Variant {
    pub fn name(self) -> &'static str {
        match self {
            Variant::Conditional => "conditional alone",
            Variant::Trained => "trained network",
            Variant::Untrained => "untrained network",
            Variant::Centred => "centred (no network)",
            Variant::Change => "change (no network)",
            Variant::NoNetwork => "centred or change (no network)",
            Variant::Dynamics => "**trained network or change**",
            Variant::ConditionalOrTrained => "conditional or trained network",
            Variant::ConditionalOrNoNetwork => "conditional or centred or change",
            Variant::ConditionalOrDynamics => "**conditional or trained network or change**",
        }
    }

    fn has_conditional(self) -> bool {
        use Variant::{Conditional, ConditionalOrDynamics, ConditionalOrNoNetwork, ConditionalOrTrained};
        matches!(self, Conditional | ConditionalOrTrained | ConditionalOrNoNetwork | ConditionalOrDynamics)
    }

    /// Returns the measures that it uses. A measure that it does not use is always 1, and therefore never off.
    fn measures(self, window: &WindowMeasures) -> WindowDynamics {
        use Variant::*;
        let source = match self {
            Untrained => &window.untrained,
            Centred | NoNetwork | ConditionalOrNoNetwork => &window.centred,
            _ => &window.trained,
        };
        let uses_error = !matches!(self, Change | Conditional);
        let uses_change =
            matches!(self, Change | NoNetwork | Dynamics | ConditionalOrNoNetwork | ConditionalOrDynamics);
        let measure = |measured: &Option<ChannelDynamics>| {
            measured.map(|ChannelDynamics { error, change }| ChannelDynamics {
                error: if uses_error { error } else { 1.0 },
                change: if uses_change { change } else { 1.0 },
            })
        };
        source.iter().map(measure).collect()
    }
}

/// Returns the healthy residuals of a pump to train on.
pub fn training_runs(plant: Plant, seed: u64) -> Result<Vec<ResidualRun>, Box<dyn Error>> {
    let profile = plant.profile()?;
    let hours = plant.hours();
    let rows = plant.record(&profile, seed, hours.training)?;
    let learned = samples(&profile, &rows[..at(plant, hours.commissioning)]);
    let baseline = ConditionalBaseline::learn(&profile, &learned)?;
    let mut state = ConditionalState::new(&baseline);
    let channels = profile.channels().len();
    let mut runs = vec![ResidualRun::new(channels)];
    for row in samples(&profile, &rows) {
        match state.step(&baseline, row.at, &row.samples) {
            Some(result) if !result.outside_known_range => {
                if let Some(run) = runs.last_mut() {
                    run.push(&result.residuals);
                }
            }
            _ => runs.push(ResidualRun::new(channels)),
        }
    }
    Ok(runs)
}

/// Returns the index of the reading at this hour.
fn at(plant: Plant, hour: f64) -> usize {
    (hour * 3_600.0 / plant.interval_s()) as usize
}

fn samples(profile: &Profile, rows: &[Row]) -> Vec<TimedSamples> {
    rows.iter().map(|row| TimedSamples { at: row.at, samples: row.samples(profile) }).collect()
}

impl Trial {
    pub fn new(
        plant: Plant,
        seed: u64,
        trained: &DynamicsNetwork,
        untrained: &DynamicsNetwork,
    ) -> Result<Trial, Box<dyn Error>> {
        let profile = plant.profile()?;
        let hours = plant.hours();
        let rows = plant.record(&profile, seed, hours.all)?;
        let (first, later) = rows.split_at(at(plant, hours.commissioning));
        let learned = samples(&profile, first);
        let baseline = ConditionalBaseline::learn(&profile, &learned)?;
        let channels = profile.channels().len();
        let mut scorers = Scorers { trained: DynamicsScorer::new(trained), untrained: DynamicsScorer::new(untrained) };
        let (state, history) = (ConditionalState::new(&baseline), ResidualHistory::new(channels));
        let mut follower = Follower { profile: &profile, baseline: &baseline, state, history };
        let commissioning = follower.follow(first, &mut scorers)?;
        follower.state = ConditionalState::after(&baseline, &learned);
        let (mut healthy, mut faulty, mut from) = (Vec::new(), Vec::new(), 0);
        for (nth, onset) in hours.onsets.iter().enumerate() {
            let onset = at(plant, onset - hours.commissioning);
            healthy.extend(follower.follow(&later[from..onset], &mut scorers)?);
            from = onset;
            let mut tracks = Vec::new();
            for fault in FAULTS {
                let watched = &later[onset..onset + at(plant, hours.watch)];
                let watched = plant.with_fault(&profile, watched, fault, 100 * seed + nth as u64);
                tracks.push(follower.fork().follow(&watched, &mut scorers)?);
            }
            faulty.push((onset, tracks));
        }
        healthy.extend(follower.follow(&later[from..], &mut scorers)?);
        Ok(Trial { plant, network: trained.id().to_owned(), channels, commissioning, healthy, faulty })
    }

    pub fn run(&self, variant: Variant) -> Result<Outcome, Box<dyn Error>> {
        let windows: Vec<WindowDynamics> = self
            .commissioning
            .iter()
            .filter_map(|measured| measured.window.as_ref().map(|window| variant.measures(window)))
            .collect();
        let baseline = DynamicsBaseline::learn(&self.network, self.channels, &windows)?;
        let mut state = DynamicsState::new(&baseline);
        let (mut flags, mut states) = (Vec::new(), Vec::new());
        for (index, measured) in self.healthy.iter().enumerate() {
            if self.faulty.iter().any(|(onset, _)| *onset == index) {
                states.push(state.clone());
            }
            flags.push(decide(variant, &baseline, &mut state, measured));
        }
        let starts = flags.iter().enumerate().filter(|(index, flag)| **flag && (*index == 0 || !flags[index - 1]));
        let mut delays_min = [[f64::INFINITY; 3]; FAULTS.len()];
        for (nth, ((onset, tracks), at_onset)) in self.faulty.iter().zip(&states).enumerate() {
            for (track, delays) in tracks.iter().zip(&mut delays_min) {
                let mut state = at_onset.clone();
                let mut with_fault = track.iter().map(|measured| decide(variant, &baseline, &mut state, measured));
                let found = with_fault.by_ref().zip(&flags[*onset..]).position(|(faulty, healthy)| faulty && !healthy);
                let minutes = |readings: usize| (readings + 1) as f64 * self.plant.interval_s() / 60.0;
                delays[nth] = found.map_or(f64::INFINITY, minutes);
            }
        }
        let votes =
            || (0..self.channels).flat_map(|channel| Measure::ALL.map(|measure| baseline.vote(channel, measure)));
        Ok(Outcome {
            false_episodes: starts.count() as f64,
            days: self.healthy.len() as f64 * self.plant.interval_s() / 86_400.0,
            delays_min,
            refused: votes().filter(|vote| matches!(vote, Some(Vote::Refused(_)))).count(),
            votes: votes().filter(|vote| !matches!(vote, Some(Vote::NotMeasured))).count(),
        })
    }
}

/// Returns whether an episode is open after a reading.
fn decide(variant: Variant, baseline: &DynamicsBaseline, state: &mut DynamicsState, measured: &Measured) -> bool {
    let conditional = variant.has_conditional() && measured.in_episode;
    if let Some(window) = measured.window.as_ref().filter(|_| variant != Variant::Conditional) {
        state.step(baseline, &variant.measures(window));
    }
    conditional || state.in_episode()
}

impl<'a> Follower<'a> {
    /// Returns a copy that follows other readings.
    fn fork(&self) -> Follower<'a> {
        let Follower { profile, baseline, state, history } = self;
        Follower { profile, baseline, state: state.clone(), history: history.clone() }
    }

    fn follow(&mut self, rows: &[Row], scorers: &mut Scorers) -> Result<Track, Box<dyn Error>> {
        let mut track = Vec::with_capacity(rows.len());
        let mut windows: Vec<ResidualWindow> = Vec::new();
        let mut has_window = Vec::with_capacity(rows.len());
        for row in rows {
            let result = self.state.step(self.baseline, row.at, &row.samples(self.profile));
            let window = match result {
                Some(result) if !result.outside_known_range => self.history.push(&result.residuals),
                _ => {
                    self.history.interrupt();
                    None
                }
            };
            has_window.push(window.is_some());
            windows.extend(window);
            track.push(Measured { in_episode: self.state.in_episode(), window: None });
        }
        let (trained, untrained) = (scorers.trained.score(&windows)?, scorers.untrained.score(&windows)?);
        let mut measures = trained.into_iter().zip(untrained).zip(&windows);
        for measured in track.iter_mut().zip(has_window).filter_map(|(measured, has)| has.then_some(measured)) {
            measured.window = measures.next().map(|((trained, untrained), window)| {
                let centred = centred(window, &trained);
                WindowMeasures { trained, untrained, centred }
            });
        }
        Ok(track)
    }
}

/// Returns the measures with the mean distance from the window's mean in place of the error.
fn centred(window: &ResidualWindow, measured: &WindowDynamics) -> WindowDynamics {
    let channels = window.channels();
    let of_channel = |(channel, measured): (usize, &Option<ChannelDynamics>)| {
        let values = || window.values().iter().skip(channel).step_by(channels).filter(|value| !value.is_nan());
        let count = values().count() as f64;
        let mean = values().map(|value| f64::from(*value)).sum::<f64>() / count;
        let distance = values().map(|value| (f64::from(*value) - mean).abs()).sum::<f64>() / count;
        measured.map(|measured| ChannelDynamics { error: distance, ..measured })
    };
    measured.iter().enumerate().map(of_channel).collect()
}
