//! Which pumps there are and how wide their rows are: what a batch is checked against before it is written.
//!
//! Kept in memory, filled from the database at the start and brought up to date after each commit. A copy in a file
//! stands in where the database cannot be opened.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
};

use parking_lot::RwLock;
use volute_journal::durable::write_file;
use volute_plant::{Detection, PumpId, Reading};

use super::{
    StoreError, record,
    types::{Batch, PumpRecord, PumpState},
};

/// The pumps that are stored.
pub(crate) struct Roster(RwLock<BTreeMap<PumpId, PumpRecord>>);

impl Roster {
    pub(crate) fn new(pumps: Vec<PumpRecord>) -> Self {
        Self(RwLock::new(pumps.into_iter().map(|pump| (pump.id.clone(), pump)).collect()))
    }

    /// All pumps' names, in order.
    pub(crate) fn pumps(&self) -> Vec<PumpId> {
        self.read(|known| known.keys().cloned().collect())
    }

    /// All pumps, by name.
    pub(crate) fn records(&self) -> Vec<PumpRecord> {
        self.read(|known| known.values().cloned().collect())
    }

    /// Takes note of pumps that are stored. What was known of one stands.
    pub(crate) fn note<'a>(&self, pumps: impl IntoIterator<Item = &'a PumpRecord>) {
        let mut known = self.0.write();
        for pump in pumps {
            known.entry(pump.id.clone()).or_insert_with(|| pump.clone());
        }
    }

    /// Forgets a pump that is removed.
    pub(crate) fn forget(&self, pump: &PumpId) {
        self.0.write().remove(pump);
    }

    /// A registered pump.
    pub(crate) fn get(&self, pump: &PumpId) -> Option<PumpRecord> {
        self.read(|known| known.get(pump).cloned())
    }

    /// Takes note of a pump that is stored, in the place of what was known of it.
    pub(crate) fn replace(&self, pump: PumpRecord) {
        self.0.write().insert(pump.id.clone(), pump);
    }

    /// The name of a registered pump's profile.
    pub(crate) fn profile_of(&self, pump: &PumpId) -> Option<String> {
        self.read(|known| known.get(pump).map(|pump| pump.profile.clone()))
    }

    /// Whether a pump is registered.
    pub(crate) fn knows(&self, pump: &PumpId) -> bool {
        self.read(|known| known.contains_key(pump))
    }

    /// Keeps a copy in this file, with the pumps whose removal is not done.
    pub(crate) fn save(&self, path: &Path, removing: &[PumpId]) -> io::Result<()> {
        let batch = Batch { pumps: self.records(), removals: removing.to_vec(), ..Batch::default() };
        let bytes = record::encode(&batch).map_err(io::Error::other)?;
        write_file(path, &bytes)
    }

    /// The copy in this file, and the pumps whose removal was not done.
    pub(crate) fn load(path: &Path) -> io::Result<(Self, Vec<PumpId>)> {
        let batch = record::decode(&fs::read(path)?).map_err(io::Error::other)?;
        Ok((Self::new(batch.pumps), batch.removals))
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
            for PumpState { pump, at, .. } in &batch.states {
                if channels(pump).is_none() {
                    let (row, reason) = (format!("the state of {pump} at {at}"), "the pump is not registered".into());
                    return Err(StoreError::Impossible { row, reason });
                }
            }
            Ok(())
        })
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<PumpId, PumpRecord>) -> T) -> T {
        look(&self.0.read())
    }
}

fn wrong_with(channels: Option<usize>, width: usize, figures: &[f64]) -> Option<String> {
    let Some(channels) = channels else { return Some("the pump is not registered".into()) };
    if width != channels {
        return Some(format!("it has {width} channels, and the pump has {channels}"));
    }
    figures.iter().find(|figure| !figure.is_finite()).map(|figure| format!("{figure} is not a finite number"))
}
