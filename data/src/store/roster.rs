//! Which pumps there are and how wide their rows are: what a batch is checked against before it is written.
//!
//! Kept in memory, filled from the database at the start and brought up to date after each commit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{PoisonError, RwLock},
};

use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    StoreError,
    page::{minute, minute_id},
    rows::{MinuteRow, NODE},
    types::{Batch, PumpRecord},
};

/// The pumps of the database.
pub(crate) struct Roster(RwLock<BTreeMap<PumpId, Known>>);

struct Known {
    channels: Vec<String>,
    /// The last minute that is surely in the directory of minutes.
    minute: Option<i64>,
}

impl Roster {
    pub(crate) fn new(pumps: Vec<PumpRecord>) -> Self {
        let known = |pump: PumpRecord| (pump.id, Known { channels: pump.channels, minute: None });
        Self(RwLock::new(pumps.into_iter().map(known).collect()))
    }

    /// All pumps, by name.
    pub(crate) fn pumps(&self) -> Vec<PumpId> {
        self.read(|known| known.keys().cloned().collect())
    }

    /// Refuses a batch that holds a row which could not be read again.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        self.read(|known| {
            let mut new: HashMap<&PumpId, &[String]> = HashMap::new();
            for pump in &batch.pumps {
                let stored = known.get(&pump.id).map(|known| known.channels.as_slice());
                let stored = *new.entry(&pump.id).or_insert(stored.unwrap_or(&pump.channels));
                if stored != pump.channels {
                    let (stored, given) = (stored.to_vec(), pump.channels.clone());
                    return Err(StoreError::OtherChannels { pump: pump.id.clone(), stored, given });
                }
            }
            let channels = |pump: &PumpId| match (known.get(pump), new.get(pump)) {
                (Some(known), _) => Some(known.channels.len()),
                (None, new) => new.map(|channels| channels.len()),
            };
            for Reading { pump, at, samples, .. } in &batch.readings {
                let values: Vec<f64> = samples.iter().filter_map(|sample| sample.value()).collect();
                if let Some(reason) = wrong_with(channels(pump), samples.len(), &values) {
                    return Err(StoreError::Impossible { row: format!("the reading of {pump} at {at}"), reason });
                }
            }
            for Detection { pump, at, loss, threshold, contributions, .. } in &batch.detections {
                let figures = [&[*loss, *threshold], &contributions[..]].concat();
                let wrong = wrong_with(channels(pump), contributions.len(), &figures);
                if let Some(reason) = wrong.or_else(|| (*loss < 0.0).then(|| "its loss is below zero".into())) {
                    return Err(StoreError::Impossible { row: format!("the detection of {pump} at {at}"), reason });
                }
            }
            Ok(())
        })
    }

    /// The entries that the batch adds to the directory of minutes.
    pub(crate) fn new_minutes(&self, batch: &Batch) -> Vec<MinuteRow> {
        let mut minutes: BTreeSet<(&str, i64)> =
            batch.metrics.iter().map(|metrics| (NODE, minute(metrics.at.millis()))).collect();
        self.read(|known| {
            for (pump, at) in times(batch) {
                let minute = minute(at.millis());
                if known.get(pump).and_then(|known| known.minute) != Some(minute) {
                    minutes.insert((pump.as_str(), minute));
                }
            }
        });
        minutes.into_iter().map(|(owner, minute)| MinuteRow { id: minute_id(owner, minute) }).collect()
    }

    /// Takes note of a batch that is stored.
    pub(crate) fn note(&self, batch: &Batch) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for pump in &batch.pumps {
            let entry = || Known { channels: pump.channels.clone(), minute: None };
            known.entry(pump.id.clone()).or_insert_with(entry);
        }
        for (pump, at) in times(batch) {
            if let Some(known) = known.get_mut(pump) {
                known.minute = known.minute.max(Some(minute(at.millis())));
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<PumpId, Known>) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// When the batch's rows of the pumps are from.
fn times(batch: &Batch) -> impl Iterator<Item = (&PumpId, Timestamp)> {
    let readings = batch.readings.iter().map(|reading| (&reading.pump, reading.at));
    readings.chain(batch.detections.iter().map(|detection| (&detection.pump, detection.at)))
}

fn wrong_with(channels: Option<usize>, width: usize, figures: &[f64]) -> Option<String> {
    let Some(channels) = channels else { return Some("the pump is not registered".into()) };
    if width != channels {
        return Some(format!("it has {width} channels, and the pump has {channels}"));
    }
    figures.iter().find(|figure| !figure.is_finite()).map(|figure| format!("{figure} is not a finite number"))
}
