//! The registered pumps with their channels. A batch is checked against them before it is written.
//!
//! The registry is in memory. It is filled from the database at the start and updated after each commit. A copy in a
//! file is read if the database cannot be opened.

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
    types::{Batch, PumpCheckpoint, PumpRecord},
};

/// The registered pumps.
pub(crate) struct PumpRegistry(RwLock<BTreeMap<PumpId, PumpRecord>>);

impl PumpRegistry {
    pub(crate) fn new(pumps: Vec<PumpRecord>) -> Self {
        Self(RwLock::new(pumps.into_iter().map(|pump| (pump.id.clone(), pump)).collect()))
    }

    /// Returns the ids of all pumps, sorted.
    pub(crate) fn pumps(&self) -> Vec<PumpId> {
        self.read(|pumps| pumps.keys().cloned().collect())
    }

    /// Returns all pumps, sorted by id.
    pub(crate) fn records(&self) -> Vec<PumpRecord> {
        self.read(|pumps| pumps.values().cloned().collect())
    }

    /// Adds pumps. A pump that is registered already stays as it is.
    pub(crate) fn add<'a>(&self, pumps: impl IntoIterator<Item = &'a PumpRecord>) {
        let mut known = self.0.write();
        for pump in pumps {
            known.entry(pump.id.clone()).or_insert_with(|| pump.clone());
        }
    }

    /// Removes a pump.
    pub(crate) fn remove(&self, pump: &PumpId) {
        self.0.write().remove(pump);
    }

    /// Returns a registered pump.
    pub(crate) fn get(&self, pump: &PumpId) -> Option<PumpRecord> {
        self.read(|pumps| pumps.get(pump).cloned())
    }

    /// Adds or replaces a pump.
    pub(crate) fn replace(&self, pump: PumpRecord) {
        self.0.write().insert(pump.id.clone(), pump);
    }

    /// Returns the name of a registered pump's profile.
    pub(crate) fn profile_of(&self, pump: &PumpId) -> Option<String> {
        self.read(|pumps| pumps.get(pump).map(|pump| pump.profile.clone()))
    }

    /// Returns whether a pump is registered.
    pub(crate) fn contains(&self, pump: &PumpId) -> bool {
        self.read(|pumps| pumps.contains_key(pump))
    }

    /// Writes a copy to this file, with the pumps whose removal is not finished.
    pub(crate) fn save(&self, path: &Path, removing: &[PumpId]) -> io::Result<()> {
        let batch = Batch { pumps: self.records(), removals: removing.to_vec(), ..Batch::default() };
        let bytes = record::encode(&batch).map_err(io::Error::other)?;
        write_file(path, &bytes)
    }

    /// Reads the copy in this file, and the pumps whose removal was not finished.
    pub(crate) fn load(path: &Path) -> io::Result<(Self, Vec<PumpId>)> {
        let batch = record::decode(&fs::read(path)?).map_err(io::Error::other)?;
        Ok((Self::new(batch.pumps), batch.removals))
    }

    /// Checks that every row of a batch can be read back: its pump is registered, it has as many channels as the pump,
    /// and only finite numbers.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        self.read(|pumps| {
            let mut new: HashMap<&PumpId, &[String]> = HashMap::new();
            for pump in &batch.pumps {
                let stored = pumps.get(&pump.id).map(|record| record.channels.as_slice());
                let stored = *new.entry(&pump.id).or_insert(stored.unwrap_or(&pump.channels));
                if stored != pump.channels {
                    let (stored, given) = (stored.to_vec(), pump.channels.clone());
                    return Err(StoreError::OtherChannels { pump: pump.id.clone(), stored, given });
                }
            }
            let channels = |pump: &PumpId| match (pumps.get(pump), new.get(pump)) {
                (Some(record), _) => Some(record.channels.len()),
                (None, new) => new.map(|channels| channels.len()),
            };
            for Reading { pump, at, samples, .. } in &batch.readings {
                let values: Vec<f64> = samples.iter().filter_map(|sample| sample.value()).collect();
                if let Some(reason) = invalid_reason(channels(pump), samples.len(), &values) {
                    return Err(StoreError::InvalidRow { row: format!("the reading of {pump} at {at}"), reason });
                }
            }
            for Detection { pump, at, loss, threshold, contributions, .. } in &batch.detections {
                let figures = [&[*loss, *threshold], &contributions[..]].concat();
                let invalid = invalid_reason(channels(pump), contributions.len(), &figures);
                if let Some(reason) = invalid.or_else(|| (*loss < 0.0).then(|| "its loss is below zero".into())) {
                    return Err(StoreError::InvalidRow { row: format!("the detection of {pump} at {at}"), reason });
                }
            }
            for PumpCheckpoint { pump, at, .. } in &batch.checkpoints {
                if channels(pump).is_none() {
                    let (row, reason) =
                        (format!("the checkpoint of {pump} at {at}"), "the pump is not registered".into());
                    return Err(StoreError::InvalidRow { row, reason });
                }
            }
            Ok(())
        })
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<PumpId, PumpRecord>) -> T) -> T {
        read(&self.0.read())
    }
}

fn invalid_reason(channels: Option<usize>, width: usize, figures: &[f64]) -> Option<String> {
    let Some(channels) = channels else { return Some("the pump is not registered".into()) };
    if width != channels {
        return Some(format!("it has {width} channels, and the pump has {channels}"));
    }
    figures.iter().find(|figure| !figure.is_finite()).map(|figure| format!("{figure} is not a finite number"))
}
