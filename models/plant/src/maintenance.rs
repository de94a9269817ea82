//! Maintenance events: opened by a profile's rules, at most one open event per pump and rule, resolved when the
//! condition has stayed away.
//!
//! Where the model has a verdict on a reading, a rule holds only if that is an anomaly: a limit that is passed in running
//! that is normal for the pump is no matter for maintenance. Where it has none (no model, learning, a channel missing, a
//! pump that does not run) the limit alone decides: a hot bearing is hot in a machine that stands, too.
//!
//! Deliberately absent: who is told (the notifier's business) and root causes (diagnosis).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Detection, Money, Profile, PumpId, Reading, Rule, Severity, Timestamp};

/// Whether an event still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// It stands.
    Active,
    /// The condition has stayed away long enough.
    Resolved,
}

impl EventState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Resolved => "resolved",
        }
    }
}

/// One matter for maintenance. Its id is pump, rule and opening time, so writing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceEvent {
    /// Whose event it is.
    pub pump: PumpId,
    /// The rule that opened it.
    pub rule: String,
    /// What is wrong.
    pub title: String,
    /// What to do.
    pub advice: String,
    /// How bad it is.
    pub severity: Severity,
    /// What the repair is estimated to cost.
    pub cost: Money,
    /// The channel that was above the limit; empty where another system does not say.
    pub channel: String,
    /// The rule's limit, in the channel's unit; none where another system does not say.
    pub limit: Option<f64>,
    /// The highest value so far, in the channel's unit; none where another system does not say.
    pub peak: Option<f64>,
    /// The highest loss of an anomaly so far; none while only the limit is passed.
    pub peak_loss: Option<f64>,
    /// The model that saw the anomaly; none while only the limit is passed.
    pub model: Option<String>,
    /// When it was opened, in the pump's time.
    pub opened_at: Timestamp,
    /// When the condition last held.
    pub last_seen_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// The other system that it is from, as `imported: maintenance_events.csv`; none: this one.
    #[serde(default)]
    pub source: Option<String>,
}

impl MaintenanceEvent {
    /// Whether it still stands.
    pub fn state(&self) -> EventState {
        if self.resolved_at.is_some() { EventState::Resolved } else { EventState::Active }
    }

    /// Takes the anomaly down, if there is a verdict on the reading.
    fn confirm(&mut self, anomaly: Option<&Detection>) {
        let Some(anomaly) = anomaly else { return };
        self.peak_loss = Some(self.peak_loss.map_or(anomaly.loss, |loss| loss.max(anomaly.loss)));
        if self.model.is_none() {
            self.model = Some(anomaly.model.to_string());
        }
    }
}

/// What a reading did to an event; each is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum EventChange {
    /// A new event.
    Opened(MaintenanceEvent),
    /// It still stands, and its figures have moved.
    Updated(MaintenanceEvent),
    /// It stands no longer.
    Resolved(MaintenanceEvent),
}

impl EventChange {
    /// The event as it now is.
    pub fn event(&self) -> &MaintenanceEvent {
        match self {
            Self::Opened(event) | Self::Updated(event) | Self::Resolved(event) => event,
        }
    }
}

/// How long the condition must stay away before an event is resolved.
const CLEAR_AFTER_MS: i64 = 60_000;
/// How often the figures of a standing event are written.
const UPDATE_EVERY_MS: i64 = 10_000;

/// One pump's open events.
#[derive(Debug)]
pub struct MaintenanceDesk {
    profile: Profile,
    open: BTreeMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    event: MaintenanceEvent,
    told_at: Timestamp,
}

impl MaintenanceDesk {
    /// A desk that starts with the events that were open at the last stop.
    pub fn new(profile: Profile, open: impl IntoIterator<Item = MaintenanceEvent>) -> Self {
        let entry = |event: MaintenanceEvent| (event.rule.clone(), Open { told_at: event.last_seen_at, event });
        Self { profile, open: open.into_iter().map(entry).collect() }
    }

    /// Looks at one reading, with the verdict on it if there is one. Readings must come in order.
    pub fn observe(&mut self, reading: &Reading, detection: Option<&Detection>) -> Vec<EventChange> {
        let profile = self.profile.clone();
        let mut changes: Vec<EventChange> =
            profile.rules().iter().filter_map(|rule| self.apply(rule, reading, detection)).collect();
        let is_gone = |rule: &String| profile.rules().iter().all(|known| known.name != *rule);
        let gone: Vec<String> = self.open.keys().filter(|rule| is_gone(rule)).cloned().collect();
        changes.extend(gone.iter().filter_map(|rule| self.clear(rule, reading.at)));
        changes
    }

    /// Goes by another profile from now on. An open event of a rule that it does not have is resolved as one whose condition
    /// stays away.
    pub fn change_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    fn apply(&mut self, rule: &Rule, reading: &Reading, detection: Option<&Detection>) -> Option<EventChange> {
        let may_hold = detection.is_none_or(|detection| detection.is_anomaly);
        let holds = may_hold.then(|| highest(&self.profile, rule, reading)).flatten();
        let Some((channel, value)) = holds else { return self.clear(&rule.name, reading.at) };
        let Some(open) = self.open.get_mut(&rule.name) else {
            let mut event = opened(rule, reading, channel, value);
            event.confirm(detection);
            self.open.insert(rule.name.clone(), Open { event: event.clone(), told_at: reading.at });
            return Some(EventChange::Opened(event));
        };
        open.event.peak = Some(open.event.peak.map_or(value, |peak| peak.max(value)));
        open.event.confirm(detection);
        open.event.last_seen_at = reading.at;
        if reading.at.since_ms(open.told_at) < UPDATE_EVERY_MS {
            return None;
        }
        open.told_at = reading.at;
        Some(EventChange::Updated(open.event.clone()))
    }

    fn clear(&mut self, rule: &str, at: Timestamp) -> Option<EventChange> {
        let open = self.open.get(rule)?;
        if at.since_ms(open.event.last_seen_at) < CLEAR_AFTER_MS {
            return None;
        }
        let mut event = self.open.remove(rule)?.event;
        event.resolved_at = Some(at);
        Some(EventChange::Resolved(event))
    }
}

/// The highest channel of the rule's quantity that is above the rule's limit.
fn highest<'a>(profile: &'a Profile, rule: &Rule, reading: &Reading) -> Option<(&'a str, f64)> {
    let channels = profile.channels().iter().zip(reading.samples.iter());
    let above = channels.filter(|(channel, _)| channel.quantity == rule.quantity).filter_map(|(channel, sample)| {
        sample.good().filter(|&value| value > rule.above).map(|value| (channel.name.as_str(), value))
    });
    above.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn opened(rule: &Rule, reading: &Reading, channel: &str, value: f64) -> MaintenanceEvent {
    MaintenanceEvent {
        pump: reading.pump.clone(),
        rule: rule.name.clone(),
        title: rule.title.clone(),
        advice: rule.advice.clone(),
        severity: rule.severity,
        cost: rule.cost,
        channel: channel.to_owned(),
        limit: Some(rule.above),
        peak: Some(value),
        peak_loss: None,
        model: None,
        opened_at: reading.at,
        last_seen_at: reading.at,
        resolved_at: None,
        source: None,
    }
}

#[cfg(test)]
mod tests;
