//! What waits in the head and is no series of a pump.

use std::collections::{BTreeMap, BTreeSet};

use volute_plant::{MaintenanceEvent, PumpId};

use super::NEWS;
use crate::{
    journal::Seq,
    store::{
        audit_entry::AuditEntry,
        types::{PumpRecord, PumpState, SystemMetrics},
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
}

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { pumps, events, metrics, states, audit } = self;
        pumps.is_empty() && events.is_empty() && metrics.is_empty() && states.is_empty() && audit.is_empty()
    }

    /// The first of each kind, and the lowest record of those that are left for another time. What people did is little.
    pub(super) fn some(&self) -> (Self, Option<Seq>) {
        let Self { pumps, events, metrics, states, audit } = self;
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
        };
        (some, left.into_iter().flatten().min())
    }

    /// Keeps a pump's state, unless it has a newer one.
    pub(super) fn remember(&mut self, seq: Seq, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|(_, known)| known.at <= state.at) {
            self.states.insert(state.pump.clone(), (seq, state));
        }
    }
}
