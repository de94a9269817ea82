//! The standing alarms of a node: a projection of all transitions.
//!
//! Rebuilt after a restart from the stored rows, and kept up to date by applying each new row. A row that comes twice
//! changes nothing. Rows of one alarm must come in the order of their `seq`; those of different alarms in any order.

use std::collections::BTreeMap;

use volute_plant::PumpId;

use crate::{AlarmId, AlarmKey, State, Status, Transition};

/// The status of every alarm that has a transition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    alarms: BTreeMap<AlarmKey, Status>,
    missing: u64,
}

impl Standing {
    /// Rebuilds it from rows.
    pub fn replay<'a>(rows: impl IntoIterator<Item = &'a Transition>) -> Self {
        let mut standing = Self::default();
        for row in rows {
            standing.apply(row);
        }
        standing
    }

    /// Adds a row. Returns whether it was new.
    pub fn apply(&mut self, row: &Transition) -> bool {
        let status = self.alarms.entry(row.key()).or_default();
        if row.seq > status.seq() + 1 {
            self.missing += 1;
        }
        status.apply(row)
    }

    /// How many rows came without the one before them. More than 0 means that rows are lost.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Begins with a stored status, for example if retention has removed its rows.
    pub fn insert(&mut self, key: AlarmKey, status: Status) {
        self.alarms.insert(key, status);
    }

    /// The status of an alarm; the default if it has no transition.
    pub fn status(&self, key: &AlarmKey) -> Status {
        self.alarms.get(key).cloned().unwrap_or_default()
    }

    /// The alarms of a pump, or of the node itself, that have a transition.
    pub fn of_pump<'a>(&'a self, pump: Option<&'a PumpId>) -> impl Iterator<Item = (&'a AlarmKey, &'a Status)> {
        let first = AlarmKey { pump: pump.cloned(), alarm: AlarmId::before_all() };
        self.alarms.range(first..).take_while(move |(key, _)| key.pump.as_ref() == pump)
    }

    /// All alarms with a transition, by pump and id.
    pub fn all(&self) -> impl Iterator<Item = (&AlarmKey, &Status)> {
        self.alarms.iter()
    }

    /// The alarms of the list: announced, and not yet over, acknowledged and reset.
    pub fn in_view(&self) -> impl Iterator<Item = (&AlarmKey, &Status)> {
        self.all().filter(|(_, status)| status.state().is_standing())
    }

    /// The alarms out of view that are not normal: shelved, suppressed or out of service.
    pub fn out_of_view(&self) -> impl Iterator<Item = (&AlarmKey, &Status)> {
        let is_hidden = |state: State| matches!(state, State::Shelved | State::Suppressed | State::OutOfService);
        self.all().filter(move |(_, status)| is_hidden(status.state()))
    }

    /// Forgets the alarms of a pump that is removed.
    pub fn remove_pump(&mut self, pump: &PumpId) {
        self.alarms.retain(|key, _| key.pump.as_ref() != Some(pump));
    }
}

#[cfg(test)]
mod tests;
