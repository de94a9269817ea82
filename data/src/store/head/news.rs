//! What waits in the head and is no series of a pump.

use std::collections::{BTreeMap, BTreeSet};

use volute_journal::Seq;
use volute_plant::{MaintenanceEvent, PumpId};

use super::{NEWS, same_event};
use crate::store::{
    audit_entry::AuditEntry,
    removal::Removals,
    types::{Batch, PumpRecord, PumpState, SystemMetrics},
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

/// The lowest records of the news that are left for another time.
#[derive(Default)]
pub(super) struct Left {
    /// Beyond what goes into one transaction.
    pub beyond: Option<Seq>,
    /// Of pumps whose removal is not done.
    pub held: Option<Seq>,
}

impl Left {
    /// The first of these that are not held.
    fn first_of<'a, T: Clone + 'a>(
        &mut self,
        news: impl IntoIterator<Item = &'a (Seq, T)>,
        held: impl Fn(&T) -> bool,
    ) -> Vec<(Seq, T)> {
        let mut first = Vec::new();
        for (seq, what) in news {
            let left = match held(what) {
                true => &mut self.held,
                false if first.len() < NEWS => {
                    first.push((*seq, what.clone()));
                    continue;
                }
                false => &mut self.beyond,
            };
            *left = Some(left.map_or(*seq, |lowest| lowest.min(*seq)));
        }
        first
    }
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

    /// The first of each kind, without those of pumps whose removal is not done, and what is left. What people did is little.
    pub(super) fn some(&self, removals: &Removals) -> (Self, Left) {
        let mut left = Left::default();
        let some = Self {
            pumps: left.first_of(&self.pumps, |pump| removals.holds(&pump.id)),
            events: left.first_of(&self.events, |event| removals.holds(&event.pump)),
            metrics: left.first_of(&self.metrics, |_| false),
            states: left
                .first_of(self.states.values(), |state| removals.holds(&state.pump))
                .into_iter()
                .map(|(seq, state)| (state.pump.clone(), (seq, state)))
                .collect(),
            audit: self.audit.clone(),
            bytes: 0,
        };
        (some, left)
    }

    /// Drops all that is of a pump.
    pub(super) fn forget(&mut self, pump: &PumpId) {
        self.pumps.retain(|(_, known)| known.id != *pump);
        self.events.retain(|(_, event)| event.pump != *pump);
        self.states.remove(pump);
        self.bytes = self.counted_bytes();
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
    let source = event.source.as_ref().map_or(0, String::len);
    ENTRY_BYTES + size_of::<MaintenanceEvent>() + texts.map(String::len).iter().sum::<usize>() + model + source
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
