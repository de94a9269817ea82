//! Maintenance events: opened and resolved by a profile's rules, with at most one open event per pump and rule.
//!
//! If the model has a detection for a reading, a rule is violated only if that detection is an anomaly: a pump that
//! exceeds a limit in its normal running needs no maintenance. If there is no detection (no model, commissioning, a
//! missing channel, a pump that is not running), the limit alone decides: a hot bearing is a fault in a stopped machine
//! too.
//!
//! An example of a rule "bearing above 85 °C", with readings without a detection:
//!
//! | time | bearing | change | why |
//! | --- | --- | --- | --- |
//! | 0 s | 85 °C | none | the limit itself is allowed |
//! | 1 s | 90 °C | opened | |
//! | 5 s | 97 °C | none | the peak is now 97; updates are at most every 10 s |
//! | 11 s | 91 °C | updated | |
//! | 12 s | 60 °C | none | the rule was last violated at 11 s |
//! | 71 s | 60 °C | resolved | a minute without a violation |
//!
//! A rule may have more severe levels. A value above a level's limit raises the event's severity at once; nothing lowers it.
//! What opened the event and what raised its severity is its evidence ([`crate::event_evidence`]).
//!
//! What people do about an event ([`crate::event_status`]) is part of it, and changes nothing in this table. Does not notify
//! anybody. Does not find root causes.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Detection, Money, Profile, PumpId, Reading, Recommendation, Rule, Severity, Timestamp,
    event_evidence::{EventEvidence, EvidenceAlarm, Violation},
    event_status::StatusHistory,
};

/// Whether an event is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Open.
    Active,
    /// The rule has not been violated for long enough.
    Resolved,
}

impl EventState {
    /// Returns its name in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Resolved => "resolved",
        }
    }
}

/// One maintenance event. Its id consists of pump, rule and opening time, so storing an event again overwrites it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceEvent {
    /// The pump.
    pub pump: PumpId,
    /// Name of the rule that opened it.
    pub rule: String,
    /// What is wrong, for the operator.
    pub title: String,
    /// What to do about it, for the operator.
    pub advice: String,
    /// How urgent it is.
    pub severity: Severity,
    /// Estimated cost of the repair.
    pub cost: Money,
    /// The channel that exceeded the limit. Empty in an imported event whose source does not give it.
    pub channel: String,
    /// The rule's limit, in the channel's unit. None in an imported event whose source does not give it.
    pub limit: Option<f64>,
    /// The highest value so far, in the channel's unit. None in an imported event whose source does not give it.
    pub peak: Option<f64>,
    /// The highest loss of its anomalies so far. None while only the limit is exceeded.
    pub peak_loss: Option<f64>,
    /// The model of its first anomaly. None while only the limit is exceeded.
    pub model: Option<String>,
    /// When it was opened, in device time.
    pub opened_at: Timestamp,
    /// When the rule was last violated, in device time.
    pub last_seen_at: Timestamp,
    /// When it was resolved, in device time. None while it is open.
    pub resolved_at: Option<Timestamp>,
    /// Where an imported event comes from, such as `imported: maintenance_events.csv`. None for an event that a rule
    /// of this node opened.
    #[serde(default)]
    pub source: Option<String>,
    /// What people have done about it.
    #[serde(default)]
    pub work: StatusHistory,
    /// What its rule recommends at its severity. None for an imported event, or one from before this was recorded.
    #[serde(default)]
    pub recommendation: Option<Recommendation>,
    /// What opened it, and what raised its severity, oldest first. Empty for an imported event.
    #[serde(default)]
    pub evidence: Vec<EventEvidence>,
}

/// What identifies an event. In the API it is `pump/rule/opened_at`, with `%` and `/` in the pump's id as `%25` and `%2F`;
/// a rule's name may contain a `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// The pump.
    pub pump: PumpId,
    /// The rule that opened it.
    pub rule: String,
    /// When it was opened, in device time.
    pub opened_at: Timestamp,
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pump = self.pump.as_str().replace('%', "%25").replace('/', "%2F");
        write!(f, "{pump}/{}/{}", self.rule, self.opened_at)
    }
}

