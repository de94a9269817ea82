//! What waits in the head and is no series of a pump.

use std::collections::{BTreeMap, BTreeSet};

use volute_plant::{MaintenanceEvent, PumpId};

use super::{NEWS, same_event};
use crate::{
    journal::Seq,
    store::{
        audit_entry::AuditEntry,
        types::{Batch, PumpRecord, PumpState, SystemMetrics},
    },
};

/// What is no series of a pump.
#[derive(Default, Clone)]
pub(crate) struct News {
    pub pumps: Vec<(Seq, PumpRecord)>,
    pub events: Vec<(Seq, MaintenanceEvent)>,
    pub metrics: Vec<(Seq, SystemMetrics)>,
    /// One per pump, its newest.
    pub states: BTreeMap<PumpId, (Seq, PumpState)>,
    /// Without their records' numbers: an entry never changes, so any record of it is as good as another.
    pub audit: BTreeSet<AuditEntry>,
    /// About how much memory all of it takes.
    bytes: usize,
}

impl News {
    /// That there is this pump.
    pub(crate) fn of_pump(seq: Seq, pump: PumpRecord) -> Self {
        Self { bytes: pump_bytes(&pump), pumps: vec![(seq, pump)], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { pumps, events, metrics, states, audit, bytes: _ } = self;
        pumps.is_empty() && events.is_empty() && metrics.is_empty() && states.is_empty() && audit.is_empty()
    }

    /// The first of each kind, and the lowest record of those that are left for another time. What people did is little.
    pub(super) fn some(&self) -> (Self, Option<Seq>) {
        let Self { pumps, events, metrics, states, audit, bytes: _ } = self;
        let left = |seqs: &mut dyn Iterator<Item = Seq>| seqs.skip(NEWS).min();
        let left = [
            left(&mut pumps.iter().map(|(seq, _)| *seq)),
            left(&mut events.iter().map(|(seq, _)| *seq)),
            left(&mut metrics.iter().map(|(seq, _)| *seq)),
            left(&mut states.values().map(|(seq, _)| *seq)),
        ];
        let some = Self {
            pumps: pumps.iter().take(NEWS).cloned().collect(),
            events: events.iter().take(NEWS).cloned().collect(),
            metrics: metrics.iter().take(NEWS).cloned().collect(),
            states: states.iter().take(NEWS).map(|(pump, state)| (pump.clone(), state.clone())).collect(),
            audit: audit.clone(),
            bytes: 0,
        };
        (some, left.into_iter().flatten().min())
    }

    /// Takes in what of a record is no series of a pump.
    pub(super) fn take_in(&mut self, seq: Seq, batch: Batch) {
        for pump in batch.pumps {
            self.bytes += pump_bytes(&pump);
            self.pumps.push((seq, pump));
        }
        for metrics in batch.metrics {
            self.bytes += metrics_bytes(&metrics);
            self.metrics.push((seq, metrics));
        }
        for event in batch.events {
            self.bytes += event_bytes(&event);
            let superseded = self.events.extract_if(.., |(_, known)| same_event(known, &event));
            self.bytes -= superseded.map(|(_, known)| event_bytes(&known)).sum::<usize>();
            self.events.push((seq, event));
        }
        for state in batch.states {
            self.remember(seq, state);
        }
        for entry in batch.audit {
            let bytes = audit_bytes(&entry);
            self.bytes += if self.audit.insert(entry) { bytes } else { 0 };
        }
    }

    /// All of this is in the database.
    pub(super) fn give_up(&mut self, stored: &Self) {
        let Self { pumps, events, metrics, states, audit, bytes: _ } = stored;
        self.pumps.retain(|known| !pumps.contains(known));
        self.events.retain(|known| !events.contains(known));
        self.metrics.retain(|known| !metrics.contains(known));
        self.states.retain(|pump, known| states.get(pump) != Some(known));
        self.audit.retain(|known| !audit.contains(known));
        self.bytes = self.counted_bytes();
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn counted_bytes(&self) -> usize {
        let Self { pumps, events, metrics, states, audit, bytes: _ } = self;
        pumps.iter().map(|(_, pump)| pump_bytes(pump)).sum::<usize>()
            + events.iter().map(|(_, event)| event_bytes(event)).sum::<usize>()
            + metrics.iter().map(|(_, metrics)| metrics_bytes(metrics)).sum::<usize>()
            + states.values().map(|(_, state)| state_bytes(state)).sum::<usize>()
            + audit.iter().map(audit_bytes).sum::<usize>()
    }

    /// Keeps a pump's state, unless it has a newer one.
    fn remember(&mut self, seq: Seq, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|(_, known)| known.at <= state.at) {
            self.bytes += state_bytes(&state);
            let before = self.states.insert(state.pump.clone(), (seq, state));
            self.bytes -= before.map_or(0, |(_, known)| state_bytes(&known));
        }
    }
}

/// A list's entry takes so much besides what it holds.
const ENTRY_BYTES: usize = 32;

fn pump_bytes(pump: &PumpRecord) -> usize {
    let channels: usize = pump.channels.iter().map(|channel| size_of::<String>() + channel.len()).sum();
    ENTRY_BYTES + size_of::<PumpRecord>() + pump.profile.len() + channels
}

fn event_bytes(event: &MaintenanceEvent) -> usize {
    let texts = [&event.rule, &event.title, &event.advice, &event.channel];
    let model = event.model.as_ref().map_or(0, String::len);
    ENTRY_BYTES + size_of::<MaintenanceEvent>() + texts.map(String::len).iter().sum::<usize>() + model
}

fn metrics_bytes(metrics: &SystemMetrics) -> usize {
    let figures: usize = metrics.figures.keys().map(|name| size_of::<(String, f64)>() + name.len()).sum();
    ENTRY_BYTES + size_of::<SystemMetrics>() + figures
}

fn state_bytes(state: &PumpState) -> usize {
    ENTRY_BYTES + size_of::<PumpState>() + state.document.len()
}

fn audit_bytes(entry: &AuditEntry) -> usize {
    let texts = [&entry.who, &entry.action, &entry.object, &entry.outcome, &entry.detail];
    ENTRY_BYTES + size_of::<AuditEntry>() + texts.map(String::len).iter().sum::<usize>()
}