impl FromStr for EventKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_allowed =
            || "not allowed; allowed: the id of an event, such as P-1/bearing-hot/2026-03-09T10:14:33.000Z";
        let (pump, rest) = text.split_once('/').ok_or_else(not_allowed)?;
        let (rule, opened_at) = rest.rsplit_once('/').ok_or_else(not_allowed)?;
        let pump = pump.replace("%2F", "/").replace("%25", "%");
        let pump = PumpId::from_stored(&pump).map_err(|_| not_allowed())?;
        Ok(Self { pump, rule: rule.to_owned(), opened_at: opened_at.parse().map_err(|_| not_allowed())? })
    }
}

impl MaintenanceEvent {
    /// Returns what identifies it.
    pub fn key(&self) -> EventKey {
        EventKey { pump: self.pump.clone(), rule: self.rule.clone(), opened_at: self.opened_at }
    }

    /// Whether it is open.
    pub fn state(&self) -> EventState {
        if self.resolved_at.is_some() { EventState::Resolved } else { EventState::Active }
    }

    /// Updates the highest loss and the model, if there is a detection.
    fn record_anomaly(&mut self, anomaly: Option<&Detection>) {
        let Some(anomaly) = anomaly else { return };
        self.peak_loss = Some(self.peak_loss.map_or(anomaly.loss, |loss| loss.max(anomaly.loss)));
        if self.model.is_none() {
            self.model = Some(anomaly.model.to_string());
        }
    }
}

/// The change of an event by a reading. Each change has to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum EventChange {
    /// A new event.
    Opened(MaintenanceEvent),
    /// The event is still open, and its values have changed.
    Updated(MaintenanceEvent),
    /// The event is resolved.
    Resolved(MaintenanceEvent),
}

impl EventChange {
    /// Returns the event after the change.
    pub fn event(&self) -> &MaintenanceEvent {
        match self {
            Self::Opened(event) | Self::Updated(event) | Self::Resolved(event) => event,
        }
    }
}

/// An event is resolved after this time without a violation, in milliseconds.
const RESOLVE_AFTER_MS: i64 = 60_000;
/// Shortest time between two updates of an open event, in milliseconds.
const UPDATE_INTERVAL_MS: i64 = 10_000;

/// Evaluates the rules of one pump and holds its open events.
#[derive(Debug)]
pub struct RuleEvaluator {
    profile: Profile,
    open: BTreeMap<String, OpenEvent>,
}

#[derive(Debug)]
struct OpenEvent {
    event: MaintenanceEvent,
    /// When the event was last stored.
    updated_at: Timestamp,
}

impl RuleEvaluator {
    /// Creates an evaluator. `open` are the events that were open when the program last stopped.
    pub fn new(profile: Profile, open: impl IntoIterator<Item = MaintenanceEvent>) -> Self {
        let entry = |event: MaintenanceEvent| (event.rule.clone(), OpenEvent { updated_at: event.last_seen_at, event });
        Self { profile, open: open.into_iter().map(entry).collect() }
    }

    /// Evaluates all rules on one reading, with the detection for it if there is one. Readings must come in order.
    /// `alarms` returns the alarms of the pump that stand; it is called only if an event is opened or gets more severe.
    pub fn evaluate(
        &mut self,
        reading: &Reading,
        detection: Option<&Detection>,
        alarms: &dyn Fn() -> Vec<EvidenceAlarm>,
    ) -> Vec<EventChange> {
        let profile = self.profile.clone();
        let mut changes: Vec<EventChange> =
            profile.rules().iter().filter_map(|rule| self.evaluate_rule(rule, reading, detection, alarms)).collect();
        let is_removed = |rule: &String| profile.rules().iter().all(|known| known.name != *rule);
        let removed: Vec<String> = self.open.keys().filter(|rule| is_removed(rule)).cloned().collect();
        changes.extend(removed.iter().filter_map(|rule| self.resolve_if_due(rule, reading.at)));
        changes
    }

    /// Uses another profile from now on. An open event of a rule that the profile does not have is resolved a minute
    /// after its last violation.
    pub fn change_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// Returns an open event, to record what people do about it. The caller stores it.
    pub fn open_event_mut(&mut self, key: &EventKey) -> Option<&mut MaintenanceEvent> {
        let event = &mut self.open.get_mut(&key.rule)?.event;
        (event.opened_at == key.opened_at).then_some(event)
    }

    fn evaluate_rule(
        &mut self,
        rule: &Rule,
        reading: &Reading,
        detection: Option<&Detection>,
        alarms: &dyn Fn() -> Vec<EvidenceAlarm>,
    ) -> Option<EventChange> {
        let may_hold = detection.is_none_or(|detection| detection.is_anomaly);
        let holds = may_hold.then(|| violation(&self.profile, rule, reading)).flatten();
        let Some(violation) = holds else { return self.resolve_if_due(&rule.name, reading.at) };
        let evidence = || EventEvidence::new(&violation, &self.profile, reading, detection, alarms());
        let recommendation = || rule.recommendation(violation.severity, self.profile.name());
        let Some(open) = self.open.get_mut(&rule.name) else {
            let mut event = new_event(rule, reading, &violation, recommendation());
            event.evidence.push(evidence());
            event.record_anomaly(detection);
            self.open.insert(rule.name.clone(), OpenEvent { event: event.clone(), updated_at: reading.at });
            return Some(EventChange::Opened(event));
        };
        let event = &mut open.event;
        event.peak = Some(event.peak.map_or(violation.value, |peak| peak.max(violation.value)));
        event.record_anomaly(detection);
        event.last_seen_at = reading.at;
        let is_raised = violation.severity > event.severity;
        if is_raised {
            let recommendation = recommendation();
            event.severity = violation.severity;
            event.cost = recommendation.cost_now;
            event.recommendation = Some(recommendation);
            event.evidence.push(evidence());
        }
        if !is_raised && reading.at.since_ms(open.updated_at) < UPDATE_INTERVAL_MS {
            return None;
        }
        open.updated_at = reading.at;
        Some(EventChange::Updated(open.event.clone()))
    }

    fn resolve_if_due(&mut self, rule: &str, at: Timestamp) -> Option<EventChange> {
        let open = self.open.get(rule)?;
        if at.since_ms(open.event.last_seen_at) < RESOLVE_AFTER_MS {
            return None;
        }
        let mut event = self.open.remove(rule)?.event;
        event.resolved_at = Some(at);
        Some(EventChange::Resolved(event))
    }
}

/// Returns the highest channel of the rule's quantity that is above the rule's limit.
fn violation<'a>(profile: &'a Profile, rule: &Rule, reading: &Reading) -> Option<Violation<'a>> {
    let channels = profile.channels().iter().zip(reading.samples.iter());
    let above = channels.filter(|(channel, _)| channel.quantity == rule.quantity).filter_map(|(channel, sample)| {
        sample.good().filter(|&value| value > rule.above).map(|value| (channel.name.as_str(), value))
    });
    let (channel, value) = above.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (severity, limit) = rule.severity_of(value);
    Some(Violation { severity, channel, value, limit })
}

fn new_event(
    rule: &Rule,
    reading: &Reading,
    violation: &Violation<'_>,
    recommendation: Recommendation,
) -> MaintenanceEvent {
    MaintenanceEvent {
        pump: reading.pump.clone(),
        rule: rule.name.clone(),
        title: rule.title.clone(),
        advice: rule.advice.clone(),
        severity: violation.severity,
        cost: recommendation.cost_now,
        channel: violation.channel.to_owned(),
        limit: Some(rule.above),
        peak: Some(violation.value),
        peak_loss: None,
        model: None,
        opened_at: reading.at,
        last_seen_at: reading.at,
        resolved_at: None,
        source: None,
        work: StatusHistory::default(),
        recommendation: Some(recommendation),
        evidence: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
